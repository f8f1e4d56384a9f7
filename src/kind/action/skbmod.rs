//! `skbmod`: net/sched/act_skbmod.c, tc-skbmod(8). Writes the Ethernet header, or marks congestion.

use super::control::{CONTROL, Control, INDEX, Index, figures, head, read_end_in_any_base, read_head};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::walk::Walk;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, Rows, attribute, no_option, read_row, row_words};
use crate::packet::Octets;
use crate::rows;
use crate::unit::{Flag, Hardware, Hex16, Reader, Refusal, Unit, Words, begins};

rows! {
    /// Edits of an Ethernet header.
    pub struct Skbmod {
        /// the destination's hardware address
        dmac: Hardware = Row::new("dmac");
        /// the Ethernet type
        etype: Hex16 = Row::new("etype");
        /// the source's hardware address
        smac: Hardware = Row::new("smac");
        /// swap the two addresses; the other edits are not made then
        swap: Flag = Row::new("swap").flag().default("no");
        /// mark the packet as having met congestion, if it is of a flow that asked for it; the other edits are not made then
        ecn: Flag = Row::new("ecn").flag().default("no");
        /// what becomes of the packet then
        control: Control = CONTROL.default("pipe");
        /// the number under which several filters share the action
        index: Index = INDEX;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "skbmod",
    role: Role::Action,
    doc: "writes the Ethernet header: addresses and type; or marks congestion in the IP header, and mends its checksum",
    options: || Box::new(Skbmod::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_ACT_SKBMOD",
    module: "act_skbmod",
    attributes: &[
        no_option("TCA_SKBMOD_TM", TM, "times, which are figures"),
        attribute("TCA_SKBMOD_PARMS", PARMS, &["swap", "ecn", "control", "index"]),
        attribute("TCA_SKBMOD_DMAC", DMAC, &["dmac"]),
        attribute("TCA_SKBMOD_SMAC", SMAC, &["smac"]),
        attribute("TCA_SKBMOD_ETYPE", ETYPE, &["etype"]),
        no_option("TCA_SKBMOD_PAD", 6, "padding only"),
    ],
    xstats: |payload, _| figures(PARMS, TM, payload),
};

const TM: u16 = 1;
const PARMS: u16 = 2;
const DMAC: u16 = 3;
const SMAC: u16 = 4;
const ETYPE: u16 = 5;

// SKBMOD_F_*
const F_DMAC: u64 = 1;
const F_SMAC: u64 = 2;
const F_ETYPE: u64 = 4;
const F_SWAP: u64 = 8;
const F_ECN: u64 = 16;

impl Skbmod {
    fn swaps(&self) -> bool {
        self.swap == Some(Flag(true))
    }

    fn marks(&self) -> bool {
        self.ecn == Some(Flag(true))
    }
}

impl Options for Skbmod {
    fn act(&self, walk: &mut dyn Walk) -> Control {
        let packet = walk.packet_mut();
        let link = -(packet.network() as i64);
        if let (Some(Flag(true)), Octets::Are(macs)) = (self.swap, packet.octets(link, 12)) {
            let swapped: Vec<u8> = macs.iter().skip(6).chain(macs.iter().take(6)).copied().collect();
            packet.write(link, &swapped);
        } else if self.ecn != Some(Flag(true)) && link != 0 {
            for (at, mac) in [(0, self.dmac), (6, self.smac)] {
                mac.into_iter().for_each(|Hardware(mac)| packet.write(link + at, &mac));
            }
            let etype = self.etype.and_then(|etype| etype.number());
            etype.into_iter().for_each(|etype| packet.write(link + 12, &(etype as u16).to_be_bytes()));
        }
        self.control.unwrap_or(Control::PIPE)
    }

    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let Skbmod { dmac, etype, smac, swap: _, ecn: _, control, index } = self;
        let flags = [
            (dmac.is_some(), F_DMAC),
            (smac.is_some(), F_SMAC),
            (etype.is_some(), F_ETYPE),
            (self.swaps(), F_SWAP),
            (self.marks(), F_ECN),
        ];
        let flags = flags.iter().filter(|(set, _)| *set).fold(0, |all, (_, flag)| all | flag);
        // struct tc_skbmod goes on: flags, at a multiple of eight octets
        out.raw(PARMS, &head(*index, control.unwrap_or(Control::PIPE)).u32(0).u64(flags).0);
        if let Some(Hardware(octets)) = dmac {
            out.raw(DMAC, octets);
        }
        if let Some(Hex16(etype)) = etype.filter(|t| t.0 != 0) {
            out.u16(ETYPE, etype);
        }
        if let Some(Hardware(octets)) = smac {
            out.raw(SMAC, octets);
        }
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        if let Some(parms) = attributes.get(PARMS) {
            let mut c = parms.fields();
            (self.index, self.control) = read_head(&mut c)?;
            let (_gap, flags) = (c.u32()?, c.u64()?);
            self.swap = (flags & F_SWAP != 0).then_some(Flag(true));
            self.ecn = (flags & F_ECN != 0).then_some(Flag(true));
        }
        let mac = |number| attributes.get(number).map(|p| p.fields().array().map(Hardware)).transpose();
        (self.dmac, self.smac) = (mac(DMAC)?, mac(SMAC)?);
        self.etype = attributes.u16(ETYPE)?.map(Hex16);
        Ok(())
    }

    /// The kernel keeps one of the three: the mark, the swap, or what is written.
    fn assume(&mut self, _facts: &Facts) {
        if self.marks() {
            self.swap = None;
        }
        if self.marks() || self.swaps() {
            (self.dmac, self.etype, self.smac) = (None, None, None);
        }
        self.assume_constants();
    }

    fn tc(&self, out: &mut Vec<String>) {
        for (i, row) in Skbmod::ROWS.iter().enumerate() {
            let Some(slot) = self.slot(i).filter(|s| s.is_set()) else { continue };
            if matches!(row.word, "dmac" | "etype" | "smac") {
                out.push("set".to_owned());
            }
            row_words(row, slot, out);
            if row.word == "swap" && self.swaps() {
                out.push("mac".to_owned());
            }
        }
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !reader.tc {
            return read_row(self, words, reader);
        }
        if *self != Skbmod::default() {
            return Ok(false);
        }
        while let Some(word) = words.peek() {
            // `swap` and `set` mean nothing without what follows
            if begins(word, "swap") || begins(word, "set") {
                words.next();
                if words.peek().is_none() {
                    return Err(
                        Refusal::new(format!("nothing follows `{word}`")).help("write `swap mac` or `set dmac …`")
                    );
                }
            } else if words.take_short("mac") {
                self.swap = Some(Flag(true));
            } else if words.take_short("etype") {
                self.etype = Some(Hex16::read_words(words, reader)?);
            } else if words.take_short("dmac") {
                self.dmac = Some(Hardware::scan_words(words)?);
            } else if words.take_short("smac") {
                self.smac = Some(Hardware::scan_words(words)?);
            } else if words.take_short("ecn") {
                self.ecn = Some(Flag(true));
            } else {
                break;
            }
        }
        let edits = *self != Skbmod::default();
        read_end_in_any_base(&mut self.control, &mut self.index, words, reader)?;
        if !edits && self.index.is_none() {
            return Err(Refusal::new("`skbmod` without anything to write").help("write `skbmod set dmac …`"));
        }
        Ok(true)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        let written = [("dmac", self.dmac.is_some()), ("etype", self.etype.is_some()), ("smac", self.smac.is_some())];
        let mut edits = written.into_iter().filter(|(_, set)| *set).map(|(word, _)| word);
        let first = edits.next();
        if first.is_none() && !self.swaps() && !self.marks() && self.index.is_none() {
            out.push(
                Finding::new(&codes::MISSING_OPTION, "dmac", "`skbmod` without anything to write")
                    .help("write `dmac`, `smac`, `etype`, `swap` or `ecn`"),
            );
        }
        if self.etype == Some(Hex16(0)) {
            out.push(Finding::new(&codes::OUT_OF_RANGE, "etype", "no Ethernet type is 0"));
        }
        let wins = if self.marks() { "ecn" } else { "swap" };
        let loses = first.or((self.marks() && self.swaps()).then_some("swap"));
        if let Some(word) = loses.filter(|_| self.marks() || self.swaps()) {
            let message = format!("beside `{wins}` the kernel does not do `{word}`");
            out.push(Finding::new(&codes::NO_EFFECT, word, message).and(wins, "").help("write two actions in a list"));
        }
    }
}
