//! `skbprio`: net/sched/sch_skbprio.c, tc-skbprio(8).

use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::{Children, Finding, Kind, Options, Role, Row, Wire, no_xstats};
use crate::rows;
use crate::unit::Limit;

rows! {
    /// A queue for each packet priority.
    pub struct Skbprio {
        /// packets that may wait in all
        limit: Limit = Row::new("limit").wire(Wire::Sole).default("64");
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
    // struct tc_skbprio_qopt
    attributes: &[],
    xstats: no_xstats,
};

impl Options for Skbprio {
    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        self.check_widths(out);
        if self.limit == Some(Limit(0)) {
            let f = Finding::new(&codes::LIMIT_BELOW_PACKET, "limit", "a limit of 0 packets drops everything");
            out.push(f.help("write `limit: 64`"));
        }
    }
}
