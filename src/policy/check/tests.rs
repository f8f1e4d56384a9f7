#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used, reason = "tests")]

use super::*;
use crate::diagnostic::{Diagnostic, render};
use crate::policy::load::parse;
use crate::policy::read::read;
use crate::source::{Notation, Source, Sources};
use crate::syntax::Limits;
use crate::unit::Rate;

fn with(text: &str, machine: Facts) -> (Vec<Diagnostic>, Sources) {
    let (mut sources, mut sink) = (Sources::new(), Sink::new());
    let source = Source::with_notation("test", text, Notation::Yaml);
    let facts = |_: &str| machine.clone();
    let documents = parse(source, &Limits::default(), &mut sources, &mut sink).unwrap();
    let policy = read(&documents, &facts, &mut sink);
    check(&policy, &facts, &mut sink);
    (sink.sorted(), sources)
}

/// Codes of what is found, each with the text at its places.
fn found(text: &str) -> Vec<(&'static str, Vec<String>)> {
    let (found, sources) = with(text, Facts::default());
    let places = |d: &Diagnostic| d.labels.iter().map(|l| sources.slice(l.span).to_owned()).collect();
    found.iter().map(|d| (d.code.name, places(d))).collect()
}

/// An interface with these lines.
fn on(lines: &str) -> Vec<(&'static str, Vec<String>)> {
    found(&format!("interfaces: {{ eth0: {{ {lines} }} }}"))
}

fn is(found: &[(&'static str, Vec<String>)], code: &str, places: &[&str]) {
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].0, found[0].1.iter().map(String::as_str).collect::<Vec<_>>()), (code, places.to_vec()));
}

fn htb(options: &str, classes: &str) -> String {
    format!("egress: {{ htb: {{ default: x, {options} classes: {{ x: {{ rate: 100kbit }}, {classes} }} }} }}")
}

#[test]
fn what_is_promised_is_held_against_what_there_is() {
    let text = htb("", "a: { rate: 1mbit, classes: { b: { rate: 700kbit }, c: { rate: 400kbit } } }");
    is(&on(&text), "rates-over-parent", &["1mbit", "700kbit"]);
    assert!(on(&text.replace("400", "300")).is_empty());
    let top = |rate: &str| on(&format!("link: {{ rate: {rate} }}, {}", htb("", "a: { rate: 500kbit, ceil: 900kbit }")));
    is(&top("800kbit"), "rate-over-link", &["900kbit", "800kbit"]);
    is(&top("450kbit"), "rate-over-link", &["500kbit", "450kbit"]);
    assert!(top("1mbit").is_empty());
    is(
        &on(&format!("link: {{ rate: 1mbit }}, {}", htb("", "a: { rate: 500kbit }, b: { rate: 500kbit }"))),
        "rate-over-link",
        &["100kbit", "1mbit"],
    );
    is(
        &on("link: { rate: 1mbit }, egress: { tbf: { rate: 2mbit, burst: 5kb, latency: 50ms } }"),
        "rate-over-link",
        &["2mbit", "1mbit"],
    );
}

#[test]
fn levels_leaves_and_ids() {
    let nest = |n: usize| {
        (1..=n).rev().fold(String::new(), |inner, i| format!("c{i}: {{ rate: 1mbit, classes: {{ {inner} }} }},"))
    };
    assert!(on(&htb("", &nest(8))).is_empty());
    is(&on(&htb("", &nest(9))), "class-depth", &["c9"]);
    let leaf = "a: { rate: 1mbit, leaf: fq_codel, classes: { b: { rate: 1mbit } } }";
    is(&on(&htb("", leaf)), "leaf-on-inner", &["fq_codel", "b"]);
    is(&on(&htb("", "a: { id: 0x5, rate: 1mbit }, b: { id: 5, rate: 1mbit }")), "duplicate-id", &["5", "0x5"]);
    is(
        &on(&htb("id: 0x5,", "a: { rate: 1mbit, leaf: { sfq: { id: 5, perturb: 10s } } }")),
        "duplicate-id",
        &["5", "0x5"],
    );
}

#[test]
fn what_no_rule_takes() {
    let bare = "egress: { htb: { classes: { a: { rate: 1mbit } } }";
    is(&on(&format!("{bare} }}")), "no-default", &["htb"]);
    assert!(on(&format!("{bare}, rules: [ {{ class: a }} ] }}")).is_empty());
    assert!(on(&format!("{bare}, rules: [ {{ class: a, match: any }} ] }}")).is_empty());
    is(&on(&format!("{bare}, rules: [ {{ class: a, match: tcp }} ] }}")), "no-default", &["htb"]);
}

#[test]
fn an_r2q_that_suits_nobody_and_one_that_does() {
    let cure = |text: &str| {
        let (found, _) = with(&format!("interfaces: {{ eth0: {{ {text} }} }}"), Facts::default());
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].code.name, "quantum-range");
        found[0].help.clone().unwrap()
    };
    assert!(cure(&htb("r2q: 10000,", "a: { rate: 1mbit }")).starts_with("write `r2q: 8`"));
    assert!(on(&htb("r2q: 8,", "a: { rate: 1mbit }")).is_empty());
    assert!(cure(&htb("r2q: 8,", "a: { rate: 1gbit }")).starts_with("no r2q"));
    assert!(on(&htb("r2q: 8,", "a: { rate: 1gbit, quantum: 20000b }")).is_empty());
    assert!(on(&htb("", "a: { rate: 1gbit }")).is_empty());
}

#[test]
fn overhead_twice() {
    let link = "link: { overhead: 18, mpu: 64 }, ";
    is(
        &on(&format!("{link}{}", htb("", "a: { rate: 1mbit, overhead: 18 }"))),
        "stab-and-overhead",
        &["18", "18, mpu: 64"],
    );
    assert!(on(&format!("{link}{}", htb("", "a: { rate: 1mbit }"))).is_empty());
}

#[test]
fn a_fair_queue_where_no_queue_forms() {
    let sfq = "egress: { sfq: { perturb: 10s } }";
    is(&on(sfq), "sfq-at-root", &["sfq"]);
    assert!(on(&format!("link: {{ rate: 2mbit }}, {sfq}")).is_empty());
    let text = format!("interfaces: {{ eth0: {{ link: {{ rate: 2mbit }}, {sfq} }} }}");
    let (found, _) = with(&text, Facts { speed: Some(Rate(100_000_000)), ..Facts::default() });
    assert_eq!(found[0].code.name, "sfq-at-root");
    let text = text.replace("2mbit", "95mbit");
    assert!(with(&text, Facts { speed: Some(Rate(100_000_000)), ..Facts::default() }).0.is_empty());
}

#[test]
fn private_addresses_behind_nat() {
    let rule = |matches: &str| {
        format!(
            "link: {{ nat: yes }}, egress: {{ htb: {{ default: a, classes: {{ a: {{ rate: 1mbit }} }} }}, rules: [ {{ class: a, match: {matches} }} ] }}"
        )
    };
    is(&on(&rule("not src 192.168.1.9")), "nat-source", &["src 192.168.1.9", "yes"]);
    is(&on(&rule("tcp host 10.0.0.0/8")), "nat-source", &["host 10.0.0.0/8", "yes"]);
    assert!(on(&rule("dst 192.168.1.9")).is_empty());
    assert!(on(&rule("src 198.51.100.7")).is_empty());
    assert!(on(&rule("src 192.168.1.9").replace("yes", "no")).is_empty());
    let arriving = "link: { nat: yes }, ingress: { rules: [ { do: drop, match: dst 192.168.1.9 } ] }";
    is(&on(arriving), "nat-source", &["dst 192.168.1.9", "yes"]);
    // no mark is free to be proposed
    let marks = "rules: [ { class: a, match: mark 0/1 }, { class: a, match: mark 1/1 },";
    let full = on(&rule("src 192.168.1.9").replace("rules: [", marks));
    assert!(full.iter().any(|(code, _)| *code == "nat-source"), "{full:?}");
}

#[test]
fn rules_behind_wider_ones() {
    let rules = |list: &[&str]| {
        let rules: Vec<_> = list.iter().map(|m| format!("{{ class: x, match: \"{m}\" }}")).collect();
        let text = format!("{}, rules: [ {} ] }}", htb("", "").strip_suffix(" }").unwrap(), rules.join(", "));
        on(&text)
    };
    for (wide, narrow) in [
        ("any", "tcp"),
        ("tcp dport 22", "tcp dport 22"),
        ("dport 22", "tcp dport 22"),
        ("tcp", "tcp dport 22"),
        ("port 53", "udp dport 53"),
        ("src 10.0.0.0/8", "src 10.1.2.3 tcp"),
        ("dport 1-100", "tcp dport {22, 80}"),
        ("host 192.0.2.1", "dst 192.0.2.1"),
        ("tcp or udp", "udp"),
        ("dport {22, 80}", "dport 80 or dport 22"),
        ("not src 10.0.0.0/8", "not src 10.0.0.0/7"),
        ("ip", "src 192.0.2.0/24"),
        ("not tcp dport {22, 80}", "not tcp dport {22, 80, 443}"),
    ] {
        let found = rules(&[wide, narrow]);
        let equal = wide == narrow || narrow.contains(" or ");
        is(&found, if equal { "equal-rules" } else { "unreachable-rule" }, &[narrow, wide]);
        if !equal {
            assert!(rules(&[narrow, wide]).is_empty(), "{narrow} before {wide}");
        }
    }
    for (first, second) in [
        ("tcp dport 22", "udp dport 22"),
        ("src 10.0.0.1", "dst 10.0.0.1"),
        ("dport 22", "sport 22"),
        ("ip6", "src 10.0.0.1"),
    ] {
        assert!(rules(&[first, second]).is_empty(), "{first}, {second}");
    }
    // a rule that lets the packet go on hides nothing
    let text = "ingress: { rules: [ { do: [ { mark: 5 }, continue ] }, { do: drop, match: tcp } ] }";
    assert!(on(text).is_empty(), "{:?}", on(text));
    is(&on(&text.replace("continue", "pass")), "unreachable-rule", &["tcp", "{ do: [ { mark: 5 }, pass ] }"]);
}

#[test]
fn priorities_on_an_ifb() {
    let shape = |rules: &str| {
        on(&format!(
            "ingress: {{ shape: {{ prio: {{ bands: [high, medium, low], tos: {{ minimize-delay: high }} }}{rules} }} }}"
        ))
    };
    is(&shape(""), "tos-on-ifb", &["{ minimize-delay: high }", "prio"]);
    assert!(shape(", rules: [ { class: high, match: tcp } ]").is_empty());
}

#[test]
fn kinds_speak_at_the_policys_places() {
    is(
        &on("egress: { tbf: { rate: 1mbit, buffer: 10kb, limit: 10kb, latency: 50ms } }"),
        "limit-or-latency",
        &["10kb", "50ms"],
    );
    is(&on("egress: { tbf: { rate: 1mbit, limit: 10kb } }"), "missing-option", &["tbf"]);
    is(&on(&htb("", "a: { rate: 1mbit, ceil: 500kbit }")), "ceil-below-rate", &["500kbit", "1mbit"]);
    is(&on(&htb("", "a: {}")), "missing-option", &["a"]);
}

#[test]
fn numbers_run_out() {
    let many: String = (0..65535).map(|i| format!("c{i}: {{ rate: 1kbit }}, ")).collect();
    let (found, sources) = with(&format!("interfaces: {{ eth0: {{ {} }} }}", htb("", &many)), Facts::default());
    let codes: Vec<_> = found.iter().map(|d| d.code.name).collect();
    assert_eq!(codes, ["flat-tree", "handle-budget"], "{}", render(&found, &sources, false, 100));
}

#[test]
fn classes_that_nothing_leads_to() {
    let classes = "a: { rate: 1mbit }, b: { rate: 1mbit, classes: { c: { rate: 1mbit }, d: { rate: 1mbit } } }";
    let found = |classes: &str, rules: &str| {
        let text = format!("egress: {{ htb: {{ default: a, classes: {{ {classes} }} }}, rules: [ {rules} ] }}");
        on(&text).into_iter().filter(|(code, _)| *code == "unreached-class").flat_map(|(_, at)| at).collect::<Vec<_>>()
    };
    assert_eq!(found(classes, ""), [""; 0]);
    assert_eq!(found(classes, "{ class: c, match: tcp }"), ["d"]);
    assert_eq!(found(classes, "{ class: c, match: tcp }, { class: d, match: tcp dport 22 }"), [""; 0]);
    assert_eq!(found(classes, "{ class: c, match: tcp }, { class: e, match: mark 5 }"), [""; 0]);
    assert_eq!(found(&classes.replace("d: { ", "d: { id: 7, "), "{ class: c, match: tcp }"), [""; 0]);
    // below a class only what comes to it counts
    let nested = "a: { rate: 1mbit, leaf: { drr: { default: x, classes: { x: {}, y: {} } } } }";
    assert_eq!(found(nested, "{ class: a, match: tcp }"), ["y"]);
    let nested = nested.replace("a: {", "b: {").replace("x: {}", "x: { match: udp }") + ", a: { rate: 1mbit }";
    assert_eq!(found(&nested, "{ class: a, match: mark 4 }"), ["y"]);
    let nested = nested.replace(", match: udp", "").replace("match: udp", "");
    assert_eq!(found(&nested, "{ class: a, match: mark 4 }"), ["b"]);
    // a filter that names no class may mean any
    let filter = |filter: &str| {
        let found =
            on(&format!("egress: {{ htb: {{ default: a, classes: {{ {classes} }} }}, filters: [ {filter} ] }}"));
        found.into_iter().filter(|(code, _)| *code == "unreached-class").count()
    };
    assert_eq!(filter("{ fw: { prio: 9, handle: 0x5, flowid: c } }"), 1);
    assert_eq!(filter("{ fw: { prio: 9, handle: 0x5, flowid: 1:7 } }"), 0);
    // bands by their priorities
    let bands = |more: &str| {
        on(&format!("egress: {{ prio: {{ bands: [a, b, c, d]{more} }}, rules: [ {{ class: a, match: tcp }} ] }}"))
    };
    is(&bands(""), "unreached-class", &["d"]);
    assert!(bands(", priomap: [0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]").is_empty());
}

#[test]
fn what_is_too_varied_is_said_if_asked() {
    let hard: Vec<_> = (0..12).map(|i| format!("(sport not {i} or dport not {i} or len not {i})")).collect();
    let rule = format!("{{ do: drop, match: \"{}\" }}", hard.join(" and "));
    let text = format!("interfaces: {{ eth0: {{ ingress: {{ rules: [ {rule}, {{ do: drop, match: tcp }} ] }} }} }}");
    let (mut sources, mut sink) = (Sources::new(), Sink::new());
    let documents = parse(Source::new("p.yaml", text), &Limits::default(), &mut sources, &mut sink).unwrap();
    let policy = read(&documents, &|_| Facts::default(), &mut sink);
    check(&policy, &|_| Facts::default(), &mut sink);
    assert!(sink.found.is_empty());
    let lists = super::summaries(&policy, &mut sink);
    assert_eq!(sink.found.iter().map(|d| d.code.name).collect::<Vec<_>>(), ["rule-too-varied"]);
    assert!(!lists[0].whole && lists[0].goes == "goes on to the machine", "{lists:?}");
}

/// Where the packets end that no rule takes.
#[test]
fn what_no_rule_takes_is_dropped_by_some() {
    let drr = |more: &str| {
        on(&format!("egress: {{ drr: {{ {more} classes: {{ a: {{ match: mark 6 }}, b: {{ match: mark 5 }} }} }} }}"))
    };
    is(&drr(""), "no-default", &["drr"]);
    assert!(drr("default: a,").is_empty());
    assert!(on("egress: { qfq: { classes: { a: {}, b: { match: mark 5 } } }, rules: [ { class: a } ] }").is_empty());
    // below another discipline only what is sent to its class comes
    let nested = |default: &str, rules: &str| {
        let leaf = "drr: { classes: { x: { match: mark 5 }, y: { match: mark 6 } } }";
        on(&format!(
            "egress: {{ htb: {{ default: {default}, classes: {{ a: {{ rate: 1mbit, match: mark 8 }}, b: {{ rate: 1mbit, leaf: {{ {leaf} }} }} }} }}, rules: [ {rules} ] }}"
        ))
    };
    assert!(nested("a", "").is_empty());
    assert!(nested("x", "").is_empty());
    is(&nested("b", ""), "no-default", &["drr"]);
    is(&nested("a", "{ class: b, match: mark 7 }"), "no-default", &["drr"]);
    is(
        &on("egress: { prio: { leaves: { 1: { hfsc: { classes: { a: { ls: 1mbit } } } } } } }"),
        "no-default",
        &["hfsc"],
    );
}

#[test]
fn classes_are_held_against_what_their_discipline_can() {
    let hfsc = |class: &str| {
        on(&format!("link: {{ rate: 10mbit }}, egress: {{ hfsc: {{ default: a, classes: {{ a: {{ {class} }} }} }} }}"))
    };
    assert!(hfsc("sc: 10mbit").is_empty());
    is(&hfsc("sc: 11mbit"), "rate-over-link", &["a", "10mbit"]);
    is(&hfsc("ul: 1mbit"), "missing-option", &["1mbit"]);
    is(&hfsc("rt: 1mbit, ul: 1mbit"), "missing-option", &["1mbit"]);
    is(&hfsc("sc: 1mbit, rt: 1mbit"), "duplicate-key", &["1mbit", "1mbit"]);
    is(&on("egress: { drr: { default: b, classes: { a: { classes: { b: {} } } } } }"), "class-depth", &["b"]);
    let many = (0..65).map(|i| format!("c{i}: {{ weight: 1024 }}")).collect::<Vec<_>>().join(", ");
    is(&on(&format!("egress: {{ qfq: {{ default: c0, classes: {{ {many} }} }} }}")), "out-of-range", &["qfq"]);
}

#[test]
fn queues_are_the_devices() {
    let with_queues = |lines: &str| {
        let facts = Facts { queues: 2, ..Facts::default() };
        let (found, _) = with(&format!("interfaces: {{ eth0: {{ {lines} }} }}"), facts);
        found.iter().map(|d| d.code.name).collect::<Vec<_>>()
    };
    assert_eq!(with_queues("egress: { mq: { leaves: { 1: fq_codel } } }"), [""; 0]);
    assert_eq!(with_queues("egress: { mq: { leaves: { 2: fq_codel } } }"), ["bands-range"]);
    assert_eq!(with_queues("egress: { multiq: { bands: [a, b, c] } }"), ["bands-range"]);
    assert_eq!(with_queues("egress: { mqprio: { hw: 0, num_tc: 1, map: [], queues: [3@0] } }"), ["out-of-range"]);
    assert_eq!(with_queues("egress: { prio: { leaves: { 0: mq } } }"), ["no-children"]);
}

/// A word that is misspelt is said, and not also that what it stands for is missing.
#[test]
fn a_slip_is_one_mistake() {
    let whole = r#"let: { fast: { up: 2mbit, down: 8mbit } }
profiles: { gold: { rate: 10% } }
interfaces:
  eth0:
    link: { rate: $fast }
    both:
      htb:
        default: rest
        classes:
          line:
            rate: 100%
            classes:
              ssh: { rate: { up: 1mbit, down: 20% } }
              rest: { profile: gold, ceil: 90% }
      rules:
        - { class: ssh, match: tcp client port 22 }
"#;
    let codes = |text: &str| found(text).into_iter().map(|found| found.0).collect::<Vec<_>>();
    assert_eq!(codes(whole), [""; 0]);
    for (word, slip) in [
        ("let:", "lett:"),
        ("up: 2mbit", "upp: 2mbit"),
        ("profiles:", "profles:"),
        ("link:", "lnk:"),
        ("rate: $fast", "rte: $fast"),
        ("default:", "defalt:"),
        ("classes:\n          line", "clases:\n          line"),
        ("rate: 100%", "rte: 100%"),
        ("classes:\n              ssh", "clases:\n              ssh"),
        ("rate: { up", "rte: { up"),
        ("down: 20%", "dwn: 20%"),
        ("profile: gold", "profle: gold"),
        ("match:", "mtch:"),
        ("class: ssh", "clas: ssh"),
    ] {
        let text = whole.replace(word, slip);
        assert_ne!(text, whole, "{word}");
        let found = codes(&text);
        assert!(matches!(found.as_slice(), ["unknown-key"]), "{slip}: {found:?}");
    }
    // of a class whose classes are not known nobody knows a quantum
    let computed = whole.replace("        default:", "        r2q: 1\n        default:");
    assert_eq!(codes(&computed), [""; 0]);
    assert_eq!(codes(&computed.replace("classes:\n              ssh", "clases:\n              ssh")), ["unknown-key"]);
    // what is said for the other way alone is missing, and what was not meant is one more mistake
    assert_eq!(codes(&whole.replace("up: 1mbit, down: 20%", "up: 1mbit")), ["missing-option"]);
    assert_eq!(codes(&whole.replace("rate: { up: 1mbit, down: 20% }", "xyzzy: 1")), ["missing-option", "unknown-key"]);
    let several = whole.replace("rate: 100%", "rate: fast").replace("class: ssh", "class: other");
    assert_eq!(codes(&several), ["bad-value", "unknown-class"]);
}
