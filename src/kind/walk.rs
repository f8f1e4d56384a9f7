//! How a packet goes through filters, actions and disciplines: what each kind says of it in its own file, and what it may
//! ask of whoever leads the packet ([`crate::classify`]).
//!
//! Nothing is guessed. What a packet does not show (what connection tracking knows, whether a policer is exceeded) is a
//! question to [`Walk::settle`], and the answer stands in the result.

use super::Options;
use super::action::{Actions, Control};
use crate::packet::{Octet, Packet};
use crate::unit::{Handle, Mark};
use std::borrow::Cow;

/// Whether a filter takes a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Takes {
    /// It does not.
    No,
    /// It does.
    Yes,
    /// It does if this is so, which the packet does not show: "the connection is established".
    If(Cow<'static, str>),
}

impl Takes {
    /// Both.
    #[must_use]
    pub fn and(self, other: impl FnOnce() -> Takes) -> Takes {
        match self {
            Takes::No => Takes::No,
            Takes::Yes => other(),
            Takes::If(this) => match other() {
                Takes::No => Takes::No,
                Takes::Yes => Takes::If(this),
                Takes::If(that) => Takes::If(format!("{this} and {that}").into()),
            },
        }
    }

    /// One of them.
    #[must_use]
    pub fn or(self, other: impl FnOnce() -> Takes) -> Takes {
        match self {
            Takes::Yes => Takes::Yes,
            Takes::No => other(),
            Takes::If(this) => match other() {
                Takes::Yes => Takes::Yes,
                Takes::No => Takes::If(this),
                Takes::If(that) => Takes::If(format!("{this} or {that}").into()),
            },
        }
    }

    /// The opposite.
    #[must_use]
    pub fn negated(self) -> Takes {
        match self {
            Takes::No => Takes::Yes,
            Takes::Yes => Takes::No,
            Takes::If(this) => Takes::If(format!("not ({this})").into()),
        }
    }

    /// Whether a number of the packet is as it should be; one that is beyond its end never is.
    pub fn number(octet: Octet, is: impl FnOnce(u32) -> bool) -> Takes {
        match octet {
            Octet::Is(n) => is(n).into(),
            Octet::Beyond => Takes::No,
            Octet::Cut => Takes::cut(),
        }
    }

    /// What the capture has left out would have to be known.
    pub fn cut() -> Takes {
        Takes::If("what the capture has cut off is as the filter wants it".into())
    }
}

impl From<bool> for Takes {
    fn from(is: bool) -> Takes {
        if is { Takes::Yes } else { Takes::No }
    }
}

/// A mark under a mask.
pub fn marked(packet: &Packet, mark: Mark) -> bool {
    packet.meta.mark & mark.mask == mark.value
}

/// Whether a packet came in by that link (`tcf_match_indev`).
pub fn came_by(packet: &Packet, link: Option<&str>) -> bool {
    link.is_none_or(|link| packet.meta.iif.as_deref() == Some(link))
}

/// A filter among those that are asked.
#[derive(Clone, Copy, Debug)]
pub struct Filter<'a> {
    /// Which object of its branch.
    pub object: usize,
    /// Its chain.
    pub chain: u32,
    /// Its priority.
    pub prio: u16,
    /// Its protocol.
    pub protocol: u16,
    /// Its number.
    pub handle: u32,
    /// Its options.
    pub options: &'a dyn Options,
}

impl<'a> Filter<'a> {
    /// Its actions.
    pub fn actions(&self) -> Option<&'a Actions> {
        let slot = self.options.slot(self.options.row(ACTION)?)?;
        slot.as_any().downcast_ref::<Option<Actions>>()?.as_ref()
    }
}

/// The row of actions.
const ACTION: &str = "action";

/// The filters of one priority and protocol (`struct tcf_proto`), made ready to be asked.
pub trait Asked {
    /// What becomes of the packet: [`Control::CONTINUE`] if none of them takes it.
    fn ask(&self, walk: &mut dyn Walk) -> Control;
}

/// Filters that are asked one after the other.
struct InTurn<'a> {
    filters: Vec<Filter<'a>>,
    /// Whether the first that takes the packet is the last that is asked, even if its actions say `continue`.
    once: bool,
}

impl Asked for InTurn<'_> {
    fn ask(&self, walk: &mut dyn Walk) -> Control {
        for filter in &self.filters {
            let takes = filter.options.takes(walk.packet(), filter.handle);
            if !walk.decide(takes) {
                continue;
            }
            let control = walk.take(filter, filter.options.value("flowid"));
            if control.0 >= 0 || self.once {
                return control;
            }
        }
        Control::CONTINUE
    }
}

fn asked<'a>(filters: Vec<Filter<'a>>, once: bool) -> Box<dyn Asked + 'a> {
    Box::new(InTurn { filters, once })
}

/// Filters that are asked in the order of their making.
pub fn in_turn<'a>(priorities: Vec<Vec<Filter<'a>>>) -> Vec<Box<dyn Asked + 'a>> {
    priorities.into_iter().map(|filters| asked(filters, false)).collect()
}

/// Filters of which the youngest is asked first.
pub fn youngest_first<'a>(priorities: Vec<Vec<Filter<'a>>>) -> Vec<Box<dyn Asked + 'a>> {
    priorities.into_iter().map(|filters| asked(filters.into_iter().rev().collect(), false)).collect()
}

/// Filters of which only the first that takes the packet is asked, in the order of their making.
pub fn once<'a>(priorities: Vec<Vec<Filter<'a>>>) -> Vec<Box<dyn Asked + 'a>> {
    priorities.into_iter().map(|filters| asked(filters, true)).collect()
}

/// Where a discipline puts a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Into a class, or the discipline below it.
    Class(Handle),
    /// Into a queue of its own that nothing shapes ([`super::qdisc::htb`]).
    Direct,
    /// Into one of its own queues: "band 1", "a queue of its flow".
    Queue(Cow<'static, str>),
    /// Nowhere, for this reason.
    Drop(Cow<'static, str>),
    /// It is gone: an action has sent it elsewhere.
    Gone,
}

/// What filters have said to a discipline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The verdict; [`Control::CONTINUE`] if no filter took the packet.
    pub control: Control,
    /// The class, if one was said.
    pub class: Handle,
}

impl Answer {
    /// What every classful discipline makes of a verdict first: `None` to go on.
    pub fn ends(self) -> Option<Choice> {
        match self.control {
            Control::DROP => Some(Choice::Drop("an action drops it".into())),
            Control::STOLEN | Control::QUEUED | Control::TRAP => Some(Choice::Gone),
            _ => None,
        }
    }

    /// Whether a filter took the packet.
    pub fn took(self) -> bool {
        self.control.0 >= 0
    }
}

/// Whoever leads a packet.
pub trait Walk {
    /// The packet.
    fn packet(&self) -> &Packet;
    /// The packet, to be written by an action.
    fn packet_mut(&mut self) -> &mut Packet;
    /// Whether something is so that the packet does not show.
    fn settle(&mut self, question: &str) -> bool;
    /// Notes a step on the way, at a filter or without.
    fn note(&mut self, filter: Option<usize>, text: &dyn Fn() -> String);
    /// Notes that the class which is said next stands for others: which it is, nobody can tell.
    fn one_of(&mut self, text: &str);
    /// Says at which instruction the program returned of the filter that takes the packet next.
    fn returns(&mut self, instruction: usize);
    /// Says that a filter takes the packet, and sets the class.
    fn reach(&mut self, filter: &Filter, class: Option<Handle>);
    /// Runs actions.
    fn run(&mut self, actions: &Actions) -> Control;
    /// Sends the packet, or a copy of it, to another link: to its egress, or as if it had arrived there.
    fn send(&mut self, link: &str, arrives: bool, copy: bool);

    /// The discipline that chooses.
    fn discipline(&self) -> Handle;
    /// Whether that class is there, and whether it has classes below.
    fn class(&self, class: Handle) -> Option<Class>;
    /// Asks the filters of the discipline or of a class.
    fn ask(&mut self, parent: Handle) -> Answer;
    /// Whether it has any.
    fn has_filters(&self, parent: Handle) -> bool;

    /// A filter takes the packet, and its actions are run if it has any.
    fn take(&mut self, filter: &Filter, class: Option<Handle>) -> Control {
        self.reach(filter, class);
        filter.actions().map_or(Control::PASS, |actions| self.run(actions))
    }

    /// Settles an answer.
    fn decide(&mut self, takes: Takes) -> bool {
        match takes {
            Takes::No => false,
            Takes::Yes => true,
            Takes::If(question) => self.settle(&question),
        }
    }
}

/// What is known of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// Levels of classes below it: 0 for a leaf.
    pub level: u32,
}
