//! `script`: the policy as tc commands from nothing.

use super::Exit;
use super::frame::{Frame, Machine};
use crate::cli::PolicyArgs;
use crate::lower::Ids;
use crate::{plan, script};
use serde_json::json;

pub(super) fn run(frame: &mut Frame, args: &PolicyArgs, batch: bool, fresh: bool) -> Exit {
    let state = frame.state();
    let file = frame.which(args.file.as_deref(), &state);
    // the machine's figures make a better script, and a script can be made anywhere
    let mut kernel = crate::kernel::Kernel::open(frame.global.netns.as_deref()).ok();
    let machine = Machine::read(kernel.as_mut()).unwrap_or_default();
    let facts = |name: &str| machine.facts(name);
    let ids = if fresh { Ids::default() } else { state.ids.clone() };
    let policy = frame.policy(&file, &facts);
    let (asked, _) = frame.lower(&policy, &facts, &ids);
    if frame.stops(args.deny_warnings) {
        return frame.refuse(Exit::Refused);
    }
    let plan = plan::from_nothing(&asked, &facts);
    let diagnostics = frame.report();
    if frame.is_json() {
        let commands: Vec<_> = plan.steps.iter().flat_map(script::commands).collect();
        frame.json(&json!({ "ok": true, "commands": commands, "diagnostics": diagnostics }));
    } else if batch {
        frame.print(&script::batch(&plan, &file));
    } else {
        frame.print(&script::script(&plan, &file));
    }
    Exit::Done
}
