//! `basic`: net/sched/cls_basic.c, tc-basic(8). A tree of [extended matches](super::ematch), or every packet without one.
//! Its number is the kernel's to give, from 1 on, unless one is asked.

use super::ematch::Matches;
use super::{ACTION, Doing, FLOWID};
use crate::facts::Facts;
use crate::kind::action::Actions;
use crate::kind::walk::{self, Asked, Filter, Takes};
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, attribute, no_option, no_xstats, read_named};
use crate::packet::Packet;
use crate::rows;
use crate::unit::{ClassId, Decimal, Handle, Reader, Refusal, Words};

rows! {
    /// Packets by a tree of matches.
    pub struct Basic {
        /// what the packet must be: matches joined by `and` and `or`, without one every packet
        matches: Matches = Row::new("match");
        /// the class to send to
        flowid: ClassId = FLOWID;
        /// what to do with the packets
        action: Actions = ACTION;
        /// packets that it was shown, as the kernel says it
        seen: Decimal = Row::new("seen").hidden().tool();
        /// packets that it took, as the kernel says it
        hits: Decimal = Row::new("hits").hidden().tool();
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "basic",
    role: Role::Filter,
    doc: "takes packets by a tree of extended matches: fields, bytes, sets, and what the system knows of the packet",
    options: || Box::new(Basic::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_CLS_BASIC",
    module: "cls_basic",
    attributes: &[
        attribute("TCA_BASIC_CLASSID", 1, &["flowid"]),
        attribute("TCA_BASIC_EMATCHES", 2, &["match"]),
        attribute("TCA_BASIC_ACT", 3, &["action"]),
        attribute("TCA_BASIC_POLICE", 4, &["action"]),
        attribute("TCA_BASIC_PCNT", 5, &["seen", "hits"]),
        no_option("TCA_BASIC_PAD", 6, "padding of the counters"),
        attribute("TCA_EMATCH_TREE_HDR", 1, &["match"]),
        attribute("TCA_EMATCH_TREE_LIST", 2, &["match"]),
        attribute("TCA_EM_META_HDR", 1, &["match"]),
        attribute("TCA_EM_META_LVALUE", 2, &["match"]),
        attribute("TCA_EM_META_RVALUE", 3, &["match"]),
        no_option("TCA_EM_IPT_HOOK", 1, "a module of iptables', kept as it came"),
        no_option("TCA_EM_IPT_MATCH_NAME", 2, "a module of iptables', kept as it came"),
        no_option("TCA_EM_IPT_MATCH_REVISION", 3, "a module of iptables', kept as it came"),
        no_option("TCA_EM_IPT_NFPROTO", 4, "a module of iptables', kept as it came"),
        no_option("TCA_EM_IPT_MATCH_DATA", 5, "a module of iptables', kept as it came"),
    ],
    xstats: no_xstats,
};

const CLASSID: u16 = 1;
const EMATCHES: u16 = 2;
const PCNT: u16 = 5;
const DOING: Doing = Doing { action: 3, police: 4 };

/// tc's words, in the order in which it tries their beginnings.
const WORDS: &[&str] = &["match", "classid", "=flowid", "action", "police"];

impl Options for Basic {
    fn takes(&self, packet: &Packet, _handle: u32) -> Takes {
        self.matches.as_ref().map_or(Takes::Yes, |matches| matches.holds(packet))
    }

    fn gather<'a>(&self, priorities: Vec<Vec<Filter<'a>>>) -> Vec<Box<dyn Asked + 'a>> {
        walk::youngest_first(priorities)
    }

    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let Basic { matches, flowid, action, seen: _, hits: _ } = self;
        if let Some(matches) = matches {
            matches.encode(EMATCHES, out, facts);
        }
        if let Some(flowid) = flowid {
            out.u32(CLASSID, flowid.0);
        }
        DOING.encode(action.as_ref(), out, facts);
    }

    fn decode(&mut self, payload: Payload, facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        let action = DOING.decode(&attributes, facts)?;
        *self = Basic {
            matches: Matches::decode(attributes.get(EMATCHES), facts)?,
            flowid: attributes.u32(CLASSID)?.map(Handle),
            action,
            ..Basic::default()
        };
        if let Some(counts) = attributes.get(PCNT) {
            let mut c = counts.fields();
            (self.seen, self.hits) = (Some(Decimal(c.u64()?)), Some(Decimal(c.u64()?)));
        }
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

    fn tc(&self, out: &mut Vec<String>) {
        super::ematch::words_of(self, out);
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        let Some(word) = words.like(WORDS) else { return Ok(false) };
        Ok(super::read_doing(word, &mut self.action, words, reader)? || read_named(self, word, words, reader)?)
    }

    fn figures(&self, _payload: Payload) -> Vec<(&'static str, u64)> {
        super::figures(self)
    }

    /// As tc, which reads a number as far as it goes.
    fn read_handle(&mut self, text: &str) -> Result<u32, Refusal> {
        Ok(super::loose_handle(text))
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        super::check(self, facts, out);
    }
}
