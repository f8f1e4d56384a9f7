//! What the fuzz targets and the bounded runs of the tests feed: functions from any bytes, which must neither panic nor
//! hang, and what must hold whatever the bytes are.

use crate::diagnostic::{Diagnostic, Sink};
use crate::facts::Facts;
use crate::import;
use crate::kind::Vocabulary;
use crate::lower::{Ids, lower};
use crate::netlink::{self, Machine};
use crate::plan::Verb;
use crate::policy;
use crate::source::{FileId, Notation, Source, Sources, Span};
use crate::syntax::expression_parser::{self, Named};
use crate::syntax::{Limits, shape, write, yaml};
use crate::tree::block_of;
use crate::unit::Handle;

/// A file in the DSL: read or refused with a reason, and every finding points into the text.
///
/// # Panics
/// One of that does not hold.
#[allow(clippy::panic, reason = "a fuzz target fails by it")]
pub fn fuzz_shape(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let source = Source::with_notation("a.shape", &*text, Notation::Shape);
    let mut sink = Sink::new();
    let document = shape::read(&source, FileId(0), &Vocabulary, &Limits::default(), &mut sink);
    assert!(document.is_some() || sink.has_errors(), "refused without a reason");
    assert!(sink.found.len() <= 200, "too many findings");
    point_into(&sink.found, &text);
}

/// A policy in YAML: read or refused with a reason, every finding points into the text, and what was read without a finding
/// is the same after it was written, and stays so.
///
/// # Panics
/// One of that does not hold.
#[allow(clippy::panic, reason = "a fuzz target fails by it")]
pub fn fuzz_yaml(bytes: &[u8]) {
    let limits = Limits { nodes: 200_000, ..Limits::default() };
    let read = |text: &str| {
        let source = Source::with_notation("a.yaml", text, Notation::Yaml);
        let mut sink = Sink::new();
        let document = yaml::read(&source, FileId(0), &limits, &mut sink);
        assert!(document.is_some() || sink.has_errors(), "refused without a reason");
        point_into(&sink.found, text);
        document.filter(|_| !sink.has_errors())
    };
    let text = String::from_utf8_lossy(bytes);
    let Some(document) = read(&text) else { return };
    let written = write::write(&document, Notation::Yaml, &Vocabulary);
    let again = read(&written);
    assert_eq!(again.as_ref(), Some(&document), "{written}");
    let twice = again.map(|d| write::write(&d, Notation::Yaml, &Vocabulary));
    assert_eq!(twice.as_ref(), Some(&written));
    let _dsl = write::convert(&document, Notation::Shape, &Vocabulary);
}

/// A match: read or refused with a reason, every finding points into the text, and what was read is shown as a text that
/// reads back the same.
///
/// # Panics
/// One of that does not hold.
#[allow(clippy::panic, reason = "a fuzz target fails by it")]
pub fn fuzz_expression(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let read = |text: &str| {
        let names = |name: &str| match name {
            "none" => None,
            "ports" => Some(Named::Texts(vec![("{22, 80}".to_owned(), Span::NONE)])),
            _ => Some(Named::Texts(vec![("192.0.2.0/24".to_owned(), Span::NONE), ("$ports".to_owned(), Span::NONE)])),
        };
        let mut sink = Sink::new();
        let expression = expression_parser::parse(text, Span::new(FileId(0), 0, text.len()), &names, &mut sink);
        assert_eq!(expression.is_none(), sink.has_errors(), "refused without a reason, or given in spite of one");
        point_into(&sink.found, text);
        expression
    };
    // Repetitions are dropped among the first few parts only, so the law is one of short texts.
    if let Some(expression) = read(&text)
        && text.len() < 200
    {
        let shown = expression.to_string();
        assert_eq!(read(&shown).as_ref(), Some(&expression), "{shown}");
    }
}

#[allow(clippy::panic, reason = "a fuzz target fails by it")]
fn point_into(found: &[Diagnostic], text: &str) {
    for label in found.iter().flat_map(|d| &d.labels) {
        let Span { start, end, .. } = label.span;
        assert!(text.get(start as usize..end as usize).is_some(), "{start}..{end} is no place in the text");
    }
}

/// A dump of qdiscs, classes and filters, or of links: no message is lost, and what was understood can be sent.
///
/// # Panics
/// The number of objects is not the number of messages.
#[allow(clippy::panic, reason = "a fuzz target fails by it")]
pub fn fuzz_dump(bytes: &[u8]) {
    let mut machine = Machine::default();
    if let Ok(links) = netlink::decode_links(bytes) {
        machine.links = links;
    }
    if let Ok(records) = netlink::decode(bytes, &machine) {
        let messages = netlink::messages(bytes).flatten().filter(|m| m.kind >= netlink::RTM_NEWLINK).count();
        assert_eq!(records.len(), messages, "objects are lost");
        let _parents = netlink::filter_parents(&records);
        for record in &records {
            for verb in [Verb::Add, Verb::Change, Verb::Replace, Verb::Delete] {
                let message = netlink::encode(&record.object, verb, record.ifindex, &Facts::default());
                let _names = netlink::reply::actions_in(&message.body);
                let _path = netlink::reply::attribute_at(&message.body, u32::try_from(bytes.len()).unwrap_or(0));
            }
        }
        let _tree = netlink::tree(records, &machine);
    }
    for message in netlink::messages(bytes).flatten() {
        let _reply = netlink::reply::Reply::read(&message, message.sequence & 1 == 0);
    }
}

/// A policy in either notation, read, checked and compiled: every finding points into the text.
///
/// # Panics
/// That does not hold.
#[allow(clippy::panic, reason = "a fuzz target fails by it")]
pub fn fuzz_policy(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let limits = Limits { nodes: 200_000, ..Limits::default() };
    let (mut sources, mut sink) = (Sources::new(), Sink::new());
    let facts = |_: &str| Facts::default();
    let Some(documents) = policy::load::parse(Source::new("-", &*text), &limits, &mut sources, &mut sink) else {
        return;
    };
    let read = policy::read::read(&documents, &facts, &mut sink);
    policy::check::check(&read, &facts, &mut sink);
    if !sink.has_errors() {
        lower(&read, &facts, &Ids::default(), &mut sink);
    }
    point_into(&sink.found, &text);
}

/// A shell script or batch of tc commands: it comes to an end, every finding points into the text, and no object stands on
/// nothing.
///
/// # Panics
/// One of that does not hold.
#[allow(clippy::panic, reason = "a fuzz target fails by it")]
pub fn fuzz_script(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let (mut sources, mut sink) = (Sources::new(), Sink::new());
    let id = sources.add(Source::new("script.sh", text.as_str()));
    let limits = import::Limits { steps: 5_000, octets: 1 << 20, ..import::Limits::default() };
    let settings = import::Settings { limits, ..import::Settings::default() };
    let imported = import::import(&[id], &settings, &mut sources, &mut |_, _, _| None, &mut sink);
    point_into(&sink.found, &text);
    // what is in a shared block has none
    let on_links = imported.tree.interfaces.iter().filter(|(name, _)| block_of(name).is_none());
    for (_, interface) in on_links {
        for branch in [&interface.egress, &interface.ingress].into_iter().flatten() {
            let roots =
                branch.objects.iter().filter(|o| matches!(o.id.parent(), Handle::ROOT | Handle::INGRESS)).count();
            assert_eq!(roots, 1, "a branch has one root");
        }
    }
}
