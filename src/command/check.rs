//! `check`: every mistake at once.

use super::Exit;
use super::bring;
use super::frame::{Frame, Machine};
use crate::diagnostic::{Diagnostic, codes};
use crate::plan;
use crate::policy::check::{Summary, summaries};
use crate::tree::Tree;
use serde_json::{Value, json};

pub(super) fn run(frame: &mut Frame, files: &[String], deny_warnings: bool, live: bool, rules: bool) -> Exit {
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
    let mut machine = Machine::read(kernel.as_mut()).unwrap_or_default();
    let mut lists = Vec::new();
    for file in &files {
        let policy = frame.policy(file, &|name| machine.facts(name));
        if live {
            let (asked, _) = frame.lower_for(&mut machine, &policy, &state.ids, &Tree::default(), None);
            // as if nothing of it stood
            let facts = |name: &str| machine.facts(name);
            let plan = plan::from_nothing(&asked, &facts);
            bring::lacks(frame, &plan);
            bring::weigh(frame, bring::memory_of(&plan, &facts));
        } else {
            frame.lower(&policy, &|name| machine.facts(name), &state.ids);
        }
        if rules && !frame.found.has_errors() {
            lists.extend(summaries(&policy, &mut frame.found));
        }
        for name in machine.missing(&policy) {
            if live {
                frame.lacks_interface(&name.value, Some(name.span));
                continue;
            }
            let message = format!("there is no interface `{}` here", name.value);
            frame.found.push(Diagnostic::new(&codes::INTERFACE_ELSEWHERE, message).at(name.span, ""));
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
        let mut out = json!({ "ok": !bad, "files": files, "diagnostics": diagnostics });
        if let (true, Some(members)) = (rules, out.as_object_mut()) {
            members.insert("lists".to_owned(), lists.iter().map(as_json).collect());
        }
        frame.json(&out);
    } else {
        lists.iter().for_each(|list| frame.print(&as_text(list)));
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

/// A list of rules, with what it leaves and where that goes.
fn as_text(list: &Summary) -> String {
    let Summary { interface, side, rules, left, whole, goes } = list;
    let mut out = format!("{interface} {side}: {rules} rule{}\n", if *rules == 1 { "" } else { "s" });
    match left.is_empty() {
        true if *whole => out.push_str("  every packet is taken by a rule\n"),
        true => out.push_str("  what no rule takes is too varied to be told\n"),
        false => {
            out.push_str(if *whole { "  no rule takes\n" } else { "  no rule takes some of\n" });
            left.iter().for_each(|line| out.push_str(&format!("    {line}\n")));
        }
    }
    if !(left.is_empty() && *whole) {
        out.push_str(&format!("  which {goes}\n"));
    }
    out
}

fn as_json(list: &Summary) -> Value {
    let Summary { interface, side, rules, left, whole, goes } = list;
    json!({ "interface": interface, "side": side, "rules": rules, "left": left, "whole": whole, "goes": goes })
}
