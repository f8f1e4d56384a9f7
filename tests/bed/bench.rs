//! Many recordings at once. Where a process is dear, one of tc's runs many lines and another shows what came of all of
//! them: each line has a link of its own, so that one knows whose is what.

use super::dump;
use super::kernel;
use super::netns::{Netns, Ran, bounded_with};
use super::tc_line::Line;
use nix::errno::Errno;
use shapectl::facts::{Facts, Links};
use shapectl::kernel::Kernel;
use shapectl::kind::{Role, find};
use shapectl::netlink::{self, encode};
use shapectl::plan;
use shapectl::tc::{self, Verb};
use shapectl::tree::{Id, Object};
use shapectl::unit::Handle;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Links of one bench. More gain nothing: a process costs as much as the lines of some twenty.
const MOST: usize = 64;
/// What parts one answer of tc's from the next: nothing else stands on `lo`, and nothing else has this number.
const MARK: &str = "qdisc pfifo 4d41: root refcnt 2 limit 77p";
const SHOW_MARK: &str = "qdisc show dev lo";

/// A recorded line, and what is run for it, on a link of its own.
#[derive(Clone, Debug)]
pub struct Case {
    /// As it is recorded, on `lo`.
    pub words: String,
    /// The link.
    pub device: String,
    /// What must stand before, and the line itself; without `tc`.
    pub lines: Vec<String>,
}

impl Case {
    /// The line, if it only shows something.
    fn show(&self) -> &[String] {
        let line = Line::read(&self.words);
        let shows = line.request.is_ok_and(|request| request.verb == Verb::Show);
        if shows { &self.lines[self.lines.len() - 1..] } else { &[] }
    }
}

/// Judges recorded lines on two benches, party by party, and gives what `judge` finds.
pub fn judge<T>(parties: &[Vec<Case>], mut judge: impl FnMut(&mut [Bench; 2], &[Case]) -> Vec<T>) -> Vec<T> {
    let mut benches = [Bench::new(), Bench::new()];
    let mut found = Vec::new();
    for cases in parties {
        found.extend(judge(&mut benches, cases));
        benches.iter_mut().for_each(|bench| bench.clear(cases));
        // numbers of actions are free again when the kernel has had a moment
        std::thread::sleep(Duration::from_millis(50));
    }
    found
}

/// Recorded lines, each with what must stand before it (with `tc`, or without), in parties of such as have nothing to do
/// with each other: neither an action that has its number from the line, nor a shared block.
pub fn parties(recordings: impl IntoIterator<Item = (String, Vec<String>)>) -> Vec<Vec<Case>> {
    let mut parties: Vec<(Vec<Case>, BTreeMap<String, bool>)> = Vec::new();
    for (words, before) in recordings {
        let lines = before.iter().chain([&words]).map(|line| line.strip_prefix("tc ").unwrap_or(line).to_owned());
        let lines = lines.collect::<Vec<_>>();
        let mut uses = BTreeMap::new();
        for line in &lines {
            for (thing, alone) in shared(line) {
                *uses.entry(thing).or_default() |= alone;
            }
        }
        let fits = |(cases, taken): &(Vec<Case>, BTreeMap<String, bool>)| {
            cases.len() < MOST && uses.iter().all(|(thing, alone)| taken.get(thing).is_none_or(|held| !held && !alone))
        };
        let at = parties.iter().position(fits).unwrap_or_else(|| {
            parties.push(Default::default());
            parties.len() - 1
        });
        let (cases, taken) = &mut parties[at];
        taken.extend(uses);
        let device = name(cases.len());
        let lines = lines.iter().map(|line| on(line, &device)).collect();
        cases.push(Case { words, device, lines });
    }
    parties.into_iter().map(|(cases, _)| cases).collect()
}

/// A line of `lo` for another link. Only its own link is meant, not one that an action names.
pub fn on(line: &str, device: &str) -> String {
    let of_actions = line.trim_start_matches("tc ").starts_with('a');
    if of_actions { line.to_owned() } else { line.replacen(" dev lo", &format!(" dev {device}"), 1) }
}

/// The link of that number. With its number in it in the same digits, tc's answers to all are of one form.
fn name(number: usize) -> String {
    format!("d{number:02}")
}

/// What a line shares with others of its namespace, and whether it must be alone with it: actions that it numbers or
/// lists, and blocks.
fn shared(line: &str) -> Vec<(String, bool)> {
    let words = line.split_whitespace().collect::<Vec<_>>();
    let of_actions = words[0].starts_with('a');
    let alone = of_actions || words.iter().any(|word| "index".starts_with(word));
    let kinds = words.iter().filter(|word| find(Role::Action, word).is_some()).map(|word| (*word).to_owned());
    // a bare `drop` is one of gact's
    let control = of_actions || words.windows(2).any(|two| two[0] == "action" && find(Role::Action, two[1]).is_none());
    let kinds = kinds.chain(control.then(|| "gact".to_owned())).map(|kind| (kind, alone)).collect::<BTreeSet<_>>();
    let block = words.iter().any(|word| word.ends_with("block") || ["b", "bl"].contains(word));
    kinds.into_iter().chain(block.then(|| ("block".to_owned(), true))).collect()
}

/// A namespace with links for the cases of a party, all alike: an Ethernet with four queues, down. Any two benches number
/// their links alike.
pub struct Bench {
    pub netns: Netns,
    pub kernel: Kernel,
    /// The facts of each link.
    pub facts: HashMap<String, Facts>,
    /// The numbers of all of them.
    pub links: Arc<Links>,
}

impl Bench {
    pub fn new() -> Bench {
        let netns = Netns::new();
        // the other end of a veth is one as well
        let pairs = (0..MOST).step_by(2).map(|at| {
            let (this, other) = (name(at), name(at + 1));
            format!("link add {this} numtxqueues 4 type veth peer name {other} numtxqueues 4\n")
        });
        netns.enter(|| bounded_with("ip", ["-batch", "-"], &pairs.collect::<String>())).ok();
        netns.tc("qdisc add dev lo root handle 4d41: pfifo limit 77");
        let mut kernel = netns.enter(|| Kernel::open(None).unwrap());
        let facts = kernel.all_facts().unwrap();
        let links = Arc::clone(&facts["lo"].links);
        Bench { netns, kernel, facts, links }
    }

    /// Takes away what the cases of a party left.
    pub fn clear(&mut self, cases: &[Case]) {
        let clock = self.kernel.clock().clone();
        let roots = cases.iter().flat_map(|case| {
            let index = self.index(&case.device);
            let places = [Handle::ROOT, Handle::INGRESS].map(|parent| Id::Qdisc { parent, handle: Handle(0) });
            places.map(|id| encode(&Object::unknown(id, ""), plan::Verb::Delete, index, &clock))
        });
        // refused where nothing is, and for nothing else
        let sent = self.kernel.send(&roots.collect::<Vec<_>>()).unwrap();
        assert!(sent.refused.iter().all(|(_, error)| error.is(Errno::ENOENT)), "{:?}", sent.refused);
        let of_actions = cases.iter().flat_map(|case| &case.lines).filter(|line| line.starts_with('a'));
        let kinds = of_actions.flat_map(|line| shared(line)).map(|(kind, _)| kind).collect::<BTreeSet<_>>();
        let flushes = kinds.into_iter().map(|kind| {
            let words = ["actions", "flush", "action", &kind].map(str::to_owned);
            netlink::request(&tc::read(&words, &|_| None).unwrap()[0], 0, &clock)
        });
        self.kernel.send(&flushes.collect::<Vec<_>>()).unwrap(); // refused where the kernel has no such kind
    }

    /// The number of a link.
    pub fn index(&self, device: &str) -> u32 {
        self.links.index_of(device).unwrap()
    }

    /// Runs all cases by tc, in their order. By case, which of its lines were refused, and what tc said.
    pub fn run(&self, cases: &[Case]) -> Vec<BTreeMap<usize, String>> {
        let lists = cases.iter().map(|case| case.lines.strip_suffix(case.show()).unwrap_or(&case.lines));
        let lists = lists.collect::<Vec<_>>();
        let mut refused = Vec::new();
        // words that tc finds wrong itself may end it: the next goes on
        while refused.len() < lists.len() {
            refused.extend(self.run_batch(&lists[refused.len()..]));
        }
        // what tc was asked to show it remembers, and asks itself once more
        for (case, refused) in cases.iter().zip(&mut refused) {
            for line in case.show() {
                let ran = self.netns.run("tc", line.split_whitespace());
                if !ran.status.success() {
                    refused.insert(case.lines.len() - 1, ran.stderr);
                }
            }
        }
        refused
    }

    /// Runs lists of commands until one ends it or all are done.
    fn run_batch(&self, lists: &[&[String]]) -> Vec<BTreeMap<usize, String>> {
        let (ran, answers) = self.batch(lists);
        // behind each list is a mark
        let numbers = lists.iter().enumerate().flat_map(|(at, list)| (0..=list.len()).map(move |line| (at, line)));
        let numbers = numbers.collect::<Vec<_>>();
        let mut refused = vec![BTreeMap::new(); lists.len()];
        let mut said = String::new();
        for line in ran.stderr.lines() {
            match line.strip_prefix("Command failed -:") {
                None => said += &format!("{line}\n"),
                Some(number) => {
                    let (list, line) = numbers[number.trim().parse::<usize>().unwrap() - 1];
                    refused[list].insert(line, std::mem::take(&mut said));
                }
            }
        }
        if let Some(list) = lists.get(answers.len()) {
            refused[answers.len()].insert(list.len() - 1, said);
            refused.truncate(answers.len() + 1);
        }
        refused
    }

    /// What tc shows for each list of commands, details and all. A command that is refused shows nothing.
    pub fn shown(&self, lists: &[Vec<String>]) -> Vec<String> {
        let (ran, answers) = self.batch(&lists.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(answers.len(), lists.len(), "{ran}");
        answers
    }

    /// tc's dump of the links of all cases.
    pub fn dumps(&self, cases: &[Case]) -> Vec<Vec<String>> {
        let devices = cases.iter().map(|case| case.device.as_str()).collect::<Vec<_>>();
        settle(cases);
        dump::dumps(&devices, &|lists| self.shown(lists))
    }

    /// A batch of lists of commands, which goes on after a refusal, and what each list printed that came to its end.
    fn batch(&self, lists: &[&[String]]) -> (Ran, Vec<String>) {
        let lines = lists.iter().flat_map(|list| list.iter().map(String::as_str).chain([SHOW_MARK]));
        let text = lines.map(|line| format!("{line}\n")).collect::<String>();
        let ran = self.netns.enter(|| bounded_with("tc", ["-d", "-force", "-batch", "-"], &text));
        let mut answers = vec![String::new()];
        for line in ran.stdout.lines() {
            match line.trim_end() == MARK {
                true => answers.push(String::new()),
                false => *answers.last_mut().unwrap() += &format!("{line}\n"),
            }
        }
        answers.pop(); // without a mark behind it
        (ran, answers)
    }
}

/// Waits until what cases have made is in force: a schedule of taprio's is at the beginning of its next cycle.
pub fn settle(cases: &[Case]) {
    if cases.iter().any(|case| case.words.contains("taprio")) {
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// What the kernel lacks of all that some lines ask for.
pub fn lacking(lines: &[Line]) -> Option<String> {
    lines.iter().flat_map(Line::needs).find(|thing| kernel::lacks(thing).is_some())
}
