//! `explain`: the page of a code or kind, TOS, and marks.

mod marks;

use super::Exit;
use super::frame::{Frame, Machine};
use crate::explain;
use crate::policy::model::{Children, Policy};
use crate::policy::tos;
use crate::unit::NumberList;
use serde_json::{Value, json};
use std::fmt::Write;

pub(super) fn run(frame: &mut Frame, what: Option<&str>, octet: Option<&str>, policy: Option<&str>) -> Exit {
    match what {
        None => {
            frame.print(&explain::index());
            Exit::Done
        }
        Some("tos") => of_tos(frame, octet, policy),
        Some("marks") => marks::run(frame, policy),
        Some(what) => match explain::page(what) {
            Ok(page) => {
                frame.print(&format!("{}\n", page.trim_end()));
                Exit::Done
            }
            Err(near) => {
                let hint =
                    if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(" or ")) };
                frame.complain(&format!("there is no code or kind `{what}`{hint} (all codes: shapectl explain)"));
                Exit::Usage
            }
        },
    }
}

/// The octet's bits, the kernel's priority for it, and the band in the default priomap or in each prio of a policy.
fn of_tos(frame: &mut Frame, octet: Option<&str>, file: Option<&str>) -> Exit {
    let asked = match octet.map(|text| (text, tos::octet(text))) {
        None => None,
        Some((_, Some(octet))) => Some(octet),
        Some((text, None)) => {
            let words: Vec<_> = tos::words().collect();
            frame.complain(&format!("`{text}` is no octet: write 0x10, or one of {}", words.join(", ")));
            return Exit::Usage;
        }
    };
    let mut maps =
        vec![Bands { of: "pfifo_fast, and prio by default".into(), map: tos::PRIOMAP.to_vec(), names: Vec::new() }];
    if let Some(file) = file {
        let machine = Machine::default();
        let policy = frame.policy(file, &|name: &str| machine.facts(name));
        if frame.found.has_errors() {
            return frame.refuse(Exit::Refused);
        }
        maps = bands_of(&policy);
        frame.report();
        if maps.is_empty() {
            frame.complain(&format!("{file} has no prio discipline"));
            return Exit::Refused;
        }
    }
    if frame.is_json() {
        let maps: Vec<_> = maps.iter().map(|m| tables_json(m, asked)).collect();
        frame.json(&json!({ "tos": maps }));
    } else {
        let tables: Vec<_> = maps.iter().map(|m| table(m, asked)).collect();
        frame.print(&tables.join("\n"));
    }
    Exit::Done
}

/// A priomap and what its bands are called.
struct Bands {
    of: String,
    map: Vec<u8>,
    names: Vec<String>,
}

impl Bands {
    fn band(&self, row: &tos::Row) -> String {
        match row.band {
            None => "none".into(),
            Some(n) => match self.names.get(usize::from(n)) {
                Some(name) => format!("{n} {name}"),
                None => n.to_string(),
            },
        }
    }
}

/// The priomap of every prio at a root of the policy.
fn bands_of(policy: &Policy) -> Vec<Bands> {
    let mut maps = Vec::new();
    for interface in &policy.interfaces {
        let shape = interface.ingress.as_ref().and_then(|i| i.shape.as_ref()).map(|s| &s.value);
        for (word, direction) in [("egress", interface.egress.as_ref()), ("ingress", shape)] {
            let Some(discipline) = direction.map(|d| &d.discipline).filter(|d| d.kind.value.name == "prio") else {
                continue;
            };
            let map = discipline.options.value::<NumberList>("priomap").map_or_else(|| tos::PRIOMAP.to_vec(), |l| l.0);
            let names = match &discipline.children {
                Children::Bands(bands) => {
                    bands.iter().map(|b| b.name.as_ref().map_or_else(String::new, |n| n.value.to_string())).collect()
                }
                _ => Vec::new(),
            };
            maps.push(Bands { of: format!("{} {word}", interface.name.value), map, names });
        }
    }
    maps
}

fn table(bands: &Bands, asked: Option<u8>) -> String {
    let mut out = format!("{}\n", bands.of);
    let rows = tos::explain(asked, &bands.map);
    let _ = writeln!(out, "  octet  bits      service                                  priority            band");
    for row in &rows {
        let bits = format!("{:03b} {:04b} {}", row.precedence, row.service, row.octet & 1);
        let priority = format!("{} {}", row.priority, row.priority_name);
        let _ = write!(out, "  0x{:02x}   {bits} {:40} {priority:19} {}", row.octet, row.names, bands.band(row));
        if let Some(classic) = row.classic {
            let _ = write!(out, "  (older guides: priority {classic})");
        }
        out.push('\n');
    }
    if let [row] = rows.as_slice() {
        let _ =
            writeln!(out, "  bits are precedence, service, and one that must be zero; precedence {}", row.precedence);
        if let Some(dscp) = row.dscp {
            let _ = writeln!(out, "  as a DSCP it is {dscp}");
        }
        let _ = writeln!(out, "  to ECN its lower two bits are {}", row.ecn);
    }
    out.push_str(
        "  the kernel does this for forwarded IPv4 and for local sockets; not for IPv6, on a bridge or on an ifb\n",
    );
    out
}

fn tables_json(bands: &Bands, asked: Option<u8>) -> Value {
    let rows: Vec<_> = tos::explain(asked, &bands.map)
        .iter()
        .map(|r| {
            json!({
                "octet": r.octet, "precedence": r.precedence, "service": r.service, "names": r.names, "dscp": r.dscp,
                "ecn": r.ecn, "priority": r.priority, "priority_name": r.priority_name, "classic_priority": r.classic,
                "band": r.band, "band_name": r.band.and_then(|b| bands.names.get(usize::from(b))),
            })
        })
        .collect();
    json!({ "of": bands.of, "priomap": bands.map, "octets": rows })
}
