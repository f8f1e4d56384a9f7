//! `apply`: bring the kernel to what is asked, read back, verify.

use super::Exit;
use super::bring::{self, Aim, Before};
use super::carry::{Stop, carry_out};
use super::confirm;
use super::frame::Frame;
use super::refusal::{finding, refusal};
use crate::cli::PolicyArgs;
use crate::diagnostic::{Diagnostic, codes};
use crate::doctor::Memory;
use crate::facts::Facts;
use crate::kernel::{Lock, Watch};
use crate::plan::{self, Plan, is_made};
use crate::state::history::{self, Draft, Entry, Outcome};
use crate::state::{Owned, State};
use crate::tree::{Tree, block_of};
use crate::{script, view};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

/// How to apply.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct How {
    /// Change nothing; print what would be done.
    pub dry_run: bool,
    /// Say nothing where nothing is to be done.
    pub if_changed: bool,
    /// Revert after that many seconds unless it is confirmed.
    pub confirm: Option<u64>,
    /// Take away even what cannot be brought back.
    pub force: bool,
    /// Seconds to wait for another change to end.
    pub wait: u64,
}

pub(super) fn run(frame: &mut Frame, args: &PolicyArgs, how: How) -> Exit {
    let Some(kernel) = frame.kernel() else { return frame.refuse(Exit::Kernel) };
    // whoever only looks takes no lock
    let guard = match how.dry_run {
        true => None,
        false => match guard(frame, how.wait) {
            Ok(guard) => Some(guard),
            Err(exit) => return exit,
        },
    };
    let Ok(aim) = Aim::at(frame, args, kernel) else { return frame.refuse(Exit::Refused) };
    let Some(aim) = aim else { return frame.refuse(Exit::Kernel) };
    if bring::lacks(frame, &aim.plan) {
        return frame.refuse(Exit::Kernel);
    }
    let memory = aim.memory();
    bring::weigh(frame, memory);
    let Some(guard) = guard else { return rehearsed(frame, &aim, memory) };
    if bring::is_for_good(frame, &aim.plan, &aim.names(), how.force) {
        return frame.refuse(Exit::Kernel);
    }
    let exit = carry(frame, aim, guard, how);
    if exit == Exit::Done { exit } else { frame.refuse(exit) }
}

/// What keeps others out, and hears those who come in all the same.
pub(super) struct Guard {
    lock: Option<Lock>,
    watch: Watch,
}

/// Takes the lock and listens, before anything is read.
pub(super) fn guard(frame: &mut Frame, wait: u64) -> Result<Guard, Exit> {
    let lock = frame.lock(wait)?;
    frame.nothing_waits()?;
    match Watch::open() {
        Ok(watch) => Ok(Guard { lock, watch }),
        Err(e) => Err(frame.fail(&e)),
    }
}

fn rehearsed(frame: &mut Frame, aim: &Aim, memory: Memory) -> Exit {
    let diagnostics = frame.report();
    if frame.is_json() {
        let mut json = view::plan_json(&aim.plan, &aim.names(), &frame.sources);
        if let Some(map) = json.as_object_mut() {
            map.insert("ok".into(), Value::Bool(true));
            map.insert("memory".into(), json!({ "tables": memory.tables, "packets": memory.packets }));
            map.insert("diagnostics".into(), Value::Array(diagnostics));
        }
        frame.json(&json);
    } else {
        frame.print(&script::delta(&aim.plan));
        if aim.plan.is_empty() {
            frame.say("nothing to do");
        } else if memory.tables > 0 {
            let (tables, packets) = (view::bytes(memory.tables), view::bytes(memory.packets));
            frame.say(&format!(
                "what is made takes about {tables} of the kernel's memory, and full queues {packets} more"
            ));
        }
    }
    Exit::Done
}

/// Does it. What is found is left to be reported, unless all went well.
fn carry(frame: &mut Frame, mut aim: Aim, mut guard: Guard, how: How) -> Exit {
    let steps = aim.plan.steps.len();
    let owned = ownership(&aim);
    let mut entry = None;
    if steps > 0 {
        if let Err(exit) = untouched(frame, &mut aim, &mut guard.watch) {
            return exit;
        }
        match begin(frame, &aim, &owned, how.confirm) {
            Ok(begun) => entry = Some(begun),
            Err(exit) => return exit,
        }
    }
    let outcome = match send(frame, &mut aim, &mut guard.watch) {
        Ok(()) => match how.confirm {
            Some(_) => Outcome::Waiting,
            None => Outcome::Done,
        },
        Err(outcome) => outcome,
    };
    let good = matches!(outcome, Outcome::Waiting | Outcome::Done);
    let names = aim.names();
    if good {
        remember(frame, &mut aim, owned);
    } else if outcome == Outcome::PutBack {
        save(frame, &aim.state);
    }
    if let Some(entry) = &mut entry
        && let Err(e) = frame.history().end(entry, outcome)
    {
        frame.found.push(Diagnostic::new(&codes::STATE_LOST, format!("how the change ended cannot be written: {e}")));
    }
    if !good {
        return Exit::Kernel;
    }
    let number = entry.as_ref().map(|e| e.number);
    tell(frame, &aim, &names, number, how);
    // whoever confirms or reverts wants the lock
    drop(guard.lock.take());
    if let (Some(entry), Some(_)) = (entry, how.confirm) {
        confirm::wait(frame, &entry);
    }
    Exit::Done
}

/// Says what was done.
fn tell(frame: &mut Frame, aim: &Aim, names: &view::Names, number: Option<u64>, how: How) {
    let steps = aim.plan.steps.len();
    let diagnostics = frame.report();
    if frame.is_json() {
        let mut json = view::plan_json(&aim.plan, names, &frame.sources);
        if let Some(map) = json.as_object_mut() {
            map.insert("ok".into(), json!(true));
            map.insert("change".into(), json!(number));
            map.insert("milliseconds".into(), aim.times.json());
            map.insert("diagnostics".into(), Value::Array(diagnostics));
        }
        frame.json(&json);
    } else if steps > 0 || !how.if_changed {
        frame.print(&view::plan_text(&aim.plan, names, frame.paint()));
        let said = match steps {
            0 => "nothing to do: the kernel holds what is asked".to_owned(),
            1 => "1 step done, read back and verified".to_owned(),
            n => format!("{n} steps done, read back and verified"),
        };
        frame.say(&said);
    }
}

/// Makes sure that nobody has changed the interfaces since they were read.
fn untouched(frame: &mut Frame, aim: &mut Aim, watch: &mut Watch) -> Result<(), Exit> {
    let looked = (|| {
        let seen = watch.seen(aim.kernel.port())?;
        if seen.links.is_empty() && !seen.lost {
            return Ok(Plan::default());
        }
        let names: Vec<&str> = aim.held.interfaces.keys().map(|n| n.as_str()).collect();
        let now = bring::read(&mut aim.kernel, names.into_iter())?;
        Ok(what_changed(&aim.held, &now, &|name: &str| aim.machine.facts(name)))
    })();
    match looked {
        Ok(changes) if changes.is_empty() => Ok(()),
        Ok(changes) => {
            let text = view::plan_text(&changes, &aim.names(), view::Paint { on: false });
            let message = "somebody else changed the same interface while the plan was made; nothing has been done";
            let d = Diagnostic::new(&codes::CHANGED_MEANWHILE, message);
            frame.found.push(d.help(format!("apply it again if this is as it should be:\n{text}")));
            Err(Exit::Kernel)
        }
        Err(e) => {
            frame.found.push(refusal(&e));
            Err(Exit::Kernel)
        }
    }
}

/// What somebody did between two readings.
fn what_changed(before: &Tree, now: &Tree, facts: &dyn Fn(&str) -> Facts) -> Plan {
    plan::plan(now, before, facts)
}

/// Writes down what is about to be done, and sees that somebody watches if it must be confirmed.
fn begin(frame: &mut Frame, aim: &Aim, owned: &BTreeMap<String, Owned>, confirm: Option<u64>) -> Result<Entry, Exit> {
    let before = Before::of(&aim.asked, &aim.held);
    let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let draft = Draft {
        what: format!("apply {}", aim.file),
        steps: aim.plan.steps.len(),
        difference: view::plan_text(&aim.plan, &aim.names(), view::Paint { on: false }),
        interfaces: all(&before.interfaces),
        makes: all(&before.makes),
        deadline: confirm.map(|seconds| history::now() + seconds),
    };
    let history = frame.history();
    let entry = history.begin(draft, &aim.state, &aim.snapshot.bytes()).map_err(|e| {
        let message = format!("what stands now cannot be written down, so nothing is done: {e}");
        let d = Diagnostic::new(&codes::STATE_LOST, message);
        frame.found.push(d.help("name another place with `--state-dir`"));
        Exit::Kernel
    })?;
    if confirm.is_some()
        && let Err(why) = confirm::watch(&frame.global, &history, &entry)
    {
        let mut entry = entry;
        let _ = history.end(&mut entry, Outcome::PutBack);
        let message = format!("nobody would revert the change: {why}; nothing has been done");
        frame.found.push(Diagnostic::new(&codes::STATE_LOST, message));
        return Err(Exit::Kernel);
    }
    // cut off, the next one finds the numbers that are being given out
    let mut meanwhile = aim.state.clone();
    meanwhile.ids = aim.ids.clone();
    for (name, owned) in owned {
        let had = meanwhile.owned.entry(name.clone()).or_default();
        *had = Owned {
            egress: had.egress || owned.egress,
            ingress: had.ingress || owned.ingress,
            txqueuelen: had.txqueuelen.or(owned.txqueuelen),
        };
    }
    save(frame, &meanwhile);
    frame.shed()?;
    Ok(entry)
}

/// Sends the plan and reads back. A refusal is answered by going back.
fn send(frame: &mut Frame, aim: &mut Aim, watch: &mut Watch) -> Result<(), Outcome> {
    let facts = |name: &str| -> Facts { aim.machine.facts(name) };
    let steps = aim.plan.steps.len();
    let progress = std::io::stderr().is_terminal() && steps > 2_000 && !frame.is_json();
    let ours: Vec<u32> = aim.held.interfaces.values().filter_map(|i| i.link.index).collect();
    let port = aim.kernel.port();
    let mut tick = |done: usize| {
        if progress {
            let _ = write!(std::io::stderr().lock(), "\r{done} of {steps} steps");
        }
        !watch.seen(port).is_ok_and(|seen| seen.links.iter().any(|link| ours.contains(link)))
    };
    let result = carry_out(&mut aim.kernel, &aim.plan, &facts, &mut tick);
    if progress {
        let _ = writeln!(std::io::stderr().lock());
    }
    match result {
        Ok(0) => {}
        Ok(lost) => frame.say(&format!("{lost} packets that still waited after a second were lost with their classes")),
        Err(Stop::Halted(done)) => {
            let message =
                format!("somebody else changed the same interface meanwhile: stopped after {done} of {steps} steps");
            let mut d = Diagnostic::new(&codes::CHANGED_MEANWHILE, message);
            if let Ok(left) = bring::what_is_left(aim) {
                let text = view::plan_text(&left, &aim.names(), view::Paint { on: false });
                d = d.help(format!("`shapectl apply` would go on with:\n{text}"));
            }
            frame.found.push(d);
            return Err(Outcome::Broken);
        }
        Err(Stop::Refused(refused)) => {
            frame.found.push(finding(&refused));
            let back = Before::of(&aim.asked, &aim.held).put_back(&mut aim.kernel, &facts);
            let (said, outcome) = match back {
                Ok(true) => ("nothing has changed: the state from before stands again".to_owned(), Outcome::PutBack),
                Ok(false) => (
                    "the state from before could not be put back whole; `shapectl diff` shows what stands".to_owned(),
                    Outcome::Broken,
                ),
                Err(e) => (
                    format!("the state from before could not be put back: {e}; `shapectl diff` shows what stands"),
                    Outcome::Broken,
                ),
            };
            frame.say(&said);
            return Err(outcome);
        }
    }
    aim.times.end("send");
    // a plan of nothing has been verified by the reading it came from
    if steps > 0 {
        match bring::what_is_left(aim) {
            Ok(left) if left.is_empty() => {}
            Ok(left) => {
                let message = "the kernel holds something else than what was asked";
                let text = view::plan_text(&left, &aim.names(), view::Paint { on: false });
                frame.found.push(Diagnostic::new(&codes::NOT_HELD, message).help(format!("what is left:\n{text}")));
                return Err(Outcome::Broken);
            }
            Err(e) => {
                frame.found.push(refusal(&e));
                return Err(Outcome::Broken);
            }
        }
    }
    aim.times.end("verify");
    Ok(())
}

/// What is ours once the policy stands; to be asked before, while the old length of a fifo is still held.
fn ownership(aim: &Aim) -> BTreeMap<String, Owned> {
    let mut owned = BTreeMap::new();
    // devices that shapectl makes are known by their alias
    let held = |name: &str| aim.held.interfaces.get(name).map(|i| &i.link);
    let others = aim.asked.interfaces.iter().filter(|(name, i)| !is_made(name, &i.link, held(name)));
    for (name, interface) in others {
        // a shared block goes with the hooks that look into it
        if block_of(name).is_some() {
            continue;
        }
        let has = |b: &Option<crate::tree::Branch>| b.as_ref().is_some_and(|b| !b.objects.is_empty());
        let (egress, ingress) = (has(&interface.egress), has(&interface.ingress));
        // the length from before shapectl set one
        let before = aim.state.owned.get(name.as_str()).and_then(|o| o.txqueuelen);
        let was = aim.held.interfaces.get(name).and_then(|i| i.link.txqueuelen);
        let txqueuelen = interface.link.txqueuelen.and(before.or(was));
        if egress || ingress || txqueuelen.is_some() {
            owned.insert(name.to_string(), Owned { egress, ingress, txqueuelen });
        }
    }
    owned
}

/// Writes down what was given which number, and what is ours now.
fn remember(frame: &mut Frame, aim: &mut Aim, owned: BTreeMap<String, Owned>) {
    aim.state.owned = owned;
    aim.state.ids = aim.ids.clone();
    aim.state.policy = match aim.file.as_str() {
        "-" => None,
        file => std::path::absolute(file).ok().map(|p| p.to_string_lossy().into_owned()),
    };
    save(frame, &aim.state);
}

/// Writes what is to be remembered; that it cannot be is a warning.
pub(super) fn save(frame: &mut Frame, state: &State) {
    if let Err(e) = state.save(&frame.global.state_dir, frame.global.netns.as_deref()) {
        frame.found.push(
            Diagnostic::new(&codes::STATE_LOST, format!("what was applied cannot be remembered: {e}"))
                .help("the kernel holds the policy; class numbers may move at the next apply"),
        );
    }
}
