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
struct Sender {
    socket: Socket,
    link: LinkAddr,
}

impl Sender {
    fn of(host: &Host) -> Sender {
        host.netns.enter(|| {
            let all = getifaddrs().expect("the links");
            let link =
                all.filter(|one| one.interface_name == "eth0").find_map(|one| Some(*one.address?.as_link_addr()?));
            let socket = Socket::new(Domain::PACKET, Type::RAW, None).expect("a packet socket");
            Sender { socket, link: link.expect("eth0 has an address") }
        })
    }

    fn send(&self, packet: &Packet) {
        self.socket.set_mark(packet.meta.mark).expect("SO_MARK");
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
    if discipline == "htb" {
        text.push_str("      htb:\n        default: rest\n        classes:\n");
        for name in &names {
            text.push_str(&format!("          {name}: {{ rate: 1gbit, leaf: {queue} }}\n"));
        }
    } else {
        let rest = CLASSES.to_string();
        text.push_str(&format!("      prio:\n        bands: [{}]\n", names.join(", ")));
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
