//! Actions that filters share by number: they change in place, all their filters with them, and nobody else's by mistake.

use crate::bed::dump::assert_same;
use crate::faults::{messages_of, with_fault};
use crate::host::{Host, path};
use crate::needs;
use crate::safe::standing;
use std::path::PathBuf;

/// Two rules with one policer, the second by its number alone. For each there is a filter of IPv4 and one of IPv6.
fn policy(rate: &str, index: u32) -> String {
    format!(
        "interfaces:\n  eth0:\n    ingress:\n      rules:\n\
         \x20       - {{ do: {{ police: {{ rate: {rate}, burst: 20kb, mtu: 64kb, exceed: drop, index: {index} }} }}, match: tcp dport 80 }}\n\
         \x20       - {{ do: {{ police: {{ index: {index} }} }}, match: tcp dport 443 }}\n"
    )
}

/// What the kernel says of a policer, in tc's words.
fn police(host: &Host, index: u32) -> String {
    host.netns.tc(&format!("actions get action police index {index}"))
}

#[test]
fn a_shared_policer_changes_under_its_filters() {
    needs!("u32", "clsact", "police");
    let host = Host::with(&["eth0"]);
    let file = |name: &str, text: &str| PathBuf::from(host.file(name, text));
    let one = file("one.yaml", &policy("1mbit", 5));
    host.apply(&one);
    let before = standing(&host);
    let filters = host.netns.tc("filter show dev eth0 ingress");
    let two = file("two.yaml", &policy("3mbit", 5));
    let shown = host.shapectl(&["diff", path(&two)]).stdout;
    assert!(shown.contains("shared action police 5") && shown.contains("4 filters share it"), "{shown}");
    let script = host.shapectl(&["apply", "--dry-run", path(&two)]).ok();
    let commands: Vec<&str> = script.lines().filter(|line| line.starts_with("tc ")).collect();
    assert!(commands.len() == 1 && commands[0].starts_with("tc actions change police rate 3mbit"), "{script}");
    host.apply(&two);
    host.assert_settled(&two);
    assert!(police(&host, 5).contains("rate 3Mbit"), "{}", police(&host, 5));
    // the filters are the same ones, with the same figures behind them
    let words =
        |text: &str| text.split_whitespace().filter(|w| w.starts_with("fh")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&filters), words(&host.netns.tc("filter show dev eth0 ingress")));
    let after = standing(&host);
    host.shapectl(&["rollback"]).ok();
    assert_same(&standing(&host), &before, "left: what stands, right: what stood");
    assert!(police(&host, 5).contains("rate 1Mbit"), "{}", police(&host, 5));
    // the dry run's commands do the same
    host.netns.tc(commands[0].strip_prefix("tc ").expect("a command of tc's"));
    assert_same(&standing(&host), &after, "left: by the commands, right: by apply");
    host.assert_settled(&two);
    host.apply(&one);
}

/// Refused or cut off at any message, and with other filters before and after.
#[test]
fn a_shared_policer_survives_accidents() {
    needs!("u32", "clsact", "police");
    let host = Host::with(&["eth0"]);
    let file = |name: &str, text: &str| PathBuf::from(host.file(name, text));
    let one = file("one.yaml", &policy("1mbit", 5));
    host.apply(&one);
    let more = "        - { do: { police: { index: 5 } }, match: udp dport 443 }\n";
    let two = file("two.yaml", &(policy("3mbit", 5).replace("tcp dport 80", "tcp dport 8080") + more));
    let messages = messages_of(&host, &["apply", path(&two)]);
    assert!(messages > 1, "{messages} messages only");
    host.apply(&one);
    let before = standing(&host);
    for k in 1..=messages {
        let ran = with_fault(&host, &format!("fail {k} ENOMEM"), &["apply", path(&two)]);
        assert!(ran.status.code() == Some(3) && ran.stderr.contains("from before stands again"), "refused {k}: {ran}");
        assert_same(&standing(&host), &before, &format!("refused {k} of {messages}"));
        for fault in ["cut", "cut-after"] {
            let ran = with_fault(&host, &format!("{fault} {k}"), &["apply", path(&two)]);
            assert_eq!(ran.status.code(), None, "{fault} {k}: {ran}");
            if k % 2 == 0 {
                host.apply(&two);
                host.assert_settled(&two);
                host.apply(&one);
            } else {
                host.shapectl(&["rollback"]).ok();
            }
            assert_same(&standing(&host), &before, &format!("there and back after {fault} {k}"));
        }
    }
}

/// A script starts from any state, so also from one in which the action stands as something else.
#[test]
fn a_script_changes_a_shared_policer() {
    needs!("u32", "clsact", "police");
    let host = Host::with(&["eth0"]);
    for rate in ["1mbit", "3mbit"] {
        let script = host.file("script", &host.shapectl(&["script", path(&host.policy(&policy(rate, 5)))]).ok());
        // somebody else's filter keeps the action while the script has none
        if rate == "3mbit" {
            host.netns.tc("filter add dev eth0 egress prio 9 matchall action police index 5");
        }
        host.netns.run("sh", ["-e", &script]).ok();
    }
    let shown = police(&host, 5);
    assert!(shown.contains("rate 3Mbit") && shown.contains("bind 5"), "{shown}");
}

/// What others have made under the number is neither changed nor taken for the policy's.
#[test]
fn a_number_that_others_have_is_refused_before_anything_is_done() {
    needs!("u32", "clsact", "police");
    let host = Host::with(&["eth0"]);
    host.netns.tc("actions add action police rate 7mbit burst 20k mtu 64k drop index 6");
    let before = standing(&host);
    let other = host.policy(&policy("1mbit", 6));
    let ran = host.shapectl(&["apply", path(&other)]);
    assert!(ran.status.code() == Some(1) && ran.stderr.contains("shared-action"), "{ran}");
    assert!(ran.stderr.contains("7mbit") && ran.stderr.contains("1mbit"), "{ran}");
    assert_same(&standing(&host), &before, "left: what stands, right: what stood");
    let same = host.apply_text(&policy("7mbit", 6));
    host.assert_settled(&same);
}

/// What stands beside the options: which statistics hardware keeps changes with the action, for all who name it; for which
/// processor it counts is decided at its birth, so that another number is wanted.
#[test]
fn what_is_said_beside_the_options_is_held_or_refused() {
    needs!("u32", "clsact", "gact");
    let host = Host::with(&["eth0"]);
    let policy = |whole: &str, other: &str, index: u32| {
        format!(
            "interfaces:\n  eth0:\n    ingress:\n      rules:\n\
             \x20       - {{ do: {{ gact: {{ control: pass, index: {index}{whole} }} }}, match: tcp dport 80 }}\n\
             \x20       - {{ do: {{ gact: {{ index: {index}{other} }} }}, match: tcp dport 443 }}\n"
        )
    };
    let shown = || host.netns.tc("actions get action gact index 5");
    for (whole, other, said) in [
        ("", "", false),
        (", hw_stats: disabled", "", true),
        ("", "", false),
        (", hw_stats: disabled", ", hw_stats: disabled", true),
        (", hw_stats: immediate", "", true),
    ] {
        let file = host.apply_text(&policy(whole, other, 5));
        host.assert_settled(&file);
        assert_eq!(shown().contains("hw_stats"), said, "{whole}: {}", shown());
    }
    // a filter that comes to it later says it too
    let more = "        - { do: { gact: { index: 5 } }, match: udp dport 443 }\n";
    let file = host.apply_text(&(policy(", hw_stats: disabled", "", 5) + more));
    host.assert_settled(&file);
    assert!(shown().contains("hw_stats disabled"), "{}", shown());

    let before = standing(&host);
    let file = host.policy(&policy(", no_percpu: yes", "", 5));
    let ran = host.shapectl(&["apply", path(&file)]);
    assert!(ran.status.code() == Some(1) && ran.stderr.contains("shared-action"), "{ran}");
    assert!(ran.stderr.contains("no_percpu: yes") && ran.stderr.contains("policy.yaml:5:"), "{ran}");
    assert_same(&standing(&host), &before, "left: what stands, right: what stood");
    let file = host.apply_text(&policy(", no_percpu: yes", "", 6));
    host.assert_settled(&file);
    // and back: nobody has number 5 any more
    host.shapectl(&["rollback"]).ok();
    assert_same(&standing(&host), &before, "left: what stands, right: what stood");
    // two things said of one action are refused, also beside its options
    for (whole, other) in [(", no_percpu: yes, hw_stats: disabled", ", hw_stats: immediate"), ("", ", no_percpu: yes")]
    {
        let ran = host.shapectl(&["check", path(&host.policy(&policy(whole, other, 5)))]);
        assert!(ran.status.code() == Some(1) && ran.stderr.contains("two things are said"), "{ran}");
    }
}
