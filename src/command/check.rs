//! `check`: every mistake at once.

use super::Exit;
use super::frame::{Frame, Machine};
use crate::diagnostic::{Diagnostic, codes};
use serde_json::json;

pub(super) fn run(frame: &mut Frame, files: &[String], deny_warnings: bool, live: bool) -> Exit {
    let state = frame.state();
    let files = match files {
        [] => vec![frame.which(None, &state)],
        files => files.to_vec(),
    };
    // a machine that cannot be asked is no reason not to check; the stated defaults stand then
    let mut kernel = if frame.global.netns.is_some() || live {
        match frame.kernel() {
            Some(kernel) => Some(kernel),
            None => return frame.refuse(Exit::Kernel),
        }
    } else {
        crate::kernel::Kernel::open(None).ok()
    };
    let machine = Machine::read(kernel.as_mut()).unwrap_or_default();
    for file in &files {
        let facts = |name: &str| machine.facts(name);
        let policy = frame.policy(file, &facts);
        frame.lower(&policy, &facts, &state.ids);
        for interface in &policy.interfaces {
            if !machine.has(&interface.name.value) {
                let code = if live { &codes::NO_INTERFACE } else { &codes::INTERFACE_ELSEWHERE };
                let message = format!("there is no interface `{}` here", interface.name.value);
                frame.found.push(Diagnostic::new(code, message).at(interface.name.span, ""));
            }
        }
    }
    let bad = frame.stops(deny_warnings);
    frame.found.settle();
    let (errors, warnings) = frame.found.found.iter().fold((0, 0), |(e, w), d| match d.severity() {
        codes::Severity::Error => (e + 1, w),
        codes::Severity::Warning => (e, w + 1),
        codes::Severity::Note => (e, w),
    });
    let diagnostics = frame.report();
    if frame.is_json() {
        frame.json(&json!({ "ok": !bad, "files": files, "diagnostics": diagnostics }));
    } else {
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let verdict = if bad { "refused" } else { "clean" };
        frame.say(&format!(
            "{}: {verdict}, {}, {}",
            files.join(", "),
            count(errors, "error"),
            count(warnings, "warning")
        ));
    }
    if bad { Exit::Refused } else { Exit::Done }
}
