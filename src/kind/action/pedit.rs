//! `pedit`: net/sched/act_pedit.c, tc-pedit(8). Writes into packets.

mod field;

pub use field::Header;

use super::control::{CONTROL, Control, INDEX, Index, figures, head, read_end, read_head};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::walk::Walk;
use crate::kind::wire::{Attributes, Malformed, NESTED, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, Rows, attribute, no_option, read_row, row_words};
use crate::packet::{Octet, Packet};
use crate::rows;
use crate::syntax::document::{Node, Value};
use crate::unit::{Flag, Info, Reader, Refusal, Schema, Unit, Words};

rows! {
    /// Edits of a packet.
    pub struct Pedit {
        /// count from the header that is named, and allow `add`
        ex: Flag = Row::new("ex").flag().computed("`yes` where a layer is named");
        /// the edits: a field as `ip ttl set 64`, or a place as `offset 8 u8 set 64`; `retain` names the bits that change
        munge: Edits = Row::new("munge").short();
        /// what becomes of the packet then
        control: Control = CONTROL.default("pass");
        /// the number under which several filters share the action
        index: Index = INDEX;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "pedit",
    role: Role::Action,
    doc: "writes into packets: fields of their headers by name, or octets by their place. Checksums are not mended: `csum` \
          does it, in a list behind it",
    options: || Box::new(Pedit::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_ACT_PEDIT",
    module: "act_pedit",
    attributes: &[
        no_option("TCA_PEDIT_TM", TM, "times, which are figures"),
        attribute("TCA_PEDIT_PARMS", PARMS, &["munge", "control", "index"]),
        no_option("TCA_PEDIT_PAD", 3, "padding only"),
        attribute("TCA_PEDIT_PARMS_EX", PARMS_EX, &["ex", "munge", "control", "index"]),
        attribute("TCA_PEDIT_KEYS_EX", KEYS_EX, &["munge"]),
        attribute("TCA_PEDIT_KEY_EX", KEY_EX, &["munge"]),
        attribute("TCA_PEDIT_KEY_EX_HTYPE", HTYPE, &["munge"]),
        attribute("TCA_PEDIT_KEY_EX_CMD", CMD, &["munge"]),
    ],
    xstats: |payload, _| {
        let plain = payload.attributes().is_ok_and(|all| all.get(PARMS).is_some());
        figures(if plain { PARMS } else { PARMS_EX }, TM, payload)
    },
};

const TM: u16 = 1;
const PARMS: u16 = 2;
const PARMS_EX: u16 = 4;
const KEYS_EX: u16 = 5;
const KEY_EX: u16 = 6;
const HTYPE: u16 = 1;
const CMD: u16 = 2;

/// As many as tc packs (`MAX_OFFS`).
const MOST: usize = 128;

/// An edit of four octets: `(old & mask) ^ value`, or with `add` the sum of both under the inverse of the mask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// Where `offset` is counted from.
    pub header: Header,
    /// Whether the value is added.
    pub add: bool,
    /// The first octet, a multiple of four; negative ones lie before the header.
    pub offset: u32,
    /// The value, the first octet being the highest.
    pub value: u32,
    /// The bits that stay.
    pub mask: u32,
    /// An octet of the packet that moves the offset,
    pub at: u32,
    /// by these of its bits,
    pub offmask: u32,
    /// shifted to the right by so much.
    pub shift: u32,
}

/// Edits, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits(pub Vec<Key>);

impl Edits {
    /// Reads one more.
    fn read_one(&mut self, ex: bool, words: &mut Words, reader: &mut Reader) -> Result<(), Refusal> {
        self.0.extend(field::read(ex, words, reader)?);
        if self.0.len() > MOST {
            let message = format!("{} edits of four octets in one action: at most {MOST}", self.0.len());
            return Err(Refusal::coded(&codes::OUT_OF_RANGE, message));
        }
        Ok(())
    }

    fn texts(&self) -> Vec<String> {
        let (mut rest, mut texts) = (self.0.as_slice(), Vec::new());
        while let Some((text, count)) = field::show(rest) {
            texts.push(text);
            rest = rest.get(count..).unwrap_or_default();
        }
        texts
    }
}

impl Unit for Edits {
    const INFO: Info = Info {
        name: "edits of a packet",
        spellings: "`ip ttl set 64`, `ip tos set 0x20 retain 0xfc`, `tcp dport set 8080`, `offset 8 u8 clear`, or a list",
        schema: Schema::List("^(offset|eth|ip|ip6|tcp|udp) .+$"),
    };

    /// Edits with commas between them.
    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut edits = Edits::default();
        for edit in text.trim_start_matches('[').trim_end_matches(']').split(',') {
            let words: Vec<String> = edit.split_whitespace().map(str::to_owned).collect();
            let mut words = Words::new(&words);
            edits.read_one(true, &mut words, reader)?;
            if let Some(word) = words.next() {
                return Err(Refusal::new(format!("what is `{word}`?")).help("part edits by commas, or write a list"));
            }
        }
        Ok(edits)
    }

    fn read_node(node: &Node, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut edits = Edits::default();
        let nodes: Vec<&Node> = match &node.value {
            Value::List(items) => items.iter().map(|item| &item.node).collect(),
            _ => vec![node],
        };
        for node in nodes {
            let text = node.as_word().ok_or_else(|| {
                let message = format!("an edit is wanted here, and this is {}", node.shape());
                Refusal::new(message).help(format!("write {}", Self::INFO.spellings)).at(node.span)
            })?;
            edits.0.extend(Self::read(text, reader).map_err(|r| r.at(node.span))?.0);
        }
        Ok(edits)
    }

    /// One edit, and more behind commas.
    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut text = String::new();
        while let Some(word) =
            words.peek().filter(|word| !matches!(*word, "munge" | "control" | "index" | "ex" | "then"))
        {
            words.next();
            text.push_str(word);
            text.push(' ');
        }
        Self::read(text.trim(), reader)
    }

    fn show(&self) -> String {
        self.texts().join(", ")
    }

    fn tc(&self) -> String {
        self.texts().join(" munge ")
    }

    /// The kernel shifts by 31 at most.
    fn same(&self, other: &Self) -> bool {
        let kept = |key: &Key| Key { shift: key.shift.min(31), ..*key };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| kept(a) == kept(b))
    }
}

impl Pedit {
    /// Whether layers are told apart.
    fn extended(&self) -> bool {
        let keys = self.munge.iter().flat_map(|edits| &edits.0);
        self.ex == Some(Flag(true)) || keys.into_iter().any(|key| key.header != Header::NETWORK || key.add)
    }
}

impl Key {
    /// Edits a packet, if it reaches so far and is of the protocol whose header is meant.
    fn apply(&self, packet: &mut Packet) -> Option<()> {
        let layers = packet.layers();
        let above = |proto: u8| layers.transport.filter(|_| layers.proto == proto).map(|at| at as i64);
        let base = match self.header {
            Header::ETH => -(packet.network() as i64),
            Header::TCP => above(6)?,
            Header::UDP => above(17)?,
            _ => 0,
        };
        let moved = match self.offmask {
            0 => 0,
            mask => match packet.octets(base + i64::from(self.at), 1).number() {
                Octet::Is(octet) => (octet & mask).checked_shr(self.shift).unwrap_or(0),
                _ => return None,
            },
        };
        let at = base + i64::from(self.offset as i32) + i64::from(moved);
        let Octet::Is(old) = packet.octets(at, 4).number() else { return None };
        let value = if self.add { old.wrapping_add(self.value) & !self.mask } else { self.value };
        packet.write(at, &((old & self.mask) ^ value).to_be_bytes());
        Some(())
    }
}

impl Options for Pedit {
    fn act(&self, walk: &mut dyn Walk) -> Control {
        for key in self.munge.iter().flat_map(|edits| &edits.0) {
            key.apply(walk.packet_mut());
        }
        self.control.unwrap_or(Control::PASS)
    }

    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let Pedit { ex: _, munge, control, index } = self;
        let keys = munge.as_ref().map_or(&[][..], |edits| &edits.0);
        // struct tc_pedit_sel goes on: nkeys, flags, and its keys: mask, val, off, at, offmask, shift
        let parms = head(*index, control.unwrap_or(Control::PASS)).u8(keys.len() as u8).u8(0).u16(0);
        let parms = keys.iter().fold(parms, |parms, key| {
            let Key { header: _, add: _, offset, value, mask, at, offmask, shift } = key;
            let parms = parms.raw(&mask.to_be_bytes()).raw(&value.to_be_bytes());
            parms.u32(*offset).u32(*at).u32(*offmask).u32(*shift)
        });
        if !self.extended() {
            return out.raw(PARMS, &parms.0);
        }
        out.raw(PARMS_EX, &parms.0);
        out.nest(KEYS_EX | NESTED, |list| {
            for key in keys {
                list.nest(KEY_EX | NESTED, |one| {
                    one.u16(HTYPE, key.header.0);
                    one.u16(CMD, u16::from(key.add));
                });
            }
        });
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        let Some(parms) = attributes.get(PARMS).or_else(|| attributes.get(PARMS_EX)) else { return Ok(()) };
        let mut c = parms.fields();
        (self.index, self.control) = read_head(&mut c)?;
        let (count, _flags, _gap) = (c.u8()?, c.u8()?, c.u16()?);
        let mut keys = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let (mask, value) = (u32::from_be_bytes(c.array()?), u32::from_be_bytes(c.array()?));
            let (offset, at, offmask, shift) = (c.u32()?, c.u32()?, c.u32()?, c.u32()?);
            keys.push(Key { offset, value, mask, at, offmask, shift, ..Key::default() });
        }
        let more = attributes.nested(KEYS_EX)?.unwrap_or_default();
        for (key, (_, one)) in keys.iter_mut().zip(&more.list) {
            let one = one.attributes()?;
            key.header = Header(one.u16(HTYPE)?.unwrap_or(0));
            key.add = one.u16(CMD)? == Some(1);
        }
        self.ex = attributes.get(PARMS).is_none().then_some(Flag(true));
        self.munge = (!keys.is_empty()).then_some(Edits(keys));
        Ok(())
    }

    fn assume(&mut self, _facts: &Facts) {
        self.ex = Some(Flag(self.extended()));
        self.assume_constants();
    }

    /// Each edit has the word before it.
    fn tc(&self, out: &mut Vec<String>) {
        let written = Pedit { ex: self.extended().then_some(Flag(true)), ..self.clone() };
        for (i, row) in Pedit::ROWS.iter().enumerate() {
            if let Some(slot) = written.slot(i) {
                row_words(row, slot, out);
            }
        }
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !reader.tc {
            // `munge …` again and again, as tc has it
            if !words.take("munge") {
                return read_row(self, words, reader);
            }
            let more = Edits::read_words(words, reader)?;
            self.munge.get_or_insert_default().0.extend(more.0);
            return Ok(true);
        }
        if *self != Pedit::default() {
            return Ok(false);
        }
        // tc reads its own name once more, as its manual page writes it
        let mut again = false;
        while words.take_short("pedit") {
            again = true;
        }
        if words.take_short("ex") {
            if again {
                return Err(Refusal::new("`ex` must be before the first `munge`").help("write `pedit ex munge …`"));
            }
            self.ex = Some(Flag(true));
        }
        let ex = self.ex.is_some();
        while words.take_short("munge") {
            self.munge.get_or_insert_default().read_one(ex, words, reader)?;
        }
        let edits = self.munge.is_some();
        read_end(&mut self.control, &mut self.index, words, reader)?;
        if !edits && self.index.is_none() {
            let help = "write `pedit ex munge ip ttl set 64`";
            return Err(Refusal::new("`pedit` without anything to edit").help(help));
        }
        Ok(true)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        if self.munge.as_ref().is_none_or(|edits| edits.0.is_empty()) && self.index.is_none() {
            let f = Finding::new(&codes::MISSING_OPTION, "munge", "`pedit` without anything to edit");
            out.push(f.help("write `munge: ip ttl set 64`"));
        }
        if self.ex == Some(Flag(false)) && self.extended() {
            let f = Finding::new(&codes::BAD_VALUE, "ex", "layers are named, and are not to be told apart");
            out.push(f.and("munge", "").help("leave `ex` out, or write places as `offset 8 u8 set 64`"));
        }
        if self.munge.as_ref().is_some_and(|edits| edits.0.len() > MOST) {
            let message = format!("more than {MOST} edits of four octets in one action");
            out.push(Finding::new(&codes::OUT_OF_RANGE, "munge", message).help("write several actions in a list"));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pedit(text: &str) -> Result<Pedit, Refusal> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let mut pedit = Pedit::default();
        crate::kind::read_tc(&mut pedit, &mut Words::new(&words), &mut Reader::tc()).map(|()| pedit)
    }

    #[test]
    fn edits_are_shown_as_they_are_written() {
        for text in [
            "ex munge ip ttl set 64",
            "ex munge ip ttl add 255",
            "ex munge ip tos set 32 retain 0xfc",
            "ex munge ip src set 192.0.2.1 munge ip df set 64",
            "ex munge ip df invert",
            "ex munge ip6 dst set 2001:db8::1 munge ip6 traffic_class set 32",
            "ex munge ip6 flow_lbl set 0x12345",
            "ex munge eth dst set 02:00:00:00:00:01 munge eth src set 02:00:00:00:00:02 munge eth type set 0x800",
            "ex munge tcp dport set 8080 munge udp sport set 53 munge tcp flags set 2 pipe index 4",
            "munge offset 8 u8 set 64",
            "munge offset -4 u16 set 0x1234",
            "munge offset 0 u16 set 0x200 retain 0xff0",
            "munge offset 0 u32 at 20 0xf 3 set 0x5 drop",
            "munge offset 12 u32 invert",
        ] {
            let read = pedit(text).unwrap();
            let mut words = Vec::new();
            read.tc(&mut words);
            assert_eq!(words.join(" "), text);
            let shown = read.munge.clone().unwrap().show();
            assert_eq!(Edits::read(&shown, &mut Reader::default()).unwrap(), read.munge.unwrap(), "{shown}");
        }
    }

    #[test]
    fn what_tc_refuses_is_refused() {
        for text in [
            "",
            "munge",
            "munge ip ttl add 1",
            "munge tcp dport set 80",
            "munge ip6 hoplimit set 64",
            "ex munge ip dport set 80",
            "ex munge ip tos decrement",
            "ex munge ip ttl set 256",
            "ex munge eth dst set 02:00:00:00:00:01 retain 0xff",
            "ex munge icmp type set 8",
            "munge offset 3 u16 set 1",
            "munge offset 2 u32 set 1",
            "munge offset 0 u8 at 20 offmask 0xf shift 3 set 1",
            "ex munge ip ttl multiply 2",
        ] {
            assert!(pedit(text).is_err() || text.is_empty(), "{text}");
        }
    }

    #[test]
    fn foreign_edits_have_words_of_our_own() {
        let key = Key { header: Header::TCP, offset: 4, value: 0x1200_0034, mask: 0x3fff_ffff, ..Key::default() };
        let shown = Edits(vec![key]).show();
        assert_eq!(shown, "tcp offset 4 u32 raw 0x12000034 0x3fffffff");
        assert_eq!(Edits::read(&shown, &mut Reader::default()).unwrap(), Edits(vec![key]));
    }
}
