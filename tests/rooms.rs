//! Who may know whom: the arrows of the house, held against every file's own words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

/// A room and the rooms that it must not name.
const STRANGERS: &[(&str, &[&str])] = &[
    (
        "syntax",
        &["unit", "kind", "policy", "lower", "tree", "plan", "script", "netlink", "kernel", "view", "command", "tc"],
    ),
    ("unit", &["kind", "policy", "lower", "tree", "plan", "script", "netlink", "kernel", "view", "command", "tc"]),
    ("kind", &["policy", "lower", "tree", "plan", "script", "netlink", "kernel", "view", "command", "tc", "classify"]),
    ("packet", &["kind", "lower", "tree", "plan", "script", "netlink", "kernel", "view", "command", "tc", "classify"]),
    ("classify", &["policy", "lower", "plan", "script", "netlink", "kernel", "view", "command", "tc"]),
    (
        "analysis",
        &["unit", "kind", "policy", "lower", "tree", "plan", "script", "netlink", "kernel", "view", "command", "tc"],
    ),
    ("policy", &["lower", "tree", "plan", "script", "netlink", "kernel", "view", "command", "tc"]),
    ("lower", &["plan", "script", "netlink", "kernel", "view", "command"]),
    ("raise", &["script", "netlink", "kernel", "view", "command"]),
    ("tree", &["policy", "lower", "plan", "script", "netlink", "kernel", "view", "command", "tc"]),
    ("plan", &["policy", "lower", "script", "netlink", "kernel", "view", "command", "tc"]),
    ("tc", &["policy", "lower", "plan", "script", "netlink", "kernel", "view", "command"]),
    ("script", &["policy", "lower", "netlink", "kernel", "view", "command"]),
    ("netlink", &["policy", "lower", "script", "kernel", "view", "command"]),
    ("doctor", &["policy", "lower", "plan", "kernel", "view", "command"]),
    ("kernel", &["policy", "lower", "script", "view", "command"]),
    ("import", &["policy", "lower", "plan", "script", "kernel", "view", "command"]),
    ("view", &["policy", "lower", "netlink", "kernel", "command"]),
    (
        "diagnostic",
        &["unit", "kind", "policy", "lower", "tree", "plan", "script", "netlink", "kernel", "view", "command"],
    ),
];

#[test]
fn rooms_know_only_whom_they_may() {
    let mut wrong = Vec::new();
    for (file, room, code) in sources() {
        for (number, line) in code.iter().enumerate() {
            for (_, strangers) in STRANGERS.iter().filter(|(name, _)| *name == room) {
                for stranger in strangers.iter().filter(|stranger| names(line, stranger)) {
                    wrong.push(format!("{}:{}: {room} names {stranger}", file.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_commands_print() {
    let prints = ["print!(", "println!(", "io::stdout", "io::stderr"];
    let speaks = |room: &str| ["command", "main"].contains(&room);
    assert_nobody(|room, line| !speaks(room) && prints.iter().any(|word| line.contains(word)));
}

#[test]
fn only_diagnostic_names_miette() {
    assert_nobody(|room, line| room != "diagnostic" && line.contains("miette"));
}

fn assert_nobody(does: impl Fn(&str, &str) -> bool) {
    let mut found = Vec::new();
    for (file, room, code) in sources() {
        for (number, line) in code.iter().enumerate().filter(|(_, line)| does(&room, line)) {
            found.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Whether a line names a room of the crate: `crate::plan`, or `plan` in a list after `crate::{`.
fn names(line: &str, room: &str) -> bool {
    let word = |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').next() == Some(room);
    line.match_indices("crate::").any(|(at, found)| {
        let rest = &line[at + found.len()..];
        match rest.strip_prefix('{') {
            Some(list) => list.split(',').any(|item| word(item.trim())),
            None => word(rest),
        }
    })
}

/// Every file of `src` with its room, the first folder or file on its way, and its code: no comments and no unit tests,
/// whose lines are left empty.
fn sources() -> Vec<(PathBuf, String, Vec<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut sources) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
                let within = path.strip_prefix(&root).unwrap().to_path_buf();
                let room = within.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned();
                sources.push((within, room, code(&fs::read_to_string(&path).unwrap())));
            }
        }
    }
    sources.sort();
    assert!(sources.len() > 10);
    sources
}

fn code(text: &str) -> Vec<String> {
    let before_tests = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    before_tests.map(|line| line.split("//").next().unwrap_or_default().to_owned()).collect()
}
