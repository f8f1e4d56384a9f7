//! `ctinfo`: net/sched/act_ctinfo.c, tc-ctinfo(8). What the connection remembers goes back into the packet: DSCP and mark.

use super::control::{CONTROL, Control, INDEX, Index, figures, head, read_end, read_head};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::walk::Walk;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, attribute, no_option, read_row};
use crate::packet::Octet;
use crate::rows;
use crate::unit::{Count16, Info, Number, Reader, Refusal, Schema, Unit, Words};

rows! {
    /// What the connection remembers.
    pub struct Ctinfo {
        /// write the DSCP that the connection's mark holds in these six bits: `0xfc000000`; after a slash, bits of which one must be set for it
        dscp: Stored = Row::new("dscp").short();
        /// give the packet these bits of the connection's mark; all of them if tc's word stands alone
        cpmark: Bits = Row::new("cpmark").short();
        /// the zone of connection tracking
        zone: Count16 = Row::new("zone").short().default("0");
        /// what becomes of the packet then
        control: Control = CONTROL.default("pipe");
        /// the number under which several filters share the action
        index: Index = INDEX;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "ctinfo",
    role: Role::Action,
    doc: "writes back into arriving packets what was stored in the mark of their connection: DSCP, mark, or both",
    options: || Box::new(Ctinfo::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_ACT_CTINFO",
    module: "act_ctinfo",
    attributes: &[
        no_option("TCA_CTINFO_PAD", 1, "padding only"),
        no_option("TCA_CTINFO_TM", TM, "times, which are figures"),
        attribute("TCA_CTINFO_ACT", ACT, &["control", "index"]),
        attribute("TCA_CTINFO_ZONE", ZONE, &["zone"]),
        attribute("TCA_CTINFO_PARMS_DSCP_MASK", DSCP_MASK, &["dscp"]),
        attribute("TCA_CTINFO_PARMS_DSCP_STATEMASK", DSCP_STATE, &["dscp"]),
        attribute("TCA_CTINFO_PARMS_CPMARK_MASK", CPMARK, &["cpmark"]),
        no_option("TCA_CTINFO_STATS_DSCP_SET", DSCP_SET, "a counter, which is a figure"),
        no_option("TCA_CTINFO_STATS_DSCP_ERROR", DSCP_ERROR, "a counter, which is a figure"),
        no_option("TCA_CTINFO_STATS_CPMARK_SET", CPMARK_SET, "a counter, which is a figure"),
    ],
    xstats: |payload, _| {
        let mut all = figures(ACT, TM, payload);
        let attributes = payload.attributes().unwrap_or_default();
        for (name, number) in [("dscp_set", DSCP_SET), ("dscp_error", DSCP_ERROR), ("cpmark_set", CPMARK_SET)] {
            all.extend(attributes.u64(number).ok().flatten().map(|n| (name, n)));
        }
        all
    },
};

const TM: u16 = 2;
const ACT: u16 = 3;
const ZONE: u16 = 4;
const DSCP_MASK: u16 = 5;
const DSCP_STATE: u16 = 6;
const CPMARK: u16 = 7;
const DSCP_SET: u16 = 8;
const DSCP_ERROR: u16 = 9;
const CPMARK_SET: u16 = 10;

fn number(text: &str, reader: &mut Reader) -> Result<u32, Refusal> {
    Number::read(text, reader).map(|n| n.0)
}

/// Where a connection's mark holds a DSCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The six bits.
    pub mask: u32,
    /// Bits of which one must be set, or none for always.
    pub state: u32,
}

impl Unit for Stored {
    const INFO: Info = Info {
        name: "six bits of a mark",
        spellings: "`0xfc000000`, or with bits of which one must be set `0xfc000000/0x1000000`",
        schema: Schema::Pattern("^([0-9]+|0x[0-9a-fA-F]+)(/([0-9]+|0x[0-9a-fA-F]+))?$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let (mask, state) = text.split_once('/').unwrap_or((text, "0"));
        let stored = Stored { mask: number(mask, reader)?, state: number(state, reader)? };
        if !reader.tc && stored.mask == 0 {
            return Err(Refusal::new("no bits hold a DSCP").help(format!("write {}", Self::INFO.spellings)));
        }
        Ok(stored)
    }

    /// tc takes the bits that must be set as a word of their own.
    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        let text = words.want(Self::INFO.name)?;
        if !reader.tc {
            return Self::read(text, reader);
        }
        let mut stored = Stored { mask: number(text, reader)?, state: 0 };
        if let Some(Ok(state)) = words.peek().map(|word| number(word, reader)) {
            words.next();
            stored.state = state;
        }
        Ok(stored)
    }

    fn show(&self) -> String {
        if self.state == 0 { format!("{:#x}", self.mask) } else { format!("{:#x}/{:#x}", self.mask, self.state) }
    }

    fn tc(&self) -> String {
        self.show().replace('/', " ")
    }
}

/// Bits of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits(pub u32);

impl Unit for Bits {
    const INFO: Info = Info {
        name: "bits of a mark",
        spellings: "`0xffffffff`, or `yes` for all of them",
        schema: Schema::Pattern("^(yes|[0-9]+|0x[0-9a-fA-F]+)$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        match text {
            "yes" if !reader.tc => Ok(Bits(u32::MAX)),
            _ => match number(text, reader)? {
                0 if !reader.tc => Err(Refusal::new("no bits of the mark").help("leave it out")),
                bits => Ok(Bits(bits)),
            },
        }
    }

    /// Without a number all of them.
    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        if !reader.tc {
            return Self::read(words.want(Self::INFO.name)?, reader);
        }
        let Some(Ok(bits)) = words.peek().map(|word| number(word, reader)) else { return Ok(Bits(u32::MAX)) };
        words.next();
        Ok(Bits(bits))
    }

    fn show(&self) -> String {
        format!("{:#x}", self.0)
    }
}

impl Ctinfo {
    /// What tc refuses.
    fn faults(&self, out: &mut Vec<Finding>) {
        let Some(Stored { mask, state }) = self.dscp.filter(|d| d.mask != 0) else { return };
        if mask & state != 0 {
            let text = format!("the bits {state:#x} that must be set are also bits of the DSCP");
            out.push(Finding::new(&codes::BAD_VALUE, "dscp", text).help("choose bits outside of the six"));
        }
        if mask >> mask.trailing_zeros() != 0x3f {
            let text = format!("{mask:#x} is not six bits beside each other");
            out.push(
                Finding::new(&codes::BAD_VALUE, "dscp", text).help("write `0xfc000000`, or `0x3f` shifted otherwise"),
            );
        }
    }
}

impl Options for Ctinfo {
    /// What nobody has said of the connection stays unknown, and the packet as it is.
    fn act(&self, walk: &mut dyn Walk) -> Control {
        let Some(mark) = walk.packet().meta.connmark else {
            walk.note(None, &|| "the mark of its connection is not known: the packet stays as it is".to_owned());
            return self.control.unwrap_or(Control::PIPE);
        };
        let stored = self.dscp.filter(|stored| stored.state == 0 || mark & stored.state != 0);
        let ip = walk.packet().layers().ip;
        if let (Some(stored), Some(ip)) = (stored, ip) {
            let dscp = (mark & stored.mask).checked_shr(stored.mask.trailing_zeros()).unwrap_or(0) as u8;
            let tos = dscp << 2 | ip.tos & 3;
            match (ip.six, walk.packet().octets(0, 2).number()) {
                (false, _) => walk.packet_mut().write(1, &[tos]),
                (true, Octet::Is(head)) => {
                    let head = head as u16 & 0xf00f | u16::from(tos) << 4;
                    walk.packet_mut().write(0, &head.to_be_bytes());
                }
                _ => {}
            }
        }
        if let Some(Bits(mask)) = self.cpmark {
            walk.packet_mut().meta.mark = mark & mask;
        }
        self.control.unwrap_or(Control::PIPE)
    }

    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let Ctinfo { dscp, cpmark, zone, control, index } = self;
        out.raw(ACT, &head(*index, control.unwrap_or(Control::PIPE)).0);
        out.u16(ZONE, zone.unwrap_or_default().0);
        let dscp = dscp.unwrap_or(Stored { mask: 0, state: 0 });
        for (number, bits) in [(DSCP_MASK, dscp.mask), (DSCP_STATE, dscp.state), (CPMARK, cpmark.map_or(0, |b| b.0))] {
            if bits != 0 {
                out.u32(number, bits);
            }
        }
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        if let Some(act) = attributes.get(ACT) {
            (self.index, self.control) = read_head(&mut act.fields())?;
        }
        self.zone = attributes.u16(ZONE)?.map(Count16);
        let state = attributes.u32(DSCP_STATE)?.unwrap_or(0);
        self.dscp = attributes.u32(DSCP_MASK)?.map(|mask| Stored { mask, state });
        self.cpmark = attributes.u32(CPMARK)?.map(Bits);
        Ok(())
    }

    /// No bits are none that is said.
    fn assume(&mut self, _facts: &Facts) {
        self.assume_constants();
        self.dscp = self.dscp.filter(|d| d.mask != 0);
        self.cpmark = self.cpmark.filter(|b| b.0 != 0);
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !reader.tc {
            return read_row(self, words, reader);
        }
        if *self != Ctinfo::default() {
            return Ok(false);
        }
        let before = words.clone();
        if words.take_short("dscp") {
            self.dscp = Some(Stored::read_words(words, reader)?);
        }
        if words.take_short("cpmark") {
            self.cpmark = Some(Bits::read_words(words, reader)?);
        }
        if words.take_short("zone") {
            self.zone = Some(Count16::read_words(words, reader)?);
        }
        read_end(&mut self.control, &mut self.index, words, reader)?;
        super::first_fault(|out| self.faults(out))?;
        Ok(words.clone().count() < before.count())
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        self.faults(out);
        if self.dscp.is_none() && self.cpmark.is_none() && self.index.is_none() {
            let f = Finding::new(&codes::NO_EFFECT, "dscp", "`ctinfo` without `dscp` and `cpmark` does nothing");
            out.push(f.help("write `dscp: 0xfc000000` or `cpmark: yes`"));
        }
    }
}
