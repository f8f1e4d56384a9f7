//! Queues that a plan would throw away although their classes stay.
//!
//! A class may get another queue, or classes of its own, and the kernel drops what waits in the old queue then. Nothing is
//! lost where a class with another number takes its place: it stands with its new queue before the filters turn to it, and
//! the old one goes when it has sent what waited.

use super::{Plan, Subject, Verb};
use crate::kind::{Children, Drops};
use crate::tree::{Branch, Id, Object, Tree};
use crate::unit::Handle;
use compact_str::CompactString;
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use std::collections::BTreeSet;

/// The classes that a plan leaves standing and whose waiting packets it loses, by interface: those at or above the queue
/// that goes which could have another number, and those that cannot change in place, which lose all beside them too. Of a
/// band only the class that its discipline hangs on could.
pub fn purged(plan: &Plan, held: &Tree) -> BTreeSet<(CompactString, Handle)> {
    let mut standing: HashMap<&str, Option<Standing>> = HashMap::new();
    let mut found = BTreeSet::new();
    for step in &plan.steps {
        let Subject::Object(object) = &step.subject else { continue };
        let below = match (object.id, step.verb) {
            (Id::Qdisc { parent, .. }, Verb::Add | Verb::Replace | Verb::Delete) => parent,
            // what waits beyond a bound is meant to go
            (Id::Qdisc { parent, .. }, Verb::Change) if matches!(step.drops, Some(Drops::Queue | Drops::Bands)) => {
                parent
            }
            (Id::Class { parent, .. }, Verb::Add) => parent,
            _ => continue,
        };
        let of = || Some(Standing::of(held.interfaces.get(&step.interface)?.egress.as_ref()?));
        let Some(standing) = standing.entry(&step.interface).or_insert_with(of) else { continue };
        found.extend(standing.queue_above(below).map(|class| (step.interface.clone(), class)));
    }
    for step in plan.steps.iter().filter(|step| step.verb == Verb::Delete) {
        match &step.subject {
            Subject::Object(Object { id: Id::Class { handle, .. }, .. }) => {
                found.remove(&(step.interface.clone(), *handle));
            }
            // all goes with its root
            Subject::Object(Object { id: Id::Qdisc { parent: Handle::ROOT, .. }, .. }) => {
                found.retain(|(interface, _)| *interface != step.interface);
            }
            _ => {}
        }
    }
    found.extend(plan.stuck.iter().cloned());
    found
}

/// What stands below a root.
struct Standing {
    /// Classes that were made, which bands are not.
    made: HashSet<Handle>,
    /// Those that have classes.
    inner: HashSet<Handle>,
    /// What each discipline hangs on.
    above: HashMap<Handle, Handle>,
}

impl Standing {
    fn of(branch: &Branch) -> Standing {
        let mut standing = Standing { made: HashSet::new(), inner: HashSet::new(), above: HashMap::new() };
        for object in &branch.objects {
            match object.id {
                Id::Class { parent, handle } => {
                    if object.kind.is_some_and(|kind| kind.children == Children::Classes) {
                        standing.made.insert(handle);
                    }
                    standing.inner.insert(parent);
                }
                Id::Qdisc { parent, handle } => drop(standing.above.insert(handle, parent)),
                Id::Filter { .. } => {}
            }
        }
        standing
    }

    /// The class whose packets wait in the queue at or above a place.
    fn queue_above(&self, place: Handle) -> Option<Handle> {
        let mut at = place;
        while !self.made.contains(&at) {
            // no discipline hangs below itself, so this ends
            at = *self.above.get(&Handle::new(at.major(), 0)).filter(|_| at.minor() != 0)?;
        }
        (!self.inner.contains(&at)).then_some(at)
    }
}
