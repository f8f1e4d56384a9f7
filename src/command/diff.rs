//! `diff`: what moved.

use super::Exit;
use super::bring::Aim;
use super::frame::Frame;
use crate::cli::PolicyArgs;
use crate::view;
use serde_json::Value;

pub(super) fn run(frame: &mut Frame, args: &PolicyArgs, quiet: bool) -> Exit {
    let Ok(aim) = Aim::take(frame, args) else { return frame.refuse(Exit::Refused) };
    let Some(aim) = aim else { return frame.refuse(Exit::Kernel) };
    let diagnostics = frame.report();
    if frame.is_json() {
        let mut json = view::plan_json(&aim.plan, aim.names(), &frame.sources);
        if let Some(map) = json.as_object_mut() {
            map.insert("ok".into(), Value::Bool(true));
            map.insert("milliseconds".into(), aim.times.json());
            map.insert("different".into(), Value::Bool(!aim.plan.is_empty()));
            map.insert("policy".into(), Value::String(aim.file.clone()));
            map.insert("diagnostics".into(), Value::Array(diagnostics));
        }
        frame.json(&json);
    } else if !quiet {
        frame.print(&view::plan_text(&aim.plan, aim.names(), frame.paint()));
        if aim.plan.is_empty() {
            frame.say(&format!("no difference between {} and the kernel", aim.file));
        }
    }
    let exit = if aim.plan.is_empty() { Exit::Done } else { Exit::Different };
    aim.leave();
    exit
}
