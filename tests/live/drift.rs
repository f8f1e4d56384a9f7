//! What somebody else did with tc shows up in `diff`, by the policy's names, and `apply` mends it.

use crate::bed::kernel;
use crate::host::{Host, path};
use crate::needs;

const HOME: &str = "
interfaces:
  eth0:
    egress:
      htb:
        default: rest
        classes:
          line:
            id: 0x1
            rate: 2mbit
            classes:
              ssh: { id: 0x10, rate: 128kbit, ceil: 2mbit, prio: 1 }
              rest: { id: 0x20, rate: 64kbit, ceil: 2mbit, prio: 7 }
      rules:
        - { class: ssh, match: tcp dport 22 }
";

/// Does something to a settled machine with tc, and gives what `diff` then says; `apply` must settle it again.
fn after(commands: &[&str]) -> String {
    let host = Host::with(&["eth0"]);
    let policy = host.apply_text(HOME);
    host.assert_settled(&policy);
    for command in commands {
        host.netns.tc(command);
    }
    let (code, text) = host.diff(&policy);
    assert_eq!(code, 2, "after {commands:?} diff says:\n{text}");
    host.apply(&policy);
    host.assert_settled(&policy);
    text
}

#[test]
fn a_class_changed_by_hand_is_named() {
    let said = after(&["class change dev eth0 parent 1:1 classid 1:10 htb rate 200kbit ceil 2mbit prio 1"]);
    assert!(said.contains("ssh") && said.contains("200kbit") && said.contains("128kbit"), "{said}");
    assert!(!said.contains("rest"), "{said}");
}

#[test]
fn a_class_taken_away_is_named() {
    let said = after(&["filter del dev eth0 parent 1:", "class del dev eth0 classid 1:10"]);
    assert!(said.contains("ssh"), "{said}");
}

#[test]
fn a_class_nobody_asked_for_is_shown() {
    let said = after(&["class add dev eth0 parent 1:1 classid 1:77 htb rate 100kbit"]);
    assert!(said.contains("1:77"), "{said}");
}

#[test]
fn a_qdisc_nobody_asked_for_is_shown() {
    let said = after(&["qdisc add dev eth0 parent 1:20 handle 77: pfifo limit 7"]);
    assert!(said.contains("pfifo"), "{said}");
}

#[test]
fn a_filter_nobody_asked_for_is_shown() {
    let said = after(&["filter add dev eth0 parent 1: protocol ip prio 9 u32 match ip dport 99 0xffff flowid 1:20"]);
    assert!(said.contains("u32"), "{said}");
}

#[test]
fn a_root_replaced_by_hand_is_shown() {
    let said = after(&["qdisc del dev eth0 root", "qdisc add dev eth0 root handle 1: pfifo limit 5"]);
    assert!(said.contains("pfifo") && said.contains("htb"), "{said}");
}

#[test]
fn an_option_nobody_wrote_is_compared_with_the_kernels_default() {
    needs!("fq_codel");
    let host = Host::with(&["eth0"]);
    let policy = host.apply_text("interfaces: { eth0: { egress: { fq_codel: { target: 10ms } } } }\n");
    host.assert_settled(&policy);
    host.netns.tc("qdisc change dev eth0 root fq_codel limit 5");
    let (code, text) = host.diff(&policy);
    assert!(code == 2 && text.contains("limit"), "{code}: {text}");
    host.apply(&policy);
    host.assert_settled(&policy);
}

#[test]
fn a_class_put_in_the_middle_renumbers_nothing() {
    let text = |names: &[&str]| {
        let classes = names.iter().map(|name| format!("          {name}: {{ rate: 100kbit }}\n")).collect::<String>();
        let first = names[0];
        format!("interfaces:\n  eth0:\n    egress:\n      htb:\n        default: {first}\n        classes:\n{classes}")
    };
    let host = Host::with(&["eth0"]);
    host.apply_text(&text(&["one", "two", "three"]));
    let before = host.dump();
    host.apply_text(&text(&["one", "between", "two", "three"]));
    let after = host.dump();
    for class in before.iter().filter(|line| line.contains("class htb")) {
        assert!(after.contains(class), "{class} is gone:\n{after:#?}");
    }
    assert_eq!(after.iter().filter(|line| line.contains("class htb")).count(), 4, "{after:#?}");
}

#[test]
fn a_policy_for_an_interface_that_is_not_there_changes_nothing() {
    let host = Host::with(&["eth0"]);
    let before = host.dump();
    let policy = host.policy(&format!("{HOME}  eth9: {{ egress: {{ pfifo: {{ limit: 5 }} }} }}\n"));
    let ran = host.shapectl(&["apply", path(&policy)]);
    assert!(!ran.status.success() && ran.stderr.contains("eth9"), "{ran}");
    assert_eq!(before, host.dump());
}

#[test]
fn what_a_policy_does_not_write_is_not_touched() {
    needs!("clsact");
    let host = Host::with(&["eth0", "eth1"]);
    host.netns.tc("qdisc add dev eth0 clsact");
    host.netns.tc("filter add dev eth0 egress protocol ip prio 7 u32 match ip dport 99 0xffff");
    host.netns.tc("qdisc add dev eth1 root handle 5: htb");
    let foreign = |host: &Host| {
        let dump = host.dump();
        dump.into_iter().filter(|line| line.contains("clsact") || line.contains("eth1")).collect::<Vec<_>>()
    };
    let before = foreign(&host);
    let policy = host.apply_text(HOME);
    host.assert_settled(&policy);
    host.shapectl(&["clear", "eth0"]).ok();
    assert_eq!(before, foreign(&host));
}

#[test]
fn a_missing_kind_is_named_at_its_line() {
    let kinds = ["fq_codel", "sfq", "prio", "red"];
    let Some(kind) = kinds.into_iter().find(|kind| kernel::lacks(kind).is_some()) else { return };
    let options = if kind == "red" { "{ limit: 400000b, avpkt: 1000b }" } else { "{}" };
    let host = Host::with(&["eth0"]);
    let before = host.dump();
    let policy = host.policy(&format!("interfaces:\n  eth0:\n    egress:\n      {kind}: {options}\n"));
    for command in ["apply", "try"] {
        let ran = host.shapectl(&[command, path(&policy)]);
        assert!(!ran.status.success(), "{ran}");
        assert!(ran.stderr.contains(&format!("sch_{kind}")), "{command} names the module: {ran}");
        assert!(ran.stderr.contains("policy.yaml:4"), "{command} names the place: {ran}");
    }
    assert_eq!(before, host.dump());
}
