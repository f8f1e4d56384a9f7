//! What becomes of a change if any one of its messages goes wrong: refused, cut off, sent twice, or with somebody else's
//! change before it; and of reading if dumps are torn. The accidents are made on purpose between the plan and the socket
//! (`src/kernel/fault.rs`).

use crate::bed::dump::assert_same;
use crate::bed::netns::{Ran, bounded};
use crate::host::{Host, SHAPECTL, path};
use crate::safe::{outcomes, standing};
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
pub(crate) fn with_fault(host: &Host, fault: &str, words: &[&str]) -> Ran {
    let fault = format!("SHAPECTL_FAULT={fault}");
    let common = host.common();
    let mut line = vec![fault.as_str(), SHAPECTL];
    line.extend(common.iter().map(String::as_str));
    line.extend(words);
    bounded("env", line)
}

/// Applies and says how many messages it took.
fn messages(host: &Host, policy: &Path) -> usize {
    messages_of(host, &["apply", path(policy)])
}

/// The same for any command.
pub(crate) fn messages_of(host: &Host, words: &[&str]) -> usize {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let log = log.path().to_str().expect("a plain path");
    with_fault(host, &format!("log {log}"), words).ok();
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

/// The ways back are changes like any other: refused anywhere, they leave what stood, and what is remembered of it.
#[test]
fn a_refusal_of_clear_or_rollback_is_taken_back() {
    let change = Change::new(ONE, TWO);
    for words in [&["clear", "eth0"][..], &["rollback"]] {
        change.host.apply(change.two.path());
        let messages = messages_of(&change.host, words);
        assert!(messages > 3, "{words:?}: {messages} messages only");
        change.back();
        change.host.apply(change.two.path());
        let before = standing(&change.host);
        for k in 1..=messages {
            let ran = with_fault(&change.host, &format!("fail {k} ENOMEM"), words);
            assert_eq!(ran.status.code(), Some(3), "{words:?} refused {k}: {ran}");
            assert!(ran.stderr.contains("kernel-full"), "{words:?} refused {k}: {ran}");
            assert!(ran.stderr.contains("the state from before stands again"), "{words:?} refused {k}: {ran}");
            assert_same(&standing(&change.host), &before, &format!("{words:?} refused {k} of {messages}"));
            assert_eq!(outcomes(&change.host).first().map(String::as_str), Some("put-back"), "{words:?} refused {k}");
            assert_eq!(change.host.diff(change.two.path()).0, 0, "{words:?} refused {k}");
        }
        // what is refused takes nothing from the change that it was to take back
        change.host.shapectl(words).ok();
        assert_ne!(standing(&change.host), before, "{words:?}");
    }
}

/// Somebody else at work in the middle of a way back stops it, as it stops an apply.
#[test]
fn a_change_by_somebody_else_stops_clear_and_rollback() {
    let change = Change::new(ONE, TWO);
    for words in [&["clear", "eth0"][..], &["rollback"]] {
        change.host.apply(change.two.path());
        let other = "run 1 tc class change dev eth0 classid CLASS htb rate 9mbit";
        let shown = change.host.netns.tc("class show dev eth0");
        let class = shown.split_whitespace().nth(2).expect("a class");
        let ran = with_fault(&change.host, &other.replace("CLASS", class), words);
        assert!(ran.status.code() == Some(3) && ran.stderr.contains("changed-meanwhile"), "{words:?}: {ran}");
        assert_eq!(outcomes(&change.host).first().map(String::as_str), Some("broken"), "{words:?}");
        change.host.shapectl(words).ok();
        change.back();
    }
}

/// Where nothing but classes changes in place, what the kernel tells of them meanwhile is what is read back; with somebody
/// else's change among it all is read, and what is not as it was asked is found.
#[test]
fn what_somebody_else_changes_back_is_found() {
    let policy = |rate: u32| {
        format!(
            "interfaces: {{ eth0: {{ egress: {{ htb: {{ default: b, classes: {{ a: {{ rate: {rate}kbit, ceil: 4mbit }}, \
             b: {{ rate: {rate}kbit, ceil: 4mbit }} }} }} }} }} }}\n"
        )
    };
    let host = Host::with(&["eth0"]);
    host.apply_text(&policy(100));
    let file = host.policy(&policy(200));
    // before the second message the first class has changed
    let fault = "run 2 tc class change dev eth0 classid 1:1 htb rate 100kbit ceil 4mbit";
    let ran = with_fault(&host, fault, &["apply", path(&file)]);
    assert_eq!(ran.status.code(), Some(3), "{ran}");
    assert!(ran.stderr.contains("changed-meanwhile") && ran.stderr.contains("100kbit → 200kbit"), "{ran}");
    host.apply(&file);
    host.assert_settled(&file);
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

/// The next apply goes on from wherever the first one was cut off, also between a device and the mark that it is ours.
#[test]
fn a_device_half_made_is_finished() {
    let change = Change::new(ONE, TWO);
    let before = standing(&change.host);
    let mut devices = 0;
    for k in 1..=change.messages {
        let ran = with_fault(&change.host, &format!("cut-after {k}"), &["apply", path(change.two.path())]);
        assert_eq!(ran.status.code(), None, "{ran}");
        let shown = change.host.netns.ip("-d link show type ifb");
        if shown.contains("ifb-eth0") && !shown.contains("alias") {
            devices += 1;
        } else if devices > 0 {
            break;
        }
        change.host.apply(change.two.path());
        change.host.assert_settled(change.two.path());
        assert_same(&change.back(), &before, &format!("there and back after {k}"));
    }
    assert!(devices > 0, "no run was cut off between a device and its mark");
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

/// One thing of each kind, as tc makes it on `eth0` where nothing stands.
const EACH_KIND: &[(&str, &str)] = &[
    ("pfifo", "qdisc add dev eth0 root handle 1: pfifo limit 30"),
    ("bfifo", "qdisc add dev eth0 root handle 1: bfifo limit 30000"),
    ("pfifo_head_drop", "qdisc add dev eth0 root handle 1: pfifo_head_drop limit 30"),
    (
        "tbf",
        "qdisc add dev eth0 root handle 1: tbf rate 1mbit burst 5kb limit 9kb; qdisc add dev eth0 parent 1:1 handle 2: pfifo limit 9",
    ),
    ("sfq", "qdisc add dev eth0 root handle 1: sfq perturb 10 limit 100"),
    ("fq_codel", "qdisc add dev eth0 root handle 1: fq_codel limit 300 flows 64"),
    ("fq", "qdisc add dev eth0 root handle 1: fq limit 300 buckets 64"),
    ("codel", "qdisc add dev eth0 root handle 1: codel limit 300 target 9ms"),
    ("pie", "qdisc add dev eth0 root handle 1: pie limit 300 target 9ms"),
    ("fq_pie", "qdisc add dev eth0 root handle 1: fq_pie limit 300 flows 64"),
    ("cake", "qdisc add dev eth0 root handle 1: cake bandwidth 5mbit"),
    ("choke", "qdisc add dev eth0 root handle 1: choke limit 100 bandwidth 10mbit min 10 max 30"),
    (
        "red",
        "qdisc add dev eth0 root handle 1: red limit 400000 min 30000 max 90000 avpkt 1000 burst 55 bandwidth 10mbit",
    ),
    ("sfb", "qdisc add dev eth0 root handle 1: sfb limit 100"),
    ("hhf", "qdisc add dev eth0 root handle 1: hhf limit 300"),
    (
        "gred",
        "qdisc add dev eth0 root handle 1: gred setup DPs 2 default 0; \
              qdisc change dev eth0 root handle 1: gred DP 0 limit 60000 min 15000 max 45000 avpkt 1000 burst 20 bandwidth 10mbit prio 2",
    ),
    ("netem", "qdisc add dev eth0 root handle 1: netem delay 10ms limit 99"),
    ("skbprio", "qdisc add dev eth0 root handle 1: skbprio limit 77"),
    ("plug", "qdisc add dev eth0 root handle 1: plug limit 7777"),
    ("cbs", "qdisc add dev eth0 root handle 1: cbs locredit -1470 hicredit 30 sendslope -980000 idleslope 20000"),
    ("etf", "qdisc add dev eth0 root handle 1: etf clockid CLOCK_TAI delta 300000"),
    ("prio", "qdisc add dev eth0 root handle 1: prio bands 4; qdisc add dev eth0 parent 1:2 handle 2: pfifo limit 9"),
    (
        "ets",
        "qdisc add dev eth0 root handle 1: ets bands 4 strict 2; qdisc add dev eth0 parent 1:2 handle 2: pfifo limit 9",
    ),
    (
        "htb",
        "qdisc add dev eth0 root handle 1: htb default 1; class add dev eth0 parent 1: classid 1:1 htb rate 1mbit; \
             qdisc add dev eth0 parent 1:1 handle 2: pfifo limit 9",
    ),
    (
        "hfsc",
        "qdisc add dev eth0 root handle 1: hfsc default 1; class add dev eth0 parent 1: classid 1:1 hfsc sc rate 1mbit; \
              qdisc add dev eth0 parent 1:1 handle 2: pfifo limit 9",
    ),
    (
        "drr",
        "qdisc add dev eth0 root handle 1: drr; class add dev eth0 parent 1: classid 1:1 drr quantum 3000; \
             filter add dev eth0 parent 1: prio 5 protocol all u32 match u32 0 0 flowid 1:1",
    ),
    (
        "qfq",
        "qdisc add dev eth0 root handle 1: qfq; class add dev eth0 parent 1: classid 1:1 qfq weight 5; \
             filter add dev eth0 parent 1: prio 5 protocol all u32 match u32 0 0 flowid 1:1",
    ),
    ("u32", "FILTER u32 match ip dport 22 0xffff flowid 1:1"),
    ("fw", "FILTER handle 5 fw classid 1:1"),
    ("basic", "FILTER basic match 'meta(priority eq 6)' classid 1:1"),
    ("matchall", "FILTER matchall classid 1:1"),
    ("flower", "FILTER flower ip_proto tcp dst_port 22 classid 1:1"),
    ("bpf", "FILTER bpf bytecode '1,6 0 0 4294967295' flowid 1:1"),
    ("flow", "FILTER handle 1 flow hash keys src,dst divisor 64 baseclass 1:1"),
    ("cgroup", "FILTER handle 1 cgroup"),
    ("route", "FILTER route from 5 classid 1:1"),
    ("gact", "ACTION action drop"),
    ("police", "ACTION action police rate 1mbit burst 10k mtu 64k conform-exceed drop/pass"),
    ("mirred", "ACTION action mirred egress redirect dev behind-eth0"),
    ("pedit", "ACTION action pedit munge ip ttl set 64"),
    ("nat", "ACTION action nat ingress 10.0.0.0/24 10.1.0.0"),
    ("skbedit", "ACTION action skbedit priority 1:1 mark 7"),
    ("vlan", "ACTION action vlan push id 7"),
    ("csum", "ACTION action csum ip"),
    ("connmark", "ACTION action connmark zone 3"),
    ("sample", "ACTION action sample rate 100 group 3"),
    ("simple", "ACTION action simple sdata \"hello\""),
    ("skbmod", "ACTION action skbmod swap mac"),
    ("tunnel_key", "ACTION action tunnel_key unset"),
    ("mpls", "ACTION action mpls push label 7 ttl 9"),
    ("ctinfo", "ACTION action ctinfo cpmark 7"),
    ("ct", "ACTION action ct zone 7"),
    ("act_bpf", "ACTION action bpf bytecode '1,6 0 0 4294967295'"),
];

/// Every kind, on the kernel that has them all: each message of the way there refused, cut off, and all of them sent twice,
/// ends in the old state or is finished by the next apply.
#[test]
fn every_kind_gets_over_every_accident() {
    if crate::bed::kernel::name() != "uml-6.12" {
        return; // the other kernels lack kinds, and a process for each accident is for the deep suite
    }
    for (kind, lines) in EACH_KIND {
        let host = Host::with(&["eth0"]);
        let below = "qdisc add dev eth0 root handle 1: htb default 1; class add dev eth0 parent 1: classid 1:1 htb rate 1mbit; ";
        let lines =
            lines.replace("FILTER", &format!("{below}filter add dev eth0 parent 1: protocol ip prio 5")).replace(
                "ACTION",
                "qdisc add dev eth0 clsact; filter add dev eth0 ingress protocol ip prio 5 u32 match u32 0 0",
            );
        for line in lines.split(';') {
            host.netns.run("sh", ["-c", &format!("exec tc {line}")]).ok();
        }
        let text = host.shapectl(&["export", "eth0"]).ok();
        let file = |text: &str| {
            let file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
            std::fs::write(file.path(), text).expect("it is writable");
            file
        };
        let one = file("interfaces: { eth0: { egress: { pfifo: { limit: 55 } } } }\n");
        let two = file(&text);
        let (one, two) = (one.path(), two.path());
        let stands = |policy: &Path, what: &str| {
            let (code, said) = host.diff(policy);
            assert_eq!(code, 0, "{kind}, {what}:\n{said}\n{text}");
        };
        host.apply(one);
        let messages = messages(&host, two);
        for k in 1..=messages {
            host.apply(one);
            let ran = with_fault(&host, &format!("fail {k} ENOMEM"), &["apply", path(two)]);
            assert_eq!(ran.status.code(), Some(3), "{kind}, refused {k}: {ran}");
            stands(one, &format!("message {k} of {messages} refused"));
            let fault = if k % 2 == 0 { format!("cut {k}") } else { format!("cut-after {k}") };
            with_fault(&host, &fault, &["apply", path(two)]);
            host.apply(two);
            stands(two, &fault);
        }
        host.apply(one);
        with_fault(&host, "twice *", &["apply", path(two)]).ok();
        stands(two, "each message twice");
    }
}

/// A refusal of what is done to a link is shown at the policy's line that wants it, as any other.
#[test]
fn a_refusal_about_a_link_has_its_line() {
    let change = Change::new(ONE, TWO);
    let mut lines = Vec::new();
    for k in 1..=change.messages {
        let ran = with_fault(
            &change.host,
            &format!("fail {k} EPERM"),
            &["--format", "json", "apply", path(change.two.path())],
        );
        let json: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let found = json["diagnostics"].as_array().expect("a list").iter().find(|d| d["code"] == "no-permission");
        let found = found.unwrap_or_else(|| panic!("refused {k}: {ran}"));
        let deletes = found["message"].as_str().expect("a sentence").contains(" del ");
        assert!(deletes || found["labels"][0]["line"].is_number() || found["line"].is_number(), "refused {k}: {found}");
        lines.push(found["message"].to_string());
    }
    for what in ["txqueuelen 333", "type ifb", "alias", " up"] {
        assert!(lines.iter().any(|line| line.contains(what)), "{what}: {lines:#?}");
    }
}
