//! Every option of every kind on a real kernel: each line of `tests/wire` run by tc in one namespace, its object sent by us
//! in another. The kernel then says the same of both, and the plan from the one to the other is empty, which also shows
//! that what we hold for the kernel's defaults is what they are.

use crate::bed::dump::{differences, dump};
use crate::bed::kernel;
use crate::bed::netns::Netns;
use crate::bed::tc_line::{Line, facts as bed_facts};
use crate::bed::wire;
use nix::errno::Errno;
use shapectl::facts::Facts;
use shapectl::kernel::Kernel;
use shapectl::kind::qdisc::htb::Class;
use shapectl::netlink::encode;
use shapectl::plan;
use shapectl::tc::{Target, Verb};
use shapectl::tree::{Branch, Id, Interface, Object, Tree};
use shapectl::unit::{Handle, Length};
use std::collections::BTreeSet;

/// A namespace with a device that carries the trees, and the way into it.
pub struct Place {
    pub netns: Netns,
    pub kernel: Kernel,
    pub facts: Facts,
    pub device: &'static str,
    pub index: u32,
}

/// Disciplines of devices with several transmit queues, of which `lo` is none.
pub const OF_QUEUES: [&str; 4] = ["mq", "multiq", "mqprio", "taprio"];

impl Place {
    pub fn new() -> Place {
        let netns = Netns::new();
        netns.ip("link set lo mtu 1500"); // as a card's, on which tc's defaults stand
        Place::on(netns, "lo")
    }

    /// On a device with four queues.
    pub fn with_queues() -> Place {
        let netns = Netns::new();
        netns.ip("link add q4 numtxqueues 4 type veth peer name p4");
        Place::on(netns, "q4")
    }

    fn on(netns: Netns, device: &'static str) -> Place {
        let line = netns.ip(&format!("-o link show dev {device}"));
        let index = line.split(':').next().unwrap().parse().unwrap();
        let mut kernel = netns.enter(|| Kernel::open(None).unwrap());
        let facts = kernel.facts(device).unwrap();
        Place { netns, kernel, facts, device, index }
    }

    /// Takes away what the last line left.
    pub fn clear(&mut self) {
        let places = [Handle::ROOT, Handle::INGRESS].map(|parent| Id::Qdisc { parent, handle: Handle(0) });
        let delete = |id| encode(&Object::unknown(id, ""), plan::Verb::Delete, self.index, &self.facts);
        // refused where nothing is, and for nothing else
        let sent = self.kernel.send(&places.map(delete)).unwrap();
        assert!(sent.refused.iter().all(|(_, error)| error.is(Errno::ENOENT)), "{:?}", sent.refused);
    }
}

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
fn with_quantum(mut object: Object) -> Object {
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
    let mut plain = [Place::new(), Place::new()];
    let mut with_queues = kernel::lacks("veth").is_none().then(|| [Place::with_queues(), Place::with_queues()]);
    let (mut wrong, mut checked, mut skipped) = (Vec::new(), 0, BTreeSet::new());
    for recording in wire::files().iter().flat_map(|file| &file.recordings) {
        let Some(words) = numbered(&recording.words) else { continue };
        let lines = before(&Line::read(&words)).into_iter().map(Line::read).chain([Line::read(&words)]);
        let lines = lines.collect::<Vec<_>>();
        let lacking = lines.iter().flat_map(Line::needs).find(|thing| kernel::lacks(thing).is_some());
        if let Some(thing) = lacking {
            if skipped.insert(thing.clone()) {
                kernel::skipped("what_we_send_is_what_tc_makes", &[&thing]);
            }
            continue;
        }
        let of_queues = OF_QUEUES.contains(&Line::read(&words).kind.as_str());
        let places = if of_queues { with_queues.as_mut() } else { Some(&mut plain) };
        let Some([by_tc, by_us]) = places else { continue };
        checked += 1;
        by_tc.clear();
        by_us.clear();
        if let Err(error) = compare(by_tc, by_us, &words, &lines) {
            wrong.push(format!("{words}\n{error}"));
        }
    }
    println!("{checked} lines");
    assert!(checked > 100);
    assert!(wrong.is_empty(), "{} of {checked} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn compare(by_tc: &mut Place, by_us: &mut Place, words: &str, lines: &[Line]) -> Result<(), String> {
    let batch = before(&Line::read(words)).into_iter().chain([words]).map(|line| format!("{}\n", &line["tc ".len()..]));
    let batch = batch.collect::<String>().replace(" dev lo ", &format!(" dev {} ", by_tc.device));
    let ran = by_tc.netns.run("sh", ["-c", "printf %s \"$1\" | tc -batch -", "sh", &batch]);
    let objects = lines.iter().map(Line::object).collect::<Result<Vec<_>, _>>()?;
    let messages = objects.iter().map(|object| {
        let mut object = object.clone();
        object.options.complete(&by_us.facts);
        encode(&object, plan::Verb::Add, by_us.index, &by_us.facts)
    });
    let messages = messages.collect::<Vec<_>>();
    let sent = by_us.kernel.send(&messages).map_err(|error| error.to_string())?;
    let refused = sent.refused.iter().map(|(_, error)| error.to_string()).collect::<Vec<_>>();
    if !ran.status.success() || !refused.is_empty() {
        // what the kernel refuses from tc it must refuse from us
        let both = !ran.status.success() && !refused.is_empty();
        return if both { Ok(()) } else { Err(format!("tc: {}\nwe: {refused:?}", ran.stderr.trim())) };
    }
    if let Some(differences) = differences(&dump(&by_tc.netns, by_tc.device), &dump(&by_us.netns, by_us.device)) {
        return Err(format!("left: tc, right: we\n{differences}"));
    }
    let asked = tree(by_tc.device, &objects.into_iter().map(with_quantum).collect::<Vec<_>>());
    let facts = by_tc.facts.clone();
    let held = by_tc.kernel.read(Some(&[by_tc.device])).map_err(|error| error.to_string())?;
    let steps = plan::plan(&asked, &held, &|_| facts.clone()).steps;
    // a table of u32 is nothing that a policy asks for
    if !steps.is_empty() && !words.contains("divisor") && !words.contains("link ") {
        let shown = steps.iter().map(|step| {
            format!(
                "{} {:?} {:?}",
                shapectl::script::line(&shapectl::script::command(step)),
                step.differences,
                step.remark
            )
        });
        return Err(format!("the plan for what tc made:\n{}", shown.collect::<Vec<_>>().join("\n")));
    }
    Ok(())
}
