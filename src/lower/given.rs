//! Filters as a policy writes them, with the numbers that it leaves out.

use super::arena::Arena;
use super::ids::Hook;
use super::origin;
use crate::codes;
use crate::diagnostic::{Diagnostic, Sink};
use crate::facts::Facts;
use crate::kind::Place;
use crate::kind::filter::u32::{self as cls_u32, Node, U32};
use crate::policy::model::{Block, Filter};
use crate::source::{Span, Spanned};
use crate::tree::{Id, Object};
use crate::unit::{Handle, Reader, Unit};
use compact_str::{CompactString, format_compact};
use std::collections::{HashMap, HashSet};

/// Where filters count on: what they hang on, chain and priority, and of u32 the bucket of a table.
type Row = (Handle, u32, u16, u32);

/// The filters of a direction.
pub fn filters(written: &[Filter], arena: Option<&Arena>, facts: &Facts, sink: &mut Sink) -> Vec<Object> {
    let own = arena.and_then(|a| a.disciplines.first()).map_or(Handle(0), |d| d.handle());
    let parent = |filter: &Filter, sink: &mut Sink| match &filter.at {
        None => Some(own),
        Some(at) => number(arena, &at.value).or_else(|| {
            let d = Diagnostic::new(&codes::UNKNOWN_CLASS, format!("there is no class or discipline `{}`", at.value));
            sink.push(d.at(at.span, ""));
            None
        }),
    };
    let placed: Vec<_> = written.iter().filter_map(|f| Some((f, parent(f, sink)?))).collect();
    objects(&placed, arena, facts, sink)
}

/// What the filters of the hook `ingress` hang on. It has two names, and the kernel keeps the one by which a filter called
/// it last, for tc to show: `ffff:`, or `ffff:fff2` if one says `at: ingress`.
pub fn arriving(written: &[Filter]) -> Handle {
    let says_it = |filter: &Filter| filter.at.as_ref().is_some_and(|at| at.value == "ingress");
    if written.iter().any(says_it) { Handle::HOOK_INGRESS } else { Handle::HOOK }
}

/// The filters of the hook for what arrives, whose own side is `arriving`.
pub fn hook_filters(written: &[Filter], hook: Hook, arriving: Handle, facts: &Facts, sink: &mut Sink) -> Vec<Object> {
    let side = |filter: &Filter| match filter.at.as_ref().map(|at| at.value.as_str()) {
        Some("egress") => Handle::HOOK_EGRESS,
        _ => arriving,
    };
    let placed: Vec<_> = written.iter().map(|f| (f, side(f))).collect();
    if hook == Hook::Ingress
        && let Some((filter, _)) = placed.iter().find(|(_, side)| *side == Handle::HOOK_EGRESS)
    {
        let message = "the hook `ingress` has no side for what leaves";
        let at = filter.at.as_ref().map_or(filter.span, |at| at.span);
        sink.push(Diagnostic::new(&codes::NO_FILTERS, message).at(at, "").help("write `hook: clsact`"));
    }
    objects(&placed, None, facts, sink)
}

/// The filters of a shared block.
pub fn block_filters(block: &Block, facts: &Facts, sink: &mut Sink) -> Vec<Object> {
    let placed: Vec<_> = block.filters.iter().map(|f| (f, Handle(block.number.value))).collect();
    objects(&placed, None, facts, sink)
}

/// A class by its path, or a number of a discipline that is there (`1:`) or of its classes.
fn number(arena: Option<&Arena>, name: &str) -> Option<Handle> {
    let arena = arena?;
    if let Ok(handle) = Handle::read(name, &mut Reader::default()) {
        return arena.disciplines.iter().any(|d| d.major == handle.major()).then_some(handle);
    }
    arena.find(name).map(|class| arena.class_handle(class))
}

fn objects(placed: &[(&Filter, Handle)], arena: Option<&Arena>, facts: &Facts, sink: &mut Sink) -> Vec<Object> {
    // those that are written are taken, wherever they stand
    let mut taken: HashMap<Row, HashSet<u32>> = HashMap::new();
    for (filter, parent) in placed {
        let row = row(filter, *parent);
        if let Some(handle) = filter.handle {
            taken.entry(row).or_default().insert(own_part(filter, handle));
        }
    }
    let mut objects: Vec<Object> =
        placed.iter().map(|(filter, parent)| object(filter, *parent, &mut taken, arena, facts, sink)).collect();
    let mut templates: HashMap<(Handle, u32), Span> = HashMap::new();
    for (filter, parent) in placed.iter().filter(|(filter, _)| filter.prio == 0) {
        if let Some(first) = templates.insert((*parent, filter.chain), filter.span) {
            let d = Diagnostic::new(&codes::DUPLICATE_KEY, format!("chain {} has two templates", filter.chain));
            sink.push(d.at(filter.span, "").at(first, "the first one").help("leave one of them out"));
        }
    }
    // a chain is made with its template, before there is a filter in it
    objects.sort_by_key(|object| !object.template);
    objects
}

fn is_u32(filter: &Filter) -> bool {
    filter.kind.value.name == cls_u32::KIND.name
}

/// The table and bucket of a u32 filter that is in a table of somebody's; 0 for the table of its priority.
fn bucket(filter: &Filter) -> u32 {
    let written = filter.options.as_kind::<U32>().and_then(|o| o.ht);
    let told = filter.handle.filter(|_| is_u32(filter)).map(Node).filter(|n| n.table() < cls_u32::ROOTS);
    written.or(told).filter(|n| n.table() != 0).map_or(0, |n| n.0 & 0xffff_f000)
}

fn row(filter: &Filter, parent: Handle) -> Row {
    (parent, filter.chain, filter.prio, bucket(filter))
}

/// The part of a number that tells filters of one [`Row`] apart.
fn own_part(filter: &Filter, handle: u32) -> u32 {
    if is_u32(filter) { handle & 0xfff } else { handle }
}

/// The first number that the kernel gives.
pub fn first(kind: &str) -> u32 {
    if kind == cls_u32::KIND.name { cls_u32::FIRST_NODE } else { 1 }
}

/// A filter chooses among the classes of the discipline that it hangs on; what it says of others' the kernel passes over.
fn elsewhere(class: &Spanned<CompactString>, handle: Handle, parent: Handle, arena: Option<&Arena>, sink: &mut Sink) {
    let own = Handle::new(parent.major(), 0).show();
    let message = format!("`{}` is no class of the discipline `{own}` that this filter hangs on", class.value);
    let parted = arena.is_some_and(|arena| arena.is_in_part(handle.major()));
    let rule = format!("a rule finds its way through all disciplines: `{{ class: {}, match: … }}`", class.value);
    let help = match parted {
        true => format!("`layout: nested` put it into a discipline of its own; {rule}"),
        false => format!(
            "hang the filter on the class's own discipline with `at`, and have another one lead there; or {rule}"
        ),
    };
    sink.push_nonsense(Diagnostic::new(&codes::CLASS_ELSEWHERE, message).at(class.span, "").help(help));
}

fn object(
    filter: &Filter,
    parent: Handle,
    taken: &mut HashMap<Row, HashSet<u32>>,
    arena: Option<&Arena>,
    facts: &Facts,
    sink: &mut Sink,
) -> Object {
    let kind = filter.kind.value;
    let mut options = filter.options.clone();
    let mut name = CompactString::default();
    if let Some(class) = &filter.class {
        match arena.and_then(|a| a.find(&class.value).map(|c| a.class_handle(c))) {
            Some(handle) => {
                if handle.major() != parent.major() {
                    elsewhere(class, handle, parent, arena, sink);
                }
                super::set_if_unset(options.as_mut(), "flowid", handle);
                name = class.value.clone();
            }
            None => {
                let d = Diagnostic::new(&codes::UNKNOWN_CLASS, format!("there is no class `{}`", class.value));
                sink.push(d.at(class.span, ""));
            }
        }
    }
    // what the wire has of the filter's place among its options: flower's first key is the protocol
    options.begin_tc(&Place { handle: filter.handle.unwrap_or(0), protocol: filter.protocol, parent, words: 1 });
    let row = row(filter, parent);
    let told = options.number(0, facts);
    let template = filter.prio == 0;
    let number = filter.handle.or(template.then_some(0)).or((told != 0).then_some(told)).unwrap_or_else(|| {
        let used = taken.entry(row).or_default();
        let free = (first(kind.name)..).find(|n| !used.contains(n)).unwrap_or_default();
        used.insert(free);
        free
    });
    let mut handle = number;
    if let Some(u32) = options.as_kind_mut::<U32>() {
        if u32.is_table() {
            if filter.handle.is_none() {
                let message = "a table of u32 has a number, by which filters lead to it";
                let d = Diagnostic::new(&codes::MISSING_OPTION, message).at(filter.kind.span, "");
                sink.push(d.help(format_compact!("write `handle: \"1:\"`")));
            }
        } else {
            let bucket = row.3;
            // the root table of a priority is numbered by the kernel
            handle = bucket | number & 0xfff;
            if bucket != 0 {
                u32.ht = Some(Node(bucket));
            }
        }
    }
    options.complete(facts);
    // of some kinds the options say the number
    if let (None, told @ 1..) = (filter.handle, options.number(0, facts)) {
        handle = told;
    }
    let id = Id::Filter { parent, chain: filter.chain, prio: filter.prio, protocol: filter.protocol, handle };
    let mut object = Object::new(id, kind, options);
    object.origin = origin(filter.span, name, Vec::new());
    object.template = template;
    object.estimator = filter.estimator;
    object
}
