//! Sizes in bytes.

use super::{Info, Reader, Refusal, Schema, Unit, scale, split_amount};
use crate::diagnostic::codes;

/// A size in bytes. `k` and `kb` are 1,024 bytes, as in tc.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl Unit for Bytes {
    const INFO: Info = Info {
        name: "a size",
        spellings: "`1540b`, `32kb` (of 1,024 bytes), `1mb`",
        schema: Schema::Pattern(r"^[0-9]+(\.[0-9]+)?([bB]|[kKmMgG]([bB]|[bB][iI][tT])?)$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let wrong = || Refusal::new(format!("`{text}` is not a size")).help(format!("write {}", Self::INFO.spellings));
        // tc's `1600/8` has the cell of a rate table after the stroke; nothing uses the tables any more
        let size = text.split_once('/').filter(|_| reader.tc).map_or(text, |(size, _cell)| size);
        let (number, suffix) = split_amount(size, reader).ok_or_else(wrong)?;
        let beyond = || Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` is more than a size can hold"));
        let size = |factor: u64| scale(&number, factor).map(Bytes).ok_or_else(beyond);
        let bits = |factor: u64| scale(&number, factor).map(|n| Bytes(n / 8)).ok_or_else(beyond);
        match suffix.to_ascii_lowercase().as_str() {
            "" if reader.tc => size(1),
            "" => Err(Refusal::coded(&codes::BARE_NUMBER, format!("`{text}` has no unit"))
                .help(format!("write `{number}b` for bytes, `{number}kb` for kilobytes of 1,024"))),
            "b" => size(1),
            "k" | "kb" => size(1 << 10),
            "m" | "mb" => size(1 << 20),
            "g" | "gb" => size(1 << 30),
            "kbit" | "mbit" | "gbit" => {
                let factor = match suffix.as_bytes().first() {
                    Some(b'k' | b'K') => 1 << 10,
                    Some(b'm' | b'M') => 1 << 20,
                    _ => 1 << 30,
                };
                let value = bits(factor)?;
                reader.remark(
                    Refusal::coded(
                        &codes::BITS_FOR_BYTES,
                        format!("`{text}` is {} bytes here: a size, not a rate", value.0),
                    )
                    .help(format!("write `{}`", value.show())),
                );
                Ok(value)
            }
            "bit" | "bps" | "kbps" | "mbps" | "gbps" => Err(Refusal::coded(
                &codes::WRONG_UNIT,
                format!("`{text}` is a rate, and a size in bytes is wanted here"),
            )
            .help(format!("write {}", Self::INFO.spellings))),
            _ => Err(wrong()),
        }
    }

    fn show(&self) -> String {
        let n = self.0;
        match () {
            () if n != 0 && n.is_multiple_of(1 << 20) => format!("{}mb", n >> 20),
            () if n != 0 && n.is_multiple_of(1 << 10) => format!("{}kb", n >> 10),
            () => format!("{n}b"),
        }
    }

    fn number(&self) -> Option<u64> {
        Some(self.0)
    }

    fn from_number(number: u64) -> Option<Self> {
        Some(Bytes(number))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn kilobytes_are_1024_and_bare_numbers_are_refused() {
        let read = |t: &str| Bytes::read(t, &mut Reader::default());
        assert_eq!(read("15k").unwrap(), Bytes(15_360));
        assert_eq!(read("625kb").unwrap(), Bytes(640_000));
        assert_eq!(read("1540b").unwrap(), Bytes(1540));
        assert_eq!(read("1540").unwrap_err().code.name, "bare-number");
        assert_eq!(read("15kbps").unwrap_err().code.name, "wrong-unit");
        assert_eq!(Bytes::read("1540", &mut Reader::tc()).unwrap(), Bytes(1540));
        for (text, bytes) in [("0x40", 64), ("1e3", 1000), (".5kb", 512), ("+2k", 2048)] {
            assert_eq!(Bytes::read(text, &mut Reader::tc()).unwrap(), Bytes(bytes), "{text}");
            assert!(text == ".5kb" || read(text).is_err(), "{text}");
        }
        for n in [0, 1, 1024, 1500, 1 << 20, 3 << 19] {
            assert_eq!(read(&Bytes(n).show()).unwrap(), Bytes(n));
        }
    }
}
