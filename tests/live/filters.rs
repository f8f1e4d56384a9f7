//! Each classifier and each action on a real kernel: what our bytes set is what tc's bytes set, and what the kernel tells
//! of it is what was asked, with unset options at the kernel's defaults.

use crate::bed::dump::{differences, shown};
use crate::bed::kernel::lacks;
use crate::bed::netns::Netns;
use crate::bed::tc_line::Line;
use crate::bed::wire;
use crate::host::{Host, path};
use crate::needs;
use shapectl::facts::Facts;
use shapectl::kernel::Kernel;
use shapectl::kind::filter::u32::U32;
use shapectl::kind::{self, Kind, Options, Role};
use shapectl::netlink::encode;
use shapectl::plan::Verb;
use shapectl::tree::{Id, Object};

/// A namespace whose loopback has what filters hang on, and a way to its kernel.
struct Place {
    netns: Netns,
    kernel: Kernel,
    last: Option<Line>,
}

impl Place {
    fn new() -> Place {
        let netns = Netns::new();
        let kernel = netns.enter(|| Kernel::open(None).unwrap());
        let place = Place { netns, kernel, last: None };
        place.netns.tc("qdisc add dev lo root handle 1: htb");
        place.netns.tc("qdisc add dev lo clsact");
        place
    }

    /// Away with the filter of the last line, and what this one wants made anew.
    fn clear(&mut self, line: &Line) {
        let run = |words: &str| self.netns.run("tc", words.split_whitespace());
        if let Some(last) = self.last.replace(line.clone()) {
            let place = place(&last);
            // tables of u32 cannot be taken away while filters refer to them, and go with their qdisc
            if last.kind == "u32" && place.starts_with("parent") {
                run("qdisc del dev lo root").ok();
                run("qdisc add dev lo root handle 1: htb").ok();
            } else {
                run(&format!("filter del dev lo {place} chain {}", last.get("chain").unwrap_or("0")));
            }
        }
        let tables = ["ht", "sample"].iter().any(|word| line.options.iter().any(|w| w == word));
        if tables {
            run("filter add dev lo parent 1: prio 5 handle 1: u32 divisor 256").ok();
            run("filter add dev lo parent 1: prio 5 handle 2: u32 divisor 1").ok();
        }
    }

    /// The one filter that a line made.
    fn held(&mut self, made: &Line) -> Object {
        let tree = self.kernel.read(Some(&["lo"])).unwrap();
        let branches = [&tree.interfaces["lo"].egress, &tree.interfaces["lo"].ingress];
        let objects = branches.into_iter().flatten().flat_map(|b| b.objects.clone());
        let wants_table = made.options.first().is_some_and(|word| word == "divisor");
        let mut filters: Vec<Object> = objects
            .filter(|o| matches!(o.id, Id::Filter { .. }))
            .filter(|o| o.options.as_kind::<U32>().is_none_or(|u| u.is_table() == wants_table))
            .collect();
        assert_eq!(filters.len(), 1, "{made:?}");
        filters.remove(0)
    }
}

/// Where a line puts its filter, in tc's words.
fn place(line: &Line) -> String {
    let hook = ["ingress", "egress"].into_iter().find(|hook| line.get(hook).is_some());
    hook.map_or_else(|| format!("parent {}", line.get("parent").unwrap_or_default()), str::to_owned)
}

fn facts(place: &mut Place) -> Facts {
    place.kernel.facts("lo").unwrap()
}

fn differ(asked: &dyn Options, held: &dyn Options, facts: &Facts) -> String {
    let mut held = held.boxed();
    held.assume(facts);
    let rows = asked.rows().iter().enumerate().filter(|(_, row)| !row.tool);
    let differ: Vec<String> = rows
        .filter(|(at, _)| !asked.same(held.as_ref(), *at, facts))
        .map(|(_, row)| format!("{}: asked {:?}, held {:?}", row.word, asked.show(row.word), held.show(row.word)))
        .collect();
    differ.join("; ")
}

fn dump(at: &Place, line: &Line) -> Vec<String> {
    let chain = line.get("chain").map(|chain| format!(" chain {chain}")).unwrap_or_default();
    shown(&at.netns, &format!("-d filter show dev lo {}{chain}", place(line)))
}

/// One line of words, set by tc, by our bytes, and by tc from what we read of it. Says what is wrong.
fn examine(words: &str, places: &mut [Place; 3]) -> Result<(), String> {
    let line = Line::read(words);
    if line.request.as_ref().is_ok_and(|request| request.verb != shapectl::tc::Verb::Add) {
        return Ok(()); // the same options as their `add`
    }
    places.iter_mut().for_each(|place| place.clear(&line));
    let [by_tc, by_us, again] = places;
    let (us, there) = (facts(by_us), facts(by_tc));
    let object = line.object().unwrap();
    let mut asked = object.options.clone();
    let ran = by_tc.netns.run("tc", words.split_whitespace().skip(1));
    let ours = by_us.kernel.send(&[encode(&object, Verb::Add, 1, &us)]).unwrap();
    if ran.status.success() != ours.refused.is_empty() {
        return Err(format!("tc: {ran}us: {:?}", ours.refused));
    }
    if !ran.status.success() {
        println!("the kernel refuses {words}: {ran}");
        return Ok(());
    }
    if line.options.is_empty() && line.kind == "fw" {
        return Ok(()); // fw without a filter in it, which Linux 6.12 takes and cannot show
    }
    // tc 6.1 counts the burst of a fast policer by whole microseconds
    let comparable = !words.contains("gbit");
    if comparable && let Some(differences) = differences(&dump(by_tc, &line), &dump(by_us, &line)) {
        return Err(format!("left by tc, right by us\n{differences}"));
    }
    asked.complete(&us);
    asked.assume(&us);
    for (place, facts) in [(&mut *by_tc, &there), (by_us, &us)] {
        let wrong = differ(asked.as_ref(), place.held(&line).options.as_ref(), facts);
        if !wrong.is_empty() {
            return Err(wrong);
        }
    }
    // and once more, from what is held
    let held = by_tc.held(&line);
    let mut printed = Vec::new();
    held.options.tc(&mut printed);
    let header = words.split_whitespace().take_while(|word| *word != line.kind).map(str::to_owned);
    let command: Vec<String> = header.chain([line.kind.clone()]).chain(printed).collect();
    let ran = again.netns.run("tc", command.iter().skip(1));
    let command = command.join(" ");
    // an old policer is printed as the action that runs the same
    let comparable = comparable && (!words.contains(" police ") || words.contains("action police"));
    let comparable = comparable && !(line.kind == "route" && words.contains(" order ")); // it stands in the handle
    if !ran.status.success() {
        return Err(format!("printed as `{command}`: {ran}"));
    }
    match differences(&dump(by_tc, &line), &dump(again, &line)) {
        Some(differences) if comparable => Err(format!("printed as `{command}`\n{differences}")),
        _ => Ok(()),
    }
}

/// All recorded lines of a file.
fn examine_all(name: &str, more: &[&str]) {
    let file = wire::files().into_iter().find(|file| file.name == name).unwrap();
    let recorded = file.recordings.iter().map(|recording| recording.words.clone());
    let lines: Vec<String> = recorded.chain(more.iter().map(|line| (*line).to_owned())).collect();
    let mut places = [Place::new(), Place::new(), Place::new()];
    let mut wrong = Vec::new();
    for words in &lines {
        // a line of one file may want a kind of another
        let wanted = |kind: &&Kind| words.split(' ').any(|word| word == kind.name);
        let kinds = [Role::Filter, Role::Action].into_iter().flat_map(kind::all);
        let mark = words.contains("match mark") && lacks("u32-mark").is_some();
        if mark || kinds.filter(wanted).any(|kind| lacks(kind.name).is_some()) {
            continue;
        }
        if let Err(error) = examine(words, &mut places) {
            wrong.push(format!("{words}\n{error}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), lines.len(), wrong.join("\n"));
}

#[test]
fn kind_u32() {
    needs!("htb", "clsact", "u32");
    examine_all("u32", &[]);
}

#[test]
fn kind_fw() {
    needs!("htb", "clsact", "fw");
    examine_all("fw", &[]);
}

#[test]
fn kind_matchall() {
    needs!("htb", "clsact", "matchall");
    examine_all("matchall", &[]);
}

#[test]
fn kind_flower() {
    needs!("htb", "clsact", "flower");
    examine_all("flower", &[]);
}

#[test]
fn kind_basic() {
    needs!("htb", "clsact", "basic");
    examine_all("basic", &[]);
}

#[test]
fn kind_flow() {
    needs!("htb", "flow");
    examine_all("flow", &[]);
}

#[test]
fn kind_route() {
    needs!("htb", "route");
    examine_all("route", &[]);
}

#[test]
fn kind_cgroup() {
    needs!("htb", "cgroup");
    examine_all("cgroup", &[]);
}

#[test]
fn kind_bpf() {
    needs!("htb", "bpf");
    examine_all("bpf", &[]);
}

#[test]
fn kind_police() {
    needs!("htb", "clsact", "matchall", "police");
    examine_all("police", &[]);
}

#[test]
fn kind_mirred() {
    needs!("htb", "clsact", "matchall", "mirred");
    examine_all("mirred", &[]);
}

#[test]
fn kind_gact() {
    needs!("htb", "clsact", "matchall", "gact");
    examine_all("gact", &[]);
}

#[test]
fn kind_skbedit() {
    needs!("htb", "clsact", "matchall", "skbedit");
    examine_all("skbedit", &[]);
}

/// Filters of one priority in two chains are told apart.
#[test]
fn a_filter_is_shown_with_its_chain() {
    needs!("htb", "u32", "veth");
    let host = Host::with(&["eth0"]);
    let policy =
        host.apply_text("interfaces: { eth0: { egress: { htb: { default: a, classes: { a: { rate: 1mbit } } } } } }\n");
    for chain in [0, 3] {
        host.netns.tc(&format!(
            "filter add dev eth0 parent 1: chain {chain} protocol ip prio 6 u32 match ip dport 80 0xffff flowid 1:1"
        ));
    }
    let shown = host.shapectl(&["show", "eth0"]).ok();
    assert!(shown.contains("u32 6 ip chain 3 ") && shown.contains("u32 6 ip 800::800 "), "{shown}");
    let (_, difference) = host.diff(&policy);
    assert!(difference.contains("prio 6 ip chain 3\n") && difference.contains("prio 6 ip\n"), "{difference}");
}

/// The template of a chain: held, said by export, made anew with its filters when it is another one.
#[test]
fn a_chain_has_its_template() {
    needs!("clsact", "htb", "flower");
    let host = Host::with(&["eth0"]);
    let policy = |template: &str, port: u16| {
        host.policy(&format!(
            "interfaces: {{ eth0: {{ egress: {{ htb: {{ default: a, classes: {{ a: {{ rate: 1mbit }} }} }},
               filters: [ flower: {{ chain: 7, prio: 5, protocol: ip, ip_proto: tcp, dst_port: {port}, flowid: a }},
                          flower: {{ chain: 7, protocol: ip, template: yes, {template} }},
                          matchall: {{ prio: 1, action: {{ gact: {{ control: goto chain 7 }} }} }} ] }} }} }}\n"
        ))
    };
    let file = policy("ip_proto: tcp, dst_port: 1", 80);
    host.apply(&file);
    host.assert_settled(&file);
    let shown = host.netns.tc("chain show dev eth0");
    assert!(shown.contains("flower chain 7") && shown.contains("dst_port"), "{shown}");
    let exported = host.shapectl(&["export"]);
    assert!(exported.stderr.is_empty() && exported.stdout.contains("template: yes"), "{exported}");
    host.assert_settled(&host.policy(&exported.stdout));
    // as script
    let file = policy("ip_proto: tcp, dst_port: 1", 80);
    let script = host.shapectl(&["script", path(&file)]).ok();
    assert!(script.contains("tc chain add dev eth0 parent 1: chain 7 protocol ip flower ip_proto tcp"), "{script}");
    let made = Host::with(&["eth0"]);
    made.netns.run("sh", ["-c", &script]).ok();
    made.assert_settled(&made.policy(&std::fs::read_to_string(&file).unwrap()));
    // another filter leaves it alone, another template takes all filters of the chain with it, and none makes it go
    let plan = |file: &std::path::Path| host.diff(file).1;
    let file = policy("ip_proto: tcp, dst_port: 1", 443);
    assert!(!plan(&file).contains("template"), "{}", plan(&file));
    host.apply(&file);
    let file = policy("ip_proto: tcp", 443);
    let text = plan(&file);
    assert!(text.contains("template flower of chain 7") && text.contains("made anew"), "{text}");
    let ran = host.shapectl(&["apply", path(&file)]);
    assert!(!ran.status.success() && ran.stderr.contains("Mask does not fit the template"), "{ran}");
    host.assert_settled(&policy("ip_proto: tcp, dst_port: 1", 443));
    // gone, though a filter still sends to its chain: the kernel keeps a template for whoever sends there
    let bare = host.policy(
        "interfaces: { eth0: { egress: { htb: { default: a, classes: { a: { rate: 1mbit } } },
           filters: [ matchall: { prio: 1, action: { gact: { control: goto chain 7 } } },
                      flower: { chain: 7, prio: 5, protocol: ip, dst_ip: 192.0.2.1, flowid: a } ] } } }\n",
    );
    host.apply(&bare);
    host.assert_settled(&bare);
    let file = policy("ip_proto: tcp, dst_port: 1", 80);
    host.apply(&file);
    host.assert_settled(&file);
}

/// As tc makes one, on each kind of place.
#[test]
fn templates_of_others_are_policy_too() {
    needs!("clsact", "flower");
    let host = Host::with(&["eth0"]);
    host.netns.tc("qdisc add dev eth0 ingress_block 5 clsact");
    let lines = [
        "chain add block 5 chain 3 protocol ip flower dst_ip 0.0.0.0/24",
        "chain add dev eth0 egress chain 22 flower dst_mac 00:00:00:00:00:00/ff:ff:ff:ff:ff:ff",
        "filter add dev eth0 egress chain 22 prio 4 flower dst_mac 02:00:00:00:00:01 action drop",
    ];
    lines.iter().for_each(|line| drop(host.netns.tc(line)));
    let exported = host.shapectl(&["export"]);
    assert!(exported.stderr.is_empty(), "{exported}");
    assert_eq!(exported.stdout.matches("template: yes").count(), 2, "{exported}");
    host.assert_settled(&host.policy(&exported.stdout));
    // and from the lines
    host.netns.tc("qdisc del dev eth0 clsact");
    let lines = [&["qdisc add dev eth0 clsact"], &lines[1..]].concat();
    lines.iter().for_each(|line| drop(host.netns.tc(line)));
    let file = host.policy(&lines.iter().map(|line| format!("tc {line}\n")).collect::<String>());
    let imported = host.shapectl(&["import", "tc", path(&file)]).ok();
    host.assert_settled(&host.policy(&imported));
}
