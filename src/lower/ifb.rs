//! Names of the ifb devices on which arriving traffic is shaped.

use crate::fingerprint::Fingerprint;
use crate::source::beginning;
use crate::tree::OWN_PREFIX as PREFIX;
use compact_str::{CompactString, format_compact};
use indexmap::IndexMap;
use std::collections::{BTreeSet, HashSet};

/// The longest name a device may have, in bytes (`IFNAMSIZ` less the zero).
pub const LONGEST: usize = 15;

/// A name for the ifb of each interface in `shaped`: the one it has in `held`, else `ifb-` and the interface's own, cut
/// short and made unmistakable by a hash where it is too long. No two are the same, and none is the name of an interface
/// in `others`.
pub fn names<'a>(
    shaped: impl Iterator<Item = &'a str>,
    others: impl Iterator<Item = &'a str>,
    held: impl Fn(&str) -> Option<CompactString>,
) -> IndexMap<CompactString, CompactString> {
    let shaped: BTreeSet<&str> = shaped.collect();
    let mut taken: HashSet<CompactString> = others.map(CompactString::from).collect();
    let mut names = IndexMap::new();
    let mut give = |interface: &str, name: CompactString, names: &mut IndexMap<_, _>| {
        let free = !names.contains_key(interface) && taken.insert(name.clone());
        if free {
            names.insert(CompactString::from(interface), name);
        }
        free
    };
    for interface in &shaped {
        if let Some(name) = held(interface).filter(|n| n.len() <= LONGEST) {
            give(interface, name, &mut names);
        }
    }
    for interface in shaped.iter().filter(|i| PREFIX.len() + i.len() <= LONGEST) {
        give(interface, format_compact!("{PREFIX}{interface}"), &mut names);
    }
    for interface in shaped {
        // two hashes of 25 bits are seldom the same, and then the next is tried
        let mut tries = 0_u64..;
        while !names.contains_key(interface)
            && tries.next().is_some_and(|n| !give(interface, short(interface, n), &mut names))
        {}
    }
    names
}

/// `ifb-`, five bytes of the name at most, `-` and five characters of its hash.
fn short(interface: &str, attempt: u64) -> CompactString {
    let mut hash = Fingerprint::new().bytes(interface.as_bytes()).word(attempt as u32).0;
    let mut name = format_compact!("{PREFIX}{}-", beginning(interface, 5));
    for _ in 0..5 {
        name.push(char::from_digit((hash % 32) as u32, 32).unwrap_or('0'));
        hash /= 32;
    }
    name
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    fn fresh(shaped: &[&str], others: &[&str]) -> IndexMap<CompactString, CompactString> {
        names(shaped.iter().copied(), others.iter().copied(), |_| None)
    }

    #[test]
    fn short_names_are_kept_whole() {
        let names = fresh(&["eth0", "enp0s31f6", "wlx00c0caabcdef"], &[]);
        assert_eq!(names["eth0"], "ifb-eth0");
        assert_eq!(names["enp0s31f6"], "ifb-enp0s31f6");
        assert_eq!(names["wlx00c0caabcdef"], "ifb-wlx00-i82l9");
    }

    #[test]
    fn a_name_that_is_an_interface_already_is_not_taken() {
        assert_ne!(fresh(&["eth0"], &["ifb-eth0"])["eth0"], "ifb-eth0");
    }

    proptest! {
        #[test]
        fn names_fit_and_differ(
            shaped in prop::collection::hash_set("[a-zé.]{1,3}[a-z0-9é-]{0,6}[0-9]{0,3}", 1..60),
            others in prop::collection::hash_set("ifb-[a-z]{1,4}", 0..20),
        ) {
            let shaped: Vec<&str> = shaped.iter().map(String::as_str).collect();
            let others: Vec<&str> = others.iter().map(String::as_str).collect();
            let given = fresh(&shaped, &others);
            prop_assert_eq!(given.len(), shaped.len());
            let distinct: HashSet<_> = given.values().collect();
            prop_assert_eq!(distinct.len(), shaped.len());
            prop_assert!(given.values().all(|n| n.len() <= LONGEST && !others.contains(&n.as_str())));
            let again: Vec<&str> = shaped.iter().rev().copied().collect();
            prop_assert_eq!(&fresh(&again, &others), &given);
            let kept = names(shaped.iter().copied(), others.iter().copied(), |i| given.get(i).cloned());
            prop_assert_eq!(&kept, &given);
        }
    }
}
