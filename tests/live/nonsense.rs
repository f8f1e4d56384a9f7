//! What the kernel takes without a word although nobody can mean it, kind by kind: `check` finds it, and says it with a code.

use crate::bed::kernel;
use crate::bed::netns::bounded_with;
use crate::host::{Host, SHAPECTL};
use std::collections::{BTreeMap, BTreeSet};

/// A discipline at the root: how a policy says it, how tc does (several commands are parted by `;`; `Q` and `C` stand for the
/// beginning of one for the root and for its class 1:1), and the code.
const NONSENSE: &[(&str, &str, &str)] = &[
    ("pfifo: { limit: 0 }", "Q pfifo limit 0", "limit-below-packet"),
    ("bfifo: { limit: 100b }", "Q bfifo limit 100", "limit-below-packet"),
    ("pfifo_head_drop: { limit: 0 }", "Q pfifo_head_drop limit 0", "limit-below-packet"),
    ("skbprio: { limit: 0 }", "Q skbprio limit 0", "limit-below-packet"),
    ("plug: { limit: 0b }", "Q plug limit 0", "limit-below-packet"),
    ("sfq: { quantum: 100b, perturb: 10s }", "Q sfq quantum 100 perturb 10", "quantum-below-mtu"),
    ("sfq: { perturb: 0s }", "Q sfq", "perturb-never"),
    ("sfq: { depth: 300, perturb: 10s }", "Q sfq depth 300 perturb 10", "cut-short"),
    ("codel: { target: 200ms }", "Q codel target 200ms", "target-above-interval"),
    ("codel: { interval: 1ms }", "Q codel interval 1ms", "target-above-interval"),
    ("codel: { limit: 0 }", "Q codel limit 0", "out-of-range"),
    ("fq_codel: { interval: 1us }", "Q fq_codel interval 1us", "target-above-interval"),
    ("fq_codel: { memory_limit: 1b }", "Q fq_codel memory_limit 1", "limit-below-packet"),
    ("fq_codel: { quantum: 10b }", "Q fq_codel quantum 10", "cut-short"),
    ("fq: { limit: 0 }", "Q fq limit 0", "limit-below-packet"),
    ("fq: { flow_limit: 0 }", "Q fq flow_limit 0", "limit-below-packet"),
    ("fq: { maxrate: 0bit }", "Q fq maxrate 0bit", "cut-short"),
    ("fq: { buckets: 1000 }", "Q fq buckets 1000", "cut-short"),
    ("fq: { horizon: 0s }", "Q fq horizon 0s", "never-served"),
    ("fq_pie: { memory_limit: 1b }", "Q fq_pie memory_limit 1", "limit-below-packet"),
    ("choke: { limit: 100, bandwidth: 10mbit, min: 20, max: 200 }", "", "red-thresholds"),
    (
        "red: { limit: 40kb, min: 30kb, max: 100kb }",
        "Q red limit 40k min 30k max 100k avpkt 1000 burst 60",
        "red-thresholds",
    ),
    (
        "red: { limit: 400kb, min: 30kb, max: 100kb, harddrop: yes }",
        "Q red limit 400k min 30k max 100k avpkt 1000 burst 60 harddrop",
        "no-effect",
    ),
    ("sfb: { target: 50, max: 20 }", "Q sfb target 50 max 20", "no-effect"),
    ("sfb: { increment: 0 }", "Q sfb increment 0", "no-effect"),
    ("sfb: { decrement: 0 }", "Q sfb decrement 0", "no-effect"),
    (
        "gred: { vqs: 3, default: 1, queues: [ { vq: 1, limit: 20kb, min: 15kb, max: 30kb, avpkt: 1000b, burst: 20 } ] }",
        "Q gred setup vqs 3 default 1; qdisc change dev eth0 root gred limit 20k min 15k max 30k avpkt 1000 burst 20 vq 1 bandwidth 10mbit",
        "red-thresholds",
    ),
    ("tbf: { rate: 1mbit, burst: 10kb, limit: 100b }", "Q tbf rate 1mbit burst 10k limit 100", "limit-below-packet"),
    (
        "tbf: { rate: 10mbit, burst: 100b, latency: 50ms }",
        "Q tbf rate 10mbit burst 100 latency 50ms",
        "burst-below-packet",
    ),
    (
        "cbs: { idleslope: -100kbit, sendslope: 100kbit, hicredit: 10, locredit: -10 }",
        "Q cbs idleslope -100 sendslope 100 hicredit 10 locredit -10",
        "cbs-slopes",
    ),
    ("cake: { bandwidth: 0bit }", "Q cake bandwidth 0bit", "bad-value"),
    ("cake: { bandwidth: 8bit }", "Q cake bandwidth 8bit", "cut-short"),
    ("cake: { bandwidth: 10mbit, memlimit: 100b }", "Q cake bandwidth 10mbit memlimit 100", "limit-below-packet"),
    ("netem: { limit: 0 }", "Q netem limit 0", "limit-below-packet"),
    ("netem: { rate: 1bit }", "Q netem rate 1bit", "no-effect"),
    ("netem: { delay: 10ms 50ms }", "Q netem delay 10ms 50ms", "cut-short"),
    ("netem: { delay: 10ms, reorder: 0% }", "", "no-effect"),
    ("dualpi2: { memlimit: 1b }", "Q dualpi2 memlimit 1", "limit-below-packet"),
    ("hhf: { quantum: 1b }", "Q hhf quantum 1", "cut-short"),
    ("prio: { bands: 3, priomap: 0 0 }", "", "priomap"),
    ("ets: { bands: 3, quanta: [1b, 1500b, 1500b] }", "Q ets bands 3 quanta 1 1500 1500", "quantum-below-mtu"),
    (
        "htb: { default: a, classes: { a: { rate: 2mbit, ceil: 1mbit } } }",
        "Q htb; C htb rate 2mbit ceil 1mbit",
        "ceil-below-rate",
    ),
    (
        "htb: { default: a, classes: { a: { rate: 2mbit, burst: 100b } } }",
        "Q htb; C htb rate 2mbit burst 100",
        "burst-below-packet",
    ),
    (
        "htb: { default: a, classes: { a: { rate: 2mbit, quantum: 100b } } }",
        "Q htb; C htb rate 2mbit quantum 100",
        "quantum-below-mtu",
    ),
    ("htb: { default: a, classes: { a: { rate: 2mbit, prio: 9 } } }", "Q htb; C htb rate 2mbit prio 9", "prio-range"),
    ("htb: { default: b, classes: { a: { rate: 2mbit } } }", "Q htb default 77; C htb rate 2mbit", "unknown-default"),
    ("htb: { classes: { a: { rate: 2mbit } } }", "Q htb; C htb rate 2mbit", "no-default"),
    ("htb: { r2q: 0, default: a, classes: { a: { rate: 2mbit } } }", "", "cut-short"),
    (
        "htb: { default: a/b, classes: { a: { rate: 1mbit, classes: { b: { rate: 2mbit } } } } }",
        "Q htb; C htb rate 1mbit; class add dev eth0 parent 1:1 classid 1:2 htb rate 2mbit",
        "rates-over-parent",
    ),
    (
        "htb: { default: a/b, classes: { a: { rate: 1mbit, classes: { b: { rate: 1mbit, ceil: 9mbit } } } } }",
        "Q htb; C htb rate 1mbit; class add dev eth0 parent 1:1 classid 1:2 htb rate 1mbit ceil 9mbit",
        "no-effect",
    ),
    (
        "htb: { default: a, classes: { a: { rate: 1mbit, classes: { b: { rate: 1mbit } } } } }",
        "Q htb default 1; C htb rate 1mbit; class add dev eth0 parent 1:1 classid 1:2 htb rate 1mbit",
        "inner-class",
    ),
    (
        "hfsc: { default: b, classes: { a: { ls: 1mbit } } }",
        "Q hfsc default 77; C hfsc ls rate 1mbit",
        "unknown-default",
    ),
    (
        "hfsc: { default: a, classes: { a: { ls: m1 2mbit d 10ms m2 0bit } } }",
        "Q hfsc default 1; C hfsc ls m1 2mbit d 10ms m2 0bit",
        "service-curve",
    ),
    (
        "hfsc: { default: a, classes: { a: { rt: 2mbit, ls: 2mbit, ul: 1mbit } } }",
        "Q hfsc default 1; C hfsc rt rate 2mbit ls rate 2mbit ul rate 1mbit",
        "service-curve",
    ),
    ("drr: { default: a, classes: { a: { quantum: 100b } } }", "Q drr; C drr quantum 100", "quantum-below-mtu"),
    ("drr: { classes: { a: { } } }", "Q drr; C drr", "no-default"),
    ("qfq: { default: a, classes: { a: { maxpkt: 600b } } }", "Q qfq; C qfq maxpkt 600", "no-effect"),
    ("qfq: { classes: { a: { weight: 1 } } }", "Q qfq; C qfq weight 1", "no-default"),
];

fn kind(policy: &str) -> &str {
    policy.split(':').next().expect("a kind")
}

/// One policy has them all, each on a line of its own.
#[test]
fn check_finds_what_the_kernel_takes() {
    let interface = |(n, (policy, ..)): (usize, &(&str, &str, &str))| format!("  e{n}: {{ egress: {{ {policy} }} }}\n");
    let text = format!("interfaces:\n{}", NONSENSE.iter().enumerate().map(interface).collect::<String>());
    let ran = bounded_with(SHAPECTL, ["check", "--format", "json", "-"], &text);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let mut found: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
    for diagnostic in json["diagnostics"].as_array().expect("a list") {
        let line = diagnostic["labels"][0]["line"].as_u64();
        let code = diagnostic["code"].as_str().expect("a code");
        found.entry(line.unwrap_or_else(|| panic!("no place: {diagnostic}"))).or_default().insert(code);
    }
    let missing =
        (2..).zip(NONSENSE).filter(|(line, (.., code))| !found.get(line).is_some_and(|all| all.contains(code)));
    let missing: Vec<_> = missing.map(|(line, (policy, _, code))| (policy, code, found.get(&line))).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// And it is the kernel's own silence that is made up for: tc and it take every line.
#[test]
fn the_kernel_takes_it() {
    let host = Host::with(&["eth0"]);
    let mut lines = Vec::new();
    for (policy, commands, _) in NONSENSE.iter().filter(|(policy, ..)| kernel::lacks(kind(policy)).is_none()) {
        for command in commands.split("; ").filter(|command| !command.is_empty()) {
            let command = match command.split_at(1) {
                ("Q", rest) => format!("qdisc add dev eth0 root handle 1:{rest}"),
                ("C", rest) => format!("class add dev eth0 parent 1: classid 1:1{rest}"),
                _ => command.to_owned(),
            };
            lines.push((policy, command));
        }
        if !commands.is_empty() {
            lines.push((policy, "qdisc del dev eth0 root".to_owned()));
        }
    }
    let batch = lines.iter().map(|(_, line)| format!("{line}\n")).collect::<String>();
    let file = host.file("batch", &batch);
    let ran = host.netns.run("tc", ["-force", "-batch", &file]);
    let failed =
        ran.stderr.lines().filter_map(|line| line.strip_prefix("Command failed ")?.split_once(':')?.1.parse().ok());
    let failed: Vec<_> = failed.filter_map(|n: usize| lines.get(n - 1)).collect();
    assert!(failed.is_empty(), "{failed:#?}\n{}", ran.stderr);
}
