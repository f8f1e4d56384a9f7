//! The YAML reader and both writers on whole files: against serde_yaml, on every sample, and on broken samples.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

use proptest::prelude::*;
use serde_yaml::Value as Other;
use shapectl::diagnostic::{Sink, render};
use shapectl::fuzz::fuzz_yaml;
use shapectl::kind::Vocabulary;
use shapectl::source::{FileId, Notation, Source, Sources};
use shapectl::syntax::document::{Document, Node, Trivia, Value};
use shapectl::syntax::{Limits, shape, write, yaml};
use std::path::PathBuf;

fn samples(ending: &str) -> Vec<(String, String)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("samples");
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == ending));
    files.sort();
    assert!(files.len() > 10);
    files.iter().map(|p| (p.display().to_string(), std::fs::read_to_string(p).unwrap())).collect()
}

fn read(name: &str, text: &str, notation: Notation) -> Document {
    let mut sources = Sources::new();
    let id = sources.add(Source::with_notation(name, text, notation));
    let (mut sink, limits) = (Sink::new(), Limits::default());
    let source = sources.get(id).unwrap();
    let document = match notation {
        Notation::Yaml => yaml::read(source, id, &limits, &mut sink),
        Notation::Shape => shape::read(source, id, &Vocabulary, &limits, &mut sink),
    };
    assert!(sink.found.is_empty(), "{name}\n{text}\n{}", render(&sink.found, &sources, false, 100));
    document.unwrap()
}

/// Whether serde_yaml reads the same shape, keys and texts. What it makes a number, a boolean or nothing of, because it was
/// written without quotes, must be spelled so.
fn agree(ours: &Node, other: &Other, path: &str) {
    match (&ours.value, other) {
        (Value::Block(entries), Other::Mapping(map)) => {
            assert_eq!(entries.len(), map.len(), "{path}");
            for (entry, (key, value)) in entries.iter().zip(map) {
                let path = format!("{path}/{}", entry.key.value);
                match key {
                    Other::String(key) => assert_eq!(entry.key.value, key, "{path}"),
                    other => assert_eq!(serde_yaml::from_str::<Other>(&entry.key.value).unwrap(), *other, "{path}"),
                }
                agree(&entry.node, value, &path);
            }
        }
        (Value::List(items), Other::Sequence(list)) => {
            assert_eq!(items.len(), list.len(), "{path}");
            items.iter().zip(list).for_each(|(item, value)| agree(&item.node, value, path));
        }
        (Value::Word(w), Other::String(text)) => assert_eq!(w.text, text, "{path}"),
        (Value::Word(w), other) => {
            assert!(!w.quoted, "{path}");
            assert_eq!(serde_yaml::from_str::<Other>(&w.text).unwrap(), *other, "{path}");
        }
        (Value::Null, Other::Null) => {}
        (ours, other) => panic!("{path}: {ours:?} and {other:?}"),
    }
}

#[test]
fn serde_yaml_reads_the_same() {
    let more = [
        "a: {b: [c, d], 'e f': \"g\\th\"}\ni:\n- j\n- k: l\n  m: >-\n    n\n    o\n\n    p\n-\n  - q\n",
        "a: &x {b: c, d: [e]}\nf: *x\ng: [*x, *x]\n",
        "a:\nb: ~\nc: ''\nd: 'it''s'\ne: 0x10\nf: 010\ng: 1e3\nh: yes\ni: true\nj: 1:10\n",
        "? a\n: b\n? c\n:\n  - d\n\"e\": |2+\n   f\n  g\n\nh: i\n",
        "---\na: tcp\n   dport {22, 80}\nb: -1\nc: ::1\nd: a#b\ne: http://x/y?z\n",
        "{a: 1, b: {c: , d: [] }, e: [f: g, h]}",
        "\u{feff}a: \u{1f600}\nb: \"\\u00e9\\U0001F600\\x41\"\n",
    ];
    let more = more.iter().map(|t| ("text".to_owned(), (*t).to_owned()));
    for (name, text) in samples("yaml").into_iter().chain(more) {
        let document = read(&name, &text, Notation::Yaml);
        // serde_yaml takes a byte order mark for a document of its own.
        let other = serde_yaml::from_str(text.trim_start_matches('\u{feff}')).unwrap();
        agree(&document.root, &other, &name);
        let written = write::write(&document, Notation::Yaml, &Vocabulary);
        agree(&document.root, &serde_yaml::from_str(&written).unwrap(), &format!("{name} written"));
    }
}

#[test]
fn what_serde_yaml_writes_is_read_as_it_was() {
    for (name, text) in samples("yaml") {
        let value: Other = serde_yaml::from_str(&text).unwrap();
        let emitted = write::emit(&value).unwrap();
        agree(&read(&name, &emitted, Notation::Yaml).root, &value, &name);
    }
}

/// All comments, in no order.
fn comments(document: &Document) -> Vec<String> {
    fn keep(trivia: Option<&Trivia>, out: &mut Vec<String>) {
        out.extend(trivia.iter().flat_map(|t| t.above.iter().chain(&t.beside).chain(&t.below).cloned()));
    }
    fn gather(node: &Node, out: &mut Vec<String>) {
        match &node.value {
            Value::Block(entries) => entries.iter().for_each(|e| {
                keep(e.trivia.as_deref(), out);
                gather(&e.node, out);
            }),
            Value::List(items) => items.iter().for_each(|i| {
                keep(i.trivia.as_deref(), out);
                gather(&i.node, out);
            }),
            _ => {}
        }
    }
    let mut out = document.tail.clone();
    gather(&document.root, &mut out);
    out.retain(|line| !line.is_empty());
    out.sort();
    out
}

#[test]
fn samples_go_through_both_notations_with_their_comments() {
    for (ending, own) in [("yaml", Notation::Yaml), ("shape", Notation::Shape)] {
        for (name, text) in samples(ending) {
            let document = read(&name, &text, own);
            for notation in [Notation::Yaml, Notation::Shape] {
                let written = write::convert(&document, notation, &Vocabulary).unwrap();
                let back = read(&name, &written, notation);
                assert_eq!(back, document, "{name}\n{written}");
                assert_eq!(comments(&back), comments(&document), "{name}\n{written}");
                assert_eq!(write::write(&back, notation, &Vocabulary), written, "{name}");
            }
        }
    }
}

#[test]
fn what_is_no_policy_is_not_converted() {
    for (text, place) in [
        ("interfaces: { eth0: { egres: fq_codel } }", "egres"),
        ("interfaces: [a, b]", "interfaces"),
        ("note: x", "note"),
        ("interfaces: { eth0: { egress: { htb: { r2q: 1 }, rules: x } } }", "rules"),
    ] {
        let document = read("p.yaml", text, Notation::Yaml);
        let finding = write::convert(&document, Notation::Shape, &Vocabulary).unwrap_err();
        assert_eq!(finding.code.name, "no-words", "{text}");
        let source = Source::new("p.yaml", text);
        assert!(source.slice(finding.span()).contains(place), "{text} {finding:?}");
    }
}

/// Texts that once broke a law.
#[test]
fn found_by_fuzzing() {
    for text in [
        "",
        "a",
        "- a",
        "? a",
        "a: |",
        "{",
        "[",
        "a: {b",
        "\u{feff}",
        "a:\n\u{85}b",
        "#",
        "a: *b",
        "&a",
        "!",
        "------\n\\\u{a0}:",
    ] {
        fuzz_yaml(text.as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_breaks_a_law(text in "(([a-c]|1|no|é|\u{a0}|rate)(: ?|,)?|[-?:,{}\\[\\]&*!|>'\"%@`#]|- |  |\n(  ){0,3}|\t|\\\\|<<: |---|&a |\\*a |tcp \\{22, 80\\}){0,40}") {
        fuzz_yaml(text.as_bytes());
    }

    #[test]
    fn no_broken_sample_breaks_a_law(
        (sample, cuts) in (0usize..1000, prop::collection::vec((0usize..100_000, 0usize..12, "[-{}:,#\"' \n\ta&*]{0,3}"), 1..5))
    ) {
        let samples = samples("yaml");
        let mut text = samples[sample % samples.len()].1.clone().into_bytes();
        for (at, length, instead) in cuts {
            let at = at % text.len().max(1);
            let end = (at + length).min(text.len());
            text.splice(at..end, instead.bytes());
        }
        fuzz_yaml(&text);
    }
}

/// What a hostile or broken file costs is bounded.
#[test]
fn no_file_takes_long() {
    let texts = [
        "- ".repeat(100_000),
        "{".repeat(100_000),
        "a: }\n".repeat(40_000),
        "#\n".repeat(200_000),
        "\n".repeat(500_000),
        format!("a:\n{}b: c\n{}", " ".repeat(400_000), "    #\n".repeat(60_000)),
        format!("a: [{}]\n", "a,".repeat(100_000)),
        format!("a: \"{}\n", "x".repeat(500_000)),
        format!("{}: b\n", "x".repeat(400_000)),
        format!("a: &a b\n{}", "- *a\n".repeat(40_000)),
        format!("a: {}", "'".repeat(200_001)),
    ];
    for text in texts {
        let clock = std::time::Instant::now();
        let source = Source::with_notation("p.yaml", text.as_str(), Notation::Yaml);
        let mut sink = Sink::new();
        let _ = yaml::read(&source, FileId(0), &Limits::default(), &mut sink);
        let start: String = text.chars().take(20).collect();
        assert!(clock.elapsed().as_secs() < 10, "{start:?} took {:?}", clock.elapsed());
    }
}
