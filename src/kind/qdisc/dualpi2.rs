//! `dualpi2`: net/sched/sch_dualpi2.c (since 6.17), tc-dualpi2(8), RFC 9332.

use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Malformed, Parsed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Place, Role, Row, Rows, Wire, attribute, encode_row, no_option};
use crate::rows;
use crate::unit::{Flag, Info, Length, Number, Packets, Reader, Refusal, Schema, Time, Unit, strtoul};

rows! {
    /// Two coupled queues: one for scalable congestion control, one for classic.
    pub struct Dualpi2 {
        /// packets that may wait in both queues
        limit: Packets = Row::new("limit").wire(Wire::U32(1)).nonzero().default("10000").cuts();
        /// bytes of memory that waiting packets may take
        memlimit: Length = Row::new("memlimit").wire(Wire::U32(2)).nonzero().computed("two packets of the MTU for each of limit").cuts();
        /// how often the probability is computed anew
        tupdate: Time = Row::new("tupdate").wire(Wire::Micros(4)).nonzero().default("16ms");
        /// the delay that is aimed at in the classic queue
        target: Time = Row::new("target").wire(Wire::Micros(3)).nonzero().default("15ms");
        /// how fast the probability follows the delay, in Hz
        alpha: Gain = Row::new("alpha").wire(Wire::U32(5)).range(1, GAIN).default("0.16015625");
        /// how fast it follows a change of the delay, in Hz
        beta: Gain = Row::new("beta").wire(Wire::U32(6)).range(1, GAIN).default("3.19921875");
        /// take both ECN codes for scalable; without it ECT(1) alone, as RFC 9331 says
        any_ect: Flag = Row::new("any_ect").off("l4s_ect").default("no");
        /// drop when there is too much; without it packets are lost where the queue overflows
        drop_on_overload: Flag = Row::new("drop_on_overload").wire(Wire::U8(11)).off("overflow").default("yes");
        /// how many times more often classic packets are dropped than scalable ones marked, before it is squared
        coupling_factor: Number = Row::new("coupling_factor").wire(Wire::U8(10)).range(1, 255).default("2");
        /// take large segments of offload apart
        split_gso: Flag = Row::new("split_gso").wire(Wire::U8(15)).off("no_split_gso").default("yes");
        /// mark scalable packets from this delay on, or from so many waiting packets on
        step_thresh: Step = Row::new("step_thresh").default("1ms");
        /// but only while so many packets wait in their queue
        min_qlen_step: Packets = Row::new("min_qlen_step").wire(Wire::U32(9)).default("0");
        /// drop packets as they come; without it as they go
        drop_enqueue: Flag = Row::new("drop_enqueue").wire(Wire::U8(12)).off("drop_dequeue").default("no");
        /// the classic queue's share while the other one is busy
        classic_protection: Share = Row::new("classic_protection").wire(Wire::U8(13)).range(0, 100).default("10%");
        /// the longest round trip, from which target, tupdate, alpha and beta follow
        max_rtt: Time = Row::new("max_rtt").nonzero().tool();
        /// the usual round trip, for the same; without it a sixth of the longest
        typical_rtt: Time = Row::new("typical_rtt").nonzero().tool();
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "dualpi2",
    role: Role::Qdisc,
    doc: "two coupled queues, one with little delay for L4S and one for classic congestion control, that share fairly",
    options: || Box::new(Dualpi2::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_SCH_DUALPI2",
    module: "sch_dualpi2",
    attributes: &[
        attribute("TCA_DUALPI2_LIMIT", 1, &["limit"]),
        attribute("TCA_DUALPI2_MEMORY_LIMIT", 2, &["memlimit"]),
        attribute("TCA_DUALPI2_TARGET", 3, &["target"]),
        attribute("TCA_DUALPI2_TUPDATE", 4, &["tupdate"]),
        attribute("TCA_DUALPI2_ALPHA", 5, &["alpha"]),
        attribute("TCA_DUALPI2_BETA", 6, &["beta"]),
        attribute("TCA_DUALPI2_STEP_THRESH_PKTS", STEP_PACKETS, &["step_thresh"]),
        attribute("TCA_DUALPI2_STEP_THRESH_US", STEP_MICROS, &["step_thresh"]),
        attribute("TCA_DUALPI2_MIN_QLEN_STEP", 9, &["min_qlen_step"]),
        attribute("TCA_DUALPI2_COUPLING", 10, &["coupling_factor"]),
        attribute("TCA_DUALPI2_DROP_OVERLOAD", 11, &["drop_on_overload"]),
        attribute("TCA_DUALPI2_DROP_EARLY", 12, &["drop_enqueue"]),
        attribute("TCA_DUALPI2_C_PROTECTION", 13, &["classic_protection"]),
        attribute("TCA_DUALPI2_ECN_MASK", ECN_MASK, &["any_ect"]),
        attribute("TCA_DUALPI2_SPLIT_GSO", 15, &["split_gso"]),
        no_option("TCA_DUALPI2_PAD", 16, "padding, so that what follows stands at a multiple of eight"),
    ],
    xstats,
};

const STEP_PACKETS: u16 = 7;
const STEP_MICROS: u16 = 8;
const ECN_MASK: u16 = 14;
/// `TC_DUALPI2_ECN_MASK_L4S_ECT` and `…_ANY_ECT`.
const L4S: u8 = 1;
const ANY: u8 = 3;
/// What tc takes for a gain, in parts of 256 (`ALPHA_BETA_MAX` of q_dualpi2.c; the kernel's is less).
const GAIN: u64 = i32::MAX as u64;

/// A gain in Hz, kept in parts of 256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gain(pub u32);

impl Unit for Gain {
    const INFO: Info =
        Info { name: "a gain in Hz", spellings: "`0.16`, `3.2`", schema: Schema::Pattern(r"^[0-9]+(\.[0-9]+)?$") };

    fn read(text: &str, _reader: &mut Reader) -> Result<Self, Refusal> {
        let most = ((2u32 << 23) - 1) as f32;
        let plain = text.starts_with(|c: char| c.is_ascii_digit() || c == '.');
        match text.parse::<f32>() {
            Ok(gain) if plain && (0.0..=most).contains(&gain) => Ok(Gain((gain * 256.0) as u32)),
            _ => Err(Refusal::new(format!("`{text}` is not a gain")).help(format!("write {}", Self::INFO.spellings))),
        }
    }

    fn show(&self) -> String {
        (f64::from(self.0) / 256.0).to_string()
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(Gain)
    }

    /// The kernel counts in other parts, and rounds; tc reads a `float`, which has fewer digits than a large gain.
    fn same(&self, other: &Self) -> bool {
        self.0.abs_diff(other.0) <= 1 || self.0 as f32 == other.0 as f32
    }
}

/// From where on packets are marked: a delay, or a number of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Microseconds.
    Delay(u32),
    /// Packets.
    Queue(u32),
}

impl Unit for Step {
    const INFO: Info = Info {
        name: "a time or a number of packets",
        spellings: "`1ms` or `5p`",
        schema: Schema::Pattern(r"^[0-9]+(us|ms|p)$"),
    };

    /// As tc: what is no time may be packets.
    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let refusal = match Time::read(text, reader) {
            Ok(Time(ns)) => match u32::try_from(ns / 1000) {
                Ok(micros) => return Ok(Step::Delay(micros)),
                Err(_) => Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` is too long a time")),
            },
            Err(refusal) => refusal,
        };
        let packets = strtoul(text, 10).filter(|(_, unit)| ["p", "pkt", "pkts", "packet", "packets"].contains(unit));
        match packets.and_then(|(n, _)| u32::try_from(n).ok()) {
            Some(packets) => Ok(Step::Queue(packets)),
            None => Err(refusal.help(format!("write {}", Self::INFO.spellings))),
        }
    }

    fn show(&self) -> String {
        match self {
            Step::Delay(micros) => Time(u64::from(*micros) * 1000).show(),
            Step::Queue(packets) => format!("{packets}p"),
        }
    }
}

/// A share in whole percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share(pub u8);

impl Unit for Share {
    const INFO: Info =
        Info { name: "a share in percent", spellings: "`10%`", schema: Schema::Pattern("^[0-9]{1,2}%$") };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let number = text.strip_suffix('%').or(reader.tc.then_some(text));
        let share = number.and_then(|number| number.parse::<f64>().ok()).filter(|share| (0.0..=100.0).contains(share));
        share.map(|share| Share(share.round_ties_even() as u8)).ok_or_else(|| {
            Refusal::new(format!("`{text}` is not a share in percent")).help(format!("write {}", Self::INFO.spellings))
        })
    }

    fn show(&self) -> String {
        format!("{}%", self.0)
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u8::try_from(number).ok().map(Share)
    }
}

/// What follows from round trips.
struct Tuned {
    target: u32,
    tupdate: u32,
    alpha: f64,
    beta: f64,
}

impl Dualpi2 {
    /// As tc computes it (q_dualpi2.c), in its widths.
    fn tuned(&self) -> Option<Result<Tuned, String>> {
        let micros = |time: Option<Time>| time.map_or(0, |t| u32::try_from(t.0 / 1000).unwrap_or(u32::MAX));
        let (longest, usual) = match (micros(self.max_rtt), micros(self.typical_rtt)) {
            (0, 0) => return None,
            (longest, 0) => (longest, (longest / 6).max(1)),
            (0, usual) => (usual.wrapping_mul(6), usual),
            both => both,
        };
        if usual > longest {
            return Some(Err("the usual round trip is longer than the longest".to_owned()));
        }
        let third = f64::from(longest) / 3.0;
        let tupdate = if f64::from(usual) < third { usual } else { third as u32 }.max(1);
        let alpha = f64::from(tupdate) / f64::from(longest) / f64::from(longest) * 1e6 * f64::from(0.1f32);
        let beta = f64::from(0.3f32) / f64::from(longest) * 1e6;
        if alpha < 1.0 / 256.0 || beta < 1.0 / 256.0 {
            return Some(Err(format!(
                "a round trip of {} is too long to compute with",
                Time(u64::from(longest) * 1000).show()
            )));
        }
        Some(Ok(Tuned { target: usual, tupdate, alpha, beta }))
    }
}

impl Options for Dualpi2 {
    fn nested(&self) -> bool {
        true
    }

    fn takes_filters(&self) -> bool {
        true
    }

    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let mut full = self.clone();
        full.complete(facts);
        for (i, row) in Dualpi2::ROWS.iter().enumerate() {
            match full.slot(i).filter(|slot| slot.is_set()) {
                Some(_) if row.wire == Wire::Own => full.encode_own(row.word, out, facts),
                Some(slot) => encode_row(row, slot, out),
                None => {}
            }
        }
    }

    fn encode_own(&self, word: &str, out: &mut Attributes, _facts: &Facts) {
        match (word, self.step_thresh) {
            ("any_ect", _) => out.u8(ECN_MASK, if self.any_ect == Some(Flag(true)) { ANY } else { L4S }),
            // tc says no 0
            ("step_thresh", Some(Step::Delay(micros))) if micros != 0 => out.u32(STEP_MICROS, micros),
            ("step_thresh", Some(Step::Queue(packets))) if packets != 0 => out.u32(STEP_PACKETS, packets),
            _ => {}
        }
    }

    fn decode_own(&mut self, attributes: &Parsed, _facts: &Facts) -> Result<(), Malformed> {
        self.any_ect = attributes.u8(ECN_MASK)?.map(|mask| Flag(mask != L4S));
        let delay = attributes.u32(STEP_MICROS)?.map(Step::Delay);
        self.step_thresh = delay.or(attributes.u32(STEP_PACKETS)?.map(Step::Queue));
        Ok(())
    }

    fn assume(&mut self, facts: &Facts) {
        self.assume_constants();
        if self.step_thresh == Some(Step::Delay(0)) || self.step_thresh == Some(Step::Queue(0)) {
            self.step_thresh = Some(Step::Delay(1000));
        }
        let limit = self.limit.unwrap_or_default().0;
        self.memlimit.get_or_insert(Length(limit.saturating_mul(facts.frame().saturating_mul(2))));
    }

    /// Round trips go before what they replace.
    fn complete(&mut self, _facts: &Facts) {
        if let Some(Ok(Tuned { target, tupdate, alpha, beta })) = self.tuned() {
            let time = |micros: u32| Some(Time(u64::from(micros) * 1000));
            (self.target, self.tupdate) = (time(target), time(tupdate));
            (self.alpha, self.beta) = (Some(Gain((alpha * 256.0) as u32)), Some(Gain((beta * 256.0) as u32)));
            (self.max_rtt, self.typical_rtt) = (None, None);
        }
    }

    fn settle_tc(&mut self, _place: &mut Place) -> Result<(), Refusal> {
        match self.tuned() {
            Some(Err(message)) => Err(Refusal::coded(&codes::OUT_OF_RANGE, message)),
            _ => Ok(()),
        }
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        self.check_widths(out);
        super::check_memory("memlimit", self.memlimit.map(|length| u64::from(length.0)), facts, out);
        let word = if self.max_rtt.is_some() { "max_rtt" } else { "typical_rtt" };
        match self.tuned() {
            Some(Err(message)) => {
                out.push(Finding::new(&codes::OUT_OF_RANGE, word, message).help("write `max_rtt: 100ms`"))
            }
            Some(Ok(_)) => {
                let written = [
                    ("target", self.target.is_some()),
                    ("tupdate", self.tupdate.is_some()),
                    ("alpha", self.alpha.is_some()),
                    ("beta", self.beta.is_some()),
                ];
                for (other, _) in written.into_iter().filter(|(_, written)| *written) {
                    let f = Finding::new(
                        &codes::NO_EFFECT,
                        other,
                        format!("`{other}` has no effect: it follows from `{word}`"),
                    );
                    out.push(f.and(word, "says it").help("leave one of them out"));
                }
            }
            None => {}
        }
        if matches!(self.step_thresh, Some(Step::Delay(0) | Step::Queue(0))) {
            let f = Finding::new(
                &codes::NO_EFFECT,
                "step_thresh",
                "a step_thresh of 0 is not said: the default of 1ms stays",
            );
            out.push(f.help("write `step_thresh: 1us`"));
        }
    }
}

/// `struct tc_dualpi2_xstats`. The credit is signed.
fn xstats(payload: Payload, _: &Facts) -> Vec<(&'static str, u64)> {
    let mut c = payload.fields();
    let names = [
        "prob",
        "delay_c",
        "delay_l",
        "packets_in_c",
        "packets_in_l",
        "maxq",
        "ecn_mark",
        "step_marks",
        "credit",
        "memory_used",
        "max_memory_used",
        "memory_limit",
    ];
    names.into_iter().map_while(|name| Some((name, u64::from(c.u32().ok()?)))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::kind::read_tc;
    use crate::unit::{Handle, Words};

    fn read(line: &str) -> Result<Dualpi2, Refusal> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let mut options = Dualpi2::default();
        read_tc(&mut options, &mut Words::new(&words), &mut Reader::tc())?;
        options.settle_tc(&mut Place { parent: Handle(0), handle: 0, protocol: 0, words: words.len() })?;
        Ok(options)
    }

    fn sent(line: &str) -> Vec<(u16, u64)> {
        let mut out = Attributes::new();
        read(line).unwrap().encode(&mut out, &Facts::default());
        let number = |p: Payload| p.0.iter().rev().fold(0, |n, octet| n << 8 | u64::from(*octet));
        Payload(&out.bytes).attributes().unwrap().list.iter().map(|(n, p)| (*n, number(*p))).collect()
    }

    /// In the order of q_dualpi2.c of iproute2 6.17, which no test kernel has.
    #[test]
    fn what_is_sent_is_tcs() {
        assert_eq!(sent(""), []);
        let all = "limit 500 memlimit 1000000 coupling_factor 3 step_thresh 2ms min_qlen_step 4 overflow drop_enqueue \
                   classic_protection 15% target 20ms tupdate 10ms alpha 0.2 beta 3 no_split_gso any_ect";
        let expected = [
            (1, 500),
            (2, 1_000_000),
            (4, 10_000),
            (3, 20_000),
            (5, 51),
            (6, 768),
            (14, 3),
            (11, 0),
            (10, 3),
            (15, 0),
            (8, 2000),
            (9, 4),
            (12, 1),
            (13, 15),
        ];
        assert_eq!(sent(all), expected);
        assert_eq!(
            sent("step_thresh 5pkts drop_on_overload drop_dequeue split_gso l4s_ect"),
            [(14, 1), (11, 1), (15, 1), (7, 5), (12, 0)]
        );
        assert_eq!(sent("step_thresh 0 limit 0 memlimit 0 target 0 min_qlen_step 0"), [(9, 0)]);
        assert_eq!(sent("step_thresh 500 classic_protection 7.5"), [(8, 500), (13, 8)]);
        // 100 ms: target and tupdate a sixth of it
        assert_eq!(sent("max_rtt 100ms target 1ms"), [(4, 16_666), (3, 16_666), (5, 42), (6, 768)]);
        assert_eq!(sent("typical_rtt 20ms max_rtt 30ms"), [(4, 10_000), (3, 20_000), (5, 284), (6, 2560)]);
    }

    #[test]
    fn what_tc_refuses_is_refused() {
        for line in [
            "coupling_factor 256",
            "coupling_factor -1",
            "alpha x",
            "step_thresh 5q",
            "classic_protection 101",
            "typical_rtt 2s max_rtt 1s",
            "max_rtt 100s",
            "limit 5p",
            "ect",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
