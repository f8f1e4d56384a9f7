//! Every kind, one line each.

use super::{Kind, Options, Role, Row, action, filter, qdisc, raw};
use crate::syntax::{self, Arity};
use crate::unit::Schema;

/// All kinds: disciplines, filters, actions.
static KINDS: &[&Kind] = &[
    &qdisc::htb::KIND,
    &qdisc::tbf::KIND,
    &qdisc::sfq::KIND,
    &qdisc::prio::KIND,
    &qdisc::hfsc::KIND,
    &qdisc::drr::KIND,
    &qdisc::qfq::KIND,
    &qdisc::ets::KIND,
    &qdisc::dualpi2::KIND,
    &qdisc::multiq::KIND,
    &qdisc::mqprio::KIND,
    &qdisc::taprio::KIND,
    &qdisc::pfifo::KIND,
    &qdisc::bfifo::KIND,
    &qdisc::pfifo_head_drop::KIND,
    &qdisc::fq_codel::KIND,
    &qdisc::codel::KIND,
    &qdisc::fq::KIND,
    &qdisc::pie::KIND,
    &qdisc::fq_pie::KIND,
    &qdisc::cake::KIND,
    &qdisc::cake_mq::KIND,
    &qdisc::netem::KIND,
    &qdisc::red::KIND,
    &qdisc::hhf::KIND,
    &qdisc::sfb::KIND,
    &qdisc::choke::KIND,
    &qdisc::gred::KIND,
    &qdisc::skbprio::KIND,
    &qdisc::plug::KIND,
    &qdisc::cbs::KIND,
    &qdisc::etf::KIND,
    &qdisc::ingress::KIND,
    &qdisc::clsact::KIND,
    &qdisc::pfifo_fast::KIND,
    &qdisc::noqueue::KIND,
    &qdisc::mq::KIND,
    &qdisc::teql::KIND,
    &filter::u32::KIND,
    &filter::fw::KIND,
    &filter::matchall::KIND,
    &filter::flower::KIND,
    &filter::basic::KIND,
    &filter::bpf::KIND,
    &filter::flow::KIND,
    &filter::route::KIND,
    &filter::cgroup::KIND,
    &action::police::KIND,
    &action::mirred::KIND,
    &action::gact::KIND,
    &action::skbedit::KIND,
    &action::skbmod::KIND,
    &action::csum::KIND,
    &action::vlan::KIND,
    &action::mpls::KIND,
    &action::nat::KIND,
    &action::connmark::KIND,
    &action::ctinfo::KIND,
    &action::sample::KIND,
    &action::simple::KIND,
    &action::pedit::KIND,
    &action::tunnel_key::KIND,
    &action::ct::KIND,
    &action::gate::KIND,
    &action::ife::KIND,
    &action::bpf::KIND,
];

/// All kinds of a role.
pub fn all(role: Role) -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().copied().filter(move |k| k.role == role)
}

/// The kind of that name and role.
pub fn find(role: Role, name: &str) -> Option<&'static Kind> {
    all(role).find(|k| k.name == name)
}

/// All kinds of a role that a policy may name: `raw`, which stands for those that no file here knows, is one more.
pub fn in_policies(role: Role) -> impl Iterator<Item = &'static Kind> {
    let raw = match role {
        Role::Qdisc => &raw::QDISC,
        Role::Filter => &raw::FILTER,
        Role::Action => &raw::ACTION,
    };
    all(role).chain([raw])
}

/// The trade's words for the DSL reader, from the rows.
pub struct Words;

fn is_flag(options: &dyn Options, word: &str) -> bool {
    // a value that stands without its row's word: `push` of `vlan push id 5`
    let bare = |row: &Row| row.bare && matches!(row.unit.schema, Schema::OneOf(values) if values.contains(&word));
    options.rows().iter().any(|r: &Row| r.flag && r.is(word) || bare(r))
}

impl syntax::Vocabulary for Words {
    fn is_discipline(&self, word: &str) -> bool {
        in_policies(Role::Qdisc).any(|k| k.writable && k.name == word)
    }

    fn action(&self, word: &str) -> Option<Arity> {
        action::arity(word)
    }

    fn is_flag(&self, owner: &str, word: &str) -> bool {
        if owner == "link" {
            return is_flag(&super::link::Link::default(), word);
        }
        if let Some(kind) = owner.strip_suffix(" filter") {
            return find(Role::Filter, kind).is_some_and(|k| is_flag((k.options)().as_ref(), word));
        }
        if let Some(kind) = owner.strip_suffix(" class") {
            let class = find(Role::Qdisc, kind).and_then(|k| k.class);
            return class.is_some_and(|fresh| is_flag(fresh().as_ref(), word));
        }
        let kind = find(Role::Qdisc, owner).or_else(|| find(Role::Action, owner));
        kind.is_some_and(|k| is_flag((k.options)().as_ref(), word))
    }
}
