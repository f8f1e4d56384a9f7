//! `connmark`: net/sched/act_connmark.c, tc-connmark(8). The connection's mark becomes the packet's.

use super::control::{CONTROL, Control, INDEX, Index, figures, head, read_end, read_head};
use crate::facts::Facts;
use crate::kind::walk::Walk;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Children, Kind, Options, Role, Row, attribute, no_option, read_row};
use crate::rows;
use crate::unit::{Count16, Reader, Refusal, Unit, Words};

rows! {
    /// The connection's mark.
    pub struct Connmark {
        /// the zone of connection tracking
        zone: Count16 = Row::new("zone").short().default("0");
        /// what becomes of the packet then
        control: Control = CONTROL.default("pipe");
        /// the number under which several filters share the action
        index: Index = INDEX;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "connmark",
    role: Role::Action,
    doc: "gives the packet the mark of its connection, which is how a mark that a firewall set reaches what arrives",
    options: || Box::new(Connmark::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_ACT_CONNMARK",
    module: "act_connmark",
    attributes: &[
        attribute("TCA_CONNMARK_PARMS", PARMS, &["zone", "control", "index"]),
        no_option("TCA_CONNMARK_TM", TM, "times, which are figures"),
        no_option("TCA_CONNMARK_PAD", 3, "padding only"),
    ],
    xstats: |payload, _| figures(PARMS, TM, payload),
};

const PARMS: u16 = 1;
const TM: u16 = 2;

impl Options for Connmark {
    /// What nobody has said of the connection stays unknown, and the packet's mark as it is.
    fn act(&self, walk: &mut dyn Walk) -> Control {
        match walk.packet().meta.connmark {
            Some(mark) => walk.packet_mut().meta.mark = mark,
            None => walk.note(None, &|| "the mark of its connection is not known: the packet's stays".to_owned()),
        }
        self.control.unwrap_or(Control::PIPE)
    }

    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let Connmark { zone, control, index } = self;
        // struct tc_connmark goes on: zone, and two octets to a multiple of four
        let parms = head(*index, control.unwrap_or(Control::PIPE)).u16(zone.unwrap_or_default().0).u16(0);
        out.raw(PARMS, &parms.0);
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let Some(parms) = payload.attributes()?.get(PARMS) else { return Ok(()) };
        let mut c = parms.fields();
        (self.index, self.control) = read_head(&mut c)?;
        self.zone = Some(Count16(c.u16()?));
        Ok(())
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !reader.tc {
            return read_row(self, words, reader);
        }
        if *self != Connmark::default() {
            return Ok(false);
        }
        let before = words.clone();
        if words.take_short("zone") {
            self.zone = Some(Count16::read_words(words, reader)?);
        }
        read_end(&mut self.control, &mut self.index, words, reader)?;
        Ok(words.clone().count() < before.count())
    }
}
