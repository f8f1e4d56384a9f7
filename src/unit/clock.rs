//! Clocks.

use super::{Info, Reader, Refusal, Schema, Unit};

/// A clock of the system by its number (clock_gettime(2)), as `etf` and `taprio` know them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Clock(pub u32);

/// tc's names and the numbers of include/uapi/linux/time.h.
const CLOCKS: [(&str, u32); 4] = [("TAI", Clock::TAI.0), ("REALTIME", 0), ("MONOTONIC", 1), ("BOOTTIME", 7)];

impl Clock {
    /// International atomic time, which no leap second disturbs.
    pub const TAI: Clock = Clock(11);
}

impl Unit for Clock {
    const INFO: Info = Info {
        name: "a clock",
        spellings: "`CLOCK_TAI`, `CLOCK_REALTIME`, `CLOCK_MONOTONIC` or `CLOCK_BOOTTIME`",
        schema: Schema::Pattern("^(CLOCK_)?(TAI|REALTIME|MONOTONIC|BOOTTIME)$"),
    };

    /// With or without `CLOCK_`, in any case, as tc does.
    fn read(text: &str, _reader: &mut Reader) -> Result<Self, Refusal> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("CLOCK_").unwrap_or(&upper);
        let known = CLOCKS.iter().find(|(known, _)| *known == name);
        known.map(|(_, number)| Clock(*number)).ok_or_else(|| {
            Refusal::new(format!("`{text}` is no clock")).help(format!("write {}", Self::INFO.spellings))
        })
    }

    fn show(&self) -> String {
        let known = CLOCKS.iter().find(|(_, number)| *number == self.0);
        known.map_or_else(|| "CLOCK_TAI".to_owned(), |(name, _)| format!("CLOCK_{name}"))
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        CLOCKS.iter().find(|(_, known)| u64::from(*known) == number).map(|(_, known)| Clock(*known))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn clocks_have_two_spellings() {
        let mut r = Reader::default();
        for text in ["CLOCK_TAI", "TAI", "tai", "Clock_Tai"] {
            assert_eq!(Clock::read(text, &mut r).unwrap(), Clock::TAI);
        }
        assert!(Clock::read("CLOCK_UTC", &mut r).is_err());
        assert_eq!(Clock::from_number(11), Some(Clock::TAI));
        assert_eq!(Clock::from_number(4), None);
    }
}
