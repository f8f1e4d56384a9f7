//! `netem`: net/sched/sch_netem.c, tc-netem(8).
//!
//! Several options of tc are several numbers behind one word; each is one row here, with a unit of its own.

use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Fields, Malformed, Payload};
use crate::kind::{
    Attribute, Children, Finding, Kind, Options, Place, Role, Row, Rows, attribute, no_option, read_row, row_words,
};
use crate::rows;
use crate::syntax::document::Node;
use crate::unit::{
    Bytes, Decimal, FineTime, Flag, Info, Limit, Name, Number, Rate, Reader, Refusal, Schema, Signed, Slot as _, Time,
    Unit, Words, split_amount, words_of,
};
use compact_str::CompactString;

rows! {
    /// A bad network.
    pub struct Netem {
        /// packets that may be on their way
        limit: Limit = Row::new("limit").short().default("1000");
        /// how long packets are held back; then by how much that varies, and how much each depends on the one before
        delay: Delay = Row::new("delay").aliases(&["latency"]).short().default("0us");
        /// the chance that a packet is lost and how much it depends on the one before; or the states of a model:
        /// `state P13 P31 P32 P23 P14`, `gemodel P R 1-H 1-K`
        loss: Loss = Row::new("loss").aliases(&["drop"]).short().default("0%");
        /// mark what would be lost (ECN) where it can be marked
        ecn: Flag = Row::new("ecn").flag().short().default("no").fixed();
        /// the chance that a packet goes at once, before those that are held back
        reorder: Chance = Row::new("reorder").short().default("0%");
        /// the chance that a bit of a packet is turned over
        corrupt: Chance = Row::new("corrupt").short().default("0%");
        /// with `reorder`: every packet of so many
        gap: Number = Row::new("gap").short().computed("1 with `reorder`");
        /// the chance that a packet is sent twice
        duplicate: Chance = Row::new("duplicate").short().default("0%");
        /// the table that the delay varies by: `normal`, `pareto`, `paretonormal` or `experimental`; evenly without one.
        /// The kernel does not tell which table it has, so that a change of this alone is not seen
        distribution: Name = Row::new("distribution").short().tool();
        /// the speed of the line; then bytes added to a packet, the size of the line's cells, and bytes added to a cell
        rate: Line = Row::new("rate").short().default("0bit");
        /// packets go in bursts, so far apart: the least and the most, or `distribution NAME DELAY JITTER`; then the most
        /// of one burst, `packets N bytes SIZE`
        slot: Slot = Row::new("slot").short();
        /// where the random numbers begin: the same seed gives the same losses (Linux 6.6)
        seed: Decimal = Row::new("seed").short().computed("by chance");
        /// the seed in use
        prng_seed: Decimal = Row::new("prng_seed").hidden();
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "netem",
    role: Role::Qdisc,
    doc: "network emulator: delays, loses, doubles, spoils and reorders packets, to see what programs make of a bad network",
    options: || Box::new(Netem::default()),
    class: None,
    children: Children::Leaf,
    change: true,
    writable: true,
    config: "NET_SCH_NETEM",
    module: "sch_netem",
    attributes: ATTRIBUTES,
    xstats,
};

const CORR: u16 = 1;
const DELAY_DIST: u16 = 2;
const REORDER: u16 = 3;
const CORRUPT: u16 = 4;
const LOSS: u16 = 5;
const RATE: u16 = 6;
const ECN: u16 = 7;
const RATE64: u16 = 8;
const LATENCY64: u16 = 10;
const JITTER64: u16 = 11;
const SLOT: u16 = 12;
const SLOT_DIST: u16 = 13;
const PRNG_SEED: u16 = 14;
/// `NETEM_LOSS_GI` and `NETEM_LOSS_GE`.
const LOSS_STATE: u16 = 1;
const LOSS_GEMODEL: u16 = 2;

const ATTRIBUTES: &[Attribute] = &[
    attribute("TCA_NETEM_CORR", CORR, &["delay", "loss", "duplicate"]),
    attribute("TCA_NETEM_DELAY_DIST", DELAY_DIST, &["distribution"]),
    attribute("TCA_NETEM_REORDER", REORDER, &["reorder"]),
    attribute("TCA_NETEM_CORRUPT", CORRUPT, &["corrupt"]),
    attribute("TCA_NETEM_LOSS", LOSS, &["loss"]),
    attribute("TCA_NETEM_RATE", RATE, &["rate"]),
    attribute("TCA_NETEM_ECN", ECN, &["ecn"]),
    attribute("TCA_NETEM_RATE64", RATE64, &["rate"]),
    no_option("TCA_NETEM_PAD", 9, "padding before 64-bit attributes"),
    attribute("TCA_NETEM_LATENCY64", LATENCY64, &["delay"]),
    attribute("TCA_NETEM_JITTER64", JITTER64, &["delay"]),
    attribute("TCA_NETEM_SLOT", SLOT, &["slot"]),
    attribute("TCA_NETEM_SLOT_DIST", SLOT_DIST, &["slot"]),
    attribute("TCA_NETEM_PRNG_SEED", PRNG_SEED, &["seed", "prng_seed"]),
];

/// The longest variation that the kernel keeps, in nanoseconds.
const JITTER: u64 = i32::MAX as u64;
/// Nanoseconds of a tick of the scheduler's clock: what the kernel tells to a tc that knows no 64-bit delays.
const TICK: u64 = 64;

// Patterns of the schema.
macro_rules! time {
    () => {
        "[0-9]+(\\.[0-9]+)?(s|ms|us|ns)"
    };
}
macro_rules! share {
    () => {
        "(100|[0-9]{1,2}(\\.[0-9]{1,6})?)%"
    };
}

/// Words of a text, each on its own.
fn split(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Reads a unit of several words from one text.
fn read_all<U: Unit>(text: &str, reader: &mut Reader) -> Result<U, Refusal> {
    let all = split(text);
    let mut words = Words::new(&all);
    let read = U::read_words(&mut words, reader)?;
    match words.next() {
        Some(more) => Err(Refusal::new(format!("`{more}` is too much: {} has no such part", U::INFO.name))
            .help(format!("write {}", U::INFO.spellings))),
        None => Ok(read),
    }
}

/// Whether a number follows (`NEXT_IS_NUMBER`).
fn number_follows(words: &Words) -> bool {
    words.peek().is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit()))
}

/// Whether a number follows that may be negative.
fn signed_follows(words: &Words) -> bool {
    number_follows(words) || words.peek().is_some_and(|word| word.starts_with('-'))
}

/// A share of all in parts of 2^32 - 1, written in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share(pub u32);

impl Share {
    const ALL: f64 = u32::MAX as f64;

    /// `set_percent` of q_netem.c.
    fn of(share: f64) -> Share {
        Share((share * Self::ALL).round_ties_even() as u32)
    }

    /// As tc reads one, a number from 0 to 1.
    fn fraction(text: &str, reader: &Reader) -> Result<f64, Refusal> {
        let wrong = || Refusal::new(format!("`{text}` is no share")).help("write `1%` or `0.5%`");
        let (number, unit) =
            split_amount(text, reader).filter(|(_, unit)| ["", "%"].contains(unit)).ok_or_else(wrong)?;
        let share = number.parse::<f64>().map_err(|_| wrong())? / 100.0;
        if !(0.0..=1.0).contains(&share) {
            return Err(Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` is not between 0% and 100%")));
        }
        if !reader.tc && unit.is_empty() {
            return Err(Refusal::coded(&codes::BARE_NUMBER, format!("`{text}` has no unit"))
                .help(format!("write `{text}%`, which is what tc takes it for")));
        }
        Ok(share)
    }

    fn read(text: &str, reader: &Reader) -> Result<Share, Refusal> {
        Share::fraction(text, reader).map(Share::of)
    }

    /// The next word, if that is a number.
    fn optional(words: &mut Words, reader: &Reader) -> Result<Option<Share>, Refusal> {
        match number_follows(words) {
            true => words.want("a share").and_then(|text| Share::read(text, reader)).map(Some),
            false => Ok(None),
        }
    }

    /// In percent, with no more digits than it takes to read it back.
    fn show(self) -> String {
        let percent = f64::from(self.0) * 100.0 / Self::ALL;
        let texts = (0..12).map(|digits| format!("{percent:.digits$}"));
        let exact = |text: &String| text.parse::<f64>().is_ok_and(|percent| Share::of(percent / 100.0) == self);
        format!("{}%", texts.into_iter().find(exact).unwrap_or_else(|| percent.to_string()))
    }
}

/// A delay. To tc 6.1 that is whole microseconds, and what is below them is cut; a younger one has nanoseconds too, if they
/// are written so.
fn delay_of(text: &str, reader: &mut Reader) -> Result<u64, Refusal> {
    let fine = reader.tc && Time::read(text, reader).is_err();
    if fine { FineTime::read(text, reader).map(|t| t.0) } else { Time::read(text, reader).map(|t| t.0) }
}

/// How long packets are held back, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay {
    /// The mean.
    pub time: u64,
    /// How far it varies; none is 0.
    pub jitter: Option<u64>,
    /// How much each depends on the one before; none is 0.
    pub correlation: Option<Share>,
}

impl Unit for Delay {
    const INFO: Info = Info {
        name: "a delay",
        spellings: "`100ms`, `100ms 10ms` or `100ms 10ms 25%`",
        schema: Schema::Pattern(concat!("^", time!(), "( ", time!(), "( ", share!(), ")?)?$")),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        read_all(text, reader)
    }

    fn read_node(node: &Node, reader: &mut Reader) -> Result<Self, Refusal> {
        read_all(&words_of(node, &Self::INFO)?, reader)
    }

    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut delay = Delay { time: delay_of(words.want("a delay")?, reader)?, ..Delay::default() };
        if number_follows(words) {
            delay.jitter = Some(delay_of(words.want("how far it varies")?, reader)?);
            delay.correlation = Share::optional(words, reader)?;
        }
        Ok(delay)
    }

    /// To tc too: nanoseconds are written so, which an old tc refuses and does not cut.
    fn show(&self) -> String {
        let jitter = self.jitter.or(self.correlation.map(|_| 0));
        let parts = [Some(Time(self.time).show()), jitter.map(|j| Time(j).show()), self.correlation.map(Share::show)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// Up to a tick of the scheduler's clock.
    fn same(&self, other: &Self) -> bool {
        let jitter = |delay: &Delay| delay.jitter.unwrap_or(0).min(JITTER) / TICK;
        self.time / TICK == other.time / TICK
            && jitter(self) == jitter(other)
            && self.correlation.unwrap_or_default() == other.correlation.unwrap_or_default()
    }
}

/// A chance, and how much it depends on the packet before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chance {
    /// The chance.
    pub share: Share,
    /// The correlation; none is 0.
    pub correlation: Option<Share>,
}

impl Unit for Chance {
    const INFO: Info = Info {
        name: "a chance",
        spellings: "`1%` or `1% 25%`",
        schema: Schema::Pattern(concat!("^", share!(), "( ", share!(), ")?$")),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        read_all(text, reader)
    }

    fn read_node(node: &Node, reader: &mut Reader) -> Result<Self, Refusal> {
        read_all(&words_of(node, &Self::INFO)?, reader)
    }

    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        let share = Share::read(words.want("a chance")?, reader)?;
        Ok(Chance { share, correlation: Share::optional(words, reader)? })
    }

    fn show(&self) -> String {
        let parts = [Some(self.share.show()), self.correlation.map(Share::show)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    fn same(&self, other: &Self) -> bool {
        self.share == other.share && self.correlation.unwrap_or_default() == other.correlation.unwrap_or_default()
    }
}

/// How packets are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Each by itself.
    Random(Chance),
    /// Four states: the chances of going from 1 to 3, 3 to 1, 3 to 2, 2 to 3 and 1 to 4.
    State([Share; 5]),
    /// Two states (Gilbert and Elliott): of going to the bad one, of coming back, and of losses in each: 1-h, 1-k.
    Gemodel([Share; 4]),
}

impl Default for Loss {
    fn default() -> Self {
        Loss::Random(Chance::default())
    }
}

impl Loss {
    /// Whether nothing is lost.
    fn is_none(self) -> bool {
        matches!(self, Loss::Random(chance) if chance.share.0 == 0)
    }
}

/// The shares that follow a first one, as many as there are, with what stands for those that are left out.
fn shares<const N: usize>(
    words: &mut Words,
    reader: &Reader,
    rest: impl Fn(f64) -> [Share; N],
) -> Result<[Share; N], Refusal> {
    let first = Share::fraction(words.want("a chance")?, reader)?;
    let mut all = rest(first);
    for share in all.iter_mut().skip(1) {
        match Share::optional(words, reader)? {
            Some(said) => *share = said,
            None => break,
        }
    }
    Ok(all)
}

impl Unit for Loss {
    const INFO: Info = Info {
        name: "a loss",
        spellings: "`1%`, `1% 25%`, `state 1% 10%` or `gemodel 1% 10% 70% 0.1%`",
        schema: Schema::Pattern(concat!(
            "^((random )?",
            share!(),
            "( ",
            share!(),
            ")?|state ",
            share!(),
            "( ",
            share!(),
            "){0,4}|gemodel ",
            share!(),
            "( ",
            share!(),
            "){0,3})$"
        )),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        read_all(text, reader)
    }

    fn read_node(node: &Node, reader: &mut Reader) -> Result<Self, Refusal> {
        read_all(&words_of(node, &Self::INFO)?, reader)
    }

    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        if number_follows(words) || words.take("random") {
            return Chance::read_words(words, reader).map(Loss::Random);
        }
        let (all, none) = (Share(u32::MAX), Share(0));
        if words.take("state") {
            let rest = |first: f64| [Share::of(first), Share::of(1.0 - first), none, all, none];
            return shares(words, reader, rest).map(Loss::State);
        }
        if words.take("gemodel") {
            let rest = |first: f64| [Share::of(first), Share::of(1.0 - first), all, none];
            return shares(words, reader, rest).map(Loss::Gemodel);
        }
        let word = words.want("a loss")?;
        Err(Refusal::new(format!("`{word}` is no way of losing packets"))
            .help(format!("write {}", Self::INFO.spellings)))
    }

    fn show(&self) -> String {
        let join = |shares: &[Share]| shares.iter().map(|share| share.show()).collect::<Vec<_>>().join(" ");
        match self {
            Loss::Random(chance) => chance.show(),
            Loss::State(shares) => format!("state {}", join(shares)),
            Loss::Gemodel(shares) => format!("gemodel {}", join(shares)),
        }
    }

    fn tc(&self) -> String {
        match self {
            Loss::Random(chance) => format!("random {}", chance.show()),
            _ => self.show(),
        }
    }

    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Loss::Random(a), Loss::Random(b)) => a.same(b),
            _ => self == other,
        }
    }
}

/// The speed of a line, and how it counts bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The rate; 0 for none.
    pub rate: Rate,
    /// Bytes added to each packet.
    pub packet_overhead: i32,
    /// Bytes of a cell; 0 for none.
    pub cell_size: u32,
    /// Bytes added to each cell.
    pub cell_overhead: i32,
}

impl Unit for Line {
    const INFO: Info = Info {
        name: "a rate",
        spellings: "`1mbit`, or with bytes of packet overhead, cell size and cell overhead `1mbit 20 48 5`",
        schema: Schema::Pattern(
            r"^[0-9]+(\.[0-9]+)?(%|([kKmMgGtT]i?)?([bB][iI][tT]|[bB][pP][sS]))( -?[0-9]+( [0-9]+( -?[0-9]+)?)?)?$",
        ),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        read_all(text, reader)
    }

    fn read_node(node: &Node, reader: &mut Reader) -> Result<Self, Refusal> {
        read_all(&words_of(node, &Self::INFO)?, reader)
    }

    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut line = Line { rate: Rate::read_words(words, reader)?, ..Line::default() };
        if signed_follows(words) {
            line.packet_overhead = Signed::read_words(words, reader)?.0;
        }
        if number_follows(words) {
            line.cell_size = Number::read_words(words, reader)?.0;
        }
        if signed_follows(words) {
            line.cell_overhead = Signed::read_words(words, reader)?.0;
        }
        Ok(line)
    }

    fn show(&self) -> String {
        let numbers = [i64::from(self.packet_overhead), i64::from(self.cell_size), i64::from(self.cell_overhead)];
        let said = numbers.iter().rposition(|n| *n != 0).map_or(0, |last| last + 1);
        let numbers = numbers.iter().take(said).map(i64::to_string);
        std::iter::once(self.rate.show()).chain(numbers).collect::<Vec<_>>().join(" ")
    }

    fn same(&self, other: &Self) -> bool {
        let rest = |line: &Line| (line.packet_overhead, line.cell_size, line.cell_overhead);
        self.rate.same(&other.rate) && rest(self) == rest(other)
    }
}

/// How far apart bursts are, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// Between two times.
    Between(u64, u64),
    /// By a table: its name, the mean and how far it varies. Of a held one the name is not known.
    Table(CompactString, u64, u64),
}

/// Packets in bursts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// How far apart.
    pub spacing: Spacing,
    /// The most packets of one; 0 for any number.
    pub packets: i32,
    /// The most bytes of one; 0 for any number.
    pub bytes: i32,
}

/// What stands for the name of a table that the kernel has and does not tell.
const UNKNOWN: &str = "unknown";

impl Slot {
    /// Whether the kernel takes it for none, and tells none.
    fn is_none(&self) -> bool {
        matches!(self.spacing, Spacing::Between(0, 0))
    }
}

impl Unit for Slot {
    const INFO: Info = Info {
        name: "a spacing of bursts",
        spellings: "`20ms`, `10ms 30ms packets 8` or `distribution normal 20ms 5ms bytes 64kb`",
        schema: Schema::Pattern(concat!(
            "^(",
            time!(),
            "( ",
            time!(),
            ")?|distribution [a-z]+ ",
            time!(),
            " ",
            time!(),
            ")( packets [0-9]+)?( bytes [0-9]+[bB])?$"
        )),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        read_all(text, reader)
    }

    fn read_node(node: &Node, reader: &mut Reader) -> Result<Self, Refusal> {
        read_all(&words_of(node, &Self::INFO)?, reader)
    }

    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut time = |words: &mut Words| FineTime::read_words(words, reader).map(|t| t.0);
        let spacing = if number_follows(words) {
            let least = time(words)?;
            let most = if number_follows(words) { time(words)? } else { least };
            if most < least {
                return Err(Refusal::coded(&codes::OUT_OF_RANGE, "bursts are no less apart at most than at least"));
            }
            Spacing::Between(least, most)
        } else if words.take("distribution") {
            let table = words.want("the name of a table")?.into();
            let (mean, jitter) = (time(words)?, time(words)?);
            if jitter == 0 {
                return Err(Refusal::coded(&codes::OUT_OF_RANGE, "a table wants something to vary by, and that is 0"));
            }
            Spacing::Table(table, mean, jitter)
        } else {
            let word = words.want("a spacing of bursts")?;
            return Err(Refusal::new(format!("`{word}` is no spacing of bursts"))
                .help(format!("write {}", Self::INFO.spellings)));
        };
        let fit = |n: u64| {
            i32::try_from(n)
                .map_err(|_| Refusal::coded(&codes::OUT_OF_RANGE, format!("`{n}` does not fit into a burst")))
        };
        let packets = match words.take_short("packets") {
            true => Signed::read_words(words, reader)?.0,
            false => 0,
        };
        let bytes = match words.take_short("bytes") {
            true => fit(Bytes::read_words(words, reader)?.0)?,
            false => 0,
        };
        if packets < 0 {
            return Err(Refusal::coded(&codes::OUT_OF_RANGE, format!("{packets} packets are no burst")));
        }
        Ok(Slot { spacing, packets, bytes })
    }

    fn show(&self) -> String {
        let time = |ns: u64| FineTime(ns).show();
        let mut text = match &self.spacing {
            Spacing::Between(least, most) => format!("{} {}", time(*least), time(*most)),
            Spacing::Table(table, mean, jitter) => format!("distribution {table} {} {}", time(*mean), time(*jitter)),
        };
        if self.packets != 0 {
            text += &format!(" packets {}", self.packets);
        }
        if self.bytes != 0 {
            text += &format!(" bytes {}b", self.bytes);
        }
        text
    }

    /// Whatever the table is called: the kernel does not tell.
    fn same(&self, other: &Self) -> bool {
        let spacing = match (&self.spacing, &other.spacing) {
            (Spacing::Table(_, a, j), Spacing::Table(_, b, k)) => a == b && (*j).min(JITTER) == (*k).min(JITTER),
            (a, b) => a == b,
        };
        spacing && (self.packets, self.bytes) == (other.packets, other.bytes)
    }
}

impl Netem {
    fn latency(&self) -> u64 {
        self.delay.map_or(0, |delay| delay.time)
    }

    /// Whether tc sends the correlations: that of `duplicate` alone does not move it to.
    fn says_correlations(&self) -> bool {
        self.delay.is_some_and(|d| d.correlation.is_some())
            || matches!(self.loss, Some(Loss::Random(Chance { correlation: Some(_), .. })))
            || self.reorder.is_some_and(|c| c.correlation.is_some())
            || self.corrupt.is_some_and(|c| c.correlation.is_some())
    }

    fn reorders(&self) -> bool {
        self.reorder.is_some_and(|c| c.share.0 != 0)
    }

    /// What tc refuses when it has read all words.
    fn refused(&self) -> Option<Finding> {
        let reorders = self.reorders();
        let missing =
            |row, message: &str, help: &str| Some(Finding::new(&codes::MISSING_OPTION, row, message).help(help));
        if reorders && self.latency() == 0 {
            return missing(
                "reorder",
                "without a delay no packet can overtake another",
                "write a `delay` of 10ms or more",
            );
        }
        if !reorders && self.gap.is_some_and(|n| n.0 != 0) {
            return missing(
                "gap",
                "`gap` says of how many packets one is reordered, and none is",
                "write `reorder` with 25%",
            );
        }
        if self.ecn == Some(Flag(true)) && self.loss.is_none_or(Loss::is_none) {
            return missing("ecn", "`ecn` marks what would be lost, and nothing is", "write a `loss` of 1%");
        }
        if self.distribution.is_some() && (self.latency() == 0 || self.delay.is_none_or(|d| d.jitter.unwrap_or(0) == 0))
        {
            return missing(
                "distribution",
                "a `distribution` wants a delay that varies",
                "write a `delay` with 100ms and, behind it, 10ms",
            );
        }
        None
    }

    /// The names of tables that are written, and the rows where.
    fn tables(&self) -> impl Iterator<Item = (&'static str, &CompactString)> {
        let slot = self.slot.as_ref().and_then(|slot| match &slot.spacing {
            Spacing::Table(name, ..) => Some(("slot", name)),
            Spacing::Between(..) => None,
        });
        self.distribution.as_ref().map(|name| ("distribution", &name.0)).into_iter().chain(slot)
    }
}

/// A table as an attribute.
fn table(number: u16, name: &str, out: &mut Attributes, facts: &Facts) {
    if let Some(table) = facts.distributions.as_ref().and_then(|all| all.get(name)) {
        let bytes: Vec<u8> = table.iter().flat_map(|n| n.to_ne_bytes()).collect();
        out.raw(number, &bytes);
    }
}

impl Options for Netem {
    /// Packets wait in netem itself, and only pass through what hangs below it.
    fn children_hold(&self) -> bool {
        false
    }

    /// What stands in `struct tc_netem_qopt`, and the table.
    fn forgets(&self, word: &str) -> bool {
        matches!(word, "delay" | "jitter" | "loss" | "duplicate" | "gap" | "limit" | "distribution")
    }

    /// `struct tc_netem_qopt`, then attributes. A delay that is no whole number of ticks is said in nanoseconds too.
    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let mut full = self.clone();
        full.complete(facts);
        let says_correlations = full.says_correlations();
        let Netem { limit, delay, loss, ecn, reorder, corrupt, gap, duplicate, distribution, rate, slot, seed, .. } =
            full;
        let (delay, loss, duplicate) =
            (delay.unwrap_or_default(), loss.unwrap_or_default(), duplicate.unwrap_or_default());
        let jitter = delay.jitter.unwrap_or(0);
        let ticks = |ns: u64| u32::try_from((ns as f64 / facts.tick_ns) as u64).unwrap_or(u32::MAX);
        let random = match loss {
            Loss::Random(chance) => chance,
            Loss::State(_) | Loss::Gemodel(_) => Chance::default(),
        };
        // latency, limit, loss, gap, duplicate, jitter
        let opt = Fields::new()
            .u32(ticks(delay.time))
            .u32(limit.unwrap_or(Limit(1000)).0)
            .u32(random.share.0)
            .u32(gap.unwrap_or_default().0)
            .u32(duplicate.share.0)
            .u32(ticks(jitter));
        out.bare(&opt.0);
        for (number, ns) in [(LATENCY64, delay.time), (JITTER64, jitter)] {
            if (f64::from(ticks(ns)) * facts.tick_ns) as u64 != ns {
                out.u64(number, ns);
            }
        }
        let part = |share: Option<Share>| share.unwrap_or_default().0;
        if says_correlations {
            let corr = [delay.correlation, random.correlation, duplicate.correlation];
            out.raw(CORR, &corr.into_iter().fold(Fields::new(), |f, share| f.u32(part(share))).0);
        }
        let chance = |number: u16, chance: Option<Chance>, out: &mut Attributes| {
            if let Some(Chance { share, correlation }) = chance {
                out.raw(number, &Fields::new().u32(share.0).u32(part(correlation)).0);
            }
        };
        chance(REORDER, reorder, out);
        if ecn == Some(Flag(true)) {
            out.u32(ECN, 1);
        }
        chance(CORRUPT, corrupt, out);
        if let Some(Slot { spacing, packets, bytes }) = &slot {
            // min_delay, max_delay, max_packets, max_bytes, dist_delay, dist_jitter
            let (least, most, mean, jitter) = match spacing {
                Spacing::Between(least, most) => (*least, *most, 0, 0),
                Spacing::Table(_, mean, jitter) => (0, 0, *mean, *jitter),
            };
            let counts = Fields::new().u64(least).u64(most).u32(*packets as u32).u32(*bytes as u32);
            out.raw(SLOT, &counts.u64(mean).u64(jitter).0);
        }
        let model = match loss {
            Loss::Random(_) => None,
            // p13, p31, p32, p14, p23
            Loss::State([p13, p31, p32, p23, p14]) => Some((LOSS_STATE, vec![p13, p31, p32, p14, p23])),
            // p, r, h, k1: the kernel has h where tc has 1-h
            Loss::Gemodel([p, r, not_h, not_k]) => Some((LOSS_GEMODEL, vec![p, r, Share(u32::MAX - not_h.0), not_k])),
        };
        if let Some((number, shares)) = model {
            let shares = shares.into_iter().fold(Fields::new(), |f, share| f.u32(share.0));
            out.nest(LOSS | crate::kind::wire::NESTED, |out| out.raw(number, &shares.0));
        }
        if let Some(Line { rate, packet_overhead, cell_size, cell_overhead }) = rate {
            let narrow = u32::try_from(rate.bytes());
            if narrow.is_err() {
                out.u64(RATE64, rate.bytes());
            }
            let line = Fields::new().u32(narrow.unwrap_or(u32::MAX)).u32(packet_overhead as u32);
            out.raw(RATE, &line.u32(cell_size).u32(cell_overhead as u32).0);
        }
        if let Some(Decimal(seed)) = seed {
            out.u64(PRNG_SEED, seed);
        }
        if let Some(Name(name)) = distribution {
            table(DELAY_DIST, &name, out, facts);
        }
        if let Some(Slot { spacing: Spacing::Table(name, ..), .. }) = slot {
            table(SLOT_DIST, &name, out, facts);
        }
    }

    fn decode(&mut self, payload: Payload, facts: &Facts) -> Result<(), Malformed> {
        if payload.0.is_empty() {
            return Ok(());
        }
        let mut c = payload.fields();
        let (latency, limit, loss) = (c.u32()?, c.u32()?, c.u32()?);
        let (gap, duplicate, jitter) = (c.u32()?, c.u32()?, c.u32()?);
        let attributes = Payload(c.rest()).attributes()?;
        let time = |ticks: u32| (f64::from(ticks) * facts.tick_ns) as u64;
        let correlations = match attributes.get(CORR) {
            Some(corr) => {
                let mut c = corr.fields();
                [c.u32()?, c.u32()?, c.u32()?].map(|n| Some(Share(n)))
            }
            None => [None; 3],
        };
        let [of_delay, of_loss, of_duplicate] = correlations;
        let chance = |number: u16| -> Result<Option<Chance>, Malformed> {
            let Some(chance) = attributes.get(number) else { return Ok(None) };
            let mut c = chance.fields();
            Ok(Some(Chance { share: Share(c.u32()?), correlation: Some(Share(c.u32()?)) }))
        };
        let mut read = Netem {
            limit: Some(Limit(limit)),
            delay: Some(Delay {
                time: attributes.u64(LATENCY64)?.unwrap_or(time(latency)),
                jitter: Some(attributes.u64(JITTER64)?.unwrap_or(time(jitter))),
                correlation: of_delay,
            }),
            loss: Some(Loss::Random(Chance { share: Share(loss), correlation: of_loss })),
            ecn: Some(Flag(attributes.u32(ECN)?.is_some_and(|on| on != 0))),
            reorder: chance(REORDER)?,
            corrupt: chance(CORRUPT)?,
            gap: Some(Number(gap)),
            duplicate: Some(Chance { share: Share(duplicate), correlation: of_duplicate }),
            prng_seed: attributes.u64(PRNG_SEED)?.map(Decimal),
            ..Netem::default()
        };
        if let Some(loss) = attributes.nested(LOSS)? {
            if let Some(state) = loss.get(LOSS_STATE) {
                let mut c = state.fields();
                let (p13, p31, p32, p14, p23) = (c.u32()?, c.u32()?, c.u32()?, c.u32()?, c.u32()?);
                read.loss = Some(Loss::State([p13, p31, p32, p23, p14].map(Share)));
            }
            if let Some(model) = loss.get(LOSS_GEMODEL) {
                let mut c = model.fields();
                let (p, r, h, k) = (c.u32()?, c.u32()?, c.u32()?, c.u32()?);
                read.loss = Some(Loss::Gemodel([p, r, u32::MAX - h, k].map(Share)));
            }
        }
        if let Some(line) = attributes.get(RATE) {
            let mut c = line.fields();
            let (rate, packet_overhead, cell_size, cell_overhead) = (c.u32()?, c.u32()?, c.u32()?, c.u32()?);
            read.rate = Some(Line {
                rate: Rate::from_bytes(attributes.u64(RATE64)?.unwrap_or(u64::from(rate))),
                packet_overhead: packet_overhead as i32,
                cell_size,
                cell_overhead: cell_overhead as i32,
            });
        }
        if let Some(slot) = attributes.get(SLOT) {
            let mut c = slot.fields();
            let (least, most, packets, bytes) = (c.u64()?, c.u64()?, c.u32()? as i32, c.u32()? as i32);
            let (mean, jitter) = (c.u64()?, c.u64()?);
            let spacing = match jitter {
                0 => Spacing::Between(least, most),
                _ => Spacing::Table(UNKNOWN.into(), mean, jitter),
            };
            read.slot = Some(Slot { spacing, packets, bytes });
        }
        *self = read;
        Ok(())
    }

    /// As tc: a gap of 1, and no correlation of `duplicate` alone.
    fn complete(&mut self, _facts: &Facts) {
        if self.reorders() {
            self.gap.get_or_insert(Number(1));
        }
        if !self.says_correlations()
            && let Some(duplicate) = &mut self.duplicate
        {
            duplicate.correlation = None;
        }
    }

    /// With the parts that are left out, so that a change says them.
    fn assume(&mut self, _facts: &Facts) {
        self.assume_constants();
        self.gap.get_or_insert(Number(0));
        if let Some(delay) = &mut self.delay {
            delay.jitter.get_or_insert(0);
            delay.correlation.get_or_insert_default();
        }
        let random = match &mut self.loss {
            Some(Loss::Random(chance)) => Some(chance),
            _ => None,
        };
        let chances = [random, self.duplicate.as_mut(), self.reorder.as_mut(), self.corrupt.as_mut()];
        for chance in chances.into_iter().flatten() {
            chance.correlation.get_or_insert_default();
        }
    }

    /// A seed that nobody asks for is the kernel's.
    fn same(&self, other: &dyn Options, row: usize, _facts: &Facts) -> bool {
        let (Some(held), Some(of)) = (other.as_kind::<Netem>(), Netem::ROWS.get(row)) else { return false };
        let slot = |netem: &Netem| netem.slot.clone().filter(|slot| !slot.is_none());
        match of.word {
            "seed" => self.seed.is_none() || self.seed == held.seed.or(held.prng_seed),
            "prng_seed" => true,
            "slot" => slot(self).same(&slot(held)),
            _ => matches!((self.slot(row), other.slot(row)), (Some(a), Some(b)) if a.same(b)),
        }
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        let before = self.loss.take();
        let read = read_row(self, words, reader)?;
        match (before, self.loss) {
            (Some(first), Some(_)) if !first.is_none() => {
                Err(Refusal::coded(&codes::DUPLICATE_KEY, "`loss` stands here twice").help("leave one of them out"))
            }
            (first, said) => {
                self.loss = said.or(first);
                Ok(read)
            }
        }
    }

    /// To tc a gap of 0 beside `reorder` is one of 1; and where no `gap` is written, 0 is sent.
    fn settle_tc(&mut self, _place: &mut Place) -> Result<(), Refusal> {
        let written = self.gap.filter(|n| n.0 != 0);
        self.gap = written.or(Some(Number(self.reorders().into())));
        match self.refused() {
            Some(finding) => Err(Refusal { help: finding.help, ..Refusal::coded(finding.code, finding.message) }),
            None => Ok(()),
        }
    }

    /// A gap of 0 beside `reorder`: a change that says no `reorder` leaves that as it is, and the gap is 0 then.
    fn tc_then(&self) -> Option<Box<dyn Options>> {
        let rest = Netem { reorder: None, gap: None, ..self.clone() };
        (self.reorders() && self.gap == Some(Number(0))).then(|| Box::new(rest) as Box<dyn Options>)
    }

    /// What is left out in tc's text is 0, or nothing.
    fn tc(&self, out: &mut Vec<String>) {
        let reorders = self.reorders();
        for (i, row) in self.rows().iter().enumerate().filter(|(_, row)| !row.hidden) {
            // tc wants the one with the other
            let idle = match row.word {
                "gap" => !reorders || self.gap == Some(Number(0)),
                "slot" => self.slot.as_ref().is_some_and(Slot::is_none),
                _ => false,
            };
            if let Some(slot) = Rows::slot(self, i).filter(|_| !idle) {
                row_words(row, slot, out);
            }
        }
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        self.check_widths(out);
        out.extend(self.refused());
        if self.reorders() && self.gap == Some(Number(0)) {
            let f = Finding::new(&codes::NO_EFFECT, "gap", "with a `gap` of 0 no packet overtakes another");
            out.push(f.help("leave `gap` out: it is 1 then"));
        }
        if self.limit == Some(Limit(0)) {
            let f = Finding::new(&codes::LIMIT_BELOW_PACKET, "limit", "a limit of 0 packets drops everything");
            out.push(f.help("write `limit: 1000`"));
        }
        if let Some(Line { rate, .. }) = self.rate.filter(|line| line.rate.bytes() == 0) {
            let message = format!("a rate of {} is none at all: packets are not held back", rate.show());
            let f = Finding::new(&codes::NO_EFFECT, "rate", message);
            out.push(f.help("leave it out, or write `8bit` or more"));
        }
        if self.reorder.is_some() && !self.reorders() {
            let f = Finding::new(&codes::NO_EFFECT, "reorder", "a chance of 0% reorders nothing");
            out.push(f.help("leave it out"));
        }
        if let Some(delay) = self.delay {
            let jitter = delay.jitter.unwrap_or(0);
            // `get_dist_table` aside, `tabledist` gives what lies evenly around the mean, and nobody waits for less than nothing
            if jitter > delay.time && self.distribution.is_none() {
                let (time, varies) = (Time(delay.time).show(), Time(jitter).show());
                let message = format!("a delay of {time} that varies by {varies} is often below 0, and then none");
                let f = Finding::new(&codes::CUT_SHORT, "delay", message);
                out.push(f.help(format!("write `{varies} {varies}`, or less behind the mean")));
            }
            if jitter > JITTER {
                let message = format!("a delay that varies by {} is held as 2147483647ns", Time(jitter).show());
                out.push(Finding::new(&codes::CUT_SHORT, "delay", message).help("write 2s at most"));
            }
            if jitter == 0 && delay.correlation.is_some_and(|c| c.0 != 0) {
                let message = "how much a delay depends on the one before does nothing where delays do not vary";
                out.push(Finding::new(&codes::NO_EFFECT, "delay", message).help("write `100ms 10ms 25%`"));
            }
            if i64::try_from(delay.time).is_err() || i64::try_from(jitter).is_err() {
                out.push(Finding::new(&codes::OUT_OF_RANGE, "delay", "a delay of centuries does not fit"));
            }
        }
        if self.duplicate.is_some_and(|c| c.correlation.is_some_and(|c| c.0 != 0)) && !self.says_correlations() {
            let message = "tc sends the correlation of `duplicate` only beside another one";
            let f = Finding::new(&codes::NO_EFFECT, "duplicate", message);
            out.push(f.help("leave it out, or write a correlation of 0% to `loss` or `delay` too"));
        }
        out.extend(self.absent(facts));
    }

    /// A table that is not in the machine's folder of tables.
    fn absent(&self, facts: &Facts) -> Option<Finding> {
        let known = facts.distributions.as_ref()?;
        let missing = self.tables().find(|(_, name)| known.get(name).is_none());
        missing.map(|(row, name)| {
            let message = format!("there is no table `{name}` in {}", known.folder);
            let help = match name.as_str() {
                "uniform" => "leave it out: without a table every delay is as likely".to_owned(),
                UNKNOWN => "the kernel does not tell which table it has: write its name".to_owned(),
                _ => format!("known here: {}", known.names()),
            };
            Finding::new(&codes::UNKNOWN_NAME, row, message).help(help)
        })
    }
}

/// `struct tc_netem_xstats` (Linux 7.0).
fn xstats(payload: Payload, _: &Facts) -> Vec<(&'static str, u64)> {
    let mut c = payload.fields();
    let names = ["delayed", "dropped", "corrupted", "duplicated", "reordered", "ecn_marked", "alloc_errors"];
    names.into_iter().map_while(|name| Some((name, c.u64().ok()?))).collect()
}
