//! One packet on its way.

use super::{End, Model, Place, Ready, Side, Step, Stop, Verdict};
use crate::kind::Children;
use crate::kind::action::{Actions, Control};
use crate::kind::walk::{Answer, Choice, Class, Filter, Walk};
use crate::packet::Packet;
use crate::unit::{Handle, Unit};
use compact_str::CompactString;

/// Turns back to the first filter, and to other chains (`max_reclassify_loop`).
const MOST_TURNS: u32 = 16;
/// Links that a packet is sent on to (`MIRRED_NEST_LIMIT`).
const MOST_LINKS: usize = 4;
/// The longest list of actions (`TCA_ACT_MAX_PRIO`), and so the most jumps.
const MOST_JUMPS: u32 = 32;

pub(super) struct Leader<'m, 't> {
    model: &'m Model<'t>,
    packet: Packet,
    /// Answers that are given.
    given: &'m [(String, bool)],
    verdict: Verdict,
    steps: bool,
    /// Where it is: the link, and the branch whose objects are meant.
    link: CompactString,
    branch: Side,
    ready: Option<&'m Ready<'t>>,
    discipline: Handle,
    /// What the filter that took it last has said.
    class: Handle,
    /// The filter that took it last.
    took: Option<Place>,
    /// The instruction at which its program returned.
    returned: Option<usize>,
    /// Where an action has sent it.
    sent: Option<(CompactString, Side)>,
}

impl<'m, 't> Leader<'m, 't> {
    pub(super) fn lead(
        model: &'m Model<'t>,
        link: &str,
        side: Side,
        packet: &Packet,
        given: &'m [(String, bool)],
        steps: bool,
    ) -> Verdict {
        let verdict = Verdict {
            stops: Vec::new(),
            end: End::Up,
            rules: Vec::new(),
            one_of: None,
            settled: Vec::new(),
            trail: Vec::new(),
        };
        let mut leader = Leader {
            model,
            packet: packet.clone(),
            given,
            verdict,
            steps,
            link: link.into(),
            branch: side,
            ready: None,
            discipline: Handle(0),
            class: Handle(0),
            took: None,
            returned: None,
            sent: None,
        };
        leader.sent = Some((link.into(), side));
        for _ in 0..MOST_LINKS {
            let Some((link, side)) = leader.sent.take() else { break };
            leader.verdict.end = match side {
                Side::Egress => leader.leaves(&link),
                Side::Ingress => leader.arrives(&link),
            };
        }
        if leader.sent.is_some() {
            leader.verdict.end = End::Dropped(format!("it was sent from link to link {MOST_LINKS} times"));
        }
        leader.verdict
    }

    fn say(&mut self, place: Option<usize>, text: impl FnOnce() -> String) {
        if self.steps {
            let place = place.map(|object| self.place(object));
            self.verdict.trail.push(Step { place, text: text(), link: false });
        }
    }

    fn comes(&mut self, text: impl FnOnce() -> String) {
        if self.steps {
            self.verdict.trail.push(Step { place: None, text: text(), link: true });
        }
    }

    fn place(&self, object: usize) -> Place {
        Place { link: self.link.clone(), branch: self.branch, object, instruction: None }
    }

    /// What leaves by a link: the hook's filters first, then the root.
    fn leaves(&mut self, link: &CompactString) -> End {
        self.comes(|| format!("leaves by {link}"));
        self.packet.meta.arrives = false;
        self.packet.meta.link = Some(link.clone());
        if let Some(end) = self.hook(link, Side::Egress) {
            return end;
        }
        (self.link, self.branch) = (link.clone(), Side::Egress);
        self.ready = self.model.side(link, Side::Egress);
        self.enqueue(link)
    }

    /// What arrives at a link.
    fn arrives(&mut self, link: &CompactString) -> End {
        self.comes(|| format!("arrives at {link}"));
        self.packet.meta.arrives = true;
        self.packet.meta.link = Some(link.clone());
        self.packet.meta.iif.get_or_insert(link.clone());
        self.hook(link, Side::Ingress).unwrap_or_else(|| {
            self.say(None, || "goes up to the host".to_owned());
            End::Up
        })
    }

    /// The filters of a hook; `None` if the packet goes on (`tc_run` in net/core/dev.c).
    fn hook(&mut self, link: &CompactString, side: Side) -> Option<End> {
        let (ready, name, branch, parent) = self.model.hook(link, side)?;
        (self.link, self.branch, self.ready) = (name, branch, Some(ready));
        self.discipline = parent;
        let answer = self.ask(parent);
        match answer.control {
            Control::PASS | Control::RECLASSIFY => {
                self.packet.meta.tc_index = answer.class.minor();
                None
            }
            Control::DROP => Some(End::Dropped("an action drops it".to_owned())),
            Control::STOLEN | Control::QUEUED => Some(End::Gone("an action has taken it".to_owned())),
            Control::TRAP => Some(End::Gone("it is handed to the processor".to_owned())),
            _ => None,
        }
    }

    /// Down from the root.
    fn enqueue(&mut self, link: &CompactString) -> End {
        let mut parent = Handle::ROOT;
        loop {
            let found = self.ready.and_then(|ready| Some((ready, *ready.disciplines.get(&parent)?)));
            let Some((i, object)) = found.and_then(|(ready, i)| Some((i, ready.branch.objects.get(i)?))) else {
                let queue = match parent {
                    Handle::ROOT => "the link's default discipline".to_owned(),
                    class => format!("the default queue of {}", class.show()),
                };
                self.say(None, || queue.clone());
                return End::Queued { link: link.clone(), queue };
            };
            let handle = object.handle().unwrap_or_default();
            self.discipline = handle;
            self.say(Some(i), String::new);
            let discipline = Some(self.place(i));
            self.verdict.stops.push(Stop { discipline, handle, class: None, object: None, rule: None, chose: false });
            let rules = self.verdict.rules.len();
            let children = object.kind.map_or(Children::None, |kind| kind.children);
            let choice = match object.options.choose(self) {
                Some(choice) => choice,
                None if children == Children::Leaf => Choice::Class(Handle::new(handle.major(), 1)),
                None => {
                    let by = if object.options.takes_filters() { "a queue of its flow's" } else { "its queue" };
                    Choice::Queue(by.into())
                }
            };
            let rule = self.verdict.rules.get(rules..).and_then(<[_]>::last).cloned();
            if let Some(stop) = self.verdict.stops.last_mut() {
                stop.chose = rule.is_some() || children != Children::Leaf && !matches!(choice, Choice::Queue(_));
                stop.rule = rule;
            }
            match choice {
                Choice::Class(class) => {
                    let object = self.ready.and_then(|ready| ready.classes.get(&class)).map(|(i, _)| *i);
                    if children != Children::Leaf {
                        self.say(object, || {
                            if object.is_some() { String::new() } else { format!("band {}", class.show()) }
                        });
                        let place = object.map(|object| self.place(object));
                        if let Some(stop) = self.verdict.stops.last_mut() {
                            (stop.class, stop.object) = (Some(class), place);
                        }
                    }
                    parent = class;
                }
                Choice::Direct => {
                    self.say(None, || "it leaves unshaped".to_owned());
                    return End::Direct { link: link.clone() };
                }
                Choice::Queue(queue) => {
                    self.say(None, || queue.to_string());
                    return End::Queued { link: link.clone(), queue: queue.into_owned() };
                }
                Choice::Drop(why) => {
                    self.say(None, || format!("dropped: {why}"));
                    return End::Dropped(why.into_owned());
                }
                Choice::Gone => return End::Gone("an action has taken it".to_owned()),
            }
        }
    }
}

impl Walk for Leader<'_, '_> {
    fn packet(&self) -> &Packet {
        &self.packet
    }

    fn packet_mut(&mut self) -> &mut Packet {
        &mut self.packet
    }

    fn settle(&mut self, question: &str) -> bool {
        if let Some((_, is)) = self.verdict.settled.iter().find(|(known, _)| known == question) {
            return *is;
        }
        let is = self.given.iter().find(|(known, _)| known == question).is_some_and(|(_, is)| *is);
        self.say(None, || format!("supposed{} to be so: {question}", if is { "" } else { " not" }));
        self.verdict.settled.push((question.to_owned(), is));
        is
    }

    fn note(&mut self, filter: Option<usize>, text: &dyn Fn() -> String) {
        self.say(filter, text);
    }

    fn one_of(&mut self, text: &str) {
        self.say(None, || text.to_owned());
        self.verdict.one_of = Some(text.to_owned());
    }

    fn returns(&mut self, instruction: usize) {
        self.returned = Some(instruction);
    }

    fn reach(&mut self, filter: &Filter, class: Option<Handle>) {
        self.class = class.unwrap_or_default();
        let place = Place { instruction: self.returned.take(), ..self.place(filter.object) };
        if self.steps {
            let text = match class {
                Some(class) => format!("takes it, to {}", class.show()),
                None => "takes it".to_owned(),
            };
            self.verdict.trail.push(Step { place: Some(place.clone()), text, link: false });
        }
        self.took = Some(place);
    }

    /// `tcf_action_exec`.
    fn run(&mut self, actions: &Actions) -> Control {
        let acts: Vec<_> = super::in_software(&actions.0).collect();
        let (mut skip, mut jumps, mut at, mut last) = (0, MOST_JUMPS, 0, Control::PASS);
        while let Some(act) = acts.get(at) {
            at += 1;
            if skip > 0 {
                skip -= 1;
                continue;
            }
            last = act.options.act(self);
            self.say(None, || format!("action {}: {}", act.name, last.show()));
            if let Some(count) = last.jump() {
                let count = usize::try_from(count & 0x1ff).unwrap_or(0);
                jumps -= 1;
                if count == 0 || count > acts.len() || jumps == 0 {
                    return Control::PASS;
                }
                (skip, at) = (count, 0);
            } else if last != Control::PIPE {
                break;
            }
        }
        last
    }

    fn send(&mut self, link: &str, arrives: bool, copy: bool) {
        if copy {
            self.say(None, || format!("a copy goes to {link}"));
            return;
        }
        self.say(None, || format!("goes on to {link}"));
        self.sent = Some((link.into(), if arrives { Side::Ingress } else { Side::Egress }));
    }

    fn discipline(&self) -> Handle {
        self.discipline
    }

    fn class(&self, class: Handle) -> Option<Class> {
        let (_, level) = self.ready?.classes.get(&class)?;
        (class.major() == self.discipline.major()).then_some(Class { level: *level })
    }

    fn has_filters(&self, parent: Handle) -> bool {
        self.ready.is_some_and(|ready| ready.chains.contains_key(&parent))
    }

    /// `__tcf_classify`: chain 0 first, priorities in order, those of the packet's protocol and of all.
    fn ask(&mut self, parent: Handle) -> Answer {
        const NOBODY: Answer = Answer { control: Control::CONTINUE, class: Handle(0) };
        let Some(chains) = self.ready.and_then(|ready| ready.chains.get(&parent)) else { return NOBODY };
        let (mut chain, mut turns) = (0, 0);
        loop {
            let mut again = None;
            for priority in chains.get(&chain).into_iter().flatten() {
                if priority.protocol != 3 && priority.protocol != self.packet.protocol() {
                    continue;
                }
                let control = priority.asked.ask(self);
                if control == Control::RECLASSIFY {
                    again = Some(0);
                } else if let Some(other) = control.chain() {
                    again = Some(other);
                } else if control.0 >= 0 {
                    self.verdict.rules.extend(self.took.take());
                    return Answer { control, class: self.class };
                }
                if again.is_some() {
                    break;
                }
            }
            let Some(next) = again else { return NOBODY };
            turns += 1;
            if turns > MOST_TURNS {
                self.say(None, || format!("the filters were asked again {MOST_TURNS} times: the packet is dropped"));
                return Answer { control: Control::DROP, class: Handle(0) };
            }
            self.say(None, || match next {
                0 => "the filters are asked again".to_owned(),
                chain => format!("on to chain {chain}"),
            });
            chain = next;
        }
    }
}
