//! `bfifo`: net/sched/sch_fifo.c, tc-bfifo(8).

use super::tbf::check_queue;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, fits, no_xstats};
use crate::rows;
use crate::unit::Bytes;

rows! {
    /// A queue counted in bytes.
    pub struct Bfifo {
        /// bytes that may wait
        limit: Bytes = Row::new("limit").computed("the link's txqueuelen times its frame");
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "bfifo",
    role: Role::Qdisc,
    doc: "first in, first out, counted in bytes: the queue that bounds the waiting time of a slow link",
    options: || Box::new(Bfifo::default()),
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

impl Options for Bfifo {
    fn forgets(&self, _word: &str) -> bool {
        true
    }

    /// `struct tc_fifo_qopt`, or nothing at all for the link's own length.
    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let Bfifo { limit } = self;
        if let Some(Bytes(n)) = limit {
            out.bare(&u32::try_from(*n).unwrap_or(u32::MAX).to_ne_bytes());
        }
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        if !payload.0.is_empty() {
            self.limit = Some(Bytes(u64::from(payload.fields().u32()?)));
        }
        Ok(())
    }

    /// `__fifo_init`, which multiplies in 32 bits.
    fn assume(&mut self, facts: &Facts) {
        self.limit.get_or_insert(Bytes(u64::from(facts.txqueuelen.wrapping_mul(facts.frame()))));
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        if let Some(limit) = self.limit {
            check_queue("limit", limit, facts, out);
        }
        fits("limit", self.limit.map(|b| b.0), u64::from(u32::MAX), out);
    }
}
