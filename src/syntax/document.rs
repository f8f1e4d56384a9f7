//! The shape that both notations are read into: words, lists and blocks, each with its place.
//!
//! A document knows nothing of traffic control. The DSL reader gives the same document as the YAML reader for the same
//! policy (`class ssh rate 1mbit` under `htb` becomes `htb: { classes: { ssh: { rate: 1mbit } } }`), so one reader of
//! policies serves both.

use crate::source::{Span, Spanned};
use compact_str::CompactString;

/// A name with its place.
pub type Name = Spanned<CompactString>;

/// Comments and blank lines around an item; `fmt` keeps them. Empty for nearly all items, hence boxed where it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trivia {
    /// Comment lines above the item, as [`comment`] makes them; an empty string is a blank line.
    pub above: Vec<String>,
    /// The comment at the end of the item's line.
    pub beside: Option<String>,
    /// Comment lines at the end of the block or list that is this item's value, after the last one in it: often
    /// something that somebody switched off.
    pub below: Vec<String>,
}

impl Trivia {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.above.is_empty() && self.beside.is_none() && self.below.is_empty()
    }
}

/// A comment as [`Trivia`] and [`Document::tail`] keep it, from what stands after its `#`: without the one blank and the
/// trailing ones. A bare `#` becomes a single blank, because the empty string is a blank line.
pub fn comment(after_hash: &str) -> String {
    let text = after_hash.strip_prefix(' ').unwrap_or(after_hash).trim_end();
    if text.is_empty() { " ".to_owned() } else { text.to_owned() }
}

/// One value of a document.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands: for a block or list, from its first to its last item.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// The four shapes of a value. A block without entries equals nothing.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing written: `leaf:` or an empty block value.
    Null,
    /// A word or a text: numbers, names, rates, expressions.
    Word(Word),
    /// Values in order.
    List(Vec<Item>),
    /// Keys with values, in order of writing; keys may repeat (the reader of the policy reports that with both places).
    Block(Vec<Entry>),
}

/// A scalar. In the DSL a rule's expression is one word with its raw text.
#[derive(Clone, Debug, Eq)]
pub struct Word {
    /// The text without quotes, escapes resolved.
    pub text: CompactString,
    /// Whether it was quoted; quoted words are never numbers, flags or `$names`.
    pub quoted: bool,
}

/// Quotes make a difference for a single token only: YAML must quote `tcp dport {22, 80}` inside `{ }` and need not
/// elsewhere, and the DSL never does. How many blanks or line ends part the words of a text makes none.
impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        match self.text == other.text {
            true => self.quoted == other.quoted || !self.is_token(),
            false => {
                self.text.contains(char::is_whitespace)
                    && self.text.split_whitespace().eq(other.text.split_whitespace())
                    && other.text.contains(char::is_whitespace)
            }
        }
    }
}

impl Word {
    /// Whether the text could be a number, a flag, a name or a `$name`: one token that both notations can write without
    /// quotes anywhere.
    pub fn is_token(&self) -> bool {
        let mut chars = self.text.chars();
        chars.next().is_some_and(|c| c.is_alphanumeric() || "_.$+/".contains(c))
            && chars.all(|c| c.is_alphanumeric() || "_.$%/:+-".contains(c))
            && !self.text.ends_with(':')
    }
}

/// An element of a list.
#[derive(Clone, Debug)]
pub struct Item {
    /// The value.
    pub node: Node,
    /// Comments around it.
    pub trivia: Option<Box<Trivia>>,
}

/// A key with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: Name,
    /// The value.
    pub node: Node,
    /// Comments around it.
    pub trivia: Option<Box<Trivia>>,
}

/// A whole file.
#[derive(Clone, Debug)]
pub struct Document {
    /// The top block.
    pub root: Node,
    /// Comment lines after the last entry.
    pub tail: Vec<String>,
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Word(a), Value::Word(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Block(a), Value::Block(b)) => a == b,
            (Value::Null, Value::Null) => true,
            (Value::Null, Value::Block(e)) | (Value::Block(e), Value::Null) => e.is_empty(),
            _ => false,
        }
    }
}
impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.root == other.root
    }
}
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}
impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.node == other.node
    }
}

impl Node {
    /// An unquoted word.
    pub fn word(text: impl Into<CompactString>, span: Span) -> Node {
        Node { span, value: Value::Word(Word { text: text.into(), quoted: false }) }
    }

    /// A quoted text.
    pub fn quoted(text: impl Into<CompactString>, span: Span) -> Node {
        Node { span, value: Value::Word(Word { text: text.into(), quoted: true }) }
    }

    /// A block.
    pub fn block(entries: Vec<Entry>, span: Span) -> Node {
        Node { span, value: Value::Block(entries) }
    }

    /// A list of values without comments.
    pub fn list(nodes: impl IntoIterator<Item = Node>, span: Span) -> Node {
        Node { span, value: Value::List(nodes.into_iter().map(|node| Item { node, trivia: None }).collect()) }
    }

    /// Where a part of this word's text stands, by byte offsets into the text; the whole word if it is spelled with
    /// escapes or over several lines, so that offsets in the text are none in the file.
    pub fn part(&self, start: usize, end: usize) -> Span {
        let length = (self.span.end - self.span.start) as usize;
        if self.span.is_none() || self.as_word().is_none_or(|text| text.len() != length || end > length) {
            return self.span;
        }
        let first = self.span.start as usize;
        Span::new(self.span.file, first + start, first + end)
    }

    /// The text if this is a word.
    pub fn as_word(&self) -> Option<&str> {
        match &self.value {
            Value::Word(w) => Some(&w.text),
            _ => None,
        }
    }

    /// The entries if this is a block; none for null, so that `leaf: fq_codel` and `fq_codel: {}` and `fq_codel:` agree.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Block(entries) => Some(entries),
            Value::Null => Some(&[]),
            _ => None,
        }
    }

    /// The first entry of that key, if this is a block.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|e| e.key.value == key)
    }

    /// What to call the shape in a diagnostic.
    pub fn shape(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Word(_) => "a word",
            Value::List(_) => "a list",
            Value::Block(_) => "a block",
        }
    }
}

impl Entry {
    /// An entry without comments.
    pub fn new(key: Name, node: Node) -> Entry {
        Entry { key, node, trivia: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FileId;

    #[test]
    fn quotes_matter_for_single_tokens_only() {
        let word = |text: &str, quoted| Word { text: text.into(), quoted };
        assert_ne!(word("10", true), word("10", false));
        assert_ne!(word("$up", true), word("$up", false));
        assert_eq!(word("tcp dport {22, 80}", true), word("tcp dport {22, 80}", false));
        assert_eq!(word("2001:db8::", true), word("2001:db8::", false));
    }

    #[test]
    fn a_part_of_a_word_has_its_own_place_unless_escapes_shift_it() {
        let plain = Node::word("tcp dport 22", Span::new(FileId(0), 10, 22));
        assert_eq!(plain.part(4, 9), Span::new(FileId(0), 14, 19));
        let escaped = Node::quoted("a\tb", Span::new(FileId(0), 10, 16));
        assert_eq!(escaped.part(0, 1), escaped.span);
    }

    #[test]
    fn a_bare_hash_is_no_blank_line() {
        assert_eq!(comment(" toward the internet  "), "toward the internet");
        assert_eq!(comment(""), " ");
    }
}
