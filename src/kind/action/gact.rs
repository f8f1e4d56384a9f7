//! `gact`: net/sched/act_gact.c, tc-gact(8). A verdict, by chance if one likes.

use super::control::{CONTROL, Control, INDEX, Index, figures, head, read_head, read_index};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::walk::Walk;
use crate::kind::wire::{Attributes, Fields, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, Rows, attribute, no_option, read_row, row_words};
use crate::rows;
use crate::unit::{Info, Reader, Refusal, Schema, Unit, Words, begins, decimal};

rows! {
    /// A verdict.
    pub struct Gact {
        /// what becomes of the packet
        control: Control = CONTROL.default("pass");
        /// another verdict for some packets: `netrand drop 10` for one in ten by chance, `determ drop 10` for each tenth
        random: Random = Row::new("random").short();
        /// the number under which several filters share the action
        index: Index = INDEX;
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
    attributes: &[
        no_option("TCA_GACT_TM", TM, "times, which are figures"),
        attribute("TCA_GACT_PARMS", PARMS, &["control", "index"]),
        attribute("TCA_GACT_PROB", PROB, &["random"]),
        no_option("TCA_GACT_PAD", 4, "padding only"),
    ],
    xstats: |payload, _| figures(PARMS, TM, payload),
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
        let mut words = Words::new(&words);
        let random = Self::read_words(&mut words, reader)?;
        match words.next() {
            None => Ok(random),
            Some(word) => Err(Refusal::new(format!("`{word}` after `{}`", random.show()))),
        }
    }

    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        let determ = if words.take("netrand") || reader.tc && words.take_short("netrand") {
            false
        } else if words.take("determ") || reader.tc && words.take_short("determ") {
            true
        } else {
            let word = words.want("`netrand` or `determ`")?;
            let wrong = Refusal::new(format!("`{word}` is neither `netrand` nor `determ`"));
            return Err(wrong.help(format!("write {}", Self::INFO.spellings)));
        };
        let control = Control::read_words(words, reader)?;
        let n = decimal(words.want("how many")?, reader, "a number")?;
        match u16::try_from(n) {
            Ok(value) if value <= 10_000 => Ok(Random { determ, control, value }),
            _ => Err(Refusal::coded(&codes::OUT_OF_RANGE, format!("`{n}` does not fit: at most 10000"))),
        }
    }

    fn show(&self) -> String {
        format!("{} {} {}", if self.determ { "determ" } else { "netrand" }, self.control.show(), self.value)
    }

    /// Of none the kernel makes one (`tcf_gact_init`).
    fn same(&self, other: &Self) -> bool {
        let floor = |r: &Self| Random { value: r.value.max(1), ..*r };
        floor(self) == floor(other)
    }
}

const TM: u16 = 1;
const PARMS: u16 = 2;
const PROB: u16 = 3;

impl Options for Gact {
    fn act(&self, walk: &mut dyn Walk) -> Control {
        let other = self
            .random
            .filter(|r| walk.settle(&format!("it is the one packet in {} that gets `{}`", r.value, r.control.show())));
        other.map(|r| r.control).or(self.control).unwrap_or(Control::PASS)
    }

    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let Gact { control, random, index } = self;
        out.raw(PARMS, &head(*index, control.unwrap_or(Control::PASS)).0);
        if let Some(Random { determ, control, value }) = random {
            // struct tc_gact_p: ptype, pval, paction
            out.raw(PROB, &Fields::new().u16(1 + u16::from(*determ)).u16(*value).u32(control.bits()).0);
        }
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        if let Some(parms) = attributes.get(PARMS) {
            (self.index, self.control) = read_head(&mut parms.fields())?;
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

    /// What is given by chance stands after a verdict; a shared action is named by its number alone.
    fn tc(&self, out: &mut Vec<String>) {
        let control = self.control.or(self.random.map(|_| Control::PASS));
        let whole = Gact { control, ..self.clone() };
        for (i, row) in Gact::ROWS.iter().enumerate() {
            if let Some(slot) = whole.slot(i) {
                row_words(row, slot, out);
            }
        }
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !reader.tc {
            return read_row(self, words, reader);
        }
        let fresh = *self == Gact::default();
        if fresh && words.peek().is_some_and(|word| begins(word, "index")) {
            read_index(&mut self.index, words, reader)?;
            return Ok(true);
        }
        // after `action drop` the verdict is read, and the rest is not
        if self.random.is_some() || self.index.is_some() {
            return Ok(false);
        }
        if fresh {
            self.control = Some(Control::read_words(words, reader)?);
        }
        let before = words.peek();
        if words.take_short("random") {
            self.random = Some(Random::read_words(words, reader)?);
        }
        read_index(&mut self.index, words, reader)?;
        Ok(fresh || words.peek() != before)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        if let Some(random) = self.random.filter(|r| r.control.is_goto()) {
            let message = format!("`{}` is no verdict by chance: the kernel refuses it", random.control.show());
            out.push(Finding::new(&codes::BAD_VALUE, "random", message).help("make it the first verdict"));
        }
    }
}
