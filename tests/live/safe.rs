//! An apply that cannot hurt: one at a time, written down before it begins, gone back from, reverted unless it is
//! confirmed, and reached from wherever it was cut off.

use crate::bed::dump::assert_same;
use crate::bed::netns::Netns;
use crate::faults::{messages_of, with_fault};
use crate::host::{Host, SHAPECTL, path};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const ONE: &str = "
interfaces:
  eth0:
    egress:
      htb:
        default: rest
        classes:
          ssh: { rate: 128kbit, ceil: 2mbit, prio: 1, leaf: { pfifo: { limit: 77 } } }
          rest: { rate: 64kbit, ceil: 2mbit }
      rules:
        - { class: ssh, match: tcp dport 22 }
";

const TWO: &str = "
interfaces:
  eth0:
    link: { txqueuelen: 333 }
    egress:
      htb:
        default: rest
        classes:
          web: { rate: 500kbit, ceil: 3mbit }
          rest: { rate: 100kbit, ceil: 2mbit, leaf: { bfifo: { limit: 30kb } } }
      rules:
        - { class: web, match: 'tcp dport {80, 443}' }
    ingress:
      shape:
        htb: { default: all, classes: { all: { rate: 5mbit } } }
";

/// A process that is ended with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for something to become true, for ten seconds at most.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "{what}: not within ten seconds");
        sleep(Duration::from_millis(50));
    }
}

pub(crate) fn outcomes(host: &Host) -> Vec<String> {
    let json: serde_json::Value =
        serde_json::from_str(&host.shapectl(&["history", "--format", "json"]).ok()).expect("JSON");
    let changes = json["changes"].as_array().expect("a list").iter();
    changes.map(|change| change["outcome"].as_str().expect("a word").to_owned()).collect()
}

#[test]
fn a_rollback_brings_back_what_stood() {
    let host = Host::with(&["eth0"]);
    let bare = standing(&host);
    let first = host.apply_text(ONE);
    let one = standing(&host);
    let said = host.shapectl(&["apply", path(&host.policy(TWO))]).ok();
    let two = standing(&host);
    assert_ne!(one, two, "{said}");
    host.shapectl(&["rollback"]).ok();
    assert_same(&standing(&host), &one, "left: what stands, right: what stood");
    // what is remembered came back too
    let (code, text) = host.diff(&host.policy(ONE));
    assert_eq!(code, 0, "{text}");
    assert_eq!(outcomes(&host), ["done", "reverted", "done"]);
    // the way back is a change that can be taken back
    host.shapectl(&["rollback", "3"]).ok();
    assert_same(&standing(&host), &two, "left: what stands, right: what stood");
    host.shapectl(&["rollback", "1"]).ok();
    assert_same(&standing(&host), &bare, "left: what stands, right: what stood");
    let shown = host.shapectl(&["history", "2"]).ok();
    assert!(shown.contains("web") && shown.contains("500kbit"), "{shown}");
    let none = host.shapectl(&["rollback", "99"]);
    assert!(none.status.code() == Some(1) && none.stderr.contains("no-history"), "{none}");
    drop(first);
}

#[test]
fn a_state_that_others_made_comes_back_too() {
    let host = Host::with(&["eth0"]);
    host.netns.tc("qdisc add dev eth0 root handle 7: htb default 3");
    host.netns.tc("class add dev eth0 parent 7: classid 7:3 htb rate 1mbit burst 5kb");
    host.netns.tc("qdisc add dev eth0 parent 7:3 handle 8: tbf rate 1mbit burst 5kb limit 9kb");
    host.netns.tc("filter add dev eth0 parent 7: protocol ip prio 3 u32 match ip src 10.0.0.0/8 flowid 7:3");
    let before = standing(&host);
    host.apply_text(ONE);
    assert_ne!(standing(&host), before);
    host.shapectl(&["rollback"]).ok();
    assert_same(&standing(&host), &before, "left: what stands, right: what stood");
    host.shapectl(&["clear", "eth0"]).ok();
    host.shapectl(&["rollback"]).ok();
    assert_same(&standing(&host), &before, "left: what stands, right: what stood");
}

#[test]
fn what_nobody_confirms_goes_back() {
    let host = Host::with(&["eth0"]);
    let one = host.apply_text(ONE);
    let before = standing(&host);
    let two = host.policy(TWO);
    let ran = host.shapectl(&["apply", "--confirm", "2", path(&two)]);
    assert!(ran.status.success() && ran.stderr.contains("shapectl confirm"), "{ran}");
    assert_ne!(standing(&host), before);
    // nothing else is changed until then
    let other = host.shapectl(&["apply", path(&one)]);
    assert!(other.status.code() == Some(3) && other.stderr.contains("unconfirmed"), "{other}");
    until("the change is reverted", || outcomes(&host).contains(&"reverted".to_owned()));
    assert_same(&standing(&host), &before, "left: what stands, right: what stood");
}

#[test]
fn what_is_confirmed_stays() {
    let host = Host::with(&["eth0"]);
    let two = host.policy(TWO);
    host.shapectl(&["apply", "--confirm", "2", path(&two)]).ok();
    let after = standing(&host);
    let said = host.shapectl(&["confirm"]).stderr;
    assert!(said.contains("stays"), "{said}");
    sleep(Duration::from_secs(3));
    assert_same(&standing(&host), &after, "left: what stands, right: what stood");
    host.assert_settled(&two);
    let again = host.shapectl(&["confirm"]);
    assert!(again.status.code() == Some(1) && again.stderr.contains("no change waits"), "{again}");
}

/// The apply is killed before it is done, and with it everything that belongs to its session.
#[test]
fn a_killed_apply_is_reverted_by_its_watchdog() {
    let host = Host::with(&["eth0"]);
    host.apply_text(ONE);
    let before = standing(&host);
    let two = host.policy(TWO);
    // the second send of changes never comes back
    let ran = cut_off(
        &host,
        &["apply", "--confirm", "2", path(&two)],
        "sendto",
        sends_before_the_first_step(&host, &two) + 1,
    );
    assert!(!ran, "the apply was to be killed");
    until("the change is reverted", || outcomes(&host).contains(&"reverted".to_owned()));
    assert_same(&standing(&host), &before, "left: what stands, right: what stood");
}

/// The time to confirm begins when the change is done, however long that took; and who changes something after an apply that
/// was cut off has settled it.
#[test]
fn the_time_to_confirm_is_whole() {
    let host = Host::with(&["eth0"]);
    host.apply_text(ONE);
    let before = standing(&host);
    let two = host.file("two.yaml", TWO);
    let ran = with_fault(&host, "delay 1 2500", &["apply", "--confirm", "2", &two]);
    assert!(ran.status.success() && ran.stderr.contains("it reverts in 2 s"), "{ran}");
    sleep(Duration::from_millis(800));
    assert_eq!(outcomes(&host)[0], "waiting");
    until("the change is reverted", || outcomes(&host).contains(&"reverted".to_owned()));
    assert_same(&standing(&host), &before, "left: what stands, right: what stood");
    let late = host.shapectl(&["confirm"]);
    assert!(late.status.code() == Some(1) && late.stderr.contains("is reverted"), "{late}");

    let ran = with_fault(&host, "cut 2", &["apply", "--confirm", "1", &two]);
    assert_eq!(ran.status.code(), None, "{ran}");
    host.shapectl(&["apply", &two]).ok();
    let after = standing(&host);
    sleep(Duration::from_millis(2500));
    assert_same(&standing(&host), &after, "left: what stands, right: what was applied since");
}

/// Where nothing can be written down nothing is changed, but for a way back.
#[test]
fn a_full_disk_stops_a_change_and_no_way_back() {
    let host = Host::with(&["eth0"]);
    host.apply_text(ONE);
    let before = standing(&host);
    let full = |words: &[&str]| {
        let line = "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"";
        let common = host.common();
        let words = common.iter().map(String::as_str).chain(words.iter().copied());
        crate::bed::netns::bounded("sh", ["-c", line, SHAPECTL].into_iter().chain(words))
    };
    let two = host.file("two.yaml", TWO);
    let ran = full(&["apply", &two]);
    assert!(ran.status.code() == Some(3) && ran.stderr.contains("no-checkpoint"), "{ran}");
    assert_same(&standing(&host), &before, "left: what stands, right: what stood");
    host.shapectl(&["apply", &two]).ok();
    let ran = full(&["rollback"]);
    assert!(ran.status.success() && ran.stderr.contains("state-lost"), "{ran}");
    assert_same(&standing(&host), &before, "left: what stands, right: what stood");
}

/// Files of others, a link in the place of the history, and a history that may not be read, are no empty history.
#[test]
fn a_history_that_cannot_be_read_is_not_an_empty_one() {
    let host = Host::with(&["eth0"]);
    let two = host.file("two.yaml", TWO);
    host.apply_text(ONE);
    let state = host.state();
    let history = std::fs::read_dir(&state).unwrap().flatten().map(|e| e.path()).find(|p| p.is_dir()).unwrap();
    for words in [&["history"][..], &["rollback"], &["confirm"]] {
        let state = ["--reuid=65534", "--clear-groups", SHAPECTL, "--state-dir", path(&state)];
        let line = state.iter().chain(words).copied();
        // what leads to it may be looked through
        let folder = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(host.state().parent().unwrap(), folder).unwrap();
        std::fs::rename(&history, host.state().join("history")).unwrap();
        let ran = host.netns.run("setpriv", line);
        std::fs::rename(host.state().join("history"), &history).unwrap();
        assert!(ran.status.code() == Some(3) && ran.stderr.contains("no-permission"), "{words:?}: {ran}");
    }
    let before = standing(&host);
    let aside = host.state().join("aside");
    std::fs::rename(&history, &aside).unwrap();
    std::os::unix::fs::symlink(&aside, &history).unwrap();
    for words in [&["history"][..], &["rollback"], &["apply", &two]] {
        let ran = host.shapectl(words);
        assert!(ran.status.code() == Some(3) && ran.stderr.contains("cannot be read"), "{words:?}: {ran}");
        assert_same(&standing(&host), &before, "left: what stands, right: what stood");
    }
    std::fs::remove_file(&history).unwrap();
    std::fs::rename(&aside, &history).unwrap();
    std::os::unix::fs::chown(history.join("1.json"), Some(65534), None).unwrap();
    let ran = host.shapectl(&["history"]);
    assert!(ran.stderr.contains("state-spoilt") && ran.stderr.contains("another user's"), "{ran}");
}

/// What is under way is not said to be cut off.
#[test]
fn a_change_under_way_is_told_as_that() {
    let host = Host::with(&["eth0"]);
    let one = host.policy(ONE);
    let common = host.common();
    let mut at_work = std::process::Command::new(SHAPECTL)
        .args(&common)
        .args(["apply", path(&one)])
        .env("SHAPECTL_FAULT", "delay 1 2000")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("it is under way", || host.shapectl(&["history"]).stdout.contains("under way"));
    assert!(at_work.wait().unwrap().success());
    let ran = with_fault(&host, "cut 1", &["clear", "eth0"]);
    assert_eq!(ran.status.code(), None, "{ran}");
    let said = host.shapectl(&["history"]).stdout;
    assert!(said.lines().next().unwrap().contains("cut off") && !said.contains("under way"), "{said}");
}

/// A link that goes takes along what stood on it; the others get theirs back all the same.
#[test]
fn what_stood_beside_a_link_that_is_gone_comes_back() {
    let host = Host::with(&["eth0", "eth1"]);
    let other = ONE.lines().skip(2).map(|line| format!("{}\n", line.replace("eth0", "eth1"))).collect::<String>();
    let one = format!("{ONE}{other}");
    host.apply_text(&one);
    let stands = || host.netns.tc("class show dev eth0") + &host.netns.tc("filter show dev eth0");
    let before = stands();
    let policy = host.policy(&one.replace("128kbit", "256kbit"));
    let last = messages_of(&host, &["apply", path(&policy)]);
    assert_ne!(stands(), before);
    host.shapectl(&["rollback"]).ok();
    assert_eq!(stands(), before);
    let ran = with_fault(&host, &format!("run {last} ip link del eth1"), &["apply", path(&policy)]);
    assert_eq!(ran.status.code(), Some(3), "{ran}");
    assert!(ran.stderr.contains("stands again, but for `eth1`"), "{ran}");
    assert_eq!(stands(), before);
    // and to what stood when the link was there
    host.apply_text(&ONE.replace("128kbit", "512kbit"));
    let ran = host.shapectl(&["rollback", "2"]);
    assert!(ran.status.success() && ran.stderr.contains("`eth1` is no longer there"), "{ran}");
    assert_eq!(stands(), before);
}

#[test]
fn a_second_change_waits_or_says_who_is_at_work() {
    let host = Host::with(&["eth0"]);
    let one = host.policy(ONE);
    // somebody has the lock: a process in that namespace, holding the address
    let holder = "import socket, time
s = socket.socket(socket.AF_UNIX)
while True:
    try: s.bind('\\0shapectl'); break
    except OSError: time.sleep(0.01)
s.listen(); time.sleep(30)";
    let holder = in_namespace(&host.netns, "python3", &["-c", holder]);
    let pid = holder.0.id();
    until("the lock is held", || {
        let ran = host.shapectl(&["apply", "--wait", "0", path(&one)]);
        ran.stderr.contains("locked")
            && ran.stderr.contains(&format!("process {pid}"))
            && ran.stderr.contains("time.sleep")
    });
    // whoever only looks does not mind
    host.shapectl(&["apply", "--dry-run", path(&one)]).ok();
    let slow = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| host.shapectl(&["apply", "--wait", "20", path(&one)]));
        sleep(Duration::from_millis(300));
        drop(holder);
        waiting.join().expect("a thread")
    });
    slow.ok();
    host.assert_settled(&one);
}

/// A change by somebody else between the plan and the sending stops the apply, and so does one in the middle of it.
#[test]
fn a_change_by_somebody_else_is_noticed() {
    let host = Host::with(&["eth0"]);
    host.apply_text(ONE);
    let many = host.policy(&classes(250, 1));
    // another one changes a class all the time
    let changer = "while :; do tc class change dev eth0 classid 1:1 htb rate 128kbit ceil 2mbit prio 2; \
                   tc class change dev eth0 classid 1:1 htb rate 128kbit ceil 2mbit prio 3; done";
    let before = host.netns.tc("class show dev eth0");
    let class =
        before.lines().find(|line| line.contains("leaf")).expect("ssh").split_whitespace().nth(2).expect("a number");
    let changer = in_namespace(&host.netns, "sh", &["-c", &changer.replace("1:1", class)]);
    sleep(Duration::from_millis(200));
    let ran = host.shapectl(&["apply", path(&many)]);
    drop(changer);
    assert!(ran.status.code() == Some(3) && ran.stderr.contains("changed-meanwhile"), "{ran}");
    // and the next one gets there, once the last command of the other has ended
    until("nobody else is at work", || host.shapectl(&["apply", path(&many)]).status.success());
    host.assert_settled(&many);
}

/// Cut off at every send, an apply is finished by the next one, or taken back by `rollback`.
#[test]
fn a_cut_off_apply_is_finished_or_taken_back() {
    let host = Host::with(&["eth0"]);
    let first = classes(40, 1);
    let second = classes(110, 2);
    let one = host.apply_text(&first);
    let mut before = standing(&host);
    let two = host.policy(&second);
    let free = sends_before_the_first_step(&host, &two);
    drop(one);
    let mut cuts = 0;
    // the sends of the steps, and some of the reads that verify
    for number in free + 1..free + 9 {
        if cut_off(&host, &["apply", path(&two)], "sendto", number) {
            break; // it came to its end
        }
        cuts += 1;
        // the last cuts are among the reads that verify, and after them
        let outcome = outcomes(&host).first().cloned().expect("a change");
        assert!(outcome == "begun", "cut off at {number}: {outcome}");
        if cuts % 2 == 0 {
            host.apply(&two);
            assert_eq!(host.diff(&two).0, 0, "finished after a cut at {number}");
            // back to the first, for the next cut
            let one = host.policy(&first);
            host.apply(&one);
            before = standing(&host);
            host.policy(&second);
        } else {
            host.shapectl(&["rollback"]).ok();
            assert_same(&standing(&host), &before, &format!("taken back after a cut at {number}"));
        }
    }
    assert!(cuts >= 4, "{cuts} cuts");
    let two = host.policy(&second);
    host.apply(&two);
    host.assert_settled(&two);
}

/// Nothing is done that cannot be written down first, and a history that somebody has spoilt is not believed.
#[test]
fn a_spoilt_history_is_named_and_not_believed() {
    let host = Host::with(&["eth0"]);
    host.apply_text(ONE);
    let stands = standing(&host);
    let folder = host.state().join(format!("netns-{}.history", host.netns.name()));
    for (file, text) in [("1.held", &b"shapectl held 1\n"[..]), ("1.state", b"{"), ("1.json", b"\0\0")] {
        std::fs::write(folder.join(file), text).expect("the folder is writable");
        let ran = host.shapectl(&["rollback", "1"]);
        assert!(!ran.status.success() && ran.stderr.contains("state-spoilt"), "{file}: {ran}");
        assert_eq!(standing(&host), stands, "{file}");
        assert!(folder.join(format!("{file}.bad")).exists(), "{file}");
        std::fs::remove_dir_all(&folder).expect("it is there");
        host.shapectl(&["clear", "eth0"]).ok();
        std::fs::remove_dir_all(&folder).expect("it is there");
        host.apply(&host.policy(ONE));
    }
    std::fs::remove_dir_all(&folder).expect("it is there");
    std::fs::write(&folder, "in the way").expect("the folder is writable");
    let two = host.policy(TWO);
    let ran = host.shapectl(&["apply", path(&two)]);
    assert!(ran.status.code() == Some(3) && ran.stderr.contains("cannot be read"), "{ran}");
    assert_same(&standing(&host), &stands, "left: what stands, right: what stood");
}

#[test]
fn for_cron_nothing_to_do_is_nothing_to_say() {
    let host = Host::with(&["eth0"]);
    let one = host.policy(ONE);
    let first = host.shapectl(&["apply", "--if-changed", path(&one)]);
    assert!(first.stdout.contains("ssh"), "{first}");
    let second = host.shapectl(&["apply", "--if-changed", path(&one)]);
    assert!(second.status.success() && second.stdout.is_empty() && second.stderr.is_empty(), "{second}");
}

/// What stands, but for the numbers of u32's root tables, which the kernel gives anew.
pub(crate) fn standing(host: &Host) -> Vec<String> {
    let plain = |word: &str| {
        let table = word.split(':').next().unwrap_or(word);
        let root = table.len() == 3 && table.starts_with('8') && u16::from_str_radix(table, 16).is_ok();
        if root { word.replacen(table, "8..", 1) } else { word.to_owned() }
    };
    host.dump().iter().map(|line| line.split(' ').map(plain).collect::<Vec<_>>().join(" ")).collect()
}

/// A policy of that many classes, each with a rule; `variant` changes every one.
fn classes(number: usize, variant: usize) -> String {
    let mut text = "interfaces:\n  eth0:\n    egress:\n      htb:\n        default: c0\n        classes:\n".to_owned();
    for n in 0..number {
        let limit = 10 + variant;
        text +=
            &format!("          c{n}: {{ rate: {}kbit, leaf: {{ pfifo: {{ limit: {limit} }} }} }}\n", 100 + variant);
    }
    text += "      rules:\n";
    for n in 1..number {
        text += &format!("        - {{ class: c{n}, match: tcp dport {} }}\n", n * variant);
    }
    text
}

fn in_namespace(netns: &Netns, program: &str, words: &[&str]) -> Running {
    netns.enter(|| {
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Running(command.spawn().expect("it can be run"))
    })
}

/// How many sends an apply needs to read what stands: those of a diff.
fn sends_before_the_first_step(host: &Host, policy: &std::path::Path) -> usize {
    let trace = tempfile::NamedTempFile::new().expect("a file");
    let mut words = vec!["-qq", "-e", "trace=sendto", "-o", trace.path().to_str().expect("a plain path"), SHAPECTL];
    let common = host.common();
    words.extend(common.iter().map(String::as_str));
    words.extend(["diff", path(policy)]);
    crate::bed::netns::bounded("strace", words);
    let text = std::fs::read_to_string(trace.path()).expect("a trace");
    text.lines().filter(|line| line.starts_with("sendto")).count()
}

/// Runs shapectl and kills it in a certain call of the kernel; whether it came to its end all the same.
fn cut_off(host: &Host, words: &[&str], call: &str, number: usize) -> bool {
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=SIGKILL:when={number}"));
    let mut line = vec!["-qq", "-e", &trace, "-e", &inject, "-o", "/dev/null", SHAPECTL];
    let common = host.common();
    line.extend(common.iter().map(String::as_str));
    line.extend(words);
    crate::bed::netns::bounded("strace", line).status.success()
}
