//! Handles are a budget: 16 bits for the classes of a discipline, 16 for the disciplines of a device.

use super::{Visit, walk};
use crate::codes::{DUPLICATE_ID, HANDLE_BUDGET};
use crate::diagnostic::{Diagnostic, Sink};
use crate::policy::model::{Children, Class, Discipline};
use crate::source::Span;
use foldhash::{HashMap, HashMapExt};

/// Minor numbers of a discipline: 1 to ffff.
const MINORS: usize = 0xffff;
/// Major numbers of a device: 1 to fffe; ffff is the ingress hook's.
const MAJORS: usize = 0xfffe;

pub(super) fn check(root: &Discipline, sink: &mut Sink) {
    let (mut majors, mut last) = (0, root.kind.span);
    let mut pinned: HashMap<u16, Span> = HashMap::new();
    walk(root, &mut |visit| {
        let Visit::Discipline(discipline) = visit else { return };
        majors += 1;
        if majors == MAJORS + 1 {
            last = discipline.kind.span;
        }
        if let Some(id) = &discipline.id {
            match pinned.get(&id.value) {
                Some(other) => {
                    let d = Diagnostic::new(&DUPLICATE_ID, format!("two disciplines have the id {:#x}", id.value));
                    sink.push(
                        d.at(id.span, "the second")
                            .at(*other, "the first")
                            .help("leave one out: ids come by themselves"),
                    );
                }
                None => {
                    pinned.insert(id.value, id.span);
                }
            }
        }
        if let Children::Classes(classes) = &discipline.children {
            let n = count(classes);
            if n > MINORS {
                let message =
                    format!("`{}` has {n} classes here, and numbers for {MINORS}", discipline.kind.value.name);
                let d = Diagnostic::new(&HANDLE_BUDGET, message).at(discipline.kind.span, "");
                sink.push(
                    d.help("give some of the classes a discipline of their own as their leaf, with the others in it"),
                );
            }
        }
    });
    if majors > MAJORS {
        let message = format!("{majors} disciplines on one device, and numbers for {MAJORS}");
        let d = Diagnostic::new(&HANDLE_BUDGET, message).at(last, "the first without one");
        sink.push(d.help("leave out leaves: a class without one has the kernel's own fifo, which takes no number"));
    }
}

fn count(classes: &[Class]) -> usize {
    classes.iter().map(|c| 1 + count(&c.classes)).sum()
}
