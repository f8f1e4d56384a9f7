#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod build;
mod classifiers;
mod layout;
mod packets;
mod tables;

use super::*;
use crate::classify::{self, Side};
use crate::kind::action::skbedit::Skbedit;
use crate::kind::filter::fw;
use crate::policy::model::{Class, Classifier};
use crate::unit::{Hex, LinkLayer};
use build::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

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
                0x8100 => "802.1q",
                0x0003 => "all",
                other => &format!("{other:04x}"),
            };
            format!("filter {parent} {prio} {protocol} {handle:x}")
        }
    };
    format!("{place} {} {words}", object.name).trim_end().to_owned()
}

fn lowered(policy: &Policy, ids: &Ids) -> (Tree, Ids) {
    let mut sink = Sink::new();
    let result = lower(policy, &|_| Facts::default(), ids, &mut sink);
    let found: Vec<_> = sink.found.iter().filter(|d| d.code.name != "u32-ports").collect();
    assert!(found.is_empty(), "{found:?}");
    result
}

/// What the numbers of a table stand for.
fn names_of(ids: &Ids) -> tree::Names {
    let mut names = tree::Names::default();
    ids.name(&mut names);
    names
}

fn fresh(policy: &Policy) -> Tree {
    lowered(policy, &Ids::default()).0
}

fn refused(policy: &Policy, facts: &Facts) -> Vec<&'static str> {
    let mut sink = Sink::new();
    lower(policy, &|_| facts.clone(), &Ids::default(), &mut sink);
    sink.found.iter().map(|d| d.code.name).collect()
}

const HOME: &str = "
interfaces:
  eth0:
    egress:
      htb:
        r2q: 1
        default: rest
        classes:
          line:
            rate: 2mbit
            classes:
              ssh:  { rate: 128kbit, ceil: 2mbit, prio: 1, burst: 100kb, leaf: { sfq: { perturb: 10s } } }
              rest: { rate: 64kbit, ceil: 2mbit, prio: 7, leaf: fq_codel }
      rules:
        - { class: ssh, match: tcp dport 22 }
";

#[test]
fn a_home_line_becomes_htb_leaves_and_filters() {
    let tree = fresh(&text(HOME));
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

/// A default is an option of hfsc, and of drr and qfq the last rule; bands of multiq are chosen by the queue.
#[test]
fn classful_disciplines_are_numbered_and_have_their_rules() {
    let on = |lines: &str| {
        let shown = show(&fresh(&text(&format!("interfaces: {{ eth0: {{ egress: {{ {lines} }} }} }}"))));
        shown.iter().map(|line| line.trim_start_matches("eth0: ").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        on(
            "hfsc: { default: b, classes: { x: { rt: 2mbit, classes: { a: { sc: umax 1500b dmax 5ms rate 1mbit, ul: 50% }, b: { ls: 25% } } } } }"
        ),
        [
            "1: below root hfsc default 0x3",
            "class 1:1 below 1: hfsc sc m2 2mbit",
            "class 1:2 below 1:1 hfsc sc m1 2400kbit d 5ms m2 1mbit ul m2 1mbit",
            "class 1:3 below 1:1 hfsc ls m2 500kbit",
        ]
    );
    assert_eq!(
        on("drr: { default: b, classes: { a: { quantum: 3000b, match: mark 5 }, b: {} } }"),
        [
            "1: below root drr",
            "class 1:1 below 1: drr quantum 3000b",
            "class 1:2 below 1: drr",
            "filter 1: 10 all 5 fw flowid 1:1",
            "filter 1: 20 all 10 u32 match u32 0x00000000 0x00000000 at 0 flowid 1:2",
        ]
    );
    assert_eq!(
        on(
            "ets: { bands: [a, b, c], strict: 1, quanta: [3000b], priomap: [c, b, a], leaves: { b: fq_codel } }, rules: [ { class: b } ]"
        ),
        [
            "1: below root ets bands 3 strict 1 quanta 3000 priomap 2 1 0",
            "2: below 1:2 fq_codel",
            "filter 1: 10 all 10 u32 match u32 0x00000000 0x00000000 at 0 flowid 1:2",
        ]
    );
    assert_eq!(
        on("multiq: { bands: [a, b], leaves: { b: fq_codel } }, rules: [ { class: b } ]"),
        [
            "1: below root multiq",
            "2: below 1:2 fq_codel",
            "filter 1: 10 all 10 u32 match u32 0x00000000 0x00000000 at 0 action skbedit queue_mapping 1",
        ]
    );
    assert_eq!(on("mq: { leaves: { 2: fq_codel } }"), ["1: below root mq", "2: below 1:3 fq_codel"]);
    let policy = text("interfaces: { eth0: { egress: { mq: { bands: 4 }, rules: [ { class: 1 } ] } } }");
    assert_eq!(refused(&policy, &Facts::default()), ["no-filters"]);
}

#[test]
fn the_origin_says_what_became_of_sugar() {
    let tree = fresh(&text(HOME));
    let branch = tree.interfaces["eth0"].egress.as_ref().unwrap();
    let said: Vec<_> = branch.objects.iter().map(|o| (o.origin.name.as_str(), o.origin.remark.as_deref())).collect();
    assert_eq!(said[0], ("", Some("what no rule takes goes to line/rest")));
    // an inner class has a quantum that the kernel does not warn about, and it means nothing
    assert_eq!(said[1], ("line", None));
    assert_eq!(said[2], ("line/ssh", None));
    assert_eq!(said[6], ("line/ssh", Some("tcp dport 22 (1 of 2); u32: bits at fixed places")));
}

#[test]
fn a_quantum_out_of_range_is_put_into_it_and_said() {
    let yaml = "interfaces: { eth0: { egress: { htb: { classes: { a: { rate: 50mbit }, b: { rate: 80kbit }, c: { rate: 50mbit, quantum: 3000b } } } } } }";
    let tree = fresh(&text(&yaml.replace("3000b", "3000")));
    let said = |i: usize| tree.interfaces["eth0"].egress.as_ref().unwrap().objects[i].origin.remark.clone();
    assert_eq!(said(1).unwrap(), "quantum 200000 for 50mbit / r2q 10 = 625000, which is over the largest that is fair");
    assert_eq!(said(2).unwrap(), "quantum 1514 for 80kbit / r2q 10 = 1000, which is below one packet");
    assert_eq!(said(3), None);
    assert!(show(&tree)[3].ends_with("quantum 3000"));
}

#[test]
fn bands_are_targets_and_hold_leaves() {
    let policy = text(
        "
interfaces:
  eth2:
    egress:
      prio: { bands: [high, medium, low], leaves: { high: { pfifo: { limit: 50 } }, low: sfq } }
      rules:
        - { class: medium, match: udp dport 53 }
        - { class: low, match: mark 5/0xff }
",
    );
    assert_eq!(
        show(&fresh(&policy)),
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

#[test]
fn a_class_below_a_nested_discipline_is_asked_for_on_the_whole_way() {
    let policy = text(
        "
interfaces:
  eth0:
    egress:
      tbf:
        rate: 5mbit
        latency: 50ms
        burst: 10kb
        leaf:
          prio:
            bands: [high, low]
            priomap: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
            leaves:
              low: { htb: { default: b, classes: { a: { rate: 1mbit }, b: { rate: 2mbit, id: 0x20 } } } }
      rules:
        - { class: low/a, do: { mark: 7 }, match: src 192.0.2.0/24 }
        - { do: drop, match: dst 192.0.2.1 }
",
    );
    let mut sink = Sink::new();
    let (tree, _) = lower(&policy, &|_| Facts::default(), &Ids::default(), &mut sink);
    assert_eq!(
        show(&tree),
        [
            "eth0: 1: below root tbf limit 41490b burst 10kb rate 5mbit",
            "eth0: 2: below 1:1 prio bands 2 priomap 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
            "eth0: 3: below 2:2 htb default 0x20",
            "eth0: class 3:1 below 3: htb rate 1mbit ceil 1mbit burst 1600b cburst 1600b quantum 12500",
            "eth0: class 3:20 below 3: htb rate 2mbit ceil 2mbit burst 1600b cburst 1600b quantum 25000",
            "eth0: filter 3: 10 ip 10 u32 match ip src 192.0.2.0/24 flowid 3:1 action skbedit mark 0x7",
            "eth0: filter 2: 10 ip 10 u32 match ip src 192.0.2.0/24 flowid 2:2",
        ]
    );
    // a rule without a class is asked at the root, and tbf asks nobody
    let codes: Vec<_> = sink.found.iter().map(|d| d.code.name).collect();
    assert_eq!(codes, ["no-filters"]);
}

#[test]
fn a_default_below_a_nested_discipline_is_one_at_every_discipline_on_the_way() {
    let policy = text(
        "
interfaces:
  eth0:
    egress:
      htb:
        default: voice/rest
        classes:
          voice:
            rate: 1mbit
            leaf: { htb: { classes: { rest: { rate: 1mbit } } } }
          bulk:
            rate: 1mbit
            leaf: { prio: { bands: [high, low] } }
",
    );
    let shown = show(&fresh(&policy));
    let qdiscs: Vec<_> = shown.iter().filter(|l| !l.contains("class")).map(String::as_str).collect();
    let wanted = ["1: below root htb default 0x1", "2: below 1:1 htb default 0x1", "3: below 1:2 prio bands 2"];
    assert_eq!(qdiscs, wanted.map(|w| format!("eth0: {w}")));
}

#[test]
fn what_arrives_is_policed_on_clsact() {
    let policy = text(
        "
interfaces:
  eth0:
    ingress:
      police: { rate: 20mbit, burst: 625000b }
      rules:
        - { do: pass, match: src 192.0.2.0/24 }
        - { do: drop, match: udp dport 1900 and ip }
",
    );
    let wanted = [
        "eth0: ffff: below ffff:fff1 clsact",
        "eth0: filter ffff:fff2 10 ip 10 u32 match ip src 192.0.2.0/24 action pass",
        "eth0: filter ffff:fff2 10 ip 20 u32 match ip ihl 5 0xf match u32 0x00000000 0x00001fff at 4 \
         match ip protocol 17 0xff match ip dport 1900 0xffff action drop",
        "eth0: filter ffff:fff2 20 all 10 u32 match u32 0x00000000 0x00000000 at 0 \
         action police rate 20mbit burst 625000b mtu 64kb conform-exceed drop",
    ];
    assert_eq!(show(&fresh(&policy)), wanted);
    // where others have an ingress qdisc already, the filters hang on that, beside theirs
    let mut ids = Ids::default();
    let table = Table { hook: Hook::Ingress, foreign_prios: [10, 21].into(), ..Table::default() };
    ids.interfaces.insert("eth0".into(), table);
    let shown = show(&lowered(&policy, &ids).0);
    assert_eq!(shown[0], "eth0: ffff: below ffff:fff1 ingress");
    assert!(shown[1].starts_with("eth0: filter ffff: 12 ip 10 "), "{shown:?}");
    assert!(shown[3].starts_with("eth0: filter ffff: 22 all 10 "), "{shown:?}");
}

#[test]
fn a_policer_drops_what_exceeds_and_bears_offload_unless_it_says_otherwise() {
    let police = |options: &str| {
        let yaml = format!(
            "interfaces: {{ eth0: {{ egress: {{ htb: {{ classes: {{ a: {{ rate: 1mbit }} }} }}, rules: [ {{ class: a, do: {{ police: {{ {options} }} }} }} ] }} }} }}"
        );
        let shown = show(&fresh(&text(&yaml)));
        shown.last().unwrap().split_once("action ").unwrap().1.to_owned()
    };
    let plain = "rate: 1mbit, burst: 10kb";
    assert_eq!(police(plain), "police rate 1mbit burst 10kb mtu 64kb conform-exceed drop");
    let said = format!("{plain}, mtu: 3kb, exceed: pass, conform: continue");
    assert_eq!(police(&said), "police rate 1mbit burst 10kb mtu 3kb conform-exceed pass/continue");
    // with a peakrate, mtu is a bucket's size
    let peak = format!("{plain}, peakrate: 2mbit, mtu: 1600b");
    assert_eq!(police(&peak), "police rate 1mbit burst 10kb mtu 1600b peakrate 2mbit conform-exceed drop");
}

/// The bytes of a line are said once, over the IP packet: a size table counts from the frame, cake from the packet.
#[test]
fn a_line_is_counted_as_each_kind_counts() {
    let root = |link: &str, egress: &str| {
        let policy = text(&format!("interfaces: {{ eth0: {{ link: {{ {link} }}, egress: {{ {egress} }} }} }}"));
        let (tree, _) = lowered(&policy, &Ids::default());
        let root = tree.interfaces["eth0"].egress.as_ref().unwrap().objects[0].clone();
        let stab = root.stab.map(|s| format!("stab {} {} {}", s.overhead, s.mpu, s.layer().show()));
        let mut words = Vec::new();
        root.options.tc(&mut words);
        (stab.unwrap_or_default(), words.join(" "), root.origin.remark.unwrap_or_default())
    };
    let tbf = "tbf: { rate: 1mbit, burst: 10kb, latency: 50ms }";
    for (preset, stab, cake) in [
        ("pppoa-vcmux", "stab -4 0 atm", "atm overhead 10"),
        ("conservative", "stab 34 0 atm", "atm overhead 48"),
        ("pppoe-ptm", "stab 16 0 ethernet", "ptm overhead 30"),
        ("docsis", "stab 4 64 ethernet", "noatm overhead 18 mpu 64"),
        ("[ethernet, ether-vlan]", "stab 28 84 ethernet", "noatm overhead 42 mpu 84"),
    ] {
        let (table, _, remark) = root(&format!("preset: {preset}"), tbf);
        assert_eq!(table, stab, "{preset}");
        assert!(remark.starts_with(preset), "{remark}");
        assert_eq!(remark.contains("64/65"), preset.contains("ptm"), "{remark}");
        let (table, words, _) = root(&format!("preset: {preset}"), "cake: { bandwidth: 9mbit }");
        assert_eq!((table.as_str(), words.as_str()), ("", format!("bandwidth 9mbit {cake}").as_str()), "{preset}");
    }
    assert_eq!(
        root("overhead: 18, mpu: 64, linklayer: atm", "cake: { bandwidth: 9mbit }").1,
        "bandwidth 9mbit atm overhead 18 mpu 64"
    );
}

#[test]
fn what_arrives_is_shaped_on_an_ifb_of_our_own() {
    let policy = text(
        "
interfaces:
  eth1:
    link: { overhead: 18, mpu: 64, txqueuelen: 100 }
    ingress:
      police: { rate: 90mbit, burst: 625000b }
      shape:
        htb: { default: all, classes: { all: { rate: 50mbit, leaf: fq_codel } } }
        rules: [ { class: all, match: tcp } ]
  wlx00c0caabcdef: { ingress: { shape: fq_codel } }
",
    );
    let (tree, ids) = lowered(&policy, &Ids::default());
    assert_eq!(
        show(&tree),
        [
            "ifb-eth1: ifb shapectl:eth1",
            "ifb-eth1: 1: below root htb default 0x1",
            "ifb-eth1: class 1:1 below 1: htb rate 50mbit ceil 50mbit burst 1600b cburst 1600b quantum 200000",
            "ifb-eth1: 2: below 1:1 fq_codel",
            "ifb-eth1: filter 1: 10 ip 10 u32 match ip protocol 6 0xff flowid 1:1",
            "ifb-eth1: filter 1: 11 ip6 20 u32 match ip6 protocol 6 0xff flowid 1:1",
            "eth1: ffff: below ffff:fff1 clsact",
            "eth1: filter ffff:fff2 10 all 10 u32 match u32 0x00000000 0x00000000 at 0 action police rate 90mbit \
             burst 625000b mtu 64kb conform-exceed drop/pipe action mirred egress redirect dev ifb-eth1",
            "ifb-wlx00-i82l9: ifb shapectl:wlx00c0caabcdef",
            "ifb-wlx00-i82l9: 1: below root fq_codel",
            "wlx00c0caabcdef: ffff: below ffff:fff1 clsact",
            "wlx00c0caabcdef: filter ffff:fff2 10 all 10 u32 match u32 0x00000000 0x00000000 at 0 \
             action mirred egress redirect dev ifb-wlx00-i82l9",
        ]
    );
    let ifb = &tree.interfaces["ifb-eth1"];
    assert_eq!((ifb.link.up, ifb.link.txqueuelen), (Some(true), None));
    assert_eq!(tree.interfaces["eth1"].link.txqueuelen, Some(100));
    // 18 bytes over the IP packet are 4 over the frame; nothing but the root has a size table
    let root = &ifb.egress.as_ref().unwrap().objects[0];
    assert_eq!(root.stab, Some(Stab { overhead: 4, mpu: 64, linklayer: Some(LinkLayer::Ethernet), ..Stab::default() }));
    assert!(root.origin.remark.as_deref().unwrap().contains("overhead 18 over the IP packet is 4 over the frame"));
    assert!(ifb.egress.as_ref().unwrap().objects[1..].iter().all(|o| o.stab.is_none()));
    assert_eq!(lowered(&policy, &ids).1, ids);
    assert_eq!(names_of(&ids).get("ifb-eth1", Handle::new(1, 1)).unwrap(), "all");
}

/// The filters of an expression, without what stands before and behind its selectors.
fn selectors(expression: &str) -> Vec<String> {
    let d = direction(htb("", None, vec![class("c", "rate 1mbit")]), vec![rule("c", expression)]);
    let (tree, _) = lowered(&policy(vec![egress("eth0", d)]), &Ids::default());
    let short = |o: &Object| {
        let text = show_object(o).replace(" flowid 1:1", "");
        let (_, words) = text.split_once("filter 1: 1").unwrap();
        words.split_once(' ').map(|(_, w)| w.to_owned()).unwrap()
    };
    filters_of(&tree, "eth0").iter().map(short).collect()
}

#[test]
fn expressions_become_these_filters() {
    let port = "match ip ihl 5 0xf match u32 0x00000000 0x00001fff at 4 match ip protocol";
    for (expression, filters) in [
        ("any", vec!["all 10 u32 match u32 0x00000000 0x00000000 at 0".to_owned()]),
        ("ip", vec!["ip 10 u32 match u32 0x00000000 0x00000000 at 0".into()]),
        ("src 192.0.2.0/24", vec!["ip 10 u32 match ip src 192.0.2.0/24".into()]),
        ("dst 2001:db8::/33", vec!["ip6 10 u32 match ip6 dst 2001:db8::/33".into()]),
        (
            "host 192.0.2.1",
            vec!["ip 10 u32 match ip src 192.0.2.1/32".into(), "ip 20 u32 match ip dst 192.0.2.1/32".into()],
        ),
        (
            "src 192.0.2.1-192.0.2.6",
            ["192.0.2.1/32", "192.0.2.2/31", "192.0.2.4/31", "192.0.2.6/32"]
                .iter()
                .enumerate()
                .map(|(i, net)| format!("ip {:x} u32 match ip src {net}", 16 * (i + 1)))
                .collect(),
        ),
        ("udp and ip and sport 1024-2047", vec![format!("ip 10 u32 {port} 17 0xff match ip sport 0x400 0xfc00")]),
        ("ip icmp", vec!["ip 10 u32 match ip protocol 1 0xff".into()]),
        ("icmp", vec!["ip 10 u32 match ip protocol 1 0xff".into(), "ip6 20 u32 match ip6 protocol 58 0xff".into()]),
        ("ip tos 0x10/0xfc", vec!["ip 10 u32 match ip tos 0x10 0xfc".into()]),
        ("ip6 dscp ef", vec!["ip6 10 u32 match ip6 priority 0xb8 0xfc".into()]),
        ("mark 5", vec!["all 5 fw".into()]),
        ("mark {5, 6}", vec!["all 5 fw".into(), "all 6 fw".into()]),
        ("mark 0", vec!["all 10 u32 match u32 0x00000000 0x00000000 at 0 match mark 0x0 0xffffffff".into()]),
        ("mark 5/7 and src 192.0.2.1", vec!["ip 10 u32 match ip src 192.0.2.1/32 match mark 0x5 0x7".into()]),
    ] {
        assert_eq!(selectors(expression), filters, "{expression}");
    }
    // any of five protocols with ports, in two families
    assert_eq!(selectors("dport 53").len(), 10);
    assert_eq!(selectors("tcp dport {22, 80, 443} and ip").len(), 3);
    assert_eq!(selectors("ip tcp and not dport 22").len(), 4 + 13 + 16);
}

#[test]
fn what_cannot_be_compiled_is_refused_at_its_place() {
    let with = |matches: &str| {
        let d = direction(htb("", None, vec![class("c", "rate 1mbit")]), vec![rule("c", matches)]);
        policy(vec![egress("eth0", d)])
    };
    let plain = Facts::default();
    assert_eq!(refused(&with("cgroup 1:10 or iif eth1"), &plain), ["no-classifier"]);
    let odd = |n: u32| (0..n).map(|i| (2 * i + 1).to_string()).collect::<Vec<_>>().join(", ");
    let many = format!("ip tcp sport {{{}}} dport {{{}}}", odd(100), odd(100));
    // one program in place of 10,000 filters, unless it is to be u32
    assert!(refused(&with(&many), &plain).is_empty());
    let mut filters = with(&many);
    filters.interfaces[0].egress.as_mut().unwrap().classifier = Some(at(Classifier::U32));
    assert_eq!(refused(&filters, &plain), ["too-many-filters"]);
    assert_eq!(refused(&with("ip6 and ttl 5 and len 1-39"), &plain), ["matches-nothing"]);
    let without = Facts { u32_mark: false, ..Facts::default() };
    let mut by_u32 = with("mark 5 and tcp");
    by_u32.interfaces[0].egress.as_mut().unwrap().classifier = Some(at(Classifier::U32));
    assert_eq!(refused(&by_u32, &without), ["mark-unsupported"]);
    assert!(refused(&with("mark 5 and tcp"), &without).is_empty());
    assert!(refused(&with("mark 5"), &without).is_empty());
}

fn filters_of(tree: &Tree, interface: &str) -> Vec<Object> {
    let branch = tree.interfaces[interface].egress.as_ref().unwrap();
    branch.objects.iter().filter(|o| matches!(o.id, Id::Filter { .. })).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn filters_take_the_packets_that_the_rules_mean(
        rules in prop::collection::vec(packets::expressions(), 1..6),
        crowd in prop::collection::vec(packets::packets(), 40),
    ) {
        let classes = (0..rules.len()).map(|i| class(&format!("c{i}"), "rate 1mbit")).collect();
        let matches = |i: usize, e: &crate::syntax::expression::Expression| Rule { sound: true,
            matches: Some(at(e.clone())),
            ..rule(&format!("c{i}"), "")
        };
        let asked = rules.iter().enumerate().map(|(i, e)| matches(i, e)).collect();
        let policy = policy(vec![egress("eth0", direction(htb("", None, classes), asked))]);
        let mut sink = Sink::new();
        let (tree, _) = lower(&policy, &|_| Facts::default(), &Ids::default(), &mut sink);
        if !sink.has_errors() {
            let filters = filters_of(&tree, "eth0");
            // a program sees further than these packets' meaning has it
            prop_assume!(filters.iter().all(|o| o.name != "bpf"));
            let assumed = classify::assumed(&tree, &|_| Facts::default());
            let model = classify::Model::new(&assumed);
            let held = packets::Filters::new(&filters);
            for packet in &crowd {
                let ip = packet.protocol != 0x0806;
                let first = rules.iter().position(|e| (ip || !packets::about_ip(e)) && packets::holds(e, packet));
                let meant = first.map(|i| Handle::new(1, i as u16 + 1));
                let mut same = crate::packet::Packet::raw(packet.protocol, packet.bytes.clone());
                same.meta.mark = packet.mark;
                prop_assert_eq!(model.quick("eth0", Side::Egress, &same).class(), meant, "{:?}", packet);
                if held.classify(packet) != meant {
                    let shown: Vec<String> = filters.iter().map(show_object).collect();
                    prop_assert!(false, "{packet:?} belongs to {meant:?}\n{}", shown.join("\n"));
                }
            }
        }
    }
}

#[test]
fn numbers_lead_back_to_names() {
    let (_, ids) = lowered(&text(HOME), &Ids::default());
    let mut all = names_of(&ids);
    let names: BTreeMap<_, _> = all.of("eth0").iter().map(|(h, name)| (h.to_string(), name.clone())).collect();
    let shown: Vec<_> = names.iter().map(|(h, name)| format!("{h} {name}")).collect();
    assert_eq!(shown, ["1:1 line", "1:2 line/ssh", "1:3 line/rest", "2: line/ssh", "3: line/rest"]);
    let text = serde_json::to_string(&ids).unwrap();
    assert_eq!(serde_json::from_str::<Ids>(&text).unwrap(), ids);
    let mut ids = ids;
    ids.forget("eth0");
    assert_eq!(ids, Ids::default());
}

/// A policy that people edit: names of classes in groups, and the matches of rules.
#[derive(Clone, Debug, PartialEq)]
struct Edited {
    groups: Vec<(u8, Vec<u8>)>,
    rules: Vec<u8>,
}

impl Edited {
    fn policy(&self) -> Policy {
        let classes = self.groups.iter().map(|(name, inner)| Class {
            classes: inner
                .iter()
                .map(|n| Class {
                    leaf: Some(Box::new(qdisc(if n % 2 == 0 { "sfq" } else { "fq_codel" }, ""))),
                    ..class(&format!("c{n}"), "rate 1mbit")
                })
                .collect(),
            ..class(&format!("g{name}"), "rate 1mbit")
        });
        let target = format!("g{}", self.groups.first().map_or(0, |g| g.0));
        // every seventh rule looks at the mark, which is another classifier
        let matches = |n: &u8| if n.is_multiple_of(7) { format!("mark {}", n + 1) } else { format!("tcp dport {n}") };
        let rules = self.rules.iter().map(|n| rule(&target, &matches(n))).collect();
        policy(vec![egress("eth0", direction(htb("", Some(&target), classes.collect()), rules))])
    }

    fn lower(&self, ids: &Ids) -> (Vec<Object>, Ids) {
        let mut sink = Sink::new();
        let policy = self.policy();
        let (tree, ids) = lower(&policy, &|_| Facts::default(), ids, &mut sink);
        assert!(sink.found.iter().all(|d| d.code.name == "unknown-class"), "{:?}", sink.found);
        (tree.interfaces["eth0"].egress.clone().unwrap().objects, ids)
    }
}

fn edited() -> impl Strategy<Value = Edited> {
    let groups = prop::collection::btree_map(0..6_u8, prop::collection::btree_set(0..12_u8, 0..6), 1..5)
        .prop_map(|m| m.into_iter().map(|(g, c)| (g, c.into_iter().collect())).collect::<Vec<(u8, Vec<u8>)>>());
    let rules = prop::collection::vec(1..40_u8, 0..25);
    (groups.prop_shuffle(), rules).prop_map(|(groups, rules)| Edited { groups, rules })
}

/// What each name of a tree has for a number: classes and leaves by path and kind, filters by what they match.
fn numbers(objects: &[Object]) -> BTreeMap<String, Id> {
    let mut seen = BTreeMap::new();
    for o in objects {
        let key = match o.id {
            Id::Filter { protocol, .. } => format!("filter {protocol:x} {}", o.origin.remark.as_deref().unwrap_or("")),
            Id::Class { .. } => format!("class {}", o.origin.name),
            Id::Qdisc { .. } => format!("qdisc {} {}", o.name, o.origin.name),
        };
        // of rules that match the same, the first is the first
        let same = (0..).map(|n| format!("{key} {n}")).find(|k| !seen.contains_key(k)).unwrap();
        seen.insert(same, o.id);
    }
    seen
}

fn are_sound(objects: &[Object]) -> Result<(), TestCaseError> {
    let mut ids = std::collections::HashSet::new();
    let mut kinds: BTreeMap<(Handle, u16), (String, u16)> = BTreeMap::new();
    let mut made = std::collections::HashSet::from([Handle::ROOT]);
    for o in objects {
        // a number is given once, a parent is made before its children, and a priority has one kind and protocol
        let number = match o.id {
            Id::Qdisc { handle, .. } | Id::Class { handle, .. } => format!("{handle}"),
            Id::Filter { parent, prio, handle, .. } => format!("{parent} {prio} {handle}"),
        };
        prop_assert!(ids.insert(number), "{}", show_object(o));
        prop_assert!(made.contains(&o.id.parent()), "{}", show_object(o));
        made.extend(o.handle());
        if let Id::Filter { parent, prio, protocol, .. } = o.id {
            let kind = (o.name.to_string(), protocol);
            prop_assert_eq!(kinds.entry((parent, prio)).or_insert(kind.clone()), &kind);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn nothing_that_stays_is_numbered_anew(before in edited(), after in edited()) {
        let (old, ids) = before.lower(&Ids::default());
        are_sound(&old)?;
        // the same again is the same, and so is a copy that went through a file
        let kept: Ids = serde_json::from_str(&serde_json::to_string(&ids).unwrap()).unwrap();
        let (again, same) = before.lower(&kept);
        prop_assert_eq!(numbers(&again), numbers(&old));
        prop_assert_eq!(&same, &ids);

        let (new, _) = after.lower(&ids);
        are_sound(&new)?;
        let (was, is) = (numbers(&old), numbers(&new));
        for (name, id) in was.iter().filter(|(name, _)| !name.starts_with("filter")) {
            if let Some(now) = is.get(name) {
                prop_assert_eq!(now, id, "{}", name);
            }
        }
        // what goes does not lend its number to what comes, or the kernel would be asked for two at once
        for (name, id) in is.iter().filter(|(name, _)| !was.contains_key(*name)) {
            prop_assert!(!was.values().any(|w| w == id), "{} {:?}", name, id);
        }
    }

    #[test]
    fn numbers_that_stand_elsewhere_are_kept_apart(before in edited(), after in edited()) {
        let tree = |objects: Vec<Object>| {
            let egress = Some(Branch { objects, ..Branch::default() });
            Tree { interfaces: [("eth0".into(), tree::Interface { egress, ..Default::default() })].into() }
        };
        let held = tree(before.lower(&Ids::default()).0);
        let (objects, mut used) = after.lower(&Ids::default());
        let mut asked = tree(objects);
        let mut rounds = 0;
        while let Some(ids) = apart(&asked, &held, &used) {
            let (objects, ids) = after.lower(&ids);
            are_sound(&objects)?;
            (asked, used, rounds) = (tree(objects), ids, rounds + 1);
            prop_assert!(rounds < ROUNDS);
        }
        // what is its own is in nobody's way
        let (own, used) = before.lower(&Ids::default());
        prop_assert_eq!(apart(&tree(own), &held, &used), None);
    }

    /// What was compiled before the kernel was read is only taken where it would come out the same.
    #[test]
    fn what_is_unmoved_comes_out_the_same(before in edited(), after in edited(), other in any::<bool>()) {
        let tree = |objects: Vec<Object>| {
            let egress = Some(Branch { objects, ..Branch::default() });
            Tree { interfaces: [("eth0".into(), tree::Interface { egress, ..Default::default() })].into() }
        };
        let (own, remembered) = before.lower(&Ids::default());
        let mut stands = own.clone();
        if other {
            let row = stands[0].options.row("default").unwrap();
            stands[0].options.slot_mut(row).unwrap().set_number(77);
        }
        let mut beside = remembered.clone();
        keep_defaults(&mut beside, &tree(stands));
        // what stands as it is asked moves nothing, and another default does
        prop_assert_eq!(is_unmoved(&tree(own), &beside), !other);

        let (ahead, ids) = after.lower(&remembered);
        let (now, same) = after.lower(&beside);
        let show = |objects: &[Object]| objects.iter().map(show_object).collect::<Vec<_>>();
        let kept = |ids: &Ids| serde_json::to_string(ids).unwrap();
        let unmoved = is_unmoved(&tree(ahead.clone()), &beside);
        prop_assert_eq!(unmoved, show(&ahead) == show(&now));
        prop_assert!(!unmoved || kept(&ids) == kept(&same));
        beside.interfaces.get_mut("eth0").unwrap().egress.foreign.insert(1);
        prop_assert!(!is_unmoved(&tree(ahead), &beside));
    }

    #[test]
    fn a_rule_in_the_middle_moves_no_other(edited in edited(), at in any::<prop::sample::Index>(), new in 41..200_u8) {
        let (old, ids) = edited.lower(&Ids::default());
        let mut more = edited.clone();
        let at = at.index(edited.rules.len() + 1);
        let around = [at.checked_sub(1), Some(at)].map(|i| i.and_then(|i| edited.rules.get(i)).map(|n| n % 7 == 0));
        more.rules.insert(at, new);
        let (objects, _) = more.lower(&ids);
        are_sound(&objects)?;
        // unless it is of another sort than both around it, which then cannot stay in one priority
        if around != [Some(new % 7 != 0); 2] {
            let is = numbers(&objects);
            for (name, id) in numbers(&old) {
                prop_assert_eq!(is.get(&name), Some(&id), "{}", name);
            }
        }
    }
}

/// Many classes, each with a leaf and a rule, in groups of 100.
fn large(groups: usize) -> Policy {
    let group = |g: usize| Class {
        classes: (0..100)
            .map(|n| Class { leaf: Some(Box::new(qdisc("sfq", ""))), ..class(&format!("c{n}"), "rate 1mbit") })
            .collect(),
        ..class(&format!("g{g}"), "rate 100mbit")
    };
    let address = |g: usize, n: usize| format!("dst 10.{}.{}.{n}", g / 250, g % 250);
    let rules = (0..groups).flat_map(|g| (0..100).map(move |n| rule(&format!("g{g}/c{n}"), &address(g, n))));
    let d = direction(htb("", Some("g0/c0"), (0..groups).map(group).collect()), rules.collect());
    policy(vec![egress("eth0", d)])
}

#[test]
fn four_times_the_rules_are_four_times_the_work() {
    let work = |policy: &Policy, ids: &Ids| {
        let before = super::tables::looked();
        lowered(policy, ids);
        super::tables::looked() - before
    };
    let (small, big) = (large(20), large(80));
    let (_, small_ids) = lowered(&small, &Ids::default());
    let (tree, big_ids) = lowered(&big, &Ids::default());
    // one table for the third octet, and a table and a filter that leads to it for each of its eighty values
    let tables = 2 + 2 * 80;
    assert_eq!(tree.interfaces["eth0"].egress.as_ref().unwrap().objects.len(), 1 + 80 + 3 * 8000 + tables);
    for (ids, more) in [(&Ids::default(), &Ids::default()), (&small_ids, &big_ids)] {
        let (small, big) = (work(&small, ids), work(&big, more));
        assert!(small > 2000 && big < small * 6, "{small} {big}");
    }
}

#[test]
fn the_numbers_are_a_budget() {
    let class = |n: usize| Class { leaf: Some(Box::new(qdisc("sfq", ""))), ..class(&format!("c{n}"), "rate 1mbit") };
    let with = |n: usize| policy(vec![egress("eth0", direction(htb("", None, (0..n).map(class).collect()), vec![]))]);
    assert!(refused(&with(65_533), &Facts::default()).is_empty());
    assert_eq!(refused(&with(65_536), &Facts::default()), ["handle-budget", "handle-budget"]);
}
