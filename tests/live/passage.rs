//! Flows pass through a hundred changes of their policies and lose nothing: no packet, no class, no rate.

use crate::bed::kernel;
use crate::bed::netns::{Netns, Pair, bounded};
use crate::bed::passage::{COURSES, applying, figures, rebuilding};
use crate::bed::traffic::{Flow, Receiver};
use crate::host::{Host, SHAPECTL, path};
use crate::needs;
use std::time::Duration;
use tempfile::TempDir;

/// A paced flow that must lose nothing and a saturating one, through many changes of all sorts of a policy about this kind.
fn through_changes_of(kind: &str) {
    let course = COURSES.iter().find(|course| course.name == kind).expect("there is one");
    if kernel::skipped(std::thread::current().name().unwrap_or(kind), course.needs) {
        return;
    }
    let changes = match kernel::name().as_str() {
        "uml-6.1" => 10,
        "uml-6.12" => 100,
        _ => 50, // in real time
    };
    let folder = TempDir::new().expect("a folder");
    let mut apply = applying(folder.path());
    let state = folder.path().join("state");
    let mut checked = |near: &Netns, n: usize, policy: &str| {
        let said = apply(near, n, policy);
        if n.is_multiple_of(10) {
            let file = folder.path().join("policy.yaml");
            let words = ["--netns", near.name(), "--state-dir", path(&state), "diff", path(&file)];
            bounded(SHAPECTL, words).ok();
        }
        said
    };
    let figures = figures(course, changes, &mut checked);
    println!("{kind}: {figures:?}");
    assert!(figures.sent > 100, "{figures:?}");
    assert_eq!(figures.unsaid, [], "lost, and the plan does not say it: {figures:?}");
    assert_eq!(figures.misplaced, 0, "in no class of its flow: {figures:?}");
    let seconds = figures.time.as_secs_f64();
    assert!(figures.bits as f64 >= 2e6 * seconds, "the line was never full: {figures:?}");
    assert!(figures.bits as f64 <= 8e6 * seconds + 200_000.0, "faster than the line: {figures:?}");
    // only where nothing else moves the clock does a packet's time say when it left
    if kernel::virtual_time() {
        // what it lets through at once, and the packet that was under way
        let burst = 8 * (course.burst + 1_500);
        assert!(figures.beyond <= burst, "more than a burst of {burst} bits: {figures:?}");
    }
}

#[test]
fn a_flow_passes_through_many_changes() {
    through_changes_of("htb");
}

#[test]
fn flows_pass_through_changes_of_hfsc() {
    through_changes_of("hfsc");
}

#[test]
fn flows_pass_through_changes_of_drr() {
    through_changes_of("drr");
}

#[test]
fn flows_pass_through_changes_of_qfq() {
    through_changes_of("qfq");
}

#[test]
fn flows_pass_through_changes_of_prio() {
    through_changes_of("prio");
}

#[test]
fn flows_pass_through_changes_of_ets() {
    through_changes_of("ets");
}

#[test]
fn flows_pass_through_changes_of_tbf() {
    through_changes_of("tbf");
}

#[test]
fn flows_pass_through_changes_of_cake() {
    through_changes_of("cake");
}

/// The same changes by scripts of tc, which delete the root and build all again: what `cargo bench -- passage` prints of the
/// kinds that the running kernel has, of every kind. `SHAPECTL_CHANGES`: how many changes.
#[test]
fn flows_pass_through_changes_better_than_through_scripts() {
    let changes = std::env::var("SHAPECTL_CHANGES").map_or(5, |n| n.parse().expect("a number"));
    let mut harm = 0;
    for course in COURSES.iter().filter(|course| course.lacks().is_none()) {
        let folder = TempDir::new().expect("a folder");
        let ours = figures(course, changes, &mut applying(folder.path()));
        let theirs = figures(course, changes, &mut rebuilding(folder.path()));
        println!("{:4}  apply   {ours}\n      scripts {theirs}", course.name);
        assert_eq!((ours.unsaid.len(), ours.misplaced), (0, 0), "{ours:?}");
        harm += theirs.lost + theirs.misplaced;
    }
    // a virtual clock stands still while tc runs
    assert!(harm > 0 || kernel::virtual_time(), "scripts do no harm");
}

/// What waits in a class that goes leaves before it: ten packets at 200 kbit/s need half a second.
#[test]
fn what_waits_in_a_class_that_goes_is_sent() {
    what_waits_is_sent("", |shown| assert!(!shown.contains("200Kbit"), "{shown}"));
}

/// So it is where the class stays and gets another queue, classes of its own, or the fifo that the kernel gives.
#[test]
fn what_waits_in_a_queue_that_goes_is_sent() {
    let stays = |queue: &str| format!(", slow: {{ rate: 200kbit, match: udp dport 5001{queue} }}");
    let there = |shown: &str| assert!(shown.contains("200Kbit"), "{shown}");
    what_waits_is_sent(&stays(", leaf: bfifo"), there);
    what_waits_is_sent(&stays(""), there);
    let inner = ", slow: { rate: 200kbit, classes: { a: { rate: 100kbit, match: udp dport 5001 } } }";
    what_waits_is_sent(inner, there);
}

/// And where the class is the default, which the kernel's htb never changes.
#[test]
fn what_waits_in_the_default_is_sent() {
    let default = |leaf: &str| {
        format!(
            "interfaces: {{ eth0: {{ egress: {{ htb: {{ default: slow, classes: {{ \
             slow: {{ rate: 200kbit, burst: 1600b, cburst: 1600b, leaf: {leaf} }} }} }} }} }} }}\n"
        )
    };
    let (near, _far, shown) = ten_packets_through(&default("pfifo"), &default("bfifo"));
    assert!(shown.contains("200Kbit"), "{shown}");
    near.assert_settled(&near.policy(&default("bfifo")));
    // and back: the first default's number is free again
    near.apply_text(&default("pfifo"));
    near.assert_settled(&near.policy(&default("pfifo")));
}

/// The kernel moves no class, and takes none away that filters lead to: one whose number is pinned goes with all that leads to it
/// and hangs below it, and comes back at its new place.
#[test]
fn a_class_with_a_pinned_number_moves() {
    needs!("htb", "u32", "veth");
    let host = Host::with(&["eth0"]);
    let policy = |at: &str, inside: &str| {
        let x = format!(
            "x: {{ id: 0x10, rate: 200kbit, ceil: 1mbit, classes: {{ p: {{ id: 0x11, rate: 100kbit, leaf: {{ {inside} }} }}, q: {{ rate: 50kbit }} }} }}"
        );
        let (a, b) = if at == "a" { (format!(", {x}"), String::new()) } else { (String::new(), format!(", {x}")) };
        format!(
            "interfaces:\n  eth0:\n    egress:\n      htb:\n        default: rest\n        classes:\n          \
             a: {{ rate: 1mbit, classes: {{ y: {{ rate: 100kbit }}{a} }} }}\n          \
             b: {{ rate: 1mbit, classes: {{ z: {{ rate: 100kbit }}{b} }} }}\n          rest: {{ rate: 100kbit }}\n      rules:\n        \
             - {{ class: {at}/x/p, match: 'tcp dport {{22, 23}}' }}\n        - {{ class: a/y, match: tcp dport 24 }}\n        \
             - {{ class: {at}/x/q, match: udp dport 53 }}\n"
        )
    };
    let inside = "tbf: { rate: 1mbit, burst: 3kb, limit: 9kb, leaf: { pfifo: { limit: 7 } } }";
    for (at, inside) in [("a", inside), ("b", inside), ("a", "pfifo: { limit: 9 }"), ("b", inside)] {
        let file = host.policy(&policy(at, inside));
        let said = host.apply(&file);
        host.assert_settled(&file);
        let shown = host.netns.tc("class show dev eth0");
        let below = |child: &str| {
            let line = shown.lines().find(|line| line.contains(&format!("htb {child} "))).expect("it stands");
            line.split(" parent ").nth(1).and_then(|rest| rest.split(' ').next()).map(str::to_owned)
        };
        assert_eq!(below("1:11").as_deref(), Some("1:10"), "{shown}");
        assert!(!said.contains("lost") || said.contains("moves"), "{said}");
        let untouched = said.lines().all(|line| !line.contains("a/y"));
        assert!(untouched || at == "a", "what does not move is not touched: {said}");
    }
    let said = host.shapectl(&["apply", "--dry-run", path(&host.policy(&policy("a", inside)))]).ok();
    assert!(said.contains("moves to another parent"), "{said}");
}

/// A discipline before and after, the DS field of what waits in it, and whether the change drops some of that.
const CHANGES: &[(&str, &str, u8, bool)] = &[
    ("pfifo: { limit: 60 }", "pfifo: { limit: 5 }", 0, false),
    ("bfifo: { limit: 60kb }", "bfifo: { limit: 3kb }", 0, false),
    ("pfifo: { limit: 60 }", "bfifo: { limit: 60kb }", 0, true),
    ("tbf: { rate: 1mbit, burst: 3kb, limit: 60kb }", "tbf: { rate: 2mbit, burst: 3kb, limit: 9kb }", 0, false),
    ("sfq: { limit: 60 }", "sfq: { limit: 5 }", 0, true),
    ("sfq: { limit: 60 }", "sfq: { limit: 60, quantum: 3000b }", 0, true),
    ("codel: { limit: 60 }", "codel: { limit: 5 }", 0, true),
    ("codel: { limit: 60 }", "codel: { limit: 70, target: 9ms }", 0, false),
    ("fq_codel: { limit: 60 }", "fq_codel: { limit: 5 }", 0, true),
    ("fq_codel: { limit: 60 }", "fq_codel: { limit: 60, memory_limit: 5000b }", 0, true),
    ("fq_codel: { limit: 60 }", "fq_codel: { limit: 60, target: 9ms }", 0, false),
    ("fq: { limit: 60 }", "fq: { limit: 5 }", 0, true),
    ("pie: { limit: 60 }", "pie: { limit: 5 }", 0, true),
    ("fq_pie: { limit: 60 }", "fq_pie: { limit: 5 }", 0, true),
    ("hhf: { limit: 60 }", "hhf: { limit: 5 }", 0, true),
    (
        "choke: { limit: 60, bandwidth: 10mbit, min: 30, max: 50 }",
        "choke: { limit: 6, bandwidth: 10mbit, min: 2, max: 5 }",
        0,
        true,
    ),
    (
        "red: { limit: 400kb, min: 30kb, max: 90kb, avpkt: 1000b, burst: 55, bandwidth: 10mbit }",
        "red: { limit: 400kb, min: 30kb, max: 90kb, avpkt: 1000b, burst: 60, bandwidth: 10mbit }",
        0,
        true,
    ),
    ("sfb: { limit: 60 }", "sfb: { limit: 70 }", 0, true),
    ("netem: { limit: 60 }", "netem: { limit: 5 }", 0, false),
    ("skbprio: { limit: 60 }", "skbprio: { limit: 5 }", 0, false),
    ("cake: { diffserv: diffserv4 }", "cake: { diffserv: besteffort }", 0xb8, true),
    ("cake: { diffserv: besteffort }", "cake: { diffserv: diffserv4 }", 0xb8, false),
    (
        "prio: { bands: [a, b, c] }",
        "prio: { bands: [a, b], priomap: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1] }",
        0x08,
        true,
    ),
    ("prio: { bands: [a, b, c] }", "prio: { bands: [a, b, c, d] }", 0x08, false),
    ("prio: { bands: [a, b, c] }", "prio: { bands: [a, b, c], leaves: { c: { bfifo: { limit: 60kb } } } }", 0x08, true),
    (
        "prio: { bands: [a, b, c], leaves: { c: { bfifo: { limit: 60kb } } } }",
        "prio: { bands: [a, b, c], leaves: { c: { pfifo: { limit: 60 } } } }",
        0x08,
        true,
    ),
    ("prio: { bands: [a, b, c], leaves: { c: { bfifo: { limit: 60kb } } } }", "prio: { bands: [a, b, c] }", 0x08, true),
    ("ets: { bands: [a, b, c] }", "ets: { bands: [a, b] }", 0, true),
    ("ets: { bands: [a, b, c] }", "ets: { bands: [a, b, c], strict: 1 }", 0, false),
    ("sfb: { limit: 60 }", "sfb: { limit: 60, leaf: { pfifo: { limit: 60 } } }", 0, true),
    ("netem: { limit: 60 }", "netem: { limit: 60, leaf: { pfifo: { limit: 60 } } }", 0, false),
];

/// What is lost where nothing can be made beside the old is in the plan: below a tbf there is one place.
#[test]
fn a_plan_says_what_a_change_drops() {
    let there = |text: &&str| kernel::lacks(text.split(':').next().expect("a kind")).is_none();
    for (before, after, tos, drops) in CHANGES.iter().filter(|(before, after, ..)| there(before) && there(after)) {
        let Pair { near, far: _far } = Pair::new();
        near.without_ipv6();
        let near = Host::of(near);
        let policy = |leaf: &str| {
            format!(
                "interfaces: {{ eth0: {{ egress: {{ tbf: {{ rate: 8kbit, burst: 2kb, limit: 900kb, leaf: {{ {leaf} }} }} }} }} }}\n"
            )
        };
        near.apply_text(&policy(before));
        let flow = Flow::to("10.9.0.2:5001", 1_000_000_000, Duration::from_secs(1)).payload(500).tos(*tos);
        flow.datagrams(20).start(&near.netns).join().unwrap();
        let waiting = || {
            let shown = near.netns.tc("-s qdisc show dev eth0");
            // cake forgets to tell who is above it of the tins that it empties
            let mut lines = shown.lines().skip_while(|line| !line.contains(" parent 1:1 "));
            let words = lines.find(|line| line.contains("backlog"));
            let words = words.unwrap_or_else(|| panic!("{shown}")).split_whitespace();
            let packets = words.skip_while(|word| *word != "backlog").nth(2).expect("packets");
            packets.trim_end_matches('p').parse::<u64>().unwrap_or_else(|_| panic!("{shown}"))
        };
        let wait = waiting();
        assert!(wait > 12, "{before}: {wait} packets wait");
        let said = near.apply(&near.policy(&policy(after)));
        // one or two are sent meanwhile
        let lost = wait.saturating_sub(waiting()) > 4;
        assert_eq!(
            (lost, said.contains("lost")),
            (*drops, *drops),
            "lost, and said, from {before} to {after}:\n{said}"
        );
    }
}

fn what_waits_is_sent(after: &str, judge: impl FnOnce(&str)) {
    let policy = |slow: &str| {
        format!(
            "interfaces: {{ eth0: {{ egress: {{ htb: {{ default: rest, classes: {{ rest: {{ rate: 1mbit }}{slow} }} }} }} }} }}\n"
        )
    };
    let slow = ", slow: { rate: 200kbit, burst: 1600b, cburst: 1600b, match: udp dport 5001, leaf: pfifo }";
    let (_, _, shown) = ten_packets_through(&policy(slow), &policy(after));
    judge(&shown);
}

/// Ten packets wait under the first policy when the second comes, and all arrive.
fn ten_packets_through(first: &str, second: &str) -> (Host, Host, String) {
    let Pair { near, far } = Pair::new();
    let (near, far) = (Host::of(near), Host::of(far));
    near.apply_text(first);
    let heard = Receiver::at(&far.netns, "10.9.0.2:5001").start(Duration::ZERO, Duration::from_secs(10));
    let sent = Flow::to("10.9.0.2:5001", 1_000_000_000, Duration::from_secs(1)).datagrams(10).start(&near.netns).join();
    near.apply_text(second);
    let shown = near.netns.tc("class show dev eth0");
    assert_eq!((sent.unwrap(), heard.join().unwrap().packets_in_all), (10, 10), "{second}{shown}");
    (near, far, shown)
}
