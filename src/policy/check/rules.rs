//! Rules among each other, and against what a packet looks like where they stand.

use super::{Place, kinds};
use crate::codes::{NAT_SOURCE, UNREACHABLE_RULE};
use crate::diagnostic::{Diagnostic, Sink};
use crate::kind::action::Control;
use crate::policy::model::Rule;
use crate::source::Span;
use crate::syntax::expression::{Expression, Field, Item, Test};
use std::collections::HashMap;
use std::net::IpAddr;

/// How many rules without an exact value are compared with every later one.
const LOOSE: usize = 256;

pub(super) fn check(place: &Place, rules: &[Rule], sink: &mut Sink) {
    for rule in rules {
        kinds::actions(&rule.actions, rule.actions_span, place.facts, sink);
        let nat = place.interface.link.nat.as_ref().filter(|nat| nat.value);
        if let (Some(nat), Some(matches)) = (nat, &rule.matches) {
            masquerade(place, &matches.value, nat.span, sink);
        }
    }
    unreachable(rules, sink);
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

/// Rules that an earlier one leaves no packet for.
///
/// Two rules are compared if they could be: a rule with a single exact value (a port, an address) takes packets from
/// later rules with that value only, so it is found by it. What has no such value is compared with all, for the first
/// [`LOOSE`] of them, and so many of one value.
fn unreachable(rules: &[Rule], sink: &mut Sink) {
    let mut exact: HashMap<Anchor, Vec<&Rule>> = HashMap::new();
    let mut loose: Vec<&Rule> = Vec::new();
    for rule in rules {
        let near = anchors(rule).into_iter().filter_map(|a| exact.get(&a)).flatten();
        if let Some(earlier) = loose.iter().chain(near).find(|earlier| covers_rule(earlier, rule)) {
            let message = match &earlier.matches {
                None => "no packet can reach this rule: an earlier one takes them all".to_owned(),
                Some(_) => "no packet can reach this rule: an earlier one takes all of its packets".to_owned(),
            };
            let d = Diagnostic::new(&UNREACHABLE_RULE, message);
            let d = d.at(matched(rule), "this one").at(matched(earlier), "the earlier one");
            sink.push(d.help("put the narrower rule first, or take one of them out"));
        }
        if !ends(rule) {
            continue;
        }
        match anchor(rule, &exact) {
            Some(anchor) => {
                let same = exact.entry(anchor).or_default();
                if same.len() < LOOSE {
                    same.push(rule);
                }
            }
            None if loose.len() < LOOSE => loose.push(rule),
            None => {}
        }
    }
}

fn matched(rule: &Rule) -> Span {
    rule.matches.as_ref().map_or(rule.span, |m| m.span)
}

/// Whether no later rule is asked after this one.
fn ends(rule: &Rule) -> bool {
    let goes_on = |c: Control| !matches!(c, Control::PASS | Control::DROP | Control::PIPE | Control::STOLEN);
    !rule.actions.0.iter().any(|act| {
        let words = ["control", "exceed", "conform"];
        words.into_iter().any(|word| act.options.value::<Control>(word).is_some_and(goes_on))
    })
}

/// A field with one exact value.
type Anchor = (Field, Item);

fn single(test: &Test) -> Option<Anchor> {
    let [item] = test.items.as_slice() else { return None };
    let exact = match item {
        Item::Number(_) | Item::Mac(_) | Item::Name(_) => true,
        Item::Prefix(a, length) => *length == if a.is_ipv4() { 32 } else { 128 },
        _ => false,
    };
    // a protocol is too common a value to find a rule by
    (exact && !matches!(test.field, Field::Family | Field::Proto)).then(|| (test.field, item.clone()))
}

/// The value by which an earlier rule is found: of several the one that fewest others have.
fn anchor(rule: &Rule, exact: &HashMap<Anchor, Vec<&Rule>>) -> Option<Anchor> {
    let tests: Vec<Anchor> = match &rule.matches.as_ref()?.value {
        Expression::Test(test) => single(test).into_iter().collect(),
        Expression::And(parts) => {
            let single = |p: &Expression| match p {
                Expression::Test(test) => single(test),
                _ => None,
            };
            parts.iter().filter_map(single).collect()
        }
        _ => return None,
    };
    tests.into_iter().min_by_key(|a| exact.get(a).map_or(0, Vec::len))
}

/// The values by which earlier rules may be found that take this one's packets.
fn anchors(rule: &Rule) -> Vec<Anchor> {
    let mut out = Vec::new();
    if let Some(matches) = &rule.matches {
        gather(&matches.value, &mut out);
    }
    out
}

fn gather(expression: &Expression, out: &mut Vec<Anchor>) {
    match expression {
        Expression::And(parts) => parts.iter().for_each(|p| gather(p, out)),
        // an earlier rule must take all alternatives, so its value is in the first of them
        Expression::Or(parts) => parts.iter().take(1).for_each(|p| gather(p, out)),
        Expression::Not(_) => {}
        Expression::Test(test) => {
            for item in test.items.iter().take(1) {
                out.push((test.field, item.clone()));
                match test.field {
                    Field::Src | Field::Dst => out.push((Field::Host, item.clone())),
                    Field::Sport | Field::Dport => out.push((Field::Port, item.clone())),
                    _ => {}
                }
            }
        }
    }
}

fn covers_rule(earlier: &Rule, later: &Rule) -> bool {
    match (&earlier.matches, &later.matches) {
        (None, _) => true,
        (Some(a), Some(b)) => covers(&a.value, &b.value),
        (Some(a), None) => matches!(&a.value, Expression::Test(t) if t.field == Field::Any),
    }
}

/// Whether `a` holds for every packet for which `b` holds; false where that is not plain.
fn covers(a: &Expression, b: &Expression) -> bool {
    use Expression::{And, Not, Or, Test};
    if a == b {
        return true;
    }
    match (a, b) {
        (Test(t), _) if t.field == Field::Any => true,
        (_, Or(parts)) => parts.iter().all(|p| covers(a, p)),
        (And(parts), _) => parts.iter().all(|p| covers(p, b)),
        (Or(parts), _) if parts.iter().any(|p| covers(p, b)) => true,
        (_, And(parts)) => parts.iter().any(|p| covers(a, p)),
        (Not(x), Not(y)) => covers(y, x),
        (Test(x), Test(y)) => covers_test(x, y),
        _ => false,
    }
}

fn covers_test(a: &Test, b: &Test) -> bool {
    let field = a.field == b.field
        || matches!(
            (a.field, b.field),
            (Field::Host, Field::Src | Field::Dst) | (Field::Port, Field::Sport | Field::Dport)
        );
    if a.field == Field::Family && matches!(b.field, Field::Src | Field::Dst | Field::Host) {
        let family = |item: &Item| match item {
            Item::Prefix(a, _) | Item::Addresses(a, _) => Some(if a.is_ipv4() { 4 } else { 6 }),
            _ => None,
        };
        return b.items.iter().all(|i| family(i).is_some_and(|f| a.items.contains(&Item::Number(f))));
    }
    field && !b.items.is_empty() && b.items.iter().all(|b| a.items.iter().any(|a| covers_item(a, b)))
}

fn covers_item(a: &Item, b: &Item) -> bool {
    if a == b {
        return true;
    }
    match (a, b) {
        (Item::Range(from, to), Item::Number(n)) => (from..=to).contains(&n),
        (Item::Range(from, to), Item::Range(a, b)) => from <= a && b <= to,
        (Item::Masked(value, mask), Item::Number(n)) => n & mask == *value,
        (Item::Prefix(..) | Item::Addresses(..), Item::Prefix(..) | Item::Addresses(..)) => {
            let (Some((a, b)), Some((c, d))) = (bounds(a), bounds(b)) else { return false };
            a.is_ipv4() == c.is_ipv4() && a <= c && d <= b
        }
        _ => false,
    }
}

/// First and last address.
fn bounds(item: &Item) -> Option<(IpAddr, IpAddr)> {
    match item {
        Item::Addresses(a, b) => Some((*a, *b)),
        Item::Prefix(a, length) => {
            let net = ipnet::IpNet::new(*a, *length).ok()?;
            Some((net.network(), net.broadcast()))
        }
        _ => None,
    }
}
