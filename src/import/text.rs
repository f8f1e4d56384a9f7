//! Text that remembers where it comes from: a word may be put together from several places of a script.

use crate::source::Span;

/// A piece of text with the places of its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The text.
    pub text: String,
    pieces: Vec<Piece>,
}

/// From `start` on, to the next piece: at `span`, octet for octet if it stands there as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    start: usize,
    span: Span,
    exact: bool,
}

impl Text {
    /// A text that stands at one place; its parts are told apart where the place is as long as the text.
    pub fn new(text: impl Into<String>, span: Span) -> Text {
        let mut out = Text::default();
        out.push(&text.into(), span);
        out
    }

    /// Appends a text from a place.
    pub fn push(&mut self, text: &str, span: Span) {
        if text.is_empty() && !(self.pieces.is_empty() && self.text.is_empty()) {
            return;
        }
        let exact = !span.is_none() && (span.end - span.start) as usize == text.len();
        let start = self.text.len();
        // what goes on where the last piece ended is one piece with it
        let goes_on = self.pieces.last().is_some_and(|last| {
            let length = (start - last.start) as u32;
            match (last.exact, exact) {
                (true, true) => last.span.file == span.file && last.span.start.checked_add(length) == Some(span.start),
                (false, false) => last.span == span,
                _ => false,
            }
        });
        match self.pieces.last_mut().filter(|_| goes_on) {
            Some(last) => last.span = last.span.to(span),
            None => self.pieces.push(Piece { start, span, exact }),
        }
        self.text.push_str(text);
    }

    /// Appends a text with its places.
    pub fn append(&mut self, other: &Text) {
        for (i, piece) in other.pieces.iter().enumerate() {
            let end = other.pieces.get(i + 1).map_or(other.text.len(), |next| next.start);
            self.push(other.text.get(piece.start..end).unwrap_or(""), piece.span);
        }
    }

    /// A part of it, by octets; empty if they cut a letter.
    pub fn slice(&self, from: usize, to: usize) -> Text {
        let mut out = Text::default();
        let first = self.pieces.partition_point(|p| p.start <= from).saturating_sub(1);
        for (i, piece) in self.pieces.iter().enumerate().skip(first) {
            if piece.start >= to && piece.start != from {
                break;
            }
            let end = self.pieces.get(i + 1).map_or(self.text.len(), |next| next.start);
            let (start, end) = (piece.start.max(from), end.min(to));
            let Some(text) = self.text.get(start..end.max(start)) else { continue };
            let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
            let span = if piece.exact {
                let at = piece.span.start + narrow(start - piece.start);
                Span { start: at, end: at + narrow(text.len()), ..piece.span }
            } else {
                piece.span
            };
            out.push(text, span);
        }
        out
    }

    /// The place of all of it, in the file where it begins.
    pub fn span(&self) -> Span {
        let places = self.pieces.iter().map(|p| p.span).filter(|s| !s.is_none());
        places.reduce(Span::to).unwrap_or(Span::NONE)
    }

    /// Its lines with their places, without the newlines.
    pub fn lines(&self) -> Vec<Text> {
        let mut out = Vec::new();
        let mut from = 0;
        for line in self.text.split('\n') {
            out.push(self.slice(from, from + line.len()));
            from += line.len() + 1;
        }
        if out.last().is_some_and(|last| last.text.is_empty()) {
            out.pop();
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FileId;

    fn at(start: usize, end: usize) -> Span {
        Span::new(FileId(0), start, end)
    }

    #[test]
    fn parts_keep_their_places() {
        let mut text = Text::new("rate ", at(10, 15));
        text.push("10mbit", at(15, 20)); // `$RATE`
        text.push(" burst", at(20, 26));
        assert_eq!(text.text, "rate 10mbit burst");
        assert_eq!(text.slice(0, 4), Text::new("rate", at(10, 14)));
        assert_eq!(text.slice(5, 11).span(), at(15, 20));
        assert_eq!(text.slice(7, 14).span(), at(15, 23));
        assert_eq!(text.slice(12, 17), Text::new("burst", at(21, 26)));
        assert_eq!(text.span(), at(10, 26));
    }

    #[test]
    fn lines_have_places() {
        let text = Text::new("a b\n\nc\n", at(0, 7));
        let lines: Vec<_> = text.lines().iter().map(|l| (l.text.clone(), l.span())).collect();
        assert_eq!(lines, [("a b".into(), at(0, 3)), (String::new(), at(4, 4)), ("c".into(), at(5, 6))]);
    }
}
