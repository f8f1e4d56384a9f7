//! Every option of every kind on a real kernel: each line of `tests/wire` run by tc on a link of one namespace, its object
//! sent by us to one of another. The kernel then says the same of both, and the plan from the one to the other is empty, which also shows
//! that what we hold for the kernel's defaults is what they are.

use crate::bed::bench::{self, Bench, Case};
use crate::bed::dump::differences;
use crate::bed::kernel;
use crate::bed::tc_line::{Line, facts as bed_facts};
use crate::bed::wire;
use shapectl::facts::Facts;
use shapectl::kind::qdisc::htb::Class;
use shapectl::netlink::encode;
use shapectl::plan;
use shapectl::tc::{Target, Verb};
use shapectl::tree::{Branch, Id, Interface, Object, Tree};
use shapectl::unit::{Handle, Length};
use std::collections::BTreeSet;

/// What must stand before a line can be run.
pub fn before(line: &Line) -> Vec<&'static str> {
    // a class stands below a discipline of its own kind
    match (line.object.as_str(), line.kind.as_str(), line.get("parent").unwrap_or_default()) {
        ("class", "drr", _) => return vec!["tc qdisc add dev lo root handle 1: drr"],
        ("class", "ets", _) => return vec!["tc qdisc add dev lo root handle 1: ets bands 3"],
        ("class", "qfq", _) => return vec!["tc qdisc add dev lo root handle 1: qfq"],
        ("class", "hfsc", "1:") => return vec!["tc qdisc add dev lo root handle 1: hfsc"],
        ("class", "hfsc", _) => {
            return vec![
                "tc qdisc add dev lo root handle 1: hfsc",
                "tc class add dev lo parent 1: classid 1:1 hfsc sc rate 1gbit",
            ];
        }
        _ => {}
    }
    let mut before = match (line.object.as_str(), line.get("parent").unwrap_or_default()) {
        ("filter", "ffff:" | "ffff") => vec!["tc qdisc add dev lo handle ffff: ingress"],
        ("filter", "") => vec!["tc qdisc add dev lo clsact"],
        ("qdisc", "") => vec![],
        ("class", "1:") => vec!["tc qdisc add dev lo root handle 1: htb"],
        _ => vec!["tc qdisc add dev lo root handle 1: htb", "tc class add dev lo parent 1: classid 1:1 htb rate 1gbit"],
    };
    if line.object != "class" && before.len() == 2 {
        before.push("tc class add dev lo parent 1:1 classid 1:10 htb rate 1mbit");
    }
    let options = line.options.join(" ");
    if options.contains("ht 1:") {
        before.push("tc filter add dev lo parent 1: protocol ip prio 5 handle 1: u32 divisor 256");
    }
    if options.contains("link 1:") || options.contains("ht 800:") {
        before.push("tc filter add dev lo parent 1: protocol ip prio 5 handle 1: u32 divisor 256");
    }
    if options.contains("link 2:") {
        before.push("tc filter add dev lo parent 1: protocol ip prio 5 handle 2: u32 divisor 1");
    }
    before
}

fn lo() -> Option<Target> {
    Some(Target::Dev("lo".into()))
}

/// The line with the numbers that the kernel would give: a policy's objects have their own.
fn numbered(words: &str) -> Option<String> {
    let line = Line::read(words);
    let has = |word: &str| line.get(word).is_some();
    let adds = line.request.as_ref().is_ok_and(|request| request.verb == Verb::Add && request.target == lo());
    if !adds || line.fresh().is_none() || line.object == "chain" || has("ingress_block") || has("egress_block") {
        return None; // the same options as their `add`; shared blocks are no object of a tree
    }
    match line.object.as_str() {
        // tc sends no filter without any option
        "filter" if line.options.is_empty() && line.kind != "cgroup" => None,
        "qdisc" if has("root") && !has("handle") => Some(words.replacen(" root ", " root handle 1: ", 1)),
        "filter" if !has("prio") || line.kind == "fw" && !has("handle") => None,
        "filter" if !has("handle") => {
            let handle = match line.kind.as_str() {
                "u32" => "::1",
                "route" => return Some(words.to_owned()), // its realms are its number
                _ => "1",
            };
            // a policer's or table's own node would be numbered by its table
            (!words.contains(" ht ")).then(|| words.replacen(" prio ", &format!(" handle {handle} prio "), 1))
        }
        _ => Some(words.to_owned()),
    }
}

/// A class's quantum is always said by what lowers a policy: what the kernel computes with htb's r2q of 10. And so is a
/// number that the options of a filter tell.
pub fn with_quantum(mut object: Object) -> Object {
    if let Id::Filter { handle, .. } = &mut object.id {
        *handle = object.options.number(*handle, &bed_facts());
    }
    if let Some(class) = object.options.as_kind_mut::<Class>() {
        let computed = class.rate.unwrap_or_default().bytes() / 10;
        class.quantum.get_or_insert(Length(computed.clamp(1000, 200_000) as u32));
    }
    object
}

/// The tree that the objects make, each direction by itself.
fn tree(device: &str, objects: &[Object]) -> Tree {
    let mut interface = Interface::default();
    for object in objects {
        let hook = match object.id {
            Id::Qdisc { parent, .. } | Id::Class { parent, .. } | Id::Filter { parent, .. } => parent.0 >= 0xffff_0000,
        } && !matches!(object.id, Id::Qdisc { parent: Handle::ROOT, .. });
        let branch = if hook { &mut interface.ingress } else { &mut interface.egress };
        branch.get_or_insert_with(Branch::default).objects.push(object.clone());
    }
    Tree { interfaces: [(device.into(), interface)].into_iter().collect() }
}

#[test]
fn what_we_send_is_what_tc_makes() {
    let mut skipped = BTreeSet::new();
    let recorded = wire::files().into_iter().flat_map(|file| file.recordings);
    let runnable = recorded.filter_map(|recording| {
        let words = numbered(&recording.words)?;
        let line = Line::read(&words);
        let before = before(&line).into_iter().map(str::to_owned).collect::<Vec<_>>();
        let lines = before.iter().map(|line| Line::read(line)).chain([line]).collect::<Vec<_>>();
        if let Some(thing) = bench::lacking(&lines) {
            if skipped.insert(thing.clone()) {
                kernel::skipped("what_we_send_is_what_tc_makes", &[&thing]);
            }
            return None;
        }
        Some((words, before))
    });
    let parties = bench::parties(runnable);
    let checked = parties.iter().map(Vec::len).sum::<usize>();
    let wrong = bench::judge(&parties, compare);
    println!("{checked} lines in {} parties", parties.len());
    assert!(checked > 100);
    assert!(wrong.is_empty(), "{} of {checked} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is wrong with the lines of a party.
fn compare([by_tc, by_us]: &mut [Bench; 2], cases: &[Case]) -> Vec<String> {
    let refused_by_tc = by_tc.run(cases);
    let made = cases.iter().map(|case| send(by_us, case)).collect::<Vec<_>>();
    let (left, right) = (by_tc.dumps(cases), by_us.dumps(cases));
    let held = by_tc.kernel.read(None).unwrap();
    let mut wrong = Vec::new();
    for (at, case) in cases.iter().enumerate() {
        let result = made[at].clone().and_then(|(objects, refused)| {
            match (refused_by_tc[at].is_empty(), refused.is_empty()) {
                (true, true) => {}
                // what the kernel refuses from tc it must refuse from us
                (false, false) => return Ok(()),
                _ => return Err(format!("tc: {:?}\nwe: {refused:?}", refused_by_tc[at])),
            }
            if let Some(differences) = differences(&left[at], &right[at]) {
                return Err(format!("left: tc, right: we\n{differences}"));
            }
            settled(case, objects, &held, &by_tc.facts[&case.device])
        });
        wrong.extend(result.err().map(|error| format!("{}\n{error}", case.words)));
    }
    wrong
}

/// Sends the objects of a case. What they are, and which were refused.
fn send(bench: &mut Bench, case: &Case) -> Result<(Vec<Object>, Vec<String>), String> {
    let objects =
        case.lines.iter().map(|line| Line::read(&format!("tc {line}")).object()).collect::<Result<Vec<_>, _>>()?;
    let (index, facts) = (bench.index(&case.device), &bench.facts[&case.device]);
    let messages = objects.iter().map(|object| {
        let mut object = object.clone();
        object.options.complete(facts);
        encode(&object, plan::Verb::Add, index, facts)
    });
    let messages = messages.collect::<Vec<_>>();
    let sent = bench.kernel.send(&messages).map_err(|error| error.to_string())?;
    Ok((objects, sent.refused.iter().map(|(_, error)| error.to_string()).collect()))
}

/// Whether the kernel forgets what a line says: before 6.12.43 a new hhf has the `hh_limit` that it has by itself, and only
/// a change sets it.
fn forgotten(words: &str) -> bool {
    kernel::release() < (6, 12) && words.contains("hh_limit")
}

/// Nothing is to be done where tc made what the objects ask for.
fn settled(case: &Case, objects: Vec<Object>, held: &Tree, facts: &Facts) -> Result<(), String> {
    let asked = tree(&case.device, &objects.into_iter().map(with_quantum).collect::<Vec<_>>());
    let steps = plan::plan(&asked, held, &|_| facts.clone()).steps;
    // a table of u32 is nothing that a policy asks for
    let unasked = case.words.contains("divisor") || case.words.contains("link ");
    if steps.is_empty() || unasked || forgotten(&case.words) {
        return Ok(());
    }
    let shown = steps.iter().map(|step| {
        format!("{} {:?} {:?}", shapectl::script::line(&shapectl::script::command(step)), step.differences, step.remark)
    });
    Err(format!("the plan for what tc made:\n{}", shown.collect::<Vec<_>>().join("\n")))
}
