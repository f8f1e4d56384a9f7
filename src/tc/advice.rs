//! Help for words that mean nothing: the nearest that does, and the list of those that may stand there.

use crate::kind::{Options, Role, all};
use crate::syntax::names::nearest;
use crate::unit::Refusal;

/// Words as a list: `` `a`, `b` ``.
pub(super) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// What may stand in the place of a word: the nearest first.
pub(super) fn among(word: &str, what: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`? {what}: {}", list(known.iter().copied())),
        None => format!("{what}: {}", list(known.iter().copied())),
    }
}

/// Adds what an option takes to a refusal that does not say it.
pub(super) fn of_option(refusal: Refusal, word: &str, name: &str, options: &dyn Options) -> Refusal {
    if refusal.help.is_some() {
        return refusal;
    }
    let row =
        options.rows().iter().find(|row| row.is(word)).or_else(|| options.rows().iter().find(|row| row.begins(word)));
    match row.filter(|row| !row.hidden && !row.unit.spellings.is_empty()) {
        Some(row) => refusal.help(format!("`{}` takes {}", row.word, row.unit.spellings)),
        None => refusal.help(self::options(word, name, options)),
    }
}

/// The words of a kind's options.
pub(super) fn options(word: &str, name: &str, options: &dyn Options) -> String {
    let rows = options.rows().iter().filter(|row| !row.hidden);
    let known: Vec<&str> = rows.flat_map(|row| std::iter::once(row.word).chain(row.off)).collect();
    if known.is_empty() {
        return format!("`{name}` has no options");
    }
    let spelt = options.rows().iter().filter(|row| !row.hidden).flat_map(|row| row.aliases.iter().copied());
    match nearest(word, known.iter().copied().chain(spelt)) {
        Some(near) => format!("did you mean `{near}`? `{name}` has {}", list(known)),
        None => format!("`{name}` has {}", list(known)),
    }
}

/// The kinds of a role.
pub(super) fn kinds(word: &str, role: Role) -> String {
    let known: Vec<&str> = all(role).map(|kind| kind.name).collect();
    among(word, "known are", &known)
}
