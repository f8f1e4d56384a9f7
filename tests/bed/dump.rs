//! What tc shows of a device, made fit to compare: the same objects, whoever made them, give the same lines.

use super::netns::{Netns, bounded_with};

/// All of tc's objects on a device: qdiscs, classes, and the filters of every qdisc, a line each, without counters and
/// without the numbers that the kernel gives out by itself.
pub fn dump(netns: &Netns, dev: &str) -> Vec<String> {
    let show = |list: &Vec<String>| netns.enter(|| bounded_with("tc", ["-d", "-batch", "-"], &list.join("\n"))).ok();
    dumps(&[dev], &|lists| lists.iter().map(show).collect()).remove(0)
}

/// [`dump`] of many devices. `show` gives what each list of commands shows.
pub fn dumps(devs: &[&str], show: &dyn Fn(&[Vec<String>]) -> Vec<String>) -> Vec<Vec<String>> {
    let lists = devs.iter().map(|dev| ["qdisc", "class"].map(|what| format!("{what} show dev {dev}")).to_vec());
    let (mut dumps, mut places) = (Vec::new(), Vec::new());
    for (at, shown) in show(&lists.collect::<Vec<_>>()).iter().enumerate() {
        let (qdiscs, mut classes): (Vec<_>, Vec<_>) =
            entries(shown).into_iter().partition(|entry| entry.starts_with("qdisc"));
        classes.sort(); // tc shows them in the order of a hash table
        places.extend(qdiscs.iter().flat_map(|qdisc| filtered(qdisc)).map(|place| (at, place)));
        dumps.push(qdiscs.into_iter().chain(classes).collect::<Vec<_>>());
    }
    let lists = places.iter().map(|(at, place)| vec![format!("filter show dev {} {place}", devs[*at])]);
    for ((at, place), shown) in places.iter().zip(show(&lists.collect::<Vec<_>>())) {
        dumps[*at].extend(entries(&shown).iter().map(|filter| format!("{place}: {filter}")));
    }
    dumps
}

/// Where the filters of a qdisc are.
fn filtered(qdisc: &str) -> Vec<String> {
    let words = qdisc.split_whitespace().collect::<Vec<_>>();
    match (words[1], words[2]) {
        ("clsact", _) => vec!["ingress".to_owned(), "egress".to_owned()],
        ("ingress", _) => vec!["ingress".to_owned()],
        (_, "0:") => Vec::new(),
        (_, handle) => vec![format!("parent {handle}")],
    }
}

/// What one command of tc's shows, a line an object.
pub fn shown(netns: &Netns, command: &str) -> Vec<String> {
    entries(&netns.tc(command))
}

/// What tc shows, one string an object: it goes on in indented lines.
pub fn entries(text: &str) -> Vec<String> {
    let mut entries: Vec<Vec<&str>> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if line.starts_with(char::is_whitespace) && !entries.is_empty() {
            entries.last_mut().unwrap().extend(line.split_whitespace());
        } else {
            entries.push(line.split_whitespace().collect());
        }
    }
    entries.into_iter().map(|words| without_given_numbers(&words)).collect()
}

/// Whether a handle is one that the kernel gave. It counts for the whole machine, from 8001: on, and far beyond on one that
/// has run for long.
pub fn is_given(word: &str) -> bool {
    let major = word.split(':').next().unwrap_or("");
    let number = u16::from_str_radix(major, 16).unwrap_or(0);
    word.contains(':') && major.len() == 4 && (0x8000..0xf000).contains(&number)
}

/// Leaves out what differs from one day to the next: indexes and reference counts of actions, their age, the one counter
/// that tc shows unasked, and how often a device's qdisc is referred to.
fn without_given_numbers(words: &[&str]) -> String {
    let mut kept = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        match *word {
            // whose number stands behind its name, in hexadecimal
            "police" => {
                kept.push("police");
                words.next_if(|number| number.starts_with("0x"));
            }
            "index" | "ref" | "bind" | "refcnt" | "installed" | "used" | "direct_packets_stat" => {
                words.next();
            }
            "sec" => {}
            word => kept.push(word),
        }
    }
    kept.join(" ")
}

/// Both dumps side by side, unless they are equal to the resolution of the units.
pub fn differences(left: &[String], right: &[String]) -> Option<String> {
    let same = left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same_entry(left, right));
    let marked = |own: &[String], other: &[String]| {
        own.iter()
            .map(|line| {
                let sign = if other.iter().any(|candidate| same_entry(line, candidate)) { ' ' } else { '*' };
                format!("{sign} {line}\n")
            })
            .collect::<String>()
    };
    (!same).then(|| format!("--- left\n{}--- right\n{}", marked(left, right), marked(right, left)))
}

/// Fails, showing both, unless two dumps are equal to the resolution of the units.
pub fn assert_same(left: &[String], right: &[String], what: &str) {
    if let Some(differences) = differences(left, right) {
        panic!("{what}\n{differences}");
    }
}

/// Equal word by word, but for figures that went through the kernel's ticks (64 ns): a bucket of `burst` bytes is kept as
/// the time it takes at its rate. tc before 2025 loses up to a microsecond when it sends one, and another when it shows it.
fn same_entry(left: &str, right: &str) -> bool {
    let (left, right) = (left.split(' ').collect::<Vec<_>>(), right.split(' ').collect::<Vec<_>>());
    let ticked = ["burst", "cburst", "minburst", "limit", "lat", "latency", "mtu"];
    left.len() == right.len()
        && (0..left.len()).all(|at| {
            left[at] == right[at]
                || at > 0 && ticked.contains(&left[at - 1]) && near(left[at], right[at], resolution(&left))
        })
}

/// The bytes of two microseconds and two ticks at the fastest rate of an entry, or two bytes.
fn resolution(entry: &[&str]) -> f64 {
    let rate = entry.iter().filter_map(|word| figure(word.strip_suffix("bit")?)).fold(0.0, f64::max);
    (rate / 8.0 * 2128e-9).max(2.0)
}

fn near(left: &str, right: &str, bytes: f64) -> bool {
    let size = |word: &str| {
        // `1600b/1` is a size and its cell; `50ms` a time, which must be equal.
        figure(word.split('/').next()?.strip_suffix('b')?)
    };
    // Above a kilobyte or a megabyte tc rounds what it shows, so half a unit of that comes on top.
    let shown = if left.contains('M') {
        1024.0 * 1024.0
    } else if left.contains('K') {
        1024.0
    } else {
        0.0
    };
    matches!((size(left), size(right)), (Some(left), Some(right)) if (left - right).abs() <= bytes + shown)
}

/// `1500`, `15Kb` and `2M` without their unit's letter, as a number. tc shows sizes by 1,024 and rates by 1,000, which
/// matters to nothing here.
fn figure(word: &str) -> Option<f64> {
    let factor = match word.chars().last()? {
        'K' => 1024.0,
        'M' => 1024.0 * 1024.0,
        'G' => 1024.0 * 1024.0 * 1024.0,
        _ => return word.parse().ok(),
    };
    word.get(..word.len() - 1)?.parse::<f64>().ok().map(|number| number * factor)
}
