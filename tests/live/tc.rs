//! `shapectl tc` beside the real tc: each line of `tests/wire`, sequences of lines, and command lists that others wrote, run
//! by both in namespaces of their own. Both take the same lines and refuse the same lines, and what stands afterwards is
//! the same.

use crate::bed::bench::{self, Bench, Case};
use crate::bed::dump::{self, differences, entries};
use crate::bed::kernel;
use crate::bed::netns::{Netns, Ran, bounded_with};
use crate::bed::tc_line::Line;
use crate::bed::wire;
use shapectl::facts::Facts;
use shapectl::netlink;
use shapectl::tc::{self, Target, Verb};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

const SHAPECTL: &str = env!("CARGO_BIN_EXE_shapectl");

/// Two namespaces that are alike.
struct Pair {
    tc: Netns,
    ours: Netns,
}

/// What became of some lines: the numbers of those that were refused, and all that was said.
struct Outcome {
    refused: BTreeSet<usize>,
    said: String,
}

/// Runs a batch, which goes on after a line that fails.
fn batch(netns: &Netns, program: &str, options: &[&str], lines: &[String]) -> Ran {
    let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let words = options.iter().copied().chain(["-force", "-batch", "-"]).collect::<Vec<_>>();
    netns.enter(|| bounded_with(program, words, &text))
}

impl Pair {
    fn new(devs: &[&str]) -> Pair {
        let pair = Pair { tc: Netns::new(), ours: Netns::new() };
        for netns in [&pair.tc, &pair.ours] {
            for dev in devs.iter().filter(|dev| **dev != "lo") {
                let kind = if dev.starts_with("ifb") { "ifb" } else { "dummy" };
                netns.ip(&format!("link add {dev} type {kind}"));
                netns.ip(&format!("link set {dev} up"));
            }
        }
        pair
    }

    /// Runs lines (without `tc`) on both sides. A line that fails stops nobody; but tc, which may end a batch at a wrong
    /// word, is started for each.
    fn run(&self, lines: &[String]) -> [Outcome; 2] {
        let mut tc = Outcome { refused: BTreeSet::new(), said: String::new() };
        for (number, line) in lines.iter().enumerate() {
            let words = tc::lines(line).unwrap().into_iter().next().unwrap().words;
            let ran = self.tc.run("tc", words);
            if !ran.status.success() {
                tc.refused.insert(number);
                tc.said += &format!("{line}: {}\n", ran.stderr.lines().next().unwrap_or_default());
            }
        }
        let by_us = batch(&self.ours, SHAPECTL, &["tc", "-j"], lines);
        let mut refused = BTreeSet::new();
        // lists are printed before, each a document of its own
        for document in serde_json::Deserializer::from_str(&by_us.stdout).into_iter::<serde_json::Value>() {
            let document = document.unwrap_or_else(|error| panic!("{error}: {}{}", by_us.stdout, by_us.stderr));
            for diagnostic in document["diagnostics"].as_array().into_iter().flatten() {
                let line = diagnostic["labels"][0]["line"].as_u64();
                refused.insert(line.unwrap_or_else(|| panic!("no place: {diagnostic}")) as usize - 1);
            }
        }
        assert_eq!(by_us.status.success(), refused.is_empty(), "{by_us}");
        [tc, Outcome { refused, said: format!("{}{}", by_us.stdout, by_us.stderr) }]
    }
}

/// The commands that show all of some devices, of block 22 and of actions of some kinds.
fn shows(devs: &[&str], kinds: &BTreeSet<String>) -> Vec<String> {
    let mut lines = Vec::new();
    for dev in devs {
        lines.extend(["qdisc", "class", "filter"].map(|what| format!("{what} show dev {dev}")));
        for parent in ["ingress", "egress", "parent 1:", "parent 10:", "parent 1:1"] {
            lines.push(format!("filter show dev {dev} {parent}"));
        }
        lines.extend(["ingress", "egress"].map(|hook| format!("chain show dev {dev} {hook}")));
    }
    lines.push("filter show block 22".to_owned());
    lines.extend(kinds.iter().map(|kind| format!("actions ls action {kind}")));
    lines
}

/// What [`shows`] showed.
fn shown(text: &str) -> Vec<String> {
    let mut entries: Vec<String> = entries(text).iter().map(|entry| without_given_handles(entry)).collect();
    // tc shows classes in the order of a hash table
    entries.sort();
    entries
}

fn dump(netns: &Netns, devs: &[&str], kinds: &BTreeSet<String>) -> Vec<String> {
    shown(&batch(netns, "tc", &["-d"], &shows(devs, kinds)).stdout)
}

/// Handles that the kernel gives out count up for the whole machine, and numbers of actions until old ones are gone.
pub fn without_given_handles(entry: &str) -> String {
    let word = |word: &str| match dump::is_given(word) {
        true => format!("given:{}", word.split_once(':').map_or("", |(_, minor)| minor)),
        false => word.to_owned(),
    };
    // tc knows the name of realm 0 only where it has read another before
    let entry = entry.replace("to cosmos", "to unknown");
    let words = entry.split(' ').map(word).collect::<Vec<_>>();
    // a policer's number stands behind its name
    let numbered = |at: &usize| !(*at > 0 && words[at - 1] == "police" && words[*at].starts_with("0x"));
    (0..words.len()).filter(numbered).map(|at| words[at].as_str()).collect::<Vec<_>>().join(" ")
}

/// What must stand before a line can be run, and a few things more that it may be about.
fn before(line: &Line) -> Vec<&'static str> {
    let words = line.words.join(" ");
    let mentions = |text: &str| words.contains(text);
    let deletes = line.words.get(1).is_some_and(|verb| "delete".starts_with(verb.as_str()));
    let changes = line.words.get(1).is_some_and(|verb| "change".starts_with(verb.as_str()));
    let mut before = Vec::new();
    match line.object.as_str() {
        "actions" if deletes || mentions("get") => before.extend([
            "actions add action gact drop index 1 action gact pass index 3",
            "actions add action police rate 1mbit burst 10k index 5",
        ]),
        "filter" | "chain" if mentions("block") || mentions("b 22") || mentions("bl 22") => {
            before.push("qdisc add dev lo ingress_block 22 clsact");
        }
        "filter" | "chain" if mentions("parent ffff") => before.push("qdisc add dev lo handle ffff: ingress"),
        "filter" | "chain" if mentions("ingress") || mentions("egress") => before.push("qdisc add dev lo clsact"),
        "filter" | "chain" => before.push("qdisc add dev lo root handle 1: htb"),
        "class" if mentions("htb") => before.push("qdisc add dev lo root handle 1: htb"),
        "class" => {}
        _ if mentions("parent 1:") => before.push("qdisc add dev lo root handle 1: htb"),
        _ if deletes && (mentions("ingress") || mentions("ffff")) => before.push("qdisc add dev lo ingress"),
        _ if deletes && mentions("clsact") => before.push("qdisc add dev lo clsact"),
        _ if deletes || changes => before.push("qdisc add dev lo root handle 1: htb"),
        _ => {}
    }
    if before == ["qdisc add dev lo root handle 1: htb"] && !(line.object == "class" && !deletes && !changes) {
        before.push("class add dev lo parent 1: classid 1:1 htb rate 1gbit");
        before.push("class add dev lo parent 1:1 classid 1:10 htb rate 1mbit");
    }
    let tables = ["ht 1:", "link 1:", "ht 800:", "handle 1: u32"].iter().any(|words| mentions(words));
    if tables && !mentions("divisor") {
        before.push("filter add dev lo parent 1: protocol ip prio 5 handle 1: u32 divisor 256");
    }
    if mentions("link 2:") {
        before.push("filter add dev lo parent 1: protocol ip prio 5 handle 2: u32 divisor 1");
    }
    if line.object == "filter" && (deletes || changes || mentions("replace") || mentions("get")) {
        before.extend([
            "filter add dev lo parent 1: protocol ip prio 5 u32 match ip dst 192.0.2.9 flowid 1:1",
            "filter add dev lo parent 1: prio 1 handle 6 fw classid 1:1",
            "filter add dev lo ingress prio 7 handle 1 matchall action drop",
            "filter add dev lo egress prio 7 protocol ip handle 2 flower dst_ip 192.0.2.1 action drop",
            "filter add dev lo ingress chain 5 matchall action drop",
        ]);
        if mentions("block") || mentions(" b 22") {
            before.push("filter add block 22 protocol ip prio 25 handle 1 flower dst_ip 192.0.2.0/24 action drop");
        }
    }
    if line.object == "chain" && (deletes || mentions("get")) {
        before.push("chain add dev lo ingress chain 5");
        if mentions("block") {
            before.push("chain add block 22 chain 7");
        }
    }
    before
}

/// Compares which lines were refused.
fn same_refused(lines: &[String], tc: &Outcome, ours: &Outcome) -> Result<(), String> {
    if tc.refused == ours.refused {
        return Ok(());
    }
    let odd = tc.refused.symmetric_difference(&ours.refused).map(|number| {
        let by = if tc.refused.contains(number) { "only tc refuses" } else { "only we refuse" };
        format!("{by}: {}", lines[*number])
    });
    let odd = odd.collect::<Vec<_>>().join("\n");
    Err(format!("{odd}\ntc: {}\nwe: {}", tc.said.trim(), ours.said.trim()))
}

/// Runs a list of lines on both sides, by the programs, and says what differs.
fn judge(pair: &Pair, devs: &[&str], lines: &[String], kinds: &BTreeSet<String>) -> Result<(), String> {
    let [tc, ours] = pair.run(lines);
    same_refused(lines, &tc, &ours)?;
    match differences(&dump(&pair.tc, devs, kinds), &dump(&pair.ours, devs, kinds)) {
        Some(differences) => Err(format!("left: tc, right: we\n{differences}")),
        None => Ok(()),
    }
}

/// Runs lines as `shapectl tc` does, without a process. The numbers of those that are refused, and why.
fn run_here(bench: &mut Bench, lines: &[String]) -> BTreeMap<usize, String> {
    let mut refused = BTreeMap::new();
    for (number, line) in lines.iter().enumerate() {
        let words = line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let ran = tc::read(&words, &|_| None).map_err(|wrong| wrong.refusal.message).and_then(|requests| {
            for mut request in requests {
                let clock = Facts { links: Arc::clone(&bench.links), ..bench.kernel.clock().clone() };
                let index = match &request.target {
                    Some(Target::Dev(dev)) => clock.links.index_of(dev).ok_or("no such link")?,
                    _ => 0,
                };
                request.complete(&clock);
                let message = netlink::request(&request, index, &clock);
                match request.verb {
                    Verb::Show | Verb::Get => drop(bench.kernel.ask(&message).map_err(|error| error.to_string())?),
                    _ => {
                        let sent = bench.kernel.send(&[message]).map_err(|error| error.to_string())?;
                        sent.refused.into_iter().next().map_or(Ok(()), |(_, error)| Err(error.to_string()))?;
                    }
                }
            }
            Ok(())
        });
        refused.extend(ran.err().map(|error| (number, error)));
    }
    refused
}

/// Every recorded line does by us what it does by tc.
#[test]
fn recorded_lines_do_the_same() {
    let recorded = wire::files().into_iter().flat_map(|file| file.recordings);
    let parties = bench::parties(recorded.map(|recording| {
        let before = before(&Line::read(&recording.words)).into_iter().map(str::to_owned).collect();
        (recording.words, before)
    }));
    let checked = parties.iter().map(Vec::len).sum::<usize>();
    let wrong = bench::judge(&parties, compare);
    println!("{checked} lines in {} parties", parties.len());
    assert!(checked > 1000);
    assert!(wrong.is_empty(), "{} of {checked} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is wrong with the lines of a party.
fn compare([by_tc, by_us]: &mut [Bench; 2], cases: &[Case]) -> Vec<String> {
    let refused_by_tc = by_tc.run(cases);
    let refused_by_us = cases.iter().map(|case| run_here(by_us, &case.lines)).collect::<Vec<_>>();
    let lines = cases.iter().map(|case| Line::read(&case.words)).collect::<Vec<_>>();
    let shows = cases.iter().zip(&lines).map(|(case, line)| {
        let kinds = if line.object == "actions" { line.needs() } else { BTreeSet::new() };
        shows(&[&case.device], &kinds)
    });
    let shows = shows.collect::<Vec<_>>();
    bench::settle(cases);
    let (left, right) = (by_tc.shown(&shows), by_us.shown(&shows));
    let wrong = cases.iter().enumerate().filter_map(|(at, case)| {
        let outcome = |refused: &BTreeMap<usize, String>| Outcome {
            refused: refused.keys().copied().collect(),
            said: refused.values().map(|said| format!("{}\n", said.trim())).collect(),
        };
        let same = same_refused(&case.lines, &outcome(&refused_by_tc[at]), &outcome(&refused_by_us[at]));
        let differ = same.err().or_else(|| {
            let differences = differences(&shown(&left[at]), &shown(&right[at]))?;
            Some(format!("left: tc, right: we\n{differences}"))
        })?;
        Some(format!("{}\n{differ}", case.words))
    });
    wrong.collect()
}

/// Lines that hang together: what is there is changed, replaced, refused and taken away.
#[test]
fn sequences_do_the_same() {
    let mut wrong = Vec::new();
    for sequence in include_str!("tc.sequences").split("\n\n") {
        let lines = sequence.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
        let lists = lines.iter().map(|line| Line::read(&format!("tc {line}"))).filter(|line| line.object == "actions");
        let things = lists.flat_map(|line| line.needs()).collect::<BTreeSet<_>>();
        let pair = Pair::new(&["lo"]);
        if let Err(error) = judge(&pair, &["lo"], &lines, &things) {
            wrong.push(format!("{}\n{error}", sequence.lines().next().unwrap_or_default()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Command lists that nobody here wrote, in the folder that `SHAPECTL_CORPORA` names: `NAME.tc`, whose comment `# devs:`
/// says which links are wanted. Lines that tc refused when the list was made stand behind `#FAIL`.
#[test]
fn foreign_lists_do_the_same() {
    let Some(folder) = std::env::var_os("SHAPECTL_CORPORA") else {
        kernel::skip("foreign_lists_do_the_same", "SHAPECTL_CORPORA", "no folder of command lists is named");
        return;
    };
    let mut paths = std::fs::read_dir(Path::new(&folder)).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "tc"));
    paths.sort();
    let mut wrong = Vec::new();
    for path in &paths {
        let text = std::fs::read_to_string(path).unwrap();
        let devs = text.lines().find_map(|line| line.strip_prefix("# devs:")).unwrap_or("lo");
        let devs = devs.split_whitespace().collect::<Vec<_>>();
        let refused = |line: &str| Some(line.strip_prefix("#FAIL ")?.split_once(' ')?.1.to_owned());
        let lines = text.lines().map(|line| refused(line).unwrap_or_else(|| line.to_owned()));
        let lines = lines.filter_map(|line| Some(line.strip_prefix("tc ")?.to_owned())).collect::<Vec<_>>();
        let pair = Pair::new(&devs);
        if let Err(error) = judge(&pair, &devs, &lines, &BTreeSet::new()) {
            wrong.push(format!("{}\n{error}", path.file_name().unwrap().to_string_lossy()));
        }
    }
    println!("{} lists", paths.len());
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), paths.len(), wrong.join("\n\n"));
}
