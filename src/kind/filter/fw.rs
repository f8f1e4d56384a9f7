//! `fw`: net/sched/cls_fw.c, tc-fw(8). Its number is the mark; with [`Fw::mask`] the mark under a mask, which is one for
//! all filters of a `prio` and stands in tc's `handle 0x5/0xff`.

use super::{ACTION, FLOWID};
use crate::facts::Facts;
use crate::kind::action::Actions;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Place, Role, Row, no_xstats, read_row};
use crate::rows;
use crate::unit::{ClassId, Handle, Hex, Name, Reader, Refusal, Words, integer_of_32};

rows! {
    /// Packets with a mark.
    pub struct Fw {
        /// the bits of the mark that count; tc writes it after the handle
        mask: Hex = Row::new("mask").default("0xffffffff").hidden().fixed();
        /// the class to send to
        flowid: ClassId = FLOWID;
        /// the link that the packet came in by
        indev: Name = Row::new("indev");
        /// what to do with the packets
        action: Actions = ACTION;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "fw",
    role: Role::Filter,
    doc: "takes packets that a firewall has marked",
    options: || Box::new(Fw::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_CLS_FW",
    module: "cls_fw",
    attributes: &[],
    xstats: no_xstats,
};

const CLASSID: u16 = 1;
const POLICE: u16 = 2;
const INDEV: u16 = 3;
const ACT: u16 = 4;
const MASK: u16 = 5;

impl Options for Fw {
    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let Fw { mask, flowid, indev, action } = self;
        // the kernel takes no mask for all bits, but refuses a filter of one mask among those of another
        if let Some(Hex(mask)) = mask.filter(|m| m.0 != u32::MAX) {
            out.u32(MASK, mask);
        }
        if let Some(flowid) = flowid {
            out.u32(CLASSID, flowid.0);
        }
        if let Some(indev) = indev {
            out.text(INDEV, &indev.0);
        }
        if let Some(action) = action {
            action.encode(ACT, out, facts);
        }
    }

    fn decode(&mut self, payload: Payload, facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        *self = Fw {
            mask: attributes.u32(MASK)?.map(Hex),
            flowid: attributes.u32(CLASSID)?.map(Handle),
            indev: attributes.get(INDEV).map(|p| Name(p.text().into())),
            action: super::decode_actions(attributes.get(ACT), attributes.get(POLICE), facts)?,
        };
        Ok(())
    }

    fn assume(&mut self, facts: &Facts) {
        self.assume_constants();
        self.action.iter_mut().for_each(|a| a.assume(facts));
    }

    fn complete(&mut self, facts: &Facts) {
        self.action.iter_mut().for_each(|a| a.complete(facts));
    }

    fn same(&self, other: &dyn Options, row: usize, facts: &Facts) -> bool {
        let Some(held) = other.as_kind::<Self>() else { return false };
        super::same_row(self, held, row, [&self.action, &held.action], facts)
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        Ok(super::read_actions(&mut self.action, words, reader)? || read_row(self, words, reader)?)
    }

    /// The mark, and behind a slash the mask.
    fn read_handle(&mut self, text: &str) -> Result<u32, Refusal> {
        let (mark, mask) = text.split_once('/').map_or((text, None), |(mark, mask)| (mark, Some(mask)));
        let wrong = || Refusal::new(format!("`{text}` is not a mark")).help("write `5`, `0x5`, or `0x5/0xff`");
        let number = |text: &str| integer_of_32(text, 0).ok_or_else(wrong);
        self.mask = mask.map(number).transpose()?.map(|mask| Hex(mask));
        number(mark)
    }

    /// Without options nothing but the handle travels.
    fn settle_tc(&mut self, place: &mut Place) -> Result<(), Refusal> {
        if place.words == 0 {
            self.mask = None;
        }
        Ok(())
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        super::check(None, None, self.action.as_ref(), facts, out);
    }
}
