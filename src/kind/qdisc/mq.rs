//! `mq`: net/sched/sch_mq.c.

use crate::kind::walk::{Choice, Walk};
use crate::kind::{Children, Kind, Options, Role, no_xstats};
use crate::rows;

rows! {
    /// It has no options.
    pub struct Mq {}
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "mq",
    role: Role::Qdisc,
    doc: "one discipline for each transmit queue of the device, each with a lock of its own: the kernel's default where there are several queues",
    options: || Box::new(Mq::default()),
    class: None,
    children: Children::Bands,
    change: false,
    writable: true,
    config: "NET_SCHED",
    module: "",
    attributes: &[],
    xstats: no_xstats,
};

impl Options for Mq {
    fn choose(&self, walk: &mut dyn Walk) -> Option<Choice> {
        Some(super::by_queue(walk, "the driver or the packet's flow chooses it"))
    }

    fn root_only(&self) -> bool {
        true
    }
}
