//! `clsact`: net/sched/sch_ingress.c.

use super::Plain;
use crate::kind::{Children, Kind, Role, no_xstats};

/// The kind.
pub static KIND: Kind = Kind {
    name: "clsact",
    role: Role::Qdisc,
    doc: "the hooks for what arrives and for what leaves: holds filters, queues nothing. A policy writes the direction",
    options: || Box::new(Plain::default()),
    class: None,
    children: Children::None,
    change: false,
    writable: false,
    config: "NET_SCH_INGRESS",
    module: "sch_ingress",
    attributes: &[],
    xstats: no_xstats,
};
