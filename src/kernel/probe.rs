//! What the kernel has, found out by asking it for a little of each in a namespace that is thrown away: a kind is there if
//! the kernel finds it, however it likes the rest of the request.

use super::{Error, Kernel};
use crate::doctor::{Answer, Feature, Thing};
use crate::facts::Facts;
use crate::kind::action::{Act, Actions, ct};
use crate::kind::wire::{Attributes, NESTED, Payload};
use crate::kind::{self, Role, read_tc};
use crate::netlink::{self, Message, messages};
use crate::plan::{LinkChange, Verb};
use crate::tree::{Blocks, Id, Object};
use crate::unit::{Handle, Octets, Reader, Words};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};

// attributes, include/uapi/linux/rtnetlink.h, pkt_sched.h, pkt_cls.h, tc_act/tc_police.h
const OPTIONS: u16 = 2;
const CHAIN: u16 = 11;
const INGRESS_BLOCK: u16 = 13;
const TBF_RATE64: u16 = 4;
const HTB_RATE64: u16 = 6;
const U32_MARK: u16 = 10;
const U32_COUNTERS: u16 = 9;
const TAB: u16 = 1;
const ACT_KIND: u16 = 1;
const ACT_OPTIONS: u16 = 2;
const ACT_HW_STATS: u16 = 8;
const POLICE_PACKET_RATE: u16 = 10;
/// Any number in a [`has`] path: the places of a list.
const ANY: u16 = 0;

/// Octets of `struct tcmsg` and `struct tcamsg`.
const TC: usize = 20;
const ACT: usize = 4;

/// Filters with words that match all, of which some kernel may have one only.
const FILTERS: [(&str, &str); 5] =
    [("u32", "match u32 0 0"), ("matchall", ""), ("basic", ""), ("flower", ""), ("fw", "")];
/// Qdiscs that filters can hang on, of which some kernel may have one only.
const HOLDERS: [&str; 8] = ["prio", "htb", "drr", "hfsc", "fq_codel", "sfq", "multiq", "qfq"];

/// Asks the running kernel for things, in a network namespace of its own on a thread of its own: no link of anybody's is
/// touched. The kernel may load modules for it.
///
/// # Errors
/// No namespace may be made.
pub fn probe(things: &[Thing]) -> Result<Vec<(Thing, Answer)>, Error> {
    let things = things.to_vec();
    let asked = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| Error::errno("make a scratch namespace", errno))?;
        Kernel::open(None)?.probe(&things)
    });
    asked.join().unwrap_or_else(|_| Err(Error::new("ask the kernel for its kinds", "the thread that asked is gone")))
}

impl Kernel {
    /// Asks for things in a [`super::scratch`] namespace, which is littered by it.
    ///
    /// # Errors
    /// The way to the kernel fails.
    pub fn probe(&mut self, things: &[Thing]) -> Result<Vec<(Thing, Answer)>, Error> {
        let lo = self.link("lo")?.index;
        let facts = self.clock.clone();
        let mut probe = Probe { kernel: self, lo, facts, prio: 0 };
        things.iter().map(|thing| Ok((*thing, probe.ask(*thing)?))).collect()
    }
}

struct Probe<'k> {
    kernel: &'k mut Kernel,
    lo: u32,
    facts: Facts,
    prio: u16,
}

const ROOT: Id = Id::Qdisc { parent: Handle::ROOT, handle: Handle::new(1, 0) };
const HOOK: Id = Id::Qdisc { parent: Handle::INGRESS, handle: Handle::HOOK };

/// Whether some message of a dump has an attribute at that path of nested attributes, behind a header of so many octets.
fn has(dump: &[u8], header: usize, path: &[u16]) -> bool {
    fn within(payload: Payload, path: &[u16]) -> bool {
        let Some((first, rest)) = path.split_first() else { return true };
        let Ok(attributes) = payload.attributes() else { return false };
        attributes.list.iter().any(|(number, inner)| (*first == ANY || first == number) && within(*inner, rest))
    }
    messages(dump).flatten().any(|m| within(Payload(m.payload.0.get(header..).unwrap_or(&[])), path))
}

fn answer(has: bool) -> Answer {
    if has { Answer::Has } else { Answer::Lacks }
}

/// A refusal that is about the request and not about the kind means that the kind is there.
fn of_refusal(refused: Option<Error>, none: &[Errno]) -> Answer {
    match refused {
        None => Answer::Has,
        Some(e) if none.iter().any(|errno| e.is(*errno)) => Answer::Lacks,
        Some(e) if e.is(Errno::EPERM) || e.is(Errno::EACCES) => Answer::Unknown(e.to_string()),
        Some(_) => Answer::Has,
    }
}

impl Probe<'_> {
    fn ask(&mut self, thing: Thing) -> Result<Answer, Error> {
        let answer = match thing {
            Thing::Kind(Role::Qdisc, name) => self.qdisc(name),
            Thing::Kind(Role::Filter, name) => self.filter(name),
            Thing::Kind(Role::Action, name) => self.action(name),
            Thing::Device(name) => self.device(name),
            Thing::Feature(feature) => self.feature(feature),
        };
        self.clear()?;
        answer
    }

    /// Sends one message; the refusal if there is one.
    fn send(&mut self, message: Message) -> Result<Option<Error>, Error> {
        Ok(self.kernel.send(&[message])?.refused.into_iter().next().map(|(_, error)| error))
    }

    fn set(&mut self, object: &Object, verb: Verb) -> Result<Option<Error>, Error> {
        self.send(netlink::encode(object, verb, self.lo, &self.facts))
    }

    fn dump(&mut self, kind: u16, parent: Handle) -> Result<Vec<u8>, Error> {
        self.kernel.netlink.dump(&Message::dump_tc(kind, self.lo, parent.0))
    }

    /// Takes away what a question has left.
    fn clear(&mut self) -> Result<(), Error> {
        for id in [ROOT, HOOK] {
            let Id::Qdisc { parent, .. } = id else { continue };
            // whatever its kind and number
            self.set(&Object::unknown(Id::Qdisc { parent, handle: Handle(0) }, ""), Verb::Delete)?;
        }
        Ok(())
    }

    fn qdisc(&mut self, name: &str) -> Result<Answer, Error> {
        let place = if ["ingress", "clsact"].contains(&name) { HOOK } else { ROOT };
        let refused = self.set(&Object::unknown(place, name), Verb::Add)?;
        Ok(match refused {
            // a kernel without traffic control at all says so of every kind; one that has it, of devices that a kind is
            // not for
            Some(e) if e.is(Errno::EOPNOTSUPP) && e.text.is_none() && !self.schedules()? => Answer::Lacks,
            refused => of_refusal(refused, &[Errno::ENOENT]),
        })
    }

    /// Whether there is any scheduling: the dump of qdiscs is answered.
    fn schedules(&mut self) -> Result<bool, Error> {
        Ok(self.dump(netlink::RTM_GETQDISC, Handle(0)).is_ok())
    }

    /// Something that filters can hang on: the hook, or else a discipline.
    fn holder(&mut self) -> Result<Option<Handle>, Error> {
        match self.set(&Object::unknown(HOOK, "ingress"), Verb::Add)? {
            None => Ok(Some(Handle::HOOK)),
            Some(_) => self.root_holder(),
        }
    }

    /// A discipline that filters can hang on.
    fn root_holder(&mut self) -> Result<Option<Handle>, Error> {
        for name in HOLDERS {
            if self.set(&Object::unknown(ROOT, name), Verb::Add)?.is_none() {
                return Ok(Some(Handle::new(1, 0)));
            }
        }
        Ok(None)
    }

    fn id(&mut self, parent: Handle, chain: u32) -> Id {
        self.prio += 1;
        Id::Filter { parent, chain, prio: self.prio, protocol: 3, handle: 0 }
    }

    fn filter(&mut self, name: &str) -> Result<Answer, Error> {
        let Some(parent) = self.holder()? else { return Ok(unheld()) };
        let id = self.id(parent, 0);
        let refused = self.set(&Object::unknown(id, name), Verb::Add)?;
        Ok(of_refusal(refused, &[Errno::ENOENT, Errno::EOPNOTSUPP]))
    }

    /// `struct tcamsg` and a list of one action.
    fn act(kind: u16, flags: u16, fill: impl FnOnce(&mut Attributes)) -> Message {
        let mut body = Attributes { bytes: vec![0; ACT] };
        body.nest(TAB | NESTED, |tab| tab.nest(1 | NESTED, fill));
        Message { kind, flags: NLM_F_REQUEST | flags, body: body.bytes }
    }

    fn action(&mut self, name: &str) -> Result<Answer, Error> {
        let message = Self::act(netlink::RTM_NEWACTION, NLM_F_CREATE | NLM_F_EXCL, |a| a.text(ACT_KIND, name));
        Ok(of_refusal(self.send(message)?, &[Errno::ENOENT, Errno::EOPNOTSUPP]))
    }

    /// Whether an action that is made with these words, and more, comes back with an attribute.
    fn action_keeps(
        &mut self,
        name: &'static str,
        words: &str,
        more: &[(u16, &[u8])],
        path: &[u16],
    ) -> Result<Answer, Error> {
        let Some(options) = options(Role::Action, name, words, &self.facts) else { return Ok(unheld()) };
        let facts = self.facts.clone();
        let message = Self::act(netlink::RTM_NEWACTION, NLM_F_CREATE | NLM_F_EXCL, |a| {
            a.text(ACT_KIND, name);
            a.nest(ACT_OPTIONS | NESTED, |o| options.encode(o, &facts));
            more.iter().for_each(|(number, bytes)| a.raw(*number, bytes));
        });
        match self.send(message)? {
            None => {}
            Some(_) if self.action(name)? == Answer::Lacks => {
                return Ok(Answer::Unknown(format!("it takes the action `{name}`, which is missing")));
            }
            Some(_) => return Ok(Answer::Lacks),
        }
        let list = Self::act(netlink::RTM_GETACTION, 0, |a| a.text(ACT_KIND, name));
        let dump = self.kernel.netlink.dump(&Message::dump(list.kind, list.body))?;
        let path: Vec<u16> = [TAB, ANY].iter().chain(path).copied().collect();
        let kept = has(&dump, ACT, &path);
        let flush = Self::act(netlink::RTM_DELACTION, netlink_packet_core::NLM_F_ROOT, |a| a.text(ACT_KIND, name));
        self.send(flush)?;
        Ok(answer(kept))
    }

    fn device(&mut self, kind: &str) -> Result<Answer, Error> {
        const NAME: &str = "probe";
        match self.kernel.create_link(NAME, kind, 1) {
            Ok(()) => {
                self.kernel.change_link(NAME, &LinkChange::Remove(kind.into()))?;
                Ok(Answer::Has)
            }
            // "Unknown device type"
            Err(e) => Ok(of_refusal(Some(e), &[Errno::EOPNOTSUPP])),
        }
    }

    /// Makes a filter of whatever kind there is; false if there is none.
    fn any_filter(&mut self, parent: Handle, chain: u32) -> Result<bool, Error> {
        for (name, words) in FILTERS {
            let id = self.id(parent, chain);
            if let (Some(kind), Some(options)) =
                (kind::find(Role::Filter, name), options(Role::Filter, name, words, &self.facts))
                && self.set(&Object::new(id, kind, options), Verb::Add)?.is_none()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn feature(&mut self, feature: Feature) -> Result<Answer, Error> {
        match feature {
            Feature::Rate64 => self.rate64(),
            Feature::PacketRate => {
                let words = "pkts_rate 1000 pkts_burst 100 conform-exceed drop/pipe";
                self.action_keeps("police", words, &[], &[ACT_OPTIONS, POLICE_PACKET_RATE])
            }
            // struct nla_bitfield32: immediate statistics only
            Feature::HwStats => {
                let only = [1u32.to_ne_bytes(), 1u32.to_ne_bytes()].concat();
                self.action_keeps("gact", "pass", &[(ACT_HW_STATS, &only)], &[ACT_HW_STATS])
            }
            Feature::U32Mark => self.u32(U32_MARK),
            Feature::U32Counters => self.u32(U32_COUNTERS),
            Feature::ExtendedErrors => {
                // there is no such qdisc to take away
                let nothing = Object::unknown(Id::Qdisc { parent: Handle::new(7, 7), handle: Handle::new(7, 0) }, "");
                Ok(answer(self.set(&nothing, Verb::Delete)?.is_some_and(|e| e.text.is_some())))
            }
            Feature::StrictDumps => Ok(answer(self.kernel.netlink.is_strict())),
            Feature::SharedBlocks => {
                let mut hook = Object::unknown(HOOK, "ingress");
                hook.blocks = Blocks { ingress: 7, ..Blocks::default() };
                match self.set(&hook, Verb::Add)? {
                    Some(e) if e.is(Errno::ENOENT) => {
                        Ok(Answer::Unknown("it takes `ingress`, which is missing".into()))
                    }
                    Some(_) => Ok(Answer::Lacks),
                    None => Ok(answer(has(&self.dump(netlink::RTM_GETQDISC, Handle(0))?, TC, &[INGRESS_BLOCK]))),
                }
            }
            Feature::Chains => {
                let Some(parent) = self.holder()? else { return Ok(unheld()) };
                if !self.any_filter(parent, 7)? {
                    return Ok(Answer::Unknown("no filter is there to try it with".to_owned()));
                }
                Ok(answer(has(&self.dump(netlink::RTM_GETTFILTER, parent)?, TC, &[CHAIN])))
            }
            Feature::Templates => {
                let Some(parent) = self.holder()? else { return Ok(unheld()) };
                let id = self.id(parent, 7);
                let mut chain = netlink::encode(&Object::unknown(id, ""), Verb::Delete, self.lo, &self.facts);
                (chain.kind, chain.flags) = (netlink::RTM_NEWCHAIN, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL);
                Ok(of_refusal(self.send(chain)?, &[Errno::EOPNOTSUPP]))
            }
            Feature::ClsactEgress => self.qdisc("clsact"),
            Feature::CtBelowQdiscs => self.ct(),
        }
    }

    /// A filter below a discipline with the action `ct` and none of its parameters: the place is looked at first.
    fn ct(&mut self) -> Result<Answer, Error> {
        let Some(parent) = self.root_holder()? else { return Ok(unheld()) };
        for (name, words) in FILTERS {
            let (Some(kind), Some(mut options)) =
                (kind::find(Role::Filter, name), options(Role::Filter, name, words, &self.facts))
            else {
                continue;
            };
            let action = options.row("action").and_then(|row| options.slot_mut(row));
            let Some(action) = action else { continue };
            let bare = Act { name: "ct".into(), kind: None, ..Act::of(&ct::KIND, Box::new(kind::raw::Raw::default())) };
            action.copy_from(&Some(Actions::one(bare)));
            let id = self.id(parent, 0);
            match self.set(&Object::new(id, kind, options), Verb::Add)? {
                Some(e) if e.is(Errno::EOPNOTSUPP) && e.text.as_deref().is_none_or(|text| text.contains("ct")) => {
                    return Ok(Answer::Lacks);
                }
                Some(e) if e.is(Errno::EINVAL) => return Ok(Answer::Has),
                Some(_) | None => {}
            }
        }
        Ok(Answer::Unknown("no filter with the action `ct` is there to try it with".to_owned()))
    }

    /// A rate of 40 Gbit/s on the first shaper that is there, and whether it comes back whole.
    fn rate64(&mut self) -> Result<Answer, Error> {
        const WORDS: &str = "rate 40gbit burst 50mb";
        let add = |probe: &mut Self, id, name, words: &str, class: bool| -> Result<bool, Error> {
            let Some(kind) = kind::find(Role::Qdisc, name) else { return Ok(false) };
            let mut made = match kind.class.filter(|_| class) {
                Some(fresh) => fresh(),
                None => (kind.options)(),
            };
            if !fill(made.as_mut(), words, &probe.facts) {
                return Ok(false);
            }
            Ok(probe.set(&Object::new(id, kind, made), Verb::Add)?.is_none())
        };
        if add(self, ROOT, "tbf", &format!("{WORDS} limit 100mb"), false)? {
            return Ok(answer(has(&self.dump(netlink::RTM_GETQDISC, Handle(0))?, TC, &[OPTIONS, TBF_RATE64])));
        }
        let class = Id::Class { parent: Handle::new(1, 0), handle: Handle::new(1, 1) };
        if add(self, ROOT, "htb", "", false)? && add(self, class, "htb", WORDS, true)? {
            return Ok(answer(has(&self.dump(netlink::RTM_GETTCLASS, Handle(0))?, TC, &[OPTIONS, HTB_RATE64])));
        }
        Ok(Answer::Unknown("no shaper is there to try it with".to_owned()))
    }

    /// A u32 filter with a mark, and whether an attribute comes back. Without `CONFIG_CLS_U32_MARK` the mark is taken
    /// without a word and every packet matches.
    fn u32(&mut self, attribute: u16) -> Result<Answer, Error> {
        let Some(parent) = self.holder()? else { return Ok(unheld()) };
        let Some(words) = options(Role::Filter, "u32", "match mark 1 1 match u32 0 0", &self.facts) else {
            return Ok(unheld());
        };
        let mut bytes = Attributes::new();
        words.encode(&mut bytes, &self.facts);
        let id = self.id(parent, 0);
        let mut filter = Object::unknown(id, "u32");
        if let Some(raw) = filter.options.as_kind_mut::<kind::raw::Raw>() {
            raw.bytes = Some(Octets(bytes.bytes));
        }
        match self.set(&filter, Verb::Add)? {
            Some(e) if e.is(Errno::ENOENT) => Ok(Answer::Unknown("it takes the filter `u32`, which is missing".into())),
            Some(_) => Ok(Answer::Lacks),
            None => Ok(answer(has(&self.dump(netlink::RTM_GETTFILTER, parent)?, TC, &[OPTIONS, attribute]))),
        }
    }
}

fn unheld() -> Answer {
    Answer::Unknown("nothing is there that filters could hang on".to_owned())
}

/// Options of a kind by tc's words, complete.
fn options(role: Role, name: &str, words: &str, facts: &Facts) -> Option<Box<dyn kind::Options>> {
    let mut options = (kind::find(role, name)?.options)();
    fill(options.as_mut(), words, facts).then_some(options)
}

fn fill(options: &mut dyn kind::Options, words: &str, facts: &Facts) -> bool {
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    let read = read_tc(options, &mut Words::new(&words), &mut Reader::tc()).is_ok();
    options.complete(facts);
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_attributes_is_followed() {
        let mut body = Attributes { bytes: vec![0; ACT] };
        body.nest(TAB, |tab| tab.nest(3, |act| act.nest(ACT_OPTIONS, |o| o.u64(POLICE_PACKET_RATE, 5))));
        let mut bytes = Vec::new();
        Message { kind: 50, flags: 0, body: body.bytes }.write(1, 0, &mut bytes);
        assert!(has(&bytes, ACT, &[TAB, ANY, ACT_OPTIONS, POLICE_PACKET_RATE]));
        assert!(!has(&bytes, ACT, &[TAB, ANY, ACT_OPTIONS, 9]));
        assert!(!has(&bytes, ACT, &[2]));
    }

    #[test]
    fn a_kind_is_there_unless_the_kernel_says_that_it_is_not() {
        let e = |errno: Errno| Some(Error::errno("", errno));
        assert_eq!(of_refusal(None, &[Errno::ENOENT]), Answer::Has);
        assert_eq!(of_refusal(e(Errno::EINVAL), &[Errno::ENOENT]), Answer::Has);
        assert_eq!(of_refusal(e(Errno::ENOENT), &[Errno::ENOENT]), Answer::Lacks);
        assert!(matches!(of_refusal(e(Errno::EPERM), &[Errno::ENOENT]), Answer::Unknown(_)));
    }
}
