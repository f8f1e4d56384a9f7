//! Objects as netlink messages, and the kernel's dumps as a held tree. No I/O: bytes in, values out, and back.
//!
//! [`encode`] writes one request; [`decode`] reads a dump into [`Record`]s, [`tree`] puts records into a
//! [`Tree`](crate::tree::Tree), [`decode_links`] reads links, and [`reply`] what the kernel answers to requests.

mod dump;
mod held;
mod link;
pub mod reply;
mod request;
mod snapshot;
mod stab;

pub use dump::{Record, decode, decode_actions};
pub use held::{FilterParents, filter_parents, tree, unclear_roots, with_classes};
pub use link::{LinkInfo, decode_links};
pub use request::{BLOCK, change_action, one_action, request};
pub(crate) use request::{RTM_DELACTION, RTM_GETACTION, RTM_GETCHAIN, RTM_NEWACTION, RTM_NEWCHAIN};
pub use snapshot::Snapshot;

use crate::facts::Facts;
use crate::kind::wire::{Attributes, NESTED, Payload};
use crate::plan::Verb;
use crate::tree::{Estimator, Id, Object};
use netlink_packet_core::{
    Emitable, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader,
};
use netlink_packet_route::tc::TcHeader;
use std::collections::HashMap;
use std::fmt;

// include/uapi/linux/rtnetlink.h
pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
pub(crate) const RTM_GETLINK: u16 = 18;
pub(crate) const RTM_NEWQDISC: u16 = 36;
pub(crate) const RTM_DELQDISC: u16 = 37;
pub(crate) const RTM_GETQDISC: u16 = 38;
pub(crate) const RTM_NEWTCLASS: u16 = 40;
pub(crate) const RTM_DELTCLASS: u16 = 41;
pub(crate) const RTM_GETTCLASS: u16 = 42;
pub(crate) const RTM_NEWTFILTER: u16 = 44;
pub(crate) const RTM_DELTFILTER: u16 = 45;
pub(crate) const RTM_GETTFILTER: u16 = 46;

pub(crate) const TCA_KIND: u16 = 1;
pub(crate) const TCA_OPTIONS: u16 = 2;
pub(crate) const TCA_XSTATS: u16 = 4;
pub(crate) const TCA_RATE: u16 = 5;
pub(crate) const TCA_STATS2: u16 = 7;
pub(crate) const TCA_STAB: u16 = 8;
pub(crate) const TCA_CHAIN: u16 = 11;
pub(crate) const TCA_HW_OFFLOAD: u16 = 12;
pub(crate) const TCA_INGRESS_BLOCK: u16 = 13;
pub(crate) const TCA_EGRESS_BLOCK: u16 = 14;

const HEADER: usize = 16;
const TC_HEADER: usize = 20;

/// A request without its sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// `RTM_…`.
    pub kind: u16,
    /// `NLM_F_…`; the acknowledgement is the sender's choice.
    pub flags: u16,
    /// What follows the netlink header.
    pub body: Vec<u8>,
}

impl Message {
    /// A request for all that the kernel has: `body` is a header of the family that says of what.
    pub fn dump(kind: u16, body: Vec<u8>) -> Message {
        Message { kind, flags: NLM_F_REQUEST | NLM_F_DUMP, body }
    }

    /// A request for all tc objects of a kind (`RTM_GET…`) on a link, or below `parent` of it.
    pub fn dump_tc(kind: u16, ifindex: u32, parent: u32) -> Message {
        Message::dump(kind, header(ifindex, 0, parent, 0))
    }

    /// A dump of the filters below a parent of a link, of one chain, and of one priority if that is not 0.
    pub fn dump_chain(ifindex: u32, parent: u32, chain: u32, prio: u16) -> Message {
        let mut body = Attributes { bytes: header(ifindex, 0, parent, u32::from(prio) << 16) };
        body.u32(TCA_CHAIN, chain);
        Message::dump(RTM_GETTFILTER, body.bytes)
    }

    /// A question for a priority of a chain below a parent of a link: refused with ENOENT where there is none, or where its filters
    /// have that protocol and none has the number 0; with EINVAL where they have another protocol (`tcf_chain_tp_find`).
    pub fn any_filter(ifindex: u32, parent: u32, chain: u32, (prio, protocol): (u16, u16)) -> Message {
        let info = u32::from(prio) << 16 | u32::from(protocol.to_be());
        let mut out = Attributes { bytes: header(ifindex, 0, parent, info) };
        out.u32(TCA_CHAIN, chain);
        Message { kind: RTM_GETTFILTER, flags: NLM_F_REQUEST, body: out.bytes }
    }

    /// A request for the first chain of filters below `parent` of a link: refused where there is none.
    pub fn first_chain(ifindex: u32, parent: u32) -> Message {
        let mut out = Attributes { bytes: header(ifindex, 0, parent, 0) };
        out.u32(TCA_CHAIN, 0);
        Message { kind: RTM_GETCHAIN, flags: NLM_F_REQUEST, body: out.bytes }
    }

    /// Whether something is made by it, and not only altered or taken away.
    pub fn creates(&self) -> bool {
        self.flags & NLM_F_CREATE != 0
    }

    /// Octets it takes in a send.
    pub fn size(&self) -> usize {
        (HEADER + self.body.len()).next_multiple_of(4)
    }

    /// Appends the whole message, padded to four octets.
    pub fn write(&self, sequence: u32, more_flags: u16, out: &mut Vec<u8>) {
        let start = out.len();
        let mut header = NetlinkHeader::default();
        header.length = (HEADER + self.body.len()) as u32;
        header.message_type = self.kind;
        header.flags = self.flags | more_flags;
        header.sequence_number = sequence;
        out.resize(start + HEADER, 0);
        if let Some(place) = out.get_mut(start..) {
            header.emit(place);
        }
        out.extend_from_slice(&self.body);
        out.resize(out.len().next_multiple_of(4), 0);
    }
}

/// `struct tcmsg`.
fn header(ifindex: u32, handle: u32, parent: u32, info: u32) -> Vec<u8> {
    let header = TcHeader {
        index: ifindex.cast_signed(),
        handle: handle.into(),
        parent: parent.into(),
        info,
        ..TcHeader::default()
    };
    let mut bytes = vec![0; TC_HEADER];
    header.emit(&mut bytes);
    bytes
}

/// The message that does `verb` to `object` on the link of that index: the same attributes in the same order as tc
/// sends. On [`Verb::Delete`] the options are left out, and the kernel checks that what is there is of that kind.
pub fn encode(object: &Object, verb: Verb, ifindex: u32, facts: &Facts) -> Message {
    let (new, delete) = match object.id {
        Id::Qdisc { .. } => (RTM_NEWQDISC, RTM_DELQDISC),
        Id::Class { .. } => (RTM_NEWTCLASS, RTM_DELTCLASS),
        Id::Filter { .. } if object.template => (request::RTM_NEWCHAIN, request::RTM_DELCHAIN),
        Id::Filter { .. } => (RTM_NEWTFILTER, RTM_DELTFILTER),
    };
    let flags = match verb {
        Verb::Add => NLM_F_CREATE | NLM_F_EXCL,
        Verb::Replace if matches!(object.id, Id::Filter { .. }) => NLM_F_CREATE,
        Verb::Replace => NLM_F_CREATE | NLM_F_REPLACE,
        Verb::Change | Verb::Delete => 0,
    };
    let chain = match object.id {
        Id::Filter { chain, .. } => Some(chain).filter(|chain| *chain != 0 || object.template),
        _ => None,
    };
    let parts = Parts { options: verb != Verb::Delete, chain, block: None };
    let kind = if verb == Verb::Delete { delete } else { new };
    Message { kind, flags: NLM_F_REQUEST | flags, body: body(object, parts, ifindex, facts) }
}

/// What of an object's message is not in the object.
#[derive(Clone, Copy, Debug)]
struct Parts {
    /// Whether more than place and kind is said.
    options: bool,
    /// The chain, if it is said.
    chain: Option<u32>,
    /// The shared block that is meant instead of a link and a parent.
    block: Option<u32>,
}

/// `struct tcmsg` and the attributes, in tc's order. A kind without a name is not said.
fn body(object: &Object, parts: Parts, ifindex: u32, facts: &Facts) -> Vec<u8> {
    let (handle, info) = match object.id {
        Id::Qdisc { handle, .. } | Id::Class { handle, .. } => (handle.0, 0),
        // tcm_info: the priority above, the protocol in network order below
        Id::Filter { prio, protocol, handle, .. } => {
            let handle = if parts.options { object.options.number(handle, facts) } else { handle };
            (handle, u32::from(prio) << 16 | u32::from(protocol.to_be()))
        }
    };
    let is_filter = matches!(object.id, Id::Filter { .. });
    let (ifindex, parent) = parts.block.map_or((ifindex, object.id.parent().0), |block| (request::BLOCK, block));
    let mut out = Attributes { bytes: header(ifindex, handle, parent, info) };
    if let Some(chain) = parts.chain {
        out.u32(TCA_CHAIN, chain);
    }
    if !object.name.is_empty() {
        out.text(TCA_KIND, &object.name);
    }
    if !parts.options {
        return out.bytes;
    }
    if !is_filter {
        estimator(object, &mut out);
    }
    for (number, block) in [(TCA_INGRESS_BLOCK, object.blocks.ingress), (TCA_EGRESS_BLOCK, object.blocks.egress)] {
        if block != 0 {
            out.u32(number, block);
        }
    }
    let start = out.bytes.len();
    let nested = if object.options.nested() { NESTED } else { 0 };
    out.nest(TCA_OPTIONS | nested, |options| object.options.encode(options, facts));
    // as tc does: nothing to say is not said, and fw takes an empty list for something wrong
    let bare = object.name.is_empty() || !matches!(object.id, Id::Class { .. });
    if out.bytes.len() == start + 4 && bare && !object.options.always_said() {
        out.bytes.truncate(start);
    }
    if let Some(stab) = &object.stab {
        stab::encode(stab, &mut out);
    }
    if is_filter {
        estimator(object, &mut out);
    }
    out.bytes
}

/// `struct tc_estimator`.
fn estimator(object: &Object, out: &mut Attributes) {
    if let Some(Estimator { interval, ewma_log }) = object.estimator {
        out.raw(TCA_RATE, &[interval.cast_unsigned(), ewma_log]);
    }
}

/// The question which table u32 made for the priority of a filter: `u32_get` takes this number for it.
pub fn root_of(filter: &Object, ifindex: u32) -> Message {
    const ROOT: u32 = 0xfff0_0000; // TC_U32_ROOT
    let Id::Filter { parent, chain, .. } = filter.id else { return Message::dump_tc(RTM_GETTFILTER, ifindex, 0) };
    let mut asked = filter.clone();
    if let Id::Filter { handle, .. } = &mut asked.id {
        *handle = ROOT;
    }
    let block = (ifindex == BLOCK).then_some(parent.0);
    let parts = Parts { options: false, chain: Some(chain).filter(|chain| *chain != 0), block };
    Message { kind: RTM_GETTFILTER, flags: NLM_F_REQUEST, body: body(&asked, parts, ifindex, &Facts::default()) }
}

/// Why bytes are no dump: which object, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecodable(pub String);

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the kernel's answer cannot be read: {}", self.0)
    }
}
impl std::error::Error for Undecodable {}

/// What a dump is read against: the links with their figures, and the scheduler's clock.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// The links, in the kernel's order.
    pub links: Vec<LinkInfo>,
    /// Clock and whatever else is the same for all links.
    pub clock: Facts,
}

impl Machine {
    /// The link of that name.
    pub fn link(&self, name: &str) -> Option<&LinkInfo> {
        self.links.iter().find(|l| l.name == name)
    }

    /// The facts of each link by index.
    fn facts(&self) -> HashMap<u32, Facts> {
        self.links.iter().map(|l| (l.index, l.facts(&self.clock))).collect()
    }
}

/// One message of received bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    /// The port of whoever asked for it; 0 for the kernel itself.
    pub port: u32,
    pub payload: Payload<'a>,
    /// All of it, with its header and padding.
    pub whole: &'a [u8],
}

/// Splits received bytes into messages. After an error there is nothing more.
pub(crate) fn messages(bytes: &[u8]) -> impl Iterator<Item = Result<Received<'_>, Undecodable>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let all = std::mem::take(&mut rest);
        let Ok(buffer) = NetlinkBuffer::new_checked(all) else {
            return Some(Err(Undecodable(format!("a message is cut off after {} octets", all.len()))));
        };
        let length = buffer.length() as usize;
        let (whole, after) = all.split_at_checked(length.next_multiple_of(4)).unwrap_or((all, &[]));
        rest = after;
        Some(Ok(Received {
            kind: buffer.message_type(),
            flags: buffer.flags(),
            sequence: buffer.sequence_number(),
            port: buffer.port_number(),
            payload: Payload(all.get(HEADER..length).unwrap_or(&[])),
            whole,
        }))
    })
}
