//! `plug`: net/sched/sch_plug.c; the words are those of iproute2's q_plug.c, there is no manual page.
//!
//! The kernel never says what a plug holds, so nothing of it can be compared.

use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Fields, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, fits, no_xstats};
use crate::rows;
use crate::unit::{Bytes, Info, Reader, Refusal, Schema, Unit, Words};

rows! {
    /// A queue that lets nothing out until it is told to.
    pub struct Plug {
        /// bytes that may wait
        limit: Bytes = Row::new("limit").computed("the link's txqueuelen, of its largest packets").tool();
        /// what a change does with what waits
        action: Action = Row::new("action").hidden().tool();
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "plug",
    role: Role::Qdisc,
    doc: "holds every packet back until `tc qdisc change … plug release` or `release_indefinite`: for checkpoints of virtual machines",
    options: || Box::new(Plug::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_SCH_PLUG",
    module: "sch_plug",
    // a struct, no attributes
    attributes: &[],
    xstats: no_xstats,
};

/// What is done with what waits: `TCQ_PLUG_…` of include/uapi/linux/pkt_sched.h. A new plug holds everything, whatever is
/// said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Hold what comes from now on.
    Block,
    /// Let out what came before the last block.
    Release,
    /// Let out everything until the next block.
    ReleaseIndefinite,
}

/// `TCQ_PLUG_LIMIT`.
const LIMIT: u32 = 3;

const ACTIONS: [(&str, Action, u32); 3] = [
    ("block", Action::Block, 0),
    ("release", Action::Release, 1),
    ("release_indefinite", Action::ReleaseIndefinite, 2),
];

impl Unit for Action {
    const INFO: Info = Info {
        name: "what to do with what waits",
        spellings: "`block`, `release` or `release_indefinite`",
        schema: Schema::OneOf(&["block", "release", "release_indefinite"]),
    };

    fn read(text: &str, _reader: &mut Reader) -> Result<Self, Refusal> {
        let known = ACTIONS.iter().find(|(word, ..)| *word == text);
        known.map(|(_, action, _)| *action).ok_or_else(|| {
            Refusal::new(format!("`{text}` is nothing that a plug does"))
                .help(format!("write {}", Self::INFO.spellings))
        })
    }

    fn show(&self) -> String {
        ACTIONS.iter().find(|(_, action, _)| action == self).map_or("block", |(word, ..)| word).to_owned()
    }
}

impl Options for Plug {
    /// `struct tc_plug_qopt`, or nothing at all.
    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let Plug { limit, action } = self;
        if limit.is_none() && action.is_none() {
            return;
        }
        let number = ACTIONS.iter().find(|(_, known, _)| Some(*known) == *action).map_or(LIMIT, |(.., n)| *n);
        let limit = u32::try_from(limit.unwrap_or_default().0).unwrap_or(u32::MAX);
        out.bare(&Fields::new().u32(number).u32(limit).0);
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        if payload.0.is_empty() {
            return Ok(());
        }
        let mut c = payload.fields();
        let (number, limit) = (c.u32()?, c.u32()?);
        self.action = ACTIONS.iter().find(|(.., n)| *n == number).map(|(_, action, _)| *action);
        self.limit = (limit != 0 || number == LIMIT).then_some(Bytes(u64::from(limit)));
        Ok(())
    }

    fn tc(&self, out: &mut Vec<String>) {
        let Plug { limit, action } = self;
        out.extend(limit.iter().flat_map(|l| ["limit".to_owned(), l.tc()]));
        out.extend(action.map(|a| a.show()));
    }

    /// Of several words the last one says what is done.
    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if words.take("limit") {
            (self.limit, self.action) = (Some(Bytes::read_words(words, reader)?), None);
            return Ok(true);
        }
        let known = words.peek().and_then(|word| ACTIONS.iter().find(|(name, ..)| *name == word));
        let Some((_, action, _)) = known else { return Ok(false) };
        words.next();
        self.action = Some(*action);
        Ok(true)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        fits("limit", self.limit.map(|l| l.0), u64::from(u32::MAX), out);
        if self.limit == Some(Bytes(0)) {
            let f = Finding::new(&codes::LIMIT_BELOW_PACKET, "limit", "a plug with a limit of 0 drops everything");
            out.push(f.help("write `limit: 1mb`"));
        }
    }
}
