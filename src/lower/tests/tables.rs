//! Long lists: what they mean, what an edit touches, and how much a packet meets.

use super::packets::{Filters, Packet, about_ip, holds};
use super::*;
use crate::policy::model::Classifier;
use crate::syntax::expression::{Expression, Field, Item, Test};
use std::net::IpAddr;

/// A rule of a long list, from few values so that rules meet each other and packets meet rules.
#[derive(Clone, Debug)]
struct Short {
    kind: u8,
    place: u16,
    length: u8,
    class: u8,
}

fn test(field: Field, item: Item) -> Expression {
    Expression::Test(Test { field, items: vec![item], span: Span::NONE })
}

fn four(place: u16) -> u32 {
    // a few hundred hosts in several networks
    0x0a00_0000 | u32::from(place & 3) << 17 | u32::from(place >> 2 & 7) << 8 | u32::from(place >> 5)
}

fn six(place: u16) -> u128 {
    0x2001_0db8 << 96 | u128::from(place & 7) << 64 | u128::from(place >> 3)
}

impl Short {
    fn expression(&self) -> Expression {
        let port = Item::Number(u64::from(self.place % 300));
        let proto = |n| test(Field::Proto, Item::Number(n));
        let v4 = |field| {
            let length = 32 - self.length.min(32);
            let net = four(self.place) & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            test(field, Item::Prefix(IpAddr::V4(net.into()), length))
        };
        let v6 = |field| {
            let length = 128 - self.length;
            let net = six(self.place) & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            test(field, Item::Prefix(IpAddr::V6(net.into()), length))
        };
        let and = |parts: Vec<Expression>| Expression::and(parts).unwrap();
        match self.kind {
            0..=5 => v4(Field::Dst),
            6 => v4(Field::Src),
            7..=8 => v6(Field::Dst),
            9..=10 => and(vec![proto(6), test(Field::Dport, port)]),
            11 => and(vec![proto(17), test(Field::Dport, port)]),
            12 => test(Field::Sport, Item::Range(u64::from(self.place % 300), u64::from(self.place % 300 + 9))),
            13 => and(vec![v4(Field::Dst), proto(6), test(Field::Dport, Item::Number(1 + u64::from(self.class % 3)))]),
            14 => test(Field::Mark, Item::Number(1 + u64::from(self.place % 40))),
            16 => v4(Field::Host),
            17 => v6(Field::Host),
            _ => and(vec![v4(Field::Dst), test(Field::Mark, Item::Number(1 + u64::from(self.place % 3)))]),
        }
    }
}

/// Lists that lean to one kind, as people's do.
fn lists() -> impl Strategy<Value = Vec<Short>> {
    let kinds = prop::sample::select(vec![
        vec![0],
        vec![7],
        vec![9],
        vec![9, 11, 10],
        vec![0, 6],
        vec![0, 0, 0, 0, 0, 0, 7, 9],
        vec![13, 0],
        vec![12],
        vec![14],
        vec![15, 0],
        vec![16],
        vec![16, 17, 16, 6, 0, 13],
        (0..18).collect(),
    ]);
    let lengths =
        prop::sample::select(vec![vec![0], vec![0, 0, 0, 1, 2, 3], vec![0, 4, 8, 16, 24], (0..=32).collect()]);
    let classes = prop::sample::select(vec![1_u8, 2, 40]);
    (kinds, lengths, classes, 1..220_usize).prop_flat_map(|(kinds, lengths, classes, n)| {
        let kind = prop_oneof![30 => prop::sample::select(kinds), 1 => 0..18_u8];
        let one = (kind, any::<u16>(), prop::sample::select(lengths), 0..classes);
        let one = one.prop_map(|(kind, place, length, class)| Short { kind, place: place % 2048, length, class });
        prop::collection::vec(one, n)
    })
}

fn crowd() -> impl Strategy<Value = Vec<Packet>> {
    let one = (any::<bool>(), any::<u16>(), any::<u16>(), any::<u16>(), 0..5_u8, 0..45_u32).prop_map(
        |(is_six, dst, src, port, shape, mark)| {
            let proto = if shape & 1 == 0 { 6 } else { 17 };
            let port = (port % 310).to_be_bytes();
            let mut bytes;
            if is_six {
                bytes = vec![0x60, 0, 0, 0, 0, 20, proto, 60];
                bytes.extend(six(src % 2048).to_be_bytes());
                bytes.extend(six(dst % 2048).to_be_bytes());
            } else {
                let options = shape == 4;
                bytes = vec![if options { 0x46 } else { 0x45 }, 0, 0, 40, 0, 7, 0, 0, 60, proto, 0, 0];
                bytes.extend(four(src % 2048).to_be_bytes());
                bytes.extend(four(dst % 2048).to_be_bytes());
                bytes.extend(vec![1; if options { 4 } else { 0 }]);
            }
            bytes.extend([port[0], port[1], port[0], port[1] & 3]);
            bytes.extend([0; 20]);
            Packet { protocol: if is_six { 0x86dd } else { 0x0800 }, mark, bytes }
        },
    );
    prop::collection::vec(one, 120)
}

fn lower_list(list: &[Short], ids: &Ids) -> (Vec<Object>, Ids) {
    lower_expressions(list.iter().map(|short| (short.expression(), short.class)), ids)
}

fn lower_expressions(list: impl Iterator<Item = (Expression, u8)>, ids: &Ids) -> (Vec<Object>, Ids) {
    let classes = (0..40).map(|i| class(&format!("c{i}"), "rate 1mbit")).collect();
    let of =
        |(e, class): (Expression, u8)| Rule { sound: true, matches: Some(at(e)), ..rule(&format!("c{class}"), "") };
    let rules = list.map(of).collect();
    let policy = policy(vec![egress("eth0", direction(htb("", None, classes), rules))]);
    let mut sink = Sink::new();
    let (tree, ids) = lower(&policy, &|_| Facts::default(), ids, &mut sink);
    assert!(!sink.has_errors(), "{:?}", sink.found);
    (filters_of(&tree, "eth0"), ids)
}

fn meant(list: &[Short], expressions: &[Expression], packet: &Packet) -> Option<Handle> {
    let ip = packet.protocol != 0x0806;
    let first = expressions.iter().position(|e| (ip || !about_ip(e)) && holds(e, packet));
    first.map(|i| Handle::new(1, u16::from(list[i].class) + 1))
}

/// Filters by what they are, as tc is told them.
fn told(objects: &[Object]) -> BTreeMap<Id, String> {
    objects.iter().map(|o| (o.id, show_object(o))).collect()
}

fn touched(before: &[Object], after: &[Object]) -> usize {
    let (before, after) = (told(before), told(after));
    let gone = before.iter().filter(|(id, words)| after.get(*id) != Some(*words)).count();
    let new = after.keys().filter(|id| !before.contains_key(*id)).count();
    gone + new
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn long_lists_take_the_packets_that_the_rules_mean(
        list in lists(),
        crowd in crowd(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), lists()), 0..3),
    ) {
        let mut list = list;
        let mut ids = Ids::default();
        for edit in std::iter::once(None).chain(edits.into_iter().map(Some)) {
            if let Some((at, more)) = edit {
                // some go and some come
                let at = at.index(list.len());
                let end = list.len().min(at + more.len() / 2);
                list.splice(at..end, more);
            }
            let (objects, now) = lower_list(&list, &ids);
            ids = now;
            let (again, same) = lower_list(&list, &ids);
            let words = |objects: &[Object]| objects.iter().map(show_object).collect::<Vec<_>>();
            let (first, second) = (words(&objects), words(&again));
            let differ: Vec<_> = first.iter().zip(&second).filter(|(one, other)| one != other).take(9).collect();
            prop_assert!(first == second, "another tree the second time: {differ:#?}");
            prop_assert_eq!(&same, &ids);
            let filters = Filters::new(&objects);
            let expressions: Vec<Expression> = list.iter().map(Short::expression).collect();
            for packet in &crowd {
                let meant = meant(&list, &expressions, packet);
                if filters.classify(packet) != meant {
                    let shown: Vec<String> = objects.iter().map(show_object).collect();
                    prop_assert!(false, "{packet:?} belongs to {meant:?}\n{}", shown.join("\n"));
                }
            }
            let text = serde_json::to_string(&ids).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Ids>(&text).unwrap(), &ids);
        }
    }

    #[test]
    fn one_address_that_comes_or_goes_is_one_filter(
        places in prop::collection::hash_set(0..2048_u16, 200..400),
        at in any::<prop::sample::Index>(),
        kind in prop::sample::select(vec![0_u8, 7]),
    ) {
        let short = |place: u16| Short { kind, place, length: 0, class: (place % 40) as u8 };
        let all: Vec<Short> = places.iter().map(|place| short(*place)).collect();
        let at = at.index(all.len());
        let mut less = all.clone();
        less.remove(at);
        let (with, ids) = lower_list(&all, &Ids::default());
        let (without, less_ids) = lower_list(&less, &ids);
        prop_assert_eq!(touched(&with, &without), 1);
        prop_assert_eq!(touched(&without, &lower_list(&all, &less_ids).0), 1);
        // and what is sent elsewhere keeps its number
        let mut other = all.clone();
        other[at].class = (other[at].class + 1) % 40;
        let (moved, _) = lower_list(&other, &ids);
        prop_assert_eq!(touched(&with, &moved), 1);
        prop_assert!(told(&moved).keys().eq(told(&with).keys()));
    }
}

#[test]
fn what_one_packet_meets_does_not_grow_with_the_list() {
    for (n, most) in [(31, 31), (32, 2), (200, 2), (2000, 4), (5000, 4)] {
        let address = |i: u16| Item::Prefix(IpAddr::from([10, 1, (i >> 8) as u8, i as u8]), 32);
        let rules = (0..n).map(|i| test(Field::Dst, address(i))).collect::<Vec<_>>();
        let (objects, _) = lower_expressions(rules.into_iter().map(|e| (e, 0)), &Ids::default());
        let longest = Filters::new(&objects).longest();
        assert!(longest <= most, "{n} rules: {longest}");
    }
}

#[test]
fn a_list_that_grows_is_made_beside_the_old() {
    let list = |n: u16| -> Vec<Short> {
        (0..n).map(|i| Short { kind: 0, place: i * 32, length: 0, class: (i % 40) as u8 }).collect()
    };
    let (small, ids) = lower_list(&list(31), &Ids::default());
    let (large, ids) = lower_list(&list(32), &ids);
    let places = |objects: &[Object]| -> Vec<Id> { objects.iter().map(|o| o.id).collect() };
    assert!(places(&small).iter().all(|id| !places(&large).contains(id)), "nothing is changed in place");
    // and stays a table when it shrinks a little
    let (less, _) = lower_list(&list(30), &ids);
    assert_eq!(touched(&large, &less), 2);
}

/// Whoever matches both rules by its two ends belongs to the one that is written first: no table of one end knows that, and
/// where u32 is asked for there is nothing else.
#[test]
fn a_list_that_stays_long_says_so() {
    let said = |n: u16| {
        let host = |i: u16| rule(&format!("c{}", i % 40), &format!("host 10.1.{}.{}", i >> 8, i & 255));
        let classes = (0..40).map(|i| class(&format!("c{i}"), "rate 1mbit")).collect();
        let mut direction = direction(htb("", None, classes), (0..n).map(host).collect());
        direction.classifier = Some(at(Classifier::U32));
        let objects = filters_of(&fresh(&policy(vec![egress("eth0", direction)])), "eth0");
        assert_eq!(objects.len(), 2 * usize::from(n));
        objects[0].origin.remark.clone().unwrap()
    };
    let words = "; the first of 258 filters that are asked one after another: no table keeps their order";
    assert!(said(129).ends_with(words), "{}", said(129));
    assert!(!said(128).contains("one after another"));
}

/// A row of programs is parted where the rules say, not after so many of them.
#[test]
fn a_rule_that_goes_leaves_the_programs_of_others() {
    let host = |i: u32| test(Field::Host, Item::Prefix(IpAddr::from((0x0a00_0000 + i * 7).to_be_bytes()), 32));
    let tagged = |i: u32| {
        let tests = [(Field::Vlan, i), (Field::Proto, 6), (Field::Dport, i)];
        Expression::and(tests.map(|(field, n)| test(field, Item::Number(n.into())))).unwrap()
    };
    for make in [&host as &dyn Fn(u32) -> Expression, &tagged] {
        let without = |gone: u32| (0..500).filter(move |i| *i != gone).map(|i| (make(i), (i % 40) as u8));
        let (all, ids) = lower_expressions(without(u32::MAX), &Ids::default());
        let kinds = all.iter().filter(|o| o.name == "bpf").count();
        assert!(kinds == all.len() && kinds >= 3, "{kinds} of {}", all.len());
        let touched = [1, 130, 260, 390].map(|at| touched(&all, &lower_expressions(without(at), &ids).0));
        // its own program, and its neighbour where it was the border
        assert!(touched.iter().all(|n| *n <= 4), "{touched:?} of {kinds}");
        assert!(touched.iter().filter(|n| **n == 1).count() >= 3, "{touched:?} of {kinds}");
    }
}
