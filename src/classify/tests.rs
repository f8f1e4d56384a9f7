#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
//! Packets through the trees that tc commands make.

use super::*;
use crate::import::machine::Machine;
use crate::packet::build::Fields;
use crate::packet::{ARP, IPV6};
use crate::tc;
use crate::tree::Origin;

/// What the kernel would hold after these commands of tc.
fn tree(lines: &str) -> Tree {
    let mut machine = Machine::new(Facts::default());
    for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        for request in tc::read(&words, &|_| None).unwrap_or_else(|wrong| panic!("{line}: {wrong:?}")) {
            if machine.take(&request, &Origin::default()).is_err() {
                panic!("refused: {line}");
            }
        }
    }
    assumed(&machine.tree(), &|_| Facts::default())
}

fn tcp(dport: u16) -> Fields {
    let [src, dst] = ["192.0.2.1", "198.51.100.77"].map(|a| a.parse().unwrap());
    Fields { proto: 6, ports: (40000, dport), src, dst, ..Fields::default() }
}

fn class(tree: &Tree, packet: &Packet) -> String {
    let verdict = Model::new(tree).first("eth0", Side::Egress, packet);
    match (verdict.class(), verdict.end) {
        (Some(class), _) => class.to_string(),
        (None, end) => format!("{end:?}"),
    }
}

const HTB: &str = "qdisc add dev eth0 root handle 1: htb default 30
    class add dev eth0 parent 1: classid 1:1 htb rate 10mbit
    class add dev eth0 parent 1:1 classid 1:10 htb rate 1mbit
    class add dev eth0 parent 1:1 classid 1:20 htb rate 1mbit
    class add dev eth0 parent 1:1 classid 1:30 htb rate 1mbit";

#[test]
fn u32_goes_through_tables_and_offsets() {
    let tree = tree(&format!(
        "{HTB}
         filter add dev eth0 parent 1: prio 5 handle 2: protocol ip u32 divisor 256
         filter add dev eth0 parent 1: prio 5 protocol ip u32 ht 800:: match ip dst 198.51.100.0/24 hashkey mask 0xff at 16 link 2:
         filter add dev eth0 parent 1: prio 5 protocol ip u32 ht 2:4d: match ip dst 198.51.100.77 flowid 1:10
         filter add dev eth0 parent 1: prio 5 handle 3: protocol ip u32 divisor 1
         filter add dev eth0 parent 1: prio 5 protocol ip u32 ht 800:: match ip protocol 6 0xff offset at 0 mask 0x0f00 shift 6 plus 0 link 3:
         filter add dev eth0 parent 1: prio 5 protocol ip u32 ht 3: match tcp dst 22 0xffff flowid 1:20"
    ));
    assert_eq!(class(&tree, &tcp(80).packet()), "1:10");
    let elsewhere = Fields { dst: "198.51.100.78".parse().unwrap(), ..tcp(22) };
    assert_eq!(class(&tree, &elsewhere.packet()), "1:20");
    assert_eq!(class(&tree, &Fields { options: 8, ..elsewhere.clone() }.packet()), "1:20", "behind options");
    assert_eq!(class(&tree, &Fields { ports: (22, 80), ..elsewhere.clone() }.packet()), "1:30");
    assert_eq!(class(&tree, &Fields { ether_type: ARP, ..elsewhere }.packet()), "1:30", "the default");
    let verdict = Model::new(&tree).first("eth0", Side::Egress, &tcp(80).packet());
    assert!(verdict.trail.iter().any(|step| step.text.contains("table 2: bucket 4d")), "{:?}", verdict.trail);
}

#[test]
fn htb_asks_inner_classes_and_heeds_the_priority() {
    let tree = tree(&format!(
        "{HTB}
         filter add dev eth0 parent 1: prio 1 protocol ip u32 match ip dport 22 0xffff flowid 1:1
         filter add dev eth0 parent 1: prio 2 protocol all matchall flowid 1:20
         filter add dev eth0 parent 1:1 prio 1 protocol ip handle 5 fw flowid 1:10"
    ));
    let mut packet = tcp(22).packet();
    assert_eq!(class(&tree, &packet), "1:30", "an inner class whose filters take nothing: the default");
    packet.meta.mark = 5;
    assert_eq!(class(&tree, &packet), "1:10");
    packet.meta.priority = 0x1_0020;
    assert_eq!(class(&tree, &packet), "1:20");
    packet.meta.priority = 0x1_0000;
    assert!(class(&tree, &packet).contains("Direct"));
    assert_eq!(class(&tree, &tcp(23).packet()), "1:20");
}

#[test]
fn bands_are_by_filter_or_by_priority() {
    let tree = tree(
        "qdisc add dev eth0 root handle 1: prio bands 4 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1
         filter add dev eth0 parent 1: prio 1 protocol ip u32 match ip dport 22 0xffff flowid 1:4
         filter add dev eth0 parent 1: prio 2 protocol ip u32 match ip dport 23 0xffff flowid 1:9",
    );
    let mut packet = tcp(80).packet();
    for (priority, band) in [(0, "1:2"), (1, "1:3"), (6, "1:1"), (0x2_0006, "1:2")] {
        packet.meta.priority = priority;
        assert_eq!(class(&tree, &packet), band, "{priority}");
    }
    assert_eq!(class(&tree, &tcp(22).packet()), "1:4");
    assert_eq!(class(&tree, &tcp(23).packet()), "1:2", "a band that is none is that of priority 0");
}

#[test]
fn of_programs_and_basics_the_youngest_is_first() {
    let tree = tree(&format!(
        "{HTB}
         filter add dev eth0 parent 1: prio 1 protocol all bpf bytecode 1,6+0+0+4294967295 flowid 1:10
         filter add dev eth0 parent 1: prio 1 protocol all bpf bytecode 1,6+0+0+65568"
    ));
    assert_eq!(class(&tree, &tcp(80).packet()), "1:20", "the program returns 1:20");
}

#[test]
fn flower_sees_what_the_dissector_sees() {
    let tree = tree(&format!(
        "{HTB}
         filter add dev eth0 parent 1: prio 1 protocol ip flower ip_proto tcp dst_port 22 flowid 1:10
         filter add dev eth0 parent 1: prio 2 protocol ipv6 flower ip_proto tcp dst_port 20-25 flowid 1:10
         filter add dev eth0 parent 1: prio 3 protocol ip flower ip_flags frag flowid 1:20
         filter add dev eth0 parent 1: prio 4 protocol 802.1q flower vlan_id 5 vlan_ethtype ip dst_ip 198.51.100.0/24 flowid 1:20"
    ));
    assert_eq!(class(&tree, &Fields { options: 8, ..tcp(22) }.packet()), "1:10", "behind options");
    let six = "2001:db8::1".parse().unwrap();
    let six = Fields { ether_type: IPV6, src: six, dst: six, options: 8, ..tcp(22) };
    assert_eq!(class(&tree, &six.packet()), "1:10", "behind extension headers");
    assert_eq!(class(&tree, &Fields { ports: (22, 26), ..six }.packet()), "1:30");
    let first = Fields { fragment: (0, true), ..tcp(22) };
    assert_eq!(class(&tree, &first.packet()), "1:20", "the dissector reads no ports of a fragment");
    let tag = crate::packet::Tag { protocol: crate::packet::VLAN, priority: 0, id: 5 };
    assert_eq!(class(&tree, &Fields { tag: Some(tag), ..tcp(80) }.packet()), "1:20");
    let other = crate::packet::Tag { id: 6, ..tag };
    assert_eq!(class(&tree, &Fields { tag: Some(other), ..tcp(80) }.packet()), "1:30");
}

#[test]
fn actions_change_the_packet_and_its_way() {
    let tree = tree(&format!(
        "{HTB}
         filter add dev eth0 parent 1: prio 1 protocol ip u32 match ip dport 22 0xffff action skbedit mark 7 continue
         filter add dev eth0 parent 1: prio 2 protocol ip handle 7 fw flowid 1:10
         filter add dev eth0 parent 1: prio 3 protocol ip u32 match ip dport 23 0xffff flowid 1:20 action police rate 1mbit burst 10k conform-exceed drop/pass
         filter add dev eth0 parent 1: prio 4 protocol ip u32 match ip dport 24 0xffff action goto chain 5
         filter add dev eth0 parent 1: chain 5 prio 1 protocol ip matchall flowid 1:20
         filter add dev eth0 parent 1: prio 5 protocol ip u32 match ip dport 25 0xffff action drop"
    ));
    assert_eq!(class(&tree, &tcp(22).packet()), "1:10");
    assert_eq!(class(&tree, &tcp(24).packet()), "1:20", "through a chain");
    assert!(class(&tree, &tcp(25).packet()).contains("Dropped"));
    let ways = Model::new(&tree).all("eth0", Side::Egress, &tcp(23).packet());
    let [conforms, exceeds] = ways.as_slice() else { panic!("{ways:?}") };
    assert_eq!(conforms.class().unwrap().to_string(), "1:20");
    assert!(!conforms.settled[0].1 && exceeds.settled[0].1);
    assert!(matches!(exceeds.end, End::Dropped(_)));
}

#[test]
fn what_arrives_goes_through_the_ifb() {
    let tree = tree(
        "qdisc add dev ifb0 root handle 1: htb default 20
         class add dev ifb0 parent 1: classid 1:10 htb rate 1mbit
         class add dev ifb0 parent 1: classid 1:20 htb rate 1mbit
         qdisc add dev ifb0 parent 1:20 handle 2: fq_codel
         filter add dev ifb0 parent 1: prio 1 protocol ip u32 match ip dport 22 0xffff flowid 1:10
         qdisc add dev eth0 ingress
         filter add dev eth0 parent ffff: prio 1 protocol ip u32 match ip dport 25 0xffff action drop
         filter add dev eth0 parent ffff: prio 2 protocol all matchall action mirred egress redirect dev ifb0",
    );
    let model = Model::new(&tree);
    let led = |fields: Fields| model.first("eth0", Side::Ingress, &fields.packet());
    assert_eq!(led(tcp(22)).class().unwrap().to_string(), "1:10");
    let rest = led(tcp(80));
    assert_eq!(rest.stops.len(), 2, "htb and fq_codel");
    assert_eq!(rest.deepest().unwrap().class.unwrap().to_string(), "1:20");
    assert!(matches!(&rest.end, End::Queued { link, .. } if link == "ifb0"));
    assert!(matches!(led(tcp(25)).end, End::Dropped(_)));
    assert_eq!(model.first("eth1", Side::Ingress, &tcp(1).packet()).end, End::Up);
}

#[test]
fn what_actions_write_later_filters_see() {
    let tree = tree(&format!(
        "{HTB}
         filter add dev eth0 parent 1: prio 1 protocol ip u32 match ip dport 22 0xffff action pedit ex munge ip tos set 0xb8 retain 0xfc continue
         filter add dev eth0 parent 1: prio 2 protocol ip u32 match ip tos 0xb8 0xfc flowid 1:10
         filter add dev eth0 parent 1: prio 3 protocol ip u32 match ip dport 23 0xffff action vlan push id 5 reclassify
         filter add dev eth0 parent 1: prio 4 protocol 802.1q flower vlan_id 5 flowid 1:20
         filter add dev eth0 parent 1: prio 5 protocol ip u32 match ip dport 24 0xffff action nat egress 192.0.2.0/24 203.0.113.0 continue
         filter add dev eth0 parent 1: prio 6 protocol ip u32 match ip src 203.0.113.1 flowid 1:20"
    ));
    assert_eq!(class(&tree, &tcp(22).packet()), "1:10", "the octet that pedit writes");
    assert_eq!(class(&tree, &tcp(23).packet()), "1:20", "the tag that vlan pushes");
    assert_eq!(class(&tree, &tcp(24).packet()), "1:20", "the address that nat writes");
    assert_eq!(class(&tree, &tcp(25).packet()), "1:30");
}

#[test]
fn cake_sorts_by_dscp_or_mark() {
    let tree = tree("qdisc add dev eth0 root handle 1: cake bandwidth 10mbit diffserv4 fwmark 0xf0");
    let mut packet = Fields { tos: 0xb8, ..tcp(22) }.packet();
    assert!(class(&tree, &packet).contains("tin voice"), "EF");
    packet.meta.mark = 0x10;
    assert!(class(&tree, &packet).contains("tin bulk"), "the first of its tins");
    let plain = class(&tree, &tcp(22).packet());
    assert!(plain.contains("tin best effort") && plain.contains("its flow's"), "{plain}");
}
