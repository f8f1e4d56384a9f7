//! `csum`: net/sched/act_csum.c, tc-csum(8). Computes checksums anew after an edit.

use super::control::{CONTROL, Control, INDEX, Index, figures, head, read_end, read_head, read_index};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, attribute, no_option, read_row};
use crate::rows;
use crate::syntax::document::{Node, Value};
use crate::unit::{Info, Reader, Refusal, Schema, Unit, Words, begins};

rows! {
    /// Checksums to compute.
    pub struct Csum {
        /// whose checksums are computed anew: `iph` is IPv4's header
        update: Sums = Row::new("update").bare();
        /// what becomes of the packet then
        control: Control = CONTROL.default("pass");
        /// the number under which several filters share the action
        index: Index = INDEX;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "csum",
    role: Role::Action,
    doc: "computes checksums anew, after `pedit` has changed what they cover",
    options: || Box::new(Csum::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_ACT_CSUM",
    module: "act_csum",
    attributes: &[
        attribute("TCA_CSUM_PARMS", PARMS, &["update", "control", "index"]),
        no_option("TCA_CSUM_TM", TM, "times, which are figures"),
        no_option("TCA_CSUM_PAD", 3, "padding only"),
    ],
    xstats: |payload, _| figures(PARMS, TM, payload),
};

const PARMS: u16 = 1;
const TM: u16 = 2;

/// Headers with checksums: bits of `TCA_CSUM_UPDATE_FLAG_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums(pub u32);

impl Sums {
    /// IPv4's header.
    pub const IPV4: Sums = Sums(1);

    fn of(word: &str, reader: &Reader) -> Option<u32> {
        let is = |name: &str| name == word || reader.tc && begins(word, name);
        // the words that only make it read well
        NAMES.iter().find(|(name, _)| is(name)).map(|(_, bit)| *bit)
    }
}

/// In the order in which tc tries them.
const NAMES: &[(&str, u32)] = &[
    ("iph", 1),
    ("ip4h", 1),
    ("ipv4h", 1),
    ("icmp", 2),
    ("igmp", 4),
    ("tcp", 8),
    ("udp", 16),
    ("udplite", 32),
    ("sctp", 64),
    ("and", 0),
    ("or", 0),
    ("+", 0),
];

impl Unit for Sums {
    const INFO: Info = Info {
        name: "a list of headers",
        spellings: "`[iph, tcp]`, of `iph`, `icmp`, `igmp`, `tcp`, `udp`, `udplite` and `sctp`",
        schema: Schema::List("^(iph|ip4h|ipv4h|icmp|igmp|tcp|udp|udplite|sctp)$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let words = text.trim_start_matches('[').trim_end_matches(']').split([' ', ',']).filter(|w| !w.is_empty());
        let bit = |word: &str| {
            Sums::of(word, reader).ok_or_else(|| {
                Refusal::new(format!("`{word}` is no header with a checksum"))
                    .help(format!("write {}", Self::INFO.spellings))
            })
        };
        let bits = words.map(bit).try_fold(0, |all, bit| Ok(all | bit?))?;
        if bits == 0 {
            return Err(Refusal::new("a list without headers").help(format!("write {}", Self::INFO.spellings)));
        }
        Ok(Sums(bits))
    }

    fn read_node(node: &Node, reader: &mut Reader) -> Result<Self, Refusal> {
        let words: Vec<&str> = match &node.value {
            Value::Word(word) => vec![&word.text],
            Value::List(items) => items.iter().filter_map(|item| item.node.as_word()).collect(),
            _ => Vec::new(),
        };
        Self::read(&words.join(" "), reader)
    }

    /// As many as follow.
    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut bits = None;
        while let Some(bit) = words.peek().and_then(|word| Sums::of(word.trim_end_matches(','), reader)) {
            words.next();
            *bits.get_or_insert(0) |= bit;
        }
        match bits {
            Some(bits) if bits != 0 => Ok(Sums(bits)),
            _ => {
                let word = words.want(Self::INFO.name)?;
                Err(Refusal::new(format!("`{word}` is no header with a checksum"))
                    .help(format!("write {}", Self::INFO.spellings)))
            }
        }
    }

    fn show(&self) -> String {
        self.tc().replace(' ', ", ")
    }

    fn tc(&self) -> String {
        let first = |bit: u32| NAMES.iter().find(|(_, b)| *b == bit).map(|(name, _)| *name);
        let names = (0..u32::BITS).filter(|i| self.0 >> i & 1 != 0).filter_map(|i| first(1 << i));
        names.collect::<Vec<_>>().join(" ")
    }
}

impl Options for Csum {
    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let Csum { update, control, index } = self;
        // struct tc_csum goes on: update_flags
        let parms = head(*index, control.unwrap_or(Control::PASS)).u32(update.unwrap_or_default().0);
        out.raw(PARMS, &parms.0);
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let Some(parms) = payload.attributes()?.get(PARMS) else { return Ok(()) };
        let mut c = parms.fields();
        (self.index, self.control) = read_head(&mut c)?;
        let known = NAMES.iter().fold(0, |all, (_, bit)| all | bit);
        self.update = Some(Sums(c.u32()? & known)).filter(|sums| sums.0 != 0);
        Ok(())
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !reader.tc {
            return read_row(self, words, reader);
        }
        if *self != Csum::default() {
            return Ok(false);
        }
        if words.peek() == Some("index") {
            read_index(&mut self.index, words, reader)?;
            return Ok(true);
        }
        self.update = Some(Sums::read_words(words, reader)?);
        read_end(&mut self.control, &mut self.index, words, reader)?;
        Ok(true)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        if self.update.is_none() && self.index.is_none() {
            out.push(
                Finding::new(&codes::MISSING_OPTION, "update", "`csum` wants the headers whose checksums it computes")
                    .help("write `update: [iph, tcp]`"),
            );
        }
    }
}
