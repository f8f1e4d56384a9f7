//! `taprio`: net/sched/sch_taprio.c, tc-taprio(8).

use super::mqprio::{
    CLASSES, check_classes, check_per_class, put, qopt, read_preemption, read_qopt, same_map, same_padded,
};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::walk::{Choice, Walk};
use crate::kind::wire::{Attributes, Malformed, NESTED, Parsed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, Rows, Wire, attribute, no_option, read_row, row_words};
use crate::rows;
use crate::syntax::document::{Node, Value};
use crate::unit::{
    Clock, Count, Info, Length, List, Moment, Nanoseconds, Number, NumberList, Preemption, Queues, Reader, Refusal,
    Schema, Time, Unit, Words, integer, strtoul,
};

rows! {
    /// Gates of traffic classes by the clock.
    pub struct Taprio {
        /// the clock of the schedule; the hardware has its own where it does all
        clockid: Clock = Row::new("clockid").wire(Wire::S32(CLOCKID)).repeated();
        /// who keeps the schedule: the kernel (0), the kernel with launch times of the hardware (1), the hardware (2)
        flags: Number = Row::new("flags").wire(Wire::U32(FLAGS)).once().nonzero().range(1, 2).default("0").repeated();
        /// how many traffic classes there are
        num_tc: Count = Row::new("num_tc").range(0, CLASSES as u64).nonzero().fixed();
        /// the traffic class of each packet priority from 0 to 15
        map: NumberList = Row::new("map").decimal().computed("0 for all").fixed();
        /// the transmit queues of each traffic class: how many, and from which on
        queues: List<Queues> = Row::new("queues").fixed();
        /// with flags 1: how long a packet may take to the hardware
        txtime_delay: Nanoseconds = Row::new("txtime-delay").wire(Wire::U32(TXTIME_DELAY)).once().nonzero().default("0");
        /// when the schedule begins, by its clock; what is past begins with the next cycle
        base_time: Moment = Row::new("base-time").wire(Wire::U64(BASE_TIME)).nonzero().default("0");
        /// how long the schedule is before it begins anew; entries beyond it are left out
        cycle_time: Moment = Row::new("cycle-time").wire(Wire::U64(CYCLE_TIME)).once().nonzero().range(1, i32::MAX as u64).computed("the sum of the intervals");
        /// how much the last cycle may be longer before another schedule takes over
        cycle_time_extension: Moment = Row::new("cycle-time-extension").wire(Wire::U64(EXTENSION)).once().nonzero().default("0");
        /// the largest packet of each traffic class; 0 for no limit
        max_sdu: List<Length> = Row::new("max-sdu").computed("no limit for any");
        /// for each traffic class, whether its frames are express or may be interrupted (preemptible)
        fp: List<Preemption> = Row::new("fp").computed("all express");
        /// the schedule: what gates do, the classes whose gates are open (as bits), and for how long
        sched_entry: Schedule = Row::new("sched-entry");
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "taprio",
    role: Role::Qdisc,
    doc: "time-aware shaper: each traffic class has a gate that a schedule opens and closes (IEEE 802.1Q-2018). Holds a discipline for each queue",
    options: || Box::new(Taprio::default()),
    class: None,
    children: Children::Bands,
    change: true,
    writable: true,
    config: "NET_SCH_TAPRIO",
    module: "sch_taprio",
    attributes: &[
        attribute("TCA_TAPRIO_ATTR_PRIOMAP", PRIOMAP, &["num_tc", "map", "queues"]),
        attribute("TCA_TAPRIO_ATTR_SCHED_ENTRY_LIST", ENTRY_LIST, &["sched-entry"]),
        attribute("TCA_TAPRIO_ATTR_SCHED_BASE_TIME", BASE_TIME, &["base-time"]),
        no_option("TCA_TAPRIO_ATTR_SCHED_SINGLE_ENTRY", 4, "the kernel refuses it"),
        attribute("TCA_TAPRIO_ATTR_SCHED_CLOCKID", CLOCKID, &["clockid"]),
        no_option("TCA_TAPRIO_PAD", 6, "padding, so that what follows stands at a multiple of eight"),
        attribute(
            "TCA_TAPRIO_ATTR_ADMIN_SCHED",
            ADMIN,
            &["base-time", "cycle-time", "cycle-time-extension", "sched-entry"],
        ),
        attribute("TCA_TAPRIO_ATTR_SCHED_CYCLE_TIME", CYCLE_TIME, &["cycle-time"]),
        attribute("TCA_TAPRIO_ATTR_SCHED_CYCLE_TIME_EXTENSION", EXTENSION, &["cycle-time-extension"]),
        attribute("TCA_TAPRIO_ATTR_FLAGS", FLAGS, &["flags"]),
        attribute("TCA_TAPRIO_ATTR_TXTIME_DELAY", TXTIME_DELAY, &["txtime-delay"]),
        attribute("TCA_TAPRIO_ATTR_TC_ENTRY", TC_ENTRY, &["max-sdu", "fp"]),
        attribute("TCA_TAPRIO_SCHED_ENTRY", ENTRY, &["sched-entry"]),
        no_option("TCA_TAPRIO_SCHED_ENTRY_INDEX", 1, "the place in the list, which the kernel counts itself"),
        attribute("TCA_TAPRIO_SCHED_ENTRY_CMD", ENTRY_CMD, &["sched-entry"]),
        attribute("TCA_TAPRIO_SCHED_ENTRY_GATE_MASK", ENTRY_MASK, &["sched-entry"]),
        attribute("TCA_TAPRIO_SCHED_ENTRY_INTERVAL", ENTRY_INTERVAL, &["sched-entry"]),
        attribute("TCA_TAPRIO_TC_ENTRY_INDEX", TC_INDEX, &["max-sdu", "fp"]),
        attribute("TCA_TAPRIO_TC_ENTRY_MAX_SDU", TC_MAX_SDU, &["max-sdu"]),
        attribute("TCA_TAPRIO_TC_ENTRY_FP", TC_FP, &["fp"]),
        no_option("TCA_TAPRIO_OFFLOAD_STATS_PAD", 1, "padding, so that what follows stands at a multiple of eight"),
        no_option("TCA_TAPRIO_OFFLOAD_STATS_WINDOW_DROPS", WINDOW_DROPS, "a figure"),
        no_option("TCA_TAPRIO_OFFLOAD_STATS_TX_OVERRUNS", TX_OVERRUNS, "a figure"),
    ],
    xstats,
};

const PRIOMAP: u16 = 1;
const ENTRY_LIST: u16 = 2;
const BASE_TIME: u16 = 3;
const CLOCKID: u16 = 5;
const ADMIN: u16 = 7;
const CYCLE_TIME: u16 = 8;
const EXTENSION: u16 = 9;
const FLAGS: u16 = 10;
const TXTIME_DELAY: u16 = 11;
const TC_ENTRY: u16 = 12;
const ENTRY: u16 = 1;
const ENTRY_CMD: u16 = 2;
const ENTRY_MASK: u16 = 3;
const ENTRY_INTERVAL: u16 = 4;
const TC_INDEX: u16 = 1;
const TC_MAX_SDU: u16 = 2;
const TC_FP: u16 = 3;
const WINDOW_DROPS: u16 = 2;
const TX_OVERRUNS: u16 = 3;

/// Bits of `flags` (`TCA_TAPRIO_ATTR_FLAG_…`).
const TXTIME_ASSIST: u32 = 1;
const FULL_OFFLOAD: u32 = 2;
/// The least frame of Ethernet (`ETH_ZLEN`), which an interval must let through.
const LEAST_FRAME: u64 = 60;

/// What an entry of the schedule does to the gates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gates {
    /// Sets them: tc's `S`.
    #[default]
    Set,
    /// And holds preemptible frames back: `H`.
    Hold,
    /// And lets them go again: `R`.
    Release,
}

/// An entry of the schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// What is done.
    pub gates: Gates,
    /// The traffic classes whose gates are open, as bits.
    pub mask: u32,
    /// For how many nanoseconds.
    pub length: u32,
}

/// A schedule: the entries in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule(pub Vec<Interval>);

impl Gates {
    const WORDS: [(&'static str, Gates, u8); 3] =
        [("S", Gates::Set, 0), ("H", Gates::Hold, 1), ("R", Gates::Release, 2)];

    fn octet(self) -> u8 {
        Gates::WORDS.iter().find(|(_, gates, _)| *gates == self).map_or(0, |(.., octet)| *octet)
    }

    fn word(self) -> &'static str {
        Gates::WORDS.iter().find(|(_, gates, _)| *gates == self).map_or("S", |(word, ..)| word)
    }
}

impl Interval {
    /// `S 01 300000` of tc, with the mask in hexadecimal and nanoseconds; `S 0x1 300us` of a policy.
    fn read(words: &mut Words, reader: &mut Reader) -> Result<Interval, Refusal> {
        let help = || format!("write {}", Schedule::INFO.spellings);
        let word = words.want("what the gates do")?;
        let known = Gates::WORDS.iter().find(|(known, ..)| *known == word);
        let Some((_, gates, _)) = known else {
            return Err(
                Refusal::new(format!("`{word}` is none of `S` (set), `H` (hold) and `R` (release)")).help(help())
            );
        };
        let text = words.want("the mask of open gates")?;
        let wrong = || Refusal::new(format!("`{text}` is no mask of gates")).help(help());
        let mask = match reader.tc {
            true => strtoul(text, 16).filter(|(_, rest)| rest.is_empty()).map(|(n, _)| n).ok_or_else(wrong)?,
            false => integer(text, reader, "a mask of gates")?,
        };
        let mask = u32::try_from(mask).map_err(|_| wrong())?;
        let Nanoseconds(length) = match words.want("how long it lasts")? {
            text if reader.tc => {
                let wrong = || Refusal::new(format!("`{text}` is no number of nanoseconds")).help(help());
                Nanoseconds(crate::unit::integer_of_32(text, 0).ok_or_else(wrong)?)
            }
            text => Nanoseconds::read(text, reader)?,
        };
        Ok(Interval { gates: *gates, mask, length })
    }

    fn show(self) -> String {
        format!("{} {:#x} {}", self.gates.word(), self.mask, Time(self.length.into()).show())
    }

    fn tc(self) -> [String; 3] {
        [self.gates.word().to_owned(), format!("{:02x}", self.mask), self.length.to_string()]
    }
}

impl Unit for Schedule {
    const INFO: Info = Info {
        name: "a schedule",
        spellings: "`[S 0x1 300us, S 0x6 200us]`: the gates of class 0 open, then those of 1 and 2",
        schema: Schema::List("^[SHR] 0x[0-9a-f]{1,4} [0-9]+us$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let entries = text.trim_start_matches('[').trim_end_matches(']').split(',').map(str::trim);
        let mut schedule = Schedule::default();
        for entry in entries.filter(|entry| !entry.is_empty()) {
            let words: Vec<String> = entry.split_whitespace().map(str::to_owned).collect();
            let mut words = Words::new(&words);
            schedule.0.push(Interval::read(&mut words, reader)?);
            if let Some(odd) = words.next() {
                return Err(Refusal::new(format!("`{odd}` does not belong to an entry of a schedule"))
                    .help(format!("write {}", Self::INFO.spellings)));
            }
        }
        Ok(schedule)
    }

    fn read_node(node: &Node, reader: &mut Reader) -> Result<Self, Refusal> {
        match &node.value {
            Value::Word(word) => Self::read(&word.text, reader),
            Value::List(items) => {
                let mut schedule = Schedule::default();
                for item in items {
                    let text = item.node.as_word().unwrap_or_default();
                    schedule.0.extend(Self::read(text, reader).map_err(|r| r.at(item.node.span))?.0);
                }
                Ok(schedule)
            }
            _ => Err(Refusal::new(format!("a schedule is wanted here, and this is {}", node.shape()))
                .help(format!("write {}", Self::INFO.spellings))),
        }
    }

    /// One entry.
    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        Interval::read(words, reader).map(|entry| Schedule(vec![entry]))
    }

    fn show(&self) -> String {
        format!("[{}]", self.0.iter().map(|entry| entry.show()).collect::<Vec<_>>().join(", "))
    }
}

impl Schedule {
    /// How long all of it is.
    fn length(&self) -> u64 {
        self.0.iter().map(|entry| u64::from(entry.length)).sum()
    }

    fn decode(list: &Parsed) -> Result<Schedule, Malformed> {
        let mut schedule = Schedule::default();
        for (_, entry) in list.list.iter().filter(|(number, _)| *number == ENTRY) {
            let own = entry.attributes()?;
            let octet = own.u8(ENTRY_CMD)?.unwrap_or(0);
            schedule.0.push(Interval {
                gates: Gates::WORDS
                    .iter()
                    .find(|(.., known)| *known == octet)
                    .map_or(Gates::Set, |(_, gates, _)| *gates),
                mask: own.u32(ENTRY_MASK)?.unwrap_or(0),
                length: own.u32(ENTRY_INTERVAL)?.unwrap_or(0),
            });
        }
        Ok(schedule)
    }
}

impl Taprio {
    fn has_flag(&self, flag: u32) -> bool {
        self.flags.is_some_and(|flags| flags.0 & flag != 0)
    }

    /// What belongs to each traffic class.
    fn encode_classes(&self, out: &mut Attributes) {
        let (sdu, fp) = (self.max_sdu.clone().unwrap_or_default().0, self.fp.clone().unwrap_or_default().0);
        for i in 0..sdu.len().max(fp.len()) {
            out.nest(TC_ENTRY | NESTED, |out| {
                out.u32(TC_INDEX, i as u32);
                if let Some(size) = sdu.get(i) {
                    out.u32(TC_MAX_SDU, size.0);
                }
                if let Some(fp) = fp.get(i) {
                    out.u32(TC_FP, fp.number().unwrap_or(1) as u32);
                }
            });
        }
    }

    fn decode_schedule(&mut self, attributes: &Parsed) -> Result<(), Malformed> {
        let moment = |number| Ok(attributes.u64(number)?.map(|ns| Moment(ns.cast_signed())));
        self.base_time = moment(BASE_TIME)?;
        self.cycle_time = moment(CYCLE_TIME)?;
        self.cycle_time_extension = moment(EXTENSION)?;
        if let Some(list) = attributes.nested(ENTRY_LIST)? {
            self.sched_entry = Some(Schedule::decode(&list)?).filter(|schedule| !schedule.0.is_empty());
        }
        Ok(())
    }
}

impl Options for Taprio {
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

    /// tc sends a list of entries always.
    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let mut full = self.clone();
        full.sched_entry.get_or_insert_default();
        for (i, row) in Taprio::ROWS.iter().enumerate() {
            let Some(slot) = full.slot(i).filter(|slot| slot.is_set()) else { continue };
            match row.word {
                "num_tc" | "max-sdu" | "sched-entry" => full.encode_own(row.word, out, facts),
                "fp" if full.max_sdu.is_none() => full.encode_classes(out),
                _ => crate::kind::encode_row(row, slot, out),
            }
        }
    }

    fn encode_own(&self, word: &str, out: &mut Attributes, _facts: &Facts) {
        match word {
            "num_tc" => {
                let (map, queues) = (self.map.clone().unwrap_or_default(), self.queues.clone().unwrap_or_default());
                // a struct of 82 octets
                out.raw(PRIOMAP, &qopt(self.num_tc.unwrap_or_default().0, &map, &queues, 0).0);
            }
            "max-sdu" => self.encode_classes(out),
            _ => out.nest(ENTRY_LIST | NESTED, |out| {
                for entry in self.sched_entry.iter().flat_map(|schedule| &schedule.0) {
                    out.nest(ENTRY, |out| {
                        out.u8(ENTRY_CMD, entry.gates.octet());
                        out.u32(ENTRY_MASK, entry.mask);
                        out.u32(ENTRY_INTERVAL, entry.length);
                    });
                }
            }),
        }
    }

    /// The newest schedule counts: what is not in force yet stands in a list of its own.
    fn decode_own(&mut self, attributes: &Parsed, _facts: &Facts) -> Result<(), Malformed> {
        if let Some(payload) = attributes.get(PRIOMAP) {
            let (num_tc, map, queues, _hw) = read_qopt(payload)?;
            (self.num_tc, self.map, self.queues) = (Some(num_tc), Some(map), queues);
        }
        self.fp = read_preemption(attributes, TC_ENTRY, TC_INDEX, TC_FP)?;
        let mut sizes = Vec::new();
        for (_, payload) in attributes.list.iter().filter(|(number, _)| *number == TC_ENTRY) {
            let own = payload.attributes()?;
            if let (Some(at), Some(size)) = (own.u32(TC_INDEX)?, own.u32(TC_MAX_SDU)?) {
                put(&mut sizes, at, Length(size));
            }
        }
        self.max_sdu = (!sizes.is_empty()).then_some(List(sizes));
        match attributes.nested(ADMIN)? {
            Some(admin) => self.decode_schedule(&admin),
            None => self.decode_schedule(attributes),
        }
    }

    fn assume(&mut self, _facts: &Facts) {
        self.assume_constants();
        let length = self.sched_entry.as_ref().map_or(0, Schedule::length);
        self.cycle_time.get_or_insert(Moment(i64::try_from(length).unwrap_or(i64::MAX)));
    }

    fn same(&self, other: &dyn Options, row: usize, _facts: &Facts) -> bool {
        let Some(held) = other.as_kind::<Taprio>() else { return false };
        match Taprio::ROWS.get(row).map(|r| r.word) {
            Some("map") => same_map(self.map.as_ref(), held.map.as_ref()),
            Some("max-sdu") => {
                let list = |own: &Self| own.max_sdu.clone().unwrap_or_default().0;
                same_padded(Some(&list(self)), Some(&list(held)), &Length(0))
            }
            Some("fp") => {
                let list = |own: &Self| own.fp.clone().unwrap_or_default().0;
                same_padded(Some(&list(self)), Some(&list(held)), &Preemption::Express)
            }
            _ => matches!((self.slot(row), other.slot(row)), (Some(a), Some(b)) if a.same(b)),
        }
    }

    fn tc(&self, out: &mut Vec<String>) {
        for (i, row) in Taprio::ROWS.iter().enumerate() {
            match (row.word, &self.sched_entry) {
                ("sched-entry", Some(schedule)) => {
                    for entry in &schedule.0 {
                        out.push("sched-entry".to_owned());
                        out.extend(entry.tc());
                    }
                }
                ("flags", _) if self.flags == Some(Number(0)) => {}
                _ => {
                    if let Some(slot) = self.slot(i) {
                        row_words(row, slot, out);
                    }
                }
            }
        }
    }

    /// Each `sched-entry` is one more.
    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        match words.peek() {
            Some("sched-entry") => {
                words.next();
                let entry = Interval::read(words, reader)?;
                self.sched_entry.get_or_insert_default().0.push(entry);
                Ok(true)
            }
            Some("clockid") if reader.tc && self.clockid.is_some() => {
                Err(Refusal::coded(&codes::DUPLICATE_KEY, "`clockid` stands here twice").help("leave one of them out"))
            }
            _ => read_row(self, words, reader),
        }
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        self.check_widths(out);
        let missing = |row, message: &str| Finding::new(&codes::MISSING_OPTION, row, message);
        match (self.clockid, self.has_flag(FULL_OFFLOAD)) {
            (None, false) => {
                out.push(missing("clockid", "taprio wants to know by which clock").help("write `clockid: CLOCK_TAI`"))
            }
            (Some(_), true) => {
                let message = "the hardware keeps the schedule by its own clock";
                out.push(
                    Finding::new(&codes::OUT_OF_RANGE, "clockid", message)
                        .and("flags", "leaves all to the hardware")
                        .help("leave `clockid` out"),
                );
            }
            _ => {}
        }
        if self.txtime_delay.is_some_and(|delay| delay.0 != 0) && !self.has_flag(TXTIME_ASSIST) {
            out.push(
                missing("txtime-delay", "`txtime-delay` is for launch times of the hardware")
                    .help("write `flags: 1`, or leave it out"),
            );
        }
        let preemptible = self.fp.as_ref().is_some_and(|list| list.0.contains(&Preemption::Preemptible));
        if preemptible && !self.has_flag(FULL_OFFLOAD) {
            out.push(
                missing("fp", "only hardware that keeps the schedule interrupts frames")
                    .help("write `flags: 2`, or `E` for all"),
            );
        }
        let classes = match self.num_tc {
            Some(Count(classes)) if classes != 0 => {
                let map = self.map.as_ref();
                check_classes(classes, map, self.queues.as_ref(), self.has_flag(TXTIME_ASSIST), facts, out);
                if self.queues.is_none() {
                    out.push(
                        missing("queues", "the queues of each traffic class must be said")
                            .help("write `queues: [1@0, 1@1]`: how many, and from which on"),
                    );
                }
                classes
            }
            _ => {
                out.push(
                    missing("num_tc", "taprio wants traffic classes").help("write `num_tc: 2`, `map` and `queues`"),
                );
                return;
            }
        };
        let sizes = self.max_sdu.as_ref().map_or(0, |list| list.0.len());
        check_per_class("max-sdu", sizes, classes, out);
        check_per_class("fp", self.fp.as_ref().map_or(0, |list| list.0.len()), classes, out);
        let Some(schedule) = self.sched_entry.as_ref().filter(|schedule| !schedule.0.is_empty()) else {
            out.push(
                missing("sched-entry", "a schedule has at least one entry")
                    .help("write `sched-entry: [S 0x1 300us, S 0x2 200us]`"),
            );
            return;
        };
        let speed = facts.speed.map_or(1_250_000, |rate| rate.bytes()).max(1);
        let least = LEAST_FRAME * 1_000_000_000 / speed;
        if let Some(entry) = schedule.0.iter().find(|entry| u64::from(entry.length) < least) {
            let message =
                format!("`{}` is too short for the smallest frame, which takes {}", entry.show(), Time(least).show());
            out.push(Finding::new(&codes::OUT_OF_RANGE, "sched-entry", message).help("write a longer time"));
        }
        // `parse_taprio_schedule`
        let cycle = least * schedule.0.len() as u64;
        if let Some(Moment(time)) = self.cycle_time.filter(|time| time.0 < i64::try_from(cycle).unwrap_or(i64::MAX)) {
            let message = format!("a cycle of {time}ns has no room for {} entries", schedule.0.len());
            out.push(
                Finding::new(&codes::OUT_OF_RANGE, "cycle-time", message).help("leave it out, or write a longer time"),
            );
        }
        if !self.has_flag(FULL_OFFLOAD) && !self.has_flag(TXTIME_ASSIST) {
            let turns = schedule.0.iter().map(|entry| u64::from(entry.length)).filter(|turn| *turn >= least);
            out.extend(Finding::of_short_turns("sched-entry", turns));
        }
        if schedule.length() > i32::MAX as u64 && self.cycle_time.is_none() {
            let message = format!(
                "the schedule is {} long, and the longest cycle is {}",
                Time(schedule.length()).show(),
                Time(i32::MAX as u64).show()
            );
            out.push(Finding::new(&codes::OUT_OF_RANGE, "sched-entry", message).help("write shorter times"));
        }
        let open = schedule.0.iter().fold(0, |open, entry| open | entry.mask);
        let all = (1u64 << classes.min(32)) - 1;
        if let Some(class) = (0..classes.min(32)).find(|class| open & 1 << class == 0) {
            let message = format!("the gate of traffic class {class} is never open: its packets never leave");
            let f = Finding::new(&codes::NEVER_SERVED, "sched-entry", message);
            out.push(f.help(format!("set its bit, {:#x}, in an entry", 1u64 << class)));
        }
        if u64::from(open) & !all != 0 {
            let message = format!("gates beyond traffic class {} are opened, and there are none", classes - 1);
            out.push(Finding::new(&codes::NO_EFFECT, "sched-entry", message).help(format!("all gates are {all:#x}")));
        }
    }
}

/// Attributes, of hardware that keeps the schedule.
fn xstats(payload: Payload, _: &Facts) -> Vec<(&'static str, u64)> {
    let Ok(attributes) = payload.attributes() else { return Vec::new() };
    let figure = |(name, number)| Some((name, attributes.u64(number).ok()??));
    [("window_drops", WINDOW_DROPS), ("tx_overruns", TX_OVERRUNS)].into_iter().filter_map(figure).collect()
}
