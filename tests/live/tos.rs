//! The kernel's table from TOS to priority cannot be read, so packets prove ours: a prio with a band for each priority
//! counts what comes with each octet.

use crate::bed::netns::{Netns, Pair};
use crate::bed::traffic::Flow;
use crate::host::Host;
use crate::needs;
use shapectl::policy::tos;
use std::time::Duration;

const DATAGRAMS: u64 = 25;

/// Packets that each band of the root has sent.
fn sent(netns: &Netns, bands: usize) -> Vec<u64> {
    let mut out = vec![0; bands];
    let mut band = None;
    for line in netns.tc("-s class show dev eth0").lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            ["class", "prio", id, ..] => {
                let minor = id.split(':').next_back().unwrap();
                band = usize::from_str_radix(minor, 16).unwrap().checked_sub(1);
            }
            ["Sent", _, "bytes", packets, ..] => out[band.unwrap()] = packets.parse().unwrap(),
            _ => {}
        }
    }
    out
}

/// The band that took the datagrams of an octet.
fn band_of(netns: &Netns, octet: u8, bands: usize) -> usize {
    let before = sent(netns, bands);
    let flow = Flow::to("10.9.0.2:9", 2_000_000, Duration::from_secs(2)).payload(100).tos(octet).datagrams(DATAGRAMS);
    flow.start(netns).join().unwrap();
    let after = sent(netns, bands);
    let grown: Vec<_> = (0..bands).filter(|b| after[*b] - before[*b] >= DATAGRAMS).collect();
    assert_eq!(grown.len(), 1, "octet {octet:#04x}: {before:?} became {after:?}");
    grown[0]
}

#[test]
fn the_kernel_has_our_table_of_priorities() {
    needs!("prio", "veth");
    let pair = Pair::new();
    pair.near.tc("qdisc add dev eth0 root handle 1: prio bands 16 priomap 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15");
    for row in tos::explain(None, &tos::PRIOMAP) {
        let priority = band_of(&pair.near, row.octet, 16);
        assert_eq!(priority, usize::from(row.priority), "octet {:#04x} ({})", row.octet, row.names);
    }
    // precedence does not count
    assert_eq!(band_of(&pair.near, 0xb8, 16), usize::from(tos::priority(0xb8)));
}

#[test]
fn a_tos_map_puts_packets_into_its_bands() {
    needs!("prio", "veth");
    let Pair { near, far: _far } = Pair::new();
    let host = Host::of(near);
    host.apply_text(
        "interfaces: { eth0: { egress: { prio: { bands: [high, medium, low, last], \
         tos: { minimize-delay: medium, maximize-throughput: last, normal-service: low, 0x18: high } } } } }\n",
    );
    for (octet, band) in [(0x10, 1), (0x08, 3), (0x00, 2), (0x18, 0), (0x04, 2)] {
        assert_eq!(band_of(&host.netns, octet, 4), band, "octet {octet:#04x}");
    }
}
