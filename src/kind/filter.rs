//! Classifiers, one file each, named as the kernel names them; and what they share.
//!
//! A filter's place (`parent`, chain, `prio`, protocol) and its number travel in the message's header, not in its options;
//! what the number means, each kind says.

pub mod flower;
pub mod fw;
pub mod matchall;
pub mod u32;

use super::action::{Act, Actions, police};
use super::wire::{Attributes, Malformed, Payload};
use super::{Finding, Options, Row};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::unit::{Flag, Reader, Refusal, Unit, Words};

/// The row of the class that a filter's packets go to; tc reads both words everywhere.
pub(crate) const FLOWID: Row = Row::new("flowid").aliases(&["classid"]);
/// The row of the actions. tc takes nearly every word after `action` for an action's, so it stands last.
pub(crate) const ACTION: Row = Row::new("action");
/// Not in hardware.
pub(crate) const SKIP_HW: Row = Row::new("skip_hw").flag().default("no");
/// In hardware only.
pub(crate) const SKIP_SW: Row = Row::new("skip_sw").flag().default("no");

/// `TCA_CLS_FLAGS_SKIP_HW` and `TCA_CLS_FLAGS_SKIP_SW`.
const SKIP: [std::primitive::u32; 2] = [1, 2];

/// A filter's number as tc reads it for kinds that use `strtol` and look no further: what is no number is 0.
pub(crate) fn loose_handle(text: &str) -> std::primitive::u32 {
    crate::unit::strtoul(text, 0).map_or(0, |(number, _)| number as std::primitive::u32)
}

/// Writes the flags, if there are any.
fn encode_flags(number: u16, hw: Option<Flag>, sw: Option<Flag>, out: &mut Attributes) {
    let bit = |flag: Option<Flag>, bit| if flag == Some(Flag(true)) { bit } else { 0 };
    match bit(hw, SKIP[0]) | bit(sw, SKIP[1]) {
        0 => {}
        flags => out.u32(number, flags),
    }
}

/// Reads the flags; the kernel's own bits (in hardware or not) are left out.
fn decode_flags(flags: Option<std::primitive::u32>) -> [Option<Flag>; 2] {
    SKIP.map(|bit| flags.filter(|f| f & bit != 0).map(|_| Flag(true)))
}

/// The actions of a held filter: a list, or a policer in the way of before 2004, which runs the same.
fn decode_actions(list: Option<Payload>, police: Option<Payload>, facts: &Facts) -> Result<Option<Actions>, Malformed> {
    if let Some(list) = list {
        return Actions::decode(list, facts).map(Some);
    }
    let Some(payload) = police else { return Ok(None) };
    let mut act = Act::new(police::KIND.name);
    act.options.decode(payload, facts)?;
    act.old = true;
    Ok(Some(Actions::one(act)))
}

/// Reads `action …`, and `police …` without `action` as the same.
fn read_actions(actions: &mut Option<Actions>, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
    let more = match words.peek() {
        Some("action") => Actions::read_words(words, reader)?,
        Some(word) if word == police::KIND.name => Actions::read_old(words, reader)?,
        _ => return Ok(false),
    };
    actions.get_or_insert_default().0.extend(more.0);
    Ok(true)
}

/// Whether a row of both is the same; actions are compared one by one.
fn same_row<T: Options>(asked: &T, held: &T, row: usize, actions: [&Option<Actions>; 2], facts: &Facts) -> bool {
    if asked.rows().get(row).is_some_and(|r| r.word == ACTION.word) {
        return match actions {
            [Some(asked), Some(held)] => asked.same(held, facts),
            [asked, held] => asked.is_none() && held.is_none(),
        };
    }
    matches!((asked.slot(row), held.slot(row)), (Some(a), Some(b)) if a.same(b))
}

/// What is wrong in every kind of filter.
fn check(hw: Option<Flag>, sw: Option<Flag>, actions: Option<&Actions>, facts: &Facts, out: &mut Vec<Finding>) {
    if hw == Some(Flag(true)) && sw == Some(Flag(true)) {
        out.push(
            Finding::new(&codes::BAD_VALUE, "skip_hw", "a filter that is neither in hardware nor in software")
                .and("skip_sw", "not in software"),
        );
    }
    if let Some(actions) = actions {
        actions.check(facts, out);
    }
}
