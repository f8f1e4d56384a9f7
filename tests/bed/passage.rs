//! A paced flow and a saturating one on their way through many changes of a policy, of all sorts: rates, kinds of leaves,
//! rules, the default, classes that are added, moved and removed. Whoever makes the changes, the figures are the same ones.

use super::netns::{Netns, Pair};
use super::traffic::{Flow, Receiver};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The port of the flow that must not suffer, and of the one that fills the line.
const PACED: u16 = 5002;
const BULK: u16 = 5001;
/// Bytes of a paced packet's payload.
const PAYLOAD: usize = 200;
/// The window in which the line's rate is looked at.
const WINDOW: Duration = Duration::from_millis(100);

/// Bits a second that the line has after `n` changes.
fn line(n: usize) -> u64 {
    (8 - n as u64 % 3) * 1_000_000
}

/// The policy after `n` changes. `leaves`: kinds of leaves that this kernel has, each as a policy says it.
pub fn policy(n: usize, leaves: &[&str]) -> String {
    let leaf = |n: usize| leaves[n % leaves.len()];
    let (bulk, paced) = (leaf(n / 2), leaf(n / 5 + 1));
    let rest = leaf(n / 9);
    // every fifth change another class takes what no rule does
    let default = if n % 5 == 4 { "other" } else { "rest" };
    // a sender that was held up sends what is due at once: its queue has room for that
    let paced = paced.replace("12", "200").replace("18kb", "90kb");
    let paced = format!("paced: {{ rate: 1mbit, ceil: 4mbit, prio: 0, leaf: {{ {paced} }} }}");
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
        default: {default}
        classes:
          rest: {{ rate: 8kbit, leaf: {{ {rest} }} }}
          other: {{ rate: 8kbit }}
          line:
            rate: {line}bit
            classes:
{classes}              bulk: {{ rate: {}kbit, ceil: {line}bit, prio: 5, leaf: {{ {bulk} }} }}
{extra}      rules:
{rules}",
        1000 + 100 * (n % 10),
        line = line(n),
    )
}

/// What became of the flows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Packets of the paced flow that were sent, and that arrived.
    pub sent: u64,
    pub arrived: u64,
    /// Packets that went into a class of the rest, or past all classes.
    pub misplaced: u64,
    /// The most bits that arrived within [`WINDOW`] beyond what the faster of the lines of that time allows.
    pub beyond: u64,
    /// Bits that arrived in all, and how long it took.
    pub bits: u64,
    pub time: Duration,
}

impl Figures {
    /// Packets of the paced flow that did not arrive.
    pub fn lost(&self) -> u64 {
        self.sent - self.arrived
    }
}

/// Takes both flows through `changes` changes; `change(near, n)` makes the `n`th, from 0 on.
pub fn figures(pair: Pair, changes: usize, mut change: impl FnMut(&Netns, usize)) -> Figures {
    let Pair { near, far } = pair;
    change(&near, 0);
    let length = Duration::from_secs(280);
    let heard = [PACED, BULK].map(|port| Receiver::at(&far, &format!("10.9.0.2:{port}")).arrivals());
    let stop = Arc::new(AtomicBool::new(false));
    let flow =
        |port: u16, offered: u64| Flow::to(&format!("10.9.0.2:{port}"), offered, length).until(Arc::clone(&stop));
    let began = Instant::now();
    let paced = flow(PACED, 400_000).payload(PAYLOAD).start(&near);
    let bulk = flow(BULK, 12_000_000).start(&near);
    let mut turns = vec![(began, line(0))];
    let mut counted = Counted::default();
    for n in 1..=changes {
        turns.push((Instant::now(), line(n - 1).max(line(n))));
        change(&near, n);
        turns.push((Instant::now(), line(n)));
        counted.look(&near);
        std::thread::sleep(Duration::from_millis(10));
    }
    stop.store(true, Ordering::Relaxed);
    let time = began.elapsed();
    let sent = paced.join().unwrap();
    bulk.join().unwrap();
    let [paced, bulk] = heard.map(|heard| heard.join().unwrap());
    let arrived = paced.len() as u64;
    let mut all: Vec<(Instant, u64)> = paced.into_iter().chain(bulk).collect();
    all.sort_unstable();
    let bits = all.iter().map(|(_, bits)| bits).sum();
    Figures { sent, arrived, misplaced: counted.packets, beyond: beyond(&all, &turns), bits, time }
}

/// The most bits within one window beyond what the fastest line of that time carries.
fn beyond(arrivals: &[(Instant, u64)], turns: &[(Instant, u64)]) -> u64 {
    let (mut first, mut bits, mut worst) = (0, 0, 0);
    for (now, more) in arrivals {
        bits += more;
        while *now - arrivals[first].0 > WINDOW {
            bits -= arrivals[first].1;
            first += 1;
        }
        let began = turns.partition_point(|(at, _)| *at <= arrivals[first].0).saturating_sub(1);
        let lines = turns[began..].iter().take_while(|(at, _)| at <= now).map(|(_, line)| *line);
        let line = lines.max().unwrap_or(0);
        worst = worst.max(bits.saturating_sub((line as f64 * WINDOW.as_secs_f64()) as u64));
    }
    worst
}

/// What went where no rule sends it, looked at again and again while trees come and go.
#[derive(Default)]
struct Counted {
    packets: u64,
    /// The last figure of each class of the rest, and of the root's direct packets.
    last: BTreeMap<String, u64>,
}

impl Counted {
    fn look(&mut self, netns: &Netns) {
        let mut now = BTreeMap::new();
        let roots = netns.tc("-s qdisc show dev eth0 root");
        let direct = roots.split("direct_packets_stat ").nth(1).and_then(|rest| rest.split_whitespace().next());
        now.insert("direct".to_owned(), direct.map_or(0, |n| n.parse().expect("a number")));
        let classes = netns.tc("-s class show dev eth0");
        let mut of_rest = None;
        for line in classes.lines() {
            if line.starts_with("class ") {
                // of all classes only those of the rest have this rate
                of_rest = (line.starts_with("class htb") && line.contains(" rate 8Kbit "))
                    .then(|| line.split_whitespace().nth(2).unwrap().to_owned());
            } else if let (Some(class), Some(sent)) = (&of_rest, line.trim().strip_prefix("Sent ")) {
                let packets = sent.split_whitespace().nth(2).unwrap().parse().expect("a number");
                now.insert(class.clone(), packets);
            }
        }
        for (what, packets) in &now {
            // fewer than before: it is another one under the old name
            let before = self.last.get(what).copied().filter(|before| before <= packets).unwrap_or(0);
            self.packets += packets - before;
        }
        self.last = now;
    }
}
