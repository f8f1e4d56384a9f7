//! `fair`: equal shares for hosts that nobody lists.

use super::{Reader, Whole};
use crate::codes::{BAD_VALUE, FAIR_LEAF, MISSING_OPTION, UNKNOWN_KEY};
use crate::diagnostic::Diagnostic;
use crate::kind::{self, End, Fairness};
use crate::policy::model::{Discipline, Fair};
use crate::source::Spanned;
use crate::syntax::document::{Entry, Node, Value};
use crate::syntax::expression::Way;
use crate::unit::{Reader as Units, Seconds, Unit};

const EXAMPLE: &str = "fair: by host";
/// What hosts may be told by.
const ENDS: [&str; 3] = ["src", "dst", "host"];

impl<'a> Reader<'a> {
    /// `fair: by src`, or with more to say `fair: { by: src, perturb: 60s }`, of a class with that leaf. Without a leaf the
    /// class gets one.
    pub(super) fn fair(&mut self, entry: &'a Entry, leaf: &mut Option<Box<Discipline>>) {
        let Some((node, _)) = self.settle(&entry.node) else { return };
        let mut fair = Fair { end: End::Source, nat: self.nat, perturb: None, span: entry.key.span };
        let end = match &node.value {
            Value::Word(_) => self.end(&node),
            Value::Block(entries) => {
                let mut end = None;
                for (i, part) in entries.iter().enumerate() {
                    if self.repeated(entries, i) {
                        continue;
                    }
                    match part.key.value.as_str() {
                        "by" => end = Some(self.end(&part.node)),
                        "perturb" => match Seconds::read_node(&part.node, &mut Units::default()) {
                            Ok(seconds) => fair.perturb = Some(seconds),
                            Err(refusal) => self.refuse(refusal, part.node.span, crate::source::Span::NONE),
                        },
                        word => {
                            let message = format!("`{word}` is no part of `fair`");
                            self.unknown(&UNKNOWN_KEY, message, &part.key, ["by", "perturb"]);
                        }
                    }
                }
                if end.is_none() {
                    let d = Diagnostic::new(&MISSING_OPTION, "`fair` wants to know what hosts are told by");
                    self.sink.push(d.at(entry.key.span, "").help(format!("write `{EXAMPLE}`")));
                }
                end.flatten()
            }
            _ => {
                self.shape(&entry.node, "`fair`", EXAMPLE);
                None
            }
        };
        let Some(end) = end else { return };
        fair.end = end;
        if leaf.is_none() {
            let Some(cake) = kind::find(kind::Role::Qdisc, kind::qdisc::cake::KIND.name) else { return };
            *leaf = Some(Box::new(self.bare(Spanned::new(cake, entry.key.span))));
        }
        if let Some(leaf) = leaf {
            self.share(leaf, fair, entry);
        }
    }

    /// A discipline of a kind with its defaults.
    fn bare(&mut self, kind: Spanned<&'static kind::Kind>) -> Discipline {
        self.body(kind, &[], kind.span, Whole::default())
    }

    /// The end that `host`, `by src` and so on name: here, and reversed where rules are.
    fn end(&mut self, node: &Node) -> Option<End> {
        let text = node.as_word().unwrap_or_default();
        let down = self.way == Some(Way::Down);
        let (near, far) = if down { (End::Destination, End::Source) } else { (End::Source, End::Destination) };
        match text.strip_prefix("by ").map_or(text, str::trim) {
            "host" => Some(near),
            "src" => Some(if self.both { near } else { End::Source }),
            "dst" => Some(if self.both { far } else { End::Destination }),
            _ => {
                let d = Diagnostic::new(&BAD_VALUE, format!("`{text}` is nothing that hosts are told by"));
                let near = crate::syntax::names::nearest(text, ENDS).map(|near| format!("did you mean `by {near}`?"));
                let help = near.unwrap_or_else(|| format!("write `{EXAMPLE}`, `by src` or `by dst`"));
                self.sink.push(d.at(node.span, "").help(help));
                None
            }
        }
    }

    /// Has hosts share a leaf; reported if it cannot.
    fn share(&mut self, leaf: &mut Discipline, mut fair: Fair, entry: &Entry) {
        let (name, at) = (leaf.kind.value.name, leaf.kind.span);
        let mut shared = leaf.options.clone();
        let how = shared.fair_by(fair.end, fair.nat);
        let span = entry.key.span.to(entry.node.span);
        match how {
            Fairness::None => {
                let d = Diagnostic::new(&FAIR_LEAF, format!("`{name}` has no queues that hosts could take turns in"));
                let help = "leave the `leaf` out, or write `leaf: cake`, `leaf: fq_codel` or `leaf: sfq`";
                return self.sink.push(d.at(at, "the leaf").at(span, "wants equal shares").help(help));
            }
            Fairness::Queues(_) if fair.nat && self.way != Some(Way::Up) => {
                let message =
                    format!("`{name}` cannot tell hosts behind this link: what arrives is for the link's own address");
                let d = Diagnostic::new(&FAIR_LEAF, message).at(at, "the leaf").at(span, "wants equal shares");
                let help = "write `leaf: cake`, which looks through the change of addresses, or share on the interface toward the hosts";
                return self.sink.push(d.help(help));
            }
            Fairness::Own | Fairness::Queues(_) => {}
        }
        for (i, row) in leaf.options.rows().iter().enumerate() {
            let changed = leaf.options.show(row.word) != shared.show(row.word);
            if let Some(written) = leaf.places.get(i).filter(|_| changed) {
                let message = format!("`{}` is what `fair` sets", row.word);
                let d = Diagnostic::new(&FAIR_LEAF, message).at(written, "here").at(span, "and here");
                self.sink.push(d.help("leave one of them out"));
            }
        }
        // a hash is the filter's then, and not the discipline's
        fair.perturb = fair.perturb.or(shared.value::<Seconds>("perturb"));
        (leaf.options, leaf.fair) = (shared, Some(fair));
    }
}
