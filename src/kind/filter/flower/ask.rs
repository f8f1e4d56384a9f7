//! How flower is asked: `fl_classify` of net/sched/cls_flower.c, over what the kernel's flow dissector finds. A key of
//! which the packet has nothing is compared with 0, as there.
//!
//! Filters that look at the same bits share a mask. Masks are asked in the order in which they came up; of one mask the
//! filter that holds is asked and no other, even if its actions say `continue`.

use super::Flower;
use super::field::{Bits, IpFlags, Mac, Network, Ports};
use crate::kind::Rows;
use crate::kind::walk::{self, Asked, Filter, Takes};
use crate::packet::{Fragment, Layers, Octets, Packet, Tag};
use crate::unit::Number;
use std::collections::HashMap;
use std::net::IpAddr;

/// Orders the filters of each priority by their masks.
pub(super) fn gather<'a>(mut priorities: Vec<Vec<Filter<'a>>>) -> Vec<Box<dyn Asked + 'a>> {
    for filters in &mut priorities {
        let mut masks: HashMap<Vec<(usize, u128)>, usize> = HashMap::new();
        filters.sort_by_cached_key(|filter| {
            let next = masks.len();
            *masks.entry(filter.options.as_kind::<Flower>().map(Flower::mask).unwrap_or_default()).or_insert(next)
        });
    }
    walk::once(priorities)
}

fn bits<const B: u32, const S: u8>(key: Option<Bits<B, S>>, value: u32) -> bool {
    key.is_none_or(|key| (value ^ key.value) & key.mask == 0)
}

fn number(key: Option<Number>, value: impl Into<u32>) -> bool {
    key.is_none_or(|key| key.0 == value.into())
}

fn address(key: Option<Network>, value: Option<IpAddr>) -> bool {
    let Some(Network { address, mask }) = key else { return true };
    match (address, mask, value) {
        (IpAddr::V4(a), IpAddr::V4(m), Some(IpAddr::V4(v))) => (a.to_bits() ^ v.to_bits()) & m.to_bits() == 0,
        (IpAddr::V6(a), IpAddr::V6(m), Some(IpAddr::V6(v))) => (a.to_bits() ^ v.to_bits()) & m.to_bits() == 0,
        _ => false,
    }
}

fn ports(key: Option<Ports>, value: u16) -> bool {
    match key {
        None => true,
        Some(Ports::Masked { port, mask }) => (port ^ value) & mask == 0,
        Some(Ports::Range(first, last)) => (first..=last).contains(&value),
    }
}

fn mac(key: Option<Mac>, octets: &[u8]) -> bool {
    key.is_none_or(|key| {
        let octet = |i: usize| octets.get(i).copied().unwrap_or(0);
        (0..).zip(key.octets.iter().zip(key.mask)).all(|(i, (want, mask))| (octet(i) ^ want) & mask == 0)
    })
}

impl Flower {
    /// The bits that it looks at: by row, and for each row the mask, or what stands for one.
    fn mask(&self) -> Vec<(usize, u128)> {
        let mut mask = Vec::new();
        for (i, _) in Self::ROWS.iter().enumerate().take_while(|(_, row)| row.word != "flowid") {
            let Some(slot) = self.slot(i).filter(|slot| slot.is_set()) else { continue };
            let any = slot.as_any();
            let one = if let Some(Some(Network { mask, .. })) = any.downcast_ref::<Option<Network>>() {
                match mask {
                    IpAddr::V4(m) => u128::from(m.to_bits()),
                    IpAddr::V6(m) => m.to_bits(),
                }
            } else if let Some(Some(key)) = any.downcast_ref::<Option<Mac>>() {
                key.mask.iter().fold(0, |n, octet| n << 8 | u128::from(*octet))
            } else if let Some(Some(ports)) = any.downcast_ref::<Option<Ports>>() {
                match ports {
                    Ports::Masked { mask, .. } => u128::from(*mask),
                    Ports::Range(..) => u128::MAX,
                }
            } else if let Some(Some(IpFlags { mask, .. })) = any.downcast_ref::<Option<IpFlags>>() {
                u128::from(*mask)
            } else {
                // others under a mask are bits; what has none is looked at as a whole
                let shown = slot.show().unwrap_or_default();
                shown.split_once('/').map_or(u128::MAX, |(_, mask)| {
                    mask.bytes().fold(1, |n, byte| u128::wrapping_add(u128::wrapping_mul(n, 257), u128::from(byte)))
                })
            };
            mask.push((i, one));
        }
        if self.eth_type.is_some() {
            mask.push((usize::MAX, 0));
        }
        mask
    }

    /// Whether the packet is what the keys say.
    pub(super) fn holds(&self, packet: &Packet) -> Takes {
        let layers = packet.layers();
        if !(self.link_holds(packet, layers) && self.network_holds(layers) && self.above_holds(packet, layers)) {
            // what the capture has cut off would be compared with 0
            return if layers.cut { Takes::cut() } else { Takes::No };
        }
        self.known_elsewhere()
    }

    fn link_holds(&self, packet: &Packet, layers: &Layers) -> bool {
        let link = match packet.link_octets(0, 14) {
            Octets::Are(octets) if packet.network() >= 14 => octets,
            _ => &[],
        };
        let [outer, inner] = [0, 1].map(|i| layers.vlans.get(i));
        let tag = |tag: Option<&Tag>, id, prio| {
            let (is_id, is_prio) = tag.map_or((0, 0), |tag| (tag.id, tag.priority));
            number(id, is_id) && number(prio, is_prio)
        };
        walk::came_by(packet, self.indev.as_ref().map(|n| n.0.as_str()))
            && mac(self.dst_mac, link)
            && mac(self.src_mac, link.get(6..).unwrap_or(&[]))
            && number(self.num_of_vlans, layers.tags)
            && tag(outer, self.vlan_id, self.vlan_prio)
            && tag(inner, self.cvlan_id, self.cvlan_prio)
            && self.protocol_holds(layers)
            && number(self.pppoe_sid, layers.pppoe.map_or(0, |p| p.0))
            && self.ppp_proto.is_none_or(|p| layers.pppoe.is_some_and(|(_, is)| is == p.0))
            && self.mpls_holds(layers)
    }

    /// The filter's own protocol is that of the outermost tag, and a tag's that of what is inside of it
    /// (`fl_set_key`, `is_vlan_key`).
    fn protocol_holds(&self, layers: &Layers) -> bool {
        let is = |want: u16, at: usize| {
            let found = layers.vlans.get(at).map_or(layers.protocol, |tag| tag.protocol);
            want == found || (at >= layers.vlans.len() && layers.pppoe.is_some() && want == 0x8864)
        };
        let own = self.eth_type.filter(|t| t.0 != 3 && t.0 != 0);
        own.is_none_or(|t| is(t.0, 0))
            && self.vlan_ethtype.is_none_or(|t| is(t.0, 1))
            && self.cvlan_ethtype.is_none_or(|t| is(t.0, 2))
    }

    fn mpls_holds(&self, layers: &Layers) -> bool {
        let top = layers.mpls.first().copied().unwrap_or(0);
        let entry = |depth: u8| layers.mpls.get(usize::from(depth).wrapping_sub(1)).copied().unwrap_or(0);
        let stack = self.mpls.as_ref().map_or(&[][..], |stack| &stack.0);
        let same = |want: Option<u8>, is: u32| want.is_none_or(|n| u32::from(n) == is);
        number(self.mpls_label, top >> 12)
            && number(self.mpls_tc, top >> 9 & 7)
            && number(self.mpls_bos, top >> 8 & 1)
            && number(self.mpls_ttl, top & 0xff)
            && stack.iter().all(|lse| {
                let is = entry(lse.depth);
                lse.label.is_none_or(|n| n == is >> 12)
                    && same(lse.tc, is >> 9 & 7)
                    && same(lse.bos, is >> 8 & 1)
                    && same(lse.ttl, is & 0xff)
            })
    }

    fn network_holds(&self, layers: &Layers) -> bool {
        let flags = match layers.fragment {
            None => 0,
            Some(Fragment::Later) => 1,
            Some(Fragment::First) => 3,
        };
        address(self.src_ip, layers.ip.map(|ip| ip.src))
            && address(self.dst_ip, layers.ip.map(|ip| ip.dst))
            && self.ip_proto.is_none_or(|proto| proto.0 == layers.proto)
            && bits(self.ip_tos, layers.ip.map_or(0, |ip| ip.tos.into()))
            && bits(self.ip_ttl, layers.ip.map_or(0, |ip| ip.ttl.into()))
            && self.ip_flags.is_none_or(|want| flags & want.mask == want.set & want.mask)
    }

    fn above_holds(&self, packet: &Packet, layers: &Layers) -> bool {
        let (src, dst) = layers.ports.unwrap_or((0, 0));
        let (kind, code) = layers.icmp.unwrap_or((0, 0));
        let arp = |at: usize, count: usize| match layers.arp.map(|arp| packet.octets((arp + at) as i64, count)) {
            Some(Octets::Are(octets)) => octets,
            _ => &[],
        };
        let arp_address = |at: usize| match arp(at, 4) {
            [a, b, c, d] => IpAddr::from([*a, *b, *c, *d]),
            _ => IpAddr::from([0; 4]),
        };
        // an operation that does not fit an octet is none
        let operation = match arp(6, 2) {
            [0, operation] => u32::from(*operation),
            _ => 0,
        };
        let session = match (layers.proto, layers.transport) {
            (115, Some(at)) => match packet.octets(at as i64, 4) {
                Octets::Are(octets) => octets.iter().fold(0, |n, octet| n << 8 | u32::from(*octet)),
                _ => 0,
            },
            _ => 0,
        };
        let fault = match packet.octets(0, 2) {
            Octets::Are([level, operation]) if layers.protocol == 0x8902 => (level >> 5, *operation),
            _ => (0, 0),
        };
        ports(self.src_port, src)
            && ports(self.dst_port, dst)
            && bits(self.tcp_flags, layers.tcp_flags.unwrap_or(0).into())
            && bits(self.icmp_type, kind.into())
            && bits(self.icmp_code, code.into())
            && bits(self.spi, layers.spi.unwrap_or(0))
            && number(self.l2tpv3_sid, session)
            && address(self.arp_sip, self.arp_sip.map(|_| arp_address(14)))
            && address(self.arp_tip, self.arp_tip.map(|_| arp_address(24)))
            && bits(self.arp_op, operation)
            && mac(self.arp_sha, arp(8, 6))
            && mac(self.arp_tha, arp(18, 6))
            && self.cfm.is_none_or(|cfm| cfm.mdl.is_none_or(|n| n == fault.0) && cfm.op.is_none_or(|n| n == fault.1))
    }

    /// What is known of a packet and not seen in it: connection tracking, tunnels that it came out of, hashes.
    fn known_elsewhere(&self) -> Takes {
        let elsewhere = [
            "l2_miss",
            "enc_dst_ip",
            "enc_src_ip",
            "enc_key_id",
            "enc_dst_port",
            "enc_src_port",
            "enc_tos",
            "enc_ttl",
            "enc_flags",
            "geneve_opts",
            "vxlan_opts",
            "erspan_opts",
            "gtp_opts",
            "pfcp_opts",
            "ct_state",
            "ct_zone",
            "ct_mark",
            "ct_label",
            "hash",
            "other",
        ];
        let set = Self::ROWS.iter().enumerate().filter(|(_, row)| elsewhere.contains(&row.word));
        let said = set.filter_map(|(i, row)| Some(format!("{} is {}", row.word, self.slot(i)?.show()?)));
        let said = said.collect::<Vec<_>>().join(" and ");
        if said.is_empty() { Takes::Yes } else { Takes::If(said.into()) }
    }
}
