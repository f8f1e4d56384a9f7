//! Where each filter stands: its priority and its number there, so that filters are asked in the order of the rules, and
//! so that a rule which comes or goes moves no other.
//!
//! Priorities come in pairs, a *group*: `2g` for IPv4 or for any protocol, `2g + 1` for IPv6, because a priority has one
//! protocol. A packet sees the filters of its own family only, so the order between the two does not matter. A group holds
//! filters of one [`Sort`]. Groups and the numbers in them have gaps; a filter between two others takes a number between
//! theirs. Where there is none left, all are numbered anew.

use compact_str::CompactString;
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A filter's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Its pair of priorities.
    pub group: u16,
    /// Its number within it; u32's node.
    pub node: u16,
}

/// What a group may hold: filters of one kind, protocol and, for fw, mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sort {
    /// u32 of IPv4 and IPv6.
    Ip,
    /// u32 of any protocol.
    All,
    /// u32 of one protocol that is not IP.
    Of(u16),
    /// fw with this mask. The second number parts equal marks, of which one priority can hold only one.
    Mark(u32, u32),
    /// flower with these keys and masks. The second number parts equal ones.
    Keys(u64, u32),
    /// A filter that must have its group for itself; the number tells it from others.
    Alone(u32),
}

/// One filter to be placed.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it matches, as a key: equal for the same filter in two runs, and no two of one run are the same.
    pub key: CompactString,
    /// Where it may stand.
    pub sort: Sort,
}

/// The last group: priorities 65534 and 65535.
const LAST_GROUP: u16 = 0x7fff;
/// Groups are this far apart, so that their priorities are 10, 20, 30.
const GROUP_STEP: u16 = 5;
/// The last node (`u32` has twelve bits for it).
const LAST_NODE: u16 = 0xfff;
/// The last where it is no number of a filter and only tells the order: fw's number is the mark.
const LAST_MARK: u16 = u16::MAX - 1;
/// Nodes are this far apart where there is room.
const NODE_STEP: usize = 16;

impl Sort {
    /// The last node of a group.
    fn last(self) -> u16 {
        if let Sort::Mark(..) = self { LAST_MARK } else { LAST_NODE }
    }

    /// So many filters are put into a group at first, which leaves gaps of 4.
    fn full(self) -> usize {
        match self {
            Sort::Alone(_) => 1,
            _ => usize::from(self.last()) / 4 - 1,
        }
    }
}

/// The places of all filters, and whether all had to be numbered anew. `None` if there are more than priorities can hold.
pub fn places(
    entries: &[Entry],
    held: Option<&IndexMap<CompactString, Place>>,
    foreign: &BTreeSet<u16>,
) -> Option<(Vec<Place>, bool)> {
    let was: HashSet<Place> = held.into_iter().flat_map(|h| h.values().copied()).collect();
    let used: HashSet<u16> = was.iter().map(|p| p.group).chain(foreign.iter().copied()).collect();
    let kept = keep(entries, held, foreign);
    let some_kept = kept.iter().any(Option::is_some);
    if let Some(places) = fill(entries, &kept, &was, &used) {
        return Some((places, false));
    }
    let none = vec![None; entries.len()];
    // avoid what the kernel still has, if that is possible
    let anew = fill(entries, &none, &was, &used)
        .or_else(|| fill(entries, &none, &HashSet::new(), &foreign.iter().copied().collect()));
    anew.map(|places| (places, some_kept))
}

/// The filters that may stay where they are: the longest run of them that is in order.
fn keep(
    entries: &[Entry],
    held: Option<&IndexMap<CompactString, Place>>,
    foreign: &BTreeSet<u16>,
) -> Vec<Option<Place>> {
    let sound = |p: &Place, sort: Sort| (1..=LAST_GROUP).contains(&p.group) && (1..=sort.last()).contains(&p.node);
    let old = |e: &Entry| {
        let place = held.and_then(|h| h.get(&e.key)).copied();
        place.filter(|p| sound(p, e.sort) && !foreign.contains(&p.group))
    };
    let places: Vec<Option<Place>> = entries.iter().map(old).collect();
    let mut kept = increasing(&places);
    // a group holds one sort, and nothing of another sort stands between two of its filters
    let mut run: u32 = 0;
    let mut last: Option<Sort> = None;
    let mut group_run: HashMap<u16, u32> = HashMap::new();
    for (entry, place) in entries.iter().zip(&mut kept) {
        if last != Some(entry.sort) {
            run += 1;
            last = Some(entry.sort);
        }
        if place.is_some_and(|p| *group_run.entry(p.group).or_insert(run) != run) {
            *place = None;
        }
    }
    kept
}

/// The longest strictly increasing subsequence; what is not in it becomes `None`.
fn increasing(places: &[Option<Place>]) -> Vec<Option<Place>> {
    // ends[n]: the least place that a run of n + 1 ends with, and where it stands
    let mut ends: Vec<(Place, usize)> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; places.len()];
    for (i, place) in places.iter().enumerate() {
        let Some(place) = place else { continue };
        let n = ends.partition_point(|(end, _)| end < place);
        if let (Some(slot), Some(previous)) = (before.get_mut(i), n.checked_sub(1).and_then(|n| ends.get(n))) {
            *slot = Some(previous.1);
        }
        match ends.get_mut(n) {
            Some(end) => *end = (*place, i),
            None => ends.push((*place, i)),
        }
    }
    let mut kept = vec![None; places.len()];
    let mut at = ends.last().map(|(_, i)| *i);
    while let Some(i) = at {
        if let (Some(slot), Some(place)) = (kept.get_mut(i), places.get(i)) {
            *slot = *place;
        }
        at = before.get(i).copied().flatten();
    }
    kept
}

/// Gives the filters between those that are kept their places; `None` if there is no room.
fn fill(entries: &[Entry], kept: &[Option<Place>], was: &HashSet<Place>, used: &HashSet<u16>) -> Option<Vec<Place>> {
    let mut out: Vec<Place> = Vec::with_capacity(entries.len());
    let mut left: Option<(Place, Sort)> = None;
    let mut i = 0;
    while i < entries.len() {
        let end = (i..entries.len()).find(|j| kept.get(*j).copied().flatten().is_some()).unwrap_or(entries.len());
        let right = entries.get(end).zip(kept.get(end).copied().flatten()).map(|(e, p)| (p, e.sort));
        if end > i {
            between(entries.get(i..end)?, left, right, was, used, &mut out)?;
        }
        if let Some((place, sort)) = right {
            out.push(place);
            left = Some((place, sort));
        }
        i = end + 1;
    }
    Some(out)
}

/// Places a stretch of new filters between two that stay.
fn between(
    new: &[Entry],
    left: Option<(Place, Sort)>,
    right: Option<(Place, Sort)>,
    was: &HashSet<Place>,
    used: &HashSet<u16>,
    out: &mut Vec<Place>,
) -> Option<()> {
    let mut rest = new;
    // behind the left one, in its group
    if let Some((place, sort)) = left {
        let end = sort.last() + 1;
        let last = right.filter(|(p, _)| p.group == place.group).map_or(end, |(p, _)| p.node);
        let run = rest.iter().take_while(|e| e.sort == sort).count();
        if let Some(nodes) = nodes(place.group, place.node, last, run, was) {
            out.extend(nodes.into_iter().map(|node| Place { group: place.group, node }));
            rest = rest.get(run..)?;
        } else if last < end {
            return None;
        }
    }
    if rest.is_empty() {
        return Some(());
    }
    // before the right one, in its group
    let mut tail = Vec::new();
    if let Some((place, sort)) = right {
        let run = rest.iter().rev().take_while(|e| e.sort == sort).count();
        if let Some(nodes) = nodes(place.group, 0, place.node, run, was) {
            tail = nodes.into_iter().map(|node| Place { group: place.group, node }).collect();
            rest = rest.get(..rest.len() - run)?;
        }
    }
    // in groups of their own
    let mut runs: Vec<(usize, u16)> = Vec::new();
    for part in rest.chunk_by(|a, b| a.sort == b.sort) {
        let Some(sort) = part.first().map(|e| e.sort) else { continue };
        runs.extend(part.chunks(sort.full()).map(|part| (part.len(), sort.last())));
    }
    let (low, high) = (left.map_or(0, |(p, _)| p.group), right.map_or(LAST_GROUP + 1, |(p, _)| p.group));
    let groups = match right {
        None => append(low, runs.len(), used),
        Some(_) => spread(low, high, runs.len(), |g| used.contains(&g)),
    }?;
    for (group, (n, last)) in groups.into_iter().zip(runs) {
        let step = (usize::from(last) / (n + 1)).clamp(1, NODE_STEP);
        out.extend((1..=n).map(|k| Place { group, node: (k * step) as u16 }));
    }
    out.extend(tail);
    Some(())
}

/// Groups after the last one, in steps; closer where the steps do not fit.
fn append(low: u16, n: usize, used: &HashSet<u16>) -> Option<Vec<u16>> {
    let mut at = low;
    let step = |_| {
        at = (at.saturating_add(GROUP_STEP)..=LAST_GROUP).find(|g| !used.contains(g))?;
        Some(at)
    };
    let groups: Option<Vec<u16>> = (0..n).map(step).collect();
    groups.or_else(|| spread(low, LAST_GROUP + 1, n, |g| used.contains(&g)))
}

/// Nodes between two of a group; those that are still in the kernel only if there are no others.
fn nodes(group: u16, low: u16, high: u16, n: usize, was: &HashSet<Place>) -> Option<Vec<u16>> {
    spread(low, high, n, |node| was.contains(&Place { group, node })).or_else(|| spread(low, high, n, |_| false))
}

/// The numbers of the rows of a bucket in their order, which need not be those of rows that are held if there are others.
/// There are as many numbers as a bucket may have rows ([`LAST_NODE`]).
pub fn nodes_of_bucket(keys: &[CompactString], held: Option<&IndexMap<CompactString, u16>>) -> Vec<u16> {
    let place = |node: u16| Place { group: 0, node };
    let old = |key: &CompactString| held?.get(key).copied().map(place);
    let kept = increasing(&keys.iter().map(old).collect::<Vec<_>>());
    if kept.iter().all(Option::is_some) {
        return kept.into_iter().flatten().map(|p| p.node).collect();
    }
    let step = (usize::from(LAST_NODE) / (keys.len() + 1)).clamp(1, NODE_STEP);
    let even = || (1..=keys.len()).map(|k| (k * step) as u16).collect();
    let Some(held) = held else { return even() };
    let was: HashSet<Place> = held.values().copied().map(place).collect();
    let between = |kept: &[Option<Place>]| -> Option<Vec<u16>> {
        let (mut out, mut low, mut new) = (Vec::with_capacity(keys.len()), 0, 0);
        for place in kept.iter().copied().chain([Some(place(LAST_NODE + 1))]) {
            let Some(Place { node, .. }) = place else {
                new += 1;
                continue;
            };
            out.extend(nodes(0, low, node, new, &was)?);
            out.push(node);
            (low, new) = (node, 0);
        }
        out.truncate(keys.len());
        Some(out)
    };
    between(&kept).or_else(|| between(&vec![None; keys.len()])).unwrap_or_else(even)
}

/// `n` numbers between two, evenly; `None` if there are not so many that need not be avoided.
fn spread(low: u16, high: u16, n: usize, avoid: impl Fn(u16) -> bool) -> Option<Vec<u16>> {
    let free: Vec<u16> = (low.saturating_add(1)..high).filter(|v| !avoid(*v)).collect();
    if free.len() < n {
        return None;
    }
    let at = |k: usize| {
        if high > LAST_NODE && free.len() > n * NODE_STEP {
            k * NODE_STEP - 1
        } else {
            (k * (free.len() + 1)) / (n + 1) - 1
        }
    };
    (1..=n).map(|k| free.get(at(k).min(free.len() - 1)).copied()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use compact_str::format_compact;

    fn entries(names: &str) -> Vec<Entry> {
        let sort = |c: char| match c {
            'a'..='z' => Sort::Ip,
            'A'..='M' => Sort::All,
            'N'..='Z' => Sort::Mark(u32::MAX, 0),
            _ => Sort::Alone(c as u32),
        };
        names.chars().map(|c| Entry { key: format_compact!("{c}"), sort: sort(c) }).collect()
    }

    fn table(names: &str, held: Option<&IndexMap<CompactString, Place>>) -> (IndexMap<CompactString, Place>, bool) {
        let entries = entries(names);
        let (places, anew) = places(&entries, held, &BTreeSet::new()).unwrap();
        (entries.into_iter().map(|e| e.key).zip(places).collect(), anew)
    }

    fn shown(names: &str, held: Option<&str>) -> String {
        let held = held.map(|h| table(h, None).0);
        let (table, anew) = table(names, held.as_ref());
        let show = table.iter().map(|(k, p)| format!("{k}{}.{:x}", p.group * 2, p.node)).collect::<Vec<_>>();
        format!("{}{}", show.join(" "), if anew { " anew" } else { "" })
    }

    #[test]
    fn runs_of_one_sort_share_a_priority() {
        assert_eq!(shown("abc", None), "a10.10 b10.20 c10.30");
        assert_eq!(shown("abXYcA", None), "a10.10 b10.20 X20.10 Y20.20 c30.10 A40.10");
        assert_eq!(shown("12", None), "110.10 220.10");
    }

    #[test]
    fn what_comes_or_goes_moves_no_other() {
        assert_eq!(shown("axb", Some("ab")), "a10.10 x10.18 b10.20");
        assert_eq!(shown("xab", Some("ab")), "x10.8 a10.10 b10.20");
        assert_eq!(shown("abx", Some("ab")), "a10.10 b10.20 x10.30");
        assert_eq!(shown("ac", Some("abc")), "a10.10 c10.30");
        // the number of one that goes is not given to one that comes
        assert_eq!(shown("axc", Some("abc")), "a10.10 x10.1f c10.30");
        // one that moves is numbered anew, the others stay
        assert_eq!(shown("bcda", Some("abcd")), "b10.20 c10.30 d10.40 a10.50");
    }

    #[test]
    fn another_sort_in_the_middle_parts_a_run() {
        assert_eq!(shown("aXb", Some("ab")), "a10.10 X20.10 b30.10");
        assert_eq!(shown("aXbA", Some("abA")), "a10.10 X12.10 b16.10 A20.10");
        assert_eq!(shown("abAXB", Some("abAB")), "a10.10 b10.20 A20.10 X30.10 B40.10");
    }

    #[test]
    fn without_room_all_are_numbered_anew_beside_the_old() {
        let (mut held, _) = table("ab", None);
        held.insert("a".into(), Place { group: 5, node: 1 });
        held.insert("b".into(), Place { group: 5, node: 2 });
        let (new, anew) = table("axb", Some(&held));
        assert!(anew);
        assert!(new.values().all(|p| p.group == 6), "{new:?}");
        assert!(new.values().is_sorted());
    }

    #[test]
    fn numbers_that_no_filter_can_have_are_not_taken_over() {
        let held = [("a", 5, 0), ("b", 0, 16), ("c", 5, 0x1000), ("d", 0x8000, 1)];
        let held = held.map(|(n, group, node)| (n.into(), Place { group, node })).into_iter().collect();
        let (table, _) = table("abcd", Some(&held));
        assert!(table.values().all(|p| (1..=LAST_GROUP).contains(&p.group) && (1..=LAST_NODE).contains(&p.node)));
        assert!(table.values().is_sorted());
    }

    #[test]
    fn thousands_go_on_in_the_next_priority_with_gaps() {
        let many: Vec<Entry> = (0..70_000).map(|n| Entry { key: format_compact!("{n}"), sort: Sort::Ip }).collect();
        let (found, _) = places(&many, None, &BTreeSet::new()).unwrap();
        assert!(found.is_sorted_by(|a, b| a < b));
        assert!(found.iter().all(|p| p.node % 4 == 0 || p.group == found[69_999].group));
        // alternating sorts take a priority each, up to the last
        let alternating = |n: u32| -> Vec<Entry> {
            let sort = |i: u32| if i.is_multiple_of(2) { Sort::Ip } else { Sort::All };
            (0..n).map(|i| Entry { key: format_compact!("{i}"), sort: sort(i) }).collect()
        };
        let (found, _) = places(&alternating(32_767), None, &BTreeSet::new()).unwrap();
        assert!(found.is_sorted_by(|a, b| a.group < b.group));
        assert!(places(&alternating(32_768), None, &BTreeSet::new()).is_none());
    }
}
