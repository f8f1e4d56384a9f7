//! Traffic: a paced sender and a receiver that counts. Both sleep or block when they have nothing to do, and never spin:
//! under virtual time a spinning program stops the clock for good.

use super::netns::Netns;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes before the payload of a UDP datagram over IPv4 in an Ethernet frame: what a qdisc counts.
pub const HEADERS: u64 = 14 + 20 + 8;

/// Bytes of a datagram's number.
const NUMBER: usize = size_of::<u64>();

/// A stream of UDP datagrams at a steady rate: offer more than a shaper lets through, and it is always busy.
#[derive(Clone, Debug)]
pub struct Flow {
    to: SocketAddr,
    payload: usize,
    offered: u64,
    length: Duration,
    tos: Option<u32>,
    mark: Option<u32>,
    from_port: Option<u16>,
    from: Option<Ipv4Addr>,
    datagrams: u64,
    stop: Option<Arc<AtomicBool>>,
    count: Option<Arc<AtomicU64>>,
}

impl Flow {
    /// Datagrams of 1,458 bytes, so frames of 1,500, at `offered` bits of frames per second.
    pub fn to(to: &str, offered: u64, length: Duration) -> Flow {
        let to = to.parse().expect("address:port");
        Flow {
            to,
            payload: 1458,
            offered,
            length,
            tos: None,
            mark: None,
            from_port: None,
            datagrams: u64::MAX,
            stop: None,
            count: None,
            from: None,
        }
    }

    /// Bytes of payload in each datagram.
    pub fn payload(mut self, bytes: usize) -> Flow {
        self.payload = bytes;
        self
    }

    /// The TOS octet of each packet.
    pub fn tos(mut self, octet: u8) -> Flow {
        self.tos = Some(octet.into());
        self
    }

    /// The firewall mark of each packet.
    pub fn mark(mut self, mark: u32) -> Flow {
        self.mark = Some(mark);
        self
    }

    /// The port it is sent from.
    pub fn source_port(mut self, port: u16) -> Flow {
        self.from_port = Some(port);
        self
    }

    /// The IPv4 address it is sent from.
    pub fn source(mut self, address: &str) -> Flow {
        self.from = Some(address.parse().expect("an address"));
        self
    }

    /// At most so many datagrams.
    pub fn datagrams(mut self, most: u64) -> Flow {
        self.datagrams = most;
        self
    }

    /// Ends as soon as this is true.
    pub fn until(mut self, stop: Arc<AtomicBool>) -> Flow {
        self.stop = Some(stop);
        self
    }

    /// Tells here how many datagrams are sent so far.
    pub fn counted(mut self, count: Arc<AtomicU64>) -> Flow {
        self.count = Some(count);
        self
    }

    /// Starts sending from a namespace. The thread ends by itself and gives the number of datagrams sent.
    pub fn start(&self, netns: &Netns) -> JoinHandle<u64> {
        let flow = self.clone();
        let socket = netns.enter(|| flow.socket());
        std::thread::spawn(move || flow.send(&socket))
    }

    fn socket(&self) -> UdpSocket {
        let socket = Socket::new(Domain::for_address(self.to), Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
        if let Some(tos) = self.tos {
            socket.set_tos_v4(tos).expect("IP_TOS");
        }
        if let Some(mark) = self.mark {
            socket.set_mark(mark).expect("SO_MARK");
        }
        let own: SocketAddr = if self.to.is_ipv4() {
            (self.from.unwrap_or(Ipv4Addr::UNSPECIFIED), self.from_port.unwrap_or(0)).into()
        } else {
            ([0u16; 8], self.from_port.unwrap_or(0)).into()
        };
        socket.bind(&own.into()).expect("the port is free");
        socket.into()
    }

    /// Sends what is due, then sleeps until more is: a slow flow wakes rarely, so that many of them are no load of their own.
    /// Each datagram begins with its number, from 0 on, if there is room for it.
    fn send(&self, socket: &UdpSocket) -> u64 {
        const NAP: Duration = Duration::from_millis(2);
        const LONGEST_NAP: Duration = Duration::from_millis(100); // to hear of a stop
        let frame_bits = (self.payload as u64 + HEADERS) * 8;
        let frames_take = |frames: u64| Duration::from_secs_f64((frames * frame_bits) as f64 / self.offered as f64);
        let mut datagram = vec![0u8; self.payload];
        let start = Instant::now();
        let mut sent = 0;
        let stopped = || self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed));
        while start.elapsed() < self.length && sent < self.datagrams && !stopped() {
            let due = (start.elapsed().as_secs_f64() * self.offered as f64 / frame_bits as f64) as u64 + 1;
            while sent < due.min(self.datagrams) && start.elapsed() < self.length {
                if let Some(number) = datagram.first_chunk_mut::<NUMBER>() {
                    *number = sent.to_be_bytes();
                }
                // A full queue answers ENOBUFS: the datagram is lost, as on a wire. The socket is not connected, so that
                // nobody listening there is no error either.
                let _ = socket.send_to(&datagram, self.to);
                sent += 1;
                self.count.iter().for_each(|count| count.store(sent, Ordering::Relaxed));
            }
            std::thread::sleep(frames_take(sent).saturating_sub(start.elapsed()).clamp(NAP, LONGEST_NAP));
        }
        sent
    }
}

/// Counts what arrives at a port.
pub struct Receiver {
    socket: UdpSocket,
}

/// A frame that came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub at: Instant,
    /// Of the frame as the qdisc counts it.
    pub bits: u64,
    /// Of the datagram in its flow; 0 if it had no room for it.
    pub number: u64,
}

/// What arrived between two instants inside a flow, and in all.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// Datagrams after the first instant, to the second.
    pub packets: u64,
    /// Their payloads.
    pub bytes: u64,
    /// From the last packet before the first instant to the last one before the second.
    pub time: Duration,
    /// Datagrams from the first to the last of the flow.
    pub packets_in_all: u64,
}

impl Heard {
    /// Bits per second as the qdisc counts them, headers and all.
    pub fn rate(&self) -> f64 {
        (self.bytes + self.packets * HEADERS) as f64 * 8.0 / self.time.as_secs_f64()
    }
}

impl Receiver {
    /// Listens at a port of a namespace.
    pub fn at(netns: &Netns, address: &str) -> Receiver {
        let socket = netns.enter(|| UdpSocket::bind(address).expect("the port is free"));
        SockRef::from(&socket).set_recv_buffer_size(4 << 20).expect("SO_RCVBUF");
        Receiver { socket }
    }

    /// Counts, on a thread of its own: `settle` after the first datagram it starts to measure, for `during`, and goes on
    /// until nothing has come for a second.
    pub fn start(self, settle: Duration, during: Duration) -> JoinHandle<Heard> {
        std::thread::spawn(move || self.count(settle, during))
    }

    /// All frames that come until there is nothing for three seconds; on a thread of its own.
    pub fn arrivals(self) -> JoinHandle<Vec<Arrival>> {
        std::thread::spawn(move || {
            let mut arrivals = Vec::new();
            self.hear(Duration::from_secs(3), |at, payload| {
                let number = payload.first_chunk().map_or(0, |number| u64::from_be_bytes(*number));
                arrivals.push(Arrival { at, bits: (payload.len() as u64 + HEADERS) * 8, number });
            });
            arrivals
        })
    }

    fn count(&self, settle: Duration, during: Duration) -> Heard {
        let mut heard = Heard { packets: 0, bytes: 0, time: Duration::ZERO, packets_in_all: 0 };
        let mut first = None;
        let mut before = None; // the last packet before the measured part
        self.hear(Duration::from_secs(1), |now, payload| {
            let since = now - *first.get_or_insert(now);
            heard.packets_in_all += 1;
            match before {
                _ if since <= settle => before = Some(now),
                Some(before) if since <= settle + during => {
                    heard.packets += 1;
                    heard.bytes += payload.len() as u64;
                    heard.time = now - before;
                }
                _ => {}
            }
        });
        heard
    }

    /// Tells of each datagram when it comes and what it holds, until there is silence for so long.
    fn hear(&self, silence: Duration, mut each: impl FnMut(Instant, &[u8])) {
        const LONGEST: Duration = Duration::from_secs(300);
        const FIRST: Duration = Duration::from_secs(10);
        let mut is_first = true;
        let mut buffer = vec![0u8; 65536];
        let began = Instant::now();
        self.socket.set_read_timeout(Some(FIRST)).expect("a timeout");
        while began.elapsed() < LONGEST {
            let length = match self.socket.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            if std::mem::take(&mut is_first) {
                self.socket.set_read_timeout(Some(silence)).expect("a timeout");
            }
            each(Instant::now(), &buffer[..length]);
        }
    }
}
