//! Times.

use super::{Info, Reader, Refusal, Schema, Unit, scale, split_number};
use crate::diagnostic::codes;

/// A time in nanoseconds. A bare number is microseconds in tc's own text and refused in a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

/// A time that tc and the kernel count in whole seconds (`sfq perturb`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(pub u64);

const PATTERN: Schema = Schema::Pattern(r"^[0-9]+(\.[0-9]+)?([sS]|secs?|ms|msecs?|us|usecs?|ns|nsecs?)$");

fn nanoseconds(text: &str, bare: Option<u64>) -> Result<u64, Refusal> {
    let wrong = || Refusal::new(format!("`{text}` is not a time")).help(format!("write {}", Time::INFO.spellings));
    let (number, suffix) = split_number(text).ok_or_else(wrong)?;
    let factor = match suffix.to_ascii_lowercase().as_str() {
        "s" | "sec" | "secs" => 1_000_000_000,
        "ms" | "msec" | "msecs" => 1_000_000,
        "us" | "usec" | "usecs" => 1_000,
        "ns" | "nsec" | "nsecs" => 1,
        "" => bare.ok_or_else(|| {
            Refusal::coded(&codes::BARE_NUMBER, format!("`{text}` has no unit"))
                .help(format!("write `{number}ms` or `{number}s`"))
        })?,
        _ => return Err(wrong()),
    };
    scale(number, factor).ok_or_else(|| Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` is too long a time")))
}

impl Unit for Time {
    const INFO: Info = Info { name: "a time", spellings: "`50ms`, `10s`, `500us`", schema: PATTERN };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        nanoseconds(text, reader.tc.then_some(1_000)).map(Time)
    }

    fn show(&self) -> String {
        let n = self.0;
        match () {
            () if n != 0 && n.is_multiple_of(1_000_000_000) => format!("{}s", n / 1_000_000_000),
            () if n != 0 && n.is_multiple_of(1_000_000) => format!("{}ms", n / 1_000_000),
            () if n.is_multiple_of(1_000) => format!("{}us", n / 1_000),
            () => format!("{n}ns"),
        }
    }

    /// tc has no nanoseconds.
    fn tc(&self) -> String {
        if self.0.is_multiple_of(1_000) { self.show() } else { format!("{}.{:03}us", self.0 / 1_000, self.0 % 1_000) }
    }

    fn number(&self) -> Option<u64> {
        Some(self.0)
    }

    fn from_number(number: u64) -> Option<Self> {
        Some(Time(number))
    }
}

impl Unit for Seconds {
    const INFO: Info = Info { name: "a time in whole seconds", spellings: "`10s`, `0s`", schema: PATTERN };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let bare = (reader.tc || text == "0").then_some(1_000_000_000);
        let ns = nanoseconds(text, bare)?;
        if ns % 1_000_000_000 != 0 {
            return Err(Refusal::new(format!("`{text}` is not a whole number of seconds")).help("write `10s`"));
        }
        Ok(Seconds(ns / 1_000_000_000))
    }

    fn show(&self) -> String {
        format!("{}s", self.0)
    }

    fn tc(&self) -> String {
        self.0.to_string()
    }

    fn number(&self) -> Option<u64> {
        Some(self.0)
    }

    fn from_number(number: u64) -> Option<Self> {
        Some(Seconds(number))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_want_units_and_seconds_are_whole() {
        let mut r = Reader::default();
        assert_eq!(Time::read("50ms", &mut r).unwrap(), Time(50_000_000));
        assert_eq!(Time::read("50", &mut r).unwrap_err().code.name, "bare-number");
        assert_eq!(Time::read("50", &mut Reader::tc()).unwrap(), Time(50_000));
        assert_eq!(Seconds::read("10s", &mut r).unwrap(), Seconds(10));
        assert_eq!(Seconds::read("10", &mut Reader::tc()).unwrap(), Seconds(10));
        assert!(Seconds::read("500ms", &mut r).is_err());
    }
}
