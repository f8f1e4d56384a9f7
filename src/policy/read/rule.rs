//! Rules and what they do.

use super::{Reader, Whole};
use crate::codes::{BAD_VALUE, EMPTY_RULE, UNKNOWN_KEY, WRONG_SHAPE};
use crate::diagnostic::Diagnostic;
use crate::kind::action::Actions;
use crate::policy::model::{Classifier, Rule};
use crate::source::{Span, Spanned};
use crate::syntax::document::{Entry, Node, Value};
use crate::unit::{self, Unit};

impl<'a> Reader<'a> {
    /// `rules:`, a list.
    pub(super) fn rules(&mut self, node: &'a Node, whole: Whole) -> Vec<Rule> {
        let items = match &node.value {
            Value::List(items) => items,
            Value::Null => return Vec::new(),
            _ => {
                let message = format!("`rules` wants a list, because their order counts, and this is {}", node.shape());
                let d = Diagnostic::new(&WRONG_SHAPE, message).at(node.span, "");
                self.sink.push(d.help("write `rules: [ { class: ssh, match: tcp dport 22 } ]`"));
                return Vec::new();
            }
        };
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            self.rule(&item.node, whole, &mut out);
        }
        out
    }

    fn rule(&mut self, node: &'a Node, whole: Whole, out: &mut Vec<Rule>) {
        let Some(entries) = self.entries(node, "a rule", "{ class: ssh, match: tcp dport 22 }") else { return };
        let (mut class, mut actions, mut actions_span) = (None, Actions::default(), Span::NONE);
        let mut matches: Vec<Option<Spanned<_>>> = vec![None];
        let (mut classifier, mut sound) = (None, true);
        for (i, entry) in entries.iter().enumerate() {
            if self.repeated(entries, i) {
                continue;
            }
            match entry.key.value.as_str() {
                "class" => match self.settle(&entry.node).and_then(|(n, _)| n.as_word().map(Into::into)) {
                    Some(name) => class = Some(Spanned::new(name, entry.node.span)),
                    None => {
                        sound = false;
                        if !matches!(entry.node.value, Value::Word(_)) {
                            let message =
                                format!("the name of a class is wanted here, and this is {}", entry.node.shape());
                            self.sink.push(Diagnostic::new(&WRONG_SHAPE, message).at(entry.node.span, ""));
                        }
                    }
                },
                "match" => {
                    let nodes: Vec<&Node> = match &entry.node.value {
                        Value::List(items) => items.iter().map(|i| &i.node).collect(),
                        _ => vec![&entry.node],
                    };
                    let read: Vec<_> = nodes.into_iter().map(|n| self.matched(n)).collect();
                    sound &= read.iter().all(Option::is_some);
                    matches = read;
                }
                "classifier" => {
                    classifier = self.classifier(&entry.node);
                    sound &= classifier.is_some();
                }
                "do" => {
                    actions_span = entry.node.span;
                    match self.actions(&entry.node, whole) {
                        Some(read) => actions = read,
                        None => sound = false,
                    }
                }
                word => {
                    sound = false;
                    let action = matches!(word, "mark" | "priority" | "mirror" | "redirect" | "dscp" | "drop" | "pass")
                        || crate::kind::find(crate::kind::Role::Action, word).is_some();
                    let help = action.then(|| match entry.node.as_word() {
                        Some(value) => format!("write `do: {{ {word}: {value} }}`"),
                        None if matches!(word, "drop" | "pass") => format!("write `do: {word}`"),
                        None => format!("write `do: {{ {word}: … }}`"),
                    });
                    let message = format!("`{word}` is no part of a rule");
                    self.unknown_or(&UNKNOWN_KEY, message, &entry.key, ["class", "do", "match", "classifier"], help);
                }
            }
        }
        if !sound {
            matches = vec![None];
        }
        if sound && class.is_none() && actions.0.is_empty() {
            let d = Diagnostic::new(&EMPTY_RULE, "a rule that names no class and does nothing").at(node.span, "");
            self.sink.push(d.help("add `class: NAME`, or `do: drop`"));
            return;
        }
        // what is said of packets that go the other way is no rule here
        for matched in matches.into_iter().filter(|m| m.as_ref().is_none_or(|m| !m.value.is_never())) {
            out.push(Rule {
                matches: matched,
                class: class.clone(),
                actions: actions.clone(),
                actions_span,
                classifier,
                span: node.span,
                sound,
            });
        }
    }

    /// A classifier that rules are pinned to.
    pub(super) fn classifier(&mut self, node: &'a Node) -> Option<Spanned<Classifier>> {
        let (settled, _) = self.settle(node)?;
        let word = settled.as_word().unwrap_or_default();
        let found = Classifier::WORDS.iter().find(|(known, _)| *known == word);
        if found.is_none() {
            let what = if word.is_empty() { settled.shape().to_owned() } else { format!("`{word}`") };
            let d = Diagnostic::new(&BAD_VALUE, format!("{what} is no classifier that rules can be pinned to"));
            let words: Vec<String> = Classifier::WORDS.iter().map(|(word, _)| format!("`{word}`")).collect();
            self.sink.push(d.at(node.span, "").help(format!("write one of {}", words.join(", "))));
        }
        found.map(|(_, classifier)| Spanned::new(*classifier, node.span))
    }

    /// What a rule does: a word, a pair, a kind with its options, or a list of these. Mistakes in several of a list are all
    /// reported.
    fn actions(&mut self, node: &Node, whole: Whole) -> Option<Actions> {
        let (settled, defined) = self.settle(node)?;
        if let Value::List(items) = &settled.value {
            // one by one first: a list stops at its first mistake
            let wrong = items.iter().filter(|i| self.act(&i.node, whole, defined).is_none()).count();
            let sound = wrong == 0;
            let mut reader = unit::Reader { whole: whole.rate, ..Default::default() };
            return match Actions::read_node(&settled, &mut reader) {
                Ok(actions) => sound.then_some(actions),
                Err(refusal) => {
                    if sound {
                        self.refuse(refusal, node.span, defined);
                    }
                    None
                }
            };
        }
        self.act(&settled, whole, defined)
    }

    fn act(&mut self, node: &Node, whole: Whole, defined: Span) -> Option<Actions> {
        let mut reader = unit::Reader { whole: whole.rate, ..Default::default() };
        let read = Actions::read_node(node, &mut reader);
        for remark in reader.remarks {
            self.refuse(remark, node.span, defined);
        }
        let mut refuse = |refusal| {
            if !whole.excuses(&refusal) {
                self.refuse(refusal, node.span, defined);
            }
        };
        read.map_err(&mut refuse).ok()
    }

    /// `police: { … }` as an action.
    pub(super) fn act_entry(&mut self, entry: &Entry, whole: Whole) -> Option<Actions> {
        let span = entry.key.span.to(entry.node.span);
        self.actions(&Node::block(vec![entry.clone()], span), whole)
    }
}
