//! Links made, set and taken away.

use super::{Error, Kernel};
use crate::facts::Facts;
use crate::netlink::{Message, RTM_DELLINK, RTM_NEWLINK};
use crate::plan::LinkChange;
use netlink_packet_core::{Emitable, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkMessage};
use nix::errno::Errno;
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth};

/// Kinds of links that can stand in for a real one, the plainest first.
const STAND_INS: [&str; 4] = ["dummy", "veth", "ifb", "bridge"];

fn message(kind: u16, flags: u16, link: &LinkMessage) -> Message {
    let mut body = vec![0; link.buffer_len()];
    link.emit(&mut body);
    Message { kind, flags: NLM_F_REQUEST | flags, body }
}

impl Kernel {
    /// Makes a link of a kind (`ifb`, `dummy`, `veth` with its other end beside it, `bridge`) with that many transmit
    /// queues.
    ///
    /// # Errors
    /// There is one of that name, the kernel has no such kind (`EOPNOTSUPP`), or it is not allowed.
    pub fn create_link(&mut self, name: &str, kind: &str, queues: u32) -> Result<(), Error> {
        let link = match kind {
            "veth" => {
                LinkVeth::new(name, &peer(name)).append_extra_attribute(LinkAttribute::NumTxQueues(queues)).build()
            }
            _ => LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Other(kind.to_owned()))
                .name(name)
                .append_extra_attribute(LinkAttribute::NumTxQueues(queues))
                .build(),
        };
        let doing = format!("make `{name}`, of kind {kind}");
        self.link_request(&message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link), doing)
    }

    /// Changes what a link is or has.
    ///
    /// # Errors
    /// There is no such link, or the kernel refuses. A device that is not of the kind that is to be removed stays.
    pub fn change_link(&mut self, name: &str, change: &LinkChange) -> Result<(), Error> {
        if let LinkChange::Create(kind) = change {
            let there = self.link(name).is_ok();
            return match self.create_link(name, kind, 1) {
                // the first request loads the module, and that of ifb makes devices of its own
                Err(e) if !there && e.is(Errno::EEXIST) && self.link(name)?.kind.as_ref() == Some(kind) => Ok(()),
                done => done,
            };
        }
        let held = self.link(name)?;
        let link = LinkUnspec::new_with_index(held.index);
        let (link, doing) = match change {
            LinkChange::Create(_) => return Ok(()),
            LinkChange::Remove(kind) if held.kind.as_ref() != Some(kind) => {
                return Err(Error::new(format!("remove `{name}`"), format!("it is no {kind}")));
            }
            LinkChange::Remove(_) => {
                return self.link_request(&message(RTM_DELLINK, 0, &link.build()), format!("remove `{name}`"));
            }
            LinkChange::Alias(alias) => (link.alias(alias.as_str()), format!("set the alias of `{name}`")),
            LinkChange::Up => (link.up(), format!("bring up `{name}`")),
            LinkChange::TxQueueLen(length) => (link.txqueuelen(*length), format!("set the txqueuelen of `{name}`")),
        };
        self.link_request(&message(RTM_NEWLINK, 0, &link.build()), doing)
    }

    /// Sets how large a packet may be, in bytes.
    ///
    /// # Errors
    /// There is no such link, or it cannot carry such packets.
    pub fn set_mtu(&mut self, name: &str, mtu: u32) -> Result<(), Error> {
        let link = LinkUnspec::new_with_index(self.link(name)?.index).mtu(mtu).build();
        self.link_request(&message(RTM_NEWLINK, 0, &link), format!("set the mtu of `{name}`"))
    }

    /// Makes a link that stands in for a real one in a [`super::scratch`] namespace: of whatever kind the kernel has,
    /// with the MTU, the queues and the txqueuelen of `facts`, and up. Says the kind. A link that is there already, as
    /// `lo` is, gets the figures.
    ///
    /// # Errors
    /// The kernel has no kind of link that would do, or refuses the figures.
    pub fn stand_in(&mut self, name: &str, facts: &Facts) -> Result<String, Error> {
        let kind = match self.link(name) {
            Ok(held) => held.kind.map_or_else(|| name.to_owned(), String::from),
            Err(_) => self.make_stand_in(name, facts.queues.max(1))?,
        };
        let held = self.link(name)?;
        if held.mtu != facts.mtu {
            self.set_mtu(name, facts.mtu)?;
        }
        if held.txqueuelen != facts.txqueuelen {
            self.change_link(name, &LinkChange::TxQueueLen(facts.txqueuelen))?;
        }
        self.change_link(name, &LinkChange::Up)?;
        if kind == "veth" {
            self.change_link(&peer(name), &LinkChange::Up)?;
        }
        Ok(kind)
    }

    fn make_stand_in(&mut self, name: &str, queues: u32) -> Result<String, Error> {
        for kind in STAND_INS {
            match self.create_link(name, kind, queues) {
                Ok(()) => return Ok(kind.to_owned()),
                // "Unknown device type"
                Err(e) if e.is(Errno::EOPNOTSUPP) => {}
                Err(e) => return Err(e),
            }
        }
        let kinds = STAND_INS.join(", ");
        Err(Error::new(format!("make a stand-in for `{name}`"), format!("this kernel has none of {kinds}")))
    }

    fn link_request(&mut self, message: &Message, doing: String) -> Result<(), Error> {
        let sent = self.netlink.send(std::slice::from_ref(message))?;
        match sent.refused.into_iter().next() {
            Some((_, error)) => Err(error.doing(doing)),
            None => Ok(()),
        }
    }
}

/// The other end of a veth that stands in for `name`: a name of 15 octets that no policy is likely to use.
fn peer(name: &str) -> String {
    let tail: String = name.chars().rev().take(10).collect();
    format!("peer.{}", tail.chars().rev().collect::<String>())
}
