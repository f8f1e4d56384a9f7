//! The netlink socket: dumps, and windows of requests.

use super::Error;
use super::fault::{self, Fate};
use crate::netlink::reply::Reply;
use crate::netlink::{Message, Received, messages};
use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;

/// Requests in one send. More gain nothing, and all their answers must fit the receive buffer.
const WINDOW: usize = 100;
/// Octets in one send: well below the send buffer that a kernel gives by default.
const WINDOW_SIZE: usize = 64 * 1024;
/// Octets of answers wanted in the receive buffer; the kernel may give less.
const RECEIVE: usize = 1 << 20;
/// Octets of one receive: what the kernel fills at most in one go of a dump, twice.
const CHUNK: usize = 64 * 1024;
/// Milliseconds after which an answer is given up. The kernel works while it takes a request, not while we wait.
const PATIENCE: u16 = 10_000;
/// How often a dump is begun anew that changed under our hands.
const ATTEMPTS: usize = 10;

/// The messages of a dump, and why the kernel went no further.
type AsFar = (Vec<u8>, Option<Error>);

pub(super) struct Netlink {
    socket: Socket,
    /// The family of messages: `NETLINK_ROUTE`, or `NETLINK_GENERIC` for ethtool's.
    protocol: isize,
    /// The socket's own address; 0 if it could not be learnt.
    pub(super) port: u32,
    sequence: u32,
    chunk: Vec<u8>,
    /// Whether accidents befall what is sent.
    pub(super) perilous: bool,
}

/// What the kernel said to some messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// By the number of the message: why it was refused. The others were done; a send is no transaction.
    pub refused: Vec<(usize, Error)>,
    /// By the number of the message: a warning about what was done. Only messages that make something, and the last
    /// of each hundred, are asked for their warnings.
    pub warned: Vec<(usize, String)>,
}

fn open(protocol: isize) -> std::io::Result<(Socket, u32)> {
    let mut socket = Socket::new(protocol)?;
    let port = socket.bind_auto()?.port_number();
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.set_cap_ack(true)?;
    socket.set_ext_ack(true)?;
    socket.set_rx_buf_sz(RECEIVE)?;
    Ok((socket, port))
}

impl Netlink {
    /// A socket of the calling thread's network namespace.
    pub(super) fn open() -> Result<Netlink, Error> {
        Netlink::of(NETLINK_ROUTE)
    }

    /// The same, of another family of messages.
    pub(super) fn of(protocol: isize) -> Result<Netlink, Error> {
        let (socket, port) = open(protocol).map_err(|e| Error::system("open a netlink socket", &e))?;
        Ok(Netlink { socket, protocol, port, sequence: 0, chunk: Vec::with_capacity(CHUNK), perilous: false })
    }

    /// Forgets what has not been received.
    fn reopen(&mut self) -> Result<(), Error> {
        (self.socket, self.port) = open(self.protocol).map_err(|e| Error::system("open a netlink socket", &e))?;
        Ok(())
    }

    /// Fills the chunk; false if the kernel threw answers away for want of room.
    fn receive(&mut self) -> Result<bool, Error> {
        loop {
            self.chunk.clear();
            // what is there is taken without asking whether it is
            match self.socket.recv(&mut self.chunk, nix::libc::MSG_TRUNC | nix::libc::MSG_DONTWAIT) {
                Ok(length) if length > self.chunk.len() => {
                    return Err(Error::new("hear from the kernel", format!("an answer of {length} octets")));
                }
                Ok(_) => return Ok(true),
                Err(e) if e.raw_os_error() == Some(Errno::EAGAIN as i32) => self.wait()?,
                Err(e) if e.raw_os_error() == Some(Errno::EINTR as i32) => {}
                Err(e) if e.raw_os_error() == Some(Errno::ENOBUFS as i32) => return Ok(false),
                Err(e) => return Err(Error::system("hear from the kernel", &e)),
            }
        }
    }

    /// Waits for something to receive.
    fn wait(&self) -> Result<(), Error> {
        let mut wait = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut wait, PollTimeout::from(PATIENCE)) {
            Ok(0) => Err(Error::new("hear from the kernel", "no answer within ten seconds")),
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(Error::errno("hear from the kernel", errno)),
        }
    }

    /// Whether dumps can be held to what they are asked for (`NETLINK_GET_STRICT_CHK`).
    pub(super) fn is_strict(&self) -> bool {
        let strict = self.socket.set_netlink_get_strict_chk(true).is_ok();
        let _ = self.socket.set_netlink_get_strict_chk(false);
        strict
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn transmit(&self, bytes: &[u8]) -> Result<(), Error> {
        loop {
            match self.socket.send(bytes, 0) {
                Ok(_) => return Ok(()),
                Err(e) if e.raw_os_error() == Some(Errno::EINTR as i32) => {}
                Err(e) => return Err(Error::system("ask the kernel", &e)),
            }
        }
    }

    /// All messages of a dump, one after another, or the answer to a request for one object. A dump that the kernel marks as changed under way is taken again.
    pub(super) fn dump(&mut self, request: &Message) -> Result<Vec<u8>, Error> {
        match self.dump_as_far(request)? {
            (whole, None) => Ok(whole),
            (_, Some(error)) => Err(error),
        }
    }

    /// As [`Netlink::dump`], as far as the kernel goes, and why it goes no further.
    pub(super) fn dump_as_far(&mut self, request: &Message) -> Result<AsFar, Error> {
        for _ in 0..ATTEMPTS {
            if let Some(whole) = self.dump_once(request)? {
                return Ok(whole);
            }
            self.reopen()?;
        }
        Err(Error::new("take a dump", "the kernel's objects change faster than they can be read"))
    }

    fn dump_once(&mut self, request: &Message) -> Result<Option<AsFar>, Error> {
        let accident = fault::next_dump();
        let sequence = self.next_sequence();
        let mut bytes = Vec::new();
        // what is asked for alone has no end of its own
        let alone = request.flags & NLM_F_DUMP != NLM_F_DUMP;
        request.write(sequence, if alone { NLM_F_ACK } else { 0 }, &mut bytes);
        self.transmit(&bytes)?;
        let (mut out, mut whole) = (Vec::new(), accident != Some(Errno::EINTR));
        loop {
            if !self.receive()? || accident == Some(Errno::ENOBUFS) {
                return Ok(None);
            }
            for message in messages(&self.chunk) {
                let message = message?;
                if message.sequence != sequence {
                    continue;
                }
                whole &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.kind {
                    NLMSG_DONE | NLMSG_ERROR => {
                        let reply = Reply::read(&message, message.kind == NLMSG_DONE);
                        return match reply.errno {
                            0 => Ok(whole.then_some((out, None))),
                            _ => Ok(Some((out, Some(Error::refusal(request, reply))))),
                        };
                    }
                    NLMSG_NOOP => {}
                    _ => out.extend_from_slice(message.whole),
                }
            }
        }
    }

    /// Sends messages in windows, in order, and hears what became of each.
    pub(super) fn send(&mut self, all: &[Message]) -> Result<Sent, Error> {
        let mut sent = Sent::default();
        let mut bytes = Vec::with_capacity(WINDOW_SIZE);
        let mut next = 0;
        let perilous = self.perilous && fault::is_planned();
        let window = if perilous { 1 } else { WINDOW };
        while next < all.len() {
            let first_sequence = self.sequence.wrapping_add(1);
            let begin = next;
            bytes.clear();
            while let Some(message) = all.get(next) {
                let full = next - begin == window || bytes.len() + message.size() > WINDOW_SIZE;
                if full && next > begin {
                    break;
                }
                let last = next + 1 == all.len()
                    || next + 1 - begin == window
                    || bytes.len() + message.size() + all.get(next + 1).map_or(0, Message::size) > WINDOW_SIZE;
                let ack = if last || message.creates() { NLM_F_ACK } else { 0 };
                let sequence = self.next_sequence();
                message.write(sequence, ack, &mut bytes);
                next += 1;
            }
            let fate = if perilous { fault::next_change() } else { Fate::default() };
            if let Some(error) = fate.refused {
                sent.refused.push((begin, error));
                continue;
            }
            self.transmit(&bytes)?;
            self.hear(first_sequence, next - begin, &mut |i, message| sent.add(all, begin + i, message))?;
            if fate.twice {
                self.transmit(&bytes)?;
                self.hear(first_sequence, next - begin, &mut |_, _| {})?;
            }
            if fate.cut_after {
                fault::cut();
            }
        }
        Ok(sent)
    }

    /// Sends requests for one object each, many at a time, and gives the error number of each answer: 0 where the object is.
    pub(super) fn ask_each(&mut self, requests: &[Message]) -> Result<Vec<i32>, Error> {
        let mut answers = Vec::with_capacity(requests.len());
        let mut bytes = Vec::with_capacity(WINDOW_SIZE);
        for window in requests.chunks(WINDOW) {
            bytes.clear();
            let first_sequence = self.sequence.wrapping_add(1);
            for (i, request) in window.iter().enumerate() {
                let sequence = self.next_sequence();
                request.write(sequence, if i + 1 == window.len() { NLM_F_ACK } else { 0 }, &mut bytes);
            }
            self.transmit(&bytes)?;
            let begin = answers.len();
            answers.resize(begin + window.len(), 0);
            self.hear(first_sequence, window.len(), &mut |i, message| {
                if let Some(answer) = answers.get_mut(begin + i) {
                    *answer = Reply::number(message);
                }
            })?;
        }
        Ok(answers)
    }

    /// Receives until the last of `count` requests is answered, and shows the acknowledgement of each.
    fn hear(&mut self, first_sequence: u32, count: usize, each: &mut dyn FnMut(usize, &Received)) -> Result<(), Error> {
        loop {
            if !self.receive()? {
                return Err(Error::new("hear from the kernel", "it had more to say than there was room for"));
            }
            for message in messages(&self.chunk) {
                let message = message?;
                let number = message.sequence.wrapping_sub(first_sequence) as usize;
                if number >= count || message.kind != NLMSG_ERROR {
                    continue;
                }
                each(number, &message);
                if number + 1 == count {
                    return Ok(());
                }
            }
        }
    }
}

impl Sent {
    /// Adds what the kernel said to the message of that number.
    fn add(&mut self, all: &[Message], number: usize, message: &Received) {
        let Some(request) = all.get(number) else { return };
        let reply = Reply::read(message, false);
        if reply.errno != 0 {
            self.refused.push((number, Error::refusal(request, reply)));
        } else if let Some(text) = reply.text {
            self.warned.push((number, text));
        }
    }
}
