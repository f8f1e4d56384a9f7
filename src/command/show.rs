//! `show`: the trees that the kernel holds.

use super::Exit;
use super::frame::{Frame, names};
use crate::tree::{Branch, Tree};
use crate::view;

pub(super) fn run(frame: &mut Frame, interface: Option<&str>, all: bool) -> Exit {
    let state = frame.state();
    let Some(mut kernel) = frame.kernel() else { return frame.refuse(Exit::Kernel) };
    let wanted = interface.map(|i| vec![i]);
    let mut tree = match kernel.read(wanted.as_deref()) {
        Ok(tree) => tree,
        Err(e) => {
            return frame.fail(&e);
        }
    };
    if let Some(name) = interface.filter(|n| !tree.interfaces.contains_key(*n)) {
        frame.lacks_interface(name, None);
        return frame.refuse(Exit::Refused);
    }
    if interface.is_none() && !all {
        let has = |b: &Option<Branch>| b.as_ref().is_some_and(|b| !b.objects.is_empty());
        tree.interfaces.retain(|_, i| has(&i.egress) || has(&i.ingress));
    }
    let names = names(&state.ids, &Tree::default());
    frame.report();
    if frame.is_json() {
        frame.json(&view::tree_json(&tree, &names));
    } else if tree.interfaces.is_empty() {
        frame.say("no interface has more than its default (all of them: --all)");
    } else {
        frame.print(&view::tree_text(&tree, &names, frame.paint()));
    }
    Exit::Done
}
