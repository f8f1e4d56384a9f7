//! Packet marks.

use super::number::integer;
use super::{Info, Reader, Refusal, Schema, Unit};
use crate::diagnostic::codes;

/// A packet's mark (`skb->mark`), whole or under a mask: `5`, `0x5/0xff`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// The value; no bit of it lies outside the mask when it is matched.
    pub value: u32,
    /// The bits that count; all of them if no mask is written.
    pub mask: u32,
}

impl Mark {
    /// A whole mark.
    pub const fn new(value: u32) -> Mark {
        Mark { value, mask: u32::MAX }
    }
}

impl Unit for Mark {
    const INFO: Info = Info {
        name: "a mark",
        spellings: "`5`, `0x5`, or with a mask `0x5/0xff`",
        schema: Schema::Pattern("^([0-9]+|0x[0-9a-fA-F]+)(/([0-9]+|0x[0-9a-fA-F]+))?$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let half = |half: &str| {
            let n = integer(half, reader, Self::INFO.name)
                .map_err(|r| Refusal { help: Some(format!("write {}", Self::INFO.spellings)), ..r })?;
            u32::try_from(n).map_err(|_| Refusal::coded(&codes::OUT_OF_RANGE, format!("`{half}` is beyond 32 bits")))
        };
        match text.split_once('/') {
            Some((value, mask)) => Ok(Mark { value: half(value)?, mask: half(mask)? }),
            None => Ok(Mark::new(half(text)?)),
        }
    }

    fn show(&self) -> String {
        match self.mask {
            u32::MAX => format!("{:#x}", self.value),
            mask => format!("{:#x}/{mask:#x}", self.value),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_mark_without_a_mask_is_whole() {
        let read = |t: &str| Mark::read(t, &mut Reader::default());
        assert_eq!(read("5").unwrap(), Mark { value: 5, mask: u32::MAX });
        assert_eq!(read("0x5/0xff").unwrap(), Mark { value: 5, mask: 255 });
        assert_eq!(read("0x5/0xff").unwrap().show(), "0x5/0xff");
        assert_eq!(read("0x100000000").unwrap_err().code.name, "out-of-range");
        assert!(read("5/").is_err());
    }
}
