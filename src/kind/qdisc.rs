//! Queueing disciplines, one file each, named as the kernel names them.

pub mod fq_codel;
pub mod htb;
