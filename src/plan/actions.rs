//! Actions that filters share by number (tc's `index`).
//!
//! A filter that names an action that stands is bound to it as it is, whatever else it says of it (`TCA_ACT_FLAGS_BIND` in
//! net/sched/act_*.c). So what such an action is to be is a step of its own, which all its filters feel at once; it comes
//! before any filter moves, and finds the action also where that goes with its last filter: the kernel lets go of it some
//! time later, and a filter made anew in its place may still be bound to it.
//!
//! Two things are otherwise (`tcf_action_init_1` in net/sched/act_api.c). Which statistics hardware keeps is set anew by
//! each message that names the action, to any if it says nothing: so all filters say the same ([`agreed`]). And whether it
//! counts for each processor is decided at its birth, and never again ([`born_otherwise`]).

use super::{Difference, Step, Subject, Verb};
use crate::facts::Facts;
use crate::kind::action::{Act, NO_PERCPU_WORD};
use crate::kind::{acts, each_act};
use crate::tree::{Object, Tree};
use compact_str::CompactString;
use foldhash::{HashMap, HashMapExt};
use indexmap::IndexMap;
use std::borrow::Cow;

/// What such an action is known by: its kind and its number.
pub type Number = (CompactString, u32);

/// What is asked of a shared action, and by whom.
pub struct Shared<'t> {
    /// The interface of the first filter that says what it is.
    pub interface: &'t CompactString,
    /// That filter.
    pub filter: &'t Object,
    /// The action.
    pub act: &'t Act,
}

/// The actions that filters of a tree know by number and say more of than that.
pub fn shared(tree: &Tree) -> IndexMap<Number, Shared<'_>> {
    let mut all = IndexMap::new();
    for (interface, filter) in filters(tree) {
        for act in acts(filter.options.as_ref()).filter(|act| !act.is_shared()) {
            let Some(number) = act.number() else { continue };
            all.entry((act.name.clone(), number)).or_insert(Shared { interface, filter, act });
        }
    }
    all
}

fn filters(tree: &Tree) -> impl Iterator<Item = (&CompactString, &Object)> {
    tree.interfaces.iter().flat_map(|(name, interface)| {
        let branches = [&interface.egress, &interface.ingress].into_iter().flatten();
        let objects = branches.flat_map(|branch| &branch.objects);
        objects.filter(|object| object.place().is_some()).map(move |object| (name, object))
    })
}

/// What an action that is asked for differs in from one that stands; and it as it is sent.
pub fn differences(asked: &Act, held: &Act, facts: &Facts) -> (Vec<Difference>, Act) {
    let mut send = asked.clone();
    send.complete(facts);
    let (mut wanted, mut standing) = (send.clone(), held.clone());
    wanted.assume(facts);
    standing.assume(facts);
    let options = wanted.options.as_ref();
    let differs = |i: &usize| !wanted.same_row(&standing, *i, facts);
    let shown = |act: &Act, i: usize| act.options.slot(i).and_then(|slot| slot.show());
    let rows = options.rows().iter().enumerate().filter(|(i, row)| !row.tool && differs(i));
    let mut found: Vec<Difference> = rows
        .map(|(i, row)| Difference { word: row.word, held: shown(&standing, i), asked: shown(&wanted, i) })
        .collect();
    found.extend(asked.beside(held).into_iter().map(|(word, held, asked)| Difference { word, held, asked }));
    (found, send)
}

/// What the kernel does not change of an action that stands: it must be made under another number.
pub fn born_otherwise(asked: &Act, held: &Act, facts: &Facts) -> Option<Difference> {
    differences(asked, held, facts).0.into_iter().find(|difference| difference.word == NO_PERCPU_WORD)
}

/// What is asked, with all that share an action saying of it what one of them says beside its options.
pub(super) fn agreed(asked: &Tree) -> Cow<'_, Tree> {
    let numbered = filters(asked).flat_map(|(_, filter)| acts(filter.options.as_ref()));
    let numbered: Vec<_> = numbered.filter_map(|act| Some((act, (&act.name, act.number()?)))).collect();
    let mut said = HashMap::new();
    // who says most, first
    for whole in [true, false] {
        for (act, number) in numbered.iter().filter(|(act, _)| act.is_shared() != whole) {
            if whole || act.hw_stats.is_some() || act.flags != 0 {
                said.entry(*number).or_insert((act.hw_stats, act.flags));
            }
        }
    }
    let differs = |(act, number): &(&Act, _)| said.get(number).is_some_and(|said| *said != (act.hw_stats, act.flags));
    if !numbered.iter().any(differs) {
        return Cow::Borrowed(asked);
    }
    let mut agreed = asked.clone();
    each_act_of(&mut agreed, |act| {
        if let Some(said) = act.number().and_then(|number| said.get(&(&act.name, number))) {
            (act.hw_stats, act.flags) = *said;
        }
    });
    Cow::Owned(agreed)
}

fn each_act_of(tree: &mut Tree, mut each: impl FnMut(&mut Act)) {
    let branches = tree.interfaces.values_mut().flat_map(|i| [&mut i.egress, &mut i.ingress]).flatten();
    for object in branches.flat_map(|branch| &mut branch.objects) {
        each_act(object.options.as_mut(), &mut each);
    }
}

/// The steps that make of shared actions what they are to be.
pub(super) fn settle(asked: &Tree, held: &Tree, facts: &dyn Fn(&str) -> Facts) -> Vec<Step> {
    let mut wanted = shared(asked);
    if wanted.is_empty() {
        return Vec::new();
    }
    let mut standing: HashMap<Number, &Act> = HashMap::new();
    for act in filters(held).flat_map(|(_, filter)| acts(filter.options.as_ref())) {
        if let Some(number) = act.number() {
            standing.insert((act.name.clone(), number), act);
        }
    }
    wanted.retain(|number, _| standing.contains_key(number));
    let step = |(number, Shared { interface, filter, act }): (Number, Shared)| {
        let held = standing.get(&number)?;
        let (differences, send) = differences(act, held, &facts(interface));
        let users = held.figure("bindings").filter(|users| *users > 1);
        (!differences.is_empty()).then(|| Step {
            interface: interface.clone(),
            verb: Verb::Change,
            subject: Subject::Action(Box::new(send), filter.origin.span),
            differences,
            remark: users.map(|users| format!("{users} filters share it")),
            for_good: false,
            drops: None,
        })
    };
    wanted.into_iter().filter_map(step).collect()
}

/// What is held once these steps are done.
pub(super) fn after<'t>(held: &'t Tree, steps: &[Step]) -> Cow<'t, Tree> {
    let mut changed: HashMap<Number, &Act> = HashMap::new();
    for step in steps {
        if let Subject::Action(act, _) = &step.subject
            && let Some(number) = act.number()
        {
            changed.insert((act.name.clone(), number), act);
        }
    }
    if changed.is_empty() {
        return Cow::Borrowed(held);
    }
    let mut after = held.clone();
    each_act_of(&mut after, |act| {
        let Some(now) = act.number().and_then(|number| changed.get(&(act.name.clone(), number))) else { return };
        act.options = now.options.clone();
        act.cookie = now.cookie.clone().or(act.cookie.take());
        act.hw_stats = now.hw_stats;
    });
    Cow::Owned(after)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::kind::action::Actions;
    use crate::kind::filter::matchall::{self, MatchAll};
    use crate::plan::plan;
    use crate::tree::{Branch, Id, Interface};
    use crate::unit::{Handle, Reader, Unit};

    fn tree(actions: &[&str]) -> Tree {
        let hook = Id::Qdisc { parent: Handle::INGRESS, handle: Handle::new(0xffff, 0) };
        let hook = Object::new(hook, &crate::kind::qdisc::clsact::KIND, (crate::kind::qdisc::clsact::KIND.options)());
        let filters = (1..).zip(actions).map(|(prio, text)| {
            let id = Id::Filter { parent: Handle::HOOK_INGRESS, chain: 0, prio, protocol: 3, handle: 1 };
            let mut action = Actions::read(text, &mut Reader::default()).unwrap();
            action.complete(&Facts::default());
            Object::new(id, &matchall::KIND, Box::new(MatchAll { action: Some(action), ..MatchAll::default() }))
        });
        let ingress = Branch { objects: [hook].into_iter().chain(filters).collect(), ..Branch::default() };
        let interface = Interface { ingress: Some(ingress), ..Interface::default() };
        Tree { interfaces: [("eth0".into(), interface)].into_iter().collect() }
    }

    fn steps(asked: &[&str], held: &[&str]) -> Vec<String> {
        let plan = plan(&tree(asked), &tree(held), &|_| Facts::default());
        plan.steps.iter().map(|step| crate::script::command(step).join(" ")).collect()
    }

    /// The filters stay as they are: what they are bound to changes.
    #[test]
    fn a_shared_action_changes_alone_and_first() {
        let police = |rate: &str| format!("police rate {rate} burst 10kb mtu 64kb exceed drop index 5");
        let (slow, fast) = (police("1mbit"), police("2mbit"));
        assert_eq!(steps(&[&slow, "police index 5"], &[&slow, &slow]), [""; 0]);
        let changed = "tc actions change police rate 2mbit burst 10kb mtu 64kb conform-exceed drop index 5";
        assert_eq!(steps(&[&fast, "police index 5"], &[&slow, &slow]), [changed]);
        // also before a filter that comes
        let planned = steps(&[&fast, &fast, &fast], &[&slow, &slow]);
        assert_eq!((planned.len(), planned.first().unwrap().as_str()), (2, changed));
        // another number is another action
        assert!(steps(&[&fast.replace("index 5", "index 6")], &[&slow]).iter().all(|step| step.contains("filter")));
        assert!(steps(&[&fast], &[]).iter().all(|step| !step.starts_with("tc actions")));
    }

    /// Each message that names an action says anew which statistics hardware keeps of it, so all of them say the same.
    #[test]
    fn what_hardware_counts_is_said_by_all_who_share() {
        let gact = |more: &str| format!("gact control pass index 5{more}");
        let (plain, counted) = (gact(""), gact(" hw_stats disabled"));
        let changed = "tc actions change pass index 5 hw_stats disabled";
        assert_eq!(steps(&[&counted, "gact index 5"], &[&plain, &plain]), [changed]);
        assert_eq!(steps(&[&counted, "gact index 5"], &[&counted, &counted]), [""; 0]);
        assert_eq!(steps(&[&plain], &[&counted]), ["tc actions change pass index 5"]);
        let planned = steps(&[&counted, "gact index 5"], &[&plain]);
        assert_eq!((planned.len(), planned.first().unwrap().as_str()), (2, changed));
        assert!(planned.last().unwrap().ends_with("index 5 hw_stats disabled"), "{planned:?}");
        // who says nothing of it takes it as it is
        assert_eq!(steps(&["gact index 5"], &[&counted]), [""; 0]);
    }

    #[test]
    fn what_is_decided_at_birth_is_told_apart() {
        let read = |text: &str| Actions::read(text, &mut Reader::default()).unwrap().0.remove(0);
        let born = |asked: &str, held: &str| {
            born_otherwise(&read(asked), &read(held), &Facts::default()).map(|difference| difference.word)
        };
        let (plain, alone) = ("gact control pass index 5", "gact control pass index 5 no_percpu");
        assert_eq!(born(plain, alone), Some("no_percpu"));
        assert_eq!(born(alone, plain), Some("no_percpu"));
        assert_eq!(born(alone, alone), None);
        assert_eq!(born("gact index 5", alone), None);
        assert_eq!(born("gact control drop index 5 hw_stats disabled", plain), None);
    }
}
