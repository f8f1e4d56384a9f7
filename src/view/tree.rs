//! The picture of what stands.

use super::{Paint, bytes};
use crate::diagnostic::visible;
use crate::kind::action::{Act, Actions};
use crate::script;
use crate::tree::Names;
use crate::tree::{Branch, Id, Object, Stats, Tree};
use crate::unit::{Handle, Rate, Unit};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fmt::Write;

/// The objects of a branch by what they hang on, in order.
fn children(branch: &Branch) -> HashMap<Handle, Vec<&Object>> {
    let mut map: HashMap<Handle, Vec<&Object>> = HashMap::new();
    for object in &branch.objects {
        map.entry(object.id.parent()).or_default().push(object);
    }
    map
}

fn counters(object: &Object, stats: &Stats) -> String {
    if matches!(object.id, Id::Filter { .. }) {
        let own = stats.own.iter().filter(|(_, n)| *n > 0);
        return own.map(|(word, n)| format!("{n} {word}")).collect::<Vec<_>>().join(", ");
    }
    let mut said = format!("{}, {} packets", bytes(stats.bytes), stats.packets);
    if let Some(rate) = stats.rate.filter(|r| *r > 0) {
        let _ = write!(said, ", now {}", human_rate(Rate::from_bytes(rate)));
    }
    for (word, n) in [("dropped", stats.drops), ("over limit", stats.overlimits), ("waiting", stats.qlen)] {
        if n > 0 {
            let _ = write!(said, ", {n} {word}");
        }
    }
    said
}

/// A rate to three figures: `1.23 Mbit/s`.
fn human_rate(rate: Rate) -> String {
    let mut value = rate.0 as f64;
    for unit in ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"] {
        if value < 1000.0 {
            return format!("{value:.3} {unit}").replace(".000 ", " ");
        }
        value /= 1000.0;
    }
    format!("{value:.3} Tbit/s")
}

/// The options in tc's words, without those that have the kernel's constant default.
fn options(object: &Object) -> String {
    let fresh = match (object.id, object.kind) {
        (Id::Class { .. }, Some(kind)) => kind.class.map(|fresh| fresh()),
        (_, Some(kind)) => Some((kind.options)()),
        (_, None) => None,
    };
    let mut shown = object.options.clone();
    if let Some(mut plain) = fresh {
        plain.assume_constants();
        for (i, row) in plain.rows().iter().enumerate() {
            let (Some(default), Some(slot)) = (plain.slot(i), shown.slot_mut(i)) else { continue };
            if row.default.is_some() && slot.same(default) {
                slot.clear();
            }
        }
    }
    let mut words = Vec::new();
    shown.tc(&mut words);
    visible(&words.join(" "))
}

struct Drawer<'a> {
    interface: &'a str,
    names: &'a Names,
    colors: Paint,
    children: HashMap<Handle, Vec<&'a Object>>,
    out: String,
}

impl Drawer<'_> {
    fn label(&self, object: &Object) -> String {
        let name = object.handle().and_then(|h| self.names.get(self.interface, h));
        let options = options(object);
        let named = name.map(|n| format!("{} ", self.colors.name(&visible(n)))).unwrap_or_default();
        match object.id {
            Id::Qdisc { handle, .. } if handle.0 == 0 => {
                format!("{} {}", visible(&object.name), self.colors.faint(&options))
            }
            Id::Qdisc { handle, .. } => format!("{} {handle} {options}", visible(&object.name)),
            Id::Class { handle, .. } => format!("{named}{handle} {options}"),
            Id::Filter { chain, .. } if object.template => {
                self.colors.faint(&format!("template of chain {chain}: {} {options}", visible(&object.name)))
            }
            Id::Filter { chain, prio, protocol, handle, .. } => {
                let number = script::filter_handle(object, handle).unwrap_or_default();
                let protocol = format!("{}{}", script::protocol_word(protocol), super::of_chain(chain));
                let hardware = if object.offloaded { " in hardware" } else { "" };
                self.colors.faint(&format!("{} {prio} {protocol} {number} {options}{hardware}", visible(&object.name)))
            }
        }
    }

    fn draw(&mut self, object: &Object, prefix: &str, last: bool, depth: usize) {
        let (corner, bar) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let label = self.label(object);
        let _ = writeln!(self.out, "{prefix}{corner}{}", label.trim_end());
        let prefix = format!("{prefix}{bar}");
        let below = object.handle().and_then(|h| self.children.remove(&h)).unwrap_or_default();
        let moved = |s: &Stats| s.packets > 0 || s.drops > 0 || s.qlen > 0;
        let hit = |s: &Stats| matches!(object.id, Id::Filter { .. }) && s.own.iter().any(|(_, n)| *n > 0);
        if let Some(stats) = object.stats.as_deref().filter(|s| moved(s) || hit(s)) {
            let bar = if below.is_empty() { "   " } else { "│  " };
            let _ = writeln!(self.out, "{prefix}{bar}{}", self.colors.faint(&counters(object, stats)));
        }
        for act in actions(object) {
            let Some(counters) = act.counters.as_ref().filter(|c| c.packets > 0) else { continue };
            let bar = if below.is_empty() { "   " } else { "│  " };
            let mut said = format!("{}: {}, {} packets", visible(&act.name), bytes(counters.bytes), counters.packets);
            for (word, n) in [("dropped", counters.drops), ("over limit", counters.overlimits)] {
                if n > 0 {
                    let _ = write!(said, ", {n} {word}");
                }
            }
            if let Some((_, packets)) = counters.hardware.filter(|(_, packets)| *packets > 0) {
                let _ = write!(said, ", {packets} in hardware");
            }
            let _ = writeln!(self.out, "{prefix}{bar}{}", self.colors.faint(&said));
        }
        // the kernel's trees are a few levels deep; a dump that says otherwise is cut off
        if depth > 64 {
            return;
        }
        let count = below.len();
        for (i, child) in below.into_iter().enumerate() {
            self.draw(child, &prefix, i + 1 == count, depth + 1);
        }
    }
}

/// The trees of some interfaces, drawn as trees.
pub fn tree_text(tree: &Tree, names: &Names, colors: Paint) -> String {
    let mut out = String::new();
    for (name, interface) in &tree.interfaces {
        let _ = write!(out, "{}", colors.name(&visible(name)));
        let link = &interface.link;
        let mut facts = Vec::new();
        facts.extend(link.kind.as_ref().map(ToString::to_string));
        facts.extend(link.mtu.map(|n| format!("mtu {n}")));
        facts.extend(link.txqueuelen.map(|n| format!("txqueuelen {n}")));
        facts.extend(link.alias.as_ref().map(|a| format!("alias {}", visible(a))));
        if link.up == Some(false) {
            facts.push("down".into());
        }
        let _ = writeln!(out, "  {}", colors.faint(&facts.join(", ")));
        for (direction, branch) in [("egress", &interface.egress), ("ingress", &interface.ingress)] {
            let Some(branch) = branch.as_ref().filter(|b| !b.objects.is_empty()) else { continue };
            let _ = writeln!(out, "  {direction}");
            let mut drawer = Drawer { interface: name, names, colors, children: children(branch), out: String::new() };
            // filters of the hook hang on its two directions, not on its own handle
            let mut hooked = drawer.children.remove(&Handle::HOOK_INGRESS).unwrap_or_default();
            hooked.extend(drawer.children.remove(&Handle::HOOK_EGRESS).unwrap_or_default());
            drawer.children.entry(Handle::HOOK).or_default().extend(hooked);
            for top in [Handle::ROOT, Handle::INGRESS] {
                let roots = drawer.children.remove(&top).unwrap_or_default();
                let count = roots.len();
                for (i, object) in roots.into_iter().enumerate() {
                    drawer.draw(object, "  ", i + 1 == count, 0);
                }
            }
            // what hangs on something that is not there is drawn all the same
            drawer.children.retain(|_, list| !list.is_empty());
            let mut rest: Vec<_> = drawer.children.keys().copied().collect();
            rest.sort_unstable();
            for parent in rest {
                for object in drawer.children.remove(&parent).unwrap_or_default() {
                    drawer.draw(object, "  ", true, 0);
                }
            }
            out.push_str(&drawer.out);
        }
    }
    out
}

/// The options that are set, by word, in the policy's spelling.
fn options_json(object: &Object) -> Value {
    let mut map = Map::new();
    // what the kernel counts is no option
    for (i, row) in object.options.rows().iter().enumerate().filter(|(_, r)| !(r.hidden && r.tool)) {
        if let Some(text) = object.options.slot(i).and_then(|s| s.show()) {
            map.insert(row.word.to_owned(), Value::String(text));
        }
    }
    Value::Object(map)
}

/// The actions of a filter.
fn actions(object: &Object) -> Vec<Act> {
    object.options.value::<Actions>("action").map(|actions| actions.0).unwrap_or_default()
}

/// An action of a held filter, with what it has counted.
fn act_json(act: &Act) -> Value {
    let options = act.options.rows().iter().enumerate();
    let options = options.filter_map(|(i, row)| Some((row.word, act.options.slot(i)?.show()?)));
    let options: Map<String, Value> = options.map(|(word, text)| (word.to_owned(), Value::String(text))).collect();
    let mut json = json!({ "kind": act.name.as_str(), "options": options });
    if let (Some(counters), Some(map)) = (&act.counters, json.as_object_mut()) {
        if let Some(cookie) = &act.cookie {
            map.insert("cookie".into(), json!(cookie.show()));
        }
        let own: Map<String, Value> = counters.own.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        let hardware = counters.hardware.map(|(bytes, packets)| json!({ "bytes": bytes, "packets": packets }));
        let stats = json!({
            "bytes": counters.bytes, "packets": counters.packets, "drops": counters.drops,
            "overlimits": counters.overlimits, "requeues": counters.requeues, "backlog": counters.backlog,
            "qlen": counters.qlen, "rate": counters.rate.map(|r| r.saturating_mul(8)), "hardware": hardware,
            "in_hardware": counters.in_hardware, "own": own,
        });
        map.insert("stats".into(), stats);
    }
    json
}

/// One object.
pub(super) fn object_json(object: &Object) -> Value {
    let mut json = match object.id {
        Id::Qdisc { parent, handle } => json!({"object": "qdisc", "parent": parent.show(), "handle": handle.show()}),
        Id::Class { parent, handle } => json!({"object": "class", "parent": parent.show(), "handle": handle.show()}),
        Id::Filter { parent, chain, .. } if object.template => {
            json!({"object": "template", "parent": parent.show(), "chain": chain})
        }
        Id::Filter { parent, chain, prio, protocol, handle } => json!({
            "object": "filter", "parent": parent.show(), "chain": chain, "prio": prio,
            "protocol": script::protocol_word(protocol), "handle": script::filter_handle(object, handle),
        }),
    };
    if let Some(map) = json.as_object_mut() {
        map.insert("kind".into(), json!(object.name.as_str()));
        map.insert("options".into(), options_json(object));
        if object.offloaded {
            map.insert("offloaded".into(), json!(true));
        }
        if !object.origin.name.is_empty() {
            map.insert("name".into(), json!(object.origin.name.as_str()));
        }
        if let Some(stab) = &object.stab {
            let stab = json!({
                "overhead": stab.overhead, "mpu": stab.mpu, "mtu": stab.mtu, "tsize": stab.tsize,
                "linklayer": stab.layer().show(),
            });
            map.insert("stab".into(), stab);
        }
        let acts = actions(object);
        if acts.iter().any(|act| act.counters.is_some()) {
            map.insert("actions".into(), acts.iter().map(act_json).collect());
        }
        if let Some(stats) = &object.stats {
            let own: Map<String, Value> = stats.own.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
            let stats = json!({
                "bytes": stats.bytes, "packets": stats.packets, "drops": stats.drops, "overlimits": stats.overlimits,
                "requeues": stats.requeues, "backlog": stats.backlog, "qlen": stats.qlen,
                "rate": stats.rate.map(|r| r.saturating_mul(8)), "packet_rate": stats.packet_rate, "own": own,
            });
            map.insert("stats".into(), stats);
        }
    }
    json
}

/// The trees of some interfaces.
pub fn tree_json(tree: &Tree, names: &Names) -> Value {
    let branch = |interface: &str, branch: &Option<Branch>| {
        let objects = branch.iter().flat_map(|b| &b.objects).map(|o| {
            let mut json = object_json(o);
            let name = o.handle().and_then(|h| names.get(interface, h));
            if let (Some(name), Some(map)) = (name, json.as_object_mut()) {
                map.insert("name".into(), json!(name));
            }
            json
        });
        objects.collect::<Vec<_>>()
    };
    let interfaces: Map<String, Value> = tree
        .interfaces
        .iter()
        .map(|(name, i)| {
            let json = json!({
                "link": {
                    "kind": i.link.kind.as_deref(), "mtu": i.link.mtu, "txqueuelen": i.link.txqueuelen,
                    "up": i.link.up, "alias": i.link.alias.as_deref(),
                },
                "egress": branch(name, &i.egress),
                "ingress": branch(name, &i.ingress),
            });
            (name.to_string(), json)
        })
        .collect();
    json!({ "interfaces": interfaces })
}
