//! Rules among each other, and against what a packet looks like where they stand.

use super::{Place, kinds, list};
use crate::codes::NAT_SOURCE;
use crate::diagnostic::{Diagnostic, Sink};
use crate::policy::model::Rule;
use crate::source::Span;
use crate::syntax::expression::{Expression, Field, Item};
use std::net::IpAddr;

pub(super) fn check(place: &Place, rules: &[Rule], sink: &mut Sink) {
    for rule in rules {
        kinds::actions(&rule.actions, rule.actions_span, place.facts, sink);
        let nat = place.interface.link.nat.as_ref().filter(|nat| nat.value);
        if let (Some(nat), Some(matches)) = (nat, &rule.matches) {
            masquerade(place, &matches.value, nat.span, sink);
        }
    }
    list::unreachable(rules, sink);
}

/// A private address of this side is gone after source NAT on the way out, and not back yet on the way in.
fn masquerade(place: &Place, expression: &Expression, nat: Span, sink: &mut Sink) {
    match expression {
        Expression::And(parts) | Expression::Or(parts) => parts.iter().for_each(|p| masquerade(place, p, nat, sink)),
        Expression::Not(inner) => masquerade(place, inner, nat, sink),
        Expression::Test(test) => {
            let (field, side) = if place.arriving { (Field::Dst, "destination") } else { (Field::Src, "source") };
            if !(test.field == field || test.field == Field::Host) || !test.items.iter().any(private) {
                return;
            }
            let when = if place.arriving { "before they are changed back" } else { "after they are changed" };
            let message = format!("a private {side} is matched on a link that masquerades: packets are seen {when}");
            let d = Diagnostic::new(&NAT_SOURCE, message).at(test.span, "never there").at(nat, "the link masquerades");
            sink.push(d.help(
                "match on the interface toward these hosts, or by a firewall's mark that is set before: `match: mark 5`",
            ));
        }
    }
}

/// RFC 1918 and RFC 6598.
fn private(item: &Item) -> bool {
    let private = |a: &IpAddr| match a {
        IpAddr::V4(a) => a.is_private() || (a.octets()[0] == 100 && a.octets()[1] & 0xc0 == 64),
        IpAddr::V6(_) => false,
    };
    match item {
        Item::Prefix(a, length) => *length >= 8 && private(a),
        Item::Addresses(a, b) => private(a) && private(b),
        _ => false,
    }
}
