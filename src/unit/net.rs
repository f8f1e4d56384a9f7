//! Addresses and protocols of packets.

use super::number::integer;
use super::{Info, Reader, Refusal, Schema, Unit, Words, integer_of_32, strtoul};
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

    /// For tc, what is left out at the end is 0.
    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut octets = [0; 6];
        let read = if reader.tc { octets_as_tc(text, &mut octets).map(drop) } else { whole(text, &mut octets) };
        read.map(|()| Hardware(octets)).ok_or_else(|| Hardware::refuse(text))
    }

    fn show(&self) -> String {
        self.0.map(|o| format!("{o:02x}")).join(":")
    }
}

impl Hardware {
    fn refuse(text: &str) -> Refusal {
        Refusal::new(format!("`{text}` is not a hardware address")).help(format!("write {}", Self::INFO.spellings))
    }

    /// Of six octets, no fewer and no more (tc's `pedit`).
    ///
    /// # Errors
    /// It is something else.
    pub fn read_six(text: &str, reader: &mut Reader) -> Result<Hardware, Refusal> {
        match octets_as_tc(text, &mut [0; 6]) {
            Some(count) if reader.tc && count != 6 => Err(Hardware::refuse(text)),
            _ => Hardware::read(text, reader),
        }
    }

    /// The next word as `skbmod` and `ife` of tc read it: whatever stands behind the sixth octet.
    ///
    /// # Errors
    /// There is no word, or it does not begin with six octets.
    pub fn scan_words(words: &mut Words) -> Result<Hardware, Refusal> {
        let text = words.want(Self::INFO.name)?;
        Hardware::scanned(text).ok_or_else(|| Hardware::refuse(text))
    }

    /// As `sscanf` of the C library reads `%hhx` six times with colons between.
    fn scanned(text: &str) -> Option<Hardware> {
        let (mut octets, mut rest) = ([0; 6], text);
        for (i, octet) in octets.iter_mut().enumerate() {
            let part = if i == 0 { rest } else { rest.strip_prefix(':')? };
            let (number, behind) = strtoul(part, 16)?;
            (*octet, rest) = (number as u8, behind);
        }
        Some(Hardware(octets))
    }
}

/// Six octets of one or two digits each.
fn whole(text: &str, octets: &mut [u8; 6]) -> Option<()> {
    let mut parts = text.split(':');
    for octet in octets {
        let part = parts.next().filter(|part| (1..=2).contains(&part.len()))?;
        *octet = part.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u8::from_str_radix(part, 16).ok()).flatten()?;
    }
    parts.next().is_none().then_some(())
}

/// As `ll_addr_a2n` of iproute2's lib/ll_addr.c reads a hardware address over what there is: each octet up to what is no digit of it,
/// or the four of an IPv4 address. How many octets there were, which is seven if there were too many.
fn octets_as_tc(text: &str, octets: &mut [u8; 6]) -> Option<usize> {
    if text.contains('.') {
        let (head, _) = octets.split_first_chunk_mut::<4>()?;
        *head = filled(text)?.octets();
        return Some(4);
    }
    let (mut parts, mut count) = (text.split(':'), 0);
    for (octet, part) in octets.iter_mut().zip(&mut parts) {
        let (number, _) = strtoul(part, 16)?;
        *octet = u8::try_from(number).ok()?;
        count += 1;
    }
    Some(count + usize::from(parts.next().is_some()))
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
    ("cfm", 0x8902),
    ("LLDP", 0x88cc),
    ("ipv4", 0x0800),
];

/// An Ethernet protocol, by name or number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol(pub u16);

impl Protocol {
    /// Every protocol (`ETH_P_ALL`).
    pub const ALL: Protocol = Protocol(3);
    /// IPv4.
    pub const IP: Protocol = Protocol(0x0800);
    /// IPv6.
    pub const IPV6: Protocol = Protocol(0x86dd);
    /// A session of PPPoE.
    pub const PPP_SES: Protocol = Protocol(0x8864);
    /// MPLS.
    pub const MPLS_UC: Protocol = Protocol(0x8847);
    /// MPLS to many.
    pub const MPLS_MC: Protocol = Protocol(0x8848);

    /// Whether it has a VLAN's tag.
    pub const fn is_vlan(self) -> bool {
        matches!(self.0, 0x8100 | 0x88a8)
    }
    /// Whether it is IPv4 or IPv6.
    pub const fn is_ip(self) -> bool {
        matches!(self.0, 0x0800 | 0x86dd)
    }
    /// Whether it is ARP or RARP.
    pub const fn is_arp(self) -> bool {
        matches!(self.0, 0x0806 | 0x8035)
    }
    /// Whether it is MPLS.
    pub const fn is_mpls(self) -> bool {
        matches!(self.0, 0x8847 | 0x8848)
    }
}

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
            assert!(Hardware::read(text, &mut Reader::default()).is_err(), "{text}");
            let loose = Hardware::read(text, &mut Reader::tc()).unwrap().show();
            assert_eq!(loose, if text.len() == 14 { "02:00:00:00:00:00" } else { "02:00:00:00:00:01" }, "{text}");
        }
        assert_eq!(Hardware::read("10.0.0.1", &mut Reader::tc()).unwrap().show(), "0a:00:00:01:00:00");
        assert!(
            Hardware::read("02:x", &mut Reader::tc()).is_err() && Hardware::read("100:0", &mut Reader::tc()).is_err()
        );
        let six = |text: &str| Hardware::read_six(text, &mut Reader::tc());
        assert!(six("02:00:00:00:00").is_err() && six("02:00:00:00:00:01:02").is_err() && six("2:0:0:0:0:1").is_ok());
        assert_eq!(Hardware::scanned("02:0:0:0:0:1xyz").unwrap().show(), "02:00:00:00:00:01");
        assert!(Hardware::scanned("02:0:0:0:0").is_none() && Hardware::scanned("02x:0:0:0:0:1").is_none());
    }

    #[test]
    fn protocols_have_names_and_numbers() {
        let read = |text: &str| Protocol::read(text, &mut Reader::tc()).map(|p| p.0);
        assert_eq!((read("802.1q").unwrap(), read("0x88cc").unwrap(), read("ipv4").unwrap()), (0x8100, 0x88cc, 0x0800));
        assert!(read("mpls").is_err() && read("0x10000").is_err());
        assert_eq!((Protocol(0x0800).show(), Protocol(0x1234).show()), ("ip".into(), "0x1234".into()));
    }
}
