//! A packet as the kernel's classifiers see it: its bytes, and what the kernel remembers of it beside them (its mark, its
//! priority, the link that it came in by). Nothing here knows of filters: kinds read packets, and [`crate::classify`]
//! leads packets through trees.
//!
//! - [`build`]: bytes from fields; [`describe`]: fields from an expression; [`capture`]: packets from a capture file
//! - [`layers`]: what is in the bytes, read as the kernel's flow dissector reads it
//! - [`meaning`]: what an expression says of a packet, without any filter

pub mod build;
pub mod capture;
pub mod describe;
pub mod layers;
pub mod meaning;

pub use layers::{Fragment, Ip, Layers};

use compact_str::CompactString;
use std::cell::OnceCell;

/// `ETH_P_IP`.
pub const IPV4: u16 = 0x0800;
/// `ETH_P_IPV6`.
pub const IPV6: u16 = 0x86dd;
/// `ETH_P_ARP`.
pub const ARP: u16 = 0x0806;
/// `ETH_P_8021Q`.
pub const VLAN: u16 = 0x8100;
/// `ETH_P_8021AD`.
pub const SERVICE_VLAN: u16 = 0x88a8;

/// The outermost VLAN tag. The kernel keeps it beside the bytes: it is cut out of what arrives before any filter sees it,
/// and put into what leaves behind all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// 0x8100 or 0x88a8.
    pub protocol: u16,
    /// The priority, 3 bits.
    pub priority: u8,
    /// The number, 12 bits.
    pub id: u16,
}

/// What the kernel remembers of a packet. `None` is what nobody has said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// The firewall's mark (`skb->mark`).
    pub mark: u32,
    /// The priority (`skb->priority`): a small number, or a class as `1:10`.
    pub priority: u32,
    /// The link that it is at.
    pub link: Option<CompactString>,
    /// Whether it arrives there: its link header is taken off then, and its length without it.
    pub arrives: bool,
    /// The link that it came in by, of a packet that came in.
    pub iif: Option<CompactString>,
    /// The mark of its connection.
    pub connmark: Option<u32>,
    /// The net_cls class of the sender's control group.
    pub cgroup: Option<u32>,
    /// The transmit queue, from 0 (`queue_mapping`).
    pub queue: Option<u16>,
    /// `tc_index`, which `dsmark` once wrote and a hook writes.
    pub tc_index: u16,
}

/// A packet.
#[derive(Clone, Debug)]
pub struct Packet {
    /// What the kernel remembers.
    pub meta: Meta,
    bytes: Vec<u8>,
    network: usize,
    length: usize,
    ether_type: u16,
    tag: Option<Tag>,
    layers: OnceCell<Layers>,
}

/// What stands at a place of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Octets<'p> {
    /// These octets.
    Are(&'p [u8]),
    /// The packet ends before.
    Beyond,
    /// The packet goes on, and the capture has left this out.
    Cut,
}

impl<'p> Octets<'p> {
    /// The octets as a number in network order: at most four.
    pub fn number(self) -> Octet {
        match self {
            Octets::Are(bytes) => Octet::Is(bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b))),
            Octets::Beyond => Octet::Beyond,
            Octets::Cut => Octet::Cut,
        }
    }
}

/// A number at a place of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Octet {
    /// This.
    Is(u32),
    /// The packet ends before.
    Beyond,
    /// The capture has left it out.
    Cut,
}

impl Packet {
    /// A packet from its link header on, of a link with Ethernet headers. The outermost VLAN tag is taken out of the
    /// bytes. `length` is that of the whole frame, of which a capture may have less. `None` if it is shorter than a header.
    pub fn ethernet(frame: &[u8], length: usize) -> Option<Packet> {
        let kind = |at: usize| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
        let protocol = kind(12)?;
        let tci = kind(14).filter(|_| matches!(protocol, VLAN | SERVICE_VLAN));
        let (tag, ether_type, rest) = match (tci, kind(16)) {
            (Some(tci), Some(inner)) => {
                (Some(Tag { protocol, priority: (tci >> 13) as u8, id: tci & 0xfff }), inner, 18)
            }
            _ => (None, protocol, 14),
        };
        let mut bytes = frame.get(..12)?.to_vec();
        bytes.extend(ether_type.to_be_bytes());
        bytes.extend(frame.get(rest..)?);
        let length = length.max(frame.len()) - (rest - 14);
        Some(Packet { network: 14, ether_type, tag, bytes, length, ..Packet::raw(0, Vec::new()) })
    }

    /// A packet from its network header on, of a link without link headers.
    pub fn raw(ether_type: u16, bytes: Vec<u8>) -> Packet {
        Packet {
            meta: Meta::default(),
            length: bytes.len(),
            bytes,
            network: 0,
            ether_type,
            tag: None,
            layers: OnceCell::new(),
        }
    }

    /// A packet of a link whose header is not kept: from its network header on, or from a VLAN tag. `length` is the whole
    /// packet's, of which a capture may have less. `None` if it ends within a tag.
    pub fn cooked(protocol: u16, bytes: &[u8], length: usize) -> Option<Packet> {
        let (mut tag, mut ether_type, mut rest) = (None, protocol, bytes);
        if matches!(protocol, VLAN | SERVICE_VLAN) {
            let [high, low, inner @ .., _, _] = bytes.first_chunk::<6>()?;
            let tci = u16::from_be_bytes([*high, *low]);
            tag = Some(Tag { protocol, priority: (tci >> 13) as u8, id: tci & 0xfff });
            ether_type = u16::from_be_bytes(*inner);
            rest = bytes.get(4..)?;
        }
        let length = length.saturating_sub(bytes.len() - rest.len()).max(rest.len());
        Some(Packet { length, tag, ..Packet::raw(ether_type, rest.to_vec()) })
    }

    /// The protocol that filters are asked by (`skb_protocol`): that of the VLAN tag, if there is one.
    pub fn protocol(&self) -> u16 {
        self.tag.map_or(self.ether_type, |tag| tag.protocol)
    }

    /// The protocol of the network header.
    pub fn ether_type(&self) -> u16 {
        self.ether_type
    }

    /// The outermost VLAN tag.
    pub fn tag(&self) -> Option<Tag> {
        self.tag
    }

    /// Writes or takes away the outermost VLAN tag.
    pub fn set_tag(&mut self, tag: Option<Tag>) {
        self.tag = tag;
        self.layers = OnceCell::new();
    }

    /// The bytes, from the link header on.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.layers = OnceCell::new();
        &mut self.bytes
    }

    /// Writes octets at a place counted from the network header; what lies beyond what is known of the packet is not.
    pub fn write(&mut self, at: i64, octets: &[u8]) {
        let place = usize::try_from(at.saturating_add(self.network as i64)).ok();
        let place = place.and_then(|at| self.bytes.get_mut(at..at.checked_add(octets.len())?));
        if let Some(place) = place {
            place.copy_from_slice(octets);
            self.layers = OnceCell::new();
        }
    }

    /// Puts a VLAN tag on; one that is there already goes into the bytes.
    pub fn push_tag(&mut self, tag: Tag) {
        if let Some(Tag { protocol, priority, id }) = self.tag {
            let [high, low] = (u16::from(priority) << 13 | id).to_be_bytes();
            let [inner_high, inner_low] = self.ether_type.to_be_bytes();
            let inside = [high, low, inner_high, inner_low];
            self.bytes.splice(self.network..self.network, inside);
            self.length += inside.len();
            self.ether_type = protocol;
            self.write(-2, &protocol.to_be_bytes());
        }
        self.set_tag(Some(tag));
    }

    /// Takes the outermost VLAN tag off; the one inside of it, if there is one, comes out of the bytes.
    pub fn pop_tag(&mut self) {
        let mut outermost = None;
        if matches!(self.ether_type, VLAN | SERVICE_VLAN)
            && let Octet::Is(inside) = self.octets(0, 4).number()
        {
            let tci = (inside >> 16) as u16;
            outermost = Some(Tag { protocol: self.ether_type, priority: (tci >> 13) as u8, id: tci & 0xfff });
            self.ether_type = inside as u16;
            self.bytes.drain(self.network..self.network + 4);
            self.length -= 4;
            self.write(-2, &self.ether_type.to_be_bytes());
        }
        self.set_tag(outermost);
    }

    /// Where the network header begins.
    pub fn network(&self) -> usize {
        self.network
    }

    /// The length from the link header on (`skb->len` of what leaves).
    pub fn length(&self) -> usize {
        self.length
    }

    /// What stands `at` so many octets from the link header.
    pub fn link_octets(&self, at: i64, count: usize) -> Octets<'_> {
        let Ok(at) = usize::try_from(at) else { return Octets::Beyond };
        let Some(end) = at.checked_add(count) else { return Octets::Beyond };
        match self.bytes.get(at..end) {
            Some(bytes) => Octets::Are(bytes),
            None if end <= self.length => Octets::Cut,
            None => Octets::Beyond,
        }
    }

    /// What stands `at` so many octets from the network header.
    pub fn octets(&self, at: i64, count: usize) -> Octets<'_> {
        self.link_octets(at.saturating_add(self.network as i64), count)
    }

    /// Four octets `at` so many from the network header. Before the link header there is room in the kernel's buffer, of
    /// which nobody knows what it holds: of a word that begins there, as that of a hardware address does, the rest counts.
    pub fn word(&self, at: i64) -> Octet {
        let from = at.saturating_add(self.network as i64);
        match usize::try_from(from.saturating_add(4)) {
            Ok(count @ 1..4) => self.link_octets(0, count).number(),
            _ => self.link_octets(from, 4).number(),
        }
    }

    /// What is in the bytes.
    pub fn layers(&self) -> &Layers {
        self.layers.get_or_init(|| Layers::of(self))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn tags_go_on_and_come_off() {
        let fields = build::Fields { ports: (5, 6), ..build::Fields::default() };
        let mut packet = fields.packet();
        let plain = packet.bytes().to_vec();
        let tag = |id| Tag { protocol: VLAN, priority: 1, id };
        packet.push_tag(tag(5));
        packet.push_tag(tag(6));
        assert_eq!((packet.protocol(), packet.ether_type()), (VLAN, VLAN));
        assert_eq!(packet.layers().vlans, [tag(6), tag(5)]);
        assert_eq!(packet.layers().ports, Some((5, 6)));
        packet.pop_tag();
        assert_eq!((packet.tag(), packet.ether_type()), (Some(tag(5)), IPV4));
        packet.pop_tag();
        assert_eq!((packet.tag(), packet.bytes(), packet.length()), (None, &plain[..], plain.len()));
    }

    #[test]
    fn the_outermost_tag_is_beside_the_bytes() {
        let mut frame = vec![2; 12];
        frame.extend([0x81, 0, 0x60, 5, 0x08, 0, 0x45, 0]);
        let packet = Packet::ethernet(&frame, 64).unwrap();
        assert_eq!(packet.tag(), Some(Tag { protocol: VLAN, priority: 3, id: 5 }));
        assert_eq!((packet.protocol(), packet.ether_type(), packet.length()), (VLAN, IPV4, 60));
        assert_eq!(packet.octets(0, 2), Octets::Are(&[0x45, 0]));
        assert_eq!(packet.octets(-2, 2), Octets::Are(&[0x08, 0]));
        assert_eq!(packet.octets(2, 2), Octets::Cut);
        assert_eq!(packet.octets(45, 2), Octets::Beyond);
        assert_eq!(packet.octets(-15, 1), Octets::Beyond);
        assert!(Packet::ethernet(&frame[..13], 64).is_none());
    }
}
