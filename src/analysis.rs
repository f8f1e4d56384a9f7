//! A list of rules as a whole: which of them no packet reaches, which overlap, and what none of them takes. Done exactly on
//! the packets that can be told apart, not on the words of the rules.
//!
//! - [`set`]: values of one field, as intervals
//! - [`space`]: an expression as a union of [`Cell`]s; a cell is a product of such sets, one a field
//! - [`index`]: which cells a packet lies in, without looking at all of them
//! - [`words`]: a cell as an expression for people
//!
//! Taking unions of products apart can cost more than anybody waits for. So the question is asked of one packet after the
//! other: the lowest packet of what is left of a rule is looked up among the earlier rules. If none has it, the rule is
//! reached, and that packet proves it; otherwise that rule's cell is taken off, and what is left is asked in the same way.
//! The steps are counted, and where there are too many of them the answer is that nobody knows ([`Reach::Unknown`]).
//!
//! Fields that are independent here and are not in a packet (a raw `u32` match and the field that it looks into) make this
//! space larger than what packets there are. Then a rule may count as reached that is not; never the other way round.

mod index;
mod set;
mod space;
#[cfg(test)]
mod tests;
mod words;

use crate::syntax::expression::Expression;
use index::Index;
pub use set::Set;
use space::Space;
pub use space::{Cell, Dim, World};
use std::collections::{BTreeMap, BTreeSet};
pub use words::Words;

/// The most cells that one rule may come to.
pub const CELLS: usize = 1024;
/// What is left of all packets is kept small when it comes to so many cells.
const JOINED: usize = 256;
/// The most lookups and comparisons for one rule.
const STEPS: usize = 50_000;
/// The same for a whole list; afterwards each rule has [`FEW`].
const ALL_STEPS: usize = 4_000_000;
const FEW: usize = 200;
/// Up to so many earlier rules are looked at whether one of them alone takes all of a rule.
const ALONE: usize = 32;
/// Up to so many rules that take a rule's packets together are reduced to those that are needed.
const REDUCED: usize = 64;

/// One rule, as far as the list is concerned.
#[derive(Clone, Debug)]
pub struct Rule<'a> {
    /// What it matches; everything if there is none.
    pub matches: Option<&'a Expression>,
    /// Whether no later rule is asked for its packets.
    pub ends: bool,
    /// What it writes into packets that go on to later rules.
    pub writes: Writes,
}

/// What a rule changes about the packets that it lets go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writes {
    /// Only these; nothing if empty.
    Only(Vec<Dim>),
    /// Nobody knows.
    Anything,
}

/// Whether a packet comes to a rule and is taken by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// At least one packet.
    Reached,
    /// There is no packet that it matches.
    Empty,
    /// Earlier rules, by their places in the list, take all of its packets: each of them is needed.
    Taken {
        /// In the order of the list.
        by: Vec<usize>,
        /// Whether a single one takes exactly the same packets.
        equal: bool,
    },
    /// The rule, or what stands before it, is too varied.
    Unknown,
}

/// Two rules that share packets, and each has packets that the other has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The one that is asked first, by its place in the list.
    pub first: usize,
    /// The later one.
    pub second: usize,
}

/// What is left when all rules have been asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// The packets, each once.
    pub cells: Vec<Cell>,
    /// Whether these are all, and all of them: otherwise what is left is too varied to be listed, and some packets of these
    /// are left.
    pub whole: bool,
}

/// A list of rules, ready to be asked.
pub struct List {
    space: Space,
    /// The cells of each rule; `None` where there would be too many.
    rules: Vec<Option<Vec<Cell>>>,
    ends: Vec<bool>,
    /// The rules that change packets and let them go on, in order: by what they change ([`Dim::written`]), and those of
    /// which nobody knows.
    writers: BTreeMap<Option<Dim>, Vec<usize>>,
    index: Index,
    /// Steps that are left for the whole list.
    left: usize,
}

/// Too many steps.
struct Tired;

/// Finds a rule that has packets of a cell, in so many steps: its number, and which.
type Taker<'t> = dyn FnMut(&Cell, &mut usize) -> Option<(usize, Cell)> + 't;

impl List {
    /// Reads a list.
    pub fn new(rules: &[Rule]) -> List {
        let space = Space::new(rules.iter().filter_map(|r| r.matches));
        let cells: Vec<_> = rules.iter().map(|r| space.cells(r.matches)).collect();
        let ends: Vec<bool> = rules.iter().map(|r| r.ends).collect();
        let takers = cells.iter().enumerate().filter(|(i, _)| ends.get(*i) == Some(&true));
        let index = Index::new(takers.flat_map(|(i, c)| c.iter().flatten().map(move |c| (i, c.clone()))));
        let mut writers: BTreeMap<Option<Dim>, Vec<usize>> = BTreeMap::new();
        for (i, rule) in rules.iter().enumerate().filter(|(_, r)| !r.ends) {
            match &rule.writes {
                Writes::Anything => writers.entry(None).or_default().push(i),
                Writes::Only(dims) => {
                    dims.iter().for_each(|dim| writers.entry(Some(dim.written())).or_default().push(i));
                }
            }
        }
        List { space, rules: cells, ends, writers, index, left: ALL_STEPS }
    }

    /// How cells of this list are said.
    pub fn words(&self) -> Words<'_> {
        Words::new(&self.space)
    }

    fn cells(&self, rule: usize) -> Option<&[Cell]> {
        self.rules.get(rule)?.as_deref()
    }

    /// Whether what a cell says of a packet was true already when it came to an earlier rule.
    fn stood(&self, cell: &Cell, earlier: usize, later: usize) -> bool {
        let between = |what: Option<Dim>| {
            let writers = self.writers.get(&what).map_or(&[][..], Vec::as_slice);
            writers.get(writers.partition_point(|at| *at <= earlier)).is_some_and(|at| *at < later)
        };
        !between(None) && !cell.dims().iter().any(|(dim, _)| between(Some(dim.written())))
    }

    /// Takes the rules that `taker` names off some cells. Gives the rules that were needed, or `None` at the first packet
    /// that none of them has.
    fn covered(&self, cells: &[Cell], steps: &mut usize, taker: &mut Taker) -> Result<Option<BTreeSet<usize>>, Tired> {
        let mut used = BTreeSet::new();
        let mut todo: Vec<Cell> = cells.to_vec();
        while let Some(cell) = todo.pop() {
            *steps = steps.checked_sub(1 + cell.weight() / 64).ok_or(Tired)?;
            let found = taker(&cell, steps);
            if *steps == 0 {
                return Err(Tired);
            }
            let Some((rule, by)) = found else { return Ok(None) };
            used.insert(rule);
            cell.without(&by, &mut todo);
        }
        Ok(Some(used))
    }

    /// Whether a packet comes to a rule.
    pub fn reach(&mut self, rule: usize) -> Reach {
        let mut steps = STEPS.min(self.left).max(FEW);
        let before = steps;
        let reach = self.judge(rule, &mut steps).unwrap_or(Reach::Unknown);
        self.left = self.left.saturating_sub(before - steps);
        reach
    }

    fn judge(&self, rule: usize, steps: &mut usize) -> Result<Reach, Tired> {
        let Some(cells) = self.cells(rule) else { return Err(Tired) };
        let Some(first) = cells.first() else { return Ok(Reach::Empty) };
        // one that takes all of them has the lowest packet of them
        let mut candidates: BTreeSet<usize> = BTreeSet::new();
        self.index.visit(first, rule, steps, &mut |at, cell| {
            if self.stood(cell, at, rule) {
                candidates.insert(at);
            }
            candidates.len() < ALONE
        });
        for at in candidates.iter().copied() {
            if self.contained(cells, at, steps)? {
                let equal = match self.cells(at) {
                    Some(others) => self.contained(others, rule, steps)?,
                    None => false,
                };
                return Ok(Reach::Taken { by: vec![at], equal });
            }
        }
        if candidates.is_empty() && *steps > 0 {
            return Ok(Reach::Reached);
        }
        let index = &self.index;
        let used = self.covered(cells, steps, &mut |cell, steps| {
            let mut found = None;
            index.visit(cell, rule, steps, &mut |at, by| {
                if self.stood(by, at, rule) {
                    found = Some((at, by.clone()));
                }
                found.is_none()
            });
            found
        })?;
        let Some(used) = used else { return Ok(Reach::Reached) };
        Ok(Reach::Taken { by: self.needed(cells, used, steps), equal: false })
    }

    /// Whether the cells lie in one rule.
    fn contained(&self, cells: &[Cell], within: usize, steps: &mut usize) -> Result<bool, Tired> {
        let Some(own) = self.cells(within) else { return Ok(false) };
        self.taken_by(cells, &[within], own.len(), steps)
    }

    /// Whether these rules take all of the cells.
    fn taken_by(&self, cells: &[Cell], rules: &[usize], cost: usize, steps: &mut usize) -> Result<bool, Tired> {
        let used = self.covered(cells, steps, &mut |cell, steps| {
            *steps = steps.saturating_sub(cost / 16);
            let all = rules.iter().flat_map(|r| self.cells(*r).unwrap_or_default().iter().map(|c| (*r, c)));
            all.into_iter().find(|(_, c)| c.has_lowest_of(cell)).map(|(r, c)| (r, c.clone()))
        })?;
        Ok(used.is_some())
    }

    /// Of rules that take all of the cells together, those without which they do not.
    fn needed(&self, cells: &[Cell], used: BTreeSet<usize>, steps: &mut usize) -> Vec<usize> {
        let mut needed: Vec<usize> = used.into_iter().collect();
        if needed.len() > REDUCED {
            return needed;
        }
        for rule in needed.clone().into_iter().rev() {
            let others: Vec<usize> = needed.iter().copied().filter(|r| *r != rule).collect();
            let cost = others.iter().map(|r| self.cells(*r).map_or(0, <[Cell]>::len)).sum();
            match self.taken_by(cells, &others, cost, steps) {
                Ok(true) => needed = others,
                Ok(false) => {}
                Err(Tired) => break,
            }
        }
        needed
    }

    /// Pairs of rules that share packets without the later one being the general case after the special: none takes all of
    /// the other's packets. Only pairs that `differ` are asked. At most `most`, and whether these are all.
    pub fn overlaps(&mut self, differ: &dyn Fn(usize, usize) -> bool, most: usize) -> (Vec<Overlap>, bool) {
        let (mut found, mut whole) = (Vec::new(), true);
        let mut steps = ALL_STEPS;
        for second in 0..self.rules.len() {
            let Some(cells) = self.cells(second) else {
                whole = false;
                continue;
            };
            let mut near: BTreeSet<usize> = BTreeSet::new();
            for cell in cells {
                self.index.near(cell, second, &mut steps, &mut |at, by| {
                    if !near.contains(&at) && differ(at, second) && self.stood(by, at, second) {
                        near.insert(at);
                    }
                    near.len() <= most
                });
            }
            for first in near {
                let inside = |a: usize, b: usize, steps: &mut usize| match self.cells(a) {
                    Some(cells) => self.contained(cells, b, steps),
                    None => Ok(true),
                };
                match (inside(first, second, &mut steps), inside(second, first, &mut steps)) {
                    (Ok(false), Ok(false)) => found.push(Overlap { first, second }),
                    (Ok(_), Ok(_)) => {}
                    _ => whole = false,
                }
                if found.len() > most {
                    found.truncate(most);
                    return (found, false);
                }
            }
            if steps == 0 {
                return (found, false);
            }
        }
        (found, whole)
    }

    /// What no rule takes that ends the asking. At most `most` cells are listed.
    pub fn rest(&self, most: usize) -> Rest {
        let takers = self.rules.iter().zip(&self.ends).filter(|(_, ends)| **ends).map(|(cells, _)| cells);
        let mut all: Vec<&Cell> = Vec::new();
        let mut whole = true;
        for cells in takers {
            match cells {
                Some(cells) => all.extend(cells),
                None => whole = false,
            }
        }
        let all = united(all);
        let mut steps = STEPS * 4;
        let mut left = self.space.everything();
        for by in &all {
            let mut next = Vec::with_capacity(left.len());
            for cell in left {
                steps = steps.saturating_sub(1 + (cell.weight() + by.weight()) / 64);
                if cell.meets(by) {
                    cell.without(by, &mut next);
                } else {
                    next.push(cell);
                }
            }
            left = next;
            if left.len() > JOINED {
                steps = steps.saturating_sub(left.len() * left.len() / 64);
                left = words::joined(left);
            }
            if steps == 0 || left.len() > CELLS {
                return Rest { cells: self.sample(most), whole: false };
            }
        }
        let mut cells = words::joined(left);
        if cells.len() > most {
            // what little is said of is most of it
            cells.sort_by_key(|cell| cell.dims().len());
            cells.truncate(most);
            whole = false;
        }
        Rest { cells, whole }
    }

    /// Cells of which some packets are no rule's, one in each world if they are found soon.
    fn sample(&self, most: usize) -> Vec<Cell> {
        let mut out = Vec::new();
        let end = self.rules.len();
        for world in self.space.everything() {
            let (mut steps, mut todo) = (STEPS, vec![world]);
            while let Some(cell) = todo.pop() {
                let mut found = None;
                self.index.visit(&cell, end, &mut steps, &mut |_, by| {
                    found = Some(by.clone());
                    false
                });
                steps = steps.saturating_sub(1 + cell.weight() / 64);
                match found {
                    _ if steps == 0 => break,
                    Some(by) => cell.without(&by, &mut todo),
                    None => {
                        out.push(cell);
                        break;
                    }
                }
            }
        }
        out.truncate(most);
        out
    }
}

/// Cells of one world with the same fields.
type Alike<'a> = BTreeMap<(World, Vec<Dim>), Vec<&'a Cell>>;

/// Cells that differ in one field only are made one: a thousand rules for one address each are one set of addresses. Of the
/// fields that might be the one, it is that which leaves fewest cells.
fn united(cells: Vec<&Cell>) -> Vec<Cell> {
    let mut alike: Alike = BTreeMap::new();
    for cell in cells {
        let dims = cell.dims().iter().map(|(dim, _)| *dim).collect();
        alike.entry((cell.world, dims)).or_default().push(cell);
    }
    let mut out = Vec::new();
    for ((world, dims), cells) in alike {
        let ways = dims.iter().map(|dim| grouped(&cells, *dim));
        match ways.min_by_key(|(_, groups)| groups.len()) {
            None => out.push(Cell::all(world)),
            Some((dim, groups)) => out.extend(groups.into_iter().map(|(others, intervals)| {
                let mut cell = Cell::of(world, others);
                cell.narrow(dim, &Set::new(intervals));
                cell
            })),
        }
    }
    out
}

/// What the cells have besides a field, and all the values of that field they have with it.
type Groups = BTreeMap<Vec<(Dim, Set)>, Vec<(u128, u128)>>;

fn grouped(cells: &[&Cell], dim: Dim) -> (Dim, Groups) {
    let mut groups = Groups::new();
    for cell in cells {
        let others = cell.dims().iter().filter(|(d, _)| *d != dim).cloned().collect();
        let values = cell.get(dim).map_or(&[][..], Set::intervals);
        groups.entry(others).or_default().extend(values);
    }
    (dim, groups)
}
