//! Where packets go, in words and as JSON.

use super::plan::describe;
use super::{Paint, bytes};
use crate::classify::{End, Place, Side, Stop, Verdict};
use crate::diagnostic::visible;
use crate::packet::Packet;
use crate::packet::capture::Remains;
use crate::source::Sources;
use crate::tree::Names;
use crate::tree::{Id, Object, Tree};
use crate::unit::{Handle, Unit as _};
use compact_str::CompactString;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

/// What is known where packets are told of.
#[derive(Clone, Copy)]
pub struct Report<'a> {
    /// The tree that they went through.
    pub tree: &'a Tree,
    /// Names of handles that no object brings.
    pub names: &'a Names,
    /// The texts that rules stand in.
    pub sources: &'a Sources,
}

/// One packet at one side of one link.
#[derive(Clone, Debug)]
pub struct Answer {
    /// As it was described.
    pub asked: String,
    /// The packet, whole.
    pub packet: String,
    /// Whether its priority was made from its TOS octet.
    pub by_tos: bool,
    /// The link.
    pub link: CompactString,
    /// The side.
    pub side: Side,
    /// Where it goes; more than one where that depends on what the packet does not show.
    pub ways: Vec<Verdict>,
}

/// The packets of a capture, by where they go.
#[derive(Clone, Debug, Default)]
pub struct Shares {
    rows: HashMap<Key, Count>,
    total: Count,
    /// What was supposed not to be so, and of how many packets.
    supposed: BTreeMap<String, u64>,
    /// Packets of which the capture does not say which way they went.
    no_way: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    side: Side,
    /// The innermost class, by its discipline and number.
    class: Option<(Place, Handle)>,
    end: End,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    packets: u64,
    bytes: u64,
    /// Packets that no rule took.
    unruled: u64,
}

impl Count {
    fn add(&mut self, bytes: u64, unruled: bool) {
        self.packets += 1;
        self.bytes += bytes;
        self.unruled += u64::from(unruled);
    }
}

impl Shares {
    /// Counts a packet. `no_way` if which way it went was taken for granted.
    pub fn add(&mut self, side: Side, packet: &Packet, verdict: &Verdict, no_way: bool) {
        let class = verdict.deepest().and_then(|stop| Some((stop.discipline.clone()?, stop.class?)));
        let (bytes, unruled) = (packet.length() as u64, verdict.rule().is_none());
        let key = Key { side, class, end: verdict.end.clone() };
        self.rows.entry(key).or_default().add(bytes, unruled);
        self.total.add(bytes, unruled);
        for (question, _) in &verdict.settled {
            match self.supposed.get_mut(question) {
                Some(count) => *count += 1,
                None => drop(self.supposed.insert(question.clone(), 1)),
            }
        }
        if let Some(text) = &verdict.one_of {
            *self.supposed.entry(text.clone()).or_default() += 1;
        }
        self.no_way += u64::from(no_way);
    }

    /// Why none of the packets of a capture was counted, if there were any.
    pub fn none_of(&self, remains: &Remains) -> Option<String> {
        let why = remains_text(self, remains);
        (self.total.packets == 0 && !why.is_empty()).then(|| why.join("; "))
    }

    /// The rows, the largest first.
    fn sorted(&self) -> Vec<(&Key, &Count)> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|(key, count)| (key.side, std::cmp::Reverse(count.bytes), key.class.clone()));
        rows
    }

    fn share(&self, count: &Count) -> f64 {
        if self.total.bytes == 0 { 0.0 } else { count.bytes as f64 * 100.0 / self.total.bytes as f64 }
    }
}

impl Report<'_> {
    fn object(&self, place: &Place) -> Option<&Object> {
        let interface = self.tree.interfaces.get(&place.link)?;
        let branch = match place.branch {
            Side::Egress => interface.egress.as_ref(),
            Side::Ingress => interface.ingress.as_ref(),
        };
        branch?.objects.get(place.object)
    }

    /// An object in words, with the rule's place and text if it has one.
    fn named(&self, place: &Place) -> String {
        let Some(object) = self.object(place) else { return String::new() };
        match object.id {
            Id::Qdisc { handle, .. } => format!("{} {handle}", object.name),
            _ => describe(&place.link, object, self.names),
        }
    }

    /// Where a rule stands: file, line and column, and its text, cut to a line.
    fn rule(&self, place: &Place) -> Option<(String, usize, usize, String)> {
        let span = self.object(place)?.origin.at(place.instruction)?;
        let (file, line, column) = self.sources.locate(span)?;
        let text = self.sources.slice(span).lines().next().unwrap_or_default().trim().to_owned();
        Some((file.to_owned(), line, column, text))
    }

    /// The name of a class: its path, and its number.
    fn class(&self, link: &str, object: Option<&Place>, class: Handle) -> String {
        let own = object.and_then(|place| self.object(place)).map(|o| visible(&o.origin.name));
        let known = self.names.get(link, class).map(visible);
        match own.filter(|name| !name.is_empty()).or(known) {
            Some(name) => format!("{name} ({class})"),
            None => class.to_string(),
        }
    }

    fn stop_class(&self, stop: &Stop) -> Option<String> {
        let link = &stop.discipline.as_ref()?.link;
        Some(self.class(link, stop.object.as_ref(), stop.class?))
    }

    /// Where it ends, in a sentence.
    fn end(&self, link: &str, verdict: &Verdict) -> String {
        let on = |at: &str| if at == link { String::new() } else { format!(" on {at}") };
        let class = verdict.deepest().and_then(|stop| self.stop_class(stop));
        let mut text = match (&verdict.end, class) {
            (End::Queued { link, queue }, Some(class)) => format!("{class}{}, {queue}", on(link)),
            (End::Queued { link, queue }, None) => format!("{queue}{}", on(link)),
            (End::Direct { link }, _) => format!("unshaped, past all classes{}", on(link)),
            (End::Up, _) => "up to the host".to_owned(),
            (End::Dropped(why), _) => format!("dropped: {why}"),
            (End::Gone(why), _) => why.clone(),
        };
        match verdict.rule() {
            Some(place) => match self.rule(place) {
                Some((file, line, ..)) => drop(write!(text, ", by {file}:{line}")),
                None => drop(write!(text, ", by {}", self.named(place))),
            },
            // a queue has nobody to ask
            None if verdict.stops.iter().any(|stop| stop.chose) => text.push_str(", no rule takes it"),
            None => {}
        }
        text
    }

    /// Packets one after the other, each with its ways.
    pub fn answers_text(&self, answers: &[Answer], colors: Paint) -> String {
        let mut out = String::new();
        let mut before: Option<(&str, &str)> = None;
        for answer in answers {
            let this = (answer.asked.as_str(), answer.packet.as_str());
            if before.is_none_or(|(asked, _)| asked != this.0) {
                let _ = writeln!(out, "{}", colors.name(&visible(&answer.asked)));
            }
            if before != Some(this) {
                let _ = writeln!(out, "  {}", colors.faint(&visible(&answer.packet)));
                if answer.by_tos {
                    let _ = writeln!(
                        out,
                        "  {}",
                        colors.faint(
                            "its priority is made from its TOS octet, as the kernel does where it forwards IPv4"
                        )
                    );
                }
            }
            before = Some(this);
            for (i, verdict) in answer.ways.iter().enumerate() {
                self.way(answer, verdict, i == 0, colors, &mut out);
            }
        }
        out
    }

    /// One way of a packet: the first with each step, of the others what is different.
    fn way(&self, answer: &Answer, verdict: &Verdict, first: bool, colors: Paint, out: &mut String) {
        for step in verdict.trail.iter().filter(|_| first) {
            let indent = if step.link { "  " } else { "    " };
            let place = step.place.as_ref().map(|place| self.named(place));
            let said =
                [place.as_deref(), Some(step.text.as_str())].into_iter().flatten().filter(|text| !text.is_empty());
            let line = said.collect::<Vec<_>>().join(" ");
            let rule = step.place.as_ref().filter(|place| self.is_filter(place)).and_then(|place| self.rule(place));
            let rule = rule.map(|(file, line, _, text)| colors.faint(&format!("   {file}:{line}: {}", visible(&text))));
            let _ = writeln!(out, "{indent}{line}{}", rule.unwrap_or_default());
        }
        let so: Vec<_> = verdict.settled.iter().filter(|(_, is)| *is).map(|(what, _)| what.as_str()).collect();
        let so = if so.is_empty() { String::new() } else { format!("if {}: ", so.join(", and if ")) };
        let of = verdict.one_of.as_ref().map_or_else(String::new, |text| format!(" ({text})"));
        let result = format!("{so}{}{of}", self.end(&answer.link, verdict));
        let _ = writeln!(out, "    {} {}", colors.added("=>"), colors.name(&result));
    }

    fn is_filter(&self, place: &Place) -> bool {
        matches!(self.object(place).map(|o| o.id), Some(Id::Filter { .. }))
    }

    /// The same for machines.
    pub fn answers_json(&self, answers: &[Answer]) -> Value {
        let one = |answer: &Answer| {
            json!({
                "asked": answer.asked,
                "packet": answer.packet,
                "priority_from_tos": answer.by_tos,
                "interface": answer.link,
                "side": side_word(answer.side),
                "ways": answer.ways.iter().map(|verdict| self.way_json(verdict)).collect::<Vec<_>>(),
            })
        };
        Value::Array(answers.iter().map(one).collect())
    }

    fn way_json(&self, verdict: &Verdict) -> Value {
        let stops = verdict.stops.iter().map(|stop| {
            let object = stop.discipline.as_ref().and_then(|place| self.object(place));
            let mut map = Map::new();
            map.insert("interface".into(), json!(stop.discipline.as_ref().map(|place| place.link.as_str())));
            map.insert("kind".into(), json!(object.map(|object| object.name.as_str())));
            map.insert("handle".into(), json!(stop.handle.show()));
            if let Some(class) = stop.class {
                map.insert("class".into(), json!(class.show()));
                map.insert("name".into(), json!(self.class_name(stop)));
            }
            Value::Object(map)
        });
        let supposed = verdict.settled.iter().map(|(what, is)| json!({ "what": what, "is": is }));
        let trail = verdict.trail.iter().map(|step| {
            let mut map = Map::new();
            if let Some(place) = &step.place {
                map.insert("object".into(), json!(self.named(place)));
                map.insert("interface".into(), json!(place.link));
            }
            if !step.text.is_empty() {
                map.insert("text".into(), json!(step.text));
            }
            Value::Object(map)
        });
        let mut map = end_json(&verdict.end);
        let deepest = verdict.deepest();
        map.insert("class".into(), json!(deepest.and_then(|stop| stop.class).map(|class| class.show())));
        map.insert("name".into(), json!(deepest.and_then(|stop| self.class_name(stop))));
        map.insert("rule".into(), verdict.rule().map_or(Value::Null, |place| self.rule_json(place)));
        map.insert("one_of".into(), json!(verdict.one_of));
        map.insert("supposed".into(), supposed.collect());
        map.insert("disciplines".into(), stops.collect());
        map.insert("trail".into(), trail.collect());
        Value::Object(map)
    }

    fn class_name(&self, stop: &Stop) -> Option<String> {
        let own = stop.object.as_ref().and_then(|place| self.object(place)).map(|o| o.origin.name.to_string());
        let link = stop.discipline.as_ref().map(|place| place.link.to_string()).unwrap_or_default();
        own.filter(|name| !name.is_empty()).or_else(|| self.names.get(&link, stop.class?).map(str::to_owned))
    }

    fn rule_json(&self, place: &Place) -> Value {
        let filter = self.named(place);
        match self.rule(place) {
            Some((file, line, column, text)) => {
                json!({ "filter": filter, "file": file, "line": line, "column": column, "text": text })
            }
            None => json!({ "filter": filter }),
        }
    }

    /// What a row of the table is about.
    fn row(&self, link: &str, key: &Key) -> String {
        let class = key.class.as_ref().map(|(place, class)| {
            let object = self.class_object(place, *class);
            let on = if place.link == link { String::new() } else { format!(" on {}", place.link) };
            format!("{}{on}", self.class(&place.link, object.as_ref(), *class))
        });
        match (&key.end, class) {
            (End::Queued { .. }, Some(class)) => class,
            (End::Queued { queue, .. }, None) => queue.clone(),
            (End::Direct { .. }, _) => "unshaped, past all classes".to_owned(),
            (End::Up, _) => "up to the host".to_owned(),
            (End::Dropped(why), _) => format!("dropped: {why}"),
            (End::Gone(why), _) => why.clone(),
        }
    }

    fn class_object(&self, discipline: &Place, class: Handle) -> Option<Place> {
        let interface = self.tree.interfaces.get(&discipline.link)?;
        let branch = if discipline.branch == Side::Egress { &interface.egress } else { &interface.ingress };
        let is = |object: &Object| matches!(object.id, Id::Class { handle, .. } if handle == class);
        let object = branch.as_ref()?.objects.iter().position(is)?;
        Some(Place { object, instruction: None, ..discipline.clone() })
    }

    /// Rows that are told in one line: those that differ only in the queue below the class are one.
    fn rows<'s>(&self, link: &str, shares: &'s Shares) -> Vec<(Side, String, &'s Key, Count)> {
        let mut rows: Vec<(Side, String, &Key, Count)> = Vec::new();
        for (key, count) in shares.sorted() {
            let text = self.row(link, key);
            match rows.iter_mut().find(|(side, known, ..)| *side == key.side && *known == text) {
                Some((.., sum)) => {
                    sum.packets += count.packets;
                    sum.bytes += count.bytes;
                    sum.unruled += count.unruled;
                }
                None => rows.push((key.side, text, key, *count)),
            }
        }
        rows
    }

    /// A table of classes with packets, bytes and shares.
    pub fn shares_text(&self, shares: &Shares, link: &str, remains: &Remains, colors: Paint) -> String {
        let rows = self.rows(link, shares);
        let width = rows.iter().map(|(_, text, ..)| text.chars().count()).max().unwrap_or(0).clamp(5, 60);
        let mut out = String::new();
        let mut side = None;
        for (at, text, _, count) in &rows {
            if side != Some(*at) {
                let way = if *at == Side::Egress { "leaves by" } else { "arrives at" };
                let head = format!("what {way} {}", visible(link));
                let _ = writeln!(out, "{}", colors.name(&head));
                let _ = writeln!(
                    out,
                    "  {}",
                    colors.faint(&format!("{:width$}  {:>10}  {:>10}  {:>7}", "class", "packets", "bytes", "share"))
                );
                side = Some(*at);
            }
            let share = shares.share(count);
            let _ = write!(
                out,
                "  {:width$}  {:>10}  {:>10}  {share:>5.1} %",
                visible(text),
                count.packets,
                bytes(count.bytes)
            );
            match count.unruled {
                0 => {}
                n if n == count.packets => out.push_str("  no rule takes them"),
                n => drop(write!(out, "  no rule takes {n} of them")),
            }
            out.push('\n');
        }
        let total = shares.total;
        let _ = writeln!(out, "{} packets, {}; no rule takes {}", total.packets, bytes(total.bytes), total.unruled);
        for (what, count) in &shares.supposed {
            let _ = writeln!(out, "of {count} packets it is not known, and supposed not to be so: {}", visible(what));
        }
        for line in remains_text(shares, remains) {
            let _ = writeln!(out, "{line}");
        }
        out
    }

    /// The same for machines.
    pub fn shares_json(&self, shares: &Shares, link: &str, remains: &Remains) -> Value {
        let rows = self.rows(link, shares).into_iter().map(|(side, text, key, count)| {
            let mut map = end_json(&key.end);
            let class = key.class.as_ref();
            map.insert("what".into(), json!(text));
            map.insert("side".into(), json!(side_word(side)));
            map.insert("class".into(), json!(class.map(|(_, class)| class.show())));
            let object = class.and_then(|(place, class)| self.class_object(place, *class));
            let name = object.and_then(|place| Some(self.object(&place)?.origin.name.to_string()));
            map.insert("name".into(), json!(name.filter(|name| !name.is_empty())));
            map.insert("packets".into(), json!(count.packets));
            map.insert("bytes".into(), json!(count.bytes));
            map.insert("share".into(), json!(shares.share(&count)));
            map.insert("no_rule".into(), json!(count.unruled));
            Value::Object(map)
        });
        json!({
            "interface": link,
            "packets": shares.total.packets,
            "bytes": shares.total.bytes,
            "no_rule": shares.total.unruled,
            "classes": rows.collect::<Vec<_>>(),
            "supposed": shares.supposed.iter().map(|(what, n)| json!({ "what": what, "packets": n })).collect::<Vec<_>>(),
            "way_unknown": shares.no_way,
            "not_read": remains.strange.iter().map(|(link, n)| json!({ "link_type": link, "packets": n })).collect::<Vec<_>>(),
            "too_short": remains.short,
            "ends_within_a_packet": remains.cut,
        })
    }
}

fn remains_text(shares: &Shares, remains: &Remains) -> Vec<String> {
    let mut lines = Vec::new();
    if shares.no_way > 0 {
        lines.push(format!("of {} packets the capture does not say which way they went: taken for leaving (`--way down` for the other)", shares.no_way));
    }
    let packets = |n: u64| format!("{n} packet{}", if n == 1 { "" } else { "s" });
    for (link, count) in &remains.strange {
        lines.push(format!("{} left out: links of type {link} are not known here", packets(*count)));
    }
    if remains.short > 0 {
        lines.push(format!("{} left out: shorter than their headers", packets(remains.short)));
    }
    if remains.cut {
        lines.push("the capture ends within a packet".to_owned());
    }
    lines
}

fn side_word(side: Side) -> &'static str {
    match side {
        Side::Egress => "egress",
        Side::Ingress => "ingress",
    }
}

fn end_json(end: &End) -> Map<String, Value> {
    let (word, link, text) = match end {
        End::Queued { link, queue } => ("queued", Some(link), Some(queue)),
        End::Direct { link } => ("direct", Some(link), None),
        End::Up => ("up", None, None),
        End::Dropped(why) => ("dropped", None, Some(why)),
        End::Gone(why) => ("gone", None, Some(why)),
    };
    let mut map = Map::new();
    map.insert("end".into(), json!(word));
    if let Some(link) = link {
        map.insert("link".into(), json!(link));
    }
    if let Some(text) = text {
        map.insert(if word == "queued" { "queue" } else { "reason" }.into(), json!(text));
    }
    map
}
