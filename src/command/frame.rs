//! What all commands share: where output goes, the policy that is meant, and the facts of the machine.

use super::Exit;
use super::refusal::refusal;
use crate::cli::{Color, DEFAULT_POLICY, Format, Global};
use crate::diagnostic::{self, Diagnostic, Sink, codes};
use crate::doctor::{self, Answer, Feature, Need, Thing};
use crate::facts::Facts;
use crate::kernel::{self, Kernel, Lock};
use crate::kind::Role;
use crate::lower::{self, Ids};
use crate::netlink::LinkInfo;
use crate::policy::{
    self,
    model::{Interface, Policy},
};
use crate::source::{Sources, Span, Spanned};
use crate::state::State;
use crate::state::history::{self, History, Outcome};
use crate::syntax::Limits;
use crate::syntax::names::nearest;
use crate::tree::{Id, Names, Tree};
use crate::view::Paint;
use compact_str::CompactString;
use serde::Serialize;
use serde_json::Value;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

/// Seconds after its end that an unconfirmed change may still be on its way back.
const GRACE: u64 = 10;

/// One run: the options that all commands take, the texts read, and what was found.
pub(super) struct Frame {
    pub global: Global,
    pub sources: Sources,
    pub found: Sink,
    /// Whether it is for cron: nothing is said that nobody needs to do anything about.
    pub quiet: bool,
    links: OnceCell<Vec<LinkInfo>>,
}

impl Frame {
    pub fn new(global: Global) -> Frame {
        Frame { global, sources: Sources::new(), found: Sink::new(), quiet: false, links: OnceCell::new() }
    }

    /// Whether machines read the output.
    pub fn is_json(&self) -> bool {
        self.global.format == Format::Json
    }

    fn colors(&self, terminal: bool) -> Paint {
        let quiet = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let on = match self.global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !quiet,
        };
        Paint { on }
    }

    /// The colours of standard output.
    pub fn paint(&self) -> Paint {
        self.colors(std::io::stdout().is_terminal())
    }

    /// Prints a result. A reader that has gone away (`| head`) ends the program quietly.
    pub fn print(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            std::process::exit(0);
        }
    }

    /// Prints JSON.
    pub fn json(&self, value: &impl Serialize) {
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let written = serde_json::to_writer_pretty(&mut out, value).map_err(std::io::Error::other);
        if written.and_then(|()| writeln!(out)).and_then(|()| out.flush()).is_err() {
            std::process::exit(0);
        }
    }

    /// Says something beside the result.
    pub fn say(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{}", diagnostic::visible(text));
    }

    /// Says what went wrong where there is no place in a file to point at.
    pub fn complain(&self, text: &str) {
        let paint = self.colors(std::io::stderr().is_terminal());
        let _ = writeln!(std::io::stderr().lock(), "{} {}", paint.removed("error:"), diagnostic::visible(text));
    }

    /// Prints what was found so far: for people on standard error, for machines as the member `diagnostics`.
    pub fn report(&mut self) -> Vec<Value> {
        let found = std::mem::take(&mut self.found).sorted();
        if self.is_json() {
            return found.iter().map(|d| diagnostic::json(d, &self.sources)).collect();
        }
        let terminal = std::io::stderr().is_terminal();
        let width = if terminal { usize::from(terminal_width()) } else { 100 };
        let text = diagnostic::render(&found, &self.sources, self.colors(terminal).on, width);
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
        Vec::new()
    }

    /// Reports, and ends a command that cannot go on.
    pub fn refuse(&mut self, exit: Exit) -> Exit {
        let diagnostics = self.report();
        if self.is_json() {
            self.json(&serde_json::json!({ "ok": false, "diagnostics": diagnostics }));
        }
        exit
    }

    /// Ends a command that the kernel stops.
    pub fn fail(&mut self, error: &kernel::Error) -> Exit {
        self.found.push(refusal(error));
        self.refuse(Exit::Kernel)
    }

    /// Takes the lock of the namespace, which the kernel must be open in; whoever has it is named. `Ok(None)` if it is
    /// held by somebody who has no business with it, and is passed over.
    pub fn lock(&mut self, patience: u64) -> Result<Option<Lock>, Exit> {
        match Lock::take(Duration::from_secs(patience)) {
            Ok(Ok(lock)) => Ok(Some(lock)),
            Ok(Err(holder)) => {
                let who = match (holder.pid, holder.command) {
                    (Some(pid), Some(command)) => format!("process {pid}, `{command}`"),
                    (Some(pid), None) => format!("process {pid}"),
                    (None, _) => "a process that cannot be seen from here".to_owned(),
                };
                if holder.strange {
                    self.say(&format!("warning: {who} holds the lock and may not; it is passed over"));
                    return Ok(None);
                }
                let d = Diagnostic::new(&codes::LOCKED, format!("another change is under way here: {who}"));
                self.found.push(d.help("wait for it longer with `--wait 60`"));
                Err(self.refuse(Exit::Kernel))
            }
            Err(e) => Err(self.fail(&e)),
        }
    }

    /// Gives up what the rest of a change does not need: from here on it is the network's and its own files.
    ///
    /// # Errors
    /// It cannot be given up; nothing is done then.
    pub fn shed(&mut self) -> Result<(), Exit> {
        let owner = std::fs::metadata(&self.global.state_dir).map(|meta| meta.uid());
        let files_of_others = owner.is_ok_and(|owner| owner != nix::unistd::geteuid().as_raw());
        kernel::keep_net_admin(files_of_others).map_err(|e| self.fail(&e))
    }

    /// The history of the namespace.
    pub fn history(&self) -> History {
        History::of(&self.global.state_dir, self.global.netns.as_deref())
    }

    /// Refuses while a change waits for confirmation.
    pub fn nothing_waits(&mut self) -> Result<(), Exit> {
        let (entry, found) = self.history().youngest();
        self.found.found.extend(found);
        if self.found.has_errors() {
            return Err(self.refuse(Exit::Kernel));
        }
        let Some(entry) = entry.filter(|e| e.outcome == Outcome::Waiting) else { return Ok(()) };
        let late = entry.deadline.is_some_and(|end| end + GRACE < history::now());
        let message = match (late, entry.deadline) {
            (false, Some(end)) => format!(
                "change {} waits for confirmation, and reverts in {} s without",
                entry.number,
                end.saturating_sub(history::now())
            ),
            _ => format!("change {} was never confirmed, and whoever was to revert it is gone", entry.number),
        };
        let d = Diagnostic::new(&codes::UNCONFIRMED, message);
        self.found.push(d.help("keep it with `shapectl confirm`, or go back with `shapectl rollback`"));
        Err(self.refuse(Exit::Kernel))
    }

    /// Whether what was found stops the command.
    pub fn stops(&self, deny_warnings: bool) -> bool {
        self.found.found.iter().any(|d| d.is_error() || (deny_warnings && d.severity() == codes::Severity::Warning))
    }

    /// The bounds on what is read.
    pub fn limits(&self) -> Limits {
        Limits { file_bytes: self.global.max_file_size.saturating_mul(1 << 20), ..Limits::default() }
    }

    /// What is remembered of this network namespace. What cannot be trusted of it is reported and put aside.
    pub fn state(&mut self) -> State {
        let (state, found) = State::load(&self.global.state_dir, self.global.netns.as_deref());
        self.found.found.extend(found);
        state
    }

    /// The policy that is meant: the one named, else the one last applied here, else the system's; which one is said.
    pub fn which(&self, file: Option<&str>, state: &State) -> String {
        if let Some(file) = file {
            return file.to_owned();
        }
        let chosen = state.policy.clone().unwrap_or_else(|| DEFAULT_POLICY.to_owned());
        let why = if state.policy.is_some() { "last applied here" } else { "the system's" };
        if !self.quiet {
            self.say(&format!("policy: {chosen} ({why})"));
        }
        chosen
    }

    /// Reads and checks a policy; what is wrong is found in [`Frame::found`].
    pub fn policy(&mut self, file: &str, facts: &dyn Fn(&str) -> Facts) -> Policy {
        let Some(documents) = self.documents(file) else { return Policy::default() };
        let policy = self.policy_of(&documents, facts);
        leave(documents);
        policy
    }

    /// The texts of a policy; `None` if there are none, which is found.
    pub fn documents(&mut self, file: &str) -> Option<policy::load::Documents> {
        let limits = self.limits();
        self.found.accept_nothing();
        policy::load::load(file, &limits, &mut self.sources, &mut self.found)
    }

    /// What these texts say, checked.
    pub fn policy_of(&mut self, documents: &policy::load::Documents, facts: &dyn Fn(&str) -> Facts) -> Policy {
        let policy = policy::read::read(documents, facts, &mut self.found);
        policy::check::check(&policy, facts, &mut self.found);
        policy
    }

    /// A policy as a tree. With errors in the policy the tree is empty: what is asked is not known then.
    pub fn lower(&mut self, policy: &Policy, facts: &dyn Fn(&str) -> Facts, ids: &Ids) -> (Tree, Ids) {
        if self.found.has_errors() {
            return (Tree::default(), ids.clone());
        }
        lower::lower(policy, facts, ids, &mut self.found)
    }

    /// As [`Frame::lower`], before it is known what the kernel holds. What was found is kept with it.
    pub fn lower_ahead(&mut self, machine: &Machine, policy: &Policy, ids: &Ids) -> Ahead {
        let before = self.found.found.len();
        let lowered = self.lower(policy, &|name| machine.facts(name), ids);
        Ahead { lowered, found: self.found.found.split_off(before) }
    }

    /// As [`Frame::lower`], for this kernel: what it is found to lack is done without, if that is possible. What was
    /// compiled ahead is taken if it would come out the same.
    pub fn lower_for(
        &mut self,
        machine: &mut Machine,
        policy: &Policy,
        ids: &Ids,
        held: &Tree,
        ahead: Option<Ahead>,
    ) -> (Tree, Ids) {
        let before = self.found.found.len();
        let mut ahead = ahead.filter(|ahead| lower::is_unmoved(&ahead.lowered.0, ids));
        loop {
            let lowered = match ahead.take() {
                Some(Ahead { lowered, found }) => {
                    self.found.found.extend(found);
                    lowered
                }
                None => self.lower(policy, &|name| machine.facts(name), ids),
            };
            if !machine.lacks_classifiers(&lowered.0, held) {
                return lowered;
            }
            self.found.found.truncate(before);
        }
    }

    /// Finds that there is no interface of a name here, with the one that may be meant.
    pub fn lacks_interface(&mut self, name: &str, place: Option<Span>) {
        let d = self.no_interface(name);
        self.found.push(place.map_or(d.clone(), |span| d.at(span, "")));
    }

    fn no_interface(&self, name: &str) -> Diagnostic {
        let d = Diagnostic::new(&codes::NO_INTERFACE, format!("there is no interface `{name}` here"));
        let read = || Kernel::open(self.global.netns.as_deref()).and_then(|mut kernel| kernel.links());
        let links = self.links.get_or_init(|| read().unwrap_or_default());
        if let Some(link) = links.iter().find(|link| link.also.iter().any(|other| other == name)) {
            return d.help(format!("`{name}` is another name of `{}`: write that one", link.name));
        }
        match nearest(name, links.iter().map(|link| link.name.as_str())) {
            Some(near) => d.help(format!("did you mean `{near}`?")),
            None => d.help("`ip link` lists the interfaces with their names"),
        }
    }

    /// Opens the kernel in the namespace that is meant; a failure is found, at no place.
    pub fn kernel(&mut self) -> Option<Kernel> {
        match Kernel::open(self.global.netns.as_deref()) {
            Ok(kernel) => Some(kernel),
            Err(e) => {
                self.found.push(refusal(&e));
                None
            }
        }
    }
}

fn terminal_width() -> u16 {
    std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()).unwrap_or(100).clamp(60, 160)
}

/// A policy that was compiled ahead, with what was found.
pub(super) struct Ahead {
    lowered: (Tree, Ids),
    found: Vec<Diagnostic>,
}

/// The facts of the machine's links by name, the policy's own figures not among them.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    known: HashMap<String, Facts>,
    clock: Facts,
}

impl Machine {
    /// Asks the kernel. Without one the stated defaults stand.
    pub fn read(kernel: Option<&mut Kernel>) -> Result<Machine, kernel::Error> {
        let Some(kernel) = kernel else { return Ok(Machine::default()) };
        Ok(Machine { known: kernel.all_facts()?, clock: kernel.clock().clone() })
    }

    /// Takes over what the kernel was made to look for meanwhile.
    pub fn look_again(&mut self, kernel: &Kernel) {
        let Facts { programs, sets, .. } = kernel.clock();
        for facts in self.known.values_mut().chain([&mut self.clock]) {
            (facts.programs, facts.sets) = (Arc::clone(programs), Arc::clone(sets));
        }
    }

    /// Asks the kernel for the classifiers of a compiled policy, those of them that it does not hold already. True if it lacks
    /// some, which is known from now on: compiled again the policy is made of others. Where it may not be asked, all are
    /// supposed to be there.
    pub fn lacks_classifiers(&mut self, asked: &Tree, held: &Tree) -> bool {
        const CHOSEN: [&str; 5] = ["fw", "bpf", "flower", "basic", "cgroup"];
        let chosen = |need: &Need| match need.thing {
            Thing::Kind(Role::Filter, name) => CHOSEN.contains(&name),
            thing => thing == Thing::Feature(Feature::U32Mark),
        };
        let known = &self.clock;
        let there = |thing: &Thing| match thing {
            Thing::Kind(_, name) => !known.classifiers.has(name) || holds(held, name),
            _ => !known.u32_mark,
        };
        let filters = asked.objects().filter(|object| object.place().is_some());
        let wanted: Vec<Thing> = doctor::needs_of(filters).into_iter().filter(chosen).map(|need| need.thing).collect();
        let wanted: Vec<Thing> = wanted.into_iter().filter(|thing| !there(thing)).collect();
        if wanted.is_empty() {
            return false;
        }
        let answers = kernel::probe(&wanted).unwrap_or_default();
        let lacking: Vec<Thing> =
            answers.into_iter().filter(|(_, answer)| *answer == Answer::Lacks).map(|(thing, _)| thing).collect();
        for facts in self.known.values_mut().chain([&mut self.clock]) {
            for thing in &lacking {
                match thing {
                    Thing::Kind(_, name) => facts.classifiers.missing.push(*name),
                    _ => facts.u32_mark = false,
                }
            }
        }
        !lacking.is_empty()
    }

    /// The facts of a link; for one that does not exist, those of an Ethernet link that nothing is known of.
    pub fn facts(&self, name: &str) -> Facts {
        self.known.get(name).unwrap_or(&self.clock).clone()
    }

    /// The interfaces of a policy that do not exist, and are not made by it.
    pub fn missing<'p>(&self, policy: &'p Policy) -> impl Iterator<Item = &'p Spanned<CompactString>> {
        let missing = |i: &&Interface| !self.has(&i.name.value) && i.link.device.is_none();
        policy.interfaces.iter().filter(missing).map(|interface| &interface.name)
    }

    /// Whether the link exists.
    pub fn has(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }
}

/// Whether a tree has filters of a kind.
fn holds(tree: &Tree, kind: &str) -> bool {
    let branches = tree.interfaces.values().flat_map(|i| [&i.egress, &i.ingress]).flatten();
    branches.flat_map(|b| &b.objects).any(|o| matches!(o.id, Id::Filter { .. }) && o.name == kind)
}

/// Leaves a large value to the end of the process, which is near: to give it back part by part takes as long as to make it.
pub(super) fn leave<T>(value: T) {
    std::mem::forget(value);
}

/// Names of handles: what the numbers stand for.
pub(super) fn names(ids: &Ids, asked: &Tree) -> Names {
    let mut names = Names::in_tree(asked);
    ids.name(&mut names);
    names
}
