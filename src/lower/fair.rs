//! Equal shares for hosts that nobody lists: the filter that puts each host's packets into one queue of a fair discipline.
//!
//! `cake` tells hosts by itself. Others have a number of queues, and a `flow` filter hashes an address to one of them; two
//! hosts whose hashes meet share a queue until the hash is made anew.

use super::arena::DisciplineNode;
use super::origin;
use crate::facts::Facts;
use crate::kind::filter::flow::{self, Flow, Keys};
use crate::kind::{End, Fairness};
use crate::tree::{Id, Object};
use crate::unit::{Flag, Handle, Number, Seconds};
use std::collections::HashSet;

/// `ETH_P_ALL`.
const ALL: u16 = 3;
/// How often a hash is made anew where nobody says: seconds.
const PERTURB: u64 = 10;

/// The filter of a discipline that shares by host, if it wants one. `given` are filters that a policy writes as they are.
pub fn filter(node: &DisciplineNode, given: &[Object], facts: &Facts) -> Option<Object> {
    let fair = node.source.fair.as_ref()?;
    let mut options = node.source.options.clone();
    let Fairness::Queues(queues) = options.fair_by(fair.end, fair.nat) else { return None };
    let key = match (fair.end, fair.nat) {
        (End::Source, false) => "src",
        (End::Destination, false) => "dst",
        (End::Source, true) => "nfct-src",
        (End::Destination, true) => "nfct-dst",
    };
    let perturb = fair.perturb.map_or(PERTURB, |s| s.0);
    let mut flow = Flow {
        hash: Some(Flag(true)),
        keys: Keys::named(key),
        divisor: Some(Number(queues)),
        baseclass: Some(Handle::new(node.major, 1)),
        perturb: Some(Seconds(perturb)).filter(|_| perturb != 0),
        ..Flow::default()
    };
    crate::kind::Options::complete(&mut flow, facts);
    let parent = node.handle();
    let taken: HashSet<u16> = given
        .iter()
        .filter_map(|o| match o.id {
            Id::Filter { parent: p, prio, .. } if p == parent => Some(prio),
            _ => None,
        })
        .collect();
    let prio = (1..).find(|n| !taken.contains(n)).unwrap_or(1);
    let id = Id::Filter { parent, chain: 0, prio, protocol: ALL, handle: 1 };
    let mut object = Object::new(id, &flow::KIND, Box::new(flow));
    let anew = if perturb == 0 { "for good".to_owned() } else { format!("for {perturb} s at most") };
    let remark = format!("a queue for each host, told by {key}; two of them meet in one of {queues} queues {anew}");
    object.origin = origin(fair.span, node.path.clone(), vec![remark]);
    Some(object)
}
