//! `prio`: net/sched/sch_prio.c, tc-prio(8).

use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::walk::{Choice, Walk};
use crate::kind::wire::{Attributes, Fields, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, no_xstats, read_row};
use crate::rows;
use crate::unit::{Flag, Number, NumberList, Reader, Refusal, Unit, Words};

rows! {
    /// Bands, the first served first.
    pub struct Prio {
        /// how many bands there are, each with a discipline of its own
        bands: Number = Row::new("bands").decimal().default("3");
        /// the band of each packet priority from 0 to 15, for packets that no rule takes
        priomap: NumberList = Row::new("priomap").decimal().default("1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1");
        /// a band for each queue of the device: what `multiq` does since Linux 2.6.28, and prio no more
        multiqueue: Flag = Row::new("multiqueue").flag().tool();
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "prio",
    role: Role::Qdisc,
    doc: "strict priority: a band sends only while all bands before it are empty. Shapes nothing by itself",
    options: || Box::new(Prio::default()),
    class: None,
    children: Children::Bands,
    change: true,
    writable: true,
    config: "NET_SCH_PRIO",
    module: "sch_prio",
    attributes: &[],
    xstats: no_xstats,
};

/// Packet priorities that the map knows (`TC_PRIO_MAX + 1`).
pub const PRIORITIES: usize = 16;
/// tc's map (`bands` of prio in q_prio.c), which is the kernel's `prio2band` of pfifo_fast.
const MAP: [u8; PRIORITIES] = [1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1];
/// Bands that there may be (`TCQ_MIN_PRIO_BANDS`, `TCQ_PRIO_BANDS`).
pub const BANDS: std::ops::RangeInclusive<u32> = 2..=16;

impl Options for Prio {
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

    /// `struct tc_prio_qopt`. The kernel has no default for it: an unset row is sent as tc's.
    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let mut full = self.clone();
        full.assume(facts);
        let Prio { bands, priomap, multiqueue: _ } = full;
        let mut map = priomap.unwrap_or_default().0;
        map.extend(MAP.iter().skip(map.len())); // tc goes on with the default where a map is short
        map.truncate(PRIORITIES);
        out.bare(&Fields::new().u32(bands.unwrap_or_default().0).raw(&map).0);
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        if payload.0.is_empty() {
            return Ok(());
        }
        let mut c = payload.fields();
        self.bands = Some(Number(c.u32()?));
        self.priomap = Some(NumberList(c.array::<PRIORITIES>()?.to_vec()));
        Ok(())
    }

    /// tc goes on with the default where a map is short.
    fn complete(&mut self, _facts: &Facts) {
        if let Some(NumberList(map)) = &mut self.priomap {
            map.extend(MAP.iter().skip(map.len()));
        }
    }

    /// tc holds every band of the map against the number of bands that it has read so far.
    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        let again = words.peek() == Some("priomap") && self.priomap.is_some();
        if again {
            return Err(Refusal::coded(&codes::DUPLICATE_KEY, "`priomap` stands here twice").help("leave one out"));
        }
        let map = words.peek() == Some("priomap");
        let read = read_row(self, words, reader)?;
        let bands = self.bands.map_or(3, |n| n.0);
        let list = self.priomap.as_ref().filter(|_| map).map_or(&[][..], |list| &list.0);
        if let Some(band) = list.iter().find(|band| u32::from(**band) >= bands) {
            let refusal =
                Refusal::coded(&codes::PRIOMAP, format!("there is no band {band}: the last is {}", bands - 1));
            return Err(refusal.help("write `bands` before `priomap`, and bands from 0 on"));
        }
        if list.len() > PRIORITIES {
            return Err(Refusal::coded(&codes::PRIOMAP, "a priomap has 16 entries, one a priority"));
        }
        Ok(read)
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        let mut full = self.clone();
        full.assume(facts);
        let bands = full.bands.unwrap_or_default().0;
        if !BANDS.contains(&bands) {
            let message = format!("prio has 2 to 16 bands, not {bands}");
            out.push(Finding::new(&codes::BANDS_RANGE, "bands", message).help("write `bands: 3`"));
            return;
        }
        let map = full.priomap.unwrap_or_default().0;
        let clipped = |map: &[u8]| {
            let last = u8::try_from(bands - 1).unwrap_or(u8::MAX);
            let mut map: Vec<u8> = map.iter().map(|b| (*b).min(last)).collect();
            map.resize(PRIORITIES, 1);
            format!("write `priomap: {}`", NumberList(map).show())
        };
        if map.len() != PRIORITIES {
            let message = format!("a priomap has 16 entries, one a priority, and this one has {}", map.len());
            out.push(Finding::new(&codes::PRIOMAP, "priomap", message).help(clipped(&map)));
        }
        if let Some((priority, band)) = map.iter().enumerate().find(|(_, b)| u32::from(**b) >= bands) {
            let message = match self.priomap {
                Some(_) => format!("priority {priority} goes to band {band}, and the last band is {}", bands - 1),
                None => format!("the priomap that is the default wants 3 bands, and there are {bands}"),
            };
            let f = Finding::new(&codes::PRIOMAP, "priomap", message).and("bands", "bands count from 0");
            out.push(f.help(clipped(&map)));
        }
    }
}
