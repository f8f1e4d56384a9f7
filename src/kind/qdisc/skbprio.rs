//! `skbprio`: net/sched/sch_skbprio.c, tc-skbprio(8).

use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, fits, no_xstats};
use crate::rows;
use crate::unit::{Bytes, Packets, Reader, Refusal, Unit, Words};

rows! {
    /// A queue for each packet priority.
    pub struct Skbprio {
        /// packets that may wait in all
        limit: Packets = Row::new("limit").default("64");
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "skbprio",
    role: Role::Qdisc,
    doc: "one queue for each packet priority from 0 to 63, the highest first; when full, the lowest priority is dropped",
    options: || Box::new(Skbprio::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_SCH_SKBPRIO",
    module: "sch_skbprio",
    // a struct, no attributes
    attributes: &[],
    xstats: no_xstats,
};

impl Options for Skbprio {
    /// `struct tc_skbprio_qopt`, or nothing at all for the kernel's default.
    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        if let Some(Packets(n)) = self.limit {
            out.bare(&n.to_ne_bytes());
        }
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        if !payload.0.is_empty() {
            self.limit = Some(Packets(payload.fields().u32()?));
        }
        Ok(())
    }

    /// tc reads the number as a size, so that `1k` are 1024 packets.
    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !words.take("limit") {
            return Ok(false);
        }
        let Bytes(n) = Bytes::read_words(words, reader)?;
        let too_many = |_| Refusal::coded(&codes::OUT_OF_RANGE, format!("{n} packets are more than can be said"));
        self.limit = Some(Packets(u32::try_from(n).map_err(too_many)?));
        Ok(true)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        fits("limit", self.limit.map(|l| u64::from(l.0)), u64::from(u32::MAX), out);
        if self.limit == Some(Packets(0)) {
            let f = Finding::new(&codes::LIMIT_BELOW_PACKET, "limit", "a limit of 0 packets drops everything");
            out.push(f.help("write `limit: 64`"));
        }
    }
}
