//! `fq_codel`: net/sched/sch_fq_codel.c, tc-fq_codel(8).

use super::codel::check_codel;
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::Payload;
use crate::kind::{Attribute, Children, End, Fairness, Finding, Kind, Options, Role, Row, Wire, attribute};
use crate::rows;
use crate::unit::{Bytes, Flag, Length, MaskedOctet, Number, Packets, Time};

rows! {
    /// Fair queueing with controlled delay.
    pub struct FqCodel {
        /// packets that may wait in all; more are dropped from the fullest queue
        limit: Packets = Row::new("limit").wire(Wire::U32(2)).nonzero().default("10240").cuts();
        /// the number of queues that flows are hashed into
        flows: Number = Row::new("flows").wire(Wire::U32(5)).nonzero().range(1, 65536).default("1024").fixed();
        /// bytes that a queue may send a turn; below 300 small packets go first
        quantum: Length = Row::new("quantum").wire(Wire::U32(6)).nonzero().range(0, 1 << 20).kept(256, 1 << 20).computed("the MTU with its link header");
        /// how long the delay may stay above the target before packets are dropped; about the longest round trip
        interval: Time = Row::new("interval").wire(Wire::Micros(3)).nonzero().default("100ms");
        /// the delay that is put up with
        target: Time = Row::new("target").wire(Wire::Micros(1)).nonzero().default("5ms");
        /// mark packets of flows that can be told (ECN) instead of dropping them
        ecn: Flag = Row::new("ecn").wire(Wire::U32(4)).off("noecn").default("yes");
        /// mark all ECN packets above this delay, whatever the queue
        ce_threshold: Time = Row::new("ce_threshold").wire(Wire::Micros(7)).unsent(u32::MAX as u64);
        /// only those packets whose DS octet, under the mask, has this value; without it all
        ce_threshold_selector: MaskedOctet = Row::new("ce_threshold_selector").wire(Wire::Masked8(10, 11));
        /// bytes of memory that waiting packets may take in all
        memory_limit: Bytes = Row::new("memory_limit").wire(Wire::U32(9)).unsent(u32::MAX as u64).kept(0, 1 << 31).default("32mb").cuts();
        /// packets dropped from the fullest queue in one go
        drop_batch: Number = Row::new("drop_batch").wire(Wire::U32(8)).nonzero().default("64");
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "fq_codel",
    role: Role::Qdisc,
    doc: "fair queueing with controlled delay: every flow its own queue, none may stand long. The best plain choice for a full link",
    options: || Box::new(FqCodel::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_SCH_FQ_CODEL",
    module: "sch_fq_codel",
    attributes: ATTRIBUTES,
    xstats,
};

const ATTRIBUTES: &[Attribute] = &[
    attribute("TCA_FQ_CODEL_TARGET", 1, &["target"]),
    attribute("TCA_FQ_CODEL_LIMIT", 2, &["limit"]),
    attribute("TCA_FQ_CODEL_INTERVAL", 3, &["interval"]),
    attribute("TCA_FQ_CODEL_ECN", 4, &["ecn"]),
    attribute("TCA_FQ_CODEL_FLOWS", 5, &["flows"]),
    attribute("TCA_FQ_CODEL_QUANTUM", 6, &["quantum"]),
    attribute("TCA_FQ_CODEL_CE_THRESHOLD", 7, &["ce_threshold"]),
    attribute("TCA_FQ_CODEL_DROP_BATCH_SIZE", 8, &["drop_batch"]),
    attribute("TCA_FQ_CODEL_MEMORY_LIMIT", 9, &["memory_limit"]),
    attribute("TCA_FQ_CODEL_CE_THRESHOLD_SELECTOR", 10, &["ce_threshold_selector"]),
    attribute("TCA_FQ_CODEL_CE_THRESHOLD_MASK", 11, &["ce_threshold_selector"]),
];

impl Options for FqCodel {
    /// `struct fq_codel_flow` and a backlog for each queue.
    fn tables(&self) -> u64 {
        self.flows.map_or(0, |n| u64::from(n.0) * (64 + 4))
    }

    fn refuses_change(&self, word: &str) -> bool {
        word == "flows"
    }

    fn takes_filters(&self) -> bool {
        true
    }

    fn fair_by(&mut self, _end: End, _nat: bool) -> Fairness {
        Fairness::Queues(self.flows.map_or(1024, |n| n.0))
    }

    fn assume(&mut self, facts: &Facts) {
        self.assume_constants();
        self.quantum.get_or_insert(Length(facts.frame().clamp(256, 1 << 20)));
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        self.check_widths(out);
        check_codel(self.target, self.interval, out);
        super::check_memory("memory_limit", self.memory_limit.map(|b| b.0), facts, out);
        if self.ce_threshold_selector.is_some() && self.ce_threshold.is_none() {
            let message = "`ce_threshold_selector` does nothing without a `ce_threshold`";
            let f = Finding::new(&codes::NO_EFFECT, "ce_threshold_selector", message);
            out.push(f.help("leave it out, or write `ce_threshold: 1ms`"));
        }
    }
}

/// `struct tc_fq_codel_xstats`: of the qdisc (type 0), or of one of its queues (type 1), whose debts and past times are 0.
fn xstats(payload: Payload, _: &Facts) -> Vec<(&'static str, u64)> {
    let mut c = payload.fields();
    match c.u32() {
        Ok(0) => {
            let names = [
                "maxpacket",
                "drop_overlimit",
                "ecn_mark",
                "new_flow_count",
                "new_flows_len",
                "old_flows_len",
                "ce_mark",
                "memory_usage",
                "drop_overmemory",
            ];
            super::figures(c, &names, &[])
        }
        Ok(1) => {
            let names = ["deficit", "ldelay", "count", "lastcount", "dropping", "drop_next"];
            super::figures(c, &names, &["deficit", "drop_next"])
        }
        _ => Vec::new(),
    }
}
