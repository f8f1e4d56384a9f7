//! `vlan`: net/sched/act_vlan.c, tc-vlan(8). Puts on, takes off or changes a VLAN tag, or an Ethernet header.

use super::control::{CONTROL, Control, INDEX, Index, figures, head, read_end, read_head, read_options};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::walk::Walk;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{
    Children, Finding, Kind, Options, Role, Row, Wire, attribute, decode_rows, encode_rows, no_option, read_row,
};
use crate::packet::{self, Tag};
use crate::rows;
use crate::unit::choice::choice;
use crate::unit::{Hardware, Number8, Number16, Protocol, Reader, Refusal, Unit, Words};

rows! {
    /// A VLAN tag.
    pub struct Vlan {
        /// put a tag on (`push`), take it off (`pop`), change it (`modify`), or the same with an Ethernet header
        mode: Mode = Row::new("mode").bare();
        /// the VLAN
        id: Number16 = Row::new("id").short().wire(Wire::U16(ID));
        /// the kind of tag: `802.1Q` or `802.1ad`
        protocol: Protocol = Row::new("protocol").short().wire(Wire::Be16(PROTOCOL)).computed("`802.1Q` with an `id`");
        /// the priority in the tag, 0 to 7
        priority: Number8 = Row::new("priority").short().wire(Wire::U8(PRIORITY)).computed("0 with `push`, what it is with `modify`");
        /// the destination of the header that is put on
        dst_mac: Hardware = Row::new("dst_mac").short();
        /// the source of the header that is put on
        src_mac: Hardware = Row::new("src_mac").short();
        /// what becomes of the packet then
        control: Control = CONTROL.default("pipe");
        /// the number under which several filters share the action
        index: Index = INDEX;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "vlan",
    role: Role::Action,
    doc: "puts a VLAN tag on, takes it off or changes it; with `push_eth` and `pop_eth` a whole Ethernet header",
    options: || Box::new(Vlan::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_ACT_VLAN",
    module: "act_vlan",
    attributes: &[
        no_option("TCA_VLAN_TM", TM, "times, which are figures"),
        attribute("TCA_VLAN_PARMS", PARMS, &["mode", "control", "index"]),
        attribute("TCA_VLAN_PUSH_VLAN_ID", ID, &["id"]),
        attribute("TCA_VLAN_PUSH_VLAN_PROTOCOL", PROTOCOL, &["protocol"]),
        no_option("TCA_VLAN_PAD", 5, "padding only"),
        attribute("TCA_VLAN_PUSH_VLAN_PRIORITY", PRIORITY, &["priority"]),
        attribute("TCA_VLAN_PUSH_ETH_DST", ETH_DST, &["dst_mac"]),
        attribute("TCA_VLAN_PUSH_ETH_SRC", ETH_SRC, &["src_mac"]),
    ],
    xstats: |payload, _| figures(PARMS, TM, payload),
};

choice!(
    /// What is done (`TCA_VLAN_ACT_*`).
    pub enum Mode "what to do with the tag" {
        /// A tag comes off.
        Pop "pop",
        /// A tag goes on.
        Push "push",
        /// The tag is changed.
        Modify "modify",
        /// The Ethernet header comes off.
        PopEth "pop_eth",
        /// An Ethernet header goes on.
        PushEth "push_eth",
    }
);

const TM: u16 = 1;
const PARMS: u16 = 2;
const ID: u16 = 3;
const PROTOCOL: u16 = 4;
const PRIORITY: u16 = 6;
const ETH_DST: u16 = 7;
const ETH_SRC: u16 = 8;

impl Vlan {
    fn tags(&self) -> bool {
        matches!(self.mode, Some(Mode::Push | Mode::Modify))
    }

    /// What is missing, or stands where it means nothing.
    fn faults(&self, out: &mut Vec<Finding>) {
        let missing = |row: &'static str, help: &str| {
            let mode = self.mode.map_or_else(String::new, |m| m.show());
            let text =
                format!("`vlan {mode}` wants {}", if row == "id" { "the VLAN's `id`" } else { "both addresses" });
            Finding::new(&codes::MISSING_OPTION, row, text).help(help)
        };
        match self.mode {
            None if self.index.is_none() => out.push(
                Finding::new(&codes::MISSING_OPTION, "mode", "`vlan` wants what to do with the tag")
                    .help(format!("write {}", Mode::INFO.spellings)),
            ),
            Some(Mode::Push | Mode::Modify) if self.id.is_none() => out.push(missing("id", "write `id: 5`")),
            Some(Mode::PushEth) if self.dst_mac.is_none() => {
                out.push(missing("dst_mac", "write `dst_mac` and `src_mac`"))
            }
            Some(Mode::PushEth) if self.src_mac.is_none() => {
                out.push(missing("src_mac", "write `dst_mac` and `src_mac`"))
            }
            _ => {}
        }
        let tag =
            [("id", self.id.is_some()), ("protocol", self.protocol.is_some()), ("priority", self.priority.is_some())];
        let header = [("dst_mac", self.dst_mac.is_some()), ("src_mac", self.src_mac.is_some())];
        let stray = |rows: &[(&'static str, bool)], allowed: bool| {
            rows.iter().find(|(_, set)| *set && !allowed).map(|(word, _)| *word)
        };
        if let Some(word) = stray(&tag, self.tags()) {
            let f = Finding::new(&codes::BAD_VALUE, word, format!("`{word}` is of `push` and `modify` only"));
            out.push(f.help("leave it out"));
        }
        if let Some(word) = stray(&header, self.mode == Some(Mode::PushEth)) {
            let f = Finding::new(&codes::BAD_VALUE, word, format!("`{word}` is of `push_eth` only"));
            out.push(f.help("leave it out"));
        }
        if let Some(n) = self.priority.filter(|n| n.0 > 7) {
            out.push(Finding::new(
                &codes::OUT_OF_RANGE,
                "priority",
                format!("priority {} does not fit: at most 7", n.0),
            ));
        }
        if let Some(protocol) = self.protocol.filter(|p| !matches!(p.0, 0x8100 | 0x88a8)) {
            let f =
                Finding::new(&codes::BAD_VALUE, "protocol", format!("`{}` is no kind of VLAN tag", protocol.show()));
            out.push(f.help("write `802.1Q` or `802.1ad`"));
        }
    }
}

impl Options for Vlan {
    fn act(&self, walk: &mut dyn Walk) -> Control {
        let protocol = self.protocol.map_or(packet::VLAN, |protocol| protocol.0);
        let id = self.id.and_then(|id| id.number()).unwrap_or(0) as u16;
        let priority = self.priority.and_then(|priority| priority.number()).unwrap_or(0) as u8;
        let packet = walk.packet_mut();
        match (self.mode, packet.tag()) {
            (Some(Mode::Push), _) => packet.push_tag(Tag { protocol, priority, id }),
            (Some(Mode::Pop), _) => packet.pop_tag(),
            (Some(Mode::Modify), Some(old)) => {
                let priority = if self.priority.is_some() { priority } else { old.priority };
                packet.set_tag(Some(Tag { protocol, priority, id }));
            }
            (Some(Mode::PopEth | Mode::PushEth), _) => {
                walk.note(None, &|| "what it does to the Ethernet header is not followed here".to_owned());
            }
            _ => {}
        }
        self.control.unwrap_or(Control::PIPE)
    }

    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let mode = self.mode.and_then(|m| m.number()).unwrap_or(0);
        // struct tc_vlan goes on: v_action
        out.raw(PARMS, &head(self.index, self.control.unwrap_or(Control::PIPE)).u32(mode as u32).0);
        encode_rows(self, out);
        for (number, mac) in [(ETH_DST, self.dst_mac), (ETH_SRC, self.src_mac)] {
            if let Some(Hardware(octets)) = mac {
                out.raw(number, &octets);
            }
        }
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        if let Some(parms) = attributes.get(PARMS) {
            let mut c = parms.fields();
            (self.index, self.control) = read_head(&mut c)?;
            self.mode = Mode::from_number(u64::from(c.u32()?));
        }
        decode_rows(self, &attributes)?;
        let mac = |number| attributes.get(number).map(|p| p.fields().array().map(Hardware)).transpose();
        (self.dst_mac, self.src_mac) = (mac(ETH_DST)?, mac(ETH_SRC)?);
        Ok(())
    }

    fn assume(&mut self, _facts: &Facts) {
        self.assume_constants();
        if self.tags() {
            self.protocol.get_or_insert(Protocol(0x8100));
        }
        if self.mode == Some(Mode::Push) {
            self.priority.get_or_insert(Number8(0));
        }
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !reader.tc {
            return read_row(self, words, reader);
        }
        if *self != Vlan::default() {
            return Ok(false);
        }
        // tc wants what is to be done first: what follows is refused without it
        if let Some(Ok(mode)) = words.peek().map(|word| Mode::read(word, reader)) {
            words.next();
            self.mode = Some(mode);
        }
        read_options(self, words, reader)?;
        if let Some(word) =
            words.peek().filter(|word| Mode::read(word, reader).is_ok() && !Control::starts(word, reader))
        {
            return Err(Refusal::new(format!("`{word}` where `vlan` has been told what to do already")));
        }
        read_end(&mut self.control, &mut self.index, words, reader)?;
        super::first_fault(|out| self.faults(out))?;
        Ok(true)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        self.faults(out);
        if let Some(id) = self.id.filter(|id| id.0 >= 4095) {
            out.push(Finding::new(&codes::OUT_OF_RANGE, "id", format!("id {} does not fit: at most 4094", id.0)));
        }
    }
}
