//! `mq`: net/sched/sch_mq.c.

use super::Plain;
use crate::kind::{Children, Kind, Role, no_xstats};

/// The kind.
pub static KIND: Kind = Kind {
    name: "mq",
    role: Role::Qdisc,
    doc: "one discipline for each transmit queue of the device, made by the kernel",
    options: || Box::new(Plain::default()),
    class: None,
    children: Children::Bands,
    change: false,
    writable: true,
    config: "NET_SCHED",
    module: "",
    attributes: &[],
    xstats: no_xstats,
};
