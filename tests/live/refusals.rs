//! What the kernel itself refuses, each with its code, the policy's line and what can be done; and what was there before
//! stands afterwards. (That each message may be refused with each number: `faults.rs`.)

use crate::bed::dump::assert_same;
use crate::bed::kernel;
use crate::bed::netns::Ran;
use crate::faults::with_fault;
use crate::host::{Host, SHAPECTL, path};
use crate::needs;
use crate::safe::standing;
use std::path::Path;

const HOME: &str = "
interfaces:
  eth0:
    egress:
      htb:
        default: rest
        classes:
          ssh: { rate: 128kbit, ceil: 2mbit, leaf: { pfifo: { limit: 77 } } }
          rest: { rate: 64kbit, ceil: 2mbit }
      rules:
        - { class: ssh, match: tcp dport 22 }
";

/// shapectl by root in the namespace, without any capability.
fn without_capabilities(host: &Host, words: &[&str]) -> Ran {
    let state = host.state();
    let mut line = vec!["--bounding-set=-all", "--inh-caps=-all", SHAPECTL, "--state-dir", path(&state)];
    line.extend(words);
    host.netns.run("setpriv", line)
}

fn assert_refused(ran: &Ran, code: &str, errno: &str) {
    assert_eq!(ran.status.code(), Some(3), "{ran}");
    assert!(ran.stderr.lines().any(|line| line == code), "{code}: {ran}");
    assert!(ran.stderr.contains(errno), "{errno}: {ran}");
    assert!(ran.stderr.contains("help:"), "{ran}");
}

#[test]
fn who_may_not_is_told_what_is_missing() {
    let host = Host::with(&["eth0"]);
    let policy = host.apply_text(HOME);
    let before = standing(&host);
    let other = host.policy(&HOME.replace("128kbit", "256kbit"));
    for words in [&["apply", path(&other)][..], &["clear", "eth0"]] {
        let ran = without_capabilities(&host, words);
        assert_refused(&ran, "no-permission", "EPERM");
        assert!(ran.stderr.contains("CAP_NET_ADMIN"), "{words:?}: {ran}");
        assert_same(&standing(&host), &before, &format!("{words:?}"));
    }
    let elsewhere = without_capabilities(&host, &["--netns", host.netns.name(), "apply", path(&other)]);
    assert_refused(&elsewhere, "no-permission", "CAP_SYS_ADMIN");
    // reading needs none
    let ran = without_capabilities(&host, &["diff", path(&other)]);
    assert_eq!(ran.status.code(), Some(2), "{ran}");
    let _ = policy;
}

/// Hardware that is not there: the kernel says it of a filter and of a discipline.
#[test]
fn what_no_hardware_does_is_refused_at_its_line() {
    needs!("htb", "u32", "clsact");
    let host = Host::with(&["eth0"]);
    host.apply_text(HOME);
    let before = standing(&host);
    let filter = format!(
        "{HOME}    ingress:\n      filters:\n        - {{ matchall: {{ prio: 5, protocol: ip, skip_sw: yes }} }}\n"
    );
    let discipline = HOME.replace("        default: rest\n", "        offload: yes\n        default: rest\n");
    // u32 has no eye for `skip_sw`: `u32_change` hands on other flags
    let heeds = kernel::lacks("matchall").is_none();
    for (text, line) in [(filter, 14), (discipline, 5)].into_iter().skip(usize::from(!heeds)) {
        let policy = host.policy(&text);
        let ran = host.shapectl(&["apply", path(&policy)]);
        assert_refused(&ran, "kernel-unsupported", "EOPNOTSUPP");
        assert!(ran.stderr.contains(&format!("policy.yaml:{line}:")), "line {line}: {ran}");
        assert!(ran.stderr.contains("the state from before stands again"), "{ran}");
        assert_same(&standing(&host), &before, &text);
    }
}

fn steps(host: &Host, policy: &Path) -> usize {
    let ran = host.shapectl(&["apply", "--dry-run", path(policy)]).ok();
    ran.lines().filter(|line| line.starts_with("tc ") || line.starts_with("ip ")).count()
}

/// A class that somebody else's filter leads to, since the plan was made.
#[test]
fn what_is_in_use_is_not_taken_away() {
    let host = Host::with(&["eth0"]);
    host.apply_text(HOME);
    let shown = host.netns.tc("class show dev eth0");
    let class =
        shown.lines().find(|line| line.contains("128Kbit")).expect("ssh").split(' ').nth(2).expect("its number");
    let before = standing(&host);
    let text = HOME.lines().filter(|line| !line.contains("ssh") && !line.contains("rules")).map(|l| format!("{l}\n"));
    let policy = host.policy(&text.collect::<String>());
    let steps = steps(&host, &policy);
    let mut busy = 0;
    for k in 1..=steps {
        let filter =
            format!("tc filter add dev eth0 parent 1: protocol ip prio 99 u32 match ip dport 99 0xffff flowid {class}");
        let ran = with_fault(&host, &format!("run {k} {filter}"), &["apply", path(&policy)]);
        assert_eq!(ran.status.code(), Some(3), "{k} of {steps}: {ran}");
        if ran.stderr.contains("kernel-busy") {
            busy += 1;
            assert_refused(&ran, "kernel-busy", "EBUSY");
            assert!(ran.stderr.contains("the state from before stands again"), "{ran}");
            assert_same(&standing(&host), &before, &format!("busy at {k}"));
        } else {
            assert!(ran.stderr.contains("changed-meanwhile"), "{k} of {steps}: {ran}");
            host.apply_text(HOME);
            assert_same(&standing(&host), &before, &format!("stopped at {k}"));
            host.policy(
                &HOME
                    .lines()
                    .filter(|l| !l.contains("ssh") && !l.contains("rules"))
                    .map(|l| format!("{l}\n"))
                    .collect::<String>(),
            );
        }
    }
    assert!(busy > 0, "of {steps} steps none took the class away");
}

/// A link that goes while it is worked on.
#[test]
fn a_link_that_goes_is_named() {
    let host = Host::with(&["eth0", "eth1"]);
    host.apply_text(HOME);
    let policy = host.policy(&HOME.replace("128kbit", "256kbit"));
    let ran = with_fault(&host, "run 1 ip link del eth0", &["apply", path(&policy)]);
    assert_refused(&ran, "kernel-gone", "ENODEV");
    let next = host.shapectl(&["apply", path(&policy)]);
    assert!(next.status.code() == Some(1) && next.stderr.contains("no-interface"), "{next}");
}

/// For cron and monitoring: the exit code tells, on request alone or as JSON.
#[test]
fn drift_is_told_to_machines() {
    let host = Host::with(&["eth0"]);
    let policy = host.apply_text(HOME);
    let json = |words: &[&str]| -> serde_json::Value {
        let ran = host.shapectl(&[&["--format", "json"], words].concat());
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran}"))
    };
    let quiet = host.shapectl(&["diff", "--quiet", path(&policy)]);
    assert!(quiet.status.success() && quiet.stdout.is_empty() && quiet.stderr.is_empty(), "{quiet}");
    assert_eq!(json(&["diff", path(&policy)])["different"], false);
    host.netns.tc("class change dev eth0 parent 1: classid 1:2 htb rate 1mbit");
    let quiet = host.shapectl(&["diff", "-q", path(&policy)]);
    assert!(quiet.status.code() == Some(2) && quiet.stdout.is_empty() && quiet.stderr.is_empty(), "{quiet}");
    let told = json(&["diff", path(&policy)]);
    assert_eq!((&told["different"], &told["ok"]), (&true.into(), &true.into()), "{told}");
    assert!(told["steps"].as_array().is_some_and(|steps| steps.len() == 1), "{told}");
    // the policy last applied, of which nothing needs to be said
    host.apply(&policy);
    for words in [&["diff", "-q"][..], &["apply", "--if-changed"]] {
        let quiet = host.shapectl(words);
        assert!(quiet.status.success() && quiet.stdout.is_empty() && quiet.stderr.is_empty(), "{words:?}: {quiet}");
    }
    // what cannot be compared is neither the same nor different
    let wrong = host.policy("interfaces: { eth0: { egress: { htb: { classes: { a: { rate: 5 } } } } } }\n");
    assert_eq!(host.shapectl(&["diff", "-q", path(&wrong)]).status.code(), Some(1));
    let nowhere = crate::bed::netns::bounded(SHAPECTL, ["--netns", "no-such-namespace", "diff", "-q", path(&policy)]);
    assert!(nowhere.status.code() == Some(3) && nowhere.stderr.contains("`ip netns` lists"), "{nowhere}");
}

/// A name that is nearly one, and one that a link has besides its own.
#[test]
fn the_link_that_is_meant_is_named() {
    let host = Host::with(&["eth0"]);
    host.netns.ip("link property add dev eth0 altname uplink");
    host.netns.ip("link property add dev eth0 altname to-the-provider-1");
    for (name, says) in
        [("eht0", "did you mean `eth0`?"), ("uplink", "another name of `eth0`"), ("zz", "`ip link` lists")]
    {
        let policy = host.policy(&HOME.replace("eth0", name));
        for words in
            [&["apply", path(&policy)][..], &["check", "--live", path(&policy)], &["show", name], &["clear", name]]
        {
            let ran = host.shapectl(words);
            assert!(ran.status.code() == Some(1) && ran.stderr.contains("no-interface"), "{words:?}: {ran}");
            assert!(ran.stderr.contains(says), "{words:?}: {ran}");
        }
    }
    let long = host.shapectl(&["check", "--live", path(&host.policy(&HOME.replace("eth0", "to-the-provider-1")))]);
    assert!(long.stderr.contains("another name of `eth0`"), "{long}");
}
