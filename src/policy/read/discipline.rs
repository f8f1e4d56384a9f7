//! Disciplines, their options and what hangs below them.

use super::value::listed;
use super::{PARTS, Reader, Whole};
use crate::codes::{
    BAD_NAME, BAD_VALUE, BARE_NUMBER, DUPLICATE_KEY, DUPLICATE_NAME, HANDLE_BUDGET, INNER_CLASS, LET_CYCLE,
    NO_CHILDREN, OUT_OF_RANGE, TOO_DEEP, TOS_CLASH, TOS_ECN, UNKNOWN_BAND, UNKNOWN_CLASS, UNKNOWN_DEFAULT, UNKNOWN_KEY,
    UNKNOWN_KIND, UNKNOWN_PROFILE, WRONG_SHAPE,
};
use crate::diagnostic::Diagnostic;
use crate::kind::qdisc::htb;
use crate::kind::{self, Kind, Options, Role};
use crate::policy::layout::Layout;
use crate::policy::model::{Band, Children, Class, Direction, Discipline, Places, Rule};
use crate::policy::names::{Found, Index};
use crate::policy::tos;
use crate::source::{Span, Spanned, misleads};
use crate::syntax::document::{Entry, Name, Node, Value};
use crate::unit::{self, Unit};
use compact_str::{CompactString, ToCompactString};
use std::borrow::Cow;

/// The most bands that any discipline has that counts them itself.
const BANDS: u64 = 16;
/// Words of a body in which classes may stand.
const HOLDING: [&str; 5] = ["profile", "leaf", "leaves", "bands", "classes"];
/// The most queues of a device that are bands (`mq`).
const QUEUES: u64 = 4096;

/// A number that is no name: `0x20`.
fn number_of(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// Options as they are being read, with their places.
pub(super) struct Written {
    pub(super) options: Box<dyn Options>,
    places: Places,
}

impl Written {
    pub(super) fn new(options: Box<dyn Options>) -> Written {
        Written { options, places: Places::default() }
    }

    /// What a percentage below is of: the rate and ceil here, or else those above.
    fn inner(&self, above: Option<Whole>) -> Whole {
        let above = above.unwrap_or_default();
        let [own_rate, own_ceil] = self.options.whole();
        let refused = |own: Option<unit::Rate>, word| own.is_none() && self.place(word).is_some();
        let rate = own_rate.or(above.rate.filter(|_| !refused(own_rate, "rate")));
        let ceil = own_ceil.or(rate.filter(|_| !refused(own_ceil, "ceil"))).or(above.ceil);
        Whole { rate, ceil, unsure: above.unsure || self.spoilt() }
    }

    /// Whether something that was written is not in the options.
    pub(super) fn spoilt(&self) -> bool {
        self.places.spoilt(self.options.as_ref())
    }

    /// The options and their places.
    pub(super) fn finish(self) -> (Box<dyn Options>, Places) {
        (self.options, self.places)
    }

    /// The place of an option by its word, if it is written.
    pub(super) fn place(&self, word: &str) -> Option<Span> {
        self.places.get(self.options.row(word)?)
    }
}

/// The most classes of a policy: what profiles within profiles stand for may be far more than is written.
const CLASSES: usize = 500_000;

/// An entry of a class body, and the profile that wrote it.
#[derive(Clone, Copy)]
struct Line<'a> {
    entry: &'a Entry,
    profile: Option<&'a Entry>,
}

/// The lines of a class body while they are gathered.
#[derive(Default)]
struct Body<'a> {
    lines: Vec<Line<'a>>,
    /// Profiles around the one that is read.
    open: Vec<&'a Entry>,
    /// Profiles that have been read: another time they would add nothing.
    read: Vec<&'a Entry>,
}

impl<'a> Reader<'a> {
    /// A discipline: a bare word, or a block with its kind and the keys of `beside`, which are read elsewhere.
    pub(super) fn discipline(&mut self, node: &'a Node, at: Span, whole: Whole, beside: &[&str]) -> Option<Discipline> {
        let node = super::value::this_way(self.way, node)?;
        if let Value::Word(word) = &node.value {
            // `$name` may stand for a discipline without options
            let (settled, _) = self.settle(node)?;
            let text: CompactString = settled.as_word().unwrap_or(&word.text).into();
            let name = Spanned::new(text, node.span);
            let kind = self.kind(&name)?;
            return Some(self.body(Spanned::new(kind, node.span), &[], node.span, whole));
        }
        let Some(entries) = node.entries() else {
            self.shape(node, "a discipline", "fq_codel` or `htb: { … }");
            return None;
        };
        let mut chosen: Option<(&Entry, &'static Kind)> = None;
        let mut wrong = false;
        for (i, entry) in entries.iter().enumerate() {
            if self.repeated(entries, i) || beside.contains(&entry.key.value.as_str()) {
                continue;
            }
            let Some(kind) = self.kind(&entry.key) else {
                wrong = true;
                continue;
            };
            match chosen {
                None => chosen = Some((entry, kind)),
                Some((first, _)) => {
                    let message = format!("two disciplines at one place: `{}` and `{}`", first.key.value, kind.name);
                    let d = Diagnostic::new(&DUPLICATE_KEY, message);
                    let d = d.at(entry.key.span, "the second").at(first.key.span, "the first");
                    self.sink.push(d.help("keep one of them; the other may be its `leaf`"));
                }
            }
        }
        let Some((entry, kind)) = chosen else {
            if !wrong {
                let at = if node.span.is_none() { at } else { node.span.to(at) };
                let d = Diagnostic::new(&WRONG_SHAPE, "a discipline is wanted here, and there is none");
                self.sink.push(d.at(at, "").help("write `fq_codel`, `tbf: { … }` or `htb: { … }`"));
            }
            return None;
        };
        let name = Spanned::new(kind, entry.key.span);
        match entry.node.entries() {
            Some(entries) => Some(self.body(name, entries, entry.node.span, whole)),
            None => {
                self.shape(&entry.node, &format!("`{}`", kind.name), &format!("{}: {{ … }}", kind.name));
                Some(self.body(name, &[], entry.node.span, whole))
            }
        }
    }

    fn kind(&mut self, name: &Name) -> Option<&'static Kind> {
        match kind::in_policies(Role::Qdisc).find(|kind| kind.name == name.value) {
            Some(kind) if kind.writable => Some(kind),
            Some(kind) => {
                let d = Diagnostic::new(&UNKNOWN_KIND, format!("`{}` cannot be written in a policy", kind.name));
                let help = match kind.name {
                    "ingress" | "clsact" => "write what is to happen under `ingress:`; the hook comes by itself",
                    _ => "the kernel sets it up by itself; leave the direction out to have it back",
                };
                self.sink.push(d.at(name.span, "").help(help));
                None
            }
            None => {
                let writable = || kind::all(Role::Qdisc).filter(|k| k.writable);
                let own = |k: &&'static Kind| (k.options)().as_ref().row(&name.value).is_some();
                let of_class =
                    |k: &&'static Kind| k.class.is_some_and(|fresh| fresh().as_ref().row(&name.value).is_some());
                let owner = writable().find(own).or_else(|| writable().find(of_class));
                let known: Vec<_> = kind::all(Role::Qdisc).filter(|k| k.writable).map(|k| k.name).collect();
                let (message, help) = match owner {
                    // written a level too deep
                    _ if PARTS.contains(&name.value.as_str()) => {
                        let message =
                            format!("`{}` is a part of an interface, and a discipline is wanted here", name.value);
                        (message, Some("move it up by one level, beside the direction that it stands in".to_owned()))
                    }
                    Some(owner) => {
                        let message = format!("`{}` is an option, and a discipline is wanted here", name.value);
                        (message, Some(format!("write `{}: {{ {}: … }}`", owner.name, name.value)))
                    }
                    None => (format!("there is no discipline `{}`", name.value), None),
                };
                self.unknown_or(&UNKNOWN_KIND, message, name, known, help);
                None
            }
        }
    }

    /// The body of a discipline of that kind.
    pub(super) fn body(
        &mut self,
        kind: Spanned<&'static Kind>,
        entries: &'a [Entry],
        at: Span,
        whole: Whole,
    ) -> Discipline {
        let facts = kind.value;
        let owner = format!("`{}`", facts.name);
        let mut written = Written::new((facts.options)());
        let (mut id, mut default, mut stab, mut estimator, mut layout) = (None, None, None, None, None);
        let (mut classes, mut leaf, mut leaves, mut bands, mut tos_map) = (None, None, None, None, None);
        let has_layout = written.options.as_kind::<htb::Htb>().is_some();
        for (i, entry) in entries.iter().enumerate() {
            if self.repeated(entries, i) {
                continue;
            }
            let below = |wanted: kind::Children| facts.children == wanted;
            match entry.key.value.as_str() {
                "id" => id = self.number(&entry.node, true),
                "stab" => stab = self.stab(entry),
                "estimator" => estimator = self.estimator(entry),
                "layout" if has_layout => layout = self.layout(&entry.node),
                "default" if below(kind::Children::Classes) => default = self.name(&entry.node, "the name of a class"),
                "classes" if below(kind::Children::Classes) => classes = Some(entry),
                "leaf" if below(kind::Children::Leaf) => leaf = Some(entry),
                "leaves" if below(kind::Children::Bands) => leaves = Some(entry),
                "bands" if below(kind::Children::Bands) => bands = Some(entry),
                "priomap" if below(kind::Children::Bands) => {} // below, when the bands have their names
                "tos" if written.options.row("priomap").is_some() => tos_map = Some(entry),
                word @ ("classes" | "class" | "leaf" | "leaves" | "bands" | "tos") => {
                    self.no_children(facts, word, entry)
                }
                _ => {
                    let structure: &[&str] = match facts.children {
                        kind::Children::None => &["id"],
                        kind::Children::Classes if has_layout => &["id", "default", "layout", "classes"],
                        kind::Children::Classes => &["id", "default", "classes"],
                        kind::Children::Leaf => &["id", "leaf"],
                        kind::Children::Bands => &["id", "leaves", "tos"],
                    };
                    self.option(&mut written, entry, whole, &owner, structure);
                }
            }
        }
        let inner = written.inner(Some(whole));
        let children = match facts.children {
            kind::Children::None => Children::None,
            // the whole at the top of classes is that of the place where their discipline stands
            kind::Children::Classes => Children::Classes(match classes {
                Some(entry) => {
                    if entry.node.entries().is_none() {
                        written.places.spoil(entry.node.span);
                    }
                    self.classes(facts, &entry.node, whole)
                }
                None => Vec::new(),
            }),
            kind::Children::Leaf => leaf
                .and_then(|e| self.discipline(&e.node, e.key.span, inner, &[]))
                .map_or(Children::None, |d| Children::Leaf(Box::new(d))),
            kind::Children::Bands => {
                let priomap = entries.iter().find(|e| e.key.value == "priomap");
                Children::Bands(self.bands(&mut written, bands, priomap, tos_map, leaves, whole, at))
            }
        };
        let places = written.places;
        Discipline {
            kind,
            options: written.options,
            places,
            id,
            default,
            default_number: None,
            fair: None,
            layout,
            stab,
            estimator,
            children,
        }
    }

    /// `layout:`, how classes become disciplines.
    fn layout(&mut self, node: &Node) -> Option<Spanned<Layout>> {
        let (settled, defined) = self.settle(node)?;
        match Layout::read_node(&settled, &mut unit::Reader::default()) {
            Ok(layout) => Some(Spanned::new(layout, node.span)),
            Err(refusal) => {
                self.refuse(refusal, node.span, defined);
                None
            }
        }
    }

    fn no_children(&mut self, kind: &Kind, word: &str, entry: &Entry) {
        let name = kind.name;
        let message = match word {
            "tos" => format!("`{name}` has no bands for a `tos` map"),
            "bands" | "leaves" => format!("`{name}` has no bands"),
            "leaf" => format!("`{name}` has no `leaf`"),
            _ => format!("`{name}` has no classes"),
        };
        let help = match kind.children {
            kind::Children::None => format!("`{name}` holds the packets itself, and nothing hangs below it"),
            kind::Children::Leaf => format!("`{name}` holds one discipline: write `leaf: fq_codel`"),
            kind::Children::Bands => {
                format!("`{name}` has bands: write `bands: [high, low]` and `leaves: {{ high: fq_codel }}`")
            }
            kind::Children::Classes if word == "class" => "write `classes: { name: { … } }`".to_owned(),
            kind::Children::Classes => format!("`{name}` has classes, each with a `leaf` of its own: write `classes:`"),
        };
        self.sink.push(Diagnostic::new(&NO_CHILDREN, message).at(entry.key.span, "").help(help));
    }

    /// Reads one entry into its option.
    pub(super) fn option(&mut self, out: &mut Written, entry: &Entry, whole: Whole, owner: &str, beside: &[&str]) {
        let word = entry.key.value.as_str();
        let row = out.options.row(word).and_then(|i| Some((i, out.options.rows().get(i)?)));
        // what only the compiler writes elsewhere can be written too; what only the kernel tells cannot
        let Some((i, row)) = row.filter(|(_, r)| !(r.hidden && r.tool)) else {
            let known: Vec<&str> =
                out.options.rows().iter().filter(|r| !r.hidden).map(|r| r.word).chain(beside.iter().copied()).collect();
            match self.unknown(&UNKNOWN_KEY, format!("{owner} has no option `{word}`"), &entry.key, known) {
                Some(meant) if HOLDING.contains(&meant) => out.places.spoil(entry.key.span),
                Some(_) => out.places.misspell(entry.key.span),
                None => {}
            }
            return;
        };
        if let Some(first) = out.places.get(i) {
            // the same word twice is found before; this is `burst` and `buffer`
            let d = Diagnostic::new(&DUPLICATE_KEY, format!("`{word}` is another spelling of `{}`", row.word));
            self.sink.push(d.at(entry.key.span, "the second").at(first, "the first").help("leave one of them out"));
            return;
        }
        let Some((node, defined)) = self.settle(&entry.node) else {
            if !self.is_unsaid(&entry.node) {
                out.places.set(i, entry.node.span);
            }
            return;
        };
        let mut reader =
            unit::Reader { whole: if row.percent { whole.of(row.word) } else { None }, ..Default::default() };
        let Some(slot) = out.options.slot_mut(i) else { return };
        let read = slot.read_node(&node, &mut reader);
        out.places.set(i, entry.node.span);
        if let Some(refusal) = read.err().filter(|refusal| !whole.excuses(refusal)) {
            self.refuse(refusal, entry.node.span, defined);
        }
        for remark in reader.remarks {
            self.refuse(remark, entry.node.span, defined);
        }
    }

    /// A name: of a class, a profile.
    fn name(&mut self, node: &Node, what: &str) -> Option<Spanned<CompactString>> {
        let (settled, _) = self.settle(node)?;
        match settled.as_word() {
            Some(text) if !text.is_empty() => Some(Spanned::new(text.into(), node.span)),
            _ => {
                let d = Diagnostic::new(&WRONG_SHAPE, format!("{what} is wanted here, and this is {}", node.shape()));
                self.sink.push(d.at(node.span, ""));
                None
            }
        }
    }

    /// `id:`, half of a handle. tc reads handles as hexadecimal and people read decimal, so a number that the two would
    /// take for different ones must say which it is.
    fn number(&mut self, node: &Node, major: bool) -> Option<Spanned<u16>> {
        let (settled, defined) = self.settle(node)?;
        let text = settled.as_word().unwrap_or("");
        let bare = text.strip_suffix(':').filter(|_| major);
        let hex = text.strip_prefix("0x").or(bare);
        let refusal = match hex {
            Some(digits) => match u16::from_str_radix(digits, 16) {
                Ok(0) => unit::Refusal::coded(&OUT_OF_RANGE, "0 is no id: it means that there is none"),
                Ok(n @ 0xffff) if major => {
                    let d = Diagnostic::new(&OUT_OF_RANGE, "ffff: is the ingress hook's").at(node.span, "");
                    self.sink.push_nonsense(d.help("write another id, or leave it out"));
                    return Some(Spanned::new(n, node.span));
                }
                Ok(n) => return Some(Spanned::new(n, node.span)),
                Err(_) if u64::from_str_radix(digits, 16).is_ok() => {
                    unit::Refusal::coded(&OUT_OF_RANGE, format!("`{text}` has more than 16 bits"))
                }
                Err(_) => unit::Refusal::coded(&BAD_VALUE, format!("`{text}` is no id")).help("write `id: 0x10`"),
            },
            None => match text.parse::<u16>() {
                Ok(n @ 1..=9) => return Some(Spanned::new(n, node.span)),
                Ok(n @ 10..) => {
                    let tcs = u16::from_str_radix(text, 16).map_or_else(|_| "more".to_owned(), |n| n.to_string());
                    let message =
                        format!("`{text}` is {tcs} to tc, which reads ids as hexadecimal, and {text} to people");
                    unit::Refusal::coded(&BARE_NUMBER, message).help(format!("write `0x{text}` for tc's, or `{n:#x}`"))
                }
                _ => unit::Refusal::coded(&BAD_VALUE, format!("`{text}` is no id")).help("write `id: 0x10`"),
            },
        };
        self.refuse(refusal, node.span, defined);
        None
    }

    fn classes(&mut self, kind: &'static Kind, node: &'a Node, whole: Whole) -> Vec<Class> {
        let Some(entries) = self.entries(node, "`classes`", "classes: { ssh: { rate: 1mbit } }") else {
            return Vec::new();
        };
        let entries = self.distinct(entries, "classe");
        let mut out = Vec::with_capacity(entries.len());
        for entry in entries {
            self.classes += 1;
            if self.classes > CLASSES {
                if self.classes == CLASSES + 1 {
                    let message = format!("more than {CLASSES} classes, most of them by way of profiles");
                    let d = Diagnostic::new(&HANDLE_BUDGET, message).at(entry.key.span, "reading stops at this one");
                    self.sink.push(d.help("look for profiles that hold classes with profiles"));
                }
                break;
            }
            self.class_name(&entry.key);
            self.path.push(entry.key.value.clone());
            out.push(self.class(kind, entry, whole));
            self.path.pop();
        }
        out
    }

    /// A class's name goes into paths, comments of scripts and a terminal.
    fn class_name(&mut self, name: &Name) {
        let text = name.value.as_str();
        let odd = |c: char| c == '/' || c.is_whitespace() || misleads(c);
        let message = match text.chars().find(|c| odd(*c)) {
            _ if text.is_empty() => "a class has a name".to_owned(),
            Some('/') => format!("the name `{text}` holds a `/`, which joins the names of a path"),
            Some(c) => format!("the name of a class cannot hold `{}`", c.escape_unicode()),
            None => return,
        };
        self.sink.push(Diagnostic::new(&BAD_NAME, message).at(name.span, "").help("write `-` or `_` in its place"));
    }

    fn class(&mut self, kind: &'static Kind, entry: &'a Entry, whole: Whole) -> Class {
        let fresh = kind.class.unwrap_or(kind.options);
        let mut written = Written::new(fresh());
        let name = entry.key.clone();
        let mut class = Class {
            name,
            options: fresh(),
            places: Places::default(),
            id: None,
            estimator: None,
            classes: Vec::new(),
            leaf: None,
        };
        let Some(entries) = entry.node.entries() else {
            let profile = entry.node.as_word().filter(|w| self.profiles.contains_key(w));
            let example = match profile {
                Some(profile) => format!("{}: {{ profile: {profile} }}", entry.key.value),
                None => format!("{}: {{ rate: 1mbit }}", entry.key.value),
            };
            self.shape(&entry.node, "a class", &example);
            class.places.spoil(entry.node.span);
            return class;
        };
        let (lines, sound) = self.lines(entries);
        if !sound {
            written.places.spoil(entry.node.span);
        }
        let owner = format_args!("a class of `{}`", kind.name).to_compact_string();
        let (mut classes, mut leaf, mut matches, mut fair) = (None, None, None, None);
        for line in &lines {
            let entry = line.entry;
            match entry.key.value.as_str() {
                "profile" => {}
                "id" => class.id = self.number(&entry.node, false),
                "estimator" => class.estimator = self.estimator(entry),
                "classes" => classes = Some(*line),
                "leaf" => leaf = Some(*line),
                "match" => matches = Some(entry),
                "fair" => fair = Some(entry),
                // a class's own options come first, so that what is set is not the profile's to set
                word if line.profile.is_some() && written.place(word).is_some() => {}
                _ => {
                    self.option(
                        &mut written,
                        entry,
                        whole,
                        &owner,
                        &["id", "profile", "match", "fair", "leaf", "classes"],
                    );
                }
            }
        }
        if let Some(entry) = matches {
            self.class_matches(entry);
        }
        let inner = written.inner(None);
        if let Some(line) = classes {
            class.classes = self.within(line, |r, e| r.classes(kind, &e.node, inner));
        }
        if let Some(line) = leaf {
            let leaf = self.within(line, |r, e| r.discipline(&e.node, e.key.span, inner, &[]));
            class.leaf = leaf.map(Box::new);
        }
        if let Some(entry) = fair {
            self.fair(entry, &mut class.leaf);
        }
        class.options = written.options;
        class.places = written.places;
        class
    }

    /// The lines of a class body: its own, then those of its profiles that it does not write itself. Of several profiles
    /// the last one wins.
    fn lines(&mut self, entries: &'a [Entry]) -> (Vec<Line<'a>>, bool) {
        let mut body = Body { lines: Vec::with_capacity(entries.len()), ..Body::default() };
        let sound = self.add_lines(entries, &mut body);
        (body.lines, sound)
    }

    /// False if a profile is not there.
    fn add_lines(&mut self, entries: &'a [Entry], body: &mut Body<'a>) -> bool {
        let (profile, own) = (body.open.last().copied(), body.lines.len());
        for (i, entry) in entries.iter().enumerate() {
            if self.repeated(entries, i) {
                continue;
            }
            // one word from each body and the nearest first: `own` marks where this body's lines begin
            let above = body.lines.get(..own).unwrap_or_default();
            if profile.is_none() || above.iter().all(|l| l.entry.key.value != entry.key.value) {
                body.lines.push(Line { entry, profile });
            }
        }
        let Some(entry) = entries.iter().find(|e| e.key.value == "profile") else { return true };
        let names: Vec<(&str, Span)> = match &entry.node.value {
            Value::Word(word) => vec![(&word.text, entry.node.span)],
            Value::List(items) => items.iter().filter_map(|i| Some((i.node.as_word()?, i.node.span))).collect(),
            _ => {
                self.shape(&entry.node, "`profile`", "profile: gold");
                return false;
            }
        };
        let mut sound = true;
        for (name, at) in names.into_iter().rev() {
            sound &= self.add_profile(name, at, body);
        }
        sound
    }

    fn add_profile(&mut self, name: &str, at: Span, body: &mut Body<'a>) -> bool {
        let Some(found) = self.profiles.get(name).copied() else {
            let mut known: Vec<&str> = self.profiles.keys().copied().collect();
            known.sort_unstable();
            let word = Spanned::new(name.into(), at);
            self.unknown(&UNKNOWN_PROFILE, format!("there is no profile `{name}`"), &word, known);
            return false;
        };
        if let Some(first) = self.open.iter().chain(&body.open).find(|e| std::ptr::eq(**e, found)) {
            let d = Diagnostic::new(&LET_CYCLE, format!("profile `{name}` builds on itself"));
            self.sink.push(d.at(at, "here").at(first.key.span, "by way of this").help("take one of them out"));
            return false;
        }
        if body.read.iter().any(|e| std::ptr::eq(*e, found)) {
            return true;
        }
        if body.open.len() >= super::value::DEPTH {
            let message = format!("profile `{name}` is reached by way of {} others", body.open.len());
            self.sink.push(Diagnostic::new(&TOO_DEEP, message).at(at, ""));
            return false;
        }
        let Some(entries) = self.entries(&found.node, "a profile", &format!("{name}: {{ rate: 1mbit }}")) else {
            return false;
        };
        body.read.push(found);
        body.open.push(found);
        let sound = self.add_lines(entries, body);
        body.open.pop();
        sound
    }

    /// Reads what hangs below a class, with the profile that wrote it marked as in use.
    fn within<T>(&mut self, line: Line<'a>, read: impl FnOnce(&mut Self, &'a Entry) -> T) -> T {
        let depth = self.open.len();
        self.open.extend(line.profile);
        let out = read(self, line.entry);
        self.open.truncate(depth);
        out
    }

    /// `match` in a class: a rule, or several, to this class.
    fn class_matches(&mut self, entry: &'a Entry) {
        let path: CompactString = self.path.join("/").into();
        let nodes: Vec<&Node> = match &entry.node.value {
            Value::List(items) => items.iter().map(|i| &i.node).collect(),
            _ => vec![&entry.node],
        };
        for node in nodes {
            let Some(matches) = self.matched(node).filter(|m| !m.value.is_never()) else { continue };
            self.matches.push(Rule {
                span: matches.span,
                matches: Some(matches),
                class: Some(Spanned::new(path.clone(), entry.key.span)),
                actions: Default::default(),
                actions_span: Span::NONE,
                classifier: None,
                sound: true,
            });
        }
    }

    /// The bands of a discipline: their names or number, what hangs below them, and the priomap, whether it is written as
    /// such (numbers or names) or as a `tos` map.
    #[allow(clippy::too_many_arguments)]
    fn bands(
        &mut self,
        written: &mut Written,
        bands: Option<&'a Entry>,
        priomap: Option<&'a Entry>,
        tos_map: Option<&'a Entry>,
        leaves: Option<&'a Entry>,
        whole: Whole,
        at: Span,
    ) -> Vec<Band> {
        // where the device says how many there are, a policy names them, or says how many it means
        let row =
            written.options.row("bands").filter(|row| written.options.rows().get(*row).is_some_and(|r| !r.hidden));
        let mut names: Vec<Name> = Vec::new();
        let mut count = None;
        if let Some(entry) = bands {
            match self.settle(&entry.node).map(|(n, _)| n.into_owned()) {
                Some(Node { value: Value::List(items), .. }) => {
                    for item in &items {
                        match item.node.as_word() {
                            Some(text) => names.push(Spanned::new(text.into(), item.node.span)),
                            None => self.shape(&item.node, "a band's name", "bands: [high, medium, low]"),
                        }
                    }
                    count = Some((names.len() as u64, entry.node.span));
                }
                Some(node) if row.is_none() => {
                    let mut reader = unit::Reader::default();
                    match <unit::Count as unit::Unit>::read_node(&node, &mut reader) {
                        Ok(unit::Count(n)) => count = Some((n.into(), entry.node.span)),
                        Err(refusal) => self.refuse(refusal, entry.node.span, Span::NONE),
                    }
                }
                Some(node) => {
                    self.option(written, entry, whole, "the discipline", &[]);
                    let n = row.and_then(|r| written.options.slot(r)?.number());
                    count = n.filter(|_| node.as_word().is_some()).map(|n| (n, entry.node.span));
                }
                None => {}
            }
        }
        let mut seen: Vec<&Name> = Vec::new();
        for name in &names {
            self.class_name(name);
            match seen.iter().find(|s| s.value == name.value) {
                Some(first) => {
                    let d =
                        Diagnostic::new(&DUPLICATE_NAME, format!("there are two bands with the name `{}`", name.value));
                    self.sink.push(d.at(name.span, "the second").at(first.span, "the first"));
                }
                None => seen.push(name),
            }
        }
        if let (Some(row), false, Some((n, span))) = (row, names.is_empty(), count)
            && let Some(slot) = written.options.slot_mut(row)
        {
            slot.set_number(n);
            written.places.set(row, span);
        }
        // where the device says how many there are, those that are named are there
        let most = if row.is_some() { BANDS } else { QUEUES };
        let named = || leaves?.node.entries()?.iter().filter_map(|e| e.key.value.parse::<u64>().ok()).max();
        let own = || written.options.bands().or_else(|| named().filter(|last| *last < QUEUES).map(|last| last + 1));
        let count = count.map(|(n, _)| n).or_else(own).unwrap_or(0).min(most);
        let named = |i: u64| usize::try_from(i).ok().and_then(|i| names.get(i)).cloned();
        let mut out: Vec<Band> = (0..count).map(|i| Band { name: named(i), leaf: None }).collect();

        if let Some(entry) = priomap {
            self.priomap(written, entry, &out, whole);
        }
        if let Some(entry) = tos_map {
            match priomap {
                Some(other) => {
                    let d = Diagnostic::new(&TOS_CLASH, "`tos` and `priomap` are two ways to say the same");
                    let d = d
                        .at(entry.key.span, "the bands by the packets' TOS")
                        .at(other.key.span, "the bands by priority");
                    self.sink
                        .push(d.help("leave one of them out; `shapectl explain tos` shows what each octet becomes"));
                }
                None => self.tos_map(written, &entry.node, &out),
            }
        }
        let Some(leaves) = leaves else { return out };
        let example = "leaves: { high: { pfifo: { limit: 50 } } }";
        let Some(entries) = self.entries(&leaves.node, "`leaves`", example) else { return out };
        for entry in self.distinct(entries, "leave") {
            let band = self.band(&entry.key, &out);
            let name = match band.and_then(|i| out.get(i)) {
                Some(Band { name: Some(name), .. }) => name.value.clone(),
                _ => entry.key.value.clone(),
            };
            self.path.push(name);
            let leaf = self.discipline(&entry.node, if at.is_none() { entry.key.span } else { at }, whole, &[]);
            self.path.pop();
            if let Some(band) = band.and_then(|i| out.get_mut(i)) {
                band.leaf = leaf;
            }
        }
        out
    }

    /// The number of a band by its name, or by its number where bands have no names.
    fn band(&mut self, word: &Name, bands: &[Band]) -> Option<usize> {
        let text = word.value.as_str();
        let by_name = bands.iter().position(|b| b.name.as_ref().is_some_and(|n| n.value == text));
        let found = by_name.or_else(|| text.parse().ok().filter(|i| *i < bands.len()));
        if found.is_none() {
            let names: Vec<CompactString> = bands
                .iter()
                .enumerate()
                .map(|(i, b)| b.name.as_ref().map_or_else(|| i.to_compact_string(), |n| n.value.clone()))
                .collect();
            let message = format!("there is no band `{text}`");
            self.unknown(&UNKNOWN_BAND, message, word, names.iter().map(CompactString::as_str));
        }
        found
    }

    /// A list of 16 bands, by number or by name.
    fn priomap(&mut self, written: &mut Written, entry: &'a Entry, bands: &[Band], whole: Whole) {
        let Some((node, _)) = self.settle(&entry.node) else { return };
        let names = |text: &str| bands.iter().position(|b| b.name.as_ref().is_some_and(|n| n.value == text));
        let node = match &node.value {
            Value::List(items) if items.iter().any(|i| i.node.as_word().is_some_and(|w| names(w).is_some())) => {
                let number = |n: &Node| match n.as_word().and_then(names) {
                    Some(i) => Node::word(i.to_compact_string(), n.span),
                    None => n.clone(),
                };
                Node::list(items.iter().map(|i| number(&i.node)), node.span)
            }
            _ => node.into_owned(),
        };
        let entry = Entry::new(entry.key.clone(), node);
        self.option(written, &entry, whole, "the discipline", &[]);
    }

    /// A map from services of RFC 1349 to bands, made into a priomap by the kernel's table.
    ///
    /// What an octet is becomes a priority first, and several octets share one: a map that wants to part them, or that would
    /// move normal traffic with the reliable, is refused.
    fn tos_map(&mut self, written: &mut Written, node: &'a Node, bands: &[Band]) {
        let Some(entries) = self.entries(node, "`tos`", "tos: { minimize-delay: high }") else { return };
        let mut map = tos::PRIOMAP.to_vec();
        let last = u8::try_from(bands.len().saturating_sub(1)).unwrap_or(u8::MAX);
        map.iter_mut().for_each(|b| *b = (*b).min(last));
        let mut said: Vec<(u8, u8, usize, &Entry)> = Vec::new();
        for entry in self.distinct(entries, "entrie") {
            let word = entry.key.value.as_str();
            let Some(octet) = tos::octet(word).filter(|o| o & !tos::MASK == 0) else {
                let message = format!("`{word}` is no type of service");
                let help = "also joined as `minimize-delay+maximize-throughput`, or in hexadecimal from 0x00 to 0x1e";
                let near = crate::syntax::names::nearest(word, tos::words());
                let help = near.map_or_else(
                    || format!("known here: {}; {help}", listed(&tos::words().collect::<Vec<_>>())),
                    |near| format!("did you mean `{near}`?"),
                );
                self.unknown_or(&BAD_VALUE, message, &entry.key, [], Some(help));
                continue;
            };
            let Some((value, _)) = self.settle(&entry.node) else { continue };
            let Some(text) = value.as_word() else {
                self.shape(&entry.node, "a band's name", &format!("{word}: high"));
                continue;
            };
            let band_word = Spanned::new(text.into(), entry.node.span);
            let Some(band) = self.band(&band_word, bands) else { continue };
            if octet & tos::COST != 0 {
                let message = format!("`{word}` looks at a bit that is ECN's today, and the kernel does not heed it");
                let as_well = tos::names_of(octet & !tos::COST);
                let d = Diagnostic::new(&TOS_ECN, message).at(entry.key.span, "");
                self.sink
                    .push(d.help(format!("write `{as_well}`, with which it shares priority {}", tos::priority(octet))));
            }
            said.push((octet, tos::priority(octet), band, entry));
        }
        for (i, (octet, priority, band, entry)) in said.iter().enumerate() {
            let earlier = said.iter().take(i).find(|(_, p, b, _)| p == priority && b != band);
            if let Some((other, _, _, first)) = earlier {
                let names = (tos::names_of(*octet), tos::names_of(*other));
                let message =
                    format!("`{}` and `{}` share priority {priority}, so one band takes both", names.0, names.1);
                let d = Diagnostic::new(&TOS_CLASH, message);
                let d = d
                    .at(entry.key.span.to(entry.node.span), "one band")
                    .at(first.key.span.to(first.node.span), "another");
                self.sink.push(
                    d.help("give both the same band, or part them by rules: `{ class: high, match: tos 0x04/0x1c }`"),
                );
                continue;
            }
            if let Some(slot) = map.get_mut(usize::from(*priority)) {
                *slot = u8::try_from(*band).unwrap_or(u8::MAX);
            }
        }
        // a map that moves normal traffic must say so
        let normal = said.iter().any(|(octet, ..)| *octet == 0);
        let moved = said.iter().find(|(octet, priority, band, _)| {
            *octet != 0 && *priority == 0 && *band != usize::from(tos::PRIOMAP.first().copied().unwrap_or(1).min(last))
        });
        if let (false, Some((octet, _, _, entry))) = (normal, moved) {
            let name = tos::names_of(*octet);
            let message =
                format!("`{name}` shares priority 0 with normal service, and would take all normal traffic along");
            let d = Diagnostic::new(&TOS_CLASH, message).at(entry.key.span.to(entry.node.span), "");
            let band = entry.node.as_word().unwrap_or("high");
            self.sink
                .push(d.help(format!("write `normal-service: {band}` too if that is meant, or part them by a rule")));
        }
        let text: Vec<String> = map.iter().map(u8::to_string).collect();
        if let Some(row) = written.options.row("priomap")
            && let Some(slot) = written.options.slot_mut(row)
            && slot.read_text(&text.join(" "), &mut unit::Reader::tc()).is_ok()
        {
            written.places.set(row, node.span);
        }
    }

    /// Puts full paths in the place of written names, in rules and defaults; reports names of nothing and of several.
    pub(super) fn settle_names(&mut self, direction: &mut Direction) {
        let mut index = Index::new(&direction.discipline);
        // where classes could not be read, none is missed
        let spoilt = holds_spoilt(&direction.discipline);
        for rule in &mut direction.rules {
            let Some(class) = &mut rule.class else { continue };
            if !(spoilt && matches!(index.find(&class.value), Found::None)) {
                self.settle_name(&index, class, "rule", &UNKNOWN_CLASS);
            }
        }
        for filter in &mut direction.filters {
            self.settle_filter(&index, filter);
        }
        self.settle_default(&mut direction.discipline, Some(&mut index));
    }

    pub(super) fn settle_name(
        &mut self,
        index: &Index,
        name: &mut Name,
        what: &str,
        code: &'static crate::codes::Code,
    ) {
        let written = name.value.clone();
        match index.find(&written) {
            Found::One(target) => {
                if target.inner && what != "filter" {
                    let message = match what {
                        "rule" => format!("`{written}` has classes of its own, and holds no packets itself"),
                        _ => format!("the default `{written}` has classes of its own, and holds no packets itself"),
                    };
                    let d = Diagnostic::new(&INNER_CLASS, message).at(name.span, "").at(target.span, "the class");
                    let end = if what == "rule" { "go to the default" } else { "leave unshaped" };
                    self.sink
                        .push_nonsense(d.help(format!("name one of the classes below it, or these packets {end}")));
                }
                name.value = target.path.clone();
            }
            Found::Several(first, second) => {
                let d = Diagnostic::new(code, format!("there are several classes `{written}`"));
                let d = d.at(name.span, "").at(first.span, "one").at(second.span, "another");
                self.sink.push(d.help(format!("write the path: `{}` or `{}`", first.path, second.path)));
            }
            Found::None if index.is_empty() => {
                let message = format!("there is no class `{written}`: the discipline has no classes");
                let d = Diagnostic::new(code, message).at(name.span, "");
                self.sink.push(d.help("write a discipline with classes or bands, such as `htb` or `prio`"));
            }
            Found::None => {
                self.suggested += 1;
                let near = if self.suggested < 200 { index.nearest(&written) } else { None };
                let help = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known here: {}", listed(&index.some().take(13).collect::<Vec<_>>())),
                };
                let d = Diagnostic::new(code, format!("there is no class `{written}`"));
                self.sink.push(d.at(name.span, "").help(help));
            }
        }
    }

    fn settle_default(&mut self, discipline: &mut Discipline, index: Option<&mut Index>) {
        if let Some(mut name) = discipline.default.take() {
            let own;
            let index = match index {
                Some(index) => &*index,
                None => {
                    own = Index::new(discipline);
                    &own
                }
            };
            let spoilt = holds_spoilt(discipline);
            let found = !matches!(index.find(&name.value), Found::None);
            match number_of(&name.value).filter(|_| !found && discipline.options.row("default").is_some()) {
                Some(number) => {
                    let message = format!("the default {number:#x} is the number of no class here that has a name");
                    let d = Diagnostic::new(&UNKNOWN_DEFAULT, message).at(name.span, "");
                    self.sink.push_nonsense(d.help("write the name of a class, or these packets leave unshaped"));
                    discipline.default_number = Some(number);
                }
                None => {
                    if found || !spoilt {
                        self.settle_name(index, &mut name, "default", &UNKNOWN_DEFAULT);
                    }
                    discipline.default = Some(name);
                }
            }
        }
        match &mut discipline.children {
            Children::None => {}
            Children::Classes(classes) => self.settle_defaults(classes),
            Children::Bands(bands) => {
                bands.iter_mut().filter_map(|b| b.leaf.as_mut()).for_each(|d| self.settle_default(d, None));
            }
            Children::Leaf(leaf) => self.settle_default(leaf, None),
        }
    }

    fn settle_defaults(&mut self, classes: &mut [Class]) {
        for class in classes {
            self.settle_defaults(&mut class.classes);
            if let Some(leaf) = &mut class.leaf {
                self.settle_default(leaf, None);
            }
        }
    }

    /// An expression with its place.
    pub(super) fn matched(&mut self, node: &Node) -> Option<Spanned<crate::syntax::expression::Expression>> {
        let settled: Cow<Node> = match &node.value {
            // a list is a set of alternatives to fields, and one of expressions is several rules
            Value::Word(_) => Cow::Borrowed(node),
            _ => {
                self.shape(node, "`match`", "match: tcp dport 22");
                return None;
            }
        };
        let text = settled.as_word()?;
        self.expression(text, node.span).map(|e| Spanned::new(e, node.span))
    }
}

/// Whether something in which classes may stand could not be read.
fn holds_spoilt(discipline: &Discipline) -> bool {
    fn among(classes: &[Class]) -> bool {
        let one = |class: &Class| {
            class.places.lacks_parts() || among(&class.classes) || class.leaf.as_deref().is_some_and(holds_spoilt)
        };
        classes.iter().any(one)
    }
    discipline.places.lacks_parts()
        || match &discipline.children {
            Children::None => false,
            Children::Classes(classes) => among(classes),
            Children::Bands(bands) => bands.iter().filter_map(|band| band.leaf.as_ref()).any(holds_spoilt),
            Children::Leaf(leaf) => holds_spoilt(leaf),
        }
}
