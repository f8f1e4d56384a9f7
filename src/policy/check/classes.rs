//! Classes among each other: what they are promised, how deep they go, where packets end that no rule takes.

use super::{Place, Visit, walk};
use crate::codes::{
    CLASS_DEPTH, CURVES, DUPLICATE_ID, LEAF_ON_INNER, NO_DEFAULT, NO_EFFECT, OUT_OF_RANGE, RATE_OVER_LINK,
    RATES_OVER_PARENT,
};
use crate::diagnostic::{Diagnostic, Sink};
use crate::kind::qdisc::{hfsc, htb, qfq};
use crate::policy::model::{Children, Class, Direction, Discipline, Rule};
use crate::source::Span;
use crate::syntax::expression::{Expression, Field};
use crate::unit::{Packing, Rate, Unit};
use foldhash::{HashMap, HashMapExt};

pub(super) fn check(place: &Place, direction: &Direction, sink: &mut Sink) {
    let speed = place.facts.speed;
    rates_of_root(place, &direction.discipline, speed, sink);
    walk(&direction.discipline, &mut |visit| match visit {
        Visit::Discipline(discipline) => {
            if let Children::Classes(classes) = &discipline.children {
                ids(classes, sink);
                weights(discipline, classes, sink);
            }
        }
        Visit::Class(class) => {
            promises(class, sink);
            ceilings(class, sink);
            idle_curve(class, sink);
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

/// What the classes below may borrow up to and never get, because nobody above them has it.
fn ceilings(class: &Class, sink: &mut Sink) {
    let ceil = |class: &Class| class.options.value::<Rate>("ceil");
    let Some(own) = ceil(class).or_else(|| rate(class)) else { return };
    let above = |c: &&Class| ceil(c).is_some_and(|ceil| ceil > own);
    let mut over = class.classes.iter().filter(above);
    let Some(first) = over.next() else { return };
    let (name, above) = (&first.name.value, &class.name.value);
    let reach = ceil(first).unwrap_or_default().show();
    let message = match over.count() {
        0 => format!("`{name}` never gets its ceil of {reach}: `{above}` has {}", own.show()),
        n => format!("`{name}` never gets its ceil of {reach}, nor {n} more theirs: `{above}` has {}", own.show()),
    };
    let word = if ceil(class).is_some() { "ceil" } else { "rate" };
    let d =
        Diagnostic::new(&NO_EFFECT, message).at(place_of(first, "ceil"), "").at(place_of(class, word), "all there is");
    sink.push(d.help(format!("write `ceil: {}`, or a higher `ceil` for `{above}`", own.show())));
}

/// What is above the link's own speed. Only the uppermost place is reported.
fn rates_of_root(place: &Place, discipline: &Discipline, speed: Option<Rate>, sink: &mut Sink) {
    let Some(whole) = speed else { return };
    // a size table does not know PTM's code
    let coded =
        place.interface.link.packing() == Packing::Ptm && !discipline.options.boxed().count_as(Packing::Ptm, 0, 0);
    let speed = if coded { Rate(whole.0 / 65 * 64) } else { whole };
    let link = place.speed().map_or(Span::NONE, |r| r.span);
    let part = if coded { "the link's rate, of which PTM's code leaves 64/65" } else { "the link's rate" };
    let mut over = |what: String, rate: Rate, at: Span| {
        let message = format!("{what} {} is above the link's {}", rate.show(), speed.show());
        let d = Diagnostic::new(&RATE_OVER_LINK, message).at(at, "").at(link, part);
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
            let mut real_time = 0;
            real_times(classes, &mut real_time);
            if let (true, Some(first)) = (real_time > speed.0, classes.first()) {
                over("the sum of the real-time curves,".to_owned(), Rate(real_time), first.name.span);
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

/// Classes deeper than their discipline has levels.
pub(super) fn depths(discipline: &Discipline, sink: &mut Sink) {
    walk(discipline, &mut |visit| {
        if let Visit::Discipline(discipline) = visit
            && let Children::Classes(classes) = &discipline.children
        {
            depth(discipline, classes, 1, sink);
        }
    });
}

fn depth(discipline: &Discipline, classes: &[Class], level: usize, sink: &mut Sink) {
    let (kind, levels) = (discipline.kind.value.name, discipline.options.levels());
    for class in classes {
        if level > levels {
            let message = format!("class `{}` is on level {level}, and {kind} has {levels}", class.name.value);
            let d = Diagnostic::new(&CLASS_DEPTH, message).at(class.name.span, "");
            sink.push(d.help(match discipline.options.as_kind::<htb::Htb>() {
                Some(_) => {
                    "take a level out, or write `layout: nested`, which puts several `htb` below each other".into()
                }
                None => format!("take a level out, or give the class above another `{kind}` as its leaf"),
            }));
        } else {
            depth(discipline, &class.classes, level + 1, sink);
        }
    }
}

/// What the weights of a qfq come to.
fn weights(discipline: &Discipline, classes: &[Class], sink: &mut Sink) {
    let weight = |class: &Class| class.options.as_kind::<qfq::Class>().map(|c| c.weight.map_or(1, |w| u64::from(w.0)));
    let sum: u64 = classes.iter().filter_map(weight).sum();
    if sum > qfq::WEIGHTS {
        let message = format!("the weights come to {sum}, and qfq counts up to {}", qfq::WEIGHTS);
        let d = Diagnostic::new(&OUT_OF_RANGE, message).at(discipline.kind.span, "");
        sink.push(d.help("only how the weights compare counts: write smaller ones for all classes"));
    }
}

/// What real time of hfsc comes to, in the classes that hold packets.
fn real_times(classes: &[Class], sum: &mut u64) {
    each(classes, &mut |class| {
        let own = class.options.as_kind::<hfsc::Class>().and_then(hfsc::Class::real_time);
        *sum = sum.saturating_add(own.filter(|_| class.classes.is_empty()).map_or(0, |curve| curve.m2.0));
    });
}

/// A class with classes is not served in real time (`hfsc_upgrade_rt`, net/sched/sch_hfsc.c).
fn idle_curve(class: &Class, sink: &mut Sink) {
    let Some(own) = class.options.as_kind::<hfsc::Class>().filter(|_| !class.classes.is_empty()) else { return };
    let Some(curve) = own.rt else { return };
    let name = &class.name.value;
    let message = match own.lacks_share() {
        true => {
            format!("class `{name}` has classes: the kernel makes its `rt` a link share, and promises nothing by it")
        }
        false => format!("class `{name}` has classes, so its `rt` promises nothing"),
    };
    let d = Diagnostic::new(&CURVES, message).at(place_of(class, "rt"), "");
    sink.push(d.help(format!("write `ls: {}`, and `rt` for the classes below", curve.m2.show())));
}

/// Whether a rule takes every packet.
fn takes_all(rule: &Rule) -> bool {
    match &rule.matches {
        None => true,
        Some(m) => matches!(&m.value, Expression::Test(t) if t.field == Field::Any),
    }
}

/// A discipline, the path of the class that it hangs on, and whether packets come there that no rule sent.
type Standing<'a, 'b> = (&'a Discipline, &'b str, bool);

fn standing<'a>(discipline: &'a Discipline, path: &str, always: bool, visit: &mut dyn FnMut(Standing<'a, '_>)) {
    visit((discipline, path, always));
    match &discipline.children {
        Children::None => {}
        Children::Leaf(leaf) => standing(leaf, path, always, visit),
        Children::Bands(bands) => {
            for (i, band) in bands.iter().enumerate() {
                let Some(leaf) = &band.leaf else { continue };
                let name = band.name.as_ref().map_or_else(|| i.to_string(), |name| name.value.to_string());
                standing(leaf, &below(path, &name), true, visit);
            }
        }
        Children::Classes(classes) => standing_below(classes, path, visit),
    }
}

fn standing_below<'a>(classes: &'a [Class], path: &str, visit: &mut dyn FnMut(Standing<'a, '_>)) {
    for class in classes {
        let path = below(path, &class.name.value);
        standing_below(&class.classes, &path, visit);
        if let Some(leaf) = &class.leaf {
            standing(leaf, &path, false, visit);
        }
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

/// Packets that no rule takes, where no default catches them. A discipline that hangs on a class gets them if the class is
/// itself the target of a rule or default; a default or a rule for everything that names a class below it catches them.
fn no_default(direction: &Direction, sink: &mut Sink) {
    let mut defaults: Vec<String> = Vec::new();
    standing(&direction.discipline, "", true, &mut |(discipline, path, _)| {
        defaults.extend(discipline.default.as_ref().map(|default| below(path, &default.value)));
    });
    let rules = direction.rules.iter().filter_map(|rule| Some((takes_all(rule), rule.class.as_ref()?.value.as_str())));
    let rules: Vec<(bool, &str)> = rules.collect();
    standing(&direction.discipline, "", true, &mut |(discipline, path, always)| {
        let (Children::Classes(classes), Some(fate)) = (&discipline.children, discipline.options.rest()) else {
            return;
        };
        let come = always || rules.iter().any(|(_, class)| *class == path) || defaults.iter().any(|d| d == path);
        let inside =
            |target: &str| path.is_empty() || target.strip_prefix(path).is_some_and(|end| end.starts_with('/'));
        let caught = defaults.iter().any(|d| inside(d)) || rules.iter().any(|(all, class)| *all && inside(class));
        // what was refused of it may have been the default
        let spoilt = discipline.places.spoilt(discipline.options.as_ref());
        if classes.is_empty() || !come || caught || spoilt {
            return;
        }
        let mut last = None;
        each(classes, &mut |c| {
            if c.classes.is_empty() {
                last = Some(&c.name.value);
            }
        });
        let message = format!("packets that no rule takes {fate}, ARP among them: there is no `default`");
        let d = Diagnostic::new(&NO_DEFAULT, message).at(discipline.kind.span, "");
        sink.push(match last {
            Some(name) => d.help(format!("write `default: {name}`, or name another class")),
            None => d,
        });
    });
}
