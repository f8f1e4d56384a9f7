//! `tc`: a tc command, or a batch of them, over netlink.

use super::Exit;
use super::frame::Frame;
use super::refusal;
use crate::diagnostic::{Diagnostic, codes};
use crate::facts::{Facts, Reference};
use crate::kernel::{Error, Kernel, Lack, has_net_admin};
use crate::kind::action::{Act, police::Police};
use crate::kind::{self, Finding, Role};
use crate::netlink::{self, Machine, Message, Record};
use crate::source::{FileId, Notation, Source, Span};
use crate::syntax::names::nearest;
use crate::tc::{self, Front, Listed, Request, Show, Subject, Target, Verb, Wrong};
use crate::tree::{Id, Object};
use crate::unit::{Handle, Slot};
use crate::view::{self, Item};
use nix::errno::Errno;
use serde_json::Value;
use std::io::Read;
use std::sync::Arc;

/// The words of one command, each with its place, and the place behind the last.
struct Line {
    words: Vec<String>,
    places: Vec<Span>,
    /// What stands in front, so that places and numbers of words agree.
    front: usize,
}

impl Line {
    /// The place of a word that was counted behind the front.
    fn place(&self, word: usize) -> Span {
        self.span(self.front + word)
    }

    fn span(&self, word: usize) -> Span {
        let end = self.places.last().map_or(Span::NONE, |last| Span { start: last.end, ..*last });
        self.places.get(word).copied().unwrap_or(end)
    }

    fn command(&self) -> &[String] {
        self.words.get(self.front..).unwrap_or(&[])
    }
}

pub(super) fn run(frame: &mut Frame, words: &[String]) -> Exit {
    let mut line = typed(frame, words);
    let front = match tc::front(words) {
        Ok(front) => front,
        Err(wrong) => {
            return match wrong_line(frame, wrong, &line) {
                Exit::Done => Exit::Done,
                exit => frame.refuse(exit),
            };
        }
    };
    line.front = front.words;
    if front.json {
        frame.global.format = crate::cli::Format::Json;
    }
    if front.netns.is_some() {
        frame.global.netns.clone_from(&front.netns);
    }
    if line.command().is_empty() && front.batch.is_none() {
        let help = "write one: `shapectl tc qdisc show dev eth0`";
        frame.found.push(Diagnostic::new(&codes::MISSING_OPTION, "a tc command is missing").help(help));
        return frame.refuse(Exit::Refused);
    }
    let lines = match &front.batch {
        None => vec![line],
        Some(file) => match batch(frame, file) {
            Some(lines) => lines,
            None => return frame.refuse(Exit::Refused),
        },
    };
    let mut runner = Runner { frame, front, kernel: None, machine: None };
    let mut worst = Exit::Done;
    for line in &lines {
        let exit = runner.line(line);
        if exit != Exit::Done {
            worst = if worst == Exit::Kernel { worst } else { exit };
            if !runner.front.force {
                break;
            }
        }
    }
    if worst != Exit::Done {
        return runner.frame.refuse(worst);
    }
    runner.frame.report();
    Exit::Done
}

/// Says what is wrong with a line, or what it has asked for.
fn wrong_line(frame: &mut Frame, wrong: Wrong, line: &Line) -> Exit {
    if wrong.asked {
        frame.say(&wrong.refusal.help.unwrap_or_default());
        return Exit::Done;
    }
    frame.found.push(wrong.refusal.diagnostic(line.place(wrong.word)));
    Exit::Refused
}

/// The command line as a text to point into.
fn typed(frame: &mut Frame, words: &[String]) -> Line {
    let mut text = "tc".to_owned();
    let mut ranges = Vec::with_capacity(words.len());
    for word in words {
        text.push(' ');
        let start = text.len();
        text.push_str(&crate::script::quote(word));
        ranges.push((start, text.len()));
    }
    // so that there is something to point at behind the last word
    text.push(' ');
    let file = frame.sources.add(Source::with_notation("command line", text, Notation::Shape));
    let places = ranges.into_iter().map(|(start, end)| Span::new(file, start, end)).collect();
    Line { words: words.to_vec(), places, front: 0 }
}

/// The lines of a file for `-batch`.
fn batch(frame: &mut Frame, name: &str) -> Option<Vec<Line>> {
    let limit = frame.limits().file_bytes as u64;
    let mut bytes = Vec::new();
    let read = match name {
        "-" => std::io::stdin().lock().take(limit).read_to_end(&mut bytes),
        _ => std::fs::File::open(name).and_then(|file| file.take(limit).read_to_end(&mut bytes)),
    };
    if let Err(error) = read {
        frame.found.push(Diagnostic::new(&codes::INPUT, format!("`{name}` cannot be read: {error}")));
        return None;
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let lines = tc::lines(&text);
    let file = frame.sources.add(Source::with_notation(name, text, Notation::Shape));
    let span = |file: FileId, place: &std::ops::Range<usize>| Span::new(file, place.start, place.end);
    match lines {
        Err(place) => {
            let d = Diagnostic::new(&codes::SYNTAX, "a quote is not closed on its line").at(span(file, &place), "");
            frame.found.push(d);
            None
        }
        Ok(lines) => Some(
            lines
                .into_iter()
                .map(|line| Line {
                    places: line.places.iter().map(|place| span(file, place)).collect(),
                    words: line.words,
                    front: 0,
                })
                .collect(),
        ),
    }
}

/// What runs one line after the other.
struct Runner<'a> {
    frame: &'a mut Frame,
    front: Front,
    kernel: Option<Kernel>,
    /// The links, as they were last read.
    machine: Option<Machine>,
}

impl Runner<'_> {
    fn line(&mut self, line: &Line) -> Exit {
        let exit = self.run(line);
        if !self.frame.is_json() {
            self.frame.report();
        }
        exit
    }

    fn run(&mut self, line: &Line) -> Exit {
        // a command is understood before a kernel is asked for anything but the speed of a link in per cent
        let per_cent = line.command().iter().any(|word| word.contains('%'));
        let mut speeds = std::collections::HashMap::new();
        if per_cent && let Some(kernel) = self.kernel() {
            speeds = kernel.all_facts().unwrap_or_default();
        }
        let requests = tc::read(line.command(), &|dev| speeds.get(dev)?.speed);
        let requests = match requests {
            Ok(requests) => requests,
            Err(wrong) => return wrong_line(self.frame, wrong, line),
        };
        for request in requests {
            let exit = self.request(line, request);
            if exit != Exit::Done {
                return exit;
            }
        }
        Exit::Done
    }

    fn kernel(&mut self) -> Option<&mut Kernel> {
        if self.kernel.is_none() {
            self.kernel = self.frame.kernel();
        }
        self.kernel.as_mut()
    }

    /// The links; read again where a name is not known.
    fn machine(&mut self, wanted: Option<&str>) -> Result<Machine, Error> {
        let known = |machine: &Machine| wanted.is_none_or(|name| index(machine, name).is_some());
        if let Some(machine) = self.machine.as_ref().filter(|machine| known(machine)) {
            return Ok(machine.clone());
        }
        let Some(kernel) = self.kernel.as_mut() else { return Ok(Machine::default()) };
        let machine = kernel.machine()?;
        Ok(self.machine.insert(machine).clone())
    }

    fn request(&mut self, line: &Line, mut request: Request) -> Exit {
        if self.kernel().is_none() {
            return Exit::Kernel;
        }
        let dev = match &request.target {
            Some(Target::Dev(dev)) => Some(dev.clone()),
            _ => None,
        };
        let machine = match self.machine(dev.as_deref()) {
            Ok(machine) => machine,
            Err(error) => return self.refused(line, &request, &error, &[]),
        };
        let ifindex = match &dev {
            None => 0,
            Some(dev) => match index(&machine, dev) {
                Some(index) => index,
                None => return self.no_link(line, &request, dev, &machine),
            },
        };
        // tc knows nothing of the link: its defaults are those of an ethernet
        let mut facts = machine.clock.clone();
        if let Some(kernel) = &mut self.kernel {
            kernel.look_for(request.references());
            let Facts { programs, sets, .. } = kernel.clock();
            (facts.programs, facts.sets) = (Arc::clone(programs), Arc::clone(sets));
        }
        request.complete(&facts);
        match (&request.subject, request.verb) {
            (Subject::Show(show), _) => self.show(line, &request, *show, ifindex, &machine),
            (_, Verb::Get) | (Subject::OfKind { .. }, Verb::Show) => self.get(line, &request, ifindex, &machine),
            _ => {
                if let Some(absent) = request.absent(&facts) {
                    let d = Diagnostic::new(absent.code, absent.message);
                    let place = request.place("kind").map_or(Span::NONE, |at| line.place(at));
                    self.frame.found.push(d.at(place, "").help(absent.help.unwrap_or_default()));
                    return Exit::Refused;
                }
                let message = netlink::request(&request, ifindex, &facts);
                self.send(line, &request, message)
            }
        }
    }

    fn send(&mut self, line: &Line, request: &Request, message: Message) -> Exit {
        let Some(kernel) = self.kernel.as_mut() else { return Exit::Kernel };
        let sent = match kernel.send(std::slice::from_ref(&message)) {
            Ok(sent) => sent,
            Err(error) => return self.refused(line, request, &error, &[]),
        };
        for (_, text) in &sent.warned {
            self.frame.say(&format!("the kernel warns: {text}"));
        }
        match sent.refused.into_iter().next() {
            None => Exit::Done,
            Some((_, error)) => {
                let lacks = match request.object() {
                    Some(object) => error.lacks(object, &message),
                    None => lacking_actions(&error, request),
                };
                self.refused(line, request, &error, &lacks)
            }
        }
    }

    fn no_link(&mut self, line: &Line, request: &Request, dev: &str, machine: &Machine) -> Exit {
        let names: Vec<&str> = machine.links.iter().map(|link| link.name.as_str()).collect();
        let help = match nearest(dev, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")),
        };
        let place = request.place("dev").map_or(Span::NONE, |at| line.place(at + 1));
        let d =
            Diagnostic::new(&codes::NO_INTERFACE, format!("there is no link `{dev}` here")).at(place, "").help(help);
        self.frame.found.push(d);
        Exit::Kernel
    }

    /// What the kernel said of a request, at the word that it is about.
    fn refused(&mut self, line: &Line, request: &Request, error: &Error, lacks: &[Lack]) -> Exit {
        let mut facts = Facts::default();
        if let Some(machine) = &self.machine {
            facts = machine.clock.clone();
        }
        let d = finding(request, error, lacks, &facts);
        let word = blamed(request, error, lacks).unwrap_or(0);
        self.frame.found.push(d.at(line.place(word), ""));
        Exit::Kernel
    }

    /// One object, or the actions of a kind.
    fn get(&mut self, line: &Line, request: &Request, ifindex: u32, machine: &Machine) -> Exit {
        let message = netlink::request(request, ifindex, &machine.clock);
        let Some(kernel) = self.kernel.as_mut() else { return Exit::Kernel };
        let bytes = match kernel.ask(&message) {
            Ok(bytes) => bytes,
            Err(error) => return self.refused(line, request, &error, &[]),
        };
        if matches!(request.subject, Subject::Numbered(_) | Subject::OfKind { .. }) {
            return match netlink::decode_actions(&bytes, &machine.clock) {
                Ok(lists) => {
                    self.print_actions(lists.iter().flat_map(|list| &list.0));
                    Exit::Done
                }
                Err(error) => self.refused(line, request, &error.into(), &[]),
            };
        }
        match self.decode(&bytes, machine) {
            Ok(records) => {
                self.print(&records, request.target.is_some(), machine);
                Exit::Done
            }
            Err(error) => self.refused(line, request, &error, &[]),
        }
    }

    /// The objects of an answer; sets that they have by number are named.
    fn decode(&mut self, bytes: &[u8], machine: &Machine) -> Result<Vec<Record>, Error> {
        let records = netlink::decode(bytes, machine)?;
        let numbers = records.iter().flat_map(|record| record.object.options.references());
        let numbers: Vec<_> = numbers.filter(|r| matches!(r, Reference::SetNumber(_))).collect();
        let Some(kernel) = self.kernel.as_mut().filter(|_| !numbers.is_empty()) else { return Ok(records) };
        kernel.look_for(numbers);
        let clock = Facts { sets: Arc::clone(&kernel.clock().sets), ..machine.clock.clone() };
        Ok(netlink::decode(bytes, &Machine { clock, ..machine.clone() })?)
    }

    /// The objects that fit.
    fn show(&mut self, line: &Line, request: &Request, show: Show, ifindex: u32, machine: &Machine) -> Exit {
        // but for qdiscs the kernel wants to be asked link by link
        let links: Vec<u32> = match request.target {
            None if show.of != Listed::Qdiscs => machine.links.iter().map(|link| link.index).collect(),
            _ => vec![ifindex],
        };
        let mut records = Vec::new();
        for link in links {
            match self.dump(request, link, machine) {
                Ok(more) => records.extend(more),
                // the link went away meanwhile
                Err(error) if error.is(Errno::ENODEV) && request.target.is_none() => {}
                Err(error) => return self.refused(line, request, &error, &[]),
            }
        }
        if let (Some(Target::Block(block)), true) = (&request.target, records.is_empty()) {
            match self.has_block(*block, machine) {
                Ok(true) => {}
                Ok(false) => {
                    let place = request.place("block").map_or(Span::NONE, |at| line.place(at + 1));
                    let d = Diagnostic::new(&codes::KERNEL_REFUSED, format!("there is no shared block {block}"));
                    let help = "a qdisc makes one: `qdisc add dev eth0 ingress_block 1 clsact`";
                    self.frame.found.push(d.at(place, "").help(help));
                    return Exit::Kernel;
                }
                Err(error) => return self.refused(line, request, &error, &[]),
            }
        }
        records.retain(|record| fits(record, &show, ifindex));
        self.print(&records, request.target.is_some(), machine);
        Exit::Done
    }

    fn dump(&mut self, request: &Request, ifindex: u32, machine: &Machine) -> Result<Vec<Record>, Error> {
        let Some(kernel) = self.kernel.as_mut() else { return Ok(Vec::new()) };
        let bytes = kernel.ask(&netlink::request(request, ifindex, &machine.clock))?;
        self.decode(&bytes, machine)
    }

    fn has_block(&mut self, block: u32, machine: &Machine) -> Result<bool, Error> {
        let show = Subject::Show(Show::all(Listed::Qdiscs));
        let all = Request { verb: Verb::Show, target: None, chain: None, subject: show, places: Vec::new() };
        let qdiscs = self.dump(&all, 0, machine)?;
        Ok(qdiscs.iter().any(|r| r.object.blocks.ingress == block || r.object.blocks.egress == block))
    }

    fn print(&self, records: &[Record], dev_is_said: bool, machine: &Machine) {
        let items = records.iter().map(|record| {
            let block = match record.object.id {
                Id::Filter { parent, .. } if record.ifindex == netlink::BLOCK => Some(parent.0),
                _ => None,
            };
            let link = machine.links.iter().find(|link| link.index == record.ifindex);
            let dev = link.filter(|_| !dev_is_said).map(|link| link.name.as_str());
            Item { object: &record.object, dev, block, info: record.info, chain: record.chain }
        });
        if self.frame.is_json() {
            self.frame.json(&Value::Array(items.map(view::item_json).collect()));
        } else {
            self.frame.print(&items.map(|item| view::item_text(item, self.front.statistics)).collect::<String>());
        }
    }

    fn print_actions<'b>(&self, acts: impl Iterator<Item = &'b Act>) {
        if self.frame.is_json() {
            self.frame.json(&Value::Array(acts.map(view::act_json).collect()));
        } else {
            self.frame.print(&acts.map(|act| view::act_text(act, self.front.statistics)).collect::<String>());
        }
    }
}

/// A link's index by its name, or by `if7`.
fn index(machine: &Machine, name: &str) -> Option<u32> {
    machine.clock.links.index_of(name)
}

/// Whether a held object is one of those that are to be shown: what the kernel does not choose by itself.
fn fits(record: &Record, show: &Show, ifindex: u32) -> bool {
    let any_or = |wanted: Handle, held: Handle| wanted.0 == 0 || wanted == held;
    match record.object.id {
        Id::Qdisc { parent, handle } => {
            (ifindex == 0 || record.ifindex == ifindex) && any_or(show.parent, parent) && any_or(show.handle, handle)
        }
        Id::Class { handle, .. } => {
            any_or(show.handle, handle) && (show.qdisc.0 == 0 || show.qdisc.major() == handle.major())
        }
        Id::Filter { .. } => true,
    }
}

/// The kinds of actions that a kernel may lack that refused to make some.
fn lacking_actions(error: &Error, request: &Request) -> Vec<Lack> {
    let names: Vec<&str> = match &request.subject {
        Subject::Actions(actions) => actions.0.iter().map(|act| act.name.as_str()).collect(),
        Subject::Numbered(list) => list.iter().map(|act| act.name.as_str()).collect(),
        Subject::OfKind { name, .. } => vec![name.as_str()],
        _ => Vec::new(),
    };
    let about =
        ["Failed to load TC action module", "Specified TC action kind not found", "Cannot flush unknown TC action"];
    let lacking = error.text.as_deref().is_some_and(|text| about.contains(&text));
    if lacking { names.iter().map(|name| Lack::new(Role::Action, name)).collect() } else { Vec::new() }
}

/// The word that a refusal is about, where that can be told.
fn blamed(request: &Request, error: &Error, lacks: &[Lack]) -> Option<usize> {
    let value = |word: &str| request.place(word).map(|at| at + 1);
    if !lacks.is_empty() {
        return request.place("kind");
    }
    let text = error.text.as_deref().unwrap_or("").to_lowercase();
    let about = |word: &str| text.contains(word);
    match Errno::from_raw(error.errno) {
        Errno::EPERM | Errno::EACCES => Some(0),
        Errno::ENODEV => value("dev"),
        _ if about("parent") => request.place("parent"),
        _ if about("block") => value("block").or_else(|| request.place("ingress_block")),
        _ if about("chain") => request.place("chain"),
        _ if about("protocol") => request.place("protocol"),
        _ if about("prio") => request.place("prio"),
        Errno::EEXIST => Some(1),
        Errno::ENOENT => {
            request.place("handle").or_else(|| request.place("classid")).or_else(|| request.place("parent"))
        }
        Errno::EINVAL | Errno::ERANGE | Errno::EOPNOTSUPP => request.place("kind"),
        _ => None,
    }
}

/// A refusal of the kernel in words, with what can be done.
fn finding(request: &Request, error: &Error, lacks: &[Lack], facts: &Facts) -> Diagnostic {
    if let Some((message, help)) = refusal::lacking(lacks) {
        let known = lacks.first().is_none_or(|lack| crate::kind::find(lack.role, &lack.name).is_some());
        let near = || lacks.first().map(|lack| tc::near_kinds(&lack.name, lack.role)).unwrap_or_default();
        return Diagnostic::new(&codes::KERNEL_LACKS, message).help(if known { help } else { near() });
    }
    if in_use(request, error) {
        let d = Diagnostic::new(&codes::KERNEL_REFUSED, "the kernel refused it: a filter has some of these actions");
        return d.help("`filter show` tells which; such an action goes when its last filter goes");
    }
    let d = Diagnostic::new(refusal::code(error), format!("the kernel refused it: {error}"));
    match help(request, error, facts) {
        Some(help) => d.help(help),
        None => d,
    }
}

/// Whether actions do not go because filters have them, of which the kernel says what it says to those who may not.
fn in_use(request: &Request, error: &Error) -> bool {
    let goes = matches!(request.verb, Verb::Delete | Verb::Flush);
    let of_actions = matches!(request.subject, Subject::Numbered(_) | Subject::OfKind { .. });
    goes && of_actions && error.is(Errno::EPERM) && has_net_admin()
}

/// What helps where the kernel says in words what it minds.
const ADVICE: &[(&str, &str)] = &[
    ("handle of zero", "nothing but the link's default stands there, which cannot be deleted"),
    ("NLM_F_CREATE", "there is none to be changed: write `add` or `replace`"),
    ("Invalid handle", "another one stands there: `qdisc show` tells its handle"),
    ("Invalid qdisc name", "another one stands there: `qdisc show` tells its kind"),
    ("Change operation not supported", "it cannot be changed in place: delete it first, and add it again"),
    ("Cannot move an existing qdisc", "a qdisc with a handle stays where it is: delete it, and add it there"),
    ("Block of given index was not found", "a qdisc makes one: `qdisc add dev eth0 ingress_block 1 clsact`"),
    ("This filter block is shared", "write `block N` for `dev NAME` and the hook: `qdisc show` tells the number"),
    ("hw-tc-offload", "`ethtool -K NAME hw-tc-offload on` sets it, if the hardware can; or leave `offload` out"),
    ("Exclusivity flag on", "there is one already: write `replace`, or delete it first"),
];

fn help(request: &Request, error: &Error, facts: &Facts) -> Option<String> {
    if let Some(capability) = error.capability() {
        return Some(format!("{capability} is wanted: run it with sudo"));
    }
    let text = error.text.as_deref().unwrap_or("");
    let object = request.object();
    let errno = Errno::from_raw(error.errno);
    let what = match &request.subject {
        Subject::Qdisc(_) => "qdisc",
        Subject::Class(_) => "class",
        Subject::Filter(_) => "filter",
        Subject::Chain(_) => "chain",
        _ => "action",
    };
    if errno == Errno::EEXIST {
        return Some(match &request.subject {
            Subject::Chain(_) => "the chain is there already; delete it first".to_owned(),
            _ if request.verb == Verb::Replace => {
                format!("there is one already, which does not change in place: delete that {what} first")
            }
            _ => format!(
                "there is one already: write `replace` for `{}`, or delete that {what} first",
                request.verb.word()
            ),
        });
    }
    if let Some((_, help)) = ADVICE.iter().find(|(about, _)| text.contains(about)) {
        return Some((*help).to_owned());
    }
    if text.contains("Parent Qdisc doesn't exist") {
        return Some(no_parent(object));
    }
    // fw_walk, net/sched/cls_fw.c: it stops the whole dump
    if errno == Errno::EMSGSIZE && request.verb == Verb::Show {
        return Some(
            "no kernel lists past an `fw` that has neither number nor options: `shapectl show` lists them one by one, and \
             `filter del dev … prio N` deletes it"
                .to_owned(),
        );
    }
    if errno == Errno::EBUSY {
        return Some(
            "something still hangs on it: delete its filters, and the classes and qdiscs below, first".to_owned(),
        );
    }
    if errno == Errno::ENOENT {
        return Some(match (&request.subject, request.verb) {
            (Subject::Qdisc(_) | Subject::Class(_), Verb::Add | Verb::Replace) => no_parent(object),
            (Subject::Filter(_), Verb::Change) => "there is none to be changed: write `add` or `replace`".to_owned(),
            (Subject::Numbered(_), _) => "there is no such action: `actions show action KIND` lists them".to_owned(),
            _ => format!("there is none like this: `{what} show` lists what there is"),
        });
    }
    let found = odd(object, request, facts);
    let lines: Vec<String> = found
        .iter()
        .map(|f| match f.in_tc() {
            Some(help) => format!("{}: {help}", f.message),
            None => f.message.clone(),
        })
        .collect();
    if !lines.is_empty() {
        return Some(lines.join("; "));
    }
    let object = object.filter(|_| matches!(request.verb, Verb::Add | Verb::Replace))?;
    let said = |word: &str| object.options.row(word).and_then(|row| object.options.slot(row)).is_some_and(Slot::is_set);
    let nothing = !object.options.rows().iter().any(|row| said(row.word));
    let help = match (object.id, errno) {
        (Id::Filter { .. }, Errno::EOPNOTSUPP) if said("skip_sw") => {
            "the link's hardware takes no such filter: leave `skip_sw` out"
        }
        (Id::Filter { .. }, Errno::EINVAL) if nothing => {
            "write what becomes of the packets: `classid 1:1`, or `action` with `drop`"
        }
        (Id::Filter { parent: Handle::HOOK, .. }, Errno::EINVAL) => {
            "on a clsact write the side of the hook: `ingress` or `egress`"
        }
        (Id::Filter { .. }, Errno::EINVAL) if object.estimator.is_none() && polices_by_average(object) => {
            "an `avrate` is measured by an estimator: write `estimator 1s 8s` before the kind"
        }
        (Id::Qdisc { .. } | Id::Class { .. }, Errno::EINVAL) if object.id.parent() == Handle(0) => {
            "write where it hangs: `root` or `parent 1:1`"
        }
        (Id::Class { handle, .. }, Errno::EINVAL) if handle.0 == 0 => "write its number: `classid 1:10`",
        _ => return None,
    };
    Some(help.to_owned())
}

fn polices_by_average(object: &Object) -> bool {
    let average = |act: &Act| act.options.as_kind::<Police>().is_some_and(|police| police.avrate.is_some());
    kind::acts(object.options.as_ref()).any(average)
}

fn no_parent(object: Option<&Object>) -> String {
    match object.map(|object| object.id) {
        Some(Id::Filter { parent: Handle::HOOK_INGRESS | Handle::HOOK_EGRESS, .. }) => {
            "there is no hook to put it on: `qdisc add dev … clsact` makes one".to_owned()
        }
        Some(id) if !matches!(id.parent(), Handle(0) | Handle::ROOT) => {
            format!("there is no {} to put it on: make that first", id.parent())
        }
        _ => "there is nothing to put it on: make a qdisc with classes first, `qdisc add dev … root handle 1: htb`"
            .to_owned(),
    }
}

/// What is odd about the options that were sent.
fn odd(object: Option<&Object>, request: &Request, facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(object) = object {
        // of one that is only named nothing was said
        if object.kind.is_some() {
            object.options.check(facts, &mut found);
        }
    } else if let Subject::Actions(actions) = &request.subject {
        actions.check(facts, &mut found);
    }
    found.retain(|finding| finding.code.severity == codes::Severity::Error);
    found
}
