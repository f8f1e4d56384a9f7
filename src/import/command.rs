//! The commands of a script that make up a policy: tc's and, of ip's, those that set a link. The others are passed over.

use super::machine::{Machine, Refused};
use super::shell::{Collected, Command, Host, Unknown, Word};
use super::{Files, Imported, Settings, Text, names};
use crate::diagnostic::{Code, Diagnostic, Sink, codes};
use crate::facts::Facts;
use crate::kind::link::Device;
use crate::source::{FileId, Sources, Span, Spanned};
use crate::tc::{self, Request, Subject, Target, Verb};
use crate::tree::{Id, Origin};
use crate::unit::Unit;
use compact_str::CompactString;
use indexmap::IndexMap;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

/// Takes the commands and keeps book of what they make.
pub struct Reader<'a> {
    machine: Machine,
    settings: &'a Settings,
    sources: &'a mut Sources,
    files: Files<'a>,
    /// Files that a script has read: they are no scripts of their own.
    read: HashSet<FileId>,
    commands: usize,
    /// The namespace of the first tc command.
    netns: Option<Option<String>>,
    /// Names that classes have, by link.
    names: HashSet<(CompactString, CompactString)>,
    /// Comments that stand in the policy already.
    told: HashSet<Span>,
    /// What is passed over, with what there is to do about it: where it stands first, and how often.
    passed: IndexMap<(String, Option<&'static str>), (Span, usize)>,
}

/// What there is to do about commands that a policy cannot say, and that shaping depends on.
const MARKS: &str = "marks come from here: a policy that matches them needs it still";
const FIELDS: &str = "what packets say of themselves comes from here: a policy that matches it needs it still";
const REALMS: &str = "realms come from here: a policy that matches them needs it still";
const DEVICES: &str = "keep the command where it is run now: a policy makes no such device";
const NAMES: &str = "keep the command where it is run now: a policy is for the interface's new name";
const MOVES: &str = "keep the command where it is run now: a policy moves no link to another namespace";
const QUEUES: &str = "keep the command where it is run now: the devices that a policy makes have one queue";
const DEFAULTS: &str =
    "keep the command where it is run now: what stands where no discipline is written is chosen here";
const UP: &str = "keep the command where it is run now: a policy brings up only the devices that it makes";
const MTU: &str = "keep the command where it is run now: a policy sets no MTU";
const OFFLOADS: &str = "keep the command where it is run now: of offloads depends how large the packets are that a discipline \
                        sees (`shapectl doctor NAME` tells)";

/// One command of tc's.
struct Line {
    words: Vec<Word>,
    span: Span,
    comments: Vec<Spanned<String>>,
    quiet: bool,
    unset: Vec<(Rc<Unknown>, Span)>,
}

/// Programs that only run another.
const PREFIXES: &[&str] =
    &["sudo", "doas", "env", "nice", "ionice", "nohup", "command", "exec", "busybox", "time", "eval"];

/// Programs that a script of this kind may use, and a policy has nothing to do with.
const PASSED: &[&str] = &[
    "modprobe",
    "insmod",
    "rmmod",
    "ethtool",
    "iptables",
    "ip6tables",
    "iptables-restore",
    "ip6tables-restore",
    "nft",
    "ipset",
    "ebtables",
    "arptables",
    "sysctl",
    "brctl",
    "bridge",
    "route",
    "arp",
    "iwconfig",
    "iw",
    "vconfig",
    "chmod",
    "mkdir",
    "kill",
    "killall",
    "pkill",
    "conntrack",
    "ipchains",
    "pppd",
    "systemctl",
    "service",
    "tcpdump",
    "iperf",
    "iperf3",
    "netperf",
    "ss",
    "netstat",
    "ps",
    "mount",
    "umount",
    "ln",
    "cp",
    "mv",
    "ulogd",
    "start-stop-daemon",
    "log_daemon_msg",
    "log_end_msg",
    "echo",
    "printf",
    "ping6",
    "ifup",
    "ifdown",
    "rmdir",
    "chown",
    "renice",
    "taskset",
];

impl<'a> Reader<'a> {
    pub fn new(settings: &'a Settings, facts: Facts, sources: &'a mut Sources, files: Files<'a>) -> Reader<'a> {
        Reader {
            machine: Machine::new(facts),
            settings,
            sources,
            files,
            read: HashSet::new(),
            commands: 0,
            netns: None,
            names: HashSet::new(),
            told: HashSet::new(),
            passed: IndexMap::new(),
        }
    }

    /// Whether a script has read this file.
    pub fn was_read(&self, file: FileId) -> bool {
        self.read.contains(&file)
    }

    /// A file's name and text.
    pub fn source(&self, file: FileId) -> Option<(String, Arc<str>)> {
        self.sources.get(file).map(|s| (s.name.clone(), Arc::clone(&s.text)))
    }

    /// What all commands came to.
    pub fn finish(self, sink: &mut Sink) -> Imported {
        for ((program, help), (span, count)) in self.passed {
            let more = match count {
                1 => String::new(),
                n => format!(", here and in {} more place{}", n - 1, if n == 2 { "" } else { "s" }),
            };
            sink.push(match help {
                None => {
                    Diagnostic::new(&codes::IMPORT_PASSED, format!("`{program}` is passed over{more}")).at(span, "")
                }
                Some(help) => {
                    let message = format!("`{program}` is left to the script{more}");
                    Diagnostic::new(&codes::IMPORT_NEEDED, message).at(span, "").help(help)
                }
            });
        }
        Imported { tree: self.machine.tree(), commands: self.commands, netns: self.netns.flatten() }
    }

    /// Notes a command that no policy says: without `help`, because it is no affair of one.
    fn pass(&mut self, program: &str, help: Option<&'static str>, span: Span) {
        let (_, count) = self.passed.entry((program.to_owned(), help)).or_insert((span, 0));
        *count += 1;
    }

    /// A file's text with its places.
    fn text(&mut self, name: &str, sink: &mut Sink) -> Option<Text> {
        let id = (self.files)(name, self.sources, sink)?;
        self.read.insert(id);
        let (_, text) = self.source(id)?;
        Some(Text::new(&*text, Span::new(id, 0, text.len())))
    }

    /// All lines of a batch; what the last of them came to.
    pub fn batch(&mut self, text: &Text, quiet: bool, sink: &mut Sink) -> Option<i32> {
        let lines = match tc::lines(&text.text) {
            Ok(lines) => lines,
            Err(place) => {
                let span = text.slice(place.start, place.end).span();
                sink.push(
                    Diagnostic::new(&codes::IMPORT_SKIPPED, "this quote has no end: the batch is left out")
                        .at(span, ""),
                );
                return Some(1);
            }
        };
        let mut status = Some(0);
        for line in lines {
            let word = |(word, place): (String, &std::ops::Range<usize>)| {
                let mut at = Text::default();
                at.push(&word, text.slice(place.start, place.end).span());
                Word { text: at, unknown: None, set: Span::NONE }
            };
            let (start, end) = (line.places.first().map_or(0, |p| p.start), line.places.last().map_or(0, |p| p.end));
            let comments = comments_around(text, start, end);
            let words: Vec<Word> = line.words.into_iter().zip(&line.places).map(word).collect();
            let span = words.iter().map(|w| w.text.span()).fold(Span::NONE, Span::to);
            status = self.line(Line { words, span, comments, quiet, unset: Vec::new() }, sink);
        }
        status
    }

    fn skip(&self, message: String, span: Span, help: Option<String>, sink: &mut Sink) -> Option<i32> {
        let d = Diagnostic::new(&codes::IMPORT_SKIPPED, message).at(span, "");
        sink.push(match help {
            Some(help) => d.help(help),
            None => d,
        });
        None
    }

    /// Whether a command is for the namespace that the policy is made for: that of the first.
    fn here(&mut self, netns: Option<String>, span: Span, sink: &mut Sink) -> bool {
        let first = self.netns.get_or_insert_with(|| netns.clone());
        if *first == netns {
            return true;
        }
        let name =
            |n: &Option<String>| n.as_ref().map_or_else(|| "no namespace".to_owned(), |n| format!("namespace `{n}`"));
        let message = format!(
            "a policy is for one namespace: this is for {}, and those before for {}",
            name(&netns),
            name(first)
        );
        self.skip(message, span, None, sink);
        false
    }

    /// `tc …`, the words from `tc` on.
    fn tc(&mut self, words: &[Word], netns: Option<String>, command: &Command, sink: &mut Sink) -> Option<i32> {
        let arguments = words.get(1..).unwrap_or(&[]);
        let texts: Vec<String> = arguments.iter().map(|w| w.text.text.clone()).collect();
        let front = match tc::front(&texts) {
            Ok(front) => front,
            Err(_) if texts.iter().any(|t| matches!(t.as_str(), "-V" | "-Version" | "-h" | "-help")) => return Some(0),
            Err(wrong) => {
                let span = arguments.get(wrong.word).map_or(command.span, |w| w.text.span());
                self.skip(wrong.refusal.message, span, wrong.refusal.help, sink);
                return Some(1);
            }
        };
        let netns = front.netns.or(netns);
        if let Some(file) = front.batch {
            if !self.here(netns, command.span, sink) {
                return None;
            }
            let at = arguments.iter().find(|w| w.text.text == file).map_or(command.span, |w| w.text.span());
            let unknown = arguments.iter().find_map(|w| w.unknown.clone());
            let text = match (&command.input, unknown) {
                (_, Some(why)) => Err(Some(why)),
                (Some(Collected { unknown: Some(why), .. }), _) => Err(Some(Rc::clone(why))),
                (Some(Collected { text, .. }), _) => Ok(text.clone()),
                (None, None) if file == "-" => Err(None),
                (None, None) => self.text(&file, sink).ok_or(None),
            };
            return match text {
                Ok(text) => self.batch(&text, command.quiet, sink),
                Err(why) => {
                    let help = match &why {
                        Some(why) => why.help(),
                        None => Some("name the file on the command line, or put it beside the script".to_owned()),
                    };
                    self.skip(format!("the commands in `{file}` are not known"), at, help, sink)
                }
            };
        }
        let words = arguments.get(front.words..).unwrap_or(&[]).to_vec();
        if is_show(&words) {
            return Some(0);
        }
        if !self.here(netns, command.span, sink) {
            return None;
        }
        self.line(
            Line {
                words,
                span: command.span,
                comments: command.comments.clone(),
                quiet: command.quiet,
                unset: command.unset.clone(),
            },
            sink,
        )
    }

    /// One command of tc's, from its object on.
    fn line(&mut self, line: Line, sink: &mut Sink) -> Option<i32> {
        if is_show(&line.words) {
            return Some(0);
        }
        if let Some((word, why)) = line.words.iter().find_map(|w| Some((w, w.unknown.as_ref()?))) {
            return self.skip(
                format!("`{}` is not known: the command is left out", why.shown()),
                word.text.span(),
                why.help(),
                sink,
            );
        }
        let nowhere = |why: &Unknown| format!("`{}` is set nowhere", why.shown());
        // what stands for a link cannot be left out
        let lost = line.unset.iter().find(|(_, span)| {
            let before = line.words.iter().rfind(|w| w.text.span().end <= span.start);
            let empty = line.words.iter().any(|w| w.text.text.is_empty() && w.text.span() == *span);
            empty || before.is_some_and(|w| matches!(w.text.text.as_str(), "dev" | "parent" | "classid" | "handle"))
        });
        if let Some((why, span)) = lost {
            return self.skip(format!("{}: the command is left out", nowhere(why)), *span, why.help(), sink);
        }
        for (why, span) in &line.unset {
            let message = format!("{}, and taken as nothing", nowhere(why));
            sink.push(with_help(Diagnostic::new(&codes::IMPORT_ASSUMED, message).at(*span, ""), why.help()));
        }
        let mut texts: Vec<String> = line.words.iter().map(|w| w.text.text.clone()).collect();
        for at in 1..texts.len() {
            let is_device = texts.get(at - 1).is_some_and(|w| w == "dev");
            if let Some(text) = texts.get_mut(at).filter(|_| is_device) {
                *text = self.renamed(text);
            }
        }
        let requests = match tc::read(&texts, &|_| None) {
            Ok(requests) => requests,
            Err(wrong) => {
                let word = line.words.get(wrong.word);
                let mut d = Diagnostic::new(&codes::IMPORT_SKIPPED, wrong.refusal.message);
                d = match word {
                    Some(word) => d.at(word.text.span(), "").at(word.set, "set here"),
                    None => d.at(line.span, ""),
                };
                sink.push(with_help(d, wrong.refusal.help));
                return Some(1);
            }
        };
        let mut status = Some(0);
        for request in requests {
            self.commands += 1;
            let origin = self.origin(&request, &line);
            match self.machine.take(&request, &origin) {
                Ok(remarks) => {
                    for remark in remarks {
                        sink.push(Diagnostic::new(&codes::IMPORT_OTHERWISE, remark).at(line.span, ""));
                    }
                }
                Err(Refused(why)) => {
                    status = Some(2);
                    if line.quiet {
                        continue;
                    }
                    let (code, message): (&'static Code, _) = match request.verb {
                        Verb::Delete => (&codes::IMPORT_PASSED, format!("there is nothing to take away: {why}")),
                        _ => (&codes::IMPORT_REFUSED, format!("the kernel would refuse this: {why}")),
                    };
                    sink.push(Diagnostic::new(code, message).at(line.span, ""));
                }
            }
        }
        status
    }

    fn renamed(&self, device: &str) -> String {
        let found = self.settings.devices.iter().find(|(from, _)| from == device);
        found.map_or(device, |(_, to)| to).to_owned()
    }

    /// Where an object comes from: its place, its name and the words about it.
    fn origin(&mut self, request: &Request, line: &Line) -> Origin {
        let mut origin = Origin { span: Some(line.span).filter(|s| !s.is_none()), ..Origin::default() };
        if !matches!(request.verb, Verb::Add | Verb::Replace) {
            return origin;
        }
        let prose = names::prose(&line.comments);
        if let (Subject::Class(object), Some(Target::Dev(dev)), Some(name)) =
            (&request.subject, &request.target, names::name(&prose))
        {
            let Id::Class { handle, .. } = object.id else { return origin };
            let numbered = CompactString::from(format!("{name}-{:x}", handle.minor()));
            origin.name = match self.names.insert((dev.clone(), name.clone())) {
                true => name,
                false => numbered,
            };
        }
        // a loop repeats its comments
        let place = line.comments.first().map_or(Span::NONE, |c| c.span);
        let names_all =
            prose.len() == 1 && !origin.name.is_empty() && prose.first().is_some_and(|p| p.as_str() == origin.name);
        if !prose.is_empty() && !names_all && (place.is_none() || self.told.insert(place)) {
            origin.remark = Some(prose.join("\n"));
        }
        origin
    }

    /// `ip …`, the words from `ip` on.
    fn ip(&mut self, words: &[Word], netns: Option<String>, command: &Command, sink: &mut Sink) -> Option<i32> {
        let texts: Vec<String> = words.iter().map(|w| w.text.text.clone()).collect();
        let (mut at, mut netns) = (1, netns);
        while let Some(option) = texts.get(at).filter(|t| t.starts_with('-')) {
            at += 1;
            if option.len() > 1 && "-batch".starts_with(option.as_str()) {
                self.skip("the commands of a batch of ip's are not read".to_owned(), command.span, None, sink);
            }
            if matches!(option.as_str(), "-n" | "-netns" | "-f" | "-family" | "-rc" | "-rcvbuf" | "-batch" | "-b") {
                if option.starts_with("-n") {
                    netns = texts.get(at).cloned();
                }
                at += 1;
            }
        }
        let rest: Vec<&str> = texts.get(at..).unwrap_or(&[]).iter().map(String::as_str).collect();
        if let ["netns", "exec", name, inner @ ..] = rest.as_slice() {
            let from = words.len() - inner.len();
            return self.program(words.get(from..).unwrap_or(&[]), Some((*name).to_owned()), command, sink);
        }
        let Some((object, rest)) = rest.split_first() else { return Some(0) };
        if !"link".starts_with(object) {
            let is_show = rest.first().is_none_or(|v| ["show", "list", "get", "lst"].iter().any(|s| s.starts_with(v)));
            if is_show {
                return None;
            }
            let makes = matches!(*object, "tunnel" | "tuntap") && rest.first().is_some_and(|v| "add".starts_with(v));
            let help = match () {
                () if makes => Some(DEVICES),
                () if rest.iter().any(|w| matches!(*w, "realm" | "realms")) => Some(REALMS),
                () => None,
            };
            self.pass(&format!("ip {object}"), help, command.span);
            return Some(0);
        }
        let Some((verb, rest)) = rest.split_first() else { return Some(0) };
        let rest: Vec<String> = rest.iter().map(|w| self.renamed(w)).collect();
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        if let Some(word) = words.iter().find(|w| w.unknown.is_some()) {
            let why = word.unknown.as_ref();
            let message =
                format!("`{}` is not known: the command is left out", why.map(|u| u.shown()).unwrap_or_default());
            return self.skip(message, word.text.span(), why.and_then(|u| u.help()), sink);
        }
        if !["show", "list", "lst"].iter().any(|s| s.starts_with(verb) && verb.len() > 1)
            && !self.here(netns, command.span, sink)
        {
            return None;
        }
        let verb = ["add", "set", "change", "replace", "delete", "show", "list", "lst"]
            .into_iter()
            .find(|full| full.starts_with(verb));
        match verb {
            Some("add" | "replace") => self.add_link(&rest, command, sink),
            Some("set" | "change") => self.set_link(&rest, command, sink),
            Some("delete") => {
                let name = rest.iter().find(|w| !matches!(**w, "dev" | "name")).copied().unwrap_or("");
                let there = self.machine.made(name);
                if there {
                    self.machine.remove_link(name);
                }
                Some(i32::from(!there))
            }
            Some(_) => {
                let name = rest.iter().find(|w| !matches!(**w, "dev" | "up" | "type")).copied().unwrap_or("");
                let ours = ["ifb", "imq", "dummy", "veth"].iter().any(|kind| name.starts_with(kind));
                // a device that scripts make is there if it was made; a card is there
                Some(i32::from(ours && !self.machine.made(name)))
            }
            None => Some(0),
        }
    }

    fn add_link(&mut self, words: &[&str], command: &Command, sink: &mut Sink) -> Option<i32> {
        let (mut name, mut kind, mut settings) = (None, None, Vec::new());
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            match *word {
                "name" | "dev" => name = rest.next(),
                "type" => {
                    kind = rest.next();
                    break;
                }
                "link" | "netns" => {
                    rest.next();
                }
                "txqueuelen" | "txqlen" | "mtu" | "address" | "numtxqueues" | "numrxqueues" | "index" => {
                    settings.extend([*word].into_iter().chain(rest.next().copied()));
                }
                _ if name.is_none() => name = Some(word),
                _ => {}
            }
        }
        let kind = kind.copied().unwrap_or("");
        let (Some(name), true) = (name, !kind.is_empty()) else {
            self.skip("this makes no link".to_owned(), command.span, None, sink);
            return Some(1);
        };
        let origin = Origin { span: Some(command.span), ..Origin::default() };
        match self.machine.add_link(name, kind, &origin) {
            // that the policy makes itself
            Ok(_) if Device::read(kind, &mut crate::unit::Reader::default()).is_ok() => {
                let words: Vec<&str> = [*name].into_iter().chain(settings).collect();
                self.set_link(&words, command, sink)
            }
            Ok(_) => {
                let message = format!("a policy makes no `{name}`: it must be there before the policy is applied");
                let d = Diagnostic::new(&codes::IMPORT_NEEDED, message).at(command.span, "");
                sink.push(d.help(format!("keep the command where it is run now: a policy makes no {kind}")));
                Some(0)
            }
            Err(Refused(why)) => {
                if !command.quiet {
                    let message = format!("the kernel would refuse this: {why}");
                    sink.push(Diagnostic::new(&codes::IMPORT_REFUSED, message).at(command.span, ""));
                }
                Some(2)
            }
        }
    }

    fn set_link(&mut self, words: &[&str], command: &Command, sink: &mut Sink) -> Option<i32> {
        let words = words.strip_prefix(&["dev"]).unwrap_or(words);
        let Some((name, rest)) = words.split_first() else { return Some(1) };
        let mut name = (*name).to_owned();
        let origin = Origin { span: Some(command.span), ..Origin::default() };
        let (mut rest, mut other) = (rest.iter(), false);
        while let Some(word) = rest.next() {
            match *word {
                "dev" => name = rest.next().map_or(name, |n| (*n).to_owned()),
                // a device that the policy makes it brings up too
                "up" if self.machine.made(&name) => self.machine.set_up(&name, true),
                "down" if self.machine.made(&name) => self.machine.set_up(&name, false),
                "up" | "down" => self.pass(&format!("ip link set {word}"), Some(UP), command.span),
                "txqueuelen" | "txqlen" | "qlen" | "mtu" => {
                    let Some(number) = rest.next().and_then(|n| n.parse::<u32>().ok()) else {
                        self.skip(format!("`{word}` wants a number"), command.span, None, sink);
                        return Some(1);
                    };
                    match *word {
                        "mtu" => {
                            self.machine.set_mtu(&name, number);
                            self.pass("ip link set mtu", Some(MTU), command.span);
                        }
                        _ => self.machine.set_txqueuelen(&name, number, &origin),
                    }
                }
                "name" => {
                    if let Some(new) = rest.next() {
                        if !self.machine.made(&name) {
                            self.pass("ip link set name", Some(NAMES), command.span);
                        }
                        self.machine.rename(&name, new);
                        name = (*new).to_owned();
                    }
                }
                "netns" => {
                    rest.next();
                    self.pass("ip link set netns", Some(MOVES), command.span);
                }
                "numtxqueues" | "numrxqueues" => {
                    rest.next();
                    self.pass(&format!("ip link add {word}"), Some(QUEUES), command.span);
                }
                _ if word.starts_with("gso_") || word.starts_with("gro_") => {
                    rest.next();
                    self.pass(&format!("ip link set {word}"), Some(OFFLOADS), command.span);
                }
                _ => other = true,
            }
        }
        if other {
            self.pass("ip link set", None, command.span);
        }
        Some(0)
    }

    /// `ifconfig NAME …`.
    fn ifconfig(&mut self, words: &[Word], command: &Command, sink: &mut Sink) -> Option<i32> {
        let texts: Vec<&str> = words.iter().skip(1).map(|w| w.text.text.as_str()).collect();
        if words.iter().any(|w| w.unknown.is_some()) || texts.len() < 2 {
            return None;
        }
        let known = texts.iter().position(|w| matches!(*w, "up" | "down" | "txqueuelen" | "mtu"));
        match (texts.first(), known) {
            (Some(name), Some(at)) => {
                let words: Vec<String> = std::iter::once(*name)
                    .chain(texts.get(at..).unwrap_or(&[]).iter().copied())
                    .map(|w| self.renamed(w))
                    .collect();
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                self.set_link(&words, command, sink)
            }
            _ => {
                self.pass("ifconfig", None, command.span);
                Some(0)
            }
        }
    }

    /// A program and its words, whatever stands before them.
    fn program(&mut self, words: &[Word], netns: Option<String>, command: &Command, sink: &mut Sink) -> Option<i32> {
        let mut words = words;
        loop {
            let Some(first) = words.first() else { return Some(0) };
            if let Some(why) = &first.unknown {
                return self.skip(
                    format!("`{}` is not known: the command is left out", why.shown()),
                    first.text.span(),
                    why.help(),
                    sink,
                );
            }
            let base = first.text.text.rsplit('/').next().unwrap_or("");
            if !PREFIXES.contains(&base) {
                break;
            }
            let mut skip = 1;
            while let Some(word) = words.get(skip).map(|w| w.text.text.as_str()) {
                let takes = matches!((base, word), ("sudo" | "doas", "-u" | "-g") | ("nice" | "ionice", "-n" | "-c"));
                if !(word.starts_with('-') || base == "env" && word.contains('=')) {
                    break;
                }
                skip += 1 + usize::from(takes);
            }
            words = words.get(skip..).unwrap_or(&[]);
        }
        let Some(first) = words.first() else { return Some(0) };
        let base = first.text.text.rsplit('/').next().unwrap_or("").to_owned();
        match base.as_str() {
            "tc" => self.tc(words, netns, command, sink),
            "ip" => self.ip(words, netns, command, sink),
            "ifconfig" => self.ifconfig(words, command, sink),
            "" => Some(0),
            _ => {
                let texts: Vec<&str> = words.iter().map(|w| w.text.text.as_str()).collect();
                if matches!(base.as_str(), "modprobe" | "insmod") && texts.iter().any(|t| is_ifb(t)) {
                    self.ifbs(&texts, command);
                    return Some(0);
                }
                if !PASSED.contains(&base.as_str()) {
                    let message = format!("`{base}` is not known here: what it does is left out");
                    self.skip(message, command.span, None, sink);
                    return None;
                }
                self.pass(&base, what_depends_on(&base, &texts), command.span);
                Some(0)
            }
        }
    }

    /// `modprobe ifb numifbs=N` makes devices, two unless it says otherwise.
    fn ifbs(&mut self, words: &[&str], command: &Command) {
        let count = words.iter().find_map(|w| w.strip_prefix("numifbs=")?.parse::<u32>().ok()).unwrap_or(2);
        let origin = Origin { span: Some(command.span), ..Origin::default() };
        for number in 0..count.min(256) {
            let _ = self.machine.add_link(&format!("ifb{number}"), "ifb", &origin);
        }
    }
}

impl Host for Reader<'_> {
    fn command(&mut self, command: &Command, sink: &mut Sink) -> Option<i32> {
        self.program(&command.words, None, command, sink)
    }

    fn file(&mut self, name: &str, sink: &mut Sink) -> Option<(FileId, String)> {
        let id = (self.files)(name, self.sources, sink)?;
        self.read.insert(id);
        self.source(id).map(|(_, text)| (id, text.to_string()))
    }

    fn wants(&self, program: &str) -> bool {
        let base = program.rsplit('/').next().unwrap_or(program);
        matches!(base, "tc" | "ip" | "ifconfig") || PREFIXES.contains(&base)
    }
}

/// What of the shaping depends on a program that a policy has nothing to do with, by its words.
fn what_depends_on(program: &str, words: &[&str]) -> Option<&'static str> {
    // nft takes a rule as one word as well
    let words: Vec<&str> = words.iter().flat_map(|word| word.split([' ', '=', '/', '.'])).collect();
    let any = |of: &[&str]| words.iter().any(|word| of.contains(word));
    let sets = |what: &str| words.windows(2).any(|two| two == [what, "set"]);
    match program {
        "ethtool" => Some(OFFLOADS),
        "vconfig" | "brctl" if any(&["add", "addbr"]) => Some(DEVICES),
        "sysctl" if any(&["default_qdisc"]) => Some(DEFAULTS),
        _ if any(&["MARK", "CONNMARK", "CLASSIFY", "--set-mark", "--set-xmark"])
            || sets("mark")
            || sets("priority") =>
        {
            Some(MARKS)
        }
        _ if any(&["DSCP", "TOS", "--set-tos", "--set-dscp", "--set-dscp-class"]) || sets("dscp") => Some(FIELDS),
        _ => None,
    }
}

/// Whether a word of `modprobe` or `insmod` is the module of ifb.
fn is_ifb(word: &str) -> bool {
    word.rsplit('/').next().and_then(|file| file.split('.').next()) == Some("ifb")
}

fn with_help(d: Diagnostic, help: Option<String>) -> Diagnostic {
    match help {
        Some(help) => d.help(help),
        None => d,
    }
}

/// Whether nothing is changed by it.
fn is_show(words: &[Word]) -> bool {
    let object = words.first().map(|w| w.text.text.as_str());
    let verb = words.get(1).map_or("show", |w| w.text.text.as_str());
    let shows = ["show", "list", "lst", "get"].iter().any(|full| full.starts_with(verb) && !verb.is_empty());
    let known =
        |o: &str| ["qdisc", "class", "filter", "chain", "actions", "monitor"].iter().any(|full| full.starts_with(o));
    object.is_none_or(|object| known(object) && shows || object.starts_with("mon"))
}

/// The comment lines right above a command of a batch, and the one behind it.
fn comments_around(text: &Text, start: usize, end: usize) -> Vec<Spanned<String>> {
    let whole = text.text.as_str();
    let mut comments = Vec::new();
    let mut line = whole.get(..start).and_then(|t| t.rfind('\n')).map_or(0, |n| n + 1);
    while line > 0 {
        let above = whole.get(..line - 1).and_then(|t| t.rfind('\n')).map_or(0, |n| n + 1);
        let shown = whole.get(above..line - 1).unwrap_or("").trim();
        if !shown.starts_with('#') || comments.len() >= 20 {
            break;
        }
        comments.push(Spanned::new(shown.to_owned(), text.slice(above, line - 1).span()));
        line = above;
    }
    comments.reverse();
    let rest = whole.get(end..).and_then(|t| t.split('\n').next()).unwrap_or("");
    if let Some(at) = rest.find('#') {
        let span = text.slice(end + at, end + rest.len()).span();
        comments.push(Spanned::new(rest.get(at..).unwrap_or("").trim().to_owned(), span));
    }
    comments
}
