//! Who else changes traffic control meanwhile: the kernel's notifications, those of our own requests left out.

use super::Error;
use crate::netlink::{
    RTM_DELACTION, RTM_DELQDISC, RTM_DELTCLASS, RTM_DELTFILTER, RTM_NEWACTION, RTM_NEWQDISC, RTM_NEWTCLASS,
    RTM_NEWTFILTER, messages,
};
use netlink_packet_route::tc::TcHeader;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;

/// `RTNLGRP_TC`, include/uapi/linux/rtnetlink.h.
const GROUP: u32 = 4;
/// Octets wanted in the receive buffer: a window of ours makes a hundred notifications.
const RECEIVE: usize = 4 << 20;

/// An ear for changes.
pub struct Watch {
    socket: Socket,
    buffer: Vec<u8>,
}

/// What was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The links on which others changed something, by number; sorted.
    pub links: Vec<u32>,
    /// Whether there may be more: the kernel had more to tell than there was room for, or something changed that is no link's.
    pub lost: bool,
    /// The classes that our own requests made or changed, as they stand then: messages as of a dump, one after another.
    pub own_classes: Vec<u8>,
}

impl Watch {
    /// Listens from now on, in the calling thread's network namespace.
    ///
    /// # Errors
    /// No socket can be made.
    pub fn open() -> Result<Watch, Error> {
        let open = || -> std::io::Result<Socket> {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind(&SocketAddr::new(0, 0))?;
            socket.add_membership(GROUP)?;
            socket.set_non_blocking(true)?;
            socket.set_rx_buf_sz(RECEIVE)?;
            Ok(socket)
        };
        let socket = open().map_err(|e| Error::system("listen for changes", &e))?;
        Ok(Watch { socket, buffer: Vec::with_capacity(64 * 1024) })
    }

    /// What has changed since the last question; `own` is the port of our requests. Does not wait.
    ///
    /// # Errors
    /// The socket fails.
    pub fn seen(&mut self, own: u32) -> Result<Seen, Error> {
        let mut seen = Seen::default();
        loop {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, 0) {
                Ok(_) => {}
                Err(e) if e.raw_os_error() == Some(Errno::EINTR as i32) => continue,
                Err(e) if e.raw_os_error() == Some(Errno::EAGAIN as i32) => break,
                Err(e) if e.raw_os_error() == Some(Errno::ENOBUFS as i32) => {
                    seen.lost = true;
                    continue;
                }
                Err(e) => return Err(Error::system("listen for changes", &e)),
            }
            for message in messages(&self.buffer) {
                let message = message?;
                // an action is no link's: what changed may be anywhere
                seen.lost |= message.port != own && [RTM_NEWACTION, RTM_DELACTION].contains(&message.kind);
                if message.port == own && message.kind == RTM_NEWTCLASS {
                    seen.own_classes.extend_from_slice(message.whole);
                }
                let ours = [RTM_NEWQDISC, RTM_DELQDISC, RTM_NEWTCLASS, RTM_DELTCLASS, RTM_NEWTFILTER, RTM_DELTFILTER];
                if message.port == own || !ours.contains(&message.kind) {
                    continue;
                }
                if let Ok(header) = TcHeader::parse(message.payload.0) {
                    seen.links.push(header.index.cast_unsigned());
                }
            }
        }
        seen.links.sort_unstable();
        seen.links.dedup();
        Ok(seen)
    }
}
