//! `bfifo`: net/sched/sch_fifo.c, tc-bfifo(8).

use super::tbf::check_queue;
use crate::facts::Facts;
use crate::kind::{Children, Finding, Kind, Options, Role, Row, Wire, no_xstats};
use crate::rows;
use crate::unit::Bytes;

rows! {
    /// A queue counted in bytes.
    pub struct Bfifo {
        /// bytes that may wait
        limit: Bytes = Row::new("limit").wire(Wire::Sole).computed("the link's txqueuelen times its frame");
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
    // struct tc_fifo_qopt
    attributes: &[],
    xstats: no_xstats,
};

impl Options for Bfifo {
    fn forgets(&self, _word: &str) -> bool {
        true
    }

    /// `__fifo_init`, which multiplies in 32 bits.
    fn assume(&mut self, facts: &Facts) {
        self.limit.get_or_insert(Bytes(u64::from(facts.txqueuelen.wrapping_mul(facts.frame()))));
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        self.check_widths(out);
        if let Some(limit) = self.limit {
            check_queue("limit", limit, facts, out);
        }
    }
}
