//! Laws that hold for every kind of the registry, whatever its rows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::generated::{Subject, for_all, lines, offered, reader, subjects};
use super::wire::{Attributes, Payload};
use super::{Options, Role, all, read_tc};
use crate::facts::{Facts, Found, Links, Reference, Set};
use crate::unit::{Reader, Words};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::sync::Arc;

/// As it comes back from the wire: the object's own message, and those of its parts.
fn carried(subject: &Subject, options: &dyn Options, facts: &Facts) -> Box<dyn Options> {
    let mut held = (subject.fresh)();
    for part in std::iter::once(options.boxed()).chain(options.parts()) {
        let mut out = Attributes::new();
        part.encode(&mut out, facts);
        held.decode(Payload(&out.bytes), facts).unwrap();
    }
    held
}

/// As it comes back from tc's words: the object's own line, and those of its parts.
fn said(subject: &Subject, options: &dyn Options) -> (Box<dyn Options>, Vec<Vec<String>>) {
    let lines = lines(options);
    let mut again = (subject.fresh)();
    for line in &lines {
        read_tc(again.as_mut(), &mut Words::new(line), &mut Reader::tc())
            .unwrap_or_else(|e| panic!("{}: {line:?}: {}", subject.name, e.message));
    }
    (again, lines)
}

#[test]
fn every_row_is_documented_and_has_a_unit() {
    let sentence = |of: &str, text: &str| {
        let text = text.trim();
        assert!(!text.is_empty(), "{of} has no sentence");
        assert!(!text.ends_with('.'), "{of}: `{text}` ends in a full stop");
        let first = text.split_whitespace().next().unwrap();
        let acronym = first.chars().all(|c| !c.is_lowercase());
        assert!(acronym || !first.starts_with(char::is_uppercase), "{of}: `{text}` begins in upper case");
    };
    for kind in [Role::Qdisc, Role::Filter, Role::Action].into_iter().flat_map(all) {
        sentence(kind.name, kind.doc);
        assert!(!kind.config.is_empty() && !kind.config.starts_with("CONFIG_"), "{}: {}", kind.name, kind.config);
    }
    for subject in subjects() {
        for row in (subject.fresh)().rows() {
            sentence(&format!("{} {}", subject.name, row.word), row.doc);
            assert!(!row.unit.name.is_empty(), "{} {} has no unit", subject.name, row.word);
        }
    }
}

#[test]
fn words_are_one_options_own() {
    for subject in subjects() {
        let options = (subject.fresh)();
        let mut seen = std::collections::HashSet::new();
        for row in options.rows() {
            for word in [row.word].iter().chain(row.aliases).chain(row.off.as_ref()) {
                assert!(seen.insert(*word), "{}: `{word}` twice", subject.name);
            }
        }
    }
}

#[test]
fn every_default_reads() {
    for subject in subjects() {
        let mut options = (subject.fresh)();
        for (i, row) in options.rows().iter().enumerate() {
            let Some(text) = row.default else { continue };
            let slot = options.slot_mut(i).unwrap();
            assert!(super::read_default(text, slot), "{} {}: {text}", subject.name, row.word);
            assert!(row.computed.is_none(), "{} {} has two defaults", subject.name, row.word);
        }
    }
}

#[test]
fn what_a_unit_offers_can_be_read() {
    for subject in subjects() {
        let mut options = (subject.fresh)();
        for (i, row) in options.rows().iter().enumerate() {
            for text in offered(row.unit.spellings) {
                let read = options.slot_mut(i).unwrap().read_text(&text, &mut reader());
                assert!(read.is_ok(), "{} {}: `{text}`: {read:?}", subject.name, row.word);
            }
        }
    }
}

#[test]
fn what_is_shown_is_read_as_the_same() {
    for_all(|subject, options| {
        let mut again = (subject.fresh)();
        for (i, row) in options.rows().iter().enumerate() {
            let slot = options.slot(i).unwrap();
            let Some(text) = slot.show() else { continue };
            let copy = again.slot_mut(i).unwrap();
            let read = copy.read_text(&text, &mut Reader::default());
            assert!(read.is_ok(), "{} {}: {text}: {read:?}", subject.name, row.word);
            assert!(slot.same(again.slot(i).unwrap()), "{} {}: {text}", subject.name, row.word);
        }
    });
}

/// Facts of a machine that has the links these options name.
fn facts_for(options: &dyn Options) -> Facts {
    let named =
        ["ifb0".to_owned(), "eth1".to_owned()].into_iter().chain(options.show("dev")).chain(options.show("fromif"));
    let mut sets = Found::default();
    for reference in [Reference::Set("bulk".into()), Reference::SetNumber(4)] {
        sets.insert(reference, Ok(Set { name: "bulk".into(), number: 4 }));
    }
    let sets = Arc::new(sets);
    Facts { links: Arc::new(Links::new((7..).zip(named.map(Into::into)))), sets, ..Facts::default() }
}

/// As held beside as asked: every row that is known of both.
fn assert_held(subject: &Subject, asked: &dyn Options, held: &dyn Options, what: &dyn std::fmt::Debug) {
    let facts = Facts::default();
    let (mut asked, mut held) = (asked.boxed(), held.boxed());
    asked.complete(&facts);
    asked.assume(&facts);
    held.assume(&facts);
    for (i, row) in asked.rows().iter().enumerate().filter(|(_, r)| !r.tool) {
        if asked.slot(i).unwrap().is_set() {
            assert!(
                asked.same(held.as_ref(), i, &facts),
                "{} {}: asked {asked:?}\n held {held:?}\n {what:?}",
                subject.name,
                row.word
            );
        }
    }
}

#[test]
fn tcs_words_are_read_as_the_same() {
    for_all(|subject, options| {
        let mut full = options.boxed();
        full.complete(&Facts::default());
        // what takes two commands is read by the kernel alone
        for options in [options, full.as_ref()].into_iter().filter(|options| options.tc_then().is_none()) {
            let (mut again, lines) = said(subject, options);
            if subject.is_filter() {
                assert_eq!(again.read_handle(&options.show_handle(7)), Ok(7), "{}", subject.name);
            }
            again.complete(&Facts::default());
            assert_held(subject, options, again.as_ref(), &lines);
        }
    });
}

#[test]
fn the_wire_holds_what_the_check_lets_through() {
    for_all(|subject, options| {
        let facts = facts_for(options);
        let held = carried(subject, options, &facts);
        assert_held(subject, options, held.as_ref(), &held);
    });
}

/// What was read from the kernel can be written for tc, and comes to the same again.
#[test]
fn what_is_held_can_be_written_for_tc() {
    for_all(|subject, options| {
        let facts = facts_for(options);
        let held = carried(subject, options, &facts);
        if held.tc_then().is_some() {
            return;
        }
        let (mut again, lines) = said(subject, held.as_ref());
        if subject.is_filter() {
            assert_eq!(again.read_handle(&held.show_handle(7)), Ok(7), "{}", subject.name);
        }
        again.complete(&facts);
        assert_held(subject, held.as_ref(), again.as_ref(), &lines);
    });
}

#[test]
fn decoding_junk_is_refused_or_read_and_never_worse() {
    let mut runner = TestRunner::new(Config { cases: 512, failure_persistence: None, ..Config::default() });
    let junk = prop::collection::vec(prop_oneof![2 => 0u8..12, 1 => any::<u8>()], 0..120);
    runner
        .run(&junk, |bytes| {
            for subject in subjects() {
                let mut options = (subject.fresh)();
                if options.decode(Payload(&bytes), &Facts::default()).is_ok() {
                    options.tc(&mut Vec::new());
                    options.assume(&Facts::default());
                    options.encode(&mut Attributes::new(), &Facts::default());
                    options.parts();
                }
            }
            Ok(())
        })
        .unwrap();
}
