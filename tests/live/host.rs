//! A machine for a policy: a namespace with its interfaces, and shapectl with a state folder of its own.

use crate::bed::dump;
use crate::bed::netns::{Netns, Ran};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The program under test.
pub const SHAPECTL: &str = env!("CARGO_BIN_EXE_shapectl");

/// A namespace, and what shapectl remembers of it.
pub struct Host {
    pub netns: Netns,
    folder: TempDir,
}

impl Host {
    /// A machine with these interfaces, each a stand-in that is up.
    pub fn with(interfaces: &[impl AsRef<str>]) -> Host {
        let netns = Netns::new();
        for interface in interfaces {
            netns.stand_in(interface.as_ref());
        }
        Host::of(netns)
    }

    /// A machine that is a namespace already made.
    pub fn of(netns: Netns) -> Host {
        netns.without_ipv6();
        Host { netns, folder: TempDir::new().expect("a folder for the state") }
    }

    /// Runs shapectl for this machine.
    pub fn shapectl(&self, words: &[&str]) -> Ran {
        let common = self.common();
        crate::bed::netns::bounded(SHAPECTL, common.iter().map(String::as_str).chain(words.iter().copied()))
    }

    /// Where shapectl remembers.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The options that name this machine.
    pub fn common(&self) -> Vec<String> {
        let state = self.state().to_str().expect("a plain path").to_owned();
        vec!["--netns".to_owned(), self.netns.name().to_owned(), "--state-dir".to_owned(), state]
    }

    /// Writes a policy to a file of this machine.
    pub fn policy(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("policy.yaml");
        std::fs::write(&path, text).expect("the folder is writable");
        path
    }

    /// Writes another file of this machine.
    pub fn file(&self, name: &str, text: &str) -> String {
        let file = self.folder.path().join(name);
        std::fs::write(&file, text).expect("the folder is writable");
        path(&file).to_owned()
    }

    /// Applies a policy; it must succeed.
    pub fn apply(&self, policy: &Path) -> String {
        self.shapectl(&["apply", path(policy)]).ok()
    }

    /// Writes and applies a policy.
    pub fn apply_text(&self, text: &str) -> PathBuf {
        let policy = self.policy(text);
        self.apply(&policy);
        policy
    }

    /// The exit code of `diff` and what it prints.
    pub fn diff(&self, policy: &Path) -> (i32, String) {
        let ran = self.shapectl(&["diff", path(policy)]);
        (ran.status.code().unwrap_or(-1), ran.stdout + &ran.stderr)
    }

    /// Fails unless policy and kernel agree, in `diff` and in what `apply` would do.
    pub fn assert_settled(&self, policy: &Path) {
        let (code, text) = self.diff(policy);
        assert_eq!(code, 0, "diff of what was just made:\n{text}");
        let again = self.shapectl(&["apply", "--dry-run", path(policy)]).ok();
        let commands = again.lines().filter(|line| line.starts_with("tc ") || line.starts_with("ip "));
        assert_eq!(commands.count(), 0, "a second apply would do:\n{again}");
    }

    /// The links of this machine that a policy may name: the stand-ins and the ifbs.
    pub fn links(&self) -> Vec<String> {
        let shown = self.netns.ip("-o link show type veth") + &self.netns.ip("-o link show type ifb");
        let names =
            shown.lines().filter_map(|line| line.split(": ").nth(1)).map(|name| name.split('@').next().unwrap());
        let mut names = names.filter(|name| !name.starts_with("behind-")).collect::<Vec<_>>();
        names.sort_unstable();
        names.into_iter().map(str::to_owned).collect()
    }

    /// tc's dump of all links, with what `ip` says of them that a policy may change.
    pub fn dump(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for link in self.links() {
            let shown = self.netns.ip(&format!("-d link show dev {link}"));
            let words = shown.split_whitespace().collect::<Vec<_>>();
            let after = |word: &str| words.iter().position(|w| *w == word).and_then(|at| words.get(at + 1)).copied();
            let up = words.get(2).is_some_and(|flags| flags.contains("UP"));
            let (qlen, alias) = (after("qlen").unwrap_or("-"), after("alias").unwrap_or("-"));
            lines.push(format!("link {link} up {up} txqueuelen {qlen} alias {alias}"));
            lines.extend(dump::dump(&self.netns, &link).into_iter().map(|line| format!("{link}: {line}")));
        }
        lines
    }

    /// The counters of a class or qdisc: packets sent and dropped.
    pub fn counters(&self, what: &str, dev: &str, handle: &str) -> (u64, u64) {
        let shown = self.netns.tc(&format!("-s {what} show dev {dev}"));
        let mut lines = shown.lines().skip_while(|line| !line.split_whitespace().any(|word| word == handle));
        let sent =
            lines.find(|line| line.trim_start().starts_with("Sent")).unwrap_or_else(|| panic!("{handle}: {shown}"));
        let words = sent.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect::<Vec<_>>();
        // Sent 1500 bytes 1 pkt (dropped 0, overlimits 0 requeues 0)
        let after = |word: &str, by: isize| {
            let at = words.iter().position(|w| *w == word).unwrap_or_else(|| panic!("{sent}"));
            words[at.checked_add_signed(by).unwrap()].parse::<u64>().unwrap_or_else(|_| panic!("{sent}"))
        };
        (after("pkt", -1), after("dropped", 1))
    }
}

/// A path as an argument.
pub fn path(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}
