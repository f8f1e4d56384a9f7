//! `apply`: bring the kernel to what is asked, read back, verify.

use super::Exit;
use super::bring::{self, Aim};
use super::change::{self, Guard, Intent};
use super::confirm;
use super::frame::{Frame, leave};
use crate::cli::PolicyArgs;
use crate::plan::is_made;
use crate::state::{Owned, State};
use crate::tree::block_of;
use std::collections::BTreeMap;

/// How to apply.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct How {
    /// Change nothing; print what would be done.
    pub dry_run: bool,
    /// Say nothing where nothing is to be done.
    pub if_changed: bool,
    /// Revert after that many seconds unless it is confirmed.
    pub confirm: Option<u64>,
    /// Take away even what cannot be brought back.
    pub force: bool,
    /// Seconds to wait for another change to end.
    pub wait: u64,
}

pub(super) fn run(frame: &mut Frame, args: &PolicyArgs, how: How) -> Exit {
    let Some(kernel) = frame.kernel() else { return frame.refuse(Exit::Kernel) };
    // whoever only looks takes no lock
    let guard = match how.dry_run {
        true => None,
        false => match Guard::take(frame, how.wait) {
            Ok(guard) => Some(guard),
            Err(exit) => return exit,
        },
    };
    let Ok(aim) = Aim::at(frame, args, kernel) else { return frame.refuse(Exit::Refused) };
    let Some(aim) = aim else { return frame.refuse(Exit::Kernel) };
    if bring::lacks(frame, &aim.plan) {
        return frame.refuse(Exit::Kernel);
    }
    let memory = aim.memory();
    bring::weigh(frame, memory);
    let Some(guard) = guard else { return change::rehearse(frame, &aim, memory) };
    if bring::is_for_good(frame, &aim, how.force) {
        return frame.refuse(Exit::Kernel);
    }
    let exit = carry(frame, aim, guard, how);
    if exit == Exit::Done { exit } else { frame.refuse(exit) }
}

/// Does it. What is found is left to be reported, unless all went well.
fn carry(frame: &mut Frame, mut aim: Aim, mut guard: Guard, how: How) -> Exit {
    let policy = match aim.file.as_str() {
        "-" => None,
        file => std::path::absolute(file).ok().map(|p| p.to_string_lossy().into_owned()),
    };
    let after = State::new(policy, ownership(&aim), aim.ids.clone());
    let intent = Intent { what: format!("apply {}", aim.file), confirm: how.confirm, after, back: false };
    let entry = match change::make(frame, &mut aim, &mut guard, intent) {
        Ok(entry) => entry,
        Err(exit) => return exit,
    };
    if frame.is_json() || !aim.plan.is_empty() || !how.if_changed {
        change::tell(frame, &aim, entry.as_ref(), "the kernel holds what is asked");
    } else {
        frame.report();
    }
    // whoever confirms or reverts wants the lock
    guard.open();
    if let (Some(entry), Some(_)) = (entry, how.confirm) {
        confirm::wait(frame, &entry);
    }
    leave(aim);
    Exit::Done
}

/// What is ours once the policy stands; to be asked before, while the old length of a fifo is still held.
fn ownership(aim: &Aim) -> BTreeMap<String, Owned> {
    let mut owned = BTreeMap::new();
    // devices that shapectl makes are known by their alias
    let held = |name: &str| aim.held.interfaces.get(name).map(|i| &i.link);
    let others = aim.asked.interfaces.iter().filter(|(name, i)| !is_made(name, &i.link, held(name)));
    for (name, interface) in others {
        // a shared block goes with the hooks that look into it
        if block_of(name).is_some() {
            continue;
        }
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
    owned
}
