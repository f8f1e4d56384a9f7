//! `apply`: bring the kernel to what is asked, read back, verify.

use super::Exit;
use super::bring::{self, Aim};
use super::frame::{Frame, refusal};
use crate::cli::PolicyArgs;
use crate::diagnostic::{Diagnostic, codes};
use crate::facts::Facts;
use crate::state::Owned;
use crate::{script, view};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};

pub(super) fn run(frame: &mut Frame, args: &PolicyArgs, dry_run: bool) -> Exit {
    let Ok(aim) = Aim::take(frame, args) else { return frame.refuse(Exit::Refused) };
    let Some(aim) = aim else { return frame.refuse(Exit::Kernel) };
    if dry_run {
        return rehearsed(frame, &aim);
    }
    let exit = carry(frame, aim);
    if exit == Exit::Done { exit } else { frame.refuse(exit) }
}

fn rehearsed(frame: &mut Frame, aim: &Aim) -> Exit {
    let diagnostics = frame.report();
    if frame.is_json() {
        let mut json = view::plan_json(&aim.plan, &aim.names(), &frame.sources);
        if let Some(map) = json.as_object_mut() {
            map.insert("ok".into(), Value::Bool(true));
            map.insert("diagnostics".into(), Value::Array(diagnostics));
        }
        frame.json(&json);
    } else {
        frame.print(&script::delta(&aim.plan));
        if aim.plan.is_empty() {
            frame.say("nothing to do");
        }
    }
    Exit::Done
}

/// Does it. What is found is left to be reported, unless all went well.
pub(super) fn carry(frame: &mut Frame, mut aim: Aim) -> Exit {
    let facts = |name: &str| -> Facts { aim.machine.facts(name) };
    let steps = aim.plan.steps.len();
    let progress = std::io::stderr().is_terminal() && steps > 2_000 && !frame.is_json();
    let mut tick = |done: usize| {
        if progress {
            let _ = write!(std::io::stderr().lock(), "\r{done} of {steps} steps");
        }
    };
    let result = bring::carry_out(&mut aim.kernel, &aim.plan, &facts, &mut tick);
    if progress {
        let _ = writeln!(std::io::stderr().lock());
    }
    if let Err(refused) = result {
        frame.found.push(bring::finding(&refused));
        match bring::put_back(&mut aim.kernel, &aim.held, &aim.asked, &facts) {
            Ok(true) => frame.say("nothing has changed: the state from before stands again"),
            Ok(false) => {
                frame.say("the state from before could not be put back whole; `shapectl diff` shows what stands")
            }
            Err(e) => frame
                .say(&format!("the state from before could not be put back: {e}; `shapectl diff` shows what stands")),
        }
        return Exit::Kernel;
    }
    aim.times.end("send");
    // a plan of nothing has been verified by the reading it came from
    if steps > 0 {
        match bring::what_is_left(&mut aim) {
            Ok(left) => {
                if !left.is_empty() {
                    let message = "the kernel holds something else than what was asked";
                    let text = view::plan_text(&left, &aim.names(), view::Paint { on: false });
                    frame.found.push(Diagnostic::new(&codes::NOT_HELD, message).help(format!("what is left:\n{text}")));
                    return Exit::Kernel;
                }
            }
            Err(e) => {
                frame.found.push(refusal(&e));
                return Exit::Kernel;
            }
        }
    }
    aim.times.end("verify");
    let names = aim.names();
    remember(frame, &mut aim);
    let diagnostics = frame.report();
    if frame.is_json() {
        let mut json = view::plan_json(&aim.plan, &names, &frame.sources);
        if let Some(map) = json.as_object_mut() {
            map.insert("ok".into(), json!(true));
            map.insert("milliseconds".into(), aim.times.json());
            map.insert("diagnostics".into(), Value::Array(diagnostics));
        }
        frame.json(&json);
    } else {
        frame.print(&view::plan_text(&aim.plan, &names, frame.paint()));
        let said = match steps {
            0 => "nothing to do: the kernel holds what is asked".to_owned(),
            1 => "1 step done, read back and verified".to_owned(),
            n => format!("{n} steps done, read back and verified"),
        };
        frame.say(&said);
    }
    Exit::Done
}

/// Writes down what was given which number, and what is ours now.
fn remember(frame: &mut Frame, aim: &mut Aim) {
    aim.state.ids = aim.ids.clone();
    aim.state.policy = match aim.file.as_str() {
        "-" => None,
        file => std::path::absolute(file).ok().map(|p| p.to_string_lossy().into_owned()),
    };
    let mut owned = std::collections::BTreeMap::new();
    // devices that shapectl makes are known by their alias
    for (name, interface) in aim.asked.interfaces.iter().filter(|(_, i)| i.link.kind.is_none()) {
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
    aim.state.owned = owned;
    if let Err(e) = aim.state.save(&frame.global.state_dir, frame.global.netns.as_deref()) {
        frame.found.push(
            Diagnostic::new(&codes::STATE_LOST, format!("what was applied cannot be remembered: {e}"))
                .help("the kernel holds the policy; class numbers may move at the next apply"),
        );
    }
}
