//! `mqprio`: net/sched/sch_mqprio.c, sch_mqprio_lib.c, tc-mqprio(8). What it says of traffic classes `taprio` says too.

use super::prio::PRIORITIES;
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::walk::{Choice, Walk};
use crate::kind::wire::{Attributes, Fields, Malformed, NESTED, Parsed, Payload};
use crate::kind::{
    Children, Finding, Kind, Options, Place, Role, Row, Rows, attribute, no_xstats, read_row, row_words,
};
use crate::rows;
use crate::unit::{
    Count, Info, List, NumberList, Preemption, Queues, Rate, Reader, Refusal, Schema, Unit, Words, begins,
};

rows! {
    /// Traffic classes and their queues.
    pub struct Mqprio {
        /// how many traffic classes there are
        num_tc: Count = Row::new("num_tc").range(1, CLASSES as u64).default("8");
        /// the traffic class of each packet priority from 0 to 15
        map: NumberList = Row::new("map").decimal().default("0 1 2 3 4 5 6 7 0 1 1 1 3 3 3 3");
        /// the transmit queues of each traffic class: how many, and from which on
        queues: List<Queues> = Row::new("queues").computed("the driver's choice; without hw they must be said");
        /// for each traffic class, whether its frames are express or may be interrupted (preemptible)
        fp: List<Preemption> = Row::new("fp").computed("all express");
        /// leave the queues to the hardware (1) or not (0)
        hw: Count = Row::new("hw").range(0, 255).kept(0, 1).default("1");
        /// what the hardware is told: the classes alone, or queues and rates too
        mode: Mode = Row::new("mode").default("dcb");
        /// how the hardware shapes
        shaper: Shaper = Row::new("shaper").default("dcb");
        /// the least rate of each traffic class, with shaper bw_rlimit
        min_rate: List<Rate> = Row::new("min_rate").computed("0 for each");
        /// the largest rate of each traffic class, with shaper bw_rlimit
        max_rate: List<Rate> = Row::new("max_rate").computed("0 for each, which is none");
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "mqprio",
    role: Role::Qdisc,
    doc: "packet priorities make traffic classes, and each of these has transmit queues of its own. Holds a discipline for each queue",
    options: || Box::new(Mqprio::default()),
    class: None,
    children: Children::Bands,
    change: false,
    writable: true,
    config: "NET_SCH_MQPRIO",
    module: "sch_mqprio",
    attributes: &[
        attribute("TCA_MQPRIO_MODE", MODE, &["mode"]),
        attribute("TCA_MQPRIO_SHAPER", SHAPER, &["shaper"]),
        attribute("TCA_MQPRIO_MIN_RATE64", MIN_RATE, &["min_rate"]),
        attribute("TCA_MQPRIO_MAX_RATE64", MAX_RATE, &["max_rate"]),
        attribute("TCA_MQPRIO_TC_ENTRY", ENTRY, &["fp"]),
        attribute("TCA_MQPRIO_TC_ENTRY_INDEX", ENTRY_INDEX, &["fp"]),
        attribute("TCA_MQPRIO_TC_ENTRY_FP", ENTRY_FP, &["fp"]),
    ],
    xstats: no_xstats,
};

/// `TC_QOPT_MAX_QUEUE`: traffic classes that there may be.
pub const CLASSES: usize = 16;
const MODE: u16 = 1;
const SHAPER: u16 = 2;
const MIN_RATE: u16 = 3;
const MAX_RATE: u16 = 4;
const ENTRY: u16 = 5;
const ENTRY_INDEX: u16 = 1;
const ENTRY_FP: u16 = 2;
/// Octets of `struct tc_mqprio_qopt` with what pads it.
const STRUCT: usize = 84;

macro_rules! choice {
    ($(#[doc = $doc:literal])* $name:ident $what:literal $spellings:literal [$($(#[doc = $said:literal])* $value:ident $word:literal $number:literal),*]) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name {
            #[default]
            $($(#[doc = $said])* $value,)*
        }

        impl Unit for $name {
            const INFO: Info = Info { name: $what, spellings: $spellings, schema: Schema::OneOf(&[$($word),*]) };

            /// In tc's text any beginning of the word will do.
            fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
                let is = |word: &str| if reader.tc { begins(text, word) } else { text == word };
                $(if is($word) { return Ok($name::$value); })*
                Err(Refusal::new(format!("`{text}` is not {}", $what)).help(concat!("write ", $spellings)))
            }

            fn show(&self) -> String {
                match self { $($name::$value => $word,)* }.to_owned()
            }

            fn number(&self) -> Option<u64> {
                Some(match self { $($name::$value => $number,)* })
            }

            fn from_number(number: u64) -> Option<Self> {
                match number { $($number => Some($name::$value),)* _ => None }
            }
        }
    };
}

choice!(
    /// What the hardware is told.
    Mode "a mode of mqprio" "`dcb` or `channel`" [
        /// The classes alone (`TC_MQPRIO_MODE_DCB`).
        Dcb "dcb" 0,
        /// Queues and rates too (`TC_MQPRIO_MODE_CHANNEL`).
        Channel "channel" 1
    ]
);
choice!(
    /// How the hardware shapes.
    Shaper "a shaper of mqprio" "`dcb` or `bw_rlimit`" [
        /// As data center bridging is set up (`TC_MQPRIO_SHAPER_DCB`).
        Dcb "dcb" 0,
        /// By rates of the traffic classes (`TC_MQPRIO_SHAPER_BW_RATE`).
        Rates "bw_rlimit" 1
    ]
);

/// `struct tc_mqprio_qopt`: what is not said is 0.
pub(super) fn qopt(classes: u32, map: &NumberList, queues: &List<Queues>, hw: u32) -> Fields {
    let mut map = map.0.clone();
    map.resize(PRIORITIES, 0);
    let mut queues = queues.0.clone();
    queues.resize(CLASSES, Queues::default());
    let octet = |n: u32| u8::try_from(n).unwrap_or(u8::MAX);
    let start = Fields::new().u8(octet(classes)).raw(&map).u8(octet(hw));
    let start = queues.iter().fold(start, |fields, q| fields.u16(q.count));
    queues.iter().fold(start, |fields, q| fields.u16(q.offset))
}

/// A `struct tc_mqprio_qopt` in its parts: how many classes, the map, the queues if any are said, and what is offloaded.
pub(super) type Qopt = (Count, NumberList, Option<List<Queues>>, Count);

/// Reads a `struct tc_mqprio_qopt`.
pub(super) fn read_qopt(payload: Payload) -> Result<Qopt, Malformed> {
    let mut c = payload.fields();
    let (classes, map, hw) = (c.u8()?, c.array::<PRIORITIES>()?, c.u8()?);
    let mut queues = Vec::with_capacity(CLASSES);
    for _ in 0..CLASSES {
        queues.push(Queues { count: c.u16()?, offset: 0 });
    }
    for queue in &mut queues {
        queue.offset = c.u16()?;
    }
    queues.truncate(usize::from(classes));
    let said = queues.iter().any(|q| *q != Queues::default());
    Ok((Count(classes.into()), NumberList(map.to_vec()), said.then_some(List(queues)), Count(hw.into())))
}

/// Whether two lists are the same if what is missing at the end of one is `rest`.
pub(super) fn same_padded<U: Unit>(a: Option<&[U]>, b: Option<&[U]>, rest: &U) -> bool {
    let (a, b) = (a.unwrap_or_default(), b.unwrap_or_default());
    (0..a.len().max(b.len())).all(|i| a.get(i).unwrap_or(rest).same(b.get(i).unwrap_or(rest)))
}

/// The octets of a map, as [`same_padded`] takes them.
pub(super) fn same_map(a: Option<&NumberList>, b: Option<&NumberList>) -> bool {
    let counts = |map: Option<&NumberList>| -> Vec<Count> {
        map.into_iter().flat_map(|map| &map.0).map(|n| Count(u32::from(*n))).collect()
    };
    same_padded(Some(&counts(a)), Some(&counts(b)), &Count(0))
}

/// What `mqprio_validate_qopt` refuses.
pub(super) fn check_classes(
    classes: u32,
    map: Option<&NumberList>,
    queues: Option<&List<Queues>>,
    may_overlap: bool,
    facts: &Facts,
    out: &mut Vec<Finding>,
) {
    let entries = map.into_iter().flat_map(|map| map.0.iter().enumerate());
    if let Some((priority, class)) = entries.into_iter().find(|(_, class)| u32::from(**class) >= classes) {
        let message = format!(
            "priority {priority} goes to traffic class {class}, and the last one is {}",
            classes.saturating_sub(1)
        );
        let f = Finding::new(&codes::PRIOMAP, "map", message).and("num_tc", "traffic classes count from 0");
        out.push(f.help("write a `map` of 16 numbers that are below `num_tc`"));
    }
    if let Some(map) = map.filter(|map| map.0.len() > PRIORITIES) {
        let message = format!("a map has {PRIORITIES} entries, one a priority, and this one has {}", map.0.len());
        out.push(Finding::new(&codes::PRIOMAP, "map", message).help("leave the last ones out"));
    }
    let Some(List(queues)) = queues else { return };
    let mut wrong = |message: String, help: &str| {
        out.push(Finding::new(&codes::OUT_OF_RANGE, "queues", message).help(help));
    };
    if queues.len() != classes as usize {
        wrong(
            format!("{} ranges of queues for {classes} traffic classes", queues.len()),
            "write one for each: `queues: [1@0, 2@1]`",
        );
    }
    for (i, a) in queues.iter().enumerate() {
        if a.count == 0 {
            wrong(format!("traffic class {i} has no queue"), "write `1@0`: one, from queue 0 on");
        } else if facts.queues > 1 && a.end() > facts.queues {
            wrong(
                format!("`{}` goes beyond the device's {} queues", a.show(), facts.queues),
                "write fewer queues, or give the device more",
            );
        }
        let clash = queues
            .iter()
            .enumerate()
            .skip(i + 1)
            .find(|(_, b)| u32::from(a.offset).max(b.offset.into()) < a.end().min(b.end()));
        if let (Some((j, b)), false) = (clash, may_overlap) {
            wrong(
                format!("traffic classes {i} and {j} share queues: `{}` and `{}`", a.show(), b.show()),
                "give each queues of its own",
            );
        }
    }
}

/// A list that has an entry for each traffic class.
pub(super) fn check_per_class(row: &'static str, entries: usize, classes: u32, out: &mut Vec<Finding>) {
    let code = if entries > CLASSES { &codes::OUT_OF_RANGE } else { &codes::NO_EFFECT };
    if entries > classes as usize {
        let message = format!("`{row}` has {entries} entries, and there are {classes} traffic classes");
        out.push(Finding::new(code, row, message).help("leave the last ones out"));
    }
}

/// Express or preemptible, by traffic class, from the entries of a dump. Nothing if all are express: the kernel tells that
/// of each, and takes it from nobody who asks for no offload.
pub(super) fn read_preemption(
    attributes: &Parsed,
    entry: u16,
    index: u16,
    fp: u16,
) -> Result<Option<List<Preemption>>, Malformed> {
    let mut list = Vec::new();
    for (_, payload) in attributes.list.iter().filter(|(number, _)| *number == entry) {
        let own = payload.attributes()?;
        let (Some(at), Some(value)) = (own.u32(index)?, own.u32(fp)?) else { continue };
        put(&mut list, at, Preemption::from_number(value.into()).unwrap_or_default());
    }
    Ok(list.contains(&Preemption::Preemptible).then_some(List(list)))
}

/// Puts a traffic class's value into its place.
pub(super) fn put<T: Clone + Default>(list: &mut Vec<T>, at: u32, value: T) {
    let at = usize::try_from(at).unwrap_or(CLASSES);
    if at < CLASSES {
        list.resize(list.len().max(at + 1), T::default());
        if let Some(slot) = list.get_mut(at) {
            *slot = value;
        }
    }
}

impl Mqprio {
    fn offloads(&self) -> bool {
        self.hw.is_none_or(|hw| hw.0 != 0)
    }

    /// Words that only the hardware understands.
    fn of_hardware(&self) -> Option<&'static str> {
        [
            ("mode", self.mode.is_some_and(|m| m != Mode::Dcb)),
            ("shaper", self.shaper.is_some_and(|s| s != Shaper::Dcb)),
            ("min_rate", self.min_rate.is_some()),
            ("max_rate", self.max_rate.is_some()),
            ("fp", self.fp.is_some()),
        ]
        .into_iter()
        .find_map(|(word, said)| said.then_some(word))
    }
}

impl Options for Mqprio {
    fn forgets(&self, _word: &str) -> bool {
        true
    }

    fn choose(&self, walk: &mut dyn Walk) -> Option<Choice> {
        let priority = walk.packet().meta.priority;
        let class = super::band(self.map.as_ref().map_or(&[], |map| &map.0), priority & 15);
        let why = format!("one of traffic class {class}, by its priority {priority}; which one, its flow chooses");
        Some(super::by_queue(walk, &why))
    }

    fn root_only(&self) -> bool {
        true
    }

    /// `struct tc_mqprio_qopt`, and attributes behind it.
    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let mut full = self.clone();
        full.assume_constants();
        let Mqprio { num_tc, map, queues, fp, hw, mode, shaper, min_rate, max_rate } = full;
        let (classes, hw) = (num_tc.unwrap_or_default().0, hw.unwrap_or_default().0);
        out.bare(&qopt(classes, &map.unwrap_or_default(), &queues.unwrap_or_default(), hw).0);
        out.align();
        if mode == Some(Mode::Channel) {
            out.u16(MODE, 1);
        }
        if shaper == Some(Shaper::Rates) {
            out.u16(SHAPER, 1);
        }
        for (i, fp) in fp.iter().flat_map(|list| list.0.iter().enumerate()) {
            out.nest(ENTRY | NESTED, |out| {
                out.u32(ENTRY_INDEX, i as u32);
                out.u32(ENTRY_FP, fp.number().unwrap_or(1) as u32);
            });
        }
        for (number, rates) in [(MIN_RATE, min_rate), (MAX_RATE, max_rate)] {
            let Some(List(mut rates)) = rates else { continue };
            rates.resize(CLASSES, Rate(0));
            out.nest(number | NESTED, |out| rates.iter().for_each(|rate| out.u64(number, rate.bytes())));
        }
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        if payload.0.is_empty() {
            return Ok(());
        }
        let (num_tc, map, queues, hw) = read_qopt(payload)?;
        let attributes = Payload(payload.0.get(STRUCT..).unwrap_or(&[])).attributes()?;
        let rates = |number| -> Result<Option<List<Rate>>, Malformed> {
            let Some(list) = attributes.nested(number)? else { return Ok(None) };
            let rates =
                list.list.iter().take(num_tc.0 as usize).map(|(_, rate)| rate.fields().u64().map(Rate::from_bytes));
            rates.collect::<Result<_, _>>().map(|rates| Some(List(rates)))
        };
        *self = Mqprio {
            num_tc: Some(num_tc),
            map: Some(map),
            queues,
            fp: read_preemption(&attributes, ENTRY, ENTRY_INDEX, ENTRY_FP)?,
            hw: Some(hw),
            mode: attributes.u16(MODE)?.and_then(|mode| Mode::from_number(mode.into())),
            shaper: attributes.u16(SHAPER)?.and_then(|shaper| Shaper::from_number(shaper.into())),
            min_rate: rates(MIN_RATE)?,
            max_rate: rates(MAX_RATE)?,
        };
        Ok(())
    }

    /// Queues that nobody wrote are the driver's.
    fn same(&self, other: &dyn Options, row: usize, _facts: &Facts) -> bool {
        let Some(held) = other.as_kind::<Mqprio>() else { return false };
        let rates = |a: &Option<List<Rate>>, b: &Option<List<Rate>>| {
            same_padded(a.as_ref().map(|l| l.0.as_slice()), b.as_ref().map(|l| l.0.as_slice()), &Rate(0))
        };
        match Mqprio::ROWS.get(row).map(|r| r.word) {
            Some("map") => same_map(self.map.as_ref(), held.map.as_ref()),
            Some("queues") => self.queues.is_none() || self.queues == held.queues,
            Some("fp") => {
                let list = |own: &Self| own.fp.clone().unwrap_or_default().0;
                same_padded(Some(&list(self)), Some(&list(held)), &Preemption::Express)
            }
            Some("min_rate") => rates(&self.min_rate, &held.min_rate),
            Some("max_rate") => rates(&self.max_rate, &held.max_rate),
            Some("hw") => self.hw.map(|hw| hw.0.min(1)) == held.hw.map(|hw| hw.0.min(1)),
            _ => matches!((self.slot(row), other.slot(row)), (Some(a), Some(b)) if a.same(b)),
        }
    }

    /// `hw` comes last: with 0 tc takes no `mode` after it, and `shaper bw_rlimit` wants a word after it.
    fn tc(&self, out: &mut Vec<String>) {
        for (i, row) in Mqprio::ROWS.iter().enumerate() {
            let usual = match row.word {
                "hw" => true,
                "mode" => self.mode == Some(Mode::Dcb),
                "shaper" => self.shaper == Some(Shaper::Dcb),
                _ => false,
            };
            if let Some(slot) = self.slot(i).filter(|_| !usual) {
                row_words(row, slot, out);
            }
        }
        if let Some(hw) = self.hw.or((self.shaper == Some(Shaper::Rates)).then_some(Count(1))) {
            out.extend(["hw".to_owned(), hw.tc()]);
        }
    }

    /// tc knows `mode` and `shaper` while `hw` is not 0, and rates after `shaper bw_rlimit`.
    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        let word = words.peek().unwrap_or_default().to_owned();
        let rates = matches!(word.as_str(), "min_rate" | "max_rate");
        if reader.tc && matches!(word.as_str(), "mode" | "shaper") && !self.offloads() {
            return Err(Refusal::coded(
                &codes::MISSING_OPTION,
                format!("`{word}` is for the hardware, and `hw 0` leaves it out"),
            )
            .help("write `hw 1`, or leave the word out"));
        }
        if reader.tc && rates && self.shaper != Some(Shaper::Rates) {
            return Err(Refusal::coded(&codes::MISSING_OPTION, format!("`{word}` wants `shaper bw_rlimit` before it"))
                .help(format!("write `shaper bw_rlimit {word} …`")));
        }
        let taken = read_row(self, words, reader)?;
        if reader.tc && word == "shaper" && self.shaper == Some(Shaper::Rates) && words.peek().is_none() {
            return Err(Refusal::coded(&codes::MISSING_OPTION, "`shaper bw_rlimit` wants rates")
                .help("write `min_rate` or `max_rate` after it, with a rate for each traffic class"));
        }
        let count = match word.as_str() {
            "min_rate" => self.min_rate.as_ref().map(|list| list.0.len()),
            "max_rate" => self.max_rate.as_ref().map(|list| list.0.len()),
            _ => None,
        };
        let classes = self.num_tc.map_or(8, |n| n.0 as usize);
        if count.is_some_and(|n| reader.tc && n < classes && words.peek().is_none()) {
            return Err(Refusal::new(format!("`{word}` wants a rate for each of {classes} traffic classes")));
        }
        Ok(taken)
    }

    fn settle_tc(&mut self, _place: &mut Place) -> Result<(), Refusal> {
        let (classes, queues) =
            (self.num_tc.map_or(8, |n| n.0 as usize), self.queues.as_ref().map_or(0, |q| q.0.len()));
        if queues > classes {
            let message = format!("{queues} ranges of queues are more than {classes} traffic classes");
            return Err(Refusal::coded(&codes::OUT_OF_RANGE, message).help("write `num_tc` with the number of both"));
        }
        Ok(())
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        self.check_widths(out);
        let mut full = self.clone();
        full.assume_constants();
        let classes = full.num_tc.unwrap_or_default().0;
        check_classes(classes, full.map.as_ref(), self.queues.as_ref(), false, facts, out);
        if self.offloads() {
            if self.shaper == Some(Shaper::Rates) && self.mode != Some(Mode::Channel) {
                let f = Finding::new(&codes::MISSING_OPTION, "shaper", "`shaper bw_rlimit` wants `mode channel`");
                out.push(f.help("write `mode: channel`"));
            }
        } else {
            if self.queues.is_none() {
                let f = Finding::new(
                    &codes::MISSING_OPTION,
                    "queues",
                    "without `hw` the queues of each traffic class must be said",
                );
                out.push(f.help("write `queues: [1@0, 1@1]`: how many, and from which on"));
            }
            if let Some(word) = self.of_hardware() {
                let f = Finding::new(
                    &codes::MISSING_OPTION,
                    word,
                    format!("`{word}` is for the hardware, and `hw: 0` leaves it out"),
                );
                out.push(f.and("hw", "no hardware").help("write `hw: 1`, or leave the word out"));
            }
        }
        for (word, rates) in [("min_rate", &self.min_rate), ("max_rate", &self.max_rate)] {
            let Some(List(rates)) = rates else { continue };
            if self.shaper != Some(Shaper::Rates) {
                let f = Finding::new(&codes::MISSING_OPTION, word, format!("`{word}` wants `shaper: bw_rlimit`"));
                out.push(f.help("write `shaper: bw_rlimit` and `mode: channel`"));
            }
            if rates.len() != classes as usize {
                let message = format!("{} rates for {classes} traffic classes", rates.len());
                out.push(Finding::new(&codes::OUT_OF_RANGE, word, message).help("write one for each, 0bit for none"));
            }
        }
        check_per_class("fp", self.fp.as_ref().map_or(0, |list| list.0.len()), classes, out);
    }
}
