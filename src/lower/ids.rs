//! Which number each name has. A name keeps its number as long as it is asked for; a new one gets the lowest that is free
//! and that nothing in the kernel still has.

use super::order::Place;
use super::tables::Window;
use crate::kind::qdisc::htb;
use crate::tree::Names;
use crate::unit::Handle;
use compact_str::{CompactString, format_compact};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// The numbers of a machine, by interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ids {
    /// By the interface's name.
    pub interfaces: IndexMap<CompactString, Table>,
}

/// The end of the name of a class whose leaf has classes.
pub const HOLDS: char = '/';

impl Ids {
    /// Drops what is known of an interface.
    pub fn forget(&mut self, interface: &str) {
        self.interfaces.shift_remove(interface);
    }

    /// Tells what the handles of classes and disciplines stand for that have no name yet: paths of the policy. The root has
    /// no name.
    pub fn name(&self, all: &mut Names) {
        for (interface, table) in &self.interfaces {
            let ifb = table.ifb_name.as_ref().map(|name| (name, &table.ifb));
            for (device, numbers) in [(interface, &table.egress)].into_iter().chain(ifb) {
                let names = all.of(device);
                for (key, major) in &numbers.disciplines {
                    if let Some((_, path)) = key.split_once(':').filter(|(_, path)| !path.is_empty()) {
                        names.entry(Handle::new(*major, 0)).or_insert_with(|| path.into());
                    }
                    for (path, minor) in numbers.classes.get(key).into_iter().flatten() {
                        let path = path.strip_suffix(HOLDS).unwrap_or(path);
                        names.entry(Handle::new(*major, *minor)).or_insert_with(|| path.into());
                    }
                }
            }
        }
    }
}

/// The numbers of one interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What is sent.
    #[serde(default)]
    pub egress: Numbers,
    /// The ifb on which arriving traffic is shaped.
    #[serde(default)]
    pub ifb: Numbers,
    /// That ifb's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ifb_name: Option<CompactString>,
    /// The filters of the ingress hook.
    #[serde(default)]
    pub hook_filters: Filters,
    /// Its hash tables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hook_tables: Tables,
    /// The hook to use: the one that is there. Not kept.
    #[serde(skip)]
    pub hook: Hook,
    /// Priorities at the ingress hook that others' filters have. Not kept.
    #[serde(skip)]
    pub foreign_prios: BTreeSet<u16>,
    /// Hash tables at the ingress hook that others have. Not kept.
    #[serde(skip)]
    pub foreign_tables: BTreeSet<u16>,
}

/// The two disciplines that give filters a place on the way in. They exclude each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hook {
    /// `clsact`: filters below `ffff:fff2`.
    #[default]
    Clsact,
    /// `ingress`: filters below `ffff:`, or `ffff:fff2`, which is the same there.
    Ingress,
}

/// The filters below one parent, by what they match.
pub type Filters = IndexMap<CompactString, Place>;

/// The hash tables of u32 below one parent, by number.
pub type Tables = BTreeMap<u16, Hashed>;

/// A hash table of u32.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hashed {
    /// The pair of priorities that it belongs to.
    pub group: u16,
    /// Whether it is for IPv6.
    pub six: bool,
    /// Where the word is whose bits choose the bucket, in bytes from the network header.
    pub at: i32,
    /// Those bits.
    pub mask: u32,
    /// Table and bucket that lead here; `None` if the priority's own list does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<(u16, u8)>,
    /// How many tables' windows had left these rows over in that list.
    #[serde(default)]
    pub rank: u8,
    /// The numbers in its buckets, by what stands there.
    pub rows: BTreeMap<u8, IndexMap<CompactString, u16>>,
}

impl Hashed {
    /// The bits that choose the bucket.
    pub fn window(&self) -> Window {
        Window { at: self.at, mask: self.mask }
    }
}

/// The numbers of one direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// Minor numbers: by discipline (`htb:line/voice`, `htb:` for the root) and path of the class.
    #[serde(default)]
    pub classes: IndexMap<CompactString, IndexMap<CompactString, u16>>,
    /// Major numbers by discipline.
    #[serde(default)]
    pub disciplines: IndexMap<CompactString, u16>,
    /// Filters by discipline.
    #[serde(default)]
    pub filters: IndexMap<CompactString, Filters>,
    /// Hash tables by discipline.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub tables: IndexMap<CompactString, Tables>,
    /// Major numbers that others' disciplines on the device have. Not kept.
    #[serde(skip)]
    pub foreign: BTreeSet<u16>,
    /// Minor numbers that others' classes have, by the major of their discipline. Not kept.
    #[serde(skip)]
    pub foreign_classes: BTreeMap<u16, BTreeSet<u16>>,
    /// Defaults that disciplines of the kernel were made with and keep, by their major, with their kind. Not kept.
    #[serde(skip)]
    pub born: BTreeMap<u16, (CompactString, u32)>,
    /// Pairs of priorities that others' filters have, by what they hang on. Not kept.
    #[serde(skip)]
    pub foreign_groups: BTreeMap<Handle, BTreeSet<u16>>,
    /// Hash tables that others have, by the major of their discipline. Not kept.
    #[serde(skip)]
    pub foreign_tables: BTreeMap<u16, BTreeSet<u16>>,
}

impl Numbers {
    /// Whether the layout gave the class of that path a discipline of its own.
    pub fn has_part(&self, path: &str) -> bool {
        self.disciplines.contains_key(format_compact!("{}:{path}", htb::KIND.name).as_str())
    }
}

/// Which numbers are better for a name than others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liking {
    /// None.
    Any,
    /// Those that the kernel finds at once, for a discipline that many commands name: it has classes or filters.
    Quick,
    /// The others, which leaves take.
    Crowd,
}

impl Liking {
    /// Whether a major number is one of the better ones. The kernel keeps the disciplines of a device in sixteen buckets by
    /// their numbers (`qdisc_hash_add`, `hash_32`), and walks along one of them whenever a command names a discipline: with
    /// 20,000 leaves that is most of what a filter or a class costs to make. So four buckets are kept free of leaves. The
    /// first, with the leaves that have no number, is nobody's.
    fn suits(self, major: u16) -> bool {
        const GOLDEN_RATIO_32: u32 = 0x61c8_8647;
        let bucket = (u32::from(major) << 16).wrapping_mul(GOLDEN_RATIO_32) >> 28;
        match self {
            Liking::Any => true,
            // that of 1: is among them
            Liking::Quick => (8..12).contains(&bucket),
            Liking::Crowd => !(8..12).contains(&bucket) && bucket != 0,
        }
    }
}

/// Gives each name a number: what a person pinned, else what it has, else the lowest free one that it likes, else the lowest
/// free one. `None` for a name that gets none because all are used, or whose pin another name pinned before.
///
/// A new name does not get the number of a name that is asked no more, as long as there are others: what has it is still
/// in the kernel while the new one is made.
pub fn number<'n>(
    names: impl Iterator<Item = (&'n str, Option<u16>, Liking)> + Clone,
    held: Option<&IndexMap<CompactString, u16>>,
    foreign: &BTreeSet<u16>,
    range: RangeInclusive<u16>,
) -> Vec<Option<u16>> {
    let mut taken = Numerals::default();
    let mut numbers: Vec<Option<u16>> = names.clone().map(|(_, pin, _)| pin.filter(|n| taken.insert(*n))).collect();
    foreign.iter().for_each(|n| {
        taken.insert(*n);
    });
    let old = |name: &str| held.and_then(|h| h.get(name)).copied().filter(|n| range.contains(n));
    for (slot, (name, pin, _)) in numbers.iter_mut().zip(names.clone()) {
        if slot.is_none() && pin.is_none() {
            *slot = old(name).filter(|n| taken.insert(*n));
        }
    }
    let mut was = Numerals::default();
    held.into_iter().flat_map(|h| h.values()).for_each(|n| {
        was.insert(*n);
    });
    let fresh = |liking: Liking| range.clone().filter(move |n| liking.suits(*n)).filter(|n| !was.contains(*n));
    let (mut quick, mut crowd) = (fresh(Liking::Quick), fresh(Liking::Crowd));
    let mut any = fresh(Liking::Any).chain(range.clone().filter(|n| was.contains(*n)));
    for (slot, (_, pin, liking)) in numbers.iter_mut().zip(names) {
        if slot.is_none() && pin.is_none() {
            let liked = match liking {
                Liking::Any => None,
                Liking::Quick => quick.find(|n| taken.insert(*n)),
                Liking::Crowd => crowd.find(|n| taken.insert(*n)),
            };
            *slot = liked.or_else(|| any.find(|n| taken.insert(*n)));
        }
    }
    numbers
}

/// A set of numbers, a bit each, as long as the largest.
#[derive(Default)]
struct Numerals(Vec<u64>);

impl Numerals {
    fn contains(&self, n: u16) -> bool {
        self.0.get(usize::from(n / 64)).is_some_and(|w| w >> (n % 64) & 1 == 1)
    }

    /// Whether it was not there before.
    fn insert(&mut self, n: u16) -> bool {
        let (word, bit) = (usize::from(n / 64), 1 << (n % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0.get_mut(word).is_some_and(|w| {
            let new = *w & bit == 0;
            *w |= bit;
            new
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn numbers(names: &[(&str, Option<u16>)], held: &[(&str, u16)], foreign: &[u16], last: u16) -> Vec<Option<u16>> {
        let held = held.iter().map(|(n, i)| ((*n).into(), *i)).collect();
        let names = names.iter().map(|(name, pin)| (*name, *pin, Liking::Any));
        number(names, Some(&held), &foreign.iter().copied().collect(), 1..=last)
    }

    /// `hash_32(handle, 4)` of include/linux/hash.h, by hand: 1: is in bucket 8, 2: in 0, 3: in 9, 4: in 1, 5: in 9, 7: in 10.
    #[test]
    fn who_is_sought_often_is_not_among_many() {
        let names = ["line", "a", "b", "part", "c"];
        let likings = [Liking::Quick, Liking::Crowd, Liking::Crowd, Liking::Quick, Liking::Crowd];
        let names = names.into_iter().zip(likings).map(|(name, liking)| (name, None, liking));
        let none = BTreeSet::new();
        let numbers = |last| number(names.clone(), None, &none, 1..=last).into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(numbers(100), [1, 4, 6, 3, 8]);
        // what is liked is not to be had: anything is better than nothing
        assert_eq!(numbers(5), [1, 4, 2, 3, 5]);
    }

    #[test]
    fn names_keep_their_numbers_and_new_ones_get_the_lowest_free() {
        let named = [("a", None), ("b", None), ("c", None)];
        assert_eq!(numbers(&named, &[], &[], 9), [Some(1), Some(2), Some(3)]);
        assert_eq!(numbers(&named, &[("a", 1), ("c", 2)], &[], 9), [Some(1), Some(3), Some(2)]);
        assert_eq!(numbers(&named, &[], &[1, 3], 9), [Some(2), Some(4), Some(5)]);
    }

    #[test]
    fn a_pin_wins_over_what_is_held() {
        assert_eq!(numbers(&[("a", None), ("b", Some(1))], &[("a", 1)], &[], 9), [Some(2), Some(1)]);
        assert_eq!(numbers(&[("a", Some(4)), ("b", Some(4))], &[], &[], 9), [Some(4), None]);
    }

    #[test]
    fn what_is_still_in_the_kernel_is_used_last() {
        assert_eq!(numbers(&[("b/x", None)], &[("a/x", 1)], &[], 2), [Some(2)]);
        assert_eq!(
            numbers(&[("b/x", None), ("y", None), ("z", None)], &[("a/x", 1)], &[], 2),
            [Some(2), Some(1), None]
        );
    }
}
