//! Names of Ethernet protocols, as tc's `protocol` takes and prints them.

use crate::syntax::names::nearest;
use crate::unit::{PROTOCOLS as NAMES, Refusal, integer_of_32};

/// `ETH_P_ALL`: every protocol.
pub const ALL: u16 = 3;

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
