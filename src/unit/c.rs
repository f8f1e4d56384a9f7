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

/// As `strtod`, of numbers that are some: blanks, a sign, digits with a point, an exponent; or in hexadecimal. The number,
/// and what stands behind it; `None` if there is no digit, and for infinity and the like.
pub fn strtod(text: &str) -> Option<(f64, &str)> {
    let rest = text.trim_start_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']);
    let (rest, sign) = match rest.strip_prefix('-') {
        Some(rest) => (rest, -1.0),
        None => (rest.strip_prefix('+').unwrap_or(rest), 1.0),
    };
    let prefixed = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X"));
    let hex = prefixed.and_then(|digits| figures(digits, 16));
    let (value, rest, mark, base) = match hex {
        Some((value, rest)) => (value, rest, ['p', 'P'], 2.0_f64),
        None => {
            let (_, behind) = figures(rest, 10)?;
            let digits = rest.get(..rest.len() - behind.len())?;
            (digits.parse().ok()?, behind, ['e', 'E'], 10.0_f64)
        }
    };
    let exponent = rest.strip_prefix(mark).and_then(|text| {
        let end = text.char_indices().find(|(i, c)| !(c.is_ascii_digit() || *i == 0 && matches!(c, '+' | '-')));
        let (digits, behind) = text.split_at(end.map_or(text.len(), |(i, _)| i));
        Some((digits.parse::<i32>().ok()?, behind))
    });
    let (power, rest) = exponent.unwrap_or((0, rest));
    // a decimal with its exponent is rounded once
    let value = match (hex, exponent) {
        (None, Some(_)) => {
            let digits = text.trim_start_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}', '+', '-']);
            digits.get(..digits.len() - rest.len())?.parse().ok()?
        }
        _ => value * base.powi(power),
    };
    Some((sign * value, rest)).filter(|(value, _)| value.is_finite())
}

/// Digits with at most one point among them: their value, and what stands behind them.
fn figures(text: &str, base: u32) -> Option<(f64, &str)> {
    let (mut value, mut unit, mut any) = (0.0, None, false);
    for (i, c) in text.char_indices() {
        match (c.to_digit(base), &mut unit) {
            (Some(digit), None) => value = value * f64::from(base) + f64::from(digit),
            (Some(digit), Some(unit)) => {
                *unit /= f64::from(base);
                value += f64::from(digit) * *unit;
            }
            (None, None) if c == '.' => {
                unit = Some(1.0);
                continue;
            }
            (None, _) => return any.then(|| (value, text.get(i..).unwrap_or(""))),
        }
        any = true;
    }
    any.then_some((value, ""))
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
        for (text, value, rest) in [
            ("12.5mbit", 12.5, "mbit"),
            (".5mbit", 0.5, "mbit"),
            ("5.", 5.0, ""),
            ("1e3", 1000.0, ""),
            ("1e3kbit", 1000.0, "kbit"),
            ("+7", 7.0, ""),
            ("-7ms", -7.0, "ms"),
            ("0x40", 64.0, ""),
            ("0x4b", 75.0, ""),
            ("0x1.8p1s", 3.0, "s"),
            ("0xk", 0.0, "xk"),
            ("5e", 5.0, "e"),
            ("5ebit", 5.0, "ebit"),
            ("1.5.2", 1.5, ".2"),
        ] {
            assert_eq!(strtod(text), Some((value, rest)), "{text}");
        }
        for text in ["", ".", "mbit", "inf", "nan", "-", "1e999", "+ 5"] {
            assert_eq!(strtod(text), None, "{text}");
        }
        assert_eq!(signed_of_32("-14", 10), Some(-14));
        assert_eq!(signed_of_32("2147483648", 10), None);
    }
}
