//! Long lists of u32 filters as hash tables, so that a packet is held against a few filters instead of all.
//!
//! A *row* is a filter before it has a place. A list of rows becomes a list of [`Item`]s: rows asked one after another as
//! before, and tables. A table parts its rows by a *window*, some bits of one word of the packet: the kernel reads them,
//! goes on in that bucket, and comes back if nothing there matches (net/sched/cls_u32.c, `u32_classify`). So a table
//! stands in a list like a row, and the first match wins as it is written. A row that leaves bits of the window open
//! stands in each bucket that it covers. The list of a bucket is a list again, and may have tables.
//!
//! Which window is best is measured: the one after which a packet of the list meets the fewest rows, with the best window
//! for the tables below looked at as well. Of two that part a list together the one that makes fewer tables comes first:
//! a packet that finds its way in the processor's cache is through in a tenth of the time, and few full tables are small
//! where many sparse ones are large. Rows that a window does not part go before or behind the table. A row may pass others
//! where the order between them means nothing: no packet matches both, or both send to the same class.
//!
//! Tables and numbers in buckets are remembered, and a list keeps its windows while they are not much worse than the best:
//! a rule that comes or goes touches its own filters only.

use super::cube::{At, Cube, Key};
use super::ids::{Hashed, Tables};
use super::matching::{IPV4, IPV6};
use super::order;
use crate::fingerprint::Fingerprint;
use crate::kind::filter::u32::{Node, ROOTS, U32};
use crate::tree::{Id, Object};
use crate::unit::Handle;
use compact_str::{CompactString, format_compact};
use foldhash::{HashMap, HashMapExt};
use std::collections::{BTreeMap, BTreeSet};

/// So many rows of a priority make a table worth while; below, one after another is as fast (`cargo bench`).
const FEWEST: usize = 32;
/// So many rows of a bucket do.
const FEWEST_IN_BUCKET: usize = 12;
/// The kernel goes so many tables deep at most (`TC_U32_MAXDEPTH`), less one.
const DEPTH: usize = 7;
/// The most tables below one discipline: half the numbers that there are, so that others can be made beside them.
const MOST: usize = 1000;
/// The most buckets that one row may stand in.
const COPIES: u32 = 16;
/// The most rows of a bucket, which have 4095 numbers.
const FULL: usize = 1000;
/// What other windows must be better by than a byte, which people know their networks by.
const ODD: f64 = 1.25;
/// What a table costs beside the rows that are met, as rows that one packet meets: its buckets and what leads to it take
/// as much of the cache as so many filters, of which each of its rows bears a share.
const SPARSE: f64 = 8.0;
/// So many rows that are passed are looked at one by one.
const PASSED: usize = 32;

#[cfg(test)]
thread_local! {
    static LOOKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How often rows have been looked at by this thread.
#[cfg(test)]
pub(super) fn looked() -> usize {
    LOOKED.get()
}

/// A filter before it has a place.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// What it matches.
    pub cube: &'a Cube,
    /// What tells it from all others, in this run and in the next.
    pub key: &'a CompactString,
    /// The class that it sends to if that is all it does.
    pub verdict: Option<Handle>,
}

impl Row<'_> {
    /// Whether it means nothing which of the two is asked first.
    fn passes(&self, other: &Row) -> bool {
        #[cfg(test)]
        LOOKED.with(|n| n.set(n.get() + 1));
        (self.verdict.is_some() && self.verdict == other.verdict) || self.cube.misses(other.cube)
    }
}

/// Bits of a word that choose a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// Bytes from the start of the network header.
    pub at: i32,
    /// The bits, beside each other, at most eight.
    pub mask: u32,
}

impl Window {
    fn shift(self) -> u32 {
        self.mask.trailing_zeros()
    }

    /// The buckets of a value under a mask: the first, and the bits that are open.
    fn buckets(self, (mask, value): (u32, u32)) -> (u32, u32) {
        ((value & mask & self.mask) >> self.shift(), (self.mask & !mask) >> self.shift())
    }

    /// Whether it is a byte of the packet.
    fn is_byte(self) -> bool {
        self.mask.count_ones() == 8 && self.shift().is_multiple_of(8)
    }

    /// How many there are.
    pub fn divisor(self) -> u32 {
        1 << self.mask.count_ones()
    }
}

/// One thing in a list.
#[derive(Debug)]
pub enum Item {
    /// A row, by its number.
    Row(usize),
    /// A table.
    Table(Table),
}

impl Item {
    /// The first row of it.
    pub fn first(&self) -> usize {
        match self {
            Item::Row(i) => *i,
            Item::Table(table) => table.first,
        }
    }

    /// The rows of it, in order.
    pub fn rows(&self) -> BTreeSet<usize> {
        match self {
            Item::Row(i) => BTreeSet::from([*i]),
            Item::Table(table) => table.buckets.values().flatten().flat_map(Item::rows).collect(),
        }
    }

    /// What tells it from the others of its list, in this run and in the next.
    pub fn key(&self, rows: &[Row]) -> CompactString {
        match self {
            Item::Row(i) => rows.get(*i).map(|row| row.key.clone()).unwrap_or_default(),
            Item::Table(table) => table.key(),
        }
    }
}

/// A hash table of u32 and the filter that leads to it.
#[derive(Debug)]
pub struct Table {
    /// Its number.
    pub id: u16,
    /// Whether that is the number of one that is held.
    held: bool,
    /// See [`Above`].
    rank: u8,
    /// The bits that choose the bucket.
    pub window: Window,
    /// What the filter that leads here must test, so that the word of the window is sure to be there.
    pub guard: Cube,
    /// The lists.
    buckets: BTreeMap<u8, Vec<Item>>,
    /// The first of its rows, and how many it was made of.
    first: usize,
    /// Rows that it was made of.
    pub rows: usize,
}

impl Table {
    fn key(&self) -> CompactString {
        let guard = self.guard.0.iter().fold(Fingerprint::new(), |f, key| f.word(key.mask).word(key.value));
        format_compact!("t{:x}.{:08x}", self.id, guard.0 as u32)
    }

    /// The tables in it, itself among them.
    pub fn count(&self) -> usize {
        let below = |item: &Item| if let Item::Table(table) = item { table.count() } else { 0 };
        1 + self.buckets.values().flatten().map(below).sum::<usize>()
    }

    /// The most filters that one packet meets in it, those that lead to tables among them.
    pub fn longest(&self) -> usize {
        let met = |item: &Item| if let Item::Table(table) = item { 1 + table.longest() } else { 1 };
        self.buckets.values().map(|list| list.iter().map(met).sum::<usize>()).max().unwrap_or(0)
    }
}

/// A thing with its place, in an order in which the kernel can take them: a table, what is in it, what leads to it.
#[derive(Debug)]
pub enum Placed<'t> {
    /// A table is made.
    Table(&'t Table),
    /// A row, in a bucket.
    Row(usize, Node),
    /// A filter in a bucket that leads to a table.
    Link(&'t Table, Node),
}

/// What a filter must test before it reads a word, so that the word is sure to be there; `None` if no test of `cube` does.
/// Headers of the family are there, and where its protocol and all that parts it from a fragment is tested, the first
/// words of the next.
pub fn guard(protocol: u16, cube: &Cube, offset: i32) -> Option<Cube> {
    let (header, tests): (i32, &[(i32, u32)]) = match protocol {
        IPV4 => (20, &[(0, 0x0f00_0000), (4, 0x1fff), (8, 0x00ff_0000)]),
        IPV6 => (40, &[(4, 0xff00)]),
        _ => return None,
    };
    // before it stands the link's header
    if (-16..header).contains(&offset) {
        return Some(Cube::default());
    }
    if offset != header && offset != header + 12 {
        return None;
    }
    let test = |(at, mask): &(i32, u32)| {
        let key = cube.key(At::Offset(*at)).filter(|key| key.mask & mask == *mask)?;
        Some(Key { mask: *mask, value: key.value & mask, ..*key })
    };
    tests.iter().map(test).collect::<Option<_>>().map(Cube)
}

/// The number of a table of u32 that is somebody's, and what it hangs on.
pub fn number(object: &Object) -> Option<(Handle, u16)> {
    let Id::Filter { parent, handle, .. } = object.id else { return None };
    let is_table = object.options.as_kind::<U32>().is_some_and(U32::is_table);
    is_table.then(|| (parent, Node(handle).table() as u16))
}

/// The numbers of tables below one discipline: those that are held, and those that are given out.
#[derive(Debug)]
pub struct Numbering<'a> {
    held: &'a Tables,
    taken: BTreeSet<u16>,
    given: usize,
    /// In which tables each row was, at the bottom.
    was: HashMap<&'a str, Vec<u16>>,
}

impl<'a> Numbering<'a> {
    /// From what is remembered, beside the tables of others.
    pub fn new(held: &'a Tables, foreign: &BTreeSet<u16>) -> Numbering<'a> {
        let mut was: HashMap<&str, Vec<u16>> = HashMap::new();
        for (id, table) in held.iter().filter(|(id, _)| !foreign.contains(id)) {
            for key in table.rows.values().flat_map(|rows| rows.keys()) {
                was.entry(key.as_str()).or_default().push(*id);
            }
        }
        Numbering { held, taken: foreign.clone(), given: 0, was }
    }

    /// A number that nothing has; `None` if there are tables enough.
    fn fresh(&mut self) -> Option<u16> {
        if self.given >= MOST {
            return None;
        }
        let free = |id: &u16| !self.held.contains_key(id) && !self.taken.contains(id);
        let id = (1..ROOTS as u16).find(free)?;
        self.taken.insert(id);
        self.given += 1;
        Some(id)
    }

    /// The tables at a place that rows were in, each with how many of them.
    fn votes(&self, above: Above, keys: impl Iterator<Item = &'a str>) -> BTreeMap<u16, usize> {
        let mut votes = BTreeMap::new();
        for id in keys.filter_map(|key| self.was.get(key)).flatten() {
            let mut at = Some(*id);
            while let Some((id, table)) = at.and_then(|id| Some((id, self.held.get(&id)?))) {
                if above.has(table) && !self.taken.contains(&id) {
                    *votes.entry(id).or_default() += 1;
                    break;
                }
                at = table.above.map(|(id, _)| id);
            }
        }
        votes
    }

    /// The window that most of the rows were parted by at a place.
    fn window(&self, above: Above, keys: impl Iterator<Item = &'a str>) -> Option<Window> {
        let mut windows: BTreeMap<Window, usize> = BTreeMap::new();
        for (id, votes) in self.votes(above, keys) {
            if let Some(table) = self.held.get(&id) {
                *windows.entry(table.window()).or_default() += votes;
            }
        }
        windows.into_iter().max_by_key(|(_, votes)| *votes).map(|(window, _)| window)
    }

    /// The table at a place with a window that most of the rows were in.
    fn claim(&mut self, above: Above, window: Window, keys: impl Iterator<Item = &'a str>) -> Option<u16> {
        let votes = self.votes(above, keys).into_iter();
        let same = votes.filter(|(id, _)| self.held.get(id).is_some_and(|table| table.window() == window));
        let (id, _) = same.max_by_key(|(_, votes)| *votes)?;
        self.taken.insert(id);
        self.given += 1;
        Some(id)
    }

    /// Gives a table and those in it other numbers; false if there are none left.
    fn renumber(&mut self, table: &mut Table) -> bool {
        let Some(id) = self.fresh() else { return false };
        (table.id, table.held) = (id, false);
        let mut below = table.buckets.values_mut().flatten();
        below.all(|item| if let Item::Table(table) = item { self.renumber(table) } else { true })
    }

    /// Sees that a table that leads from a group of priorities has not been made for another: tables go with theirs.
    pub fn settle(&mut self, table: &mut Table, group: u16) -> bool {
        let moves = table.held && self.held.get(&table.id).is_some_and(|held| held.group != group);
        !moves || self.renumber(table)
    }

    /// A table with all that is in it, with numbers in their buckets, and what is to be remembered of it.
    pub fn place<'t>(
        &self,
        table: &'t Table,
        above: Above,
        group: u16,
        rows: &[Row],
        out: &mut Vec<Placed<'t>>,
        memory: &mut Tables,
    ) {
        let held = self.held.get(&table.id).filter(|_| table.held);
        let mut now = Hashed {
            group,
            six: above.six,
            at: table.window.at,
            mask: table.window.mask,
            above: above.place,
            rank: table.rank,
            rows: BTreeMap::new(),
        };
        out.push(Placed::Table(table));
        for (bucket, list) in &table.buckets {
            let keys: Vec<CompactString> = list.iter().map(|item| item.key(rows)).collect();
            let nodes = order::nodes_of_bucket(&keys, held.and_then(|held| held.rows.get(bucket)));
            for (item, node) in list.iter().zip(&nodes) {
                let node = Node::new(table.id.into(), (*bucket).into(), (*node).into());
                match item {
                    Item::Row(i) => out.push(Placed::Row(*i, node)),
                    Item::Table(below) => {
                        let above = Above { place: Some((table.id, *bucket)), rank: 0, ..above };
                        self.place(below, above, group, rows, out, memory);
                        out.push(Placed::Link(below, node));
                    }
                }
            }
            now.rows.insert(*bucket, keys.into_iter().zip(nodes).collect());
        }
        memory.insert(table.id, now);
    }
}

/// Where a list stands.
#[derive(Clone, Copy, Debug)]
pub struct Above {
    /// Whether it is of IPv6.
    pub six: bool,
    /// Table and bucket; `None` in a priority's own list.
    pub place: Option<(u16, u8)>,
    /// How many windows have left it over: a list whose rows no other window has parted has 0.
    pub rank: u8,
}

impl Above {
    /// Whether a table that is held leads from here.
    fn has(self, table: &Hashed) -> bool {
        (table.six, table.above, table.rank) == (self.six, self.place, self.rank)
    }
}

/// Finds the tables in a list of rows of one protocol.
pub fn arrange<'a>(protocol: u16, rows: &[Row<'a>], list: &[usize], numbering: &mut Numbering<'a>) -> Vec<Item> {
    let above = Above { six: protocol == IPV6, place: None, rank: 0 };
    let mut out = Vec::with_capacity(list.len());
    Arranger { protocol, rows, numbering }.arrange(list, &Cube::default(), above, 0, &mut out);
    out
}

struct Arranger<'r, 'a> {
    protocol: u16,
    rows: &'r [Row<'a>],
    numbering: &'r mut Numbering<'a>,
}

/// A way to part a list.
struct Parting {
    window: Window,
    guard: Cube,
    pieces: Vec<Piece>,
    /// Filters that a packet of the list meets, in the middle.
    met: f64,
    /// Which rows of the list the window can part.
    parted: Vec<bool>,
}

impl Parting {
    /// Whether there is a table among the pieces.
    fn is_hashed(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Hashed(_)))
    }
}

/// One word of the packets that a list looks at.
struct Word {
    /// Bytes from the network header.
    at: i32,
    /// What must be tested before it is read.
    guard: Cube,
    /// Mask and value of each row, what the buckets above have tested among it.
    column: Vec<(u32, u32)>,
    /// Which rows test that.
    guarded: Vec<bool>,
}

enum Piece {
    /// Rows for a table.
    Hashed(Vec<usize>),
    /// Rows one after another.
    Plain(Vec<usize>),
}

impl<'a> Arranger<'_, 'a> {
    /// `known` is what the tables above have tested.
    fn arrange(&mut self, list: &[usize], known: &Cube, above: Above, depth: usize, out: &mut Vec<Item>) {
        let fewest = if above.place.is_none() { FEWEST } else { FEWEST_IN_BUCKET };
        let held = self.numbering.window(above, self.keys(list));
        if let Some(parting) = self.best(list, known, fewest, held).filter(|_| depth < DEPTH) {
            let behind = Above { rank: above.rank.saturating_add(1), ..above };
            for piece in &parting.pieces {
                match piece {
                    // what this window does not part, another may
                    Piece::Plain(list) => self.arrange(list, known, behind, depth, out),
                    Piece::Hashed(list) => {
                        let claimed = self.claim(list, parting.window, above);
                        match claimed.or_else(|| self.numbering.fresh().map(|id| (id, false))) {
                            Some(id) => self.table(list, id, &parting, known, above, depth, out),
                            None => out.extend(list.iter().copied().map(Item::Row)),
                        }
                    }
                }
            }
            return;
        }
        // a list that has a table keeps it longer than one that has none gets one
        let kept = held.and_then(|held| self.best_of(list, known, fewest / 2, Some(held)));
        let Some(parting) = kept else { return out.extend(list.iter().copied().map(Item::Row)) };
        let mut rest: Vec<usize> = Vec::new();
        let flush = |rest: &mut Vec<usize>, out: &mut Vec<Item>| {
            rest.sort_unstable();
            out.extend(rest.drain(..).map(Item::Row));
        };
        for piece in &parting.pieces {
            let (Piece::Plain(list) | Piece::Hashed(list)) = piece;
            let hashed = matches!(piece, Piece::Hashed(_));
            match hashed.then(|| self.claim(list, parting.window, above)).flatten() {
                Some(id) => {
                    flush(&mut rest, out);
                    self.table(list, id, &parting, known, above, depth, out);
                }
                None => rest.extend(list),
            }
        }
        flush(&mut rest, out);
    }

    fn keys<'l>(&self, list: &'l [usize]) -> impl Iterator<Item = &'a str> + use<'_, 'l, 'a> {
        list.iter().filter_map(|i| self.rows.get(*i)).map(|row| row.key.as_str())
    }

    /// The held table of most of these rows, if there is one.
    fn claim(&mut self, list: &[usize], window: Window, above: Above) -> Option<(u16, bool)> {
        let rows = self.rows;
        let keys = list.iter().filter_map(|i| rows.get(*i)).map(|row| row.key.as_str());
        self.numbering.claim(above, window, keys).map(|id| (id, true))
    }

    #[expect(clippy::too_many_arguments, reason = "a list, where it stands, and what becomes of it")]
    fn table(
        &mut self,
        list: &[usize],
        (id, held): (u16, bool),
        parting: &Parting,
        known: &Cube,
        above: Above,
        depth: usize,
        out: &mut Vec<Item>,
    ) {
        let window = parting.window;
        let mut lists: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
        for i in list {
            let (first, open) = window.buckets(self.column_of(*i, window.at, known));
            each(first, open, |bucket| lists.entry(bucket as u8).or_default().push(*i));
        }
        let mut buckets = BTreeMap::new();
        for (bucket, list) in lists {
            let value = u32::from(bucket) << window.shift();
            let tested = Cube(vec![Key { at: At::Offset(window.at), mask: window.mask, value }]);
            let mut items = Vec::with_capacity(list.len());
            match known.and(&tested) {
                Some(known) => {
                    let above = Above { place: Some((id, bucket)), rank: 0, ..above };
                    self.arrange(&list, &known, above, depth + 1, &mut items);
                }
                None => items.extend(list.iter().map(|i| Item::Row(*i))),
            }
            buckets.insert(bucket, items);
        }
        if buckets.values().any(|items| items.len() > FULL) {
            return out.extend(list.iter().copied().map(Item::Row));
        }
        let first = list.first().copied().unwrap_or_default();
        let guard = parting.guard.clone();
        out.push(Item::Table(Table { id, held, rank: above.rank, window, guard, buckets, first, rows: list.len() }));
    }

    fn column_of(&self, row: usize, at: i32, known: &Cube) -> (u32, u32) {
        #[cfg(test)]
        LOOKED.with(|n| n.set(n.get() + 1));
        let own = self.rows.get(row).and_then(|row| row.cube.key(At::Offset(at)));
        let tested = known.key(At::Offset(at));
        let (mask, value) = tested.map_or((0, 0), |key| (key.mask, key.value));
        own.map_or((mask, value), |key| (mask | key.mask, value | key.value & !mask))
    }

    /// The parting that leaves the fewest filters to meet, or the one that is held if it is not much worse.
    fn best(&self, list: &[usize], known: &Cube, fewest: usize, held: Option<Window>) -> Option<Parting> {
        let best = self.best_of(list, known, fewest, None)?;
        let kept = held.and_then(|held| self.best_of(list, known, fewest, Some(held)));
        kept.filter(|kept| kept.met <= best.met * 1.5 + 2.0).or(Some(best))
    }

    /// The best of all windows, or with one.
    fn best_of(&self, list: &[usize], known: &Cube, fewest: usize, only: Option<Window>) -> Option<Parting> {
        if list.len() < fewest {
            return None;
        }
        let words: Vec<Word> =
            self.words(list, fewest).into_iter().map(|(at, guard)| self.word(list, known, at, guard)).collect();
        let mut partings: Vec<(&Word, Parting)> = Vec::new();
        for word in &words {
            for window in windows(word.at, &word.column, known) {
                let parting = self.part(list, word, window, fewest);
                if parting.is_hashed() {
                    partings.push((word, parting));
                }
            }
        }
        // the best alone, and what it is together with each other one, whichever comes first
        let alone = (0..partings.len()).min_by(|a, b| f64::total_cmp(&met(&partings, *a), &met(&partings, *b)))?;
        let first = |window: Window| only.is_none_or(|only| only == window);
        let mut best: Option<(usize, f64)> = None;
        let mut offer = |i: usize, met: f64| {
            if partings.get(i).is_some_and(|(_, p)| first(p.window)) && best.is_none_or(|(_, best)| met < best) {
                best = Some((i, met));
            }
        };
        offer(alone, met(&partings, alone));
        // two levels are not better than one that leaves a packet two rows
        let enough = met(&partings, alone) <= 3.0;
        for other in (0..partings.len()).filter(|other| *other != alone) {
            offer(other, met(&partings, other));
            for (a, b) in [(other, alone), (alone, other)].into_iter().filter(|_| !enough) {
                if let (Some(a_), Some(b_)) = (partings.get(a), partings.get(b)) {
                    offer(a, together(a_, b_));
                }
            }
        }
        let (i, met) = best?;
        Some(Parting { met, ..partings.swap_remove(i).1 })
    }

    /// What the rows of a list have in a word.
    fn word(&self, list: &[usize], known: &Cube, at: i32, guard: Cube) -> Word {
        let guarded = |i: &usize| self.rows.get(*i).is_some_and(|row| guard.contains(row.cube));
        let guarded = list.iter().map(guarded).collect();
        Word { at, column: list.iter().map(|i| self.column_of(*i, at, known)).collect(), guarded, guard }
    }

    /// The words that enough rows look at, each with what must be tested before it is read.
    fn words(&self, list: &[usize], fewest: usize) -> Vec<(i32, Cube)> {
        let mut words: BTreeMap<(i32, Cube), usize> = BTreeMap::new();
        for row in list.iter().filter_map(|i| self.rows.get(*i)) {
            for key in &row.cube.0 {
                if let At::Offset(at) = key.at
                    && let Some(guard) = guard(self.protocol, row.cube, at)
                {
                    *words.entry((at, guard)).or_default() += 1;
                }
            }
        }
        words.into_iter().filter(|(_, rows)| *rows >= fewest).map(|(word, _)| word).collect()
    }

    /// Parts a list by a window: runs of rows that it can part, and what stands between.
    fn part(&self, list: &[usize], word: &Word, window: Window, fewest: usize) -> Parting {
        let mut parting = Parting {
            window,
            guard: word.guard.clone(),
            pieces: Vec::new(),
            met: 0.0,
            parted: vec![false; list.len()],
        };
        let (mut run, mut behind) = (Run::new(window), Behind::default());
        for (n, ((i, bits), guarded)) in list.iter().zip(&word.column).zip(&word.guarded).enumerate() {
            let Some(row) = self.rows.get(*i) else { continue };
            let (_, open) = window.buckets(*bits);
            // what does more than to send to a class counts packets or rates, and stands once
            let copies = if row.verdict.is_some() { COPIES.min(window.divisor() / 4) } else { 1 };
            if !guarded || 1_u32.checked_shl(open.count_ones()).is_none_or(|n| n > copies) {
                behind.push(*i, row);
                continue;
            }
            if !behind.lets_pass(row, self.rows) {
                run.end(&mut parting, &mut behind, fewest);
            }
            parting.parted.get_mut(n).into_iter().for_each(|parted| *parted = true);
            run.push(*i, *bits);
        }
        run.end(&mut parting, &mut behind, fewest);
        if !window.is_byte() {
            parting.met *= ODD;
        }
        parting
    }
}

/// Calls with each bucket that a row stands in: all values of the open bits.
fn each(first: u32, open: u32, mut with: impl FnMut(u32)) {
    let mut bits = open;
    loop {
        with(first | bits);
        if bits == 0 {
            return;
        }
        bits = (bits - 1) & open;
    }
}

/// The windows of a word worth a look: those over bits in which the rows differ. Whole bytes come first.
fn windows(at: i32, column: &[(u32, u32)], known: &Cube) -> Vec<Window> {
    let tested = known.key(At::Offset(at)).map_or(0, |key| key.mask);
    let (mut any, mut ones, mut zeros) = (0, 0, 0);
    for (mask, value) in column {
        any |= mask;
        ones |= value & mask;
        zeros |= !value & mask;
    }
    let varies = any & ones & zeros & !tested;
    let bytes = (0..4).map(|n| 0xff << (8 * n));
    let between = (0..3).map(|n| 0xff0 << (8 * n));
    let halves = (0..8).map(|n| 0xf << (4 * n));
    bytes.chain(between).chain(halves).filter(|mask| mask & varies != 0).map(|mask| Window { at, mask }).collect()
}

/// What a parting alone leaves to meet.
fn met(partings: &[(&Word, Parting)], i: usize) -> f64 {
    partings.get(i).map_or(f64::MAX, |(_, parting)| parting.met)
}

/// Filters that a packet of the list meets, in the middle, if the tables of one parting are parted by the window of
/// another. The order of rows that are not parted is not looked at.
fn together((word, first): &(&Word, Parting), (below, second): &(&Word, Parting)) -> f64 {
    let mut plain = 0;
    // bucket and bucket below of each row, and of those that stand in none below a number behind the last
    let mut cells: Vec<(u32, u32)> = Vec::with_capacity(first.parted.len());
    let parted = first.parted.iter().zip(&second.parted);
    for ((bits, lower), (parted, again)) in word.column.iter().zip(&below.column).zip(parted) {
        if !parted {
            plain += 1;
            continue;
        }
        let (bucket, open) = first.window.buckets(*bits);
        let (inner, inner_open) = second.window.buckets(*lower);
        each(bucket, open, |bucket| match again {
            true => each(inner, inner_open, |inner| cells.push((bucket, inner))),
            false => cells.push((bucket, second.window.divisor())),
        });
    }
    cells.sort_unstable();
    let mut all = 0.0;
    for bucket in cells.chunk_by(|a, b| a.0 == b.0) {
        let rows = bucket.len() as f64;
        if bucket.len() < FEWEST_IN_BUCKET {
            all += rows * rows;
            continue;
        }
        let squares = bucket.chunk_by(|a, b| a == b).map(|cell| (cell.len() as f64).powi(2));
        let open = bucket.iter().filter(|cell| cell.1 == second.window.divisor()).count() as f64;
        // what is in no bucket below is met by all
        all += rows * (1.0 + open) + squares.sum::<f64>() - open * open + SPARSE;
    }
    let copies = cells.len().max(1) as f64;
    let odd = [first, second].iter().filter(|parting| !parting.window.is_byte()).count() as i32;
    (1.0 + all / copies + f64::from(plain)) * ODD.powi(odd)
}

/// Rows on their way into a table.
struct Run {
    window: Window,
    rows: Vec<usize>,
    counts: Vec<u32>,
}

impl Run {
    fn new(window: Window) -> Run {
        Run { window, rows: Vec::new(), counts: vec![0; 256] }
    }

    fn push(&mut self, row: usize, bits: (u32, u32)) {
        self.rows.push(row);
        let (first, open) = self.window.buckets(bits);
        each(first, open, |bucket| self.counts.get_mut(bucket as usize).into_iter().for_each(|n| *n += 1));
    }

    /// Ends the run with the rows that were left behind it.
    fn end(&mut self, parting: &mut Parting, behind: &mut Behind, fewest: usize) {
        let rows = std::mem::take(&mut self.rows);
        let counts = self.counts.iter().map(|n| f64::from(*n));
        let (copies, squares) = counts.fold((0.0, 0.0), |(sum, squares), n| (sum + n, squares + n * n));
        let met = 1.0 + squares / f64::max(copies, 1.0);
        let all = rows.len() as f64;
        self.counts.fill(0);
        let mut plain = std::mem::take(&mut behind.rows);
        if rows.len() >= fewest && met < all * 0.6 && copies <= all * 2.0 {
            parting.met += met;
            parting.pieces.push(Piece::Hashed(rows));
        } else {
            plain.extend(rows);
            plain.sort_unstable();
        }
        parting.met += plain.len() as f64;
        match parting.pieces.last_mut() {
            _ if plain.is_empty() => {}
            Some(Piece::Plain(before)) => before.append(&mut plain),
            _ => parting.pieces.push(Piece::Plain(plain)),
        }
        *behind = Behind::default();
    }
}

/// Rows that stand behind a run, because its window does not part them.
#[derive(Default)]
struct Behind {
    rows: Vec<usize>,
    /// What all of them match alike.
    common: Cube,
    /// The class that all of them send to.
    verdict: Option<Handle>,
}

impl Behind {
    fn push(&mut self, i: usize, row: &Row) {
        if self.rows.is_empty() {
            (self.common, self.verdict) = (row.cube.clone(), row.verdict);
        } else {
            self.common = self.common.common(row.cube);
            self.verdict = self.verdict.filter(|v| row.verdict == Some(*v));
        }
        self.rows.push(i);
    }

    /// Whether a later row may be asked before all of these.
    fn lets_pass(&self, row: &Row, rows: &[Row]) -> bool {
        let same = self.verdict.is_some() && self.verdict == row.verdict;
        let one_by_one = || self.rows.iter().filter_map(|i| rows.get(*i)).all(|other| row.passes(other));
        self.rows.is_empty() || same || self.common.misses(row.cube) || (self.rows.len() <= PASSED && one_by_one())
    }
}
