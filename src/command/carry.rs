//! Carrying out a plan: its steps as messages, many at a time, with the waits that some of them need.

use crate::facts::{Facts, Links};
use crate::kernel::{Error, Kernel, Lack, Sent};
use crate::kind::filter::u32::U32;
use crate::netlink::{self, Message};
use crate::plan::{Plan, Step, Subject, Verb};
use crate::tree::{Id, Object, block_of};
use crate::unit::Handle;
use compact_str::CompactString;
use nix::errno::Errno;
use std::collections::HashSet;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Messages between two looks at what was refused: what follows a refusal in its own window is still done by the kernel,
/// so a window that is too long does too much in vain.
const WINDOW: usize = 100;
/// How long a plan waits for packets in classes that go, in all of its interfaces together: nothing new comes to these
/// classes any more, and a queue that is longer than a second of its rate was too long before.
const DRAINED: Duration = Duration::from_secs(1);
/// How long it waits for the kernel to let go of tables of u32, and of chains with their templates.
const FREED: Duration = Duration::from_secs(5);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(5);

/// Why a plan was not carried out to its end.
pub(super) enum Stop {
    /// The kernel refused a step.
    Refused(Box<Refused>),
    /// Whoever looks on between two windows wants no more, after that many steps.
    Halted(usize),
}

/// A step that the kernel refused.
pub(super) struct Refused {
    /// The step.
    pub step: Step,
    /// Why.
    pub error: Error,
    /// The kinds that the kernel lacks, if that is why.
    pub lacks: Vec<Lack>,
}

fn stop(step: &Step, error: Error) -> Stop {
    Stop::Refused(Box::new(Refused { step: step.clone(), error, lacks: Vec::new() }))
}

/// What a step needs time for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// Nothing.
    No,
    /// A class goes, and the kernel would throw away what waits in it.
    Packets,
    /// A hash table of u32 goes. The kernel counts who leads to it, and takes a filter that is gone from the count some time
    /// later (`tcf_queue_work`): until then it says that the table is busy.
    Table,
    /// A filter goes into a chain whose template went. The kernel keeps both until it has freed the last action that sends
    /// there, some time after its filter is gone: until then it says that the filter does not fit.
    Chain,
}

/// A chain of filters: interface, parent and number.
type Chain = (CompactString, Handle, u32);

/// The chains whose template goes with a plan, and which get no other.
fn bare(plan: &Plan) -> HashSet<Chain> {
    let templates = |verb: Verb| {
        let steps = plan.steps.iter().filter(move |step| step.verb == verb);
        steps.filter_map(|step| match &step.subject {
            Subject::Object(object) if object.template => chain(step, object),
            _ => None,
        })
    };
    let made: HashSet<Chain> = templates(Verb::Add).collect();
    templates(Verb::Delete).filter(|chain| !made.contains(chain)).collect()
}

fn chain(step: &Step, object: &Object) -> Option<Chain> {
    match object.id {
        Id::Filter { parent, chain, .. } => Some((step.interface.clone(), parent, chain)),
        _ => None,
    }
}

fn wait(step: &Step, bare: &HashSet<Chain>) -> Wait {
    match &step.subject {
        Subject::Object(object)
            if step.verb == Verb::Add && chain(step, object).is_some_and(|chain| bare.contains(&chain)) =>
        {
            Wait::Chain
        }
        Subject::Object(object) if step.verb == Verb::Delete => match object.id {
            Id::Class { .. } => Wait::Packets,
            _ if object.options.as_kind::<U32>().is_some_and(U32::is_table) => Wait::Table,
            _ => Wait::No,
        },
        _ => Wait::No,
    }
}

/// Carries out a plan, and says how many packets were lost with classes that went; stops at the first refusal. `tick` is
/// told how many steps are done, and says whether to go on.
pub(super) fn carry_out(
    kernel: &mut Kernel,
    plan: &Plan,
    facts: &dyn Fn(&str) -> Facts,
    tick: &mut dyn FnMut(usize) -> bool,
) -> Result<u64, Stop> {
    kernel.begin();
    let mut way = Way { kernel, facts, links: None, drained: None, lost: 0, bare: bare(plan) };
    let mut at = 0;
    while let Some(step) = plan.steps.get(at) {
        if let Subject::Link(change, _) = &step.subject {
            way.kernel.change_link(&step.interface, change).map_err(|e| stop(step, e))?;
            way.links = None;
            at += 1;
            continue;
        }
        let rest = plan.steps.get(at..).unwrap_or(&[]);
        at += way.window(step, rest)?;
        if !tick(at) && at < plan.steps.len() {
            return Err(Stop::Halted(at));
        }
    }
    Ok(way.lost)
}

/// On the way to the kernel.
struct Way<'k> {
    kernel: &'k mut Kernel,
    facts: &'k dyn Fn(&str) -> Facts,
    /// The links by name and number, until one is made or taken away.
    links: Option<Arc<Links>>,
    /// When waiting for packets ends, once it has begun.
    drained: Option<Instant>,
    lost: u64,
    /// See [`bare`].
    bare: HashSet<Chain>,
}

impl Way<'_> {
    /// Sends the steps from `step` on that may go together, and says how many they were.
    fn window(&mut self, step: &Step, rest: &[Step]) -> Result<usize, Stop> {
        let kind = wait(step, &self.bare);
        let together =
            |s: &&Step| wait(s, &self.bare) == kind && (kind != Wait::Packets || s.interface == step.interface);
        let sent = |s: &&Step| !matches!(s.subject, Subject::Link(..));
        let run: Vec<&Step> = rest.iter().take_while(together).take_while(sent).take(WINDOW).collect();
        let messages = self.messages(&run)?;
        if kind == Wait::Packets {
            self.drain(&run).map_err(|e| stop(step, e))?;
        }
        let sent = match kind {
            Wait::Table => self.send_until_freed(&messages, Errno::EBUSY),
            Wait::Chain => self.send_until_freed(&messages, Errno::EINVAL),
            Wait::No | Wait::Packets => self.kernel.send(&messages),
        };
        let sent = sent.map_err(|e| stop(step, e))?;
        let Some((i, error)) = sent.refused.into_iter().next() else { return Ok(run.len()) };
        let step = run.get(i).copied().unwrap_or(step);
        let lacks = match (&step.subject, messages.get(i)) {
            (Subject::Object(object), Some(message)) => error.lacks(object, message),
            _ => Vec::new(),
        };
        Err(Stop::Refused(Box::new(Refused { step: step.clone(), error, lacks })))
    }

    fn links(&mut self) -> Result<Arc<Links>, Error> {
        if let Some(known) = &self.links {
            return Ok(Arc::clone(known));
        }
        let read = self.kernel.links()?;
        let table = Links::new(read.iter().map(|l| (l.index, l.name.as_str().into())));
        Ok(Arc::clone(self.links.insert(Arc::new(table))))
    }

    fn messages(&mut self, run: &[&Step]) -> Result<Vec<Message>, Stop> {
        let mut messages = Vec::with_capacity(run.len());
        let mut known: Option<(&str, u32, Facts)> = None;
        for step in run {
            if known.as_ref().is_none_or(|(name, ..)| *name != step.interface) {
                let links = self.links().map_err(|e| stop(step, e))?;
                let index = match links.index_of(&step.interface) {
                    Some(index) => index,
                    None if block_of(&step.interface).is_some() => netlink::BLOCK,
                    None => self.kernel.link(&step.interface).map_err(|e| stop(step, e))?.index,
                };
                known = Some((&step.interface, index, Facts { links, ..(self.facts)(&step.interface) }));
            }
            let Some((_, index, facts)) = &known else { continue };
            match &step.subject {
                Subject::Object(object) => messages.push(netlink::encode(object, step.verb, *index, facts)),
                Subject::Action(act, _) => messages.push(netlink::change_action(act, facts)),
                Subject::Link(..) => {}
            }
        }
        Ok(messages)
    }

    /// Waits until nothing waits in classes of one interface that are about to go.
    fn drain(&mut self, run: &[&Step]) -> Result<(), Error> {
        let Some(first) = run.first() else { return Ok(()) };
        let Some(index) = self.links()?.index_of(&first.interface) else { return Ok(()) };
        let handle = |step: &&Step| match &step.subject {
            Subject::Object(object) => object.handle(),
            Subject::Action(..) | Subject::Link(..) => None,
        };
        let going: HashSet<Handle> = run.iter().filter_map(handle).collect();
        loop {
            let waits = self.kernel.waiting(index, &going)?;
            let end = *self.drained.get_or_insert_with(|| Instant::now() + DRAINED);
            if waits == 0 || Instant::now() >= end {
                self.lost += waits;
                return Ok(());
            }
            sleep(PAUSE);
        }
    }

    /// Sends again what the kernel refuses with this error as long as it has not freed something.
    fn send_until_freed(&mut self, messages: &[Message], not_yet: Errno) -> Result<Sent, Error> {
        let end = Instant::now() + FREED;
        let mut sent = self.kernel.send(messages)?;
        while Instant::now() < end
            && !sent.refused.is_empty()
            && sent.refused.iter().all(|(_, error)| error.is(not_yet))
        {
            sleep(PAUSE);
            let again: Vec<usize> = sent.refused.iter().map(|(i, _)| *i).collect();
            let messages: Vec<Message> = again.iter().filter_map(|i| messages.get(*i)).cloned().collect();
            sent = self.kernel.send(&messages)?;
            sent.refused.iter_mut().for_each(|(i, _)| *i = again.get(*i).copied().unwrap_or_default());
        }
        Ok(sent)
    }
}
