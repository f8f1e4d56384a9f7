//! Packets from a description in the expression language, and descriptions of packets.
//!
//! A description says what a packet is: tests joined by "and". Where it names several things (`or`, a set, a port or an
//! address of either end) there is a packet for each; of a range the first and the last; of a prefix the first address that
//! a host may have; of a value under a mask the value. What it does not say is a default ([`DEFAULTS`]). What a packet is
//! not must be so of the packet that the rest describes.

use super::build::Fields;
use super::meaning::holds;
use super::{ARP, Fragment, IPV4, IPV6, Meta, Octet, Octets, Packet, Tag, VLAN};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::syntax::expression::{Expression, Field, Item, Test};
use crate::syntax::names::{self, WITH_PORTS};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a packet is where its description does not say it, in words for the manual.
pub const DEFAULTS: &str = "IPv4, from 192.0.2.1 to 198.51.100.1 (IPv6: 2001:db8::1 to 2001:db8:1::1), UDP, from port 40000 \
                            to port 40001, TOS 0, TTL 64, no longer than its headers, with TCP only the flag ACK, untagged, \
                            mark 0";

/// The most packets of one description.
pub const MOST: usize = 16;

const SRC: (Ipv4Addr, Ipv6Addr) = (Ipv4Addr::new(192, 0, 2, 1), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
const DST: (Ipv4Addr, Ipv6Addr) = (Ipv4Addr::new(198, 51, 100, 1), Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1));
const PORTS: (u16, u16) = (40000, 40001);
const TCP: u8 = 6;
const UDP: u8 = 17;
const ACK: u16 = 0x10;

/// A packet that was described.
#[derive(Clone, Debug)]
pub struct Described {
    /// The packet.
    pub packet: Packet,
    /// Whether the description says its priority.
    pub priority: bool,
}

/// The packets that an expression describes.
///
/// # Errors
/// The expression says what a packet is not, or what no packet can be.
pub fn describe(expression: &Expression) -> Result<Vec<Described>, Diagnostic> {
    let mut found = Vec::new();
    let (mut clash, mut not) = (None, None);
    for parts in alternatives(expression)? {
        let mut draft = Draft::default();
        let said = parts.iter().try_for_each(|part| match part {
            Part::Is(test, item) => draft.say(test, item.as_ref()),
            Part::Not(_) => Ok(()),
        });
        let is_not = |packet: &Packet| {
            parts.iter().find_map(|part| match part {
                Part::Not(inner) if holds(inner, packet) => Some(*inner),
                _ => None,
            })
        };
        match said.and_then(|()| draft.finish()) {
            Ok(described) => match is_not(&described.packet) {
                Some(inner) => not = Some(inner),
                None => found.push(described),
            },
            Err(Wrong::Clash(span)) => clash = Some(span),
            Err(Wrong::Refused(diagnostic)) => return Err(*diagnostic),
        }
    }
    if let (true, Some(inner)) = (found.is_empty(), not) {
        return Err(refused(
            inner.span(),
            "a packet is described by what it is, and the rest of this describes one that is just that",
            "say what it is instead: `tcp dport 80` for `dport not 22`",
        ));
    }
    if found.is_empty() {
        let d = Diagnostic::new(&codes::MATCH_CLASH, "no packet is all of this");
        return Err(d
            .at(clash.unwrap_or(expression.span()), "")
            .help("describe one packet: `tcp dport 22 src 10.0.0.5`"));
    }
    Ok(found)
}

enum Wrong {
    /// It contradicts what was said before.
    Clash(Span),
    Refused(Box<Diagnostic>),
}

/// A part of a description.
#[derive(Clone)]
enum Part<'e> {
    /// A test, with the one item that is meant.
    Is(&'e Test, Option<Item>),
    /// What the packet is not.
    Not(&'e Expression),
}

/// Parts that hold together.
type Together<'e> = Vec<Part<'e>>;

fn refused(span: Span, message: &str, help: &str) -> Diagnostic {
    Diagnostic::new(&codes::NOT_A_PACKET, message).at(span, "").help(help)
}

/// The alternatives of an expression, as tests that hold together.
fn alternatives(expression: &Expression) -> Result<Vec<Together<'_>>, Diagnostic> {
    let many = |list: Vec<Together>| match list.len() {
        0..=MOST => Ok(()),
        n => {
            let message = format!("this describes {n} packets or more: at most {MOST}");
            Err(refused(expression.span(), &message, "name fewer alternatives, or give `--packet` several times"))
        }
    };
    match expression {
        Expression::Or(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(alternatives(part)?);
            }
            many(all.clone())?;
            Ok(all)
        }
        Expression::And(parts) => {
            let mut all = vec![Vec::new()];
            for part in parts {
                let these = alternatives(part)?;
                let pairs = all.iter().flat_map(|before: &Together| these.iter().map(move |these| (before, these)));
                all = pairs.map(|(before, these)| [before.as_slice(), these.as_slice()].concat()).collect();
                many(all.clone())?;
            }
            Ok(all)
        }
        Expression::Not(_) if expression.is_never() => Ok(Vec::new()),
        Expression::Not(inner) => Ok(vec![vec![Part::Not(inner)]]),
        // protocol 1 of IPv4 and 58 of IPv6 are one thing
        Expression::Test(test) if test.field == Field::Proto && test.items == names::ICMP.map(Item::Number) => {
            Ok(vec![vec![Part::Is(test, None)]])
        }
        Expression::Test(test) if test.items.is_empty() => Ok(vec![vec![Part::Is(test, None)]]),
        Expression::Test(test) => {
            let ends = |item: &Item| match item {
                Item::Range(first, last) if first != last => vec![Item::Number(*first), Item::Number(*last)],
                Item::Addresses(first, last) if first != last => {
                    [first, last].map(|a| Item::Prefix(*a, if a.is_ipv4() { 32 } else { 128 })).to_vec()
                }
                item => vec![item.clone()],
            };
            let all: Vec<Together> =
                test.items.iter().flat_map(ends).map(|item| vec![Part::Is(test, Some(item))]).collect();
            many(all.clone())?;
            Ok(all)
        }
    }
}

/// A packet that is being described: what was said so far.
#[derive(Default)]
struct Draft {
    six: Option<bool>,
    src: Option<IpAddr>,
    dst: Option<IpAddr>,
    proto: Option<u8>,
    icmp: bool,
    sport: Option<u16>,
    dport: Option<u16>,
    flags: Option<u16>,
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
    tos: Option<u8>,
    ttl: Option<u8>,
    length: Option<usize>,
    fragment: Option<(u16, bool)>,
    tag: Option<u16>,
    ether_type: Option<u16>,
    macs: (Option<[u8; 6]>, Option<[u8; 6]>),
    mark: Option<u32>,
    priority: Option<u32>,
    meta: Meta,
    /// Words at places counted from the network header, and the bits of them that count.
    words: Vec<(i32, u32, u32)>,
}

/// Writes what is said; `false` if something else was said before.
fn set<T: PartialEq + Copy>(slot: &mut Option<T>, value: T) -> bool {
    *slot.get_or_insert(value) == value
}

impl Draft {
    fn say(&mut self, test: &Test, item: Option<&Item>) -> Result<(), Wrong> {
        let number = match item {
            Some(Item::Number(n) | Item::Range(n, _)) => *n,
            Some(Item::Masked(value, mask)) => value & mask,
            _ => 0,
        };
        let (n8, n16, n32) = (number as u8, number as u16, number as u32);
        let refuse = |message: &str, help: &str| Err(Wrong::Refused(Box::new(refused(test.span, message, help))));
        let sound = match (test.field, item) {
            (Field::Any, _) => true,
            (Field::Family, _) => set(&mut self.six, number == 6),
            (Field::Src, Some(item)) => self.address(item, true),
            (Field::Dst, Some(item)) => self.address(item, false),
            // of one end or the other: the first that nothing is said of yet
            (Field::Host, Some(item)) if self.src.is_none() => self.address(item, true),
            (Field::Host, Some(item)) => self.address(item, false),
            (Field::Proto, None) => {
                self.icmp = true;
                true
            }
            (Field::Proto, _) => set(&mut self.proto, n8),
            (Field::Sport, _) => set(&mut self.sport, n16),
            (Field::Dport | Field::Port, _) => set(&mut self.dport, n16),
            (Field::TcpFlags, _) => set(&mut self.flags, n16),
            (Field::IcmpType, _) => set(&mut self.icmp_type, n8),
            (Field::IcmpCode, _) => set(&mut self.icmp_code, n8),
            (Field::Tos, _) => set(&mut self.tos, n8),
            (Field::Dscp, _) => set(&mut self.tos, n8 << 2),
            (Field::Mark, _) => set(&mut self.mark, n32),
            (Field::ConnMark, _) => set(&mut self.meta.connmark, n32),
            (Field::Priority, _) => set(&mut self.priority, n32),
            (Field::Vlan, _) => set(&mut self.tag, n16),
            (Field::MacSrc, Some(Item::Mac(mac))) => set(&mut self.macs.1, *mac),
            (Field::MacDst, Some(Item::Mac(mac))) => set(&mut self.macs.0, *mac),
            (Field::Ethertype, _) => set(&mut self.ether_type, n16),
            (Field::Len, _) => set(&mut self.length, number as usize),
            (Field::Ttl, _) => set(&mut self.ttl, n8),
            (Field::Fragment, _) if number == 2 => set(&mut self.fragment, (185, false)),
            (Field::Fragment, _) => set(&mut self.fragment, (0, true)),
            (Field::Cgroup, _) => set(&mut self.meta.cgroup, n32),
            (Field::Iif, Some(Item::Name(name))) => self.meta.iif.get_or_insert_with(|| name.clone()) == name,
            (Field::Raw, Some(Item::Raw { value, mask, offset })) => {
                let known = self.words.iter().filter(|(at, ..)| at == offset);
                let sound = known.clone().all(|(_, old, old_mask)| (old ^ value) & mask & old_mask == 0);
                self.words.push((*offset, *value, *mask));
                sound
            }
            (field, _) => {
                let message = format!("`{}` describes no packet", field.word());
                return refuse(&message, "say the fields that a packet has there, as `tcp dport 22`");
            }
        };
        if sound { Ok(()) } else { Err(Wrong::Clash(test.span)) }
    }

    fn address(&mut self, item: &Item, source: bool) -> bool {
        let address = match item {
            // the first that is no network's own
            Item::Prefix(IpAddr::V4(a), length @ 1..31) => IpAddr::V4(Ipv4Addr::from_bits(network4(*a, *length) + 1)),
            Item::Prefix(IpAddr::V6(a), length @ 1..127) => IpAddr::V6(Ipv6Addr::from_bits(network6(*a, *length) + 1)),
            Item::Prefix(IpAddr::V4(_), 0) => return set(&mut self.six, false),
            Item::Prefix(IpAddr::V6(_), 0) => return set(&mut self.six, true),
            Item::Prefix(a, _) | Item::Addresses(a, _) => *a,
            _ => return false,
        };
        let slot = if source { &mut self.src } else { &mut self.dst };
        set(slot, address) && set(&mut self.six, address.is_ipv6())
    }

    fn finish(self) -> Result<Described, Wrong> {
        let clash = || Err(Wrong::Clash(Span::NONE));
        let by_type = self.ether_type.and_then(|t| [(IPV4, false), (IPV6, true)].into_iter().find(|(n, _)| *n == t));
        let six = self.six.or(by_type.map(|(_, six)| six)).unwrap_or(self.proto == Some(58));
        let inside = self.six.is_some() || self.proto.is_some() || self.icmp || self.sport.or(self.dport).is_some();
        let ether_type = self.ether_type.unwrap_or(if six { IPV6 } else { IPV4 });
        let wanted = if six { IPV6 } else { IPV4 };
        if inside && ether_type != wanted && !(ether_type == ARP && self.proto.is_none() && !six) {
            return clash();
        }
        let icmp = if six { 58 } else { 1 };
        let proto = match (self.proto, self.icmp) {
            (Some(proto), true) if proto != icmp => return clash(),
            (_, true) => icmp,
            (Some(proto), false) => proto,
            (None, false) if self.flags.is_some() => TCP,
            (None, false) if self.icmp_type.is_some() => icmp,
            (None, false) => UDP,
        };
        if self.sport.or(self.dport).is_some() && !WITH_PORTS.contains(&u64::from(proto)) {
            return clash();
        }
        let of = |pair: (Ipv4Addr, Ipv6Addr)| if six { IpAddr::V6(pair.1) } else { IpAddr::V4(pair.0) };
        let default = Fields::default();
        let fields = Fields {
            macs: (self.macs.0.unwrap_or(default.macs.0), self.macs.1.unwrap_or(default.macs.1)),
            tag: self.tag.map(|id| Tag { protocol: VLAN, priority: 0, id }),
            ether_type,
            src: self.src.unwrap_or_else(|| of(SRC)),
            dst: self.dst.unwrap_or_else(|| of(DST)),
            tos: self.tos.unwrap_or(0),
            ttl: self.ttl.unwrap_or(default.ttl),
            proto,
            fragment: self.fragment.unwrap_or((0, false)),
            ports: (self.sport.unwrap_or(PORTS.0), self.dport.unwrap_or(PORTS.1)),
            tcp_flags: self.flags.unwrap_or(ACK),
            icmp: (self.icmp_type.unwrap_or(if six { 128 } else { 8 }), self.icmp_code.unwrap_or(0)),
            length: self.length.unwrap_or(0),
            ..default
        };
        let mut packet = fields.packet();
        let headers = packet.layers().ip.map_or(0, |ip| ip.length as usize);
        if self.length.is_some_and(|length| length < headers || length > usize::from(u16::MAX)) {
            return clash();
        }
        if !self.words.iter().all(|word| overlay(&mut packet, *word)) {
            return clash();
        }
        packet.meta = Meta { mark: self.mark.unwrap_or(0), priority: self.priority.unwrap_or(0), ..self.meta };
        Ok(Described { packet, priority: self.priority.is_some() })
    }
}

/// Writes the bits of a word that count; `false` if the packet has no such word.
fn overlay(packet: &mut Packet, (at, value, mask): (i32, u32, u32)) -> bool {
    let Octet::Is(old) = packet.octets(at.into(), 4).number() else { return false };
    packet.write(at.into(), &(old & !mask | value).to_be_bytes());
    true
}

fn network4(address: Ipv4Addr, length: u8) -> u32 {
    address.to_bits() & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
}

fn network6(address: Ipv6Addr, length: u8) -> u128 {
    address.to_bits() & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

/// The packet in the words of the expression language, as far as there are any.
pub fn show(packet: &Packet) -> String {
    let layers = packet.layers();
    let mut out = String::new();
    if let Some(tag) = packet.tag() {
        let _ = write!(out, "vlan {} ", tag.id);
    }
    match layers.ip {
        Some(ip) => {
            let family = if ip.six { "ip6" } else { "ip" };
            let _ = write!(out, "{family} src {} dst {} ", ip.src, ip.dst);
            let proto = names::name(names::PROTOCOLS, u64::from(layers.proto));
            let _ = match proto {
                Some(proto) => write!(out, "{proto} "),
                None => write!(out, "proto {} ", layers.proto),
            };
            if let Some((src, dst)) = layers.ports.filter(|_| WITH_PORTS.contains(&u64::from(layers.proto))) {
                let _ = write!(out, "sport {src} dport {dst} ");
            }
            if let Some(flags) = layers.tcp_flags {
                let item = Item::Masked(u64::from(flags & 0xff), u64::from(flags & 0xff));
                let _ = write!(out, "flags {} ", item.show(Field::TcpFlags));
            }
            if let Some((kind, code)) = layers.icmp {
                let _ = write!(out, "type {kind} code {code} ");
            }
            match layers.fragment {
                Some(Fragment::First) => out.push_str("frag first "),
                Some(Fragment::Later) => out.push_str("frag later "),
                None => {}
            }
            if ip.tos != 0 {
                let _ = write!(out, "tos 0x{:02x} ", ip.tos);
            }
            let _ = write!(out, "ttl {} len {}", ip.ttl, ip.length);
        }
        None => {
            let item = Item::Number(u64::from(packet.ether_type()));
            let _ = write!(out, "ethertype {}", item.show(Field::Ethertype));
            if let Octets::Are(macs) = packet.link_octets(0, 12)
                && packet.network() >= 14
            {
                let mac =
                    |at: usize| macs.iter().skip(at).take(6).map(|o| format!("{o:02x}")).collect::<Vec<_>>().join(":");
                let _ = write!(out, " mac src {} mac dst {}", mac(6), mac(0));
            }
        }
    }
    let Meta { mark, priority, connmark, cgroup, iif, .. } = &packet.meta;
    for (word, number) in [("mark", Some(*mark)), ("connmark", *connmark)] {
        if let Some(number) = number.filter(|n| *n != 0) {
            let _ = write!(out, " {word} 0x{number:x}");
        }
    }
    if *priority != 0 {
        let _ = write!(out, " priority {priority}");
    }
    if let Some(class) = cgroup {
        let _ = write!(out, " cgroup {:x}:{:x}", class >> 16, class & 0xffff);
    }
    if let Some(link) = iif {
        let _ = write!(out, " iif {}", Item::Name(link.clone()).show(Field::Iif));
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use crate::diagnostic::Sink;
    use crate::packet::meaning::holds;
    use crate::syntax::expression_parser::parse;

    fn read(text: &str) -> Expression {
        let mut sink = Sink::new();
        parse(text, Span::NONE, &|_| None, &mut sink).unwrap_or_else(|| panic!("{text}: {:?}", sink.found))
    }

    fn shown(text: &str) -> Vec<String> {
        match describe(&read(text)) {
            Ok(list) => list.iter().map(|d| show(&d.packet)).collect(),
            Err(d) => vec![format!("{}: {}", d.code.name, d.message)],
        }
    }

    #[test]
    fn a_description_is_a_packet_for_each_alternative() {
        let ends = "src 192.0.2.1 dst 198.51.100.1";
        assert_eq!(shown("tcp dport 22"), [format!("ip {ends} tcp sport 40000 dport 22 flags ack ttl 64 len 40")]);
        assert_eq!(
            shown("icmp or udp dport 53-54"),
            [
                format!("ip {ends} icmp4 type 8 code 0 ttl 64 len 28"),
                format!("ip {ends} udp sport 40000 dport 53 ttl 64 len 28"),
                format!("ip {ends} udp sport 40000 dport 54 ttl 64 len 28"),
            ]
        );
        assert_eq!(
            shown("src 2001:db8:5::/48 icmp dscp ef mark 5"),
            ["ip6 src 2001:db8:5::1 dst 2001:db8:1::1 icmp6 type 128 code 0 tos 0xb8 ttl 64 len 48 mark 0x5"]
        );
        assert_eq!(shown("dport not 22"), [format!("ip {ends} udp sport 40000 dport 40001 ttl 64 len 28")]);
        assert!(shown("not udp")[0].starts_with("not-a-packet: a packet is described by what it is"));
        // a word of IPv4's header, and one that no packet without data has
        assert_eq!(
            shown("u32 0x00b80000 0x00ff0000 at 0"),
            [format!("ip {ends} udp sport 40000 dport 40001 tos 0xb8 ttl 64 len 28")]
        );
        assert!(shown("u32 1 1 at 400")[0].starts_with("match-clash"));
        assert_eq!(shown("udp dport {1, 2, 3, 4, 5} sport {1, 2, 3, 4}")[0].split(':').next(), Some("not-a-packet"));
    }

    /// Each packet is what was said of it.
    #[test]
    fn what_is_described_holds() {
        for text in [
            "tcp dport {22, 80} src 10.0.0.0/8",
            "udp port 53 or icmp type echo-request",
            "tcp flags syn and ttl 9 and len 100-200",
            "ip6 tcp dport 443 dst 2001:db8:9::/64",
            "vlan 5 and mac src 02:00:00:00:00:09",
            "frag first or frag later",
            "ethertype arp",
            "dscp af41 mark 0x10/0xf0 priority 6 cgroup 1:5 iif eth1",
            "host 10.0.0.9 proto 47",
            "src 10.0.0.5-10.0.0.9 tos 0x10/0x1e",
            "tcp dport not {22, 80} and not src 10.0.0.1",
            "u32 0x0a090000 0xffff0000 at 16 and tcp dport 22",
        ] {
            let expression = read(text);
            let described = describe(&expression).unwrap_or_else(|d| panic!("{text}: {}", d.message));
            for d in described {
                assert!(holds(&expression, &d.packet), "{text}: {}", show(&d.packet));
            }
        }
    }
}
