//! `cake`: net/sched/sch_cake.c, tc-cake(8).

use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::walk::{Choice, Walk};
use crate::kind::wire::{Attributes, Malformed, Parsed, Payload};
use crate::kind::{
    Attribute, Children, Drops, End, Fairness, Finding, Kind, Options, Role, Row, Rows, Wire, attribute, no_option,
    read_named, read_row, row_words,
};
use crate::packet::{self, Packet};
use crate::rows;
use crate::unit::{
    Bytes, Flag, Handle, Hex64, Info, Length, Packing, Preset, Rate, Reader, Refusal, Schema, Signed, Time, Unit, Words,
};

rows! {
    /// Common applications kept enhanced.
    pub struct Cake {
        /// the speed to shape to, or `unlimited`
        bandwidth: Bandwidth = Row::new("bandwidth").wire(Wire::U64(2)).percent().default("unlimited");
        /// the tins of priority that packets are sorted into by their DS field
        diffserv: Diffserv = Row::new("diffserv").wire(Wire::U32(3)).default("diffserv3");
        /// how the link below packs bytes: in cells of ATM, in PTM's code, or plainly
        atm: Framing = Row::new("atm").wire(Wire::U32(4)).default("noatm");
        /// what is served in turn: flows, hosts, or the flows of hosts
        flowmode: FlowMode = Row::new("flowmode").wire(Wire::U32(5)).default("triple-isolate");
        /// bytes that the link adds to each packet of the network layer, -64 to 256; or `raw`
        overhead: Signed = Row::new("overhead").decimal().wire(Wire::S32(6)).default("0");
        /// take the packet's length as the kernel has it, its link header with it
        raw: Flag = Row::new("raw").flag().computed("yes, unless `overhead` is written");
        /// the least size a packet is charged
        mpu: Length = Row::new("mpu").decimal().wire(Wire::U32(14)).nonzero().range(0, 256).default("0");
        /// the usual round trip, as a time or by name: `datacentre`, `lan`, `metro`, `regional`, `internet`, `oceanic`,
        /// `satellite`, `interplanetary`
        rtt: Rtt = Row::new("rtt").wire(Wire::Micros(7)).nonzero().default("internet");
        /// the delay that is put up with: a twentieth of `rtt`
        target: Time = Row::new("target").wire(Wire::Micros(8)).hidden();
        /// follow the rate at which packets arrive, for links whose speed changes
        autorate_ingress: Flag = Row::new("autorate-ingress").wire(Wire::U32(9)).flag().default("no");
        /// bytes of memory that waiting packets may take in all; 0: as much as bandwidth and round trip want
        memlimit: Bytes = Row::new("memlimit").wire(Wire::U32(10)).nonzero().default("0");
        /// bits of a packet's mark that name its tin, counted from 1
        fwmark: Hex64 = Row::new("fwmark").wire(Wire::U32(18)).nonzero().default("0x0");
        /// tell hosts by their addresses before translation
        nat: Flag = Row::new("nat").wire(Wire::U32(11)).off("nonat").default("no");
        /// clear the DS field of what leaves
        wash: Flag = Row::new("wash").wire(Wire::U32(13)).off("nowash").default("no");
        /// take the large segments of offload apart
        split_gso: Flag = Row::new("split-gso").wire(Wire::U32(17)).off("no-split-gso").default("yes");
        /// count packets that are dropped too: the shaper stands behind the slow link, not before it
        ingress: Flag = Row::new("ingress").wire(Wire::U32(15)).off("egress").default("no");
        /// drop acknowledgements that a later one in the queue makes idle
        ack_filter: AckFilter = Row::new("ack-filter").wire(Wire::U32(16)).default("no");
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "cake",
    role: Role::Qdisc,
    doc: "common applications kept enhanced: shaper, fair queues of hosts and flows, and priorities in one. The least work for a home's uplink",
    options: || Box::new(Cake::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_SCH_CAKE",
    module: "sch_cake",
    attributes: ATTRIBUTES,
    xstats,
};

const RAW: u16 = 12;
const FIGURE: &str = "a figure of its statistics";

const ATTRIBUTES: &[Attribute] = &[
    no_option("TCA_CAKE_PAD", 1, "padding before 64-bit attributes"),
    attribute("TCA_CAKE_BASE_RATE64", 2, &["bandwidth"]),
    attribute("TCA_CAKE_DIFFSERV_MODE", 3, &["diffserv"]),
    attribute("TCA_CAKE_ATM", 4, &["atm"]),
    attribute("TCA_CAKE_FLOW_MODE", 5, &["flowmode"]),
    attribute("TCA_CAKE_OVERHEAD", 6, &["overhead"]),
    attribute("TCA_CAKE_RTT", 7, &["rtt"]),
    attribute("TCA_CAKE_TARGET", 8, &["target"]),
    attribute("TCA_CAKE_AUTORATE", 9, &["autorate-ingress"]),
    attribute("TCA_CAKE_MEMORY", 10, &["memlimit"]),
    attribute("TCA_CAKE_NAT", 11, &["nat"]),
    attribute("TCA_CAKE_RAW", RAW, &["raw"]),
    attribute("TCA_CAKE_WASH", 13, &["wash"]),
    attribute("TCA_CAKE_MPU", 14, &["mpu"]),
    attribute("TCA_CAKE_INGRESS", 15, &["ingress"]),
    attribute("TCA_CAKE_ACK_FILTER", 16, &["ack-filter"]),
    attribute("TCA_CAKE_SPLIT_GSO", 17, &["split-gso"]),
    attribute("TCA_CAKE_FWMARK", 18, &["fwmark"]),
    no_option("TCA_CAKE_STATS_PAD", 1, "padding before 64-bit attributes"),
    no_option("TCA_CAKE_STATS_CAPACITY_ESTIMATE64", 2, FIGURE),
    no_option("TCA_CAKE_STATS_MEMORY_LIMIT", 3, FIGURE),
    no_option("TCA_CAKE_STATS_MEMORY_USED", 4, FIGURE),
    no_option("TCA_CAKE_STATS_AVG_NETOFF", 5, FIGURE),
    no_option("TCA_CAKE_STATS_MIN_NETLEN", 6, FIGURE),
    no_option("TCA_CAKE_STATS_MAX_NETLEN", 7, FIGURE),
    no_option("TCA_CAKE_STATS_MIN_ADJLEN", 8, FIGURE),
    no_option("TCA_CAKE_STATS_MAX_ADJLEN", 9, FIGURE),
    no_option("TCA_CAKE_STATS_TIN_STATS", TINS, "the figures of its tins"),
    no_option("TCA_CAKE_STATS_DEFICIT", 11, FIGURE),
    no_option("TCA_CAKE_STATS_COBALT_COUNT", 12, FIGURE),
    no_option("TCA_CAKE_STATS_DROPPING", 13, FIGURE),
    no_option("TCA_CAKE_STATS_DROP_NEXT_US", 14, FIGURE),
    no_option("TCA_CAKE_STATS_P_DROP", 15, FIGURE),
    no_option("TCA_CAKE_STATS_BLUE_TIMER_US", 16, FIGURE),
    no_option("TCA_CAKE_STATS_ACTIVE_QUEUES", 17, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_PAD", 1, "padding before 64-bit attributes"),
    no_option("TCA_CAKE_TIN_STATS_SENT_PACKETS", 2, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_SENT_BYTES64", 3, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_DROPPED_PACKETS", 4, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_DROPPED_BYTES64", 5, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_ACKS_DROPPED_PACKETS", 6, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_ACKS_DROPPED_BYTES64", 7, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_ECN_MARKED_PACKETS", 8, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_ECN_MARKED_BYTES64", 9, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_BACKLOG_PACKETS", 10, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_BACKLOG_BYTES", 11, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_THRESHOLD_RATE64", 12, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_TARGET_US", 13, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_INTERVAL_US", 14, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_WAY_INDIRECT_HITS", 15, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_WAY_MISSES", 16, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_WAY_COLLISIONS", 17, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_PEAK_DELAY_US", 18, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_AVG_DELAY_US", 19, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_BASE_DELAY_US", 20, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_SPARSE_FLOWS", 21, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_BULK_FLOWS", 22, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_UNRESPONSIVE_FLOWS", 23, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_MAX_SKBLEN", 24, FIGURE),
    no_option("TCA_CAKE_TIN_STATS_FLOW_QUANTUM", 25, FIGURE),
];

/// Writes a unit that is one of some words; their numbers are the kernel's.
macro_rules! choice {
    ($(#[doc = $doc:literal])* $name:ident $what:literal $spell:literal [$($word:literal),*]) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name(u32);

        impl $name {
            const WORDS: &[&str] = &[$($word),*];
        }

        impl Unit for $name {
            const INFO: Info = Info { name: $what, spellings: $spell, schema: Schema::OneOf(Self::WORDS) };

            fn read(text: &str, _reader: &mut Reader) -> Result<Self, Refusal> {
                let at = Self::WORDS.iter().position(|word| *word == text);
                at.and_then(|at| u32::try_from(at).ok()).map($name).ok_or_else(|| {
                    Refusal::new(format!("`{text}` is not {}", $what)).help(concat!("write ", $spell))
                })
            }

            fn show(&self) -> String {
                Self::WORDS.get(self.0 as usize).copied().unwrap_or_default().to_owned()
            }

            fn number(&self) -> Option<u64> {
                Some(u64::from(self.0))
            }

            fn from_number(number: u64) -> Option<Self> {
                u32::try_from(number).ok().filter(|n| (*n as usize) < Self::WORDS.len()).map($name)
            }
        }
    };
}

choice! {
    /// Tins of priority (`CAKE_DIFFSERV_*`).
    Diffserv "a scheme of priorities"
    "`besteffort`, `diffserv3`, `diffserv4`, `diffserv8` or `precedence`"
    ["diffserv3", "diffserv4", "diffserv8", "besteffort", "precedence"]
}
choice! {
    /// How the link packs bytes (`CAKE_ATM_*`).
    Framing "a way of packing bytes" "`noatm`, `atm` or `ptm`" ["noatm", "atm", "ptm"]
}
choice! {
    /// What is served in turn (`CAKE_FLOW_*`).
    FlowMode "a way of telling flows"
    "`flowblind`, `srchost`, `dsthost`, `hosts`, `flows`, `dual-srchost`, `dual-dsthost` or `triple-isolate`"
    ["flowblind", "srchost", "dsthost", "hosts", "flows", "dual-srchost", "dual-dsthost", "triple-isolate"]
}
choice! {
    /// Which acknowledgements are dropped (`CAKE_ACK_*`).
    AckFilter "a filter of acknowledgements" "`no`, `yes` or `aggressive`" ["no", "yes", "aggressive"]
}

impl From<Packing> for Framing {
    fn from(packing: Packing) -> Framing {
        Framing(match packing {
            Packing::Plain => 0,
            Packing::Atm => 1,
            Packing::Ptm => 2,
        })
    }
}

/// tc's bare words for [`AckFilter`].
const ACK_FILTERS: &[&str] = &["no-ack-filter", "ack-filter", "ack-filter-aggressive"];

/// A rate, or 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bandwidth(pub Rate);

impl Unit for Bandwidth {
    const INFO: Info = Info {
        name: "a rate or `unlimited`",
        spellings: "`20mbit`, `80%` or `unlimited`",
        schema: Schema::Pattern(r"^([0-9]+(\.[0-9]+)?(%|([kKmMgGtT]i?)?([bB][iI][tT]|[bB][pP][sS]))|unlimited)$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        match text {
            "unlimited" => Ok(Bandwidth::default()),
            // tc's cake takes no percentage
            _ if reader.tc && text.contains('%') => Err(Refusal::new(format!("`{text}` is not a rate"))),
            _ => match Rate::read(text, reader)? {
                rate if rate.bytes() == 0 && !reader.tc => {
                    Err(Refusal::new(format!("a bandwidth of `{text}` is none at all: cake would shape nothing"))
                        .help("write `unlimited` if that is meant"))
                }
                rate => Ok(Bandwidth(rate)),
            },
        }
    }

    fn show(&self) -> String {
        if self.0.bytes() == 0 { "unlimited".to_owned() } else { self.0.show() }
    }

    fn number(&self) -> Option<u64> {
        self.0.number()
    }

    fn from_number(number: u64) -> Option<Self> {
        Rate::from_number(number).map(Bandwidth)
    }

    fn same(&self, other: &Self) -> bool {
        self.0.same(&other.0)
    }
}

/// A round trip, which may have a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rtt(pub Time);

/// tc's names and their times in microseconds.
const TRIPS: &[(&str, u64)] = &[
    ("datacentre", 100),
    ("lan", 1_000),
    ("metro", 10_000),
    ("regional", 30_000),
    ("internet", 100_000),
    ("oceanic", 300_000),
    ("satellite", 1_000_000),
    ("interplanetary", 1_000_000_000),
];

impl Rtt {
    fn named(name: &str) -> Option<Rtt> {
        TRIPS.iter().find(|(known, _)| *known == name).map(|(_, us)| Rtt(Time(us * 1000)))
    }
}

impl Unit for Rtt {
    const INFO: Info = Info {
        name: "a round trip",
        spellings: "`50ms`, `internet`",
        schema: Schema::Pattern(
            r"^([0-9]+(\.[0-9]+)?([sS]|secs?|ms|msecs?|us|usecs?|ns|nsecs?)|datacentre|lan|metro|regional|internet|oceanic|satellite|interplanetary)$",
        ),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        Rtt::named(text).map_or_else(|| Time::read(text, reader).map(Rtt), Ok)
    }

    fn show(&self) -> String {
        self.0.show()
    }

    fn tc(&self) -> String {
        self.0.tc()
    }

    fn number(&self) -> Option<u64> {
        self.0.number()
    }

    fn from_number(number: u64) -> Option<Self> {
        Time::from_number(number).map(Rtt)
    }
}

/// `overhead`'s bounds in tc.
const OVERHEAD: std::ops::RangeInclusive<i32> = -64..=256;
/// The slowest that cake shapes to, in bytes a second (`cake_set_rate`).
const SLOWEST: u64 = 64;

fn choice<U: Unit>(word: &str) -> Option<U> {
    U::read(word, &mut Reader::tc()).ok()
}

impl Cake {
    /// Reads one of tc's bare words; false if it is none.
    fn bare(&mut self, word: &str) -> Result<bool, Refusal> {
        if let Some(rtt) = Rtt::named(word) {
            // a name after a time is taken, a name after a name is not
            if let Some(first) = self.trip() {
                let f = Refusal::coded(
                    &codes::DUPLICATE_KEY,
                    format!("`{word}` after `{first}`: one round trip is enough"),
                );
                return Err(f.help("leave one of them out"));
            }
            (self.rtt, self.target) = (Some(rtt), None);
            return Ok(true);
        }
        if let Some(line) = Preset::find(word) {
            self.atm = line.packing.map(Framing::from).or(self.atm);
            // this one is meant to be enough for any line
            let so_far = self.overhead.filter(|_| word != "conservative").unwrap_or_default().0;
            self.overhead = Some(Signed(so_far.saturating_add(line.overhead)));
            self.mpu = line.mpu.map(Length).or(self.mpu);
            return Ok(true);
        }
        match word {
            "unlimited" => (self.bandwidth, self.autorate_ingress) = (Some(Bandwidth::default()), Some(Flag(false))),
            "autorate-ingress" => self.autorate_ingress = Some(Flag(true)),
            "diffserv" => self.diffserv = choice("diffserv4"),
            "raw" => (self.atm, self.overhead, self.raw) = (choice("noatm"), Some(Signed(0)), Some(Flag(true))),
            // cake has learnt since then how long the link's header is
            "via-ethernet" => {}
            _ => match ACK_FILTERS.iter().position(|known| *known == word) {
                Some(at) => self.ack_filter = AckFilter::from_number(at as u64),
                None => {
                    if let Some(diffserv) = choice(word) {
                        self.diffserv = Some(diffserv);
                    } else if let Some(atm) = choice(word) {
                        self.atm = Some(atm);
                    } else if let Some(flowmode) = choice(word) {
                        self.flowmode = Some(flowmode);
                    } else {
                        return Ok(false);
                    }
                }
            },
        }
        Ok(true)
    }

    /// The name of the round trip that is written, if it has one.
    fn trip(&self) -> Option<&'static str> {
        let rtt = self.rtt.filter(|_| self.target.is_none())?;
        TRIPS.iter().find(|(_, us)| us * 1000 == rtt.0.0).map(|(name, _)| *name)
    }
}

/// What tins are called, by number: the tins of 3 and 4 are bulk, best effort, (video,) voice in the order of urgency, of
/// which best effort has the number 0.
const TIN_NAMES: &[(&str, &[&str])] =
    &[("diffserv3", &["best effort", "bulk", "voice"]), ("diffserv4", &["best effort", "bulk", "video", "voice"])];

/// The tin of each DSCP (`diffserv3`, `diffserv4`, `diffserv8` in net/sched/sch_cake.c).
const TIN3: [u8; 64] = [
    0, 1, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 2, 0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
];
const TIN4: [u8; 64] = [
    0, 1, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0, 3, 0, 2, 0, 2, 0,
    2, 0, 3, 0, 0, 0, 3, 0, 3, 0, 3, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0,
];
const TIN8: [u8; 64] = [
    2, 0, 1, 2, 4, 2, 2, 2, 1, 2, 1, 2, 1, 2, 1, 2, 5, 2, 4, 2, 4, 2, 4, 2, 3, 2, 3, 2, 3, 2, 3, 2, 6, 2, 3, 2, 3, 2,
    3, 2, 6, 2, 2, 2, 6, 2, 6, 2, 7, 2, 2, 2, 2, 2, 2, 2, 7, 2, 2, 2, 2, 2, 2, 2,
];

impl Cake {
    /// How many tins there are.
    fn tins(&self) -> u64 {
        match self.diffserv.unwrap_or_default().show().as_str() {
            "besteffort" => 1,
            "diffserv3" => 3,
            "diffserv4" => 4,
            _ => 8,
        }
    }

    /// `cake_select_tin`: by the mark, by a class that the priority names, or by the DSCP. `None` where there is one tin.
    fn tin(&self, packet: &Packet, this: Handle) -> Option<String> {
        let mode = self.diffserv.as_ref().map_or_else(|| "diffserv3".to_owned(), Unit::show);
        let precedence: [u8; 64] = std::array::from_fn(|dscp| (dscp >> 3) as u8);
        let count = self.tins() as u32;
        let table = match mode.as_str() {
            "diffserv3" => &TIN3,
            "diffserv4" => &TIN4,
            "diffserv8" => &TIN8,
            "precedence" => &precedence,
            _ => return None,
        };
        let wanted = self.fwmark.and_then(|mask| mask.number()).unwrap_or(0) as u32;
        let marked = (packet.meta.mark & wanted).checked_shr(wanted.trailing_zeros()).unwrap_or(0);
        let named = Handle(packet.meta.priority);
        let named = if named.major() == this.major() { u32::from(named.minor()) } else { 0 };
        let urgent = [marked, named].into_iter().find(|n| (1..=count).contains(n));
        // of three and four tins the least urgent has the number 1
        let number = match (urgent, count) {
            (Some(n @ 1..=2), 3 | 4) => 2 - n,
            (Some(n), _) => n - 1,
            (None, _) => {
                let dscp = match packet.layers().ip {
                    Some(ip) => ip.tos >> 2,
                    None if packet.ether_type() == packet::ARP => 0x38,
                    None => 0,
                };
                u32::from(table.get(usize::from(dscp)).copied().unwrap_or(0))
            }
        };
        let names =
            TIN_NAMES.iter().find(|(known, _)| *known == mode).and_then(|(_, names)| names.get(number as usize));
        Some(names.map_or_else(|| number.to_string(), |name| (*name).to_owned()))
    }
}

impl Options for Cake {
    /// `cake_reconfigure` empties the tins that are no more.
    fn change_drops(&self, held: &dyn Options) -> Option<Drops> {
        held.as_kind::<Cake>().filter(|held| self.tins() < held.tins()).map(|_| Drops::Bands)
    }

    /// `struct cake_tin_data` for eight tins, whatever `diffserv` says: 1,024 flows, hosts, tags and backlogs in each.
    fn tables(&self) -> u64 {
        8 * 1024 * (80 + 24 + 4 + 4)
    }

    /// The tin, and in it a queue of the flow's; filters may drop, and say the flow.
    fn choose(&self, walk: &mut dyn Walk) -> Option<Choice> {
        let this = walk.discipline();
        let tin = self.tin(walk.packet(), this);
        if let Some(end) = walk.ask(this).ends() {
            return Some(end);
        }
        let tin = tin.map_or_else(String::new, |tin| format!("tin {tin}, "));
        Some(Choice::Queue(format!("{tin}a queue of its flow's").into()))
    }

    fn takes_filters(&self) -> bool {
        true
    }

    /// cake counts over the IP packet, as a policy does.
    fn count_as(&mut self, packing: Packing, overhead: i32, mpu: u32) -> bool {
        self.atm = Some(packing.into());
        self.overhead = Some(Signed(overhead));
        self.mpu = Some(Length(mpu)).filter(|_| mpu != 0);
        true
    }

    /// Hosts first, and the connections of each among themselves. Tins would give a host more for the marks it sets.
    fn fair_by(&mut self, end: End, nat: bool) -> Fairness {
        self.flowmode = choice(match end {
            End::Source => "dual-srchost",
            End::Destination => "dual-dsthost",
        });
        self.diffserv = self.diffserv.or(choice("besteffort"));
        self.nat = self.nat.or(nat.then_some(Flag(true)));
        Fairness::Own
    }

    /// tc says the word and nothing with it.
    fn encode_own(&self, word: &str, out: &mut Attributes, _facts: &Facts) {
        if word == "raw" && self.raw == Some(Flag(true)) {
            out.u32(RAW, 0);
        }
    }

    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let mut full = self.clone();
        full.complete(facts);
        crate::kind::encode_options(&full, out, facts);
    }

    fn decode_own(&mut self, attributes: &Parsed, _facts: &Facts) -> Result<(), Malformed> {
        let said = attributes.get(RAW).is_some();
        // a change may leave the length as it is
        if said || self.overhead.is_some() {
            self.raw = Some(Flag(said));
        }
        Ok(())
    }

    /// As tc: the target from the round trip, and what `raw` says of the others.
    fn complete(&mut self, _facts: &Facts) {
        if let (Some(rtt), None) = (self.rtt, self.target) {
            self.target = Some(twentieth(rtt));
        }
        if self.raw == Some(Flag(true)) {
            self.overhead.get_or_insert(Signed(0));
            self.atm = self.atm.or(choice("noatm"));
        }
        if self.raw == Some(Flag(false)) {
            self.overhead.get_or_insert(Signed(0)); // its attribute says it
        }
    }

    /// `cake_init`.
    fn assume(&mut self, _facts: &Facts) {
        self.raw.get_or_insert(Flag(self.overhead.is_none()));
        self.assume_constants();
        self.target.get_or_insert(twentieth(self.rtt.unwrap_or_default()));
    }

    fn tc(&self, out: &mut Vec<String>) {
        let Cake { bandwidth, diffserv, atm, flowmode, overhead, raw, autorate_ingress, ack_filter, .. } = self;
        let raw = *raw == Some(Flag(true));
        for (i, row) in self.rows().iter().enumerate().filter(|(_, row)| !row.hidden) {
            let Some(slot) = self.slot(i) else { continue };
            let bare = match row.word {
                "bandwidth" => match bandwidth {
                    Some(bandwidth) if bandwidth.0.bytes() == 0 => Some("unlimited".to_owned()),
                    // no other word takes it back
                    None if *autorate_ingress == Some(Flag(false)) => Some("unlimited".to_owned()),
                    _ => {
                        row_words(row, slot, out);
                        None
                    }
                },
                "diffserv" => {
                    out.extend(diffserv.map(|d| d.show()));
                    // `raw` sets what stands behind it anew
                    raw.then(|| "raw".to_owned())
                }
                "atm" => atm.filter(|a| !raw || a.0 != 0).map(|a| a.show()),
                "flowmode" => flowmode.map(|f| f.show()),
                "overhead" if raw && overhead.is_none_or(|o| o.0 == 0) => None,
                "overhead" if overhead.is_none() && self.raw == Some(Flag(false)) => {
                    out.push("overhead".to_owned());
                    Some("0".to_owned())
                }
                "raw" => None,
                // tc sends the target of a round trip of nothing, and no round trip
                "rtt" if self.rtt.is_none() && self.target == Some(twentieth(Rtt::default())) => {
                    out.push("rtt".to_owned());
                    Some("0".to_owned())
                }
                "ack-filter" => ack_filter.and_then(|a| ACK_FILTERS.get(a.0 as usize)).map(|word| (*word).to_owned()),
                _ => {
                    row_words(row, slot, out);
                    None
                }
            };
            out.extend(bare);
        }
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        let Some(word) = words.peek() else { return Ok(false) };
        match word {
            "bandwidth" => {
                words.next();
                let bandwidth = Bandwidth::read_words(words, reader)?;
                // a rate of nothing is not sent
                self.bandwidth = Some(bandwidth).filter(|b| b.0.bytes() != 0);
                self.autorate_ingress = Some(Flag(false));
                Ok(true)
            }
            "rtt" => {
                words.next();
                let rtt = Rtt(Time::read_words(words, reader)?);
                (self.rtt, self.target) = (Some(rtt).filter(|r| r.0.0 >= 1000), Some(twentieth(rtt)));
                Ok(true)
            }
            "overhead" => {
                read_named(self, "overhead", words, reader)?;
                let Signed(overhead) = self.overhead.unwrap_or_default();
                if !OVERHEAD.contains(&overhead) {
                    return Err(overhead_beyond(overhead));
                }
                Ok(true)
            }
            "mpu" | "memlimit" | "fwmark" | "nat" | "nonat" | "wash" | "nowash" | "split-gso" | "no-split-gso"
            | "ingress" | "egress" => read_row(self, words, reader),
            _ => {
                let known = self.bare(word)?;
                if known {
                    words.next();
                }
                Ok(known)
            }
        }
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        self.check_widths(out);
        let Cake { bandwidth, diffserv, atm, overhead, raw, mpu, fwmark, memlimit, .. } = self;
        super::check_memory("memlimit", memlimit.map(|b| b.0).filter(|n| *n != 0), facts, out);
        if let Some(Signed(n)) = overhead.filter(|o| !OVERHEAD.contains(&o.0)) {
            let refusal = overhead_beyond(n);
            out.push(Finding { help: refusal.help, ..Finding::new(refusal.code, "overhead", refusal.message) });
        }
        if *raw == Some(Flag(true)) && overhead.is_some_and(|o| o.0 != 0) {
            let f = Finding::new(
                &codes::NO_EFFECT,
                "raw",
                "`overhead` is counted from a length that `raw` leaves as it is",
            );
            out.push(f.and("overhead", "").help("leave `raw` out"));
        }
        let slow = bandwidth.is_some_and(|b| b.0.0 != 0 && b.0.bytes() < SLOWEST);
        if let Some(Bandwidth(rate)) = bandwidth.filter(|_| slow) {
            let message = format!("cake shapes to no less than 512bit, and {} is asked", rate.show());
            out.push(Finding::new(&codes::CUT_SHORT, "bandwidth", message).help("write `bandwidth: 512bit` or more"));
        }
        if bandwidth.is_none_or(|b| b.0.bytes() == 0) && self.autorate_ingress != Some(Flag(true)) {
            let framed = atm.is_some_and(|a| a.0 != 0).then_some("atm");
            let counted = overhead.is_some_and(|o| o.0 != 0).then_some("overhead");
            let least = mpu.is_some().then_some("mpu");
            for word in [framed, counted, least].into_iter().flatten() {
                let f = Finding::new(&codes::NO_EFFECT, word, format!("`{word}` does nothing without a `bandwidth`"));
                out.push(f.help("give the speed of the link: `bandwidth: 20mbit`"));
            }
        }
        if fwmark.is_some() && diffserv.is_some_and(|d| d == Diffserv(3)) {
            let f = Finding::new(&codes::NO_EFFECT, "fwmark", "`fwmark` does nothing with one tin");
            out.push(f.and("diffserv", "").help("leave it out, or write `diffserv: diffserv4`"));
        }
    }
}

/// The target that tc computes for a round trip: no less than a microsecond.
fn twentieth(rtt: Rtt) -> Time {
    Time((rtt.0.0 / 1000 / 20).max(1) * 1000)
}

fn overhead_beyond(overhead: i32) -> Refusal {
    Refusal::coded(&codes::OUT_OF_RANGE, format!("overhead {overhead} is out of range: -64 to 256"))
        .help("write the bytes of one packet's headers on the link")
}

const TINS: u16 = 10;

/// The figures of the discipline, or of one of its flows (`cake_dump_class_stats`), by the names that tc has for them.
const FIGURES: &[(u16, &str)] = &[
    (2, "capacity_estimate"),
    (3, "memory_limit"),
    (4, "memory_used"),
    (5, "avg_hdr_offset"),
    (6, "min_network_size"),
    (7, "max_network_size"),
    (8, "min_adj_size"),
    (9, "max_adj_size"),
    (11, "deficit"),
    (12, "count"),
    (13, "dropping"),
    (14, "drop_next_us"),
    (15, "blue_prob"),
    (16, "blue_timer_us"),
    (17, "active_queues"),
];

/// Of these only times that are to come: those that are past, and debts, are 0.
const SIGNED: &[u16] = &[11, 14, 16];

/// The numbers of a tin's figures, and their names for each of the eight tins.
macro_rules! tins {
    ($($number:literal $name:literal)*) => {
        const TIN_FIGURES: &[(u16, [&str; 8])] = &[$(
            ($number, [
                concat!("tin0_", $name), concat!("tin1_", $name), concat!("tin2_", $name), concat!("tin3_", $name),
                concat!("tin4_", $name), concat!("tin5_", $name), concat!("tin6_", $name), concat!("tin7_", $name),
            ]),
        )*];
    };
}

tins! {
    12 "threshold_rate"
    3 "sent_bytes"
    2 "sent_packets"
    11 "backlog_bytes"
    10 "backlog_packets"
    13 "target_us"
    14 "interval_us"
    18 "peak_delay_us"
    19 "avg_delay_us"
    20 "base_delay_us"
    15 "way_indirect_hits"
    16 "way_misses"
    17 "way_collisions"
    4 "drops"
    5 "dropped_bytes"
    8 "ecn_mark"
    9 "ecn_marked_bytes"
    6 "ack_drops"
    7 "ack_dropped_bytes"
    21 "sparse_flows"
    22 "bulk_flows"
    23 "unresponsive_flows"
    24 "max_pkt_len"
    25 "flow_quantum"
}

/// An attribute of four or eight octets.
fn figure(payload: Payload) -> Option<u64> {
    let mut c = payload.fields();
    if payload.0.len() >= 8 { c.u64().ok() } else { c.u32().ok().map(u64::from) }
}

fn xstats(payload: Payload, _: &Facts) -> Vec<(&'static str, u64)> {
    let Ok(all) = payload.attributes() else { return Vec::new() };
    let own = FIGURES.iter().filter_map(|(number, name)| {
        let n = figure(all.get(*number)?)?;
        let n = if SIGNED.contains(number) { u64::try_from(n as u32 as i32).unwrap_or(0) } else { n };
        Some((*name, n))
    });
    let mut own: Vec<_> = own.collect();
    let tins = all.nested(TINS).ok().flatten().unwrap_or_default();
    for (number, tin) in &tins.list {
        let Ok(tin) = tin.attributes() else { continue };
        let of_tin = TIN_FIGURES.iter().filter_map(|(figures, names)| {
            Some((*names.get(usize::from(*number).checked_sub(1)?)?, figure(tin.get(*figures)?)?))
        });
        own.extend(of_tin);
    }
    own
}
