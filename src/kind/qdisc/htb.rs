//! `htb`: net/sched/sch_htb.c, tc-htb(8).

use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::action::first_fault;
use crate::kind::walk::{Choice, Walk};
use crate::kind::wire::{Attributes, Cursor, Fields, Malformed, Payload};
use crate::kind::{Attribute, Children, Finding, Kind, Options, Place, Role, Row, Rows, attribute, fits, no_option};
use crate::rows;
use crate::unit::{Bytes, Flag, Handle, Hex, Length, LinkLayer, Name, Number, Packets, Rate, Refusal, Unit};

rows! {
    /// The discipline's own options.
    pub struct Htb {
        /// the class for packets that no rule takes; without it they leave unshaped
        default: Hex = Row::new("default").short().default("0").fixed();
        /// a class's quantum is its rate in bytes divided by this, unless it has its own
        r2q: Number = Row::new("r2q").decimal().short().kept(1, u32::MAX as u64).default("10").fixed();
        /// packets that may wait in the queue of unclassified traffic
        direct_qlen: Packets = Row::new("direct_qlen").decimal().short().unsent(u32::MAX as u64).computed("the link's txqueuelen").fixed();
        /// leave the shaping to the hardware
        offload: Flag = Row::new("offload").short().flag().default("no").fixed();
        /// what the kernel once wrote to its log: sixteen figures from 0 to 3, which it passes over today
        debug: Name = Row::new("debug").short().tool();
    }
}

rows! {
    /// A class's options.
    pub struct Class {
        /// what the class is guaranteed
        rate: Rate = Row::new("rate").once().percent();
        /// what it may reach by borrowing from its parent
        ceil: Rate = Row::new("ceil").once().percent().computed("the rate");
        /// bytes that may be sent at the speed of the link before `rate` holds
        burst: Bytes = Row::new("burst").cell().aliases(&["buffer", "maxburst"]).short().computed("one packet and a tick of the rate");
        /// bytes that may be sent at the speed of the link before `ceil` holds
        cburst: Bytes = Row::new("cburst").cell().aliases(&["cbuffer", "cmaxburst"]).short().computed("one packet and a tick of the ceil");
        /// the largest packet, for the burst's default
        mtu: Length = Row::new("mtu").decimal().short().default("1600").tool();
        /// the least size a packet is charged
        mpu: Length = Row::new("mpu").decimal().short().range(0, 0xffff).default("0");
        /// bytes that are charged on top of each packet
        overhead: Length = Row::new("overhead").decimal().short().range(0, 0xffff).default("0");
        /// how the link counts bytes
        linklayer: LinkLayer = Row::new("linklayer").short().default("ethernet");
        /// who borrows first: 0 before 7
        prio: Number = Row::new("prio").decimal().short().default("0");
        /// bytes that the class may send a turn when classes of one priority borrow
        quantum: Length = Row::new("quantum").decimal().short().nonzero().computed("the rate in bytes divided by r2q");
        /// the class's level, as the kernel says it: 0 for a leaf
        level: Number = Row::new("level").hidden().tool();
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "htb",
    role: Role::Qdisc,
    doc: "hierarchical token bucket: classes with a guaranteed rate that borrow from their parent up to a ceiling",
    options: || Box::new(Htb::default()),
    class: Some(|| Box::new(Class::default())),
    children: Children::Classes,
    change: false,
    writable: true,
    config: "NET_SCH_HTB",
    module: "sch_htb",
    attributes: ATTRIBUTES,
    xstats,
};

/// `TC_HTB_NUMPRIO`.
const PRIORITIES: u32 = 8;
/// The bounds that sch_htb warns at.
pub const QUANTUM: std::ops::RangeInclusive<u64> = 1_000..=200_000;

// enum in include/uapi/linux/pkt_sched.h
const PARMS: u16 = 1;
const INIT: u16 = 2;
const DIRECT_QLEN: u16 = 5;
const RATE64: u16 = 6;
const CEIL64: u16 = 7;
const OFFLOAD: u16 = 9;

const ATTRIBUTES: &[Attribute] = &[
    attribute(
        "TCA_HTB_PARMS",
        PARMS,
        &["rate", "ceil", "burst", "cburst", "mpu", "overhead", "linklayer", "prio", "quantum", "level"],
    ),
    attribute("TCA_HTB_INIT", INIT, &["default", "r2q", "debug"]),
    no_option("TCA_HTB_CTAB", 3, "a rate table, which the kernel has not used since Linux 3.8"),
    no_option("TCA_HTB_RTAB", 4, "a rate table, which the kernel has not used since Linux 3.8"),
    attribute("TCA_HTB_DIRECT_QLEN", DIRECT_QLEN, &["direct_qlen"]),
    attribute("TCA_HTB_RATE64", RATE64, &["rate"]),
    attribute("TCA_HTB_CEIL64", CEIL64, &["ceil"]),
    no_option("TCA_HTB_PAD", 8, "padding before 64-bit attributes"),
    attribute("TCA_HTB_OFFLOAD", OFFLOAD, &["offload"]),
];

impl Htb {
    /// The options of an htb that holds a part of this one's classes, below one of them (`policy::layout`).
    pub fn part(&self) -> Htb {
        Htb { r2q: self.r2q, direct_qlen: self.direct_qlen, ..Htb::default() }
    }
}

impl Class {
    /// A class that always has something to lend: the rate and the bucket are more than any link sends. The bucket is 200 µs
    /// of the rate, which every tc rounds to the same ticks.
    pub fn boundless() -> Class {
        let much = Some(Bytes(100_000_000));
        Class { rate: Some(Rate(4_000_000_000_000)), burst: much, cburst: much, ..Class::default() }
    }

    /// Buckets for a class that waits for its turn among so many `others` that send a packet each at `speed`: they hold what
    /// comes in meanwhile, which would run over otherwise, and the class would not get its rate where all of it is wanted.
    pub fn wait_for(&mut self, others: usize, speed: Rate, facts: &Facts) {
        let (rate, packet) = (self.rate.unwrap_or_default().bytes(), self.packet(facts));
        let meanwhile = u128::from(packet) * others as u128 * u128::from(rate) / u128::from(speed.bytes().max(1));
        let size = u64::try_from(meanwhile).unwrap_or(u64::MAX).saturating_add(packet).min(u64::from(u32::MAX));
        self.burst.get_or_insert(Bytes(size));
        self.cburst.get_or_insert(Bytes(size));
    }

    /// The largest packet, in bytes.
    fn packet(&self, facts: &Facts) -> u64 {
        u64::from(self.mtu.map_or(1600.max(facts.frame()), |m| m.0))
    }
}

impl Options for Htb {
    /// `htb_classify`: a priority may name a class; filters may name a class with classes, whose own filters go on; and
    /// what ends nowhere is the default's.
    fn choose(&self, walk: &mut dyn Walk) -> Option<Choice> {
        let this = walk.discipline();
        let named = Handle(walk.packet().meta.priority);
        if named == this {
            return Some(Choice::Direct);
        }
        let mut at = this;
        if let Some(class) = walk.class(named) {
            walk.note(None, &|| format!("the packet's priority is the class {}", named.show()));
            if class.level == 0 {
                return Some(Choice::Class(named));
            }
            at = named;
        }
        let mut hops = 0;
        while walk.has_filters(at) {
            let answer = walk.ask(at);
            if !answer.took() {
                break;
            }
            if let Some(end) = answer.ends() {
                return Some(end);
            }
            if answer.class == this {
                return Some(Choice::Direct);
            }
            let Some(class) = walk.class(answer.class) else {
                walk.note(None, &|| format!("there is no class {}", answer.class.show()));
                break;
            };
            if class.level == 0 {
                return Some(Choice::Class(answer.class));
            }
            hops += 1;
            if hops > self.levels() {
                return Some(Choice::Drop("the filters of its classes lead in a circle".into()));
            }
            walk.note(None, &|| format!("{} has classes: its own filters go on", answer.class.show()));
            at = answer.class;
        }
        let default = Handle::new(this.major(), self.default.map_or(0, |n| n.0 as u16));
        let is_leaf = walk.class(default).is_some_and(|class| class.level == 0);
        walk.note(None, &|| match (is_leaf, default.minor()) {
            (true, _) => format!("no filter decides: the default, {}", default.show()),
            (false, 0) => "no filter decides, and there is no default".to_owned(),
            (false, _) => format!("no filter decides, and the default {} is no class without classes", default.show()),
        });
        Some(if is_leaf { Choice::Class(default) } else { Choice::Direct })
    }

    fn takes_filters(&self) -> bool {
        true
    }

    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let Htb { default, r2q, direct_qlen, offload, debug } = self;
        // two bits a figure, up to what is none
        let figures = debug.iter().flat_map(|d| d.0.chars().map_while(|c| c.to_digit(4)).take(16));
        let debug = figures.enumerate().fold(0, |bits, (at, n)| bits | n << (2 * at));
        // struct tc_htb_glob: version, rate2quantum, defcls, debug, direct_pkts
        let glob =
            Fields::new().u32(3).u32(r2q.unwrap_or(Number(10)).0).u32(default.unwrap_or_default().0).u32(debug).u32(0);
        out.raw(INIT, &glob.0);
        if let Some(Packets(n)) = direct_qlen.as_ref().filter(|n| n.0 != u32::MAX) {
            out.u32(DIRECT_QLEN, *n);
        }
        if *offload == Some(Flag(true)) {
            out.flag(OFFLOAD);
        }
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        if let Some(glob) = attributes.get(INIT) {
            let mut c = glob.fields();
            let (_version, r2q, default) = (c.u32()?, c.u32()?, c.u32()?);
            self.r2q = Some(Number(r2q));
            self.default = Some(Hex(default));
        }
        self.direct_qlen = attributes.u32(DIRECT_QLEN)?.map(Packets);
        self.offload = Some(Flag(attributes.get(OFFLOAD).is_some()));
        Ok(())
    }

    /// `TC_HTB_MAXDEPTH`, include/uapi/linux/pkt_sched.h.
    fn levels(&self) -> usize {
        8
    }

    /// `HTB_DIRECT`, net/sched/sch_htb.c.
    fn rest(&self) -> Option<&'static str> {
        Some("leave unshaped")
    }

    /// The packets that no class had.
    fn figures(&self, payload: Payload) -> Vec<(&'static str, u64)> {
        let init = payload.attributes().ok().and_then(|all| all.get(INIT));
        let direct = init.and_then(|glob| glob.0.get(16..)).and_then(|rest| Payload(rest).fields().u32().ok());
        direct.map(|n| ("direct_packets", u64::from(n))).into_iter().collect()
    }

    fn assume(&mut self, facts: &Facts) {
        self.assume_constants();
        // htb_init: at least 2
        self.direct_qlen.get_or_insert(Packets(facts.txqueuelen.max(2)));
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        self.check_widths(out);
        // the kernel's number has a sign, and it makes 1 of what is negative
        fits("r2q", self.r2q.map(|n| u64::from(n.0)), i32::MAX as u64, out);
    }
}

/// `struct tc_ratespec` with a linklayer, so that no rate table is wanted (`psched_ratecfg_precompute`).
pub(crate) fn ratespec(rate: Rate, mpu: u32, overhead: u32, linklayer: LinkLayer) -> Fields {
    Fields::new()
        .u8(0)
        .u8(linklayer.number().unwrap_or(1) as u8)
        .u16(u16::try_from(overhead).unwrap_or(u16::MAX))
        .u16(0)
        .u16(u16::try_from(mpu).unwrap_or(u16::MAX))
        .u32(u32::try_from(rate.bytes()).unwrap_or(u32::MAX))
}

/// Reads a `struct tc_ratespec`: rate (32 bits of it), mpu, overhead, linklayer.
pub(crate) fn read_ratespec(c: &mut Cursor) -> Result<(u32, u32, u32, LinkLayer), Malformed> {
    let (_cell_log, linklayer, overhead, _align, mpu, rate) =
        (c.u8()?, c.u8()?, c.u16()?, c.u16()?, c.u16()?, c.u32()?);
    let linklayer = LinkLayer::from_number(u64::from(linklayer & 0x0f)).unwrap_or_default();
    Ok((rate, u32::from(mpu), u32::from(overhead), linklayer))
}

impl Options for Class {
    fn forgets(&self, _word: &str) -> bool {
        true
    }

    /// They are asked of a class with classes below it.
    fn takes_filters(&self) -> bool {
        true
    }

    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let mut full = self.clone();
        full.complete(facts);
        let Class { rate, ceil, burst, cburst, mtu: _, mpu, overhead, linklayer, prio, quantum, level: _ } = full;
        let (rate, ceil) = (rate.unwrap_or_default(), ceil.unwrap_or_default());
        let (mpu, overhead) = (mpu.unwrap_or_default().0, overhead.unwrap_or_default().0);
        let linklayer = linklayer.unwrap_or_default();
        if u32::try_from(rate.bytes()).is_err() {
            out.u64(RATE64, rate.bytes());
        }
        if u32::try_from(ceil.bytes()).is_err() {
            out.u64(CEIL64, ceil.bytes());
        }
        // struct tc_htb_opt: rate, ceil, buffer, cbuffer, quantum, level, prio
        let opt = ratespec(rate, mpu, overhead, linklayer)
            .raw(&ratespec(ceil, mpu, overhead, linklayer).0)
            .u32(facts.ticks(rate, burst.unwrap_or_default().0))
            .u32(facts.ticks(ceil, cburst.unwrap_or_default().0))
            .u32(quantum.unwrap_or_default().0)
            .u32(0)
            .u32(prio.unwrap_or_default().0);
        out.raw(PARMS, &opt.0);
    }

    fn decode(&mut self, payload: Payload, facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        let Some(opt) = attributes.get(PARMS) else { return Ok(()) };
        let mut c = opt.fields();
        let (rate, mpu, overhead, linklayer) = read_ratespec(&mut c)?;
        let (ceil, ..) = read_ratespec(&mut c)?;
        let (buffer, cbuffer, quantum, level, prio) = (c.u32()?, c.u32()?, c.u32()?, c.u32()?, c.u32()?);
        let rate = Rate::from_bytes(attributes.u64(RATE64)?.unwrap_or(u64::from(rate)));
        let ceil = Rate::from_bytes(attributes.u64(CEIL64)?.unwrap_or(u64::from(ceil)));
        *self = Class {
            rate: Some(rate),
            ceil: Some(ceil),
            burst: Some(Bytes(facts.bytes_in(rate, buffer))),
            cburst: Some(Bytes(facts.bytes_in(ceil, cbuffer))),
            mtu: None,
            mpu: Some(Length(mpu)),
            overhead: Some(Length(overhead)),
            linklayer: Some(linklayer),
            prio: Some(Number(prio)),
            quantum: (quantum > 0).then_some(Length(quantum)), // 0 in a request: the kernel chooses
            level: Some(Number(level)),
        };
        Ok(())
    }

    /// As tc's htb_parse_class_opt; the bucket holds a packet of the link where that is more than tc's 1600 bytes.
    fn complete(&mut self, facts: &Facts) {
        let rate = *self.rate.get_or_insert(Rate(0));
        let ceil = *self.ceil.get_or_insert(rate);
        let packet = self.packet(facts);
        self.burst.get_or_insert(Bytes(rate.bytes() / facts.hz + packet));
        self.cburst.get_or_insert(Bytes((ceil.bytes() / facts.hz + packet).min(u64::from(u32::MAX))));
    }

    fn settle_tc(&mut self, _place: &mut Place) -> Result<(), Refusal> {
        if self.rate.is_none_or(|rate| rate.bytes() == 0) {
            let refusal = Refusal::coded(&codes::MISSING_OPTION, "a class of htb wants a `rate`");
            return Err(refusal.help("write `rate 1mbit`"));
        }
        refuse_wide(self.burst, self.rate)?;
        first_fault(|out| fits("cburst", self.cburst.map(|size| size.0), u64::from(u32::MAX), out))?;
        // what is 0 is as if it were not written
        self.ceil = self.ceil.filter(|rate| rate.bytes() != 0);
        self.burst = self.burst.filter(|size| size.0 != 0);
        self.cburst = self.cburst.filter(|size| size.0 != 0);
        Ok(())
    }

    fn become_leaf(&mut self) {
        self.level = None;
    }

    /// Sizes are compared as the ticks they travel in. The kernel takes quantum and prio of an inner class at its birth
    /// only, when it is a leaf still, and never uses them: they are not compared.
    fn same(&self, other: &dyn Options, row: usize, facts: &Facts) -> bool {
        let Some(held) = other.as_kind::<Class>() else { return false };
        let inner = held.level.unwrap_or_default().0 > 0;
        let size = |rate: Option<Rate>, a: Option<Bytes>, b: Option<Bytes>| match (rate, a, b) {
            (Some(rate), Some(a), Some(b)) => facts.same_size(rate, a.0, b.0),
            _ => a == b,
        };
        match Class::ROWS.get(row).map(|r| r.word) {
            Some("burst") => size(held.rate, self.burst, held.burst),
            Some("cburst") => size(held.ceil, self.cburst, held.cburst),
            Some("quantum" | "prio") if inner => true,
            _ => matches!((self.slot(row), other.slot(row)), (Some(a), Some(b)) if a.same(b)),
        }
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        let Class { rate, ceil, burst, cburst, mtu, mpu, overhead, linklayer: _, prio, quantum, level: _ } = self;
        let Some(rate) = *rate else {
            out.push(
                Finding::new(&codes::MISSING_OPTION, "rate", "a class of htb wants a `rate`")
                    .help("write `rate: 1mbit`"),
            );
            return;
        };
        check_rate("rate", rate, facts, out);
        fits("cburst", cburst.map(|size| size.0), u64::from(u32::MAX), out);
        if let Some(ceil) = ceil.filter(|c| *c < rate) {
            let message = format!("ceil {} is below rate {}", ceil.show(), rate.show());
            let f = Finding::new(&codes::CEIL_BELOW_RATE, "ceil", message).and("rate", "the rate it is guaranteed");
            out.push(f.help(format!("write `ceil: {}` or more, or leave ceil out", rate.show())));
        }
        if let Some(Number(n)) = prio.filter(|p| p.0 >= PRIORITIES) {
            let f = Finding::new(&codes::PRIO_RANGE, "prio", format!("prio {n} does not exist: htb has 0 to 7"));
            out.push(f.help("write `prio: 7` for the last"));
        }
        for (word, size, rate) in [("burst", burst, rate), ("cburst", cburst, ceil.unwrap_or(rate))] {
            match (size, mtu) {
                (Some(size), _) => check_bucket(word, *size, rate, facts, out),
                (None, Some(mtu)) => check_ticks("mtu", Bytes(u64::from(mtu.0)), rate, facts, out),
                (None, None) => {}
            }
        }
        if let Some(Length(q)) = quantum {
            if *q < facts.frame() {
                let message = format!("quantum {q}b is below one packet of {} bytes", facts.frame());
                let f = Finding::new(&codes::QUANTUM_BELOW_MTU, "quantum", message);
                out.push(f.help(format!("write `quantum: {}b` or more", facts.frame())));
            } else if u64::from(*q) > *QUANTUM.end() {
                let message = format!("quantum {q}b lets a class send over 200000 bytes in one go");
                out.push(
                    Finding::new(&codes::QUANTUM_RANGE, "quantum", message).help("write `quantum: 60000b` or less"),
                );
            }
        }
        for (word, value) in [("mpu", mpu), ("overhead", overhead)] {
            fits(word, value.map(|n| u64::from(n.0)), 0xffff, out);
        }
    }
}

/// A rate must pass a packet in the time that fits into 32 bits of ticks: 275 seconds.
pub(crate) fn check_rate(word: &'static str, rate: Rate, facts: &Facts, out: &mut Vec<Finding>) {
    let packet = u64::from(facts.frame().max(1600));
    let seconds = f64::from(u32::MAX) * facts.tick_ns / 1e9;
    let least = (packet as f64 / seconds).ceil() as u64;
    if rate.bytes() < least {
        let message = format!("{word} {} is too slow: one packet would take over {seconds:.0} seconds", rate.show());
        let f = Finding::new(&codes::OUT_OF_RANGE, word, message);
        out.push(f.help(format!("write `{word}: {}` or more", Rate::from_bytes(least).show())));
    }
}

/// A bucket must hold the largest packet and should hold a millisecond of its rate. Offload does not count: tbf takes a
/// larger segment apart, and htb lets it through on credit.
pub(crate) fn check_bucket(word: &'static str, size: Bytes, rate: Rate, facts: &Facts, out: &mut Vec<Finding>) {
    let packet = u64::from(facts.frame());
    let millisecond = rate.bytes() / 1000;
    if size.0 < packet {
        let message = format!("{word} {} holds no packet of {packet} bytes", size.show());
        let f = Finding::new(&codes::BURST_BELOW_PACKET, word, message);
        out.push(f.help(format!("write `{word}: {}b` or more", packet.max(millisecond))));
    } else if size.0 < millisecond {
        let message = format!("{word} {} is less than a millisecond of {}", size.show(), rate.show());
        let f = Finding::new(&codes::BURST_SHORT, word, message);
        out.push(f.help(format!("write `{word}: {}b` or more, or the rate may not be reached", millisecond)));
    }
    check_ticks(word, size, rate, facts, out);
}

/// A bucket beyond 32 bits, which tc can say since iproute2 6.15, must fit into them as ticks; of a smaller one it sends
/// what is left ([`Facts::ticks`]).
pub(crate) fn refuse_wide(burst: Option<Bytes>, rate: Option<Rate>) -> Result<(), Refusal> {
    let wide = burst.filter(|size| size.0 > u64::from(u32::MAX)).zip(rate);
    first_fault(|out| {
        if let Some((size, rate)) = wide {
            check_ticks("burst", size, rate, &Facts::default(), out);
        }
    })
}

/// A bucket travels as the time that the rate takes to fill it, in 32 bits of ticks.
pub(crate) fn check_ticks(word: &'static str, size: Bytes, rate: Rate, facts: &Facts, out: &mut Vec<Finding>) {
    let seconds = f64::from(u32::MAX) * facts.tick_ns / 1e9;
    if rate.bytes() != 0 && size.0 as f64 / rate.bytes() as f64 >= seconds {
        let most = Bytes((rate.bytes() as f64 * seconds) as u64);
        let message =
            format!("{word} {} takes {} over {seconds:.0} seconds, and does not fit", size.show(), rate.show());
        let f = Finding::new(&codes::OUT_OF_RANGE, word, message);
        out.push(f.help(format!("write `{word}: {}` or less", most.show())));
    }
}

/// `struct tc_htb_xstats`. Tokens count nanoseconds over 64; a debt of them is 0.
fn xstats(payload: Payload, _: &Facts) -> Vec<(&'static str, u64)> {
    let names = ["lended", "borrowed", "giants", "tokens", "ctokens"];
    super::figures(payload.fields(), &names, &["tokens", "ctokens"])
}
