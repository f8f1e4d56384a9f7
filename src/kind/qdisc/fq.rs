//! `fq`: net/sched/sch_fq.c, tc-fq(8).

use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Cursor, Fields, Malformed, Parsed, Payload};
use crate::kind::{
    Attribute, Children, Finding, Kind, Options, Role, Row, Rows, Wire, attribute, read_row, row_words, same_row,
};
use crate::rows;
use crate::syntax::document::Node;
use crate::unit::{
    FineTime, Flag, Info, Length, Number, NumberList, Packets, Rate, Reader, Refusal, Schema, Time, Unit, Words,
    same_in_jiffies, words_of,
};

rows! {
    /// Fair queueing with pacing.
    pub struct Fq {
        /// the number of hash buckets for flows; the kernel makes a power of two of it
        buckets: Number = Row::new("buckets").nonzero().range(2, 1 << 18).default("1024");
        /// packets that may wait in all
        limit: Packets = Row::new("limit").wire(Wire::U32(1)).default("10000").cuts();
        /// packets of one flow that may wait
        flow_limit: Packets = Row::new("flow_limit").wire(Wire::U32(2)).default("100");
        /// bytes that a flow may send a turn
        quantum: Length = Row::new("quantum").wire(Wire::U32(3)).kept(256, 1 << 20).computed("twice the MTU with its link header");
        /// bytes that a new flow may send at once
        initial_quantum: Length = Row::new("initial_quantum").wire(Wire::U32(4)).range(0, 1 << 20)
            .computed("ten times the MTU with its link header");
        /// heed the pacing that sockets ask for
        pacing: Flag = Row::new("pacing").wire(Wire::U32(5)).off("nopacing").default("yes");
        /// the most that one flow may send
        maxrate: Rate = Row::new("maxrate").wire(Wire::U32(7)).percent().computed("no bound");
        /// flows slower than this are spaced packet by packet
        low_rate_threshold: Rate = Row::new("low_rate_threshold").wire(Wire::U32(11)).default("550kbit");
        /// a rate for flows without one: the kernel ignores it since Linux 3.14
        defrate: Rate = Row::new("defrate").wire(Wire::U32(6)).percent().tool();
        /// a flow that was idle for this long gets its credit back; the kernel counts it in jiffies
        refill_delay: Time = Row::new("refill_delay").wire(Wire::Micros(9)).default("40ms");
        /// how many flows packets without a socket are told into: bits of their hash
        orphan_mask: Number = Row::new("orphan_mask").wire(Wire::U32(10)).default("1023");
        /// mark all ECN packets above this delay, whatever the queue
        ce_threshold: Time = Row::new("ce_threshold").wire(Wire::Micros(12)).default("4294967295us");
        /// how far apart wake-ups may be put together
        timer_slack: FineTime = Row::new("timer_slack").wire(Wire::U32(13)).default("10us");
        /// packets that are to leave later than this are dropped or sent then
        horizon: Time = Row::new("horizon").wire(Wire::Micros(14)).default("10s");
        /// drop packets beyond the horizon; `no` sends them at the horizon
        horizon_drop: Flag = Row::new("horizon_drop").wire(Wire::U8(15)).off("horizon_cap").default("yes");
        /// the band of each packet priority from 0 to 15; there are three (Linux 6.7)
        priomap: NumberList = Row::new("priomap").default("1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1");
        /// how the three bands share the link (Linux 6.7)
        weights: Weights = Row::new("weights").default("589824 196608 65536");
        /// packets up to this long before their time may be handed to a device that waits itself (Linux 6.13)
        offload_horizon: Time = Row::new("offload_horizon").wire(Wire::Micros(18)).default("0us");
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "fq",
    role: Role::Qdisc,
    doc: "fair queueing with pacing: sockets' flows take turns, and each leaves at the pace its socket asks for. For servers, where flows begin",
    options: || Box::new(Fq::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_SCH_FQ",
    module: "sch_fq",
    attributes: ATTRIBUTES,
    xstats,
};

const ATTRIBUTES: &[Attribute] = &[
    attribute("TCA_FQ_PLIMIT", 1, &["limit"]),
    attribute("TCA_FQ_FLOW_PLIMIT", 2, &["flow_limit"]),
    attribute("TCA_FQ_QUANTUM", 3, &["quantum"]),
    attribute("TCA_FQ_INITIAL_QUANTUM", 4, &["initial_quantum"]),
    attribute("TCA_FQ_RATE_ENABLE", 5, &["pacing"]),
    attribute("TCA_FQ_FLOW_DEFAULT_RATE", 6, &["defrate"]),
    attribute("TCA_FQ_FLOW_MAX_RATE", 7, &["maxrate"]),
    attribute("TCA_FQ_BUCKETS_LOG", BUCKETS_LOG, &["buckets"]),
    attribute("TCA_FQ_FLOW_REFILL_DELAY", 9, &["refill_delay"]),
    attribute("TCA_FQ_ORPHAN_MASK", 10, &["orphan_mask"]),
    attribute("TCA_FQ_LOW_RATE_THRESHOLD", 11, &["low_rate_threshold"]),
    attribute("TCA_FQ_CE_THRESHOLD", 12, &["ce_threshold"]),
    attribute("TCA_FQ_TIMER_SLACK", 13, &["timer_slack"]),
    attribute("TCA_FQ_HORIZON", 14, &["horizon"]),
    attribute("TCA_FQ_HORIZON_DROP", 15, &["horizon_drop"]),
    attribute("TCA_FQ_PRIOMAP", PRIOMAP, &["priomap"]),
    attribute("TCA_FQ_WEIGHTS", WEIGHTS, &["weights"]),
    attribute("TCA_FQ_OFFLOAD_HORIZON", 18, &["offload_horizon"]),
];

const BUCKETS_LOG: u16 = 8;
const PRIOMAP: u16 = 16;
const WEIGHTS: u16 = 17;
/// `FQ_BANDS`.
const BANDS: usize = 3;
/// `FQ_MIN_WEIGHT`.
const LEAST_WEIGHT: u32 = 16384;
/// Packet priorities that a map has.
const PRIORITIES: usize = 16;

/// How the bands share: three numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weights(pub [u32; BANDS]);

impl Weights {
    fn from_words<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Weights, Refusal> {
        let mut next = || {
            let text = words.next().ok_or_else(|| Refusal::new("weights are three numbers, one a band"))?;
            let weight = text.parse::<i32>().map_err(|_| Refusal::new(format!("`{text}` is no weight")))?;
            u32::try_from(weight).ok().filter(|w| *w >= LEAST_WEIGHT).ok_or_else(|| {
                let message = format!("weight {text} is too small: at least {LEAST_WEIGHT}");
                Refusal::coded(&codes::OUT_OF_RANGE, message).help("65536 is the last band's by default")
            })
        };
        Ok(Weights([next()?, next()?, next()?]))
    }
}

impl Unit for Weights {
    const INFO: Info = Info {
        name: "three weights",
        spellings: "`[589824, 196608, 65536]`",
        schema: Schema::List("^[1-9][0-9]{4,8}$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let list = text.trim_start_matches('[').trim_end_matches(']');
        let mut words = list.split([' ', ',']).filter(|w| !w.is_empty());
        let weights = Weights::from_words(&mut words)?;
        match words.next() {
            Some(more) if !reader.tc => Err(Refusal::new(format!("`{more}` is a fourth weight, and there are three"))),
            _ => Ok(weights),
        }
    }

    fn read_node(node: &Node, reader: &mut Reader) -> Result<Self, Refusal> {
        Self::read(&words_of(node, &Self::INFO)?, reader)
    }

    fn read_words(words: &mut Words, _reader: &mut Reader) -> Result<Self, Refusal> {
        Weights::from_words(words)
    }

    fn show(&self) -> String {
        let [a, b, c] = self.0;
        format!("[{a}, {b}, {c}]")
    }

    fn tc(&self) -> String {
        let [a, b, c] = self.0;
        format!("{a} {b} {c}")
    }
}

/// The logarithm that tc sends for a number of buckets, rounded up.
fn log(buckets: u32) -> u32 {
    32 - buckets.saturating_sub(1).leading_zeros()
}

/// A rate that bounds at all.
fn bound(rate: Option<Rate>) -> Option<Rate> {
    rate.filter(|rate| rate.bytes() != u64::from(u32::MAX))
}

impl Options for Fq {
    /// A tree for each bucket; flows are made when they come.
    fn tables(&self) -> u64 {
        self.buckets.map_or(0, |n| u64::from(n.0) * 8)
    }

    fn encode_own(&self, word: &str, out: &mut Attributes, _facts: &Facts) {
        let Fq { buckets, priomap, weights, .. } = self;
        match (word, buckets, priomap, weights) {
            ("buckets", Some(Number(n)), ..) => out.u32(BUCKETS_LOG, log(*n)),
            ("priomap", _, Some(NumberList(map)), _) => {
                // struct tc_prio_qopt: bands, priomap
                let mut map = map.clone();
                map.resize(PRIORITIES, 0);
                out.raw(PRIOMAP, &Fields::new().u32(BANDS as u32).raw(&map).0);
            }
            ("weights", .., Some(Weights([a, b, c]))) => {
                out.raw(WEIGHTS, &Fields::new().u32(*a).u32(*b).u32(*c).0);
            }
            _ => {}
        }
    }

    fn decode_own(&mut self, attributes: &Parsed, _facts: &Facts) -> Result<(), Malformed> {
        self.buckets = attributes.u32(BUCKETS_LOG)?.and_then(|log| 1u32.checked_shl(log)).map(Number);
        // `no bound`
        self.maxrate = bound(self.maxrate);
        if let Some(map) = attributes.get(PRIOMAP) {
            let mut c = map.fields();
            let (_bands, map) = (c.u32()?, c.array::<PRIORITIES>()?);
            self.priomap = Some(NumberList(map.to_vec()));
        }
        if let Some(weights) = attributes.get(WEIGHTS) {
            let mut c = weights.fields();
            self.weights = Some(Weights([c.u32()?, c.u32()?, c.u32()?]));
        }
        Ok(())
    }

    /// `fq_init`.
    fn assume(&mut self, facts: &Facts) {
        self.assume_constants();
        let frame = facts.frame().clamp(1, 1 << 20);
        self.quantum.get_or_insert(Length((2 * frame).clamp(256, 1 << 20)));
        self.initial_quantum.get_or_insert(Length(frame.saturating_mul(10).min(1 << 20)));
    }

    /// What kernels before 6.7 and 6.13 do not tell has its default there.
    fn same(&self, other: &dyn Options, row: usize, _facts: &Facts) -> bool {
        let (Some(held), Some(of)) = (other.as_kind::<Fq>(), Fq::ROWS.get(row)) else { return false };
        match of.word {
            "buckets" => self.buckets.map(|n| log(n.0)) == held.buckets.map(|n| log(n.0)),
            "refill_delay" => match (self.refill_delay, held.refill_delay) {
                (Some(a), Some(b)) => same_in_jiffies(a.0 / 1000, b.0 / 1000),
                (a, b) => a == b,
            },
            "maxrate" => bound(self.maxrate).map(Rate::bytes) == bound(held.maxrate).map(Rate::bytes),
            "priomap" | "weights" | "offload_horizon" => {
                let mut told = held.clone();
                told.assume_constants();
                same_row(self, &told, row)
            }
            _ => same_row(self, other, row),
        }
    }

    /// tc's word for the map is `bands 3 priomap`.
    fn tc(&self, out: &mut Vec<String>) {
        for (i, row) in self.rows().iter().enumerate() {
            let Some(slot) = self.slot(i).filter(|s| s.is_set()) else { continue };
            if row.word == "priomap" {
                out.extend(["bands".into(), BANDS.to_string()]);
            }
            row_words(row, slot, out);
        }
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        match words.peek() {
            Some("bands") => {
                if self.priomap.is_some() {
                    return Err(Refusal::coded(&codes::DUPLICATE_KEY, "`bands` stands here twice"));
                }
                words.next();
                let bands = words.want("the number of bands")?;
                if bands != "3" {
                    return Err(Refusal::coded(&codes::BANDS_RANGE, format!("fq has 3 bands, not {bands}")));
                }
                if !words.take("priomap") {
                    return Err(Refusal::new("`bands 3` wants a `priomap` behind it"));
                }
                let mut map = Vec::with_capacity(PRIORITIES);
                for _ in 0..PRIORITIES {
                    let text = words.want("one of the 16 bands of the priomap")?;
                    let band = text.parse::<u8>().ok().filter(|band| usize::from(*band) < BANDS);
                    map.push(
                        band.ok_or_else(|| Refusal::coded(&codes::PRIOMAP, format!("`{text}` is no band of fq")))?,
                    );
                }
                self.priomap = Some(NumberList(map));
                Ok(true)
            }
            Some("priomap") => Ok(false),
            Some("weights") if self.weights.is_some() => {
                Err(Refusal::coded(&codes::DUPLICATE_KEY, "`weights` stands here twice"))
            }
            _ => read_row(self, words, reader),
        }
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        self.check_widths(out);
        let Fq { buckets, limit, flow_limit, pacing, maxrate, defrate, priomap, horizon, horizon_drop, .. } = self;
        // `fq_dequeue`
        if let Some(rate) = maxrate.filter(|rate| rate.bytes() < u64::from(facts.frame())) {
            let message =
                format!("a maxrate of {}: the kernel holds no packet back for more than a second", rate.show());
            let least = Rate::from_bytes(u64::from(facts.frame()));
            let f = Finding::new(&codes::CUT_SHORT, "maxrate", message);
            out.push(f.help(format!("write `maxrate: {}` or more, or leave it out for no bound", least.show())));
        }
        if *horizon == Some(Time(0)) && *horizon_drop != Some(Flag(false)) {
            let message = "with a horizon of 0 every packet is dropped that is to leave later";
            let f = Finding::new(&codes::NEVER_SERVED, "horizon", message).and("horizon_drop", "");
            out.push(f.help("write `horizon: 10s`, or `horizon_drop: no`"));
        }
        if let Some(Number(n)) = buckets.filter(|n| (2..1 << 18).contains(&n.0) && !n.0.is_power_of_two()) {
            let message = format!("buckets {n} is no power of two: the kernel takes {}", n.next_power_of_two());
            out.push(
                Finding::new(&codes::CUT_SHORT, "buckets", message)
                    .help(format!("write `buckets: {}`", n.next_power_of_two())),
            );
        }
        for (word, limit) in [("limit", limit), ("flow_limit", flow_limit)] {
            if *limit == Some(Packets(0)) {
                let f =
                    Finding::new(&codes::LIMIT_BELOW_PACKET, word, format!("a {word} of 0 packets drops everything"));
                out.push(f.help(format!("write `{word}: 100`")));
            }
        }
        if maxrate.is_some() && *pacing == Some(Flag(false)) {
            let f = Finding::new(&codes::NO_EFFECT, "maxrate", "`maxrate` does nothing without pacing");
            out.push(f.and("pacing", "").help("leave one of them out"));
        }
        if defrate.is_some() {
            let f = Finding::new(&codes::NO_EFFECT, "defrate", "the kernel ignores `defrate`");
            out.push(f.help("write `maxrate`, or leave it out"));
        }
        if let Some(NumberList(map)) = priomap {
            if map.len() != PRIORITIES {
                let message = format!("a priomap has 16 entries, one a priority, and this one has {}", map.len());
                out.push(Finding::new(&codes::PRIOMAP, "priomap", message));
            }
            if let Some((priority, band)) = map.iter().enumerate().find(|(_, band)| usize::from(**band) >= BANDS) {
                let message = format!("priority {priority} goes to band {band}, and the last band is 2");
                out.push(Finding::new(&codes::PRIOMAP, "priomap", message).help("write bands from 0 to 2"));
            }
        }
    }
}

/// `struct tc_fq_qd_stats`, which has grown: up to `horizon_caps` before Linux 6.7. Times are in nanoseconds;
/// `time_next_delayed_flow` is 0 when that time is past.
fn xstats(payload: Payload, _: &Facts) -> Vec<(&'static str, u64)> {
    let mut c = payload.fields();
    let mut own = Vec::new();
    let wide = |c: &mut Cursor, names: &[&'static str], own: &mut Vec<(&'static str, u64)>| {
        own.extend(names.iter().map_while(|name| Some((*name, c.u64().ok()?))));
    };
    let first = [
        "gc_flows",
        "highprio_packets",
        "tcp_retrans",
        "throttled",
        "flows_plimit",
        "pkts_too_long",
        "allocation_errors",
    ];
    wide(&mut c, &first, &mut own);
    if let Ok(next) = c.u64() {
        own.push(("time_next_delayed_flow", u64::try_from(next.cast_signed()).unwrap_or(0)));
    }
    for name in ["flows", "inactive_flows", "throttled_flows", "unthrottle_latency_ns"] {
        own.extend(c.u32().map(|n| (name, u64::from(n))));
    }
    let then =
        ["ce_mark", "horizon_drops", "horizon_caps", "fastpath_packets", "band0_drops", "band1_drops", "band2_drops"];
    wide(&mut c, &then, &mut own);
    for name in ["band0_pkts", "band1_pkts", "band2_pkts"] {
        own.extend(c.u32().map(|n| (name, u64::from(n))));
    }
    own
}
