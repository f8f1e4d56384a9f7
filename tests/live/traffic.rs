//! Packets do what the policy says: rates hold, rules put packets in their class, policers police, ifbs shape.
//!
//! Offered rates are above the shaped ones throughout, so that the shaper is always busy. In real time a rate is held to
//! 5 %; in virtual time, where nothing is late, to 100 parts in a million.

use crate::bed::kernel;
use crate::bed::netns::{Netns, Pair};
use crate::bed::traffic::{Flow, Heard, Receiver};
use crate::host::Host;
use crate::needs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

/// Two machines on one cable; the near one runs the policy on `eth0`.
struct Cable {
    near: Host,
    far: Host,
}

impl Cable {
    fn new() -> Cable {
        let Pair { near, far } = Pair::new();
        Cable { near: Host::of(near), far: Host::of(far) }
    }

    /// Two cables, `eth0` to `eth0` and `eth1` to `eth1`.
    fn two() -> Cable {
        let cable = Cable::new();
        let (near, far) = (&cable.near.netns, &cable.far.netns);
        near.ip(&format!("link add eth1 type veth peer name eth1 netns {}", far.name()));
        for (netns, address) in [(near, "10.9.1.1"), (far, "10.9.1.2")] {
            netns.ip(&format!("addr add {address}/24 dev eth1"));
            netns.ip("link set eth1 up");
        }
        cable
    }
}

const SETTLE: Duration = Duration::from_millis(1500);
/// Virtual seconds cost nothing, and over more of them a packet more or less counts for less.
fn during() -> Duration {
    Duration::from_secs(if kernel::virtual_time() { 20 } else { 3 })
}

/// Runs a test that measures. In real time a machine that is busy with something else spoils a measurement: it is taken up to
/// three times then. In virtual time nothing is late.
fn in_time(test: impl Fn() + std::panic::RefUnwindSafe) {
    let again = if kernel::virtual_time() { 0 } else { 2 };
    if !(0..again).any(|_| std::panic::catch_unwind(&test).is_ok()) {
        test();
    }
}

/// Sends the flows from `near` at once and gives what is heard of each at its port of `far`, which must all differ.
fn hear(near: &Netns, far: &Netns, flows: &[(u16, Flow)]) -> Vec<Heard> {
    let receivers = flows.iter().map(|(port, _)| Receiver::at(far, &format!("10.9.0.2:{port}")));
    let receivers = receivers.map(|receiver| receiver.start(SETTLE, during())).collect::<Vec<_>>();
    let senders = flows.iter().map(|(_, flow)| flow.start(near)).collect::<Vec<_>>();
    for sender in senders {
        sender.join().unwrap();
    }
    receivers.into_iter().map(|receiver| receiver.join().unwrap()).collect()
}

/// Sends 5 Mbit/s from one machine to each of the addresses of another at once, and gives what is heard there.
fn hear_all(from: &Netns, at: &Netns, addresses: &[&str]) -> Vec<Heard> {
    let lasts = SETTLE + during() + Duration::from_millis(300);
    let receivers: Vec<_> = addresses.iter().map(|to| Receiver::at(at, to).start(SETTLE, during())).collect();
    let senders: Vec<_> = addresses.iter().map(|to| Flow::to(to, 5_000_000, lasts).start(from)).collect();
    senders.into_iter().for_each(|sender| _ = sender.join().unwrap());
    receivers.into_iter().map(|receiver| receiver.join().unwrap()).collect()
}

/// A flow to a port of the far machine.
fn flow(port: u16, offered: u64) -> (u16, Flow) {
    (port, Flow::to(&format!("10.9.0.2:{port}"), offered, SETTLE + during() + Duration::from_millis(300)))
}

/// Fails unless a flow came at that rate.
fn assert_rate(heard: &Heard, rate: f64) {
    assert_rate_within(heard, rate, if kernel::virtual_time() { 100e-6 } else { 0.05 });
}

fn assert_rate_within(heard: &Heard, rate: f64, tolerance: f64) {
    let off = heard.rate() / rate - 1.0;
    println!("{:.0} bit/s where {rate} are set: {:+.0} ppm", heard.rate(), off * 1e6);
    assert!(off.abs() <= tolerance, "{:.0} bit/s where {rate} are set ({off:+.6}): {heard:?}", heard.rate());
}

#[test]
fn a_tbf_holds_its_rate() {
    needs!("tbf", "veth");
    in_time(|| {
        let cable = Cable::new();
        cable
            .near
            .apply_text("interfaces: { eth0: { egress: { tbf: { rate: 4mbit, latency: 50ms, burst: 10kb } } } }\n");
        let heard = hear(&cable.near.netns, &cable.far.netns, &[flow(5001, 8_000_000)]);
        assert_rate(&heard[0], 4e6);
    });
}

/// A tbf charges what `link` says: 4 Mbit/s of 1,500-byte frames that count 24 bytes more.
#[test]
fn overhead_is_charged() {
    needs!("tbf", "veth");
    in_time(|| {
        let cable = Cable::new();
        cable.near.apply_text(
            "interfaces: { eth0: { egress: { tbf: { rate: 4mbit, latency: 50ms, burst: 10kb, overhead: 24 } } } }\n",
        );
        let heard = hear(&cable.near.netns, &cable.far.netns, &[flow(5001, 8_000_000)]);
        assert_rate(&heard[0], 4e6 * 1500.0 / 1524.0);
    });
}

/// The same line, charged by a size table and by cake itself: frames of 1,500 bytes hold IP packets of 1,486, and cake knows
/// that PTM sends 65 bytes for each 64 begun.
#[test]
fn a_line_costs_what_its_preset_says() {
    needs!("tbf", "cake", "veth");
    let cable = Cable::new();
    for (egress, preset, size) in [
        ("tbf: { rate: 4mbit, latency: 50ms, burst: 10kb }", "pppoe-ptm", 1486 + 30),
        ("cake: { bandwidth: 4mbit }", "pppoe-ptm", 1486 + 30 + 24),
        ("tbf: { rate: 4mbit, latency: 50ms, burst: 10kb }", "pppoa-vcmux", (1486 + 10_i32).div_euclid(48) * 53 + 53),
        ("cake: { bandwidth: 4mbit }", "pppoa-vcmux", (1486 + 10_i32).div_euclid(48) * 53 + 53),
        ("cake: { bandwidth: 4mbit }", "docsis", 1486 + 18),
    ]
    .into_iter()
    .take(if kernel::virtual_time() { 5 } else { 2 })
    {
        let link = format!("link: {{ preset: {preset} }}");
        let policy = cable.near.apply_text(&format!("interfaces: {{ eth0: {{ {link}, egress: {{ {egress} }} }} }}\n"));
        cable.near.assert_settled(&policy);
        let heard = hear(&cable.near.netns, &cable.far.netns, &[flow(5001, 6_000_000)]);
        println!("{egress} {preset}");
        assert_rate_within(
            &heard[0],
            4e6 * 1500.0 / f64::from(size),
            if kernel::virtual_time() { 0.002 } else { 0.05 },
        );
        cable.near.shapectl(&["clear", "eth0"]).ok();
    }
}

const CLASSES: &str = "
interfaces:
  eth0:
    egress:
      htb:
        default: rest
        classes:
          line:
            rate: 4mbit
            classes:
              one: { rate: 1mbit, ceil: CEIL }
              rest: { rate: 3mbit, ceil: CEIL }
      rules:
        - { class: one, match: udp dport 5001 }
";

#[test]
fn an_htb_class_holds_its_ceil() {
    needs!("htb", "u32", "veth");
    in_time(|| {
        let cable = Cable::new();
        cable.near.apply_text(&CLASSES.replace("CEIL", "1mbit").replace("rate: 3mbit", "rate: 1mbit"));
        let heard = hear(&cable.near.netns, &cable.far.netns, &[flow(5001, 3_000_000)]);
        assert_rate(&heard[0], 1e6);
    });
}

#[test]
fn classes_share_by_their_rates_and_borrow_what_is_idle() {
    needs!("htb", "u32", "veth");
    in_time(|| {
        let cable = Cable::new();
        cable.near.apply_text(&CLASSES.replace("CEIL", "4mbit"));
        let both = hear(&cable.near.netns, &cable.far.netns, &[flow(5001, 5_000_000), flow(5002, 5_000_000)]);
        // How what is left over goes round in whole quanta shows at the edges of the measured time.
        let tolerance = if kernel::virtual_time() { 0.002 } else { 0.05 };
        assert_rate_within(&both[0], 1e6, tolerance);
        assert_rate_within(&both[1], 3e6, tolerance);
        let alone = hear(&cable.near.netns, &cable.far.netns, &[flow(5001, 6_000_000)]);
        assert_rate(&alone[0], 4e6);
    });
}

/// The worked examples of peer-to-peer against the rest: k to one while both compete, the maximum alone.
#[test]
fn p2p_and_the_rest_share_one_to_k() {
    needs!("htb", "u32", "veth");
    in_time(|| {
        for (max, k) in [(1_000_000.0, 1.0), (1_000_000.0, 2.0), (700_000.0, 4.0)] {
            let share = (1e6 / (1.0 + k)) as u64;
            let policy = format!(
                "
    interfaces:
      eth0:
        egress:
          htb:
            default: other
            classes:
              line:
                rate: 1mbit
                classes:
                  p2p: {{ rate: {share}bit, ceil: {max}bit, quantum: 1514 }}
                  other: {{ rate: {}bit, ceil: 1mbit, quantum: {} }}
          rules:
            - {{ class: p2p, match: udp dport 6881 }}
    ",
                1_000_000 - share,
                (1514.0 * k) as u64,
            );
            let cable = Cable::new();
            cable.near.apply_text(&policy);
            let both = hear(&cable.near.netns, &cable.far.netns, &[flow(6881, 2_000_000), flow(80, 2_000_000)]);
            let tolerance = if kernel::virtual_time() { 0.01 } else { 0.05 };
            assert_rate_within(&both[0], 1e6 / (1.0 + k), tolerance);
            assert_rate_within(&both[1], 1e6 * k / (1.0 + k), tolerance);
            let alone = hear(&cable.near.netns, &cable.far.netns, &[flow(6881, 2_000_000)]);
            assert_rate(&alone[0], max);
        }
    });
}

#[test]
fn a_policer_polices() {
    needs!("police", "u32", "veth");
    in_time(|| {
        let cable = Cable::new();
        cable
            .far
            .apply_text("interfaces: { eth0: { ingress: { police: { rate: 2mbit, burst: 10kb, exceed: drop } } } }\n");
        let heard = hear(&cable.near.netns, &cable.far.netns, &[flow(5001, 4_000_000)]);
        // A policer has no queue: whole packets pass or not, so what it lets through comes out below the rate.
        assert_rate_within(&heard[0], 2e6, if kernel::virtual_time() { 0.01 } else { 0.05 });
    });
}

#[test]
fn an_ifb_shapes_what_arrives() {
    needs!("ifb", "htb", "mirred", "veth");
    in_time(|| {
        let cable = Cable::new();
        let policy = cable.far.apply_text(
            "interfaces: { eth0: { ingress: { shape: { htb: { default: all, classes: { all: { rate: 3mbit } } } } } } }\n",
        );
        cable.far.assert_settled(&policy);
        let heard = hear(&cable.near.netns, &cable.far.netns, &[flow(5001, 6_000_000)]);
        assert_rate(&heard[0], 3e6);
        assert!(cable.far.links().len() == 2, "eth0 and its ifb: {:?}", cable.far.links());
        cable.far.shapectl(&["clear", "eth0"]).ok();
        assert_eq!(cable.far.links(), ["eth0"]);
    });
}

/// `both` shapes each way at its own rate, by rules that are written once.
#[test]
fn both_ways_have_their_rates_and_the_same_rules() {
    needs!("ifb", "htb", "mirred", "u32", "veth");
    let cable = Cable::new();
    let policy = cable.near.apply_text(
        "
interfaces:
  eth0:
    link: { rate: { up: 4mbit, down: 8mbit } }
    both:
      htb:
        default: rest
        classes:
          one: { rate: 25% }
          rest: { rate: { up: 3mbit, down: 5mbit } }
      rules: [ { class: one, match: udp client port 5001 } ]
",
    );
    cable.near.assert_settled(&policy);
    let sent = hear(&cable.near.netns, &cable.far.netns, &[flow(5001, 3_000_000), flow(5002, 6_000_000)]);
    assert_rate(&sent[0], 1e6);
    assert_rate(&sent[1], 3e6);
    // what a server's port sends is told from the rest by that port
    let back = |port: u16, offered| Flow::to(&format!("10.9.0.1:{port}"), offered, SETTLE + during()).source_port(port);
    let receivers = [5001, 5002].map(|port| Receiver::at(&cable.near.netns, &format!("10.9.0.1:{port}")));
    let receivers = receivers.map(|receiver| receiver.start(SETTLE, during() - Duration::from_millis(300)));
    let senders = [back(5001, 6_000_000), back(5002, 9_000_000)].map(|flow| flow.start(&cable.far.netns));
    senders.into_iter().for_each(|sender| _ = sender.join().unwrap());
    let [one, rest] = receivers.map(|receiver| receiver.join().unwrap());
    assert_rate(&one, 2e6);
    assert_rate(&rest, 5e6);
}

/// The rates of two hosts that both ask for a whole line of 3 Mbit/s and more: one with a single connection, one with twenty.
/// The twenty together want twice the line: cake lets flows without a queue pass first, however many these are.
fn of_two_hosts(to: &Netns, from: &Netns, hosts: [&str; 2], flow_of: impl Fn(&str, u64) -> Flow) -> [f64; 2] {
    let receivers = hosts.map(|host| Receiver::at(to, host).start(SETTLE, during()));
    let mut senders = vec![flow_of(hosts[0], 3_000_000).start(from)];
    senders.extend((0..20).map(|_| flow_of(hosts[1], 300_000).start(from)));
    for sender in senders {
        sender.join().unwrap();
    }
    receivers.map(|receiver| receiver.join().unwrap().rate())
}

/// A host with one connection gets what a host with twenty gets, whichever discipline shares, sent and arriving. Without
/// `fair` it gets a part of one in 21.
#[test]
fn hosts_share_equally_whatever_the_number_of_their_connections() {
    needs!("ifb", "htb", "mirred", "u32", "cake", "fq_codel", "sfq", "flow", "veth");
    in_time(|| {
        let cable = Cable::new();
        for host in ["10.9.0.11", "10.9.0.12"] {
            cable.near.netns.ip(&format!("addr add {host}/24 dev eth0"));
        }
        let (near, far) = (&cable.near.netns, &cable.far.netns);
        let lasts = SETTLE + during() + Duration::from_millis(300);
        let virtually = kernel::virtual_time();
        for (how, fair) in [
            ("fair: by host", true),
            ("leaf: fq_codel", false),
            ("fair: by host, leaf: { fq_codel: { flows: 4096 } }", true),
            ("fair: by src, leaf: { sfq: { divisor: 4096 } }", true),
        ]
        .into_iter()
        .take(if virtually { 4 } else { 1 })
        {
            let classes = format!("line: {{ rate: {{ up: 2mbit, down: 3mbit }}, {how} }}");
            let both = format!("both: {{ htb: {{ default: line, classes: {{ {classes} }} }} }}");
            let policy = cable.near.apply_text(&format!("interfaces: {{ eth0: {{ {both} }} }}\n"));
            cable.near.assert_settled(&policy);
            // each of near's addresses sends to a port of its own
            let from =
                |to: &str, offered| Flow::to(to, offered, lasts).source(&format!("10.9.0.{}", &to[to.len() - 2..]));
            let sent = of_two_hosts(far, near, ["10.9.0.2:5011", "10.9.0.2:5012"], from).map(|rate| rate / 1e6);
            let to = |to: &str, offered| Flow::to(to, offered, lasts);
            let arriving = of_two_hosts(near, far, ["10.9.0.11:5001", "10.9.0.12:5001"], to).map(|rate| rate / 1.5e6);
            println!("{how}: of an equal share {sent:.4?} when sent, {arriving:.4?} when arriving");
            for [one, twenty] in [sent, arriving] {
                if fair {
                    // cake throws dice, codel drops in bursts, and a busy machine is late; who is not fair is off by 0.9
                    let tolerance = if virtually { 0.1 } else { 0.4 };
                    assert!((one - 1.0).abs() < tolerance && (twenty - 1.0).abs() < tolerance, "{how}: {one} {twenty}");
                } else {
                    assert!(one < 0.5, "connections share, and not hosts: {one} {twenty}");
                }
            }
        }
    });
}

/// Two interfaces keep one budget together and borrow from each other; its device stays while one of them goes through it.
#[test]
fn two_interfaces_share_one_budget() {
    needs!("ifb", "htb", "mirred", "u32", "veth");
    in_time(|| {
        let cable = Cable::two();
        let (near, far) = (&cable.near.netns, &cable.far.netns);
        let policy = cable.near.apply_text(
            "
shared:
  house:
    htb:
      default: two
      classes:
        all:
          rate: 4mbit
          classes: { one: { rate: 1mbit, ceil: 4mbit }, two: { rate: 3mbit, ceil: 4mbit } }
    rules: [ { class: one, match: udp dport 5001 } ]
interfaces:
  eth0: { egress: { shared: house } }
  eth1: { egress: { shared: house, htb: { default: line, classes: { line: { rate: 20mbit } } } } }
",
        );
        cable.near.assert_settled(&policy);
        let hear = |to: &[&str]| hear_all(near, far, to);
        let together = hear(&["10.9.0.2:5001", "10.9.1.2:5002"]);
        let tolerance = if kernel::virtual_time() { 0.005 } else { 0.05 };
        assert_rate_within(&together[0], 1e6, tolerance);
        assert_rate_within(&together[1], 3e6, tolerance);
        assert_rate_within(&hear(&["10.9.0.2:5001"])[0], 4e6, tolerance);
        assert_eq!(cable.near.links(), ["eth0", "eth1", "ifb-house"]);
        cable.near.shapectl(&["clear", "eth0"]).ok();
        assert_eq!(cable.near.links(), ["eth0", "eth1", "ifb-house"], "eth1 still goes through it");
        assert_rate_within(&hear(&["10.9.1.2:5002"])[0], 4e6, tolerance);
        cable.near.shapectl(&["clear", "eth1"]).ok();
        assert_eq!(cable.near.links(), ["eth0", "eth1"]);
    });
}

/// What arrives by two interfaces keeps one budget; an interface that leaves it is free, and a rollback brings it back.
#[test]
fn what_arrives_by_two_interfaces_shares_one_budget() {
    needs!("ifb", "htb", "mirred", "u32", "veth");
    in_time(|| {
        let cable = Cable::two();
        let (near, far) = (&cable.near.netns, &cable.far.netns);
        let policy = |second: &str| {
            cable.near.policy(&format!(
                "
shared:
  house:
    htb:
      default: two
      classes:
        all:
          rate: 4mbit
          classes: {{ one: {{ rate: 1mbit, ceil: 4mbit }}, two: {{ rate: 3mbit, ceil: 4mbit }} }}
    rules: [ {{ class: one, match: udp dport 5001 }} ]
interfaces:
  eth0: {{ ingress: {{ shared: house }} }}
{second}"
            ))
        };
        let both = policy("  eth1: { ingress: { shared: house } }\n");
        cable.near.apply(&both);
        cable.near.assert_settled(&both);
        let hear = |to: &[&str]| hear_all(far, near, to);
        let tolerance = if kernel::virtual_time() { 0.005 } else { 0.05 };
        let shared = || {
            let heard = hear(&["10.9.0.1:5001", "10.9.1.1:5002"]);
            assert_rate_within(&heard[0], 1e6, tolerance);
            assert_rate_within(&heard[1], 3e6, tolerance);
        };
        shared();
        // the second interface leaves: what it receives is as fast as it is sent, and the first has the budget alone
        let one = policy("");
        cable.near.apply(&one);
        cable.near.assert_settled(&one);
        assert_eq!(cable.near.links(), ["eth0", "eth1", "ifb-house"]);
        let heard = hear(&["10.9.0.1:5001", "10.9.1.1:5002"]);
        assert_rate_within(&heard[0], 4e6, tolerance);
        assert_rate_within(&heard[1], 5e6, 0.05);
        cable.near.shapectl(&["rollback"]).ok();
        cable.near.assert_settled(&policy("  eth1: { ingress: { shared: house } }\n"));
        shared();
        cable.near.shapectl(&["rollback", "1"]).ok();
        assert_eq!(cable.near.links(), ["eth0", "eth1"], "what stood before the first change");
    });
}

/// The packets of a connection that carry nothing, told from those that do, on the way out.
#[test]
fn acks_and_syns_are_told_from_data() {
    needs!("htb", "u32", "veth");
    let cable = Cable::new();
    let policy = cable.near.apply_text(
        "
interfaces:
  eth0:
    egress:
      htb:
        default: rest
        classes:
          syns: { id: 0x10, rate: 100mbit }
          acks: { id: 0x20, rate: 100mbit }
          rest: { id: 0x30, rate: 100mbit }
      rules:
        - { class: syns, match: syns }
        - { class: acks, match: acks }
",
    );
    cable.near.assert_settled(&policy);
    const BYTES: usize = 300_000;
    // sends or receives so much over one connection from the near machine, and tells what each class has counted
    let talk = |upload: bool| -> [u64; 3] {
        let counted = || ["1:10", "1:20", "1:30"].map(|id| cable.near.counters("class", "eth0", id).0);
        let before = counted();
        let listener = cable.far.netns.enter(|| TcpListener::bind("10.9.0.2:0").expect("a port"));
        let there = listener.local_addr().expect("its address");
        let pass = move |stream: &mut TcpStream, sends: bool| {
            if sends {
                stream.write_all(&vec![7; BYTES]).expect("it is sent");
                stream.shutdown(Shutdown::Write).expect("the end is said");
                let _ = stream.read(&mut [0; 1]);
            } else {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).expect("it is received");
                assert_eq!(all.len(), BYTES);
            }
        };
        let far = std::thread::spawn(move || pass(&mut listener.accept().expect("a connection").0, !upload));
        let mut near = cable.near.netns.enter(|| TcpStream::connect(there).expect("a connection"));
        pass(&mut near, upload);
        drop(near);
        far.join().expect("the other side");
        std::thread::sleep(Duration::from_millis(100));
        let after = counted();
        std::array::from_fn(|i| after[i] - before[i])
    };
    // segments that are left to the card to cut count as what they become
    let [syns, acks, data] = talk(true);
    assert!(syns == 1 && (1..=3).contains(&acks) && data >= 5, "sending: {syns} syns, {acks} acks, {data} others");
    let [syns, acks, data] = talk(false);
    assert!(syns == 1 && acks >= 3 && data <= 2, "receiving: {syns} syns, {acks} acks, {data} others");
}

/// How many of twenty datagrams to a port of the far machine arrive there.
fn arriving(cable: &Cable, port: u16) -> u64 {
    let receiver = Receiver::at(&cable.far.netns, &format!("10.9.0.2:{port}")).start(SETTLE, during());
    flow(port, 400_000).1.payload(100).datagrams(20).start(&cable.near.netns).join().unwrap();
    receiver.join().unwrap().packets_in_all
}

/// What is written into packets stands there on the other side, where their checksums are looked at.
#[test]
fn what_is_edited_arrives_edited() {
    needs!("htb", "u32", "pedit", "csum", "vlan", "nat", "veth");
    in_time(|| {
        let sends = |rule: &str| {
            let classes = "htb: { default: rest, classes: { rest: { rate: 100mbit } } }";
            format!("interfaces: {{ eth0: {{ egress: {{ {classes}, rules: [ {{ class: rest, {rule} }} ] }} }} }}\n")
        };
        let takes = |first: &str| {
            let rules = format!("[ {{ {first} }}, {{ do: drop, match: udp }} ]");
            format!("interfaces: {{ eth0: {{ ingress: {{ rules: {rules} }} }} }}\n")
        };
        let cable = Cable::new();
        for (edit, takes) in [
            ("do: { dscp: EF }, match: udp dport 5001", takes("do: pass, match: dscp ef")),
            (
                "do: { nat: { direction: egress, old: 10.9.0.1, new: 10.9.0.77 } }, match: udp dport 5001",
                takes("do: pass, match: src 10.9.0.77"),
            ),
        ] {
            cable.near.shapectl(&["clear", "eth0"]).ok();
            cable.far.shapectl(&["clear", "eth0"]).ok();
            let policy = cable.near.apply_text(&sends(edit));
            cable.near.assert_settled(&policy);
            cable.far.apply_text(&takes);
            assert_eq!((arriving(&cable, 5001), arriving(&cable, 5002)), (20, 0), "{edit}");
        }
        // a packet with a tag is nobody's on the other side until the tag is off
        cable.far.shapectl(&["clear", "eth0"]).ok();
        let policy = cable.near.apply_text(&sends("do: { vlan: push id 5 priority 3 }, match: udp dport 5001"));
        cable.near.assert_settled(&policy);
        assert_eq!((arriving(&cable, 5001), arriving(&cable, 5002)), (0, 20));
        let policy = cable.far.apply_text("interfaces: { eth0: { ingress: { rules: [ { do: { vlan: pop } } ] } } }\n");
        cable.far.assert_settled(&policy);
        assert_eq!(arriving(&cable, 5001), 20);
    });
}

/// In front of a slow link, a flow that floods cannot push out one that does not.
#[test]
fn sfq_is_fair_to_a_flow_against_a_flood() {
    needs!("tbf", "sfq", "veth");
    in_time(|| {
        let cable = Cable::new();
        cable.near.apply_text(
            "interfaces: { eth0: { egress: { tbf: { rate: 2mbit, limit: 60000b, burst: 5kb, leaf: { sfq: { perturb: 600s } } } } } }\n",
        );
        let heard = hear(&cable.near.netns, &cable.far.netns, &[flow(5001, 8_000_000), flow(5002, 1_500_000)]);
        assert_rate_within(&heard[0], 1e6, 0.05);
        assert_rate_within(&heard[1], 1e6, 0.05);
    });
}

/// While the first band has packets the last one waits.
#[test]
fn prio_serves_the_first_band_first() {
    needs!("tbf", "prio", "u32", "veth");
    in_time(|| {
        let cable = Cable::new();
        cable.near.apply_text(
            "
    interfaces:
      eth0:
        egress:
          htb:
            default: all
            classes:
              all:
                rate: 2mbit
                leaf: { prio: { bands: [high, medium, low] } }
          rules:
            - { class: high, match: udp dport 5001 }
            - { class: low, match: udp dport 5002 }
    ",
        );
        let heard = hear(&cable.near.netns, &cable.far.netns, &[flow(5001, 1_500_000), flow(5002, 4_000_000)]);
        assert_rate_within(&heard[0], 1.5e6, 0.05);
        assert_rate_within(&heard[1], 0.5e6, 0.1);
    });
}

const CURVES: &str = "
interfaces:
  eth0:
    egress:
      hfsc:
        default: rest
        classes:
          line:
            ls: 4mbit
            ul: 4mbit
            classes:
              one: { ls: 1mbit, UL }
              rest: { ls: 3mbit }
      rules:
        - { class: one, match: udp dport 5001 }
";

#[test]
fn classes_of_hfsc_share_by_their_curves_up_to_their_limits() {
    needs!("hfsc", "u32", "veth");
    in_time(|| {
        let tolerance = if kernel::virtual_time() { 0.01 } else { 0.05 };
        let cable = Cable::new();
        cable.near.apply_text(&CURVES.replace(", UL", ""));
        let both = hear(&cable.near.netns, &cable.far.netns, &[flow(5001, 5_000_000), flow(5002, 5_000_000)]);
        assert_rate_within(&both[0], 1e6, tolerance);
        assert_rate_within(&both[1], 3e6, tolerance);
        let alone = hear(&cable.near.netns, &cable.far.netns, &[flow(5001, 6_000_000)]);
        assert_rate_within(&alone[0], 4e6, tolerance);
        let cable = Cable::new();
        cable.near.apply_text(&CURVES.replace("UL", "ul: 2mbit"));
        let limited = hear(&cable.near.netns, &cable.far.netns, &[flow(5001, 6_000_000)]);
        assert_rate_within(&limited[0], 2e6, tolerance);
    });
}

/// A discipline that shapes nothing below one that does: shares of its classes or bands, and what `rest` is below.
fn shares(leaf: &str, flows: &[(u16, Flow)], expected: &[f64]) {
    let cable = Cable::new();
    let policy = cable.near.apply_text(&format!(
        "
interfaces:
  eth0:
    egress:
      htb:
        default: all
        classes:
          all:
            rate: 4mbit
            leaf: {{ {leaf} }}
      rules:
        - {{ class: a, match: udp dport 5001 }}
        - {{ class: b, match: udp dport 5002 }}
        - {{ class: c, match: udp dport 5003 }}
        - {{ class: c }}
"
    ));
    cable.near.assert_settled(&policy);
    let heard = hear(&cable.near.netns, &cable.far.netns, flows);
    let tolerance = if kernel::virtual_time() { 0.02 } else { 0.06 };
    for (heard, rate) in heard.iter().zip(expected) {
        assert_rate_within(heard, *rate, tolerance);
    }
}

#[test]
fn drr_shares_by_quanta() {
    needs!("drr", "htb", "u32", "veth");
    in_time(|| {
        let classes = "a: { quantum: 1514b }, b: { quantum: 3028b }, c: { quantum: 1514b }";
        let flows = [flow(5001, 4_000_000), flow(5002, 4_000_000), flow(5003, 4_000_000)];
        shares(&format!("drr: {{ classes: {{ {classes} }} }}"), &flows, &[1e6, 2e6, 1e6]);
    });
}

#[test]
fn qfq_shares_by_weights() {
    needs!("qfq", "htb", "u32", "veth");
    in_time(|| {
        let classes = "a: { weight: 5 }, b: { weight: 10 }, c: { weight: 1 }";
        let flows = [flow(5001, 5_000_000), flow(5002, 5_000_000), flow(5003, 5_000_000)];
        shares(&format!("qfq: {{ classes: {{ {classes} }} }}"), &flows, &[1.25e6, 2.5e6, 0.25e6]);
    });
}

/// The strict band has all that it sends; the others share what is left.
#[test]
fn ets_serves_strict_bands_first_and_shares_the_rest() {
    needs!("ets", "htb", "u32", "veth");
    in_time(|| {
        let flows = [flow(5001, 1_000_000), flow(5002, 5_000_000), flow(5003, 5_000_000)];
        shares("ets: { bands: [a, b, c], strict: 1, quanta: [3028b, 1514b] }", &flows, &[1e6, 2e6, 1e6]);
    });
}

/// Every kind of match: the packets it means, all of them and no other, are counted in its class.
#[test]
fn a_rule_puts_its_packets_in_its_class() {
    needs!("htb", "u32", "veth");
    in_time(|| {
        const SENT: u64 = 20;
        let port = |port: u16| Flow::to(&format!("10.9.0.2:{port}"), 400_000, Duration::from_millis(100)).payload(100);
        // a match, flows that it takes, flows that it leaves
        let mut cases = vec![
            ("udp dport 5001", vec![port(5001)], vec![port(5002), port(5003)]),
            ("udp sport 777", vec![port(5001).source_port(777)], vec![port(777)]),
            ("udp port 777", vec![port(5001).source_port(777), port(777)], vec![port(778)]),
            ("udp dport {5001, 5005}", vec![port(5001), port(5005)], vec![port(5002), port(5003), port(5004)]),
            ("udp dport 5000-5009", vec![port(5000), port(5004), port(5009)], vec![port(4999), port(5010)]),
            ("udp dport 5001 or udp sport 777", vec![port(5001), port(9).source_port(777)], vec![port(5002)]),
            ("udp dport 5001 tos 0x10", vec![port(5001).tos(0x10)], vec![port(5001), port(5002).tos(0x10)]),
            ("tos minimize-delay", vec![port(5001).tos(0x10)], vec![port(5001).tos(0x08), port(5001)]),
            ("dscp ef", vec![port(5001).tos(0xb8), port(5002).tos(0xb9)], vec![port(5001).tos(0xb4), port(5001)]),
            ("dst 10.9.0.2", vec![port(5001)], vec![]),
            ("dst 10.9.0.0/24 udp", vec![port(5001)], vec![]),
            ("src 10.9.0.1 udp dport 5001", vec![port(5001)], vec![port(5002)]),
            ("dst 10.9.1.0/24", vec![], vec![port(5001)]),
            ("host 10.9.0.2 udp", vec![port(5001)], vec![]),
            ("tcp dport 5001", vec![], vec![port(5001)]),
            ("proto udp", vec![port(5001)], vec![]),
        ];
        if kernel::lacks("u32-mark").is_none() || kernel::lacks("fw").is_none() {
            cases.push(("mark 6", vec![port(5001).mark(6)], vec![port(5001).mark(7), port(5001)]));
            cases.push(("mark 0x10/0xf0", vec![port(5001).mark(0x1a)], vec![port(5001).mark(0x2a), port(5001)]));
        }
        let cable = Cable::new();
        for (expression, takes, leaves) in cases {
            cable.near.shapectl(&["clear", "eth0"]).ok();
            let policy = format!(
                "
    interfaces:
      eth0:
        egress:
          htb:
            default: rest
            classes:
              match: {{ id: 0x10, rate: 100mbit }}
              rest: {{ id: 0x20, rate: 100mbit }}
          rules:
            - {{ class: match, match: '{expression}' }}
    "
            );
            let policy = cable.near.apply_text(&policy);
            cable.near.assert_settled(&policy);
            let send = |flows: &[Flow]| -> u64 {
                flows.iter().map(|flow| flow.clone().datagrams(SENT).start(&cable.near.netns).join().unwrap()).sum()
            };
            let (taken, left) = (send(&takes), send(&leaves));
            let counted = |id: &str| {
                let dev = "eth0";
                cable.near.counters("class", dev, id).0
            };
            assert_eq!(
                (counted("1:10"), counted("1:20")),
                (taken, left),
                "`{expression}`: taken and left, found and sent"
            );
        }
    });
}

/// Classifiers that no rule of a policy becomes, set by tc's own words.
#[test]
fn other_classifiers_put_packets_in_their_class() {
    needs!("drr", "basic", "flow", "bpf", "veth");
    in_time(|| {
        const SENT: u64 = 20;
        let port = |port: u16| Flow::to(&format!("10.9.0.2:{port}"), 400_000, Duration::from_millis(100)).payload(100);
        let cable = Cable::new();
        let tc = |words: &[&str]| cable.near.shapectl(&[&["tc"], words].concat()).ok();
        let filters: &[(&[&str], &[u16], &[u16])] = &[
            (&["basic", "match", "cmp(u16 at 2 layer transport eq 5001)", "flowid", "1:1"], &[5001], &[5002]),
            (
                &["basic", "match", "not meta(nf_mark eq 5) and u32(u16 5001 0xffff at 22)", "flowid", "1:1"],
                &[5001],
                &[5002],
            ),
            (&["basic", "match", "nbyte(\"\\x13\\x89\" at 22)", "flowid", "1:1"], &[5001], &[5002]),
            (
                &["bpf", "bytecode", "4,40 0 0 36,21 0 1 5001,6 0 0 4294967295,6 0 0 0", "flowid", "1:1"],
                &[5001],
                &[5002],
            ),
            (&["flower", "ip_proto", "udp", "dst_port", "5000-5001", "flowid", "1:1"], &[5000, 5001], &[5002]),
            (&["flow", "map", "key", "proto-dst", "and", "1", "xor", "1", "baseclass", "1:1"], &[5001, 5003], &[5002]),
        ];
        for (filter, takes, leaves) in filters {
            tc(&["qdisc", "replace", "dev", "eth0", "root", "handle", "1:", "drr"]);
            for class in ["1:1", "1:2"] {
                tc(&["class", "add", "dev", "eth0", "parent", "1:", "classid", class, "drr"]);
            }
            let at = ["filter", "add", "dev", "eth0", "parent", "1:", "protocol", "ip", "handle", "1", "prio"];
            tc(&[&at[..], &["1"], filter].concat());
            tc(&[&at[..], &["2", "basic", "flowid", "1:2"]].concat());
            let send = |ports: &[u16]| -> u64 {
                let flows = ports.iter().map(|p| port(*p).datagrams(SENT));
                flows.map(|flow| flow.start(&cable.near.netns).join().unwrap()).sum()
            };
            let (taken, left) = (send(takes), send(leaves));
            let counted = |id: &str| cable.near.counters("class", "eth0", id).0;
            assert_eq!((counted("1:1"), counted("1:2")), (taken, left), "{filter:?}: taken and left, found and sent");
            tc(&["qdisc", "del", "dev", "eth0", "root"]);
        }
    });
}
