//! `red`: net/sched/sch_red.c, tc-red(8). Its arithmetic serves `sfq` too.

use super::tbf::check_queue;
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Fields, Malformed, Payload};
use crate::kind::{
    Attribute, Children, Drops, Finding, Kind, Options, Place, Reset, Role, Row, Rows, attribute, fits, row_words,
};
use crate::rows;
use crate::unit::{Bytes, Count, Flag, Number, Probability, Rate, Reader, Refusal, Unit, Words};

rows! {
    /// Random early detection.
    pub struct Red {
        /// bytes that may wait at all
        limit: Bytes = Row::new("limit");
        /// average backlog in bytes at which dropping or marking begins
        min: Bytes = Row::new("min").computed("a third of max");
        /// average backlog in bytes at which everything is dropped or marked
        max: Bytes = Row::new("max").computed("three times min, or a quarter of the limit");
        /// size of a usual packet, for the average
        avpkt: Bytes = Row::new("avpkt").default("1000b").tool();
        /// packets of a burst that the average passes over
        burst: Number = Row::new("burst").computed("(2 min + max) / (3 avpkt)").tool();
        /// let the kernel find the probability itself
        adaptive: Flag = Row::new("adaptive").aliases(&["adaptative"]).flag().default("no");
        /// the chance of being dropped or marked just below max
        probability: Probability = Row::new("probability").default("0.02");
        /// the speed of the link, for what the average loses while idle
        bandwidth: Rate = Row::new("bandwidth").percent().range(0, u32::MAX as u64).computed("the link's rate, else 10mbit").tool();
        /// mark packets of flows that can be told (ECN) instead of dropping them
        ecn: Flag = Row::new("ecn").flag().default("no");
        /// with ecn: drop above max all the same
        harddrop: Flag = Row::new("harddrop").flag().default("no");
        /// with ecn: never drop early what cannot be marked
        nodrop: Flag = Row::new("nodrop").flag().default("no");
        /// the block of filters that sees packets dropped early (0: none)
        early_drop: Number = Row::new("early_drop").default("0");
        /// the block of filters that sees packets that are marked (0: none)
        mark: Number = Row::new("mark").default("0");
        /// the weight of the average, as its negative logarithm: what `burst` comes to
        ewma: Number = Row::new("ewma").hidden();
        /// the grain of the idle table, as its logarithm: what `bandwidth` comes to
        cell: Number = Row::new("cell").hidden();
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "red",
    role: Role::Qdisc,
    doc: "random early detection: drops or marks a few packets before the queue is full. For links with many flows",
    options: || Box::new(Red::default()),
    class: None,
    children: Children::Leaf,
    change: true,
    writable: true,
    config: "NET_SCH_RED",
    module: "sch_red",
    attributes: ATTRIBUTES,
    xstats,
};

// enum and flags in include/uapi/linux/pkt_sched.h
const PARMS: u16 = 1;
const STAB: u16 = 2;
const MAX_P: u16 = 3;
const FLAGS: u16 = 4;
const EARLY_DROP_BLOCK: u16 = 5;
const MARK_BLOCK: u16 = 6;

const ATTRIBUTES: &[Attribute] = &[
    attribute("TCA_RED_PARMS", PARMS, &["limit", "min", "max", "ewma", "cell"]),
    attribute("TCA_RED_STAB", STAB, &["bandwidth"]),
    attribute("TCA_RED_MAX_P", MAX_P, &["probability"]),
    attribute("TCA_RED_FLAGS", FLAGS, &["adaptive", "ecn", "harddrop", "nodrop"]),
    attribute("TCA_RED_EARLY_DROP_BLOCK", EARLY_DROP_BLOCK, &["early_drop"]),
    attribute("TCA_RED_MARK_BLOCK", MARK_BLOCK, &["mark"]),
];

pub(crate) const ECN: u32 = 1;
pub(crate) const HARDDROP: u32 = 2;
const ADAPTIVE: u32 = 4;
const NODROP: u32 = 8;

/// The weight of the average, as its negative logarithm: the least `w` for which a burst of that many packets leaves the
/// average at `min`: `burst + 1 - min/avpkt <= (1 - (1 - 2^-w)^burst) / 2^-w`. `None` if the burst is below `min`.
pub(crate) fn ewma(min: u64, burst: u32, avpkt: u64) -> Option<u8> {
    let above = f64::from(burst) + 1.0 - min as f64 / avpkt.max(1) as f64;
    if above < 1.0 {
        return None;
    }
    (1..32).find(|w| {
        let weight = 0.5f64.powi(i32::from(*w));
        above <= (1.0 - (1.0 - weight).powf(f64::from(burst))) / weight
    })
}

/// A packet size and a burst that [`ewma`] gives that weight for. A small packet has a finer burst.
pub(crate) fn average_of(weight: u32, min: u64) -> Option<(Bytes, Number)> {
    let sizes = [1000, 1500, 500, 200, 100, 50, 20, 10, 5, 2, 1];
    sizes.into_iter().find_map(|avpkt| Some((Bytes(avpkt), burst_of(weight, min, avpkt)?)))
}

/// A burst that [`ewma`] gives that weight for. Bursts are tried upward in steps of about 3 %, which no weight's range is
/// below.
pub(crate) fn burst_of(weight: u32, min: u64, avpkt: u64) -> Option<Number> {
    let least = u32::try_from(min / avpkt).ok()?;
    let steps = std::iter::successors(Some(0u32), |step| step.checked_add(1 + step / 32));
    let mut bursts = steps.map_while(|step| least.checked_add(step)).filter(|burst| *burst != 0);
    bursts.find(|burst| ewma(min, *burst, avpkt).map(u32::from) == Some(weight)).map(Number)
}

/// A bandwidth that [`idle_table`] has a grain of that logarithm for.
pub(crate) fn bandwidth_of(weight: u32, avpkt: u64, cell: u32) -> Option<Rate> {
    let facts = Facts::default();
    let grain = |rate: Rate| u32::from(idle_table(weight as u8, avpkt, rate, &facts).0);
    // the time of a packet in microseconds, each half as long again as the one before or nearly so; and none at all
    let micros = (0..80u32).map(|n| (2 + u64::from(n % 2)) << (n / 2) >> 1);
    let rates = micros.map(|micros| avpkt * 1_000_000 / micros).chain([avpkt * 1_000_000 + 1]);
    rates.filter(|bytes| *bytes != 0).map(Rate::from_bytes).find(|rate| grain(*rate) == cell)
}

/// `probability / (max - min)` as its negative logarithm: read by kernels that know no exact probability (before 3.3).
pub(crate) fn probability_log(min: u64, max: u64, probability: f64) -> Option<u8> {
    let Some(distance) = max.checked_sub(min).filter(|d| *d != 0) else { return Some(0) };
    let share = probability / distance as f64;
    (0..32).find(|log| share * 2f64.powi(*log) > 1.0).and_then(|log| u8::try_from(log).ok())
}

/// Makes of a chance of 1 and more, which tc sends without its whole part, what the kernel makes of that: where nothing is
/// left it computes one from [`probability_log`] and the distance of the thresholds in its own measure
/// (`red_set_parms`, include/net/red.h).
pub(crate) fn settle_chance(chance: &mut Option<Probability>, log: Option<u8>, distance: u64) {
    let Some(more) = chance.filter(|chance| chance.0 >= 1.0) else { return };
    let made = || (u32::MAX >> log.unwrap_or(0).min(31)).wrapping_mul(distance.max(1) as u32);
    let parts = if more.parts() == 0 { made() } else { more.parts() };
    *chance = Probability::from_number(u64::from(parts));
}

/// What the average loses in idle time: the logarithm of a table's grain, and its 256 shifts. The time of a packet is in
/// whole microseconds, as iproute2 counted before 2025: on links above 8 Gbit/s it is nothing, and so is what is lost.
pub(crate) fn idle_table(weight: u8, avpkt: u64, bandwidth: Rate, facts: &Facts) -> (u8, [u8; 256]) {
    let micros = (avpkt as f64 * 1e6 / bandwidth.bytes().max(1) as f64).floor();
    let ticks = (micros * 1000.0 / facts.tick_ns).floor();
    let mut table = [0u8; 256];
    let mut grain = 0;
    if ticks > 0.0 {
        let decay = -(1.0 - 0.5f64.powi(i32::from(weight))).ln() / ticks;
        grain = (0u8..31).find(|grain| 31.0 / decay / 2f64.powi(i32::from(*grain)) < 512.0).unwrap_or(31);
        for (i, shift) in table.iter_mut().enumerate() {
            *shift = (i as f64 * 2f64.powi(i32::from(grain)) * decay).min(31.0) as u8;
        }
    }
    if let Some(last) = table.last_mut() {
        *last = 31;
    }
    (grain, table)
}

/// Default thresholds and burst, as tc has them from Floyd's advice.
pub(crate) fn thresholds(limit: u64, min: Option<u64>, max: Option<u64>) -> (u64, u64) {
    let max = max.filter(|m| *m != 0).or(min.filter(|m| *m != 0).map(|m| m.saturating_mul(3))).unwrap_or(limit / 4);
    (min.filter(|m| *m != 0).unwrap_or(max / 3), max)
}

/// The burst that tc chooses.
pub(crate) fn usual_burst(min: u64, max: u64, avpkt: u64) -> u32 {
    u32::try_from((2 * min).saturating_add(max) / (3 * avpkt.max(1))).unwrap_or(u32::MAX)
}

/// What an average is kept of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backlog {
    /// Of bytes; a packet has so many.
    Bytes(u64),
    /// Of packets.
    Packets,
}

/// Finds thresholds and a burst that the kernel or tc refuses.
pub(crate) fn check_average(
    (min, max): (u64, u64),
    (limit, limit_word): (u64, &'static str),
    burst: Option<u32>,
    of: Backlog,
    out: &mut Vec<Finding>,
) {
    let (avpkt, u, sized) = match of {
        Backlog::Bytes(avpkt) => (avpkt, "b", format!(" of {avpkt} bytes")),
        Backlog::Packets => (1, "p", String::new()),
    };
    if avpkt == 0 {
        out.push(Finding::new(&codes::OUT_OF_RANGE, "avpkt", "avpkt 0b is no size of a packet").help("write `1000b`"));
        return;
    }
    if min >= max || max > limit {
        let message = format!("min {min}{u}, max {max}{u} and {limit_word} {limit}{u} are not in rising order");
        let f = Finding::new(&codes::RED_THRESHOLDS, "max", message).and("min", "").and(limit_word, "");
        out.push(f.help("write a `min` below `max`, and `max` within the limit; a third and a quarter are usual"));
        return;
    }
    let burst = burst.unwrap_or_else(|| usual_burst(min, max, avpkt));
    match ewma(min, burst, avpkt) {
        None => {
            let message = format!("a burst of {burst} packets{sized} is below min {min}{u}");
            let least = 1 + min / avpkt.max(1);
            out.push(
                Finding::new(&codes::RED_BURST, "burst", message)
                    .and("min", "")
                    .help(format!("write `burst: {least}` or more")),
            );
        }
        // red_check_params: both thresholds must fit after their shift
        Some(weight) if (max << weight.min(31)) >= 1 << 31 => {
            let message = format!("max {max}{u} with a burst of {burst} packets is more than the kernel can average");
            let f = Finding::new(&codes::OUT_OF_RANGE, "max", message).and("burst", "");
            out.push(f.help("write a smaller `burst` or smaller thresholds"));
        }
        Some(_) => {}
    }
}

/// Finds a chance that tc has no logarithm of.
pub(crate) fn check_probability((min, max): (u64, u64), chance: Option<Probability>, out: &mut Vec<Finding>) {
    let chance = chance.unwrap_or(Probability(PROBABILITY));
    if min < max && probability_log(min, max, chance.0).is_none() {
        let message = format!("a probability of {} is too small between these thresholds", chance.show());
        out.push(Finding::new(&codes::OUT_OF_RANGE, "probability", message).help("write `probability: 0.02`"));
    }
}

impl Red {
    fn bits(&self) -> u32 {
        let bit = |flag: Option<Flag>, bit| if flag == Some(Flag(true)) { bit } else { 0 };
        bit(self.ecn, ECN) | bit(self.harddrop, HARDDROP) | bit(self.adaptive, ADAPTIVE) | bit(self.nodrop, NODROP)
    }
}

impl Options for Red {
    fn forgets(&self, _word: &str) -> bool {
        true
    }

    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let mut full = self.clone();
        full.complete(facts);
        let bits = full.bits();
        let Red { limit, min, max, avpkt, burst: _, adaptive: _, probability, bandwidth, .. } = full;
        let Red { ecn: _, harddrop: _, nodrop: _, early_drop, mark, ewma, cell, .. } = full;
        let size = |b: Option<Bytes>| b.unwrap_or_default().0;
        let narrow = |b: Option<Bytes>| u32::try_from(size(b)).unwrap_or(u32::MAX);
        let weight = ewma.map_or(1, |w| w.0 as u8);
        let probability = probability.unwrap_or(Probability(PROBABILITY));
        let (grain, table) = idle_table(weight, size(avpkt), bandwidth.unwrap_or_default(), facts);
        // struct tc_red_qopt: limit, qth_min, qth_max, Wlog, Plog, Scell_log, flags
        let opt = Fields::new()
            .u32(narrow(limit))
            .u32(narrow(min))
            .u32(narrow(max))
            .u8(weight)
            .u8(probability_log(size(min), size(max), probability.0).unwrap_or(0))
            .u8(cell.map_or(grain, |c| c.0 as u8))
            .u8(0);
        out.raw(PARMS, &opt.0);
        out.raw(STAB, &table);
        out.u32(MAX_P, probability.parts());
        // struct nla_bitfield32: value, selector; the kernel refuses flags that come in both places
        out.raw(FLAGS, &Fields::new().u32(bits).u32(ECN | HARDDROP | ADAPTIVE | NODROP).0);
        for (number, block) in [(EARLY_DROP_BLOCK, early_drop), (MARK_BLOCK, mark)] {
            if let Some(Number(n)) = block.filter(|b| b.0 != 0) {
                out.u32(number, n);
            }
        }
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        let Some(opt) = attributes.get(PARMS) else { return Ok(()) };
        let mut c = opt.fields();
        let (limit, min, max) = (c.u32()?, c.u32()?, c.u32()?);
        let (weight, _probability_log, cell, flags) = (c.u8()?, c.u8()?, c.u8()?, c.u8()?);
        let flags = match attributes.get(FLAGS) {
            Some(field) => field.fields().u32()?,
            None => u32::from(flags),
        };
        let size = |n: u32| Some(Bytes(u64::from(n)));
        let flag = |bit: u32| Some(Flag(flags & bit != 0));
        *self = Red {
            limit: size(limit),
            min: size(min),
            max: size(max),
            adaptive: flag(ADAPTIVE),
            probability: attributes.u32(MAX_P)?.and_then(|p| Probability::from_number(u64::from(p))),
            ecn: flag(ECN),
            harddrop: flag(HARDDROP),
            nodrop: flag(NODROP),
            early_drop: Some(Number(attributes.u32(EARLY_DROP_BLOCK)?.unwrap_or(0))),
            mark: Some(Number(attributes.u32(MARK_BLOCK)?.unwrap_or(0))),
            ewma: Some(Number(u32::from(weight))),
            cell: Some(Number(u32::from(cell))),
            ..Red::default()
        };
        Ok(())
    }

    /// As tc's red_parse_opt; the bandwidth is the link's where that is known.
    fn complete(&mut self, facts: &Facts) {
        let limit = self.limit.unwrap_or_default().0;
        let (min, max) = thresholds(limit, self.min.map(|b| b.0), self.max.map(|b| b.0));
        (self.min, self.max) = (Some(Bytes(min)), Some(Bytes(max)));
        self.probability.get_or_insert(Probability(PROBABILITY));
        // a held one has its weight and nothing that it was made from
        if self.ewma.is_some() && self.avpkt.is_none() {
            return;
        }
        // what is 0 is as if it were not written
        self.burst = self.burst.filter(|n| n.0 != 0);
        self.bandwidth = self.bandwidth.filter(|rate| rate.bytes() != 0);
        let avpkt = self.avpkt.get_or_insert(Bytes(1000)).0;
        let burst = self.burst.get_or_insert(Number(usual_burst(min, max, avpkt))).0;
        let bandwidth = *self.bandwidth.get_or_insert(facts.speed.unwrap_or(Rate(10_000_000)));
        self.ewma = ewma(min, burst, avpkt).map(|w| Number(u32::from(w)));
        self.cell = self.ewma.map(|w| Number(u32::from(idle_table(w.0 as u8, avpkt, bandwidth, facts).0)));
    }

    /// The kernel moves the probability of an adaptive one by itself.
    fn same(&self, other: &dyn Options, row: usize, _facts: &Facts) -> bool {
        let Some(held) = other.as_kind::<Red>() else { return false };
        let word = Red::ROWS.get(row).map(|r| r.word);
        if word == Some("probability") && self.adaptive == Some(Flag(true)) && held.adaptive == Some(Flag(true)) {
            return true;
        }
        matches!((self.slot(row), other.slot(row)), (Some(a), Some(b)) if a.same(b))
    }

    /// What was read from a kernel gets words that tc computes the same weight and table from.
    fn tc(&self, out: &mut Vec<String>) {
        let mut full = self.clone();
        if let (None, Some(Number(weight)), Some(min)) = (self.avpkt, self.ewma, self.min) {
            let (avpkt, burst) = average_of(weight, min.0).unwrap_or_default();
            (full.avpkt, full.burst) = (Some(avpkt), Some(burst));
            full.bandwidth = self.cell.and_then(|cell| bandwidth_of(weight, avpkt.0, cell.0));
        }
        for (i, row) in full.rows().iter().enumerate() {
            let Some(slot) = full.slot(i).filter(|_| !row.hidden) else { continue };
            match row.word {
                "early_drop" | "mark" => {
                    if let Some(n) = slot.number().filter(|n| *n != 0) {
                        out.extend(["qevent".into(), row.word.into(), "block".into(), n.to_string()]);
                    }
                }
                _ => row_words(row, slot, out),
            }
        }
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if words.take("qevent") {
            let event = words.want("a qevent")?;
            let slot = match event {
                "early_drop" => &mut self.early_drop,
                "mark" => &mut self.mark,
                _ => return Err(Refusal::new(format!("`{event}` is no qevent of red")).help("write `mark`")),
            };
            if !words.take("block") {
                return Err(Refusal::new("a qevent wants `block` and its number"));
            }
            let number = words.want("the number of a block")?;
            *slot = Some(Count::read(number, reader)?).filter(|n| n.0 != 0).map(|n| Number(n.0));
            if slot.is_none() {
                return Err(Refusal::new("no block has the number 0").help("write `block 1`"));
            }
            return Ok(true);
        }
        crate::kind::read_row(self, words, reader)
    }

    /// tc computes with its own bandwidth where none is written.
    fn settle_tc(&mut self, _place: &mut Place) -> Result<(), Refusal> {
        let none = |size: Option<Bytes>| size.is_none_or(|b| b.0 == 0);
        let missing = |message: &str, help: &str| Err(Refusal::coded(&codes::MISSING_OPTION, message).help(help));
        if none(self.limit) {
            return missing("red wants a `limit`", "write `limit 400kb`");
        }
        if none(self.avpkt) {
            return missing("red wants an `avpkt`", "write `avpkt 1000`");
        }
        self.bandwidth = self.bandwidth.filter(|rate| rate.bytes() != 0).or(Some(Rate(10_000_000)));
        let mut full = self.clone();
        full.complete(&Facts::default());
        let (min, max) = (full.min.unwrap_or_default(), full.max.unwrap_or_default());
        if full.ewma.is_none() {
            let refusal = Refusal::coded(&codes::RED_BURST, "no average can follow this `burst`");
            return Err(refusal.help("write a larger `burst`, or a smaller `min`"));
        }
        let probability = self.probability.map_or(PROBABILITY, |p| p.0);
        if min > max || min < max && probability_log(min.0, max.0, probability).is_none() {
            let refusal = Refusal::coded(&codes::RED_THRESHOLDS, "no chance can be computed between `min` and `max`");
            return Err(refusal.help("write a `min` below `max`"));
        }
        if full.cell.is_none() {
            let refusal = Refusal::coded(&codes::OUT_OF_RANGE, "no idle table can be made for this `bandwidth`");
            return Err(refusal.help("write the speed of the link"));
        }
        let log = probability_log(min.0, max.0, probability);
        settle_chance(&mut self.probability, log, max.0.saturating_sub(min.0));
        Ok(())
    }

    /// A change puts a new bfifo of the limit below, whatever was there (`red_change`).
    fn change_resets(&self, _leaf: &str) -> Option<Reset> {
        Some(Reset::Replaced)
    }

    fn change_drops(&self, _held: &dyn Options) -> Option<Drops> {
        Some(Drops::Queue)
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        let Red { limit, min, max, avpkt, burst, adaptive: _, probability, bandwidth, .. } = self;
        self.check_widths(out);
        let Red { ecn, harddrop, nodrop, early_drop: _, mark: _, ewma: _, cell: _, .. } = self;
        for (word, value) in [("limit", limit), ("min", min), ("max", max), ("avpkt", avpkt)] {
            fits(word, value.map(|b| b.0), u64::from(u32::MAX), out);
        }
        if let Some(rate) = bandwidth {
            super::htb::check_rate("bandwidth", *rate, facts, out);
        }
        let on = |flag: &Option<Flag>| *flag == Some(Flag(true));
        if on(nodrop) && !on(ecn) {
            let f =
                Finding::new(&codes::MISSING_OPTION, "nodrop", "`nodrop` wants `ecn`: what is not dropped is marked");
            out.push(f.help("write `ecn: yes`"));
        }
        if on(harddrop) && !on(ecn) {
            let f = Finding::new(&codes::NO_EFFECT, "harddrop", "`harddrop` does nothing without `ecn`");
            out.push(f.help("leave it out, or write `ecn: yes`"));
        }
        let Some(limit) = *limit else {
            let f = Finding::new(&codes::MISSING_OPTION, "limit", "red wants a `limit`");
            out.push(f.help("write `limit: 400kb`"));
            return;
        };
        check_queue("limit", limit, facts, out);
        let pair = thresholds(limit.0, min.map(|b| b.0), max.map(|b| b.0));
        let before = out.len();
        check_average(pair, (limit.0, "limit"), burst.map(|b| b.0), Backlog::Bytes(avpkt.map_or(1000, |b| b.0)), out);
        if out.len() == before {
            check_probability(pair, *probability, out);
        }
    }
}

/// tc's chance of being dropped or marked.
pub(crate) const PROBABILITY: f64 = 0.02;

/// `struct tc_red_xstats`.
fn xstats(payload: Payload, _: &Facts) -> Vec<(&'static str, u64)> {
    let mut c = payload.fields();
    ["early", "pdrop", "other", "marked"].into_iter().map_while(|n| Some((n, u64::from(c.u32().ok()?)))).collect()
}
