//! Sets of packets as bits: the one form between an expression and every classifier.
//!
//! A [`Formula`] says what must hold of 32-bit words: of the packet's bytes, and of what the system knows beside them. bpf
//! and basic say a formula as it is. u32 and flower say conjunctions only: a [`Cube`] is a conjunction of words under
//! masks, and a union of cubes is a list of filters with one target. Ranges become the fewest prefixes that cover them, and
//! a negation becomes the cover of the opposite, so that every formula ends as a list of cubes. Only its length is bounded.

/// Where a 32-bit word is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum At {
    /// What the system knows of the packet.
    Known(Known),
    /// Bytes from the start of the network header, a multiple of 4; negative ones are the link's header.
    Offset(i32),
    /// Bytes from the start of the transport header, wherever that is.
    Beyond(i32),
}

/// What is known of a packet beside its bytes, or only after a walk over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Known {
    /// The firewall's mark.
    Mark,
    /// The mark of its connection.
    ConnMark,
    /// The socket buffer's priority.
    Priority,
    /// The net_cls number of who sent it.
    Cgroup,
    /// The link it came in by, as a number in a list of names.
    Iif,
    /// The VLAN's number, and [`TAGGED`] where there is a tag.
    Vlan,
    /// The protocol that filters are asked by: the tag's own where there is one.
    Ether,
    /// The protocol inside of the tag.
    Inner,
    /// The transport protocol, behind IPv6's extension headers.
    Proto,
    /// [`FRAGMENT`] of a packet in pieces, and [`LATER`] where it is not the first piece.
    Pieces,
}

/// Bit of [`Known::Vlan`]: there is a tag.
pub const TAGGED: u32 = 0x1000;
/// Bit of [`Known::Pieces`]: it is a fragment.
pub const FRAGMENT: u32 = 2;
/// Bit of [`Known::Pieces`]: it is not the first one.
pub const LATER: u32 = 1;

/// One word under a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The word.
    pub at: At,
    /// The bits that count, in host order of the big-endian word.
    pub mask: u32,
    /// Their values; zero outside the mask.
    pub value: u32,
}

/// Words that must all match, in the order of their offsets: the kernel reads them in this order and stops at the first
/// that differs, so that what says that a port exists stands before the port.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cube(pub Vec<Key>);

/// More alternatives than anybody wants as filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// The most alternatives that one formula may come to, also on the way.
pub const MOST: usize = 4096;
/// Up to so many alternatives are compared with each other to drop those that others contain.
const COMPARED: usize = 1024;

impl Cube {
    /// What is tested of a word.
    pub fn key(&self, at: At) -> Option<&Key> {
        self.0.iter().find(|k| k.at == at)
    }

    /// Whether no packet is among both.
    pub fn misses(&self, other: &Cube) -> bool {
        let differ = |k: &Key, o: &Key| (k.value ^ o.value) & k.mask & o.mask != 0;
        self.0.iter().any(|k| other.key(k.at).is_some_and(|o| differ(k, o)))
    }

    /// The bits that both test alike: a set that contains both.
    pub fn common(&self, other: &Cube) -> Cube {
        let both = |k: &Key| {
            let o = other.key(k.at)?;
            let mask = k.mask & o.mask & !(k.value ^ o.value);
            (mask != 0).then_some(Key { mask, value: k.value & mask, ..*k })
        };
        Cube(self.0.iter().filter_map(both).collect())
    }

    /// Both hold; `None` if they contradict each other.
    pub fn and(&self, other: &Cube) -> Option<Cube> {
        let mut out = Vec::with_capacity(self.0.len() + other.0.len());
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        loop {
            match (a.peek(), b.peek()) {
                (Some(x), Some(y)) if x.at == y.at => {
                    if (x.value ^ y.value) & x.mask & y.mask != 0 {
                        return None;
                    }
                    out.push(Key { at: x.at, mask: x.mask | y.mask, value: x.value | y.value });
                    a.next();
                    b.next();
                }
                (Some(x), Some(y)) if x.at < y.at => out.extend(a.next().copied()),
                (_, Some(_)) => out.extend(b.next().copied()),
                (Some(_), None) => out.extend(a.next().copied()),
                (None, None) => return Some(Cube(out)),
            }
        }
    }

    /// Whether all packets of `other` are among these.
    pub fn contains(&self, other: &Cube) -> bool {
        let mut rest = other.0.iter();
        self.0.iter().all(|k| {
            let found = rest.by_ref().find(|o| o.at == k.at);
            found.is_some_and(|o| k.mask & !o.mask == 0 && (k.value ^ o.value) & k.mask == 0)
        })
    }
}

/// What a field's bits are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// From the start of the network header, in the order on the wire.
    Network,
    /// From the start of the transport header.
    Transport,
    /// In a word that is known, from its highest bit.
    Known(Known),
}

/// Bits that make one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// What the start counts from.
    pub base: Base,
    /// The first bit.
    pub start: i32,
    /// How many.
    pub width: u32,
}

impl Field {
    /// The field's largest value.
    pub fn max(self) -> u128 {
        if self.width >= 128 { u128::MAX } else { (1 << self.width) - 1 }
    }

    /// The packets whose field is `value` under `mask`.
    pub fn cube(self, value: u128, mask: u128) -> Cube {
        let end = self.start + self.width as i32;
        let mut keys = Vec::new();
        for word in self.start.div_euclid(32)..(end + 31).div_euclid(32) {
            let (from, to) = (self.start.max(word * 32), end.min(word * 32 + 32));
            let ones = u32::MAX >> (32 - (to - from));
            let part = |v: u128| ((v >> (end - to)) as u32 & ones) << (word * 32 + 32 - to);
            let at = match self.base {
                Base::Network => At::Offset(word * 4),
                Base::Transport => At::Beyond(word * 4),
                Base::Known(known) => At::Known(known),
            };
            if part(mask) != 0 {
                keys.push(Key { at, mask: part(mask), value: part(value & mask) });
            }
        }
        Cube(keys)
    }

    /// The range that a cube leaves the field, if it tests the upper bits of this field of the network header and nothing
    /// else.
    pub fn range_of(self, cube: &Cube) -> Option<(u128, u128)> {
        let end = self.start + self.width as i32;
        let (mut mask, mut value) = (0_u128, 0_u128);
        for key in &cube.0 {
            let At::Offset(at) = key.at else { return None };
            let last = at * 8 + 32;
            if at * 8 < self.start || last > end {
                return None;
            }
            mask |= u128::from(key.mask) << (end - last);
            value |= u128::from(key.value) << (end - last);
        }
        let open = self.max() & !mask;
        (mask != 0 && open & open.wrapping_add(1) == 0).then_some((value, value | open))
    }

    /// The bits beside each other of one word of the packet that a cube tests, if there is nothing else to it, and their
    /// value.
    pub fn of(cube: &Cube) -> Option<(Field, u128)> {
        let [Key { at: At::Offset(at), mask, value }] = cube.0.as_slice() else { return None };
        let (before, behind) = (mask.leading_zeros(), mask.trailing_zeros());
        let width = 32_u32.checked_sub(before + behind).filter(|width| mask.count_ones() == *width)?;
        let field = Field { base: Base::Network, start: at * 8 + before as i32, width };
        Some((field, u128::from(value >> behind)))
    }

    /// A field that is the low bits of a known word.
    pub const fn known(known: Known, width: u32) -> Field {
        Field { base: Base::Known(known), start: 32 - width as i32, width }
    }
}

/// A set of packets before it is spread out.
#[derive(Clone, Debug, PartialEq)]
pub enum Formula {
    /// All of them hold; all packets if empty.
    All(Vec<Formula>),
    /// One of them holds; no packet if empty.
    Any(Vec<Formula>),
    /// The other packets.
    Not(Box<Formula>),
    /// The second is asked only where the first holds, because its bits mean something else elsewhere.
    Guarded(Box<Formula>, Box<Formula>),
    /// The field lies in one of these ranges, both ends included.
    In(Field, Vec<(u128, u128)>),
    /// The field has one of these values under its mask.
    Masked(Field, Vec<(u128, u128)>),
    /// A word as it is written.
    Word(Key),
}

impl Formula {
    /// All packets.
    pub fn yes() -> Formula {
        Formula::All(Vec::new())
    }

    /// No packet.
    pub fn no() -> Formula {
        Formula::Any(Vec::new())
    }

    /// The field is this number.
    pub fn is(field: Field, value: u128) -> Formula {
        Formula::In(field, vec![(value, value)])
    }

    /// The other packets.
    pub fn not(inner: Formula) -> Formula {
        Formula::Not(Box::new(inner))
    }

    /// Whether it is all packets, as it stands.
    pub fn is_yes(&self) -> bool {
        matches!(self, Formula::All(parts) if parts.is_empty())
    }

    /// Whether it is no packet, as it stands.
    pub fn is_no(&self) -> bool {
        matches!(self, Formula::Any(parts) if parts.is_empty())
    }

    /// The same for whoever asks its parts in their order and stops at the first that decides: guards are parts like others.
    #[must_use]
    pub fn in_order(self) -> Formula {
        fn open(formula: Formula) -> Formula {
            match formula {
                Formula::All(parts) => Formula::All(parts.into_iter().map(open).collect()),
                Formula::Any(parts) => Formula::Any(parts.into_iter().map(open).collect()),
                Formula::Not(inner) => Formula::not(open(*inner)),
                Formula::Guarded(guard, inner) => Formula::All(vec![open(*guard), open(*inner)]),
                other => other,
            }
        }
        open(self).simple()
    }

    /// The same without parts that always or never hold, with conjunctions in conjunctions laid flat, and with one test for
    /// each field of a conjunction.
    #[must_use]
    pub fn simple(self) -> Formula {
        match self {
            Formula::All(parts) => {
                let mut out = Vec::with_capacity(parts.len());
                for part in parts.into_iter().map(Formula::simple) {
                    match part {
                        part if part.is_no() => return Formula::no(),
                        Formula::All(inner) => inner.into_iter().for_each(|part| narrow(&mut out, part)),
                        part => narrow(&mut out, part),
                    }
                }
                if out.iter().any(Formula::is_no) {
                    return Formula::no();
                }
                one_or(out, Formula::All)
            }
            Formula::Any(parts) => {
                let mut out = Vec::with_capacity(parts.len());
                for part in parts.into_iter().map(Formula::simple) {
                    match part {
                        part if part.is_yes() => return Formula::yes(),
                        Formula::Any(inner) => out.extend(inner),
                        part => out.push(part),
                    }
                }
                one_or(out, Formula::Any)
            }
            Formula::Not(inner) => match inner.simple() {
                Formula::Not(inner) => *inner,
                inner if inner.is_yes() => Formula::no(),
                inner if inner.is_no() => Formula::yes(),
                inner => Formula::not(inner),
            },
            Formula::Guarded(guard, inner) => match (guard.simple(), inner.simple()) {
                (guard, inner) if guard.is_no() || inner.is_no() => Formula::no(),
                (guard, inner) if inner.is_yes() => guard,
                (guard, inner) if guard.is_yes() => inner,
                (guard, inner) => Formula::Guarded(Box::new(guard), Box::new(inner)),
            },
            Formula::In(field, ranges) => match merged(&ranges) {
                ranges if ranges.is_empty() => Formula::no(),
                ranges if ranges == [(0, field.max())] => Formula::yes(),
                ranges => Formula::In(field, ranges),
            },
            Formula::Masked(_, items) if items.is_empty() => Formula::no(),
            Formula::Masked(field, items) if items.iter().any(|(_, m)| m & field.max() == 0) => Formula::yes(),
            Formula::Word(key) if key.mask == 0 => Formula::yes(),
            other => other,
        }
    }

    /// What it looks at: each field, and each word as it is written.
    pub fn visit(&self, see: &mut impl FnMut(&Formula)) {
        match self {
            Formula::All(parts) | Formula::Any(parts) => parts.iter().for_each(|p| p.visit(see)),
            Formula::Not(inner) => inner.visit(see),
            Formula::Guarded(guard, inner) => {
                guard.visit(see);
                inner.visit(see);
            }
            Formula::In(..) | Formula::Masked(..) | Formula::Word(_) => see(self),
        }
    }

    /// As a union of cubes.
    ///
    /// # Errors
    /// There would be more than [`MOST`].
    pub fn cubes(&self) -> Result<Vec<Cube>, TooMany> {
        self.spread(true)
    }

    /// The cubes where the formula is what `holds` says.
    fn spread(&self, holds: bool) -> Result<Vec<Cube>, TooMany> {
        let bounded = |cubes: Vec<Cube>| if cubes.len() > MOST { Err(TooMany) } else { Ok(cubes) };
        match self {
            Formula::Not(inner) => inner.spread(!holds),
            Formula::All(parts) if holds => product(parts.iter().map(|p| p.spread(true))),
            Formula::All(parts) => union(parts.iter().map(|p| p.spread(false))),
            Formula::Any(parts) if holds => union(parts.iter().map(|p| p.spread(true))),
            Formula::Any(parts) => product(parts.iter().map(|p| p.spread(false))),
            Formula::Guarded(guard, inner) if holds => product([guard.spread(true), inner.spread(true)].into_iter()),
            Formula::Guarded(guard, inner) => {
                let inside = product([guard.spread(true), inner.spread(false)].into_iter());
                union([guard.spread(false), inside].into_iter())
            }
            Formula::In(field, ranges) => {
                let ranges = merged(ranges);
                let ranges = if holds { ranges } else { gaps(&ranges, field.max()) };
                let mut cubes = Vec::new();
                for (from, to) in ranges {
                    cubes.extend(prefixes(from, to, field.width).map(|(v, m)| field.cube(v, m)).take(MOST + 1));
                    if cubes.len() > MOST {
                        return Err(TooMany);
                    }
                }
                Ok(cubes)
            }
            Formula::Masked(field, items) => {
                let each = items.iter().map(|(v, m)| field.cube(*v, *m));
                if holds {
                    return bounded(each.collect());
                }
                product(each.map(|c| Ok(opposite(&c))))
            }
            Formula::Word(key) => {
                let cube = Cube(if key.mask == 0 { Vec::new() } else { vec![*key] });
                Ok(if holds { vec![cube] } else { opposite(&cube) })
            }
        }
    }
}

/// Adds a part to a conjunction: ranges of a field that has some already become what both have.
fn narrow(parts: &mut Vec<Formula>, part: Formula) {
    let Formula::In(field, ranges) = &part else { return parts.push(part) };
    let same = parts.iter_mut().find_map(|p| match p {
        Formula::In(other, old) if other == field => Some(old),
        _ => None,
    });
    let Some(old) = same else { return parts.push(part) };
    let both = |(a, b): (u128, u128)| ranges.iter().map(move |(c, d)| (a.max(*c), b.min(*d))).filter(|(a, b)| a <= b);
    *old = merged(&std::mem::take(old).into_iter().flat_map(both).collect::<Vec<_>>());
    if old.is_empty() {
        parts.push(Formula::no());
    }
}

fn one_or(mut parts: Vec<Formula>, make: fn(Vec<Formula>) -> Formula) -> Formula {
    match parts.len() {
        1 => parts.pop().unwrap_or(Formula::yes()),
        _ => make(parts),
    }
}

/// All packets outside: one bit turned in each.
fn opposite(cube: &Cube) -> Vec<Cube> {
    let turned = |k: &Key, bit: u32| Cube(vec![Key { at: k.at, mask: bit, value: !k.value & bit }]);
    let of =
        |k: &Key| (0..32).rev().map(|b| 1 << b).filter(|b| k.mask & b != 0).map(|b| turned(k, b)).collect::<Vec<_>>();
    cube.0.iter().flat_map(of).collect()
}

fn union(parts: impl Iterator<Item = Result<Vec<Cube>, TooMany>>) -> Result<Vec<Cube>, TooMany> {
    let mut out: Vec<Cube> = Vec::new();
    let mut several = 0;
    for part in parts {
        let part = part?;
        several += usize::from(!part.is_empty());
        out.extend(part);
        if out.len() > MOST {
            return Err(TooMany);
        }
    }
    if several > 1 {
        absorb(&mut out);
    }
    Ok(out)
}

fn product(parts: impl Iterator<Item = Result<Vec<Cube>, TooMany>>) -> Result<Vec<Cube>, TooMany> {
    let mut parts = parts.collect::<Result<Vec<_>, _>>()?;
    // the order of the parts decides in which order equal alternatives stand, not what they match: small ones first
    // keep what is on the way small
    parts.sort_by_key(Vec::len);
    let several = parts.iter().filter(|p| p.len() > 1).count() > 1;
    let mut out = vec![Cube::default()];
    for part in &parts {
        let mut next = Vec::with_capacity(out.len().max(part.len()));
        for (a, b) in out.iter().flat_map(|a| part.iter().map(move |b| (a, b))) {
            next.extend(a.and(b));
            if next.len() > MOST {
                return Err(TooMany);
            }
        }
        out = next;
        if several {
            absorb(&mut out);
        }
    }
    Ok(out)
}

/// Drops what another alternative contains; of two equal ones the first stays.
fn absorb(cubes: &mut Vec<Cube>) {
    if cubes.len() > COMPARED {
        return;
    }
    let contained = |i: usize, c: &Cube| {
        let inside = |(j, d): (usize, &Cube)| j != i && d.contains(c) && (!c.contains(d) || j < i);
        cubes.iter().enumerate().any(inside)
    };
    let kept: Vec<bool> = cubes.iter().enumerate().map(|(i, c)| !contained(i, c)).collect();
    let mut keep = kept.into_iter();
    cubes.retain(|_| keep.next().unwrap_or(true));
}

/// Ranges in order, those that touch made one.
pub fn merged(ranges: &[(u128, u128)]) -> Vec<(u128, u128)> {
    let mut sorted: Vec<_> = ranges.iter().copied().filter(|(a, b)| a <= b).collect();
    sorted.sort_unstable();
    let mut out: Vec<(u128, u128)> = Vec::with_capacity(sorted.len());
    for (from, to) in sorted {
        match out.last_mut() {
            Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
            _ => out.push((from, to)),
        }
    }
    out
}

/// What lies between ranges in order.
fn gaps(ranges: &[(u128, u128)], max: u128) -> Vec<(u128, u128)> {
    let mut out = Vec::new();
    let mut next = Some(0_u128);
    for (from, to) in ranges {
        if let Some(n) = next.filter(|n| n < from) {
            out.push((n, from - 1));
        }
        next = to.checked_add(1);
    }
    out.extend(next.filter(|n| *n <= max).map(|n| (n, max)));
    out
}

/// The fewest prefixes that cover a range, as value and mask.
pub fn prefixes(from: u128, to: u128, width: u32) -> impl Iterator<Item = (u128, u128)> {
    let max = if width >= 128 { u128::MAX } else { (1 << width) - 1 };
    let mut next = Some(from);
    std::iter::from_fn(move || {
        let at = next.filter(|at| *at <= to)?;
        // as many low bits as the start allows and as fit before the end
        let mut bits = at.trailing_zeros().min(width);
        let low = |bits: u32| if bits >= 128 { u128::MAX } else { (1_u128 << bits) - 1 };
        while bits > 0 && at.checked_add(low(bits)).is_none_or(|last| last > to) {
            bits -= 1;
        }
        next = at.checked_add(low(bits)).and_then(|last| last.checked_add(1));
        Some((at, max & !low(bits)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PORT: Field = bits(160, 16);

    const fn bits(start: i32, width: u32) -> Field {
        Field { base: Base::Network, start, width }
    }

    fn matches(cubes: &[Cube], words: &[u32]) -> usize {
        let holds = |k: &Key| match k.at {
            At::Offset(o) => words.get(o as usize / 4).is_some_and(|w| w & k.mask == k.value),
            _ => false,
        };
        cubes.iter().filter(|c| c.0.iter().all(holds)).count()
    }

    #[test]
    fn ranges_become_the_fewest_prefixes() {
        let cover = |a, b| prefixes(a, b, 16).map(|(v, m)| format!("{v}/{m:x}")).collect::<Vec<_>>().join(" ");
        assert_eq!(cover(0, 65535), "0/0");
        assert_eq!(cover(22, 22), "22/ffff");
        assert_eq!(cover(1024, 65535), "1024/fc00 2048/f800 4096/f000 8192/e000 16384/c000 32768/8000");
        assert_eq!(cover(27000, 27050), "27000/fff8 27008/ffe0 27040/fff8 27048/fffe 27050/ffff");
        assert_eq!(prefixes(0, u128::MAX, 128).count(), 1);
        assert_eq!(prefixes(1, u128::MAX - 1, 128).count(), 254);
    }

    #[test]
    fn a_field_over_several_words_is_several_keys() {
        let address = bits(64, 128);
        let cube = address.cube(0x2001_0db8_u128 << 96, 0xffff_ffff_ff00_u128 << 80);
        let keys: Vec<_> = cube.0.iter().map(|k| (k.at, k.value, k.mask)).collect();
        assert_eq!(keys, [(At::Offset(8), 0x2001_0db8, u32::MAX), (At::Offset(12), 0, 0xff00_0000)]);
    }

    #[test]
    fn too_many_alternatives_are_refused_not_computed() {
        let odd = Formula::In(PORT, (0..3000).map(|n| (2 * n, 2 * n)).collect());
        let other = Formula::In(bits(176, 16), (0..3000).map(|n| (2 * n, 2 * n)).collect());
        assert_eq!(odd.cubes().map(|c| c.len()), Ok(3000));
        assert_eq!(Formula::All(vec![odd, other]).cubes(), Err(TooMany));
    }

    fn formulas() -> impl Strategy<Value = Formula> {
        // two small fields in one word and one in the next, so that random packets hit
        let field = prop::sample::select(vec![bits(0, 3), bits(4, 4), bits(30, 2), bits(34, 3)]);
        let leaf = (field, prop::collection::vec((any::<u8>(), any::<u8>()), 0..4), any::<bool>()).prop_map(
            |(field, pairs, masked)| {
                let max = field.max();
                let pairs = pairs.into_iter().map(|(a, b)| (u128::from(a) & max, u128::from(b) & max));
                if masked {
                    Formula::Masked(field, pairs.collect())
                } else {
                    Formula::In(field, pairs.map(|(a, b)| (a.min(b), a.max(b))).collect())
                }
            },
        );
        leaf.prop_recursive(4, 16, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Formula::All),
                prop::collection::vec(inner.clone(), 0..4).prop_map(Formula::Any),
                inner.clone().prop_map(|f| Formula::Not(Box::new(f))),
                (inner.clone(), inner).prop_map(|(g, f)| Formula::Guarded(Box::new(g), Box::new(f))),
            ]
        })
    }

    fn holds(f: &Formula, words: &[u32; 2]) -> bool {
        let read = |field: &Field| {
            let all = u128::from(words[0]) << 32 | u128::from(words[1]);
            all >> (64 - field.start as u32 - field.width) & field.max()
        };
        match f {
            Formula::All(parts) => parts.iter().all(|p| holds(p, words)),
            Formula::Any(parts) => parts.iter().any(|p| holds(p, words)),
            Formula::Not(inner) => !holds(inner, words),
            Formula::Guarded(guard, inner) => holds(guard, words) && holds(inner, words),
            Formula::In(field, ranges) => ranges.iter().any(|(a, b)| (*a..=*b).contains(&read(field))),
            Formula::Masked(field, items) => items.iter().any(|(v, m)| read(field) & m == v & m),
            Formula::Word(_) => unreachable!("not generated"),
        }
    }

    proptest! {
        #[test]
        fn cubes_hold_where_the_formula_holds(f in formulas(), words in prop::collection::vec(any::<[u32; 2]>(), 16)) {
            if let Ok(cubes) = f.cubes() {
                for words in words {
                    prop_assert_eq!(matches(&cubes, &words) > 0, holds(&f, &words), "{:?} {:?}", cubes, words);
                }
            }
        }
    }
}
