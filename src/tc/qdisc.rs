//! `tc qdisc` and `tc class`.

use super::{Cursor, Head, Listed, Read, Request, Show, Subject, Target, Verb};
use crate::diagnostic::codes;
use crate::tree::{Blocks, Id, Object};
use crate::unit::{Handle, LinkLayer, Refusal, Stab, begins, integer_of_32, signed_of_32};

const QDISC_VERBS: &[(&str, Verb)] = &[
    ("add", Verb::Add),
    ("change", Verb::Change),
    ("replace", Verb::Replace),
    ("link", Verb::Link),
    ("delete", Verb::Delete),
    ("list", Verb::Show),
    ("show", Verb::Show),
    ("lst", Verb::Show),
];

const CLASS_VERBS: &[(&str, Verb)] = &[
    ("add", Verb::Add),
    ("change", Verb::Change),
    ("replace", Verb::Replace),
    ("delete", Verb::Delete),
    ("list", Verb::Show),
    ("show", Verb::Show),
    ("lst", Verb::Show),
];

const QDISC_WORDS: &str = "before the kind may stand `dev NAME`, `root`, `ingress`, `clsact`, `parent CLASSID`, \
                           `handle 1:`, `estimator 1s 8s`, `stab …`, `ingress_block N` and `egress_block N`";
const CLASS_WORDS: &str = "before the kind may stand `dev NAME`, `root`, `parent CLASSID`, `classid 1:10` and \
                           `estimator 1s 8s`";
const STAB_WORDS: &str = "the words of `stab` are `overhead`, `mpu`, `linklayer`, `mtu` and `tsize`";

impl<'a> Cursor<'a> {
    pub(super) fn qdisc(&mut self) -> Read<Request> {
        let verb = self.verb(QDISC_VERBS)?;
        if verb == Verb::Show {
            return self.show_qdiscs();
        }
        let (mut head, mut handle, mut stab, mut blocks) = (Head::default(), Handle(0), None, Blocks::default());
        let mut kind = None;
        while let Some(word) = self.words.next() {
            match word {
                "dev" => self.dev(&mut head.dev)?,
                "handle" if handle.0 != 0 => return Err(self.twice("handle")),
                "handle" => {
                    self.note("handle");
                    handle = self.read("a handle", Handle::of_qdisc)?;
                }
                "root" => self.place(&mut head.parent, Handle::ROOT)?,
                "clsact" | "ingress" => {
                    self.place(&mut head.parent, Handle::INGRESS)?;
                    handle = Handle::HOOK;
                    kind = Some(word);
                    break;
                }
                "parent" => self.parent(&mut head.parent)?,
                _ if begins(word, "estimator") => self.estimator(&mut head.estimator)?,
                _ if begins(word, "stab") => stab = Some(self.stab()?),
                _ if begins(word, "ingress_block") => {
                    self.note("ingress_block");
                    blocks.ingress = self.number("the number of a block", 0, 1..=u32::MAX)?;
                }
                _ if begins(word, "egress_block") => {
                    self.note("egress_block");
                    blocks.egress = self.number("the number of a block", 0, 1..=u32::MAX)?;
                }
                _ if begins(word, "help") => return Err(self.help(QDISC_WORDS)),
                _ => {
                    kind = Some(word);
                    break;
                }
            }
        }
        let id = Id::Qdisc { parent: head.parent, handle };
        let object = self.object(id, kind, head.dev.as_deref(), None)?;
        let object = Object { stab, blocks, estimator: head.estimator, ..object };
        let target = self.wanted(head.dev)?;
        Ok(self.request(verb, target, None, Subject::Qdisc(object)))
    }

    pub(super) fn class(&mut self) -> Read<Request> {
        let verb = self.verb(CLASS_VERBS)?;
        if verb == Verb::Show {
            return self.show_classes();
        }
        let (mut head, mut handle, mut kind) = (Head::default(), Handle(0), None);
        while let Some(word) = self.words.next() {
            match word {
                "dev" => self.dev(&mut head.dev)?,
                "classid" if handle.0 != 0 => return Err(self.twice("classid")),
                "classid" => {
                    self.note("classid");
                    handle = self.read("the number of a class", Handle::of_class)?;
                }
                "handle" => return Err(self.wrong("a class has no `handle`", "write `classid 1:10`")),
                "root" => self.place(&mut head.parent, Handle::ROOT)?,
                "parent" => self.parent(&mut head.parent)?,
                _ if begins(word, "estimator") => self.estimator(&mut head.estimator)?,
                _ if begins(word, "help") => return Err(self.help(CLASS_WORDS)),
                _ => {
                    kind = Some(word);
                    break;
                }
            }
        }
        let id = Id::Class { parent: head.parent, handle };
        let object = self.object(id, kind, head.dev.as_deref(), None)?;
        let object = Object { estimator: head.estimator, ..object };
        let target = self.wanted(head.dev)?;
        Ok(self.request(verb, target, None, Subject::Class(object)))
    }

    /// `stab`, and its words as long as they follow.
    fn stab(&mut self) -> Read<Stab> {
        let mut stab = Stab::default();
        let at = self.words.taken().saturating_sub(1);
        self.note("stab");
        let mut first = true;
        while let Some(word) = self.words.peek() {
            let full = ["mtu", "mpu", "overhead", "tsize", "linklayer"].into_iter().find(|full| begins(word, full));
            if first && full.is_none() && begins(word, "help") {
                self.words.next();
                return Err(self.help(STAB_WORDS));
            }
            let Some(full) = full else { break };
            first = false;
            self.words.next();
            let said = match full {
                "mtu" => stab.mtu != 0,
                "mpu" => stab.mpu != 0,
                "overhead" => stab.overhead != 0,
                "tsize" => stab.tsize != 0,
                _ => stab.linklayer.is_some(),
            };
            if said {
                return Err(self.twice(full));
            }
            let bytes = |word: &str| integer_of_32(word, 10).ok_or_else(|| figure(word, full));
            match full {
                "mtu" => stab.mtu = self.read("a number of bytes", bytes)?,
                "mpu" => stab.mpu = self.read("a number of bytes", bytes)?,
                "tsize" => stab.tsize = self.read("a number of slots", bytes)?,
                "overhead" => {
                    stab.overhead = self
                        .read("a number of bytes", |word| signed_of_32(word, 10).ok_or_else(|| figure(word, full)))?;
                }
                _ => stab.linklayer = Some(self.read("a link layer", link_layer)?),
            }
        }
        if stab.linklayer.is_none() && stab.mpu == 0 && stab.overhead == 0 {
            let refusal = Refusal::coded(&codes::MISSING_OPTION, "a `stab` that changes no size");
            return Err(super::Wrong::new(at, refusal.help("write `stab overhead 14` or `stab linklayer atm`")));
        }
        Ok(stab)
    }

    fn show_qdiscs(&mut self) -> Read<Request> {
        let (mut show, mut dev) = (Show::all(Listed::Qdiscs), None);
        while let Some(word) = self.words.next() {
            let chosen = show.parent.0 != 0 || show.handle.0 != 0;
            match word {
                // said twice, the last one counts
                "dev" => {
                    self.note("dev");
                    dev = Some(super::cut(self.value("the name of a link")?));
                }
                "invisible" => show.invisible = true,
                _ if begins(word, "help") => return Err(self.asked(QDISC_WORDS)),
                "root" | "ingress" | "clsact" if chosen => return Err(self.chosen()),
                "root" => show.parent = Handle::ROOT,
                "ingress" | "clsact" => show.parent = Handle::INGRESS,
                _ if begins(word, "parent") || begins(word, "handle") => {
                    if chosen {
                        return Err(self.chosen());
                    }
                    match begins(word, "parent") {
                        true => show.parent = self.read("the number of a class or qdisc", Handle::of_class)?,
                        false => show.handle = self.read("a handle", Handle::of_qdisc)?,
                    }
                }
                _ => {
                    return Err(self.wrong(
                        format!("`{word}` chooses no qdisc"),
                        "choose by `dev NAME`, `root`, `ingress`, `parent 1:10`, `handle 1:`, or add `invisible`",
                    ));
                }
            }
        }
        Ok(self.request(Verb::Show, dev.map(Target::Dev), None, Subject::Show(show)))
    }

    fn chosen(&self) -> super::Wrong {
        self.wrong("one qdisc is chosen already", "leave one of `root`, `ingress`, `parent` and `handle` out")
    }

    fn show_classes(&mut self) -> Read<Request> {
        let (mut show, mut dev) = (Show::all(Listed::Classes), None);
        while let Some(word) = self.words.next() {
            match word {
                "dev" => self.dev(&mut dev)?,
                "qdisc" if show.qdisc.0 != 0 => return Err(self.twice("qdisc")),
                "qdisc" => show.qdisc = self.read("a handle", Handle::of_qdisc)?,
                "classid" if show.handle.0 != 0 => return Err(self.twice("classid")),
                "classid" => show.handle = self.read("the number of a class", Handle::of_class)?,
                "root" => self.place(&mut show.parent, Handle::ROOT)?,
                "parent" => self.parent(&mut show.parent)?,
                _ if begins(word, "help") => return Err(self.asked(CLASS_WORDS)),
                _ => {
                    return Err(self.wrong(
                        format!("`{word}` chooses no class"),
                        "choose by `dev NAME`, `qdisc 1:`, `classid 1:10`, `root` or `parent 1:1`",
                    ));
                }
            }
        }
        Ok(self.request(Verb::Show, dev.map(Target::Dev), None, Subject::Show(show)))
    }
}

fn figure(word: &str, of: &str) -> Refusal {
    Refusal::new(format!("`{word}` is not a number for `{of}`")).help(format!("write a bare number: `{of} 64`"))
}

fn link_layer(word: &str) -> Result<LinkLayer, Refusal> {
    let layers = [("ethernet", LinkLayer::Ethernet), ("atm", LinkLayer::Atm), ("adsl", LinkLayer::Atm)];
    let found = layers.into_iter().find(|(full, _)| begins(word, full)).map(|(_, layer)| layer);
    found.ok_or_else(|| Refusal::new(format!("`{word}` is not a link layer")).help("write `ethernet`, `atm` or `adsl`"))
}
