//! What an expression means for packets of each protocol, as a formula over words.
//!
//! Two kinds of classifiers see differently far. u32 and basic read words at fixed places: what lies behind the IP header
//! is looked at only where it is sure to be there, behind an IPv4 header without options, in a packet that is no later
//! fragment, behind an IPv6 header without extension headers. bpf and flower walk over the headers. Where a port cannot be
//! seen or does not exist, a test of it does not hold, and its negation does.
//!
//! A match that looks at IP takes packets of IPv4 and IPv6, and of the ethertypes that it names. A frame with a VLAN's tag
//! is of the tag's ethertype to all classifiers, and is looked into only by a match that names a VLAN.

use super::cube::{At, Base, Cube, FRAGMENT, Field as Bits, Formula, Key, Known, LATER, TAGGED};
use crate::syntax::expression::{Expression, Field, Item, Test};
use crate::syntax::names::WITH_PORTS;
use compact_str::CompactString;

/// `ETH_P_IP`.
pub const IPV4: u16 = 0x0800;
/// `ETH_P_IPV6`.
pub const IPV6: u16 = 0x86dd;
/// Ethertypes of VLANs' tags.
const TAGS: [u16; 2] = [0x8100, 0x88a8];

/// How far a classifier sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Words at fixed places.
    Fixed,
    /// Over options and extension headers to the transport header.
    Walking,
}

/// The packets of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Matched {
    /// What holds of packets of a protocol: those of IPv4, of IPv6, and of the ethertypes that are named.
    pub worlds: Vec<(u16, Formula)>,
    /// What holds of packets of other protocols.
    pub others: Formula,
    /// Whether the protocols are those inside of a VLAN's tag, because the match names VLANs.
    pub tagged: bool,
    /// The links that [`Known::Iif`] counts.
    pub links: Vec<CompactString>,
}

impl Matched {
    /// What holds of all packets, if that is the same whatever the protocol.
    pub fn same(&self) -> Option<&Formula> {
        self.worlds.iter().all(|(_, f)| *f == self.others).then_some(&self.others)
    }

    /// The same for whoever asks parts in their order ([`Formula::in_order`]).
    #[must_use]
    pub fn in_order(self) -> Matched {
        let worlds = self.worlds.into_iter().map(|(n, f)| (n, f.in_order())).collect();
        Matched { worlds, others: self.others.in_order(), ..self }
    }

    /// All of it as one formula.
    pub fn whole(&self) -> Formula {
        if let Some(formula) = self.same() {
            return formula.clone();
        }
        let field = Bits::known(if self.tagged { Known::Inner } else { Known::Ether }, 16);
        let named: Vec<_> = self.worlds.iter().map(|(n, _)| (u128::from(*n), u128::from(*n))).collect();
        // protocols of which the same holds are asked for together
        let mut worlds: Vec<(Vec<(u128, u128)>, &Formula)> = Vec::new();
        for (number, formula) in &self.worlds {
            let number = (u128::from(*number), u128::from(*number));
            match worlds.iter_mut().find(|(_, known)| *known == formula) {
                Some((numbers, _)) => numbers.push(number),
                None => worlds.push((vec![number], formula)),
            }
        }
        let of = |(numbers, f)| Formula::All(vec![Formula::In(field, numbers), Formula::clone(f)]);
        let mut parts: Vec<Formula> = worlds.into_iter().map(of).collect();
        parts.push(Formula::All(vec![Formula::not(Formula::In(field, named)), self.others.clone()]));
        Formula::Any(parts).simple()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
    /// No IP, and this ethertype if any is known.
    None(Option<u16>),
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
    behind: i32,
    /// ICMP's number here.
    icmp: u128,
    /// The other family's ICMP, which does not exist here.
    strange: u64,
    /// More fragments follow.
    more: Bits,
    /// The fragment's offset.
    fragment: Bits,
}

const fn bits(start: i32, width: u32) -> Bits {
    Bits { base: Base::Network, start, width }
}

/// The one field that a cube is about, whether of IPv6, and its values: the address of an end, or bits of one word.
pub fn lone_field(protocol: u16, cube: &Cube) -> Option<(bool, Bits, (u128, u128))> {
    let (six, at) = match protocol {
        IPV4 => (false, &V4),
        IPV6 => (true, &V6),
        _ => return None,
    };
    let end = [at.src, at.dst].into_iter().find_map(|end| Some((six, end, end.range_of(cube)?)));
    end.or_else(|| {
        let (field, value) = Bits::of(cube)?;
        (field.start >= 0).then_some((six, field, (value, value)))
    })
}

/// Whether a packet of that family may end before a field of its network header's numbering.
pub fn is_behind(six: bool, field: Bits) -> bool {
    field.start >= if six { V6.behind } else { V4.behind }
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
/// Hardware addresses, before the network header of a frame of Ethernet.
const MAC_DST: Bits = bits(-112, 48);
const MAC_SRC: Bits = bits(-64, 48);
/// The fragment header's number.
const FRAGMENT_HEADER: u128 = 44;
const TCP: u128 = 6;
/// The transport protocol after a walk.
const PROTO: Bits = Bits::known(Known::Proto, 8);
/// Of which piece of a packet it is, after a walk.
const PIECES: Bits = Bits::known(Known::Pieces, 2);
/// The VLAN's number under the bit that says that there is a tag.
const VLAN: Bits = Bits::known(Known::Vlan, 13);
const ETHER: Bits = Bits::known(Known::Ether, 16);

/// What the rule's packets look like to a classifier that sees so far.
pub fn compile(expression: Option<&Expression>, sight: Sight) -> Matched {
    let mut reading = Reading { sight, tagged: false, links: Vec::new() };
    let Some(expression) = expression else {
        return Matched { worlds: Vec::new(), others: Formula::yes(), tagged: false, links: Vec::new() };
    };
    let (mut named, mut ip) = (vec![IPV4, IPV6], false);
    expression.visit(&mut |test| match test.field {
        Field::Vlan => reading.tagged = true,
        Field::Ethertype => named.extend(test.items.iter().filter_map(ethertype)),
        field => ip |= looks_at_ip(field),
    });
    let tagged = reading.tagged;
    named.retain(|n| !(tagged && TAGS.contains(n)));
    let mut seen = Vec::new();
    named.retain(|n| !seen.contains(n) && (seen.push(*n), true).1);
    let mut of = |family| reading.formula(expression, family).simple();
    let worlds = named.into_iter().map(|n| {
        let family = match n {
            IPV4 => Family::V4,
            IPV6 => Family::V6,
            n => Family::None(Some(n)),
        };
        (n, of(family))
    });
    let worlds = worlds.collect();
    let others = if ip { Formula::no() } else { of(Family::None(None)) };
    Matched { worlds, others, tagged, links: reading.links }
}

/// Whether a field is IP's or of what IP carries.
fn looks_at_ip(field: Field) -> bool {
    !matches!(
        field,
        Field::Any
            | Field::Mark
            | Field::ConnMark
            | Field::Priority
            | Field::Cgroup
            | Field::Iif
            | Field::Vlan
            | Field::MacSrc
            | Field::MacDst
            | Field::Ethertype
    )
}

fn ethertype(item: &Item) -> Option<u16> {
    match item {
        Item::Number(n) => u16::try_from(*n).ok(),
        _ => None,
    }
}

struct Reading {
    sight: Sight,
    tagged: bool,
    links: Vec<CompactString>,
}

impl Reading {
    fn formula(&mut self, expression: &Expression, family: Family) -> Formula {
        match expression {
            Expression::And(parts) => Formula::All(parts.iter().map(|p| self.formula(p, family)).collect()),
            Expression::Or(parts) => Formula::Any(parts.iter().map(|p| self.formula(p, family)).collect()),
            Expression::Not(inner) => Formula::not(self.formula(inner, family)),
            Expression::Test(test) => match (test.field, family) {
                (Field::Any, _) => Formula::yes(),
                (Field::Mark, _) => words(test, Known::Mark),
                (Field::ConnMark, _) => words(test, Known::ConnMark),
                (Field::Priority, _) => words(test, Known::Priority),
                (Field::Cgroup, _) => words(test, Known::Cgroup),
                (Field::Iif, _) => Formula::Any(test.items.iter().filter_map(|i| self.link(i)).collect()),
                (Field::Vlan, _) => {
                    let tag = u128::from(TAGGED);
                    Formula::In(VLAN, ranges(&test.items).into_iter().map(|(a, b)| (a | tag, b | tag)).collect())
                }
                (Field::MacSrc, _) => Formula::In(MAC_SRC, macs(&test.items)),
                (Field::MacDst, _) => Formula::In(MAC_DST, macs(&test.items)),
                (Field::Ethertype, _) => self.ethertype(test, family),
                (_, Family::V4) => self.inside(test, &V4, family),
                (_, Family::V6) => self.inside(test, &V6, family),
                (_, Family::None(_)) => Formula::no(),
            },
        }
    }

    fn link(&mut self, item: &Item) -> Option<Formula> {
        let Item::Name(name) = item else { return None };
        let known = self.links.iter().position(|l| l == name);
        let at = known.unwrap_or_else(|| {
            self.links.push(name.clone());
            self.links.len() - 1
        });
        Some(Formula::Word(Key { at: At::Known(Known::Iif), mask: u32::MAX, value: at as u32 }))
    }

    /// Beside a VLAN it is the protocol inside of the tag, unless it is a tag's own.
    fn ethertype(&self, test: &Test, family: Family) -> Formula {
        let here = match family {
            Family::V4 => Some(IPV4),
            Family::V6 => Some(IPV6),
            Family::None(n) => n,
        };
        let of = |n: u16| match () {
            () if self.tagged && TAGS.contains(&n) => Formula::is(ETHER, u128::from(n)),
            () if here == Some(n) => Formula::yes(),
            () => Formula::no(),
        };
        Formula::Any(test.items.iter().filter_map(ethertype).map(of).collect())
    }

    fn inside(&self, test: &Test, at: &Layout, family: Family) -> Formula {
        let items = &test.items;
        let proto = self.proto(at);
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
                    let parts = if (a..=b).contains(&strange) {
                        [before, Some((strange + 1, b))]
                    } else {
                        [Some((a, b)), None]
                    };
                    parts.into_iter().flatten().filter(|(a, b)| a <= b)
                };
                Formula::In(proto, ranges.into_iter().flat_map(own).collect())
            }
            Field::Sport => self.with_ports(at, family, Formula::In(self.beyond(at, 0, 16), ranges(items))),
            Field::Dport => self.with_ports(at, family, Formula::In(self.beyond(at, 16, 16), ranges(items))),
            Field::Port => {
                let ranges = ranges(items);
                let either = [0, 16].map(|n| Formula::In(self.beyond(at, n, 16), ranges.clone()));
                self.with_ports(at, family, Formula::Any(either.into()))
            }
            Field::TcpFlags => {
                let flags = Formula::Masked(self.beyond(at, 104, 8), masked(items, 0xff));
                self.behind(at, family, Formula::is(proto, TCP), flags)
            }
            Field::IcmpType => {
                let kind = Formula::In(self.beyond(at, 0, 8), ranges(items));
                self.behind(at, family, Formula::is(proto, at.icmp), kind)
            }
            Field::IcmpCode => {
                let code = Formula::In(self.beyond(at, 8, 8), ranges(items));
                self.behind(at, family, Formula::is(proto, at.icmp), code)
            }
            Field::Tos => Formula::Masked(at.tos, masked(items, 0xff)),
            Field::Dscp => Formula::In(at.dscp, ranges(items)),
            Field::Len => {
                let counted =
                    |(a, b): (u128, u128)| Some((a.saturating_sub(at.uncounted), b.checked_sub(at.uncounted)?));
                Formula::In(at.length, ranges(items).into_iter().filter_map(counted).collect())
            }
            Field::Ttl => Formula::In(at.ttl, ranges(items)),
            Field::Fragment => self.fragment(items, at, family),
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
            // what is no field of IP, and names of services, which the reader has put in other words
            _ => Formula::no(),
        }
    }

    fn proto(&self, at: &Layout) -> Bits {
        if self.sight == Sight::Walking { PROTO } else { at.proto }
    }

    /// Bits of the transport header.
    fn beyond(&self, at: &Layout, start: i32, width: u32) -> Bits {
        match self.sight {
            Sight::Walking => Bits { base: Base::Transport, start, width },
            Sight::Fixed => bits(at.behind + start, width),
        }
    }

    fn fragment(&self, items: &[Item], at: &Layout, family: Family) -> Formula {
        let which = |n| items.contains(&Item::Number(n));
        if self.sight == Sight::Walking {
            let (fragment, later) = (u128::from(FRAGMENT), u128::from(LATER));
            return Formula::Masked(
                PIECES,
                vec![match () {
                    () if which(1) => (fragment, fragment | later),
                    () if which(2) => (later, later),
                    () => (fragment, fragment),
                }],
            );
        }
        let (more, offset) = (Formula::is(at.more, 1), Formula::is(at.fragment, 0));
        let later = Formula::not(offset.clone());
        let which = match () {
            () if which(1) => Formula::All(vec![more, offset]),
            () if which(2) => later,
            () => Formula::Any(vec![more, later]),
        };
        match family {
            Family::V6 => Formula::Guarded(Box::new(Formula::is(at.proto, FRAGMENT_HEADER)), Box::new(which)),
            _ => which,
        }
    }

    /// A test of what lies behind the header, held back where that is not sure to be there.
    fn behind(&self, at: &Layout, family: Family, proto: Formula, test: Formula) -> Formula {
        let guard = match (self.sight, family) {
            (Sight::Walking, _) => Formula::All(vec![proto, Formula::Masked(PIECES, vec![(0, u128::from(LATER))])]),
            (_, Family::V4) => Formula::All(vec![Formula::is(IHL, 5), Formula::is(at.fragment, 0), proto]),
            _ => proto,
        };
        Formula::Guarded(Box::new(guard), Box::new(test))
    }

    fn with_ports(&self, at: &Layout, family: Family, test: Formula) -> Formula {
        let known = WITH_PORTS.iter().map(|n| (u128::from(*n), u128::from(*n))).collect();
        self.behind(at, family, Formula::In(self.proto(at), known), test)
    }
}

/// A known word under a mask.
fn words(test: &Test, known: Known) -> Formula {
    let word = |item: &Item| {
        let (value, mask) = match item {
            Item::Masked(value, mask) => (*value as u32, *mask as u32),
            Item::Number(value) => (*value as u32, u32::MAX),
            _ => return Formula::no(),
        };
        Formula::Word(Key { at: At::Known(known), mask, value: value & mask })
    };
    Formula::Any(test.items.iter().map(word).collect())
}

fn macs(items: &[Item]) -> Vec<(u128, u128)> {
    let number = |item: &Item| match item {
        Item::Mac(octets) => Some(octets.iter().fold(0, |n, octet| n << 8 | u128::from(*octet))),
        _ => None,
    };
    items.iter().filter_map(number).map(|n| (n, n)).collect()
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
    let ip = [Family::V4, Family::V6].contains(&family);
    items.iter().filter(|_| ip).filter_map(|item| item.addresses(family == Family::V6)).collect()
}
