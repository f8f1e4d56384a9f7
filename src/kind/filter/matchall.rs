//! `matchall`: net/sched/cls_matchall.c, tc-matchall(8). Its number is the kernel's to give (1); there is one per `prio`.

use super::{ACTION, FLOWID, IN_HW, SKIP_HW, SKIP_SW};
use crate::facts::Facts;
use crate::kind::action::Actions;
use crate::kind::walk::{self, Asked, Filter, Takes};
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, attribute, no_option, no_xstats, read_named};
use crate::packet::Packet;
use crate::rows;
use crate::unit::{ClassId, Decimal, Flag, Reader, Refusal, Words};

rows! {
    /// Every packet. tc 6.1 wants another word after `skip_hw`, so the flags come first.
    pub struct MatchAll {
        /// keep it out of the hardware
        skip_hw: Flag = SKIP_HW;
        /// keep it out of the kernel: hardware only
        skip_sw: Flag = SKIP_SW;
        /// the class to send to
        flowid: ClassId = FLOWID;
        /// what to do with the packets
        action: Actions = ACTION;
        /// packets that it took, as the kernel says it
        hits: Decimal = Row::new("hits").hidden().tool();
        /// whether the kernel says that it is in hardware
        in_hw: Flag = IN_HW;
    }
}

/// The kind. The kernel refuses to change one that lives (`mall_change`).
pub static KIND: Kind = Kind {
    name: "matchall",
    role: Role::Filter,
    doc: "takes every packet",
    options: || Box::new(MatchAll::default()),
    class: None,
    children: Children::None,
    change: false,
    writable: true,
    config: "NET_CLS_MATCHALL",
    module: "cls_matchall",
    attributes: &[
        attribute("TCA_MATCHALL_CLASSID", 1, &["flowid"]),
        attribute("TCA_MATCHALL_ACT", 2, &["action"]),
        attribute("TCA_MATCHALL_FLAGS", 3, &["skip_hw", "skip_sw", "in_hw"]),
        attribute("TCA_MATCHALL_PCNT", 4, &["hits"]),
        no_option("TCA_MATCHALL_PAD", 5, "padding of the counter"),
    ],
    xstats: no_xstats,
};

const CLASSID: u16 = 1;
const FLAGS: u16 = 3;
const PCNT: u16 = 4;
const ACT: u16 = 2;

/// tc's words, in the order in which it tries their beginnings.
const WORDS: &[&str] = &["classid", "=flowid", "action", "=skip_hw", "=skip_sw"];

impl Options for MatchAll {
    fn takes(&self, _packet: &Packet, _handle: u32) -> Takes {
        Takes::Yes
    }

    fn gather<'a>(&self, priorities: Vec<Vec<Filter<'a>>>) -> Vec<Box<dyn Asked + 'a>> {
        walk::once(priorities)
    }

    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let MatchAll { flowid, skip_hw, skip_sw, action, hits: _, in_hw: _ } = self;
        if let Some(flowid) = flowid {
            out.u32(CLASSID, flowid.0);
        }
        if let Some(action) = action {
            action.encode(ACT, out, facts);
        }
        super::encode_flags(FLAGS, *skip_hw, *skip_sw, out);
    }

    fn decode(&mut self, payload: Payload, facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        let [skip_hw, skip_sw, in_hw] = super::decode_flags(attributes.u32(FLAGS)?);
        *self = MatchAll {
            flowid: attributes.u32(CLASSID)?.map(crate::unit::Handle),
            skip_hw,
            skip_sw,
            action: attributes.get(ACT).map(|list| Actions::decode(list, facts)).transpose()?,
            hits: attributes.u64(PCNT)?.map(Decimal),
            in_hw,
        };
        Ok(())
    }

    fn assume(&mut self, facts: &Facts) {
        super::assume(self, facts);
    }

    fn complete(&mut self, facts: &Facts) {
        super::complete(self, facts);
    }

    fn same(&self, other: &dyn Options, row: usize, facts: &Facts) -> bool {
        super::same(self, other, row, facts)
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        let Some(word) = words.like(WORDS) else { return Ok(false) };
        Ok(super::read_doing(word, &mut self.action, words, reader)? || read_named(self, word, words, reader)?)
    }

    /// As tc, which reads a number as far as it goes.
    fn read_handle(&mut self, text: &str) -> Result<u32, Refusal> {
        Ok(super::loose_handle(text))
    }

    fn figures(&self, _payload: Payload) -> Vec<(&'static str, u64)> {
        super::figures(self)
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        super::check(self, facts, out);
    }
}
