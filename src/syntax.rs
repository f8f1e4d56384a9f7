//! Text to [`document::Document`] and back: the two notations, and the expressions inside rules.
//!
//! # How the DSL maps onto a document
//!
//! | DSL | document |
//! |---|---|
//! | `shapectl 1` | `shapectl: 1` |
//! | `let up = 2mbit` | `let: { up: 2mbit }` |
//! | `set office = { 192.0.2.0/24, 198.51.100.7 }` | `sets: { office: [192.0.2.0/24, 198.51.100.7] }` |
//! | `set office file office.txt` | `sets: { office: { file: office.txt } }` |
//! | `include "a.shape"` | `include: [a.shape]` |
//! | `profile gold rate 1mbit { … }` | `profiles: { gold: { rate: 1mbit, … } }` |
//! | `interface eth0 { … }` | `interfaces: { eth0: { … } }` |
//! | `link rate 2mbit overhead 18` | `link: { rate: 2mbit, overhead: 18 }` |
//! | `egress fq_codel` | `egress: fq_codel` (a bare kind stays a word wherever a discipline may stand) |
//! | `egress tbf rate 1mbit` | `egress: { tbf: { rate: 1mbit } }` |
//! | `egress { htb r2q 1 { … } rule … }` | `egress: { htb: { r2q: 1, … }, rules: [ … ] }` |
//! | `ingress police rate 1mbit` | `ingress: { police: { rate: 1mbit } }` |
//! | `ingress shape htb …`, `ingress { shape { htb … rule … } }` | `ingress: { shape: { htb: { … }, rules: [ … ] } }` |
//! | in a discipline or class: `class ssh rate 1mbit { … }` | `classes: { ssh: { rate: 1mbit, … } }` |
//! | in a class or discipline: `sfq perturb 10s` or `leaf sfq perturb 10s` | `leaf: { sfq: { perturb: 10s } }` |
//! | in a discipline: `leaf high pfifo limit 50` (the first word is no kind) | `leaves: { high: { pfifo: { limit: 50 } } }` |
//! | in a class: `match tcp dport 22` | `match: "tcp dport 22"` (raw text up to the statement's end) |
//! | an option with a list: `bands [high, medium, low]` | `bands: [high, medium, low]` |
//! | an option with a block: `tos { minimize-delay high; … }` | `tos: { minimize-delay: high, … }` |
//! | a flag: `ecn`, `ecn no` | `ecn: yes`, `ecn: no` |
//! | `accept ceil-below-rate` | `accept: [ceil-below-rate]` |
//! | `filter u32 prio 10 match "ip dport 22 0xffff" flowid ssh` | an item of `filters`: `{ u32: { prio: 10, match: …, flowid: ssh } }` |
//! | `block 5 { filter … }` | `blocks: { 5: { filters: [ … ] } }` |
//! | `ingress { hook clsact; filter … }` | `ingress: { hook: clsact, filters: [ … ] }` |
//! | `rule class ssh if EXPR` | an item of `rules`: `{ class: ssh, match: EXPR }` |
//! | `rule drop if EXPR` | `{ do: drop, match: EXPR }` |
//! | `rule do police rate 1mbit if EXPR` | `{ do: { police: { rate: 1mbit } }, match: EXPR }` |
//! | `rule class ssh do mark 5 then priority 2 if EXPR` | `{ class: ssh, do: [{ mark: 5 }, { priority: 2 }], match: EXPR }` |
//! | `rule do redirect to ifb0` | `{ do: { redirect: ifb0 } }` (the word `to` is noise) |
//!
//! Words the DSL cannot class by position alone (is `ecn` a flag or does it take a value?) are asked of a
//! [`Vocabulary`], which the kinds fill; so a new kind needs no change here.

pub mod document;
pub mod expression;
pub mod expression_parser;
pub mod lexis;
pub mod list;
pub mod names;
pub mod services;
pub mod shape;
pub mod write;
pub mod yaml;

/// How much of what follows an option belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Nothing, or one of `yes no on off true false`.
    Flag,
    /// One value: a word, a list or a block.
    Value,
    /// Pairs of options of its own (an action such as `police`).
    Options,
}

/// What the DSL reader must know of the trade's words.
pub trait Vocabulary {
    /// Whether the word names a queueing discipline.
    fn is_discipline(&self, word: &str) -> bool;
    /// How much the action of that name takes; `None` if there is no such action.
    fn action(&self, word: &str) -> Option<Arity>;
    /// Whether `word` is a flag among the options of `owner`: a discipline's or action's name, or `"htb class"` for the
    /// classes of a discipline, `"u32 filter"`, or `"link"`. Unknown words are not flags.
    fn is_flag(&self, owner: &str, word: &str) -> bool;
}

/// Bounds on what is read; each has its own code when passed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one file.
    pub file_bytes: usize,
    /// Levels of nesting in either notation.
    pub depth: usize,
    /// Values in a document, aliases expanded.
    pub nodes: usize,
    /// Files included, all together.
    pub includes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { file_bytes: 10 << 20, depth: 64, nodes: 8_000_000, includes: 256 }
    }
}
