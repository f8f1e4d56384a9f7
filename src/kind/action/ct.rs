//! `ct`: net/sched/act_ct.c, tc-ct(8). The packet meets connection tracking: it is looked up, written down, translated.

use super::control::{CONTROL, Control, INDEX, Index, figures, head, read_head, read_index};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::walk::Walk;
use crate::kind::wire::{Attributes, Malformed, Parsed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, Rows, attribute, no_option, read_row, row_words};
use crate::rows;
use crate::unit::{
    Address, Flag, Info, Mark, Number, Number16, Octets, Reader, Refusal, Schema, Unit, Words, begins, decimal,
};
use std::net::IpAddr;

rows! {
    /// Connection tracking.
    pub struct Ct {
        /// write the connection down
        commit: Flag = Row::new("commit").short().flag().default("no");
        /// begin anew if the connection stands the other way round; with `commit`
        force: Flag = Row::new("force").short().flag().default("no");
        /// forget what is known of the connection; alone
        clear: Flag = Row::new("clear").short().flag().default("no");
        /// the zone
        zone: Number16 = Row::new("zone").short().default("0");
        /// the mark that the connection gets
        mark: Mark = Row::new("mark").short();
        /// the label that the connection gets: 16 octets in hexadecimal, after a slash the bits that count
        label: Label = Row::new("label").short();
        /// the helper that reads the connection's protocol: `ipv4-tcp-ftp`; from Linux 6.2 on
        helper: Helper = Row::new("helper").short();
        /// the number under which several filters share the action
        index: Index = INDEX;
        /// translate as the connection has it, or from now on: `src addr 192.0.2.1-192.0.2.9 port 1024-65535`
        nat: Nat = Row::new("nat").short();
        /// what becomes of the packet then
        control: Control = CONTROL.default("pipe");
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "ct",
    role: Role::Action,
    doc: "sends the packet through connection tracking, so that filters of a later chain can ask for its state; on the way in only",
    options: || Box::new(Ct::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_ACT_CT",
    module: "act_ct",
    attributes: &[
        attribute("TCA_CT_PARMS", PARMS, &["control", "index"]),
        no_option("TCA_CT_TM", TM, "times, which are figures"),
        attribute("TCA_CT_ACTION", ACTION, &["commit", "force", "clear", "nat"]),
        attribute("TCA_CT_ZONE", ZONE, &["zone"]),
        attribute("TCA_CT_MARK", MARK.0, &["mark"]),
        attribute("TCA_CT_MARK_MASK", MARK.1, &["mark"]),
        attribute("TCA_CT_LABELS", LABELS.0, &["label"]),
        attribute("TCA_CT_LABELS_MASK", LABELS.1, &["label"]),
        attribute("TCA_CT_NAT_IPV4_MIN", IPV4.0, &["nat"]),
        attribute("TCA_CT_NAT_IPV4_MAX", IPV4.1, &["nat"]),
        attribute("TCA_CT_NAT_IPV6_MIN", IPV6.0, &["nat"]),
        attribute("TCA_CT_NAT_IPV6_MAX", IPV6.1, &["nat"]),
        attribute("TCA_CT_NAT_PORT_MIN", PORT.0, &["nat"]),
        attribute("TCA_CT_NAT_PORT_MAX", PORT.1, &["nat"]),
        no_option("TCA_CT_PAD", 15, "padding only"),
        attribute("TCA_CT_HELPER_NAME", HELPER_NAME, &["helper"]),
        attribute("TCA_CT_HELPER_FAMILY", HELPER_FAMILY, &["helper"]),
        attribute("TCA_CT_HELPER_PROTO", HELPER_PROTO, &["helper"]),
    ],
    xstats: |payload, _| figures(PARMS, TM, payload),
};

const PARMS: u16 = 1;
const TM: u16 = 2;
const ACTION: u16 = 3;
const ZONE: u16 = 4;
/// Value and mask.
const MARK: (u16, u16) = (5, 6);
const LABELS: (u16, u16) = (7, 8);
/// First and last.
const IPV4: (u16, u16) = (9, 10);
const IPV6: (u16, u16) = (11, 12);
const PORT: (u16, u16) = (13, 14);
const HELPER_NAME: u16 = 16;
const HELPER_FAMILY: u16 = 17;
const HELPER_PROTO: u16 = 18;

// TCA_CT_ACT_*
const COMMIT: u16 = 1;
const FORCE: u16 = 2;
const CLEAR: u16 = 4;
const NAT: u16 = 8;
const NAT_SRC: u16 = 16;
const NAT_DST: u16 = 32;

/// The octets of a label.
const LABEL: usize = 16;

/// A connection's label under a mask. What is left out of either is zero, a mask that is not written is all ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The value.
    pub value: Vec<u8>,
    /// The bits that count.
    pub mask: Vec<u8>,
}

impl Unit for Label {
    const INFO: Info = Info {
        name: "a label",
        spellings: "`01020304`, with a mask `01020304/ffffffff`",
        schema: Schema::Pattern("^([0-9a-f]{2}){1,16}(/([0-9a-f]{2}){1,16})?$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut half = |text: &str| {
            let octets = Octets::read(text, reader).map_err(|r| r.help(format!("write {}", Self::INFO.spellings)))?.0;
            if octets.len() > LABEL {
                let message = format!("a label of {} octets: at most {LABEL}", octets.len());
                return Err(Refusal::coded(&codes::OUT_OF_RANGE, message));
            }
            Ok(octets)
        };
        match text.split_once('/') {
            Some((value, mask)) => Ok(Label { value: half(value)?, mask: half(mask)? }),
            None => Ok(Label { value: half(text)?, mask: vec![0xff; LABEL] }),
        }
    }

    fn show(&self) -> String {
        let hex = |octets: &[u8]| Octets(octets.to_vec()).show();
        if self.mask == [0xff; LABEL] { hex(&self.value) } else { format!("{}/{}", hex(&self.value), hex(&self.mask)) }
    }

    fn same(&self, other: &Self) -> bool {
        let whole = |octets: &[u8]| {
            let mut octets = octets.to_vec();
            octets.resize(LABEL, 0);
            octets
        };
        whole(&self.value) == whole(&other.value) && whole(&self.mask) == whole(&other.mask)
    }
}

/// What address and port become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Of the source, not of the destination.
    pub source: bool,
    /// The first address and the last.
    pub addresses: (IpAddr, IpAddr),
    /// The first port and the last.
    pub ports: Option<(u16, u16)>,
}

/// A translation: to a range, or as the connection has it already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nat(pub Option<Range>);

fn range<T: Copy>(text: &str, mut one: impl FnMut(&str) -> Result<T, Refusal>) -> Result<(T, T), Refusal> {
    match text.split_once('-') {
        Some((first, last)) => Ok((one(first)?, one(last)?)),
        None => one(text).map(|one| (one, one)),
    }
}

fn is(words: &mut Words, whole: &str, reader: &Reader) -> bool {
    words.take(whole) || reader.tc && words.take_short(whole)
}

impl Unit for Nat {
    const INFO: Info = Info {
        name: "a translation",
        spellings: "`yes` as the connection has it, `src addr 192.0.2.1`, or `dst addr 192.0.2.1-192.0.2.9 port 80-89`",
        schema: Schema::Pattern("^(yes|(src|dst) addr [0-9a-fA-F.:]+(-[0-9a-fA-F.:]+)?( port [0-9]+(-[0-9]+)?)?)$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let words = &mut Words::new(&words);
        if words.take("yes") {
            return Ok(Nat(None));
        }
        let nat = Self::read_words(words, reader)?;
        match (nat.0, words.next()) {
            (Some(_), None) => Ok(nat),
            (_, word) => Err(Refusal::new(format!("`{}` is no translation", word.unwrap_or(text)))
                .help(format!("write {}", Self::INFO.spellings))),
        }
    }

    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        let source = if is(words, "src", reader) {
            true
        } else if is(words, "dst", reader) {
            false
        } else {
            let _ = !reader.tc && words.take("yes");
            return Ok(Nat(None));
        };
        if !is(words, "addr", reader) {
            return Err(Refusal::new("a translation wants the addresses").help("write `addr 192.0.2.1`"));
        }
        let addresses = range(words.want("an address")?, |text| Address::read(text, reader).map(|a| a.0))?;
        let mut ports = None;
        if is(words, "port", reader) {
            let port = |text: &str| {
                let number = decimal(text, reader, "a port")?;
                u16::try_from(number)
                    .map_err(|_| Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` is no port: at most 65535")))
            };
            ports = Some(range(words.want("a port")?, port)?);
        }
        Ok(Nat(Some(Range { source, addresses, ports })))
    }

    fn show(&self) -> String {
        if self.0.is_none() { "yes".to_owned() } else { self.tc() }
    }

    fn tc(&self) -> String {
        let Some(Range { source, addresses: (first, last), ports }) = &self.0 else { return String::new() };
        let mut text = format!("{} addr {first}", if *source { "src" } else { "dst" });
        if first != last {
            text.push_str(&format!("-{last}"));
        }
        if let Some((first, last)) = ports {
            text.push_str(&format!(" port {first}"));
            if first != last {
                text.push_str(&format!("-{last}"));
            }
        }
        text
    }
}

/// A helper of connection tracking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Helper {
    /// `AF_INET` or `AF_INET6`.
    pub family: u8,
    /// The protocol above IP.
    pub protocol: u8,
    /// Its name.
    pub name: String,
}

const FAMILIES: &[(&str, u8)] = &[("ipv4", 2), ("ipv6", 10)];
const PROTOCOLS: &[(&str, u8)] = &[("tcp", 6), ("udp", 17), ("udplite", 136), ("sctp", 132), ("dccp", 33), ("gre", 47)];

impl Unit for Helper {
    const INFO: Info = Info {
        name: "a helper",
        spellings: "`ipv4-tcp-ftp`",
        schema: Schema::Pattern("^ipv[46]-(tcp|udp|[0-9]+)-[a-z][a-z0-9]{0,14}$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let wrong = || Refusal::new(format!("`{text}` is no helper")).help(format!("write {}", Self::INFO.spellings));
        let parts: Vec<&str> = text.splitn(3, '-').collect();
        let [family, protocol, name] = parts.as_slice() else { return Err(wrong()) };
        let (_, family) = FAMILIES.iter().find(|(known, _)| known == family).ok_or_else(wrong)?;
        let known = PROTOCOLS.iter().find(|(known, _)| known == protocol).map(|(_, number)| *number);
        let number = || Number::read(protocol, reader).ok().and_then(|n| u8::try_from(n.0).ok());
        let protocol = known.or_else(number).ok_or_else(wrong)?;
        if name.is_empty() || name.len() > 15 || name.contains('-') {
            return Err(wrong());
        }
        Ok(Helper { family: *family, protocol, name: (*name).to_owned() })
    }

    fn show(&self) -> String {
        let family = FAMILIES.iter().find(|(_, number)| *number == self.family).map_or("ipv4", |(name, _)| name);
        let protocol = PROTOCOLS.iter().find(|(_, number)| *number == self.protocol);
        let protocol = protocol.map_or_else(|| self.protocol.to_string(), |(name, _)| (*name).to_owned());
        format!("{family}-{protocol}-{}", self.name)
    }
}

fn on(flag: Option<Flag>) -> bool {
    flag == Some(Flag(true))
}

impl Ct {
    fn bits(&self) -> u16 {
        let nat = match &self.nat {
            None => 0,
            Some(Nat(None)) => NAT,
            Some(Nat(Some(range))) => NAT | if range.source { NAT_SRC } else { NAT_DST },
        };
        let flags = [(self.commit, COMMIT), (self.force, FORCE), (self.clear, CLEAR)];
        flags.iter().filter(|(flag, _)| on(*flag)).fold(nat, |bits, (_, bit)| bits | bit)
    }

    /// What tc refuses.
    fn faults(&self, out: &mut Vec<Finding>) {
        let bits = self.bits();
        if bits & CLEAR != 0 && bits != CLEAR {
            let f = Finding::new(&codes::BAD_VALUE, "clear", "`clear` stands alone");
            out.push(f.help("write two actions in a list"));
        }
        let ranged = bits & (NAT_SRC | NAT_DST) != 0;
        if bits & COMMIT != 0 && bits & NAT != 0 && !ranged {
            let f = Finding::new(&codes::BAD_VALUE, "nat", "a new connection is not translated yet");
            out.push(f.and("commit", "").help("write `src addr 192.0.2.1` or `dst addr …` to say how"));
        }
        if bits & COMMIT == 0 && ranged {
            let f = Finding::new(
                &codes::MISSING_OPTION,
                "commit",
                "a translation is said when the connection is written down",
            );
            out.push(f.and("nat", "").help("write `commit` too"));
        }
    }

    fn decode_nat(&self, bits: u16, attributes: &Parsed) -> Result<Option<Nat>, Malformed> {
        if bits & NAT == 0 {
            return Ok(None);
        }
        let pair = |numbers: (u16, u16)| -> Result<Option<(IpAddr, IpAddr)>, Malformed> {
            let one = |number| -> Result<Option<IpAddr>, Malformed> {
                let Some(payload) = attributes.get(number) else { return Ok(None) };
                Ok(Some(match payload.0.len() {
                    4 => IpAddr::from(payload.fields().array::<4>()?),
                    _ => IpAddr::from(payload.fields().array::<16>()?),
                }))
            };
            let first = one(numbers.0)?;
            first.map(|first| Ok((first, one(numbers.1)?.unwrap_or(first)))).transpose()
        };
        let Some(addresses) = pair(IPV4)?.or(pair(IPV6)?) else { return Ok(Some(Nat(None))) };
        let first = attributes.be16(PORT.0)?;
        let last = attributes.be16(PORT.1)?;
        let ports = first.map(|first| (first, last.unwrap_or(first)));
        let range = Range { source: bits & NAT_SRC != 0, addresses, ports };
        Ok(Some(Nat(Some(range).filter(|_| bits & (NAT_SRC | NAT_DST) != 0))))
    }
}

impl Options for Ct {
    fn act(&self, walk: &mut dyn Walk) -> Control {
        walk.note(None, &|| "what connection tracking makes of it is not followed here".to_owned());
        self.control.unwrap_or(Control::PIPE)
    }

    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        let Ct { commit: _, force: _, clear: _, zone, mark, label, nat, helper, control, index } = self;
        if let Some(Number16(zone)) = zone {
            out.u16(ZONE, *zone);
        }
        if let Some(Mark { value, mask }) = mark {
            out.u32(MARK.0, *value);
            out.u32(MARK.1, *mask);
        }
        if let Some(Label { value, mask }) = label {
            out.raw(LABELS.0, value);
            out.raw(LABELS.1, mask);
        }
        if let Some(Nat(Some(Range { source: _, addresses, ports }))) = nat {
            for address in [(addresses.0, IPV4.0, IPV6.0), (addresses.1, IPV4.1, IPV6.1)] {
                match address {
                    (IpAddr::V4(address), number, _) => out.raw(number, &address.octets()),
                    (IpAddr::V6(address), _, number) => out.raw(number, &address.octets()),
                }
            }
            if let Some((first, last)) = ports {
                out.be16(PORT.0, *first);
                out.be16(PORT.1, *last);
            }
        }
        if let Some(Helper { family, protocol, name }) = helper {
            out.u8(HELPER_FAMILY, *family);
            out.u8(HELPER_PROTO, *protocol);
            out.text(HELPER_NAME, name);
        }
        out.u16(ACTION, self.bits());
        out.raw(PARMS, &head(*index, control.unwrap_or(Control::PIPE)).0);
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        if let Some(parms) = attributes.get(PARMS) {
            (self.index, self.control) = read_head(&mut parms.fields())?;
        }
        let bits = attributes.u16(ACTION)?.unwrap_or(0);
        let flag = |bit: u16| (bits & bit != 0).then_some(Flag(true));
        (self.commit, self.force, self.clear) = (flag(COMMIT), flag(FORCE), flag(CLEAR));
        self.zone = attributes.u16(ZONE)?.map(Number16);
        let mask = attributes.u32(MARK.1)?.unwrap_or(u32::MAX);
        self.mark = attributes.u32(MARK.0)?.map(|value| Mark { value, mask });
        let octets =
            |number| attributes.get(number).map(|p: Payload| p.0.iter().copied().take(LABEL).collect::<Vec<_>>());
        let mask = octets(LABELS.1).unwrap_or_else(|| vec![0xff; LABEL]);
        self.label = octets(LABELS.0).map(|value| Label { value, mask });
        self.nat = self.decode_nat(bits, &attributes)?;
        if let Some(name) = attributes.get(HELPER_NAME) {
            let family = attributes.u8(HELPER_FAMILY)?.unwrap_or(2);
            let protocol = attributes.u8(HELPER_PROTO)?.unwrap_or(6);
            self.helper = Some(Helper { family, protocol, name: name.text() });
        }
        Ok(())
    }

    /// Marks and labels of which no bit counts are none; of what is cleared the kernel keeps nothing else.
    fn assume(&mut self, _facts: &Facts) {
        if on(self.clear) {
            let Ct { clear, control, index, .. } = *self;
            *self = Ct { clear, control, index, ..Ct::default() };
        }
        self.mark = self.mark.filter(|mark| mark.mask != 0);
        self.label = self.label.take().filter(|label| label.mask.iter().any(|octet| *octet != 0));
        self.assume_constants();
    }

    /// tc wants a word behind a translation without ports: the verdict is written then.
    fn tc(&self, out: &mut Vec<String>) {
        let open = self.nat.is_some_and(|nat| nat.0.is_none_or(|range| range.ports.is_none()));
        let written = Ct { control: self.control.or(open.then_some(Control::PIPE)), ..self.clone() };
        for (i, row) in Ct::ROWS.iter().enumerate() {
            if let Some(slot) = written.slot(i) {
                row_words(row, slot, out);
            }
        }
    }

    /// In any order up to the verdict, behind which nothing of it stands. After `nat` and after its addresses tc looks
    /// for one more word, and fails where there is none.
    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !reader.tc {
            return read_row(self, words, reader);
        }
        if *self != Ct::default() {
            return Ok(false);
        }
        let total = words.left();
        while let Some(word) = words.peek() {
            if begins(word, "index") {
                read_index(&mut self.index, words, reader)?;
                continue;
            }
            if begins(word, "label") {
                words.next();
                let text = words.want("a label")?;
                // tc cuts an odd digit off
                let even = |text: &str| text.get(..text.len() & !1).unwrap_or_default().to_owned();
                let text = text.split_once('/').map_or_else(|| even(text), |(v, m)| format!("{}/{}", even(v), even(m)));
                self.label = Some(Label::read(&text, reader)?);
                continue;
            }
            let nat = begins(word, "nat");
            let before = words.left();
            super::control::read_option(self, words, reader)?;
            let ports = matches!(self.nat, Some(Nat(Some(Range { ports: Some(_), .. }))));
            if nat && words.peek().is_none() && !ports {
                return Err(Refusal::new("tc wants one more word behind `nat`").help("write a verdict: `pipe`"));
            }
            if words.left() == before {
                break;
            }
        }
        super::first_fault(|out| self.faults(out))?;
        if words.peek().is_some_and(|word| Control::starts(word, reader)) {
            self.control = Some(Control::read_words(words, reader)?);
        }
        Ok(words.left() < total)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        self.faults(out);
        if on(self.force) && !on(self.commit) {
            let f = Finding::new(&codes::NO_EFFECT, "force", "`force` without `commit` does nothing");
            out.push(f.help("write `commit` too"));
        }
        let alone = [self.zone.is_some(), self.mark.is_some(), self.label.is_some(), self.helper.is_some()];
        if on(self.clear) && alone.contains(&true) {
            let f = Finding::new(&codes::NO_EFFECT, "clear", "what is cleared has no zone, mark, label or helper");
            out.push(f.help("leave them out"));
        }
        if let Some(Nat(Some(Range { addresses: (first, last), ports, .. }))) = self.nat {
            if first.is_ipv4() != last.is_ipv4() || first > last {
                let message = format!("no addresses from {first} to {last}");
                out.push(Finding::new(&codes::OUT_OF_RANGE, "nat", message).help("write the lower one first"));
            }
            if let Some((first, last)) = ports.filter(|(first, last)| first > last) {
                let message = format!("no ports from {first} to {last}");
                out.push(Finding::new(&codes::OUT_OF_RANGE, "nat", message).help("write the lower one first"));
            }
        }
    }
}
