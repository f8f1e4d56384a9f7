//! `fw`: net/sched/cls_fw.c, tc-fw(8). Its number is the mark; with [`Fw::mask`] the mark under a mask, which is one for
//! all filters of a `prio` and stands in tc's `handle 0x5/0xff`.

use super::{ACTION, Doing, FLOWID};
use crate::codes;
use crate::facts::Facts;
use crate::kind::action::{Actions, Control};
use crate::kind::walk::{self, Asked, Filter, Takes, Walk};
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{
    Children, Finding, Kind, Options, Place, Role, Row, Rows, attribute, no_xstats, read_named, row_words,
};
use crate::packet::Packet;
use crate::rows;
use crate::unit::{ClassId, Handle, Hex, Name, Reader, Refusal, Words, integer_of_32};

rows! {
    /// Packets with a mark.
    pub struct Fw {
        /// the bits of the mark that count; tc writes it after the handle
        mask: Hex = Row::new("mask").default("0xffffffff").fixed();
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
    attributes: &[
        attribute("TCA_FW_CLASSID", 1, &["flowid"]),
        attribute("TCA_FW_POLICE", 2, &["action"]),
        attribute("TCA_FW_INDEV", 3, &["indev"]),
        attribute("TCA_FW_ACT", 4, &["action"]),
        attribute("TCA_FW_MASK", 5, &["mask"]),
    ],
    xstats: no_xstats,
};

const CLASSID: u16 = 1;
const INDEV: u16 = 3;
const MASK: u16 = 5;
const DOING: Doing = Doing { police: 2, action: 4 };

/// tc's words, in the order in which it tries their beginnings.
const WORDS: &[&str] = &["classid", "flowid", "police", "action", "=indev"];

/// An `fw` of before there were options: the mark is the class.
struct MarkIsClass<'a>(Filter<'a>);

impl Asked for MarkIsClass<'_> {
    fn ask(&self, walk: &mut dyn Walk) -> Control {
        let mark = Handle(walk.packet().meta.mark);
        if mark.0 == 0 || (mark.major() != 0 && mark.major() != walk.discipline().major()) {
            return Control::CONTINUE;
        }
        walk.take(&self.0, Some(mark))
    }
}

impl Options for Fw {
    fn takes(&self, packet: &Packet, handle: u32) -> Takes {
        let Hex(mask) = self.mask.unwrap_or(Hex(u32::MAX));
        let came = walk::came_by(packet, self.indev.as_ref().map(|n| n.0.as_str()));
        (packet.meta.mark & mask == handle && came).into()
    }

    fn gather<'a>(&self, priorities: Vec<Vec<Filter<'a>>>) -> Vec<Box<dyn Asked + 'a>> {
        let old = |filter: &Filter| {
            let fw = filter.options.as_kind::<Fw>();
            filter.handle == 0 && fw.is_some_and(|fw| fw.flowid.is_none() && fw.indev.is_none() && fw.action.is_none())
        };
        let one = |filters: Vec<Filter<'a>>| match filters.as_slice() {
            [filter] if old(filter) => vec![Box::new(MarkIsClass(*filter)) as Box<dyn Asked + 'a>],
            _ => walk::in_turn(vec![filters]),
        };
        priorities.into_iter().flat_map(one).collect()
    }

    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let Fw { mask, flowid, indev, action } = self;
        let rest = [flowid.is_some(), indev.is_some(), action.is_some()];
        // the kernel takes a mask for all bits as none, but refuses a filter of one mask among those of another; an fw of
        // which nothing is said is the one of before there were options, in which the mark is the class
        if let Some(Hex(mask)) = mask.filter(|_| rest.contains(&true)) {
            out.u32(MASK, mask);
        }
        if let Some(flowid) = flowid {
            out.u32(CLASSID, flowid.0);
        }
        if let Some(indev) = indev {
            out.text(INDEV, &indev.0);
        }
        DOING.encode(action.as_ref(), out, facts);
    }

    fn decode(&mut self, payload: Payload, facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        let action = DOING.decode(&attributes, facts)?;
        *self = Fw {
            mask: attributes.u32(MASK)?.map(Hex),
            flowid: attributes.u32(CLASSID)?.map(Handle),
            indev: attributes.get(INDEV).map(|p| Name(p.text().into())),
            action,
        };
        Ok(())
    }

    fn assume(&mut self, facts: &Facts) {
        super::assume(self, facts);
    }

    fn complete(&mut self, facts: &Facts) {
        super::complete(self, facts);
    }

    /// Of an fw that sends packets nowhere the kernel tells nothing (`fw_dump`).
    fn same(&self, other: &dyn Options, row: usize, facts: &Facts) -> bool {
        let idle = self.flowid.unwrap_or_default().0 == 0 && self.action.is_none();
        idle && other.slot(row).is_some_and(|slot| !slot.is_set()) || super::same(self, other, row, facts)
    }

    /// The mark, and behind a slash the mask.
    fn read_handle(&mut self, text: &str) -> Result<u32, Refusal> {
        let (mark, mask) = text.split_once('/').map_or((text, None), |(mark, mask)| (mark, Some(mask)));
        let wrong = || Refusal::new(format!("`{text}` is not a mark")).help("write `5`, `0x5`, or `0x5/0xff`");
        let number = |text: &str| integer_of_32(text, 0).ok_or_else(wrong);
        self.mask = mask.map(number).transpose()?.map(Hex);
        number(mark)
    }

    /// Without options nothing but the handle travels.
    fn settle_tc(&mut self, place: &mut Place) -> Result<(), Refusal> {
        if place.words == 0 {
            self.mask = None;
        }
        Ok(())
    }

    fn show_handle(&self, handle: u32) -> String {
        match self.mask {
            None | Some(Hex(u32::MAX)) => format!("{handle:#x}"),
            Some(Hex(mask)) => format!("{handle:#x}/{mask:#x}"),
        }
    }

    /// The mask stands in the handle.
    fn tc(&self, out: &mut Vec<String>) {
        let rows = Fw::ROWS.iter().enumerate().filter(|(_, row)| row.word != "mask");
        rows.filter_map(|(i, row)| Some((row, self.slot(i)?))).for_each(|(row, slot)| row_words(row, slot, out));
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        let Some(word) = words.like(WORDS) else { return Ok(false) };
        Ok(super::read_doing(word, &mut self.action, words, reader)? || read_named(self, word, words, reader)?)
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        super::check(self, facts, out);
        let rest = [self.flowid.is_some(), self.indev.is_some(), self.action.is_some()];
        if self.mask.is_some() && !rest.contains(&true) {
            let f = Finding::new(&codes::MISSING_OPTION, "mask", "a marked packet goes nowhere");
            out.push(f.and("flowid", "neither this nor an `action` is written"));
        }
    }
}
