//! What the link makes of a policy: overhead said twice, queues that never form, priorities that are not there yet.

use super::{Place, Visit, walk};
use crate::codes::{BANDS_RANGE, NO_CHILDREN, OUT_OF_RANGE, SFQ_AT_ROOT, STAB_AND_OVERHEAD, TOS_ON_IFB};
use crate::diagnostic::{Diagnostic, Sink};
use crate::policy::model::{Children, Direction, Discipline};
use crate::unit::Unit;

/// How much faster than its bottleneck a device may be before queues no longer form in it.
const MUCH_FASTER: u64 = 2;

pub(super) fn check(place: &Place, discipline: &Discipline, sink: &mut Sink) {
    overheads(place, discipline, sink);
    counted_by_itself(place, discipline, sink);
    queues(place, discipline, sink);
    at_root(discipline, sink);
    fair_alone(place, discipline, sink);
}

fn overheads(place: &Place, discipline: &Discipline, sink: &mut Sink) {
    let Some(stab) = &place.interface.link.stab else { return };
    walk(discipline, &mut |visit| {
        let (options, places) = match visit {
            Visit::Discipline(d) => (&d.options, &d.places),
            Visit::Class(c) => (&c.options, &c.places),
        };
        let written = ["overhead", "mpu", "linklayer", "atm", "raw"].into_iter().find_map(|word| {
            let row = options.row(word)?;
            Some((word, places.get(row)?))
        });
        if let Some((word, at)) = written {
            let message = format!("`{word}` is said here and of the link: packets would be charged twice");
            let d = Diagnostic::new(&STAB_AND_OVERHEAD, message).at(at, "here").at(stab.span, "and for the whole link");
            sink.push(d.help(format!("leave `{word}` out here: `link:` counts for everything below")));
        }
    });
}

/// What a kind that counts by itself cannot count.
fn counted_by_itself(place: &Place, discipline: &Discipline, sink: &mut Sink) {
    let link = &place.interface.link;
    let (Some(stab), None) = (&link.stab, &discipline.stab) else { return };
    let mut own = discipline.options.boxed();
    if !own.count_as(link.packing(), stab.value.overhead, stab.value.mpu) {
        return;
    }
    let mut found = Vec::new();
    own.check(place.facts, &mut found);
    found.retain(|f| f.code == &OUT_OF_RANGE && f.rows.first().is_some_and(|(w, _)| ["overhead", "mpu"].contains(w)));
    for finding in found {
        let d = Diagnostic::new(finding.code, finding.message).at(stab.span, "").at(discipline.kind.span, "counts it");
        sink.push(d.help(finding.help.unwrap_or_else(|| "write fewer bytes".to_owned())));
    }
}

/// Bands that are the device's transmit queues.
fn queues(place: &Place, discipline: &Discipline, sink: &mut Sink) {
    let (Children::Bands(bands), None) = (&discipline.children, discipline.options.bands()) else { return };
    let queues = place.facts.queues as usize;
    // where no machine is looked at there is one
    if queues > 1 && bands.len() > queues {
        let (name, of) = (discipline.kind.value.name, bands.len());
        let message =
            format!("`{name}` has a band for each of the device's {queues} transmit queues, and {of} are written");
        let d = Diagnostic::new(&BANDS_RANGE, message).at(discipline.kind.span, "");
        sink.push(d.help("leave some out, or give the device more queues: `ethtool -L`"));
    }
}

/// Disciplines that the kernel puts nowhere but at the root, because they are the device's queues.
fn at_root(root: &Discipline, sink: &mut Sink) {
    walk(root, &mut |visit| {
        let Visit::Discipline(discipline) = visit else { return };
        if discipline.options.root_only() && !std::ptr::eq(discipline, root) {
            let name = discipline.kind.value.name;
            let message = format!("`{name}` stands at the root of a device only");
            let d = Diagnostic::new(&NO_CHILDREN, message).at(discipline.kind.span, "").at(root.kind.span, "the root");
            sink.push(d.help(format!("write `egress: {name}`, or another discipline here")));
        }
    });
}

/// A fair queue without a shaper does something only where packets wait.
fn fair_alone(place: &Place, discipline: &Discipline, sink: &mut Sink) {
    if discipline.kind.value.name != "sfq" || place.arriving {
        return;
    }
    let link = place.speed();
    let message = match (link, place.machine.speed) {
        (None, _) => "`sfq` alone shares nothing if the bottleneck is behind this link, in a modem for one".to_owned(),
        (Some(link), Some(device)) if device.0 > link.value.0.saturating_mul(MUCH_FASTER) => format!(
            "the device sends at {} and the link at {}: the queue forms behind `sfq`, not in it",
            device.show(),
            link.value.show()
        ),
        _ => return,
    };
    let rate = link.map_or_else(|| "RATE".to_owned(), |l| l.value.percent(95.0).show());
    let d = Diagnostic::new(&SFQ_AT_ROOT, message).at(discipline.kind.span, "");
    let d = d.at(link.map_or(crate::source::Span::NONE, |l| l.span), "the link's rate");
    let shaper = format!("`tbf: {{ rate: {rate}, burst: 5kb, latency: 50ms, leaf: sfq }}`");
    sink.push(d.help(match link {
        None => format!("slow down to just under the bottleneck with {shaper}; if this link is the bottleneck, say its rate: `link: {{ rate: … }}`"),
        Some(_) => format!("slow down to just under the bottleneck with {shaper}"),
    }));
}

/// On an ifb packets have not been given a priority from their TOS yet, so a priomap sees 0 for all of them.
pub(super) fn priorities(direction: &Direction, sink: &mut Sink) {
    let discipline = &direction.discipline;
    let map = discipline.options.row("priomap").and_then(|row| discipline.places.get(row));
    let (Some(at), true) = (map, direction.rules.is_empty()) else { return };
    let message = "what arrives has no priority yet, so one band takes all of it";
    let d = Diagnostic::new(&TOS_ON_IFB, message).at(at, "the bands by priority").at(discipline.kind.span, "");
    sink.push(d.help("choose bands by rules: `rules: [ { class: high, match: tos minimize-delay } ]`"));
}
