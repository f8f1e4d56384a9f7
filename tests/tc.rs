//! What is said of lines that are wrong: `tests/tc/refused.lines`, each as it is printed in `refused.expected`.
//! `UPDATE=1 cargo nextest run --test tc` writes it anew. That tc refuses the same lines, `tests/live/tc.rs` shows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use shapectl::diagnostic::render;
use shapectl::source::{Notation, Source, Sources, Span};
use shapectl::tc;
use std::fs;
use std::path::Path;

#[test]
fn wrong_lines_are_refused_at_their_word() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tc");
    let lines = fs::read_to_string(folder.join("refused.lines")).unwrap();
    let said = lines.lines().map(refusal).collect::<Vec<_>>().join("\n");
    assert!(!said.contains("` is right"), "{said}");
    let expected = folder.join("refused.expected");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(expected, said).unwrap();
    } else {
        assert_eq!(said, fs::read_to_string(expected).unwrap(), "UPDATE=1 writes it anew");
    }
    assert!(lines.lines().count() >= 60);
}

/// Every refusal has help, and none says only that something is wrong.
#[test]
fn every_refusal_helps() {
    let lines = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tc/refused.lines")).unwrap();
    let silent = lines.lines().filter(|line| wrong(line).is_none_or(|wrong| wrong.refusal.help.is_none()));
    let silent = silent.collect::<Vec<_>>();
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

/// `None` if a line is right.
fn wrong(line: &str) -> Option<tc::Wrong> {
    let words = line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let front = match tc::front(&words) {
        Ok(front) => front,
        Err(wrong) => return Some(wrong),
    };
    let wrong = tc::read(&words[front.words..], &|_| None).err()?;
    Some(tc::Wrong { word: wrong.word + front.words, ..wrong })
}

/// The refusal as it is printed.
fn refusal(line: &str) -> String {
    let Some(mut wrong) = wrong(line) else { return format!("`{line}` is right\n") };
    // the lists of kinds grow
    for list in ["known are: ", "qdiscs with classes are "] {
        let help = wrong.refusal.help.take().unwrap_or_default();
        let kept = help.split_once(list).map(|(before, _)| format!("{before}{list}…"));
        wrong.refusal.help = Some(kept.unwrap_or(help));
    }
    let mut sources = Sources::new();
    let text = format!("tc {line} ");
    let mut places = Vec::new();
    let mut at = 3;
    for word in line.split_whitespace() {
        places.push((at, at + word.len()));
        at += word.len() + 1;
    }
    let (start, end) = places.get(wrong.word).copied().unwrap_or((at - 1, at - 1));
    let file = sources.add(Source::with_notation("line", text, Notation::Shape));
    render(&[wrong.refusal.diagnostic(Span::new(file, start, end))], &sources, false, 100)
}
