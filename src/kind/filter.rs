//! Classifiers, one file each, named as the kernel names them; and what they share.
//!
//! A filter's place (`parent`, chain, `prio`, protocol) and its number travel in the message's header, not in its options;
//! what the number means, each kind says ([`Options::read_handle`]). The kernel had `tcindex` and `rsvp` until 6.3.

pub mod basic;
pub mod bpf;
pub mod cgroup;
pub mod ematch;
pub mod flow;
pub mod flower;
pub mod fw;
pub mod matchall;
pub mod route;
pub mod u32;

use super::action::{Act, Actions, police};
use super::wire::{Attributes, Malformed, Parsed};
use super::{Finding, Options, Row, each_act};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::unit::{ClassId, Flag, Handle, Number, Reader, Refusal, Slot, Unit, Words};
use ematch::Matches;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `none`.
const NO_CLASS: ClassId = Handle(0);
/// The row of the class that a filter's packets go to; tc reads both words everywhere.
pub(crate) const FLOWID: Row = Row::new("flowid").aliases(&["classid"]);
/// The row of the actions. tc takes nearly every word after `action` for an action's, so it stands last.
pub(crate) const ACTION: Row = Row::new("action");
/// Not in hardware.
pub(crate) const SKIP_HW: Row = Row::new("skip_hw").flag().default("no");
/// In hardware only.
pub(crate) const SKIP_SW: Row = Row::new("skip_sw").flag().default("no");
/// Whether the kernel says that it is in hardware.
pub(crate) const IN_HW: Row = Row::new("in_hw").flag().hidden().tool();

/// `TCA_CLS_FLAGS_SKIP_HW` and `TCA_CLS_FLAGS_SKIP_SW`.
const SKIP: [std::primitive::u32; 2] = [1, 2];
/// `TCA_CLS_FLAGS_IN_HW` and `TCA_CLS_FLAGS_NOT_IN_HW`.
const HARDWARE: [std::primitive::u32; 2] = [4, 8];

/// A filter's number as tc reads it for kinds that use `strtol` and look no further: what is no number is 0.
pub(crate) fn loose_handle(text: &str) -> std::primitive::u32 {
    crate::unit::strtoul(text, 0).map_or(0, |(number, _)| number as std::primitive::u32)
}

/// Writes the flags, if there are any.
fn encode_flags(number: u16, hw: Option<Flag>, sw: Option<Flag>, out: &mut Attributes) {
    match flags(hw, sw) {
        0 => {}
        flags => out.u32(number, flags),
    }
}

fn flags(hw: Option<Flag>, sw: Option<Flag>) -> std::primitive::u32 {
    let bit = |flag: Option<Flag>, bit| if flag == Some(Flag(true)) { bit } else { 0 };
    bit(hw, SKIP[0]) | bit(sw, SKIP[1])
}

/// Reads the flags: `skip_hw`, `skip_sw`, and whether the kernel says that it is in hardware or not.
fn decode_flags(flags: Option<std::primitive::u32>) -> [Option<Flag>; 3] {
    let bits = flags.unwrap_or(0);
    let [hw, sw] = SKIP.map(|bit| (bits & bit != 0).then_some(Flag(true)));
    let in_hw = (bits & (HARDWARE[0] | HARDWARE[1]) != 0).then_some(Flag(bits & HARDWARE[0] != 0));
    [hw, sw, in_hw]
}

/// The attributes of what a filter does with its packets: a policer as it was before there were actions, and actions.
struct Doing {
    police: u16,
    action: u16,
}

impl Doing {
    fn encode(&self, action: Option<&Actions>, out: &mut Attributes, facts: &Facts) {
        if let Some(action) = action {
            action.encode_either(self.action, self.police, out, facts);
        }
    }

    /// The actions of a held filter: a list, or a policer of before 2004, which runs the same.
    fn decode(&self, from: &Parsed, facts: &Facts) -> Result<Option<Actions>, Malformed> {
        if let Some(list) = from.get(self.action) {
            return Actions::decode(list, facts).map(Some);
        }
        let Some(payload) = from.get(self.police) else { return Ok(None) };
        let mut act = Act::new(police::KIND.name);
        act.options.decode(payload, facts)?;
        act.old = true;
        Ok(Some(Actions::one(act)))
    }
}

/// Reads what follows `action`, and `police` without it, if that is the word that the next one stands for. A second list
/// takes the place of the first, and a policer that of every list, as in the kernel.
fn read_doing(
    word: &str,
    action: &mut Option<Actions>,
    words: &mut Words,
    reader: &mut Reader,
) -> Result<bool, Refusal> {
    let more = match word {
        "action" => {
            words.next();
            Actions::read_words(words, reader)?
        }
        "police" => Actions::read_old(words, reader)?,
        _ => return Ok(false),
    };
    let old = |actions: &Actions| matches!(actions.0.as_slice(), [act] if act.old);
    if word == "police" || !action.as_ref().is_some_and(old) {
        *action = Some(more);
    }
    Ok(true)
}

/// [`Options::assume`] of a filter whose own defaults are constants.
fn assume(options: &mut dyn Options, facts: &Facts) {
    options.assume_constants();
    each_act(options, |act| act.assume(facts));
    name_sets(options, facts);
}

/// [`Options::complete`] of a filter that has nothing to complete of its own.
fn complete(options: &mut dyn Options, facts: &Facts) {
    each_act(options, |act| act.complete(facts));
    name_sets(options, facts);
}

/// Writes names for the numbers of sets, where they are known.
fn name_sets(options: &mut dyn Options, facts: &Facts) {
    for row in 0..options.rows().len() {
        let Some(slot) = options.slot_mut(row) else { break };
        if let Some(Some(matches)) = slot.as_any_mut().downcast_mut::<Option<Matches>>() {
            matches.name_sets(facts);
        }
    }
}

/// Whether a row of both is the same; actions are compared one by one, and of a class `none` the kernel says nothing.
fn same(asked: &dyn Options, held: &dyn Options, row: usize, facts: &Facts) -> bool {
    let (Some(a), Some(b)) = (asked.slot(row), held.slot(row)) else { return false };
    let no_class = |slot: &dyn Slot| slot.as_any().downcast_ref() == Some(&Some(NO_CLASS)) || !slot.is_set();
    if asked.rows().get(row).is_some_and(|row| row.word == FLOWID.word) && no_class(a) && no_class(b) {
        return true;
    }
    let (left, right) = (a.as_any(), b.as_any());
    if let (Some(Some(a)), Some(Some(b))) = (left.downcast_ref(), right.downcast_ref::<Option<Actions>>()) {
        return Actions::same(a, b, facts);
    }
    a.same(b)
}

/// What is wrong in every kind of filter.
fn check(options: &dyn Options, facts: &Facts, out: &mut Vec<Finding>) {
    let set = |word| options.value::<Flag>(word) == Some(Flag(true));
    if set(SKIP_HW.word) && set(SKIP_SW.word) {
        out.push(
            Finding::new(&codes::BAD_VALUE, "skip_hw", "a filter that is neither in hardware nor in software")
                .and("skip_sw", "not in software"),
        );
    }
    if let Some(actions) = options.value::<Actions>(ACTION.word) {
        actions.check(facts, out);
    }
}

/// What the kernel has counted, as it says it among the options: rows that only it writes.
fn figures(options: &dyn Options) -> Vec<(&'static str, u64)> {
    let rows = options.rows().iter().enumerate().filter(|(_, r)| r.hidden && r.tool && !r.flag);
    rows.filter_map(|(i, row)| Some((row.word, options.slot(i)?.number()?))).collect()
}

/// An address and the length of its prefix as tc reads them: `10/8` is 10.0.0.0/8, `any` is every address, and the
/// length may be a mask. `six` says which family is wanted, if one is.
pub(crate) fn read_prefix(text: &str, six: Option<bool>) -> Option<(IpAddr, u8)> {
    if matches!(text, "default" | "any" | "all") {
        let any = if six? { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
        return Some((any, 0));
    }
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let address = match address.contains(':') {
        true => IpAddr::V6(address.parse().ok()?),
        false => IpAddr::V4(read_ipv4(address)?),
    };
    if six.is_some_and(|six| six != address.is_ipv6()) {
        return None;
    }
    let most = if address.is_ipv6() { 128 } else { 32 };
    let length = match length {
        None => most,
        Some(length) => match Number::read(length, &mut Reader::tc()) {
            Ok(Number(n)) => u8::try_from(n).ok().filter(|n| *n <= most)?,
            Err(_) => {
                let mask = read_ipv4(length)?.to_bits();
                let ones = mask.leading_ones();
                (ones + mask.trailing_zeros() >= 32).then_some(ones as u8)?
            }
        },
    };
    Some((address, length))
}

/// An IPv4 address whose last octets may be missing, each octet in any base.
fn read_ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() > 4 {
        return None;
    }
    for (octet, part) in octets.iter_mut().zip(parts) {
        *octet = u8::try_from(Number::read(part, &mut Reader::tc()).ok()?.0).ok()?;
    }
    Some(octets.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_read_as_tc_reads_them() {
        let four = |text| read_prefix(text, Some(false)).map(|(a, n)| format!("{a}/{n}"));
        assert_eq!(four("10/8").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(four("192.0.2.1").as_deref(), Some("192.0.2.1/32"));
        assert_eq!(four("192.0.2.0/255.255.255.0").as_deref(), Some("192.0.2.0/24"));
        assert_eq!(four("any").as_deref(), Some("0.0.0.0/0"));
        assert_eq!(read_prefix("2001:db8::/32", None).unwrap().1, 32);
        assert_eq!(read_prefix("default", Some(true)).unwrap().0, IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        for text in ["10/33", "10.0.0.0/255.0.255.0", "1.2.3.4.5", "300.1.1.1", "::1", "", "any/8"] {
            assert_eq!(four(text), None, "{text}");
        }
    }
}
