//! A tree of tc objects: one type for what is asked (from a policy) and what is held (from the kernel).

use crate::facts::Reference;
use crate::kind::{Kind, Options, raw::Raw};
use crate::source::Span;
use crate::unit::Handle;
pub use crate::unit::{Estimator, Stab};
use compact_str::{CompactString, format_compact};
use foldhash::HashMap;
use indexmap::IndexMap;

/// Where an object sits, which is also what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    /// A discipline: below `parent` ([`Handle::ROOT`], [`Handle::INGRESS`] or a class) with its handle.
    Qdisc {
        /// Where it hangs.
        parent: Handle,
        /// `1:`; 0 where the kernel gives the number.
        handle: Handle,
    },
    /// A class of a discipline.
    Class {
        /// The class above, or the discipline (`1:`).
        parent: Handle,
        /// `1:10`.
        handle: Handle,
    },
    /// A filter, or the template of a chain, which has neither priority nor number.
    Filter {
        /// The discipline or class whose packets it sees.
        parent: Handle,
        /// Its chain, 0 mostly.
        chain: u32,
        /// tc's `prio` or `pref`.
        prio: u16,
        /// The Ethernet protocol in host order: 0x0800, 0x86dd, 3 for all.
        protocol: u16,
        /// The kind's own number: `800::1` of u32, the mark of fw. Of u32 only the node is asked (`::1`): the table of a
        /// priority is numbered by the kernel, and not compared.
        handle: u32,
    },
}

impl Id {
    /// What it hangs on.
    pub fn parent(self) -> Handle {
        match self {
            Id::Qdisc { parent, .. } | Id::Class { parent, .. } | Id::Filter { parent, .. } => parent,
        }
    }
}

/// Where an asked object comes from in the policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origin {
    /// Its place.
    pub span: Option<Span>,
    /// Its path of names: `line/ssh`; empty for what the policy does not name.
    pub name: CompactString,
    /// What the compiler did and why, for the script's comments.
    pub remark: Option<String>,
    /// Of a program for several rules: at which of its instructions it returns for which of them, in their order there.
    pub returns: Vec<(usize, Span)>,
}

impl Origin {
    /// The place of the rule for which a program returned at that instruction, or else the object's own.
    pub fn at(&self, instruction: Option<usize>) -> Option<Span> {
        let own = self.returns.iter().find(|(at, _)| Some(*at) == instruction);
        own.map(|(_, span)| *span).or(self.span)
    }
}

/// Counters of a held object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// Bytes sent.
    pub bytes: u64,
    /// Packets sent.
    pub packets: u64,
    /// Packets dropped.
    pub drops: u64,
    /// Times that the limit was passed.
    pub overlimits: u64,
    /// Packets requeued.
    pub requeues: u64,
    /// Bytes waiting.
    pub backlog: u64,
    /// Packets waiting.
    pub qlen: u64,
    /// Bytes a second, by the kernel's estimator if there is one.
    pub rate: Option<u64>,
    /// Packets a second, by the same.
    pub packet_rate: Option<u64>,
    /// The kind's own figures.
    pub own: Vec<(&'static str, u64)>,
}

/// The shared blocks of filters that a qdisc looks into (tc's `ingress_block` and `egress_block`); 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    /// For what arrives.
    pub ingress: u32,
    /// For what leaves.
    pub egress: u32,
}

/// A tc object.
#[derive(Clone, Debug)]
pub struct Object {
    /// Where and what it is.
    pub id: Id,
    /// The kind's name to the kernel.
    pub name: CompactString,
    /// The kind; `None` if no file here knows it, and then the options are [`Raw`].
    pub kind: Option<&'static Kind>,
    /// The options.
    pub options: Box<dyn Options>,
    /// Whether it is no filter, but the template of a chain, which its filters must fit.
    pub template: bool,
    /// The size table, on root qdiscs only.
    pub stab: Option<Stab>,
    /// The rate estimator, on asked objects.
    pub estimator: Option<Estimator>,
    /// The shared blocks, on qdiscs.
    pub blocks: Blocks,
    /// The policy's place, on asked objects.
    pub origin: Origin,
    /// The counters, on held objects.
    pub stats: Option<Box<Stats>>,
    /// `TCA_HW_OFFLOAD` or a filter's hardware flag.
    pub offloaded: bool,
}

impl Object {
    /// An object of a kind, or of one that no file here knows where that is what its options say ([`Raw::kind`]).
    pub fn new(id: Id, kind: &'static Kind, mut options: Box<dyn Options>) -> Object {
        let raw = options.as_kind_mut::<Raw>().and_then(|raw| raw.kind.take());
        let (name, kind) = match raw {
            Some(name) => (name.0, None),
            None => (kind.name.into(), Some(kind)),
        };
        Object { kind, options, ..Object::unknown(id, &name) }
    }

    /// An object of a kind that no file here knows.
    pub fn unknown(id: Id, name: &str) -> Object {
        Object {
            id,
            name: name.into(),
            kind: None,
            options: Box::new(Raw::default()),
            template: false,
            stab: None,
            estimator: None,
            blocks: Blocks::default(),
            origin: Origin::default(),
            stats: None,
            offloaded: false,
        }
    }

    /// Whether it is a qdisc.
    pub fn is_qdisc(&self) -> bool {
        matches!(self.id, Id::Qdisc { .. })
    }

    /// The handle of a qdisc or class.
    pub fn handle(&self) -> Option<Handle> {
        match self.id {
            Id::Qdisc { handle, .. } | Id::Class { handle, .. } => Some(handle),
            Id::Filter { .. } => None,
        }
    }

    /// The parent, chain and priority of a filter.
    pub fn place(&self) -> Option<(Handle, u32, u16)> {
        match self.id {
            Id::Filter { parent, chain, prio, .. } => Some((parent, chain, prio)),
            Id::Qdisc { .. } | Id::Class { .. } => None,
        }
    }
}

/// A link's own settings. In an asked tree `None` leaves a setting alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Link {
    /// Packets of the default fifo.
    pub txqueuelen: Option<u32>,
    /// Whether it is up.
    pub up: Option<bool>,
    /// The alias; ours mark the ifb devices that shapectl made ([`OWN_ALIAS`]).
    pub alias: Option<CompactString>,
    /// `Some("ifb")` in an asked tree: shapectl makes the device. In a held tree: the link's kind.
    pub kind: Option<CompactString>,
    /// Held: the kernel's index; asked: not set.
    pub index: Option<u32>,
    /// Held: bytes a packet may have.
    pub mtu: Option<u32>,
    /// The policy's place that wants it.
    pub origin: Origin,
}

impl Link {
    /// The interfaces that a device of shapectl's making serves, as its alias names them; `None` of another link.
    pub fn serves(&self) -> Option<&str> {
        self.alias.as_deref()?.strip_prefix(OWN_ALIAS)
    }
}

/// The alias of devices that shapectl made begins with this; the rest names the interface they serve.
pub const OWN_ALIAS: &str = "shapectl:";

/// How the names of our ifb devices begin.
pub const OWN_PREFIX: &str = "ifb-";

/// What parts the names of several interfaces in our alias: no name holds it.
pub const SERVED: char = '/';

/// One direction of an interface: everything below its root qdisc, or below its ingress hook. In an order in which it can
/// be made: parents before children, classes before filters.
#[derive(Clone, Debug, Default)]
pub struct Branch {
    /// The objects.
    pub objects: Vec<Object>,
    /// Held: what the kernel made of itself and nobody asked for, all with handle 0: the link's default root qdisc and
    /// what `mq` puts below it. A branch whose root is among these counts as empty.
    pub automatic: Vec<Object>,
    /// Held: the tables that u32 makes for itself, one a priority, in the order of their making.
    pub roots: Vec<Root>,
}

/// A table that u32 made for a priority; nobody asks for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// What the filters hang on.
    pub parent: Handle,
    /// Their chain.
    pub chain: u32,
    /// Their priority.
    pub prio: u16,
    /// The table's number, from 800 (hexadecimal) on in the order of making.
    pub table: u32,
}

/// One interface.
#[derive(Clone, Debug, Default)]
pub struct Interface {
    /// The link.
    pub link: Link,
    /// The root. In an asked tree `None` means that the policy does not own this direction.
    pub egress: Option<Branch>,
    /// The hook for what arrives: ingress or clsact.
    pub ingress: Option<Branch>,
}

/// The name under which the filters of a shared block stand among the interfaces, as what is sent: no link's name has a
/// blank.
pub fn block_name(block: u32) -> CompactString {
    format_compact!("{BLOCK_NAME}{block}")
}

/// The shared block that an interface of a tree stands for.
pub fn block_of(name: &str) -> Option<u32> {
    name.strip_prefix(BLOCK_NAME)?.parse().ok()
}

const BLOCK_NAME: &str = "block ";

/// Interfaces by name: in an asked tree in the order of making (an ifb before the interface that redirects to it).
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// By name.
    pub interfaces: IndexMap<CompactString, Interface>,
}

impl Tree {
    /// All objects.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        let branches = self.interfaces.values().flat_map(|i| [&i.egress, &i.ingress]).flatten();
        branches.flat_map(|branch| &branch.objects)
    }

    /// What the objects name that traffic control does not keep itself.
    pub fn references(&self) -> impl Iterator<Item = Reference> {
        // only filters name such things, with their matches and actions
        self.objects().filter(|object| object.place().is_some()).flat_map(|object| object.options.references())
    }
}

/// What the handles of classes and disciplines stand for, by device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(HashMap<CompactString, HashMap<Handle, CompactString>>);

impl Names {
    /// The name of a handle.
    pub fn get(&self, device: &str, handle: Handle) -> Option<&str> {
        self.0.get(device)?.get(&handle).map(CompactString::as_str)
    }

    /// The names of a device.
    pub fn of(&mut self, device: &str) -> &mut HashMap<Handle, CompactString> {
        self.0.entry(device.into()).or_default()
    }

    /// The names that the objects of a tree have of themselves.
    pub fn in_tree(tree: &Tree) -> Names {
        let mut all = Names::default();
        for (device, interface) in &tree.interfaces {
            let names = all.of(device);
            let objects = [&interface.egress, &interface.ingress].into_iter().flatten().flat_map(|b| &b.objects);
            for object in objects.filter(|object| !object.origin.name.is_empty()) {
                if let Some(handle) = object.handle().filter(|handle| *handle != Handle(0)) {
                    names.insert(handle, object.origin.name.clone());
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Figures of tc 6.1's `estimator`, and that its words give them again.
    #[test]
    fn an_estimator_is_tcs() {
        for (interval, constant, expected) in [
            (1_000_000, 8_000_000, Some((0, 3))),
            (250_000, 500_000, Some((-2, 1))),
            (250_000, 1_000_000, Some((-2, 2))),
            (8_000_000, 60_000_000, Some((3, 3))),
            (8_000_001, 60_000_000, None),
            (1_000_000, 1_000_000, None),
        ] {
            let made = Estimator::of(interval, constant);
            assert_eq!(made.map(|e| (e.interval, e.ewma_log)), expected, "{interval} {constant}");
            if let Some(made) = made {
                let [interval, constant] = made.tc().map(|text| text.parse().unwrap());
                assert_eq!(Estimator::of(interval, constant), Some(made));
            }
        }
    }
}
