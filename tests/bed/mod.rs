//! What the tests that need a kernel stand on: namespaces ([`netns`]), tc's dumps ([`dump`]), traffic ([`traffic`]),
//! which kinds the kernel lacks ([`kernel`]), flows on their way through changes ([`passage`]), recordings of what tc sends ([`wire`]), and many of them at once ([`bench`]).
//!
//! Everything here is bounded in time: a command by [`netns::COMMAND_LIMIT`], a flow by its own length.
#![allow(dead_code, unused_macros, unused_imports, reason = "each test binary uses its own part")]

pub mod bench;
pub mod dump;
pub mod generated;
pub mod kernel;
pub mod netns;
pub mod passage;
pub mod tc_line;
pub mod traffic;
pub mod wire;
