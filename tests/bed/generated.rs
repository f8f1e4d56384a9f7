//! Options of every kind of the registry, made from the texts that their rows allow: what the laws of the kinds hold for,
//! and what goes through a real kernel. Nothing here knows a kind but by the words that it cannot do without ([`base`]).
//!
//! The library's own tests include this file too (`src/kind.rs`).

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::string::string_regex;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use shapectl::diagnostic::Severity;
use shapectl::facts::Facts;
use shapectl::kind::{Kind, Options, Place, Role, Row, all, read_tc};
use shapectl::unit::{Handle, Info, Name, Rate, Reader, Schema, Unit as _, Words};

/// Options of a kind or of its classes.
pub struct Subject {
    pub name: String,
    pub kind: &'static Kind,
    pub is_class: bool,
    pub fresh: fn() -> Box<dyn Options>,
}

impl Subject {
    pub fn is_filter(&self) -> bool {
        self.kind.role == Role::Filter
    }
}

/// All that a registry has: its qdiscs and their classes, its filters and its actions.
pub fn subjects() -> Vec<Subject> {
    let mut list = Vec::new();
    for kind in [Role::Qdisc, Role::Filter, Role::Action].into_iter().flat_map(all) {
        list.push(Subject { name: kind.name.to_owned(), kind, is_class: false, fresh: kind.options });
        let class = |fresh| Subject { name: format!("{} class", kind.name), kind, is_class: true, fresh };
        list.extend(kind.class.map(class));
    }
    list
}

/// The words that a kind cannot do without.
pub fn base(name: &str) -> &'static str {
    match name {
        "htb class" => "rate 1mbit",
        "fw" | "basic" | "matchall" => "flowid 1:1",
        "route" => "to 1",
        "u32" => "match u32 0x0 0x0",
        "ets" => "bands 3",
        "mqprio" => "hw 0 queues 1@0 1@1 1@2 1@3 1@4 1@5 1@6 1@7",
        "taprio" => "clockid TAI num_tc 1 queues 1@0 sched-entry S 01 300000",
        "hfsc class" => "sc m2 1mbit",
        "tbf" => "rate 1mbit burst 10kb limit 100kb",
        "red" => "limit 400kb avpkt 1000",
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
        "ife" => "decode allow mark",
        _ => "",
    }
}

/// A text's words.
pub fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// What tc's words say.
pub fn from_tc(subject: &Subject, words: &[String]) -> Box<dyn Options> {
    let mut options = (subject.fresh)();
    read_tc(options.as_mut(), &mut Words::new(words), &mut Reader::tc())
        .unwrap_or_else(|e| panic!("{}: {words:?}: {}", subject.name, e.message));
    options
}

/// tc's words: of the object's own line, and of those of its parts.
pub fn lines(options: &dyn Options) -> Vec<Vec<String>> {
    let parts = std::iter::once(options.boxed()).chain(options.parts());
    let line = |part: Box<dyn Options>| {
        let mut line = Vec::new();
        part.tc(&mut line);
        line
    };
    parts.map(line).collect()
}

/// A policy's reader, on a link of 100 megabytes a second.
pub fn reader() -> Reader {
    Reader { whole: Some(Rate(100_000_000)), ..Reader::default() }
}

/// What stands in backticks.
pub fn offered(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// Small numbers and great ones, and those beside the ends of what the wire holds.
const NUMBERS: &str = "([0-9]|[1-9][0-9]{1,2}|[1-9][0-9]{3,8}|25[56]|6553[56]|429496729[56])";

/// Texts of a unit: what its schema allows, and what it offers.
fn texts(unit: Info) -> BoxedStrategy<String> {
    let of = |pattern: &str| {
        let pattern = pattern.trim_start_matches('^').trim_end_matches('$');
        string_regex(&pattern.replace("[0-9]+", NUMBERS)).unwrap()
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

/// Whether a kind's own check finds no error, nor a schedule that leaves a processor no time for the tests.
pub fn is_sound(options: &dyn Options, facts: &Facts) -> bool {
    let mut found = Vec::new();
    options.check(facts, &mut found);
    found.iter().all(|f| f.code.severity != Severity::Error && f.code.name != "short-schedule")
}

/// A text or none for each row; `share` of them have one.
fn strategy(subject: &Subject, share: f64) -> Vec<BoxedStrategy<Option<String>>> {
    (subject.fresh)().rows().iter().map(|row| prop::option::weighted(share, texts(row.unit)).boxed()).collect()
}

/// Options with those of the texts that can be read, and that are sound beside those before them.
fn filled(start: &dyn Options, texts: &[Option<String>], facts: &Facts) -> Box<dyn Options> {
    let mut options = start.boxed();
    let rows = options.rows();
    for (i, text) in texts.iter().enumerate().filter(|(i, _)| !rows[*i].hidden) {
        let Some(text) = text else { continue };
        let before = options.clone();
        let read = options.slot_mut(i).unwrap().read_text(text, &mut reader());
        if read.is_err() || !is_sound(options.as_ref(), facts) {
            options = before;
        }
    }
    options
}

/// Runs a test on options of each kind that have no error, made from texts of their rows.
pub fn for_all(test: impl Fn(&Subject, &dyn Options)) {
    let facts = Facts::default();
    for subject in subjects() {
        let start = from_tc(&subject, &words(base(&subject.name)));
        assert!(is_sound(start.as_ref(), &facts), "{} wants more than `{}`", subject.name, base(&subject.name));
        let mut runner = TestRunner::new(Config { cases: 128, failure_persistence: None, ..Config::default() });
        let result = runner.run(&strategy(&subject, 0.6), |texts| {
            test(&subject, filled(start.as_ref(), &texts, &facts).as_ref());
            Ok(())
        });
        if let Err(e) = result {
            panic!("{}: {e}", subject.name);
        }
    }
}

/// Some options of a kind, on a link of which the facts are known: few rows of some, most rows of others. Names are those
/// of a link, and rows can be left out. A filter's are in the light of a protocol, which is said beside them.
pub fn some(
    subject: &Subject,
    count: usize,
    facts: &Facts,
    link: &str,
    leaves_out: impl Fn(&Row, &str) -> bool,
) -> Vec<(u16, Box<dyn Options>)> {
    const PROTOCOLS: [u16; 10] = [3, 0x800, 0x800, 0x86dd, 0x86dd, 0x806, 0x8100, 0x88a8, 0x8847, 0x8864];
    let mut config = Config { failure_persistence: None, ..Config::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(1);
    }
    let mut runner = TestRunner::new(config);
    let rows = (subject.fresh)().rows();
    let base = words(base(&subject.name));
    let mut next = |turn: usize| {
        let protocol = if subject.is_filter() { PROTOCOLS[turn % PROTOCOLS.len()] } else { 0 };
        let mut start = (subject.fresh)();
        if subject.is_filter() {
            start.begin_tc(&Place { handle: 1, protocol, parent: Handle::new(1, 0), words: 1 });
        }
        read_tc(start.as_mut(), &mut Words::new(&base), &mut Reader::tc()).unwrap();
        let share = [0.1, 0.3, 0.6, 0.9][turn / PROTOCOLS.len() % 4];
        let mut texts = strategy(subject, share).new_tree(&mut runner).unwrap().current();
        for (row, text) in rows.iter().zip(&mut texts) {
            let own = text.take().filter(|text| !leaves_out(row, text));
            *text = own.map(|text| if row.unit.name == Name::INFO.name { link.to_owned() } else { text });
        }
        (protocol, filled(start.as_ref(), &texts, facts))
    };
    (0..count).map(&mut next).collect()
}
