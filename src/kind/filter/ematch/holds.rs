//! Whether extended matches hold for a packet: `__tcf_em_tree_match` of net/sched/ematch.c, and the matches' own files.

use super::{Cmp, Join, Layer, Matches, Meta, Nbyte, Object, Operand, Term, What, Word};
use crate::kind::walk::Takes;
use crate::packet::{Octet, Octets, Packet};
use crate::unit::Unit;
use std::cmp::Ordering;

impl Matches {
    /// Whether they hold; a tree of nothing does.
    pub fn holds(&self, packet: &Packet) -> Takes {
        terms(&self.0, packet)
    }
}

/// From the left to the right, as far as it matters.
fn terms(list: &[Term], packet: &Packet) -> Takes {
    let Some((term, rest)) = list.split_first() else { return Takes::Yes };
    let holds = match &term.what {
        What::Group(inner) => terms(inner, packet),
        What::Cmp(cmp) => cmp.holds(packet),
        What::Nbyte(nbyte) => nbyte.holds(packet),
        What::U32(word) => word.holds(packet),
        What::Meta(meta) => meta.holds(packet).unwrap_or_else(|| unseen(&term.what)),
        // what looks into CAN frames finds none here
        What::CanId(_) if packet.layers().ip.is_some() => Takes::No,
        other => unseen(other),
    };
    let holds = if term.not { holds.negated() } else { holds };
    match (rest.is_empty(), term.join) {
        (true, _) => holds,
        (false, Join::And) => holds.and(|| terms(rest, packet)),
        (false, Join::Or) => holds.or(|| terms(rest, packet)),
    }
}

/// What a packet does not show.
fn unseen(what: &What) -> Takes {
    let alone = Term { not: false, what: what.clone(), join: Join::And };
    Takes::If(format!("{} holds", Matches(vec![alone]).show()).into())
}

/// What holds of octets at a layer. Where the transport's header begins is the kernel's mark, which stands behind the IP
/// header's own length: it is not led past IPv6's extension headers everywhere, and of what arrives it is set by some
/// drivers only.
fn at_layer(packet: &Packet, layer: Layer, at: u16, count: usize, is: impl Fn(Octets) -> Takes) -> Takes {
    let at = i64::from(at);
    match layer {
        Layer::Link => is(packet.link_octets(at, count)),
        Layer::Network => is(packet.octets(at, count)),
        Layer::Transport => {
            let header = match packet.layers().ip {
                Some(ip) if ip.six => Some(40),
                Some(_) => match packet.octets(0, 1).number() {
                    Octet::Is(octet) => Some(i64::from(octet & 15) * 4),
                    _ => None,
                },
                None => None,
            };
            let seen = header.map_or(Takes::No, |header| is(packet.octets(header + at, count)));
            let behind = packet.layers().transport.map(|transport| transport as i64);
            let other = match (packet.meta.arrives, behind) {
                (true, _) => Some(0),
                (false, Some(behind)) if header != Some(behind) => Some(behind),
                _ => None,
            };
            match other.map(|other| is(packet.octets(other + at, count))) {
                Some(elsewhere) if elsewhere != seen => {
                    let sure = if packet.meta.arrives {
                        "the driver has found the transport's header"
                    } else {
                        "the transport's header is taken to be behind the first header"
                    };
                    if seen == Takes::Yes {
                        Takes::If(sure.into())
                    } else {
                        Takes::If(format!("not that {sure}").into())
                    }
                }
                _ => seen,
            }
        }
    }
}

impl Operand {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Operand::Eq => order.is_eq(),
            Operand::Gt => order.is_gt(),
            Operand::Lt => order.is_lt(),
        }
    }
}

impl Cmp {
    fn holds(&self, packet: &Packet) -> Takes {
        at_layer(packet, self.layer, self.at, usize::from(self.width), |octets| {
            Takes::number(octets.number(), |number| {
                let turned = match (self.trans, self.width) {
                    (true, 2) => u32::from((number as u16).swap_bytes()),
                    (true, 4) => number.swap_bytes(),
                    _ => number,
                };
                let masked = if self.mask == 0 { turned } else { turned & self.mask };
                self.operand.holds(masked.cmp(&self.value))
            })
        })
    }
}

impl Nbyte {
    fn holds(&self, packet: &Packet) -> Takes {
        at_layer(packet, self.layer, self.at, self.needle.len(), |octets| match octets {
            Octets::Are(bytes) => (bytes == self.needle).into(),
            Octets::Beyond => Takes::No,
            Octets::Cut => Takes::cut(),
        })
    }
}

impl Word {
    /// No filter that holds matches tells them where a next header is.
    fn holds(&self, packet: &Packet) -> Takes {
        Takes::number(packet.word(i64::from(self.at)), |word| (word ^ self.value) & self.mask == 0)
    }
}

/// A side of a `meta`, as far as a packet shows it.
enum Side {
    Number(u32),
    Text(Vec<u8>),
    /// The packet has no such thing: the match does not hold.
    Nothing,
}

impl Meta {
    /// `None` if it is about what a packet does not show.
    fn holds(&self, packet: &Packet) -> Option<Takes> {
        let order = match (self.left.of(packet)?, self.right.of(packet)?) {
            (Side::Number(left), Side::Number(right)) => left.cmp(&right),
            (Side::Text(left), Side::Text(right)) => left.len().cmp(&right.len()).then(left.cmp(&right)),
            _ => return Some(Takes::No),
        };
        Some(self.operand.holds(order).into())
    }
}

impl Object {
    fn of(&self, packet: &Packet) -> Option<Side> {
        let (id, text, shift, mask) = match self {
            Object::Number(number) => return Some(Side::Number(*number)),
            Object::Text(text) => return Some(Side::Text(text.clone())),
            Object::Known { id, text, shift, mask } => (*id, *text, *shift, *mask),
        };
        if text {
            // the link's name is the only one that is known here
            let name = packet.meta.link.as_ref().filter(|_| id == 5)?;
            let length = name.len().saturating_sub(usize::from(shift));
            return Some(Side::Text(name.as_bytes().get(..length)?.to_vec()));
        }
        let tag = packet.tag().or_else(|| packet.layers().vlans.first().copied());
        let number = match id {
            6 => packet.meta.priority,
            // in network order, as it stands in the kernel
            7 => u32::from(packet.protocol().to_be()),
            9 => {
                let link = if packet.meta.arrives { packet.network() } else { 0 };
                (packet.length() - link) as u32
            }
            12 => packet.meta.mark,
            13 => u32::from(packet.meta.tc_index),
            46 => match tag {
                Some(tag) => u32::from(tag.priority) << 13 | u32::from(tag.id),
                None => return Some(Side::Nothing),
            },
            _ => return None,
        };
        let number = number.checked_shr(u32::from(shift)).unwrap_or(0);
        Some(Side::Number(if mask == 0 { number } else { number & mask }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use crate::packet::build::Fields;
    use crate::unit::Reader;

    #[test]
    fn matches_hold_as_in_the_kernel() {
        let fields = Fields { proto: 6, ports: (9, 22), tos: 0x10, length: 100, ..Fields::default() };
        let mut packet = fields.packet();
        packet.meta.mark = 0x35;
        packet.meta.link = Some("eth0".into());
        let holds = |text: &str, packet: &Packet| Matches::read(text, &mut Reader::tc()).unwrap().holds(packet);
        for (text, expected) in [
            ("cmp(u8 at 9 layer 1 eq 6)", true),
            ("cmp(u16 at 2 layer transport eq 22)", true),
            ("cmp(u16 at 2 layer transport lt 22)", false),
            ("cmp(u16 at 2 layer transport trans eq 5632)", true),
            ("cmp(u16 at 12 layer link eq 2048)", true),
            ("cmp(u8 at 1 layer 1 mask 0xf0 eq 16)", true),
            ("cmp(u8 at 2000 layer 1 eq 0)", false),
            ("not cmp(u8 at 2000 layer 1 eq 0)", true),
            ("u32(u16 22 0xffff at 22)", true),
            ("u32(u16 22 0xffff at nexthdr+22)", true),
            ("nbyte(\"E\" at 0 layer 1)", true),
            ("meta(nf_mark mask 0xf0 eq 48)", true),
            ("meta(nf_mark shift 4 eq 3)", true),
            ("meta(pkt_len eq 114)", true),
            ("meta(\"eth0\" eq dev)", true),
            ("meta(\"eth1\" eq dev)", false),
            ("meta(vlan mask 0xfff eq 0)", false),
            ("meta(priority gt 0) and meta(random eq 0)", false),
            ("meta(priority lt 1) or meta(random eq 0)", true),
            ("(meta(priority gt 0) or meta(nf_mark gt 3)) and not meta(priority gt 0)", true),
        ] {
            assert_eq!(holds(text, &packet), expected.into(), "{text}");
        }
        let Takes::If(question) = holds("meta(sk_family eq 2) and meta(random lt 5)", &packet) else { panic!() };
        assert_eq!(question, "meta(sk_family eq 2) holds and meta(random lt 5) holds");
        let options = Fields { options: 4, ..fields.clone() }.packet();
        assert_eq!(holds("cmp(u16 at 2 layer transport eq 22)", &options), Takes::Yes);
        packet.meta.arrives = true;
        assert_eq!(holds("meta(pkt_len eq 100)", &packet), Takes::Yes);
        assert!(matches!(holds("cmp(u16 at 2 layer transport eq 22)", &packet), Takes::If(_)));
    }
}
