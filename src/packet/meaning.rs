//! What an expression says of a packet, by the fields of the packet alone: no filter is involved, so that filters can be
//! held against it.

use super::{Fragment, IPV6, Packet};
use crate::syntax::expression::{Expression, Field, Item, Test};
use crate::syntax::names::WITH_PORTS;
use std::net::IpAddr;

/// Whether the expression holds for the packet. A test of something that the packet does not have (ports of an ICMP
/// message, or of a fragment that is not the first) does not hold, and its negation does. An expression that looks into
/// the IP header anywhere is about IP packets and those of the ethertypes that it names, and holds for no others.
pub fn holds(expression: &Expression, packet: &Packet) -> bool {
    let about = packet.layers().ip.is_some() || !looks_inside(expression) || names(expression, packet.ether_type());
    about && part_holds(expression, packet)
}

/// Whether it names an ethertype.
fn names(expression: &Expression, ethertype: u16) -> bool {
    let mut named = false;
    let this = Item::Number(u64::from(ethertype));
    expression.visit(&mut |t| named |= t.field == Field::Ethertype && t.items.contains(&this));
    named
}

fn part_holds(expression: &Expression, packet: &Packet) -> bool {
    match expression {
        Expression::And(parts) => parts.iter().all(|part| part_holds(part, packet)),
        Expression::Or(parts) => parts.iter().any(|part| part_holds(part, packet)),
        Expression::Not(inner) => !part_holds(inner, packet),
        Expression::Test(test) => test_holds(test, packet),
    }
}

/// Whether a part of it is about the IP header, or about what is above.
fn looks_inside(expression: &Expression) -> bool {
    use Field::{Any, Cgroup, ConnMark, Ethertype, Iif, MacDst, MacSrc, Mark, Priority, Vlan};
    match expression {
        Expression::And(parts) | Expression::Or(parts) => parts.iter().any(looks_inside),
        Expression::Not(inner) => looks_inside(inner),
        Expression::Test(test) => {
            !matches!(test.field, Any | Mark | ConnMark | Priority | Cgroup | Vlan | Ethertype | MacDst | MacSrc | Iif)
        }
    }
}

fn test_holds(test: &Test, packet: &Packet) -> bool {
    let layers = packet.layers();
    let is = |value: u64| test.items.iter().any(|item| item_is(item, value));
    let address = |address: IpAddr| test.items.iter().any(|item| item_has(item, address));
    let mac = |at: i64| match packet.link_octets(at, 6) {
        super::Octets::Are(bytes) if packet.network() == 14 => {
            test.items.iter().any(|item| matches!(item, Item::Mac(mac) if mac == bytes))
        }
        _ => false,
    };
    match test.field {
        Field::Any => return true,
        Field::Mark => return is(packet.meta.mark.into()),
        Field::ConnMark => return packet.meta.connmark.is_some_and(|n| is(n.into())),
        Field::Priority => return is(packet.meta.priority.into()),
        Field::Cgroup => return packet.meta.cgroup.is_some_and(|n| is(n.into())),
        Field::Vlan => return packet.tag().is_some_and(|tag| is(tag.id.into())),
        // a tag's own ethertype is that of the tag, and all others are what is inside
        Field::Ethertype => {
            return is(packet.ether_type().into()) || packet.tag().is_some_and(|tag| is(tag.protocol.into()));
        }
        Field::MacDst => return mac(0),
        Field::MacSrc => return mac(6),
        Field::Iif => {
            let named = |name| test.items.iter().any(|item| matches!(item, Item::Name(n) if n == name));
            return packet.meta.iif.as_ref().is_some_and(named);
        }
        Field::Raw => {
            return test.items.iter().any(|item| match item {
                Item::Raw { value, mask, offset } => {
                    matches!(packet.octets(i64::from(*offset), 4).number(), super::Octet::Is(n) if n & mask == *value)
                }
                _ => false,
            });
        }
        _ => {}
    }
    let Some(ip) = layers.ip else { return false };
    let behind = |at: usize, count: usize| {
        let transport = layers.transport?;
        match packet.octets((transport + at) as i64, count).number() {
            super::Octet::Is(n) => Some(u64::from(n)),
            _ => None,
        }
    };
    let has_ports = WITH_PORTS.contains(&u64::from(layers.proto));
    let port = |at: usize| if has_ports { behind(at, 2) } else { None };
    let icmp = |at: usize| if layers.proto == if ip.six { 58 } else { 1 } { behind(at, 1) } else { None };
    match test.field {
        Field::Family => is(if packet.ether_type() == IPV6 { 6 } else { 4 }),
        Field::Src => address(ip.src),
        Field::Dst => address(ip.dst),
        Field::Host => address(ip.src) || address(ip.dst),
        Field::Proto => is(layers.proto.into()) && layers.proto != if ip.six { 1 } else { 58 },
        Field::Sport => port(0).is_some_and(is),
        Field::Dport => port(2).is_some_and(is),
        Field::Port => [port(0), port(2)].into_iter().flatten().any(is),
        Field::TcpFlags => layers.proto == 6 && behind(13, 1).is_some_and(is),
        Field::IcmpType => icmp(0).is_some_and(is),
        Field::IcmpCode => icmp(1).is_some_and(is),
        Field::Tos => is(ip.tos.into()),
        Field::Dscp => is(u64::from(ip.tos >> 2)),
        Field::Len => is(ip.length.into()),
        Field::Ttl => is(ip.ttl.into()),
        Field::Fragment => test.items.iter().any(|item| match item {
            Item::Number(1) => layers.fragment == Some(Fragment::First),
            Item::Number(2) => layers.fragment == Some(Fragment::Later),
            _ => layers.fragment.is_some(),
        }),
        _ => false,
    }
}

fn item_is(item: &Item, value: u64) -> bool {
    match item {
        Item::Number(n) => *n == value,
        Item::Range(first, last) => (*first..=*last).contains(&value),
        Item::Masked(bits, mask) => value & mask == bits & mask,
        _ => false,
    }
}

fn item_has(item: &Item, address: IpAddr) -> bool {
    match (item, address) {
        (Item::Prefix(IpAddr::V4(net), length), IpAddr::V4(a)) => {
            (net.to_bits() ^ a.to_bits()).checked_shr(32 - u32::from(*length)).unwrap_or(0) == 0
        }
        (Item::Prefix(IpAddr::V6(net), length), IpAddr::V6(a)) => {
            (net.to_bits() ^ a.to_bits()).checked_shr(128 - u32::from(*length)).unwrap_or(0) == 0
        }
        (Item::Addresses(first, last), a) => first.is_ipv4() == a.is_ipv4() && *first <= a && a <= *last,
        _ => false,
    }
}
