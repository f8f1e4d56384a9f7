//! Scripts of others: the real tc makes one thing of them, and `import tc` and `apply` the same.
//!
//! `tests/scripts/*.sh` are whole scripts, run by the real shell. Their heads say what they need: `# devs: eth0 ifb0`,
//! `# args: start`; and `# makes: ifb0` what they make themselves, which is not there where the policy is applied. The
//! folder that `SHAPECTL_CORPORA` names, if it does, has lists of commands (`NAME.tc`), and more such scripts.

use crate::bed::dump;
use crate::bed::kernel;
use crate::bed::netns::{Netns, Ran};
use crate::host::{Host, SHAPECTL};
use crate::needs;
use shapectl::diagnostic::Sink;
use shapectl::doctor::{self, Thing};
use shapectl::facts::Facts;
use shapectl::import::{Imported, Settings, import};
use shapectl::kernel::Kernel;
use shapectl::plan::plan;
use shapectl::source::{Source, Sources};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A namespace with these links, up.
fn machine(devices: &[String]) -> Netns {
    let netns = Netns::new();
    netns.without_ipv6();
    for device in devices {
        let kind = if device.starts_with("ifb") { "ifb" } else { "dummy" };
        if kernel::lacks(kind).is_some() {
            netns.stand_in(device);
            continue;
        }
        netns.ip(&format!("link add {device} type {kind}"));
        netns.ip(&format!("link set {device} up"));
    }
    netns
}

/// What a comment at the head of a text says.
fn said<'t>(text: &'t str, what: &str) -> Vec<String> {
    let prefix = format!("# {what}:");
    let line = text.lines().find_map(|line: &'t str| line.strip_prefix(&prefix));
    line.map(|l| l.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<_> = entries.filter(|p| p.extension().is_some_and(|e| e == ending)).collect();
    files.sort();
    files
}

/// tc's dump of all links; the numbers that the kernel gave to qdiscs are the kernel's business.
fn dumped(netns: &Netns, devices: &[String]) -> Vec<String> {
    let plain = |line: String| {
        let word = |w: &str| if dump::is_given(w) { "8…:".to_owned() } else { w.to_owned() };
        line.split(' ').map(word).collect::<Vec<_>>().join(" ")
    };
    let mut lines = Vec::new();
    for device in devices {
        let queue = netns.ip(&format!("-o link show dev {device}"));
        let words: Vec<&str> = queue.split_whitespace().collect();
        let at = words.iter().position(|w| *w == "qlen").and_then(|at| words.get(at + 1)).copied().unwrap_or("-");
        lines.push(format!("{device}: txqueuelen {at}"));
        lines.extend(dump::dump(netns, device).into_iter().map(|line| format!("{device}: {}", plain(line))));
    }
    lines
}

/// A script through the library: what the kernel would hold.
fn model(text: &str, parameters: &[String]) -> (Imported, Vec<String>) {
    let (mut sources, mut sink) = (Sources::new(), Sink::new());
    let id = sources.add(Source::new("script", text.to_owned()));
    let given = parameters.iter().enumerate().map(|(i, word)| ((i + 1).to_string(), word.clone())).collect();
    let settings = Settings { given, ..Settings::default() };
    let imported = import(&[id], &settings, &mut sources, &mut |_, _, _| None, &mut sink);
    (imported, sink.sorted().iter().map(|d| format!("{}: {}", d.code.name, d.message)).collect())
}

/// What differs between the model's tree and what the kernel holds, in steps from either to the other.
fn apart(imported: &Imported, netns: &Netns, devices: &[String]) -> Vec<String> {
    let mut kernel = netns.enter(|| Kernel::open(None).unwrap());
    let names: Vec<&str> = devices.iter().map(String::as_str).collect();
    let held = kernel.read(Some(&names)).unwrap();
    let all = kernel.all_facts().unwrap();
    let facts = |name: &str| all.get(name).cloned().unwrap_or_else(Facts::default);
    let mut asked = imported.tree.clone();
    for name in devices {
        // what a script leaves empty is nobody's
        let interface = asked.interfaces.entry(name.as_str().into()).or_default();
        interface.link = shapectl::tree::Link::default();
        interface.egress.get_or_insert_with(Default::default);
        interface.ingress.get_or_insert_with(Default::default);
    }
    // numbers that the kernel gave are not those that we would
    let steps = plan(&asked, &held, &facts).steps;
    let shown = steps.iter().map(|step| {
        let line = shapectl::script::line(&shapectl::script::command(step));
        format!("{line} {:?}", step.differences)
    });
    shown.collect()
}

/// Whether a qdisc got its number from the kernel: then the model's is another.
fn numbered_by_kernel(netns: &Netns, devices: &[String]) -> bool {
    devices.iter().any(|d| {
        netns.tc(&format!("qdisc show dev {d}")).lines().any(|l| l.split(' ').nth(2).is_some_and(dump::is_given))
    })
}

/// Imports and applies in a namespace; the dump, and what was said.
fn applied(
    file: &Path,
    parameters: &[String],
    [devices, made]: [&[String]; 2],
    to: &str,
) -> Result<(Vec<String>, String), String> {
    let host = Host::of(machine(devices));
    let mut words =
        vec!["import".to_owned(), "tc".to_owned(), file.to_str().unwrap().to_owned(), "--to".to_owned(), to.to_owned()];
    for (i, word) in parameters.iter().enumerate() {
        words.extend(["--set".to_owned(), format!("{}={word}", i + 1)]);
    }
    let imported: Ran = crate::bed::netns::bounded(SHAPECTL, &words);
    if !imported.status.success() {
        return Err(format!("{imported}"));
    }
    let policy = tempfile::Builder::new().suffix(&format!(".{to}")).tempfile().unwrap();
    std::fs::write(policy.path(), &imported.stdout).unwrap();
    let ran = host.shapectl(&["apply", policy.path().to_str().unwrap()]);
    if !ran.status.success() && !imported.stdout.trim_end().ends_with("{}") {
        return Err(format!("{}\n{}\n{ran}", imported.stderr, imported.stdout));
    }
    let (code, text) = host.diff(policy.path());
    if code != 0 && ran.status.success() {
        return Err(format!("{}\ndiff of what was just made:\n{text}", imported.stdout));
    }
    Ok((dumped(&host.netns, &[devices, made].concat()), format!("{}\n{}", imported.stderr, imported.stdout)))
}

/// Both ways for one file; `run` runs it for real. What is wrong.
fn judge(file: &Path, parameters: &[String], devices: &[String], text: &str, run: impl Fn(&Netns)) -> Vec<String> {
    let mut wrong = Vec::new();
    let made = said(text, "makes");
    let (there, devices) = (devices, &[devices, made.as_slice()].concat());
    let real = machine(devices);
    run(&real);
    let (imported, said) = model(text, parameters);
    if !numbered_by_kernel(&real, devices) {
        let steps = apart(&imported, &real, devices);
        if !steps.is_empty() {
            wrong.push(format!("from what tc made to what the model has:\n{}\n{}", steps.join("\n"), said.join("\n")));
        }
    }
    let expected = dumped(&real, devices);
    match applied(file, parameters, [there, &made], "yaml") {
        Err(why) => wrong.push(why),
        Ok((dump, shown)) => {
            if let Some(differences) = dump::differences(&expected, &dump) {
                wrong.push(format!("left: tc, right: import and apply\n{differences}\n{shown}"));
            }
        }
    }
    wrong
}

#[test]
fn lists_of_others() {
    let Some(folder) = std::env::var_os("SHAPECTL_CORPORA") else {
        eprintln!("SHAPECTL_CORPORA names no folder: no lists of others are judged");
        return;
    };
    if kernel::name() != "uml-6.12" {
        return kernel::skip("lists_of_others", "everything", "only uml-6.12 has it");
    }
    let (mut wrong, mut count) = (Vec::new(), 0);
    for file in files(Path::new(&folder), "tc") {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let devices = said(&text, "devs");
        // what tc refuses is told to both, but for what hangs on the hardware
        let lines: Vec<String> = text
            .lines()
            .map(|line| match line.strip_prefix("#FAIL ").filter(|line| !line.contains("skip_sw")) {
                Some(rest) => rest.split_once(' ').map_or("", |(_, line)| line).to_owned(),
                None => line.to_owned(),
            })
            .collect();
        let text = lines.join("\n") + "\n";
        let script = tempfile::Builder::new().suffix(".sh").tempfile().unwrap();
        std::fs::write(script.path(), &text).unwrap();
        let faults = judge(script.path(), &[], &devices, &text, |netns| {
            for line in lines.iter().filter_map(|l| l.strip_prefix("tc ")) {
                let _ = netns.run("tc", line.split_whitespace().collect::<Vec<_>>());
            }
        });
        count += 1;
        println!("{name}: {}", if faults.is_empty() { "the same" } else { "DIFFERS" });
        wrong.extend(faults.into_iter().map(|fault| format!("=== {name}\n{fault}")));
    }
    assert!(count > 0);
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// What a tree needs and this kernel has not.
fn lacking(imported: &Imported) -> Vec<String> {
    let needs = doctor::needs(&imported.tree).into_iter();
    let names = needs.filter(|need| matches!(need.thing, Thing::Kind(..))).map(|need| need.thing.name().to_string());
    names.filter(|name| name != "pfifo_fast" && kernel::lacks(name).is_some()).collect()
}

#[test]
fn whole_scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let (mut wrong, mut count, mut skipped) = (Vec::new(), 0, BTreeSet::new());
    let foreign = std::env::var_os("SHAPECTL_CORPORA").map(|folder| files(Path::new(&folder), "sh"));
    for file in files(&folder, "sh").into_iter().chain(foreign.unwrap_or_default()) {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let (devices, parameters) = (said(&text, "devs"), said(&text, "args"));
        let lacking = lacking(&model(&text, &parameters).0);
        if !lacking.is_empty() {
            skipped.extend(lacking);
            continue;
        }
        let shell = if text.starts_with("#!/bin/bash") { "bash" } else { "sh" };
        let faults = judge(&file, &parameters, &devices, &text, |netns| {
            let words = std::iter::once(file.to_str().unwrap()).chain(parameters.iter().map(String::as_str));
            let ran = netns.run(shell, words.collect::<Vec<_>>());
            println!("{}", ran.stderr);
        });
        count += 1;
        println!("{name}: {}", if faults.is_empty() { "the same" } else { "DIFFERS" });
        wrong.extend(faults.into_iter().map(|fault| format!("=== {name}\n{fault}")));
    }
    if !skipped.is_empty() {
        let skipped: Vec<String> = skipped.into_iter().collect();
        kernel::skipped("whole_scripts", &skipped.iter().map(String::as_str).collect::<Vec<_>>());
    }
    assert!(count >= if kernel::name() == "uml-6.12" { 25 } else { 6 }, "{count} scripts");
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// A device that a policy names is made with it and goes with it; one that stood there is somebody's.
#[test]
fn a_device_is_made_where_there_is_none() {
    needs!("ifb", "ingress", "tbf", "u32", "mirred");
    let host = Host::with(&["eth0"]);
    let shaped = "interfaces:
  eth0:
    ingress:
      hook: ingress
      filters: [ { u32: { prio: 1, match: u32 0x0 0x0 at 0, action: { redirect: ifb7 } } } ]
  ifb7: { link: { type: ifb }, egress: { tbf: { rate: 1mbit, burst: 10kb, latency: 50ms } } }
";
    let other = "interfaces: { eth0: { egress: { tbf: { rate: 1mbit, burst: 10kb, latency: 50ms } } } }\n";
    let apply = |policy: &str| {
        let file = host.policy(policy);
        host.apply(&file);
        host.assert_settled(&file);
    };
    let links = || host.netns.ip("-o link show");
    apply(shaped);
    assert!(links().contains("alias shapectl:eth0"), "{}", links());
    let exported = host.shapectl(&["export"]).ok();
    assert!(exported.contains("type: ifb"), "{exported}");
    host.assert_settled(&host.policy(&exported));
    host.shapectl(&["rollback"]).ok();
    assert!(!links().contains("ifb7"), "{}", links());
    apply(shaped);
    apply(other);
    assert!(!links().contains("ifb7"), "{}", links());
    host.netns.ip("link add ifb7 type ifb");
    apply(shaped);
    assert!(!links().contains("alias"), "{}", links());
    apply(other);
    assert!(links().contains("ifb7") && !host.netns.tc("qdisc show dev ifb7").contains("tbf"), "{}", links());
}

/// A small generator (xorshift): the same lists in every run.
struct Dice(u64);

impl Dice {
    fn of<'t>(&mut self, choices: &[&'t str]) -> &'t str {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        choices[(self.0 >> 11) as usize % choices.len()]
    }
}

/// A line of tc's, sound or not.
fn any_line(dice: &mut Dice) -> String {
    let verb = dice.of(&["add", "add", "add", "add", "change", "replace", "del"]);
    let qdisc = [
        "htb",
        "htb default 10",
        "prio",
        "sfq perturb 10",
        "pfifo limit 20",
        "drr",
        "fq_codel limit 500",
        "tbf rate 1mbit burst 10kb limit 30kb",
        "red limit 200kb avpkt 1000 bandwidth 1mbit",
        "prio bands 2 priomap 1 1 1 1 1 1 0 0 1 1 1 1 1 1 1 1",
        "fq_codel",
        "bfifo limit 9000",
        "hfsc default 10",
    ];
    let prio = ["prio 1", "prio 2", "prio 2", "prio 3", ""];
    match dice.of(&["qdisc", "qdisc", "class", "class", "filter", "filter", "hook", "rest"]) {
        "qdisc" => {
            let parent = dice.of(&[
                "root",
                "parent 1:1",
                "parent 1:2",
                "parent 1:10",
                "parent 1:20",
                "parent 2:1",
                "parent 10:1",
                "parent 3:",
            ]);
            let handle = dice.of(&["1:", "1:", "2:", "10:", "20:"]);
            let options = if verb == "del" { "" } else { dice.of(&qdisc) };
            format!("qdisc {verb} dev eth0 {parent} handle {handle} {options}")
        }
        "class" => {
            let parent = dice.of(&["1:", "1:", "1:1", "1:1", "1:10", "2:", "10:"]);
            let class = dice.of(&["1:1", "1:2", "1:10", "1:10", "1:20", "2:1", "10:1"]);
            let options = dice.of(&[
                "htb rate 1mbit",
                "htb rate 2mbit ceil 3mbit prio 2",
                "htb rate 500kbit",
                "drr quantum 2000",
                "hfsc sc rate 1mbit",
                "hfsc ls rate 500kbit",
            ]);
            match verb {
                "del" => format!("class del dev eth0 classid {class}"),
                _ => format!("class {verb} dev eth0 parent {parent} classid {class} {options}"),
            }
        }
        "filter" => {
            // no filters of classes: those of a class without classes are never asked, and not read
            let parent = dice.of(&["parent 1:", "parent 1:", "parent 2:", "parent 2:1", "", "parent ffff:", "ingress"]);
            let prio = dice.of(&prio);
            let protocol = dice.of(&["protocol ip", "protocol ip", "protocol all"]);
            let target = dice.of(&["flowid 1:1", "flowid 1:10", "flowid 1:20", "action drop"]);
            if verb == "del" {
                let more = dice.of(&[
                    "",
                    "protocol ip",
                    "protocol ip handle 800::800 u32",
                    "protocol ip handle 1 fw",
                    "handle 1 flower",
                ]);
                return format!("filter del dev eth0 {parent} {prio} {more}");
            }
            let kind = match dice.of(&["u32", "u32", "u32", "fw", "matchall", "flower"]) {
                "u32" => {
                    let handle = dice.of(&["", "", "", "handle 800::800", "handle ::5", "handle 7:"]);
                    let options = match handle {
                        "handle 7:" => "u32 divisor 4".to_owned(),
                        _ => format!(
                            "u32 {} match ip dport {} 0xffff {target}",
                            dice.of(&["", "", "ht 7:1:", "ht 800:"]),
                            dice.of(&["22", "80"])
                        ),
                    };
                    format!("{handle} {options}")
                }
                "fw" => format!("handle {} fw {target}", dice.of(&["1", "2"])),
                "matchall" => format!("matchall {target}"),
                _ => format!(
                    "{} flower ip_proto {} {target}",
                    dice.of(&["", "handle 1", "handle 3"]),
                    dice.of(&["tcp", "udp"])
                ),
            };
            // flower wants its protocol
            let protocol = if kind.contains("flower") { "protocol ip" } else { protocol };
            format!("filter {verb} dev eth0 {parent} {protocol} {prio} {kind}")
        }
        "hook" => format!("qdisc {verb} dev eth0 {}", dice.of(&["ingress", "clsact", "ingress"])),
        _ => dice
            .of(&[
                "qdisc del dev eth0 root",
                "qdisc change dev eth0 handle 1: htb default 20",
                "qdisc replace dev eth0 root handle 1: htb default 10",
                "qdisc del dev eth0 parent 1:10",
                "class add dev eth0 parent 1: classid 1:1 htb rate 4mbit",
                "filter del dev eth0 parent 1:",
            ])
            .to_owned(),
    }
}

/// The kernel and the book say the same of lists of commands, sound or not: which are refused, and what stands in the end.
#[test]
fn the_book_is_kept_as_the_kernel_does() {
    if kernel::name() != "uml-6.12" {
        return kernel::skip("the_book_is_kept_as_the_kernel_does", "everything", "only uml-6.12 has it");
    }
    let devices = ["eth0".to_owned()];
    let mut wrong = Vec::new();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for _ in 0..120 {
        let mut lines = vec!["qdisc add dev eth0 root handle 1: htb default 10".to_owned()];
        lines.extend((0..30).map(|_| any_line(&mut dice)));
        let batch = lines.join("\n") + "\n";
        let real = machine(&devices);
        let ran = real.run("sh", ["-c", "printf %s \"$1\" | tc -force -batch -", "sh", &batch]);
        let number = |line: &str| line.strip_prefix("Command failed -:")?.parse::<usize>().ok();
        let refused: Vec<usize> = ran.stderr.lines().filter_map(number).collect();
        let (mut sources, mut sink) = (Sources::new(), Sink::new());
        let id = sources.add(Source::new("batch", batch.clone()));
        let imported = import(&[id], &Settings::default(), &mut sources, &mut |_, _, _| None, &mut sink);
        let is_refusal = |d: &&shapectl::diagnostic::Diagnostic| d.code.name != "import-otherwise";
        let mut said: Vec<(usize, String)> = sink
            .found
            .iter()
            .filter(is_refusal)
            .map(|d| (sources.locate(d.span()).map_or(0, |(_, line, _)| line), d.message.clone()))
            .collect();
        said.sort();
        let first = (1..=lines.len()).find(|n| refused.contains(n) != said.iter().any(|(line, _)| line == n));
        if let Some(n) = first {
            let kernel = ran.stderr.lines().take_while(|l| number(l) != Some(n)).collect::<Vec<_>>();
            let kernel = kernel.iter().rev().take_while(|l| number(l).is_none()).collect::<Vec<_>>();
            let ours = said.iter().filter(|(line, _)| *line == n).collect::<Vec<_>>();
            let before = lines[..n].iter().enumerate().filter(|(i, _)| !refused.contains(&(i + 1)) || i + 1 == n);
            let before = before.map(|(_, l)| l.as_str()).collect::<Vec<_>>().join("\n");
            wrong.push(format!("{before}\nkernel refuses: {} {kernel:?}\nwe: {ours:?}", refused.contains(&n)));
            continue;
        }
        let steps = apart(&imported, &real, &devices);
        if !steps.is_empty() {
            let done = lines.iter().enumerate().filter(|(i, _)| !refused.contains(&(i + 1))).map(|(_, l)| l.as_str());
            wrong.push(format!(
                "{}\nfrom the kernel's to ours: {}",
                done.collect::<Vec<_>>().join("\n"),
                steps.join("\n")
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of 120 differ:\n{}", wrong.len(), wrong.join("\n\n"));
}
