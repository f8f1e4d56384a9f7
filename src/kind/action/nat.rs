//! `nat`: net/sched/act_nat.c, tc-nat(8). Writes other addresses into packets, without a memory of connections.

use super::control::{CONTROL, Control, INDEX, Index, figures, head, read_end, read_head, read_index};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::walk::Walk;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, attribute, no_option, read_row};
use crate::rows;
use crate::unit::choice::choice;
use crate::unit::{Prefix4, Reader, Refusal, Unit, Words};
use std::net::{IpAddr, Ipv4Addr};

rows! {
    /// Addresses for addresses.
    pub struct Nat {
        /// `egress` writes sources, `ingress` destinations
        direction: Direction = Row::new("direction").bare();
        /// the addresses that are replaced
        old: Prefix4 = Row::new("old").bare();
        /// the address, or the beginning of those, that stand there then
        new: Prefix4 = Row::new("new").bare();
        /// what becomes of the packet then
        control: Control = CONTROL.default("pass");
        /// the number under which several filters share the action
        index: Index = INDEX;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "nat",
    role: Role::Action,
    doc: "writes other IPv4 addresses into packets, one for one, and mends the checksums; it remembers no connections",
    options: || Box::new(Nat::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_ACT_NAT",
    module: "act_nat",
    attributes: &[
        attribute("TCA_NAT_PARMS", PARMS, &["direction", "old", "new", "control", "index"]),
        no_option("TCA_NAT_TM", TM, "times, which are figures"),
        no_option("TCA_NAT_PAD", 3, "padding only"),
    ],
    xstats: |payload, _| figures(PARMS, TM, payload),
};

choice!(
    /// Which address.
    pub enum Direction "a direction" {
        /// The source.
        Egress "egress",
        /// The destination.
        Ingress "ingress",
    }
);

const PARMS: u16 = 1;
const TM: u16 = 2;
/// `TCA_NAT_FLAG_EGRESS`.
const EGRESS: u32 = 1;

impl Options for Nat {
    /// `tcf_nat_act`: the bits under the mask are the new address's, of IPv4 packets that have the old one's there.
    fn act(&self, walk: &mut dyn Walk) -> Control {
        let source = self.direction != Some(Direction::Ingress);
        let ip = walk.packet().layers().ip;
        if let (Some(old), Some(new), Some(ip)) = (self.old, self.new, ip)
            && let IpAddr::V4(address) = if source { ip.src } else { ip.dst }
            && (address.to_bits() ^ old.address.to_bits()) & old.mask == 0
        {
            let address = new.address.to_bits() & old.mask | address.to_bits() & !old.mask;
            walk.packet_mut().write(if source { 12 } else { 16 }, &address.to_be_bytes());
        }
        self.control.unwrap_or(Control::PASS)
    }

    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let Nat { direction, old, new, control, index } = self;
        let octets = |prefix: &Option<Prefix4>| prefix.map_or([0; 4], |p| p.address.octets());
        let mask = old.map_or(0, |p| p.mask).to_be_bytes();
        let flags = if *direction == Some(Direction::Egress) { EGRESS } else { 0 };
        // struct tc_nat goes on: old_addr, new_addr, mask, flags
        let parms = head(*index, control.unwrap_or(Control::PASS)).raw(&octets(old)).raw(&octets(new)).raw(&mask);
        out.raw(PARMS, &parms.u32(flags).0);
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let Some(parms) = payload.attributes()?.get(PARMS) else { return Ok(()) };
        let mut c = parms.fields();
        (self.index, self.control) = read_head(&mut c)?;
        let (old, new, mask): ([u8; 4], [u8; 4], [u8; 4]) = (c.array()?, c.array()?, c.array()?);
        let flags = c.u32()?;
        self.direction = Some(if flags & EGRESS != 0 { Direction::Egress } else { Direction::Ingress });
        self.old = Some(Prefix4 { address: old.into(), mask: u32::from_be_bytes(mask) });
        self.new = Some(Prefix4 { address: new.into(), mask: u32::MAX });
        Ok(())
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !reader.tc {
            return read_row(self, words, reader);
        }
        if *self != Nat::default() {
            return Ok(false);
        }
        if words.peek() == Some("index") {
            read_index(&mut self.index, words, reader)?;
            return Ok(true);
        }
        self.direction = Some(Direction::read_words(words, reader)?);
        let old = Prefix4::read_words(words, reader)?;
        // tc shifts 32 bits by 32, which leaves them as they are (`parse_nat_args`)
        self.old = Some(if old.mask == 0 { Prefix4 { mask: u32::MAX, ..old } } else { old });
        let Prefix4 { address, .. } = Prefix4::read_words(words, reader)?;
        self.new = Some(Prefix4 { address, mask: u32::MAX });
        read_end(&mut self.control, &mut self.index, words, reader)?;
        Ok(true)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        let rows = [("direction", self.direction.is_some()), ("old", self.old.is_some()), ("new", self.new.is_some())];
        let shared = self.index.is_some() && rows.iter().all(|(_, set)| !set);
        if let Some((word, _)) = rows.into_iter().find(|(_, set)| !set && !shared) {
            let f = Finding::new(&codes::MISSING_OPTION, word, "`nat` wants a direction, old addresses and a new one");
            out.push(f.help("write `nat: { direction: egress, old: 10.0.0.0/24, new: 192.0.2.0 }`"));
        }
        if let Some(new) = self.new.filter(|p| p.mask != u32::MAX) {
            let text = format!("`{}`: as many addresses are new as are old, whatever stands here", new.show());
            let f = Finding::new(&codes::BAD_VALUE, "new", text);
            out.push(f.help(format!("write `new: {}`", new.address)));
        }
        if self.old.is_some_and(|old| old.mask == 0) {
            let f = Finding::new(&codes::BAD_VALUE, "old", "tc takes every address for the one address 0.0.0.0");
            out.push(f.help("write two halves: `old: 0.0.0.0/1` and `old: 128.0.0.0/1`"));
        }
        if let Some(old) = self.old.filter(|p| p.address.to_bits() & !p.mask != 0 && p.address != Ipv4Addr::UNSPECIFIED)
        {
            let text = format!("`{}` has bits outside of its mask", old.show());
            let meant = Prefix4 { address: (old.address.to_bits() & old.mask).into(), ..old };
            out.push(Finding::new(&codes::HOST_BITS, "old", text).help(format!("write `old: {}`", meant.show())));
        }
    }
}
