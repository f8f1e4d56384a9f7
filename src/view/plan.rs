//! The picture of a difference.

use super::Paint;
use crate::diagnostic::visible;
use crate::plan::{LinkChange, Plan, Step, Subject, Verb};
use crate::script;
use crate::source::Sources;
use crate::tree::{Id, Names, Object};
use crate::unit::Handle;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};
use std::fmt::Write;

fn sign(verb: Verb) -> &'static str {
    match verb {
        Verb::Add => "+",
        Verb::Change => "~",
        Verb::Replace => "±",
        Verb::Delete => "-",
    }
}

fn paint(verb: Verb, paint: Paint, text: &str) -> String {
    match verb {
        Verb::Add => paint.added(text),
        Verb::Change | Verb::Replace => paint.changed(text),
        Verb::Delete => paint.removed(text),
    }
}

/// What a step works on, in the policy's names where there are any.
fn subject(step: &Step, names: &Names) -> String {
    match &step.subject {
        Subject::Link(change, _) => match change {
            LinkChange::Create(kind) | LinkChange::Remove(kind) => format!("device of kind {kind}"),
            LinkChange::Alias(_) => "link alias".into(),
            LinkChange::Up => "link state".into(),
            LinkChange::TxQueueLen(_) => "link txqueuelen".into(),
        },
        Subject::Action(act, _) => {
            let number = act.number().map_or_else(String::new, |number| format!(" {number}"));
            format!("shared action {}{number}", visible(&act.name))
        }
        Subject::Object(object) => describe(&step.interface, object, names),
    }
}

/// An object in words: `class line/ssh (htb 1:10)`.
pub fn describe(interface: &str, object: &Object, names: &Names) -> String {
    let known = |handle: Handle| names.get(interface, handle).map(visible);
    let own = (!object.origin.name.is_empty()).then(|| visible(&object.origin.name));
    match object.id {
        Id::Qdisc { parent, handle } => {
            let place = match parent {
                Handle::ROOT => "at the root".to_owned(),
                Handle::INGRESS => "on what arrives".to_owned(),
                p => format!("below {}", known(p).map_or_else(|| p.to_string(), |n| format!("{n} ({p})"))),
            };
            format!("qdisc {} {handle} {place}", object.name)
        }
        Id::Class { handle, .. } => match own.or_else(|| known(handle)) {
            Some(name) => format!("class {name} ({} {handle})", object.name),
            None => format!("class {} {handle}", object.name),
        },
        Id::Filter { chain, .. } if object.template => format!("template {} of chain {chain}", object.name),
        Id::Filter { chain, prio, protocol, handle, .. } => {
            let number = script::filter_handle(object, handle).map_or_else(String::new, |h| format!(" {h}"));
            let protocol = format!("{}{}", script::protocol_word(protocol), super::of_chain(chain));
            let what = format!("{} prio {prio} {protocol}{number}", object.name);
            match own {
                Some(name) => format!("rule {name} ({what})"),
                None => format!("filter {what}"),
            }
        }
    }
}

/// The options of an object that is made or goes, in tc's words.
fn options(object: &Object) -> String {
    let mut words = Vec::new();
    object.options.tc(&mut words);
    visible(&words.join(" "))
}

/// The plan as lines with signs, by interface; empty for an empty plan.
pub fn plan_text(plan: &Plan, names: &Names, colors: Paint) -> String {
    plan_beginning(plan, names, colors, usize::MAX)
}

/// The same, up to the step with which it has more than so many bytes.
pub fn plan_beginning(plan: &Plan, names: &Names, colors: Paint, most: usize) -> String {
    let mut out = String::new();
    let mut interface = "";
    for step in &plan.steps {
        if out.len() > most {
            break;
        }
        if step.interface != interface {
            interface = &step.interface;
            let _ = writeln!(out, "{}", colors.name(&visible(interface)));
        }
        let mut line = format!("  {} {}", sign(step.verb), subject(step, names));
        if step.differences.is_empty() {
            match &step.subject {
                Subject::Object(o) if step.verb != Verb::Delete => {
                    let words = options(o);
                    if !words.is_empty() {
                        line.push_str(": ");
                        line.push_str(&words);
                    }
                }
                Subject::Link(LinkChange::Alias(to), _) => line.push_str(&format!(": {to}")),
                _ => {}
            }
        }
        let _ = writeln!(out, "{}", paint(step.verb, colors, &line));
        let width = step.differences.iter().map(|d| d.word.len()).max().unwrap_or(0);
        for d in &step.differences {
            let show = |v: &Option<String>| v.as_deref().map_or_else(|| "not set".to_owned(), visible);
            let line = format!("      {:width$}  {} → {}", d.word, show(&d.held), show(&d.asked));
            let _ = writeln!(out, "{line}");
        }
        if let Some(remark) = &step.remark {
            let _ = writeln!(out, "      {}", colors.faint(remark));
        }
    }
    out
}

/// A plan for machines: its steps, and what is said beside them. A step is put into words when it is written, so that a plan
/// of many takes no memory of its own.
pub struct PlanJson<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Names of handles.
    pub names: &'a Names,
    /// The policy's texts.
    pub sources: &'a Sources,
    /// What else is said, by key.
    pub beside: Vec<(&'static str, Value)>,
}

impl Serialize for PlanJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.beside.len()))?;
        map.serialize_entry("steps", &Steps(self))?;
        for (key, value) in &self.beside {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

struct Steps<'a>(&'a PlanJson<'a>);

impl Serialize for Steps<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let PlanJson { plan, names, sources, .. } = self.0;
        serializer.collect_seq(plan.steps.iter().map(|step| step_json(step, names, sources)))
    }
}

fn step_json(step: &Step, names: &Names, sources: &Sources) -> Value {
    let verb = match step.verb {
        Verb::Add => "add",
        Verb::Change => "change",
        Verb::Replace => "replace",
        Verb::Delete => "delete",
    };
    let differences: Vec<_> =
        step.differences.iter().map(|d| json!({"word": d.word, "held": d.held, "asked": d.asked})).collect();
    let object = match &step.subject {
        Subject::Object(o) => super::tree::object_json(o),
        Subject::Action(..) | Subject::Link(..) => Value::Null,
    };
    let place = step.span().and_then(|s| sources.locate(s));
    json!({
        "interface": step.interface.as_str(),
        "verb": verb,
        "subject": subject(step, names),
        "object": object,
        "differences": differences,
        "remark": step.remark,
        "command": script::command(step),
        "place": place.map(|(file, line, column)| json!({"file": file, "line": line, "column": column})),
    })
}
