//! A tc command as the message that tc sends for it.

use super::{
    Message, Parts, RTM_DELQDISC, RTM_DELTCLASS, RTM_DELTFILTER, RTM_GETTFILTER, RTM_NEWQDISC, RTM_NEWTCLASS,
    RTM_NEWTFILTER, body, header,
};
use crate::facts::Facts;
use crate::kind::action::{Act, Actions};
use crate::kind::wire::Attributes;
use crate::tc::{Listed, Numbered, Request, Show, Subject, Target, Verb};
use crate::tree::Object;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NLM_F_ROOT};

pub(crate) const RTM_NEWACTION: u16 = 48;
pub(crate) const RTM_DELACTION: u16 = 49;
pub(crate) const RTM_GETACTION: u16 = 50;
pub(crate) const RTM_NEWCHAIN: u16 = 100;
pub(crate) const RTM_DELCHAIN: u16 = 101;
pub(crate) const RTM_GETCHAIN: u16 = 102;

/// The index that stands for no link but a shared block (`TCM_IFINDEX_MAGIC_BLOCK`), whose number is in the parent's place.
pub const BLOCK: u32 = u32::MAX;

// TCA_ROOT_*, include/uapi/linux/rtnetlink.h
pub(crate) const ROOT_TAB: u16 = 1;
const ROOT_FLAGS: u16 = 2;
const ROOT_TIME_DELTA: u16 = 4;
/// `TCA_ACT_FLAG_LARGE_DUMP_ON`: more than 32 actions.
const LARGE_DUMP: u32 = 1;
// TCA_ACT_*
const ACT_KIND: u16 = 1;
const ACT_INDEX: u16 = 3;
/// `TCA_DUMP_INVISIBLE`.
const DUMP_INVISIBLE: u16 = 10;
/// `struct tcamsg`.
pub(crate) const ACTION_HEADER: usize = 4;

/// The message of a command, attribute by attribute as tc sends it. `ifindex` is that of the link that it names, 0 if it
/// names none. What shows many is a dump.
pub fn request(request: &Request, ifindex: u32, facts: &Facts) -> Message {
    let verb = request.verb;
    let filter_flags = match verb {
        Verb::Add => NLM_F_CREATE | NLM_F_EXCL,
        Verb::Replace => NLM_F_CREATE,
        Verb::Get => NLM_F_ECHO,
        _ => 0,
    };
    let of = |object: &Object, [new, delete, get]: [u16; 3], flags: u16| {
        let block = match request.target {
            Some(Target::Block(block)) => Some(block),
            _ => None,
        };
        let parts = Parts { options: true, chain: request.chain, block };
        let kind = match verb {
            Verb::Delete => delete,
            Verb::Get => get,
            _ => new,
        };
        Message { kind, flags: NLM_F_REQUEST | flags, body: body(object, parts, ifindex, facts) }
    };
    match &request.subject {
        Subject::Qdisc(object) => {
            let flags = match verb {
                Verb::Add => NLM_F_CREATE | NLM_F_EXCL,
                Verb::Replace => NLM_F_CREATE | NLM_F_REPLACE,
                Verb::Link => NLM_F_REPLACE,
                _ => 0,
            };
            let flags = if object.options.creates() { flags | NLM_F_CREATE } else { flags };
            of(object, [RTM_NEWQDISC, RTM_DELQDISC, super::RTM_GETQDISC], flags)
        }
        Subject::Class(object) => of(object, [RTM_NEWTCLASS, RTM_DELTCLASS, super::RTM_GETTCLASS], filter_flags),
        Subject::Filter(object) => of(object, [RTM_NEWTFILTER, RTM_DELTFILTER, RTM_GETTFILTER], filter_flags),
        Subject::Chain(object) => of(object, [RTM_NEWCHAIN, RTM_DELCHAIN, RTM_GETCHAIN], filter_flags),
        Subject::Actions(actions) => {
            let flags = if verb == Verb::Add { NLM_F_EXCL } else { NLM_F_REPLACE } | NLM_F_CREATE;
            Message { kind: RTM_NEWACTION, flags: NLM_F_REQUEST | flags, body: listed(actions, facts) }
        }
        Subject::Numbered(list) => {
            let kind = if verb == Verb::Delete { RTM_DELACTION } else { RTM_GETACTION };
            Message { kind, flags: NLM_F_REQUEST, body: numbered(list) }
        }
        Subject::OfKind { name, since } => {
            let mut out = Attributes { bytes: vec![0; ACTION_HEADER] };
            out.nest(ROOT_TAB, |list| list.nest(1, |act| act.text(ACT_KIND, name)));
            let [a, b, c, d] = LARGE_DUMP.to_ne_bytes();
            out.raw(ROOT_FLAGS, &[a, b, c, d, a, b, c, d]); // struct nla_bitfield32
            if let Some(since) = since.filter(|since| *since != 0) {
                out.u32(ROOT_TIME_DELTA, since);
            }
            match verb {
                Verb::Flush => Message { kind: RTM_DELACTION, flags: NLM_F_REQUEST | NLM_F_ROOT, body: out.bytes },
                _ => Message::dump(RTM_GETACTION, out.bytes),
            }
        }
        Subject::Show(show) => shown(show, request, ifindex),
    }
}

/// The message that changes an action which stands under its number.
pub fn change_action(act: &Act, facts: &Facts) -> Message {
    let body = listed(&Actions(vec![act.clone()]), facts);
    Message { kind: RTM_NEWACTION, flags: NLM_F_REQUEST | NLM_F_REPLACE, body }
}

/// A request for an action by its number; refused where there is none.
pub fn one_action(name: &str, index: u32) -> Message {
    let list = [Numbered { name: name.into(), index }];
    Message { kind: RTM_GETACTION, flags: NLM_F_REQUEST, body: numbered(&list) }
}

fn listed(actions: &Actions, facts: &Facts) -> Vec<u8> {
    let mut out = Attributes { bytes: vec![0; ACTION_HEADER] };
    actions.encode(ROOT_TAB, &mut out, facts);
    out.bytes
}

fn numbered(list: &[Numbered]) -> Vec<u8> {
    let mut out = Attributes { bytes: vec![0; ACTION_HEADER] };
    out.nest(ROOT_TAB, |out| {
        for (order, Numbered { name, index }) in (1..).zip(list) {
            out.nest(order, |act| {
                act.text(ACT_KIND, name);
                if *index != 0 {
                    act.u32(ACT_INDEX, *index);
                }
            });
        }
    });
    out.bytes
}

/// The dump that holds what is to be shown, and often more: the kernel chooses by less than tc does.
fn shown(show: &Show, request: &Request, ifindex: u32) -> Message {
    let info = show.prio << 16 | u32::from(show.protocol.to_be());
    let (kind, parent, info) = match show.of {
        Listed::Qdiscs => (super::RTM_GETQDISC, 0, 0),
        Listed::Classes => (super::RTM_GETTCLASS, show.parent.0, 0),
        Listed::Filters => (RTM_GETTFILTER, show.parent.0, info),
        Listed::Chains => (RTM_GETCHAIN, show.parent.0, info),
    };
    let (ifindex, parent) = match request.target {
        Some(Target::Block(block)) => (BLOCK, block),
        _ => (ifindex, parent),
    };
    let mut out = Attributes { bytes: header(ifindex, 0, parent, info) };
    if show.invisible {
        out.flag(DUMP_INVISIBLE);
    }
    if let Some(chain) = request.chain {
        out.u32(super::TCA_CHAIN, chain);
    }
    Message::dump(kind, out.bytes)
}
