//! `matchall`: net/sched/cls_matchall.c, tc-matchall(8). Its number is the kernel's to give (1); there is one per `prio`.

use super::{ACTION, FLOWID, SKIP_HW, SKIP_SW};
use crate::facts::Facts;
use crate::kind::action::Actions;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, no_xstats, read_row};
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
        hits: Decimal = crate::kind::Row::new("hits").hidden().tool();
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
    attributes: &[],
    xstats: no_xstats,
};

const CLASSID: u16 = 1;
const ACT: u16 = 2;
const FLAGS: u16 = 3;
const PCNT: u16 = 4;

impl Options for MatchAll {
    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let MatchAll { flowid, skip_hw, skip_sw, action, hits: _ } = self;
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
        let [skip_hw, skip_sw] = super::decode_flags(attributes.u32(FLAGS)?);
        *self = MatchAll {
            flowid: attributes.u32(CLASSID)?.map(crate::unit::Handle),
            skip_hw,
            skip_sw,
            action: super::decode_actions(attributes.get(ACT), None, facts)?,
            hits: attributes.u64(PCNT)?.map(Decimal),
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

    /// As tc, which reads a number as far as it goes.
    fn read_handle(&mut self, text: &str) -> Result<u32, Refusal> {
        Ok(super::loose_handle(text))
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        super::check(self.skip_hw, self.skip_sw, self.action.as_ref(), facts, out);
    }
}
