//! Asked against held: what must be done, as a value. Dry run, difference and apply are three readers of the same plan.

mod actions;
mod branch;
mod links;
mod moves;
mod purge;

pub use actions::{Number, Shared, born_otherwise, differences, shared};
pub use purge::purged;

pub use links::is_made;

use crate::facts::Facts;
use crate::kind::Drops;
use crate::kind::action::Act;
use crate::source::Span;
use crate::tree::{Object, Tree};
use crate::unit::Handle;
use compact_str::CompactString;
use std::collections::BTreeSet;

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
    /// An action that filters share by its number, and the policy's place that wants it so.
    Action(Box<Act>, Option<Span>),
    /// The link itself, and the policy's place that wants it so.
    Link(LinkChange, Option<Span>),
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
    /// Whether it takes away what no dump can bring back.
    pub for_good: bool,
    /// What it drops of what waits, on a change in place.
    pub drops: Option<Drops>,
}

impl Step {
    /// The policy's place that asks for it.
    pub fn span(&self) -> Option<Span> {
        match &self.subject {
            Subject::Object(object) => object.origin.span,
            Subject::Action(_, span) | Subject::Link(_, span) => *span,
        }
    }
}

/// What must be done, in order.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// Classes that cannot change in place, for whose sake their disciplines are made anew, by interface.
    pub stuck: BTreeSet<(CompactString, Handle)>,
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// Compares what is asked with what is held. The order of steps is the order in which the kernel can take them: devices
/// that are redirected to come first, and actions that filters share; in each branch what is new stands before rules point to it, and what goes, goes
/// after the last rule that pointed to it.
pub fn plan(asked: &Tree, held: &Tree, facts: &dyn Fn(&str) -> Facts) -> Plan {
    let asked = &*actions::agreed(asked);
    let mut steps = actions::settle(asked, held, facts);
    let mut stuck = BTreeSet::new();
    let held = &*actions::after(held, &steps);
    for (name, interface) in &asked.interfaces {
        let nothing = crate::tree::Interface::default();
        let there = held.interfaces.get(name);
        let held = there.unwrap_or(&nothing);
        let mut facts = facts(name);
        facts.txqueuelen = interface.link.txqueuelen.unwrap_or(facts.txqueuelen);
        links::settle(name, &interface.link, there.map(|i| &i.link), &mut steps);
        for (asked, held) in [(&interface.egress, &held.egress), (&interface.ingress, &held.ingress)] {
            if let Some(asked) = asked {
                let classes = branch::settle(name, asked, held.as_ref(), &facts, &mut steps);
                stuck.extend(classes.into_iter().map(|class| (name.clone(), class)));
            }
        }
    }
    links::remove_unasked(asked, held, facts, &mut steps);
    Plan { steps, stuck }
}

/// Whether an object that is asked, or that was sent, is what the kernel holds.
pub fn is_held(asked: &Object, held: &Object, facts: &Facts) -> bool {
    asked.name == held.name && branch::compare(asked, held, facts).is_same()
}

/// The priorities of filters on an interface's ingress hook that are somebody else's and stay.
pub fn foreign_filters(held: &crate::tree::Interface) -> std::collections::BTreeSet<u16> {
    branch::foreign_prios(held.ingress.as_ref())
}

/// The hash tables of u32 on an interface's ingress hook that are somebody else's and stay. Both sides of a clsact number
/// theirs together.
pub fn foreign_tables(held: &crate::tree::Interface) -> std::collections::BTreeSet<u16> {
    branch::foreign_tables(held.ingress.as_ref())
}

/// The plan that makes all of a tree where nothing is.
pub fn from_nothing(asked: &Tree, facts: &dyn Fn(&str) -> Facts) -> Plan {
    plan(asked, &Tree::default(), facts)
}
