//! Cells for people, in the words of the expression language as far as they go.

use super::set::Set;
use super::space::{Cell, Dim, FIRST, FIRST_OPTIONS, LATER, OPTIONS, Space, WHOLE, World, scatter};
use crate::syntax::expression::Field;
use crate::syntax::names;
use std::net::{Ipv4Addr, Ipv6Addr};

/// So many values of a field are said; the others are counted.
const SAID: usize = 6;

/// Says the cells of one list.
pub struct Words<'a> {
    space: &'a Space,
}

impl<'a> Words<'a> {
    pub(super) fn new(space: &'a Space) -> Words<'a> {
        Words { space }
    }

    /// One line for each cell; what is the same for IPv4 and IPv6 is said once.
    pub fn lines(&self, cells: &[Cell]) -> Vec<String> {
        let said: Vec<(World, String)> = cells.iter().map(|c| (c.world, self.fields(c))).collect();
        let mut lines = Vec::new();
        for (world, text) in &said {
            let twin = |w: World| said.iter().any(|(other, t)| *other == w && t == text);
            let family = match world {
                World::V4 if twin(World::V6) => "IPv4 and IPv6",
                World::V4 => "IPv4",
                World::V6 if twin(World::V4) => continue,
                World::V6 => "IPv6",
                World::Other => "neither IPv4 nor IPv6 (ARP and others)",
            };
            lines.push(if text.is_empty() { family.to_owned() } else { format!("{family}: {text}") });
        }
        lines
    }

    fn fields(&self, cell: &Cell) -> String {
        let behind = [Dim::Sport, Dim::Dport, Dim::IcmpType, Dim::IcmpCode, Dim::TcpFlags];
        let reads = behind.into_iter().any(|dim| cell.get(dim).is_some());
        let mut parts = Vec::new();
        for (dim, set) in cell.dims() {
            match dim {
                // a port says that it is there
                Dim::Shape if reads => {}
                Dim::Shape => parts.push(shape(set, cell.world)),
                _ => parts.push(self.field(*dim, set, cell.world)),
            }
        }
        parts.join(" ")
    }

    fn field(&self, dim: Dim, set: &Set, world: World) -> String {
        let rest = dim.domain(world).without(set);
        // whichever is shorter: what it is, or what it is not
        let negated = rest.intervals().len() < set.intervals().len() || count(&rest) < count(set) && !is_run(set);
        let (said, not) = if negated { (&rest, "not ") } else { (set, "") };
        if let Dim::Opaque(n) = dim {
            let text = self
                .space
                .opaque
                .get_index(n as usize)
                .map_or_else(String::new, |(field, item)| format!("{} {}", field.word(), item.show(*field)));
            return if set.has(1) { text } else { format!("not {text}") };
        }
        if let Dim::There(at) = dim {
            return if set.has(1) {
                format!("long enough for a word at {at}")
            } else {
                format!("without a word at {at}")
            };
        }
        if let (Dim::Word(at, mask), [(value, to)]) = (dim, said.intervals())
            && value == to
        {
            return format!("{not}u32 0x{:x} 0x{mask:x} at {at}", scatter(u32::try_from(*value).unwrap_or(0), mask));
        }
        let word = match dim {
            Dim::Word(at, mask) => format!("u32 at {at}&0x{mask:x} "),
            Dim::Proto if not.is_empty() && said.intervals().len() == 1 && count(said) == 1 => String::new(),
            Dim::Mark(u32::MAX) => "mark ".to_owned(),
            Dim::ConnMark(u32::MAX) => "connmark ".to_owned(),
            Dim::Mark(mask) => format!("mark&0x{mask:x} "),
            Dim::ConnMark(mask) => format!("connmark&0x{mask:x} "),
            Dim::Tag => "tag ".to_owned(),
            Dim::Shape => String::new(),
            _ => format!("{} ", field_of(dim).word()),
        };
        let values = self.values(dim, said, world);
        match values.as_slice() {
            [one] => format!("{word}{not}{one}"),
            _ => format!("{word}{not}{{{}}}", values.join(", ")),
        }
    }

    fn values(&self, dim: Dim, set: &Set, world: World) -> Vec<String> {
        let mut out = Vec::new();
        let all = set.intervals();
        for (from, to) in all.iter().take(SAID) {
            out.push(match dim {
                Dim::Src | Dim::Dst => network(*from, *to, world),
                // neighbours are names, not a range
                Dim::Proto | Dim::Iif if to - from < 4 => {
                    (*from..=*to).map(|n| self.value(dim, n)).collect::<Vec<_>>().join(", ")
                }
                Dim::Tos if from % 4 == 0 && to % 4 == 3 && to - from == 3 => {
                    match names::name(names::DSCP, u64::try_from(from >> 2).unwrap_or(0)) {
                        Some(name) => format!("{name} (0x{from:02x}-0x{to:02x})"),
                        None => format!("0x{from:02x}-0x{to:02x}"),
                    }
                }
                _ if from == to => self.value(dim, *from),
                _ => format!("{}-{}", self.value(dim, *from), self.value(dim, *to)),
            });
        }
        if all.len() > SAID {
            out.push(format!("and {} more", all.len() - SAID));
        }
        out
    }

    fn value(&self, dim: Dim, value: u128) -> String {
        let number = u64::try_from(value).unwrap_or(u64::MAX);
        match dim {
            Dim::Proto => names::name(names::PROTOCOLS, number).map_or_else(|| number.to_string(), str::to_owned),
            Dim::Vlan if value == 0 => "untagged".to_owned(),
            Dim::Vlan => (number - 1).to_string(),
            Dim::MacSrc | Dim::MacDst => {
                let octets: Vec<String> = (0..6).rev().map(|i| format!("{:02x}", number >> (8 * i) & 0xff)).collect();
                octets.join(":")
            }
            Dim::Iif => self.space.interface(value).unwrap_or("another").to_owned(),
            Dim::Ethertype => {
                names::name(names::ETHERTYPES, number).map_or_else(|| format!("0x{number:04x}"), str::to_owned)
            }
            Dim::Tos | Dim::TcpFlags => format!("0x{number:02x}"),
            Dim::Tag => if number == 0 { "802.1q" } else { "802.1ad" }.to_owned(),
            Dim::Mark(mask) | Dim::ConnMark(mask) | Dim::Word(_, mask) => {
                format!("0x{:x}", scatter(u32::try_from(number).unwrap_or(u32::MAX), mask))
            }
            Dim::Cgroup => format!("0x{number:x}"),
            _ => number.to_string(),
        }
    }
}

fn field_of(dim: Dim) -> Field {
    match dim {
        Dim::Ethertype => Field::Ethertype,
        Dim::Vlan | Dim::Tag => Field::Vlan,
        Dim::MacSrc => Field::MacSrc,
        Dim::MacDst => Field::MacDst,
        Dim::Iif => Field::Iif,
        Dim::Src => Field::Src,
        Dim::Dst => Field::Dst,
        Dim::Proto => Field::Proto,
        Dim::Shape => Field::Fragment,
        Dim::Sport => Field::Sport,
        Dim::Dport => Field::Dport,
        Dim::IcmpType => Field::IcmpType,
        Dim::IcmpCode => Field::IcmpCode,
        Dim::TcpFlags => Field::TcpFlags,
        Dim::Tos => Field::Tos,
        Dim::Len => Field::Len,
        Dim::Ttl => Field::Ttl,
        Dim::Mark(_) => Field::Mark,
        Dim::ConnMark(_) => Field::ConnMark,
        Dim::Priority => Field::Priority,
        Dim::Cgroup => Field::Cgroup,
        Dim::There(_) | Dim::Word(..) => Field::Raw,
        Dim::Opaque(_) => Field::Service,
    }
}

fn count(set: &Set) -> u128 {
    set.intervals().iter().fold(0_u128, |n, (a, b)| n.saturating_add((b - a).saturating_add(1)))
}

/// Whether it is one interval that does not begin where the field does: a range that somebody wrote.
fn is_run(set: &Set) -> bool {
    set.intervals().len() == 1 && set.lowest() != 0
}

fn shape(set: &Set, world: World) -> String {
    // where the ports of some other rule cannot be seen
    if world == World::V6 && *set == Set::single(LATER) {
        return shape(&Set::new(vec![(OPTIONS, OPTIONS), (FIRST_OPTIONS, LATER)]), World::V4);
    }
    let has = |shapes: &[u128]| shapes.iter().all(|s| set.has(*s)) && count(set) == shapes.len() as u128;
    let text = if has(&[LATER]) {
        "frag later"
    } else if has(&[FIRST, FIRST_OPTIONS]) {
        "frag first"
    } else if has(&[FIRST, FIRST_OPTIONS, LATER]) {
        "frag"
    } else if has(&[WHOLE, OPTIONS]) || has(&[WHOLE]) {
        "not frag"
    } else if has(&[WHOLE, OPTIONS, FIRST, FIRST_OPTIONS]) {
        "not frag later"
    } else if has(&[FIRST, LATER]) {
        "frag"
    } else if has(&[FIRST]) {
        "frag first"
    } else if has(&[OPTIONS, FIRST_OPTIONS, LATER]) {
        "without ports to be seen (later fragments, IP options)"
    } else if has(&[OPTIONS, FIRST_OPTIONS]) {
        "with IP options"
    } else if has(&[WHOLE, FIRST]) {
        "with ports to be seen"
    } else {
        "some fragments"
    };
    text.to_owned()
}

/// A network if it is one, else a range.
fn network(from: u128, to: u128, world: World) -> String {
    let width = if world == World::V6 { 128 } else { 32 };
    let show = |a: u128| match world {
        World::V6 => Ipv6Addr::from(a).to_string(),
        _ => Ipv4Addr::from(u32::try_from(a).unwrap_or(u32::MAX)).to_string(),
    };
    let host = to ^ from;
    let aligned = host & host.wrapping_add(1) == 0 && from & host == 0;
    match host.count_ones() {
        0 => show(from),
        bits if aligned => format!("{}/{}", show(from), width - bits),
        _ => format!("{}-{}", show(from), show(to)),
    }
}

/// The same packets in fewer cells.
pub(super) fn joined(mut cells: Vec<Cell>) -> Vec<Cell> {
    loop {
        let before = cells.len();
        let mut out: Vec<Cell> = Vec::with_capacity(before);
        for cell in cells {
            let pair = out.iter().enumerate().find_map(|(i, other)| Some((i, other.joined(&cell)?)));
            match pair {
                Some((i, both)) => out.iter_mut().skip(i).take(1).for_each(|slot| *slot = both.clone()),
                None => out.push(cell),
            }
        }
        if out.len() == before {
            return out;
        }
        cells = out;
    }
}
