//! Rates.

use super::{Info, Reader, Refusal, Schema, Unit, scale, split_amount};
use crate::diagnostic::codes;

/// A rate in bits per second. The kernel counts bytes per second, so rates are multiples of 8 on the wire; a policy's
/// rate is rounded down to the byte when it is encoded, and two rates of one byte rate are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(pub u64);

/// Suffixes as in `tc(8)`, with the bits each stands for. Byte rates (`bps`) are tc's, and a trap.
const SUFFIXES: &[(&str, u64)] = &[
    ("bit", 1),
    ("kibit", 1 << 10),
    ("kbit", 1_000),
    ("mibit", 1 << 20),
    ("mbit", 1_000_000),
    ("gibit", 1 << 30),
    ("gbit", 1_000_000_000),
    ("tibit", 1 << 40),
    ("tbit", 1_000_000_000_000),
    ("bps", 8),
    ("kibps", 8 << 10),
    ("kbps", 8_000),
    ("mibps", 8 << 20),
    ("mbps", 8_000_000),
    ("gibps", 8 << 30),
    ("gbps", 8_000_000_000),
    ("tibps", 8 << 40),
    ("tbps", 8_000_000_000_000),
];

impl Rate {
    /// From bytes per second.
    pub fn from_bytes(bytes: u64) -> Rate {
        Rate(bytes.saturating_mul(8))
    }

    /// Bytes per second, rounded down.
    pub fn bytes(self) -> u64 {
        self.0 / 8
    }

    /// `percent` of this rate, rounded to the nearest bit.
    pub fn percent(self, percent: f64) -> Rate {
        Rate((self.0 as f64 * percent / 100.0).round() as u64)
    }
}

impl Unit for Rate {
    const INFO: Info = Info {
        name: "a rate",
        spellings: "`2mbit`, `300kbit`, `1.5gbit`, or a byte rate as `250kbps`",
        schema: Schema::Pattern(r"^[0-9]+(\.[0-9]+)?(%|([kKmMgGtT]i?)?([bB][iI][tT]|[bB][pP][sS]))$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let wrong = || Refusal::new(format!("`{text}` is not a rate")).help(format!("write {}", Self::INFO.spellings));
        let (number, suffix) = split_amount(text, reader).ok_or_else(wrong)?;
        let beyond = || Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` is more than a rate can hold"));
        if suffix == "%" {
            let whole = reader.whole.ok_or_else(|| {
                Refusal::coded(
                    &codes::PERCENT_OF_NOTHING,
                    format!("`{text}` of what? no rate is known above this place"),
                )
                .help("give the link its rate: `link: { rate: 100mbit }`, or write a rate here")
            })?;
            let percent: f64 = number.parse().map_err(|_| wrong())?;
            return Ok(whole.percent(percent));
        }
        if suffix.is_empty() {
            if reader.tc {
                return scale(&number, 1, reader.tc).map(Rate).ok_or_else(beyond);
            }
            return Err(Refusal::coded(&codes::BARE_NUMBER, format!("`{text}` has no unit")).help(format!(
                "write `{number}kbit` or `{number}mbit` for bits, `{number}kbps` for kilobytes a second"
            )));
        }
        let lower = suffix.to_ascii_lowercase();
        let Some((_, factor)) = SUFFIXES.iter().find(|(name, _)| *name == lower) else {
            return Err(match lower.as_str() {
                "kb" | "mb" | "gb" | "b" | "k" | "m" | "g" => {
                    Refusal::coded(&codes::WRONG_UNIT, format!("`{text}` is a size, and a rate is wanted here"))
                        .help(format!("write `{number}{}bit` for bits a second", lower.trim_end_matches('b')))
                }
                _ => wrong(),
            });
        };
        let rate = scale(&number, *factor, reader.tc).map(Rate).ok_or_else(beyond)?;
        if lower.ends_with("bps") && lower.len() > 3 {
            let bits = format!("{number}{}bit", lower.trim_end_matches("bps"));
            reader.remark(
                Refusal::coded(
                    &codes::BYTE_RATE,
                    format!(
                        "`{text}` is {} to tc, bytes a second; nearly everything else reads it as bits",
                        rate.show()
                    ),
                )
                .help(format!("write `{}` if bytes are meant, `{bits}` if bits are", rate.show())),
            );
        }
        Ok(rate)
    }

    fn show(&self) -> String {
        let n = self.0;
        let fits = |factor: u64| n != 0 && n.is_multiple_of(factor);
        match () {
            () if fits(1_000_000_000) => format!("{}gbit", n / 1_000_000_000),
            () if fits(1_000_000) => format!("{}mbit", n / 1_000_000),
            () if fits(1_000) => format!("{}kbit", n / 1_000),
            () => format!("{n}bit"),
        }
    }

    fn number(&self) -> Option<u64> {
        Some(self.bytes())
    }

    fn from_number(number: u64) -> Option<Self> {
        Some(Rate::from_bytes(number))
    }

    fn same(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Result<Rate, Refusal> {
        Rate::read(text, &mut Reader::default())
    }

    #[test]
    fn suffixes_are_tcs() {
        for (text, bits) in [("2mbit", 2_000_000), ("1.5Mbit", 1_500_000), ("1kibit", 1024), ("10bps", 80)] {
            assert_eq!(read(text).unwrap(), Rate(bits), "{text}");
        }
    }

    #[test]
    fn traps_are_closed() {
        assert_eq!(read("100").unwrap_err().code.name, "bare-number");
        assert_eq!(read("10kb").unwrap_err().code.name, "wrong-unit");
        assert_eq!(read("50%").unwrap_err().code.name, "percent-of-nothing");
        let mut reader = Reader::default();
        assert_eq!(Rate::read("10mbps", &mut reader).unwrap(), Rate(80_000_000));
        assert_eq!(reader.remarks.len(), 1);
    }

    #[test]
    fn shown_and_read_again() {
        for bits in [1, 8, 999, 1000, 1_500_000, 40_000_000_000, 12_345_678] {
            assert_eq!(read(&Rate(bits).show()).unwrap(), Rate(bits));
        }
    }
}
