//! Recordings of what the real tc sends: `tests/wire/*.wire`. A line of tc's words, and below it, indented, the message
//! that tc makes of them, in hexadecimal, from the `tcmsg` on (what stands before, flags and sequence number, is nothing
//! of tc's). No kernel support is needed: tc sends first and is refused afterwards.
//!
//! To add one, write its line, and run `UPDATE=1 cargo nextest run --test wire`, which asks tc anew for all of them. All
//! lines name `lo`, whose number is 1 in every namespace.

use super::netns::{Ran, bounded};
use std::fs;
use std::path::{Path, PathBuf};

/// What tc sends for a line of words.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The line, from `tc` on.
    pub words: String,
    /// The payload of the netlink message: `struct tcmsg` and the attributes.
    pub message: Vec<u8>,
    /// The message's type and flags, if tc was just asked: no file holds them.
    pub header: Option<(u16, u16)>,
}

/// A file of recordings, with what stands between them.
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// Its name without folder and ending.
    pub name: String,
    /// The version of tc that made it.
    pub version: String,
    /// The recordings, in the order of the file; a line without a message has an empty one.
    pub recordings: Vec<Recording>,
}

const VERSION: &str = "# recorded from ";

/// All files, by name.
pub fn files() -> Vec<File> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let mut paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "wire"));
    paths.sort();
    paths.into_iter().map(File::read).collect()
}

impl File {
    fn read(path: PathBuf) -> File {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let mut file = File { path, name, version: String::new(), recordings: Vec::new() };
        for line in text.lines() {
            if let Some(version) = line.strip_prefix(VERSION) {
                file.version = version.to_owned();
            } else if line.starts_with("tc ") {
                file.recordings.push(Recording { words: line.to_owned(), message: Vec::new(), header: None });
            } else {
                let recording = file.recordings.last_mut().expect("a line of tc's words comes first");
                recording.message.extend(bytes(line));
            }
        }
        file
    }

    /// Asks tc anew.
    pub fn refreshed(&self) -> File {
        let recordings = self.recordings.iter().map(|old| record(&old.words));
        File {
            path: self.path.clone(),
            name: self.name.clone(),
            version: tc_version(),
            recordings: recordings.collect(),
        }
    }

    /// Writes it where it came from.
    pub fn write(&self) {
        let mut text = format!("{VERSION}{}\n", self.version);
        for recording in &self.recordings {
            text += &format!("{}\n", recording.words);
            for chunk in recording.message.chunks(48) {
                let words =
                    chunk.chunks(4).map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
                text += &format!("    {}\n", words.collect::<Vec<_>>().join(" "));
            }
        }
        fs::write(&self.path, text).unwrap();
    }
}

/// The version of the tc that is installed, without that of its libraries.
pub fn tc_version() -> String {
    let said = bounded("tc", ["-V"]).ok();
    said.trim().trim_start_matches("tc utility, ").split(',').next().unwrap_or_default().to_owned()
}

/// Runs tc in an empty namespace under strace and gives the one message that is about traffic control.
///
/// # Panics
/// tc found its words wrong, or strace is missing.
pub fn record(words: &str) -> Recording {
    let ran = run_traced(words);
    let number = |message: &[u8], at: usize| u16::from_ne_bytes([message[at], message[at + 1]]);
    // qdiscs, classes, filters and actions; chains
    let tc = |kind: u16| (libc::RTM_NEWQDISC..=50).contains(&kind) || (100..=102).contains(&kind);
    let mut messages = sent(&ran.stderr).into_iter().filter(|message| tc(number(message, 4)));
    match (messages.next(), messages.next()) {
        (Some(message), None) => Recording {
            words: words.to_owned(),
            header: Some((number(&message, 4), number(&message, 6))),
            message: message[16..].to_vec(), // 16: struct nlmsghdr
        },
        _ => panic!("`{words}` sends no message, or more than one:\n{ran}"),
    }
}

fn run_traced(words: &str) -> Ran {
    // A user namespace of one's own where needed, so that recording takes no root.
    let unshare: &[&str] =
        if nix::unistd::geteuid().is_root() { &["--net"] } else { &["--user", "--map-root-user", "--net"] };
    let strace = ["strace", "-e", "trace=sendmsg,sendto", "-e", "write=all", "-s", "0"];
    bounded("unshare", unshare.iter().copied().chain(strace).chain(words.split_whitespace()))
}

/// The messages in strace's dump. A dump is lines ` | 00010  28 00 …  28 00 …  text |`, counted from zero for each.
fn sent(trace: &str) -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = Vec::new();
    for line in trace.lines() {
        let Some((offset, rest)) = line.strip_prefix(" | ").and_then(|line| line.split_once("  ")) else { continue };
        if offset.chars().all(|digit| digit == '0') {
            messages.push(Vec::new());
        }
        let columns = rest.get(..48).unwrap_or(rest); // then two blanks and the text
        messages.last_mut().expect("a dump begins at 0").extend(bytes(columns));
    }
    messages
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.bytes().filter(|digit| !digit.is_ascii_whitespace()).collect::<Vec<_>>();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).expect("hexadecimal"))
        .collect()
}
