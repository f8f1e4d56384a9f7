//! `codel`: net/sched/sch_codel.c, tc-codel(8).

use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::Payload;
use crate::kind::{Attribute, Children, Finding, Kind, Options, Role, Row, Wire, attribute};
use crate::rows;
use crate::unit::{Flag, Packets, Time, Unit};

rows! {
    /// Controlled delay.
    pub struct Codel {
        /// packets that may wait
        limit: Packets = Row::new("limit").wire(Wire::U32(2)).nonzero().default("1000").cuts();
        /// how long the delay may stay above the target before packets are dropped; about the longest round trip
        interval: Time = Row::new("interval").wire(Wire::Micros(3)).nonzero().default("100ms");
        /// the delay that is put up with
        target: Time = Row::new("target").wire(Wire::Micros(1)).nonzero().default("5ms");
        /// mark packets of flows that can be told (ECN) instead of dropping them
        ecn: Flag = Row::new("ecn").wire(Wire::U32(4)).off("noecn").default("no");
        /// mark all ECN packets above this delay, whatever the queue
        ce_threshold: Time = Row::new("ce_threshold").wire(Wire::Micros(5)).unsent(u32::MAX as u64);
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "codel",
    role: Role::Qdisc,
    doc: "controlled delay: one queue that drops what has waited too long for too long. `fq_codel` also parts the flows",
    options: || Box::new(Codel::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_SCH_CODEL",
    module: "sch_codel",
    attributes: ATTRIBUTES,
    xstats,
};

const ATTRIBUTES: &[Attribute] = &[
    attribute("TCA_CODEL_TARGET", 1, &["target"]),
    attribute("TCA_CODEL_LIMIT", 2, &["limit"]),
    attribute("TCA_CODEL_INTERVAL", 3, &["interval"]),
    attribute("TCA_CODEL_ECN", 4, &["ecn"]),
    attribute("TCA_CODEL_CE_THRESHOLD", 5, &["ce_threshold"]),
];

impl Options for Codel {
    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        self.check_widths(out);
        check_codel(self.target, self.interval, out);
    }
}

/// A target that is no part of its interval: codel looks for a minimum in each interval, and would find none.
pub(crate) fn check_codel(target: Option<Time>, interval: Option<Time>, out: &mut Vec<Finding>) {
    let word = if target.is_some() { "target" } else { "interval" };
    let (target, interval) = (target.unwrap_or(Time(5_000_000)), interval.unwrap_or(Time(100_000_000)));
    if target >= interval && interval.0 != 0 {
        let message = format!("target {} is not below the interval {}", target.show(), interval.show());
        let other = if word == "target" { "interval" } else { "target" };
        let finding = Finding::new(&codes::TARGET_ABOVE_INTERVAL, word, message).and(other, "");
        out.push(finding.help(format!("write `target: {}`: a twentieth is usual", Time(interval.0 / 20).show())));
    }
}

/// `struct tc_codel_xstats`. Delays are in microseconds; `drop_next` is 0 when that time is past.
fn xstats(payload: Payload, _: &Facts) -> Vec<(&'static str, u64)> {
    let names =
        ["maxpacket", "count", "lastcount", "ldelay", "drop_next", "drop_overlimit", "ecn_mark", "dropping", "ce_mark"];
    super::figures(payload.fields(), &names, &["drop_next"])
}
