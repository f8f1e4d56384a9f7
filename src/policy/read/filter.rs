//! Filters of tc as they are, the hook that holds them, and the nonsense that a policy accepts.

use super::discipline::Written;
use super::{Reader, Whole};
use crate::codes::{self, BAD_VALUE, MISSING_OPTION, UNKNOWN_CLASS, UNKNOWN_KIND, WRONG_SHAPE};
use crate::diagnostic::Diagnostic;
use crate::kind::filter::u32::Node as Place;
use crate::kind::link::Link as LinkRows;
use crate::kind::{self, Kind, Role};
use crate::policy::model::{Block, Filter, Hook};
use crate::policy::names::Index;
use crate::source::{Span, Spanned};
use crate::syntax::document::{Entry, Node, Value};
use crate::unit::{self, Estimator, Flag, Handle, Hex, Protocol, Stab, Time, Unit};
use compact_str::CompactString;

/// `ETH_P_ALL`.
const ALL: u16 = 3;
/// What a filter has besides its kind's options.
const WORDS: [&str; 7] = ["at", "prio", "protocol", "chain", "handle", "estimator", "template"];
const EXAMPLE: &str = "filters: [ { u32: { prio: 10, protocol: ip, match: ip dport 22 0xffff, flowid: ssh } } ]";

impl<'a> Reader<'a> {
    /// `accept:`, a list of codes. Read before anything that could be accepted.
    pub(super) fn accept(&mut self, node: &'a Node) {
        let nodes: Vec<&Node> = match &node.value {
            Value::List(items) => items.iter().map(|i| &i.node).collect(),
            _ => vec![node],
        };
        for node in nodes {
            let Some(word) = node.as_word() else {
                self.shape(node, "`accept`", "accept: [ceil-below-rate]");
                continue;
            };
            match codes::find(word) {
                Some(code) if code.acceptable() => self.sink.accept(code, node.span),
                Some(code) => {
                    let message = format!("`{word}` cannot be accepted: {}", code.title);
                    let d = Diagnostic::new(&BAD_VALUE, message).at(node.span, "");
                    self.sink.push(d.help("only what the kernel takes can be there on purpose"));
                }
                None => {
                    let known = codes::ALL.iter().filter(|c| c.acceptable()).map(|c| c.name);
                    let name = Spanned::new(word.into(), node.span);
                    self.unknown(&BAD_VALUE, format!("there is no code `{word}`"), &name, known);
                }
            }
        }
    }

    /// `hook:`.
    pub(super) fn hook(&mut self, node: &'a Node) -> Option<Spanned<Hook>> {
        let hook = match node.as_word() {
            Some("clsact") => Hook::Clsact,
            Some("ingress") => Hook::Ingress,
            _ => {
                let d = Diagnostic::new(&BAD_VALUE, "the hook for what arrives is one of two").at(node.span, "");
                self.sink.push(d.help("write `hook: clsact` or `hook: ingress`"));
                return None;
            }
        };
        Some(Spanned::new(hook, node.span))
    }

    /// `blocks:`, by number.
    pub(super) fn blocks(&mut self, entries: Vec<&'a Entry>) -> Vec<Block> {
        let mut out: Vec<Block> = Vec::new();
        for entry in entries {
            let Some(n) = entry.key.value.parse::<u32>().ok().filter(|n| *n != 0) else {
                let message = format!("`{}` is no number of a block", entry.key.value);
                let d = Diagnostic::new(&BAD_VALUE, message).at(entry.key.span, "");
                self.sink.push(d.help("write a number from 1 on: `blocks: { 5: { filters: [ … ] } }`"));
                continue;
            };
            if let Some(first) = out.iter().find(|b| b.number.value == n).map(|b| b.number.span) {
                self.duplicate("block", entry, first);
                continue;
            }
            let Some(parts) = self.entries(&entry.node, "a block", "5: { filters: [ … ] }") else { continue };
            let mut filters = Vec::new();
            for (i, part) in parts.iter().enumerate() {
                if self.repeated(parts, i) {
                    continue;
                }
                match part.key.value.as_str() {
                    "filters" => filters = self.filters(&part.node, Whole::default()),
                    word => {
                        let message = format!("`{word}` is no part of a block");
                        self.unknown(&codes::UNKNOWN_KEY, message, &part.key, ["filters"]);
                    }
                }
            }
            if let Some(at) = filters.iter().find_map(|f| f.at.as_ref()) {
                let d = Diagnostic::new(&BAD_VALUE, "a block has no places for its filters").at(at.span, "");
                self.sink.push(d.help("leave `at` out"));
            }
            self.settle_hook_filters(&mut filters);
            out.push(Block { number: Spanned::new(n, entry.key.span), filters });
        }
        out
    }

    /// The number of a block that a hook looks into.
    pub(super) fn block_number(&mut self, entry: &'a Entry) -> Option<Spanned<u32>> {
        let n = self.filter_number(entry, u32::MAX - 1).filter(|n| *n != 0);
        n.map(|n| Spanned::new(n, entry.node.span))
    }

    /// `estimator: { interval: 1s, average: 8s }`.
    pub(super) fn estimator(&mut self, entry: &'a Entry) -> Option<Estimator> {
        let example = "estimator: { interval: 1s, average: 8s }";
        let entries = self.entries(&entry.node, "`estimator`", example)?;
        let (mut interval, mut average) = (None, None);
        for (i, part) in entries.iter().enumerate() {
            if self.repeated(entries, i) {
                continue;
            }
            let slot = match part.key.value.as_str() {
                "interval" => &mut interval,
                "average" => &mut average,
                word => {
                    let message = format!("`{word}` is no part of an estimator");
                    self.unknown(&codes::UNKNOWN_KEY, message, &part.key, ["interval", "average"]);
                    continue;
                }
            };
            let (settled, defined) = self.settle(&part.node)?;
            match Time::read_node(&settled, &mut unit::Reader::default()) {
                Ok(time) => *slot = Some(time.0 / 1000),
                Err(refusal) => self.refuse(refusal, part.node.span, defined),
            }
        }
        let estimator = Estimator::of(interval?, average?);
        if estimator.is_none() {
            let message = "an interval is 8 seconds at most, and an average longer than it";
            let d = Diagnostic::new(&codes::OUT_OF_RANGE, message).at(entry.node.span, "");
            self.sink.push(d.help(format!("write `{example}`")));
        }
        estimator
    }

    /// `stab: { overhead: 4, linklayer: atm }`, as tc has it.
    pub(super) fn stab(&mut self, entry: &'a Entry) -> Option<Spanned<Stab>> {
        let entries = self.entries(&entry.node, "`stab`", "stab: { overhead: 4, linklayer: atm }")?;
        let mut written = Written::new(Box::new(LinkRows::default()));
        for (i, part) in entries.iter().enumerate() {
            if self.repeated(entries, i) {
                continue;
            }
            let words = ["overhead", "mpu", "mtu", "tsize", "linklayer"];
            if words.contains(&part.key.value.as_str()) {
                self.option(&mut written, part, Whole::default(), "`stab`", &[]);
            } else {
                let message = format!("`{}` is no part of a size table", part.key.value);
                self.unknown(&codes::UNKNOWN_KEY, message, &part.key, words);
            }
        }
        let (options, _) = written.finish();
        let LinkRows { overhead, mpu, mtu, tsize, linklayer, .. } = options.as_kind::<LinkRows>()?.clone();
        let stab = Stab {
            overhead: overhead.unwrap_or_default().0,
            mpu: mpu.unwrap_or_default().0,
            mtu: mtu.unwrap_or_default().0,
            tsize: tsize.unwrap_or_default().0,
            linklayer,
        };
        Some(Spanned::new(stab, entry.node.span))
    }

    /// `filters:`, a list.
    pub(super) fn filters(&mut self, node: &'a Node, whole: Whole) -> Vec<Filter> {
        let items = match &node.value {
            Value::List(items) => items,
            Value::Null => return Vec::new(),
            _ => {
                let message = format!("`filters` wants a list, in the order of making, and this is {}", node.shape());
                self.sink
                    .push(Diagnostic::new(&WRONG_SHAPE, message).at(node.span, "").help(format!("write `{EXAMPLE}`")));
                return Vec::new();
            }
        };
        items.iter().filter_map(|item| self.filter(&item.node, whole)).collect()
    }

    fn filter(&mut self, node: &'a Node, whole: Whole) -> Option<Filter> {
        let entry = match node.entries() {
            Some([entry]) => entry,
            _ => {
                let d = Diagnostic::new(&WRONG_SHAPE, "a filter is its kind with what it wants").at(node.span, "");
                self.sink.push(d.help(format!("write `{EXAMPLE}`")));
                return None;
            }
        };
        let Some(kind) = kind::in_policies(Role::Filter).find(|kind| kind.name == entry.key.value) else {
            let known: Vec<_> = kind::all(Role::Filter).map(|k| k.name).collect();
            let message = format!("there is no filter `{}`", entry.key.value);
            self.unknown(&UNKNOWN_KIND, message, &entry.key, known);
            return None;
        };
        let entries = self.entries(&entry.node, "a filter", EXAMPLE)?;
        let owner = format!("`{}`", kind.name);
        let mut written = Written::new((kind.options)());
        let (mut at, mut class, mut prio, mut protocol, mut chain, mut handle) =
            (None, None, None, Some(ALL), Some(0), None);
        let (mut sound, mut estimator, mut template) = (true, None, None);
        for (i, entry) in entries.iter().enumerate() {
            if self.repeated(entries, i) {
                continue;
            }
            let row = written.options.row(&entry.key.value).and_then(|i| written.options.rows().get(i));
            match entry.key.value.as_str() {
                "at" => at = self.word(entry),
                "prio" | "pref" => {
                    prio = self.filter_number(entry, u32::from(u16::MAX)).or_else(|| {
                        sound = false;
                        None
                    })
                }
                "chain" => chain = self.filter_number(entry, u32::MAX),
                "protocol" => protocol = self.protocol(entry),
                "handle" => {
                    handle = self.filter_handle(kind.name, entry);
                    sound &= handle.is_some();
                }
                "estimator" => estimator = self.estimator(entry),
                "template" => match self.flag(entry) {
                    Some(said) => template = said.then_some(entry.key.span),
                    None => sound = false,
                },
                _ if row.is_some_and(|r| r.word == "flowid") => {
                    let word = self.word(entry)?;
                    match Handle::read(&word.value, &mut unit::Reader::default()) {
                        Ok(_) => self.option(&mut written, entry, whole, &owner, &WORDS),
                        Err(_) => class = Some(word),
                    }
                }
                _ => self.option(&mut written, entry, whole, &owner, &WORDS),
            }
        }
        let span = entry.key.span.to(entry.node.span);
        if let Some(at) = template {
            let entry = |entry: &&Entry| {
                ["prio", "pref", "handle", "flowid", "classid", "action", "estimator"]
                    .contains(&entry.key.value.as_str())
            };
            sound &= self.fits_template(kind, at, entries.iter().find(entry));
            prio = Some(0);
        }
        let Some(prio) = prio.filter(|n| *n != 0 || template.is_some()).and_then(|n| u16::try_from(n).ok()) else {
            if sound {
                let message = "a filter has a `prio` from 1 on: lower ones are asked first";
                let d = Diagnostic::new(&MISSING_OPTION, message).at(entry.key.span, "");
                self.sink.push(d.help("write `prio: 10`"));
            }
            return None;
        };
        let (options, places) = written.finish();
        let kind = Spanned::new(kind, entry.key.span);
        let (protocol, chain) = (protocol?, chain?);
        sound.then_some(Filter { kind, at, prio, protocol, chain, handle, class, options, places, estimator, span })
    }

    /// Whether a kind has templates, and says in one only what filters look at.
    fn fits_template(&mut self, kind: &Kind, at: Span, more: Option<&Entry>) -> bool {
        if !(kind.options)().has_templates() {
            let d = Diagnostic::new(&BAD_VALUE, format!("a chain has no template of the kind `{}`", kind.name));
            self.sink.push(d.at(at, "").help("write a template with `flower`"));
            return false;
        }
        if let Some(more) = more {
            let message = format!("a template says what its filters look at, and has no `{}`", more.key.value);
            let d = Diagnostic::new(&BAD_VALUE, message).at(more.key.span, "").at(at, "this makes it a template");
            self.sink.push(d.help("leave it out"));
            return false;
        }
        true
    }

    /// Yes or no.
    fn flag(&mut self, entry: &'a Entry) -> Option<bool> {
        let (settled, defined) = self.settle(&entry.node)?;
        let read = Flag::read_node(&settled, &mut unit::Reader::default());
        read.map(|flag| flag.0).map_err(|refusal| self.refuse(refusal, entry.node.span, defined)).ok()
    }

    fn word(&mut self, entry: &'a Entry) -> Option<Spanned<CompactString>> {
        let (settled, _) = self.settle(&entry.node)?;
        let word = settled.as_word().map(|text| Spanned::new(text.into(), entry.node.span));
        if word.is_none() {
            let message = format!("a name or a number is wanted here, and this is {}", entry.node.shape());
            self.sink.push(Diagnostic::new(&WRONG_SHAPE, message).at(entry.node.span, ""));
        }
        word
    }

    fn filter_number(&mut self, entry: &'a Entry, most: u32) -> Option<u32> {
        let (settled, defined) = self.settle(&entry.node)?;
        let read = Hex::read_node(&settled, &mut unit::Reader::default()).and_then(|n| match n.0 {
            n if n <= most => Ok(n),
            n => Err(unit::Refusal::coded(&codes::OUT_OF_RANGE, format!("{n} does not fit: at most {most}"))),
        });
        read.map_err(|refusal| self.refuse(refusal, entry.node.span, defined)).ok()
    }

    fn protocol(&mut self, entry: &'a Entry) -> Option<u16> {
        let (settled, defined) = self.settle(&entry.node)?;
        if settled.as_word() == Some("all") {
            return Some(ALL);
        }
        let read = Protocol::read_node(&settled, &mut unit::Reader::default());
        read.map(|n| n.0).map_err(|refusal| self.refuse(refusal, entry.node.span, defined)).ok()
    }

    /// A filter's own number: a place in u32's tables, for all others a plain one.
    fn filter_handle(&mut self, kind: &str, entry: &'a Entry) -> Option<u32> {
        if kind != kind::filter::u32::KIND.name {
            return self.filter_number(entry, u32::MAX);
        }
        let (settled, defined) = self.settle(&entry.node)?;
        let read = Place::read_node(&settled, &mut unit::Reader::default());
        read.map(|n| n.0).map_err(|refusal| self.refuse(refusal, entry.node.span, defined)).ok()
    }

    /// Puts full paths in the place of written names.
    pub(super) fn settle_filter(&mut self, index: &Index, filter: &mut Filter) {
        let number = |name: &Spanned<CompactString>| Handle::read(&name.value, &mut unit::Reader::default()).is_ok();
        for name in [&mut filter.at, &mut filter.class].into_iter().flatten().filter(|name| !number(name)) {
            self.settle_name(index, name, "filter", &UNKNOWN_CLASS);
        }
    }

    /// On a hook there are no classes: `at` is a side of it, and a class has a number.
    pub(super) fn settle_hook_filters(&mut self, filters: &mut [Filter]) {
        for filter in filters {
            if let Some(at) = filter.at.as_ref().filter(|at| !matches!(at.value.as_str(), "ingress" | "egress")) {
                let d = Diagnostic::new(&BAD_VALUE, format!("`{}` is no side of the hook", at.value)).at(at.span, "");
                self.sink.push(d.help("write `at: ingress` or `at: egress`"));
            }
            if let Some(class) = filter.class.as_ref().map(|c| (c.value.clone(), c.span)) {
                self.no_class_here(&class.0, class.1);
            }
        }
    }

    fn no_class_here(&mut self, name: &str, at: Span) {
        let message = format!("there is no class `{name}`: what passes a hook has none");
        self.sink.push(Diagnostic::new(&UNKNOWN_CLASS, message).at(at, "").help("write a number, `flowid: 1:10`"));
    }
}
