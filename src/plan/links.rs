//! The links' own settings, and the devices that shapectl makes and takes away.

use super::{Difference, LinkChange, Step, Subject, Verb};
use crate::tree::{Link, OWN_ALIAS, Tree};
use compact_str::CompactString;

fn step(interface: &str, verb: Verb, change: LinkChange) -> Step {
    Step { interface: interface.into(), verb, subject: Subject::Link(change), differences: Vec::new(), remark: None }
}

/// Brings a link to what is asked of it.
pub(super) fn settle(name: &CompactString, asked: &Link, held: Option<&Link>, steps: &mut Vec<Step>) {
    let new = asked.kind.as_ref().filter(|_| held.is_none());
    if let Some(kind) = new {
        steps.push(step(name, Verb::Add, LinkChange::Create(kind.clone())));
    }
    let held_alias = held.and_then(|l| l.alias.clone());
    if asked.alias.is_some() && asked.alias != held_alias {
        let alias = asked.alias.clone().unwrap_or_default();
        let mut s = step(name, Verb::Change, LinkChange::Alias(alias.clone()));
        s.differences.push(Difference { word: "alias", held: held_alias.map(Into::into), asked: Some(alias.into()) });
        steps.push(s);
    }
    let held_length = held.and_then(|l| l.txqueuelen);
    if let Some(length) = asked.txqueuelen.filter(|n| Some(*n) != held_length) {
        let mut s = step(name, Verb::Change, LinkChange::TxQueueLen(length));
        let held = held_length.map(|n| n.to_string());
        s.differences.push(Difference { word: "txqueuelen", held, asked: Some(length.to_string()) });
        steps.push(s);
    }
    if asked.up == Some(true) && held.and_then(|l| l.up) != Some(true) {
        let mut s = step(name, Verb::Change, LinkChange::Up);
        s.differences.push(Difference { word: "up", held: held.map(|_| "no".into()), asked: Some("yes".into()) });
        steps.push(s);
    }
}

/// Takes away devices that carry our alias, serve an interface of this policy (or one that is gone) and are not asked for.
pub(super) fn remove_unasked(asked: &Tree, held: &Tree, steps: &mut Vec<Step>) {
    for (name, interface) in &held.interfaces {
        let Some(serves) = interface.link.alias.as_deref().and_then(|a| a.strip_prefix(OWN_ALIAS)) else { continue };
        let ours =
            asked.interfaces.get(serves).is_some_and(|i| i.ingress.is_some()) || !held.interfaces.contains_key(serves);
        if ours && !asked.interfaces.contains_key(name) {
            let kind = interface.link.kind.clone().unwrap_or_else(|| "ifb".into());
            steps.push(step(name, Verb::Delete, LinkChange::Remove(kind)));
        }
    }
}
