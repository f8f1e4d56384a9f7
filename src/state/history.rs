//! What was done to a network namespace, one entry a change: what stood before, to be gone back to; how it ended; and
//! whether it still waits to be confirmed.
//!
//! An entry is three files of a folder that only root reads: `N.json` tells of it, `N.state` is what was remembered
//! before, `N.held` the kernel's own dump of what stood. The dump says nothing to another machine, and nothing after this
//! one has gone down; so it is not seen onto the disk.

use super::{State, files};
use crate::diagnostic::{Diagnostic, codes};
use crate::fingerprint::Fingerprint;
use crate::source::beginning;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The form of an entry; another one is not read.
const VERSION: u32 = 2;
/// Entries that are kept.
const KEPT: usize = 30;
/// Octets of a difference that are kept.
pub const DIFFERENCE: usize = 1 << 18;

/// How a change stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was begun, and nobody has said how it ended: it is under way, or was cut off.
    Begun,
    /// Done, read back and the same.
    Done,
    /// Done, and reverted unless it is confirmed in time.
    Waiting,
    /// Refused by the kernel; what stood before stands again.
    PutBack,
    /// It ended between the old state and the new one, or in another than asked.
    Broken,
    /// Done, and gone back from later.
    Reverted,
}

impl Outcome {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Outcome::Begun => "cut off",
            Outcome::Done => "done",
            Outcome::Waiting => "waits for confirmation",
            Outcome::PutBack => "refused, put back",
            Outcome::Broken => "stopped half-way",
            Outcome::Reverted => "reverted",
        }
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The form.
    version: u32,
    /// Its number; higher ones are younger.
    pub number: u64,
    /// When it was begun, in seconds since 1970.
    pub begun: u64,
    /// What was done: `apply /etc/shapectl/policy.yaml`.
    pub what: String,
    /// How it stands.
    pub outcome: Outcome,
    /// How many steps it had.
    pub steps: usize,
    /// What it changed, as `diff` prints it; the beginning of it if it is long.
    pub difference: String,
    /// The interfaces it worked on.
    pub interfaces: Vec<String>,
    /// The devices that it was to make.
    pub makes: Vec<String>,
    /// Until when it can be confirmed, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u64>,
    /// The fingerprint of what stood before.
    held: u64,
}

/// A change that is about to be made.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// As [`Entry::what`].
    pub what: String,
    /// As [`Entry::steps`].
    pub steps: usize,
    /// As [`Entry::difference`].
    pub difference: String,
    /// As [`Entry::interfaces`].
    pub interfaces: Vec<String>,
    /// As [`Entry::makes`].
    pub makes: Vec<String>,
    /// As [`Entry::deadline`].
    pub deadline: Option<u64>,
}

/// The changes of one network namespace.
#[derive(Clone, Debug)]
pub struct History {
    dir: PathBuf,
}

/// Now, in seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl History {
    /// That of a namespace.
    pub fn of(state_dir: &Path, netns: Option<&str>) -> History {
        let name = netns.map_or_else(|| "history".to_owned(), |netns| format!("netns-{}.history", files::safe(netns)));
        History { dir: state_dir.join(name) }
    }

    fn path(&self, number: u64, ending: &str) -> PathBuf {
        self.dir.join(format!("{number}.{ending}"))
    }

    /// The numbers of all entries, the youngest first.
    fn numbers(&self) -> std::io::Result<Vec<u64>> {
        match fs::symlink_metadata(&self.dir) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
            Ok(meta) if !meta.is_dir() => {
                return Err(std::io::Error::new(ErrorKind::NotADirectory, "it is no directory"));
            }
            Ok(_) => {}
        }
        let name = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok();
        let mut numbers: Vec<u64> = fs::read_dir(&self.dir)?.flatten().filter_map(name).collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        Ok(numbers)
    }

    /// The same; that they cannot be read is found.
    fn known(&self, found: &mut Vec<Diagnostic>) -> Vec<u64> {
        self.numbers().unwrap_or_else(|e| {
            let message = format!("the history in `{}` cannot be read: {e}", self.dir.display());
            found.push(match e.kind() {
                ErrorKind::PermissionDenied => Diagnostic::new(&codes::NO_PERMISSION, message).help("run it with sudo"),
                _ => Diagnostic::new(&codes::NO_HISTORY, message).help("name another place with `--state-dir`"),
            });
            Vec::new()
        })
    }

    /// All entries, the youngest first. One that cannot be trusted is put aside, and named.
    pub fn list(&self) -> (Vec<Entry>, Vec<Diagnostic>) {
        let (mut list, mut found) = (Vec::new(), Vec::new());
        for number in self.known(&mut found) {
            match self.entry(number) {
                Ok(entry) => list.push(entry),
                Err(why) => found.push(self.spoilt(number, "json", &why)),
            }
        }
        (list, found)
    }

    /// The youngest entry that can be trusted; those younger that cannot are put aside, and named.
    pub fn youngest(&self) -> (Option<Entry>, Vec<Diagnostic>) {
        let mut found = Vec::new();
        for number in self.known(&mut found) {
            match self.entry(number) {
                Ok(entry) => return (Some(entry), found),
                Err(why) => found.push(self.spoilt(number, "json", &why)),
            }
        }
        (None, found)
    }

    /// One entry.
    ///
    /// # Errors
    /// Why it cannot be trusted.
    pub fn entry(&self, number: u64) -> Result<Entry, String> {
        let bytes = self.read(number, "json")?;
        match serde_json::from_slice::<Entry>(&bytes) {
            Ok(entry) if entry.version != VERSION => {
                Err(format!("it is of form {}, and {VERSION} is known here", entry.version))
            }
            Ok(entry) if entry.number != number => Err(format!("it is the entry {}", entry.number)),
            Ok(entry) => Ok(entry),
            Err(e) => Err(e.to_string()),
        }
    }

    fn read(&self, number: u64, ending: &str) -> Result<Vec<u8>, String> {
        match files::read(&self.path(number, ending)) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err("it is missing".to_owned()),
            Err(e) => Err(e.to_string()),
        }
    }

    /// Says that a file of an entry cannot be trusted, and puts it aside.
    pub fn spoilt(&self, number: u64, ending: &str, why: &str) -> Diagnostic {
        let path = self.path(number, ending);
        let message = format!("entry {number} of the history cannot be trusted: `{}`: {why}", path.display());
        let d = Diagnostic::new(&codes::STATE_SPOILT, message);
        match files::put_aside(&path) {
            Some(aside) => d.help(format!("it was put aside as `{}`", aside.display())),
            None => d,
        }
    }

    /// What was remembered before a change.
    ///
    /// # Errors
    /// Why it cannot be trusted.
    pub fn state(&self, number: u64) -> Result<State, String> {
        State::read(&self.read(number, "state")?)
    }

    /// The dump of what stood before a change.
    ///
    /// # Errors
    /// Why it cannot be trusted.
    pub fn held(&self, entry: &Entry) -> Result<Vec<u8>, String> {
        let bytes = self.read(entry.number, "held")?;
        if Fingerprint::of_many(&bytes).0 == entry.held {
            Ok(bytes)
        } else {
            Err("it is not what was written".to_owned())
        }
    }

    /// Writes down what is about to be done, and what stands; old entries go.
    ///
    /// # Errors
    /// It cannot be written; then nothing should be done.
    pub fn begin(&self, draft: Draft, state: &State, held: &[u8]) -> std::io::Result<Entry> {
        if let Some(above) = self.dir.parent() {
            files::directory(above, 0o755)?;
        }
        files::directory(&self.dir, 0o700)?;
        let numbers = self.numbers()?;
        let number = numbers.first().map_or(1, |last| last.saturating_add(1));
        let Draft { what, steps, mut difference, interfaces, makes, deadline } = draft;
        if difference.len() > DIFFERENCE {
            difference.truncate(beginning(&difference, DIFFERENCE).len());
            difference.push_str("\n… and more\n");
        }
        let fingerprint = Fingerprint::of_many(held).0;
        let entry = Entry {
            version: VERSION,
            number,
            begun: now(),
            what,
            outcome: Outcome::Begun,
            steps,
            difference,
            interfaces,
            makes,
            deadline,
            held: fingerprint,
        };
        files::write(&self.path(number, "held"), held, false)?;
        files::write(&self.path(number, "state"), state.text()?.as_bytes(), false)?;
        self.write(&entry)?;
        for old in numbers.into_iter().skip(KEPT - 1) {
            for ending in ["json", "state", "held", "watch"] {
                let _ = fs::remove_file(self.path(old, ending));
            }
        }
        Ok(entry)
    }

    fn write(&self, entry: &Entry) -> std::io::Result<()> {
        let text = serde_json::to_string(entry).map_err(std::io::Error::other)?;
        files::write(&self.path(entry.number, "json"), text.as_bytes(), false)
    }

    /// Writes down how a change stands.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn end(&self, entry: &mut Entry, outcome: Outcome) -> std::io::Result<()> {
        entry.outcome = outcome;
        self.write(entry)
    }

    /// Says that somebody watches over an unconfirmed change.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn watched(&self, number: u64) -> std::io::Result<()> {
        files::write(&self.path(number, "watch"), std::process::id().to_string().as_bytes(), false)
    }

    /// Whether somebody has said that he watches.
    pub fn is_watched(&self, number: u64) -> bool {
        self.path(number, "watch").exists()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn draft() -> Draft {
        Draft { what: "apply p.yaml".into(), steps: 3, difference: "+ x\n".into(), ..Draft::default() }
    }

    #[test]
    fn entries_are_numbered_kept_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::of(dir.path(), Some("../x"));
        assert!(history.list().0.is_empty());
        let state = State { policy: Some("/p".into()), ..State::default() };
        for n in 1..=40 {
            let mut entry = history.begin(draft(), &state, b"dump").unwrap();
            assert_eq!((entry.number, entry.outcome), (n, Outcome::Begun));
            history.end(&mut entry, Outcome::Done).unwrap();
        }
        let (list, found) = history.list();
        assert!(found.is_empty());
        assert_eq!((list.len(), list.first().unwrap().number), (KEPT, 40));
        let last = list.first().unwrap();
        assert_eq!(last.outcome, Outcome::Done);
        assert_eq!(history.held(last).unwrap(), b"dump");
        assert_eq!(history.state(40).unwrap().policy, state.policy);
        assert!(history.state(3).is_err());
    }

    /// A power cut leaves files cut, empty, gone or full of anything: each is named, put aside, and not believed.
    #[test]
    fn spoilt_files_are_named_and_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let history = History::of(dir.path(), None);
        for text in ["", "{", "[]", "{\"version\":9}", "\u{0}\u{0}"] {
            let entry = history.begin(draft(), &State::default(), b"dump").unwrap();
            fs::write(history.path(entry.number, "json"), text).unwrap();
            let (list, found) = history.list();
            assert!(list.is_empty(), "{text:?}");
            assert_eq!(found.len(), 1, "{text:?}");
            assert!(history.dir.join(format!("{}.json.bad", entry.number)).exists());
        }
        let entry = history.begin(draft(), &State::default(), b"dump").unwrap();
        for bytes in [&b""[..], b"dum", b"dumq"] {
            fs::write(history.path(entry.number, "held"), bytes).unwrap();
            assert!(history.held(&entry).is_err());
        }
        fs::remove_file(history.path(entry.number, "held")).unwrap();
        assert!(history.held(&entry).unwrap_err().contains("missing"));
        fs::write(history.path(entry.number, "state"), "{\"version\":1").unwrap();
        assert!(history.state(entry.number).is_err());
    }

    #[test]
    fn a_long_difference_is_cut_at_a_character() {
        let dir = tempfile::tempdir().unwrap();
        let long = Draft { difference: "→".repeat(DIFFERENCE), ..draft() };
        let entry = History::of(dir.path(), None).begin(long, &State::default(), b"").unwrap();
        assert!(entry.difference.len() < DIFFERENCE + 30 && entry.difference.ends_with("more\n"));
    }
}
