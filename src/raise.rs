//! A tree becomes a policy: the way of [`lower`](crate::lower) backwards.
//!
//! [`raise`] takes a tree, held or asked, made by whomever, and gives a document that compiles to the same tree. It writes
//! what differs from what the compiler and the kernel choose by themselves, and nothing else; numbers of classes and
//! disciplines are pinned by `id`. What no word of the language says is left out, and said.
//!
//! - the document is written by [`syntax::write::write`](crate::syntax::write::write) in either notation
//! - names of classes: those given ([`Names`], by interface and handle), else an asked object's [`Origin::name`], else
//!   made from the number, `c10`
//! - an asked object's [`Origin::remark`] becomes the comment above its entry
//! - [`accept`](crate::diagnostic::Sink::accept) lists the nonsense that the tree has and the kernel accepts; of a held tree also
//!   what is only warned of, so that what is exported is clean
//!
//! Whoever makes a tree from text (an importer) fills [`Tree::interfaces`] in the order in which they are to be written,
//! in each branch the objects in the order of making, with `stab`, `origin` and the link's own settings where there are any.
//!
//! [`Origin::name`]: crate::tree::Origin::name
//! [`Origin::remark`]: crate::tree::Origin::remark

mod filters;
mod names;
mod rows;

use crate::codes::{self, Severity};
use crate::diagnostic::{Diagnostic, Sink};
use crate::facts::Facts;
use crate::kind::link::Device;
use crate::kind::{
    Children, Options, Vocabulary,
    raw::{self, Raw},
};
use crate::lower::{self, Ids};
use crate::plan::{self, Subject};
use crate::policy;
use crate::source::{Notation, Source, Sources, Span, Spanned};
use crate::syntax::document::{Document, Entry, Node, Trivia, Value};
use crate::syntax::{Limits, write};
use crate::tree::{Branch, Id, Interface, Names, Object, Stab, Tree, block_of};
use crate::unit::{Estimator, Handle, Packing, Reader, Unit};
use compact_str::{CompactString, ToCompactString, format_compact};
use names::Named;
use std::collections::{BTreeSet, HashMap};

/// A policy made from a tree.
#[derive(Debug)]
pub struct Raised {
    /// The policy, without places.
    pub document: Document,
    /// What is left out of it, or comes out otherwise. They have no places either.
    pub remarks: Vec<Diagnostic>,
}

/// The policy that compiles to this tree. `facts` gives the figures of a link by its name: what follows from them is not
/// written. Interfaces without anything of somebody's are left out.
pub fn raise(tree: &Tree, names: &Names, facts: &dyn Fn(&str) -> Facts) -> Raised {
    let mut remarks = Vec::new();
    let (mut interfaces, mut blocks) = (Vec::new(), Vec::new());
    for (name, interface) in &tree.interfaces {
        let facts = facts(name);
        let held = interface.link.index.is_some();
        let is_device = interface.link.kind.as_deref().is_some_and(|kind| device(kind).is_some());
        let served = is_device && tree.objects().any(|object| lower::redirects_to(object, name));
        let mut raising = Raising { name, facts: &facts, names, held, served, remarks: &mut remarks };
        if let Some(number) = block_of(name) {
            blocks.push(entry(&number.to_compact_string(), raising.block(interface)));
        } else if let Some(node) = raising.interface(interface) {
            interfaces.push(Entry::new(key(name), node));
        }
    }
    let mut entries = vec![entry("interfaces", block(interfaces))];
    if !blocks.is_empty() {
        entries.push(entry("blocks", block(blocks)));
    }
    let mut document = Document { root: block(entries), tail: Vec::new() };
    // what stands somebody lives with; a script is still to be judged
    let held = tree.interfaces.values().any(|interface| interface.link.index.is_some());
    let mind = if held { Severity::Warning } else { Severity::Error };
    let checked = accept(&mut document, mind, facts);
    remarks.extend(compare(checked, tree, facts));
    Raised { document, remarks }
}

/// Puts the codes of what is nonsense in a policy, and accepted by the kernel, at its top: those that are as grave, or
/// graver. What the policy makes, with what is found.
fn accept(document: &mut Document, grave: Severity, facts: &dyn Fn(&str) -> Facts) -> (Tree, Sink) {
    let (asked, sink) = checked(document, facts);
    let found = sink.found.iter().filter(|d| d.severity() >= grave && d.code.acceptable());
    let codes: BTreeSet<_> = found.map(|d| d.code.name).collect();
    let Value::Block(entries) = &mut document.root.value else { return (asked, sink) };
    if codes.is_empty() {
        return (asked, sink);
    }
    let list = Node::list(codes.into_iter().map(|code| Node::word(code, Span::NONE)), Span::NONE);
    entries.insert(0, entry("accept", list));
    checked(document, facts)
}

/// What the document makes, by way of its text: values without places say nothing.
fn checked(document: &Document, facts: &dyn Fn(&str) -> Facts) -> (Tree, Sink) {
    let mut sink = Sink::new();
    let text = write::write(document, Notation::Yaml, &Vocabulary);
    let source = Source::with_notation("-", text, Notation::Yaml);
    let limits = Limits { file_bytes: usize::MAX, nodes: usize::MAX, ..Limits::default() };
    let documents = policy::load::parse(source, &limits, &mut Sources::new(), &mut sink).unwrap_or_default();
    let policy = policy::read::read(&documents, facts, &mut sink);
    policy::check::check(&policy, facts, &mut sink);
    let (asked, _) = lower::lower(&policy, facts, &Ids::default(), &mut sink);
    (asked, sink)
}

/// What the policy would make otherwise than it is in the tree.
fn compare((asked, sink): (Tree, Sink), tree: &Tree, facts: &dyn Fn(&str) -> Facts) -> Vec<Diagnostic> {
    let mut remarks = Vec::new();
    for d in sink.found.iter().filter(|d| d.is_error()) {
        remarks.push(Diagnostic::new(&codes::LEFT_OUT, format!("this cannot be said in a policy: {}", d.message)));
    }
    for step in plan::plan(&asked, tree, facts).steps {
        let Subject::Object(object) = &step.subject else { continue };
        if object.options.clone().reword(&facts(&step.interface)).is_err() {
            continue; // it has been said
        }
        let rows: Vec<_> = step.differences.iter().map(|d| d.word).collect();
        let rows = if rows.is_empty() { String::new() } else { format!(", which differs in {}", rows.join(", ")) };
        let message = format!("the policy would {:?} {}{rows}", step.verb, described(object)).to_lowercase();
        remarks.push(Diagnostic::new(&codes::LEFT_OUT, format!("{}: {message}", step.interface)));
    }
    remarks
}

/// A kind of device that a policy makes.
fn device(kind: &str) -> Option<Device> {
    Device::read(kind, &mut Reader::default()).ok()
}

/// An object in a few words.
fn described(object: &Object) -> String {
    match object.id {
        Id::Qdisc { parent, handle } => format!("qdisc {} {handle} at {parent}", object.name),
        Id::Class { handle, .. } => format!("class {} {handle}", object.name),
        Id::Filter { parent, chain, prio, handle, .. } => {
            if object.template {
                return format!("template {} of chain {chain} at {parent}", object.name);
            }
            let chain = if chain == 0 { String::new() } else { format!("chain {chain} ") };
            format!("filter {} at {parent} {chain}prio {prio} handle {handle:#x}", object.name)
        }
    }
}

fn key(text: &str) -> Spanned<CompactString> {
    Spanned::new(text.into(), Span::NONE)
}

fn entry(word: &str, node: Node) -> Entry {
    Entry::new(key(word), node)
}

fn block(entries: Vec<Entry>) -> Node {
    Node::block(entries, Span::NONE)
}

/// A value in the policy's spelling.
fn word(text: impl Into<CompactString>) -> Node {
    let text = text.into();
    // a `$` at the front would be the name of a value
    if text.is_empty() || text.starts_with(['$', '@']) {
        return Node::quoted(text, Span::NONE);
    }
    Node::word(text, Span::NONE)
}

/// An `id`: what tc and people read alike as a digit, else in hexadecimal.
fn id(number: u16) -> Entry {
    entry("id", word(if number < 10 { number.to_compact_string() } else { format_compact!("{number:#x}") }))
}

/// An entry with a comment above it.
fn commented(mut entry: Entry, comment: Option<&str>) -> Entry {
    let lines: Vec<String> = comment.into_iter().flat_map(str::lines).map(|l| l.trim_end().to_owned()).collect();
    if !lines.is_empty() {
        let trivia = entry.trivia.get_or_insert_with(|| Box::new(Trivia::default()));
        trivia.above.extend(lines);
    }
    entry
}

/// One interface's way up.
struct Raising<'a> {
    name: &'a str,
    facts: &'a Facts,
    names: &'a Names,
    /// The tree comes from a dump.
    held: bool,
    /// A filter sends packets here.
    served: bool,
    remarks: &'a mut Vec<Diagnostic>,
}

/// A branch, by what hangs on what.
struct Grove<'a> {
    objects: &'a [Object],
    below: HashMap<Handle, Vec<&'a Object>>,
    named: Named,
}

impl<'a> Grove<'a> {
    fn classes_of(&self, above: Handle) -> impl Iterator<Item = &'a Object> + '_ {
        self.children(above).filter(|o| matches!(o.id, Id::Class { .. }))
    }

    fn children(&self, above: Handle) -> impl Iterator<Item = &'a Object> + '_ {
        self.below.get(&above).into_iter().flatten().copied()
    }

    /// The discipline on a class.
    fn leaf_of(&self, class: Handle) -> Option<&'a Object> {
        self.children(class).find(|o| o.is_qdisc())
    }

    /// The disciplines that hang on bands or on the one child of a discipline, with their minor numbers.
    fn leaves_of(&self, discipline: Handle) -> Vec<(u16, &'a Object)> {
        let own = |o: &&Object| o.is_qdisc() && o.id.parent().major() == discipline.major();
        let mut leaves: Vec<_> = self.objects.iter().filter(own).map(|o| (o.id.parent().minor(), o)).collect();
        leaves.retain(|(_, o)| !matches!(o.id.parent(), Handle::ROOT | Handle::INGRESS));
        leaves.sort_by_key(|(minor, _)| *minor);
        leaves
    }
}

impl Raising<'_> {
    fn interface(&mut self, interface: &Interface) -> Option<Node> {
        let mut entries = Vec::new();
        let mut link = Vec::new();
        let root = |b: &Branch| b.objects.iter().find(|o| o.id.parent() == Handle::ROOT).cloned();
        let egress = interface.egress.as_ref().and_then(|b| Some((b, root(b)?)));
        let hook = interface.ingress.as_ref().filter(|b| !b.objects.is_empty());
        // a device that serves no other purpose than ours is the policy's to make
        let device = interface.link.kind.as_deref().and_then(device);
        if let Some(device) = device.filter(|_| interface.link.up != Some(false))
            && (self.served || egress.is_some() || hook.is_some())
        {
            link.push(entry("type", word(device.show())));
        }
        // a held link's length was there before
        if let Some(length) = interface.link.txqueuelen.filter(|_| !self.held) {
            link.push(entry("txqueuelen", word(length.to_compact_string())));
        }
        if let Some(stab) =
            egress.as_ref().filter(|(_, root)| self.is_links(root)).and_then(|(_, root)| root.stab.as_ref())
        {
            self.link_stab(stab, &mut link);
        }
        if !link.is_empty() {
            entries.push(commented(entry("link", block(link)), interface.link.origin.remark.as_deref()));
        }
        if let Some((branch, root)) = egress {
            entries.extend(self.egress(branch, &root));
        }
        entries.extend(interface.ingress.as_ref().and_then(|b| self.ingress(b)));
        (!entries.is_empty()).then(|| block(entries))
    }

    /// The filters of a shared block.
    fn block(&mut self, interface: &Interface) -> Node {
        let mut entries = Vec::new();
        if let Some(branch) = &interface.egress {
            let grove = self.grove(branch);
            let own = branch.objects.first().map_or(Handle(0), |o| o.id.parent());
            let lost = self.lost(branch);
            let filters = self.filters(&grove, branch, own);
            if !filters.is_empty() || lost.is_some() {
                entries.push(commented(entry("filters", list(filters)), lost.as_deref()));
            }
        }
        block(entries)
    }

    /// Whether the words of `link:` say a size table: there overhead is counted over the IP packet, and 0 is none.
    fn is_links(&self, root: &Object) -> bool {
        let Some(stab) = &root.stab else { return false };
        // a kind that counts by itself gets no table from `link:`
        if root.options.boxed().count_as(Packing::Plain, 0, 0) {
            return false;
        }
        let header = i32::try_from(self.facts.header).unwrap_or(0);
        stab.linklayer.is_some() && (stab.overhead == 0 || stab.overhead.saturating_add(header) != 0)
    }

    /// What [`lower`] makes of the link's sizes, backwards.
    fn link_stab(&self, stab: &Stab, link: &mut Vec<Entry>) {
        let header = i32::try_from(self.facts.header).unwrap_or(0);
        let overhead = if stab.overhead == 0 { 0 } else { stab.overhead.saturating_add(header) };
        link.extend(sizes(&Stab { overhead, ..stab.clone() }));
    }

    fn leave_out(&mut self, what: String) {
        let message = format!("{}: {what} is left out", self.name);
        self.remarks.push(Diagnostic::new(&codes::LEFT_OUT, message));
    }

    fn grove<'b>(&self, branch: &'b Branch) -> Grove<'b> {
        let mut below: HashMap<Handle, Vec<&Object>> = HashMap::new();
        for object in &branch.objects {
            below.entry(object.id.parent()).or_default().push(object);
        }
        Grove { objects: &branch.objects, below, named: Named::new(self.name, &branch.objects, self.names) }
    }

    fn egress(&mut self, branch: &Branch, root: &Object) -> Option<Entry> {
        let grove = self.grove(branch);
        let lost = self.lost(branch);
        let node = self.discipline(&grove, root)?;
        let filters = self.filters(&grove, branch, root.handle().unwrap_or_default());
        let mut node = node;
        if !filters.is_empty() {
            let mut entries = match node.value {
                Value::Block(entries) => entries,
                Value::Word(kind) => vec![entry(&kind.text, Node { span: Span::NONE, value: Value::Null })],
                _ => Vec::new(),
            };
            entries.push(entry("filters", list(filters)));
            node = block(entries);
        }
        Some(commented(entry("egress", node), lost.as_deref()))
    }

    fn ingress(&mut self, branch: &Branch) -> Option<Entry> {
        let root = branch.objects.iter().find(|o| o.id.parent() == Handle::INGRESS)?;
        let grove = self.grove(branch);
        let lost = self.lost(branch);
        let mut entries = vec![entry("hook", word(root.name.clone()))];
        for (word, number) in [("block", root.blocks.ingress), ("egress_block", root.blocks.egress)] {
            entries.extend((number != 0).then(|| entry(word, self::word(number.to_compact_string()))));
        }
        let own = if root.name == "clsact" { Handle::HOOK_INGRESS } else { Handle::HOOK };
        let filters = self.filters(&grove, branch, own);
        if !filters.is_empty() {
            entries.push(entry("filters", list(filters)));
        }
        Some(commented(commented(entry("ingress", block(entries)), lost.as_deref()), root.origin.remark.as_deref()))
    }

    /// What a policy has no words for, as a comment: name and raw options. It is said too.
    fn lost(&mut self, branch: &Branch) -> Option<String> {
        let mut lines = Vec::new();
        for object in &branch.objects {
            if let Err(what) = object.options.clone().reword(self.facts) {
                lines.push(format!("left out: {} with {what}", described(object)));
                self.leave_out(format!("{} with {what}", described(object)));
            }
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// A discipline with all that hangs on it.
    fn discipline(&mut self, grove: &Grove, object: &Object) -> Option<Node> {
        let kind = object.kind.unwrap_or(&raw::QDISC);
        let handle = object.handle().unwrap_or_default();
        let mut entries = Vec::new();
        let first = u16::from(object.id.parent() == Handle::ROOT);
        if handle.major() != first && handle.major() != 0 {
            entries.push(id(handle.major()));
        }
        let links = object.id.parent() == Handle::ROOT;
        if let Some(stab) = object.stab.as_ref().filter(|_| !(links && self.is_links(object))) {
            entries.push(entry("stab", block(sizes(stab))));
        }
        entries.extend(object.estimator.map(estimator));
        let complete = |options: &mut dyn Options| options.complete(self.facts);
        let mut written = match object.options.as_kind::<Raw>() {
            Some(raw) => Box::new(raw.named(&object.name)),
            None => rows::needed(object.options.as_ref(), &complete, self.facts),
        };
        if self.held {
            rows::uncut(kind.name, written.as_mut());
        }
        let default = (kind.children == Children::Classes).then_some("default");
        entries.extend(self.rows(written.as_ref(), &|word| Some(word) == default));
        match kind.children {
            Children::None => {}
            Children::Leaf => {
                if let Some((_, leaf)) = grove.leaves_of(handle).first() {
                    entries.extend(self.leaf(grove, leaf));
                }
            }
            Children::Bands => {
                let leaves = grove.leaves_of(handle);
                let leaf = |(minor, leaf): &(u16, &Object)| {
                    Some(Entry::new(key(&minor.checked_sub(1)?.to_compact_string()), self.discipline(grove, leaf)?))
                };
                let leaves: Vec<_> = leaves.iter().filter_map(leaf).collect();
                if !leaves.is_empty() {
                    entries.push(entry("leaves", block(leaves)));
                }
            }
            Children::Classes => {
                entries.extend(self.default(grove, object));
                let classes = self.classes(grove, object, handle);
                if !classes.is_empty() {
                    entries.push(entry("classes", block(classes)));
                }
            }
        }
        if entries.is_empty() {
            return Some(word(kind.name));
        }
        Some(block(vec![commented(entry(kind.name, block(entries)), object.origin.remark.as_deref())]))
    }

    fn leaf(&mut self, grove: &Grove, leaf: &Object) -> Option<Entry> {
        Some(entry("leaf", self.discipline(grove, leaf)?))
    }

    /// The class for what no filter takes: by name, or as a number that no class has.
    fn default(&mut self, grove: &Grove, discipline: &Object) -> Option<Entry> {
        let row = discipline.options.row("default")?;
        let number = discipline.options.slot(row)?.number().filter(|n| *n != 0)?;
        let major = discipline.handle()?.major();
        let class = u16::try_from(number).ok().map(|minor| Handle::new(major, minor));
        let name = class.and_then(|class| grove.named.below(class, discipline.handle()?));
        Some(entry("default", word(name.unwrap_or_else(|| format_compact!("{number:#x}")))))
    }

    fn classes(&mut self, grove: &Grove, discipline: &Object, above: Handle) -> Vec<Entry> {
        let classes: Vec<_> = grove.classes_of(above).collect();
        classes.into_iter().filter_map(|class| self.class(grove, discipline, class)).collect()
    }

    fn class(&mut self, grove: &Grove, discipline: &Object, class: &Object) -> Option<Entry> {
        let handle = class.handle()?;
        let name = grove.named.name(handle)?.clone();
        let inner = grove.classes_of(handle).next().is_some();
        let chosen = |options: &mut dyn Options| {
            lower::choose(options, discipline.options.as_ref(), inner, self.facts);
        };
        let written: Box<dyn Options> = match class.options.as_kind::<Raw>() {
            Some(raw) => Box::new(raw.class()),
            None => rows::needed(class.options.as_ref(), &chosen, self.facts),
        };
        let mut entries = vec![id(handle.minor())];
        entries.extend(class.estimator.map(estimator));
        entries.extend(self.rows(written.as_ref(), &|_| false));
        if let Some(leaf) = grove.leaf_of(handle) {
            entries.extend(self.leaf(grove, leaf));
        }
        let classes = self.classes(grove, discipline, handle);
        if !classes.is_empty() {
            entries.push(entry("classes", block(classes)));
        }
        Some(commented(Entry::new(key(&name), block(entries)), class.origin.remark.as_deref()))
    }
}

/// The words of a size table.
fn sizes(stab: &Stab) -> Vec<Entry> {
    let number = |word: &str, n: u32| (n != 0).then(|| entry(word, self::word(n.to_compact_string())));
    let usual = Stab { mtu: 0, tsize: 0, ..stab.clone() }.complete();
    let full = stab.complete();
    let mut out = vec![entry("overhead", word(stab.overhead.to_compact_string()))];
    out.extend(number("mpu", stab.mpu));
    out.extend(number("mtu", full.mtu).filter(|_| full.mtu != usual.mtu));
    out.extend(number("tsize", full.tsize).filter(|_| full.tsize != usual.tsize));
    out.extend(stab.linklayer.map(|layer| entry("linklayer", word(layer.show()))));
    out
}

/// An estimator's two times.
fn estimator(estimator: Estimator) -> Entry {
    let [interval, average] = estimator.tc().map(|us| word(format_compact!("{us}us")));
    entry("estimator", block(vec![entry("interval", interval), entry("average", average)]))
}

fn list(nodes: Vec<(Node, Option<String>)>) -> Node {
    let item = |(node, comment): (Node, Option<String>)| {
        let commented = commented(entry("", node), comment.as_deref());
        crate::syntax::document::Item { node: commented.node, trivia: commented.trivia }
    };
    Node { span: Span::NONE, value: Value::List(nodes.into_iter().map(item).collect()) }
}

#[cfg(test)]
mod tests;
