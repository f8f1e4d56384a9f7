//! YAML to [`Document`], over granit-parser's events: the only file that knows the crate, and `yaml/fault.rs` beside it
//! that says in our words what is wrong with a text.
//!
//! What is read is YAML's shape and nothing else of it: a plain scalar stays the word that was written (`no`, `010`, `1:10`
//! are no booleans, octal or base-60 numbers here), so a policy means the same in both notations. Tags, merge keys, directives
//! and several documents in one file are refused by name. Anchors and aliases are expanded under a budget.
//!
//! Comments and blank lines are read from the gaps between the events: nothing else can stand there but indicators, and
//! the parser's own comment events know no blank lines and cost a fifth of the time.
//!
//! # Going on after an error
//!
//! The parser stops at its first error. Then the lines at fault are blanked in a copy of the text (so that no place shifts)
//! and the text is read again, a bounded number of times. A slip whose meaning is beyond doubt, such as `{22, 80}` without
//! quotes, is masked instead and read as it was meant, so that the stages after this one can go on. A text with blanked
//! lines gives no document: what is missing from it would be reported as missing names.

mod fault;

use super::Limits;
use super::document::{Document, Entry, Item, Name, Node, Trivia, Value, Word, comment};
use crate::codes;
use crate::diagnostic::{Diagnostic, Sink};
use crate::source::{FileId, Source, Span, Spanned};
use compact_str::CompactString;
use fault::{Fault, Remedy};
use granit_parser::{Event, Parser, ScalarStyle, ScanError, StructureStyle};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

/// Syntax errors of one file that are looked for before reading stops.
const FAULTS: usize = 20;
/// Bytes that are read again after errors, beyond the first reading.
const READ_AGAIN: usize = 32 << 20;

/// Reads a YAML text. `None` after an error that leaves parts of the policy unknown; slips that can be read as they were
/// meant are reported as errors too and still give a document, so that later stages report what they find.
///
/// # Spans
///
/// A quoted scalar's span leaves out its quotes if there are no escapes in it, so that offsets in the text are offsets in the
/// file ([`Node::part`]); with escapes it covers the quotes too. A block's span ends with its last item. What an alias stands for
/// has the alias's own place, and the places of the definition inside.
pub fn read(source: &Source, file: FileId, limits: &Limits, sink: &mut Sink) -> Option<Document> {
    let text = &*source.text;
    if text.len() > limits.file_bytes {
        sink.push(
            Diagnostic::new(
                &codes::FILE_TOO_LARGE,
                format!("`{}` has {} bytes, more than the limit of {}", source.name, text.len(), limits.file_bytes),
            )
            .help("split it and name the parts under `include:`, or raise the limit with `--max-file-size`"),
        );
        return None;
    }
    if let Some(finding) = control_character(text, file) {
        sink.push(finding);
        return None;
    }

    let mut shown = Cow::Borrowed(text);
    let (mut masked, mut faults, mut blanked, mut read_again) = (Vec::new(), Vec::new(), false, 0);
    loop {
        let mut pass = Pass::new(text, &shown, &masked, file, limits);
        let outcome = pass.run();
        let fault = match outcome {
            Ok(document) => {
                // An anchor on a blanked line is not unknown, and a text whose lines are all at fault is not empty.
                let mut found = std::mem::take(&mut pass.found);
                found.retain(|d| {
                    !blanked || ![&codes::YAML_ALIAS, &codes::EMPTY_FILE, &codes::SYNTAX].contains(&d.code)
                });
                drop(pass);
                sink.found.append(&mut faults);
                sink.found.append(&mut found);
                return document.filter(|_| !blanked);
            }
            Err(Stop::Refused(finding)) => Fault { finding: *finding, remedy: Remedy::Stop },
            Err(Stop::Syntax(error)) => fault::explain(&pass, &error, source),
        };
        let mut found = std::mem::take(&mut pass.found);
        drop(pass);
        faults.push(fault.finding);
        read_again += text.len();
        let (range, filler) = match fault.remedy {
            Remedy::Blank(range) => (range, ' '),
            Remedy::Mask(range) => (range, 'x'),
            Remedy::Stop => (0..0, ' '),
        };
        let progress = shown.get(range.clone()).is_some_and(|part| !part.trim().is_empty());
        if !progress || faults.len() >= FAULTS || read_again > READ_AGAIN {
            sink.found.append(&mut faults);
            sink.found.append(&mut found);
            return None;
        }
        blanked |= filler == ' ';
        shown = Cow::Owned(cover(&shown, &range, filler));
        if filler == 'x' {
            masked.push(range);
        }
    }
}

/// The text with a range covered, byte for byte; line breaks stay.
fn cover(text: &str, range: &Range<usize>, filler: char) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let keep = !range.contains(&at) || c == '\n' || c == '\r' || (filler != ' ' && c.is_whitespace());
        if keep {
            out.push(c);
        } else {
            out.extend(std::iter::repeat_n(filler, c.len_utf8()));
        }
    }
    out
}

/// The first character that YAML cannot hold; the parser would take a NUL for the end of the text.
fn control_character(text: &str, file: FileId) -> Option<Diagnostic> {
    let at = text.bytes().position(|b| (b < b' ' && !matches!(b, b'\n' | b'\r' | b'\t')) || b == 0x7f)?;
    let code = text.as_bytes().get(at).copied().unwrap_or_default();
    let finding =
        Diagnostic::new(&codes::SYNTAX, format!("the control character U+{code:04X} cannot stand in a policy"));
    let binary = text.bytes().take(4096).filter(|b| *b < b' ' && !b.is_ascii_whitespace()).count() > 16;
    let help = if binary { "this looks like a binary file, not like a policy" } else { "delete it" };
    Some(finding.at(Span::new(file, at, at + 1), "here").help(help))
}

/// Why a pass ended early.
enum Stop {
    /// The parser's error.
    Syntax(ScanError),
    /// A limit was passed.
    Refused(Box<Diagnostic>),
}

/// An open block or list.
struct Frame {
    /// Where its entries or items start on the reader's stack of them.
    base: usize,
    list: bool,
    flow: bool,
    /// Whether it stands where a key is wanted.
    as_key: bool,
    /// First byte.
    start: usize,
    /// The key that waits for its value.
    key: Option<Name>,
    /// Whether that key is refused and its value dropped.
    skip: bool,
    /// Comments of the entry or item under way.
    trivia: Option<Box<Trivia>>,
    /// The parser's id of its anchor, 0 for none.
    anchor: usize,
    /// Values read before it.
    before: usize,
}

/// A line from between the entries.
struct Line {
    /// As in [`Trivia::above`].
    text: String,
    /// How far its `#` stands from the left; 0 for a comment after a dash.
    column: usize,
}

/// What an alias stands for.
struct Anchored {
    node: Node,
    nodes: usize,
    depth: usize,
}

/// The scalar read last, for the sentences about slips.
#[derive(Clone, Default)]
struct Last {
    /// The whole token with its quotes.
    range: Range<usize>,
    plain: bool,
}

/// One reading of the text.
struct Pass<'a> {
    text: &'a str,
    masked: &'a [Range<usize>],
    file: FileId,
    limits: &'a Limits,
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    /// Where the text starts in the file: 3 after a byte order mark.
    origin: usize,
    found: Vec<Diagnostic>,
    frames: Vec<Frame>,
    /// The entries of all open blocks; a block takes its own off when it closes, so that its vector has just the room it needs.
    entries: Vec<Entry>,
    items: Vec<Item>,
    root: Option<Node>,
    /// One past the last token.
    seen: usize,
    /// Whether a line break stands before the event at hand.
    broke: bool,
    /// The last dash between the tokens.
    dash: Option<usize>,
    pending: Vec<Line>,
    anchors: BTreeMap<usize, Anchored>,
    /// Whether any alias may stand in the text.
    aliases: bool,
    nodes: usize,
    /// Values copied for aliases.
    copied: usize,
    /// The last scalar that is a value, and the last key.
    last_value: Last,
    last_key: Last,
    /// The last collection in braces or brackets that was closed.
    last_flow: Range<usize>,
}

impl<'a> Pass<'a> {
    fn new(text: &'a str, shown: &'a str, masked: &'a [Range<usize>], file: FileId, limits: &'a Limits) -> Self {
        let origin = if shown.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let options = granit_parser::options! {
            emit_comments: false,
            emit_unresolved_aliases: true,
            disallow_directives: true,
            // Our own count of the depth comes first.
            flow_nesting_limit: limits.depth + 2,
            block_nesting_limit: limits.depth + 2,
        };
        Pass {
            text,
            masked,
            file,
            limits,
            parser: Parser::new_from_str_with_options(shown.get(origin..).unwrap_or(""), options),
            origin,
            found: Vec::new(),
            frames: Vec::new(),
            entries: Vec::new(),
            items: Vec::new(),
            root: None,
            seen: origin,
            broke: true,
            dash: None,
            pending: Vec::new(),
            anchors: BTreeMap::new(),
            aliases: text.contains('*'),
            nodes: 0,
            copied: 0,
            last_value: Last::default(),
            last_key: Last::default(),
            last_flow: 0..0,
        }
    }

    fn run(&mut self) -> Result<Option<Document>, Stop> {
        let mut documents = 0;
        while let Some(next) = self.parser.next_event() {
            let (event, span) = next.map_err(Stop::Syntax)?;
            let range = span.byte_range().unwrap_or(0..0);
            let range = range.start + self.origin..range.end + self.origin;
            let tag = span.tag_span().and_then(|s| s.byte_range()).map(|r| r.start + self.origin..r.end + self.origin);
            match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        self.found.push(
                            Diagnostic::new(&codes::YAML_DOCUMENTS, "a second document starts here")
                                .at(self.span(range), "only one document in a file")
                                .help("remove the `---` or `...`, or put each policy into a file of its own"),
                        );
                        return Ok(None);
                    }
                    self.gap(range.start);
                    self.seen = self.seen.max(range.end);
                }
                Event::Scalar(text, style, anchor, _) => self.scalar(text, style, anchor, range, tag)?,
                Event::SequenceStart(style, anchor, _) => self.open(true, style, anchor, range, tag)?,
                Event::MappingStart(style, anchor, _) => self.open(false, style, anchor, range, tag)?,
                Event::SequenceEnd | Event::MappingEnd => self.close(range)?,
                Event::Alias(id) => self.alias(id, range)?,
                Event::UnresolvedAlias(name) => self.unknown_alias(&name, range)?,
                Event::DocumentEnd | Event::StreamEnd => self.gap(range.start),
                _ => {}
            }
        }
        Ok(self.finish())
    }

    fn finish(&mut self) -> Option<Document> {
        let Some(mut root) = self.root.take() else {
            self.found.push(
                Diagnostic::new(&codes::EMPTY_FILE, "the file holds no policy")
                    .at(self.span(self.origin..self.origin), "empty")
                    .help("start with an interface:\ninterfaces:\n  eth0:\n    egress: fq_codel"),
            );
            return None;
        };
        let lines = std::mem::take(&mut self.pending);
        let mut tail = Vec::new();
        let mut blanks = 0;
        for line in lines {
            let last = match &mut root.value {
                Value::Block(entries) => entries.last_mut().filter(|_| line.column > 0 && tail.is_empty()),
                _ => None,
            };
            let blank = blanks > 0;
            if line.text.is_empty() {
                blanks += 1;
                continue;
            }
            blanks = 0;
            if last.is_none_or(|e| !below(&mut e.node, &mut e.trivia, &line, blank, self.text)) {
                if blank {
                    tail.push(String::new());
                }
                tail.push(line.text);
            }
        }
        match &root.value {
            Value::Block(_) => Some(Document { root, tail }),
            Value::Null => Some(Document { root: Node::block(Vec::new(), root.span), tail }),
            other => {
                let first = self.text.get(self.origin..).unwrap_or("").trim_start();
                let shape = ["interface ", "let ", "include ", "profile ", "set ", "shapectl "];
                let help = if shape.iter().any(|word| first.starts_with(word)) {
                    "this looks like the DSL: name the file `.shape`"
                } else {
                    "start with an interface:\ninterfaces:\n  eth0:\n    egress: fq_codel"
                };
                if let Value::Word(word) = other
                    && let Some((key, value)) = fault::glued(&word.text)
                {
                    self.found.push(fault::glued_finding(root.span, key, value));
                    return None;
                }
                let what = if matches!(other, Value::List(_)) { "a list" } else { "a text" };
                self.found.push(
                    Diagnostic::new(&codes::SYNTAX, format!("a policy is a block of keys with values, not {what}"))
                        .at(first_line(root.span, self.text), "here")
                        .help(help),
                );
                None
            }
        }
    }

    /// A place, within the text and with whole characters.
    fn span(&self, range: Range<usize>) -> Span {
        let (mut start, mut end) = (range.start.min(self.text.len()), range.end.min(self.text.len()));
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        Span::new(self.file, start, end)
    }

    fn slice(&self, range: Range<usize>) -> &'a str {
        self.text.get(range).unwrap_or("")
    }

    fn count(&mut self, nodes: usize) -> Result<(), Stop> {
        self.nodes += nodes;
        if self.nodes <= self.limits.nodes {
            return Ok(());
        }
        Err(Stop::Refused(Box::new(
            Diagnostic::new(&codes::FILE_TOO_LARGE, format!("more than {} values in one file", self.limits.nodes))
                .at(self.span(self.seen..self.seen), "reading stops here")
                .help("split the file and name the parts under `include:`"),
        )))
    }

    /// Takes note of what stands between the tokens: comments, blank lines, a dash.
    fn gap(&mut self, start: usize) {
        let gap = self.slice(self.seen..start);
        self.broke = false;
        let (mut lines, mut comments, mut before) = (0, false, b' ');
        for (at, b) in gap.bytes().enumerate() {
            match b {
                b'\n' => lines += 1,
                b'#' => comments = true,
                // Not the one in the header of a block text.
                b'-' if before.is_ascii_whitespace() => self.dash = Some(self.seen + at),
                _ => {}
            }
            before = b;
        }
        self.broke = lines > 0;
        if comments || lines > 1 {
            self.lines(gap);
        }
        self.seen = self.seen.max(start);
    }

    #[cold]
    fn lines(&mut self, gap: &str) {
        let at_line_start = self.seen == self.origin;
        let whole = gap.matches('\n').count();
        let mut start = self.seen;
        self.dash = None;
        for (number, line) in gap.split('\n').enumerate() {
            let own = number > 0 || at_line_start;
            let found = comment_start(line, own);
            let before = line.get(..found.unwrap_or(line.len())).unwrap_or("");
            let starts = |at: &usize| at.checked_sub(1).is_none_or(|b| before.as_bytes().get(b) == Some(&b' '));
            let dash = before.rmatch_indices('-').map(|(at, _)| at).find(starts);
            self.dash = dash.map(|at| start + at).or(self.dash);
            start += line.len() + 1;
            match found {
                Some(at) => {
                    let text = comment(line.get(at + 1..).unwrap_or(""));
                    if !own {
                        self.beside(text);
                    } else {
                        let column = if before.trim().is_empty() { at } else { 0 };
                        self.pending.push(Line { text, column });
                    }
                }
                None if own
                    && number < whole
                    && line.trim().is_empty()
                    && self.pending.last().is_none_or(|l| !l.text.is_empty()) =>
                {
                    self.pending.push(Line { text: String::new(), column: 0 });
                }
                None => {}
            }
        }
    }

    /// Gives a comment at a line's end to what stands on that line.
    fn beside(&mut self, text: String) {
        let depth = self.frames.len();
        let source = self.text;
        let own = self.frames.last().is_some_and(|f| f.key.is_some());
        let empty =
            self.frames.last().is_some_and(|f| f.base == if f.list { self.items.len() } else { self.entries.len() });
        let slot = if own {
            self.frames.last_mut().map(|f| &mut f.trivia)
        } else if empty && self.frames.last().is_some_and(|f| !f.flow) {
            None
        } else if empty {
            // Right after `{` or `[`: it belongs to the key before that.
            depth.checked_sub(2).and_then(|above| self.frames.get_mut(above)).map(|f| &mut f.trivia)
        } else {
            match self.frames.last() {
                Some(f) if f.list => self.items.last_mut().map(|i| last_on_line(&mut i.node, &mut i.trivia, source)),
                Some(_) => self.entries.last_mut().map(|e| last_on_line(&mut e.node, &mut e.trivia, source)),
                None => None,
            }
        };
        match slot {
            None => self.pending.push(Line { text, column: 0 }),
            Some(slot) => {
                let trivia = slot.get_or_insert_default();
                match &trivia.beside {
                    None => trivia.beside = Some(text),
                    Some(_) => trivia.above.push(text),
                }
            }
        }
    }

    /// The lines above an item that starts at a column. Comments that stand further in belong to what came before.
    fn above(&mut self, column: Option<usize>) -> Option<Box<Trivia>> {
        if self.pending.is_empty() {
            return None;
        }
        self.lines_above(column)
    }

    #[cold]
    fn lines_above(&mut self, column: Option<usize>) -> Option<Box<Trivia>> {
        let mut lines = std::mem::take(&mut self.pending);
        if let (Some(column), Some(f)) = (column, self.frames.last()) {
            let last = match f.list {
                _ if f.flow => None,
                true => self.items.get_mut(f.base..).and_then(<[_]>::last_mut).map(|i| (&mut i.node, &mut i.trivia)),
                false => self.entries.get_mut(f.base..).and_then(<[_]>::last_mut).map(|e| (&mut e.node, &mut e.trivia)),
            };
            if let Some((node, trivia)) = last {
                let mut taken = 0;
                let mut blank = false;
                for (at, line) in lines.iter().enumerate() {
                    if line.text.is_empty() {
                        blank = true;
                    } else if line.column > column && below(node, trivia, line, blank, self.text) {
                        (taken, blank) = (at + 1, false);
                    } else {
                        break;
                    }
                }
                lines.drain(..taken);
            }
        }
        let above: Vec<String> = lines.into_iter().map(|l| l.text).collect();
        (!above.is_empty()).then(|| Box::new(Trivia { above, ..Trivia::default() }))
    }

    /// What must be done before any value: its comments, its tag. Says whether it stands where a key is wanted.
    fn start(&mut self, range: &Range<usize>, tag: Option<Range<usize>>, block: bool) -> bool {
        self.gap(range.start);
        if let Some(tag) = tag {
            self.tag(tag);
        }
        let Some((list, flow, waits)) = self.frames.last().map(|f| (f.list, f.flow, f.key.is_some())) else {
            return false;
        };
        if list {
            let column = match self.dash {
                Some(dash) if !flow => column(self.text, dash),
                _ => None,
            };
            let trivia = self.above(column);
            if let Some(f) = self.frames.last_mut() {
                f.trivia = trivia;
            }
            return false;
        }
        if !waits {
            return true;
        }
        if !block && !self.pending.is_empty() {
            // `key:`, a comment, and the value only then.
            let lines = std::mem::take(&mut self.pending);
            if let Some(f) = self.frames.last_mut() {
                let trivia = f.trivia.get_or_insert_default();
                trivia.above.extend(lines.into_iter().map(|l| l.text).filter(|t| !t.is_empty()));
            }
        }
        false
    }

    fn tag(&mut self, range: Range<usize>) {
        let tag = self.slice(range.clone());
        let help = match tag.strip_prefix('!') {
            Some(word) if word.chars().next().is_some_and(char::is_alphanumeric) => {
                format!("write `not {word} …` for a negation, or quote the text: `\"{tag}\"`")
            }
            _ => "remove it: a policy's words need no types".to_owned(),
        };
        self.found.push(
            Diagnostic::new(&codes::YAML_TAG, format!("`{tag}` is a YAML tag, and a policy has none"))
                .at(self.span(range), "")
                .help(help),
        );
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        range: Range<usize>,
        tag: Option<Range<usize>>,
    ) -> Result<(), Stop> {
        let is_key = self.start(&range, tag, false);
        self.count(1)?;
        let plain = style == ScalarStyle::Plain;
        let quotes = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
        let written = self.slice(range.clone());
        let inner = range.start + 1..range.end.saturating_sub(1);
        let place = if quotes && self.slice(inner.clone()) == text { inner } else { range.clone() };
        if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            self.seen = self.seen.max(range.start + written.trim_end().len());
        } else {
            self.seen = self.seen.max(range.end);
        }
        if is_key {
            self.key(&text, plain, place, range);
            return Ok(());
        }
        let value = if plain && range.is_empty() {
            Value::Null
        } else {
            let masked = plain && self.masked.iter().any(|m| m.start < range.end && range.start < m.end);
            let text = if masked { joined(written) } else { CompactString::from(text) };
            Value::Word(Word { text, quoted: !plain || masked })
        };
        let mut span = self.span(place);
        if matches!(value, Value::Null) {
            // A place to point at: the key.
            span = self.frames.last().and_then(|f| f.key.as_ref()).map_or(span, |key| key.span);
        }
        self.last_value = Last { range: range.clone(), plain };
        let mut node = Node { span, value };
        if plain && self.broke && memchr_colon(written) {
            self.glued(&mut node, range);
        }
        self.keep(anchor, &node, 1)?;
        self.place(node);
        Ok(())
    }

    /// `rate:1mbit` on a line of its own is one word to YAML.
    fn glued(&mut self, node: &mut Node, range: Range<usize>) {
        let in_block = self.frames.last().is_some_and(|f| !f.list && !f.flow);
        let Some((key, value)) = self.text.get(range.clone()).and_then(fault::glued).filter(|_| in_block) else {
            return;
        };
        self.found.push(fault::glued_finding(self.span(range.clone()), key, value));
        let middle = range.start + key.len();
        let word = Node::word(value, self.span(middle + 1..range.end));
        let key = Spanned::new(key.into(), self.span(range.start..middle));
        *node = Node::block(vec![Entry::new(key, word)], node.span);
    }

    fn key(&mut self, text: &str, plain: bool, place: Range<usize>, range: Range<usize>) {
        let column = match self.frames.last() {
            Some(f) if !f.flow => column(self.text, range.start),
            _ => None,
        };
        let trivia = self.above(column);
        let span = self.span(place);
        let mut skip = false;
        if plain && range.is_empty() {
            self.found.push(
                Diagnostic::new(&codes::SYNTAX, "a key is missing before the colon")
                    .at(self.span(range.start..range.start + 1), "here"),
            );
            skip = true;
        } else if plain && text == "<<" {
            self.found.push(
                Diagnostic::new(&codes::YAML_MERGE_KEY, "`<<` merges nothing in a policy").at(span, "").help(
                    "put the shared options under `profiles:` and name the profile in each class: `profile: NAME`",
                ),
            );
            skip = true;
        }
        self.last_key = Last { range, plain };
        let key = Spanned::new(CompactString::from(text), span);
        if let Some(f) = self.frames.last_mut() {
            f.key = Some(key);
            f.skip = skip;
            f.trivia = trivia;
        }
    }

    fn open(
        &mut self,
        list: bool,
        style: StructureStyle,
        anchor: usize,
        range: Range<usize>,
        tag: Option<Range<usize>>,
    ) -> Result<(), Stop> {
        let flow = style == StructureStyle::Flow;
        let as_key = self.start(&range, tag, !flow);
        if self.frames.len() >= self.limits.depth {
            return Err(self.too_deep(range.start));
        }
        let before = self.nodes;
        self.count(1)?;
        self.seen = self.seen.max(range.end);
        let base = if list { self.items.len() } else { self.entries.len() };
        let start = range.start;
        self.frames.push(Frame {
            base,
            list,
            flow,
            as_key,
            start,
            key: None,
            skip: false,
            trivia: None,
            anchor,
            before,
        });
        Ok(())
    }

    fn too_deep(&self, at: usize) -> Stop {
        Stop::Refused(Box::new(
            Diagnostic::new(&codes::TOO_DEEP, format!("more than {} levels of nesting", self.limits.depth))
                .at(self.span(at..at + 1), "one level too many")
                .help("no policy needs as many: look for brackets that are not closed"),
        ))
    }

    fn close(&mut self, range: Range<usize>) -> Result<(), Stop> {
        // The end of a block has no token: what comes next stands there, and the gap is read before the block is left.
        self.gap(range.start);
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        if frame.flow {
            self.close_lines();
            self.seen = self.seen.max(range.end);
        }
        let (value, last) = if frame.list {
            let items: Vec<Item> = self.items.drain(frame.base.min(self.items.len())..).collect();
            let last = items.last().map(|i| i.node.span);
            (Value::List(items), last)
        } else {
            let entries: Vec<Entry> = self.entries.drain(frame.base.min(self.entries.len())..).collect();
            let last = entries.last().map(|e| e.key.span.to(e.node.span));
            (Value::Block(entries), last)
        };
        let end = if frame.flow { range.end } else { last.map_or(frame.start, |s| (s.end as usize).max(frame.start)) };
        let mut node = Node { span: self.span(frame.start..end), value };
        if frame.flow {
            self.last_flow = frame.start..range.end;
            if !frame.list {
                fault::slips_in_braces(&mut node, self.text, &mut self.found);
            }
        }
        if frame.as_key {
            self.found.push(
                Diagnostic::new(&codes::YAML_KEY, "a key is a word, not a block or a list")
                    .at(first_line(node.span, self.text), "used as a key")
                    .help("a set in braces needs quotes: `match: \"tcp dport {22, 80}\"`"),
            );
            if let Some(f) = self.frames.last_mut() {
                f.key = Some(Spanned::new(CompactString::default(), node.span));
                f.skip = true;
            }
            return Ok(());
        }
        self.keep(frame.anchor, &node, self.nodes - frame.before)?;
        self.place(node);
        Ok(())
    }

    /// Comments before a closing bracket belong to what holds the brackets.
    fn close_lines(&mut self) {
        if let Some(f) = self.frames.last_mut()
            && !self.pending.is_empty()
        {
            let lines = std::mem::take(&mut self.pending).into_iter().map(|l| l.text);
            f.trivia.get_or_insert_default().below.extend(lines);
        }
    }

    fn alias(&mut self, id: usize, range: Range<usize>) -> Result<(), Stop> {
        if self.start(&range, None, false) {
            return self.alias_as_key(range);
        }
        let at = range.start;
        self.seen = self.seen.max(range.end);
        let span = self.span(range);
        let Some(anchored) = self.anchors.get(&id) else {
            self.found.push(
                Diagnostic::new(&codes::YAML_ALIAS, format!("`{}` stands inside of what it names", self.source(span)))
                    .at(span, "this would never end"),
            );
            self.place(Node { span, value: Value::Null });
            return Ok(());
        };
        let (nodes, depth) = (anchored.nodes, anchored.depth);
        if self.frames.len() + depth > self.limits.depth {
            return Err(self.too_deep(at));
        }
        self.copy(nodes, span)?;
        self.count(nodes)?;
        let value = self.anchors.get(&id).map_or(Value::Null, |a| a.node.value.clone());
        self.place(Node { span, value });
        Ok(())
    }

    fn source(&self, span: Span) -> &'a str {
        self.slice(span.start as usize..span.end as usize)
    }

    fn alias_as_key(&mut self, range: Range<usize>) -> Result<(), Stop> {
        let span = self.span(range.clone());
        self.seen = self.seen.max(range.end);
        self.found.push(
            Diagnostic::new(&codes::YAML_KEY, "a key is a word, not an alias")
                .at(span, "used as a key")
                .help(format!("quote it if the `*` belongs to it: `\"{}\"`", self.source(span))),
        );
        if let Some(f) = self.frames.last_mut() {
            f.key = Some(Spanned::new(CompactString::default(), span));
            f.skip = true;
        }
        Ok(())
    }

    fn unknown_alias(&mut self, name: &str, range: Range<usize>) -> Result<(), Stop> {
        if self.start(&range, None, false) {
            return self.alias_as_key(range);
        }
        self.count(1)?;
        self.seen = self.seen.max(range.end);
        let span = self.span(range);
        self.found.push(
            Diagnostic::new(&codes::YAML_ALIAS, format!("`*{name}` names no anchor above it"))
                .at(span, "YAML reads this as an alias")
                .help(format!("quote it if the `*` belongs to it: `\"*{name}\"`; an anchor would be `&{name}`")),
        );
        self.place(Node::quoted(self.source(span), span));
        Ok(())
    }

    /// Copies for aliases may be ten times what is written and some: enough for a common leaf in every class, and a bomb
    /// of nested aliases ends before it has any weight.
    fn copy(&mut self, nodes: usize, span: Span) -> Result<(), Stop> {
        self.copied += nodes;
        if self.copied <= (self.nodes - self.copied.min(self.nodes)) * 10 + 100_000 {
            return Ok(());
        }
        Err(Stop::Refused(Box::new(
            Diagnostic::new(&codes::ALIAS_BOMB, "the aliases stand for far more than is written in the file")
                .at(span, "reading stops at this one")
                .help("use `profiles:` and `let:` for what is shared"),
        )))
    }

    /// Remembers an anchored value for its aliases.
    fn keep(&mut self, anchor: usize, node: &Node, nodes: usize) -> Result<(), Stop> {
        if anchor == 0 || !self.aliases {
            return Ok(());
        }
        self.copy(nodes, node.span)?;
        let mut node = node.clone();
        let depth = bare(&mut node);
        self.anchors.insert(anchor, Anchored { node, nodes, depth });
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn place(&mut self, node: Node) {
        let Some(f) = self.frames.last_mut() else {
            self.root = Some(node);
            return;
        };
        let trivia = f.trivia.take();
        if f.list {
            self.items.push(Item { node, trivia });
        } else if let Some(key) = f.key.take()
            && !std::mem::take(&mut f.skip)
        {
            self.entries.push(Entry { key, node, trivia });
        }
    }
}

fn memchr_colon(text: &str) -> bool {
    text.bytes().any(|b| b == b':')
}

/// A masked text over several lines as YAML would have joined it.
fn joined(written: &str) -> CompactString {
    if !written.contains('\n') {
        return written.into();
    }
    let lines: Vec<&str> = written.lines().map(str::trim).collect();
    lines.join(" ").into()
}

/// The first line of a span: what spans many lines is not underlined whole.
fn first_line(span: Span, text: &str) -> Span {
    let (start, end) = (span.start as usize, span.end as usize);
    let line = text.get(start..end).and_then(|s| s.find('\n')).map_or(end, |at| start + at);
    Span::new(span.file, start, line.max((start + 1).min(end)))
}

/// Where a comment starts in a line that holds no value.
fn comment_start(line: &str, own: bool) -> Option<usize> {
    line.match_indices('#').map(|(at, _)| at).find(|at| match at.checked_sub(1) {
        None => own,
        Some(before) => line.as_bytes().get(before).is_some_and(u8::is_ascii_whitespace),
    })
}

/// How far a byte stands from its line's start; `None` in lines so long that nobody reads them.
fn column(text: &str, at: usize) -> Option<usize> {
    let head = text.as_bytes().get(at.saturating_sub(4096)..at)?;
    match head.iter().rposition(|b| *b == b'\n') {
        Some(line) => Some(head.len() - line - 1),
        None => (head.len() == at).then_some(at),
    }
}

/// Whether a block or list has no brackets, so that comments may stand below its items.
fn is_block_style(node: &Node, text: &str) -> bool {
    !matches!(text.as_bytes().get(node.span.start as usize), Some(b'{' | b'[' | b'*'))
}

/// The trivia of the innermost item that ends where this one does.
fn last_on_line<'n>(
    node: &'n mut Node,
    trivia: &'n mut Option<Box<Trivia>>,
    text: &str,
) -> &'n mut Option<Box<Trivia>> {
    if !is_block_style(node, text) {
        return trivia;
    }
    match &mut node.value {
        Value::Block(entries) if !entries.is_empty() => match entries.last_mut() {
            Some(e) => last_on_line(&mut e.node, &mut e.trivia, text),
            None => trivia,
        },
        Value::List(items) if !items.is_empty() => match items.last_mut() {
            Some(i) => last_on_line(&mut i.node, &mut i.trivia, text),
            None => trivia,
        },
        _ => trivia,
    }
}

/// Where a token starts, its quote included.
fn token_start(span: Span, text: &str) -> usize {
    let start = span.start as usize;
    let quoted =
        start.checked_sub(1).and_then(|before| text.as_bytes().get(before)).is_some_and(|b| b"\"'".contains(b));
    start - usize::from(quoted)
}

/// Where the dash of an item stands whose value starts at a place; the header of a block text may stand between them.
fn dash_before(start: usize, text: &str) -> Option<usize> {
    let from = start.saturating_sub(4096);
    let mut head = text.get(from..start)?.trim_end();
    if let Some((before, header)) = head.rsplit_once(['|', '>'])
        && header.bytes().all(|b| b.is_ascii_digit() || b == b'+' || b == b'-')
    {
        head = before.trim_end();
    }
    head.ends_with('-').then(|| from + head.len() - 1)
}

/// Gives a comment to the innermost block or list at the end of `node` whose items stand no further in than the comment
/// does. `trivia` is what `node` is the value of. Says whether there is one.
fn below(node: &mut Node, trivia: &mut Option<Box<Trivia>>, line: &Line, blank: bool, text: &str) -> bool {
    if !is_block_style(node, text) {
        return false;
    }
    let (inner, innermost, at) = match &mut node.value {
        Value::Block(entries) => match entries.last_mut() {
            Some(e) => (&mut e.node, &mut e.trivia, Some(token_start(e.key.span, text))),
            None => return false,
        },
        Value::List(items) => match items.last_mut() {
            Some(i) => {
                let dash = dash_before(token_start(i.node.span, text), text);
                (&mut i.node, &mut i.trivia, dash)
            }
            None => return false,
        },
        _ => return false,
    };
    if at.and_then(|at| column(text, at)).is_none_or(|column| column > line.column) {
        return false;
    }
    if !below(inner, innermost, line, blank, text) {
        let trivia = trivia.get_or_insert_default();
        if blank {
            trivia.below.push(String::new());
        }
        trivia.below.push(line.text.clone());
    }
    true
}

/// Takes the comments out of a value that is about to be copied; gives its depth.
fn bare(node: &mut Node) -> usize {
    match &mut node.value {
        Value::Block(entries) => {
            1 + entries
                .iter_mut()
                .map(|e| {
                    e.trivia = None;
                    bare(&mut e.node)
                })
                .max()
                .unwrap_or(0)
        }
        Value::List(items) => {
            1 + items
                .iter_mut()
                .map(|i| {
                    i.trivia = None;
                    bare(&mut i.node)
                })
                .max()
                .unwrap_or(0)
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;
    use crate::source::Sources;

    fn findings(text: &str) -> (Option<Document>, Vec<Diagnostic>, Sources) {
        let mut sources = Sources::new();
        let id = sources.add(Source::new("p.yaml", text));
        let mut sink = Sink::new();
        let document = read(sources.get(id).unwrap(), id, &Limits::default(), &mut sink);
        (document, sink.sorted(), sources)
    }

    fn good(text: &str) -> Document {
        let (document, found, sources) = findings(text);
        assert!(found.is_empty(), "{}", crate::diagnostic::render(&found, &sources, false, 100));
        document.unwrap()
    }

    /// Code, underlined text and help of each finding.
    fn said(text: &str) -> Vec<(&'static str, String, String)> {
        let (_, found, sources) = findings(text);
        found
            .iter()
            .map(|d| (d.code.name, sources.slice(d.span()).to_owned(), d.help.clone().unwrap_or_default()))
            .collect()
    }

    /// A document as one line of text: words bare, quoted ones in quotes, nothing as `~`.
    fn plain(node: &Node) -> String {
        match &node.value {
            Value::Null => "~".to_owned(),
            Value::Word(w) if w.quoted => format!("{:?}", w.text.as_str()),
            Value::Word(w) => w.text.to_string(),
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(|i| plain(&i.node)).collect();
                format!("[{}]", items.join(" "))
            }
            Value::Block(entries) => {
                let entries: Vec<_> = entries.iter().map(|e| format!("{}={}", e.key.value, plain(&e.node))).collect();
                format!("({})", entries.join(" "))
            }
        }
    }

    #[test]
    fn words_stay_as_written() {
        let d =
            good("a: no\nb: 010\nc: 1:10\nd: $up\ne:\nf: ~\ng: '80'\nh: [x, {y: z}]\ni: {}\nj: tcp dport {22, 80}\n");
        assert_eq!(plain(&d.root), "(a=no b=010 c=1:10 d=$up e=~ f=~ g=\"80\" h=[x (y=z)] i=() j=tcp dport {22, 80})");
        assert_eq!(d.root.get("e").unwrap().node.value, Value::Null);
        assert_eq!(d.root.get("f").unwrap().node.as_word(), Some("~"));
        assert_eq!(d.root.get("e").unwrap().node.span, d.root.get("e").unwrap().key.span);
    }

    #[test]
    fn spans_are_bytes_of_the_text_without_quotes() {
        let text = "\u{feff}é: \"tcp 'x'\"   # ö\nb:\n  - 'it''s'\n  - { c: |\n  d\n }\n"
            .replace("{ c: |\n  d\n }", "{ c: d }");
        let d = good(&text);
        let slice = |span: Span| &text[span.start as usize..span.end as usize];
        let entries = d.root.entries().unwrap();
        assert_eq!(slice(entries[0].key.span), "é");
        assert_eq!(slice(entries[0].node.span), "tcp 'x'");
        assert_eq!(slice(entries[0].node.part(4, 7)), "'x'");
        let Value::List(items) = &entries[1].node.value else { panic!() };
        assert_eq!(slice(items[0].node.span), "'it''s'");
        assert_eq!(slice(items[0].node.part(0, 2)), "'it''s'");
        assert_eq!(slice(items[1].node.span), "{ c: d }");
        assert!(slice(entries[1].node.span).ends_with("{ c: d }"));
        assert!(slice(d.root.span).starts_with('é'));
    }

    #[test]
    fn block_texts_and_folded_words_are_read_as_yaml_says() {
        let d = good("a: >-\n  tcp\n  dport 22\n\n# c\nb: tcp\n   dport\nc: |\n  x\n  y\n");
        assert_eq!(plain(&d.root), "(a=\"tcp dport 22\" b=tcp dport c=\"x\\ny\\n\")");
        assert_eq!(d.root.get("b").unwrap().trivia.as_ref().unwrap().above, ["", "c"]);
    }

    #[test]
    fn comments_stay_with_what_they_speak_of() {
        let text = "# top\n\n# about a\na:   # beside a\n  b: c   # beside b\n\n  # below b\nd: # on d\n  - { e: f }  # beside item\n  # off\n  - g\nh: {  # at h\n  i: j, # beside i\n  # last\n}\n#\n# end\n";
        let d = good(text);
        let trivia = |e: &Entry| e.trivia.as_deref().cloned().unwrap_or_default();
        let entries = d.root.entries().unwrap();
        let a = trivia(&entries[0]);
        assert_eq!(a.below, ["", "below b"]);
        assert_eq!(
            (a.above, a.beside.as_deref()),
            (vec!["top".to_owned(), String::new(), "about a".into()], Some("beside a"))
        );
        let b = trivia(&entries[0].node.entries().unwrap()[0]);
        assert_eq!(b.beside.as_deref(), Some("beside b"));
        assert_eq!(trivia(&entries[1]).beside.as_deref(), Some("on d"));
        let Value::List(items) = &entries[1].node.value else { panic!() };
        assert_eq!(items[0].trivia.as_ref().unwrap().beside.as_deref(), Some("beside item"));
        assert_eq!(items[1].trivia.as_ref().unwrap().above, ["off"]);
        assert_eq!(trivia(&entries[2]).beside.as_deref(), Some("at h"));
        assert_eq!(trivia(&entries[2]).below, ["last"]);
        let i = trivia(&entries[2].node.entries().unwrap()[0]);
        assert_eq!(i.beside.as_deref(), Some("beside i"));
        assert_eq!(d.tail, [" ", "end"]);
    }

    #[test]
    fn a_hash_in_a_word_or_an_anchor_is_no_comment() {
        let d = good("a: x#y\nb: &n#1 c # d\ne: *n#1\n");
        assert_eq!(plain(&d.root), "(a=x#y b=c e=c)");
        assert_eq!(d.root.get("b").unwrap().trivia.as_ref().unwrap().beside.as_deref(), Some("d"));
    }

    #[test]
    fn comments_below_a_list_stay_in_the_list() {
        let d = good("a:\n  rules:\n    - x\n    # - y\n  b: c\n");
        let a = d.root.get("a").unwrap();
        assert_eq!(a.node.get("rules").unwrap().trivia.as_ref().unwrap().below, ["- y"]);
        assert!(a.node.get("b").unwrap().trivia.is_none());
    }

    #[test]
    fn aliases_are_expanded_and_point_at_themselves() {
        let text = "a: &x { b: [c], d: e } # keep\nf: *x\ng: { h: *x }\n";
        let d = good(text);
        assert_eq!(plain(&d.root), "(a=(b=[c] d=e) f=(b=[c] d=e) g=(h=(b=[c] d=e)))");
        let f = &d.root.get("f").unwrap().node;
        assert_eq!(&text[f.span.start as usize..f.span.end as usize], "*x");
        assert!(f.get("b").unwrap().node.span.start < f.span.start);
    }

    #[test]
    fn an_alias_bomb_is_refused_at_once() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..30 {
            let items = vec![format!("*a{}", n - 1); 10].join(", ");
            text += &format!("a{n}: &a{n} [{items}]\n");
        }
        let clock = std::time::Instant::now();
        assert_eq!(said(&text)[0].0, "alias-bomb");
        assert!(clock.elapsed().as_millis() < 1000);
        assert_eq!(said("a: &a [*a]")[0].0, "yaml-alias");
        // 30,000 aliases for one leaf are no bomb.
        let many: String = (0..30_000).map(|n| format!("c{n}: {{ leaf: *l }}\n")).collect();
        good(&format!("l: &l {{ sfq: {{ perturb: 10s }} }}\n{many}"));
    }

    #[test]
    fn nesting_and_size_have_limits() {
        assert_eq!(said(&"[".repeat(100_000))[0].0, "too-deep");
        assert_eq!(said(&"- ".repeat(100_000))[0].0, "too-deep");
        let deep: String = (0..80).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
        assert_eq!(said(&deep)[0].0, "too-deep");
        let source = Source::new("p.yaml", "a: [1, 2, 3, 4]");
        for limits in [Limits { nodes: 3, ..Limits::default() }, Limits { file_bytes: 3, ..Limits::default() }] {
            let mut sink = Sink::new();
            assert!(read(&source, FileId(0), &limits, &mut sink).is_none());
            assert_eq!(sink.found[0].code.name, "file-too-large");
        }
    }

    #[test]
    fn what_is_no_policy_is_said_so() {
        for text in ["", "  \n", "# only words\n", "\u{feff}"] {
            assert_eq!(said(text)[0].0, "empty-file", "{text:?}");
        }
        assert!(said("interface eth0 {\n    link rate 5\n}\n")[0].2.contains(".shape"));
        assert_eq!(said("a: b\0c")[0].1, "\0");
        assert_eq!(said("- a\n")[0].0, "syntax");
        assert_eq!(plain(&good("{}\n").root), "()");
        assert_eq!(plain(&good("--- # c\na: b\n").root), "(a=b)");
        assert_eq!(plain(&good("a: b\r\n\r\n# c\r\nd: e\r\n").root), "(a=b d=e)");
    }

    #[test]
    fn what_yaml_has_and_a_policy_has_not_is_named() {
        let (document, found, sources) =
            findings("p: &p {a: b}\nq: { <<: *p, c: d }\nr: !!str x\n? [s]\n: t\nu: *.yaml\n");
        let codes: Vec<_> = found.iter().map(|d| (d.code.name, sources.slice(d.span()))).collect();
        assert_eq!(
            codes,
            [("yaml-merge-key", "<<"), ("yaml-tag", "!!str"), ("yaml-key", "[s]"), ("yaml-alias", "*.yaml")]
        );
        assert!(found[0].help.as_ref().unwrap().contains("profiles:"));
        assert_eq!(plain(&document.unwrap().root), "(p=(a=b) q=(c=d) r=x u=\"*.yaml\")");
        assert_eq!(said("a: b\n---\nc: d\n")[0].0, "yaml-documents");
        assert_eq!(said("%YAML 1.1\n---\na: b\n")[0].1, "%YAML 1.1");
    }

    #[test]
    fn a_set_without_quotes_is_read_as_meant_and_refused() {
        let (document, found, sources) = findings(
            "rules:\n  - { class: ssh, match: tcp dport {22, 80} and src {$a}, x: y }\n  - { match: {22, 80} or udp }\nm: {22} or x\nn: {22, 80}\n",
        );
        let said: Vec<_> =
            found.iter().map(|d| (d.code.name, sources.slice(d.span()), d.help.as_deref().unwrap())).collect();
        assert_eq!(
            said,
            [
                ("unquoted-set", "{22, 80}", "write `match: \"tcp dport {22, 80} and src {$a}\"`"),
                ("unquoted-set", "{22, 80}", "write `match: \"{22, 80} or udp\"`"),
                ("unquoted-set", "{22}", "write `m: \"{22} or x\"`"),
                ("unquoted-set", "{22, 80}", "write it as a list, `[22, 80]`, or quoted, `\"{22, 80}\"`"),
            ]
        );
        let root = document.unwrap().root;
        assert_eq!(
            plain(&root),
            "(rules=[(class=ssh match=\"tcp dport {22, 80} and src {$a}\" x=y) (match=\"{22, 80} or udp\")] m=\"{22} or x\" n=[22 80])"
        );
        let Value::List(items) = &root.get("rules").unwrap().node.value else { panic!() };
        assert_eq!(sources.slice(items[0].node.get("match").unwrap().node.part(10, 18)), "{22, 80}");
    }

    #[test]
    fn a_comma_that_splits_a_value_is_named() {
        let (document, found, _) = findings(
            "a: { bands: high, medium, low, x: y }\nb: { match: tcp dport 22, 80 }\nc: { limit: 10, ecn }\nd: { htb, rules: [] }\ne: { rate:1mbit, src: 2001:db8::1 }\nf:\n  rate:1mbit\n",
        );
        let help: Vec<_> = found.iter().map(|d| (d.code.name, d.help.as_deref().unwrap())).collect();
        assert_eq!(
            help,
            [
                ("split-value", "write a list: `bands: [high, medium, low]`"),
                ("split-value", "quote the value: `match: \"tcp dport 22, 80\"`"),
                ("split-value", "write a list: `limit: [10, ecn]`; if `ecn` is a flag, `ecn: yes`"),
                ("syntax", "write `rate: 1mbit`"),
                ("syntax", "write `rate: 1mbit`"),
            ]
        );
        assert_eq!(
            plain(&document.unwrap().root),
            "(a=(bands=[high medium low] x=y) b=(match=\"tcp dport 22, 80\") c=(limit=[10 ecn]) d=(htb=~ rules=[]) \
             e=(rate=1mbit src=2001:db8::1) f=(rate=1mbit))"
        );
    }

    /// The parser's errors in our words: text, code, what is underlined, and a part of the sentence or the help.
    #[test]
    fn errors_have_a_place_and_a_remedy() {
        let table = [
            ("a:\n\tb: c\n", "yaml-tab", "\t", "expand -t 2"),
            ("a:\n  b: c\n\td: e\n", "yaml-tab", "\t", "expand -t 2"),
            ("a: { b: c\nd: e\n", "syntax", "{", "`{` is not closed"),
            ("a: [1, 2\nb: c\n", "syntax", "[", "`[` is not closed"),
            ("a: { b: c e: f }\n", "syntax", "e", "a comma is missing before `e`"),
            ("a: [1, 2}\n", "syntax", "}", "`[` is closed by `}`"),
            ("a: }\n", "syntax", "}", "closes nothing"),
            ("a: b: c\n", "syntax", ":", "`a: \"b: c\"`"),
            ("interfaces:\n  eth0\n    link: x\n", "syntax", "eth0", "`eth0` has no colon"),
            ("egress: htb\n  default: x\n", "syntax", "default", "has the value `htb` already"),
            ("a:\n    b: c\n  d: e\n", "syntax", "d", "column 0 or 4"),
            ("a: b\nc\nd: e\n", "syntax", "c", "`c` has no colon"),
            ("a: b\nc:d\n", "syntax", "c:d", "`c: d`"),
            ("a: \"b\nc: d\n", "syntax", "\"", "a quote is not closed"),
            ("a: \"b\" or \"c\"\n", "syntax", "or \"c\"", "`'\"b\" or \"c\"'`"),
            ("a: \"b\\qc\"\n", "syntax", "\\q", "use single quotes"),
            ("a: %up\n", "syntax", "%", "`\"%up\"`"),
            ("a:\n  - b\n  c: d\n", "syntax", "c", "stands where the list goes on"),
            ("a:\n  b: c\n  - d\n", "syntax", "- d", "a list item among keys"),
            ("a: { b: c }, d: e\n", "syntax", ", d: e", "follows a closed value"),
            ("a: x # y\n z\n", "syntax", "# y", "cuts a value"),
            ("a: !x!y z\n", "yaml-tag", "!x!y", "tag"),
            ("a: | x\n", "syntax", "|", "did not find"),
            ("a: { b:{ c: d } }\n", "syntax", ":", "a blank is missing"),
        ];
        for (text, code, underlined, words) in table {
            let (document, found, sources) = findings(text);
            assert!(document.is_none(), "{text:?}");
            assert_eq!(found.len(), 1, "{text:?} {found:?}");
            let d = &found[0];
            assert_eq!((d.code.name, sources.slice(d.span())), (code, underlined), "{text:?} {d:?}");
            let all = format!("{} {}", d.message, d.help.as_deref().unwrap_or(""));
            assert!(all.contains(words), "{text:?} {all}");
        }
    }

    #[test]
    fn all_faults_of_a_file_come_in_one_run() {
        let text = "let: { up: 2mbit\ninterfaces:\n  eth0:\n    egress: htb\n      default: x\n    ingress: \"a\n  eth1\n    link: x\n  eth2:\n    egress: { a: b c: d }\n  eth3: { <<: *x }\nsets: [1, 2}\n";
        let lines: Vec<_> = {
            let (document, found, sources) = findings(text);
            assert!(document.is_none());
            found.iter().map(|d| sources.locate(d.span()).unwrap().1).collect()
        };
        assert_eq!(lines, [1, 5, 6, 7, 10, 11, 12]);
        // Very many faults end the reading, soon.
        let many = "a: }\n".repeat(100_000);
        assert_eq!(said(&many).len(), FAULTS);
    }
}
