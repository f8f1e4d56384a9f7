//! One description of each kind: the rows of its options, from which its policy words, tc words, wire form, comparison,
//! manual section and schema all come.
//!
//! A kind is one file below `kind/` and one line in [`registry`]. In the file stand, in this order: the rows, the
//! [`Kind`] with its facts, and, only where the wire is a C struct or a word has a shape of its own, an
//! [`Options`] with what differs.
//!
//! `None` in an option means that the kernel chooses; [`Options::assume`] writes what it chooses, so that an unset
//! option is compared like any other.

pub mod action;
pub mod filter;
#[cfg(test)]
#[path = "../tests/bed/generated.rs"]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, dead_code)]
pub(crate) mod generated;
#[cfg(test)]
mod laws;
pub mod link;
mod program;
pub mod qdisc;
pub mod raw;
mod registry;
pub mod walk;
pub mod wire;

pub use registry::{Words as Vocabulary, all, find, in_policies};

use crate::codes::{self, Code};
use crate::facts::{Facts, Reference};
use crate::packet::Packet;
use crate::unit::{FineTime, Handle, Info, Packing, Rate, Reader, Refusal, Slot, Unit as _, Words, begins};
use action::{Act, Actions};
use filter::ematch::Matches;
use std::any::Any;
use std::fmt::Debug;
use wire::{Attributes, Malformed, Parsed, Payload};

/// How an option travels when it is an attribute of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Inside a struct, or otherwise by the kind's own code.
    Own,
    /// Attribute of one octet.
    U8(u16),
    /// Attribute of two octets.
    U16(u16),
    /// Attribute of four octets.
    U32(u16),
    /// Attribute of eight octets.
    U64(u16),
    /// Attribute of two octets in network byte order.
    Be16(u16),
    /// Attribute of four octets in network byte order.
    Be32(u16),
    /// Attribute of four octets, signed.
    S32(u16),
    /// A time that travels in microseconds, four octets.
    Micros(u16),
    /// Two attributes of one octet: the bits, and the mask of those that count.
    Masked8(u16, u16),
    /// The whole payload, without an attribute: a struct of one number of four octets, and nothing at all where none is said.
    Sole,
}

/// One option: a line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// tc's word and the policy's.
    pub word: &'static str,
    /// Other spellings that tc accepts (`buffer`, `maxburst`).
    pub aliases: &'static [&'static str],
    /// Whether tc takes the beginning of the word for the whole (`matches` in iproute2's lib/utils.c).
    pub short: bool,
    /// The manual's sentence.
    pub doc: &'static str,
    /// Name, spellings and schema of its unit.
    pub unit: Info,
    /// How it travels.
    pub wire: Wire,
    /// Whether tc writes the value alone, without the word: `push` of `vlan push`, a verdict.
    pub bare: bool,
    /// tc's word for "no", if the option is a flag that has one.
    pub off: Option<&'static str>,
    /// Whether it is a flag: tc writes the word alone.
    pub flag: bool,
    /// The kernel's constant default, in the policy's spelling.
    pub default: Option<&'static str>,
    /// The kernel's default in words, where it is computed.
    pub computed: Option<&'static str>,
    /// Whether the kernel refuses or ignores a change of it on a living object.
    pub fixed: bool,
    /// Whether a change in place must say it although it is fixed (taprio's clock).
    pub repeated: bool,
    /// Whether a change to less drops at once what waits beyond it (the loop at the end of `codel_change`); other kinds let
    /// it leave.
    pub cuts: bool,
    /// Whether 100 % has a meaning for it: a rate of a class.
    pub percent: bool,
    /// Whether it is kept out of policies and tc text: what only the kernel says, or only the compiler fills in.
    pub hidden: bool,
    /// Whether only the tool uses it and the kernel never holds it (`tbf latency`, a class's `mtu`): never compared.
    pub tool: bool,
    /// Whether tc refuses it a second time, once it has a value other than zero.
    pub once: bool,
    /// Whether tc has no word for it, though the kernel takes it from others.
    pub wordless: bool,
    /// Whether tc reads its number in decimal only: no `0x10`, and `010` is ten.
    pub decimal: bool,
    /// Whether tc lets the cell of a rate table stand behind its size: `1600/8`.
    pub cell: bool,
    /// The number that tc does not send, as it would travel: it stands for "not written".
    pub unsent: Option<u64>,
    /// The least and the most that tc or the kernel takes, as the number that travels (times: nanoseconds).
    pub range: Option<(u64, u64)>,
    /// The least and the most that the kernel keeps: what is beyond it brings there in silence.
    pub kept: Option<(u64, u64)>,
}

impl Row {
    /// A row with only its word; the unit is set by [`rows!`].
    pub const fn new(word: &'static str) -> Row {
        Row {
            word,
            aliases: &[],
            short: false,
            doc: "",
            unit: Info { name: "", spellings: "", schema: crate::unit::Schema::Any },
            wire: Wire::Own,
            bare: false,
            off: None,
            flag: false,
            default: None,
            computed: None,
            fixed: false,
            repeated: false,
            cuts: false,
            percent: false,
            hidden: false,
            tool: false,
            once: false,
            wordless: false,
            decimal: false,
            cell: false,
            unsent: None,
            range: None,
            kept: None,
        }
    }
    /// Sets the unit.
    pub const fn unit(mut self, unit: Info) -> Row {
        self.unit = unit;
        self
    }
    /// Sets the sentence.
    pub const fn doc(mut self, doc: &'static str) -> Row {
        self.doc = doc;
        self
    }
    /// Sets the attribute.
    pub const fn wire(mut self, wire: Wire) -> Row {
        self.wire = wire;
        self
    }
    /// Sets further spellings.
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Row {
        self.aliases = aliases;
        self
    }
    /// Lets tc's text have the beginning of the word, or of an alias, for the whole.
    pub const fn short(mut self) -> Row {
        self.short = true;
        self
    }
    /// Makes it a flag that tc writes as the bare word.
    pub const fn flag(mut self) -> Row {
        self.flag = true;
        self
    }
    /// Lets tc's text have the value without the word.
    pub const fn bare(mut self) -> Row {
        self.bare = true;
        self
    }
    /// Makes it a flag with a word for "no".
    pub const fn off(mut self, word: &'static str) -> Row {
        self.flag = true;
        self.off = Some(word);
        self
    }
    /// Sets the kernel's constant default.
    pub const fn default(mut self, text: &'static str) -> Row {
        self.default = Some(text);
        self
    }
    /// Says how the default is computed ([`Options::assume`] does it).
    pub const fn computed(mut self, text: &'static str) -> Row {
        self.computed = Some(text);
        self
    }
    /// Marks it as not changeable in place.
    pub const fn fixed(mut self) -> Row {
        self.fixed = true;
        self
    }
    /// Marks it as not changeable in place, and as said in every change all the same.
    pub const fn repeated(mut self) -> Row {
        self.fixed = true;
        self.repeated = true;
        self
    }
    /// Says that a change to less drops what waits beyond it.
    pub const fn cuts(mut self) -> Row {
        self.cuts = true;
        self
    }
    /// Allows a percentage.
    pub const fn percent(mut self) -> Row {
        self.percent = true;
        self
    }
    /// Keeps it out of policies.
    pub const fn hidden(mut self) -> Row {
        self.hidden = true;
        self
    }
    /// Marks it as the tool's own, never held by the kernel.
    pub const fn tool(mut self) -> Row {
        self.tool = true;
        self
    }
    /// Refuses it twice in tc's text.
    pub const fn once(mut self) -> Row {
        self.once = true;
        self
    }
    /// Says that tc has no word for it.
    pub const fn wordless(mut self) -> Row {
        self.wordless = true;
        self
    }
    /// Says that tc reads it in decimal only.
    pub const fn decimal(mut self) -> Row {
        self.decimal = true;
        self
    }
    /// Says that a cell may stand behind it.
    pub const fn cell(mut self) -> Row {
        self.cell = true;
        self
    }
    /// Reads tc's words of this row's value.
    ///
    /// # Errors
    /// As [`crate::unit::Unit::read`].
    pub fn read_value(&self, slot: &mut dyn Slot, words: &mut Words, reader: &mut Reader) -> Result<(), Refusal> {
        (reader.decimal, reader.cell) = (self.decimal, self.cell && reader.tc);
        let read = slot.read_words(words, reader);
        (reader.decimal, reader.cell) = (false, false);
        read
    }
    /// Says that tc sends no 0 of it.
    pub const fn nonzero(self) -> Row {
        self.unsent(0)
    }
    /// Says which number tc does not send.
    pub const fn unsent(mut self, number: u64) -> Row {
        self.unsent = Some(number);
        self
    }
    /// Sets what tc or the kernel takes.
    pub const fn range(mut self, least: u64, most: u64) -> Row {
        self.range = Some((least, most));
        self
    }
    /// Sets what the kernel makes of values beyond.
    pub const fn kept(mut self, least: u64, most: u64) -> Row {
        self.kept = Some((least, most));
        self
    }
    /// Whether `word` is one of the spellings of this row.
    pub fn is(&self, word: &str) -> bool {
        self.word == word || self.aliases.contains(&word)
    }
    /// Whether tc sends nothing for that number, in the row's unit.
    pub fn sends_none(&self, number: u64) -> bool {
        self.unsent == Some(if matches!(self.wire, Wire::Micros(_)) { number / 1000 } else { number })
    }
    /// Whether tc takes `word` for the beginning of one of the spellings of this row.
    pub fn begins(&self, word: &str) -> bool {
        self.short && std::iter::once(&self.word).chain(self.aliases).any(|whole| begins(word, whole))
    }
}

/// The rows of a struct and access to its fields by number. Written by [`rows!`].
pub trait Rows: Any + Debug + Send + Sync {
    /// The table.
    fn rows(&self) -> &'static [Row];
    /// The field of a row; `None` past the end.
    fn slot(&self, row: usize) -> Option<&dyn Slot>;
    /// The field of a row, to be set.
    fn slot_mut(&mut self, row: usize) -> Option<&mut dyn Slot>;
    /// A copy.
    fn boxed(&self) -> Box<dyn Options>;
    /// For downcasts.
    fn as_any(&self) -> &dyn Any;
    /// For downcasts.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

/// Writes a struct of options, one `Option<Unit>` a row, and its [`Rows`].
///
/// ```text
/// rows! {
///     /// what the kind is
///     pub struct FqCodel {
///         /// the manual's sentence
///         limit: Packets = Row::new("limit").wire(Wire::U32(1)).default("10240");
///     }
/// }
/// ```
#[macro_export]
macro_rules! rows {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[doc = $doc:literal])+ $field:ident : $unit:ty = $row:expr;)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: Option<$unit>,)*
        }
        impl $name {
            /// The rows, in the order in which tc writes them.
            pub const ROWS: &'static [$crate::kind::Row] = &[
                $($row.unit(<$unit as $crate::unit::Unit>::INFO).doc(concat!($($doc),+)),)*
            ];
        }
        impl $crate::kind::Rows for $name {
            fn rows(&self) -> &'static [$crate::kind::Row] {
                Self::ROWS
            }
            #[allow(unused_variables, unused_mut, unused_assignments)]
            fn slot(&self, row: usize) -> Option<&dyn $crate::unit::Slot> {
                let mut at = 0;
                $(if row == at { return Some(&self.$field); } at += 1;)*
                None
            }
            #[allow(unused_variables, unused_mut, unused_assignments)]
            fn slot_mut(&mut self, row: usize) -> Option<&mut dyn $crate::unit::Slot> {
                let mut at = 0;
                $(if row == at { return Some(&mut self.$field); } at += 1;)*
                None
            }
            fn boxed(&self) -> Box<dyn $crate::kind::Options> {
                Box::new(self.clone())
            }
            fn as_any(&self) -> &dyn std::any::Any {
                self
            }
            fn as_any_mut(&mut self) -> &mut dyn std::any::Any {
                self
            }
        }
    };
}

/// Something a kind has to say about its own options; the policy's checker gives it its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The code.
    pub code: &'static Code,
    /// The sentence.
    pub message: String,
    /// What to write.
    pub help: Option<String>,
    /// The rows at odds, by word, with a few words for each; the main one first. Rows that are not written have no place.
    pub rows: Vec<(&'static str, String)>,
}

impl Finding {
    /// A finding at one row.
    pub fn new(code: &'static Code, row: &'static str, message: impl Into<String>) -> Self {
        Finding { code, message: message.into(), help: None, rows: vec![(row, String::new())] }
    }
    /// Names a second row that is at odds.
    #[must_use]
    pub fn and(mut self, row: &'static str, text: impl Into<String>) -> Self {
        self.rows.push((row, text.into()));
        self
    }
    /// A schedule with turns, in nanoseconds, that are less than a few interrupts take: the kernel sets a timer for each turn,
    /// packets or none (`gate_timer_func`, net/sched/act_gate.c; `advance_sched`, net/sched/sch_taprio.c), and with a few
    /// nanoseconds a processor does nothing else.
    pub fn of_short_turns(row: &'static str, turns: impl Iterator<Item = u64>) -> Option<Finding> {
        const LEAST: u64 = 10_000;
        let shortest = turns.filter(|turn| (1..LEAST).contains(turn)).min()?;
        let shown = FineTime(shortest).show();
        let message = format!("a turn of {shown} leaves the processor time for little else: each turn is an interrupt");
        let found = Finding::new(&codes::SHORT_SCHEDULE, row, message);
        Some(found.help(format!("let each part last {} or more", FineTime(LEAST).show())))
    }

    /// Adds help.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
    /// The help with options as tc writes them: `rate 1mbit` for `rate: 1mbit`, `map 0 1` for `map: [0, 1]`.
    pub fn in_tc(&self) -> Option<String> {
        let parts = self.help.as_ref()?.split('`').enumerate();
        let plain = |part: &str| part.replace(": ", " ").replace(", ", " ").replace(['[', ']'], "");
        let parts = parts.map(|(i, part)| if i % 2 == 1 { plain(part) } else { part.to_owned() });
        Some(parts.collect::<Vec<_>>().join("`"))
    }
}

/// What a change of a discipline does to the one below it, so that it has to be set again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Another one is there in its place, without a handle.
    Replaced,
    /// It is there with another limit.
    Resized,
}

/// What a change in place throws away of what waits, as the kind's `change` in the kernel does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drops {
    /// All: another queue takes the place of the old one.
    Queue,
    /// What waits in bands, or tins, that are no more.
    Bands,
    /// What waits beyond a bound that becomes lower, which is what the bound is for.
    Excess,
}

impl Drops {
    /// In words, for a plan.
    pub fn words(self) -> &'static str {
        match self {
            Drops::Queue => "the kernel puts a new queue in place of the old one: packets that wait are lost",
            Drops::Bands => "packets that wait in a band or tin that goes are lost",
            Drops::Excess => "packets that wait beyond it are lost",
        }
    }
}

/// What stands in tc's words before an object's options and concerns them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// A filter's number, which its kind may still complete.
    pub handle: u32,
    /// A filter's protocol, in host order; 0 for none.
    pub protocol: u16,
    /// What a filter hangs on.
    pub parent: Handle,
    /// How many words follow the kind's name.
    pub words: usize,
}

/// An end of a packet's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where it comes from.
    Source,
    /// Where it goes.
    Destination,
}

/// How a discipline shares among hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fairness {
    /// Not at all.
    None,
    /// It tells hosts by itself.
    Own,
    /// It has so many queues that take turns, and a filter chooses one.
    Queues(u32),
}

/// The options of one object. All defaults work from the rows; a kind overrides what differs.
pub trait Options: Rows {
    /// Appends the payload of `TCA_OPTIONS`: the attributes of the rows that are set. Nothing appended means that the
    /// attribute is left out: an empty one is refused by kinds whose payload is a struct.
    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        encode_options(self, out, facts);
    }

    /// Appends the attribute of a row that is [`Wire::Own`] and set, in its place among the others.
    fn encode_own(&self, _word: &str, _out: &mut Attributes, _facts: &Facts) {}

    /// Reads the rows that are [`Wire::Own`].
    ///
    /// # Errors
    /// As [`Options::decode`].
    fn decode_own(&mut self, _attributes: &Parsed, _facts: &Facts) -> Result<(), Malformed> {
        Ok(())
    }

    /// Figures that the kernel puts among the options: counters that have no place in its statistics.
    fn figures(&self, _payload: Payload) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// Reads the payload of `TCA_OPTIONS` into the rows. Attributes that no row knows are passed over.
    ///
    /// # Errors
    /// The payload is shorter than its own lengths say.
    fn decode(&mut self, payload: Payload, facts: &Facts) -> Result<(), Malformed> {
        if let (Some(Row { wire: Wire::Sole, .. }), Some(slot)) = (self.rows().first(), self.slot_mut(0)) {
            if !payload.0.is_empty() {
                slot.set_number(u64::from(payload.fields().u32()?));
            }
            return Ok(());
        }
        let attributes = payload.attributes()?;
        decode_rows(self, &attributes)?;
        self.decode_own(&attributes, facts)
    }

    /// What a kernel takes only in further messages, each a change of the object that was made by [`Options::encode`]:
    /// the virtual queues of gred.
    fn parts(&self) -> Vec<Box<dyn Options>> {
        Vec::new()
    }

    /// Writes the kernel's default into every row that is unset, as far as it can be known: constants from the rows, and
    /// in an override what is computed from facts.
    fn assume(&mut self, _facts: &Facts) {
        self.assume_constants();
    }

    /// The constants of [`Options::assume`]. What only the tool uses is no default of the kernel's.
    fn assume_constants(&mut self) {
        for (i, row) in self.rows().iter().enumerate() {
            if let (Some(text), Some(slot)) = (row.default, self.slot_mut(i))
                && !slot.is_set()
                && !row.tool
            {
                read_default(text, slot);
            }
        }
    }

    /// Writes what the *tool* chooses, as tc does: `ceil` from `rate`, a burst from rate and clock.
    fn complete(&mut self, _facts: &Facts) {}

    /// Whether a row of both is the same to the wire's resolution. The kernel counts the times of codel in steps of 1,024 ns
    /// (`CODEL_SHIFT`), so that 5000 µs come back as 4999.
    fn same(&self, other: &dyn Options, row: usize, _facts: &Facts) -> bool {
        same_row(self, other, row)
    }

    /// What a change must set after [`Options::tc`]'s words, where tc cannot say all at once.
    fn tc_then(&self) -> Option<Box<dyn Options>> {
        None
    }

    /// tc's words for the rows that are set.
    fn tc(&self, out: &mut Vec<String>) {
        for (i, row) in self.rows().iter().enumerate() {
            if row.hidden {
                continue;
            }
            if let Some(slot) = self.slot(i) {
                row_words(row, slot, out);
            }
        }
    }

    /// Reads one option from tc's words; false if the next word is none of this kind's.
    ///
    /// # Errors
    /// The option's value is missing or wrong.
    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        read_row(self, words, reader)
    }

    /// Whether tc marks the whole as nested (`NLA_F_NESTED`): kinds whose parser in the kernel is strict refuse it otherwise.
    fn nested(&self) -> bool {
        false
    }

    /// Reads what tc's `handle` says of a filter: its number. tc reads it before the kind's own words.
    ///
    /// # Errors
    /// It is no number of this kind's.
    fn read_handle(&mut self, text: &str) -> Result<u32, Refusal> {
        crate::unit::integer_of_32(text, 0)
            .ok_or_else(|| Refusal::new(format!("`{text}` is not the number of a filter")).help("write `1` or `0x1`"))
    }

    /// What tc knows of the object's place when it begins to read the words.
    fn begin_tc(&mut self, _place: &Place) {}

    /// What tc does when it has read all words: it fills in what follows from the object's place, and refuses what is
    /// not whole.
    ///
    /// # Errors
    /// What tc refuses before it asks the kernel.
    fn settle_tc(&mut self, _place: &mut Place) -> Result<(), Refusal> {
        Ok(())
    }

    /// Bytes of the tables that a discipline allocates when it is made, beside its own struct. The options are assumed.
    fn tables(&self) -> u64 {
        0
    }

    /// What 100 % is for what hangs below: of a rate, and of a ceil.
    fn whole(&self) -> [Option<Rate>; 2] {
        ["rate", "ceil"].map(|word| {
            let row = self.rows().iter().position(|r| r.word == word)?;
            *self.slot(row)?.as_any().downcast_ref::<Option<Rate>>()?
        })
    }

    /// How many levels of classes there may be, of a kind that has classes.
    fn levels(&self) -> usize {
        usize::MAX
    }

    /// What becomes of packets that no rule takes and no default catches, of a kind that has classes: "leave unshaped".
    fn rest(&self) -> Option<&'static str> {
        None
    }

    /// Whether a change sets a row back to its default that it does not say: the whole is sent, or the kernel takes it so.
    fn forgets(&self, _word: &str) -> bool {
        false
    }

    /// Whether the kernel refuses a change of a fixed row; otherwise it is ignored.
    fn refuses_change(&self, _word: &str) -> bool {
        false
    }

    /// Whether a discipline asks filters for the class of a packet (those with a `tcf_block` in the kernel).
    fn takes_filters(&self) -> bool {
        false
    }

    /// Takes over how the link counts bytes, in bytes over the IP packet, if the kind does that itself; false if a size
    /// table has to.
    fn count_as(&mut self, _packing: Packing, _overhead: i32, _mpu: u32) -> bool {
        false
    }

    /// Has hosts take turns in place of connections, told by one end of their packets; `nat` if their addresses are changed
    /// on this link.
    fn fair_by(&mut self, _end: End, _nat: bool) -> Fairness {
        Fairness::None
    }

    /// Of a filter: whether a chain may have a template of its kind (`tmplt_create` in the kernel's `tcf_proto_ops`).
    fn has_templates(&self) -> bool {
        false
    }

    /// Whether it stands at the root only.
    fn root_only(&self) -> bool {
        false
    }

    /// Whether a packet's band is its queue (`queue_mapping`), and not the class that a filter names.
    fn band_by_queue(&self) -> bool {
        false
    }

    /// How many bands these options make, of a kind that has bands; `None` where the device says it.
    fn bands(&self) -> Option<u64> {
        let (i, row) = self.rows().iter().enumerate().find(|(_, r)| r.word == "bands" && !r.hidden)?;
        self.slot(i)?.number().or_else(|| row.default?.parse().ok())
    }

    /// Of a kind with children: whether packets wait in the place of a child that nobody has put there.
    fn children_hold(&self) -> bool {
        true
    }

    /// Of a filter: its number as tc's `handle` has it.
    fn show_handle(&self, handle: u32) -> String {
        format!("{handle:#x}")
    }

    /// Of a filter: the number that it is sent with, where the options say it (route's realms).
    fn number(&self, handle: u32, _facts: &Facts) -> u32 {
        handle
    }

    /// Whether `TCA_OPTIONS` is sent even if there is nothing in it.
    fn always_said(&self) -> bool {
        false
    }

    /// The word of an option that is set and that tc could not say, in its own words or at all.
    fn unsayable(&self) -> Option<&'static str> {
        let said = self.rows().iter().enumerate().filter(|(_, row)| row.wordless);
        said.filter(|(i, _)| self.slot(*i).is_some_and(|slot| slot.is_set())).map(|(_, row)| row.word).next()
    }

    /// Whether tc asks for the object to be made even in a change.
    fn creates(&self) -> bool {
        false
    }

    /// What these options name that traffic control does not keep itself; by default what their actions and matches name.
    fn references(&self) -> Vec<Reference> {
        let named = acts(self).flat_map(|act| act.options.references());
        named.chain(matches(self).flat_map(Matches::references)).collect()
    }

    /// Writes in a policy's words what only the kernel says of held options, as far as the facts allow.
    ///
    /// # Errors
    /// A policy has no words for it: what it is, in a few words.
    fn reword(&mut self, facts: &Facts) -> Result<(), String> {
        let mut said = Ok(());
        each_act(self, |act| said = said.clone().and_then(|()| act.options.reword(facts)));
        said
    }

    /// What these options name and this machine does not have: tc refuses it before it asks the kernel. By default what
    /// their actions and matches name.
    fn absent(&self, facts: &Facts) -> Option<Finding> {
        let named = acts(self).find_map(|act| act.options.absent(facts));
        named.or_else(|| matches(self).find_map(|matches| matches.absent(facts)))
    }

    /// Of a held class: it is about to lose its classes, and is compared as the leaf that it will be.
    fn become_leaf(&mut self) {}

    /// What is lost of what waits when options that are `held` become these in place; on both sides what nobody wrote is
    /// filled in. By default what waits in bands that go, and what waits beyond a bound that [`Row::cuts`].
    fn change_drops(&self, held: &dyn Options) -> Option<Drops> {
        let less = |asked: Option<u64>, held: Option<u64>| asked.zip(held).is_some_and(|(asked, held)| asked < held);
        let number = |options: &dyn Options, i: usize| options.slot(i).and_then(Slot::number);
        let of_this = |i: usize| self.slot(i).and_then(Slot::number);
        let cuts = |(i, row): (usize, &Row)| row.cuts && less(of_this(i), number(held, i));
        match less(self.bands(), held.bands()) {
            true => Some(Drops::Bands),
            false => self.rows().iter().enumerate().any(cuts).then_some(Drops::Excess),
        }
    }

    /// What the kernel does to a discipline of kind `leaf` that hangs below when these options are changed in place.
    fn change_resets(&self, _leaf: &str) -> Option<Reset> {
        None
    }

    /// Of a filter: whether it takes a packet, as its `classify` in the kernel tells.
    fn takes(&self, _packet: &Packet, _handle: u32) -> walk::Takes {
        walk::Takes::If("a filter of a kind that is not known here takes it".into())
    }

    /// Of all filters of the kind at one place, of which these are the options of the first: how each priority of them is
    /// asked. Priorities and filters come in the order in which they are made.
    fn gather<'a>(&self, priorities: Vec<Vec<walk::Filter<'a>>>) -> Vec<Box<dyn walk::Asked + 'a>> {
        walk::in_turn(priorities)
    }

    /// Of an action: what it does to a packet, and what becomes of the packet then. By default it does nothing that a
    /// filter or a discipline could see.
    fn act(&self, _walk: &mut dyn walk::Walk) -> action::Control {
        let row = self.rows().iter().position(|row| row.word == action::control::CONTROL.word);
        let control = row.and_then(|row| *self.slot(row)?.as_any().downcast_ref::<Option<action::Control>>()?);
        control.unwrap_or(action::Control::PIPE)
    }

    /// Of a discipline: where it puts a packet. `None` if it has nothing to choose: a queue, or one discipline below.
    fn choose(&self, _walk: &mut dyn walk::Walk) -> Option<walk::Choice> {
        None
    }

    /// What is wrong or foolish about these options in themselves; called on what the policy wrote, before
    /// [`Options::complete`].
    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        self.check_widths(out);
    }

    /// That every value fits into its attribute, and is what tc and the kernel take.
    fn check_widths(&self, out: &mut Vec<Finding>) {
        for (i, row) in self.rows().iter().enumerate() {
            let Some(slot) = self.slot(i) else { continue };
            let (Some(number), Some(shown)) = (slot.number(), slot.show()) else { continue };
            let word = row.word;
            if let Some(refusal) = beyond(row, slot) {
                let finding = Finding::new(refusal.code, word, refusal.message);
                out.push(Finding { help: refusal.help, ..finding });
            } else if row.sends_none(number) {
                let finding = Finding::new(&codes::OUT_OF_RANGE, word, format!("{word} {shown} cannot be said"));
                out.push(finding.help("leave it out for the kernel's own value"));
            } else if let Some((least, most)) = row.kept.filter(|(least, most)| !(*least..=*most).contains(&number)) {
                let kept = shown_as(slot, number.clamp(least, most));
                let finding =
                    Finding::new(&codes::CUT_SHORT, word, format!("the kernel makes {kept} of {word} {shown}"));
                out.push(finding.help(format!("write `{word}: {kept}`")));
            }
        }
    }
}

/// The actions among some options: a filter's.
pub fn acts<T: Rows + ?Sized>(options: &T) -> impl Iterator<Item = &Act> {
    let slots = (0..options.rows().len()).filter_map(|row| options.slot(row));
    slots.filter_map(|slot| slot.as_any().downcast_ref::<Option<Actions>>()?.as_ref()).flat_map(|actions| &actions.0)
}

/// The trees of matches among some options: a filter's, if it has one.
fn matches<T: Rows + ?Sized>(options: &T) -> impl Iterator<Item = &Matches> {
    let slots = (0..options.rows().len()).filter_map(|row| options.slot(row));
    slots.filter_map(|slot| slot.as_any().downcast_ref::<Option<Matches>>()?.as_ref())
}

/// Does something with each action among some options.
pub fn each_act<T: Rows + ?Sized>(options: &mut T, mut each: impl FnMut(&mut Act)) {
    for row in 0..options.rows().len() {
        let Some(slot) = options.slot_mut(row) else { break };
        if let Some(Some(actions)) = slot.as_any_mut().downcast_mut::<Option<Actions>>() {
            actions.0.iter_mut().for_each(&mut each);
        }
    }
}

/// Whether a value is more than its attribute holds, or beyond the row's range.
fn beyond(row: &Row, slot: &dyn Slot) -> Option<Refusal> {
    let number = slot.number().filter(|n| !row.sends_none(*n))?;
    let holds = match row.wire {
        Wire::Own | Wire::U64(_) | Wire::Masked8(..) => u64::MAX, // the unit of a mask reads no more than two octets
        Wire::U8(_) => u64::from(u8::MAX),
        Wire::U16(_) | Wire::Be16(_) => u64::from(u16::MAX),
        Wire::U32(_) | Wire::Be32(_) | Wire::S32(_) | Wire::Sole => u64::from(u32::MAX),
        Wire::Micros(_) => u64::from(u32::MAX) * 1000 + 999,
    };
    let (least, most) = row.range.unwrap_or((0, holds));
    if (least..=most.min(holds)).contains(&number) {
        return None;
    }
    let (word, shown) = (row.word, slot.show()?);
    let (end, near) = if number < least { ("at least", least) } else { ("at most", most.min(holds)) };
    let near = shown_as(slot, near);
    let refusal = Refusal::coded(&codes::OUT_OF_RANGE, format!("{word} {shown} is out of range: {end} {near}"));
    Some(refusal.help(format!("write `{word}: {near}`")))
}

/// Another number in the unit of a slot.
fn shown_as(slot: &dyn Slot, number: u64) -> String {
    let mut other = slot.boxed();
    other.set_number(number);
    other.show().unwrap_or_default()
}

/// Appends the attributes of the rows that are set, in their order: what [`Options::encode`] does by default.
pub fn encode_options<T: Options + ?Sized>(options: &T, out: &mut Attributes, facts: &Facts) {
    for (i, row) in options.rows().iter().enumerate() {
        match options.slot(i).filter(|s| s.is_set()) {
            Some(_) if row.wire == Wire::Own => options.encode_own(row.word, out, facts),
            Some(slot) => encode_row(row, slot, out),
            None => {}
        }
    }
}

/// Appends the attributes of the rows that have one, and leaves out those that are [`Wire::Own`].
pub fn encode_rows<T: Rows + ?Sized>(options: &T, out: &mut Attributes) {
    for (i, row) in options.rows().iter().enumerate() {
        if let Some(slot) = options.slot(i) {
            encode_row(row, slot, out);
        }
    }
}

/// Appends the attribute of a row, if it is set and has one.
pub(crate) fn encode_row(row: &Row, slot: &dyn Slot, out: &mut Attributes) {
    let Some(number) = slot.number().filter(|n| !row.sends_none(*n)) else { return };
    match row.wire {
        Wire::Own => {}
        Wire::U8(n) => out.u8(n, number as u8),
        Wire::U16(n) => out.u16(n, number as u16),
        Wire::U32(n) | Wire::S32(n) => out.u32(n, number as u32),
        Wire::U64(n) => out.u64(n, number),
        Wire::Be16(n) => out.be16(n, number as u16),
        Wire::Be32(n) => out.be32(n, number as u32),
        Wire::Micros(n) => out.u32(n, u32::try_from(number / 1000).unwrap_or(u32::MAX)),
        Wire::Sole => out.bare(&(number as u32).to_ne_bytes()),
        Wire::Masked8(value, mask) => {
            out.u8(mask, (number >> 8) as u8);
            out.u8(value, number as u8);
        }
    }
}

/// Reads attributes into the rows: what [`Options::decode`] does by default.
///
/// # Errors
/// An attribute is shorter than its row.
pub fn decode_rows<T: Rows + ?Sized>(options: &mut T, attributes: &Parsed) -> Result<(), Malformed> {
    for (i, row) in options.rows().iter().enumerate() {
        let number = match row.wire {
            Wire::Own | Wire::Sole => None,
            Wire::U8(n) => attributes.u8(n)?.map(u64::from),
            Wire::U16(n) => attributes.u16(n)?.map(u64::from),
            Wire::U32(n) | Wire::S32(n) => attributes.u32(n)?.map(u64::from),
            Wire::U64(n) => attributes.u64(n)?,
            Wire::Be16(n) => attributes.be16(n)?.map(u64::from),
            Wire::Be32(n) => attributes.be32(n)?.map(u64::from),
            Wire::Micros(n) => attributes.u32(n)?.map(|us| u64::from(us) * 1000),
            Wire::Masked8(value, mask) => match (attributes.u8(value)?, attributes.u8(mask)?) {
                (_, None | Some(0)) => None, // the kernel says a mask of 0 where none was set
                (value, Some(mask)) => Some(u64::from(mask) << 8 | u64::from(value.unwrap_or(0))),
            },
        };
        if let (Some(number), Some(slot)) = (number, options.slot_mut(i)) {
            slot.set_number(number);
        }
    }
    Ok(())
}

/// Reads a row's default: as a policy spells it, or as tc does where a bare number has no unit. One that does not read is
/// found by the laws, which read every one.
fn read_default(text: &str, slot: &mut dyn Slot) -> bool {
    slot.read_text(text, &mut Reader::default()).is_ok() || slot.read_text(text, &mut Reader::tc()).is_ok()
}

/// Finds a value that is more than the wire holds.
pub(crate) fn fits(row: &'static str, value: Option<u64>, most: u64, out: &mut Vec<Finding>) {
    if let Some(value) = value.filter(|v| *v > most) {
        out.push(Finding::new(&codes::OUT_OF_RANGE, row, format!("{row} {value} does not fit: at most {most}")));
    }
}

/// Reads one option from tc's words by the rows: what [`Options::read_tc`] does by default.
///
/// # Errors
/// As [`Options::read_tc`].
pub fn read_row<T: Rows + ?Sized>(options: &mut T, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
    let bare = reader.tc;
    read_row_of(options, words, reader, |row| !(bare && row.bare))
}

/// As [`read_row`], of some rows only.
///
/// # Errors
/// As [`Options::read_tc`].
pub fn read_row_of<T: Rows + ?Sized>(
    options: &mut T,
    words: &mut Words,
    reader: &mut Reader,
    of: impl Fn(&Row) -> bool,
) -> Result<bool, Refusal> {
    let Some(word) = words.peek() else { return Ok(false) };
    let rows = options.rows();
    let exact = rows.iter().position(|row| (row.off == Some(word) || row.is(word)) && !row.hidden && of(row));
    let short = || rows.iter().position(|row| reader.tc && row.begins(word) && !row.hidden && of(row));
    let Some(at) = exact.or_else(short) else { return Ok(false) };
    let (Some(row), Some(slot)) = (rows.get(at), options.slot_mut(at)) else { return Ok(false) };
    words.next();
    if row.off == Some(word) {
        slot.set_number(0);
    } else {
        if row.once && slot.number().is_some_and(|n| n != 0) {
            let twice = Refusal::coded(&codes::DUPLICATE_KEY, format!("`{}` stands here twice", row.word));
            return Err(twice.help("leave one of them out"));
        }
        row.read_value(slot, words, reader)?;
        if reader.tc {
            if let Some(refusal) = beyond(row, slot) {
                return Err(refusal);
            }
            if slot.number().is_some_and(|n| row.sends_none(n)) {
                slot.clear();
            }
        }
    }
    Ok(true)
}

/// Whether a row of both is the same: what [`Options::same`] does by default.
pub fn same_row<A: Rows + ?Sized, B: Rows + ?Sized>(asked: &A, held: &B, row: usize) -> bool {
    let (Some(a), Some(b), Some(row)) = (asked.slot(row), held.slot(row), asked.rows().get(row)) else {
        return false;
    };
    let keep = |n: u64| row.kept.map_or(n, |(least, most)| n.clamp(least, most));
    match (row.wire, a.number().map(keep), b.number().map(keep)) {
        (Wire::Micros(_), Some(a), Some(b)) => (a / 1000).abs_diff(b / 1000) <= 2,
        (_, Some(a), Some(b)) if row.kept.is_some() => a == b,
        _ => a.same(b),
    }
}

/// Reads one option by the rows, where the next word stands for `word`: for kinds in which tc tries the beginnings of
/// words in an order that is not the rows' ([`Words::like`]).
///
/// # Errors
/// As [`Options::read_tc`].
pub fn read_named<T: Rows + ?Sized>(
    options: &mut T,
    word: &str,
    words: &mut Words,
    reader: &mut Reader,
) -> Result<bool, Refusal> {
    let Some(at) = options.rows().iter().position(|row| row.is(word) && !row.hidden) else { return Ok(false) };
    let (Some(row), Some(slot)) = (options.rows().get(at), options.slot_mut(at)) else { return Ok(false) };
    words.next();
    row.read_value(slot, words, reader)?;
    Ok(true)
}

/// tc's words for one row.
pub fn row_words(row: &Row, slot: &dyn Slot, out: &mut Vec<String>) {
    let Some(words) = slot.tc_words() else { return };
    match (row.flag, slot.number()) {
        (_, Some(n)) if row.sends_none(n) => {}
        (true, Some(0)) => out.extend(row.off.map(str::to_owned)),
        (true, _) => out.push(row.word.to_owned()),
        (false, _) => {
            out.extend((!row.bare).then(|| row.word.to_owned()));
            out.extend(words);
        }
    }
}

/// Reads all of tc's words of an object's options.
///
/// # Errors
/// A word that the kind does not know, or a wrong value.
pub fn read_tc(options: &mut dyn Options, words: &mut Words, reader: &mut Reader) -> Result<(), Refusal> {
    while let Some(word) = words.peek() {
        if !options.read_tc(words, reader)? {
            return Err(Refusal::new(format!("what is `{word}`?")));
        }
    }
    Ok(())
}

impl Clone for Box<dyn Options> {
    fn clone(&self) -> Self {
        self.as_ref().boxed()
    }
}

impl PartialEq for dyn Options {
    /// The same rows, all the same to their units' resolution.
    fn eq(&self, other: &Self) -> bool {
        self.as_any().type_id() == other.as_any().type_id()
            && (0..self.rows().len()).all(|i| match (self.slot(i), other.slot(i)) {
                (Some(a), Some(b)) => a.same(b),
                _ => false,
            })
    }
}

impl dyn Options {
    /// The number of the row with that word or alias.
    pub fn row(&self, word: &str) -> Option<usize> {
        self.rows().iter().position(|r| r.is(word))
    }

    /// The options as their own type.
    pub fn as_kind<T: Options>(&self) -> Option<&T> {
        self.as_any().downcast_ref()
    }

    /// The options as their own type, to be changed.
    pub fn as_kind_mut<T: Options>(&mut self) -> Option<&mut T> {
        self.as_any_mut().downcast_mut()
    }

    /// A row's value in the policy's spelling.
    pub fn show(&self, word: &str) -> Option<String> {
        self.slot(self.row(word)?)?.show()
    }

    /// A row's value if it is of that unit.
    pub fn value<U: crate::unit::Unit>(&self, word: &str) -> Option<U> {
        self.slot(self.row(word)?)?.as_any().downcast_ref::<Option<U>>()?.clone()
    }
}

/// What stands where a kind's children go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Children {
    /// It has no children.
    None,
    /// Classes that the policy names and configures (htb, hfsc, drr, qfq).
    Classes,
    /// A fixed number of bands, each with one child (prio, ets, mq, multiq): the policy's `bands` or a number.
    Bands,
    /// One inner discipline (tbf, red, netem): the policy's `leaf`. The class is `HANDLE:1`.
    Leaf,
}

/// What a kind is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A queueing discipline.
    Qdisc,
    /// A classifier.
    Filter,
    /// An action of a filter.
    Action,
}

/// The facts of one kind.
#[derive(Debug)]
pub struct Kind {
    /// Its name to the kernel: `fq_codel`.
    pub name: &'static str,
    /// What it is.
    pub role: Role,
    /// The manual's paragraph.
    pub doc: &'static str,
    /// Fresh options of the qdisc, filter or action.
    pub options: fn() -> Box<dyn Options>,
    /// Fresh options of its classes, if it has configurable ones.
    pub class: Option<fn() -> Box<dyn Options>>,
    /// What hangs below it.
    pub children: Children,
    /// Whether the kernel changes its options in place (`.change` in its `Qdisc_ops`); otherwise it is replaced.
    pub change: bool,
    /// Whether a policy may write it as a discipline.
    pub writable: bool,
    /// The kernel's configuration symbol, for "this kernel lacks it": `NET_SCH_FQ_CODEL`.
    pub config: &'static str,
    /// The module that carries it: `sch_fq_codel`.
    pub module: &'static str,
    /// Every attribute that the kernel's headers have for this kind, and which rows it is or why it is none: a law holds
    /// this against the headers.
    pub attributes: &'static [Attribute],
    /// Reads the kind's own statistics into named figures: of a discipline from `TCA_STATS_APP` or `TCA_XSTATS`, of an
    /// action from its options, where its times and the number of its users stand.
    pub xstats: fn(Payload, &Facts) -> Vec<(&'static str, u64)>,
}

/// An attribute of the kernel's headers (include/uapi/linux/pkt_sched.h, pkt_cls.h, tc_act/, tc_ematch/).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// The header's name: `TCA_CODEL_TARGET`.
    pub name: &'static str,
    /// Its number.
    pub number: u16,
    /// What it is here.
    pub covers: Covers,
}

/// What an attribute is in a kind's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covers {
    /// The rows that travel in it, of the kind or of its classes.
    Rows(&'static [&'static str]),
    /// It is no option, for this reason: padding, statistics, obsolete, the kernel's own.
    Not(&'static str),
}

/// An attribute that carries these rows.
pub const fn attribute(name: &'static str, number: u16, rows: &'static [&'static str]) -> Attribute {
    Attribute { name, number, covers: Covers::Rows(rows) }
}

/// An attribute that is no option, and why.
pub const fn no_option(name: &'static str, number: u16, why: &'static str) -> Attribute {
    Attribute { name, number, covers: Covers::Not(why) }
}

/// For kinds without statistics of their own.
pub fn no_xstats(_: Payload, _: &Facts) -> Vec<(&'static str, u64)> {
    Vec::new()
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.role == other.role
    }
}
