//! Every code has a policy that earns it, and what is said of it is kept as it is printed: `tests/refused/CODE.yaml` (or
//! `.shape`) with `CODE.yaml.expected`. `UPDATE=1 cargo nextest run refused` writes them anew.
//!
//! Comments at the head of a case set what it needs: `# limits: file_bytes 100`, `includes 2`, `nodes 2000`;
//! `# facts: speed 1gbit`, `mtu 300`, `no-u32-mark`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use shapectl::codes;
use shapectl::diagnostic::{Diagnostic, Sink, render};
use shapectl::facts::Facts;
use shapectl::lower::{Ids, lower};
use shapectl::policy::{check, load, read};
use shapectl::source::Sources;
use shapectl::syntax::Limits;
use shapectl::unit::{Rate, Reader, Unit};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Codes that no file earns by itself, and where they are tested instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("handle-budget", "policy::check::tests::numbers_run_out"),
    ("not-a-packet", "packet::describe, and tests/cli.rs"),
    ("no-words", "syntax::write, which alone says it"),
    ("no-interface", "commands on a machine"),
    ("overlapping-rules", "tests/cli.rs"),
    ("rule-too-varied", "policy::check::tests::what_is_too_varied_is_said_if_asked"),
    ("interface-elsewhere", "commands on a machine"),
    ("kernel-refused", "commands on a machine"),
    ("kernel-lacks", "commands on a machine"),
    ("for-good", "src/plan/branch.rs"),
    ("memory", "tests/live/memory.rs"),
    ("kernel-exists", "tests/live/faults.rs"),
    ("kernel-busy", "tests/live/faults.rs"),
    ("kernel-gone", "tests/live/faults.rs"),
    ("kernel-full", "tests/live/faults.rs"),
    ("kernel-unsupported", "tests/live/faults.rs"),
    ("no-permission", "tests/live/faults.rs"),
    ("not-held", "commands on a machine"),
    ("import-skipped", "tests/import.rs"),
    ("import-assumed", "tests/import.rs"),
    ("import-refused", "tests/import.rs"),
    ("import-otherwise", "tests/import.rs"),
    ("import-needed", "tests/import.rs"),
    ("import-passed", "tests/import.rs"),
    ("state-spoilt", "commands on a machine"),
    ("state-lost", "tests/live/safe.rs"),
    ("no-checkpoint", "tests/live/safe.rs"),
    ("locked", "tests/live/safe.rs"),
    ("changed-meanwhile", "tests/live/safe.rs"),
    ("unconfirmed", "tests/live/safe.rs"),
    ("no-history", "tests/live/safe.rs"),
    ("left-out", "commands on a machine"),
];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refused")
}

fn cases() -> Vec<String> {
    let files = fs::read_dir(directory()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = files.filter(|n| n.ends_with(".yaml") || n.ends_with(".shape")).collect();
    names.sort();
    names
}

fn settings(text: &str) -> (Limits, Facts) {
    let (mut limits, mut facts) = (Limits::default(), Facts::default());
    for line in text.lines().take_while(|l| l.starts_with('#')) {
        let words: Vec<_> = line.split_whitespace().skip(1).collect();
        let number = words.get(2).and_then(|n| n.parse().ok());
        match (words.first().copied(), words.get(1).copied()) {
            (Some("limits:"), Some("file_bytes")) => limits.file_bytes = number.unwrap(),
            (Some("limits:"), Some("includes")) => limits.includes = number.unwrap(),
            (Some("limits:"), Some("nodes")) => limits.nodes = number.unwrap(),
            (Some("facts:"), Some("mtu")) => facts.mtu = number.unwrap() as u32,
            (Some("facts:"), Some("speed")) => {
                facts.speed = Some(Rate::read(words[2], &mut Reader::default()).unwrap());
            }
            (Some("facts:"), Some("no-u32-mark")) => facts.u32_mark = false,
            (Some("limits:" | "facts:"), other) => panic!("what is {other:?}?"),
            _ => {}
        }
    }
    (limits, facts)
}

/// All that is said of a case, as a command finds it.
fn found(name: &str) -> (Vec<Diagnostic>, Sources) {
    let path = format!("tests/refused/{name}");
    let bytes = fs::read(directory().join(name)).unwrap();
    let (limits, facts) = settings(&String::from_utf8_lossy(&bytes));
    let facts = |_: &str| facts.clone();
    let (mut sources, mut sink) = (Sources::new(), Sink::new());
    if let Some(documents) = load::load(&path, &limits, &mut sources, &mut sink) {
        let policy = read::read(&documents, &facts, &mut sink);
        check::check(&policy, &facts, &mut sink);
        if !sink.has_errors() {
            lower(&policy, &facts, &Ids::default(), &mut sink);
        }
    }
    (sink.sorted(), sources)
}

#[test]
fn what_is_said_of_each_case_is_as_it_was() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for name in cases() {
        let (found, sources) = found(&name);
        let code = name.split('.').next().unwrap();
        let codes: BTreeSet<_> = found.iter().map(|d| d.code.name).collect();
        assert!(!found.is_empty(), "nothing is found in {name}");
        if codes::find(code).is_some() {
            assert!(codes.contains(code), "{name} earns {codes:?}");
        }
        let text = render(&found, &sources, false, 120);
        let text: String = text.lines().map(|l| format!("{}\n", l.trim_end())).collect();
        let file = directory().join(format!("{name}.expected"));
        if update {
            fs::write(&file, &text).unwrap();
        } else if fs::read_to_string(&file).unwrap_or_default() != text {
            wrong.push(format!("{name}:\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "{}\nrun with UPDATE=1 if this is right", wrong.join("\n"));
}

#[test]
fn every_finding_has_a_place_and_errors_say_what_to_do() {
    for name in cases() {
        let (found, sources) = found(&name);
        for d in &found {
            let whole_file = ["input", "file-too-large", "empty-file", "not-text"].contains(&d.code.name);
            assert!(whole_file || !d.labels.is_empty(), "{name}: {} has no place", d.message);
            for label in &d.labels {
                let source = sources.get(label.span.file).unwrap();
                assert!(label.span.end as usize <= source.text.len(), "{name}: {} points outside", d.message);
            }
            let first = d.message.chars().next().unwrap();
            assert!(!first.is_uppercase() && !d.message.ends_with('.'), "{name}: {}", d.message);
        }
    }
}

/// A policy may say of every warning that it is meant: then nothing warns, nor that it was needless to say.
#[test]
fn every_warning_can_be_accepted() {
    let mut accepted = BTreeSet::new();
    for name in cases().iter().filter(|name| name.ends_with(".yaml")) {
        let text = fs::read_to_string(directory().join(name)).unwrap_or_default();
        let (all, _) = found(name);
        let meant: BTreeSet<_> =
            all.iter().filter(|d| !d.is_error() && d.code.acceptable()).map(|d| d.code.name).collect();
        if all.iter().any(Diagnostic::is_error) || text.contains("accept:") || meant.is_empty() {
            continue;
        }
        let list = meant.iter().copied().collect::<Vec<_>>().join(", ");
        let (limits, facts) = settings(&text);
        let (mut sources, mut sink) = (Sources::new(), Sink::new());
        // beside the case itself, because it may include others
        let file = format!("tests/refused/{name}.accepted");
        fs::write(directory().join(format!("{name}.accepted")), format!("{text}\naccept: [{list}]\n")).unwrap();
        let facts = |_: &str| facts.clone();
        let documents = load::load(&file, &limits, &mut sources, &mut sink);
        fs::remove_file(directory().join(format!("{name}.accepted"))).unwrap();
        let policy = read::read(&documents.unwrap(), &facts, &mut sink);
        check::check(&policy, &facts, &mut sink);
        lower(&policy, &facts, &Ids::default(), &mut sink);
        let warns = sink.sorted().into_iter().filter(|d| d.severity() == codes::Severity::Warning);
        let warns: Vec<_> = warns.filter(|d| d.code.acceptable() || d.code.name == "accept-needless").collect();
        assert!(warns.is_empty(), "{name}: {warns:#?}");
        accepted.extend(meant);
    }
    for code in
        ["byte-rate", "host-bits", "tos-ecn", "u32-ports", "nat-source", "nat-hosts", "group-others", "equal-rules"]
    {
        assert!(accepted.contains(code), "{code} was not tried: {accepted:?}");
    }
}

#[test]
fn every_code_has_a_case_and_a_page() {
    let earned: BTreeSet<_> = cases().iter().flat_map(|n| found(n).0).map(|d| d.code.name).collect();
    let mut missing = Vec::new();
    for code in codes::ALL {
        let elsewhere = ELSEWHERE.iter().any(|(name, _)| *name == code.name);
        if !elsewhere && !earned.contains(code.name) {
            missing.push(format!("{} has no case in tests/refused", code.name));
        }
        if elsewhere && earned.contains(code.name) {
            missing.push(format!("{} has a case now and need not be excused", code.name));
        }
        if code.page.lines().count() < 4 {
            missing.push(format!("{} has no page", code.name));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
