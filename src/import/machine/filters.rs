//! Filters as net/sched/cls_api.c and the classifiers keep them: priorities and numbers that the kernel gives, u32's tables,
//! and actions that several filters share.

use super::{Answer, Refused, refuse};
use crate::facts::Facts;
use crate::kind::action::{Act, Actions};
use crate::kind::filter::u32::{Node, U32};
use crate::tc::Verb;
use crate::tree::{Id, Object};
use crate::unit::{Handle, Number, Slot};
use compact_str::CompactString;
use indexmap::IndexMap;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The filters of a link, or of a shared block.
#[derive(Debug, Default)]
pub(super) struct Filters {
    /// One classifier a priority (`struct tcf_proto`), by where it is asked.
    protos: BTreeMap<Place, Proto>,
    /// The templates of chains.
    templates: BTreeMap<(Handle, u32), Object>,
    /// What all u32 classifiers of a qdisc share (`struct tc_u_common`), by the qdisc's major number.
    tables: HashMap<u16, Tables>,
    /// When each was made: the kernel numbers u32's tables in that order.
    born: HashMap<(Place, u32), usize>,
    made: usize,
    /// Whether the filter that is taken next finds the class that it sends to.
    pub(super) binds: bool,
    /// Those that hold their class fast.
    bound: HashSet<(Place, u32)>,
}

/// Parent, chain and priority.
type Place = (Handle, u32, u16);

#[derive(Debug)]
struct Proto {
    protocol: u16,
    name: CompactString,
    /// Filters by number, but for u32's.
    entries: IndexMap<u32, Object>,
    /// The table that u32 has for this priority.
    root: u32,
}

#[derive(Debug, Default)]
struct Tables {
    protos: usize,
    last: u32,
    taken: BTreeSet<u32>,
    tables: Vec<Table>,
}

#[derive(Debug)]
struct Table {
    handle: u32,
    place: Place,
    divisor: u32,
    /// Filters that lead here.
    links: usize,
    object: Option<Object>,
    nodes: BTreeMap<u32, Object>,
}

/// Bits of a u32 handle: the table, the bucket, the node.
const TABLE: u32 = 0xfff0_0000;
const BUCKET: u32 = 0x000f_f000;
const NODE: u32 = 0x0000_0fff;

impl Tables {
    /// `gen_new_htid`: ids go on from the last one, as long as the tables live.
    fn new_id(&mut self) -> Option<u32> {
        let free = |id: &u32| !self.taken.contains(id);
        let id = (self.last + 1..0x7ff).chain(1..=self.last.min(0x7fe)).find(free)?;
        self.last = id;
        self.taken.insert(id);
        Some((id | 0x800) << 20)
    }

    fn table(&mut self, handle: u32) -> Option<&mut Table> {
        self.tables.iter_mut().find(|t| t.handle == handle & TABLE)
    }
}

impl Filters {
    /// When a filter was made, as a number that grows.
    pub(super) fn age(&self, id: Id) -> usize {
        let Id::Filter { parent, chain, prio, handle, .. } = id else { return 0 };
        self.born.get(&((parent, chain, prio), handle)).copied().unwrap_or(0)
    }

    fn bear(&mut self, id: Id) {
        if let Id::Filter { parent, chain, prio, handle, .. } = id {
            self.bind(id);
            self.made += 1;
            self.born.insert(((parent, chain, prio), handle), self.made);
        }
    }

    /// `tcf_bind_filter`.
    fn bind(&mut self, id: Id) {
        let Id::Filter { parent, chain, prio, handle, .. } = id else { return };
        let key = ((parent, chain, prio), handle);
        if self.binds {
            self.bound.insert(key)
        } else {
            self.bound.remove(&key)
        };
    }

    /// Takes a request for the filters of a parent that is there.
    pub(super) fn take(
        &mut self,
        verb: Verb,
        object: Object,
        is_chain: bool,
        actions: &mut Shared,
        facts: &Facts,
    ) -> Answer {
        match verb {
            // tc's `chain`
            _ if is_chain => self.chain(verb, object),
            Verb::Add | Verb::Change | Verb::Replace => self.make(verb, object, actions, facts),
            Verb::Delete => self.delete(&object),
            _ => Ok(Vec::new()),
        }
    }

    /// `tc_ctl_chain`: a chain is made once, and takes its filters along when it goes.
    fn chain(&mut self, verb: Verb, mut object: Object) -> Answer {
        let Id::Filter { parent, chain, protocol, .. } = object.id else { return Ok(Vec::new()) };
        let place = (parent, chain);
        let inside: Vec<Place> =
            self.protos.range((parent, chain, 0)..=(parent, chain, u16::MAX)).map(|(p, _)| *p).collect();
        let there = !inside.is_empty() || self.templates.contains_key(&place);
        match verb {
            Verb::Add if there => return refuse("Filter chain already exists"),
            Verb::Add if object.name.is_empty() => {}
            Verb::Add if !object.options.has_templates() => {
                return refuse("Chain templates are not supported with specified classifier");
            }
            Verb::Add => {
                object.id = Id::Filter { parent, chain, prio: 0, protocol, handle: 0 };
                object.template = true;
                self.templates.insert(place, object);
            }
            Verb::Delete if there => {
                inside.into_iter().for_each(|place| self.drop(place));
                self.templates.remove(&place);
            }
            // it may have been made without a template
            _ => {}
        }
        Ok(Vec::new())
    }

    fn make(&mut self, verb: Verb, mut object: Object, actions: &mut Shared, facts: &Facts) -> Answer {
        let Id::Filter { parent, chain, mut prio, mut protocol, handle } = object.id else { return Ok(Vec::new()) };
        let create = verb != Verb::Change;
        if prio == 0 && !create {
            return refuse("Invalid filter command with priority of zero");
        }
        let not_found = || refuse("Filter with specified priority/protocol not found");
        let mut made = false;
        if prio == 0 {
            // tcf_auto_prio: one before the first of those that the kernel gave
            let first = self.protos.range((parent, chain, 0x8000)..=(parent, chain, u16::MAX)).next();
            prio = match first {
                Some(((_, _, 0x8000), _)) => return not_found(),
                Some(((_, _, first), _)) => first - 1,
                None => 0xc000,
            };
        }
        let place = (parent, chain, prio);
        match self.protos.get(&place) {
            Some(proto) if proto.protocol != protocol && protocol != 0 => return not_found(),
            Some(proto) => protocol = proto.protocol,
            None if object.name.is_empty() || protocol == 0 => {
                return refuse("Filter kind and protocol must be specified");
            }
            None if !create => {
                return refuse("Need both RTM_NEWTFILTER and NLM_F_CREATE to create a new filter");
            }
            None => {
                made = true;
                let mut root = 0;
                if object.name == "u32" {
                    let tables = self.tables.entry(parent.major()).or_default();
                    let first = tables.protos == 0;
                    root = if first { 0x8000_0000 } else { tables.new_id().unwrap_or(0x8000_0000) };
                    tables.protos += 1;
                    let table =
                        Table { handle: root, place, divisor: 1, links: 0, object: None, nodes: BTreeMap::new() };
                    tables.tables.push(table);
                }
                self.protos
                    .insert(place, Proto { protocol, name: object.name.clone(), entries: IndexMap::new(), root });
            }
        }
        object.id = Id::Filter { parent, chain, prio, protocol, handle };
        let done = self.put(verb, place, object, actions, facts);
        if done.is_err() && made {
            self.drop(place);
        }
        done
    }

    fn put(&mut self, verb: Verb, place: Place, mut object: Object, actions: &mut Shared, facts: &Facts) -> Answer {
        let Id::Filter { handle, .. } = object.id else { return Ok(Vec::new()) };
        let Some(proto) = self.protos.get_mut(&place) else { return Ok(Vec::new()) };
        if !object.name.is_empty() && object.name != proto.name {
            return refuse("Specified filter kind does not match existing one");
        }
        if proto.name == "u32" {
            return self.put_u32(verb, place, object, actions, facts);
        }
        let exists = handle != 0 && proto.entries.contains_key(&handle);
        match (verb, exists) {
            (Verb::Change, false) => {
                return refuse("Need both RTM_NEWTFILTER and NLM_F_CREATE to create a new filter");
            }
            (Verb::Add, true) => return refuse("Filter already exists"),
            _ => {}
        }
        super::settle(&mut object, facts);
        if object.name == "matchall" && !proto.entries.is_empty() {
            return refuse("File exists: one matchall a priority, and it cannot be changed");
        }
        actions.bind(&mut object)?;
        if exists {
            let Some(standing) = proto.entries.get_mut(&handle) else { return Ok(Vec::new()) };
            object.id = standing.id;
            if object.name == "flow" {
                super::merge(standing, object.options.as_ref(), facts);
            } else {
                standing.options = object.options;
            }
            standing.origin.span = object.origin.span.or(standing.origin.span);
            self.bind(object.id);
            return Ok(Vec::new());
        }
        let bare = !(0..object.options.rows().len()).any(|i| super::is_set(&object, i));
        let number = match (proto.name.as_str(), handle) {
            ("fw", 0) if bare => 0,
            ("fw" | "flow" | "cgroup", 0) => return refuse("Invalid argument: the filter wants a `handle`"),
            (_, 0) => (1..=u32::MAX).find(|n| !proto.entries.contains_key(n)).unwrap_or(1),
            (_, number) => number,
        };
        if let Id::Filter { handle, .. } = &mut object.id {
            *handle = number;
        }
        let id = object.id;
        proto.entries.insert(number, object);
        self.bear(id);
        Ok(Vec::new())
    }

    /// `u32_change`.
    fn put_u32(&mut self, verb: Verb, place: Place, mut object: Object, actions: &mut Shared, facts: &Facts) -> Answer {
        let Id::Filter { handle, .. } = object.id else { return Ok(Vec::new()) };
        let root = self.protos.get(&place).map_or(0, |p| p.root);
        let Some(tables) = self.tables.get_mut(&place.0.major()) else { return Ok(Vec::new()) };
        let full = |handle: u32| if handle & TABLE == TABLE { root | handle & !TABLE } else { handle };
        let found = match handle {
            0 => None,
            handle => tables.table(full(handle)).filter(|t| handle & NODE == 0 || t.nodes.contains_key(&full(handle))),
        };
        match (verb, found.is_some()) {
            (Verb::Change, false) => {
                return refuse("Need both RTM_NEWTFILTER and NLM_F_CREATE to create a new filter");
            }
            (Verb::Add, true) => return refuse("Filter already exists"),
            (_, true) if handle & NODE == 0 => return refuse("Key node id cannot be zero"),
            _ => {}
        }
        actions.bind(&mut object)?;
        super::settle(&mut object, facts);
        let Some(options) = object.options.as_kind::<U32>() else { return Ok(Vec::new()) };
        let link = options.link.map(|l| l.0).filter(|l| *l != 0);
        if let Some(link) = link {
            let Some(target) = tables.table(link) else { return refuse("Link hash table not found") };
            if target.object.is_none() {
                return refuse("Not linking to root node");
            }
        }
        if let Some(standing) = found_node(tables, full(handle)) {
            let before = standing.options.as_kind::<U32>().and_then(|o| o.link);
            let options = object.options.as_kind::<U32>();
            if let (Some(new), Some(old)) = (options, standing.options.as_kind_mut::<U32>()) {
                old.flowid = new.flowid.or(old.flowid);
                old.link = new.link.or(old.link);
                old.action.clone_from(&new.action);
                old.indev = new.indev.clone().or(old.indev.take());
            }
            standing.origin.span = object.origin.span.or(standing.origin.span);
            let (id, named) = (standing.id, object.options.value::<Handle>("flowid").is_some());
            if let Some(link) = link {
                unlink(tables, before);
                tables.table(link).into_iter().for_each(|t| t.links += 1);
            }
            if named {
                self.bind(id);
            }
            return Ok(Vec::new());
        }
        if let Some(Number(divisor)) = options.divisor {
            if handle & NODE != 0 {
                return refuse("Divisor can only be used on a hash table");
            }
            if !divisor.is_power_of_two() || divisor > 256 {
                return refuse("Divisor is not a power of 2 up to 256");
            }
            let number = match handle {
                0 => tables.new_id(),
                handle if handle & 0x8000_0000 != 0 => {
                    let id = handle >> 20 & 0x7ff;
                    tables.taken.insert(id).then_some(handle)
                }
                handle => Some(handle),
            };
            let Some(number) = number else { return refuse("No space left on device: the table's number is taken") };
            if let Id::Filter { handle, .. } = &mut object.id {
                *handle = number;
            }
            let id = object.id;
            let object = Some(object);
            tables.tables.push(Table { handle: number, place, divisor, links: 0, object, nodes: BTreeMap::new() });
            self.bear(id);
            return Ok(Vec::new());
        }
        let htid = match options.ht.map(|n: Node| n.0) {
            None => root,
            Some(ht) => full(ht) & !NODE,
        };
        let Some(table) = tables.table(htid) else { return refuse("Specified hash table not found") };
        if (htid & BUCKET) >> 12 >= table.divisor {
            return refuse("Specified hash table buckets exceed configured value");
        }
        if handle & TABLE != 0 && (handle ^ htid) & TABLE != 0 {
            return refuse("Handle specified hash table address mismatch");
        }
        let number = match handle & NODE {
            0 => {
                // gen_new_kid
                let free = |n: &u32| !table.nodes.contains_key(&(htid | n));
                (0x800..=0xfff).find(free).or_else(|| (1..0x800).find(free)).map(|n| htid | n)
            }
            node => Some(htid | node).filter(|n| !table.nodes.contains_key(n)),
        };
        let Some(number) = number else { return refuse("No space left on device: the filter's number is taken") };
        if options.keys.is_none() && options.mark.is_none() {
            return refuse("Selector not specified");
        }
        // a filter is shown where its table is
        let (parent, chain, prio) = table.place;
        let protocol = self.protos.get(&table.place).map_or(0, |p| p.protocol);
        object.id = Id::Filter { parent, chain, prio, protocol, handle: number };
        if let Some(options) = object.options.as_kind_mut::<U32>() {
            // the number says it
            options.ht = None;
        }
        let id = object.id;
        table.nodes.insert(number, object);
        if let Some(link) = link {
            tables.table(link).into_iter().for_each(|t| t.links += 1);
        }
        self.bear(id);
        Ok(Vec::new())
    }

    fn delete(&mut self, object: &Object) -> Answer {
        let Id::Filter { parent, chain, prio, protocol, handle } = object.id else { return Ok(Vec::new()) };
        if prio == 0 {
            if protocol != 0 || handle != 0 || !object.name.is_empty() {
                return refuse("Cannot flush filters with protocol, handle or kind set");
            }
            let all: Vec<Place> =
                self.protos.range((parent, chain, 0)..=(parent, chain, u16::MAX)).map(|(p, _)| *p).collect();
            all.into_iter().for_each(|place| self.drop(place));
            return Ok(Vec::new());
        }
        let place = (parent, chain, prio);
        let proto = self.protos.get_mut(&place).filter(|p| protocol == 0 || p.protocol == protocol);
        let Some(proto) = proto else { return refuse("Filter with specified priority/protocol not found") };
        if !object.name.is_empty() && proto.name != object.name {
            return refuse("Specified filter kind does not match existing one");
        }
        if handle == 0 {
            self.drop(place);
            return Ok(Vec::new());
        }
        let not_found = || refuse("Specified filter handle not found");
        if proto.name != "u32" {
            if proto.entries.shift_remove(&handle).is_none() {
                return not_found();
            }
            if proto.entries.is_empty() {
                self.drop(place);
            }
            return Ok(Vec::new());
        }
        let root = proto.root;
        let handle = if handle & TABLE == TABLE { root | handle & !TABLE } else { handle };
        let Some(tables) = self.tables.get_mut(&parent.major()) else { return not_found() };
        let Some(at) = tables.tables.iter().position(|t| t.handle == handle & TABLE) else { return not_found() };
        if handle & NODE != 0 {
            let Some(gone) = tables.tables.get_mut(at).and_then(|t| t.nodes.remove(&handle)) else {
                return not_found();
            };
            unlink(tables, gone.options.as_kind::<U32>().and_then(|o| o.link));
        } else {
            match tables.tables.get(at) {
                Some(table) if table.object.is_none() => return refuse("Not allowed to delete root node"),
                Some(table) if table.links > 0 => return refuse("Can not delete in-use filter"),
                _ => {
                    let gone = tables.tables.remove(at);
                    tables.taken.remove(&(gone.handle >> 20 & 0x7ff));
                }
            }
        }
        if tables.protos == 1 && tables.tables.iter().all(|t| t.nodes.is_empty()) {
            self.drop(place);
        }
        Ok(Vec::new())
    }

    /// Takes a classifier away with all its filters.
    fn drop(&mut self, place: Place) {
        let Some(proto) = self.protos.remove(&place) else { return };
        if proto.name != "u32" {
            return;
        }
        let major = place.0.major();
        let Some(tables) = self.tables.get_mut(&major) else { return };
        tables.protos = tables.protos.saturating_sub(1);
        if let Some(at) = tables.tables.iter().position(|t| t.handle == proto.root) {
            let gone = tables.tables.remove(at);
            tables.taken.remove(&(gone.handle >> 20 & 0x7ff));
            for node in gone.nodes.values() {
                unlink(tables, node.options.as_kind::<U32>().and_then(|o| o.link));
            }
        }
        if tables.protos == 0 {
            self.tables.remove(&major);
        }
    }

    /// Takes away all filters below parents that go.
    pub(super) fn drop_below(&mut self, goes: impl Fn(Handle) -> bool) {
        let all: Vec<Place> = self.protos.keys().filter(|(parent, ..)| goes(*parent)).copied().collect();
        all.into_iter().for_each(|place| self.drop(place));
        self.templates.retain(|(parent, _), _| !goes(*parent));
    }

    /// Whether a filter of the class's qdisc sends to it (`tcf_bind_filter`).
    pub(super) fn point_to(&self, class: Handle) -> bool {
        let mut found = false;
        self.each(&mut |object| {
            let Id::Filter { parent, chain, prio, handle, .. } = object.id else { return };
            found |= parent.major() == class.major()
                && self.bound.contains(&((parent, chain, prio), handle))
                && object.options.value::<Handle>("flowid") == Some(class);
        });
        found
    }

    /// Every filter that is shown; a table whose priority is gone is not.
    pub(super) fn each(&self, put: &mut dyn FnMut(&Object)) {
        self.templates.values().for_each(&mut *put);
        for (place, proto) in &self.protos {
            proto.entries.values().for_each(&mut *put);
            let Some(tables) = self.tables.get(&place.0.major()).filter(|_| proto.name == "u32") else { continue };
            for table in tables.tables.iter().filter(|t| t.place == *place) {
                table.object.iter().for_each(&mut *put);
                table.nodes.values().for_each(&mut *put);
            }
        }
    }
}

fn found_node(tables: &mut Tables, handle: u32) -> Option<&mut Object> {
    tables.table(handle)?.nodes.get_mut(&handle).filter(|_| handle & NODE != 0)
}

fn unlink(tables: &mut Tables, link: Option<Node>) {
    if let Some(table) = link.and_then(|link| tables.table(link.0)) {
        table.links = table.links.saturating_sub(1);
    }
}

/// Actions by kind and number, for filters to share.
#[derive(Debug, Default)]
pub(super) struct Shared(IndexMap<(CompactString, u32), Act>);

fn index_of(act: &Act) -> Option<u32> {
    let number = act.options.slot(act.options.row("index")?)?.number()?;
    u32::try_from(number).ok().filter(|n| *n != 0)
}

impl Shared {
    /// `tc actions add|change|replace`.
    pub(super) fn make(&mut self, verb: Verb, actions: &Actions) -> Answer {
        for act in &actions.0 {
            let Some(index) = index_of(act) else { continue };
            let key = (act.name.clone(), index);
            match (verb, self.0.contains_key(&key)) {
                (Verb::Add, true) => return refuse("File exists"),
                (Verb::Change, false) => return refuse("No such file or directory: there is no such action"),
                _ => {}
            }
            self.0.insert(key, act.clone());
        }
        Ok(Vec::new())
    }

    pub(super) fn remove(&mut self, name: &str, index: u32) -> Result<(), Refused> {
        match self.0.shift_remove(&(name.into(), index)) {
            Some(_) => Ok(()),
            None => refuse("TC action with specified index not found"),
        }
    }

    pub(super) fn flush(&mut self, name: &str) {
        self.0.retain(|(kind, _), _| kind != name);
    }

    /// Puts the actions that stand already in the place of those that a filter names by number.
    ///
    /// # Errors
    /// There is no such action, and too little is said to make it.
    fn bind(&mut self, object: &mut Object) -> Result<(), Refused> {
        let Some(row) = object.options.row("action") else { return Ok(()) };
        let Some(mut actions) = object.options.value::<Actions>("action") else { return Ok(()) };
        for act in &mut actions.0 {
            let Some(index) = index_of(act) else { continue };
            let key = (act.name.clone(), index);
            if let Some(standing) = self.0.get(&key) {
                *act = standing.clone();
                continue;
            }
            let rows =
                act.options.rows().iter().enumerate().filter(|(_, row)| !matches!(row.word, "index" | "control"));
            let said = rows.filter(|(i, _)| act.options.slot(*i).is_some_and(|s| s.is_set())).count();
            if said == 0 && act.name != "gact" {
                return refuse(format!("there is no action `{}` with the number {index}", act.name));
            }
            self.0.insert(key, act.clone());
        }
        if let Some(slot) = object.options.slot_mut(row) {
            let actions: Option<Actions> = Some(actions);
            slot.copy_from(&actions as &dyn Slot);
        }
        Ok(())
    }
}
