//! What an expression means for packets of IPv4 and of IPv6, as bits of their headers.
//!
//! Bits are counted from the start of the network header. What lies behind the IP header is looked at only where it is
//! sure to be there: behind an IPv4 header without options, in a packet that is no later fragment; behind an IPv6 header
//! without extension headers. Elsewhere a test of it does not hold, and its negation does.

use super::cube::{At, Cube, Field as Bits, Formula, Key, MOST, TooMany};
use crate::codes;
use crate::diagnostic::{Diagnostic, Sink};
use crate::source::{Span, Spanned};
use crate::syntax::expression::{Expression, Field, Item, Test};
use crate::syntax::names::WITH_PORTS;
use std::net::IpAddr;

/// The packets of a rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Matched {
    /// Whatever the protocol: the expression looks at nothing in the packet.
    All(Vec<Cube>),
    /// IPv4 packets and IPv6 packets; no others.
    Ip {
        /// Those of IPv4.
        v4: Vec<Cube>,
        /// Those of IPv6.
        v6: Vec<Cube>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
    None,
}

/// Where the fields are in one family's header.
struct Layout {
    tos: Bits,
    dscp: Bits,
    length: Bits,
    /// What the length field leaves out.
    uncounted: u128,
    ttl: Bits,
    proto: Bits,
    src: Bits,
    dst: Bits,
    /// First bit behind the header.
    behind: u32,
    /// ICMP's number here.
    icmp: u128,
    /// The other family's ICMP, which does not exist here.
    strange: u64,
    /// More fragments follow.
    more: Bits,
    /// The fragment's offset.
    fragment: Bits,
}

const fn bits(start: u32, width: u32) -> Bits {
    Bits { start, width }
}

const IHL: Bits = bits(4, 4);
const V4: Layout = Layout {
    tos: bits(8, 8),
    dscp: bits(8, 6),
    length: bits(16, 16),
    uncounted: 0,
    ttl: bits(64, 8),
    proto: bits(72, 8),
    src: bits(96, 32),
    dst: bits(128, 32),
    behind: 160,
    icmp: 1,
    strange: 58,
    more: bits(50, 1),
    fragment: bits(51, 13),
};
const V6: Layout = Layout {
    tos: bits(4, 8),
    dscp: bits(4, 6),
    length: bits(32, 16),
    uncounted: 40,
    ttl: bits(56, 8),
    proto: bits(48, 8),
    src: bits(64, 128),
    dst: bits(192, 128),
    behind: 320,
    icmp: 58,
    strange: 1,
    // of the fragment header, which stands right behind
    more: bits(320 + 31, 1),
    fragment: bits(320 + 16, 13),
};
/// The fragment header's number.
const FRAGMENT: u128 = 44;
const TCP: u128 = 6;

/// What the rule's packets look like. `None` if something in the expression cannot be compiled: it is reported.
pub fn compile(expression: Option<&Spanned<Expression>>, sink: &mut Sink) -> Option<Matched> {
    let Some(expression) = expression else { return Some(Matched::All(vec![Cube::default()])) };
    let mut refused = 0;
    let mut looks_inside = false;
    visit(&expression.value, &mut |test| {
        looks_inside |= !matches!(test.field, Field::Any | Field::Mark);
        if let Some(why) = not_yet(test) {
            refused += 1;
            let word = test.field.word();
            let d = Diagnostic::new(&codes::NOT_YET, format!("`{word}` cannot be compiled in a match yet"));
            sink.push(d.at(or(test.span, expression.span), "").help(why));
        }
    });
    if refused > 0 {
        return None;
    }
    let mut cubes = |family| match formula(&expression.value, family).cubes() {
        Ok(cubes) => Some(cubes),
        Err(TooMany) => {
            let d = Diagnostic::new(
                &codes::TOO_MANY_FILTERS,
                format!("this match comes to more than {MOST} filters, one for each of its alternatives"),
            );
            sink.push(d.at(expression.span, "").help("part it into several rules, or write wider ranges and prefixes"));
            None
        }
    };
    if looks_inside {
        Some(Matched::Ip { v4: cubes(Family::V4)?, v6: cubes(Family::V6)? })
    } else {
        Some(Matched::All(cubes(Family::None)?))
    }
}

fn or(span: Span, other: Span) -> Span {
    if span.is_none() { other } else { span }
}

/// Every test of an expression.
pub fn visit<'e>(expression: &'e Expression, see: &mut impl FnMut(&'e Test)) {
    match expression {
        Expression::And(parts) | Expression::Or(parts) => parts.iter().for_each(|p| visit(p, see)),
        Expression::Not(inner) => visit(inner, see),
        Expression::Test(test) => see(test),
    }
}

/// Why a test is out of reach for u32, and what to do.
fn not_yet(test: &Test) -> Option<&'static str> {
    match test.field {
        Field::Priority => Some("match what sets the priority, or a `mark`"),
        Field::Vlan | Field::MacSrc | Field::MacDst | Field::Ethertype => {
            Some("match addresses, or set a `mark` with nftables and match that")
        }
        Field::Cgroup => Some("set a `mark` with nftables (`socket cgroupv2`) and match that"),
        Field::Iif => Some("set a `mark` with nftables (`iifname`) and match that"),
        Field::Service => Some("write the protocol and port: `tcp dport 22`"),
        _ => None,
    }
}

fn formula(expression: &Expression, family: Family) -> Formula {
    match expression {
        Expression::And(parts) => Formula::All(parts.iter().map(|p| formula(p, family)).collect()),
        Expression::Or(parts) => Formula::Any(parts.iter().map(|p| formula(p, family)).collect()),
        Expression::Not(inner) => Formula::Not(Box::new(formula(inner, family))),
        Expression::Test(test) => match (test.field, family) {
            (Field::Any, _) => Formula::yes(),
            (Field::Mark, _) => Formula::Any(test.items.iter().map(mark).collect()),
            (_, Family::V4) => inside(test, &V4, family),
            (_, Family::V6) => inside(test, &V6, family),
            (_, Family::None) => Formula::no(),
        },
    }
}

fn mark(item: &Item) -> Formula {
    let (value, mask) = match item {
        Item::Masked(value, mask) => (*value as u32, *mask as u32),
        Item::Number(value) => (*value as u32, u32::MAX),
        _ => return Formula::no(),
    };
    Formula::Word(Key { at: At::Mark, mask, value: value & mask })
}

fn inside(test: &Test, at: &Layout, family: Family) -> Formula {
    let items = &test.items;
    match test.field {
        Field::Family => {
            let number = if family == Family::V4 { 4 } else { 6 };
            if items.contains(&Item::Number(number)) { Formula::yes() } else { Formula::no() }
        }
        Field::Src => Formula::In(at.src, addresses(items, family)),
        Field::Dst => Formula::In(at.dst, addresses(items, family)),
        Field::Host => {
            let ranges = addresses(items, family);
            Formula::Any(vec![Formula::In(at.src, ranges.clone()), Formula::In(at.dst, ranges)])
        }
        // ICMP belongs to one family, ICMPv6 to the other
        Field::Proto => {
            let ranges = ranges(items);
            let strange = u128::from(at.strange);
            let own = |(a, b): (u128, u128)| {
                let before = strange.checked_sub(1).map(|last| (a, b.min(last)));
                let parts =
                    if (a..=b).contains(&strange) { [before, Some((strange + 1, b))] } else { [Some((a, b)), None] };
                parts.into_iter().flatten().filter(|(a, b)| a <= b)
            };
            Formula::In(at.proto, ranges.into_iter().flat_map(own).collect())
        }
        Field::Sport => with_ports(at, family, Formula::In(bits(at.behind, 16), ranges(items))),
        Field::Dport => with_ports(at, family, Formula::In(bits(at.behind + 16, 16), ranges(items))),
        Field::Port => {
            let ranges = ranges(items);
            let either = [0, 16].map(|n| Formula::In(bits(at.behind + n, 16), ranges.clone()));
            with_ports(at, family, Formula::Any(either.into()))
        }
        Field::TcpFlags => behind(
            at,
            family,
            Formula::is(at.proto, TCP),
            Formula::Masked(bits(at.behind + 104, 8), masked(items, 0xff)),
        ),
        Field::IcmpType => {
            behind(at, family, Formula::is(at.proto, at.icmp), Formula::In(bits(at.behind, 8), ranges(items)))
        }
        Field::IcmpCode => {
            behind(at, family, Formula::is(at.proto, at.icmp), Formula::In(bits(at.behind + 8, 8), ranges(items)))
        }
        Field::Tos => Formula::Masked(at.tos, masked(items, 0xff)),
        Field::Dscp => Formula::In(at.dscp, ranges(items)),
        Field::Len => {
            let counted = |(a, b): (u128, u128)| Some((a.saturating_sub(at.uncounted), b.checked_sub(at.uncounted)?));
            Formula::In(at.length, ranges(items).into_iter().filter_map(counted).collect())
        }
        Field::Ttl => Formula::In(at.ttl, ranges(items)),
        Field::Fragment => {
            let (more, offset) = (Formula::is(at.more, 1), Formula::is(at.fragment, 0));
            let later = Formula::Not(Box::new(offset.clone()));
            let which = if items.contains(&Item::Number(1)) {
                Formula::All(vec![more, offset])
            } else if items.contains(&Item::Number(2)) {
                later
            } else {
                Formula::Any(vec![more, later])
            };
            match family {
                Family::V6 => Formula::Guarded(Box::new(Formula::is(at.proto, FRAGMENT)), Box::new(which)),
                _ => which,
            }
        }
        Field::Raw => Formula::Any(
            items
                .iter()
                .filter_map(|item| match item {
                    Item::Raw { value, mask, offset } => {
                        Some(Formula::Word(Key { at: At::Offset(*offset), mask: *mask, value: value & mask }))
                    }
                    _ => None,
                })
                .collect(),
        ),
        // handled before, or refused
        Field::Any
        | Field::Mark
        | Field::Priority
        | Field::Vlan
        | Field::MacSrc
        | Field::MacDst
        | Field::Ethertype
        | Field::Cgroup
        | Field::Iif
        | Field::Service => Formula::no(),
    }
}

/// A test of what lies behind the header, held back where that is not sure to be there.
fn behind(at: &Layout, family: Family, proto: Formula, test: Formula) -> Formula {
    let guard = match family {
        Family::V4 => Formula::All(vec![Formula::is(IHL, 5), Formula::is(at.fragment, 0), proto]),
        _ => proto,
    };
    Formula::Guarded(Box::new(guard), Box::new(test))
}

fn with_ports(at: &Layout, family: Family, test: Formula) -> Formula {
    let proto = Formula::In(at.proto, WITH_PORTS.iter().map(|n| (u128::from(*n), u128::from(*n))).collect());
    behind(at, family, proto, test)
}

fn ranges(items: &[Item]) -> Vec<(u128, u128)> {
    let range = |item: &Item| match item {
        Item::Number(n) => Some((u128::from(*n), u128::from(*n))),
        Item::Range(a, b) => Some((u128::from(*a), u128::from(*b))),
        _ => None,
    };
    items.iter().filter_map(range).collect()
}

fn masked(items: &[Item], whole: u128) -> Vec<(u128, u128)> {
    let pair = |item: &Item| match item {
        Item::Number(n) => Some((u128::from(*n), whole)),
        Item::Masked(value, mask) => Some((u128::from(value & mask), u128::from(*mask))),
        _ => None,
    };
    items.iter().filter_map(pair).collect()
}

fn addresses(items: &[Item], family: Family) -> Vec<(u128, u128)> {
    let number = |a: &IpAddr| match (a, family) {
        (IpAddr::V4(a), Family::V4) => Some(u128::from(u32::from(*a))),
        (IpAddr::V6(a), Family::V6) => Some(u128::from(*a)),
        _ => None,
    };
    let width = if family == Family::V4 { 32 } else { 128 };
    let range = |item: &Item| match item {
        Item::Prefix(a, length) => {
            let host = width - u32::from(*length).min(width);
            let low = if host >= 128 { u128::MAX } else { (1_u128 << host) - 1 };
            let first = number(a)? & !low;
            Some((first, first | low))
        }
        Item::Addresses(a, b) => Some((number(a)?, number(b)?)),
        _ => None,
    };
    items.iter().filter_map(range).collect()
}
