//! `sfq`: net/sched/sch_sfq.c, tc-sfq(8).

use super::red::{self, Backlog, ECN, HARDDROP, PROBABILITY, average_of, check_average, ewma};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Fields, Malformed, Payload};
use crate::kind::{Children, End, Fairness, Finding, Kind, Options, Place, Role, Row, Rows, fits, row_words};
use crate::rows;
use crate::unit::{Bytes, Flag, Length, Number, Packets, Probability, Refusal, Seconds, Unit};

rows! {
    /// Stochastic fairness queueing.
    pub struct Sfq {
        /// packets that may wait in all
        limit: Packets = Row::new("limit").default("127");
        /// bytes that a flow may send a turn; never less than a packet
        quantum: Bytes = Row::new("quantum").computed("the MTU with its link header");
        /// how often flows are hashed anew, so that two that share a bucket part again; 0: never
        perturb: Seconds = Row::new("perturb").default("0");
        /// hash buckets: a power of two
        divisor: Number = Row::new("divisor").default("1024");
        /// flows that are told apart at once
        flows: Number = Row::new("flows").default("128");
        /// packets of one flow that may wait, at most 127
        depth: Number = Row::new("depth").default("127");
        /// drop a flow's oldest packet, not its newest
        headdrop: Flag = Row::new("headdrop").flag().default("no");
        /// bytes of one flow that may wait, for the thresholds of early detection within each flow
        redflowlimit: Length = Row::new("redflowlimit").tool();
        /// average backlog of a flow in bytes at which dropping or marking begins
        min: Length = Row::new("min").computed("a third of max");
        /// average backlog of a flow in bytes at which everything is dropped or marked
        max: Length = Row::new("max").computed("a quarter of redflowlimit");
        /// size of a usual packet, for the average
        avpkt: Bytes = Row::new("avpkt").default("1000b").tool();
        /// packets of a burst that the average passes over
        burst: Number = Row::new("burst").computed("(2 min + max) / (3 avpkt)").tool();
        /// the chance of being dropped or marked just below max
        probability: Probability = Row::new("probability").computed("0.02 with redflowlimit");
        /// mark packets of flows that can be told (ECN) instead of dropping them
        ecn: Flag = Row::new("ecn").flag().default("no");
        /// with ecn: drop above max all the same
        harddrop: Flag = Row::new("harddrop").flag().default("no");
        /// the weight of the average, as its negative logarithm: what `burst` comes to
        ewma: Number = Row::new("ewma").hidden();
    }
}

/// The kind. It cannot be changed in place (`.change = NULL`).
pub static KIND: Kind = Kind {
    name: "sfq",
    role: Role::Qdisc,
    doc: "stochastic fairness queueing: flows take turns, so that none dominates a full link. Shapes nothing by itself",
    options: || Box::new(Sfq::default()),
    class: None,
    children: Children::None,
    change: false,
    writable: true,
    config: "NET_SCH_SFQ",
    module: "sch_sfq",
    attributes: &[],
    xstats,
};

/// Where the counters stand in `struct tc_sfq_qopt_v1`.
const STATS: usize = 48;
/// `SFQ_MAX_DEPTH` and `SFQ_MAX_FLOWS`.
const DEPTH: u32 = 127;
const FLOWS: u32 = 0x10000 - DEPTH - 1;

impl Sfq {
    /// Whether any word of early detection is written.
    fn is_red(&self) -> bool {
        let Sfq { redflowlimit, min, max, avpkt, burst, probability, ecn, harddrop, .. } = self;
        let on = |flag: &Option<Flag>| *flag == Some(Flag(true));
        redflowlimit.is_some()
            || min.is_some()
            || max.is_some()
            || avpkt.is_some()
            || burst.is_some()
            || probability.is_some()
            || on(ecn)
            || on(harddrop)
    }

    /// What comes of it in use. The kernel cuts flows, depth and limit to each other's measure where they are said
    /// (`sfq_change`), and leaves them where they are not: cut in any case, both ways of saying it are one.
    fn settled(&self, facts: &Facts) -> Sfq {
        let mut s = self.clone();
        s.assume(facts);
        let number = |n: Option<Number>| n.unwrap_or_default().0;
        let depth = number(s.depth).min(DEPTH);
        let flows = number(s.flows).min(FLOWS).min(number(s.divisor));
        let limit = s.limit.unwrap_or_default().0.min(depth.saturating_mul(flows));
        s.limit = Some(Packets(limit));
        (s.depth, s.flows) = (Some(Number(depth)), Some(Number(flows.min(limit))));
        s
    }

    /// The packets that a limit is cut to.
    fn most(&self) -> u32 {
        let flows = self.flows.map_or(128, |n| n.0).min(FLOWS).min(self.divisor.map_or(FLOWS, |n| n.0));
        flows * self.depth.map_or(DEPTH, |n| n.0.min(DEPTH))
    }
}

impl Options for Sfq {
    /// A number for each bucket, and `struct sfq_slot` for each flow.
    fn tables(&self) -> u64 {
        self.divisor.map_or(0, |n| u64::from(n.0) * 2) + self.flows.map_or(0, |n| u64::from(n.0) * 72)
    }

    /// `sfq_change` takes these from what is sent whatever it says, and of the others what is not 0.
    fn forgets(&self, word: &str) -> bool {
        matches!(word, "perturb" | "ecn" | "harddrop")
    }

    fn refuses_change(&self, word: &str) -> bool {
        word == "divisor"
    }

    fn takes_filters(&self) -> bool {
        true
    }

    fn fair_by(&mut self, _end: End, _nat: bool) -> Fairness {
        // the hash is the filter's, and made anew there
        self.perturb.get_or_insert(Seconds(10));
        Fairness::Queues(self.divisor.map_or(1024, |n| n.0))
    }

    /// `struct tc_sfq_qopt_v1`. Zero leaves the kernel's default; without any row nothing is sent, as tc does.
    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let mut full = self.clone();
        full.complete(facts);
        if (0..Sfq::ROWS.len()).all(|i| full.slot(i).is_none_or(|s| !s.is_set())) {
            return;
        }
        let Sfq { limit, quantum, perturb, divisor, flows, depth, headdrop, redflowlimit, min, max, .. } = full;
        let Sfq { avpkt: _, burst: _, probability, ecn, harddrop, ewma, .. } = full;
        let number = |n: Option<Number>| n.unwrap_or_default().0;
        let length = |n: Option<Length>| n.unwrap_or_default().0;
        let bit = |flag: Option<Flag>, bit: u32| if flag == Some(Flag(true)) { bit } else { 0 };
        let chance = probability.unwrap_or_default();
        let log = red::probability_log(u64::from(length(min)), u64::from(length(max)), chance.0);
        let opt = Fields::new()
            // struct tc_sfq_qopt: quantum, perturb_period, limit, divisor, flows
            .u32(quantum.map_or(0, |b| u32::try_from(b.0).unwrap_or(u32::MAX)))
            .u32(perturb.map_or(0, |s| u32::try_from(s.0).unwrap_or(u32::MAX)))
            .u32(limit.unwrap_or_default().0)
            .u32(number(divisor))
            .u32(number(flows))
            // depth, headdrop, limit, qth_min, qth_max, Wlog, Plog, Scell_log, flags, max_P, stats
            .u32(number(depth))
            .u32(bit(headdrop, 1))
            .u32(length(redflowlimit))
            .u32(length(min))
            .u32(length(max))
            .u8(number(ewma) as u8)
            .u8(probability.and(log).unwrap_or(0))
            .u8(0)
            .u8((bit(ecn, ECN) | bit(harddrop, HARDDROP)) as u8)
            .u32(chance.parts())
            .raw(&[0; 24]);
        out.bare(&opt.0);
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        if payload.0.is_empty() {
            return Ok(());
        }
        let mut c = payload.fields();
        let (quantum, perturb, limit, divisor, flows) = (c.u32()?, c.u32()?, c.u32()?, c.u32()?, c.u32()?);
        // zero is said in requests only, for the kernel's default
        let set = |n: u32| (n != 0).then_some(Number(n));
        *self = Sfq {
            limit: (limit != 0).then_some(Packets(limit)),
            quantum: (quantum != 0).then_some(Bytes(u64::from(quantum))),
            perturb: Some(Seconds(u64::from(perturb))),
            divisor: set(divisor),
            flows: set(flows),
            ..Sfq::default()
        };
        if c.rest().is_empty() {
            // a kernel before 3.3: struct tc_sfq_qopt only
            return Ok(());
        }
        let (depth, headdrop, _limit, min, max) = (c.u32()?, c.u32()?, c.u32()?, c.u32()?, c.u32()?);
        let (weight, _probability_log, _cell, flags, chance) = (c.u8()?, c.u8()?, c.u8()?, c.u8()?, c.u32()?);
        self.depth = set(depth);
        self.headdrop = Some(Flag(headdrop != 0));
        self.ecn = Some(Flag(u32::from(flags) & ECN != 0));
        self.harddrop = Some(Flag(u32::from(flags) & HARDDROP != 0));
        if min != 0 {
            (self.min, self.max) = (Some(Length(min)), Some(Length(max)));
            self.ewma = Some(Number(u32::from(weight)));
            self.probability = Probability::from_number(u64::from(chance));
        }
        Ok(())
    }

    /// `sfq_init`.
    fn assume(&mut self, facts: &Facts) {
        self.assume_constants();
        self.quantum.get_or_insert(Bytes(u64::from(facts.frame())));
    }

    /// As tc's sfq_parse_opt.
    fn complete(&mut self, _facts: &Facts) {
        if !self.is_red() || self.ewma.is_some() && self.avpkt.is_none() {
            return;
        }
        let narrow = |n: u64| Some(Length(u32::try_from(n).unwrap_or(u32::MAX)));
        let wide = |n: Option<Length>| n.map(|n| u64::from(n.0));
        let limit = wide(self.redflowlimit).unwrap_or(0);
        let max = wide(self.max).filter(|m| *m != 0).unwrap_or(limit / 4);
        let min = wide(self.min).filter(|m| *m != 0).unwrap_or(max / 3);
        (self.min, self.max) = (narrow(min), narrow(max));
        let avpkt = self.avpkt.get_or_insert(Bytes(1000)).0;
        let burst = self.burst.get_or_insert(Number(red::usual_burst(min, max, avpkt))).0;
        self.probability.get_or_insert(Probability(PROBABILITY));
        self.ewma = ewma(min, burst, avpkt).map(|w| Number(u32::from(w)));
    }

    fn settle_tc(&mut self, _place: &mut Place) -> Result<(), Refusal> {
        if let Some(refusal) = refused(self) {
            return Err(refusal);
        }
        if self.is_red() {
            let mut full = self.clone();
            full.complete(&Facts::default());
            let wide = |n: Option<Length>| n.map_or(0, |n| u64::from(n.0));
            let (min, max) = (wide(full.min), wide(full.max));
            let log = red::probability_log(min, max, self.probability.map_or(PROBABILITY, |p| p.0));
            red::settle_chance(&mut self.probability, log, max.saturating_sub(min));
        }
        Ok(())
    }

    /// `struct tc_sfqred_stats`, at the end of the options.
    fn figures(&self, payload: Payload) -> Vec<(&'static str, u64)> {
        let Some(stats) = payload.0.get(STATS..).filter(|_| self.ewma.is_some()) else { return Vec::new() };
        let names = ["prob_drop", "forced_drop", "prob_mark", "forced_mark", "prob_mark_head", "forced_mark_head"];
        super::figures(Payload(stats).fields(), &names, &[])
    }

    /// Compared as the kernel settles them: a limit of 20000 packets with 128 flows of 127 is held as 16256.
    fn same(&self, other: &dyn Options, row: usize, facts: &Facts) -> bool {
        let Some(held) = other.as_kind::<Sfq>() else { return false };
        let (a, b) = (self.settled(facts), held.settled(facts));
        matches!((a.slot(row), b.slot(row)), (Some(a), Some(b)) if a.same(b))
    }

    /// What was read from a kernel gets words that tc computes the same weight from.
    fn tc(&self, out: &mut Vec<String>) {
        let mut full = self.clone();
        if let (None, Some(Number(weight)), Some(min)) = (self.avpkt, self.ewma, self.min) {
            full.redflowlimit = self.redflowlimit.or(self.max);
            let (avpkt, burst) = average_of(weight, u64::from(min.0)).unwrap_or_default();
            (full.avpkt, full.burst) = (Some(avpkt), Some(burst));
        }
        for (i, row) in full.rows().iter().enumerate() {
            if let Some(slot) = full.slot(i).filter(|_| !row.hidden) {
                row_words(row, slot, out);
            }
        }
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        let Sfq { limit, quantum, perturb, divisor, flows, depth, headdrop: _, redflowlimit, min, max, .. } = self;
        let Sfq { avpkt, burst, probability: _, ecn, harddrop, ewma: _, .. } = self;
        let frame = u64::from(facts.frame());
        match limit {
            Some(Packets(n @ 0..=1)) => {
                let message = format!("sfq cannot have a limit of {n} packets");
                out.push(Finding::new(&codes::OUT_OF_RANGE, "limit", message).help("write `limit: 127`"));
            }
            Some(Packets(n)) => {
                let kept = self.most();
                if kept < *n {
                    let message = format!("limit {n} is cut to {kept}: no more fit into flows times depth");
                    let f = Finding::new(&codes::CUT_SHORT, "limit", message).and("flows", "").and("depth", "");
                    out.push(f.help(format!("write `limit: {kept}`, or more `flows`")));
                }
            }
            None => {}
        }
        if let Some(quantum) = quantum.filter(|q| q.0 < frame) {
            let message = format!("quantum {} is below one packet of {frame} bytes", quantum.show());
            let f = Finding::new(&codes::QUANTUM_BELOW_MTU, "quantum", message);
            out.push(f.help(format!("write `quantum: {frame}b` or more, or leave it out")));
        }
        // sch_sfq keeps an eighth of it in 15 bits
        fits("quantum", quantum.map(|q| q.0), 0x7fff * 8, out);
        if perturb.is_none_or(|p| p.0 == 0) {
            let message = "flows that fall into one bucket stay together for ever: `perturb` is 0";
            out.push(Finding::new(&codes::PERTURB_NEVER, "perturb", message).help("write `perturb: 10s`"));
        }
        // the kernel counts it in jiffies, of which there may be a thousand a second
        fits("perturb", perturb.map(|p| p.0), 0x7fff_ffff / 1000, out);
        if let Some(Number(n)) = divisor.filter(|n| !n.0.is_power_of_two() || n.0 > 65536) {
            let message = format!("divisor {n} is no power of two up to 65536");
            let near = n.clamp(1, 65536).next_power_of_two();
            out.push(Finding::new(&codes::DIVISOR, "divisor", message).help(format!("write `divisor: {near}`")));
        }
        for (word, value, most) in [("flows", flows, FLOWS), ("depth", depth, DEPTH)] {
            match value {
                Some(Number(0)) => {
                    let f = Finding::new(&codes::OUT_OF_RANGE, word, format!("{word} 0 does not exist"));
                    out.push(f.help(format!("write a number, or leave `{word}` out")));
                }
                Some(Number(n)) if *n > most => {
                    let f = Finding::new(&codes::CUT_SHORT, word, format!("{word} {n} is cut to {most}"));
                    out.push(f.help(format!("write `{word}: {most}`")));
                }
                _ => {}
            }
        }
        if *harddrop == Some(Flag(true)) && *ecn != Some(Flag(true)) {
            let f = Finding::new(&codes::NO_EFFECT, "harddrop", "`harddrop` does nothing without `ecn`");
            out.push(f.help("leave it out, or write `ecn: yes`"));
        }
        if !self.is_red() {
            return;
        }
        let Some(limit) = redflowlimit.map(|n| u64::from(n.0)) else {
            let f = Finding::new(&codes::MISSING_OPTION, "redflowlimit", "early detection wants a `redflowlimit`");
            out.push(f.help("write `redflowlimit: 100000`"));
            return;
        };
        let wide = |n: &Option<Length>| n.map(|n| u64::from(n.0)).filter(|n| *n != 0);
        let max = wide(max).unwrap_or(limit / 4);
        let min = wide(min).unwrap_or(max / 3);
        let packet = Backlog::Bytes(avpkt.map_or(1000, |b| b.0));
        check_average((min, max), (limit, "redflowlimit"), burst.map(|b| b.0), packet, out);
    }
}

/// What tc refuses of a threshold, a burst or a limit.
fn refused(sfq: &Sfq) -> Option<Refusal> {
    let refuse = |message: &str, help: &str| Some(Refusal::coded(&codes::RED_THRESHOLDS, message).help(help));
    if sfq.limit.is_some_and(|limit| limit.0 < 2) {
        let refusal = Refusal::coded(&codes::OUT_OF_RANGE, "sfq cannot have a limit below 2 packets");
        return Some(refusal.help("write `limit 127`"));
    }
    if !sfq.is_red() {
        return None;
    }
    let Some(limit) = sfq.redflowlimit.map(|n| n.0).filter(|n| *n != 0) else {
        let refusal = Refusal::coded(&codes::MISSING_OPTION, "early detection wants a `redflowlimit`");
        return Some(refusal.help("write `redflowlimit 100000`"));
    };
    let given = |n: Option<Length>| n.map(|n| n.0).filter(|n| *n != 0);
    let max = given(sfq.max).unwrap_or(limit / 4);
    let min = given(sfq.min).unwrap_or(max / 3);
    if max > limit {
        return refuse("`max` is above `redflowlimit`", "write a smaller `max`");
    }
    if min >= max {
        return refuse("`min` is not below `max`", "write a smaller `min`");
    }
    let avpkt = sfq.avpkt.map_or(1000, |b| b.0);
    let usual = || red::usual_burst(u64::from(min), u64::from(max), avpkt);
    let burst = sfq.burst.map(|n| n.0).filter(|n| *n != 0).unwrap_or_else(usual);
    if avpkt == 0 || ewma(u64::from(min), burst, avpkt).is_none() {
        let refusal = Refusal::coded(&codes::RED_BURST, "no average can follow this `burst`");
        return Some(refusal.help("write a larger `burst`"));
    }
    None
}

/// `struct tc_sfq_xstats`, which the kernel gives for each bucket that holds packets: what is left of its turn.
fn xstats(payload: Payload, _: &Facts) -> Vec<(&'static str, u64)> {
    let allot = payload.fields().u32().map(|n| u64::try_from(n as i32).unwrap_or(0));
    allot.map(|n| ("allot", n)).into_iter().collect()
}
