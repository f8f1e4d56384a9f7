//! What is wrong or foolish about a policy as a whole: checks that look further than one value. Names are settled when a
//! policy is read ([`super::read`]); what concerns one object alone is said by its kind.

mod budget;
mod classes;
mod kinds;
mod layout;
mod link;
mod list;
mod nat;
mod numbered;
mod quantum;
mod reached;

pub use list::{Summary, summaries};

use super::layout::laid_out;
use super::model::{Children, Class, Direction, Discipline, Interface, Policy, Rule, Shared};
use crate::diagnostic::Sink;
use crate::facts::Facts;
use crate::source::Spanned;
use crate::syntax::expression::Way;
use crate::unit::Rate;
use compact_str::CompactString;

/// Checks a policy. `facts` gives what is known of a link from elsewhere; what the policy says of it in `link:` goes before.
pub fn check(policy: &Policy, facts: &dyn Fn(&str) -> Facts, sink: &mut Sink) {
    sink.check(|sink| whole(policy, facts, sink));
    // otherwise the rest is found when it is compiled
    if sink.has_errors() {
        sink.warn_of_needless();
    }
}

fn whole(policy: &Policy, facts: &dyn Fn(&str) -> Facts, sink: &mut Sink) {
    for interface in &policy.interfaces {
        let machine = facts(&interface.name.value);
        if let Some(egress) = &interface.egress {
            let known = known(interface, Way::Up, &machine);
            let place = Place { interface, facts: &known, machine: &machine, arriving: false };
            direction(&place, egress, sink);
        }
        if let Some(ingress) = &interface.ingress {
            let known = known(interface, Way::Down, &machine);
            let place = Place { interface, facts: &known, machine: &machine, arriving: true };
            if let Some(police) = &ingress.police {
                kinds::actions(&police.value, police.span, &known, sink);
            }
            rules(&place, &ingress.rules, sink);
            nat::marks(interface, ingress, &[], sink);
            kinds::filters(&ingress.filters, &known, sink);
            if let Some(shape) = &ingress.shape {
                direction(&place, &shape.value, sink);
                link::priorities(&shape.value, sink);
            }
        }
    }
    for shared in &policy.shared {
        let (interface, machine) = (Interface::new(shared.name.clone(), shared.name.span), facts(""));
        let place = Place { interface: &interface, facts: &machine, machine: &machine, arriving: true };
        direction(&place, &shared.direction, sink);
        link::priorities(&shared.direction, sink);
        addresses(policy, shared, sink);
    }
    for block in &policy.blocks {
        kinds::filters(&block.filters, &facts(""), sink);
    }
    numbered::check(policy, facts, sink);
}

/// What masquerading makes of a budget's rules and disciplines, on the first link that does so of those whose packets leave
/// through it, and of those whose packets arrive; and what arrives has no marks.
fn addresses(policy: &Policy, shared: &Shared, sink: &mut Sink) {
    let (direction, nothing) = (&shared.direction, Facts::default());
    let through = |name: &Option<Spanned<CompactString>>| name.as_ref().is_some_and(|n| n.value == shared.name.value);
    let leaving = |i: &&Interface| through(&i.shared);
    let arriving = |i: &&Interface| i.ingress.as_ref().is_some_and(|i| through(&i.shared));
    let masquerades = |i: &&Interface| i.link.nat.as_ref().is_some_and(|nat| nat.value);
    let all = || policy.interfaces.iter();
    for (interface, arriving) in
        [(all().filter(leaving).find(masquerades), false), (all().filter(arriving).find(masquerades), true)]
    {
        let Some(interface) = interface else { continue };
        let place = Place { interface, facts: &nothing, machine: &nothing, arriving };
        nat::addresses(&place, &direction.rules, sink);
        nat::hosts(&place, direction, true, sink);
    }
    if let Some(interface) = all().find(arriving)
        && let Some(ingress) = &interface.ingress
    {
        nat::marks(interface, ingress, &direction.rules, sink);
    }
}

/// Where a direction stands.
struct Place<'a> {
    interface: &'a Interface,
    /// What is known of the link, the policy's word first.
    facts: &'a Facts,
    /// What is known of the device from the machine alone.
    machine: &'a Facts,
    /// Whether it shapes what arrives, on an ifb.
    arriving: bool,
}

impl Place<'_> {
    /// The link's true speed this way, if the policy says it.
    fn speed(&self) -> Option<Spanned<Rate>> {
        self.interface.link.speed(if self.arriving { Way::Down } else { Way::Up })
    }
}

fn known(interface: &Interface, way: Way, machine: &Facts) -> Facts {
    let link = &interface.link;
    let mut facts = machine.clone();
    facts.speed = link.speed(way).map(|r| r.value).or(facts.speed);
    facts.txqueuelen = link.txqueuelen.as_ref().map_or(facts.txqueuelen, |n| n.value);
    facts
}

fn direction(place: &Place, direction: &Direction, sink: &mut Sink) {
    kinds::discipline(&direction.discipline, place.facts, sink);
    classes::check(place, direction, sink);
    layout::check(&direction.discipline, sink);
    // what is counted a discipline is counted as it is laid out
    let laid_out = laid_out(&direction.discipline, &|_| false);
    classes::depths(&laid_out, sink);
    quantum::check(&laid_out, sink);
    budget::check(&laid_out, sink);
    link::check(place, &direction.discipline, sink);
    rules(place, &direction.rules, sink);
    nat::hosts(place, direction, false, sink);
    reached::check(direction, sink);
    kinds::filters(&direction.filters, place.facts, sink);
}

fn rules(place: &Place, rules: &[Rule], sink: &mut Sink) {
    for rule in rules {
        kinds::actions(&rule.actions, rule.actions_span, place.facts, sink);
    }
    nat::addresses(place, rules, sink);
    list::unreachable(rules, sink);
    list::groups(rules, sink);
}

/// A discipline or a class.
enum Visit<'a> {
    Discipline(&'a Discipline),
    Class(&'a Class),
}

/// Calls `visit` for a discipline and all that hangs below it, from the top.
fn walk<'a>(discipline: &'a Discipline, visit: &mut dyn FnMut(Visit<'a>)) {
    visit(Visit::Discipline(discipline));
    match &discipline.children {
        Children::None => {}
        Children::Classes(classes) => walk_classes(classes, visit),
        Children::Bands(bands) => bands.iter().filter_map(|b| b.leaf.as_ref()).for_each(|d| walk(d, visit)),
        Children::Leaf(leaf) => walk(leaf, visit),
    }
}

fn walk_classes<'a>(classes: &'a [Class], visit: &mut dyn FnMut(Visit<'a>)) {
    for class in classes {
        visit(Visit::Class(class));
        walk_classes(&class.classes, visit);
        if let Some(leaf) = &class.leaf {
            walk(leaf, visit);
        }
    }
}

#[cfg(test)]
mod tests;
