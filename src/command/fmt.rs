//! `fmt`: a policy in its normal layout, or in the other notation.

use super::Exit;
use super::frame::Frame;
use crate::cli::To;
use crate::diagnostic::{Diagnostic, codes};
use crate::policy;
use crate::source::Notation;
use crate::syntax;
use std::io::Write;
use std::path::Path;

pub(super) fn run(frame: &mut Frame, files: &[String], to: Option<To>, write: bool, check: bool) -> Exit {
    let files = if files.is_empty() { vec!["-".to_owned()] } else { files.to_vec() };
    let mut different = false;
    for file in &files {
        let limits = frame.limits();
        // one file as it is written: what it includes stays where it is
        let Some((id, document)) = policy::load::one(file, &limits, &mut frame.sources, &mut frame.found) else {
            continue;
        };
        let Some(source) = frame.sources.get(id) else { continue };
        let notation = match to {
            Some(To::Yaml) => Notation::Yaml,
            Some(To::Shape) => Notation::Shape,
            None => source.notation,
        };
        let text = match syntax::write::convert(&document, notation, &crate::kind::Vocabulary) {
            Ok(text) => text,
            Err(finding) => {
                frame.found.push(*finding);
                continue;
            }
        };
        if check {
            different |= *text != *source.text;
            if *text != *source.text {
                frame.say(&format!("{file} is not in its normal layout"));
            }
        } else if write && file != "-" {
            let target = match (to, notation) {
                (Some(_), Notation::Yaml) => Path::new(file).with_extension("yaml"),
                (Some(_), Notation::Shape) => Path::new(file).with_extension("shape"),
                (None, _) => Path::new(file).to_path_buf(),
            };
            if let Err(e) = replace(&target, &text) {
                let message = format!("{} cannot be written: {e}", target.display());
                frame.found.push(Diagnostic::new(&codes::INPUT, message));
            }
        } else {
            frame.print(&text);
        }
    }
    let bad = frame.found.has_errors();
    frame.report();
    match (bad, different) {
        (true, _) => Exit::Refused,
        (false, true) => Exit::Different,
        (false, false) => Exit::Done,
    }
}

/// Writes beside the file and moves into its place, so that it is whole at every instant.
fn replace(target: &Path, text: &str) -> std::io::Result<()> {
    let mut name = target.as_os_str().to_owned();
    name.push(".new");
    let beside = Path::new(&name);
    let mut file = std::fs::File::create(beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    if let Ok(meta) = std::fs::metadata(target) {
        std::fs::set_permissions(beside, meta.permissions())?;
    }
    std::fs::rename(beside, target)
}
