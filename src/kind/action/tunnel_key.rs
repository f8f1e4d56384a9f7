//! `tunnel_key`: net/sched/act_tunnel_key.c, tc-tunnel_key(8). What a tunnel device puts on the packet, or took off it.

use super::control::{CONTROL, Control, INDEX, Index, figures, head, read_end, read_head, read_options};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Malformed, NESTED, Parsed, Payload};
use crate::kind::{
    Children, Finding, Kind, Options, Role, Row, Wire, attribute, decode_rows, encode_rows, no_option, read_row,
};
use crate::rows;
use crate::unit::choice::choice;
use crate::unit::{
    Address, Count, Count16, Flag, Info, Number, Octets, Reader, Refusal, Schema, Unit, Words, begins, integer_of_32,
};
use std::net::IpAddr;

rows! {
    /// A tunnel's header.
    pub struct TunnelKey {
        /// say what the tunnel puts on (`set`), or forget it (`unset`)
        mode: Mode = Row::new("mode").bare();
        /// the address the tunnel sends from
        src_ip: Address = Row::new("src_ip").short();
        /// the address the tunnel sends to
        dst_ip: Address = Row::new("dst_ip").short();
        /// the tunnel's number: VNI, or key
        id: Count = Row::new("id").short().wire(Wire::Be32(KEY_ID)).computed("none");
        /// the UDP port the tunnel sends to
        dst_port: Count16 = Row::new("dst_port").short().wire(Wire::Be16(DST_PORT)).default("0");
        /// options of geneve, `CLASS:TYPE:DATA` in hexadecimal, several behind commas
        geneve_opts: Geneve = Row::new("geneve_opts").short();
        /// the group policy of vxlan
        vxlan_opts: Number = Row::new("vxlan_opts").short();
        /// options of erspan, `VERSION:INDEX:DIRECTION:HARDWARE`
        erspan_opts: Erspan = Row::new("erspan_opts").short();
        /// the TOS octet of the outer header
        tos: Octet = Row::new("tos").short().wire(Wire::U8(TOS)).default("0");
        /// the time to live of the outer header; 0 for the device's own
        ttl: Octet = Row::new("ttl").short().wire(Wire::U8(TTL)).default("0");
        /// whether the outer UDP header has a checksum
        csum: Flag = Row::new("csum").off("nocsum").default("yes");
        /// forbid fragments of the outer packet; from Linux 6.9 on
        nofrag: Flag = Row::new("nofrag").flag().default("no");
        /// what becomes of the packet then
        control: Control = CONTROL.default("pipe");
        /// the number under which several filters share the action
        index: Index = INDEX;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "tunnel_key",
    role: Role::Action,
    doc: "says what a tunnel device is to put on the packet: addresses, number, options; or forgets what one took off",
    options: || Box::new(TunnelKey::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_ACT_TUNNEL_KEY",
    module: "act_tunnel_key",
    attributes: &[
        no_option("TCA_TUNNEL_KEY_TM", TM, "times, which are figures"),
        attribute("TCA_TUNNEL_KEY_PARMS", PARMS, &["mode", "control", "index"]),
        attribute("TCA_TUNNEL_KEY_ENC_IPV4_SRC", SRC.0, &["src_ip"]),
        attribute("TCA_TUNNEL_KEY_ENC_IPV4_DST", DST.0, &["dst_ip"]),
        attribute("TCA_TUNNEL_KEY_ENC_IPV6_SRC", SRC.1, &["src_ip"]),
        attribute("TCA_TUNNEL_KEY_ENC_IPV6_DST", DST.1, &["dst_ip"]),
        attribute("TCA_TUNNEL_KEY_ENC_KEY_ID", KEY_ID, &["id"]),
        no_option("TCA_TUNNEL_KEY_PAD", 8, "padding only"),
        attribute("TCA_TUNNEL_KEY_ENC_DST_PORT", DST_PORT, &["dst_port"]),
        attribute("TCA_TUNNEL_KEY_NO_CSUM", NO_CSUM, &["csum"]),
        attribute("TCA_TUNNEL_KEY_ENC_OPTS", OPTS, &["geneve_opts", "vxlan_opts", "erspan_opts"]),
        attribute("TCA_TUNNEL_KEY_ENC_TOS", TOS, &["tos"]),
        attribute("TCA_TUNNEL_KEY_ENC_TTL", TTL, &["ttl"]),
        attribute("TCA_TUNNEL_KEY_NO_FRAG", NO_FRAG, &["nofrag"]),
        attribute("TCA_TUNNEL_KEY_ENC_OPTS_GENEVE", GENEVE, &["geneve_opts"]),
        attribute("TCA_TUNNEL_KEY_ENC_OPTS_VXLAN", VXLAN, &["vxlan_opts"]),
        attribute("TCA_TUNNEL_KEY_ENC_OPTS_ERSPAN", ERSPAN, &["erspan_opts"]),
        attribute("TCA_TUNNEL_KEY_ENC_OPT_GENEVE_CLASS", 1, &["geneve_opts"]),
        attribute("TCA_TUNNEL_KEY_ENC_OPT_GENEVE_TYPE", 2, &["geneve_opts"]),
        attribute("TCA_TUNNEL_KEY_ENC_OPT_GENEVE_DATA", 3, &["geneve_opts"]),
        attribute("TCA_TUNNEL_KEY_ENC_OPT_VXLAN_GBP", 1, &["vxlan_opts"]),
        attribute("TCA_TUNNEL_KEY_ENC_OPT_ERSPAN_VER", 1, &["erspan_opts"]),
        attribute("TCA_TUNNEL_KEY_ENC_OPT_ERSPAN_INDEX", 2, &["erspan_opts"]),
        attribute("TCA_TUNNEL_KEY_ENC_OPT_ERSPAN_DIR", 3, &["erspan_opts"]),
        attribute("TCA_TUNNEL_KEY_ENC_OPT_ERSPAN_HWID", 4, &["erspan_opts"]),
    ],
    xstats: |payload, _| figures(PARMS, TM, payload),
};

choice!(
    /// What is done (`TCA_TUNNEL_KEY_ACT_*`).
    pub enum Mode "`set` or `unset`" {
        /// The header is said.
        Set "set",
        /// It is forgotten.
        Unset "unset",
    }
);

const TM: u16 = 1;
const PARMS: u16 = 2;
/// Of IPv4 and of IPv6.
const SRC: (u16, u16) = (3, 5);
const DST: (u16, u16) = (4, 6);
const KEY_ID: u16 = 7;
const DST_PORT: u16 = 9;
const NO_CSUM: u16 = 10;
const OPTS: u16 = 11;
const TOS: u16 = 12;
const TTL: u16 = 13;
const NO_FRAG: u16 = 14;
const GENEVE: u16 = 1;
const VXLAN: u16 = 2;
const ERSPAN: u16 = 3;
/// The bits of vxlan's group policy that the kernel keeps (`VXLAN_GBP_MASK`).
const GROUP_POLICY: u32 = 0x0048_ffff;

/// An octet that tc reads in decimal, and in hexadecimal what is not decimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Octet(pub u8);

impl Unit for Octet {
    const INFO: Info =
        Info { name: "an octet", spellings: "`64` or `0x10`", schema: Schema::Pattern("^([0-9]+|0x[0-9a-fA-F]+)$") };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let number = match reader.tc {
            true => integer_of_32(text, 10).filter(|n| *n < 256).or_else(|| integer_of_32(text, 16)),
            false => Some(Number::read(text, reader)?.0),
        };
        let wrong =
            || Refusal::new(format!("`{text}` is not an octet")).help(format!("write {}", Self::INFO.spellings));
        number.and_then(|n| u8::try_from(n).ok()).map(Octet).ok_or_else(wrong)
    }

    fn show(&self) -> String {
        self.0.to_string()
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u8::try_from(number).ok().map(Octet)
    }
}

/// Options of geneve: class, type and data of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Geneve(pub Vec<(u16, u8, Octets)>);

impl Unit for Geneve {
    const INFO: Info = Info {
        name: "options of geneve",
        spellings: "`0102:80:00880022`, several as `0102:80:00880022,0102:81:11223344`",
        schema: Schema::Pattern("^[0-9a-f]{1,4}:[0-9a-f]{1,2}:([0-9a-f]{8})+$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let one = |text: &str| {
            let wrong = || {
                Refusal::new(format!("`{text}` is no option of geneve")).help(format!("write {}", Self::INFO.spellings))
            };
            let parts: Vec<&str> = text.split(':').filter(|part| !part.is_empty()).collect();
            let [class, kind, data] = parts.as_slice() else { return Err(wrong()) };
            let class = integer_of_32(class, 16).and_then(|n| u16::try_from(n).ok()).ok_or_else(wrong)?;
            let kind = integer_of_32(kind, 16).and_then(|n| u8::try_from(n).ok()).ok_or_else(wrong)?;
            Ok((class, kind, Octets::read(data, reader).map_err(|_| wrong())?))
        };
        let list: Result<Vec<_>, _> = text.split(',').filter(|part| !part.is_empty()).map(one).collect();
        list.map(Geneve)
    }

    fn show(&self) -> String {
        let one = |(class, kind, data): &(u16, u8, Octets)| format!("{class:04x}:{kind:02x}:{}", data.show());
        self.0.iter().map(one).collect::<Vec<_>>().join(",")
    }
}

/// Options of erspan. The first version has an index, the second a direction and a number of the hardware.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erspan {
    /// 1 or 2.
    pub version: u8,
    /// The index, of the first version.
    pub index: Option<u32>,
    /// 0 for what arrives, 1 for what leaves.
    pub direction: Option<u8>,
    /// The number of the hardware.
    pub hardware: Option<u8>,
}

impl Unit for Erspan {
    const INFO: Info = Info {
        name: "options of erspan",
        spellings: "`1:5:0:0` or `2:0:1:7`",
        schema: Schema::Pattern("^[12]:[0-9]+:[01]:[0-9]$"),
    };

    fn read(text: &str, _reader: &mut Reader) -> Result<Self, Refusal> {
        let wrong = || {
            Refusal::new(format!("`{text}` is no options of erspan")).help(format!("write {}", Self::INFO.spellings))
        };
        let parts: Vec<&str> = text.split(':').filter(|part| !part.is_empty()).collect();
        let number = |at: usize| parts.get(at).map(|part| integer_of_32(part, 0).ok_or_else(wrong)).transpose();
        let octet = |at| number(at)?.map(|n| u8::try_from(n).map_err(|_| wrong())).transpose();
        if parts.len() > 4 {
            return Err(wrong());
        }
        Ok(Erspan {
            version: octet(0)?.ok_or_else(wrong)?,
            index: number(1)?,
            direction: octet(2)?,
            hardware: octet(3)?,
        })
    }

    fn show(&self) -> String {
        let Erspan { version, index, direction, hardware } = self;
        let [index, direction, hardware] =
            [index.unwrap_or(0), u32::from(direction.unwrap_or(0)), u32::from(hardware.unwrap_or(0))];
        format!("{version}:{index}:{direction}:{hardware}")
    }

    /// What the other version has does not count.
    fn same(&self, other: &Self) -> bool {
        let kept = |e: &Self| match e.version {
            1 => (1, e.index, None, None),
            n => (n, None, e.direction.map(|d| d & 1), e.hardware.map(|h| h & 0x3f)),
        };
        kept(self) == kept(other)
    }
}

impl TunnelKey {
    /// What tc refuses.
    fn faults(&self, out: &mut Vec<Finding>) {
        if self.mode != Some(Mode::Set) {
            return;
        }
        for (word, set) in [("src_ip", self.src_ip.is_some()), ("dst_ip", self.dst_ip.is_some())] {
            if !set {
                let f = Finding::new(&codes::MISSING_OPTION, word, format!("`tunnel_key set` wants a `{word}`"));
                out.push(f.help(format!("write `{word}: 192.0.2.1`")));
            }
        }
    }

    fn encode_opts(&self, out: &mut Attributes) {
        if let Some(Geneve(list)) = &self.geneve_opts {
            out.nest(OPTS, |all| {
                for (class, kind, Octets(data)) in list {
                    all.nest(GENEVE, |one| {
                        one.be16(1, *class);
                        one.u8(2, *kind);
                        one.raw(3, data);
                    });
                }
            });
        }
        if let Some(Number(policy)) = self.vxlan_opts {
            out.nest(OPTS | NESTED, |all| all.nest(VXLAN | NESTED, |one| one.u32(1, policy)));
        }
        if let Some(Erspan { version, index, direction, hardware }) = self.erspan_opts {
            out.nest(OPTS | NESTED, |all| {
                all.nest(ERSPAN | NESTED, |one| {
                    one.u8(1, version);
                    if let Some(index) = index {
                        one.be32(2, index);
                    }
                    for (number, octet) in [(3, direction), (4, hardware)] {
                        if let Some(octet) = octet {
                            one.u8(number, octet);
                        }
                    }
                });
            });
        }
    }

    fn decode_opts(&mut self, opts: &Parsed) -> Result<(), Malformed> {
        let mut list: Vec<(u16, u8, Octets)> = Vec::new();
        for (number, payload) in &opts.list {
            let one = payload.attributes()?;
            match *number {
                // the kernel says all of geneve's in one, one behind the other
                GENEVE => {
                    for (part, payload) in &one.list {
                        match (part, list.last_mut()) {
                            (1, _) => list.push((u16::from_be_bytes(payload.fields().array()?), 0, Octets::default())),
                            (2, Some(last)) => last.1 = payload.fields().u8()?,
                            (3, Some(last)) => last.2 = Octets(payload.0.to_vec()),
                            _ => {}
                        }
                    }
                }
                VXLAN => self.vxlan_opts = one.u32(1)?.map(Number),
                ERSPAN => {
                    self.erspan_opts = Some(Erspan {
                        version: one.u8(1)?.unwrap_or(0),
                        index: one.be32(2)?,
                        direction: one.u8(3)?,
                        hardware: one.u8(4)?,
                    });
                }
                _ => {}
            }
        }
        self.geneve_opts = (!list.is_empty()).then_some(Geneve(list));
        Ok(())
    }
}

fn encode_address(address: Option<Address>, numbers: (u16, u16), out: &mut Attributes) {
    match address {
        Some(Address(IpAddr::V4(address))) => out.raw(numbers.0, &address.octets()),
        Some(Address(IpAddr::V6(address))) => out.raw(numbers.1, &address.octets()),
        None => {}
    }
}

fn decode_address(attributes: &Parsed, numbers: (u16, u16)) -> Result<Option<Address>, Malformed> {
    let v4 =
        attributes.get(numbers.0).map(|p| p.fields().array::<4>().map(|o| Address(IpAddr::from(o)))).transpose()?;
    let v6 =
        attributes.get(numbers.1).map(|p| p.fields().array::<16>().map(|o| Address(IpAddr::from(o)))).transpose()?;
    Ok(v4.or(v6))
}

impl Options for TunnelKey {
    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        encode_address(self.src_ip, SRC, out);
        encode_address(self.dst_ip, DST, out);
        let numbers = TunnelKey { tos: None, ttl: None, ..self.clone() };
        encode_rows(&numbers, out);
        self.encode_opts(out);
        encode_rows(&TunnelKey { tos: self.tos, ttl: self.ttl, ..TunnelKey::default() }, out);
        out.u8(NO_CSUM, u8::from(self.csum == Some(Flag(false))));
        if self.nofrag == Some(Flag(true)) {
            out.flag(NO_FRAG);
        }
        let mode = self.mode.and_then(|m| m.number()).unwrap_or(0);
        // struct tc_tunnel_key goes on: t_action
        out.raw(PARMS, &head(self.index, self.control.unwrap_or(Control::PIPE)).u32(mode as u32).0);
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        if let Some(parms) = attributes.get(PARMS) {
            let mut c = parms.fields();
            (self.index, self.control) = read_head(&mut c)?;
            self.mode = Mode::from_number(u64::from(c.u32()?));
        }
        decode_rows(self, &attributes)?;
        (self.src_ip, self.dst_ip) = (decode_address(&attributes, SRC)?, decode_address(&attributes, DST)?);
        self.csum = attributes.u8(NO_CSUM)?.map(|no| Flag(no == 0));
        self.nofrag = attributes.get(NO_FRAG).map(|_| Flag(true));
        self.decode_opts(&attributes.nested(OPTS)?.unwrap_or_default())
    }

    /// What is forgotten has no header; the kernel keeps nothing else of it.
    fn assume(&mut self, _facts: &Facts) {
        if self.mode == Some(Mode::Unset) {
            let TunnelKey { mode, control, index, .. } = *self;
            *self = TunnelKey { mode, control, index, ..TunnelKey::default() };
        }
        self.vxlan_opts = self.vxlan_opts.map(|Number(n)| Number(n & GROUP_POLICY));
        self.assume_constants();
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !reader.tc {
            return read_row(self, words, reader);
        }
        if *self != TunnelKey::default() {
            return Ok(false);
        }
        loop {
            let before = words.left();
            if words.peek().is_some_and(|word| begins(word, "unset") || begins(word, "set")) {
                if self.mode.is_some() {
                    let word = words.want("a word")?;
                    return Err(Refusal::new(format!("`{word}` where `tunnel_key` has been told what to do already")));
                }
                self.mode = Some(Mode::read_words(words, reader)?);
            } else if words.take_short("csum") {
                self.csum = Some(Flag(true));
            } else if words.take_short("nocsum") {
                self.csum = Some(Flag(false));
            } else {
                read_options(self, words, reader)?;
            }
            if words.left() == before {
                break;
            }
        }
        read_end(&mut self.control, &mut self.index, words, reader)?;
        super::first_fault(|out| self.faults(out))?;
        Ok(true)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        self.faults(out);
        if self.mode.is_none() && self.index.is_none() {
            let f = Finding::new(&codes::MISSING_OPTION, "mode", "`tunnel_key` wants `set` or `unset`");
            out.push(f.help("write `mode: set`"));
        }
        if let (Some(Address(src)), Some(Address(dst))) = (self.src_ip, self.dst_ip)
            && src.is_ipv4() != dst.is_ipv4()
        {
            let f = Finding::new(&codes::BAD_VALUE, "dst_ip", "a tunnel has two addresses of one family");
            out.push(f.and("src_ip", "").help("write both of IPv4 or both of IPv6"));
        }
        let opts = [
            ("geneve_opts", self.geneve_opts.is_some()),
            ("vxlan_opts", self.vxlan_opts.is_some()),
            ("erspan_opts", self.erspan_opts.is_some()),
        ];
        let mut set = opts.into_iter().filter(|(_, set)| *set).map(|(word, _)| word);
        if let (Some(first), Some(second)) = (set.next(), set.next()) {
            let f = Finding::new(&codes::BAD_VALUE, second, "a tunnel is of one kind only");
            out.push(f.and(first, "").help("leave one of them out"));
        }
        if let Some(Geneve(list)) = &self.geneve_opts {
            let odd = |data: &Octets| data.0.is_empty() || data.0.len() > 124 || !data.0.len().is_multiple_of(4);
            if list.is_empty() || list.iter().any(|(_, _, data)| odd(data)) {
                let message = "an option of geneve has 4 to 124 octets, a multiple of four";
                out.push(Finding::new(&codes::OUT_OF_RANGE, "geneve_opts", message).help("fill it up with zeros"));
            }
        }
        if let Some(erspan) = self.erspan_opts {
            let whole = match erspan.version {
                1 => erspan.index.is_some(),
                2 => erspan.direction.is_some() && erspan.hardware.is_some(),
                _ => false,
            };
            if !whole {
                let message = "erspan has version 1 with an index, or 2 with a direction and the hardware's number";
                let f = Finding::new(&codes::BAD_VALUE, "erspan_opts", message);
                out.push(f.help(format!("write {}", Erspan::INFO.spellings)));
            }
        }
        let rest = [self.id.is_some(), self.src_ip.is_some(), self.dst_ip.is_some(), self.dst_port.is_some()];
        if self.mode == Some(Mode::Unset) && rest.contains(&true) {
            let word = if self.id.is_some() { "id" } else { "dst_ip" };
            out.push(Finding::new(&codes::NO_EFFECT, word, "what is unset has no header").help("leave it out"));
        }
    }
}
