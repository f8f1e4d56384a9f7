//! `qfq`: net/sched/sch_qfq.c, tc-qfq(8).

use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::walk::{Choice, Walk};
use crate::kind::wire::Payload;
use crate::kind::{Children, Finding, Kind, Options, Role, Row, Rows, Wire, attribute};
use crate::rows;
use crate::unit::{Count, Length};
use std::ops::RangeInclusive;

rows! {
    /// The discipline's own options: it has none.
    pub struct Qfq {}
}

rows! {
    /// A class's options.
    pub struct Class {
        /// the class's share, against the weights of the others
        weight: Count = Row::new("weight").short().wire(Wire::U32(1)).range(1, 1024).default("1");
        /// the largest packet of the class; the kernel raises it when a larger one comes
        maxpkt: Length = Row::new("maxpkt").decimal().short().wire(Wire::U32(2)).range(512, 65_536).computed("the MTU with its link header");
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "qfq",
    role: Role::Qdisc,
    doc: "quick fair queueing: classes share by weight, with tight delays. Shapes nothing by itself, and drops what no rule takes",
    options: || Box::new(Qfq::default()),
    class: Some(|| Box::new(Class::default())),
    children: Children::Classes,
    change: false,
    writable: true,
    config: "NET_SCH_QFQ",
    module: "sch_qfq",
    attributes: &[attribute("TCA_QFQ_WEIGHT", 1, &["weight"]), attribute("TCA_QFQ_LMAX", 2, &["maxpkt"])],
    xstats,
};

/// `QFQ_MAX_WSUM`: what the weights of all classes may come to.
pub const WEIGHTS: u64 = 64 * 1024;
/// `QFQ_MIN_LMAX` and `QFQ_MAX_LMAX`.
const PACKET: RangeInclusive<u32> = 512..=65_536;

impl Options for Qfq {
    fn choose(&self, walk: &mut dyn Walk) -> Option<Choice> {
        Some(super::by_class(walk))
    }

    fn takes_filters(&self) -> bool {
        true
    }

    fn levels(&self) -> usize {
        1
    }

    fn rest(&self) -> Option<&'static str> {
        Some("are dropped")
    }
}

impl Options for Class {
    fn forgets(&self, _word: &str) -> bool {
        true
    }

    fn assume(&mut self, facts: &Facts) {
        self.assume_constants();
        self.maxpkt.get_or_insert(Length(facts.frame()));
    }

    /// A packet larger than `maxpkt` raises it for good (`qfq_enqueue`), up to what the link hands down in one piece.
    fn same(&self, other: &dyn Options, row: usize, facts: &Facts) -> bool {
        let (Some(held), Some(asked), Some(slot)) = (other.as_kind::<Class>(), self.slot(row), other.slot(row)) else {
            return false;
        };
        let largest = facts.frame().max(facts.gso.unwrap_or(0).saturating_add(facts.header));
        match (Class::ROWS.get(row).map(|r| r.word), self.maxpkt, held.maxpkt) {
            (Some("maxpkt"), Some(asked), Some(held)) if held > asked => held.0 <= largest,
            _ => asked.same(slot),
        }
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        self.check_widths(out);
        match self.maxpkt {
            Some(Length(n)) if !PACKET.contains(&n) => {}
            Some(Length(n)) if n < facts.frame() => {
                let message = format!(
                    "maxpkt {n}b is below one packet of {} bytes, and the first of them raises it",
                    facts.frame()
                );
                let f = Finding::new(&codes::NO_EFFECT, "maxpkt", message);
                out.push(f.help(format!("write `maxpkt: {}b` or leave it out", facts.frame())));
            }
            None if !PACKET.contains(&facts.frame()) => {
                let message = format!(
                    "packets of this link have {} bytes, and qfq takes {} to {}",
                    facts.frame(),
                    PACKET.start(),
                    PACKET.end()
                );
                out.push(Finding::new(&codes::OUT_OF_RANGE, "maxpkt", message).help("write `maxpkt: 65536b`"));
            }
            _ => {}
        }
    }
}

/// `struct tc_qfq_stats`, of a class.
fn xstats(payload: Payload, _: &Facts) -> Vec<(&'static str, u64)> {
    let mut c = payload.fields();
    ["weight", "lmax"].into_iter().map_while(|name| Some((name, u64::from(c.u32().ok()?)))).collect()
}
