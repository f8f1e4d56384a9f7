//! `gact`: net/sched/act_gact.c, tc-gact(8). A verdict, by chance if one likes.

use super::control::{Control, INDEX, unnumbered};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Fields, Malformed, Payload};
use crate::kind::{Children, Kind, Options, Role, Row, Rows, no_xstats, row_words};
use crate::rows;
use crate::unit::{Info, Number, Reader, Refusal, Schema, Unit, Words};

rows! {
    /// A verdict.
    pub struct Gact {
        /// what becomes of the packet
        control: Control = Row::new("control").default("pass");
        /// another verdict for some packets: `netrand drop 10` for one in ten by chance, `determ drop 10` for each tenth
        random: Random = Row::new("random");
        /// the number under which several filters share the action
        index: Number = INDEX;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "gact",
    role: Role::Action,
    doc: "a verdict: drop, pass, try the next filter or go to another chain. A policy writes the verdict alone: `drop`",
    options: || Box::new(Gact::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_ACT_GACT",
    module: "act_gact",
    attributes: &[],
    xstats: no_xstats,
};

/// Another verdict for one packet in so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Random {
    /// Each so-manieth packet instead of one in so many by chance.
    pub determ: bool,
    /// The verdict for it.
    pub control: Control,
    /// So many; at most 10,000.
    pub value: u16,
}

impl Unit for Random {
    const INFO: Info = Info {
        name: "a verdict by chance",
        spellings: "`netrand drop 10` or `determ drop 10`",
        schema: Schema::Pattern("^(netrand|determ) .+ [0-9]+$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Self::read_words(&mut Words::new(&words), reader)
    }

    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        let determ = match words.want("`netrand` or `determ`")? {
            "netrand" => false,
            "determ" => true,
            word => {
                return Err(Refusal::new(format!("`{word}` is neither `netrand` nor `determ`"))
                    .help(format!("write {}", Self::INFO.spellings)));
            }
        };
        let control = Control::read_words(words, reader)?;
        let Number(n) = Number::read_words(words, reader)?;
        match u16::try_from(n) {
            Ok(value) if value <= 10_000 => Ok(Random { determ, control, value }),
            _ => Err(Refusal::coded(&codes::OUT_OF_RANGE, format!("`{n}` does not fit: at most 10000"))),
        }
    }

    fn show(&self) -> String {
        format!("{} {} {}", if self.determ { "determ" } else { "netrand" }, self.control.show(), self.value)
    }
}

const PARMS: u16 = 2;
const PROB: u16 = 3;

impl Options for Gact {
    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let Gact { control, random, index } = self;
        let control = control.unwrap_or(Control::PASS).bits();
        // struct tc_gact: index, capab, action, refcnt, bindcnt
        let parms = Fields::new().u32(index.unwrap_or_default().0).u32(0).u32(control).u32(0).u32(0);
        out.raw(PARMS, &parms.0);
        if let Some(Random { determ, control, value }) = random {
            // struct tc_gact_p: ptype, pval, paction
            out.raw(PROB, &Fields::new().u16(1 + u16::from(*determ)).u16(*value).u32(control.bits()).0);
        }
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        if let Some(parms) = attributes.get(PARMS) {
            let mut c = parms.fields();
            let (index, _capab, action) = (c.u32()?, c.u32()?, c.u32()?);
            self.index = (index != 0).then_some(Number(index));
            self.control = Some(Control::from_bits(action));
        }
        if let Some(prob) = attributes.get(PROB) {
            let mut c = prob.fields();
            let (kind, value, action) = (c.u16()?, c.u16()?, c.u32()?);
            // PGACT_NONE, 0, is no chance at all
            self.random =
                (kind != 0).then_some(Random { determ: kind == 2, control: Control::from_bits(action), value });
        }
        Ok(())
    }

    fn same(&self, other: &dyn Options, row: usize, _facts: &Facts) -> bool {
        match Gact::ROWS.get(row).map(|r| r.word) {
            Some("index") if unnumbered(self.index) => true,
            _ => matches!((self.slot(row), other.slot(row)), (Some(a), Some(b)) if a.same(b)),
        }
    }

    /// tc writes the verdict without a word before it.
    fn tc(&self, out: &mut Vec<String>) {
        let control = self.control.or(self.random.map(|_| Control::PASS));
        out.extend(control.iter().flat_map(|c| c.tc().split(' ').map(str::to_owned).collect::<Vec<_>>()));
        for (i, row) in Gact::ROWS.iter().enumerate().skip(1) {
            if let Some(slot) = self.slot(i) {
                row_words(row, slot, out);
            }
        }
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        match words.peek() {
            Some(word) if self.control.is_none() && Control::starts(word) => {
                self.control = Some(Control::read_words(words, reader)?);
            }
            Some("random") => {
                words.next();
                self.random = Some(Random::read_words(words, reader)?);
            }
            Some("index") => {
                words.next();
                self.index = Some(Number::read_words(words, reader)?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}
