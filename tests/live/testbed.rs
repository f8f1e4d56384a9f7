//! The test bed itself: what the other tests rely on.

use crate::bed::dump::{assert_same, differences, dump};
use crate::bed::kernel;
use crate::bed::netns::{Netns, Pair, bounded};
use crate::bed::traffic::{Flow, Receiver};
use crate::needs;
use std::time::Duration;

/// `tests/kernel/lacks` names what each of the project's kernels lacks: no more, so nothing is skipped that could run,
/// and no less.
#[test]
fn lacks_is_exact() {
    let lacking = kernel::all_lacking();
    for (thing, why) in &lacking {
        println!("{} lacks {thing} ({why})", kernel::name());
    }
    if kernel::name() != "running" {
        let found = lacking.iter().map(|(thing, _)| (*thing).to_owned()).collect::<Vec<_>>();
        assert_eq!(found, kernel::listed(&kernel::name()), "left: the kernel, right: tests/kernel/lacks");
    }
}

#[test]
fn a_namespace_is_private_and_goes_away() {
    let (one, other) = (Netns::new(), Netns::new());
    one.stand_in("eth7");
    assert!(one.ip("-o link show").contains("eth7"));
    assert!(!other.ip("-o link show").contains("eth7"));
    let name = one.name().to_owned();
    drop(one);
    assert!(!bounded("ip", ["netns", "list"]).ok().contains(&name));
}

#[test]
fn equal_trees_have_equal_dumps() {
    let build = |rate: &str, burst: &str| {
        let netns = Netns::new();
        netns.stand_in("eth0");
        netns.tc("qdisc add dev eth0 root handle 1: htb default 20");
        netns.tc(&format!("class add dev eth0 parent 1: classid 1:10 htb rate {rate} burst {burst}"));
        netns.tc("class add dev eth0 parent 1: classid 1:20 htb rate 1mbit");
        netns.tc("filter add dev eth0 parent 1: protocol ip prio 1 u32 match ip dport 22 0xffff flowid 1:10");
        dump(&netns, "eth0")
    };
    let reference = build("2mbit", "3000");
    assert!(reference.iter().any(|line| line.contains("match 00000016/0000ffff at 20")), "{reference:#?}");
    assert_same(&reference, &build("2mbit", "3000"), "the same commands");
    assert_same(&reference, &build("2mbit", "3001"), "a byte of burst is below the resolution");
    for (rate, burst) in [("2001kbit", "3000"), ("2mbit", "3050")] {
        let other = build(rate, burst);
        assert!(differences(&reference, &other).is_some(), "{rate} {burst}: {other:#?}");
    }
}

/// The measuring itself: a bucket set up by tc is seen to hold its rate.
#[test]
fn a_tbf_made_by_tc_holds_its_rate() {
    needs!("tbf", "veth");
    let pair = Pair::new();
    pair.near.tc("qdisc add dev eth0 root tbf rate 4mbit burst 10000 limit 30000");
    let receiver = Receiver::at(&pair.far, "10.9.0.2:5001").start(Duration::from_secs(1), Duration::from_secs(2));
    let sent = Flow::to("10.9.0.2:5001", 8_000_000, Duration::from_millis(3500)).start(&pair.near);
    let (heard, sent) = (receiver.join().unwrap(), sent.join().unwrap());
    let rate = heard.rate();
    println!("{} bit/s, {heard:?}, {sent} sent", rate.round());
    let tolerance = if kernel::virtual_time() { 0.0005 } else { 0.05 };
    assert!((rate / 4e6 - 1.0).abs() < tolerance, "{rate} bit/s where 4 Mbit/s were set: {heard:?}");
    assert!(heard.packets_in_all < sent, "what is too much is dropped");
}
