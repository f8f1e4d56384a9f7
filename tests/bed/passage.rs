//! A paced flow and a saturating one on their way through many changes of a policy, of all sorts: rates, kinds of leaves,
//! rules, the default, classes that are added, moved and removed. Whoever makes the changes, the figures are the same ones.

mod courses;

pub use courses::{COURSES, Course};

use super::kernel;
use super::netns::{Netns, Pair, bounded, bounded_with};
use super::traffic::{Arrival, Flow, HEADERS, Receiver};
use courses::line;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The port of the flow that must not suffer, and of the one that fills the line.
const PACED: u16 = 5002;
const BULK: u16 = 5001;
/// Bytes of a datagram's payload in each.
const PAYLOADS: [usize; 2] = [200, 1458];
/// The window in which the line's rate is looked at.
const WINDOW: Duration = Duration::from_millis(100);
/// From the end of a change to the next one.
const PAUSE: Duration = Duration::from_millis(10);
const SHAPECTL: &str = env!("CARGO_BIN_EXE_shapectl");

/// What became of the flows.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Packets of the paced flow that were sent.
    pub sent: u64,
    /// Those that did not arrive.
    pub lost: u64,
    /// Of these, by their numbers and by the last change before which all went well: those of which no plan said before that
    /// they may be lost.
    pub unsaid: Vec<(u64, usize)>,
    /// Changes of which the plan said that packets may be lost.
    pub said: usize,
    /// Packets that went into a class of the rest, past all classes, or into a class that the other flow has.
    pub misplaced: u64,
    /// The most bits that arrived within [`WINDOW`] beyond what the faster of the lines of that time allows.
    pub beyond: u64,
    /// Bits that arrived while the flows were sent, and how long that was.
    pub bits: u64,
    pub time: Duration,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:6} packets of the paced flow sent, {:5} lost, {:5} of them without a word; {:5} packets of both in no class of \
             theirs; at most {:7} bits beyond the line in 100 ms; {:.1} s",
            self.sent,
            self.lost,
            self.unsaid.len(),
            self.misplaced,
            self.beyond,
            self.time.as_secs_f64()
        )
    }
}

/// Makes one change, of which these are the namespace, the number and the policy; tells what was said of it before.
pub type Change<'a> = &'a mut dyn FnMut(&Netns, usize, &str) -> String;

/// shapectl with a state of its own in a folder.
pub fn applying(folder: &Path) -> impl FnMut(&Netns, usize, &str) -> String {
    let (file, state) = (folder.join("policy.yaml"), plain(&folder.join("state")));
    move |near, _, policy| {
        std::fs::write(&file, policy).expect("the folder is writable");
        bounded(SHAPECTL, ["--netns", near.name(), "--state-dir", &state, "apply", &plain(&file)]).ok()
    }
}

/// A script of tc that deletes the root and builds all again.
pub fn rebuilding(folder: &Path) -> impl FnMut(&Netns, usize, &str) -> String {
    let (file, script, nothing) =
        (folder.join("policy.yaml"), folder.join("script.sh"), plain(&folder.join("nothing")));
    move |near, _, policy| {
        std::fs::write(&file, policy).expect("the folder is writable");
        let text = bounded(SHAPECTL, ["--state-dir", &nothing, "script", "--fresh", &plain(&file)]).ok();
        std::fs::write(&script, text).expect("the folder is writable");
        near.run("sh", [plain(&script)]).ok();
        String::new()
    }
}

fn plain(path: &Path) -> String {
    path.to_str().expect("a plain path").to_owned()
}

/// A change that was made.
struct Made {
    began: Instant,
    ended: Instant,
    /// Packets of the paced flow that were sent when it was done.
    sent: u64,
    /// Whether the plan said that some may be lost.
    costs: bool,
}

/// Takes both flows through so many changes of a course.
pub fn figures(course: &Course, changes: usize, change: Change) -> Figures {
    let Pair { near, far } = Pair::new();
    change(&near, 0, &course.policy(0));
    let length = Duration::from_secs(280);
    let heard = [PACED, BULK].map(|port| Receiver::at(&far, &format!("10.9.0.2:{port}")).arrivals());
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let flow =
        |port: u16, offered: u64| Flow::to(&format!("10.9.0.2:{port}"), offered, length).until(Arc::clone(&stop));
    let began = Instant::now();
    let paced = flow(PACED, 400_000).payload(PAYLOADS[0]).counted(Arc::clone(&count)).start(&near);
    let bulk = flow(BULK, 12_000_000).payload(PAYLOADS[1]).start(&near);
    // where waiting costs nothing no more than one change falls into a window, and so one burst
    let pause = if kernel::virtual_time() { PAUSE + WINDOW } else { PAUSE };
    let mut made = Vec::new();
    let mut counted = Counted::of(course);
    for n in 1..=changes {
        std::thread::sleep(pause);
        let began = Instant::now();
        let said = change(&near, n, &course.policy(n));
        let ended = Instant::now();
        let costs = said.lines().any(course.costs);
        made.push(Made { began, ended, sent: count.load(Ordering::Relaxed), costs });
        counted.look(&near);
    }
    std::thread::sleep(pause);
    stop.store(true, Ordering::Relaxed);
    let time = began.elapsed();
    let sent = paced.join().unwrap();
    bulk.join().unwrap();
    let [paced, bulk] = heard.map(|heard| heard.join().unwrap());
    let (lost, unsaid) = losses(sent, &paced, &made);
    let mut all: Vec<Arrival> = paced.into_iter().chain(bulk).collect();
    all.sort_unstable_by_key(|arrival| arrival.at);
    Figures {
        sent,
        lost,
        unsaid,
        said: made.iter().filter(|made| made.costs).count(),
        misplaced: counted.misplaced,
        beyond: beyond(&all, &made, began),
        bits: all.iter().take_while(|arrival| arrival.at <= began + time).map(|arrival| arrival.bits).sum(),
        time,
    }
}

/// How many packets of a flow did not arrive, and those of them that no change can have taken whose plan says so: neither
/// waited they when it began nor were they sent while it was made.
fn losses(sent: u64, arrivals: &[Arrival], made: &[Made]) -> (u64, Vec<(u64, usize)>) {
    let heard: HashSet<u64> = arrivals.iter().map(|arrival| arrival.number).collect();
    let (mut next, mut arrivals) = (0, arrivals.iter().peekable());
    let ranges = made.iter().map(|made| {
        while let Some(arrival) = arrivals.next_if(|arrival| arrival.at < made.began) {
            next = next.max(arrival.number + 1);
        }
        (next, made)
    });
    let ranges: Vec<(u64, &Made)> = ranges.collect();
    let lost = || (0..sent).filter(|number| !heard.contains(number));
    let taken = |number: u64| ranges.iter().any(|(next, made)| made.costs && (*next..=made.sent).contains(&number));
    let before = |number: u64| ranges.partition_point(|(next, _)| *next <= number);
    let unsaid = lost().filter(|number| !taken(*number)).map(|number| (number, before(number))).collect();
    (lost().count() as u64, unsaid)
}

/// The most bits within one window beyond what the fastest line of that time carries.
fn beyond(arrivals: &[Arrival], made: &[Made], began: Instant) -> u64 {
    // from when on which line holds
    let mut turns = vec![(began, line(0))];
    for (n, made) in made.iter().enumerate() {
        turns.extend([(made.began, line(n).max(line(n + 1))), (made.ended, line(n + 1))]);
    }
    let (mut first, mut bits, mut worst) = (0, 0, 0);
    for Arrival { at: now, bits: more, .. } in arrivals {
        bits += more;
        while *now - arrivals[first].at > WINDOW {
            bits -= arrivals[first].bits;
            first += 1;
        }
        let began = turns.partition_point(|(at, _)| *at <= arrivals[first].at).saturating_sub(1);
        let lines = turns[began..].iter().take_while(|(at, _)| at <= now).map(|(_, line)| *line);
        let line = lines.max().unwrap_or(0);
        worst = worst.max(bits.saturating_sub((line as f64 * WINDOW.as_secs_f64()) as u64));
    }
    worst
}

/// What went where no rule sends it, looked at again and again while trees come and go.
struct Counted<'a> {
    course: &'a Course,
    misplaced: u64,
    /// The last packets and bytes of each class, and of the root's direct packets.
    last: BTreeMap<String, Sent>,
}

/// Packets and bytes of a class.
#[derive(Clone, Copy)]
struct Sent {
    packets: u64,
    bytes: u64,
}

impl Sent {
    /// `Sent 1500 bytes 1 pkt`.
    fn read(line: &str) -> Option<Sent> {
        let mut words = line.trim().strip_prefix("Sent ")?.split_whitespace();
        let mut number = |at: usize| words.nth(at)?.parse().ok();
        Some(Sent { bytes: number(0)?, packets: number(1)? })
    }

    /// What was sent since then; `None` if it is another one under the old name.
    fn since(self, before: Sent) -> Option<Sent> {
        let sent =
            Sent { packets: self.packets.checked_sub(before.packets)?, bytes: self.bytes.checked_sub(before.bytes)? };
        sent.flows().map(|_| sent)
    }

    /// How many packets of each flow these are, which their sizes tell.
    fn flows(self) -> Option<[u64; 2]> {
        let [small, large] = PAYLOADS.map(|payload| payload as u64 + HEADERS);
        let more = self.bytes.checked_sub(self.packets * small)?;
        let of_large = more / (large - small);
        let of_small = self.packets.checked_sub(of_large)?;
        more.is_multiple_of(large - small).then_some([of_small, of_large])
    }
}

impl Counted<'_> {
    fn of(course: &Course) -> Counted<'_> {
        Counted { course, misplaced: 0, last: BTreeMap::new() }
    }

    fn look(&mut self, netns: &Netns) {
        let commands = "qdisc show dev eth0 root\nclass show dev eth0\n";
        let shown = netns.enter(|| bounded_with("tc", ["-s", "-batch", "-"], commands)).ok();
        let above = |line: &str| line.split(" parent ").nth(1)?.split(' ').next().map(str::to_owned);
        let inner: HashSet<String> =
            shown.lines().filter(|line| line.starts_with("class ")).filter_map(above).collect();
        let mut now = BTreeMap::new();
        let mut class = None;
        for line in shown.lines() {
            let word = |n: usize| line.split_whitespace().nth(n).unwrap_or_default();
            if line.starts_with("class ") {
                class = Some((word(2).to_owned(), line));
            } else if let Some(packets) = line.split("direct_packets_stat ").nth(1) {
                let packets = packets.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number");
                self.misplaced += packets - self.last.get("direct").map_or(0, |sent| sent.packets.min(packets));
                now.insert("direct".to_owned(), Sent { packets, bytes: 0 });
            } else if let (Some((class, said)), Some(sent)) = (&class, Sent::read(line)) {
                let new = self.last.get(class).and_then(|before| sent.since(*before)).unwrap_or(sent);
                self.misplaced += if (self.course.is_rest)(said) {
                    new.packets
                } else if !inner.contains(class) && !is_band(said) {
                    new.flows().map_or(0, |[paced, bulk]| paced.min(bulk))
                } else {
                    0
                };
                now.insert(class.clone(), sent);
            }
        }
        self.last = now;
    }
}

/// Two bands may change places, with all that they have counted.
fn is_band(class: &str) -> bool {
    class.starts_with("class prio") || class.starts_with("class ets")
}
