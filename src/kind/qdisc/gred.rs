//! `gred`: net/sched/sch_gred.c, tc-gred(8). Several `red` queues in one: the lower bits of a packet's `tc_index` choose
//! which. The kernel takes the whole in one message (`setup`) and each virtual queue in another.

use super::red::{self, Backlog, ECN, HARDDROP, PROBABILITY, check_average, ewma, probability_log};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Cursor, Fields, Malformed, Payload};
use crate::kind::{
    Attribute, Children, Finding, Kind, Options, Place, Role, Row, Rows, attribute, fits, no_option, no_xstats,
    read_row, row_words,
};
use crate::rows;
use crate::syntax::document::{Node, Value};
use crate::unit::{Bytes, Count, Flag, Info, Number, Probability, Rate, Reader, Refusal, Schema, Unit, Words, strtoul};

rows! {
    /// Generic random early detection.
    pub struct Gred {
        /// how many virtual queues there may be, up to 16
        vqs: Count = Row::new("vqs").aliases(&["DPs"]);
        /// the queue of packets whose `tc_index` names none
        default: Count = Row::new("default");
        /// give queues priorities: a queue then counts the averages of those before it as its own
        grio: Flag = Row::new("grio").flag().default("no");
        /// bytes that may wait in all
        limit: Bytes = Row::new("limit").computed("the link's txqueuelen, of its largest packets");
        /// mark packets of flows that can be told (ECN), in every queue
        ecn: Flag = Row::new("ecn").flag().default("no");
        /// with ecn: drop above max all the same
        harddrop: Flag = Row::new("harddrop").flag().default("no");
        /// the virtual queues, each with its thresholds
        queues: Queues = Row::new("queues");
        /// these are the words of one virtual queue, and not of the whole
        part: Flag = Row::new("part").hidden().tool();
    }
}

rows! {
    /// A virtual queue.
    pub struct Vq {
        /// its number
        vq: Count = Row::new("vq").aliases(&["DP"]);
        /// with grio: its priority, from 1, the lowest first
        prio: Number = Row::new("prio");
        /// bytes that may wait in it
        limit: Bytes = Row::new("limit");
        /// average backlog in bytes at which dropping or marking begins
        min: Bytes = Row::new("min");
        /// average backlog in bytes at which everything is dropped or marked
        max: Bytes = Row::new("max");
        /// size of a usual packet, for the average
        avpkt: Bytes = Row::new("avpkt").tool();
        /// packets of a burst that the average passes over
        burst: Number = Row::new("burst").tool();
        /// the chance of being dropped or marked just below max
        probability: Probability = Row::new("probability").default("0.02");
        /// the speed of the link, for what the average loses while idle
        bandwidth: Rate = Row::new("bandwidth").percent().range(0, u32::MAX as u64).default("10mbit").tool();
        /// mark packets of flows that can be told (ECN)
        ecn: Flag = Row::new("ecn").flag();
        /// with ecn: drop above max all the same
        harddrop: Flag = Row::new("harddrop").flag();
        /// the weight of the average: what `burst` comes to
        ewma: Number = Row::new("ewma").hidden();
        /// the grain of the idle table: what `bandwidth` comes to
        cell: Number = Row::new("cell").hidden();
    }
}

impl Options for Vq {}

/// The kind.
pub static KIND: Kind = Kind {
    name: "gred",
    role: Role::Qdisc,
    doc: "generic random early detection: up to 16 virtual queues in one, chosen by the `tc_index` that a filter or dsmark set, each with thresholds of its own",
    options: || Box::new(Gred::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_SCH_GRED",
    module: "sch_gred",
    attributes: ATTRIBUTES,
    // what a queue counts stands among its options: `figures`
    xstats: no_xstats,
};

const PARMS: u16 = 1;
const STAB: u16 = 2;
const DPS: u16 = 3;
const MAX_P: u16 = 4;
const LIMIT: u16 = 5;
const VQ_LIST: u16 = 6;
const VQ_ENTRY: u16 = 1;
const VQ_DP: u16 = 2;
const VQ_FLAGS: u16 = 12;

const ATTRIBUTES: &[Attribute] = &[
    attribute("TCA_GRED_PARMS", PARMS, &["queues"]),
    no_option("TCA_GRED_STAB", STAB, "the idle table, made of a queue's `bandwidth` and `avpkt`; no dump has it"),
    attribute("TCA_GRED_DPS", DPS, &["vqs", "default", "grio", "ecn", "harddrop"]),
    attribute("TCA_GRED_MAX_P", MAX_P, &["queues"]),
    attribute("TCA_GRED_LIMIT", LIMIT, &["limit"]),
    attribute("TCA_GRED_VQ_LIST", VQ_LIST, &["queues"]),
    attribute("TCA_GRED_VQ_ENTRY", VQ_ENTRY, &["queues"]),
    no_option("TCA_GRED_VQ_PAD", 1, "padding before figures of 64 bits"),
    attribute("TCA_GRED_VQ_DP", VQ_DP, &["queues"]),
    no_option("TCA_GRED_VQ_STAT_BYTES", 3, "a figure: `vq0_bytes` and so on"),
    no_option("TCA_GRED_VQ_STAT_PACKETS", 4, "a figure: `vq0_packets` and so on"),
    no_option("TCA_GRED_VQ_STAT_BACKLOG", 5, "a figure: `vq0_backlog` and so on"),
    no_option("TCA_GRED_VQ_STAT_PROB_DROP", 6, "a figure: `vq0_prob_drop` and so on"),
    no_option("TCA_GRED_VQ_STAT_PROB_MARK", 7, "a figure: `vq0_prob_mark` and so on"),
    no_option("TCA_GRED_VQ_STAT_FORCED_DROP", 8, "a figure: `vq0_forced_drop` and so on"),
    no_option("TCA_GRED_VQ_STAT_FORCED_MARK", 9, "a figure: `vq0_forced_mark` and so on"),
    no_option("TCA_GRED_VQ_STAT_PDROP", 10, "a figure: `vq0_pdrop` and so on"),
    no_option("TCA_GRED_VQ_STAT_OTHER", 11, "a figure: `vq0_other` and so on"),
    attribute("TCA_GRED_VQ_FLAGS", VQ_FLAGS, &["queues"]),
];

/// `MAX_DPs`.
const MOST: u32 = 16;
/// The priority of a queue that has none (`GRED_DEF_PRIO`).
const PRIO: u32 = 8;
/// Octets of `struct tc_gred_qopt`, and where its `other` and `qave` are.
const QOPT: usize = 52;
const OTHER: usize = 32;
const AVERAGE: usize = 20;

macro_rules! figures {
    ($($vq:literal)*) => {
        [$([
            concat!("vq", $vq, "_bytes"),
            concat!("vq", $vq, "_packets"),
            concat!("vq", $vq, "_backlog"),
            concat!("vq", $vq, "_prob_drop"),
            concat!("vq", $vq, "_prob_mark"),
            concat!("vq", $vq, "_forced_drop"),
            concat!("vq", $vq, "_forced_mark"),
            concat!("vq", $vq, "_pdrop"),
            concat!("vq", $vq, "_other"),
            concat!("vq", $vq, "_average"),
        ]),*]
    };
}
/// What each queue counts, in the order of `TCA_GRED_VQ_STAT_…`; the last two are in the struct.
const FIGURES: [[&str; 10]; MOST as usize] = figures!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);

/// The virtual queues, by number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Queues(pub Vec<Vq>);

fn on(flag: &Option<Flag>) -> bool {
    *flag == Some(Flag(true))
}

fn bits(ecn: &Option<Flag>, harddrop: &Option<Flag>) -> u32 {
    let bit = |flag, bit| if on(flag) { bit } else { 0 };
    bit(ecn, ECN) | bit(harddrop, HARDDROP)
}

fn flag(bits: u32, bit: u32) -> Option<Flag> {
    Some(Flag(bits & bit != 0))
}

fn narrow(size: Option<Bytes>) -> u32 {
    u32::try_from(size.unwrap_or_default().0).unwrap_or(u32::MAX)
}

impl Vq {
    fn number(&self) -> u32 {
        self.vq.unwrap_or_default().0
    }

    /// As tc's gred_parse_opt.
    fn complete(&mut self, facts: &Facts) {
        self.probability.get_or_insert(Probability(PROBABILITY));
        // a held one has its weight and nothing that it was made from
        if self.ewma.is_some() && self.avpkt.is_none() {
            return;
        }
        let size = |b: Option<Bytes>| b.unwrap_or_default().0;
        let (min, avpkt) = (size(self.min), size(self.avpkt).max(1));
        let burst =
            self.burst.filter(|b| b.0 != 0).map_or_else(|| red::usual_burst(min, size(self.max), avpkt), |b| b.0);
        self.burst = Some(Number(burst));
        let bandwidth = self.bandwidth.filter(|r| r.0 != 0).unwrap_or(Rate(10_000_000));
        self.bandwidth = Some(bandwidth);
        self.ewma = ewma(min, burst, avpkt).map(|w| Number(u32::from(w)));
        self.cell = self.ewma.map(|w| Number(u32::from(red::idle_table(w.0 as u8, avpkt, bandwidth, facts).0)));
    }

    /// With words that tc computes a held one's weight and table from.
    fn worded(&self) -> Vq {
        let mut full = self.clone();
        if let (None, Some(Number(weight)), Some(min)) = (self.avpkt, self.ewma, self.min) {
            let (avpkt, burst) = red::average_of(weight, min.0).unwrap_or_default();
            (full.avpkt, full.burst) = (Some(avpkt), Some(burst));
            full.bandwidth = self.cell.and_then(|cell| red::bandwidth_of(weight, avpkt.0, cell.0));
        }
        full
    }

    fn tc(&self, out: &mut Vec<String>) {
        let full = self.worded();
        for (i, row) in full.rows().iter().enumerate() {
            if let Some(slot) = full.slot(i).filter(|_| !row.hidden) {
                row_words(row, slot, out);
            }
        }
    }

    /// The message of one queue; three attributes, and the flags in a list of one.
    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let mut full = self.clone();
        full.complete(facts);
        let octet = |n: Option<Number>, none: u8| n.map_or(none, |n| n.0 as u8);
        let (weight, probability) = (octet(full.ewma, 1), full.probability.unwrap_or(Probability(PROBABILITY)));
        let (min, max) = (full.min.unwrap_or_default().0, full.max.unwrap_or_default().0);
        let avpkt = full.avpkt.unwrap_or(Bytes(1000)).0;
        let bandwidth = full.bandwidth.unwrap_or(Rate(10_000_000));
        let (grain, table) = red::idle_table(weight, avpkt, bandwidth, facts);
        // struct tc_gred_qopt: limit, qth_min, qth_max, DP, six counters, Wlog, Plog, Scell_log, prio, two counters
        let opt = Fields::new()
            .u32(narrow(full.limit))
            .u32(narrow(full.min))
            .u32(narrow(full.max))
            .u32(full.number())
            .raw(&[0; 24])
            .u8(weight)
            .u8(probability_log(min, max, probability.0).unwrap_or(0))
            .u8(octet(full.cell, grain))
            .u8(octet(full.prio, 0))
            .raw(&[0; 8]);
        out.raw(PARMS, &opt.0);
        out.raw(STAB, &table);
        out.u32(MAX_P, probability.parts());
        out.nest(VQ_LIST, |list| {
            list.nest(VQ_ENTRY, |entry| {
                entry.u32(VQ_DP, full.number());
                entry.u32(VQ_FLAGS, bits(&full.ecn, &full.harddrop));
            });
        });
    }

    /// `struct tc_gred_qopt`; `None` where the kernel says that there is no such queue.
    fn decode(c: &mut Cursor) -> Result<Option<Vq>, Malformed> {
        let (limit, min, max, dp) = (c.u32()?, c.u32()?, c.u32()?, c.u32()?);
        c.array::<24>()?; // counters
        let (weight, _probability_log, cell, prio) = (c.u8()?, c.u8()?, c.u8()?, c.u8()?);
        let size = |n: u32| Some(Bytes(u64::from(n)));
        let vq = Vq {
            vq: Some(Count(dp)),
            prio: (prio != 0).then_some(Number(u32::from(prio))),
            limit: size(limit),
            min: size(min),
            max: size(max),
            ewma: Some(Number(u32::from(weight))),
            cell: Some(Number(u32::from(cell))),
            ..Vq::default()
        };
        Ok((dp < MOST).then_some(vq))
    }

    fn check(&self, whole: &Gred, facts: &Facts, out: &mut Vec<Finding>) {
        let number = self.number();
        let mut found = Vec::new();
        for (word, value) in [("limit", &self.limit), ("min", &self.min), ("max", &self.max), ("avpkt", &self.avpkt)] {
            fits(word, value.map(|b| b.0), u64::from(u32::MAX), &mut found);
            let held = word == "avpkt" && self.ewma.is_some();
            if value.is_none_or(|v| v.0 == 0) && !held {
                let f = Finding::new(&codes::MISSING_OPTION, "queues", format!("queue {number} wants `{word}`"));
                found.push(f.help("write `limit`, `min`, `max` and `avpkt` of each queue"));
            }
        }
        if self.vq.is_none() {
            let f = Finding::new(&codes::MISSING_OPTION, "queues", "a queue wants its number");
            found.push(f.help("write `vq: 0`"));
        }
        let count = whole.vqs.map_or(MOST, |n| n.0);
        if number >= count {
            let message =
                format!("there is no queue {number}: they are numbered from 0 to {}", count.saturating_sub(1));
            found.push(Finding::new(&codes::OUT_OF_RANGE, "queues", message).and("vqs", ""));
        }
        if self.prio.is_some_and(|p| p.0 > 255) {
            let message = format!("the priority of queue {number} does not fit: at most 255");
            found.push(Finding::new(&codes::OUT_OF_RANGE, "queues", message));
        }
        if let Some(rate) = self.bandwidth.filter(|r| r.0 != 0) {
            super::htb::check_rate("bandwidth", rate, facts, &mut found);
        }
        if found.is_empty() && self.avpkt.is_some() {
            let size = |b: Option<Bytes>| b.unwrap_or_default().0;
            let of = Backlog::Bytes(size(self.avpkt));
            let burst = self.burst.map(|b| b.0).filter(|b| *b != 0);
            check_average((size(self.min), size(self.max)), (size(self.limit), "limit"), burst, of, &mut found);
        }
        if whole.part.is_none() {
            if let (Some(own), Some(all)) = (self.limit, whole.limit)
                && own.0 > all.0
            {
                let message = format!("the limit of queue {number} is cut to that of all, {}", all.show());
                found.push(Finding::new(&codes::CUT_SHORT, "queues", message).and("limit", ""));
            }
            if self.prio.is_some() && !on(&whole.grio) {
                let message = format!("the priority of queue {number} does nothing without `grio`");
                found.push(Finding::new(&codes::NO_EFFECT, "queues", message).help("write `grio: yes`"));
            }
            let all = bits(&whole.ecn, &whole.harddrop);
            let differs = self.ecn.is_some_and(|f| Some(f) != flag(all, ECN))
                || self.harddrop.is_some_and(|f| Some(f) != flag(all, HARDDROP));
            if all != 0 && differs {
                let message = format!("queue {number} has other flags than the whole, which the kernel refuses");
                let f = Finding::new(&codes::OUT_OF_RANGE, "queues", message).and("ecn", "").and("harddrop", "");
                found.push(f.help("write `ecn` and `harddrop` either for all queues or in each"));
            }
        }
        // only the list of queues has a place
        for mut finding in found {
            for (word, text) in &mut finding.rows {
                if Gred::ROWS.iter().all(|row| row.word != *word)
                    || ["limit", "min", "max"].contains(word) && text.is_empty()
                {
                    *word = "queues";
                }
            }
            finding.rows.dedup_by_key(|(word, _)| *word);
            if !finding.message.contains("queue ") {
                finding.message = format!("queue {number}: {}", finding.message);
            }
            out.push(finding);
        }
    }
}

impl Unit for Queues {
    const INFO: Info = Info {
        name: "a list of queues",
        spellings: "`vq 0 limit 60kb min 15kb max 45kb avpkt 1000b`, or a list of such blocks",
        schema: Schema::Any,
    };

    /// In one line, as it is shown: queues are separated by semicolons.
    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut queues = Vec::new();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let mut vq = Vq::default();
            let mut words = part.split_whitespace();
            while let Some(word) = words.next() {
                let value = words.next().ok_or_else(|| Refusal::new(format!("`{word}` wants a value")))?;
                let slot = vq.slot_of(word)?;
                slot.read_text(value, reader)?;
            }
            queues.push(vq);
        }
        Ok(Queues(queues))
    }

    fn read_node(node: &Node, reader: &mut Reader) -> Result<Self, Refusal> {
        let items = match &node.value {
            Value::Word(word) => return Self::read(&word.text, reader),
            Value::List(items) => items,
            _ => {
                let r = Refusal::new(format!("a list of queues is wanted here, and this is {}", node.shape()));
                return Err(r.help("write `- { vq: 0, limit: 60kb, min: 15kb, max: 45kb, avpkt: 1000b }`"));
            }
        };
        let mut queues = Vec::with_capacity(items.len());
        for item in items {
            let Some(entries) = item.node.entries() else {
                queues.extend(Self::read(item.node.as_word().unwrap_or_default(), reader)?.0);
                continue;
            };
            let mut vq = Vq::default();
            for entry in entries {
                let at = |r: Refusal, span| if r.span.is_some() { r } else { r.at(span) };
                let slot = vq.slot_of(&entry.key.value).map_err(|r| at(r, entry.key.span))?;
                slot.read_node(&entry.node, reader).map_err(|r| at(r, entry.node.span))?;
            }
            queues.push(vq);
        }
        Ok(Queues(queues))
    }

    fn show(&self) -> String {
        let one = |vq: &Vq| {
            let full = vq.worded();
            let rows = full.rows().iter().enumerate().filter(|(_, row)| !row.hidden);
            let said = rows.filter_map(|(i, row)| Some(format!("{} {}", row.word, full.slot(i)?.show()?)));
            said.collect::<Vec<_>>().join(" ")
        };
        self.0.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}

impl Vq {
    fn slot_of(&mut self, word: &str) -> Result<&mut dyn crate::unit::Slot, Refusal> {
        let unknown = || {
            let words = Vq::ROWS.iter().filter(|r| !r.hidden).map(|r| format!("`{}`", r.word));
            let words = words.collect::<Vec<_>>().join(", ");
            Refusal::coded(&codes::UNKNOWN_KEY, format!("a queue of gred has no option `{word}`"))
                .help(format!("it has {words}"))
        };
        let row = Vq::ROWS.iter().position(|r| r.is(word) && !r.hidden).ok_or_else(unknown)?;
        self.slot_mut(row).ok_or_else(unknown)
    }
}

impl Gred {
    /// As the kernel has it: what is not said of a queue is that of the whole, limits are cut, priorities without `grio`
    /// are nothing.
    fn settled(&self, facts: &Facts) -> Vec<Vq> {
        let most = self.limit.map_or(u64::MAX, |l| l.0);
        let mut queues = self.queues.clone().unwrap_or_default().0;
        queues.sort_by_key(Vq::number);
        for vq in &mut queues {
            vq.complete(facts);
            vq.limit = vq.limit.map(|l| Bytes(l.0.min(most)));
            vq.prio = match vq.prio {
                Some(prio) if on(&self.grio) => Some(prio),
                _ => Some(Number(PRIO)),
            };
            vq.ecn = vq.ecn.or(self.ecn).or(Some(Flag(false)));
            vq.harddrop = vq.harddrop.or(self.harddrop).or(Some(Flag(false)));
        }
        queues
    }

    /// Takes in a queue: in the place of one of that number, or beside the others.
    fn put(&mut self, vq: Vq) {
        let queues = &mut self.queues.get_or_insert_default().0;
        match queues.iter_mut().find(|old| old.number() == vq.number()) {
            Some(old) => *old = vq,
            None => queues.push(vq),
        }
        if self.vqs.is_none() {
            self.part = Some(Flag(true));
        }
    }

    /// tc's words after `setup`.
    fn read_setup(&mut self, words: &mut Words, reader: &mut Reader) -> Result<(), Refusal> {
        while let Some(word) = words.peek() {
            if ["queues", "part"].contains(&word) || !read_row(self, words, reader)? {
                return Err(Refusal::new(format!("what is `{word}`?"))
                    .help("write `setup vqs NUMBER default NUMBER`, then `grio`, `limit BYTES`, `ecn` or `harddrop`"));
            }
            if word == "default" && self.vqs.is_none() {
                return Err(Refusal::new("`default` is to stand after `vqs`").help("write `setup vqs 3 default 2`"));
            }
        }
        Ok(())
    }
}

impl Options for Gred {
    /// The whole, or one queue.
    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        if let (Some(_), Some(Queues(queues))) = (self.part, &self.queues) {
            queues.iter().take(1).for_each(|vq| vq.encode(out, facts));
            return;
        }
        let Gred { vqs, default, grio, limit, ecn, harddrop, .. } = self;
        let number = |n: &Option<Count>| n.unwrap_or_default().0;
        // struct tc_gred_sopt: DPs, def_DP, grio, flags, pad
        let opt = Fields::new()
            .u32(number(vqs))
            .u32(number(default))
            .u8(u8::from(on(grio)))
            .u8(bits(ecn, harddrop) as u8)
            .raw(&[0; 2]);
        out.raw(DPS, &opt.0);
        if limit.is_some_and(|l| l.0 != 0) {
            out.u32(LIMIT, narrow(*limit));
        }
    }

    /// A dump, or one of the two requests.
    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        if let Some(opt) = attributes.get(DPS) {
            let mut c = opt.fields();
            self.vqs = Some(Count(c.u32()?));
            self.default = Some(Count(c.u32()?));
            self.grio = Some(Flag(c.u8()? != 0));
            let flags = u32::from(c.u8()?);
            (self.ecn, self.harddrop) = (flag(flags, ECN), flag(flags, HARDDROP));
        }
        if let Some(limit) = attributes.u32(LIMIT)? {
            self.limit = Some(Bytes(u64::from(limit)));
        }
        let chances = attributes.get(MAX_P).map(|p| p.0).unwrap_or_default();
        let chance = |i: usize| {
            let at = if chances.len() == 4 { 0 } else { 4 * i };
            chances.get(at..at + 4).and_then(|four| Payload(four).fields().u32().ok())
        };
        let mut queues = Vec::new();
        for (i, opt) in attributes.get(PARMS).map(|p| p.0).unwrap_or_default().chunks_exact(QOPT).enumerate() {
            if let Some(mut vq) = Vq::decode(&mut Payload(opt).fields())? {
                vq.probability = chance(i).and_then(|p| Probability::from_number(u64::from(p)));
                queues.push(vq);
            }
        }
        for (_, entry) in attributes.nested(VQ_LIST)?.unwrap_or_default().list {
            let entry = entry.attributes()?;
            let (number, flags) = (entry.u32(VQ_DP)?, entry.u32(VQ_FLAGS)?);
            for vq in queues.iter_mut().filter(|vq| Some(vq.number()) == number) {
                (vq.ecn, vq.harddrop) = (flags.and_then(|f| flag(f, ECN)), flags.and_then(|f| flag(f, HARDDROP)));
            }
        }
        queues.into_iter().for_each(|vq| self.put(vq));
        Ok(())
    }

    /// Of each queue its list of counters, which kernels have since 5.0, and from the struct what newer ones have left out of
    /// the list, and the average.
    fn figures(&self, payload: Payload) -> Vec<(&'static str, u64)> {
        let read = || -> Result<Vec<(&'static str, u64)>, Malformed> {
            let attributes = payload.attributes()?;
            let mut out = Vec::new();
            for (_, entry) in attributes.nested(VQ_LIST)?.unwrap_or_default().list {
                let entry = entry.attributes()?;
                let number = entry.u32(VQ_DP)?.unwrap_or(u32::MAX) as usize;
                let Some(names) = FIGURES.get(number) else { continue };
                let counters = (3u16..=10).map(|n| match entry.get(n).map(|p| p.0.len()) {
                    Some(8) => entry.u64(n),
                    _ => Ok(entry.u32(n)?.map(u64::from)),
                });
                for (name, value) in names.iter().zip(counters) {
                    out.extend(value?.map(|value| (*name, value)));
                }
                let structs = attributes.get(PARMS).map(|p| p.0).unwrap_or_default();
                let stands = structs.chunks_exact(QOPT).nth(number);
                for (name, at) in names.iter().skip(8).zip([OTHER, AVERAGE]) {
                    let Some(four) = stands.and_then(|opt| opt.get(at..at + 4)) else { continue };
                    out.push((*name, u64::from(Payload(four).fields().u32()?)));
                }
            }
            Ok(out)
        };
        read().unwrap_or_default()
    }

    /// `gred_init`.
    fn assume(&mut self, facts: &Facts) {
        self.assume_constants();
        if self.part.is_none() {
            let whole = u64::from(facts.txqueuelen) * u64::from(facts.frame());
            self.limit = self.limit.filter(|l| l.0 != 0).or(Some(Bytes(whole)));
        }
    }

    fn complete(&mut self, facts: &Facts) {
        self.queues.iter_mut().flat_map(|q| &mut q.0).for_each(|vq| vq.complete(facts));
    }

    fn same(&self, other: &dyn Options, row: usize, facts: &Facts) -> bool {
        let Some(held) = other.as_kind::<Gred>() else { return false };
        if Gred::ROWS.get(row).is_none_or(|r| r.word != "queues") {
            return matches!((self.slot(row), other.slot(row)), (Some(a), Some(b)) if a.same(b));
        }
        let (ours, theirs) = (self.settled(facts), held.settled(facts));
        let same = |a: &Vq, b: &Vq| {
            let rows = Vq::ROWS.iter().enumerate().filter(|(_, row)| !row.tool);
            rows.map(|(i, _)| (a.slot(i), b.slot(i))).all(|pair| matches!(pair, (Some(a), Some(b)) if a.same(b)))
        };
        ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(a, b)| same(a, b))
    }

    /// A message for each queue. In one with priorities and in one with flags each queue says them: what the kernel takes
    /// where nothing is said depends on the order.
    fn parts(&self) -> Vec<Box<dyn Options>> {
        if self.part.is_some() {
            return Vec::new();
        }
        let mut queues = self.queues.clone().unwrap_or_default().0;
        queues.sort_by_key(Vq::number);
        let part = |mut vq: Vq| {
            if on(&self.grio) {
                vq.prio.get_or_insert(Number(PRIO));
            }
            vq.ecn = vq.ecn.or(self.ecn);
            vq.harddrop = vq.harddrop.or(self.harddrop);
            let part = Gred { queues: Some(Queues(vec![vq])), part: Some(Flag(true)), ..Gred::default() };
            Box::new(part) as Box<dyn Options>
        };
        queues.into_iter().map(part).collect()
    }

    fn tc(&self, out: &mut Vec<String>) {
        if let (Some(_), Some(Queues(queues))) = (self.part, &self.queues) {
            queues.iter().take(1).for_each(|vq| vq.tc(out));
            return;
        }
        out.push("setup".into());
        for (i, row) in self.rows().iter().enumerate().filter(|(_, r)| r.word != "queues" && !r.hidden) {
            if let Some(slot) = self.slot(i) {
                row_words(row, slot, out);
            }
        }
    }

    /// All words of a line belong together: `setup …`, or those of one queue.
    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if words.take("setup") {
            self.read_setup(words, reader)?;
            return Ok(true);
        }
        let mut vq = Vq::default();
        let mut said = false;
        while let Some(word) = words.peek().filter(|word| *word != "setup") {
            if word == "prio" {
                // strtol: the number at the beginning, or 0, in an octet
                words.next();
                let number = strtoul(words.want("a priority")?, 10).map_or(0, |(number, _)| number as u8);
                vq.prio = Some(Number(u32::from(number)));
            } else if !read_row(&mut vq, words, reader)? {
                break;
            }
            said = true;
        }
        if !said {
            return Ok(false);
        }
        if let Some(word) = words.peek() {
            return Err(Refusal::new(format!("what is `{word}`?")).help("a line has `setup` or the words of one `vq`"));
        }
        self.put(vq);
        Ok(true)
    }

    /// `setup` makes the queues, whatever the verb.
    fn creates(&self) -> bool {
        self.part.is_none()
    }

    /// What tc refuses.
    fn settle_tc(&mut self, _place: &mut Place) -> Result<(), Refusal> {
        let missing = |what: &str, help: &str| {
            Err(Refusal::coded(&codes::MISSING_OPTION, format!("gred wants {what}")).help(help.to_owned()))
        };
        if self.part.is_none() {
            let help = "write `setup vqs 3 default 2`";
            return match (self.vqs, self.default) {
                (Some(Count(0)) | None, _) | (_, None) => missing("`setup` with `vqs` and `default`", help),
                (Some(Count(n)), Some(_)) if n > MOST => {
                    Err(Refusal::coded(&codes::OUT_OF_RANGE, format!("gred has 1 to {MOST} queues, not {n}"))
                        .help(help))
                }
                (Some(vqs), Some(default)) if default.0 >= vqs.0 => {
                    let message = format!("there is no queue {} for a default: they count from 0", default.0);
                    Err(Refusal::coded(&codes::OUT_OF_RANGE, message).help(help))
                }
                _ => Ok(()),
            };
        }
        let Some(vq) = self.queues.as_ref().and_then(|q| q.0.first()) else { return Ok(()) };
        let size = |b: Option<Bytes>| b.unwrap_or_default().0;
        if vq.vq.is_none() || [vq.limit, vq.min, vq.max, vq.avpkt].into_iter().any(|b| size(b) == 0) {
            let help = "write `vq 0 limit 60kb min 15kb max 45kb avpkt 1000`";
            return missing("`vq`, `limit`, `min`, `max` and `avpkt`", help);
        }
        if vq.number() >= MOST {
            let message = format!("there is no queue {}: they are numbered from 0 to {}", vq.number(), MOST - 1);
            return Err(Refusal::coded(&codes::OUT_OF_RANGE, message));
        }
        let mut found = Vec::new();
        vq.check(self, &Facts::default(), &mut found);
        let tcs = [codes::RED_THRESHOLDS.name, codes::RED_BURST.name];
        match found.into_iter().find(|f| tcs.contains(&f.code.name) && size(vq.min) != size(vq.max)) {
            Some(f) => Err(Refusal { code: f.code, message: f.message, help: f.help, span: None }),
            None => {
                if let Some(vq) = self.queues.as_mut().and_then(|q| q.0.first_mut()) {
                    let (min, max) = (size(vq.min), size(vq.max));
                    let log = probability_log(min, max, vq.probability.map_or(PROBABILITY, |p| p.0));
                    red::settle_chance(&mut vq.probability, log, max.saturating_sub(min));
                }
                Ok(())
            }
        }
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        let Gred { vqs, default, grio: _, limit, ecn, harddrop, queues, part } = self;
        let queues = queues.as_ref().map(|q| q.0.as_slice()).unwrap_or_default();
        if part.is_none() {
            fits("limit", limit.map(|l| l.0), u64::from(u32::MAX), out);
            let sound = match (vqs, default) {
                (Some(Count(n @ 1..=MOST)), Some(default)) if default.0 < *n => true,
                (Some(Count(n @ 1..=MOST)), Some(default)) => {
                    let message = format!("there is no queue {} for a default: the last is {}", default.0, n - 1);
                    let f = Finding::new(&codes::OUT_OF_RANGE, "default", message).and("vqs", "they count from 0");
                    out.push(f.help(format!("write `default: {}`", n - 1)));
                    false
                }
                (Some(Count(1..=MOST)) | None, None) | (None, Some(_)) => {
                    let word = if vqs.is_none() { "vqs" } else { "default" };
                    let f = Finding::new(&codes::MISSING_OPTION, word, format!("gred wants `{word}`"));
                    out.push(f.help("write how many queues there are, and the one of packets without a number: `vqs: 3`, `default: 2`"));
                    false
                }
                (Some(n), _) => {
                    let message = format!("gred has 1 to {MOST} virtual queues, not {}", n.0);
                    out.push(Finding::new(&codes::OUT_OF_RANGE, "vqs", message).help("write `vqs: 3`"));
                    false
                }
            };
            if on(harddrop) && !on(ecn) {
                let f = Finding::new(&codes::NO_EFFECT, "harddrop", "`harddrop` does nothing without `ecn`");
                out.push(f.help("leave it out, or write `ecn: yes`"));
            }
            if sound && !queues.is_empty() && queues.iter().all(|vq| vq.vq != *default) {
                let default = default.unwrap_or_default().0;
                let message = format!("the default queue {default} has no thresholds: its packets pass as in a fifo");
                let f = Finding::new(&codes::NO_EFFECT, "queues", message).and("default", "");
                out.push(f.help(format!("write a queue `vq: {default}`")));
            }
        }
        for (i, vq) in queues.iter().enumerate() {
            vq.check(self, facts, out);
            if queues.iter().take(i).any(|other| other.vq == vq.vq) {
                let message = format!("queue {} stands here twice", vq.number());
                out.push(Finding::new(&codes::DUPLICATE_KEY, "queues", message).help("leave one of them out"));
            }
        }
    }
}
