//! `flower`: net/sched/cls_flower.c, tc-flower(8). Its number is the kernel's to give, from 1 on, unless one is asked.

use super::{ACTION, FLOWID, SKIP_HW, SKIP_SW};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::action::Actions;
use crate::kind::wire::{Attributes, Malformed, Parsed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Place, Role, Row, Rows, fits, no_xstats, read_row, row_words};
use crate::rows;
use crate::unit::{ClassId, Flag, Handle, Info, Name, Number, Octets, Reader, Refusal, Schema, Unit, Words};
use std::net::IpAddr;

rows! {
    /// Packets by their fields.
    pub struct Flower {
        /// the link that the packet came in by
        indev: Name = Row::new("indev");
        /// the hardware address it is for
        dst_mac: Mac = Row::new("dst_mac");
        /// the hardware address it is from
        src_mac: Mac = Row::new("src_mac");
        /// how many VLAN tags it has
        num_of_vlans: Number = Row::new("num_of_vlans");
        /// the VLAN
        vlan_id: Number = Row::new("vlan_id");
        /// the priority in the VLAN's tag
        vlan_prio: Number = Row::new("vlan_prio");
        /// the protocol inside of the VLAN
        vlan_ethtype: EtherType = Row::new("vlan_ethtype");
        /// the VLAN inside of the VLAN
        cvlan_id: Number = Row::new("cvlan_id");
        /// the priority in the inner VLAN's tag
        cvlan_prio: Number = Row::new("cvlan_prio");
        /// the protocol inside of the inner VLAN
        cvlan_ethtype: EtherType = Row::new("cvlan_ethtype");
        /// the protocol above IP
        ip_proto: IpProto = Row::new("ip_proto");
        /// the address it is for
        dst_ip: Network = Row::new("dst_ip");
        /// the address it is from
        src_ip: Network = Row::new("src_ip");
        /// the octet that holds DSCP and ECN; of IPv6 the traffic class
        ip_tos: Hex8 = Row::new("ip_tos");
        /// the time to live; of IPv6 the hop limit
        ip_ttl: Dec8 = Row::new("ip_ttl");
        /// whether it is a fragment
        ip_flags: IpFlags = Row::new("ip_flags");
        /// the port it is for
        dst_port: Ports = Row::new("dst_port");
        /// the port it is from
        src_port: Ports = Row::new("src_port");
        /// the flags of TCP
        tcp_flags: Bits12 = Row::new("tcp_flags");
        /// the type of an ICMP message
        icmp_type: Dec8 = Row::new("type");
        /// the code of an ICMP message
        icmp_code: Dec8 = Row::new("code");
        /// what connection tracking knows of it
        ct_state: CtState = Row::new("ct_state");
        /// the zone of connection tracking
        ct_zone: Dec16 = Row::new("ct_zone");
        /// the mark of its connection
        ct_mark: Hex32 = Row::new("ct_mark");
        /// the class to send to
        flowid: ClassId = FLOWID;
        /// keep it out of the hardware
        skip_hw: Flag = SKIP_HW;
        /// keep it out of the kernel: hardware only
        skip_sw: Flag = SKIP_SW;
        /// what to do with the packets
        action: Actions = ACTION;
        /// the protocol of the filter once more, as its first key
        eth_type: EtherType = Row::new("eth_type").hidden();
        /// keys that have no row here, as attributes
        other: Octets = Row::new("other").hidden();
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "flower",
    role: Role::Filter,
    doc: "takes packets by their fields, by hashing: as fast with a thousand filters of one mask as with one",
    options: || Box::new(Flower::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_CLS_FLOWER",
    module: "cls_flower",
    attributes: &[],
    xstats: no_xstats,
};

/// `ETH_P_ALL`: the filter's protocol where it is for all.
const ALL: u16 = 3;

/// A field of `BITS` bits under a mask; tc reads some of them in hexadecimal only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits<const BITS: u32, const HEX: bool> {
    /// The value.
    pub value: u32,
    /// The bits that count.
    pub mask: u32,
}

/// An octet shown in hexadecimal.
pub type Hex8 = Bits<8, true>;
/// An octet.
pub type Dec8 = Bits<8, false>;
/// Twelve bits shown in hexadecimal.
pub type Bits12 = Bits<12, true>;
/// Two octets.
pub type Dec16 = Bits<16, false>;
/// Four octets shown in hexadecimal.
pub type Hex32 = Bits<32, true>;

impl<const BITS: u32, const HEX: bool> Bits<BITS, HEX> {
    /// All bits of the field.
    pub const WHOLE: u32 = u32::MAX >> (32 - BITS);

    /// A value that every bit counts of.
    pub const fn new(value: u32) -> Self {
        Bits { value, mask: Self::WHOLE }
    }
}

impl<const BITS: u32, const HEX: bool> Unit for Bits<BITS, HEX> {
    const INFO: Info = Info {
        name: "a number, with a mask if one likes",
        spellings: "`64`, `0x10` or `0xb8/0xfc`",
        schema: Schema::Pattern("^([0-9]+|0x[0-9a-fA-F]+)(/([0-9]+|0x[0-9a-fA-F]+))?$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let half = |half: &str, reader: &mut Reader| {
            let Number(n) = Number::read(half, reader)?;
            if n > Self::WHOLE {
                return Err(Refusal::coded(
                    &codes::OUT_OF_RANGE,
                    format!("`{half}` does not fit: at most {}", Self::WHOLE),
                ));
            }
            Ok(n)
        };
        match text.split_once('/') {
            Some((value, mask)) => Ok(Bits { value: half(value, reader)?, mask: half(mask, reader)? }),
            None => Ok(Bits::new(half(text, reader)?)),
        }
    }

    fn show(&self) -> String {
        let value = if HEX || self.mask != Self::WHOLE { format!("{:#x}", self.value) } else { self.value.to_string() };
        if self.mask == Self::WHOLE { value } else { format!("{value}/{:#x}", self.mask) }
    }

    /// Bits outside of the mask do not count.
    fn same(&self, other: &Self) -> bool {
        self.mask == other.mask && (self.value ^ other.value) & self.mask == 0
    }
}

/// A hardware address, under a mask if one likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac {
    /// The address.
    pub octets: [u8; 6],
    /// The bits that count.
    pub mask: [u8; 6],
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut octets = [0; 6];
    let mut parts = text.split(':');
    for octet in &mut octets {
        *octet = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(octets)
}

fn show_mac(octets: [u8; 6]) -> String {
    octets.map(|o| format!("{o:02x}")).join(":")
}

impl Unit for Mac {
    const INFO: Info = Info {
        name: "a hardware address",
        spellings: "`02:00:00:00:00:01`, with a mask `02:00:00:00:00:00/24`",
        schema: Schema::Pattern("^([0-9a-fA-F]{1,2}:){5}[0-9a-fA-F]{1,2}(/.+)?$"),
    };

    fn read(text: &str, _reader: &mut Reader) -> Result<Self, Refusal> {
        let wrong = || {
            Refusal::new(format!("`{text}` is not a hardware address")).help(format!("write {}", Self::INFO.spellings))
        };
        let (address, mask) = text.split_once('/').map_or((text, None), |(a, m)| (a, Some(m)));
        let mask = match mask {
            None => Some([0xff; 6]),
            Some(mask) => match mask.parse::<u32>() {
                Ok(bits) if bits <= 48 => {
                    let [mask @ .., _, _] = u64::MAX.checked_shl(64 - bits).unwrap_or(0).to_be_bytes();
                    Some(mask)
                }
                Ok(_) => None,
                Err(_) => mac(mask),
            },
        };
        Ok(Mac { octets: mac(address).ok_or_else(wrong)?, mask: mask.ok_or_else(wrong)? })
    }

    fn show(&self) -> String {
        match self.mask {
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => show_mac(self.octets),
            mask => format!("{}/{}", show_mac(self.octets), show_mac(mask)),
        }
    }

    /// Bits outside of the mask do not count.
    fn same(&self, other: &Self) -> bool {
        let under = |mac: &Mac| {
            let mut octets = mac.octets;
            octets.iter_mut().zip(mac.mask).for_each(|(o, m)| *o &= m);
            octets
        };
        self.mask == other.mask && under(self) == under(other)
    }
}

/// An Ethernet protocol number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EtherType(pub u16);

const ETHER_TYPES: &[(&str, u16)] =
    &[("ip", 0x0800), ("ipv4", 0x0800), ("ipv6", 0x86dd), ("arp", 0x0806), ("802.1q", 0x8100), ("802.1ad", 0x88a8)];

impl Unit for EtherType {
    const INFO: Info = Info {
        name: "an Ethernet protocol",
        spellings: "`ip`, `ipv6`, `arp`, `802.1q` or a number as `0x88cc`",
        schema: Schema::Pattern("^(ip|ipv4|ipv6|arp|802.1[qQ]|802.1ad|[0-9]+|0x[0-9a-fA-F]+)$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        if let Some((_, n)) = ETHER_TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Ok(EtherType(*n));
        }
        let number = Number::read(text, reader).ok().and_then(|n| u16::try_from(n.0).ok());
        number.map(EtherType).ok_or_else(|| {
            Refusal::new(format!("`{text}` is no Ethernet protocol")).help(format!("write {}", Self::INFO.spellings))
        })
    }

    fn show(&self) -> String {
        let name = ETHER_TYPES.iter().find(|(_, n)| *n == self.0).map(|(name, _)| (*name).to_owned());
        name.unwrap_or_else(|| format!("{:#06x}", self.0))
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u16::try_from(number).ok().map(EtherType)
    }
}

/// A protocol above IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpProto(pub u8);

impl IpProto {
    /// TCP.
    pub const TCP: IpProto = IpProto(6);
    /// UDP.
    pub const UDP: IpProto = IpProto(17);
    /// SCTP.
    pub const SCTP: IpProto = IpProto(132);
    /// ICMP of IPv4.
    pub const ICMP: IpProto = IpProto(1);
    /// ICMP of IPv6.
    pub const ICMPV6: IpProto = IpProto(58);
}

const IP_PROTOS: &[(&str, IpProto)] = &[
    ("tcp", IpProto::TCP),
    ("udp", IpProto::UDP),
    ("sctp", IpProto::SCTP),
    ("icmp", IpProto::ICMP),
    ("icmpv6", IpProto::ICMPV6),
];

impl Unit for IpProto {
    const INFO: Info = Info {
        name: "a protocol above IP",
        spellings: "`tcp`, `udp`, `sctp`, `icmp`, `icmpv6` or a number as `47`",
        schema: Schema::Pattern("^(tcp|udp|sctp|icmp|icmpv6|[0-9]+|0x[0-9a-fA-F]+)$"),
    };

    /// tc reads a number as hexadecimal here, with or without `0x`.
    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        if let Some((_, proto)) = IP_PROTOS.iter().find(|(name, _)| *name == text) {
            return Ok(*proto);
        }
        let number = if reader.tc {
            u8::from_str_radix(text.trim_start_matches("0x"), 16).ok()
        } else {
            Number::read(text, reader).ok().and_then(|n| u8::try_from(n.0).ok())
        };
        number.map(IpProto).ok_or_else(|| {
            Refusal::new(format!("`{text}` is no protocol above IP")).help(format!("write {}", Self::INFO.spellings))
        })
    }

    fn show(&self) -> String {
        let name = IP_PROTOS.iter().find(|(_, p)| p == self).map(|(name, _)| (*name).to_owned());
        name.unwrap_or_else(|| self.0.to_string())
    }

    fn tc(&self) -> String {
        let name = IP_PROTOS.iter().find(|(_, p)| p == self).map(|(name, _)| (*name).to_owned());
        name.unwrap_or_else(|| format!("{:#x}", self.0))
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u8::try_from(number).ok().map(IpProto)
    }
}

/// An address of either family under a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The address.
    pub address: IpAddr,
    /// The bits that count, of the same family.
    pub mask: IpAddr,
}

impl Network {
    /// All addresses that begin with the first `prefix` bits.
    pub fn new(address: IpAddr, prefix: u8) -> Network {
        let mask = match address {
            IpAddr::V4(_) => IpAddr::V4(u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0).into()),
            IpAddr::V6(_) => IpAddr::V6(u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0).into()),
        };
        Network { address, mask }.trimmed()
    }

    /// Without the bits that do not count.
    fn trimmed(self) -> Network {
        let address = match (self.address, self.mask) {
            (IpAddr::V4(a), IpAddr::V4(m)) => IpAddr::V4(a & m),
            (IpAddr::V6(a), IpAddr::V6(m)) => IpAddr::V6(a & m),
            (address, _) => address,
        };
        Network { address, ..self }
    }

    fn prefix(&self) -> Option<u32> {
        let (ones, zeros, bits) = match self.mask {
            IpAddr::V4(m) => (m.to_bits().leading_ones(), m.to_bits().trailing_zeros(), 32),
            IpAddr::V6(m) => (m.to_bits().leading_ones(), m.to_bits().trailing_zeros(), 128),
        };
        (ones + zeros >= bits).then_some(ones)
    }
}

impl Unit for Network {
    const INFO: Info = Info {
        name: "an address",
        spellings: "`192.0.2.0/24`, `2001:db8::/32`, or an address alone",
        schema: Schema::Pattern("^[0-9a-fA-F.:]+(/[0-9a-fA-F.:]+)?$"),
    };

    fn read(text: &str, _reader: &mut Reader) -> Result<Self, Refusal> {
        let wrong =
            || Refusal::new(format!("`{text}` is not an address")).help(format!("write {}", Self::INFO.spellings));
        let (address, mask) = text.split_once('/').map_or((text, None), |(a, m)| (a, Some(m)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        match mask.map(|m| (m.parse::<u8>(), m.parse::<IpAddr>())) {
            None => Ok(Network::new(address, most)),
            Some((Ok(prefix), _)) if prefix <= most => Ok(Network::new(address, prefix)),
            Some((_, Ok(mask))) if mask.is_ipv4() == address.is_ipv4() => Ok(Network { address, mask }.trimmed()),
            Some(_) => Err(wrong()),
        }
    }

    fn show(&self) -> String {
        match self.prefix() {
            Some(prefix) => format!("{}/{prefix}", self.address),
            None => format!("{}/{}", self.address, self.mask),
        }
    }
}

/// One port, ports under a mask, or a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// A port; every bit of `mask` counts.
    Masked {
        /// The port.
        port: u16,
        /// The bits that count.
        mask: u16,
    },
    /// From the first to the last; not the same port twice.
    Range(u16, u16),
}

impl Ports {
    /// One port.
    pub const fn one(port: u16) -> Ports {
        Ports::Masked { port, mask: u16::MAX }
    }

    /// From the first to the last, which may be the same.
    pub const fn range(first: u16, last: u16) -> Ports {
        if first == last { Ports::one(first) } else { Ports::Range(first, last) }
    }
}

impl Unit for Ports {
    const INFO: Info = Info {
        name: "a port",
        spellings: "`22`, `8000-8999` or `0x6000/0xe000`",
        schema: Schema::Pattern("^([0-9]+|0x[0-9a-fA-F]+)([-/]([0-9]+|0x[0-9a-fA-F]+))?$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut half = |half: &str| {
            let Number(n) =
                Number::read(half, reader).map_err(|r| r.help(format!("write {}", Self::INFO.spellings)))?;
            u16::try_from(n)
                .map_err(|_| Refusal::coded(&codes::OUT_OF_RANGE, format!("`{half}` does not fit: ports end at 65535")))
        };
        if let Some((port, mask)) = text.split_once('/') {
            return Ok(Ports::Masked { port: half(port)?, mask: half(mask)? });
        }
        match text.split_once('-') {
            Some((first, last)) => {
                let (first, last) = (half(first)?, half(last)?);
                if first >= last {
                    return Err(Refusal::new(format!("the range `{text}` ends before it begins")));
                }
                Ok(Ports::Range(first, last))
            }
            None => Ok(Ports::one(half(text)?)),
        }
    }

    fn show(&self) -> String {
        match self {
            Ports::Masked { port, mask: u16::MAX } => port.to_string(),
            Ports::Masked { port, mask } => format!("{port:#x}/{mask:#x}"),
            Ports::Range(first, last) => format!("{first}-{last}"),
        }
    }
}

/// Flags that are asked to be set or not.
macro_rules! flags {
    ($(#[doc = $doc:literal])* $name:ident $what:literal $spell:literal [$(($word:literal, $bit:literal)),*] $yes:literal $no:literal $between:literal) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name {
            /// Those that must be set.
            pub set: u32,
            /// Those that are looked at.
            pub mask: u32,
        }
        impl $name {
            const WORDS: &'static [(&'static str, u32)] = &[$(($word, $bit)),*];
        }
        impl Unit for $name {
            const INFO: Info = Info { name: $what, spellings: $spell, schema: Schema::Pattern("^.+$") };
            fn read(text: &str, _reader: &mut Reader) -> Result<Self, Refusal> {
                let (mut flags, mut rest) = ($name { set: 0, mask: 0 }, text);
                while !rest.is_empty() {
                    let hit = Self::WORDS.iter().find_map(|(word, bit)| {
                        let no = concat!($no, "").len() > 0;
                        let off = rest.strip_prefix($no).filter(|_| no).and_then(|r| r.strip_prefix(word));
                        let on = rest.strip_prefix($yes).and_then(|r| r.strip_prefix(word));
                        off.map(|r| (*bit, false, r)).or(on.map(|r| (*bit, true, r)))
                    });
                    let Some((bit, on, after)) = hit else {
                        return Err(Refusal::new(format!("`{rest}` is not {}", $what)).help(format!("write {}", $spell)));
                    };
                    flags.mask |= bit;
                    flags.set |= if on { bit } else { 0 };
                    rest = after.strip_prefix($between).unwrap_or(after);
                }
                Ok(flags)
            }
            fn show(&self) -> String {
                let seen = Self::WORDS.iter().filter(|(_, bit)| self.mask & bit != 0);
                let one = |(word, bit): &(&str, u32)| format!("{}{word}", if self.set & bit != 0 { $yes } else { $no });
                seen.map(one).collect::<Vec<_>>().join($between)
            }
        }
    };
}

flags!(
    /// Whether a packet is a fragment (`TCA_FLOWER_KEY_FLAGS_*`).
    IpFlags "a fragment's flags" "`frag`, `nofrag`, `firstfrag`, `nofirstfrag`, `frag/firstfrag`"
    [("firstfrag", 2), ("frag", 1)] "" "no" "/"
);
flags!(
    /// What connection tracking knows of a packet (`TCA_FLOWER_KEY_CT_FLAGS_*`).
    CtState "a state of connection tracking" "`+trk+est`, `-new`"
    [("new", 1), ("est", 2), ("rel", 4), ("trk", 8), ("inv", 16), ("rpl", 32)] "+" "-" ""
);

const CLASSID: u16 = 1;
const INDEV: u16 = 2;
const ACT: u16 = 3;
const ETH_TYPE: u16 = 8;
const IP_PROTO: u16 = 9;
const FLAGS: u16 = 22;
const VLAN_ID: u16 = 23;
const VLAN_PRIO: u16 = 24;
const VLAN_ETH_TYPE: u16 = 25;
const KEY_FLAGS: (u16, u16) = (47, 48);
const TCP_FLAGS: (u16, u16) = (71, 72);
const IP_TOS: (u16, u16) = (73, 74);
const IP_TTL: (u16, u16) = (75, 76);
const CVLAN_ID: u16 = 77;
const CVLAN_PRIO: u16 = 78;
const CVLAN_ETH_TYPE: u16 = 79;
const CT_STATE: (u16, u16) = (91, 92);
const CT_ZONE: (u16, u16) = (93, 94);
const CT_MARK: (u16, u16) = (95, 96);
const NUM_OF_VLANS: u16 = 102;
// value and mask of each
const ETH_DST: (u16, u16) = (4, 5);
const ETH_SRC: (u16, u16) = (6, 7);
const IPV4_SRC: (u16, u16) = (10, 11);
const IPV4_DST: (u16, u16) = (12, 13);
const IPV6_SRC: (u16, u16) = (14, 15);
const IPV6_DST: (u16, u16) = (16, 17);

/// The attributes of a port: value and mask by protocol, and the ends of a range.
struct PortKeys {
    masked: [(IpProto, u16, u16); 3],
    ends: (u16, u16),
}

const SRC_PORT: PortKeys =
    PortKeys { masked: [(IpProto::TCP, 18, 35), (IpProto::UDP, 20, 37), (IpProto::SCTP, 41, 39)], ends: (87, 88) };
const DST_PORT: PortKeys =
    PortKeys { masked: [(IpProto::TCP, 19, 36), (IpProto::UDP, 21, 38), (IpProto::SCTP, 42, 40)], ends: (89, 90) };

/// The attributes of a value and of its mask.
type Masked = (u16, u16);

/// Type and code by family.
const ICMP: [(IpProto, Masked, Masked); 2] =
    [(IpProto::ICMP, (51, 52), (49, 50)), (IpProto::ICMPV6, (55, 56), (53, 54))];

/// Attributes that some row reads, and 86, the number of devices that took it into hardware.
fn known(number: u16) -> bool {
    matches!(number, 1..=25 | 35..=42 | 47..=56 | 71..=79 | 86..=96 | 102)
}

fn encode_network(network: Option<Network>, v4: (u16, u16), v6: (u16, u16), out: &mut Attributes) {
    let Some(Network { address, mask }) = network else { return };
    for (value, numbers) in [(address, |n: (u16, u16)| n.0), (mask, |n: (u16, u16)| n.1)] as [(_, fn(_) -> _); 2] {
        match value {
            IpAddr::V4(a) => out.raw(numbers(v4), &a.octets()),
            IpAddr::V6(a) => out.raw(numbers(v6), &a.octets()),
        }
    }
}

fn decode_network(attributes: &Parsed, v4: (u16, u16), v6: (u16, u16)) -> Result<Option<Network>, Malformed> {
    let read = |number: u16, wide: bool| -> Result<Option<IpAddr>, Malformed> {
        let Some(payload) = attributes.get(number) else { return Ok(None) };
        let mut c = payload.fields();
        Ok(Some(if wide { IpAddr::from(c.array::<16>()?) } else { IpAddr::from(c.array::<4>()?) }))
    };
    for (numbers, wide) in [(v4, false), (v6, true)] {
        if let Some(address) = read(numbers.0, wide)? {
            let whole = Network::new(address, 128).mask;
            return Ok(Some(Network { address, mask: read(numbers.1, wide)?.unwrap_or(whole) }));
        }
    }
    Ok(None)
}

impl PortKeys {
    fn encode(&self, ports: Option<Ports>, proto: Option<IpProto>, out: &mut Attributes) {
        match ports {
            Some(Ports::Masked { port, mask }) => {
                let keys = self.masked.iter().find(|(p, ..)| Some(*p) == proto);
                let Some((_, value, under)) = keys else { return };
                out.be16(*value, port);
                if mask != u16::MAX {
                    out.be16(*under, mask);
                }
            }
            Some(Ports::Range(first, last)) => {
                out.be16(self.ends.0, first);
                out.be16(self.ends.1, last);
            }
            None => {}
        }
    }

    fn decode(&self, attributes: &Parsed) -> Result<Option<Ports>, Malformed> {
        if let (Some(first), Some(last)) = (attributes.be16(self.ends.0)?, attributes.be16(self.ends.1)?) {
            return Ok(Some(Ports::range(first, last)));
        }
        for (_, value, under) in self.masked {
            if let Some(port) = attributes.be16(value)? {
                return Ok(Some(Ports::Masked { port, mask: attributes.be16(under)?.unwrap_or(u16::MAX) }));
            }
        }
        Ok(None)
    }
}

fn encode_bits<const BITS: u32, const HEX: bool>(
    bits: Option<Bits<BITS, HEX>>,
    numbers: (u16, u16),
    put: fn(&mut Attributes, u16, u32),
    out: &mut Attributes,
) {
    if let Some(Bits { value, mask }) = bits {
        put(out, numbers.0, value);
        put(out, numbers.1, mask);
    }
}

fn decode_bits<const BITS: u32, const HEX: bool>(
    numbers: (u16, u16),
    get: impl Fn(u16) -> Result<Option<u32>, Malformed>,
) -> Result<Option<Bits<BITS, HEX>>, Malformed> {
    let Some(value) = get(numbers.0)? else { return Ok(None) };
    let whole = Bits::<BITS, HEX>::WHOLE;
    Ok(Some(Bits { value: value & whole, mask: get(numbers.1)?.unwrap_or(whole) & whole }))
}

fn put8(out: &mut Attributes, number: u16, value: u32) {
    out.u8(number, value as u8);
}
fn put16(out: &mut Attributes, number: u16, value: u32) {
    out.u16(number, value as u16);
}
fn put_be16(out: &mut Attributes, number: u16, value: u32) {
    out.be16(number, value as u16);
}
fn put32(out: &mut Attributes, number: u16, value: u32) {
    out.u32(number, value);
}

impl Flower {
    fn is_tagged(&self) -> bool {
        matches!(self.eth_type, Some(EtherType(0x8100 | 0x88a8)))
    }

    /// The first key for a filter of that protocol (host order); none for a filter of all protocols.
    pub fn for_protocol(&mut self, protocol: u16) {
        self.eth_type = (protocol != ALL && protocol != 0).then_some(EtherType(protocol));
    }
}

impl Options for Flower {
    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let Flower {
            indev,
            dst_mac,
            src_mac,
            num_of_vlans,
            vlan_id,
            vlan_prio,
            vlan_ethtype,
            cvlan_id,
            cvlan_prio,
            cvlan_ethtype,
            ip_proto,
            dst_ip,
            src_ip,
            ip_tos,
            ip_ttl,
            ip_flags,
            dst_port,
            src_port,
            tcp_flags,
            icmp_type,
            icmp_code,
            ct_state,
            ct_zone,
            ct_mark,
            flowid,
            skip_hw,
            skip_sw,
            action,
            eth_type,
            other,
        } = self;
        if let Some(indev) = indev {
            out.text(INDEV, &indev.0);
        }
        for (mac, (value, under)) in [(dst_mac, ETH_DST), (src_mac, ETH_SRC)] {
            if let Some(Mac { octets, mask }) = mac {
                out.raw(value, octets);
                out.raw(under, mask);
            }
        }
        if let Some(Number(n)) = num_of_vlans {
            put8(out, NUM_OF_VLANS, *n);
        }
        for (id, prio, ethtype, numbers) in [
            (vlan_id, vlan_prio, vlan_ethtype, (VLAN_ID, VLAN_PRIO, VLAN_ETH_TYPE)),
            (cvlan_id, cvlan_prio, cvlan_ethtype, (CVLAN_ID, CVLAN_PRIO, CVLAN_ETH_TYPE)),
        ] {
            if let Some(Number(n)) = id {
                put16(out, numbers.0, *n);
            }
            if let Some(Number(n)) = prio {
                put8(out, numbers.1, *n);
            }
            if let Some(EtherType(n)) = ethtype {
                out.be16(numbers.2, *n);
            }
        }
        if let Some(IpProto(n)) = ip_proto {
            out.u8(IP_PROTO, *n);
        }
        encode_network(*dst_ip, IPV4_DST, IPV6_DST, out);
        encode_network(*src_ip, IPV4_SRC, IPV6_SRC, out);
        encode_bits(*ip_tos, IP_TOS, put8, out);
        encode_bits(*ip_ttl, IP_TTL, put8, out);
        DST_PORT.encode(*dst_port, *ip_proto, out);
        SRC_PORT.encode(*src_port, *ip_proto, out);
        encode_bits(*tcp_flags, TCP_FLAGS, put_be16, out);
        if let Some((_, kind, code)) = ICMP.iter().find(|(p, ..)| Some(*p) == *ip_proto) {
            encode_bits(*icmp_type, *kind, put8, out);
            encode_bits(*icmp_code, *code, put8, out);
        }
        if let Some(CtState { set, mask }) = ct_state {
            put16(out, CT_STATE.0, *set);
            put16(out, CT_STATE.1, *mask);
        }
        encode_bits(*ct_zone, CT_ZONE, put16, out);
        encode_bits(*ct_mark, CT_MARK, put32, out);
        if let Some(Octets(bytes)) = other {
            out.bare(bytes);
        }
        if let Some(flowid) = flowid {
            out.u32(CLASSID, flowid.0);
        }
        if let Some(action) = action {
            action.encode(ACT, out, facts);
        }
        match (skip_hw, skip_sw) {
            // tc says it here even if there is nothing to say
            (None | Some(Flag(false)), None | Some(Flag(false))) => out.u32(FLAGS, 0),
            _ => super::encode_flags(FLAGS, *skip_hw, *skip_sw, out),
        }
        if let Some(IpFlags { set, mask }) = ip_flags {
            out.be32(KEY_FLAGS.1, *mask);
            out.be32(KEY_FLAGS.0, *set);
        }
        if let Some(EtherType(n)) = eth_type {
            out.be16(ETH_TYPE, *n);
        }
    }

    fn decode(&mut self, payload: Payload, facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        let a = &attributes;
        let n8 = |n: u16| a.u8(n).map(|v| v.map(u32::from));
        let n16 = |n: u16| a.u16(n).map(|v| v.map(u32::from));
        let be16 = |n: u16| a.be16(n).map(|v| v.map(u32::from));
        let mac = |numbers: (u16, u16)| -> Result<Option<Mac>, Malformed> {
            let read = |n: u16| a.get(n).map(|p| p.fields().array::<6>()).transpose();
            let mask = read(numbers.1)?.unwrap_or([0xff; 6]);
            Ok(read(numbers.0)?.map(|octets| Mac { octets, mask }))
        };
        let (mut icmp_type, mut icmp_code) = (None, None);
        for (_, kind, code) in ICMP {
            icmp_type = icmp_type.or(decode_bits(kind, n8)?);
            icmp_code = icmp_code.or(decode_bits(code, n8)?);
        }
        let [skip_hw, skip_sw, _] = super::decode_flags(a.u32(FLAGS)?);
        let ct_mask = n16(CT_STATE.1)?;
        let key_mask = a.be32(KEY_FLAGS.1)?;
        let mut other = Attributes::new();
        for (number, payload) in a.list.iter().filter(|(n, _)| !known(*n)) {
            other.raw(*number, payload.0);
        }
        *self = Flower {
            indev: a.get(INDEV).map(|p| Name(p.text().into())),
            dst_mac: mac(ETH_DST)?,
            src_mac: mac(ETH_SRC)?,
            num_of_vlans: n8(NUM_OF_VLANS)?.map(Number),
            vlan_id: n16(VLAN_ID)?.map(Number),
            vlan_prio: n8(VLAN_PRIO)?.map(Number),
            vlan_ethtype: a.be16(VLAN_ETH_TYPE)?.map(EtherType),
            cvlan_id: n16(CVLAN_ID)?.map(Number),
            cvlan_prio: n8(CVLAN_PRIO)?.map(Number),
            cvlan_ethtype: a.be16(CVLAN_ETH_TYPE)?.map(EtherType),
            ip_proto: a.u8(IP_PROTO)?.map(IpProto),
            dst_ip: decode_network(a, IPV4_DST, IPV6_DST)?,
            src_ip: decode_network(a, IPV4_SRC, IPV6_SRC)?,
            ip_tos: decode_bits(IP_TOS, n8)?,
            ip_ttl: decode_bits(IP_TTL, n8)?,
            ip_flags: a.be32(KEY_FLAGS.0)?.map(|set| IpFlags { set, mask: key_mask.unwrap_or(set) }),
            dst_port: DST_PORT.decode(a)?,
            src_port: SRC_PORT.decode(a)?,
            tcp_flags: decode_bits(TCP_FLAGS, be16)?,
            icmp_type,
            icmp_code,
            ct_state: n16(CT_STATE.0)?.map(|set| CtState { set, mask: ct_mask.unwrap_or(set) }),
            ct_zone: decode_bits(CT_ZONE, n16)?,
            ct_mark: decode_bits(CT_MARK, |n| a.u32(n))?,
            flowid: a.u32(CLASSID)?.map(Handle),
            skip_hw,
            skip_sw,
            action: a.get(ACT).map(|list| Actions::decode(list, facts)).transpose()?,
            eth_type: a.be16(ETH_TYPE)?.map(EtherType),
            other: (!other.bytes.is_empty()).then_some(Octets(other.bytes)),
        };
        Ok(())
    }

    fn assume(&mut self, facts: &Facts) {
        self.assume_constants();
        self.action.iter_mut().for_each(|a| a.assume(facts));
    }

    fn complete(&mut self, facts: &Facts) {
        self.action.iter_mut().for_each(|a| a.complete(facts));
    }

    fn same(&self, other: &dyn Options, row: usize, facts: &Facts) -> bool {
        let Some(held) = other.as_kind::<Self>() else { return false };
        // of a tagged packet the kernel tells the innermost protocol once more; which it is, the tags' own rows say
        if Flower::ROWS.get(row).is_some_and(|r| r.word == "eth_type") && self.is_tagged() {
            return true;
        }
        super::same(self, held, row, facts)
    }

    /// tc reads the masks of `type` and `code` as decimal numbers, and all others as hexadecimal.
    fn tc(&self, out: &mut Vec<String>) {
        for (i, row) in Flower::ROWS.iter().enumerate().filter(|(_, r)| !r.hidden) {
            let icmp = match row.word {
                "type" => self.icmp_type,
                "code" => self.icmp_code,
                _ => None,
            };
            match (icmp, self.slot(i)) {
                (Some(Bits { value, mask }), _) if mask != Dec8::WHOLE => {
                    out.extend([row.word.to_owned(), format!("{value}/{mask}")]);
                }
                (_, Some(slot)) => row_words(row, slot, out),
                _ => {}
            }
        }
    }

    /// tc takes the protocol for the first key, 0 for a filter of which it says none.
    fn begin_tc(&mut self, place: &Place) {
        self.eth_type = (place.protocol != ALL).then_some(EtherType(place.protocol));
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        // tc reads these in hexadecimal, with or without `0x`
        if words.take("tcp_flags") {
            let text = words.want("the flags of TCP")?;
            let hex = |text: &str| {
                let number = u32::from_str_radix(text.trim_start_matches("0x"), 16).ok();
                number
                    .filter(|n| *n <= Bits12::WHOLE)
                    .ok_or_else(|| Refusal::new(format!("`{text}` is no set of TCP flags")))
            };
            let (value, mask) = text.split_once('/').map_or((text, None), |(v, m)| (v, Some(m)));
            let mask = mask.map_or(Ok(Bits12::WHOLE), hex)?;
            self.tcp_flags = Some(Bits { value: hex(value)?, mask });
            return Ok(true);
        }
        Ok(words.peek() == Some("action") && super::read_doing("action", &mut self.action, words, reader)?
            || read_row(self, words, reader)?)
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        super::check(self, facts, out);
        let number = |n: Option<Number>| n.map(|n| u64::from(n.0));
        fits("num_of_vlans", number(self.num_of_vlans), 0xff, out);
        for (word, id) in [("vlan_id", self.vlan_id), ("cvlan_id", self.cvlan_id)] {
            fits(word, number(id), 0xfff, out);
        }
        for (word, prio) in [("vlan_prio", self.vlan_prio), ("cvlan_prio", self.cvlan_prio)] {
            fits(word, number(prio), 7, out);
        }
        // what is only there in some protocols; tc refuses the rest, and there is no attribute for it
        let ports: &[IpProto] = &SRC_PORT.masked.map(|(p, ..)| p);
        let icmp: &[IpProto] = &ICMP.map(|(p, ..)| p);
        for (word, set, of) in [
            ("dst_port", self.dst_port.is_some(), ports),
            ("src_port", self.src_port.is_some(), ports),
            ("tcp_flags", self.tcp_flags.is_some(), &[IpProto::TCP]),
            ("type", self.icmp_type.is_some(), icmp),
            ("code", self.icmp_code.is_some(), icmp),
        ] {
            if set && !self.ip_proto.is_some_and(|p| of.contains(&p)) {
                let names: Vec<_> = of.iter().map(|p| format!("`ip_proto: {}`", p.show())).collect();
                let f = Finding::new(&codes::MISSING_OPTION, word, format!("`{word}` wants to know the protocol"));
                out.push(f.and("ip_proto", "this one has none").help(format!("write {}", names.join(" or "))));
            }
        }
    }
}
