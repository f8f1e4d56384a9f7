//! What every action has: a verdict on the packet (`drop`, `pass`, `pipe`…), a number under which it is shared, and the
//! struct in which both travel.

use crate::diagnostic::codes;
use crate::kind::wire::{Cursor, Fields, Malformed, Payload};
use crate::kind::{Row, Rows, read_row_of};
use crate::unit::{Info, Number, Reader, Refusal, Schema, Unit, Words, begins, decimal};

/// An action's verdict, as the kernel numbers it (`TC_ACT_*`, include/uapi/linux/pkt_cls.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Control(pub i32);

/// In the order in which tc tries them, each against the beginning of the word (`action_a2n` in iproute2's tc/tc_util.c).
const NAMES: &[(&str, Control)] = &[
    ("continue", Control::CONTINUE),
    ("drop", Control::DROP),
    ("shot", Control::DROP),
    ("pass", Control::PASS),
    ("ok", Control::PASS),
    ("reclassify", Control::RECLASSIFY),
    ("pipe", Control::PIPE),
    ("goto", Control(GOTO_CHAIN)),
    ("jump", Control(JUMP)),
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
    /// The packet waits somewhere else.
    pub const QUEUED: Control = Control(5);
    /// The hardware hands the packet to the processor.
    pub const TRAP: Control = Control(8);

    /// `goto chain N`.
    pub fn goto_chain(chain: u32) -> Option<Control> {
        i32::try_from(chain).ok().filter(|c| *c <= VALUE).map(|c| Control(GOTO_CHAIN | c))
    }

    /// Whether the word begins a verdict; tc takes the beginning of a word for the whole.
    pub fn starts(word: &str, reader: &Reader) -> bool {
        Self::named(word, reader).is_some()
    }

    fn named(word: &str, reader: &Reader) -> Option<&'static (&'static str, Control)> {
        NAMES.iter().find(|(name, _)| *name == word || reader.tc && begins(word, name))
    }

    /// One word of tc's, where tc takes a number too: a policer's `conform-exceed`.
    pub(crate) fn read_or_number(word: &str, words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        match word.parse::<i32>() {
            Ok(number) if reader.tc => Ok(Control(number)),
            _ => Control::read_more(word, words, reader),
        }
    }

    /// Reads on after the first word.
    pub(crate) fn read_more(word: &str, words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        let Some((name, control)) = Self::named(word, reader) else {
            let wrong = Refusal::new(format!("`{word}` is no verdict"));
            return Err(wrong.help(format!("write {}", Self::INFO.spellings)));
        };
        match *name {
            "goto" if !(words.take("chain") || reader.tc && words.take_short("chain")) => {
                return Err(Refusal::new("`goto` wants a chain").help("write `goto chain 5`"));
            }
            "goto" | "jump" => {}
            _ => return Ok(*control),
        }
        let number = decimal(words.want("a number")?, reader, "a number")?;
        i32::try_from(number)
            .ok()
            .filter(|n| *n <= VALUE)
            .map(|n| Control(control.0 | n))
            .ok_or_else(|| Refusal::coded(&codes::OUT_OF_RANGE, format!("`{number}` does not fit: at most {VALUE}")))
    }

    /// The number after `jump`: how many actions of the list, from its first, are passed over.
    pub fn jump(self) -> Option<i32> {
        (self.0 & !VALUE == JUMP).then_some(self.0 & VALUE)
    }

    /// The chain after `goto chain`.
    pub fn chain(self) -> Option<u32> {
        self.is_goto().then_some((self.0 & VALUE) as u32)
    }

    /// Whether all filters of another chain are to be asked.
    pub fn is_goto(self) -> bool {
        self.0 & !VALUE == GOTO_CHAIN
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
        let plain = NAMES.iter().filter(|(_, control)| control.0 & !VALUE != GOTO_CHAIN && control.0 & !VALUE != JUMP);
        if let Some((name, _)) = plain.into_iter().find(|(_, control)| control == self) {
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
        if *self == Control::STOLEN { self.0.to_string() } else { self.show() }
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.bits()))
    }

    fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(Control::from_bits)
    }
}

/// The number under which several filters share an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(pub u32);

impl Unit for Index {
    const INFO: Info =
        Info { name: "a number", spellings: "a number from 1 on as `5`", schema: Schema::Pattern("^[1-9][0-9]*$") };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let number = decimal(text, reader, Self::INFO.name)?;
        match u32::try_from(number) {
            Ok(0) => Err(Refusal::new("no action has the number 0").help("leave it out, and the kernel numbers it")),
            Ok(number) => Ok(Index(number)),
            Err(_) => Err(Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` does not fit: at most {}", u32::MAX))),
        }
    }

    fn show(&self) -> String {
        self.0.to_string()
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number).ok().filter(|n| *n != 0).map(Index)
    }
}

/// The row that every action has for the number under which several filters share it.
pub(crate) const INDEX: Row = Row::new("index").short().computed("the kernel numbers it");
/// The row of the verdict that nearly every action has; tc writes it without a word before it.
pub(crate) const CONTROL: Row = Row::new("control").bare();

/// Reads one option from tc's words by the rows; not the verdict and the number at the end.
pub(crate) fn read_option<T: Rows + ?Sized>(
    options: &mut T,
    words: &mut Words,
    reader: &mut Reader,
) -> Result<bool, Refusal> {
    read_row_of(options, words, reader, |row| !row.bare && row.word != INDEX.word)
}

/// Reads options from tc's words by the rows, up to the verdict and the number at the end.
pub(crate) fn read_options<T: Rows + ?Sized>(
    options: &mut T,
    words: &mut Words,
    reader: &mut Reader,
) -> Result<(), Refusal> {
    while read_option(options, words, reader)? {}
    Ok(())
}

/// Reads what stands at the end of tc's words of nearly every action: a verdict, then `index N`.
pub(crate) fn read_end(
    control: &mut Option<Control>,
    index: &mut Option<Index>,
    words: &mut Words,
    reader: &mut Reader,
) -> Result<(), Refusal> {
    if words.peek().is_some_and(|word| Control::starts(word, reader)) {
        *control = Some(Control::read_words(words, reader)?);
    }
    read_index(index, words, reader)
}

/// Reads `index N`, if it is next. For 0 the kernel numbers the action, as if nothing were said.
pub(crate) fn read_index(index: &mut Option<Index>, words: &mut Words, reader: &mut Reader) -> Result<(), Refusal> {
    if words.take_short("index") {
        let text = words.want("the number of an action")?;
        *index = if text == "0" { None } else { Some(Index::read(text, reader)?) };
    }
    Ok(())
}

/// As [`read_end`] where tc reads the number as C does: `0x11` is 17.
pub(crate) fn read_end_in_any_base(
    control: &mut Option<Control>,
    index: &mut Option<Index>,
    words: &mut Words,
    reader: &mut Reader,
) -> Result<(), Refusal> {
    if words.peek().is_some_and(|word| Control::starts(word, reader)) {
        *control = Some(Control::read_words(words, reader)?);
    }
    if words.take_short("index") {
        let number = Number::read_words(words, reader)?;
        *index = Index::from_number(u64::from(number.0));
    }
    Ok(())
}

/// `tc_gen` of include/uapi/linux/pkt_cls.h, with which the struct of every action but `police` begins: index, capab,
/// action, refcnt, bindcnt.
pub(crate) fn head(index: Option<Index>, control: Control) -> Fields {
    Fields::new().u32(index.map_or(0, |n| n.0)).u32(0).u32(control.bits()).u32(0).u32(0)
}

/// Reads a [`head`].
pub(crate) fn read_head(c: &mut Cursor) -> Result<(Option<Index>, Option<Control>), Malformed> {
    let (index, _capab, action, _refs, _binds) = (c.u32()?, c.u32()?, c.u32()?, c.u32()?, c.u32()?);
    Ok((Index::from_number(u64::from(index)), Some(Control::from_bits(action))))
}

/// What a held action says of its use: how many hold it, and how many seconds ago it was made and used first and last
/// (`struct tcf_t`, in hundredths of a second). `parms` is the attribute of its struct, `tm` that of its times.
pub(crate) fn figures(parms: u16, tm: u16, payload: Payload) -> Vec<(&'static str, u64)> {
    figures_at(parms, 12, tm, payload)
}

/// As [`figures`], with the place of refcnt and bindcnt in the struct.
pub(crate) fn figures_at(parms: u16, at: usize, tm: u16, payload: Payload) -> Vec<(&'static str, u64)> {
    let mut figures = Vec::new();
    let Ok(attributes) = payload.attributes() else { return figures };
    let counts = attributes.get(parms).and_then(|p| p.0.get(at..)).unwrap_or_default();
    let mut c = Cursor::new(counts);
    for name in ["references", "bindings"] {
        figures.extend(c.u32().map(|n| (name, u64::from(n))));
    }
    let mut c = attributes.get(tm).map(Payload::fields).unwrap_or(Cursor::new(&[]));
    for name in ["installed", "last_used", "expires", "first_used"] {
        figures.extend(c.u64().map(|hundredths| (name, hundredths / 100)));
    }
    figures
}

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
        let tc = |t: &str| Control::read(t, &mut Reader::tc());
        for (text, whole) in
            [("c", "continue"), ("s", "drop"), ("pi", "pipe"), ("p", "pass"), ("g ch 5", "goto chain 5")]
        {
            assert_eq!(tc(text).unwrap().show(), whole);
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(tc("goto chain 010").unwrap().show(), "goto chain 10", "decimal, whatever it begins with");
        assert!(tc("goto chain 0x10").is_err() && tc("4").is_err() && tc("stolen").is_err());
        assert!(read("goto 5").is_err());
        assert!(read("drop pass").is_err());
        assert!(read("discard").unwrap_err().help.is_some());
        assert_eq!(read("goto chain 268435456").unwrap_err().code.name, "out-of-range");
        for n in [-1, 0, 1, 2, 3, 8, 0x2000_0007, 0x1000_0001] {
            assert_eq!(read(&Control(n).show()).unwrap(), Control(n));
        }
    }
}
