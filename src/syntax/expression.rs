//! What a rule matches: the expression's tree. [`super::expression_parser`] reads it; `lower` turns it into filters.
//!
//! Juxtaposition is "and" and binds tightest, then `not` (which takes one group), then `and`, then `or`. A field applies
//! to every item of its set and to nothing else: `tcp dport 22 or dport 80` is
//! `(tcp and dport 22) or (dport 80)`.

use crate::source::Span;
use compact_str::CompactString;
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
    /// `any` (alone): every packet.
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
    /// protocol or IPv6 next header). `icmp` alone means protocol 1 on IPv4 and 58 on IPv6.
    Proto,
    /// `sport`: source port.
    Sport,
    /// `dport`: destination port.
    Dport,
    /// `port`: source or destination port.
    Port,
    /// `tcp flags`: items are [`Item::Masked`].
    TcpFlags,
    /// `icmp type`.
    IcmpType,
    /// `icmp code`.
    IcmpCode,
    /// `tos N[/mask]` or by RFC 1349 name: the whole octet.
    Tos,
    /// `dscp N|name`: the upper six bits, 0 to 63.
    Dscp,
    /// `mark N[/mask]`: the firewall mark.
    Mark,
    /// `priority N|M:N`: the socket buffer's priority.
    Priority,
    /// `vlan N`: VLAN id.
    Vlan,
    /// `mac`, `mac src`, `mac dst`.
    MacSrc,
    /// See [`Field::MacSrc`].
    MacDst,
    /// `ethertype N|name`.
    Ethertype,
    /// `len N|A-B`: length of the IP packet in bytes.
    Len,
    /// `ttl N`: IPv4 TTL or IPv6 hop limit.
    Ttl,
    /// `frag` (any fragment), `frag first`, `frag later`: [`Item::Number`] 0 any, 1 first, 2 later.
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
