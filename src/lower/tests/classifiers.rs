//! What each classifier makes of a match, and that they all mean the same.

use super::packets::{V4, expressions_with, test, v6};
use super::*;
use crate::kind::filter::bpf::Bpf;
use crate::packet::build::Fields;
use crate::packet::{Packet, Tag, meaning};
use crate::policy::model::Classifier;
use crate::syntax::expression::{Expression, Field, Item};
use std::net::IpAddr;

/// The rules of a list, one class each, as a policy that is pinned.
fn pinned(pin: Option<Classifier>, rules: Vec<Rule>) -> Policy {
    let n = rules.len();
    let classes = (0..n).map(|i| class(&format!("c{i}"), "rate 1mbit")).collect();
    let mut direction = direction(htb("", None, classes), rules);
    direction.classifier = pin.map(at);
    policy(vec![egress("eth0", direction)])
}

fn of(texts: &[&str]) -> Vec<Rule> {
    texts.iter().enumerate().map(|(i, text)| rule(&format!("c{i}"), text)).collect()
}

fn objects(pin: Option<Classifier>, texts: &[&str]) -> Vec<Object> {
    let mut sink = Sink::new();
    let (tree, _) = lower(&pinned(pin, of(texts)), &|_| Facts::default(), &Ids::default(), &mut sink);
    assert!(!sink.has_errors(), "{texts:?}: {:?}", sink.found);
    filters_of(&tree, "eth0")
}

/// The filters of one match: protocol, kind and words.
fn filters(pin: Option<Classifier>, text: &str) -> Vec<String> {
    let shown = |o: &Object| {
        let shown = show_object(o).replace(" flowid 1:1", "");
        let words: Vec<&str> = shown.split(' ').collect();
        format!("{} {}", words[3], words[5..].join(" "))
    };
    objects(pin, &[text]).iter().map(shown).collect()
}

fn refusal(pin: Option<Classifier>, text: &str) -> String {
    let mut sink = Sink::new();
    lower(&pinned(pin, of(&[text])), &|_| Facts::default(), &Ids::default(), &mut sink);
    let found = sink.found.iter().find(|d| d.is_error()).unwrap_or_else(|| panic!("{text} is not refused"));
    format!("{}: {}", found.code.name, found.message)
}

#[test]
fn flower_says_whole_fields() {
    let flower = |text| filters(Some(Classifier::Flower), text);
    let cases: &[(&str, &[&str])] = &[
        ("any", &["all flower"]),
        ("ip tcp dport 22", &["ip flower ip_proto tcp ip_flags nofrag dst_port 22"]),
        ("ip udp sport 1000-2047", &["ip flower ip_proto udp ip_flags nofrag src_port 1000-2047"]),
        (
            "src 192.0.2.0/24 and dst 203.0.113.9 and tos 0x10/0xfc",
            &["ip flower dst_ip 203.0.113.9/32 src_ip 192.0.2.0/24 ip_tos 0x10/0xfc"],
        ),
        ("dst 2001:db8::/32 and ttl 64", &["ip6 flower dst_ip 2001:db8::/32 ip_ttl 64"]),
        ("ip tcp flags syn/syn,ack", &["ip flower ip_proto tcp ip_flags nofrag tcp_flags 0x2/0x12"]),
        ("icmp6 type echo-request", &["ip6 flower ip_proto icmpv6 ip_flags nofrag type 128"]),
        ("ip frag later", &["ip flower ip_flags nofirstfrag/frag"]),
        ("ip frag first", &["ip flower ip_flags firstfrag/frag"]),
        ("vlan 5", &["802.1q flower vlan_id 5"]),
        (
            "vlan 5 and ip and tcp dport 22",
            &["802.1q flower vlan_id 5 vlan_ethtype ip ip_proto tcp ip_flags nofrag dst_port 22"],
        ),
        ("mac src 02:00:00:00:00:01", &["all flower src_mac 02:00:00:00:00:01"]),
        ("connmark 5/0xff", &["all flower ct_mark 0x5/0xff"]),
        ("iif eth1", &["all flower indev eth1"]),
        ("ethertype arp", &["0806 flower"]),
    ];
    for (text, expected) in cases {
        assert_eq!(flower(text), *expected, "{text}");
    }
    // one set of keys shares a priority, another one has its own
    let shown = |texts: &[&str]| -> Vec<u16> {
        let prio = |o: &Object| if let Id::Filter { prio, .. } = o.id { prio } else { 0 };
        objects(Some(Classifier::Flower), texts).iter().map(prio).collect()
    };
    assert_eq!(
        shown(&["ip dst 192.0.2.1", "ip dst 192.0.2.2", "ip src 192.0.2.1", "ip dst 192.0.2.1"]),
        [10, 10, 20, 30]
    );
}

#[test]
fn basic_says_and_or_and_not() {
    let basic = |text| filters(Some(Classifier::Basic), text);
    let cases: &[(&str, &[&str])] = &[
        ("any", &["all basic"]),
        ("priority 6", &["all basic match meta(priority eq 6)"]),
        ("not priority {1, 2}", &["all basic match not (meta(priority eq 1) or meta(priority eq 2))"]),
        ("mark 0x10/0xf0", &["all basic match meta(nf_mark mask 0xf0 eq 16)"]),
        ("vlan {5, 6}", &["all basic match meta(vlan mask 0xfff eq 5) or meta(vlan mask 0xfff eq 6)"]),
        (
            "ip tcp dport 1000-2000 and priority 6",
            &["ip basic match u32(u32 0x00060000 0x00ff0000 at 8) and u32(u32 0x05000000 0x0f000000 at 0) and \
               u32(u32 0x00000000 0x00001fff at 4) and \
               (cmp(u16 at 22 layer 1 gt 999) and cmp(u16 at 22 layer 1 lt 2001)) and meta(priority eq 6)"],
        ),
        (
            "mac dst 02:00:00:00:00:01",
            &["all basic match u32(u32 0x00000200 0x0000ffff at -16) and u32(u32 0x00000001 0xffffffff at -12)"],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(basic(text), *expected, "{text}");
    }
    let protocol = |n: u16| u32::from(n.to_be());
    let not_arp = basic("not ethertype arp");
    assert_eq!(not_arp.len(), 3, "{not_arp:?}");
    assert!(not_arp[2].contains(&format!("meta(protocol mask {:#x} eq {})", protocol(0xffff), protocol(0x0806))));
}

#[test]
fn a_program_reads_what_its_rules_ask_for() {
    // the tag beside the packet if there is one, or the one in it; kept, and compared with 0x1005
    assert_eq!(
        filters(Some(Classifier::Bpf), "vlan 5"),
        ["all bpf bytecode 19,32 0 0 4294963248,21 4 0 0,32 0 0 4294963244,84 0 0 4095,68 0 0 4096,5 0 0 8,\
          32 0 0 4294963200,21 3 0 33024,21 2 0 34984,0 0 0 0,5 0 0 3,40 0 0 4293918720,84 0 0 4095,68 0 0 4096,\
          2 0 0 1,96 0 0 1,21 0 1 4101,6 0 0 4294967295,6 0 0 0"]
    );
    let lengths: Vec<usize> = ["mark 5", "ip", "ip dst 192.0.2.1", "ip6 dst 2001:db8::/32"]
        .iter()
        .map(|text| program(&objects(Some(Classifier::Bpf), &[text])[0]).len())
        .collect();
    assert_eq!(lengths, [4, 10, 12, 12]);
    // what is found out of the transport header is found out once
    let length = |text| program(&objects(Some(Classifier::Bpf), &[text])[0]).len();
    assert!(length("tcp dport 22") < 260 && length("tcp dport 22 or tcp dport 80 or udp dport 53") < 290);
}

fn program(object: &Object) -> Vec<crate::kind::filter::bpf::Instruction> {
    object.options.as_kind::<Bpf>().unwrap().bytecode.clone().unwrap().0
}

#[test]
fn neighbours_share_a_program_and_long_ones_are_parted() {
    let one = objects(None, &["vlan 5", "vlan 6 and tcp dport 22", "not ethertype arp"]);
    assert_eq!(one.len(), 1);
    let told = one[0].origin.remark.as_deref().unwrap();
    assert_eq!(
        told,
        "c0 if vlan 5; c1 if vlan 6 tcp dport 22; c2 if ethertype not arp; \
         one program for 3 rules, bpf: u32 does not know a packet's VLAN"
    );
    assert_eq!(one[0].origin.name, "");
    // something else between them parts them
    let kinds: Vec<_> = objects(None, &["vlan 5", "mark 7", "vlan 6"]).iter().map(|o| o.name.to_string()).collect();
    assert_eq!(kinds, ["bpf", "fw", "bpf"]);
    let texts: Vec<String> = (0..900).map(|i| format!("vlan {i} and tcp dport {i}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let many = objects(None, &texts);
    assert!(many.len() > 1 && many.len() < 24, "{}", many.len());
    // each fits into a message of tc
    assert!(many.iter().all(|o| program(o).len() <= 2000));
    // a rule that comes changes the program where it stands
    let (_, ids) = lowered(&pinned(None, of(&["vlan 5", "vlan 6"])), &Ids::default());
    let mut policy = pinned(None, of(&["vlan 5", "vlan 6", "vlan 7"]));
    let (tree, _) = lowered(&policy, &ids);
    assert_eq!(filters_of(&tree, "eth0")[0].id, one[0].id);
    // one that does something has a program of its own
    policy.interfaces[0].egress.as_mut().unwrap().rules[1].actions =
        crate::kind::action::Actions::one(Act::edit(Skbedit::default()));
    assert_eq!(filters_of(&fresh(&policy), "eth0").len(), 3);
}

#[test]
fn the_choice_is_told() {
    let why = |text: &str| {
        let objects = objects(None, &[text]);
        let remark = objects[0].origin.remark.clone().unwrap();
        remark.rsplit("; ").next().unwrap().to_owned()
    };
    assert_eq!(why("tcp dport 22"), "u32: bits at fixed places");
    assert_eq!(why("any"), "u32: every packet");
    assert_eq!(why("mark 5"), "fw: the mark alone");
    assert_eq!(why("vlan 5"), "bpf: u32 does not know a packet's VLAN");
    assert_eq!(why("connmark 5"), "flower: u32 does not know a connection's mark");
    assert_eq!(why("priority 5"), "basic: u32 does not know a packet's priority");
    assert_eq!(why("cgroup 1:1"), "cgroup: u32 does not know who sent a packet");
    let odd = |n: u32| (0..n).map(|i| (2 * i + 1).to_string()).collect::<Vec<_>>().join(", ");
    let many = format!("ip tcp sport {{{}}} dport {{{}}}", odd(100), odd(100));
    assert!(why(&many).starts_with("bpf: this match comes to more than"), "{}", why(&many));
    assert_eq!(why("ip tcp and not dport 22 and not sport 22"), "bpf: in place of 273 filters of u32");
    // the opposite of a set of prefixes is all that lies between and beside them
    let outside = "src not {10.0.0.0/8, 192.168.0.0/16, 2001:db8::/32}";
    assert_eq!((why(outside).as_str(), objects(None, &[outside]).len()), ("bpf: in place of 54 filters of u32", 1));
    // u32 sees no port in a fragment of IPv6, and would have no filter for it
    assert_eq!(why("frag first tcp dport 22"), "bpf: u32 does not see this where it is, behind IPv6's fragment header");
    assert_eq!(why("ip frag first tcp dport 22"), "u32: bits at fixed places");
    assert_eq!(why("ip6 frag tcp"), "bpf: u32 does not see this where it is, behind IPv6's fragment header");
    assert_eq!(why("frag later"), "u32: bits at fixed places");
    // a rule about an address may be one of many, which tables part
    assert_eq!(why("dst 192.0.2.1 and src not {10.0.0.0/8, 192.168.0.0/24}"), "u32: bits at fixed places");
    assert_eq!(why("udp dport 1025-65534"), "u32: bits at fixed places");
    // a kernel without one goes to the next
    let without = |missing: &[&'static str], text: &str| {
        let classifiers = crate::facts::Classifiers { missing: missing.to_vec() };
        let facts = Facts { classifiers, u32_mark: false, ..Facts::default() };
        let mut sink = Sink::new();
        let (tree, _) = lower(&pinned(None, of(&[text])), &|_| facts.clone(), &Ids::default(), &mut sink);
        match sink.found.iter().find(|d| d.is_error()) {
            Some(d) => format!("{}: {}", d.code.name, d.message),
            None => filters_of(&tree, "eth0")[0].name.to_string(),
        }
    };
    assert_eq!(without(&[], "mark 5"), "fw");
    assert_eq!(without(&[], "mark 0"), "bpf");
    assert_eq!(without(&["bpf"], "mark 0"), "basic");
    assert_eq!(without(&["bpf", "flower"], "mark 5 and tcp"), "basic");
    assert!(without(&["bpf", "basic"], "mark 0").starts_with("mark-unsupported"));
    assert_eq!(without(&["bpf"], "vlan 5"), "flower");
    // flower would take as many filters as u32, basic takes two
    assert_eq!(without(&["bpf"], outside), "basic");
    assert_eq!(without(&["bpf", "basic"], outside), "u32");
    assert_eq!(without(&["bpf", "flower"], "vlan 5"), "basic");
    assert_eq!(
        without(&["flower"], "connmark 5"),
        "kernel-lacks: only `flower` can say this, and this kernel has none"
    );
}

#[test]
fn what_no_classifier_can_say_is_refused() {
    let both = "no-classifier: basic does not know a connection's mark, and bpf does not know a packet's priority";
    assert_eq!(refusal(None, "connmark 5 and priority 6"), both);
    assert!(refusal(None, "not iif eth1").contains("that a packet came in by another link, only that it did by one"));
    let both = "flower does not know a packet's mark, and bpf does not know a connection's mark";
    assert_eq!(refusal(None, "mark 1 and connmark 2"), format!("no-classifier: {both}"));
    assert!(refusal(None, "cgroup 1:10").contains("the class of its number, 1:10, and this is 1:1"));
    assert!(refusal(None, "not cgroup 1:1").contains("not under `not`"));
    assert!(refusal(Some(Classifier::Flower), "mark 5").contains("flower does not know a packet's mark"));
    assert!(refusal(Some(Classifier::Flower), "ip len 100").contains("no key for these bits"));
    assert!(refusal(Some(Classifier::Flower), "not proto tcp").contains("one value only"));
    assert!(refusal(Some(Classifier::U32), "vlan 5").contains("u32 does not know a packet's VLAN"));
    assert!(refusal(Some(Classifier::U32), "ip6 frag first tcp dport 22").contains("behind IPv6's fragment header"));
    assert!(refusal(Some(Classifier::Bpf), "priority 5").contains("bpf does not know a packet's priority"));
    let with = Facts { header: 0, ..Facts::default() };
    assert_eq!(refused(&pinned(None, of(&["mac src 02:00:00:00:00:01"])), &with), ["no-classifier"]);
}

/// Mistakes that are made elsewhere with these, each refused or right here.
#[test]
fn known_mistakes() {
    let parse_errors = |text: &str| {
        let mut sink = Sink::new();
        crate::syntax::expression_parser::parse(text, Span::NONE, &|_| None, &mut sink);
        sink.found.iter().map(|d| d.code.name).collect::<Vec<_>>()
    };
    // an unknown DSCP takes every packet elsewhere
    assert_eq!(parse_errors("dscp AF99"), ["match-value"]);
    assert_eq!(parse_errors("udp flags syn"), ["match-clash"]);
    let u32 = |text| filters(Some(Classifier::U32), text);
    // flags are looked at in TCP only
    assert!(
        u32("tcp flags syn").iter().all(|f| f.contains("protocol 6 0xff") || f.contains("0x00060000 0x00ff0000 at 8")),
        "{:?}",
        u32("tcp flags syn")
    );
    // IPv6's ICMP is not protocol 1
    assert_eq!(u32("icmp and ip6"), ["ip6 u32 match ip6 protocol 58 0xff"]);
    assert_eq!(parse_errors("proto 1 and ip6"), ["match-clash"]);
    // a port is not read in the options, and not in a later fragment
    let ports = u32("ip udp dport 53");
    assert!(ports[0].contains("ihl 5 0xf") && ports[0].contains("0x00001fff at 4"), "{ports:?}");
    // the opposite of a set is outside of all of it
    assert_eq!(u32("ip tos not {0x10, 0x20}").len(), u32("ip and tos not 0x10 and tos not 0x20").len());
    // ranges to the end, and all of it
    assert_eq!(
        u32("ip udp dport 65535"),
        [
            "ip u32 match ip ihl 5 0xf match u32 0x00000000 0x00001fff at 4 match ip protocol 17 0xff match ip dport 65535 0xffff"
        ]
    );
    assert_eq!(u32("ip udp dport 65534-65535").len(), 1);
    assert_eq!(u32("ip udp dport 0-65535").len(), 1);
    // every address and one address
    assert_eq!(u32("src 0.0.0.0/0"), ["ip u32 match u32 0x00000000 0x00000000 at 0"]);
    assert_eq!(u32("dst 192.0.2.1/32"), ["ip u32 match ip dst 192.0.2.1/32"]);
    assert_eq!(u32("dst ::/0"), ["ip6 u32 match u32 0x00000000 0x00000000 at 0"]);
    // overlapping sets are not said twice
    assert_eq!(u32("ip udp dport {1000-2000, 1500-2500, 2501}"), u32("ip udp dport 1000-2501"));
    assert_eq!(u32("src {192.0.2.0/24, 192.0.2.128/25, 192.0.2.1}"), ["ip u32 match ip src 192.0.2.0/24"]);
}

/// Hosts of different classes: as few programs as their instructions fit into, and none where a table keeps the order or
/// u32 is asked for.
#[test]
fn lists_by_both_ends_are_programs() {
    let hosts = |n: u32, what: &dyn Fn(u32) -> String| -> Vec<Object> {
        let rules: Vec<String> = (0..n).map(what).collect();
        let classes = (0..5).map(|i| class(&format!("c{i}"), "rate 1mbit")).collect();
        let rules = rules.iter().enumerate().map(|(i, text)| rule(&format!("c{}", i % 5), text)).collect();
        filters_of(&fresh(&policy(vec![egress("eth0", direction(htb("", None, classes), rules))])), "eth0")
    };
    let host = |i: u32| format!("host 10.0.{}.{}", i * 7 % 64, i / 64);
    for (n, most) in [(32, 1), (150, 1), (1000, 6), (3000, 18)] {
        let objects = hosts(n, &host);
        assert!(objects.iter().all(|o| o.name == "bpf") && objects.len() <= most, "{n}: {}", objects.len());
        assert!(objects.iter().all(|o| program(o).len() <= 2000));
    }
    let one = hosts(40, &host);
    let told = one[0].origin.remark.as_deref().unwrap();
    assert!(told.starts_with("c0 if host 10.0.0.0; c1 if host 10.0.7.0; "), "{told}");
    assert!(
        told.ends_with(
            "; and 28 more; one program for 40 rules, bpf: by either end of a packet, of which the earlier rule decides; \
             no table keeps their order"
        ),
        "{told}"
    );
    assert!(hosts(31, &host).iter().all(|o| o.name == "u32"));
    assert!(hosts(500, &|i| format!("src 10.0.0.{}", i % 256)).iter().all(|o| o.name == "u32"));
    // words behind the header, of which u32 would give each a priority
    let words = hosts(3000, &|i| format!("u32 0x{:x}00 0xffff00 at {}", i, 20 + 4 * (i % 3)));
    assert!(words.iter().all(|o| o.name == "bpf") && words.len() <= 40, "{}", words.len());
    assert!(words[0].origin.remark.as_deref().unwrap().ends_with("packets may end: no table can read them"));
    assert!(hosts(300, &|i| format!("u32 0x{i:x} 0xffff at 16")).iter().all(|o| o.name == "u32"));
    // what is beside them stays what it is
    let mixed = hosts(300, &|i| match i {
        0 => "tcp dport 22".to_owned(),
        100 => "mark 5".to_owned(),
        299 => "any".to_owned(),
        i => host(i),
    });
    let kinds: Vec<&str> = mixed.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(kinds, ["u32", "u32", "bpf", "fw", "bpf", "bpf", "u32"]);
}

/// A frame of few values, so that tests hit.
fn crowd() -> impl Strategy<Value = Packet> {
    let mac = |n: u8| [2, 0, 0, 0, 0, n];
    let header = (0..4_usize, 0..4_usize, any::<bool>(), 0..9_usize, 0..4_u8, 0..5_u8);
    let rest = (0..6_usize, 0..6_usize, any::<u8>(), 0..4_u32, 0..10_u8, 0..12_u8, 0..3_u16, 0..3_u32);
    (header, rest).prop_map(move |((src, dst, six, proto, ttl, fragment), rest)| {
        let (sport, dport, byte, mark, shape, icmp, vlan, iif) = rest;
        let address = |i: usize| if six { IpAddr::from(v6(i as u8)) } else { IpAddr::from(V4[i]) };
        let fields = Fields {
            macs: (mac(dst as u8), mac(src as u8)),
            tag: (shape == 7).then_some(Tag { protocol: 0x8100, priority: 3, id: 5 + vlan }),
            ether_type: match (shape, six) {
                (0, _) => 0x0806,
                (1, _) => 0x88cc,
                (_, true) => 0x86dd,
                _ => 0x0800,
            },
            src: address(src),
            dst: address(dst),
            tos: packets::TOS[usize::from(ttl)],
            ttl: 60 + ttl % 3,
            options: if shape == 2 { usize::from(byte % 5) * 4 } else { 0 },
            // of a fragment's header there would be nothing behind
            proto: if packets::PROTO[proto] == 44 { 47 } else { packets::PROTO[proto] },
            fragment: match fragment {
                0 => (0, true),
                1 => (185, true),
                _ => (0, false),
            },
            ports: (packets::PORTS[sport], packets::PORTS[dport]),
            tcp_flags: u16::from(byte),
            icmp: (icmp, byte % 3),
            length: 0,
        };
        let mut packet = fields.packet();
        packet.meta.mark = mark;
        packet.meta.priority = u32::from(byte % 3);
        packet.meta.iif = (iif > 0).then(|| format!("eth{iif}").into());
        packet
    })
}

fn expressions() -> impl Strategy<Value = Expression> {
    let numbers = |field, values: Vec<u64>| {
        prop::collection::vec(prop::sample::select(values).prop_map(Item::Number), 1..3)
            .prop_map(move |i| test(field, i))
    };
    let mac = (prop::sample::select(vec![Field::MacSrc, Field::MacDst]), 0..4_u8)
        .prop_map(|(field, n)| test(field, vec![Item::Mac([2, 0, 0, 0, 0, n])]));
    let extra = prop_oneof![
        2 => numbers(Field::Vlan, vec![5, 6, 7]),
        1 => Just(test(Field::Vlan, vec![Item::Range(0, 5)])),
        2 => numbers(Field::Ethertype, vec![0x0800, 0x86dd, 0x0806, 0x88cc, 0x8100]),
        2 => mac,
        1 => (1..3_u8).prop_map(|n| test(Field::Iif, vec![Item::Name(format!("eth{n}").into())])),
    ];
    expressions_with(extra.boxed())
}

fn names(e: &Expression, fields: &[Field]) -> bool {
    let mut found = false;
    e.visit(&mut |t| found |= fields.contains(&t.field));
    found
}

const BEHIND: &[Field] =
    &[Field::Sport, Field::Dport, Field::Port, Field::TcpFlags, Field::IcmpType, Field::IcmpCode, Field::Proto];

/// What a rule means: a frame with a tag is looked into only by a match that names VLANs.
fn meant(e: &Expression, packet: &Packet) -> bool {
    if packet.tag().is_none() || names(e, &[Field::Vlan]) {
        return meaning::holds(e, packet);
    }
    let mut frame = packet.bytes().to_vec();
    frame.truncate(14);
    frame[12..14].copy_from_slice(&[0x81, 0]);
    // a tag, and nothing that anybody knows
    frame.extend([0; 46]);
    let mut bare = Fields { ether_type: 0x9999, ..Fields::default() }.packet();
    bare.bytes_mut()[..14].copy_from_slice(&frame[..14]);
    bare.set_tag(Some(Tag { protocol: 0x8100, priority: 0, id: 0 }));
    bare.meta = packet.meta.clone();
    let ethertype = |t: &Expression| match t {
        Expression::Test(t) if t.field == Field::Ethertype => Some(t.items.contains(&Item::Number(0x8100))),
        _ => None,
    };
    fn part(e: &Expression, bare: &Packet, ethertype: &dyn Fn(&Expression) -> Option<bool>) -> bool {
        match e {
            Expression::And(parts) => parts.iter().all(|p| part(p, bare, ethertype)),
            Expression::Or(parts) => parts.iter().any(|p| part(p, bare, ethertype)),
            Expression::Not(inner) => !part(inner, bare, ethertype),
            leaf => ethertype(leaf).unwrap_or_else(|| meaning::holds(leaf, bare)),
        }
    }
    let mut named = false;
    e.visit(&mut |t| named |= t.field == Field::Ethertype && t.items.contains(&Item::Number(0x8100)));
    (named || !packets::about_ip(e)) && part(e, &bare, &ethertype)
}

/// Whether a classifier can be held to the meaning for that packet: u32 does not see behind options, flower not into
/// fragments.
fn sees(kind: &str, e: &Expression, packet: &Packet) -> bool {
    let layers = packet.layers();
    let Some(ip) = layers.ip else { return true };
    match kind {
        "u32" | "basic" => {
            let plain = if ip.six { ip.next == layers.proto } else { packet.bytes().get(14) == Some(&0x45) };
            plain || !(names(e, BEHIND) || ip.six && names(e, &[Field::Fragment]))
        }
        "flower" => layers.fragment.is_none() || !names(e, BEHIND),
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn all_classifiers_mean_the_same(
        rules in prop::collection::vec(expressions(), 1..5),
        crowd in prop::collection::vec(crowd(), 40),
    ) {
        for pin in [None].into_iter().chain(Classifier::WORDS.map(|(_, classifier)| Some(classifier))) {
            // a rule that this classifier cannot say is left to the others
            let can = |e: &Expression| {
                let mut sink = Sink::new();
                let one = Rule { matches: Some(at(e.clone())), ..rule("c0", "") };
                lower(&pinned(pin, vec![one]), &|_| Facts::default(), &Ids::default(), &mut sink);
                !sink.has_errors()
            };
            let rules: Vec<&Expression> = rules.iter().filter(|e| can(e)).collect();
            let list = rules.iter().enumerate();
            let list = list.map(|(i, e)| Rule { matches: Some(at((*e).clone())), ..rule(&format!("c{i}"), "") }).collect();
            let mut sink = Sink::new();
            let (tree, _) = lower(&pinned(pin, list), &|_| Facts::default(), &Ids::default(), &mut sink);
            prop_assert!(!sink.has_errors(), "{:?}", sink.found);
            let filters = filters_of(&tree, "eth0");
            let kinds: Vec<&str> = filters.iter().map(|o| o.name.as_str()).collect();
            let assumed = classify::assumed(&tree, &|_| Facts::default());
            let model = classify::Model::new(&assumed);
            for packet in &crowd {
                if !kinds.iter().all(|kind| rules.iter().all(|e| sees(kind, e, packet))) {
                    continue;
                }
                let first = rules.iter().position(|e| meant(e, packet));
                let meant = first.map(|i| Handle::new(1, i as u16 + 1));
                let verdict = model.quick("eth0", Side::Egress, packet);
                let shown = || {
                    let rules: Vec<String> = rules.iter().map(|e| e.to_string()).collect();
                    let filters: Vec<String> = filters.iter().map(show_object).collect();
                    format!("{packet:?}\n{}\n{}", rules.join("\n"), filters.join("\n"))
                };
                prop_assert_eq!(verdict.class(), meant, "{:?}: {}", pin, shown());
            }
        }
    }
}

/// One word behind the header, or in it; of few values.
fn about_a_word() -> impl Strategy<Value = Expression> {
    let mask = prop::sample::select(vec![0xff_u32, 0xff00, 0xfff, u32::MAX, 0x7000_0000]);
    let one = (mask, 0..20_u32, prop::sample::select(vec![12, 20, 24, 40, 44, 60]));
    one.prop_map(|(mask, value, offset)| {
        let value = (value | value << 8 | value << 28) & mask;
        test(Field::Raw, vec![Item::Raw { value, mask, offset }])
    })
}

/// One end of a packet or either, and a network: from few addresses, so that packets lie between two of a list.
fn about_an_end() -> impl Strategy<Value = Expression> {
    let field = prop::sample::select(vec![Field::Host, Field::Host, Field::Host, Field::Src, Field::Dst]);
    let four = (0..200_u32, prop::sample::select(vec![0, 0, 0, 0, 1, 3, 8]));
    let six = (0..100_u128, prop::sample::select(vec![0, 0, 0, 0, 2, 64, 70]));
    let item = prop_oneof![
        3 => four.prop_map(|(n, open)| Item::Prefix(IpAddr::from((end4(n) >> open << open).to_be_bytes()), 32 - open)),
        2 => six.prop_map(|(n, open)| Item::Prefix(IpAddr::from((end6(n) >> open << open).to_be_bytes()), 128 - open)),
        1 => (0..200_u32, 0..300_u32).prop_map(|(n, more)| {
            Item::Addresses(IpAddr::from(end4(n).to_be_bytes()), IpAddr::from((end4(n) + more).to_be_bytes()))
        }),
    ];
    (field, prop::collection::vec(item, 1..3)).prop_map(|(field, items)| test(field, items))
}

fn end4(n: u32) -> u32 {
    0x0a00_0000 | (n & 3) << 22 | n
}

fn end6(n: u128) -> u128 {
    0x2001_0db8 << 96 | (n & 3) << 64 | (n & 1) << 40 | n
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    /// The class is that of the first rule, and the rule that is named is that one.
    #[test]
    fn either_end_finds_the_first_rule(
        rules in prop::collection::vec(about_an_end(), 40..260),
        crowd in prop::collection::vec((any::<bool>(), 0..200_u32, 0..200_u32, any::<bool>()), 200),
    ) {
        let span = |i: usize| Span { file: crate::source::FileId(0), start: i as u32, end: i as u32 + 1 };
        let classes = (0..7).map(|i| class(&format!("c{i}"), "rate 1mbit")).collect();
        let rule = |(i, e): (usize, &Expression)| {
            Rule { matches: Some(at(e.clone())), span: span(i), ..rule(&format!("c{}", i % 7), "") }
        };
        let list = rules.iter().enumerate().map(rule).collect();
        let tree = fresh(&policy(vec![egress("eth0", direction(htb("", None, classes), list))]));
        prop_assert!(filters_of(&tree, "eth0").iter().any(|o| o.name == "bpf"));
        let assumed = classify::assumed(&tree, &|_| Facts::default());
        let model = classify::Model::new(&assumed);
        for (six, src, dst, tagged) in crowd {
            let address = |n: u32| if six { IpAddr::from(end6(n.into()).to_be_bytes()) } else { IpAddr::from(end4(n).to_be_bytes()) };
            let fields = Fields {
                ether_type: if six { 0x86dd } else { 0x0800 },
                src: address(src),
                dst: address(dst),
                tag: (tagged && src % 8 == 0).then_some(Tag { protocol: 0x8100, priority: 0, id: 5 }),
                ..Fields::default()
            };
            let packet = fields.packet();
            let first = rules.iter().position(|e| meant(e, &packet));
            let verdict = model.quick("eth0", Side::Egress, &packet);
            prop_assert_eq!(verdict.class(), first.map(|i| Handle::new(1, (i % 7) as u16 + 1)), "{:?}", packet);
            let branch = assumed.interfaces["eth0"].egress.as_ref().unwrap();
            let named = verdict.rule().and_then(|place| branch.objects[place.object].origin.at(place.instruction));
            prop_assert_eq!(named, first.map(span));
        }
    }

    /// The same of words that may not be there: what is too short for one is the next rule's.
    #[test]
    fn words_behind_the_header_are_looked_up(
        rules in prop::collection::vec(prop_oneof![6 => about_a_word(), 1 => about_an_end()], 70..200),
        crowd in prop::collection::vec((any::<bool>(), 20..90_usize, prop::collection::vec(0..20_u8, 90)), 100),
    ) {
        let classes = (0..7).map(|i| class(&format!("c{i}"), "rate 1mbit")).collect();
        let rule = |(i, e): (usize, &Expression)| {
            Rule { matches: Some(at(e.clone())), ..rule(&format!("c{}", i % 7), "") }
        };
        let list = rules.iter().enumerate().map(rule).collect();
        let tree = fresh(&policy(vec![egress("eth0", direction(htb("", None, classes), list))]));
        prop_assert!(filters_of(&tree, "eth0").iter().any(|o| o.name == "bpf"));
        let assumed = classify::assumed(&tree, &|_| Facts::default());
        let model = classify::Model::new(&assumed);
        for (six, length, mut bytes) in crowd {
            bytes.truncate(length.max(if six { 40 } else { 20 }));
            bytes[0] = if six { 0x60 } else { 0x45 };
            let ether_type: [u8; 2] = if six { [0x86, 0xdd] } else { [8, 0] };
            let frame = [&[2; 12][..], &ether_type, &bytes].concat();
            let packet = Packet::ethernet(&frame, frame.len()).unwrap();
            let first = rules.iter().position(|e| meant(e, &packet));
            let verdict = model.quick("eth0", Side::Egress, &packet);
            prop_assert_eq!(verdict.class(), first.map(|i| Handle::new(1, (i % 7) as u16 + 1)), "{:?}", packet);
        }
    }
}
