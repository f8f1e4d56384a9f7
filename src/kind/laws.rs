//! Laws that hold for every kind of the registry, whatever its rows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::wire::{Attributes, Payload};
use super::{Options, Role, all, read_tc};
use crate::diagnostic::Severity;
use crate::facts::{Facts, Found, Links, Reference, Set};
use crate::unit::{Info, Rate, Reader, Schema, Words};
use proptest::prelude::*;
use proptest::string::string_regex;
use proptest::test_runner::{Config, TestRunner};
use std::sync::Arc;

/// Options of a kind or of its classes.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) fresh: fn() -> Box<dyn Options>,
    pub(crate) filter: bool,
}

fn subjects() -> Vec<Subject> {
    let mut list = Vec::new();
    for kind in [Role::Qdisc, Role::Filter, Role::Action].into_iter().flat_map(all) {
        list.push(Subject { name: kind.name.to_owned(), fresh: kind.options, filter: kind.role == Role::Filter });
        list.extend(kind.class.map(|fresh| Subject { name: format!("{} class", kind.name), fresh, filter: false }));
    }
    list
}

/// The words that a kind cannot do without.
fn base(name: &str) -> &'static str {
    match name {
        "htb class" => "rate 1mbit",
        "ets" => "bands 3",
        "mqprio" => "hw 0 queues 1@0 1@1 1@2 1@3 1@4 1@5 1@6 1@7",
        "taprio" => "clockid TAI num_tc 1 queues 1@0 sched-entry S 01 300000",
        "hfsc class" => "sc m2 1mbit",
        "tbf" => "rate 1mbit burst 10kb limit 100kb",
        "red" => "limit 400kb",
        "choke" => "limit 1000 bandwidth 10mbit",
        "gred" => "setup vqs 3 default 2",
        "etf" => "clockid CLOCK_TAI",
        "police" => "rate 1mbit burst 10kb",
        "bpf" => "bytecode 1,6+0+0+0",
        "flow" => "keys src",
        "mirred" => "egress redirect dev lo",
        "gact" => "drop",
        "skbedit" => "mark 5",
        "skbmod" => "ecn",
        "csum" => "iph",
        "vlan" => "pop",
        "mpls" => "dec_ttl",
        "nat" => "egress 10.0.0.0/24 192.0.2.0",
        "ctinfo" => "cpmark",
        "sample" => "rate 100 group 1",
        "simple" => "sdata hello",
        "pedit" => "munge offset 0 u8 set 1",
        "tunnel_key" => "unset",
        "gate" => "sched-entry open 100us",
        "ife" => "decode",
        _ => "",
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

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
    let parts = std::iter::once(options.boxed()).chain(options.parts());
    let lines: Vec<Vec<String>> = parts
        .map(|part| {
            let mut line = Vec::new();
            part.tc(&mut line);
            line
        })
        .collect();
    let mut again = (subject.fresh)();
    for line in &lines {
        read_tc(again.as_mut(), &mut Words::new(line), &mut Reader::tc())
            .unwrap_or_else(|e| panic!("{}: {line:?}: {}", subject.name, e.message));
    }
    (again, lines)
}

fn from_tc(subject: &Subject, words: &[String]) -> Box<dyn Options> {
    let mut options = (subject.fresh)();
    read_tc(options.as_mut(), &mut Words::new(words), &mut Reader::tc())
        .unwrap_or_else(|e| panic!("{}: {words:?}: {}", subject.name, e.message));
    options
}

fn reader() -> Reader {
    Reader { whole: Some(Rate(100_000_000)), ..Reader::default() }
}

/// What stands in backticks.
fn offered(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// Texts of a unit: what its schema allows, and what it offers.
fn texts(unit: Info) -> BoxedStrategy<String> {
    let of = |pattern: &str| {
        let pattern = pattern.trim_start_matches('^').trim_end_matches('$');
        string_regex(&pattern.replace("[0-9]+", "(0|[1-9][0-9]{0,8})")).unwrap()
    };
    let examples: Vec<String> = offered(unit.spellings).collect();
    let examples = if examples.is_empty() { vec![String::new()] } else { examples };
    let examples = prop::sample::select(examples);
    match unit.schema {
        Schema::Pattern(pattern) => prop_oneof![1 => examples, 3 => of(pattern)].boxed(),
        Schema::Flag => prop::sample::select(vec!["yes".to_owned(), "no".to_owned()]).boxed(),
        Schema::List(pattern) => {
            let list = prop::collection::vec(of(pattern), 0..20).prop_map(|v| format!("[{}]", v.join(", ")));
            prop_oneof![1 => examples, 1 => list].boxed()
        }
        Schema::OneOf(words) => prop::sample::select(words).prop_map(str::to_owned).boxed(),
        Schema::Any => examples.boxed(),
    }
}

fn is_sound(options: &dyn Options) -> bool {
    let mut found = Vec::new();
    options.check(&Facts::default(), &mut found);
    found.iter().all(|f| f.code.severity != Severity::Error)
}

/// Runs a test on options of each kind that have no error, made from texts of their rows.
pub(crate) fn for_all(test: impl Fn(&Subject, &dyn Options)) {
    for subject in subjects() {
        let rows = (subject.fresh)().rows();
        let start = from_tc(&subject, &words(base(&subject.name)));
        assert!(is_sound(start.as_ref()), "{} wants more than `{}`", subject.name, base(&subject.name));
        let strategy: Vec<_> = rows.iter().map(|r| prop::option::weighted(0.6, texts(r.unit))).collect();
        let mut runner = TestRunner::new(Config { cases: 128, failure_persistence: None, ..Config::default() });
        let result = runner.run(&strategy, |texts| {
            let mut options = start.clone();
            for (i, text) in texts.iter().enumerate().filter(|(i, _)| !rows[*i].hidden) {
                let Some(text) = text else { continue };
                let before = options.clone();
                let read = options.slot_mut(i).unwrap().read_text(text, &mut reader());
                if read.is_err() || !is_sound(options.as_ref()) {
                    options = before;
                }
            }
            test(&subject, options.as_ref());
            Ok(())
        });
        if let Err(e) = result {
            panic!("{}: {e}", subject.name);
        }
    }
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
        for options in [options, full.as_ref()] {
            let (mut again, lines) = said(subject, options);
            if subject.filter {
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
        let (mut again, lines) = said(subject, held.as_ref());
        if subject.filter {
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
