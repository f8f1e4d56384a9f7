//! Which classes packets are sent to, and where those go that no rule takes.

use super::list::SHOWN;
use crate::codes::UNREACHED_CLASS;
use crate::diagnostic::{Diagnostic, Sink};
use crate::facts::Facts;
use crate::policy::model::{Children, Class, Direction, Discipline, Ingress};
use crate::source::Span;
use crate::unit::NumberList;
use foldhash::HashSet;
use std::collections::BTreeSet;

/// Classes and bands that no rule, default, priority or filter names. That a rule gets no packets is said of the rule.
///
/// A class with an `id` can be meant by its number from outside: a firewall's CLASSIFY, a socket's priority, net_cls. Where
/// there is neither rule nor filter, others sort the packets, or the policy is not done yet.
pub(super) fn check(direction: &Direction, sink: &mut Sink) {
    // a filter that names no class chooses by number, or computes one
    let by_number = direction.filters.iter().any(|filter| filter.class.is_none());
    let unsorted = direction.rules.is_empty() && direction.filters.is_empty();
    // where a name is wrong, the class that was meant is not to blame
    if by_number || unsorted || sink.has_errors() {
        return;
    }
    let mut sent = Sent::default();
    let rules = direction.rules.iter().filter_map(|r| r.class.as_ref());
    for class in rules.chain(direction.filters.iter().filter_map(|f| f.class.as_ref())) {
        sent.add("", &class.value);
    }
    let mut found = Vec::new();
    below(&direction.discipline, "", &mut sent, &mut found);
    let Some((name, first)) = found.first() else { return };
    let message = match found.len() {
        1 => format!("no packet is sent to `{name}`: no rule, no default and no priority leads there"),
        n => format!("no packet is sent to {n} of the classes: no rule, no default and no priority leads there"),
    };
    let mut d = Diagnostic::new(&UNREACHED_CLASS, message).at(*first, "");
    for (i, (_, span)) in found.iter().enumerate().take(SHOWN).skip(1) {
        let more = found.len() - SHOWN.min(found.len());
        d = d.at(*span, if i + 1 == SHOWN && more > 0 { format!("and {more} more") } else { String::new() });
    }
    let help = format!(
        "write a rule, `{{ class: {name}, match: … }}`; or give it an `id`, if others send packets to it by number"
    );
    sink.push(d.help(help));
}

/// Classes that packets are sent to, and those that they pass on the way.
#[derive(Default)]
struct Sent {
    paths: HashSet<String>,
}

impl Sent {
    /// Takes note of a class that something at `above` leads to.
    fn add(&mut self, above: &str, path: &str) {
        let mut end = path.len();
        while end > above.len() {
            let Some(part) = path.get(..end) else { return };
            if !self.paths.insert(part.to_owned()) {
                return;
            }
            end = part.rfind('/').unwrap_or(0);
        }
    }

    fn has(&self, path: &str) -> bool {
        self.paths.contains(path)
    }
}

fn join(above: &str, name: &str) -> String {
    if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") }
}

/// Looks at the classes below a discipline that packets come to.
fn below(discipline: &Discipline, above: &str, sent: &mut Sent, found: &mut Vec<(String, Span)>) {
    if let Some(default) = &discipline.default {
        sent.add(above, &join(above, &default.value));
    }
    match &discipline.children {
        Children::None => {}
        Children::Leaf(leaf) => below(leaf, above, sent, found),
        Children::Classes(classes) => {
            // a default may be a number that a class has
            if discipline.default_number.is_none() {
                classes.iter().for_each(|class| in_class(class, above, sent, found));
            }
        }
        Children::Bands(bands) => {
            let mapped = mapped(discipline, bands.len());
            for (i, band) in bands.iter().enumerate() {
                let name = band.name.as_ref().map_or_else(|| i.to_string(), |name| name.value.to_string());
                let path = join(above, &name);
                let comes = mapped.as_ref().is_none_or(|bands| bands.contains(&i)) || sent.has(&path);
                match (&band.leaf, comes) {
                    (Some(leaf), true) => below(leaf, &path, sent, found),
                    (_, true) => {}
                    (_, false) => {
                        let span = band.name.as_ref().map_or(discipline.kind.span, |name| name.span);
                        found.push((path, span));
                    }
                }
            }
        }
    }
}

fn in_class(class: &Class, above: &str, sent: &mut Sent, found: &mut Vec<(String, Span)>) {
    let path = join(above, &class.name.value);
    class.classes.iter().for_each(|c| in_class(c, &path, sent, found));
    if !class.classes.is_empty() {
        return;
    }
    if sent.has(&path) || class.id.is_some() {
        if let Some(leaf) = &class.leaf {
            below(leaf, &path, sent, found);
        }
    } else {
        found.push((path, class.name.span));
    }
}

/// The bands of a priomap; `None` if something else chooses.
fn mapped(discipline: &Discipline, bands: usize) -> Option<BTreeSet<usize>> {
    if discipline.options.band_by_queue() {
        return None;
    }
    let mut options = discipline.options.clone();
    let row = options.row("bands")?;
    if let Some(slot) = options.slot_mut(row).filter(|slot| !slot.is_set()) {
        slot.set_number(bands as u64);
    }
    options.assume(&Facts::default());
    let NumberList(map) = options.value("priomap")?;
    Some(map.into_iter().map(usize::from).collect())
}

/// Where packets go that no rule takes.
pub(super) fn rest(direction: &Direction) -> String {
    let asked = match direction.filters.len() {
        0 => String::new(),
        n => format!("asks {n} of `filters`; then "),
    };
    format!("{asked}{}", goes(&direction.discipline, ""))
}

fn goes(discipline: &Discipline, above: &str) -> String {
    let kind = discipline.kind.value.name;
    if let Some(default) = &discipline.default {
        let path = join(above, &default.value);
        return match leaf_of(&discipline.children, &default.value) {
            Some(leaf) if !matches!(leaf.children, Children::None) => {
                format!("goes to `{path}`, the default of `{kind}`, and there {}", goes(leaf, &path))
            }
            _ => format!("goes to `{path}`, the default of `{kind}`"),
        };
    }
    if let Some(number) = discipline.default_number {
        return format!("goes to class {number:#x} by number, the default of `{kind}`");
    }
    match &discipline.children {
        Children::Classes(_) => match discipline.options.rest() {
            Some("leave unshaped") => format!("leaves unshaped: `{kind}` has no default"),
            Some("are dropped") => format!("is dropped: `{kind}` has no default"),
            _ => format!("is for `{kind}` to decide"),
        },
        Children::Bands(bands) => match mapped(discipline, bands.len()) {
            Some(_) => format!("goes to the bands of `{kind}` by its priority (the priomap)"),
            None => format!("goes to the bands of `{kind}` by its queue"),
        },
        Children::Leaf(leaf) => goes(leaf, above),
        Children::None => format!("stays in `{kind}`"),
    }
}

/// The leaf of the class with that path.
fn leaf_of<'a>(children: &'a Children, path: &str) -> Option<&'a Discipline> {
    let mut classes = match children {
        Children::Classes(classes) => classes,
        _ => return None,
    };
    let mut rest = path;
    loop {
        let name =
            |c: &&Class| rest.strip_prefix(c.name.value.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('/'));
        let class = classes.iter().find(name)?;
        rest = rest.strip_prefix(class.name.value.as_str())?.trim_start_matches('/');
        if rest.is_empty() {
            return class.leaf.as_deref();
        }
        if class.classes.is_empty() {
            return leaf_of(&class.leaf.as_deref()?.children, rest);
        }
        classes = &class.classes;
    }
}

/// Where packets go that arrive, and that no rule takes.
pub(super) fn rest_of_arriving(ingress: &Ingress) -> String {
    let mut steps: Vec<String> = Vec::new();
    if !ingress.filters.is_empty() {
        steps.push(format!("asks {} of `filters`", ingress.filters.len()));
    }
    if ingress.police.is_some() {
        steps.push("comes to `police`".to_owned());
    }
    steps.push(match &ingress.shape {
        Some(_) => "is shaped".to_owned(),
        None => "goes on to the machine".to_owned(),
    });
    steps.join(", then ")
}
