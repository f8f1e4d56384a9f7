//! `cgroup`: net/sched/cls_cgroup.c, tc-cgroup(8). A packet's class is that of the control group that its sender is in
//! (`net_cls.classid`). It has one number, which must be given; there is one filter per `prio`.

use super::ematch::Matches;
use super::{ACTION, Doing};
use crate::facts::Facts;
use crate::kind::action::{Actions, Control};
use crate::kind::walk::{Asked, Filter, Takes, Walk};
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, attribute, no_xstats, read_named};
use crate::rows;
use crate::unit::{Handle, Reader, Refusal, Words};

rows! {
    /// Packets by the control group of who sent them.
    pub struct Cgroup {
        /// what the packet must be besides: matches joined by `and` and `or`
        matches: Matches = Row::new("match");
        /// what to do with the packets
        action: Actions = ACTION;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "cgroup",
    role: Role::Filter,
    doc: "sends packets to the class that is written in the control group (`net_cls.classid`) of who sent them",
    options: || Box::new(Cgroup::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_CLS_CGROUP",
    module: "cls_cgroup",
    attributes: &[
        attribute("TCA_CGROUP_ACT", 1, &["action"]),
        attribute("TCA_CGROUP_POLICE", 2, &["action"]),
        attribute("TCA_CGROUP_EMATCHES", 3, &["match"]),
    ],
    xstats: no_xstats,
};

const EMATCHES: u16 = 3;
const DOING: Doing = Doing { action: 1, police: 2 };

/// tc's words, in the order in which it tries their beginnings.
const WORDS: &[&str] = &["match", "action", "police"];

/// `cls_cgroup_classify`: one filter, and the class is the control group's.
struct Groups<'a>(Vec<Filter<'a>>);

impl Asked for Groups<'_> {
    fn ask(&self, walk: &mut dyn Walk) -> Control {
        let Some(filter) = self.0.last() else { return Control::CONTINUE };
        let Some(class) = walk.packet().meta.cgroup.filter(|class| *class != 0) else {
            walk.note(Some(filter.object), &|| "the packet says no control group of its sender".to_owned());
            return Control::CONTINUE;
        };
        let matches = filter.options.as_kind::<Cgroup>().and_then(|cgroup| cgroup.matches.as_ref());
        let holds = matches.map_or(Takes::Yes, |matches| matches.holds(walk.packet()));
        if walk.decide(holds) { walk.take(filter, Some(Handle(class))) } else { Control::CONTINUE }
    }
}

impl Options for Cgroup {
    fn gather<'a>(&self, priorities: Vec<Vec<Filter<'a>>>) -> Vec<Box<dyn Asked + 'a>> {
        priorities.into_iter().map(|filters| Box::new(Groups(filters)) as Box<dyn Asked + 'a>).collect()
    }

    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let Cgroup { matches, action } = self;
        if let Some(matches) = matches {
            matches.encode(EMATCHES, out, facts);
        }
        DOING.encode(action.as_ref(), out, facts);
    }

    fn decode(&mut self, payload: Payload, facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        let action = DOING.decode(&attributes, facts)?;
        *self = Cgroup { matches: Matches::decode(attributes.get(EMATCHES), facts)?, action };
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

    /// As tc, which reads a number as far as it goes.
    fn read_handle(&mut self, text: &str) -> Result<u32, Refusal> {
        Ok(super::loose_handle(text))
    }

    /// The kernel wants a list of options, empty as it may be.
    fn always_said(&self) -> bool {
        true
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        super::check(self, facts, out);
    }
}
