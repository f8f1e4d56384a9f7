//! `rollback`: back to what stood before a change. `history`: which changes there were.

use super::Exit;
use super::apply::save;
use super::bring::{self, Before};
use super::carry::{Stop, carry_out};
use super::frame::{Frame, Machine};
use super::refusal::{finding, refusal};
use crate::diagnostic::{Diagnostic, codes};
use crate::kernel::Kernel;
use crate::netlink::Snapshot;
use crate::state::history::{Draft, Entry, Outcome};
use crate::view;
use serde_json::json;
use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

/// `shapectl rollback [N]`: the last change that stands, without a number.
pub(super) fn run(frame: &mut Frame, number: Option<u64>, wait: u64) -> Exit {
    let Some(kernel) = frame.kernel() else { return frame.refuse(Exit::Kernel) };
    let _lock = match frame.lock(wait) {
        Ok(lock) => lock,
        Err(exit) => return exit,
    };
    let (entries, found) = frame.history().list();
    frame.found.found.extend(found);
    let stands = |e: &Entry| matches!(e.outcome, Outcome::Done | Outcome::Waiting | Outcome::Begun | Outcome::Broken);
    let chosen = match number {
        Some(number) => entries.into_iter().find(|e| e.number == number),
        None => entries.into_iter().find(stands),
    };
    let Some(entry) = chosen else {
        let message = match number {
            Some(number) => format!("there is no change {number} to go back to"),
            None => "there is no change to take back".to_owned(),
        };
        let d = Diagnostic::new(&codes::NO_HISTORY, message);
        frame.found.push(d.help("`shapectl history` lists what can be gone back to"));
        return frame.refuse(Exit::Refused);
    };
    go_back(frame, kernel, entry, Outcome::Reverted)
}

/// Puts back what stood before a change. The way back is a change of its own, and can be taken back as well.
pub(super) fn go_back(frame: &mut Frame, mut kernel: Kernel, mut entry: Entry, outcome: Outcome) -> Exit {
    let history = frame.history();
    let spoilt = |frame: &mut Frame, ending: &str, why: &str| {
        let d = history.spoilt(entry.number, ending, why);
        frame.found.push(d);
        frame.refuse(Exit::Kernel)
    };
    let bytes = match history.held(&entry) {
        Ok(bytes) => bytes,
        Err(why) => return spoilt(frame, "held", &why),
    };
    let Some(snapshot) = Snapshot::read(&bytes) else { return spoilt(frame, "held", "it is no dump") };
    let state = match history.state(entry.number) {
        Ok(state) => state,
        Err(why) => return spoilt(frame, "state", &why),
    };
    let held = match snapshot.tree(kernel.clock()) {
        Ok(held) => held,
        Err(e) => return spoilt(frame, "held", &e.to_string()),
    };
    // read again, now that what it names has been looked for
    kernel.look_for(held.references());
    let held = snapshot.tree(kernel.clock()).unwrap_or(held);
    let machine = match Machine::read(Some(&mut kernel)) {
        Ok(machine) => machine,
        Err(e) => return frame.fail(&e),
    };
    let facts = |name: &str| machine.facts(name);
    let before = Before {
        held: &held,
        interfaces: entry.interfaces.iter().map(String::as_str).collect(),
        makes: entry.makes.iter().map(String::as_str).collect(),
    };
    let (now, standing) = match bring::read_and_keep(&mut kernel, before.interfaces.iter().copied()) {
        Ok(read) => read,
        Err(e) => return frame.fail(&e),
    };
    let plan = before.plan(&now, &facts);
    let names = state.ids.names();
    let current = frame.state();
    let draft = Draft {
        what: format!("back to before {}", entry.number),
        steps: plan.steps.len(),
        difference: view::plan_text(&plan, &names, view::Paint { on: false }),
        interfaces: entry.interfaces.clone(),
        makes: Vec::new(),
        deadline: None,
    };
    let mut own = match history.begin(draft, &current, &standing.bytes()) {
        Ok(own) => own,
        Err(e) => {
            let message = format!("what stands now cannot be written down, so nothing is done: {e}");
            frame.found.push(Diagnostic::new(&codes::STATE_LOST, message));
            return frame.refuse(Exit::Kernel);
        }
    };
    if let Err(exit) = frame.shed() {
        return exit;
    }
    let sent = carry_out(&mut kernel, &plan, &facts, &mut |_| true);
    let whole = match sent {
        Err(Stop::Refused(refused)) => {
            frame.found.push(finding(&refused));
            false
        }
        Err(Stop::Halted(_)) => false,
        Ok(_) => match bring::read(&mut kernel, before.interfaces.iter().copied()) {
            Ok(now) => {
                let left = before.plan(&now, &facts);
                if !left.is_empty() {
                    let text = view::plan_text(&left, &names, view::Paint { on: false });
                    let message = "what stood before could not be put back whole";
                    frame.found.push(Diagnostic::new(&codes::NOT_HELD, message).help(format!("what is left:\n{text}")));
                }
                left.is_empty()
            }
            Err(e) => {
                frame.found.push(refusal(&e));
                false
            }
        },
    };
    save(frame, &state);
    let number = entry.number;
    let ended = history
        .end(&mut own, if whole { Outcome::Done } else { Outcome::Broken })
        .and_then(|()| history.end(&mut entry, if whole { outcome } else { Outcome::Broken }));
    if let Err(e) = ended {
        frame.found.push(Diagnostic::new(&codes::STATE_LOST, format!("how it ended cannot be written: {e}")));
    }
    if !whole {
        return frame.refuse(Exit::Kernel);
    }
    let diagnostics = frame.report();
    if frame.is_json() {
        let mut json = view::plan_json(&plan, &names, &frame.sources);
        if let Some(map) = json.as_object_mut() {
            map.insert("ok".into(), json!(true));
            map.insert("change".into(), json!(own.number));
            map.insert("diagnostics".into(), json!(diagnostics));
        }
        frame.json(&json);
    } else {
        frame.print(&view::plan_text(&plan, &names, frame.paint()));
        frame.say(&format!("what stood before change {number} stands again, read back and verified"));
    }
    Exit::Done
}

/// `shapectl history [N]`.
pub(super) fn list(frame: &mut Frame, number: Option<u64>) -> Exit {
    let (mut entries, found) = frame.history().list();
    frame.found.found.extend(found);
    if let Some(number) = number {
        entries.retain(|e| e.number == number);
        if entries.is_empty() {
            let d = Diagnostic::new(&codes::NO_HISTORY, format!("there is no change {number}"));
            frame.found.push(d.help("`shapectl history` lists all"));
            return frame.refuse(Exit::Refused);
        }
    }
    let diagnostics = frame.report();
    if frame.is_json() {
        let list: Vec<_> = entries
            .iter()
            .map(|e| {
                json!({
                    "number": e.number, "begun": time(e.begun), "what": e.what, "outcome": e.outcome, "steps": e.steps,
                    "interfaces": e.interfaces, "deadline": e.deadline.map(time), "difference": e.difference,
                })
            })
            .collect();
        frame.json(&json!({ "changes": list, "diagnostics": diagnostics }));
    } else if entries.is_empty() {
        frame.say("nothing has been changed here");
    } else {
        frame.print(&table(&entries, number.is_some()));
    }
    Exit::Done
}

fn time(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

/// One line a change; with the difference below it if that is asked for.
fn table(entries: &[Entry], whole: bool) -> String {
    let width = |of: &dyn Fn(&Entry) -> usize| entries.iter().map(of).max().unwrap_or(0);
    let (numbers, outcomes) = (width(&|e| e.number.to_string().len()), width(&|e| e.outcome.words().len()));
    let mut out = String::new();
    for e in entries {
        let steps = format!("{} step{}", e.steps, if e.steps == 1 { "" } else { "s" });
        let _ = writeln!(
            out,
            "{:>numbers$}  {}  {:outcomes$}  {steps:>9}  {}",
            e.number,
            time(e.begun),
            e.outcome.words(),
            crate::diagnostic::visible(&e.what)
        );
        if whole {
            out.push_str(&crate::diagnostic::visible(&e.difference));
        }
    }
    out
}
