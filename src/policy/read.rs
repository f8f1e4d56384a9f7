//! Documents to a [`Policy`]: `let`, `sets`, profiles and percentages are resolved, names are looked up, and every
//! mistake is reported in one run. What is wrong with a value is said by its unit; what is foolish about a whole policy,
//! by [`super::check`].

mod discipline;
mod fair;
mod filter;
mod rule;
#[cfg(test)]
mod tests;
mod value;

use super::load::Documents;
use super::model::{Direction, Ingress, Interface, Link, Policy, Shared};
use crate::codes::{
    BAD_INTERFACE_NAME, BOTH_WAYS, DUPLICATE_KEY, DUPLICATE_NAME, INGRESS_QUEUE, LET_CYCLE, NO_EFFECT,
    STAB_AND_OVERHEAD, UNKNOWN_CLASS, UNKNOWN_KEY, UNKNOWN_SHARED, VERSION, WRONG_SHAPE,
};
use crate::diagnostic::{Diagnostic, Sink};
use crate::facts::Facts;
use crate::kind::link::Link as LinkRows;
use crate::source::{Span, Spanned};
use crate::syntax::document::{Entry, Node, Value};
use crate::syntax::expression::{Expression, View, Way};
use crate::syntax::list::List;
use crate::syntax::names;
use crate::unit::{LinkLayer, Packing, Presets, Rate, Stab};
use compact_str::CompactString;
use discipline::Written;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The dialect that this version reads.
const DIALECT: &str = "1";

/// The parts of an interface.
const PARTS: [&str; 4] = ["link", "egress", "ingress", "both"];

/// What 100 % is at a place.
#[derive(Clone, Copy, Debug, Default)]
struct Whole {
    /// Of a `rate`.
    rate: Option<Rate>,
    /// Of a `ceil` or a peak rate.
    ceil: Option<Rate>,
    /// Whether the rate above was refused, so that nobody knows what a percentage is of.
    unsure: bool,
}

/// Named values of all documents, and where findings go.
struct Reader<'a> {
    lets: HashMap<&'a str, &'a Entry>,
    sets: HashMap<&'a str, &'a Entry>,
    profiles: HashMap<&'a str, &'a Entry>,
    services: HashMap<&'a str, &'a Entry>,
    lists: &'a HashMap<Span, Arc<List>>,
    sink: &'a mut Sink,
    /// Names of the classes around the place that is read.
    path: Vec<CompactString>,
    /// Profiles that wrote something around the place that is read.
    open: Vec<&'a Entry>,
    /// Classes read so far.
    classes: usize,
    /// Rules from `match` in classes of the direction that is read.
    matches: Vec<super::model::Rule>,
    /// Whether a circle of values was reported: then no value is blamed for its depth.
    circle: bool,
    shared: HashMap<&'a str, &'a Entry>,
    /// Which way the packets go of what is read: what values each way (`{ up: …, down: … }`) are chosen by. `None` where
    /// there is no way.
    way: Option<Way>,
    /// Whether addresses are changed on the link that is read.
    nat: bool,
    /// Whether it is read for both ways, one after the other.
    both: bool,
    /// Suggestions made so far; after many the search for near names is left out.
    suggested: usize,
}

/// Reads all documents of a policy. `facts` gives a link's speed where the policy is silent on it: the whole of
/// percentages at the top.
pub fn read(documents: &Documents, facts: &dyn Fn(&str) -> Facts, sink: &mut Sink) -> Policy {
    let mut reader = Reader::new(documents, sink);
    let (mut interfaces, mut blocks) = (Vec::new(), Vec::new());
    for (_, document) in &documents.list {
        reader.top(&document.root, &mut interfaces, &mut blocks);
    }
    reader.check_lets();
    let mut policy = Policy { blocks: reader.blocks(blocks), ..Policy::default() };
    let mut first: HashMap<&str, Span> = HashMap::new();
    for entry in interfaces {
        match first.get(entry.key.value.as_str()) {
            Some(other) => reader.duplicate("interface", entry, *other),
            None => {
                first.insert(&entry.key.value, entry.key.span);
                let speed = facts(&entry.key.value).speed;
                policy.interfaces.push(reader.interface(entry, speed));
            }
        }
    }
    policy.shared = reader.shared_budgets(&policy.interfaces);
    policy
}

/// An expression beside a policy: names, sets and services mean in it what they mean in the policy's rules for packets of
/// that way. What is wrong with the documents was said when they were read.
pub fn expression(documents: &Documents, text: &str, at: Span, way: Way, sink: &mut Sink) -> Option<Expression> {
    let (mut said, mut interfaces, mut blocks) = (Sink::new(), Vec::new(), Vec::new());
    let mut reader = Reader::new(documents, &mut said);
    documents.list.iter().for_each(|(_, document)| reader.top(&document.root, &mut interfaces, &mut blocks));
    reader.sink = sink;
    reader.way = Some(way);
    reader.meant(text, at, View { way, ..View::default() })
}

impl<'a> Reader<'a> {
    /// A reader that knows no names yet.
    fn new(documents: &'a Documents, sink: &'a mut Sink) -> Reader<'a> {
        Reader {
            lets: HashMap::new(),
            sets: HashMap::new(),
            profiles: HashMap::new(),
            services: HashMap::new(),
            lists: &documents.lists,
            sink,
            path: Vec::new(),
            open: Vec::new(),
            classes: 0,
            matches: Vec::new(),
            circle: false,
            shared: HashMap::new(),
            way: None,
            nat: false,
            both: false,
            suggested: 0,
        }
    }

    fn top(&mut self, root: &'a Node, interfaces: &mut Vec<&'a Entry>, blocks: &mut Vec<&'a Entry>) {
        let Some(entries) = self.entries(root, "a policy", "interfaces: { eth0: { egress: fq_codel } }") else {
            return;
        };
        for (i, entry) in entries.iter().enumerate() {
            if self.repeated(entries, i) {
                continue;
            }
            self.part(&entry.key.value, entry, interfaces, blocks);
        }
    }

    /// A part of a policy, by its word or by the one that was meant.
    fn part(&mut self, word: &str, entry: &'a Entry, interfaces: &mut Vec<&'a Entry>, blocks: &mut Vec<&'a Entry>) {
        match word {
            "shapectl" => {
                if entry.node.as_word() != Some(DIALECT) {
                    let d = Diagnostic::new(&VERSION, "this shapectl reads dialect 1 of the language, and no other");
                    self.sink.push(d.at(entry.node.span, "").help("write `shapectl: 1`, or leave it out"));
                }
            }
            "include" => {} // read by `load`
            "accept" => self.accept(&entry.node),
            "let" => self.named(entry, "value", |r| &mut r.lets),
            "sets" => {
                self.named(entry, "set", |r| &mut r.sets);
                entry.node.entries().unwrap_or_default().iter().for_each(|set| self.set_of_file(set));
            }
            "profiles" => self.named(entry, "profile", |r| &mut r.profiles),
            "services" => self.named(entry, "service", |r| &mut r.services),
            "shared" => self.named(entry, "shared budget", |r| &mut r.shared),
            "interfaces" => {
                if let Some(list) = self.entries(&entry.node, "`interfaces`", "interfaces: { eth0: { … } }") {
                    interfaces.extend(list);
                }
            }
            "blocks" => {
                if let Some(list) = self.entries(&entry.node, "`blocks`", "blocks: { 5: { filters: [ … ] } }") {
                    blocks.extend(list);
                }
            }
            word => {
                let keys = [
                    "shapectl",
                    "include",
                    "accept",
                    "let",
                    "sets",
                    "services",
                    "profiles",
                    "interfaces",
                    "shared",
                    "blocks",
                ];
                let message = format!("`{word}` is no part of a policy");
                if let Some(meant) = self.unknown(&UNKNOWN_KEY, message, &entry.key, keys) {
                    self.part(meant, entry, interfaces, blocks);
                }
            }
        }
    }

    /// Collects the names of a block of `let`, `sets` or `profiles`.
    fn named(&mut self, entry: &'a Entry, what: &str, map: fn(&mut Self) -> &mut HashMap<&'a str, &'a Entry>) {
        let Some(entries) = self.entries(&entry.node, &format!("`{}`", entry.key.value), "{ name: value }") else {
            return;
        };
        for entry in entries {
            let other = map(self).get(entry.key.value.as_str()).copied();
            // `let` and `sets` are asked by the same sigils
            let other = other.or_else(|| match what {
                "value" => self.sets.get(entry.key.value.as_str()).copied(),
                "set" => self.lets.get(entry.key.value.as_str()).copied(),
                _ => None,
            });
            match other {
                Some(other) => self.duplicate(what, entry, other.key.span),
                None => {
                    map(self).insert(&entry.key.value, entry);
                }
            }
        }
    }

    /// A set that is a block names the file of its list, and nothing else.
    fn set_of_file(&mut self, set: &'a Entry) {
        let Value::Block(entries) = &set.node.value else { return };
        for (i, entry) in entries.iter().enumerate() {
            if self.repeated(entries, i) {
                continue;
            }
            match (entry.key.value.as_str(), entry.node.as_word()) {
                ("file", Some(_)) => {}
                ("file", None) => {
                    let message = format!("the name of a file is wanted here, and this is {}", entry.node.shape());
                    let d = Diagnostic::new(&WRONG_SHAPE, message).at(entry.node.span, "");
                    self.sink.push(d.help("write `file: lists/office.txt`"));
                }
                (word, _) => {
                    let message = format!("`{word}` is no part of a set");
                    self.unknown(&UNKNOWN_KEY, message, &entry.key, ["file"]);
                }
            }
        }
    }

    /// Refuses values that stand for each other in a circle, each circle once.
    fn check_lets(&mut self) {
        let mut done: HashSet<&str> = HashSet::new();
        let mut names: Vec<&Entry> = self.lets.values().chain(self.sets.values()).copied().collect();
        names.sort_by_key(|e| (e.key.span.file, e.key.span.start));
        for entry in names {
            let mut chain: Vec<&'a Entry> = Vec::new();
            self.follow(entry, &mut chain, &mut done);
        }
    }

    fn follow(&mut self, entry: &'a Entry, chain: &mut Vec<&'a Entry>, done: &mut HashSet<&'a str>) {
        let name = entry.key.value.as_str();
        if let Some(at) = chain.iter().position(|e| std::ptr::eq(*e, entry)) {
            let circle = chain.get(at..).unwrap_or_default();
            let mut d = Diagnostic::new(&LET_CYCLE, format!("`{name}` stands for itself"));
            for (i, e) in circle.iter().enumerate() {
                d = d.at(e.key.span.to(e.node.span), if i == 0 { "" } else { "by way of this" });
            }
            self.sink.push(d.help("give one of them a value of its own"));
            self.circle = true;
            return;
        }
        if !done.insert(name) || chain.len() > value::DEPTH {
            return;
        }
        chain.push(entry);
        let words: Vec<&str> = match &entry.node.value {
            Value::Word(w) if !w.quoted => vec![&w.text],
            Value::List(items) => items.iter().filter_map(|i| i.node.as_word()).collect(),
            Value::Block(entries) => entries.iter().filter_map(|e| e.node.as_word()).collect(),
            _ => Vec::new(),
        };
        for word in words {
            let Some(name) = word.strip_prefix(['$', '@']) else { continue };
            if let Some(next) = self.lets.get(name).or_else(|| self.sets.get(name)).copied() {
                // a name that is known to be sound ends the walk, unless it is on the way here
                if chain.iter().any(|e| std::ptr::eq(*e, next)) || !done.contains(name) {
                    self.follow(next, chain, done);
                }
            }
        }
        chain.pop();
    }

    fn interface(&mut self, entry: &'a Entry, speed: Option<Rate>) -> Interface {
        let name = entry.key.clone();
        let span = name.span.to(entry.node.span);
        self.interface_name(&entry.key);
        let mut out = Interface::new(name, span);
        let example = format!("{}: {{ egress: fq_codel }}", entry.key.value);
        let Some(entries) = self.entries(&entry.node, "an interface", &example) else { return out };
        let refused;
        match entries.iter().find(|e| e.key.value == "link") {
            Some(link) => (out.link, refused) = self.link(&link.node),
            None => refused = entries.iter().any(|e| names::nearest(&e.key.value, PARTS) == Some("link")),
        }
        self.nat = out.link.nat.is_some_and(|nat| nat.value);
        let whole = |way: Way| {
            let speed = out.link.speed(way).map(|r| r.value).or(speed);
            Whole { rate: speed, ceil: speed, unsure: refused }
        };
        let whole = [whole(Way::Up), whole(Way::Down)];
        for (i, entry) in entries.iter().enumerate() {
            if self.repeated(entries, i) {
                continue;
            }
            match entry.key.value.as_str() {
                "link" => {}
                "egress" => {
                    out.shared = entry.node.get("shared").and_then(|e| self.budget(e));
                    out.egress = self.sent(entry, whole);
                }
                "ingress" => out.ingress = self.ingress(entry, whole),
                "both" => self.both(entry, entries, whole, &mut out),
                word => {
                    let text = match self.is_discipline(word) {
                        true => format!("`{word}` stands outside of `egress`"),
                        false => format!("`{word}` is no part of an interface"),
                    };
                    let help = self.is_discipline(word).then(|| format!("write `egress: {{ {word}: … }}`"));
                    self.unknown_or(&UNKNOWN_KEY, text, &entry.key, PARTS, help);
                }
            }
        }
        out
    }

    fn sent(&mut self, entry: &'a Entry, [up, _]: [Whole; 2]) -> Option<Direction> {
        // what goes through a shared budget needs no discipline of its own
        if let Some([only]) = entry.node.entries()
            && only.key.value == "shared"
        {
            return None;
        }
        self.going(Way::Up, false, |r| r.direction(&entry.node, entry.key.span, up))
    }

    /// `shared: NAME` of a direction.
    fn budget(&mut self, entry: &'a Entry) -> Option<Spanned<CompactString>> {
        let (node, _) = self.settle(&entry.node)?;
        let name = Spanned::new(CompactString::from(node.as_word().unwrap_or_default()), entry.node.span);
        if !self.shared.contains_key(name.value.as_str()) {
            let mut known: Vec<&str> = self.shared.keys().copied().collect();
            known.sort_unstable();
            let help =
                known.is_empty().then(|| format!("write `shared: {{ {}: {{ htb: … }} }}` at the top", name.value));
            let message = format!("there is no shared budget `{}`", name.value);
            self.unknown_or(&UNKNOWN_SHARED, message, &name, known, help);
            return None;
        }
        Some(name)
    }

    /// The budgets of `shared:`, in the order of writing.
    fn shared_budgets(&mut self, interfaces: &[Interface]) -> Vec<Shared> {
        let mut entries: Vec<&'a Entry> = self.shared.values().copied().collect();
        entries.sort_by_key(|e| (e.key.span.file, e.key.span.start));
        let mut out = Vec::new();
        for entry in entries {
            let name = entry.key.value.as_str();
            let is = |shared: &Option<Spanned<CompactString>>| shared.as_ref().is_some_and(|s| s.value == name);
            let arriving = |i: &&Interface| i.ingress.as_ref().is_some_and(|i| is(&i.shared));
            let used = interfaces.iter().any(|i| is(&i.shared) || arriving(&i));
            // of what leaves nobody knows the address before the change any more
            let masquerades = |i: &Interface| i.link.nat.as_ref().is_some_and(|nat| nat.value);
            self.nat = interfaces.iter().filter(arriving).any(masquerades);
            if !used {
                let d = Diagnostic::new(&NO_EFFECT, format!("no interface goes through the shared budget `{name}`"));
                self.sink.push(d.at(entry.key.span, "").help(format!("write `egress: {{ shared: {name} }}`")));
            }
            if let Some(direction) = self.direction(&entry.node, entry.key.span, Whole::default()).filter(|_| used) {
                out.push(Shared { name: entry.key.clone(), direction });
            }
        }
        out
    }

    /// `both:`, which is read once for each way.
    fn both(&mut self, entry: &'a Entry, beside: &'a [Entry], [up, down]: [Whole; 2], out: &mut Interface) {
        let span = entry.key.span;
        for other in beside.iter().filter(|e| matches!(e.key.value.as_str(), "egress" | "ingress")) {
            let message = format!("`both` and `{}` of one interface", other.key.value);
            let d = Diagnostic::new(&BOTH_WAYS, message).at(other.key.span, "this").at(span, "says it too");
            self.sink.push(d.help("write `both`, or `egress` and `ingress`"));
        }
        if let Some(filters) = entry.node.get("filters") {
            let d = Diagnostic::new(&BOTH_WAYS, "`filters` of tc are not reversed for what arrives");
            let d = d.at(filters.key.span, "");
            self.sink.push(d.help("write `rules`, or `egress` and `ingress` in place of `both`"));
        }
        out.both = Some(span);
        out.egress = self.going(Way::Up, true, |r| r.direction(&entry.node, span, up));
        let shape = self.going(Way::Down, true, |r| r.direction(&entry.node, span, down));
        out.ingress = shape.map(|d| Ingress { shape: Some(Spanned::new(d, span)), ..Ingress::new(span) });
    }

    /// Reads what concerns packets of one way.
    fn going<T>(&mut self, way: Way, both: bool, read: impl FnOnce(&mut Self) -> T) -> T {
        (self.way, self.both) = (Some(way), both);
        let out = read(self);
        (self.way, self.both) = (None, false);
        out
    }

    /// The kernel's `dev_valid_name` (net/core/dev.c): at most 15 bytes, no `/`, `:` or blank, and neither `.` nor `..`.
    fn interface_name(&mut self, name: &Spanned<CompactString>) {
        let text = name.value.as_str();
        let message = if text.is_empty() {
            "an interface has a name".to_owned()
        } else if text.len() > 15 {
            format!("`{text}` has {} bytes, and the name of an interface has 15 at most", text.len())
        } else if let Some(c) = text.chars().find(|c| matches!(c, '/' | ':') || c.is_whitespace() || c.is_control()) {
            format!("the name of an interface cannot hold `{}`", c.escape_default())
        } else if matches!(text, "." | "..") {
            format!("`{text}` is no name for an interface")
        } else {
            return;
        };
        let d = Diagnostic::new(&BAD_INTERFACE_NAME, message).at(name.span, "");
        self.sink.push(d.help("`ip link` lists the interfaces with their names"));
    }

    /// What is said of the link, and whether its rate was refused.
    fn link(&mut self, node: &'a Node) -> (Link, bool) {
        let Some(entries) = self.entries(node, "`link`", "link: { rate: 2mbit }") else {
            return (Link::default(), true);
        };
        let mut written = Written::new(Box::new(LinkRows::default()));
        let mut arriving = Written::new(Box::new(LinkRows::default()));
        for (i, entry) in entries.iter().enumerate() {
            if self.repeated(entries, i) {
                continue;
            }
            if entry.key.value != "rate" {
                self.option(&mut written, entry, Whole::default(), "`link`", &[]);
                continue;
            }
            for (way, out) in [(Way::Up, &mut written), (Way::Down, &mut arriving)] {
                self.going(way, false, |r| r.option(out, entry, Whole::default(), "`link`", &[]));
            }
        }
        let span = |word: &str| written.place(word).unwrap_or(Span::NONE);
        let Some(rows) = written.options.as_kind::<LinkRows>().cloned() else {
            return Default::default();
        };
        let LinkRows { rate, preset, overhead, mpu, mtu, tsize, linklayer, txqueuelen, nat, device } = rows;
        for word in ["overhead", "linklayer"] {
            if let (Some(at), Some(preset)) = (written.place(word), written.place("preset")) {
                let d = Diagnostic::new(&STAB_AND_OVERHEAD, format!("`{word}` and a `preset`, which says it too"));
                let d = d.at(at, "").at(preset, "the preset");
                self.sink.push(d.help("leave one of them out"));
            }
        }
        let sizes = ["preset", "overhead", "mpu", "mtu", "tsize", "linklayer"].map(|w| written.place(w));
        let sized = sizes.iter().flatten().fold(Span::NONE, |all, s| all.to(*s));
        let cells = preset.as_ref().filter(|p| p.packing() == Packing::Atm).map(|_| LinkLayer::Atm);
        let stab = (!sized.is_none()).then(|| Stab {
            overhead: preset.as_ref().map_or(overhead.unwrap_or_default().0, Presets::overhead),
            mpu: mpu.map_or_else(|| preset.as_ref().map_or(0, Presets::mpu), |mpu| mpu.0),
            mtu: mtu.unwrap_or_default().0,
            tsize: tsize.unwrap_or_default().0,
            linklayer: Some(cells.or(linklayer).unwrap_or_default()),
        });
        let down = arriving.options.as_kind::<LinkRows>().and_then(|rows| rows.rate);
        let lost = |rate: Option<Rate>, written: &Written| rate.is_none() && written.spoilt();
        let refused = lost(rate, &written) || lost(down, &arriving);
        let link = Link {
            rate: rate.map(|r| Spanned::new(r, span("rate"))),
            down: down.map(|r| Spanned::new(r, arriving.place("rate").unwrap_or(Span::NONE))),
            stab: stab.map(|s| Spanned::new(s, sized)),
            preset: preset.map(|p| Spanned::new(p, written.place("preset").unwrap_or(Span::NONE))),
            txqueuelen: txqueuelen.map(|n| Spanned::new(n.0, span("txqueuelen"))),
            nat: nat.map(|n| Spanned::new(n.0, span("nat"))),
            device: device.map(|device| Spanned::new(device, span("type"))),
        };
        (link, refused)
    }

    fn ingress(&mut self, entry: &'a Entry, [_, whole]: [Whole; 2]) -> Option<Ingress> {
        self.going(Way::Down, false, |r| r.arriving(entry, whole))
    }

    fn arriving(&mut self, entry: &'a Entry, whole: Whole) -> Option<Ingress> {
        let span = entry.key.span;
        if let Some(word) = entry.node.as_word() {
            self.queue_on_arrival(word, entry.node.span);
            return None;
        }
        let example = "ingress: { police: { rate: 20mbit, burst: 625000b } }";
        let entries = self.entries(&entry.node, "`ingress`", example)?;
        let mut out = Ingress::new(span);
        for (i, entry) in entries.iter().enumerate() {
            if self.repeated(entries, i) {
                continue;
            }
            match entry.key.value.as_str() {
                "police" => {
                    let span = entry.key.span.to(entry.node.span);
                    out.police = self.act_entry(entry, whole).map(|a| Spanned::new(a, span));
                }
                "shape" => {
                    let direction = self.direction(&entry.node, entry.key.span, whole);
                    out.shape = direction.map(|d| Spanned::new(d, entry.key.span));
                }
                "rules" => {
                    out.rules = self.rules(&entry.node, whole);
                    out.rules.retain(|rule| rule.sound);
                    for rule in &out.rules {
                        if let Some(class) = &rule.class {
                            let d = Diagnostic::new(&UNKNOWN_CLASS, "what arrives has no classes before it is shaped");
                            let d = d
                                .at(class.span, "")
                                .help("put the rule under `ingress: { shape: { …, rules: [ … ] } }`");
                            self.sink.push(d);
                        }
                    }
                }
                "shared" => {
                    out.shared = self.budget(entry);
                    if let Some(shape) = entries.iter().find(|e| e.key.value == "shape") {
                        let d = Diagnostic::new(&DUPLICATE_KEY, "what arrives goes to one device, and here are two");
                        let d = d.at(entry.key.span, "a shared budget").at(shape.key.span, "a device of its own");
                        self.sink.push(d.help("leave one of them out"));
                    }
                }
                "hook" => out.hook = self.hook(&entry.node),
                "classifier" => out.classifier = self.classifier(&entry.node),
                "block" => out.block = self.block_number(entry),
                "egress_block" => out.egress_block = self.block_number(entry),
                "filters" => {
                    out.filters = self.filters(&entry.node, whole);
                    self.settle_hook_filters(&mut out.filters);
                }
                word if self.is_discipline(word) => self.queue_on_arrival(word, entry.key.span),
                word => {
                    let message = format!("`{word}` is no part of `ingress`");
                    self.unknown(
                        &UNKNOWN_KEY,
                        message,
                        &entry.key,
                        ["police", "shape", "rules", "hook", "filters", "block", "classifier"],
                    );
                }
            }
        }
        Some(out)
    }

    fn queue_on_arrival(&mut self, word: &str, at: Span) {
        let (message, help) = if self.is_discipline(word) {
            let message = format!("what arrives cannot wait in a queue: `{word}` stands here on `ingress`");
            (message, format!("write `ingress: {{ shape: {word} }}` to shape it on an ifb, or use `police`"))
        } else {
            (
                format!("`{word}` says nothing on `ingress`"),
                "write `police`, `shape` or `rules` with what they want".into(),
            )
        };
        self.sink.push(Diagnostic::new(&INGRESS_QUEUE, message).at(at, "").help(help));
    }

    /// A discipline and the rules beside it. `match` in a class counts as a rule where the class stands: before `rules` if
    /// the discipline is written first.
    fn direction(&mut self, node: &'a Node, at: Span, whole: Whole) -> Option<Direction> {
        self.matches.clear();
        self.path.clear();
        let discipline = self.discipline(node, at, whole, &["rules", "filters", "classifier", "shared"]);
        let mut rules = std::mem::take(&mut self.matches);
        let (mut filters, mut classifier) = (Vec::new(), None);
        if let Some(block) = node.entries() {
            if let Some(entry) = block.iter().find(|e| e.key.value == "classifier") {
                classifier = self.classifier(&entry.node);
            }
            if let Some(entry) = block.iter().find(|e| e.key.value == "filters") {
                filters = self.filters(&entry.node, whole);
            }
            let place = |of: &dyn Fn(&Entry) -> bool| block.iter().position(of);
            let first = place(&|e| e.key.value == "rules")
                < place(&|e| !matches!(e.key.value.as_str(), "rules" | "filters" | "classifier" | "shared"));
            if let Some(entry) = block.iter().find(|e| e.key.value == "rules") {
                let listed = self.rules(&entry.node, whole);
                let at = if first { 0 } else { rules.len() };
                rules.splice(at..at, listed);
            }
        }
        let mut direction = Direction { discipline: discipline?, rules, filters, classifier };
        self.settle_names(&mut direction);
        direction.rules.retain(|rule| rule.sound);
        Some(direction)
    }

    fn duplicate(&mut self, what: &str, entry: &Entry, first: Span) {
        let d = Diagnostic::new(&DUPLICATE_NAME, format!("there are two {what}s with the name `{}`", entry.key.value));
        self.sink.push(d.at(entry.key.span, "the second").at(first, "the first").help("give one of them another name"));
    }

    /// Reports a value of another shape than is wanted.
    fn shape(&mut self, node: &Node, what: &str, example: &str) {
        let d = Diagnostic::new(&WRONG_SHAPE, format!("{what} wants a block here, and this is {}", node.shape()));
        self.sink.push(d.at(node.span, "").help(format!("write `{example}`")));
    }
}
