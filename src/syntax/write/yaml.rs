//! The YAML writer: two blanks a level, short blocks as `{ … }`, quotes only where YAML needs them.

use super::{Lines, WIDTH, below, has_comment};
use crate::source::misleads;
use crate::syntax::document::{Document, Entry, Item, Node, Value, Word};

/// Brackets in brackets on one line.
const NESTED: usize = 3;

pub(super) fn write(document: &Document) -> String {
    let mut lines = Lines::default();
    match &document.root.value {
        Value::Block(entries) if !entries.is_empty() => block(&mut lines, entries, 0, false),
        _ => lines.text.push_str("{}\n"),
    }
    lines.finish(&document.tail)
}

/// The entries of a block. With `inline` the first one goes on with the line that is open, after `- `.
fn block(lines: &mut Lines, entries: &[Entry], indent: usize, inline: bool) {
    for (number, entry) in entries.iter().enumerate() {
        let trivia = entry.trivia.as_deref();
        if number > 0 || !inline {
            lines.comments(trivia.map_or(&[], |t| &t.above), indent, number == 0);
            lines.pad(indent);
        }
        lines.text.push_str(&key(&entry.key.value));
        lines.text.push(':');
        let beside = trivia.and_then(|t| t.beside.as_deref());
        // What stands at the top and the interfaces' own lines are spread out, unless all they hold is words.
        let nested = if indent < 4 { 1 } else { NESTED };
        value(lines, &entry.node, indent, nested, beside, below(trivia));
    }
}

/// What follows a key and its colon.
fn value(lines: &mut Lines, node: &Node, indent: usize, nested: usize, beside: Option<&str>, below: &[String]) {
    let column = lines.text.len() - lines.text.rfind('\n').map_or(0, |n| n + 1);
    match &node.value {
        Value::Null => lines.end(beside),
        Value::Word(w) if is_literal(w) => {
            lines.text.push_str(" |-");
            lines.end(beside);
            literal(lines, w, indent + 2);
        }
        Value::Word(w) => {
            lines.text.push(' ');
            lines.text.push_str(&word(w, false));
            lines.end(beside);
        }
        other => {
            let blocks = |items: &[Item]| items.iter().any(|i| !matches!(i.node.value, Value::Word(_)));
            let spread = holds(node) && (!below.is_empty() || matches!(other, Value::List(items) if blocks(items)));
            if !spread && let Some(text) = on_one_line(node, nested, (WIDTH - 1).saturating_sub(column), false) {
                lines.text.push(' ');
                lines.text.push_str(&text);
                lines.end(beside);
            } else {
                lines.end(beside);
                match other {
                    Value::List(items) => list(lines, items, indent + 2, false),
                    Value::Block(entries) => block(lines, entries, indent + 2, false),
                    _ => {}
                }
            }
        }
    }
    lines.comments(below, if holds(node) { indent + 2 } else { indent }, false);
}

/// Whether a value has anything inside that comments could stand below.
fn holds(node: &Node) -> bool {
    match &node.value {
        Value::List(items) => !items.is_empty(),
        Value::Block(entries) => !entries.is_empty(),
        _ => false,
    }
}

/// Whether a text of several lines can stand as it is, which is easier to read than `\n` in quotes.
fn is_literal(word: &Word) -> bool {
    let text = &word.text;
    text.contains('\n')
        && !text.starts_with([' ', '\n'])
        && !text.ends_with([' ', '\n'])
        && text.chars().all(|c| c == '\n' || (is_printable(c) && (c == ' ' || !c.is_whitespace()) && c != '\u{feff}'))
}

fn literal(lines: &mut Lines, word: &Word, indent: usize) {
    for line in word.text.split('\n') {
        // How the DSL's lines of an expression are indented is not part of it.
        let line = if word.quoted { line } else { line.trim() };
        if !line.is_empty() {
            lines.pad(indent);
            lines.text.push_str(line);
        }
        if word.quoted || !line.is_empty() {
            lines.text.push('\n');
        }
    }
}

/// The items of a list. With `hoisted` the comments at its start are written already.
fn list(lines: &mut Lines, items: &[Item], indent: usize, hoisted: bool) {
    for (number, item) in items.iter().enumerate() {
        let trivia = item.trivia.as_deref();
        if number > 0 || !hoisted {
            lines.comments(&above(item, indent), indent, number == 0);
        }
        lines.pad(indent);
        lines.text.push('-');
        match (short(item, indent), &item.node.value) {
            (None, Value::Block(entries)) => {
                lines.text.push(' ');
                block(lines, entries, indent + 2, true);
            }
            (None, Value::List(items)) => {
                lines.end(None);
                list(lines, items, indent + 2, true);
            }
            (None, Value::Word(w)) => {
                lines.text.push_str(" |-\n");
                literal(lines, w, indent + 2);
            }
            (None, _) => lines.end(None),
            (Some(text), _) => {
                lines.text.push(' ');
                lines.text.push_str(&text);
                lines.end(trivia.and_then(|t| t.beside.as_deref()));
            }
        }
        let inner = if holds(&item.node) { indent + 2 } else { indent };
        lines.comments(below(trivia), inner, false);
    }
}

/// An item that stands on its dash's line.
fn short(item: &Item, indent: usize) -> Option<String> {
    match &item.node.value {
        Value::Word(w) => (!is_literal(w)).then(|| word(w, false)),
        Value::Null => None,
        _ if holds(&item.node) && !below(item.trivia.as_deref()).is_empty() => None,
        _ => on_one_line(&item.node, NESTED, WIDTH.saturating_sub(indent + 2), true),
    }
}

/// The lines above an item. Between a dash and the first thing inside is no line for the comments of that, and a dash
/// alone has none that its own comment could stand beside.
fn above(item: &Item, indent: usize) -> Vec<String> {
    let trivia = item.trivia.as_deref();
    let mut lines = trivia.map_or(Vec::new(), |t| t.above.clone());
    if short(item, indent).is_none() {
        lines.extend(trivia.and_then(|t| t.beside.clone()));
    }
    match &item.node.value {
        Value::Block(entries) => {
            let first = entries.first().and_then(|e| e.trivia.as_deref());
            lines.extend(first.iter().flat_map(|t| t.above.iter().cloned()));
        }
        Value::List(items) => lines.extend(items.first().iter().flat_map(|i| above(i, indent + 2))),
        _ => {}
    }
    lines
}

/// A block or list in brackets, if it fits into `room`, nests no deeper than `nested`, has no comments, and holds at most
/// one block: two of them read better below each other. With `hoisted` the comments above its first part stand above
/// the whole.
fn on_one_line(node: &Node, nested: usize, room: usize, hoisted: bool) -> Option<String> {
    let mut text = String::new();
    flow(&mut text, node, nested, room, hoisted)?;
    (text.chars().count() <= room).then_some(text)
}

fn flow(out: &mut String, node: &Node, nested: usize, room: usize, hoisted: bool) -> Option<()> {
    if out.len() > room * 4 {
        return None;
    }
    match &node.value {
        Value::Null => {}
        Value::Word(w) if is_literal(w) => return None,
        Value::Word(w) => out.push_str(&word(w, true)),
        Value::List(items) => {
            let deeper = nested.checked_sub(usize::from(!items.is_empty()))?;
            out.push('[');
            for (number, item) in items.iter().enumerate() {
                let hoisted = hoisted && number == 0;
                if has_comment(item.trivia.as_deref(), hoisted) || matches!(item.node.value, Value::Null) {
                    return None;
                }
                out.push_str(if number > 0 { ", " } else { "" });
                flow(out, &item.node, deeper, room, hoisted)?;
            }
            out.push(']');
        }
        Value::Block(entries) => {
            let deeper = nested.checked_sub(usize::from(!entries.is_empty()))?;
            let blocks = entries.iter().filter(|e| matches!(&e.node.value, Value::Block(b) if !b.is_empty()));
            if blocks.take(2).count() > 1 {
                return None;
            }
            out.push('{');
            for (number, entry) in entries.iter().enumerate() {
                if has_comment(entry.trivia.as_deref(), hoisted && number == 0) {
                    return None;
                }
                out.push_str(if number > 0 { ", " } else { " " });
                out.push_str(&key(&entry.key.value));
                let last = number + 1 == entries.len();
                out.push_str(if last && matches!(entry.node.value, Value::Null) { ":" } else { ": " });
                flow(out, &entry.node, deeper, room, false)?;
            }
            out.push_str(if entries.is_empty() { "}" } else { " }" });
        }
    }
    Some(())
}

/// A key. What other readers of YAML would take for something else than a string gets quotes; round numbers stay.
fn key(text: &str) -> String {
    let round = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let marker = text.starts_with("---") || text.starts_with("...");
    if is_plain(text, true) && !marker && (round || !is_typed(text)) && text != "<<" {
        text.to_owned()
    } else {
        quoted(text)
    }
}

fn word(word: &Word, in_brackets: bool) -> String {
    if !word.quoted && is_plain(&word.text, in_brackets) { word.text.to_string() } else { quoted(&word.text) }
}

/// Whether YAML 1.1 or 1.2 readers give a plain scalar a type of its own.
fn is_typed(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let words = ["", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", ".inf", ".nan", "="];
    words.contains(&lower.as_str())
        || (text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
            && text.chars().all(|c| c.is_ascii_hexdigit() || "_.:+-oOxXeE".contains(c)))
}

/// Whether a text can stand without quotes in YAML and be read as the same string.
fn is_plain(text: &str, in_brackets: bool) -> bool {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return false };
    let second = chars.next();
    let safe = |c: char| !c.is_whitespace() && (!in_brackets || !",[]{}".contains(c));
    let starts = match first {
        '-' | '?' | ':' => second.is_some_and(safe),
        c => !",[]{}#&*!|>'\"%@`".contains(c) && !c.is_whitespace(),
    };
    starts
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && text.chars().all(|c| (c == ' ' || !c.is_whitespace()) && is_printable(c) && c != '\u{feff}')
        && !(in_brackets && (text.contains([',', '[', ']', '{', '}']) || text.starts_with(':')))
}

/// YAML's printable characters, but those that mislead.
fn is_printable(c: char) -> bool {
    !misleads(c) && matches!(c, ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// A text in quotes; single ones where they save escapes, so that places inside stay true.
fn quoted(text: &str) -> String {
    let shown = |c: char| is_printable(c) && (c == ' ' || !c.is_whitespace()) && c != '\u{feff}';
    if text.contains(['"', '\\']) && !text.contains('\'') && text.chars().all(shown) {
        return format!("'{text}'");
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if shown(c) => out.push(c),
            c if u32::from(c) <= 0xff => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if u32::from(c) <= 0xffff => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}
