//! `pfifo_head_drop`: net/sched/sch_fifo.c, tc-pfifo(8).

use super::pfifo::Pfifo;
use crate::kind::{Children, Kind, Role, no_xstats};

/// The kind: its options are those of `pfifo`.
pub static KIND: Kind = Kind {
    name: "pfifo_head_drop",
    role: Role::Qdisc,
    doc: "first in, first out, counted in packets: when it is full the oldest packet goes, not the newest",
    options: || Box::new(Pfifo::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_SCHED",
    module: "",
    // struct tc_fifo_qopt
    attributes: &[],
    xstats: no_xstats,
};
