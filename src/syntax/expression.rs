//! What a rule matches: the expression's tree. [`super::expression_parser`] reads it; `lower` turns it into filters.
//!
//! Juxtaposition is "and" and binds tightest, then `not` (which takes one group), then `and`, then `or`. A field applies
//! to every item of its set and to nothing else: `tcp dport 22 or dport 80` is
//! `(tcp and dport 22) or (dport 80)`.

use super::names;
use crate::source::Span;
use compact_str::CompactString;
use std::fmt;
use std::net::IpAddr;

/// A typed, checked expression. Every term keeps its place.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// All hold. Never empty, never nested directly in another `And`.
    And(Vec<Expression>),
    /// At least one holds.
    Or(Vec<Expression>),
    /// The inner one does not hold.
    Not(Box<Expression>),
    /// A single test.
    Test(Test),
}

/// Which way packets go: out of a link or in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Way {
    /// They are sent.
    #[default]
    Up,
    /// They arrive.
    Down,
}

impl Way {
    /// The word of a policy.
    pub fn word(self) -> &'static str {
        match self {
            Way::Up => "up",
            Way::Down => "down",
        }
    }
}

/// How an expression is meant: which packets it is asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Their way; it decides what `local` and `remote` are, and `up` and `down`.
    pub way: Way,
    /// Whether the expression was written for the other way: sources are then destinations.
    pub reversed: bool,
}

/// One field against one set of items.
#[derive(Clone, Debug)]
pub struct Test {
    /// The field.
    pub field: Field,
    /// The items; the test holds if any of them does. Never empty, except for fields that stand alone
    /// ([`Field::Any`], [`Field::Fragment`] without items).
    pub items: Vec<Item>,
    /// From the field's word to the last item.
    pub span: Span,
}

impl PartialEq for Test {
    fn eq(&self, other: &Self) -> bool {
        self.field == other.field && self.items == other.items
    }
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// `any` (alone): every packet. While an expression is read also `up` and `down`, with the word as its item.
    Any,
    /// `ip`, `ip6` (alone; item: [`Item::Number`] 4 or 6): the family.
    Family,
    /// `src`: source address.
    Src,
    /// `dst`: destination address.
    Dst,
    /// `host`: source or destination address.
    Host,
    /// `proto N|name`, and `tcp`, `udp`, `sctp`, `dccp`, `icmp`, `icmp6` … alone: the transport protocol (IPv4
    /// protocol or IPv6 next header); items are [`Item::Number`]. `icmp` is the two items 1 and 58: protocol 1 on IPv4 and
    /// 58 on IPv6 (58 on IPv4 and 1 on IPv6 do not occur).
    Proto,
    /// `sport`: source port.
    Sport,
    /// `dport`: destination port.
    Dport,
    /// `port`: source or destination port.
    Port,
    /// `tcp flags`: items are [`Item::Masked`]. The parser puts a test of protocol 6 beside it.
    TcpFlags,
    /// `icmp type`: the parser puts a test of one protocol, 1 or 58, beside it, and settles names by family.
    IcmpType,
    /// `icmp code`: likewise.
    IcmpCode,
    /// `tos N[/mask]` or by RFC 1349 name: the whole octet, or the bits of a mask. A name looks at bits 0x1c only, so that
    /// ECN does not disturb it.
    Tos,
    /// `dscp N|name`: the upper six bits, 0 to 63.
    Dscp,
    /// `mark N[/mask]`: the firewall mark.
    Mark,
    /// `connmark N[/mask]`, `ct mark N[/mask]`: the mark of the packet's connection.
    ConnMark,
    /// `priority N|M:N`: the socket buffer's priority.
    Priority,
    /// `vlan N`: VLAN id.
    Vlan,
    /// `mac src`.
    MacSrc,
    /// `mac dst`; `mac X` alone is one or the other.
    MacDst,
    /// `ethertype N|name`.
    Ethertype,
    /// `len N|A-B`: length of the IP packet in bytes.
    Len,
    /// `ttl N`: IPv4 TTL or IPv6 hop limit.
    Ttl,
    /// `frag` (any fragment of a packet), `frag first`, `frag later`: [`Item::Number`] 0 any, 1 first, 2 later.
    Fragment,
    /// `cgroup N`: the net_cls class id.
    Cgroup,
    /// `iif NAME`: the interface it came in by; items are [`Item::Name`].
    Iif,
    /// `service NAME`: items are [`Item::Name`].
    Service,
    /// `u32 VALUE MASK at OFFSET`: items are [`Item::Raw`].
    Raw,
}

/// One alternative of a test.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    /// A single number: port, protocol, tos octet, dscp, mark…
    Number(u64),
    /// Inclusive range of numbers.
    Range(u64, u64),
    /// Number under a mask.
    Masked(u64, u64),
    /// Address with prefix length (32 or 128 for a single one).
    Prefix(IpAddr, u8),
    /// Inclusive range of addresses of one family.
    Addresses(IpAddr, IpAddr),
    /// A hardware address.
    Mac([u8; 6]),
    /// A name that is settled later (interface, service).
    Name(CompactString),
    /// `u32 VALUE MASK at OFFSET`.
    Raw {
        /// The value compared, already masked.
        value: u32,
        /// The bits compared.
        mask: u32,
        /// Byte offset from the start of the network header, a multiple of 4.
        offset: i32,
    },
}

impl Item {
    /// The first and the last address of IPv4, or with `six` of IPv6, that the item names; `None` if it names none of them.
    pub fn addresses(&self, six: bool) -> Option<(u128, u128)> {
        let number = |a: &IpAddr| match a {
            IpAddr::V4(a) if !six => Some(u128::from(u32::from(*a))),
            IpAddr::V6(a) if six => Some(u128::from(*a)),
            _ => None,
        };
        let width = if six { 128 } else { 32 };
        match self {
            Item::Prefix(a, length) => {
                let host = width - u32::from(*length).min(width);
                let low = if host >= 128 { u128::MAX } else { (1_u128 << host) - 1 };
                let first = number(a)? & !low;
                Some((first, first | low))
            }
            Item::Addresses(a, b) => Some((number(a)?, number(b)?)),
            _ => None,
        }
    }
}

impl Expression {
    /// All of them: flat, without repetition; `None` if there is none.
    pub fn and(parts: impl IntoIterator<Item = Expression>) -> Option<Expression> {
        join(parts, Expression::And, |e| match e {
            Expression::And(inner) => Ok(inner),
            other => Err(other),
        })
    }

    /// Any of them: flat, without repetition; `None` if there is none.
    pub fn or(parts: impl IntoIterator<Item = Expression>) -> Option<Expression> {
        join(parts, Expression::Or, |e| match e {
            Expression::Or(inner) => Ok(inner),
            other => Err(other),
        })
    }

    /// What no packet is.
    pub fn never(span: Span) -> Expression {
        Expression::Test(Test { field: Field::Any, items: Vec::new(), span }).negated()
    }

    /// Whether it is [`Expression::never`].
    pub fn is_never(&self) -> bool {
        matches!(self, Expression::Not(inner) if matches!(&**inner, Expression::Test(t) if t.field == Field::Any))
    }

    /// Whether it is `any`.
    pub fn is_any(&self) -> bool {
        matches!(self, Expression::Test(t) if t.field == Field::Any)
    }

    /// What is left of it for packets of one way: `up` and `down` are settled, and parts that every packet or no packet
    /// fits are left out. `any` or [`Expression::never`] if nothing else is left.
    #[must_use]
    pub(super) fn settled(self, way: Way) -> Expression {
        let span = self.span();
        let always = || Expression::Test(Test { field: Field::Any, items: Vec::new(), span });
        match self {
            Expression::Test(Test { field: Field::Any, items, .. }) => match items.first() {
                Some(item) if *item != Item::Name(way.word().into()) => Expression::never(span),
                _ => always(),
            },
            Expression::Test(_) => self,
            Expression::Not(inner) => inner.settled(way).negated(),
            Expression::And(parts) => {
                let parts: Vec<_> = parts.into_iter().map(|p| p.settled(way)).filter(|p| !p.is_any()).collect();
                let never = parts.iter().any(Expression::is_never);
                if never { Expression::never(span) } else { Expression::and(parts).unwrap_or_else(always) }
            }
            Expression::Or(parts) => {
                let parts: Vec<_> = parts.into_iter().map(|p| p.settled(way)).filter(|p| !p.is_never()).collect();
                let any = parts.iter().any(Expression::is_any);
                if any { always() } else { Expression::or(parts).unwrap_or_else(|| Expression::never(span)) }
            }
        }
    }

    /// The opposite; two negations cancel.
    #[must_use]
    pub fn negated(self) -> Expression {
        match self {
            Expression::Not(inner) => *inner,
            other => Expression::Not(Box::new(other)),
        }
    }

    /// Calls `visit` for each test.
    pub fn visit<'e>(&'e self, visit: &mut dyn FnMut(&'e Test)) {
        self.visit_signed(false, &mut |test, _| visit(test));
    }

    /// Calls `visit` for each test, and tells it whether the opposite is asked for; `negated` is whether it is of all of this.
    pub fn visit_signed<'e>(&'e self, negated: bool, visit: &mut dyn FnMut(&'e Test, bool)) {
        match self {
            Expression::And(parts) | Expression::Or(parts) => {
                parts.iter().for_each(|p| p.visit_signed(negated, visit));
            }
            Expression::Not(inner) => inner.visit_signed(!negated, visit),
            Expression::Test(test) => visit(test, negated),
        }
    }

    /// With other expressions in place of some tests, at the places of those.
    #[must_use]
    pub fn replaced(self, by: &mut impl FnMut(&Test) -> Option<Expression>) -> Expression {
        match self {
            Expression::And(parts) => {
                let parts: Vec<_> = parts.into_iter().map(|p| p.replaced(by)).collect();
                Expression::and(parts).unwrap_or_else(|| Expression::never(Span::NONE))
            }
            Expression::Or(parts) => {
                let parts: Vec<_> = parts.into_iter().map(|p| p.replaced(by)).collect();
                Expression::or(parts).unwrap_or_else(|| Expression::never(Span::NONE))
            }
            Expression::Not(inner) => inner.replaced(by).negated(),
            Expression::Test(test) => match by(&test) {
                Some(other) => other.at(test.span),
                None => Expression::Test(test),
            },
        }
    }

    /// The same at one place.
    fn at(self, span: Span) -> Expression {
        match self {
            Expression::And(parts) => Expression::And(parts.into_iter().map(|p| p.at(span)).collect()),
            Expression::Or(parts) => Expression::Or(parts.into_iter().map(|p| p.at(span)).collect()),
            Expression::Not(inner) => Expression::Not(Box::new(inner.at(span))),
            Expression::Test(test) => Expression::Test(Test { span, ..test }),
        }
    }

    /// The least place that covers all tests.
    pub fn span(&self) -> Span {
        match self {
            Expression::And(parts) | Expression::Or(parts) => parts.iter().fold(Span::NONE, |s, p| s.to(p.span())),
            Expression::Not(inner) => inner.span(),
            Expression::Test(test) => test.span,
        }
    }
}

/// Up to this many parts are compared with each other to drop repetitions.
const COMPARED: usize = 64;

fn join(
    parts: impl IntoIterator<Item = Expression>,
    make: fn(Vec<Expression>) -> Expression,
    open: fn(Expression) -> Result<Vec<Expression>, Expression>,
) -> Option<Expression> {
    let mut flat: Vec<Expression> = Vec::new();
    let mut add = |e: Expression| {
        if !flat.iter().take(COMPARED).any(|f| *f == e) {
            flat.push(e);
        }
    };
    for part in parts {
        match open(part) {
            Ok(inner) => inner.into_iter().for_each(&mut add),
            Err(one) => add(one),
        }
    }
    if flat.len() <= 1 { flat.pop() } else { Some(make(flat)) }
}

/// The canonical text: `parse` reads it back to the same expression.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::Or(parts) => {
                for (i, part) in parts.iter().enumerate() {
                    f.write_str(if i > 0 { " or " } else { "" })?;
                    part.fmt(f)?;
                }
                Ok(())
            }
            Expression::And(parts) => {
                let mut in_group = false;
                for (i, part) in parts.iter().enumerate() {
                    let fits = part.fits_group();
                    f.write_str(match (i, in_group && fits) {
                        (0, _) => "",
                        (_, true) => " ",
                        (_, false) => " and ",
                    })?;
                    // Each group with ICMP types says which ICMP.
                    if fits && !in_group && i > 0 && says_icmp_only(parts.get(i..).unwrap_or_default()) {
                        let is_proto = |p: &&Expression| matches!(p, Expression::Test(t) if t.field == Field::Proto);
                        if let Some(proto) = parts.iter().find(is_proto) {
                            write!(f, "{proto} ")?;
                        }
                    }
                    in_group = fits;
                    match part {
                        Expression::Or(_) => write!(f, "({part})")?,
                        _ => part.fmt(f)?,
                    }
                }
                Ok(())
            }
            Expression::Not(inner) => match &**inner {
                Expression::Test(test) if test.takes_values() => test.write(f, true),
                Expression::Test(test) => write!(f, "not {test}"),
                other => write!(f, "not ({other})"),
            },
            Expression::Test(test) => test.fmt(f),
        }
    }
}

/// Whether the group at the start has ICMP types or codes and no protocol.
fn says_icmp_only(parts: &[Expression]) -> bool {
    let group: Vec<_> = parts.iter().take_while(|p| p.fits_group()).filter_map(field_of).collect();
    group.iter().any(|f| matches!(f, Field::IcmpType | Field::IcmpCode)) && !group.contains(&Field::Proto)
}

fn field_of(e: &Expression) -> Option<Field> {
    match e {
        Expression::Test(t) => Some(t.field),
        Expression::Not(inner) => field_of(inner),
        _ => None,
    }
}

impl Expression {
    /// Whether it may stand beside others in a group without `and`.
    fn fits_group(&self) -> bool {
        match self {
            Expression::Test(_) => true,
            Expression::Not(inner) => matches!(&**inner, Expression::Test(t) if t.takes_values()),
            _ => false,
        }
    }
}

impl Test {
    /// Whether values (and `not` before them) may follow the field's word.
    fn takes_values(&self) -> bool {
        !matches!(self.field, Field::Any | Field::Family | Field::Fragment | Field::Raw)
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, negated: bool) -> fmt::Result {
        f.write_str(self.field.word())?;
        f.write_str(if negated { " not " } else { " " })?;
        match self.items.as_slice() {
            [one] if self.field == Field::TcpFlags => f.write_str(&one.show(self.field).replace('+', ",")),
            [one] => f.write_str(&one.show(self.field)),
            several => {
                let shown: Vec<String> = several.iter().map(|i| i.show(self.field)).collect();
                write!(f, "{{{}}}", shown.join(", "))
            }
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.field, self.items.as_slice()) {
            (Field::Any, _) => f.write_str("any"),
            (Field::Family, [Item::Number(6)]) => f.write_str("ip6"),
            (Field::Family, _) => f.write_str("ip"),
            (Field::Fragment, [Item::Number(1)]) => f.write_str("frag first"),
            (Field::Fragment, [Item::Number(2)]) => f.write_str("frag later"),
            (Field::Fragment, _) => f.write_str("frag"),
            (Field::Proto, items) if *items == names::ICMP.map(Item::Number) => f.write_str("icmp"),
            (Field::Proto, [Item::Number(n)]) => match names::name(names::PROTOCOLS, *n) {
                Some(name) => f.write_str(name),
                None => write!(f, "proto {n}"),
            },
            _ => self.write(f, false),
        }
    }
}

impl Field {
    /// The same of the other end: what is a packet's source one way is its destination the other way.
    #[must_use]
    pub fn reversed(self) -> Field {
        match self {
            Field::Src => Field::Dst,
            Field::Dst => Field::Src,
            Field::Sport => Field::Dport,
            Field::Dport => Field::Sport,
            Field::MacSrc => Field::MacDst,
            Field::MacDst => Field::MacSrc,
            other => other,
        }
    }

    /// The word that stands before its values.
    pub fn word(self) -> &'static str {
        match self {
            Field::Any => "any",
            Field::Family => "ip",
            Field::Src => "src",
            Field::Dst => "dst",
            Field::Host => "host",
            Field::Proto => "proto",
            Field::Sport => "sport",
            Field::Dport => "dport",
            Field::Port => "port",
            Field::TcpFlags => "flags",
            Field::IcmpType => "type",
            Field::IcmpCode => "code",
            Field::Tos => "tos",
            Field::Dscp => "dscp",
            Field::Mark => "mark",
            Field::ConnMark => "connmark",
            Field::Priority => "priority",
            Field::Vlan => "vlan",
            Field::MacSrc => "mac src",
            Field::MacDst => "mac dst",
            Field::Ethertype => "ethertype",
            Field::Len => "len",
            Field::Ttl => "ttl",
            Field::Fragment => "frag",
            Field::Cgroup => "cgroup",
            Field::Iif => "iif",
            Field::Service => "service",
            Field::Raw => "u32",
        }
    }
}

impl Item {
    /// The item as it is written among the values of that field.
    pub fn show(&self, field: Field) -> String {
        let named = |table, n| names::name(table, n).map(str::to_owned);
        match self {
            Item::Number(n) => match field {
                Field::Proto => named(names::PROTOCOLS, *n).unwrap_or_else(|| n.to_string()),
                Field::Dscp => named(names::DSCP, *n).unwrap_or_else(|| n.to_string()),
                Field::Ethertype => named(names::ETHERTYPES, *n).unwrap_or_else(|| format!("0x{n:04x}")),
                Field::Tos => format!("0x{n:02x}"),
                Field::Mark | Field::ConnMark => format!("0x{n:x}"),
                Field::Cgroup => format!("{:x}:{:x}", n >> 16, n & 0xffff),
                _ => n.to_string(),
            },
            Item::Range(from, to) => format!("{from}-{to}"),
            Item::Masked(value, mask) if field == Field::TcpFlags => {
                if value == mask {
                    flags(*value)
                } else {
                    format!("{}/{}", flags(*value), flags(*mask))
                }
            }
            Item::Masked(value, names::TOS_MASK) if field == Field::Tos && named(names::TOS, *value).is_some() => {
                named(names::TOS, *value).unwrap_or_default()
            }
            Item::Masked(value, mask) => format!("0x{value:x}/0x{mask:x}"),
            Item::Prefix(a, len) if *len == if a.is_ipv4() { 32 } else { 128 } => a.to_string(),
            Item::Prefix(a, len) => format!("{a}/{len}"),
            Item::Addresses(from, to) => format!("{from}-{to}"),
            Item::Mac(bytes) => bytes.map(|b| format!("{b:02x}")).join(":"),
            Item::Name(name) if matches!(name.as_str(), "and" | "or" | "not") => super::lexis::quote(name),
            Item::Name(name) if super::lexis::is_bare(name) && !name.contains(['!', '<', '>', '&', '|', '$', '@']) => {
                name.to_string()
            }
            Item::Name(name) => super::lexis::quote(name),
            Item::Raw { value, mask, offset } => format!("0x{value:x} 0x{mask:x} at {offset}"),
        }
    }
}

fn flags(bits: u64) -> String {
    if bits == 0 {
        return "none".to_owned();
    }
    let set: Vec<&str> = names::TCP_FLAGS.iter().filter(|(_, bit)| bits & bit != 0).map(|(name, _)| *name).collect();
    set.join("+")
}
