//! What is in a packet, read as the kernel's flow dissector reads it (net/core/flow_dissector.c) where it is told to stop
//! at a tunnel, as `flower` tells it: VLAN tags, one IP header with its options or extension headers, and what is behind
//! it, except in fragments, of which it looks no further than at the header.

use super::{ARP, IPV4, IPV6, Octet, Octets, Packet, SERVICE_VLAN, Tag, VLAN};
use std::net::IpAddr;

/// An IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip {
    /// Whether it is IPv6.
    pub six: bool,
    /// The source.
    pub src: IpAddr,
    /// The destination.
    pub dst: IpAddr,
    /// The octet of DSCP and ECN; of IPv6 the traffic class.
    pub tos: u8,
    /// The time to live; of IPv6 the hop limit.
    pub ttl: u8,
    /// The length of the packet from this header on, as the header says it.
    pub length: u32,
    /// The protocol in the header itself: of IPv6 the first extension header, if there is one.
    pub next: u8,
}

/// What part of a packet that was cut into fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// With the header of what is above IP.
    First,
    /// Without.
    Later,
}

/// What is in a packet. Of each part `None` if it is not there or not reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// VLAN tags, the outermost first; at most two are told apart.
    pub vlans: Vec<Tag>,
    /// How many tags there are.
    pub tags: u8,
    /// The protocol inside of all tags and of PPPoE.
    pub protocol: u16,
    /// The session and the protocol of PPPoE.
    pub pppoe: Option<(u16, u16)>,
    /// The labels of MPLS, the outermost first.
    pub mpls: Vec<u32>,
    /// The IP header.
    pub ip: Option<Ip>,
    /// The fragment that this is.
    pub fragment: Option<Fragment>,
    /// The protocol above IP, behind IPv6's extension headers.
    pub proto: u8,
    /// Where the header above IP begins, from the network header on; also of a first fragment.
    pub transport: Option<usize>,
    /// The ports, of protocols that have them where the dissector looks (no fragment).
    pub ports: Option<(u16, u16)>,
    /// TCP's flags, twelve bits.
    pub tcp_flags: Option<u16>,
    /// Type and code of ICMP of either family.
    pub icmp: Option<(u8, u8)>,
    /// Where an ARP message of Ethernet and IPv4 begins.
    pub arp: Option<usize>,
    /// The number of IPsec's security parameters.
    pub spi: Option<u32>,
    /// Whether the capture has cut off something that was wanted here.
    pub cut: bool,
}

/// The protocols whose ports the dissector finds (`proto_ports_offset`), and where.
fn ports_at(proto: u8) -> Option<usize> {
    match proto {
        6 | 17 | 33 | 50 | 132 | 136 => Some(0),
        51 => Some(4),
        _ => None,
    }
}

/// Tags and headers in each other that are looked through (`MAX_FLOW_DISSECT_HDRS`).
const DEEPEST: usize = 15;

impl Layers {
    /// Reads a packet.
    pub fn of(packet: &Packet) -> Layers {
        let mut layers = Layers { protocol: packet.ether_type(), ..Layers::default() };
        if let Some(tag) = packet.tag() {
            layers.vlans.push(tag);
            layers.tags = 1;
        }
        let done = layers.link(packet);
        layers.cut = done == Err(Octet::Cut);
        layers
    }

    /// The header above IP and behind it.
    fn link(&mut self, packet: &Packet) -> Result<(), Octet> {
        let mut at = 0;
        for _ in 0..DEEPEST {
            match self.protocol {
                VLAN | SERVICE_VLAN => {
                    let tci = number(packet, at, 2)? as u16;
                    if self.vlans.len() < 2 {
                        self.vlans.push(Tag { protocol: self.protocol, priority: (tci >> 13) as u8, id: tci & 0xfff });
                    }
                    self.tags = self.tags.saturating_add(1);
                    self.protocol = number(packet, at + 2, 2)? as u16;
                    at += 4;
                }
                0x8864 => {
                    let (session, inner) = (number(packet, at + 2, 2)? as u16, number(packet, at + 6, 2)? as u16);
                    self.pppoe = Some((session, inner));
                    self.protocol = match inner {
                        0x21 => IPV4,
                        0x57 => IPV6,
                        0x281 => 0x8847,
                        0x283 => 0x8848,
                        _ => return Ok(()),
                    };
                    at += 8;
                }
                0x8847 | 0x8848 => {
                    for i in 0..7 {
                        let label = number(packet, at + 4 * i, 4)?;
                        self.mpls.push(label);
                        if label & 0x100 != 0 {
                            break;
                        }
                    }
                    return Ok(());
                }
                ARP | 0x8035 => {
                    // hardware and protocol of Ethernet and IPv4 only
                    let head = (number(packet, at, 4)?, number(packet, at + 4, 2)?);
                    self.arp = (head == (0x0001_0800, 0x0604)).then_some(at);
                    return Ok(());
                }
                IPV4 => return self.ipv4(packet, at),
                IPV6 => return self.ipv6(packet, at),
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    fn ipv4(&mut self, packet: &Packet, at: usize) -> Result<(), Octet> {
        let head = octets(packet, at, 20)?;
        let byte = |i: usize| head.get(i).copied().unwrap_or(0);
        let word = |i: usize| u16::from_be_bytes([byte(i), byte(i + 1)]);
        let address = |i: usize| IpAddr::from([byte(i), byte(i + 1), byte(i + 2), byte(i + 3)]);
        let header = usize::from(byte(0) & 15) * 4;
        if header < 20 {
            return Ok(());
        }
        let length = u32::from(word(2));
        self.proto = byte(9);
        let (six, src, dst, next) = (false, address(12), address(16), self.proto);
        self.ip = Some(Ip { six, src, dst, tos: byte(1), ttl: byte(8), length, next });
        let (more, offset) = (word(6) & 0x2000 != 0, word(6) & 0x1fff);
        if offset != 0 {
            self.fragment = Some(Fragment::Later);
            return Ok(());
        }
        self.transport = Some(at + header);
        if more {
            self.fragment = Some(Fragment::First);
            return Ok(());
        }
        self.above(packet, at + header)
    }

    fn ipv6(&mut self, packet: &Packet, at: usize) -> Result<(), Octet> {
        let head = octets(packet, at, 40)?;
        let byte = |i: usize| head.get(i).copied().unwrap_or(0);
        let address = |i: usize| {
            let mut octets = [0; 16];
            octets.iter_mut().zip(head.iter().skip(i)).for_each(|(to, from)| *to = *from);
            IpAddr::from(octets)
        };
        let length = u32::from(u16::from_be_bytes([byte(4), byte(5)])) + 40;
        let (six, src, dst, tos) = (true, address(8), address(24), byte(0) << 4 | byte(1) >> 4);
        self.proto = byte(6);
        self.ip = Some(Ip { six, src, dst, tos, ttl: byte(7), length, next: self.proto });
        let mut at = at + 40;
        for _ in 0..DEEPEST {
            match self.proto {
                // hop-by-hop options, routing, destination options
                0 | 43 | 60 => {
                    let (next, long) = (number(packet, at, 1)?, number(packet, at + 1, 1)?);
                    self.proto = next as u8;
                    at += (long as usize + 1) * 8;
                }
                44 => {
                    let (next, offset) = (number(packet, at, 1)?, number(packet, at + 2, 2)?);
                    self.proto = next as u8;
                    if offset & 0xfff8 != 0 {
                        self.fragment = Some(Fragment::Later);
                    } else {
                        self.fragment = Some(Fragment::First);
                        self.transport = Some(at + 8);
                    }
                    return Ok(());
                }
                _ => break,
            }
        }
        self.transport = Some(at);
        self.above(packet, at)
    }

    /// What is above IP, in a packet that is no fragment.
    fn above(&mut self, packet: &Packet, at: usize) -> Result<(), Octet> {
        if let Some(offset) = ports_at(self.proto) {
            let ports = number(packet, at + offset, 4)?;
            self.ports = Some(((ports >> 16) as u16, ports as u16));
        }
        match self.proto {
            6 => self.tcp_flags = Some(number(packet, at + 12, 2)? as u16 & 0xfff),
            1 | 58 => self.icmp = Some((number(packet, at, 1)? as u8, number(packet, at + 1, 1)? as u8)),
            50 => self.spi = Some(number(packet, at, 4)?),
            51 => self.spi = Some(number(packet, at + 4, 4)?),
            _ => {}
        }
        Ok(())
    }
}

fn octets(packet: &Packet, at: usize, count: usize) -> Result<&[u8], Octet> {
    match packet.octets(at as i64, count) {
        Octets::Are(octets) => Ok(octets),
        Octets::Beyond => Err(Octet::Beyond),
        Octets::Cut => Err(Octet::Cut),
    }
}

fn number(packet: &Packet, at: usize, count: usize) -> Result<u32, Octet> {
    match packet.octets(at as i64, count).number() {
        Octet::Is(number) => Ok(number),
        other => Err(other),
    }
}
