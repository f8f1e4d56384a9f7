//! `clear`: an interface gets its default back.

use super::Exit;
use super::apply::{guard, save};
use super::bring;
use super::carry::{Stop, carry_out};
use super::frame::{Frame, Machine, names};
use crate::diagnostic::{Diagnostic, codes};
use crate::state::history::{Draft, Outcome};
use crate::tree::{Branch, Interface, Tree};
use crate::{plan, script, view};

pub(super) fn run(frame: &mut Frame, name: &str, dry_run: bool, force: bool, wait: u64) -> Exit {
    let Some(mut kernel) = frame.kernel() else { return frame.refuse(Exit::Kernel) };
    let _guard = match dry_run {
        true => None,
        false => match guard(frame, wait) {
            Ok(guard) => Some(guard),
            Err(exit) => return exit,
        },
    };
    let mut state = frame.state();
    let machine = match Machine::read(Some(&mut kernel)) {
        Ok(machine) => machine,
        Err(e) => {
            return frame.fail(&e);
        }
    };
    if !machine.has(name) {
        frame.found.push(Diagnostic::new(&codes::NO_INTERFACE, format!("there is no interface `{name}` here")));
        return frame.refuse(Exit::Refused);
    }
    let mut asked = Tree::default();
    let mut bare =
        Interface { egress: Some(Branch::default()), ingress: Some(Branch::default()), ..Interface::default() };
    bare.link.txqueuelen = state.owned.get(name).and_then(|o| o.txqueuelen);
    asked.interfaces.insert(name.into(), bare);
    let facts = |name: &str| machine.facts(name);
    let (held, snapshot) = match bring::read_and_keep(&mut kernel, std::iter::once(name)) {
        Ok(read) => read,
        Err(e) => {
            return frame.fail(&e);
        }
    };
    let plan = plan::plan(&asked, &held, &facts);
    if !dry_run && bring::is_for_good(frame, &plan, &state.ids.names(), force) {
        return frame.refuse(Exit::Kernel);
    }
    if !dry_run && !plan.is_empty() {
        let history = frame.history();
        let draft = Draft {
            what: format!("clear {name}"),
            steps: plan.steps.len(),
            difference: view::plan_text(&plan, &state.ids.names(), view::Paint { on: false }),
            interfaces: vec![name.to_owned()],
            ..Draft::default()
        };
        let mut entry = match history.begin(draft, &state, &snapshot.bytes()) {
            Ok(entry) => entry,
            Err(e) => {
                let message = format!("what stands now cannot be written down, so nothing is done: {e}");
                frame.found.push(Diagnostic::new(&codes::STATE_LOST, message));
                return frame.refuse(Exit::Kernel);
            }
        };
        if let Err(exit) = frame.shed() {
            return exit;
        }
        if let Err(Stop::Refused(refused)) = carry_out(&mut kernel, &plan, &facts, &mut |_| true) {
            frame.found.push(super::refusal::finding(&refused));
            let _ = history.end(&mut entry, Outcome::Broken);
            return frame.refuse(Exit::Kernel);
        }
        let _ = history.end(&mut entry, Outcome::Done);
    }
    if !dry_run {
        state.owned.remove(name);
        state.ids.forget(name);
        save(frame, &state);
    }
    frame.report();
    let names = names(&state.ids, &asked);
    match (frame.is_json(), dry_run) {
        (true, _) => frame.json(&view::plan_json(&plan, &names, &frame.sources)),
        (false, true) => frame.print(&script::delta(&plan)),
        (false, false) => frame.print(&view::plan_text(&plan, &names, frame.paint())),
    }
    if plan.is_empty() && !frame.is_json() {
        frame.say(&format!("{name} has its default already"));
    }
    Exit::Done
}
