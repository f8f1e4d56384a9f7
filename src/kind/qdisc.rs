//! Queueing disciplines, one file each, named as the kernel names them.

pub mod bfifo;
pub mod clsact;
pub mod fq_codel;
pub mod htb;
pub mod ingress;
pub mod mq;
pub mod noqueue;
pub mod pfifo;
pub mod pfifo_fast;
pub mod pfifo_head_drop;
pub mod prio;
pub mod red;
pub mod sfq;
pub mod tbf;

use crate::kind::Options;
use crate::rows;

rows! {
    /// The options of a kind that has none.
    pub struct Plain {}
}

impl Options for Plain {}
