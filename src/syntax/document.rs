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
    /// Comment lines above the item, without `#` and the one blank after it; an empty string is a blank line.
    pub above: Vec<String>,
    /// The comment at the end of the item's line.
    pub beside: Option<String>,
}

/// One value of a document.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands: for a block or list, from its first to its last item.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// The four shapes of a value.
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The text without quotes, escapes resolved.
    pub text: CompactString,
    /// Whether it was quoted; quoted words are never numbers, flags or `$names`.
    pub quoted: bool,
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
