//! Patterns of the shell: `*`, `?`, `[a-z]`, and what is quoted as itself.

/// A pattern.
#[derive(Clone, Debug, Default)]
pub struct Pattern(Vec<Sign>);

#[derive(Clone, Debug)]
enum Sign {
    Letter(char),
    One,
    Any,
    /// Ranges, and whether it is none of them.
    Of(Vec<(char, char)>, bool),
}

impl Pattern {
    /// Reads a pattern in which a backslash quotes the next letter.
    pub fn new(text: &str) -> Pattern {
        let letters: Vec<char> = text.chars().collect();
        let mut out = Vec::new();
        let mut rest = letters.as_slice();
        while let Some((first, mut after)) = rest.split_first() {
            match first {
                '\\' => match after.split_first() {
                    Some((quoted, more)) => {
                        out.push(Sign::Letter(*quoted));
                        after = more;
                    }
                    None => out.push(Sign::Letter('\\')),
                },
                '*' => {
                    if !matches!(out.last(), Some(Sign::Any)) {
                        out.push(Sign::Any);
                    }
                }
                '?' => out.push(Sign::One),
                '[' => match set(after) {
                    Some((sign, more)) => {
                        out.push(sign);
                        after = more;
                    }
                    None => out.push(Sign::Letter('[')),
                },
                c => out.push(Sign::Letter(*c)),
            }
            rest = after;
        }
        Pattern(out)
    }

    /// Whether all of the text is what the pattern says.
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        self.matches_letters(&text)
    }

    fn matches_letters(&self, text: &[char]) -> bool {
        let (mut at, mut sign) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while at < text.len() {
            let one = match (self.0.get(sign), text.get(at)) {
                (Some(Sign::Any), _) => {
                    star = Some((sign, at));
                    sign += 1;
                    continue;
                }
                (Some(Sign::One), Some(_)) => true,
                (Some(Sign::Letter(a)), Some(b)) => a == b,
                (Some(Sign::Of(ranges, not)), Some(c)) => ranges.iter().any(|(a, b)| (a..=b).contains(&c)) != *not,
                _ => false,
            };
            match (one, &mut star) {
                (true, _) => (at, sign) = (at + 1, sign + 1),
                (false, Some((back, from))) => {
                    *from += 1;
                    (at, sign) = (*from, *back + 1);
                }
                (false, None) => return false,
            }
        }
        self.0.iter().skip(sign).all(|s| matches!(s, Sign::Any))
    }

    /// The octets of the text's front (or end) that the pattern takes, the most or the least.
    pub fn cut(&self, text: &str, front: bool, longest: bool) -> Option<usize> {
        let letters: Vec<char> = text.chars().collect();
        let lengths: Vec<usize> = (0..=letters.len()).collect();
        let fits = |n: &&usize| {
            let part = if front { letters.get(..**n) } else { letters.get(letters.len() - **n..) };
            part.is_some_and(|part| self.matches_letters(part))
        };
        let found = if longest { lengths.iter().rev().find(fits) } else { lengths.iter().find(fits) };
        let octets = |part: Option<&[char]>| part.unwrap_or(&[]).iter().map(|c| c.len_utf8()).sum();
        found.map(|n| if front { octets(letters.get(..*n)) } else { octets(letters.get(letters.len() - *n..)) })
    }

    /// The first place in the text that the pattern takes, at its longest: from and to in octets.
    pub fn find(&self, text: &str) -> Option<(usize, usize)> {
        let starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
        for from in starts {
            if let Some(length) = self.cut(text.get(from..).unwrap_or(""), true, true).filter(|n| *n > 0) {
                return Some((from, from + length));
            }
        }
        None
    }
}

/// What follows `[`, to its `]`.
fn set(letters: &[char]) -> Option<(Sign, &[char])> {
    let (mut rest, mut not) = (letters, false);
    if let Some(('!' | '^', after)) = rest.split_first() {
        (rest, not) = (after, true);
    }
    let mut ranges = Vec::new();
    let mut first = true;
    loop {
        let (c, after) = rest.split_first()?;
        rest = after;
        match c {
            ']' if !first => return Some((Sign::Of(ranges, not), rest)),
            '[' if rest.first() == Some(&':') => {
                let name: String = rest.iter().skip(1).take_while(|c| **c != ':').collect();
                rest = rest.get(name.chars().count() + 3..)?;
                match name.as_str() {
                    "digit" => ranges.push(('0', '9')),
                    "alpha" => ranges.extend([('a', 'z'), ('A', 'Z')]),
                    "alnum" => ranges.extend([('a', 'z'), ('A', 'Z'), ('0', '9')]),
                    "lower" => ranges.push(('a', 'z')),
                    "upper" => ranges.push(('A', 'Z')),
                    "xdigit" => ranges.extend([('0', '9'), ('a', 'f'), ('A', 'F')]),
                    "space" | "blank" => ranges.extend([(' ', ' '), ('\t', '\n')]),
                    _ => return None,
                }
            }
            c => {
                let low = if *c == '\\' {
                    let (quoted, after) = rest.split_first()?;
                    rest = after;
                    *quoted
                } else {
                    *c
                };
                match rest {
                    ['-', high, after @ ..] if *high != ']' => {
                        ranges.push((low, *high));
                        rest = after;
                    }
                    _ => ranges.push((low, low)),
                }
            }
        }
        first = false;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn patterns_match_as_the_shells_do() {
        let matches = |pattern: &str, text: &str| Pattern::new(pattern).matches(text);
        assert!(matches("eth*", "eth0") && !matches("eth*", "ifb0"));
        assert!(matches("*", "") && matches("a*b*c", "aXbYbZc") && !matches("a*b", "abc"));
        assert!(matches("eth[0-3]", "eth2") && !matches("eth[!0-3]", "eth2"));
        assert!(matches("[[:digit:]]?", "1x") && matches("\\*", "*") && !matches("\\*", "x"));
        assert!(matches("[", "[") && matches("[]a]", "]"));
    }

    #[test]
    fn ends_are_cut() {
        let cut = |pattern: &str, text: &str, front, longest| Pattern::new(pattern).cut(text, front, longest);
        assert_eq!(cut("*.", "10.0.0.1", true, false), Some(3));
        assert_eq!(cut("*.", "10.0.0.1", true, true), Some(7));
        assert_eq!(cut(".*", "10.0.0.1", false, true), Some(6));
        assert_eq!(cut("mbit", "10mbit", false, false), Some(4));
        assert_eq!(cut("x", "10mbit", false, false), None);
        assert_eq!(Pattern::new("m*t").find("10mbit"), Some((2, 6)));
    }
}
