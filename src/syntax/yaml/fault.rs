//! What is wrong with a YAML text, in our words: the parser's errors with their places and remedies, and the slips that
//! YAML itself accepts.

use super::{Frame, Pass};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::source::{Source, Span, Spanned};
use crate::syntax::document::{Entry, Item, Node, Value};
use granit_parser::{ErrorKind, ScanError};
use std::net::Ipv6Addr;
use std::ops::Range;

/// An error of the parser in our words.
pub(super) struct Fault {
    pub finding: Diagnostic,
    pub remedy: Remedy,
}

/// What is done so that the rest of the text can be looked at.
pub(super) enum Remedy {
    /// Nothing.
    Stop,
    /// These lines are blanked.
    Blank(Range<usize>),
    /// These bytes are part of a plain text.
    Mask(Range<usize>),
}

/// Turns the parser's error into a finding.
pub(super) fn explain(pass: &Pass<'_>, error: &ScanError, source: &Source) -> Fault {
    Site::new(pass, error).explain(error.kind(), source)
}

/// The surroundings of an error.
struct Site<'p, 'a> {
    pass: &'p Pass<'a>,
    text: &'a str,
    /// Where the parser saw it.
    at: usize,
    /// The innermost and outermost open bracket.
    inner: Option<&'p Frame>,
    outer: Option<&'p Frame>,
}

impl<'p, 'a> Site<'p, 'a> {
    fn new(pass: &'p Pass<'a>, error: &ScanError) -> Self {
        let at = (error.marker().byte_offset().unwrap_or(0) + pass.origin).min(pass.text.len());
        let mut at = at;
        while !pass.text.is_char_boundary(at) {
            at -= 1;
        }
        let (inner, outer) = (pass.frames.iter().rfind(|f| f.flow), pass.frames.iter().find(|f| f.flow));
        Site { pass, text: pass.text, at, inner, outer }
    }

    fn span(&self, range: Range<usize>) -> Span {
        self.pass.span(range)
    }

    fn slice(&self, range: Range<usize>) -> &'a str {
        self.text.get(range).unwrap_or("")
    }

    fn line_start(&self, at: usize) -> usize {
        self.slice(0..at).rfind('\n').map_or(0, |n| n + 1)
    }

    fn line_end(&self, at: usize) -> usize {
        let end = self.text.get(at..).and_then(|rest| rest.find('\n')).map_or(self.text.len(), |n| at + n);
        end - usize::from(self.slice(at..end).ends_with('\r'))
    }

    /// From here to the line's end, without a comment and blanks.
    fn rest(&self, at: usize) -> &'a str {
        let line = self.slice(at..self.line_end(at));
        line.find(" #").and_then(|end| line.get(..end)).unwrap_or(line).trim_end()
    }

    /// The word at a place: up to a blank or an indicator; at least one character.
    fn word(&self, at: usize) -> Range<usize> {
        let rest = self.slice(at..self.line_end(at));
        let end = rest.find(|c: char| c.is_whitespace() || ",:[]{}#".contains(c)).unwrap_or(rest.len());
        let least = rest.chars().next().map_or(0, char::len_utf8);
        at..at + end.max(least)
    }

    /// The lines of what starts on the line at `from`: it and what is indented further.
    fn lines(&self, from: usize) -> Range<usize> {
        let start = self.line_start(from);
        let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
        let mut end = start;
        let mut own = None;
        for line in self.text.get(start..).unwrap_or("").split_inclusive('\n') {
            let body = line.trim();
            match own {
                None => own = Some(indent(line)),
                Some(own) if indent(line) <= own && !body.is_empty() && !body.starts_with(['#', '}', ']']) => break,
                Some(_) => {}
            }
            end += line.len();
        }
        start..end
    }

    fn fault(&self, finding: Diagnostic, from: usize) -> Fault {
        Fault { finding, remedy: Remedy::Blank(self.lines(from)) }
    }

    fn finding(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(&codes::SYNTAX, message)
    }

    fn explain(&self, kind: &ErrorKind, source: &Source) -> Fault {
        use ErrorKind as K;
        if let Some(fault) = self.tabs(kind, source) {
            return fault;
        }
        match kind {
            K::ExpectedFlowMappingSeparator | K::ExpectedFlowSequenceSeparator | K::InvalidColonPlacement => {
                self.in_flow()
            }
            K::MismatchedFlowCollectionEnd { open, close } => {
                let end = self.text.get(self.at..).and_then(|rest| rest.find(*close)).map_or(self.at, |n| self.at + n);
                let finding = self
                    .finding(format!("`{open}` is closed by `{close}`"))
                    .at(self.span(end..end + 1), "closed here")
                    .at(self.span(self.at..self.at + 1), "opened here");
                self.fault(finding, self.outer.map_or(self.at, |f| f.start))
            }
            K::UnclosedFlowCollection { .. }
            | K::UnexpectedEofFlowMapping
            | K::UnexpectedEofFlowSequence
            | K::UnexpectedEofImplicitFlowMapping
            | K::InvalidFlowScalarIndent => self.unclosed(),
            K::MisplacedFlowCollectionEnd => {
                let found = self.slice(self.at..self.at + 1);
                let finding =
                    self.finding(format!("`{found}` closes nothing")).at(self.span(self.at..self.at + 1), "delete it");
                self.fault(finding, self.at)
            }
            K::MappingValueNotAllowed => self.second_colon(),
            K::ExpectedBlockMappingKey => self.no_key(),
            K::SimpleKeyExpected | K::InvalidSimpleKey => self.no_colon(),
            K::ExpectedBlockSequenceEntry => {
                let word = self.word(self.at);
                let finding = self
                    .finding(format!("`{}` stands where the list goes on", self.slice(word.clone())))
                    .at(self.span(word), "a list's items start with `- `")
                    .help("start the line with `- `, or indent it as the key that the list belongs to");
                self.fault(finding, self.at)
            }
            K::BlockEntryInFlowCollection | K::BlockSequenceEntryNotAllowed => {
                let finding = self
                    .finding("a list item cannot start here")
                    .at(self.span(self.at..self.at + 1), "a `-` on its own")
                    .help("start the list on a line of its own, or write it as `[a, b]`");
                self.fault(finding, self.at)
            }
            K::UnclosedQuotedScalar | K::InvalidQuotedScalarIndent | K::DocumentIndicatorInQuotedScalar => {
                self.open_quote()
            }
            K::InvalidTrailingDoubleQuotedScalar | K::InvalidTrailingSingleQuotedScalar => self.after_quote(),
            K::UnknownQuotedScalarEscape
            | K::InvalidQuotedScalarHexEscape
            | K::InvalidLowSurrogateHexEscape
            | K::InvalidLowSurrogate
            | K::MissingLowSurrogate
            | K::UnpairedLowSurrogate
            | K::InvalidUnicodeEscape => self.escape(),
            K::UnexpectedCharacter { character } => self.indicator(*character),
            K::DirectiveDisallowed | K::ExpectedDocumentStart | K::MissingDocumentEndBeforeDirective => {
                let end = self.line_end(self.at);
                let finding = self
                    .finding("a policy has no YAML directives")
                    .at(self.span(self.at..end), "")
                    .help("remove this line and the `---` after it");
                self.fault(finding, self.at)
            }
            K::CommentInterceptedScalar => {
                let finding = self
                    .finding("a comment cuts a value in two")
                    .at(self.span(self.at..self.line_end(self.at)), "the next line goes on with the value")
                    .help("put the comment on a line above, or give the next line a key");
                self.fault(finding, self.at)
            }
            K::CommentNotSeparated => {
                let finding = self
                    .finding("a blank is missing before `#`")
                    .at(self.span(self.at..self.at + 1), "")
                    .help("write ` # …` for a comment, or quote the text that the `#` belongs to");
                self.fault(finding, self.at)
            }
            K::RecursionLimitExceeded => Fault {
                finding: match self.pass.too_deep(self.at) {
                    super::Stop::Refused(finding) => *finding,
                    super::Stop::Syntax(_) => self.finding("too many levels of nesting"),
                },
                remedy: Remedy::Stop,
            },
            K::FlowMappingValueAdjacentCollection | K::InvalidMappingValueWhitespace => {
                let finding = self
                    .finding("a blank is missing after the colon")
                    .at(self.span(self.at..self.at + 1), "here")
                    .help("write `key: { … }`");
                self.fault(finding, self.outer.map_or(self.at, |f| f.start))
            }
            K::UndeclaredTagHandle
            | K::ExpectedTagBang
            | K::InvalidGlobalTagCharacter
            | K::InvalidTagTerminator
            | K::MissingTagUri
            | K::UnclosedVerbatimTag
            | K::InvalidTagEscape
            | K::InvalidTagUtf8
            | K::InvalidTagUtf8LeadingByte
            | K::InvalidTagUtf8TrailingByte => self.tag(),
            other => {
                let said = other.to_string();
                let said =
                    said.split_once(", ").filter(|(head, _)| head.starts_with("while ")).map_or(&*said, |(_, t)| t);
                let finding = self.finding(said).at(self.span(self.word(self.at)), "here");
                self.fault(finding, self.at)
            }
        }
    }

    /// Tabs in front of a line: all of them in one finding, and the reading ends, because they may stand for any depth.
    fn tabs(&self, kind: &ErrorKind, source: &Source) -> Option<Fault> {
        let named = matches!(
            kind,
            ErrorKind::TabNotAllowed
                | ErrorKind::TabInBlockIndentation
                | ErrorKind::TabInIndentation
                | ErrorKind::TabInPlainScalar
                | ErrorKind::TabAtBlockScalarStart
        );
        let tab_of = |start: usize| {
            let line = self.slice(start..self.line_end(start));
            let blank = line.len() - line.trim_start().len();
            line.get(..blank).and_then(|b| b.find('\t')).map(|tab| start + tab..start + blank)
        };
        let here = self.line_start(self.at);
        let next = (self.line_end(self.at) + 1).min(self.text.len());
        let tab = tab_of(here).or_else(|| named.then(|| tab_of(next)).flatten());
        let inside = || {
            let tab = self.text.get(self.at.saturating_sub(1)..).and_then(|rest| rest.find('\t'))?;
            let tab = self.at.saturating_sub(1) + tab;
            Some(tab..tab + 1)
        };
        let tab = tab.or_else(|| named.then(inside).flatten())?;
        let mut lines = 0;
        let mut start = 0;
        for line in self.text.split_inclusive('\n') {
            lines += usize::from(tab_of(start).is_some() && !line.trim().is_empty());
            start += line.len();
        }
        let message = match lines {
            0 | 1 => "a tab cannot indent a line".to_owned(),
            n => format!("tabs cannot indent lines, and {n} lines here start with one"),
        };
        let finding = Diagnostic::new(&codes::YAML_TAB, message)
            .at(self.span(tab), "a tab")
            .help(format!("write two blanks a level: `expand -t 2 {0} > {0}.new && mv {0}.new {0}`", source.name));
        Some(Fault { finding, remedy: Remedy::Stop })
    }

    /// Inside `{ }` or `[ ]`: a set without quotes, a missing comma, a missing bracket.
    fn in_flow(&self) -> Fault {
        let (value, flow) = (&self.pass.last_value, &self.pass.last_flow);
        let before = self.slice(0..self.at).trim_end_matches(' ').len();
        let opens = matches!(self.text.as_bytes().get(self.at), Some(b'{' | b'['));
        if opens && value.plain && value.range.end == before {
            return self.unquoted_set(value.range.start, self.at);
        }
        if !flow.is_empty()
            && !self.slice(flow.clone()).contains(": ")
            && flow.end == before
            && self.text.as_bytes().get(self.at).is_some_and(u8::is_ascii_alphanumeric)
        {
            return self.unquoted_set(flow.start, flow.start);
        }
        let Some(open) = self.inner else { return self.unclosed() };
        // YAML took the value and the next key for one text; its last word is that key.
        let head = self.slice(0..self.at).trim_end();
        let key = head.rfind(|c: char| c.is_whitespace() || ",{[".contains(c)).map_or(0, |n| n + 1);
        let key = if self.text.as_bytes().get(self.at) == Some(&b':') { key..head.len() } else { self.word(self.at) };
        let own_line = self.slice(self.line_start(key.start)..key.start).trim().is_empty();
        let indent = |at: usize| {
            let line = self.slice(self.line_start(at)..self.line_end(at));
            line.len() - line.trim_start().len()
        };
        if own_line && indent(key.start) <= indent(open.start) {
            return self.unclosed();
        }
        let word = self.slice(key.clone());
        let bracket = self.slice(open.start..open.start + 1);
        let finding = self
            .finding(format!("a comma is missing before `{word}`"))
            .at(self.span(key), "the next one starts here")
            .at(self.span(open.start..open.start + 1), format!("inside of this `{bracket}`"))
            .help(format!("write `, {word}`, or quote the text before it if this belongs to it"));
        self.fault(finding, self.outer.map_or(self.at, |f| f.start))
    }

    /// `tcp dport {22, 80}` inside of `{ }`. The text starts at `start`, its first brace is at `brace`.
    fn unquoted_set(&self, start: usize, brace: usize) -> Fault {
        let line = self.slice(brace..self.line_end(brace));
        let mut depth = 0usize;
        let mut end = line.len();
        for (at, b) in line.bytes().enumerate() {
            match b {
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 0 => {
                    end = at;
                    break;
                }
                b'}' | b']' => depth -= 1,
                b',' if depth == 0 && self.outer.is_some() => {
                    end = at;
                    break;
                }
                b'#' if depth == 0 && line.get(..at).is_some_and(|l| l.ends_with(' ')) => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let end = brace + line.get(..end).unwrap_or(line).trim_end().len();
        let whole = self.slice(start..end);
        let close = line.find(['}', ']']).map_or(end, |n| (brace + n + 1).min(end));
        let key = self.slice(0..start).trim_end().strip_suffix(':').unwrap_or("match");
        let key = key.rsplit(|c: char| c.is_whitespace() || ",{[".contains(c)).next().unwrap_or("match");
        let finding = Diagnostic::new(&codes::UNQUOTED_SET, "a set in braces needs quotes here")
            .at(self.span(brace..close), "YAML takes this for a map of its own")
            .help(format!("write `{key}: {}`", quote(whole)));
        Fault { finding, remedy: Remedy::Mask(brace..end) }
    }

    fn unclosed(&self) -> Fault {
        let Some(open) = self.inner.map(|f| f.start) else {
            let finding = self.finding("a bracket is not closed").at(self.span(self.word(self.at)), "here");
            return self.fault(finding, self.at);
        };
        let bracket = self.slice(open..open + 1);
        let close = if bracket == "{" { "}" } else { "]" };
        let finding = self
            .finding(format!("`{bracket}` is not closed"))
            .at(self.span(open..open + 1), "opened here")
            .help(format!("write `{close}` where it ends"));
        self.fault(finding, self.outer.map_or(open, |f| f.start))
    }

    /// `a: b: c`, or a block under a key that has a value, or a block under a word without a colon.
    fn second_colon(&self) -> Fault {
        let value = self.pass.last_value.range.clone();
        let key = self.pass.last_key.range.clone();
        let written = self.slice(value.clone());
        let colon = self.span(self.at..self.at + 1);
        if written.contains('\n') && value.end == self.at {
            let first = written.lines().next().unwrap_or("").trim_end();
            let first_range = value.start..value.start + first.len();
            let last = written.lines().last().unwrap_or("").trim();
            let last_range = value.end - last.len()..value.end;
            if self.slice(key.end..value.start).contains('\n') {
                let finding = self
                    .finding(format!("`{first}` has no colon"))
                    .at(self.span(first_range), "is this a key?")
                    .help(format!("write `{first}:`"));
                return self.fault(finding, value.start);
            }
            let name = self.slice(key.clone());
            let finding = self
                .finding(format!("`{name}` has the value `{first}` already, so no block can follow"))
                .at(self.span(last_range), "this belongs to nothing")
                .at(self.span(first_range), "the value")
                .help(format!("if the lines below are options of `{first}`, write `{name}:` alone and `{first}:` on the next line, further in; if not, indent them as `{name}`"));
            return self.fault(finding, key.start);
        }
        let line = self.line_start(self.at);
        let finding = self.finding("a second `: ` in one line").at(colon, "here");
        let finding = if key.start >= line && value.end <= self.at && value.start > key.start {
            let whole = self.rest(value.start);
            finding.help(format!("quote the value if the colon belongs to it: `{}: {}`", self.slice(key), quote(whole)))
        } else {
            finding.help("put each key on a line of its own, or write `{ key: value, key: value }`")
        };
        self.fault(finding, self.at)
    }

    /// Where a block's next key should stand.
    fn no_key(&self) -> Fault {
        let line = self.line_start(self.at);
        let flow = self.pass.last_flow.clone();
        let rest = self.rest(self.at);
        if flow.start >= line && flow.end <= self.at && !flow.is_empty() {
            if !rest.starts_with([',', '}', ']']) && !self.slice(flow.clone()).contains(": ") {
                return self.unquoted_set(flow.start, flow.start);
            }
            let finding = self
                .finding(format!("`{rest}` follows a closed value"))
                .at(self.span(self.at..self.at + rest.len()), "nothing can stand here")
                .at(self.span(flow.end - 1..flow.end), "closed here")
                .help("put the next key on a line of its own");
            return self.fault(finding, line);
        }
        let head = self.slice(line..self.at);
        if head.trim() == "-" || rest.starts_with("- ") {
            let finding = self
                .finding("a list item among keys")
                .at(self.span(line + head.len() - head.trim_start().len()..self.at + 1), "a `-` cannot stand here")
                .help("a block holds either keys or `- ` items: give the list a key of its own");
            return self.fault(finding, self.at);
        }
        let above = self.pass.last_key.range.start;
        let columns = self.pass.frames.iter().filter(|f| !f.flow).map(|f| f.start).chain([above]);
        let mut columns: Vec<usize> = columns.filter_map(|at| super::column(self.text, at)).collect();
        columns.sort_unstable();
        columns.dedup();
        let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
        let word = self.word(self.at);
        let finding = self
            .finding(format!("`{}` stands in column {}, where no block is", self.slice(word.clone()), self.at - line))
            .at(self.span(word), "this line belongs to nothing")
            .help(format!("line it up with the lines above it: column {}", columns.join(" or ")));
        self.fault(finding, self.at)
    }

    /// A word where a key and a colon should stand.
    fn no_colon(&self) -> Fault {
        let rest = self.rest(self.at);
        let range = self.at..self.at + rest.len();
        if let Some((key, value)) = glued(rest) {
            return self.fault(glued_finding(self.span(range), key, value), self.at);
        }
        let word = self.slice(self.word(self.at));
        let finding = if rest.len() > 1000 {
            self.finding("a key of more than 1,024 characters").at(self.span(self.word(self.at)), "here")
        } else {
            self.finding(format!("`{rest}` has no colon"))
                .at(self.span(range), "a key with its value should stand here")
                .help(format!("write `{word}: …`, or indent the line if it goes on with the value above"))
        };
        self.fault(finding, self.at)
    }

    fn open_quote(&self) -> Fault {
        let from = self.pass.seen.min(self.at);
        let quote = self.slice(from..self.text.len()).find(['"', '\'']).map_or(self.at, |n| from + n);
        let finding = self
            .finding("a quote is not closed")
            .at(self.span(quote..quote + 1), "opened here")
            .help(format!("close it on this line: `{}{}`", self.rest(quote), self.slice(quote..quote + 1)));
        self.fault(finding, quote)
    }

    fn after_quote(&self) -> Fault {
        let from = self.pass.seen.min(self.at);
        let start = self.slice(from..self.at).find(['"', '\'']).map_or(self.at, |n| from + n);
        let whole = self.rest(start);
        let whole = if self.outer.is_some() {
            whole.find([',', '}', ']']).and_then(|n| whole.get(..n)).unwrap_or(whole).trim_end()
        } else {
            whole
        };
        let rest = self.at..(start + whole.len()).max(self.at + 1);
        let finding = self
            .finding("text after a closing quote")
            .at(self.span(rest), "the value has ended before this")
            .help(format!("quote all of it: `{}`", quote(whole)));
        self.fault(finding, self.at)
    }

    fn escape(&self) -> Fault {
        let back = self.slice(self.at..self.text.len());
        let mut chars = back.char_indices().peekable();
        let mut found = self.at..self.at + 1;
        while let Some((at, c)) = chars.next() {
            if c == '\\' {
                let next = chars.next().map_or(1, |(_, c)| 1 + c.len_utf8());
                let known = "0abtnvfre \"/\\N_LP\n\r\t";
                found = self.at + at..self.at + at + next;
                if !known.contains(self.slice(found.start + 1..found.end)) {
                    break;
                }
            }
            if c == '\n' && found.start > self.at {
                break;
            }
        }
        let finding = self
            .finding(format!("`{}` is no escape of YAML", self.slice(found.clone())))
            .at(self.span(found.clone()), "in double quotes a backslash starts an escape")
            .help("write `\\\\` for a backslash, or use single quotes");
        self.fault(finding, found.start)
    }

    fn indicator(&self, c: char) -> Fault {
        let value = self.rest(self.at);
        let value = if self.outer.is_some() {
            value.find([',', '}', ']']).and_then(|n| value.get(..n)).unwrap_or(value).trim_end()
        } else {
            value
        };
        let finding = self
            .finding(format!("a value cannot start with `{c}` unless it is quoted"))
            .at(self.span(self.at..self.at + c.len_utf8().min(self.text.len() - self.at)), "")
            .help(format!("write `{}`", quote(value)));
        self.fault(finding, self.at)
    }

    fn tag(&self) -> Fault {
        let start = self.slice(0..self.at).rfind([' ', '\n']).map_or(0, |n| n + 1);
        let start = if self.text.as_bytes().get(self.at) == Some(&b'!') { self.at } else { start };
        let end = self.slice(start..self.line_end(start)).find(' ').map_or(self.line_end(start), |n| start + n);
        let finding = Diagnostic::new(
            &codes::YAML_TAG,
            format!("`{}` is a YAML tag, and a policy has none", self.slice(start..end)),
        )
        .at(self.span(start..end), "")
        .help("quote the text if the `!` belongs to it");
        self.fault(finding, self.at)
    }
}

/// A text in quotes that need no escapes where possible.
fn quote(text: &str) -> String {
    match (text.contains(['"', '\\']), text.contains('\'')) {
        (true, _) => format!("'{}'", text.replace('\'', "''")),
        _ => format!("\"{text}\""),
    }
}

/// A key and its value without the blank between them, as in `rate:1mbit`. An address of colons is none.
pub(super) fn glued(text: &str) -> Option<(&str, &str)> {
    let (key, value) = text.split_once(':')?;
    let word = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    let address = text.parse::<Ipv6Addr>().is_ok() || text.matches(':').count() == 5 || value.starts_with([':', '/']);
    (word && !value.is_empty() && !value.starts_with(' ') && !text.contains(['\n', '/']) && !address)
        .then_some((key, value))
}

/// The finding for [`glued`].
pub(super) fn glued_finding(span: Span, key: &str, value: &str) -> Diagnostic {
    Diagnostic::new(&codes::SYNTAX, format!("a blank is missing after the colon of `{key}`"))
        .at(span, "YAML takes this for one word")
        .help(format!("write `{key}: {value}`"))
}

/// Whether a word looks like an item of a set: a number, an address, a range, a `$name`.
fn looks_like_item(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit() || c == '$') || (word.contains(':') && word.len() > 2)
}

/// Looks for the slips that YAML accepts inside `{ }`, where a word without a colon is a key without a value: a set that
/// should be quoted, a value that a comma splits, a colon without a blank. Each is reported and read as it was meant.
pub(super) fn slips_in_braces(node: &mut Node, text: &str, found: &mut Vec<Diagnostic>) {
    let Value::Block(entries) = &mut node.value else { return };
    if !entries.iter().any(|e| is_bare(e, text)) {
        return;
    }
    for entry in entries.iter_mut() {
        if !is_bare(entry, text) || looks_like_address(&entry.key.value) {
            continue;
        }
        let Some((key, value)) = glued(&entry.key.value).map(|(k, v)| (k.to_owned(), v.to_owned())) else { continue };
        let span = entry.key.span;
        found.push(glued_finding(span, &key, &value));
        let middle = span.start as usize + key.len();
        let end = span.end as usize;
        entry.node = Node::word(value, Span::new(span.file, middle + 1, end));
        entry.key = Spanned::new(key.into(), Span::new(span.file, span.start as usize, middle));
    }
    let all_bare = entries.iter().all(|e| is_bare(e, text));
    if all_bare {
        if entries.iter().any(|e| looks_like_item(&e.key.value)) {
            let written = text.get(node.span.start as usize..node.span.end as usize).unwrap_or("");
            let list = written.trim_start_matches('{').trim_end_matches('}').trim();
            found.push(
                Diagnostic::new(&codes::UNQUOTED_SET, format!("`{written}` is a map to YAML, not a set"))
                    .at(node.span, "a set in braces needs quotes")
                    .help(format!("write it as a list, `[{list}]`, or quoted, `\"{written}\"`")),
            );
            let items = entries.drain(..).map(|e| Node::word(e.key.value, e.key.span)).collect::<Vec<_>>();
            *node = Node::list(items, node.span);
        }
        return;
    }
    let mut kept: Vec<Entry> = Vec::with_capacity(entries.len());
    let mut split: Option<(Span, Vec<Span>)> = None;
    let mut all: Vec<Entry> = std::mem::take(entries);
    all.reverse();
    while let Some(entry) = all.pop() {
        let value = kept.last().filter(|e| matches!(e.node.value, Value::Word(_))).map(|e| e.node.span);
        match (is_bare(&entry, text), value) {
            (true, Some(value)) => {
                split.get_or_insert_with(|| (value, Vec::new())).1.push(entry.key.span);
                if all.is_empty() {
                    join(&mut kept, split.take(), text, found);
                }
            }
            _ => {
                join(&mut kept, split.take(), text, found);
                kept.push(entry);
            }
        }
    }
    *entries = kept;
}

fn looks_like_address(word: &str) -> bool {
    word.parse::<Ipv6Addr>().is_ok()
}

/// Whether there is no colon after a key.
fn is_bare(entry: &Entry, text: &str) -> bool {
    matches!(entry.node.value, Value::Null)
        && entry.node.span == entry.key.span
        && text.get(entry.key.span.end as usize..).is_some_and(|rest| rest.trim_start().starts_with([',', '}']))
}

/// Puts a value and the words after its comma together again.
fn join(kept: &mut [Entry], split: Option<(Span, Vec<Span>)>, text: &str, found: &mut Vec<Diagnostic>) {
    let (Some((value, words)), Some(entry)) = (split, kept.last_mut()) else { return };
    let Some(last) = words.last() else { return };
    let whole = value.to(*last);
    let written = text.get(whole.start as usize..whole.end as usize).unwrap_or("");
    let key = &entry.key.value;
    let tokens = !written.contains(", ") || written.split(',').all(|w| !w.trim().contains(' '));
    let mut finding = Diagnostic::new(&codes::SPLIT_VALUE, format!("the comma ends the value of `{key}`"));
    for word in &words {
        finding = finding.at(*word, "a key without a value to YAML");
    }
    let flag = text.get(last.start as usize..last.end as usize).unwrap_or("");
    found.push(finding.help(if tokens {
        let flag = if words.len() == 1 && flag.chars().all(|c| c.is_ascii_alphabetic() || c == '-') {
            format!("; if `{flag}` is a flag, `{flag}: yes`")
        } else {
            String::new()
        };
        format!("write a list: `{key}: [{written}]`{flag}")
    } else {
        format!("quote the value: `{key}: {}`", quote(written))
    }));
    entry.node = if tokens {
        let first = Node { span: value, value: std::mem::replace(&mut entry.node.value, Value::Null) };
        let rest = words.iter().map(|w| Node::word(text.get(w.start as usize..w.end as usize).unwrap_or(""), *w));
        let items = std::iter::once(first).chain(rest).map(|node| Item { node, trivia: None }).collect();
        Node { span: whole, value: Value::List(items) }
    } else {
        Node::quoted(written, whole)
    };
}
