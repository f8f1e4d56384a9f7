//! `police`: net/sched/act_police.c, tc-police(8). A rate that is enforced without a queue.

use super::control::{Control, INDEX, Index, figures_at};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::qdisc::htb::{check_bucket, check_rate, check_ticks, read_ratespec, refuse_wide};
use crate::kind::walk::Walk;
use crate::kind::wire::{Attributes, Fields, Malformed, Payload};
use crate::kind::{
    Children, Finding, Kind, Options, Role, Row, Rows, attribute, fits, no_option, read_row, read_row_of, row_words,
};
use crate::rows;
use crate::unit::{Bytes, Decimal, Length, LinkLayer, Number, Rate, Reader, Refusal, Unit, Words, begins};

rows! {
    /// A policer.
    pub struct Police {
        /// what may pass
        rate: Rate = Row::new("rate").percent();
        /// size of the bucket: bytes that may pass in one go before `rate` holds
        burst: Bytes = Row::new("burst").aliases(&["buffer", "maxburst"]);
        /// the largest packet; every larger one exceeds, and so does what offload has put together. With `peakrate`,
        /// the size of its bucket
        mtu: Bytes = Row::new("mtu").aliases(&["minburst"]).computed("2040 bytes with a rate; a policy writes 64kb");
        /// the speed at which the bucket may be emptied
        peakrate: Rate = Row::new("peakrate").short().percent();
        /// the least size a packet is charged
        mpu: Bytes = Row::new("mpu").default("0b");
        /// bytes that are charged on top of each packet
        overhead: Length = Row::new("overhead").decimal().short().default("0");
        /// how the link counts bytes
        linklayer: LinkLayer = Row::new("linklayer").short().default("ethernet");
        /// what may pass by the kernel's average, instead of by a bucket; wants tc's `estimator`
        avrate: Rate = Row::new("avrate");
        /// packets a second that may pass, instead of bytes
        pkts_rate: Decimal = Row::new("pkts_rate").decimal().short();
        /// packets that may pass in one go
        pkts_burst: Decimal = Row::new("pkts_burst").decimal().short();
        /// what becomes of packets above the rate, `drop` in a policy that does not say; tc writes it before the slash of `conform-exceed`
        exceed: Control = Row::new("exceed").default("reclassify");
        /// what becomes of packets within it; after the slash
        conform: Control = Row::new("conform").default("pass");
        /// the number under which several filters share the policer, and its bucket
        index: Index = INDEX;
        /// bytes that a slot of the rate's table stands for: `burst 10kb/8`. The kernel reads nothing else from the table
        /// than its default for `mtu`
        cell: Number = Row::new("cell").hidden().tool();
        /// the same of the peakrate's table: `mtu 2kb/8`
        peak_cell: Number = Row::new("peak_cell").hidden().tool();
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "police",
    role: Role::Action,
    doc: "lets a rate pass and drops, or marks otherwise, what exceeds it. Nothing waits, so a burst of some round trips \
          is wanted for TCP to reach the rate",
    options: || Box::new(Police::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_ACT_POLICE",
    module: "act_police",
    attributes: &[
        attribute(
            "TCA_POLICE_TBF",
            TBF,
            &["rate", "burst", "mtu", "peakrate", "mpu", "overhead", "linklayer", "exceed", "index"],
        ),
        attribute("TCA_POLICE_RATE", RATE, &["rate", "cell"]),
        attribute("TCA_POLICE_PEAKRATE", PEAKRATE, &["peakrate", "peak_cell"]),
        attribute("TCA_POLICE_AVRATE", AVRATE, &["avrate"]),
        attribute("TCA_POLICE_RESULT", RESULT, &["conform"]),
        no_option("TCA_POLICE_TM", TM, "times, which are figures"),
        no_option("TCA_POLICE_PAD", 7, "padding only"),
        attribute("TCA_POLICE_RATE64", RATE64, &["rate"]),
        attribute("TCA_POLICE_PEAKRATE64", PEAKRATE64, &["peakrate"]),
        attribute("TCA_POLICE_PKTRATE64", PKTRATE64, &["pkts_rate"]),
        attribute("TCA_POLICE_PKTBURST64", PKTBURST64, &["pkts_burst"]),
    ],
    // in struct tc_police bindcnt stands behind refcnt, behind 20 octets and two ratespecs of 12
    xstats: |payload, _| figures_at(TBF, 44, TM, payload),
};

/// The `mtu` that a policy's policer has if it does not say one: offload hands a policer packets of up to 64 KiB, and with
/// tc's default of 2 kB each of them would exceed.
pub const OFFLOAD_MTU: Bytes = Bytes(64 << 10);

/// The largest packet that tc's rate table stands for if none is said (`tc_calc_rtable`).
const TABLE_MTU: u32 = 2047;

const TBF: u16 = 1;
const RATE: u16 = 2;
const PEAKRATE: u16 = 3;
const AVRATE: u16 = 4;
const RESULT: u16 = 5;
const TM: u16 = 6;
const RATE64: u16 = 8;
const PEAKRATE64: u16 = 9;
const PKTRATE64: u16 = 10;
const PKTBURST64: u16 = 11;

fn narrow(size: u64) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// The logarithm of a table slot's bytes, so that 256 slots reach to `mtu`.
fn cell_log(mtu: u32, cell: Option<Number>) -> u32 {
    if let Some(cell) = cell.filter(|c| c.0.is_power_of_two()) {
        return cell.0.trailing_zeros();
    }
    let mtu = if mtu == 0 { TABLE_MTU } else { mtu };
    (u32::BITS - mtu.leading_zeros()).saturating_sub(8)
}

impl Police {
    /// The mtu as it travels: 0 if it is not said.
    fn wire_mtu(&self) -> u32 {
        narrow(self.mtu.unwrap_or_default().0)
    }

    /// `struct tc_ratespec` and the table that goes with it.
    fn table(&self, rate: Rate, cell: Option<Number>, facts: &Facts) -> (Vec<u8>, Vec<u8>) {
        let (mpu, overhead) = (narrow(self.mpu.unwrap_or_default().0), self.overhead.unwrap_or_default().0);
        let linklayer = self.linklayer.unwrap_or_default();
        let log = cell_log(self.wire_mtu(), cell);
        let spec = Fields::new()
            .u8(log as u8)
            .u8(linklayer.number().unwrap_or(1) as u8)
            .u16(u16::try_from(overhead).unwrap_or(u16::MAX))
            .u16(u16::MAX) // cell_align is -1
            .u16(u16::try_from(mpu).unwrap_or(u16::MAX))
            .u32(narrow(rate.bytes()));
        // the time that packets of each size take, in ticks: only that it is there matters since Linux 3.8
        let slot = |i: u32| {
            let size = u64::from(i.saturating_add(1)).checked_shl(log).unwrap_or(u64::MAX).max(u64::from(mpu));
            let size = if linklayer == LinkLayer::Atm { size.div_ceil(48).saturating_mul(53) } else { size };
            facts.ticks(rate, size).to_ne_bytes()
        };
        (spec.0, (0..256).flat_map(slot).collect())
    }
}

impl Police {
    /// The option of that name of tc's, if it is a size with slots, and their size.
    fn sized(&mut self, word: &str) -> Option<(&mut Option<Bytes>, &mut Option<Number>)> {
        match word {
            "buffer" | "maxburst" => Some((&mut self.burst, &mut self.cell)),
            "mtu" | "minburst" => Some((&mut self.mtu, &mut self.peak_cell)),
            word if begins(word, "burst") => Some((&mut self.burst, &mut self.cell)),
            _ => None,
        }
    }

    /// Whether tc's word is one for the row.
    fn is(&self, row: &str, word: &str) -> bool {
        let found = Police::ROWS.iter().find(|r| r.is(word) || r.begins(word));
        found.is_some_and(|r| r.word == row) || row == "burst" && begins(word, "burst")
    }

    /// Reads `conform-exceed EXCEED/CONFORM`, or a verdict alone, on what exceeds; tc does not take `jump` and `trap` so.
    fn read_verdicts(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !words.take("conform-exceed") {
            let alone = words.peek().filter(|word| Control::starts(word, reader));
            let Some(word) = alone.filter(|word| !begins(word, "jump") && !begins(word, "trap")) else {
                return Ok(false);
            };
            words.next();
            self.exceed = Some(Control::read_more(word, words, reader)?);
            return Ok(true);
        }
        let verdicts = words.want("a verdict")?;
        if let Some((exceed, conform)) = verdicts.split_once('/') {
            for (half, verdict) in [(exceed, &mut self.exceed), (conform, &mut self.conform)] {
                *verdict = Some(Control::read_or_number(half, &mut Words::new(&[]), reader)?);
            }
            return Ok(true);
        }
        self.exceed = Some(Control::read_or_number(verdicts, words, reader)?);
        if words.take("/") {
            let conform = words.want("a verdict")?;
            self.conform = Some(Control::read_or_number(conform, words, reader)?);
        }
        Ok(true)
    }

    /// What tc refuses.
    fn faults(&self, out: &mut Vec<Finding>) {
        let Police { rate, burst, mtu, peakrate, avrate, pkts_rate, pkts_burst, index, .. } = self;
        // tc takes nothing for none
        let (burst, mtu) = (burst.filter(|b| b.0 != 0), mtu.filter(|m| m.0 != 0));
        match (rate, pkts_rate) {
            (None, None) if avrate.is_none() && index.is_none() && mtu.is_none() => {
                out.push(
                    Finding::new(&codes::MISSING_OPTION, "rate", "a policer wants a `rate`")
                        .help("write `rate: 20mbit` and `burst: 625000b`, or `pkts_rate: 1000` and `pkts_burst: 100`"),
                );
            }
            (Some(_), Some(_)) => out.push(
                Finding::new(&codes::POLICE_RATES, "pkts_rate", "a policer counts bytes or packets, not both")
                    .and("rate", "bytes")
                    .help("write two policers in a list"),
            ),
            (Some(rate), None) if burst.is_none() => {
                let enough = (rate.bytes() / 10).max(1514);
                let message = "a policer with a `rate` wants a `burst`";
                let f = Finding::new(&codes::MISSING_OPTION, "burst", message).and("rate", "");
                out.push(f.help(format!("write `burst: {enough}b`, a tenth of a second of the rate")));
            }
            (None, Some(_)) if pkts_burst.is_none_or(|n| n.0 == 0) => {
                let message = "a policer with a `pkts_rate` wants a `pkts_burst`";
                out.push(
                    Finding::new(&codes::MISSING_OPTION, "pkts_burst", message)
                        .and("pkts_rate", "")
                        .help("write `pkts_burst: 100`"),
                );
            }
            _ => {}
        }
        if let (Some(_), Some(_)) = (rate, avrate) {
            let f = Finding::new(&codes::POLICE_RATES, "avrate", "a policer has a `rate` or an `avrate`, not both");
            out.push(f.and("rate", "by a bucket").help("leave `avrate` out"));
        }
        // qdisc_get_rtab wants slots of more than one byte
        let log = |cell: Option<Number>| cell_log(self.wire_mtu(), cell);
        if rate.is_some() && log(self.cell) == 0 || peakrate.is_some() && log(self.peak_cell) == 0 {
            let f = Finding::new(&codes::OUT_OF_RANGE, "mtu", "no table of a policer is as fine as its `mtu` is small");
            out.push(f.help("write `mtu: 1514b`, or no less than `mtu: 256b`"));
        }
        if let Some(peak) = peakrate {
            match rate {
                None => out.push(
                    Finding::new(&codes::MISSING_OPTION, "peakrate", "a `peakrate` wants a `rate`")
                        .help(format!("write `rate: {}`", peak.show())),
                ),
                Some(_) if mtu.is_none() => out.push(
                    Finding::new(&codes::PEAKRATE_WITHOUT_MTU, "peakrate", "a `peakrate` wants an `mtu`")
                        .help("write `mtu: 1514b`"),
                ),
                Some(_) => {}
            }
        }
    }
}

impl Options for Police {
    /// Whether a packet is above the rate depends on those before it.
    fn act(&self, walk: &mut dyn Walk) -> Control {
        let said = ["rate", "burst", "peakrate", "avrate", "pkts_rate", "index"];
        let rows = Police::ROWS.iter().enumerate().filter(|(_, row)| said.contains(&row.word));
        let mut words = vec!["police".to_owned()];
        rows.filter_map(|(i, row)| Some((row, self.slot(i)?))).for_each(|(row, slot)| row_words(row, slot, &mut words));
        // one that has no rate here stands elsewhere, and is named by its number
        let limits = [self.rate.is_some(), self.avrate.is_some(), self.pkts_rate.is_some(), self.index.is_some()];
        let above = limits.contains(&true) && walk.settle(&format!("it is above the rate of `{}`", words.join(" ")));
        let (exceed, conform) = (self.exceed.unwrap_or(Control::RECLASSIFY), self.conform.unwrap_or(Control::PASS));
        if above { exceed } else { conform }
    }

    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let Police {
            rate,
            burst,
            mtu: _,
            peakrate,
            mpu: _,
            overhead: _,
            linklayer: _,
            avrate,
            pkts_rate,
            pkts_burst,
            exceed,
            conform,
            index,
            cell,
            peak_cell,
        } = self;
        let none = || (vec![0; 12], Vec::new());
        let (spec, table) = rate.map_or_else(none, |rate| self.table(rate, *cell, facts));
        let (peak_spec, peak_table) = peakrate.map_or_else(none, |peak| self.table(peak, *peak_cell, facts));
        let burst = rate.map_or(0, |rate| facts.ticks(rate, burst.unwrap_or_default().0));
        // struct tc_police: index, action, limit, burst, mtu, rate, peakrate, refcnt, bindcnt, capab
        let parms = Fields::new()
            .u32(index.map_or(0, |n| n.0))
            .u32(exceed.unwrap_or(Control::RECLASSIFY).bits())
            .u32(0)
            .u32(burst)
            .u32(self.wire_mtu())
            .raw(&spec)
            .raw(&peak_spec)
            .raw(&[0; 12]);
        out.raw(TBF, &parms.0);
        for (rate, table, number, wide) in [(rate, table, RATE, RATE64), (peakrate, peak_table, PEAKRATE, PEAKRATE64)] {
            if let Some(rate) = rate {
                out.raw(number, &table);
                if u32::try_from(rate.bytes()).is_err() {
                    out.u64(wide, rate.bytes());
                }
            }
        }
        if let Some(rate) = avrate {
            out.u32(AVRATE, narrow(rate.bytes()));
        }
        if let Some(conform) = conform.filter(|c| *c != Control::PASS) {
            out.u32(RESULT, conform.bits());
        }
        if let Some(Decimal(rate)) = pkts_rate {
            out.u64(PKTRATE64, *rate);
            let ticks = facts.ticks(Rate::from_bytes(*rate), pkts_burst.unwrap_or_default().0);
            out.u64(PKTBURST64, u64::from(ticks));
        }
    }

    fn decode(&mut self, payload: Payload, facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        let Some(parms) = attributes.get(TBF) else { return Ok(()) };
        let mut c = parms.fields();
        let (index, exceed, _limit, burst, mtu) = (c.u32()?, c.u32()?, c.u32()?, c.u32()?, c.u32()?);
        let (rate, mpu, overhead, linklayer) = read_ratespec(&mut c)?;
        let (peak, ..) = read_ratespec(&mut c)?;
        let rate = Rate::from_bytes(attributes.u64(RATE64)?.unwrap_or(u64::from(rate)));
        let peak = Rate::from_bytes(attributes.u64(PEAKRATE64)?.unwrap_or(u64::from(peak)));
        let [rate, peak] = [rate, peak].map(|r| Some(r).filter(|r| r.0 != 0));
        let packets = attributes.u64(PKTRATE64)?;
        let in_packets = |ticks: u64| {
            let rate = Rate::from_bytes(packets.unwrap_or(0));
            Decimal(facts.bytes_in(rate, u32::try_from(ticks).unwrap_or(u32::MAX)))
        };
        *self = Police {
            rate,
            burst: rate.map(|rate| Bytes(facts.bytes_in(rate, burst))),
            mtu: (mtu != 0).then_some(Bytes(u64::from(mtu))),
            peakrate: peak,
            mpu: rate.map(|_| Bytes(u64::from(mpu))),
            overhead: rate.map(|_| Length(overhead)),
            linklayer: rate.map(|_| linklayer),
            avrate: attributes.u32(AVRATE)?.map(|bytes| Rate::from_bytes(u64::from(bytes))),
            pkts_rate: packets.map(Decimal),
            pkts_burst: attributes.u64(PKTBURST64)?.map(in_packets),
            exceed: Some(Control::from_bits(exceed)),
            conform: Some(attributes.u32(RESULT)?.map_or(Control::PASS, Control::from_bits)),
            index: Index::from_number(u64::from(index)),
            cell: None,
            peak_cell: None,
        };
        Ok(())
    }

    /// As `tcf_police_init`: without an mtu, what the rate's table reaches to, or no bound at all.
    fn assume(&mut self, _facts: &Facts) {
        self.assume_constants();
        let reach = match self.rate {
            Some(_) => 255_u64.checked_shl(cell_log(0, self.cell)).unwrap_or(u64::MAX),
            None => u64::from(u32::MAX),
        };
        self.mtu = Some(self.mtu.filter(|m| m.0 != 0).unwrap_or(Bytes(reach)));
    }

    fn complete(&mut self, _facts: &Facts) {
        self.exceed.get_or_insert(Control::RECLASSIFY);
    }

    /// Sizes are compared as the ticks they travel in.
    fn same(&self, other: &dyn Options, row: usize, facts: &Facts) -> bool {
        let Some(held) = other.as_kind::<Police>() else { return false };
        match Police::ROWS.get(row).map(|r| r.word) {
            Some("burst") => match (held.rate, self.burst, held.burst) {
                (Some(rate), Some(a), Some(b)) => facts.same_size(rate, a.0, b.0),
                _ => self.burst == held.burst,
            },
            Some("pkts_burst") => match (held.pkts_rate, self.pkts_burst, held.pkts_burst) {
                (Some(Decimal(rate)), Some(a), Some(b)) => facts.same_size(Rate::from_bytes(rate), a.0, b.0),
                _ => self.pkts_burst == held.pkts_burst,
            },
            Some("mpu" | "overhead" | "linklayer") if held.rate.is_none() => true,
            Some("cell" | "peak_cell") => true,
            _ => matches!((self.slot(row), other.slot(row)), (Some(a), Some(b)) if a.same(b)),
        }
    }

    fn tc(&self, out: &mut Vec<String>) {
        for (i, row) in Police::ROWS.iter().enumerate() {
            let Some(slot) = self.slot(i) else { continue };
            match row.word {
                "exceed" => {
                    let verdicts = (self.exceed.is_some() || self.conform.is_some())
                        .then(|| (self.exceed.unwrap_or(Control::RECLASSIFY).tc(), self.conform.map(|c| c.tc())));
                    let Some((exceed, conform)) = verdicts else { continue };
                    out.push("conform-exceed".to_owned());
                    match conform {
                        // tc takes the slash apart from verdicts of several words only
                        Some(conform) if exceed.contains(' ') || conform.contains(' ') => {
                            out.extend(format!("{exceed} / {conform}").split(' ').map(str::to_owned));
                        }
                        Some(conform) => out.push(format!("{exceed}/{conform}")),
                        None => out.extend(exceed.split(' ').map(str::to_owned)),
                    }
                }
                "conform" | "cell" | "peak_cell" => {}
                word => {
                    row_words(row, slot, out);
                    let cell = match word {
                        "burst" if slot.is_set() => self.cell,
                        "mtu" if slot.is_set() => self.peak_cell,
                        _ => None,
                    };
                    if let (Some(cell), Some(last)) = (cell, out.last_mut()) {
                        last.push_str(&format!("/{}", cell.0));
                    }
                }
            }
        }
    }

    /// As `act_parse_police` in iproute2's tc/m_police.c: options and verdicts in any order, most of them once.
    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !reader.tc {
            return Ok(self.read_verdicts(words, reader)? || read_row(self, words, reader)?);
        }
        if *self != Police::default() {
            return Ok(false);
        }
        while let Some(word) = words.peek() {
            let once = [
                ("burst", self.burst.is_some()),
                ("mtu", self.mtu.is_some()),
                ("mpu", self.mpu.is_some()),
                ("rate", self.rate.is_some()),
                ("avrate", self.avrate.is_some()),
                ("peakrate", self.peakrate.is_some()),
                ("pkts_rate", self.pkts_rate.is_some()),
                ("pkts_burst", self.pkts_burst.is_some()),
            ];
            let before = words.clone();
            if words.take_short("index") {
                let text = words.want("the number of a policer")?;
                self.index = if text == "0" { None } else { Some(Index::read(text, reader)?) };
            } else if let Some((size, cell)) = self.sized(word) {
                words.next();
                let text = words.want("a size")?;
                let (bytes, slot) = text.split_once('/').map_or((text, None), |(bytes, slot)| (bytes, Some(slot)));
                // a bucket's size alone has 64 bits
                let wide = !matches!(word, "mtu" | "minburst");
                let read = Bytes::read(bytes, &mut Reader { cell: wide, ..Reader::tc() })?;
                *cell = slot.map(|slot| Number::read(slot, reader)).transpose()?.or(*cell);
                if let Some(cell) = cell.filter(|c| !c.0.is_power_of_two()) {
                    return Err(Refusal::new(format!("a slot of {} bytes is no power of two", cell.0)));
                }
                *size = Some(read).filter(|bytes| bytes.0 != 0);
            } else {
                let peak = begins(word, "peakrate") && read_row_of(self, words, reader, |row| row.word == "peakrate")?;
                let plain = |row: &Row| !matches!(row.word, "index" | "exceed" | "conform");
                if !peak && !self.read_verdicts(words, reader)? && !read_row_of(self, words, reader, plain)? {
                    break;
                }
            }
            let twice = once.iter().find(|(name, set)| *set && self.is(name, before.peek().unwrap_or_default()));
            if let Some((name, _)) = twice {
                return Err(Refusal::new(format!("`{name}` stands here twice")).help("leave one of them out"));
            }
        }
        // tc takes a rate of nothing for none
        self.rate = self.rate.filter(|r| r.bytes() != 0);
        self.avrate = self.avrate.filter(|r| r.bytes() != 0);
        self.peakrate = self.peakrate.filter(|r| r.bytes() != 0);
        self.pkts_rate = self.pkts_rate.filter(|n| n.0 != 0);
        super::first_fault(|out| self.faults(out))?;
        refuse_wide(self.burst, self.rate)?;
        Ok(true)
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        let Police { rate, burst, mtu, peakrate, mpu, overhead, avrate, pkts_rate, pkts_burst, .. } = self;
        for (word, rate) in [("rate", rate), ("peakrate", peakrate), ("avrate", avrate)] {
            if let Some(rate) = rate {
                check_rate(word, *rate, facts, out);
            }
        }
        self.faults(out);
        if let (Some(rate), None) = (rate, pkts_rate) {
            match burst {
                None => {}
                Some(burst) => {
                    check_bucket("burst", *burst, *rate, facts, out);
                    // what offload has put together is one packet to a policer
                    let frame = facts.frame();
                    if let Some(gso) = facts.gso.filter(|gso| (u64::from(frame)..u64::from(*gso)).contains(&burst.0)) {
                        let message = format!("burst {} holds no packet of {gso} bytes from offload", burst.show());
                        let f = Finding::new(&codes::BURST_BELOW_PACKET, "burst", message);
                        out.push(f.help(format!("write `burst: {gso}b` or more")));
                    }
                }
            }
        }
        for (burst, rate, set) in [
            ("burst", "rate", burst.is_some() && rate.is_none()),
            ("pkts_burst", "pkts_rate", pkts_burst.is_some() && pkts_rate.is_none()),
        ] {
            if set {
                let message = format!("a `{burst}` without a `{rate}` has no effect");
                out.push(Finding::new(&codes::MISSING_OPTION, burst, message).help(format!("write a `{rate}` too")));
            }
        }
        if let (Some(Decimal(rate)), Some(Decimal(burst))) = (pkts_rate, pkts_burst) {
            check_ticks("pkts_burst", Bytes(*burst), Rate::from_bytes(*rate), facts, out);
            if *rate == 0 {
                out.push(Finding::new(&codes::OUT_OF_RANGE, "pkts_rate", "a rate of no packets"));
            }
        }
        if let (Some(peak), Some(rate)) = (peakrate, rate)
            && peak <= rate
        {
            let message = format!("peakrate {} is not above rate {}", peak.show(), rate.show());
            out.push(Finding::new(&codes::PEAKRATE_NOT_ABOVE, "peakrate", message).and("rate", ""));
        }
        if let Some(conform) = self.conform.filter(|c| c.is_goto()) {
            let message = format!("`{}` is no verdict on what conforms: the kernel refuses it", conform.show());
            out.push(Finding::new(&codes::BAD_VALUE, "conform", message).help("write `pass` or `pipe`"));
        }
        let packet = u64::from(facts.frame().max(facts.gso.unwrap_or(0)));
        if let Some(mtu) = mtu.filter(|m| m.0 != 0 && m.0 < packet && peakrate.is_none()) {
            let message = format!("every packet above mtu {} exceeds, and here they have up to {packet}", mtu.show());
            out.push(
                Finding::new(&codes::POLICE_MTU, "mtu", message).help(format!("write `mtu: {}`", OFFLOAD_MTU.show())),
            );
        }
        fits("mpu", mpu.map(|n| n.0), 0xffff, out);
        fits("overhead", overhead.map(|n| u64::from(n.0)), 0xffff, out);
        fits("mtu", mtu.map(|n| n.0), u64::from(u32::MAX), out);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn police(text: &str) -> Police {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let mut police = Police::default();
        crate::kind::read_tc(&mut police, &mut Words::new(&words), &mut Reader::tc()).unwrap();
        police
    }

    fn codes(text: &str, facts: &Facts) -> Vec<&'static str> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let (mut found, mut police) = (Vec::new(), Police::default());
        crate::kind::read_tc(&mut police, &mut Words::new(&words), &mut Reader::default()).unwrap();
        police.check(facts, &mut found);
        found.into_iter().map(|f| f.code.name).collect()
    }

    #[test]
    fn the_table_reaches_to_the_mtu() {
        let facts = Facts::default();
        for (text, log, first) in [
            ("rate 1mbit burst 10kb", 3, 1000),
            ("rate 1mbit burst 10kb mtu 64kb", 9, 64_000),
            ("rate 1mbit burst 10kb mtu 2000", 3, 1000),
            ("rate 1mbit burst 10kb/16", 4, 2000),
            ("rate 1mbit burst 10kb linklayer atm", 3, 53 * 125),
        ] {
            let police = police(text);
            let (spec, table) = police.table(police.rate.unwrap(), police.cell, &facts);
            assert_eq!(spec.first(), Some(&log), "{text}");
            assert_eq!(table.len(), 1024);
            assert_eq!(table.get(..4).unwrap(), u32::to_ne_bytes(first), "{text}");
        }
    }

    #[test]
    fn an_unset_mtu_is_the_kernels() {
        let assumed = |text: &str| {
            let mut police = police(text);
            police.assume(&Facts::default());
            police.mtu.unwrap().0
        };
        assert_eq!(assumed("rate 1mbit burst 10kb"), 2040);
        assert_eq!(assumed("rate 1mbit burst 10kb/16"), 4080);
        assert_eq!(assumed("rate 1mbit burst 10kb mtu 64kb"), 65_536);
        assert_eq!(assumed("pkts_rate 1000 pkts_burst 10"), u64::from(u32::MAX));
    }

    #[test]
    fn what_the_kernel_refuses_or_drops_is_found() {
        let plain = Facts::default();
        let offload = Facts { gso: Some(65_536), ..Facts::default() };
        assert_eq!(codes("rate 20mbit burst 625000b mtu 64kb", &offload), [""; 0]);
        assert_eq!(codes("rate 20mbit burst 2000b", &plain), ["burst-short"]);
        assert_eq!(codes("rate 20mbit burst 1000b", &plain), ["burst-below-packet"]);
        assert_eq!(codes("rate 20mbit burst 20kb mtu 64kb", &offload), ["burst-below-packet"]);
        assert_eq!(codes("rate 20mbit burst 625000b mtu 2kb", &offload), ["police-mtu"]);
        assert_eq!(codes("rate 20mbit burst 625000b mtu 1500b", &plain), ["police-mtu"]);
        assert_eq!(codes("rate 20mbit", &plain), ["missing-option"]);
        assert_eq!(codes("exceed drop", &plain), ["missing-option"]);
        assert_eq!(codes("index 7", &plain), [""; 0]);
        assert_eq!(codes("pkts_rate 100 pkts_burst 10", &plain), [""; 0]);
        assert_eq!(codes("pkts_rate 100 pkts_burst 10 rate 1mbit burst 10kb", &plain), ["police-rates"]);
        assert_eq!(codes("rate 1mbit burst 10kb peakrate 2mbit", &plain), ["peakrate-without-mtu"]);
        assert_eq!(codes("rate 1mbit burst 10kb peakrate 1mbit mtu 2kb", &plain), ["peakrate-not-above-rate"]);
    }
}
