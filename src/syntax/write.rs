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
    let collections = ["let", "sets", "profiles", "interfaces", "include", "rules", "classes", "leaves"];
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
        #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

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
}
