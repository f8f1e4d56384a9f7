//! `try`: the policy on the running kernel, in a namespace that is thrown away.

use super::Exit;
use super::bring::{self, Aim};
use super::carry::{Stop, carry_out};
use super::frame::{Frame, Machine};
use super::refusal::finding;
use crate::cli::PolicyArgs;
use crate::diagnostic::{Diagnostic, codes};
use crate::kernel::{self, Kernel};
use crate::state::State;
use crate::view;
use serde_json::json;

pub(super) fn run(frame: &mut Frame, args: &PolicyArgs) -> Exit {
    let state = frame.state();
    let file = frame.which(args.file.as_deref(), &state);
    // what the real links are like, as far as they exist
    let mut real = match &frame.global.netns {
        Some(_) => match frame.kernel() {
            Some(kernel) => Some(kernel),
            None => return frame.refuse(Exit::Kernel),
        },
        None => Kernel::open(None).ok(),
    };
    let machine = Machine::read(real.as_mut()).unwrap_or_default();
    drop(real);
    let policy = frame.policy(&file, &|name: &str| machine.facts(name));
    if frame.stops(args.deny_warnings) {
        return frame.refuse(Exit::Refused);
    }
    // what was found will be found again by the same policy in the namespace
    frame.found = crate::diagnostic::Sink::new();
    frame.sources = crate::source::Sources::new();
    let mut kernel = match kernel::scratch() {
        Ok(kernel) => kernel,
        Err(e) => {
            return frame.fail(&e);
        }
    };
    for interface in &policy.interfaces {
        let name = interface.name.value.as_str();
        if let Err(e) = kernel.stand_in(name, &machine.facts(name)) {
            let message = format!("no stand-in for `{name}` can be made: {e}");
            frame.found.push(Diagnostic::new(&codes::KERNEL_REFUSED, message).at(interface.name.span, ""));
            return frame.refuse(Exit::Kernel);
        }
    }
    let mut aim = match Aim::with(frame, args.deny_warnings, file, State::default(), kernel) {
        Ok(Some(aim)) => aim,
        Ok(None) => return frame.refuse(Exit::Kernel),
        Err(()) => return frame.refuse(Exit::Refused),
    };
    if bring::lacks(frame, &aim.plan) {
        return frame.refuse(Exit::Kernel);
    }
    let facts = |name: &str| aim.machine.facts(name);
    if let Err(Stop::Refused(refused)) = carry_out(&mut aim.kernel, &aim.plan, &facts, &mut |_| true) {
        frame.found.push(finding(&refused));
        return frame.refuse(Exit::Kernel);
    }
    let left = match bring::what_is_left(&mut aim) {
        Ok(left) => left,
        Err(e) => {
            return frame.fail(&e);
        }
    };
    if !left.is_empty() {
        let text = view::plan_text(&left, aim.names(), view::Paint { on: false });
        let message = "the kernel took every step and holds something else than what was asked";
        frame.found.push(Diagnostic::new(&codes::NOT_HELD, message).help(format!("what is left:\n{text}")));
        return frame.refuse(Exit::Kernel);
    }
    let diagnostics = frame.report();
    if frame.is_json() {
        let mut json = view::tree_json(&aim.held, aim.names());
        if let Some(map) = json.as_object_mut() {
            map.insert("ok".into(), json!(true));
            map.insert("steps".into(), json!(aim.plan.steps.len()));
            map.insert("diagnostics".into(), json!(diagnostics));
        }
        frame.json(&json);
    } else {
        let mut shown = std::mem::take(&mut aim.held);
        shown.interfaces.retain(|name, _| aim.asked.interfaces.contains_key(name));
        frame.print(&view::tree_text(&shown, aim.names(), frame.paint()));
        frame.say(&format!(
            "{}: {} steps taken by this kernel in a namespace of its own, read back and the same as asked; nothing is left of it",
            aim.file,
            aim.plan.steps.len()
        ));
    }
    Exit::Done
}
