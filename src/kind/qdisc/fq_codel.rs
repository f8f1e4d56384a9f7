//! `fq_codel`: net/sched/sch_fq_codel.c, tc-fq_codel(8).

use crate::facts::Facts;
use crate::kind::wire::{Malformed, Payload};
use crate::kind::{Children, Kind, Options, Role, Row, Wire};
use crate::rows;
use crate::unit::{Bytes, Flag, Length, MaskedOctet, Number, Packets, Time};

rows! {
    /// Fair queueing with controlled delay.
    pub struct FqCodel {
        /// packets that may wait in all; more are dropped from the fullest queue
        limit: Packets = Row::new("limit").wire(Wire::U32(2)).default("10240");
        /// the number of queues that flows are hashed into
        flows: Number = Row::new("flows").wire(Wire::U32(5)).default("1024").fixed();
        /// bytes that a queue may send a turn; below 300 small packets go first
        quantum: Length = Row::new("quantum").wire(Wire::U32(6)).computed("the MTU with its link header");
        /// how long the delay may stay above the target before packets are dropped; about the longest round trip
        interval: Time = Row::new("interval").wire(Wire::Micros(3)).default("100ms");
        /// the delay that is put up with
        target: Time = Row::new("target").wire(Wire::Micros(1)).default("5ms");
        /// mark packets of flows that can be told (ECN) instead of dropping them
        ecn: Flag = Row::new("ecn").wire(Wire::U32(4)).off("noecn").default("yes");
        /// mark all ECN packets above this delay, whatever the queue
        ce_threshold: Time = Row::new("ce_threshold").wire(Wire::Micros(7));
        /// only those packets whose DS octet, under the mask, has this value; without it all
        ce_threshold_selector: MaskedOctet = Row::new("ce_threshold_selector").wire(Wire::Masked8(10, 11));
        /// bytes of memory that waiting packets may take in all
        memory_limit: Bytes = Row::new("memory_limit").wire(Wire::U32(9)).default("32mb");
        /// packets dropped from the fullest queue in one go
        drop_batch: Number = Row::new("drop_batch").wire(Wire::U32(8)).default("64");
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
    attributes: &[],
    xstats,
};

impl Options for FqCodel {
    fn assume(&mut self, facts: &Facts) {
        self.assume_constants();
        self.quantum.get_or_insert(Length(facts.frame()));
    }
}

/// `struct tc_fq_codel_xstats`, of type 0 (qdisc).
fn xstats(payload: Payload, _: &Facts) -> Vec<(&'static str, u64)> {
    let read = || -> Result<Vec<(&'static str, u64)>, Malformed> {
        let mut c = payload.fields();
        if c.u32()? != 0 {
            return Ok(Vec::new());
        }
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
        names.into_iter().map(|n| Ok((n, u64::from(c.u32()?)))).collect()
    };
    read().unwrap_or_default()
}
