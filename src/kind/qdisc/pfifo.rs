//! `pfifo`: net/sched/sch_fifo.c, tc-pfifo(8).

use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::{Children, Finding, Kind, Options, Role, Row, Wire, no_xstats};
use crate::rows;
use crate::unit::Limit;

rows! {
    /// A queue counted in packets.
    pub struct Pfifo {
        /// packets that may wait
        limit: Limit = Row::new("limit").wire(Wire::Sole).computed("the link's txqueuelen");
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
    // struct tc_fifo_qopt
    attributes: &[],
    xstats: no_xstats,
};

impl Options for Pfifo {
    fn forgets(&self, _word: &str) -> bool {
        true
    }

    /// `__fifo_init`.
    fn assume(&mut self, facts: &Facts) {
        self.limit.get_or_insert(Limit(facts.txqueuelen));
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        self.check_widths(out);
        if self.limit == Some(Limit(0)) {
            out.push(
                Finding::new(&codes::LIMIT_BELOW_PACKET, "limit", "a limit of 0 packets drops everything")
                    .help("write `limit: 100`"),
            );
        }
    }
}
