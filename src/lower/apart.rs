//! Numbers that the kernel has given away differently than the table says: after the table is lost, or after somebody else
//! has been at work.
//!
//! The kernel moves neither a discipline nor a class to another parent, and a priority keeps its kind of filter as long as
//! one is left. So a number that stands elsewhere is not asked for: its name gets another.

use super::arena::MINORS;
use super::ids::{Hook, Ids, Numbers, Table};
use super::tables;
use crate::kind::filter::fw::Fw;
use crate::kind::filter::u32::U32;
use crate::tree::{Branch, Id, Object, Tree};
use crate::unit::Handle;
use compact_str::CompactString;
use foldhash::HashMap;
use indexmap::IndexMap;
use std::collections::{BTreeMap, BTreeSet};

/// What must not differ under one number.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Number {
    /// A discipline or class, by its handle.
    Handle(Handle),
    /// Below a discipline, a priority.
    Prio(Handle, u16),
    /// A hash table of u32, by the major of its discipline.
    Table(u16, u16),
}

/// Where it stands, or what it holds.
type Stand = (Handle, CompactString, u16, u32);

/// What an object has a number as: of u32 a table has one beside its priority's.
fn all(object: &Object) -> impl Iterator<Item = (Number, Stand)> {
    let buckets = object.options.as_kind::<U32>().and_then(|options| options.divisor).map_or(0, |n| n.0);
    let table = move |(parent, table): (Handle, u16)| match object.id {
        Id::Filter { prio, .. } => Some((Number::Table(parent.major(), table), (parent, "".into(), prio, buckets))),
        _ => None,
    };
    number(object).into_iter().chain(tables::number(object).and_then(table))
}

fn number(object: &Object) -> Option<(Number, Stand)> {
    match object.id {
        Id::Qdisc { parent: Handle::ROOT | Handle::INGRESS, .. } => None,
        // two kinds may follow each other under one handle, at one place
        Id::Qdisc { parent, handle } | Id::Class { parent, handle } => {
            (handle.0 != 0).then(|| (Number::Handle(handle), (parent, CompactString::default(), 0, 0)))
        }
        Id::Filter { parent, prio, protocol, .. } => {
            let mask = object.options.as_kind::<Fw>().map(|fw| fw.mask.map_or(u32::MAX, |m| m.0));
            Some((Number::Prio(parent, prio), (parent, object.name.clone(), protocol, mask.unwrap_or(0))))
        }
    }
}

/// So many times [`apart`] may find something new: a leaf follows its class, which follows the class above.
pub const ROUNDS: usize = 16;

/// The table to compile with once more, if numbers of `asked` stand elsewhere in `held`; `None` if none does. `used` are
/// the numbers of `asked`. What changes may stand in another's place again, so this is asked until it says `None`, or
/// [`ROUNDS`] times: a number that a person pinned stays what it is.
pub fn apart(asked: &Tree, held: &Tree, used: &Ids) -> Option<Ids> {
    let mut ids: Option<Ids> = None;
    for (i, (name, table)) in used.interfaces.iter().enumerate() {
        for device in [Some(name), table.ifb_name.as_ref()].into_iter().flatten() {
            let (Some(asked), Some(held)) = (sent(asked, device), sent(held, device)) else { continue };
            let strange = in_the_way(asked, held);
            if strange.is_empty() {
                continue;
            }
            let ids = ids.get_or_insert_with(|| used.clone());
            if let Some((_, table)) = ids.interfaces.get_index_mut(i) {
                keep_apart(strange, if device == name { &mut table.egress } else { &mut table.ifb });
            }
        }
    }
    ids
}

/// The table to compile with once more, so that these classes stand beside what is held under other numbers; `None` if
/// none can: their discipline has not as many numbers left.
pub fn aside(classes: &BTreeSet<(CompactString, Handle)>, used: &Ids) -> Option<Ids> {
    let mut ids = used.clone();
    let mut moved = false;
    for (name, table) in &mut ids.interfaces {
        let ifb = table.ifb_name.as_ref().map(|name| (name, &mut table.ifb));
        for (device, numbers) in [(name, &mut table.egress)].into_iter().chain(ifb) {
            let mut by_major: BTreeMap<u16, BTreeSet<u16>> = BTreeMap::new();
            for (_, class) in classes.range((device.clone(), Handle(0))..=(device.clone(), Handle(u32::MAX))) {
                by_major.entry(class.major()).or_default().insert(class.minor());
            }
            for (major, minors) in by_major {
                let key = numbers.disciplines.iter().find(|(_, number)| **number == major).map(|(key, _)| key);
                let used = key.and_then(|key| numbers.classes.get(key)).map_or(0, IndexMap::len);
                if used + minors.len() <= MINORS.count() {
                    numbers.foreign_classes.entry(major).or_default().extend(minors);
                    moved = true;
                }
            }
        }
    }
    moved.then_some(ids)
}

/// Keeps the numbers of names that are asked no more while a policy is compiled once more: what has them is in the kernel
/// still, and no new name gets one as long as there are others.
pub fn still_known(ids: &mut Ids, before: &Ids) {
    for (name, old) in &before.interfaces {
        let Some(table) = ids.interfaces.get_mut(name) else { continue };
        for (numbers, old) in [(&mut table.egress, &old.egress), (&mut table.ifb, &old.ifb)] {
            for (key, major) in &old.disciplines {
                numbers.disciplines.entry(key.clone()).or_insert(*major);
            }
            for (key, old) in &old.classes {
                let classes = numbers.classes.entry(key.clone()).or_default();
                for (path, minor) in old {
                    classes.entry(path.clone()).or_insert(*minor);
                }
            }
        }
    }
}

/// Notes of disciplines that keep the default they were made with (`htb`, which the kernel does not change) which one that
/// is: what the policy has as its default is a last rule then.
pub fn keep_defaults(ids: &mut Ids, held: &Tree) {
    for name in held.interfaces.keys() {
        ids.interfaces.entry(name.clone()).or_default();
    }
    for (name, table) in &mut ids.interfaces {
        table.egress.born = sent(held, name).map(born).unwrap_or_default();
        table.ifb.born = table.ifb_name.as_ref().and_then(|name| sent(held, name)).map(born).unwrap_or_default();
    }
}

/// Whether a policy that was compiled with the numbers that are remembered comes out the same with these, which know what the
/// kernel holds beside: no number is others', and the disciplines were made with the defaults that they are asked to have.
pub fn is_unmoved(asked: &Tree, ids: &Ids) -> bool {
    let sends = |device: &str, numbers: &Numbers| {
        let asked = sent(asked, device).map(born).unwrap_or_default();
        let Numbers { foreign, foreign_classes, foreign_groups, foreign_tables, born, .. } = numbers;
        let is_free = foreign.is_empty() && foreign_classes.is_empty();
        let is_free = is_free && foreign_groups.is_empty() && foreign_tables.is_empty();
        is_free && born.iter().all(|(major, born)| asked.get(major).is_none_or(|asked| asked == born))
    };
    ids.interfaces.iter().all(|(name, table)| {
        let Table { egress, ifb, ifb_name, hook, foreign_prios, foreign_tables, .. } = table;
        *hook == Hook::default()
            && foreign_prios.is_empty()
            && foreign_tables.is_empty()
            && sends(name, egress)
            && sends(ifb_name.as_deref().unwrap_or_default(), ifb)
    })
}

fn born(branch: &Branch) -> BTreeMap<u16, (CompactString, u32)> {
    let default = |o: &Object| {
        let row = o.options.row("default").filter(|row| o.options.rows().get(*row).is_some_and(|row| row.fixed))?;
        let number = o.options.slot(row)?.number().unwrap_or(0);
        Some((o.handle()?.major(), (o.name.clone(), u32::try_from(number).ok()?)))
    };
    branch.objects.iter().filter(|o| o.is_qdisc()).filter_map(default).collect()
}

fn sent<'t>(tree: &'t Tree, device: &str) -> Option<&'t Branch> {
    tree.interfaces.get(device)?.egress.as_ref()
}

/// The numbers that stand elsewhere than they are asked to, if any of them is asked for.
fn in_the_way(asked: &Branch, held: &Branch) -> Vec<Number> {
    let root = |b: &Branch| b.objects.first().map(|o| (o.id, o.name.clone()));
    if root(asked) != root(held) {
        // another root takes all below it away
        return Vec::new();
    }
    let wanted: HashMap<Number, Stand> = asked.objects.iter().flat_map(all).collect();
    let odd = |(number, stand): &(Number, Stand)| wanted.get(number) != Some(stand);
    let strange: Vec<Number> = held.objects.iter().flat_map(all).filter(odd).map(|(number, _)| number).collect();
    if strange.iter().any(|number| wanted.contains_key(number)) { strange } else { Vec::new() }
}

fn keep_apart(strange: Vec<Number>, numbers: &mut Numbers) {
    for number in strange {
        match number {
            Number::Handle(h) if h.minor() == 0 => drop(numbers.foreign.insert(h.major())),
            Number::Handle(h) => drop(numbers.foreign_classes.entry(h.major()).or_default().insert(h.minor())),
            Number::Table(major, table) => drop(numbers.foreign_tables.entry(major).or_default().insert(table)),
            Number::Prio(parent, prio) => drop(numbers.foreign_groups.entry(parent).or_default().insert(prio / 2)),
        }
    }
}
