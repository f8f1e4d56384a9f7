//! From words as they are written to words as a command gets them: braces, parameters, commands, arithmetic, and the
//! splitting of what was not quoted.

use super::arithmetic::{self, Fault, Variables};
use super::parse::{self, Operation, Parameter, Part};
use super::pattern::Pattern;
use super::{Shell, Unknown, Value, Variable, Word};
use crate::diagnostic::codes;
use crate::import::text::Text;
use crate::source::Span;
use std::rc::Rc;

/// How deep braces may be nested, and how many may follow one another in a word.
const BRACES: usize = 12;
/// The longest word in which braces are looked at.
const BRACED: usize = 4096;

impl Word {
    fn new() -> Word {
        Word { text: Text::default(), unknown: None, set: Span::NONE }
    }

    fn doubt(&mut self, unknown: Option<&Rc<Unknown>>) {
        if self.unknown.is_none() {
            self.unknown = unknown.cloned();
        }
    }

    fn learn(&mut self, at: Span) {
        if self.set.is_none() {
            self.set = at;
        }
    }
}

/// Words that are being put together.
struct Fields {
    done: Vec<Word>,
    open: Option<Word>,
    /// How unquoted values are split; `None` where they are not.
    split: Option<String>,
}

impl Fields {
    fn open(&mut self) -> &mut Word {
        self.open.get_or_insert_with(Word::new)
    }

    fn close(&mut self) {
        self.done.extend(self.open.take());
    }

    fn finish(mut self) -> Vec<Word> {
        self.close();
        self.done
    }

    /// A value that is split where it was not quoted.
    fn value(&mut self, value: &Value, quoted: bool, span: Span) {
        let split = self.split.clone().filter(|_| !quoted);
        let Some(split) = split else {
            let open = self.open();
            open.text.push(&value.text, span);
            open.doubt(value.unknown.as_ref());
            open.learn(value.at);
            return;
        };
        if value.unknown.is_some() {
            let open = self.open();
            open.doubt(value.unknown.as_ref());
            open.text.push("", span);
            return;
        }
        let blank = |c: char| split.contains(c) && c.is_ascii_whitespace();
        let mut rest: &str = &value.text;
        while let Some(c) = rest.chars().next() {
            if blank(c) {
                rest = rest.trim_start_matches(blank);
                // a blank and a sign are one end
                if self.open.is_some() {
                    self.close();
                    if let Some(sign) = rest.chars().next().filter(|c| split.contains(*c)) {
                        rest = rest.get(sign.len_utf8()..).unwrap_or("").trim_start_matches(blank);
                    }
                }
                continue;
            }
            if split.contains(c) {
                self.open();
                self.close();
                rest = rest.get(c.len_utf8()..).unwrap_or("").trim_start_matches(blank);
                continue;
            }
            let end = rest.find(|c| split.contains(c)).unwrap_or(rest.len());
            let (text, after) = rest.split_at(end);
            let open = self.open();
            open.text.push(text, span);
            open.learn(value.at);
            rest = after;
        }
    }
}

/// What an expansion gives.
enum Expansion {
    /// Nothing is set.
    Unset,
    One(Value),
    /// Several words (`$@`), or one of them with what joins them (`$*`).
    Several(Vec<Value>, Option<char>),
}

impl Shell<'_> {
    /// A word as the words it stands for.
    pub(super) fn expand(&mut self, word: &parse::Word) -> Vec<Word> {
        let mut out = Vec::new();
        for word in self.braces(word) {
            let split = self.separators();
            let mut fields = Fields { done: Vec::new(), open: None, split: Some(split) };
            self.parts(&word.parts, &mut fields);
            out.extend(fields.finish());
        }
        let length = out.iter().map(|w| w.text.text.len() + 1).sum();
        let _ = self.spend(0, length, word.span);
        out
    }

    /// A word as one word: nothing is split.
    pub(super) fn join(&mut self, word: &parse::Word) -> Word {
        let mut fields = Fields { done: Vec::new(), open: Some(Word::new()), split: None };
        self.parts(&word.parts, &mut fields);
        let mut words = fields.finish().into_iter();
        let mut first = words.next().unwrap_or_else(Word::new);
        for more in words {
            first.text.push(" ", Span::NONE);
            first.text.append(&more.text);
            first.doubt(more.unknown.as_ref());
        }
        let _ = self.spend(0, first.text.text.len(), word.span);
        first
    }

    /// The words of a command. What follows `export`, `local` and their like is taken as assignments are.
    pub(super) fn command_fields(&mut self, words: &[parse::Word]) -> Vec<Word> {
        let mut out: Vec<Word> = Vec::new();
        for word in words {
            let declares = out.first().is_some_and(|f| super::builtin::declares(&f.text.text));
            if declares && word.assigned().is_some() {
                if word.parts.iter().any(|p| matches!(p, Part::Array { .. })) {
                    let name = word.assigned().map(|a| a.name).unwrap_or_default();
                    // `declare -A` stands before the keys
                    if out.iter().any(|f| f.text.text.starts_with('-') && f.text.text.contains('A')) {
                        self.state.by_word.insert(name.clone());
                    }
                    self.assign(word);
                    out.push(Word { text: Text::new(name, word.span), unknown: None, set: Span::NONE });
                } else {
                    let joined = self.join(word);
                    out.push(joined);
                }
                continue;
            }
            let expanded = self.expand(word);
            out.extend(expanded);
        }
        out
    }

    fn separators(&self) -> String {
        match self.state.variables.get("IFS") {
            Some(Variable::One(value)) if value.unknown.is_none() => value.text.to_string(),
            _ => " \t\n".to_owned(),
        }
    }

    fn parts(&mut self, parts: &[Part], out: &mut Fields) {
        for part in parts {
            match part {
                Part::Text { text, quoted, span } => {
                    if *quoted || !text.is_empty() {
                        out.open().text.push(text, *span);
                    }
                }
                Part::Parameter { parameter, quoted, span } => {
                    let expansion = self.parameter(parameter, *span, *quoted, out);
                    self.place(expansion, parameter, *quoted, *span, out);
                }
                Part::Command { body, quoted, span } => {
                    let value = self.capture(body, *span);
                    out.value(&value, *quoted, *span);
                }
                Part::Arithmetic { expression, quoted, span } => {
                    let value = match self.arithmetic(expression) {
                        Some(n) => Value::new(n.to_string(), Span::NONE),
                        None => {
                            let why = self.doubt.clone().unwrap_or_else(|| not_known("$(( ))"));
                            Value::unknown(why, *span)
                        }
                    };
                    out.value(&value, *quoted, *span);
                }
                Part::Array { .. } => {}
            }
        }
    }

    /// Puts an expansion into the words.
    fn place(
        &mut self,
        expansion: Option<Expansion>,
        parameter: &Parameter,
        quoted: bool,
        span: Span,
        out: &mut Fields,
    ) {
        match expansion {
            // an operation has put its own words there
            None => {}
            Some(Expansion::Unset) => {
                let why = Rc::new(Unknown { name: parameter.name.clone(), given: true, parameter: false });
                self.unset.push((why, span));
                if quoted {
                    out.open().text.push("", span);
                }
            }
            Some(Expansion::One(value)) => out.value(&value, quoted, span),
            Some(Expansion::Several(values, joint)) => {
                if let (Some(joint), true) = (joint, quoted || out.split.is_none()) {
                    for (i, value) in values.iter().enumerate() {
                        if i > 0 {
                            out.open().text.push(&joint.to_string(), span);
                        }
                        out.value(value, true, span);
                    }
                    if values.is_empty() {
                        out.open().text.push("", span);
                    }
                    return;
                }
                for (i, value) in values.iter().enumerate() {
                    if i > 0 {
                        match out.split {
                            Some(_) => out.close(),
                            None => out.open().text.push(" ", span),
                        }
                    }
                    out.value(value, quoted, span);
                }
            }
        }
    }

    /// A variable or parameter by its name.
    pub(super) fn lookup(&self, name: &str) -> Option<Value> {
        if let Ok(number) = name.parse::<usize>() {
            return self.positional(number);
        }
        match self.state.variables.get(name) {
            Some(Variable::One(value)) => Some(value.clone()),
            Some(Variable::List(items)) => items.iter().find(|(key, _)| key == "0").map(|(_, value)| value.clone()),
            None => match name {
                "UID" | "EUID" => Some(Value::new("0", Span::NONE)),
                "PATH" | "HOME" | "USER" | "PWD" | "HOSTNAME" | "RANDOM" | "SECONDS" | "PPID" | "LANG" | "SHELL" => {
                    let why = Unknown { name: name.to_owned(), given: true, parameter: false };
                    Some(Value::unknown(Rc::new(why), Span::NONE))
                }
                _ => None,
            },
        }
    }

    fn positional(&self, number: usize) -> Option<Value> {
        if number == 0 {
            return Some(Value::new(self.name.as_str(), Span::NONE));
        }
        match self.state.frames.last().and_then(|f| f.words.as_ref()) {
            Some(words) => words.get(number - 1).cloned(),
            None => Some(match self.given.get(&number.to_string()) {
                Some(text) => Value::new(text.as_str(), Span::NONE),
                None => {
                    let why = Unknown { name: number.to_string(), given: true, parameter: true };
                    Value::unknown(Rc::new(why), Span::NONE)
                }
            }),
        }
    }

    fn words_given(&self) -> Vec<Value> {
        self.state.frames.last().and_then(|f| f.words.clone()).unwrap_or_default()
    }

    /// What a parameter is before anything is done to it.
    fn base(&mut self, parameter: &Parameter) -> Expansion {
        let known = self.state.frames.last().is_some_and(|f| f.words.is_some());
        match (parameter.name.as_str(), &parameter.index) {
            ("@", _) => return Expansion::Several(self.words_given(), None),
            ("*", _) => {
                return Expansion::Several(self.words_given(), Some(self.separators().chars().next().unwrap_or(' ')));
            }
            ("#", _) if known => return Expansion::One(Value::new(self.words_given().len().to_string(), Span::NONE)),
            ("#", _) => {
                let why = Unknown { name: "1".to_owned(), given: true, parameter: true };
                return Expansion::One(Value::unknown(Rc::new(why), Span::NONE));
            }
            ("?", _) => {
                return Expansion::One(match self.status {
                    Some(status) => Value::new(status.to_string(), Span::NONE),
                    None => Value::unknown(not_known("$?"), Span::NONE),
                });
            }
            // a number that nobody knows, and that names files: it stands for itself
            ("$", _) => return Expansion::One(Value::new("$$".to_owned(), Span::NONE)),
            ("!" | "-", _) => {
                return Expansion::One(Value::unknown(not_known(&format!("${}", parameter.name)), Span::NONE));
            }
            (name, Some(index)) => {
                let Some(Variable::List(items)) = self.state.variables.get(name).cloned() else {
                    let scalar = self.lookup(name);
                    let first = matches!(index.literal().as_deref(), Some("0" | "@" | "*"));
                    return scalar.filter(|_| first).map_or(Expansion::Unset, Expansion::One);
                };
                match index.literal().as_deref() {
                    Some("@") => return Expansion::Several(items.into_iter().map(|(_, v)| v).collect(), None),
                    Some("*") => return Expansion::Several(items.into_iter().map(|(_, v)| v).collect(), Some(' ')),
                    _ => {}
                }
                let Some(key) = self.key(name, index) else {
                    return Expansion::One(Value::unknown(not_known(name), Span::NONE));
                };
                let found = items.into_iter().find(|(k, _)| *k == key);
                return found.map_or(Expansion::Unset, |(_, value)| Expansion::One(value));
            }
            _ => {}
        }
        if parameter.indirect {
            return match self.lookup(&parameter.name) {
                Some(Value { unknown: Some(why), at, .. }) => Expansion::One(Value::unknown(why, at)),
                Some(value) => self.lookup(&value.text).map_or(Expansion::Unset, Expansion::One),
                None => Expansion::Unset,
            };
        }
        self.lookup(&parameter.name).map_or(Expansion::Unset, Expansion::One)
    }

    /// The key of an array's item: a number where the array has numbers.
    pub(super) fn key(&mut self, name: &str, index: &parse::Word) -> Option<String> {
        let word = self.join(index);
        if word.unknown.is_some() {
            self.doubt = word.unknown;
            return None;
        }
        let text = word.text.text;
        if self.state.by_word.contains(name) {
            return Some(text);
        }
        self.calculate(&text, index.span).map(|number| number.to_string())
    }

    /// What a parameter stands for; `None` if its words are in `out` already.
    fn parameter(&mut self, parameter: &Parameter, span: Span, quoted: bool, out: &mut Fields) -> Option<Expansion> {
        if parameter.indirect && parameter.index.is_some() {
            // ${!LIST[@]}: the keys
            let keys = match self.state.variables.get(&parameter.name) {
                Some(Variable::List(items)) => items.iter().map(|(key, _)| Value::new(key.as_str(), span)).collect(),
                _ => Vec::new(),
            };
            return Some(Expansion::Several(keys, None));
        }
        let base = self.base(parameter);
        let operation = match &parameter.operation {
            Operation::Value => return Some(base),
            Operation::Length => {
                return Some(match base {
                    Expansion::Unset => Expansion::One(Value::new("0", span)),
                    Expansion::One(value) if value.unknown.is_some() => Expansion::One(value),
                    Expansion::One(value) => Expansion::One(Value::new(value.text.chars().count().to_string(), span)),
                    Expansion::Several(values, _) => Expansion::One(Value::new(values.len().to_string(), span)),
                });
            }
            Operation::Unset { sign, colon, word } => {
                return self.if_unset(parameter, base, *sign, *colon, word, quoted, out);
            }
            other => other,
        };
        Some(match base {
            Expansion::Unset => Expansion::Unset,
            Expansion::One(value) => Expansion::One(self.operate(value, operation, span)),
            Expansion::Several(values, joint) => match operation {
                Operation::Slice { from, length } => {
                    let from = self.arithmetic(from).unwrap_or(0);
                    let length = length.as_ref().and_then(|l| self.arithmetic(l));
                    // parameters count from 1, arrays from 0
                    let from = if parameter.index.is_none() { from - 1 } else { from };
                    let skip = usize::try_from(from).unwrap_or(0);
                    let take = length.map_or(usize::MAX, |l| usize::try_from(l).unwrap_or(0));
                    Expansion::Several(values.into_iter().skip(skip).take(take).collect(), joint)
                }
                _ => {
                    let done = values.into_iter().map(|v| self.operate(v, operation, span)).collect();
                    Expansion::Several(done, joint)
                }
            },
        })
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one expansion")]
    fn if_unset(
        &mut self,
        parameter: &Parameter,
        base: Expansion,
        sign: char,
        colon: bool,
        word: &parse::Word,
        quoted: bool,
        out: &mut Fields,
    ) -> Option<Expansion> {
        let unset = match &base {
            Expansion::Unset => true,
            // what nobody gave is as if it were not there, where the script says what holds then
            Expansion::One(value) => match &value.unknown {
                Some(why) => why.parameter && sign != '?',
                None => colon && value.text.is_empty(),
            },
            Expansion::Several(values, _) => values.iter().all(|v| v.text.is_empty()),
        };
        match (sign, unset) {
            ('-', true) => {
                self.word_in_place(word, quoted, out);
                None
            }
            ('=', true) => {
                let value = self.join(word);
                let value = Value { text: value.text.text.as_str().into(), unknown: value.unknown, at: word.span };
                self.set(&parameter.name, value.clone());
                Some(Expansion::One(value))
            }
            ('+', false) => {
                self.word_in_place(word, quoted, out);
                None
            }
            ('+', true) => {
                if quoted {
                    out.open();
                }
                None
            }
            ('?', true) => {
                let why = Unknown { name: parameter.name.clone(), given: true, parameter: false };
                Some(Expansion::One(Value::unknown(Rc::new(why), word.span)))
            }
            _ => Some(base),
        }
    }

    /// The word of `${X:-word}`: its own quotes hold, and it is split like any other.
    fn word_in_place(&mut self, word: &parse::Word, quoted: bool, out: &mut Fields) {
        if quoted {
            let joined = self.join(word);
            let open = out.open();
            open.text.append(&joined.text);
            open.doubt(joined.unknown.as_ref());
            return;
        }
        for part in &word.parts {
            match part {
                // plain text in it is split as a value is
                Part::Text { text, quoted: false, span } => {
                    out.value(&Value::new(text.as_str(), Span::NONE), false, *span)
                }
                part => self.parts(std::slice::from_ref(part), out),
            }
        }
    }

    fn operate(&mut self, value: Value, operation: &Operation, span: Span) -> Value {
        if value.unknown.is_some() {
            return value;
        }
        let text = &value.text;
        let pattern_of = |shell: &mut Self, word: &parse::Word| shell.pattern(word);
        let made = match operation {
            Operation::Cut { front, longest, pattern } => {
                let (pattern, unknown) = pattern_of(self, pattern);
                if let Some(why) = unknown {
                    return Value::unknown(why, span);
                }
                let length = pattern.cut(text, *front, *longest).unwrap_or(0);
                let kept = if *front { text.get(length..) } else { text.get(..text.len() - length) };
                kept.unwrap_or("").to_owned()
            }
            Operation::Replace { how, pattern, with } => {
                let (pattern, unknown) = pattern_of(self, pattern);
                let with = self.join(with);
                if let Some(why) = unknown.or(with.unknown) {
                    return Value::unknown(why, span);
                }
                let with = with.text.text;
                match how {
                    '#' | '%' => match pattern.cut(text, *how == '#', true) {
                        Some(length) if *how == '#' => format!("{with}{}", text.get(length..).unwrap_or("")),
                        Some(length) => format!("{}{with}", text.get(..text.len() - length).unwrap_or("")),
                        None => text.to_string(),
                    },
                    _ => {
                        let (mut made, mut rest): (String, &str) = (String::new(), text);
                        while let Some((from, to)) = pattern.find(rest) {
                            made.push_str(rest.get(..from).unwrap_or(""));
                            made.push_str(&with);
                            rest = rest.get(to..).unwrap_or("");
                            if *how != '/' || !self.spend(1, with.len(), span) {
                                break;
                            }
                        }
                        made + rest
                    }
                }
            }
            Operation::Slice { from, length } => {
                let from = self.arithmetic(from);
                let length = length.as_ref().map(|l| self.arithmetic(l));
                let (Some(from), None | Some(Some(_))) = (from, length) else {
                    return Value::unknown(not_known("${…:…}"), span);
                };
                let letters: Vec<char> = text.chars().collect();
                let count = letters.len() as i64;
                let at = |n: i64| if n < 0 { (count + n).max(0) } else { n.min(count) };
                let from = at(from);
                let to = match length.flatten() {
                    None => count,
                    Some(length) if length < 0 => (count + length).max(from),
                    Some(length) => from.saturating_add(length).min(count),
                };
                letters.iter().skip(from as usize).take((to - from).max(0) as usize).collect()
            }
            Operation::Case { upper, all } => {
                let change = |c: char| if *upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
                text.chars().enumerate().map(|(i, c)| if *all || i == 0 { change(c) } else { c }).collect()
            }
            Operation::Value | Operation::Length | Operation::Unset { .. } => text.to_string(),
        };
        Value::new(made, value.at)
    }

    /// A word as a pattern: what is quoted in it stands for itself.
    pub(super) fn pattern(&mut self, word: &parse::Word) -> (Pattern, Option<Rc<Unknown>>) {
        let (mut text, mut unknown) = (String::new(), None);
        for part in &word.parts {
            let plain = matches!(
                part,
                Part::Text { quoted: false, .. }
                    | Part::Parameter { quoted: false, .. }
                    | Part::Command { quoted: false, .. }
            );
            let one = parse::Word { parts: vec![part.clone()], span: word.span };
            let joined = self.join(&one);
            unknown = unknown.or(joined.unknown);
            if plain {
                text.push_str(&joined.text.text);
            } else {
                for c in joined.text.text.chars() {
                    text.push('\\');
                    text.push(c);
                }
            }
        }
        (Pattern::new(&text), unknown)
    }

    /// The value of an arithmetic expression, if it is known.
    pub(super) fn arithmetic(&mut self, expression: &parse::Word) -> Option<i64> {
        let text = self.join(expression);
        if text.unknown.is_some() {
            self.doubt = text.unknown;
            return None;
        }
        self.calculate(&text.text.text, expression.span)
    }

    pub(super) fn calculate(&mut self, text: &str, span: Span) -> Option<i64> {
        struct Known<'s, 'a>(&'s mut Shell<'a>, Span);
        impl Variables for Known<'_, '_> {
            fn get(&mut self, name: &str) -> Option<String> {
                match self.0.lookup(name) {
                    None => Some(String::new()),
                    Some(Value { unknown: Some(why), .. }) => {
                        self.0.doubt = Some(why);
                        None
                    }
                    Some(value) => Some(value.text.to_string()),
                }
            }
            fn set(&mut self, name: &str, value: i64) {
                self.0.set(name, Value::new(value.to_string(), self.1));
            }
        }
        if !self.spend(1, text.len(), span) {
            return None;
        }
        match arithmetic::evaluate(text, &mut Known(self, span)) {
            Ok(value) => Some(value),
            Err(Fault::Unknown) => None,
            Err(Fault::Wrong(why)) => {
                self.doubt = Some(not_known("$(( ))"));
                self.tell(&codes::IMPORT_SKIPPED, span, format!("this cannot be computed: {why}"), None);
                None
            }
        }
    }

    /// Sets a variable. One that would become unknown keeps what was given for it.
    pub(super) fn set(&mut self, name: &str, value: Value) {
        let value = match (&value.unknown, self.given.get(name)) {
            (Some(_), Some(given)) => Value::new(given.as_str(), value.at),
            // from here on it is this variable that can be given
            (Some(why), None) if !why.parameter => {
                let why = Unknown { name: name.to_owned(), given: true, parameter: false };
                Value::unknown(Rc::new(why), value.at)
            }
            _ => value,
        };
        match self.state.variables.get_mut(name) {
            Some(Variable::List(items)) => put(items, "0".to_owned(), value),
            _ => {
                self.state.variables.insert(name.to_owned(), Variable::One(value));
            }
        }
    }

    /// Does what `NAME=value` says.
    pub(super) fn assign(&mut self, word: &parse::Word) {
        if let Some((name, index, value)) = word.assigned_by_variable() {
            let Some(key) = self.key(&name, &index) else { return };
            let joined = self.join(&parse::Word { parts: value, span: word.span });
            let value = Value { text: joined.text.text.as_str().into(), unknown: joined.unknown, at: word.span };
            self.put(&name, key, value);
            return;
        }
        let Some(assigned) = word.assigned() else { return };
        if let Some(Part::Array { items, .. }) = word.parts.iter().find(|p| matches!(p, Part::Array { .. })) {
            let mut made = match self.state.variables.get(&assigned.name) {
                Some(Variable::List(old)) if assigned.adds => old.clone(),
                _ => Vec::new(),
            };
            let mut next =
                made.iter().filter_map(|(key, _)| key.parse::<i64>().ok()).max().map_or(0, |n| n.saturating_add(1));
            for (key, item) in items {
                match key {
                    Some(key) => {
                        let Some(key) = self.key(&assigned.name, key) else { continue };
                        let joined = self.join(item);
                        next = key.parse::<i64>().map_or(next, |n| n.saturating_add(1));
                        let value =
                            Value { text: joined.text.text.as_str().into(), unknown: joined.unknown, at: item.span };
                        put(&mut made, key, value);
                    }
                    None => {
                        for field in self.expand(item) {
                            let value =
                                Value { text: field.text.text.as_str().into(), unknown: field.unknown, at: item.span };
                            put(&mut made, next.to_string(), value);
                            next = next.saturating_add(1);
                        }
                    }
                }
            }
            self.state.variables.insert(assigned.name, Variable::List(made));
            return;
        }
        let joined = self.join(word);
        let text = joined.text.text.get(assigned.length..).unwrap_or("").to_owned();
        self.assign_text(&assigned, text, joined.unknown, word.span);
    }

    /// Does what an assignment says whose value is known.
    pub(super) fn assign_text(
        &mut self,
        assigned: &parse::Assigned,
        text: String,
        unknown: Option<Rc<Unknown>>,
        at: Span,
    ) {
        let mut value = Value { text: text.as_str().into(), unknown, at };
        if assigned.adds
            && let Some(old) = self.lookup(&assigned.name)
        {
            value.text = format!("{}{text}", old.text).into();
            value.unknown = old.unknown.or(value.unknown);
        }
        match &assigned.index {
            Some(index) => {
                let part = Part::Text { text: index.clone(), quoted: false, span: at };
                let Some(key) = self.key(&assigned.name, &parse::Word { parts: vec![part], span: at }) else { return };
                self.put(&assigned.name, key, value);
            }
            None => self.set(&assigned.name, value),
        }
    }

    /// Sets an item of an array; what was no array becomes one.
    fn put(&mut self, name: &str, key: String, value: Value) {
        let variable = self.state.variables.entry(name.to_owned()).or_insert_with(|| Variable::List(Vec::new()));
        match variable {
            Variable::List(items) => put(items, key, value),
            Variable::One(old) => {
                let mut items = vec![("0".to_owned(), old.clone())];
                put(&mut items, key, value);
                *variable = Variable::List(items);
            }
        }
    }

    /// `{a,b}` and `{1..5}`, before anything else is looked at.
    fn braces(&mut self, word: &parse::Word) -> Vec<parse::Word> {
        let braced = |p: &Part| matches!(p, Part::Text { text, quoted: false, .. } if text.contains('{'));
        if !word.parts.iter().any(braced) {
            return vec![word.clone()];
        }
        let mut units = Vec::new();
        for part in &word.parts {
            match part {
                Part::Text { text, quoted: false, span } => {
                    let exact = !span.is_none() && (span.end - span.start) as usize == text.len();
                    for (at, c) in text.char_indices() {
                        let start = span.start + at as u32;
                        let own = Span { start, end: start + c.len_utf8() as u32, ..*span };
                        units.push(Unit::Letter(c, if exact { own } else { *span }));
                    }
                }
                part => units.push(Unit::Other(part.clone())),
            }
        }
        if units.len() > BRACED {
            return vec![word.clone()];
        }
        let mut out = Vec::new();
        for units in self.alternatives(&units, BRACES, word.span) {
            let mut parts: Vec<Part> = Vec::new();
            for unit in units {
                match (unit, parts.last_mut()) {
                    (Unit::Letter(c, at), Some(Part::Text { text, quoted: false, span })) => {
                        text.push(c);
                        *span = span.to(at);
                    }
                    (Unit::Letter(c, span), _) => parts.push(Part::Text { text: c.to_string(), quoted: false, span }),
                    (Unit::Other(part), _) => parts.push(part),
                }
            }
            out.push(parse::Word { parts, span: word.span });
        }
        out
    }

    fn alternatives(&mut self, units: &[Unit], depth: usize, span: Span) -> Vec<Vec<Unit>> {
        let whole = || vec![units.to_vec()];
        let Some(depth) = depth.checked_sub(1) else { return whole() };
        let Some((open, close, commas)) = brace(units) else { return whole() };
        let (before, after) = (units.get(..open).unwrap_or(&[]), units.get(close + 1..).unwrap_or(&[]));
        let inside = units.get(open + 1..close).unwrap_or(&[]);
        let items: Vec<Vec<Unit>> = if commas.is_empty() {
            let Some(items) = range(inside) else { return whole() };
            items
        } else {
            let mut items = Vec::new();
            let mut from = open + 1;
            for to in commas.into_iter().chain([close]) {
                items.extend(self.alternatives(units.get(from..to).unwrap_or(&[]), depth, span));
                from = to + 1;
            }
            items
        };
        let mut out = Vec::new();
        for rest in self.alternatives(after, depth, span) {
            out.push(rest);
        }
        let mut all = Vec::new();
        for item in &items {
            for rest in &out {
                if !self.spend(1, before.len() + item.len() + rest.len(), span) {
                    return all;
                }
                all.push(before.iter().chain(item).chain(rest).cloned().collect());
            }
        }
        all
    }
}

#[derive(Clone)]
enum Unit {
    Letter(char, Span),
    Other(Part),
}

/// The first brace that stands for something: where it opens and closes, and its commas.
fn brace(units: &[Unit]) -> Option<(usize, usize, Vec<usize>)> {
    let letter = |unit: &Unit| if let Unit::Letter(c, _) = unit { Some(*c) } else { None };
    let mut tries = 0;
    for (open, unit) in units.iter().enumerate() {
        if letter(unit) != Some('{') {
            continue;
        }
        tries += 1;
        if tries > 16 {
            return None;
        }
        let (mut depth, mut commas) = (0_usize, Vec::new());
        for (at, unit) in units.iter().enumerate().skip(open) {
            match letter(unit) {
                Some('{') => depth += 1,
                Some(',') if depth == 1 => commas.push(at),
                Some('}') if depth == 1 => {
                    if !commas.is_empty() || range(units.get(open + 1..at).unwrap_or(&[])).is_some() {
                        return Some((open, at, commas));
                    }
                    break;
                }
                Some('}') => depth -= 1,
                _ => {}
            }
        }
    }
    None
}

/// `1..5`, `01..10`, `5..1..2`, `a..e`.
fn range(units: &[Unit]) -> Option<Vec<Vec<Unit>>> {
    let mut text = String::new();
    let mut place = Span::NONE;
    for unit in units {
        let Unit::Letter(c, span) = unit else { return None };
        text.push(*c);
        place = place.to(*span);
    }
    let mut parts = text.split("..");
    let (from, to, step) = (parts.next()?, parts.next()?, parts.next());
    if parts.next().is_some() {
        return None;
    }
    let step = step.map_or(Some(1), |s| s.parse::<i64>().ok())?.unsigned_abs().max(1);
    let step = i64::try_from(step).ok()?;
    let word = |text: String| text.chars().map(|c| Unit::Letter(c, place)).collect::<Vec<_>>();
    const MOST: i64 = 100_000;
    if let (Ok(a), Ok(b)) = (from.parse::<i64>(), to.parse::<i64>()) {
        let padded = |t: &str| t.trim_start_matches('-').starts_with('0') && t.trim_start_matches('-').len() > 1;
        let width = if padded(from) || padded(to) { from.len().max(to.len()) } else { 0 };
        let count = (i128::from(a) - i128::from(b)).abs() / i128::from(step);
        if count >= i128::from(MOST) {
            return None;
        }
        let toward = if a <= b { step } else { -step };
        let numbers = (0..=count as i64).map(|i| a + i * toward);
        return Some(numbers.map(|n| word(format!("{n:0width$}"))).collect());
    }
    let one = |text: &str| text.chars().next().filter(|c| text.len() == 1 && c.is_ascii_alphabetic());
    let (a, b) = (one(from)? as i64, one(to)? as i64);
    let toward = if a <= b { step } else { step.checked_neg()? };
    let count = (a - b).abs() / step;
    let letters = (0..=count).map(|i| a + i * toward).filter_map(|n| u8::try_from(n).ok());
    Some(letters.map(|n| word((n as char).to_string())).collect())
}

/// Sets an item of an array, in its place among the numbers.
fn put(items: &mut Vec<(String, Value)>, key: String, value: Value) {
    if let Some((_, old)) = items.iter_mut().find(|(k, _)| *k == key) {
        *old = value;
        return;
    }
    let number = |key: &str| key.parse::<i64>().unwrap_or(i64::MAX);
    let at = items.partition_point(|(k, _)| number(k) <= number(&key));
    items.insert(at, (key, value));
}

pub(super) fn not_known(name: &str) -> Rc<Unknown> {
    Rc::new(Unknown { name: name.to_owned(), given: false, parameter: false })
}
