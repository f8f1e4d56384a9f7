//! Values with units: how each is read, shown, printed for tc and compared.
//!
//! Words and units are tc's, with the traps closed: in a policy a bare number where a unit is wanted is an error that
//! offers the spellings. tc's own lax reading is kept for tc's own text ([`Reader::tc`]).

mod c;
pub(crate) mod choice;
mod clock;
mod curve;
mod estimator;
mod handle;
mod list;
mod mark;
mod net;
mod number;
mod preset;
mod rate;
mod size;
mod stab;
mod time;

pub use c::{integer_of_32, signed_of_32, strtod, strtoul};
pub use clock::Clock;
pub use curve::Curve;
pub use estimator::Estimator;
pub use handle::{ClassId, Handle};
pub use list::{Item, List, MOST, Preemption, Queues};
pub use mark::Mark;
pub use net::{Address, Hardware, PROTOCOLS, Prefix4, Protocol};
pub use number::{
    Count, Count16, Decimal, Flag, Hex, Hex16, Hex64, Length, Limit, LinkLayer, LogFlag, MaskedOctet, Minor, Name,
    Number, Number8, Number16, NumberList, Octets, Packets, Probability, Signed, Text,
};
pub(crate) use number::{decimal, integer};
pub use preset::{PRESETS, Packing, Preset, Presets};
pub use rate::Rate;
pub use size::Bytes;
pub use stab::Stab;
pub(crate) use time::same_in_jiffies;
pub use time::{FineTime, Milliseconds, Moment, Nanoseconds, Seconds, Time};

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, codes};
use crate::source::Span;
use crate::syntax::document::{Node, Value};
use std::any::Any;
use std::borrow::Cow;
use std::fmt::Debug;

/// Why a text is not a value, or what is odd about one that is.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The code.
    pub code: &'static Code,
    /// The sentence.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// The place, if it is narrower than the value's.
    pub span: Option<Span>,
}

impl Refusal {
    /// A refusal with code `bad-value`.
    pub fn new(message: impl Into<String>) -> Self {
        Refusal::coded(&codes::BAD_VALUE, message)
    }

    /// A refusal with a code of its own.
    pub fn coded(code: &'static Code, message: impl Into<String>) -> Self {
        Refusal { code, message: message.into(), help: None, span: None }
    }

    /// Adds help.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Narrows the place.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// As a diagnostic; `span` is used if the refusal has no place of its own.
    pub fn diagnostic(self, span: Span) -> Diagnostic {
        let d = Diagnostic::new(self.code, self.message).at(self.span.unwrap_or(span), "");
        match self.help {
            Some(help) => d.help(help),
            None => d,
        }
    }
}

/// What a value's reader knows of its surroundings, and where it leaves remarks that are no refusal.
#[derive(Debug, Default)]
pub struct Reader {
    /// What 100 % is, where a percentage is allowed.
    pub whole: Option<Rate>,
    /// The text is tc's, not a policy's: bare numbers have tc's meaning and nothing is remarked.
    pub tc: bool,
    /// tc reads the numbers of this option in decimal only ([`crate::kind::Row::decimal`]).
    pub decimal: bool,
    /// Behind tc's size may stand the cell of a rate table ([`crate::kind::Row::cell`]).
    pub cell: bool,
    /// Warnings about values that were accepted.
    pub remarks: Vec<Refusal>,
}

impl Reader {
    /// A reader of tc's own words.
    pub fn tc() -> Self {
        Reader { tc: true, ..Reader::default() }
    }

    /// Notes something odd about a value that is accepted.
    pub fn remark(&mut self, refusal: Refusal) {
        if !self.tc {
            self.remarks.push(refusal);
        }
    }
}

/// Words of a tc command line, read from the front.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    words: &'a [String],
    all: usize,
    short: bool,
}

impl<'a> Words<'a> {
    /// All of a command's words.
    pub fn new(words: &'a [String]) -> Self {
        Words { words, all: words.len(), short: false }
    }

    /// How many have been taken.
    pub fn taken(&self) -> usize {
        self.all - self.words.len()
    }

    /// How many are left.
    pub fn left(&self) -> usize {
        self.words.len()
    }

    /// How many there were.
    pub fn total(&self) -> usize {
        self.all
    }

    /// The number, counted from 0, of the word that a refusal is about: the last one taken, or the place behind the last
    /// word of all if one was missing there.
    pub fn blamed(&self) -> usize {
        if self.short { self.all } else { self.taken().saturating_sub(1) }
    }

    /// The next word, left in place.
    pub fn peek(&self) -> Option<&'a str> {
        self.words.first().map(String::as_str)
    }

    /// The word after the next.
    pub fn peek_second(&self) -> Option<&'a str> {
        self.words.get(1).map(String::as_str)
    }

    /// Takes the next word if it is this one.
    pub fn take(&mut self, word: &str) -> bool {
        let hit = self.peek() == Some(word);
        if hit {
            self.next();
        }
        hit
    }

    /// Takes the next word if tc takes it for this one.
    pub fn take_short(&mut self, whole: &str) -> bool {
        let hit = self.peek().is_some_and(|word| begins(word, whole));
        if hit {
            self.next();
        }
        hit
    }

    /// Which of tc's words the next one stands for: the first of `known` that it is or begins, as tc's `matches` takes any
    /// beginning for the word. Words that tc wants whole are marked: `=skip_hw`.
    pub fn like(&self, known: &[&'static str]) -> Option<&'static str> {
        let word = self.peek().filter(|word| !word.is_empty())?;
        known.iter().find_map(|known| match known.strip_prefix('=') {
            Some(whole) => (word == whole).then_some(whole),
            None => known.starts_with(word).then_some(*known),
        })
    }

    /// The next word, or a refusal that says what is missing.
    pub fn want(&mut self, what: &str) -> Result<&'a str, Refusal> {
        self.short = self.words.is_empty();
        self.next().ok_or_else(|| Refusal::new(format!("{what} is missing at the end")))
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }
}

/// Whether tc takes `word` for `whole`: it is the beginning of it (`matches` in iproute2's lib/utils.c).
pub fn begins(word: &str, whole: &str) -> bool {
    !word.is_empty() && whole.starts_with(word)
}

/// What the manual, the schema and diagnostics say of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its name in the manual: `rate`.
    pub name: &'static str,
    /// Spellings to offer: "`2mbit`, `300kbit`, `80%`".
    pub spellings: &'static str,
    /// Its shape in the JSON Schema.
    pub schema: Schema,
}

/// The JSON Schema shape of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// A string (or bare YAML scalar) that matches this regular expression. The generator adds `$name`.
    Pattern(&'static str),
    /// A boolean.
    Flag,
    /// A list of values that match the pattern, or one of them.
    List(&'static str),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A block or anything else with a reader of its own.
    Any,
}

/// A typed value of a row.
pub trait Unit: Clone + PartialEq + Debug + Send + Sync + 'static {
    /// Name, spellings and schema.
    const INFO: Info;

    /// Reads one word.
    ///
    /// # Errors
    /// Says what is wrong and offers the spellings.
    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal>;

    /// Reads a policy's value; a unit that may be a list or block overrides this.
    ///
    /// # Errors
    /// As [`Unit::read`].
    fn read_node(node: &Node, reader: &mut Reader) -> Result<Self, Refusal> {
        match &node.value {
            Value::Word(word) => Self::read(&word.text, reader),
            _ => Err(Refusal::new(format!("{} is wanted here, and this is {}", Self::INFO.name, node.shape()))
                .help(format!("write {}", Self::INFO.spellings))),
        }
    }

    /// Reads from a tc command line; a unit of several words overrides this.
    ///
    /// # Errors
    /// As [`Unit::read`].
    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        Self::read(words.want(Self::INFO.name)?, reader)
    }

    /// In a policy's spelling; [`Unit::read`] of it gives the value again.
    fn show(&self) -> String;

    /// In tc's spelling, so that tc reads the same value. Several words are separated by blanks.
    fn tc(&self) -> String {
        self.show()
    }

    /// The words of [`Unit::tc`]; a unit that is one word, blanks and all, overrides this.
    fn tc_words(&self) -> Vec<String> {
        self.tc().split_whitespace().map(str::to_owned).collect()
    }

    /// As the number that travels in an attribute; `None` for units whose kind encodes them itself.
    fn number(&self) -> Option<u64> {
        None
    }

    /// From an attribute's number.
    fn from_number(_number: u64) -> Option<Self> {
        None
    }

    /// Whether two values are the same at the unit's resolution.
    fn same(&self, other: &Self) -> bool {
        self == other
    }
}

/// One option of an object, set or not, whatever its unit: `Option<U>` behind an object-safe face.
pub trait Slot: Debug {
    /// Whether a value is there.
    fn is_set(&self) -> bool;
    /// Takes the value away.
    fn clear(&mut self);
    /// Reads a policy's value.
    ///
    /// # Errors
    /// As [`Unit::read`].
    fn read_node(&mut self, node: &Node, reader: &mut Reader) -> Result<(), Refusal>;
    /// Reads from tc's words.
    ///
    /// # Errors
    /// As [`Unit::read`].
    fn read_words(&mut self, words: &mut Words, reader: &mut Reader) -> Result<(), Refusal>;
    /// Reads one word in the policy's spelling.
    ///
    /// # Errors
    /// As [`Unit::read`].
    fn read_text(&mut self, text: &str, reader: &mut Reader) -> Result<(), Refusal>;
    /// The value in the policy's spelling.
    fn show(&self) -> Option<String>;
    /// The value in tc's spelling.
    fn tc(&self) -> Option<String>;
    /// The value in tc's words.
    fn tc_words(&self) -> Option<Vec<String>>;
    /// The value as an attribute's number.
    fn number(&self) -> Option<u64>;
    /// Sets the value from an attribute's number.
    fn set_number(&mut self, number: u64);
    /// Whether both are unset, or set to the same at the unit's resolution. Slots of two units are never the same.
    fn same(&self, other: &dyn Slot) -> bool;
    /// Takes over the other's value; does nothing if the units differ.
    fn copy_from(&mut self, other: &dyn Slot);
    /// For downcasts.
    fn as_any(&self) -> &dyn Any;
    /// A copy.
    fn boxed(&self) -> Box<dyn Slot>;
    /// For downcasts.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<U: Unit> Slot for Option<U> {
    fn is_set(&self) -> bool {
        self.is_some()
    }
    fn clear(&mut self) {
        *self = None;
    }
    fn read_node(&mut self, node: &Node, reader: &mut Reader) -> Result<(), Refusal> {
        *self = Some(U::read_node(node, reader)?);
        Ok(())
    }
    fn read_words(&mut self, words: &mut Words, reader: &mut Reader) -> Result<(), Refusal> {
        *self = Some(U::read_words(words, reader)?);
        Ok(())
    }
    fn read_text(&mut self, text: &str, reader: &mut Reader) -> Result<(), Refusal> {
        *self = Some(U::read(text, reader)?);
        Ok(())
    }
    fn show(&self) -> Option<String> {
        self.as_ref().map(U::show)
    }
    fn tc(&self) -> Option<String> {
        self.as_ref().map(U::tc)
    }
    fn tc_words(&self) -> Option<Vec<String>> {
        self.as_ref().map(U::tc_words)
    }
    fn number(&self) -> Option<u64> {
        self.as_ref().and_then(U::number)
    }
    fn set_number(&mut self, number: u64) {
        *self = U::from_number(number);
    }
    fn same(&self, other: &dyn Slot) -> bool {
        match (self, other.as_any().downcast_ref::<Option<U>>()) {
            (Some(a), Some(Some(b))) => a.same(b),
            (None, Some(None)) => true,
            _ => false,
        }
    }
    fn copy_from(&mut self, other: &dyn Slot) {
        if let Some(other) = other.as_any().downcast_ref::<Option<U>>() {
            self.clone_from(other);
        }
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn boxed(&self) -> Box<dyn Slot> {
        Box::new(self.clone())
    }
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// The words of a policy's value that has several: a list of words, or one text with blanks between them.
///
/// # Errors
/// It is a block, or a list of other things.
pub(crate) fn words_of(node: &Node, info: &Info) -> Result<String, Refusal> {
    let words = match &node.value {
        Value::Word(word) => Some(word.text.to_string()),
        Value::List(items) => items.iter().map(|i| i.node.as_word()).collect::<Option<Vec<_>>>().map(|w| w.join(" ")),
        _ => None,
    };
    words.ok_or_else(|| {
        Refusal::new(format!("{} is wanted here, and this is {}", info.name, node.shape()))
            .help(format!("write {}", info.spellings))
    })
}

/// Splits `12.5mbit` into its number and its suffix; `None` if it does not start with a number.
pub(crate) fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let sound = number.bytes().any(|b| b.is_ascii_digit()) && number.bytes().filter(|b| *b == b'.').count() <= 1;
    sound.then_some((number, suffix))
}

/// As [`split_number`]; in tc's own text the number may have any form that `strtod` takes, and comes as plain digits.
pub(crate) fn split_amount<'t>(text: &'t str, reader: &Reader) -> Option<(Cow<'t, str>, &'t str)> {
    let (value, rest) = match strtod(text) {
        Some(found) if reader.tc => found,
        _ => return split_number(text).map(|(number, suffix)| (number.into(), suffix)),
    };
    match split_number(text) {
        // exact, which a number with a fraction is not
        Some((number, suffix)) if suffix == rest => Some((number.into(), suffix)),
        _ => (value >= 0.0).then(|| (value.abs().to_string().into(), rest)),
    }
}

/// `number * factor` exactly where the number has no fraction, else to the nearest, or cut as tc cuts; `None` beyond `u64`.
pub(crate) fn scale(number: &str, factor: u64, cut: bool) -> Option<u64> {
    match number.split_once('.') {
        None => number.parse::<u64>().ok()?.checked_mul(factor),
        Some(_) => {
            let value = number.parse::<f64>().ok()? * factor as f64;
            let whole = if cut { value.trunc() } else { value.round() };
            (value < 1.8e19).then_some(whole as u64)
        }
    }
}
