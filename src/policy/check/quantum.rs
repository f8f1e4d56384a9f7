//! The quantum that htb computes from `r2q`, where a policy sets that figure itself. Where it does not, the compiler
//! writes a quantum in range for every class.

use super::{Visit, walk};
use crate::codes::QUANTUM_RANGE;
use crate::diagnostic::{Diagnostic, Sink};
use crate::kind::qdisc::htb::QUANTUM;
use crate::policy::model::{Children, Class, Discipline};
use crate::unit::{Number, Rate, Unit};

pub(super) fn check(discipline: &Discipline, sink: &mut Sink) {
    walk(discipline, &mut |visit| {
        let Visit::Discipline(discipline) = visit else { return };
        let Children::Classes(classes) = &discipline.children else { return };
        if discipline.kind.value.name != "htb" {
            return;
        }
        let row = discipline.options.row("r2q");
        let (Some(Number(r2q)), Some(at)) =
            (discipline.options.value("r2q"), row.and_then(|r| discipline.places.get(r)))
        else {
            return;
        };
        let mut leaves = Vec::new();
        collect(classes, &mut leaves);
        let quantum = |rate: Rate| rate.bytes() / u64::from(r2q.max(1));
        let wrong: Vec<_> = leaves.iter().filter(|(_, rate)| !QUANTUM.contains(&quantum(*rate))).collect();
        let Some((class, rate)) = wrong.first() else { return };
        let name = &class.name.value;
        let message = format!("r2q {r2q} gives class `{name}` a quantum of {} bytes", quantum(*rate));
        let message = match wrong.len() {
            1 => message,
            n => format!("{message}, and {} more one out of range", n - 1),
        };
        let row = class.options.row("rate").and_then(|r| class.places.get(r));
        let text = format!("{} / 8 / {r2q}", rate.show());
        let d = Diagnostic::new(&QUANTUM_RANGE, message).at(at, "").at(row.unwrap_or(class.name.span), text);
        sink.push(d.help(cure(&leaves)));
    });
}

/// The leaves without a quantum of their own. A class of which something was refused may have classes, or a quantum.
fn collect<'a>(classes: &'a [Class], out: &mut Vec<(&'a Class, Rate)>) {
    for class in classes {
        collect(&class.classes, out);
        if class.places.spoilt(class.options.as_ref()) {
            continue;
        }
        let own = class.options.row("quantum").and_then(|r| class.options.slot(r)).is_some_and(|s| s.is_set());
        if let (true, false, Some(rate)) = (class.classes.is_empty(), own, class.options.value::<Rate>("rate")) {
            out.push((class, rate));
        }
    }
}

/// An r2q that suits all leaves, if there is one.
fn cure(leaves: &[(&Class, Rate)]) -> String {
    let least = leaves.iter().map(|(_, r)| r.bytes()).min().unwrap_or(0);
    let most = leaves.iter().map(|(_, r)| r.bytes()).max().unwrap_or(0);
    let (from, to) = (most.div_ceil(*QUANTUM.end()).max(1), least / QUANTUM.start());
    if from <= to {
        // a quantum of one full packet and more is better than a thousand bytes
        let best = (least / 1514).clamp(from, to);
        format!("write `r2q: {best}`, or leave it out: each class then gets a quantum in range")
    } else {
        "no r2q suits all of these rates: leave it out, and each class gets a quantum in range, or write `quantum` where it matters".to_owned()
    }
}
