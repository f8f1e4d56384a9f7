//! `noqueue`: net/sched/sch_generic.c.

use crate::kind::{Children, Kind, Options, Role, no_xstats};
use crate::rows;

rows! {
    /// It has no options.
    pub struct Noqueue {}
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "noqueue",
    role: Role::Qdisc,
    doc: "no queue at all, as on virtual links: packets go to the device at once, and are lost where it is busy",
    options: || Box::new(Noqueue::default()),
    class: None,
    children: Children::None,
    change: false,
    writable: true,
    config: "NET_SCHED",
    module: "",
    attributes: &[],
    xstats: no_xstats,
};

impl Options for Noqueue {
    /// "Cannot assign noqueue to a class" (`qdisc_graft`).
    fn root_only(&self) -> bool {
        true
    }
}
