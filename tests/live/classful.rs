//! Disciplines with classes and bands of every kind: a policy is applied, changed and applied again, and what stands is what
//! it says.

use crate::bed::kernel;
use crate::bed::netns::Netns;
use crate::host::Host;
use crate::needs;

/// Applies one policy after the other on `eth0`, each of which must then stand.
fn one_after_the_other(host: &Host, policies: &[&str]) {
    for lines in policies {
        let policy = host.apply_text(&format!("interfaces: {{ eth0: {{ egress: {{ {lines} }} }} }}\n"));
        host.assert_settled(&policy);
    }
}

/// A machine whose card has four transmit queues.
fn with_queues() -> Host {
    let netns = Netns::new();
    netns.ip("link add eth0 numtxqueues 4 type veth peer name behind-eth0");
    netns.ip("link set eth0 up");
    Host::of(netns)
}

/// The kernel takes no curve from a class: one that is to lose it gets another number, and nothing else is touched.
#[test]
fn curves_come_change_and_go() {
    needs!("hfsc", "fq_codel", "u32", "veth");
    let host = Host::with(&["eth0"]);
    let leaf = "leaf: fq_codel, match: udp dport 5001";
    let of = |default: &str, a: &str| {
        format!(
            "hfsc: {{ default: {default}, classes: {{ x: {{ rt: 4mbit, classes: {{ a: {{ {a}, {leaf} }}, b: {{ ls: 2mbit }} }} }} }} }}"
        )
    };
    let policies = [
        of("b", "sc: m1 2mbit d 10ms m2 1mbit"),
        of("a", "sc: m1 2mbit d 20ms m2 1mbit"),
        of("a", "rt: { umax: 1500b, dmax: 5ms, rate: 1mbit }, ls: 1mbit, ul: 3mbit"),
        of("b", "ls: 1mbit"),
    ];
    one_after_the_other(&host, &policies.each_ref().map(String::as_str));
    let shown = host.netns.tc("class show dev eth0");
    assert!(shown.contains(" parent 1:1 leaf") && !shown.contains("hfsc 1:2 "), "{shown}");
}

#[test]
fn flat_classes_come_and_go() {
    needs!("drr", "qfq", "u32", "fw", "veth");
    let host = Host::with(&["eth0"]);
    one_after_the_other(
        &host,
        &[
            "drr: { default: b, classes: { a: { quantum: 3000b, match: mark 5 }, b: {} } }",
            "drr: { default: b, classes: { a: { quantum: 4000b, match: mark 5 }, b: {}, c: { match: udp dport 7 } } }",
            "drr: { default: c, classes: { b: { leaf: { pfifo: { limit: 7 } } }, c: { match: udp dport 7 } } }",
            "qfq: { default: c, classes: { b: { weight: 3, leaf: { pfifo: { limit: 7 } } }, c: { maxpkt: 2000b } } }",
            "qfq: { default: c, classes: { b: { weight: 5 }, c: {} } }",
        ],
    );
}

/// The bands that are gone have taken their disciplines along.
#[test]
fn bands_come_and_go() {
    needs!("ets", "u32", "veth");
    let host = Host::with(&["eth0"]);
    one_after_the_other(
        &host,
        &[
            "ets: { bands: [a, b, c, d], strict: 2, quanta: [3000b], leaves: { c: { pfifo: { limit: 7 } }, d: { pfifo: { limit: 8 } } } }",
            "ets: { bands: [a, b, c], strict: 1, quanta: [3000b, 2000b], priomap: [c, b, a], leaves: { c: { pfifo: { limit: 7 } } } }, rules: [ { class: b, match: udp dport 7 } ]",
            "ets: { bands: [a, b], leaves: { a: { pfifo: { limit: 9 } } } }",
            "ets: { strict: 3, quanta: [4000b] }",
        ],
    );
    // a quantum of a band, changed by hand, is one of the discipline
    host.netns.tc("class change dev eth0 classid 1:4 ets quantum 5000");
    let policy = host.policy("interfaces: { eth0: { egress: { ets: { strict: 3, quanta: [4000b] } } } }\n");
    let (code, said) = host.diff(&policy);
    assert!(code == 2 && said.contains("quanta") && said.contains("5000b"), "{said}");
    host.apply(&policy);
    host.assert_settled(&policy);
}

#[test]
fn queues_have_disciplines_of_their_own() {
    needs!("mqprio", "multiq", "fq_codel", "skbedit", "u32", "veth");
    let host = with_queues();
    one_after_the_other(
        &host,
        &[
            "mq: { leaves: { 0: fq_codel, 3: { pfifo: { limit: 7 } } } }",
            "mq: { leaves: { 1: fq_codel, 3: { pfifo: { limit: 8 } } } }",
            "multiq: { bands: [a, b, c, d], leaves: { c: fq_codel } }, rules: [ { class: c, match: udp dport 7 } ]",
            "mqprio: { hw: 0, num_tc: 2, map: [0, 1], queues: [2@0, 2@2], leaves: { 2: fq_codel } }",
            "mqprio: { hw: 0, num_tc: 3, map: [0, 1, 2], queues: [1@0, 1@1, 2@2], leaves: { 2: fq_codel } }",
        ],
    );
}

/// A schedule changes in place; what maps packets to classes does not.
#[test]
fn a_schedule_is_changed() {
    needs!("taprio", "veth");
    let host = with_queues();
    // before 6.6 a queue of a software taprio is said to hold the taprio itself, and takes no other discipline
    let leaves = if kernel::release() < (6, 6) { "" } else { ", leaves: { 1: { pfifo: { limit: 7 } } }" };
    let of = |more: &str| {
        format!("taprio: {{ num_tc: 2, map: [0, 1], queues: [2@0, 2@2], clockid: CLOCK_TAI, {more}{leaves} }}")
    };
    let policies = [
        of("sched-entry: [S 0x1 300us, S 0x2 200us]"),
        of("base-time: 5s, sched-entry: [S 0x1 300us, S 0x2 250us]"),
        of("cycle-time: 1ms, sched-entry: [S 0x3 500us]"),
        of("flags: 1, txtime-delay: 200us, sched-entry: [S 0x3 500us]"),
    ];
    one_after_the_other(&host, &policies.each_ref().map(String::as_str));
}

#[test]
fn what_the_kernel_makes_by_itself_can_be_asked_for() {
    needs!("tbf", "veth");
    let host = Host::with(&["eth0"]);
    one_after_the_other(
        &host,
        &["tbf: { rate: 5mbit, burst: 10kb, latency: 50ms, leaf: pfifo_fast }", "noqueue", "pfifo_fast"]
            .map(|lines| if lines.contains(':') { lines.to_owned() } else { format!("{lines}: {{}}") })
            .each_ref()
            .map(String::as_str),
    );
}
