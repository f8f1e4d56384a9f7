//! `doctor` tells what this kernel is, and `apply` and `try` ask it before they send anything.

use crate::bed::kernel;
use crate::bed::netns::Ran;
use crate::host::{Host, path};
use crate::needs;
use serde_json::Value;

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran}"))
}

/// Name, group and status of everything in the table.
fn table(report: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let things = report["things"].as_array().unwrap().iter();
    things.map(|thing| (text(&thing["name"]), text(&thing["group"]), text(&thing["status"]))).collect()
}

/// What the probe says is what tc finds, asked for one thing after another.
#[test]
fn what_the_doctor_says_is_what_tc_finds() {
    let host = Host::with(&["eth0"]);
    let report = json(&host.shapectl(&["doctor", "--format", "json"]));
    let probed = kernel::probed();
    let mut compared = 0;
    for (name, group, status) in &table(&report) {
        // a kind of filter and one of actions may have the same name
        let action = format!("act_{name}");
        let name = if group.starts_with("action") && probed.contains(&action.as_str()) { &action } else { name };
        if !probed.contains(&name.as_str()) {
            continue;
        }
        compared += 1;
        let lacks = kernel::lacks(name);
        match (status.as_str(), &lacks) {
            ("ok", None) | ("missing", Some(_)) => {}
            // it cannot be asked for without something else that is missing
            ("unknown", Some(_)) => {}
            _ => panic!("{name} is {status} to doctor, and to tc: {lacks:?}"),
        }
    }
    assert!(compared > 20, "{compared}");
}

/// The kernel that the project builds has everything that is known here but what is newer.
#[test]
fn a_kernel_with_everything_lacks_nothing() {
    if kernel::name() != "uml-6.12" {
        return kernel::skip("a_kernel_with_everything_lacks_nothing", "everything", "only uml-6.12 has it");
    }
    let host = Host::with(&["eth0"]);
    let report = json(&host.shapectl(&["doctor", "--format", "json"]));
    let told = table(&report);
    let missing = told.iter().filter(|(.., status)| status != "ok").map(|(name, ..)| name.as_str());
    // the doctor does not speak of all that the tests need
    let mut listed = kernel::listed("uml-6.12");
    listed.retain(|thing| told.iter().any(|(name, ..)| name == thing));
    assert_eq!(missing.collect::<Vec<_>>(), listed, "left: doctor, right: tests/kernel/lacks");
    assert_eq!(report["ok"], true);
}

#[test]
fn no_link_is_touched_and_the_odd_ones_are_told() {
    let host = Host::with(&["eth0"]);
    host.netns.ip("link set dev eth0 txqueuelen 0");
    let before = (host.dump(), host.netns.ip("-d link show"));
    let ran = host.shapectl(&["doctor", "eth0"]);
    let said = ran.ok();
    assert!(said.contains("ip link set dev eth0 txqueuelen 1000"), "{said}");
    assert!(said.contains("link eth0"), "{said}");
    assert_eq!(before, (host.dump(), host.netns.ip("-d link show")));
    let nowhere = host.shapectl(&["doctor", "eth9"]);
    assert_eq!(nowhere.status.code(), Some(1), "{nowhere}");
    assert!(nowhere.stderr.contains("no-interface"), "{nowhere}");
}

/// What the policy needs and the kernel lacks is found before anything is sent, all of it in one run, each at its line.
#[test]
fn what_is_lacking_stops_an_apply_before_it_begins() {
    needs!("htb", "veth");
    let kinds = ["sfq", "fq_codel", "red", "prio", "fq_pie", "hhf", "choke"];
    let words = [("red", "red: { limit: 400kb }"), ("choke", "choke: { limit: 1000, bandwidth: 10mbit }")];
    let lacking: Vec<&str> =
        kinds.into_iter().filter(|kind| shapectl::kind::find(shapectl::kind::Role::Qdisc, kind).is_some()).collect();
    let lacking: Vec<&str> = lacking.into_iter().filter(|kind| kernel::lacks(kind).is_some()).take(2).collect();
    let host = Host::with(&["eth0"]);
    let sound = host.policy("interfaces: { eth0: { egress: { tbf: { rate: 2mbit, burst: 10kb, latency: 50ms } } } }\n");
    let report = host.shapectl(&["doctor", "--policy", path(&sound)]);
    if kernel::lacks("tbf").is_none() {
        assert_eq!(report.status.code(), Some(0), "{report}");
    }
    if lacking.is_empty() {
        return kernel::skip(
            "what_is_lacking_stops_an_apply_before_it_begins",
            "nothing",
            "there is nothing to refuse",
        );
    }
    let mut text = "interfaces:\n  eth0:\n    egress:\n      htb:\n        default: c0\n        classes:\n".to_owned();
    for (i, kind) in lacking.iter().enumerate() {
        let leaf = words.iter().find(|(known, _)| known == kind).map_or_else(
            || if *kind == "sfq" { "sfq: { perturb: 10s }".to_owned() } else { (*kind).to_owned() },
            |(_, words)| (*words).to_owned(),
        );
        let leaf = if leaf.contains(':') { format!("{{ {leaf} }}") } else { leaf };
        text +=
            &format!("          c{i}:\n            rate: 1mbit\n            ceil: 2mbit\n            leaf: {leaf}\n");
    }
    let policy = host.policy(&text);
    let before = host.dump();
    for command in ["apply", "try"] {
        let ran = host.shapectl(&[command, path(&policy), "--format", "json"]);
        assert_eq!(ran.status.code(), Some(3), "{command}: {ran}");
        let found = json(&ran);
        let found = found["diagnostics"].as_array().unwrap();
        for (i, kind) in lacking.iter().enumerate() {
            let own = found.iter().find(|d| d["message"].as_str().unwrap().contains(&format!("no qdisc `{kind}`")));
            let own = own.unwrap_or_else(|| panic!("{command} does not tell of {kind}: {ran}"));
            assert_eq!(own["code"], "kernel-lacks");
            assert_eq!(own["labels"][0]["line"], 10 + 4 * i, "{own:#}");
        }
        assert_eq!(before, host.dump(), "{command} sent something");
    }
    let report = host.shapectl(&["doctor", "--policy", path(&policy), "--format", "json"]);
    assert_eq!(report.status.code(), Some(3), "{report}");
    let report = json(&report);
    assert_eq!(report["ok"], false);
    for kind in lacking {
        let thing = report["things"].as_array().unwrap().iter().find(|t| t["name"] == kind).unwrap();
        assert_eq!((&thing["needed"], &thing["status"]), (&Value::Bool(true), &Value::from("missing")));
        assert!(thing["config"].as_str().unwrap().starts_with("CONFIG_NET_SCH_"), "{thing}");
    }
}

/// A mark in a u32 filter, where u32 takes it and forgets it, so that every packet would match: another classifier does it,
/// and where u32 is pinned, nobody.
#[test]
fn a_mark_that_would_be_forgotten_stops_an_apply() {
    needs!("htb", "veth", "u32");
    let host = Host::with(&["eth0"]);
    let policy = host.policy(
        "interfaces:\n  eth0:\n    egress:\n      htb:\n        default: b\n        classes:\n          \
         a: { rate: 1mbit }\n          b: { rate: 1mbit }\n      \
         rules: [{ class: a, match: mark 5 and udp dport 53PIN }]\n",
    );
    let text = std::fs::read_to_string(&policy).unwrap();
    let policy = host.policy(&text.replace("PIN", ", classifier: u32"));
    let ran = host.shapectl(&["apply", path(&policy)]);
    match kernel::lacks("u32-mark") {
        None => host.assert_settled(&policy),
        Some(_) => {
            assert!(!ran.status.success(), "{ran}");
            assert!(ran.stderr.contains("mark-unsupported"), "{ran}");
            assert!(!host.netns.tc("qdisc show dev eth0").contains("htb"), "something was done");
        }
    }
    let policy = host.policy(&text.replace("PIN", ""));
    host.apply(&policy);
    host.assert_settled(&policy);
    let held = host.netns.tc("filter show dev eth0");
    assert_eq!(held.contains("u32"), kernel::lacks("u32-mark").is_none(), "{held}");
}

/// The action `ct` below a discipline, which newer kernels refuse: found before anything is sent, also where a filter that
/// stands gets it. On a hook all take it.
#[test]
fn ct_below_a_discipline_stops_an_apply_where_it_is_refused() {
    needs!("htb", "u32", "clsact", "ct");
    let host = Host::with(&["eth0"]);
    let text = |action: &str| {
        format!(
            "interfaces:\n  eth0:\n    egress:\n      htb: {{ classes: {{ a: {{ rate: 1mbit }} }}, default: a }}\n      \
             filters:\n        - {{ u32: {{ prio: 5, protocol: ip, match: u32 0 0, action: {action} }} }}\n"
        )
    };
    let plain = host.policy(&text("pass"));
    host.apply(&plain);
    let before = host.dump();
    let with = host.policy(&text("ct"));
    let ran = host.shapectl(&["apply", path(&with)]);
    // the kernel itself, asked by tc
    let filter =
        ["filter", "add", "dev", "eth0", "parent", "1:", "prio", "9", "u32", "match", "u32", "0", "0", "action", "ct"];
    let refuses = !host.netns.run("tc", filter).status.success();
    if refuses {
        assert!(ran.status.code() == Some(3) && ran.stderr.contains("kernel-lacks"), "{ran}");
        assert!(ran.stderr.contains("policy.yaml:6:") && !ran.stderr.contains("stands again"), "{ran}");
        assert_eq!(before, host.dump(), "something was sent");
        let ran = host.shapectl(&["check", "--live", path(&with)]);
        assert!(ran.status.code() == Some(1) && ran.stderr.contains("kernel-lacks"), "{ran}");
    } else {
        assert_eq!(ran.status.code(), Some(0), "{ran}");
        host.netns.tc("filter del dev eth0 parent 1: prio 9 protocol all u32");
        host.assert_settled(&with);
    }
    let hook = "interfaces: { eth0: { ingress: { filters: [{ u32: { prio: 5, protocol: ip, match: u32 0 0, action: ct } }] } } }\n";
    let hook = host.policy(hook);
    host.shapectl(&["check", "--live", path(&hook)]).ok();
    host.apply(&hook);
    // conntrack's table outlives the filter for a moment
    host.shapectl(&["clear", "eth0"]).ok();
    std::thread::sleep(std::time::Duration::from_secs(1));
}

/// The queues of a gred are messages of their own, and come back as they were asked.
#[test]
fn a_gred_is_made_in_parts() {
    needs!("gred", "veth");
    let host = Host::with(&["eth0"]);
    let text = |min: &str| {
        format!(
            "interfaces:\n  eth0:\n    egress:\n      gred:\n        vqs: 3\n        default: 1\n        grio: yes\n        \
             limit: 100kb\n        queues:\n          - {{ vq: 0, limit: 60kb, min: 10kb, max: 30kb, avpkt: 1000b, prio: 1 }}\n          \
             - {{ vq: 1, limit: 90kb, min: {min}, max: 45kb, avpkt: 1000b, burst: 30, probability: 5%, ecn: yes }}\n"
        )
    };
    let policy = host.apply_text(&text("15kb"));
    host.assert_settled(&policy);
    let shown = host.netns.tc("qdisc show dev eth0");
    assert!(shown.contains("vqs 3 default 1 grio"), "{shown}");
    assert!(shown.contains("vq 1 prio 8 limit 90Kb min 15Kb max 45Kb ecn"), "{shown}");
    let policy = host.policy(&text("12kb"));
    let (code, said) = host.diff(&policy);
    assert!(code == 2 && said.contains("queues"), "{said}");
    host.apply(&policy);
    host.assert_settled(&policy);
    assert!(host.netns.tc("qdisc show dev eth0").contains("min 12Kb"));
    let held = json(&host.shapectl(&["show", "eth0", "--format", "json"]));
    let own = &held["interfaces"]["eth0"]["egress"][0]["stats"]["own"];
    assert_eq!((&own["vq0_packets"], own.get("vq2_packets")), (&Value::from(0), None), "{held:#}");
    // newer kernels have it in one of two places only
    assert_eq!((&own["vq0_other"], &own["vq0_average"]), (&Value::from(0), &Value::from(0)), "{held:#}");
}
