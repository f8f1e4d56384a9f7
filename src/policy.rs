//! What a policy says, by names: its model, its reader, its checks. Nothing here knows handles or the kernel.

pub mod check;
pub mod layout;
pub mod load;
pub mod model;
pub mod names;
pub mod read;
pub mod tos;
