//! One change of what the kernel holds, whichever command makes it: written down first, carried out, read back, and put
//! back where the kernel refuses a step.

use super::Exit;
use super::bring::{self, Aim, Before};
use super::carry::{Stop, carry_out};
use super::confirm;
use super::frame::Frame;
use super::refusal::{finding, refusal};
use crate::diagnostic::{Diagnostic, codes};
use crate::doctor::Memory;
use crate::facts::Facts;
use crate::kernel::{Error, Lock, Watch};
use crate::plan::{self, Plan};
use crate::script;
use crate::state::State;
use crate::state::history::{self, Draft, Entry, Outcome};
use crate::view;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};

/// Steps from which on a terminal is told how far they are.
const MANY: usize = 2_000;

/// What keeps others out, and hears those who come in all the same.
pub(super) struct Guard {
    lock: Option<Lock>,
    /// `None` for who goes on whatever others do.
    watch: Option<Watch>,
}

impl Guard {
    /// Takes the lock and listens, before anything is read. While a change waits for confirmation there is no other.
    pub fn take(frame: &mut Frame, wait: u64) -> Result<Guard, Exit> {
        let guard = Guard::take_to_go_back(frame, wait)?;
        frame.nothing_waits()?;
        Ok(guard)
    }

    /// The same, also while a change waits for confirmation: to go back from it.
    pub fn take_to_go_back(frame: &mut Frame, wait: u64) -> Result<Guard, Exit> {
        let lock = frame.lock(wait)?;
        match Watch::open() {
            Ok(watch) => Ok(Guard { lock, watch: Some(watch) }),
            Err(e) => Err(frame.fail(&e)),
        }
    }

    /// Takes the lock, and lets nobody stop it: for who reverts what nobody confirmed.
    pub fn take_deaf(frame: &mut Frame, wait: u64) -> Result<Guard, Exit> {
        Ok(Guard { lock: frame.lock(wait)?, watch: None })
    }

    /// Whether nobody can stop it.
    pub fn is_deaf(&self) -> bool {
        self.watch.is_none()
    }

    /// Gives the lock back.
    pub fn open(&mut self) {
        drop(self.lock.take());
    }
}

/// What a change is for.
pub(super) struct Intent {
    /// As the history calls it.
    pub what: String,
    /// Seconds after which it is reverted unless it is confirmed.
    pub confirm: Option<u64>,
    /// What is to be remembered once it stands.
    pub after: State,
    /// Whether it is a way back, which is gone even if nothing can be written down.
    pub back: bool,
}

/// Carries out the plan of an aim, and remembers. What is found is left to be reported. `Ok(None)` if nothing was to be
/// done, or it could not be written down; `Err` if what stands is not what is wanted, be it that nothing was done, that all
/// was put back, or that it is neither the old nor the new.
pub(super) fn make(frame: &mut Frame, aim: &mut Aim, guard: &mut Guard, intent: Intent) -> Result<Option<Entry>, Exit> {
    if aim.plan.is_empty() {
        save(frame, &intent.after);
        return Ok(None);
    }
    untouched(frame, aim, guard)?;
    let mut entry = begin(frame, aim, &intent)?;
    aim.times.end("write");
    let outcome = match send(frame, aim, guard) {
        Ok(()) if intent.confirm.is_some() => Outcome::Waiting,
        Ok(()) => Outcome::Done,
        Err(outcome) => outcome,
    };
    let good = matches!(outcome, Outcome::Waiting | Outcome::Done);
    if good {
        save(frame, &intent.after);
    } else if outcome == Outcome::PutBack {
        save(frame, &aim.state);
    }
    if let Some(entry) = &mut entry {
        // who is to confirm has the whole time from now on
        entry.deadline = intent.confirm.map(|seconds| history::now() + seconds);
        ended(frame, entry, outcome);
        if let (Outcome::Broken, Some(seconds)) = (outcome, intent.confirm) {
            frame
                .say(&format!("what stood before comes back in {seconds} s, unless something else is done until then"));
        }
    }
    if good { Ok(entry) } else { Err(Exit::Kernel) }
}

/// Writes down how a change stands; that it cannot be is a warning.
pub(super) fn ended(frame: &mut Frame, entry: &mut Entry, outcome: Outcome) {
    if let Err(e) = frame.history().end(entry, outcome) {
        frame.found.push(Diagnostic::new(&codes::STATE_LOST, format!("how the change ended cannot be written: {e}")));
    }
}

/// Says what was done; `why` there was nothing to do, if there was nothing.
pub(super) fn tell(frame: &mut Frame, aim: &Aim, entry: Option<&Entry>, why: &str) {
    let diagnostics = frame.report();
    if frame.is_json() {
        let beside = vec![
            ("ok", json!(true)),
            ("change", json!(entry.map(|e| e.number))),
            ("milliseconds", aim.times.json()),
            ("diagnostics", Value::Array(diagnostics)),
        ];
        frame.json(&aim.json(&frame.sources, beside));
        return;
    }
    frame.print(&view::plan_text(&aim.plan, aim.names(), frame.paint()));
    let said = match aim.plan.steps.len() {
        0 => format!("nothing to do: {why}"),
        1 => "1 step done, read back and verified".to_owned(),
        n => format!("{n} steps done, read back and verified"),
    };
    frame.say(&said);
}

/// Says what would be done, as tc commands, and what it takes of the kernel's memory, and does nothing.
pub(super) fn rehearse(frame: &mut Frame, aim: &Aim, memory: Memory) -> Exit {
    let diagnostics = frame.report();
    if frame.is_json() {
        let beside = vec![
            ("ok", json!(true)),
            ("memory", json!({ "tables": memory.tables, "packets": memory.packets })),
            ("diagnostics", Value::Array(diagnostics)),
        ];
        frame.json(&aim.json(&frame.sources, beside));
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

/// Makes sure that nobody has changed the interfaces since they were read.
fn untouched(frame: &mut Frame, aim: &mut Aim, guard: &mut Guard) -> Result<(), Exit> {
    let Some(watch) = &mut guard.watch else { return Ok(()) };
    let looked = (|| {
        let seen = watch.seen(aim.kernel.port())?;
        if seen.links.is_empty() && !seen.lost {
            return Ok(Plan::default());
        }
        let names: Vec<&str> = aim.held.interfaces.keys().map(|n| n.as_str()).collect();
        let now = bring::read(&mut aim.kernel, names.into_iter())?;
        // what somebody did is the way from what stood to what stands
        Ok(plan::plan(&now, &aim.held, &|name: &str| aim.machine.facts(name)))
    })();
    match looked {
        Ok(changes) if changes.is_empty() => Ok(()),
        Ok(changes) => {
            let text = view::plan_text(&changes, aim.names(), view::Paint { on: false });
            let message = "somebody else changed the same interface while the plan was made; nothing has been done";
            let d = Diagnostic::new(&codes::CHANGED_MEANWHILE, message);
            frame.found.push(d.help(format!("do it again if this is as it should be:\n{text}")));
            Err(Exit::Kernel)
        }
        Err(e) => Err(stopped(frame, &e)),
    }
}

fn stopped(frame: &mut Frame, error: &Error) -> Exit {
    frame.found.push(refusal(error));
    Exit::Kernel
}

/// Writes down what is about to be done, and sees that somebody watches if it must be confirmed.
fn begin(frame: &mut Frame, aim: &Aim, intent: &Intent) -> Result<Option<Entry>, Exit> {
    let before = Before::of(&aim.asked, &aim.held);
    let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let draft = Draft {
        what: intent.what.clone(),
        steps: aim.plan.steps.len(),
        difference: view::plan_beginning(&aim.plan, aim.names(), view::Paint { on: false }, history::DIFFERENCE),
        interfaces: all(&before.interfaces),
        makes: all(&before.makes),
        deadline: intent.confirm.map(|seconds| history::now() + seconds),
    };
    let history = frame.history();
    let mut entry = match history.begin(draft, &aim.state, &aim.snapshot.bytes()) {
        Ok(entry) => Some(entry),
        Err(e) => {
            let place = frame.global.state_dir.display();
            let d = if intent.back {
                let message =
                    format!("what stands now cannot be written down in `{place}`, and not be gone back to: {e}");
                Diagnostic::new(&codes::STATE_LOST, message)
            } else {
                let message = format!("what stands now cannot be written down in `{place}`, so nothing is done: {e}");
                Diagnostic::new(&codes::NO_CHECKPOINT, message).help("name another place with `--state-dir`")
            };
            frame.found.push(d);
            if !intent.back {
                return Err(Exit::Kernel);
            }
            None
        }
    };
    if let Some(entry) = entry.as_mut().filter(|_| intent.confirm.is_some())
        && let Err(why) = confirm::watch(&frame.global, &history, entry)
    {
        ended(frame, entry, Outcome::PutBack);
        let message = format!("nobody would revert the change: {why}; nothing has been done");
        frame.found.push(Diagnostic::new(&codes::NO_CHECKPOINT, message));
        return Err(Exit::Kernel);
    }
    save(frame, &meanwhile(aim, &intent.after));
    frame.shed()?;
    Ok(entry)
}

/// What is remembered while a change is under way: cut off, the next one finds the numbers that are being given out, and
/// all that is ours before or after.
fn meanwhile(aim: &Aim, after: &State) -> State {
    let (policy, owned) = (aim.state.policy.clone(), aim.state.owned.clone());
    let mut meanwhile = State::new(policy, owned, aim.ids.clone());
    for (name, owned) in &after.owned {
        let had = meanwhile.owned.entry(name.clone()).or_default();
        had.egress |= owned.egress;
        had.ingress |= owned.ingress;
        had.txqueuelen = had.txqueuelen.or(owned.txqueuelen);
    }
    meanwhile
}

/// Sends the plan and reads back. A refusal is answered by going back.
fn send(frame: &mut Frame, aim: &mut Aim, guard: &mut Guard) -> Result<(), Outcome> {
    let facts = |name: &str| -> Facts { aim.machine.facts(name) };
    let steps = aim.plan.steps.len();
    let progress = std::io::stderr().is_terminal() && steps > MANY && !frame.is_json();
    let ours: Vec<u32> = aim.held.interfaces.values().filter_map(|i| i.link.index).collect();
    let port = aim.kernel.port();
    let in_place = bring::changes_classes_in_place(&aim.plan);
    let (mut told, mut lost, mut others) = (Vec::new(), false, false);
    let mut tick = |done: usize| {
        if progress {
            let _ = write!(std::io::stderr().lock(), "\r{done} of {steps} steps");
        }
        let Some(seen) = guard.watch.as_mut().and_then(|watch| watch.seen(port).ok()) else { return true };
        if in_place {
            told.extend(seen.own_classes);
        }
        let theirs = seen.links.iter().any(|link| ours.contains(link));
        others |= theirs;
        lost |= seen.lost;
        !theirs
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
                let text = view::plan_text(&left, aim.names(), view::Paint { on: false });
                d = d.help(format!("done again, it would go on with:\n{text}"));
            }
            frame.found.push(d);
            return Err(Outcome::Broken);
        }
        Err(Stop::Refused(refused)) => {
            frame.found.push(finding(&refused));
            let back = Before::of(&aim.asked, &aim.held).put_back(&mut aim.kernel, &facts);
            let (said, outcome) = match back {
                Ok((true, gone)) if gone.is_empty() => {
                    ("nothing has changed: the state from before stands again".to_owned(), Outcome::PutBack)
                }
                Ok((true, gone)) => {
                    let gone: Vec<_> = gone.iter().map(|name| format!("`{name}`")).collect();
                    let gone = gone.join(", ");
                    (format!("the state from before stands again, but for {gone}: no longer there"), Outcome::PutBack)
                }
                Ok((false, _)) => (
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
    let told = (in_place && !others && !lost).then_some(told.as_slice());
    match bring::read_back(aim, told) {
        Ok(left) if left.is_empty() => {}
        Ok(left) => {
            let (code, message) = match others {
                true => (
                    &codes::CHANGED_MEANWHILE,
                    "somebody else changed the same interface meanwhile: all steps are done, and it is not as asked",
                ),
                false => (&codes::NOT_HELD, "the kernel holds something else than what was asked"),
            };
            let text = view::plan_text(&left, aim.names(), view::Paint { on: false });
            frame.found.push(Diagnostic::new(code, message).help(format!("what is left:\n{text}")));
            return Err(Outcome::Broken);
        }
        Err(e) => {
            frame.found.push(refusal(&e));
            return Err(Outcome::Broken);
        }
    }
    aim.times.end("verify");
    Ok(())
}

/// Writes what is to be remembered; that it cannot be is a warning.
fn save(frame: &mut Frame, state: &State) {
    if let Err(e) = state.save(&frame.global.state_dir, frame.global.netns.as_deref()) {
        frame.found.push(
            Diagnostic::new(&codes::STATE_LOST, format!("what was applied cannot be remembered: {e}"))
                .help("the kernel holds the policy; class numbers may move at the next apply"),
        );
    }
}
