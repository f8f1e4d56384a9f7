//! Where text comes from, and the places in it that everything else points at.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Which file of a [`Sources`] a span lies in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u16);

/// A range of bytes in one file. Values that came from no file carry [`Span::NONE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The span of what was made by the compiler and stands in no file.
    pub const NONE: Span = Span { file: FileId(u16::MAX), start: 0, end: 0 };

    /// A span from byte offsets; offsets beyond 4 GiB (no file is that long) saturate.
    pub fn new(file: FileId, start: usize, end: usize) -> Span {
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span { file, start: narrow(start), end: narrow(end.max(start)) }
    }

    /// Whether the span points at nothing.
    pub fn is_none(self) -> bool {
        self == Span::NONE
    }

    /// The least span that covers both; the other one where one of them is [`Span::NONE`].
    pub fn to(self, other: Span) -> Span {
        if self.is_none() {
            return other;
        }
        if other.is_none() || other.file != self.file {
            return self;
        }
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A value with its place. Equality, order and hash ignore the place, so that two notations of one policy are equal.
#[derive(Clone, Copy)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Pairs a value with its place.
    pub fn new(value: T, span: Span) -> Self {
        Spanned { value, span }
    }

    /// The same place with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { value: f(self.value), span: self.span }
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}
impl<T: Eq> Eq for Spanned<T> {}
impl<T: Hash> Hash for Spanned<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}
impl<T: fmt::Debug> fmt::Debug for Spanned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// Which of the two notations a text is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// `.yaml`, `.yml`
    Yaml,
    /// `.shape`
    Shape,
}

/// One text with a line index, so that a place is found without reading the text again.
#[derive(Debug)]
pub struct Source {
    /// The name as the user wrote it; `-` for standard input.
    pub name: String,
    /// The text, valid UTF-8.
    pub text: Arc<str>,
    /// The notation it is in.
    pub notation: Notation,
    lines: Vec<u32>,
    shown: OnceLock<Option<Box<str>>>,
}

/// Whether a character leads a terminal or the eye astray: control characters, those that turn the direction of writing,
/// and those that take no room and so make two names look alike.
pub fn misleads(c: char) -> bool {
    let unseen = matches!(c, '\u{ad}' | '\u{34f}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || unseen
}

impl Source {
    /// Indexes a text. The notation follows the name's ending; without a known ending the text is looked at:
    /// a policy in the DSL starts its first statement with one of the DSL's keywords and no colon.
    pub fn new(name: impl Into<String>, text: impl Into<Arc<str>>) -> Source {
        let (name, text) = (name.into(), text.into());
        let notation = notation_of(&name, &text);
        Source::with_notation(name, text, notation)
    }

    /// Indexes a text whose notation is known.
    pub fn with_notation(name: impl Into<String>, text: impl Into<Arc<str>>, notation: Notation) -> Source {
        let text = text.into();
        let mut lines = vec![0];
        lines.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i as u32 + 1));
        Source { name: name.into(), text, notation, lines, shown: OnceLock::new() }
    }

    /// The text as it may be shown: what misleads is replaced, each octet stays at its place.
    pub fn shown(&self) -> &str {
        let plain = || {
            let text: &str = &self.text;
            let odd = |(at, c): (usize, char)| match c {
                '\n' | '\t' => false,
                // some editors begin a file with it
                '\u{feff}' => at != 0,
                '\r' => text.as_bytes().get(at + 1) != Some(&b'\n'),
                c => misleads(c),
            };
            text.char_indices().any(odd).then(|| {
                let show = |(at, c)| match (odd((at, c)), c.len_utf8()) {
                    (false, _) => String::from(c),
                    (true, 3) => "\u{fffd}".to_owned(),
                    (true, bytes) => "?".repeat(bytes),
                };
                text.char_indices().map(show).collect()
            })
        };
        self.shown.get_or_init(plain).as_deref().unwrap_or(&self.text)
    }

    /// Line and column of a byte offset, both from 1; the column counts characters.
    pub fn place(&self, offset: u32) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0) as usize;
        let end = (offset as usize).min(self.text.len());
        let column = self.text.get(start..end).map_or(end.saturating_sub(start), |s| s.chars().count());
        (line, column + 1)
    }

    /// Byte offset at which line `line` (from 1) starts; the text's end for lines past it.
    pub fn line_start(&self, line: usize) -> usize {
        self.lines.get(line.saturating_sub(1)).map_or(self.text.len(), |start| *start as usize)
    }

    /// The number of lines.
    pub fn line_count(&self) -> usize {
        self.lines.len()
    }

    /// The text of a span, empty if it lies outside.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }
}

fn notation_of(name: &str, text: &str) -> Notation {
    match Path::new(name).extension().and_then(|e| e.to_str()) {
        Some("yaml" | "yml") => return Notation::Yaml,
        Some("shape") => return Notation::Shape,
        _ => {}
    }
    let first = text.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#')).unwrap_or("");
    let word = first.split_whitespace().next().unwrap_or("");
    match word {
        "interface" | "let" | "include" | "profile" | "set" | "shapectl" => Notation::Shape,
        _ => Notation::Yaml,
    }
}

/// All texts of one run: the policy and what it includes.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// No texts yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text and gives the id that spans in it carry. At most 65,534 files (the include limit is far below).
    pub fn add(&mut self, source: Source) -> FileId {
        let id = FileId(u16::try_from(self.files.len()).unwrap_or(u16::MAX - 1));
        self.files.push(source);
        id
    }

    /// The text of an id.
    pub fn get(&self, id: FileId) -> Option<&Source> {
        self.files.get(usize::from(id.0))
    }

    /// The text that a span covers; empty for [`Span::NONE`].
    pub fn slice(&self, span: Span) -> &str {
        self.get(span.file).map_or("", |s| s.slice(span))
    }

    /// `name:line:column` of a span's start.
    pub fn locate(&self, span: Span) -> Option<(&str, usize, usize)> {
        let source = self.get(span.file)?;
        let (line, column) = source.place(span.start);
        Some((&source.name, line, column))
    }

    /// The directory that relative includes of a file are looked up in.
    pub fn directory(&self, id: FileId) -> PathBuf {
        let name = self.get(id).map_or("", |s| s.name.as_str());
        Path::new(name).parent().map_or_else(PathBuf::new, Path::to_path_buf)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

/// The beginning of a text, so many octets at most: no character is cut in two.
pub fn beginning(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_not_bytes() {
        let s = Source::new("a.yaml", "héllo: x\nb: y\n");
        assert_eq!(s.place(8), (1, 8));
        assert_eq!(s.place(10), (2, 1));
        assert_eq!(s.place(9999), (3, 1));
    }

    #[test]
    fn the_ending_settles_the_notation_and_text_only_without_one() {
        assert_eq!(Source::new("-", "# c\ninterface eth0 {\n}").notation, Notation::Shape);
        assert_eq!(Source::new("-", "interfaces:\n  eth0: {}").notation, Notation::Yaml);
        assert_eq!(Source::new("a.yml", "interface eth0 {}").notation, Notation::Yaml);
    }
}
