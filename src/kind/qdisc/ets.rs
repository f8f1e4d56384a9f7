//! `ets`: net/sched/sch_ets.c, tc-ets(8).

use super::prio::PRIORITIES;
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::walk::{Choice, Walk};
use crate::kind::wire::{Attributes, Malformed, NESTED, Payload};
use crate::kind::{
    Children, Finding, Kind, Options, Place, Role, Row, Rows, Wire, attribute, no_xstats, read_row, row_words,
};
use crate::rows;
use crate::unit::{Count, Length, List, NumberList, Reader, Refusal, Unit, Words};

rows! {
    /// Bands, the first strictly before the others, the others by their quanta.
    pub struct Ets {
        /// how many bands there are, each with a discipline of its own
        bands: Count = Row::new("bands").once().nonzero().range(1, BANDS).computed("the strict ones and a band for each of quanta");
        /// how many of them, from the first on, are served strictly before the others
        strict: Count = Row::new("strict").once().range(0, BANDS).default("0");
        /// bytes that each of the other bands may send a turn; what they are to each other is what the bands get
        quanta: List<Length> = Row::new("quanta").decimal().computed("the MTU with its link header");
        /// the band of each packet priority from 0 to 15, for packets that no rule takes
        priomap: NumberList = Row::new("priomap").decimal().computed("the last band for all");
    }
}

rows! {
    /// The options of a band as a class.
    pub struct Class {
        /// bytes that the band may send a turn; not of a strict one
        quantum: Length = Row::new("quantum").decimal().once().wire(Wire::U32(QUANTUM)).range(1, u32::MAX as u64).kept(*KEPT.start(), *KEPT.end());
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "ets",
    role: Role::Qdisc,
    doc: "enhanced transmission selection: some bands strictly first, and the others share what is left by quanta (IEEE 802.1Qaz)",
    options: || Box::new(Ets::default()),
    class: Some(|| Box::new(Class::default())),
    children: Children::Bands,
    change: true,
    writable: true,
    config: "NET_SCH_ETS",
    module: "sch_ets",
    attributes: &[
        attribute("TCA_ETS_NBANDS", NBANDS, &["bands"]),
        attribute("TCA_ETS_NSTRICT", NSTRICT, &["strict"]),
        attribute("TCA_ETS_QUANTA", QUANTA, &["quanta"]),
        attribute("TCA_ETS_QUANTA_BAND", QUANTUM, &["quanta", "quantum"]),
        attribute("TCA_ETS_PRIOMAP", PRIOMAP, &["priomap"]),
        attribute("TCA_ETS_PRIOMAP_BAND", BAND, &["priomap"]),
    ],
    xstats: no_xstats,
};

/// `TCQ_ETS_MAX_BANDS`.
const BANDS: u64 = 16;
/// What the kernel keeps a quantum within (`ets_quantum_parse`).
const KEPT: std::ops::RangeInclusive<u64> = 256..=1 << 20;

const NBANDS: u16 = 1;
const NSTRICT: u16 = 2;
const QUANTA: u16 = 3;
const QUANTUM: u16 = 4;
const PRIOMAP: u16 = 5;
const BAND: u16 = 6;

impl Ets {
    /// Bands, strict ones, and quanta that are written.
    fn counts(&self) -> (u64, u64, u64) {
        let strict = self.strict.map_or(0, |n| u64::from(n.0));
        let quanta = self.quanta.as_ref().map_or(0, |list| list.0.len() as u64);
        (self.bands.map_or(strict + quanta, |n| u64::from(n.0)), strict, quanta)
    }

    /// What tc refuses by itself: the row, and why.
    fn wrong(&self) -> Option<(&'static str, String)> {
        let (bands, strict, quanta) = self.counts();
        let map = self.priomap.iter().flat_map(|map| map.0.iter().enumerate());
        if bands == 0 {
            return Some(("bands", "ets wants `bands`, `strict` or `quanta`".to_owned()));
        }
        if strict + quanta > bands {
            return Some(("bands", format!("{strict} strict bands and {quanta} quanta are more than {bands} bands")));
        }
        let (priority, band) = map.into_iter().find(|(_, band)| u64::from(**band) >= bands)?;
        Some(("priomap", format!("priority {priority} goes to band {band}, and the last band is {}", bands - 1)))
    }
}

impl Options for Ets {
    fn forgets(&self, _word: &str) -> bool {
        true
    }

    fn choose(&self, walk: &mut dyn Walk) -> Option<Choice> {
        let map = self.priomap.as_ref().map_or(&[][..], |map| &map.0);
        Some(super::by_band(walk, self.bands().unwrap_or(0), map))
    }

    fn takes_filters(&self) -> bool {
        true
    }

    fn nested(&self) -> bool {
        true
    }

    fn bands(&self) -> Option<u64> {
        Some(self.counts().0)
    }

    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let octet = |n: u64| u8::try_from(n).unwrap_or(u8::MAX);
        let (bands, strict, _) = self.counts();
        out.u8(NBANDS, octet(bands));
        if strict != 0 {
            out.u8(NSTRICT, octet(strict));
        }
        if let Some(quanta) = self.quanta.as_ref().filter(|list| !list.0.is_empty()) {
            out.nest(QUANTA | NESTED, |out| quanta.0.iter().for_each(|quantum| out.u32(QUANTUM, quantum.0)));
        }
        if let Some(map) = self.priomap.as_ref().filter(|map| !map.0.is_empty()) {
            out.nest(PRIOMAP | NESTED, |out| map.0.iter().for_each(|band| out.u8(BAND, *band)));
        }
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        self.bands = attributes.u8(NBANDS)?.map(|n| Count(n.into()));
        self.strict = attributes.u8(NSTRICT)?.map(|n| Count(n.into()));
        if let Some(quanta) = attributes.nested(QUANTA)? {
            let quanta = quanta.list.iter().filter(|(number, _)| *number == QUANTUM);
            let quanta = quanta.map(|(_, quantum)| quantum.fields().u32().map(Length)).collect::<Result<_, _>>()?;
            self.quanta = Some(List(quanta));
        }
        if let Some(map) = attributes.nested(PRIOMAP)? {
            let map = map.list.iter().filter(|(number, _)| *number == BAND);
            self.priomap = Some(NumberList(map.map(|(_, band)| band.fields().u8()).collect::<Result<_, _>>()?));
        }
        Ok(())
    }

    fn complete(&mut self, _facts: &Facts) {
        let (bands, ..) = self.counts();
        self.bands.get_or_insert(Count(u32::try_from(bands).unwrap_or(u32::MAX)));
    }

    fn assume(&mut self, facts: &Facts) {
        self.complete(facts);
        self.assume_constants();
        let (bands, strict, _) = self.counts();
        let shared = usize::try_from(bands.min(BANDS).saturating_sub(strict)).unwrap_or(0);
        let last = u8::try_from(bands.saturating_sub(1)).unwrap_or(u8::MAX);
        let quanta = &mut self.quanta.get_or_insert_default().0;
        quanta.resize(shared.max(quanta.len()), Length(facts.frame()));
        let map = &mut self.priomap.get_or_insert_default().0;
        map.resize(PRIORITIES.max(map.len()), last);
    }

    fn same(&self, other: &dyn Options, row: usize, _facts: &Facts) -> bool {
        let Some(held) = other.as_kind::<Ets>() else { return false };
        let kept = |list: &Option<List<Length>>| -> Option<Vec<u64>> {
            let kept = |q: &Length| u64::from(q.0).clamp(*KEPT.start(), *KEPT.end());
            list.as_ref().map(|list| list.0.iter().map(kept).collect())
        };
        match Ets::ROWS.get(row).map(|r| r.word) {
            Some("quanta") => kept(&self.quanta) == kept(&held.quanta),
            _ => matches!((self.slot(row), other.slot(row)), (Some(a), Some(b)) if a.same(b)),
        }
    }

    /// An empty list is as if it were not written.
    fn tc(&self, out: &mut Vec<String>) {
        let slots = Ets::ROWS.iter().enumerate().filter_map(|(i, row)| Some((row, self.slot(i)?)));
        slots
            .filter(|(_, slot)| slot.tc().is_some_and(|text| !text.is_empty()))
            .for_each(|(row, slot)| row_words(row, slot, out));
    }

    /// tc refuses a list without a number, a quantum of 0, and a list that is said twice.
    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        let word = words.peek().unwrap_or_default().to_owned();
        let twice = match word.as_str() {
            "quanta" => self.quanta.is_some(),
            "priomap" => self.priomap.is_some(),
            _ => false,
        };
        if reader.tc && twice {
            return Err(Refusal::coded(&codes::DUPLICATE_KEY, format!("`{word}` stands here twice"))
                .help("leave one of them out"));
        }
        let taken = read_row(self, words, reader)?;
        let empty = match word.as_str() {
            "quanta" => self.quanta.as_ref().is_some_and(|list| list.0.is_empty()),
            "priomap" => self.priomap.as_ref().is_some_and(|map| map.0.is_empty()),
            _ => false,
        };
        if taken && empty {
            return Err(Refusal::new(format!("a number is wanted after `{word}`")));
        }
        match self.quanta.as_ref().is_some_and(|list| list.0.contains(&Length(0))) {
            true => Err(Refusal::coded(&codes::OUT_OF_RANGE, "a quantum of 0 sends nothing").help("write `1514`")),
            false => Ok(taken),
        }
    }

    fn settle_tc(&mut self, _place: &mut Place) -> Result<(), Refusal> {
        match self.wrong() {
            Some((_, message)) => Err(Refusal::coded(&codes::BANDS_RANGE, message)),
            None => Ok(()),
        }
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        self.check_widths(out);
        let (bands, ..) = self.counts();
        match self.wrong() {
            Some(("priomap", message)) => {
                let f = Finding::new(&codes::PRIOMAP, "priomap", message).and("bands", "bands count from 0");
                out.push(f.help(format!("write bands from 0 to {}", bands - 1)));
            }
            Some((row, message)) => {
                let f = Finding::new(&codes::BANDS_RANGE, row, message);
                out.push(f.help("write `bands: 3`, or `strict: 1` and `quanta: [3000b, 1514b]`"));
            }
            None if bands > BANDS => {
                let f =
                    Finding::new(&codes::BANDS_RANGE, "bands", format!("ets has at most {BANDS} bands, not {bands}"));
                out.push(f.help("write fewer `quanta`"));
            }
            None => {}
        }
        if let Some(map) = self.priomap.as_ref().filter(|map| map.0.len() > PRIORITIES) {
            let message =
                format!("a priomap has {PRIORITIES} entries, one a priority, and this one has {}", map.0.len());
            out.push(Finding::new(&codes::PRIOMAP, "priomap", message).help("leave the last ones out"));
        }
        let below = self.quanta.iter().flat_map(|list| &list.0).find(|q| q.0 < facts.frame());
        if let Some(quantum) = below {
            let message = format!("quantum {} is below one packet of {} bytes", quantum.show(), facts.frame());
            let f = Finding::new(&codes::QUANTUM_BELOW_MTU, "quanta", message);
            out.push(f.help(format!("write `{}b` or more", facts.frame())));
        }
    }
}

impl Options for Class {
    fn nested(&self) -> bool {
        true
    }
}
