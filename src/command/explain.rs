//! `explain`: the page of a code or kind, and TOS.

use super::Exit;
use super::frame::{Frame, Machine};
use crate::explain;
use crate::tos;

pub(super) fn run(frame: &mut Frame, what: Option<&str>, octet: Option<&str>, policy: Option<&str>) -> Exit {
    match what {
        None => {
            frame.print(&explain::index());
            Exit::Done
        }
        Some("tos") => of_tos(frame, octet, policy),
        Some(what) => match explain::page(what) {
            Ok(page) => {
                frame.print(&format!("{}\n", page.trim_end()));
                Exit::Done
            }
            Err(near) => {
                let hint = if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(" or ")) };
                frame.complain(&format!("there is no code or kind `{what}`{hint} (all codes: shapectl explain)"));
                Exit::Usage
            }
        },
    }
}

/// The octet's bits, the kernel's priority for it, and the band in the default priomap or in each prio of a policy.
fn of_tos(frame: &mut Frame, octet: Option<&str>, policy: Option<&str>) -> Exit {
    let octets: Vec<u8> = match octet.map(tos::octet) {
        None => (0..16).map(|n| n << 1).collect(),
        Some(Some(octet)) => vec![octet],
        Some(None) => {
            let names: Vec<_> = tos::NAMES.iter().map(|(name, _)| *name).collect();
            frame.complain(&format!("`{}` is no octet: write 0x10, or one of {}", octet.unwrap_or(""), names.join(", ")));
            return Exit::Usage;
        }
    };
    let mut maps = vec![("pfifo_fast and prio's default".to_owned(), tos::PRIOMAP.to_vec(), Vec::new())];
    if let Some(file) = policy {
        let machine = Machine::default();
        let policy = frame.policy(file, &|name: &str| machine.facts(name));
        if frame.found.has_errors() {
            return frame.refuse(Exit::Refused);
        }
        maps = tos::maps(&policy);
        frame.report();
        if maps.is_empty() {
            frame.complain(&format!("{file} has no prio discipline"));
            return Exit::Refused;
        }
    }
    if frame.is_json() {
        let maps: Vec<_> = maps.iter().map(|(name, map, bands)| tos::json(name, &octets, map, bands)).collect();
        frame.json(&serde_json::json!({ "tos": maps }));
    } else {
        for (name, map, bands) in &maps {
            frame.print(&tos::text(name, &octets, map, bands));
        }
    }
    Exit::Done
}
