//! Links, as far as traffic control cares.

use super::{Machine, RTM_NEWLINK, Undecodable, messages};
use crate::facts::Facts;
use crate::kind::wire::{Malformed, Payload};
use crate::tree::{Link, Origin};
use crate::unit::Rate;
use compact_str::CompactString;
use netlink_packet_core::{NLMSG_DONE, NLMSG_NOOP};

// include/uapi/linux/if_link.h
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_TXQLEN: u16 = 13;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_GSO_MAX_SIZE: u16 = 41;
const IFLA_PROP_LIST: u16 = 52;
const IFLA_ALT_IFNAME: u16 = 53;
const IFLA_INFO_KIND: u16 = 1;
const IFF_UP: u32 = 1;

/// A link.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinkInfo {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: CompactString,
    /// Its other names (`altname`), which policies do not know it by.
    pub also: Vec<CompactString>,
    /// Its kind, if it is a software device: `ifb`, `veth`, `dummy`.
    pub kind: Option<CompactString>,
    /// Bytes a packet may have.
    pub mtu: u32,
    /// Packets of a default fifo.
    pub txqueuelen: u32,
    /// Whether it is up.
    pub up: bool,
    /// Its alias.
    pub alias: Option<CompactString>,
    /// Transmit queues.
    pub queues: u32,
    /// The largest segment that the stack may hand over in one piece, in bytes, where segmentation offload is on; the
    /// kernel says this figure whether it is or not.
    pub gso_max_size: Option<u32>,
    /// Its type, `ARPHRD_…` of include/uapi/linux/if_arp.h: 1 is Ethernet.
    pub hardware: u16,
    /// Octets of its address: 6 on Ethernet, 0 on most point-to-point links.
    pub address: usize,
    /// The driver's speed, where the reader of the machine could learn it.
    pub speed: Option<Rate>,
}

impl LinkInfo {
    /// Length of the link-layer header in bytes. The kernel keeps `hard_header_len` to itself, so it follows from the
    /// type of the link.
    pub fn header(&self) -> u32 {
        match self.hardware {
            // Ethernet, loopback
            1 | 772 => 14,
            // ppp
            512 => 4,
            // tunnels, raw IP, none
            519 | 768 | 769 | 776 | 778 | 0xfffe => 0,
            // IP over InfiniBand: its own header and the pseudo address before it
            32 => 24,
            _ if self.address == 6 => 14,
            _ => 0,
        }
    }

    /// The facts of this link. Segmentation offload is left unsaid: a discipline cuts what is too large for it.
    pub fn facts(&self, clock: &Facts) -> Facts {
        Facts {
            mtu: self.mtu,
            header: self.header(),
            txqueuelen: self.txqueuelen,
            speed: self.speed,
            queues: self.queues.max(1),
            ..clock.clone()
        }
    }

    /// The link as a tree holds it.
    pub fn link(&self) -> Link {
        Link {
            txqueuelen: Some(self.txqueuelen),
            up: Some(self.up),
            alias: self.alias.clone(),
            kind: self.kind.clone(),
            index: Some(self.index),
            mtu: Some(self.mtu),
            origin: Origin::default(),
        }
    }
}

/// Reads a dump of links.
///
/// # Errors
/// Bytes that are not what their lengths say.
pub fn decode_links(bytes: &[u8]) -> Result<Vec<LinkInfo>, Undecodable> {
    let mut links = Vec::new();
    for message in messages(bytes) {
        let message = message?;
        match message.kind {
            RTM_NEWLINK => {
                links.push(link(message.payload).map_err(|m| Undecodable(format!("link {}: {m}", links.len() + 1)))?);
            }
            NLMSG_DONE | NLMSG_NOOP => {}
            other => return Err(Undecodable(format!("a message of type {other} among the links"))),
        }
    }
    Ok(links)
}

fn link(payload: Payload) -> Result<LinkInfo, Malformed> {
    // struct ifinfomsg
    let mut c = payload.fields();
    let (_family, _pad, hardware, index, flags, _change) = (c.u8()?, c.u8()?, c.u16()?, c.u32()?, c.u32()?, c.u32()?);
    let attributes = Payload(c.rest()).attributes()?;
    let text = |p: Payload| CompactString::from(p.text());
    let info = attributes.nested(IFLA_LINKINFO)?;
    Ok(LinkInfo {
        index,
        name: attributes.get(IFLA_IFNAME).map(text).ok_or(Malformed("link: it has no name"))?,
        also: attributes
            .nested(IFLA_PROP_LIST)?
            .map(|list| list.list.iter().filter(|(n, _)| *n == IFLA_ALT_IFNAME).map(|(_, name)| text(*name)).collect())
            .unwrap_or_default(),
        kind: info.and_then(|info| info.get(IFLA_INFO_KIND)).map(text),
        mtu: attributes.u32(IFLA_MTU)?.unwrap_or(1500),
        txqueuelen: attributes.u32(IFLA_TXQLEN)?.unwrap_or(0),
        up: flags & IFF_UP != 0,
        alias: attributes.get(IFLA_IFALIAS).map(text).filter(|alias| !alias.is_empty()),
        queues: attributes.u32(IFLA_NUM_TX_QUEUES)?.unwrap_or(1),
        gso_max_size: attributes.u32(IFLA_GSO_MAX_SIZE)?,
        hardware,
        address: attributes.get(IFLA_ADDRESS).map_or(0, |a| a.0.len()),
        speed: None,
    })
}

impl Machine {
    /// Forgets all links but those named; the dumps of others are then left out of the tree.
    pub fn keep(&mut self, names: &[&str]) {
        self.links.retain(|link| names.contains(&link.name.as_str()));
    }
}
