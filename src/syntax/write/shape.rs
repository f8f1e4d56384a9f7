//! The DSL writer: four blanks a level, options on their statement's line where they fit, blocks below. What stands where is
//! in the table of [`crate::syntax`].
//!
//! What has no words in the DSL (a list where a block belongs, a key that no statement is for) is left out or written as
//! well as can be; [`super::convert`] finds out.

use super::{Lines, WIDTH, below, has_comment};
use crate::syntax::document::{Document, Entry, Item, Node, Trivia, Value, Word};
use crate::syntax::{Arity, Vocabulary, lexis};

const STEP: usize = 4;

pub(super) fn write(document: &Document, vocabulary: &dyn Vocabulary) -> String {
    let mut writer = Writer { lines: Lines::default(), vocabulary };
    writer.top(document.root.entries().unwrap_or(&[]));
    writer.lines.finish(&document.tail)
}

/// Whose options are written: what flags are asked of, and whether leaves, classes and matches may stand among them.
#[derive(Clone, Copy)]
struct Owner<'o> {
    name: &'o str,
    kind: &'o str,
    holds: bool,
}

impl Owner<'static> {
    /// Options that own nothing themselves.
    const PLAIN: Owner<'static> = Owner { name: "", kind: "", holds: false };
}

/// Comments of an entry that is no statement of its own, given to the statements inside it.
fn lifted(trivia: Option<&Trivia>) -> Vec<String> {
    trivia.map_or(Vec::new(), |t| t.above.iter().chain(&t.beside).cloned().collect())
}

/// The comments of an entry that shares its statement's line.
fn lifted_above(trivia: Option<&Trivia>) -> Vec<String> {
    let mut lines = lifted(trivia);
    lines.extend(below(trivia).iter().cloned());
    lines
}

/// All comments of a value, for a statement that has no room for them inside.
fn gathered(node: &Node, out: &mut Vec<String>) {
    let mut keep = |trivia: &Option<Box<Trivia>>, node: &Node| {
        if let Some(t) = trivia {
            out.extend(t.above.iter().chain(&t.beside).filter(|l| !l.is_empty()).cloned());
        }
        gathered(node, out);
        if let Some(t) = trivia {
            out.extend(t.below.iter().filter(|l| !l.is_empty()).cloned());
        }
    };
    match &node.value {
        Value::Block(entries) => entries.iter().for_each(|e| keep(&e.trivia, &e.node)),
        Value::List(items) => items.iter().for_each(|i| keep(&i.trivia, &i.node)),
        Value::Null | Value::Word(_) => {}
    }
}

fn has_inner_comment(node: &Node) -> bool {
    let mut out = Vec::new();
    gathered(node, &mut out);
    !out.is_empty()
}

/// The path of a set that stands in a file of its own.
fn list_file(node: &Node) -> Option<&Node> {
    match node.entries()? {
        [entry] if entry.key.value == "file" => Some(&entry.node),
        _ => None,
    }
}

struct Writer<'v> {
    lines: Lines,
    vocabulary: &'v dyn Vocabulary,
}

impl Writer<'_> {
    fn push(&mut self, text: &str) {
        self.lines.text.push_str(text);
    }

    /// Characters on the line that is open.
    fn column(&self) -> usize {
        let line = self.lines.text.rfind('\n').map_or(0, |n| n + 1);
        self.lines.text.get(line..).map_or(0, |l| l.chars().count())
    }

    /// Starts a statement: the comments above it, then its first words.
    fn start(&mut self, above: &[String], indent: usize, first: bool, words: &str) {
        self.lines.comments(above, indent, first);
        self.lines.pad(indent);
        self.push(words);
    }

    // The top.

    fn top(&mut self, entries: &[Entry]) {
        for entry in entries {
            let trivia = entry.trivia.as_deref();
            let key = entry.key.value.as_str();
            let statement = match key {
                "let" => "let",
                "sets" => "set",
                "services" => "service",
                "profiles" => "profile",
                "interfaces" => "interface",
                "blocks" => "block",
                "shared" => "shared",
                "include" => "include",
                _ => {
                    self.start(trivia.map_or(&[], |t| &t.above), 0, false, key);
                    self.option_value(&entry.node, 0, trivia);
                    continue;
                }
            };
            let mut carried = lifted(trivia);
            if let ("include", Value::List(items)) = (statement, &entry.node.value) {
                for item in items {
                    let trivia = item.trivia.as_deref();
                    carried.extend(trivia.map_or(&[][..], |t| &t.above).iter().cloned());
                    gathered(&item.node, &mut carried);
                    self.start(&std::mem::take(&mut carried), 0, false, "include ");
                    let value = self.one_line(&item.node);
                    self.push(&value);
                    self.lines.end(trivia.and_then(|t| t.beside.as_deref()));
                }
            } else if let Some(word) = entry.node.as_word() {
                // `include: a.yaml`; elsewhere it is a mistake that the policy's reader reports.
                let quoted = if lexis::is_bare(word) { word.to_owned() } else { lexis::quote(word) };
                self.start(&std::mem::take(&mut carried), 0, false, &format!("{statement} {quoted}"));
                self.lines.end(None);
            }
            for (number, inner) in entry.node.entries().unwrap_or(&[]).iter().enumerate() {
                let trivia = inner.trivia.as_deref();
                carried.extend(trivia.map_or(&[][..], |t| &t.above).iter().cloned());
                // What is spread out stands apart, as its statements are long.
                let first = self.lines.text.is_empty() || (number == 0 && self.lines.text.ends_with("\n\n"));
                let name = name(&inner.key.value, &[]);
                let path = if statement == "set" { list_file(&inner.node) } else { None };
                if let Some(path) = path {
                    gathered(&inner.node, &mut carried);
                    self.start(&std::mem::take(&mut carried), 0, first, &format!("set {name} file "));
                    let path = self.one_line(path);
                    self.push(&path);
                    self.lines.end(trivia.and_then(|t| t.beside.as_deref()));
                    carried.extend(below(trivia).iter().cloned());
                    continue;
                }
                self.start(&std::mem::take(&mut carried), 0, first, &format!("{statement} {name}"));
                match statement {
                    "interface" => self.interface(&inner.node, trivia),
                    "block" | "shared" => self.direction(statement, &inner.node, 0, trivia),
                    "profile" => {
                        self.body(&inner.node, 0, Owner { name: "htb class", kind: "htb", holds: true }, trivia);
                    }
                    _ => {
                        self.push(" =");
                        if let ("set", Value::List(items)) = (statement, &inner.node.value) {
                            self.list(items, 0, ('{', '}'), trivia);
                        } else {
                            self.option_value(&inner.node, 0, trivia);
                        }
                    }
                }
            }
            self.lines.comments(&carried, 0, false);
            self.lines.comments(below(trivia), 0, false);
        }
    }

    fn interface(&mut self, node: &Node, trivia: Option<&Trivia>) {
        self.push(" {");
        let beside = trivia.and_then(|t| t.beside.as_deref());
        let entries = node.entries().unwrap_or(&[]);
        if entries.is_empty() && below(trivia).is_empty() {
            self.push(" }");
            return self.lines.end(beside);
        }
        self.lines.end(beside);
        for (number, entry) in entries.iter().enumerate() {
            let trivia = entry.trivia.as_deref();
            let key = entry.key.value.as_str();
            self.start(trivia.map_or(&[], |t| &t.above), STEP, number == 0, key);
            match key {
                "egress" | "ingress" | "both" => self.direction(key, &entry.node, STEP, trivia),
                _ => self.body(&entry.node, STEP, Owner { name: key, kind: "", holds: false }, trivia),
            }
        }
        self.close(0, trivia, entries.is_empty());
    }

    /// The comments at a block's end, and its brace.
    fn close(&mut self, indent: usize, trivia: Option<&Trivia>, empty: bool) {
        self.lines.comments(below(trivia), indent + STEP, empty);
        self.lines.pad(indent);
        self.push("}\n");
    }

    // Directions and disciplines.

    /// What follows `egress`, `ingress`, `shape` or `leaf`: one discipline on the line, or a block.
    fn direction(&mut self, keyword: &str, node: &Node, indent: usize, trivia: Option<&Trivia>) {
        let beside = trivia.and_then(|t| t.beside.as_deref());
        match &node.value {
            Value::Word(w) => {
                self.push(" ");
                self.push(&word(w));
                self.lines.end(beside);
                self.lines.comments(below(trivia), indent, false);
            }
            Value::Block(entries) => {
                if let [entry] = &entries[..]
                    && !matches!(
                        (keyword, entry.key.value.as_str()),
                        (_, "rules" | "filters" | "classifier") | ("leaf", "up" | "down")
                    )
                    && !entry.node.entries().is_some_and(<[_]>::is_empty)
                    && !has_comment(entry.trivia.as_deref(), false)
                {
                    self.push(" ");
                    return self.thing(keyword, entry, indent, trivia);
                }
                self.push(" {");
                self.lines.end(beside);
                self.in_direction(keyword, entries, indent + STEP);
                self.close(indent, trivia, entries.is_empty());
            }
            Value::Null | Value::List(_) => {
                self.push(" {");
                self.lines.end(beside);
                self.close(indent, trivia, true);
            }
        }
    }

    fn in_direction(&mut self, keyword: &str, entries: &[Entry], indent: usize) {
        for (number, entry) in entries.iter().enumerate() {
            let trivia = entry.trivia.as_deref();
            match (&entry.node.value, entry.key.value.as_str()) {
                (Value::List(items), "rules") => {
                    self.rules(items, &lifted(trivia), number == 0, indent);
                    self.lines.comments(below(trivia), indent, false);
                }
                (Value::List(items), "filters") => {
                    self.filters(items, &lifted(trivia), number == 0, indent);
                    self.lines.comments(below(trivia), indent, false);
                }
                _ => {
                    self.start(trivia.map_or(&[], |t| &t.above), indent, number == 0, "");
                    self.thing(keyword, entry, indent, trivia);
                }
            }
        }
    }

    /// A discipline, an action or `shape` with what belongs to it.
    fn thing(&mut self, keyword: &str, entry: &Entry, indent: usize, trivia: Option<&Trivia>) {
        let kind = entry.key.value.as_str();
        self.push(kind);
        match (keyword, kind, self.vocabulary.action(kind)) {
            ("ingress", "shape", _) => self.direction("shape", &entry.node, indent, trivia),
            ("leaf", "up" | "down", _) => self.direction(kind, &entry.node, indent, trivia),
            ("egress" | "ingress", "shared", _) => self.option_value(&entry.node, indent, trivia),
            ("ingress", "hook" | "block" | "egress_block", _) | (_, "classifier", _) => {
                self.option_value(&entry.node, indent, trivia)
            }
            ("ingress", _, Some(Arity::Value)) => {
                self.push(noise(kind));
                self.option_value(&entry.node, indent, trivia);
            }
            ("ingress", _, Some(_)) => {
                self.body(&entry.node, indent, Owner { name: kind, kind: "", holds: false }, trivia);
            }
            _ => self.body(&entry.node, indent, Owner { name: kind, kind, holds: true }, trivia),
        }
    }

    /// The options of a statement on its line as far as they fit, and the rest of it in a block.
    fn body(&mut self, node: &Node, indent: usize, owner: Owner<'_>, trivia: Option<&Trivia>) {
        let beside = trivia.and_then(|t| t.beside.as_deref());
        let mut rest = match &node.value {
            Value::Block(entries) => &entries[..],
            Value::Null => &[],
            _ => {
                self.push(" ");
                let text = self.one_line(node);
                self.push(&text);
                return self.lines.end(beside);
            }
        };
        while let [entry, others @ ..] = rest {
            if self.is_statement(owner, entry)
                || has_comment(entry.trivia.as_deref(), false)
                || has_inner_comment(&entry.node)
                || !is_value(&entry.node)
            {
                break;
            }
            let text = self.option(owner, entry);
            let brace = if others.is_empty() { 0 } else { 2 };
            if self.column() + 1 + text.chars().count() + brace > WIDTH {
                break;
            }
            self.push(" ");
            self.push(&text);
            rest = others;
        }
        let link = owner.name == "link" && node.entries().is_some_and(<[_]>::is_empty);
        if rest.is_empty() && below(trivia).is_empty() && !link {
            return self.lines.end(beside);
        }
        self.push(" {");
        if let [entry] = rest
            && below(trivia).is_empty()
            && entry.key.value == "leaf"
            && owner.holds
            && !has_comment(entry.trivia.as_deref(), false)
            && !has_inner_comment(&entry.node)
            && let Some(text) = self.short_leaf(&entry.node)
            && self.column() + text.chars().count() + 3 <= WIDTH
        {
            self.push(" ");
            self.push(&text);
            self.push(" }");
            return self.lines.end(beside);
        }
        self.lines.end(beside);
        for (number, entry) in rest.iter().enumerate() {
            self.holder_statement(owner, entry, number == 0, indent + STEP);
        }
        self.close(indent, trivia, rest.is_empty());
    }

    /// Whether an entry is a statement of its own in a class or discipline, and no option.
    fn is_statement(&self, owner: Owner<'_>, entry: &Entry) -> bool {
        owner.holds && matches!(entry.key.value.as_str(), "classes" | "leaf" | "leaves" | "match")
    }

    /// A line in the block of a class or discipline.
    fn holder_statement(&mut self, owner: Owner<'_>, entry: &Entry, first: bool, indent: usize) {
        let trivia = entry.trivia.as_deref();
        let above = trivia.map_or(&[][..], |t| &t.above);
        match (entry.key.value.as_str(), &entry.node.value) {
            ("classes", Value::Block(classes)) if owner.holds => {
                let flags = format!("{} class", owner.kind);
                let owner = Owner { name: &flags, ..owner };
                self.named(&lifted(trivia), classes, first, indent, |w, class, above, first| {
                    let name = name(&class.key.value, &[]);
                    w.start(above, indent, first, &format!("class {name}"));
                    w.body(&class.node, indent, owner, class.trivia.as_deref());
                });
                self.lines.comments(below(trivia), indent, false);
            }
            ("leaves", Value::Block(leaves)) if owner.holds => {
                self.named(&lifted(trivia), leaves, first, indent, |w, leaf, above, first| {
                    let kind = match &leaf.node.value {
                        Value::Word(w) => Some(w.text.as_str()),
                        Value::Block(entries) => entries.first().map(|e| e.key.value.as_str()),
                        _ => None,
                    };
                    let plain = !w.vocabulary.is_discipline(&leaf.key.value)
                        && kind.is_some_and(|k| w.vocabulary.is_discipline(k));
                    let number = !leaf.key.value.is_empty() && leaf.key.value.bytes().all(|b| b.is_ascii_digit());
                    let name = if plain || number { name(&leaf.key.value, &[]) } else { lexis::quote(&leaf.key.value) };
                    w.start(above, indent, first, &format!("leaf {name}"));
                    w.direction("leaf", &leaf.node, indent, leaf.trivia.as_deref());
                });
                self.lines.comments(below(trivia), indent, false);
            }
            ("leaf", Value::Word(w)) if owner.holds && !w.quoted && self.vocabulary.is_discipline(&w.text) => {
                self.start(above, indent, first, &w.text);
                self.lines.end(trivia.and_then(|t| t.beside.as_deref()));
                self.lines.comments(below(trivia), indent, false);
            }
            ("leaf", _) if owner.holds => {
                self.start(above, indent, first, "leaf");
                self.direction("leaf", &entry.node, indent, trivia);
            }
            ("match", Value::Word(w)) if owner.holds => {
                self.start(above, indent, first, &format!("match {}", expression(&w.text, indent)));
                self.lines.end(trivia.and_then(|t| t.beside.as_deref()));
                self.lines.comments(below(trivia), indent, false);
            }
            _ => {
                let key = self.key(owner, entry);
                self.start(above, indent, first, &key);
                if by(entry).is_some() || self.is_set_flag(owner, entry) {
                    self.push(&by(entry).map_or_else(String::new, |text| format!(" {text}")));
                    self.lines.end(trivia.and_then(|t| t.beside.as_deref()));
                    self.lines.comments(below(trivia), indent, false);
                } else {
                    self.option_value(&entry.node, indent, trivia);
                }
            }
        }
    }

    /// The statements of a block that gives a name to each: its own comments go above the first of them.
    fn named(
        &mut self,
        lifted: &[String],
        entries: &[Entry],
        first: bool,
        indent: usize,
        mut statement: impl FnMut(&mut Self, &Entry, &[String], bool),
    ) {
        let mut carried = lifted.to_vec();
        for (number, entry) in entries.iter().enumerate() {
            carried.extend(entry.trivia.iter().flat_map(|t| t.above.iter().cloned()));
            statement(self, entry, &std::mem::take(&mut carried), first && number == 0);
        }
        self.lines.comments(&carried, indent, first);
    }

    /// A leaf on one line, if it is a discipline with nothing but options.
    fn short_leaf(&self, node: &Node) -> Option<String> {
        match &node.value {
            Value::Word(w) if !w.quoted && self.vocabulary.is_discipline(&w.text) => Some(w.text.to_string()),
            Value::Block(entries) => {
                let [entry] = &entries[..] else { return None };
                let kind = entry.key.value.as_str();
                let owner = Owner { name: kind, kind, holds: true };
                let options = entry.node.entries().filter(|o| !o.is_empty())?;
                let plain = |e: &Entry| !self.is_statement(owner, e) && is_value(&e.node);
                if !self.vocabulary.is_discipline(kind) || !options.iter().all(plain) {
                    return None;
                }
                let options: Vec<_> = options.iter().map(|e| self.option(owner, e)).collect();
                Some(format!("{kind} {}", options.join(" ")))
            }
            _ => None,
        }
    }

    // Options and values.

    /// An option with its value on one line.
    fn option(&self, owner: Owner<'_>, entry: &Entry) -> String {
        let key = self.key(owner, entry);
        if self.is_set_flag(owner, entry) {
            return key;
        }
        match by(entry) {
            Some(text) => format!("{key} {text}"),
            None => format!("{key} {}", self.one_line(&entry.node)),
        }
    }

    /// Whether an option is a flag that its word alone sets.
    fn is_set_flag(&self, owner: Owner<'_>, entry: &Entry) -> bool {
        let yes = matches!(&entry.node.value, Value::Word(w) if w.text == "yes" && !w.quoted);
        // a word in quotes is no flag to the reader
        yes && self.vocabulary.is_flag(owner.name, &entry.key.value) && !self.key(owner, entry).starts_with('"')
    }

    /// An option's word, in quotes where it would be taken for something else.
    fn key(&self, owner: Owner<'_>, entry: &Entry) -> String {
        let key = entry.key.value.as_str();
        let value = match &entry.node.value {
            Value::Word(w) => Some(w),
            _ => None,
        };
        let boolean =
            value.is_some_and(|w| !w.quoted && ["yes", "no", "on", "off", "true", "false"].contains(&w.text.as_str()));
        let flag = self.vocabulary.is_flag(owner.name, key) && !boolean;
        // `prio` is a class's option and a discipline; a number after it tells.
        let numeric = value.is_some_and(|w| !w.quoted && w.text.starts_with(|c: char| c.is_ascii_digit() || c == '$'));
        let kind = owner.holds && self.vocabulary.is_discipline(key) && !numeric;
        let keywords = [
            "match",
            "leaf",
            "class",
            "classes",
            "leaves",
            "rules",
            "rule",
            "interface",
            "egress",
            "ingress",
            "both",
            "if",
            "then",
            "and",
            "or",
        ];
        // in a filter no word starts another statement
        let keywords = if owner.name.ends_with(" filter") { &["and", "or"][..] } else { &keywords[..] };
        if flag || kind { lexis::quote(key) } else { name(key, keywords) }
    }

    /// A value on one line, comments left out.
    fn one_line(&self, node: &Node) -> String {
        match &node.value {
            Value::Null => "{ }".to_owned(),
            Value::Word(w) => word(w),
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(|i| self.one_line(&i.node)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Block(entries) if entries.is_empty() => "{ }".to_owned(),
            Value::Block(entries) => {
                let entries: Vec<_> = entries.iter().map(|e| self.option(Owner::PLAIN, e)).collect();
                format!("{{ {} }}", entries.join("; "))
            }
        }
    }

    /// The value of an option that has its line to itself, and the line's end.
    fn option_value(&mut self, node: &Node, indent: usize, trivia: Option<&Trivia>) {
        let beside = trivia.and_then(|t| t.beside.as_deref());
        let text = self.one_line(node);
        let inside = has_inner_comment(node) || !below(trivia).is_empty();
        let fits = !inside && self.column() + 1 + text.chars().count() <= WIDTH;
        match &node.value {
            Value::List(items) if !fits && !items.is_empty() => self.list(items, indent, ('[', ']'), trivia),
            Value::Block(entries) if !fits && !entries.is_empty() => {
                self.push(" {");
                self.lines.end(beside);
                for (number, entry) in entries.iter().enumerate() {
                    self.holder_statement(Owner::PLAIN, entry, number == 0, indent + STEP);
                }
                self.close(indent, trivia, false);
            }
            _ => {
                self.push(" ");
                self.push(&text);
                self.lines.end(beside);
                self.lines.comments(below(trivia), indent, false);
            }
        }
    }

    /// A list on one line if it fits and has no comments, else an item a line.
    fn list(&mut self, items: &[Item], indent: usize, marks: (char, char), trivia: Option<&Trivia>) {
        let beside = trivia.and_then(|t| t.beside.as_deref());
        let texts: Vec<_> = items.iter().map(|i| self.one_line(&i.node)).collect();
        let (open, close) = marks;
        let blank = if open == '{' { " " } else { "" };
        let whole = format!(" {open}{blank}{}{blank}{close}", texts.join(", "));
        let comments = items.iter().any(|i| has_comment(i.trivia.as_deref(), false) || has_inner_comment(&i.node));
        if !comments && below(trivia).is_empty() && self.column() + whole.chars().count() <= WIDTH {
            self.push(&whole);
            return self.lines.end(beside);
        }
        self.push(&format!(" {open}"));
        self.lines.end(None);
        for (number, (item, text)) in items.iter().zip(texts).enumerate() {
            let own = item.trivia.as_deref();
            let mut above = own.map_or(Vec::new(), |t| t.above.clone());
            if number == 0 {
                above.splice(0..0, beside.map(str::to_owned));
            }
            gathered(&item.node, &mut above);
            above.extend(below(own).iter().cloned());
            // Blank lines mean nothing before a list's items.
            above.retain(|line| !line.is_empty());
            self.start(&above, indent + STEP, number == 0, &text);
            self.push(if number + 1 < items.len() { "," } else { "" });
            self.lines.end(own.and_then(|t| t.beside.as_deref()));
        }
        self.lines.comments(below(trivia), indent + STEP, false);
        self.lines.pad(indent);
        self.push(&format!("{close}\n"));
    }

    // Rules.

    fn rules(&mut self, items: &[Item], lifted: &[String], first: bool, indent: usize) {
        let mut carried = lifted.to_vec();
        for (number, item) in items.iter().enumerate() {
            let trivia = item.trivia.as_deref();
            carried.extend(trivia.map_or(&[][..], |t| &t.above).iter().cloned());
            gathered(&item.node, &mut carried);
            carried.extend(below(trivia).iter().cloned());
            let text = self.rule(&item.node, indent);
            self.start(&std::mem::take(&mut carried), indent, first && number == 0, &text);
            self.lines.end(trivia.and_then(|t| t.beside.as_deref()));
        }
        self.lines.comments(&carried, indent, first);
    }

    /// Filters: each its kind with what it wants.
    fn filters(&mut self, items: &[Item], lifted: &[String], first: bool, indent: usize) {
        let mut carried = lifted.to_vec();
        for (number, item) in items.iter().enumerate() {
            let trivia = item.trivia.as_deref();
            carried.extend(trivia.map_or(&[][..], |t| &t.above).iter().cloned());
            let inner = item.node.entries().and_then(<[_]>::first);
            carried.extend(lifted_above(inner.and_then(|e| e.trivia.as_deref())));
            let kind = inner.map_or("", |e| e.key.value.as_str());
            let words = format!("filter {}", name(kind, &[]));
            self.start(&std::mem::take(&mut carried), indent, first && number == 0, &words);
            match inner {
                Some(inner) => {
                    let owner = format!("{kind} filter");
                    self.body(&inner.node, indent, Owner { name: &owner, kind: "", holds: false }, trivia);
                }
                None => self.lines.end(trivia.and_then(|t| t.beside.as_deref())),
            }
        }
        self.lines.comments(&carried, indent, first);
    }

    fn rule(&self, node: &Node, indent: usize) -> String {
        let mut text = "rule".to_owned();
        let part = |key: &str| node.get(key).map(|e| &e.node).filter(|n| !matches!(n.value, Value::Null));
        if let Some(pinned) = part("classifier") {
            text.push_str(" classifier ");
            text.push_str(&self.one_line(pinned));
        }
        if let Some(class) = part("class") {
            text.push_str(" class ");
            text.push_str(&match &class.value {
                Value::Word(w) if !w.quoted => name(&w.text, &["if", "do"]),
                _ => self.one_line(class),
            });
        }
        if let Some(action) = part("do") {
            let bare = part("class").is_none()
                && action.as_word().is_some_and(|w| matches!(self.vocabulary.action(w), Some(Arity::Flag)));
            text.push_str(if bare { " " } else { " do " });
            match &action.value {
                Value::List(items) => {
                    let actions: Vec<_> = items.iter().map(|i| self.action(&i.node)).collect();
                    text.push_str(&actions.join(" then "));
                }
                _ => text.push_str(&self.action(action)),
            }
        }
        if let Some(test) = part("match") {
            text.push_str(" if ");
            text.push_str(&match &test.value {
                Value::Word(w) => expression(&w.text, indent),
                _ => self.one_line(test),
            });
        }
        text
    }

    /// An action of a rule: a word, or one with what it takes.
    fn action(&self, node: &Node) -> String {
        let Value::Block(entries) = &node.value else { return self.one_line(node) };
        let actions: Vec<_> = entries
            .iter()
            .map(|entry| {
                let kind = entry.key.value.as_str();
                match (&entry.node.value, self.vocabulary.action(kind)) {
                    (Value::Block(options), Some(Arity::Options) | None) if !options.is_empty() => {
                        let owner = Owner { name: kind, kind: "", holds: false };
                        let options: Vec<_> = options.iter().map(|o| self.option(owner, o)).collect();
                        format!("{kind} {}", options.join(" "))
                    }
                    (Value::Null, _) => kind.to_owned(),
                    _ => format!("{kind}{} {}", noise(kind), self.one_line(&entry.node)),
                }
            })
            .collect();
        actions.join(" then ")
    }
}

/// The words of `fair by host`, which are one text.
fn by(entry: &Entry) -> Option<&str> {
    let text = entry.node.as_word().filter(|_| entry.key.value == "fair")?;
    text.strip_prefix("by ").filter(|by| lexis::is_bare(by)).map(|_| text)
}

/// Whether a value stands beside others on a line: a word, a list, or a word for each way (`{ up 2mbit; down 9mbit }`).
fn is_value(node: &Node) -> bool {
    let way = |e: &Entry| matches!(e.key.value.as_str(), "up" | "down") && e.node.as_word().is_some();
    match &node.value {
        Value::Word(_) | Value::List(_) => true,
        Value::Block(entries) => !entries.is_empty() && entries.iter().all(way),
        Value::Null => false,
    }
}

/// The word that reads well after an action and means nothing.
fn noise(action: &str) -> &'static str {
    if matches!(action, "mirror" | "redirect") { " to" } else { "" }
}

/// A name or key, in quotes if it is no single word or one of the keywords at its place.
fn name(text: &str, keywords: &[&str]) -> String {
    if lexis::is_bare(text) && !keywords.contains(&text) { text.to_owned() } else { lexis::quote(text) }
}

fn word(word: &Word) -> String {
    if !word.quoted && lexis::is_bare(&word.text) { word.text.to_string() } else { lexis::quote(&word.text) }
}

/// An expression as a statement's raw end. A line end that would end the statement, as YAML's texts may have, becomes a
/// blank.
fn expression(text: &str, indent: usize) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    if lines.len() > 1 && goes_on(&lines) {
        return lines.join(&format!("\n{}", " ".repeat(indent + STEP)));
    }
    lines.join(" ")
}

/// Whether each line end stands in brackets or after a word that something must follow.
fn goes_on(lines: &[&str]) -> bool {
    let mut depth = 0i32;
    let (_, all_but_last) = lines.split_last().unwrap_or((&"", &[]));
    all_but_last.iter().all(|line| {
        let line = line.split('#').next().unwrap_or("").trim_end();
        depth += line.matches(['(', '{', '[']).count() as i32 - line.matches([')', '}', ']']).count() as i32;
        depth > 0 || line.ends_with(',') || matches!(line.rsplit(' ').next(), Some("and" | "or" | "not"))
    })
}
