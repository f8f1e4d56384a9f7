//! `ingress`: net/sched/sch_ingress.c.

use super::Plain;
use crate::kind::{Children, Kind, Role, no_xstats};

/// The kind.
pub static KIND: Kind = Kind {
    name: "ingress",
    role: Role::Qdisc,
    doc: "the hook for what arrives: holds filters, queues nothing. A policy writes the direction `ingress`",
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
