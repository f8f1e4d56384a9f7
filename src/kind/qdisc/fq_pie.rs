//! `fq_pie`: net/sched/sch_fq_pie.c, tc-fq_pie(8).

use super::pie::same_pie;
use crate::facts::Facts;
use crate::kind::wire::Payload;
use crate::kind::{Attribute, Children, Finding, Kind, Options, Role, Row, Wire, attribute};
use crate::rows;
use crate::unit::{Bytes, Flag, Number, Packets, Time};

rows! {
    /// Fair queueing with a controller of the delay.
    pub struct FqPie {
        /// packets that may wait in all
        limit: Packets = Row::new("limit").wire(Wire::U32(1)).nonzero().default("10240").cuts();
        /// the number of queues that flows are hashed into
        flows: Number = Row::new("flows").wire(Wire::U32(2)).nonzero().range(1, 65536).default("1024").fixed();
        /// the delay that is aimed at
        target: Time = Row::new("target").wire(Wire::Micros(3)).nonzero().default("15ms");
        /// how often the chance of a drop is computed; the kernel counts it in jiffies
        tupdate: Time = Row::new("tupdate").wire(Wire::Micros(4)).nonzero().default("15ms");
        /// how much the distance from the target weighs, in sixteenths
        alpha: Number = Row::new("alpha").wire(Wire::U32(5)).nonzero().range(0, 32).default("2");
        /// how much the change of the delay weighs, in sixteenths
        beta: Number = Row::new("beta").wire(Wire::U32(6)).nonzero().range(0, 32).default("20");
        /// bytes that a queue may send a turn
        quantum: Bytes = Row::new("quantum").wire(Wire::U32(7)).nonzero().range(0, 1 << 20).kept(256, 1 << 20)
            .computed("the MTU with its link header");
        /// bytes of memory that waiting packets may take in all
        memory_limit: Bytes = Row::new("memory_limit").wire(Wire::U32(8)).nonzero().default("32mb");
        /// the chance in percent up to which packets are marked, not dropped, with ecn
        ecn_prob: Number = Row::new("ecn_prob").wire(Wire::U32(9)).nonzero().range(0, 99).default("10");
        /// mark packets of flows that can be told (ECN) instead of dropping them
        ecn: Flag = Row::new("ecn").wire(Wire::U32(10)).off("noecn").default("no");
        /// small packets are dropped less often
        bytemode: Flag = Row::new("bytemode").wire(Wire::U32(11)).off("nobytemode").default("no");
        /// tell the delay by the rate at which the queue empties, not by the packets' own times
        dq_rate_estimator: Flag = Row::new("dq_rate_estimator").wire(Wire::U32(12)).off("no_dq_rate_estimator").default("no");
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "fq_pie",
    role: Role::Qdisc,
    doc: "fair queueing with pie: every flow its own queue, each with a drop chance that steers its delay to a target",
    options: || Box::new(FqPie::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_SCH_FQ_PIE",
    module: "sch_fq_pie",
    attributes: ATTRIBUTES,
    xstats,
};

const ATTRIBUTES: &[Attribute] = &[
    attribute("TCA_FQ_PIE_LIMIT", 1, &["limit"]),
    attribute("TCA_FQ_PIE_FLOWS", 2, &["flows"]),
    attribute("TCA_FQ_PIE_TARGET", 3, &["target"]),
    attribute("TCA_FQ_PIE_TUPDATE", 4, &["tupdate"]),
    attribute("TCA_FQ_PIE_ALPHA", 5, &["alpha"]),
    attribute("TCA_FQ_PIE_BETA", 6, &["beta"]),
    attribute("TCA_FQ_PIE_QUANTUM", 7, &["quantum"]),
    attribute("TCA_FQ_PIE_MEMORY_LIMIT", 8, &["memory_limit"]),
    attribute("TCA_FQ_PIE_ECN_PROB", 9, &["ecn_prob"]),
    attribute("TCA_FQ_PIE_ECN", 10, &["ecn"]),
    attribute("TCA_FQ_PIE_BYTEMODE", 11, &["bytemode"]),
    attribute("TCA_FQ_PIE_DQ_RATE_ESTIMATOR", 12, &["dq_rate_estimator"]),
];

impl Options for FqPie {
    /// `struct fq_pie_flow` for each queue.
    fn tables(&self) -> u64 {
        self.flows.map_or(0, |n| u64::from(n.0) * 128)
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        self.check_widths(out);
        super::check_memory("memory_limit", self.memory_limit.map(|b| b.0), facts, out);
    }

    fn refuses_change(&self, word: &str) -> bool {
        word == "flows"
    }

    fn nested(&self) -> bool {
        true
    }

    /// `fq_pie_init`.
    fn assume(&mut self, facts: &Facts) {
        self.assume_constants();
        self.quantum.get_or_insert(Bytes(u64::from(facts.frame().clamp(256, 1 << 20))));
    }

    fn same(&self, other: &dyn Options, row: usize, _facts: &Facts) -> bool {
        same_pie(self, other, row)
    }
}

/// `struct tc_fq_pie_xstats`.
fn xstats(payload: Payload, _: &Facts) -> Vec<(&'static str, u64)> {
    let names = [
        "packets_in",
        "dropped",
        "overlimit",
        "overmemory",
        "ecn_mark",
        "new_flow_count",
        "new_flows_len",
        "old_flows_len",
        "memory_usage",
    ];
    super::figures(payload.fields(), &names, &[])
}
