//! What is remembered of a network namespace: which name has which number, which policy was applied last, and what is
//! ours. One small file, written whole or not at all. The kernel's tree is the truth; a lost file costs names.

mod files;
pub mod history;

use crate::diagnostic::{Diagnostic, codes};
use crate::lower::Ids;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The form of the file; another one is not read.
const VERSION: u32 = 1;
/// The memory of one network namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The form of the file.
    version: u32,
    /// The policy last applied, absolute; `None` if it came from standard input, or nothing was applied yet.
    pub policy: Option<String>,
    /// What belongs to shapectl, by interface.
    #[serde(default)]
    pub owned: BTreeMap<String, Owned>,
    /// Which name has which number.
    #[serde(default)]
    pub ids: Ids,
}

/// What of an interface belongs to shapectl.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// The root.
    pub egress: bool,
    /// The hook for what arrives.
    pub ingress: bool,
    /// The length of the default fifo from before shapectl set one, in packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txqueuelen: Option<u32>,
}

/// The file of a namespace: the initial one, or a named one.
fn file(dir: &Path, netns: Option<&str>) -> PathBuf {
    match netns {
        Some(netns) => dir.join(format!("netns-{}.json", files::safe(netns))),
        None => dir.join("state.json"),
    }
}

impl Default for State {
    fn default() -> State {
        State { version: VERSION, policy: None, owned: BTreeMap::new(), ids: Ids::default() }
    }
}

impl State {
    /// What is to be remembered: the policy, what of which interface is ours, which name has which number.
    pub fn new(policy: Option<String>, owned: BTreeMap<String, Owned>, ids: Ids) -> State {
        State { version: VERSION, policy, owned, ids }
    }

    /// Reads what is remembered; nothing, if nothing is. A file that cannot be trusted is put aside, and named.
    pub fn load(dir: &Path, netns: Option<&str>) -> (State, Vec<Diagnostic>) {
        let path = file(dir, netns);
        let spoilt = |why: String| {
            let message = format!("what was remembered in `{}` cannot be trusted: {why}", path.display());
            let help = match files::put_aside(&path) {
                Some(aside) => {
                    format!("it was put aside as `{}`; names of classes are lost until the next apply", aside.display())
                }
                None => "names of classes are lost until the next apply".to_owned(),
            };
            (State::default(), vec![Diagnostic::new(&codes::STATE_SPOILT, message).help(help)])
        };
        match files::read(&path) {
            Ok(None) => (State::default(), Vec::new()),
            Ok(Some(bytes)) => match State::read(&bytes) {
                Ok(state) => (state, Vec::new()),
                Err(why) => spoilt(why),
            },
            // whoever may not read it works without names
            Err(e) if e.kind() == ErrorKind::PermissionDenied => (State::default(), Vec::new()),
            Err(e) => spoilt(e.to_string()),
        }
    }

    /// From what [`State::text`] wrote.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<State, String> {
        match serde_json::from_slice::<State>(bytes) {
            Ok(state) if state.version == VERSION => Ok(state),
            Ok(state) => Err(format!("it is of form {}, and {VERSION} is known here", state.version)),
            Err(e) => Err(e.to_string()),
        }
    }

    /// As the text of a file.
    ///
    /// # Errors
    /// Never with what a policy can make.
    pub fn text(&self) -> std::io::Result<String> {
        serde_json::to_string(self).map_err(std::io::Error::other)
    }

    /// Writes it: beside the old file, flushed, then in its place. What is written there already is left alone.
    ///
    /// # Errors
    /// The directory cannot be made, or the file not be written.
    pub fn save(&self, dir: &Path, netns: Option<&str>) -> std::io::Result<()> {
        files::directory(dir, 0o755)?;
        let (path, text) = (file(dir, netns), self.text()?);
        match files::read(&path) {
            Ok(Some(written)) if written == text.as_bytes() => Ok(()),
            _ => files::write(&path, text.as_bytes(), true),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    fn some() -> State {
        let owned = Owned { egress: true, ingress: false, txqueuelen: Some(1000) };
        State { policy: Some("/etc/p.yaml".into()), owned: [("eth0".to_owned(), owned)].into(), ..State::default() }
    }

    #[test]
    fn what_is_saved_is_loaded_and_namespaces_are_apart() {
        let dir = tempfile::tempdir().unwrap();
        some().save(dir.path(), None).unwrap();
        State::default().save(dir.path(), Some("../x")).unwrap();
        let (state, found) = State::load(dir.path(), None);
        assert!(found.is_empty());
        assert_eq!(state.policy.as_deref(), Some("/etc/p.yaml"));
        assert_eq!(state.owned, some().owned);
        assert_eq!(State::load(dir.path(), Some("../x")).0.policy, None);
        assert!(dir.path().join("netns-%2e%2e%2fx.json").exists());
    }

    #[test]
    fn what_is_written_already_is_left_alone() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let inode = || fs::metadata(dir.path().join("state.json")).unwrap().ino();
        some().save(dir.path(), None).unwrap();
        let first = inode();
        some().save(dir.path(), None).unwrap();
        assert_eq!(inode(), first);
        State { policy: None, ..some() }.save(dir.path(), None).unwrap();
        assert_ne!(inode(), first);
    }

    #[test]
    fn garbage_is_named_put_aside_and_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        for text in ["", "{", "{\"version\":1", "[]", "{\"version\":99,\"policy\":null}", "\u{0}\u{1}"] {
            fs::write(&path, text).unwrap();
            let (state, found) = State::load(dir.path(), None);
            assert_eq!(state, State::default(), "{text:?}");
            assert_eq!(found.len(), 1, "{text:?}");
            assert!(!path.exists() && dir.path().join("state.json.bad").exists());
        }
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("elsewhere");
        fs::write(&target, some().text().unwrap()).unwrap();
        std::os::unix::fs::symlink(&target, dir.path().join("state.json")).unwrap();
        let (state, found) = State::load(dir.path(), None);
        assert_eq!(state, State::default());
        assert_eq!(found.len(), 1);
    }
}
