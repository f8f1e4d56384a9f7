//! Packets against filters, by a reading of u32 and fw that shares nothing with the compiler: what the kernel's
//! `u32_classify` and `fw_classify` do, over bytes. Programs are run by the machine that `classify` has.

use super::*;
use crate::kind::filter::bpf::{Bpf, machine};
use crate::kind::filter::u32::U32;
use crate::syntax::expression::{Expression, Field, Item, Test};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// A packet from its network header on.
#[derive(Clone, Debug)]
pub struct Packet {
    pub protocol: u16,
    pub mark: u32,
    pub bytes: Vec<u8>,
}

/// Filters as the kernel holds them.
pub struct Filters<'o> {
    /// By priority, its own list.
    lists: BTreeMap<(u16, u16), Vec<(u32, &'o Object)>>,
    /// Tables: how many buckets they have.
    divisors: HashMap<u32, u32>,
    /// By table and bucket, the list there.
    buckets: HashMap<u32, Vec<(u32, &'o Object)>>,
}

/// What became of a packet in a list.
enum Came {
    To(Option<Handle>),
    Through,
    /// It ended before a word that a filter reads.
    Short,
}

impl<'o> Filters<'o> {
    /// With what the kernel would refuse.
    pub fn new(objects: &'o [Object]) -> Filters<'o> {
        let mut all = Filters { lists: BTreeMap::new(), divisors: HashMap::new(), buckets: HashMap::new() };
        let mut seen = HashSet::new();
        for object in objects {
            let Id::Filter { prio, handle, protocol, .. } = object.id else { continue };
            let u32 = object.options.as_kind::<U32>();
            let anywhere = u32.is_some() && handle >> 20 != 0;
            assert!(seen.insert((if anywhere { 0 } else { prio }, handle)), "two filters have one number");
            if let Some(Number(divisor)) = u32.and_then(|u32| u32.divisor) {
                assert!(all.divisors.insert(handle >> 20, divisor).is_none());
                continue;
            }
            if let Some(link) = u32.and_then(|u32| u32.link) {
                assert!(all.divisors.contains_key(&link.table()), "a table is made before what leads to it");
            }
            match handle >> 12 {
                _ if !anywhere => all.lists.entry((prio, protocol)).or_default(),
                bucket => {
                    assert_eq!(u32.and_then(|u32| u32.ht).map(|ht| ht.0 >> 12), Some(bucket));
                    assert!(all.divisors.get(&(handle >> 20)).is_some_and(|n| bucket & 0xff < *n));
                    all.buckets.entry(bucket).or_default()
                }
            }
            .push((handle & if u32.is_some() { 0xfff } else { u32::MAX }, object));
        }
        all.lists.values_mut().chain(all.buckets.values_mut()).for_each(|list| list.sort_by_key(|(node, _)| *node));
        all
    }

    pub fn classify(&self, packet: &Packet) -> Option<Handle> {
        let own = self.lists.iter().filter(|((_, protocol), _)| *protocol == 3 || *protocol == packet.protocol);
        for (_, list) in own {
            if let Came::To(class) = self.ask(list, packet, 0) {
                return class;
            }
        }
        None
    }

    /// The filters that a packet is held against, those that lead to tables among them.
    pub fn longest(&self) -> usize {
        fn of(all: &Filters, list: &[(u32, &Object)]) -> usize {
            let link = |o: &Object| o.options.as_kind::<U32>().and_then(|o| o.link);
            let below = |o: &Object| {
                let lists = link(o).map(|link| (0..256).filter_map(move |b| all.buckets.get(&(link.0 >> 12 | b))));
                lists.into_iter().flatten().map(|list| of(all, list)).max().unwrap_or(0)
            };
            list.iter().map(|(_, o)| 1 + below(o)).sum()
        }
        self.lists.values().map(|list| of(self, list)).sum()
    }

    fn ask(&self, list: &[(u32, &Object)], packet: &Packet, depth: usize) -> Came {
        assert!(depth < 8, "the kernel goes no deeper");
        for (number, object) in list {
            if let Some(fw) = object.options.as_kind::<fw::Fw>() {
                let Hex(mask) = fw.mask.unwrap_or(Hex(u32::MAX));
                if packet.mark & mask == *number {
                    return Came::To(fw.flowid);
                }
                continue;
            }
            if let Some(bpf) = object.options.as_kind::<Bpf>() {
                let mut whole = crate::packet::Packet::raw(packet.protocol, packet.bytes.clone());
                whole.meta.mark = packet.mark;
                match machine::run(&bpf.bytecode.as_ref().unwrap().0, &whole).unwrap() {
                    0 => continue,
                    u32::MAX => return Came::To(bpf.flowid),
                    class => return Came::To(Some(Handle(class))),
                }
            }
            let u32 = object.options.as_kind::<U32>().unwrap();
            if u32.mark.is_some_and(|m| packet.mark & m.mask != m.value) {
                continue;
            }
            let word = |at: i32| {
                let bytes = usize::try_from(at).ok().and_then(|o| packet.bytes.get(o..o + 4))?;
                Some(u32::from_be_bytes(bytes.try_into().unwrap()))
            };
            let mut taken = true;
            for key in &u32.keys.as_ref().unwrap().0 {
                let Some(word) = word(key.offset) else { return Came::Short };
                taken = word & key.mask == key.value;
                if !taken {
                    break;
                }
            }
            if !taken {
                continue;
            }
            let Some(link) = u32.link else { return Came::To(u32.flowid) };
            let hash = u32.hashkey.unwrap();
            let Some(word) = word(hash.at.into()) else { return Came::Short };
            let bucket = (word & hash.mask) >> hash.mask.trailing_zeros() & (self.divisors[&link.table()] - 1);
            if let Some(list) = self.buckets.get(&(link.0 >> 12 | bucket)) {
                match self.ask(list, packet, depth + 1) {
                    Came::Through => {}
                    came => return came,
                }
            }
        }
        Came::Through
    }
}

/// What a packet is, read the slow way.
struct Read {
    six: bool,
    src: IpAddr,
    dst: IpAddr,
    proto: u64,
    tos: u64,
    ttl: u64,
    length: u64,
    more: bool,
    offset: u64,
    /// What is behind the header, if it is sure to be there.
    next: Option<Vec<u8>>,
}

fn parse(packet: &Packet) -> Option<Read> {
    let b = &packet.bytes;
    let word = |o: usize| u64::from(b[o]) << 8 | u64::from(b[o + 1]);
    match packet.protocol {
        0x0800 => {
            let offset = word(6) & 0x1fff;
            Some(Read {
                six: false,
                src: IpAddr::from(<[u8; 4]>::try_from(&b[12..16]).unwrap()),
                dst: IpAddr::from(<[u8; 4]>::try_from(&b[16..20]).unwrap()),
                proto: b[9].into(),
                tos: b[1].into(),
                ttl: b[8].into(),
                length: word(2),
                more: b[6] & 0x20 != 0,
                offset,
                next: (b[0] == 0x45 && offset == 0).then(|| b[20..].to_vec()),
            })
        }
        0x86dd => {
            let fragment = b[6] == 44;
            Some(Read {
                six: true,
                src: IpAddr::from(<[u8; 16]>::try_from(&b[8..24]).unwrap()),
                dst: IpAddr::from(<[u8; 16]>::try_from(&b[24..40]).unwrap()),
                proto: b[6].into(),
                tos: word(0) >> 4 & 0xff,
                ttl: b[7].into(),
                length: word(4) + 40,
                more: fragment && b[43] & 1 != 0,
                offset: if fragment { word(42) >> 3 } else { 0 },
                next: Some(b[40..].to_vec()),
            })
        }
        _ => None,
    }
}

/// What the expression means.
pub fn holds(e: &Expression, packet: &Packet) -> bool {
    match e {
        Expression::And(parts) => parts.iter().all(|p| holds(p, packet)),
        Expression::Or(parts) => parts.iter().any(|p| holds(p, packet)),
        Expression::Not(inner) => !holds(inner, packet),
        Expression::Test(test) => test_holds(test, packet),
    }
}

fn test_holds(test: &Test, packet: &Packet) -> bool {
    let any = |value: u64| {
        test.items.iter().any(|i| match i {
            Item::Number(n) => *n == value,
            Item::Range(a, b) => (*a..=*b).contains(&value),
            Item::Masked(v, m) => value & m == v & m,
            _ => false,
        })
    };
    match test.field {
        Field::Any => return true,
        Field::Mark => return any(packet.mark.into()),
        _ => {}
    }
    let Some(p) = parse(packet) else { return false };
    let address = |a: &IpAddr| {
        test.items.iter().any(|i| match (i, a) {
            (Item::Prefix(IpAddr::V4(n), len), IpAddr::V4(a)) => {
                u64::from(u32::from(*n) ^ u32::from(*a)) >> (32 - len) == 0
            }
            (Item::Prefix(IpAddr::V6(n), len), IpAddr::V6(a)) => {
                *len == 0 || (u128::from(*n) ^ u128::from(*a)) >> (128 - u32::from(*len)) == 0
            }
            (Item::Addresses(x, y), a) => x.is_ipv4() == a.is_ipv4() && x <= a && a <= y,
            _ => false,
        })
    };
    let with_ports = [6, 17, 33, 132, 136].contains(&p.proto);
    let ports = p.next.as_ref().filter(|_| with_ports);
    let port = |at: usize| ports.map(|n| u64::from(n[at]) << 8 | u64::from(n[at + 1]));
    let icmp = p.next.as_ref().filter(|_| p.proto == if p.six { 58 } else { 1 });
    match test.field {
        Field::Family => any(if p.six { 6 } else { 4 }),
        Field::Src => address(&p.src),
        Field::Dst => address(&p.dst),
        Field::Host => address(&p.src) || address(&p.dst),
        Field::Proto => any(p.proto) && p.proto != if p.six { 1 } else { 58 },
        Field::Sport => port(0).is_some_and(any),
        Field::Dport => port(2).is_some_and(any),
        Field::Port => [port(0), port(2)].into_iter().flatten().any(any),
        Field::TcpFlags => p.next.as_ref().filter(|_| p.proto == 6).is_some_and(|n| any(n[13].into())),
        Field::IcmpType => icmp.is_some_and(|n| any(n[0].into())),
        Field::IcmpCode => icmp.is_some_and(|n| any(n[1].into())),
        Field::Tos => any(p.tos),
        Field::Dscp => any(p.tos >> 2),
        Field::Len => any(p.length),
        Field::Ttl => any(p.ttl),
        Field::Fragment => test.items.iter().any(|i| match i {
            Item::Number(0) => p.more || p.offset != 0,
            Item::Number(1) => p.more && p.offset == 0,
            _ => p.offset != 0,
        }),
        _ => panic!("not in these tests"),
    }
}

/// Few values, so that packets hit tests.
pub const PORTS: [u16; 6] = [22, 23, 53, 80, 443, 27000];
pub const V4: [[u8; 4]; 4] = [[10, 0, 0, 1], [10, 0, 1, 9], [192, 0, 2, 7], [203, 0, 113, 9]];
pub const TOS: [u8; 4] = [0, 0x10, 0xb8, 0xff];
pub const PROTO: [u8; 9] = [1, 6, 17, 33, 58, 132, 136, 44, 47];

pub fn v6(n: u8) -> [u8; 16] {
    let mut a = [0; 16];
    (a[0], a[1], a[2], a[3], a[15]) = (0x20, 1, 0x0d, 0xb8, n);
    a
}

pub fn packets() -> impl Strategy<Value = Packet> {
    let pick = |n: usize| 0..n;
    let header = (pick(4), pick(4), pick(TOS.len()), pick(PROTO.len()), 0..3_u8, 0..4_u8);
    let rest = (pick(6), pick(6), any::<u8>(), 0..4_u32, pick(8), 0..12_u8);
    (header, rest).prop_map(|((src, dst, tos, proto, ttl, fragment), (sport, dport, byte, mark, shape, icmp))| {
        let (more, offset) = (fragment & 1, u16::from(fragment >> 1) * 185);
        let proto = PROTO[proto];
        let (sport, dport) = (PORTS[sport].to_be_bytes(), PORTS[dport].to_be_bytes());
        let mut next = vec![sport[0], sport[1], dport[0], dport[1]];
        if [1, 58].contains(&proto) {
            (next[0], next[1]) = (icmp, byte % 3);
        }
        next.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, byte, 0, 0, 0, 0, 0, 0]);
        let mut bytes = Vec::new();
        let protocol = match shape {
            0 => {
                bytes = vec![0, 1, 8, 0, 6, 4, 0, 1];
                0x0806
            }
            1..=4 => {
                let options = shape == 4;
                bytes.extend([if options { 0x46 } else { 0x45 }, TOS[tos], 0, 40, 0, 7]);
                bytes.extend((u16::from(more) << 13 | offset).to_be_bytes());
                bytes.extend([60 + ttl, proto, 0, 0]);
                bytes.extend(V4[src]);
                bytes.extend(V4[dst]);
                bytes.extend(vec![1; if options { 4 } else { 0 }]);
                0x0800
            }
            _ => {
                let flow = [0x60 | TOS[tos] >> 4, TOS[tos] << 4 | 5, 1, 2];
                bytes.extend(flow);
                bytes.extend([0, 20, proto, 60 + ttl]);
                bytes.extend(v6(src as u8));
                bytes.extend(v6(dst as u8));
                if proto == 44 {
                    bytes.extend([6, 0]);
                    bytes.extend((offset << 3 | u16::from(more)).to_be_bytes());
                    bytes.extend([0, 0, 0, 9]);
                }
                0x86dd
            }
        };
        bytes.extend(next);
        Packet { protocol, mark, bytes }
    })
}

pub fn test(field: Field, items: Vec<Item>) -> Expression {
    Expression::Test(Test { field, items, span: Span::NONE })
}

pub fn expressions() -> impl Strategy<Value = Expression> {
    expressions_with(Just(test(Field::Any, vec![])).boxed())
}

/// The same with other tests among them.
pub fn expressions_with(extra: BoxedStrategy<Expression>) -> impl Strategy<Value = Expression> {
    let number = |values: Vec<u64>| {
        let one = prop::sample::select(values.clone());
        let range = (prop::sample::select(values.clone()), prop::sample::select(values));
        prop_oneof![
            2 => one.prop_map(Item::Number),
            1 => range.prop_map(|(a, b)| Item::Range(a.min(b), a.max(b))),
        ]
    };
    let masked = |values: Vec<u64>| {
        let masks = prop::sample::select(vec![0xff, 0xfc, 0x0f, 0x12, 1]);
        (prop::sample::select(values), masks).prop_map(|(v, m)| Item::Masked(v & m, m))
    };
    let set = |item: BoxedStrategy<Item>| prop::collection::vec(item, 1..3);
    let of = move |fields: Vec<Field>, item: BoxedStrategy<Item>| {
        (prop::sample::select(fields), set(item)).prop_map(|(f, items)| test(f, items)).boxed()
    };
    let address = prop_oneof![
        (0..4_usize, prop::sample::select(vec![0_u8, 8, 23, 24, 31, 32])).prop_map(|(a, n)| {
            let net = u32::from_be_bytes(V4[a]) & u32::MAX.checked_shl(32 - u32::from(n)).unwrap_or(0);
            Item::Prefix(IpAddr::V4(net.into()), n)
        }),
        (0..4_u8, prop::sample::select(vec![0_u8, 32, 64, 127, 128])).prop_map(|(a, n)| {
            let net = u128::from_be_bytes(v6(a)) & u128::MAX.checked_shl(128 - u32::from(n)).unwrap_or(0);
            Item::Prefix(IpAddr::V6(net.into()), n)
        }),
        (0..4_usize, 0..4_usize).prop_map(|(a, b)| {
            let (a, b) = (IpAddr::from(V4[a]), IpAddr::from(V4[b]));
            Item::Addresses(a.min(b), a.max(b))
        }),
        (0..4_u8, 0..4_u8).prop_map(|(a, b)| Item::Addresses(v6(a.min(b)).into(), v6(a.max(b)).into())),
    ];
    let ports = PORTS.iter().map(|p| u64::from(*p)).chain([0, 65535]).collect();
    let tos: Vec<u64> = TOS.iter().map(|t| u64::from(*t)).collect();
    let protos = PROTO.iter().map(|p| u64::from(*p)).collect();
    let numbers = |fields, values| of(fields, number(values).boxed());
    let leaf = prop_oneof![
        4 => of(vec![Field::Src, Field::Dst, Field::Host], address.boxed()),
        4 => numbers(vec![Field::Sport, Field::Dport, Field::Port], ports),
        3 => numbers(vec![Field::Proto], protos),
        1 => numbers(vec![Field::IcmpType, Field::IcmpCode], vec![0, 1, 3, 8, 11]),
        1 => numbers(vec![Field::Dscp], tos.iter().map(|t| t >> 2).collect()),
        1 => numbers(vec![Field::Ttl], vec![0, 60, 61, 62, 255]),
        1 => numbers(vec![Field::Len], vec![0, 40, 60, 100]),
        1 => of(vec![Field::Tos, Field::TcpFlags, Field::Mark], masked(tos).boxed()),
        1 => prop::sample::select(vec![1_u64, 2, 3]).prop_map(|n| test(Field::Mark, vec![Item::Number(n)])),
        1 => prop::sample::select(vec![4_u64, 6]).prop_map(|n| test(Field::Family, vec![Item::Number(n)])),
        1 => (0..3_u64).prop_map(|n| test(Field::Fragment, vec![Item::Number(n)])),
        1 => Just(test(Field::Any, vec![])),
        4 => extra,
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            4 => prop::collection::vec(inner.clone(), 1..4).prop_filter_map("and", Expression::and),
            2 => prop::collection::vec(inner.clone(), 1..4).prop_filter_map("or", Expression::or),
            1 => inner.prop_map(Expression::negated),
        ]
    })
}

/// Whether a rule is about IP packets only.
pub fn about_ip(e: &Expression) -> bool {
    let mut ip = false;
    const OTHERS: &[Field] =
        &[Field::Any, Field::Mark, Field::Vlan, Field::Ethertype, Field::MacSrc, Field::MacDst, Field::Iif];
    e.visit(&mut |t| ip |= !OTHERS.contains(&t.field));
    ip
}
