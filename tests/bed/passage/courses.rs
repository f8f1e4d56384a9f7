//! Policies of each kind that shapes or shares, and what becomes of them change by change.

use super::super::kernel;
use super::{BULK, PACED};
use std::sync::OnceLock;

/// A policy that changes again and again.
pub struct Course {
    /// The kind that it is about.
    pub name: &'static str,
    /// What the kernel must have for it.
    pub needs: &'static [&'static str],
    /// What is shaped on the way out, after so many changes.
    egress: fn(&Turn) -> String,
    /// Whether a line of tc is about a class that no rule leads a flow to.
    pub is_rest: fn(&str) -> bool,
    /// Bytes that a change may let through at once, beyond the line.
    pub burst: u64,
    /// Whether a line of a plan says that the paced flow may lose packets.
    pub costs: fn(&str) -> bool,
}

/// All there are.
pub const COURSES: [Course; 8] = [
    Course {
        name: "htb",
        needs: &["htb", "u32"],
        egress: htb,
        // of all classes only those of the rest have this rate
        is_rest: |line| line.starts_with("class htb") && line.contains(" rate 8Kbit "),
        // the bucket of a new class, and of its parent
        burst: 2 * 1_700,
        costs: |_| false,
    },
    Course {
        name: "hfsc",
        needs: &["hfsc", "u32"],
        egress: hfsc,
        is_rest: |line| line.starts_with("class hfsc") && line.contains("m2 8Kbit"),
        // the upper limit is counted anew from the change on, whatever went before, and who is served in real time does not
        // wait for it
        burst: 2 * 1_500,
        costs: |_| false,
    },
    Course {
        name: "drr",
        needs: &["tbf", "drr", "u32"],
        egress: |turn| turn.below_tbf(&drr(turn)),
        is_rest: |line| line.starts_with("class drr") && line.contains(" quantum 1777b"),
        burst: BURST,
        costs: |_| false,
    },
    Course {
        name: "qfq",
        needs: &["tbf", "qfq", "u32"],
        egress: |turn| turn.below_tbf(&qfq(turn)),
        is_rest: |line| line.starts_with("class qfq") && line.contains(" weight 97 "),
        burst: BURST,
        costs: |_| false,
    },
    Course {
        name: "prio",
        needs: &["tbf", "prio", "u32"],
        egress: |turn| turn.below_tbf(&prio(turn)),
        is_rest: |line| line.starts_with("class prio") && is_late_band(line),
        burst: BURST,
        costs: costs_a_band,
    },
    Course {
        name: "ets",
        needs: &["tbf", "ets", "u32"],
        egress: |turn| turn.below_tbf(&ets(turn)),
        is_rest: |line| line.starts_with("class ets") && is_late_band(line),
        burst: BURST,
        costs: costs_a_band,
    },
    Course {
        name: "tbf",
        needs: &["tbf", "fq", "fq_codel", "cake"],
        egress: |turn| turn.below_tbf(&queue(turn.n)),
        is_rest: |_| false,
        burst: BURST,
        costs: |line| line.contains("lost"),
    },
    Course {
        name: "cake",
        needs: &["cake"],
        egress: |turn| format!("      cake: {{ bandwidth: {}bit, {} }}\n", turn.line(), cake(turn.n)),
        is_rest: |_| false,
        burst: 2 * 1_500,
        costs: |line| line.contains("lost"),
    },
];

/// The bucket of the tbf above those that do not shape by themselves. The kernel fills it at each change of it.
const BURST: u64 = 4096;

/// Bands begin with those of the two flows.
fn is_late_band(line: &str) -> bool {
    let minor = line.split_whitespace().nth(2).and_then(|handle| handle.split(':').nth(1));
    minor.is_some_and(|minor| u16::from_str_radix(minor, 16).is_ok_and(|minor| minor > 2))
}

/// Nothing waits in bands that go.
fn costs_a_band(line: &str) -> bool {
    line.contains("lost") && !line.contains("in a band or tin that goes")
}

impl Course {
    /// What the kernel lacks for it.
    pub fn lacks(&self) -> Option<&'static str> {
        self.needs.iter().copied().find(|thing| kernel::lacks(thing).is_some())
    }

    /// The policy after `n` changes.
    pub fn policy(&self, n: usize) -> String {
        format!("interfaces:\n  eth0:\n    egress:\n{}", (self.egress)(&Turn { n }))
    }
}

/// Bits a second that the line has after `n` changes.
pub fn line(n: usize) -> u64 {
    (8 - n as u64 % 3) * 1_000_000
}

/// What all kinds have in common after so many changes.
struct Turn {
    n: usize,
}

/// Kinds of leaves, each as a policy says it with room for `$p` packets or `$b` bytes.
const LEAVES: [(&str, &str); 7] = [
    ("pfifo", "pfifo: { limit: $p }"),
    ("bfifo", "bfifo: { limit: $b }"),
    ("tbf", "tbf: { rate: 50mbit, burst: 10kb, limit: $b }"),
    ("fq_codel", "fq_codel: { limit: $p }"),
    ("sfq", "sfq: { limit: $p }"),
    ("prio", "prio: { bands: [a, b, c], leaves: { a: { pfifo: { limit: $p } }, b: { pfifo: { limit: $p } } } }"),
    ("drr", "drr: { default: a, classes: { a: { leaf: { pfifo: { limit: $p } } } } }"),
];

/// One of the kinds of leaves that the kernel has.
fn leaf(n: usize, packets: usize) -> String {
    static THERE: OnceLock<Vec<&str>> = OnceLock::new();
    let there = || LEAVES.iter().filter(|(kind, _)| kernel::lacks(kind).is_none()).map(|(_, leaf)| *leaf).collect();
    let there = THERE.get_or_init(there);
    there[n % there.len()].replace("$p", &packets.to_string()).replace("$b", &format!("{}b", packets * 1500))
}

impl Turn {
    fn line(&self) -> u64 {
        line(self.n)
    }

    /// Short enough to be sent within a bounded time.
    fn bulk(&self) -> String {
        leaf(self.n / 2, 12)
    }

    /// A sender that was held up sends what is due at once: its queue has room for that.
    fn paced(&self) -> String {
        leaf(self.n / 5 + 1, 200)
    }

    fn rest(&self) -> String {
        leaf(self.n / 9, 12)
    }

    /// Every fifth change another class takes what no rule does.
    fn default(&self) -> &'static str {
        if self.n % 5 == 4 { "other" } else { "rest" }
    }

    /// Every seventh change moves the class of the paced flow below another one, or back.
    fn is_below_group(&self) -> bool {
        !(self.n / 7).is_multiple_of(2)
    }

    /// Other figures each time.
    fn figure(&self) -> usize {
        self.n % 10
    }

    /// Classes that come and go, each with these options.
    fn extras(&self, options: impl Fn(usize) -> String) -> String {
        (0..self.n % 4).map(|i| format!(", extra{i}: {{ {} }}", options(i))).collect()
    }

    /// The same of those that have bands.
    fn bands(&self) -> String {
        (0..self.n % 4).map(|i| format!(", extra{i}")).collect()
    }

    /// The rules, in another order each time, to classes below `above`.
    fn rules(&self, above: &str) -> String {
        let n = self.n;
        let group = if self.is_below_group() { "group/" } else { "" };
        let mut rules = vec![
            format!("class: {above}{group}paced, match: 'udp dport {{{PACED}, {}}}'", 6000 + n % 5),
            format!("class: {above}bulk, match: udp dport {BULK}"),
        ];
        rules.extend((0..n % 4).map(|i| format!("class: {above}extra{i}, match: tcp dport {}", 7000 + i * n)));
        let turn = n % rules.len();
        rules.rotate_left(turn);
        let rules: String = rules.iter().map(|rule| format!("        - {{ {rule} }}\n")).collect();
        format!("      rules:\n{rules}")
    }

    /// A discipline below a tbf that shapes; where it has classes, rules lead to them.
    fn below_tbf(&self, leaf: &str) -> String {
        let rules = if leaf.contains("bulk") { self.rules("") } else { String::new() };
        format!("      tbf: {{ rate: {}bit, burst: {BURST}b, limit: 90kb, leaf: {{ {leaf} }} }}\n{rules}", self.line())
    }

    /// The class of the paced flow with these options beside its leaf, or one called `group` in which a discipline of the same
    /// kind has it, of which nothing else takes anything.
    fn paced_class(&self, kind: &str, options: &str, spare: &str) -> String {
        let leaf = self.paced();
        let paced = format!("paced: {{ {options}, leaf: {{ {leaf} }} }}");
        if !self.is_below_group() {
            return paced;
        }
        format!(
            "group: {{ {options}, leaf: {{ {kind}: {{ default: spare, classes: {{ {paced}, spare: {{ {spare} }} }} }} }} }}"
        )
    }

    /// The band of the paced flow, and its leaf: in a discipline of the same kind if it is below a group.
    fn paced_band(&self, kind: &str) -> (&'static str, String) {
        let leaf = self.paced();
        if !self.is_below_group() {
            return ("paced", leaf);
        }
        let map = map("none");
        ("group", format!("{kind}: {{ bands: [paced, spare, none], {map}, leaves: {{ paced: {{ {leaf} }} }} }}"))
    }
}

/// What no rule takes goes to one band.
fn map(band: &str) -> String {
    format!("priomap: [{}]", vec![band; 16].join(", "))
}

fn htb(turn: &Turn) -> String {
    let (line, default, figure) = (turn.line(), turn.default(), turn.figure());
    let paced = format!("paced: {{ rate: 1mbit, ceil: 4mbit, prio: 0, leaf: {{ {} }} }}", turn.paced());
    let paced = match turn.is_below_group() {
        true => format!("group: {{ rate: 1mbit, ceil: 5mbit, classes: {{ {paced} }} }}"),
        false => paced,
    };
    let bulk = format!("rate: {}kbit, ceil: {line}bit, prio: 5, leaf: {{ {} }}", 1000 + 100 * figure, turn.bulk());
    let extras = turn.extras(|i| format!("rate: {}kbit, prio: 3", 100 + i + turn.n));
    let rest = format!("rest: {{ rate: 8kbit, leaf: {{ {} }} }}, other: {{ rate: 8kbit }}", turn.rest());
    let classes = format!("line: {{ rate: {line}bit, classes: {{ {paced}, bulk: {{ {bulk} }}{extras} }} }}");
    format!("      htb: {{ default: {default}, classes: {{ {rest}, {classes} }} }}\n{}", turn.rules("line/"))
}

fn hfsc(turn: &Turn) -> String {
    let (line, default, figure) = (turn.line(), turn.default(), turn.figure());
    let real_time =
        if figure == 7 { String::new() } else { format!("rt: m1 {}mbit d 10ms m2 1mbit, ", 2 + figure % 3) };
    let curves = format!("{real_time}ls: 2mbit");
    let paced = format!("paced: {{ {curves}, leaf: {{ {} }} }}", turn.paced());
    let paced = match turn.is_below_group() {
        true => format!("group: {{ ls: 2mbit, ul: 5mbit, classes: {{ {paced} }} }}"),
        false => paced,
    };
    // curves come, and go, which the kernel takes from no class
    let limit = if turn.n % 8 < 5 { String::new() } else { format!(", ul: {line}bit") };
    let bulk = format!("bulk: {{ ls: {}kbit{limit}, leaf: {{ {} }} }}", 3000 + 100 * figure, turn.bulk());
    let extras = turn.extras(|i| format!("ls: {}kbit", 100 + i + turn.n));
    let rest = format!("rest: {{ ls: 8kbit, leaf: {{ {} }} }}, other: {{ ls: 8kbit }}", turn.rest());
    let classes = format!("line: {{ ls: {line}bit, ul: {line}bit, classes: {{ {paced}, {bulk}{extras} }} }}");
    format!("      hfsc: {{ default: {default}, classes: {{ {rest}, {classes} }} }}\n{}", turn.rules("line/"))
}

fn drr(turn: &Turn) -> String {
    let (default, figure) = (turn.default(), turn.figure());
    let paced = turn.paced_class("drr", &format!("quantum: {}b", 2000 + figure), "quantum: 1777b");
    let bulk = format!("bulk: {{ quantum: {}b, leaf: {{ {} }} }}", 3000 + 100 * figure, turn.bulk());
    let extras = turn.extras(|i| format!("quantum: {}b", 1600 + i + turn.n % 7));
    let rest = format!("rest: {{ quantum: 1777b, leaf: {{ {} }} }}, other: {{ quantum: 1777b }}", turn.rest());
    format!("drr: {{ default: {default}, classes: {{ {rest}, {paced}, {bulk}{extras} }} }}")
}

fn qfq(turn: &Turn) -> String {
    let (default, figure) = (turn.default(), turn.figure());
    let paced = turn.paced_class("qfq", &format!("weight: {}", 5 + figure % 3), "weight: 97");
    let bulk = format!("bulk: {{ weight: {}, leaf: {{ {} }} }}", 10 + figure, turn.bulk());
    let extras = turn.extras(|i| format!("weight: {}", 1 + i + figure % 2));
    let rest = format!("rest: {{ weight: 97, leaf: {{ {} }} }}, other: {{ weight: 97 }}", turn.rest());
    format!("qfq: {{ default: {default}, classes: {{ {rest}, {paced}, {bulk}{extras} }} }}")
}

fn prio(turn: &Turn) -> String {
    let (band, paced) = turn.paced_band("prio");
    let leaves = format!("{band}: {{ {paced} }}, bulk: {{ {} }}, rest: {{ {} }}", turn.bulk(), turn.rest());
    let (extras, map) = (turn.bands(), map(turn.default()));
    format!("prio: {{ bands: [{band}, bulk, rest, other{extras}], {map}, leaves: {{ {leaves} }} }}")
}

/// The flows change places now and then, and the first place is a strict one now and then.
fn ets(turn: &Turn) -> String {
    let (band, paced) = turn.paced_band("ets");
    let leaves = format!("{band}: {{ {paced} }}, bulk: {{ {} }}, rest: {{ {} }}", turn.bulk(), turn.rest());
    let (extras, map, figure) = (turn.bands(), map(turn.default()), turn.figure());
    let (places, strict) = match turn.n / 11 % 2 {
        0 => (format!("{band}, bulk"), turn.n % 2),
        _ => (format!("bulk, {band}"), 0),
    };
    let quanta = format!("quanta: [{}b, {}b]", 2000 + 100 * figure, 3000 + figure);
    format!(
        "ets: {{ bands: [{places}, rest, other{extras}], strict: {strict}, {quanta}, {map}, leaves: {{ {leaves} }} }}"
    )
}

/// A queue that tells flows by themselves, or by a hash of many bits: of one kind, then of another.
fn queue(n: usize) -> String {
    match n / 7 % 3 {
        0 => {
            let (limit, quantum) = (500 + 10 * (n % 5), 3028 + n % 4);
            format!("fq: {{ limit: {limit}, flow_limit: {}, quantum: {quantum}b, orphan_mask: 65535 }}", 200 + n % 3)
        }
        1 => {
            let (limit, target, memory) = (200 + n % 5, 50 + n % 3, 1 + n / 2 % 3);
            format!(
                "fq_codel: {{ flows: 65536, limit: {limit}, target: {target}ms, interval: 1s, memory_limit: {memory}mb }}"
            )
        }
        _ => format!("cake: {{ {} }}", cake(n)),
    }
}

fn cake(n: usize) -> String {
    let one = |of: &[&'static str], n: usize| of[n % of.len()];
    let (tins, flows) =
        (one(&["besteffort", "diffserv4", "diffserv3"], n / 4), one(&["flows", "triple-isolate"], n / 6));
    let overhead = one(&["", ", overhead: 22", ", overhead: 18, mpu: 64"], n / 3);
    // long, as of fq_codel above: where the machine holds packets up by itself, they are not dropped for that
    let rtt = one(&["1s", "2s"], n / 2);
    format!("diffserv: {tins}, flowmode: {flows}, rtt: {rtt}, memlimit: {}kb{overhead}", 60 + n % 5)
}
