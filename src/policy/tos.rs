//! From the TOS octet to the band: RFC 1349's bits, the kernel's table of priorities, and a priomap.
//!
//! The octet is `PPPTTTT0`: three bits of precedence, four of service, one that must be zero. Linux looks at the four bits
//! of service alone. RFC 2474 and RFC 3168 have since given the upper six bits to DSCP and the lower two to ECN, so the
//! lowest bit of service (minimize monetary cost, 0x02) is ECN's ECT(0) today.
//!
//! The kernel sets a packet's priority from the octet where it forwards IPv4 (`ip_forward`) and for sockets that set
//! `IP_TOS`; not for IPv6, not for what a bridge passes on, and not before an ifb sees what arrives.

use crate::syntax::names;

/// The kernel's `ip_tos2prio`, by the four bits of service: net/ipv4/route.c as of torvalds/linux 7a0c4c17089a, the same
/// in 6.1 and 6.12. It cannot be asked of a running kernel.
pub const KERNEL: [u8; 16] = [0, 0, 0, 0, 2, 2, 2, 2, 6, 6, 6, 6, 4, 4, 4, 4];

/// The table of kernels before 2.6.39 and of the guides written in their time: 0x02 was "filler" then, which put every
/// ECN-capable packet of no special service behind all others.
pub const CLASSIC: [u8; 16] = [0, 1, 0, 0, 2, 2, 2, 2, 6, 6, 6, 6, 4, 4, 4, 4];

/// The priomap of `pfifo_fast`, and of `prio` where none is given (`prio2band` in net/sched/sch_generic.c, tc-prio(8)).
pub const PRIOMAP: [u8; 16] = [1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1];

/// The bits that the kernel looks at (`IPTOS_TOS_MASK`).
pub const MASK: u8 = 0x1e;

/// The bit of minimize monetary cost, which is ECN's ECT(0) today.
pub const COST: u8 = 0x02;

/// The names of the kernel's priorities (`TC_PRIO_*` in include/uapi/linux/pkt_sched.h).
const PRIORITIES: [(u8, &str); 6] =
    [(0, "best effort"), (1, "filler"), (2, "bulk"), (4, "interactive bulk"), (6, "interactive"), (7, "control")];

/// The bits of service from the top, with their names and how they are shortened.
const BITS: [(u8, &str, &str); 4] = [
    (0x10, "minimize-delay", "md"),
    (0x08, "maximize-throughput", "mt"),
    (0x04, "maximize-reliability", "mr"),
    (COST, "minimize-monetary-cost", "mmc"),
];

/// What RFC 1349 lets applications ask for.
pub const APPLICATIONS: [(&str, u8); 9] = [
    ("TELNET, SSH interactive", 0x10),
    ("FTP control", 0x10),
    ("FTP data", 0x08),
    ("TFTP", 0x10),
    ("SMTP commands", 0x10),
    ("SMTP data", 0x08),
    ("DNS over UDP", 0x10),
    ("DNS zone transfer", 0x08),
    ("NNTP", 0x02),
];

/// One octet, all the way to its band.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The octet as it was asked for.
    pub octet: u8,
    /// Its three upper bits.
    pub precedence: u8,
    /// The four bits of service.
    pub service: u8,
    /// Their names, `minimize-delay+maximize-throughput`; `normal-service` for none.
    pub names: String,
    /// Their names shortened: `mt+md`, in the order of the RFC's table.
    pub short: String,
    /// The name of the octet's upper six bits as a DSCP, if they have one.
    pub dscp: Option<&'static str>,
    /// What its lower two bits are to ECN.
    pub ecn: &'static str,
    /// The priority that the kernel gives.
    pub priority: u8,
    /// That priority's name.
    pub priority_name: &'static str,
    /// The priority in [`CLASSIC`], where it is another one.
    pub classic: Option<u8>,
    /// The band, from 0; `None` if the priomap has no entry for the priority.
    pub band: Option<u8>,
}

/// The kernel's priority of an octet (`rt_tos2priority`).
pub fn priority(octet: u8) -> u8 {
    lookup(&KERNEL, octet)
}

fn lookup(table: &[u8; 16], octet: u8) -> u8 {
    table.get(usize::from((octet & MASK) >> 1)).copied().unwrap_or(0)
}

/// The name of a priority, empty for the numbers that have none.
pub fn priority_name(priority: u8) -> &'static str {
    PRIORITIES.iter().find(|(n, _)| *n == priority).map_or("", |(_, name)| name)
}

/// The names of an octet's bits of service.
pub fn names_of(octet: u8) -> String {
    let set: Vec<_> = BITS.iter().filter(|(bit, ..)| octet & bit != 0).map(|(_, name, _)| *name).collect();
    if set.is_empty() { "normal-service".to_owned() } else { set.join("+") }
}

/// Reads an octet: `0x10`, `16`, a name of RFC 1349 or several joined by `+`, or a name of a DSCP (`ef`).
pub fn octet(text: &str) -> Option<u8> {
    if let Some(hex) = text.strip_prefix("0x") {
        return u8::from_str_radix(hex, 16).ok();
    }
    if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        return text.parse().ok();
    }
    if let Some(dscp) = names::number(names::DSCP, text) {
        return u8::try_from(dscp << 2).ok();
    }
    text.split('+').try_fold(0, |octet, name| Some(octet | service(name)?))
}

/// The bit of a name of RFC 1349.
fn service(name: &str) -> Option<u8> {
    if let Some(n) = names::number(names::TOS, name) {
        return u8::try_from(n).ok();
    }
    let bit = BITS.iter().find(|(_, _, short)| *short == name).map(|(bit, ..)| *bit);
    bit.or(match name {
        "normal" => Some(0),
        "minimize-cost" => Some(COST),
        _ => None,
    })
}

/// The names that [`octet`] knows, to be offered.
pub fn words() -> impl Iterator<Item = &'static str> {
    names::TOS.iter().map(|(name, _)| *name)
}

/// One octet under a priomap, or all sixteen values of the bits of service.
pub fn explain(octet: Option<u8>, priomap: &[u8]) -> Vec<Row> {
    match octet {
        Some(octet) => vec![row(octet, priomap)],
        None => (0..16).map(|service| row(service << 1, priomap)).collect(),
    }
}

fn row(octet: u8, priomap: &[u8]) -> Row {
    let priority = priority(octet);
    let classic = lookup(&CLASSIC, octet);
    let mut short: Vec<_> = BITS.iter().filter(|(bit, ..)| octet & bit != 0).map(|(_, _, short)| *short).collect();
    short.reverse();
    Row {
        octet,
        precedence: octet >> 5,
        service: (octet & MASK) >> 1,
        names: names_of(octet),
        short: short.join("+"),
        dscp: names::name(names::DSCP, u64::from(octet >> 2)),
        ecn: match octet & 3 {
            0 => "not ECN-capable",
            1 => "ECT(1)",
            2 => "ECT(0)",
            _ => "congestion experienced",
        },
        priority,
        priority_name: priority_name(priority),
        classic: (classic != priority).then_some(classic),
        band: priomap.get(usize::from(priority)).copied(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    /// The table as the guides print it: octet, shortened names, classic priority, band under the default priomap.
    const GUIDE: [(u8, &str, u8, u8); 16] = [
        (0x00, "", 0, 1),
        (0x02, "mmc", 1, 2),
        (0x04, "mr", 0, 1),
        (0x06, "mmc+mr", 0, 1),
        (0x08, "mt", 2, 2),
        (0x0a, "mmc+mt", 2, 2),
        (0x0c, "mr+mt", 2, 2),
        (0x0e, "mmc+mr+mt", 2, 2),
        (0x10, "md", 6, 0),
        (0x12, "mmc+md", 6, 0),
        (0x14, "mr+md", 6, 0),
        (0x16, "mmc+mr+md", 6, 0),
        (0x18, "mt+md", 4, 1),
        (0x1a, "mmc+mt+md", 4, 1),
        (0x1c, "mr+mt+md", 4, 1),
        (0x1e, "mmc+mr+mt+md", 4, 1),
    ];

    #[test]
    fn the_kernel_and_the_guides_differ_in_one_row() {
        let rows = explain(None, &PRIOMAP);
        for (row, (octet, short, classic, band)) in rows.iter().zip(GUIDE) {
            assert_eq!((row.octet, row.short.as_str()), (octet, short));
            assert_eq!(row.classic.unwrap_or(row.priority), classic, "{octet:#04x}");
            if octet != COST {
                assert_eq!((row.classic, row.band), (None, Some(band)), "{octet:#04x}");
            }
        }
        let cost = &rows[1];
        assert_eq!((cost.priority, cost.classic, cost.band, cost.ecn), (0, Some(1), Some(1), "ECT(0)"));
    }

    #[test]
    fn precedence_and_the_lowest_bit_do_not_matter() {
        for octet in 0..=255u8 {
            assert_eq!(priority(octet), priority(octet & MASK));
        }
        let ef = &explain(octet("ef"), &PRIOMAP)[0];
        assert_eq!((ef.octet, ef.precedence, ef.dscp, ef.priority), (0xb8, 5, Some("ef"), 4));
    }

    #[test]
    fn octets_by_name_and_number() {
        for (text, n) in [("0x10", 0x10), ("16", 16), ("minimize-delay", 0x10), ("md+mt", 0x18), ("normal-service", 0)]
        {
            assert_eq!(octet(text), Some(n), "{text}");
        }
        for text in ["", "0x100", "256", "fast", "md+", "0x"] {
            assert_eq!(octet(text), None, "{text}");
        }
        for (_, n) in APPLICATIONS {
            assert_eq!(n & !MASK, 0);
        }
    }
}
