//! What packets can differ in, and expressions as sets of them.
//!
//! Packets are IPv4, IPv6 or neither ([`World`]), and each has all the fields of its world: also those that its protocol
//! does not have, for every test of such a field asks for the protocol first. So what no packet has changes no answer.
//!
//! Classifiers see differently far: over IP options and extension headers, or not. Each sort of packet that one of them
//! parts from others is a sort here ([`Dim::Shape`]), so that what is found holds for a list whichever takes it.
//!
//! A frame with a VLAN's tag is of the tag's ethertype, and only a match that names a VLAN looks into it. In a list in which
//! none does, such frames are [`World::Other`] like all that is not IP.

use super::CELLS;
use super::set::Set;
use crate::syntax::expression::{Expression, Field, Item, Test};
use crate::syntax::names::WITH_PORTS;
use compact_str::CompactString;
use indexmap::IndexSet;
use std::collections::{BTreeMap, BTreeSet};

/// The sort of packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum World {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
    /// ARP and whatever else is neither.
    Other,
}

impl World {
    /// All of them.
    pub const ALL: [World; 3] = [World::V4, World::V6, World::Other];

    /// Bytes of the network header that each of its packets has.
    fn header(self) -> i32 {
        match self {
            World::V4 => 20,
            World::V6 => 40,
            World::Other => 0,
        }
    }

    fn ethertype(self) -> Option<u64> {
        match self {
            World::V4 => Some(0x0800),
            World::V6 => Some(0x86dd),
            World::Other => None,
        }
    }
}

/// A field that is independent of the others. What is taken off a cell is taken off in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dim {
    /// What neither IPv4 nor IPv6 is.
    Ethertype,
    /// 0 without a tag, else one more than the id.
    Vlan,
    /// Which tag it is, by its place in [`TAGS`].
    Tag,
    /// Source hardware address.
    MacSrc,
    /// Destination hardware address.
    MacDst,
    /// The interface it came in by: 0 for those that no rule names.
    Iif,
    /// Source address.
    Src,
    /// Destination address.
    Dst,
    /// IPv4 protocol, IPv6 next header.
    Proto,
    /// One of [`WHOLE`] to [`LATER`].
    Shape,
    /// Source port.
    Sport,
    /// Destination port.
    Dport,
    /// ICMP type.
    IcmpType,
    /// ICMP code.
    IcmpCode,
    /// TCP flags.
    TcpFlags,
    /// TOS octet.
    Tos,
    /// Length of the IP packet.
    Len,
    /// TTL or hop limit.
    Ttl,
    /// Those bits of the mark, moved together. All masks of a list are made of such pieces.
    Mark(u32),
    /// The same of the mark of its connection.
    ConnMark(u32),
    /// The socket buffer's priority.
    Priority,
    /// The class of net_cls.
    Cgroup,
    /// Whether there is a word so many bytes from the network header: 1 where there is.
    There(i32),
    /// Those bits of that word, moved together. All masks of a list are made of such pieces, like those of marks. What a
    /// field says of the same bits is not known of them.
    Word(i32, u32),
    /// A test that is taken as it is, by its number: 1 where it holds.
    Opaque(u32),
}

/// No fragment, no IP options.
pub const WHOLE: u128 = 0;
/// IP options, so that nobody looks behind them.
pub const OPTIONS: u128 = 1;
/// The first of several fragments.
pub const FIRST: u128 = 2;
/// The same with IP options.
pub const FIRST_OPTIONS: u128 = 3;
/// A later fragment, which has no ports.
pub const LATER: u128 = 4;

/// Ethertypes of VLANs' tags.
const TAGS: [u64; 2] = [0x8100, 0x88a8];

impl Dim {
    /// The first of them.
    pub const FIRST: Dim = Dim::Ethertype;

    /// How many bits it has, about.
    pub fn width(self) -> u32 {
        match self {
            Dim::Src | Dim::Dst => 128,
            Dim::MacSrc | Dim::MacDst => 48,
            Dim::Mark(bits) | Dim::ConnMark(bits) | Dim::Word(_, bits) => bits.count_ones(),
            Dim::Priority | Dim::Cgroup => 32,
            Dim::Ethertype | Dim::Iif | Dim::Sport | Dim::Dport | Dim::Len => 16,
            Dim::Vlan => 12,
            Dim::Proto | Dim::IcmpType | Dim::IcmpCode | Dim::TcpFlags | Dim::Tos | Dim::Ttl => 8,
            Dim::Shape => 2,
            Dim::Tag | Dim::There(_) | Dim::Opaque(_) => 1,
        }
    }

    /// All its values.
    pub fn domain(self, world: World) -> Set {
        match (self, world) {
            (Dim::Ethertype, World::Other) => Set::new(vec![(0, 0x07ff), (0x0801, 0x86dc), (0x86de, 0xffff)]),
            (Dim::Src | Dim::Dst, World::V6) => Set::range(0, u128::MAX),
            (Dim::Src | Dim::Dst, _) => Set::range(0, u128::from(u32::MAX)),
            // an IPv6 packet has its header besides what its length counts
            (Dim::Len, World::V6) => Set::range(40, 40 + 0xffff),
            (Dim::Vlan, _) => Set::range(0, 4096),
            (Dim::Shape, World::V6) => Set::new(vec![(WHOLE, WHOLE), (FIRST, FIRST), (LATER, LATER)]),
            (Dim::Shape, _) => Set::range(WHOLE, LATER),
            (dim, _) => Set::range(0, (1 << dim.width()) - 1),
        }
    }

    /// What writing may change together has one name: the mark by all of its pieces, and TOS by the word that it is in.
    pub fn written(self) -> Dim {
        match self {
            Dim::Mark(_) => Dim::Mark(u32::MAX),
            Dim::ConnMark(_) => Dim::ConnMark(u32::MAX),
            Dim::Word(0, _) => Dim::Tos,
            other => other,
        }
    }
}

/// Packets of one world whose fields have these values, all of them; other fields have any value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    /// The sort of packet.
    pub world: World,
    dims: Vec<(Dim, Set)>,
}

impl Cell {
    /// All packets of a world.
    pub fn all(world: World) -> Cell {
        Cell { world, dims: Vec::new() }
    }

    /// Those of a world with these fields, in order.
    pub(super) fn of(world: World, dims: Vec<(Dim, Set)>) -> Cell {
        Cell { world, dims }
    }

    /// The fields that do not have all values, in order.
    pub fn dims(&self) -> &[(Dim, Set)] {
        &self.dims
    }

    /// The values of a field, if not all.
    pub fn get(&self, dim: Dim) -> Option<&Set> {
        self.dims.iter().find(|(d, _)| *d == dim).map(|(_, set)| set)
    }

    /// Sets a field that is known to be narrower than all values.
    fn put(&mut self, dim: Dim, set: Set) {
        match self.dims.binary_search_by_key(&dim, |(d, _)| *d) {
            Ok(at) => self.dims.iter_mut().skip(at).take(1).for_each(|slot| slot.1 = set.clone()),
            Err(at) => self.dims.insert(at, (dim, set)),
        }
    }

    /// Keeps the packets whose field is in the set; whether there are any.
    pub(super) fn narrow(&mut self, dim: Dim, set: &Set) -> bool {
        let domain = dim.domain(self.world);
        if set.covers(&domain) {
            return true;
        }
        let narrowed = self.get(dim).unwrap_or(&domain).and(set);
        let some = !narrowed.is_empty();
        self.put(dim, narrowed);
        some
    }

    /// Those of them whose field is in the set.
    fn with(mut self, dim: Dim, set: &Set) -> Option<Cell> {
        self.narrow(dim, set).then_some(self)
    }

    fn and(&self, other: &Cell) -> Option<Cell> {
        let mut out = self.clone();
        other.dims.iter().all(|(dim, set)| out.narrow(*dim, set)).then_some(out)
    }

    /// Whether a packet is in both.
    pub(super) fn meets(&self, other: &Cell) -> bool {
        self.world == other.world && other.dims.iter().all(|(dim, set)| self.get(*dim).is_none_or(|own| own.meets(set)))
    }

    /// Whether the lowest packet of the other is in this one.
    pub(super) fn has_lowest_of(&self, other: &Cell) -> bool {
        self.world == other.world
            && self.dims.iter().all(|(dim, set)| match other.get(*dim) {
                Some(own) => set.has(own.lowest()),
                None => set.has(dim.domain(self.world).lowest()),
            })
    }

    /// Whether all packets of the other are in this one.
    fn contains(&self, other: &Cell) -> bool {
        self.world == other.world
            && self.dims.iter().all(|(dim, set)| other.get(*dim).is_some_and(|own| set.covers(own)))
    }

    /// Adds what is left without the other, as cells that share no packet.
    pub(super) fn without(mut self, by: &Cell, out: &mut Vec<Cell>) {
        if !self.meets(by) {
            out.push(self);
            return;
        }
        for (dim, set) in &by.dims {
            let domain = dim.domain(self.world);
            let own = self.get(*dim).unwrap_or(&domain);
            let (inside, outside) = (own.and(set), own.without(set));
            if !outside.is_empty() {
                let mut piece = self.clone();
                piece.put(*dim, outside);
                out.push(piece);
            }
            self.put(*dim, inside);
        }
    }

    /// How much there is to look at.
    pub(super) fn weight(&self) -> usize {
        self.dims.iter().map(|(_, set)| set.intervals().len()).sum()
    }
}

/// The fields of one list: pieces of the mark and of words, names of interfaces, tests that are taken as they are.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// Bits of the mark that are always tested together.
    marks: Vec<u32>,
    /// The same of the connection's mark.
    connmarks: Vec<u32>,
    /// Bits of words that are always tested together, by the place of the word.
    words: BTreeMap<i32, Vec<u32>>,
    /// Whether a VLAN is named.
    vlans: bool,
    /// In the order of their names.
    interfaces: Vec<CompactString>,
    pub opaque: IndexSet<(Field, Item)>,
}

/// A rule comes to more cells than [`CELLS`].
struct TooMany;

impl Space {
    /// The fields that these expressions tell apart.
    pub fn new<'e>(expressions: impl Iterator<Item = &'e Expression>) -> Space {
        let (mut masks, mut connmasks, mut vlans) = (BTreeSet::new(), BTreeSet::new(), false);
        let mut names = BTreeSet::new();
        let mut words: BTreeMap<i32, BTreeSet<u32>> = BTreeMap::new();
        let mut opaque = IndexSet::new();
        for expression in expressions {
            expression.visit(&mut |test| match test.field {
                Field::Mark => masks.extend(test.items.iter().filter_map(masked).map(|(_, mask)| mask)),
                Field::ConnMark => connmasks.extend(test.items.iter().filter_map(masked).map(|(_, mask)| mask)),
                Field::Vlan => vlans = true,
                Field::Iif => names.extend(test.items.iter().filter_map(|i| match i {
                    Item::Name(name) => Some(name.clone()),
                    _ => None,
                })),
                Field::Raw => test.items.iter().for_each(|i| {
                    if let Item::Raw { mask, offset, .. } = i {
                        words.entry(*offset).or_default().insert(*mask);
                    }
                }),
                field if is_opaque(field) => opaque.extend(test.items.iter().map(|i| (field, i.clone()))),
                _ => {}
            });
        }
        let (marks, connmarks) = (pieces(masks), pieces(connmasks));
        let words = words.into_iter().map(|(at, masks)| (at, pieces(masks))).collect();
        Space { marks, connmarks, words, vlans, interfaces: names.into_iter().collect(), opaque }
    }

    /// Every packet.
    pub fn everything(&self) -> Vec<Cell> {
        World::ALL.map(Cell::all).into()
    }

    /// The name of an interface by its number.
    pub fn interface(&self, number: u128) -> Option<&str> {
        let at = usize::try_from(number.checked_sub(1)?).ok()?;
        self.interfaces.get(at).map(CompactString::as_str)
    }

    /// The packets that an expression matches; all of them without one. `None` if they come to too many cells.
    pub fn cells(&self, expression: Option<&Expression>) -> Option<Vec<Cell>> {
        let Some(expression) = expression else { return Some(self.everything()) };
        let (mut of_ip, mut vlan, mut ethertype) = (false, false, false);
        expression.visit(&mut |test| {
            of_ip |= looks_into_ip(test.field);
            vlan |= test.field == Field::Vlan;
            ethertype |= test.field == Field::Ethertype;
        });
        let mut out = Vec::new();
        for world in World::ALL {
            // who looks into an IP header has no other packets, whatever he looks for
            let own =
                if world == World::Other && of_ip { Vec::new() } else { self.spread(expression, world, true).ok()? };
            if !self.vlans || vlan || !(of_ip || ethertype) {
                out.extend(own);
                continue;
            }
            // without a VLAN's name a frame with a tag is nothing but that
            out.extend(own.into_iter().filter_map(|cell| cell.with(Dim::Vlan, &Set::single(0))));
            for (tag, number) in TAGS.iter().enumerate().filter(|_| !of_ip) {
                let tagged = self.spread(&as_tagged(expression, *number), world, true).ok()?.into_iter();
                let tagged = tagged.filter_map(|cell| cell.with(Dim::Vlan, &Set::range(1, 4096)));
                out.extend(tagged.filter_map(|cell| cell.with(Dim::Tag, &Set::single(tag as u128))));
            }
        }
        (out.len() <= CELLS).then_some(out)
    }

    fn spread(&self, expression: &Expression, world: World, holds: bool) -> Result<Vec<Cell>, TooMany> {
        match (expression, holds) {
            (Expression::Not(inner), _) => self.spread(inner, world, !holds),
            (Expression::And(parts), true) | (Expression::Or(parts), false) => {
                let parts = parts.iter().map(|p| self.spread(p, world, holds)).collect::<Result<Vec<_>, _>>()?;
                product(parts, world)
            }
            (Expression::And(parts), false) | (Expression::Or(parts), true) => {
                let mut out = Vec::new();
                for part in parts {
                    out.extend(self.spread(part, world, holds)?);
                    if out.len() > CELLS {
                        return Err(TooMany);
                    }
                }
                absorb(&mut out);
                Ok(out)
            }
            (Expression::Test(test), true) => bounded(self.test(test, world)),
            (Expression::Test(test), false) => {
                let outside = |cell: Cell| {
                    let of = |(dim, set): &(Dim, Set)| {
                        let rest = dim.domain(world).without(set);
                        (!rest.is_empty()).then(|| Cell::of(world, vec![(*dim, rest)]))
                    };
                    cell.dims.iter().filter_map(of).collect()
                };
                product(self.test(test, world).into_iter().map(outside).collect(), world)
            }
        }
    }

    /// The packets of one test.
    fn test(&self, test: &Test, world: World) -> Vec<Cell> {
        let items = &test.items;
        let one = |dims: &[(Dim, Set)]| {
            let mut cell = Cell::all(world);
            if dims.iter().all(|(dim, set)| cell.narrow(*dim, set)) { vec![cell] } else { Vec::new() }
        };
        let whether = |yes: bool| if yes { vec![Cell::all(world)] } else { Vec::new() };
        let either = |a: Dim, b: Dim, with: &dyn Fn(Dim) -> Vec<Cell>| [with(a), with(b)].concat();
        let port = |dim: Dim| {
            let protocols = Set::new(WITH_PORTS.iter().map(|n| (u128::from(*n), u128::from(*n))).collect());
            one(&[(Dim::Proto, protocols), (Dim::Shape, plain()), (dim, numbers(items))])
        };
        let behind = |proto: u128, dim: Dim, set: Set| {
            one(&[(Dim::Proto, Set::single(proto)), (Dim::Shape, plain()), (dim, set)])
        };
        let (icmp, strange) = if world == World::V6 { (58, 1) } else { (1, 58) };
        match test.field {
            Field::Any => whether(true),
            Field::Family => whether(match world {
                World::V4 => items.contains(&Item::Number(4)),
                World::V6 => items.contains(&Item::Number(6)),
                World::Other => false,
            }),
            Field::Src => one(&[(Dim::Src, addresses(items, world))]),
            Field::Dst => one(&[(Dim::Dst, addresses(items, world))]),
            Field::Host => either(Dim::Src, Dim::Dst, &|dim| one(&[(dim, addresses(items, world))])),
            // ICMP belongs to one family, ICMPv6 to the other
            Field::Proto => one(&[(Dim::Proto, numbers(items).without(&Set::single(strange)))]),
            Field::Sport => port(Dim::Sport),
            Field::Dport => port(Dim::Dport),
            Field::Port => either(Dim::Sport, Dim::Dport, &port),
            Field::TcpFlags => behind(6, Dim::TcpFlags, octets(items)),
            Field::IcmpType => behind(icmp, Dim::IcmpType, numbers(items)),
            Field::IcmpCode => behind(icmp, Dim::IcmpCode, numbers(items)),
            Field::Tos => one(&[(Dim::Tos, octets(items))]),
            Field::Dscp => {
                let wide = |(a, b): &(u128, u128)| (a << 2, b << 2 | 3);
                one(&[(Dim::Tos, Set::new(numbers(items).intervals().iter().map(wide).collect()))])
            }
            Field::Mark | Field::ConnMark => {
                let (own, pieces): (fn(u32) -> Dim, _) = match test.field {
                    Field::Mark => (Dim::Mark, &self.marks),
                    _ => (Dim::ConnMark, &self.connmarks),
                };
                let mut cells = Vec::new();
                for (value, mask) in items.iter().filter_map(masked) {
                    let parts = parted(value, mask, pieces, own);
                    one(&parts).into_iter().for_each(|cell| join(&mut cells, cell));
                }
                cells
            }
            Field::Raw => {
                let mut cells = Vec::new();
                for item in items {
                    let Item::Raw { value, mask, offset } = *item else { continue };
                    let pieces = self.words.get(&offset).map_or(&[][..], Vec::as_slice);
                    let mut parts = parted(value, mask, pieces, |bits| Dim::Word(offset, bits));
                    if !(0..=world.header() - 4).contains(&offset) {
                        parts.insert(0, (Dim::There(offset), Set::single(1)));
                    }
                    one(&parts).into_iter().for_each(|cell| join(&mut cells, cell));
                }
                cells
            }
            Field::Priority => one(&[(Dim::Priority, numbers(items))]),
            Field::Cgroup => one(&[(Dim::Cgroup, numbers(items))]),
            Field::Vlan => {
                let tagged = |(a, b): &(u128, u128)| (a + 1, b + 1);
                one(&[(Dim::Vlan, Set::new(numbers(items).intervals().iter().map(tagged).collect()))])
            }
            Field::MacSrc => one(&[(Dim::MacSrc, stations(items))]),
            Field::MacDst => one(&[(Dim::MacDst, stations(items))]),
            Field::Ethertype => {
                let mut cells = match world.ethertype() {
                    Some(own) => whether(items.contains(&Item::Number(own))),
                    None => one(&[(Dim::Ethertype, numbers(items))]),
                };
                // beside a VLAN it is the type inside of the tag, unless it is the tag's own
                let tags = TAGS.iter().enumerate().filter(|(_, n)| items.contains(&Item::Number(**n)));
                let tags = Set::new(tags.map(|(at, _)| (at as u128, at as u128)).collect());
                if self.vlans && !tags.is_empty() {
                    cells.extend(one(&[(Dim::Vlan, Set::range(1, 4096)), (Dim::Tag, tags)]));
                }
                cells
            }
            Field::Len => one(&[(Dim::Len, numbers(items))]),
            Field::Ttl => one(&[(Dim::Ttl, numbers(items))]),
            Field::Fragment => {
                let shapes = if items.contains(&Item::Number(1)) {
                    Set::range(FIRST, FIRST_OPTIONS)
                } else if items.contains(&Item::Number(2)) {
                    Set::single(LATER)
                } else {
                    Set::range(FIRST, LATER)
                };
                one(&[(Dim::Shape, shapes)])
            }
            Field::Iif => {
                let number = |item: &Item| match item {
                    Item::Name(name) => self.interfaces.binary_search(name).ok(),
                    _ => None,
                };
                let numbers = items.iter().filter_map(number).map(|n| (n as u128 + 1, n as u128 + 1));
                one(&[(Dim::Iif, Set::new(numbers.collect()))])
            }
            field => {
                let number = |item: &Item| self.opaque.get_index_of(&(field, item.clone()));
                let numbers = items.iter().filter_map(number).filter_map(|n| u32::try_from(n).ok());
                numbers.flat_map(|n| one(&[(Dim::Opaque(n), Set::single(1))])).collect()
            }
        }
    }
}

/// The pieces that all masks are made of.
fn pieces(masks: BTreeSet<u32>) -> Vec<u32> {
    masks.into_iter().fold(vec![u32::MAX], |pieces, mask| {
        pieces.into_iter().flat_map(|piece| [piece & mask, piece & !mask]).filter(|p| *p != 0).collect()
    })
}

/// What an expression without a VLAN's name says of a frame with a tag, whose ethertype is the tag's.
fn as_tagged(expression: &Expression, tag: u64) -> Expression {
    let all = |parts: &[Expression]| parts.iter().map(|p| as_tagged(p, tag)).collect();
    match expression {
        Expression::And(parts) => Expression::And(all(parts)),
        Expression::Or(parts) => Expression::Or(all(parts)),
        Expression::Not(inner) => as_tagged(inner, tag).negated(),
        Expression::Test(test) if test.field == Field::Ethertype => {
            let always = Expression::Test(Test { field: Field::Any, items: Vec::new(), span: test.span });
            if test.items.contains(&Item::Number(tag)) { always } else { always.negated() }
        }
        Expression::Test(_) => expression.clone(),
    }
}

/// Tests that stand for themselves.
fn is_opaque(field: Field) -> bool {
    field == Field::Service
}

/// Whether a field is one of the IP packet, or of what is in it.
fn looks_into_ip(field: Field) -> bool {
    !matches!(
        field,
        Field::Any
            | Field::Mark
            | Field::ConnMark
            | Field::Priority
            | Field::Cgroup
            | Field::Vlan
            | Field::MacSrc
            | Field::MacDst
            | Field::Ethertype
            | Field::Iif
    )
}

/// The shapes in which what lies behind the IP header can be read.
fn plain() -> Set {
    Set::new(vec![(WHOLE, WHOLE), (FIRST, FIRST)])
}

fn numbers(items: &[Item]) -> Set {
    let range = |item: &Item| match item {
        Item::Number(n) => Some((u128::from(*n), u128::from(*n))),
        Item::Range(a, b) => Some((u128::from(*a), u128::from(*b))),
        _ => None,
    };
    Set::new(items.iter().filter_map(range).collect())
}

/// Octets that have one of the values under its mask.
fn octets(items: &[Item]) -> Set {
    let fits = |octet: u64, item: &Item| match item {
        Item::Number(n) => octet == *n,
        Item::Masked(value, mask) => octet & mask == value & mask,
        _ => false,
    };
    let all = (0..256_u64).filter(|octet| items.iter().any(|i| fits(*octet, i)));
    Set::new(all.map(|o| (u128::from(o), u128::from(o))).collect())
}

fn masked(item: &Item) -> Option<(u32, u32)> {
    match item {
        Item::Number(value) => Some((*value as u32, u32::MAX)),
        Item::Masked(value, mask) => Some((*value as u32, *mask as u32)),
        _ => None,
    }
}

/// A value under a mask, by the pieces of the mask.
fn parted(value: u32, mask: u32, pieces: &[u32], own: impl Fn(u32) -> Dim) -> Vec<(Dim, Set)> {
    let asked = pieces.iter().filter(|piece| *piece & mask != 0);
    asked.map(|piece| (own(*piece), Set::single(gather(value, *piece).into()))).collect()
}

/// The bits of a value that a mask has, moved together.
fn gather(value: u32, mask: u32) -> u32 {
    let bits = (0..32).filter(|bit| mask >> bit & 1 == 1);
    bits.enumerate().fold(0, |out, (to, from)| out | (value >> from & 1) << to)
}

/// The value whose bits were moved together, where they were.
pub(super) fn scatter(value: u32, mask: u32) -> u32 {
    let bits = (0..32).filter(|bit| mask >> bit & 1 == 1);
    bits.enumerate().fold(0, |out, (from, to)| out | (value >> from & 1) << to)
}

fn stations(items: &[Item]) -> Set {
    let number = |item: &Item| match item {
        Item::Mac(bytes) => Some(bytes.iter().fold(0_u128, |n, b| n << 8 | u128::from(*b))),
        _ => None,
    };
    Set::new(items.iter().filter_map(number).map(|n| (n, n)).collect())
}

fn addresses(items: &[Item], world: World) -> Set {
    let ranges = items.iter().filter(|_| world != World::Other);
    Set::new(ranges.filter_map(|item| item.addresses(world == World::V6)).collect())
}

fn bounded(cells: Vec<Cell>) -> Result<Vec<Cell>, TooMany> {
    if cells.len() > CELLS { Err(TooMany) } else { Ok(cells) }
}

fn product(mut parts: Vec<Vec<Cell>>, world: World) -> Result<Vec<Cell>, TooMany> {
    // small ones first keep what is on the way small
    parts.sort_by_key(Vec::len);
    let mut out = vec![Cell::all(world)];
    for part in &parts {
        let mut next = Vec::with_capacity(out.len().max(part.len()));
        for (a, b) in out.iter().flat_map(|a| part.iter().map(move |b| (a, b))) {
            next.extend(a.and(b));
            if next.len() > CELLS {
                return Err(TooMany);
            }
        }
        out = next;
        absorb(&mut out);
    }
    Ok(out)
}

/// Up to so many cells are compared with each other.
const COMPARED: usize = 128;

/// Drops what another cell contains; of two equal ones the first stays.
fn absorb(cells: &mut Vec<Cell>) {
    if cells.len() > COMPARED || cells.len() < 2 {
        return;
    }
    let contained = |i: usize, c: &Cell| {
        let inside = |(j, d): (usize, &Cell)| j != i && d.contains(c) && (!c.contains(d) || j < i);
        cells.iter().enumerate().any(inside)
    };
    let kept: Vec<bool> = cells.iter().enumerate().map(|(i, c)| !contained(i, c)).collect();
    let mut keep = kept.into_iter();
    cells.retain(|_| keep.next().unwrap_or(true));
}

/// Adds a cell: to the last one, if they differ in the values of one field only.
fn join(cells: &mut Vec<Cell>, cell: Cell) {
    if let Some(last) = cells.last_mut()
        && let Some(dim) = last.differs_in(&cell)
        && let (Some(a), Some(b)) = (last.get(dim), cell.get(dim))
    {
        let both = Set::new([a.intervals(), b.intervals()].concat());
        if both.covers(&dim.domain(cell.world)) {
            last.dims.retain(|(d, _)| *d != dim);
        } else {
            last.put(dim, both);
        }
        return;
    }
    cells.push(cell);
}

impl Cell {
    /// The only field in which two cells of one world differ, if both narrow the same fields.
    fn differs_in(&self, other: &Cell) -> Option<Dim> {
        if self.world != other.world || self.dims.len() != other.dims.len() {
            return None;
        }
        let mut found = None;
        for ((a, x), (b, y)) in self.dims.iter().zip(&other.dims) {
            if a != b || (x != y && found.is_some()) {
                return None;
            }
            if x != y {
                found = Some(*a);
            }
        }
        found
    }

    /// Both as one cell, if they differ in the values of one field only.
    pub(super) fn joined(&self, other: &Cell) -> Option<Cell> {
        let mut both = vec![self.clone()];
        join(&mut both, other.clone());
        if both.len() == 1 { both.pop() } else { None }
    }
}
