//! `simple`: net/sched/act_simple.c, tc-simple(8). Writes a line into the kernel's log for each packet.

use super::control::{CONTROL, Control, INDEX, Index, figures, head, read_end, read_head};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, attribute, no_option, read_row};
use crate::rows;
use crate::unit::{Reader, Refusal, Text, Unit, Words};

rows! {
    /// A line in the log.
    pub struct Simple {
        /// the text, of up to 31 bytes
        sdata: Text = Row::new("sdata").short();
        /// what becomes of the packet then
        control: Control = CONTROL.default("pipe");
        /// the number under which several filters share the action
        index: Index = INDEX;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "simple",
    role: Role::Action,
    doc: "writes a line into the kernel's log for each packet: the text and the packet's number. For trying filters out",
    options: || Box::new(Simple::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_ACT_SIMP",
    module: "act_simple",
    attributes: &[
        no_option("TCA_DEF_TM", TM, "times, which are figures"),
        attribute("TCA_DEF_PARMS", PARMS, &["control", "index"]),
        attribute("TCA_DEF_DATA", DATA, &["sdata"]),
        no_option("TCA_DEF_PAD", 4, "padding only"),
    ],
    xstats: |payload, _| figures(PARMS, TM, payload),
};

const TM: u16 = 1;
const PARMS: u16 = 2;
const DATA: u16 = 3;
/// `SIMP_MAX_DATA`, the zero at the end included.
const MOST: usize = 32;

impl Simple {
    /// What tc refuses.
    fn faults(&self, out: &mut Vec<Finding>) {
        match &self.sdata {
            None if self.index.is_none() => out.push(
                Finding::new(&codes::MISSING_OPTION, "sdata", "`simple` wants a text").help("write `sdata: hello`"),
            ),
            Some(Text(text)) if text.len() >= MOST => {
                let message = format!("a text of {} bytes: at most {}", text.len(), MOST - 1);
                out.push(Finding::new(&codes::OUT_OF_RANGE, "sdata", message));
            }
            _ => {}
        }
    }
}

impl Options for Simple {
    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        out.raw(PARMS, &head(self.index, self.control.unwrap_or(Control::PIPE)).0);
        if let Some(Text(text)) = &self.sdata {
            let mut octets: Vec<u8> = text.bytes().take(MOST - 1).collect();
            octets.resize(MOST, 0);
            out.raw(DATA, &octets);
        }
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        if let Some(parms) = attributes.get(PARMS) {
            (self.index, self.control) = read_head(&mut parms.fields())?;
        }
        self.sdata = attributes.get(DATA).map(|p| Text(p.text().into()));
        Ok(())
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !reader.tc {
            return read_row(self, words, reader);
        }
        if *self != Simple::default() {
            return Ok(false);
        }
        while words.take_short("sdata") {
            self.sdata = Some(Text::read_words(words, reader)?);
        }
        read_end(&mut self.control, &mut self.index, words, reader)?;
        super::first_fault(|out| self.faults(out))?;
        Ok(true)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        self.faults(out);
    }
}
