//! What every part of the reader asks for: blocks, known keys, `$name`.

use super::{Reader, Whole};
use crate::codes::{Code, DUPLICATE_KEY, MATCHES_NOTHING, PERCENT_OF_NOTHING, TOO_DEEP, UNKNOWN_KEY, UNKNOWN_NAME};
use crate::diagnostic::Diagnostic;
use crate::kind::{self, Role};
use crate::source::Span;
use crate::syntax::document::{Entry, Item, Name, Node, Value};
use crate::syntax::expression::{Expression, Field, Item as Term, Test, View, Way};
use crate::syntax::expression_parser::{self, Named};
use crate::syntax::{names, services};
use compact_str::CompactString;
use foldhash::{HashMap, HashMapExt};
use std::borrow::Cow;
use std::sync::Arc;

/// How many near names are looked for in one run: the search reads all names each time.
const SUGGESTED: usize = 200;

/// How many values may stand for one another in a row.
pub(super) const DEPTH: usize = 64;

/// Words of other tools and of tc's command line, and what they are called here.
const SLIPS: &[(&str, &str)] = &[
    ("bandwidth", "rate"),
    ("speed", "rate"),
    ("min", "rate"),
    ("maxrate", "ceil"),
    ("max", "ceil"),
    ("ceiling", "ceil"),
    ("limit_rate", "ceil"),
    ("priority", "prio"),
    ("queue", "leaf"),
    ("qdisc", "leaf"),
    ("discipline", "leaf"),
    ("handle", "id"),
    ("classid", "id"),
    ("class", "classes"),
    ("children", "classes"),
    ("filter", "match"),
    ("if", "match"),
    ("filters", "rules"),
    ("rule", "rules"),
    ("action", "do"),
    ("actions", "do"),
    ("target", "class"),
    ("flowid", "class"),
    ("interface", "interfaces"),
    ("variables", "let"),
    ("vars", "let"),
    ("set", "sets"),
    ("profile", "profiles"),
    ("template", "profile"),
    ("out", "egress"),
    ("outgoing", "egress"),
    ("upload", "egress"),
    ("in", "ingress"),
    ("incoming", "ingress"),
    ("download", "ingress"),
    ("delay", "latency"),
];

impl<'a> Reader<'a> {
    /// The entries of a block; reports any other shape.
    pub(super) fn entries(&mut self, node: &'a Node, what: &str, example: &str) -> Option<&'a [Entry]> {
        let entries = node.entries();
        if entries.is_none() {
            self.shape(node, what, example);
        }
        entries
    }

    /// Whether the entry's key stands earlier in the block too; reports it then.
    pub(super) fn repeated(&mut self, entries: &[Entry], at: usize) -> bool {
        let (earlier, rest) = entries.split_at(at.min(entries.len()));
        let Some(entry) = rest.first() else { return false };
        let Some(first) = earlier.iter().find(|e| e.key.value == entry.key.value) else { return false };
        let d = Diagnostic::new(&DUPLICATE_KEY, format!("`{}` stands here twice", entry.key.value));
        let d = d.at(entry.key.span, "the second").at(first.key.span, "the first");
        self.sink.push(d.help("leave one of them out"));
        true
    }

    /// The entries of a block of names without repetitions, which are reported.
    pub(super) fn distinct(&mut self, entries: &'a [Entry], what: &str) -> Vec<&'a Entry> {
        let mut first: HashMap<&str, Span> = HashMap::with_capacity(entries.len());
        let mut out = Vec::with_capacity(entries.len());
        for entry in entries {
            match first.get(entry.key.value.as_str()) {
                Some(other) => self.duplicate(what, entry, *other),
                None => {
                    first.insert(&entry.key.value, entry.key.span);
                    out.push(entry);
                }
            }
        }
        out
    }

    /// Reports a word that is not known, with what was meant or what there is. Gives what was meant: what the word stands for
    /// is not missing then.
    pub(super) fn unknown<'c>(
        &mut self,
        code: &'static Code,
        message: String,
        word: &Name,
        known: impl IntoIterator<Item = &'c str>,
    ) -> Option<&'c str> {
        self.unknown_or(code, message, word, known, None)
    }

    /// As [`Reader::unknown`], with help of its own for words that nothing is near to.
    pub(super) fn unknown_or<'c>(
        &mut self,
        code: &'static Code,
        message: String,
        word: &Name,
        known: impl IntoIterator<Item = &'c str>,
        help: Option<String>,
    ) -> Option<&'c str> {
        let known: Vec<&str> = known.into_iter().collect();
        self.suggested += 1;
        let slip = SLIPS.iter().find(|(slip, _)| *slip == word.value);
        let slip = slip.and_then(|(_, right)| known.iter().copied().find(|known| known == right));
        let near = slip.or_else(|| {
            let search = self.suggested <= SUGGESTED;
            search.then(|| names::nearest(&word.value, known.iter().copied())).flatten()
        });
        let help = match (near, help) {
            (_, Some(help)) => help,
            (Some(near), None) => format!("did you mean `{near}`?"),
            (None, None) if known.is_empty() => String::new(),
            (None, None) => format!("known here: {}", listed(&known)),
        };
        let d = Diagnostic::new(code, message).at(word.span, "");
        self.sink.push(if help.is_empty() { d } else { d.help(help) });
        near
    }

    /// Whether a policy can write a discipline of that name.
    pub(super) fn is_discipline(&self, word: &str) -> bool {
        kind::in_policies(Role::Qdisc).any(|k| k.writable && k.name == word)
    }

    /// The node with every `$name` in it replaced; the place of the definition comes along if the node itself was one.
    /// Of a value each way, `{ up: …, down: … }`, only that of the way that is read. `None` if a name is unknown, which is
    /// reported, or if nothing is said for this way.
    pub(super) fn settle<'n>(&mut self, node: &'n Node) -> Option<(Cow<'n, Node>, Span)> {
        if let Some(entries) = each_way(node) {
            (0..entries.len()).for_each(|i| _ = self.repeated(entries, i));
        }
        if self.no_way(node) {
            return None;
        }
        let node = this_way(self.way, node)?;
        match &node.value {
            Value::Word(word) if !word.quoted && word.text.starts_with('$') => {
                let (value, span) = self.lookup(word.text.get(1..).unwrap_or(""), node.span, 0)?;
                let node = Node { span: node.span, value };
                let settled = if holds_names(&node) { self.settle_items(&node)? } else { node };
                Some((Cow::Owned(settled), span))
            }
            Value::List(_) | Value::Block(_) if holds_names(node) => {
                Some((Cow::Owned(self.settle_deep(node)?), Span::NONE))
            }
            _ => Some((Cow::Borrowed(node), Span::NONE)),
        }
    }

    /// Whether nothing is said for the way that is read, by way of `let` too. What cannot be read is not nothing.
    pub(super) fn is_unsaid(&self, node: &Node) -> bool {
        let mut node = Some(node);
        for _ in 0..DEPTH {
            let Some(said) = node.and_then(|node| this_way(self.way, node)) else { return true };
            let name = match &said.value {
                Value::Word(word) if !word.quoted => word.text.strip_prefix('$'),
                _ => None,
            };
            let Some(entry) = name.and_then(|name| self.lets.get(name).or_else(|| self.sets.get(name))) else {
                return false;
            };
            node = Some(&entry.node);
        }
        false
    }

    /// Whether a value each way has a word beside `up` or `down` that is no way; reports it then.
    fn no_way(&mut self, node: &Node) -> bool {
        let entries = node.entries().unwrap_or_default();
        if !entries.iter().any(is_way) {
            return false;
        }
        let other = entries.iter().find(|entry| !is_way(entry));
        if let Some(Entry { key, .. }) = other {
            self.unknown(&UNKNOWN_KEY, format!("`{}` is no way that packets go", key.value), key, WAYS);
        }
        other.is_some()
    }

    /// The words of a list that a value stands for. Lists in lists are left as they are: they would grow without bound.
    fn settle_items(&mut self, node: &Node) -> Option<Node> {
        let Value::List(items) = &node.value else { return Some(node.clone()) };
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            let name = match &item.node.value {
                Value::Word(word) if !word.quoted => word.text.strip_prefix('$'),
                _ => None,
            };
            let value = match name {
                Some(name) => self.lookup(name, item.node.span, 0)?.0,
                None => item.node.value.clone(),
            };
            out.push(Item { node: Node { span: item.node.span, value }, trivia: None });
        }
        Some(Node { span: node.span, value: Value::List(out) })
    }

    fn settle_deep(&mut self, node: &Node) -> Option<Node> {
        let value = match &node.value {
            Value::List(items) => {
                let settled: Vec<Option<Item>> = items
                    .iter()
                    .map(|i| Some(Item { node: self.settle(&i.node)?.0.into_owned(), trivia: None }))
                    .collect();
                Value::List(settled.into_iter().collect::<Option<_>>()?)
            }
            Value::Block(entries) => {
                let settled: Vec<Option<Entry>> = entries
                    .iter()
                    .map(|e| Some(Entry::new(e.key.clone(), self.settle(&e.node)?.0.into_owned())))
                    .collect();
                Value::Block(settled.into_iter().collect::<Option<_>>()?)
            }
            other => other.clone(),
        };
        Some(Node { span: node.span, value })
    }

    fn lookup(&mut self, name: &str, at: Span, depth: usize) -> Option<(Value, Span)> {
        let Some(entry) = self.lets.get(name).or_else(|| self.sets.get(name)).copied() else {
            self.unknown_value(name, at);
            return None;
        };
        if self.no_way(&entry.node) {
            return None;
        }
        let node = this_way(self.way, &entry.node)?;
        match &node.value {
            _ if depth > DEPTH => {
                if !self.circle {
                    let message = format!("`{name}` is reached by way of more than {DEPTH} other values");
                    self.sink.push(Diagnostic::new(&TOO_DEEP, message).at(at, ""));
                }
                None
            }
            Value::Word(word) if !word.quoted && word.text.starts_with('$') => {
                self.lookup(word.text.get(1..).unwrap_or(""), node.span, depth + 1)
            }
            value => Some((value.clone(), node.span)),
        }
    }

    fn unknown_value(&mut self, name: &str, at: Span) {
        let d = Diagnostic::new(&UNKNOWN_NAME, format!("`${name}` stands for nothing")).at(at, "");
        let mut names: Vec<&str> = self.lets.keys().chain(self.sets.keys()).copied().collect();
        names.sort_unstable();
        let near = names::nearest(name, names);
        self.sink.push(d.help(match near {
            Some(near) => format!("did you mean `${near}`?"),
            None => format!("give it a value: `let: {{ {name}: … }}`"),
        }));
    }

    /// Reads an expression; `None` after an error in it.
    pub(super) fn expression(&mut self, text: &str, at: Span) -> Option<Expression> {
        let view = View { way: self.way.unwrap_or_default(), reversed: self.both && self.way == Some(Way::Down) };
        let expression = self.meant(text, at, view)?;
        if expression.is_never() && !self.both {
            let what = if view.way == Way::Up { "is sent" } else { "arrives" };
            let d =
                Diagnostic::new(&MATCHES_NOTHING, format!("this is asked of what {what} only, and matches none of it"));
            self.sink.push(d.at(at, "").help("leave the rule out, or put it under `both`"));
        }
        Some(expression)
    }

    /// An expression with the matches of services in the place of their names.
    pub(super) fn meant(&mut self, text: &str, at: Span, view: View) -> Option<Expression> {
        let expression = self.parsed(text, at, view)?;
        self.without_services(expression, view, 0)
    }

    /// An expression as it is written.
    fn parsed(&mut self, text: &str, at: Span, view: View) -> Option<Expression> {
        let Reader { lets, sets, lists, sink, way, .. } = self;
        let names = |name: &str| {
            let entry = lets.get(name).or_else(|| sets.get(name))?;
            let node = this_way(*way, &entry.node)?;
            match &node.value {
                Value::Word(word) => Some(Named::Texts(vec![(word.text.to_string(), node.span)])),
                Value::List(items) => {
                    let words = items.iter().map(|i| Some((i.node.as_word()?.to_owned(), i.node.span)));
                    words.collect::<Option<_>>().map(Named::Texts)
                }
                Value::Block(_) => {
                    let list = lists.get(&node.get("file")?.node.span);
                    Some(list.map_or(Named::Unread, |list| Named::List(Arc::clone(list))))
                }
                Value::Null => None,
            }
        };
        expression_parser::parse_seen(text, at, view, &names, sink)
    }

    /// Puts what a service is in the place of its name.
    fn without_services(&mut self, expression: Expression, view: View, depth: usize) -> Option<Expression> {
        let mut asked = Vec::new();
        expression.visit(&mut |t| {
            if t.field == Field::Service {
                let names =
                    t.items.iter().filter_map(|i| if let Term::Name(name) = i { Some(name.clone()) } else { None });
                asked.extend(names.map(|name| (name, t.span)));
            }
        });
        if asked.is_empty() {
            return Some(expression);
        }
        let mut found: HashMap<CompactString, Expression> = HashMap::new();
        let mut sound = true;
        for (name, span) in asked {
            match self.service(&name, span, view, depth) {
                Some(expression) => {
                    found.insert(name, expression);
                }
                None => sound = false,
            }
        }
        let mut of = |test: &Test| {
            let name = |item: &Term| if let Term::Name(name) = item { found.get(name).cloned() } else { None };
            let services = (test.field == Field::Service).then(|| test.items.iter().filter_map(name));
            services.and_then(Expression::or)
        };
        sound.then(|| expression.replaced(&mut of))
    }

    /// The match that a service stands for: the policy's own, or else the one that everybody knows.
    fn service(&mut self, name: &str, used: Span, view: View, depth: usize) -> Option<Expression> {
        if depth > DEPTH {
            let d = Diagnostic::new(&TOO_DEEP, "services stand for services too often").at(used, "starts here");
            self.sink.push(d.help("write the ports of one of them"));
            return None;
        }
        let (text, at) = match self.services.get(name) {
            Some(entry) => match entry.node.as_word() {
                Some(text) => (text, entry.node.span),
                None => {
                    self.shape(&entry.node, "a service", "services: { voice: udp port 5060-5061 }");
                    return None;
                }
            },
            None => match services::find(name) {
                Some(text) => (text, Span::NONE),
                None => {
                    let d = Diagnostic::new(&UNKNOWN_NAME, format!("no service is called `{name}`")).at(used, "");
                    let own = self.services.keys().copied();
                    let known = services::SERVICES.iter().map(|(name, _)| *name).chain(own);
                    let help = match names::nearest(name, known) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("define it: `services: {{ {name}: udp port 5060-5061 }}`"),
                    };
                    self.sink.push(d.help(help));
                    return None;
                }
            },
        };
        let expression = self.parsed(text, at, view)?;
        self.without_services(expression, view, depth + 1)
    }

    /// Reports a value that a unit refuses. `defined` is the place of the `let` that it came from.
    pub(super) fn refuse(&mut self, refusal: crate::unit::Refusal, at: Span, defined: Span) {
        self.sink.push(refusal.diagnostic(at).at(defined, "its value"));
    }
}

impl Whole {
    /// What 100 % is for an option of that word.
    pub(super) fn of(self, word: &str) -> Option<crate::unit::Rate> {
        if matches!(word, "ceil" | "peakrate") { self.ceil } else { self.rate }
    }

    /// Whether a value was refused only because what it is a part of was.
    pub(super) fn excuses(self, refusal: &crate::unit::Refusal) -> bool {
        self.unsure && refusal.code.name == PERCENT_OF_NOTHING.name
    }
}

/// The words of a value each way.
const WAYS: [&str; 2] = ["up", "down"];

fn is_way(entry: &Entry) -> bool {
    WAYS.contains(&entry.key.value.as_str())
}

/// The entries of a value each way.
fn each_way(node: &Node) -> Option<&[Entry]> {
    node.entries().filter(|entries| !entries.is_empty() && entries.iter().all(is_way))
}

/// The value for packets of one way: the node itself, or its part of a value each way; `None` if it has none for this way.
pub(super) fn this_way(way: Option<Way>, node: &Node) -> Option<&Node> {
    match (way, each_way(node)) {
        (Some(way), Some(entries)) => entries.iter().find(|e| e.key.value == way.word()).map(|e| &e.node),
        _ => Some(node),
    }
}

/// Whether any word below is a `$name`.
fn holds_names(node: &Node) -> bool {
    match &node.value {
        Value::Word(word) => !word.quoted && word.text.starts_with('$'),
        Value::List(items) => items.iter().any(|i| holds_names(&i.node)),
        Value::Block(entries) => entries.iter().any(|e| holds_names(&e.node)),
        Value::Null => false,
    }
}

/// Words in backticks; the first dozen of a long list.
pub(super) fn listed(words: &[&str]) -> String {
    let shown: Vec<String> = words.iter().take(12).map(|w| format!("`{w}`")).collect();
    let more = if words.len() > shown.len() { " …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
