//! `tbf`: net/sched/sch_tbf.c, tc-tbf(8).

use super::htb::{check_bucket, check_rate, check_ticks, ratespec, read_ratespec, refuse_wide};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::action::first_fault;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{
    Attribute, Children, Finding, Kind, Options, Place, Reset, Role, Row, Rows, attribute, fits, no_option, no_xstats,
    read_row, row_words,
};
use crate::rows;
use crate::unit::{Bytes, Length, LinkLayer, Rate, Reader, Refusal, Time, Unit, Words};

rows! {
    /// A token bucket.
    pub struct Tbf {
        /// bytes that may wait for tokens; or say it by `latency`
        limit: Bytes = Row::new("limit").short().once().computed("what waits for `latency` at the rate, and the bucket");
        /// the longest that a packet may wait for tokens; or say it by `limit`
        latency: Time = Row::new("latency").short().once().tool();
        /// size of the bucket: bytes that may be sent at the speed of the link before `rate` holds
        burst: Bytes = Row::new("burst").cell().aliases(&["buffer", "maxburst"]).short().once();
        /// size of the second bucket, which bounds `peakrate`: one packet for an exact peak
        mtu: Bytes = Row::new("mtu").cell().aliases(&["minburst"]).once();
        /// the least size a packet is charged
        mpu: Length = Row::new("mpu").once().default("0");
        /// the speed of the link
        rate: Rate = Row::new("rate").once().percent();
        /// the speed at which the bucket may be emptied
        peakrate: Rate = Row::new("peakrate").short().once().percent();
        /// bytes that are charged on top of each packet
        overhead: Length = Row::new("overhead").decimal().short().once().range(0, 0xffff).default("0");
        /// how the link counts bytes
        linklayer: LinkLayer = Row::new("linklayer").short().default("ethernet");
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "tbf",
    role: Role::Qdisc,
    doc: "token bucket filter: slows everything to one rate. The plain choice for an uplink whose modem has a deep buffer",
    options: || Box::new(Tbf::default()),
    class: None,
    children: Children::Leaf,
    change: true,
    writable: true,
    config: "NET_SCH_TBF",
    module: "sch_tbf",
    attributes: ATTRIBUTES,
    xstats: no_xstats,
};

// enum in include/uapi/linux/pkt_sched.h; the rate tables (2 and 3) are unused since linklayer is said (Linux 3.10)
const PARMS: u16 = 1;
const RATE64: u16 = 4;
const PRATE64: u16 = 5;
const BURST: u16 = 6;
const PBURST: u16 = 7;

const ATTRIBUTES: &[Attribute] = &[
    attribute("TCA_TBF_PARMS", PARMS, &["limit", "burst", "mtu", "mpu", "rate", "peakrate", "overhead", "linklayer"]),
    no_option("TCA_TBF_RTAB", 2, "a rate table, which the kernel has not used since Linux 3.8"),
    no_option("TCA_TBF_PTAB", 3, "a rate table, which the kernel has not used since Linux 3.8"),
    attribute("TCA_TBF_RATE64", RATE64, &["rate"]),
    attribute("TCA_TBF_PRATE64", PRATE64, &["peakrate"]),
    attribute("TCA_TBF_BURST", BURST, &["burst"]),
    attribute("TCA_TBF_PBURST", PBURST, &["mtu"]),
    no_option("TCA_TBF_PAD", 8, "padding before 64-bit attributes"),
];

/// A size in 32 bits, as the wire has it.
fn narrow(size: Bytes) -> u32 {
    u32::try_from(size.0).unwrap_or(u32::MAX)
}

impl Tbf {
    /// What the kernel charges for a packet of that size (`psched_l2t_ns`): the dump tells a bucket as the time this takes.
    fn charged(&self, size: u64) -> u64 {
        let size = size.saturating_add(u64::from(self.overhead.unwrap_or_default().0));
        let size = size.max(u64::from(self.mpu.unwrap_or_default().0));
        match self.linklayer.unwrap_or_default() {
            LinkLayer::Ethernet => size,
            LinkLayer::Atm => size.div_ceil(48).saturating_mul(53),
        }
    }

    /// A size that is charged so; of cells, the largest.
    fn uncharged(&self, charged: u64) -> u64 {
        let size = match self.linklayer.unwrap_or_default() {
            LinkLayer::Ethernet => charged,
            LinkLayer::Atm => (charged as f64 / 53.0).round() as u64 * 48,
        };
        size.saturating_sub(u64::from(self.overhead.unwrap_or_default().0))
    }
}

impl Options for Tbf {
    fn forgets(&self, _word: &str) -> bool {
        true
    }

    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let mut full = self.clone();
        full.complete(facts);
        let Tbf { limit, latency: _, burst, mtu, mpu, rate, peakrate, overhead, linklayer } = full;
        let (rate, burst, mtu) = (rate.unwrap_or_default(), burst.unwrap_or_default(), mtu.unwrap_or_default());
        let (mpu, overhead) = (mpu.unwrap_or_default().0, overhead.unwrap_or_default().0);
        let linklayer = linklayer.unwrap_or_default();
        let peak_ticks = peakrate.map_or(0, |peak| facts.ticks(peak, mtu.0));
        // struct tc_tbf_qopt: rate, peakrate, limit, buffer, mtu
        let peak = match peakrate {
            Some(peak) => ratespec(peak, mpu, overhead, linklayer).0,
            None => vec![0; 12],
        };
        let opt = ratespec(rate, mpu, overhead, linklayer)
            .raw(&peak)
            .u32(narrow(limit.unwrap_or_default()))
            .u32(facts.ticks(rate, burst.0))
            .u32(peak_ticks);
        out.raw(PARMS, &opt.0);
        // the sizes themselves: the kernel prefers them to the ticks above
        out.u32(BURST, narrow(burst));
        if u32::try_from(rate.bytes()).is_err() {
            out.u64(RATE64, rate.bytes());
        }
        if let Some(peak) = peakrate {
            if u32::try_from(peak.bytes()).is_err() {
                out.u64(PRATE64, peak.bytes());
            }
            out.u32(PBURST, narrow(mtu));
        }
    }

    fn decode(&mut self, payload: Payload, facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        let Some(opt) = attributes.get(PARMS) else { return Ok(()) };
        let mut c = opt.fields();
        let (rate, mpu, overhead, linklayer) = read_ratespec(&mut c)?;
        let (peak, ..) = read_ratespec(&mut c)?;
        let (limit, buffer, mtu) = (c.u32()?, c.u32()?, c.u32()?);
        let rate = Rate::from_bytes(attributes.u64(RATE64)?.unwrap_or(u64::from(rate)));
        let peak = Rate::from_bytes(attributes.u64(PRATE64)?.unwrap_or(u64::from(peak)));
        *self = Tbf {
            limit: Some(Bytes(u64::from(limit))),
            mpu: Some(Length(mpu)),
            rate: Some(rate),
            peakrate: (peak.0 != 0).then_some(peak),
            overhead: Some(Length(overhead)),
            linklayer: Some(linklayer),
            ..Tbf::default()
        };
        // a request says the size, a dump only the ticks of what it is charged
        let size = |rate: Rate, ticks: u32, exact: Option<u32>| match exact {
            Some(exact) => Bytes(u64::from(exact)),
            None => Bytes(self.uncharged(facts.bytes_in(rate, ticks))),
        };
        let burst = size(rate, buffer, attributes.u32(BURST)?);
        let mtu = size(peak, mtu, attributes.u32(PBURST)?);
        self.burst = Some(burst);
        self.mtu = self.peakrate.map(|_| mtu);
        Ok(())
    }

    /// As tc's tbf_parse_opt: the limit is what waits for the latency, and the bucket; of both rates the smaller.
    fn complete(&mut self, _facts: &Facts) {
        let limit = self.limit.filter(|b| b.0 != 0);
        let (None, Some(latency), Some(rate)) = (limit, self.latency, self.rate) else { return };
        let queue = |rate: Rate, bucket: Option<Bytes>| {
            (rate.bytes() as f64 * latency.0 as f64 / 1e9 + bucket.unwrap_or_default().0 as f64) as u64
        };
        let limit = queue(rate, self.burst);
        let limit = self.peakrate.map_or(limit, |peak| limit.min(queue(peak, self.mtu)));
        self.limit = Some(Bytes(limit));
    }

    /// Buckets are compared as the kernel tells them: as the time that the rate takes for what they are charged.
    fn same(&self, other: &dyn Options, row: usize, facts: &Facts) -> bool {
        let Some(held) = other.as_kind::<Tbf>() else { return false };
        let bucket = |rate: Option<Rate>, a: Option<Bytes>, b: Option<Bytes>| match (rate, a, b) {
            (Some(rate), Some(a), Some(b)) => facts.same_size(rate, held.charged(a.0), held.charged(b.0)),
            _ => a == b,
        };
        match Tbf::ROWS.get(row).map(|r| r.word) {
            Some("burst") => bucket(held.rate, self.burst, held.burst),
            // a second bucket without a peak rate is never sent
            Some("mtu") if self.peakrate.is_none() && held.peakrate.is_none() => true,
            Some("mtu") => bucket(held.peakrate, self.mtu, held.mtu),
            _ => matches!((self.slot(row), other.slot(row)), (Some(a), Some(b)) if a.same(b)),
        }
    }

    /// tc takes one of limit and latency: the limit, once it is known.
    fn tc(&self, out: &mut Vec<String>) {
        for (i, row) in self.rows().iter().enumerate() {
            if row.word == "latency" && self.limit.is_some() {
                continue;
            }
            if let Some(slot) = self.slot(i) {
                row_words(row, slot, out);
            }
        }
    }

    /// tc reads `mpu` as a size, and takes one of limit and latency.
    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        let some = |size: Option<u64>| size.is_some_and(|n| n != 0);
        if words.peek() == Some("mpu") && !some(self.mpu.map(|n| u64::from(n.0))) {
            words.next();
            let size = Bytes::read_words(words, reader)?;
            self.mpu = Some(Length(u32::try_from(size.0).unwrap_or(u32::MAX)));
            return Ok(true);
        }
        let read = read_row(self, words, reader)?;
        if some(self.limit.map(|b| b.0)) && some(self.latency.map(|t| t.0)) {
            let refusal = Refusal::coded(&codes::LIMIT_OR_LATENCY, "both `limit` and `latency` are given");
            return Err(refusal.help("leave one of them out"));
        }
        Ok(read)
    }

    fn settle_tc(&mut self, _place: &mut Place) -> Result<(), Refusal> {
        let none = |size: Option<u64>| size.is_none_or(|n| n == 0);
        let missing = |message: &str, help: &str| Err(Refusal::coded(&codes::MISSING_OPTION, message).help(help));
        if none(self.rate.map(|r| r.bytes())) {
            return missing("tbf wants a `rate`", "write `rate 1mbit`");
        }
        if none(self.burst.map(|b| b.0)) {
            return missing("tbf wants a `burst`", "write `burst 10kb`");
        }
        refuse_wide(self.burst, self.rate)?;
        first_fault(|out| fits("mtu", self.mtu.map(|size| size.0), u64::from(u32::MAX), out))?;
        if none(self.limit.map(|b| b.0)) && none(self.latency.map(|t| t.0 / 1000)) {
            let refusal = Refusal::coded(&codes::LIMIT_OR_LATENCY, "neither `limit` nor `latency` is given");
            return Err(refusal.help("write `latency 50ms`"));
        }
        // what is 0 is as if it were not written
        self.peakrate = self.peakrate.filter(|r| r.bytes() != 0);
        self.limit = self.limit.filter(|b| b.0 != 0);
        if self.peakrate.is_some() && none(self.mtu.map(|b| b.0)) {
            let refusal = Refusal::coded(&codes::PEAKRATE_WITHOUT_MTU, "`peakrate` wants an `mtu` for its bucket");
            return Err(refusal.help("write `mtu 1540`"));
        }
        Ok(())
    }

    /// A new limit goes to a fifo below as well, whoever made it and whatever it counts (`fifo_set_limit`).
    fn change_resets(&self, leaf: &str) -> Option<Reset> {
        matches!(leaf, "pfifo" | "bfifo" | "pfifo_head_drop").then_some(Reset::Resized)
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        let Tbf { limit, latency, burst, mtu, mpu, rate, peakrate, overhead, linklayer: _ } = self;
        if let Some(rate) = *rate {
            check_rate("rate", rate, facts, out);
        } else {
            out.push(Finding::new(&codes::MISSING_OPTION, "rate", "tbf wants a `rate`").help("write `rate: 1mbit`"));
        }
        match (*burst, *rate) {
            (Some(burst), Some(rate)) => check_bucket("burst", burst, rate, facts, out),
            (Some(_), None) => {}
            (None, _) => {
                let least = u64::from(facts.frame()).max(rate.unwrap_or_default().bytes() / 1000);
                out.push(
                    Finding::new(&codes::MISSING_OPTION, "burst", "tbf wants a `burst`")
                        .help(format!("write `burst: {}` or more", Bytes(least).show())),
                );
            }
        }
        match (limit.filter(|size| size.0 != 0), latency) {
            (Some(_), Some(_)) => out.push(
                Finding::new(&codes::LIMIT_OR_LATENCY, "limit", "both `limit` and `latency` are given")
                    .and("latency", "this says the same in time")
                    .help("leave one of them out"),
            ),
            (None, None) => out.push(
                Finding::new(&codes::LIMIT_OR_LATENCY, "limit", "neither `limit` nor `latency` is given")
                    .help("write `latency: 50ms`, or `limit` in bytes"),
            ),
            (Some(limit), None) => check_queue("limit", limit, facts, out),
            (None, Some(_)) => {
                let mut full = self.clone();
                full.complete(facts);
                if full.limit.is_some_and(|l| u32::try_from(l.0).is_err()) {
                    let message = "the queue for this `latency` is above 4 GB, and does not fit";
                    out.push(Finding::new(&codes::OUT_OF_RANGE, "latency", message));
                }
            }
        }
        if let Some(peak) = *peakrate {
            check_rate("peakrate", peak, facts, out);
            if let Some(rate) = rate.filter(|r| peak.bytes() <= r.bytes()) {
                let message = format!("peakrate {} is not above rate {}", peak.show(), rate.show());
                out.push(
                    Finding::new(&codes::PEAKRATE_NOT_ABOVE, "peakrate", message)
                        .and("rate", "the rate it is to exceed")
                        .help("write a `peakrate` above the rate, or leave it out"),
                );
            }
            match mtu {
                None => out.push(
                    Finding::new(&codes::PEAKRATE_WITHOUT_MTU, "peakrate", "`peakrate` wants an `mtu` for its bucket")
                        .help(format!("write `mtu: {}b`", facts.frame())),
                ),
                Some(mtu) if mtu.0 < u64::from(facts.frame()) => {
                    let message = format!("mtu {} holds no packet of {} bytes", mtu.show(), facts.frame());
                    out.push(
                        Finding::new(&codes::BURST_BELOW_PACKET, "mtu", message)
                            .help(format!("write `mtu: {}b` or more", facts.frame())),
                    );
                }
                Some(mtu) => check_ticks("mtu", *mtu, peak, facts, out),
            }
        } else if mtu.is_some() {
            out.push(
                Finding::new(&codes::NO_EFFECT, "mtu", "`mtu` does nothing without a `peakrate`")
                    .help("leave it out, or give a `peakrate`"),
            );
        }
        fits("limit", limit.map(|b| b.0), u64::from(u32::MAX), out);
        fits("burst", burst.map(|b| b.0), u64::from(u32::MAX), out);
        fits("mtu", mtu.map(|b| b.0), u64::from(u32::MAX), out);
        fits("mpu", mpu.map(|b| u64::from(b.0)), 0xffff, out);
        fits("overhead", overhead.map(|b| u64::from(b.0)), 0xffff, out);
    }
}

/// A queue that is measured in bytes must hold the largest packet.
pub(crate) fn check_queue(word: &'static str, limit: Bytes, facts: &Facts, out: &mut Vec<Finding>) {
    let packet = u64::from(facts.frame());
    if limit.0 < packet {
        let message = format!("{word} {} holds no packet of {packet} bytes: what is larger is dropped", limit.show());
        let f = Finding::new(&codes::LIMIT_BELOW_PACKET, word, message);
        out.push(f.help(format!("write `{word}: {packet}b` or more")));
    }
}
