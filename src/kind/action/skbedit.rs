//! `skbedit`: net/sched/act_skbedit.c, tc-skbedit(8). Writes what the kernel remembers of a packet.

use super::control::{Control, INDEX, unnumbered};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Fields, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, Rows, no_xstats, row_words};
use crate::rows;
use crate::unit::{Flag, Handle, Info, Mark, Number, Reader, Refusal, Schema, Unit, Words};

rows! {
    /// Edits of a packet's metadata.
    pub struct Skbedit {
        /// the transmit queue
        queue_mapping: Number = Row::new("queue_mapping");
        /// the priority: a band by a priomap, or a class as `1:10` that a classful discipline finds without a filter
        priority: Priority = Row::new("priority");
        /// the mark that firewalls and the `fw` classifier see
        mark: Mark = Row::new("mark");
        /// for whom the packet is taken to be
        ptype: PacketType = Row::new("ptype");
        /// take the priority from the packet's DS field
        inheritdsfield: Flag = Row::new("inheritdsfield").flag().default("no");
        /// what becomes of the packet then
        control: Control = Row::new("control").default("pipe");
        /// the number under which several filters share the action
        index: Number = INDEX;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "skbedit",
    role: Role::Action,
    doc: "writes a packet's mark, priority, queue or type; nothing of it leaves the machine. A policy writes `mark: 5` or \
          `priority: 2` for the two that matter most",
    options: || Box::new(Skbedit::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_ACT_SKBEDIT",
    module: "act_skbedit",
    attributes: &[],
    xstats: no_xstats,
};

/// A packet's priority: a small number, or a class. tc writes both as a handle, in hexadecimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(pub u32);

impl Unit for Priority {
    const INFO: Info = Info {
        name: "a priority",
        spellings: "a number as `2`, or a class as `1:10`",
        schema: Schema::Pattern("^([0-9]+|[0-9a-fA-F]{0,4}:[0-9a-fA-F]{0,4}|none|root)$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        if !reader.tc && text.bytes().all(|b| b.is_ascii_digit()) {
            return Number::read(text, reader).map(|n| Priority(n.0));
        }
        Handle::read(text, reader)
            .map(|h| Priority(h.0))
            .map_err(|r| Refusal { help: Some(format!("write {}", Self::INFO.spellings)), ..r })
    }

    fn show(&self) -> String {
        if self.0 <= 0xffff { self.0.to_string() } else { self.tc() }
    }

    fn tc(&self) -> String {
        match Handle(self.0) {
            h if h.major() == 0 && self.0 != 0 => format!(":{:x}", h.minor()),
            h => h.show(),
        }
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(Priority)
    }
}

/// For whom a packet is taken to be (`PACKET_*`, include/uapi/linux/if_packet.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketType(pub u16);

const TYPES: &[&str] = &["host", "broadcast", "multicast", "otherhost"];

impl Unit for PacketType {
    const INFO: Info = Info {
        name: "a packet type",
        spellings: "`host`, `broadcast`, `multicast` or `otherhost`",
        schema: Schema::OneOf(TYPES),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let number = (0..).zip(TYPES).find(|(_, name)| **name == text).map(|(n, _)| PacketType(n));
        let other = || Number::read(text, reader).ok().and_then(|n| u16::try_from(n.0).ok()).map(PacketType);
        number.or_else(other).ok_or_else(|| {
            Refusal::new(format!("`{text}` is no packet type")).help(format!("write {}", Self::INFO.spellings))
        })
    }

    fn show(&self) -> String {
        TYPES.get(usize::from(self.0)).map_or_else(|| self.0.to_string(), |name| (*name).to_owned())
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u16::try_from(number).ok().map(PacketType)
    }
}

const PARMS: u16 = 2;
const PRIORITY: u16 = 3;
const QUEUE_MAPPING: u16 = 4;
const MARK: u16 = 5;
const PTYPE: u16 = 7;
const MASK: u16 = 8;
const FLAGS: u16 = 9;
/// `SKBEDIT_F_INHERITDSFIELD`.
const INHERIT: u64 = 0x20;

impl Options for Skbedit {
    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let Skbedit { queue_mapping, priority, mark, ptype, inheritdsfield, control, index } = self;
        let control = control.unwrap_or(Control::PIPE).bits();
        // struct tc_skbedit: index, capab, action, refcnt, bindcnt
        let parms = Fields::new().u32(index.unwrap_or_default().0).u32(0).u32(control).u32(0).u32(0);
        out.raw(PARMS, &parms.0);
        if let Some(Number(n)) = queue_mapping {
            out.u16(QUEUE_MAPPING, u16::try_from(*n).unwrap_or(u16::MAX));
        }
        if let Some(Priority(n)) = priority {
            out.u32(PRIORITY, *n);
        }
        if let Some(Mark { value, mask }) = mark {
            out.u32(MARK, *value);
            if *mask != u32::MAX {
                out.u32(MASK, *mask);
            }
        }
        if let Some(PacketType(n)) = ptype {
            out.u16(PTYPE, *n);
        }
        if *inheritdsfield == Some(Flag(true)) {
            out.u64(FLAGS, INHERIT);
        }
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        if let Some(parms) = attributes.get(PARMS) {
            let mut c = parms.fields();
            let (index, _capab, action) = (c.u32()?, c.u32()?, c.u32()?);
            self.index = (index != 0).then_some(Number(index));
            self.control = Some(Control::from_bits(action));
        }
        self.queue_mapping = attributes.u16(QUEUE_MAPPING)?.map(|n| Number(u32::from(n)));
        self.priority = attributes.u32(PRIORITY)?.map(Priority);
        let mask = attributes.u32(MASK)?.unwrap_or(u32::MAX);
        self.mark = attributes.u32(MARK)?.map(|value| Mark { value, mask });
        self.ptype = attributes.u16(PTYPE)?.map(PacketType);
        self.inheritdsfield = attributes.u64(FLAGS)?.filter(|bits| bits & INHERIT != 0).map(|_| Flag(true));
        Ok(())
    }

    fn same(&self, other: &dyn Options, row: usize, _facts: &Facts) -> bool {
        match Skbedit::ROWS.get(row).map(|r| r.word) {
            Some("index") if unnumbered(self.index) => true,
            _ => matches!((self.slot(row), other.slot(row)), (Some(a), Some(b)) if a.same(b)),
        }
    }

    /// tc writes the verdict without a word before it.
    fn tc(&self, out: &mut Vec<String>) {
        for (i, row) in Skbedit::ROWS.iter().enumerate() {
            match self.slot(i) {
                Some(slot) if row.word != "control" => row_words(row, slot, out),
                Some(slot) => out.extend(slot.tc().iter().flat_map(|c| c.split(' ')).map(str::to_owned)),
                None => {}
            }
        }
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        match words.peek() {
            Some(word) if self.control.is_none() && Control::starts(word) => {
                self.control = Some(Control::read_words(words, reader)?);
                return Ok(true);
            }
            Some("control") | None => return Ok(false),
            Some(word) => {
                let Some(row) = Skbedit::ROWS.iter().position(|r| r.word == word) else { return Ok(false) };
                words.next();
                if let Some(slot) = self.slot_mut(row) {
                    slot.read_words(words, reader)?;
                }
            }
        }
        Ok(true)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        if let Some(Number(n)) = self.queue_mapping.filter(|n| n.0 > 0xffff) {
            let message = format!("queue_mapping {n} does not fit: at most 65535");
            out.push(Finding::new(&codes::OUT_OF_RANGE, "queue_mapping", message));
        }
    }
}
