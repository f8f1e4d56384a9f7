//! `hfsc`: net/sched/sch_hfsc.c, tc-hfsc(8), tc-hfsc(7).

use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::walk::{Choice, Walk};
use crate::kind::wire::{Attributes, Fields, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Place, Role, Row, attribute, read_row};
use crate::rows;
use crate::unit::{Curve, Handle, Minor, Rate, Reader, Refusal, Time, Unit, Words};

rows! {
    /// The discipline's own options.
    pub struct Hfsc {
        /// the class for packets that no rule takes; without it they are dropped
        default: Minor = Row::new("default").short().once().default("0");
    }
}

rows! {
    /// A class's options.
    pub struct Class {
        /// real time: what the class is guaranteed and how soon, whatever its parents have; only of classes without classes
        rt: Curve = Row::new("rt").short().percent();
        /// link share: the class's share of what its parent has
        ls: Curve = Row::new("ls").short().percent();
        /// both of them
        sc: Curve = Row::new("sc").short().percent().tool();
        /// upper limit: what the class's link share may come to
        ul: Curve = Row::new("ul").short().percent();
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "hfsc",
    role: Role::Qdisc,
    doc: "hierarchical fair service curves: classes share by curves, which part delay from rate",
    options: || Box::new(Hfsc::default()),
    class: Some(|| Box::new(Class::default())),
    children: Children::Classes,
    change: true,
    writable: true,
    config: "NET_SCH_HFSC",
    module: "sch_hfsc",
    attributes: &[
        attribute("TCA_HFSC_RSC", RSC, &["rt", "sc"]),
        attribute("TCA_HFSC_FSC", FSC, &["ls", "sc"]),
        attribute("TCA_HFSC_USC", USC, &["ul"]),
    ],
    xstats,
};

const RSC: u16 = 1;
const FSC: u16 = 2;
const USC: u16 = 3;

impl Options for Hfsc {
    /// `hfsc_classify`: as of htb, but filters lead downwards only, and what ends nowhere is dropped.
    fn choose(&self, walk: &mut dyn Walk) -> Option<Choice> {
        let this = walk.discipline();
        let named = Handle(walk.packet().meta.priority);
        if walk.class(named).is_some_and(|class| class.level == 0) {
            walk.note(None, &|| format!("the packet's priority is the class {}", named.show()));
            return Some(Choice::Class(named));
        }
        let (mut at, mut above) = (this, u32::MAX);
        while walk.has_filters(at) {
            let answer = walk.ask(at);
            if !answer.took() {
                break;
            }
            if let Some(end) = answer.ends() {
                return Some(end);
            }
            match walk.class(answer.class).filter(|class| class.level < above) {
                Some(class) if class.level == 0 => return Some(Choice::Class(answer.class)),
                Some(class) => {
                    walk.note(None, &|| format!("{} has classes: its own filters go on", answer.class.show()));
                    (at, above) = (answer.class, class.level);
                }
                None => {
                    walk.note(None, &|| format!("there is no class {} below", answer.class.show()));
                    break;
                }
            }
        }
        let default = Handle::new(this.major(), self.default.map_or(0, |n| n.number().unwrap_or(0) as u16));
        if walk.class(default).is_some_and(|class| class.level == 0) {
            walk.note(None, &|| format!("no filter decides: the default, {}", default.show()));
            return Some(Choice::Class(default));
        }
        Some(Choice::Drop("no filter decides, and there is no default".into()))
    }

    fn takes_filters(&self) -> bool {
        true
    }

    /// `struct tc_hfsc_qopt`, of two octets.
    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        out.bare(&Fields::new().u16(self.default.unwrap_or_default().0).0);
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        if !payload.0.is_empty() {
            self.default = Some(Minor(payload.fields().u16()?));
        }
        Ok(())
    }

    fn rest(&self) -> Option<&'static str> {
        Some("are dropped")
    }
}

impl Class {
    /// The curve that a word of the rows stands for, after `sc` has been given to both.
    fn curves(&self) -> [Option<Curve>; 3] {
        [self.rt.or(self.sc), self.ls.or(self.sc), self.ul]
    }

    /// Whether the kernel would give the class its real-time curve as link share too, once classes are below it
    /// (`hfsc_upgrade_rt`).
    pub fn lacks_share(&self) -> bool {
        matches!(self.curves(), [Some(_), None, _])
    }

    /// What is written of its real-time curve, whichever word says it.
    pub fn real_time(&self) -> Option<Curve> {
        self.rt.or(self.sc)
    }
}

impl Options for Class {
    /// They are asked of a class with classes below it.
    fn takes_filters(&self) -> bool {
        true
    }

    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        for (number, curve) in [RSC, FSC, USC].into_iter().zip(self.curves()) {
            let Some(curve) = curve else { continue };
            // struct tc_service_curve: m1, d, m2
            let figures = curve.figures().into_iter().fold(Fields::new(), Fields::u32);
            out.raw(number, &figures.0);
        }
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        let curve = |number| -> Result<Option<Curve>, Malformed> {
            let Some(curve) = attributes.get(number) else { return Ok(None) };
            let mut c = curve.fields();
            Ok(Some(Curve::from_figures([c.u32()?, c.u32()?, c.u32()?])))
        };
        *self = Class { rt: curve(RSC)?, ls: curve(FSC)?, sc: None, ul: curve(USC)? };
        Ok(())
    }

    fn complete(&mut self, _facts: &Facts) {
        let [rt, ls, ul] = self.curves();
        *self = Class { rt, ls, sc: None, ul };
    }

    fn tc(&self, out: &mut Vec<String>) {
        let mut say = |word: &str, curve: Option<Curve>| {
            let Some(curve) = curve else { return };
            out.push(word.to_owned());
            out.extend(curve.tc().split(' ').map(str::to_owned));
        };
        match self.curves() {
            [Some(rt), Some(ls), ul] if rt.same(&ls) => {
                say("sc", Some(rt));
                say("ul", ul);
            }
            [rt, ls, ul] => ["rt", "ls", "ul"].into_iter().zip([rt, ls, ul]).for_each(|(word, curve)| say(word, curve)),
        }
    }

    /// In tc's text the last word wins: `sc` says both curves anew.
    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !reader.tc || !words.take_short("sc") {
            return read_row(self, words, reader);
        }
        let curve = Curve::read_words(words, reader)?;
        (self.rt, self.ls) = (Some(curve), Some(curve));
        Ok(true)
    }

    /// What tc refuses by itself.
    fn settle_tc(&mut self, _place: &mut Place) -> Result<(), Refusal> {
        match self.curves() {
            [None, None, None] => {
                Err(Refusal::coded(&codes::MISSING_OPTION, "a class of hfsc wants a curve: `sc`, or `rt` and `ls`")
                    .help("write `sc rate 1mbit`"))
            }
            [_, None, Some(_)] => {
                Err(Refusal::coded(&codes::MISSING_OPTION, "`ul` limits a link share, and there is none")
                    .help("write `ls` or `sc` with its curve too"))
            }
            _ => Ok(()),
        }
    }

    fn whole(&self) -> [Option<Rate>; 2] {
        let [rt, ls, ul] = self.curves().map(|curve| curve.map(|c| c.m2));
        [ls.or(rt), ul]
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        for (word, curve) in [("rt", self.rt), ("ls", self.ls)] {
            if curve.is_some() && self.sc.is_some() {
                let f = Finding::new(
                    &codes::DUPLICATE_KEY,
                    word,
                    format!("`sc` is `rt` and `ls` at once, and `{word}` is there too"),
                );
                out.push(f.and("sc", "both").help("write `rt` and `ls`, or `sc` alone"));
            }
        }
        let [rt, ls, ul] = self.curves();
        if rt.is_none() && ls.is_none() {
            let message = match ul {
                Some(_) => "`ul` limits a link share, and the class has none",
                None => "a class of hfsc wants a real-time curve or a link share",
            };
            let word = if ul.is_some() { "ul" } else { "ls" };
            out.push(
                Finding::new(&codes::MISSING_OPTION, word, message).help("write `ls: 1mbit`, or `sc: 1mbit` for both"),
            );
            return;
        }
        if let (Some(ul), None) = (ul, ls) {
            let f = Finding::new(&codes::MISSING_OPTION, "ul", "`ul` limits a link share, and the class has none");
            out.push(f.help(format!("write `ls: {}` beside it", ul.m2.show())));
        }
        let words = ["rt", "ls", "ul"].map(|word| match (word, self.sc) {
            ("rt" | "ls", Some(_)) => "sc",
            _ => word,
        });
        let mut seen: Vec<&str> = Vec::new();
        for (word, curve) in words.into_iter().zip([rt, ls, ul]) {
            let Some(Curve { m1, d, m2 }) = curve.filter(|_| !seen.contains(&word)) else { continue };
            seen.push(word);
            let message = match (m1, d) {
                (Rate(0), Time(0)) => continue,
                (_, Time(0..=999)) => {
                    format!("the first piece of `{word}` lasts no time: m1 {} has no effect", m1.show())
                }
                (m1, _) if m1.same(&m2) => {
                    format!("both pieces of `{word}` have the slope {}: d has no effect", m2.show())
                }
                _ => continue,
            };
            out.push(Finding::new(&codes::NO_EFFECT, word, message).help(format!("write `{word}: {}`", m2.show())));
        }
        // `rtsc_y2x`: what comes behind a curve that does not rise comes never
        for (word, curve) in [("ls", ls), ("ul", ul)] {
            let Some(Curve { m1, d, .. }) = curve.filter(|curve| curve.m2.bytes() == 0) else { continue };
            let (word, share) = if word == "ls" { (words[1], "share of the link") } else { (words[2], "upper limit") };
            let message = format!("the {share} of a class that waits falls to nothing after {}", d.show());
            let f = Finding::new(&codes::CURVES, word, message);
            out.push(f.help(format!("write `{word}: {}`, or a slope for afterwards too", m1.show())));
        }
        if let (Some(rt), Some(ul)) = (rt, ul)
            && ul.m2 < rt.m2
        {
            let message = format!(
                "the upper limit {} is below the {} of real time, which it does not hold back",
                ul.m2.show(),
                rt.m2.show()
            );
            let f = Finding::new(&codes::CURVES, "ul", message).and(words[0], "is served first");
            out.push(f.help(format!("write `ul: {}` or more", rt.m2.show())));
        }
    }
}

/// `struct tc_hfsc_stats`, of a class.
fn xstats(payload: Payload, _: &Facts) -> Vec<(&'static str, u64)> {
    let mut c = payload.fields();
    let long = ["work", "rtwork"].map(|name| Some((name, c.u64().ok()?)));
    let short = ["period", "level"].map(|name| Some((name, u64::from(c.u32().ok()?))));
    long.into_iter().chain(short).map_while(|figure| figure).collect()
}
