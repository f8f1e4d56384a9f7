//! Bytes from fields: what [`super::layers`] reads, the other way round.

use super::{ARP, IPV4, IPV6, Packet, Tag};
use crate::syntax::names::WITH_PORTS;
use std::net::{IpAddr, Ipv4Addr};

/// The fields of a packet that is to be made. What they leave out is 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Fields {
    /// Hardware addresses, of the destination and of the source.
    pub macs: ([u8; 6], [u8; 6]),
    /// The VLAN tag.
    pub tag: Option<Tag>,
    /// The protocol of the network header; IPv4 and IPv6 are made whole, of ARP a question, of others nothing.
    pub ether_type: u16,
    /// The source; its family is that of the packet.
    pub src: IpAddr,
    /// The destination, of the same family.
    pub dst: IpAddr,
    /// The octet of DSCP and ECN.
    pub tos: u8,
    /// The time to live.
    pub ttl: u8,
    /// Octets of options in the IPv4 header, or of a header of options behind IPv6's; rounded up.
    pub options: usize,
    /// The protocol above IP.
    pub proto: u8,
    /// Where the fragment begins, in units of eight octets, and whether more follow. (0, false) is no fragment.
    pub fragment: (u16, bool),
    /// The ports.
    pub ports: (u16, u16),
    /// TCP's flags.
    pub tcp_flags: u16,
    /// Type and code of ICMP.
    pub icmp: (u8, u8),
    /// The length from the IP header on; at least that of the headers.
    pub length: usize,
}

impl Default for Fields {
    fn default() -> Self {
        Fields {
            macs: ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]),
            tag: None,
            ether_type: IPV4,
            src: Ipv4Addr::UNSPECIFIED.into(),
            dst: Ipv4Addr::UNSPECIFIED.into(),
            tos: 0,
            ttl: 64,
            options: 0,
            proto: 17,
            fragment: (0, false),
            ports: (0, 0),
            tcp_flags: 0,
            icmp: (0, 0),
            length: 0,
        }
    }
}

impl Fields {
    /// The packet, with its Ethernet header.
    pub fn packet(&self) -> Packet {
        let mut packet = Packet::ethernet(&self.frame(), 0).unwrap_or_else(|| Packet::raw(self.ether_type, Vec::new()));
        packet.set_tag(self.tag);
        packet
    }

    /// The frame without its tag.
    pub fn frame(&self) -> Vec<u8> {
        let mut bytes = [self.macs.0, self.macs.1].concat();
        bytes.extend(self.ether_type.to_be_bytes());
        match self.ether_type {
            IPV4 => self.ipv4(&mut bytes),
            IPV6 => self.ipv6(&mut bytes),
            ARP => self.arp(&mut bytes),
            _ => bytes.resize(14 + self.length.max(46), 0),
        }
        bytes
    }

    fn ipv4(&self, out: &mut Vec<u8>) {
        let header = 20 + self.options.div_ceil(4).min(10) * 4;
        let above = self.above();
        let length = self.length.max(header + above.len());
        let mut ip = vec![0x40 | (header / 4) as u8, self.tos];
        ip.extend((length.min(0xffff) as u16).to_be_bytes());
        ip.extend([0, 0]);
        ip.extend((self.fragment.0 & 0x1fff | u16::from(self.fragment.1) << 13).to_be_bytes());
        ip.extend([self.ttl, self.proto, 0, 0]);
        for address in [self.src, self.dst] {
            match address {
                IpAddr::V4(a) => ip.extend(a.octets()),
                IpAddr::V6(_) => ip.extend([0; 4]),
            }
        }
        ip.resize(header, 1); // no operation
        let sum = checksum(&ip).to_be_bytes();
        ip.iter_mut().skip(10).zip(sum).for_each(|(to, from)| *to = from);
        ip.extend(above);
        ip.resize(length, 0);
        out.extend(ip);
    }

    fn ipv6(&self, out: &mut Vec<u8>) {
        let mut behind = Vec::new();
        let is_fragment = self.fragment != (0, false);
        let mut first = self.proto;
        if is_fragment {
            behind.extend([self.proto, 0]);
            behind.extend((self.fragment.0 << 3 | u16::from(self.fragment.1)).to_be_bytes());
            behind.extend([0, 0, 0, 1]);
            first = 44;
        }
        if self.options > 0 {
            // destination options: one that is padding
            let blocks = (self.options + 2).div_ceil(8).min(30);
            let mut options = vec![first, (blocks - 1) as u8, 1, (8 * blocks - 4) as u8];
            options.resize(8 * blocks, 0);
            options.append(&mut behind);
            behind = options;
            first = 60;
        }
        behind.extend(self.above());
        behind.resize(behind.len().max(self.length.saturating_sub(40)), 0);
        out.extend([0x60 | self.tos >> 4, self.tos << 4, 0, 0]);
        out.extend((behind.len().min(0xffff) as u16).to_be_bytes());
        out.extend([first, self.ttl]);
        for address in [self.src, self.dst] {
            match address {
                IpAddr::V4(_) => out.extend([0; 16]),
                IpAddr::V6(a) => out.extend(a.octets()),
            }
        }
        out.extend(behind);
    }

    /// The header above IP; of a later fragment there is none, only what might look like one.
    fn above(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.proto {
            1 | 58 => bytes.extend([self.icmp.0, self.icmp.1, 0, 0, 0, 1, 0, 1]),
            proto if WITH_PORTS.contains(&u64::from(proto)) => {
                bytes.extend(self.ports.0.to_be_bytes());
                bytes.extend(self.ports.1.to_be_bytes());
                match proto {
                    6 => {
                        bytes.extend([0; 8]);
                        bytes.extend((0x5000 | self.tcp_flags & 0xfff).to_be_bytes());
                        bytes.extend([0xff, 0xff, 0, 0, 0, 0]);
                    }
                    _ => bytes.extend([0, 8, 0, 0, 0, 0, 0, 0]),
                }
            }
            _ => {}
        }
        if matches!(self.proto, 17 | 136) {
            bytes.truncate(8);
        }
        bytes
    }

    fn arp(&self, out: &mut Vec<u8>) {
        out.extend([0, 1, 8, 0, 6, 4, 0, 1]);
        for (mac, address) in [(self.macs.1, self.src), ([0; 6], self.dst)] {
            out.extend(mac);
            match address {
                IpAddr::V4(a) => out.extend(a.octets()),
                IpAddr::V6(_) => out.extend([0; 4]),
            }
        }
        out.resize(60, 0);
    }
}

/// The Internet checksum of a header whose own field is 0.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|w| u32::from(w.first().copied().unwrap_or(0)) << 8 | w.get(1).map_or(0, |b| u32::from(*b)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use crate::packet::Fragment;

    #[test]
    fn what_is_made_is_read() {
        for (src, ether_type) in [("10.1.2.3", IPV4), ("2001:db8::9", IPV6)] {
            let src: IpAddr = src.parse().unwrap();
            let fields = Fields {
                src,
                dst: src,
                ether_type,
                tos: 0xb8,
                ttl: 9,
                options: 6,
                proto: 6,
                ports: (22, 4000),
                tcp_flags: 0x12,
                length: 200,
                ..Fields::default()
            };
            let packet = fields.packet();
            let layers = packet.layers();
            let ip = layers.ip.unwrap();
            assert_eq!((ip.src, ip.tos, ip.ttl, ip.length), (src, 0xb8, 9, 200));
            assert_eq!((layers.proto, layers.ports, layers.tcp_flags), (6, Some((22, 4000)), Some(0x12)));
            assert_eq!(packet.length(), 214);
            let first = Fields { fragment: (0, true), ..fields.clone() }.packet();
            assert_eq!((first.layers().fragment, first.layers().ports), (Some(Fragment::First), None));
            let later = Fields { fragment: (9, false), ..fields }.packet();
            assert_eq!((later.layers().fragment, later.layers().transport), (Some(Fragment::Later), None));
        }
        let header = Fields { src: "10.0.0.1".parse().unwrap(), ..Fields::default() }.frame();
        assert_eq!(checksum(&header[14..34]), 0);
    }
}
