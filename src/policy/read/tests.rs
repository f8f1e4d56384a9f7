#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used, reason = "tests")]

use super::*;
use crate::diagnostic::render;
use crate::policy::load::parse;
use crate::policy::model::{Children, Class};
use crate::source::{Notation, Source, Sources};
use crate::syntax::Limits;
use crate::unit::{NumberList, Unit};

fn attempt(text: &str, notation: Notation) -> (Policy, Vec<crate::diagnostic::Diagnostic>, Sources) {
    let (mut sources, mut sink) = (Sources::new(), Sink::new());
    let source = Source::with_notation("test", text, notation);
    let policy = match parse(source, &Limits::default(), &mut sources, &mut sink) {
        Some(documents) => read(&documents, &|_| Facts::default(), &mut sink),
        None => Policy::default(),
    };
    (policy, sink.sorted(), sources)
}

fn yaml(text: &str) -> Policy {
    let (policy, found, sources) = attempt(text, Notation::Yaml);
    assert!(found.is_empty(), "{}", render(&found, &sources, false, 100));
    policy
}

/// Codes of what is found, each with the text at its places.
fn wrong(text: &str) -> Vec<(&'static str, Vec<String>)> {
    let (_, found, sources) = attempt(text, Notation::Yaml);
    let places =
        |d: &crate::diagnostic::Diagnostic| d.labels.iter().map(|l| sources.slice(l.span).to_owned()).collect();
    found.iter().map(|d| (d.code.name, places(d))).collect()
}

fn classes(policy: &Policy) -> &[Class] {
    match &policy.interfaces[0].egress.as_ref().unwrap().discipline.children {
        Children::Classes(classes) => classes,
        _ => panic!("no classes"),
    }
}

fn rate(class: &Class, word: &str) -> String {
    class.options.show(word).unwrap_or_default()
}

/// `both` becomes two directions: values each way are chosen, by way of `let` too, and rules are reversed for what arrives.
#[test]
fn both_becomes_two_directions() {
    let text = "
let: { fast: { up: $slow, down: 8mbit }, slow: 2mbit, far: { up: 192.0.2.1, down: 192.0.2.2 } }
interfaces:
  eth0:
    link: { rate: $fast }
    both:
      htb:
        default: b
        classes:
          a: { rate: 50%, ceil: $fast, prio: { down: 3 } }
          b: { rate: { up: 10%, down: 1mbit }, leaf: { up: fq_codel, down: { tbf: { rate: 1mbit, burst: 5kb, latency: 9ms } } } }
      rules:
        - { class: a, match: 'tcp dport 22 and not src 10.0.0.1' }
        - { class: a, match: 'tcp server port 80 remote $far' }
        - { class: b, match: up len 0-64 }
        - { class: b, match: 'down ttl 1 or udp client port 53' }
        - { class: b, match: mac dst 02:00:00:00:00:01 local port 9 }
";
    let policy = yaml(text);
    let interface = &policy.interfaces[0];
    let (up, down) =
        (interface.egress.as_ref().unwrap(), &interface.ingress.as_ref().unwrap().shape.as_ref().unwrap().value);
    let told = |direction: &Direction| {
        let Children::Classes(classes) = &direction.discipline.children else { panic!("no classes") };
        let options = |c: &Class| ["rate", "ceil", "prio"].map(|word| rate(c, word)).join(" ");
        let leaf = |c: &Class| c.leaf.as_ref().map_or("", |l| l.kind.value.name);
        let classes = classes.iter().map(|c| format!("{} {} {}", c.name.value, options(c), leaf(c)).trim().to_owned());
        let rules = direction.rules.iter().map(|r| r.matches.as_ref().unwrap().value.to_string());
        classes.chain(rules).collect::<Vec<_>>()
    };
    assert_eq!(
        told(up),
        [
            "a 1mbit 2mbit",
            "b 200kbit   fq_codel",
            "tcp dport 22 src not 10.0.0.1",
            "tcp sport 80 dst 192.0.2.1",
            "len 0-64",
            "udp dport 53",
            "mac dst 02:00:00:00:00:01 sport 9",
        ]
    );
    assert_eq!(
        told(down),
        [
            "a 4mbit 8mbit 3",
            "b 1mbit   tbf",
            "tcp sport 22 dst not 10.0.0.1",
            "tcp dport 80 src 192.0.2.2",
            "ttl 1 or udp sport 53",
            "mac src 02:00:00:00:00:01 dport 9",
        ]
    );
}

/// A mistake in what is read for both ways is found once, and a match of one way alone is none.
#[test]
fn what_is_wrong_both_ways_is_said_once() {
    let text = "interfaces: { eth0: { both: { htb: { default: c, classes: { a: { rate: fast, rate2: 1mbit } } } } } }";
    assert_eq!(wrong(text).iter().map(|w| w.0).collect::<Vec<_>>(), ["unknown-default", "bad-value", "unknown-key"]);
    let one = |rule: &str| {
        let classes = "htb: { default: a, classes: { a: { rate: 1mbit } } }";
        wrong(&format!("interfaces: {{ eth0: {{ both: {{ {classes}, rules: [ {{ class: a, match: {rule} }} ] }} }} }}"))
    };
    assert_eq!(one("up down tcp"), [("matches-nothing", vec!["up down tcp".to_owned()])]);
    assert_eq!(one("server 10.0.0.1"), [("syntax", vec!["server".to_owned()])]);
    let circle = "let: { a: { up: $b }, b: { down: 1mbit, up: $a } }\ninterfaces: { eth0: { link: { rate: $a } } }";
    assert_eq!(wrong(circle).iter().map(|w| w.0).collect::<Vec<_>>(), ["let-cycle"]);
    let alone = "interfaces: { eth0: { egress: { prio: { bands: [x] }, rules: [ { class: x, match: down tcp } ] } } }";
    assert_eq!(wrong(alone)[0].0, "matches-nothing");
}

const HOME: &str = r#"
shapectl: 1
let: { up: 2mbit, fast: $up, lan: 192.168.1.0/24 }
sets: { web: [80, 443] }
profiles:
  fair: { leaf: { sfq: { perturb: 10s } }, prio: 7, burst: 32kb }
interfaces:
  eth0:
    link: { rate: $fast, overhead: 18, mpu: 64, linklayer: ethernet }
    egress:
      htb:
        r2q: 1
        default: rest
        classes:
          line:
            rate: 100%
            classes:
              ssh:   { rate: 128kbit, ceil: $up, prio: 1, buffer: 100kb }
              games: { rate: 25%, ceil: 80%, prio: 0, match: udp dport 27000-27050 }
              rest:  { rate: 64kbit, profile: fair, prio: 6 }
      rules:
        - { class: line/ssh, match: "tcp dport 22 src $lan" }
        - { class: rest, match: tcp dport @web }
"#;

#[test]
fn a_home_line() {
    let policy = yaml(HOME);
    let line = &classes(&policy)[0];
    assert_eq!(rate(line, "rate"), "2mbit");
    let [ssh, games, rest] = line.classes.as_slice() else { panic!() };
    assert_eq!((rate(ssh, "ceil"), rate(ssh, "burst")), ("2mbit".into(), "100kb".into()));
    assert_eq!((rate(games, "rate"), rate(games, "ceil")), ("500kbit".into(), "1600kbit".into()));
    assert_eq!((rate(rest, "prio"), rate(rest, "burst")), ("6".into(), "32kb".into()));
    assert_eq!(rest.leaf.as_ref().unwrap().kind.value.name, "sfq");
    let egress = policy.interfaces[0].egress.as_ref().unwrap();
    assert_eq!(egress.discipline.default.as_ref().unwrap().value, "line/rest");
    let targets: Vec<_> = egress.rules.iter().map(|r| r.class.as_ref().unwrap().value.as_str()).collect();
    assert_eq!(targets, ["line/games", "line/ssh", "line/rest"]);
    let stab = policy.interfaces[0].link.stab.as_ref().unwrap();
    assert_eq!((stab.value.overhead, stab.value.mpu), (18, 64));
}

#[test]
fn every_mistake_in_one_run() {
    let text = r"
interfaces:
  eth0:
    egress:
      htb:
        defalt: rest
        classes:
          a: { rate: 10, ceill: 1mbit }
          b: { rate: $up, leaf: fq_coddle }
          a: { rate: 1mbit }
      rules:
        - { class: aa, match: tcp dprt 22 }
        - { klass: a }
        - { match: tcp }
";
    let found = wrong(text);
    let expected: &[(&str, &[&str])] = &[
        ("unknown-key", &["defalt"]),
        ("bare-number", &["10"]),
        ("unknown-key", &["ceill"]),
        ("unknown-name", &["$up"]),
        ("unknown-kind", &["fq_coddle"]),
        ("duplicate-name", &["a", "a"]),
        ("unknown-class", &["aa"]),
        ("unknown-field", &["dprt"]),
        ("unknown-key", &["klass"]),
        ("empty-rule", &["{ match: tcp }"]),
    ];
    let found: Vec<_> = found.iter().map(|(c, p)| (*c, p.iter().map(String::as_str).collect::<Vec<_>>())).collect();
    let found: Vec<(&str, &[&str])> = found.iter().map(|(c, p)| (*c, p.as_slice())).collect();
    assert_eq!(found, expected);
}

#[test]
fn names_that_are_not_unique_want_a_path() {
    let text = r"
interfaces:
  eth0:
    egress:
      htb:
        default: up
        classes:
          up: { rate: 1mbit, classes: { ssh: { rate: 1kbit } } }
          down: { rate: 1mbit, classes: { ssh: { rate: 1kbit, leaf: { prio: { bands: [high, low], priomap: [high, low, low, low, low, low, high, high, low, low, low, low, low, low, low, low] } } } } }
      rules:
        - { class: ssh, match: tcp }
        - { class: up/ssh, match: tcp }
        - { class: down/ssh/high, match: tcp }
        - { class: low, match: udp }
        - { class: hig, match: udp }
";
    let (policy, found, sources) = attempt(text, Notation::Yaml);
    let codes: Vec<_> = found.iter().map(|d| (d.code.name, sources.slice(d.span()))).collect();
    assert_eq!(codes, [("inner-class", "up"), ("unknown-class", "ssh"), ("unknown-class", "hig")]);
    assert_eq!(found[1].labels.len(), 3);
    assert_eq!(found[2].help.as_deref(), Some("did you mean `high`?"));
    let rules = &policy.interfaces[0].egress.as_ref().unwrap().rules;
    assert_eq!(rules[3].class.as_ref().unwrap().value, "down/ssh/low");
}

#[test]
fn tos_maps_become_priomaps() {
    let map = |tos: &str| {
        let text = format!(
            "interfaces: {{ e: {{ egress: {{ prio: {{ bands: [high, medium, low], tos: {{ {tos} }} }} }} }} }}"
        );
        let (policy, found, _) = attempt(&text, Notation::Yaml);
        let codes: Vec<_> = found.iter().map(|d| d.code.name).collect();
        let discipline = &policy.interfaces[0].egress.as_ref().unwrap().discipline;
        (codes, discipline.options.value::<NumberList>("priomap").map(|m| m.show()).unwrap_or_default())
    };
    let usual = "[1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]";
    assert_eq!(map("minimize-delay: high, maximize-throughput: low"), (vec![], usual.to_owned()));
    assert_eq!(map("0x18: high").1, "[1, 2, 2, 2, 0, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]");
    assert_eq!(map("maximize-reliability: high").0, ["tos-clash"]);
    assert_eq!(map("maximize-reliability: high, normal-service: low").0, ["tos-clash"]);
    assert!(map("maximize-reliability: high, normal-service: high").0.is_empty());
    assert_eq!(map("minimize-monetary-cost: medium").0, ["tos-ecn"]);
    assert_eq!(map("minimise-delay: high").0, ["bad-value"]);
    assert_eq!(map("minimize-delay: hgih").0, ["unknown-band"]);
    assert_eq!(map("0x20: high").0, ["bad-value"]);
}

#[test]
fn values_in_a_circle_and_profiles_on_themselves() {
    assert_eq!(wrong("let: { a: $b, b: $c, c: $a }\ninterfaces: {}").len(), 1);
    let found = wrong(
        "profiles: { p: { profile: q }, q: { profile: p } }\ninterfaces: { e: { egress: { htb: { classes: { c: { rate: 1kbit, profile: p } } } } } }",
    );
    assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), ["let-cycle"]);
    let deep: String = (0..100).map(|i| format!("  a{i}: $a{}\n", i + 1)).collect();
    let text = format!("let:\n{deep}  a100: 1mbit\ninterfaces: {{ e: {{ link: {{ rate: $a0 }} }} }}");
    assert_eq!(wrong(&text)[0].0, "too-deep");
}

#[test]
fn children_that_a_kind_cannot_have() {
    let at = |discipline: &str| wrong(&format!("interfaces: {{ e: {{ egress: {{ {discipline} }} }} }}"))[0].clone();
    for (text, word) in [
        ("sfq: { perturb: 10s, leaf: pfifo }", "leaf"),
        ("sfq: { perturb: 10s, classes: {} }", "classes"),
        ("tbf: { classes: {} }", "classes"),
        ("prio: { classes: {} }", "classes"),
        ("htb: { bands: 3 }", "bands"),
        ("htb: { leaf: sfq }", "leaf"),
    ] {
        assert_eq!(at(text), ("no-children", vec![word.to_owned()]), "{text}");
    }
    assert_eq!(at("clsact: {}").0, "unknown-kind");
    assert_eq!(at("rate: 1mbit").0, "unknown-kind");
    assert_eq!(at("tbf: {}, sfq: {}").0, "duplicate-key");
}

#[test]
fn ids_say_their_base() {
    let id = |id: &str| {
        let text = format!("interfaces: {{ e: {{ egress: {{ htb: {{ id: {id} }} }} }} }}");
        let (policy, found, _) = attempt(&text, Notation::Yaml);
        (
            policy.interfaces[0].egress.as_ref().unwrap().discipline.id.as_ref().map(|i| i.value),
            found.first().map(|d| d.code.name),
        )
    };
    assert_eq!(id("0x10"), (Some(16), None));
    assert_eq!(id("\"10:\""), (Some(16), None));
    assert_eq!(id("5"), (Some(5), None));
    assert_eq!(id("10"), (None, Some("bare-number")));
    assert_eq!(id("0x10000"), (None, Some("out-of-range")));
    // the kernel takes it on a root; it can be accepted
    assert_eq!(id("0xffff"), (Some(0xffff), Some("out-of-range")));
}

/// A rule whose match is wrong still has its class looked for, and a value that was refused is not also said to be missing.
#[test]
fn one_mistake_hides_no_other_and_makes_no_other() {
    let text = "interfaces:\n  a:\n    egress:\n      htb:\n        default: web\n        classes: { web: { rate: 10 } }\n      \
                rules: [ { class: wbe, match: \"src 10.0.0.0/33\" }, { class: web, match: tcp dprt 1 }, { class: web, match: udp } ]\n";
    let (policy, mut found, _) = attempt(text, Notation::Yaml);
    let mut sink = Sink::new();
    crate::policy::check::check(&policy, &|_| Facts::default(), &mut sink);
    found.extend(sink.found);
    let mut codes: Vec<_> = found.iter().map(|d| d.code.name).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["bare-number", "match-value", "unknown-class", "unknown-field"]);
}

#[test]
fn profiles_that_grow_without_bound_are_stopped() {
    let on = |profiles: &str, last: &str| {
        let text = format!(
            "profiles: {{ {profiles} }}\ninterfaces: {{ e: {{ egress: {{ htb: {{ default: y, classes: {{ x: {{ profile: {last} }}, y: {{ rate: 1kbit }} }} }} }} }} }}"
        );
        wrong(&text).into_iter().map(|f| f.0).collect::<Vec<_>>()
    };
    assert_eq!(on("gold: { rate: 1mbit, classes: { a: { profile: gold } } }", "gold"), ["let-cycle"]);
    let twice: String = (1..40).map(|i| format!("p{i}: {{ profile: [p{}, p{}] }}, ", i - 1, i - 1)).collect();
    assert_eq!(on(&format!("p0: {{ rate: 1mbit }}, {twice}"), "p39"), [""; 0]);
    let long: String = (1..200).map(|i| format!("p{i}: {{ profile: p{} }}, ", i - 1)).collect();
    assert_eq!(on(&format!("p0: {{ rate: 1mbit }}, {long}"), "p199"), ["too-deep"]);
    let tree: String = (1..40)
        .map(|i| format!("p{i}: {{ classes: {{ a: {{ profile: p{} }}, b: {{ profile: p{} }} }} }}, ", i - 1, i - 1))
        .collect();
    assert!(on(&format!("p0: {{ rate: 1mbit }}, {tree}"), "p39").contains(&"handle-budget"));
}

#[test]
fn lists_of_values_are_lists_of_what_these_stand_for() {
    let policy = yaml(
        "let: { hi: 0, mid: 1, map: [$mid, 2, 2, 2, $mid, 2, $hi, $hi, 1, 1, 1, 1, 1, 1, 1, 1] }\n\
         interfaces: { e: { egress: { prio: { bands: 3, priomap: $map } } } }",
    );
    let discipline = &policy.interfaces[0].egress.as_ref().unwrap().discipline;
    let map = discipline.options.value::<NumberList>("priomap").unwrap();
    assert_eq!(map.0, crate::policy::tos::PRIOMAP);
}
