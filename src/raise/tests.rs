#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
//! Trees become policies that become the same trees.

use super::*;
use crate::facts::Links;
use crate::kind::action::{Act, Actions};
use crate::kind::filter::flower::Flower;
use crate::kind::generated::for_all;
use crate::kind::{Role, find};
use crate::syntax::write;
use crate::unit::Slot;
use proptest::prelude::*;
use std::sync::Arc;

fn facts(_: &str) -> Facts {
    Facts { links: Arc::new(Links::new([(7, "ifb0".into()), (8, "eth1".into())])), ..Facts::default() }
}

/// A text as a tree; nothing may be wrong with it.
fn tree(text: &str, notation: Notation) -> Tree {
    let (mut sources, mut sink) = (Sources::new(), Sink::new());
    let source = Source::with_notation("-", text, notation);
    let documents = policy::load::parse(source, &Limits::default(), &mut sources, &mut sink).unwrap_or_default();
    let policy = policy::read::read(&documents, &facts, &mut sink);
    policy::check::check(&policy, &facts, &mut sink);
    let (tree, _) = lower::lower(&policy, &facts, &Ids::default(), &mut sink);
    let errors: Vec<_> = sink.found.iter().filter(|d| d.is_error()).map(|d| &d.message).collect();
    assert!(errors.is_empty(), "{errors:?}\n{text}");
    // what the compiler remarks would become comments
    let mut tree = tree;
    for interface in tree.interfaces.values_mut() {
        let branches = [&mut interface.egress, &mut interface.ingress].into_iter().flatten();
        branches.flat_map(|b| &mut b.objects).for_each(|o| o.origin.remark = None);
    }
    tree
}

/// What must be done to come from one tree to another, in a few words.
fn steps(asked: &Tree, held: &Tree) -> Vec<String> {
    let plan = plan::plan(asked, held, &facts);
    let step = |step: &plan::Step| {
        let Subject::Object(object) = &step.subject else { return "a link".to_owned() };
        let differences: Vec<_> =
            step.differences.iter().map(|d| format!("{} {:?} -> {:?}", d.word, d.held, d.asked)).collect();
        format!("{:?} {}: {}", step.verb, described(object), differences.join(", "))
    };
    plan.steps.iter().map(step).collect()
}

/// The policy of a tree in both notations; each makes the tree again, and nothing is left out.
fn come_back(tree: &Tree) -> Result<String, String> {
    let raised = raise(tree, &Names::default(), &facts);
    let remarks: Vec<_> = raised.remarks.iter().map(|d| d.message.as_str()).collect();
    let text = write::write(&raised.document, Notation::Yaml, &Vocabulary);
    if !remarks.is_empty() {
        return Err(format!("{}\n{text}", remarks.join("\n")));
    }
    for notation in [Notation::Yaml, Notation::Shape] {
        let written = write::convert(&raised.document, notation, &Vocabulary);
        let written = written.map_err(|d| format!("{}\n{text}", d.message))?;
        let steps = steps(&self::tree(&written, notation), tree);
        if !steps.is_empty() {
            return Err(format!("{}\n{written}", steps.join("\n")));
        }
    }
    Ok(text)
}

fn there_and_back(tree: &Tree) -> String {
    come_back(tree).unwrap_or_else(|error| panic!("{error}"))
}

/// A tree of one interface from what is sent.
fn of(objects: Vec<Object>) -> Tree {
    let interface = Interface { egress: Some(Branch { objects, ..Branch::default() }), ..Interface::default() };
    Tree { interfaces: [("eth0".into(), interface)].into_iter().collect() }
}

const ROOT: Id = Id::Qdisc { parent: Handle::ROOT, handle: Handle::new(1, 0) };

fn bare(kind: &str) -> Object {
    let kind = find(Role::Qdisc, kind).unwrap();
    Object::new(ROOT, kind, (kind.options)())
}

/// Options that only a kernel tells.
fn told(options: &dyn Options) -> Box<dyn Options> {
    let mut options = options.boxed();
    let rows = options.rows();
    for (i, _) in rows.iter().enumerate().filter(|(_, r)| r.hidden && r.tool) {
        options.slot_mut(i).into_iter().for_each(Slot::clear);
    }
    options
}

/// Every kind with any options that its check lets through.
#[test]
fn every_object_comes_back() {
    let count = std::cell::Cell::new(0_u32);
    let wrong = std::cell::RefCell::new(std::collections::BTreeMap::new());
    for_all(|subject, options| {
        // way there, two notations back: a quarter of the cases is enough
        count.set(count.get() + 1);
        if wrong.borrow().contains_key(&subject.name) || !count.get().is_multiple_of(4) {
            return;
        }
        let mut options = told(options);
        options.complete(&facts(""));
        let objects = if let Some(kind) = subject.name.strip_suffix(" class") {
            let root = bare(kind);
            if root.kind.is_none_or(|k| k.children != Children::Classes) {
                return;
            }
            let id = Id::Class { parent: Handle::new(1, 0), handle: Handle::new(1, 0x10) };
            let mut class = Object::new(id, root.kind.unwrap(), options);
            lower::choose(class.options.as_mut(), root.options.as_ref(), false, &facts(""));
            vec![root, class]
        } else if subject.is_filter() {
            let kind = find(Role::Filter, &subject.name).unwrap();
            let protocol = if subject.name == "flower" { 0x0800 } else { 3 };
            let id = Id::Filter { parent: Handle::new(1, 0), chain: 0, prio: 5, protocol, handle: 1 };
            // what the kernel tells of each: its protocol once more, and the number that the options come to
            if let Some(flower) = options.as_kind_mut::<Flower>() {
                flower.for_protocol(protocol);
            }
            let handle = Some(options.number(0, &facts(""))).filter(|n| *n != 0).unwrap_or(1);
            let id = match id {
                Id::Filter { parent, chain, prio, protocol, .. } => {
                    Id::Filter { parent, chain, prio, protocol, handle }
                }
                other => other,
            };
            vec![bare("prio"), Object::new(id, kind, options)]
        } else if let Some(kind) =
            find(Role::Qdisc, &subject.name).filter(|k| (k.options)().type_id_of() == options.type_id_of())
        {
            if !kind.writable {
                return;
            }
            vec![Object::new(ROOT, kind, options)]
        } else {
            let kind = find(Role::Action, &subject.name).unwrap();
            let mut filter = Object::new(
                Id::Filter { parent: Handle::new(1, 0), chain: 0, prio: 5, protocol: 3, handle: 1 },
                find(Role::Filter, "matchall").unwrap(),
                (find(Role::Filter, "matchall").unwrap().options)(),
            );
            let row = filter.options.row("action").unwrap();
            let actions = Actions::one(Act::of(kind, options));
            filter.options.slot_mut(row).unwrap().copy_from(&Some(actions));
            vec![bare("prio"), filter]
        };
        if let Err(error) = come_back(&of(objects)) {
            wrong.borrow_mut().insert(subject.name.clone(), error);
        }
    });
    let wrong: Vec<_> = wrong.into_inner().into_iter().map(|(kind, error)| format!("== {kind}\n{error}")).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The type of options, to tell a discipline from an action of the same name.
trait TypeOf {
    fn type_id_of(&self) -> std::any::TypeId;
}

impl TypeOf for Box<dyn Options> {
    fn type_id_of(&self) -> std::any::TypeId {
        self.as_ref().as_any().type_id()
    }
}

fn some_class(depth: u32) -> BoxedStrategy<String> {
    let options = (1_u32..2000, prop::option::of(1_u32..3000), 0_u32..8, prop::option::of(100_u32..300_000));
    let options = options.prop_map(|(rate, ceil, prio, quantum)| {
        let mut text = format!("rate: {rate}kbit, prio: {prio}");
        text.extend(ceil.map(|c| format!(", ceil: {c}kbit")));
        text.extend(quantum.map(|q| format!(", quantum: {q}b")));
        text
    });
    let leaf = prop_oneof![
        3 => Just(String::new()),
        1 => Just(", leaf: fq_codel".to_owned()),
        1 => (2_u32..200).prop_map(|n| format!(", leaf: {{ sfq: {{ perturb: 10s, limit: {n} }} }}")),
        1 => Just(", leaf: { prio: { bands: 4, priomap: [0,1,2,3,0,1,2,3,0,1,2,3,0,1,2,3], leaves: { 1: pfifo } } }".to_owned()),
        1 => Just(", leaf: { tbf: { rate: 1mbit, burst: 10kb, latency: 50ms, leaf: { htb: { default: x, classes: { x: { rate: 1mbit } } } } } }".to_owned()),
    ];
    let below = if depth == 0 {
        leaf.boxed()
    } else {
        let classes = prop::collection::vec(some_class(depth - 1), 1..3);
        let classes = classes.prop_map(|all| {
            let all: Vec<_> = all.iter().enumerate().map(|(i, c)| format!("n{i}: {{ {c} }}")).collect();
            format!(", classes: {{ {} }}", all.join(", "))
        });
        prop_oneof![2 => leaf, 2 => classes].boxed()
    };
    (options, below).prop_map(|(options, below)| format!("{options}{below}")).boxed()
}

fn some_filter() -> BoxedStrategy<String> {
    let place = (1_u16..12, prop::option::of(0_u32..3), prop::bool::ANY);
    let kind = prop_oneof![
        (0_u32..256, 1_u32..5).prop_map(|(n, flow)| ("u32", format!("match: ip dst 10.0.0.{n}, flowid: 1:{flow}"))),
        (0_u32..65536).prop_map(|n| ("u32", format!("match: ip dport {n} 0xffff, action: [{{ mark: {n} }}, drop]"))),
        Just(("matchall", "action: { police: { rate: 1mbit, burst: 10kb, exceed: drop } }".to_owned())),
    ];
    (place, kind)
        .prop_map(|((prio, chain, ip), (kind, options))| {
            // a priority has one kind and one protocol
            let prio = prio * 4 + if kind == "u32" { 0 } else { 2 } + u16::from(ip);
            let chain = chain.map_or(String::new(), |c| format!("chain: {c}, "));
            let protocol = if ip { "protocol: ip, " } else { "" };
            format!("{{ {kind}: {{ {chain}prio: {prio}, {protocol}{options} }} }}")
        })
        .boxed()
}

fn some_policy() -> impl Strategy<Value = String> {
    let classes = prop::collection::vec(some_class(2), 1..4);
    let filters = prop::collection::vec(some_filter(), 0..8);
    let stab = prop::option::of((-20_i32..60, 0_u32..200));
    (classes, filters.clone(), filters, stab, prop::option::of(0x90_u32..0x99)).prop_map(
        |(classes, sent, arriving, stab, default)| {
            let classes: Vec<_> = classes.iter().enumerate().map(|(i, c)| format!("c{i}: {{ {c} }}")).collect();
            let link = stab.map_or(String::new(), |(o, m)| format!("    link: {{ overhead: {o}, mpu: {m} }}\n"));
            let default = default.map_or(String::new(), |d| format!("default: {d:#x}, "));
            format!(
                "accept: [unknown-default, ceil-below-rate, quantum-below-mtu, inner-class, out-of-range]\n\
                 interfaces:\n  eth0:\n{link}    egress:\n      htb: {{ {default}classes: {{ {} }} }}\n      \
                 filters: [{}]\n    ingress:\n      hook: clsact\n      filters: [{}]\n",
                classes.join(", "),
                sent.join(", "),
                arriving.join(", "),
            )
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn trees_come_back(text in some_policy()) {
        there_and_back(&tree(&text, Notation::Yaml));
    }
}

/// What comes by itself is not written, what does not is.
#[test]
fn a_policy_says_what_differs() {
    let text = there_and_back(&tree(
        "accept: [quantum-below-mtu]
interfaces:
  eth0:
    egress:
      htb:
        default: slow
        classes:
          line: { rate: 10mbit, classes: { fast: { rate: 8mbit }, slow: { rate: 100kbit, quantum: 1250b } } }
      filters:
        - { u32: { prio: 1, protocol: ip, handle: \"1:\", divisor: 16 } }
        - { u32: { prio: 1, protocol: ip, ht: \"1:3:\", match: ip src 192.0.2.3, flowid: fast } }
        - { u32: { prio: 1, protocol: ip, match: ip src 192.0.2.0/24, link: \"1:\", hashkey: mask 0x0000000f at 12 } }
        - { fw: { prio: 2, handle: 0x10, mask: 0xf0, flowid: 1:77 } }
",
        Notation::Yaml,
    ));
    let expected = "accept: [quantum-below-mtu]
interfaces:
  eth0:
    egress:
      htb:
        default: slow
        classes:
          line:
            id: 1
            rate: 10mbit
            classes:
              fast: { id: 2, rate: 8mbit }
              slow: { id: 3, rate: 100kbit, quantum: 1250b }
      filters:
        - { u32: { prio: 1, protocol: ip, handle: \"1:\", divisor: 16 } }
        - { u32: { prio: 1, protocol: ip, match: ip src 192.0.2.3/32, flowid: fast, ht: \"1:3:\" } }
        - u32:
            prio: 1
            protocol: ip
            match: ip src 192.0.2.0/24
            link: \"1:\"
            hashkey: mask 0x0000000f at 12
        - { fw: { prio: 2, handle: 0x10, mask: 0xf0, flowid: 1:77 } }
";
    assert_eq!(text, expected);
}

/// What nobody knows is written as its bytes, and makes the same messages again.
#[test]
fn what_nobody_knows_comes_back_as_its_bytes() {
    let raw = |object: &mut Object, bytes: &[u8]| {
        object.options.as_kind_mut::<Raw>().unwrap().bytes = Some(crate::unit::Octets(bytes.to_vec()));
    };
    let mut leaf = Object::unknown(Id::Qdisc { parent: Handle::new(1, 1), handle: Handle::new(2, 0) }, "strange");
    raw(&mut leaf, &[1, 2, 0xff]);
    let id = Id::Filter { parent: Handle::new(1, 0), chain: 0, prio: 5, protocol: 3, handle: 7 };
    let mut filter = Object::unknown(id, "odd");
    raw(&mut filter, &[8, 0, 1, 0, 9, 9, 9, 9]);
    let mut acting = filter.clone();
    acting.id = Id::Filter { parent: Handle::new(1, 0), chain: 0, prio: 6, protocol: 3, handle: 1 };
    let mut act = Act::new("weird");
    act.options.as_kind_mut::<Raw>().unwrap().bytes = Some(crate::unit::Octets(vec![7]));
    let matchall = crate::kind::filter::matchall::KIND.options;
    let mut options = matchall();
    let row = options.row("action").unwrap();
    options.slot_mut(row).unwrap().copy_from(&Some(Actions(vec![act])) as &dyn crate::unit::Slot);
    let acting = Object { kind: find(Role::Filter, "matchall"), name: "matchall".into(), options, ..acting };
    let mut class = Object::unknown(Id::Class { parent: Handle::new(2, 0), handle: Handle::new(2, 1) }, "strange");
    raw(&mut class, &[3, 4]);
    let below = Object::unknown(Id::Class { parent: Handle::new(2, 1), handle: Handle::new(2, 5) }, "strange");
    let tree = of(vec![bare("prio"), leaf, class, below, filter, acting]);
    let text = there_and_back(&tree);
    for said in [
        "kind: strange",
        "options: 0102ff",
        "options: 0304",
        "c5: { id: 5 }",
        "kind: odd",
        "handle: 7",
        "action: { raw: { options: 07, kind: weird } }",
    ] {
        assert!(text.contains(said), "{said}\n{text}");
    }
    let raised = raise(&tree, &Names::default(), &facts);
    let (asked, sink) = checked(&raised.document, &facts);
    assert!(!sink.has_errors(), "{:?}", sink.found);
    let messages = |tree: &Tree| -> Vec<_> {
        tree.objects().map(|o| crate::netlink::encode(o, plan::Verb::Add, 3, &Facts::default())).collect()
    };
    assert_eq!(messages(&asked), messages(&tree));
    let script = crate::script::delta(&plan::from_nothing(&asked, &facts));
    assert!(
        script.contains("# no words of tc's say this: tc qdisc add dev eth0 parent 1:1 handle 2: strange"),
        "{script}"
    );
    // a kind that is known is written as itself
    let wrong = "interfaces: { eth0: { egress: { raw: { kind: htb, options: 00 } } } }";
    let mut sink = Sink::new();
    let source = Source::with_notation("-", wrong.to_owned(), Notation::Yaml);
    let documents = policy::load::parse(source, &Limits::default(), &mut Sources::new(), &mut sink).unwrap();
    policy::check::check(&policy::read::read(&documents, &facts, &mut sink), &facts, &mut sink);
    assert!(sink.found.iter().any(|d| d.message.contains("words of its own")), "{:?}", sink.found);
}

/// Names that are given, made sound and kept apart.
#[test]
fn classes_are_called_what_they_are_called() {
    let class = |minor: u16, name: &str| {
        let root = bare("htb");
        let id = Id::Class { parent: Handle::new(1, 0), handle: Handle::new(1, minor) };
        let mut options = (root.kind.unwrap().class.unwrap())();
        let rate = options.row("rate").unwrap();
        options.slot_mut(rate).unwrap().set_number(125_000);
        lower::choose(options.as_mut(), root.options.as_ref(), false, &facts(""));
        let mut object = Object::new(id, root.kind.unwrap(), options);
        object.origin.name = name.into();
        object
    };
    let tree =
        of(vec![bare("htb"), class(1, "line/ssh"), class(2, "ssh"), class(3, "a b"), class(4, "1:4"), class(5, "7")]);
    let text = there_and_back(&tree);
    for name in ["ssh: { id: 1", "c2: { id: 2", "a-b: { id: 3", "c4: { id: 4", "c5: { id: 5"] {
        assert!(text.contains(name), "{name}\n{text}");
    }
}

/// What is only warned of is accepted where it stands, so that an export is clean; a script's policy keeps its warnings.
#[test]
fn what_stands_is_accepted_and_what_a_script_says_is_judged() {
    let text = "interfaces: { eth0: { egress: { hfsc: { default: b, classes: { a: { id: 1, rt: 5mbit, \
                classes: { b: { id: 2, rt: 1mbit, ls: 2mbit } } } } } } } }\n";
    let mut tree = tree(text, Notation::Yaml);
    let written = |tree: &Tree| {
        let raised = raise(tree, &Names::default(), &facts);
        assert!(raised.remarks.is_empty(), "{:?}", raised.remarks);
        write::write(&raised.document, Notation::Yaml, &Vocabulary)
    };
    assert!(!written(&tree).contains("accept:"), "{}", written(&tree));
    tree.interfaces[0].link.index = Some(2);
    assert!(written(&tree).starts_with("accept: [service-curve]\n"), "{}", written(&tree));
}
