//! `diff`: what moved.

use super::Exit;
use super::bring::Aim;
use super::frame::{Frame, leave};
use crate::cli::PolicyArgs;
use crate::view;
use serde_json::{Value, json};

pub(super) fn run(frame: &mut Frame, args: &PolicyArgs, quiet: bool) -> Exit {
    let Ok(aim) = Aim::take(frame, args) else { return frame.refuse(Exit::Refused) };
    let Some(aim) = aim else { return frame.refuse(Exit::Kernel) };
    let diagnostics = frame.report();
    if frame.is_json() {
        let beside = vec![
            ("ok", json!(true)),
            ("milliseconds", aim.times.json()),
            ("different", json!(!aim.plan.is_empty())),
            ("policy", json!(aim.file)),
            ("diagnostics", Value::Array(diagnostics)),
        ];
        frame.json(&aim.json(&frame.sources, beside));
    } else if !quiet {
        frame.print(&view::plan_text(&aim.plan, aim.names(), frame.paint()));
        if aim.plan.is_empty() {
            frame.say(&format!("no difference between {} and the kernel", aim.file));
        }
    }
    let exit = if aim.plan.is_empty() { Exit::Done } else { Exit::Different };
    leave(aim);
    exit
}
