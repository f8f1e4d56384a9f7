//! What becomes of a packet after an action: `drop`, `pass`, `pipe`…

use crate::diagnostic::codes;
use crate::kind::Row;
use crate::unit::{Info, Number, Reader, Refusal, Schema, Unit, Words};

/// An action's verdict, as the kernel numbers it (`TC_ACT_*`, include/uapi/linux/pkt_cls.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Control(pub i32);

const NAMES: &[(&str, Control)] = &[
    ("pass", Control::PASS),
    ("ok", Control::PASS),
    ("drop", Control::DROP),
    ("shot", Control::DROP),
    ("pipe", Control::PIPE),
    ("reclassify", Control::RECLASSIFY),
    ("continue", Control::CONTINUE),
    ("trap", Control::TRAP),
];
const JUMP: i32 = 1 << 28;
const GOTO_CHAIN: i32 = 2 << 28;
/// The bits of the number after `goto chain` and `jump`.
const VALUE: i32 = JUMP - 1;

impl Control {
    /// The next filter is tried.
    pub const CONTINUE: Control = Control(-1);
    /// The packet goes on, to the class the filter names.
    pub const PASS: Control = Control(0);
    /// All filters are tried again.
    pub const RECLASSIFY: Control = Control(1);
    /// The packet is dropped.
    pub const DROP: Control = Control(2);
    /// The next action of the list is run; after the last one the packet goes on.
    pub const PIPE: Control = Control(3);
    /// The packet is somebody else's now.
    pub const STOLEN: Control = Control(4);
    /// The hardware hands the packet to the processor.
    pub const TRAP: Control = Control(8);

    /// `goto chain N`.
    pub fn goto_chain(chain: u32) -> Option<Control> {
        i32::try_from(chain).ok().filter(|c| *c <= VALUE).map(|c| Control(GOTO_CHAIN | c))
    }

    /// Whether the word begins a verdict.
    pub fn starts(word: &str) -> bool {
        matches!(word, "goto" | "jump") || NAMES.iter().any(|(name, _)| *name == word)
    }

    /// Reads on after the first word.
    pub(crate) fn read_more(word: &str, words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        if let Some((_, control)) = NAMES.iter().find(|(name, _)| *name == word) {
            return Ok(*control);
        }
        let kind = match word {
            "goto" => {
                if !words.take("chain") {
                    return Err(Refusal::new("`goto` wants a chain").help("write `goto chain 5`"));
                }
                GOTO_CHAIN
            }
            "jump" => JUMP,
            _ => {
                // tc reads a number in a policer's `conform-exceed`
                let number = reader.tc.then(|| Number::read(word, reader).ok()).flatten();
                return number.map(|n| Control::from_bits(n.0)).ok_or_else(|| {
                    Refusal::new(format!("`{word}` is no verdict")).help(format!("write {}", Self::INFO.spellings))
                });
            }
        };
        let number = Number::read_words(words, reader)?.0;
        i32::try_from(number)
            .ok()
            .filter(|n| *n <= VALUE)
            .map(|n| Control(kind | n))
            .ok_or_else(|| Refusal::coded(&codes::OUT_OF_RANGE, format!("`{number}` does not fit: at most {VALUE}")))
    }

    /// As tc and the kernel count it, in four octets.
    pub(crate) fn bits(self) -> u32 {
        self.0 as u32
    }

    pub(crate) fn from_bits(bits: u32) -> Control {
        Control(bits as i32)
    }
}

impl Unit for Control {
    const INFO: Info = Info {
        name: "a verdict",
        spellings: "`drop`, `pass`, `pipe`, `continue`, `reclassify`, `trap` or `goto chain 5`",
        schema: Schema::Pattern("^(pass|ok|drop|shot|pipe|reclassify|continue|trap|goto chain [0-9]+|jump [0-9]+)$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let mut words = Words::new(&words);
        let control = Self::read_words(&mut words, reader)?;
        match words.next() {
            None => Ok(control),
            Some(word) => Err(Refusal::new(format!("`{word}` after `{}`", control.show()))),
        }
    }

    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        let word = words.want(Self::INFO.name)?;
        Control::read_more(word, words, reader)
    }

    fn show(&self) -> String {
        if let Some((name, _)) = NAMES.iter().find(|(_, control)| control == self) {
            return (*name).to_owned();
        }
        if *self == Control::STOLEN {
            return "stolen".to_owned();
        }
        match self.0 & !VALUE {
            GOTO_CHAIN => format!("goto chain {}", self.0 & VALUE),
            JUMP => format!("jump {}", self.0 & VALUE),
            _ => self.bits().to_string(),
        }
    }

    /// tc shows `stolen` and does not read it, and neither is it a policy's to say; where tc takes numbers it takes
    /// this one's.
    fn tc(&self) -> String {
        if *self == Control::STOLEN { self.bits().to_string() } else { self.show() }
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.bits()))
    }

    fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(Control::from_bits)
    }
}

/// Whether the kernel is left to number an action; it does so for 0 too.
pub(crate) fn unnumbered(index: Option<Number>) -> bool {
    index.unwrap_or_default().0 == 0
}

/// The row that every action has for the number under which several filters share it.
pub(crate) const INDEX: Row = Row::new("index").computed("the kernel numbers it");

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn verdicts_are_tcs_and_may_be_several_words() {
        let read = |t: &str| Control::read(t, &mut Reader::default());
        for (text, control) in [("drop", Control::DROP), ("ok", Control::PASS), ("continue", Control::CONTINUE)] {
            assert_eq!(read(text).unwrap(), control);
        }
        assert_eq!(read("goto chain 5").unwrap(), Control::goto_chain(5).unwrap());
        assert_eq!(read("goto chain 5").unwrap().0, 0x2000_0005);
        assert_eq!(read("jump 2").unwrap().show(), "jump 2");
        assert!(read("goto 5").is_err());
        assert!(read("drop pass").is_err());
        assert!(read("discard").unwrap_err().help.is_some());
        assert_eq!(read("goto chain 268435456").unwrap_err().code.name, "out-of-range");
        for n in [-1, 0, 1, 2, 3, 8, 0x2000_0007, 0x1000_0001] {
            assert_eq!(read(&Control(n).show()).unwrap(), Control(n));
        }
    }
}
