//! What a match means, whatever classifier makes it: lists of rules by each of them on the kernel, packets sent past them,
//! and the classes' counters held against the meaning of the expressions.

use crate::bed::kernel;
use crate::bed::netns::Pair;
use crate::host::{Host, path};
use crate::needs;
use shapectl::diagnostic::Sink;
use shapectl::facts::Facts;
use shapectl::lower::{self, Ids};
use shapectl::packet::build::Fields;
use shapectl::packet::{Packet, meaning};
use shapectl::policy::{self, load};
use shapectl::source::{Sources, Span};
use shapectl::syntax::Limits;
use shapectl::syntax::expression::{Expression, Field};
use shapectl::syntax::expression_parser::parse;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Numbers that are the same in every run, unless `SHAPECTL_SEED` says where to begin.
struct Dice(u64);

impl Dice {
    fn new() -> Dice {
        Dice(std::env::var("SHAPECTL_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(7))
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

const TERMS: &[&str] = &[
    "tcp",
    "udp",
    "icmp",
    "ip",
    "ip6",
    "tcp dport 22",
    "tcp dport {22, 80}",
    "udp dport 53",
    "dport 1-1023",
    "sport 1000-2047",
    "port 443",
    "src 10.1.0.0/16",
    "src {10.1.0.1, 2001:db8::1}",
    "dst 10.9.1.0-10.9.1.2",
    "dst 2001:db8:1::/64",
    "host 10.1.0.2",
    "tos 0x10/0xfc",
    "dscp ef",
    "ttl 61-62",
    "len 0-44",
    "tcp flags syn/syn,ack",
    "icmp type echo-request",
    "frag",
    "frag first",
    "frag later",
    "mark 1",
    "mark 2/0x2",
    "mark 0",
];

/// What only some classifiers know.
const MORE: &[&str] = &["priority 1", "priority {2, 3}", "not priority 0"];

fn expression(dice: &mut Dice, terms: &[&str]) -> String {
    let mut parts = Vec::new();
    for _ in 0..1 + dice.below(3) {
        let not = if dice.below(4) == 0 { "not " } else { "" };
        parts.push(format!("{not}{}", dice.one(terms)));
    }
    let join = if dice.below(3) == 0 { " or " } else { " and " };
    parts.join(join)
}

fn read(text: &str) -> Option<Expression> {
    parse(text, Span::NONE, &|_| None, &mut Sink::new())
}

fn packet(dice: &mut Dice) -> Packet {
    let six = dice.below(2) == 0;
    let last = 1 + dice.below(3) as u8;
    let to = dice.below(4) as u8;
    let v6 = |net: u16, n: u8| IpAddr::from([0x2001, 0xdb8, net, 0, 0, 0, 0, u16::from(n)]);
    let (src, dst) = if six {
        (v6(0, last), v6(1 + u16::from(to > 2), to))
    } else {
        (IpAddr::from([10, 1, 0, last]), IpAddr::from([10, 9, 1, to]))
    };
    let proto = [6, 17, 17, 6, if six { 58 } else { 1 }, 132, 47][dice.below(7)];
    let fields = Fields {
        ether_type: if six { 0x86dd } else { 0x0800 },
        src,
        dst,
        tos: [0, 0x10, 0xb8, 0xba][dice.below(4)],
        ttl: 60 + dice.below(4) as u8,
        options: if dice.below(5) == 0 { 4 + 4 * dice.below(3) } else { 0 },
        proto,
        fragment: [(0, false), (0, false), (0, false), (0, true), (185, false), (185, true)][dice.below(6)],
        ports: ([1000, 2047, 443, 5000][dice.below(4)], [22, 53, 80, 443, 1023, 65535][dice.below(6)]),
        tcp_flags: dice.below(64) as u16,
        icmp: (if six { 128 } else { 8 }, 0),
        length: 0,
        ..Fields::default()
    };
    let mut packet = fields.packet();
    packet.meta.mark = dice.below(4) as u32;
    packet.meta.priority = dice.below(4) as u32;
    packet
}

const BEHIND: &[Field] =
    &[Field::Sport, Field::Dport, Field::Port, Field::TcpFlags, Field::IcmpType, Field::IcmpCode, Field::Proto];

fn names(e: &Expression, fields: &[Field]) -> bool {
    let mut found = false;
    e.visit(&mut |t| found |= fields.contains(&t.field));
    found
}

/// Whether a list by that classifier can be held to the meaning for that packet.
pub fn sees(pin: &str, list: &[Expression], packet: &Packet) -> bool {
    let layers = packet.layers();
    let Some(ip) = layers.ip else { return true };
    let behind = list.iter().any(|e| names(e, BEHIND));
    match pin {
        "bpf" => true,
        "flower" => layers.fragment.is_none() || !behind,
        // what is left to the compiler may be any of them
        _ => {
            let plain = if ip.six { ip.next == layers.proto } else { packet.bytes()[14] == 0x45 };
            let pieces = ip.six && list.iter().any(|e| names(e, &[Field::Fragment]));
            (plain || !(behind || pieces)) && (!pin.is_empty() || layers.fragment.is_none() || !behind)
        }
    }
}

struct Sender {
    v4: Socket,
    v6: Socket,
}

impl Sender {
    fn new() -> Sender {
        // IPPROTO_RAW: the header is the caller's
        let raw = |domain| Socket::new(domain, Type::RAW, Some(Protocol::from(255))).expect("a raw socket");
        Sender { v4: raw(Domain::IPV4), v6: raw(Domain::IPV6) }
    }

    fn send(&self, packet: &Packet, fields: IpAddr) {
        let socket = if fields.is_ipv4() { &self.v4 } else { &self.v6 };
        socket.set_mark(packet.meta.mark).expect("SO_MARK");
        socket.set_priority(packet.meta.priority).expect("SO_PRIORITY");
        let to = SockAddr::from(SocketAddr::new(fields, 0));
        socket.send_to(&packet.bytes()[14..], &to).unwrap_or_else(|e| panic!("{e}: {packet:?}"));
    }
}

/// Whether a policy can be compiled: not every match by every classifier.
pub fn compiles(host: &Host, text: &str) -> bool {
    let file = host.policy(text);
    let facts = |_: &str| Facts::default();
    let (mut sources, mut sink) = (Sources::new(), Sink::new());
    let limits = Limits::default();
    let documents = load::load(path(&file), &limits, &mut sources, &mut sink).expect("a policy");
    let policy = policy::read::read(&documents, &facts, &mut sink);
    lower::lower(&policy, &facts, &Ids::default(), &mut sink);
    !sink.has_errors()
}

/// Packets that each class has sent, by its minor number.
pub fn counts(host: &Host) -> BTreeMap<u16, u64> {
    let text = host.netns.tc("-s class show dev eth0");
    let mut counts = BTreeMap::new();
    let mut class = 0;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["class", "htb", handle, ..] => {
                class = u16::from_str_radix(handle.split(':').nth(1).expect("a handle"), 16).expect("a number");
            }
            ["Sent", _, "bytes", packets, ..] => {
                counts.insert(class, packets.parse().expect("a number"));
            }
            _ => {}
        }
    }
    counts
}

/// Lists by one classifier, or by whatever the compiler chooses.
fn lists(pin: &str, count: usize, more: &[&str]) {
    let Pair { near, far: _far } = Pair::new();
    let host = Host::of(near);
    host.netns.run("sh", ["-c", "echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6"]).ok();
    host.netns.ip("-6 address add 2001:db8:ff::1/64 dev eth0 nodad");
    host.netns.ip("link set eth0 arp off");
    host.netns.ip("route add 10.9.1.0/24 dev eth0");
    host.netns.ip("-6 route add 2001:db8::/32 dev eth0");
    let sender = host.netns.enter(Sender::new);
    let mut dice = Dice::new();
    let marks = pin != "u32" || kernel::lacks("u32-mark").is_none();
    let terms: Vec<&str> = TERMS.iter().chain(more).copied().filter(|t| marks || !t.contains("mark")).collect();
    let (mut asked, mut taken) = (0, 0);
    for _ in 0..count {
        let mut texts: Vec<String> = Vec::new();
        while texts.len() < 4 {
            let text = expression(&mut dice, &terms);
            if read(&text).is_some() && compiles(&host, &written(pin, std::slice::from_ref(&text))) {
                texts.push(text);
            }
        }
        let list: Vec<Expression> = texts.iter().filter_map(|t| read(t)).collect();
        host.apply_text(&written(pin, &texts));
        let packets: Vec<Packet> =
            (0..200).map(|_| packet(&mut dice)).filter(|packet| sees(pin, &list, packet)).collect();
        let before = counts(&host);
        let mut meant: BTreeMap<u16, u64> = BTreeMap::new();
        for packet in &packets {
            let class = list.iter().position(|e| meaning::holds(e, packet)).map_or(1, |i| i as u16 + 3);
            *meant.entry(class).or_default() += 1;
            sender.send(packet, packet.layers().ip.expect("IP").dst);
            taken += usize::from(class > 1);
        }
        asked += packets.len();
        let after = counts(&host);
        // class 2 is for what the kernel itself sends
        let held: BTreeMap<u16, u64> = after
            .iter()
            .map(|(class, n)| (*class, n - before.get(class).unwrap_or(&0)))
            .filter(|(class, n)| *class != 2 && *n > 0)
            .collect();
        let filters = || host.netns.tc("filter show dev eth0");
        assert_eq!(held, meant, "{pin}: {texts:#?}\n{}", filters());
    }
    assert!(asked > 50 * count && taken > 10 * count, "{asked} packets, {taken} taken by rules");
}

/// Nothing waits.
const FAST: &str = "rate: 1gbit, burst: 1mb, cburst: 1mb, quantum: 60000";

/// `rest` is 1:1, `noise` 1:2, and the rules' classes follow.
fn written(pin: &str, texts: &[String]) -> String {
    let classes: String = (0..4).map(|i| format!("          c{i}: {{ {FAST} }}\n")).collect();
    let rules: String =
        texts.iter().enumerate().map(|(i, text)| format!("        - {{ class: c{i}, match: \"{text}\" }}\n")).collect();
    let pin = if pin.is_empty() { String::new() } else { format!("      classifier: {pin}\n") };
    format!(
        "interfaces:
  eth0:
    egress:
      htb:
        default: rest
        classes:
          rest: {{ {FAST} }}
          noise: {{ {FAST} }}
{classes}{pin}      rules:
        - {{ class: noise, match: \"src {{fe80::/10, ::, 2001:db8:ff::1}}\" }}
{rules}"
    )
}

/// How many lists there are: few, or as many as somebody asks for.
fn count() -> usize {
    std::env::var("SHAPECTL_LISTS").ok().and_then(|n| n.parse().ok()).unwrap_or(3)
}

#[test]
fn u32_means_what_the_rules_mean() {
    needs!("htb", "u32", "veth");
    lists("u32", count(), &[]);
}

#[test]
fn programs_mean_what_the_rules_mean() {
    needs!("htb", "bpf", "veth");
    lists("bpf", count(), &[]);
}

#[test]
fn flower_means_what_the_rules_mean() {
    needs!("htb", "flower", "veth");
    lists("flower", count(), &[]);
}

#[test]
fn basic_means_what_the_rules_mean() {
    needs!("htb", "basic", "veth");
    lists("basic", count(), MORE);
}

#[test]
fn the_choice_means_what_the_rules_mean() {
    needs!("htb", "u32", "u32-mark", "bpf", "basic", "fw", "veth");
    lists("", count(), MORE);
}

/// A trunk: frames of VLANs go where `vlan` says, and to nothing that does not name one.
#[test]
fn tags_are_seen() {
    needs!("htb", "bpf", "veth");
    let Pair { near, far: _far } = Pair::new();
    let host = Host::of(near);
    let made = host.netns.run("ip", "link add link eth0 name eth0.5 type vlan id 5".split(' '));
    if !made.status.success() {
        return kernel::skip("classifiers::tags_are_seen", "vlan", "no devices of that kind");
    }
    let texts = ["vlan 5 and udp dport 53", "vlan 5-6", "udp"].map(str::to_owned);
    host.apply_text(&written("bpf", &texts));
    host.netns.ip("link set eth0 arp off");
    for id in [5, 6, 7] {
        if id != 5 {
            host.netns.ip(&format!("link add link eth0 name eth0.{id} type vlan id {id}"));
        }
        host.netns.ip(&format!("link set eth0.{id} arp off up"));
        host.netns.ip(&format!("route add 10.5.{id}.0/24 dev eth0.{id}"));
    }
    host.netns.ip("route add 10.5.0.0/24 dev eth0");
    let sender = host.netns.enter(Sender::new);
    let before = counts(&host);
    for (id, port, times) in [(5, 53, 1), (5, 54, 2), (6, 53, 4), (7, 53, 8), (0, 53, 16)] {
        let dst = IpAddr::from([10, 5, id, 1]);
        let src = IpAddr::from([10, 1, 0, 1]);
        let packet = Fields { src, dst, ports: (1, port), ..Fields::default() }.packet();
        (0..times).for_each(|_| sender.send(&packet, dst));
    }
    let after = counts(&host);
    let sent = |class: u16| after[&class] - before.get(&class).unwrap_or(&0);
    assert_eq!([sent(3), sent(4), sent(5), sent(1)], [1, 6, 16, 8], "{}", kernel::name());
}

/// What the kernel lacks is done without, or refused at its place.
#[test]
fn a_kernel_is_asked_for_its_classifiers() {
    needs!("htb", "bpf", "veth");
    let host = Host::with(&["eth0"]);
    host.apply_text(&written("", &["mark 5 and udp dport 53", "mark 0", "any", "any"].map(str::to_owned)));
    let held = host.netns.tc("filter show dev eth0");
    let by = if kernel::lacks("u32-mark").is_some() { "bpf" } else { "u32" };
    assert!(held.contains(&format!(" {by} ")), "{held}");
    for (kind, text) in [("flower", "connmark 5"), ("basic", "priority 5")] {
        let file = host.policy(&written("", &[text, "any", "any", "any"].map(str::to_owned)));
        for words in [vec!["apply", path(&file)], vec!["check", "--live", path(&file)]] {
            let ran = host.shapectl(&words);
            let lacks = kernel::lacks(kind).is_some();
            assert_eq!(ran.status.success(), !lacks, "{ran}");
            assert_eq!(ran.stderr.contains(&format!("only `{kind}` can say this")), lacks, "{ran}");
        }
    }
}
