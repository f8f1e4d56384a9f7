//! `export`: what the kernel holds, as a policy.

use super::Exit;
use super::frame::{Frame, Machine, names};
use super::refusal::refusal;
use crate::cli::To;
use crate::kind::Vocabulary;
use crate::raise;
use crate::source::Notation;
use crate::syntax::write;
use crate::tree::Tree;
use serde_json::json;

pub(super) fn run(frame: &mut Frame, interfaces: &[String], to: To) -> Exit {
    let state = frame.state();
    let Some(mut kernel) = frame.kernel() else { return frame.refuse(Exit::Kernel) };
    let wanted: Vec<&str> = interfaces.iter().map(String::as_str).collect();
    let read = Machine::read(Some(&mut kernel))
        .and_then(|machine| Ok((machine, kernel.read((!wanted.is_empty()).then_some(wanted.as_slice()))?)));
    let (mut machine, tree) = match read {
        Ok(read) => read,
        Err(e) => {
            frame.found.push(refusal(&e));
            return frame.refuse(Exit::Kernel);
        }
    };
    for name in wanted.iter().filter(|n| !tree.interfaces.contains_key(**n)) {
        frame.lacks_interface(name, None);
    }
    if frame.found.has_errors() {
        return frame.refuse(Exit::Refused);
    }
    kernel.look_for_pins(&tree);
    machine.look_again(&kernel);
    let facts = |name: &str| machine.facts(name);
    let raised = raise::raise(&tree, &names(&state.ids, &Tree::default()), &facts);
    raised.remarks.into_iter().for_each(|remark| frame.found.push(remark));
    let notation = match to {
        To::Yaml => Notation::Yaml,
        To::Shape => Notation::Shape,
    };
    let text = match write::convert(&raised.document, notation, &Vocabulary) {
        Ok(text) => text,
        Err(finding) => {
            frame.found.push(*finding);
            return frame.refuse(Exit::Refused);
        }
    };
    let diagnostics = frame.report();
    if frame.is_json() {
        frame.json(&json!({ "ok": true, "policy": text, "diagnostics": diagnostics }));
    } else {
        frame.print(&text);
    }
    Exit::Done
}
