//! `sample`: net/sched/act_sample.c, tc-sample(8). Copies of some packets go to whoever listens on psample.

use super::control::{CONTROL, Control, INDEX, Index, figures, head, read_end, read_head, read_options};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{
    Children, Finding, Kind, Options, Role, Row, Wire, attribute, decode_rows, encode_rows, no_option, read_row,
};
use crate::rows;
use crate::unit::{Count, Reader, Refusal, Words};

rows! {
    /// Samples.
    pub struct Sample {
        /// one in so many packets
        rate: Count = Row::new("rate").short().wire(Wire::U32(RATE));
        /// the group under which psample hands them out
        group: Count = Row::new("group").short().wire(Wire::U32(GROUP));
        /// how many bytes of a packet are copied
        trunc: Count = Row::new("trunc").short().wire(Wire::U32(TRUNC)).computed("all of it");
        /// what becomes of the packet then
        control: Control = CONTROL.default("pipe");
        /// the number under which several filters share the action
        index: Index = INDEX;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "sample",
    role: Role::Action,
    doc: "gives copies of some packets to whoever listens on psample, and lets the packets go on",
    options: || Box::new(Sample::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_ACT_SAMPLE",
    module: "act_sample",
    attributes: &[
        no_option("TCA_SAMPLE_TM", TM, "times, which are figures"),
        attribute("TCA_SAMPLE_PARMS", PARMS, &["control", "index"]),
        attribute("TCA_SAMPLE_RATE", RATE, &["rate"]),
        attribute("TCA_SAMPLE_TRUNC_SIZE", TRUNC, &["trunc"]),
        attribute("TCA_SAMPLE_PSAMPLE_GROUP", GROUP, &["group"]),
        no_option("TCA_SAMPLE_PAD", 6, "padding only"),
    ],
    xstats: |payload, _| figures(PARMS, TM, payload),
};

const TM: u16 = 1;
const PARMS: u16 = 2;
const RATE: u16 = 3;
const TRUNC: u16 = 4;
const GROUP: u16 = 5;

impl Sample {
    /// What tc refuses.
    fn faults(&self, out: &mut Vec<Finding>) {
        for (word, set, help) in [("rate", self.rate.is_some(), "100"), ("group", self.group.is_some(), "1")] {
            if !set && self.index.is_none() {
                let f = Finding::new(&codes::MISSING_OPTION, word, format!("`sample` wants a `{word}`"));
                out.push(f.help(format!("write `{word}: {help}`")));
            }
        }
    }
}

impl Options for Sample {
    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        out.raw(PARMS, &head(self.index, self.control.unwrap_or(Control::PIPE)).0);
        encode_rows(self, out);
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        if let Some(parms) = attributes.get(PARMS) {
            (self.index, self.control) = read_head(&mut parms.fields())?;
        }
        decode_rows(self, &attributes)
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !reader.tc {
            return read_row(self, words, reader);
        }
        if *self != Sample::default() {
            return Ok(false);
        }
        read_options(self, words, reader)?;
        read_end(&mut self.control, &mut self.index, words, reader)?;
        super::first_fault(|out| self.faults(out))?;
        Ok(true)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        self.faults(out);
        if self.rate == Some(Count(0)) {
            let f = Finding::new(&codes::OUT_OF_RANGE, "rate", "one in no packets is sampled");
            out.push(f.help("write `rate: 1` for every packet"));
        }
    }
}
