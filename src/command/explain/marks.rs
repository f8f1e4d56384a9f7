//! `explain marks`: the marks that a policy matches, and the firewall's side of them.

use super::super::Exit;
use super::super::frame::{Frame, Machine};
use crate::policy::model::{Policy, Rule};
use crate::syntax::expression::{Field, Item};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write;

const PAGE: &str = include_str!("../../explain/topics/marks.md");

/// A rule that matches a mark.
struct Use {
    /// `eth0 egress`.
    list: String,
    /// What becomes of the packets.
    target: String,
    /// `p2p.yaml:12`.
    place: String,
}

pub(super) fn run(frame: &mut Frame, file: Option<&str>) -> Exit {
    let Some(file) = file else {
        frame.print(&format!("{}\n", PAGE.trim_end()));
        return Exit::Done;
    };
    let machine = Machine::default();
    let policy = frame.policy(file, &|name: &str| machine.facts(name));
    if frame.found.has_errors() {
        return frame.refuse(Exit::Refused);
    }
    let marks = matched(frame, &policy);
    frame.report();
    if marks.is_empty() {
        frame.complain(&format!("{file} matches no mark (how marks work: shapectl explain marks)"));
        return Exit::Refused;
    }
    let table = table(file, &marks);
    if frame.is_json() {
        let uses = |u: &Use| json!({ "list": u.list, "target": u.target, "place": u.place });
        let of = |((value, mask), all): (&(u32, u32), &Vec<Use>)| json!({ "value": value, "mask": mask, "rules": all.iter().map(uses).collect::<Vec<_>>() });
        frame.json(&json!({ "marks": marks.iter().map(of).collect::<Vec<_>>(), "nft": table }));
    } else {
        frame.print(&table);
    }
    Exit::Done
}

/// The marks that rules match, each value under its mask, with these rules.
fn matched(frame: &Frame, policy: &Policy) -> BTreeMap<(u32, u32), Vec<Use>> {
    let mut out: BTreeMap<(u32, u32), Vec<Use>> = BTreeMap::new();
    let mut list = |name: String, rules: &[Rule]| {
        for rule in rules {
            let Some(expression) = &rule.matches else { continue };
            let target = match &rule.class {
                Some(class) => format!("class {}", class.value),
                None => "a rule with actions".to_owned(),
            };
            let place = frame.sources.locate(expression.span).map(|(file, line, _)| format!("{file}:{line}"));
            expression.value.visit(&mut |test| {
                for (value, mask) in test.items.iter().filter_map(mark).filter(|_| test.field == Field::Mark) {
                    let (list, target) = (name.clone(), target.clone());
                    let place = place.clone().unwrap_or_default();
                    out.entry((value, mask)).or_default().push(Use { list, target, place });
                }
            });
        }
    };
    for interface in &policy.interfaces {
        let name = &interface.name.value;
        if let Some(egress) = &interface.egress {
            list(format!("{name} egress"), &egress.rules);
        }
        if let Some(ingress) = &interface.ingress {
            list(format!("{name} ingress"), &ingress.rules);
            if let Some(shape) = &ingress.shape {
                list(format!("{name} ingress shape"), &shape.value.rules);
            }
        }
    }
    for shared in &policy.shared {
        list(format!("shared {}", shared.name.value), &shared.direction.rules);
    }
    out
}

fn mark(item: &Item) -> Option<(u32, u32)> {
    let (value, mask) = match item {
        Item::Number(value) => (*value, u64::from(u32::MAX)),
        Item::Masked(value, mask) => (*value, *mask),
        _ => return None,
    };
    Some((u32::try_from(value).ok()?, u32::try_from(mask).ok()?))
}

/// A file for `nft -f` that sets these marks, but for what it sets them on: that is left to be written.
fn table(file: &str, marks: &BTreeMap<(u32, u32), Vec<Use>>) -> String {
    let mut out = format!(
        "#!/usr/sbin/nft -f\n# The firewall's side of the marks that {} matches. In the chain `sort` each line wants a condition of\n\
         # yours in place of the example, and its `#` taken away; then load the file with `nft -f`.\n\
         table inet shapectl_marks\ndelete table inet shapectl_marks\ntable inet shapectl_marks {{\n",
        file.escape_default()
    );
    out.push_str(
        "    # packets of connections that have been sorted\n    chain sorted {\n        \
         type filter hook prerouting priority mangle\n        ct mark != 0 meta mark set ct mark\n    }\n    \
         # connections through this machine, before their source is changed; without `ct state new`: every packet\n    \
         chain forwarded {\n        type filter hook forward priority mangle\n        ct state new jump sort\n    }\n    \
         # and its own\n    chain own {\n        type route hook output priority mangle\n        \
         ct mark != 0 meta mark set ct mark\n        ct state new jump sort\n    }\n    chain sort {\n",
    );
    let mut arriving = false;
    for ((value, mask), uses) in marks {
        for Use { list, target, place } in uses {
            arriving |= list.contains("ingress");
            let _ = writeln!(out, "        # {place}: {list}, {target}");
        }
        let set = match (*mask, *value) {
            (u32::MAX, value) => format!("ct mark set 0x{value:x}"),
            (mask, 0) => format!("ct mark set ct mark & 0x{:x}", !mask),
            (mask, value) => format!("ct mark set ct mark & 0x{:x} | 0x{value:x}", !mask),
        };
        let _ = writeln!(out, "        # tcp dport 6881-6999 {set}");
    }
    out.push_str("        ct mark != 0 meta mark set ct mark\n    }\n}\n");
    if arriving {
        out.push_str(
            "# What arrives has no mark before netfilter. The policy restores it:\n\
             #     ingress: { rules: [ { do: [ { ctinfo: { cpmark: yes } }, continue ] } ], shape: … }\n\
             # or, in `both`, first of all rules { do: [ { ctinfo: { cpmark: yes } }, continue ], match: down }\n",
        );
    }
    out
}
