//! Options as entries: those without which something else would come out.

use super::{Raising, block, entry, filters::shared_number, word};
use crate::facts::Facts;
use crate::kind::action::{Act, Actions, gact, mirred, police};
use crate::kind::raw::{self, Raw};
use crate::kind::{Options, Row, Wire};
use crate::source::Span;
use crate::syntax::document::{Entry, Node};
use crate::unit::{Octets, Schema, Slot, Unit};
use std::collections::HashSet;

/// The rows that must be written: left to itself, what `choose` (the compiler) and the kernel choose gives the rest.
pub fn needed(held: &dyn Options, choose: &dyn Fn(&mut dyn Options), facts: &Facts) -> Box<dyn Options> {
    let mut standing = held.boxed();
    standing.assume(facts);
    let mut written = held.boxed();
    let rows = held.rows();
    for (i, _) in rows.iter().enumerate().filter(|(_, row)| row.hidden && row.tool) {
        written.slot_mut(i).into_iter().for_each(Slot::clear);
    }
    let same = |written: &dyn Options| {
        let mut asked = written.boxed();
        choose(asked.as_mut());
        asked.assume(facts);
        let compared = rows.iter().enumerate().filter(|(_, row)| !row.tool);
        compared.into_iter().all(|(i, row)| {
            // what counts only where it is asked must be asked, but for the numbers that the kernel gives to actions
            let set = |options: &dyn Options| options.slot(i).is_some_and(Slot::is_set);
            let silent = row.word != "index" && set(standing.as_ref()) && !set(asked.as_ref());
            !silent && asked.same(standing.as_ref(), i, facts)
        })
    };
    // what only the compiler writes elsewhere first, then from the last row on: the first ones say the most
    let order = |hidden: bool| {
        let rows = rows.iter().enumerate().rev();
        rows.filter(move |(_, row)| row.hidden == hidden && row.word != "action").map(|(i, _)| i)
    };
    for i in order(true).chain(order(false)) {
        if written.slot(i).is_some_and(Slot::is_set) {
            let mut without = written.clone();
            without.slot_mut(i).into_iter().for_each(Slot::clear);
            if same(without.as_ref()) {
                written = without;
            }
        }
    }
    written
}

/// Kinds whose times are cut.
const CODEL: [&str; 2] = ["codel", "fq_codel"];

/// The kernel counts the times of codel in steps of 1,024 ns and cuts them twice (`CODEL_SHIFT`): what 5000 µs were comes
/// back as 4999. The roundest of what comes back so.
pub fn uncut(kind: &str, options: &mut dyn Options) {
    let cut = |us: u64| (((us * 1000) >> 10) << 10) / 1000;
    for (i, row) in options.rows().iter().enumerate().filter(|(_, row)| matches!(row.wire, Wire::Micros(_))) {
        let Some(slot) = options.slot_mut(i).filter(|_| CODEL.contains(&kind) && !row.tool) else { continue };
        let Some(us) = slot.number().map(|ns| ns / 1000) else { continue };
        let round = |us: &u64| (zeros(*us), std::cmp::Reverse(*us));
        if let Some(best) = (us.max(1)..us + 3).filter(|v| cut(*v) == us).max_by_key(round) {
            slot.set_number(best * 1000);
        }
    }
}

/// Zeros at the end of a number.
fn zeros(n: u64) -> usize {
    (1..20).take_while(|power| n != 0 && n.is_multiple_of(10_u64.pow(*power))).count()
}

/// A value as a node.
fn value(row: &Row, slot: &dyn Slot) -> Option<Node> {
    let text = slot.show()?;
    let list = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    Some(match list.filter(|_| matches!(row.unit.schema, Schema::List(_) | Schema::Any)) {
        Some(items) => Node::list(items.split(',').map(str::trim).filter(|i| !i.is_empty()).map(word), Span::NONE),
        None => word(text),
    })
}

impl Raising<'_> {
    /// The rows that are set, but those that stand elsewhere.
    pub(super) fn rows(&mut self, options: &dyn Options, elsewhere: &dyn Fn(&str) -> bool) -> Vec<Entry> {
        let mut out = Vec::new();
        for (i, row) in options.rows().iter().enumerate().filter(|(_, row)| !elsewhere(row.word)) {
            let Some(slot) = options.slot(i) else { continue };
            let node = match slot.as_any().downcast_ref::<Option<Actions>>() {
                Some(actions) => actions.as_ref().and_then(|a| self.actions(a, &HashSet::new(), &[])),
                None => value(row, slot),
            };
            out.extend(node.map(|node| entry(row.word, node)));
        }
        out
    }

    /// A filter's actions; of those whose number others have too, the number as well. `inherited` are words that they have
    /// from the filter.
    pub(super) fn actions(
        &mut self,
        actions: &Actions,
        shared: &HashSet<(String, u64)>,
        inherited: &[&str],
    ) -> Option<Node> {
        let last = actions.0.len().saturating_sub(1);
        let acts: Vec<_> =
            actions.0.iter().enumerate().filter_map(|(i, act)| self.act(act, i == last, shared, inherited)).collect();
        match acts.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            _ => Some(Node::list(acts, Span::NONE)),
        }
    }

    fn act(&mut self, act: &Act, last: bool, shared: &HashSet<(String, u64)>, inherited: &[&str]) -> Option<Node> {
        let complete = |options: &mut dyn Options| options.complete(self.facts);
        let mut act = act.clone();
        act.forget_number();
        let act = &act;
        let mut written = match act.options.as_kind::<Raw>() {
            Some(raw) => Box::new(raw.named(&act.name)),
            None => needed(act.options.as_ref(), &complete, self.facts),
        };
        let mut keep = |word: &str| {
            let held = act.options.row(word).and_then(|row| Some((row, act.options.slot(row)?)));
            if let Some((row, held)) = held
                && let Some(slot) = written.slot_mut(row)
            {
                slot.copy_from(held);
            }
        };
        if shared_number(act).is_some_and(|number| shared.contains(&number)) {
            keep("index");
        }
        // a verdict is always said
        if act.name == gact::KIND.name {
            keep("control");
        }
        // before another action, what a policy is silent on is `pipe`
        if act.name == police::KIND.name && !last {
            keep("conform");
        }
        if !last && act.options.rows().iter().any(|row| row.word == "control" && row.default == Some("pass")) {
            keep("control");
        }
        let mut common = Vec::new();
        if let Some(cookie) = &act.cookie {
            common.push(entry("cookie", word(Octets::show(cookie))));
        }
        let own = act.words().into_iter().filter(|(key, _)| !inherited.contains(key));
        common.extend(own.map(|(key, value)| entry(key, word(value))));
        let options = written.as_ref();
        let set = options.rows().iter().enumerate().filter(|(i, _)| options.slot(*i).is_some_and(Slot::is_set));
        let set: Vec<(&str, String)> = set.filter_map(|(i, r)| Some((r.word, options.slot(i)?.show()?))).collect();
        if common.is_empty()
            && let Some(short) = short(act, &set)
        {
            return Some(short);
        }
        let mut entries = self.rows(options, &|_| false);
        entries.extend(common);
        let kind = act.kind.unwrap_or(&raw::ACTION);
        Some(block(vec![entry(kind.name, block(entries))]))
    }
}

/// The short form of an action of which these rows are to be written.
fn short(act: &Act, set: &[(&str, String)]) -> Option<Node> {
    let pair = |key: &str, value: &str| Some(block(vec![entry(key, word(value))]));
    if act.name == mirred::KIND.name {
        let only = set.iter().all(|(word, _)| ["direction", "mode", "dev"].contains(word));
        let egress = act.options.show("direction").is_some_and(|d| d == "egress");
        return pair(&act.options.show("mode")?, &act.options.show("dev")?).filter(|_| only && egress);
    }
    match (act.name.as_str(), set) {
        ("gact", [("control", control)]) => Some(word(control.as_str())),
        ("skbedit", [(key @ ("mark" | "priority"), value)]) => pair(key, value),
        _ => None,
    }
}
