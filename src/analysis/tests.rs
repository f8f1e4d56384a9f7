#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
use super::space::{FIRST, FIRST_OPTIONS, LATER, OPTIONS, WHOLE};
use super::*;
use crate::diagnostic::Sink;
use crate::source::Span;
use crate::syntax::expression::{Field, Item, Test};
use crate::syntax::expression_parser;
use proptest::prelude::*;
use std::net::IpAddr;

fn read(text: &str) -> Expression {
    let mut sink = Sink::new();
    expression_parser::parse(text, Span::NONE, &|_| None, &mut sink)
        .unwrap_or_else(|| panic!("{text}: {:?}", sink.found))
}

fn rule(matches: &Expression) -> Rule<'_> {
    Rule { matches: Some(matches), ends: true, writes: Writes::Only(Vec::new()) }
}

fn list(texts: &[&str]) -> List {
    let read: Vec<Expression> = texts.iter().map(|t| read(t)).collect();
    List::new(&read.iter().map(rule).collect::<Vec<_>>())
}

fn reaches(texts: &[&str]) -> Vec<Reach> {
    let mut list = list(texts);
    (0..texts.len()).map(|i| list.reach(i)).collect()
}

fn taken(by: &[usize], equal: bool) -> Reach {
    Reach::Taken { by: by.to_vec(), equal }
}

#[test]
fn one_or_several_rules_take_all_of_a_later_one() {
    use Reach::{Empty, Reached};
    for (rules, last) in [
        (vec!["dport 0-1023", "dport 1024-65535", "tcp dport 443"], taken(&[1], false).by([0])),
        (vec!["dport 0-1023", "dport 1024-65535", "dport 443-8443"], taken(&[0, 1], false)),
        (vec!["src 10.0.0.0/9", "src 10.128.0.0/9", "src 10.0.0.0/8 tcp"], taken(&[0, 1], false)),
        (vec!["ip tcp", "ip6 tcp", "tcp dport 22"], taken(&[0, 1], false)),
        (vec!["tcp dport 22", "tcp", "src 10.0.0.1", "not src 10.0.0.1", "udp"], taken(&[2, 3], false)),
        // ports are not seen everywhere
        (vec!["dport 0-65535", "tcp"], Reached),
        (vec!["tcp dport 22", "tcp dport not 22", "tcp"], taken(&[0, 1], false)),
        // what is not IP is nobody's who looks into it
        (vec!["ip", "ip6", "any"], Reached),
        (vec!["ip", "ip6", "not tcp"], taken(&[0, 1], false)),
        (vec!["tcp dport {22, 80}", "tcp dport 80 or tcp dport 22"], taken(&[0], true)),
        (vec!["src 10.0.0.0-10.0.0.255", "src 10.0.0.0/24"], taken(&[0], true)),
        (vec!["dscp ef", "tos 0xb8/0xfc"], taken(&[0], true)),
        (vec!["mark 1/1", "mark 0/1", "mark 7"], taken(&[0], false)),
        (vec!["mark 1/1", "mark 0/1", "mark 4/4"], taken(&[0, 1], false)),
        (vec!["mark 1/1", "mark 3/3"], taken(&[0], false)),
        (vec!["mark 0x10/0xf0", "mark 5/0xf", "mark 0x15/0xff"], taken(&[0], false)),
        (vec!["tcp", "(dport 1 or dport 2) and not port 0-3"], Empty),
        (vec!["u32 0x1 0x1 at 0", "u32 0x1 0x1 at 0 and tcp"], taken(&[0], false)),
        (vec!["u32 0x1 0x1 at 0", "u32 0x2 0x2 at 0 and tcp"], Reached),
        (vec!["u32 0x1 0x1 at 0", "u32 0x3 0x3 at 0"], taken(&[0], false)),
        (vec!["u32 0x1 0x1 at 4", "u32 0x0 0x1 at 4", "u32 0x5 0xf at 4"], taken(&[0], false)),
        (vec!["u32 0x1 0x1 at 4", "u32 0x0 0x1 at 4", "u32 0x4 0x4 at 4"], taken(&[0, 1], false)),
        // a packet may end before the word, and only `not` takes it then
        (vec!["u32 0x1 0x1 at 60", "u32 0x0 0x1 at 60", "ip and not u32 0x7 0xff at 60"], Reached),
        (vec!["u32 0x1 0x1 at 60", "not u32 0x1 0x1 at 60", "ip and not u32 0x7 0xff at 60"], taken(&[0, 1], false)),
        // there is a word at 20 in each packet of IPv6, and not in each of IPv4
        (vec!["u32 0x1 0x1 at 20", "u32 0x0 0x1 at 20", "ip6"], taken(&[0, 1], false)),
        (vec!["u32 0x1 0x1 at 20", "u32 0x0 0x1 at 20", "ip"], Reached),
        (vec!["src 2001:db8::/33", "src 2001:db8:8000::/33", "src 2001:db8::/32 udp"], taken(&[0, 1], false)),
        (vec!["src 2001:db8::/33", "src 2001:db8:8000::/34", "src 2001:db8::/32 udp"], Reached),
        (vec!["ip6 dport 53", "src 10.0.0.0/8", "dport 53 src {10.1.0.0/16, 2001:db8::/32}"], taken(&[0, 1], false)),
        (vec!["iif eth0", "iif {eth0, eth1}"], Reached),
        (vec!["iif eth0", "iif eth1", "iif {eth0, eth1}"], taken(&[0, 1], false)),
        (vec!["frag first", "frag later", "frag"], taken(&[0, 1], false)),
        (vec!["vlan 1-4095", "vlan 5"], taken(&[0], false)),
    ] {
        assert_eq!(*reaches(&rules).last().unwrap(), last, "{rules:?}");
    }
}

impl Reach {
    fn by(self, rules: [usize; 1]) -> Reach {
        taken(&rules, false)
    }
}

/// A rule that lets packets go on hides nothing; and if it writes, what stood before it says less of what comes after it.
#[test]
fn rules_that_go_on_and_write() {
    let (marked, tcp) = (read("mark 5"), read("tcp"));
    let writer = |writes| Rule { matches: Some(&tcp), ends: false, writes };
    let last = |middle: Rule, first: &Expression| {
        let mut list = List::new(&[rule(first), middle, rule(first)]);
        (list.reach(1), list.reach(2))
    };
    let mark = || writer(Writes::Only(vec![Dim::Mark(u32::MAX)]));
    assert_eq!(last(mark(), &marked), (Reach::Reached, Reach::Reached));
    assert_eq!(last(mark(), &tcp), (taken(&[0], true), taken(&[0], true)));
    assert_eq!(last(writer(Writes::Only(vec![])), &marked).1, taken(&[0], true));
    assert_eq!(last(writer(Writes::Anything), &marked).1, Reach::Reached);
    // TOS is in the first word too
    let (first, fourth) = (read("u32 0xb80000 0xfc0000 at 0"), read("u32 0x1 0x1 at 12"));
    let tos = || writer(Writes::Only(vec![Dim::Tos]));
    assert_eq!(last(tos(), &first).1, Reach::Reached);
    assert_eq!(last(tos(), &fourth).1, taken(&[0], true));
    // and what is written before both rules, or after them, changes nothing
    let mut list = List::new(&[tos(), rule(&first), rule(&first), tos()]);
    assert_eq!(list.reach(2), taken(&[1], true));
}

#[test]
fn what_is_left_is_said() {
    let left = |texts: &[&str]| {
        let list = list(texts);
        let rest = list.rest(20);
        assert!(rest.whole);
        list.words().lines(&rest.cells)
    };
    assert_eq!(left(&["any"]), [""; 0]);
    assert_eq!(left(&["ip"]), ["IPv6", "neither IPv4 nor IPv6 (ARP and others)"]);
    assert_eq!(
        left(&["tcp dport {22, 80}", "udp"]),
        [
            "IPv4 and IPv6: proto not {tcp, udp}",
            "IPv4 and IPv6: tcp without ports to be seen (later fragments, IP options)",
            "IPv4 and IPv6: tcp dport not {22, 80}",
            "neither IPv4 nor IPv6 (ARP and others)",
        ]
    );
    assert_eq!(
        left(&["ip6", "not ip", "src not 10.0.0.0/8", "dscp ef", "mark 5"]),
        [
            "IPv4: src 10.0.0.0/8 tos not ef (0xb8-0xbb) mark not 0x5",
            "neither IPv4 nor IPv6 (ARP and others): mark not 0x5"
        ]
    );
    assert_eq!(
        left(&["not ip", "not u32 0x40 0xf0 at 8", "u32 0x1 0x1 at 60", "mark not 0x20/0xf0"]),
        [
            "IPv4: mark&0xf0 0x20 without a word at 60 u32 0x40 0xf0 at 8",
            "IPv4: mark&0xf0 0x20 long enough for a word at 60 u32 0x40 0xf0 at 8 u32 0x0 0x1 at 60",
            "neither IPv4 nor IPv6 (ARP and others): mark&0xf0 0x20"
        ]
    );
}

/// Many rules leave little to say if they are alike.
#[test]
fn what_is_left_of_many_is_said_shortly() {
    let rules: Vec<_> =
        (0..400).map(|i| read(&format!("src 10.0.{}.0/24 tcp dport {}", i % 250, i % 10 + 1))).collect();
    let list = List::new(&rules.iter().map(rule).collect::<Vec<_>>());
    let rest = list.rest(24);
    assert!(rest.whole && rest.cells.len() < 20, "{} {:?}", rest.whole, list.words().lines(&rest.cells));
}

/// Whoever reads a list of rules for single hosts wants it judged at once: steps, not seconds, are counted.
#[test]
fn large_lists_are_judged_in_few_steps() {
    let rules = |n: u32, text: &dyn Fn(u32) -> String| (0..n).map(|i| read(&text(i))).collect::<Vec<_>>();
    let hosts = rules(4000, &|i| format!("dst 10.{}.{}.{}", i >> 16, i >> 8 & 255, i & 255));
    let ports = rules(4000, &|i| format!("dst 192.0.2.1 tcp dport {}", i + 1));
    let crossed: Vec<_> = rules(2000, &|i| format!("src 10.0.{}.{}", i >> 8, i & 255))
        .into_iter()
        .chain(rules(2000, &|i| format!("dst 10.1.{}.{}", i >> 8, i & 255)))
        .collect();
    let raw = rules(33_000, &|i| format!("u32 0x{i:x} 0xffff at 20"));
    // each of these meets all of the others
    let places = rules(4000, &|i| format!("u32 0x1 0x1 at {}", 4 * i));
    for (rules, most) in [(hosts, 4), (ports, 4), (crossed, 8), (raw, 4), (places, 4)] {
        let mut list = List::new(&rules.iter().map(rule).collect::<Vec<_>>());
        assert!((0..rules.len()).all(|i| list.reach(i) == Reach::Reached));
        assert!(ALL_STEPS - list.left <= most * rules.len(), "{}", ALL_STEPS - list.left);
    }
}

/// Nobody waits for a list that is built to be hard, and nothing wrong is said of it.
#[test]
fn too_varied_is_unknown() {
    let hard: Vec<String> = (0..12).map(|i| format!("(sport not {i} or dport not {i} or len not {i})")).collect();
    assert_eq!(reaches(&[&hard.join(" and ")]), [Reach::Unknown]);
    let host = |i: u32| Item::Prefix(IpAddr::V4((0x0a00_0000 + i).into()), 32);
    let one = |i| Expression::Test(Test { field: Field::Src, items: vec![host(i)], span: Span::NONE });
    let many: Vec<Expression> = (0..60_000).map(one).collect();
    let all = read("src 10.0.0.0/16");
    let mut list = List::new(&many.iter().chain([&all]).map(rule).collect::<Vec<_>>());
    assert_eq!(list.reach(many.len()), Reach::Unknown);
}

fn pick(mark: u64, mask: u32) -> u128 {
    let bits = (0..32).filter(|b| mask >> b & 1 == 1);
    bits.enumerate().map(|(to, from)| u128::from(mark >> from & 1) << to).sum()
}

/// A packet as the expression language sees it.
#[derive(Clone, Debug)]
struct Packet {
    world: World,
    shape: u128,
    proto: u64,
    src: u128,
    dst: u128,
    sport: u64,
    dport: u64,
    icmp: u64,
    flags: u64,
    tos: u64,
    len: u64,
    mark: u64,
    vlan: u64,
    tag: u128,
    connmark: u64,
    ether: u64,
    iif: u128,
    /// The word at 4.
    word: u64,
    /// The word at 60, if the packet is so long.
    far: Option<u64>,
}

impl Packet {
    fn value(&self, dim: Dim) -> u128 {
        match dim {
            Dim::Ethertype => self.ether.into(),
            Dim::Tag => self.tag,
            Dim::Vlan => self.vlan.into(),
            Dim::Iif => self.iif,
            Dim::Src => self.src,
            Dim::Dst => self.dst,
            Dim::Proto => self.proto.into(),
            Dim::Shape => self.shape,
            Dim::Sport => self.sport.into(),
            Dim::Dport => self.dport.into(),
            Dim::IcmpType => self.icmp.into(),
            Dim::TcpFlags => self.flags.into(),
            Dim::Tos => self.tos.into(),
            Dim::Len => self.len.into(),
            Dim::Mark(mask) => pick(self.mark, mask),
            Dim::ConnMark(mask) => pick(self.connmark, mask),
            Dim::Word(at, mask) => pick(self.word_at(at).unwrap_or(0), mask),
            Dim::There(at) => self.word_at(at).is_some().into(),
            _ => 0,
        }
    }

    fn word_at(&self, at: i32) -> Option<u64> {
        match at {
            4 => Some(self.word),
            60 => self.far,
            other => panic!("{other}"),
        }
    }

    fn is_in(&self, cell: &Cell) -> bool {
        cell.world == self.world && cell.dims().iter().all(|(dim, set)| set.has(self.value(*dim)))
    }

    fn address(&self, address: u128, item: &Item) -> bool {
        let number = |a: &IpAddr| match (a, self.world) {
            (IpAddr::V4(a), World::V4) => Some(u128::from(u32::from(*a))),
            (IpAddr::V6(a), World::V6) => Some(u128::from(*a)),
            _ => None,
        };
        match item {
            Item::Prefix(a, length) => {
                let width = if a.is_ipv4() { 32 } else { 128 };
                let host = width - u32::from(*length);
                number(a).is_some_and(|a| a.checked_shr(host) == address.checked_shr(host))
            }
            Item::Addresses(a, b) => number(a).zip(number(b)).is_some_and(|(a, b)| (a..=b).contains(&address)),
            _ => false,
        }
    }

    /// What an expression means, word for word. To one that names no VLAN, a frame with a tag is of the tag's type.
    fn meets(&self, e: &Expression, tagged: bool) -> bool {
        match e {
            Expression::And(parts) => parts.iter().all(|p| self.meets(p, tagged)),
            Expression::Or(parts) => parts.iter().any(|p| self.meets(p, tagged)),
            Expression::Not(inner) => !self.meets(inner, tagged),
            Expression::Test(test) if test.field == Field::Ethertype => {
                let tag = if self.tag == 0 { 0x8100 } else { 0x88a8 };
                let inner = match self.world {
                    World::V4 => 0x0800,
                    World::V6 => 0x86dd,
                    World::Other => self.ether,
                };
                let is = |n: u64| test.items.contains(&Item::Number(n));
                if self.vlan > 0 { is(tag) || tagged && is(inner) } else { is(inner) }
            }
            Expression::Test(test) => self.test(test),
        }
    }

    fn test(&self, test: &Test) -> bool {
        let number = |n: u64| {
            test.items.iter().any(|item| match item {
                Item::Number(m) => n == *m,
                Item::Range(a, b) => (*a..=*b).contains(&n),
                Item::Masked(value, mask) => n & mask == value & mask,
                _ => false,
            })
        };
        let readable = [WHOLE, FIRST].contains(&self.shape);
        let ports = readable && [6, 17].contains(&self.proto);
        let address = |a| test.items.iter().any(|i| self.address(a, i));
        match test.field {
            Field::Any => true,
            Field::Family => number(match self.world {
                World::V4 => 4,
                World::V6 => 6,
                World::Other => return false,
            }),
            Field::Src => address(self.src),
            Field::Dst => address(self.dst),
            Field::Host => address(self.src) || address(self.dst),
            Field::Proto => number(self.proto) && self.proto != if self.world == World::V4 { 58 } else { 1 },
            Field::Sport => ports && number(self.sport),
            Field::Dport => ports && number(self.dport),
            Field::Port => ports && (number(self.sport) || number(self.dport)),
            Field::TcpFlags => readable && self.proto == 6 && number(self.flags),
            Field::IcmpType => {
                readable && self.proto == if self.world == World::V4 { 1 } else { 58 } && number(self.icmp)
            }
            Field::Tos => number(self.tos),
            Field::Dscp => number(self.tos >> 2),
            Field::Len => number(self.len),
            Field::Mark => number(self.mark),
            Field::Vlan => self.vlan > 0 && number(self.vlan - 1),
            Field::Iif => {
                let named =
                    |n: usize, name: &str| self.iif == n as u128 && test.items.contains(&Item::Name(name.into()));
                named(1, "eth0") || named(2, "eth1")
            }
            Field::Raw => test.items.iter().any(|item| match item {
                Item::Raw { value, mask, offset } => {
                    self.word_at(*offset).is_some_and(|word| word & u64::from(*mask) == u64::from(*value))
                }
                other => panic!("{other:?}"),
            }),
            Field::ConnMark => number(self.connmark),
            Field::Fragment => match test.items.as_slice() {
                [Item::Number(1)] => [FIRST, FIRST_OPTIONS].contains(&self.shape),
                [Item::Number(2)] => self.shape == LATER,
                _ => ![WHOLE, OPTIONS].contains(&self.shape),
            },
            other => panic!("{other:?}"),
        }
    }

    /// Rules that look into IP packets have no others, and look into a frame with a tag only if they name a VLAN.
    fn is_taken_by(&self, e: &Expression) -> bool {
        let (mut ip, mut vlan) = (false, false);
        e.visit(&mut |t| {
            use Field::{Any, ConnMark, Ethertype, Iif, Mark, Vlan};
            ip |= !matches!(t.field, Any | Mark | ConnMark | Vlan | Iif | Ethertype);
            vlan |= t.field == Vlan;
        });
        (!ip || self.world != World::Other && (vlan || self.vlan == 0)) && self.meets(e, vlan)
    }
}

/// Some fields with the tests of them, and packets that these tests tell apart.
type Theme = (&'static [&'static str], &'static dyn Fn(&Packet) -> Vec<Packet>);

const V6: u128 = 0x2001_0db8 << 96;

fn each<T: Copy>(packet: &Packet, values: &[T], set: impl Fn(&mut Packet, T)) -> Vec<Packet> {
    let one = |value: &T| {
        let mut packet = packet.clone();
        set(&mut packet, *value);
        packet
    };
    values.iter().map(one).collect()
}

fn themes() -> Vec<Theme> {
    vec![
        (
            &[
                "src 10.0.0.0/31",
                "src 10.0.0.1",
                "src 10.0.0.1-10.0.0.2",
                "src not 10.0.0.0/30",
                "src 2001:db8::/126",
                "src {2001:db8::2/127, 10.0.0.2}",
                "ip6 src not 2001:db8::1",
                "src 2001:db8::3-2001:db8::4",
            ],
            &|p| {
                let four = [0x0a00_0000, 0x0a00_0001, 0x0a00_0002, 0x0a00_0003, 0x0a00_0004];
                each(p, &[&four[..], &[V6, V6 + 1, V6 + 2, V6 + 3, V6 + 4, V6 + 5]].concat(), |p, a| p.src = a)
            },
        ),
        (&["dst 2001:db8::/127", "dst {2001:db8::1, 10.0.0.1}", "host 2001:db8::/16"], &|p| {
            each(p, &[V6, V6 + 1, V6 + 2, V6 << 1, 0x0a00_0001, 5], |p, a| p.dst = a)
        }),
        (
            &[
                "dport 1",
                "dport 2-65535",
                "port {0, 2}",
                "tcp sport 1",
                "not dport 1-2",
                "sport 0 udp",
                "dport {1, 3-65535}",
                "dport not {0, 2}",
                "udp sport not 0-1",
            ],
            &|p| {
                let ports = each(p, &[0, 1, 2, 3], |p, n| p.dport = n);
                ports.iter().flat_map(|p| each(p, &[0, 1, 2, 3], |p, n| p.sport = n)).collect()
            },
        ),
        (
            &["tcp", "udp", "icmp", "icmp type echo-request", "tcp flags syn", "tcp flags syn/syn+ack", "not icmp"],
            &|p| {
                let icmp = each(p, &[0, 8, 128], |p, n| p.icmp = n);
                icmp.iter().flat_map(|p| each(p, &[0, 2, 16, 18], |p, n| p.flags = n)).collect()
            },
        ),
        (&["frag", "frag first", "not frag later", "len 0-99", "len 100-65535", "len not 100"], &|p| {
            each(p, &[40, 99, 100, 101, 65540], |p, n| p.len = n)
        }),
        (&["dscp ef", "dscp 40-48", "tos 0xb8/0xfc", "tos minimize-delay", "tos 0xb8"], &|p| {
            each(p, &[0, 0x10, 0xa0, 0xb0, 0xb8, 0xb9], |p, n| p.tos = n)
        }),
        (
            &[
                "mark 5",
                "mark 1/1",
                "mark {4/6, 3}",
                "mark not 2/2",
                "mark 0x10/0x10",
                "mark 0x10/0x30",
                "mark {0x25/0x37, 0x10/0x14}",
                "mark not 0x20/0x31",
            ],
            &|p| {
                let low = (0..8).chain(16..24).flat_map(|n| [n, n | 0x20]).collect::<Vec<_>>();
                each(p, &low, |p, n| p.mark = n)
            },
        ),
        // no two themes set the same field
        (&["connmark 1", "connmark 1/1", "connmark not 2/2"], &|p| {
            each(p, &[0, 1, 2, 3, 4, 5, 6, 7], |p, n| p.connmark = n)
        }),
        (
            &["vlan 0", "vlan 1-4095", "ethertype {0x8100, arp}", "ethertype ip", "not ethertype 0x88a8", "not vlan 1"],
            &|p| {
                let vlans = each(p, &[0, 1, 2, 3], |p, n| p.vlan = n);
                let tags: Vec<_> = vlans.iter().flat_map(|p| each(p, &[0, 1], |p, n| p.tag = n)).collect();
                tags.iter().flat_map(|p| each(p, &[0x0806, 0x1234, 0x8100, 0x88a8], |p, n| p.ether = n)).collect()
            },
        ),
        (&["iif eth0", "iif {eth0, eth1}", "iif not eth0"], &|p| each(p, &[0, 1, 2], |p, n| p.iif = n)),
        (
            &["u32 0x1 0x1 at 4", "u32 0x2 0x3 at 4", "u32 0x0 0x4 at 4", "u32 0x1 0x1 at 60", "u32 0x6 0x6 at 60"],
            &|p| {
                let words = each(p, &[0, 1, 2, 3, 4, 5, 6, 7], |p, n| p.word = n);
                let far = [None, Some(0), Some(1), Some(2), Some(4), Some(6), Some(7)];
                words.iter().flat_map(|p| each(p, &far, |p, n| p.far = n)).collect()
            },
        ),
    ]
}

/// Lists over two themes, and packets enough to tell all their rules apart.
fn lists() -> impl Strategy<Value = (Vec<Expression>, [usize; 2])> {
    let count = themes().len();
    (0..count, 1..count).prop_flat_map(move |(first, step)| {
        let second = (first + step) % count;
        let texts: Vec<&str> = [first, second].iter().flat_map(|n| themes()[*n].0.iter().copied()).collect();
        let atom = prop::sample::select([texts, vec!["ip", "ip6", "tcp", "any"]].concat()).prop_map(read);
        let tree = atom.prop_recursive(3, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(|p| Expression::and(p).unwrap()),
                prop::collection::vec(inner.clone(), 1..4).prop_map(|p| Expression::or(p).unwrap()),
                inner.prop_map(Expression::negated),
            ]
        });
        prop::collection::vec(tree, 1..7).prop_map(move |rules| (rules, [first, second]))
    })
}

fn packets(themes_of: &[usize]) -> Vec<Packet> {
    let one = Packet {
        world: World::V4,
        shape: WHOLE,
        proto: 0,
        src: 9,
        dst: 9,
        sport: 0,
        dport: 0,
        icmp: 0,
        flags: 0,
        tos: 0,
        len: 60,
        mark: 0,
        vlan: 0,
        tag: 0,
        connmark: 0,
        ether: 0x0806,
        iif: 0,
        word: 0,
        far: None,
    };
    let mut all = each(&one, &World::ALL, |p, w| p.world = w);
    all = all.iter().flat_map(|p| each(p, &[6, 17, 1, 58, 44, 47], |p, n| p.proto = n)).collect();
    all =
        all.iter().flat_map(|p| each(p, &[WHOLE, OPTIONS, FIRST, FIRST_OPTIONS, LATER], |p, n| p.shape = n)).collect();
    for theme in themes_of {
        let (_, spread) = themes()[*theme];
        all = all.iter().flat_map(spread).collect();
    }
    // no IPv4 address is longer than 32 bits, and no other packet longer than its field of 16 says
    let fits = |p: &Packet| p.len <= 65535 && [p.src, p.dst].iter().all(|a| *a <= u32::MAX.into());
    all.retain(|p| if p.world == World::V6 { [WHOLE, FIRST, LATER].contains(&p.shape) } else { fits(p) });
    // what has no tag has no sort of tag
    all.retain(|p| p.vlan > 0 || p.tag == 0);
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is said of each rule is what a look at every packet says.
    #[test]
    fn every_packet_agrees((rules, themes) in lists()) {
        let mut vlans = false;
        rules.iter().for_each(|e| e.visit(&mut |t| vlans |= t.field == Field::Vlan));
        let mut packets = packets(&themes);
        // where no VLAN is named, a frame with a tag is a packet of the tag's type
        packets.retain(|p| vlans || p.vlan == 0);
        let hits: Vec<Vec<bool>> =
            rules.iter().map(|e| packets.iter().map(|p| p.is_taken_by(e)).collect()).collect();
        let inside = |a: usize, by: &[usize]| (0..packets.len()).all(|p| !hits[a][p] || by.iter().any(|b| hits[*b][p]));
        let mut list = List::new(&rules.iter().map(rule).collect::<Vec<_>>());
        for i in 0..rules.len() {
            let earlier: Vec<usize> = (0..i).collect();
            let text = || rules[..=i].iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
            match list.reach(i) {
                Reach::Empty => prop_assert!(!hits[i].contains(&true), "{}", text()),
                Reach::Reached => prop_assert!(!inside(i, &earlier), "{}", text()),
                Reach::Taken { by, equal } => {
                    prop_assert!(hits[i].contains(&true) && inside(i, &by), "{by:?} {}", text());
                    for left_out in &by {
                        let others: Vec<usize> = by.iter().copied().filter(|b| b != left_out).collect();
                        prop_assert!(!inside(i, &others), "{by:?} without {left_out}: {}", text());
                    }
                    prop_assert_eq!(equal, by.len() == 1 && inside(by[0], &[i]), "{:?} {}", by, text());
                    let single = earlier.iter().any(|e| inside(i, &[*e]));
                    prop_assert_eq!(single, by.len() == 1, "{}", text());
                }
                Reach::Unknown => prop_assert!(false, "{}", text()),
            }
        }
        let rest = list.rest(1000);
        prop_assert!(rest.whole);
        for (n, packet) in packets.iter().enumerate() {
            let taken = hits.iter().any(|h| h[n]);
            let cells = rest.cells.iter().filter(|c| packet.is_in(c)).count();
            prop_assert_eq!(cells, usize::from(!taken), "{:?} {:?}", packet, rules);
        }
        let (pairs, all) = list.overlaps(&|_, _| true, 1000);
        prop_assert!(all);
        for second in 0..rules.len() {
            for first in 0..second {
                let shared = (0..packets.len()).any(|p| hits[first][p] && hits[second][p]);
                let expected = shared && !inside(first, &[second]) && !inside(second, &[first]);
                let found = pairs.contains(&Overlap { first, second });
                prop_assert_eq!(found, expected, "{} | {}", rules[first], rules[second]);
            }
        }
    }

    /// The algebra of sets against sets of numbers.
    #[test]
    fn sets_are_sets(a in prop::collection::vec((0u128..24, 0u128..24), 0..5), b in prop::collection::vec((0u128..24, 0u128..24), 0..5)) {
        let (x, y) = (Set::new(a.clone()), Set::new(b.clone()));
        let has = |set: &[(u128, u128)], n: u128| set.iter().any(|(from, to)| (*from..=*to).contains(&n));
        let numbers = || 0..25u128;
        for n in numbers() {
            prop_assert_eq!(x.has(n), has(&a, n));
            prop_assert_eq!(x.and(&y).has(n), has(&a, n) && has(&b, n));
            prop_assert_eq!(x.without(&y).has(n), has(&a, n) && !has(&b, n));
        }
        prop_assert_eq!(x.meets(&y), numbers().any(|n| has(&a, n) && has(&b, n)));
        prop_assert_eq!(x.covers(&y), numbers().all(|n| has(&a, n) || !has(&b, n)));
        prop_assert_eq!(x.is_empty(), !numbers().any(|n| has(&a, n)));
        prop_assert_eq!(x.and(&y), y.and(&x));
        prop_assert_eq!(x.without(&y).and(&y), Set::new(Vec::new()));
    }
}
