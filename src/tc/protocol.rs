//! Names of Ethernet protocols, as tc's `protocol` takes and prints them.

use crate::syntax::names::nearest;
use crate::unit::{Refusal, integer_of_32};

/// `ETH_P_ALL`: every protocol.
pub const ALL: u16 = 3;

/// Names and numbers (include/uapi/linux/if_ether.h), in the order in which the first that fits is printed.
const NAMES: &[(&str, u16)] = &[
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
    ("all", ALL),
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

/// The number of a protocol, in host order: by its name in letters of either size, or by its number.
///
/// # Errors
/// It is neither.
pub fn read(text: &str) -> Result<u16, Refusal> {
    let named = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, number)| *number);
    named.or_else(|| u16::try_from(integer_of_32(text, 0)?).ok()).ok_or_else(|| {
        Refusal::new(format!("`{text}` is not a protocol")).help(match nearest(text, names()) {
            Some(name) => format!("did you mean `{name}`? There are `ip`, `ipv6`, `arp`, `all`, `802.1Q` and more"),
            None => "write `ip`, `ipv6`, `arp`, `all`, `802.1Q`, or a number (0x0800)".to_owned(),
        })
    })
}

fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _)| *name)
}

/// A protocol as tc prints it: its name, or `[2054]` where it has none.
pub fn show(number: u16) -> String {
    match NAMES.iter().find(|(_, n)| *n == number) {
        Some((name, _)) => (*name).to_owned(),
        None => format!("[{number}]"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_protocol_has_a_name_or_a_number() {
        for (text, number) in
            [("ip", 0x800), ("IPv4", 0x800), ("0x86dd", 0x86dd), ("802.1q", 0x8100), ("all", 3), ("2054", 0x806)]
        {
            assert_eq!(read(text).unwrap(), number, "{text}");
        }
        assert!(read("65536").is_err());
        assert!(read("ipv7").unwrap_err().help.unwrap().contains("`ipv6`"));
        assert_eq!((show(0x86dd).as_str(), show(0x9999).as_str()), ("ipv6", "[39321]"));
    }
}
