//! Times.

use super::{Info, Reader, Refusal, Schema, Unit, scale, split_amount};
use crate::diagnostic::codes;

/// A time in nanoseconds. A bare number is microseconds in tc's own text and refused in a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

/// A time that tc counts in nanoseconds too: a bare number is nanoseconds in tc's own text (`get_time64`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FineTime(pub u64);

/// A time that tc and the kernel count in whole seconds (`sfq perturb`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(pub u64);

/// A time that tc writes as a bare number of milliseconds (`sfb rehash`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Milliseconds(pub u32);

/// A time that tc writes as a bare number of nanoseconds, up to two seconds (`etf delta`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanoseconds(pub u32);

/// A moment or a time in nanoseconds, before or after the clock's beginning: a bare number is nanoseconds in tc's own text
/// (`taprio base-time`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub i64);

const PATTERN: Schema = Schema::Pattern(r"^[0-9]+(\.[0-9]+)?([sS]|secs?|ms|msecs?|us|usecs?|ns|nsecs?)$");

/// A time in nanoseconds, read in whole steps of so many: tc cuts what is below its microsecond, or nanosecond.
fn nanoseconds(text: &str, bare: Option<u64>, step: u64, reader: &Reader) -> Result<u64, Refusal> {
    let wrong = || Refusal::new(format!("`{text}` is not a time")).help(format!("write {}", Time::INFO.spellings));
    let (number, suffix) = split_amount(text, reader).ok_or_else(wrong)?;
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
    let steps = scale(&number, factor / step, reader.tc).and_then(|steps| steps.checked_mul(step));
    steps.ok_or_else(|| Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` is too long a time")))
}

impl Unit for Time {
    const INFO: Info = Info { name: "a time", spellings: "`50ms`, `10s`, `500us`", schema: PATTERN };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        // get_time of iproute2 counts microseconds, and knows no smaller unit
        if reader.tc && text.to_ascii_lowercase().trim_end_matches("ecs").trim_end_matches("ec").ends_with("ns") {
            return Err(Refusal::new(format!("`{text}` is below what tc can say here")).help("write it in `us`"));
        }
        nanoseconds(text, reader.tc.then_some(1_000), if reader.tc { 1_000 } else { 1 }, reader).map(Time)
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

impl Unit for FineTime {
    const INFO: Info = Info { name: "a time", spellings: "`10us`, `50ms`, `500ns`", schema: PATTERN };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        nanoseconds(text, reader.tc.then_some(1), 1, reader).map(FineTime)
    }

    fn show(&self) -> String {
        Time(self.0).show()
    }

    fn number(&self) -> Option<u64> {
        Some(self.0)
    }

    fn from_number(number: u64) -> Option<Self> {
        Some(FineTime(number))
    }
}

impl Unit for Moment {
    const INFO: Info = Info {
        name: "a moment or time",
        spellings: "`10s`, `300us`, `1700000000s`",
        schema: Schema::Pattern(r"^-?[0-9]+(s|ms|us|ns)$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let (digits, minus) = text.strip_prefix('-').map_or((text, false), |digits| (digits, true));
        let ns = match reader.tc {
            // in decimal, and nothing but digits
            true if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok(),
            true => None,
            false => Some(nanoseconds(digits, (digits == "0").then_some(1), 1, reader)?),
        };
        let ns = ns.and_then(|ns: u64| i64::try_from(ns).ok()).map(|ns| if minus { -ns } else { ns });
        ns.map(Moment).ok_or_else(|| {
            let what = if reader.tc { "a number of nanoseconds" } else { "a time that the kernel can count" };
            Refusal::new(format!("`{text}` is not {what}"))
        })
    }

    fn show(&self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        format!("{sign}{}", Time(self.0.unsigned_abs()).show())
    }

    fn tc(&self) -> String {
        self.0.to_string()
    }

    /// In two's complement.
    fn number(&self) -> Option<u64> {
        Some(self.0.cast_unsigned())
    }

    fn from_number(number: u64) -> Option<Self> {
        Some(Moment(number.cast_signed()))
    }
}

impl Unit for Seconds {
    const INFO: Info = Info { name: "a time in whole seconds", spellings: "`10s`, `0s`", schema: PATTERN };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        if reader.tc {
            // get_integer of iproute2
            let seconds = super::number::integer(text, reader, Self::INFO.name)?;
            let fits = i32::try_from(seconds).is_ok();
            let beyond = || Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` is too long a time"));
            return fits.then_some(Seconds(seconds)).ok_or_else(beyond);
        }
        let ns = nanoseconds(text, (text == "0").then_some(1_000_000_000), 1, reader)?;
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

/// A policy's time in steps of `step` nanoseconds, or tc's bare number of them.
fn steps(text: &str, reader: &Reader, step: u64, most: u32) -> Result<u32, Refusal> {
    let n = if reader.tc {
        super::number::integer(text, reader, "a number")?
    } else {
        let ns = nanoseconds(text, (text == "0").then_some(1), 1, reader)?;
        if ns % step != 0 {
            return Err(Refusal::new(format!("`{text}` is finer than the kernel counts here")).help("write `10ms`"));
        }
        ns / step
    };
    u32::try_from(n).ok().filter(|n| *n <= most).ok_or_else(|| {
        let longest = Time(u64::from(most) * step).show();
        Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` is too long a time: at most {longest}"))
    })
}

impl Unit for Milliseconds {
    const INFO: Info = Info { name: "a time in milliseconds", spellings: "`50ms`, `600s`", schema: PATTERN };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        steps(text, reader, 1_000_000, u32::MAX).map(Milliseconds)
    }

    fn show(&self) -> String {
        Time(u64::from(self.0) * 1_000_000).show()
    }

    fn tc(&self) -> String {
        self.0.to_string()
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(Milliseconds)
    }
}

impl Unit for Nanoseconds {
    const INFO: Info = Info { name: "a short time", spellings: "`300us`, `500ns`", schema: PATTERN };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        steps(text, reader, 1, i32::MAX as u32).map(Nanoseconds)
    }

    fn show(&self) -> String {
        Time(u64::from(self.0)).show()
    }

    fn tc(&self) -> String {
        self.0.to_string()
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(Nanoseconds)
    }
}

/// Whether a kernel that counts in jiffies may say `held` microseconds of what it was told as `asked`: rounded up to a
/// jiffy of one of the frequencies that kernels are built with (`usecs_to_jiffies`).
pub(crate) fn same_in_jiffies(asked: u64, held: u64) -> bool {
    asked == held
        || [100, 128, 250, 256, 300, 1000, 1024].into_iter().any(|hz: u64| {
            let jiffies = asked.saturating_mul(hz).div_ceil(1_000_000);
            // two jiffies below what 32 bits hold stands for ever
            let ever = (1 << 32) - 2_000_000 / hz;
            (jiffies as f64 * 1e6 / hz as f64 - held as f64).abs() < 2.0 || held == ever && asked > ever
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn counts_of_small_times_are_bare_to_tc_only() {
        let mut r = Reader::default();
        assert_eq!(Milliseconds::read("600s", &mut r).unwrap(), Milliseconds(600_000));
        assert_eq!(Milliseconds::read("600", &mut Reader::tc()).unwrap(), Milliseconds(600));
        assert!(Milliseconds::read("600s", &mut Reader::tc()).is_err());
        assert!(Milliseconds::read("500us", &mut r).is_err());
        assert_eq!(Nanoseconds::read("300us", &mut r).unwrap(), Nanoseconds(300_000));
        assert_eq!(Nanoseconds::read("300000", &mut Reader::tc()).unwrap(), Nanoseconds(300_000));
        assert_eq!(Nanoseconds::read("3s", &mut r).unwrap_err().code.name, "out-of-range");
        assert!(same_in_jiffies(40_000, 40_000) && same_in_jiffies(1, 10_000) && same_in_jiffies(1_234, 4_000));
        assert!(!same_in_jiffies(40_000, 45_000) && !same_in_jiffies(40_000, 50_000));
    }

    #[test]
    fn times_want_units_and_seconds_are_whole() {
        let mut r = Reader::default();
        assert_eq!(Time::read("50ms", &mut r).unwrap(), Time(50_000_000));
        assert_eq!(Time::read("50", &mut r).unwrap_err().code.name, "bare-number");
        assert_eq!(Time::read("50", &mut Reader::tc()).unwrap(), Time(50_000));
        assert!(Time::read("50ns", &mut Reader::tc()).is_err());
        assert!(Time::read("50nsecs", &mut Reader::tc()).is_err());
        assert_eq!(Time::read("1.9us", &mut Reader::tc()).unwrap(), Time(1_000), "tc cuts to microseconds");
        assert_eq!(FineTime::read("50", &mut Reader::tc()).unwrap(), FineTime(50));
        assert_eq!(FineTime::read("50ns", &mut Reader::tc()).unwrap(), FineTime(50));
        assert_eq!(FineTime::read("1.9ns", &mut Reader::tc()).unwrap(), FineTime(1), "and to nanoseconds");
        assert_eq!(FineTime::read("1.9ns", &mut r).unwrap(), FineTime(2));
        assert_eq!(Seconds::read("10s", &mut r).unwrap(), Seconds(10));
        assert_eq!(Seconds::read("10", &mut Reader::tc()).unwrap(), Seconds(10));
        assert!(Seconds::read("500ms", &mut r).is_err());
    }
}
