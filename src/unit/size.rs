//! Sizes in bytes.

use super::{Info, Reader, Refusal, Schema, Unit, scale, signed_of_32, split_amount};
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
        let size = match text.split_once('/').filter(|_| reader.cell) {
            Some((size, cell)) if is_cell(cell) => size,
            Some((_, cell)) => {
                let refusal = Refusal::new(format!("`{cell}` is not the cell of a rate table, a power of two"));
                return Err(refusal.help("leave it out with its stroke: no kernel uses it any more"));
            }
            None => text,
        };
        let (number, suffix) = split_amount(size, reader).ok_or_else(wrong)?;
        let beyond = || Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` is more than a size can hold"));
        // get_size has 32 bits; of buckets alone it has 64 since iproute2 6.15
        let most = if reader.tc && !reader.cell { u64::from(u32::MAX) } else { u64::MAX };
        let amount = |factor: u64| scale(&number, factor, reader.tc).filter(|n| *n <= most).ok_or_else(beyond);
        let size = |factor: u64| amount(factor).map(Bytes);
        let bits = |factor: u64| amount(factor / 8).map(Bytes);
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

/// Whether tc takes a text for a cell: `1 << n`, as an integer with a sign.
fn is_cell(text: &str) -> bool {
    signed_of_32(text, 0).is_some_and(|cell| cell.cast_unsigned().is_power_of_two())
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
        let cell = |text: &str| Bytes::read(text, &mut Reader { cell: true, ..Reader::tc() }).ok();
        assert_eq!(cell("10k/8"), Some(Bytes(10_240)));
        assert!(cell("10k/7").is_none() && cell("10k/").is_none() && cell("10k/0").is_none());
        assert!(Bytes::read("10k/8", &mut Reader::tc()).is_err());
        assert_eq!(Bytes::read("1.9", &mut Reader::tc()).unwrap(), Bytes(1), "tc cuts");
        assert_eq!(read("1.0009kb").unwrap(), Bytes(1025), "a policy is read to the nearest");
        assert!(Bytes::read("5gb", &mut Reader::tc()).is_err() && cell("5gb").is_some());
        for n in [0, 1, 1024, 1500, 1 << 20, 3 << 19] {
            assert_eq!(read(&Bytes(n).show()).unwrap(), Bytes(n));
        }
    }
}
