//! Every sample reads and checks without a finding, and both notations of a lesson give the same document and policy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use shapectl::diagnostic::{Sink, render};
use shapectl::facts::Facts;
use shapectl::policy::load::{Documents, load};
use shapectl::policy::model::Policy;
use shapectl::policy::{check, read};
use shapectl::source::Sources;
use shapectl::syntax::Limits;
use std::path::PathBuf;

fn lessons() -> Vec<PathBuf> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("samples");
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    assert!(files.len() > 10);
    files
}

fn policy(path: PathBuf) -> (Documents, Policy) {
    let (mut sources, mut sink) = (Sources::new(), Sink::new());
    let name = path.to_str().unwrap();
    let documents = load(name, &Limits::default(), &mut sources, &mut sink);
    let facts = |_: &str| Facts::default();
    let policy = documents.map(|documents| {
        let policy = read::read(&documents, &facts, &mut sink);
        check::check(&policy, &facts, &mut sink);
        (documents, policy)
    });
    let found = sink.sorted();
    assert!(found.is_empty(), "{name}\n{}", render(&found, &sources, false, 120));
    policy.unwrap()
}

#[test]
fn samples_are_without_a_finding_and_the_same_in_both_notations() {
    for path in lessons() {
        let (yaml, from_yaml) = policy(path.clone());
        let (shape, from_shape) = policy(path.with_extension("shape"));
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert_eq!(yaml.list[0].1, shape.list[0].1, "the documents of {name}");
        assert_eq!(told(&from_yaml), told(&from_shape), "the policies of {name}");
        assert!(!from_yaml.interfaces.is_empty());
    }
}

#[test]
fn every_sample_stands_in_both_notations_and_says_what_it_teaches() {
    for path in lessons() {
        for file in [path.clone(), path.with_extension("shape")] {
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(text.starts_with("# "), "{} begins with a comment for people", file.display());
            let longest = text.lines().map(|l| l.chars().count()).max().unwrap_or(0);
            assert!(longest <= 140, "{} has a line of {longest} characters", file.display());
        }
    }
}

/// A policy without its places.
fn told(policy: &Policy) -> String {
    let text = format!("{policy:?}");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("Span {") {
        out.push_str(&rest[..at]);
        let end = rest[at..].find('}').map_or(rest.len(), |e| at + e + 1);
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// Small damage to samples: none of it may make the compiler panic, hang, or point outside of the text.
#[test]
fn damaged_samples_are_read_or_refused() {
    let texts: Vec<String> = lessons()
        .into_iter()
        .flat_map(|path| [path.clone(), path.with_extension("shape")])
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let words: Vec<&str> = texts.iter().flat_map(|t| t.split_whitespace()).filter(|w| *w != "#").collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut dice = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    for _ in 0..300 {
        let mut lines: Vec<String> = texts[dice(texts.len())].lines().map(str::to_owned).collect();
        lines.retain(|l| !l.trim_start().starts_with('#'));
        for _ in 0..1 + dice(3) {
            let at = dice(lines.len());
            let parts: Vec<String> = lines[at].split(' ').map(str::to_owned).collect();
            match dice(6) {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[dice(lines.len())].clone()),
                2 => lines.truncate(at.max(1)),
                _ => {
                    let mut parts = parts;
                    let i = dice(parts.len());
                    parts[i] = words[dice(words.len())].to_owned();
                    lines[at] = parts.join(" ");
                }
            }
            if lines.is_empty() {
                break;
            }
        }
        shapectl::fuzz::fuzz_policy(lines.join("\n").as_bytes());
    }
}
