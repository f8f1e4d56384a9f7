//! `tc filter` and `tc chain`.

use super::{Cursor, Head, Listed, Read, Request, Show, Subject, Target, Verb, protocol};
use crate::tree::{Id, Object};
use crate::unit::{Handle, begins};

const FILTER_VERBS: &[(&str, Verb)] = &[
    ("add", Verb::Add),
    ("change", Verb::Change),
    ("replace", Verb::Replace),
    ("delete", Verb::Delete),
    ("get", Verb::Get),
    ("list", Verb::Show),
    ("show", Verb::Show),
    ("lst", Verb::Show),
];

const CHAIN_VERBS: &[(&str, Verb)] = &[
    ("add", Verb::Add),
    ("delete", Verb::Delete),
    ("get", Verb::Get),
    ("list", Verb::Show),
    ("show", Verb::Show),
    ("lst", Verb::Show),
];

const WORDS: &str = "before the kind may stand `dev NAME` or `block N`, `root`, `ingress`, `egress`, `parent 1:`, \
                     `protocol ip`, `prio 1`, `handle N`, `chain N` and `estimator 1s 8s`";

/// The words before the kind.
struct Place<'a> {
    head: Head,
    block: Option<u32>,
    prio: u32,
    protocol: Option<u16>,
    chain: Option<u32>,
    handle: Option<(usize, &'a str)>,
    kind: Option<&'a str>,
}

impl<'a> Cursor<'a> {
    pub(super) fn filter(&mut self, is_chain: bool) -> Read<Request> {
        let verb = self.verb(if is_chain { CHAIN_VERBS } else { FILTER_VERBS })?;
        if verb == Verb::Show {
            return self.show_filters(if is_chain { Listed::Chains } else { Listed::Filters });
        }
        let place = self.filter_place(verb)?;
        // only what makes a filter has a protocol of its own
        let makes = !is_chain && matches!(verb, Verb::Add | Verb::Replace);
        let number = place.protocol.unwrap_or(if makes { protocol::ALL } else { 0 });
        let id = Id::Filter {
            parent: place.head.parent,
            chain: place.chain.unwrap_or(0),
            prio: place.prio as u16,
            protocol: number,
            handle: 0,
        };
        let target = match (place.block, place.head.dev.clone()) {
            (Some(block), _) => Some(Target::Block(block)),
            (None, Some(dev)) => Some(Target::Dev(dev)),
            (None, None) => {
                return Err(self.missing("`dev` or `block`", "write `dev eth0`, or `block 1` for a shared block"));
            }
        };
        if verb == Verb::Get && !is_chain {
            for (there, what) in [
                (place.protocol.is_some(), "`protocol`"),
                (place.prio != 0, "`prio`"),
                (place.handle.is_some(), "`handle`"),
                (place.kind.is_some(), "the kind of filter"),
                (place.block.is_some() || place.head.parent.0 != 0, "`parent`"),
            ] {
                if !there {
                    let like = "name the one: `filter get dev eth0 parent 1: protocol ip prio 1 handle 800::800 u32`";
                    return Err(self.missing(what, like));
                }
            }
        }
        let object = self.object(id, place.kind, place.head.dev.as_deref(), place.handle)?;
        let object = Object { estimator: place.head.estimator, ..object };
        let subject = if is_chain { Subject::Chain(object) } else { Subject::Filter(object) };
        Ok(self.request(verb, target, place.chain, subject))
    }

    /// The words up to the kind; of a list, all words.
    fn filter_place(&mut self, verb: Verb) -> Read<Place<'a>> {
        let mut p = Place {
            head: Head::default(),
            block: None,
            prio: 0,
            protocol: None,
            chain: None,
            handle: None,
            kind: None,
        };
        while let Some(word) = self.words.next() {
            let most = if verb == Verb::Show { u32::MAX } else { 0xffff };
            match word {
                "dev" if p.block.is_some() => return Err(self.both()),
                "dev" => self.dev(&mut p.head.dev)?,
                _ if begins(word, "block") => {
                    if p.block.is_some() {
                        return Err(self.twice("block"));
                    }
                    if p.head.dev.is_some() {
                        return Err(self.both());
                    }
                    self.note("block");
                    p.block = Some(self.number("the number of a block", 0, 1..=u32::MAX)?);
                }
                "root" => self.place(&mut p.head.parent, Handle::ROOT)?,
                "ingress" => self.place(&mut p.head.parent, Handle::HOOK_INGRESS)?,
                "egress" => self.place(&mut p.head.parent, Handle::HOOK_EGRESS)?,
                "parent" => self.parent(&mut p.head.parent)?,
                "handle" if p.handle.is_some() => return Err(self.twice("handle")),
                "handle" => {
                    self.note("handle");
                    let value = self.value("the number of a filter")?;
                    p.handle = Some((self.words.taken() - 1, value));
                }
                _ if begins(word, "preference") || begins(word, "priority") => {
                    if p.prio != 0 {
                        return Err(self.twice(word));
                    }
                    self.note("prio");
                    p.prio = self.number("a priority", 0, 0..=most)?;
                }
                _ if begins(word, "protocol") => {
                    if p.protocol.is_some() {
                        return Err(self.twice("protocol"));
                    }
                    self.note("protocol");
                    p.protocol = Some(self.read("a protocol", protocol::read)?);
                }
                _ if begins(word, "chain") => {
                    if p.chain.is_some() {
                        return Err(self.twice("chain"));
                    }
                    self.note("chain");
                    p.chain = Some(self.number("the number of a chain", 0, 0..=u32::MAX)?);
                }
                _ if begins(word, "estimator") && matches!(verb, Verb::Get | Verb::Show) => {
                    p.kind = Some(word);
                    break;
                }
                _ if begins(word, "estimator") => self.estimator(&mut p.head.estimator)?,
                _ if begins(word, "help") => return Err(self.asked(WORDS)),
                _ => {
                    p.kind = Some(word);
                    break;
                }
            }
        }
        Ok(p)
    }

    fn both(&self) -> super::Wrong {
        self.wrong("filters stand on a link or in a shared block", "leave `dev` or `block` out")
    }

    fn show_filters(&mut self, of: Listed) -> Read<Request> {
        let place = self.filter_place(Verb::Show)?;
        if let Some(word) = place.kind {
            return Err(self.wrong(
                format!("`{word}` chooses no filter"),
                "choose by `dev NAME` or `block N`, `root`, `ingress`, `egress`, `parent 1:`, `protocol`, `prio` and `chain`",
            ));
        }
        let show = Show {
            parent: place.head.parent,
            prio: place.prio,
            protocol: place.protocol.unwrap_or(0),
            ..Show::all(of)
        };
        let target = place.block.map(Target::Block).or(place.head.dev.map(Target::Dev));
        Ok(self.request(Verb::Show, target, place.chain, Subject::Show(show)))
    }
}
