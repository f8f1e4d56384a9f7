//! Text to [`Expression`]: the match language of rules. The grammar is in `grammar/shapectl.ebnf`, worked parses in
//! `grammar/expressions.md`.
//!
//! Words and values are read by nom parsers; the structure above them is read by plain functions, so that one mistake
//! does not hide the next: every error of an expression is reported in one run, each at its own words.

use super::expression::{Expression, Field, Item, Test, View, Way};
use super::lexis;
use super::list::List;
use super::names::{self, Table};
use crate::codes::{
    BOTH_WAYS, Code, HOST_BITS, MATCH_CLASH, MATCH_VALUE, MATCHES_NOTHING, SYNTAX, TOO_DEEP, TOS_ECN, UNKNOWN_FIELD,
    UNKNOWN_NAME,
};
use crate::diagnostic::{Diagnostic, Sink};
use crate::source::Span;
use nom::branch::alt;
use nom::bytes::complete::{tag, tag_no_case, take_while_m_n, take_while1};
use nom::character::complete::{anychar, char, digit1, hex_digit1, multispace1, one_of};
use nom::combinator::{all_consuming, consumed, map, value};
use nom::multi::separated_list1;
use nom::sequence::preceded;
use nom::{IResult, Parser as _};
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// What `$name` and `@name` stand for; `None` if there is no such name. Asked without the sigil.
pub type Names<'a> = dyn Fn(&str) -> Option<Named> + 'a;

/// What a name stands for.
#[derive(Clone, Debug)]
pub enum Named {
    /// The texts of a `let` value's or a set's items, each with its place.
    Texts(Vec<(String, Span)>),
    /// A list from a file.
    List(Arc<List>),
    /// A list whose file could not be read, which has been reported.
    Unread,
}

/// Reads one line of a list: an address, a prefix, a range, a port by number or name. What is wrong with it is reported.
pub fn listed(text: &str, at: Span, sink: &mut Sink) -> Option<Item> {
    let field = if text.contains(['.', ':']) { Field::Host } else { Field::Port };
    let (code, fault, item) = match item(field, text) {
        Ok((item, None)) => return Some(item),
        Ok((item, Some((code, fault)))) => (code, fault, Some(item)),
        Err(fault) => (&MATCH_VALUE, fault, None),
    };
    let mut d = Diagnostic::new(code, fault.message).at(at, fault.label);
    d.help = fault.help.map(|h| crate::diagnostic::visible(&h));
    sink.push(d);
    item
}

/// Levels of parentheses and `not` in one expression.
pub const DEPTH: usize = 64;

/// How many tests of one conjunction are compared with each other for contradictions.
const COMPARED: usize = 64;

/// Reads an expression, reports every mistake and every contradiction in it, and gives it if there was no error.
///
/// `at` is the place of `text`: either the text's own bytes or those with one quote at either end; otherwise (a text with
/// escapes) every finding points at the whole of `at`.
pub fn parse(text: &str, at: Span, names: &Names, sink: &mut Sink) -> Option<Expression> {
    parse_seen(text, at, View::default(), names, sink)
}

/// As [`parse`], with the packets that the expression is asked about: `local`, `remote`, `up`, `down` are settled by their way.
/// What packets of that way never are is [`Expression::never`].
pub fn parse_seen(text: &str, at: Span, view: View, names: &Names, sink: &mut Sink) -> Option<Expression> {
    let place = Place::new(text, at);
    let (errors, end) = (0, place.end());
    let mut parser = Parser { tokens: Vec::new(), next: 0, end, names, sink, errors, depth: 0, view, ways: false };
    parser.tokens = parser.lex(text, place);
    let mut expression = parser.whole();
    if parser.ways || view.reversed {
        expression = expression.map(|e| parser.one_way(e));
    }
    let mut found = Vec::new();
    expression.iter().for_each(|e| clashes(e, &mut Vec::new(), &mut found));
    found.into_iter().for_each(|d| parser.report(d));
    if parser.errors == 0 { expression } else { None }
}

/// Where a text lies in its file.
#[derive(Clone, Copy)]
struct Place {
    at: Span,
    shift: Option<usize>,
}

impl Place {
    fn new(text: &str, at: Span) -> Place {
        let covered = (at.end - at.start) as usize;
        let shift = match covered.checked_sub(text.len()) {
            _ if at.is_none() => None,
            Some(0) => Some(0),
            Some(2) => Some(1),
            _ => None,
        };
        Place { at, shift }
    }

    fn span(self, start: usize, end: usize) -> Span {
        match self.shift {
            Some(shift) => {
                let base = self.at.start as usize + shift;
                Span::new(self.at.file, base + start, base + end)
            }
            None => self.at,
        }
    }

    fn end(self) -> Span {
        match self.shift {
            Some(_) => Span { start: self.at.end, ..self.at },
            None => self.at,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Open,
    Close,
    OpenSet,
    CloseSet,
    Comma,
    Word,
    Quoted,
    Operator,
    Bad,
}

#[derive(Clone, Debug)]
struct Token<'t> {
    kind: Kind,
    text: Cow<'t, str>,
    span: Span,
}

impl Token<'_> {
    /// The place of a part of the text, if the text stands in the file as it is.
    fn part(&self, part: &str) -> Option<Span> {
        let at = self.text.find(part).filter(|_| (self.span.end - self.span.start) as usize == self.text.len())?;
        let start = self.span.start as usize + at;
        Some(Span::new(self.span.file, start, start + part.len()))
    }
}

fn raw_token(i: &str) -> IResult<&str, Kind> {
    alt((
        value(Kind::Open, char('(')),
        value(Kind::Close, char(')')),
        value(Kind::OpenSet, one_of("{[")),
        value(Kind::CloseSet, one_of("}]")),
        value(Kind::Comma, char(',')),
        value(Kind::Operator, alt((tag("!="), tag("=="), tag("<="), tag(">="), tag("&&"), tag("||")))),
        value(Kind::Operator, map(one_of("=<>!&|"), |_| "")),
        value(Kind::Word, take_while1(is_word)),
        value(Kind::Bad, map(anychar, |_| "")),
    ))
    .parse(i)
}

fn is_word(c: char) -> bool {
    lexis::is_word(c) && !matches!(c, '!' | '<' | '>' | '&' | '|')
}

/// Blanks, line ends and comments.
fn blank(i: &str) -> IResult<&str, &str> {
    alt((multispace1, lexis::comment)).parse(i)
}

/// What a word at the start of a test announces.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lead {
    Alone(Field),
    Family(u64),
    Proto(u64),
    Icmp,
    Arp,
    Mac,
    Conntrack,
    Fragment,
    Raw,
    /// An end of the link: `local` or `remote`, or by its part in a connection.
    End {
        near: bool,
        part: bool,
    },
    Way(Way),
    /// `acks`, `syns`: TCP's packets without data, and those that open a connection.
    Acks,
    Syns,
    Values(Field),
}

/// The fields that are followed by values, by their words.
const FIELDS: &[(&str, Field)] = &[
    ("src", Field::Src),
    ("dst", Field::Dst),
    ("host", Field::Host),
    ("proto", Field::Proto),
    ("sport", Field::Sport),
    ("dport", Field::Dport),
    ("port", Field::Port),
    ("flags", Field::TcpFlags),
    ("type", Field::IcmpType),
    ("code", Field::IcmpCode),
    ("tos", Field::Tos),
    ("dscp", Field::Dscp),
    ("mark", Field::Mark),
    ("connmark", Field::ConnMark),
    ("priority", Field::Priority),
    ("vlan", Field::Vlan),
    ("ethertype", Field::Ethertype),
    ("len", Field::Len),
    ("ttl", Field::Ttl),
    ("cgroup", Field::Cgroup),
    ("iif", Field::Iif),
    ("service", Field::Service),
];

/// The other words that may start a test; protocols come on top.
const OTHER_LEADS: &[&str] = &[
    "any", "ip", "ip6", "icmp", "arp", "mac", "ct", "frag", "u32", "local", "remote", "server", "client", "up", "down",
    "acks", "syns",
];

/// Words of other tools, and ours for them.
const FOREIGN: &[(&str, &str)] = &[
    ("source", "src"),
    ("saddr", "src"),
    ("srcip", "src"),
    ("src-ip", "src"),
    ("src_ip", "src"),
    ("from", "src"),
    ("destination", "dst"),
    ("dest", "dst"),
    ("daddr", "dst"),
    ("dstip", "dst"),
    ("dst-ip", "dst"),
    ("dst_ip", "dst"),
    ("to", "dst"),
    ("net", "host"),
    ("address", "host"),
    ("addr", "host"),
    ("protocol", "proto"),
    ("ip_proto", "proto"),
    ("nexthdr", "proto"),
    ("sourceport", "sport"),
    ("source-port", "sport"),
    ("source_port", "sport"),
    ("srcport", "sport"),
    ("src-port", "sport"),
    ("src_port", "sport"),
    ("destinationport", "dport"),
    ("destination-port", "dport"),
    ("destination_port", "dport"),
    ("destport", "dport"),
    ("dest-port", "dport"),
    ("dest_port", "dport"),
    ("dstport", "dport"),
    ("dst-port", "dport"),
    ("dst_port", "dport"),
    ("ports", "port"),
    ("portrange", "port"),
    ("flag", "flags"),
    ("tcp_flags", "flags"),
    ("tcpflags", "flags"),
    ("icmptype", "type"),
    ("icmp-type", "type"),
    ("tclass", "tos"),
    ("traffic-class", "tos"),
    ("dsfield", "dscp"),
    ("ds", "dscp"),
    ("fwmark", "mark"),
    ("nfmark", "mark"),
    ("ctmark", "connmark"),
    ("ct_mark", "connmark"),
    ("prio", "priority"),
    ("skbprio", "priority"),
    ("vlan_id", "vlan"),
    ("vlan-id", "vlan"),
    ("ether", "mac"),
    ("hwaddr", "mac"),
    ("eth_type", "ethertype"),
    ("length", "len"),
    ("size", "len"),
    ("hoplimit", "ttl"),
    ("hop-limit", "ttl"),
    ("hlim", "ttl"),
    ("ip_ttl", "ttl"),
    ("fragment", "frag"),
    ("fragments", "frag"),
    ("ip_flags", "frag"),
    ("classid", "cgroup"),
    ("interface", "iif"),
    ("iifname", "iif"),
    ("indev", "iif"),
    ("dev", "iif"),
    ("app", "service"),
    ("application", "service"),
    ("all", "any"),
    ("everything", "any"),
    ("ipv4", "ip"),
    ("ip4", "ip"),
    ("ipv6", "ip6"),
];

/// Whether a test can start with that word.
pub(crate) fn starts_test(word: &str) -> bool {
    lead(word).is_some()
}

fn is_operator(word: &str) -> bool {
    matches!(word, "and" | "or" | "not")
}

fn lead(word: &str) -> Option<Lead> {
    Some(match word {
        "any" => Lead::Alone(Field::Any),
        "ip" => Lead::Family(4),
        "ip6" => Lead::Family(6),
        "icmp" => Lead::Icmp,
        "arp" => Lead::Arp,
        "mac" => Lead::Mac,
        "ct" => Lead::Conntrack,
        "frag" => Lead::Fragment,
        "u32" => Lead::Raw,
        "local" => Lead::End { near: true, part: false },
        "remote" => Lead::End { near: false, part: false },
        "server" => Lead::End { near: true, part: true },
        "client" => Lead::End { near: false, part: true },
        "acks" => Lead::Acks,
        "syns" => Lead::Syns,
        "up" => Lead::Way(Way::Up),
        "down" => Lead::Way(Way::Down),
        _ => match FIELDS.iter().find(|(name, _)| *name == word) {
            Some((_, field)) => Lead::Values(*field),
            None => Lead::Proto(exact(names::PROTOCOLS, word)?),
        },
    })
}

/// Like [`names::number`], but fields and protocols at the start of a test are written small.
fn exact(table: Table, word: &str) -> Option<u64> {
    table.iter().find(|(name, _)| *name == word).map(|(_, n)| *n)
}

/// The field a wrong word was probably meant for.
fn suggestion(word: &str) -> Option<&'static str> {
    let small = word.to_lowercase();
    if lead(&small).is_some() {
        return leads().find(|l| *l == small);
    }
    FOREIGN
        .iter()
        .find(|(foreign, _)| *foreign == small)
        .map(|(_, ours)| *ours)
        .or_else(|| names::nearest(word, leads()))
}

fn leads() -> impl Iterator<Item = &'static str> {
    let fields = FIELDS.iter().map(|(name, _)| *name);
    fields.chain(OTHER_LEADS.iter().copied()).chain(names::PROTOCOLS.iter().map(|(name, _)| *name))
}

/// What kind of number a field holds.
struct Numbers {
    what: &'static str,
    max: u64,
    ranges: bool,
    masks: bool,
    table: Table,
}

fn numbers(field: Field) -> Option<Numbers> {
    let n = |what, max, ranges, masks, table| Some(Numbers { what, max, ranges, masks, table });
    match field {
        Field::Proto => n("a protocol", 255, false, false, names::PROTOCOLS),
        Field::Sport | Field::Dport | Field::Port => n("a port", 65535, true, false, names::PORTS),
        Field::IcmpType => n("an ICMP type", 255, true, false, &[]),
        Field::IcmpCode => n("an ICMP code", 255, true, false, &[]),
        Field::Tos => n("a TOS octet", 255, false, true, names::TOS),
        Field::Dscp => n("a DSCP", 63, true, false, names::DSCP),
        Field::Mark | Field::ConnMark => n("a mark", u32::MAX.into(), false, true, &[]),
        Field::Priority => n("a priority", u32::MAX.into(), false, false, &[]),
        Field::Vlan => n("a VLAN id", 4095, true, false, &[]),
        Field::Ethertype => n("an ethertype", 65535, false, false, names::ETHERTYPES),
        Field::Len => n("a length", 65535, true, false, &[]),
        Field::Ttl => n("a TTL", 255, true, false, &[]),
        Field::Cgroup => n("a cgroup class", u32::MAX.into(), false, false, &[]),
        _ => None,
    }
}

/// What a field wants, for messages.
fn wants(field: Field) -> (&'static str, &'static str) {
    match field {
        Field::Src | Field::Dst | Field::Host => ("an address", "192.0.2.0/24"),
        Field::Proto => ("a protocol", "tcp"),
        Field::Sport | Field::Dport | Field::Port => ("a port", "443"),
        Field::TcpFlags => ("TCP flags", "syn/syn,ack"),
        Field::IcmpType => ("an ICMP type", "echo-request"),
        Field::IcmpCode => ("an ICMP code", "0"),
        Field::Tos => ("a TOS octet or name", "minimize-delay"),
        Field::Dscp => ("a DSCP", "ef"),
        Field::Mark | Field::ConnMark => ("a mark", "0x10/0xff"),
        Field::Priority => ("a priority", "6"),
        Field::Vlan => ("a VLAN id", "10"),
        Field::MacSrc | Field::MacDst => ("a hardware address", "02:00:00:00:00:01"),
        Field::Ethertype => ("an ethertype", "arp"),
        Field::Len => ("a length", "0-128"),
        Field::Ttl => ("a TTL", "1"),
        Field::Cgroup => ("a cgroup class", "1:10"),
        Field::Iif => ("an interface", "eth0"),
        Field::Service => ("a service", "ssh"),
        Field::Any | Field::Family | Field::Fragment | Field::Raw => ("a value", "0"),
    }
}

/// A mistake in one value, before it has a place.
struct Fault {
    message: String,
    label: String,
    help: Option<String>,
    /// The part of the value that is wrong, if not all of it.
    part: Option<String>,
}

fn fault(message: impl Into<String>, label: impl Into<String>) -> Fault {
    Fault { message: message.into(), label: label.into(), help: None, part: None }
}

impl Fault {
    fn part(mut self, part: &str) -> Fault {
        self.part = Some(part.to_owned());
        self
    }

    fn help(mut self, help: impl Into<String>) -> Fault {
        self.help = Some(help.into());
        self
    }
}

/// A finding that is no error: the code, the words, the help.
type Remark = (&'static Code, Fault);

fn digits(i: &str) -> IResult<&str, (&str, u32)> {
    let hex = map(preceded(tag_no_case("0x"), hex_digit1), |d| (d, 16));
    alt((hex, map(digit1, |d| (d, 10)))).parse(i)
}

/// A number: decimal or `0x` hexadecimal. `None`: no number at all.
fn number(text: &str) -> Option<Result<u64, Fault>> {
    let (_, (digits, radix)) = all_consuming(digits).parse(text).ok()?;
    if radix == 10 && digits.len() > 1 && digits.starts_with('0') {
        let plain = digits.trim_start_matches('0');
        let plain = if plain.is_empty() { "0" } else { plain };
        let help = format!("write `{plain}`; other tools read a leading 0 as octal");
        return Some(Err(fault(format!("`{text}` starts with a zero"), "octal or decimal?").help(help)));
    }
    Some(u64::from_str_radix(digits, radix).map_err(|_| fault(format!("`{text}` is far too large"), "")))
}

/// `M:N` of two hexadecimal halves, as in tc.
fn handle(text: &str) -> Option<u64> {
    let half = |t: &str| if t.len() <= 4 { u64::from_str_radix(t, 16).ok() } else { None };
    let hex = |c: char| c.is_ascii_hexdigit();
    let (_, (major, _, minor)) = all_consuming((
        take_while_m_n(1, 4, hex),
        char::<&str, nom::error::Error<&str>>(':'),
        take_while_m_n(1, 4, hex),
    ))
    .parse(text)
    .ok()?;
    Some(half(major)? << 16 | half(minor)?)
}

fn hardware_address(text: &str) -> Option<[u8; 6]> {
    let pair = take_while_m_n(1, 2, |c: char| c.is_ascii_hexdigit());
    let list = separated_list1(char::<&str, nom::error::Error<&str>>(':'), pair);
    let (_, pairs) = all_consuming(list).parse(text).ok()?;
    let bytes: Vec<u8> = pairs.iter().filter_map(|p| u8::from_str_radix(p, 16).ok()).collect();
    bytes.try_into().ok()
}

fn width(a: IpAddr) -> u8 {
    if a.is_ipv4() { 32 } else { 128 }
}

fn family(a: IpAddr) -> &'static str {
    if a.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// The address with the bits past the prefix cleared.
fn network(a: IpAddr, prefix: u8) -> IpAddr {
    let keep = |bits: u8| u128::MAX.checked_shl(u32::from(bits.saturating_sub(prefix))).unwrap_or(0);
    match a {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from(u32::from(v4) & keep(32) as u32)),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) & keep(128))),
    }
}

fn address(text: &str) -> Result<(Item, Option<Remark>), Fault> {
    let parse = |t: &str| t.parse::<IpAddr>().ok();
    if let Some(a) = parse(text) {
        return Ok((Item::Prefix(a, width(a)), None));
    }
    if let Some((left, right)) = text.split_once('/') {
        let a = parse(left).ok_or_else(|| no_address(text, left))?;
        if let Some(mask) = parse(right).filter(|m| m.is_ipv4() && a.is_ipv4()) {
            let IpAddr::V4(mask) = mask else { return Err(fault(format!("`{text}` is no prefix"), "")) };
            let ones = u32::from(mask).leading_ones();
            return Err(fault(format!("`{text}` has a netmask where a prefix length is wanted"), "")
                .help(format!("write `{}/{ones}`", network(a, ones as u8))));
        }
        let bits: u8 = match number(right) {
            Some(Ok(n)) if n <= u64::from(width(a)) => n as u8,
            Some(Ok(n)) => {
                let message = format!("/{n} is longer than an {} address", family(a));
                return Err(fault(message, format!("at most /{}", width(a))));
            }
            _ => return Err(fault(format!("`{right}` is no prefix length"), format!("0 to {}", width(a)))),
        };
        let net = network(a, bits);
        let remark = (net != a).then(|| {
            let message = format!("`{text}` has bits set past its prefix; they are ignored");
            (&HOST_BITS, fault(message, "").help(format!("write `{net}/{bits}`, or `{a}` for the one address")))
        });
        return Ok((Item::Prefix(net, bits), remark));
    }
    if let Some((left, right)) = text.split_once('-')
        && let Some(a) = parse(left)
    {
        let b = parse(right).ok_or_else(|| no_address(text, right))?;
        if a.is_ipv4() != b.is_ipv4() {
            return Err(fault(format!("`{text}` goes from {} to {}", family(a), family(b)), "two families"));
        }
        if a > b {
            return Err(fault(format!("`{text}` is an empty range"), "").help(format!("write `{b}-{a}`")));
        }
        return Ok((if a == b { Item::Prefix(a, width(a)) } else { Item::Addresses(a, b) }, None));
    }
    Err(no_address(text, text))
}

fn no_address(whole: &str, part: &str) -> Fault {
    let wrong = fault(format!("`{part}` is no address"), "").part(part);
    if part.ends_with('*') || part.ends_with(".x") {
        let octets: Vec<&str> = part.split('.').take_while(|o| o.parse::<u8>().is_ok()).collect();
        if (1..=3).contains(&octets.len()) {
            let (given, bits) = (octets.join("."), octets.len() * 8);
            return wrong.help(format!("write `{given}{}/{bits}`", ".0".repeat(4 - octets.len())));
        }
    }
    let octets: Vec<&str> = part.split('.').collect();
    if octets.iter().all(|o| !o.is_empty() && o.bytes().all(|b| b.is_ascii_digit())) {
        if octets.len() < 4 && whole.contains('/') {
            let (_, bits) = whole.split_once('/').unwrap_or((whole, "32"));
            let padded = format!("{part}{}", ".0".repeat(4 - octets.len()));
            return wrong.help(format!("all four numbers must be there: `{padded}/{bits}`"));
        }
        if octets.len() == 4 {
            return wrong.help("each of the four numbers is 0 to 255, without leading zeros");
        }
    }
    if part.bytes().filter(|b| *b == b':').count() == 5 && hardware_address(part).is_some() {
        return wrong.help(format!("for a hardware address write `mac src {part}` or `mac dst {part}`"));
    }
    if part.chars().any(|c| c.is_alphabetic()) && !part.contains(':') {
        return wrong.help("names of hosts are not looked up; write the address, or `@NAME` for a set");
    }
    wrong.help("an address is `192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32` or `192.0.2.1-192.0.2.9`")
}

/// Which flags: `syn`, `syn+ack` (`,` in place of `+` outside of sets), `none`, or a number.
fn flags(text: &str) -> Result<u64, Fault> {
    if let Some(n) = number(text) {
        let n = n?;
        return if n <= 0xff { Ok(n) } else { Err(fault(format!("`{text}` is beyond the flags' eight bits"), "")) };
    }
    if text == "none" {
        return Ok(0);
    }
    let mut bits = 0;
    for name in text.split([',', '+']) {
        let known = names::TCP_FLAGS.iter().map(|(n, _)| *n);
        bits |= names::number(names::TCP_FLAGS, name).ok_or_else(|| {
            let wrong = fault(format!("`{name}` is no TCP flag"), "").part(name);
            match names::nearest(name, known.clone()) {
                Some(near) => wrong.help(format!("did you mean `{near}`?")),
                None => wrong.help(format!("the flags are {}", known.collect::<Vec<_>>().join(", "))),
            }
        })?;
    }
    Ok(bits)
}

fn tcp_flags(text: &str) -> Result<(Item, Option<Remark>), Fault> {
    let (value, mask) = match text.split_once('/') {
        Some((v, m)) => (flags(v)?, flags(m)?),
        None => (flags(text)?, flags(text)?),
    };
    if mask == 0 {
        return Err(fault(format!("`{text}` looks at no flag"), "").help("write which, as in `none/syn,ack`"));
    }
    Ok(masked(text, value, mask, u64::MAX))
}

/// A value under a mask; one with bits outside of the mask is remarked on and trimmed.
fn masked(text: &str, value: u64, mask: u64, full: u64) -> (Item, Option<Remark>) {
    let trimmed = value & mask;
    let item = if mask == full { Item::Number(trimmed) } else { Item::Masked(trimmed, mask) };
    let remark = (trimmed != value).then(|| {
        let message = format!("`{text}` has bits outside of its mask; they are ignored");
        (&HOST_BITS, fault(message, "").help(format!("write `0x{trimmed:x}/0x{mask:x}`")))
    });
    (item, remark)
}

/// A number of a field, with its bound.
fn bounded(text: &str, n: &Numbers) -> Result<u64, Fault> {
    let value = match number(text) {
        Some(v) => v?,
        None => return Err(no_number(text, n)),
    };
    if value > n.max {
        let max = if n.max > 0xffff { format!("0x{:x}", n.max) } else { n.max.to_string() };
        let wrong = fault(format!("`{text}` is too large for {}", n.what), format!("at most {max}"));
        return Err(if n.max == 63 && value <= 255 {
            let name = names::name(names::DSCP, value >> 2).map(|s| format!(" ({s})")).unwrap_or_default();
            wrong.help(format!("as a TOS octet, {text} is `dscp {}`{name}; or write `tos {text}`", value >> 2))
        } else {
            wrong
        });
    }
    Ok(value)
}

fn no_number(text: &str, n: &Numbers) -> Fault {
    let wrong = fault(format!("`{text}` is not {}", n.what), "");
    if let Some(near) = names::nearest(text, n.table.iter().map(|(name, _)| *name)) {
        return wrong.help(format!("did you mean `{near}`?"));
    }
    match n.table {
        [] => wrong.help(format!("a number up to {} is wanted", n.max)),
        t if t.len() < 30 => {
            wrong.help(format!("a number, or one of {}", t.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(", ")))
        }
        _ => wrong.help("write its number"),
    }
}

fn numeric(field: Field, text: &str, n: &Numbers) -> Result<(Item, Option<Remark>), Fault> {
    if let Some(v) = names::number(n.table, text) {
        if field != Field::Tos {
            return Ok((Item::Number(v), None));
        }
        if v & names::ECN_MASK == 0 {
            return Ok((Item::Masked(v, names::TOS_MASK), None));
        }
        return Ok((Item::Masked(v, names::TOS_MASK | v), Some(ecn(text))));
    }
    if matches!(field, Field::Priority | Field::Cgroup)
        && let Some(v) = handle(text)
    {
        return Ok((Item::Number(v), None));
    }
    if let Some((left, right)) = text.split_once('/') {
        if !n.masks {
            let wrong = fault(format!("`{text}` has a mask, and {} takes none", n.what), "");
            return Err(match field {
                Field::Sport | Field::Dport | Field::Port => wrong.help("write a range, as in `1024-2047`"),
                _ => wrong,
            });
        }
        let (value, mask) = (bounded(left, n)?, bounded(right, n)?);
        if mask == 0 {
            return Err(fault("a mask of 0 takes every packet", "").help("write `any`"));
        }
        let (item, remark) = masked(text, value, mask, n.max);
        let remark = remark.or_else(|| (field == Field::Tos && value & mask & names::ECN_MASK != 0).then(|| ecn(text)));
        return Ok((item, remark));
    }
    if let Some((left, right)) = text.split_once('-')
        && number(left).is_some()
        && number(right).is_some()
    {
        if !n.ranges {
            let wrong = fault(format!("`{text}` is a range, and {} takes none", n.what), "");
            return Err(if n.masks { wrong.help("write a mask, as in `0x10/0xf0`") } else { wrong });
        }
        let (from, to) = (bounded(left, n)?, bounded(right, n)?);
        if from > to {
            return Err(fault(format!("`{text}` is an empty range"), "").help(format!("write `{to}-{from}`")));
        }
        return Ok((if from == to { Item::Number(from) } else { Item::Range(from, to) }, None));
    }
    let value = bounded(text, n)?;
    let remark = (field == Field::Tos && value & names::ECN_MASK != 0).then(|| ecn(text));
    Ok((Item::Number(value), remark))
}

fn ecn(text: &str) -> Remark {
    let message = format!("`{text}` looks at a bit that is ECN today");
    let help = "packets of ECN-capable connections carry it; mask it out (`tos VALUE/0xfc`), or match `dscp`";
    (&TOS_ECN, fault(message, "RFC 3168 took the two lowest bits").help(help))
}

/// One value of a field. ICMP types by name come as [`Item::Name`] and are settled with their group.
fn item(field: Field, text: &str) -> Result<(Item, Option<Remark>), Fault> {
    match field {
        Field::Src | Field::Dst | Field::Host => address(text),
        Field::TcpFlags => tcp_flags(text),
        Field::MacSrc | Field::MacDst => match hardware_address(text) {
            Some(mac) => Ok((Item::Mac(mac), None)),
            None => {
                Err(fault(format!("`{text}` is no hardware address"), "").help("write six bytes: `02:00:00:00:00:01`"))
            }
        },
        Field::Iif => {
            let fits = text.len() <= 15 && !text.contains('/') && !text.contains(char::is_whitespace);
            if fits && !text.is_empty() {
                Ok((Item::Name(text.into()), None))
            } else {
                Err(fault(format!("`{text}` cannot name an interface"), "1 to 15 bytes, no `/`, no blanks"))
            }
        }
        Field::Service => Ok((Item::Name(text.into()), None)),
        Field::IcmpType => {
            let all = || names::ICMP4_TYPES.iter().chain(names::ICMP6_TYPES).map(|(name, _)| *name);
            if let Some(name) = all().find(|name| name.eq_ignore_ascii_case(text)) {
                return Ok((Item::Name(name.into()), None));
            }
            let hint = match text {
                "ping" => Some("echo-request"),
                "pong" => Some("echo-reply"),
                "unreachable" => Some("destination-unreachable"),
                _ => names::nearest(text, all()),
            };
            match (hint, numbers(field)) {
                (Some(near), _) => {
                    Err(fault(format!("`{text}` is no ICMP type"), "").help(format!("did you mean `{near}`?")))
                }
                (None, Some(n)) => numeric(field, text, &n),
                (None, None) => Err(fault("no value fits here", "")),
            }
        }
        _ => match numbers(field) {
            Some(n) => numeric(field, text, &n),
            None => Err(fault("no value fits here", "")),
        },
    }
}

const FIN: u64 = 0x01;
const SYN: u64 = 0x02;
const RST: u64 = 0x04;
const PSH: u64 = 0x08;
const ACK: u64 = 0x10;
const URG: u64 = 0x20;
/// The longest IP packets that hold a TCP header and nothing behind it: 60 bytes with all options, behind a header without any.
const BARE: [(u64, u64); 2] = [(4, 20 + 60), (6, 40 + 60)];

/// TCP packets with these flags of those that are looked at, and with what else is said.
fn flagged(more: Vec<(Field, Item)>, set: u64, of: u64, span: Span) -> Option<Expression> {
    let own = [(Field::Proto, Item::Number(6)), (Field::TcpFlags, Item::Masked(set, of))];
    let test = |(field, item)| Expression::Test(Test { field, items: vec![item], span });
    Expression::and(own.into_iter().chain(more).map(test))
}

/// Acknowledgements without data: `ack` is set, nothing else but ECN's flags is, and the packet has no room for much.
fn acks(span: Span) -> Option<Expression> {
    let bare = BARE.map(|(family, longest)| {
        let more = vec![(Field::Family, Item::Number(family)), (Field::Len, Item::Range(0, longest))];
        flagged(more, ACK, FIN | SYN | RST | PSH | ACK | URG, span)
    });
    Expression::or(bare.into_iter().flatten())
}

struct Parser<'a, 't> {
    tokens: Vec<Token<'t>>,
    next: usize,
    end: Span,
    names: &'a Names<'a>,
    sink: &'a mut Sink,
    errors: usize,
    depth: usize,
    view: View,
    /// Whether `up` or `down` was read.
    ways: bool,
}

/// What one group is made of.
#[derive(Clone)]
enum Piece {
    Test(Test),
    Not(Test),
    Other(Expression),
}

impl From<Piece> for Expression {
    fn from(piece: Piece) -> Expression {
        match piece {
            Piece::Test(t) => Expression::Test(t),
            Piece::Not(t) => Expression::Test(t).negated(),
            Piece::Other(e) => e,
        }
    }
}

impl<'t> Parser<'_, 't> {
    fn report(&mut self, diagnostic: Diagnostic) {
        self.errors += usize::from(diagnostic.is_error());
        self.sink.push(diagnostic);
    }

    fn lex<'x>(&mut self, text: &'x str, place: Place) -> Vec<Token<'x>> {
        let mut tokens = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let start = text.len() - rest.len();
            if let Ok((after, _)) = blank(rest) {
                rest = after;
            } else if let Ok((after, quoted)) = lexis::quoted(rest) {
                let span = place.span(start, text.len() - after.len());
                if !quoted.closed {
                    self.report(Diagnostic::new(&SYNTAX, "a quote is not closed").at(span, "opened here"));
                } else if let Some((at, length)) = quoted.bad_escape {
                    let at = place.span(start + at, start + at + length);
                    self.report(Diagnostic::new(&SYNTAX, "this is no escape").at(at, "").help(lexis::ESCAPES));
                }
                tokens.push(Token { kind: Kind::Quoted, text: quoted.text, span });
                rest = after;
            } else {
                let Ok((after, (taken, kind))) = consumed(raw_token).parse(rest) else { break };
                let span = place.span(start, start + taken.len());
                tokens.push(Token { kind, text: Cow::Borrowed(taken), span });
                rest = after;
            }
        }
        tokens
    }

    fn peek(&self) -> Option<&Token<'t>> {
        self.tokens.get(self.next)
    }

    fn peek_kind(&self) -> Option<Kind> {
        self.peek().map(|t| t.kind)
    }

    fn peek_word(&self) -> Option<&str> {
        self.peek().filter(|t| t.kind == Kind::Word).map(|t| &*t.text)
    }

    fn take(&mut self) -> Option<Token<'t>> {
        let token = self.tokens.get(self.next).cloned();
        self.next += usize::from(token.is_some());
        token
    }

    /// The place of what comes next, or of the end.
    fn here(&self) -> Span {
        self.peek().map_or(self.end, |t| t.span)
    }

    /// What an expression says of packets of the way that is looked at.
    fn one_way(&mut self, expression: Expression) -> Expression {
        let other = expression.clone().settled(if self.view.way == Way::Up { Way::Down } else { Way::Up });
        let here = expression.settled(self.view.way);
        if here.is_never() && other.is_never() {
            let d = Diagnostic::new(&MATCHES_NOTHING, "no packet is sent and arrives at once").at(here.span(), "");
            self.report(d.help("`up` is what is sent, `down` what arrives; write `or` between them"));
        }
        // bytes that are looked at one way only are meant for that way
        let (mut raw, mut elsewhere) = (Vec::new(), Vec::new());
        here.visit(&mut |t| raw.extend((t.field == Field::Raw).then_some(t.span)));
        other.visit(&mut |t| elsewhere.extend((t.field == Field::Raw).then_some(t.span)));
        raw.retain(|span| self.view.reversed && elsewhere.contains(span));
        for span in raw {
            let d = Diagnostic::new(&BOTH_WAYS, "bytes at an offset are not reversed for what arrives").at(span, "");
            self.report(d.help("say for which way they are meant: `up u32 …`, and `down u32 …` for the other"));
        }
        here
    }

    fn whole(&mut self) -> Option<Expression> {
        if self.tokens.is_empty() {
            self.report(Diagnostic::new(&SYNTAX, "the match is empty").at(self.end, "").help("every packet is `any`"));
            return None;
        }
        let mut result = self.either();
        while let Some(token) = self.take() {
            // Only what closes without having been opened is left over; the rest is read for its own mistakes.
            let message = format!("`{}` closes nothing", token.text);
            self.report(Diagnostic::new(&SYNTAX, message).at(token.span, ""));
            match self.peek_word() {
                None if self.peek().is_none() => {}
                Some("and" | "or") => {
                    self.next += 1;
                    result = Expression::and(result.into_iter().chain(self.either()));
                }
                _ => result = Expression::and(result.into_iter().chain(self.either())),
            }
        }
        result
    }

    /// Parts joined by `or`.
    fn either(&mut self) -> Option<Expression> {
        let mut parts = Vec::new();
        loop {
            parts.extend(self.all());
            match self.operator("or", "||", "|") {
                Some(span) => self.operand_follows("or", span),
                None => return Expression::or(parts),
            }
        }
    }

    /// Parts joined by `and`.
    fn all(&mut self) -> Option<Expression> {
        let mut parts = Vec::new();
        loop {
            let before = self.next;
            parts.extend(self.unary());
            if let Some(span) = self.operator("and", "&&", "&") {
                self.operand_follows("and", span);
                continue;
            }
            // What starts a part but is not joined to the last one.
            match self.peek() {
                Some(t) if t.kind == Kind::Comma => {
                    let span = t.span;
                    self.report(Diagnostic::new(&SYNTAX, "a `,` outside of a set").at(span, "").help(
                        "put several values of one field in braces, as in `{22, 80}`; join tests by `and` or `or`",
                    ));
                    self.next += 1;
                    if self.peek().is_none() || self.peek_kind() == Some(Kind::Close) {
                        return Expression::and(parts);
                    }
                }
                Some(t) if t.kind == Kind::Close || (t.kind == Kind::Word && t.text.eq_ignore_ascii_case("or")) => {
                    return Expression::and(parts);
                }
                Some(t) if matches!((t.kind, &*t.text), (Kind::Operator, "||" | "|")) => return Expression::and(parts),
                Some(t) if t.kind == Kind::CloseSet => return Expression::and(parts),
                Some(t) => {
                    let (span, text) = (t.span, t.text.clone());
                    let help = format!("write `and {text}` or `or {text}`");
                    let message = format!("`and` or `or` is missing before `{text}`");
                    self.report(Diagnostic::new(&SYNTAX, message).at(span, "").help(help));
                    // whatever it is, it is not read twice
                    self.next += usize::from(self.next == before);
                }
                None => return Expression::and(parts),
            }
        }
    }

    /// Takes an operator by its word; its foreign spellings are reported and taken too.
    fn operator(&mut self, word: &str, double: &str, single: &str) -> Option<Span> {
        let token = self.peek()?;
        let (span, text) = (token.span, token.text.clone());
        let foreign = match token.kind {
            Kind::Word if text == word => false,
            Kind::Word if text.eq_ignore_ascii_case(word) => true,
            Kind::Operator if text == double || text == single => true,
            _ => return None,
        };
        if foreign {
            let message = format!("`{text}` is spelled `{word}` here");
            self.report(Diagnostic::new(&SYNTAX, message).at(span, "").help(format!("write `{word}`")));
        }
        self.next += 1;
        Some(span)
    }

    fn operand_follows(&mut self, word: &str, span: Span) {
        let missing = match self.peek() {
            None => true,
            Some(t) => t.kind == Kind::Close || matches!((t.kind, &*t.text), (Kind::Word, "and" | "or")),
        };
        if missing {
            let message = format!("nothing follows `{word}`");
            self.report(Diagnostic::new(&SYNTAX, message).at(span, "a test must follow"));
        }
    }

    /// A group, with `not` before it or without.
    fn unary(&mut self) -> Option<Expression> {
        let Some(token) = self.peek() else {
            return None; // Reported by whoever wanted more.
        };
        let (kind, span, text) = (token.kind, token.span, token.text.clone());
        match (kind, &*text) {
            (Kind::Word, "not") => {}
            (Kind::Operator, "!") => {
                self.report(Diagnostic::new(&SYNTAX, "`!` is spelled `not` here").at(span, "").help("write `not`"));
            }
            (Kind::Word, "and" | "or") => {
                if self.next == 0 || matches!(self.tokens.get(self.next - 1), Some(t) if t.kind == Kind::Open) {
                    let message = format!("nothing stands before `{text}`");
                    self.report(Diagnostic::new(&SYNTAX, message).at(span, ""));
                }
                return None;
            }
            _ => return self.group(),
        }
        self.next += 1;
        if self.peek().is_none_or(|t| t.kind == Kind::Close || matches!(&*t.text, "and" | "or")) {
            self.report(Diagnostic::new(&SYNTAX, "nothing follows `not`").at(span, "a test must follow"));
            return None;
        }
        let inner = self.deeper(span, |p| match p.peek_kind() {
            // `not (a) b` is unclear, so the parentheses are the whole group.
            Some(Kind::Open) => p.parenthesised(),
            _ => p.unary(),
        });
        inner.map(Expression::negated)
    }

    fn deeper<T>(&mut self, span: Span, f: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth >= DEPTH {
            let message = format!("the match is nested more than {DEPTH} levels deep");
            self.report(Diagnostic::new(&TOO_DEEP, message).at(span, "here"));
            self.next = self.tokens.len();
            return None;
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        result
    }

    fn parenthesised(&mut self) -> Option<Expression> {
        let open = self.take()?.span;
        if self.peek_kind() == Some(Kind::Close) {
            let close = self.here();
            self.next += 1;
            self.report(Diagnostic::new(&SYNTAX, "the parentheses are empty").at(open.to(close), ""));
            return None;
        }
        let inner = self.deeper(open, Self::either);
        match self.peek_kind() {
            Some(Kind::Close) => self.next += 1,
            _ if self.next >= self.tokens.len() && self.errors > 0 && self.depth >= DEPTH => {}
            _ => {
                let here = self.here();
                let d = Diagnostic::new(&SYNTAX, "a `)` is missing")
                    .at(here, "it should stand before this")
                    .at(open, "opened here");
                self.report(d);
            }
        }
        inner
    }

    /// Tests side by side: all of them hold.
    fn group(&mut self) -> Option<Expression> {
        let mut pieces = Vec::new();
        let mut last: Option<(Field, Span)> = None;
        while let Some(token) = self.peek() {
            let (kind, span, text) = (token.kind, token.span, token.text.clone());
            match kind {
                Kind::Word if matches!(&*text, "and" | "or" | "not") => break,
                Kind::Word if text.eq_ignore_ascii_case("and") || text.eq_ignore_ascii_case("or") => break,
                Kind::Word => match lead(&text) {
                    Some(lead) => {
                        self.next += 1;
                        pieces.extend(self.test(&text, lead, span, &mut last));
                    }
                    None => self.unknown(&text, span, &mut last, &mut pieces),
                },
                Kind::Quoted => self.unknown(&text, span, &mut last, &mut pieces),
                Kind::Open => {
                    last = None;
                    pieces.extend(self.parenthesised().map(Piece::Other));
                }
                Kind::Comma if last.is_some() => self.loose_list(&mut last),
                Kind::Operator if !pieces.is_empty() || last.is_some() => break,
                Kind::Comma | Kind::Close => break,
                Kind::CloseSet if !pieces.is_empty() => break,
                Kind::OpenSet => {
                    self.report(
                        Diagnostic::new(&SYNTAX, "a set without a field").at(span, "").help("as in `dport {22, 80}`"),
                    );
                    self.next += 1;
                    while self.peek_kind().is_some_and(|k| k != Kind::CloseSet && k != Kind::Close) {
                        self.next += 1;
                    }
                    self.next += usize::from(self.peek_kind() == Some(Kind::CloseSet));
                }
                Kind::Operator | Kind::Bad | Kind::CloseSet => {
                    let message = format!("`{text}` has no place here");
                    self.report(Diagnostic::new(&SYNTAX, message).at(span, ""));
                    self.next += 1;
                }
            }
        }
        self.finish(pieces)
    }

    /// `dport 22, 80`: several values without braces.
    fn loose_list(&mut self, last: &mut Option<(Field, Span)>) {
        let Some((field, first)) = *last else { return };
        let comma = self.here();
        let mut end = comma;
        let mark = self.next;
        while self.peek_kind() == Some(Kind::Comma) {
            let follows = self.tokens.get(self.next + 1);
            let fits = follows.is_some_and(|t| t.kind == Kind::Word && item(field, &t.text).is_ok());
            if !fits {
                break;
            }
            end = follows.map_or(end, |t| t.span);
            self.next += 2;
        }
        if self.next == mark {
            // Not a list after all: the caller's caller says what to do about a `,`.
            let help = "put several values of one field in braces, as in `{22, 80}`; join tests by `and` or `or`";
            self.report(Diagnostic::new(&SYNTAX, "a `,` outside of a set").at(comma, "").help(help));
            self.next += 1;
            *last = None;
            return;
        }
        let (_, example) = wants(field);
        let help = format!("write them in braces, as in `{{{example}, …}}`");
        self.report(Diagnostic::new(&SYNTAX, "several values need braces").at(first.to(end), "").help(help));
    }

    /// A word that starts no test.
    fn unknown(&mut self, text: &str, span: Span, last: &mut Option<(Field, Span)>, pieces: &mut Vec<Piece>) {
        self.next += 1;
        if let Some((field, first)) = *last
            && item(field, text).is_ok()
        {
            let message = "several values need braces";
            self.report(Diagnostic::new(&SYNTAX, message).at(first.to(span), "").help("as in `{A, B}`"));
            return;
        }
        // behind a test a joint is likelier than another field: `an` for `and`
        if let Some(joint) = names::nearest(text, ["and", "or"]).filter(|_| !pieces.is_empty()) {
            let d = Diagnostic::new(&UNKNOWN_FIELD, format!("`{text}` is no field, and joins no tests")).at(span, "");
            self.report(d.help(format!("did you mean `{joint}`?")));
            return;
        }
        if let Some(ours) = suggestion(text) {
            let message = format!("`{text}` is no field");
            let help = format!("did you mean `{ours}`?");
            self.report(Diagnostic::new(&UNKNOWN_FIELD, message).at(span, "").help(help));
            if let Some(lead) = lead(ours) {
                pieces.extend(self.test(ours, lead, span, last));
            }
            return;
        }
        let d = Diagnostic::new(&UNKNOWN_FIELD, format!("`{text}` is no field")).at(span, "");
        self.report(match () {
            () if text.starts_with(['$', '@']) => {
                d.help(format!("a name stands for values; write the field before it, as in `src {text}`"))
            }
            () if number(text).is_some() => d.help(format!("for a port write `dport {text}`")),
            () if address(text).is_ok() => d.help(format!("for an address write `dst {text}`, `src {text}` or `host {text}`")),
            () if hardware_address(text).is_some() => d.help(format!("for a hardware address write `mac src {text}`")),
            () if names::number(names::PORTS, text).is_some() => {
                d.help(format!("for its port write `dport {text}`, for the service `service {text}`"))
            }
            () if names::number(names::DSCP, text).is_some() => d.help(format!("write `dscp {text}`")),
            () if names::number(names::TCP_FLAGS, text).is_some() => d.help(format!("write `tcp flags {text}`")),
            () => d.help("the fields are src, dst, host, proto, sport, dport, port, tos, dscp, mark … (`shapectl explain unknown-field`)"),
        });
        // Its values are passed over with it.
        *last = None;
        while let Some(t) = self.peek() {
            match t.kind {
                Kind::Word if matches!(&*t.text, "and" | "or" | "not") || lead(&t.text).is_some() => break,
                Kind::Close | Kind::Open => break,
                _ => self.next += 1,
            }
        }
    }

    /// What follows the word that starts a test.
    fn test(&mut self, word: &str, lead: Lead, span: Span, last: &mut Option<(Field, Span)>) -> Option<Piece> {
        *last = None;
        let simple = |field, items| Some(Piece::Test(Test { field, items, span }));
        match lead {
            Lead::Alone(field) => simple(field, Vec::new()),
            Lead::Family(n) => simple(Field::Family, vec![Item::Number(n)]),
            Lead::Proto(n) => simple(Field::Proto, vec![Item::Number(n)]),
            Lead::Icmp => simple(Field::Proto, names::ICMP.map(Item::Number).to_vec()),
            Lead::Arp => simple(Field::Ethertype, vec![Item::Number(0x0806)]),
            Lead::Fragment => {
                let which = match self.peek_word() {
                    Some("first") => 1,
                    Some("later") => 2,
                    _ => 0,
                };
                let end = self.here();
                self.next += usize::from(which > 0);
                let span = if which > 0 { span.to(end) } else { span };
                Some(Piece::Test(Test { field: Field::Fragment, items: vec![Item::Number(which)], span }))
            }
            Lead::Raw => self.raw(span),
            Lead::Mac => {
                let fields: &[Field] = match self.peek_word() {
                    Some("src") => &[Field::MacSrc],
                    Some("dst") => &[Field::MacDst],
                    _ => &[Field::MacSrc, Field::MacDst],
                };
                self.next += usize::from(fields.len() == 1);
                let (negated, items, whole) = self.values(word, *fields.first()?, span, last)?;
                let turned = |f: Field| if self.view.reversed { f.reversed() } else { f };
                let tests = fields.iter().map(|f| Test { field: turned(*f), items: items.clone(), span: whole });
                if fields.len() == 1 {
                    return tests.map(|t| if negated { Piece::Not(t) } else { Piece::Test(t) }).next();
                }
                let either = Expression::or(tests.map(Expression::Test))?;
                Some(Piece::Other(if negated { either.negated() } else { either }))
            }
            Lead::Conntrack => {
                let is_mark = self.peek_word() == Some("mark");
                let end = self.here();
                if !is_mark {
                    let d = Diagnostic::new(&SYNTAX, "`ct` is followed by `mark`").at(span, "");
                    self.report(d.help("as in `ct mark 0x10/0xff`: the mark of the packet's connection"));
                    return None;
                }
                self.next += 1;
                self.test("connmark", Lead::Values(Field::ConnMark), span.to(end), last)
            }
            Lead::End { near, part } => self.end_of_link(word, near, part, span, last),
            Lead::Acks => acks(span).map(Piece::Other),
            Lead::Syns => flagged(Vec::new(), SYN, SYN | FIN | RST, span).map(Piece::Other),
            Lead::Way(way) => {
                self.ways = true;
                simple(Field::Any, vec![Item::Name(way.word().into())])
            }
            Lead::Values(field) => {
                let field = if self.view.reversed { field.reversed() } else { field };
                let (negated, items, whole) = self.values(word, field, span, last)?;
                let test = Test { field, items, span: whole };
                Some(if negated { Piece::Not(test) } else { Piece::Test(test) })
            }
        }
    }

    /// `local` and `remote` with an address or with `port`, `server` and `client` with `port`.
    fn end_of_link(
        &mut self,
        word: &str,
        near: bool,
        part: bool,
        span: Span,
        last: &mut Option<(Field, Span)>,
    ) -> Option<Piece> {
        let source = near == (self.view.way == Way::Up);
        let port = self.peek_word() == Some("port");
        if part && !port {
            let whose = if near { "this side has" } else { "the other side has" };
            let d = Diagnostic::new(&SYNTAX, format!("`{word}` is given no port")).at(span, "`port` must follow");
            self.report(d.help(format!("as in `{word} port 22`: the port that {whose}")));
            let value = self.peek_kind() == Some(Kind::Word) && !self.starts_something_else(Field::Dport);
            self.next += usize::from(value);
            return None;
        }
        let field = match (port, source) {
            (true, true) => Field::Sport,
            (true, false) => Field::Dport,
            (false, true) => Field::Src,
            (false, false) => Field::Dst,
        };
        let (words, start) =
            if port { (format!("{word} port"), span.to(self.here())) } else { (word.to_owned(), span) };
        self.next += usize::from(port);
        let (negated, items, whole) = self.values(&words, field, start, last)?;
        let test = Test { field, items, span: whole };
        Some(if negated { Piece::Not(test) } else { Piece::Test(test) })
    }

    /// The values of a field: one, or a set, `not` before them or not; and the place of the whole test.
    fn values(
        &mut self,
        word: &str,
        field: Field,
        span: Span,
        last: &mut Option<(Field, Span)>,
    ) -> Option<(bool, Vec<Item>, Span)> {
        let mut negated = false;
        while let Some(token) = self.peek() {
            let (at, text) = (token.span, token.text.clone());
            let help = match (token.kind, &*text) {
                (Kind::Word, "not") => {
                    negated = !negated;
                    self.next += 1;
                    continue;
                }
                (Kind::Operator, "!=" | "!") => {
                    negated = !negated;
                    format!("write `{word} not …`")
                }
                (Kind::Operator, "=" | "==") => format!("write the value after the field: `{word} …`"),
                (Kind::Operator, "<" | "<=" | ">" | ">=") => format!("write a range: `{word} 0-128`"),
                _ => break,
            };
            self.next += 1;
            self.report(Diagnostic::new(&SYNTAX, format!("`{text}` is not used here")).at(at, "").help(help));
        }
        let mut items = Vec::new();
        let errors = self.errors;
        let start = self.here();
        let end = match self.peek_kind() {
            Some(Kind::OpenSet) => self.set(field, &mut items),
            Some(Kind::Word | Kind::Quoted) if !self.starts_something_else(field) => self.single(field, &mut items),
            _ => {
                let (what, example) = wants(field);
                let mut d = Diagnostic::new(&SYNTAX, format!("`{word}` is given no value"))
                    .at(span, format!("{what} must follow"))
                    .help(format!("as in `{word} {example}`"));
                if let (Field::Src | Field::Dst, Some(port @ ("port" | "portrange"))) = (field, self.peek_word()) {
                    let ours = if field == Field::Src { "sport" } else { "dport" };
                    d = d.help(format!("`{word} {port}` is spelled `{ours}` here"));
                }
                self.report(d);
                return None;
            }
        };
        *last = Some((field, start));
        (self.errors == errors && !items.is_empty()).then(|| (negated, items, span.to(end)))
    }

    /// Whether the next word is a field or an operator rather than a value.
    fn starts_something_else(&self, field: Field) -> bool {
        match self.peek_word() {
            Some("and" | "or" | "not") => true,
            Some(w) => {
                let icmp = field == Field::Proto && w == "icmp";
                lead(w).is_some() && !icmp && item(field, w).is_err()
            }
            None => false,
        }
    }

    /// One value; TCP flags go on after a comma.
    fn single(&mut self, field: Field, items: &mut Vec<Item>) -> Span {
        let Some(mut token) = self.take() else { return self.end };
        while field == Field::TcpFlags && token.kind == Kind::Word && self.peek_kind() == Some(Kind::Comma) {
            let more = match self.tokens.get(self.next + 1) {
                Some(t) if t.kind == Kind::Word && lead(&t.text).is_none() && !is_operator(&t.text) => t.clone(),
                _ => break,
            };
            token.text = Cow::Owned(format!("{},{}", token.text, more.text));
            token.span = token.span.to(more.span);
            self.next += 2;
        }
        let span = token.span;
        self.value(field, &token, None, 0, items);
        span
    }

    /// A set in braces or brackets; gives the place of its end.
    fn set(&mut self, field: Field, items: &mut Vec<Item>) -> Span {
        let Some(open) = self.take() else { return self.end };
        let closes = if open.text == "{" { "}" } else { "]" };
        let (mut count, mut separated) = (0, true);
        loop {
            let Some(token) = self.take() else {
                let message = format!("a `{closes}` is missing");
                let d =
                    Diagnostic::new(&SYNTAX, message).at(self.end, "it should stand here").at(open.span, "opened here");
                self.report(d);
                return self.end;
            };
            match token.kind {
                Kind::CloseSet => {
                    if token.text != closes {
                        let message = format!("`{}` is closed by `{}`", open.text, token.text);
                        self.report(Diagnostic::new(&SYNTAX, message).at(token.span, "").at(open.span, "opened here"));
                    }
                    if count == 0 {
                        let d = Diagnostic::new(&SYNTAX, "the set is empty").at(open.span.to(token.span), "");
                        self.report(d);
                    }
                    return token.span;
                }
                Kind::Comma => {
                    if separated {
                        self.report(Diagnostic::new(&SYNTAX, "a value is missing before `,`").at(token.span, ""));
                    }
                    separated = true;
                }
                Kind::Word if matches!(&*token.text, "and" | "or") && count > 0 => {
                    let message = format!("`{}` inside a set", token.text);
                    let help = "write `,` between the values; the set holds if any of them does";
                    self.report(Diagnostic::new(&SYNTAX, message).at(token.span, "").help(help));
                    separated = true;
                }
                Kind::Word if token.text == "not" => {
                    let help = "a set is negated as a whole: `dst not {A, B}`; or add `and not …`";
                    self.report(Diagnostic::new(&SYNTAX, "`not` inside a set").at(token.span, "").help(help));
                }
                Kind::Word | Kind::Quoted => {
                    if !separated {
                        let message = format!("a `,` is missing before `{}`", token.text);
                        self.report(Diagnostic::new(&SYNTAX, message).at(token.span, ""));
                    }
                    count += 1;
                    separated = false;
                    self.value(field, &token, None, 0, items);
                }
                Kind::Open | Kind::Close | Kind::OpenSet => {
                    let message = format!("`{}` inside a set", token.text);
                    let d = Diagnostic::new(&SYNTAX, message).at(token.span, "").at(open.span, "the set starts here");
                    self.report(d.help(format!("close the set with `{closes}`")));
                    if token.kind != Kind::OpenSet {
                        self.next -= 1;
                        return token.span;
                    }
                }
                Kind::Operator | Kind::Bad => {
                    let message = format!("`{}` has no place in a set", token.text);
                    self.report(Diagnostic::new(&SYNTAX, message).at(token.span, ""));
                }
            }
        }
    }

    /// One written value: read, or looked up if it is a name.
    fn value(&mut self, field: Field, token: &Token, used: Option<Span>, depth: usize, items: &mut Vec<Item>) {
        let named = token.kind == Kind::Word && token.text.starts_with(['$', '@']);
        if named {
            self.name(field, token, used, depth, items);
            return;
        }
        if field == Field::Proto && token.text.eq_ignore_ascii_case("icmp") {
            items.extend(names::ICMP.map(Item::Number));
            return;
        }
        let (code, fault) = match item(field, &token.text) {
            Ok((item, remark)) => {
                items.push(item);
                match remark {
                    Some(remark) => remark,
                    None => return,
                }
            }
            Err(fault) => (&MATCH_VALUE, fault),
        };
        let span = fault.part.and_then(|part| token.part(&part)).unwrap_or(token.span);
        let mut d = Diagnostic::new(code, fault.message).at(span, fault.label);
        if let Some(used) = used {
            d = d.at(used, "used here");
        }
        d.help = fault.help.map(|h| crate::diagnostic::visible(&h));
        self.report(d);
    }

    fn name(&mut self, field: Field, token: &Token, used: Option<Span>, depth: usize, items: &mut Vec<Item>) {
        let used = used.unwrap_or(token.span);
        let name = token.text.trim_start_matches(['$', '@']);
        if depth >= 8 {
            self.report(Diagnostic::new(&TOO_DEEP, "names stand for names too often").at(used, "starts here"));
            return;
        }
        let Some(texts) = (self.names)(name) else {
            let d = Diagnostic::new(&UNKNOWN_NAME, format!("nothing is called `{name}`")).at(token.span, "");
            self.report(d.help(format!("define it: `let {name} = …`, or `set {name} = {{ … }}`")));
            return;
        };
        let before = (items.len(), self.errors);
        let texts = match texts {
            Named::Texts(texts) => texts,
            Named::Unread => {
                self.errors += 1;
                return;
            }
            Named::List(list) => {
                self.list(field, name, &list, used, items);
                Vec::new()
            }
        };
        for (text, span) in texts {
            let tokens = self.lex(&text, Place::new(&text, span));
            for token in &tokens {
                match token.kind {
                    Kind::Word | Kind::Quoted => self.value(field, token, Some(used), depth + 1, items),
                    Kind::Comma | Kind::OpenSet | Kind::CloseSet => {}
                    _ => {
                        let message = format!("`{}` has no place in a value", token.text);
                        self.report(Diagnostic::new(&SYNTAX, message).at(token.span, "").at(used, "used here"));
                    }
                }
            }
        }
        if before == (items.len(), self.errors) {
            let message = format!("`{name}` holds no value");
            self.report(Diagnostic::new(&MATCH_VALUE, message).at(used, ""));
        }
    }

    /// The items of a list that has been read already, if all of them suit the field.
    fn list(&mut self, field: Field, name: &str, list: &List, used: Span, items: &mut Vec<Item>) {
        let suits = |item: &Item| match (field, item) {
            (Field::Src | Field::Dst | Field::Host, item) => matches!(item, Item::Prefix(..) | Item::Addresses(..)),
            (field, Item::Number(n)) => numbers(field).is_some_and(|numbers| *n <= numbers.max),
            (field, Item::Range(_, n)) => numbers(field).is_some_and(|numbers| numbers.ranges && *n <= numbers.max),
            _ => false,
        };
        match list.items().iter().position(|item| !suits(item)) {
            None => items.extend_from_slice(list.items()),
            Some(at) => {
                let shown = list.items().get(at).map_or_else(String::new, |item| item.show(Field::Dport));
                let message = format!("`{name}` holds `{shown}`, and `{}` wants {}", word_of(field), wants(field).0);
                let d = Diagnostic::new(&MATCH_VALUE, message).at(list.place(at), "").at(used, "used here");
                self.report(d.help("give addresses and ports a list each"));
            }
        }
    }

    /// `u32 VALUE MASK at OFFSET`.
    fn raw(&mut self, span: Span) -> Option<Piece> {
        let mut end = span;
        let mut part = |p: &mut Self, what: &str| -> Option<(String, Span)> {
            match p.peek() {
                Some(t) if t.kind == Kind::Word && !matches!(&*t.text, "and" | "or" | "not") => {
                    let found = (t.text.to_string(), t.span);
                    end = t.span;
                    p.next += 1;
                    Some(found)
                }
                _ => {
                    let d = Diagnostic::new(&SYNTAX, format!("{what} is missing")).at(span.to(end), "");
                    p.report(d.help("as in `u32 0x00060000 0x00ff0000 at 8`"));
                    None
                }
            }
        };
        let value = part(self, "the value")?;
        let mask = part(self, "the mask")?;
        let at = part(self, "`at OFFSET`")?;
        if at.0 != "at" {
            let d = Diagnostic::new(&SYNTAX, format!("`at` is missing before `{}`", at.0)).at(at.1, "");
            self.report(d.help("as in `u32 0x00060000 0x00ff0000 at 8`"));
            return None;
        }
        let offset = part(self, "the offset")?;
        let word = |p: &mut Self, (text, span): &(String, Span)| -> Option<u32> {
            let fault = match number(text) {
                Some(Ok(n)) => match u32::try_from(n) {
                    Ok(n) => return Some(n),
                    Err(_) => fault(format!("`{text}` is wider than 32 bits"), ""),
                },
                Some(Err(f)) => f,
                None => fault(format!("`{text}` is no number"), ""),
            };
            let mut d = Diagnostic::new(&MATCH_VALUE, fault.message).at(*span, fault.label);
            d.help = fault.help;
            p.report(d);
            None
        };
        let (v, m) = (word(self, &value), word(self, &mask));
        let plain = offset.0.strip_prefix('-').unwrap_or(&offset.0);
        let o = match number(plain).and_then(Result::ok).and_then(|n| i32::try_from(n).ok()) {
            Some(n) if n % 4 == 0 => Some(if plain.len() < offset.0.len() { -n } else { n }),
            Some(_) => {
                let message = format!("the offset `{}` is no multiple of 4", offset.0);
                self.report(Diagnostic::new(&MATCH_VALUE, message).at(offset.1, "the kernel reads aligned words"));
                None
            }
            None => {
                self.report(Diagnostic::new(&MATCH_VALUE, format!("`{}` is no offset", offset.0)).at(offset.1, ""));
                None
            }
        };
        let (v, m, o) = (v?, m?, o?);
        if v & !m != 0 {
            let message = format!("`{}` has bits outside of its mask; they are ignored", value.0);
            let d = Diagnostic::new(&HOST_BITS, message).at(value.1, "").at(mask.1, "the mask");
            self.report(d.help(format!("write `u32 0x{:x} 0x{m:x} at {o}`", v & m)));
        }
        let items = vec![Item::Raw { value: v & m, mask: m, offset: o }];
        Some(Piece::Test(Test { field: Field::Raw, items, span: span.to(end) }))
    }

    /// Puts a group together: TCP flags and ICMP types bring their protocol with them, and an ICMP type by name becomes
    /// the number it has in each family.
    fn finish(&mut self, mut pieces: Vec<Piece>) -> Option<Expression> {
        fn test(piece: &Piece) -> Option<&Test> {
            match piece {
                Piece::Test(t) | Piece::Not(t) => Some(t),
                Piece::Other(_) => None,
            }
        }
        // What belongs to a protocol cannot stand, not even negated, beside another one.
        let stated =
            |pieces: &[Piece]| pieces.iter().position(|p| matches!(p, Piece::Test(t) if t.field == Field::Proto));
        let bound =
            |p: &Piece| test(p).is_some_and(|t| matches!(t.field, Field::TcpFlags | Field::IcmpType | Field::IcmpCode));
        let proto = match stated(&pieces).and_then(|at| pieces.get(at)) {
            Some(Piece::Test(proto)) => Some(proto.clone()),
            _ => None,
        };
        let first = pieces.iter().find(|p| bound(p)).and_then(test).cloned();
        if let Some(other) = proto.or(first) {
            pieces.retain(|p| match test(p).filter(|_| bound(p)).and_then(|t| clash(&other, t).map(|f| (t.span, f))) {
                Some((span, fault)) if span != other.span => {
                    let d = Diagnostic::new(&MATCH_CLASH, fault.message).at(span, fault.label).at(other.span, "");
                    self.report(d);
                    false
                }
                _ => true,
            });
        }
        let flags = pieces.iter().position(|p| test(p).is_some_and(|t| t.field == Field::TcpFlags));
        if let (None, Some(at)) = (stated(&pieces), flags) {
            let span = pieces.get(at).and_then(test).map_or(Span::NONE, |t| t.span);
            pieces.insert(at, Piece::Test(Test { field: Field::Proto, items: vec![Item::Number(6)], span }));
        }
        let is_icmp = |p: &Piece| test(p).is_some_and(|t| matches!(t.field, Field::IcmpType | Field::IcmpCode));
        if let Some(first) = pieces.iter().position(is_icmp) {
            let at = stated(&pieces).unwrap_or(first);
            if stated(&pieces).is_none() {
                let span = pieces.iter().filter(|p| is_icmp(p)).filter_map(test).fold(Span::NONE, |s, t| s.to(t.span));
                let items = names::ICMP.map(Item::Number).to_vec();
                pieces.insert(first, Piece::Test(Test { field: Field::Proto, items, span }));
            }
            let mut arms = self.icmp(&pieces, at);
            if arms.len() == 1 {
                pieces = arms.pop().unwrap_or_default();
            } else {
                // One alternative a family stands in the place of the protocol and of what is said of it.
                let alternatives = arms.into_iter().filter_map(|arm| {
                    let mut protocol = true;
                    let said = arm.into_iter().filter(|p| match p {
                        Piece::Test(t) if t.field == Field::Proto => std::mem::take(&mut protocol),
                        other => is_icmp(other),
                    });
                    Expression::and(said.map(Expression::from))
                });
                let either = Expression::or(alternatives);
                let mut kept = Vec::new();
                for (i, piece) in pieces.into_iter().enumerate() {
                    if i == at {
                        kept.extend(either.clone().map(Piece::Other));
                    } else if !is_icmp(&piece) {
                        kept.push(piece);
                    }
                }
                pieces = kept;
            }
        }
        Expression::and(pieces.into_iter().map(Expression::from))
    }

    /// A group with ICMP types or codes, once for each family that it can hold in, with the family's numbers for the types.
    /// A type by number is IPv4's, unless IPv6 is said. The protocol is at `at`.
    fn icmp(&mut self, group: &[Piece], at: usize) -> Vec<Vec<Piece>> {
        let proto = match group.get(at) {
            Some(Piece::Test(t)) => t,
            _ => return Vec::new(),
        };
        let said = group.iter().find_map(|p| match p {
            Piece::Test(t) if t.field == Field::Family => t.items.first(),
            _ => None,
        });
        let by_number = group.iter().any(|p| {
            matches!(p, Piece::Test(t) | Piece::Not(t)
                if t.field == Field::IcmpType && t.items.iter().any(|i| !matches!(i, Item::Name(_))))
        });
        let [v4, v6] = names::ICMP.map(Item::Number);
        let may6 = proto.items.contains(&v6) && said != Some(&Item::Number(4));
        let may4 = proto.items.contains(&v4) && said != Some(&Item::Number(6)) || !may6;
        let may6 = may6 && !(by_number && may4);
        let mut arms = Vec::new();
        let mut strangers = Vec::new();
        for (wanted, number, table) in [(may4, &v4, names::ICMP4_TYPES), (may6, &v6, names::ICMP6_TYPES)] {
            if !wanted {
                continue;
            }
            let mut arm = Vec::new();
            let mut possible = true;
            for (i, piece) in group.iter().enumerate() {
                let (negated, t) = match piece {
                    Piece::Test(t) if i == at => {
                        let items = if t.items.contains(number) { vec![number.clone()] } else { t.items.clone() };
                        arm.push(Piece::Test(Test { items, ..t.clone() }));
                        continue;
                    }
                    Piece::Test(t) if t.field == Field::IcmpType => (false, t),
                    Piece::Not(t) if t.field == Field::IcmpType => (true, t),
                    other => {
                        arm.push(other.clone());
                        continue;
                    }
                };
                let mut items = Vec::new();
                for item in &t.items {
                    match item {
                        Item::Name(name) => match names::number(table, name) {
                            Some(n) => items.push(Item::Number(n)),
                            None => strangers.push((name.clone(), t.span)),
                        },
                        other => items.push(other.clone()),
                    }
                }
                if items.is_empty() {
                    possible &= negated;
                    continue;
                }
                let test = Test { items, ..t.clone() };
                arm.push(if negated { Piece::Not(test) } else { Piece::Test(test) });
            }
            if possible {
                arms.push(arm);
            }
        }
        // Where both families are meant, a name that only one of them has is that one's.
        let both = may4 && may6;
        if (!both || arms.is_empty())
            && let Some((name, span)) = strangers.into_iter().next()
        {
            let (family, other) = if may4 { ("IPv4", "icmp6") } else { ("IPv6", "icmp4") };
            let message = format!("`{name}` is no ICMP type of {family}");
            let d = Diagnostic::new(&MATCH_VALUE, message).at(span, "").at(proto.span, "");
            self.report(d.help(format!("it belongs to `{other}`")));
        }
        arms
    }
}

/// Finds tests that can never hold together. `above` are those that hold wherever `e` is looked at.
fn clashes<'e>(e: &'e Expression, above: &mut Vec<&'e Test>, found: &mut Vec<Diagnostic>) {
    let mark = above.len();
    match e {
        Expression::Test(test) => {
            let clash = above.iter().take(COMPARED).find_map(|other| clash(other, test).map(|f| (other.span, f)));
            let Some((span, fault)) = clash else {
                above.push(test);
                return; // Stays in force for its neighbours; the enclosing `and` takes it away again.
            };
            let d = Diagnostic::new(&MATCH_CLASH, fault.message).at(test.span, fault.label).at(span, "");
            found.push(Diagnostic { help: fault.help, ..d });
        }
        Expression::And(parts) => {
            // Tests first: they hold for the alternatives too, on whichever side of them they stand.
            let (tests, others): (Vec<_>, Vec<_>) = parts.iter().partition(|p| matches!(p, Expression::Test(_)));
            for part in tests.into_iter().chain(others) {
                let inner = above.len();
                clashes(part, above, found);
                if !matches!(part, Expression::Test(_)) {
                    above.truncate(inner);
                }
            }
        }
        Expression::Or(parts) => {
            let mut alternatives = Vec::with_capacity(parts.len());
            for part in parts {
                let mut own = Vec::new();
                clashes(part, above, &mut own);
                above.truncate(mark);
                alternatives.push(own);
            }
            if !of_one_word(parts) {
                found.extend(alternatives.into_iter().flatten());
            } else if alternatives.iter().all(|own| !own.is_empty()) {
                found.extend(alternatives.into_iter().flatten().next());
            }
        }
        Expression::Not(inner) => clashes(inner, &mut Vec::new(), found),
    }
    above.truncate(mark);
}

/// Whether alternatives were written as one word, as `icmp type echo-request` and `acks` are for each family: beside what
/// is of one family the word means that one.
fn of_one_word(alternatives: &[Expression]) -> bool {
    fn first(e: &Expression) -> Span {
        match e {
            Expression::Test(test) => test.span,
            Expression::And(parts) => parts.first().map_or(Span::NONE, first),
            Expression::Or(_) | Expression::Not(_) => Span::NONE,
        }
    }
    let mut spans = alternatives.iter().map(first);
    spans.next().is_some_and(|word| !word.is_none() && spans.all(|span| span == word))
}

const V4: u8 = 1;
const V6: u8 = 2;
const OTHER: u8 = 4;

/// The families of packets in which a test can hold.
fn families(test: &Test) -> u8 {
    let each = |f: &dyn Fn(&Item) -> u8| test.items.iter().fold(0, |all, i| all | f(i));
    let of = |a: &IpAddr| if a.is_ipv4() { V4 } else { V6 };
    match test.field {
        Field::Family => each(&|i| if *i == Item::Number(4) { V4 } else { V6 }),
        Field::Src | Field::Dst | Field::Host => each(&|i| match i {
            Item::Prefix(a, _) | Item::Addresses(a, _) => of(a),
            _ => V4 | V6,
        }),
        Field::Ethertype => each(&|i| match i {
            Item::Number(0x0800) => V4,
            Item::Number(0x86dd) => V6,
            _ => OTHER,
        }),
        Field::Proto => each(&|i| match i {
            Item::Number(1) => V4,
            Item::Number(58) => V6,
            _ => V4 | V6,
        }),
        Field::Any
        | Field::Mark
        | Field::Priority
        | Field::Vlan
        | Field::MacSrc
        | Field::MacDst
        | Field::Cgroup
        | Field::Iif
        | Field::Raw => V4 | V6 | OTHER,
        _ => V4 | V6,
    }
}

/// The protocols in which a test can hold; `None`: any.
fn protocols(test: &Test) -> Option<Vec<u64>> {
    match test.field {
        Field::Proto => test.items.iter().map(|i| if let Item::Number(n) = i { Some(*n) } else { None }).collect(),
        Field::Sport | Field::Dport | Field::Port => Some(names::WITH_PORTS.to_vec()),
        Field::TcpFlags => Some(vec![6]),
        Field::IcmpType | Field::IcmpCode => Some(names::ICMP.to_vec()),
        _ => None,
    }
}

/// Why no packet passes both tests, if none does.
fn clash(first: &Test, second: &Test) -> Option<Fault> {
    let never = || format!("`{second}` never holds together with `{first}`");
    if families(first) & families(second) == 0 {
        let name = |t: &Test| match families(t) {
            V4 => "IPv4",
            V6 => "IPv6",
            OTHER => "neither IPv4 nor IPv6",
            _ => "IP",
        };
        return Some(fault(never(), format!("this is {}, and the other {}", name(second), name(first))));
    }
    if let (Some(a), Some(b)) = (protocols(first), protocols(second))
        && !a.iter().any(|p| b.contains(p))
    {
        let (proto, other) = if second.field == Field::Proto { (second, first) } else { (first, second) };
        let label = match other.field {
            Field::TcpFlags => "only tcp has flags".to_owned(),
            Field::Sport | Field::Dport | Field::Port => format!("`{proto}` has no ports"),
            Field::IcmpType | Field::IcmpCode => "only icmp and icmp6 have types and codes".to_owned(),
            _ => "a packet has one protocol".to_owned(),
        };
        let wrong = fault(never(), label);
        return Some(match (first.field, second.field) {
            (Field::Proto, Field::Proto) => {
                let words: Vec<String> =
                    first.items.iter().chain(&second.items).map(|i| i.show(Field::Proto)).collect();
                wrong.help(format!("for either of them write `proto {{{}}}`", words.join(", ")))
            }
            _ => wrong,
        });
    }
    let later = |t: &Test| t.field == Field::Fragment && t.items == [Item::Number(2)];
    let above_ip = |t: &Test| t.field != Field::Proto && protocols(t).is_some();
    if later(first) && above_ip(second) || later(second) && above_ip(first) {
        return Some(fault(never(), "only the first fragment carries the header with ports"));
    }
    let comparable = !matches!(
        first.field,
        Field::Host
            | Field::Port
            | Field::Any
            | Field::Raw
            | Field::Fragment
            | Field::Family
            | Field::Proto
            | Field::Service
    );
    let few = first.items.len().saturating_mul(second.items.len()) <= 1 << 16;
    if comparable
        && few
        && first.field == second.field
        && !first.items.iter().any(|a| second.items.iter().any(|b| overlap(a, b)))
    {
        let word = word_of(first.field);
        let wrong = fault(never(), format!("a packet has one `{word}`"));
        let values: Vec<String> = first.items.iter().chain(&second.items).map(|i| i.show(first.field)).collect();
        return Some(match values.len() {
            2..=6 => wrong.help(format!("for either of them write `{word} {{{}}}`", values.join(", "))),
            _ => wrong,
        });
    }
    None
}

/// The word of a field that takes values.
fn word_of(field: Field) -> &'static str {
    match field {
        Field::MacSrc => "mac src",
        Field::MacDst => "mac dst",
        _ => FIELDS.iter().find(|(_, f)| *f == field).map_or("", |(word, _)| word),
    }
}

/// Whether some value is in both items.
fn overlap(a: &Item, b: &Item) -> bool {
    let numbers = |i: &Item| match i {
        Item::Number(n) => Some((*n, *n)),
        Item::Range(from, to) => Some((*from, *to)),
        _ => None,
    };
    let bits = |i: &Item| match i {
        Item::Number(n) => Some((*n, u64::MAX)),
        Item::Masked(value, mask) => Some((*value, *mask)),
        _ => None,
    };
    let addresses = |i: &Item| match i {
        Item::Prefix(a, len) => Some((*a, last_of(*a, *len))),
        Item::Addresses(from, to) => Some((*from, *to)),
        _ => None,
    };
    if let (Some((a1, a2)), Some((b1, b2))) = (numbers(a), numbers(b)) {
        return a1 <= b2 && b1 <= a2;
    }
    if let (Some((av, am)), Some((bv, bm))) = (bits(a), bits(b)) {
        return (av ^ bv) & am & bm == 0;
    }
    if let (Some((a1, a2)), Some((b1, b2))) = (addresses(a), addresses(b)) {
        return a1.is_ipv4() == b1.is_ipv4() && a1 <= b2 && b1 <= a2;
    }
    a == b
}

/// The last address of a prefix.
fn last_of(a: IpAddr, prefix: u8) -> IpAddr {
    let low = |bits: u8| !u128::MAX.checked_shl(u32::from(bits.saturating_sub(prefix))).unwrap_or(0);
    match a {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from(u32::from(v4) | low(32) as u32)),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) | low(128))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]
    use super::*;
    use crate::source::FileId;
    use proptest::prelude::*;

    fn span_of(text: &str) -> Span {
        Span::new(FileId(0), 100, 100 + text.len())
    }

    fn names(name: &str) -> Option<Named> {
        texts(name).map(Named::Texts)
    }

    fn texts(name: &str) -> Option<Vec<(String, Span)>> {
        let item = |text: &str, at| (text.to_owned(), Span::new(FileId(0), at, at + text.len()));
        match name {
            "office" => Some(vec![item("192.0.2.0/24", 0), item("198.51.100.7", 20)]),
            "web" => Some(vec![item("{80, 443}", 40)]),
            "both" => Some(vec![item("$web", 60), item("@loop", 70)]),
            "loop" => Some(vec![item("$loop", 80)]),
            "bad" => Some(vec![item("70000", 90)]),
            "empty" => Some(vec![]),
            _ => None,
        }
    }

    fn read(text: &str) -> (Option<Expression>, Vec<Diagnostic>) {
        let mut sink = Sink::new();
        let e = parse(text, span_of(text), &names, &mut sink);
        assert_eq!(e.is_none(), sink.has_errors(), "{text}: {:?}", sink.found);
        (e, sink.found)
    }

    fn good(text: &str) -> Expression {
        let (e, found) = read(text);
        assert!(found.is_empty(), "{text}: {found:?}");
        e.unwrap()
    }

    /// What was underlined, with its code, message and help.
    fn findings(text: &str) -> Vec<(String, &'static str, String, String)> {
        let underlined = |d: &Diagnostic| {
            let s = d.span();
            match (s.start as usize).checked_sub(100) {
                Some(start) => text.get(start..s.end as usize - 100).unwrap_or("?").to_owned(),
                None => format!("@{}", s.start),
            }
        };
        let (_, found) = read(text);
        found
            .iter()
            .map(|d| (underlined(d), d.code.name, d.message.clone(), d.help.clone().unwrap_or_default()))
            .collect()
    }

    /// Every structure written out.
    fn spelled(e: &Expression) -> String {
        let join = |parts: &[Expression], word: &str| {
            format!("({})", parts.iter().map(spelled).collect::<Vec<_>>().join(&format!(" {word} ")))
        };
        match e {
            Expression::And(parts) => join(parts, "and"),
            Expression::Or(parts) => join(parts, "or"),
            Expression::Not(inner) => format!("not {}", spelled(inner)),
            Expression::Test(t) => t.to_string(),
        }
    }

    #[test]
    fn the_worked_parses_of_the_manual_hold() {
        let table = include_str!("../../grammar/expressions.md");
        let mut count = 0;
        for line in table.lines().filter(|l| l.starts_with("| `")) {
            let cells: Vec<&str> = line.split(" | ").collect();
            let written = cells[0].trim_start_matches("| ").trim_matches('`');
            let mut sink = Sink::new();
            let e = parse(written, span_of(written), &names, &mut sink);
            let read = e.as_ref().map_or("error".to_owned(), spelled);
            assert_eq!(read, cells[1], "{written}");
            count += 1;
        }
        assert!(count >= 20, "{count}");
    }

    #[test]
    fn every_field_is_read() {
        for (text, shown) in [
            ("src 10.0.0.0/8", "src 10.0.0.0/8"),
            ("dst 2001:db8::1-2001:db8::9", "dst 2001:db8::1-2001:db8::9"),
            ("host [10.0.0.1, 10.0.0.5-10.0.0.9]", "host {10.0.0.1, 10.0.0.5-10.0.0.9}"),
            ("proto 47", "gre"),
            ("proto gre", "gre"),
            ("gre", "gre"),
            ("proto 200", "proto 200"),
            ("proto icmp", "icmp"),
            ("sport ssh", "sport 22"),
            ("dport {http, https, 8000-8080,}", "dport {80, 443, 8000-8080}"),
            ("flags syn,ack", "tcp flags syn,ack"),
            ("tcp flags {syn+ack, rst}", "tcp flags {syn+ack, rst}"),
            ("tcp flags none/syn,ack", "tcp flags none/syn,ack"),
            ("tcp flags 0x12/0x3f", "tcp flags syn,ack/fin,syn,rst,psh,ack,urg"),
            ("icmp code 3", "icmp4 code 3 or icmp6 code 3"),
            ("icmp type 8 code 0", "icmp4 type 8 code 0"),
            ("ip6 icmp type 135", "ip6 icmp6 type 135"),
            ("ip icmp type redirect", "ip icmp4 type 5"),
            ("icmp type packet-too-big", "icmp6 type 2"),
            ("icmp type not echo-request", "icmp4 type not 8 or icmp6 type not 128"),
            ("tos 0x10", "tos 0x10"),
            ("tos 0x10/0xfc", "tos 0x10/0xfc"),
            ("tos minimize-delay", "tos minimize-delay"),
            ("dscp 46", "dscp ef"),
            ("dscp AF11", "dscp af11"),
            ("dscp 3", "dscp 3"),
            ("mark 16", "mark 0x10"),
            ("mark 0x1/0xffffffff", "mark 0x1"),
            ("priority 1:10", "priority 65552"),
            ("vlan 10-20", "vlan 10-20"),
            ("mac src 2:0:0:0:0:1", "mac src 02:00:00:00:00:01"),
            ("mac 02:00:00:00:00:01", "mac src 02:00:00:00:00:01 or mac dst 02:00:00:00:00:01"),
            ("ethertype 0x88cc", "ethertype lldp"),
            ("arp", "ethertype arp"),
            ("len 0-128", "len 0-128"),
            ("ttl 1", "ttl 1"),
            ("frag", "frag"),
            ("frag first or frag later", "frag first or frag later"),
            ("cgroup 1:10", "cgroup 1:10"),
            ("cgroup 65552", "cgroup 1:10"),
            ("iif \"wg home\" or any", ""),
            ("iif {eth0, 'wg-home'}", "iif {eth0, wg-home}"),
            ("service ssh", "service ssh"),
            ("u32 0x00060000 0x00ff0000 at 8", "u32 0x60000 0xff0000 at 8"),
            ("u32 1 1 at -4 and tcp", "u32 0x1 0x1 at -4 tcp"),
            ("not not tcp", "tcp"),
            ("not (tcp or udp)", "not (tcp or udp)"),
            ("tcp # the transport\n and dport 22", "tcp dport 22"),
            ("tcp tcp dport 22", "tcp dport 22"),
        ] {
            if shown.is_empty() {
                assert!(read(text).0.is_none(), "{text}");
                continue;
            }
            assert_eq!(good(text).to_string(), shown, "{text}");
        }
    }

    #[test]
    fn mistakes_are_underlined_and_explained() {
        for (text, wanted) in [
            ("udp flags syn", &[("flags syn", "match-clash", "")][..]),
            ("icmp dport 22", &[("dport 22", "match-clash", "")]),
            ("ip src 2001:db8::1", &[("src 2001:db8::1", "match-clash", "")]),
            ("arp src 10.0.0.1", &[("src 10.0.0.1", "match-clash", "")]),
            ("frag later dport 22", &[("dport 22", "match-clash", "")]),
            ("tcp and (dport 22 or udp)", &[("udp", "match-clash", "proto {tcp, udp}")]),
            ("tcp and not udp dport 53", &[]),
            ("src 10.0.0.0/33", &[("10.0.0.0/33", "match-value", "")]),
            ("src 10.0.0.1/8", &[("10.0.0.1/8", "host-bits", "10.0.0.0/8")]),
            ("src 2001:db8::1/32", &[("2001:db8::1/32", "host-bits", "2001:db8::/32")]),
            ("src 10.0.0.0/255.0.0.0", &[("10.0.0.0/255.0.0.0", "match-value", "10.0.0.0/8")]),
            ("src 192.168.1.*", &[("192.168.1.*", "match-value", "192.168.1.0/24")]),
            ("src 10/8", &[("10", "match-value", "10.0.0.0/8")]),
            ("src example.org", &[("example.org", "match-value", "not looked up")]),
            ("src 10.0.0.9-10.0.0.1", &[("10.0.0.9-10.0.0.1", "match-value", "10.0.0.1-10.0.0.9")]),
            ("tcp dport 70000", &[("70000", "match-value", "")]),
            ("tcp dport 80-22", &[("80-22", "match-value", "22-80")]),
            ("tcp dport 010", &[("010", "match-value", "write `10`")]),
            ("tcp dport htps", &[("htps", "match-value", "https")]),
            ("tcp dport 22/0xff", &[("22/0xff", "match-value", "range")]),
            ("dscp efx", &[("efx", "match-value", "`ef`")]),
            ("dscp 0xb8", &[("0xb8", "match-value", "dscp 46")]),
            ("tos 0x02", &[("0x02", "tos-ecn", "/0xfc")]),
            ("tos minimize-monetary-cost", &[("minimize-monetary-cost", "tos-ecn", "")]),
            ("mark 0x15/0x0f", &[("0x15/0x0f", "host-bits", "0x5/0xf")]),
            ("mark 1-5", &[("1-5", "match-value", "mask")]),
            ("tcp destination 10.0.0.1", &[("destination", "unknown-field", "`dst`")]),
            ("tcp destport 70000", &[("destport", "unknown-field", "`dport`"), ("70000", "match-value", "")]),
            ("tcp dporrt 22", &[("dporrt", "unknown-field", "`dport`")]),
            ("TCP dport 22", &[("TCP", "unknown-field", "`tcp`")]),
            ("tcp 22", &[("22", "unknown-field", "dport 22")]),
            ("10.0.0.1", &[("10.0.0.1", "unknown-field", "src 10.0.0.1")]),
            ("$office", &[("$office", "unknown-field", "src $office")]),
            ("xyzzy 5 and tcp dport 70000", &[("xyzzy", "unknown-field", ""), ("70000", "match-value", "")]),
            ("tcp dport != 22", &[("!=", "syntax", "dport not")]),
            ("tcp dport = 22", &[("=", "syntax", "dport")]),
            ("len < 128", &[("<", "syntax", "len 0-128")]),
            ("tcp && dport 22 || udp", &[("&&", "syntax", "`and`"), ("||", "syntax", "`or`")]),
            ("tcp AND udp", &[("AND", "syntax", "`and`"), ("udp", "match-clash", "")]),
            ("!tcp", &[("!", "syntax", "`not`")]),
            ("tcp dport 22, 80", &[("22, 80", "syntax", "{443")]),
            ("tcp dport 22 80", &[("22 80", "syntax", "{A, B}")]),
            ("tcp dport", &[("dport", "syntax", "dport 443")]),
            ("dport and tcp", &[("dport", "syntax", "")]),
            ("src dst 10.0.0.1", &[("src", "syntax", "")]),
            ("dst port 80", &[("dst", "syntax", "`dport`")]),
            ("tcp dport {22, 80", &[("", "syntax", "")]),
            ("tcp dport {22 80}", &[("80", "syntax", "")]),
            ("tcp dport {}", &[("{}", "syntax", "")]),
            ("tcp dport {22, not 80}", &[("not", "syntax", "as a whole")]),
            ("tcp dport [22}", &[("}", "syntax", "")]),
            ("(tcp dport 22", &[("", "syntax", "")]),
            ("tcp dport 22)", &[(")", "syntax", "")]),
            (
                "tcp dport 70000) and dscp 99",
                &[("70000", "match-value", ""), (")", "syntax", ""), ("99", "match-value", "")],
            ),
            ("()", &[("()", "syntax", "")]),
            ("tcp and", &[("and", "syntax", "")]),
            ("or tcp", &[("or", "syntax", "")]),
            ("tcp or or udp", &[("or", "syntax", "")]),
            ("not", &[("not", "syntax", "")]),
            ("tcp not dport 22", &[("not", "syntax", "and not")]),
            ("not (tcp) dport 22", &[("dport", "syntax", "and dport")]),
            ("", &[("", "syntax", "any")]),
            (
                "src {10.0.0.1, 10.0.0.300, fe80::g}",
                &[("10.0.0.300", "match-value", ""), ("fe80::g", "match-value", "")],
            ),
            ("icmp type ping", &[("ping", "match-value", "echo-request")]),
            ("icmp6 type source-quench", &[("type source-quench", "match-value", "icmp4")]),
            ("udp flags not syn", &[("flags not syn", "match-clash", "")]),
            ("code not 5 and flags not syn", &[("code not 5", "match-clash", "")]),
            ("code not 5 flags not syn", &[("flags not syn", "match-clash", "")]),
            ("udp type 8", &[("type 8", "match-clash", "")]),
            // what one word means for both families clashes with neither alone, and once with both
            ("icmp type echo-request src 10.0.0.1", &[]),
            ("icmp code 3 and dst 2001:db8::1", &[]),
            ("ip6 and icmp type echo-request", &[]),
            ("acks src 10.0.0.1", &[]),
            ("mac 02:00:00:00:00:01 mac dst 02:00:00:00:00:02", &[]),
            ("icmp type echo-request udp", &[("icmp", "match-clash", "")]),
            ("acks udp dst 10.0.0.1", &[("acks", "match-clash", "")]),
            ("not (icmp type echo-request src 10.0.0.1)", &[]),
            ("u32 1 1 at 3", &[("3", "match-value", "")]),
            ("u32 0x1ffffffff 1 at 4", &[("0x1ffffffff", "match-value", "")]),
            ("u32 5 1 at 4", &[("5", "host-bits", "u32 0x1 0x1 at 4")]),
            ("u32 5 1", &[("u32 5 1", "syntax", "at 8")]),
            ("src $lann", &[("$lann", "unknown-name", "let lann")]),
            ("dport $bad", &[("@90", "match-value", "")]),
            ("dport $loop", &[("$loop", "too-deep", "")]),
            ("dport $empty", &[("$empty", "match-value", "")]),
            ("iif \"ssh", &[("\"ssh", "syntax", "")]),
            ("mac 02:00:00", &[("02:00:00", "match-value", "")]),
            ("src 02:00:00:00:00:01", &[("02:00:00:00:00:01", "match-value", "mac src")]),
            ("tcp flags syn,akc", &[("akc", "match-value", "")]),
        ] {
            let found = findings(text);
            let seen: Vec<_> = found.iter().map(|(u, c, _, _)| (u.as_str(), *c)).collect();
            let want: Vec<_> = wanted.iter().map(|(u, c, _)| (*u, *c)).collect();
            assert_eq!(seen, want, "{text}: {found:#?}");
            for ((_, _, _, help), (_, _, part)) in found.iter().zip(wanted) {
                assert!(help.contains(part), "{text}: help is {help:?}, wanted {part:?}");
            }
        }
    }

    #[test]
    fn quotes_and_escapes_shift_the_places() {
        let mut sink = Sink::new();
        let at = Span::new(FileId(0), 10, 10 + "\"dport 70000\"".len());
        parse("dport 70000", at, &names, &mut sink);
        assert_eq!(sink.found[0].span(), Span::new(FileId(0), 17, 22));
        let odd = Span::new(FileId(0), 10, 30);
        parse("dport 70000", odd, &names, &mut sink);
        assert_eq!(sink.found[1].span(), odd);
    }

    #[test]
    fn depth_is_bounded() {
        for text in ["(".repeat(100_000), "not ".repeat(100_000), "not (".repeat(50_000)] {
            assert!(findings(&text).iter().any(|f| f.1 == "too-deep"));
        }
        let deep = format!("{}tcp{}", "(".repeat(60), ")".repeat(60));
        assert_eq!(good(&deep).to_string(), "tcp");
    }

    fn test(field: Field, items: Vec<Item>) -> Expression {
        Expression::Test(Test { field, items, span: Span::NONE })
    }

    fn number_item(field: Field) -> BoxedStrategy<Item> {
        let n = numbers(field).unwrap();
        let max = n.max;
        let single = (0..=max).prop_map(Item::Number);
        if n.ranges {
            let range = (0..=max, 0..=max)
                .prop_filter("a range", |(a, b)| a != b)
                .prop_map(|(a, b)| Item::Range(a.min(b), a.max(b)));
            return prop_oneof![single, range].boxed();
        }
        if n.masks {
            let masked = (0..=max, 1..max).prop_map(|(v, m)| Item::Masked(v & m, m));
            let named = prop::sample::select(vec![0x10, 8, 4, 0]).prop_map(|v| Item::Masked(v, names::TOS_MASK));
            return prop_oneof![single, masked, named].boxed();
        }
        single.boxed()
    }

    fn address_item() -> impl Strategy<Value = Item> {
        let address = prop_oneof![
            any::<u32>().prop_map(|a| IpAddr::V4(a.into())),
            any::<u128>().prop_map(|a| IpAddr::V6(a.into()))
        ];
        (address, any::<u8>(), any::<bool>()).prop_map(|(a, len, range)| {
            let len = len % (width(a) + 1);
            let first = network(a, len);
            if range && first != a { Item::Addresses(first, a) } else { Item::Prefix(first, len) }
        })
    }

    /// Expressions as the parser would make them.
    fn expressions() -> impl Strategy<Value = Expression> {
        let set = |items: BoxedStrategy<Item>| prop::collection::vec(items, 1..4);
        let numeric = [
            Field::Proto,
            Field::Sport,
            Field::Dport,
            Field::Port,
            Field::Tos,
            Field::Dscp,
            Field::Mark,
            Field::Priority,
            Field::Vlan,
            Field::Ethertype,
            Field::Len,
            Field::Ttl,
            Field::Cgroup,
        ];
        let numeric = prop::sample::select(numeric.to_vec())
            .prop_flat_map(move |f| set(number_item(f)).prop_map(move |items| test(f, items)));
        let addresses = (
            prop::sample::select(vec![Field::Src, Field::Dst, Field::Host]),
            prop::collection::vec(address_item(), 1..4),
        )
            .prop_map(|(f, items)| test(f, items));
        let macs = (prop::sample::select(vec![Field::MacSrc, Field::MacDst]), any::<[u8; 6]>())
            .prop_map(|(f, mac)| test(f, vec![Item::Mac(mac)]));
        let named = (prop::sample::select(vec![Field::Iif, Field::Service]), "[a-z!$\"é.0-9-]{1,8}")
            .prop_map(|(f, name)| test(f, vec![Item::Name(name.into())]));
        let flags = prop::collection::vec((0..256u64, 1..256u64), 1..4).prop_filter_map("flags", |pairs| {
            let items = pairs.into_iter().map(|(v, m)| Item::Masked(v & m, m)).collect();
            Expression::and([test(Field::Proto, vec![Item::Number(6)]), test(Field::TcpFlags, items)])
        });
        let icmp = (prop::sample::select(vec![1, 58]), set(number_item(Field::IcmpType)))
            .prop_filter_map("icmp", |(n, t)| {
                Expression::and([test(Field::Proto, vec![Item::Number(n)]), test(Field::IcmpType, t)])
            });
        let raw = (any::<u32>(), any::<u32>(), -100..100i32).prop_map(|(value, mask, o)| {
            test(Field::Raw, vec![Item::Raw { value: value & mask, mask, offset: o * 4 }])
        });
        let alone = prop_oneof![
            Just(test(Field::Any, vec![])),
            prop::sample::select(vec![4, 6]).prop_map(|n| test(Field::Family, vec![Item::Number(n)])),
            (0..3u64).prop_map(|n| test(Field::Fragment, vec![Item::Number(n)])),
            Just(test(Field::Proto, names::ICMP.map(Item::Number).to_vec())),
        ];
        let leaf = prop_oneof![4 => numeric, 3 => addresses, 1 => macs, 1 => named, 1 => flags, 1 => icmp, 1 => raw, 1 => alone];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_filter_map("and", Expression::and),
                prop::collection::vec(inner.clone(), 1..4).prop_filter_map("or", Expression::or),
                inner.prop_map(Expression::negated),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(e in expressions()) {
            let shown = e.to_string();
            let mut sink = Sink::new();
            let read = parse(&shown, span_of(&shown), &names, &mut sink);
            // A random tree may contradict itself; everything else must come back.
            let clash = sink.found.iter().any(|d| d.code == &MATCH_CLASH);
            prop_assert!(clash || read.as_ref() == Some(&e), "{shown}\n{:?}\n{read:?}", sink.found);
            prop_assert!(sink.found.iter().all(|d| d.code == &MATCH_CLASH || d.code == &TOS_ECN), "{shown}\n{:?}", sink.found);
        }

        #[test]
        fn no_text_makes_it_panic(text in "(([a-z]{1,6}|not|and|or|tcp|dport|src|flags|type|icmp|u32|at|[0-9a-fx:./-]{1,9}|[-(){},=!<>$@\"'#&|]|é|\n) ?){0,30}") {
            read(&text);
        }
    }
}
