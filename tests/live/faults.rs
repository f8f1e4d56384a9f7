//! What becomes of a change if any one of its messages goes wrong: refused, cut off, sent twice, or with somebody else's
//! change before it; and of reading if dumps are torn. The accidents are made on purpose between the plan and the socket
//! (`src/kernel/fault.rs`).

use crate::bed::dump::assert_same;
use crate::bed::netns::{Ran, bounded};
use crate::host::{Host, SHAPECTL, path};
use crate::safe::standing;
use std::path::Path;

const ONE: &str = "
interfaces:
  eth0:
    egress:
      htb:
        default: rest
        classes:
          ssh: { rate: 128kbit, ceil: 2mbit, prio: 1, leaf: { pfifo: { limit: 77 } } }
          old: { rate: 64kbit, ceil: 2mbit, classes: { inner: { rate: 64kbit, ceil: 1mbit } } }
          rest: { rate: 64kbit, ceil: 2mbit }
      rules:
        - { class: ssh, match: tcp dport 22 }
        - { class: old/inner, match: tcp dport 23 }
";

const TWO: &str = "
interfaces:
  eth0:
    link: { txqueuelen: 333 }
    egress:
      htb:
        default: rest
        classes:
          ssh: { rate: 256kbit, ceil: 2mbit, prio: 1, leaf: { bfifo: { limit: 30kb } } }
          web: { rate: 500kbit, ceil: 3mbit }
          rest: { rate: 100kbit, ceil: 2mbit, leaf: { tbf: { rate: 1mbit, burst: 3kb, latency: 50ms } } }
      rules:
        - { class: web, match: 'tcp dport {80, 443}' }
        - { class: ssh, match: tcp dport 22 }
    ingress:
      shape:
        htb: { default: all, classes: { all: { rate: 5mbit } } }
";

/// Another kind at the root, and nothing of the classes.
const OTHER_ROOT: &str = "
interfaces:
  eth0:
    egress: { tbf: { rate: 3mbit, burst: 10kb, latency: 50ms } }
    ingress:
      shape: { tbf: { rate: 5mbit, burst: 10kb, latency: 50ms } }
";

/// shapectl with accidents.
fn with_fault(host: &Host, fault: &str, words: &[&str]) -> Ran {
    let fault = format!("SHAPECTL_FAULT={fault}");
    let common = host.common();
    let mut line = vec![fault.as_str(), SHAPECTL];
    line.extend(common.iter().map(String::as_str));
    line.extend(words);
    bounded("env", line)
}

/// Applies and says how many messages it took.
fn messages(host: &Host, policy: &Path) -> usize {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let log = log.path().to_str().expect("a plain path");
    with_fault(host, &format!("log {log}"), &["apply", path(policy)]).ok();
    std::fs::read_to_string(log).expect("it was written").trim().parse().expect("a number")
}

/// A machine that holds `one`, the file of the other policy, and how many messages lead from the one to the other.
struct Change {
    host: Host,
    one: tempfile::NamedTempFile,
    two: tempfile::NamedTempFile,
    messages: usize,
}

impl Change {
    fn new(one: &str, two: &str) -> Change {
        let host = Host::with(&["eth0"]);
        let file = |text: &str| {
            let file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
            std::fs::write(file.path(), text).expect("it is writable");
            file
        };
        let (one, two) = (file(one), file(two));
        host.apply(one.path());
        let messages = messages(&host, two.path());
        assert!(messages > 3, "{messages} messages only");
        let change = Change { host, one, two, messages };
        change.back();
        change
    }

    /// The machine holds the first policy again.
    fn back(&self) -> Vec<String> {
        self.host.apply(self.one.path());
        standing(&self.host)
    }
}

fn pairs() -> [(&'static str, &'static str); 3] {
    [(ONE, TWO), (TWO, ONE), (TWO, OTHER_ROOT)]
}

/// A refusal of any message leaves what stood before, says so at the policy's line, and with the error's own page.
#[test]
fn a_refusal_of_any_message_is_taken_back() {
    for (one, two) in pairs() {
        let change = Change::new(one, two);
        let before = standing(&change.host);
        for k in 1..=change.messages {
            let ran = with_fault(&change.host, &format!("fail {k} ENOMEM"), &["apply", path(change.two.path())]);
            assert_eq!(ran.status.code(), Some(3), "refused {k}: {ran}");
            assert!(ran.stderr.contains("kernel-full") && ran.stderr.contains("ENOMEM"), "refused {k}: {ran}");
            assert!(ran.stderr.contains("the state from before stands again"), "refused {k}: {ran}");
            assert_same(&standing(&change.host), &before, &format!("refused {k} of {}", change.messages));
        }
        change.host.apply(change.two.path());
        change.host.assert_settled(change.two.path());
    }
}

/// Killed before or after any message, the next apply reaches its goal from there, and a rollback gets back.
#[test]
fn a_cut_at_any_message_is_finished_or_taken_back() {
    for (one, two) in pairs() {
        let change = Change::new(one, two);
        let before = standing(&change.host);
        for k in 1..=change.messages {
            let fault = if k % 2 == 0 { format!("cut {k}") } else { format!("cut-after {k}") };
            let ran = with_fault(&change.host, &fault, &["apply", path(change.two.path())]);
            assert_eq!(ran.status.code(), None, "{fault}: {ran}");
            if k % 3 == 0 {
                change.host.apply(change.two.path());
                assert_eq!(change.host.diff(change.two.path()).0, 0, "finished after {fault}");
                assert_same(&change.back(), &before, &format!("there and back after {fault}"));
            } else {
                change.host.shapectl(&["rollback"]).ok();
                assert_same(&standing(&change.host), &before, &format!("taken back after {fault}"));
            }
        }
    }
}

/// A message that comes twice changes nothing the second time.
#[test]
fn a_message_that_comes_twice_does_no_harm() {
    for (one, two) in pairs() {
        let change = Change::new(one, two);
        for k in 1..=change.messages {
            with_fault(&change.host, &format!("twice {k}"), &["apply", path(change.two.path())]).ok();
            assert_eq!(change.host.diff(change.two.path()).0, 0, "message {k} came twice");
            change.back();
        }
    }
}

/// Dumps that are torn or lost are taken again; where none comes whole, nothing is done and the reason is told.
#[test]
fn a_torn_dump_is_taken_again() {
    let change = Change::new(ONE, TWO);
    let before = standing(&change.host);
    for k in 1..=8 {
        for errno in ["EINTR", "ENOBUFS"] {
            with_fault(&change.host, &format!("dump {k} {errno}"), &["apply", path(change.two.path())]).ok();
            assert_eq!(change.host.diff(change.two.path()).0, 0, "dump {k} {errno}");
            change.back();
        }
    }
    let ran = with_fault(&change.host, "dump * EINTR", &["apply", path(change.two.path())]);
    assert!(ran.status.code() == Some(3) && ran.stderr.contains("change faster than they can be read"), "{ran}");
    assert_same(&standing(&change.host), &before, "left: what stands, right: what stood");
}

/// Each known refusal has its page, whichever message it befalls.
#[test]
fn each_known_refusal_has_a_page() {
    let change = Change::new(ONE, TWO);
    for (errno, code) in [
        ("EEXIST", "kernel-exists"),
        ("EBUSY", "kernel-busy"),
        ("ENOENT", "kernel-gone"),
        ("ENODEV", "kernel-gone"),
        ("ENOBUFS", "kernel-full"),
        ("ENOSPC", "kernel-full"),
        ("EPERM", "no-permission"),
        ("EOPNOTSUPP", "kernel-unsupported"),
        ("EINVAL", "kernel-refused"),
    ] {
        let ran = with_fault(&change.host, &format!("fail 2 {errno}"), &["apply", path(change.two.path())]);
        assert!(ran.status.code() == Some(3) && ran.stderr.lines().any(|line| line == code), "{errno}: {ran}");
        let page = change.host.shapectl(&["explain", code]).ok();
        assert!(page.len() > 200, "{page}");
    }
}

/// From the first message on, all that is left of root is the network.
#[test]
fn a_change_is_made_with_one_capability() {
    let host = Host::with(&["eth0"]);
    let policy = host.policy(ONE);
    let (script, seen) = (host.state().with_file_name("seen.sh"), host.state().with_file_name("seen"));
    std::fs::write(&script, format!("grep ^Cap /proc/$PPID/status > {}\n", path(&seen))).expect("it is writable");
    with_fault(&host, &format!("run 1 sh {}", path(&script)), &["apply", path(&policy)]).ok();
    let seen = std::fs::read_to_string(&seen).expect("the script ran");
    let set = |name: &str| {
        let line = seen.lines().find_map(|line| line.strip_prefix(name)).expect("a line of each set");
        u64::from_str_radix(line.trim(), 16).expect("a number in hexadecimal")
    };
    let net_admin = 1 << 12;
    assert_eq!((set("CapInh:"), set("CapPrm:"), set("CapEff:")), (0, net_admin, net_admin), "{seen}");
}

/// Another manager that makes the same object between plan and message: the kernel's own EEXIST, at the policy's line.
#[test]
fn what_another_makes_meanwhile_is_named() {
    let host = Host::with(&["eth0"]);
    let policy = host.policy(ONE);
    let taken = "run 1 tc qdisc add dev eth0 root handle 7: htb";
    let ran = with_fault(&host, taken, &["apply", path(&policy)]);
    assert_eq!(ran.status.code(), Some(3), "{ran}");
    assert!(ran.stderr.contains("kernel-exists"), "{ran}");
    assert!(ran.stderr.contains(":5:") && ran.stderr.contains("asked for here"), "{ran}");
    host.apply(&policy);
    host.assert_settled(&policy);
}
