//! Classes among each other: what they are promised, how deep they go, where packets end that no rule takes.

use super::{Place, Visit, walk};
use crate::codes::{CLASS_DEPTH, DUPLICATE_ID, LEAF_ON_INNER, NO_DEFAULT, RATE_OVER_LINK, RATES_OVER_PARENT};
use crate::diagnostic::{Diagnostic, Sink};
use crate::policy::model::{Children, Class, Direction, Discipline, Rule};
use crate::source::Span;
use crate::syntax::expression::{Expression, Field};
use crate::unit::{Rate, Unit};
use std::collections::HashMap;

/// Levels of htb's classes (`TC_HTB_MAXDEPTH`, include/uapi/linux/pkt_sched.h).
const DEPTH: usize = 8;

pub(super) fn check(place: &Place, direction: &Direction, sink: &mut Sink) {
    let speed = place.facts.speed;
    rates_of_root(place, &direction.discipline, speed, sink);
    walk(&direction.discipline, &mut |visit| match visit {
        Visit::Discipline(discipline) => {
            if let Children::Classes(classes) = &discipline.children {
                ids(classes, sink);
                if discipline.kind.value.name == "htb" {
                    depth(classes, 1, sink);
                }
            }
        }
        Visit::Class(class) => {
            promises(class, sink);
            if let (Some(leaf), Some(first)) = (&class.leaf, class.classes.first()) {
                let message =
                    format!("class `{}` has classes, so its leaf would never hold a packet", class.name.value);
                let d = Diagnostic::new(&LEAF_ON_INNER, message)
                    .at(leaf.kind.span, "")
                    .at(first.name.span, "its first class");
                sink.push(d.help("give the leaf to the classes below"));
            }
        }
    });
    no_default(direction, sink);
}

fn rate(class: &Class) -> Option<Rate> {
    class.options.value("rate")
}

fn place_of(class: &Class, word: &str) -> Span {
    let row = class.options.row(word);
    row.and_then(|r| class.places.get(r)).unwrap_or(class.name.span)
}

/// What the classes below are guaranteed, against what there is.
fn promises(class: &Class, sink: &mut Sink) {
    let Some(own) = rate(class) else { return };
    let sum: u64 = class.classes.iter().filter_map(rate).fold(0, |sum, r| sum.saturating_add(r.0));
    if sum <= own.0 {
        return;
    }
    let name = &class.name.value;
    let message = format!("the classes below `{name}` are guaranteed {} and it has {}", Rate(sum).show(), own.show());
    let d = Diagnostic::new(&RATES_OVER_PARENT, message).at(place_of(class, "rate"), "what it has");
    let most = class.classes.iter().max_by_key(|c| rate(c));
    let d = most.iter().fold(d, |d, c| d.at(place_of(c, "rate"), "the largest share of it"));
    sink.push(d.help("lower the rates below it: what is beyond a class's own rate it borrows up to its `ceil`"));
}

/// What is above the link's own speed. Only the uppermost place is reported.
fn rates_of_root(place: &Place, discipline: &Discipline, speed: Option<Rate>, sink: &mut Sink) {
    let Some(speed) = speed else { return };
    let link = place.interface.link.rate.as_ref().map_or(Span::NONE, |r| r.span);
    let mut over = |what: String, rate: Rate, at: Span| {
        let message = format!("{what} {} is above the link's {}", rate.show(), speed.show());
        let d = Diagnostic::new(&RATE_OVER_LINK, message).at(at, "").at(link, "the link's rate");
        sink.push(d.help("stay a few percent under the link's true rate, so that the queue forms here"));
    };
    match &discipline.children {
        Children::Classes(classes) => {
            let mut sum = 0u64;
            let mut alone = false;
            for class in classes {
                sum = sum.saturating_add(rate(class).unwrap_or_default().0);
                for word in ["rate", "ceil"] {
                    if let Some(value) = class.options.value::<Rate>(word).filter(|r| *r > speed) {
                        over(word.to_owned(), value, place_of(class, word));
                        alone = true;
                        break;
                    }
                }
            }
            if let (false, true, Some(first)) = (alone, sum > speed.0, classes.first()) {
                over("the sum of the rates,".to_owned(), Rate(sum), place_of(first, "rate"));
            }
        }
        _ => {
            if let Some(value) = discipline.options.value::<Rate>("rate").filter(|r| *r > speed) {
                let at = discipline.options.row("rate").and_then(|r| discipline.places.get(r));
                over("rate".to_owned(), value, at.unwrap_or(discipline.kind.span));
            }
        }
    }
}

fn ids(classes: &[Class], sink: &mut Sink) {
    let mut first: HashMap<u16, Span> = HashMap::new();
    each(classes, &mut |class| {
        let Some(id) = &class.id else { return };
        match first.get(&id.value) {
            Some(other) => {
                let d = Diagnostic::new(&DUPLICATE_ID, format!("two classes have the id {:#x}", id.value));
                sink.push(
                    d.at(id.span, "the second").at(*other, "the first").help("leave one out: ids come by themselves"),
                );
            }
            None => {
                first.insert(id.value, id.span);
            }
        }
    });
}

/// All classes of one discipline.
fn each<'a>(classes: &'a [Class], visit: &mut dyn FnMut(&'a Class)) {
    for class in classes {
        visit(class);
        each(&class.classes, visit);
    }
}

fn depth(classes: &[Class], level: usize, sink: &mut Sink) {
    for class in classes {
        if level > DEPTH {
            let message = format!("class `{}` is on level {level}, and htb has {DEPTH}", class.name.value);
            let d = Diagnostic::new(&CLASS_DEPTH, message).at(class.name.span, "");
            sink.push(d.help("take a level out, or give the class above an `htb` of its own as its leaf"));
        } else {
            depth(&class.classes, level + 1, sink);
        }
    }
}

/// Whether a rule takes every packet.
fn takes_all(rule: &Rule) -> bool {
    match &rule.matches {
        None => true,
        Some(m) => matches!(&m.value, Expression::Test(t) if t.field == Field::Any),
    }
}

/// An htb at the top without a default: what no rule takes leaves at once (`HTB_DIRECT`, net/sched/sch_htb.c).
fn no_default(direction: &Direction, sink: &mut Sink) {
    let mut discipline = &direction.discipline;
    while let Children::Leaf(leaf) = &discipline.children {
        discipline = leaf;
    }
    let Children::Classes(classes) = &discipline.children else { return };
    if discipline.kind.value.name != "htb" || discipline.default.is_some() || classes.is_empty() {
        return;
    }
    if direction.rules.iter().any(|r| takes_all(r) && r.class.is_some()) {
        return;
    }
    let mut last = None;
    each(classes, &mut |c| {
        if c.classes.is_empty() {
            last = Some(&c.name.value);
        }
    });
    let message = "packets that no rule takes leave unshaped, ARP among them: there is no `default`";
    let d = Diagnostic::new(&NO_DEFAULT, message).at(discipline.kind.span, "");
    sink.push(match last {
        Some(name) => d.help(format!("write `default: {name}`, or name another class")),
        None => d,
    });
}
