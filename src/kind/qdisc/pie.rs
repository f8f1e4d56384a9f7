//! `pie`: net/sched/sch_pie.c, tc-pie(8). Its arithmetic serves `fq_pie` too.

use crate::facts::Facts;
use crate::kind::wire::Payload;
use crate::kind::{Attribute, Children, Kind, Options, Role, Row, Rows, Wire, attribute, same_row};
use crate::rows;
use crate::unit::{Flag, Number, Packets, Slot, Time, same_in_jiffies};

rows! {
    /// A controller of the delay.
    pub struct Pie {
        /// packets that may wait
        limit: Packets = Row::new("limit").wire(Wire::U32(2)).nonzero().default("1000").cuts();
        /// how often the chance of a drop is computed; the kernel counts it in jiffies
        tupdate: Time = Row::new("tupdate").wire(Wire::Micros(3)).nonzero().default("15ms");
        /// the delay that is aimed at
        target: Time = Row::new("target").wire(Wire::Micros(1)).nonzero().default("15ms");
        /// how much the distance from the target weighs, in sixteenths
        alpha: Number = Row::new("alpha").wire(Wire::U32(4)).nonzero().range(0, 32).default("2");
        /// how much the change of the delay weighs, in sixteenths
        beta: Number = Row::new("beta").wire(Wire::U32(5)).nonzero().range(0, 32).default("20");
        /// mark packets of flows that can be told (ECN) instead of dropping them, as long as the chance is below 10 %
        ecn: Flag = Row::new("ecn").wire(Wire::U32(6)).off("noecn").default("no");
        /// small packets are dropped less often
        bytemode: Flag = Row::new("bytemode").wire(Wire::U32(7)).off("nobytemode").default("no");
        /// tell the delay by the rate at which the queue empties, not by the packets' own times
        dq_rate_estimator: Flag = Row::new("dq_rate_estimator").wire(Wire::U32(8)).off("no_dq_rate_estimator").default("no");
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "pie",
    role: Role::Qdisc,
    doc: "proportional integral controller enhanced: one queue with a drop chance that steers its delay to a target",
    options: || Box::new(Pie::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_SCH_PIE",
    module: "sch_pie",
    attributes: ATTRIBUTES,
    xstats,
};

const ATTRIBUTES: &[Attribute] = &[
    attribute("TCA_PIE_TARGET", 1, &["target"]),
    attribute("TCA_PIE_LIMIT", 2, &["limit"]),
    attribute("TCA_PIE_TUPDATE", 3, &["tupdate"]),
    attribute("TCA_PIE_ALPHA", 4, &["alpha"]),
    attribute("TCA_PIE_BETA", 5, &["beta"]),
    attribute("TCA_PIE_ECN", 6, &["ecn"]),
    attribute("TCA_PIE_BYTEMODE", 7, &["bytemode"]),
    attribute("TCA_PIE_DQ_RATE_ESTIMATOR", 8, &["dq_rate_estimator"]),
];

impl Options for Pie {
    fn same(&self, other: &dyn Options, row: usize, _facts: &Facts) -> bool {
        same_pie(self, other, row)
    }
}

/// What the kernel tells of a target in microseconds: kept in ticks of 64 ns, told in 32 bits of nanoseconds.
fn told(target: u64) -> u64 {
    let ns = target.saturating_mul(1000) >> 6 << 6;
    u64::from(ns as u32) / 1000
}

/// Whether a row of both is the same: `tupdate` in jiffies, `target` as the kernel tells it.
pub(crate) fn same_pie(asked: &dyn Rows, held: &dyn Options, row: usize) -> bool {
    let (Some(a), Some(b)) = (asked.slot(row), held.slot(row)) else { return false };
    let micros = |slot: &dyn Slot| slot.number().map(|ns| ns / 1000);
    match (asked.rows().get(row).map(|r| r.word), micros(a), micros(b)) {
        (Some("tupdate"), Some(a), Some(b)) => same_in_jiffies(a, b),
        (Some("target"), Some(a), Some(b)) => a == b || told(a).abs_diff(b) <= 1,
        _ => same_row(asked, held, row),
    }
}

/// `struct tc_pie_xstats`. The chance is in parts of 2^64, delays are in milliseconds.
fn xstats(payload: Payload, _: &Facts) -> Vec<(&'static str, u64)> {
    let mut c = payload.fields();
    let mut own: Vec<_> = c.u64().map(|n| ("prob", n)).into_iter().collect();
    let names =
        ["delay", "avg_dq_rate", "dq_rate_estimating", "packets_in", "dropped", "overlimit", "maxq", "ecn_mark"];
    own.extend(super::figures(c, &names, &[]));
    own
}
