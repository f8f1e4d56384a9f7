//! Nothing of the kernel's headers is passed over: every attribute of every enum that belongs to a kind is a row of that
//! kind, or stands in its file with the reason why it is none.
//!
//! `tests/uapi/attributes` lists the enums as include/uapi/linux has them. To take a newer kernel's, run
//! `UPDATE=1 SHAPECTL_HEADERS=…/include/uapi/linux cargo test --test coverage`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use shapectl::kind::{self, Attribute, Covers, Kind, Role, Wire};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The headers that have tc's attributes.
const HEADERS: &[&str] = &["rtnetlink.h", "gen_stats.h", "pkt_sched.h", "pkt_cls.h", "tc_act", "tc_ematch"];

/// Enums that belong to no kind but to all: by their first name, and the file that reads them.
const COMMON: &[(&str, &str)] = &[
    ("TCA_KIND", "src/netlink.rs"),
    ("TCA_ROOT_TAB", "src/netlink.rs"),
    ("TCA_STATS_BASIC", "src/netlink/dump.rs"),
    ("TCA_STAB_BASE", "src/netlink/stab.rs"),
    ("TCA_ACT_KIND", "src/kind/action.rs"),
];

/// An enum of attributes: names and numbers, without its zero and its end.
type Enum = Vec<(String, u16)>;

fn list() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/uapi/attributes")
}

/// The enums of the list.
fn enums() -> Vec<Enum> {
    let text = fs::read_to_string(list()).unwrap();
    let mut enums: Vec<Enum> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line.split_once(' ') {
            Some((name, number)) => enums.last_mut().unwrap().push((name.to_owned(), number.parse().unwrap())),
            None => enums.push(Vec::new()),
        }
    }
    enums.retain(|e| !e.is_empty());
    enums
}

/// The text without C's comments and preprocessor lines.
fn bare(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/*") {
        out.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
}

/// The enums of a header whose names are attributes: they begin with a zero that is none, or at 1.
fn read_header(text: &str) -> Vec<Enum> {
    let text = bare(text);
    let mut enums = Vec::new();
    for part in text.split("enum").skip(1) {
        let Some((_, body)) = part.split_once('{') else { continue };
        let body = body.split_once('}').map_or(body, |(body, _)| body);
        let names: Vec<&str> = body.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let first = names.first().copied().unwrap_or_default();
        let zero = first.ends_with("_UNSPEC") || first.ends_with("_INVALID");
        if first.contains("_FLAG")
            || !(first.trim_start_matches('_').starts_with("TCA_") && (zero || first.ends_with("= 1")))
        {
            continue;
        }
        let mut next = 0;
        let mut of: Enum = Vec::new();
        for name in names {
            let (name, value) = name.split_once('=').map_or((name, None), |(n, v)| (n.trim(), Some(v.trim())));
            let Some(number) = value.map_or(Some(next), |v| v.parse().ok()) else { continue };
            next = number + 1;
            if number != 0 && !name.starts_with("__") {
                of.push((name.to_owned(), number));
            }
        }
        enums.push(of);
    }
    enums
}

fn headers(folder: &Path) -> Vec<Enum> {
    let mut files = Vec::new();
    for header in HEADERS {
        let path = folder.join(header);
        if path.is_dir() {
            let mut inside: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
            inside.sort();
            files.extend(inside);
        } else {
            files.push(path);
        }
    }
    files.iter().flat_map(|path| read_header(&fs::read_to_string(path).unwrap())).collect()
}

fn kinds() -> impl Iterator<Item = &'static Kind> {
    [Role::Qdisc, Role::Filter, Role::Action].into_iter().flat_map(kind::all)
}

/// The rows of a kind and of its classes, by word.
fn rows(kind: &Kind) -> BTreeMap<&'static str, Vec<Wire>> {
    let mut rows: BTreeMap<_, Vec<Wire>> = BTreeMap::new();
    for fresh in [Some(kind.options), kind.class].into_iter().flatten() {
        for row in fresh().rows() {
            rows.entry(row.word).or_default().push(row.wire);
        }
    }
    rows
}

#[test]
fn the_list_is_that_of_the_headers() {
    let Some(folder) = std::env::var_os("SHAPECTL_HEADERS") else {
        assert!(enums().len() > 70, "the list of attributes has been cut");
        return;
    };
    let enums = headers(Path::new(&folder));
    if std::env::var_os("UPDATE").is_some() {
        let mut text =
            "# The attributes of tc in the kernel's headers, an enum each block: names and numbers.\n".to_owned();
        for of in &enums {
            text.push('\n');
            of.iter().for_each(|(name, number)| text += &format!("{name} {number}\n"));
        }
        fs::write(list(), text).unwrap();
    }
    assert_eq!(self::enums(), enums);
}

#[test]
fn every_attribute_is_a_row_or_has_a_reason() {
    let enums = enums();
    let by_name: BTreeMap<&str, (usize, u16)> = enums
        .iter()
        .enumerate()
        .flat_map(|(at, of)| of.iter().map(move |(name, number)| (name.as_str(), (at, *number))))
        .collect();
    let mut wrong = Vec::new();
    let mut told = BTreeSet::new();
    for kind in kinds() {
        let rows = rows(kind);
        let mut own = BTreeSet::new();
        for Attribute { name, number, covers } in kind.attributes {
            match by_name.get(name) {
                None => wrong.push(format!("{}: the headers have no {name}", kind.name)),
                Some((_, there)) if there != number => wrong.push(format!("{}: {name} is {there}", kind.name)),
                Some((at, _)) => {
                    own.insert(*at);
                }
            }
            if kind.attributes.iter().filter(|other| other.name == *name).count() != 1 {
                wrong.push(format!("{}: {name} twice", kind.name));
            }
            match covers {
                Covers::Not(why) if why.split(' ').count() < 2 => {
                    wrong.push(format!("{}: {name}: `{why}` is no reason", kind.name));
                }
                Covers::Not(_) => {}
                Covers::Rows(words) => {
                    for word in words.iter().filter(|word| !rows.contains_key(*word)) {
                        wrong.push(format!("{}: {name} is to be the row `{word}`, which is not there", kind.name));
                    }
                    if words.is_empty() {
                        wrong.push(format!("{}: {name} is no row and has no reason", kind.name));
                    }
                }
            }
        }
        for at in &own {
            for (name, _) in enums[*at].iter().filter(|(name, _)| kind.attributes.iter().all(|a| a.name != name)) {
                wrong.push(format!("{}: nothing is said of {name}", kind.name));
            }
        }
        // and the other way: what travels in an attribute of its own is in the list under its number
        for (word, wires) in &rows {
            for wire in wires {
                let numbers = match *wire {
                    Wire::Own | Wire::Sole => continue,
                    Wire::U8(n) | Wire::U16(n) | Wire::U32(n) | Wire::U64(n) => vec![n],
                    Wire::Be16(n) | Wire::Be32(n) | Wire::S32(n) | Wire::Micros(n) => vec![n],
                    Wire::Masked8(value, mask) => vec![value, mask],
                };
                for number in numbers {
                    let carries = |a: &&Attribute| a.number == number && a.covers == covers_with(a, word);
                    if !kind.attributes.is_empty() && kind.attributes.iter().find(carries).is_none() {
                        wrong.push(format!("{}: no attribute {number} carries `{word}`", kind.name));
                    }
                }
            }
        }
        told.extend(own);
    }
    for (at, of) in enums.iter().enumerate().filter(|(at, _)| !told.contains(at)) {
        if !COMMON.iter().any(|(first, _)| of[0].0 == *first) {
            wrong.push(format!("no kind says anything of the enum with {} ({at})", of[0].0));
        }
    }
    assert!(wrong.is_empty(), "{} gaps:\n{}", wrong.len(), wrong.join("\n"));
}

/// The attribute's own coverage if the word is among its rows; else something that it is not.
fn covers_with(attribute: &Attribute, word: &str) -> Covers {
    match attribute.covers {
        Covers::Rows(words) if words.contains(&word) => attribute.covers,
        _ => Covers::Rows(&[]),
    }
}

#[test]
fn common_attributes_are_read_where_it_says() {
    let enums = enums();
    for (first, file) in COMMON {
        assert!(enums.iter().any(|of| of[0].0 == *first), "the headers have no enum with {first}");
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(file).is_file(), "{file}");
    }
}

#[test]
fn a_header_is_read() {
    let text = "#define X 1\nenum {\n TCA_A_UNSPEC, /* none, */\n TCA_A_B,\n TCA_A_C = 7,\n TCA_A_D,\n#define Y TCA_A_D\n \
                __TCA_A_MAX\n};\nenum { OTHER, ONE };\nenum { TCA_P_X = 1, TCA_P_Y = 2, TCA_P_MAX = (__TCA_P_CNT - 1) };";
    let of = |names: &[(&str, u16)]| names.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect::<Enum>();
    assert_eq!(
        read_header(text),
        [of(&[("TCA_A_B", 1), ("TCA_A_C", 7), ("TCA_A_D", 8)]), of(&[("TCA_P_X", 1), ("TCA_P_Y", 2)])]
    );
}
