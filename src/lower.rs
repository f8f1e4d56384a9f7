//! Names become tc objects: a checked policy and what the machine is like become the asked tree. Nothing is read or done.
//!
//! Handles, minor numbers, filter priorities and ifb devices are the compiler's business here. [`Ids`] says which number
//! each name has on this machine, so that two runs agree and a policy that grows renumbers nothing.
//!
//! - `tree of names`: [`arena`] lists disciplines and classes in the order of making, with their numbers
//! - `matches`: [`matching`] turns an expression into bits of headers, [`cube`] those into alternatives
//! - `filters`: [`filters`] chooses a classifier for each alternative, [`tables`] makes hash tables of long lists, and
//!   [`order`] gives each its priority and number

mod apart;
mod arena;
mod bpf;
mod cube;
mod ematch;
mod fair;
mod filters;
mod flower;
mod given;
mod ids;
mod ifb;
mod matching;
mod order;
mod tables;

pub use apart::{ROUNDS, apart, aside, is_unmoved, keep_defaults, still_known};
pub use given::first;
pub use ids::{Filters, Hashed, Hook, Ids, Numbers, Table, Tables};
pub use order::Place;
pub use tables::Window;

use crate::codes;
use crate::diagnostic::{Diagnostic, Sink};
use crate::facts::Facts;
use crate::kind::action::skbedit::Skbedit;
use crate::kind::action::{Act, Actions, Control, mirred, police};
use crate::kind::qdisc::{clsact, hfsc, htb};
use crate::kind::raw::{self, Raw};
use crate::kind::{self, End, Fairness, Options};
use crate::policy::layout;
use crate::policy::model::{self, Children, Direction, Ingress, Interface, Policy, Rule};
use crate::source::{Span, Spanned};
use crate::tree::{self, Blocks, Branch, Id, Link, OWN_ALIAS, Object, Origin, Stab, Tree};
use crate::unit::{Count16, Handle, Length, Name, Number, Packing, Rate, Unit};
use arena::{Arena, Holder};
use compact_str::{CompactString, format_compact};
use filters::{Spot, Wanted};
use std::cell::Cell;
use std::collections::BTreeSet;

/// The asked tree of a policy, and the table of the numbers it uses.
///
/// `facts` gives the figures of a link by its name; `ids` the numbers that names have. What cannot be compiled is reported
/// and left out, so the tree is only to be used if there was no error.
pub fn lower(policy: &Policy, facts: &dyn Fn(&str) -> Facts, ids: &Ids, sink: &mut Sink) -> (Tree, Ids) {
    let shaped = policy.interfaces.iter().filter(|i| i.ingress.as_ref().is_some_and(|i| i.shape.is_some()));
    let ifbs = ifb::names(
        shaped.map(|i| i.name.value.as_str()),
        policy.interfaces.iter().map(|i| i.name.value.as_str()),
        |name| ids.interfaces.get(name)?.ifb_name.clone(),
    );
    let ports = Cell::new(None);
    let (mut tree, mut new_ids, nothing) = (Tree::default(), Ids::default(), Table::default());
    let budgets = ifb::names(
        policy.shared.iter().map(|s| s.name.value.as_str()),
        policy.interfaces.iter().map(|i| i.name.value.as_str()).chain(ifbs.values().map(CompactString::as_str)),
        |name| ids.interfaces.get(budget_key(name).as_str())?.ifb_name.clone(),
    );
    // what is redirected to stands before what redirects
    for shared in &policy.shared {
        let Some(device_name) = budgets.get(&shared.name.value) else { continue };
        let (key, interface) = (budget_key(&shared.name.value), Interface::new(shared.name.clone(), shared.name.span));
        let facts = facts(policy.interfaces.iter().find(|i| goes_through(i, shared)).map_or("", |i| &i.name.value));
        let old = ids.interfaces.get(key.as_str()).unwrap_or(&nothing);
        let mut work = Lowering { interface: &interface, facts: &facts, sink, ports: &ports };
        let (branch, numbers) = work.direction(&shared.direction, &old.ifb, true);
        let link = work.shared(shared, policy);
        let device = tree::Interface { link, egress: Some(branch), ..tree::Interface::default() };
        tree.interfaces.insert(device_name.clone(), device);
        let table = Table { ifb: numbers, ifb_name: Some(device_name.clone()), ..Table::default() };
        new_ids.interfaces.insert(key, table);
    }
    let budget = |shared: &Option<Spanned<CompactString>>| budgets.get(&shared.as_ref()?.value).cloned();
    let (devices, others): (Vec<_>, Vec<_>) = policy.interfaces.iter().partition(|i| i.link.device.is_some());
    for interface in devices.into_iter().chain(others) {
        let name = &interface.name.value;
        let old = ids.interfaces.get(name).unwrap_or(&nothing);
        let facts = facts(name);
        let mut work = Lowering { interface, facts: &facts, sink, ports: &ports };
        let mut table = Table { hook: old.hook, ..Table::default() };
        let mut asked = tree::Interface { link: work.link(), ..tree::Interface::default() };
        if let Some(direction) = &interface.egress {
            let (branch, numbers) = work.direction(direction, &old.egress, false);
            (asked.egress, table.egress) = (Some(branch), numbers);
        }
        // what leaves by way of a shared budget leaves by the hook's other side
        let hook = interface.shared.as_ref().map(|shared| Ingress::new(shared.span));
        if let Some(ingress) = interface.ingress.as_ref().or(hook.as_ref()) {
            let ifb_name = ifbs.get(name.as_str()).cloned();
            if let (Some(shape), Some(ifb_name)) = (&ingress.shape, &ifb_name) {
                let (branch, numbers) = work.direction(&shape.value, &old.ifb, true);
                let mut device = tree::Interface { link: work.ifb(shape.span), ..tree::Interface::default() };
                (device.egress, table.ifb) = (Some(branch), numbers);
                tree.interfaces.insert(ifb_name.clone(), device);
            }
            let to =
                Devices { arriving: budget(&ingress.shared).or(ifb_name.clone()), leaving: budget(&interface.shared) };
            let (branch, filters, tables) = work.ingress(ingress, &to, old);
            (asked.ingress, table.ifb_name) = (Some(branch), ifb_name);
            (table.hook_filters, table.hook_tables) = (filters, tables);
        }
        tree.interfaces.insert(name.clone(), asked);
        new_ids.interfaces.insert(name.clone(), table);
    }
    if let Some(span) = ports.get() {
        let message = "u32 sees no ports behind IP options and IPv6 extension headers";
        let d = Diagnostic::new(&codes::U32_PORTS, message).at(span, "such packets go another way");
        sink.push(d.help("write `classifier: bpf` beside the rule, or beside `rules`, to see all ports"));
    }
    for block in &policy.blocks {
        let name = tree::block_name(block.number.value);
        let objects = given::block_filters(block, &facts(&name), sink);
        let egress = Some(Branch { objects, ..Branch::default() });
        tree.interfaces.insert(name, tree::Interface { egress, ..tree::Interface::default() });
    }
    sink.warn_of_needless();
    mark_devices(&mut tree);
    (tree, new_ids)
}

/// A device that the policy makes by name carries in its alias whom it serves: it goes when none of them is left.
fn mark_devices(tree: &mut Tree) {
    let named = tree.interfaces.iter().filter(|(_, i)| i.link.kind.is_some() && i.link.alias.is_none());
    let named: Vec<CompactString> = named.map(|(name, _)| name.clone()).collect();
    for device in named {
        let sends = |branch: &Branch| branch.objects.iter().any(|o| redirects_to(o, &device));
        let block = |number: u32| tree.interfaces.get(&tree::block_name(number)).and_then(|i| i.egress.as_ref());
        let looks = |branch: &Branch| {
            let numbers = branch.objects.iter().flat_map(|o| [o.blocks.ingress, o.blocks.egress]);
            numbers.filter(|number| *number != 0).filter_map(block).any(sends)
        };
        let served = tree.interfaces.iter().filter(|(name, i)| {
            let branches = || [&i.egress, &i.ingress].into_iter().flatten();
            **name != device && tree::block_of(name).is_none() && branches().any(|b| sends(b) || looks(b))
        });
        let served: Vec<&str> = served.map(|(name, _)| name.as_str()).collect();
        let alias = format_compact!("{OWN_ALIAS}{}", served.join("/"));
        let fits = !served.is_empty() && alias.len() <= ALIAS;
        if let Some(interface) = tree.interfaces.get_mut(&device).filter(|_| fits) {
            interface.link.alias = Some(alias);
        }
    }
}

/// Whether a filter sends packets, or copies of them, to a device.
pub fn redirects_to(object: &Object, device: &str) -> bool {
    let slots = (0..object.options.rows().len()).filter_map(|i| object.options.slot(i));
    let actions = slots.filter_map(|slot| slot.as_any().downcast_ref::<Option<Actions>>()?.as_ref());
    actions.flat_map(|actions| &actions.0).any(|act| act.options.value::<Name>("dev").is_some_and(|to| to.0 == device))
}

/// The devices that packets of an interface are redirected to.
struct Devices {
    arriving: Option<CompactString>,
    leaving: Option<CompactString>,
}

/// What a budget's numbers are kept under: no interface has that name.
fn budget_key(name: &str) -> CompactString {
    format_compact!("shared{}{name}", tree::SERVED)
}

/// Whether an interface sends or receives by way of a budget.
fn goes_through(interface: &Interface, shared: &model::Shared) -> bool {
    let arriving = interface.ingress.as_ref().and_then(|i| i.shared.as_ref());
    interface.shared.iter().chain(arriving).any(|s| s.value == shared.name.value)
}

/// The longest alias of a link (`IFALIASZ` less the zero).
const ALIAS: usize = 255;

/// One interface's way down.
struct Lowering<'a> {
    interface: &'a Interface,
    facts: &'a Facts,
    sink: &'a mut Sink,
    /// See [`Spot::ports`].
    ports: &'a Cell<Option<Span>>,
}

impl Lowering<'_> {
    fn link(&self) -> Link {
        let name = &self.interface.name;
        let device = self.interface.link.device.map(|device| device.value);
        Link {
            txqueuelen: self.interface.link.txqueuelen.map(|n| n.value),
            kind: device.map(|device| device.show().into()),
            up: device.map(|_| true),
            origin: Origin { span: Some(name.span), name: name.value.clone(), ..Origin::default() },
            ..Link::default()
        }
    }

    fn ifb(&self, span: Span) -> Link {
        let name = &self.interface.name.value;
        let mut remark = format!("what arrives at {name} is sent through this device, where it can be shaped");
        if self.interface.both.is_some() {
            remark.push_str("; rules of `both` stand here reversed");
        }
        Link {
            up: Some(true),
            alias: Some(format_compact!("{OWN_ALIAS}{name}")),
            kind: Some("ifb".into()),
            origin: Origin {
                span: Some(span),
                name: format_compact!("{name} ingress shape"),
                remark: Some(remark),
                ..Origin::default()
            },
            ..Link::default()
        }
    }

    /// The device of a budget, with the interfaces that it serves in its alias.
    fn shared(&mut self, shared: &model::Shared, policy: &Policy) -> Link {
        let served = policy.interfaces.iter().filter(|i| goes_through(i, shared)).map(|i| i.name.value.as_str());
        let served: Vec<&str> = served.collect();
        let alias = format_compact!("{OWN_ALIAS}{}", served.join("/"));
        if alias.len() > ALIAS {
            let message = format!(
                "{} interfaces go through `{}`, more than its device can name",
                served.len(),
                shared.name.value
            );
            let d = Diagnostic::new(&codes::OUT_OF_RANGE, message).at(shared.name.span, "");
            self.sink.push(d.help(format!("their names may have {ALIAS} bytes in all: part them over two budgets")));
        }
        let remark = format!("one budget for what goes through {}", served.join(" and "));
        Link {
            up: Some(true),
            alias: Some(alias),
            kind: Some("ifb".into()),
            origin: Origin {
                span: Some(shared.name.span),
                name: shared.name.value.clone(),
                remark: Some(remark),
                ..Origin::default()
            },
            ..Link::default()
        }
    }

    /// A discipline and the rules beside it, with the table of their numbers. `arriving`: for packets that come in.
    fn direction(&mut self, direction: &Direction, old: &Numbers, arriving: bool) -> (Branch, Numbers) {
        let discipline = layout::laid_out(&direction.discipline, &|path| old.has_part(path));
        let arena = Arena::new(&discipline, old, self.sink);
        let mut objects = Vec::with_capacity(arena.order.len() + direction.rules.len());
        for holder in &arena.order {
            match *holder {
                Holder::Discipline(i) => objects.extend(self.discipline(&arena, i)),
                Holder::Class(i) => objects.extend(self.class(&arena, i)),
            }
        }
        let pin = direction.classifier.as_ref().map(|c| c.value);
        let spot = Spot { facts: self.facts, pin, arriving, ports: self.ports };
        let wanted = self.rules(&arena, &direction.rules, spot);
        let mut numbers = arena.numbers(old);
        let given = given::filters(&direction.filters, Some(&arena), self.facts, self.sink);
        // rules stay out of the priorities that filters have as they are
        let mut taken = old.foreign_groups.clone();
        for object in &given {
            if let Id::Filter { parent, prio, .. } = object.id {
                taken.entry(parent).or_default().insert(prio / 2);
            }
        }
        let mut tables_taken = old.foreign_tables.clone();
        for object in &given {
            if let Some((parent, table)) = tables::number(object) {
                tables_taken.entry(parent.major()).or_default().insert(table);
            }
        }
        let (none, no_tables) = (BTreeSet::new(), Tables::new());
        // inner ones first: nothing is sent to a class whose discipline does not know what to do with it yet
        for (discipline, wanted) in arena.disciplines.iter().zip(wanted).rev() {
            if wanted.is_empty() {
                continue;
            }
            let parent = discipline.handle();
            let before = filters::Before {
                filters: old.filters.get(&discipline.key),
                tables: old.tables.get(&discipline.key).unwrap_or(&no_tables),
                foreign: taken.get(&parent).unwrap_or(&none),
                foreign_tables: tables_taken.get(&parent.major()).unwrap_or(&none),
            };
            let (mut made, places, tables) = filters::place(parent, wanted, before, self.facts, self.sink);
            objects.append(&mut made);
            numbers.filters.insert(discipline.key.clone(), places);
            if !tables.is_empty() {
                numbers.tables.insert(discipline.key.clone(), tables);
            }
        }
        let fair: Vec<_> = arena.disciplines.iter().filter_map(|d| fair::filter(d, &given, self.facts)).collect();
        objects.extend(given);
        objects.extend(fair);
        (Branch { objects, ..Branch::default() }, numbers)
    }

    fn discipline(&mut self, arena: &Arena, i: usize) -> Option<Object> {
        let node = arena.disciplines.get(i)?;
        let source = node.source;
        let parent = node.parent.map_or(Handle::ROOT, |class| arena.class_handle(class));
        let mut options = source.options.clone();
        let mut remarks = Vec::new();
        if let (Some(class), Some(row)) = (arena.default_of(i), options.row("default")) {
            if let Some(slot) = options.slot_mut(row) {
                let minor = u32::from(arena.class_handle(class).minor());
                slot.set_number(u64::from(arena.born(i).unwrap_or(minor)));
            }
            remarks.push(format!("what no rule takes goes to {}", arena.path(class)));
        }
        if let (Some(number), Some(row)) = (source.default_number, options.row("default")) {
            options.slot_mut(row).into_iter().for_each(|slot| slot.set_number(u64::from(number)));
        }
        if let Children::Bands(bands) = &source.children {
            let row = options.row("bands");
            if let Some(slot) = row.and_then(|row| options.slot_mut(row)).filter(|slot| !slot.is_set()) {
                slot.set_number(bands.len() as u64);
            }
        }
        if let Some(fair) = &source.fair
            && options.fair_by(fair.end, fair.nat) == Fairness::Own
        {
            let end = if fair.end == End::Source { "source" } else { "destination" };
            remarks.push(format!("equal shares for hosts, told by the {end} of packets"));
        }
        let mut stab = source.stab.as_ref().map(|stab| stab.value.clone());
        if node.parent.is_none() && stab.is_none() {
            stab = self.sizes(options.as_mut(), &mut remarks);
        }
        options.complete(self.facts);
        let mut object = Object::new(Id::Qdisc { parent, handle: node.handle() }, source.kind.value, options);
        object.stab = stab;
        object.estimator = source.estimator;
        object.origin = origin(source.kind.span, node.path.clone(), remarks);
        Some(object)
    }

    /// How the link counts bytes, as options of a kind that does it itself, else as a size table. A policy counts overhead
    /// over the IP packet, a size table over the frame, which on Ethernet has its header already.
    fn sizes(&self, options: &mut dyn Options, remarks: &mut Vec<String>) -> Option<Stab> {
        let link = &self.interface.link;
        let stab = &link.stab.as_ref()?.value;
        let name = link.preset.as_ref().map(|p| p.value.show());
        let said = name.map(|name| format!("{name}: {} bytes over the IP packet", stab.overhead));
        if options.count_as(link.packing(), stab.overhead, stab.mpu) {
            remarks.extend(said);
            return None;
        }
        remarks.extend(said);
        if link.packing() == Packing::Ptm {
            remarks
                .push("a size table does not know PTM's code: 64/65 of the line's rate is left for packets".to_owned());
        }
        let header = i32::try_from(self.facts.header).unwrap_or(0);
        if header != 0 && stab.overhead != 0 {
            remarks.push(format!(
                "overhead {} over the IP packet is {} over the frame, which has {header} bytes of header",
                stab.overhead,
                stab.overhead - header
            ));
        }
        let overhead = if stab.overhead == 0 { 0 } else { stab.overhead - header };
        Some(Stab { overhead, ..stab.clone() })
    }

    fn class(&mut self, arena: &Arena, i: usize) -> Option<Object> {
        let node = arena.classes.get(i)?;
        let source = node.source?;
        let discipline = arena.disciplines.get(node.discipline)?;
        let parent = node.parent.map_or(discipline.handle(), |p| arena.class_handle(p));
        let above = discipline.source.options.as_kind::<Raw>();
        let mut options: Box<dyn Options> = match (source.options.as_kind::<raw::Class>(), above) {
            (Some(class), Some(above)) => Box::new(class.of(above)),
            _ => source.options.clone(),
        };
        if let (Some(others), Some(class)) = (arena.turns_in_part(node.discipline), options.as_kind_mut::<htb::Class>())
        {
            let above = discipline.parent.and_then(|class| arena.classes.get(class)?.source);
            class.wait_for(others, above.and_then(|c| c.options.value("rate")).unwrap_or_default(), self.facts);
        }
        let said = choose(options.as_mut(), discipline.source.options.as_ref(), !source.classes.is_empty(), self.facts);
        let part = source.name.value.is_empty().then(|| format!("lends without end: {} has the rate", node.path));
        let remarks = said.into_iter().chain(part).collect();
        let id = Id::Class { parent, handle: arena.class_handle(i) };
        let mut object = Object::new(id, discipline.source.kind.value, options);
        object.origin = origin(source.name.span, node.path.clone(), remarks);
        object.estimator = source.estimator;
        Some(object)
    }

    /// The filters that rules ask for, by discipline. A rule to a class below a nested discipline is asked at every
    /// discipline on the way, because a filter names classes of its own discipline only.
    fn rules<'p>(&mut self, arena: &Arena<'p>, rules: &'p [Rule], spot: Spot) -> Vec<Vec<Wanted>> {
        let mut wanted: Vec<Vec<Wanted>> = arena.disciplines.iter().map(|_| Vec::new()).collect();
        for rule in rules {
            let route = match &rule.class {
                Some(class) => match arena.find(&class.value) {
                    Some(target) if arena.is_parted(target) => arena.route_of_inner(target),
                    Some(target) => arena.route(target),
                    None => {
                        let d = Diagnostic::new(&codes::UNKNOWN_CLASS, format!("there is no class `{}`", class.value));
                        self.sink.push(d.at(class.span, ""));
                        continue;
                    }
                },
                None => vec![(0, None)],
            };
            let route: Vec<_> = route.into_iter().filter(|(d, _)| self.holds_filters(arena, *d, rule)).collect();
            let mut actions = Some(settled(&rule.actions, None)).filter(|a| !a.0.is_empty());
            let last = route.len().saturating_sub(1);
            for (step, (discipline, class)) in route.into_iter().enumerate() {
                // a band that is a queue is chosen by writing the queue
                let mut target = class.map(|c| arena.class_handle(c));
                // what is done to the packet is done once and last: it may change what the rule looks at
                let mut done = actions.take_if(|_| step == last);
                let by_queue = arena.disciplines.get(discipline).is_some_and(|d| d.source.options.band_by_queue());
                if let Some(band) = target.take_if(|_| by_queue) {
                    let queue = Some(Count16(band.minor().saturating_sub(1)));
                    let edit = Act::edit(Skbedit { queue_mapping: queue, ..Skbedit::default() });
                    done.get_or_insert_default().0.insert(0, edit);
                }
                let path = class.map_or(CompactString::default(), |c| arena.path(c).into());
                let made = filters::wanted(rule, target, done, path, spot, self.sink);
                if let Some(list) = wanted.get_mut(discipline) {
                    list.extend(made);
                }
            }
        }
        // a discipline without an option for it has its default as the last rule, and so has one that keeps another
        for (i, list) in wanted.iter_mut().enumerate() {
            let Some(node) = arena.disciplines.get(i) else { continue };
            let by_rule = arena.born(i).is_some() || node.source.options.row("default").is_none();
            if let Some(class) = arena.default_of(i).filter(|_| by_rule) {
                let span = node.source.default.as_ref().map_or(node.source.kind.span, |d| d.span);
                let mut rest = filters::rest(arena.class_handle(class), arena.path(class).into(), span);
                if let Some(born) = arena.born(i) {
                    let kind = node.source.kind.value.name;
                    rest.origin.remark = Some(format!(
                        "what no rule takes: the kernel changes no default of `{kind}`, and the one that stands, {born:x}, \
                         keeps the rest of the tree as it is"
                    ));
                }
                list.push(rest);
            }
        }
        wanted
    }

    /// Whether rules can be asked at a discipline; reported if they cannot and nothing else can do it.
    fn holds_filters(&mut self, arena: &Arena, discipline: usize, rule: &Rule) -> bool {
        let Some(node) = arena.disciplines.get(discipline) else { return false };
        let kind = node.source.kind.value;
        if node.source.options.takes_filters() {
            return true;
        }
        // on the way to a class below, a discipline with one child has nothing to choose
        if kind.children == kind::Children::Leaf && rule.class.is_some() {
            return false;
        }
        let d = Diagnostic::new(&codes::NO_FILTERS, format!("`{}` takes no rules", kind.name));
        self.sink.push(
            d.at(rule.span, "this rule would have to be asked there")
                .at(node.source.kind.span, "it holds no filters")
                .help("put a discipline with classes or bands in its place, `htb` or `prio`"),
        );
        false
    }

    /// A side that looks into a shared block has no filters of its own, and `ingress` has one side.
    fn blocks(&mut self, ingress: &Ingress, hook: &kind::Kind) {
        let leaves = |f: &&model::Filter| f.at.as_ref().is_some_and(|at| at.value == "egress");
        let first = |leaving: bool| ingress.filters.iter().find(|f| leaves(f) == leaving).map(|f| f.span);
        let arriving = first(false)
            .or(ingress.rules.first().map(|r| r.span))
            .or(ingress.police.as_ref().map(|p| p.span))
            .or(ingress.shape.as_ref().map(|s| s.span));
        for (block, own) in [(&ingress.block, arriving), (&ingress.egress_block, first(true))] {
            if let (Some(block), Some(own)) = (block, own) {
                let message = format!("the filters of this side are those of block {}", block.value);
                let d = Diagnostic::new(&codes::NO_FILTERS, message).at(own, "so this has no place").at(block.span, "");
                self.sink.push(d.help(format!("write it under `blocks: {{ {}: {{ filters: [ … ] }} }}`", block.value)));
            }
        }
        if let Some(block) = ingress.egress_block.as_ref().filter(|_| *hook != clsact::KIND) {
            let d = Diagnostic::new(&codes::NO_FILTERS, "the hook `ingress` has no side for what leaves");
            self.sink.push(d.at(block.span, "").help("write `hook: clsact`"));
        }
    }

    /// The hook for what arrives.
    fn ingress(&mut self, ingress: &Ingress, to: &Devices, old: &Table) -> (Branch, Filters, Tables) {
        let ifb = to.arriving.as_ref();
        let hook = match ingress.hook.as_ref().map(|h| h.value) {
            Some(model::Hook::Clsact) => Hook::Clsact,
            Some(model::Hook::Ingress) => Hook::Ingress,
            None => old.hook,
        };
        let (kind, parent) = match hook {
            Hook::Clsact => (&clsact::KIND, Handle::HOOK_INGRESS),
            Hook::Ingress => (&kind::qdisc::ingress::KIND, given::arriving(&ingress.filters)),
        };
        let mut branch = Branch::default();
        let id = Id::Qdisc { parent: Handle::INGRESS, handle: Handle::HOOK };
        let mut root = Object::new(id, kind, (kind.options)());
        root.origin = origin(ingress.span, "ingress".into(), Vec::new());
        let number = |block: &Option<Spanned<u32>>| block.as_ref().map_or(0, |b| b.value);
        root.blocks = Blocks { ingress: number(&ingress.block), egress: number(&ingress.egress_block) };
        self.blocks(ingress, kind);
        branch.objects.push(root);

        let pin = ingress.classifier.as_ref().map(|c| c.value);
        let spot = Spot { facts: self.facts, pin, arriving: true, ports: self.ports };
        let mut wanted = Vec::new();
        for rule in &ingress.rules {
            let actions = Some(settled(&rule.actions, None)).filter(|a| !a.0.is_empty());
            wanted.extend(filters::wanted(rule, None, actions, "".into(), spot, self.sink));
        }
        let redirect = ifb.map(|ifb| Act::to_link(mirred::Mode::Redirect, Name(ifb.clone())));
        let mut last = Actions::default();
        if let Some(police) = &ingress.police {
            // what conforms goes on to the ifb if there is one
            last = settled(&police.value, redirect.as_ref().map(|_| Control::PIPE));
        }
        last.0.extend(redirect);
        if !last.0.is_empty() {
            let span = ingress.police.as_ref().map(|p| p.span).or(ingress.shape.as_ref().map(|s| s.span));
            let mut rest = filters::rest_with(last, span.unwrap_or(ingress.span));
            let through = ifb.map(|ifb| format!("everything that arrives goes through {ifb}"));
            let mtu = ingress.police.as_ref().and_then(|p| mtu_remark(&p.value)).map(str::to_owned);
            let remarks: Vec<String> = through.into_iter().chain(mtu).collect();
            rest.origin.remark = (!remarks.is_empty()).then(|| remarks.join("; "));
            wanted.push(rest);
        }
        let given = given::hook_filters(&ingress.filters, hook, parent, self.facts, self.sink);
        let own = given.iter().filter_map(|o| match o.id {
            Id::Filter { prio, .. } => Some(prio),
            _ => None,
        });
        let foreign: BTreeSet<u16> = old.foreign_prios.iter().copied().chain(own).map(|p| p / 2).collect();
        let tables = given.iter().filter_map(tables::number).map(|(_, table)| table);
        let before = filters::Before {
            filters: Some(&old.hook_filters),
            tables: &old.hook_tables,
            foreign: &foreign,
            foreign_tables: &old.foreign_tables.iter().copied().chain(tables).collect(),
        };
        let (mut made, places, tables) = filters::place(parent, wanted, before, self.facts, self.sink);
        // a priority of its own: the u32 tables of older kernels are those of both sides
        let used = made.iter().filter_map(|o| match o.id {
            Id::Filter { prio, .. } => Some(prio / 2),
            _ => None,
        });
        let foreign: BTreeSet<u16> = foreign.iter().copied().chain(used).collect();
        branch.objects.append(&mut made);
        branch.objects.extend(given);
        branch.objects.extend(self.leaving(ingress, to, kind, &foreign));
        (branch, places, tables)
    }

    /// The filter that sends what leaves through a shared budget. It comes back behind the hook (`tc_skip_classify`), so it
    /// goes there once.
    fn leaving(&mut self, ingress: &Ingress, to: &Devices, hook: &kind::Kind, foreign: &BTreeSet<u16>) -> Vec<Object> {
        let (Some(device), Some(shared)) = (&to.leaving, &self.interface.shared) else { return Vec::new() };
        if *hook != clsact::KIND {
            let message = "the hook `ingress` has no side for what leaves, which is to go through a shared budget";
            let d = Diagnostic::new(&codes::NO_FILTERS, message).at(shared.span, "");
            self.sink.push(d.help("write `ingress: { hook: clsact }`; filters of others on the hook have to go first"));
            return Vec::new();
        }
        if let Some(block) = &ingress.egress_block {
            let message = format!("the filters of this side are those of block {}", block.value);
            let d = Diagnostic::new(&codes::NO_FILTERS, message).at(shared.span, "so this has no place");
            self.sink.push(d.at(block.span, "").help("leave one of them out"));
            return Vec::new();
        }
        let redirect = Act::to_link(mirred::Mode::Redirect, Name(device.clone()));
        let mut rest = filters::rest_with(Actions(vec![redirect]), shared.span);
        rest.origin.remark = Some(format!("everything that is sent goes through {device} first"));
        let (none, tables) = (BTreeSet::new(), Tables::new());
        let before = filters::Before { filters: None, tables: &tables, foreign, foreign_tables: &none };
        filters::place(Handle::HOOK_EGRESS, vec![rest], before, self.facts, self.sink).0
    }
}

/// Writes what the compiler chooses for a class of a discipline with these options, `inner` if it has classes itself, and
/// says what is odd about it.
pub fn choose(class: &mut dyn Options, discipline: &dyn Options, inner: bool, facts: &Facts) -> Option<String> {
    class.complete(facts);
    if let Some(class) = class.as_kind_mut::<hfsc::Class>().filter(|c| inner && c.lacks_share()) {
        class.ls = class.rt;
        return Some("the kernel takes `rt` of a class with classes as its `ls`".to_owned());
    }
    // an inner class sends nothing itself
    quantum(class.as_kind_mut::<htb::Class>()?, discipline.value("r2q"), facts).filter(|_| !inner)
}

/// Actions with what tc leaves to chance. A policer drops what exceeds: tc's `reclassify` asks all rules again, up to 16
/// times, and then drops. It takes packets as large as offload makes them; with a peakrate, mtu is the size of a bucket
/// and stays what is written.
fn settled(actions: &Actions, conform: Option<Control>) -> Actions {
    let mut actions = actions.clone();
    // of one that stands elsewhere nothing is said here
    for act in actions.0.iter_mut().filter(|act| !act.is_shared()) {
        let Some(police) = act.options.as_kind_mut::<police::Police>() else { continue };
        if police.peakrate.is_none() && police.rate.is_some() {
            police.mtu.get_or_insert(police::OFFLOAD_MTU);
        }
        police.exceed.get_or_insert(Control::DROP);
        police.conform = police.conform.or(conform);
    }
    actions
}

/// What is said of a policer whose largest packet nobody wrote.
fn mtu_remark(written: &Actions) -> Option<&'static str> {
    let unset = |p: &police::Police| p.mtu.is_none() && p.peakrate.is_none() && p.rate.is_some();
    let chosen = written.0.iter().any(|a| a.options.as_kind::<police::Police>().is_some_and(unset));
    chosen.then_some("police mtu 64kb: packets that offload put together pass as one")
}

fn origin(span: Span, name: CompactString, remarks: Vec<String>) -> Origin {
    let remark = (!remarks.is_empty()).then(|| remarks.join("; "));
    Origin { span: Some(span).filter(|s| !s.is_none()), name, remark, ..Origin::default() }
}

fn set_if_unset<U: Unit>(options: &mut dyn Options, word: &str, value: U) {
    if let Some(slot) = options.row(word).and_then(|row| options.slot_mut(row)).filter(|s| !s.is_set()) {
        slot.copy_from(&Some(value));
    }
}

/// Writes the quantum that the kernel would compute, within what it and fairness can bear: at least one packet, at most
/// 200,000 bytes (`QUANTUM`). The kernel warns about others and computes it at the class's birth only. Says so where it is
/// not the plain quotient.
fn quantum(class: &mut htb::Class, r2q: Option<Number>, facts: &Facts) -> Option<String> {
    if class.quantum.is_some() {
        return None;
    }
    let r2q = r2q.map_or(10, |n| n.0).max(1);
    let rate = class.rate.unwrap_or(Rate(0));
    let plain = rate.bytes() / u64::from(r2q);
    let least = u64::from(facts.frame()).clamp(*htb::QUANTUM.start(), *htb::QUANTUM.end());
    let fit = plain.clamp(least, *htb::QUANTUM.end());
    class.quantum = Some(Length(fit as u32));
    let why = if plain < fit { "which is below one packet" } else { "which is over the largest that is fair" };
    (fit != plain).then(|| format!("quantum {fit} for {} / r2q {r2q} = {plain}, {why}", rate.show()))
}

#[cfg(test)]
mod tests;
