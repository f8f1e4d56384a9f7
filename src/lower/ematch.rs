//! Formulas as trees of extended matches, for `basic` and `cgroup`: they say `and`, `or` and `not` as they are.
//!
//! Words are compared by `u32`, whole numbers of 8, 16 or 32 bits with their bounds by `cmp`, and what the system knows by
//! `meta`. A comparison of a byte that is not there fails, and so is written without `not`.

use super::cube::{At, Base, Cube, Field, Formula, Key, Known, TAGGED, merged, prefixes};
use crate::kind::filter::ematch::{Cmp, Join, Layer, Matches, Meta, Object, Operand, Term, What, Word};

// include/uapi/linux/tc_ematch/tc_em_meta.h
const PRIORITY: u16 = 6;
const PROTOCOL: u16 = 7;
const MARK: u16 = 12;
const VLAN: u16 = 46;

/// The tree of a formula [in order](Formula::in_order); none for what holds of all packets.
///
/// # Errors
/// Extended matches do not know that of a packet.
pub fn tree(formula: &Formula) -> Result<Option<Matches>, Known> {
    if formula.is_yes() {
        return Ok(None);
    }
    Ok(Some(Matches(match term(formula)? {
        Term { not: false, what: What::Group(terms), .. } => terms,
        one => vec![one],
    })))
}

fn term(formula: &Formula) -> Result<Term, Known> {
    Ok(match formula {
        // a group of nothing would be everything: no octet is less than 0
        no if no.is_no() => plain(What::Cmp(Cmp { width: 1, operand: Operand::Lt, ..Cmp::default() })),
        Formula::All(parts) => group(parts.iter().map(term).collect::<Result<_, _>>()?, Join::And),
        Formula::Any(parts) => group(parts.iter().map(term).collect::<Result<_, _>>()?, Join::Or),
        Formula::Guarded(guard, inner) => group(vec![term(guard)?, term(inner)?], Join::And),
        Formula::Not(inner) => {
            let inner = term(inner)?;
            Term { not: !inner.not, ..inner }
        }
        Formula::In(field, ranges) => {
            let ranges = merged(ranges).into_iter().map(|(from, to)| range(*field, from, to));
            group(ranges.collect::<Result<_, _>>()?, Join::Or)
        }
        Formula::Masked(field, items) => {
            group(items.iter().map(|(v, m)| cube(&field.cube(*v, *m))).collect::<Result<_, _>>()?, Join::Or)
        }
        Formula::Word(key) => word(*key)?,
    })
}

/// Several terms as one.
fn group(mut terms: Vec<Term>, join: Join) -> Term {
    let last = terms.len().saturating_sub(1);
    terms.iter_mut().take(last).for_each(|term| term.join = join);
    match (last, terms.pop()) {
        (0, Some(one)) => one,
        (_, one) => {
            terms.extend(one);
            plain(What::Group(terms))
        }
    }
}

fn plain(what: What) -> Term {
    Term { not: false, what, join: Join::And }
}

fn range(field: Field, from: u128, to: u128) -> Result<Term, Known> {
    let width = (field.width / 8) as u8;
    let whole =
        field.base == Base::Network && field.start >= 0 && field.start % 8 == 0 && [8, 16, 32].contains(&field.width);
    if !whole || prefixes(from, to, field.width).nth(1).is_none() {
        let parts = prefixes(from, to, field.width).map(|(v, m)| cube(&field.cube(v, m)));
        return Ok(group(parts.collect::<Result<_, _>>()?, Join::Or));
    }
    let at = (field.start / 8) as u16;
    let compare = |operand, value: u128| {
        let layer = Layer::Network;
        plain(What::Cmp(Cmp { width, at, layer, mask: 0, trans: false, operand, value: value as u32 }))
    };
    let mut terms = Vec::new();
    if from > 0 {
        terms.push(compare(Operand::Gt, from - 1));
    }
    if to < field.max() {
        terms.push(compare(Operand::Lt, to + 1));
    }
    Ok(group(terms, Join::And))
}

fn cube(cube: &Cube) -> Result<Term, Known> {
    Ok(group(cube.0.iter().map(|k| word(*k)).collect::<Result<_, _>>()?, Join::And))
}

fn word(key: Key) -> Result<Term, Known> {
    let meta = |id, mask: u32, operand, value| {
        // a mask of 0 stands for all bits
        let mask = if mask == u32::MAX { 0 } else { mask };
        let left = Object::Known { id, text: false, shift: 0, mask };
        plain(What::Meta(Meta { left, operand, right: Object::Number(value) }))
    };
    Ok(match key.at {
        At::Offset(at) => plain(What::U32(Word { value: key.value, mask: key.mask, at, next: false })),
        At::Known(Known::Mark) => meta(MARK, key.mask, Operand::Eq, key.value),
        At::Known(Known::Priority) => meta(PRIORITY, key.mask, Operand::Eq, key.value),
        // there is no value where there is no tag, and a comparison fails then
        At::Known(Known::Vlan) if key.value & TAGGED != 0 => match key.mask & !TAGGED {
            0 => meta(VLAN, u32::MAX, Operand::Lt, 1 << 16),
            mask => meta(VLAN, mask, Operand::Eq, key.value & mask),
        },
        // the kernel keeps it as it stands in the frame
        At::Known(Known::Ether) => {
            let swapped = |n: u32| u32::from((n as u16).to_be());
            meta(PROTOCOL, swapped(key.mask), Operand::Eq, swapped(key.value))
        }
        At::Known(known) => return Err(known),
        At::Beyond(_) => return Err(Known::Proto),
    })
}
