//! The lines of a file for `tc -batch`.

use std::ops::Range;

/// One command of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its words, without quotes.
    pub words: Vec<String>,
    /// Where each stands in the text, in bytes.
    pub places: Vec<Range<usize>>,
}

/// The commands of a batch, as iproute2's `getcmdline` and `makeargs` find them: `#` ends a line, `\` before its end joins
/// it with the next, a word may be in quotes of either kind. Lines without words are left out.
///
/// # Errors
/// The place of a quote that is not closed.
pub fn lines(text: &str) -> Result<Vec<Line>, Range<usize>> {
    let mut lines = Vec::new();
    let mut line = Line { words: Vec::new(), places: Vec::new() };
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let first = rest.chars().next().unwrap_or_default();
        match first {
            '\n' => {
                end(&mut line, &mut lines);
                at += 1;
            }
            '#' => at += rest.find('\n').unwrap_or(rest.len()),
            '\\' if joint(rest) > 0 => at += joint(rest),
            ' ' | '\t' | '\r' => at += 1,
            '\'' | '"' => {
                let inner = rest.get(1..).unwrap_or("");
                let length =
                    inner.find([first, '\n', '#']).filter(|n| inner.get(*n..).is_some_and(|r| r.starts_with(first)));
                let Some(length) = length else { return Err(at..at + 1) };
                line.words.push(inner.get(..length).unwrap_or("").to_owned());
                line.places.push(at..at + length + 2);
                at += length + 2;
            }
            _ => {
                let mut word = String::new();
                let mut length = 0;
                while let Some(rest) = rest.get(length..) {
                    let Some(c) = rest.chars().next().filter(|c| !" \t\r\n#".contains(*c)) else { break };
                    match joint(rest) {
                        0 => {
                            word.push(c);
                            length += c.len_utf8();
                        }
                        joint => length += joint,
                    }
                }
                line.words.push(word);
                line.places.push(at..at + length);
                at += length;
            }
        }
    }
    end(&mut line, &mut lines);
    Ok(lines)
}

/// The length of what joins a line with the next, if it begins with that.
fn joint(text: &str) -> usize {
    ["\\\n", "\\\r\n"].into_iter().find(|joint| text.starts_with(joint)).map_or(0, str::len)
}

fn end(line: &mut Line, lines: &mut Vec<Line>) {
    if !line.words.is_empty() {
        lines.push(Line { words: std::mem::take(&mut line.words), places: std::mem::take(&mut line.places) });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_are_split_as_tc_splits_them() {
        let text = "qdisc add \\\n  dev 'lo' root # why\n\n# nothing\nclass sh\\\now\tdev \"a b\"c\r\n";
        let lines = lines(text).unwrap();
        let words: Vec<Vec<&str>> = lines.iter().map(|l| l.words.iter().map(String::as_str).collect()).collect();
        assert_eq!(words, [vec!["qdisc", "add", "dev", "lo", "root"], vec!["class", "show", "dev", "a b", "c"]]);
        assert_eq!(text.get(lines.first().unwrap().places.get(3).unwrap().clone()), Some("'lo'"));
        assert_eq!(super::lines("qdisc add 'lo\n"), Err(10..11));
    }
}
