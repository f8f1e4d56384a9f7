//! A list of rules as a whole: what [`crate::analysis`] finds, said at the places of the policy.

use super::reached;
use crate::analysis::{Dim, List, Overlap, Reach, Rest, Rule as Abstract, Writes};
use crate::codes::{EQUAL_RULES, GROUP_OTHERS, OVERLAPPING_RULES, RULE_TOO_VARIED, UNREACHABLE_RULE};
use crate::diagnostic::{Diagnostic, Sink};
use crate::kind::action::skbedit::Skbedit;
use crate::kind::action::{Act, Actions, Control};
use crate::policy::model::{Policy, Rule};
use crate::source::Span;
use crate::syntax::expression::{Field, Item};

/// So many places of one finding are shown; the others are counted.
pub(super) const SHOWN: usize = 3;
/// So many pairs of overlapping rules are listed.
const PAIRS: usize = 50;
/// So many sorts of packets that no rule takes are listed.
const LEFT: usize = 24;

/// What a list of rules comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The interface, or the shared budget.
    pub interface: String,
    /// `egress`, `ingress`, `ingress shape`, or `shared`.
    pub side: &'static str,
    /// How many rules it has.
    pub rules: usize,
    /// What no rule takes, in words.
    pub left: Vec<String>,
    /// Whether that is all of it; otherwise examples.
    pub whole: bool,
    /// Where that goes.
    pub goes: String,
}

/// Rules that earlier ones leave no packet for.
pub(super) fn unreachable(rules: &[Rule], sink: &mut Sink) {
    let mut list = List::new(&abstracted(rules));
    for (i, rule) in rules.iter().enumerate() {
        if let Reach::Taken { by, equal } = list.reach(i) {
            let by: Vec<&Rule> = by.iter().filter_map(|at| rules.get(*at)).collect();
            sink.push(shadowed(rule, &by, equal));
        }
    }
}

/// The first match of a control group: it takes what every group with a number has sent, to the class of that number
/// (`cls_cgroup_classify` in net/sched/cls_cgroup.c).
pub(super) fn groups(rules: &[Rule], sink: &mut Sink) {
    let mut first = None;
    for expression in rules.iter().filter_map(|rule| rule.matches.as_ref()) {
        expression.value.visit(&mut |test| {
            if test.field == Field::Cgroup && first.is_none() {
                first = Some((if test.span.is_none() { expression.span } else { test.span }, test));
            }
        });
    }
    let Some((at, test)) = first else { return };
    let message = "`cgroup` takes what every control group with a number has sent, not this one's alone";
    let d = Diagnostic::new(&GROUP_OTHERS, message);
    let d = d.at(at, "others' goes to the class of their own number, and no later rule is asked");
    let number = test.items.iter().find_map(|item| if let Item::Number(n) = item { Some(*n) } else { None });
    sink.push(d.help(format!(
        "accept it if only groups that have a class here are given numbers; or match a mark: `nft add rule inet shape \
         output meta cgroup 0x{:x} meta mark set 5`",
        number.unwrap_or_default()
    )));
}

fn shadowed(rule: &Rule, by: &[&Rule], equal: bool) -> Diagnostic {
    let none = Diagnostic::new(&UNREACHABLE_RULE, "no packet can reach this rule");
    match by {
        [] => none,
        [one] if equal => {
            let (message, help) = if does_the_same(rule, one) {
                ("this rule says again what an earlier one says", "take one of them out")
            } else {
                (
                    "this rule matches the same packets as an earlier one, which decides about them",
                    "take one of them out, or let them match different packets",
                )
            };
            let d = Diagnostic::new(&EQUAL_RULES, message);
            d.at(matched(rule), "this one").at(matched(one), "the earlier one").help(help)
        }
        [one] => {
            let message = match &one.matches {
                None => "no packet can reach this rule: an earlier one takes them all",
                Some(_) => "no packet can reach this rule: an earlier one takes all of its packets",
            };
            let d = Diagnostic::new(&UNREACHABLE_RULE, message);
            let d = d.at(matched(rule), "this one").at(matched(one), "the earlier one");
            d.help("put the narrower rule first, or take one of them out")
        }
        several => {
            let message = format!(
                "no packet can reach this rule: {} earlier ones together take all of its packets",
                several.len()
            );
            let d = Diagnostic::new(&UNREACHABLE_RULE, message).at(matched(rule), "this one");
            let d = several.iter().take(SHOWN).enumerate().fold(d, |d, (i, earlier)| {
                let more = several.len().saturating_sub(SHOWN);
                let text = if i + 1 == SHOWN && more > 0 {
                    format!("a part of it, and {more} more")
                } else {
                    "a part of it".to_owned()
                };
                d.at(matched(earlier), text)
            });
            d.help("put this rule before them, or take it out")
        }
    }
}

/// Whether two rules do the same to a packet.
fn does_the_same(a: &Rule, b: &Rule) -> bool {
    a.class.as_ref().map(|c| &c.value) == b.class.as_ref().map(|c| &c.value) && a.actions == b.actions
}

fn matched(rule: &Rule) -> Span {
    rule.matches.as_ref().map_or(rule.span, |m| m.span)
}

fn abstracted(rules: &[Rule]) -> Vec<Abstract<'_>> {
    rules.iter().map(abstract_rule).collect()
}

fn abstract_rule(rule: &Rule) -> Abstract<'_> {
    Abstract {
        matches: rule.matches.as_ref().map(|m| &m.value),
        ends: ends(&rule.actions),
        writes: writes(&rule.actions),
    }
}

/// Whether no later rule is asked after these actions.
fn ends(actions: &Actions) -> bool {
    let goes_on = |c: Control| !matches!(c, Control::PASS | Control::DROP | Control::PIPE | Control::STOLEN);
    !actions.0.iter().any(|act| {
        let words = ["control", "exceed", "conform"];
        words.into_iter().any(|word| act.options.value::<Control>(word).is_some_and(goes_on))
    })
}

/// What actions change about a packet that a match could see.
fn writes(actions: &Actions) -> Writes {
    let mut dims = Vec::new();
    for act in &actions.0 {
        match written(act) {
            Some(more) => dims.extend(more),
            None => return Writes::Anything,
        }
    }
    Writes::Only(dims)
}

fn written(act: &Act) -> Option<Vec<Dim>> {
    const MARK: Dim = Dim::Mark(u32::MAX);
    match act.name.as_str() {
        "gact" | "police" | "mirred" | "sample" | "simple" | "gate" | "csum" => Some(Vec::new()),
        "connmark" => Some(vec![MARK]),
        "ctinfo" => Some(vec![MARK, Dim::Tos]),
        "skbedit" => {
            let edit = act.options.as_kind::<Skbedit>()?;
            let mark = edit.mark.is_some().then_some(MARK);
            let priority = (edit.priority.is_some() || edit.inheritdsfield.is_some()).then_some(Dim::Priority);
            Some(mark.into_iter().chain(priority).collect())
        }
        _ => None,
    }
}

/// What the lists of a policy come to. Overlaps, and rules that were too varied to be judged, are found beside it.
pub fn summaries(policy: &Policy, sink: &mut Sink) -> Vec<Summary> {
    let mut out = Vec::new();
    for interface in &policy.interfaces {
        let name = interface.name.value.to_string();
        if let Some(egress) = &interface.egress {
            out.extend(summary(&name, "egress", &egress.rules, || reached::rest(egress), sink));
        }
        if let Some(ingress) = &interface.ingress {
            let goes = || reached::rest_of_arriving(ingress);
            out.extend(summary(&name, "ingress", &ingress.rules, goes, sink));
            if let Some(shape) = &ingress.shape {
                out.extend(summary(&name, "ingress shape", &shape.value.rules, || reached::rest(&shape.value), sink));
            }
        }
    }
    for shared in &policy.shared {
        let goes = || reached::rest(&shared.direction);
        out.extend(summary(&shared.name.value, "shared", &shared.direction.rules, goes, sink));
    }
    out
}

fn summary(
    interface: &str,
    side: &'static str,
    rules: &[Rule],
    goes: impl FnOnce() -> String,
    sink: &mut Sink,
) -> Option<Summary> {
    if rules.is_empty() {
        return None;
    }
    let mut list = List::new(&abstracted(rules));
    for (i, rule) in rules.iter().enumerate() {
        if list.reach(i) == Reach::Unknown {
            let d = Diagnostic::new(&RULE_TOO_VARIED, "this rule is too varied to tell whether a packet reaches it");
            sink.push(d.at(matched(rule), "").help("part it into several rules"));
        }
    }
    let differ = |a: usize, b: usize| match (rules.get(a), rules.get(b)) {
        (Some(a), Some(b)) => !does_the_same(a, b),
        _ => false,
    };
    let (pairs, all) = list.overlaps(&differ, PAIRS);
    for (i, Overlap { first, second }) in pairs.iter().enumerate() {
        let (Some(first), Some(second)) = (rules.get(*first), rules.get(*second)) else { continue };
        let more = if i + 1 == pairs.len() && !all { "; more pairs of this list overlap" } else { "" };
        let message = format!("two rules share packets, and the first of them has these{more}");
        let d = Diagnostic::new(&OVERLAPPING_RULES, message);
        let d = d.at(matched(second), "only what is left comes here").at(matched(first), "asked first");
        sink.push(d.help("if the other one is meant for them, put it first"));
    }
    let Rest { cells, whole } = list.rest(LEFT);
    let left = list.words().lines(&cells);
    Some(Summary { interface: interface.to_owned(), side, rules: rules.len(), left, whole, goes: goes() })
}
