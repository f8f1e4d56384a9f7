//! Trees made by others, with tc: `export` gives a policy that is clean, that the same kernel holds, and that makes the
//! same tree where nothing is.

use crate::bed::bench::{self, Bench, Case};
use crate::bed::dump;
use crate::bed::kernel;
use crate::bed::netns::{Netns, Ran};
use crate::bed::tc_line::Line;
use crate::bed::wire;
use crate::host::{Host, path};
use crate::needs;
use crate::recordings::before;
use shapectl::diagnostic::Sink;
use shapectl::facts::Facts;
use shapectl::kernel::Kernel;
use shapectl::kind::Vocabulary;
use shapectl::kind::raw::Raw;
use shapectl::kind::wire::Attributes;
use shapectl::lower::{Ids, lower};
use shapectl::netlink::{self, encode};
use shapectl::plan::{Subject, plan};
use shapectl::policy::{check, load, model::Policy, read};
use shapectl::raise::raise;
use shapectl::source::{Notation, Source, Sources};
use shapectl::syntax::{Limits, write};
use shapectl::tc;
use shapectl::tree::Names;
use shapectl::tree::{Object, Tree, block_of};
use shapectl::unit::Octets;

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
            netns.ip("link add eth0 numtxqueues 4 type veth peer name behind-eth0 numtxqueues 4");
            netns.ip("link set behind-eth0 up");
            netns.ip("link set eth0 up");
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

    /// Runs commands of tc on the one machine; its refusals are the caller's to judge.
    fn make(&self, commands: &[String]) -> Ran {
        let batch = commands.iter().map(|line| format!("{}\n", line.trim_start_matches("tc "))).collect::<String>();
        self.theirs.netns.run("sh", ["-c", "printf %s \"$1\" | tc -force -batch -", "sh", &batch])
    }

    /// What is wrong with the export of what these commands of tc make on a device.
    fn round(&self, dev: &str, commands: &[String]) -> Result<String, String> {
        let ran = self.make(commands);
        if !ran.status.success() {
            return Err(format!("tc refuses it: {ran}"));
        }
        self.exported(dev)
    }

    /// What is wrong with the export of what stands on a device.
    fn exported(&self, dev: &str) -> Result<String, String> {
        let exported = self.theirs.shapectl(&["export", dev]);
        if !exported.status.success() || !exported.stderr.is_empty() {
            return Err(format!("export: {exported}"));
        }
        let yaml = exported.stdout;
        let policy = self.theirs.policy(&yaml);
        let check = self.theirs.shapectl(&["check", "--deny-warnings", path(&policy)]);
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
        let shown = |host: &Host| {
            let mut lines: Vec<String> = dump::dump(&host.netns, dev).into_iter().map(as_action).collect();
            lines.sort_by_key(|line| by_chain(line));
            lines
        };
        let (left, right) = (shown(&self.theirs), shown(&self.ours));
        match dump::differences(&left, &right) {
            Some(differences) => Err(format!("left: tc, right: the policy\n{differences}\n{yaml}")),
            None => Ok(yaml),
        }
    }
}

/// Where a filter stands: the kernel shows chains in the order in which somebody first named them, which says nothing.
fn by_chain(line: &str) -> (String, u32) {
    let Some((place, filter)) = line.split_once(": filter ") else { return Default::default() };
    let chain = filter.split(" chain ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    (place.to_owned(), chain.unwrap_or(0))
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
        "filters of classes, of those at the bottom too, where nobody asks them",
        "qdisc add dev DEV root handle 1: htb default 12
         class add dev DEV parent 1: classid 1:1 htb rate 6mbit burst 15k
         class add dev DEV parent 1:1 classid 1:11 htb rate 5mbit burst 15k
         class add dev DEV parent 1:1 classid 1:12 htb rate 1mbit burst 15k
         qdisc add dev DEV parent 1:12 handle 12: htb default 2
         class add dev DEV parent 12: classid 12:2 htb rate 1mbit
         filter add dev DEV protocol ip parent 1:1 prio 1 u32 match ip dport 80 0xffff flowid 1:11
         filter add dev DEV protocol ip parent 1:11 prio 1 u32 match ip sport 25 0xffff flowid 1:12
         filter add dev DEV protocol ip parent 12:2 prio 5 u32 match ip protocol 6 0xff flowid 12:2",
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

/// A small generator (xorshift) of trees, as somebody might make them with tc: any kind below any other, filters wherever
/// the kernel takes them. What this kernel lacks it does not write; what the kernel refuses is not there.
struct Grower {
    dice: u64,
    lines: Vec<String>,
    /// The last handle that was given.
    major: u16,
    lacks: fn(&str) -> bool,
}

impl Grower {
    fn roll(&mut self, sides: usize) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 11) as usize % sides
    }

    fn of<'t>(&mut self, choices: &[&'t str]) -> &'t str {
        choices[self.roll(choices.len())]
    }

    /// One of several ways of words, the first word of which is a kind that this kernel has.
    fn kind<'t>(&mut self, choices: &[&'t str]) -> &'t str {
        let name = |words: &str| words.split(' ').next().unwrap_or("").to_owned();
        let there: Vec<&str> = choices.iter().copied().filter(|words| !(self.lacks)(&name(words))).collect();
        self.of(&there)
    }

    fn tree(&mut self) {
        let stab = self.of(&["", "", "stab overhead 24 mpu 64 linklayer atm ", "stab overhead -4 linklayer ethernet "]);
        let rate = self.of(&["", "", "estimator 1sec 8sec "]);
        self.discipline(&format!("root {rate}{stab}"), 0);
        if self.roll(2) == 0 {
            let hook = self.of(&["ingress", "clsact"]);
            // of a shared block the filters stand under its number
            let shared = self.roll(3) == 0;
            let block = if shared { "ingress_block 7 " } else { "" };
            self.lines.push(format!("qdisc add dev eth0 {block}{hook}"));
            self.filters(if shared { "block 7" } else { "dev eth0 ingress" }, "1:1", 3);
            if hook == "clsact" {
                self.filters("dev eth0 egress", "1:1", 3);
            }
        }
    }

    /// The virtual queues of a gred are said one by one, after it is made.
    fn queues(&mut self, place: &str, major: u16) {
        let place = if place.starts_with("root") { "root" } else { place };
        for queue in 0..self.roll(4) {
            let options = self.of(&[
                "limit 60k min 15k max 45k burst 20 avpkt 1000 bandwidth 5mbit",
                "limit 30k min 5k max 15k burst 8 avpkt 1000 bandwidth 1mbit probability 0.1",
            ]);
            self.lines.push(format!(
                "qdisc change dev eth0 {place} handle {major:x}: gred DP {queue} prio {queue} {options}"
            ));
        }
    }

    fn discipline(&mut self, place: &str, depth: usize) {
        const CLASSFUL: &[&str] = &[
            "htb",
            "htb default 2",
            "htb default 0x77 r2q 5",
            "hfsc default 1",
            "hfsc",
            "drr",
            "qfq",
            "prio",
            "prio bands 5 priomap 4 3 2 1 0 4 3 2 1 0 4 3 2 1 0 4",
            "ets bands 4 strict 1 quanta 3000 2000",
            "tbf rate 2mbit burst 20kb latency 30ms",
            "tbf rate 1mbit burst 10kb limit 40kb peakrate 3mbit mtu 1600",
            "netem delay 10ms 2ms 25% loss 1% duplicate 0.5%",
            "netem rate 1mbit limit 500",
            "red limit 200kb min 20kb max 60kb avpkt 1000 burst 30 bandwidth 5mbit ecn",
            "sfb limit 500",
        ];
        const LEAVES: &[&str] = &[
            "pfifo limit 33",
            "bfifo limit 15000",
            "pfifo_head_drop limit 20",
            "sfq perturb 10 limit 60",
            "sfq divisor 512 headdrop",
            "fq_codel limit 700 flows 64 noecn",
            "fq_codel",
            "codel limit 50 target 8ms",
            "fq maxrate 5mbit",
            "fq_pie limit 500",
            "pie target 20ms ecn",
            "hhf limit 300",
            "choke limit 500 min 50 max 150 bandwidth 5mbit",
            "skbprio limit 40",
            "cake bandwidth 10mbit besteffort nat",
            "cake unlimited overhead 18 mpu 64 dual-srchost",
            "plug limit 20000",
            "sfq",
            "gred setup vqs 4 default 1 limit 200k",
            "gred setup vqs 4 default 2 grio",
        ];
        /// Of links with several queues, and of nothing else.
        const ROOTS: &[&str] = &[
            "mqprio num_tc 2 map 0 1 1 0 queues 1@0 3@1 hw 0",
            "mqprio num_tc 3 map 2 1 0 1 queues 2@0 1@2 1@3 hw 0",
            "mq",
            "multiq",
        ];
        let leaf = depth == 3 || self.roll(4) < depth;
        let (words, place) = match depth == 0 && self.roll(6) == 0 {
            // at the root of many queues nobody measures
            true => (self.kind(ROOTS), place.replace("estimator 1sec 8sec ", "")),
            false => (self.kind(if leaf { LEAVES } else { CLASSFUL }), place.to_owned()),
        };
        self.major += 1;
        let major = self.major;
        self.lines.push(format!("qdisc add dev eth0 {place} handle {major:x}: {words}"));
        let kind = words.split(' ').next().unwrap_or("");
        let mut classes: Vec<String> = Vec::new();
        match kind {
            "htb" | "hfsc" | "drr" | "qfq" => {
                let nests = matches!(kind, "htb" | "hfsc");
                for n in 1..=2 + self.roll(3) {
                    let above = match classes.last() {
                        Some(last) if nests && self.roll(3) == 0 => last.clone(),
                        _ => format!("{major:x}:"),
                    };
                    let options = match kind {
                        "htb" => self.of(&[
                            "rate 1mbit",
                            "rate 500kbit ceil 3mbit prio 2 burst 20kb",
                            "rate 64kbit quantum 3000",
                            "rate 2mbit overhead 8 mpu 64 linklayer atm",
                        ]),
                        "hfsc" => self.of(&[
                            "sc rate 1mbit",
                            "rt m1 2mbit d 10ms m2 1mbit ls rate 1mbit",
                            "ls rate 500kbit ul rate 2mbit",
                            "rt umax 1500b dmax 30ms rate 200kbit ls rate 1mbit",
                        ]),
                        "drr" => self.of(&["", "quantum 2000"]),
                        _ => self.of(&["weight 5", "weight 10 maxpkt 2000", ""]),
                    };
                    let estimator = self.of(&["", "", "", "estimator 250msec 2sec "]);
                    self.lines.push(format!(
                        "class add dev eth0 parent {above} classid {major:x}:{n:x} {estimator}{kind} {options}"
                    ));
                    classes.push(format!("{major:x}:{n:x}"));
                }
            }
            "prio" | "ets" => classes.extend((1..=3).map(|n| format!("{major:x}:{n}"))),
            "mq" | "mqprio" | "multiq" => classes.extend((1..=4).map(|n| format!("{major:x}:{n}"))),
            "tbf" | "netem" | "red" | "sfb" => classes.push(format!("{major:x}:1")),
            "gred" => self.queues(&place, major),
            _ => {}
        }
        let target = classes.first().cloned().unwrap_or_else(|| format!("{major:x}:1"));
        for class in &classes {
            if self.roll(2) == 0 {
                self.discipline(&format!("parent {class}"), depth + 1);
            }
        }
        if matches!(
            kind,
            "htb" | "hfsc" | "drr" | "qfq" | "prio" | "ets" | "multiq" | "sfq" | "fq_codel" | "sfb" | "cake"
        ) {
            self.filters(&format!("dev eth0 parent {major:x}:"), &target, 2);
            if matches!(kind, "htb" | "hfsc") && self.roll(2) == 0 {
                let class = classes[self.roll(classes.len())].clone();
                self.filters(&format!("dev eth0 parent {class}"), &target, 1);
            }
        }
    }

    fn filters(&mut self, place: &str, target: &str, most: usize) {
        if most > 1 && self.roll(5) == 0 && !(self.lacks)("flower") {
            self.lines.push(format!("chain add {place} chain 4 protocol ip flower ip_proto tcp dst_port 1"));
            let port = 80 + self.roll(9);
            self.lines.push(format!(
                "filter add {place} chain 4 prio 1 protocol ip flower ip_proto tcp dst_port {port} action pass"
            ));
            self.lines.push(format!("filter add {place} prio 30 protocol all u32 match u32 0 0 action goto chain 4"));
        }
        for n in 0..self.roll(most + 1) {
            let prio = (n + 1) * 3;
            let chain = self.of(&["", "", "", "chain 2 "]);
            let action = match self.of(&["", "", "police", "shared", "mirred", "skbedit", "gact"]) {
                "police" => "action police rate 1mbit burst 12k conform-exceed drop/pipe",
                "shared" => "action police rate 2mbit burst 20k drop index 9",
                "mirred" => "action mirred egress mirror dev lo",
                "skbedit" => "action skbedit priority 1:3 mark 7 pipe action drop",
                "gact" => "action pass random determ drop 5",
                _ => "",
            };
            let kind = action.split(' ').nth(1).unwrap_or("u32").replace("pass", "gact");
            let action = if (self.lacks)(&kind) { "" } else { action };
            let words = self.kind(&[
                "u32 match ip dport 22 0xffff",
                "u32 match ip src 10.1.0.0/16 match ip protocol 6 0xff",
                "u32 match u32 0 0",
                "u32 match mark 5 0xff",
                "flower ip_proto udp dst_port 53",
                "flower dst_ip 192.0.2.0/24 ip_tos 0x10/0xfc",
                "flower",
                "fw",
                "matchall",
                "basic match 'cmp(u16 at 0 layer 2 gt 10)'",
                "bpf bytecode '1,6 0 0 4294967295'",
                "route from 3",
                "flow map key dst rshift 8 divisor 64 baseclass 1:1",
                "flow hash keys src,dst divisor 32 baseclass 1:1",
            ]);
            let handle = match words.split(' ').next() {
                Some("fw") => self.of(&["handle 6 ", "handle 0x10/0xf0 "]),
                Some("flow") => "handle 3 ",
                Some("flower") => self.of(&["", "handle 7 "]),
                _ => "",
            };
            let send = if words.starts_with("flow ") { String::new() } else { format!("classid {target} ") };
            self.lines
                .push(format!("filter add {place} {chain}prio {prio} protocol ip {handle}{words} {send}{action}"));
        }
    }
}

/// Trees that nobody thought of.
#[test]
fn random_trees_of_others_come_back() {
    let seed = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|seed| seed.parse::<u64>().ok()).unwrap_or(1);
    let count = std::env::var("SHAPECTL_TREES").ok().and_then(|n| n.parse::<u64>().ok()).unwrap_or(12);
    let pair = Pair::new();
    let (mut wrong, mut objects) = (Vec::new(), 0);
    for n in 0..count {
        pair.clear("eth0");
        let dice =
            (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(n.wrapping_mul(0xd1b5_4a32_d192_ed03)) | 1;
        let mut grower = Grower { dice, lines: Vec::new(), major: 0, lacks: |kind| kernel::lacks(kind).is_some() };
        for _ in 0..8 {
            grower.roll(2);
        }
        grower.tree();
        let refused = pair.make(&grower.lines).stderr;
        objects += grower.lines.len() - refused.lines().filter(|line| line.starts_with("Command failed")).count();
        if let Err(error) = pair.exported("eth0") {
            wrong.push(format!("== {n} of seed {seed}\n{}\n{refused}\n{error}", grower.lines.join("\n")));
        }
    }
    println!("{objects} objects in {count} trees");
    assert!(objects as u64 > 2 * count, "{objects} objects in {count} trees");
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n\n"));
}

/// An object as it were of a kind that no file here knows: its bytes.
fn as_bytes(object: &Object, facts: &Facts) -> Object {
    let mut options = object.options.clone();
    options.complete(facts);
    let mut out = Attributes::new();
    options.encode(&mut out, facts);
    let mut unknown = Object::unknown(object.id, &object.name);
    unknown.options.as_kind_mut::<Raw>().unwrap().bytes = Some(Octets(out.bytes));
    unknown
}

/// What nobody knows is made by its bytes as by its words: disciplines, classes and filters that are taken for unknown.
#[test]
fn bytes_make_what_words_made() {
    needs!("htb", "tbf", "u32");
    let pair = Pair::new();
    let lines = [
        "qdisc add dev eth0 root handle 1: htb default 2 r2q 5",
        "class add dev eth0 parent 1: classid 1:1 htb rate 3mbit burst 15k",
        "class add dev eth0 parent 1:1 classid 1:2 htb rate 1mbit ceil 3mbit prio 3 quantum 2000",
        "qdisc add dev eth0 parent 1:2 handle 20: tbf rate 500kbit burst 10kb limit 30kb",
        "filter add dev eth0 parent 1: prio 4 protocol ip u32 match ip dport 22 0xffff classid 1:2",
    ];
    assert!(pair.make(&lines.map(str::to_owned)).status.success());
    let mut held = pair.theirs.netns.enter(|| Kernel::open(None).unwrap().read(Some(&["eth0"])).unwrap());
    let facts = Facts::default();
    let branch = held.interfaces["eth0"].egress.as_mut().unwrap();
    for object in &mut branch.objects {
        *object = as_bytes(object, &facts);
    }
    let raised = raise(&held, &Names::default(), &|_| facts.clone());
    let yaml = write::write(&raised.document, Notation::Yaml, &Vocabulary);
    let mut sink = Sink::new();
    let source = Source::with_notation("-", yaml.as_str(), Notation::Yaml);
    let documents = load::parse(source, &Limits::default(), &mut Sources::new(), &mut sink).unwrap();
    // only the check finds that these kinds have words
    let policy = read::read(&documents, &|_| facts.clone(), &mut sink);
    let (asked, _) = lower(&policy, &|_| facts.clone(), &Ids::default(), &mut sink);
    assert!(!sink.has_errors(), "{:?}\n{yaml}", sink.found);
    assert!(asked.objects().all(|object| object.kind.is_none()), "{yaml}");
    pair.ours.netns.enter(|| {
        let mut kernel = Kernel::open(None).unwrap();
        let index = kernel.link("eth0").unwrap().index;
        let steps = plan(&asked, &Tree::default(), &|_: &str| facts.clone()).steps;
        let messages = steps.iter().filter_map(|step| match &step.subject {
            Subject::Object(object) => Some(encode(object, step.verb, index, &facts)),
            Subject::Action(..) | Subject::Link(..) => None,
        });
        let sent = kernel.send(&messages.collect::<Vec<_>>()).unwrap();
        assert!(sent.refused.is_empty(), "{:?}\n{yaml}", sent.refused.first().map(|(_, e)| e.to_string()));
    });
    let shown = |host: &Host| dump::dump(&host.netns, "eth0");
    assert_eq!(dump::differences(&shown(&pair.theirs), &shown(&pair.ours)), None, "{yaml}");
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
    let raised = raise(held, &Names::default(), &facts);
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
        Subject::Action(..) | Subject::Link(..) => None,
    });
    let sent = ours.kernel.send(&messages.collect::<Vec<_>>()).map_err(|e| e.to_string())?;
    match sent.refused.first() {
        Some((_, error)) => Err(format!("the kernel refuses what the policy makes: {error}\n{text}")),
        None => Ok(text),
    }
}

/// The number of an action that one filter alone has is the kernel's choice: asked for by it, the policy would get whatever
/// action has that number where it is applied.
#[test]
fn a_number_that_nobody_shares_is_not_exported() {
    needs!("u32", "clsact", "police");
    let host = Host::with(&["eth0"]);
    host.netns.tc("qdisc add dev eth0 clsact");
    let filter = "filter add dev eth0 ingress protocol ip prio";
    host.netns.tc(&format!("{filter} 5 u32 match ip dport 22 0xffff action police rate 1mbit burst 10k mtu 64k"));
    let exported = host.policy(&host.shapectl(&["export", "eth0"]).ok());
    let text = std::fs::read_to_string(&exported).expect("it was written");
    assert!(text.contains("police") && !text.contains("index"), "{text}");
    host.assert_settled(&exported);
    let exported = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    std::fs::write(exported.path(), &text).expect("it is writable");
    host.apply_text("interfaces: { eth0: { ingress: { rules: [ { do: { police: { rate: 7mbit, burst: 9kb } }, match: udp dport 53 } ] } } }\n");
    host.apply(exported.path());
    host.assert_settled(exported.path());
    // what two have in common they have by number
    host.netns
        .tc(&format!("{filter} 6 u32 match ip dport 23 0xffff action police index 77 rate 2mbit burst 10k mtu 64k"));
    host.netns.tc(&format!("{filter} 6 u32 match ip dport 24 0xffff action police index 77"));
    let text = host.shapectl(&["export", "eth0"]).ok();
    assert_eq!(text.matches("index: 77").count(), 2, "{text}");
}
