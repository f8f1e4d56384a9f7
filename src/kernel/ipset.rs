//! Sets of `ipset`: their numbers by name and their names by number (include/uapi/linux/netfilter/ipset/ip_set.h), over
//! netfilter's netlink; kernels since 4.20 answer.

use super::socket::Netlink;
use crate::facts::{Reference, Set};
use crate::kind::wire::{Attributes, Payload};
use crate::netlink::{Message, messages};
use compact_str::{CompactString, format_compact};
use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST};
use netlink_sys::protocols::NETLINK_NETFILTER;
use nix::errno::Errno;

/// `NFNL_SUBSYS_IPSET`, above the command in a message's type.
const SUBSYSTEM: u16 = 6 << 8;
const GET_BYNAME: u16 = 14;
const GET_BYINDEX: u16 = 15;
/// `IPSET_PROTOCOL`.
const PROTOCOL: u8 = 7;
// IPSET_ATTR_*
const ATTR_PROTOCOL: u16 = 1;
const ATTR_NAME: u16 = 2;
const ATTR_INDEX: u16 = 11;
/// Octets of `struct nfgenmsg`.
const HEADER: usize = 4;

/// Asks for the set that is meant, in the calling thread's network namespace. Why there is none is said as what follows
/// its name.
pub(super) fn find(reference: &Reference) -> Result<Set, CompactString> {
    let request = match reference {
        Reference::Set(name) => message(GET_BYNAME, |a| a.text(ATTR_NAME, name)),
        Reference::SetNumber(number) => message(GET_BYINDEX, |a| a.be16(ATTR_INDEX, *number)),
        Reference::Pin(_) | Reference::Program(_) => return Err("is no set".into()),
    };
    let answer = Netlink::of(NETLINK_NETFILTER).and_then(|mut netlink| netlink.dump(&request)).map_err(|error| {
        if error.is(Errno::ENOENT) { "is not there".into() } else { format_compact!("cannot be looked for: {error}") }
    })?;
    let answered = set(&answer).ok_or("cannot be looked for: the answer cannot be read")?;
    // the kernel says but what was not asked
    Ok(match (reference, answered) {
        (Reference::Set(name), (_, Some(number))) => Set { name: name.clone(), number },
        (Reference::SetNumber(number), (Some(name), _)) => Set { name, number: *number },
        _ => return Err("is not there".into()),
    })
}

fn message(command: u16, fill: impl FnOnce(&mut Attributes)) -> Message {
    // nfgen_family: AF_INET, version, res_id
    let mut body = Attributes { bytes: vec![2, 0, 0, 0] };
    body.u8(ATTR_PROTOCOL, PROTOCOL);
    fill(&mut body);
    Message { kind: SUBSYSTEM | command, flags: NLM_F_REQUEST | NLM_F_ACK, body: body.bytes }
}

/// The name and the number in the first message of an answer.
fn set(answer: &[u8]) -> Option<(Option<CompactString>, Option<u16>)> {
    let message = messages(answer).next()?.ok()?;
    let attributes = Payload(message.payload.0.get(HEADER..)?).attributes().ok()?;
    Some((attributes.get(ATTR_NAME).map(|name| name.text().into()), attributes.be16(ATTR_INDEX).ok()?))
}
