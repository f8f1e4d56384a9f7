//! Addresses and protocols of packets.

use super::number::integer;
use super::{Info, Reader, Refusal, Schema, Unit, integer_of_32};
use crate::diagnostic::codes;
use std::net::{IpAddr, Ipv4Addr};

/// A hardware address: `02:00:00:00:00:01`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hardware(pub [u8; 6]);

impl Unit for Hardware {
    const INFO: Info = Info {
        name: "a hardware address",
        spellings: "`02:00:00:00:00:01`",
        schema: Schema::Pattern("^([0-9a-fA-F]{1,2}:){5}[0-9a-fA-F]{1,2}$"),
    };

    fn read(text: &str, _reader: &mut Reader) -> Result<Self, Refusal> {
        let mut parts = text.split(':').map(|part| {
            let hex = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit());
            hex.then(|| u8::from_str_radix(part, 16).ok()).flatten()
        });
        let octets: [Option<u8>; 6] = std::array::from_fn(|_| parts.next().flatten());
        let whole = parts.next().is_none() && octets.iter().all(Option::is_some);
        whole.then(|| Hardware(octets.map(Option::unwrap_or_default))).ok_or_else(|| {
            Refusal::new(format!("`{text}` is not a hardware address")).help(format!("write {}", Self::INFO.spellings))
        })
    }

    fn show(&self) -> String {
        self.0.map(|o| format!("{o:02x}")).join(":")
    }
}

/// An address of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub IpAddr);

impl Unit for Address {
    const INFO: Info = Info {
        name: "an address",
        spellings: "`192.0.2.1` or `2001:db8::1`",
        schema: Schema::Pattern("^[0-9a-fA-F.:]+$"),
    };

    /// tc fills up what is left out of an IPv4 address: `10.1` is 10.1.0.0.
    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let address = text.parse().ok().or_else(|| reader.tc.then(|| filled(text).map(IpAddr::V4)).flatten());
        address.map(Address).ok_or_else(|| {
            Refusal::new(format!("`{text}` is not an address")).help(format!("write {}", Self::INFO.spellings))
        })
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// An IPv4 address whose last octets may be left out (`get_addr_ipv4` in iproute2's lib/utils.c).
fn filled(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for (octet, part) in octets.iter_mut().zip(&mut parts) {
        *octet = part.parse().ok()?;
    }
    parts.next().is_none().then(|| octets.into())
}

/// IPv4 addresses under a mask: `10.0.0.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix4 {
    /// The address, bits outside of the mask included.
    pub address: Ipv4Addr,
    /// The bits that count.
    pub mask: u32,
}

impl Unit for Prefix4 {
    const INFO: Info = Info {
        name: "an IPv4 prefix",
        spellings: "`10.0.0.0/24`, an address alone, or `any`",
        schema: Schema::Pattern("^([0-9.]+(/[0-9.]+)?|any)$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let wrong =
            || Refusal::new(format!("`{text}` is not an IPv4 prefix")).help(format!("write {}", Self::INFO.spellings));
        if matches!(text, "any" | "all" | "default") {
            return Ok(Prefix4 { address: Ipv4Addr::UNSPECIFIED, mask: 0 });
        }
        let (address, mask) = text.split_once('/').map_or((text, None), |(address, mask)| (address, Some(mask)));
        let Address(IpAddr::V4(address)) = Address::read(address, reader).map_err(|_| wrong())? else {
            return Err(wrong());
        };
        let mask = match mask {
            None => u32::MAX,
            Some(mask) => match (bits(mask, reader), mask.parse::<Ipv4Addr>()) {
                (Some(bits), _) if bits <= 32 => u32::MAX.checked_shl(32 - bits).unwrap_or(0),
                (_, Ok(mask)) => mask.to_bits(),
                _ => return Err(wrong()),
            },
        };
        Ok(Prefix4 { address, mask })
    }

    fn show(&self) -> String {
        match (self.mask, self.mask.leading_ones() + self.mask.trailing_zeros() >= 32) {
            (u32::MAX, _) => self.address.to_string(),
            (mask, true) => format!("{}/{}", self.address, mask.leading_ones()),
            (mask, false) => format!("{}/{}", self.address, Ipv4Addr::from_bits(mask)),
        }
    }
}

/// The length of a prefix. tc reads it as it reads numbers: `0x10` is 16.
pub(crate) fn bits(text: &str, reader: &Reader) -> Option<u32> {
    if reader.tc { integer_of_32(text, 0) } else { text.parse().ok() }
}

/// The names of Ethernet's protocols, as iproute2's lib/ll_proto.c has them; of two names of one number the first is shown.
pub const PROTOCOLS: &[(&str, u16)] = &[
    ("loop", 0x0060),
    ("pup", 0x0200),
    ("pupat", 0x0201),
    ("ip", 0x0800),
    ("x25", 0x0805),
    ("arp", 0x0806),
    ("bpq", 0x08ff),
    ("ieeepup", 0x0a00),
    ("ieeepupat", 0x0a01),
    ("dec", 0x6000),
    ("dna_dl", 0x6001),
    ("dna_rc", 0x6002),
    ("dna_rt", 0x6003),
    ("lat", 0x6004),
    ("diag", 0x6005),
    ("cust", 0x6006),
    ("sca", 0x6007),
    ("rarp", 0x8035),
    ("atalk", 0x809b),
    ("aarp", 0x80f3),
    ("ipx", 0x8137),
    ("ipv6", 0x86dd),
    ("ppp_disc", 0x8863),
    ("ppp_ses", 0x8864),
    ("atmmpoa", 0x884c),
    ("atmfate", 0x8884),
    ("802_3", 0x0001),
    ("ax25", 0x0002),
    ("all", 0x0003),
    ("802_2", 0x0004),
    ("snap", 0x0005),
    ("ddcmp", 0x0006),
    ("wan_ppp", 0x0007),
    ("ppp_mp", 0x0008),
    ("localtalk", 0x0009),
    ("can", 0x000c),
    ("ppptalk", 0x0010),
    ("tr_802_2", 0x0011),
    ("mobitex", 0x0015),
    ("control", 0x0016),
    ("irda", 0x0017),
    ("econet", 0x0018),
    ("tipc", 0x88ca),
    ("profinet", 0x8892),
    ("aoe", 0x88a2),
    ("ethercat", 0x88a4),
    ("802.1Q", 0x8100),
    ("802.1ad", 0x88a8),
    ("mpls_uc", 0x8847),
    ("mpls_mc", 0x8848),
    ("teb", 0x6558),
    ("LLDP", 0x88cc),
    ("ipv4", 0x0800),
];

/// An Ethernet protocol, by name or number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol(pub u16);

impl Unit for Protocol {
    const INFO: Info = Info {
        name: "an Ethernet protocol",
        spellings: "`ip`, `ipv6`, `arp`, `802.1Q`, `802.1ad`, `mpls_uc` or a number as `0x88cc`",
        schema: Schema::Pattern("^([a-zA-Z][a-zA-Z0-9_]*|802[._][0-9a-zA-Z]+|[0-9]+|0x[0-9a-fA-F]+)$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        if let Some((_, number)) = PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)) {
            return Ok(Protocol(*number));
        }
        let number = integer(text, reader, Self::INFO.name)
            .map_err(|_| Refusal::new(format!("no Ethernet protocol is called `{text}`")))
            .and_then(|n| {
                let big = || Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` does not fit: at most 0xffff"));
                u16::try_from(n).map_err(|_| big())
            });
        number.map(Protocol).map_err(|refusal| refusal.help(format!("write {}", Self::INFO.spellings)))
    }

    fn show(&self) -> String {
        let name = PROTOCOLS.iter().find(|(_, number)| *number == self.0);
        name.map_or_else(|| format!("{:#06x}", self.0), |(name, _)| (*name).to_owned())
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u16::try_from(number).ok().map(Protocol)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_read_as_tc_reads_them() {
        let prefix = |text: &str| Prefix4::read(text, &mut Reader::tc()).map(|p| (p.address.to_string(), p.mask));
        assert_eq!(prefix("10.1.2.3/24").unwrap(), ("10.1.2.3".into(), 0xffff_ff00));
        assert_eq!(prefix("10/8").unwrap(), ("10.0.0.0".into(), 0xff00_0000));
        assert_eq!(prefix("10.1.2.3/255.255.0.0").unwrap(), ("10.1.2.3".into(), 0xffff_0000));
        assert_eq!(prefix("any").unwrap(), ("0.0.0.0".into(), 0));
        assert!(prefix("10.0.0.0/33").is_err() && prefix("10.0.0.0.1").is_err() && prefix("::1").is_err());
        assert!(Address::read("10.1", &mut Reader::default()).is_err(), "a policy writes addresses whole");
        assert_eq!(Hardware::read("2:0:0:0:0:1", &mut Reader::tc()).unwrap().show(), "02:00:00:00:00:01");
        for text in ["02:00:00:00:00", "02:00:00:00:00:01:02", "02:00:00:00:00:001", "02:00:00:00:00:+1"] {
            assert!(Hardware::read(text, &mut Reader::tc()).is_err(), "{text}");
        }
    }

    #[test]
    fn protocols_have_names_and_numbers() {
        let read = |text: &str| Protocol::read(text, &mut Reader::tc()).map(|p| p.0);
        assert_eq!((read("802.1q").unwrap(), read("0x88cc").unwrap(), read("ipv4").unwrap()), (0x8100, 0x88cc, 0x0800));
        assert!(read("mpls").is_err() && read("0x10000").is_err());
        assert_eq!((Protocol(0x0800).show(), Protocol(0x1234).show()), ("ip".into(), "0x1234".into()));
    }
}
