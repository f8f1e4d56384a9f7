//! `import tc`: scripts of others as a policy.

use super::Exit;
use super::frame::Frame;
use crate::cli::{ImportArgs, To};
use crate::diagnostic::{Diagnostic, Severity, Sink, codes};
use crate::facts::Facts;
use crate::import::{Settings, import};
use crate::kind::Vocabulary;
use crate::policy::load;
use crate::raise;
use crate::source::{FileId, Notation, Source, Sources};
use crate::syntax::document::Document;
use crate::syntax::{Limits, write};
use crate::tree::Names;
use serde_json::json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub(super) fn run(frame: &mut Frame, args: &ImportArgs) -> Exit {
    let limits = frame.limits();
    let mut given = Given { limits: &limits, files: Vec::new(), read: HashMap::new() };
    for name in &args.files {
        if let Some(id) = load::script(name, &limits, &mut frame.sources, &mut frame.found) {
            given.files.push((PathBuf::from(name), id));
        }
    }
    if frame.found.has_errors() {
        return frame.refuse(Exit::Refused);
    }
    let ids: Vec<FileId> = given.files.iter().map(|(_, id)| *id).collect();
    let settings = Settings { given: args.set.clone(), devices: args.dev.clone(), ..Settings::default() };
    let mut files = |name: &str, sources: &mut Sources, sink: &mut Sink| given.find(name, sources, sink);
    let imported = import(&ids, &settings, &mut frame.sources, &mut files, &mut frame.found);
    if imported.commands == 0 {
        let message = format!("no tc command could be read in {}", args.files.join(", "));
        frame.found.push(Diagnostic::new(&codes::INPUT, message));
        return frame.refuse(Exit::Refused);
    }
    if let Some(netns) = &imported.netns {
        let message = format!("the commands are for the network namespace `{netns}`");
        let help = format!("apply the policy there: `shapectl apply --netns {netns} FILE`");
        frame.found.push(Diagnostic::new(&codes::IMPORT_PASSED, message).help(help));
    }
    // what the policy says by itself depends on the link's mtu
    let mtu = |name: &str| imported.tree.interfaces.get(name)?.link.mtu;
    let facts = |name: &str| Facts { mtu: mtu(name).unwrap_or(Facts::default().mtu), ..Facts::default() };
    let raised = raise::raise(&imported.tree, &Names::default(), &facts);
    raised.remarks.into_iter().for_each(|remark| frame.found.push(remark));
    let notation = match args.to {
        To::Yaml => Notation::Yaml,
        To::Shape => Notation::Shape,
    };
    let text = match write::convert(&raised.document, notation, &Vocabulary) {
        Ok(text) => text,
        Err(finding) => {
            frame.found.push(*finding);
            return frame.refuse(Exit::Refused);
        }
    };
    if let Some(found) = misread(&text, notation, &raised.document, &limits) {
        frame.found.push(found);
    }
    let refused = args.strict && frame.found.found.iter().any(|d| d.code.severity >= Severity::Warning);
    let diagnostics = frame.report();
    if frame.is_json() {
        let policy = (!refused).then_some(&text);
        frame.json(&json!({ "ok": !refused, "policy": policy, "diagnostics": diagnostics }));
    } else if !refused {
        frame.print(&text);
    }
    if refused { Exit::Refused } else { Exit::Done }
}

/// Whether the text that is written says something else than was meant.
fn misread(text: &str, notation: Notation, meant: &Document, limits: &Limits) -> Option<Diagnostic> {
    let (mut sources, mut sink) = (Sources::new(), Sink::new());
    let limits = Limits { file_bytes: limits.file_bytes.max(text.len()), ..*limits };
    let source = Source::with_notation("-", text, notation);
    let read = load::parse(source, &limits, &mut sources, &mut sink);
    let same = read.is_some_and(|read| read.list.iter().any(|(_, document)| document == meant));
    if same {
        return None;
    }
    let why = sink.found.iter().find(|d| d.is_error()).map_or_else(String::new, |d| format!(": {}", d.message));
    Some(Diagnostic::new(&codes::LEFT_OUT, format!("the policy does not read back as it was meant{why}")))
}

/// The files of the command line, and those beside them.
struct Given<'a> {
    limits: &'a Limits,
    files: Vec<(PathBuf, FileId)>,
    read: HashMap<PathBuf, FileId>,
}

impl Given<'_> {
    /// A file that a script names: one that was given, by its path or its last name, or one beside a script. What lies
    /// elsewhere on the machine is not looked at.
    fn find(&mut self, name: &str, sources: &mut Sources, sink: &mut Sink) -> Option<FileId> {
        let path = Path::new(name);
        let given = self.files.iter().find(|(own, _)| own == path);
        let given = given.or_else(|| self.files.iter().find(|(own, _)| own.file_name() == path.file_name()));
        if let Some((_, id)) = given {
            return Some(*id);
        }
        if path.is_absolute() {
            return None;
        }
        let folders = self.files.iter().map(|(own, _)| own.parent().unwrap_or(Path::new("")));
        let beside = folders.map(|folder| folder.join(path)).find(|path| path.is_file())?;
        if let Some(id) = self.read.get(&beside) {
            return Some(*id);
        }
        let id = load::script(beside.to_str()?, self.limits, sources, sink)?;
        self.read.insert(beside, id);
        Some(id)
    }
}
