//! What a packet's fields are compared with: values under masks, addresses, ports, protocols and flags.

use crate::codes;
use crate::unit::{
    Hardware, Info, Number, Protocol, Reader, Refusal, Schema, Unit, Words, begins, integer, integer_of_32,
};
use std::net::IpAddr;

/// How tc reads and writes a field under a mask.
pub mod style {
    /// Decimal, or else hexadecimal; shown in hexadecimal. The mask is hexadecimal.
    pub const TOS: u8 = 0;
    /// As `TOS`, shown as a decimal number.
    pub const TTL: u8 = 1;
    /// Decimal, and so is the mask.
    pub const ICMP: u8 = 2;
    /// Hexadecimal, and so is the mask.
    pub const HEX: u8 = 3;
    /// In any base.
    pub const ANY: u8 = 4;
    /// In any base, shown in hexadecimal.
    pub const MARK: u8 = 5;
    /// What an ARP message is: `request`, `reply` or a decimal number.
    pub const ARP: u8 = 6;
}

/// A field of `BITS` bits under a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits<const BITS: u32, const STYLE: u8> {
    /// The value.
    pub value: u32,
    /// The bits that count.
    pub mask: u32,
}

impl<const BITS: u32, const STYLE: u8> Bits<BITS, STYLE> {
    /// All bits of the field.
    pub const WHOLE: u32 = u32::MAX >> (32 - BITS);

    /// A value that every bit counts of.
    pub const fn new(value: u32) -> Self {
        Bits { value, mask: Self::WHOLE }
    }

    fn half(text: &str, is_mask: bool, reader: &Reader) -> Result<u32, Refusal> {
        if let (style::ARP, false, Some((_, n))) = (STYLE, is_mask, ARP_OPS.iter().find(|(name, _)| *name == text)) {
            return Ok(*n);
        }
        let bases: &[u32] = match (STYLE, is_mask, reader.tc) {
            (_, _, false) => &[0],
            (style::TOS | style::TTL, false, _) => &[10, 16],
            (style::TOS | style::TTL, true, _) | (style::HEX, ..) => &[16],
            (style::ICMP | style::ARP, ..) => &[10],
            _ => &[0],
        };
        let number = match bases {
            [0] if !reader.tc => u32::try_from(integer(text, reader, Self::INFO.name)?).ok(),
            bases => bases.iter().find_map(|base| integer_of_32(text, *base)),
        };
        // of ARP tc knows a request and a reply only
        let most = if STYLE == style::ARP && reader.tc && !is_mask { 2 } else { Self::WHOLE };
        number.filter(|n| *n <= most).ok_or_else(|| {
            Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` is no number up to {most}"))
                .help(format!("write {}", Self::INFO.spellings))
        })
    }

    fn text(self, decimal_mask: bool) -> String {
        let hex = matches!(STYLE, style::TOS | style::HEX | style::MARK) || self.mask != Self::WHOLE && !decimal_mask;
        let value = match ARP_OPS.iter().find(|(_, n)| STYLE == style::ARP && *n == self.value) {
            Some((name, _)) => (*name).to_owned(),
            None if hex => format!("{:#x}", self.value),
            None => self.value.to_string(),
        };
        match (self.mask == Self::WHOLE, decimal_mask) {
            (true, _) => value,
            (false, true) => format!("{value}/{}", self.mask),
            (false, false) => format!("{value}/{:#x}", self.mask),
        }
    }
}

const ARP_OPS: &[(&str, u32)] = &[("request", 1), ("reply", 2)];

impl<const BITS: u32, const STYLE: u8> Unit for Bits<BITS, STYLE> {
    const INFO: Info = Info {
        name: "a number, with a mask if one likes",
        spellings: if BITS < 8 { "`1`, `0x1`" } else { "`64`, `0x10` or `0xb8/0xfc`" },
        schema: Schema::Pattern("^([0-9]+|0x[0-9a-fA-F]+|request|reply)(/([0-9]+|0x[0-9a-fA-F]+))?$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        match text.split_once('/') {
            Some((value, mask)) => {
                Ok(Bits { value: Self::half(value, false, reader)?, mask: Self::half(mask, true, reader)? })
            }
            None => Ok(Bits::new(Self::half(text, false, reader)?)),
        }
    }

    fn show(&self) -> String {
        self.text(false)
    }

    fn tc(&self) -> String {
        self.text(matches!(STYLE, style::ICMP | style::ARP))
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

impl Unit for Mac {
    const INFO: Info = Info {
        name: "a hardware address",
        spellings: "`02:00:00:00:00:01`, with a mask `02:00:00:00:00:00/24`",
        schema: Schema::Pattern("^([0-9a-fA-F]{1,2}:){5}[0-9a-fA-F]{1,2}(/.+)?$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let wrong = || {
            Refusal::new(format!("`{text}` is not a hardware address")).help(format!("write {}", Self::INFO.spellings))
        };
        let mut octets = |text: &str| Hardware::read(text, reader).map(|address| address.0).map_err(|_| wrong());
        let (address, mask) = text.split_once('/').map_or((text, None), |(a, m)| (a, Some(m)));
        let mask = match mask {
            None => [0xff; 6],
            Some(mask) => match mask.parse::<u32>() {
                Ok(bits) if bits <= 48 => {
                    let [mask @ .., _, _] = u64::MAX.checked_shl(64 - bits).unwrap_or(0).to_be_bytes();
                    mask
                }
                Ok(_) => return Err(wrong()),
                Err(_) => octets(mask)?,
            },
        };
        Ok(Mac { octets: octets(address)?, mask })
    }

    fn show(&self) -> String {
        match self.mask {
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => Hardware(self.octets).show(),
            mask => format!("{}/{}", Hardware(self.octets).show(), Hardware(mask).show()),
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

/// Names of protocols of PPP (include/uapi/linux/ppp_defs.h, lib/ppp_proto.c).
const PPP_PROTOS: &[(&str, u16)] = &[
    ("ip", 0x21),
    ("ipv4", 0x21),
    ("at", 0x29),
    ("ipx", 0x2b),
    ("vjc_comp", 0x2d),
    ("vjc_uncomp", 0x2f),
    ("mp", 0x3d),
    ("ipv6", 0x57),
    ("compfrag", 0xfb),
    ("comp", 0xfd),
    ("mpls_uc", 0x0281),
    ("mpls_mc", 0x0283),
    ("ipcp", 0x8021),
    ("atcp", 0x8029),
    ("ipxcp", 0x802b),
    ("ipv6cp", 0x8057),
    ("ccpfrag", 0x80fb),
    ("ccp", 0x80fd),
    ("mplscp", 0x80fd),
    ("lcp", 0xc021),
    ("pap", 0xc023),
    ("lqr", 0xc025),
    ("chap", 0xc223),
    ("cbcp", 0xc029),
];

/// A protocol inside of PPP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PppProto(pub u16);

impl Unit for PppProto {
    const INFO: Info = Info {
        name: "a protocol of PPP",
        spellings: "`ip`, `ipv6`, `mpls_uc`, `lcp` or a number as `0x57`",
        schema: Schema::Pattern("^(ip|ipv6|ipx|mpls_uc|mpls_mc|lcp|pap|chap|ipcp|[0-9]+|0x[0-9a-fA-F]+)$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        if let Some((_, n)) = PPP_PROTOS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Ok(PppProto(*n));
        }
        let number = Number::read(text, reader).ok().and_then(|n| u16::try_from(n.0).ok());
        let wrong = || Refusal::new(format!("`{text}` is not {}", Self::INFO.name));
        number.map(PppProto).ok_or_else(|| wrong().help(format!("write {}", Self::INFO.spellings)))
    }

    fn show(&self) -> String {
        let name = PPP_PROTOS.iter().find(|(_, n)| *n == self.0).map(|(name, _)| (*name).to_owned());
        name.unwrap_or_else(|| format!("{:#06x}", self.0))
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u16::try_from(number).ok().map(PppProto)
    }
}

impl PppProto {
    /// The Ethernet protocol that is the same, for those that flower looks into.
    pub fn ether(self) -> Option<Protocol> {
        match self.0 {
            0x21 => Some(Protocol::IP),
            0x57 => Some(Protocol::IPV6),
            0x0281 => Some(Protocol::MPLS_UC),
            0x0283 => Some(Protocol::MPLS_MC),
            _ => None,
        }
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
    /// L2TP.
    pub const L2TP: IpProto = IpProto(115);
    /// IPsec's ESP.
    pub const ESP: IpProto = IpProto(50);
    /// IPsec's AH.
    pub const AH: IpProto = IpProto(51);
}

/// The first five may be cut short for tc, which tries them in this order.
const IP_PROTOS: &[(&str, IpProto)] = &[
    ("tcp", IpProto::TCP),
    ("udp", IpProto::UDP),
    ("sctp", IpProto::SCTP),
    ("icmp", IpProto::ICMP),
    ("icmpv6", IpProto::ICMPV6),
    ("l2tp", IpProto::L2TP),
    ("esp", IpProto::ESP),
    ("ah", IpProto::AH),
];

impl Unit for IpProto {
    const INFO: Info = Info {
        name: "a protocol above IP",
        spellings: "`tcp`, `udp`, `sctp`, `icmp`, `icmpv6`, `l2tp`, `esp`, `ah` or a number as `47`",
        schema: Schema::Pattern("^(tcp|udp|sctp|icmp|icmpv6|l2tp|esp|ah|[0-9]+|0x[0-9a-fA-F]+)$"),
    };

    /// tc reads a number as hexadecimal here, with or without `0x`.
    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let whole = IP_PROTOS.iter().find(|(name, _)| *name == text);
        let short = || IP_PROTOS.iter().take(5).find(|(name, _)| reader.tc && begins(text, name));
        if let Some((_, proto)) = whole.or_else(short) {
            return Ok(*proto);
        }
        let number = if reader.tc { integer_of_32(text, 16) } else { Number::read(text, reader).ok().map(|n| n.0) };
        number.and_then(|n| u8::try_from(n).ok()).map(IpProto).ok_or_else(|| {
            Refusal::new(format!("`{text}` is no protocol above IP")).help(format!("write {}", Self::INFO.spellings))
        })
    }

    fn show(&self) -> String {
        let name = IP_PROTOS.iter().find(|(_, p)| p == self).map(|(name, _)| (*name).to_owned());
        name.unwrap_or_else(|| self.0.to_string())
    }

    /// tc 6.1 has no names for the last of them.
    fn tc(&self) -> String {
        let name = IP_PROTOS.iter().take(5).find(|(_, p)| p == self).map(|(name, _)| (*name).to_owned());
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
        name: "a network",
        spellings: "`192.0.2.0/24`, `192.0.2.7` or `2001:db8::/32`",
        schema: Schema::Pattern("^[0-9a-fA-F:.]+(/[0-9a-fA-F:.]+)?$"),
    };

    /// tc leaves bits outside of the mask as they are written, and so does the kernel in what it says.
    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let wrong =
            || Refusal::new(format!("`{text}` is not an address")).help(format!("write {}", Self::INFO.spellings));
        // of `any` and `all` tc sends an address of no length, which the kernel refuses
        if reader.tc
            && let Some((address, prefix)) = super::super::read_prefix(text, None)
        {
            return Ok(Network { address, ..Network::new(address, prefix) });
        }
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

    /// Bits outside of the mask do not count.
    fn same(&self, other: &Self) -> bool {
        self.trimmed() == other.trimmed()
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

    /// tc reads a port as decimal, and in any base beside a mask.
    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let masked = text.split_once('/');
        let tc = reader.tc;
        let half = |half: &str| {
            let number = match tc {
                true => integer_of_32(half, if masked.is_some() { 0 } else { 10 }),
                false => Some(Number::read(half, &mut Reader::default())?.0),
            };
            number
                .and_then(|n| u16::try_from(n).ok())
                .ok_or_else(|| Refusal::coded(&codes::OUT_OF_RANGE, format!("`{half}` is no port: they end at 65535")))
        };
        let half = |text: &str| half(text).map_err(|r: Refusal| r.help(format!("write {}", Self::INFO.spellings)));
        if let Some((port, mask)) = masked {
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
            /// Both together; of a flag in both the later says how it must be.
            #[must_use]
            pub fn then(self, later: $name) -> $name {
                $name { set: self.set & !later.mask | later.set, mask: self.mask | later.mask }
            }
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
    /// What is asked of a tunnel's header (`TCA_FLOWER_KEY_FLAGS_TUNNEL_*`).
    TunnelFlags "a tunnel's flags" "`tuncsum`, `notundf`, `tunoam/tuncrit`"
    [("tuncsum", 4), ("tundf", 8), ("tunoam", 16), ("tuncrit", 32)] "" "no" "/"
);
flags!(
    /// What connection tracking knows of a packet (`TCA_FLOWER_KEY_CT_FLAGS_*`).
    CtState "a state of connection tracking" "`+trk+est`, `-new`"
    [("new", 1), ("est", 2), ("rel", 4), ("trk", 8), ("inv", 16), ("rpl", 32)] "+" "-" ""
);

/// A label of connection tracking: 128 bits, written in hexadecimal as they travel, the first octet first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The label.
    pub octets: [u8; 16],
    /// The bits that count.
    pub mask: [u8; 16],
}

impl Unit for Label {
    const INFO: Info = Info {
        name: "a label of connection tracking",
        spellings: "octets in hexadecimal as `0a1b`, with a mask `0a00/ff00`",
        schema: Schema::Pattern("^([0-9a-fA-F]{2}){1,16}(/([0-9a-fA-F]{2}){1,16})?$"),
    };

    /// What is not written of the 16 octets is 0, and of a mask does not count.
    fn read(text: &str, _reader: &mut Reader) -> Result<Self, Refusal> {
        let half = |half: &str| {
            let octets = crate::unit::Octets::read(half, &mut Reader::default())
                .map_err(|r| r.help(format!("write {}", Self::INFO.spellings)))?
                .0;
            let mut whole = [0; 16];
            match whole.get_mut(..octets.len()) {
                Some(place) => place.copy_from_slice(&octets),
                None => return Err(Refusal::new(format!("`{half}` is more than 16 octets"))),
            }
            Ok(whole)
        };
        match text.split_once('/') {
            Some((label, mask)) => Ok(Label { octets: half(label)?, mask: half(mask)? }),
            None => Ok(Label { octets: half(text)?, mask: [0xff; 16] }),
        }
    }

    fn show(&self) -> String {
        let hex = |octets: [u8; 16]| octets.iter().map(|o| format!("{o:02x}")).collect::<String>();
        match self.mask {
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff] => {
                hex(self.octets)
            }
            mask => format!("{}/{}", hex(self.octets), hex(mask)),
        }
    }

    /// Bits outside of the mask do not count.
    fn same(&self, other: &Self) -> bool {
        let under = |l: &Label| u128::from_ne_bytes(l.octets) & u128::from_ne_bytes(l.mask);
        self.mask == other.mask && under(self) == under(other)
    }
}

/// One entry of a stack of MPLS labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lse {
    /// Which, from 1 at the top.
    pub depth: u8,
    /// The label, 20 bits.
    pub label: Option<u32>,
    /// The traffic class, 3 bits.
    pub tc: Option<u8>,
    /// Whether it is the bottom of the stack.
    pub bos: Option<u8>,
    /// The time to live.
    pub ttl: Option<u8>,
}

/// Entries of a stack of MPLS labels: `lse depth 1 label 5 lse depth 2 bos 1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack(pub Vec<Lse>);

const LSE: &[&str] = &["depth", "label", "tc", "bos", "ttl"];

impl Unit for Stack {
    const INFO: Info = Info {
        name: "a stack of MPLS labels",
        spellings: "`lse depth 1 label 5 tc 0 bos 1 ttl 64`, several one after the other",
        schema: Schema::Pattern("^lse depth .+$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let mut words = Words::new(&words);
        let stack = Self::read_words(&mut words, reader)?;
        match words.next() {
            Some(word) => {
                Err(Refusal::new(format!("what is `{word}`?")).help(format!("write {}", Self::INFO.spellings)))
            }
            None => Ok(stack),
        }
    }

    fn read_words(words: &mut Words, _reader: &mut Reader) -> Result<Self, Refusal> {
        let mut stack = Stack::default();
        while words.take_short("lse") {
            let mut lse = Lse::default();
            while let Some(word) = words.like(LSE) {
                words.next();
                let most = match word {
                    "label" => 0xf_ffff,
                    "tc" => 7,
                    "bos" => 1,
                    _ => 0xff,
                };
                let text = words.want("a number")?;
                let n = integer_of_32(text, 10).filter(|n| *n <= most).ok_or_else(|| {
                    Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` is no {word}: it ends at {most}"))
                })?;
                match word {
                    "depth" => lse.depth = n as u8,
                    "label" => lse.label = Some(n),
                    "tc" => lse.tc = Some(n as u8),
                    "bos" => lse.bos = Some(n as u8),
                    _ => lse.ttl = Some(n as u8),
                }
            }
            if lse.depth == 0 {
                return Err(Refusal::new("an entry of a stack wants its depth, from 1 on")
                    .help(format!("write {}", Self::INFO.spellings)));
            }
            stack.0.push(lse);
        }
        if stack.0.is_empty() {
            return Err(Refusal::new("a stack of no entries").help(format!("write {}", Self::INFO.spellings)));
        }
        Ok(stack)
    }

    fn show(&self) -> String {
        let one = |lse: &Lse| {
            let field = |word: &str, n: Option<u32>| n.map_or_else(String::new, |n| format!(" {word} {n}"));
            let octet = |n: Option<u8>| n.map(u32::from);
            let (tc, bos, ttl) =
                (field("tc", octet(lse.tc)), field("bos", octet(lse.bos)), field("ttl", octet(lse.ttl)));
            format!("lse depth {}{}{tc}{bos}{ttl}", lse.depth, field("label", lse.label))
        };
        self.0.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn same(&self, other: &Self) -> bool {
        let sorted = |stack: &Stack| {
            let mut list = stack.0.clone();
            list.sort_by_key(|lse| lse.depth);
            list
        };
        sorted(self) == sorted(other)
    }
}

/// A message of connectivity fault management: `mdl 5 op 1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cfm {
    /// The maintenance domain's level, up to 7.
    pub mdl: Option<u8>,
    /// What the message is.
    pub op: Option<u8>,
}

impl Unit for Cfm {
    const INFO: Info = Info {
        name: "a message of fault management",
        spellings: "`mdl 5`, `op 1` or both as `mdl 5 op 1`",
        schema: Schema::Pattern("^(mdl [0-7])?( ?op [0-9]{1,2})?$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let mut words = Words::new(&words);
        let cfm = Self::read_words(&mut words, reader)?;
        match words.next() {
            Some(word) => {
                Err(Refusal::new(format!("what is `{word}`?")).help(format!("write {}", Self::INFO.spellings)))
            }
            None => Ok(cfm),
        }
    }

    fn read_words(words: &mut Words, _reader: &mut Reader) -> Result<Self, Refusal> {
        let mut cfm = Cfm::default();
        while let Some(word) = words.like(&["=mdl", "=op"]) {
            words.next();
            let text = words.want("a number")?;
            let most = if word == "mdl" { 7 } else { 255 };
            let n = integer_of_32(text, 10).filter(|n| *n <= most);
            let n = n.ok_or_else(|| {
                Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` is no {word}: it ends at {most}"))
            })?;
            *(if word == "mdl" { &mut cfm.mdl } else { &mut cfm.op }) = Some(n as u8);
        }
        if cfm == Cfm::default() {
            return Err(Refusal::new("neither `mdl` nor `op`").help(format!("write {}", Self::INFO.spellings)));
        }
        Ok(cfm)
    }

    fn show(&self) -> String {
        let field = |word: &str, n: Option<u8>| n.map(|n| format!("{word} {n}"));
        let fields = [field("mdl", self.mdl), field("op", self.op)];
        fields.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}
