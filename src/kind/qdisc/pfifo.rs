//! `pfifo`: net/sched/sch_fifo.c, tc-pfifo(8).

use super::netem::Limit;
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, no_xstats};
use crate::rows;
use crate::unit::{Packets, Reader, Refusal, Unit, Words};

rows! {
    /// A queue counted in packets.
    pub struct Pfifo {
        /// packets that may wait
        limit: Packets = Row::new("limit").computed("the link's txqueuelen");
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "pfifo",
    role: Role::Qdisc,
    doc: "first in, first out, counted in packets: the plainest queue, whose backlog can be watched",
    options: || Box::new(Pfifo::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    // part of the scheduler's core
    config: "NET_SCHED",
    module: "",
    attributes: &[],
    xstats: no_xstats,
};

impl Options for Pfifo {
    fn forgets(&self, _word: &str) -> bool {
        true
    }

    /// `struct tc_fifo_qopt`, or nothing at all for the link's own length.
    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let Pfifo { limit } = self;
        if let Some(Packets(n)) = limit {
            out.bare(&n.to_ne_bytes());
        }
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        if !payload.0.is_empty() {
            self.limit = Some(Packets(payload.fields().u32()?));
        }
        Ok(())
    }

    /// `__fifo_init`.
    fn assume(&mut self, facts: &Facts) {
        self.limit.get_or_insert(Packets(facts.txqueuelen));
    }

    /// tc reads the number as it reads sizes: `10k` is 10240.
    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !words.take("limit") {
            return Ok(false);
        }
        self.limit = Some(Packets(Limit::read_words(words, reader)?.0));
        Ok(true)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        if self.limit == Some(Packets(0)) {
            out.push(
                Finding::new(&codes::LIMIT_BELOW_PACKET, "limit", "a limit of 0 packets drops everything")
                    .help("write `limit: 100`"),
            );
        }
    }
}
