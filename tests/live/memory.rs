//! The guess of what disciplines take of the kernel's memory, held against what they take.

use crate::bed::kernel;
use crate::host::{Host, path};
use crate::needs;
use serde_json::Value;

/// A policy of so many classes, each with that leaf.
fn leaves(number: usize, leaf: &str) -> String {
    let classes: String = (0..number).map(|n| format!("          c{n}: {{ rate: 10kbit, leaf: {leaf} }}\n")).collect();
    format!("interfaces:\n  eth0:\n    egress:\n      htb:\n        default: c0\n        classes:\n{classes}")
}

fn guess(host: &Host, policy: &std::path::Path) -> (u64, u64) {
    let ran = host.shapectl(&["--format", "json", "apply", "--dry-run", path(policy)]).ok();
    let json: Value = serde_json::from_str(&ran).expect("JSON");
    let figure = |word: &str| json["memory"][word].as_u64().expect("a number");
    (figure("tables"), figure("packets"))
}

/// Bytes that the machine has left, once processes that have ended have given theirs back.
fn left() -> i64 {
    std::thread::sleep(std::time::Duration::from_millis(300));
    let text = std::fs::read_to_string("/proc/meminfo").expect("it can be read");
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<i64>().expect("a number") * 1024
}

/// On kernels that run nothing but the test, where what comes back as they go was the disciplines'.
#[test]
fn the_guess_is_near_what_the_kernel_takes() {
    needs!("htb", "veth");
    if !kernel::name().starts_with("uml") {
        return;
    }
    for (kind, number) in [("fq_codel", 200), ("sfq", 800), ("fq_pie", 150), ("hhf", 300), ("cake", 40)] {
        if kernel::lacks(kind).is_some() {
            continue;
        }
        let host = Host::with(&["eth0"]);
        let policy = host.policy(&leaves(number, kind));
        let (tables, _) = guess(&host, &policy);
        // measured as they go, for the first apply of all has others' memory given back
        host.apply(&policy);
        let beside = left();
        host.netns.tc("qdisc del dev eth0 root");
        let took = left() - beside;
        let guessed = i64::try_from(tables).expect("a small number");
        assert!(
            took > guessed / 2 && took < guessed * 2,
            "{number} {kind} took {took} bytes, and {guessed} were guessed"
        );
    }
}

#[test]
fn more_than_the_machine_has_left_is_warned_of() {
    let host = Host::with(&["eth0"]);
    let (few, many) = ("{ pfifo: { limit: 10 } }", "{ pfifo: { limit: 4000000000 } }");
    let modest = host.policy(&leaves(3, few));
    let (tables, packets) = guess(&host, &modest);
    assert!(tables > 3 * 1024 && tables < 100_000, "{tables}");
    // a packet of 1514 bytes lies in 2048, with 256 for its head
    assert_eq!(packets, 3 * 10 * 2304);
    let said = host.shapectl(&["apply", "--dry-run", path(&modest)]);
    assert!(said.stderr.contains("of the kernel's memory") && !said.stderr.contains("are left"), "{said}");
    let said = host.shapectl(&["apply", "--dry-run", path(&host.policy(&leaves(3, many)))]);
    assert!(said.status.success() && said.stderr.contains("are left") && said.stderr.contains("27.6 TB"), "{said}");
    let said = host.shapectl(&["check", "--live", path(&host.policy(&leaves(3, many)))]);
    assert!(said.status.success() && said.stderr.contains("27.6 TB"), "{said}");
    let page = host.shapectl(&["explain", "memory"]).ok();
    assert!(page.contains("MemAvailable"), "{page}");
}
