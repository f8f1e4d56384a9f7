//! Trees made by others, with tc: `export` gives a policy that is clean, that the same kernel holds, and that makes the
//! same tree where nothing is.

use crate::bed::bench::{self, Bench, Case};
use crate::bed::dump;
use crate::bed::kernel;
use crate::bed::netns::Netns;
use crate::bed::tc_line::Line;
use crate::bed::wire;
use crate::host::{Host, path};
use crate::recordings::before;
use shapectl::diagnostic::Sink;
use shapectl::facts::Facts;
use shapectl::kind::Vocabulary;
use shapectl::lower::{Ids, lower};
use shapectl::netlink::{self, encode};
use shapectl::plan::{Subject, plan};
use shapectl::policy::{check, load, model::Policy, read};
use shapectl::raise::{Names, raise};
use shapectl::source::{Notation, Source, Sources};
use shapectl::syntax::{Limits, write};
use shapectl::tc;
use shapectl::tree::{Tree, block_of};

/// A machine on which trees are made, and one on which they are made again.
struct Pair {
    theirs: Host,
    ours: Host,
}

impl Pair {
    fn new() -> Pair {
        let host = || {
            let netns = Netns::new();
            netns.ip("link set lo mtu 1500");
            netns.stand_in("eth0");
            netns.stand_in("eth1");
            Host::of(netns)
        };
        Pair { theirs: host(), ours: host() }
    }

    fn clear(&self, dev: &str) {
        for netns in [&self.theirs.netns, &self.ours.netns] {
            for place in ["root", "ingress", "clsact"] {
                let _ = netns.run("tc", ["qdisc", "del", "dev", dev, place]);
            }
        }
    }

    /// What is wrong with the export of what these commands of tc make on a device.
    fn round(&self, dev: &str, commands: &[String]) -> Result<String, String> {
        let batch = commands.iter().map(|line| format!("{}\n", line.trim_start_matches("tc "))).collect::<String>();
        let ran = self.theirs.netns.run("sh", ["-c", "printf %s \"$1\" | tc -batch -", "sh", &batch]);
        if !ran.status.success() {
            return Err(format!("tc refuses it: {ran}"));
        }
        let exported = self.theirs.shapectl(&["export", dev]);
        if !exported.status.success() || !exported.stderr.is_empty() {
            return Err(format!("export: {exported}"));
        }
        let yaml = exported.stdout;
        let policy = self.theirs.policy(&yaml);
        let check = self.theirs.shapectl(&["check", path(&policy)]);
        if !check.status.success() {
            return Err(format!("check: {check}\n{yaml}"));
        }
        let (code, diff) = self.theirs.diff(&policy);
        if code != 0 {
            return Err(format!("diff: {diff}\n{yaml}"));
        }
        let shape = self.theirs.shapectl(&["export", dev, "--to", "shape"]).stdout;
        let file = policy.with_extension("shape");
        std::fs::write(&file, &shape).unwrap();
        let back = self.theirs.shapectl(&["fmt", "--to", "yaml", path(&file)]);
        // what one notation must quote, the other need not
        let bare = |text: &str| text.replace(|c| "\"{}-, \n".contains(c), "");
        if bare(&back.stdout) != bare(&yaml) {
            return Err(format!("by way of the DSL: {back}{shape}{yaml}"));
        }
        let policy = self.ours.policy(&yaml);
        let applied = self.ours.shapectl(&["apply", path(&policy)]);
        if !applied.status.success() {
            return Err(format!("apply: {applied}\n{yaml}"));
        }
        let shown = |host: &Host| dump::dump(&host.netns, dev).into_iter().map(as_action).collect::<Vec<_>>();
        let (left, right) = (shown(&self.theirs), shown(&self.ours));
        match dump::differences(&left, &right) {
            Some(differences) => Err(format!("left: tc, right: the policy\n{differences}\n{yaml}")),
            None => Ok(yaml),
        }
    }
}

/// A policer in the way of before 2004 is one among the actions to us.
fn as_action(line: String) -> String {
    let line = match line.contains("action order") {
        true => line,
        false => line.replacen(" police 0x", " action order 1: police 0x", 1),
    };
    // a number that nobody shares is nothing that a policy says
    let words = line.split(' ').collect::<Vec<_>>();
    let number = |i: &usize| *i > 0 && words[i - 1] == "police" && words[*i].starts_with("0x");
    let kept = (0..words.len()).filter(|i| !number(i)).map(|i| words[i]);
    kept.collect::<Vec<_>>().join(" ")
}

/// Whole trees, as people make them. `DEV` is the device.
const TREES: &[(&str, &str)] = &[
    (
        "htb with everything below it",
        "qdisc add dev DEV root handle 1: htb default 30 r2q 5
         class add dev DEV parent 1: classid 1:1 htb rate 6mbit burst 15k
         class add dev DEV parent 1:1 classid 1:10 htb rate 5mbit burst 15k
         class add dev DEV parent 1:1 classid 1:20 htb rate 3mbit ceil 6mbit burst 15k prio 2
         class add dev DEV parent 1:1 classid 1:30 htb rate 1kbit ceil 6mbit burst 15k
         class add dev DEV parent 1:20 classid 1:21 htb rate 1mbit quantum 3000
         qdisc add dev DEV parent 1:10 handle 10: sfq perturb 10
         qdisc add dev DEV parent 1:21 handle 21: prio bands 4 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 3
         qdisc add dev DEV parent 21:1 handle 30: pfifo limit 20
         qdisc add dev DEV parent 21:4 handle 31: tbf rate 1mbit burst 10kb latency 50ms
         qdisc add dev DEV parent 1:30 sfq perturb 10
         filter add dev DEV protocol ip parent 1: prio 1 u32 match ip dport 80 0xffff flowid 1:10
         filter add dev DEV protocol ip parent 1: prio 1 u32 match ip sport 25 0xffff flowid 1:20
         filter add dev DEV protocol ip parent 1:20 prio 2 u32 match ip tos 0x10 0xff flowid 1:21
         filter add dev DEV protocol ip parent 21: prio 5 u32 match ip protocol 6 0xff flowid 21:2",
    ),
    (
        "nonsense that the kernel takes",
        "qdisc add dev DEV root handle 1: htb default 99
         class add dev DEV parent 1: classid 1:1 htb rate 10mbit ceil 5mbit
         class add dev DEV parent 1:1 classid 1:2 htb rate 20mbit burst 100 cburst 100 quantum 1000
         class add dev DEV parent 1:1 classid 1:3 htb rate 100kbit
         filter add dev DEV parent 1: prio 5 protocol all u32 match u32 0 0 flowid 1:77
         filter add dev DEV parent 1: prio 6 protocol ipv6 u32 match ip6 dport 22 0xffff flowid 9:9",
    ),
    (
        "a default that is an inner class",
        "qdisc add dev DEV root handle 1: htb default 1
         class add dev DEV parent 1: classid 1:1 htb rate 10mbit
         class add dev DEV parent 1:1 classid 1:2 htb rate 1mbit",
    ),
    (
        "bands of bands",
        "qdisc add dev DEV root handle 8001: prio
         qdisc add dev DEV parent 8001:1 handle 10: sfq
         qdisc add dev DEV parent 8001:2 handle 20: tbf rate 20kbit buffer 1600 limit 3000
         qdisc add dev DEV parent 8001:3 handle 30: sfq
         filter add dev DEV parent 8001: prio 1 protocol ip u32 match ip dport 22 0xffff flowid 8001:1",
    ),
    ("no handle at all", "qdisc add dev DEV root tbf rate 220kbit latency 50ms burst 1540"),
    ("what is there by itself, by hand", "qdisc add dev DEV root handle 1: pfifo_fast"),
    (
        "a leaf below a leaf",
        "qdisc add dev DEV root handle 1: tbf rate 1mbit burst 10kb latency 50ms peakrate 2mbit mtu 1540
         qdisc add dev DEV parent 1:1 handle 2: red limit 400kb min 30kb max 90kb avpkt 1000 burst 55 ecn bandwidth 10mbit",
    ),
    (
        "a policer on the way in",
        "qdisc add dev DEV handle ffff: ingress
         filter add dev DEV parent ffff: protocol ip prio 50 u32 match ip src 0.0.0.0/0 police rate 1mbit burst 10k drop flowid :1",
    ),
    (
        "the hook by its other name",
        "qdisc add dev DEV ingress
         filter add dev DEV parent ffff: protocol ip prio 3 u32 match ip src 192.0.2.1/32 action drop
         filter add dev DEV ingress protocol ip prio 2 u32 match ip src 192.0.2.0/24 action pass",
    ),
    (
        "a reordering that a change made idle",
        "qdisc add dev DEV root handle 1: netem delay 10ms reorder 25% 50%
         qdisc change dev DEV root handle 1: netem delay 100ms 75ms",
    ),
    (
        "tables of u32 with links",
        "qdisc add dev DEV root handle 1: htb
         class add dev DEV parent 1: classid 1:1 htb rate 1mbit
         filter add dev DEV parent 1: prio 5 protocol ip u32
         filter add dev DEV parent 1: prio 5 handle 2: protocol ip u32 divisor 256
         filter add dev DEV protocol ip parent 1: prio 5 u32 ht 2:7b: match ip src 1.2.0.123 flowid 1:1
         filter add dev DEV protocol ip parent 1: prio 5 u32 ht 2:7b: match ip src 1.2.1.123 flowid 1:2
         filter add dev DEV protocol ip parent 1: prio 5 u32 ht 800:: match ip src 1.2.0.0/16 hashkey mask 0x000000ff at 12 link 2:",
    ),
    (
        "tables in another order than their priorities",
        "qdisc add dev DEV root handle 1: prio
         filter add dev DEV parent 1: prio 9 protocol ip u32 match ip dport 9 0xffff flowid 1:1
         filter add dev DEV parent 1: prio 3 protocol ip u32 match ip dport 3 0xffff flowid 1:2
         filter add dev DEV parent 1: prio 3 protocol ip handle ::5 u32 match ip dport 4 0xffff flowid 1:2
         filter add dev DEV parent 1: prio 6 protocol ip u32 match ip dport 6 0xffff flowid 1:3",
    ),
    (
        "both sides of a clsact",
        "qdisc add dev DEV clsact
         filter add dev DEV ingress prio 1 protocol ip flower ip_proto tcp dst_port 80 action drop
         filter add dev DEV ingress prio 1 protocol ip flower ip_proto udp src_ip 192.0.2.0/24 action mirred egress redirect dev lo
         filter add dev DEV ingress chain 7 prio 3 protocol ipv6 flower skip_hw dst_ip 2001:db8::/32 action pass
         filter add dev DEV ingress prio 9 matchall action goto chain 7
         filter add dev DEV egress prio 2 protocol all matchall action mirred egress mirror dev lo
         filter add dev DEV egress prio 3 protocol arp flower skip_hw action skbedit priority 1:2 mark 5/0xf pipe action police rate 1mbit burst 10kb conform-exceed pipe/continue action drop",
    ),
    (
        "marks",
        "qdisc add dev DEV root handle 1: htb default 2
         class add dev DEV parent 1: classid 1:1 htb rate 1mbit
         class add dev DEV parent 1: classid 1:2 htb rate 1mbit
         filter add dev DEV parent 1: prio 1 protocol ip handle 1 fw flowid 1:1
         filter add dev DEV parent 1: prio 1 protocol ip handle 0x20 fw classid 1:2
         filter add dev DEV parent 1: prio 2 protocol ip handle 5/0xff fw classid 1:2",
    ),
    (
        "a size table",
        "qdisc add dev DEV root handle 1: stab overhead -4 mpu 64 linklayer atm tsize 1024 htb default 1
         class add dev DEV parent 1: classid 1:1 htb rate 1gbit",
    ),
    (
        "a shared block",
        "qdisc add dev DEV ingress_block 5 egress_block 6 clsact
         qdisc add dev eth1 ingress_block 5 ingress
         filter add block 5 prio 1 protocol ip flower ip_proto tcp dst_port 80 action drop
         filter add block 5 prio 2 protocol ip u32 match ip dport 22 0xffff flowid 1:1
         filter add block 6 chain 3 prio 2 matchall action pass",
    ),
    (
        "actions of one number",
        "qdisc add dev DEV clsact
         filter add dev DEV ingress prio 1 protocol ip matchall action police rate 1mbit burst 10kb index 7
         filter add dev DEV ingress prio 2 protocol ip matchall action police index 7
         filter add dev DEV ingress prio 3 protocol ip matchall action drop cookie deadbeef
         filter add dev DEV ingress prio 4 protocol ip matchall action gact pass random determ drop 10",
    ),
];

#[test]
fn trees_of_others_come_back() {
    let pair = Pair::new();
    let mut wrong = Vec::new();
    for (what, commands) in TREES {
        pair.clear("eth0");
        let commands: Vec<String> = commands.lines().map(|l| l.trim().replace("DEV", "eth0")).collect();
        let lines = commands.iter().map(|words| Line::read(&format!("tc {words}")));
        if let Some(lacking) =
            lines.flat_map(|line| line.needs()).find(|thing| thing != "pfifo_fast" && kernel::lacks(thing).is_some())
        {
            kernel::skipped("trees_of_others_come_back", &[&lacking]);
            continue;
        }
        match pair.round("eth0", &commands) {
            Ok(yaml) => println!("# {what}\n{yaml}"),
            Err(error) => wrong.push(format!("== {what}\n{error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A text as a policy; what is wrong with it goes to `sink`.
fn policy(text: &str, notation: Notation, facts: &dyn Fn(&str) -> Facts, sink: &mut Sink) -> Policy {
    let source = Source::with_notation("-", text, notation);
    let documents = load::parse(source, &Limits::default(), &mut Sources::new(), sink).unwrap_or_default();
    let policy = read::read(&documents, facts, sink);
    check::check(&policy, facts, sink);
    policy
}

/// What a held tree becomes, in both notations, and what comes of that: an empty plan against it, and the plan from
/// nothing.
fn there_and_back(held: &Tree, facts: &Facts) -> Result<(String, shapectl::plan::Plan), String> {
    let facts = |_: &str| facts.clone();
    let raised = raise(held, &Names::new(), &facts);
    let text = write::write(&raised.document, Notation::Yaml, &Vocabulary);
    let said = raised.remarks.iter().map(|d| format!("{}\n", d.message)).collect::<String>();
    if !said.is_empty() {
        return Err(format!("{said}{text}"));
    }
    let mut plans = Vec::new();
    for notation in [Notation::Yaml, Notation::Shape] {
        let written =
            write::convert(&raised.document, notation, &Vocabulary).map_err(|d| format!("{}\n{text}", d.message))?;
        let mut sink = Sink::new();
        let policy = policy(&written, notation, &facts, &mut sink);
        let (asked, _) = lower(&policy, &facts, &Ids::default(), &mut sink);
        if sink.has_errors() {
            return Err(format!("{:?}\n{written}", sink.found.iter().map(|d| &d.message).collect::<Vec<_>>()));
        }
        let steps = plan(&asked, held, &facts).steps;
        if !steps.is_empty() {
            let said = steps
                .iter()
                .map(|s| format!("{} {:?}\n", shapectl::script::line(&shapectl::script::command(s)), s.differences));
            return Err(format!("{}{written}", said.collect::<String>()));
        }
        plans.push(plan(&asked, &Tree::default(), &facts));
    }
    Ok((text, plans.swap_remove(0)))
}

#[test]
fn recorded_lines_come_back() {
    let recorded = wire::files().into_iter().flat_map(|file| file.recordings);
    let runnable = recorded.filter_map(|recording| {
        let words = recording.words;
        let line = Line::read(&words);
        let adds = line
            .request
            .as_ref()
            .is_ok_and(|request| request.verb == tc::Verb::Add && request.target == Some(tc::Target::Dev("lo".into())));
        // a mark of the old way ends what the kernel says of a priority in an error
        if !adds || line.object == "chain" || words.ends_with(" fw") {
            return None;
        }
        // bits of an address outside of its prefix are nothing that a policy says
        if words.contains("10.1.2.3/8") || words.contains("2001:db8::5/33") {
            return None;
        }
        // nor does the kernel tell which table a netem draws from
        if words.contains("slot distribution") {
            return None;
        }
        let before = before(&line).into_iter().map(str::to_owned).collect::<Vec<_>>();
        Some((words, before))
    });
    let mut checked = 0;
    let parties = bench::parties(runnable);
    let wrong = bench::judge(&parties, |[theirs, ours], cases| {
        // the others the kernel refuses, or has no such kind
        let refused = theirs.run(cases).into_iter().map(|refused| !refused.is_empty());
        let taken = cases.iter().zip(refused).filter(|(_, refused)| !refused).map(|(case, _)| case.clone());
        let taken = taken.collect::<Vec<_>>();
        checked += taken.len();
        come_back(theirs, ours, &taken)
    });
    println!("{checked} lines in {} parties", parties.len());
    assert!(checked > 100);
    assert!(wrong.is_empty(), "{} of {checked} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is wrong with the export of what lines of tc's made.
fn come_back(theirs: &mut Bench, ours: &mut Bench, cases: &[Case]) -> Vec<String> {
    let held = theirs.kernel.read(None).unwrap();
    let texts = cases.iter().map(|case| remake(case, &held, ours)).collect::<Vec<_>>();
    let shown = |bench: &Bench| {
        let dumps = bench.dumps(cases).into_iter();
        dumps.map(|dump| dump.into_iter().map(as_action).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let (left, right) = (shown(theirs), shown(ours));
    let wrong = cases.iter().enumerate().filter_map(|(at, case)| {
        let differ = |text: &String| {
            let differences = dump::differences(&left[at], &right[at])?;
            Some(format!("left: tc, right: the policy\n{differences}\n{text}"))
        };
        let error = texts[at].as_ref().map_or_else(|error| Some(error.clone()), differ)?;
        Some(format!("== {}\n{error}", case.words))
    });
    wrong.collect()
}

/// Exports what is held on the link of a case, and makes it in another namespace. The policy.
fn remake(case: &Case, held: &Tree, ours: &mut Bench) -> Result<String, String> {
    let mut held = held.clone();
    let blocks = case.words.contains("block"); // which then are its own
    held.interfaces.retain(|name, _| *name == case.device || blocks && block_of(name).is_some());
    let (index, facts) = (ours.index(&case.device), ours.facts[&case.device].clone());
    let (text, plan) = there_and_back(&held, &facts)?;
    let messages = plan.steps.iter().filter_map(|step| match &step.subject {
        Subject::Object(object) => {
            let index = if block_of(&step.interface).is_some() { netlink::BLOCK } else { index };
            Some(encode(object, step.verb, index, &facts))
        }
        Subject::Link(..) => None,
    });
    let sent = ours.kernel.send(&messages.collect::<Vec<_>>()).map_err(|e| e.to_string())?;
    match sent.refused.first() {
        Some((_, error)) => Err(format!("the kernel refuses what the policy makes: {error}\n{text}")),
        None => Ok(text),
    }
}
