//! The `shapectl` binary.

fn main() {}
