//! Numbers as tc reads them: with `strtoul` of the C library.

/// As `strtoul`: blanks, a sign, the digits of the base; base 0 is told by `0x` and a leading zero. The number, and what
/// stands behind it; `None` if there is no digit.
pub fn strtoul(text: &str, base: u32) -> Option<(u64, &str)> {
    let rest = text.trim_start_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']);
    let (rest, minus) = match rest.as_bytes().first() {
        Some(b'-') => (rest.get(1..).unwrap_or(""), true),
        Some(b'+') => (rest.get(1..).unwrap_or(""), false),
        _ => (rest, false),
    };
    let hex = |text: &str| text.starts_with(|c: char| c.is_ascii_hexdigit());
    let prefixed = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")).filter(|digits| hex(digits));
    let (digits, base) = match (base, prefixed) {
        (0 | 16, Some(digits)) => (digits, 16),
        (0, None) if rest.starts_with('0') => (rest, 8),
        (0, None) => (rest, 10),
        _ => (rest, base),
    };
    let end = digits.find(|c: char| !c.is_digit(base)).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end).filter(|(digits, _)| !digits.is_empty())?;
    // what is too large is the largest number, whatever its sign
    let number = u64::from_str_radix(digits, base).map_or(u64::MAX, |n| if minus { n.wrapping_neg() } else { n });
    Some((number, rest))
}

/// As iproute2's `get_u32`: all of the word, 32 bits.
pub fn integer_of_32(text: &str, base: u32) -> Option<u32> {
    let (number, rest) = strtoul(text, base)?;
    u32::try_from(number).ok().filter(|_| rest.is_empty())
}

/// As iproute2's `get_integer`: all of the word, 32 bits and a sign.
pub fn signed_of_32(text: &str, base: u32) -> Option<i32> {
    let (number, rest) = strtoul(text, base)?;
    i32::try_from(number.cast_signed()).ok().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_c_library() {
        for (text, base, expected) in [
            ("10", 0, Some(10)),
            ("0x10", 0, Some(16)),
            ("010", 0, Some(8)),
            ("0", 0, Some(0)),
            ("08", 0, None),
            ("0x10", 16, Some(16)),
            ("0x10", 10, None),
            (" +7", 10, Some(7)),
            ("-1", 10, None),
            ("4294967296", 10, None),
            ("99999999999999999999", 10, None),
            ("", 0, None),
            ("5k", 0, None),
            ("0x", 16, None),
        ] {
            assert_eq!(integer_of_32(text, base), expected, "{text:?} in base {base}");
        }
        assert_eq!(signed_of_32("-14", 10), Some(-14));
        assert_eq!(signed_of_32("2147483648", 10), None);
    }
}
