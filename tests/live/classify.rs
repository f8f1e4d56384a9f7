//! Where packets go: what a match means, what our reading of the filters says, and what the kernel does with packets that
//! are really sent, are one.

use crate::bed::kernel::virtual_time;
use crate::host::Host;
use crate::needs;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{LinkAddr, MsgFlags, sendto};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use shapectl::classify::{Model, Side, assumed};
use shapectl::diagnostic::Sink;
use shapectl::facts::Facts;
use shapectl::kernel::Kernel;
use shapectl::packet::build::Fields;
use shapectl::packet::{ARP, IPV4, IPV6, Packet, meaning};
use shapectl::source::Span;
use shapectl::syntax::expression::Expression;
use shapectl::syntax::expression_parser::parse;
use shapectl::tree::{Id, Tree};
use shapectl::unit::Handle;
use socket2::{Domain, Socket, Type};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// A socket that sends frames as they are.
pub struct Sender {
    socket: Socket,
    link: LinkAddr,
}

impl Sender {
    /// Of a machine's `eth0`.
    pub fn of(host: &Host) -> Sender {
        Sender::on(host, "eth0")
    }

    /// Of one of a machine's links.
    pub fn on(host: &Host, name: &str) -> Sender {
        host.netns.enter(|| {
            let all = getifaddrs().expect("the links");
            let link = all.filter(|one| one.interface_name == name).find_map(|one| Some(*one.address?.as_link_addr()?));
            let socket = Socket::new(Domain::PACKET, Type::RAW, None).expect("a packet socket");
            Sender { socket, link: link.unwrap_or_else(|| panic!("{name} has no address")) }
        })
    }

    /// Sends a packet with its mark and its priority.
    pub fn send(&self, packet: &Packet) {
        self.socket.set_mark(packet.meta.mark).expect("SO_MARK");
        self.socket.set_priority(packet.meta.priority).expect("SO_PRIORITY");
        sendto(self.socket.as_raw_fd(), packet.bytes(), &self.link, MsgFlags::empty()).expect("the frame is sent");
    }
}

/// Packets by the class that they have come to: the parent of each queue, and what it has sent.
type Histogram = BTreeMap<Handle, u64>;

fn counted(tree: &Tree) -> Histogram {
    let objects = &tree.interfaces["eth0"].egress.as_ref().expect("a root").objects;
    let queue = |object: &shapectl::tree::Object| match object.id {
        Id::Qdisc { parent, .. } if parent != Handle::ROOT => {
            Some((parent, object.stats.as_ref().map_or(0, |s| s.packets + s.drops)))
        }
        _ => None,
    };
    objects.iter().filter_map(queue).collect()
}

/// Sends packets, and tells what each class has counted of them.
fn sent(kernel: &mut Kernel, sender: &Sender, packets: &[Packet]) -> Histogram {
    let mut read = || counted(&kernel.read(Some(&["eth0"])).expect("a dump"));
    let before = read();
    packets.iter().for_each(|packet| sender.send(packet));
    let began = Instant::now();
    loop {
        let grown: Histogram =
            read().into_iter().map(|(class, n)| (class, n - before[&class])).filter(|(_, n)| *n > 0).collect();
        if grown.values().sum::<u64>() >= packets.len() as u64 || began.elapsed() > Duration::from_secs(2) {
            return grown;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Classes that rules may name; there are always as many, so that each keeps its number.
const CLASSES: usize = 8;
const PORTS: [u16; 5] = [22, 53, 80, 443, 27000];
const V4: [[u8; 4]; 4] = [[10, 1, 0, 1], [10, 1, 1, 9], [192, 0, 2, 7], [203, 0, 113, 9]];
const TOS: [u8; 4] = [0, 0x10, 0xb8, 0x22];

/// One test in words.
fn test() -> impl Strategy<Value = String> {
    let port = prop::sample::select(PORTS.to_vec());
    let address = prop::sample::select(vec!["10.1.0.1", "10.1.0.0/16", "192.0.2.0/28", "203.0.113.9", "2001:db8::1"]);
    let either = |a: &'static str, b: &'static str| prop::sample::select(vec![a, b]);
    prop_oneof![
        (either("tcp", "udp"), either("dport", "sport"), port.clone(), port.clone())
            .prop_map(|(proto, end, a, b)| format!("{proto} {end} {{{a}, {b}}}")),
        (either("dport", "port"), port.clone(), port).prop_map(|(end, a, b)| format!(
            "{end} {}-{}",
            a.min(b),
            a.max(b)
        )),
        (either("src", "dst"), address.clone()).prop_map(|(end, a)| format!("{end} {a}")),
        address.prop_map(|a| format!("host {a}")),
        prop::sample::select(vec![
            "icmp",
            "proto 47",
            "tcp flags syn",
            "tcp",
            "ip6",
            "ip",
            "dscp ef",
            "tos 0x10/0x1e",
            "ttl 60-62",
            "len 60-100",
            "mark 5",
            "mark 0x4/0xc",
            "icmp type echo-request",
            "any"
        ])
        .prop_map(str::to_owned),
    ]
}

/// A match: tests joined by "and" and "or", some turned around.
fn matching() -> impl Strategy<Value = String> {
    let one =
        (test(), prop::bool::weighted(0.2)).prop_map(|(test, not)| if not { format!("not ({test})") } else { test });
    prop::collection::vec((one, any::<bool>()), 1..3).prop_map(|parts| {
        let mut text = String::new();
        for (i, (part, or)) in parts.into_iter().enumerate() {
            text.push_str(if i == 0 {
                ""
            } else if or {
                " or "
            } else {
                " and "
            });
            text.push_str(&format!("({part})"));
        }
        text
    })
}

fn read(text: &str) -> Option<Expression> {
    parse(text, Span::NONE, &|_| None, &mut Sink::new())
}

/// A packet, and whether it is plain: no options, no extension headers, no fragment.
fn packet() -> impl Strategy<Value = (Packet, bool)> {
    let pick = |n: usize| 0..n;
    let ends = (pick(4), pick(4), pick(5), pick(5));
    let proto = prop::sample::select(vec![6_u8, 6, 17, 17, 1, 47]);
    let rest =
        (pick(TOS.len()), 59..64_u8, 0..8_u32, 0..12_u8, prop::sample::select(vec![2_u16, 0x10, 0x12]), 0..120_usize);
    (ends, proto, rest).prop_map(|((src, dst, sport, dport), proto, (tos, ttl, mark, shape, tcp_flags, length))| {
        let six = shape % 3 == 2;
        let address = |n: usize| -> IpAddr {
            if six { IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n as u16]) } else { IpAddr::from(V4[n]) }
        };
        let fields = Fields {
            ether_type: if six { IPV6 } else { IPV4 },
            src: address(src),
            dst: address(dst),
            proto: if six && proto == 1 { 58 } else { proto },
            ports: (PORTS[sport], PORTS[dport]),
            tos: TOS[tos],
            ttl,
            tcp_flags,
            icmp: (if six { 128 } else { 8 }, 0),
            length,
            options: if shape == 6 || shape == 8 { 8 } else { 0 },
            fragment: match shape {
                9 => (0, true),
                10 => (20, false),
                _ => (0, false),
            },
            ..Fields::default()
        };
        let fields = if shape == 7 { Fields { ether_type: ARP, ..fields } } else { fields };
        let mut packet = fields.packet();
        packet.meta.mark = mark;
        (packet, fields.options == 0 && fields.fragment == (0, false))
    })
}

/// A policy of rules over classes with a queue each.
fn policy(discipline: &str, classifier: Option<&str>, rules: &[String]) -> String {
    let mut text = format!(
        "interfaces:\n  eth0:\n    egress:\n{}",
        classifier.map_or_else(String::new, |c| format!("      classifier: {c}\n"))
    );
    let queue = "{ pfifo: { limit: 1000 } }";
    let names: Vec<String> = (0..CLASSES).map(|i| format!("c{i}")).chain(["rest".to_owned()]).collect();
    let share = match discipline {
        "htb" => Some("rate: 1gbit, "),
        "hfsc" => Some("ls: 1gbit, "),
        "qfq" => Some("weight: 1, "),
        "drr" => Some("quantum: 1514b, "),
        _ => None,
    };
    if let Some(share) = share {
        text.push_str(&format!("      {discipline}:\n        default: rest\n        classes:\n"));
        for name in &names {
            text.push_str(&format!("          {name}: {{ {share}leaf: {queue} }}\n"));
        }
    } else {
        let rest = CLASSES.to_string();
        text.push_str(&format!("      {discipline}:\n        bands: [{}]\n", names.join(", ")));
        text.push_str(&format!("        priomap: [{}]\n        leaves:\n", vec![rest.as_str(); 16].join(", ")));
        for name in &names {
            text.push_str(&format!("          {name}: {queue}\n"));
        }
    }
    text.push_str("      rules:\n");
    for (i, rule) in rules.iter().enumerate() {
        text.push_str(&format!("        - {{ class: c{i}, match: \"{rule}\" }}\n"));
    }
    text
}

/// Lists of random rules, each with a crowd of random packets: the meaning, the reading of what the kernel holds, and what
/// the kernel counts.
fn agree(discipline: &str, classifier: Option<&str>) {
    // time costs nothing where it is virtual
    let (lists, crowd) = if virtual_time() { (25, 400) } else { (4, 200) };
    let host = Host::with(&["eth0"]);
    let mut kernel = host.netns.enter(|| Kernel::open(None).expect("netlink"));
    let sender = Sender::of(&host);
    let mut runner = TestRunner::default();
    let (mut done, mut tried) = (0, 0);
    while done < lists {
        tried += 1;
        assert!(tried < 20 * lists, "nearly all random lists are refused");
        let rules = prop::collection::vec(matching(), 2..=CLASSES).new_tree(&mut runner).expect("rules").current();
        let rules: Vec<String> = rules.into_iter().filter(|rule| read(rule).is_some()).collect();
        let packets = prop::collection::vec(packet(), crowd).new_tree(&mut runner).expect("packets").current();
        let text = policy(discipline, classifier, &rules);
        let file = host.policy(&text);
        let applied = host.shapectl(&["apply", file.to_str().expect("a plain path")]);
        if !applied.status.success() {
            // what a pinned classifier or this kernel cannot say is refused, with its reason
            let reasons = ["no-classifier", "too-many-filters", "mark-unsupported", "kernel-lacks", "matches-nothing"];
            assert!(reasons.iter().any(|reason| applied.stderr.contains(reason)), "{applied}{text}");
            continue;
        }
        done += 1;
        let held = kernel.read(Some(&["eth0"])).expect("a dump");
        let held = assumed(&held, &|_| Facts::default());
        let model = Model::new(&held);
        let mut foreseen = Histogram::new();
        for (packet, plain) in &packets {
            let class = model.quick("eth0", Side::Egress, packet).class().expect("a class");
            *foreseen.entry(class).or_default() += 1;
            let first = rules.iter().position(|rule| meaning::holds(&read(rule).expect("it was read"), packet));
            let meant = Handle::new(1, first.unwrap_or(CLASSES) as u16 + 1);
            assert!(!plain || class == meant, "{packet:?} is meant for {meant}, and the filters say {class}\n{text}");
        }
        let all: Vec<Packet> = packets.into_iter().map(|(packet, _)| packet).collect();
        let found = sent(&mut kernel, &sender, &all);
        if found == foreseen {
            continue;
        }
        // which packet it was
        for packet in &all {
            let class = model.quick("eth0", Side::Egress, packet).class().expect("a class");
            let found = sent(&mut kernel, &sender, std::slice::from_ref(packet));
            let trail = model.first("eth0", Side::Egress, packet).trail;
            assert_eq!(found, Histogram::from([(class, 1)]), "{packet:?}\n{text}\n{trail:#?}");
        }
        panic!("together {found:?}, and one by one {foreseen:?}\n{text}");
    }
}

/// What every kernel of the test bed has, the running one too.
#[test]
fn u32_and_programs_are_read_as_the_kernel_reads_them() {
    needs!("htb", "u32", "bpf");
    agree("htb", Some("u32"));
    agree("htb", Some("bpf"));
}

#[test]
fn keys_and_extended_matches_are_read_as_the_kernel_reads_them() {
    needs!("htb", "flower", "basic");
    agree("htb", Some("flower"));
    agree("htb", Some("basic"));
}

#[test]
fn bands_are_chosen_as_the_kernel_chooses_them() {
    needs!("prio", "u32", "bpf");
    agree("prio", None);
}

#[test]
fn classes_of_hfsc_are_chosen_as_the_kernel_chooses_them() {
    needs!("hfsc", "u32", "bpf");
    agree("hfsc", None);
}

#[test]
fn classes_of_drr_are_chosen_as_the_kernel_chooses_them() {
    needs!("drr", "u32", "bpf");
    agree("drr", None);
}

#[test]
fn classes_of_qfq_are_chosen_as_the_kernel_chooses_them() {
    needs!("qfq", "u32", "bpf");
    agree("qfq", None);
}

#[test]
fn bands_of_ets_are_chosen_as_the_kernel_chooses_them() {
    needs!("ets", "u32", "bpf");
    agree("ets", None);
}

/// Seventeen classes with a queue each, made by tc, and a filter of u32 to the last of them behind all others.
fn by_hand(host: &Host) {
    let mut lines = String::from("qdisc replace dev eth0 root handle 1: drr\n");
    for minor in 1..=17 {
        lines.push_str(&format!("class add dev eth0 parent 1: classid 1:{minor:x} drr\n"));
        lines.push_str(&format!("qdisc add dev eth0 parent 1:{minor:x} handle {:x}: pfifo limit 1000\n", minor + 1));
    }
    lines.push_str("filter add dev eth0 parent 1: protocol all prio 9 u32 match u32 0 0 flowid 1:11\n");
    let file = host.file("lines", &lines);
    host.netns.run("tc", ["-batch", &file]).ok();
}

/// A key of a packet, turned and counted up, is the class: filters of `flow` at random.
#[test]
fn keys_are_mapped_as_the_kernel_maps_them() {
    needs!("drr", "flow", "u32");
    let host = Host::with(&["eth0"]);
    by_hand(&host);
    let mut kernel = host.netns.enter(|| Kernel::open(None).expect("netlink"));
    let sender = Sender::of(&host);
    let mut runner = TestRunner::default();
    let number = || prop_oneof![0..16_u32, any::<u32>()];
    let keys = prop::sample::select(vec!["src", "dst", "proto", "proto-src", "proto-dst", "priority", "mark"]);
    let filters = (keys, number(), number(), number(), 0..32_u32, 1..17_u32, 1..4_u32);
    let mut classes = std::collections::BTreeSet::new();
    for _ in 0..if virtual_time() { 40 } else { 12 } {
        let (key, and, xor, addend, rshift, divisor, base) = filters.new_tree(&mut runner).expect("numbers").current();
        let base = base.min(17 - divisor).max(1);
        let filter = format!(
            "protocol all prio 1 handle 1 flow map key {key} and 0x{and:x} xor 0x{xor:x} rshift {rshift} addend {addend} \
             divisor {divisor} baseclass 1:{base:x}"
        );
        host.netns.tc(&format!("filter replace dev eth0 parent 1: {filter}"));
        let packets = prop::collection::vec(packet(), 100).new_tree(&mut runner).expect("packets").current();
        // of others the key is an address in the kernel's memory
        let known = |packet: &&Packet| packet.layers().ip.is_some() && packet.layers().ports.is_some();
        let mut packets: Vec<Packet> =
            packets.into_iter().filter(|(_, plain)| *plain).map(|(packet, _)| packet).collect();
        packets.retain(|packet| known(&packet));
        packets.iter_mut().enumerate().for_each(|(i, packet)| packet.meta.priority = i as u32 % 7);
        let held = assumed(&kernel.read(Some(&["eth0"])).expect("a dump"), &|_| Facts::default());
        let model = Model::new(&held);
        let mut foreseen = Histogram::new();
        for packet in &packets {
            let class = model.quick("eth0", Side::Egress, packet).class().expect("a class");
            *foreseen.entry(class).or_default() += 1;
            classes.insert(class);
        }
        assert_eq!(sent(&mut kernel, &sender, &packets), foreseen, "{filter}\n{packets:?}");
    }
    assert!(classes.len() > 8, "{classes:?}");
}

/// A packet does not show the realm of its route: what the kernel does is among the ways that are told.
#[test]
fn realms_of_routes_are_among_the_ways() {
    needs!("drr", "route", "u32");
    let host = Host::with(&["eth0"]);
    by_hand(&host);
    host.netns.ip("address add 10.1.0.1/16 dev eth0");
    host.netns.ip("link set eth0 arp off");
    for (net, realm) in [("10.5.0.0/16", 5), ("10.6.0.0/16", 6), ("10.7.0.0/16", 7)] {
        host.netns.ip(&format!("route add {net} dev eth0 realm {realm}"));
    }
    host.netns.tc("filter add dev eth0 parent 1: protocol ip prio 1 route to 5 flowid 1:5");
    host.netns.tc("filter add dev eth0 parent 1: protocol ip prio 1 route to 6 flowid 1:6");
    let mut kernel = host.netns.enter(|| Kernel::open(None).expect("netlink"));
    let held = assumed(&kernel.read(Some(&["eth0"])).expect("a dump"), &|_| Facts::default());
    let model = Model::new(&held);
    let socket = host.netns.enter(|| std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket"));
    for (to, minor) in [([10, 5, 0, 9], 5), ([10, 6, 0, 9], 6), ([10, 7, 0, 9], 17)] {
        let before = counted(&kernel.read(Some(&["eth0"])).expect("a dump"));
        socket.send_to(b"realm", (IpAddr::from(to), 9)).expect("it is sent");
        let after = counted(&kernel.read(Some(&["eth0"])).expect("a dump"));
        let grown: Vec<Handle> =
            after.into_iter().filter(|(class, n)| *n > before[class]).map(|(class, _)| class).collect();
        assert_eq!(grown, [Handle::new(1, minor)], "to {to:?}");
        let packet = Fields { src: [10, 1, 0, 1].into(), dst: to.into(), ports: (1, 9), ..Fields::default() }.packet();
        let ways: Vec<Handle> = model.all("eth0", Side::Egress, &packet).iter().filter_map(|way| way.class()).collect();
        assert!(ways.contains(&grown[0]) && ways.len() == 3, "to {to:?}: {ways:?}");
    }
}

/// The kernel's own tree is asked, whoever made it; the answer for a policy's is the answer from its file.
#[test]
fn what_is_held_is_asked() {
    needs!("htb", "u32");
    let host = Host::with(&["eth0", "eth1"]);
    let file = host.apply_text(&policy("htb", None, &["tcp dport 22", "udp"].map(str::to_owned)));
    host.netns.tc("qdisc add dev eth1 root handle 7: htb default 3");
    host.netns.tc("class add dev eth1 parent 7: classid 7:3 htb rate 1mbit");
    host.netns.tc("class add dev eth1 parent 7: classid 7:4 htb rate 1mbit");
    host.netns.tc("filter add dev eth1 parent 7: protocol ip prio 3 u32 match ip dst 198.51.100.0/24 flowid 7:4");
    let packets = ["--packet", "tcp dport 22", "--packet", "udp", "--packet", "icmp", "--format", "json"];
    let ask = |words: &[&str]| -> Vec<serde_json::Value> {
        let said = host.shapectl(&[&["classify"], words, &packets].concat()).ok();
        let json: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        json["packets"].as_array().expect("packets").clone()
    };
    let classes = |answers: &[serde_json::Value]| -> Vec<String> {
        answers.iter().map(|a| format!("{} {}", a["ways"][0]["class"], a["ways"][0]["name"])).collect()
    };
    let held = ask(&["--held", "eth0"]);
    assert_eq!(classes(&held), classes(&ask(&[crate::host::path(&file)])));
    assert_eq!(held[0]["ways"][0]["name"], "c0");
    let foreign = ask(&["--held", "eth1"]);
    assert_eq!(foreign.iter().map(|a| &a["ways"][0]["class"]).collect::<Vec<_>>(), ["7:4", "7:4", "7:4"]);
    // of all links that have something; a set has no name where no policy is asked
    assert_eq!(ask(&["--held"]).len(), 6);
    let none = host.shapectl(&["classify", "--held", "eth0", "--packet", "dst $lan"]);
    assert_eq!(none.status.code(), Some(1), "{none}");
    assert!(host.shapectl(&["classify", "--held", "eth0", "--packet", "service ssh"]).ok().contains("c0"));
}
