//! What a policy says, by names: its model, its reader, its checks. Nothing here knows handles or the kernel.

pub mod model;
