#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
use super::*;
use crate::tree::Blocks;
use crate::unit::LinkLayer;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn one(line: &str) -> Request {
    match read(&words(line), &|_| None) {
        Ok(mut requests) if requests.len() == 1 => requests.remove(0),
        other => panic!("{line}: {other:?}"),
    }
}

fn object(line: &str) -> Object {
    match one(line).subject {
        Subject::Qdisc(o) | Subject::Class(o) | Subject::Filter(o) | Subject::Chain(o) => o,
        other => panic!("{line}: {other:?}"),
    }
}

/// The word that is at fault, `END` for the end of the line.
fn blamed(line: &str) -> String {
    let words = words(line);
    let wrong = read(&words, &|_| None).map(|r| format!("{r:?}")).unwrap_err();
    words.get(wrong.word).cloned().unwrap_or_else(|| "END".to_owned())
}

#[test]
fn words_are_abbreviated_as_tc_allows_it() {
    for (line, verb) in [
        ("qd a dev lo root pfifo", Verb::Add),
        ("q ch dev lo root pfifo", Verb::Change),
        ("qdisc repl dev lo root pfifo", Verb::Replace),
        ("qdisc l dev lo root handle 1:", Verb::Link),
        ("qdisc d dev lo root", Verb::Delete),
        ("qdisc ls", Verb::Show),
        ("c s dev lo", Verb::Show),
        ("cl l", Verb::Show),
        ("fi g dev lo parent 1: proto ip pref 1 handle ::1 u32", Verb::Get),
        ("ch sh dev lo", Verb::Show),
        ("act flush action gact", Verb::Flush),
        ("a ls action gact", Verb::Show),
        ("qdisc", Verb::Show),
    ] {
        assert_eq!(one(line).verb, verb, "{line}");
    }
    assert_eq!(blamed("qdisk add dev lo root"), "qdisk");
    assert_eq!(blamed("qdisc ad-d dev lo root"), "ad-d");
    assert_eq!(blamed("qdisc add d lo root pfifo"), "d");
}

/// tc ends well where no kind has been named yet, but for the words behind `qdisc add` and `class add`; here `actions help` does
/// as well.
#[test]
fn a_line_that_asks_for_help_is_done_where_tc_says_so() {
    let asked = |line: &str| read(&words(line), &|_| None).unwrap_err().asked;
    for line in [
        "help",
        "qdisc help",
        "class h",
        "actions help",
        "qd show dev lo help",
        "filter add help",
        "fi ls h",
        "chain add dev lo help",
    ] {
        assert!(asked(line), "{line}");
    }
    for line in [
        "qdisc add help",
        "class del h",
        "qdisc add dev lo root htb help",
        "filter add dev lo fw help",
        "actions add help",
    ] {
        assert!(!asked(line), "{line}");
    }
    assert!(front(&words("-help")).unwrap_err().asked && front(&words("-s -V")).unwrap_err().asked);
}

#[test]
fn places_are_told_in_every_spelling() {
    let id = |line: &str| object(line).id;
    let (lo, one_ten) = (Handle(0), Handle::new(1, 0x10));
    assert_eq!(
        id("qdisc add dev lo root handle 1 pfifo"),
        Id::Qdisc { parent: Handle::ROOT, handle: Handle::new(1, 0) }
    );
    assert_eq!(
        id("qdisc add handle 2: parent 1:10 dev lo pfifo"),
        Id::Qdisc { parent: one_ten, handle: Handle::new(2, 0) }
    );
    for line in ["qdisc add dev lo ingress", "qdisc add dev lo clsact", "qdisc add dev lo handle ffff: ingress"] {
        assert_eq!(id(line), Id::Qdisc { parent: Handle::INGRESS, handle: Handle::HOOK });
    }
    assert_eq!(
        id("class add dev lo parent 1: classid 1:10 htb rate 1mbit"),
        Id::Class { parent: Handle::new(1, 0), handle: one_ten }
    );
    assert_eq!(
        id("class add dev lo root classid 1:10 htb rate 1mbit"),
        Id::Class { parent: Handle::ROOT, handle: one_ten }
    );
    let filter = |parent, prio, protocol, handle| Id::Filter { parent, chain: 0, prio, protocol, handle };
    assert_eq!(id("filter add dev lo matchall action drop"), filter(lo, 0, 3, 0));
    assert_eq!(id("filter change dev lo egress matchall action drop"), filter(Handle::HOOK_EGRESS, 0, 0, 0));
    assert_eq!(
        id("filter add dev lo ingress pref 5 protocol ipv6 handle 0x7 matchall action drop"),
        filter(Handle::HOOK_INGRESS, 5, 0x86dd, 7)
    );
    assert_eq!(
        id("filter replace dev lo parent 1: prio 5 handle 800:2:5 u32 match u32 0 0 flowid 1:1"),
        filter(Handle::new(1, 0), 5, 3, 0x8000_2005)
    );
    assert_eq!(id("filter del dev lo parent 1: prio 5"), filter(Handle::new(1, 0), 5, 0, 0));
    assert_eq!(id("filter del dev lo handle ff other"), filter(lo, 0, 0, 0xff));
    let fw = object("filter add dev lo parent 1: handle 0x5/0xff fw classid 1:1");
    assert_eq!((fw.id, fw.options.show("mask").as_deref()), (filter(Handle::new(1, 0), 0, 3, 5), Some("0xff")));
    let block = one("filter add block 22 chain 0 matchall action drop");
    assert_eq!((block.target, block.chain), (Some(Target::Block(22)), Some(0)));
}

#[test]
fn what_all_objects_have_is_read() {
    let o = object("qdisc add dev lo root est 1sec 8sec stab overh 20 link atm mpu 64 ingress_b 1 eg 2 pfifo limit 3");
    assert_eq!(o.estimator, Estimator::of(1_000_000, 8_000_000));
    assert_eq!(o.blocks, Blocks { ingress: 1, egress: 2 });
    let stab = o.stab.unwrap();
    assert_eq!((stab.overhead, stab.mpu, stab.linklayer), (20, 64, Some(LinkLayer::Atm)));
    assert_eq!(o.options.show("limit").as_deref(), Some("3"));
    let o = object("qdisc change dev lo root stab overhead -4");
    assert!(o.name.is_empty() && o.kind.is_none());
}

#[test]
fn actions_are_made_and_named() {
    let requests =
        read(&words("actions add action gact drop index 7 action ok del action gact index 7"), &|_| None).unwrap();
    let [Request { subject: Subject::Actions(made), .. }, Request { subject: Subject::Numbered(gone), .. }] =
        &requests[..]
    else {
        panic!("{requests:?}");
    };
    assert_eq!(made.0.len(), 2);
    assert_eq!(gone[..], [Numbered { name: "gact".into(), index: 7 }]);
    assert_eq!(blamed("actions del action gact"), "END");
    assert_eq!(blamed("actions del action gact index x"), "x");
    assert_eq!(blamed("actions flush action gatc"), "gatc");
}

#[test]
fn the_word_at_fault_is_pointed_at() {
    for (line, at) in [
        ("qdisc add dev lo root htb defalt 10", "defalt"),
        ("qdisc add dev lo root htb default", "END"),
        ("qdisc add dev lo root htb default x1", "x1"),
        ("qdisc add dev lo parent 1:1:1 pfifo", "1:1:1"),
        ("qdisc add dev lo root parent 1:1 pfifo", "parent"),
        ("qdisc add dev lo root estimator 9s 60s pfifo", "60s"),
        ("qdisc add dev lo root stab mtu 1500 pfifo", "stab"),
        ("qdisc add root pfifo", "END"),
        ("qdisc add dev lo root fq_codle limit 3", "fq_codle"),
        ("class add dev lo parent 1: classid 1:1 sfq", "sfq"),
        ("class add dev lo parent 1: handle 1:1 htb rate 1mbit", "handle"),
        ("filter add dev lo protocol ipx4 matchall", "ipx4"),
        ("filter add dev lo prio 65536 matchall", "65536"),
        ("filter add dev lo block 1 matchall", "block"),
        ("filter add dev lo handle 5", "5"),
        ("filter show dev lo u32", "u32"),
    ] {
        assert_eq!(blamed(line), at, "{line}");
    }
}
