#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod build;
mod packets;

use super::*;
use crate::kind::filter::{fw, u32 as cls_u32};
use crate::unit::Hex;
use build::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Every object as tc would be told, shortened: what it is, where, and its words.
fn show(tree: &Tree) -> Vec<String> {
    let mut out = Vec::new();
    for (name, interface) in &tree.interfaces {
        if let Some(kind) = &interface.link.kind {
            out.push(format!("{name}: {kind} {}", interface.link.alias.as_deref().unwrap_or("")));
        }
        for branch in [&interface.egress, &interface.ingress].into_iter().flatten() {
            out.extend(branch.objects.iter().map(|o| format!("{name}: {}", show_object(o))));
        }
    }
    out
}

fn show_object(object: &Object) -> String {
    let mut words = Vec::new();
    object.options.tc(&mut words);
    let words = words.join(" ");
    let place = match object.id {
        Id::Qdisc { parent, handle } => format!("{handle} below {parent}"),
        Id::Class { parent, handle } => format!("class {handle} below {parent}"),
        Id::Filter { parent, prio, protocol, handle, .. } => {
            let protocol = match protocol {
                0x0800 => "ip",
                0x86dd => "ip6",
                _ => "all",
            };
            format!("filter {parent} {prio} {protocol} {handle:x}")
        }
    };
    format!("{place} {} {words}", object.name).trim_end().to_owned()
}

fn lowered(policy: &Policy, ids: &Ids) -> (Tree, Ids) {
    let mut sink = Sink::new();
    let result = lower(policy, &|_| Facts::default(), ids, &mut sink);
    assert!(sink.found.is_empty(), "{:?}", sink.found);
    result
}

fn fresh(policy: &Policy) -> Tree {
    lowered(policy, &Ids::default()).0
}

fn refused(policy: &Policy, facts: &Facts) -> Vec<&'static str> {
    let mut sink = Sink::new();
    lower(policy, &|_| facts.clone(), &Ids::default(), &mut sink);
    sink.found.iter().map(|d| d.code.name).collect()
}

fn home() -> Direction {
    let line = class("line", "rate 2mbit").with(vec![
        class("ssh", "rate 128kbit ceil 2mbit prio 1 burst 100kb").leaf(qdisc("sfq", "perturb 10")),
        class("rest", "rate 64kbit ceil 2mbit prio 7").leaf(qdisc("fq_codel", "")),
    ]);
    direction(htb("r2q 1", Some("line/rest"), vec![line.0]), vec![rule("line/ssh", "tcp dport 22")])
}

#[test]
fn a_home_line_becomes_htb_leaves_and_filters() {
    let tree = fresh(&policy(vec![egress("eth0", home())]));
    assert_eq!(
        show(&tree),
        [
            "eth0: 1: below root htb default 0x3 r2q 1",
            "eth0: class 1:1 below 1: htb rate 2mbit ceil 2mbit burst 1600b cburst 1600b quantum 200000",
            "eth0: class 1:2 below 1:1 htb rate 128kbit ceil 2mbit burst 100kb cburst 1600b prio 1 quantum 16000",
            "eth0: 2: below 1:2 sfq perturb 10",
            "eth0: class 1:3 below 1:1 htb rate 64kbit ceil 2mbit burst 1600b cburst 1600b prio 7 quantum 8000",
            "eth0: 3: below 1:3 fq_codel",
            "eth0: filter 1: 10 ip 10 u32 match ip ihl 5 0xf match u32 0x00000000 0x00001fff at 4 \
             match ip protocol 6 0xff match ip dport 22 0xffff flowid 1:2",
            "eth0: filter 1: 11 ip6 20 u32 match ip6 protocol 6 0xff match ip6 dport 22 0xffff flowid 1:2",
        ]
    );
}

#[test]
fn the_origin_says_what_became_of_sugar() {
    let tree = fresh(&policy(vec![egress("eth0", home())]));
    let branch = tree.interfaces["eth0"].egress.as_ref().unwrap();
    let said: Vec<_> = branch.objects.iter().map(|o| (o.origin.name.as_str(), o.origin.remark.as_deref())).collect();
    assert_eq!(said[0], ("", Some("what no rule takes goes to line/rest")));
    let quantum = "quantum 200000 for 2mbit / r2q 1 = 250000, which is over the largest that is fair";
    assert_eq!(said[1], ("line", Some(quantum)));
    assert_eq!(said[2], ("line/ssh", None));
    assert_eq!(said[6], ("line/ssh", Some("tcp dport 22 (1 of 2)")));
}

#[test]
fn bands_are_targets_and_hold_leaves() {
    let bands = vec![("high", Some(qdisc("pfifo", "limit 50"))), ("medium", None), ("low", Some(qdisc("sfq", "")))];
    let d = direction(prio(bands), vec![rule("medium", "udp dport 53"), rule("low", "mark 5/0xff")]);
    assert_eq!(
        show(&fresh(&policy(vec![egress("eth2", d)]))),
        [
            "eth2: 1: below root prio bands 3",
            "eth2: 2: below 1:1 pfifo limit 50",
            "eth2: 3: below 1:3 sfq",
            "eth2: filter 1: 10 ip 10 u32 match ip ihl 5 0xf match u32 0x00000000 0x00001fff at 4 \
             match ip protocol 17 0xff match ip dport 53 0xffff flowid 1:2",
            "eth2: filter 1: 11 ip6 20 u32 match ip6 protocol 17 0xff match ip6 dport 53 0xffff flowid 1:2",
            "eth2: filter 1: 20 all 5 fw flowid 1:3",
        ]
    );
}

fn filters_of(tree: &Tree, interface: &str) -> Vec<Object> {
    let branch = tree.interfaces[interface].egress.as_ref().unwrap();
    branch.objects.iter().filter(|o| matches!(o.id, Id::Filter { .. })).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    #[test]
    fn filters_take_the_packets_that_the_rules_mean(
        rules in prop::collection::vec(packets::expressions(), 1..6),
        crowd in prop::collection::vec(packets::packets(), 40),
    ) {
        let classes = (0..rules.len()).map(|i| class(&format!("c{i}"), "rate 1mbit").0).collect();
        let matches = |i: usize, e: &crate::syntax::expression::Expression| Rule {
            matches: Some(at(e.clone())),
            ..rule(&format!("c{i}"), "")
        };
        let asked = rules.iter().enumerate().map(|(i, e)| matches(i, e)).collect();
        let policy = policy(vec![egress("eth0", direction(htb("", None, classes), asked))]);
        let mut sink = Sink::new();
        let (tree, _) = lower(&policy, &|_| Facts::default(), &Ids::default(), &mut sink);
        if !sink.has_errors() {
            let filters = filters_of(&tree, "eth0");
            for packet in &crowd {
                let ip = packet.protocol != 0x0806;
                let first = rules.iter().position(|e| (ip || !packets::about_ip(e)) && packets::holds(e, packet));
                let meant = first.map(|i| Handle::new(1, i as u16 + 1));
                if packets::classify(&filters, packet) != meant {
                    let shown: Vec<String> = filters.iter().map(show_object).collect();
                    prop_assert!(false, "{packet:?} belongs to {meant:?}\n{}", shown.join("\n"));
                }
            }
        }
    }
}

#[test]
fn numbers_lead_back_to_names() {
    let (_, ids) = lowered(&policy(vec![egress("eth0", home())]), &Ids::default());
    let names: BTreeMap<_, _> = ids.names().into_iter().map(|((_, h), name)| (h.to_string(), name)).collect();
    let shown: Vec<_> = names.iter().map(|(h, name)| format!("{h} {name}")).collect();
    assert_eq!(shown, ["1:1 line", "1:2 line/ssh", "1:3 line/rest", "2: line/ssh", "3: line/rest"]);
    let text = serde_json::to_string(&ids).unwrap();
    assert_eq!(serde_json::from_str::<Ids>(&text).unwrap(), ids);
    let mut ids = ids;
    ids.forget("eth0");
    assert_eq!(ids, Ids::default());
}
