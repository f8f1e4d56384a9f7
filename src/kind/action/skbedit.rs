//! `skbedit`: net/sched/act_skbedit.c, tc-skbedit(8). Writes what the kernel remembers of a packet.

use super::control::{CONTROL, Control, INDEX, Index, figures, head, read_end, read_head, read_option};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::walk::Walk;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, attribute, no_option, read_row};
use crate::rows;
use crate::unit::{Count16, Flag, Handle, Info, Mark, Number, Reader, Refusal, Schema, Unit, Words, begins};

rows! {
    /// Edits of a packet's metadata.
    pub struct Skbedit {
        /// the transmit queue
        queue_mapping: Count16 = Row::new("queue_mapping").short();
        /// the last of the transmit queues, beginning with `queue_mapping`, among which a hash of the packet chooses; from Linux 6.0 on
        queue_mapping_max: Count16 = Row::new("queue_mapping_max");
        /// the priority: a band by a priomap, or a class as `1:10` that a classful discipline finds without a filter
        priority: Priority = Row::new("priority").short();
        /// the mark that firewalls and the `fw` classifier see
        mark: Mark = Row::new("mark").short();
        /// for whom the packet is taken to be
        ptype: PacketType = Row::new("ptype").short();
        /// take the priority from the packet's DS field
        inheritdsfield: Flag = Row::new("inheritdsfield").short().flag().default("no");
        /// what becomes of the packet then
        control: Control = CONTROL.default("pipe");
        /// the number under which several filters share the action
        index: Index = INDEX;
        /// a mask of all bits was written, which changes nothing but what tc shows
        whole: Flag = Row::new("whole").hidden().tool();
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
    attributes: &[
        no_option("TCA_SKBEDIT_TM", TM, "times, which are figures"),
        attribute("TCA_SKBEDIT_PARMS", PARMS, &["control", "index"]),
        attribute("TCA_SKBEDIT_PRIORITY", PRIORITY, &["priority"]),
        attribute("TCA_SKBEDIT_QUEUE_MAPPING", QUEUE_MAPPING, &["queue_mapping"]),
        attribute("TCA_SKBEDIT_MARK", MARK, &["mark"]),
        no_option("TCA_SKBEDIT_PAD", 6, "padding only"),
        attribute("TCA_SKBEDIT_PTYPE", PTYPE, &["ptype"]),
        attribute("TCA_SKBEDIT_MASK", MASK, &["mark", "whole"]),
        attribute("TCA_SKBEDIT_FLAGS", FLAGS, &["inheritdsfield", "queue_mapping_max"]),
        attribute("TCA_SKBEDIT_QUEUE_MAPPING_MAX", QUEUE_MAPPING_MAX, &["queue_mapping_max"]),
    ],
    xstats: |payload, _| figures(PARMS, TM, payload),
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
        let is = |name: &str| name == text || reader.tc && begins(text, name);
        let number = (0..).zip(TYPES).find(|(_, name)| is(name)).map(|(n, _)| PacketType(n));
        let other = || {
            let number = (!reader.tc).then(|| Number::read(text, &mut Reader::default()).ok()).flatten()?;
            u16::try_from(number.0).ok().map(PacketType)
        };
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

const TM: u16 = 1;
const PARMS: u16 = 2;
const PRIORITY: u16 = 3;
const QUEUE_MAPPING: u16 = 4;
const MARK: u16 = 5;
const PTYPE: u16 = 7;
const MASK: u16 = 8;
const FLAGS: u16 = 9;
const QUEUE_MAPPING_MAX: u16 = 10;
/// `SKBEDIT_F_INHERITDSFIELD`.
const INHERIT: u64 = 0x20;
/// `SKBEDIT_F_TXQ_SKBHASH`.
const BY_HASH: u64 = 0x40;

impl Options for Skbedit {
    fn act(&self, walk: &mut dyn Walk) -> Control {
        let ds = walk.packet().layers().ip.map(|ip| u32::from(ip.tos >> 2));
        let meta = &mut walk.packet_mut().meta;
        if let Some(Priority(priority)) = self.priority {
            meta.priority = priority;
        }
        if let (Some(Flag(true)), Some(ds)) = (self.inheritdsfield, ds) {
            meta.priority = ds;
        }
        if let Some(Count16(queue)) = self.queue_mapping {
            meta.queue = Some(queue);
        }
        if let Some(Mark { value, mask }) = self.mark {
            meta.mark = meta.mark & !mask | value & mask;
        }
        self.control.unwrap_or(Control::PIPE)
    }

    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let Skbedit { queue_mapping, queue_mapping_max, priority, mark, ptype, .. } = self;
        let Skbedit { inheritdsfield, control, index, whole, .. } = self;
        out.raw(PARMS, &head(*index, control.unwrap_or(Control::PIPE)).0);
        if let Some(Count16(n)) = queue_mapping {
            out.u16(QUEUE_MAPPING, *n);
        }
        if let Some(Priority(n)) = priority {
            out.u32(PRIORITY, *n);
        }
        if let Some(Mark { value, mask }) = mark {
            out.u32(MARK, *value);
            if *mask != u32::MAX || *whole == Some(Flag(true)) {
                out.u32(MASK, *mask);
            }
        }
        if let Some(PacketType(n)) = ptype {
            out.u16(PTYPE, *n);
        }
        let inherit = if *inheritdsfield == Some(Flag(true)) { INHERIT } else { 0 };
        let flags = inherit | queue_mapping_max.map_or(0, |_| BY_HASH);
        if flags != 0 {
            out.u64(FLAGS, flags);
        }
        if let Some(Count16(n)) = queue_mapping_max {
            out.u16(QUEUE_MAPPING_MAX, *n);
        }
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        if let Some(parms) = attributes.get(PARMS) {
            (self.index, self.control) = read_head(&mut parms.fields())?;
        }
        self.queue_mapping = attributes.u16(QUEUE_MAPPING)?.map(Count16);
        self.queue_mapping_max = attributes.u16(QUEUE_MAPPING_MAX)?.map(Count16);
        self.priority = attributes.u32(PRIORITY)?.map(Priority);
        let mask = attributes.u32(MASK)?;
        self.mark = attributes.u32(MARK)?.map(|value| Mark { value, mask: mask.unwrap_or(u32::MAX) });
        self.whole = (mask == Some(u32::MAX)).then_some(Flag(true));
        self.ptype = attributes.u16(PTYPE)?.map(PacketType);
        self.inheritdsfield = attributes.u64(FLAGS)?.filter(|bits| bits & INHERIT != 0).map(|_| Flag(true));
        Ok(())
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !reader.tc {
            return read_row(self, words, reader);
        }
        if *self != Skbedit::default() {
            return Ok(false);
        }
        // one by one, for what a mark does not keep: a mask that was written stays if another mark is
        let mut mask = None;
        loop {
            let (word, value) = (words.peek().unwrap_or_default(), words.peek_second().unwrap_or_default());
            if !read_option(self, words, reader)? {
                break;
            }
            if let Some(mark) = self.mark.as_mut().filter(|_| begins(word, "mark")) {
                mask = if value.contains('/') { Some(mark.mask) } else { mask };
                mark.mask = mask.unwrap_or(mark.mask);
            }
        }
        self.whole = (mask == Some(u32::MAX)).then_some(Flag(true));
        read_end(&mut self.control, &mut self.index, words, reader)?;
        if *self == Skbedit::default() {
            return Err(Refusal::new("`skbedit` without anything to edit").help("write `skbedit mark 5`"));
        }
        Ok(true)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        let Skbedit { queue_mapping, queue_mapping_max, priority, mark, ptype, inheritdsfield, .. } = self;
        let Skbedit { control: _, index, whole: _, .. } = self;
        let edits = queue_mapping.is_some() || priority.is_some() || mark.is_some() || ptype.is_some();
        if !edits && *inheritdsfield != Some(Flag(true)) && index.is_none() {
            out.push(
                Finding::new(&codes::MISSING_OPTION, "mark", "`skbedit` without anything to edit")
                    .help("write `mark: 5` or `priority: 2`"),
            );
        }
        if let Some(ptype) = ptype.filter(|t| t.show().bytes().all(|b| b.is_ascii_digit())) {
            let message = format!("the kernel knows no packet type {}", ptype.0);
            let f = Finding::new(&codes::OUT_OF_RANGE, "ptype", message);
            out.push(f.help(format!("write {}", PacketType::INFO.spellings)));
        }
        match (queue_mapping, queue_mapping_max) {
            (None, Some(_)) => out.push(
                Finding::new(&codes::MISSING_OPTION, "queue_mapping", "the first of the queues is missing")
                    .and("queue_mapping_max", "the last")
                    .help("write `queue_mapping: 0`"),
            ),
            (Some(first), Some(last)) if last < first || (first.0 == 0 && last.0 == u16::MAX) => {
                let message = format!("no queues from {} to {}", first.0, last.0);
                out.push(Finding::new(&codes::OUT_OF_RANGE, "queue_mapping_max", message).and("queue_mapping", ""));
            }
            _ => {}
        }
    }
}
