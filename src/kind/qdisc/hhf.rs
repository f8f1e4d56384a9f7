//! `hhf`: net/sched/sch_hhf.c, tc-hhf(8).

use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::Payload;
use crate::kind::{Attribute, Children, Finding, Kind, Options, Role, Row, Rows, Wire, attribute, fits};
use crate::rows;
use crate::unit::{Length, Number, Packets, Time, same_in_jiffies};

rows! {
    /// The heavy-hitter filter.
    pub struct Hhf {
        /// packets that may wait in all
        limit: Packets = Row::new("limit").wire(Wire::U32(1)).nonzero().default("1000").cuts();
        /// bytes that each of the two buckets may send a turn; never below 256
        quantum: Length = Row::new("quantum").wire(Wire::U32(2)).nonzero().kept(LEAST_QUANTUM as u64, u32::MAX as u64).computed("the MTU with its link header");
        /// flows that may count as heavy hitters at one time
        hh_limit: Number = Row::new("hh_limit").wire(Wire::U32(3)).nonzero().default("2048");
        /// after this time the counters that find heavy hitters begin anew
        reset_timeout: Time = Row::new("reset_timeout").wire(Wire::Micros(4)).nonzero().default("40ms");
        /// bytes in that time that make a flow a heavy hitter
        admit_bytes: Length = Row::new("admit_bytes").wire(Wire::U32(5)).nonzero().default("131072b");
        /// after this time without a packet a flow is no heavy hitter any more
        evict_timeout: Time = Row::new("evict_timeout").wire(Wire::Micros(6)).nonzero().default("1s");
        /// turns of the other flows for each turn of the heavy hitters
        non_hh_weight: Number = Row::new("non_hh_weight").wire(Wire::U32(7)).nonzero().default("2");
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "hhf",
    role: Role::Qdisc,
    doc: "heavy-hitter filter: flows that carry much go behind those that carry little, without a queue for each",
    options: || Box::new(Hhf::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_SCH_HHF",
    module: "sch_hhf",
    attributes: ATTRIBUTES,
    xstats,
};

const ATTRIBUTES: &[Attribute] = &[
    attribute("TCA_HHF_BACKLOG_LIMIT", 1, &["limit"]),
    attribute("TCA_HHF_QUANTUM", 2, &["quantum"]),
    attribute("TCA_HHF_HH_FLOWS_LIMIT", 3, &["hh_limit"]),
    attribute("TCA_HHF_RESET_TIMEOUT", 4, &["reset_timeout"]),
    attribute("TCA_HHF_ADMIT_BYTES", 5, &["admit_bytes"]),
    attribute("TCA_HHF_EVICT_TIMEOUT", 6, &["evict_timeout"]),
    attribute("TCA_HHF_NON_HH_WEIGHT", 7, &["non_hh_weight"]),
];

/// The kernel takes no quantum below this (`hhf_change`).
/// Twice `HH_FLOWS_CNT`, which newer kernels hold `hh_limit` against.
const MOST_FLOWS: u64 = 2048;
const LEAST_QUANTUM: u32 = 256;

impl Options for Hhf {
    /// Four arrays of 1,024 counters with a bit each, and the heads of 1,024 lists.
    fn tables(&self) -> u64 {
        4 * (1024 * 4 + 128) + 1024 * 16
    }

    /// `hhf_init`.
    fn assume(&mut self, facts: &Facts) {
        self.assume_constants();
        self.quantum.get_or_insert(Length(facts.frame().clamp(LEAST_QUANTUM, 1 << 20)));
    }

    /// The kernel counts the times in jiffies.
    fn same(&self, other: &dyn Options, row: usize, _facts: &Facts) -> bool {
        let (Some(a), Some(b)) = (self.slot(row), other.slot(row)) else { return false };
        match (Hhf::ROWS.get(row).map(|r| (r.word, r.wire)), a.number(), b.number()) {
            (Some((_, Wire::Micros(_))), Some(a), Some(b)) => same_in_jiffies(a / 1000, b / 1000),
            (Some(("quantum", _)), Some(a), Some(b)) => {
                a.max(u64::from(LEAST_QUANTUM)) == b.max(u64::from(LEAST_QUANTUM))
            }
            _ => a.same(b),
        }
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        self.check_widths(out);
        fits("hh_limit", self.hh_limit.map(|n| u64::from(n.0)), MOST_FLOWS, out);
        let mut full = self.clone();
        full.assume(facts);
        let quantum = u64::from(full.quantum.unwrap_or_default().0.max(LEAST_QUANTUM));
        let weight = u64::from(full.non_hh_weight.unwrap_or_default().0);
        if quantum * weight > i32::MAX as u64 {
            let message = format!("{weight} turns of {quantum} bytes are more than the kernel can count");
            let f = Finding::new(&codes::OUT_OF_RANGE, "non_hh_weight", message).and("quantum", "");
            out.push(f.help("write a smaller `non_hh_weight`; 2 is usual"));
        }
    }
}

/// `struct tc_hhf_xstats`.
fn xstats(payload: Payload, _: &Facts) -> Vec<(&'static str, u64)> {
    let mut c = payload.fields();
    let names = ["drop_overlimit", "hh_overlimit", "hh_tot_count", "hh_cur_count"];
    names.into_iter().map_while(|n| Some((n, u64::from(c.u32().ok()?)))).collect()
}
