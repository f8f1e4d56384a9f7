//! Finding the cells that a packet lies in, or that a cell meets. Each cell is filed under one of its fields, the one whose
//! values fewest others have; the intervals of a field stand in a tree.

use super::set::Set;
use super::space::{Cell, Dim, World};
use std::collections::{BTreeMap, HashMap};

/// So many fields and places of trees that are passed count as a cell that is looked at.
const PASSED: usize = 64;

/// Cells with the rules they belong to.
#[derive(Default)]
pub(super) struct Index {
    cells: Vec<(usize, Cell)>,
    trees: HashMap<(World, Dim), Tree>,
    fields: HashMap<World, Fields>,
    /// Cells without any field.
    whole: Vec<u32>,
}

/// The fields that cells of one world are filed under, each with the first rule that has such a cell, in the order of
/// these. There may be as many fields as rules, and who asks for what stands before a rule is to pass no others.
#[derive(Default)]
struct Fields {
    all: Vec<(usize, Dim)>,
    /// Of cells with the lowest value of the field.
    low: Vec<(usize, Dim)>,
}

impl Index {
    /// Files cells, given in the order of their rules.
    pub fn new(cells: impl Iterator<Item = (usize, Cell)>) -> Index {
        let cells: Vec<(usize, Cell)> = cells.collect();
        let mut alike: HashMap<(World, Dim, &Set), u32> = HashMap::new();
        for (_, cell) in &cells {
            for (dim, set) in cell.dims() {
                *alike.entry((cell.world, *dim, set)).or_default() += 1;
            }
        }
        let mut filed: BTreeMap<(World, Dim), Vec<Leaf>> = BTreeMap::new();
        let mut whole = Vec::new();
        for (at, (rule, cell)) in cells.iter().enumerate() {
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            let rarest = cell.dims().iter().min_by_key(|(dim, set)| {
                let others = alike.get(&(cell.world, *dim, set)).copied().unwrap_or(0);
                (others, std::cmp::Reverse(dim.width()), set.intervals().len())
            });
            match rarest {
                Some((dim, set)) => {
                    let leaf = |(from, to): &(u128, u128)| Leaf { from: *from, to: *to, rule: *rule, cell: at };
                    filed.entry((cell.world, *dim)).or_default().extend(set.intervals().iter().map(leaf));
                }
                None => whole.push(at),
            }
        }
        let mut fields: HashMap<World, Fields> = HashMap::new();
        for ((world, dim), leaves) in &filed {
            let lowest = dim.domain(*world).lowest();
            let first = |all: &mut dyn Iterator<Item = &Leaf>| all.map(|leaf| leaf.rule).min().map(|rule| (rule, *dim));
            let own = fields.entry(*world).or_default();
            own.all.extend(first(&mut leaves.iter()));
            own.low.extend(first(&mut leaves.iter().filter(|leaf| leaf.from <= lowest)));
        }
        for own in fields.values_mut() {
            own.all.sort_unstable();
            own.low.sort_unstable();
        }
        let trees = filed.into_iter().map(|(key, leaves)| (key, Tree::new(leaves))).collect();
        Index { cells, trees, fields, whole }
    }

    /// Calls `see` with the cells of rules before `before` that have the lowest packet of `cell`, until it says no or the
    /// steps are used up. A cell may be seen once only, rules in no order.
    pub fn visit(&self, cell: &Cell, before: usize, steps: &mut usize, see: &mut dyn FnMut(usize, &Cell) -> bool) {
        Search { index: self, cell, before, lowest: true, steps, passed: 0, see }.run();
    }

    /// The same for cells that have any packet of `cell`; a cell may be seen several times.
    pub fn near(&self, cell: &Cell, before: usize, steps: &mut usize, see: &mut dyn FnMut(usize, &Cell) -> bool) {
        Search { index: self, cell, before, lowest: false, steps, passed: 0, see }.run();
    }
}

/// A look for cells.
struct Search<'s> {
    index: &'s Index,
    cell: &'s Cell,
    before: usize,
    /// Whether the lowest packet of the cell is looked for, and not any.
    lowest: bool,
    steps: &'s mut usize,
    /// Fields and places of trees that were passed.
    passed: usize,
    see: &'s mut dyn FnMut(usize, &Cell) -> bool,
}

impl Search<'_> {
    /// In all that may have such cells.
    fn run(&mut self) -> Option<()> {
        let (index, cell, lowest) = (self.index, self.cell, self.lowest);
        index.whole.iter().try_for_each(|at| self.look(*at))?;
        for (dim, set) in cell.dims() {
            let low = [(set.lowest(), set.lowest())];
            self.among(*dim, if lowest { &low } else { set.intervals() })?;
        }
        let fields = index.fields.get(&cell.world)?;
        let (own, before) = (if lowest { &fields.low } else { &fields.all }, self.before);
        for (_, dim) in own.iter().take_while(|(first, _)| *first < before) {
            if cell.get(*dim).is_none() {
                let low = dim.domain(cell.world).lowest();
                self.among(*dim, &[if lowest { (low, low) } else { (0, u128::MAX) }])?;
            }
        }
        Some(())
    }

    fn among(&mut self, dim: Dim, wanted: &[(u128, u128)]) -> Option<()> {
        self.pass()?;
        let Some(tree) = self.index.trees.get(&(self.cell.world, dim)) else { return Some(()) };
        wanted.iter().try_for_each(|wanted| tree.visit(*wanted, self))
    }

    /// Looks at one cell; nothing as soon as it is enough.
    fn look(&mut self, at: u32) -> Option<()> {
        *self.steps = self.steps.saturating_sub(1);
        let (rule, other) = self.index.cells.get(at as usize)?;
        let has = || if self.lowest { other.has_lowest_of(self.cell) } else { other.meets(self.cell) };
        let fits = *rule < self.before && has();
        (*self.steps > 0 && (!fits || (self.see)(*rule, other))).then_some(())
    }

    /// Passes a field or a place of a tree.
    fn pass(&mut self) -> Option<()> {
        self.passed += 1;
        if self.passed.is_multiple_of(PASSED) {
            *self.steps = self.steps.saturating_sub(1);
        }
        (*self.steps > 0).then_some(())
    }
}

/// One interval of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Leaf {
    from: u128,
    to: u128,
    rule: usize,
    cell: u32,
}

/// Intervals by their beginnings; over each half, quarter… of them the last end and the first rule.
struct Tree {
    leaves: Vec<Leaf>,
    /// For the leaf in the middle of each part: of that part.
    spans: Vec<(u128, usize)>,
}

impl Tree {
    fn new(mut leaves: Vec<Leaf>) -> Tree {
        leaves.sort_unstable();
        let mut tree = Tree { spans: vec![(0, 0); leaves.len()], leaves };
        tree.span(0, tree.leaves.len());
        tree
    }

    fn span(&mut self, from: usize, to: usize) -> (u128, usize) {
        if from >= to {
            return (0, usize::MAX);
        }
        let middle = from.midpoint(to);
        let (a, b) = (self.span(from, middle), self.span(middle + 1, to));
        let own = self.leaves.get(middle).map_or((0, usize::MAX), |l| (l.to, l.rule));
        let span = (a.0.max(b.0).max(own.0), a.1.min(b.1).min(own.1));
        if let Some(slot) = self.spans.get_mut(middle) {
            *slot = span;
        }
        span
    }

    /// Looks at the cells of intervals that meet the wanted one, until it is enough.
    fn visit(&self, wanted: (u128, u128), search: &mut Search) -> Option<()> {
        self.part(0, self.leaves.len(), wanted, search)
    }

    fn part(&self, start: usize, end: usize, wanted: (u128, u128), search: &mut Search) -> Option<()> {
        if start >= end {
            return Some(());
        }
        let middle = start.midpoint(end);
        let (leaf, (last, rule)) = (self.leaves.get(middle)?, self.spans.get(middle)?);
        if *last < wanted.0 || *rule >= search.before {
            return Some(());
        }
        search.pass()?;
        self.part(start, middle, wanted, search)?;
        if leaf.from > wanted.1 {
            return Some(());
        }
        if leaf.to >= wanted.0 && leaf.rule < search.before {
            search.look(leaf.cell)?;
        }
        self.part(middle + 1, end, wanted, search)
    }
}
