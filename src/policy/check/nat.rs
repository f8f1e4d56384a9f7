//! What source NAT and netfilter's place in the stack make of rules: addresses that are not there, hosts that cannot be told
//! apart, marks that nobody has set yet.
//!
//! What leaves is seen after its source was changed; what arrives before its destination is changed back, and before
//! netfilter has given it a mark (`__netif_receive_skb_core` in net/core/dev.c asks tc first).

use super::{Place, Visit, walk};
use crate::codes::{MARK_ON_ARRIVAL, NAT_HOSTS, NAT_SOURCE};
use crate::diagnostic::{Diagnostic, Sink};
use crate::kind::End;
use crate::kind::action::ctinfo::Ctinfo;
use crate::kind::action::skbedit::Skbedit;
use crate::kind::action::{Act, Actions};
use crate::kind::filter::flow::Flow;
use crate::kind::qdisc::cake::Cake;
use crate::policy::model::{Direction, Filter, Ingress, Interface, Rule};
use crate::source::Span;
use crate::syntax::expression::{Field, Item, Test};
use crate::unit::{Flag, Unit};
use std::net::IpAddr;

/// The mark of examples, unless a rule matches it.
const FREE: u64 = 5;
/// So many addresses are taken over into a line that is to be pasted.
const SHOWN: usize = 4;

/// The line that gives what arrives the mark of its connection. In `both` it is a rule among the others: packets have come
/// to the device where they are shaped by then, and still have none.
fn restore(interface: &Interface) -> &'static str {
    match interface.both {
        Some(_) => "rules: [ { do: [ { ctinfo: { cpmark: yes } }, continue ], match: down }, … ]",
        None => "ingress: { rules: [ { do: [ { ctinfo: { cpmark: yes } }, continue ] } ], shape: … }",
    }
}

/// The place of `nat: yes`.
fn masquerades(place: &Place) -> Option<Span> {
    place.interface.link.nat.as_ref().filter(|nat| nat.value).map(|nat| nat.span)
}

/// A private address of this side is gone after source NAT on the way out, and not back yet on the way in.
pub(super) fn addresses(place: &Place, rules: &[Rule], sink: &mut Sink) {
    let Some(nat) = masquerades(place) else { return };
    for expression in rules.iter().filter_map(|rule| rule.matches.as_ref()) {
        expression.value.visit(&mut |test| {
            let (field, side) = if place.arriving { (Field::Dst, "destination") } else { (Field::Src, "source") };
            if (test.field != field && test.field != Field::Host) || !test.items.iter().any(private) {
                return;
            }
            let when = if place.arriving { "before they are changed back" } else { "after they are changed" };
            let message = format!("a private {side} is matched on a link that masquerades: packets are seen {when}");
            let d = Diagnostic::new(&NAT_SOURCE, message).at(test.span, "never there").at(nat, "the link masquerades");
            sink.push(d.help(remedy(place, test, unused(rules))));
        });
    }
}

/// A mark that no rule of a list matches.
fn unused(rules: &[Rule]) -> u64 {
    let mut taken = Vec::new();
    for expression in rules.iter().filter_map(|rule| rule.matches.as_ref()) {
        expression.value.visit(&mut |test| taken.extend(test.items.iter().filter(|_| test.field == Field::Mark)));
    }
    let takes = |mark: u64| {
        taken.iter().any(|item| match item {
            Item::Number(value) => *value == mark,
            Item::Masked(value, mask) => mark & mask == *value,
            _ => false,
        })
    };
    // rules with masks may leave none
    (FREE..FREE + 1000).find(|mark| !takes(*mark)).unwrap_or(FREE)
}

fn remedy(place: &Place, test: &Test, free: u64) -> String {
    let hosts = test.items.iter().filter(|item| private(item));
    let shown: Vec<String> = hosts.clone().take(SHOWN).map(|item| item.show(Field::Src)).collect();
    let more = if hosts.count() > SHOWN { ", …" } else { "" };
    let set = match shown.as_slice() {
        [one] if more.is_empty() => one.clone(),
        several => format!("{{ {}{more} }}", several.join(", ")),
    };
    let mark = format!(
        "match on the interface toward these hosts; or mark their connections before the addresses are changed, and write \
         `match: mark {free}` here:\nnft add rule inet filter forward ip saddr {set} ct mark set {free}\nnft add rule inet filter \
         forward meta mark set ct mark"
    );
    if place.arriving {
        format!("{mark}\nand restore the mark, which comes too late for what arrives: `{}`", restore(place.interface))
    } else {
        mark
    }
}

/// RFC 1918 and RFC 6598.
fn private(item: &Item) -> bool {
    let private = |a: &IpAddr| match a {
        IpAddr::V4(a) => a.is_private() || matches!(a.octets(), [100, b, ..] if b & 0xc0 == 64),
        IpAddr::V6(_) => false,
    };
    match item {
        Item::Prefix(a, length) => *length >= 8 && private(a),
        Item::Addresses(a, b) => private(a) && private(b),
        _ => false,
    }
}

/// Disciplines and filters that would tell hosts apart by an address that all of them share there. `budget` if packets were
/// redirected to get there: the connection is forgotten then (`tcf_mirred_to_dev` in net/sched/act_mirred.c), and what leaves
/// has no address of it that connection tracking could look it up by.
pub(super) fn hosts(place: &Place, direction: &Direction, budget: bool, sink: &mut Sink) {
    let Some(nat) = masquerades(place) else { return };
    let mut found = |at: Span, message: String, help: String| {
        let d = Diagnostic::new(&NAT_HOSTS, message).at(at, "").at(nat, "the link masquerades");
        sink.push(d.help(help));
    };
    walk(&direction.discipline, &mut |visit| {
        let Visit::Discipline(discipline) = visit else { return };
        // hosts of this side are sources of what is sent and destinations of what arrives
        let (own, own_end) = if place.arriving { ("dst", End::Destination) } else { ("src", End::Source) };
        let fair = discipline.fair.as_ref().filter(|fair| fair.end == own_end);
        let cake = discipline.options.as_kind::<Cake>();
        let mode = cake.map(|cake| cake.flowmode.as_ref().map_or_else(|| "triple-isolate".to_owned(), Unit::show));
        let tells = mode.as_deref().is_some_and(|mode| {
            let both = ["hosts", "triple-isolate"].contains(&mode) || mode.starts_with("dual-") && mode.contains(own);
            both || mode == format!("{own}host")
        });
        if budget && !place.arriving && (tells || fair.is_some()) {
            let message =
                "hosts behind these links are one host in a shared budget: their addresses are changed before";
            let help =
                "share on the interface toward the hosts; or give each of them a class here, by a mark of the firewall";
            return found(fair.map_or(discipline.kind.span, |fair| fair.span), message.to_owned(), help.to_owned());
        }
        let (Some(cake), Some(mode)) = (cake, mode) else { return };
        if let Some(fair) = fair.filter(|_| cake.nat == Some(Flag(false))) {
            let message = "`fair` takes all hosts behind this link for one: with `nat: no` cake looks at addresses that are changed";
            found(fair.span, message.to_owned(), "leave `nat: no` out".to_owned());
        } else if cake.nat.is_none() && tells {
            found(
                discipline.kind.span,
                format!(
                    "`cake` takes all hosts behind this link for one: `{mode}` looks at addresses that are changed"
                ),
                "write `nat: yes` in `cake`; or `nat: no`, if it is meant".to_owned(),
            );
        }
    });
    for filter in &direction.filters {
        let Some(key) = filter.options.as_kind::<Flow>().and_then(|flow| masked_key(place, flow)) else { continue };
        found(
            filter.span,
            format!("`flow` takes all hosts behind this link for one: `{key}` is an address that is changed"),
            format!("write `nfct-{key}`, which is the address before that"),
        );
    }
}

/// The key of a `flow` filter that is the same for all hosts.
fn masked_key(place: &Place, flow: &Flow) -> Option<&'static str> {
    let own = if place.arriving { "dst" } else { "src" };
    let keys = flow.keys.as_ref()?.show();
    let has = |key: &str| keys.split(',').any(|k| k.trim() == key);
    (has(own) && !has("nfct-src") && !has("nfct-dst")).then_some(own)
}

/// Marks that are matched where none can be: what arrives has none before netfilter, unless one is restored. `shared` are the
/// rules of the budget that it goes through then.
pub(super) fn marks(interface: &Interface, ingress: &Ingress, shared: &[Rule], sink: &mut Sink) {
    let mut written = ingress.filters.iter().any(may_mark) || ingress.block.is_some();
    let shaped = ingress.shape.iter().flat_map(|shape| &shape.value.rules);
    for rule in ingress.rules.iter().chain(shaped).chain(shared) {
        if let (false, Some(expression)) = (written, &rule.matches) {
            let mut first = None;
            expression.value.visit(&mut |test| {
                if test.field == Field::Mark && first.is_none() {
                    first = Some(test.span);
                }
            });
            if let Some(at) = first {
                let at = if at.is_none() { expression.span } else { at };
                let d =
                    Diagnostic::new(&MARK_ON_ARRIVAL, "what arrives has no mark yet: it is seen here before netfilter");
                let help = format!("give it the mark of its connection first: `{}`", restore(interface));
                sink.push(d.at(at, "").help(help));
                return;
            }
        }
        written |= marks_packets(&rule.actions);
    }
}

/// Whether a filter as it is may give packets a mark: its actions are not looked into.
fn may_mark(filter: &Filter) -> bool {
    let leaves = filter.at.as_ref().is_some_and(|at| at.value == "egress");
    !leaves && filter.options.row("action").is_some_and(|row| filter.options.slot(row).is_some_and(|s| s.is_set()))
}

fn marks_packets(actions: &Actions) -> bool {
    actions.0.iter().any(|act: &Act| match act.name.as_str() {
        "connmark" | "bpf" | "ife" => true,
        "ctinfo" => act.options.as_kind::<Ctinfo>().is_none_or(|info| info.cpmark.is_some()),
        "skbedit" => act.options.as_kind::<Skbedit>().is_none_or(|edit| edit.mark.is_some()),
        _ => act.kind.is_none(),
    })
}
