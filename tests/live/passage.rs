//! A flow passes through a hundred changes of its policy and loses nothing: no packet, no class, no rate.

use crate::bed::kernel;
use crate::bed::netns::{Netns, Pair};
use crate::bed::passage::{figures, policy};
use crate::bed::traffic::{Flow, Receiver};
use crate::host::{Host, SHAPECTL, path};
use crate::needs;
use std::time::Duration;

/// The kinds of leaves that the kernel has, short enough to be sent within a bounded time.
fn leaves() -> Vec<&'static str> {
    let mut leaves =
        vec!["pfifo: { limit: 12 }", "bfifo: { limit: 18kb }", "tbf: { rate: 50mbit, burst: 10kb, limit: 18kb }"];
    let more = [
        ("fq_codel", "fq_codel: { limit: 12 }"),
        ("sfq", "sfq: { limit: 12 }"),
        ("prio", "prio: { bands: [a, b, c], leaves: { a: { pfifo: { limit: 6 } }, b: { pfifo: { limit: 6 } } } }"),
        ("drr", "drr: { default: a, classes: { a: { leaf: { pfifo: { limit: 12 } } } } }"),
    ];
    leaves.extend(more.iter().filter(|(kind, _)| kernel::lacks(kind).is_none()).map(|(_, leaf)| *leaf));
    leaves
}

/// shapectl with a state of its own, that makes each change.
fn applying(leaves: &[&str]) -> impl FnMut(&Netns, usize) {
    let folder = tempfile::TempDir::new().expect("a folder");
    move |near, n| {
        let (file, state) = (folder.path().join("policy.yaml"), folder.path().join("state"));
        std::fs::write(&file, policy(n, leaves)).expect("it is writable");
        let words = ["--netns", near.name(), "--state-dir", path(&state), "apply", path(&file)];
        crate::bed::netns::bounded(SHAPECTL, words).ok();
    }
}

#[test]
fn a_flow_passes_through_many_changes() {
    needs!("htb", "u32", "veth");
    let changes = match kernel::name().as_str() {
        "uml-6.1" => 20,
        "uml-6.12" => 100,
        _ => 50, // in real time
    };
    let pair = Pair::new();
    pair.near.without_ipv6();
    let leaves = leaves();
    let figures = figures(pair, changes, applying(&leaves));
    assert!(figures.sent > 100, "{figures:?}");
    assert_eq!((figures.lost(), figures.misplaced), (0, 0), "lost, and in no class of a rule: {figures:?}");
    let seconds = figures.time.as_secs_f64();
    assert!(figures.bits as f64 <= 8e6 * seconds + 200_000.0, "faster than the line: {figures:?}");
    assert!(figures.bits as f64 >= 2e6 * seconds, "the line was never full: {figures:?}");
    // only where nothing else moves the clock does a packet's time say when it left
    if kernel::name() == "uml-6.12" {
        assert!(figures.beyond <= 8 * 2 * 1_700, "more than a burst of a new class and one of its parent: {figures:?}");
    }
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
