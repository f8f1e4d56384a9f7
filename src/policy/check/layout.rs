//! How classes are laid out: where `layout: nested` would build a tree in a part of the time, and where it cannot be or does
//! nothing.

use super::{Visit, walk};
use crate::codes::{FLAT_TREE, NO_CHILDREN, NO_EFFECT};
use crate::diagnostic::{Diagnostic, Sink};
use crate::kind::Options;
use crate::kind::qdisc::htb;
use crate::policy::layout::{self, Layout, MANY};
use crate::policy::model::{Children, Class, Discipline};
use crate::unit::Flag;

/// Nanoseconds for one class that the kernel looks at while it adds another one: of the order of 0.1 µs as long as the
/// classes fit a processor's cache, and more afterwards.
const LOOK: u64 = 200;
/// Seconds of looking from which on it is worth a word.
const LONG: f64 = 2.0;
/// Where no class has many others below it, so many are put below one.
const GROUP: usize = 500;

pub(super) fn check(discipline: &Discipline, sink: &mut Sink) {
    walk(discipline, &mut |visit| {
        let Visit::Discipline(discipline) = visit else { return };
        let Children::Classes(classes) = &discipline.children else { return };
        let Some(whole) = discipline.options.as_kind::<htb::Htb>() else { return };
        match &discipline.layout {
            Some(at) if at.value == Layout::Nested => {
                if whole.offload == Some(Flag(true)) {
                    let message = "`offload` gives the device one tree, and `layout: nested` makes several";
                    let row = discipline.options.row("offload").and_then(|row| discipline.places.get(row));
                    let d = Diagnostic::new(&NO_CHILDREN, message).at(at.span, "");
                    sink.push(d.at(row.unwrap_or(discipline.kind.span), "").help("leave one of them out"));
                }
                if !classes.is_empty() && !layout::has_parts(classes, whole.levels()) {
                    let message =
                        format!("`layout: nested` parts nothing here: no class has {MANY} or more right below it");
                    let d = Diagnostic::new(&NO_EFFECT, message).at(at.span, "");
                    sink.push(d.help("leave it out"));
                }
            }
            _ => flat(discipline, classes, sink),
        }
    });
}

fn flat(discipline: &Discipline, classes: &[Class], sink: &mut Sink) {
    let n = count(classes);
    let now = seconds(looks(n));
    if now < LONG {
        return;
    }
    let nested = layout::nested(discipline);
    let then = seconds(all_looks(&nested));
    let message = format!(
        "the kernel looks at all classes of a discipline for each that is added: about {now:.0} s to make these {n}"
    );
    let d = Diagnostic::new(&FLAT_TREE, message).at(discipline.kind.span, "");
    sink.push(if then * 2.0 <= now {
        let parts = disciplines(&nested);
        d.help(format!("write `layout: nested`, which makes {parts} disciplines of them: about {:.1} s", then.max(0.1)))
    } else {
        let then = seconds(n.div_ceil(GROUP) as u64 * looks(GROUP) + looks(n.div_ceil(GROUP)));
        d.help(format!(
            "put them below classes with some {GROUP} each and write `layout: nested`: that takes about {then:.1} s"
        ))
    });
}

fn count(classes: &[Class]) -> usize {
    classes.iter().map(|c| 1 + count(&c.classes)).sum()
}

/// How often a class is looked at while so many are added.
fn looks(classes: usize) -> u64 {
    let n = classes as u64;
    n.saturating_mul(n) / 2
}

fn seconds(looks: u64) -> f64 {
    looks.saturating_mul(LOOK) as f64 / 1e9
}

/// The same, over a discipline and the parts below it.
fn all_looks(discipline: &Discipline) -> u64 {
    let mut sum = 0_u64;
    each(discipline, &mut |classes| sum = sum.saturating_add(looks(count(classes))));
    sum
}

/// How many disciplines the layout makes of one.
fn disciplines(nested: &Discipline) -> usize {
    let mut n = 0;
    each(nested, &mut |_| n += 1);
    n
}

/// The classes of a discipline, and those of each part below it.
fn each<'a>(discipline: &'a Discipline, visit: &mut dyn FnMut(&'a [Class])) {
    fn below<'a>(classes: &'a [Class], visit: &mut dyn FnMut(&'a [Class])) {
        for class in classes {
            below(&class.classes, visit);
            if let Some(part) = class.leaf.as_ref().filter(|leaf| layout::is_part(leaf)) {
                each(part, visit);
            }
        }
    }
    let Children::Classes(classes) = &discipline.children else { return };
    visit(classes);
    below(classes, visit);
}
