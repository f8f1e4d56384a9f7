//! A [`Document`] as text, in one layout: `fmt` keeps comments, order, `let`, `include`, percentages and spelling, and
//! settles everything else. What is read back from a written text is the same document, and writing it again gives the
//! same text.

mod shape;
mod yaml;

use super::document::{Document, Entry, Node, Trivia, Value};
use super::{Limits, Vocabulary};
use crate::codes;
use crate::diagnostic::{Diagnostic, Sink, visible};
use crate::source::{FileId, Notation, Source, Span};

/// No line is made longer than this on purpose.
const WIDTH: usize = 100;

/// The text of a document in a notation, ending with a line break. What has no words in that notation is lost: use
/// [`convert`] unless the document was read in the same notation.
pub fn write(document: &Document, notation: Notation, vocabulary: &dyn Vocabulary) -> String {
    match notation {
        Notation::Yaml => yaml::write(document),
        Notation::Shape => shape::write(document, vocabulary),
    }
}

/// The text of a document in a notation, read back and compared with it.
///
/// # Errors
///
/// The first place that says nothing in that notation: a list where a block belongs, a key that no statement is for. Such a
/// document is no policy either.
pub fn convert(
    document: &Document,
    notation: Notation,
    vocabulary: &dyn Vocabulary,
) -> Result<String, Box<Diagnostic>> {
    let text = write(document, notation, vocabulary);
    let source = Source::with_notation("-", text.as_str(), notation);
    let limits = Limits { file_bytes: usize::MAX, nodes: usize::MAX, ..Limits::default() };
    let mut sink = Sink::new();
    let back = match notation {
        Notation::Yaml => super::yaml::read(&source, FileId::default(), &limits, &mut sink),
        Notation::Shape => super::shape::read(&source, FileId::default(), vocabulary, &limits, &mut sink),
    };
    let place = match &back {
        Some(back) if !sink.has_errors() => difference(&document.root, &back.root),
        _ => Some(document.root.span),
    };
    let Some(place) = place else { return Ok(text) };
    let name = if notation == Notation::Shape { "the DSL" } else { "YAML" };
    let why = sink.found.first().map_or(String::new(), |d| format!(": {}", d.message));
    Err(Box::new(
        Diagnostic::new(&codes::NO_WORDS, format!("this cannot be said in {name}{why}"))
            .at(place, "here")
            .help("run `shapectl check` on the file first"),
    ))
}

/// The first place where two documents mean something different. The order of different keys means nothing, nor do
/// collections of statements without any, nor whether one value stands in a list of its own.
fn difference(a: &Node, b: &Node) -> Option<Span> {
    match (&a.value, &b.value) {
        (Value::Block(x), Value::Block(y)) => {
            let (x, y) = (by_key(x), by_key(y));
            let lost = x.iter().find(|e| !y.iter().any(|f| f.key == e.key));
            if let Some(lost) = lost {
                return Some(lost.key.span);
            }
            let pairs = || x.iter().zip(&y);
            let first = pairs().find_map(|(e, f)| match e.key.value.as_str() {
                _ if e.key != f.key => Some(e.key.span),
                "match" if text(&e.node).is_some() && text(&e.node) == text(&f.node) => None,
                _ => difference(&e.node, &f.node),
            });
            first.or((x.len() != y.len()).then_some(a.span))
        }
        (Value::List(x), Value::List(y)) if x.len() == y.len() => {
            x.iter().zip(y).find_map(|(i, j)| difference(&i.node, &j.node))
        }
        (Value::List(x), other) if x.len() == 1 && !matches!(other, Value::List(_)) => {
            x.first().and_then(|i| difference(&i.node, b))
        }
        (other, Value::List(y)) if y.len() == 1 && !matches!(other, Value::List(_)) => {
            y.first().and_then(|j| difference(a, &j.node))
        }
        _ => (a != b).then_some(a.span),
    }
}

/// The entries sorted by key, without collections that hold nothing.
fn by_key(entries: &[Entry]) -> Vec<&Entry> {
    let collections = [
        "let",
        "sets",
        "services",
        "profiles",
        "interfaces",
        "blocks",
        "shared",
        "include",
        "accept",
        "rules",
        "filters",
        "classes",
        "leaves",
    ];
    let empty = |e: &Entry| match &e.node.value {
        Value::Null => true,
        Value::Block(inner) => inner.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Word(_) => false,
    };
    let mut sorted: Vec<_> =
        entries.iter().filter(|e| !empty(e) || !collections.contains(&e.key.value.as_str())).collect();
    sorted.sort_by(|e, f| e.key.value.cmp(&f.key.value));
    sorted
}

/// An expression, which means the same with and without quotes.
fn text(node: &Node) -> Option<String> {
    node.as_word().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// YAML for what has no source text, such as an imported policy: through serde_yaml, and nothing else goes through it.
///
/// # Why serde_yaml does not read policies
///
/// It has no places for values, takes the last of two equal keys without a word, and stops at the first error.
///
/// # Errors
///
/// What the value's own `Serialize` reports.
pub fn emit(value: &impl serde::Serialize) -> Result<String, serde_yaml::Error> {
    serde_yaml::to_string(value)
}

/// Lines with an indent.
#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn pad(&mut self, indent: usize) {
        self.text.extend(std::iter::repeat_n(' ', indent));
    }

    /// Comments and blank lines. Blank lines at the start of the text or a block are left out, and of many one stays.
    fn comments(&mut self, lines: &[String], indent: usize, first: bool) {
        let mut first = first || self.text.is_empty();
        for line in lines {
            if line.is_empty() {
                if !first && !self.text.ends_with("\n\n") {
                    self.text.push('\n');
                }
                continue;
            }
            first = false;
            self.pad(indent);
            self.text.push_str(&hash(line));
            self.text.push('\n');
        }
    }

    /// Ends a line, with the comment beside it.
    fn end(&mut self, beside: Option<&str>) {
        if let Some(comment) = beside {
            self.text.push_str("  ");
            self.text.push_str(&hash(comment));
        }
        self.text.push('\n');
    }

    /// The text with the comments after the last entry.
    fn finish(mut self, tail: &[String]) -> String {
        self.comments(tail, 0, false);
        while self.text.ends_with("\n\n") {
            self.text.pop();
        }
        self.text
    }
}

/// A comment as it is written.
fn hash(text: &str) -> String {
    let text = visible(text).replace('\n', " ");
    match text.trim_end() {
        "" => "#".to_owned(),
        text if text.starts_with('#') => format!("#{text}"),
        text => format!("# {text}"),
    }
}

/// The comments at the end of what an item holds, without blank lines after them.
fn below(trivia: Option<&Trivia>) -> &[String] {
    let lines = trivia.map_or(&[][..], |t| &t.below);
    let end = lines.iter().rposition(|l| !l.is_empty()).map_or(0, |last| last + 1);
    lines.get(..end).unwrap_or(lines)
}

/// Whether there is any comment, or any that is not `hoisted` from above the item; a blank line is none.
fn has_comment(trivia: Option<&Trivia>, hoisted: bool) -> bool {
    let above = |t: &Trivia| !hoisted && t.above.iter().any(|l| !l.is_empty());
    trivia.is_some_and(|t| t.beside.is_some() || above(t) || t.below.iter().any(|l| !l.is_empty()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::diagnostic::render;
    use crate::source::{Sources, Spanned};
    use crate::syntax::document::{Item, Word, comment};
    use crate::syntax::{Arity, shape as dsl, yaml};
    use proptest::prelude::*;

    /// The words of a few kinds.
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

    fn read(text: &str, notation: Notation) -> Document {
        let mut sources = Sources::new();
        let id = sources.add(Source::with_notation("p", text, notation));
        let mut sink = Sink::new();
        let source = sources.get(id).unwrap();
        let document = match notation {
            Notation::Yaml => yaml::read(source, id, &Limits::default(), &mut sink),
            Notation::Shape => dsl::read(source, id, &Few, &Limits::default(), &mut sink),
        };
        match document {
            Some(document) if sink.found.is_empty() => document,
            _ => panic!("{text}\n{}", render(&sink.sorted(), &sources, false, 100)),
        }
    }

    fn trivia() -> impl Strategy<Value = Option<Box<Trivia>>> {
        let line = prop_oneof!["[a-z#:é -]{0,6}".prop_map(|t| comment(&t)), Just(String::new())];
        let beside = prop::option::of("[a-z#é ]{0,6}".prop_map(|t| comment(&t)));
        let some = (prop::collection::vec(line.clone(), 0..3), beside, prop::collection::vec(line, 0..3))
            .prop_map(|(above, beside, below)| Some(Box::new(Trivia { above, beside, below })));
        prop_oneof![4 => Just(None), 1 => some]
    }

    fn word() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            4 => "[a-z0-9$][a-z0-9_.%/:+-]{0,8}",
            1 => "[ -~]{0,12}",
            1 => "(tcp |udp |not )?[sd]port \\{[0-9]{1,5}, [0-9]{1,5}\\}",
            1 => "[a-z#:-]{1,4}( ?\\n ?[a-z#:-]{0,4}){1,3}",
            1 => any::<String>().prop_map(|s| s.chars().take(12).collect()),
        ];
        (text, any::<bool>()).prop_map(|(text, quoted)| Value::Word(Word { text: text.into(), quoted }))
    }

    fn node() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![8 => word(), 1 => Just(Value::Null)];
        let value = leaf.prop_recursive(5, 40, 5, |inner| {
            let node = inner.prop_map(|value| Node { span: Span::NONE, value }).boxed();
            let items = prop::collection::vec((node.clone(), trivia()), 0..5)
                .prop_map(|items| Value::List(items.into_iter().map(|(node, trivia)| Item { node, trivia }).collect()));
            prop_oneof![1 => items, 2 => block(node)]
        });
        value.prop_map(|value| Node { span: Span::NONE, value })
    }

    fn block(node: BoxedStrategy<Node>) -> impl Strategy<Value = Value> {
        let key = prop_oneof![5 => "[a-z0-9][a-z0-9_.-]{0,6}", 1 => "[ -~]{0,6}", 1 => Just("no".to_owned())];
        prop::collection::vec((key, node, trivia()), 0..5).prop_map(|entries| {
            let entry = |(key, node, trivia): (String, Node, _)| Entry {
                key: Spanned::new(key.into(), Span::NONE),
                node,
                trivia,
            };
            Value::Block(entries.into_iter().map(entry).collect())
        })
    }

    /// A document that shows itself as text when a law fails.
    struct Shown(Document);
    impl std::fmt::Debug for Shown {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(&write(&self.0, Notation::Yaml, &Few))
        }
    }

    fn document() -> impl Strategy<Value = Shown> {
        block(node().boxed())
            .prop_map(|value| Shown(Document { root: Node { span: Span::NONE, value }, tail: vec!["end".to_owned()] }))
    }

    /// All comments of a document, sorted.
    fn comments(document: &Document) -> Vec<String> {
        fn gather(node: &Node, out: &mut Vec<String>) {
            let keep = |trivia: &Option<Box<Trivia>>, out: &mut Vec<String>| {
                if let Some(t) = trivia {
                    out.extend(t.above.iter().chain(&t.beside).chain(&t.below).filter(|l| !l.is_empty()).cloned());
                }
            };
            match &node.value {
                Value::List(items) => items.iter().for_each(|i| {
                    keep(&i.trivia, out);
                    gather(&i.node, out);
                }),
                Value::Block(entries) => entries.iter().for_each(|e| {
                    keep(&e.trivia, out);
                    gather(&e.node, out);
                }),
                _ => {}
            }
        }
        let mut out: Vec<_> = document.tail.iter().filter(|l| !l.is_empty()).cloned().collect();
        gather(&document.root, &mut out);
        out.sort();
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn yaml_reads_back_what_was_written(shown in document()) {
            let text = write(&shown.0, Notation::Yaml, &Few);
            let back = read(&text, Notation::Yaml);
            prop_assert!(back.root == shown.0.root);
            prop_assert_eq!(comments(&back), comments(&shown.0));
            prop_assert_eq!(write(&back, Notation::Yaml, &Few), text);
        }
    }

    /// The worked example of the language, as a person would write it.
    const YAML: &str = r#"# two lines, one line

let: { up: 2mbit, lan: 192.168.1.0/24 }
sets:
  office: [192.0.2.0/24, 198.51.100.7]

include: ["users/*.yaml"]
profiles:
  gold: { rate: 1mbit, leaf: fq_codel }

interfaces:
  eth0:  # toward the internet
    link: { rate: $up, overhead: 18, nat: yes }
    egress:
      htb:
        r2q: 1
        default: rest
        classes:
          line:
            rate: $up
            classes:
              # first of all
              ssh: { rate: 128kbit, ceil: $up, prio: 1, burst: 100kb }
              games:
                rate: 256kbit  # a quarter
                ceil: 80%
                match: |-
                  udp dport 27000-27050 or
                  (tcp dport 3724 and not dst 203.0.113.9)
              rest: { rate: 64kbit, ceil: $up, prio: 7, leaf: { sfq: { perturb: 10s } } }
              # p2p: { rate: 1kbit }
      rules:
        - { class: ssh, match: tcp dport 22 }  # keys
        # the web
        - { class: line/rest, do: [{ mark: 5 }, { priority: 2 }], match: "tcp dport {80, 443}" }
        - { do: drop, match: src not $lan }
        - { do: { police: { rate: 1mbit, exceed: drop } }, match: udp }
        - { do: { redirect: ifb0 } }
    ingress: { police: { rate: 20mbit, burst: 625000b, exceed: drop } }

  ppp0:
    egress: { tbf: { rate: 220kbit, latency: 50ms, burst: 1540b } }
  eth1:
    ingress:
      shape:  # an ifb
        htb: { default: all, classes: { all: { rate: 50mbit, leaf: fq_codel } } }
  eth2:
    egress:
      prio:
        bands: [high, medium, low]
        tos: { minimize-delay: high, maximize-throughput: low }
        leaves:
          high: { pfifo: { limit: 50 } }
          low: { sfq: { perturb: 10s } }  # slow
  eth3:
    egress: fq_codel
    # ingress: off

# the end
"#;

    const SHAPE: &str = r#"# two lines, one line

let up = 2mbit
let lan = 192.168.1.0/24
set office = { 192.0.2.0/24, 198.51.100.7 }

include "users/*.yaml"
profile gold rate 1mbit { fq_codel }

interface eth0 {  # toward the internet
    link rate $up overhead 18 nat
    egress {
        htb r2q 1 default rest {
            class line rate $up {
                # first of all
                class ssh rate 128kbit ceil $up prio 1 burst 100kb
                class games {
                    rate 256kbit  # a quarter
                    ceil 80%
                    match udp dport 27000-27050 or
                        (tcp dport 3724 and not dst 203.0.113.9)
                }
                class rest rate 64kbit ceil $up prio 7 { sfq perturb 10s }
                # p2p: { rate: 1kbit }
            }
        }
        rule class ssh if tcp dport 22  # keys
        # the web
        rule class line/rest do mark 5 then priority 2 if tcp dport {80, 443}
        rule drop if src not $lan
        rule do police rate 1mbit exceed drop if udp
        rule do redirect to ifb0
    }
    ingress police rate 20mbit burst 625000b exceed drop
}

interface ppp0 {
    egress tbf rate 220kbit latency 50ms burst 1540b
}
interface eth1 {
    ingress {
        shape htb default all {  # an ifb
            class all rate 50mbit { fq_codel }
        }
    }
}
interface eth2 {
    egress prio bands [high, medium, low] {
        tos { minimize-delay high; maximize-throughput low }
        leaf high pfifo limit 50
        leaf low sfq perturb 10s  # slow
    }
}
interface eth3 {
    egress fq_codel
    # ingress: off
}

# the end
"#;

    #[test]
    fn a_policy_reads_well_in_both_notations() {
        let document = read(YAML, Notation::Yaml);
        assert_eq!(write(&document, Notation::Yaml, &Few), YAML);
        let shape = convert(&document, Notation::Shape, &Few).unwrap();
        assert_eq!(shape, SHAPE);
        let back = read(&shape, Notation::Shape);
        assert_eq!(back, document);
        assert_eq!(comments(&back), comments(&document));
        assert_eq!(write(&back, Notation::Shape, &Few), SHAPE);
        // In the DSL a class's own end and the end of its classes are one place.
        let switched_off = ("              # p2p", "            # p2p");
        let yaml = YAML.replace(switched_off.0, switched_off.1);
        assert_eq!(convert(&back, Notation::Yaml, &Few).unwrap(), yaml);
        assert_eq!(write(&read(&yaml, Notation::Yaml), Notation::Yaml, &Few), yaml);
    }

    // Documents of the shape that policies have.

    type Part = BoxedStrategy<Node>;

    fn node_of(value: Value) -> Node {
        Node { span: Span::NONE, value }
    }

    fn some_name() -> BoxedStrategy<String> {
        prop_oneof![
            6 => "[a-z][a-z0-9_.-]{0,6}",
            1 => "[0-9]{1,3}",
            1 => "[a-zé ]{1,6}",
            1 => prop::sample::select(vec!["match", "leaf", "class", "if", "do", "sfq", "prio", "no", "and", "a:b", "$x"])
                .prop_map(str::to_owned),
        ]
        .boxed()
    }

    fn some_word() -> Part {
        let quoted = prop_oneof![8 => Just(false), 1 => Just(true)];
        ("[a-z0-9$][a-z0-9.%/:+-]{0,8}[a-z0-9%]", quoted)
            .prop_map(|(text, quoted)| node_of(Value::Word(Word { text: text.into(), quoted })))
            .boxed()
    }

    fn some_list() -> Part {
        prop::collection::vec((some_word(), trivia()), 1..5)
            .prop_map(|items| {
                let items = items.into_iter().map(|(node, trivia)| entry("", node, trivia));
                node_of(Value::List(items.map(|e| Item { node: e.node, trivia: e.trivia }).collect()))
            })
            .boxed()
    }

    /// No reader puts comments below what holds nothing.
    fn entry(key: &str, node: Node, mut trivia: Option<Box<Trivia>>) -> Entry {
        if let (Some(trivia), Value::Word(_) | Value::Null) = (&mut trivia, &node.value) {
            trivia.below.clear();
        }
        Entry { key: Spanned::new(key.into(), Span::NONE), node, trivia }
    }

    /// A block of the entries that are there; nothing if there are none.
    fn block_of(entries: Vec<Entry>) -> Node {
        node_of(if entries.is_empty() { Value::Null } else { Value::Block(entries) })
    }

    fn options(words: &'static [&'static str]) -> BoxedStrategy<Vec<Entry>> {
        let value = prop_oneof![8 => some_word(), 1 => some_list(), 1 => small_block()];
        prop::collection::vec((prop::sample::select(words), value, trivia()), 0..5)
            .prop_map(|options| {
                let mut out: Vec<Entry> = Vec::new();
                for (key, node, trivia) in options {
                    if !out.iter().any(|e| e.key.value == key) {
                        let flag = matches!(key, "ecn" | "nat" | "strange");
                        let node = if flag { Node::word("yes", Span::NONE) } else { node };
                        out.push(entry(key, node, trivia));
                    }
                }
                out
            })
            .boxed()
    }

    fn small_block() -> Part {
        prop::collection::vec(("[a-z]{1,6}-x", some_word(), trivia()), 1..4)
            .prop_map(|entries| block_of(entries.iter().map(|(k, n, t)| entry(k, n.clone(), t.clone())).collect()))
            .boxed()
    }

    fn some_expression() -> Part {
        prop_oneof![
            "(tcp|udp) dport [0-9]{1,4}( and src 10\\.0\\.0\\.[0-9])?",
            "tcp dport \\{[0-9]{2}, [0-9]{2}\\}",
            "not \\(udp or\n   tcp\\) and\n [sd]port 5",
        ]
        .prop_map(|text| Node::word(text, Span::NONE))
        .boxed()
    }

    /// A kind with options, as a word if it is bare.
    fn leaf() -> Part {
        let options = options(&["limit", "perturb", "ecn", "prio"]);
        (prop::sample::select(vec!["sfq", "red", "fq_codel", "prio"]), options, trivia(), any::<bool>())
            .prop_map(|(kind, options, trivia, bare)| {
                if bare || options.is_empty() {
                    return Node::word(kind, Span::NONE);
                }
                block_of(vec![entry(kind, block_of(options), trivia)])
            })
            .boxed()
    }

    fn class(depth: usize) -> Part {
        let inside = if depth == 0 {
            leaf().prop_map(|leaf| vec![("leaf", leaf)]).boxed()
        } else {
            prop_oneof![
                leaf().prop_map(|leaf| vec![("leaf", leaf)]),
                named(class(depth - 1)).prop_map(|classes| vec![("classes", classes)]),
                some_expression().prop_map(|e| vec![("match", e)]),
                Just(Vec::new()),
            ]
            .boxed()
        };
        (options(&["rate", "ceil", "prio", "strange", "burst", "and"]), inside, trivia(), any::<bool>())
            .prop_map(|(mut entries, inside, trivia, first)| {
                let inside = inside.into_iter().map(|(key, node)| entry(key, node, trivia.clone()));
                let at = if first { 0 } else { entries.len() };
                entries.splice(at..at, inside);
                block_of(entries)
            })
            .boxed()
    }

    fn named(node: Part) -> Part {
        prop::collection::vec((some_name(), node, trivia()), 1..4)
            .prop_map(|entries| block_of(entries.into_iter().map(|(k, n, t)| entry(&k, n, t)).collect()))
            .boxed()
    }

    fn rule() -> Part {
        let action = prop_oneof![
            Just(Node::word("drop", Span::NONE)),
            Just(block_of(vec![entry("mark", Node::word("5", Span::NONE), None)])),
            Just(block_of(vec![entry("redirect", Node::word("ifb0", Span::NONE), None)])),
            Just(block_of(vec![entry(
                "police",
                block_of(vec![entry("rate", Node::word("1mbit", Span::NONE), None)]),
                None
            )])),
        ];
        let actions = prop_oneof![
            action.clone(),
            prop::collection::vec(action, 2..4).prop_map(|actions| Node::list(actions, Span::NONE)),
        ];
        let class = some_name().prop_map(|n| {
            let bare = crate::syntax::lexis::is_bare(&n) && !matches!(n.as_str(), "if" | "do");
            node_of(Value::Word(Word { quoted: !bare, text: n.into() }))
        });
        (prop::option::of(class), prop::option::of(actions), prop::option::of(some_expression()), trivia())
            .prop_map(|(class, actions, test, trivia)| {
                let actions =
                    if class.is_none() { Some(actions.unwrap_or(Node::word("pass", Span::NONE))) } else { actions };
                let parts = [("class", class), ("do", actions), ("match", test)];
                block_of(parts.into_iter().filter_map(|(k, n)| Some(entry(k, n?, trivia.clone()))).collect())
            })
            .boxed()
    }

    fn direction() -> Part {
        let htb =
            (options(&["r2q", "default"]), named(class(2)), trivia()).prop_map(|(mut options, classes, trivia)| {
                options.push(entry("classes", classes, trivia));
                block_of(options)
            });
        let prio =
            (options(&["bands", "priomap"]), named(leaf()), trivia()).prop_map(|(mut options, leaves, trivia)| {
                options.push(entry("leaves", leaves, trivia));
                block_of(options)
            });
        let kind = prop_oneof![
            htb.prop_map(|n| ("htb", n)),
            prio.prop_map(|n| ("prio", n)),
            options(&["rate", "limit"]).prop_map(|o| ("tbf", block_of(o))),
        ];
        let rules = prop::option::of((prop::collection::vec((rule(), trivia()), 1..4), trivia()));
        let whole = (kind, trivia(), rules).prop_map(|((kind, node), own, rules)| {
            let mut entries = vec![entry(kind, node, own)];
            if let Some((rules, trivia)) = rules {
                let items = rules.into_iter().map(|(node, trivia)| Item { node, trivia }).collect();
                entries.push(entry("rules", node_of(Value::List(items)), trivia));
            }
            block_of(entries)
        });
        prop_oneof![3 => whole, 1 => leaf()].boxed()
    }

    fn policy() -> impl Strategy<Value = Shown> {
        let interface = (prop::option::of(options(&["rate", "nat", "mtu"])), direction(), direction(), trivia())
            .prop_map(|(link, egress, ingress, trivia)| {
                let link = link.map(|o| entry("link", block_of(o), trivia.clone()));
                let shape = block_of(vec![entry("shape", ingress, None)]);
                let directions = [entry("egress", egress, trivia.clone()), entry("ingress", shape, trivia)];
                block_of(link.into_iter().chain(directions).collect())
            });
        let value = prop_oneof![some_word(), some_list(), small_block()];
        let file = (some_word(), trivia()).prop_map(|(path, trivia)| block_of(vec![entry("file", path, trivia)]));
        let definition = prop_oneof![some_word(), some_list(), file];
        let parts = (
            prop::option::of((named_plainly(value.boxed()), trivia())),
            prop::option::of((named_plainly(definition.boxed()), trivia())),
            prop::option::of((some_list(), trivia())),
            prop::option::of((named(class(1)), trivia())),
            (named(interface.boxed()), trivia()),
        );
        parts.prop_map(|(lets, sets, include, profiles, interfaces)| {
            let parts = [
                ("let", lets),
                ("sets", sets),
                ("include", include),
                ("profiles", profiles),
                ("interfaces", Some(interfaces)),
            ];
            let entries =
                parts.into_iter().filter_map(|(key, part)| part.map(|(node, trivia)| entry(key, node, trivia)));
            Shown(Document { root: block_of(entries.collect()), tail: vec!["end".to_owned()] })
        })
    }

    /// Names without a `$`, which the DSL's `let` would refuse.
    fn named_plainly(node: Part) -> Part {
        prop::collection::vec(("[a-z]{1,6}", node, trivia()), 1..4)
            .prop_map(|entries| block_of(entries.into_iter().map(|(k, n, t)| entry(&k, n, t)).collect()))
            .boxed()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_policy_goes_through_both_notations(shown in policy()) {
            let document = &shown.0;
            let dsl = write(document, Notation::Shape, &Few);
            let back = read(&dsl, Notation::Shape);
            prop_assert!(back == *document, "{}\n{}", dsl, write(&back, Notation::Yaml, &Few));
            prop_assert_eq!(comments(&back), comments(document), "{}", dsl);
            prop_assert_eq!(write(&back, Notation::Shape, &Few), &*dsl);
            prop_assert!(convert(document, Notation::Shape, &Few).is_ok());
            // And home again, with all comments.
            let yaml = write(&back, Notation::Yaml, &Few);
            let home = read(&yaml, Notation::Yaml);
            prop_assert!(home == *document, "{}", yaml);
            prop_assert_eq!(comments(&home), comments(document));
        }
    }
}
