//! The links' own settings, and the devices that shapectl makes and takes away.

use super::{Difference, LinkChange, Step, Subject, Verb};
use crate::facts::Facts;
use crate::source::Span;
use crate::tree::{Link, OWN_ALIAS, OWN_PREFIX, SERVED, Tree};
use compact_str::{CompactString, format_compact};

fn step(interface: &str, verb: Verb, change: LinkChange, span: Option<Span>) -> Step {
    Step {
        interface: interface.into(),
        verb,
        subject: Subject::Link(change, span),
        differences: Vec::new(),
        remark: None,
        for_good: false,
        drops: None,
    }
}

/// Whether a device that is asked for is of shapectl's making: it is not there yet, or carries our alias, or has a name that
/// only the compiler gives and no alias yet, because a run was cut short. Another that stands under the name is somebody's: it
/// is used, and stays when the policy goes.
pub fn is_made(name: &str, asked: &Link, held: Option<&Link>) -> bool {
    asked.kind.is_some() && held.is_none_or(|held| held.serves().is_some() || name.starts_with(OWN_PREFIX))
}

/// Brings a link to what is asked of it.
pub(super) fn settle(name: &CompactString, asked: &Link, held: Option<&Link>, steps: &mut Vec<Step>) {
    let span = asked.origin.span;
    let new = asked.kind.as_ref().filter(|_| held.is_none());
    if let Some(kind) = new {
        steps.push(step(name, Verb::Add, LinkChange::Create(kind.clone()), span));
    }
    let held_alias = held.and_then(|l| l.alias.clone());
    if asked.alias.is_some() && asked.alias != held_alias && is_made(name, asked, held) {
        let alias = asked.alias.clone().unwrap_or_default();
        let mut s = step(name, Verb::Change, LinkChange::Alias(alias.clone()), span);
        s.differences.push(Difference { word: "alias", held: held_alias.map(Into::into), asked: Some(alias.into()) });
        steps.push(s);
    }
    let held_length = held.and_then(|l| l.txqueuelen);
    if let Some(length) = asked.txqueuelen.filter(|n| Some(*n) != held_length) {
        let mut s = step(name, Verb::Change, LinkChange::TxQueueLen(length), span);
        let held = held_length.map(|n| n.to_string());
        s.differences.push(Difference { word: "txqueuelen", held, asked: Some(length.to_string()) });
        steps.push(s);
    }
    if asked.up == Some(true) && held.and_then(|l| l.up) != Some(true) {
        let mut s = step(name, Verb::Change, LinkChange::Up, span);
        s.differences.push(Difference { word: "up", held: held.map(|_| "no".into()), asked: Some("yes".into()) });
        steps.push(s);
    }
}

/// Takes away devices that carry our alias and are not asked for, if all that they serve are interfaces of this policy, or
/// gone from the machine. What is held may be a part of the machine, so `facts` are asked for the rest of its links.
pub(super) fn remove_unasked(asked: &Tree, held: &Tree, facts: &dyn Fn(&str) -> Facts, steps: &mut Vec<Step>) {
    for (name, interface) in held.interfaces.iter().filter(|(name, _)| !asked.interfaces.contains_key(*name)) {
        let Some(serves) = interface.link.serves() else { continue };
        let machine = facts(name);
        let free = |one: &str| match asked.interfaces.get(one) {
            Some(asked) => asked.ingress.is_some(),
            None => !held.interfaces.contains_key(one) && machine.links.names().all(|there| there != one),
        };
        let (freed, rest): (Vec<&str>, Vec<&str>) = serves.split(SERVED).partition(|one| free(one));
        let kind = interface.link.kind.clone().unwrap_or_else(|| "ifb".into());
        if rest.is_empty() {
            steps.push(step(name, Verb::Delete, LinkChange::Remove(kind), None));
        } else if !freed.is_empty() {
            // the last of them takes the device along
            let alias = Some(format_compact!("{OWN_ALIAS}{}", rest.join("/")));
            let link = Link { alias, kind: Some(kind), ..Link::default() };
            settle(name, &link, Some(&interface.link), steps);
        }
    }
}
