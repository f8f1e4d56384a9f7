//! `noqueue`: net/sched/sch_generic.c.

use super::Plain;
use crate::kind::{Children, Kind, Role, no_xstats};

/// The kind.
pub static KIND: Kind = Kind {
    name: "noqueue",
    role: Role::Qdisc,
    doc: "no queue at all, as on virtual links: packets go to the device at once",
    options: || Box::new(Plain::default()),
    class: None,
    children: Children::None,
    change: false,
    writable: true,
    config: "NET_SCHED",
    module: "",
    attributes: &[],
    xstats: no_xstats,
};
