//! The pages that `shapectl explain` opens: codes and kinds. (Of TOS: [`crate::tos`].)

use crate::codes;
use crate::kind::{self, Children, Kind, Options, Role};
use std::fmt::Write;

/// The page of a code or kind; the nearest names if there is none.
///
/// # Errors
/// The names that are nearest to what was asked for.
pub fn page(what: &str) -> Result<String, Vec<&'static str>> {
    if let Some(code) = codes::find(what) {
        return Ok(format!("{} ({})\n\n{}", code.name, code.severity.word(), code.page.trim_end()));
    }
    let roles = [Role::Qdisc, Role::Filter, Role::Action];
    if let Some(kind) = roles.into_iter().find_map(|role| kind::find(role, what)) {
        return Ok(kind_page(kind));
    }
    let names = codes::ALL.iter().map(|c| c.name);
    let kinds = roles.into_iter().flat_map(kind::all).map(|k| k.name);
    let mut near: Vec<_> = names.chain(kinds).map(|n| (strsim::jaro_winkler(n, what), n)).collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    Err(near.into_iter().filter(|(score, _)| *score > 0.75).take(3).map(|(_, n)| n).collect())
}

/// All codes with their titles, a line each.
pub fn index() -> String {
    let width = codes::ALL.iter().map(|c| c.name.len()).max().unwrap_or(0);
    let line = |c: &&codes::Code| format!("{:width$}  {:7}  {}\n", c.name, c.severity.word(), c.title);
    codes::ALL.iter().map(line).collect()
}

fn table(options: &dyn Options, out: &mut String) {
    for row in options.rows().iter().filter(|r| !r.hidden) {
        let _ = writeln!(out, "  {}", row.word);
        let _ = writeln!(out, "      {}", row.doc);
        let _ = write!(out, "      {}: {}", row.unit.name, row.unit.spellings);
        match (row.default, row.computed) {
            (Some(default), _) => drop(write!(out, "; default {default}")),
            (None, Some(computed)) => drop(write!(out, "; default: {computed}")),
            (None, None) => {}
        }
        out.push_str(if row.fixed { "; not changed in place\n" } else { "\n" });
    }
}

/// What there is to say of a kind: its facts and its rows.
pub fn kind_page(kind: &Kind) -> String {
    let mut out = format!("{}: {}\n\n", kind.name, kind.doc);
    if kind.role == Role::Qdisc {
        let below = match kind.children {
            Children::None => "holds nothing below it",
            Children::Classes => "holds `classes` that the policy names",
            Children::Bands => "holds `bands`, each with a leaf in `leaves`",
            Children::Leaf => "holds one inner discipline, its `leaf`",
        };
        let change = if kind.change { "its options change in place" } else { "a change of its options makes it anew" };
        let _ = writeln!(out, "It {below}; {change}.");
    }
    let _ = writeln!(out, "Kernel: CONFIG_{} (module {}).\n", kind.config, kind.module);
    let options = (kind.options)();
    if options.rows().iter().any(|r| !r.hidden) {
        out.push_str("options\n");
        table(options.as_ref(), &mut out);
    }
    if let Some(fresh) = kind.class {
        out.push_str("\noptions of a class\n");
        table(fresh().as_ref(), &mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn codes_and_kinds_have_pages_and_slips_are_understood() {
        assert!(page("ceil-below-rate").unwrap().starts_with("ceil-below-rate (error)"));
        assert!(page("htb").unwrap().contains("what it may reach by borrowing"));
        assert_eq!(page("ciel-below-rate").unwrap_err().first(), Some(&"ceil-below-rate"));
    }
}
