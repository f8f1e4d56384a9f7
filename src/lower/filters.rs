//! Which classifier takes what a rule matches, and the filter as an object.
//!
//! | the alternative looks at | filter |
//! |---|---|
//! | bits of IPv4 or IPv6 headers, perhaps the mark too | `u32` of that protocol |
//! | the mark alone | `fw`; `u32` for mark 0, which `fw` cannot say |
//! | nothing | `u32 match u32 0 0` of all protocols: every kernel with tc has it, `matchall` is missing from some |

use super::cube::{At, Cube, Key};
use super::ids::Filters;
use super::matching::{Matched, visit};
use super::order::{self, Entry, Place, Sort};
use super::origin;
use crate::codes;
use crate::diagnostic::{Diagnostic, Sink};
use crate::facts::Facts;
use crate::fingerprint::Fingerprint;
use crate::kind::Options;
use crate::kind::action::Actions;
use crate::kind::filter::fw::{self, Fw};
use crate::kind::filter::u32::{self as cls_u32, Keys, U32};
use crate::policy::model::Rule;
use crate::source::Span;
use crate::syntax::expression::Field;
use crate::tree::{Id, Object, Origin};
use crate::unit::{Handle, Hex, Mark};
use compact_str::{CompactString, format_compact};
use std::collections::{BTreeSet, HashMap};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ALL: u16 = 0x0003;
/// What a filter looks at.
#[derive(Clone, Debug, PartialEq)]
enum Look {
    /// Headers of one family.
    Header { protocol: u16, cube: Cube },
    /// Whatever the protocol; nothing or the mark.
    Any(Cube),
    /// The mark, by fw.
    Mark { value: u32, mask: u32 },
}

/// A filter that has no place yet.
#[derive(Clone, Debug)]
pub struct Wanted {
    look: Look,
    target: Option<Handle>,
    actions: Option<Actions>,
    /// Its rule.
    pub origin: Origin,
}

/// The filters of one rule.
pub fn wanted(
    rule: &Rule,
    matched: &Matched,
    target: Option<Handle>,
    actions: Option<Actions>,
    path: CompactString,
    facts: &Facts,
    sink: &mut Sink,
) -> Vec<Wanted> {
    if target.is_none() && actions.is_none() {
        return Vec::new();
    }
    let of = |protocol| move |cube: &Cube| Look::Header { protocol, cube: cube.clone() };
    let looks: Vec<Look> = match matched {
        // what is written into a header is not the same for both families
        Matched::All(cubes) if actions.as_ref().is_some_and(Actions::differ_by_family) => {
            cubes.iter().map(of(IPV4)).chain(cubes.iter().map(of(IPV6))).collect()
        }
        Matched::All(cubes) => cubes.iter().map(look_anywhere).collect(),
        Matched::Ip { v4, v6 } => v4.iter().map(of(IPV4)).chain(v6.iter().map(of(IPV6))).collect(),
    };
    if looks.is_empty() {
        let d = Diagnostic::new(&codes::MATCHES_NOTHING, "no packet can match this");
        sink.push(d.at(rule.matches.as_ref().map_or(rule.span, |m| m.span), ""));
    }
    if !facts.u32_mark && looks.iter().any(wants_u32_mark) {
        let mut place = Span::NONE;
        if let Some(m) = &rule.matches {
            visit(&m.value, &mut |t| place = if t.field == Field::Mark { t.span } else { place });
        }
        let place = if place.is_none() { rule.matches.as_ref().map_or(rule.span, |m| m.span) } else { place };
        let d = Diagnostic::new(
            &codes::MARK_UNSUPPORTED,
            "this kernel's u32 cannot match marks, and would take every packet for marked",
        );
        sink.push(d.at(place, "").help("match the mark alone in a rule, or use a kernel with CONFIG_CLS_U32_MARK"));
        return Vec::new();
    }
    let n = looks.len();
    let text = rule.matches.as_ref().map(|m| m.value.to_string());
    let remark = |i: usize| match (&text, n) {
        (None, _) => None,
        (Some(text), 1) => Some(text.clone()),
        (Some(text), _) => Some(format!("{text} ({} of {n})", i + 1)),
    };
    let make = |(i, look)| {
        let origin = Origin { remark: remark(i), ..origin(rule.span, path.clone(), Vec::new()) };
        Wanted { look, target, actions: actions.clone(), origin }
    };
    looks.into_iter().enumerate().map(make).collect()
}

/// A filter for all that no rule took, to a class.
pub fn rest(target: Handle, path: CompactString, span: Span) -> Wanted {
    let origin = origin(span, path, vec!["what no rule takes".to_owned()]);
    Wanted { look: Look::Any(Cube::default()), target: Some(target), actions: None, origin }
}

/// A filter for all that no rule took, with actions.
pub fn rest_with(actions: Actions, span: Span) -> Wanted {
    let origin = origin(span, CompactString::default(), Vec::new());
    Wanted { look: Look::Any(Cube::default()), target: None, actions: Some(actions), origin }
}

fn look_anywhere(cube: &Cube) -> Look {
    match cube.0.as_slice() {
        [Key { at: At::Mark, mask, value }] if *value != 0 => Look::Mark { value: *value, mask: *mask },
        _ => Look::Any(cube.clone()),
    }
}

fn wants_u32_mark(look: &Look) -> bool {
    match look {
        Look::Header { cube, .. } | Look::Any(cube) => cube.0.iter().any(|k| k.at == At::Mark),
        Look::Mark { .. } => false,
    }
}

impl Look {
    /// What it matches as a number that stays the same.
    fn fingerprint(&self) -> u64 {
        let cube = |f: Fingerprint, cube: &Cube| {
            cube.0.iter().fold(f, |f, k| {
                let at = match k.at {
                    At::Mark => f.word(0).word(0),
                    At::Offset(o) => f.word(1).word(o as u32),
                };
                at.word(k.mask).word(k.value)
            })
        };
        match self {
            Look::Header { protocol, cube: c } => cube(Fingerprint::new().word(u32::from(*protocol)), c).0,
            Look::Any(c) => cube(Fingerprint::new().word(u32::from(ALL)), c).0,
            Look::Mark { value, mask } => Fingerprint::new().word(0).word(*mask).word(*value).0,
        }
    }

    /// Where it may stand; `nth` tells apart filters that look at the same, `serial` all.
    fn sort(&self, nth: u32, serial: u32) -> Sort {
        match self {
            // beyond the header a packet may end, and then u32 gives up the whole priority
            Look::Header { protocol, cube } if reads_unsure(*protocol, cube) => Sort::Alone(serial),
            Look::Header { .. } => Sort::Ip,
            Look::Any(_) => Sort::All,
            Look::Mark { mask, .. } => Sort::Mark(*mask, nth),
        }
    }
}

/// Whether a cube reads a word that is not sure to be there: only a raw `u32` match does. Headers of the family are there,
/// and where its protocol and all that parts it from a fragment is tested before, the first words of the next.
fn reads_unsure(protocol: u16, cube: &Cube) -> bool {
    let tested = |at: i32, mask: u32| cube.0.iter().any(|k| k.at == At::Offset(at) && k.mask & mask == mask);
    let (header, next) = match protocol {
        IPV4 => (20, tested(0, 0x0f00_0000) && tested(4, 0x1fff) && tested(8, 0x00ff_0000)),
        IPV6 => (40, tested(4, 0xff00)),
        _ => (0, false),
    };
    let sure = |o: i32| (0..header).contains(&o) || (next && (o == header || o == header + 12));
    cube.0.iter().any(|k| matches!(k.at, At::Offset(o) if !sure(o)))
}

/// A cube as keys of u32, and the mark, which is a test of its own there.
fn u32_options(cube: &Cube) -> Box<dyn Options> {
    let mut options = U32::default();
    let mut keys = Keys::default();
    for key in &cube.0 {
        match key.at {
            At::Mark => options.mark = Some(Mark { value: key.value, mask: key.mask }),
            At::Offset(offset) => keys.0.push(cls_u32::Key { value: key.value, mask: key.mask, offset, next: false }),
        }
    }
    options.keys = Some(if keys.0.is_empty() { Keys::any() } else { keys });
    Box::new(options)
}

/// Gives filters below one parent their places and makes them objects, in the order in which they are asked.
pub fn place(
    parent: Handle,
    wanted: Vec<Wanted>,
    held: Option<&Filters>,
    foreign: &BTreeSet<u16>,
    facts: &Facts,
    sink: &mut Sink,
) -> (Vec<Object>, Filters) {
    let mut seen: HashMap<u64, u32> = HashMap::new();
    let mut entries = Vec::with_capacity(wanted.len());
    for (serial, w) in wanted.iter().enumerate() {
        let print = w.look.fingerprint();
        let nth = seen.entry(print).and_modify(|n| *n += 1).or_insert(0);
        let key = if *nth == 0 { format_compact!("{print:016x}") } else { format_compact!("{print:016x}.{nth}") };
        entries.push(Entry { key, sort: w.look.sort(*nth, serial as u32) });
    }
    let Some((places, renumbered)) = order::places(&entries, held, foreign) else {
        let first = wanted.first().and_then(|w| w.origin.span).unwrap_or(Span::NONE);
        let message = format!("{} filters do not fit into the priorities of one discipline", wanted.len());
        let d = Diagnostic::new(&codes::HANDLE_BUDGET, message);
        sink.push(
            d.at(first, "the first of them").help("write rules of one kind beside each other: by header, by mark"),
        );
        return (Vec::new(), Filters::default());
    };
    let mut objects = Vec::with_capacity(wanted.len());
    for (mut w, place) in wanted.into_iter().zip(&places) {
        if renumbered {
            let remark = w.origin.remark.get_or_insert_default();
            remark.push_str(if remark.is_empty() { "" } else { "; " });
            remark.push_str("numbered anew: no number was free between its neighbours'");
        }
        objects.push(object(parent, w, *place, facts));
    }
    let table = entries.into_iter().map(|e| e.key).zip(places).collect();
    (objects, table)
}

fn object(parent: Handle, wanted: Wanted, place: Place, facts: &Facts) -> Object {
    let Wanted { look, target, actions, origin } = wanted;
    let (kind, protocol, handle) = match &look {
        Look::Header { protocol, .. } => (&cls_u32::KIND, *protocol, place.node.into()),
        Look::Any(_) => (&cls_u32::KIND, ALL, place.node.into()),
        Look::Mark { value, .. } => (&fw::KIND, ALL, *value),
    };
    let mut options: Box<dyn Options> = match &look {
        Look::Header { cube, .. } | Look::Any(cube) => u32_options(cube),
        Look::Mark { mask, .. } => Box::new(Fw { mask: Some(Hex(*mask)), ..Fw::default() }),
    };
    if let Some(target) = target {
        super::set_if_unset(options.as_mut(), "flowid", target);
    }
    if let Some(actions) = actions {
        super::set_if_unset(options.as_mut(), "action", actions.for_family(protocol == IPV6));
    }
    options.complete(facts);
    let prio = place.group * 2 + u16::from(protocol == IPV6);
    let mut object = Object::new(Id::Filter { parent, chain: 0, prio, protocol, handle }, kind, options);
    object.origin = origin;
    object
}
