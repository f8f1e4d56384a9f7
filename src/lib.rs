//! shapectl: a traffic-control compiler for Linux.

pub mod analysis;
pub mod classify;
pub mod cli;
pub mod codes;
pub mod command;
pub mod diagnostic;
pub mod doctor;
pub mod explain;
pub mod facts;
pub mod fingerprint;
pub mod fuzz;
pub mod import;
pub mod kernel;
pub mod kind;
pub mod lower;
pub mod manual;
pub mod netlink;
pub mod packet;
pub mod plan;
pub mod policy;
pub mod raise;
pub mod schema;
pub mod script;
pub mod source;
pub mod state;
pub mod syntax;
pub mod tc;
pub mod tree;
pub mod unit;
pub mod view;

#[cfg(test)]
extern crate self as shapectl; // as the tests outside call it, with whom some helpers are shared
