//! `choke`: net/sched/sch_choke.c, tc-choke(8). The averages are those of `red`, counted in packets.

use super::red::{self, Backlog, ECN, PROBABILITY, check_average, ewma, probability_log};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Fields, Malformed, Payload};
use crate::kind::{
    Attribute, Children, Finding, Kind, Options, Place, Role, Row, Rows, attribute, fits, no_option, row_words,
};
use crate::rows;
use crate::unit::{Bytes, Flag, Number, Packets, Probability, Rate, Refusal, Unit};

rows! {
    /// Choose and keep for responsive flows.
    pub struct Choke {
        /// packets that may wait at all
        limit: Packets = Row::new("limit").cuts();
        /// the speed of the link, for what the average loses while idle
        bandwidth: Rate = Row::new("bandwidth").percent().range(0, u32::MAX as u64).tool();
        /// mark packets of flows that can be told (ECN) instead of dropping them
        ecn: Flag = Row::new("ecn").flag().default("no");
        /// average of waiting packets at which dropping begins
        min: Packets = Row::new("min").computed("a third of max");
        /// average of waiting packets at which every packet is dropped
        max: Packets = Row::new("max").computed("a quarter of the limit");
        /// packets of a burst that the average passes over
        burst: Number = Row::new("burst").computed("(2 min + max) / 3").tool();
        /// size of a usual packet, for what the average loses while idle
        avpkt: Bytes = Row::new("avpkt").default("1000b").tool();
        /// the chance of being dropped or marked just below max
        probability: Probability = Row::new("probability").default("0.02");
        /// the weight of the average, as its negative logarithm: what `burst` comes to
        ewma: Number = Row::new("ewma").hidden();
        /// the grain of the idle table, as its logarithm: what `bandwidth` comes to
        cell: Number = Row::new("cell").hidden();
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "choke",
    role: Role::Qdisc,
    doc: "choose and keep: a packet that comes is compared with one that waits, and both go if they are of one flow. Early detection besides",
    options: || Box::new(Choke::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_SCH_CHOKE",
    module: "sch_choke",
    attributes: ATTRIBUTES,
    xstats,
};

const PARMS: u16 = 1;
const STAB: u16 = 2;
const MAX_P: u16 = 3;
/// `CHOKE_MAX_QUEUE`.
const MOST: u32 = 128 * 1024 - 1;

const ATTRIBUTES: &[Attribute] = &[
    attribute("TCA_CHOKE_PARMS", PARMS, &["limit", "min", "max", "ecn", "ewma", "cell"]),
    no_option("TCA_CHOKE_STAB", STAB, "the idle table, made of `bandwidth`, `avpkt` and `ewma`; no dump has it"),
    attribute("TCA_CHOKE_MAX_P", MAX_P, &["probability"]),
];

/// Thresholds and burst in packets, as tc has them (`choke_parse_opt`).
fn average(limit: u32, min: u32, max: u32, burst: Option<u32>) -> (u32, u32, u32) {
    let or = |n: u32, default: u32| if n == 0 { default } else { n };
    let max = or(max, limit / 4);
    let min = or(min, max / 3);
    let usual = u32::try_from((2 * u64::from(min) + u64::from(max)) / 3).unwrap_or(u32::MAX);
    (min, max, or(burst.unwrap_or(0), usual))
}

impl Options for Choke {
    /// A pointer for each packet.
    fn tables(&self) -> u64 {
        self.limit.map_or(0, |n| (u64::from(n.0) + 1).next_power_of_two() * 8)
    }

    fn forgets(&self, _word: &str) -> bool {
        true
    }

    /// `struct tc_red_qopt`: limit, qth_min, qth_max, Wlog, Plog, Scell_log, flags.
    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let mut full = self.clone();
        full.complete(facts);
        let packets = |p: Option<Packets>| p.unwrap_or_default().0;
        let octet = |n: Option<Number>, none: u8| n.map_or(none, |n| n.0 as u8);
        let (min, max) = (packets(full.min), packets(full.max));
        let avpkt = full.avpkt.unwrap_or(Bytes(1000)).0;
        let probability = full.probability.unwrap_or(Probability(PROBABILITY));
        let bytes = |packets: u32| u64::from(packets).saturating_mul(avpkt);
        let weight = octet(full.ewma, 1);
        let (grain, table) = red::idle_table(weight, avpkt, full.bandwidth.unwrap_or_default(), facts);
        let opt = Fields::new()
            .u32(packets(full.limit))
            .u32(min)
            .u32(max)
            .u8(weight)
            .u8(probability_log(bytes(min), bytes(max), probability.0).unwrap_or(0))
            .u8(octet(full.cell, grain))
            .u8(if full.ecn == Some(Flag(true)) { ECN as u8 } else { 0 });
        out.raw(PARMS, &opt.0);
        out.raw(STAB, &table);
        out.u32(MAX_P, probability.parts());
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        let Some(opt) = attributes.get(PARMS) else { return Ok(()) };
        let mut c = opt.fields();
        let (limit, min, max) = (c.u32()?, c.u32()?, c.u32()?);
        let (weight, _probability_log, cell, flags) = (c.u8()?, c.u8()?, c.u8()?, c.u8()?);
        *self = Choke {
            limit: Some(Packets(limit)),
            min: Some(Packets(min)),
            max: Some(Packets(max)),
            ecn: Some(Flag(u32::from(flags) & ECN != 0)),
            probability: attributes.u32(MAX_P)?.and_then(|p| Probability::from_number(u64::from(p))),
            ewma: Some(Number(u32::from(weight))),
            cell: Some(Number(u32::from(cell))),
            ..Choke::default()
        };
        Ok(())
    }

    /// As tc's choke_parse_opt.
    fn complete(&mut self, facts: &Facts) {
        let number = |p: Option<Packets>| p.unwrap_or_default().0;
        let (min, max, burst) =
            average(number(self.limit), number(self.min), number(self.max), self.burst.map(|b| b.0));
        (self.min, self.max) = (Some(Packets(min)), Some(Packets(max)));
        self.probability.get_or_insert(Probability(PROBABILITY));
        // a held one has its weight and nothing that it was made from
        if self.ewma.is_some() && self.avpkt.is_none() {
            return;
        }
        let avpkt = self.avpkt.get_or_insert(Bytes(1000)).0;
        self.burst = Some(Number(burst));
        self.ewma = ewma(u64::from(min), burst, 1).map(|w| Number(u32::from(w)));
        let bandwidth = self.bandwidth.unwrap_or_default();
        self.cell = self.ewma.map(|w| Number(u32::from(red::idle_table(w.0 as u8, avpkt, bandwidth, facts).0)));
    }

    /// What was read from a kernel gets words that tc computes the same weight and table from.
    fn tc(&self, out: &mut Vec<String>) {
        let mut full = self.clone();
        if let (None, Some(Number(weight)), Some(Packets(min))) = (self.avpkt, self.ewma, self.min) {
            full.avpkt = Some(Bytes(1000));
            full.burst = red::burst_of(weight, u64::from(min), 1);
            full.bandwidth = self.cell.and_then(|cell| red::bandwidth_of(weight, 1000, cell.0));
        }
        for (i, row) in full.rows().iter().enumerate() {
            if let Some(slot) = full.slot(i).filter(|_| !row.hidden) {
                row_words(row, slot, out);
            }
        }
    }

    /// What tc refuses.
    fn settle_tc(&mut self, _place: &mut Place) -> Result<(), Refusal> {
        let mut found = Vec::new();
        self.check(&Facts::default(), &mut found);
        let tcs = [codes::MISSING_OPTION.name, codes::RED_THRESHOLDS.name, codes::RED_BURST.name];
        match found.into_iter().find(|f| tcs.contains(&f.code.name)) {
            Some(f) => Err(Refusal { code: f.code, message: f.message, help: f.help, span: None }),
            None => {
                let number = |p: Option<Packets>| p.unwrap_or_default().0;
                let (min, max, _) = average(number(self.limit), number(self.min), number(self.max), None);
                let avpkt = self.avpkt.unwrap_or(Bytes(1000)).0;
                let bytes = |packets: u32| u64::from(packets).saturating_mul(avpkt);
                let log = probability_log(bytes(min), bytes(max), self.probability.map_or(PROBABILITY, |p| p.0));
                red::settle_chance(&mut self.probability, log, u64::from(max.saturating_sub(min)));
                Ok(())
            }
        }
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        let Choke { limit, bandwidth, ecn: _, min, max, burst, avpkt, probability, ewma, cell: _ } = self;
        self.check_widths(out);
        fits("avpkt", avpkt.map(|b| b.0), u64::from(u32::MAX), out);
        if *avpkt == Some(Bytes(0)) {
            let f = Finding::new(&codes::OUT_OF_RANGE, "avpkt", "avpkt 0b is no size of a packet");
            out.push(f.help("write `1000b`"));
            return;
        }
        match bandwidth {
            // a held one has what it was made into
            None if ewma.is_some() => {}
            None => {
                let f = Finding::new(&codes::MISSING_OPTION, "bandwidth", "choke wants a `bandwidth`");
                out.push(f.help("write the speed of the link: `bandwidth: 10mbit`"));
            }
            Some(rate) => super::htb::check_rate("bandwidth", *rate, facts, out),
        }
        let Some(Packets(limit @ 1..)) = *limit else {
            let f = Finding::new(&codes::MISSING_OPTION, "limit", "choke wants a `limit`");
            out.push(f.help("write `limit: 1000`"));
            return;
        };
        if limit > MOST {
            let f = Finding::new(&codes::OUT_OF_RANGE, "limit", format!("limit {limit} is more than {MOST} packets"));
            out.push(f.help(format!("write `limit: {MOST}` or less")));
        }
        let number = |p: &Option<Packets>| p.unwrap_or_default().0;
        let (least, most, burst) = average(limit, number(min), number(max), burst.map(|b| b.0));
        let thresholds = (u64::from(least), u64::from(most));
        check_average(thresholds, (u64::from(limit), "limit"), Some(burst), Backlog::Packets, out);
        let size = avpkt.map_or(1000, |b| b.0);
        let bytes = |packets: u64| packets.saturating_mul(size);
        red::check_probability((bytes(thresholds.0), bytes(thresholds.1)), *probability, out);
        if bytes(thresholds.1) > u64::from(u32::MAX) {
            let f = Finding::new(&codes::OUT_OF_RANGE, "avpkt", format!("{most} packets of that size are beyond 4 GB"));
            out.push(f.and("max", "so many packets").help("write `avpkt: 1000b`"));
        }
    }
}

/// `struct tc_choke_xstats`.
fn xstats(payload: Payload, _: &Facts) -> Vec<(&'static str, u64)> {
    let mut c = payload.fields();
    let names = ["early", "pdrop", "other", "marked", "matched"];
    names.into_iter().map_while(|n| Some((n, u64::from(c.u32().ok()?)))).collect()
}
