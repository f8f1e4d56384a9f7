//! Asked against held: what must be done, as a value. Dry run, difference and apply are three readers of the same plan.

use crate::tree::Object;
use compact_str::CompactString;

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It is not there and is made.
    Add,
    /// It is there and some of its options change in place; queues and counters stay.
    Change,
    /// It is there and another takes its place: its queue is lost.
    Replace,
    /// It goes.
    Delete,
}

/// One option that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The option's word.
    pub word: &'static str,
    /// The kernel's value; `None` if it is not set there.
    pub held: Option<String>,
    /// The policy's value; `None` if it is not set there.
    pub asked: Option<String>,
}

/// A setting of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkChange {
    /// Make a device of that kind.
    Create(CompactString),
    /// Take the device away.
    Remove(CompactString),
    /// Set the alias.
    Alias(CompactString),
    /// Bring it up.
    Up,
    /// Set the length of its default fifo, in packets.
    TxQueueLen(u32),
}

/// What a step works on.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A tc object. On a change it holds all options to send.
    Object(Object),
    /// The link itself.
    Link(LinkChange),
}

/// One thing to do.
#[derive(Clone, Debug)]
pub struct Step {
    /// The interface.
    pub interface: CompactString,
    /// What is done.
    pub verb: Verb,
    /// What it is done to.
    pub subject: Subject,
    /// What differs, on a change or replace.
    pub differences: Vec<Difference>,
    /// What it costs or why it is, if that is not plain: a queue that is lost, a default that cannot be changed in place.
    pub remark: Option<String>,
}

/// What must be done, in order.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}
