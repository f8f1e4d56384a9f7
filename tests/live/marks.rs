//! The firewall's side of a policy's marks: what `explain marks` prints is loaded by the real `nft`, and packets come to the
//! classes of the marks that it sets.

use crate::bed::netns::{Netns, Pair};
use crate::bed::traffic::Flow;
use crate::host::{Host, path};
use crate::needs;
use std::path::Path;
use std::time::Duration;

const POLICY: &str = "
interfaces:
  eth0:
    egress:
      htb:
        default: rest
        classes:
          bulk: { id: 0x10, rate: 100mbit }
          games: { id: 0x20, rate: 100mbit }
          rest: { id: 0x30, rate: 100mbit }
      rules:
        - { class: bulk, match: mark 0x70 }
        - { class: games, match: mark 0x100/0xf00 }
";

/// The printed table, with conditions of somebody's in place of the examples.
fn table(host: &Host, policy: &Path, conditions: &[(&str, &str)]) -> String {
    let printed = host.shapectl(&["explain", "marks", "--policy", path(policy)]).ok();
    let filled = |line: &str| {
        let found = conditions.iter().find(|(set, _)| line.ends_with(set) && line.contains("# tcp dport 6881-6999"));
        match found {
            Some((set, condition)) => format!("        {condition} {set}"),
            None => line.to_owned(),
        }
    };
    printed.lines().map(|line| filled(line) + "\n").collect()
}

const CONDITIONS: &[(&str, &str)] =
    &[("ct mark set 0x70", "udp dport 5001"), ("ct mark set ct mark & 0xfffff0ff | 0x100", "udp dport 5002")];

const SENT: u64 = 20;

fn send(from: &Netns, to: &str, port: u16) {
    let flow = Flow::to(&format!("{to}:{port}"), 4_000_000, Duration::from_secs(1)).payload(100).datagrams(SENT);
    assert_eq!(flow.start(from).join().unwrap(), SENT);
}

/// Its own packets, and those of a host behind it that it sends on: all of a connection but none of another.
#[test]
fn marks_that_nft_sets_lead_to_their_classes() {
    needs!("nft", "htb", "veth");
    let Pair { near, far: _far } = Pair::new();
    let inner = Netns::new();
    inner.without_ipv6();
    near.ip(&format!(
        "link add eth1 address 02:00:00:00:01:01 type veth peer name eth0 address 02:00:00:00:01:02 netns {}",
        inner.name()
    ));
    near.ip("address add 10.8.0.1/24 dev eth1");
    near.ip("link set eth1 up");
    inner.ip("address add 10.8.0.2/24 dev eth0");
    inner.ip("link set eth0 up");
    inner.ip("route add default via 10.8.0.1");
    near.run("sh", ["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]).ok();
    let host = Host::of(near);
    let policy = host.apply_text(POLICY);
    let table = table(&host, &policy, CONDITIONS);
    assert_eq!(table.matches("udp dport").count(), 2, "{table}");
    let file = host.file("marks.nft", &table);
    host.netns.run("nft", ["-f", &file]).ok();
    let counted = || ["1:10", "1:20", "1:30"].map(|id| host.counters("class", "eth0", id).0);
    for from in [&host.netns, &inner] {
        let before = counted();
        for port in [5001, 5002, 5003] {
            send(from, "10.9.0.2", port);
        }
        let after = counted();
        let grown: Vec<u64> = before.iter().zip(after).map(|(before, after)| after - before).collect();
        // ARP for the other's address may stand in the default class too
        assert!(grown[..2] == [SENT, SENT] && (SENT..SENT + 3).contains(&grown[2]), "{grown:?}");
    }
    // and once more: the table is replaced, not added to
    host.netns.run("nft", ["-f", &file]).ok();
    let listed = host.netns.run("nft", ["list", "ruleset"]).ok();
    assert_eq!(listed.matches("table inet shapectl_marks").count(), 1, "{listed}");
}

/// The lines as they are printed, for each sample that matches marks.
#[test]
fn every_sample_with_marks_prints_a_table_that_nft_takes() {
    needs!("nft");
    let host = Host::with(&["eth0"]);
    let mut checked = 0;
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")).expect("samples") {
        let sample = entry.unwrap().path();
        let text = std::fs::read_to_string(&sample).unwrap_or_default();
        let matches = ["match: mark", "if mark", "match mark"].iter().any(|words| text.contains(words));
        if !matches {
            continue;
        }
        let printed = host.shapectl(&["explain", "marks", "--policy", path(&sample)]).ok();
        let lines = printed.replace("# tcp dport 6881-6999", "tcp dport 6881-6999");
        assert!(lines.contains("        tcp dport 6881-6999 ct mark set"), "{lines}");
        host.netns.run("nft", ["-c", "-f", &host.file("marks.nft", &printed)]).ok();
        host.netns.run("nft", ["-c", "-f", &host.file("marks.nft", &lines)]).ok();
        checked += 1;
    }
    assert!(checked >= 4, "{checked} samples");
}

/// What arrives: the packets of a connection that was marked when it began have its mark again, before netfilter sees them.
#[test]
fn what_arrives_has_the_mark_of_its_connection() {
    needs!("htb", "veth", "ifb", "ctinfo", "ct", "dummy");
    let Pair { near, far } = Pair::new();
    let host = Host::of(near);
    let classes = |first: u16| {
        let class = |id: u16| format!("{{ id: {id:#x}, rate: 100mbit }}");
        format!("htb: {{ default: rest, classes: {{ bulk: {}, rest: {} }} }}", class(first), class(first + 1))
    };
    let restore = "do: [ { ctinfo: { cpmark: yes } }, continue ]";
    let bulk = "{ class: bulk, match: mark 0x70 }";
    let arriving =
        format!("ingress: {{ rules: [ {{ {restore} }} ], shape: {{ {}, rules: [ {bulk} ] }} }}", classes(0x10));
    let both = format!("both: {{ {}, rules: [ {{ {restore}, match: down }}, {bulk} ] }}", classes(0x20));
    // in the firewall's place: a connection of port 5001 begins on a link where its mark is set
    host.netns.ip("link add other type dummy");
    host.netns.ip("link set other up");
    host.netns.run("tc", "qdisc add dev other clsact".split(' ')).ok();
    let marks = "tc filter add dev other egress protocol ip u32 match ip dport 5001 0xffff action ct commit mark 0x70";
    host.netns.run("tc", marks.split(' ').skip(1)).ok();
    for (way, own, ids) in [(arriving, 6001, ["1:10", "1:11"]), (both, 6002, ["1:20", "1:21"])] {
        host.apply_text(&format!("interfaces: {{ eth0: {{ {way} }} }}\n"));
        let counted = || ids.map(|id| host.counters("class", "ifb-eth0", id).0);
        let flow =
            |to: String, from: u16| Flow::to(&to, 4_000_000, Duration::from_secs(1)).payload(100).source_port(from);
        // a connection that is marked, and one that is not; the answers come from the ports that they went to
        for (port, marked) in [(5001, true), (5003, false)] {
            host.netns.ip("route add 10.9.0.2/32 dev other");
            let begin = flow(format!("10.9.0.2:{port}"), own).source("10.9.0.1").datagrams(1);
            assert_eq!(begin.start(&host.netns).join().unwrap(), 1);
            host.netns.ip("route del 10.9.0.2/32 dev other");
            let before = counted();
            let answer = flow(format!("10.9.0.1:{own}"), port).datagrams(SENT);
            assert_eq!(answer.start(&far).join().unwrap(), SENT);
            let after = counted();
            let (bulk, rest) = (after[0] - before[0], after[1] - before[1]);
            // ARP, and what ICMP says of ports where nobody listens, may stand in the default class too
            assert!(if marked { bulk == SENT } else { bulk == 0 && rest >= SENT }, "{way}: {bulk} {rest}");
        }
    }
    // `ct` keeps its connections until some time after its filters are gone, and a namespace that goes waits for them without
    // ever resting (`nf_conntrack_cleanup_net_list`), which holds a virtual clock still
    host.netns.ip("link del other");
    host.netns.tc("qdisc del dev eth0 clsact");
    std::thread::sleep(Duration::from_secs(1));
}
