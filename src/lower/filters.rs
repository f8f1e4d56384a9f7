//! Which classifier takes what a rule matches, and the filter as an object.
//!
//! | the match looks at | filter |
//! |---|---|
//! | the mark alone | `fw`; not for mark 0, which `fw` cannot say |
//! | nothing | `u32 match u32 0 0` of all protocols: every kernel with tc has it, `matchall` is missing from some |
//! | bits of headers of IP, hardware addresses, one ethertype, the link it came in by, the mark | `u32` of that protocol |
//!
//! Long lists of u32 filters of one protocol become hash tables ([`tables`]); fw is one by itself.

use super::cube::{At, Cube, Key, Known, MOST, TooMany};
use super::ids::{Filters, Tables};
use super::matching::{self, IPV4, IPV6, Matched, Sight, visit};
use super::order::{self, Entry, Place, Sort};
use super::origin;
use super::tables::{self, Above, Item, Numbering, Placed, Row, Table};
use crate::codes;
use crate::diagnostic::{Diagnostic, Sink};
use crate::facts::Facts;
use crate::fingerprint::Fingerprint;
use crate::kind::action::Actions;
use crate::kind::filter::fw::{self, Fw};
use crate::kind::filter::u32::{self as cls_u32, HashKey, Keys, Node, U32};
use crate::kind::wire::Attributes;
use crate::kind::{Kind, Options};
use crate::policy::model::Rule;
use crate::source::Span;
use crate::syntax::expression::{Expression, Field};
use crate::tree::{Id, Object, Origin};
use crate::unit::{Handle, Hex, Mark, Name, Number};
use compact_str::{CompactString, format_compact};
use std::collections::{BTreeSet, HashMap};

const ALL: u16 = 0x0003;
/// Bytes of Ethernet's header.
const ETHERNET: u32 = 14;

/// What a filter looks at.
#[derive(Clone, Debug)]
pub(super) enum Look {
    /// Words of packets of one protocol, by u32: at fixed offsets and the mark.
    Header {
        /// The ethertype.
        protocol: u16,
        /// The words.
        cube: Cube,
    },
    /// Words whatever the protocol, by u32; none at all, or the mark, or the link's header.
    Any(Cube),
    /// The mark, by fw.
    Mark {
        /// Its value, not zero.
        value: u32,
        /// The bits that count.
        mask: u32,
    },
    /// A filter whose options are written already, but for class and actions.
    Made(Box<Made>),
}

/// A filter of any kind, as far as it does not depend on its place.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// Its kind.
    pub kind: &'static Kind,
    /// The ethertype, or all.
    pub protocol: u16,
    /// What it looks at.
    pub options: Box<dyn Options>,
    /// Beside which others it may stand.
    pub beside: Beside,
}

/// Beside which others a filter may stand in one priority, so that the kernel asks them in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// u32's, which are asked by their numbers.
    U32,
}

/// A filter that has no place yet.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub(super) look: Look,
    pub(super) target: Option<Handle>,
    pub(super) actions: Option<Actions>,
    /// Its rule.
    pub origin: Origin,
}

/// Why a classifier cannot say a match.
struct Unsaid {
    /// The terms of which fields it is about; of none of them: all.
    fields: &'static [Field],
    /// Why.
    why: String,
    /// What can be done.
    help: &'static str,
    code: &'static codes::Code,
}

impl Unsaid {
    fn new(fields: &'static [Field], why: impl Into<String>, help: &'static str) -> Unsaid {
        Unsaid { fields, why: why.into(), help, code: &codes::NOT_YET }
    }

    /// The finding, at the first term that it is about.
    fn report(self, rule: &Rule, sink: &mut Sink) {
        let whole = rule.matches.as_ref().map_or(rule.span, |m| m.span);
        let mut place = Span::NONE;
        let mut find = |e: &Expression| {
            visit(e, &mut |t| {
                if place.is_none() && self.fields.contains(&t.field) {
                    place = t.span;
                }
            });
        };
        rule.matches.iter().for_each(|m| find(&m.value));
        let place = if place.is_none() { whole } else { place };
        sink.push(Diagnostic::new(self.code, self.why).at(place, "").help(self.help));
    }
}

impl From<TooMany> for Unsaid {
    fn from(_: TooMany) -> Unsaid {
        let why = format!("this match comes to more than {MOST} filters, one for each of its alternatives");
        let help = "part it into several rules, or write wider ranges and prefixes";
        Unsaid { code: &codes::TOO_MANY_FILTERS, ..Unsaid::new(&[], why, help) }
    }
}

/// The filters of one rule.
pub fn wanted(
    rule: &Rule,
    target: Option<Handle>,
    actions: Option<Actions>,
    path: CompactString,
    facts: &Facts,
    sink: &mut Sink,
) -> Vec<Wanted> {
    if target.is_none() && actions.is_none() {
        return Vec::new();
    }
    let expression = rule.matches.as_ref().map(|m| &m.value);
    if let Some(unsaid) = expression.and_then(|e| without_link_header(e, facts)) {
        unsaid.report(rule, sink);
        return Vec::new();
    }
    let apart = actions.as_ref().is_some_and(Actions::differ_by_family);
    let looks = match by_u32(&matching::compile(expression, Sight::Fixed), apart, facts) {
        Ok(looks) => looks,
        Err(unsaid) => {
            unsaid.report(rule, sink);
            return Vec::new();
        }
    };
    if looks.is_empty() {
        let d = Diagnostic::new(&codes::MATCHES_NOTHING, "no packet can match this");
        sink.push(d.at(rule.matches.as_ref().map_or(rule.span, |m| m.span), ""));
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

/// Hardware addresses are looked for where a header of Ethernet has them.
fn without_link_header(expression: &Expression, facts: &Facts) -> Option<Unsaid> {
    const MACS: &[Field] = &[Field::MacSrc, Field::MacDst];
    let mut asked = false;
    visit(expression, &mut |t| asked |= MACS.contains(&t.field));
    (asked && facts.header != ETHERNET).then(|| {
        let why = format!("the link's header has {} bytes: there are no hardware addresses in it", facts.header);
        Unsaid::new(MACS, why, "match addresses of IP, or match on the interface that has hardware addresses")
    })
}

/// The filters of u32 and fw that take what a rule matches. `apart`: one for each family, because what is written into a
/// header is not the same for both.
fn by_u32(matched: &Matched, apart: bool, facts: &Facts) -> Result<Vec<Look>, Unsaid> {
    let mut looks = Vec::new();
    match matched.same() {
        Some(formula) if apart => {
            let cubes = formula.cubes()?;
            for protocol in [IPV4, IPV6] {
                for cube in &cubes {
                    looks.push(look(Some(protocol), cube.clone(), matched, facts)?);
                }
            }
        }
        Some(formula) => {
            for cube in formula.cubes()? {
                looks.push(look(None, cube, matched, facts)?);
            }
        }
        None if !matched.others.is_no() => {
            return Err(Unsaid::new(
                &[Field::Ethertype],
                "u32 cannot say that a protocol is another one",
                "match what is wanted: `ip`, `ip6`, `arp`",
            ));
        }
        None => {
            for (protocol, formula) in &matched.worlds {
                for cube in formula.cubes()? {
                    looks.push(look(Some(*protocol), cube, matched, facts)?);
                }
            }
        }
    }
    Ok(looks)
}

/// One alternative, for packets of one protocol or of all.
fn look(protocol: Option<u16>, mut cube: Cube, matched: &Matched, facts: &Facts) -> Result<Look, Unsaid> {
    if let (None, [Key { at: At::Known(Known::Mark), mask, value: value @ 1.. }]) = (protocol, cube.0.as_slice()) {
        return Ok(Look::Mark { value: *value, mask: *mask });
    }
    let mut indev = None;
    for key in &cube.0 {
        match key.at {
            At::Known(Known::Mark) if !facts.u32_mark => {
                let why = "this kernel's u32 cannot match marks, and would take every packet for marked";
                let help = "match the mark alone in a rule, or use a kernel with CONFIG_CLS_U32_MARK";
                return Err(Unsaid { code: &codes::MARK_UNSUPPORTED, ..Unsaid::new(&[Field::Mark], why, help) });
            }
            At::Known(Known::Mark) | At::Offset(_) => {}
            At::Known(Known::Iif) if key.mask == u32::MAX => indev = matched.links.get(key.value as usize).cloned(),
            At::Known(Known::Iif) => return Err(not_from()),
            At::Known(known) => return Err(unknown(known)),
            At::Beyond(_) => return Err(unknown(Known::Proto)),
        }
    }
    let Some(indev) = indev else {
        return Ok(match protocol {
            Some(protocol) => Look::Header { protocol, cube },
            None => Look::Any(cube),
        });
    };
    cube.0.retain(|k| k.at != At::Known(Known::Iif));
    let options = Box::new(U32 { indev: Some(Name(indev)), ..u32_options(&cube) });
    let protocol = protocol.unwrap_or(ALL);
    Ok(Look::Made(Box::new(Made { kind: &cls_u32::KIND, protocol, options, beside: Beside::U32 })))
}

/// That a packet came in by another link than one.
fn not_from() -> Unsaid {
    Unsaid::new(
        &[Field::Iif],
        "no classifier can say that a packet came in by another link than this one",
        "write a rule for `iif` of this link before, or set a `mark` with nftables (`iifname`) and match that",
    )
}

/// What u32 does not know of a packet.
fn unknown(known: Known) -> Unsaid {
    let (fields, help): (&[Field], _) = match known {
        Known::Vlan | Known::Ether | Known::Inner => {
            (&[Field::Vlan, Field::Ethertype], "match addresses, or set a `mark` with nftables and match that")
        }
        Known::Priority => (&[Field::Priority], "match what sets the priority, or a `mark`"),
        Known::Cgroup => (&[Field::Cgroup], "set a `mark` with nftables (`socket cgroupv2`) and match that"),
        Known::ConnMark => (&[Field::ConnMark], "set a `mark` with nftables (`meta mark set ct mark`) and match that"),
        _ => (&[], "set a `mark` with nftables and match that"),
    };
    let word = fields.first().map_or("this", |f| f.word());
    Unsaid::new(fields, format!("`{word}` cannot be compiled in a match yet"), help)
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

impl Look {
    /// The Ethernet protocol of the filter.
    fn protocol(&self) -> u16 {
        match self {
            Look::Header { protocol, .. } => *protocol,
            Look::Made(made) => made.protocol,
            Look::Any(_) | Look::Mark { .. } => ALL,
        }
    }

    /// What it matches as a number that stays the same.
    fn fingerprint(&self, facts: &Facts) -> u64 {
        let cube = |f: Fingerprint, cube: &Cube| {
            cube.0.iter().fold(f, |f, k| {
                let at = match k.at {
                    At::Known(Known::Mark) => f.word(0).word(0),
                    At::Known(known) => f.word(3).word(known as u32),
                    At::Offset(o) => f.word(1).word(o as u32),
                    At::Beyond(o) => f.word(2).word(o as u32),
                };
                at.word(k.mask).word(k.value)
            })
        };
        match self {
            Look::Header { protocol, cube: c } => cube(Fingerprint::new().word(u32::from(*protocol)), c).0,
            Look::Any(c) => cube(Fingerprint::new().word(u32::from(ALL)), c).0,
            Look::Mark { value, mask } => Fingerprint::new().word(0).word(*mask).word(*value).0,
            Look::Made(made) => made.fingerprint(facts),
        }
    }

    /// Where it may stand; `nth` tells apart filters that look at the same, `serial` all.
    fn sort(&self, nth: u32, serial: u32) -> Sort {
        match self {
            // beyond the header a packet may end, and then u32 gives up the whole priority
            Look::Header { protocol, cube } if reads_unsure(*protocol, cube) => Sort::Alone(serial),
            Look::Header { protocol, .. } => u32_sort(*protocol),
            Look::Any(_) => Sort::All,
            Look::Mark { mask, .. } => Sort::Mark(*mask, nth),
            Look::Made(made) => match made.beside {
                Beside::U32 => u32_sort(made.protocol),
            },
        }
    }
}

fn u32_sort(protocol: u16) -> Sort {
    match protocol {
        IPV4 | IPV6 => Sort::Ip,
        ALL => Sort::All,
        other => Sort::Of(other),
    }
}

impl Made {
    fn fingerprint(&self, facts: &Facts) -> u64 {
        let mut wire = Attributes::new();
        self.options.encode(&mut wire, facts);
        let print = Fingerprint::new().word(2).word(u32::from(self.protocol)).bytes(self.kind.name.as_bytes());
        print.bytes(&wire.bytes).0
    }
}

/// Whether a cube reads a word that is not sure to be there: only a raw `u32` match does.
fn reads_unsure(protocol: u16, cube: &Cube) -> bool {
    let unsure = |key: &Key| matches!(key.at, At::Offset(at) if tables::guard(protocol, cube, at).is_none());
    cube.0.iter().any(unsure)
}

/// A cube as keys of u32, and the mark, which is a test of its own there.
fn u32_options(cube: &Cube) -> U32 {
    let mut options = U32::default();
    let mut keys = Keys::default();
    for key in &cube.0 {
        match key.at {
            At::Known(Known::Mark) => options.mark = Some(Mark { value: key.value, mask: key.mask }),
            At::Offset(offset) => keys.0.push(cls_u32::Key { value: key.value, mask: key.mask, offset, next: false }),
            At::Known(_) | At::Beyond(_) => {}
        }
    }
    options.keys = Some(if keys.0.is_empty() { Keys::any() } else { keys });
    options
}

/// What is remembered of the filters below one parent, and what others have there.
#[derive(Clone, Copy)]
pub struct Before<'a> {
    /// The places.
    pub filters: Option<&'a Filters>,
    /// The hash tables.
    pub tables: &'a Tables,
    /// Others' pairs of priorities.
    pub foreign: &'a BTreeSet<u16>,
    /// Others' hash tables.
    pub foreign_tables: &'a BTreeSet<u16>,
}

/// Gives filters below one parent their places and makes them objects, in the order in which they are asked.
pub fn place(
    parent: Handle,
    wanted: Vec<Wanted>,
    before: Before,
    facts: &Facts,
    sink: &mut Sink,
) -> (Vec<Object>, Filters, Tables) {
    let mut seen: HashMap<u64, u32> = HashMap::new();
    let mut singles = Vec::with_capacity(wanted.len());
    for (serial, w) in wanted.iter().enumerate() {
        let print = w.look.fingerprint(facts);
        let nth = seen.entry(print).and_modify(|n| *n += 1).or_insert(0);
        let key = if *nth == 0 { format_compact!("{print:016x}") } else { format_compact!("{print:016x}.{nth}") };
        singles.push(Entry { key, sort: w.look.sort(*nth, serial as u32) });
    }
    let any = Cube::default();
    let rows: Vec<Row> = wanted.iter().zip(&singles).map(|(w, single)| w.row(&single.key, &any)).collect();
    let mut numbering = Numbering::new(before.tables, before.foreign_tables);
    let mut items = items(&wanted, &rows, &singles, &mut numbering);
    let entry = |item: &Item| match item {
        Item::Row(i) => singles.get(*i).cloned(),
        Item::Table(_) => Some(Entry { key: item.key(&rows), sort: Sort::Ip }),
    };
    let entries: Vec<Entry> = items.iter().filter_map(entry).collect();
    let placed = order::places(&entries, before.filters, before.foreign).filter(|(places, _)| {
        let mut tables = items.iter_mut().zip(places);
        tables.all(|(item, place)| match item {
            Item::Table(table) => numbering.settle(table, place.group),
            Item::Row(_) => true,
        })
    });
    let Some((places, renumbered)) = placed else {
        let first = wanted.first().and_then(|w| w.origin.span).unwrap_or(Span::NONE);
        let message = format!("{} filters do not fit into the priorities of one discipline", wanted.len());
        let d = Diagnostic::new(&codes::HANDLE_BUDGET, message);
        sink.push(
            d.at(first, "the first of them").help("write rules of one kind beside each other: by header, by mark"),
        );
        return (Vec::new(), Filters::default(), Tables::default());
    };
    let mut maker = Maker { parent, wanted: &wanted, facts, renumbered, objects: Vec::with_capacity(wanted.len()) };
    let mut memory = Tables::new();
    for (item, place) in items.iter().zip(&places) {
        match item {
            Item::Row(i) => maker.row(*i, *place, None),
            Item::Table(table) => {
                let protocol = wanted.get(item.first()).map_or(ALL, |w| w.look.protocol());
                let above = Above { six: protocol == IPV6, place: None };
                let mut inside = Vec::new();
                numbering.place(table, above, place.group, &rows, &mut inside, &mut memory);
                for (n, placed) in inside.into_iter().enumerate() {
                    match placed {
                        Placed::Table(table) => maker.table(table, place.group, protocol, n == 0),
                        Placed::Row(i, node) => maker.row(i, *place, Some(node)),
                        Placed::Link(table, node) => maker.link(table, place.group, protocol, node),
                    }
                }
                maker.link(table, place.group, protocol, Node::new(0, 0, place.node.into()));
            }
        }
    }
    let keys = items.iter().map(|item| item.key(&rows));
    let filters = keys.zip(places).collect();
    (maker.objects, filters, memory)
}

/// The list with its tables. Filters of IPv4 and of IPv6 do not see the same packets, so each have their own.
fn items<'a>(wanted: &[Wanted], rows: &[Row<'a>], singles: &[Entry], numbering: &mut Numbering<'a>) -> Vec<Item> {
    let mut out = Vec::with_capacity(rows.len());
    let mut begin = 0;
    for run in singles.chunk_by(|a, b| a.sort == b.sort) {
        let end = begin + run.len();
        if run.first().is_none_or(|entry| entry.sort != Sort::Ip) {
            out.extend((begin..end).map(Item::Row));
            begin = end;
            continue;
        }
        let of = |protocol: u16| -> Vec<usize> {
            let own = |i: &usize| wanted.get(*i).is_some_and(|w| w.look.protocol() == protocol);
            (begin..end).filter(own).collect()
        };
        let mut four = tables::arrange(IPV4, rows, &of(IPV4), numbering).into_iter().peekable();
        let mut six = tables::arrange(IPV6, rows, &of(IPV6), numbering).into_iter().peekable();
        loop {
            let from_six = match (four.peek(), six.peek()) {
                (Some(a), Some(b)) => b.first() < a.first(),
                (None, Some(_)) => true,
                (Some(_), None) => false,
                (None, None) => break,
            };
            out.extend(if from_six { six.next() } else { four.next() });
        }
        begin = end;
    }
    out
}

impl Wanted {
    /// As a row of a list. What looks at no header is in no table, whatever its cube.
    fn row<'a>(&'a self, key: &'a CompactString, any: &'a Cube) -> Row<'a> {
        let cube = match &self.look {
            Look::Header { cube, .. } | Look::Any(cube) => cube,
            Look::Mark { .. } | Look::Made(_) => any,
        };
        Row { cube, key, verdict: self.target.filter(|_| self.actions.is_none()) }
    }
}

/// Makes objects of filters that have their places.
struct Maker<'a> {
    parent: Handle,
    wanted: &'a [Wanted],
    facts: &'a Facts,
    renumbered: bool,
    objects: Vec<Object>,
}

impl Maker<'_> {
    fn push(
        &mut self,
        group: u16,
        protocol: u16,
        handle: u32,
        kind: &'static Kind,
        mut options: Box<dyn Options>,
        origin: Origin,
    ) {
        options.complete(self.facts);
        let prio = group * 2 + u16::from(protocol == IPV6);
        let id = Id::Filter { parent: self.parent, chain: 0, prio, protocol, handle };
        self.objects.push(Object { origin, ..Object::new(id, kind, options) });
    }

    /// A filter of a rule, in the list of its priority or in a bucket.
    fn row(&mut self, i: usize, place: Place, bucket: Option<Node>) {
        let Some(wanted) = self.wanted.get(i) else { return };
        let protocol = wanted.look.protocol();
        let ht = bucket.map(|node| Node(node.0 & 0xffff_f000));
        let own = bucket.map_or(place.node.into(), |node| node.0);
        let (kind, handle, mut options): (_, u32, Box<dyn Options>) = match &wanted.look {
            Look::Header { cube, .. } | Look::Any(cube) => {
                (&cls_u32::KIND, own, Box::new(U32 { ht, ..u32_options(cube) }))
            }
            Look::Mark { value, mask } => (&fw::KIND, *value, Box::new(Fw { mask: Some(Hex(*mask)), ..Fw::default() })),
            Look::Made(made) => (made.kind, own, made.options.clone()),
        };
        if let Some(target) = wanted.target {
            super::set_if_unset(options.as_mut(), "flowid", target);
        }
        if let Some(actions) = &wanted.actions {
            super::set_if_unset(options.as_mut(), "action", actions.clone().for_family(protocol == IPV6));
        }
        let mut origin = wanted.origin.clone();
        if self.renumbered && bucket.is_none() {
            let remark = origin.remark.get_or_insert_default();
            remark.push_str(if remark.is_empty() { "" } else { "; " });
            remark.push_str("numbered anew: no number was free between its neighbours'");
        }
        self.push(place.group, protocol, handle, kind, options, origin);
    }

    /// A table; the outermost says what it is for.
    fn table(&mut self, table: &Table, group: u16, protocol: u16, outermost: bool) {
        let options = U32 { divisor: Some(Number(table.window.divisor())), ..U32::default() };
        let said = || {
            let (rows, longest) = (table.rows, 1 + table.longest());
            let count = match table.count() {
                1 => "a hash table".to_owned(),
                n => format!("{n} hash tables"),
            };
            format!("{count} for {rows} filters: a packet is held against {longest} of them at most")
        };
        let origin = Origin { remark: outermost.then(said), ..Origin::default() };
        self.push(group, protocol, Node::new(table.id.into(), 0, 0).0, &cls_u32::KIND, Box::new(options), origin);
    }

    /// A filter that leads to a table; in the list of the priority if `place` names no other.
    fn link(&mut self, table: &Table, group: u16, protocol: u16, place: Node) {
        let ht = Some(Node(place.0 & 0xffff_f000)).filter(|ht| ht.table() != 0);
        let hashkey = HashKey { mask: table.window.mask, at: table.window.at as i16 };
        let link = Node::new(table.id.into(), 0, 0);
        let options = U32 { ht, hashkey: Some(hashkey), link: Some(link), ..u32_options(&table.guard) };
        self.push(group, protocol, place.0, &cls_u32::KIND, Box::new(options), Origin::default());
    }
}
