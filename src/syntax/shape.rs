//! The DSL (`.shape`) to a [`Document`]. The grammar is in `grammar/shapectl.ebnf`; what becomes what is in the table of
//! [`super`].
//!
//! Words, quotes and comments are read by nom parsers one token at a time, and statements by plain functions over the
//! stream, with one token of lookahead. After a mistake reading goes on at the statement's end, so that one run reports
//! every mistake; what would only repeat an earlier one is not said.

use super::document::{self, Document, Entry, Item, Name, Node, Trivia, Value};
use super::{Arity, Limits, Vocabulary, expression_parser, lexis, names};
use crate::codes::{EMPTY_FILE, FILE_TOO_LARGE, SYNTAX, TOO_DEEP};
use crate::diagnostic::{Diagnostic, Sink};
use crate::source::{FileId, Source, Span, Spanned};
use compact_str::CompactString;
use std::borrow::Cow;
use std::collections::HashMap;

/// After so many errors in one file the rest of it is not read.
const ERRORS: usize = 200;

/// Reads a whole file. Mistakes go to `sink`; the document is given if every mistake could be read as it was meant, so that
/// later stages find their own mistakes in the same run and do not report as missing what was only misspelled.
pub fn read(
    source: &Source,
    file: FileId,
    vocabulary: &dyn Vocabulary,
    limits: &Limits,
    sink: &mut Sink,
) -> Option<Document> {
    if source.text.len() > limits.file_bytes {
        let (name, bytes, most) = (&source.name, source.text.len(), limits.file_bytes);
        let message = format!("`{name}` has {bytes} bytes, more than the limit of {most}");
        let help = "split it and `include` the parts, or raise the limit with `--max-file-size`";
        sink.push(Diagnostic::new(&FILE_TOO_LARGE, message).help(help));
        return None;
    }
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
    let mut reader = Reader {
        text: &source.text,
        file,
        vocabulary,
        kinds: HashMap::new(),
        flags: HashMap::new(),
        limits,
        sink,
        token: Token::End,
        start: 0,
        end: source.text.len() - text.len(),
        taken: 0,
        raw: false,
        fresh: true,
        stopped: false,
        closed: false,
        depth: 0,
        nodes: 0,
        errors: 0,
        broken: false,
        unbalanced: false,
        unwind: None,
        suspect: None,
        beside: None,
        below: Vec::new(),
        carried: Vec::new(),
    };
    reader.advance();
    let document = reader.document();
    if reader.broken { None } else { Some(document) }
}

#[derive(Clone, Debug, PartialEq)]
enum Token<'s> {
    Word(&'s str),
    Quoted { text: Cow<'s, str>, closed: bool, bad_escape: Option<(usize, usize)> },
    Mark(char),
    Comment(&'s str),
    Line,
    Bad(char),
    End,
}

/// The token at or after `at`, with its bounds. Blanks are passed over.
fn lex(text: &str, at: usize) -> (Token<'_>, usize, usize) {
    let all = text.get(at..).unwrap_or("");
    let rest = all.trim_start_matches([' ', '\t', '\r']);
    let start = text.len() - rest.len();
    let upto = |after: &str| text.len() - after.len();
    if let Ok((after, word)) = lexis::word(rest) {
        return (Token::Word(word), start, upto(after));
    }
    let mut chars = rest.chars();
    match chars.next() {
        None => (Token::End, start, start),
        Some('\n') => (Token::Line, start, start + 1),
        Some('#') => match lexis::comment(rest) {
            Ok((after, comment)) => (Token::Comment(comment), start, upto(after)),
            Err(_) => (Token::End, start, start),
        },
        Some('"' | '\'') => match lexis::quoted(rest) {
            Ok((after, q)) => {
                let token = Token::Quoted { text: q.text, closed: q.closed, bad_escape: q.bad_escape };
                (token, start, upto(after))
            }
            Err(_) => (Token::End, start, start),
        },
        Some(c @ ('{' | '}' | '[' | ']' | '(' | ')' | ',' | ';' | '=')) => (Token::Mark(c), start, start + 1),
        Some(c) => (Token::Bad(c), start, start + c.len_utf8()),
    }
}

/// How far a missing `}` lets reading fall back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unwind {
    /// To the top: `interface` stands inside of a block.
    Top,
    /// To the interface: `egress` or `ingress` stands inside of a discipline.
    Interface,
    /// To the direction: `rule` stands inside of a discipline, below a block whose end is out of line.
    Direction,
}

/// Entries under construction, and where the collecting ones among them are.
#[derive(Default)]
struct Body {
    entries: Vec<Entry>,
    collected: Vec<(&'static str, usize)>,
}

impl Body {
    /// The entry that collects statements of one sort, made at its first statement.
    fn collect(&mut self, key: &'static str, at: Span, list: bool) -> Option<&mut Node> {
        let index = match self.collected.iter().find(|(k, _)| *k == key) {
            Some((_, index)) => *index,
            None => {
                let value = if list { Value::List(Vec::new()) } else { Value::Block(Vec::new()) };
                self.entries.push(Entry::new(Spanned::new(key.into(), at), Node { span: Span::NONE, value }));
                self.collected.push((key, self.entries.len() - 1));
                self.entries.len() - 1
            }
        };
        self.entries.get_mut(index).map(|e| &mut e.node)
    }

    fn put(&mut self, key: &'static str, at: Span, entry: Entry) {
        if let Some(node) = self.collect(key, at, false) {
            node.span = node.span.to(entry.key.span).to(entry.node.span);
            if let Value::Block(entries) = &mut node.value {
                entries.push(entry);
            }
        }
    }

    fn add(&mut self, key: &'static str, at: Span, item: Item) {
        if let Some(node) = self.collect(key, at, true) {
            node.span = node.span.to(item.node.span);
            if let Value::List(items) = &mut node.value {
                items.push(item);
            }
        }
    }

    /// The finished block; nothing if nothing was written.
    fn node(self, at: Span) -> Node {
        if self.entries.is_empty() {
            return Node { span: at, value: Value::Null };
        }
        block(self.entries)
    }
}

fn block(entries: Vec<Entry>) -> Node {
    let span = entries.iter().fold(Span::NONE, |s, e| s.to(e.key.span).to(e.node.span));
    Node::block(entries, span)
}

/// Gives what stands apart above the first statement of a sort to the entry that collects them: a blank line between it and
/// the statement says that it speaks of more than that.
fn lift(collector: &mut Entry) {
    let first = match &mut collector.node.value {
        Value::Block(entries) => entries.first_mut().map(|e| &mut e.trivia),
        Value::List(items) => items.first_mut().map(|i| &mut i.trivia),
        _ => None,
    };
    let (Some(slot), None) = (first, &collector.trivia) else { return };
    let Some(trivia) = slot else { return };
    if let Some(last) = trivia.above.iter().rposition(String::is_empty) {
        let above = trivia.above.drain(..=last).collect();
        *slot = slot.take().filter(|t| !t.is_empty());
        collector.trivia = boxed(Trivia { above, ..Trivia::default() });
    }
}

fn boxed(trivia: Trivia) -> Option<Box<Trivia>> {
    if trivia.is_empty() { None } else { Some(Box::new(trivia)) }
}

/// What a block belongs to: its keyword and what flags are asked of.
#[derive(Clone, Copy)]
struct Owner<'o> {
    /// The owner's name in the vocabulary.
    name: &'o str,
    /// The discipline whose classes stand in it.
    kind: &'o str,
    /// Whether leaves, classes and matches may stand in it: a class or a discipline.
    holds: bool,
    /// Whether it is an action of a rule, which `then` or `if` ends.
    acts: bool,
}

/// Words that start a line and never go on with an expression.
const STATEMENTS: [&str; 12] =
    ["rule", "filter", "class", "interface", "egress", "ingress", "both", "let", "match", "leaf", "profile", "include"];

const TOP: [&str; 10] =
    ["interface", "let", "set", "service", "include", "profile", "shapectl", "accept", "block", "shared"];

struct Reader<'s, 'a> {
    text: &'s str,
    file: FileId,
    vocabulary: &'a dyn Vocabulary,
    /// Answers of the vocabulary: large policies ask the same few questions very often.
    kinds: HashMap<&'s str, bool>,
    flags: HashMap<CompactString, HashMap<&'s str, bool>>,
    limits: &'a Limits,
    sink: &'a mut Sink,
    /// The next token and its bounds.
    token: Token<'s>,
    start: usize,
    end: usize,
    /// The end of the token before, and whether that was a `}`.
    taken: usize,
    closed: bool,
    /// At the start of a block or of the file, where blank lines mean nothing.
    fresh: bool,
    /// Nothing more is read or reported.
    stopped: bool,
    /// Inside of an expression, whose own reader reports what is wrong with its words.
    raw: bool,
    depth: usize,
    nodes: usize,
    errors: usize,
    broken: bool,
    /// Braces were found not to match; more of that is not said.
    unbalanced: bool,
    unwind: Option<Unwind>,
    /// The opening of the first block whose `}` stands further left than the line it was opened on.
    suspect: Option<Span>,
    /// Comments that the statement being read has inside of it.
    beside: Option<String>,
    below: Vec<String>,
    /// Comments that found no place, for the next statement.
    carried: Vec<String>,
}

impl<'s> Reader<'s, '_> {
    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start, end)
    }

    /// The next token's place.
    fn here(&self) -> Span {
        self.span(self.start, self.end)
    }

    /// The place just after the last token: where something is missing.
    fn after(&self) -> Span {
        self.span(self.taken, self.taken)
    }

    /// A mistake that loses a part of the policy: what is missing is not to be reported by later stages.
    fn error(&mut self, diagnostic: Diagnostic) {
        self.broken = true;
        self.slip(diagnostic);
    }

    /// A mistake whose meaning is beyond doubt.
    fn slip(&mut self, diagnostic: Diagnostic) {
        if self.stopped {
            return;
        }
        self.errors += 1;
        self.sink.push(diagnostic);
        if self.errors >= ERRORS {
            self.stop();
        }
    }

    /// Reads no further.
    fn stop(&mut self) {
        self.broken = true;
        self.stopped = true;
        self.token = Token::End;
        self.start = self.text.len();
        self.end = self.text.len();
    }

    fn advance(&mut self) {
        self.taken = self.end;
        self.closed = self.token == Token::Mark('}');
        loop {
            (self.token, self.start, self.end) = lex(self.text, self.end);
            if self.raw {
                return;
            }
            match &self.token {
                Token::Bad(c) => {
                    let c = *c;
                    // One finding for a run of them, so that binary junk does not fill the screen.
                    let (start, mut end) = (self.start, self.end);
                    while let (Token::Bad(_), _, next) = lex(self.text, end) {
                        end = next;
                    }
                    self.end = end;
                    let message = format!("the character U+{:04X} has no place here", u32::from(c));
                    let d = Diagnostic::new(&SYNTAX, message).at(self.span(start, end), "");
                    let blank = c.is_whitespace();
                    self.slip(if blank { d.help("it looks like a blank; write an ordinary one") } else { d });
                    if self.token == Token::End {
                        return;
                    }
                }
                Token::Quoted { closed, bad_escape, .. } => {
                    let (closed, bad_escape) = (*closed, *bad_escape);
                    if !closed {
                        let d = Diagnostic::new(&SYNTAX, "a quote is not closed").at(self.here(), "opened here");
                        self.error(d.help("a quoted text ends on its line; write `\\n` for a line end inside of it"));
                    } else if let Some((at, length)) = bad_escape {
                        let span = self.span(self.start + at, self.start + at + length);
                        let message = format!(
                            "`{}` is no escape",
                            self.text.get(self.start + at..self.start + at + length).unwrap_or("")
                        );
                        let d = Diagnostic::new(&SYNTAX, message).at(span, "");
                        self.slip(d.help(lexis::ESCAPES));
                    }
                    return;
                }
                _ => return,
            }
        }
    }

    fn is_discipline(&mut self, word: &'s str) -> bool {
        *self.kinds.entry(word).or_insert_with(|| self.vocabulary.is_discipline(word))
    }

    fn is_flag(&mut self, owner: &str, word: &'s str) -> bool {
        if !self.flags.contains_key(owner) {
            self.flags.insert(owner.into(), HashMap::new());
        }
        let vocabulary = self.vocabulary;
        let known = self.flags.get_mut(owner);
        known.is_some_and(|k| *k.entry(word).or_insert_with(|| vocabulary.is_flag(owner, word)))
    }

    fn is_mark(&self, c: char) -> bool {
        self.token == Token::Mark(c)
    }

    fn word(&self) -> Option<&'s str> {
        match self.token {
            Token::Word(w) => Some(w),
            _ => None,
        }
    }

    /// Whether the statement ends here.
    fn at_end(&self) -> bool {
        matches!(self.token, Token::Line | Token::End | Token::Comment(_) | Token::Mark(';' | '}'))
    }

    /// The token after the next one.
    fn beyond(&self) -> Token<'s> {
        lex(self.text, self.end).0
    }

    /// What the next token is called in a message.
    fn shown(&self) -> String {
        match &self.token {
            Token::Line | Token::Comment(_) => "the line's end".to_owned(),
            Token::End => "the file's end".to_owned(),
            _ => format!("`{}`", self.text.get(self.start..self.end).unwrap_or("")),
        }
    }

    // Statements and what stands between them.

    /// Passes over comments and blank lines before a statement and keeps them.
    fn lines(&mut self) -> Vec<String> {
        let mut above = std::mem::take(&mut self.carried);
        let mut first = std::mem::take(&mut self.fresh);
        loop {
            match self.token {
                Token::Line => {
                    self.advance();
                    if !first && above.last().is_none_or(|l| !l.is_empty()) {
                        above.push(String::new());
                    }
                }
                Token::Comment(text) => {
                    above.push(document::comment(text));
                    self.advance();
                    self.end_of_line();
                }
                Token::Mark(';') => self.advance(),
                _ => return above,
            }
            first &= above.is_empty();
        }
    }

    fn end_of_line(&mut self) {
        if self.token == Token::Line {
            self.advance();
        }
    }

    /// The comment on the rest of the line, and the line's end.
    fn comment_beside(&mut self) -> Option<String> {
        let mut found = None;
        if let Token::Comment(text) = self.token {
            found = Some(document::comment(text));
            self.advance();
        }
        self.end_of_line();
        found
    }

    /// Ends a statement: reports what is left of it and gives the comments that belong to it.
    fn finish(&mut self) -> (Option<String>, Vec<String>) {
        if !self.at_end() && !self.closed && self.unwind.is_none() {
            let d = Diagnostic::new(&SYNTAX, format!("{} does not belong here", self.shown())).at(self.here(), "");
            self.error(d.help("end the statement with a line end or `;`"));
            self.sync();
        }
        if self.is_mark(';') {
            self.advance();
        }
        let mut beside = self.comment_beside();
        if let Some(inside) = self.beside.take()
            && let Some(second) = beside.replace(inside)
        {
            self.carried.push(second);
        }
        (beside, std::mem::take(&mut self.below))
    }

    /// Passes over the rest of a statement, with the blocks in it.
    fn sync(&mut self) {
        let mut depth = 0usize;
        loop {
            match self.token {
                Token::End => return,
                Token::Line | Token::Mark(';' | '}') | Token::Comment(_) if depth == 0 => return,
                Token::Mark('{' | '[' | '(') => depth += 1,
                Token::Mark('}' | ']' | ')') => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.advance();
        }
    }

    /// Counts a value; too many of them end the reading.
    fn count(&mut self) {
        self.nodes += 1;
        if self.nodes == self.limits.nodes {
            let message = format!("more than {} values in one file", self.limits.nodes);
            self.error(Diagnostic::new(&FILE_TOO_LARGE, message).at(self.here(), "here"));
            self.stop();
        }
    }

    /// Goes one level down, within the bound.
    fn deeper<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.depth >= self.limits.depth {
            let message = format!("blocks are nested more than {} levels deep", self.limits.depth);
            self.error(Diagnostic::new(&TOO_DEEP, message).at(self.here(), "here"));
            self.stop();
            return None;
        }
        self.depth += 1;
        let result = f(self);
        self.depth -= 1;
        Some(result)
    }

    /// A `{ … }` with a statement reader for what is in it. The `{` is next.
    fn braces(&mut self, level: Option<Unwind>, mut statement: impl FnMut(&mut Self, Vec<String>)) {
        let open = self.here();
        self.advance();
        let beside = self.comment_beside();
        self.fresh = true;
        self.deeper(|r| {
            loop {
                let above = r.lines();
                if level.is_some() && r.unwind == level {
                    r.unwind = None;
                }
                if r.unwind.is_some() {
                    r.carried = above;
                    return;
                }
                match r.token {
                    Token::Mark('}') => {
                        r.compare(open);
                        r.advance();
                        r.below = trimmed(above);
                        r.beside = beside.clone();
                        return;
                    }
                    Token::End => {
                        r.unclosed(open);
                        return;
                    }
                    Token::Word(word @ ("and" | "or")) => {
                        let message = format!("`{word}` starts no statement");
                        let d = Diagnostic::new(&SYNTAX, message).at(r.here(), "");
                        r.error(d.help(format!(
                            "a match goes on after a trailing `{word}`: move it to the end of the line above"
                        )));
                        r.sync();
                        r.finish();
                    }
                    _ => {
                        let before = r.start;
                        statement(r, above);
                        if r.start == before && !matches!(r.token, Token::End) && r.unwind.is_none() && !r.is_mark('}')
                        {
                            r.advance(); // No statement reader may stand still.
                        }
                    }
                }
            }
        });
    }

    /// Notes a block whose `}` starts its line further left than the line of its `{` does.
    fn compare(&mut self, open: Span) {
        let line = |at: usize| self.text.get(..at).unwrap_or("").rfind('\n').map_or(0, |n| n + 1);
        let indent = |from: usize| {
            let rest = self.text.get(from..).unwrap_or("");
            rest.len() - rest.trim_start_matches([' ', '\t']).len()
        };
        // Looking back for the line's start costs the length of the line; long lines are not compared.
        let near = |at: usize| self.text.get(at.saturating_sub(400)..at).is_some_and(|t| t.contains('\n'));
        if self.suspect.is_some() || !near(self.start) {
            return;
        }
        let closing = line(self.start);
        if closing + indent(closing) == self.start && near(open.start as usize) {
            let opening = line(open.start as usize);
            if opening != closing && indent(closing) < indent(opening) {
                self.suspect = Some(open);
            }
        }
    }

    /// Reports the end of the file inside of a block, once.
    fn unclosed(&mut self, open: Span) {
        if self.unbalanced {
            return;
        }
        let open = self.suspect.unwrap_or(open);
        let d = Diagnostic::new(&SYNTAX, "a `}` is missing")
            .at(self.span(self.text.len(), self.text.len()), "the file ends here");
        self.error(d.at(open, "this block is not closed"));
        self.unbalanced = true;
    }

    /// Reports a keyword that shows that a block above was not closed.
    fn unwinds(&mut self, open: Option<Span>, to: Unwind) {
        let d = Diagnostic::new(&SYNTAX, format!("a `}}` is missing before {}", self.shown()))
            .at(self.here(), "it cannot stand inside of the open block");
        let d = match self.suspect.or(open) {
            Some(open) => d.at(open, "this block is not closed"),
            None => d,
        };
        self.error(d);
        self.unbalanced = true;
        self.unwind = Some(to);
        self.suspect = None;
    }

    // The top.

    fn document(&mut self) -> Document {
        let mut root = Body::default();
        let mut stray = false;
        loop {
            let above = self.lines();
            self.unwind = None;
            match self.token {
                Token::End => {
                    let tail = trimmed(above);
                    if root.entries.is_empty() && self.errors == 0 {
                        let d = Diagnostic::new(&EMPTY_FILE, "the file holds no policy").at(self.span(0, 0), "empty");
                        self.error(d.help("start with an interface: `interface eth0 { egress fq_codel }`"));
                    }
                    root.entries.iter_mut().for_each(lift);
                    let root = root.node(self.span(0, self.text.len()));
                    return Document { root, tail };
                }
                Token::Mark('}') => {
                    if !self.unbalanced && !stray {
                        let d =
                            Diagnostic::new(&SYNTAX, "a `}` without its `{`").at(self.here(), "no block is open here");
                        let d = match self.suspect {
                            Some(open) => d.at(open, "the block opened here was closed too early"),
                            None => d,
                        };
                        self.error(d);
                        stray = true;
                        self.unbalanced = true;
                    }
                    self.advance();
                    self.carried = above;
                }
                Token::Word(word) => {
                    let before = self.start;
                    self.top(word, above, &mut root);
                    if self.start == before && self.token != Token::End {
                        self.advance();
                    }
                }
                _ => {
                    let d = Diagnostic::new(&SYNTAX, format!("{} starts no statement", self.shown()));
                    let d = d.at(self.here(), "");
                    self.error(d.help("a policy holds `interface`, `let`, `set`, `profile`, `include`"));
                    self.advance();
                    self.sync();
                    self.finish();
                }
            }
        }
    }

    fn top(&mut self, word: &'s str, above: Vec<String>, root: &mut Body) {
        let at = self.here();
        let word = match TOP.iter().find(|t| **t == word) {
            Some(word) => word,
            None => {
                let Some(known) = self.unknown_top(word) else {
                    self.advance();
                    self.sync();
                    self.finish();
                    return;
                };
                known
            }
        };
        self.advance();
        let trivia = |(beside, below): (Option<String>, Vec<String>)| boxed(Trivia { above, beside, below });
        match word {
            "shapectl" => {
                if let Some(node) = self.value(word, at) {
                    let trivia = trivia(self.finish());
                    root.entries.push(Entry { key: Spanned::new("shapectl".into(), at), node, trivia });
                    return;
                }
            }
            "let" | "set" | "service" => {
                if let Some((key, node)) = self.definition(word, at) {
                    let trivia = trivia(self.finish());
                    let collector = match word {
                        "let" => "let",
                        "set" => "sets",
                        _ => "services",
                    };
                    root.put(collector, at, Entry { key, node, trivia });
                    return;
                }
            }
            "include" | "accept" => {
                let mut nodes = Vec::new();
                loop {
                    match self.value(word, at) {
                        Some(Node { value: Value::List(items), .. }) => nodes.extend(items.into_iter().map(|i| i.node)),
                        Some(node) => nodes.push(node),
                        None => break,
                    }
                    if self.is_mark(',') {
                        self.advance();
                    }
                    if self.at_end() {
                        break;
                    }
                }
                let mut trivia = trivia(self.finish());
                let collector = if word == "accept" { "accept" } else { "include" };
                for node in nodes {
                    root.add(collector, at, Item { node, trivia: trivia.take() });
                }
                return;
            }
            "profile" => {
                if let Some(key) = self.name("profile", at) {
                    // The kind whose classes will use it is not known here; htb's are the ones with most options.
                    let node = self.class_body(&key, "htb");
                    let trivia = trivia(self.finish());
                    root.put("profiles", at, Entry { key, node, trivia });
                    return;
                }
            }
            "block" | "shared" => {
                let (keyword, all) = if word == "block" { ("block", "blocks") } else { ("shared", "shared") };
                if let Some(key) = self.name(keyword, at) {
                    let node = self.direction(keyword, at);
                    let trivia = trivia(self.finish());
                    let node = node.unwrap_or(Node { span: key.span, value: Value::Null });
                    root.put(all, at, Entry { key, node, trivia });
                    return;
                }
            }
            _ => {
                if let Some(key) = self.name("interface", at) {
                    let node = self.interface(&key);
                    let trivia = trivia(self.finish());
                    root.put("interfaces", at, Entry { key, node, trivia });
                    return;
                }
            }
        }
        self.sync();
        self.finish();
    }

    /// Reports a word that starts no statement at the top; gives the keyword that was probably meant.
    fn unknown_top(&mut self, word: &str) -> Option<&'static str> {
        let at = self.here();
        let plain = word.trim_end_matches(':');
        let meant = match plain {
            "interfaces" => Some("interface"),
            "sets" => Some("set"),
            "services" => Some("service"),
            "profiles" => Some("profile"),
            "iface" | "device" | "dev" => Some("interface"),
            _ => TOP.iter().copied().find(|t| *t == plain).or_else(|| names::nearest(plain, TOP)),
        };
        if plain.len() < word.len() {
            let d =
                Diagnostic::new(&SYNTAX, format!("`{word}` looks like YAML, and this file is in the DSL")).at(at, "");
            self.error(d.help("name a YAML policy `….yaml`; in the DSL write `interface eth0 { … }`"));
            self.stop();
            return None;
        }
        if matches!(plain, "egress" | "ingress" | "both" | "link" | "class" | "rule" | "leaf" | "match") {
            let inside = if matches!(plain, "egress" | "ingress" | "both" | "link") {
                "`interface NAME { … }`"
            } else {
                "`egress { … }`"
            };
            let d = Diagnostic::new(&SYNTAX, format!("`{plain}` stands outside of an interface")).at(at, "");
            self.error(d.help(format!("write it inside of {inside}")));
            self.unbalanced = true; // Most likely a `}` too many above; what follows would only repeat it.
            return None;
        }
        let d = Diagnostic::new(&SYNTAX, format!("`{word}` starts no statement")).at(at, "");
        self.broken |= meant.is_none();
        self.slip(match meant {
            Some(meant) => d.help(format!("did you mean `{meant}`?")),
            None => d.help("a policy holds `interface`, `let`, `set`, `profile`, `include`"),
        });
        meant
    }

    /// A name after its keyword.
    fn name(&mut self, keyword: &str, at: Span) -> Option<Name> {
        let span = self.here();
        let name: Name = match &self.token {
            Token::Word(w) => {
                let plain = w.trim_end_matches(':');
                if plain.len() < w.len() && !plain.is_empty() {
                    let colon = self.span(self.start + plain.len(), self.end);
                    let d = Diagnostic::new(&SYNTAX, format!("no `:` after `{plain}` in the DSL")).at(colon, "");
                    let help = format!("write `{keyword} {plain} …`");
                    let name = Spanned::new(plain.into(), self.span(self.start, self.start + plain.len()));
                    self.slip(d.help(help));
                    self.advance();
                    return Some(name);
                }
                Spanned::new((*w).into(), span)
            }
            Token::Quoted { text, .. } => Spanned::new(text.as_ref().into(), span),
            _ => {
                let d = Diagnostic::new(&SYNTAX, format!("`{keyword}` is given no name")).at(at, "a name must follow");
                let example = match keyword {
                    "interface" => "interface eth0 { … }",
                    "let" => "let up = 2mbit",
                    "set" => "set office = { 192.0.2.0/24 }",
                    "profile" => "profile gold rate 1mbit",
                    _ => "class ssh rate 128kbit",
                };
                self.error(d.help(format!("as in `{example}`")));
                return None;
            }
        };
        self.advance();
        Some(name)
    }

    /// `let NAME = VALUE`, `set NAME = { … }`.
    fn definition(&mut self, keyword: &str, at: Span) -> Option<(Name, Node)> {
        let mut key = self.name(keyword, at)?;
        if let Some(plain) = key.value.strip_prefix('$').or_else(|| key.value.strip_prefix('@')) {
            let d = Diagnostic::new(
                &SYNTAX,
                format!("`{}` is defined without its `{}`", plain, &key.value.chars().next().unwrap_or('$')),
            );
            let help = format!("write `{keyword} {plain} = …`");
            let plain = plain.into();
            self.slip(d.at(key.span, "").help(help));
            key.value = plain;
        }
        if let ("set", Token::Word("file")) = (keyword, &self.token) {
            let at = self.here();
            self.advance();
            let path = self.value("file", at)?;
            let span = at.to(path.span);
            return Some((key, Node::block(vec![Entry::new(Spanned::new("file".into(), at), path)], span)));
        }
        if self.is_mark('=') {
            self.advance();
        } else if self.at_end() {
            let d = Diagnostic::new(&SYNTAX, format!("`{}` is given no value", key.value)).at(key.span, "");
            self.error(d.help(format!("write `{keyword} {} = …`", key.value)));
            return None;
        } else {
            let d = Diagnostic::new(&SYNTAX, format!("`=` is missing after `{}`", key.value))
                .at(self.here(), "before this");
            self.slip(d.help(format!("write `{keyword} {} = …`", key.value)));
        }
        let node = if keyword == "set" && self.is_mark('{') {
            self.list('}')?
        } else if keyword == "service" && !matches!(self.token, Token::Quoted { .. }) {
            self.raw_text(false)?
        } else {
            self.value(&key.value.clone(), key.span)?
        };
        if keyword == "let" && matches!(self.token, Token::Word(_) | Token::Mark(',')) {
            let d = Diagnostic::new(&SYNTAX, "a `let` has one value").at(self.here(), "a second one");
            self.error(d.help("quote a text of several words; write a list as `[A, B]`"));
            self.sync();
        }
        Some((key, node))
    }

    // Interfaces and directions.

    /// Goes to the `{` that must follow, over line ends; reports it missing.
    fn expect_block(&mut self, what: &str, at: Span) -> bool {
        if self.is_mark('{') || self.opens_below() {
            return true;
        }
        let d = Diagnostic::new(&SYNTAX, format!("{what} is given no block")).at(self.after(), "`{` must follow");
        self.error(d.at(at, ""));
        false
    }

    /// Whether the next thing after the line's end is a `{`, which then belongs to this statement; goes there if so.
    fn opens_below(&mut self) -> bool {
        if !matches!(self.token, Token::Line | Token::Comment(_)) {
            return false;
        }
        let mut at = self.start;
        loop {
            match lex(self.text, at) {
                (Token::Line | Token::Comment(_), _, end) => at = end,
                (Token::Mark('{'), ..) => break,
                _ => return false,
            }
        }
        while !self.is_mark('{') {
            if let Token::Comment(text) = self.token {
                self.carried.push(document::comment(text));
            }
            self.advance();
        }
        true
    }

    fn interface(&mut self, name: &Name) -> Node {
        let mut body = Body::default();
        if !self.expect_block("`interface`", name.span) {
            return body.node(name.span);
        }
        self.braces(Some(Unwind::Interface), |r, above| {
            let at = r.here();
            let Some(word) = r.word() else {
                let d = Diagnostic::new(&SYNTAX, format!("{} starts no statement", r.shown())).at(at, "");
                r.error(d.help("an interface holds `link`, `egress`, `ingress` or `both`"));
                r.advance();
                r.sync();
                r.finish();
                return;
            };
            let known = ["link", "egress", "ingress", "both"];
            let keyword = match word.trim_end_matches(':') {
                "interface" => {
                    r.carried = above;
                    return r.unwinds(None, Unwind::Top);
                }
                plain => match known.iter().find(|k| **k == plain) {
                    Some(k) => {
                        if plain.len() < word.len() {
                            r.colon(word);
                        }
                        *k
                    }
                    None => {
                        let d = Diagnostic::new(&SYNTAX, format!("`{word}` does not stand in an interface")).at(at, "");
                        let meant = names::nearest(word, known);
                        r.broken |= meant.is_none();
                        r.slip(match meant {
                            Some(meant) => d.help(format!("did you mean `{meant}`?")),
                            None if r.vocabulary.is_discipline(word) || matches!(word, "class" | "rule") => {
                                d.help(format!("write `egress {{ {word} … }}`"))
                            }
                            None => d.help("an interface holds `link`, `egress`, `ingress` or `both`"),
                        });
                        match meant {
                            Some(meant) => meant,
                            None => {
                                r.advance();
                                r.sync();
                                r.finish();
                                return;
                            }
                        }
                    }
                },
            };
            r.advance();
            let node = if keyword == "link" { r.link(at) } else { r.direction(keyword, at) };
            let (beside, below) = r.finish();
            let Some(node) = node else { return };
            let trivia = boxed(Trivia { above, beside, below });
            body.entries.push(Entry { key: Spanned::new(keyword.into(), at), node, trivia });
        });
        body.node(name.span)
    }

    fn colon(&mut self, word: &str) {
        let plain = word.trim_end_matches(':');
        let span = self.span(self.start + plain.len(), self.end);
        let d = Diagnostic::new(&SYNTAX, format!("no `:` after `{plain}` in the DSL")).at(span, "");
        self.slip(d.help(format!("write `{plain} …`")));
    }

    fn link(&mut self, at: Span) -> Option<Node> {
        let mut body = Body::default();
        let owner = Owner { name: "link", kind: "", holds: false, acts: false };
        self.options(owner, &mut body);
        if self.is_mark('{') {
            self.option_block(owner, &mut body);
        } else if body.entries.is_empty() {
            self.missing("link", at, "link rate 2mbit");
            return None;
        }
        Some(body.node(at))
    }

    fn missing(&mut self, word: &str, at: Span, example: &str) {
        let d = Diagnostic::new(&SYNTAX, format!("`{word}` is given no value")).at(at, "a value must follow");
        self.error(if example.is_empty() { d } else { d.help(format!("as in `{example}`")) });
    }

    /// What follows `egress`, `ingress`, `both` or `shape`: a block, or one discipline or action.
    fn direction(&mut self, keyword: &str, at: Span) -> Option<Node> {
        if self.is_mark('{') || (self.at_end() && self.opens_below()) {
            let mut body = Body::default();
            let open = self.here();
            self.braces(Some(Unwind::Direction), |r, above| r.in_direction(keyword, open, above, &mut body));
            return Some(body.node(at));
        }
        if self.at_end() {
            let example =
                if keyword == "ingress" { "ingress police rate 20mbit burst 625000b" } else { "egress fq_codel" };
            self.missing(keyword, at, example);
            return None;
        }
        self.thing(keyword).map(|entry| match entry.node.value {
            Value::Null => Node::word(entry.key.value, entry.key.span),
            _ => block(vec![entry]),
        })
    }

    /// A statement in the block of a direction.
    fn in_direction(&mut self, keyword: &str, open: Span, above: Vec<String>, body: &mut Body) {
        let at = self.here();
        match self.word().map(|w| w.trim_end_matches(':')) {
            Some("rule") => {
                self.advance();
                let node = self.rule(at);
                if node.is_none() {
                    self.sync();
                }
                let (beside, below) = self.finish();
                if let Some(node) = node {
                    body.add("rules", at, Item { node, trivia: boxed(Trivia { above, beside, below }) });
                }
            }
            Some("filter") => {
                self.advance();
                let node = self.filter(at);
                if node.is_none() {
                    self.sync();
                }
                let (beside, below) = self.finish();
                if let Some(node) = node {
                    body.add("filters", at, Item { node, trivia: boxed(Trivia { above, beside, below }) });
                }
            }
            Some("interface") => {
                self.carried = above;
                self.unwinds(Some(open), Unwind::Top);
            }
            Some("egress" | "ingress" | "both") => {
                self.carried = above;
                self.unwinds(Some(open), Unwind::Interface);
            }
            Some("class") => {
                let d = Diagnostic::new(&SYNTAX, "a class stands in its discipline").at(at, "");
                self.error(d.help(format!("write `{keyword} {{ htb {{ class … }} }}`")));
                self.advance();
                self.sync();
                self.finish();
            }
            _ => {
                let entry = self.thing(keyword);
                let (beside, below) = self.finish();
                if let Some(mut entry) = entry {
                    entry.trivia = boxed(Trivia { above, beside, below });
                    body.entries.push(entry);
                }
            }
        }
    }

    /// `filter KIND` with what it wants, on its line and in a block.
    fn filter(&mut self, at: Span) -> Option<Node> {
        let Some(word) = self.word() else {
            self.missing("filter", at, "filter u32 prio 10 protocol ip match \"ip dport 22 0xffff\" flowid ssh");
            return None;
        };
        let key = Spanned::new(word.into(), self.here());
        self.advance();
        self.count();
        let mut body = Body::default();
        let flags = format!("{word} filter");
        let owner = Owner { name: &flags, kind: "", holds: false, acts: false };
        self.options(owner, &mut body);
        if self.is_mark('{') || (self.at_end() && self.opens_below()) {
            self.option_block(owner, &mut body);
        }
        let node = body.node(key.span);
        Some(block(vec![Entry::new(key, node)]))
    }

    /// A discipline, an action or `shape` by its word. Whether there is such a kind is the policy reader's question.
    fn thing(&mut self, keyword: &str) -> Option<Entry> {
        let at = self.here();
        let Some(word) = self.word() else {
            let d = Diagnostic::new(&SYNTAX, format!("{} is no discipline", self.shown())).at(at, "");
            self.error(d.help(format!("write `{keyword} KIND …` or `{keyword} {{ … }}`")));
            self.advance();
            self.sync();
            return None;
        };
        let plain = word.trim_end_matches(':');
        if plain.len() < word.len() {
            self.colon(word);
        }
        self.advance();
        self.count();
        let key = Spanned::new(plain.into(), self.span(at.start as usize, at.start as usize + plain.len()));
        let node = match (keyword, plain, self.vocabulary.action(plain)) {
            ("ingress", "shape", _) => self.direction("shape", at)?,
            ("leaf", "up" | "down", _) => self.direction(plain, at)?,
            ("egress" | "ingress", "shared", _) => self.value(plain, at)?,
            ("ingress", "hook" | "block" | "egress_block", _) | (_, "classifier", _) => self.value(plain, at)?,
            ("ingress", _, Some(arity)) => self.action_value(plain, arity, at)?,
            _ => self.discipline(&key),
        };
        Some(Entry::new(key, node))
    }

    // Disciplines, classes and their options.

    /// The options and the block of a discipline; nothing if it is bare.
    fn discipline(&mut self, kind: &Name) -> Node {
        let mut body = Body::default();
        let owner = Owner { name: &kind.value, kind: &kind.value, holds: true, acts: false };
        self.options(owner, &mut body);
        if self.is_mark('{') || (self.at_end() && self.opens_below()) {
            self.holding_block(owner, &mut body);
        }
        body.node(kind.span)
    }

    /// The options and the block of a class.
    fn class_body(&mut self, name: &Name, kind: &str) -> Node {
        let mut body = Body::default();
        let flags = format!("{kind} class");
        let owner = Owner { name: &flags, kind, holds: true, acts: false };
        self.options(owner, &mut body);
        if self.is_mark('{') || (self.at_end() && self.opens_below()) {
            self.holding_block(owner, &mut body);
        }
        body.node(name.span)
    }

    /// The block of a discipline or class.
    fn holding_block(&mut self, owner: Owner, body: &mut Body) {
        let open = self.here();
        self.braces(None, |r, above| r.in_holder(owner, open, above, body));
    }

    /// A statement in the block of a discipline or class.
    fn in_holder(&mut self, owner: Owner, open: Span, above: Vec<String>, body: &mut Body) {
        let at = self.here();
        match self.word() {
            Some("class") if !matches!(self.beyond(), Token::Mark('=')) => {
                self.advance();
                let Some(key) = self.name("class", at) else {
                    self.sync();
                    self.finish();
                    return;
                };
                self.count();
                let node = self.class_body(&key, owner.kind);
                let (beside, below) = self.finish();
                body.put("classes", at, Entry { key, node, trivia: boxed(Trivia { above, beside, below }) });
            }
            Some("interface") => {
                self.carried = above;
                self.unwinds(Some(open), Unwind::Top);
            }
            Some("egress" | "ingress" | "both") => {
                self.carried = above;
                self.unwinds(Some(open), Unwind::Interface);
            }
            Some("rule") if self.suspect.is_some() => {
                self.carried = above;
                self.unwinds(Some(open), Unwind::Direction);
            }
            Some("rule") => {
                let d = Diagnostic::new(&SYNTAX, "a rule does not stand in a discipline or class").at(at, "");
                self.error(d.help("write it beside the discipline, in `egress { … }`; a class takes `match …`"));
                self.advance();
                self.rule(at);
                self.finish();
            }
            Some("classes" | "leaves" | "rules") if self.beyond() == Token::Mark('{') => {
                let word = self.word().unwrap_or("");
                let single = match word {
                    "classes" => "class NAME …",
                    "leaves" => "leaf NAME KIND …",
                    _ => "rule class NAME if …",
                };
                let d = Diagnostic::new(&SYNTAX, format!("`{word}` is YAML's word")).at(at, "");
                self.error(d.help(format!("in the DSL write `{single}` for each of them")));
                self.advance();
                self.sync();
                self.finish();
            }
            _ => {
                let from = body.entries.len();
                let collected = self.options_or_leaf(owner, body);
                let (beside, below) = self.finish();
                let mut trivia = Trivia { above, beside, below };
                if trivia.is_empty() {
                    return;
                }
                // Comments above belong to the first option of the line, those beside and below to the last.
                let last = body.entries.len().checked_sub(1);
                match (collected, last) {
                    (true, _) => {
                        if let Some(Value::Block(leaves)) = body.collect("leaves", at, false).map(|n| &mut n.value)
                            && let Some(leaf) = leaves.last_mut()
                        {
                            leaf.trivia = boxed(trivia);
                        }
                    }
                    (false, Some(last)) if last >= from => {
                        if last > from {
                            let above = std::mem::take(&mut trivia.above);
                            if let Some(first) = body.entries.get_mut(from) {
                                first.trivia = boxed(Trivia { above, ..Trivia::default() });
                            }
                        }
                        if let Some(last) = body.entries.get_mut(last) {
                            last.trivia = boxed(trivia);
                        }
                    }
                    _ => {
                        self.carried = trivia.above;
                        self.carried.extend(trivia.beside);
                        self.carried.extend(trivia.below);
                    }
                }
            }
        }
    }

    /// One line of options in a block; true if it was a leaf with a name, which goes among the leaves.
    fn options_or_leaf(&mut self, owner: Owner, body: &mut Body) -> bool {
        let before = body.collected.len();
        let leaves =
            |b: &Body| match b.collected.iter().find(|(k, _)| *k == "leaves").and_then(|(_, i)| b.entries.get(*i)) {
                Some(Entry { node: Node { value: Value::Block(l), .. }, .. }) => l.len(),
                _ => 0,
            };
        let count = leaves(body);
        self.options(owner, body);
        let named = leaves(body) > count;
        if self.is_mark('{') && !named && body.collected.len() == before {
            let d = Diagnostic::new(&SYNTAX, "a block that belongs to nothing").at(self.here(), "");
            self.error(d.help("a block follows a kind, a class or an option: `class NAME { … }`"));
            self.sync();
        }
        named
    }

    /// Options up to the statement's end or a `{`.
    fn options(&mut self, owner: Owner, body: &mut Body) {
        while !self.at_end() && !self.is_mark('{') && self.unwind.is_none() {
            let at = self.here();
            match self.word() {
                Some("match") if owner.holds => {
                    let node = self.expression("match", at);
                    if let Some(node) = node {
                        body.entries.push(Entry::new(Spanned::new("match".into(), at), node));
                    }
                    return;
                }
                Some("leaf") if owner.holds => {
                    self.advance();
                    self.leaf(at, body);
                    return;
                }
                Some(kind) if owner.holds && self.starts_leaf(kind) => {
                    self.advance();
                    let key = Spanned::new(kind.into(), at);
                    let node = self.leaf_value(key);
                    body.entries.push(Entry::new(Spanned::new("leaf".into(), at), node));
                    return;
                }
                Some("class") if owner.holds => {
                    let d = Diagnostic::new(&SYNTAX, "a class stands in a block").at(at, "");
                    self.error(d.help("write `{ class NAME … }`"));
                    self.sync();
                    return;
                }
                Some("if" | "then") if owner.acts => return,
                _ => {}
            }
            let before = self.start;
            match self.option(owner) {
                Some(entry) => body.entries.push(entry),
                None if self.start == before => {
                    self.sync();
                    return;
                }
                None => {}
            }
        }
    }

    /// Whether a discipline's name starts a leaf here: `prio` is also an option of classes, and then a number follows.
    fn starts_leaf(&mut self, word: &'s str) -> bool {
        self.is_discipline(word)
            && match self.beyond() {
                Token::Word(next) => !next.starts_with(|c: char| c.is_ascii_digit() || c == '$'),
                Token::Mark('=') => false,
                _ => true,
            }
    }

    /// What follows `leaf`: a kind, or a band's name and a kind.
    fn leaf(&mut self, at: Span, body: &mut Body) {
        let span = self.here();
        if self.is_mark('{') {
            if let Some(node) = self.leaf_block(at) {
                body.entries.push(Entry::new(Spanned::new("leaf".into(), at), node));
            }
            return;
        }
        let (name, quoted): (Name, bool) = match &self.token {
            Token::Word(w) => (Spanned::new((*w).into(), span), false),
            Token::Quoted { text, .. } => (Spanned::new(text.as_ref().into(), span), true),
            _ => return self.missing("leaf", at, "leaf sfq perturb 10s"),
        };
        self.advance();
        let known = !quoted && self.vocabulary.is_discipline(&name.value);
        let number = name.value.bytes().all(|b| b.is_ascii_digit());
        let kind_follows = self.word().is_some_and(|w| self.vocabulary.is_discipline(w));
        if known || !(quoted || number || kind_follows || self.is_mark('{')) {
            let node = self.leaf_value(name);
            body.entries.push(Entry::new(Spanned::new("leaf".into(), at), node));
            return;
        }
        let node = if self.is_mark('{') {
            self.leaf_block(at)
        } else if let Some(kind) = self.word() {
            let key = Spanned::new(kind.into(), self.here());
            self.advance();
            Some(self.leaf_value(key))
        } else {
            let d =
                Diagnostic::new(&SYNTAX, format!("the leaf `{}` is given no discipline", name.value)).at(name.span, "");
            self.error(d.help(format!("as in `leaf {} sfq perturb 10s`", name.value)));
            None
        };
        if let Some(node) = node {
            self.count();
            body.put("leaves", at, Entry::new(name, node));
        }
    }

    /// A discipline as a value: a word if it is bare.
    fn leaf_value(&mut self, kind: Name) -> Node {
        self.count();
        let node = self.deeper(|r| r.discipline(&kind)).unwrap_or(Node { span: kind.span, value: Value::Null });
        match node.value {
            Value::Null => Node::word(kind.value, kind.span),
            _ => block(vec![Entry::new(kind, node)]),
        }
    }

    /// `leaf { sfq perturb 10s }`.
    fn leaf_block(&mut self, at: Span) -> Option<Node> {
        let mut entries = Vec::new();
        self.braces(None, |r, above| {
            let entry = r.thing("leaf");
            let (beside, below) = r.finish();
            if let Some(mut entry) = entry {
                entry.trivia = boxed(Trivia { above, beside, below });
                entries.push(entry);
            }
        });
        if entries.is_empty() && !self.unbalanced {
            self.missing("leaf", at, "leaf sfq perturb 10s");
            return None;
        }
        Some(block(entries))
    }

    /// The block of options of something that holds nothing else.
    fn option_block(&mut self, owner: Owner, body: &mut Body) {
        self.braces(None, |r, above| {
            let from = body.entries.len();
            r.options(owner, body);
            if r.is_mark('{') {
                let d = Diagnostic::new(&SYNTAX, "a block that belongs to nothing").at(r.here(), "");
                r.error(d.help("write the option before its block"));
                r.sync();
            }
            let (beside, below) = r.finish();
            if let Some(first) = body.entries.get_mut(from) {
                first.trivia = boxed(Trivia { above, ..Trivia::default() });
            } else {
                r.carried = above;
            }
            if body.entries.len() > from
                && let Some(last) = body.entries.last_mut()
                && (beside.is_some() || !below.is_empty())
            {
                let mut trivia = last.trivia.take().map(|t| *t).unwrap_or_default();
                trivia.beside = beside;
                trivia.below = below;
                last.trivia = boxed(trivia);
            }
        });
    }

    /// One option: its word and its value, or a flag.
    fn option(&mut self, owner: Owner) -> Option<Entry> {
        let at = self.here();
        let (key, plain): (Name, Option<&'s str>) = match &self.token {
            Token::Word(w) => {
                let plain = w.trim_end_matches(':');
                if plain.is_empty() {
                    let d = Diagnostic::new(&SYNTAX, "a `:` that belongs to nothing").at(at, "");
                    self.error(d.help("the DSL writes an option and its value without `:`"));
                    self.advance();
                    return None;
                }
                let span = self.span(self.start, self.start + plain.len());
                if plain.len() < w.len() {
                    let colon = self.span(self.start + plain.len(), self.end);
                    let value = match self.beyond() {
                        Token::Word(v) => v,
                        _ => "VALUE",
                    };
                    let d = Diagnostic::new(&SYNTAX, format!("no `:` after `{plain}` in the DSL")).at(colon, "");
                    let help = format!("write `{plain} {value}`");
                    self.slip(d.help(help));
                }
                (Spanned::new(plain.into(), span), Some(plain))
            }
            Token::Quoted { text, .. } => (Spanned::new(text.as_ref().into(), at), None),
            Token::Mark(',') => {
                let d = Diagnostic::new(&SYNTAX, "no `,` between options").at(at, "");
                self.slip(d.help("options are parted by blanks: `rate 1mbit ceil 2mbit`; a list is `[A, B]`"));
                self.advance();
                return None;
            }
            Token::Mark('=') => {
                let d = Diagnostic::new(&SYNTAX, "no `=` between an option and its value").at(at, "");
                self.slip(d.help("write them side by side: `rate 1mbit`"));
                self.advance();
                return None;
            }
            _ => {
                let d = Diagnostic::new(&SYNTAX, format!("{} does not belong here", self.shown())).at(at, "");
                self.error(d);
                self.advance();
                return None;
            }
        };
        self.advance();
        self.count();
        if self.is_mark('=') {
            let d = Diagnostic::new(&SYNTAX, format!("no `=` after `{}`", key.value)).at(self.here(), "");
            let value = match self.beyond() {
                Token::Word(v) => v,
                _ => "VALUE",
            };
            let help = format!("write `{} {value}`", key.value);
            self.slip(d.help(help));
            self.advance();
        }
        if plain.is_some_and(|word| self.is_flag(owner.name, word)) {
            let node = match self.word() {
                Some(w @ ("yes" | "no" | "on" | "off" | "true" | "false")) => {
                    let node = Node::word(w, self.here());
                    self.advance();
                    node
                }
                _ => Node::word("yes", key.span),
            };
            return Some(Entry::new(key, node));
        }
        let node = match (key.value.as_str(), self.word(), self.beyond()) {
            ("fair", Some("by"), Token::Word(by)) => {
                let start = self.start;
                self.advance();
                let node = Node::word(format!("by {by}"), self.span(start, self.end));
                self.advance();
                node
            }
            _ => self.value(&key.value, key.span)?,
        };
        if self.is_mark(',') {
            self.loose_list(&key);
        }
        Some(Entry::new(key, node))
    }

    /// `bands high, medium, low`: a list without its brackets.
    fn loose_list(&mut self, key: &Name) {
        let comma = self.here();
        let mut listed = false;
        while self.is_mark(',') {
            self.advance();
            if self.word().is_some() && !matches!(self.beyond(), Token::Word(_) | Token::Quoted { .. }) {
                listed = true;
                self.advance();
            }
        }
        let d = Diagnostic::new(&SYNTAX, "a `,` outside of a list").at(comma, "");
        self.broken |= listed;
        self.slip(if listed {
            d.help(format!("write a list as `{} [A, B]`", key.value))
        } else {
            d.help("options are parted by blanks: `rate 1mbit ceil 2mbit`")
        });
    }

    /// A value: a word, a quoted text, a list or a block.
    fn value(&mut self, key: &str, at: Span) -> Option<Node> {
        let span = self.here();
        self.count();
        let node = match &self.token {
            Token::Word(w) => Node::word(*w, span),
            Token::Quoted { text, closed, .. } => {
                // The place of the text without its quotes, so that places inside of it can be told.
                let inner = self.span(self.start + 1, if *closed { self.end - 1 } else { self.end });
                Node::quoted(text.as_ref(), inner)
            }
            Token::Mark('[') => return self.list(']'),
            Token::Mark('{') if self.braces_hold_list() => return self.list('}'),
            Token::Mark('{') => {
                let mut body = Body::default();
                self.option_block(Owner { name: "", kind: "", holds: false, acts: false }, &mut body);
                let whole = self.span(span.start as usize, self.taken);
                let node = body.node(whole);
                return Some(if node.value == Value::Null { Node::block(Vec::new(), whole) } else { node });
            }
            _ => {
                self.missing(key, at, "");
                return None;
            }
        };
        self.advance();
        Some(node)
    }

    /// Whether the braces that open here hold values and not options: after the first word comes `,`, `}` or the line's end.
    fn braces_hold_list(&self) -> bool {
        let mut at = self.end;
        loop {
            let (token, _, end) = lex(self.text, at);
            at = end;
            match token {
                Token::Line | Token::Comment(_) => {}
                Token::Word(_) | Token::Quoted { .. } => break,
                Token::Mark('[' | '{') => return true,
                _ => return false,
            }
        }
        matches!(lex(self.text, at).0, Token::Mark(',' | '}') | Token::Line | Token::Comment(_) | Token::End)
    }

    /// A list up to its closing mark; values are parted by `,` or line ends. The opening mark is next.
    fn list(&mut self, closes: char) -> Option<Node> {
        let open = self.here();
        self.advance();
        let mut items: Vec<Item> = Vec::new();
        let mut above: Vec<String> = Vec::new();
        self.deeper(|r| {
            let (mut parted, mut same_line) = (true, false);
            loop {
                match &r.token {
                    Token::Line => {
                        // A second line end in a row is a blank line.
                        if !same_line && !items.is_empty() && above.last().is_none_or(|l| !l.is_empty()) {
                            above.push(String::new());
                        }
                        parted = true;
                        same_line = false;
                        r.advance();
                    }
                    Token::Comment(text) => {
                        let text = document::comment(text);
                        match items.last_mut().filter(|_| same_line) {
                            Some(item) => item.trivia.get_or_insert_default().beside = Some(text),
                            None => above.push(text),
                        }
                        r.advance();
                        r.end_of_line();
                        parted = true;
                        same_line = false;
                    }
                    Token::Mark(',') => {
                        r.advance();
                        parted = true;
                    }
                    Token::Mark(c) if *c == closes => {
                        r.advance();
                        return;
                    }
                    Token::Word(_) | Token::Quoted { .. } | Token::Mark('[' | '{') => {
                        if !parted {
                            let d = Diagnostic::new(&SYNTAX, format!("a `,` is missing before {}", r.shown()))
                                .at(r.here(), "");
                            r.slip(d);
                        }
                        if let Some(node) = r.value("list", open) {
                            let above = trimmed_start(std::mem::take(&mut above));
                            let trivia = boxed(Trivia { above, ..Trivia::default() });
                            items.push(Item { node, trivia });
                        }
                        parted = false;
                        same_line = true;
                    }
                    Token::End => {
                        let d = Diagnostic::new(&SYNTAX, format!("a `{closes}` is missing"))
                            .at(r.here(), "the file ends here");
                        if !r.unbalanced {
                            r.error(d.at(open, "this list is not closed"));
                        }
                        r.unbalanced = true;
                        return;
                    }
                    _ => {
                        let d = Diagnostic::new(&SYNTAX, format!("{} in a list", r.shown())).at(r.here(), "");
                        r.error(d.at(open, "the list starts here").help(format!("close the list with `{closes}`")));
                        r.unbalanced |= r.is_mark('}') || r.is_mark(']');
                        if !r.is_mark('}') {
                            r.advance();
                        }
                        return;
                    }
                }
            }
        });
        self.below = trimmed(above);
        Some(Node { span: self.span(open.start as usize, self.taken), value: Value::List(items) })
    }

    // Rules.

    fn rule(&mut self, at: Span) -> Option<Node> {
        let mut entries: Vec<Entry> = Vec::new();
        self.count();
        let mut pinned = None;
        if let Some("classifier") = self.word() {
            let keyword = self.here();
            self.advance();
            let value = self.value("classifier", keyword)?;
            pinned = Some(Entry::new(Spanned::new("classifier".into(), keyword), value));
        }
        if let Some("class") = self.word() {
            let keyword = self.here();
            self.advance();
            match self.token {
                Token::Word("if" | "do") | Token::Line | Token::End => {
                    let d = Diagnostic::new(&SYNTAX, "`class` is given no name").at(keyword, "a name must follow");
                    self.error(d.help("as in `rule class ssh if tcp dport 22`"));
                    return None;
                }
                _ => {
                    let name = self.value("class", keyword)?;
                    entries.push(Entry::new(Spanned::new("class".into(), keyword), name));
                }
            }
        }
        match self.word() {
            Some("do") => {
                let keyword = self.here();
                self.advance();
                let node = self.actions(keyword)?;
                entries.push(Entry::new(Spanned::new("do".into(), keyword), node));
            }
            Some(word) if entries.is_empty() && word != "if" => self.bare_target(word, &mut entries)?,
            Some(word) if !entries.is_empty() && word != "if" && self.vocabulary.action(word).is_some() => {
                let here = self.here();
                let node = self.actions(here)?;
                entries.push(Entry::new(Spanned::new("do".into(), here), node));
            }
            _ => {}
        }
        let here = self.here();
        if entries.is_empty() {
            let d = Diagnostic::new(&SYNTAX, "the rule has no target").at(at, "");
            self.error(d.help("write `rule class NAME if …` or `rule drop if …`"));
        }
        match self.word() {
            Some("if") => {
                if let Some(node) = self.expression("if", here) {
                    entries.push(Entry::new(Spanned::new("match".into(), here), node));
                }
            }
            Some(word) if expression_parser::starts_test(word) || matches!(word, "not" | "match") => {
                let d = Diagnostic::new(&SYNTAX, format!("`if` is missing before `{word}`")).at(here, "");
                self.slip(d.help(format!("write `if {word} …`")));
                if word == "match" {
                    self.advance();
                }
                self.unannounced(here, &mut entries);
            }
            _ if self.is_mark('(') => {
                self.slip(Diagnostic::new(&SYNTAX, "`if` is missing before `(`").at(here, "").help("write `if (…`"));
                self.unannounced(here, &mut entries);
            }
            _ => {}
        }
        if entries.is_empty() {
            return None;
        }
        entries.extend(pinned);
        Some(block(entries))
    }

    /// `rule drop …`; also what is no action and was meant as a class.
    fn bare_target(&mut self, word: &'s str, entries: &mut Vec<Entry>) -> Option<()> {
        let at = self.here();
        if self.vocabulary.action(word).is_none() {
            if expression_parser::starts_test(word) {
                return Some(()); // The target is missing; the caller says so, and that `if` is.
            }
            if matches!(self.beyond(), Token::Word("if")) {
                let d = Diagnostic::new(&SYNTAX, format!("`{word}` is no action")).at(at, "");
                self.slip(d.help(format!("for a class write `rule class {word} if …`")));
                self.advance();
                let key = Spanned::new("class".into(), at);
                entries.push(Entry::new(key, Node::word(word, at)));
                return Some(());
            }
        }
        let node = self.actions(at)?;
        entries.push(Entry::new(Spanned::new("do".into(), at), node));
        Some(())
    }

    /// Actions joined by `then`: one is a value, several are a list.
    fn actions(&mut self, at: Span) -> Option<Node> {
        let mut nodes = Vec::new();
        loop {
            let here = self.here();
            let Some(word) = self.word().filter(|w| !matches!(*w, "if" | "then")) else {
                let d = Diagnostic::new(&SYNTAX, "an action is missing")
                    .at(if nodes.is_empty() { at } else { self.after() }, "");
                self.error(d.help("as in `do mark 5 then priority 2`"));
                return None;
            };
            self.advance();
            let key: Name = Spanned::new(word.into(), here);
            let arity = match self.vocabulary.action(word) {
                Some(arity) => arity,
                None if self.at_end() || matches!(self.word(), Some("if" | "then")) => Arity::Flag,
                None => Arity::Options,
            };
            let node = self.action_value(word, arity, here)?;
            nodes.push(match node.value {
                Value::Null => Node::word(key.value, key.span),
                _ => block(vec![Entry::new(key, node)]),
            });
            match self.word() {
                Some("then") => self.advance(),
                _ => break,
            }
        }
        if nodes.len() == 1 {
            return nodes.pop();
        }
        let span = nodes.iter().fold(Span::NONE, |s, n| s.to(n.span));
        Some(Node::list(nodes, span))
    }

    /// What an action takes; nothing if it is bare.
    fn action_value(&mut self, action: &str, arity: Arity, at: Span) -> Option<Node> {
        match arity {
            Arity::Flag => Some(Node { span: at, value: Value::Null }),
            Arity::Value => {
                if self.word() == Some("to") {
                    self.advance();
                }
                if matches!(self.word(), Some("if" | "then")) {
                    self.missing(action, at, "");
                    return None;
                }
                self.value(action, at)
            }
            Arity::Options => {
                let mut body = Body::default();
                let owner = Owner { name: action, kind: "", holds: false, acts: true };
                self.options(owner, &mut body);
                if self.is_mark('{') {
                    self.option_block(owner, &mut body);
                }
                Some(body.node(at))
            }
        }
    }

    /// The raw text of an expression after its keyword, which is next.
    fn expression(&mut self, keyword: &str, at: Span) -> Option<Node> {
        self.count();
        let node = self.raw_text(true);
        if node.is_none() {
            let d = Diagnostic::new(&SYNTAX, format!("nothing follows `{keyword}`")).at(at, "a match must follow");
            self.error(d.help(format!("as in `{keyword} tcp dport 22`; every packet is `any`")));
        }
        node
    }

    /// An expression whose `if` was forgotten.
    fn unannounced(&mut self, at: Span, entries: &mut Vec<Entry>) {
        if let Some(node) = self.raw_text(false) {
            entries.push(Entry::new(Spanned::new("match".into(), at), node));
        }
    }

    /// Takes tokens up to the end of the expression: a `;`, `}` or line end outside of its parentheses and sets that does
    /// not follow `and`, `or`, `not` or `,`.
    fn raw_text(&mut self, keyword: bool) -> Option<Node> {
        self.raw = true;
        if keyword {
            self.advance();
        }
        let (first, mut last) = (self.start, self.start);
        let mut open: Vec<(char, Span)> = Vec::new();
        let mut goes_on = false;
        loop {
            match &self.token {
                Token::End => break,
                Token::Line | Token::Comment(_) if open.is_empty() && !goes_on => break,
                Token::Line if self.statement_follows(open.last().copied()) => break,
                Token::Line | Token::Comment(_) => {}
                Token::Mark(';') => break,
                Token::Mark('}') if open.last().is_none_or(|(c, _)| *c != '{') => break,
                Token::Mark(c @ ('(' | '{' | '[')) => {
                    if open.len() < self.limits.depth {
                        let c = *c;
                        open.push((c, self.here()));
                    }
                    last = self.end;
                    goes_on = false;
                }
                Token::Mark(')' | '}' | ']') => {
                    open.pop();
                    last = self.end;
                    goes_on = false;
                }
                token => {
                    goes_on = matches!(token, Token::Word("and" | "or" | "not") | Token::Mark(','));
                    last = self.end;
                }
            }
            self.advance();
        }
        self.raw = false;
        if let Token::Bad(_) = self.token {
            self.end = self.start; // Read again, this time with its report.
            self.advance();
        }
        if last == first {
            return None;
        }
        // An opening that is left over is reported by the expression's reader, which sees the same text.
        let span = self.span(first, last);
        Some(Node::word(self.text.get(first..last).unwrap_or(""), span))
    }

    /// Whether the next line can be no part of the expression: it starts with a statement's word, or closes the block
    /// although a set is open whose values started on the line of its brace.
    fn statement_follows(&self, open: Option<(char, Span)>) -> bool {
        let mut at = self.end;
        loop {
            return match lex(self.text, at) {
                (Token::Line | Token::Comment(_), _, end) => {
                    at = end;
                    continue;
                }
                (Token::Word(w), ..) => STATEMENTS.contains(&w),
                (Token::Mark('}'), ..) => match open {
                    Some(('{', span)) => {
                        !matches!(lex(self.text, span.end as usize).0, Token::Line | Token::Comment(_))
                            && !self.text.get(..self.start).unwrap_or("").trim_end().ends_with(',')
                    }
                    _ => true,
                },
                (Token::End, ..) => true,
                _ => false,
            };
        }
    }
}

/// Lines without the blank ones at their end.
fn trimmed(mut lines: Vec<String>) -> Vec<String> {
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// Lines without a blank one at their start.
fn trimmed_start(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().skip_while(String::is_empty).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    struct Few;

    impl Vocabulary for Few {
        fn is_discipline(&self, word: &str) -> bool {
            matches!(word, "htb" | "tbf" | "sfq" | "prio" | "pfifo" | "fq_codel" | "red")
        }
        fn action(&self, word: &str) -> Option<Arity> {
            match word {
                "drop" | "pass" => Some(Arity::Flag),
                "mark" | "priority" | "redirect" | "mirror" => Some(Arity::Value),
                "police" => Some(Arity::Options),
                _ => None,
            }
        }
        fn is_flag(&self, owner: &str, word: &str) -> bool {
            matches!((owner, word), ("fq_codel" | "red", "ecn") | ("link", "nat") | ("htb class", "strange"))
        }
    }

    fn read_text(text: &str) -> (Option<Document>, Vec<Diagnostic>) {
        let source = Source::new("a.shape", text);
        let mut sink = Sink::new();
        let document = read(&source, FileId(0), &Few, &Limits::default(), &mut sink);
        (document, sink.found)
    }

    /// A value in YAML's flow form, comments as `<above|beside|below>`.
    fn show(node: &Node) -> String {
        let trivia = |t: &Option<Box<Trivia>>| match t {
            None => String::new(),
            Some(t) => format!("<{}|{}|{}>", t.above.join("/"), t.beside.as_deref().unwrap_or(""), t.below.join("/")),
        };
        match &node.value {
            Value::Null => "~".to_owned(),
            Value::Word(w) if w.quoted => format!("{:?}", w.text),
            Value::Word(w) => w.text.to_string(),
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(|i| format!("{}{}", trivia(&i.trivia), show(&i.node))).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Block(entries) => {
                let entry = |e: &Entry| format!("{}{}: {}", trivia(&e.trivia), e.key.value, show(&e.node));
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn good(text: &str) -> String {
        let (document, found) = read_text(text);
        assert!(found.is_empty(), "{text}\n{found:#?}");
        show(&document.unwrap().root)
    }

    /// In an `egress { … }` of an interface, without the wrapping.
    fn egress(text: &str) -> String {
        let shown = good(&format!("interface eth0 {{ egress {{\n{text}\n}} }}"));
        shown.strip_prefix("{interfaces: {eth0: {egress: ").unwrap().strip_suffix("}}}").unwrap().to_owned()
    }

    #[test]
    fn the_table_of_the_notations_holds() {
        for (dsl, document) in [
            ("shapectl 1", "{shapectl: 1}"),
            ("let up = 2mbit", "{let: {up: 2mbit}}"),
            ("set office = { 192.0.2.0/24, 198.51.100.7 }", "{sets: {office: [192.0.2.0/24, 198.51.100.7]}}"),
            ("set office file lists/office.txt", "{sets: {office: {file: lists/office.txt}}}"),
            ("set file = { 192.0.2.1 }; set x file \"a b\"", "{sets: {file: [192.0.2.1], x: {file: \"a b\"}}}"),
            ("include \"a.shape\"", "{include: [\"a.shape\"]}"),
            ("profile gold rate 1mbit { sfq }", "{profiles: {gold: {rate: 1mbit, leaf: sfq}}}"),
            ("interface eth0 { }", "{interfaces: {eth0: ~}}"),
            (
                "interface eth0 { link rate 2mbit overhead 18 nat }",
                "{interfaces: {eth0: {link: {rate: 2mbit, overhead: 18, nat: yes}}}}",
            ),
            ("interface eth0 { egress fq_codel }", "{interfaces: {eth0: {egress: fq_codel}}}"),
            ("interface eth0 { both fq_codel }", "{interfaces: {eth0: {both: fq_codel}}}"),
            ("interface eth0 { egress tbf rate 1mbit }", "{interfaces: {eth0: {egress: {tbf: {rate: 1mbit}}}}}"),
            (
                "interface eth0 { ingress police rate 1mbit exceed drop }",
                "{interfaces: {eth0: {ingress: {police: {rate: 1mbit, exceed: drop}}}}}",
            ),
            (
                "interface eth0 { ingress shape htb default all { class all rate 1mbit } }",
                "{interfaces: {eth0: {ingress: {shape: {htb: {default: all, classes: {all: {rate: 1mbit}}}}}}}}",
            ),
            (
                "interface eth0 { ingress { shape { htb r2q 1\n rule class a if any } } }",
                "{interfaces: {eth0: {ingress: {shape: {htb: {r2q: 1}, rules: [{class: a, match: any}]}}}}}",
            ),
            ("let a = 1; let b = [2, 3] # x\ninterface e { }", "{let: {a: 1, <|x|>b: [2, 3]}, interfaces: {e: ~}}"),
        ] {
            assert_eq!(good(dsl), document, "{dsl}");
        }
        for (dsl, document) in [
            (
                "htb r2q 1 { class a rate 1mbit }\nrule class a if udp",
                "{htb: {r2q: 1, classes: {a: {rate: 1mbit}}}, rules: [{class: a, match: udp}]}",
            ),
            (
                "htb { class ssh rate 1mbit { sfq perturb 10s } }",
                "{htb: {classes: {ssh: {rate: 1mbit, leaf: {sfq: {perturb: 10s}}}}}}",
            ),
            ("htb { class a fair by host { sfq } }", "{htb: {classes: {a: {fair: by host, leaf: sfq}}}}"),
            (
                "htb { class ssh rate { up 1mbit; down 2mbit } ceil 9mbit { leaf { up sfq; down tbf rate 1mbit } } }",
                "{htb: {classes: {ssh: {rate: {up: 1mbit, down: 2mbit}, ceil: 9mbit, leaf: {up: sfq, down: {tbf: {rate: 1mbit}}}}}}}",
            ),
            ("htb { class ssh rate 1mbit { leaf sfq } }", "{htb: {classes: {ssh: {rate: 1mbit, leaf: sfq}}}}"),
            ("htb { class ssh { leaf { sfq limit 5 } } }", "{htb: {classes: {ssh: {leaf: {sfq: {limit: 5}}}}}}"),
            ("htb { class ssh\n class b strange ceil 5 }", "{htb: {classes: {ssh: ~, b: {strange: yes, ceil: 5}}}}"),
            ("htb { class a { class b rate 1 } }", "{htb: {classes: {a: {classes: {b: {rate: 1}}}}}}"),
            ("htb { class a prio 1 rate 2 }", "{htb: {classes: {a: {prio: 1, rate: 2}}}}"),
            ("htb { class a { prio 1\n prio bands 3 } }", "{htb: {classes: {a: {prio: 1, leaf: {prio: {bands: 3}}}}}}"),
            (
                "htb { class a { match tcp dport {22, 80} and\n src 10.0.0.1 # c\n } }",
                "{htb: {classes: {a: {<|c|>match: tcp dport {22, 80} and\n src 10.0.0.1}}}}",
            ),
            (
                "prio bands [high, low] {\n leaf high pfifo limit 50\n leaf low sfq\n leaf \"sfq\" red ecn no\n leaf 1 { tbf rate 1 } }",
                "{prio: {bands: [high, low], leaves: {high: {pfifo: {limit: 50}}, low: sfq, sfq: {red: {ecn: no}}, 1: {tbf: {rate: 1}}}}}",
            ),
            (
                "prio tos { minimize-delay high; maximize-throughput low }",
                "{prio: {tos: {minimize-delay: high, maximize-throughput: low}}}",
            ),
            ("prio bands {high, medium}", "{prio: {bands: [high, medium]}}"),
            ("tbf rate 1mbit { sfq perturb 10s }", "{tbf: {rate: 1mbit, leaf: {sfq: {perturb: 10s}}}}"),
            ("red ecn limit 5", "{red: {ecn: yes, limit: 5}}"),
            ("fq_codel", "{fq_codel: ~}"),
            ("rule drop if src not 10.0.0.0/8", "{rules: [{do: drop, match: src not 10.0.0.0/8}]}"),
            (
                "rule do police rate 1mbit exceed drop if udp",
                "{rules: [{do: {police: {rate: 1mbit, exceed: drop}}, match: udp}]}",
            ),
            ("rule police rate 1mbit if udp", "{rules: [{do: {police: {rate: 1mbit}}, match: udp}]}"),
            (
                "rule class ssh do mark 5 then priority 2 if tcp",
                "{rules: [{class: ssh, do: [{mark: 5}, {priority: 2}], match: tcp}]}",
            ),
            ("rule do redirect to ifb0", "{rules: [{do: {redirect: ifb0}}]}"),
            ("rule class line/ssh", "{rules: [{class: line/ssh}]}"),
            (
                "rule class a if (tcp or\n udp) and # why\n\n dport 53; rule class b",
                "{rules: [{class: a, match: (tcp or\n udp) and # why\n\n dport 53}, {class: b}]}",
            ),
            (
                "rule class a if dport {\n 22,\n 80\n}\nrule class b",
                "{rules: [{class: a, match: dport {\n 22,\n 80\n}}, {class: b}]}",
            ),
            ("htb\n{\n}", "{htb: ~}"),
            ("htb { class \"a b\" rate '1' }", "{htb: {classes: {a b: {rate: \"1\"}}}}"),
        ] {
            assert_eq!(egress(dsl), document, "{dsl}");
        }
    }

    #[test]
    fn comments_and_blank_lines_are_kept() {
        let text = "# first\n\n# second\nlet a = 1 # one\n\n\nlet b = [ # list\n  1, # i\n  # above two\n  2\n  # end\n]\n\
                    interface e { # head\n\n  # an option\n  link rate 1 mtu 2 # both\n  # switched off\n\n} # tail of e\n# last\n";
        let (document, found) = read_text(text);
        assert!(found.is_empty(), "{found:#?}");
        let document = document.unwrap();
        assert_eq!(
            show(&document.root),
            "{<first/||>let: {<second|one|>a: 1, <||end>b: [<list|i|>1, <above two||>2]}, \
             interfaces: {<|head|switched off>e: {<an option|both|>link: {rate: 1, mtu: 2}}}}"
        );
        assert_eq!(document.tail, ["tail of e", "last"]);
    }

    #[test]
    fn every_value_has_its_place() {
        let text =
            "interface eth0 { egress { htb { class ssh rate 128kbit }\n rule class ssh if tcp  dport 22 # c\n } }";
        let source = Source::new("a.shape", text);
        let (document, _) = read_text(text);
        let root = document.unwrap().root;
        let egress = &root.get("interfaces").unwrap().node.get("eth0").unwrap().node.get("egress").unwrap().node;
        let class = egress.get("htb").unwrap().node.get("classes").unwrap().node.get("ssh").unwrap().clone();
        assert_eq!(source.slice(class.key.span), "ssh");
        assert_eq!(source.slice(class.node.span), "rate 128kbit");
        let Value::List(rules) = &egress.get("rules").unwrap().node.value else { panic!() };
        let matches = rules[0].node.get("match").unwrap();
        assert_eq!(source.slice(matches.node.span), "tcp  dport 22");
        assert_eq!(matches.node.as_word(), Some("tcp  dport 22"));
        assert_eq!(source.slice(rules[0].node.span), "class ssh if tcp  dport 22");
    }

    /// What was underlined, and the message.
    fn findings(text: &str) -> Vec<(String, String)> {
        let (_, found) = read_text(text);
        let source = Source::new("a.shape", text);
        found.iter().map(|d| (source.slice(d.span()).to_owned(), d.message.clone())).collect()
    }

    #[test]
    fn mistakes_are_underlined() {
        for (text, wanted) in [
            ("interfce eth0 { egress fq_codel }", &[("interfce", "starts no statement")][..]),
            ("interface { }", &[("interface", "no name")]),
            ("interface eth0", &[("", "no block")]),
            ("interface eth0 { egres fq_codel }", &[("egres", "does not stand in an interface")]),
            ("interface eth0 { htb { } }", &[("htb", "does not stand in an interface")]),
            ("interfaces:\n  eth0:\n    egress: fq_codel\n", &[("interfaces:", "looks like YAML")]),
            ("let a 5", &[("5", "`=` is missing")]),
            ("let a =", &[("a", "no value")]),
            ("let $a = 5", &[("$a", "without its `$`")]),
            ("let a = tcp dport 22", &[("dport", "one value")]),
            ("interface eth0 { egress tbf rate: 1mbit burst = 5 }", &[(":", "no `:`"), ("=", "no `=`")]),
            ("interface eth0 { egress tbf rate 1mbit, burst 5 }", &[(",", "outside of a list")]),
            ("interface eth0 { egress prio bands a, b, c }", &[(",", "outside of a list")]),
            ("interface eth0 { egress tbf rate }", &[("rate", "no value")]),
            ("interface eth0 { egress }", &[("egress", "no value")]),
            ("interface eth0 { egress tbf note \"abc\n}", &[("\"abc", "not closed")]),
            ("interface eth0 { egress tbf note \"a\\qc\"\n}", &[("\\q", "no escape")]),
            ("interface eth0 { } }", &[("}", "without its `{`")]),
            ("interface eth0 {\n  egress {\n    htb\n", &[("", "`}` is missing")]),
            (
                "interface eth0 {\n    egress {\n        htb {\n            class a\n    }\n}\n",
                &[("", "`}` is missing")],
            ),
            (
                "interface eth0 {\n egress { htb {\n class a rate\n }\n}\ninterface eth1 { egres fq_codel }",
                &[
                    ("rate", "no value"),
                    ("interface", "`}` is missing before `interface`"),
                    ("egres", "does not stand"),
                ],
            ),
            (
                "interface eth0 {\n egress { htb {\n class a\n }\n ingress polic\n}\n}",
                &[("ingress", "`}` is missing before")],
            ),
            (
                "interface e {\n  egress {\n    htb {\n      class a {\n        sfq\n    }\n    rule class a if tcp\n    rule class\n  }\n}\n",
                &[("rule", "`}` is missing before `rule`"), ("class", "no name")],
            ),
            (
                "interface eth0 { egress { htb { rule class a if tcp } } }",
                &[("rule", "does not stand in a discipline")],
            ),
            ("interface eth0 { egress { class a rate 1 } }", &[("class", "stands in its discipline")]),
            ("interface eth0 { egress htb class a rate 1 }", &[("class", "stands in a block")]),
            ("interface eth0 { egress { htb { classes { a } } } }", &[("classes", "YAML's word")]),
            ("interface eth0 { egress { htb; rule class a tcp dport 22 } }", &[("tcp", "`if` is missing")]),
            ("interface eth0 { egress { htb; rule if tcp } }", &[("rule", "no target")]),
            ("interface eth0 { egress { htb; rule ssh if tcp } }", &[("ssh", "no action")]),
            ("interface eth0 { egress { htb; rule class if tcp } }", &[("class", "no name")]),
            ("interface eth0 { egress { htb; rule class a if } }", &[("if", "nothing follows")]),
            ("interface eth0 { egress { htb; rule class a do if tcp } }", &[("do", "action is missing")]),
            ("interface eth0 { egress { htb\n rule class a if tcp\n or udp\n } }", &[("or", "starts no statement")]),
            ("interface eth0 { egress { htb { class { } } } }", &[("class", "no name")]),
            ("egress fq_codel", &[("egress", "outside of an interface")]),
            (
                "interface eth0 { egress fq_codel } foo\u{a0}bar",
                &[("foo", "starts no statement"), ("\u{a0}", "U+00A0")],
            ),
            ("\u{1}\u{2}\u{3}", &[("\u{1}\u{2}\u{3}", "U+0001")]),
            ("set a = [1, 2", &[("", "`]` is missing")]),
            ("set a = {1 2}", &[("2", "`,` is missing")]),
            ("let a = (1)", &[("a", "no value")]),
        ] {
            let found = findings(text);
            assert_eq!(found.len(), wanted.len(), "{text}\n{found:#?}");
            for ((underlined, message), (place, part)) in found.iter().zip(wanted) {
                assert_eq!(underlined, place, "{text}\n{found:#?}");
                assert!(message.contains(part), "{text}\n{message}");
            }
        }
    }

    #[test]
    fn a_missing_brace_points_at_the_block_that_lacks_it() {
        let text = "interface eth0 {\n    egress {\n        htb {\n            class a\n    }\n}\n";
        let (document, found) = read_text(text);
        assert!(document.is_none());
        let open = found[0].labels[1].span;
        assert_eq!(open.start as usize, text.find("htb {").unwrap() + 4);
    }

    #[test]
    fn an_open_set_does_not_swallow_what_follows() {
        let text = "interface eth0 { egress {\n htb\n rule class a if dport {22, 80\n rule class b if (tcp\n}\n}\n";
        let (document, found) = read_text(text);
        assert!(found.is_empty(), "{found:#?}");
        let shown = show(&document.unwrap().root);
        assert!(shown.contains("[{class: a, match: dport {22, 80}, {class: b, match: (tcp}]"), "{shown}");
    }

    #[test]
    fn depth_and_number_of_errors_are_bounded() {
        for text in [
            "interface e { egress { htb { ".to_owned() + &"class a { ".repeat(50_000),
            "let a = ".to_owned() + &"[".repeat(50_000),
        ] {
            assert!(read_text(&text).1.iter().any(|d| d.code == &TOO_DEEP));
        }
        let leaves = "interface e { egress { htb { class a { ".to_owned() + &"sfq ".repeat(50_000);
        assert!(read_text(&leaves).1.iter().any(|d| d.code == &TOO_DEEP));
        assert_eq!(read_text(&"foo\n".repeat(10_000)).1.len(), ERRORS);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "((interface|egress|ingress|both|shape|htb|sfq|prio|leaf|class|rule|match|do|if|then|police|mark|let|set|include|profile|link|tcp|dport|and|or|rate|a|1|[-{}()\\[\\],;:=#\"'\\\\\n]|é|\u{a0}) ?){0,60}") {
            let (document, found) = read_text(&text);
            prop_assert!(document.is_some() || !found.is_empty());
        }
    }
}
