//! shapectl: a traffic-control compiler for Linux.

pub mod codes;
pub mod diagnostic;
pub mod source;
pub mod syntax;
