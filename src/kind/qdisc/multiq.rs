//! `multiq`: net/sched/sch_multiq.c, Documentation/networking/multiqueue.rst.

use crate::facts::Facts;
use crate::kind::walk::{Choice, Walk};
use crate::kind::wire::{Attributes, Fields, Malformed, Payload};
use crate::kind::{Children, Kind, Options, Role, Row, no_xstats};
use crate::rows;
use crate::unit::Count;

rows! {
    /// A band for each transmit queue: the kernel counts them.
    pub struct Multiq {
        /// how many queues are in use
        bands: Count = Row::new("bands").hidden().tool();
        /// how many queues the device has
        max_bands: Count = Row::new("max_bands").hidden().tool();
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "multiq",
    role: Role::Qdisc,
    doc: "one band for each transmit queue of the device, in turns; a band waits when its queue is full. The band is the packet's queue_mapping",
    options: || Box::new(Multiq::default()),
    class: None,
    children: Children::Bands,
    change: true,
    writable: true,
    config: "NET_SCH_MULTIQ",
    module: "sch_multiq",
    attributes: &[],
    xstats: no_xstats,
};

impl Options for Multiq {
    /// `multiq_classify`: filters may act, and the queue is the band whatever class they name.
    fn choose(&self, walk: &mut dyn Walk) -> Option<Choice> {
        let this = walk.discipline();
        if let Some(end) = walk.ask(this).ends() {
            return Some(end);
        }
        Some(super::by_queue(walk, "the driver or the packet's flow chooses it"))
    }

    fn takes_filters(&self) -> bool {
        true
    }

    /// `struct tc_multiq_qopt`: the kernel writes its own figures into it.
    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        out.bare(&Fields::new().u16(0).u16(0).0);
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        if !payload.0.is_empty() {
            let mut c = payload.fields();
            self.bands = Some(Count(c.u16()?.into()));
            self.max_bands = Some(Count(c.u16()?.into()));
        }
        Ok(())
    }

    fn band_by_queue(&self) -> bool {
        true
    }
}
