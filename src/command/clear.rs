//! `clear`: an interface gets its default back.

use super::Exit;
use super::bring;
use super::frame::{Frame, Machine, names, refusal};
use crate::diagnostic::{Diagnostic, codes};
use crate::tree::{Branch, Interface, Tree};
use crate::{plan, script, view};

pub(super) fn run(frame: &mut Frame, name: &str, dry_run: bool) -> Exit {
    let mut state = frame.state();
    let Some(mut kernel) = frame.kernel() else { return frame.refuse(Exit::Kernel) };
    let machine = match Machine::read(Some(&mut kernel)) {
        Ok(machine) => machine,
        Err(e) => {
            frame.found.push(refusal(&e));
            return frame.refuse(Exit::Kernel);
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
    let held = match bring::read(&mut kernel, std::iter::once(name)) {
        Ok(held) => held,
        Err(e) => {
            frame.found.push(refusal(&e));
            return frame.refuse(Exit::Kernel);
        }
    };
    let plan = plan::plan(&asked, &held, &facts);
    if !dry_run {
        if let Err(refused) = bring::carry_out(&mut kernel, &plan, &facts, &mut |_| ()) {
            frame.found.push(bring::finding(&refused));
            return frame.refuse(Exit::Kernel);
        }
        state.owned.remove(name);
        state.ids.forget(name);
        if let Err(e) = state.save(&frame.global.state_dir, frame.global.netns.as_deref()) {
            frame.found.push(Diagnostic::new(&codes::STATE_LOST, format!("the change cannot be remembered: {e}")));
        }
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
