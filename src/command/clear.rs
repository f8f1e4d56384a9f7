//! `clear`: an interface gets its default back.

use super::Exit;
use super::bring::{self, Aim, Stands};
use super::change::{self, Guard, Intent};
use super::frame::{Frame, Machine};
use crate::tree::{Branch, Interface, Tree};

pub(super) fn run(frame: &mut Frame, name: &str, dry_run: bool, force: bool, wait: u64) -> Exit {
    let Some(mut kernel) = frame.kernel() else { return frame.refuse(Exit::Kernel) };
    let guard = match dry_run {
        true => None,
        false => match Guard::take(frame, wait) {
            Ok(guard) => Some(guard),
            Err(exit) => return exit,
        },
    };
    let state = frame.state();
    let machine = match Machine::read(Some(&mut kernel)) {
        Ok(machine) => machine,
        Err(e) => return frame.fail(&e),
    };
    if !machine.has(name) {
        frame.lacks_interface(name, None);
        return frame.refuse(Exit::Refused);
    }
    let mut bare =
        Interface { egress: Some(Branch::default()), ingress: Some(Branch::default()), ..Interface::default() };
    bare.link.txqueuelen = state.owned.get(name).and_then(|o| o.txqueuelen);
    let asked = Tree { interfaces: [(name.into(), bare)].into_iter().collect() };
    let read = bring::read_and_keep(&mut kernel, std::iter::once(name));
    let (held, snapshot) = match read {
        Ok(read) => read,
        Err(e) => return frame.fail(&e),
    };
    let mut aim = Aim::to(asked, Stands { kernel, machine, state, held, snapshot });
    let Some(mut guard) = guard else { return change::rehearse(frame, &aim, aim.memory()) };
    if bring::is_for_good(frame, &aim, force) {
        return frame.refuse(Exit::Kernel);
    }
    let mut after = aim.state.clone();
    after.owned.remove(name);
    after.ids.forget(name);
    let intent = Intent { what: format!("clear {name}"), confirm: None, after, back: false };
    match change::make(frame, &mut aim, &mut guard, intent) {
        Ok(entry) => {
            change::tell(frame, &aim, entry.as_ref(), &format!("{name} has its default already"));
            Exit::Done
        }
        Err(exit) => frame.refuse(exit),
    }
}
