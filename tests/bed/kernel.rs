//! Which kernel this is and what it lacks. A test says what it needs:
//!
//! ```ignore
//! needs!("sfq", "flower");
//! ```
//!
//! and is skipped, loudly, on a kernel that has not all of it. What a kernel may lack is written in `tests/kernel/lacks`;
//! for the kernels that are the same everywhere (`uml-6.1`, `uml-6.12`) the test `lacks_is_exact` holds the list against
//! the kernel. The running kernel is another on every machine, so there the probe alone decides.

use super::netns::{Netns, Ran};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, OnceLock};

/// A way to find out whether a kernel has something: the commands, the last of which fails where it has not, or does
/// not print what it should.
struct Probe {
    name: &'static str,
    commands: &'static [&'static str],
    prints: &'static str,
}

const fn probe(name: &'static str, commands: &'static [&'static str]) -> Probe {
    Probe { name, commands, prints: "" }
}

const ROOT: &str = "tc qdisc add dev lo root handle 1: htb";
/// A device with several transmit queues.
const QUEUES: &str = "ip link add q4 numtxqueues 4 type veth peer name p4";
const HOOK: &str = "tc qdisc add dev lo clsact";

/// Everything a test may ask for. Filters and actions hang on what every kernel with tc has.
const PROBES: &[Probe] = &[
    // qdiscs
    probe("htb", &["tc qdisc add dev lo root htb"]),
    probe("tbf", &["tc qdisc add dev lo root tbf rate 1mbit burst 10kb latency 50ms"]),
    probe("sfq", &["tc qdisc add dev lo root sfq"]),
    probe("prio", &["tc qdisc add dev lo root prio"]),
    probe("pfifo", &["tc qdisc add dev lo root pfifo"]),
    probe("bfifo", &["tc qdisc add dev lo root bfifo"]),
    probe("pfifo_head_drop", &["tc qdisc add dev lo root pfifo_head_drop"]),
    probe("teql0", &["tc qdisc add dev lo root teql0"]),
    probe("fq_codel", &["tc qdisc add dev lo root fq_codel"]),
    probe("red", &["tc qdisc add dev lo root red limit 100000 avpkt 1000"]),
    probe("ingress", &["tc qdisc add dev lo ingress"]),
    probe("clsact", &["tc qdisc add dev lo clsact"]),
    probe("cake", &["tc qdisc add dev lo root cake"]),
    probe("codel", &["tc qdisc add dev lo root codel"]),
    probe("fq", &["tc qdisc add dev lo root fq"]),
    probe("fq_pie", &["tc qdisc add dev lo root fq_pie"]),
    probe("pie", &["tc qdisc add dev lo root pie"]),
    probe("hhf", &["tc qdisc add dev lo root hhf"]),
    probe("sfb", &["tc qdisc add dev lo root sfb"]),
    probe("choke", &["tc qdisc add dev lo root choke limit 1000 bandwidth 10mbit"]),
    probe("gred", &["tc qdisc add dev lo root gred setup DPs 3 default 2"]),
    probe("hfsc", &["tc qdisc add dev lo root hfsc"]),
    probe("drr", &["tc qdisc add dev lo root drr"]),
    probe("qfq", &["tc qdisc add dev lo root qfq"]),
    probe("ets", &["tc qdisc add dev lo root ets bands 3"]),
    probe("dualpi2", &["tc qdisc add dev lo root dualpi2"]),
    probe("skbprio", &["tc qdisc add dev lo root skbprio"]),
    probe("netem", &["tc qdisc add dev lo root netem delay 1ms"]),
    probe("plug", &["tc qdisc add dev lo root plug limit 10000"]),
    probe("mq", &[QUEUES, "tc qdisc add dev q4 root handle 1: mq"]),
    probe("multiq", &[QUEUES, "tc qdisc add dev q4 root multiq"]),
    probe("mqprio", &[QUEUES, "tc qdisc add dev q4 root mqprio num_tc 1 map queues 4@0 hw 0"]),
    probe(
        "taprio",
        &[QUEUES, "tc qdisc add dev q4 root taprio num_tc 1 queues 4@0 sched-entry S 1 1000000 clockid CLOCK_TAI"],
    ),
    probe("cake_mq", &[QUEUES, "tc qdisc add dev q4 root cake_mq"]),
    probe("cbs", &["tc qdisc add dev lo root cbs idleslope 98688 sendslope -901312 hicredit 153 locredit -1389"]),
    probe("etf", &["tc qdisc add dev lo root etf clockid CLOCK_TAI delta 300000"]),
    // filters
    probe("u32", &[ROOT, "tc filter add dev lo parent 1: u32 match u32 0 0"]),
    Probe {
        name: "u32-mark", // a kernel built without it takes the words and forgets them
        commands: &[
            ROOT,
            "tc filter add dev lo parent 1: u32 match mark 0x1 0xff classid 1:1",
            "tc filter show dev lo parent 1:",
        ],
        prints: "mark 0x0001 0x00ff",
    },
    probe("fw", &[ROOT, "tc filter add dev lo parent 1: handle 1 fw classid 1:1"]),
    probe("matchall", &[ROOT, "tc filter add dev lo parent 1: matchall classid 1:1"]),
    probe("flower", &[ROOT, "tc filter add dev lo parent 1: protocol ip flower ip_proto tcp classid 1:1"]),
    probe("basic", &[ROOT, "tc filter add dev lo parent 1: basic classid 1:1"]),
    probe("bpf", &[ROOT, "tc filter add dev lo parent 1: bpf bytecode 1,6+0+0+0"]),
    probe("flow", &[ROOT, "tc filter add dev lo parent 1: handle 1 flow hash keys src divisor 16 baseclass 1:1"]),
    probe("route", &[ROOT, "tc filter add dev lo parent 1: route to 1 classid 1:1"]),
    probe("cgroup", &[ROOT, "tc filter add dev lo parent 1: handle 1 cgroup"]),
    // actions
    probe("police", &[HOOK, "tc filter add dev lo ingress u32 match u32 0 0 action police rate 1mbit burst 10kb"]),
    probe("mirred", &[HOOK, "tc filter add dev lo ingress u32 match u32 0 0 action mirred egress redirect dev lo"]),
    probe("gact", &[HOOK, "tc filter add dev lo ingress u32 match u32 0 0 action drop"]),
    probe("skbedit", &[HOOK, "tc filter add dev lo ingress u32 match u32 0 0 action skbedit priority 1:1"]),
    probe("skbmod", &[HOOK, "tc filter add dev lo ingress u32 match u32 0 0 action skbmod set etype 0x0800"]),
    probe(
        "pedit",
        &[HOOK, "tc filter add dev lo ingress protocol ip u32 match u32 0 0 action pedit ex munge ip ttl set 64"],
    ),
    probe("csum", &[HOOK, "tc filter add dev lo ingress protocol ip u32 match u32 0 0 action csum ip"]),
    probe("vlan", &[HOOK, "tc filter add dev lo ingress u32 match u32 0 0 action vlan push id 5"]),
    probe("nat", &[HOOK, "tc filter add dev lo ingress u32 match u32 0 0 action nat ingress 10.0.0.0/24 10.0.1.0"]),
    probe("connmark", &[HOOK, "tc filter add dev lo ingress u32 match u32 0 0 action connmark"]),
    probe("ctinfo", &[HOOK, "tc filter add dev lo ingress u32 match u32 0 0 action ctinfo cpmark"]),
    probe("ct", &[HOOK, "tc filter add dev lo ingress u32 match u32 0 0 action ct"]),
    probe("ct-below-qdiscs", &[ROOT, "tc filter add dev lo parent 1: u32 match u32 0 0 action ct"]),
    probe("sample", &[HOOK, "tc filter add dev lo ingress u32 match u32 0 0 action sample rate 10 group 1"]),
    probe("mpls", &[HOOK, "tc filter add dev lo ingress u32 match u32 0 0 action mpls dec_ttl"]),
    probe("simple", &[HOOK, "tc filter add dev lo ingress u32 match u32 0 0 action simple sdata hello"]),
    probe("tunnel_key", &[HOOK, "tc filter add dev lo ingress u32 match u32 0 0 action tunnel_key unset"]),
    probe("gate", &[HOOK, "tc filter add dev lo ingress u32 match u32 0 0 action gate sched-entry open 100us"]),
    probe("ife", &[HOOK, "tc filter add dev lo ingress u32 match u32 0 0 action ife encode allow mark"]),
    probe("act_bpf", &[HOOK, "tc filter add dev lo ingress u32 match u32 0 0 action bpf bytecode 1,6+0+0+0"]),
    // devices
    probe("dummy", &["ip link add probe type dummy"]),
    probe("ifb", &["ip link add probe type ifb"]),
    probe("veth", &["ip link add probe type veth peer name eborp"]),
    probe("bridge", &["ip link add probe type bridge"]),
    // the firewall: tables of both families, and connections' marks
    probe("nft", &["nft add table inet t ; add chain inet t c ; add rule inet t c ct mark set 1"]),
];

/// The kernel that the tests run on: `uml-6.1`, `uml-6.12`, or `running`, as `tests/kernel/lacks` calls it.
pub fn name() -> String {
    std::env::var("SHAPECTL_KERNEL").unwrap_or_else(|_| "running".to_owned())
}

/// Whether the clock of this kernel is virtual: then figures are the same in every run, and are held to their last digit.
pub fn virtual_time() -> bool {
    name() == "uml-6.12"
}

/// The version of the kernel: `(6, 1)`.
pub fn release() -> (u32, u32) {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("/proc is mounted");
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// What this kernel says when asked for a thing: `None` if it has it, otherwise why not.
pub fn lacks(thing: &str) -> Option<String> {
    static KNOWN: OnceLock<Mutex<BTreeMap<String, Option<String>>>> = OnceLock::new();
    let mut known = KNOWN.get_or_init(Mutex::default).lock().unwrap();
    known.entry(thing.to_owned()).or_insert_with(|| ask(thing)).clone()
}

fn ask(thing: &str) -> Option<String> {
    let probe = PROBES.iter().find(|probe| probe.name == thing).unwrap_or_else(|| panic!("no probe for `{thing}`"));
    let netns = Netns::new();
    let (last, before) = probe.commands.split_last().expect("a probe has a command");
    let run = |command: &str| {
        let (program, words) = command.split_once(' ').expect("a program and its words");
        netns.run(program, words.split(' '))
    };
    for command in before {
        run(command).ok();
    }
    let asked = run(last);
    if !asked.status.success() {
        Some(reason(thing, asked))
    } else if !asked.stdout.contains(probe.prints) {
        Some("the kernel took the words and forgot them".to_owned())
    } else {
        None
    }
}

/// A refusal must be about the kind: anything else is a fault of the probe.
fn reason(thing: &str, refused: Ran) -> String {
    let unknown = [
        "qdisc kind is unknown",
        "classifier not found",
        "Failed to load TC action module",
        "Unknown device type",
        "Operation not supported", // a device type, or a match, that the kernel was built without
        "No such file or directory",
        "is unsupported", // in the kernel's own words
    ];
    let said = refused.stderr.lines().find(|line| unknown.iter().any(|words| line.contains(words)));
    match said {
        Some(line) => line.trim().to_owned(),
        None => panic!("the probe for `{thing}` failed for a reason of its own: {refused}"),
    }
}

/// What the list in the repository says a kernel lacks.
pub fn listed(kernel: &str) -> Vec<String> {
    let list = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernel/lacks")).unwrap();
    list.lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(kernel)).then(|| words.next().expect("KERNEL THING reason").to_owned())
        })
        .collect()
}

/// What the kernel lacks of everything that a test may ask for, with its words for it.
pub fn all_lacking() -> Vec<(&'static str, String)> {
    PROBES.iter().filter_map(|probe| Some((probe.name, lacks(probe.name)?))).collect()
}

/// The names of everything that a test may ask for.
pub fn probed() -> Vec<&'static str> {
    PROBES.iter().map(|probe| probe.name).collect()
}

/// Says that a test is skipped, where a person sees it: on standard error, and in the file that `tests/run` prints in the end.
pub fn skip(test: &str, thing: &str, why: &str) {
    let kernel = name();
    let line = format!("SKIPPED on {kernel}: {test}: lacks {thing} ({why})");
    eprintln!("{line}");
    if let Some(file) = std::env::var_os("SHAPECTL_SKIPS") {
        let mut file = std::fs::File::options().create(true).append(true).open(file).expect("SHAPECTL_SKIPS is a file");
        file.write_all(format!("{line}\n").as_bytes()).expect("SHAPECTL_SKIPS can be written");
    }
}

/// Whether a test is to be left out, after saying so. On a kernel whose list is exact, only what the list names excuses.
pub fn skipped(test: &str, things: &[&str]) -> bool {
    let kernel = name();
    let mut skip_it = false;
    for thing in things {
        if let Some(why) = lacks(thing) {
            assert!(
                kernel == "running" || listed(&kernel).iter().any(|listed| listed == thing),
                "{kernel} lacks `{thing}` ({why}), which tests/kernel/lacks does not say"
            );
            skip(test, thing, &why);
            skip_it = true;
        }
    }
    skip_it
}

/// Leaves the test, loudly, on a kernel that lacks one of the things.
#[macro_export]
macro_rules! needs {
    ($($thing:expr),+ $(,)?) => {
        if $crate::bed::kernel::skipped(
            std::thread::current().name().unwrap_or("a test"),
            &[$($thing),+],
        ) {
            return;
        }
    };
}
