//! tc scripts read back: a shell script or a batch file becomes the tree that the kernel would hold after it. Nothing is
//! run and no kernel is asked.
//!
//! - [`shell`]: the script as the commands that it would run, every word with its place
//! - `command`: those commands that are tc's and ip's, and what becomes of the others
//! - [`machine`]: a kernel that only keeps book
//! - `names`: names from comments
//! - `text`: text that remembers where it comes from

mod command;
pub mod machine;
mod names;
pub mod shell;
mod text;

pub use shell::Limits;
pub use text::Text;

use crate::diagnostic::Sink;
use crate::facts::Facts;
use crate::source::{FileId, Sources, Span};
use crate::tree::Tree;
use command::Reader;
use shell::{Place, Shell};

/// What a script is read with.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Variables and parameters (`1`, `2`…) that the script does not set itself.
    pub given: Vec<(String, String)>,
    /// Links that are called otherwise in the policy: the script's name and the policy's.
    pub devices: Vec<(String, String)>,
    /// Bounds.
    pub limits: Limits,
}

/// What scripts come to.
#[derive(Debug, Default)]
pub struct Imported {
    /// What the kernel would hold after them.
    pub tree: Tree,
    /// How many tc commands were understood.
    pub commands: usize,
    /// The network namespace in which they work, if they name one.
    pub netns: Option<String>,
}

/// Files that scripts name: those that may be read.
pub type Files<'a> = &'a mut dyn FnMut(&str, &mut Sources, &mut Sink) -> Option<FileId>;

/// Reads scripts one after the other, as one machine would run them. `files` gives a file that a script names.
pub fn import(
    scripts: &[FileId],
    settings: &Settings,
    sources: &mut Sources,
    files: Files<'_>,
    sink: &mut Sink,
) -> Imported {
    let mut reader = Reader::new(settings, Facts::default(), sources, files);
    for id in scripts {
        if reader.was_read(*id) {
            continue;
        }
        let Some((name, text)) = reader.source(*id) else { continue };
        if is_batch(&text) {
            reader.batch(&Text::new(&*text, Span::new(*id, 0, text.len())), false, sink);
        } else {
            Shell::new(&settings.given, settings.limits, &mut reader, sink).script(&name, &text, Place::At(*id, 0));
        }
    }
    reader.finish(sink)
}

/// Whether a text is a file for `tc -batch`: its first words are an object of tc and what is done to it.
fn is_batch(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#')).unwrap_or("");
    let mut words = first.split_whitespace();
    let (object, verb) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let begins = |word: &str, of: &[&str]| !word.is_empty() && of.iter().any(|full| full.starts_with(word));
    begins(object, &["qdisc", "class", "filter", "chain", "actions"])
        && begins(verb, &["add", "change", "replace", "link", "delete", "show", "list", "get", "flush"])
}
