//! `grammar/shapectl.ebnf` against the readers: its examples are derived from their productions and read, and texts made at
//! random from its productions are read. A small interpreter of EBNF does both.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use shapectl::codes;
use shapectl::diagnostic::{Diagnostic, Sink};
use shapectl::fuzz;
use shapectl::source::{FileId, Source, Span};
use shapectl::syntax::{Arity, Limits, Vocabulary, expression_parser, shape};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

const GRAMMAR: &str = include_str!("../grammar/shapectl.ebnf");
const KINDS: &[&str] = &["fq_codel", "sfq", "htb", "tbf", "prio", "pfifo", "red", "cake"];
const FLAGS: &[&str] = &["ecn", "nat"];
const BARE: &[&str] = &["drop", "pass"];
const VALUED: &[&str] = &["mark", "priority", "redirect", "mirror"];

/// The words of the trade that the grammar leaves open.
struct Words;

impl Vocabulary for Words {
    fn is_discipline(&self, word: &str) -> bool {
        KINDS.contains(&word)
    }
    fn action(&self, word: &str) -> Option<Arity> {
        match word {
            _ if BARE.contains(&word) => Some(Arity::Flag),
            _ if VALUED.contains(&word) => Some(Arity::Value),
            "police" | "ctinfo" => Some(Arity::Options),
            _ => None,
        }
    }
    fn is_flag(&self, _: &str, word: &str) -> bool {
        FLAGS.contains(&word)
    }
}

/// A part of a production.
#[derive(Debug)]
enum Part {
    Text(String),
    Prose(String),
    Name(String),
    Sequence(Vec<Part>),
    Choice(Vec<Part>),
    Option(Box<Part>),
    Repeat(Box<Part>),
}

struct Production {
    body: Part,
    /// Where its examples stand.
    place: String,
    examples: Vec<String>,
}

struct Grammar(BTreeMap<String, Production>);

/// What a `? … ?` stands for: some texts of it, and how to know one: so many characters of that sort, or one of the texts.
struct Prose(&'static [&'static str], Option<Run>);

/// The least and the most characters, and their sort.
type Run = (usize, usize, fn(char) -> bool);

fn prose(text: &str) -> Prose {
    let hex = |c: char| c.is_ascii_hexdigit();
    let digit = |c: char| c.is_ascii_digit();
    match text {
        "line end" => Prose(&["\n"], None),
        "any character but a line end" => {
            Prose(&["x", " ", "'", "\"", "{", ")", "#", "é"], Some((1, 1, |c| c != '\n')))
        }
        "any visible character but {}[](),;#\"'=" => {
            let word = |c: char| !c.is_whitespace() && !c.is_control() && !"{}[](),;#\"'=".contains(c);
            Prose(&["x", "7", "-", ".", "/", "%", "é"], Some((1, 1, word)))
        }
        "any character but \" \\ and a line end" => {
            Prose(&["x", " ", "{", "#", "'", ";", "é"], Some((1, 1, |c| !"\"\\\n".contains(c))))
        }
        "any character but ' and a line end" => {
            Prose(&["x", " ", "}", "\"", "\\"], Some((1, 1, |c| !"'\n".contains(c))))
        }
        "letter" => Prose(&["x", "z"], Some((1, 1, |c| c.is_ascii_alphabetic()))),
        "letter, digit, _ - + or ." => {
            Prose(&["q", "7", "_", "-", "+"], Some((1, 1, |c| c.is_ascii_alphanumeric() || "_-+.".contains(c))))
        }
        "one to four hexadecimal digits" => Prose(&["1", "10", "ffff"], Some((1, 4, hex))),
        "one to six hexadecimal digits" => Prose(&["41", "e9", "1f600"], Some((1, 6, hex))),
        "one to eight hexadecimal digits" => Prose(&["0", "10", "ff", "ffffffff"], Some((1, 8, hex))),
        "a decimal number" => Prose(&["0", "4", "22", "443", "65536"], Some((1, 10, digit))),
        "a byte" => Prose(&["02", "0", "ff"], Some((1, 2, hex))),
        "a prefix length" => Prose(&["8", "24", "0", "33"], Some((1, 3, digit))),
        "an address" => {
            let of = |c: char| c.is_ascii_hexdigit() || ".:".contains(c);
            Prose(&["192.0.2.1", "10.0.0.0", "2001:db8::1", "::"], Some((1, 39, of)))
        }
        "a name" => Prose(&["xlan", "eth0"], Some((1, 15, |c| c.is_alphanumeric() || "_-.".contains(c)))),
        "the name of a discipline" => Prose(KINDS, None),
        "the name of a flag of that kind" => Prose(FLAGS, None),
        "the name of an action that takes nothing" => Prose(BARE, None),
        "the name of an action that takes a value" => Prose(VALUED, None),
        "the name of an action that takes options" => Prose(&["police", "ctinfo"], None),
        "the name of a port" => Prose(&["ssh", "http", "domain"], None),
        "the name of an ICMP type" => Prose(&["echo-request", "packet-too-big", "redirect"], None),
        "the name of a DSCP" => Prose(&["ef", "AF11", "cs6"], None),
        "the name of an ethertype" => Prose(&["arp", "802.1q"], None),
        other => panic!("the prose `{other}` is not known to the test"),
    }
}

// Reading EBNF.

struct Scanner<'g> {
    rest: &'g str,
    place: String,
    examples: Vec<String>,
}

impl<'g> Scanner<'g> {
    /// Passes over blanks and comments, and takes the examples and places from these.
    fn skip(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            let Some(inner) = self.rest.strip_prefix("(*") else { return };
            let (comment, rest) = inner.split_once("*)").expect("a comment is closed");
            let comment = comment.trim();
            if let Some(place) = comment.strip_prefix("in: ") {
                self.place = place.to_owned();
            } else if let Some(example) = comment.strip_prefix("example: ") {
                self.examples.push(example.replace("\\\\", "\0").replace("\\n", "\n").replace('\0', "\\"));
            }
            self.rest = rest;
        }
    }

    fn take(&mut self, mark: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, mark: &str) {
        assert!(self.take(mark), "`{mark}` is wanted at {:.60}", self.rest);
    }

    fn until(&mut self, mark: char) -> &'g str {
        let (text, rest) = self.rest.split_once(mark).expect("it is closed");
        self.rest = rest;
        text
    }

    fn choice(&mut self) -> Part {
        let mut parts = vec![self.sequence()];
        while self.take("|") {
            parts.push(self.sequence());
        }
        if parts.len() == 1 { parts.pop().unwrap() } else { Part::Choice(parts) }
    }

    fn sequence(&mut self) -> Part {
        let mut parts = vec![self.part()];
        while self.take(",") {
            parts.push(self.part());
        }
        if parts.len() == 1 { parts.pop().unwrap() } else { Part::Sequence(parts) }
    }

    fn part(&mut self) -> Part {
        if self.take("[") {
            let inner = self.choice();
            self.expect("]");
            return Part::Option(Box::new(inner));
        }
        if self.take("{") {
            let inner = self.choice();
            self.expect("}");
            return Part::Repeat(Box::new(inner));
        }
        if self.take("(") {
            let inner = self.choice();
            self.expect(")");
            return inner;
        }
        for mark in ['"', '\''] {
            if self.take(&mark.to_string()) {
                return Part::Text(self.until(mark).to_owned());
            }
        }
        if self.take("?") {
            return Part::Prose(self.until('?').trim().to_owned());
        }
        Part::Name(self.name())
    }

    fn name(&mut self) -> String {
        self.skip();
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        assert!(!name.is_empty(), "a name is wanted at {:.60}", self.rest);
        self.rest = rest;
        name.to_owned()
    }
}

fn grammar() -> Grammar {
    let mut scanner = Scanner { rest: GRAMMAR, place: String::new(), examples: Vec::new() };
    let mut productions = BTreeMap::new();
    loop {
        scanner.skip();
        if scanner.rest.is_empty() {
            return Grammar(productions);
        }
        let (place, examples) = (scanner.place.clone(), std::mem::take(&mut scanner.examples));
        let name = scanner.name();
        scanner.expect("=");
        let body = scanner.choice();
        scanner.expect(";");
        let before = productions.insert(name.clone(), Production { body, place, examples });
        assert!(before.is_none(), "`{name}` is defined twice");
    }
}

/// Whether the parts of a production stand side by side.
fn is_word(name: &str) -> bool {
    !name.contains(|c: char| c.is_ascii_lowercase())
}

// Deriving: where the texts can end that start at a place.

struct Deriver<'g> {
    grammar: &'g Grammar,
    text: &'g str,
    known: HashMap<(&'g str, usize), Rc<BTreeSet<usize>>>,
}

impl<'g> Deriver<'g> {
    fn production(&mut self, name: &'g str, at: usize) -> Rc<BTreeSet<usize>> {
        if let Some(known) = self.known.get(&(name, at)) {
            return known.clone();
        }
        let body = &self.grammar.0.get(name).unwrap_or_else(|| panic!("`{name}` is not defined")).body;
        let ends = Rc::new(self.ends(body, at, is_word(name)));
        self.known.insert((name, at), ends.clone());
        ends
    }

    fn ends(&mut self, part: &'g Part, at: usize, side_by_side: bool) -> BTreeSet<usize> {
        let word = |c: char| !c.is_whitespace() && !"{}[](),;#\"'=".contains(c);
        let start = if side_by_side {
            at
        } else {
            at + self.text[at..].len() - self.text[at..].trim_start_matches([' ', '\t']).len()
        };
        let whole = |text: &str, end: usize| {
            let cut = text[..end].chars().next_back().is_some_and(word) && text[end..].chars().next().is_some_and(word);
            side_by_side || !cut
        };
        match part {
            Part::Text(t) => {
                let end = start + t.len();
                let fits = self.text[start..].starts_with(t.as_str()) && whole(self.text, end);
                fits.then_some(end).into_iter().collect()
            }
            Part::Prose(text) => {
                let Prose(texts, run) = prose(text);
                let rest = &self.text[start..];
                let ends: BTreeSet<usize> = match run {
                    None => texts.iter().filter(|t| rest.starts_with(**t)).map(|t| start + t.len()).collect(),
                    Some((least, most, sort)) => {
                        let fitting = rest.chars().take(most).take_while(|c| sort(*c)).map(char::len_utf8);
                        let lengths = fitting.scan(0, |sum, n| {
                            *sum += n;
                            Some(*sum)
                        });
                        lengths.skip(least - 1).map(|n| start + n).collect()
                    }
                };
                ends.into_iter().filter(|end| whole(self.text, *end)).collect()
            }
            Part::Name(name) => {
                let from = if is_word(name) { start } else { at };
                let ends = self.production(name, from);
                ends.iter().copied().filter(|end| !is_word(name) || *end == from || whole(self.text, *end)).collect()
            }
            Part::Sequence(parts) => {
                let mut from = BTreeSet::from([at]);
                for part in parts {
                    from = from.iter().flat_map(|at| self.ends(part, *at, side_by_side)).collect();
                }
                from
            }
            Part::Choice(parts) => parts.iter().flat_map(|p| self.ends(p, at, side_by_side)).collect(),
            Part::Option(inner) => {
                let mut ends = self.ends(inner, at, side_by_side);
                ends.insert(at);
                ends
            }
            Part::Repeat(inner) => {
                let mut all = BTreeSet::from([at]);
                let mut fresh = all.clone();
                while !fresh.is_empty() {
                    let next: BTreeSet<usize> =
                        fresh.iter().flat_map(|at| self.ends(inner, *at, side_by_side)).collect();
                    fresh = next.difference(&all).copied().collect();
                    all.extend(&fresh);
                }
                all
            }
        }
    }
}

fn derives(grammar: &Grammar, name: &str, text: &str) -> bool {
    let (name, _) = grammar.0.get_key_value(name).unwrap();
    let mut deriver = Deriver { grammar, text, known: HashMap::new() };
    deriver.production(name, 0).iter().any(|end| text[*end..].trim().is_empty())
}

// Making texts.

/// A small generator of numbers (xorshift), so that a failure comes back.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % n
    }
}

/// A text that has grown so long is brought to its end.
const LENGTH: usize = 2000;

fn write(grammar: &Grammar, part: &Part, side_by_side: bool, budget: usize, dice: &mut Dice, out: &mut String) {
    let budget = if out.len() > LENGTH { 0 } else { budget };
    let blank = |out: &mut String| {
        if !side_by_side && !out.is_empty() && !out.ends_with(['\n', ' ']) {
            out.push(' ');
        }
    };
    match part {
        Part::Text(t) => {
            blank(out);
            out.push_str(t);
        }
        Part::Prose(text) => {
            blank(out);
            let Prose(texts, _) = prose(text);
            out.push_str(texts[dice.below(texts.len())]);
        }
        Part::Name(name) => {
            let word = is_word(name);
            if word {
                blank(out);
            }
            let body = &grammar.0.get(name).unwrap_or_else(|| panic!("`{name}` is not defined")).body;
            write(grammar, body, word, budget.saturating_sub(1), dice, out);
        }
        Part::Sequence(parts) => parts.iter().for_each(|p| write(grammar, p, side_by_side, budget, dice, out)),
        // The first alternative of every production leads to an end.
        Part::Choice(parts) => {
            let which = if budget == 0 { 0 } else { dice.below(parts.len()) };
            write(grammar, &parts[which], side_by_side, budget, dice, out);
        }
        Part::Option(inner) => {
            if budget > 0 && dice.below(2) == 0 {
                write(grammar, inner, side_by_side, budget, dice, out);
            }
        }
        Part::Repeat(inner) => {
            for _ in 0..if budget == 0 { 0 } else { dice.below(3) } {
                write(grammar, inner, side_by_side, budget, dice, out);
            }
        }
    }
}

/// What is wrong with a text in its place: `match @` is read by the reader of expressions, all else as a file.
fn faults(place: &str, text: &str) -> Vec<Diagnostic> {
    let mut sink = Sink::new();
    let whole = place.replace('@', text);
    if let Some(expression) = whole.strip_prefix("match ") {
        let at = Span::new(FileId(0), 0, expression.len());
        expression_parser::parse(expression, at, &|_| None, &mut sink);
    } else {
        let source = Source::new("a.shape", whole);
        let document = shape::read(&source, FileId(0), &Words, &Limits::default(), &mut sink);
        assert_eq!(document.is_none(), sink.has_errors(), "{}", source.text);
    }
    // The grammar knows words and their order; what a value means is not its business, and an empty file is well formed.
    sink.found.retain(|d| [&codes::SYNTAX, &codes::UNKNOWN_FIELD, &codes::TOO_DEEP].contains(&d.code));
    sink.found
}

#[test]
fn every_production_has_an_example_that_it_derives_and_the_readers_read() {
    let grammar = grammar();
    for (name, production) in &grammar.0 {
        assert!(!production.examples.is_empty(), "`{name}` has no example");
        for example in &production.examples {
            assert!(derives(&grammar, name, example), "`{name}` does not derive its example {example:?}");
            let found = faults(&production.place, example);
            assert!(found.is_empty(), "`{name}`: {example:?} in {:?}\n{found:#?}", production.place);
        }
    }
}

#[test]
fn every_production_is_reached_from_the_file() {
    fn names<'g>(part: &'g Part, all: &mut Vec<&'g str>) {
        match part {
            Part::Name(name) => all.push(name),
            Part::Sequence(parts) | Part::Choice(parts) => parts.iter().for_each(|p| names(p, all)),
            Part::Option(inner) | Part::Repeat(inner) => names(inner, all),
            Part::Text(_) | Part::Prose(_) => {}
        }
    }
    let grammar = grammar();
    let mut reached = BTreeSet::new();
    let mut next = vec!["file"];
    while let Some(name) = next.pop() {
        if reached.insert(name) {
            names(&grammar.0.get(name).unwrap_or_else(|| panic!("`{name}` is not defined")).body, &mut next);
        }
    }
    let left: Vec<_> = grammar.0.keys().filter(|name| !reached.contains(name.as_str())).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn texts_made_from_the_grammar_are_read_without_syntax_errors() {
    let grammar = grammar();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for round in 0..100 {
        for (name, production) in &grammar.0 {
            let mut text = String::new();
            let budget = 6 + round % 24;
            write(&grammar, &production.body, is_word(name), budget, &mut dice, &mut text);
            let found = faults(&production.place, &text);
            let whole = production.place.replace('@', &text);
            assert!(
                found.is_empty(),
                "`{name}`:\n{whole}\n{:?}",
                found.iter().map(|d| (&d.message, underlined(d, &whole))).collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn the_samples_are_derived_and_read() {
    let grammar = grammar();
    let mut count = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/samples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "shape") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(derives(&grammar, "file", &text), "{} is not derived", path.display());
        let found = faults("@", &text);
        assert!(found.is_empty(), "{}: {found:#?}", path.display());
        count += 1;
    }
    assert!(count > 5);
}

const NOISE: &[u8] = b"{}[](),;:#\"'=\n \x00\xff/-$@!";

#[test]
fn broken_texts_are_refused_with_a_reason_and_a_place() {
    let grammar = grammar();
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut bytes = Vec::new();
    for round in 0..600 {
        let (name, fuzz): (&str, fn(&[u8])) =
            if round % 3 == 0 { ("file", fuzz::fuzz_shape) } else { ("expression", fuzz::fuzz_expression) };
        let mut text = String::new();
        write(&grammar, &grammar.0[name].body, false, 8 + round % 16, &mut dice, &mut text);
        fuzz(text.as_bytes());
        bytes.clear();
        bytes.extend_from_slice(text.as_bytes());
        for _ in 0..1 + dice.below(6) {
            let at = dice.below(bytes.len() + 1);
            match dice.below(4) {
                0 if at < bytes.len() => drop(bytes.remove(at)),
                1 => bytes.insert(at, NOISE[dice.below(NOISE.len())]),
                2 => bytes.truncate(at),
                _ => {
                    let copy = bytes[at..].iter().take(dice.below(40)).copied().collect::<Vec<_>>();
                    let to = dice.below(bytes.len() + 1);
                    bytes.splice(to..to, copy);
                }
            }
        }
        fuzz(&bytes);
    }
}

fn underlined<'t>(d: &Diagnostic, text: &'t str) -> &'t str {
    text.get(d.span().start as usize..d.span().end as usize).unwrap_or("")
}

#[test]
fn the_grammar_derives_nothing_that_is_wrong() {
    let grammar = grammar();
    for text in ["rate: 1mbit", "rate = 1mbit", "a 1, b 2"] {
        assert!(!derives(&grammar, "options", text), "{text}");
    }
    for text in ["tcp dport", "tcp or", "dport 22, 80", "(tcp", "not", "dport {}", "classy 5"] {
        assert!(!derives(&grammar, "expression", text), "{text}");
    }
    assert!(!derives(&grammar, "file", "interface eth0 { egress fq_codel"));
    assert!(!derives(&grammar, "file", "classes { }"));
}
