//! A kernel that only keeps book: it takes the requests that tc would send and answers as net/sched/sch_api.c and
//! net/sched/cls_api.c do, with the numbers that the kernel would give.

mod filters;

use crate::facts::Facts;
use crate::kind::qdisc::htb;
use crate::kind::wire::Attributes;
use crate::kind::{Children, Options, Reset};
use crate::netlink::{self, LinkInfo, Record};
use crate::tc::{Request, Subject, Target, Verb};
use crate::tree::{Id, Object, Origin, Tree, block_of};
use crate::unit::{Handle, Length, Number, Slot};
use compact_str::CompactString;
use filters::Filters;
use indexmap::IndexMap;
use std::collections::{HashMap, HashSet};

/// Why the kernel would refuse, in its words where it has any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

/// What a request came to: remarks on what it does beside what it says.
pub type Answer = Result<Vec<String>, Refused>;

fn refuse<T>(why: impl Into<String>) -> Result<T, Refused> {
    Err(Refused(why.into()))
}

/// The machine: links, what hangs on them, and what they share.
#[derive(Debug)]
pub struct Machine {
    links: IndexMap<CompactString, Link>,
    facts: Facts,
    /// The last handle that was given to a qdisc (`qdisc_alloc_handle`).
    last_handle: u16,
    /// Filters of shared blocks.
    blocks: HashMap<u32, Filters>,
    actions: filters::Shared,
}

/// A link with its objects.
#[derive(Debug, Default)]
struct Link {
    settings: crate::tree::Link,
    /// Qdiscs by their handle.
    qdiscs: IndexMap<Handle, Object>,
    /// Which qdisc hangs at a class, the root or the hook.
    at: HashMap<Handle, Handle>,
    classes: IndexMap<Handle, Object>,
    /// How many classes a class has.
    children: HashMap<Handle, usize>,
    filters: Filters,
    /// What a filter called the hook `ingress` last, if not `ffff:`.
    hook: Option<Handle>,
}

impl Machine {
    /// A machine with nothing on it. By these figures tc completes what is written: it knows nothing of a link.
    pub fn new(facts: Facts) -> Machine {
        Machine {
            links: IndexMap::new(),
            facts,
            last_handle: 0x8000,
            blocks: HashMap::new(),
            actions: filters::Shared::default(),
        }
    }

    /// Whether a command has made this link.
    pub fn made(&self, name: &str) -> bool {
        self.links.get(name).is_some_and(|link| link.settings.kind.is_some())
    }

    /// Whether a command has named this link.
    pub fn knows(&self, name: &str) -> bool {
        self.links.contains_key(name)
    }

    fn link(&mut self, name: &str) -> &mut Link {
        self.links.entry(name.into()).or_default()
    }

    /// `ip link add NAME type KIND`.
    ///
    /// # Errors
    /// A command has made it before.
    pub fn add_link(&mut self, name: &str, kind: &str, origin: &Origin) -> Answer {
        if self.made(name) {
            return refuse("File exists");
        }
        let link = self.link(name);
        link.settings.kind = Some(kind.into());
        link.settings.origin = origin.clone();
        Ok(Vec::new())
    }

    /// `ip link del NAME`: with all that hangs on it.
    pub fn remove_link(&mut self, name: &str) {
        self.links.shift_remove(name);
    }

    /// `ip link set NAME up`.
    pub fn set_up(&mut self, name: &str, up: bool) {
        self.link(name).settings.up = Some(up);
    }

    /// `ip link set NAME txqueuelen N`.
    pub fn set_txqueuelen(&mut self, name: &str, packets: u32, origin: &Origin) {
        let link = self.link(name);
        link.settings.txqueuelen = Some(packets);
        link.settings.origin = origin.clone();
    }

    /// `ip link set NAME mtu N`.
    pub fn set_mtu(&mut self, name: &str, bytes: u32) {
        self.link(name).settings.mtu = Some(bytes);
    }

    /// `ip link set NAME name NEW`.
    pub fn rename(&mut self, name: &str, new: &str) {
        if let Some(link) = self.links.shift_remove(name) {
            self.links.insert(new.into(), link);
        }
    }

    /// Takes a request. One that is refused changes nothing.
    ///
    /// # Errors
    /// Why the kernel would refuse it.
    pub fn take(&mut self, request: &Request, origin: &Origin) -> Answer {
        let dev = match &request.target {
            Some(Target::Dev(dev)) => Some(dev.as_str()),
            _ => None,
        };
        match (&request.subject, dev) {
            (Subject::Qdisc(object), Some(dev)) => {
                let mut object = object.clone();
                object.origin = origin.clone();
                self.qdisc(request.verb, dev, object)
            }
            (Subject::Class(object), Some(dev)) => {
                let mut object = object.clone();
                object.origin = origin.clone();
                self.class(request.verb, dev, object)
            }
            (Subject::Filter(object) | Subject::Chain(object), _) => {
                let mut object = object.clone();
                object.origin = origin.clone();
                self.filter(request, object)
            }
            (Subject::Actions(actions), _) => self.actions.make(request.verb, actions),
            (Subject::Numbered(list), _) if request.verb == Verb::Delete => {
                for one in list {
                    self.actions.remove(&one.name, one.index)?;
                }
                Ok(Vec::new())
            }
            (Subject::OfKind { name, .. }, _) if request.verb == Verb::Flush => {
                self.actions.flush(name);
                Ok(Vec::new())
            }
            _ => Ok(Vec::new()),
        }
    }

    fn qdisc(&mut self, verb: Verb, dev: &str, object: Object) -> Answer {
        let Id::Qdisc { parent, handle } = object.id else { return Ok(Vec::new()) };
        if verb == Verb::Delete {
            return self.delete_qdisc(dev, &object);
        }
        let (create, exclusive) = (matches!(verb, Verb::Add | Verb::Replace), verb == Verb::Add);
        let replace = matches!(verb, Verb::Replace | Verb::Link);
        // tc_modify_qdisc
        let link = self.link(dev);
        let mut make = false;
        let found;
        if parent.0 != 0 {
            if parent != Handle::ROOT && parent != Handle::INGRESS {
                link.leaf(parent)?;
            }
            found = link.at.get(&parent).copied();
            if found.is_none() || handle.0 == 0 || found != Some(handle) {
                if handle.0 != 0 {
                    if found.is_some() && !replace {
                        return refuse("something stands there already (NLM_F_REPLACE needed to override)");
                    }
                    if handle.minor() != 0 {
                        return refuse("Invalid minor handle");
                    }
                    match link.qdiscs.get(&handle) {
                        None => make = true,
                        Some(other) if other.id.parent() != parent => {
                            return refuse("Cannot move an existing qdisc to a different parent");
                        }
                        Some(_) if exclusive => return refuse("Exclusivity flag on, cannot override"),
                        Some(other) if !object.name.is_empty() && other.name != object.name => {
                            return refuse("Invalid qdisc name");
                        }
                        Some(_) => return Ok(Vec::new()),
                    }
                } else {
                    match found.and_then(|found| link.qdiscs.get(&found)) {
                        None => make = true,
                        Some(other) if !object.name.is_empty() && other.name != object.name => {
                            if (create && replace) || exclusive || verb == Verb::Change {
                                make = true;
                            }
                            if make && verb == Verb::Change {
                                return self.make_qdisc(dev, object);
                            }
                        }
                        Some(_) => {}
                    }
                }
            }
        } else if handle.0 == 0 {
            return refuse("Handle cannot be zero");
        } else {
            found = Some(handle).filter(|h| link.qdiscs.contains_key(h));
        }
        if make {
            return match create {
                true => self.make_qdisc(dev, object),
                false => refuse("Qdisc not found. To create specify NLM_F_CREATE flag"),
            };
        }
        let Some(standing) = found.and_then(|found| link.qdiscs.get(&found)) else {
            return refuse("Specified qdisc not found");
        };
        if exclusive {
            return refuse("Exclusivity flag on, cannot modify");
        }
        if !object.name.is_empty() && standing.name != object.name {
            return refuse("Invalid qdisc name");
        }
        self.change_qdisc(dev, found.unwrap_or_default(), object)
    }

    fn make_qdisc(&mut self, dev: &str, mut object: Object) -> Answer {
        let Id::Qdisc { parent, handle } = object.id else { return Ok(Vec::new()) };
        if object.name.is_empty() {
            return refuse("Specified qdisc kind is unknown");
        }
        if GONE.contains(&object.name.as_str()) {
            return refuse(format!("no kernel has `{}` any more", object.name));
        }
        let is_hook = matches!(object.name.as_str(), "ingress" | "clsact");
        if is_hook != (parent == Handle::INGRESS) {
            return refuse("Specified parent ID is reserved for ingress and clsact Qdiscs");
        }
        let facts = self.facts.clone();
        let handle = match (is_hook, handle.0) {
            (true, _) => Handle::HOOK,
            (false, 0) => self.free_handle(dev),
            _ => handle,
        };
        let link = self.link(dev);
        if !is_hook && parent != Handle::ROOT {
            if object.name == "noqueue" {
                return refuse("Cannot assign noqueue to a class");
            }
            let above = Handle::new(parent.major(), 0);
            if object.stab.is_some() && !link.qdiscs.get(&above).is_some_and(is_multiqueue) {
                return refuse("STAB not supported on a non root");
            }
            if link.children.get(&parent).is_some_and(|n| *n > 0) {
                return refuse("Invalid argument: the class has classes of its own");
            }
        }
        object.id = Id::Qdisc { parent, handle };
        settle(&mut object, &facts);
        if let Some(old) = link.at.get(&parent).copied() {
            link.drop_qdisc(old);
        }
        link.at.insert(parent, handle);
        link.qdiscs.insert(handle, object);
        Ok(Vec::new())
    }

    fn free_handle(&mut self, dev: &str) -> Handle {
        for _ in 0..0x8000 {
            self.last_handle = self.last_handle.wrapping_add(1);
            if self.last_handle == 0xffff {
                self.last_handle = 0x8000;
            }
            let handle = Handle::new(self.last_handle, 0);
            if !self.links.get(dev).is_some_and(|link| link.qdiscs.contains_key(&handle)) {
                return handle;
            }
        }
        Handle(0)
    }

    fn change_qdisc(&mut self, dev: &str, handle: Handle, object: Object) -> Answer {
        let facts = self.facts.clone();
        let link = self.link(dev);
        let Some(standing) = link.qdiscs.get_mut(&handle) else { return refuse("Specified qdisc not found") };
        // where tc has nothing to say, the options are not sent, and nothing is changed
        let mut sent = Attributes::new();
        if !object.name.is_empty() {
            object.options.encode(&mut sent, &facts);
        }
        let said = !sent.bytes.is_empty();
        let mut remarks = Vec::new();
        if said {
            let kind = standing.kind.filter(|k| k.change);
            if kind.is_none() {
                return refuse("Change operation not supported by specified qdisc");
            }
            for (i, row) in standing.options.rows().iter().enumerate() {
                let differs = is_set(&object, i) && !object.options.same(standing.options.as_ref(), i, &facts);
                if row.fixed && !row.repeated && differs && object.options.refuses_change(row.word) {
                    return refuse(format!("`{}` cannot be changed in place", row.word));
                }
            }
            merge(standing, object.options.as_ref(), &facts);
            standing.origin.span = object.origin.span.or(standing.origin.span);
        }
        standing.stab.clone_from(&object.stab);
        if object.estimator.is_some() {
            standing.estimator = object.estimator;
        }
        let (options, limit) = (standing.options.clone(), standing.options.show("limit"));
        if said {
            remarks.extend(link.disturb(handle, options.as_ref(), limit));
        }
        Ok(remarks)
    }

    fn delete_qdisc(&mut self, dev: &str, object: &Object) -> Answer {
        self.take_away(dev, object)?;
        // a block goes with the last hook that looks into it
        let bound = self.bound_blocks();
        self.blocks.retain(|number, _| bound.contains(number));
        Ok(Vec::new())
    }

    fn take_away(&mut self, dev: &str, object: &Object) -> Answer {
        let Id::Qdisc { parent, handle } = object.id else { return Ok(Vec::new()) };
        let link = self.link(dev);
        // tc_get_qdisc
        let found = if parent.0 != 0 {
            if parent == Handle::ROOT {
                link.at.get(&parent).copied()
            } else if parent.major() == 0xffff {
                link.at.get(&Handle::INGRESS).copied()
            } else {
                link.leaf(parent)?;
                link.at.get(&parent).copied()
            }
        } else {
            Some(handle).filter(|h| link.qdiscs.contains_key(h))
        };
        let Some(found) = found else { return refuse("Cannot find specified qdisc on specified device") };
        if handle.0 != 0 && parent.0 != 0 && found != handle {
            return refuse("Invalid handle");
        }
        if !object.name.is_empty() && link.qdiscs.get(&found).is_some_and(|q| q.name != object.name) {
            return refuse("Invalid qdisc name");
        }
        if parent.0 == 0 {
            return refuse("Classid cannot be zero");
        }
        link.drop_qdisc(found);
        Ok(Vec::new())
    }

    fn class(&mut self, verb: Verb, dev: &str, object: Object) -> Answer {
        let Id::Class { parent, handle } = object.id else { return Ok(Vec::new()) };
        let facts = self.facts.clone();
        let link = self.link(dev);
        // tc_ctl_tclass
        let root = || link.at.get(&Handle::ROOT).map_or(0, |h| h.major());
        let mut major = handle.major();
        let mut parent = parent;
        if parent != Handle::ROOT {
            match (major, parent.major()) {
                (a, b) if a != 0 && b != 0 && a != b => {
                    return refuse("Invalid argument: the class and its parent are of two qdiscs");
                }
                (0, 0) => major = root(),
                (0, b) => major = b,
                _ => {}
            }
            if parent.0 != 0 {
                parent = Handle::new(major, parent.minor());
            }
        } else if major == 0 {
            major = root();
        }
        let own = Handle::new(major, 0);
        let Some(qdisc) = link.qdiscs.get(&own) else {
            return refuse("No such file or directory: there is no such qdisc");
        };
        if !is_classful(qdisc) {
            return refuse("Invalid argument: the qdisc has no classes");
        }
        let class = match handle.0 {
            0 if parent == Handle::ROOT => own,
            0 => Handle(0),
            _ => Handle::new(major, handle.minor()),
        };
        let exists = class.0 != 0 && link.has_class(class);
        match (verb, exists) {
            (Verb::Add, true) => return refuse("File exists"),
            (Verb::Change | Verb::Delete, false) => return refuse("No such file or directory"),
            (Verb::Delete, true) => return link.delete_class(class),
            _ => {}
        }
        let name = qdisc.name.clone();
        if name == "ets" {
            return link.change_band(own, class, &object, exists);
        }
        if qdisc.kind.is_none_or(|k| k.children != Children::Classes) {
            return refuse("Operation not supported: the classes of this qdisc are its own");
        }
        if object.name != name {
            return refuse(format!("Invalid argument: these are not the options of a class of {name}"));
        }
        let r2q = qdisc.options.value::<Number>("r2q").map_or(10, |n| n.0).max(1);
        link.put_class(parent, class, object, r2q, &facts)
    }

    fn filter(&mut self, request: &Request, mut object: Object) -> Answer {
        let (verb, target) = (request.verb, request.target.as_ref());
        let is_chain = matches!(request.subject, Subject::Chain(_));
        let Id::Filter { parent, chain, prio, protocol, handle } = object.id else { return Ok(Vec::new()) };
        if let Some(Target::Block(number)) = target {
            // __tcf_block_find
            if !self.bound_blocks().contains(number) {
                return refuse("Block of given index was not found");
            }
            object.id = Id::Filter { parent: Handle(*number), chain, prio, protocol, handle };
            let filters = self.blocks.entry(*number).or_default();
            return filters.take(verb, object, is_chain, &mut self.actions, &self.facts);
        }
        let Some(Target::Dev(dev)) = target else { return Ok(Vec::new()) };
        let facts = self.facts.clone();
        let link = self.links.entry(dev.clone()).or_default();
        // __tcf_qdisc_find
        let own = match parent.0 {
            0 => link.at.get(&Handle::ROOT).copied(),
            _ if parent.major() == 0xffff => Some(Handle::HOOK),
            _ => Some(Handle::new(parent.major(), 0)),
        };
        let Some(qdisc) = own.and_then(|own| link.qdiscs.get(&own)) else {
            return refuse("Parent Qdisc doesn't exists");
        };
        if !qdisc.options.takes_filters() && !is_hook(qdisc) {
            return refuse(match is_classful(qdisc) {
                true => "Class doesn't support blocks",
                false => "Qdisc not classful",
            });
        }
        let own = own.unwrap_or_default();
        let class = qdisc.kind.and_then(|kind| kind.class);
        let class_filters = class.is_some_and(|fresh| fresh().takes_filters());
        let place = match (qdisc.name.as_str(), parent) {
            ("ingress", _) => {
                link.hook = Some(parent).filter(|parent| *parent == Handle::HOOK_INGRESS);
                Handle::HOOK
            }
            ("clsact", Handle::HOOK_INGRESS | Handle::HOOK_EGRESS) => parent,
            ("clsact", _) => return refuse("Operation not supported: say `ingress` or `egress` of a clsact"),
            (_, Handle(0)) => own,
            (_, place) if place.minor() != 0 && !link.has_class(place) => {
                return refuse("Specified class doesn't exist");
            }
            // the others ask filters of their own only
            (_, place) if place.minor() != 0 && !class_filters => {
                return refuse("Invalid argument: the classes of this qdisc have no filters");
            }
            (_, place) => place,
        };
        let blocks = qdisc.blocks;
        let shared = match place {
            Handle::HOOK_EGRESS => blocks.egress,
            _ if qdisc.name == "clsact" || qdisc.name == "ingress" => blocks.ingress,
            _ => 0,
        };
        if shared != 0 {
            return refuse("This filter block is shared. Please use the block index to manipulate the filters");
        }
        object.id = Id::Filter { parent: place, chain, prio, protocol, handle };
        // a class that is not there yet is not held fast
        link.filters.binds = object.options.value::<Handle>("flowid").is_some_and(|class| link.has_class(class));
        link.filters.take(verb, object, is_chain, &mut self.actions, &facts)
    }

    /// All that stands, links in the order in which they were named; devices that others redirect to come first.
    pub fn tree(&self) -> Tree {
        let (mut records, mut machine) =
            (Vec::new(), netlink::Machine { clock: self.facts.clone(), ..Default::default() });
        for (i, (name, link)) in self.links.iter().enumerate() {
            let index = i as u32 + 1;
            machine.links.push(LinkInfo { index, name: name.clone(), ..LinkInfo::default() });
            let mut put = |object: &Object| records.push(Record::of(index, object.clone()));
            link.qdiscs.values().for_each(&mut put);
            link.classes.values().for_each(&mut put);
            link.filters.each(&mut put);
        }
        for filters in self.blocks.values() {
            filters.each(&mut |object| records.push(Record::of(netlink::BLOCK, object.clone())));
        }
        let mut tree = netlink::tree(records, &machine);
        for (name, interface) in &mut tree.interfaces {
            interface.link = self.links.get(name).map(|link| link.settings.clone()).unwrap_or_default();
            // filters stand in the order in which they were made
            let own = block_of(name).and_then(|number| self.blocks.get(&number));
            let filters = own.or_else(|| self.links.get(name).map(|link| &link.filters));
            let hook = self.links.get(name).and_then(|link| link.hook);
            for branch in [&mut interface.egress, &mut interface.ingress].into_iter().flatten() {
                let age = |o: &Object| filters.map_or(0, |f| f.age(o.id));
                branch.objects.sort_by_key(|o| (matches!(o.id, Id::Filter { .. }), age(o)));
                for object in &mut branch.objects {
                    match (&mut object.id, hook) {
                        (Id::Filter { parent, .. }, Some(hook)) if *parent == Handle::HOOK => *parent = hook,
                        _ => {}
                    }
                }
            }
            interface.egress = interface.egress.take().filter(|b| !b.objects.is_empty());
            interface.ingress = interface.ingress.take().filter(|b| !b.objects.is_empty());
        }
        tree.interfaces.retain(|_, i| {
            i.egress.is_some() || i.ingress.is_some() || i.link.txqueuelen.is_some() || i.link.kind.is_some()
        });
        tree
    }

    /// The shared blocks that hooks look into.
    fn bound_blocks(&self) -> HashSet<u32> {
        let hooks = self.links.values().filter_map(|link| link.qdiscs.get(&Handle::HOOK));
        hooks.flat_map(|hook| [hook.blocks.ingress, hook.blocks.egress]).filter(|number| *number != 0).collect()
    }
}

/// Kinds that no kernel has any more.
const GONE: &[&str] = &["cbq", "dsmark", "atm"];
/// Whether the bands of a qdisc are the queues of the device: they take no filters.
fn is_multiqueue(qdisc: &Object) -> bool {
    children(qdisc) == Children::Bands && !qdisc.options.takes_filters()
}

fn is_hook(qdisc: &Object) -> bool {
    qdisc.id.parent() == Handle::INGRESS
}

fn children(qdisc: &Object) -> Children {
    qdisc.kind.map_or(Children::None, |kind| kind.children)
}

fn is_set(object: &Object, row: usize) -> bool {
    object.options.slot(row).is_some_and(|slot| slot.is_set())
}

/// Whether a qdisc has classes at all, if only of its own (`cl_ops`).
fn is_classful(qdisc: &Object) -> bool {
    qdisc.options.takes_filters()
        || is_hook(qdisc)
        || qdisc.name == "skbprio"
        || qdisc.kind.is_none_or(|k| k.children != Children::None)
}

/// An object as the kernel holds it when it is new: what tc computes is written, what only tc uses is gone.
fn settle(object: &mut Object, facts: &Facts) {
    object.options.complete(facts);
    for (i, row) in object.options.rows().iter().enumerate() {
        if row.tool && !row.hidden {
            object.options.slot_mut(i).into_iter().for_each(Slot::clear);
        }
    }
}

/// Writes a change into the options that stand.
fn merge(standing: &mut Object, said: &dyn Options, facts: &Facts) {
    let mut said = said.boxed();
    said.complete(facts);
    let is_class = matches!(standing.id, Id::Class { .. });
    for (i, row) in said.rows().iter().enumerate() {
        if row.tool && !row.hidden {
            continue;
        }
        let (Some(new), Some(old)) = (said.slot(i), standing.options.slot_mut(i)) else { continue };
        // a struct says the values that nobody can change as well
        let firm = row.fixed && !row.repeated && !is_class && old.is_set();
        if new.is_set() && !firm {
            old.copy_from(new);
        } else if said.forgets(row.word) && !row.fixed && !row.hidden {
            old.clear();
        }
    }
}

impl Link {
    /// Whether a class is there: one that was made, or one that its qdisc has of itself.
    fn has_class(&self, class: Handle) -> bool {
        if self.classes.contains_key(&class) {
            return true;
        }
        let Some(qdisc) = self.qdiscs.get(&Handle::new(class.major(), 0)) else { return false };
        let (name, minor) = (qdisc.name.as_str(), u64::from(class.minor()));
        if children(qdisc) == Children::Leaf {
            return true; // whatever its number (their `find` says 1)
        }
        match name {
            "hfsc" => minor == 0,
            "prio" | "ets" => minor >= 1 && minor <= bands(qdisc),
            _ if is_multiqueue(qdisc) || name == "multiq" => minor >= 1,
            _ => qdisc.kind.is_none() && minor >= 1,
        }
    }

    /// Whether a qdisc may be put at a class (`qdisc_leaf`).
    fn leaf(&self, class: Handle) -> Result<(), Refused> {
        let Some(qdisc) = self.qdiscs.get(&Handle::new(class.major(), 0)) else {
            return refuse("Failed to find specified qdisc");
        };
        if !is_classful(qdisc) {
            return refuse("Parent qdisc is not classful");
        }
        if self.has_class(class) { Ok(()) } else { refuse("Specified class not found") }
    }

    /// Takes a qdisc away with all that is below it.
    fn drop_qdisc(&mut self, handle: Handle) {
        let mut open = vec![handle];
        while let Some(handle) = open.pop() {
            let Some(gone) = self.qdiscs.shift_remove(&handle) else { continue };
            self.at.remove(&gone.id.parent());
            let major = handle.major();
            open.extend(
                self.at.iter().filter(|(at, _)| at.major() == major && at.0 < 0xffff_0000).map(|(_, own)| *own),
            );
            self.classes.retain(|class, _| class.major() != major);
            self.children.retain(|class, _| class.major() != major);
            self.filters.drop_below(|parent| parent.major() == major);
        }
    }

    /// What a change of a qdisc does to those below it.
    fn disturb(&mut self, handle: Handle, options: &dyn Options, limit: Option<String>) -> Vec<String> {
        let mut remarks = Vec::new();
        let below: Vec<(Handle, Handle)> =
            self.at.iter().filter(|(at, _)| at.major() == handle.major()).map(|(at, own)| (*at, *own)).collect();
        let bands = self.qdiscs.get(&handle).filter(|q| matches!(q.name.as_str(), "prio" | "ets")).map(bands);
        for (at, own) in below {
            let Some(child) = self.qdiscs.get_mut(&own).filter(|_| at != Handle::ROOT && at != Handle::INGRESS) else {
                continue;
            };
            if bands.is_some_and(|bands| u64::from(at.minor()) > bands) {
                self.drop_qdisc(own);
                continue;
            }
            match options.change_resets(&child.name) {
                None => {}
                Some(Reset::Replaced) => {
                    remarks.push(format!("the kernel puts a fifo of its own in the place of {} {own}", child.name));
                    self.drop_qdisc(own);
                }
                Some(Reset::Resized) => {
                    let row = child.options.row("limit");
                    if let (Some(limit), Some(slot)) = (&limit, row.and_then(|row| child.options.slot_mut(row))) {
                        let _ = slot.read_text(limit, &mut crate::unit::Reader::tc());
                    }
                }
            }
        }
        remarks
    }

    fn put_class(&mut self, parent: Handle, class: Handle, mut object: Object, r2q: u32, facts: &Facts) -> Answer {
        let own = Handle::new(class.major(), 0);
        let mut remarks = Vec::new();
        if let Some(standing) = self.classes.get_mut(&class) {
            if standing.name == "hfsc" && parent.0 != 0 && standing.id.parent() != parent {
                return refuse("Invalid argument: a class of hfsc keeps its parent");
            }
            let inner = self.children.get(&class).is_some_and(|n| *n > 0);
            let before = standing.options.clone();
            merge(standing, object.options.as_ref(), facts);
            if let Some(htb) = standing.options.as_kind_mut::<htb::Class>() {
                match before.as_ref().as_kind::<htb::Class>().filter(|_| inner) {
                    // of an inner class the kernel takes neither
                    Some(old) => (htb.quantum, htb.prio, htb.level) = (old.quantum, old.prio, old.level),
                    None => remarks.extend(quantum(htb, r2q)),
                }
            }
            standing.origin.span = object.origin.span.or(standing.origin.span);
            return Ok(remarks);
        }
        if class.0 == 0 || class.minor() == 0 {
            return refuse("Invalid argument: the class has no number");
        }
        let above = match object.name.as_str() {
            "htb" => {
                if parent != Handle::ROOT && parent != own && parent.0 != 0 && !self.classes.contains_key(&parent) {
                    remarks.push(format!("there is no class {parent}: {class} becomes a class at the top"));
                }
                if self.classes.contains_key(&parent) { parent } else { own }
            }
            "hfsc" => match parent {
                Handle::ROOT => return refuse("File exists: a class of hfsc at the top has the qdisc for its parent"),
                Handle(0) => own,
                parent if parent == own || self.classes.contains_key(&parent) => parent,
                _ => return refuse("No such file or directory: the parent is not there"),
            },
            // others have no classes below classes, whatever is written
            _ => own,
        };
        settle(&mut object, facts);
        if let Some(htb) = object.options.as_kind_mut::<htb::Class>() {
            let nothing = crate::unit::Rate(0);
            if htb.rate.is_none_or(|r| r == nothing) || htb.ceil.is_none_or(|c| c == nothing) {
                return refuse("Invalid argument: a class of htb wants a `rate`");
            }
            let level = |class: Handle| self.classes.get(&class)?.options.as_kind::<htb::Class>()?.level;
            let grand = self.classes.get(&above).map(|o| o.id.parent()).filter(|p| self.classes.contains_key(p));
            if grand.and_then(level).is_some_and(|l| l.0 < 2) {
                return refuse("tree is too deep");
            }
            remarks.extend(quantum(htb, r2q));
            htb.level = Some(Number(0));
        }
        if above != own && !self.children.contains_key(&above) {
            // it is a leaf no more: what hung there goes
            if let Some(leaf) = self.at.get(&above).copied() {
                self.drop_qdisc(leaf);
                remarks.push(format!("qdisc {leaf} goes: {above} has classes now"));
            }
            let grand = self.classes.get(&above).map(|o| o.id.parent()).and_then(|p| self.classes.get(&p));
            let grand = grand.and_then(|o| o.options.as_kind::<htb::Class>()).and_then(|c| c.level);
            if let Some(htb) = self.classes.get_mut(&above).and_then(|o| o.options.as_kind_mut::<htb::Class>()) {
                htb.level = Some(Number(grand.map_or(LEVELS, |l| l.0) - 1));
            }
        }
        if above != own {
            *self.children.entry(above).or_default() += 1;
        }
        object.id = Id::Class { parent: above, handle: class };
        self.classes.insert(class, object);
        Ok(remarks)
    }

    /// `tc class change … ets quantum N`: one of the qdisc's own.
    fn change_band(&mut self, own: Handle, class: Handle, object: &Object, exists: bool) -> Answer {
        if !exists {
            return refuse("Fine-grained class addition and removal is not supported");
        }
        let Some(text) = object.options.show("quantum") else { return Ok(Vec::new()) };
        let Some(qdisc) = self.qdiscs.get_mut(&own) else { return Ok(Vec::new()) };
        let strict = qdisc.options.show("strict").and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
        let Some(band) = usize::from(class.minor()).checked_sub(1 + strict) else {
            return refuse("Strict bands do not have a configurable quantum");
        };
        let count = (bands(qdisc) as usize).saturating_sub(strict);
        let shown = qdisc.options.show("quanta").unwrap_or_default();
        let words = shown.trim_matches(['[', ']']).split([' ', ',']).filter(|w| !w.is_empty());
        let mut quanta: Vec<String> = words.map(str::to_owned).collect();
        quanta.resize(count.max(band + 1), format!("{}b", Facts::default().frame()));
        if let Some(place) = quanta.get_mut(band) {
            *place = text;
        }
        // tc reads bare figures here
        let quanta: Vec<String> = quanta.iter().map(|q| q.trim_end_matches('b').to_owned()).collect();
        let row = qdisc.options.row("quanta");
        if let Some(slot) = row.and_then(|row| qdisc.options.slot_mut(row)) {
            let _ = slot.read_words(&mut crate::unit::Words::new(&quanta), &mut crate::unit::Reader::tc());
        }
        Ok(Vec::new())
    }

    fn delete_class(&mut self, class: Handle) -> Answer {
        let Some(object) = self.classes.get(&class) else {
            return refuse("Operation not supported: the class is its qdisc's own");
        };
        if self.children.get(&class).is_some_and(|n| *n > 0) {
            return refuse("Device or resource busy: it has classes of its own");
        }
        if self.filters.point_to(class) {
            return refuse("Device or resource busy: filters send to it");
        }
        let above = object.id.parent();
        if let Some(leaf) = self.at.get(&class).copied() {
            self.drop_qdisc(leaf);
        }
        self.filters.drop_below(|parent| parent == class);
        self.classes.shift_remove(&class);
        if let Some(count) = self.children.get_mut(&above) {
            *count -= 1;
            if *count == 0 {
                self.children.remove(&above);
                if let Some(htb) = self.classes.get_mut(&above).and_then(|o| o.options.as_kind_mut::<htb::Class>()) {
                    htb.level = Some(Number(0));
                }
            }
        }
        Ok(Vec::new())
    }
}

/// `TC_HTB_MAXDEPTH`.
const LEVELS: u32 = 8;

/// The bands of a qdisc that has a number of them.
fn bands(qdisc: &Object) -> u64 {
    let mut options = qdisc.options.clone();
    options.assume(&Facts::default());
    let row = options.row("bands");
    row.and_then(|row| options.slot(row)?.number()).unwrap_or(if qdisc.name == "prio" { 3 } else { 16 })
}

/// The quantum that the kernel computes where none is written (`htb_change_class`); said where it does not fit.
fn quantum(class: &mut htb::Class, r2q: u32) -> Option<String> {
    if class.quantum.is_some_and(|q| q.0 > 0) {
        return None;
    }
    let plain = class.rate.unwrap_or_default().bytes() / u64::from(r2q);
    let fit = plain.clamp(*htb::QUANTUM.start(), *htb::QUANTUM.end());
    class.quantum = Some(Length(fit as u32));
    None
}

#[cfg(test)]
mod tests;
