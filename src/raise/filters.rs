//! Filters as entries, in an order in which the kernel numbers alike.

use super::{Grove, Raising, block, entry, rows, word};
use crate::kind::Options;
use crate::kind::action::{Act, Actions};
use crate::kind::filter::flower::Flower;
use crate::kind::filter::u32::{Node as Place, ROOTS, U32};
use crate::kind::raw::{self, Raw};
use crate::lower;
use crate::source::Span;
use crate::syntax::document::{Entry, Node, Value};
use crate::tree::{Branch, Id, Object};
use crate::unit::{Flag, Handle, Number, Protocol, Slot, Unit};
use compact_str::ToCompactString;
use indexmap::IndexMap;
use std::collections::{HashMap, HashSet};

/// `ETH_P_ALL`.
const ALL: u16 = 3;
/// Kinds that put a new filter of a priority before the older ones, which a dump shows in the order of asking
/// (net/sched/cls_basic.c, cls_bpf.c).
const NEWEST_FIRST: [&str; 2] = ["basic", "bpf"];

/// A filter's place.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Prio {
    parent: Handle,
    chain: u32,
    prio: u16,
}

fn prio(object: &Object) -> Option<Prio> {
    match object.id {
        Id::Filter { parent, chain, prio, .. } => Some(Prio { parent, chain, prio }),
        _ => None,
    }
}

/// Kind and number of an action, if it has one.
pub fn shared_number(act: &Act) -> Option<(String, u64)> {
    let index: Number = act.options.value("index")?;
    Some((act.name.to_string(), u64::from(index.0)))
}

fn actions_of(object: &Object) -> impl Iterator<Item = &Actions> {
    let options = object.options.as_ref();
    let slots = (0..options.rows().len()).filter_map(|i| options.slot(i));
    slots.filter_map(|slot| slot.as_any().downcast_ref::<Option<Actions>>()?.as_ref())
}

/// The table of a u32 filter, or that it is.
fn table(object: &Object) -> Option<(u32, bool)> {
    let Id::Filter { handle, .. } = object.id else { return None };
    let own = object.options.as_kind::<U32>()?.is_table();
    Some((Place(handle).table(), own))
}

impl Raising<'_> {
    /// The filters of a branch with their comments; `own` is what they hang on where nothing is written.
    pub(super) fn filters(&mut self, grove: &Grove, branch: &Branch, own: Handle) -> Vec<(Node, Option<String>)> {
        let filters: Vec<&Object> = branch.objects.iter().filter(|o| matches!(o.id, Id::Filter { .. })).collect();
        let ordered = in_order(&filters, branch, self.held);
        let shared = shared(&ordered);
        let tables: HashSet<(Handle, u32)> = ordered
            .iter()
            .filter_map(|o| table(o).filter(|(_, own)| *own).map(|(table, _)| (o.id.parent(), table)))
            .collect();
        // of each, the first number that a filter gets by itself, and those that there are
        let mut rows: HashMap<(Prio, u32), (u32, Vec<u32>)> = HashMap::new();
        for object in &ordered {
            if let Some((row, number)) = number(object, &tables) {
                rows.entry(row).or_insert_with(|| (lower::first(&object.name), Vec::new())).1.push(number);
            }
        }
        // numbers are left out where they are those that come by themselves
        rows.retain(|_, (first, numbers)| numbers.iter().copied().eq((*first..).take(numbers.len())));
        let usual = |object: &Object| number(object, &tables).is_some_and(|(row, _)| rows.contains_key(&row));
        let mut raised = Vec::new();
        for object in &ordered {
            let mut worded = (*object).clone();
            if worded.options.reword(self.facts).is_err() {
                continue; // what has no words is lost, and that is said
            }
            let node = self.filter(grove, &worded, own, usual(object), &tables, &shared);
            raised.extend(node.map(|node| (node, object.origin.remark.clone())));
        }
        raised
    }

    fn filter(
        &mut self,
        grove: &Grove,
        object: &Object,
        own: Handle,
        usual: bool,
        tables: &HashSet<(Handle, u32)>,
        shared: &HashSet<(String, u64)>,
    ) -> Option<Node> {
        let Id::Filter { parent, chain, prio, protocol, handle } = object.id else { return None };
        let mut entries = Vec::new();
        if parent != own {
            let at = match parent {
                Handle::HOOK_EGRESS => "egress".into(),
                Handle::HOOK | Handle::HOOK_INGRESS => "ingress".into(),
                _ => grove.named.path(parent).unwrap_or_else(|| parent.to_compact_string()),
            };
            entries.push(entry("at", word(at)));
        }
        if chain != 0 {
            entries.push(entry("chain", word(chain.to_compact_string())));
        }
        let template = object.template;
        entries.push(match template {
            true => entry("template", word("yes")),
            false => entry("prio", word(prio.to_compact_string())),
        });
        // the kernel says a template's protocol among its keys only
        let told = object.options.as_kind::<Flower>().and_then(|flower| flower.eth_type);
        let protocol = if template { told.map_or(ALL, |told| told.0) } else { protocol };
        if protocol != ALL {
            entries.push(entry("protocol", word(Protocol(protocol).show())));
        }
        let place = object.options.as_kind::<U32>().map(|_| Place(handle));
        let own_table = place.filter(|p| p.node() != 0 && tables.contains(&(parent, p.table())));
        let choose = |options: &mut dyn Options| {
            if let Some(flower) = options.as_kind_mut::<Flower>().filter(|f| f.eth_type.is_none()) {
                flower.for_protocol(protocol);
            }
            options.complete(self.facts);
        };
        let mut written = match object.options.as_kind::<Raw>() {
            Some(raw) => Box::new(raw.named(&object.name)),
            None => rows::needed(object.options.as_ref(), &choose, self.facts),
        };
        if let Some(u32) = written.as_kind_mut::<U32>() {
            u32.ht = own_table.map(|p| Place(p.0 & 0xffff_f000));
        }
        let usual = match written.number(0, self.facts) {
            0 => usual,
            told => told == handle,
        };
        if !usual && !template {
            let text = match (place, own_table) {
                (Some(place), Some(_)) => Place::new(0, 0, place.node()).show(),
                (Some(place), None) if place.node() != 0 => Place::new(0, 0, place.node()).show(),
                (Some(place), None) => place.show(),
                (None, _) if handle < 10 => handle.to_string(),
                (None, _) => format!("{handle:#x}"),
            };
            entries.push(entry("handle", word(text)));
        }
        entries.extend(object.estimator.map(super::estimator));
        let written = written.as_ref();
        let flowid: Option<Handle> = written.value("flowid");
        let actions: Vec<_> = actions_of(object).collect();
        for (i, row) in written.rows().iter().enumerate() {
            let Some(slot) = written.slot(i).filter(|s| Slot::is_set(*s)) else { continue };
            let is_actions = slot.as_any().is::<Option<Actions>>();
            if row.word == "flowid"
                && let Some(class) = flowid
            {
                let name = grove.named.path(class).unwrap_or_else(|| class.to_compact_string());
                entries.push(entry(row.word, word(name)));
            } else if is_actions {
                let on = |word: &&str| written.value(word) == Some(Flag(true));
                let inherited: Vec<&str> = ["skip_hw", "skip_sw"].into_iter().filter(on).collect();
                let node = actions.first().and_then(|a| self.actions(a, shared, &inherited));
                entries.extend(node.map(|node| entry(row.word, node)));
            } else {
                entries.extend(self.row(written, i));
            }
        }
        let kind = object.kind.unwrap_or(&raw::FILTER);
        Some(block(vec![entry(kind.name, block_or_null(entries))]))
    }

    fn row(&mut self, options: &dyn Options, i: usize) -> Option<Entry> {
        let word = options.rows().get(i)?.word;
        self.rows(options, &|other| other != word).into_iter().next()
    }
}

fn block_or_null(entries: Vec<Entry>) -> Node {
    if entries.is_empty() { Node { span: Span::NONE, value: Value::Null } } else { block(entries) }
}

/// Where a filter counts on, and its own number there, as [`lower`] has it.
fn number(object: &Object, tables: &HashSet<(Handle, u32)>) -> Option<((Prio, u32), u32)> {
    let Id::Filter { parent, handle, .. } = object.id else { return None };
    let prio = prio(object)?;
    let Some((table, own)) = table(object) else { return Some(((prio, 0), handle)) };
    let place = Place(handle);
    let bucket = if tables.contains(&(parent, table)) { handle & 0xffff_f000 } else { 0 };
    // a table has always a number
    (!own).then(|| ((prio, bucket), place.node()))
}

/// Numbers of actions that several filters have.
fn shared(filters: &[&Object]) -> HashSet<(String, u64)> {
    let mut seen = HashSet::new();
    let acts = filters.iter().flat_map(|o| actions_of(o)).flat_map(|actions| &actions.0);
    acts.filter_map(shared_number).filter(|number| !seen.insert(number.clone())).collect()
}

/// The filters as they can be made: priorities whose tables u32 numbered first stand first, tables before what leads to
/// them and what is in them, and of kinds that put the newest first the oldest first.
fn in_order<'o>(filters: &[&'o Object], branch: &Branch, held: bool) -> Vec<&'o Object> {
    let made = |r: &crate::tree::Root| Prio { parent: r.parent, chain: r.chain, prio: r.prio };
    let ranks: HashMap<Prio, usize> = branch.roots.iter().map(made).zip(0..).collect();
    let mut groups: IndexMap<Prio, Vec<&Object>> = IndexMap::new();
    for object in filters {
        if let Some(prio) = prio(object) {
            groups.entry(prio).or_default().push(object);
        }
    }
    // those that u32 did not number keep their places; the others are dealt out among theirs
    let mut ranked: Vec<(usize, (Prio, Vec<&Object>))> = Vec::new();
    let mut places: Vec<usize> = Vec::new();
    let mut slots: Vec<Option<(Prio, Vec<&Object>)>> = Vec::with_capacity(groups.len());
    for (i, group) in groups.into_iter().enumerate() {
        match ranks.get(&group.0) {
            Some(rank) => {
                ranked.push((*rank, group));
                places.push(i);
                slots.push(None);
            }
            None => slots.push(Some(group)),
        }
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    for (place, (_, group)) in places.into_iter().zip(ranked) {
        if let Some(slot) = slots.get_mut(place) {
            *slot = Some(group);
        }
    }
    let mut out: Vec<&Object> = Vec::with_capacity(filters.len());
    let mut late: Vec<&Object> = Vec::new();
    let mut there: HashSet<(Handle, u32)> = HashSet::new();
    for (prio, mut group) in slots.into_iter().flatten() {
        if held && group.first().is_some_and(|o| NEWEST_FIRST.contains(&o.name.as_str())) {
            group.reverse();
        }
        if held {
            // of its tables u32 shows the newest first
            let tables = group.iter().take_while(|o| table(o).is_some_and(|(_, own)| own)).count();
            group.get_mut(..tables).into_iter().for_each(<[_]>::reverse);
        }
        for object in group {
            if let Some((table, true)) = table(object) {
                there.insert((prio.parent, table));
            }
            let leads = object.options.as_kind::<U32>().and_then(|o| o.link).map(Place::table);
            let waits = leads.is_some_and(|t| t < ROOTS && !there.contains(&(prio.parent, t)));
            if waits { late.push(object) } else { out.push(object) }
        }
    }
    out.append(&mut late);
    out
}
