#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
use super::*;
use crate::tc;

/// A machine after these lines; each refusal with its line's number.
fn run(lines: &str) -> (Machine, Vec<(usize, String)>) {
    let mut machine = Machine::new(Facts::default());
    let mut refused = Vec::new();
    for (number, line) in lines.lines().map(str::trim).enumerate().filter(|(_, l)| !l.is_empty()) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let requests = tc::read(&words, &|_| None).unwrap_or_else(|wrong| panic!("{line}: {wrong:?}"));
        for request in requests {
            if let Err(Refused(why)) = machine.take(&request, &Origin::default()) {
                refused.push((number, why));
            }
        }
    }
    (machine, refused)
}

fn shown(machine: &Machine, dev: &str) -> Vec<String> {
    let tree = machine.tree();
    let Some(interface) = tree.interfaces.get(dev) else { return Vec::new() };
    let objects = [&interface.egress, &interface.ingress].into_iter().flatten().flat_map(|b| &b.objects);
    let show = |o: &Object| match o.id {
        Id::Qdisc { parent, handle } => format!("{} {handle} {parent}", o.name),
        Id::Class { parent, handle } => format!("class {handle} {parent}"),
        Id::Filter { parent, chain, prio, handle, .. } => {
            let flowid = o.options.show("flowid").unwrap_or_default();
            format!("{} {parent} {chain} {prio} {handle:x} {flowid}", o.name)
        }
    };
    objects.map(show).collect()
}

fn sound(lines: &str) -> Vec<String> {
    let (machine, refused) = run(lines);
    assert!(refused.is_empty(), "{refused:?}");
    shown(&machine, "eth0")
}

#[test]
fn handles_are_given() {
    let made = sound(
        "qdisc add dev eth0 root htb
         qdisc replace dev eth0 root handle 1: prio
         qdisc add dev eth0 parent 1:1 sfq
         qdisc add dev eth0 parent 1:2 handle 20: tbf rate 1mbit burst 10kb latency 50ms
         qdisc add dev eth0 parent 20:1 pfifo",
    );
    assert_eq!(made, ["prio 1: root", "sfq 8002: 1:1", "tbf 20: 1:2", "pfifo 8003: 20:1"]);
}

#[test]
fn what_stands_is_refused_or_replaced() {
    let (machine, refused) = run("qdisc del dev eth0 root
        qdisc add dev eth0 root handle 1: htb
        qdisc add dev eth0 root handle 1: htb
        qdisc add dev eth0 root handle 2: sfq
        qdisc add dev eth0 root sfq
        qdisc change dev eth0 root handle 5: sfq
        class add dev eth0 parent 1: classid 1:1 htb rate 1mbit
        qdisc add dev eth0 parent 9:1 sfq
        qdisc add dev eth0 parent 8001:1 sfq
        qdisc del dev eth0 ingress
        qdisc add dev eth0 ingress
        qdisc add dev eth0 clsact");
    assert_eq!(refused.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [0, 2, 3, 5, 6, 7, 8, 9, 11]);
    assert_eq!(shown(&machine, "eth0"), ["sfq 8001: root", "ingress ffff: ffff:fff1"]);
}

#[test]
fn classes_of_htb() {
    let (machine, refused) = run("qdisc add dev eth0 root handle 1: htb default 30 r2q 5
        class add dev eth0 parent 1: classid 1:1 htb rate 10mbit
        qdisc add dev eth0 parent 1:1 handle 10: sfq
        class add dev eth0 parent 1:1 classid 1:10 htb rate 5mbit
        class add dev eth0 parent 1:1 classid 1:10 htb rate 5mbit
        class add dev eth0 parent 1:7 classid 1:20 htb rate 8kbit
        class add dev eth0 parent 2:7 classid 1:30 htb rate 8kbit
        qdisc add dev eth0 parent 1:10 handle 100: sfq
        qdisc add dev eth0 parent 1:1 handle 101: sfq
        class del dev eth0 classid 1:1
        class change dev eth0 classid 1:10 htb rate 6mbit ceil 7mbit
        filter add dev eth0 parent 1: protocol ip prio 1 u32 match ip dport 22 0xffff flowid 1:20
        class del dev eth0 classid 1:20
        filter del dev eth0 parent 1: prio 1
        class del dev eth0 classid 1:20");
    assert_eq!(refused.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [4, 6, 8, 9, 12]);
    assert_eq!(shown(&machine, "eth0"), ["htb 1: root", "class 1:1 1:", "class 1:10 1:1", "sfq 100: 1:10"]);
    let tree = machine.tree();
    let objects = &tree.interfaces["eth0"].egress.as_ref().unwrap().objects;
    let shows = |at: usize, word: &str| objects[at].options.show(word).unwrap();
    assert_eq!((shows(1, "level"), shows(2, "level"), shows(2, "quantum")), ("7".into(), "0".into(), "150000b".into()));
    assert_eq!((shows(2, "rate"), shows(2, "ceil")), ("6mbit".into(), "7mbit".into()));
}

#[test]
fn numbers_of_filters() {
    let made = sound(
        "qdisc add dev eth0 root handle 1: htb
         filter add dev eth0 parent 1: protocol ip u32 match ip dport 1 0xffff flowid 1:1
         filter add dev eth0 parent 1: protocol ip u32 match ip dport 2 0xffff flowid 1:2
         filter add dev eth0 parent 1: protocol ip prio 5 handle 2: u32 divisor 256
         filter add dev eth0 parent 1: protocol ip prio 5 u32 ht 2:1a: match ip src 10.0.0.26 flowid 1:3
         filter add dev eth0 parent 1: protocol ip prio 5 u32 ht 800:: match ip src 10.0.0.0/8 hashkey mask 0xff at 12 link 2:
         filter add dev eth0 parent 1: protocol ip prio 5 u32 match ip dport 3 0xffff flowid 1:4
         filter add dev eth0 parent 1: protocol ip prio 5 handle ::5 u32 match ip dport 3 0xffff flowid 1:5
         filter add dev eth0 parent 1: protocol ip prio 7 flower ip_proto tcp flowid 1:6
         filter add dev eth0 parent 1: protocol ip prio 7 flower ip_proto udp flowid 1:7
         filter add dev eth0 parent 1: protocol ip prio 8 handle 6 fw flowid 1:8
         filter replace dev eth0 parent 1: protocol ip prio 8 handle 6 fw flowid 1:9
         filter add dev eth0 protocol ip prio 9 matchall flowid 1:a",
    );
    assert_eq!(
        made,
        [
            // in the order of making, which a policy's filters keep
            "htb 1: root",
            "u32 1: 0 49152 80000800 1:1",
            "u32 1: 0 49151 80100800 1:2",
            "u32 1: 0 5 200000 ",
            "u32 1: 0 5 21a800 1:3",
            // a node is shown with its table
            "u32 1: 0 49152 80000801 ",
            "u32 1: 0 5 80200800 1:4",
            "u32 1: 0 5 80200005 1:5",
            "flower 1: 0 7 1 1:6",
            "flower 1: 0 7 2 1:7",
            "fw 1: 0 8 6 1:9",
            "matchall 1: 0 9 1 1:a",
        ]
    );
}
