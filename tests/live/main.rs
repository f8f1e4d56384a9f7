//! What holds on a real kernel. Runs on the running kernel as root (`cargo test`), and with `tests/kernel/run` on a
//! kernel of its own; `tests/run` does both.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod actions;
#[path = "../bed/mod.rs"]
mod bed;
mod classful;
mod classifiers;
mod classify;
mod doctor;
mod drift;
mod export;
mod faults;
mod fields;
mod filters;
mod host;
mod hostile;
mod import;
mod kinds;
mod layout;
mod marks;
mod memory;
mod netlink;
mod nonsense;
mod options;
mod passage;
mod programs;
mod recordings;
mod refusals;
mod safe;
mod samples;
mod sets;
mod soak;
mod tables;
mod tc;
mod terminal;
mod testbed;
mod tos;
mod traffic;
