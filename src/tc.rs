//! tc's own command lines: the words of one command become a [`Request`], by the rows of the kinds. No I/O: names of links
//! stay names, and nothing is asked of a kernel.
//!
//! The grammar is that of iproute2's tc/tc.c, tc_qdisc.c, tc_class.c, tc_filter.c and m_action.c: what may be abbreviated
//! there (`matches()`) may be here, what may be said twice may be here, and what must be written out must be here.

mod actions;
mod advice;
mod batch;
mod filter;
mod front;
pub mod protocol;
mod qdisc;

pub use batch::{Line, lines};
pub use front::{Front, front};

use crate::diagnostic::codes;
use crate::facts::{Facts, Reference};
use crate::kind::action::Actions;
use crate::kind::{self, Finding, Kind, Place, Role};
use crate::source::beginning;
use crate::tree::{Estimator, Id, Object};
use crate::unit::{Handle, Rate, Reader, Refusal, Time, Unit, Words, begins, integer_of_32};
use compact_str::CompactString;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Make it; it must not be there.
    Add,
    /// Change it; it must be there.
    Change,
    /// Make it, or change it if it is there; a qdisc takes the place of another.
    Replace,
    /// Put a qdisc that is there into another place.
    Link,
    /// Take it away.
    Delete,
    /// Show the one.
    Get,
    /// Show those that fit.
    Show,
    /// Take away all actions of a kind.
    Flush,
}

impl Verb {
    /// tc's word.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Add => "add",
            Verb::Change => "change",
            Verb::Replace => "replace",
            Verb::Link => "link",
            Verb::Delete => "delete",
            Verb::Get => "get",
            Verb::Show => "show",
            Verb::Flush => "flush",
        }
    }
}

/// Where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A link, by its name as it was written.
    Dev(CompactString),
    /// A shared block of filters.
    Block(u32),
}

/// One command.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is done.
    pub verb: Verb,
    /// Where; `None` for actions, and for a show of everything.
    pub target: Option<Target>,
    /// The chain, if one is written: 0 is not the same as none where chains are shown.
    pub chain: Option<u32>,
    /// To what.
    pub subject: Subject,
    /// Which word says what, counted from 0: `dev`, `parent` (however that is written), `handle`, `classid`, `kind` and
    /// the others that stand before the kind. The value of a word stands behind it.
    pub places: Vec<(&'static str, usize)>,
}

impl Request {
    /// The number of a word.
    pub fn place(&self, word: &str) -> Option<usize> {
        self.places.iter().find(|(name, _)| *name == word).map(|(_, at)| *at)
    }

    /// Writes what tc chooses where the words say nothing: a burst, a ceil. tc knows nothing of the link, so neither
    /// should the facts: their figures are those of an Ethernet.
    pub fn complete(&mut self, facts: &Facts) {
        match &mut self.subject {
            Subject::Qdisc(object) | Subject::Class(object) | Subject::Filter(object) | Subject::Chain(object) => {
                object.options.complete(facts);
            }
            Subject::Actions(actions) => actions.complete(facts),
            _ => {}
        }
    }

    /// What it names that traffic control does not keep itself.
    pub fn references(&self) -> Vec<Reference> {
        match &self.subject {
            Subject::Actions(actions) => actions.0.iter().flat_map(|act| act.options.references()).collect(),
            _ => self.object().map(|object| object.options.references()).unwrap_or_default(),
        }
    }

    /// What it names and this machine does not have.
    pub fn absent(&self, facts: &Facts) -> Option<Finding> {
        match &self.subject {
            Subject::Actions(actions) => actions.0.iter().find_map(|act| act.options.absent(facts)),
            _ => self.object()?.options.absent(facts),
        }
    }

    /// The object that it is about, if that is one.
    pub fn object(&self) -> Option<&Object> {
        match &self.subject {
            Subject::Qdisc(object) | Subject::Class(object) | Subject::Filter(object) | Subject::Chain(object) => {
                Some(object)
            }
            _ => None,
        }
    }
}

/// To what a command does something. An object of which less is written than there is (a deletion by parent, a change of
/// its estimator) has an empty name, no kind and no options.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A qdisc: [`Id::Qdisc`].
    Qdisc(Object),
    /// A class: [`Id::Class`]. Its parent is [`Handle::ROOT`] if that is what is written.
    Class(Object),
    /// A filter: [`Id::Filter`]. With a priority of 0 a deletion takes all filters of the parent and chain; with a handle
    /// of 0 all of the priority.
    Filter(Object),
    /// A chain of filters, with the template that its filters must fit: [`Id::Filter`].
    Chain(Object),
    /// Actions that filters may share.
    Actions(Actions),
    /// Actions by kind and number.
    Numbered(Vec<Numbered>),
    /// All actions of a kind.
    OfKind {
        /// The kind's name.
        name: CompactString,
        /// Shown are those used in the last so many milliseconds.
        since: Option<u32>,
    },
    /// What to show of qdiscs, classes, filters or chains.
    Show(Show),
}

/// An action by kind and number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// The kind's name.
    pub name: CompactString,
    /// The number; 0 is said by nobody and found by nobody.
    pub index: u32,
}

/// What a list is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// Qdiscs.
    Qdiscs,
    /// Classes.
    Classes,
    /// Filters.
    Filters,
    /// Chains.
    Chains,
}

/// Which objects are shown; 0 stands for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Show {
    /// Of which kind of object.
    pub of: Listed,
    /// Below this.
    pub parent: Handle,
    /// With this handle or class number.
    pub handle: Handle,
    /// Classes of this qdisc.
    pub qdisc: Handle,
    /// Filters of this priority.
    pub prio: u32,
    /// Filters of this protocol, in host order.
    pub protocol: u16,
    /// Qdiscs too that the kernel made of itself.
    pub invisible: bool,
}

impl Show {
    /// All objects of a kind.
    pub fn all(of: Listed) -> Show {
        Show { of, parent: Handle(0), handle: Handle(0), qdisc: Handle(0), prio: 0, protocol: 0, invisible: false }
    }
}

/// Why words are no command, and which of them is at fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrong {
    /// The number of the word, counted from 0; the number of words if something is missing at the end.
    pub word: usize,
    /// Why.
    pub refusal: Refusal,
    /// Whether the line does nothing but ask what may stand there, and tc counts that as done.
    pub asked: bool,
}

impl Wrong {
    fn new(word: usize, refusal: Refusal) -> Wrong {
        Wrong { word, refusal, asked: false }
    }
}

type Read<T> = Result<T, Wrong>;

/// Reads the words of one command, what follows `tc` and its options. One command does one thing; only `actions` may do
/// several, one after the other. `speed` is that of a link, for rates in per cent.
///
/// # Errors
/// What tc itself would refuse, before it asked the kernel: the first word that is wrong.
pub fn read(words: &[String], speed: &dyn Fn(&str) -> Option<Rate>) -> Result<Vec<Request>, Wrong> {
    let mut line = Cursor { words: Words::new(words), all: words, speed, places: Vec::new() };
    const OBJECTS: &[&str] = &["qdisc", "class", "filter", "chain", "actions"];
    let Some(word) = line.words.next() else {
        return Err(line.missing("an object", &format!("objects are {}", advice::list(OBJECTS.iter().copied()))));
    };
    match OBJECTS.iter().copied().find(|object| begins(word, object)) {
        Some("qdisc") => line.qdisc().map(|request| vec![request]),
        Some("class") => line.class().map(|request| vec![request]),
        Some("filter") => line.filter(false).map(|request| vec![request]),
        Some("chain") => line.filter(true).map(|request| vec![request]),
        Some(_) => line.actions(),
        None if begins(word, "help") => {
            Err(line.asked(&format!("objects are {}", advice::list(OBJECTS.iter().copied()))))
        }
        None if ["monitor", "exec"].iter().any(|known| begins(word, known)) => {
            Err(line.wrong(format!("`{word}` is not done here"), "qdiscs, classes, filters, chains and actions are"))
        }
        None => Err(line.wrong(format!("`{word}` is no object of tc"), advice::among(word, "objects are", OBJECTS))),
    }
}

/// The words of a line, with what is needed to read them.
struct Cursor<'a> {
    words: Words<'a>,
    all: &'a [String],
    speed: &'a dyn Fn(&str) -> Option<Rate>,
    places: Vec<(&'static str, usize)>,
}

/// What the words before a kind say that is common to all objects.
#[derive(Default)]
struct Head {
    dev: Option<CompactString>,
    parent: Handle,
    estimator: Option<Estimator>,
}

impl<'a> Cursor<'a> {
    /// A refusal of the word that was taken last.
    fn wrong(&self, message: impl Into<String>, help: impl Into<String>) -> Wrong {
        let refusal = Refusal::coded(&codes::UNKNOWN_KEY, message).help(help);
        Wrong::new(self.words.taken().saturating_sub(1), refusal)
    }

    /// Remembers where the word stands that was taken last.
    fn note(&mut self, word: &'static str) {
        self.places.push((word, self.words.taken().saturating_sub(1)));
    }

    /// All that is remembered of a command.
    fn request(&mut self, verb: Verb, target: Option<Target>, chain: Option<u32>, subject: Subject) -> Request {
        Request { verb, target, chain, subject, places: std::mem::take(&mut self.places) }
    }

    /// A refusal of the end of the line.
    fn missing(&self, what: &str, help: &str) -> Wrong {
        let refusal = Refusal::coded(&codes::MISSING_OPTION, format!("{what} is missing")).help(help);
        Wrong::new(self.words.total(), refusal)
    }

    /// Pins a refusal to the word that it is about.
    fn blame(&self, refusal: Refusal) -> Wrong {
        Wrong::new(self.words.blamed(), refusal)
    }

    /// Takes the next word if it is this one.
    fn take(&mut self, word: &str) -> bool {
        let words = &mut self.words;
        words.take(word)
    }

    /// The value of an option.
    fn value(&mut self, what: &str) -> Read<&'a str> {
        let before = self.all.get(self.words.taken().saturating_sub(1)).map_or("", String::as_str);
        let help = format!("write {what} behind `{before}`");
        self.words.want(what).map_err(|refusal| self.blame(refusal.help(help)))
    }

    /// A value that is read by a function.
    fn read<T>(&mut self, what: &str, read: impl Fn(&str) -> Result<T, Refusal>) -> Read<T> {
        let word = self.value(what)?;
        read(word).map_err(|refusal| self.blame(refusal))
    }

    /// A number as `get_u32` reads it, of a range.
    fn number(&mut self, what: &str, base: u32, range: std::ops::RangeInclusive<u32>) -> Read<u32> {
        self.read(what, |word| {
            integer_of_32(word, base).filter(|n| range.contains(n)).ok_or_else(|| {
                Refusal::new(format!("`{word}` is not {what}")).help(format!(
                    "write a number from {} to {}",
                    range.start(),
                    range.end()
                ))
            })
        })
    }

    /// The verb: the first that the word begins; without a word it is a list.
    fn verb(&mut self, verbs: &[(&'static str, Verb)]) -> Read<Verb> {
        let Some(word) = self.words.next() else { return Ok(Verb::Show) };
        if let Some((_, verb)) = verbs.iter().find(|(full, _)| begins(word, full)) {
            return Ok(*verb);
        }
        let known: Vec<&str> = verbs.iter().map(|(full, _)| *full).filter(|full| *full != "lst").collect();
        if begins(word, "help") {
            return Err(self.asked(&format!("verbs are {}", advice::list(known))));
        }
        Err(self.wrong(format!("`{word}` is nothing that can be done here"), advice::among(word, "verbs are", &known)))
    }

    /// Asked for help: the line is not run.
    fn help(&self, text: &str) -> Wrong {
        self.wrong("a line that asks for help is not run", text)
    }

    /// The same where tc leaves it at that, and ends well.
    fn asked(&self, text: &str) -> Wrong {
        Wrong { asked: true, ..self.help(text) }
    }

    fn twice(&self, word: &str) -> Wrong {
        self.wrong(format!("`{word}` stands here twice"), format!("leave one `{word}` out"))
    }

    /// `dev NAME`. tc cuts a name that is too long.
    fn dev(&mut self, dev: &mut Option<CompactString>) -> Read<()> {
        if dev.is_some() {
            return Err(self.twice("dev"));
        }
        self.note("dev");
        *dev = Some(cut(self.value("the name of a link")?));
        Ok(())
    }

    /// A place above, written by the word that was taken last; two are too many.
    fn place(&mut self, parent: &mut Handle, place: Handle) -> Read<()> {
        if parent.0 != 0 {
            return Err(self.wrong(
                "a second parent for one object",
                "leave one of `root`, `ingress`, `egress`, `clsact` and `parent` out",
            ));
        }
        *parent = place;
        self.note("parent");
        Ok(())
    }

    /// `parent ID`.
    fn parent(&mut self, parent: &mut Handle) -> Read<()> {
        self.place(parent, Handle(0))?;
        *parent = self.read("the number of a class or qdisc", Handle::of_class)?;
        Ok(())
    }

    /// `estimator INTERVAL TIME-CONSTANT`.
    fn estimator(&mut self, estimator: &mut Option<Estimator>) -> Read<()> {
        if estimator.is_some() {
            return Err(self.twice("estimator"));
        }
        let time = |word: &str| Time::read(word, &mut Reader::tc()).map(|time| time.0 / 1000);
        let interval = self.read("the interval between measurements", time)?;
        let constant = self.read("the time constant of the average", time)?;
        *estimator = Estimator::of(interval, constant);
        match estimator {
            Some(_) => Ok(()),
            None => Err(self.blame(
                Refusal::new("the interval and time constant do not go together")
                    .help("write an interval of at most 8s and a longer time constant: `estimator 1s 8s`"),
            )),
        }
    }

    /// The device must be written: the kernel knows no object without one.
    fn wanted(&self, dev: Option<CompactString>) -> Read<Option<Target>> {
        match dev {
            Some(dev) => Ok(Some(Target::Dev(dev))),
            None => Err(self.missing("`dev` with the name of a link", "write `dev eth0`")),
        }
    }

    /// The rest of the line: the options of a kind whose name was taken last, if there was one.
    fn object(&mut self, id: Id, name: Option<&str>, dev: Option<&str>, handle: Option<(usize, &str)>) -> Read<Object> {
        let (role, is_class) = match id {
            Id::Qdisc { .. } => (Role::Qdisc, false),
            Id::Class { .. } => (Role::Qdisc, true),
            Id::Filter { .. } => (Role::Filter, false),
        };
        let Some(name) = name else {
            if let Some((at, _)) = handle {
                let refusal = Refusal::coded(&codes::MISSING_OPTION, "the number of a filter without its kind")
                    .help("write the kind behind it: `handle 800::800 u32`");
                return Err(Wrong::new(at, refusal));
            }
            return Ok(Object::unknown(id, ""));
        };
        let named = self.words.taken().saturating_sub(1);
        self.note("kind");
        let name = cut(name);
        let Some(kind) = kind::find(role, &name) else {
            return self.unknown_kind(id, &name, role, is_class, handle);
        };
        let Some(options) = (if is_class { kind.class.map(|fresh| fresh()) } else { Some((kind.options)()) }) else {
            let refusal = Refusal::coded(&codes::NO_CHILDREN, format!("`{name}` has no classes that can be made"))
                .help(format!("qdiscs with classes are {}", advice::list(classful())));
            return Err(Wrong::new(named, refusal));
        };
        self.known_kind(Object::new(id, kind, options), kind, dev, handle)
    }

    fn known_kind(
        &mut self,
        mut object: Object,
        kind: &'static Kind,
        dev: Option<&str>,
        handle: Option<(usize, &str)>,
    ) -> Read<Object> {
        let options = object.options.as_mut();
        let mut place = Place { handle: 0, protocol: 0, parent: Handle(0), words: self.words.left() };
        if let Id::Filter { protocol, parent, .. } = object.id {
            (place.protocol, place.parent) = (protocol, parent);
        }
        if let Some((at, text)) = handle {
            place.handle = options.read_handle(text).map_err(|refusal| Wrong::new(at, refusal))?;
        }
        options.begin_tc(&place);
        let mut reader = Reader { whole: dev.and_then(self.speed), ..Reader::tc() };
        while let Some(word) = self.words.peek() {
            let at = self.words.taken();
            let read = options.read_tc(&mut self.words, &mut reader);
            let advised = read.map_err(|refusal| advice::of_option(refusal, word, kind.name, options));
            if !advised.map_err(|refusal| self.blame(refusal))? {
                let help = advice::options(word, kind.name, options);
                let refusal = match word == "help" {
                    true => Refusal::coded(&codes::UNKNOWN_KEY, "a line that asks for help is not run"),
                    false => Refusal::coded(&codes::UNKNOWN_KEY, format!("`{}` has no option `{word}`", kind.name)),
                };
                return Err(Wrong::new(at, refusal.help(help)));
            }
        }
        if let Some(word) = options.unsayable() {
            let at = self.all.iter().rposition(|said| said == word).unwrap_or(self.words.total());
            let refusal =
                Refusal::coded(&codes::UNKNOWN_KEY, format!("tc has no words for this `{word}` of `{}`", kind.name));
            return Err(Wrong::new(at, refusal.help("leave it out; a policy can say it")));
        }
        options.settle_tc(&mut place).map_err(|refusal| Wrong::new(self.words.total(), refusal))?;
        if let Id::Filter { handle, .. } = &mut object.id {
            *handle = place.handle;
        }
        Ok(object)
    }

    /// As tc does it, a kind that nobody knows may be named but have no options; the kernel then says whether there is
    /// such a kind.
    fn unknown_kind(
        &mut self,
        mut id: Id,
        name: &str,
        role: Role,
        is_class: bool,
        handle: Option<(usize, &str)>,
    ) -> Read<Object> {
        let what = if role == Role::Filter { "filter" } else { "qdisc" };
        let named = self.words.taken().saturating_sub(1);
        if is_class || self.words.peek().is_some() {
            let help = if is_class {
                format!("qdiscs with classes are {}", advice::list(classful()))
            } else {
                advice::kinds(name, role)
            };
            let refusal = Refusal::coded(&codes::UNKNOWN_KIND, format!("no {what} is called `{name}`")).help(help);
            return Err(Wrong::new(named, refusal));
        }
        if let (Id::Filter { handle, .. }, Some((at, text))) = (&mut id, handle) {
            *handle = integer_of_32(text, 16).ok_or_else(|| {
                let refusal = Refusal::new(format!("`{text}` is not the number of a filter"));
                Wrong::new(at, refusal.help("of a kind that is not known, the number is in hexadecimal"))
            })?;
        }
        Ok(Object::unknown(id, name))
    }
}

/// The kinds near a name, as help.
pub fn near_kinds(name: &str, role: Role) -> String {
    advice::kinds(name, role)
}

/// The qdiscs whose classes can be made.
fn classful() -> impl Iterator<Item = &'static str> {
    kind::all(Role::Qdisc).filter(|kind| kind.class.is_some()).map(|kind| kind.name)
}

/// A name as tc keeps it: 15 octets.
fn cut(name: &str) -> CompactString {
    beginning(name, 15).into()
}

#[cfg(test)]
mod tests;
