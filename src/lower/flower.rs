//! Alternatives as filters of flower, which says conjunctions of whole fields, most of them under masks.
//!
//! Its dissector walks over IPv4's options and IPv6's extension headers. It reads no ports in fragments, not even in the
//! first one, and compares them as 0 there: a filter with ports is for packets that are whole. Alternatives that differ in
//! one port only become one filter with a range.

use super::cube::{At, Cube, FRAGMENT, Key, Known, LATER, TAGGED};
use super::filters::Unsaid;
use super::matching::{IPV4, IPV6, Matched};
use crate::kind::filter::flower::field::{Bits, IpFlags};
use crate::kind::filter::flower::{Flower, IpProto, Mac, Network, Ports};
use crate::syntax::expression::Field;
use crate::unit::{Name, Number, Protocol};
use std::net::IpAddr;

/// `ETH_P_8021Q`.
const TAG: u16 = 0x8100;
/// `TCA_FLOWER_KEY_FLAGS_IS_FRAGMENT` and `TCA_FLOWER_KEY_FLAGS_FRAG_IS_FIRST`.
const IS_FRAGMENT: u32 = 1;
const IS_FIRST: u32 = 2;
/// The protocols whose ports flower has keys for.
const PORTS: [u8; 3] = [6, 17, 132];

/// The filters for alternatives among packets of one protocol, or of all, each with its protocol.
pub fn filters(world: Option<u16>, cubes: &[Cube], matched: &Matched) -> Result<Vec<(u16, Flower)>, Unsaid> {
    let mut out: Vec<(u16, Flower)> = Vec::new();
    for cube in cubes {
        let read = Read::new(world, cube, matched)?;
        for flags in read.flags()? {
            let one = (read.protocol, Flower { ip_flags: flags, ..read.flower.clone() });
            if !out.iter_mut().any(|other| joined(other, &one)) {
                out.push(one);
            }
        }
    }
    Ok(out)
}

/// Puts a filter into another if both are the same but for one port, and those ports meet.
fn joined(into: &mut (u16, Flower), other: &(u16, Flower)) -> bool {
    let (a, b) = (&into.1, &other.1);
    let bare = |f: &Flower, src: bool| Flower {
        src_port: f.src_port.filter(|_| !src),
        dst_port: f.dst_port.filter(|_| src),
        ..f.clone()
    };
    if into.0 != other.0 {
        return false;
    }
    for src in [true, false] {
        let (left, right) = if src { (a.src_port, b.src_port) } else { (a.dst_port, b.dst_port) };
        let meet = left
            .and_then(ends)
            .zip(right.and_then(ends))
            .filter(|((_, end), (from, _))| end.checked_add(1) == Some(*from));
        if let Some(((from, _), (_, to))) = meet.filter(|_| bare(a, src) == bare(b, src)) {
            let ports = Some(Ports::range(from, to));
            let slot = if src { &mut into.1.src_port } else { &mut into.1.dst_port };
            *slot = ports;
            return true;
        }
    }
    false
}

/// First and last port, if those between are meant too.
fn ends(ports: Ports) -> Option<(u16, u16)> {
    match ports {
        Ports::Range(first, last) => Some((first, last)),
        Ports::Masked { port, mask } => {
            let prefix = mask.leading_ones() + mask.trailing_zeros() == 16 || mask == u16::MAX;
            prefix.then_some((port, port | !mask))
        }
    }
}

/// A cube on its way into keys.
struct Read {
    protocol: u16,
    flower: Flower,
    /// Of [`Known::Pieces`].
    pieces: (u32, u32),
    /// Whether it looks at the transport header.
    beyond: bool,
}

impl Read {
    fn new(world: Option<u16>, cube: &Cube, matched: &Matched) -> Result<Read, Unsaid> {
        let mut flower = Flower::default();
        let mut protocol = world.unwrap_or(super::filters::ALL);
        let tag = cube.0.iter().find(|k| k.at == At::Known(Known::Vlan));
        if let Some(key) = tag {
            if key.mask & TAGGED != 0 && key.value & TAGGED != 0 {
                protocol = TAG;
                match key.mask & !TAGGED {
                    0 => {}
                    0xfff => flower.vlan_id = Some(Number(key.value & 0xfff)),
                    _ => return Err(several(&[Field::Vlan])),
                }
                flower.vlan_ethtype = world.map(Protocol);
            } else {
                return Err(several(&[Field::Vlan]));
            }
        } else if matched.tagged && world.is_some() {
            return Err(several(&[Field::Vlan]));
        }
        if protocol != super::filters::ALL {
            flower.for_protocol(protocol);
        }
        let mut read = Read { protocol, flower, pieces: (0, 0), beyond: false };
        for key in &cube.0 {
            read.key(key, world, matched)?;
        }
        if read.beyond && !read.flower.ip_proto.is_some_and(|p| PORTS.contains(&p.0) || p == ICMP || p == ICMPV6) {
            return Err(Unsaid::new(
                &[Field::Sport, Field::Dport, Field::Port],
                "flower has no key for ports of other protocols than tcp, udp and sctp",
                "name the protocol: `tcp dport 22`",
            ));
        }
        Ok(read)
    }

    fn key(&mut self, key: &Key, world: Option<u16>, matched: &Matched) -> Result<(), Unsaid> {
        let flower = &mut self.flower;
        // takes bits out of the key; what is left over at the end is no field of flower's
        let mut left = key.mask;
        let mut take = |shift: u32, bits: u32| {
            let ones = u32::MAX >> (32 - bits);
            let mask = key.mask >> shift & ones;
            left &= !(ones << shift);
            (mask != 0).then_some((key.value >> shift & ones, mask))
        };
        match (key.at, world) {
            (At::Known(Known::Vlan), _) => left = 0,
            (At::Known(Known::Proto), _) => {
                if key.mask != 0xff {
                    return Err(several(&[Field::Proto]));
                }
                flower.ip_proto = take(0, 8).map(|(value, _)| IpProto(value as u8));
            }
            (At::Known(Known::Pieces), _) => {
                self.pieces = (key.value, key.mask);
                left = 0;
            }
            (At::Known(Known::ConnMark), _) => flower.ct_mark = take(0, 32).map(|(value, mask)| Bits { value, mask }),
            (At::Known(Known::Iif), _) if key.mask == u32::MAX => {
                flower.indev = matched.links.get(key.value as usize).cloned().map(Name);
                left = 0;
            }
            (At::Known(known), _) => return Err(super::filters::unknown("flower", known)),
            (At::Offset(0), Some(IPV4)) => flower.ip_tos = take(16, 8).map(|(value, mask)| Bits { value, mask }),
            (At::Offset(8), Some(IPV4)) => flower.ip_ttl = take(24, 8).map(|(value, mask)| Bits { value, mask }),
            (At::Offset(12), Some(IPV4)) => flower.src_ip = take(0, 32).map(four),
            (At::Offset(16), Some(IPV4)) => flower.dst_ip = take(0, 32).map(four),
            (At::Offset(0), Some(IPV6)) => flower.ip_tos = take(20, 8).map(|(value, mask)| Bits { value, mask }),
            (At::Offset(4), Some(IPV6)) => flower.ip_ttl = take(0, 8).map(|(value, mask)| Bits { value, mask }),
            (At::Offset(o @ (8 | 12 | 16 | 20)), Some(IPV6)) => six(&mut flower.src_ip, o - 8, take(0, 32)),
            (At::Offset(o @ (24 | 28 | 32 | 36)), Some(IPV6)) => six(&mut flower.dst_ip, o - 24, take(0, 32)),
            (At::Offset(-16), _) => mac(&mut flower.dst_mac, 0, 2, take(0, 16)),
            (At::Offset(-12), _) => mac(&mut flower.dst_mac, 2, 4, take(0, 32)),
            (At::Offset(-8), _) => mac(&mut flower.src_mac, 0, 4, take(0, 32)),
            (At::Offset(-4), _) => mac(&mut flower.src_mac, 4, 2, take(16, 16)),
            (At::Beyond(0), _) => {
                self.beyond = true;
                match flower.ip_proto {
                    Some(ICMP | ICMPV6) => {
                        flower.icmp_type = take(24, 8).map(|(value, mask)| Bits { value, mask });
                        flower.icmp_code = take(16, 8).map(|(value, mask)| Bits { value, mask });
                    }
                    _ => {
                        let port = |(value, mask)| Ports::Masked { port: value as u16, mask: mask as u16 };
                        flower.src_port = take(16, 16).map(port);
                        flower.dst_port = take(0, 16).map(port);
                    }
                }
            }
            (At::Beyond(12), _) => {
                self.beyond = true;
                flower.tcp_flags = take(16, 8).map(|(value, mask)| Bits { value, mask });
            }
            _ => {}
        }
        if left != 0 {
            return Err(Unsaid::new(
                &[Field::Raw, Field::Len],
                "flower has no key for these bits",
                "leave the choice to the compiler, or write `classifier: bpf`",
            ));
        }
        Ok(())
    }

    /// The keys that say which piece of a packet it is, one for each alternative.
    fn flags(&self) -> Result<Vec<Option<IpFlags>>, Unsaid> {
        let (value, mask) = self.pieces;
        let fragment = (mask & FRAGMENT != 0).then_some(value & FRAGMENT != 0);
        let later = (mask & LATER != 0).then_some(value & LATER != 0);
        let whole = IpFlags { set: 0, mask: IS_FRAGMENT };
        let first = IpFlags { set: IS_FRAGMENT | IS_FIRST, mask: IS_FRAGMENT | IS_FIRST };
        let other = IpFlags { set: IS_FRAGMENT, mask: IS_FRAGMENT | IS_FIRST };
        let any = IpFlags { set: IS_FRAGMENT, mask: IS_FRAGMENT };
        Ok(match (self.beyond, fragment, later) {
            (true, Some(true), _) => {
                return Err(Unsaid::new(
                    &[Field::Fragment],
                    "flower reads no ports in fragments, not even in the first",
                    "leave the choice to the compiler, or write `classifier: bpf`",
                ));
            }
            (true, ..) => vec![Some(whole)],
            (_, None, None) => vec![None],
            (_, Some(false), Some(true)) => Vec::new(),
            (_, Some(false), _) => vec![Some(whole)],
            (_, Some(true), None) => vec![Some(any)],
            (_, Some(true), Some(false)) => vec![Some(first)],
            (_, _, Some(true)) => vec![Some(other)],
            (_, None, Some(false)) => vec![Some(whole), Some(first)],
        })
    }
}

const ICMP: IpProto = IpProto(1);
const ICMPV6: IpProto = IpProto(58);

/// A key that flower has for one value only.
fn several(fields: &'static [Field]) -> Unsaid {
    Unsaid::new(
        fields,
        "flower compares this with one value only, and not with what is left of a range or of `not`",
        "leave the choice to the compiler, or write `classifier: bpf`",
    )
}

fn four((value, mask): (u32, u32)) -> Network {
    Network { address: IpAddr::V4(value.into()), mask: IpAddr::V4(mask.into()) }
}

/// Adds a word of an address of IPv6 that begins at a byte of it.
fn six(slot: &mut Option<Network>, at: i32, word: Option<(u32, u32)>) {
    let Some((value, mask)) = word else { return };
    let shift = 96 - 8 * at as u32;
    let old = slot.map_or((0, 0), |n| match (n.address, n.mask) {
        (IpAddr::V6(a), IpAddr::V6(m)) => (a.to_bits(), m.to_bits()),
        _ => (0, 0),
    });
    let add = |old: u128, word: u32| IpAddr::V6((old | u128::from(word) << shift).into());
    *slot = Some(Network { address: add(old.0, value), mask: add(old.1, mask) });
}

/// Adds bytes of a hardware address that begin at one of it.
fn mac(slot: &mut Option<Mac>, at: usize, count: usize, word: Option<(u32, u32)>) {
    let Some((value, mask)) = word else { return };
    let mac = slot.get_or_insert(Mac { octets: [0; 6], mask: [0; 6] });
    for (octets, word) in [(&mut mac.octets, value), (&mut mac.mask, mask)] {
        let bytes = word.to_be_bytes();
        let from = bytes.iter().skip(4 - count);
        octets.iter_mut().skip(at).zip(from).for_each(|(octet, byte)| *octet = *byte);
    }
}
