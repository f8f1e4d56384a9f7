//! `test`, `[ … ]` and `[[ … ]]`: true, false, or not known.

use super::parse::{self, Part};
use super::pattern::Pattern;
use super::{OTHERS, STARTS, Shell, Unknown, Word};
use std::rc::Rc;

/// How deep brackets and `!` may be nested.
const DEPTH: usize = 30;

/// A reader of the words of a test.
struct Test<'t> {
    words: &'t [Word],
    at: usize,
    depth: usize,
}

impl<'t> Test<'t> {
    fn peek(&self) -> Option<&'t str> {
        self.words.get(self.at).map(|w| w.text.text.as_str())
    }

    fn left(&self) -> usize {
        self.words.len().saturating_sub(self.at)
    }

    fn next(&mut self) -> Option<&'t Word> {
        let word = self.words.get(self.at);
        self.at += 1;
        word
    }

    fn take(&mut self, text: &str) -> bool {
        let hit = self.peek() == Some(text);
        self.at += usize::from(hit);
        hit
    }
}

fn not(value: Option<bool>) -> Option<bool> {
    value.map(|v| !v)
}

fn and(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn or(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    not(and(not(a), not(b)))
}

const BINARY: &[&str] = &["=", "==", "!=", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef"];

impl Shell<'_> {
    /// What `[` or `test` says of its words, the closing bracket left out.
    pub(super) fn test(&mut self, words: &[Word]) -> Option<bool> {
        if words.is_empty() {
            return Some(false);
        }
        let mut test = Test { words, at: 0, depth: 0 };
        let value = self.test_or(&mut test);
        // words that are left over are an error of the script's
        if test.at < words.len() { None } else { value }
    }

    fn test_or(&mut self, test: &mut Test) -> Option<bool> {
        let mut value = self.test_and(test);
        while test.take("-o") {
            let right = self.test_and(test);
            value = or(value, right);
        }
        value
    }

    fn test_and(&mut self, test: &mut Test) -> Option<bool> {
        let mut value = self.test_one(test);
        while test.take("-a") {
            let right = self.test_one(test);
            value = and(value, right);
        }
        value
    }

    fn test_one(&mut self, test: &mut Test) -> Option<bool> {
        if test.depth >= DEPTH {
            test.at = test.words.len() + 1;
            return None;
        }
        let second = test.words.get(test.at + 1).map(|w| w.text.text.as_str());
        let compares = test.left() >= 3 && second.is_some_and(|s| BINARY.contains(&s));
        if !compares && test.left() > 1 && test.take("!") {
            test.depth += 1;
            let value = not(self.test_one(test));
            test.depth -= 1;
            return value;
        }
        if !compares && test.left() > 2 && test.take("(") {
            test.depth += 1;
            let value = self.test_or(test);
            test.depth -= 1;
            return if test.take(")") { value } else { None };
        }
        let first = test.next()?;
        if compares {
            let (operator, right) = (test.next()?, test.next()?);
            return self.compare(first, &operator.text.text, right, None);
        }
        match first.text.text.as_str() {
            sign if sign.len() == 2 && sign.starts_with('-') && test.left() > 0 && first.unknown.is_none() => {
                let word = test.next()?;
                self.sign(sign, word)
            }
            _ => self.nonempty(first),
        }
    }

    fn nonempty(&mut self, word: &Word) -> Option<bool> {
        if !word.text.text.is_empty() {
            return Some(true);
        }
        self.known(word).map(|_| false)
    }

    /// The text of a word; what it hangs on is remembered if it is not known.
    fn known<'w>(&mut self, word: &'w Word) -> Option<&'w str> {
        match &word.unknown {
            None => Some(&word.text.text),
            Some(why) => {
                self.doubt = Some(Rc::clone(why));
                None
            }
        }
    }

    fn sign(&mut self, sign: &str, word: &Word) -> Option<bool> {
        match sign {
            "-z" => not(self.nonempty(word)),
            "-n" => self.nonempty(word),
            "-v" => {
                let name = self.known(word)?;
                Some(self.state.variables.contains_key(name))
            }
            // files that the script wrote itself are there; of others nobody knows
            "-e" | "-f" | "-r" | "-s" | "-w" => {
                let name = self.known(word)?;
                self.files.contains_key(name).then_some(true)
            }
            // the script is for a machine that has the programs it is about
            "-x" => {
                let name = self.known(word)?.to_owned();
                self.host.wants(&name).then_some(true)
            }
            _ => None,
        }
    }

    fn compare(&mut self, left: &Word, operator: &str, right: &Word, pattern: Option<&Pattern>) -> Option<bool> {
        let equal = matches!(operator, "=" | "==");
        if (equal || operator == "!=") && (left.unknown.is_some() || right.unknown.is_some()) {
            return self.compare_unknown(left, right).map(|same| same == equal);
        }
        let (a, b) = (self.known(left)?, self.known(right)?);
        let number = |text: &str| text.trim().parse::<i64>().ok();
        Some(match operator {
            "=" | "==" => pattern.map_or(a == b, |p| p.matches(a)),
            "!=" => pattern.map_or(a != b, |p| !p.matches(a)),
            "<" => a < b,
            ">" => a > b,
            "-eq" => number(a)? == number(b)?,
            "-ne" => number(a)? != number(b)?,
            "-lt" => number(a)? < number(b)?,
            "-le" => number(a)? <= number(b)?,
            "-gt" => number(a)? > number(b)?,
            "-ge" => number(a)? >= number(b)?,
            _ => return None,
        })
    }

    /// Whether a parameter that nobody gave is this word: a script is taken to be started, and asked for nothing else.
    fn compare_unknown(&mut self, left: &Word, right: &Word) -> Option<bool> {
        let (unknown, other) = match (&left.unknown, &right.unknown) {
            (Some(unknown), None) => (Rc::clone(unknown), right),
            (None, Some(unknown)) => (Rc::clone(unknown), left),
            (Some(unknown), Some(_)) => {
                self.doubt = Some(Rc::clone(unknown));
                return None;
            }
            (None, None) => return None,
        };
        let word = other.text.text.trim_start_matches('x');
        let span = left.text.span().to(right.text.span());
        if is_parameter(&unknown, "1") && STARTS.contains(&word) {
            self.assume(span, &unknown, word);
            return Some(true);
        }
        if is_parameter(&unknown, "1") && OTHERS.contains(&word) {
            return Some(false);
        }
        // nobody gave it: it is not there
        if unknown.parameter && word.is_empty() {
            self.doubt = Some(unknown);
            return None;
        }
        self.doubt = Some(unknown);
        None
    }

    /// `[[ … ]]`.
    pub(super) fn double_test(&mut self, words: &[parse::Word]) -> Option<bool> {
        let mut at = 0;
        let value = self.double_or(words, &mut at, 0);
        if at < words.len() { None } else { value }
    }

    fn double_or(&mut self, words: &[parse::Word], at: &mut usize, depth: usize) -> Option<bool> {
        let mut value = self.double_and(words, at, depth);
        while sign(words, *at) == Some("||") {
            *at += 1;
            let right = self.double_and(words, at, depth);
            value = or(value, right);
        }
        value
    }

    fn double_and(&mut self, words: &[parse::Word], at: &mut usize, depth: usize) -> Option<bool> {
        let mut value = self.double_one(words, at, depth);
        while sign(words, *at) == Some("&&") {
            *at += 1;
            let right = self.double_one(words, at, depth);
            value = and(value, right);
        }
        value
    }

    fn double_one(&mut self, words: &[parse::Word], at: &mut usize, depth: usize) -> Option<bool> {
        if depth >= DEPTH {
            *at = words.len() + 1;
            return None;
        }
        match sign(words, *at) {
            Some("!") => {
                *at += 1;
                return not(self.double_one(words, at, depth + 1));
            }
            Some("(") => {
                *at += 1;
                let value = self.double_or(words, at, depth + 1);
                *at += 1;
                return value;
            }
            _ => {}
        }
        let first = words.get(*at)?;
        let operator = sign(words, *at + 1);
        if let Some(unary) = sign(words, *at).filter(|s| s.len() == 2 && s.starts_with('-')) {
            let is_last = matches!(sign(words, *at + 1), Some("&&" | "||" | ")"));
            if let Some(word) = words.get(*at + 1).filter(|_| !is_last) {
                *at += 2;
                let word = self.join(word);
                return self.sign(unary, &word);
            }
        }
        if let (Some(operator), Some(right)) = (operator, words.get(*at + 2))
            && (BINARY.contains(&operator) || operator == "=~")
        {
            *at += 3;
            let left = self.join(first);
            if operator == "=~" {
                self.known(&left)?;
                self.doubt = None;
                return None;
            }
            if operator.starts_with('-') {
                // numbers are expressions here
                let (a, b) = (self.arithmetic(first), self.arithmetic(right));
                let word = |n: i64| Word {
                    text: crate::import::text::Text::new(n.to_string(), first.span),
                    unknown: None,
                    set: first.span,
                };
                return self.compare(&word(a?), operator, &word(b?), None);
            }
            let (pattern, unknown) = self.pattern(right);
            let mut right_word = self.join(right);
            right_word.unknown = right_word.unknown.or(unknown);
            return self.compare(&left, operator, &right_word, Some(&pattern));
        }
        *at += 1;
        let word = self.join(first);
        self.nonempty(&word)
    }
}

fn is_parameter(unknown: &Unknown, name: &str) -> bool {
    unknown.parameter && unknown.name == name
}

/// A word that is a sign: nothing in it was quoted.
fn sign(words: &[parse::Word], at: usize) -> Option<&str> {
    match words.get(at)?.parts.as_slice() {
        [Part::Text { text, quoted: false, .. }] => Some(text),
        _ => None,
    }
}
