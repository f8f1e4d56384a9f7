//! A list of addresses or ports in a file of its own: one a line, blank lines, remarks after `#`.

use super::expression::Item;
use super::expression_parser::listed;
use crate::codes::SYNTAX;
use crate::diagnostic::{Diagnostic, Sink};
use crate::source::{FileId, Source, Span};

/// After so many errors the rest of a list is not read.
const ERRORS: usize = 20;

/// A list that has been read.
#[derive(Debug)]
pub struct List {
    file: FileId,
    items: Vec<Item>,
    /// First and last byte of each item.
    places: Vec<(u32, u32)>,
}

impl List {
    /// Reads a list. Mistakes are reported at their line, and left out.
    pub fn read(source: &Source, file: FileId, sink: &mut Sink) -> List {
        let mut list = List { file, items: Vec::new(), places: Vec::new() };
        let (mut start, mut errors) = (0, 0);
        for line in source.text.split_inclusive('\n') {
            let written = line.split('#').next().unwrap_or_default();
            let text = written.trim();
            let at = start + written.len() - written.trim_start().len();
            start += line.len();
            if text.is_empty() {
                continue;
            }
            let span = Span::new(file, at, at + text.len());
            match one(text, span, sink) {
                Some(item) => {
                    list.items.push(item);
                    list.places.push((span.start, span.end));
                }
                None => errors += 1,
            }
            if errors >= ERRORS {
                let message = format!("the rest of `{}` is not read after so many mistakes", source.name);
                sink.push(Diagnostic::new(&SYNTAX, message).at(span, "up to here"));
                break;
            }
        }
        // a long list stays for the whole run
        list.items.shrink_to_fit();
        list.places.shrink_to_fit();
        list
    }

    /// What it holds, in the order of writing.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Where an item stands.
    pub fn place(&self, item: usize) -> Span {
        self.places.get(item).map_or(Span::NONE, |(start, end)| Span { file: self.file, start: *start, end: *end })
    }
}

fn one(text: &str, span: Span, sink: &mut Sink) -> Option<Item> {
    if text.contains(|c: char| c.is_whitespace() || c == ',') {
        let d = Diagnostic::new(&SYNTAX, "a list has one address or port a line").at(span, "more than one");
        sink.push(d.help("write each on a line of its own; a remark begins with `#`"));
        return None;
    }
    listed(text, span, sink)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use crate::syntax::expression::Field;

    fn read(text: &str) -> (List, Vec<(usize, &'static str)>) {
        let (source, mut sink) = (Source::new("l.txt", text), Sink::new());
        let list = List::read(&source, FileId(0), &mut sink);
        let found = sink.found.iter().map(|d| (source.place(d.span().start).0, d.code.name)).collect();
        (list, found)
    }

    #[test]
    fn one_a_line_with_remarks() {
        let (list, found) =
            read("# the office\n192.0.2.0/24\r\n\n  2001:db8::1 # the printer\n10.0.0.1-10.0.0.9\n22\nssh\n8000-8999");
        assert_eq!(found, []);
        let shown: Vec<_> = list.items().iter().map(|i| i.show(Field::Dport)).collect();
        assert_eq!(shown, ["192.0.2.0/24", "2001:db8::1", "10.0.0.1-10.0.0.9", "22", "22", "8000-8999"]);
        assert_eq!((list.place(1).start, list.place(1).end), (30, 41));
    }

    #[test]
    fn mistakes_have_their_lines() {
        let (list, found) = read("192.0.2.1/24\n192.0.2.300\nexample.org\n1, 2\n70000\n9-3\n192.0.2.9\n");
        let expected = ["match-value", "match-value", "syntax", "match-value", "match-value"];
        assert_eq!(found[0], (1, "host-bits"));
        assert_eq!(found[1..], expected.iter().enumerate().map(|(i, c)| (i + 2, *c)).collect::<Vec<_>>());
        assert_eq!(list.items().len(), 2);
        let (list, found) = read(&"nonsense\n".repeat(1000));
        assert_eq!((list.items().len(), found.len()), (0, ERRORS + 1));
    }
}
