//! `pfifo_fast`: net/sched/sch_generic.c, tc-pfifo_fast(8).

use super::prio::Prio;
use crate::kind::{Children, Kind, Role, no_xstats};

/// The kind. It tells its bands and priomap as `prio` does, and takes none.
pub static KIND: Kind = Kind {
    name: "pfifo_fast",
    role: Role::Qdisc,
    doc: "the kernel's classic default: three bands by packet priority, none of which can be configured",
    options: || Box::new(Prio::default()),
    class: None,
    children: Children::None,
    change: false,
    writable: true,
    config: "NET_SCHED",
    module: "",
    attributes: &[],
    xstats: no_xstats,
};
