//! `doctor`: what this kernel has and lacks, and what of the links defeats shaping. Touches no link.

use super::Exit;
use super::frame::{Frame, Machine};
use crate::doctor::{self, Need, Status};
use crate::kernel::{self, Kernel};
use crate::lower::Ids;
use crate::tree::Tree;
use crate::view::{self, Report};

pub(super) fn run(frame: &mut Frame, interface: Option<&str>, policy: Option<&str>) -> Exit {
    let state = frame.state();
    let Some(mut kernel) = frame.kernel() else { return frame.refuse(Exit::Kernel) };
    let machine = Machine::read(Some(&mut kernel)).unwrap_or_default();
    let clock = kernel.clock().clone();
    let mut links = match kernel.link_facts() {
        Ok(links) => links,
        Err(e) => return frame.fail(&e),
    };
    if let Some(name) = interface {
        links.retain(|link| link.info.name == name);
        if links.is_empty() {
            frame.lacks_interface(name, None);
            return frame.refuse(Exit::Refused);
        }
    } else {
        links.retain(|link| link.info.name != "lo");
    }
    // whoever may not read what is held is told the rest
    let held = kernel.read(interface.map(|name| vec![name]).as_deref()).unwrap_or_default();
    let file = policy.map(str::to_owned).or(state.policy.clone());
    let needs = match &file {
        Some(file) => needs(frame, file, &machine),
        None => Vec::new(),
    };
    if policy.is_some() && frame.stops(false) {
        return frame.refuse(Exit::Refused);
    }
    let remarked = links.into_iter().map(|link| {
        let remarks = doctor::remarks(&link, held.interfaces.get(&link.info.name), &clock);
        (link, remarks)
    });
    let remarked: Vec<_> = remarked.collect();
    let installed = kernel::installed();
    // the last thing that is done: without the right to a namespace on a thread, the process itself enters one
    drop(kernel);
    let things = doctor::to_ask(&installed);
    let asked =
        kernel::probe(&things).or_else(|_| kernel::scratch().and_then(|mut scratch: Kernel| scratch.probe(&things)));
    let answers = asked.unwrap_or_else(|e| {
        frame.say(&format!("the kernel cannot be asked for its kinds: {e}"));
        Vec::new()
    });
    let findings = doctor::judge(&installed, &answers, &needs);
    let lacking = findings.iter().any(|f| f.needed && f.status == Status::Missing);
    let report = Report {
        release: &installed.release,
        clock: &doctor::clock(&clock, &installed),
        findings: &findings,
        policy: file.as_deref(),
        links: &remarked,
    };
    let diagnostics = frame.report();
    if frame.is_json() {
        let mut json = view::doctor_json(&report);
        if let Some(map) = json.as_object_mut() {
            map.insert("ok".into(), serde_json::json!(!lacking));
            map.insert("diagnostics".into(), serde_json::json!(diagnostics));
        }
        frame.json(&json);
    } else {
        frame.print(&view::doctor_text(&report, frame.paint()));
    }
    if lacking { Exit::Kernel } else { Exit::Done }
}

/// What a policy needs; what is wrong with it is found.
fn needs(frame: &mut Frame, file: &str, machine: &Machine) -> Vec<Need> {
    let facts = |name: &str| machine.facts(name);
    let policy = frame.policy(file, &facts);
    let (asked, _): (Tree, Ids) = frame.lower(&policy, &facts, &Ids::default());
    doctor::needs(&asked)
}
