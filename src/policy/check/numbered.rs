//! Actions that filters share by number (tc's `index`).

use crate::codes::SHARED_ACTION;
use crate::diagnostic::{Diagnostic, Sink};
use crate::facts::Facts;
use crate::kind::action::Act;
use crate::kind::acts;
use crate::policy::model::{Direction, Policy};
use crate::source::Span;
use compact_str::CompactString;
use foldhash::{HashMap, HashMapExt};

/// Two filters that say different things of one action: the kernel takes what the first one says, in silence.
pub(super) fn check(policy: &Policy, facts: &dyn Fn(&str) -> Facts, sink: &mut Sink) {
    let mut said: HashMap<(&CompactString, u32), (&Act, Span)> = HashMap::new();
    let facts = facts("");
    each(policy, &mut |act, span| {
        if let Some(number) = act.number().filter(|_| !act.is_shared()) {
            said.entry((&act.name, number)).or_insert((act, span));
        }
    });
    if said.is_empty() {
        return;
    }
    each(policy, &mut |act, span| {
        let Some(number) = act.number() else { return };
        let Some((first, at)) = said.get(&(&act.name, number)).copied() else { return };
        let settled = |act: &Act| {
            let mut act = act.clone();
            act.complete(&facts);
            act.assume(&facts);
            act
        };
        let (one, other) = (settled(first), settled(act));
        let same = |row| other.same_row(&one, row, &facts);
        if (0..one.options.rows().len()).all(same) && other.beside(&one).is_empty() {
            return;
        }
        let message = format!("`{}` with `index {number}` is one action, and two things are said of it", act.name);
        let d = Diagnostic::new(&SHARED_ACTION, message).at(span, "").at(at, "the kernel takes this");
        sink.push(d.help(format!("say it once, and `{}: {{ index: {number} }}` elsewhere", act.name)));
    });
}

/// Calls for each action of a policy, in the order in which the kernel gets to know them.
fn each<'p>(policy: &'p Policy, visit: &mut dyn FnMut(&'p Act, Span)) {
    let direction = |direction: &'p Direction, visit: &mut dyn FnMut(&'p Act, Span)| {
        for rule in &direction.rules {
            rule.actions.0.iter().for_each(|act| visit(act, rule.actions_span));
        }
        for filter in &direction.filters {
            acts(filter.options.as_ref()).for_each(|act| visit(act, filter.span));
        }
    };
    for interface in &policy.interfaces {
        if let Some(egress) = &interface.egress {
            direction(egress, visit);
        }
        let Some(ingress) = &interface.ingress else { continue };
        for rule in &ingress.rules {
            rule.actions.0.iter().for_each(|act| visit(act, rule.actions_span));
        }
        if let Some(police) = &ingress.police {
            police.value.0.iter().for_each(|act| visit(act, police.span));
        }
        for filter in &ingress.filters {
            acts(filter.options.as_ref()).for_each(|act| visit(act, filter.span));
        }
        if let Some(shape) = &ingress.shape {
            direction(&shape.value, visit);
        }
    }
    policy.shared.iter().for_each(|shared| direction(&shared.direction, visit));
    for filter in policy.blocks.iter().flat_map(|block| &block.filters) {
        acts(filter.options.as_ref()).for_each(|act| visit(act, filter.span));
    }
}
