//! Random policies, one after another on one machine: each is held to the letter after its apply, a way back leads to what
//! stood before, and shapectl neither grows nor leaves anything behind.
//!
//! `SHAPECTL_SOAK` says how many policies, `PROPTEST_RNG_SEED` which.

use crate::bed::dump::assert_same;
use crate::bed::kernel;
use crate::host::{Host, path};
use crate::needs;
use nix::sys::resource::{UsageWho, getrusage};
use std::fmt::Write;
use std::path::Path;

/// Numbers that look random and are the same for one seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// A policy, made by throwing dice.
struct Maker {
    dice: Dice,
    /// The kinds of leaves that this kernel has, each with what may be written of it.
    leaves: Vec<&'static str>,
    text: String,
    classes: Vec<String>,
}

impl Maker {
    fn line(&mut self, depth: usize, text: &str) {
        let _ = writeln!(self.text, "{:1$}{text}", "", depth * 2);
    }

    fn leaf(&mut self) -> String {
        let leaf = self.leaves[self.dice.below(self.leaves.len() as u64) as usize];
        let number = 20 + self.dice.below(60);
        leaf.replace('N', &number.to_string())
    }

    /// Classes below a parent of that rate in kbit/s, named after their place so that the same name comes again often.
    fn below(&mut self, depth: usize, path: &str, rate: u64, levels: usize) {
        let number = 1 + self.dice.below(4);
        self.line(depth, "classes:");
        for n in 0..number {
            let name = format!("c{n}");
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            let own = (rate / number).max(8);
            self.line(depth + 1, &format!("{name}:"));
            self.line(depth + 2, &format!("rate: {own}kbit"));
            if self.dice.below(2) == 0 {
                let ceil = own + self.dice.below(rate + 1 - own.min(rate));
                self.line(depth + 2, &format!("ceil: {ceil}kbit"));
            }
            if levels > 0 && self.dice.below(3) == 0 {
                self.below(depth + 2, &path, own, levels - 1);
                continue;
            }
            if self.dice.below(3) > 0 {
                let prio = self.dice.below(8);
                self.line(depth + 2, &format!("prio: {prio}"));
            }
            if self.dice.below(2) == 0 {
                let leaf = self.leaf();
                self.line(depth + 2, &format!("leaf: {leaf}"));
            }
            self.classes.push(path);
        }
    }

    fn rules(&mut self, depth: usize) {
        let number = self.dice.below(6);
        if number == 0 {
            return;
        }
        self.line(depth, "rules:");
        for _ in 0..number {
            let class = self.classes[self.dice.below(self.classes.len() as u64) as usize].clone();
            let port = 1 + self.dice.below(40);
            let matches = self.dice.of(&[
                "tcp dport PORT",
                "udp dport {PORT, 99}",
                "src 10.PORT.0.0/16",
                "dst 2001:db8:PORT::/48",
                "proto icmp",
                "dscp cs1 and not tcp",
                "len 0-PORT00",
            ]);
            let matches = matches.replace("PORT", &port.to_string());
            self.line(depth + 1, &format!("- {{ class: {class}, match: '{matches}' }}"));
        }
    }

    /// An htb with its rules; the first leaf class takes the rest.
    fn htb(&mut self, depth: usize) {
        self.classes.clear();
        self.line(depth, "htb:");
        let before = self.text.len();
        let rate = 1000 + 500 * self.dice.below(4);
        self.below(depth + 1, "", rate, 2);
        let line = format!("{:1$}default: {2}\n", "", (depth + 1) * 2, self.classes[0]);
        self.text.insert_str(before, &line);
    }

    fn policy(&mut self) -> String {
        self.text.clear();
        self.line(0, "interfaces:");
        for interface in ["eth0", "eth1"] {
            let (sends, arrives) = (self.dice.below(8), self.dice.below(4));
            if sends == 0 && arrives != 0 {
                continue;
            }
            self.line(1, &format!("{interface}:"));
            if self.dice.below(3) == 0 {
                let length = 100 + self.dice.below(3) * 50;
                self.line(2, &format!("link: {{ txqueuelen: {length} }}"));
            }
            match sends {
                0 => {}
                1 => {
                    let leaf = self.leaf();
                    self.line(2, &format!("egress: {leaf}"));
                }
                _ => {
                    self.line(2, "egress:");
                    self.htb(3);
                    self.rules(3);
                }
            }
            if arrives == 0 {
                self.line(2, "ingress:");
                self.line(3, "shape:");
                self.htb(4);
            }
        }
        if self.text.lines().count() == 1 {
            self.line(1, "eth0: { egress: pfifo }");
        }
        self.text.clone()
    }
}

/// What stands, in an order that does not tell when an object was made.
fn standing(host: &Host) -> Vec<String> {
    let mut lines = crate::safe::standing(host);
    // no more flows than packets can wait: the kernel says so of a limit that it was told, and not of its own (`sfq_change`)
    for line in lines.iter_mut().filter(|line| line.contains("qdisc sfq") && line.contains(" limit 127p")) {
        *line = line.replace(" flows 127 ", " flows 128 ");
    }
    // a netem ends the kernel's dump of classes, so that those shown depend on the order in which all was made
    let cut: Vec<String> = lines.iter().filter(|l| l.contains(": qdisc netem")).map(|l| link(l).to_owned()).collect();
    lines.retain(|line| {
        !line.contains(": class ") || line.contains(": class htb") || !cut.iter().any(|at| at == link(line))
    });
    lines.sort_unstable();
    lines
}

/// The link that a line of a dump is of.
fn link(line: &str) -> &str {
    line.split(':').next().unwrap_or(line)
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn octets(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|e| if e.path().is_dir() { octets(&e.path()) } else { e.metadata().map_or(0, |m| m.len()) }).sum()
}

/// Kilobytes of the largest process that a test has waited for.
fn largest() -> i64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).expect("getrusage").max_rss()
}

#[test]
fn random_policies_are_held_and_taken_back() {
    needs!("htb", "u32", "veth", "ifb");
    let mut leaves = vec!["{ pfifo: { limit: N } }", "{ bfifo: { limit: N000b } }"];
    let more = [
        ("tbf", "{ tbf: { rate: N00kbit, burst: 5kb, latency: 100ms } }"),
        ("sfq", "{ sfq: { perturb: Ns } }"),
        ("fq_codel", "{ fq_codel: { limit: N00, target: Nms, interval: N0ms } }"),
        ("prio", "{ prio: { bands: [high, low, least], leaves: { low: { pfifo: { limit: N } } } } }"),
        ("drr", "{ drr: { default: a, classes: { a: { quantum: 2N0b }, b: { leaf: { pfifo: { limit: N } } } } } }"),
        ("netem", "{ netem: { delay: Nms, limit: N00 } }"),
        ("cake", "{ cake: { bandwidth: Nmbit } }"),
    ];
    leaves.extend(more.iter().filter(|(kind, _)| kernel::lacks(kind).is_none()).map(|(_, leaf)| *leaf));
    let host = Host::with(&["eth0", "eth1"]);
    let dice = Dice(setting("PROPTEST_RNG_SEED", 1));
    let mut maker = Maker { dice, leaves, text: String::new(), classes: Vec::new() };
    let cases = setting("SHAPECTL_SOAK", 25);
    let mut early = None;
    for n in 0..cases {
        let text = maker.policy();
        let before = standing(&host);
        let file = host.policy(&text);
        let (_, plan) = host.diff(&file);
        let ran = host.shapectl(&["apply", path(&file)]);
        assert!(ran.status.success(), "policy {n}:\n{text}\n{plan}\n{ran}");
        let (code, left) = host.diff(&file);
        assert_eq!(code, 0, "policy {n}:\n{text}\nis not what stands:\n{left}");
        if n % 3 == 2 {
            let after = standing(&host);
            let ran = host.shapectl(&["rollback"]);
            assert!(ran.status.success(), "the way back from policy {n}:\n{text}\n{plan}\n{ran}");
            assert_same(&standing(&host), &before, &format!("the way back from policy {n}:\n{text}"));
            let ran = host.shapectl(&["rollback"]);
            assert!(ran.status.success(), "the way forth to policy {n} again:\n{text}\n{plan}\n{ran}");
            assert_same(&standing(&host), &after, &format!("the way forth to policy {n} again:\n{text}"));
        }
        // the state keeps the last changes only; processes of ours and of others are counted together
        if n == 35 {
            early = Some((octets(&host.state()), largest()));
        }
    }
    if let Some((state, memory)) = early {
        let (now, most) = (octets(&host.state()), largest());
        assert!(now < state * 3, "the state has grown from {state} to {now} octets");
        assert!(most < memory + memory / 4, "the largest process has grown from {memory} to {most} kB");
    }
}
