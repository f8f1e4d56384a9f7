//! Values of one field, as intervals in order that neither touch nor overlap.

use std::rc::Rc;

/// A set of numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Set(Inner);

/// Most sets are one interval, and a list has many of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Inner {
    One([(u128, u128); 1]),
    Several(Rc<[(u128, u128)]>),
}

impl Set {
    /// The numbers of intervals in any order, both ends included; those whose ends are crossed hold nothing.
    pub fn new(mut intervals: Vec<(u128, u128)>) -> Set {
        intervals.retain(|(a, b)| a <= b);
        intervals.sort_unstable();
        let mut out: Vec<(u128, u128)> = Vec::with_capacity(intervals.len());
        for (from, to) in intervals {
            match out.last_mut() {
                Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
                _ => out.push((from, to)),
            }
        }
        Set::ordered(out)
    }

    fn ordered(intervals: Vec<(u128, u128)>) -> Set {
        Set(match <[_; 1]>::try_from(intervals) {
            Ok(one) => Inner::One(one),
            Err(several) => Inner::Several(several.into()),
        })
    }

    /// One interval.
    pub fn range(from: u128, to: u128) -> Set {
        Set::new(vec![(from, to)])
    }

    /// One number.
    pub fn single(value: u128) -> Set {
        Set::range(value, value)
    }

    /// The intervals, in order.
    pub fn intervals(&self) -> &[(u128, u128)] {
        match &self.0 {
            Inner::One(one) => one,
            Inner::Several(several) => several,
        }
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.intervals().is_empty()
    }

    /// The lowest number; 0 if there is none.
    pub fn lowest(&self) -> u128 {
        self.intervals().first().map_or(0, |(a, _)| *a)
    }

    /// Whether a number is in it.
    pub fn has(&self, value: u128) -> bool {
        let all = self.intervals();
        let at = all.partition_point(|(_, to)| *to < value);
        all.get(at).is_some_and(|(from, _)| *from <= value)
    }

    /// The numbers in both.
    #[must_use]
    pub fn and(&self, other: &Set) -> Set {
        let mut out = Vec::new();
        overlaps(self.intervals(), other.intervals(), &mut |from, to| {
            out.push((from, to));
            true
        });
        Set::ordered(out)
    }

    /// Whether any number is in both.
    pub fn meets(&self, other: &Set) -> bool {
        let mut met = false;
        overlaps(self.intervals(), other.intervals(), &mut |_, _| {
            met = true;
            false
        });
        met
    }

    /// Whether each number of the other is in this one.
    pub fn covers(&self, other: &Set) -> bool {
        let all = self.intervals();
        other.intervals().iter().all(|(from, to)| {
            let at = all.partition_point(|(_, end)| end < from);
            all.get(at).is_some_and(|(a, b)| a <= from && to <= b)
        })
    }

    /// The numbers of this one that are not in the other.
    #[must_use]
    pub fn without(&self, other: &Set) -> Set {
        let mut out = Vec::new();
        let cuts = other.intervals();
        for (from, to) in self.intervals() {
            let (mut next, mut at) = (Some(*from), cuts.partition_point(|(_, end)| end < from));
            while let (Some(start), Some((a, b))) = (next, cuts.get(at).filter(|(a, _)| a <= to)) {
                if start < *a {
                    out.push((start, a - 1));
                }
                next = b.checked_add(1).filter(|n| n <= to);
                at += 1;
            }
            out.extend(next.map(|start| (start, *to)));
        }
        Set::ordered(out)
    }
}

/// Calls `see` with the intervals that two lists share, until it is enough. Of two lists of very different length the
/// longer is searched.
fn overlaps(a: &[(u128, u128)], b: &[(u128, u128)], see: &mut dyn FnMut(u128, u128) -> bool) {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    for (from, to) in short {
        let at = long.partition_point(|(_, end)| end < from);
        for (c, d) in long.iter().skip(at).take_while(|(c, _)| c <= to) {
            if !see(*from.max(c), *to.min(d)) {
                return;
            }
        }
    }
}
