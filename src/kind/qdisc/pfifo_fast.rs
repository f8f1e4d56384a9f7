//! `pfifo_fast`: net/sched/sch_generic.c, tc-pfifo_fast(8).

use super::band;
use super::prio::Prio;
use crate::facts::Facts;
use crate::kind::walk::{Choice, Walk};
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Children, Kind, Options, Role, Row, no_xstats};
use crate::rows;
use crate::unit::{Number, NumberList};

rows! {
    /// What it tells of itself. It takes no options.
    pub struct PfifoFast {
        /// how many bands there are
        bands: Number = Row::new("bands").hidden().default("3");
        /// the band of each packet priority from 0 to 15
        priomap: NumberList = Row::new("priomap").hidden().default("1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1");
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "pfifo_fast",
    role: Role::Qdisc,
    doc: "the kernel's classic default: three bands by packet priority, none of which can be configured. `prio` has three that can",
    options: || Box::new(PfifoFast::default()),
    class: None,
    children: Children::None,
    change: false,
    writable: true,
    config: "NET_SCHED",
    module: "",
    attributes: &[],
    xstats: no_xstats,
};

impl Options for PfifoFast {
    fn choose(&self, walk: &mut dyn Walk) -> Option<Choice> {
        let priority = walk.packet().meta.priority;
        let band = band(self.priomap.as_ref().map_or(&[], |map| &map.0), priority & 15);
        Some(Choice::Queue(format!("band {band}, by its priority {priority}").into()))
    }

    fn encode(&self, _out: &mut Attributes, _facts: &Facts) {}

    /// As `prio` tells it.
    fn decode(&mut self, payload: Payload, facts: &Facts) -> Result<(), Malformed> {
        let mut told = Prio::default();
        told.decode(payload, facts)?;
        (self.bands, self.priomap) = (told.bands, told.priomap);
        Ok(())
    }
}
