//! What shapectl has to say about a file or a kernel: the one value, and its two printed forms.
//!
//! Style: lower case, no full stop, the user's words in backticks, a place whenever there is one, two when two places are
//! at odds, help that can be pasted. This is the only file that knows `miette`.

use crate::source::{Source, Sources, Span, beginning, misleads};
use miette::{LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};
use std::fmt;

pub use crate::codes::{self, Code, Severity};

/// A remark at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place; may lie in another file than the first label's.
    pub span: Span,
    /// A few words; may be empty.
    pub text: String,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The stable code; `shapectl explain CODE` opens it.
    pub code: &'static Code,
    /// The sentence.
    pub message: String,
    /// Places, the main one first.
    pub labels: Vec<Label>,
    /// What to do, ready to paste where possible.
    pub help: Option<String>,
    /// Whether the policy has it on purpose ([`Sink::accept`]): then it is worth knowing, and stops nothing.
    pub accepted: bool,
}

impl Diagnostic {
    /// A finding without a place yet. Control characters of foreign words are made visible.
    pub fn new(code: &'static Code, message: impl Into<String>) -> Self {
        Diagnostic { code, message: visible(&message.into()), labels: Vec::new(), help: None, accepted: false }
    }

    /// Adds a place. [`Span::NONE`] is passed over.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        if !span.is_none() {
            self.labels.push(Label { span, text: visible(&text.into()) });
        }
        self
    }

    /// Adds the help line.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(visible(&text.into()));
        self
    }

    /// Whether it stops a policy from being used.
    pub fn is_error(&self) -> bool {
        self.severity() == Severity::Error
    }

    /// How grave it is here: what is accepted is a note.
    pub fn severity(&self) -> Severity {
        if self.accepted { Severity::Note } else { self.code.severity }
    }

    /// The main place.
    pub fn span(&self) -> Span {
        self.labels.first().map_or(Span::NONE, |l| l.span)
    }
}

/// Makes visible what misleads (`\x1b` becomes `␛`), so that no foreign text reaches a terminal raw.
pub fn visible(text: &str) -> String {
    if !text.chars().any(|c| misleads(c) && c != '\n') {
        return text.to_owned();
    }
    let show = |c: char| match c {
        '\n' => '\n',
        '\u{7f}' => '␡',
        c if (c as u32) < 0x20 => char::from_u32(0x2400 + c as u32).unwrap_or('�'),
        c if misleads(c) => '�',
        c => c,
    };
    text.chars().map(show).collect()
}

/// Collects findings; every stage takes one and goes on after an error where it can.
#[derive(Debug, Default)]
pub struct Sink {
    /// What was found, in the order of finding.
    pub found: Vec<Diagnostic>,
    /// What the policy has on purpose.
    accepted: Vec<Accepted>,
    /// Where the findings of the policy begin that is read.
    begun: usize,
    /// What is found now leaves the policy whole, and may be accepted.
    checking: bool,
}

/// A code that a policy accepts.
#[derive(Debug)]
struct Accepted {
    code: &'static Code,
    span: Span,
    needed: bool,
}

impl Sink {
    /// An empty sink.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a finding. What is no error leaves the policy whole, and may be accepted.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let whole = self.checking || !diagnostic.is_error();
        if whole { self.push_nonsense(diagnostic) } else { self.found.push(diagnostic) }
    }

    /// Adds a finding about something that the kernel takes and that is all in the policy: it may be accepted.
    pub fn push_nonsense(&mut self, mut diagnostic: Diagnostic) {
        if let Some(accepted) = self.accepted.iter_mut().find(|a| a.code == diagnostic.code) {
            accepted.needed = true;
            diagnostic.accepted = true;
        }
        self.found.push(diagnostic);
    }

    /// Findings with this code that may be accepted are, those of this policy that were found before too. `span` is the
    /// place of the policy that says so.
    pub fn accept(&mut self, code: &'static Code, span: Span) {
        let before = self.found.get_mut(self.begun..).unwrap_or_default();
        let mut needed = false;
        for found in before.iter_mut().filter(|found| found.code == code && !found.is_error()) {
            (found.accepted, needed) = (true, true);
        }
        self.accepted.push(Accepted { code, span, needed });
    }

    /// Another policy begins, which accepts nothing yet.
    pub fn accept_nothing(&mut self) {
        self.accepted.clear();
        self.begun = self.found.len();
    }

    /// Runs checks of a policy that has been read: what they find leaves it whole, and may be accepted.
    pub fn check(&mut self, checks: impl FnOnce(&mut Sink)) {
        let before = std::mem::replace(&mut self.checking, true);
        checks(self);
        self.checking = before;
    }

    /// Warns of what is accepted and does not occur. Where there are errors not all is found that is none.
    pub fn warn_of_needless(&mut self) {
        let errors = self.has_errors();
        for Accepted { code, span, .. } in self.accepted.iter().filter(|a| !a.needed) {
            if errors && code.severity != Severity::Error {
                continue;
            }
            let (span, message) = (*span, format!("`{}` is accepted here, and does not occur", code.name));
            self.found.push(Diagnostic::new(&codes::ACCEPT_NEEDLESS, message).at(span, "").help("leave it out"));
        }
    }

    /// Whether any finding is an error.
    pub fn has_errors(&self) -> bool {
        self.found.iter().any(Diagnostic::is_error)
    }

    /// The findings by place: file, then offset; those without a place last.
    pub fn sorted(mut self) -> Vec<Diagnostic> {
        self.settle();
        self.found
    }

    /// Sorts the findings by place and says each once: what is read for both ways is found twice.
    pub fn settle(&mut self) {
        let place = |d: &Diagnostic| (d.span().file, d.span().start);
        self.found.sort_by_key(place);
        let mut out: Vec<Diagnostic> = Vec::with_capacity(self.found.len());
        for d in std::mem::take(&mut self.found) {
            if !out.iter().rev().take(NEAR).take_while(|o| place(o) == place(&d)).any(|o| *o == d) {
                out.push(d);
            }
        }
        self.found = out;
    }
}

/// How many findings at one place are looked through for one that says the same.
const NEAR: usize = 16;

/// How many findings of one run are printed in full for people; the rest is counted.
pub const PRINTED: usize = 50;

/// The findings as text for people.
pub fn render(found: &[Diagnostic], sources: &Sources, color: bool, width: usize) -> String {
    let theme = if color { miette::GraphicalTheme::unicode() } else { miette::GraphicalTheme::unicode_nocolor() };
    let handler = miette::GraphicalReportHandler::new_themed(theme).with_links(false).with_width(width);
    let mut out = String::new();
    for d in found.iter().take(PRINTED) {
        let report = Report::new(d, sources);
        if handler.render_report(&mut out, &report).is_err() {
            out.push_str(&d.message);
        }
        if !out.ends_with('\n') {
            out.push('\n');
        }
    }
    if found.len() > PRINTED {
        out.push_str(&format!("… and {} more (all of them: --format json)\n", found.len() - PRINTED));
    }
    out
}

/// One finding as JSON: code, severity, message, help, and labels with file, line, column and byte range.
pub fn json(d: &Diagnostic, sources: &Sources) -> serde_json::Value {
    let labels: Vec<_> = d
        .labels
        .iter()
        .filter_map(|l| {
            let source = sources.get(l.span.file)?;
            let ((line, column), (end_line, end_column)) = (source.place(l.span.start), source.place(l.span.end));
            Some(serde_json::json!({
                "file": source.name, "line": line, "column": column, "end_line": end_line, "end_column": end_column,
                "start": l.span.start, "end": l.span.end, "text": l.text,
            }))
        })
        .collect();
    serde_json::json!({
        "code": d.code.name, "severity": d.severity().word(), "message": d.message, "labels": labels, "help": d.help,
    })
}

/// What miette is shown: the labels of the main place's file; labels elsewhere become a related report each.
struct Report<'a> {
    diagnostic: &'a Diagnostic,
    source: Option<Indexed<'a>>,
    labels: Vec<&'a Label>,
    related: Vec<Report<'a>>,
    elsewhere: Option<&'a Label>,
}

impl<'a> Report<'a> {
    fn new(diagnostic: &'a Diagnostic, sources: &'a Sources) -> Self {
        let file = diagnostic.span().file;
        let (here, there): (Vec<_>, Vec<_>) = diagnostic.labels.iter().partition(|l| l.span.file == file);
        let related = there
            .into_iter()
            .map(|l| Report {
                diagnostic,
                source: sources.get(l.span.file).map(Indexed),
                labels: vec![l],
                related: Vec::new(),
                elsewhere: Some(l),
            })
            .collect();
        Report { diagnostic, source: sources.get(file).map(Indexed), labels: here, related, elsewhere: None }
    }
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.diagnostic.fmt(f)
    }
}
impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.elsewhere {
            Some(_) => f.write_str("the other place"),
            None => f.write_str(&self.diagnostic.message),
        }
    }
}
impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.elsewhere.is_none().then(|| Box::new(self.diagnostic.code.name) as Box<dyn fmt::Display>)
    }
    fn severity(&self) -> Option<miette::Severity> {
        Some(match (self.elsewhere, self.diagnostic.severity()) {
            (Some(_), _) | (_, Severity::Note) => miette::Severity::Advice,
            (_, Severity::Warning) => miette::Severity::Warning,
            (_, Severity::Error) => miette::Severity::Error,
        })
    }
    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        if self.elsewhere.is_some() {
            return None;
        }
        self.diagnostic.help.as_ref().map(|h| Box::new(h) as Box<dyn fmt::Display>)
    }
    fn source_code(&self) -> Option<&dyn SourceCode> {
        if self.labels.is_empty() {
            return None;
        }
        self.source.as_ref().map(|s| s as &dyn SourceCode)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.labels.is_empty() {
            return None;
        }
        Some(Box::new(self.labels.iter().map(|l| {
            let text = (!l.text.is_empty()).then(|| l.text.clone());
            let span = (l.span.start as usize, (l.span.end - l.span.start) as usize);
            LabeledSpan::new_with_span(text, span)
        })))
    }
    fn related<'b>(&'b self) -> Option<Box<dyn Iterator<Item = &'b dyn miette::Diagnostic> + 'b>> {
        if self.related.is_empty() {
            return None;
        }
        Some(Box::new(self.related.iter().map(|r| r as &dyn miette::Diagnostic)))
    }
}

/// Octets that are shown before and behind what is pointed at: of a line that a program wrote more says nothing.
const WIDEST: usize = 1000;

/// A source that finds its lines by the index: miette's own search starts at byte 0 for each label.
struct Indexed<'a>(&'a Source);

impl SourceCode for Indexed<'_> {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (source, text) = (self.0, self.0.shown());
        let (first, last) = (span.offset(), span.offset() + span.len());
        if last > text.len() {
            return Err(MietteError::OutOfBounds);
        }
        let line_of = |offset: usize| source.place(offset as u32).0;
        let whole = |at: usize| beginning(text, at).len();
        let from_line = line_of(first).saturating_sub(before).max(1);
        let from = source.line_start(from_line).max(whole(first.saturating_sub(WIDEST)));
        let from_line = line_of(from);
        let to = source.line_start(line_of(last) + after + 1).min(whole(last + WIDEST)).max(last);
        let column = if before == 0 { first - source.line_start(line_of(first)) } else { 0 };
        let from = if before == 0 { first } else { from };
        let bytes = text.as_bytes().get(from..to).ok_or(MietteError::OutOfBounds)?;
        Ok(Box::new(MietteSpanContents::new_named(
            visible(&source.name),
            bytes,
            (from, to - from).into(),
            from_line - 1,
            column,
            bytes.iter().filter(|b| **b == b'\n').count(),
        )))
    }
}
