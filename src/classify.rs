//! Where a packet goes: a packet is led through a tree of compiled objects, asked or held, as the kernel would lead it.
//! Nothing here reads a policy: what is interpreted is what is sent.
//!
//! What a filter takes, what an action does and what a discipline chooses stand with their kinds
//! ([`crate::kind::walk`]). Here stand the order of chains and priorities, the verdicts (net/sched/cls_api.c,
//! net/sched/act_api.c), and the ways between disciplines, hooks and links.
//!
//! ```text
//! let tree = classify::assumed(&tree, &facts);
//! let model = classify::Model::new(&tree);
//! let verdict = model.first("eth0", Side::Egress, &packet);
//! ```
//!
//! What a packet does not show (connection tracking, a policer's bucket, chance) is supposed not to be so, and the
//! question stands in [`Verdict::settled`]; [`Model::all`] follows the other answers too.

mod leader;

use crate::facts::Facts;
use crate::kind::walk::{Asked, Filter};
use crate::kind::{Options, action::Act};
use crate::packet::Packet;
use crate::tree::{Branch, Id, Tree, block_name};
use crate::unit::Handle;
use compact_str::CompactString;
use indexmap::IndexMap;
use leader::Leader;
use std::collections::{BTreeMap, HashMap};

/// The side of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// What leaves by it.
    Egress,
    /// What arrives.
    Ingress,
}

/// An object of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Its interface.
    pub link: CompactString,
    /// Its branch: the root's, or the hook's.
    pub branch: Side,
    /// Which of the branch's objects.
    pub object: usize,
    /// Of a program, the instruction at which it returned.
    pub instruction: Option<usize>,
}

/// A step on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where.
    pub place: Option<Place>,
    /// What happens there; empty where it only comes by.
    pub text: String,
    /// Whether it comes to a link.
    pub link: bool,
}

/// A discipline that a packet has come to, and what it made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The discipline; `None` for what the kernel puts there by itself.
    pub discipline: Option<Place>,
    /// Its handle.
    pub handle: Handle,
    /// The class that it chose.
    pub class: Option<Handle>,
    /// The class as an object, if it is one.
    pub object: Option<Place>,
    /// The filter that decided.
    pub rule: Option<Place>,
    /// Whether it had something to choose.
    pub chose: bool,
}

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// It waits in the last of the stops: in its own queue ("band 1"), or in the default queue of the class.
    Queued {
        /// The link that it leaves by.
        link: CompactString,
        /// Which queue.
        queue: String,
    },
    /// It leaves an htb unshaped.
    Direct {
        /// The link.
        link: CompactString,
    },
    /// It has arrived, and the host goes on with it.
    Up,
    /// It is dropped, for this reason.
    Dropped(String),
    /// It is gone: an action has taken it.
    Gone(String),
}

/// Where a packet goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The disciplines that it has come to, in order.
    pub stops: Vec<Stop>,
    /// What became of it.
    pub end: End,
    /// The filters that decided something, in order: of hooks and of disciplines.
    pub rules: Vec<Place>,
    /// If the class stands for several of which nobody can tell which one it is, what is known of them.
    pub one_of: Option<String>,
    /// What the packet does not show, and how it was supposed to be.
    pub settled: Vec<(String, bool)>,
    /// Each step.
    pub trail: Vec<Step>,
}

impl Verdict {
    /// The class that the first discipline chose.
    pub fn class(&self) -> Option<Handle> {
        self.stops.first().and_then(|stop| stop.class)
    }

    /// The rule that decided last: among disciplines if there was one that chose, else at a hook.
    pub fn rule(&self) -> Option<&Place> {
        if self.stops.iter().any(|stop| stop.chose) {
            return self.stops.iter().rev().find_map(|stop| stop.rule.as_ref());
        }
        self.rules.last()
    }

    /// The innermost class that was chosen.
    pub fn deepest(&self) -> Option<&Stop> {
        self.stops.iter().rev().find(|stop| stop.class.is_some())
    }
}

/// A tree in which every option has its value: what the kernel would choose stands in the place of what nobody said.
pub fn assumed(tree: &Tree, facts: &dyn Fn(&str) -> Facts) -> Tree {
    let mut tree = tree.clone();
    for (name, interface) in &mut tree.interfaces {
        let facts = facts(name);
        for branch in [&mut interface.egress, &mut interface.ingress].into_iter().flatten() {
            branch.objects.iter_mut().for_each(|object| object.options.assume(&facts));
        }
    }
    tree
}

/// The class that the filters of a branch send a packet to, at its first discipline: the one question of tests.
pub fn class_of(branch: &Branch, packet: &Packet) -> Option<Handle> {
    let mut tree = Tree::default();
    let interface = crate::tree::Interface { egress: Some(branch.clone()), ..Default::default() };
    tree.interfaces.insert("link".into(), interface);
    let tree = assumed(&tree, &|_| Facts::default());
    Model::new(&tree).first("link", Side::Egress, packet).class()
}

/// The most ways of one packet that are followed, where it goes by what it does not show.
pub const MOST_WAYS: usize = 16;

/// A tree made ready for packets.
pub struct Model<'t> {
    tree: &'t Tree,
    links: IndexMap<&'t str, Sides<'t>>,
}

struct Sides<'t> {
    egress: Option<Ready<'t>>,
    ingress: Option<Ready<'t>>,
}

/// A branch, by what is looked up in it.
struct Ready<'t> {
    branch: &'t Branch,
    disciplines: HashMap<Handle, usize>,
    /// Classes, with levels of classes below.
    classes: HashMap<Handle, (usize, u32)>,
    /// Chains of filters by what they hang on.
    chains: HashMap<Handle, BTreeMap<u32, Vec<Priority<'t>>>>,
}

/// The filters of one priority.
struct Priority<'t> {
    prio: u16,
    protocol: u16,
    asked: Box<dyn Asked + 't>,
}

impl<'t> Model<'t> {
    /// Makes a tree ready. Its options are taken as they are: see [`assumed`].
    pub fn new(tree: &'t Tree) -> Model<'t> {
        let links = tree.interfaces.iter().map(|(name, interface)| {
            let [egress, ingress] = [&interface.egress, &interface.ingress].map(|b| b.as_ref().map(Ready::new));
            (name.as_str(), Sides { egress, ingress })
        });
        Model { tree, links: links.collect() }
    }

    /// The tree.
    pub fn tree(&self) -> &'t Tree {
        self.tree
    }

    /// Where the packet goes if nothing is so that it does not show.
    pub fn first(&self, link: &str, side: Side, packet: &Packet) -> Verdict {
        Leader::lead(self, link, side, packet, &[], true)
    }

    /// The same without the steps: for many packets.
    pub fn quick(&self, link: &str, side: Side, packet: &Packet) -> Verdict {
        Leader::lead(self, link, side, packet, &[], false)
    }

    /// Everywhere that the packet may go, by what it does not show; the first is [`Model::first`]. At most
    /// [`MOST_WAYS`].
    pub fn all(&self, link: &str, side: Side, packet: &Packet) -> Vec<Verdict> {
        let (mut ways, mut open) = (Vec::new(), vec![Vec::new()]);
        while let Some(settled) = open.pop() {
            if ways.len() == MOST_WAYS {
                break;
            }
            let verdict = Leader::lead(self, link, side, packet, &settled, true);
            // every question that was answered by supposition once more, the other way; the last one first
            for i in settled.len()..verdict.settled.len() {
                let mut other: Vec<_> = verdict.settled.get(..=i).unwrap_or_default().to_vec();
                if let Some((_, is)) = other.last_mut() {
                    *is = true;
                }
                open.push(other);
            }
            ways.push(verdict);
        }
        ways
    }

    fn side(&self, link: &str, side: Side) -> Option<&Ready<'t>> {
        let sides = self.links.get(link)?;
        match side {
            Side::Egress => sides.egress.as_ref(),
            Side::Ingress => sides.ingress.as_ref(),
        }
    }

    /// The filters of a hook: its own, or those of the block that it shares.
    fn hook(&self, link: &str, side: Side) -> Option<(&Ready<'t>, CompactString, Side, Handle)> {
        let ready = self.side(link, Side::Ingress)?;
        let hook = ready.branch.objects.iter().find(|object| object.is_qdisc())?;
        let block = if side == Side::Ingress { hook.blocks.ingress } else { hook.blocks.egress };
        if block != 0 {
            let name = block_name(block);
            let ready = self.side(&name, Side::Egress)?;
            let parent = *ready.chains.keys().next()?;
            return Some((ready, name, Side::Egress, parent));
        }
        let parents = match side {
            Side::Ingress => [Handle::HOOK_INGRESS, Handle::HOOK, Handle::INGRESS].as_slice(),
            Side::Egress => &[Handle::HOOK_EGRESS],
        };
        let parent = parents.iter().find(|parent| ready.chains.contains_key(parent))?;
        Some((ready, link.into(), Side::Ingress, *parent))
    }
}

impl<'t> Ready<'t> {
    fn new(branch: &'t Branch) -> Ready<'t> {
        let mut ready = Ready { branch, disciplines: HashMap::new(), classes: HashMap::new(), chains: HashMap::new() };
        let mut parents = HashMap::new();
        let mut filters: IndexMap<(Handle, &str), Vec<Filter<'t>>> = IndexMap::new();
        for (i, object) in branch.objects.iter().enumerate() {
            match object.id {
                Id::Qdisc { parent, .. } => {
                    ready.disciplines.insert(parent, i);
                }
                Id::Class { parent, handle } => {
                    ready.classes.insert(handle, (i, 0));
                    parents.insert(handle, parent);
                }
                Id::Filter { parent, chain, prio, protocol, handle } => {
                    let skipped = object.options.value::<crate::unit::Flag>("skip_sw").is_some_and(|flag| flag.0);
                    let filter = Filter { object: i, chain, prio, protocol, handle, options: &*object.options };
                    if !skipped {
                        filters.entry((ready.parent(parent), object.name.as_str())).or_default().push(filter);
                    }
                }
            }
        }
        ready.count_levels(&parents);
        for ((parent, _), filters) in filters {
            ready.gather(parent, filters);
        }
        for chain in ready.chains.values_mut().flat_map(BTreeMap::values_mut) {
            chain.sort_by_key(|priority| priority.prio);
        }
        ready
    }

    /// What a filter hangs on: the root discipline has its handle too.
    fn parent(&self, parent: Handle) -> Handle {
        if parent != Handle::ROOT && parent != Handle(0) {
            return parent;
        }
        let root = self.disciplines.get(&Handle::ROOT).and_then(|i| self.branch.objects.get(*i));
        root.and_then(|object| object.handle()).unwrap_or(parent)
    }

    fn count_levels(&mut self, parents: &HashMap<Handle, Handle>) {
        for handle in parents.keys() {
            let (mut at, mut level) = (*handle, 0);
            while let Some(parent) = parents.get(&at) {
                level += 1;
                match self.classes.get_mut(parent) {
                    Some((_, known)) if *known < level => *known = level,
                    _ => break,
                }
                at = *parent;
            }
        }
    }

    /// The filters of one kind at one place, priority by priority.
    fn gather(&mut self, parent: Handle, filters: Vec<Filter<'t>>) {
        let mut priorities: IndexMap<(u32, u16, u16), Vec<Filter<'t>>> = IndexMap::new();
        for filter in filters {
            priorities.entry((filter.chain, filter.prio, filter.protocol)).or_default().push(filter);
        }
        let Some(first) = priorities.values().flatten().next() else { return };
        let options: &dyn Options = first.options;
        let (keys, groups): (Vec<_>, Vec<_>) = priorities.into_iter().unzip();
        for ((chain, prio, protocol), asked) in keys.into_iter().zip(options.gather(groups)) {
            let chains = self.chains.entry(parent).or_default();
            chains.entry(chain).or_default().push(Priority { prio, protocol, asked });
        }
    }
}

/// Every action of a list that is run in software.
fn in_software(acts: &[Act]) -> impl Iterator<Item = &Act> {
    const SKIP_SW: u32 = 4;
    acts.iter().filter(|act| act.flags & SKIP_SW == 0)
}

#[cfg(test)]
mod tests;
