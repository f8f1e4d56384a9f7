//! What kinds have to say about their own options, at the policy's places.

use super::{Visit, walk};
use crate::diagnostic::{Diagnostic, Sink};
use crate::facts::Facts;
use crate::kind::action::Actions;
use crate::kind::{Finding, Options};
use crate::policy::model::{Discipline, Filter, Places};
use crate::source::Span;

/// All disciplines and classes.
pub(super) fn discipline(discipline: &Discipline, facts: &Facts, sink: &mut Sink) {
    let mut found = Vec::new();
    walk(discipline, &mut |visit| {
        let (options, places, at) = match visit {
            Visit::Discipline(d) => (&d.options, &d.places, d.kind.span),
            Visit::Class(c) => (&c.options, &c.places, c.name.span),
        };
        options.check(facts, &mut found);
        let spoilt = !found.is_empty() && places.spoilt(options.as_ref());
        for finding in found.drain(..) {
            if !(spoilt && about_absence(&finding, options.as_ref())) {
                sink.push(placed(finding, options.as_ref(), places, at));
            }
        }
    });
}

/// Filters as they are.
pub(super) fn filters(filters: &[Filter], facts: &Facts, sink: &mut Sink) {
    let mut found = Vec::new();
    for filter in filters {
        let options = filter.options.as_ref();
        options.check(facts, &mut found);
        let spoilt = filter.places.spoilt(options);
        for finding in found.drain(..) {
            if !(spoilt && about_absence(&finding, options)) {
                sink.push(placed(finding, options, &filter.places, filter.kind.span));
            }
        }
    }
}

/// The actions of a rule; only the whole has a place.
pub(super) fn actions(actions: &Actions, at: Span, facts: &Facts, sink: &mut Sink) {
    let mut found = Vec::new();
    for act in &actions.0 {
        act.options.check(facts, &mut found);
        for finding in found.drain(..) {
            sink.push(placed(finding, act.options.as_ref(), &Places::default(), at));
        }
    }
}

/// Whether a finding is about something that is not set.
fn about_absence(finding: &Finding, options: &dyn Options) -> bool {
    let slot = finding.rows.first().and_then(|(word, _)| options.slot(options.row(word)?));
    slot.is_none_or(|slot| !slot.is_set())
}

/// The first of the finding's rows that is written is the main place; with none it is the object's own name.
fn placed(finding: Finding, options: &dyn Options, places: &Places, at: Span) -> Diagnostic {
    let mut d = Diagnostic::new(finding.code, finding.message);
    for (word, text) in finding.rows {
        let place = options.row(word).and_then(|row| places.get(row));
        d = d.at(place.unwrap_or(Span::NONE), text);
    }
    if d.labels.is_empty() {
        d = d.at(at, "");
    }
    match finding.help {
        Some(help) => d.help(help),
        None => d,
    }
}
