//! Files to documents: the only place of the compiler that reads files.

use crate::codes::{
    EMPTY_FILE, FILE_TOO_LARGE, INCLUDE_CYCLE, INCLUDE_LIMIT, INCLUDE_NOTHING, INPUT, NOT_TEXT, WRONG_SHAPE,
};
use crate::diagnostic::{Diagnostic, Sink};
use crate::kind::Vocabulary;
use crate::source::{FileId, Notation, Source, Sources, Span};
use crate::syntax::document::{Document, Node, Value};
use crate::syntax::list::List;
use crate::syntax::{Limits, shape, yaml};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// The name that stands for standard input.
pub const STDIN: &str = "-";

/// Bytes that are looked at to tell a text from something else.
const PEEK: usize = 8 << 10;

/// The documents of a policy: what a file includes stands before the file itself.
#[derive(Debug, Default)]
pub struct Documents {
    /// Each with its file.
    pub list: Vec<(FileId, Document)>,
    /// The lists that sets stand in, by the place of the policy that names their file.
    pub lists: HashMap<Span, Arc<List>>,
}

/// Reads a policy's file, or standard input for `-`, and all that it includes; the texts go to `sources`. `None` if the
/// first file gives no document. A mistake in one file does not keep the others from being read.
pub fn load(name: &str, limits: &Limits, sources: &mut Sources, sink: &mut Sink) -> Option<Documents> {
    let mut loader = Loader {
        limits,
        sources,
        sink,
        seen: HashSet::new(),
        open: Vec::new(),
        lists: HashMap::new(),
        count: 0,
        documents: Documents::default(),
    };
    let bytes = match read(name, Span::NONE, limits) {
        Ok(bytes) => bytes,
        Err(fault) => {
            loader.sink.push(fault.diagnostic(name, Span::NONE, limits));
            return None;
        }
    };
    let path = Path::new(name);
    let key = if name == STDIN { PathBuf::from(STDIN) } else { path.canonicalize().unwrap_or_else(|_| path.into()) };
    loader.seen.insert(key.clone());
    let sound = loader.text(name, bytes, key, Span::NONE);
    sound.then_some(loader.documents)
}

/// Reads a text that is already at hand, without the files that it includes.
pub fn parse(source: Source, limits: &Limits, sources: &mut Sources, sink: &mut Sink) -> Option<Documents> {
    let file = sources.add(source);
    let document = document(sources.get(file)?, file, limits, sink)?;
    Some(Documents { list: vec![(file, document)], ..Documents::default() })
}

/// Reads one file as it is written: what it includes stays where it is.
pub fn one(name: &str, limits: &Limits, sources: &mut Sources, sink: &mut Sink) -> Option<(FileId, Document)> {
    let bytes = match read(name, Span::NONE, limits) {
        Ok(bytes) => bytes,
        Err(fault) => {
            sink.push(fault.diagnostic(name, Span::NONE, limits));
            return None;
        }
    };
    let text = decode(name, bytes, Span::NONE, sources, sink)?;
    let file = sources.add(Source::new(name, text));
    let document = document(sources.get(file)?, file, limits, sink)?;
    Some((file, document))
}

/// Reads a text that is no policy: a script. Octets that are no UTF-8 stand for themselves in no name that matters.
pub fn script(name: &str, limits: &Limits, sources: &mut Sources, sink: &mut Sink) -> Option<FileId> {
    match read(name, Span::NONE, limits) {
        Ok(bytes) => Some(sources.add(Source::new(name, String::from_utf8_lossy(&bytes).into_owned()))),
        Err(fault) => {
            sink.push(fault.diagnostic(name, Span::NONE, limits));
            None
        }
    }
}

fn document(source: &Source, file: FileId, limits: &Limits, sink: &mut Sink) -> Option<Document> {
    match source.notation {
        Notation::Yaml => yaml::read(source, file, limits, sink),
        Notation::Shape => shape::read(source, file, &Vocabulary, limits, sink),
    }
}

/// UTF-8, without the mark that some editors put first.
fn decode(name: &str, bytes: Vec<u8>, from: Span, sources: &mut Sources, sink: &mut Sink) -> Option<String> {
    let fault = match bytes.as_slice() {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("is UTF-16, and a policy is UTF-8"),
        all if all.iter().take(PEEK).any(|b| *b == 0) => Some("is no text: it holds zero bytes"),
        _ => None,
    };
    if let Some(fault) = fault {
        let d = Diagnostic::new(&NOT_TEXT, format!("`{name}` {fault}")).at(from, "included here");
        sink.push(d.help("a policy is a text in UTF-8, in YAML (.yaml) or in the DSL (.shape)"));
        return None;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text,
        }),
        Err(e) => {
            let at = e.utf8_error().valid_up_to();
            let bytes = e.into_bytes();
            let bad = bytes.get(at).copied().unwrap_or_default();
            // shown up to the end of the line at fault, with the byte made visible
            let end = bytes.iter().skip(at).position(|b| *b == b'\n').map_or(bytes.len(), |n| at + n);
            let shown = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
            let file = sources.add(Source::new(name, shown));
            let message = format!("`{name}` is not UTF-8: byte {bad:#04x} at offset {at} begins no character");
            let span = Span::new(file, at, at + '\u{fffd}'.len_utf8());
            let d = Diagnostic::new(&NOT_TEXT, message).at(span, "here").at(from, "included here");
            sink.push(d.help(format!("convert it: `iconv -f latin1 -t utf-8 {name}`")));
            None
        }
    }
}

struct Loader<'a> {
    limits: &'a Limits,
    sources: &'a mut Sources,
    sink: &'a mut Sink,
    /// Files that have been read, by their true path.
    seen: HashSet<PathBuf>,
    /// The files around the one that is read, each with the place that includes the next.
    open: Vec<(PathBuf, Span)>,
    /// Lists that have been read, by their true path.
    lists: HashMap<PathBuf, Arc<List>>,
    count: usize,
    documents: Documents,
}

/// Why a file is no text.
enum Fault {
    Io(io::Error),
    Directory,
    NoFile,
    TooLarge,
}

impl Fault {
    fn diagnostic(&self, name: &str, from: Span, limits: &Limits) -> Diagnostic {
        let shown = if name == STDIN { "standard input".to_owned() } else { format!("`{name}`") };
        match self {
            Fault::Io(e) => {
                let d = Diagnostic::new(&INPUT, format!("{shown} cannot be read: {}", reason(e)));
                match e.kind() {
                    io::ErrorKind::NotFound if from.is_none() => {
                        d.help("check the spelling; a relative name counts from where you are")
                    }
                    io::ErrorKind::NotFound => {
                        d.help("check the spelling; a name counts from the file that includes it")
                    }
                    io::ErrorKind::PermissionDenied => d.help("check who may read it: `ls -l`"),
                    _ => d,
                }
            }
            Fault::Directory => Diagnostic::new(&INPUT, format!("{shown} is a directory, and a file is wanted"))
                .help("name a file in it; to read them all, write one with `include: \"*.yaml\"`"),
            Fault::NoFile => Diagnostic::new(&INPUT, format!("{shown} is no plain file"))
                .help("a pipe or a device may hold up whoever reads it: write what comes out of it into a file"),
            Fault::TooLarge => {
                let message = format!("{shown} is larger than {} bytes", limits.file_bytes);
                Diagnostic::new(&FILE_TOO_LARGE, message)
                    .help("split it with `include`, or raise the limit with `--max-file-size`")
            }
        }
    }
}

/// The error without its number, which says nothing to a reader.
fn reason(e: &io::Error) -> String {
    let text = e.to_string();
    let plain = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = plain.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Reads a file; one that a policy names, and not who calls, is a plain one.
fn read(name: &str, from: Span, limits: &Limits) -> Result<Vec<u8>, Fault> {
    if name == STDIN {
        return drain(io::stdin().lock(), limits);
    }
    // looked at first: opening a directory succeeds, and reading it says little
    let meta = std::fs::metadata(name).map_err(Fault::Io)?;
    if meta.is_dir() {
        return Err(Fault::Directory);
    }
    if !from.is_none() && !meta.is_file() {
        return Err(Fault::NoFile);
    }
    drain(File::open(name).map_err(Fault::Io)?, limits)
}

fn drain(from: impl Read, limits: &Limits) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    from.take(limits.file_bytes as u64 + 1).read_to_end(&mut bytes).map_err(Fault::Io)?;
    if bytes.len() > limits.file_bytes { Err(Fault::TooLarge) } else { Ok(bytes) }
}

impl Loader<'_> {
    /// Reads one text and what it includes. `from` is the place that includes it.
    fn text(&mut self, name: &str, bytes: Vec<u8>, key: PathBuf, from: Span) -> bool {
        let Some(text) = decode(name, bytes, from, self.sources, self.sink) else { return false };
        if text.trim().is_empty() {
            let d = Diagnostic::new(&EMPTY_FILE, format!("`{name}` is empty"));
            self.sink.push(
                d.at(from, "included here").help("a policy begins with `interfaces:`, or with `interface NAME {`"),
            );
            return false;
        }
        let file = self.sources.add(Source::new(name, text));
        let Some(source) = self.sources.get(file) else { return false };
        let Some(document) = document(source, file, self.limits, self.sink) else { return false };
        if let Some(entry) = document.root.get("include") {
            self.include(&entry.node, file, key);
        }
        for set in document.root.get("sets").and_then(|sets| sets.node.entries()).unwrap_or_default() {
            if let Some(path) = set.node.get("file")
                && let Some(name) = path.node.as_word()
            {
                self.list(name, &path.node, file);
            }
        }
        self.documents.list.push((file, document));
        true
    }

    fn include(&mut self, node: &Node, file: FileId, key: PathBuf) {
        let nodes: Vec<&Node> = match &node.value {
            Value::List(items) => items.iter().map(|i| &i.node).collect(),
            _ => vec![node],
        };
        for node in nodes {
            let Some(pattern) = node.as_word().filter(|w| !w.is_empty()) else {
                let d = Diagnostic::new(
                    &WRONG_SHAPE,
                    format!("the name of a file is wanted here, and this is {}", node.shape()),
                );
                self.sink.push(d.at(node.span, "").help("write `include: lan.yaml`, or a list of such names"));
                continue;
            };
            self.open.push((key.clone(), node.span));
            for path in self.matching(pattern, file, node.span) {
                self.one(&path, node.span);
            }
            self.open.pop();
        }
    }

    /// The files of a pattern, sorted; a name without wildcards is itself.
    fn matching(&mut self, pattern: &str, file: FileId, at: Span) -> Vec<PathBuf> {
        let directory = self.sources.directory(file);
        let wild = pattern.contains(['*', '?', '[']);
        if !wild {
            return vec![directory.join(pattern)];
        }
        let escaped = glob::Pattern::escape(&directory.to_string_lossy());
        let whole = Path::new(&escaped).join(pattern);
        let found = glob::glob(&whole.to_string_lossy());
        let mut paths: Vec<PathBuf> = match found {
            Ok(paths) => paths.filter_map(Result::ok).filter(|p| !p.is_dir()).collect(),
            Err(e) => {
                let d = Diagnostic::new(&INPUT, format!("`{pattern}` is no pattern of files: {}", e.msg));
                self.sink.push(d.at(at, ""));
                return Vec::new();
            }
        };
        paths.sort();
        // `include: "*.yaml"` takes in the file that says it
        let own: Vec<&PathBuf> = self.open.iter().map(|(path, _)| path).collect();
        paths.retain(|p| p.canonicalize().map_or(true, |p| own.last().is_none_or(|o| **o != p)));
        if paths.is_empty() {
            let d = Diagnostic::new(&INCLUDE_NOTHING, format!("no file is called `{pattern}`")).at(at, "");
            self.sink.push(d.help(format!("the pattern counts from `{}`", shown(&directory))));
        }
        paths
    }

    fn one(&mut self, path: &Path, at: Span) {
        let key = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let name = name_of(path, &key);
        if let Some(first) = self.open.iter().position(|(open, _)| *open == key) {
            let mut d = Diagnostic::new(&INCLUDE_CYCLE, format!("`{name}` includes itself"))
                .at(at, "and here the circle closes");
            for (_, place) in self.open.iter().skip(first).filter(|(_, place)| *place != at) {
                d = d.at(*place, "by way of this");
            }
            self.sink.push(d.help("take one of them out"));
            return;
        }
        if !self.seen.insert(key.clone()) {
            return;
        }
        if !self.counted(at) {
            return;
        }
        match read(&name, at, self.limits) {
            Ok(bytes) => {
                self.text(&name, bytes, key, at);
            }
            Err(fault) => self.sink.push(fault.diagnostic(&name, at, self.limits).at(at, "included here")),
        }
    }

    /// Counts one more file; whether it is not too many.
    fn counted(&mut self, at: Span) -> bool {
        self.count += 1;
        let most = self.limits.includes;
        if self.count == most + 1 {
            let d = Diagnostic::new(&INCLUDE_LIMIT, format!("more than {most} files are included"));
            self.sink.push(d.at(at, "").help("put several of them into one file"));
        }
        self.count <= most
    }

    /// Reads the list of a set; its file is read once, however many sets stand in it.
    fn list(&mut self, name: &str, node: &Node, file: FileId) {
        let path = self.sources.directory(file).join(name);
        let key = path.canonicalize().unwrap_or_else(|_| path.clone());
        if let Some(list) = self.lists.get(&key) {
            self.documents.lists.insert(node.span, Arc::clone(list));
            return;
        }
        if !self.counted(node.span) {
            return;
        }
        let name = name_of(&path, &key);
        let bytes = match read(&name, node.span, self.limits) {
            Ok(bytes) => bytes,
            Err(fault) => {
                self.sink.push(fault.diagnostic(&name, node.span, self.limits).at(node.span, "the list is there"));
                return;
            }
        };
        let Some(text) = decode(&name, bytes, node.span, self.sources, self.sink) else { return };
        let id = self.sources.add(Source::with_notation(name, text, Notation::Shape));
        let Some(source) = self.sources.get(id) else { return };
        let list = Arc::new(List::read(source, id, self.sink));
        self.documents.lists.insert(node.span, Arc::clone(&list));
        self.lists.insert(key, list);
    }
}

/// How a file is called: `parts/../a.yaml` is shown as `a.yaml`, unless a link in between makes that another file.
fn name_of(path: &Path, key: &Path) -> String {
    let short = shortened(path);
    let path = if short.canonicalize().is_ok_and(|k| k == key) { &short } else { path };
    path.to_string_lossy().into_owned()
}

/// A path without `.` and `NAME/..`.
fn shortened(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

fn shown(directory: &Path) -> String {
    let text = directory.to_string_lossy();
    if text.is_empty() { ".".to_owned() } else { text.into_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use std::fs;

    fn in_directory(files: &[(&str, &[u8])], limits: &Limits) -> (Option<Vec<String>>, Vec<Diagnostic>, Sources) {
        let directory = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let (mut sources, mut sink) = (Sources::new(), Sink::new());
        let first = directory.path().join(files[0].0);
        let documents = load(first.to_str().unwrap(), limits, &mut sources, &mut sink);
        let ending = |id: FileId| {
            let name = &sources.get(id).unwrap().name;
            Path::new(name).strip_prefix(directory.path()).unwrap().to_str().unwrap().to_owned()
        };
        let names = documents.map(|d| d.list.iter().map(|(id, _)| ending(*id)).collect());
        (names, sink.sorted(), sources)
    }

    fn codes(found: &[Diagnostic]) -> Vec<&'static str> {
        found.iter().map(|d| d.code.name).collect()
    }

    #[test]
    fn includes_come_before_the_includer_sorted_and_once() {
        let files: &[(&str, &[u8])] = &[
            ("main.yaml", b"include: [\"parts/*\", extra.shape]\ninterfaces: {}"),
            ("parts/b.yaml", b"include: ../shared.yaml\nlet: { b: 1 }"),
            ("parts/a.yaml", b"include: ../shared.yaml\nlet: { a: 1 }"),
            ("shared.yaml", b"let: { s: 1 }"),
            ("extra.shape", b"let x = 1\n"),
        ];
        let (names, found, _) = in_directory(files, &Limits::default());
        assert_eq!(codes(&found), [""; 0]);
        assert_eq!(names.unwrap(), ["shared.yaml", "parts/a.yaml", "parts/b.yaml", "extra.shape", "main.yaml"]);
        let (names, found, _) = in_directory(&files[..4], &Limits { includes: 2, ..Limits::default() });
        assert_eq!(codes(&found), ["include-limit"]);
        assert!(names.is_some());
    }

    #[test]
    fn a_pattern_leaves_out_the_file_that_has_it() {
        let files: &[(&str, &[u8])] =
            &[("a.yaml", b"include: \"*.yaml\"\ninterfaces: {}"), ("b.yaml", b"let: { b: 1 }")];
        let (names, found, _) = in_directory(files, &Limits::default());
        assert_eq!((names.unwrap(), codes(&found)), (vec!["b.yaml".to_owned(), "a.yaml".to_owned()], vec![]));
    }

    #[test]
    fn lists_are_read_once_beside_the_file_that_names_them() {
        let files: &[(&str, &[u8])] = &[
            ("main.yaml", b"include: parts/a.shape\nsets: { b: { file: lists/l.txt } }"),
            ("parts/a.shape", b"set a file ../lists/l.txt\nset c file c.txt\n"),
            ("lists/l.txt", b"192.0.2.1 # one\nbad.example\n"),
            ("parts/c.txt", b"80\n"),
        ];
        let (names, found, sources) = in_directory(files, &Limits::default());
        assert_eq!(names.unwrap().len(), 2);
        assert_eq!(codes(&found), ["match-value"]);
        let (name, line, _) = sources.locate(found[0].span()).unwrap();
        assert!(name.ends_with("lists/l.txt") && line == 2, "{name}:{line}");
        let (_, found, _) = in_directory(&files[..3], &Limits::default());
        assert_eq!(codes(&found), ["input", "match-value"]);
        let (_, found, _) = in_directory(files, &Limits { includes: 2, ..Limits::default() });
        assert_eq!(codes(&found), ["include-limit", "match-value"]);
    }

    #[test]
    fn what_is_no_text_is_said_so_at_its_place() {
        for (bytes, code, words) in [
            (&b""[..], "empty-file", "is empty"),
            (b" \n\n", "empty-file", "is empty"),
            (b"\x7fELF\x02\x01\x01\0\0\0", "not-text", "zero bytes"),
            (b"\xff\xfei\0n\0", "not-text", "UTF-16"),
            (b"a: 1\nb: caf\xe9\nc: 2\n", "not-text", "byte 0xe9 at offset 11"),
        ] {
            let (names, found, sources) = in_directory(&[("p.yaml", bytes)], &Limits::default());
            assert!(names.is_none());
            assert_eq!(codes(&found), [code]);
            assert!(found[0].message.contains(words), "{}", found[0].message);
            if words.contains("offset") {
                assert_eq!(sources.locate(found[0].span()).unwrap().1, 2);
            }
        }
        let bom = in_directory(&[("p.yaml", b"\xef\xbb\xbfinterfaces: {}")], &Limits::default());
        assert!(bom.0.is_some() && bom.1.is_empty());
    }

    #[test]
    fn what_cannot_be_read_and_what_is_too_large() {
        let (mut sources, mut sink) = (Sources::new(), Sink::new());
        let directory = tempfile::tempdir().unwrap();
        let nowhere = directory.path().join("nowhere.yaml");
        for name in [nowhere.to_str().unwrap(), directory.path().to_str().unwrap()] {
            assert!(load(name, &Limits::default(), &mut sources, &mut sink).is_none());
        }
        assert_eq!(codes(&sink.found), ["input", "input"]);
        assert!(sink.found[1].message.ends_with("is a directory, and a file is wanted"));
        let limits = Limits { file_bytes: 10, ..Limits::default() };
        assert_eq!(codes(&in_directory(&[("p.yaml", b"interfaces: {}")], &limits).1), ["file-too-large"]);
    }

    #[test]
    fn a_circle_names_every_place_on_its_way() {
        let files: &[(&str, &[u8])] =
            &[("a.yaml", b"include: b.yaml"), ("b.yaml", b"include: c.yaml"), ("c.yaml", b"include: a.yaml")];
        let (_, found, sources) = in_directory(files, &Limits::default());
        assert_eq!(codes(&found), ["include-cycle"]);
        let places: Vec<_> = found[0].labels.iter().map(|l| sources.slice(l.span)).collect();
        assert_eq!(places, ["a.yaml", "b.yaml", "c.yaml"]);
    }

    #[test]
    fn a_mistake_in_one_file_leaves_the_others_to_be_read() {
        let files: &[(&str, &[u8])] = &[
            ("a.yaml", b"include: [b.yaml, nowhere.yaml, c.yaml]\ninterfaces: {}"),
            ("b.yaml", b"let: [\n"),
            ("c.yaml", b"let: { c: 1 }"),
        ];
        let (names, found, _) = in_directory(files, &Limits::default());
        assert_eq!(names.unwrap(), ["c.yaml", "a.yaml"]);
        assert_eq!(codes(&found), ["input", "syntax"]);
    }
}
