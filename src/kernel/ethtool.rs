//! What is on of a link's features: ethtool's netlink messages, which kernels since 5.6 know
//! (include/uapi/linux/ethtool_netlink.h, genetlink.h).

use super::Error;
use super::socket::Netlink;
use crate::kind::wire::{Attributes, NESTED, Payload};
use crate::netlink::{Message, messages};
use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST};
use netlink_sys::protocols::NETLINK_GENERIC;

/// `GENL_ID_CTRL`, `CTRL_CMD_GETFAMILY`, `CTRL_ATTR_FAMILY_ID`, `CTRL_ATTR_FAMILY_NAME`.
const CONTROL: u16 = 16;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
/// `ETHTOOL_MSG_FEATURES_GET`, `ETHTOOL_A_FEATURES_HEADER`, `ETHTOOL_A_HEADER_DEV_INDEX`, `ETHTOOL_A_FEATURES_ACTIVE`.
const FEATURES_GET: u8 = 11;
const HEADER: u16 = 1;
const INDEX: u16 = 1;
const ACTIVE: u16 = 4;
/// `ETHTOOL_A_BITSET_BITS`, and of each bit `ETHTOOL_A_BITSET_BIT_NAME`.
const BITS: u16 = 3;
const NAME: u16 = 2;
/// Octets of `struct genlmsghdr`.
const GENERIC: usize = 4;

/// The way to ethtool's part of the kernel.
pub(super) struct Ethtool {
    netlink: Netlink,
    family: u16,
}

/// `struct genlmsghdr` and attributes.
fn message(kind: u16, command: u8, fill: impl FnOnce(&mut Attributes)) -> Message {
    let mut body = Attributes { bytes: vec![command, 1, 0, 0] };
    fill(&mut body);
    Message { kind, flags: NLM_F_REQUEST | NLM_F_ACK, body: body.bytes }
}

impl Ethtool {
    /// Of the calling thread's network namespace.
    pub(super) fn open() -> Result<Ethtool, Error> {
        let mut netlink = Netlink::of(NETLINK_GENERIC)?;
        let answer = netlink.dump(&message(CONTROL, GET_FAMILY, |a| a.text(FAMILY_NAME, "ethtool")))?;
        let family = first(&answer).and_then(|p| p.attributes().ok()?.u16(FAMILY_ID).ok()?);
        let family = family.ok_or_else(|| Error::new("ask ethtool", "the kernel names no family of messages"))?;
        Ok(Ethtool { netlink, family })
    }

    /// The names of the features that are on.
    pub(super) fn features(&mut self, index: u32) -> Result<Vec<String>, Error> {
        let request =
            message(self.family, FEATURES_GET, |a| a.nest(HEADER | NESTED, |header| header.u32(INDEX, index)));
        let answer = self.netlink.dump(&request)?;
        let names = || -> Option<Vec<String>> {
            let active = first(&answer)?.attributes().ok()?.nested(ACTIVE).ok()??;
            let bits = active.nested(BITS).ok()??;
            let name = |bit: &Payload| Some(bit.attributes().ok()?.get(NAME)?.text());
            Some(bits.list.iter().filter_map(|(_, bit)| name(bit)).collect())
        };
        names().ok_or_else(|| Error::new("ask ethtool", "the answer cannot be read"))
    }
}

/// The attributes of the first message of an answer.
fn first(answer: &[u8]) -> Option<Payload<'_>> {
    let message = messages(answer).next()?.ok()?;
    Some(Payload(message.payload.0.get(GENERIC..)?))
}
