//! `drr`: net/sched/sch_drr.c, tc-drr(8).

use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::walk::{Choice, Walk};
use crate::kind::wire::Payload;
use crate::kind::{Children, Finding, Kind, Options, Role, Row, Wire, attribute};
use crate::rows;
use crate::unit::{Bytes, Unit};

rows! {
    /// The discipline's own options: it has none.
    pub struct Drr {}
}

rows! {
    /// A class's options.
    pub struct Class {
        /// bytes that the class may send a turn; what the quanta are to each other is what the classes get
        quantum: Bytes = Row::new("quantum").wire(Wire::U32(1)).range(1, u32::MAX as u64).kept(256, 1 << 20).computed("the MTU with its link header");
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "drr",
    role: Role::Qdisc,
    doc: "deficit round robin: classes take turns and share by their quanta. Shapes nothing by itself, and drops what no rule takes",
    options: || Box::new(Drr::default()),
    class: Some(|| Box::new(Class::default())),
    children: Children::Classes,
    change: false,
    writable: true,
    config: "NET_SCH_DRR",
    module: "sch_drr",
    attributes: &[attribute("TCA_DRR_QUANTUM", 1, &["quantum"])],
    xstats,
};

impl Options for Drr {
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
    fn assume(&mut self, facts: &Facts) {
        self.quantum.get_or_insert(Bytes(u64::from(facts.frame())));
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        let frame = u64::from(facts.frame());
        match self.quantum {
            Some(quantum) if quantum.0 < frame => {
                let message = format!("quantum {} is below one packet of {frame} bytes", quantum.show());
                let f = Finding::new(&codes::QUANTUM_BELOW_MTU, "quantum", message);
                out.push(f.help(format!("write `quantum: {frame}b` or more")));
            }
            _ => self.check_widths(out),
        }
    }
}

/// `struct tc_drr_stats`, of a class.
fn xstats(payload: Payload, _: &Facts) -> Vec<(&'static str, u64)> {
    payload.fields().u32().map(|deficit| ("deficit", u64::from(deficit))).into_iter().collect()
}
