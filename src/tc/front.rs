//! The options of tc that stand before the object: `tc -s -d qdisc show`.

use super::Wrong;
use crate::diagnostic::codes;
use crate::unit::{Refusal, begins};

/// What they say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Front {
    /// `-s`: counters too.
    pub statistics: bool,
    /// `-d`: everything that there is to say.
    pub details: bool,
    /// `-j`: for machines.
    pub json: bool,
    /// `-force`: a batch goes on after a line that fails.
    pub force: bool,
    /// `-batch FILE`: run the lines of a file; `-` is standard input.
    pub batch: Option<String>,
    /// `-n NAME`: in this network namespace.
    pub netns: Option<String>,
    /// How many words they are: the rest is the command.
    pub words: usize,
}

const KNOWN: &str = "options are `-s`, `-d`, `-j`, `-n NAME`, `-batch FILE` and `-force`";

/// Reads the options in front. Those that only change how tc prints are read and have no effect here.
///
/// # Errors
/// An option that tc does not have, or one without its value.
pub fn front(words: &[String]) -> Result<Front, Wrong> {
    let mut front = Front::default();
    let no_effect = ["-raw", "-pretty", "-graph", "-iec", "-Numeric", "-names", "-nm", "-timestamp", "-tshort"];
    while let Some(word) = words.get(front.words).filter(|word| word.starts_with('-')) {
        let is = |full: &str| begins(word, full);
        let value = words.get(front.words + 1).cloned();
        front.words += 1;
        match () {
            () if is("-stats") || is("-statistics") => front.statistics = true,
            () if is("-details") => front.details = true,
            () if no_effect.iter().take(3).any(|full| is(full)) => {}
            () if is("-Version") || is("-help") => {
                let told = if is("-help") { KNOWN } else { concat!("shapectl ", env!("CARGO_PKG_VERSION")) };
                let wrong = wrong_at(front.words - 1, "a line that asks for help is not run".to_owned(), told);
                return wrong.map_err(|wrong| Wrong { asked: true, ..wrong });
            }
            () if is("-iec") => {}
            () if is("-force") => front.force = true,
            () if is("-batch") || is("-netns") => {
                let Some(value) = value else {
                    return wrong_at(
                        front.words,
                        format!("`{word}` wants a name behind it"),
                        "write `-batch FILE`, `-netns NAME`",
                    );
                };
                front.words += 1;
                if is("-batch") { front.batch = Some(value) } else { front.netns = Some(value) }
            }
            () if no_effect.iter().any(|full| is(full)) => {}
            () if is("-cf") || is("-conf") => front.words += 1,
            () if word.split('=').next().is_some_and(|word| begins(word, "-color") && word.len() > 1) => {}
            () if is("-json") => front.json = true,
            () if is("-oneline") || is("-brief") || word == "-echo" => {}
            () => {
                return wrong_at(front.words - 1, format!("tc has no option `{word}`"), KNOWN);
            }
        }
    }
    Ok(front)
}

fn wrong_at<T>(word: usize, message: String, help: &str) -> Result<T, Wrong> {
    Err(Wrong::new(word, Refusal::coded(&codes::UNKNOWN_KEY, message).help(help)))
}
