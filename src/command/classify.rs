//! `classify`: where packets go.

use super::Exit;
use super::frame::{Frame, Machine, names};
use crate::classify::{Model, Side, Verdict, assumed};
use crate::cli::{ClassifyArgs, WayArg};
use crate::diagnostic::{Diagnostic, Sink, codes};
use crate::facts::Facts;
use crate::packet::describe::{describe, show};
use crate::packet::{Packet, capture};
use crate::policy::load::Documents;
use crate::policy::{read, tos};
use crate::source::{Source, Span};
use crate::syntax::expression::Way;
use crate::tree::{Tree, block_of};
use crate::view::classify::{Answer, Report, Shares};
use compact_str::CompactString;
use serde_json::json;
use std::fs::File;

/// The tree that packets are led through.
struct Ground {
    /// The policy, whose names may stand in descriptions; nothing of it where the kernel's tree is asked.
    documents: Documents,
    tree: Tree,
    names: crate::tree::Names,
    /// The links whose packets are asked about.
    links: Vec<CompactString>,
}

pub(super) fn run(frame: &mut Frame, args: &ClassifyArgs) -> Exit {
    let ground = match &args.held {
        Some(link) => held(frame, args.interface.as_deref().or(link.as_deref())),
        None => asked(frame, args),
    };
    let ground = match ground {
        Ok(ground) => ground,
        Err(exit) => return frame.refuse(exit),
    };
    let model = Model::new(&ground.tree);
    if let Some(file) = &args.pcap {
        return captured(frame, args, &ground, &model, file);
    }
    let mut answers = Vec::new();
    for text in &args.packet {
        answers.extend(described(frame, args, &ground, &model, text));
    }
    if frame.found.has_errors() {
        return frame.refuse(Exit::Refused);
    }
    let diagnostics = frame.report();
    let report = Report { tree: &ground.tree, names: &ground.names, sources: &frame.sources };
    if frame.is_json() {
        frame.json(&json!({ "ok": true, "packets": report.answers_json(&answers), "diagnostics": diagnostics }));
    } else {
        frame.print(&report.answers_text(&answers, frame.paint()));
    }
    Exit::Done
}

/// The policy's tree.
fn asked(frame: &mut Frame, args: &ClassifyArgs) -> Result<Ground, Exit> {
    let state = frame.state();
    let file = frame.which(args.policy.file.as_deref(), &state);
    let mut kernel = crate::kernel::Kernel::open(frame.global.netns.as_deref()).ok();
    let machine = Machine::read(kernel.as_mut()).unwrap_or_default();
    let facts = |name: &str| machine.facts(name);
    let documents = frame.documents(&file).unwrap_or_default();
    let policy = frame.policy_of(&documents, &facts);
    let (tree, ids) = frame.lower(&policy, &facts, &state.ids);
    if frame.stops(args.policy.deny_warnings) {
        return Err(Exit::Refused);
    }
    let written: Vec<CompactString> = policy.interfaces.iter().map(|i| i.name.value.clone()).collect();
    let links = match &args.interface {
        None => written,
        Some(link) if tree.interfaces.contains_key(link.as_str()) => vec![link.into()],
        Some(link) => {
            let d = Diagnostic::new(&codes::NO_INTERFACE, format!("the policy has no interface `{link}`"));
            frame.found.push(d.help(format!("it has {}", written.join(", "))));
            return Err(Exit::Refused);
        }
    };
    let names = names(&ids, &tree);
    Ok(Ground { documents, tree: assumed(&tree, &facts), names, links })
}

/// The kernel's tree.
fn held(frame: &mut Frame, link: Option<&str>) -> Result<Ground, Exit> {
    let state = frame.state();
    let Some(mut kernel) = frame.kernel() else { return Err(Exit::Kernel) };
    let read = kernel.read(None).and_then(|tree| Ok((tree, Machine::read(Some(&mut kernel))?)));
    let (tree, machine) = match read {
        Ok(read) => read,
        Err(error) => {
            frame.found.push(super::refusal::refusal(&error));
            return Err(Exit::Kernel);
        }
    };
    if let Some(name) = link.filter(|name| !tree.interfaces.contains_key(*name)) {
        frame.lacks_interface(name, None);
        return Err(Exit::Refused);
    }
    let facts = |name: &str| -> Facts { machine.facts(name) };
    let has = |name: &str| {
        let sides = tree.interfaces.get(name).map(|i| [&i.egress, &i.ingress]);
        sides.into_iter().flatten().flatten().any(|b| !b.objects.is_empty())
    };
    let links: Vec<CompactString> = match link {
        Some(link) => vec![link.into()],
        None => tree.interfaces.keys().filter(|name| block_of(name).is_none() && has(name)).cloned().collect(),
    };
    if links.is_empty() {
        frame.say("no interface has more than its default");
    }
    let names = names(&state.ids, &Tree::default());
    Ok(Ground { documents: Documents::default(), tree: assumed(&tree, &facts), names, links })
}

fn sides(args: &ClassifyArgs) -> Vec<Side> {
    match args.way {
        Some(WayArg::Up) => vec![Side::Egress],
        Some(WayArg::Down) => vec![Side::Ingress],
        None => vec![Side::Egress, Side::Ingress],
    }
}

/// Whether packets of that side are anybody's business: what leaves always is, what arrives where there is a hook.
fn concerns(ground: &Ground, link: &str, side: Side) -> bool {
    let interface = ground.tree.interfaces.get(link);
    match side {
        Side::Egress => interface.is_some_and(|i| i.egress.is_some()),
        Side::Ingress => interface.is_some_and(|i| i.ingress.as_ref().is_some_and(|b| !b.objects.is_empty())),
    }
}

/// The answers to one description, packet by packet.
fn described(frame: &mut Frame, args: &ClassifyArgs, ground: &Ground, model: &Model, text: &str) -> Vec<Answer> {
    let file = frame.sources.add(Source::new("--packet", text));
    let span = Span::new(file, 0, text.len());
    let mut answers = Vec::new();
    for side in sides(args) {
        let way = if side == Side::Egress { Way::Up } else { Way::Down };
        // what is wrong with it is wrong both ways, and said once
        let mut sink = Sink::new();
        let expression = read::expression(&ground.documents, text, span, way, &mut sink);
        let packets = match expression.filter(|_| !sink.has_errors()) {
            Some(expression) if expression.is_never() => continue,
            Some(expression) => describe(&expression),
            None => {
                frame.found.found.extend(sink.found);
                return Vec::new();
            }
        };
        let packets = match packets {
            Ok(packets) => packets,
            Err(diagnostic) => {
                frame.found.push(diagnostic);
                return Vec::new();
            }
        };
        let links: Vec<_> = ground.links.iter().filter(|link| concerns(ground, link, side)).collect();
        for (number, one) in packets.into_iter().enumerate() {
            let mut packet = one.packet;
            let by_tos = !one.priority && give_priority(&mut packet, side);
            for link in &links {
                let ways = model.all(link, side, &packet);
                let (asked, link) = (text.to_owned(), (*link).clone());
                answers.push((number, Answer { asked, packet: show(&packet), by_tos, link, side, ways }));
            }
        }
    }
    answers.sort_by_key(|(number, _)| *number);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// The priority that the kernel gives IPv4 packets by their TOS where it forwards them, and sockets that set it: of what
/// leaves only. Whether it is another one than 0.
fn give_priority(packet: &mut Packet, side: Side) -> bool {
    let ip = packet.layers().ip.filter(|ip| !ip.six && side == Side::Egress);
    packet.meta.priority = ip.map_or(0, |ip| u32::from(tos::priority(ip.tos)));
    packet.meta.priority != 0
}

/// The table of a capture.
fn captured(frame: &mut Frame, args: &ClassifyArgs, ground: &Ground, model: &Model, file: &str) -> Exit {
    let [link] = ground.links.as_slice() else {
        let several = ground.links.join(", ");
        let d = Diagnostic::new(&codes::INPUT, format!("a capture is of one link, and there are {several}"));
        frame.found.push(d.help("say which one with `-i`"));
        return frame.refuse(Exit::Refused);
    };
    let mut shares = Shares::default();
    let opened = match file {
        "-" => Ok(Box::new(std::io::stdin()) as Box<dyn std::io::Read + Send>),
        file => File::open(file).map(|file| Box::new(file) as _),
    };
    let read = opened.map_err(|error| error.to_string()).and_then(|opened| {
        capture::read(opened, &mut |found| {
            let side = match (args.way, found.way) {
                (Some(WayArg::Up), _) | (None, None | Some(Way::Up)) => Side::Egress,
                (Some(WayArg::Down), _) | (None, Some(Way::Down)) => Side::Ingress,
            };
            let mut packet = found.packet;
            packet.meta.mark = args.mark;
            give_priority(&mut packet, side);
            let verdict: Verdict = model.quick(link, side, &packet);
            shares.add(side, &packet, &verdict, found.way.is_none() && args.way.is_none());
        })
    });
    let remains = match read {
        Ok(remains) => remains,
        Err(why) => {
            frame.found.push(Diagnostic::new(&codes::INPUT, format!("`{file}` is no capture that can be read: {why}")));
            return frame.refuse(Exit::Refused);
        }
    };
    if let Some(why) = shares.none_of(&remains) {
        let d = Diagnostic::new(&codes::NOT_A_PACKET, format!("no packet of `{file}` can be led anywhere: {why}"));
        frame
            .found
            .push(d.help("capture on the link itself, or on `any`: Ethernet, cooked (SLL, SLL2) and bare IP are read"));
        return frame.refuse(Exit::Refused);
    }
    let diagnostics = frame.report();
    let report = Report { tree: &ground.tree, names: &ground.names, sources: &frame.sources };
    if frame.is_json() {
        let mut json = report.shares_json(&shares, link, &remains);
        if let Some(map) = json.as_object_mut() {
            map.insert("ok".into(), true.into());
            map.insert("diagnostics".into(), diagnostics.into());
        }
        frame.json(&json);
    } else {
        frame.print(&report.shares_text(&shares, link, &remains, frame.paint()));
    }
    Exit::Done
}
