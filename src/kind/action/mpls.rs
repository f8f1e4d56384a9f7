//! `mpls`: net/sched/act_mpls.c, tc-mpls(8). Puts on, takes off or changes an MPLS label.

use super::control::{CONTROL, Control, INDEX, Index, figures, head, read_end, read_head, read_index, read_options};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::walk::Walk;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{
    Children, Finding, Kind, Options, Role, Row, Wire, attribute, decode_rows, encode_rows, no_option, read_row,
};
use crate::rows;
use crate::unit::choice::choice;
use crate::unit::{Number, Number8, Protocol, Reader, Refusal, Unit, Words};

rows! {
    /// An MPLS label.
    pub struct Mpls {
        /// put a label on (`push`, or `mac_push` before the Ethernet header), take it off (`pop`), change it (`modify`) or lower its time to live (`dec_ttl`)
        mode: Mode = Row::new("mode").bare();
        /// the label
        label: Number = Row::new("label").short().wire(Wire::U32(LABEL));
        /// the Ethernet protocol: `mpls_uc` or `mpls_mc` of what is labelled, or of what is left after `pop`
        protocol: Protocol = Row::new("protocol").short().wire(Wire::Be16(PROTOCOL)).computed("`mpls_uc` when a label is put on");
        /// the traffic class, 0 to 7
        tc: Number8 = Row::new("tc").short().wire(Wire::U8(CLASS));
        /// the time to live
        ttl: Number8 = Row::new("ttl").short().wire(Wire::U8(TTL)).computed("255 when a label is put on");
        /// whether it is the bottom of the stack: 1 or 0
        bos: Number8 = Row::new("bos").short().wire(Wire::U8(BOS)).computed("the packet's, when a label is put on");
        /// what becomes of the packet then
        control: Control = CONTROL.default("pipe");
        /// the number under which several filters share the action
        index: Index = INDEX;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "mpls",
    role: Role::Action,
    doc: "puts an MPLS label on, takes it off, changes it or lowers its time to live",
    options: || Box::new(Mpls::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_ACT_MPLS",
    module: "act_mpls",
    attributes: &[
        no_option("TCA_MPLS_TM", TM, "times, which are figures"),
        attribute("TCA_MPLS_PARMS", PARMS, &["mode", "control", "index"]),
        no_option("TCA_MPLS_PAD", 3, "padding only"),
        attribute("TCA_MPLS_PROTO", PROTOCOL, &["protocol"]),
        attribute("TCA_MPLS_LABEL", LABEL, &["label"]),
        attribute("TCA_MPLS_TC", CLASS, &["tc"]),
        attribute("TCA_MPLS_TTL", TTL, &["ttl"]),
        attribute("TCA_MPLS_BOS", BOS, &["bos"]),
    ],
    xstats: |payload, _| figures(PARMS, TM, payload),
};

choice!(
    /// What is done (`TCA_MPLS_ACT_*`).
    pub enum Mode "what to do with the label" {
        /// A label comes off.
        Pop "pop",
        /// A label goes on, between the Ethernet header and the packet.
        Push "push",
        /// The label is changed.
        Modify "modify",
        /// Its time to live is one less.
        DecTtl "dec_ttl",
        /// A label goes on before the Ethernet header.
        MacPush "mac_push",
    }
);

const TM: u16 = 1;
const PARMS: u16 = 2;
const PROTOCOL: u16 = 4;
const LABEL: u16 = 5;
const CLASS: u16 = 6;
const TTL: u16 = 7;
const BOS: u16 = 8;

impl Mpls {
    fn pushes(&self) -> bool {
        matches!(self.mode, Some(Mode::Push | Mode::MacPush))
    }

    /// What tc refuses.
    fn faults(&self, out: &mut Vec<Finding>) {
        let Mpls { mode, label, protocol, tc, ttl, bos, control: _, index } = self;
        let name = mode.map_or_else(String::new, |m| m.show());
        let missing = |row, text: String, help: &str| Finding::new(&codes::MISSING_OPTION, row, text).help(help);
        match mode {
            None if index.is_none() => {
                let help = format!("write {}", Mode::INFO.spellings);
                out.push(missing("mode", "`mpls` wants what to do with the label".to_owned(), &help));
            }
            Some(Mode::Push) if label.is_none() => {
                out.push(missing("label", format!("`mpls {name}` wants a `label`"), "write `label: 20`"));
            }
            Some(Mode::Pop) if protocol.is_none() => {
                let text = "`mpls pop` wants the `protocol` of what is left".to_owned();
                out.push(missing("protocol", text, "write `protocol: ip`"));
            }
            _ => {}
        }
        let fields = self.pushes() || *mode == Some(Mode::Modify);
        let set = [("label", label.is_some()), ("tc", tc.is_some()), ("ttl", ttl.is_some()), ("bos", bos.is_some())];
        for (word, _) in set.into_iter().filter(|(_, set)| *set && !fields) {
            let text = format!("`{word}` is of `push`, `mac_push` and `modify` only");
            out.push(Finding::new(&codes::BAD_VALUE, word, text).help("leave it out"));
        }
        match protocol {
            Some(_) if !self.pushes() && *mode != Some(Mode::Pop) => {
                let text = "`protocol` is of `push`, `mac_push` and `pop` only";
                out.push(Finding::new(&codes::BAD_VALUE, "protocol", text).help("leave it out"));
            }
            Some(p) if self.pushes() && !p.is_mpls() => {
                let text = format!("`{}` is no protocol of a label", p.show());
                out.push(Finding::new(&codes::BAD_VALUE, "protocol", text).help("write `mpls_uc` or `mpls_mc`"));
            }
            _ => {}
        }
        let mut range = |row: &'static str, n: Option<u64>, least: u64, most: u64| {
            if let Some(n) = n.filter(|n| !(least..=most).contains(n)) {
                let text = format!("{row} {n} does not fit: {least} to {most}");
                out.push(Finding::new(&codes::OUT_OF_RANGE, row, text));
            }
        };
        range("label", label.map(|n| u64::from(n.0)), 0, 0xf_ffff);
        range("tc", tc.map(|n| u64::from(n.0)), 0, 7);
        range("ttl", ttl.map(|n| u64::from(n.0)), 1, 255);
        range("bos", bos.map(|n| u64::from(n.0)), 0, 1);
    }
}

impl Options for Mpls {
    fn act(&self, walk: &mut dyn Walk) -> Control {
        walk.note(None, &|| "what it does to the labels is not followed here".to_owned());
        self.control.unwrap_or(Control::PIPE)
    }

    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let mode = self.mode.and_then(|m| m.number()).unwrap_or(0);
        // struct tc_mpls goes on: m_action
        out.raw(PARMS, &head(self.index, self.control.unwrap_or(Control::PIPE)).u32(mode as u32).0);
        encode_rows(self, out);
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        if let Some(parms) = attributes.get(PARMS) {
            let mut c = parms.fields();
            (self.index, self.control) = read_head(&mut c)?;
            self.mode = Mode::from_number(u64::from(c.u32()?));
        }
        decode_rows(self, &attributes)?;
        if matches!(self.mode, Some(Mode::Modify | Mode::DecTtl)) {
            self.protocol = None; // the kernel says one where none can be
        }
        Ok(())
    }

    fn assume(&mut self, _facts: &Facts) {
        self.assume_constants();
        if self.pushes() {
            self.protocol.get_or_insert(Protocol::MPLS_UC);
            self.ttl.get_or_insert(Number8(255));
        }
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !reader.tc {
            return read_row(self, words, reader);
        }
        if *self != Mpls::default() {
            return Ok(false);
        }
        if words.peek() == Some("index") {
            read_index(&mut self.index, words, reader)?;
            return Ok(true);
        }
        self.mode = Some(Mode::read_words(words, reader)?);
        read_options(self, words, reader)?;
        read_end(&mut self.control, &mut self.index, words, reader)?;
        super::first_fault(|out| self.faults(out))?;
        Ok(true)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        self.faults(out);
        if self.mode == Some(Mode::MacPush) && self.label.is_none() {
            let text = "`mpls mac_push` wants a `label`";
            out.push(Finding::new(&codes::MISSING_OPTION, "label", text).help("write `label: 20`"));
        }
        if self.label == Some(Number(3)) {
            out.push(Finding::new(&codes::OUT_OF_RANGE, "label", "label 3 is never on a packet: it means no label"));
        }
        if let Some(p) = self.protocol.filter(|p| self.mode == Some(Mode::Pop) && p.0 < 0x0600) {
            out.push(Finding::new(&codes::BAD_VALUE, "protocol", format!("no packet has the protocol `{}`", p.show())));
        }
    }
}
