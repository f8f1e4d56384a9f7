//! Every option of every kind through the real tc and a real kernel, many lines at a time: options made from the rows'
//! own texts ([`generated`]), and lines in forms that tc takes though nobody would teach them (`tc.forms`).
//!
//! For each line: if tc and the kernel take it, the kernel holds what was asked, as we decode it, with the rows that
//! nobody wrote at the kernel's defaults; `shapectl tc` takes it too, and tc shows the same of both. If they refuse it,
//! `shapectl tc` refuses it; and what a kind's own check lets through they do not refuse.
//!
//! `SHAPECTL_CASES` says how many options of each kind are made, `PROPTEST_RNG_SEED` which.

use super::recordings::with_quantum;
use super::tc::without_given_handles;
use crate::bed::dump::{differences, entries};
use crate::bed::generated::{self, Subject, base};
use crate::bed::kernel;
use crate::bed::netns::{Netns, bounded_with};
use shapectl::facts::Facts;
use shapectl::kernel::Kernel;
use shapectl::kind::action::{Act, Actions};
use shapectl::kind::{Children, Options, Role, Row, find, read_tc};
use shapectl::netlink::{self, Message};
use shapectl::tree::{Id, Object};
use shapectl::unit::{Handle, Reader, Words};
use std::collections::BTreeMap;
use std::time::Duration;

const SHAPECTL: &str = env!("CARGO_BIN_EXE_shapectl");
/// How many lines are judged at once, each on a device of its own.
const DEVICES: usize = 64;
/// Transmit queues of a device.
const QUEUES: u32 = 8;
/// What `lo` carries, so that its list parts what tc shows of one device from what it shows of the next.
const PARTS: &str = "qdisc pfifo 7777: root refcnt 2 limit 1p";
// linux/rtnetlink.h
const GETQDISC: u16 = 38;
const GETTCLASS: u16 = 42;
const GETTFILTER: u16 = 46;

/// What is run on one device, and what must then be held.
struct Case {
    /// Lines as in a batch for tc, with `DEV` for the device.
    lines: Vec<String>,
    /// The object that the last of them have made.
    asked: Option<Object>,
}

/// One side: a namespace and the way into it.
struct Side {
    netns: Netns,
    kernel: Kernel,
    /// What tc prints when asked for help, which it does without asking the kernel: it parts what is said of one line from
    /// what is said of the next.
    mark: String,
}

/// By tc and by us: a cable between the two for each device.
struct Bench {
    by_tc: Side,
    by_us: Side,
    facts: Facts,
}

/// What became of each line of a case: what was said, if it was refused.
type Refused = BTreeMap<usize, String>;

fn dev(number: usize) -> String {
    format!("d{number}")
}

impl Bench {
    fn new() -> Bench {
        let (near, far) = (Netns::new(), Netns::new());
        let cable = |name: &str| {
            let queues = format!("numtxqueues {QUEUES} numrxqueues {QUEUES}");
            format!("link add {name} {queues} type veth peer name {name} {queues} netns {}\n", far.name())
        };
        // the last two are what an action may send to
        let names = (0..DEVICES).map(dev).chain(["eth1".to_owned(), "ifb0".to_owned()]).collect::<Vec<_>>();
        let add = names.iter().map(|name| cable(name)).collect::<String>();
        let up = names.iter().map(|name| format!("link set {name} up\n")).collect::<String>();
        near.enter(|| bounded_with("ip", ["-batch", "-"], &add)).ok();
        for netns in [&near, &far] {
            netns.without_ipv6();
            netns.enter(|| bounded_with("ip", ["-batch", "-"], &up)).ok();
            netns.tc("qdisc add dev lo root handle 7777: pfifo limit 1");
        }
        let [by_tc, mut by_us] = [near, far].map(|netns| {
            let kernel = netns.enter(|| Kernel::open(None).unwrap());
            let mark = netns.run("tc", ["help"]).stderr;
            Side { netns, kernel, mark }
        });
        let links = by_us.kernel.machine().unwrap().clock.links;
        let facts = Facts { links, ..by_us.kernel.facts(&dev(0)).unwrap() };
        Bench { by_tc, by_us, facts }
    }

    /// Runs the cases on both sides and says what differs.
    fn judge(&mut self, cases: &[Case]) -> Vec<String> {
        cases.chunks(DEVICES).flat_map(|chunk| self.judge_some(chunk)).collect()
    }

    fn judge_some(&mut self, cases: &[Case]) -> Vec<String> {
        let texts = cases.iter().enumerate().map(|(at, case)| {
            let on = |line: &String| format!("{line} ").replace(" DEV ", &format!(" {} ", dev(at)));
            case.lines.iter().map(on).collect::<Vec<_>>()
        });
        let texts = texts.collect::<Vec<_>>();
        let (tc, ours) = (self.by_tc.run_tc(&texts), self.by_us.run_shapectl(&texts));
        // a schedule of taprio comes into force with the next tick
        std::thread::sleep(Duration::from_millis(20));
        let [shown_tc, shown_us] = [&self.by_tc, &self.by_us].map(|side| side.shown(&texts));
        let mut wrong = Vec::new();
        for (at, case) in cases.iter().enumerate() {
            let text = texts[at].join("\n");
            let mut say = |what: String| wrong.push(format!("{text}\n    {what}"));
            let said = |refused: &Refused| refused.values().cloned().collect::<Vec<_>>().join("; ");
            let owns = |(kind, part, _): &&(&str, &str, &str)| text.contains(kind) && said(&tc[at]).contains(part);
            if TCS_OWN.iter().find(owns).is_some() {
                continue;
            }
            if tc[at].keys().ne(ours[at].keys()) {
                say(format!("tc: {}\n    we: {}", said(&tc[at]), said(&ours[at])));
                continue;
            }
            if let Some(differences) = differences(&shown_tc[at], &shown_us[at]) {
                say(format!("left: by tc, right: by us\n{differences}"));
                continue;
            }
            let Some(asked) = &case.asked else { continue };
            if !tc[at].is_empty() {
                say(format!("refused, and our check lets it through: {}", said(&tc[at])));
                continue;
            }
            for (who, side) in [("tc", &mut self.by_tc), ("us", &mut self.by_us)] {
                let differ = side.holds(&dev(at), asked, &self.facts);
                if !differ.is_empty() {
                    say(format!("made by {who}: {}", differ.join("; ")));
                    break;
                }
            }
        }
        self.by_tc.clear(cases.len());
        self.by_us.clear(cases.len());
        wrong
    }
}

impl Side {
    /// Runs the lines by tc. A word that tc does not understand may end it: then another goes on behind that line.
    fn run_tc(&self, texts: &[Vec<String>]) -> Vec<Refused> {
        let lines = texts.iter().flatten().collect::<Vec<_>>();
        let mut said = BTreeMap::new();
        let mut done = 0;
        while done < lines.len() {
            let batch = lines[done..].iter().map(|line| format!("{line}\nhelp\n")).collect::<String>();
            let ran = self.netns.enter(|| bounded_with("tc", ["-force", "-batch", "-"], &batch));
            let parts = ran.stderr.split(&self.mark).collect::<Vec<_>>();
            // behind the last mark stands what was said of the line that ended it
            let whole = parts.len() - 1;
            for (at, part) in parts.iter().enumerate().filter(|(at, _)| done + at < lines.len()) {
                if at == whole || part.contains("Command failed -:") {
                    said.insert(done + at, without_usage(part));
                }
            }
            done += whole + 1;
        }
        by_case(texts, &said)
    }

    /// Runs the lines by our own program.
    fn run_shapectl(&self, texts: &[Vec<String>]) -> Vec<Refused> {
        let batch = texts.iter().flatten().map(|line| format!("{line}\n")).collect::<String>();
        let ran = self.netns.enter(|| bounded_with(SHAPECTL, ["tc", "-j", "-force", "-batch", "-"], &batch));
        let mut said: BTreeMap<usize, String> = BTreeMap::new();
        for document in serde_json::Deserializer::from_str(&ran.stdout).into_iter::<serde_json::Value>() {
            let document = document.unwrap_or_else(|error| panic!("{error}: {ran}"));
            for diagnostic in document["diagnostics"].as_array().into_iter().flatten() {
                let line = diagnostic["labels"][0]["line"].as_u64();
                let line = line.unwrap_or_else(|| panic!("no place: {diagnostic}")) as usize - 1;
                said.entry(line).or_default().push_str(diagnostic["message"].as_str().unwrap_or_default());
            }
        }
        assert_eq!(ran.status.success(), said.is_empty(), "{ran}");
        by_case(texts, &said)
    }

    /// What tc shows of each device.
    fn shown(&self, texts: &[Vec<String>]) -> Vec<Vec<String>> {
        let of = |(at, lines): (usize, &Vec<String>)| {
            let (dev, words) = (dev(at), lines.join(" "));
            let mut shows = vec![format!("qdisc show dev {dev}"), format!("class show dev {dev}")];
            if words.contains("filter ") || words.contains("chain ") {
                shows.push(format!("filter show dev {dev}"));
                shows.extend(["ingress", "egress"].map(|hook| format!("filter show dev {dev} {hook}")));
                shows.extend(["ingress", "egress"].map(|hook| format!("chain show dev {dev} {hook}")));
            }
            shows.push("qdisc show dev lo".to_owned());
            shows.iter().map(|show| format!("{show}\n")).collect::<String>()
        };
        let batch = texts.iter().enumerate().map(of).collect::<String>();
        let ran = self.netns.enter(|| bounded_with("tc", ["-d", "-force", "-batch", "-"], &batch));
        let sorted = |text: &str| {
            let mut entries = entries(text).iter().map(|entry| without_given_handles(entry)).collect::<Vec<_>>();
            entries.sort();
            entries
        };
        let own = ran.stdout.split(PARTS).map(sorted).zip(texts);
        own.map(|(entries, lines)| entries.iter().map(|entry| without_seed(entry, lines)).collect()).collect()
    }

    /// How what is held on a device differs from what was asked.
    fn holds(&mut self, dev: &str, asked: &Object, facts: &Facts) -> Vec<String> {
        let machine = self.kernel.machine().unwrap();
        let index = machine.clock.links.index_of(dev).unwrap();
        let (get, parent) = match asked.id {
            Id::Qdisc { .. } => (GETQDISC, 0),
            Id::Class { .. } => (GETTCLASS, 0),
            Id::Filter { parent, .. } => (GETTFILTER, parent.0),
        };
        let dump = self.kernel.ask(&Message::dump_tc(get, index, parent)).unwrap();
        let records = netlink::decode(&dump, &machine).unwrap();
        let is = |record: &&netlink::Record| {
            let same = match (asked.id, record.object.id) {
                (Id::Qdisc { handle: asked, .. }, Id::Qdisc { handle, .. })
                | (Id::Class { handle: asked, .. }, Id::Class { handle, .. }) => asked == handle,
                // of a node of u32 only its own number is asked, not its table's
                (Id::Filter { handle: asked, .. }, Id::Filter { handle, .. }) => {
                    !record.heading && (asked == 0 || asked == handle || asked < 0x1000 && asked == handle & 0xfff)
                }
                _ => false,
            };
            record.ifindex == index && record.object.name == asked.name && same
        };
        let Some(record) = records.iter().find(is) else { return vec!["nothing is held".to_owned()] };
        let (mut wanted, mut held) = (asked.options.clone(), record.object.options.clone());
        wanted.complete(facts);
        wanted.assume(facts);
        held.assume(facts);
        let rows = wanted.rows().iter().enumerate().filter(|(_, row)| !row.tool);
        // what the kernel chooses where nobody says it, and not always the same
        let unknown = |at: usize, row: &Row| row.default.is_none() && !wanted.slot(at).unwrap().is_set();
        rows.filter(|(at, row)| !unknown(*at, row))
            .filter(|(at, _)| !wanted.same(held.as_ref(), *at, facts))
            .map(|(at, row)| {
                let show =
                    |options: &dyn Options| options.slot(at).and_then(|slot| slot.show()).unwrap_or("-".to_owned());
                format!("{}: asked {}, held {}", row.word, show(wanted.as_ref()), show(held.as_ref()))
            })
            .collect()
    }

    /// Takes away what the last cases left.
    fn clear(&self, count: usize) {
        let lines = (0..count)
            .map(dev)
            .flat_map(|dev| ["root", "parent ffff:fff1"].map(|place| format!("qdisc del dev {dev} {place}\n")));
        let batch = lines.collect::<String>();
        self.netns.enter(|| bounded_with(SHAPECTL, ["tc", "-j", "-force", "-batch", "-"], &batch));
    }
}

/// What was said of lines, by the case that they are of.
fn by_case(texts: &[Vec<String>], said: &BTreeMap<usize, String>) -> Vec<Refused> {
    let mut first = 0;
    let of_case = |lines: &Vec<String>| {
        let own = said.range(first..first + lines.len()).map(|(number, said)| (number - first, said.clone()));
        let own = own.collect();
        first += lines.len();
        own
    };
    texts.iter().map(of_case).collect()
}

/// Where nobody says the seed of a netem, it is another each time.
fn without_seed(entry: &str, lines: &[String]) -> String {
    let said = lines.iter().any(|line| line.contains(" seed "));
    match entry.split_once(" seed ").filter(|_| !said) {
        None => entry.to_owned(),
        Some((before, _)) => before.to_owned(),
    }
}

/// A word as tc's batches quote it: there is no escape.
fn quoted(word: &str) -> String {
    match word.contains([' ', '#', '"', '\'']) {
        false => word.to_owned(),
        true if word.contains('\'') => format!("\"{word}\""),
        true => format!("'{word}'"),
    }
}

/// The first line that is no usage of a kind's.
fn without_usage(said: &str) -> String {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("Command failed"));
    lines.next().unwrap_or_default().to_owned()
}

/// The case of some options of a kind: what must stand before, the object itself, and its parts.
fn case(subject: &Subject, protocol: u16, options: &dyn Options, facts: &Facts) -> Case {
    let name = subject.kind.name;
    let htb = "qdisc add dev DEV root handle 1: htb".to_owned();
    let new = |id, kind, options| with_quantum(Object::new(id, kind, options));
    // a number that the options say is not said again
    let says_it = (subject.fresh)().number(0, facts) != 0;
    let number = if says_it { options.number(0, facts) } else { 1 };
    let filter = |parent| Id::Filter { parent, chain: 0, prio: 1, protocol, handle: number };
    let (before, place, object) = match (subject.kind.role, subject.is_class) {
        (Role::Qdisc, false) if HOOKS.contains(&name) => {
            let id = Id::Qdisc { parent: Handle::INGRESS, handle: Handle::HOOK };
            (None, format!("qdisc add dev DEV {name}"), new(id, subject.kind, options.boxed()))
        }
        (Role::Qdisc, false) => {
            let id = Id::Qdisc { parent: Handle::ROOT, handle: Handle::new(1, 0) };
            (None, format!("qdisc add dev DEV root handle 1: {name}"), new(id, subject.kind, options.boxed()))
        }
        (Role::Qdisc, true) => {
            let id = Id::Class { parent: Handle::new(1, 0), handle: Handle::new(1, 1) };
            let qdisc = format!("qdisc add dev DEV root handle 1: {name} {}", base(name));
            // bands are there already
            let verb = if subject.kind.children == Children::Classes { "add" } else { "change" };
            let place = format!("class {verb} dev DEV parent 1: classid 1:1 {name}");
            (Some(qdisc), place, new(id, subject.kind, options.boxed()))
        }
        (Role::Filter, _) => {
            let object = new(filter(Handle::new(1, 0)), subject.kind, options.boxed());
            let handle = if says_it { String::new() } else { format!("handle {} ", options.show_handle(number)) };
            let place = format!("filter add dev DEV parent 1: protocol {protocol:#x} prio 1 {handle}{name}");
            (Some(htb), place, object)
        }
        (Role::Action, _) => {
            // a filter that every kernel with tc has
            let u32 = find(Role::Filter, "u32").unwrap();
            let mut all = (u32.options)();
            read_tc(all.as_mut(), &mut Words::new(&generated::words(base("u32"))), &mut Reader::tc()).unwrap();
            let row = all.row("action").unwrap();
            let actions = Actions::one(Act::of(subject.kind, options.boxed()));
            all.slot_mut(row).unwrap().copy_from(&Some(actions));
            let object = new(filter(Handle::HOOK_EGRESS), u32, all);
            let place = "filter add dev DEV egress protocol 3 prio 1 handle ::1 u32".to_owned();
            (Some("qdisc add dev DEV clsact".to_owned()), place, object)
        }
    };
    let own = generated::lines(object.options.as_ref());
    let own = own.iter().enumerate().map(|(at, words)| {
        let place = if at == 0 { place.clone() } else { place.replacen(" add ", " change ", 1) };
        let words = words.iter().map(|word| quoted(word)).collect::<Vec<_>>();
        format!("{place} {}", words.join(" "))
    });
    Case { lines: before.into_iter().chain(own).collect(), asked: Some(object) }
}

/// Qdiscs that have a place of their own.
const HOOKS: [&str; 2] = ["ingress", "clsact"];

/// Whether this kernel has a kind; which it is known to lack is held against it elsewhere.
fn is_there(subject: &Subject) -> bool {
    let name = subject.kind.name;
    let twice = subject.kind.role == Role::Action && find(Role::Filter, name).is_some();
    let probe = if twice { format!("act_{name}") } else { name.to_owned() };
    match kernel::name().as_str() {
        // the modules for what a packet carries are loaded by the first that encodes, and whoever decodes wants one
        "uml-6.1" if name == "ife" => false,
        "running" => !kernel::probed().contains(&probe.as_str()) || kernel::lacks(&probe).is_none(),
        listed => !kernel::listed(listed).contains(&probe),
    }
}

/// Rows that are left out, on a kernel or on all, of a kind or of all, and why.
const LEFT_OUT: &[(&str, &str, &[&str], &str)] = &[
    ("", "", &["offload", "hw", "skip_sw", "hw_tc"], "these devices are in no hardware"),
    (
        "",
        "u32",
        &["link", "ht", "divisor", "order"],
        "these name tables, which must stand, or nodes, as the handle does",
    ),
    ("", "fq_codel", &["ce_threshold_selector"], "tc has no word for it"),
    ("", "flower", &["hash", "enc_src_port"], "tc has no word for it"),
    ("", "fq", &["bands", "priomap", "weights", "offload_horizon"], "younger than tc 6.1"),
    ("", "flower", &["enc_flags", "l2_miss", "pfcp_opts", "spi", "cfm"], "younger than tc 6.1"),
    ("", "netem", &["seed"], "younger than tc 6.1"),
    ("", "taprio", &["max-sdu", "fp"], "younger than tc 6.1"),
    ("", "skbedit", &["queue_mapping_max"], "younger than tc 6.1"),
    ("", "ct", &["helper"], "younger than tc 6.1"),
    ("", "tunnel_key", &["nofrag"], "younger than tc 6.1"),
    ("running", "u32", &["mark"], "a kernel may be built without, and takes the words and forgets them"),
    ("running", "", &["action"], "a kernel may lack the actions that filters are made with"),
    ("uml-6.1", "ct", &["zone"], "CONFIG_NF_CONNTRACK_ZONES is not set in Debian's package"),
    ("uml-6.1", "flower", &["ct_zone"], "CONFIG_NF_CONNTRACK_ZONES is not set in Debian's package"),
    ("uml-6.1", "fq", &["quantum"], "older kernels refuse what newer ones cut short"),
    ("uml-6.1", "hhf", &["hh_limit"], "older kernels forget it when the discipline is made (`hhf_init`)"),
];

/// Texts that are left out: of a kind or of all, of a row or of all, those that hold one of the parts; and why.
const NOT_SAID: &[(&str, &str, &[&str], &str)] = &[
    ("", "", &["ipset("], "there is no program `ipset` here"),
    ("simple", "sdata", &["#", "\"", "'"], "a batch of tc's has no way to say these in a word"),
    ("flower", "enc_dst_port", &["/"], "tc has no word for a mask of it"),
    ("netem", "delay", &[".", "ns", "429496729"], "tc 6.1 sends whole microseconds, in 32 bits"),
];

/// Whether a text of a row is left out.
fn leaves_out(subject: &Subject, row: &Row, text: &str) -> bool {
    let of = |kind: &str| kind.is_empty() || kind == subject.kind.name;
    let here = |name: &str| name.is_empty() || name == kernel::name();
    let row_listed = LEFT_OUT.iter().any(|(on, kind, rows, _)| here(on) && of(kind) && rows.contains(&row.word));
    let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    row_listed
        || NOT_SAID
            .iter()
            .any(|(kind, word, parts, _)| of(kind) && (word.is_empty() || *word == row.word) && has(parts))
}

/// Refusals by tc alone, of a kind or of all, by what it says: its own faults, and what younger ones take.
const TCS_OWN: &[(&str, &str, &str)] = &[
    ("cgroup", "What is \"", "it trips over a match that ends the line"),
    ("u32", "Command line is not complete", "it trips over a mark that ends the line"),
    ("htb", "Illegal \"burst\"", "a younger one takes 64 bits"),
    ("htb", "Illegal \"cburst\"", "it takes 32 bits, and what we hold may be beyond for a rounding"),
    ("police", "is wrong: buffer", "a younger one takes 64 bits"),
    ("netem", "time (too large)", "a younger one takes 64 bits"),
];

#[test]
fn generated_options_come_back_the_same() {
    let count = std::env::var("SHAPECTL_CASES").map_or(2, |count| count.parse().expect("a number of cases"));
    let only = std::env::var("SHAPECTL_ONLY").unwrap_or_default();
    let mut bench = Bench::new();
    let facts = bench.facts.clone();
    let (mut cases, mut numbers) = (Vec::new(), 1000_u64..);
    for subject in generated::subjects().iter().filter(|subject| only.is_empty() || subject.name == only) {
        if !is_there(subject) {
            kernel::skip("generated_options_come_back_the_same", &subject.name, "this kernel has none");
            continue;
        }
        for (protocol, mut options) in
            generated::some(subject, count, &facts, "eth1", |row, text| leaves_out(subject, row, text))
        {
            // a number of an action is its own alone
            let index = options.row("index").filter(|_| subject.kind.role == Role::Action);
            if let Some(slot) = index.and_then(|row| options.slot_mut(row)).filter(|slot| slot.is_set()) {
                slot.set_number(numbers.next().unwrap());
            }
            cases.push(case(subject, protocol, options.as_ref(), &facts));
        }
    }
    let wrong = bench.judge(&cases);
    println!("{} cases", cases.len());
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Lines in forms that tc takes, and some that it does not, though nobody would teach them: a line of `tc.forms` is what is
/// run on one device, parted by ` ; `.
#[test]
fn odd_forms_do_the_same() {
    let text = include_str!("tc.forms");
    let text = std::env::var("SHAPECTL_FORMS").map_or(text.to_owned(), |path| std::fs::read_to_string(path).unwrap());
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let case = |line: &str| Case { lines: line.split(" ; ").map(str::to_owned).collect(), asked: None };
    let cases = lines.map(case).collect::<Vec<_>>();
    let wrong = Bench::new().judge(&cases);
    println!("{} lines", cases.len());
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
