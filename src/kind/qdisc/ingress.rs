//! `ingress`: net/sched/sch_ingress.c.

use crate::kind::{Children, Kind, Options, Role, no_xstats};
use crate::rows;
use crate::unit::{Reader, Refusal, Words};

rows! {
    /// It has no options.
    pub struct Ingress {}
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "ingress",
    role: Role::Qdisc,
    doc: "the hook for what arrives: holds filters, queues nothing. A policy writes the direction `ingress`",
    options: || Box::new(Ingress::default()),
    class: None,
    children: Children::None,
    change: false,
    writable: false,
    config: "NET_SCH_INGRESS",
    module: "sch_ingress",
    attributes: &[],
    xstats: no_xstats,
};

impl Options for Ingress {
    /// tc reads `ingress handle ffff:` and makes nothing of it.
    fn read_tc(&mut self, words: &mut Words, _reader: &mut Reader) -> Result<bool, Refusal> {
        let hit = words.take("handle");
        if hit {
            words.want("a handle")?;
        }
        Ok(hit)
    }
}
