//! Records as a tree.

use super::{BLOCK, Machine, Message, Record};
use crate::kind::Children;
use crate::tree::{Blocks, Branch, Id, Interface, Link, Object, Root, Tree, block_name};
use crate::unit::Handle;
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use std::collections::BTreeMap;

/// Below what a link's filters must be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterParents {
    /// Both hooks of a clsact, every qdisc that may have filters, and the classes with classes of those that keep filters for
    /// each class.
    pub asked: Vec<Handle>,
    /// The classes of these without classes. They have filters as well, but no packet ever asks them, so hardly any has some.
    pub bottom: Vec<Handle>,
}

/// Below what a link's filters must be asked for, given its qdiscs and classes.
pub fn filter_parents(records: &[Record]) -> FilterParents {
    let mut parents = FilterParents::default();
    let takes = |record: &Record| record.object.kind.is_none() || record.object.options.takes_filters();
    for record in records {
        match record.object.id {
            Id::Qdisc { parent: Handle::INGRESS, .. } if record.object.name == "clsact" => {
                let Blocks { ingress, egress } = record.object.blocks;
                let sides = [(Handle::HOOK_INGRESS, ingress), (Handle::HOOK_EGRESS, egress)];
                parents.asked.extend(sides.into_iter().filter(|(_, block)| *block == 0).map(|(side, _)| side));
            }
            // its filters are the block's
            Id::Qdisc { parent: Handle::INGRESS, .. } if record.object.blocks.ingress != 0 => {}
            Id::Qdisc { parent: Handle::INGRESS, handle } => parents.asked.push(handle),
            Id::Qdisc { handle, .. } if handle.0 != 0 && takes(record) => parents.asked.push(handle),
            _ => {}
        }
    }
    let classes = records.iter().filter_map(|record| match record.object.id {
        // a class of hfsc without a number is the qdisc
        Id::Class { parent, handle } if handle.minor() != 0 => Some((record, parent, handle)),
        _ => None,
    });
    let inner: HashSet<Handle> = classes.clone().map(|(_, parent, _)| parent).collect();
    for (_, _, handle) in classes.filter(|(record, ..)| takes(record)) {
        let list = if inner.contains(&handle) { &mut parents.asked } else { &mut parents.bottom };
        list.push(handle);
    }
    parents
}

/// The disciplines of a link that have classes which somebody made. Each is asked alone: the kernel ends a dump of all at a
/// netem without child or an sfb, and walks over every leaf for each piece of it.
pub fn with_classes(records: &[Record]) -> Vec<Handle> {
    let has_classes = |object: &Object| object.kind.is_none_or(|kind| kind.children == Children::Classes);
    let qdiscs = records.iter().filter(|record| record.object.is_qdisc() && has_classes(&record.object));
    qdiscs.filter_map(|qdisc| qdisc.object.handle()).filter(|handle| handle.0 != 0).collect()
}

/// Where filters of u32 stand.
type Place = (Handle, u32, u16);

/// What u32 keeps tables for: a discipline with all its classes, or a shared block (`tc_u_common_ptr`).
fn keeper(record: &Record) -> Handle {
    let parent = record.object.id.parent();
    if record.ifindex == BLOCK { parent } else { Handle::new(parent.major(), 0) }
}

/// The questions which table u32 made for a priority, where a dump leaves it open: `u32_walk` shows the tables of a priority
/// below every parent and in every chain of the discipline that has filters of this priority. The answers are records with
/// [`Record::root`].
pub fn unclear_roots(records: &[Record]) -> Vec<(Handle, Message)> {
    let mut places: BTreeMap<(Handle, u16), BTreeMap<Place, &Record>> = BTreeMap::new();
    for record in records.iter().filter(|r| r.object.name == "u32" && !r.chain) {
        if let Some(place) = record.object.place() {
            places.entry((keeper(record), place.2)).or_default().insert(place, record);
        }
    }
    let several = places.into_values().filter(|places| places.len() > 1).flatten();
    several.map(|(place, record)| (place.0, super::root_of(&record.object, record.ifindex))).collect()
}

/// Takes out what dumps show of u32 in places where it is not. Tables that somebody made belong to a priority and to none of
/// its places: they stay in the first.
fn without_repeats(records: Vec<Record>) -> Vec<Record> {
    let table = |object: &Object| match object.id {
        Id::Filter { handle, .. } if object.name == "u32" && handle != 0 => Some(handle >> 20),
        _ => None,
    };
    let mut own: HashMap<Place, u32> = HashMap::new();
    let mut roots: HashSet<(Handle, u32)> = HashSet::new();
    for record in records.iter().filter(|r| r.root) {
        own.extend(record.object.place().zip(table(&record.object)));
        roots.extend(table(&record.object).map(|table| (keeper(record), table)));
    }
    let mut first: HashMap<(Handle, u16, u32), Place> = HashMap::new();
    let mut stands = |record: &Record| {
        let (Some(place), Some(table)) = (record.object.place(), table(&record.object)) else { return true };
        match own.get(&place) {
            Some(root) if roots.contains(&(keeper(record), table)) => *root == table,
            Some(_) => *first.entry((keeper(record), place.2, table)).or_insert(place) == place,
            None => true,
        }
    };
    records.into_iter().filter(|record| !record.root && stands(record)).collect()
}

/// The held tree: every link of `machine` with both branches, the objects of each in an order in which they could be
/// made. Left out is what the kernel makes of itself and nobody can ask for: classes that stand for bands and flows, the
/// rows above filters, the root tables of u32. Objects of links that `machine` does not have are left out too. Filters of
/// shared blocks stand under the blocks' names ([`block_name`]).
pub fn tree(records: Vec<Record>, machine: &Machine) -> Tree {
    let mut by_link: HashMap<u32, Vec<Record>> = HashMap::new();
    for record in records {
        by_link.entry(record.ifindex).or_default().push(record);
    }
    let mut tree = Tree::default();
    for link in &machine.links {
        let (egress, ingress) = branches(by_link.remove(&link.index).unwrap_or_default());
        let interface = Interface { link: link.link(), egress: Some(egress), ingress: Some(ingress) };
        tree.interfaces.insert(link.name.clone(), interface);
    }
    let mut blocks: BTreeMap<u32, Vec<Record>> = BTreeMap::new();
    for record in by_link.remove(&BLOCK).unwrap_or_default() {
        blocks.entry(record.object.id.parent().0).or_default().push(record);
    }
    for (block, records) in blocks {
        let link = Link { index: Some(BLOCK), ..Link::default() };
        let interface = Interface { link, egress: Some(branches(records).0), ingress: None };
        tree.interfaces.insert(block_name(block), interface);
    }
    tree
}

/// The two branches of a link.
fn branches(records: Vec<Record>) -> (Branch, Branch) {
    let records = without_repeats(records);
    let (mut egress, mut ingress) = (Branch::default(), Branch::default());
    let (mut above, mut filters) = (Vec::new(), Vec::new());
    for record in records {
        match record.object.id {
            // of a chain only its template is anybody's: filters bring their chains along
            Id::Filter { .. } if record.chain && record.object.name.is_empty() => {}
            Id::Filter { .. } => filters.push(record),
            // handle 0 is never asked for
            Id::Qdisc { handle: Handle(0), .. } => egress.automatic.push(record.object),
            // a class without number is hfsc's qdisc once more
            Id::Class { handle, .. } if handle.minor() == 0 || is_automatic_class(&record.object) => {}
            _ => above.push(record.object),
        }
    }
    for object in ordered(above) {
        branch_of(&object, &mut egress, &mut ingress).objects.push(object);
    }
    let mut roots: Vec<Root> = filters.iter().filter_map(|record| root(&record.object)).collect();
    roots.sort_by_key(|root| root.table);
    (ingress.roots, egress.roots) = roots.into_iter().partition(|root| root.parent.is_hook());
    for object in ordered_filters(filters) {
        branch_of(&object, &mut egress, &mut ingress).objects.push(object);
    }
    (egress, ingress)
}

fn branch_of<'a>(object: &Object, egress: &'a mut Branch, ingress: &'a mut Branch) -> &'a mut Branch {
    if object.id.parent().is_hook() { ingress } else { egress }
}

/// Whether a class stands for a band or flow and cannot be made: its discipline brings it along. A class of a kind that no
/// file here knows is told by having no options.
fn is_automatic_class(object: &Object) -> bool {
    match object.kind {
        Some(kind) => kind.children != Children::Classes,
        None => !object.options.slot(0).is_some_and(|options| options.is_set()),
    }
}

/// Qdiscs and classes, parents first, siblings by handle.
fn ordered(objects: Vec<Object>) -> Vec<Object> {
    let own = |o: &Object| o.handle().unwrap_or_default();
    let handles: HashSet<Handle> = objects.iter().map(own).collect();
    let mut children: HashMap<Handle, Vec<usize>> = HashMap::new();
    for (i, object) in objects.iter().enumerate() {
        let parent = object.id.parent();
        // a leaf of a band, whose class is no object, hangs on the discipline itself
        let above = if handles.contains(&parent) || parent == Handle::ROOT || parent == Handle::INGRESS {
            parent
        } else {
            Handle::new(parent.major(), 0)
        };
        children.entry(above).or_default().push(i);
    }
    for list in children.values_mut() {
        list.sort_by_key(|i| objects.get(*i).map(|o| (o.is_qdisc(), o.id.parent(), own(o))));
    }
    let mut objects: Vec<Option<Object>> = objects.into_iter().map(Some).collect();
    let mut out = Vec::with_capacity(objects.len());
    let mut waiting: Vec<usize> = Vec::new();
    for top in [Handle::ROOT, Handle::INGRESS] {
        waiting.extend(children.remove(&top).unwrap_or_default().into_iter().rev());
        while let Some(i) = waiting.pop() {
            if let Some(object) = objects.get_mut(i).and_then(Option::take) {
                waiting.extend(children.remove(&own(&object)).unwrap_or_default().into_iter().rev());
                out.push(object);
            }
        }
    }
    // what hangs on nothing, as a dump has it that was taken while objects went away
    out.extend(objects.into_iter().flatten());
    out
}

/// Filters by parent, chain and priority; of one priority in the kernel's order, but u32's tables before what leads to
/// them.
fn ordered_filters(records: Vec<Record>) -> Vec<Object> {
    let place = |o: &Object| match o.id {
        Id::Filter { parent, chain, prio, protocol, .. } => (parent, chain, prio, protocol),
        Id::Qdisc { parent, .. } | Id::Class { parent, .. } => (parent, 0, 0, 0),
    };
    // the old form of fw is its heading alone
    let with_rows: HashSet<_> = records.iter().filter(|r| !r.heading).map(|r| place(&r.object)).collect();
    let mut kept: Vec<Object> = records
        .into_iter()
        .filter(|r| !(r.heading && with_rows.contains(&place(&r.object))))
        .map(|r| r.object)
        .filter(|o| !is_root_table(o))
        .collect();
    kept.sort_by_key(|o| (place(o), u32_table(o).is_none()));
    kept
}

/// The table's number, if the object is a hash table of u32 and no row of one (`TC_U32_KEY`).
fn u32_table(object: &Object) -> Option<u32> {
    match object.id {
        Id::Filter { handle, .. } if object.name == "u32" && handle != 0 && handle & 0xfffff == 0 => Some(handle >> 20),
        _ => None,
    }
}

/// What a table that the kernel made says of its priority.
fn root(object: &Object) -> Option<Root> {
    let Id::Filter { parent, chain, prio, .. } = object.id else { return None };
    let table = u32_table(object).filter(|_| is_root_table(object))?;
    Some(Root { parent, chain, prio, table })
}

/// Whether it is one of the tables that the kernel makes for each priority: numbers from 800 on. A table of one's own
/// that was made without a number has such a number too, and is told apart by its size.
fn is_root_table(object: &Object) -> bool {
    u32_table(object).is_some_and(|number| number >= 0x800) && object.options.show("divisor").is_none_or(|d| d == "1")
}
