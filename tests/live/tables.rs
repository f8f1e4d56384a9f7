//! Long lists of rules through the kernel's hash tables: packets find their class, an edit touches its own filters, and
//! what is no longer asked for is gone.

use crate::bed::netns::Pair;
use crate::host::{Host, path};
use crate::needs;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

const CLASSES: usize = 5;

/// A rule of the list: a network and the class that its packets go to.
type Net = (IpAddr, u8, usize);

fn policy(rules: &[Net]) -> String {
    let mut out =
        String::from("interfaces:\n  eth0:\n    egress:\n      htb:\n        default: rest\n        classes:\n");
    out.push_str("          rest: { id: 0x100, rate: 1gbit }\n");
    for i in 0..CLASSES {
        let _ = writeln!(out, "          c{i}: {{ id: {:#x}, rate: 1gbit }}", 0x10 + i);
    }
    out.push_str("      rules:\n");
    for (address, length, class) in rules {
        let _ = writeln!(out, "        - {{ class: c{class}, match: dst {address}/{length} }}");
    }
    out
}

/// Hosts in three networks, then prefixes that hold some of them, one of them in the middle of the list.
fn four() -> Vec<Net> {
    let host = |i: u32| (IpAddr::from(Ipv4Addr::from(0x0a14_0000 + ((i % 3) << 8) + i / 3)), 32, i as usize % CLASSES);
    let mut rules: Vec<Net> = (0..600).map(host).collect();
    rules.insert(300, ([10, 20, 1, 128].into(), 26, 4));
    rules.push(([10, 20, 2, 0].into(), 24, 1));
    rules.push(([10, 20, 0, 0].into(), 20, 2));
    rules
}

fn six() -> Vec<Net> {
    let address = |i: u128| 0xfd09_0020 << 96 | (i % 7) << 64 | i;
    let host = |i: u128| (IpAddr::from(Ipv6Addr::from(address(i))), 128, i as usize % CLASSES);
    let mut rules: Vec<Net> = (0..400).map(host).collect();
    rules.push((Ipv6Addr::from(0xfd09_0020 << 96).into(), 48, 3));
    rules
}

fn holds((net, length, _): &Net, address: &IpAddr) -> bool {
    match (net, address) {
        (IpAddr::V4(net), IpAddr::V4(address)) => (u32::from(*net) ^ u32::from(*address)) >> (32 - length) == 0,
        (IpAddr::V6(net), IpAddr::V6(address)) => {
            (u128::from(*net) ^ u128::from(*address)).checked_shr(128 - u32::from(*length)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

/// A machine with a way to these networks through `eth0`.
fn cable() -> (Host, Host) {
    let Pair { near, far } = Pair::new();
    let (near, far) = (Host::of(near), Host::of(far));
    near.netns.enter(|| {
        for place in ["all", "eth0"] {
            let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{place}/disable_ipv6"), "0");
        }
    });
    let mac = "02:00:00:00:00:02";
    // who asks for an address keeps few packets meanwhile
    near.netns.ip(&format!("neigh replace 10.9.0.2 lladdr {mac} nud permanent dev eth0"));
    near.netns.ip("route add 10.20.0.0/16 via 10.9.0.2");
    near.netns.ip("address add fd09::1/64 dev eth0 nodad");
    near.netns.ip(&format!("neigh replace fd09::2 lladdr {mac} nud permanent dev eth0"));
    near.netns.ip("route add fd09:20::/32 via fd09::2");
    (near, far)
}

fn sent(host: &Host) -> BTreeMap<String, u64> {
    let names = (0..CLASSES).map(|i| format!("1:{:x}", 0x10 + i)).chain(["1:100".to_owned()]);
    names.map(|name| (name.clone(), host.counters("class", "eth0", &name).0)).collect()
}

/// Sends a packet to each address and holds what the classes counted against what the list means.
fn assert_packets(host: &Host, rules: &[Net], to: &[IpAddr]) {
    let own = ["0.0.0.0", "::"].map(|own| own.parse().unwrap());
    assert_packets_from(host, &own, to, &|_, to| rules.iter().find(|rule| holds(rule, to)).map(|(_, _, class)| *class));
}

/// The same from each of the machine's own addresses to each of their family. `class` is what the list means.
fn assert_packets_from(
    host: &Host,
    own: &[IpAddr],
    to: &[IpAddr],
    class: &(dyn Fn(&IpAddr, &IpAddr) -> Option<usize> + Sync),
) {
    let before = sent(host);
    let mut meant = before.clone();
    host.netns.enter(|| {
        for own in own {
            let socket = UdpSocket::bind(SocketAddr::new(*own, 0)).unwrap();
            for to in to.iter().filter(|to| to.is_ipv4() == own.is_ipv4()) {
                socket.send_to(&[0; 30], SocketAddr::new(*to, 9)).unwrap();
                let class = class(own, to).map(|class| format!("1:{:x}", 0x10 + class));
                *meant.get_mut(&class.unwrap_or("1:100".to_owned())).unwrap() += 1;
            }
        }
    });
    // a class counts what has left it, and in virtual time no token has come since the first packet
    std::thread::sleep(std::time::Duration::from_millis(50));
    let mut now = sent(host);
    // the kernel's own packets of IPv6 go by default
    for map in [&mut meant, &mut now] {
        map.remove("1:100");
    }
    assert_eq!(now, meant);
}

fn filters(host: &Host) -> Vec<String> {
    let shown = host.netns.tc("filter show dev eth0 parent 1:");
    let mut lines: Vec<String> = Vec::new();
    for line in shown.lines() {
        match lines.last_mut() {
            Some(last) if line.starts_with("  ") => last.push_str(line),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

fn tables(host: &Host) -> usize {
    filters(host).iter().filter(|line| line.contains("ht divisor") && !line.contains("fh 8")).count()
}

fn steps(host: &Host, policy: &std::path::Path) -> Vec<String> {
    let said = host.shapectl(&["apply", "--dry-run", path(policy)]).ok();
    said.lines().filter(|line| line.starts_with("tc ")).map(str::to_owned).collect()
}

#[test]
fn packets_find_their_class_through_hash_tables() {
    needs!("htb", "u32", "veth");
    let (host, _far) = cable();
    let rules: Vec<Net> = four().into_iter().chain(six()).collect();
    let file = host.apply_text(&policy(&rules));
    host.assert_settled(&file);
    assert!(tables(&host) >= 2, "{:?}", filters(&host));
    let mut to: Vec<IpAddr> = rules.iter().step_by(7).map(|(net, ..)| *net).collect();
    to.extend((0..80).map(|i| IpAddr::from([10, 20, i % 4, 100 + i])));
    to.extend((0..20).map(|i: u8| IpAddr::from([10, 20, 12 * i, i])));
    to.extend((0..40).map(|i: u128| IpAddr::from(Ipv6Addr::from(0xfd09_0020 << 96 | i << 78 | i))));
    assert_packets(&host, &rules, &to);
}

/// A program looks both ends of a packet up, and the earlier rule decides.
#[test]
fn of_two_hosts_the_earlier_rule_decides() {
    needs!("htb", "bpf", "veth");
    let (host, _far) = cable();
    let own = ["10.20.1.61", "10.20.2.7", "10.20.3.200", "fd09:20::3:0:0:0:9", "fd09:20::5:0:0:0:8"];
    let own = own.map(|own| own.parse::<IpAddr>().unwrap());
    for own in &own {
        let length = if own.is_ipv4() { "/32" } else { "/128 nodad" };
        host.netns.ip(&format!("address add {own}{length} dev eth0"));
    }
    let mut rules: Vec<Net> = four().into_iter().step_by(3).chain(six().into_iter().step_by(4)).collect();
    rules.insert(70, (own[0], 32, 4));
    rules.insert(20, (own[3], 128, 2));
    let file = host.apply_text(&policy(&rules).replace("match: dst", "match: host"));
    host.assert_settled(&file);
    let kinds: Vec<String> = filters(&host).iter().filter(|line| line.contains("handle")).cloned().collect();
    assert!(kinds.iter().any(|line| line.contains(" bpf ")) && kinds.len() < 20, "{kinds:?}");
    let to: Vec<IpAddr> = rules.iter().step_by(5).map(|(net, ..)| *net).filter(|to| !own.contains(to)).collect();
    let first = |ends: [&IpAddr; 2]| rules.iter().find(|rule| ends.iter().any(|end| holds(rule, end)));
    assert_packets_from(&host, &own, &to, &|from, to| first([from, to]).map(|(_, _, class)| *class));
}

/// Words behind the header are looked up by a program, and what ends before them is the next rule's.
#[test]
fn words_behind_the_header_are_looked_up() {
    needs!("htb", "bpf", "veth");
    let (host, _far) = cable();
    // the first four bytes behind UDP's header
    let word = |i: u32| format!("u32 0x{:x} 0xffff0000 at 28", (0x4000 + i * 37) << 16);
    let rules = (0..150).map(|i| format!("        - {{ class: c{}, match: {} }}\n", i as usize % CLASSES, word(i)));
    let file = host.apply_text(&format!("{}{}", policy(&[]), rules.collect::<String>()));
    host.assert_settled(&file);
    assert!(filters(&host).iter().all(|line| line.contains(" bpf ")), "{:?}", filters(&host));
    let before = sent(&host);
    let mut meant = before.clone();
    host.netns.enter(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for i in 0..170 {
            let bytes = (0x4000 + i * 37_u32).to_be_bytes();
            // two bytes are no word
            for length in [2, 4] {
                socket.send_to(&[bytes[2], bytes[3], 0, 0][..length], "10.20.0.9:9").unwrap();
                let class = if i < 150 && length == 4 { 0x10 + i as usize % CLASSES } else { 0x100 };
                *meant.get_mut(&format!("1:{class:x}")).unwrap() += 1;
            }
        }
    });
    std::thread::sleep(std::time::Duration::from_millis(50));
    let mut now = sent(&host);
    for map in [&mut meant, &mut now] {
        map.remove("1:100");
    }
    assert_eq!(now, meant);
}

#[test]
fn one_rule_of_a_long_list_is_one_filter() {
    needs!("htb", "u32", "veth");
    let (host, _far) = cable();
    let mut rules = four();
    let file = host.apply_text(&policy(&rules));
    let before = filters(&host);
    let (net, ..) = rules.remove(123);
    host.policy(&policy(&rules));
    let planned = steps(&host, &file);
    assert!(planned.len() == 1 && planned[0].starts_with("tc filter del"), "{planned:?}");
    host.apply(&file);
    host.assert_settled(&file);
    let after = filters(&host);
    let lost: Vec<&String> = before.iter().filter(|line| !after.contains(line)).collect();
    assert_eq!((lost.len(), before.len() - after.len()), (1, 1), "{net}: {lost:?}");
    assert_packets(&host, &rules, &[net, rules[0].0, rules[300].0]);
    // back again, to another class
    rules.insert(123, (net, 32, 0));
    host.policy(&policy(&rules));
    assert_eq!(steps(&host, &file).len(), 1);
    host.apply(&file);
    assert_packets(&host, &rules, &[net]);
}

/// The kernel does not free a table before what led to it, and keeps one that nobody sees if its priority goes first.
#[test]
fn a_list_that_shrinks_leaves_no_table_behind() {
    needs!("htb", "u32", "veth");
    let (host, _far) = cable();
    let rules = four();
    for _ in 0..2 {
        let file = host.apply_text(&policy(&rules));
        host.assert_settled(&file);
        assert!(tables(&host) > 0);
        host.apply_text(&policy(&rules[..9]));
        host.assert_settled(&file);
        assert_eq!((tables(&host), filters(&host).iter().filter(|line| line.contains("flowid")).count()), (0, 9));
        assert_packets(&host, &rules[..9], &[rules[3].0, rules[40].0]);
    }
}
