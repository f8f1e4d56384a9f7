//! What both the DSL and its expressions are spelled with: words, quotes, comments.
//!
//! `"…"` knows the escapes `\" \\ \n \t \r \u{hex}`; `'…'` knows none. Neither goes past the end of its line.

use crate::source::misleads;
use nom::bytes::complete::{take_while, take_while1};
use nom::character::complete::char;
use nom::sequence::preceded;
use nom::{IResult, Parser};
use std::borrow::Cow;

/// What to say of an unknown escape.
pub(crate) const ESCAPES: &str = "the escapes are `\\\"`, `\\\\`, `\\n`, `\\t`, `\\r` and `\\u{…}`; `'…'` knows none";

/// Whether a character may stand in an unquoted word.
pub fn is_word(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_graphic() && !is_mark(c) } else { !c.is_whitespace() && !c.is_control() }
}

/// Whether a character ends a word and means something itself.
fn is_mark(c: char) -> bool {
    matches!(c, '{' | '}' | '[' | ']' | '(' | ')' | ',' | ';' | '#' | '"' | '\'' | '=')
}

/// Whether a text may stand unquoted where a value or a name is expected. (A name that is also a keyword at its place must
/// be quoted all the same.)
pub fn is_bare(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| is_word(c) && !misleads(c)) && !text.ends_with(':')
}

/// The text in double quotes, with escapes.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if misleads(c) || (c.is_whitespace() && c != ' ') => {
                out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// One word.
pub(crate) fn word(i: &str) -> IResult<&str, &str> {
    take_while1(is_word).parse(i)
}

/// A comment up to the end of its line; gives what follows `#`.
pub(crate) fn comment(i: &str) -> IResult<&str, &str> {
    preceded(char('#'), take_while(|c| c != '\n')).parse(i)
}

/// A quoted text as it came out.
pub(crate) struct Quoted<'a> {
    /// The text, escapes resolved.
    pub text: Cow<'a, str>,
    /// Whether the closing quote stood on the line.
    pub closed: bool,
    /// The first unknown escape, as offset and length from the opening quote.
    pub bad_escape: Option<(usize, usize)>,
}

/// A quoted text, closed or not: it ends with the line at the latest.
pub(crate) fn quoted(i: &str) -> IResult<&str, Quoted<'_>> {
    let (body, mark) = nom::character::complete::one_of("\"'").parse(i)?;
    if mark == '\'' {
        let (rest, text) = take_while(|c| c != '\'' && c != '\n').parse(body)?;
        let closed = rest.starts_with('\'');
        let rest = rest.strip_prefix('\'').unwrap_or(rest);
        return Ok((rest, Quoted { text: Cow::Borrowed(text), closed, bad_escape: None }));
    }
    let (rest, plain) = take_while(|c| !matches!(c, '"' | '\n' | '\\')).parse(body)?;
    if let Some(rest) = rest.strip_prefix('"') {
        return Ok((rest, Quoted { text: Cow::Borrowed(plain), closed: true, bad_escape: None }));
    }
    let (mut rest, mut text, mut bad_escape) = (rest, plain.to_owned(), None);
    loop {
        let mut chars = rest.chars();
        match chars.next() {
            None | Some('\n') => return Ok((rest, Quoted { text: Cow::Owned(text), closed: false, bad_escape })),
            Some('"') => return Ok((chars.as_str(), Quoted { text: Cow::Owned(text), closed: true, bad_escape })),
            Some('\\') => {
                let (after, c) = escape(chars.as_str());
                match c {
                    Some(c) => text.push(c),
                    None => {
                        bad_escape = bad_escape.or(Some((i.len() - rest.len(), rest.len() - after.len())));
                    }
                }
                rest = after;
            }
            Some(c) => {
                text.push(c);
                rest = chars.as_str();
            }
        }
    }
}

/// What follows a backslash: the rest, and the character if the escape is known.
fn escape(i: &str) -> (&str, Option<char>) {
    let mut chars = i.chars();
    let c = match chars.next() {
        Some('"') => '"',
        Some('\\') => '\\',
        Some('n') => '\n',
        Some('t') => '\t',
        Some('r') => '\r',
        Some('u') => {
            let digits = chars.as_str().strip_prefix('{').and_then(|s| s.split_once('}'));
            return match digits {
                Some((hex, after)) if hex.len() <= 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
                    (after, u32::from_str_radix(hex, 16).ok().and_then(char::from_u32))
                }
                _ => (chars.as_str(), None),
            };
        }
        None | Some('\n') => return (i, None),
        Some(_) => return (chars.as_str(), None),
    };
    (chars.as_str(), Some(c))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_quoted_reads_back(text in any::<String>()) {
            let shown = quote(&text);
            let (rest, q) = quoted(&shown).unwrap();
            prop_assert!(q.closed && q.bad_escape.is_none() && rest.is_empty());
            prop_assert_eq!(q.text, text);
        }

        #[test]
        fn what_is_bare_is_one_word(text in "[ -~é\u{a0}]{0,8}") {
            if is_bare(&text) {
                prop_assert_eq!(word(&text).unwrap(), ("", text.as_str()));
            }
        }
    }

    #[test]
    fn quotes_end_with_the_line_and_bad_escapes_are_placed() {
        let (rest, q) = quoted("\"abc\ndef\"").unwrap();
        assert!(!q.closed && rest.starts_with('\n'));
        let (_, q) = quoted(r#""a\qb""#).unwrap();
        assert_eq!((q.bad_escape, &*q.text), (Some((2, 2)), "ab"));
    }
}
