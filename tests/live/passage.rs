//! A flow passes through a hundred changes of its policy and loses nothing: no packet, no class, no rate.

use crate::bed::kernel;
use crate::bed::netns::Pair;
use crate::bed::traffic::{Flow, Receiver};
use crate::host::{Host, path};
use crate::needs;
use std::time::{Duration, Instant};

/// The port of the flow that must not suffer, and of the one that fills the line.
const PACED: u16 = 5002;
const BULK: u16 = 5001;
/// The line is never faster.
const LINE: f64 = 8e6;

/// The policy after `n` changes: rates, kinds of leaves, rules, classes that are added, moved and removed.
fn policy(n: usize) -> String {
    let line = 8 - n % 3;
    let leaf = ["pfifo: { limit: 40 }", "bfifo: { limit: 60kb }", "pfifo: { limit: 50 }"][n % 3];
    let paced = "paced: { rate: 1mbit, ceil: 4mbit, prio: 0, leaf: { pfifo: { limit: 100 } } }";
    // every seventh change moves the class below another one, or back
    let (place, classes) = if (n / 7).is_multiple_of(2) {
        ("line/paced", format!("              {paced}\n"))
    } else {
        let group = "              group:\n                rate: 1mbit\n                ceil: 5mbit\n";
        ("line/group/paced", format!("{group}                classes:\n                  {paced}\n"))
    };
    let extra: String =
        (0..n % 4).map(|i| format!("              extra{i}: {{ rate: {}kbit, prio: 3 }}\n", 100 + i + n)).collect();
    let mut rules = vec![
        format!("class: {place}, match: 'udp dport {{{PACED}, {}}}'", 6000 + n % 5),
        format!("class: line/bulk, match: udp dport {BULK}"),
    ];
    rules.extend((0..n % 4).map(|i| format!("class: line/extra{i}, match: tcp dport {}", 7000 + i * n)));
    let turn = n % rules.len();
    rules.rotate_left(turn);
    let rules: String = rules.iter().map(|rule| format!("        - {{ {rule} }}\n")).collect();
    format!(
        "interfaces:
  eth0:
    egress:
      htb:
        default: rest
        classes:
          rest: {{ rate: 8kbit }}
          line:
            rate: {line}mbit
            classes:
{classes}              bulk: {{ rate: {}kbit, ceil: {line}mbit, prio: 5, leaf: {{ {leaf} }} }}
{extra}      rules:
{rules}",
        1000 + 100 * (n % 10)
    )
}

/// How many packets a class has taken.
fn taken(host: &Host, class: &str) -> u64 {
    let shown: serde_json::Value =
        serde_json::from_str(&host.shapectl(&["show", "--format", "json", "eth0"]).ok()).expect("JSON");
    fn find(value: &serde_json::Value, class: &str) -> Option<u64> {
        match value {
            serde_json::Value::Object(map) => {
                if map.get("name").and_then(|n| n.as_str()) == Some(class) {
                    return map.get("stats").or(Some(value)).and_then(|s| s.get("packets")).and_then(|n| n.as_u64());
                }
                map.values().find_map(|v| find(v, class))
            }
            serde_json::Value::Array(list) => list.iter().find_map(|v| find(v, class)),
            _ => None,
        }
    }
    find(&shown, class).unwrap_or_else(|| panic!("no class {class}: {shown}"))
}

#[test]
fn a_flow_passes_through_a_hundred_changes() {
    needs!("htb", "u32", "veth");
    let changes = if kernel::name() == "uml-6.1" { 20 } else { 100 };
    let Pair { near, far } = Pair::new();
    let (near, far) = (Host::of(near), Host::of(far));
    near.apply_text(&policy(0));
    let length = Duration::from_secs(60);
    let receive = |port: u16| Receiver::at(&far.netns, &format!("10.9.0.2:{port}"));
    let heard = [PACED, BULK].map(|port| receive(port).start(Duration::ZERO, length));
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flow = |port: u16, offered: u64| {
        Flow::to(&format!("10.9.0.2:{port}"), offered, length).until(std::sync::Arc::clone(&stop))
    };
    let began = Instant::now();
    let paced = flow(PACED, 400_000).payload(200).start(&near.netns);
    let bulk = flow(BULK, 12_000_000).start(&near.netns);
    for n in 1..=changes {
        let file = near.policy(&policy(n));
        near.shapectl(&["apply", path(&file)]).ok();
        std::thread::sleep(Duration::from_millis(10));
    }
    let wrong = taken(&near, "rest");
    near.assert_settled(&near.policy(&policy(changes)));
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let time = began.elapsed();
    let sent = paced.join().unwrap();
    bulk.join().unwrap();
    let [paced, bulk] = heard.map(|heard| heard.join().unwrap());
    assert!(sent > 100, "{sent} packets only");
    assert_eq!(paced.packets_in_all, sent, "packets of the paced flow that arrived, and that were sent");
    assert_eq!(wrong, 0, "packets that no rule took");
    let bits = (bulk.packets_in_all * 1500 + paced.packets_in_all * 242) as f64 * 8.0;
    let most = LINE * time.as_secs_f64() + 200_000.0;
    assert!(bits <= most, "{bits} bits in {time:?}, where {most} are the most");
    assert!(bits >= most / 3.0, "{bits} bits in {time:?}: the line was never full");
}

/// What waits in a class that goes leaves before it: ten packets at 200 kbit/s need half a second.
#[test]
fn what_waits_in_a_class_that_goes_is_sent() {
    needs!("htb", "u32", "veth");
    let Pair { near, far } = Pair::new();
    let (near, far) = (Host::of(near), Host::of(far));
    let policy = |slow: &str| {
        format!(
            "interfaces: {{ eth0: {{ egress: {{ htb: {{ default: rest, classes: {{ rest: {{ rate: 1mbit }}{slow} }} }} }} }} }}\n"
        )
    };
    let slow = ", slow: { rate: 200kbit, burst: 1600b, cburst: 1600b, match: udp dport 5001, leaf: pfifo }";
    near.apply_text(&policy(slow));
    let heard = Receiver::at(&far.netns, "10.9.0.2:5001").start(Duration::ZERO, Duration::from_secs(10));
    let sent = Flow::to("10.9.0.2:5001", 1_000_000_000, Duration::from_secs(1)).datagrams(10).start(&near.netns).join();
    near.apply_text(&policy(""));
    let shown = near.netns.tc("class show dev eth0");
    assert_eq!((sent.unwrap(), heard.join().unwrap().packets_in_all), (10, 10), "{shown}");
    assert!(!shown.contains("200Kbit"), "{shown}");
}
