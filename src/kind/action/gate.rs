//! `gate`: net/sched/act_gate.c, tc-gate(8). Packets pass at their times (IEEE 802.1Qci).

use super::control::{CONTROL, Control, INDEX, Index, figures, head, read_head, read_index};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Malformed, NESTED, Parsed, Payload};
use crate::kind::{
    Children, Finding, Kind, Options, Role, Row, Rows, Wire, attribute, decode_rows, no_option, read_row,
};
use crate::rows;
use crate::syntax::document::{Node, Value};
use crate::unit::{
    Bytes, Clock, FineTime, Hex, Info, Reader, Refusal, Schema, Signed, Unit, Words, begins, integer_of_32,
    signed_of_32,
};

rows! {
    /// A gate.
    pub struct Gate {
        /// the priority of the packets; -1 for any
        priority: Signed = Row::new("priority").short().wire(Wire::S32(PRIORITY)).default("-1");
        /// flags that no kernel has a meaning for yet
        flags: Hex = Row::new("flags").short().wire(Wire::U32(FLAGS)).default("0");
        /// when the first cycle begins
        base_time: FineTime = Row::new("base-time").short().wire(Wire::U64(BASE_TIME)).default("0ns");
        /// how long a cycle lasts
        cycle_time: FineTime = Row::new("cycle-time").short().wire(Wire::U64(CYCLE_TIME)).computed("the sum of the entries");
        /// how much longer the last cycle before a new schedule may last
        cycle_time_ext: FineTime = Row::new("cycle-time-ext").short().wire(Wire::U64(CYCLE_TIME_EXT)).default("0ns");
        /// the clock
        clockid: Clock = Row::new("clockid").short().wire(Wire::U32(CLOCKID)).default("CLOCK_TAI");
        /// the schedule: `open 100us`, then `close 200us`; behind the time an internal priority and the most octets, -1 for any
        sched_entry: Entries = Row::new("sched-entry").short();
        /// the number under which several filters share the action
        index: Index = INDEX;
        /// what becomes of packets that pass
        control: Control = CONTROL.default("pipe");
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "gate",
    role: Role::Action,
    doc: "lets packets pass while it is open and drops them while it is closed, by a schedule that goes round",
    options: || Box::new(Gate::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_ACT_GATE",
    module: "act_gate",
    attributes: &[
        no_option("TCA_GATE_TM", TM, "times, which are figures"),
        attribute("TCA_GATE_PARMS", PARMS, &["control", "index"]),
        no_option("TCA_GATE_PAD", 3, "padding only"),
        attribute("TCA_GATE_PRIORITY", PRIORITY, &["priority"]),
        attribute("TCA_GATE_ENTRY_LIST", ENTRY_LIST, &["sched-entry"]),
        attribute("TCA_GATE_BASE_TIME", BASE_TIME, &["base-time"]),
        attribute("TCA_GATE_CYCLE_TIME", CYCLE_TIME, &["cycle-time"]),
        attribute("TCA_GATE_CYCLE_TIME_EXT", CYCLE_TIME_EXT, &["cycle-time-ext"]),
        attribute("TCA_GATE_FLAGS", FLAGS, &["flags"]),
        attribute("TCA_GATE_CLOCKID", CLOCKID, &["clockid"]),
        attribute("TCA_GATE_ONE_ENTRY", ONE_ENTRY, &["sched-entry"]),
        no_option("TCA_GATE_ENTRY_INDEX", 1, "the order in the list says it"),
        attribute("TCA_GATE_ENTRY_GATE", OPEN, &["sched-entry"]),
        attribute("TCA_GATE_ENTRY_INTERVAL", INTERVAL, &["sched-entry"]),
        attribute("TCA_GATE_ENTRY_IPV", IPV, &["sched-entry"]),
        attribute("TCA_GATE_ENTRY_MAX_OCTETS", MAX_OCTETS, &["sched-entry"]),
    ],
    xstats: |payload, _| figures(PARMS, TM, payload),
};

const TM: u16 = 1;
const PARMS: u16 = 2;
const PRIORITY: u16 = 4;
const ENTRY_LIST: u16 = 5;
const BASE_TIME: u16 = 6;
const CYCLE_TIME: u16 = 7;
const CYCLE_TIME_EXT: u16 = 8;
const FLAGS: u16 = 9;
const CLOCKID: u16 = 10;
const ONE_ENTRY: u16 = 1;
const OPEN: u16 = 2;
const INTERVAL: u16 = 3;
const IPV: u16 = 4;
const MAX_OCTETS: u16 = 5;

/// A part of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Whether packets pass.
    pub open: bool,
    /// How long, in nanoseconds.
    pub interval: u32,
    /// The internal priority that chooses the receive queue; -1 for any.
    pub ipv: i32,
    /// The most octets that pass; -1 for any.
    pub octets: i32,
}

/// The schedule, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries(pub Vec<Slot>);

impl Slot {
    /// `open 100us`, with one or two numbers behind it.
    fn read(words: &mut Words, reader: &mut Reader) -> Result<Slot, Refusal> {
        let state = words.want("`open` or `close`")?;
        let open = match state.to_ascii_lowercase().as_str() {
            "open" => true,
            "close" => false,
            _ => {
                let wrong = Refusal::new(format!("`{state}` is neither `open` nor `close`"));
                return Err(wrong.help(format!("write {}", Entries::INFO.spellings)));
            }
        };
        let text = words.want("how long")?;
        let time = match integer_of_32(text, 0).filter(|_| reader.tc) {
            Some(number) => u64::from(number),
            None => FineTime::read(text, reader)?.0,
        };
        let Ok(interval) = u32::try_from(time) else {
            let message = format!(
                "`{text}` is too long for a part of a schedule: at most {}",
                FineTime(u64::from(u32::MAX)).show()
            );
            return Err(Refusal::coded(&codes::OUT_OF_RANGE, message));
        };
        let mut slot = Slot { open, interval, ipv: -1, octets: -1 };
        if let Some(ipv) = words.peek().and_then(|word| signed_of_32(word, 0)) {
            words.next();
            slot.ipv = ipv;
            let octets = words.peek().and_then(|word| {
                signed_of_32(word, 0).or_else(|| i32::try_from(Bytes::read(word, reader).ok()?.0).ok())
            });
            if let Some(octets) = octets {
                words.next();
                slot.octets = octets;
            }
        }
        // of a closed gate neither is said
        Ok(if open { slot } else { Slot { ipv: -1, octets: -1, ..slot } })
    }

    fn show(&self) -> String {
        let state = if self.open { "open" } else { "close" };
        let time = FineTime(u64::from(self.interval)).show();
        match (self.ipv, self.octets) {
            (-1, -1) => format!("{state} {time}"),
            (ipv, -1) => format!("{state} {time} {ipv}"),
            (ipv, octets) => format!("{state} {time} {ipv} {octets}"),
        }
    }
}

impl Unit for Entries {
    const INFO: Info = Info {
        name: "a schedule",
        spellings: "`open 100us`, `close 200us`, `open 1ms 2 1500`, or a list of them",
        schema: Schema::List("^(open|close) [1-9][0-9]{0,2}(ns|us|ms)( -?[0-9])?$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut entries = Entries::default();
        for part in text.trim_start_matches('[').trim_end_matches(']').split(',').filter(|part| !part.trim().is_empty())
        {
            let words: Vec<String> = part.split_whitespace().map(str::to_owned).collect();
            let mut words = Words::new(&words);
            entries.0.push(Slot::read(&mut words, reader)?);
            if let Some(word) = words.next() {
                return Err(Refusal::new(format!("what is `{word}`?")).help(format!("write {}", Self::INFO.spellings)));
            }
        }
        Ok(entries)
    }

    fn read_node(node: &Node, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut entries = Entries::default();
        let nodes: Vec<&Node> = match &node.value {
            Value::List(items) => items.iter().map(|item| &item.node).collect(),
            _ => vec![node],
        };
        for node in nodes {
            let text = node.as_word().unwrap_or_default();
            entries.0.extend(Self::read(text, reader).map_err(|r| r.at(node.span))?.0);
        }
        Ok(entries)
    }

    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        Slot::read(words, reader).map(|slot| Entries(vec![slot]))
    }

    fn show(&self) -> String {
        self.0.iter().map(Slot::show).collect::<Vec<_>>().join(", ")
    }

    fn tc(&self) -> String {
        self.0.iter().map(Slot::show).collect::<Vec<_>>().join(" sched-entry ")
    }
}

impl Gate {
    /// What tc refuses.
    fn faults(&self, out: &mut Vec<Finding>) {
        if self.sched_entry.as_ref().is_none_or(|e| e.0.is_empty()) && self.index.is_none() {
            let f = Finding::new(&codes::MISSING_OPTION, "sched-entry", "a gate wants a schedule");
            out.push(f.help("write `sched-entry: [open 100us, close 100us]`"));
        }
    }
}

fn decode_entry(entry: &Parsed) -> Result<Slot, Malformed> {
    let signed = |number| entry.u32(number).map(|n| n.map_or(-1, u32::cast_signed));
    Ok(Slot {
        open: entry.get(OPEN).is_some(),
        interval: entry.u32(INTERVAL)?.unwrap_or(0),
        ipv: signed(IPV)?,
        octets: signed(MAX_OCTETS)?,
    })
}

impl Options for Gate {
    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        out.raw(PARMS, &head(self.index, self.control.unwrap_or(Control::PIPE)).0);
        let number = |word: &str| self.rows().iter().position(|r| r.word == word).and_then(|i| self.slot(i)?.number());
        if let Some(Signed(priority)) = self.priority.filter(|p| p.0 != -1) {
            out.u32(PRIORITY, priority.cast_unsigned());
        }
        if let Some(Hex(flags)) = self.flags.filter(|f| f.0 != 0) {
            out.u32(FLAGS, flags);
        }
        for (attribute, word) in
            [(BASE_TIME, "base-time"), (CYCLE_TIME, "cycle-time"), (CYCLE_TIME_EXT, "cycle-time-ext")]
        {
            if let Some(time) = number(word).filter(|time| *time != 0) {
                out.u64(attribute, time);
            }
        }
        if let Some(Clock(clock)) = self.clockid {
            out.u32(CLOCKID, clock);
        }
        out.nest(ENTRY_LIST | NESTED, |list| {
            for Slot { open, interval, ipv, octets } in self.sched_entry.iter().flat_map(|entries| &entries.0) {
                list.nest(ONE_ENTRY | NESTED, |entry| {
                    if *open {
                        entry.flag(OPEN);
                    }
                    entry.u32(INTERVAL, *interval);
                    entry.u32(IPV, ipv.cast_unsigned());
                    entry.u32(MAX_OCTETS, octets.cast_unsigned());
                });
            }
        });
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        if let Some(parms) = attributes.get(PARMS) {
            (self.index, self.control) = read_head(&mut parms.fields())?;
        }
        decode_rows(self, &attributes)?;
        let list = attributes.nested(ENTRY_LIST)?.unwrap_or_default();
        let entries = list.list.iter().map(|(_, entry)| decode_entry(&entry.attributes()?));
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        self.sched_entry = (!entries.is_empty()).then_some(Entries(entries));
        Ok(())
    }

    fn assume(&mut self, _facts: &Facts) {
        self.assume_constants();
        let sum = self.sched_entry.iter().flat_map(|e| &e.0).map(|slot| u64::from(slot.interval)).sum();
        self.cycle_time = Some(self.cycle_time.filter(|time| time.0 != 0).unwrap_or(FineTime(sum)));
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !reader.tc {
            if !words.take("sched-entry") {
                return read_row(self, words, reader);
            }
            let more = Entries::read_words(words, reader)?;
            self.sched_entry.get_or_insert_default().0.extend(more.0);
            return Ok(true);
        }
        if *self != Gate::default() {
            return Ok(false);
        }
        while let Some(word) = words.peek() {
            let before = words.left();
            if begins(word, "index") {
                read_index(&mut self.index, words, reader)?;
            } else if begins(word, "sched-entry") {
                words.next();
                self.sched_entry.get_or_insert_default().0.push(Slot::read(words, reader)?);
            } else {
                super::control::read_option(self, words, reader)?;
            }
            if words.left() == before {
                break;
            }
        }
        if words.peek().is_some_and(|word| Control::starts(word, reader)) {
            self.control = Some(Control::read_words(words, reader)?);
        }
        super::first_fault(|out| self.faults(out))?;
        Ok(true)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        self.faults(out);
        if self.sched_entry.iter().flat_map(|e| &e.0).any(|slot| slot.interval == 0) {
            let f = Finding::new(&codes::OUT_OF_RANGE, "sched-entry", "a part of the schedule lasts no time");
            out.push(f.help("write `open 100us`"));
        }
        let turns = self.sched_entry.iter().flat_map(|e| &e.0).map(|slot| u64::from(slot.interval));
        out.extend(Finding::of_short_turns("sched-entry", turns));
    }
}
