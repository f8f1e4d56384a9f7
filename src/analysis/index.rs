//! Finding the cells that a packet lies in, or that a cell meets. Each cell is filed under one of its fields, the one whose
//! values fewest others have; the intervals of a field stand in a tree.

use super::set::Set;
use super::space::{Cell, Dim, World};
use std::collections::{BTreeMap, HashMap};

/// Cells with the rules they belong to.
#[derive(Default)]
pub(super) struct Index {
    cells: Vec<(usize, Cell)>,
    trees: BTreeMap<(World, Dim), Tree>,
    /// Cells without any field.
    whole: Vec<u32>,
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
        let mut trees: BTreeMap<(World, Dim), Vec<Leaf>> = BTreeMap::new();
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
                    trees.entry((cell.world, *dim)).or_default().extend(set.intervals().iter().map(leaf));
                }
                None => whole.push(at),
            }
        }
        let trees = trees.into_iter().map(|(key, leaves)| (key, Tree::new(leaves))).collect();
        Index { cells, trees, whole }
    }

    /// Calls `see` with the cells of rules before `before` that have the lowest packet of `cell`, until it says no or the
    /// steps are used up. A cell may be seen once only, rules in no order.
    pub fn visit(&self, cell: &Cell, before: usize, steps: &mut usize, see: &mut dyn FnMut(usize, &Cell) -> bool) {
        self.search(cell, before, steps, true, see);
    }

    /// The same for cells that have any packet of `cell`; a cell may be seen several times.
    pub fn near(&self, cell: &Cell, before: usize, steps: &mut usize, see: &mut dyn FnMut(usize, &Cell) -> bool) {
        self.search(cell, before, steps, false, see);
    }

    fn search(
        &self,
        cell: &Cell,
        before: usize,
        steps: &mut usize,
        lowest: bool,
        see: &mut dyn FnMut(usize, &Cell) -> bool,
    ) {
        let mut look = |at: u32| {
            *steps = steps.saturating_sub(1);
            let Some((rule, other)) = self.cells.get(at as usize) else { return true };
            let fits = *rule < before && if lowest { other.has_lowest_of(cell) } else { other.meets(cell) };
            *steps > 0 && (!fits || see(*rule, other))
        };
        for at in &self.whole {
            if !look(*at) {
                return;
            }
        }
        let from = (cell.world, Dim::FIRST);
        for ((world, dim), tree) in self.trees.range(from..) {
            if *world != cell.world {
                break;
            }
            let own;
            let intervals = match (lowest, cell.get(*dim)) {
                (true, set) => {
                    let low = set.map_or_else(|| dim.domain(*world).lowest(), Set::lowest);
                    own = [(low, low)];
                    &own[..]
                }
                (false, Some(set)) => set.intervals(),
                (false, None) => &[(0, u128::MAX)],
            };
            for (a, b) in intervals {
                if !tree.visit(*a, *b, before, &mut look) {
                    return;
                }
            }
        }
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

    /// Calls `look` with the cells of intervals that meet `from` to `to`; false as soon as it says so.
    fn visit(&self, from: u128, to: u128, before: usize, look: &mut dyn FnMut(u32) -> bool) -> bool {
        self.part(0, self.leaves.len(), (from, to), before, look)
    }

    fn part(
        &self,
        start: usize,
        end: usize,
        wanted: (u128, u128),
        before: usize,
        look: &mut dyn FnMut(u32) -> bool,
    ) -> bool {
        if start >= end {
            return true;
        }
        let middle = start.midpoint(end);
        let (Some(leaf), Some((last, rule))) = (self.leaves.get(middle), self.spans.get(middle)) else { return true };
        if *last < wanted.0 || *rule >= before {
            return true;
        }
        if !self.part(start, middle, wanted, before, look) {
            return false;
        }
        if leaf.from > wanted.1 {
            return true;
        }
        if leaf.to >= wanted.0 && leaf.rule < before && !look(leaf.cell) {
            return false;
        }
        self.part(middle + 1, end, wanted, before, look)
    }
}
