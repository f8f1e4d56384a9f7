//! Files in the repository that are written by the program: they must be what it writes now. Refresh: `UPDATE=1`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use shapectl::{kind, manual, schema};
use std::path::Path;

fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).expect("the file is written");
    }
    let held = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(held == text, "{name} is not what the program writes: run UPDATE=1 cargo test --test texts");
}

#[test]
fn the_manual_of_commands() {
    golden("man/shapectl.8", &manual::commands().unwrap());
}

#[test]
fn the_manual_of_the_language() {
    golden("man/shapectl.policy.5", &manual::policy());
}

/// A word in bold that is cut by the end of a line would turn the rest of the paragraph around.
#[test]
fn what_is_bold_ends_in_its_line() {
    for line in manual::commands().unwrap().lines().chain(manual::policy().lines()) {
        let of = |turn: &str| line.matches(turn).count();
        assert_eq!(of("\\fB") + of("\\fI"), of("\\fR"), "{line}");
    }
}

#[test]
fn the_schema() {
    golden("grammar/policy.schema.json", &format!("{:#}\n", schema::schema()));
}

/// Every option of every kind that a policy can write stands in the manual and in the schema.
#[test]
fn no_option_is_missing_from_the_manual_or_the_schema() {
    let (manual, schema) = (manual::policy(), schema::schema());
    for kind in kind::all(kind::Role::Qdisc).filter(|k| k.writable && !matches!(k.name, "ingress" | "clsact")) {
        // a band's class is tc's alone
        let class = kind.class.filter(|_| kind.children == kind::Children::Classes);
        let tables = [Some((kind.options)()), class.map(|fresh| fresh())];
        for (options, name) in tables.into_iter().zip([kind.name.to_owned(), format!("{}-class", kind.name)]) {
            for row in options.iter().flat_map(|o| o.rows()).filter(|r| !r.hidden) {
                assert!(manual.contains(&format!("\\fB{}\\fR", row.word.replace('-', "\\-"))), "{name} {}", row.word);
                let at = format!("/$defs/{name}/anyOf/0/properties/{}", row.word);
                assert!(schema.pointer(&at).is_some(), "{at} is not in the schema");
            }
        }
    }
}
