//! One direction of one interface, asked against held.

use super::moves::{self, Moves};
use super::{Difference, Step, Subject, Verb};
use crate::facts::Facts;
use crate::kind::action::mirred::{Mirred, Mode};
use crate::kind::action::{Actions, Control};
use crate::kind::filter::u32::{Node, U32};
use crate::kind::{Children, Drops, Options, Reset};
use crate::tree::{Branch, Id, OWN_PREFIX, Object, Stab};
use crate::unit::{Handle, Slot};
use compact_str::CompactString;
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use indexmap::IndexMap;
use std::borrow::Cow;

/// What a filter is known by: where it is asked, and its number there. Of a u32 filter's number the hash table is the
/// kernel's choice and not compared.
pub(super) type FilterKey = (Handle, u32, u16, u32);

pub(super) fn filter_key(object: &Object) -> Option<FilterKey> {
    let Id::Filter { parent, chain, prio, handle, .. } = object.id else { return None };
    // the root table of a priority is numbered by the kernel from 0x800 on
    let root_table = object.name == "u32" && handle >> 20 >= 0x800;
    Some((parent, chain, prio, if root_table { handle & 0xfffff } else { handle }))
}

/// Whether a filter on the ingress hook is somebody else's (container networks hang BPF programs there): kept.
fn is_foreign(object: &Object) -> bool {
    let Id::Filter { parent, chain, .. } = object.id else { return false };
    (parent == Handle::HOOK_EGRESS && !to_budget(object))
        || (parent.is_hook() && (chain != 0 || object.kind.is_none() || object.name == "bpf"))
}

/// Whether a filter does nothing but send packets to a device that bears a name of ours: the way to a shared budget.
fn to_budget(object: &Object) -> bool {
    let Some(actions) = object.options.value::<Actions>("action") else { return false };
    let [act] = actions.0.as_slice() else { return false };
    let to = act.options.as_kind::<Mirred>().filter(|m| m.mode == Some(Mode::Redirect));
    to.and_then(|m| m.dev.as_ref()).is_some_and(|dev| dev.0.starts_with(OWN_PREFIX))
}

/// The priorities that others' filters have.
pub(super) fn foreign_prios(held: Option<&Branch>) -> std::collections::BTreeSet<u16> {
    let prio = |o: &Object| match o.id {
        Id::Filter { prio, .. } if is_foreign(o) => Some(prio),
        _ => None,
    };
    held.into_iter().flat_map(|b| &b.objects).filter_map(prio).collect()
}

/// The hash tables of u32 that others have.
pub(super) fn foreign_tables(held: Option<&Branch>) -> std::collections::BTreeSet<u16> {
    let others = held.into_iter().flat_map(|b| &b.objects).filter(|o| is_foreign(o));
    others.filter_map(u32_of).filter(|(_, options)| options.is_table()).map(|(place, _)| place.table() as u16).collect()
}

/// How an object comes from what it is to what it should be.
pub(super) struct Comparison {
    differences: Vec<Difference>,
    /// All differences can be had without making the object anew.
    in_place: bool,
    /// What the kernel makes of what is asked.
    wanted: Box<dyn Options>,
    /// The rows that differ and can be said.
    rows: Vec<usize>,
    /// What is lost if it changes in place.
    drops: Option<Drops>,
}

impl Comparison {
    /// Whether nothing is to be done.
    pub(super) fn is_same(&self) -> bool {
        self.differences.is_empty()
    }

    /// What to send: what is written, and the kernel's own defaults where the held value is another.
    fn send(&self, asked: &Object, facts: &Facts) -> Object {
        let mut send = asked.clone();
        send.options.complete(facts);
        for row in &self.rows {
            if let (Some(slot), Some(want)) = (send.options.slot_mut(*row), self.wanted.slot(*row)) {
                slot.copy_from(want);
            }
        }
        if self.in_place && asked.is_qdisc() {
            // the kernel refuses some of these in a change even where they say nothing new (`flows` of fq_codel)
            for (i, _) in asked.options.rows().iter().enumerate().filter(|(_, row)| row.fixed && !row.repeated) {
                send.options.slot_mut(i).into_iter().for_each(Slot::clear);
            }
        }
        send
    }
}

fn show_stab(stab: Option<&Stab>) -> Option<String> {
    stab.map(|s| format!("overhead {} mpu {} linklayer {:?}", s.overhead, s.mpu, s.layer()).to_lowercase())
}

/// What of an object that stands is not what is asked.
pub(super) fn compare(asked: &Object, held: &Object, facts: &Facts) -> Comparison {
    let mut wanted = asked.options.clone();
    wanted.complete(facts);
    wanted.assume(facts);
    let mut standing = held.options.clone();
    standing.assume(facts);
    let (mut differences, mut rows) = (Vec::new(), Vec::new());
    let mut in_place = asked.kind.is_some_and(|k| k.change) || matches!(asked.id, Id::Class { .. });
    for (i, row) in wanted.rows().iter().enumerate() {
        if row.tool || wanted.same(standing.as_ref(), i, facts) {
            continue;
        }
        // what the kernel computed at its birth, from what may be otherwise today, and never again
        let born = row.fixed && row.computed.is_some();
        if born && !asked.options.slot(i).is_some_and(Slot::is_set) {
            continue;
        }
        let (Some(want), Some(stand)) = (wanted.slot(i), standing.slot(i)) else { continue };
        differences.push(Difference { word: row.word, held: stand.show(), asked: want.show() });
        let sayable = want.is_set() && !want.number().is_some_and(|n| row.sends_none(n));
        in_place &= sayable && !row.fixed;
        rows.push(i);
    }
    let full = |s: &Stab| Stab { linklayer: Some(s.layer()), ..s.complete() };
    let plain = |s: &Option<Stab>| s.as_ref().map(full).filter(|s| *s != full(&Stab::default()));
    if plain(&asked.stab) != plain(&held.stab) {
        let (held, asked) = (show_stab(held.stab.as_ref()), show_stab(asked.stab.as_ref()));
        differences.push(Difference { word: "stab", held, asked });
        in_place = false;
    }
    let blocks = [
        ("ingress_block", asked.blocks.ingress, held.blocks.ingress),
        ("egress_block", asked.blocks.egress, held.blocks.egress),
    ];
    for (word, asked, held) in blocks.into_iter().filter(|(_, asked, held)| asked != held) {
        let shown = |block: u32| (block != 0).then(|| block.to_string());
        differences.push(Difference { word, held: shown(held), asked: shown(asked) });
        in_place = false;
    }
    let drops = wanted.change_drops(standing.as_ref()).filter(|_| in_place && !differences.is_empty());
    Comparison { differences, in_place, wanted, rows, drops }
}

struct Settler<'a> {
    interface: &'a CompactString,
    facts: &'a Facts,
    steps: &'a mut Vec<Step>,
}

impl Settler<'_> {
    fn push(&mut self, verb: Verb, mut object: Object, differences: Vec<Difference>, remark: Option<&str>) {
        let interface = self.interface.clone();
        if verb == Verb::Add {
            leave_to_the_kernel(&mut object);
        }
        let remark = remark.map(str::to_owned);
        let parts = if verb == Verb::Delete { Vec::new() } else { object.options.parts() };
        let parts: Vec<_> = parts.into_iter().map(|options| Object { options, ..object.clone() }).collect();
        self.steps.push(Step {
            interface,
            verb,
            subject: Subject::Object(object),
            differences,
            remark,
            for_good: false,
            drops: None,
        });
        parts.into_iter().for_each(|part| self.push(Verb::Change, part, Vec::new(), None));
    }

    /// Changes in place what differs, and says what that costs.
    fn change(&mut self, send: Object, comparison: Comparison, remark: Option<&str>) {
        let Comparison { differences, drops, .. } = comparison;
        let cost = drops.map(Drops::words);
        let said: Vec<&str> = remark.into_iter().chain(cost).collect();
        let said = (!said.is_empty()).then(|| said.join("; "));
        self.push(Verb::Change, send, differences, said.as_deref());
        if let Some(step) = self.steps.last_mut() {
            step.drops = drops;
        }
    }

    /// Changes a class that stays, if it differs.
    fn change_class(&mut self, asked: &Object, comparison: &Comparison) {
        if !comparison.is_same() {
            self.push(Verb::Change, comparison.send(asked, self.facts), comparison.differences.clone(), None);
        }
    }

    /// The same, with its steps among others.
    fn among<'s>(&'s mut self, steps: &'s mut Vec<Step>, others: bool) -> Settler<'s> {
        let Settler { interface, facts, .. } = *self;
        Settler { interface, facts, steps: if others { steps } else { self.steps } }
    }

    fn add(&mut self, object: &Object) {
        self.add_at_the_cost_of(object, None);
    }

    fn add_at_the_cost_of(&mut self, object: &Object, remark: Option<&str>) {
        let mut object = object.clone();
        object.options.complete(self.facts);
        self.push(Verb::Add, object, Vec::new(), remark);
    }

    fn delete(&mut self, object: &Object, remark: Option<&str>) {
        let lost = object.kind.is_none().then(|| {
            let more = remark.map_or_else(String::new, |r| format!("; {r}"));
            format!("`{}` is of a kind that shapectl does not know, and cannot be made again{more}", object.name)
        });
        self.push(Verb::Delete, object.clone(), Vec::new(), lost.as_deref().or(remark));
        self.for_good(lost.is_some());
    }

    /// Whether the last step takes away what cannot be made again.
    fn for_good(&mut self, is: bool) {
        if let Some(step) = self.steps.last_mut() {
            step.for_good = is;
        }
    }
}

/// A row of u32 that is made again, as it was held, stands in the root table of its priority, and that gets another number
/// from the kernel. Tables of one's own are numbered below those, and keep their numbers.
fn leave_to_the_kernel(object: &mut Object) {
    let rooted = |number: u32| number >> 20 >= 0x800;
    if let Some(options) = object.options.as_kind_mut::<U32>()
        && let Id::Filter { handle, .. } = &mut object.id
        && rooted(*handle)
        && options.divisor.is_none()
    {
        *handle &= 0xf_ffff;
        options.ht = options.ht.filter(|table| !rooted(table.0));
    }
}

/// Brings a branch to what is asked, and tells of the classes for whose sake what holds them is made anew.
pub(super) fn settle(
    interface: &CompactString,
    asked: &Branch,
    held: Option<&Branch>,
    facts: &Facts,
    steps: &mut Vec<Step>,
) -> Vec<Handle> {
    let nothing = Branch::default();
    let held = &*by_one_name(asked, held.unwrap_or(&nothing));
    let mut s = Settler { interface, facts, steps };
    let root = |b: &Branch| b.objects.iter().find(|o| is_root(o)).cloned();
    let mut stuck_classes = Vec::new();
    match (root(asked), root(held)) {
        // a shared block
        (None, None) => settle_below(asked, held, None, (&HashMap::new(), &HashSet::new()), &mut s),
        (None, Some(held_root)) => {
            let foreign = held.objects.iter().any(is_foreign);
            if foreign {
                for object in held.objects.iter().filter(|o| filter_key(o).is_some() && !is_foreign(o)) {
                    s.delete(object, Some("filters of others stay, and the hook with them"));
                }
            } else {
                let lost = lost_with(held);
                s.delete(&held_root, Some(&format!("the interface gets its default back{lost}")));
                s.for_good(held_root.kind.is_none() || !lost.is_empty());
            }
        }
        (Some(_), None) => asked.objects.iter().for_each(|o| s.add(o)),
        (Some(asked_root), Some(held_root)) => {
            let comparison = compare(&asked_root, &held_root, facts);
            let same_kind = asked_root.name == held_root.name && asked_root.handle() == held_root.handle();
            let differing = differing(asked, held, facts);
            let stays = same_kind && (comparison.is_same() || comparison.in_place);
            if stays {
                stuck_classes = stuck(&differing);
            }
            // a class that filters name cannot be taken away alone
            let stuck: HashSet<Handle> = stuck_classes.iter().map(|class| own(*class)).collect();
            let has_stuck = asked_root.handle().is_some_and(|h| stuck.contains(&h));
            if stays && !has_stuck {
                let changed = (!comparison.is_same()).then_some(&asked_root);
                if changed.is_some() {
                    s.change(comparison.send(&asked_root, facts), comparison, None);
                }
                settle_below(asked, held, changed, (&differing, &stuck), &mut s);
            } else {
                let remark = match has_stuck {
                    true => STUCK,
                    false => "everything below is made anew: packets that wait are lost",
                };
                let differences = if same_kind {
                    comparison.differences
                } else {
                    let (held, asked) = (held_root.name.to_string(), asked_root.name.to_string());
                    vec![Difference { word: "kind", held: Some(held), asked: Some(asked) }]
                };
                let lost = lost_with(held);
                let for_good = held_root.kind.is_none() || !lost.is_empty();
                s.push(Verb::Delete, held_root, differences, Some(&format!("{remark}{lost}")));
                s.for_good(for_good);
                asked.objects.iter().for_each(|o| s.add(o));
            }
        }
    }
    stuck_classes
}

/// What is held, with the hook `ingress` called as it is in what is asked: both of its names are one to the kernel.
fn by_one_name<'b>(asked: &Branch, held: &'b Branch) -> Cow<'b, Branch> {
    let names = [Handle::HOOK, Handle::HOOK_INGRESS];
    let is_ingress = |branch: &Branch| branch.objects.iter().any(|o| is_root(o) && o.name == "ingress");
    let name = |branch: &Branch| {
        branch.objects.iter().filter(|o| !is_root(o)).map(|o| o.id.parent()).find(|p| names.contains(p))
    };
    match (name(asked), name(held)) {
        (Some(asked_name), Some(held_name)) if asked_name != held_name && is_ingress(asked) && is_ingress(held) => {
            let mut held = held.clone();
            for object in &mut held.objects {
                match &mut object.id {
                    Id::Filter { parent, .. } if *parent == held_name => *parent = asked_name,
                    _ => {}
                }
            }
            Cow::Owned(held)
        }
        _ => Cow::Borrowed(held),
    }
}

/// The objects of unknown kinds that go with their root: they cannot be made again.
fn lost_with(held: &Branch) -> String {
    let lost = held.objects.iter().filter(|o| o.kind.is_none() && !is_root(o));
    lost.map(|o| format!("; `{}` goes too, of a kind that shapectl does not know", o.name)).collect()
}

fn is_root(object: &Object) -> bool {
    matches!(object.id, Id::Qdisc { parent: Handle::ROOT | Handle::INGRESS, .. })
}

/// The discipline that a class or a filter's parent belongs to.
fn own(handle: Handle) -> Handle {
    Handle::new(handle.major(), 0)
}

/// The classes that stand and differ, and how.
fn differing(asked: &Branch, held: &Branch, facts: &Facts) -> Differing {
    let class = |o: &Object| matches!(o.id, Id::Class { .. }).then(|| o.handle()).flatten();
    let standing: HashMap<Handle, &Object> = held.objects.iter().filter_map(|o| Some((class(o)?, o))).collect();
    let differs = |o: &Object| {
        let handle = class(o)?;
        let held = standing.get(&handle).filter(|held| held.name == o.name)?;
        let comparison = compare(o, held, facts);
        (!comparison.is_same()).then_some((handle, comparison))
    };
    asked.objects.iter().filter_map(differs).collect()
}

type Differing = HashMap<Handle, Comparison>;

/// The classes that differ in what the kernel does not change on a living class (a curve of hfsc that is to go).
fn stuck(differing: &Differing) -> Vec<Handle> {
    differing.iter().filter(|(_, comparison)| !comparison.in_place).map(|(handle, _)| *handle).collect()
}

/// The tree below a root that stays; `changed` is the root if it changes in place, `differing` are the classes that stay and
/// change, `stuck` has the disciplines below that have to be made anew.
fn settle_below(
    asked: &Branch,
    held: &Branch,
    changed: Option<&Object>,
    (differing, stuck): (&Differing, &HashSet<Handle>),
    s: &mut Settler,
) {
    let mut classes = HashMap::new();
    let mut qdiscs = HashMap::new();
    let mut filters = HashMap::new();
    for object in &held.objects {
        match object.id {
            Id::Class { handle, .. } => drop(classes.insert(handle, object)),
            Id::Qdisc { parent, .. } => drop(qdiscs.insert(parent, object)),
            Id::Filter { .. } => drop(filter_key(object).map(|key| filters.insert(key, object))),
        }
    }
    let inner: HashSet<Handle> = parents_of_classes(asked);
    let was_inner: HashSet<Handle> = parents_of_classes(held);
    let bands = with_bands(held);
    // packets wait in it, if only in the fifo that the kernel gives to each; not all kinds show the class of a band
    let was_leaf = |class: Handle| {
        let is_class = || classes.contains_key(&class);
        let is_band = |n: &Option<u64>| n.is_none_or(|n| u64::from(class.minor()) <= n);
        bands.get(&own(class)).map_or_else(is_class, is_band) && !was_inner.contains(&class)
    };
    let mut stays: HashSet<Handle> = HashSet::new();
    // what waits until a class has lost its classes: its own options, the disciplines on it, and all below these
    let mut late = Vec::new();
    let mut waiting: HashSet<Handle> = HashSet::new();
    // disciplines that are made anew: below them nothing stands any more
    let mut anew: HashSet<Handle> = HashSet::new();
    let wanted: HashSet<FilterKey> = asked.objects.iter().filter_map(filter_key).collect();
    // what hung on these went with them
    let moves = Moves::of(asked, held, &wanted);
    let moved = &moves.handles;
    let mut made_way = moved.is_empty();
    let mut changed: HashMap<Handle, &Object> = changed.iter().filter_map(|o| Some((o.handle()?, *o))).collect();

    for object in asked.objects.iter().filter(|o| filter_key(o).is_none() && !is_root(o)) {
        match object.id {
            Id::Class { handle, parent } => {
                stays.insert(handle);
                match classes.get(&handle) {
                    Some(_) if !anew.contains(&own(handle)) && moved.contains(&handle) => {
                        if !std::mem::replace(&mut made_way, true) {
                            make_way(&moves, asked, held, (&wanted, &anew), s);
                        }
                        s.add(object);
                    }
                    Some(held) if !anew.contains(&own(handle)) => {
                        if held.name == object.name {
                            // htb takes no quantum for a class that still has children: it waits until they are gone
                            let waits = was_inner.contains(&handle) && !inner.contains(&handle);
                            if waits {
                                let mut leaf = Object::clone(held);
                                leaf.options.become_leaf();
                                let c = compare(object, &leaf, s.facts);
                                s.among(&mut late, true).change_class(object, &c);
                            } else if let Some(c) = differing.get(&handle) {
                                s.change_class(object, c);
                            }
                        } else {
                            s.delete(held, None);
                            s.add(object);
                        }
                    }
                    // a class that gets its first child loses its queue to the kernel's `qdisc_purge_queue`
                    _ => s
                        .among(&mut late, waiting.contains(&own(handle)))
                        .add_at_the_cost_of(object, was_leaf(parent).then_some(LOST)),
                }
            }
            Id::Qdisc { parent, handle } => {
                // htb takes no discipline on a class that still has children: it waits until they are gone
                let waits = (was_inner.contains(&parent) && !inner.contains(&parent)) || waiting.contains(&own(parent));
                if waits {
                    waiting.insert(handle);
                }
                let mut s = s.among(&mut late, waits);
                let above = changed.get(&own(parent));
                let reset = qdiscs.get(&parent).and_then(|held| above?.options.change_resets(&held.name));
                match qdiscs.get(&parent) {
                    held if anew.contains(&own(parent)) || moved.contains(&parent) => {
                        anew.insert(handle);
                        anew.extend(held.and_then(|held| held.handle()));
                        s.add(object);
                    }
                    Some(_) if reset == Some(Reset::Replaced) => {
                        anew.insert(handle);
                        let mut object = object.clone();
                        object.options.complete(s.facts);
                        s.push(Verb::Add, object, Vec::new(), Some("the change above it put a fifo in its place"));
                    }
                    Some(held) if held.name == object.name && held.handle() == object.handle() => {
                        let c = compare(object, held, s.facts);
                        let stuck = stuck.contains(&handle);
                        if c.is_same() && reset.is_none() && !stuck {
                        } else if c.in_place && !stuck {
                            changed.insert(handle, object);
                            let remark = reset.map(|_| "the change above it set its limit");
                            let mut send = c.send(object, s.facts);
                            if reset.is_some() {
                                send.options.assume(s.facts);
                            }
                            s.change(send, c, remark);
                        } else {
                            anew.insert(handle);
                            let remark = match stuck {
                                true => STUCK,
                                false => "the kernel cannot change this in place: packets that wait are lost",
                            };
                            s.delete(held, Some(remark));
                            s.push(Verb::Add, c.send(object, s.facts), c.differences, None);
                        }
                    }
                    Some(held) => {
                        anew.insert(handle);
                        let differences = kinds(held, object);
                        if held.handle() == object.handle() {
                            s.delete(held, Some(LOST));
                            s.push(Verb::Add, object.clone(), differences, None);
                        } else {
                            // what hung below the old one goes with it
                            anew.extend(held.handle());
                            s.push(Verb::Replace, object.clone(), differences, Some(LOST));
                            s.for_good(held.kind.is_none());
                        }
                    }
                    None => s.add_at_the_cost_of(object, was_leaf(parent).then_some(LOST)),
                }
            }
            Id::Filter { .. } => {}
        }
    }

    // what hung below these is gone with them, however deep
    for object in held.objects.iter().filter(|o| o.is_qdisc()) {
        let parent = object.id.parent();
        if anew.contains(&own(parent)) || moved.contains(&parent) {
            anew.extend(object.handle());
        }
    }
    let remade = remake_chains(asked, held, &anew, s);
    let lifted = |object: &Object| filter_key(object).is_some_and(|key| moves.lifted.contains(&key));
    let stands = |object: &Object| remade.leaves(object) && !lifted(object);
    // who sends to a chain keeps it and its template, so its own filters go before
    let sends = |o: &Object| goes_to(o).any(|to| remade.chains.contains(&(o.id.parent(), to)));
    let (last, first): (Vec<&Object>, Vec<&Object>) =
        asked.objects.iter().partition(|o| !remade.chains.is_empty() && sends(o));
    for object in first.into_iter().chain(last) {
        let Some(key) = filter_key(object) else { continue };
        let mut s = s.among(&mut late, waiting.contains(&own(object.id.parent())));
        match filters.get(&key) {
            _ if anew.contains(&own(object.id.parent())) || moved.contains(&object.id.parent()) => s.add(object),
            _ if !stands(object) => s.add(object),
            Some(held) if held.name == object.name && protocol(held) == protocol(object) => {
                let c = compare(object, held, s.facts);
                if c.is_same() {
                    continue;
                }
                let send = c.send(object, s.facts);
                if c.in_place {
                    // a change is for the number that is held: of u32 the table is part of it
                    s.push(Verb::Change, Object { id: held.id, ..send }, c.differences, None);
                } else {
                    s.delete(held, None);
                    s.push(Verb::Add, send, c.differences, None);
                }
            }
            Some(held) => {
                s.delete(held, None);
                s.push(Verb::Add, object.clone(), kinds(held, object), None);
            }
            None => s.add(object),
        }
    }
    // the last first: what it took goes on to what took it before, and not to a filter that goes too; and outer ones before
    // inner ones, so that nothing is sent to a discipline that no longer knows what to do with it
    let goes = |o: &&Object| filter_key(o).is_some_and(|key| !wanted.contains(&key)) && !is_foreign(o);
    let below = |o: &Object| !anew.contains(&own(o.id.parent())) && !moved.contains(&o.id.parent());
    let going = held.objects.iter().rev().filter(|o| below(o) && stands(o)).filter(goes);
    let mut going: Vec<&Object> = going.collect();
    let depths = depths(held);
    going.sort_by_key(|o| depths.get(&own(o.id.parent())));
    take_away(&going, asked, held, s);

    let mut gone: HashSet<Handle> = HashSet::new();
    let asked_qdiscs: HashSet<Handle> = asked.objects.iter().filter(|o| o.is_qdisc()).map(|o| o.id.parent()).collect();
    for object in held.objects.iter().filter(|o| o.is_qdisc() && !is_root(o)) {
        let parent = object.id.parent();
        let parent_goes = (classes.contains_key(&parent) && !stays.contains(&parent)) || moved.contains(&parent);
        // a class that gets children loses its discipline by itself
        let becomes_inner = inner.contains(&parent);
        // and a band that is no more takes its discipline along
        let bands = changed.get(&own(parent)).and_then(|above| above.options.bands());
        let goes_along = anew.contains(&own(parent)) || bands.is_some_and(|n| u64::from(parent.minor()) > n);
        // as do those below a discipline that goes
        if gone.contains(&own(parent)) {
            gone.extend(object.handle());
        } else if !asked_qdiscs.contains(&parent) {
            gone.extend(object.handle());
            if !parent_goes && !becomes_inner && !goes_along {
                s.delete(object, Some(LOST));
            }
        }
    }
    for object in held.objects.iter().rev() {
        let Id::Class { handle, .. } = object.id else { continue };
        let below_gone = anew.contains(&own(handle)) || gone.contains(&own(handle)) || moved.contains(&handle);
        if !stays.contains(&handle) && !below_gone && configurable(object) && qdisc_stays(held, asked, handle) {
            s.delete(object, None);
        }
    }
    s.steps.extend(late);
}

/// Takes away the classes that move, and what is in their way. What stays comes back later.
fn make_way(
    moves: &Moves,
    asked: &Branch,
    held: &Branch,
    (wanted, anew): (&HashSet<FilterKey>, &HashSet<Handle>),
    s: &mut Settler,
) {
    let there = |o: &&&Object| !anew.contains(&own(o.id.parent()));
    let stays = |o: &Object| filter_key(o).is_some_and(|key| wanted.contains(&key));
    let (back, going): (Vec<&Object>, Vec<&Object>) = moves.filters.iter().filter(there).partition(|o| stays(o));
    take_away(&going, asked, held, s);
    back.iter().for_each(|filter| s.delete(filter, Some(moves::FILTER)));
    moves.classes.iter().filter(there).for_each(|class| s.delete(class, Some(moves::CLASS)));
}

const STUCK: &str = "a class of it cannot be changed in place: all is made anew, and packets that wait are lost";
/// What a filter or a template hangs on, and its chain.
fn chain(object: &Object) -> Option<(Handle, u32)> {
    match object.id {
        Id::Filter { parent, chain, .. } => Some((parent, chain)),
        _ => None,
    }
}

/// The chain that an action sends to, if it does.
fn goes_to(object: &Object) -> impl Iterator<Item = u32> {
    let controls = |options: &dyn Options| -> Vec<u32> {
        let slots =
            (0..options.rows().len()).filter_map(|i| options.slot(i)?.as_any().downcast_ref::<Option<Control>>());
        slots.filter_map(|control| control.as_ref()?.chain()).collect()
    };
    let slots = (0..object.options.rows().len()).filter_map(|i| object.options.slot(i));
    let actions = slots.filter_map(|slot| slot.as_any().downcast_ref::<Option<Actions>>()?.as_ref());
    actions.flat_map(|actions| &actions.0).flat_map(move |act| controls(act.options.as_ref()))
}

/// What went to give chains another template.
#[derive(Default)]
struct Remade {
    /// Chains in which nothing stands any more.
    chains: HashSet<(Handle, u32)>,
    /// Filters that sent there.
    senders: HashSet<FilterKey>,
}

impl Remade {
    /// Whether a filter that was held is still there.
    fn leaves(&self, object: &Object) -> bool {
        chain(object).is_some_and(|chain| !self.chains.contains(&chain))
            && filter_key(object).is_some_and(|key| !self.senders.contains(&key))
    }
}

/// Takes away the chains whose template is to be another one, with all filters in them: a template is made with its chain
/// and never changed. The kernel keeps a chain with its template as long as an action sends there (`__tcf_chain_put`), so
/// these filters go before it, and come back after.
fn remake_chains(asked: &Branch, held: &Branch, anew: &HashSet<Handle>, s: &mut Settler) -> Remade {
    fn templates(branch: &Branch) -> IndexMap<(Handle, u32), &Object> {
        let templates = branch.objects.iter().filter(|object| object.template);
        templates.filter_map(|object| Some((chain(object)?, object))).collect()
    }
    let (wanted, standing) = (templates(asked), templates(held));
    let occupied: HashSet<(Handle, u32)> = held.objects.iter().filter_map(chain).collect();
    let mut going: Vec<(&Object, &str)> = Vec::new();
    for (place, held) in &standing {
        let same =
            wanted.get(place).is_some_and(|asked| asked.name == held.name && compare(asked, held, s.facts).is_same());
        let foreign = !wanted.contains_key(place) && is_foreign(held);
        if !same && !foreign && !anew.contains(&own(place.0)) {
            going.push((held, "a template is not changed: all filters of its chain are made anew"));
        }
    }
    for (place, asked) in wanted.iter().filter(|(place, _)| occupied.contains(*place) && !standing.contains_key(*place))
    {
        if !anew.contains(&own(place.0)) {
            going.push((asked, "the chain is there without a template: all its filters are made anew"));
        }
    }
    let mut remade = Remade { chains: going.iter().filter_map(|(o, _)| chain(o)).collect(), ..Remade::default() };
    let templates: HashSet<_> = going.iter().filter(|(o, _)| o.template).filter_map(|(o, _)| chain(o)).collect();
    for object in held.objects.iter().rev().filter(|o| !templates.is_empty() && !is_foreign(o)) {
        let parent = object.id.parent();
        if let Some(key) = filter_key(object).filter(|_| goes_to(object).any(|to| templates.contains(&(parent, to)))) {
            s.delete(object, Some("it sends to a chain that gets another template, and keeps it"));
            remade.senders.insert(key);
        }
    }
    for (object, remark) in going {
        s.delete(object, Some(remark));
    }
    remade
}

/// Filters that go. A priority of which nothing stays is taken away as one: the kernel keeps an empty table of u32 beside
/// others otherwise. Hash tables would outlive it unseen as long as u32 has anything below the discipline, so they go
/// before it: first what leads to them, without which they cannot go, then they with all that is in them.
fn take_away(going: &[&Object], asked: &Branch, held: &Branch, s: &mut Settler) {
    if going.is_empty() {
        return;
    }
    let foreign = held.objects.iter().filter(|o| is_foreign(o));
    let staying: Vec<&Object> = asked.objects.iter().chain(foreign).filter(|o| o.place().is_some()).collect();
    let stays: HashSet<_> = staying.iter().filter_map(|o| o.place()).collect();
    let with_u32: HashSet<u16> =
        staying.iter().filter(|o| u32_of(o).is_some()).map(|o| o.id.parent().major()).collect();
    let is_table = |o: &Object| u32_of(o).is_some_and(|(_, options)| options.is_table());
    let tables: Vec<&Object> =
        going.iter().copied().filter(|o| is_table(o) && with_u32.contains(&o.id.parent().major())).collect();
    let table = |o: &Object, place: Node| (o.id.parent().major(), place.table());
    let lost: HashSet<(u16, u32)> = tables.iter().filter_map(|o| Some(table(o, u32_of(o)?.0))).collect();
    let mut whole: IndexMap<_, Vec<&Object>> = IndexMap::new();
    for object in going.iter().copied() {
        let alone = match object.place() {
            Some(place) if !stays.contains(&place) => {
                whole.entry((place, protocol(object))).or_default().push(object);
                false
            }
            _ => true,
        };
        let (leads, inside) = u32_of(object).map_or((false, false), |(place, options)| {
            let leads = options.link.is_some_and(|link| lost.contains(&table(object, link)));
            (leads, lost.contains(&table(object, place)))
        });
        if leads || (alone && !inside) {
            s.delete(object, None);
        }
    }
    let rows = held.objects.iter().filter_map(|o| Some(table(o, u32_of(o)?.0)));
    let mut rows_of: HashMap<(u16, u32), usize> = HashMap::new();
    rows.filter(|table| lost.contains(table)).for_each(|table| *rows_of.entry(table).or_default() += 1);
    for object in tables {
        let rows = u32_of(object).and_then(|(place, _)| rows_of.get(&table(object, place))).map_or(0, |n| n - 1);
        s.delete(
            object,
            Some(&format!("with {rows} filters; the kernel lets go of a table when nobody looks at what led to it")),
        );
    }
    for objects in whole.values() {
        let Some(first) = objects.first() else { continue };
        let mut all = (*first).clone();
        if let Id::Filter { handle, .. } = &mut all.id {
            *handle = 0;
        }
        let more = (objects.len() > 1).then(|| format!("all {} filters of this priority", objects.len()));
        s.delete(&all, more.as_deref());
    }
}

/// A filter of u32: its place in the tables, and its options.
fn u32_of(object: &Object) -> Option<(Node, &U32)> {
    let Id::Filter { handle, .. } = object.id else { return None };
    Some((Node(handle), object.options.as_kind::<U32>()?))
}

const LOST: &str = "packets that wait in the old queue are lost";

/// Whether the discipline that a class belongs to is still asked for; if not, its classes go with it.
fn qdisc_stays(held: &Branch, asked: &Branch, class: Handle) -> bool {
    let own = Handle::new(class.major(), 0);
    let of = |b: &Branch| b.objects.iter().find(|o| o.is_qdisc() && o.handle() == Some(own)).map(|o| o.name.clone());
    let held = of(held);
    held.is_some() && held == of(asked)
}

/// The disciplines that have bands, and in how many packets wait: `None` where the device says it.
fn with_bands(held: &Branch) -> HashMap<Handle, Option<u64>> {
    let number = |o: &Object| match o.kind?.children {
        _ if !o.options.children_hold() => Some((o.handle()?, Some(0))),
        Children::Bands => Some((o.handle()?, o.options.bands())),
        Children::Leaf => Some((o.handle()?, Some(1))),
        Children::None | Children::Classes => None,
    };
    held.objects.iter().filter(|o| o.is_qdisc()).filter_map(number).collect()
}

/// Whether the class is one that was made, not one that its discipline brings along (a band, the one child of tbf).
fn configurable(object: &Object) -> bool {
    object.kind.is_none_or(|k| k.children == Children::Classes)
}

fn protocol(object: &Object) -> Option<u16> {
    match object.id {
        // of a template the kernel says it among its keys only
        Id::Filter { protocol, .. } => Some(protocol).filter(|_| !object.template),
        _ => None,
    }
}

/// How many disciplines each stands below.
fn depths(branch: &Branch) -> HashMap<Handle, usize> {
    let mut depths: HashMap<Handle, usize> = HashMap::new();
    for object in branch.objects.iter().filter(|o| o.is_qdisc()) {
        let above = depths.get(&own(object.id.parent())).map_or(0, |depth| depth + 1);
        object.handle().map(|handle| depths.insert(handle, above));
    }
    depths
}

fn parents_of_classes(branch: &Branch) -> HashSet<Handle> {
    branch.objects.iter().filter(|o| matches!(o.id, Id::Class { .. })).map(|o| o.id.parent()).collect()
}

fn kinds(held: &Object, asked: &Object) -> Vec<Difference> {
    let name = |o: &Object| Some(format!("{} {}", o.name, o.handle().map_or_else(String::new, |h| h.to_string())));
    vec![Difference { word: "kind", held: name(held), asked: name(asked) }]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
    use super::*;
    use crate::kind::filter::u32;
    use crate::kind::qdisc::{fq_codel, htb, pfifo, prio};
    use crate::unit::{Bytes, Length, Number, Packets, Rate};

    fn htb_root() -> Object {
        let id = Id::Qdisc { parent: Handle::ROOT, handle: Handle::new(1, 0) };
        Object::new(id, &htb::KIND, Box::new(htb::Htb::default()))
    }

    fn class(parent: u16, minor: u16, rate: u64) -> Object {
        let id = Id::Class { parent: Handle::new(1, parent), handle: Handle::new(1, minor) };
        let class =
            htb::Class { rate: Some(Rate(rate)), quantum: Some(crate::unit::Length(2000)), ..Default::default() };
        let mut o = Object::new(id, &htb::KIND, Box::new(class));
        o.options.complete(&Facts::default());
        o
    }

    fn leaf(minor: u16, handle: u16, limit: u32) -> Object {
        let id = Id::Qdisc { parent: Handle::new(1, minor), handle: Handle::new(handle, 0) };
        let options = fq_codel::FqCodel { limit: Some(Packets(limit)), ..Default::default() };
        Object::new(id, &fq_codel::KIND, Box::new(options))
    }

    fn steps(asked: Vec<Object>, held: Vec<Object>) -> Vec<String> {
        let mut steps = Vec::new();
        let held = Branch { objects: held, ..Branch::default() };
        settle(
            &"eth0".into(),
            &Branch { objects: asked, ..Branch::default() },
            Some(&held),
            &Facts::default(),
            &mut steps,
        );
        let show = |s: &Step| match &s.subject {
            Subject::Object(o) => {
                let words: Vec<_> = s.differences.iter().map(|d| d.word).collect();
                format!("{:?} {} {} {}", s.verb, o.name, o.handle().unwrap(), words.join(","))
            }
            other => panic!("{other:?}"),
        };
        steps.iter().map(show).collect()
    }

    #[test]
    fn a_state_against_itself_is_no_plan() {
        let all = vec![htb_root(), class(0, 1, 1_000_000), class(1, 16, 500_000), leaf(16, 2, 100)];
        assert!(steps(all.clone(), all).is_empty());
    }

    #[test]
    fn one_rate_touches_one_class() {
        let held = vec![htb_root(), class(0, 1, 1_000_000), class(1, 16, 500_000)];
        let asked = vec![htb_root(), class(0, 1, 1_000_000), class(1, 16, 600_000)];
        assert_eq!(steps(asked, held), ["Change htb 1:10 rate,ceil"]);
    }

    #[test]
    fn an_unset_option_is_compared_with_the_kernels_default() {
        let mut changed = leaf(16, 2, 100);
        changed.options.as_kind_mut::<fq_codel::FqCodel>().unwrap().quantum = Some(Length(300));
        let asked = vec![htb_root(), class(0, 16, 500_000), leaf(16, 2, 100)];
        let held = vec![htb_root(), class(0, 16, 500_000), changed];
        assert_eq!(steps(asked, held), ["Change fq_codel 2: quantum"]);
    }

    #[test]
    fn what_cannot_be_changed_in_place_is_made_anew() {
        let mut changed = leaf(16, 2, 100);
        changed.options.as_kind_mut::<fq_codel::FqCodel>().unwrap().flows = Some(Number(64));
        let asked = vec![htb_root(), class(0, 16, 500_000), leaf(16, 2, 100)];
        let held = vec![htb_root(), class(0, 16, 500_000), changed];
        assert_eq!(steps(asked, held), ["Delete fq_codel 2: ", "Add fq_codel 2: flows"]);
    }

    #[test]
    fn children_go_before_their_parent_and_a_new_leaf_waits_for_them() {
        let held = vec![htb_root(), class(0, 1, 900_000), class(1, 16, 500_000)];
        let asked = vec![htb_root(), class(0, 1, 900_000), leaf(1, 2, 100)];
        assert_eq!(steps(asked, held), ["Delete htb 1:10 ", "Add fq_codel 2: "]);
        // what is below the leaf waits with it, and goes with it
        let band = |handle| {
            let id = Id::Qdisc { parent: Handle::new(handle, 2), handle: Handle::new(9, 0) };
            Object::new(id, &pfifo::KIND, Box::new(pfifo::Pfifo::default()))
        };
        let bands = || {
            let id = Id::Qdisc { parent: Handle::new(1, 1), handle: Handle::new(2, 0) };
            Object::new(id, &prio::KIND, Box::new(prio::Prio::default()))
        };
        let inner = || vec![htb_root(), class(0, 1, 900_000), class(1, 16, 500_000)];
        let leaf_of_bands = || vec![htb_root(), class(0, 1, 900_000), bands(), band(2)];
        assert_eq!(steps(leaf_of_bands(), inner()), ["Delete htb 1:10 ", "Add prio 2: ", "Add pfifo 9: "]);
        assert_eq!(steps(inner(), leaf_of_bands()), ["Add htb 1:10 "]);
        let bare = vec![htb_root(), class(0, 1, 900_000)];
        assert_eq!(steps(bare, leaf_of_bands()), ["Delete prio 2: "]);
        let held = vec![htb_root(), class(0, 1, 900_000), class(1, 16, 500_000)];
        let asked = vec![htb_root(), class(0, 1, 800_000)];
        assert_eq!(steps(asked, held.clone()), ["Delete htb 1:10 ", "Change htb 1:1 rate,ceil"]);
        assert_eq!(steps(vec![htb_root()], held), ["Delete htb 1:10 ", "Delete htb 1:1 "]);
    }

    /// As sch_tbf and sch_red do it: the one resizes a fifo below, the other puts a fifo of its own there.
    #[test]
    fn a_leaf_that_a_change_disturbs_is_set_again() {
        use crate::kind::qdisc::{red, sfq, tbf};
        let root = Id::Qdisc { parent: Handle::ROOT, handle: Handle::new(1, 0) };
        let below = Id::Qdisc { parent: Handle::new(1, 1), handle: Handle::new(2, 0) };
        let tbf = |rate| {
            let (limit, burst) = (Some(Bytes(30_000)), Some(Bytes(10_000)));
            Object::new(
                root,
                &tbf::KIND,
                Box::new(tbf::Tbf { rate: Some(Rate(rate)), limit, burst, ..Default::default() }),
            )
        };
        let red = |limit| {
            Object::new(root, &red::KIND, Box::new(red::Red { limit: Some(Bytes(limit)), ..Default::default() }))
        };
        let fifo = || Object::new(below, &pfifo::KIND, Box::new(pfifo::Pfifo::default()));
        let fair = || Object::new(below, &sfq::KIND, Box::new(sfq::Sfq::default()));
        let (slow, fast) = (1_000_000, 2_000_000);
        assert_eq!(steps(vec![tbf(fast), fifo()], vec![tbf(slow), fifo()]), ["Change tbf 1: rate", "Change pfifo 2: "]);
        assert_eq!(steps(vec![tbf(fast), fair()], vec![tbf(slow), fair()]), ["Change tbf 1: rate"]);
        let (small, large) = (red(300_000), red(400_000));
        let planned = steps(vec![small, fair()], vec![large, fair()]);
        assert_eq!(planned, ["Change red 1: limit,min,max,ewma,cell", "Add sfq 2: "]);
    }

    #[test]
    fn what_cannot_change_is_left_out_of_a_change() {
        let asked = |limit| {
            let mut o = leaf(16, 2, limit);
            o.options.as_kind_mut::<fq_codel::FqCodel>().unwrap().flows = Some(Number(1024));
            o
        };
        let (asked, held) = (asked(100), asked(200));
        let comparison = compare(&asked, &held, &Facts::default());
        assert!(comparison.in_place);
        let send = comparison.send(&asked, &Facts::default());
        assert_eq!(send.options.show("flows"), None);
        assert_eq!(send.options.show("limit").unwrap(), "100");
    }

    #[test]
    fn a_filter_is_changed_by_the_number_that_is_held() {
        let filter = |handle: u32, flowid: u16| {
            let id = Id::Filter { parent: Handle::new(1, 0), chain: 0, prio: 10, protocol: 0x0800, handle };
            let options =
                u32::U32 { keys: Some(u32::Keys::any()), flowid: Some(Handle::new(1, flowid)), ..Default::default() };
            Object::new(id, &u32::KIND, Box::new(options))
        };
        let mut steps = Vec::new();
        let branch = |f| Branch { objects: vec![htb_root(), f], ..Branch::default() };
        let (asked, held) = (branch(filter(0x10, 5)), branch(filter(0x8000_0010, 3)));
        settle(&"eth0".into(), &asked, Some(&held), &Facts::default(), &mut steps);
        let done: Vec<_> = steps.iter().map(|s| (s.verb, s.subject.clone())).collect();
        let [(Verb::Change, Subject::Object(changed))] = done.as_slice() else { panic!("{steps:?}") };
        assert_eq!(changed.id, held.objects[1].id);
    }

    /// What leads to a table of u32 goes first, the table with all that is in it next, and the priority last: a table
    /// outlives its priority unseen while u32 has another one below the discipline.
    #[test]
    fn a_table_goes_after_what_leads_to_it() {
        use u32::{Node, U32};
        let object = |prio: u16, handle: Node, options: U32| {
            let id = Id::Filter { parent: Handle::new(1, 0), chain: 0, prio, protocol: 0x0800, handle: handle.0 };
            Object::new(id, &u32::KIND, Box::new(options))
        };
        let table = || U32 { divisor: Some(Number(256)), ..U32::default() };
        let any = |ht: Node, link: Option<Node>| U32 {
            keys: Some(u32::Keys::any()),
            ht: Some(ht).filter(|ht| ht.0 != 0),
            link,
            ..U32::default()
        };
        let (one, two) = (Node::new(1, 0, 0), Node::new(2, 0, 0));
        let list = Node::default();
        let hashed = vec![
            object(10, two, table()),
            object(10, one, table()),
            object(10, Node::new(1, 7, 1), any(Node::new(1, 7, 0), None)),
            object(10, Node::new(1, 8, 1), any(Node::new(1, 8, 0), Some(two))),
            object(10, Node::new(2, 0, 1), any(two, None)),
            object(10, Node::new(0x800, 0, 1), any(list, Some(one))),
        ];
        let other = || object(20, Node::new(0x801, 0, 1), any(list, None));
        let planned = |asked: Vec<Object>, held: Vec<Object>| -> Vec<String> {
            let branch = |objects| Branch { objects: [vec![htb_root()], objects].concat(), ..Branch::default() };
            let mut steps = Vec::new();
            let (asked, held) = (branch(asked), branch(held));
            settle(&"eth0".into(), &asked, Some(&held), &Facts::default(), &mut steps);
            let shown = steps.iter().map(|s| match &s.subject {
                Subject::Object(Object { id: Id::Filter { prio, handle, .. }, .. }) => {
                    format!("{:?} {prio} {handle:x}", s.verb)
                }
                other => panic!("{other:?}"),
            });
            shown.collect()
        };
        let held = [hashed.clone(), vec![other()]].concat();
        assert_eq!(
            planned(vec![other()], held.clone()),
            ["Delete 10 80000001", "Delete 10 108001", "Delete 10 100000", "Delete 10 200000", "Delete 10 0"]
        );
        // one table of several
        let fewer = [hashed[1..3].to_vec(), hashed[5..].to_vec(), vec![other()]].concat();
        assert_eq!(planned(fewer, held.clone()), ["Delete 10 108001", "Delete 10 200000"]);
        // the last priorities take their tables along
        assert_eq!(planned(vec![], held), ["Delete 20 0", "Delete 10 0"]);
    }

    #[test]
    fn a_band_that_goes_takes_its_discipline_along() {
        use crate::kind::qdisc::ets;
        let root = Id::Qdisc { parent: Handle::ROOT, handle: Handle::new(1, 0) };
        let below = |minor| Id::Qdisc { parent: Handle::new(1, minor), handle: Handle::new(minor, 0) };
        let ets = |bands| {
            let options = ets::Ets { bands: Some(crate::unit::Count(bands)), ..Default::default() };
            Object::new(root, &ets::KIND, Box::new(options))
        };
        let leaf = |minor| Object::new(below(minor), &pfifo::KIND, Box::new(pfifo::Pfifo::default()));
        let planned = steps(vec![ets(2), leaf(2)], vec![ets(4), leaf(2), leaf(3), leaf(4)]);
        assert_eq!(planned, ["Change ets 1: bands,quanta,priomap"]);
        let planned = steps(vec![ets(4), leaf(2)], vec![ets(4), leaf(2), leaf(3)]);
        assert_eq!(planned, ["Delete pfifo 3: "]);
    }

    /// A filter that goes with a discipline is not taken away after it, however deep below it hung.
    #[test]
    fn what_hung_deep_below_a_discipline_goes_with_it() {
        use crate::kind::qdisc::drr;
        use u32::{Node, U32};
        let below = |major, handle| Id::Qdisc { parent: Handle::new(major, 1), handle: Handle::new(handle, 0) };
        let filter = |major| {
            let (parent, handle) = (Handle::new(major, 0), Node::new(0x800, 0, 1).0);
            let id = Id::Filter { parent, chain: 0, prio: 10, protocol: 3, handle };
            Object::new(id, &u32::KIND, Box::new(U32 { keys: Some(u32::Keys::any()), ..U32::default() }))
        };
        let bands = |id| Object::new(id, &prio::KIND, Box::new(prio::Prio::default()));
        let classes = |id| Object::new(id, &drr::KIND, Box::new(drr::Drr::default()));
        let root = || bands(Id::Qdisc { parent: Handle::ROOT, handle: Handle::new(1, 0) });
        let held = vec![root(), bands(below(1, 2)), classes(below(2, 3)), filter(2), filter(3)];
        assert_eq!(steps(vec![root(), classes(below(1, 4))], held), ["Replace drr 4: kind"]);
    }

    /// sch_hfsc takes no curve away from a class.
    #[test]
    fn a_class_that_cannot_change_has_its_discipline_made_anew() {
        use crate::kind::qdisc::hfsc;
        use crate::unit::Curve;
        let object = |id, options| Object::new(id, &hfsc::KIND, options);
        let root = |default| {
            let id = Id::Qdisc { parent: Handle::ROOT, handle: Handle::new(1, 0) };
            object(id, Box::new(hfsc::Hfsc { default: Some(crate::unit::Minor(default)) }))
        };
        let class = |ls: u64, ul: Option<u64>| {
            let line = |rate| Curve::line(Rate(rate));
            let id = Id::Class { parent: Handle::new(1, 0), handle: Handle::new(1, 1) };
            object(id, Box::new(hfsc::Class { ls: Some(line(ls)), ul: ul.map(line), ..Default::default() }))
        };
        let (mega, held) = (1_000_000, vec![root(1), class(1_000_000, Some(2_000_000))]);
        assert_eq!(
            steps(vec![root(2), class(mega, Some(3 * mega))], held.clone()),
            ["Change hfsc 1: default", "Change hfsc 1:1 ul"]
        );
        assert_eq!(steps(vec![root(1), class(mega, None)], held), ["Delete hfsc 1: ", "Add hfsc 1: ", "Add hfsc 1:1 "]);
    }

    /// What the kernel throws away is said where it happens: a queue of another kind, the first queue in place of the kernel's
    /// own, the first class below.
    #[test]
    fn a_queue_that_is_lost_is_said() {
        let fifo = |minor| {
            let id = Id::Qdisc { parent: Handle::new(1, minor), handle: Handle::new(7, 0) };
            Object::new(id, &pfifo::KIND, Box::new(pfifo::Pfifo::default()))
        };
        let lossy = |asked: Vec<Object>, held: Vec<Object>| {
            let mut steps = Vec::new();
            let branch = |objects| Branch { objects, ..Branch::default() };
            settle(&"eth0".into(), &branch(asked), Some(&branch(held)), &Facts::default(), &mut steps);
            steps.iter().filter(|s| s.remark.as_deref().is_some_and(|r| r.contains("lost"))).count()
        };
        let bare = || vec![htb_root(), class(0, 16, 500_000)];
        let with = |more: Object| [bare(), vec![more]].concat();
        assert_eq!(lossy(with(leaf(16, 2, 100)), with(fifo(16))), 1);
        assert_eq!(lossy(with(leaf(16, 2, 100)), bare()), 1);
        assert_eq!(lossy(bare(), with(fifo(16))), 1);
        assert_eq!(lossy(with(class(16, 17, 100_000)), bare()), 1);
        // a class that is new, or had classes, has nothing to lose
        assert_eq!(lossy(with(leaf(16, 2, 100)), vec![htb_root()]), 0);
        assert_eq!(lossy(with(class(16, 18, 100_000)), with(class(16, 17, 100_000))), 0);
    }

    /// Of kinds that few kernels have: what waits beyond a bound that becomes lower goes, and no more than that.
    #[test]
    fn what_a_change_in_place_drops_is_said() {
        use crate::kind::qdisc::{dualpi2, multiq};
        let root = Id::Qdisc { parent: Handle::ROOT, handle: Handle::new(1, 0) };
        let said = |asked: Object, held: Object| {
            let mut steps = Vec::new();
            let branch = |object| Branch { objects: vec![object], ..Branch::default() };
            settle(&"eth0".into(), &branch(asked), Some(&branch(held)), &Facts::default(), &mut steps);
            assert!(steps.iter().all(|step| step.verb == Verb::Change), "{steps:?}");
            (steps.len(), steps.first().and_then(|step| step.drops))
        };
        let dualpi2 = |limit, memlimit, target| {
            let (limit, memlimit) = (Some(Packets(limit)), Some(Length(memlimit)));
            let target = Some(crate::unit::Time(target));
            let options = dualpi2::Dualpi2 { limit, memlimit, target, ..Default::default() };
            Object::new(root, &dualpi2::KIND, Box::new(options))
        };
        let (many, wide, slow) = (1_000, 1_000_000, 20_000_000);
        let stands = || dualpi2(many, wide, slow);
        assert_eq!(said(dualpi2(10, wide, slow), stands()), (1, Some(Drops::Excess)));
        assert_eq!(said(dualpi2(many, 10_000, slow), stands()), (1, Some(Drops::Excess)));
        assert_eq!(said(dualpi2(2_000, 2_000_000, slow / 2), stands()), (1, None));
        // nothing of a multiq can be asked for: its bands are the device's queues
        let multiq = |bands| {
            let bands = Some(crate::unit::Count(bands));
            Object::new(root, &multiq::KIND, Box::new(multiq::Multiq { bands, ..Default::default() }))
        };
        assert_eq!(said(multiq(4), multiq(8)), (0, None));
    }

    /// What no file here knows may not be taken back by the kernel: to take it away is for good.
    #[test]
    fn what_cannot_be_made_again_is_marked() {
        let for_good = |asked: Vec<Object>, held: Vec<Object>| {
            let mut steps = Vec::new();
            let branch = |objects| Branch { objects, ..Branch::default() };
            settle(&"eth0".into(), &branch(asked), Some(&branch(held)), &Facts::default(), &mut steps);
            steps.iter().filter(|s| s.for_good).count()
        };
        let strange = || Object::unknown(Id::Qdisc { parent: Handle::new(1, 16), handle: Handle::new(7, 0) }, "future");
        let bare = || vec![htb_root(), class(0, 16, 500_000)];
        let with = |more: Object| [bare(), vec![more]].concat();
        assert_eq!(for_good(bare(), with(strange())), 1);
        assert_eq!(for_good(with(leaf(16, 2, 100)), with(strange())), 1);
        assert_eq!(for_good(vec![], with(strange())), 1);
        assert_eq!(for_good(bare(), with(leaf(16, 2, 100))), 0);
        assert_eq!(for_good(vec![], with(leaf(16, 2, 100))), 0);
    }

    #[test]
    fn nothing_asked_gives_the_default_back() {
        assert_eq!(steps(vec![], vec![htb_root(), class(0, 1, 900_000)]), ["Delete htb 1: "]);
    }
}
