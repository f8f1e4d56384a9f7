//! `teql0`: net/sched/sch_teql.c. The kernel has such a kind for each of its `teql` devices, and one device unless its
//! module is told otherwise.

use super::Plain;
use crate::kind::{Children, Kind, Role, no_xstats};

/// The kind.
pub static KIND: Kind = Kind {
    name: "teql0",
    role: Role::Qdisc,
    doc: "makes the link one of those over which the device teql0 spreads its packets",
    options: || Box::new(Plain::default()),
    class: None,
    children: Children::None,
    change: false,
    writable: true,
    config: "NET_SCH_TEQL",
    module: "sch_teql",
    attributes: &[],
    xstats: no_xstats,
};
