//! `cake_mq`: net/sched/sch_cake.c since Linux 7.0, tc-cake(8). A `cake` on each transmit queue of the device; all have the
//! options of the one at the root, and share its rate. The kernel makes them, and lets none be changed or replaced.

use super::cake::{self, Cake};
use crate::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Drops, Finding, Kind, Options, Role, Row, Rows};
use crate::unit::{Flag, Reader, Refusal, Slot, Words};
use std::any::Any;

/// The options of `cake`, for all queues of a device.
#[derive(Clone, Debug, Default)]
pub struct CakeMq(pub Cake);

/// The kind.
pub static KIND: Kind = Kind {
    name: "cake_mq",
    role: Role::Qdisc,
    doc: "`cake` on every transmit queue of the device, with one rate for all of them: for links that are too fast for one \
          processor. Flows and hosts are told apart in each queue alone",
    options: || Box::new(CakeMq::default()),
    module: "sch_cake",
    ..cake::KIND
};

impl Rows for CakeMq {
    fn rows(&self) -> &'static [Row] {
        self.0.rows()
    }

    fn slot(&self, row: usize) -> Option<&dyn Slot> {
        self.0.slot(row)
    }

    fn slot_mut(&mut self, row: usize) -> Option<&mut dyn Slot> {
        self.0.slot_mut(row)
    }

    fn boxed(&self) -> Box<dyn Options> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

impl Options for CakeMq {
    /// `cake_mq_init`.
    fn root_only(&self) -> bool {
        true
    }

    fn change_drops(&self, held: &dyn Options) -> Option<Drops> {
        self.0.change_drops(&held.as_kind::<CakeMq>()?.0)
    }

    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        self.0.encode(out, facts);
    }

    fn decode(&mut self, payload: Payload, facts: &Facts) -> Result<(), Malformed> {
        self.0.decode(payload, facts)
    }

    fn complete(&mut self, facts: &Facts) {
        self.0.complete(facts);
    }

    fn assume(&mut self, facts: &Facts) {
        self.0.assume(facts);
    }

    fn tc(&self, out: &mut Vec<String>) {
        self.0.tc(out);
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        self.0.read_tc(words, reader)
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        self.0.check(facts, out);
        if self.0.autorate_ingress == Some(Flag(true)) {
            let message = "each queue would follow a rate of its own, and the kernel refuses it";
            let f = Finding::new(&codes::BAD_VALUE, "autorate-ingress", message);
            out.push(f.help("leave it out, or write `cake`"));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read<T: Options + Default>(line: &str) -> T {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut options = T::default();
        crate::kind::read_tc(&mut options, &mut Words::new(&words), &mut Reader::tc()).unwrap();
        options
    }

    #[test]
    fn what_is_said_of_a_cake_is_said_of_all() {
        let line = "bandwidth 20mbit diffserv4 nat rtt 50ms ethernet ack-filter fwmark 0xf0 memlimit 4mb";
        let (one, all): (Cake, CakeMq) = (read(line), read(line));
        let facts = Facts::default();
        let (mut left, mut right) = (Attributes::new(), Attributes::new());
        one.encode(&mut left, &facts);
        all.encode(&mut right, &facts);
        assert_eq!(left.bytes, right.bytes);
        let mut held = CakeMq::default();
        held.decode(Payload(&right.bytes), &facts).unwrap();
        let mut asked = all.clone();
        asked.complete(&facts);
        asked.assume(&facts);
        held.assume(&facts);
        assert_eq!(held.0, asked.0);
        let mut words = Vec::new();
        all.tc(&mut words);
        assert_eq!(read::<CakeMq>(&words.join(" ")).0, all.0);
    }

    #[test]
    fn each_queue_cannot_follow_a_rate_of_its_own() {
        let mut found = Vec::new();
        read::<CakeMq>("autorate-ingress").check(&Facts::default(), &mut found);
        assert!(found.iter().any(|f| f.code.name == "bad-value"));
        found.clear();
        read::<CakeMq>("bandwidth 1mbit").check(&Facts::default(), &mut found);
        assert!(found.is_empty());
    }
}
