//! How flow is asked: `flow_classify` of net/sched/cls_flow.c. A mapped key says the class; of a hashed one nobody can
//! tell more than among which classes it chooses, because each filter hashes with a number of its own, drawn by chance.

use super::{Flow, KEY_NAMES};
use crate::kind::action::Control;
use crate::kind::walk::{Asked, Filter, Walk};
use crate::packet::Packet;
use crate::unit::{Flag, Handle, Unit};
use std::net::IpAddr;

/// The filters of one priority.
pub(super) struct Flows<'a>(pub(super) Vec<(Filter<'a>, &'a Flow)>);

impl Asked for Flows<'_> {
    fn ask(&self, walk: &mut dyn Walk) -> Control {
        for (filter, flow) in &self.0 {
            let holds = flow.matches.as_ref().map(|matches| matches.holds(walk.packet()));
            if holds.is_some_and(|holds| !walk.decide(holds)) {
                continue;
            }
            let this = walk.discipline();
            let base = flow.baseclass.unwrap_or(Handle::new(this.major(), 1));
            let base = if base.major() == 0 { Handle::new(this.major(), base.minor()) } else { base };
            let key = if flow.hash == Some(Flag(true)) { None } else { flow.key(walk.packet()) };
            let class = match key {
                Some(key) => flow.result(key),
                None => {
                    let keys = flow.keys.unwrap_or_default().show();
                    let classes = flow.divisor.map_or(0, |n| n.0);
                    walk.one_of(&match classes {
                        0 => format!("the class is what {keys} comes to, from {} on", base.show()),
                        n => format!("one of {n} classes from {} on, by {keys}", base.show()),
                    });
                    0
                }
            };
            let minor = u32::from(base.minor()).wrapping_add(class) as u16;
            let control = walk.take(filter, Some(Handle::new(base.major(), minor)));
            if control.0 >= 0 {
                return control;
            }
        }
        Control::CONTINUE
    }
}

impl Flow {
    fn result(&self, key: u32) -> u32 {
        let (mask, xor) = self.bits();
        let shifted = ((key & mask) ^ xor).checked_shr(self.rshift.map_or(0, |n| n.0)).unwrap_or(0);
        let sum = shifted.wrapping_add(self.addend.unwrap_or_default().0);
        match self.divisor.map_or(0, |n| n.0) {
            0 => sum,
            divisor => sum % divisor,
        }
    }

    /// The key that is mapped, the first of those that are asked for; `None` if the packet does not show it. What a packet
    /// does not have, the kernel replaces by addresses of its own memory.
    fn key(&self, packet: &Packet) -> Option<u32> {
        let first = KEY_NAMES.get(self.keys.unwrap_or_default().0.trailing_zeros() as usize)?;
        let layers = packet.layers();
        let address = |address: IpAddr| match address {
            IpAddr::V4(a) => a.to_bits(),
            IpAddr::V6(a) => (0..4).fold(0, |n, i| n ^ (a.to_bits() >> (32 * i)) as u32),
        };
        let found = |number: u32| Some(number).filter(|n| *n != 0);
        match *first {
            "src" => found(address(layers.ip?.src)),
            "dst" => found(address(layers.ip?.dst)),
            "proto" => Some(layers.proto.into()),
            "proto-src" => layers.ports.filter(|p| *p != (0, 0)).map(|(src, _)| src.into()),
            "proto-dst" => layers.ports.filter(|p| *p != (0, 0)).map(|(_, dst)| dst.into()),
            "priority" => Some(packet.meta.priority),
            "mark" => Some(packet.meta.mark),
            // tagged or not: the number alone
            "vlan-tag" => Some(layers.vlans.first().map_or(0, |tag| tag.id.into())),
            _ => None,
        }
    }
}
