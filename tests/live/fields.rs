//! Every field of the expression language, by every classifier that can say it: packets that a rule means and packets that
//! it does not are sent, and the counters of the kernel's classes held against the meaning.

use crate::bed::kernel;
use crate::classifiers::{compiles, counts, sees};
use crate::classify::Sender;
use crate::host::Host;
use crate::needs;
use shapectl::diagnostic::Sink;
use shapectl::packet::build::Fields;
use shapectl::packet::describe::describe;
use shapectl::packet::{ARP, IPV4, Packet, meaning};
use shapectl::policy::{load, read};
use shapectl::source::{Sources, Span};
use shapectl::syntax::Limits;
use shapectl::syntax::expression::{Expression, Way};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the names in the matches stand for.
const NAMES: &str = "
let: { web: \"80\", away: 198.51.100.0/24 }
sets: { lan: [ 198.51.100.1, \"2001:db8:1::/64\" ], ports: [ 22, 40001-40009 ] }
services: { mine: udp port 40001 }
";

/// A match for each field and each way of writing it.
const FIELDS: &[&str] = &[
    "any",
    "ip",
    "ip6",
    "not ip",
    "dst 198.51.100.1",
    "dst 198.51.100.0/24",
    "dst 198.51.100.1-198.51.100.9",
    "dst not 198.51.100.1",
    "dst not {198.51.100.1, 198.51.100.7, 2001:db8:1::1}",
    "dst 2001:db8:1::/48",
    "dst 2001:db8:1::1-2001:db8:1::ff",
    "dst 0.0.0.0/0",
    "dst ::/0",
    "dst {198.51.100.0/24, 198.51.100.1, 198.51.0.0/16}",
    "host 198.51.100.1",
    "dst $away",
    "dst @lan",
    "dst not $lan",
    "proto 47",
    "proto not {tcp, udp}",
    "tcp",
    "udp",
    "sctp",
    "dccp",
    "icmp",
    "icmp6",
    "tcp dport 22",
    "tcp dport not {22, 80}",
    "dport {22, 40001}",
    "dport 40001-65535",
    "dport 0-65535",
    "dport $web",
    "dport @ports",
    "sport 40000",
    "port 40000-40001",
    "service ssh",
    "service mine",
    "service not ssh",
    "server port 40000",
    "client port 22",
    "tcp flags syn",
    "tcp flags syn/syn,ack",
    "tcp flags not ack",
    "acks",
    "syns",
    "icmp type echo-request",
    "icmp type 3 code 4",
    "tos 0x10",
    "tos minimize-delay",
    "tos 0x10/0x1e",
    "dscp ef",
    "dscp not ef",
    "dscp {cs1, af41}",
    "ttl 1-5",
    "ttl not 64",
    "len 0-60",
    "len not 0-60",
    "frag",
    "frag first",
    "frag later",
    "not frag",
    "mark 6",
    "mark 0x10/0xf0",
    "mark not 6",
    "priority 2",
    "priority not 2",
    "u32 0x00b80000 0x00ff0000 at 0",
    "not u32 0x00b80000 0x00ff0000 at 0",
    "not (tcp dport 22 or udp)",
    "tcp and not (dst 198.51.0.0/16 or dst 2001:db8:1::/64)",
    "(tcp or udp) and (dport 22 or sport 22)",
];

/// Packets that are sent from each rule's address beside those that the rule describes.
const OTHERS: &[&str] = &[
    "udp",
    "tcp dport 22 flags syn",
    "tcp dport 80 flags syn,ack len 400",
    "icmp",
    "proto 47",
    "frag first",
    "frag later",
    "dscp ef ttl 3",
    "mark 6",
    "priority 2 mark 0x15",
    "tcp and (dst 203.0.113.9 or dst 2001:db8:9::9)",
];

/// Nothing waits.
const FAST: &str = "rate: 1gbit, burst: 1mb, cburst: 1mb, quantum: 60000";

/// `rest` is 1:1, and the rules' classes follow.
fn policy(pin: &str, rules: &[String]) -> String {
    let pin = if pin.is_empty() { String::new() } else { format!("      classifier: {pin}\n") };
    let classes: String = (0..rules.len()).map(|i| format!("          c{i}: {{ {FAST} }}\n")).collect();
    let rules = rules.iter().enumerate().map(|(i, text)| format!("        - {{ class: c{i}, match: \"{text}\" }}\n"));
    format!(
        "{NAMES}interfaces:\n  eth0:\n    egress:\n{pin}      htb:\n        default: rest\n        \
         classes:\n          rest: {{ {FAST} }}\n{classes}      rules:\n{}",
        rules.collect::<String>()
    )
}

/// An expression with what its names stand for.
fn meant(host: &Host, text: &str) -> Expression {
    let file = host.file("names.yaml", NAMES);
    let (mut sources, mut sink) = (Sources::new(), Sink::new());
    let documents = load::load(&file, &Limits::default(), &mut sources, &mut sink).expect("names");
    let expression = read::expression(&documents, text, Span::NONE, Way::Up, &mut sink);
    expression.unwrap_or_else(|| panic!("{text}: {:?}", sink.found))
}

/// What each class counts of packets, by its minor number.
fn sent(host: &Host, send: impl FnOnce(), count: usize) -> BTreeMap<u16, u64> {
    let before = counts(host);
    send();
    let began = Instant::now();
    loop {
        let grown = counts(host).into_iter().map(|(class, n)| (class, n - before.get(&class).unwrap_or(&0)));
        let grown: BTreeMap<u16, u64> = grown.filter(|(_, n)| *n > 0).collect();
        if grown.values().sum::<u64>() >= count as u64 || began.elapsed() > Duration::from_secs(2) {
            return grown;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What only some kernels can say.
fn sayable(text: &str) -> bool {
    let lacks = |thing: &str| kernel::lacks(thing).is_some();
    !(text.contains("priority") && lacks("basic") || text.contains("mark") && lacks("u32-mark") && lacks("bpf"))
}

/// Each rule is asked about packets of its own source, so that no rule stands in another's way.
fn all_fields(pin: &str, least: usize) {
    let host = Host::with(&["eth0"]);
    let from = |i: usize| format!("src {{10.1.{}.{}, 2001:db8::{:x}}}", i / 250, i % 250 + 1, i + 1);
    let whole = |i: usize, text: &str| format!("{} and ({text})", from(i));
    let marks = pin != "u32" || kernel::lacks("u32-mark").is_none();
    let fields = FIELDS.iter().filter(|text| sayable(text) && (marks || !text.contains("mark")));
    let texts: Vec<&str> = fields.filter(|text| compiles(&host, &policy(pin, &[whole(0, text)]))).copied().collect();
    assert!(texts.len() >= least, "{pin} can say {} of {}", texts.len(), FIELDS.len());
    let rules: Vec<String> = texts.iter().enumerate().map(|(i, text)| whole(i, text)).collect();
    host.apply_text(&policy(pin, &rules));
    let mut packets: Vec<Packet> = Vec::new();
    let mut expected: BTreeMap<u16, u64> = BTreeMap::new();
    for (i, rule) in rules.iter().enumerate() {
        let expression = meant(&host, rule);
        let own = describe(&expression).ok().into_iter().flatten();
        let others = OTHERS.iter().filter_map(|text| describe(&meant(&host, &whole(i, text))).ok()).flatten();
        let (mut yes, mut no) = (0, 0);
        for packet in own.chain(others).map(|described| described.packet) {
            if !sees(pin, std::slice::from_ref(&expression), &packet) {
                continue;
            }
            let class = if meaning::holds(&expression, &packet) { i as u16 + 2 } else { 1 };
            *(if class > 1 { &mut yes } else { &mut no }) += 1;
            *expected.entry(class).or_default() += 1;
            packets.push(packet);
        }
        assert!(yes > 0 && (no > 0 || texts[i] == "any"), "`{}`: {yes} packets that it means, {no} others", texts[i]);
    }
    let sender = Sender::of(&host);
    let found = sent(&host, || packets.iter().for_each(|packet| sender.send(packet)), packets.len());
    let wrong = (1..=rules.len() as u16 + 1).filter(|class| found.get(class) != expected.get(class)).map(|class| {
        let rule = rules.get(usize::from(class).wrapping_sub(2)).map_or("rest", String::as_str);
        format!("{rule}: {:?} packets, not {:?}", found.get(&class), expected.get(&class))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{pin}: {wrong:#?}");
}

#[test]
fn the_choice_says_every_field() {
    needs!("htb", "u32", "bpf");
    let all = FIELDS.iter().filter(|text| sayable(text)).count();
    all_fields("", all);
}

#[test]
fn u32_says_most_fields() {
    needs!("htb", "u32");
    all_fields("u32", 60);
}

#[test]
fn programs_say_most_fields() {
    needs!("htb", "bpf");
    all_fields("bpf", 60);
}

#[test]
fn flower_says_many_fields() {
    needs!("htb", "flower");
    all_fields("flower", 40);
}

#[test]
fn basic_says_most_fields() {
    needs!("htb", "basic");
    all_fields("basic", 60);
}

/// A list in its order, with packets whose class is that of the first rule that means them.
fn in_order(host: &Host, pin: &str, texts: &[&str], packets: &[Packet], send: impl Fn(&Packet)) {
    let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    host.apply_text(&policy(pin, &texts));
    let list: Vec<Expression> = texts.iter().map(|text| meant(host, text)).collect();
    let mut expected: BTreeMap<u16, u64> = BTreeMap::new();
    for packet in packets {
        let class = list.iter().position(|e| meaning::holds(e, packet)).map_or(1, |i| i as u16 + 2);
        *expected.entry(class).or_default() += 1;
    }
    assert!((1..texts.len() as u16 + 2).all(|class| expected.contains_key(&class)), "{texts:?}: {expected:?}");
    let found = sent(host, || packets.iter().for_each(send), packets.len());
    assert_eq!(found, expected, "{pin}: {texts:?}\n{}", host.netns.tc("filter show dev eth0"));
}

fn udp(dport: u16) -> Fields {
    let (src, dst) = (IpAddr::from([10, 1, 0, 1]), IpAddr::from([10, 9, 2, 1]));
    Fields { src, dst, ports: (1000, dport), ..Fields::default() }
}

/// Hardware addresses and ethertypes, of frames that are no IP too.
#[test]
fn hardware_addresses_and_ethertypes_are_seen() {
    needs!("htb", "u32", "bpf");
    let host = Host::with(&["eth0"]);
    let sender = Sender::of(&host);
    let mac = |n: u8| [2, 0, 0, 0, 9, n];
    let mut packets = Vec::new();
    for (ether_type, to, from) in
        [IPV4, ARP, 0x88cc].into_iter().flat_map(|t| (1..4).flat_map(move |a| (1..4).map(move |b| (t, a, b))))
    {
        packets.push(Fields { ether_type, macs: (mac(to), mac(from)), ..udp(53) }.packet());
    }
    let addresses = [
        "mac src 02:00:00:00:09:01 and mac dst 02:00:00:00:09:02",
        "mac src 02:00:00:00:09:01",
        "mac 02:00:00:00:09:03",
    ];
    let types = ["mac src 02:00:00:00:09:01 and arp", "ethertype 0x88cc", "ethertype arp"];
    for pin in ["", "u32", "bpf", "flower", "basic"] {
        if !pin.is_empty() && kernel::lacks(pin).is_some() {
            continue;
        }
        in_order(&host, pin, &addresses, &packets, |packet| sender.send(packet));
        in_order(&host, pin, &types, &packets, |packet| sender.send(packet));
    }
    let others =
        ["ethertype not {arp, 0x88cc} and mac src not 02:00:00:00:09:01", "not arp and not mac dst 02:00:00:00:09:02"];
    in_order(&host, "", &others, &packets, |packet| sender.send(packet));
}

/// What comes in by one link or another and is sent on by a third.
#[test]
fn the_link_that_packets_came_in_by_is_seen() {
    needs!("htb", "u32");
    let host = Host::with(&["eth0", "eth1", "eth2"]);
    host.netns.run("sh", ["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward; for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done"]).ok();
    for (link, n) in [("eth0", 0), ("eth1", 1), ("eth2", 2)] {
        host.netns.ip(&format!("link set {link} address 02:00:00:00:08:0{n}"));
        host.netns.ip(&format!("address add 10.8.{n}.1/24 dev {link}"));
    }
    host.netns.ip("link set eth0 arp off");
    host.netns.ip("route add 10.9.2.0/24 dev eth0");
    host.netns.ip("route add 10.1.0.0/24 dev eth1");
    let senders: Vec<Sender> = ["eth0", "behind-eth1", "behind-eth2"].map(|link| Sender::on(&host, link)).into();
    let mut packets = Vec::new();
    for (n, port) in [(0, 53), (0, 54), (1, 53), (1, 54), (2, 53), (2, 54), (2, 55)] {
        let mut packet = Fields { macs: ([2, 0, 0, 0, 8, n], [2, 0, 0, 0, 7, n]), ..udp(port) }.packet();
        packet.meta.iif = (n > 0).then(|| format!("eth{n}").into());
        packets.push(packet);
    }
    let send = |packet: &Packet| {
        let by = packet.meta.iif.as_ref().map_or(0, |link| if link == "eth1" { 1 } else { 2 });
        senders[by].send(packet);
    };
    for pin in ["", "u32", "flower"] {
        if !pin.is_empty() && kernel::lacks(pin).is_some() {
            continue;
        }
        in_order(
            &host,
            pin,
            &["iif eth1 and udp dport 53", "iif {eth1, eth0}", "iif eth2 and udp dport not 55"],
            &packets,
            send,
        );
    }
    // no classifier can say that it was another link
    let file = host.policy(&policy("", &["iif not eth1".to_owned()]));
    let refused = host.shapectl(&["check", crate::host::path(&file)]);
    assert!(refused.stderr.contains("no-classifier") && refused.stderr.contains("eth1"), "{refused}");
}

/// The mark of the connection, which an action of tc gives it here before the discipline is asked.
#[test]
fn the_mark_of_a_connection_is_seen() {
    needs!("htb", "flower", "ct", "clsact", "u32");
    let host = Host::with(&["eth0"]);
    host.netns.ip("address add 10.1.0.1/24 dev eth0");
    host.netns.ip("link set eth0 arp off");
    host.netns.ip("route add 10.9.2.0/24 dev eth0");
    host.netns.tc("qdisc add dev eth0 clsact");
    for (number, port) in [(5, 1005_u16), (0x16, 1022)] {
        let at = format!("filter add dev eth0 egress protocol ip prio {port} u32 match ip sport {port} 0xffff");
        host.netns.tc(&format!("{at} action ct commit mark {number}/0xffffffff"));
    }
    let mut packets = Vec::new();
    for (sport, connmark, dport) in [(1005, Some(5), 53), (1005, Some(5), 54), (1022, Some(0x16), 53), (1000, None, 53)]
    {
        let mut packet = Fields { ports: (sport, dport), ..udp(dport) }.packet();
        packet.meta.connmark = connmark;
        packets.push(packet);
    }
    let texts = ["connmark 5 and udp dport 53", "connmark 5", "ct mark 0x10/0xf0"];
    // by sockets, whose checksums connection tracking finds right
    let send = |packet: &Packet| {
        let (Some(ip), Some((sport, dport))) = (packet.layers().ip, packet.layers().ports) else { return };
        let (from, to) = ((ip.src, sport), (ip.dst, dport));
        let socket = host.netns.enter(|| std::net::UdpSocket::bind(from).expect("the port is free"));
        socket.send_to(b"mark", to).expect("it is sent");
    };
    in_order(&host, "", &texts, &packets, send);
    in_order(&host, "flower", &texts, &packets, send);
    // `ct` keeps its connections until some time after its filters are gone, and a namespace that goes waits for them without
    // ever resting (`nf_conntrack_cleanup_net_list`), which holds a virtual clock still
    host.netns.tc("qdisc del dev eth0 clsact");
    std::thread::sleep(std::time::Duration::from_secs(1));
}

/// A control group of net_cls, gone when it goes out of scope.
struct Group {
    folder: tempfile::TempDir,
}

impl Group {
    fn new() -> Group {
        let folder = tempfile::TempDir::new().expect("a folder");
        let at = folder.path().to_str().expect("a plain path").to_owned();
        crate::bed::netns::bounded("mount", ["-t", "cgroup", "-o", "net_cls", "none", &at]).ok();
        Group { folder }
    }

    /// Sends from a thread that is in the group of that number, by a socket of its own: what counts is the group that opened it
    /// (`task_get_classid` in include/net/cls_cgroup.h).
    fn send(&self, number: u32, host: &Host, packet: &Packet) {
        let place = |name: &str| self.folder.path().join(name);
        let own = if number == 0 { Path::new("").to_owned() } else { format!("g{number:x}").into() };
        let group = self.folder.path().join(&own);
        std::fs::create_dir_all(&group).expect("a group");
        if number != 0 {
            std::fs::write(group.join("net_cls.classid"), number.to_string()).expect("its number");
        }
        let (joined, left, packet) = (group.join("tasks"), place("tasks"), packet.clone());
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let thread = nix::unistd::gettid().to_string();
                std::fs::write(joined, &thread).expect("the thread joins");
                Sender::of(host).send(&packet);
                std::fs::write(left, &thread).expect("the thread leaves");
            });
        });
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.folder.path()).into_iter().flatten().flatten() {
            let _ = std::fs::remove_dir(entry.path());
        }
        let at = self.folder.path().to_str().expect("a plain path").to_owned();
        let _ = std::process::Command::new("umount").arg(at).status();
    }
}

/// A group's packets go to the class of its number, as the warning says: other groups' to theirs, and past later rules.
#[test]
fn control_groups_go_to_the_class_of_their_number() {
    needs!("htb", "cgroup", "u32");
    let host = Host::with(&["eth0"]);
    let groups = Group::new();
    let rules = ["cgroup 1:2 and udp", "udp dport 53", "cgroup 1:4"].map(str::to_owned);
    let file = host.apply_text(&policy("", &rules));
    let warned = host.shapectl(&["check", crate::host::path(&file)]);
    assert!(warned.stderr.contains("group-others") && warned.stderr.contains("meta cgroup 0x10002"), "{warned}");
    let tree = host.netns.enter(|| shapectl::kernel::Kernel::open(None).expect("netlink").read(Some(&["eth0"])));
    let tree = shapectl::classify::assumed(&tree.expect("a dump"), &|_| shapectl::facts::Facts::default());
    let model = shapectl::classify::Model::new(&tree);
    // the group's own; another's with a class, and with none; nobody's
    for (number, port, class) in [
        (0x10002, 53, 2),
        (0x10002, 54, 2),
        (0x10004, 53, 4),
        (0x10003, 54, 3),
        (0x1_0099, 53, 1),
        (0, 53, 3),
        (0, 54, 1),
    ] {
        let mut packet = udp(port).packet();
        packet.meta.cgroup = (number != 0).then_some(number);
        let found = sent(&host, || groups.send(number, &host, &packet), 1);
        assert_eq!(found, BTreeMap::from([(class, 1)]), "from {number:x} to port {port}");
        let read = model.quick("eth0", shapectl::classify::Side::Egress, &packet).class().map_or(1, |c| c.minor());
        assert_eq!(read, class, "our reading of {number:x} to port {port}");
    }
}

/// Filters that no table takes, more of them than one priority has numbers: the order holds from one to the next.
#[test]
fn more_filters_than_a_priority_holds_stay_in_order() {
    needs!("htb", "u32");
    let host = Host::with(&["eth0"]);
    let sender = Sender::of(&host);
    let rule = |n: u32, class: u32| {
        format!("        - {{ class: c{class}, match: \"mac src 02:00:00:00:{:02x}:{:02x}\" }}\n", n >> 8, n & 255)
    };
    let classes: String = (0..3).map(|i| format!("          c{i}: {{ {FAST} }}\n")).collect();
    // the last rule of all takes what one of the first has taken
    let rules: String = (0..5000).map(|n| rule(n, n % 2)).chain([rule(7, 2), rule(5000, 2)]).collect();
    host.apply_text(&format!(
        "accept: equal-rules\ninterfaces:\n  eth0:\n    egress:\n      htb:\n        default: rest\n        classes:\n          \
         rest: {{ {FAST} }}\n{classes}      rules:\n{rules}"
    ));
    let mut expected: BTreeMap<u16, u64> = BTreeMap::new();
    let numbers = [0, 7, 1021, 1022, 1023, 4094, 4095, 4096, 4097, 4999, 5000, 5001];
    for n in numbers {
        *expected
            .entry(if n > 5000 {
                1
            } else if n == 5000 {
                4
            } else {
                2 + n % 2
            })
            .or_default() += 1;
    }
    let send = || {
        for n in numbers {
            sender.send(&Fields { macs: ([2; 6], [2, 0, 0, 0, (n >> 8) as u8, n as u8]), ..udp(53) }.packet());
        }
    };
    assert_eq!(sent(&host, send, numbers.len()), expected);
    let shown = host.netns.tc("filter show dev eth0");
    assert!(shown.matches("flowid").count() >= 5000, "{} filters", shown.matches("flowid").count());
}

/// Filters that need a priority each, more of them than there are steps between priorities: they stand closer, in order.
#[test]
fn priorities_that_run_short_stand_closer() {
    needs!("htb", "basic");
    let host = Host::with(&["eth0"]);
    let sender = Sender::of(&host);
    const COUNT: u32 = 6600;
    let rules: String = (1..=COUNT).map(|n| format!("        - {{ class: c{}, match: mark {n} }}\n", n % 2)).collect();
    host.apply_text(&format!(
        "interfaces:\n  eth0:\n    egress:\n      classifier: basic\n      htb:\n        default: rest\n        classes:\n          \
         rest: {{ {FAST} }}\n          c0: {{ {FAST} }}\n          c1: {{ {FAST} }}\n      rules:\n{rules}"
    ));
    let send = || {
        for mark in [0, 1, 2, COUNT / 2, COUNT - 1, COUNT, COUNT + 1] {
            let mut packet = udp(53).packet();
            packet.meta.mark = mark;
            sender.send(&packet);
        }
    };
    assert_eq!(sent(&host, send, 7), BTreeMap::from([(1, 2), (2, 3), (3, 2)]));
    let shown = host.netns.tc("filter show dev eth0");
    assert!(shown.matches("flowid").count() == COUNT as usize, "{}", shown.matches("flowid").count());
}

/// Words that a packet need not have: each such filter of u32 has its priority for itself, and the kernel has tables for
/// 2047 of them. Where u32 is pinned more are refused; else they are programs.
#[test]
fn priorities_of_u32_are_counted() {
    needs!("htb", "u32");
    let host = Host::with(&["eth0"]);
    let sender = Sender::of(&host);
    let policy = |count: u32, pin: &str| {
        let rule = |n: u32| format!("        - {{ class: c{}, match: ip u32 0x{n:x} 0xffffffff at 60{pin} }}\n", n % 2);
        let rules: String = (1..=count).map(rule).collect();
        format!(
            "interfaces:\n  eth0:\n    egress:\n      htb:\n        default: rest\n        classes:\n          \
             rest: {{ {FAST} }}\n          c0: {{ {FAST} }}\n          c1: {{ {FAST} }}\n      rules:\n{rules}"
        )
    };
    let pin = ", classifier: u32";
    host.apply_text(&policy(2047, pin));
    let word = |n: u32| {
        let mut packet = Fields { length: 100, ..udp(53) }.packet();
        packet.write(60, &n.to_be_bytes());
        packet
    };
    let send = || [1, 2, 1024, 2046, 2047, 2048].into_iter().for_each(|n| sender.send(&word(n)));
    assert_eq!(sent(&host, send, 6), BTreeMap::from([(1, 1), (2, 3), (3, 2)]));
    let check = |pin: &str| host.shapectl(&["check", crate::host::path(&host.policy(&policy(2048, pin)))]);
    let many = check(pin);
    assert!(many.status.code() == Some(1) && many.stderr.contains("handle-budget"), "{many}");
    assert!(check("").status.success());
}
