//! `rollback`: back to what stood before a change. `history`: which changes there were.

use super::Exit;
use super::bring::{self, Aim, Before, Stands};
use super::change::{self, Guard, Intent};
use super::frame::{Frame, Machine};
use crate::diagnostic::{Diagnostic, codes};
use crate::kernel::{Kernel, Lock};
use crate::netlink::Snapshot;
use crate::state::history::{Entry, Outcome};
use serde_json::json;
use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

/// `shapectl rollback [N]`: the last change that stands, without a number.
pub(super) fn run(frame: &mut Frame, number: Option<u64>, wait: u64) -> Exit {
    let Some(kernel) = frame.kernel() else { return frame.refuse(Exit::Kernel) };
    let guard = match Guard::take_to_go_back(frame, wait) {
        Ok(guard) => guard,
        Err(exit) => return exit,
    };
    let Ok(entries) = changes(frame) else { return frame.refuse(Exit::Kernel) };
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
    go_back(frame, kernel, entry, guard)
}

/// Puts back what stood before a change. The way back is a change of its own, and can be taken back as well; if the kernel
/// refuses it, the change stands as before.
pub(super) fn go_back(frame: &mut Frame, mut kernel: Kernel, mut entry: Entry, mut guard: Guard) -> Exit {
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
    let Some(dump) = Snapshot::read(&bytes) else { return spoilt(frame, "held", "it is no dump") };
    let after = match history.state(entry.number) {
        Ok(state) => state,
        Err(why) => return spoilt(frame, "state", &why),
    };
    let stood = match dump.tree(kernel.clock()) {
        Ok(stood) => stood,
        Err(e) => return spoilt(frame, "held", &e.to_string()),
    };
    // read again, now that what it names has been looked for
    kernel.look_for(stood.references());
    let stood = dump.tree(kernel.clock()).unwrap_or(stood);
    let before = Before {
        held: &stood,
        interfaces: entry.interfaces.iter().map(String::as_str).collect(),
        makes: entry.makes.iter().map(String::as_str).collect(),
    };
    let state = frame.state();
    let read = Machine::read(Some(&mut kernel))
        .and_then(|machine| Ok((machine, bring::read_and_keep(&mut kernel, before.interfaces.iter().copied())?)));
    let (machine, (held, snapshot)) = match read {
        Ok(read) => read,
        Err(e) => return frame.fail(&e),
    };
    let mut aim = Aim::back(&before, after.ids.clone(), Stands { kernel, machine, state, held, snapshot });
    // what others have made under a number meanwhile; who reverts what nobody confirmed does what can be done
    if !guard.is_deaf() && bring::stands_otherwise(frame, &mut aim.kernel, &aim.asked, &aim.held, &aim.machine) {
        return frame.refuse(Exit::Kernel);
    }
    let intent = Intent { what: format!("back to before {}", entry.number), confirm: None, after, back: true };
    for name in before.gone(&aim.held) {
        frame.say(&format!("`{name}` is no longer there, and what stood on it with it"));
    }
    let own = match change::make(frame, &mut aim, &mut guard, intent) {
        Ok(own) => own,
        Err(exit) => return frame.refuse(exit),
    };
    change::ended(frame, &mut entry, Outcome::Reverted);
    let stands = format!("what stood before change {} stands", entry.number);
    change::tell(frame, &aim, own.as_ref(), &stands);
    if !frame.is_json() && !aim.plan.is_empty() {
        frame.say(&format!("{stands} again ({})", entry.what));
    }
    Exit::Done
}

/// `shapectl history [N]`.
pub(super) fn list(frame: &mut Frame, number: Option<u64>) -> Exit {
    let Ok(mut entries) = changes(frame) else { return frame.refuse(Exit::Kernel) };
    let under_way = entries.first().filter(|e| e.outcome == Outcome::Begun && is_at_work(frame)).map(|e| e.number);
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
                    "under_way": under_way == Some(e.number),
                })
            })
            .collect();
        frame.json(&json!({ "changes": list, "diagnostics": diagnostics }));
    } else if entries.is_empty() {
        frame.say("nothing has been changed here");
    } else {
        frame.print(&table(&entries, number.is_some(), under_way));
    }
    Exit::Done
}

/// The changes, the youngest first; `Err` if they cannot be read, which is found.
pub(super) fn changes(frame: &mut Frame) -> Result<Vec<Entry>, ()> {
    let (entries, found) = frame.history().list();
    let unread = found.iter().any(Diagnostic::is_error);
    frame.found.found.extend(found);
    if unread { Err(()) } else { Ok(entries) }
}

/// Whether somebody is changing the namespace now.
fn is_at_work(frame: &Frame) -> bool {
    Kernel::open(frame.global.netns.as_deref()).is_ok_and(|_| Lock::is_held())
}

fn time(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

/// One line a change; with the difference below it if that is asked for.
fn table(entries: &[Entry], whole: bool, under_way: Option<u64>) -> String {
    let outcome = |e: &Entry| if under_way == Some(e.number) { "under way" } else { e.outcome.words() };
    let width = |of: &dyn Fn(&Entry) -> usize| entries.iter().map(of).max().unwrap_or(0);
    let (numbers, outcomes) = (width(&|e| e.number.to_string().len()), width(&|e| outcome(e).len()));
    let mut out = String::new();
    for e in entries {
        let steps = format!("{} step{}", e.steps, if e.steps == 1 { "" } else { "s" });
        let _ = writeln!(
            out,
            "{:>numbers$}  {}  {:outcomes$}  {steps:>9}  {}",
            e.number,
            time(e.begun),
            outcome(e),
            crate::diagnostic::visible(&e.what)
        );
        if whole {
            out.push_str(&crate::diagnostic::visible(&e.difference));
        }
    }
    out
}
