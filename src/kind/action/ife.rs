//! `ife`: net/sched/act_ife.c, tc-ife(8). Packets carry their metadata to another machine (RFC 3746).

use super::control::{CONTROL, Control, INDEX, Index, figures, head, read_end_in_any_base, read_head};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::walk::Walk;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, Rows, attribute, no_option, read_row, row_words};
use crate::rows;
use crate::unit::choice::choice;
use crate::unit::{Hardware, Hex16, Info, Number, Number16, Reader, Refusal, Schema, Unit, Words};

rows! {
    /// Metadata in a header.
    pub struct Ife {
        /// put the header on (`encode`), or take it off (`decode`)
        mode: Mode = Row::new("mode").bare();
        /// carry the mark: the packet's (`allow`), or this one
        mark: Meta = Row::new("mark");
        /// carry the priority: the packet's (`allow`), or this one
        prio: Meta = Row::new("prio");
        /// carry the traffic-control index: the packet's (`allow`), or this one
        tcindex: Meta = Row::new("tcindex");
        /// the destination's hardware address
        dst: Hardware = Row::new("dst").short();
        /// the Ethernet type
        r#type: Hex16 = Row::new("type").short().computed("`0xed3e` with `encode`");
        /// the source's hardware address
        src: Hardware = Row::new("src").short();
        /// what becomes of the packet then
        control: Control = CONTROL.default("pipe");
        /// the number under which several filters share the action
        index: Index = INDEX;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "ife",
    role: Role::Action,
    doc: "puts a header with the packet's mark, priority or index before it, or takes the header off and restores them",
    options: || Box::new(Ife::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_ACT_IFE",
    module: "act_ife",
    attributes: &[
        attribute("TCA_IFE_PARMS", PARMS, &["mode", "control", "index"]),
        no_option("TCA_IFE_TM", TM, "times, which are figures"),
        attribute("TCA_IFE_DMAC", DMAC, &["dst"]),
        attribute("TCA_IFE_SMAC", SMAC, &["src"]),
        attribute("TCA_IFE_TYPE", TYPE, &["type"]),
        attribute("TCA_IFE_METALST", METALST, &["mark", "prio", "tcindex"]),
        no_option("TCA_IFE_PAD", 7, "padding only"),
    ],
    xstats: |payload, _| figures(PARMS, TM, payload),
};

choice!(
    /// Which way.
    pub enum Mode "`encode` or `decode`" {
        /// The header goes on.
        Encode "encode",
        /// The header comes off.
        Decode "decode",
    }
);

const PARMS: u16 = 1;
const TM: u16 = 2;
const DMAC: u16 = 3;
const SMAC: u16 = 4;
const TYPE: u16 = 5;
const METALST: u16 = 6;

// IFE_META_*, include/uapi/linux/ife.h
const MARK: u16 = 1;
const PRIO: u16 = 3;
const TCINDEX: u16 = 5;
/// `IFE_ENCODE`.
const ENCODE: u16 = 1;
/// `ETH_P_IFE`.
const ETHER_TYPE: Hex16 = Hex16(0xed3e);

/// What the header carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meta {
    /// What the packet has.
    Allow,
    /// This value.
    Use(u32),
}

impl Unit for Meta {
    const INFO: Info = Info {
        name: "what is carried",
        spellings: "`allow` for the packet's own, or a number as `0x12`",
        schema: Schema::Pattern("^(allow|[1-9][0-9]{0,4}|0x[1-9a-f][0-9a-f]{0,3})$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        match text {
            "allow" => Ok(Meta::Allow),
            _ => match Number::read(text, reader)? {
                Number(0) if !reader.tc => Err(Refusal::new("0 is not carried").help("leave it out, or write `allow`")),
                Number(n) => Ok(Meta::Use(n)),
            },
        }
    }

    fn show(&self) -> String {
        match self {
            Meta::Allow => "allow".to_owned(),
            Meta::Use(n) => format!("{n:#x}"),
        }
    }
}

impl Ife {
    fn encodes(&self) -> bool {
        self.mode == Some(Mode::Encode)
    }
}

impl Options for Ife {
    fn act(&self, walk: &mut dyn Walk) -> Control {
        walk.note(None, &|| "what it does to the header is not followed here".to_owned());
        self.control.unwrap_or(Control::PIPE)
    }

    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let Ife { mode: _, mark, prio, tcindex, dst, r#type, src, control, index } = self;
        let flags = if self.encodes() { ENCODE } else { 0 };
        // struct tc_ife goes on: flags, and two octets to a multiple of four
        out.raw(PARMS, &head(*index, control.unwrap_or(Control::PIPE)).u16(flags).u16(0).0);
        if !self.encodes() {
            return;
        }
        if let Some(Hardware(octets)) = dst {
            out.raw(DMAC, octets);
        }
        if let Some(Hex16(number)) = r#type {
            out.u16(TYPE, *number);
        }
        if let Some(Hardware(octets)) = src {
            out.raw(SMAC, octets);
        }
        out.nest(METALST, |list| {
            for (number, meta) in [(MARK, mark), (PRIO, prio), (TCINDEX, tcindex)] {
                match meta {
                    Some(Meta::Allow) => list.flag(number),
                    Some(Meta::Use(0)) | None => {}
                    Some(Meta::Use(n)) if number == TCINDEX => list.u16(number, *n as u16),
                    Some(Meta::Use(n)) => list.u32(number, *n),
                }
            }
        });
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        if let Some(parms) = attributes.get(PARMS) {
            let mut c = parms.fields();
            (self.index, self.control) = read_head(&mut c)?;
            self.mode = Some(if c.u16()? & ENCODE != 0 { Mode::Encode } else { Mode::Decode });
        }
        if !self.encodes() {
            return Ok(()); // the kernel says what it could restore
        }
        let mac = |number| attributes.get(number).map(|p| p.fields().array().map(Hardware)).transpose();
        (self.dst, self.src) = (mac(DMAC)?, mac(SMAC)?);
        self.r#type = attributes.u16(TYPE)?.map(Hex16);
        let list = attributes.nested(METALST)?.unwrap_or_default();
        let meta = |number| -> Result<Option<Meta>, Malformed> {
            let Some(payload) = list.get(number) else { return Ok(None) };
            Ok(Some(match payload.0.len() {
                0 => Meta::Allow,
                2 => Meta::Use(u32::from(payload.fields().u16()?)),
                _ => Meta::Use(payload.fields().u32()?),
            }))
        };
        (self.mark, self.prio, self.tcindex) = (meta(MARK)?, meta(PRIO)?, meta(TCINDEX)?);
        Ok(())
    }

    /// Addresses of zeros are none, values of 0 are not carried, and what is taken off is told by the header alone.
    fn assume(&mut self, _facts: &Facts) {
        if self.encodes() {
            self.r#type.get_or_insert(ETHER_TYPE);
            for meta in [&mut self.mark, &mut self.prio, &mut self.tcindex] {
                *meta = meta.filter(|m| *m != Meta::Use(0));
            }
            let told = |mac: &Hardware| mac.0 != [0; 6];
            (self.dst, self.src) = (self.dst.filter(told), self.src.filter(told));
        } else {
            let Ife { mode, control, index, .. } = *self;
            *self = Ife { mode, control, index, ..Ife::default() };
        }
        self.assume_constants();
    }

    fn tc(&self, out: &mut Vec<String>) {
        for (i, row) in Ife::ROWS.iter().enumerate() {
            let meta = match row.word {
                "mark" => self.mark,
                "prio" => self.prio,
                "tcindex" => self.tcindex,
                _ => None,
            };
            match (meta, self.slot(i)) {
                (Some(Meta::Allow), _) => out.extend(["allow".to_owned(), row.word.to_owned()]),
                (Some(Meta::Use(n)), _) => out.extend(["use".to_owned(), row.word.to_owned(), format!("{n:#x}")]),
                (None, Some(slot)) => row_words(row, slot, out),
                (None, None) => {}
            }
        }
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !reader.tc {
            return read_row(self, words, reader);
        }
        if *self != Ife::default() {
            return Ok(false);
        }
        loop {
            if words.take_short("decode") {
                self.mode = Some(Mode::Decode);
            } else if words.take_short("encode") {
                self.mode = Some(Mode::Encode);
            } else if words.take_short("allow") {
                let meta = self.meta(words)?;
                meta.0.get_or_insert(Meta::Allow);
            } else if words.take_short("use") {
                let (meta, narrow) = self.meta(words)?;
                let Number(n) = if narrow {
                    Number(u32::from(Number16::read_words(words, reader)?.0))
                } else {
                    Number::read_words(words, reader)?
                };
                // 0 is not carried, and does not undo what is allowed
                if n != 0 {
                    *meta = Some(Meta::Use(n));
                }
            } else if words.take_short("type") {
                self.r#type = Some(Hex16::read_words(words, reader)?);
            } else if words.take_short("dst") {
                self.dst = Some(Hardware::scan_words(words)?);
            } else if words.take_short("src") {
                self.src = Some(Hardware::scan_words(words)?);
            } else {
                break;
            }
        }
        read_end_in_any_base(&mut self.control, &mut self.index, words, reader)?;
        if self.mode.is_none() && self.index.is_none() {
            return Err(Refusal::new("`ife` wants `encode` or `decode`").help("write `ife encode allow mark`"));
        }
        Ok(true)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        if self.mode.is_none() && self.index.is_none() {
            let f = Finding::new(&codes::MISSING_OPTION, "mode", "`ife` wants `encode` or `decode`");
            out.push(f.help("write `mode: encode`"));
        }
        if let Some(Meta::Use(n)) = self.tcindex
            && n > 0xffff
        {
            out.push(Finding::new(&codes::OUT_OF_RANGE, "tcindex", format!("tcindex {n} does not fit: at most 65535")));
        }
        let said = [
            ("mark", self.mark.is_some()),
            ("prio", self.prio.is_some()),
            ("tcindex", self.tcindex.is_some()),
            ("dst", self.dst.is_some()),
            ("type", self.r#type.is_some()),
            ("src", self.src.is_some()),
        ];
        if let Some((word, _)) = said.into_iter().find(|(_, set)| *set && self.mode == Some(Mode::Decode)) {
            let f = Finding::new(
                &codes::NO_EFFECT,
                word,
                format!("`{word}` is of `encode`: what comes off says itself what it is"),
            );
            out.push(f.help("leave it out"));
        }
    }
}

impl Ife {
    /// What tc calls by the next word, and whether it has two octets only.
    fn meta(&mut self, words: &mut Words) -> Result<(&mut Option<Meta>, bool), Refusal> {
        if words.take_short("mark") {
            Ok((&mut self.mark, false))
        } else if words.take_short("prio") {
            Ok((&mut self.prio, false))
        } else if words.take_short("tcindex") {
            Ok((&mut self.tcindex, true))
        } else {
            let word = words.want("what to carry")?;
            Err(Refusal::new(format!("`{word}` is nothing that `ife` carries"))
                .help("write `mark`, `prio` or `tcindex`"))
        }
    }
}
