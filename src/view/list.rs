//! Held objects one a line, in tc's own words.

use super::tree::object_json;
use crate::diagnostic::visible;
use crate::kind::action::{Act, Actions};
use crate::script;
use crate::tree::{Id, Object, Stats};
use crate::unit::{Handle, Unit};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// One line of a list.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The object.
    pub object: &'a Object,
    /// Its link, where that is not said already.
    pub dev: Option<&'a str>,
    /// The shared block that it is in.
    pub block: Option<u32>,
    /// What the kernel says beside: the users of a qdisc, the handle of the qdisc below a class.
    pub info: u32,
    /// Whether it is a chain of filters.
    pub chain: bool,
}

/// A handle as tc writes it: `:1` below no qdisc.
fn id(handle: Handle) -> String {
    match handle {
        Handle(0) | Handle::ROOT => handle.to_string(),
        h if h.major() == 0 => format!(":{:x}", h.minor()),
        h => h.to_string(),
    }
}

/// One object: `qdisc htb 1: root refcnt 2 r2q 10 default 0x20`, with its counters below if they are wanted.
pub fn item_text(item: Item, statistics: bool) -> String {
    let object = item.object;
    let mut words: Vec<String> = Vec::new();
    let mut say = |text: &[&str]| words.extend(text.iter().map(|word| (*word).to_owned()));
    let place = |parent: Handle| match parent {
        Handle::ROOT => "root".to_owned(),
        Handle::HOOK_INGRESS if matches!(object.id, Id::Filter { .. }) => "ingress".to_owned(),
        Handle::HOOK_EGRESS if matches!(object.id, Id::Filter { .. }) => "egress".to_owned(),
        parent => format!("parent {}", id(parent)),
    };
    match object.id {
        Id::Qdisc { parent, handle } => {
            say(&["qdisc", &object.name, &format!("{:x}:", handle.major())]);
            item.dev.iter().for_each(|dev| say(&["dev", dev]));
            if parent.0 != 0 {
                say(&[&place(parent)]);
            }
            if item.info != 1 {
                say(&["refcnt", &item.info.to_string()]);
            }
            if object.offloaded {
                say(&["offloaded"]);
            }
            for (word, block) in [("ingress_block", object.blocks.ingress), ("egress_block", object.blocks.egress)] {
                if block != 0 {
                    say(&[word, &block.to_string()]);
                }
            }
        }
        Id::Class { parent, handle } => {
            say(&["class", &object.name, &id(handle)]);
            item.dev.iter().for_each(|dev| say(&["dev", dev]));
            // a class at the top hangs on its own qdisc
            say(&[&if parent == Handle::new(handle.major(), 0) { "root".to_owned() } else { place(parent) }]);
            if item.info != 0 {
                say(&["leaf", &format!("{:x}:", item.info >> 16)]);
            }
        }
        Id::Filter { parent, chain, prio, protocol, handle } => {
            say(&[if item.chain { "chain" } else { "filter" }]);
            match item.block {
                Some(block) => say(&["block", &block.to_string()]),
                None => {
                    item.dev.iter().for_each(|dev| say(&["dev", dev]));
                    say(&[&place(parent)]);
                }
            }
            if !item.chain {
                if protocol != 0 {
                    say(&["protocol", &script::protocol_word(protocol)]);
                }
                say(&["pref", &prio.to_string()]);
            }
            if !object.name.is_empty() {
                say(&[&object.name]);
            }
            say(&["chain", &chain.to_string()]);
            if let Some(handle) = script::filter_handle(object, handle) {
                say(&["handle", &handle]);
            }
        }
    }
    object.options.tc(&mut words);
    if let Some(stab) = &object.stab {
        words.extend(script::stab_words(stab));
    }
    let mut out = format!("{}\n", visible(&words.join(" ")));
    if let Some(stats) = object.stats.as_ref().filter(|_| statistics) {
        counters(stats, &mut out);
    }
    out
}

/// The counters, in tc's words, and the kind's own figures by name.
fn counters(stats: &Stats, out: &mut String) {
    let Stats { bytes, packets, drops, overlimits, requeues, backlog, qlen, rate, packet_rate, own } = stats;
    let _ = writeln!(
        out,
        " Sent {bytes} bytes {packets} pkt (dropped {drops}, overlimits {overlimits} requeues {requeues})"
    );
    if let (Some(rate), Some(packets)) = (rate, packet_rate) {
        let _ = writeln!(out, " rate {}bit {packets}pps", rate.saturating_mul(8));
    }
    let _ = writeln!(out, " backlog {backlog}b {qlen}p");
    own_figures(own, out);
}

/// What a kind counts beside.
fn own_figures(own: &[(&'static str, u64)], out: &mut String) {
    if !own.is_empty() {
        let own: Vec<String> = own.iter().map(|(name, figure)| format!("{name} {figure}")).collect();
        let _ = writeln!(out, "  {}", own.join(" "));
    }
}

/// One object for machines.
pub fn item_json(item: Item) -> Value {
    let mut json = object_json(item.object);
    if let Some(map) = json.as_object_mut() {
        if item.chain {
            map.insert("object".into(), json!("chain"));
        }
        if let Some(dev) = item.dev {
            map.insert("dev".into(), json!(dev));
        }
        if let Some(block) = item.block {
            map.insert("block".into(), json!(block));
        }
        match item.object.id {
            Id::Qdisc { .. } => {
                map.insert("refcnt".into(), json!(item.info));
                for (word, block) in
                    [("ingress_block", item.object.blocks.ingress), ("egress_block", item.object.blocks.egress)]
                {
                    if block != 0 {
                        map.insert(word.into(), json!(block));
                    }
                }
            }
            Id::Class { .. } if item.info != 0 => {
                map.insert("leaf".into(), json!(format!("{:x}:", item.info >> 16)));
            }
            _ => {}
        }
    }
    json
}

/// One action, with its counters below if they are wanted.
pub fn act_text(act: &Act, statistics: bool) -> String {
    let mut out = format!("action {}\n", visible(&Actions::one(act.clone()).tc()));
    if let Some(c) = act.counters.as_ref().filter(|_| statistics) {
        let (drops, overlimits, requeues) = (c.drops, c.overlimits, c.requeues);
        let _ = writeln!(
            out,
            " Sent {} bytes {} pkt (dropped {drops}, overlimits {overlimits} requeues {requeues})\n backlog {}b {}p",
            c.bytes, c.packets, c.backlog, c.qlen
        );
        own_figures(&c.own, &mut out);
    }
    out
}

/// One action for machines.
pub fn act_json(act: &Act) -> Value {
    let mut options = serde_json::Map::new();
    for (i, row) in act.options.rows().iter().enumerate() {
        if let Some(text) = act.options.slot(i).and_then(|slot| slot.show()) {
            options.insert(row.word.to_owned(), Value::String(text));
        }
    }
    let mut json = json!({ "object": "action", "kind": act.name.as_str(), "options": options });
    if let (Some(map), Some(c)) = (json.as_object_mut(), &act.counters) {
        let stats = json!({
            "bytes": c.bytes, "packets": c.packets, "drops": c.drops, "overlimits": c.overlimits,
            "requeues": c.requeues, "backlog": c.backlog, "qlen": c.qlen, "rate": c.rate.map(|r| r.saturating_mul(8)),
            "own": c.own.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect::<serde_json::Map<_, _>>(),
        });
        map.insert("stats".into(), stats);
    }
    json
}
