//! From a policy and a kernel to a plan, and from a plan to a kernel that holds it.

use super::frame::{self, Frame, Machine, refusal};
use crate::cli::PolicyArgs;
use crate::diagnostic::{Diagnostic, codes};
use crate::facts::{Facts, Links};
use crate::kernel::{Error, Kernel};
use crate::lower::{self, Hook, Ids};
use crate::netlink::{self, Message};
use crate::plan::{self, LinkChange, Plan, Step, Subject, Verb};
use crate::state::State;
use crate::tree::{Branch, Interface, OWN_ALIAS, Object, Tree};
use crate::view::Names;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A policy held against the kernel.
pub(super) struct Aim {
    pub file: String,
    pub kernel: Kernel,
    pub machine: Machine,
    pub state: State,
    pub ids: Ids,
    pub asked: Tree,
    pub held: Tree,
    pub plan: Plan,
    pub times: Times,
}

/// What the parts of a run took; told in JSON, for those who measure.
pub(super) struct Times {
    since: Instant,
    parts: Vec<(&'static str, Duration)>,
}

impl Times {
    pub fn start() -> Times {
        Times { since: Instant::now(), parts: Vec::new() }
    }

    /// Ends a part; the next begins.
    pub fn end(&mut self, part: &'static str) {
        let now = Instant::now();
        self.parts.push((part, now.duration_since(self.since)));
        self.since = now;
    }

    /// In milliseconds, by part.
    pub fn json(&self) -> Value {
        self.parts.iter().map(|(part, took)| ((*part).to_owned(), json!(took.as_secs_f64() * 1e3))).collect()
    }
}

impl Aim {
    /// Compiles the policy and reads the kernel. `Err` if the policy is refused, `Ok(None)` if the kernel is; what was
    /// found says why.
    pub fn take(frame: &mut Frame, args: &PolicyArgs) -> Result<Option<Aim>, ()> {
        let state = frame.state();
        let file = frame.which(args.file.as_deref(), &state);
        let Some(kernel) = frame.kernel() else { return Ok(None) };
        Aim::with(frame, args.deny_warnings, file, state, kernel)
    }

    /// The same with a kernel and a state that are there already.
    pub fn with(
        frame: &mut Frame,
        deny: bool,
        file: String,
        state: State,
        mut kernel: Kernel,
    ) -> Result<Option<Aim>, ()> {
        let machine = match Machine::read(Some(&mut kernel)) {
            Ok(machine) => machine,
            Err(e) => {
                frame.found.push(refusal(&e));
                return Ok(None);
            }
        };
        let mut times = Times::start();
        let facts = |name: &str| machine.facts(name);
        let policy = frame.policy(&file, &facts);
        times.end("policy");
        for interface in &policy.interfaces {
            if !machine.has(&interface.name.value) {
                let message = format!("there is no interface `{}` here", interface.name.value);
                frame.found.push(Diagnostic::new(&codes::NO_INTERFACE, message).at(interface.name.span, ""));
            }
        }
        if frame.stops(deny) {
            return Err(());
        }
        let names = policy.interfaces.iter().map(|i| i.name.value.as_str());
        let held = match read(&mut kernel, names.chain(state.owned.keys().map(String::as_str))) {
            Ok(held) => held,
            Err(e) => {
                frame.found.push(refusal(&e));
                return Ok(None);
            }
        };
        times.end("held");
        let (mut asked, mut ids) = frame.lower(&policy, &facts, &beside(&state.ids, &held));
        // where the table is lost or somebody else was at work, numbers may stand where they cannot be moved from
        for _ in 0..lower::ROUNDS {
            let Some(apart) = lower::apart(&asked, &held, &ids) else { break };
            (asked, ids) = frame.lower(&policy, &facts, &beside(&apart, &held));
        }
        if frame.stops(deny) {
            return Err(());
        }
        leave_what_was_left(&mut asked, &state, &machine);
        times.end("lower");
        let plan = plan::plan(&asked, &held, &facts);
        times.end("plan");
        Ok(Some(Aim { file, kernel, machine, state, ids, asked, held, plan, times }))
    }
}

impl Aim {
    /// Names of handles: those of the policy, and what went before it for what is taken away.
    pub fn names(&self) -> Names {
        let mut names = self.state.ids.names();
        names.extend(frame::names(&self.ids, &self.asked));
        names
    }
}

/// Interfaces that were shaped here and have left the policy get their default back, visibly in the plan.
fn leave_what_was_left(asked: &mut Tree, state: &State, machine: &Machine) {
    for (name, owned) in &state.owned {
        if !machine.has(name) {
            continue;
        }
        let interface = asked.interfaces.entry(name.as_str().into()).or_default();
        if owned.egress && interface.egress.is_none() {
            interface.egress = Some(Branch::default());
        }
        if owned.ingress && interface.ingress.is_none() {
            interface.ingress = Some(Branch::default());
        }
        if interface.link.txqueuelen.is_none() {
            interface.link.txqueuelen = owned.txqueuelen;
        }
    }
}

/// The numbers that are remembered, and those that others' objects have: the compiler gives its own around them, and takes
/// the ingress hook that is there.
fn beside(ids: &Ids, held: &Tree) -> Ids {
    let mut ids = ids.clone();
    for (name, interface) in &held.interfaces {
        let Some(root) = interface.ingress.as_ref().and_then(|b| b.objects.first()) else { continue };
        let foreign = plan::foreign_filters(interface);
        let table = ids.interfaces.entry(name.clone()).or_default();
        // a hook that holds nothing of anybody's is ours to change
        if root.name == "ingress" && !foreign.is_empty() {
            table.hook = Hook::Ingress;
        }
        table.foreign_prios = foreign;
    }
    ids
}

/// What the kernel holds on some interfaces and on the devices that shapectl made.
pub(super) fn read<'n>(kernel: &mut Kernel, wanted: impl Iterator<Item = &'n str>) -> Result<Tree, Error> {
    let links = kernel.links()?;
    let ours = links.iter().filter(|l| l.alias.as_ref().is_some_and(|a| a.starts_with(OWN_ALIAS)));
    let mut names: Vec<&str> = wanted.collect();
    names.extend(ours.map(|l| l.name.as_str()));
    names.sort_unstable();
    names.dedup();
    kernel.read(Some(&names))
}

/// Reads the kernel again after a plan was carried out: what is held is renewed, and what is left to do comes back. The
/// facts are read again too: devices that were made have their own.
pub(super) fn what_is_left(aim: &mut Aim) -> Result<Plan, Error> {
    aim.machine = Machine::read(Some(&mut aim.kernel))?;
    let held = read(&mut aim.kernel, aim.asked.interfaces.keys().map(|n| n.as_str()))?;
    let left = plan::plan(&aim.asked, &held, &|name: &str| aim.machine.facts(name));
    aim.held = held;
    Ok(left)
}

/// A step that the kernel refused.
pub(super) struct Refused {
    /// The step.
    pub step: Step,
    /// Why.
    pub error: Error,
    /// The kinds that the kernel lacks, if that is why.
    pub lacks: Vec<crate::kernel::Lack>,
}

/// Messages between two looks at what was refused: what follows a refusal in its own window is still done by the kernel,
/// so a window that is too long does too much in vain.
const WINDOW: usize = 100;

/// Carries out a plan; stops at the first refusal. `tick` is told how many steps are done.
pub(super) fn carry_out(
    kernel: &mut Kernel,
    plan: &Plan,
    facts: &dyn Fn(&str) -> Facts,
    tick: &mut dyn FnMut(usize),
) -> Result<(), Box<Refused>> {
    let fail = |step: &Step, error: Error| Box::new(Refused { step: step.clone(), error, lacks: Vec::new() });
    let mut links = None;
    let mut at = 0;
    while let Some(step) = plan.steps.get(at) {
        if let Subject::Link(change) = &step.subject {
            kernel.change_link(&step.interface, change).map_err(|e| fail(step, e))?;
            links = None;
            at += 1;
            continue;
        }
        let links = match &links {
            Some(known) => Arc::clone(known),
            None => {
                let read = kernel.links().map_err(|e| fail(step, e))?;
                let table = Links::new(read.iter().map(|l| (l.index, l.name.as_str().into())));
                Arc::clone(links.insert(Arc::new(table)))
            }
        };
        let rest = plan.steps.get(at..).unwrap_or(&[]);
        let run: Vec<(&Step, &Object)> = rest
            .iter()
            .map_while(|s| match &s.subject {
                Subject::Object(o) => Some((s, o)),
                Subject::Link(_) => None,
            })
            .take(WINDOW)
            .collect();
        let mut messages: Vec<Message> = Vec::with_capacity(run.len());
        let mut known: Option<(&str, u32, Facts)> = None;
        for (step, object) in &run {
            if known.as_ref().is_none_or(|(name, ..)| *name != step.interface) {
                let index = match links.index_of(&step.interface) {
                    Some(index) => index,
                    None => kernel.link(&step.interface).map_err(|e| fail(step, e))?.index,
                };
                known = Some((&step.interface, index, Facts { links: Arc::clone(&links), ..facts(&step.interface) }));
            }
            if let Some((_, index, facts)) = &known {
                messages.push(netlink::encode(object, step.verb, *index, facts));
            }
        }
        let sent = kernel.send(&messages).map_err(|e| fail(step, e))?;
        if let Some((i, error)) = sent.refused.into_iter().next() {
            let lacks = match (run.get(i), messages.get(i)) {
                (Some((_, object)), Some(message)) => error.lacks(object, message),
                _ => Vec::new(),
            };
            let step = run.get(i).map_or(step, |(step, _)| step);
            return Err(Box::new(Refused { step: step.clone(), error, lacks }));
        }
        at += run.len();
        tick(at);
    }
    Ok(())
}

/// The refusal as a finding at the policy's line.
pub(super) fn finding(refused: &Refused) -> Diagnostic {
    let what = crate::script::line(&crate::script::command(&refused.step));
    let span = match &refused.step.subject {
        Subject::Object(o) => o.origin.span,
        Subject::Link(_) => None,
    };
    let place = |d: Diagnostic| span.map_or(d.clone(), |s| d.at(s, "asked for here"));
    if let Some(lack) = refused.lacks.first() {
        let names: Vec<_> = refused.lacks.iter().map(|l| format!("`{}`", l.name)).collect();
        let message = format!("this kernel has no {}", names.join(" or no "));
        let help = format!(
            "load the module {} (`modprobe {}`), or use a kernel with {}",
            lack.module, lack.module, lack.config
        );
        return place(Diagnostic::new(&codes::KERNEL_LACKS, message)).help(help);
    }
    let message = format!("the kernel refused `{what}`: {}", refused.error);
    let d = place(Diagnostic::new(&codes::KERNEL_REFUSED, message));
    match refused.error.capability() {
        Some(capability) => d.help(format!("{capability} is wanted: run it with sudo")),
        None => d,
    }
}

/// Puts back what was held before, after a refusal. What comes back is what stands now against what stood then; `true` if
/// they are one again.
pub(super) fn put_back(
    kernel: &mut Kernel,
    before: &Tree,
    asked: &Tree,
    facts: &dyn Fn(&str) -> Facts,
) -> Result<bool, Error> {
    let mut goal = Tree::default();
    for name in asked.interfaces.keys() {
        let Some(held) = before.interfaces.get(name) else { continue };
        let mut interface =
            Interface { egress: held.egress.clone(), ingress: held.ingress.clone(), ..Interface::default() };
        interface.link.txqueuelen = held.link.txqueuelen;
        goal.interfaces.insert(name.clone(), interface);
    }
    // devices of ours that stood before stay; those made meanwhile carry our alias and are taken away
    for (name, held) in &before.interfaces {
        if held.link.alias.as_ref().is_some_and(|a| a.starts_with(OWN_ALIAS)) {
            goal.interfaces.entry(name.clone()).or_insert_with(|| held.clone());
        }
    }
    let now = read(kernel, asked.interfaces.keys().map(|n| n.as_str()))?;
    let back = plan::plan(&goal, &now, facts);
    let made: Vec<Step> = now
        .interfaces
        .iter()
        .filter(|(name, _)| asked.interfaces.get(*name).is_some_and(|i| i.link.kind.is_some()))
        .filter(|(name, _)| !before.interfaces.contains_key(*name))
        .map(|(name, i)| Step {
            interface: name.clone(),
            verb: Verb::Delete,
            subject: Subject::Link(LinkChange::Remove(i.link.kind.clone().unwrap_or_default())),
            differences: Vec::new(),
            remark: None,
        })
        .collect();
    let all = Plan { steps: back.steps.into_iter().chain(made).collect() };
    if let Err(refused) = carry_out(kernel, &all, facts, &mut |_| ()) {
        return Err(refused.error);
    }
    let now = read(kernel, asked.interfaces.keys().map(|n| n.as_str()))?;
    Ok(plan::plan(&goal, &now, facts).is_empty())
}
