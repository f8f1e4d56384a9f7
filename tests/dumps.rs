//! Dumps recorded from a kernel (`tests/dumps/record`), read without one; and what broken ones are read as.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;
use shapectl::facts::Facts;
use shapectl::fuzz::fuzz_dump;
use shapectl::netlink::{FilterParents, LinkInfo, Machine, Record, decode, decode_links, filter_parents, tree};
use shapectl::tree::{Branch, Id, Stab};
use shapectl::unit::{Handle, LinkLayer};

fn recorded(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/dumps/{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let text: String = std::fs::read_to_string(&path).expect(&path).split_whitespace().collect();
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn machine() -> Machine {
    Machine { links: decode_links(&recorded("links")).unwrap(), clock: Facts::default() }
}

fn records(machine: &Machine) -> Vec<Record> {
    let all: Vec<u8> = ["qdiscs", "classes", "filters"].iter().flat_map(|name| recorded(name)).collect();
    decode(&all, machine).unwrap()
}

/// A line an object: what and where it is, and the options that are set.
fn lines(branch: &Branch) -> Vec<String> {
    branch
        .objects
        .iter()
        .map(|o| {
            let options: Vec<String> = o
                .options
                .rows()
                .iter()
                .filter(|row| !row.hidden)
                .filter_map(|row| Some(format!("{} {}", row.word, o.options.show(row.word)?)))
                .collect();
            let place = match o.id {
                Id::Qdisc { parent, handle } => format!("qdisc {handle} of {parent}"),
                Id::Class { parent, handle } => format!("class {handle} of {parent}"),
                Id::Filter { parent, chain, prio, protocol, handle } => {
                    format!("filter {handle:x} of {parent} chain {chain} prio {prio} protocol {protocol:x}")
                }
            };
            let shown =
                if matches!(o.name.as_str(), "htb" | "tbf" | "pfifo") { options.join(", ") } else { String::new() };
            format!("{place}: {} {shown}", o.name).trim_end().to_owned()
        })
        .collect()
}

#[test]
fn links_are_read_with_their_figures() {
    let links = machine().links;
    let names: Vec<&str> = links.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["lo", "behind", "eth0", "behind1", "eth1", "in-eth0"]);
    let eth0 = &links[2];
    let expected = LinkInfo {
        index: eth0.index,
        name: "eth0".into(),
        also: Vec::new(),
        kind: Some("veth".into()),
        mtu: 1500,
        txqueuelen: 1000,
        up: true,
        alias: Some("the uplink".into()),
        queues: 4,
        gso_max_size: Some(65536),
        hardware: 1,
        address: 6,
        speed: None,
    };
    assert_eq!(*eth0, expected);
    assert_eq!((links[0].header(), links[0].mtu, links[0].kind.as_deref()), (14, 65536, None));
    assert_eq!((links[5].kind.as_deref(), links[5].up), (Some("ifb"), false));
    let facts = eth0.facts(&Facts::default());
    assert_eq!((facts.mtu, facts.header, facts.txqueuelen, facts.queues), (1500, 14, 1000, 4));
}

#[test]
fn a_dump_is_read_as_a_tree() {
    let machine = machine();
    let records = records(&machine);
    let eth0: Vec<Record> = records.iter().filter(|r| r.ifindex == machine.links[2].index).cloned().collect();
    let FilterParents { asked, bottom } = filter_parents(&eth0);
    let shown = |list: &[Handle]| list.iter().map(Handle::to_string).collect::<Vec<_>>();
    assert_eq!(shown(&asked), ["1:", "ffff:fff2", "ffff:fff3", "1:1"]);
    assert_eq!(shown(&bottom), ["1:9", "1:10"]);
    let tree = tree(records, &machine);
    assert_eq!(tree.interfaces.len(), 6);
    let eth0 = &tree.interfaces["eth0"];
    let egress = eth0.egress.as_ref().unwrap();
    assert_eq!(
        lines(egress),
        [
            "qdisc 1: of root: htb default 0x10, r2q 10, direct_qlen 1000, offload no",
            "class 1:1 of 1:: htb rate 5mbit, ceil 5mbit, burst 1600b, cburst 1600b, mpu 0b, overhead 0b, linklayer \
             ethernet, prio 0, quantum 62500b",
            "class 1:9 of 1:1: htb rate 2mbit, ceil 2mbit, burst 1600b, cburst 1600b, mpu 0b, overhead 0b, linklayer \
             ethernet, prio 2, quantum 3000b",
            "class 1:10 of 1:1: htb rate 1mbit, ceil 40gbit, burst 1600b, cburst 0b, mpu 0b, overhead 0b, linklayer \
             ethernet, prio 0, quantum 12500b",
            "qdisc 10: of 1:10: tbf limit 10kb, burst 5kb, mpu 0b, rate 1mbit, overhead 0b, linklayer ethernet",
            "qdisc 20: of 10:1: pfifo limit 7",
            "filter 200000 of 1: chain 0 prio 5 protocol 800: u32",
            "filter 203800 of 1: chain 0 prio 5 protocol 800: u32",
            "filter 80000800 of 1: chain 0 prio 5 protocol 800: u32",
            "filter 80100800 of 1: chain 7 prio 6 protocol 86dd: u32",
        ]
    );
    let stab = Stab { overhead: 10, mtu: 2047, tsize: 512, linklayer: Some(LinkLayer::Atm), ..Stab::default() };
    assert_eq!(egress.objects[0].stab, Some(stab));
    assert!(egress.objects[0].stats.is_some());
    assert!(egress.automatic.is_empty());
    assert_eq!(
        lines(eth0.ingress.as_ref().unwrap()),
        ["qdisc ffff: of ffff:fff1: clsact", "filter 80000800 of ffff:fff2 chain 0 prio 1 protocol 3: u32"]
    );
    // what mq puts below itself is not asked for by anybody
    let eth1 = tree.interfaces["eth1"].egress.as_ref().unwrap();
    assert_eq!(lines(eth1), ["qdisc 3: of root: mq"]);
    assert_eq!(eth1.automatic.len(), 4);
    // nor is what a link has by default
    let lo = tree.interfaces["in-eth0"].egress.as_ref().unwrap();
    assert!(lo.objects.is_empty());
}

#[test]
fn a_cut_dump_is_an_error_that_says_where() {
    let machine = machine();
    for name in ["qdiscs", "classes", "filters"] {
        let bytes = recorded(name);
        let borders: Vec<usize> = std::iter::successors(Some(0), |at| {
            let length = u32::from_ne_bytes(bytes.get(*at..at + 4)?.try_into().unwrap()) as usize;
            Some(at + length.next_multiple_of(4))
        })
        .collect();
        for end in 0..bytes.len() {
            let read = decode(&bytes[..end], &machine);
            assert_eq!(read.is_ok(), borders.contains(&end), "{name} cut at {end}");
        }
    }
    // the length of an attribute inside of an object
    let mut bytes = recorded("classes");
    let kind = bytes.windows(4).position(|w| w == b"htb\0").unwrap();
    bytes[kind + 4] = 0xff;
    let error = decode(&bytes, &machine).unwrap_err().to_string();
    assert!(error.contains("malformed attribute length"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_bytes_neither_panic_nor_lose_objects(
        which in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        end in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = recorded(["links", "qdiscs", "classes", "filters"][which]);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        fuzz_dump(&bytes);
    }

    #[test]
    fn any_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz_dump(&bytes);
    }
}
