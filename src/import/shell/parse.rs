//! Shell text as a tree of commands, every word with its place. Nothing is expanded yet.

use crate::source::{FileId, Span, Spanned};
use std::cell::OnceCell;
use std::rc::Rc;

/// How deep commands and words may be nested.
pub const DEPTH: usize = 40;

/// Commands that are run one after the other.
pub type Body = Rc<Vec<Statement>>;

/// A command, simple or compound.
#[derive(Debug)]
pub struct Statement {
    pub shape: Shape,
    pub span: Span,
    pub redirects: Vec<Redirect>,
    /// The comment lines before it, and the one behind it as the last.
    pub comments: Vec<Spanned<String>>,
    /// Whether the last comment stands behind it.
    pub trailing: bool,
}

#[derive(Debug)]
pub enum Shape {
    Simple {
        assignments: Vec<Word>,
        words: Vec<Word>,
    },
    Pipe {
        not: bool,
        parts: Vec<Statement>,
    },
    /// The first, and each other with whether `&&` stands before it.
    Chain {
        first: Box<Statement>,
        rest: Vec<(bool, Statement)>,
    },
    Group(Body),
    Subshell(Body),
    If {
        arms: Vec<(Body, Body)>,
        otherwise: Option<Body>,
    },
    While {
        until: bool,
        condition: Body,
        body: Body,
    },
    For {
        name: Spanned<String>,
        words: Option<Vec<Word>>,
        body: Body,
    },
    Count {
        parts: [Word; 3],
        body: Body,
    },
    Case {
        word: Word,
        arms: Vec<Arm>,
    },
    Function {
        name: String,
        body: Rc<Statement>,
    },
    Arithmetic(Word),
    /// `[[ … ]]`: words and operators in their order.
    Test(Vec<Word>),
}

#[derive(Debug)]
pub struct Arm {
    pub patterns: Vec<Word>,
    pub body: Body,
    /// `;&`: the next arm is run too.
    pub falls: bool,
}

/// A word before expansion.
#[derive(Clone, Debug)]
pub struct Word {
    pub parts: Vec<Part>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum Part {
    Text {
        text: String,
        quoted: bool,
        span: Span,
    },
    Parameter {
        parameter: Box<Parameter>,
        quoted: bool,
        span: Span,
    },
    Command {
        body: Body,
        quoted: bool,
        span: Span,
    },
    Arithmetic {
        expression: Word,
        quoted: bool,
        span: Span,
    },
    /// `(a b [k]=c)` after `NAME=`.
    Array {
        items: Vec<(Option<Word>, Word)>,
    },
}

#[derive(Clone, Debug)]
pub struct Parameter {
    pub name: String,
    pub index: Option<Word>,
    pub indirect: bool,
    pub operation: Operation,
}

#[derive(Clone, Debug)]
pub enum Operation {
    Value,
    Length,
    /// `:-`, `-`, `:=`, `=`, `:+`, `+`, `:?`, `?`: the sign, and whether an empty value counts as none.
    Unset {
        sign: char,
        colon: bool,
        word: Word,
    },
    /// `#`, `##`, `%`, `%%`.
    Cut {
        front: bool,
        longest: bool,
        pattern: Word,
    },
    /// `/`, `//`, `/#`, `/%`.
    Replace {
        how: char,
        pattern: Word,
        with: Word,
    },
    Slice {
        from: Word,
        length: Option<Word>,
    },
    /// `^`, `^^`, `,`, `,,`.
    Case {
        upper: bool,
        all: bool,
    },
}

#[derive(Debug)]
pub struct Redirect {
    /// The file descriptor that is written before it.
    pub number: Option<u32>,
    pub kind: Redirection,
}

#[derive(Debug)]
pub enum Redirection {
    Read(Word),
    Write(Word),
    Append(Word),
    /// `>&2`, `2>&1`.
    Duplicate(Word),
    /// `&>file`.
    Both(Word),
    /// A here-document, its text expanded unless its end was quoted.
    Document(Rc<OnceCell<Word>>),
    /// `<<<word`.
    String(Word),
}

/// Why a text is no shell script, and where.
#[derive(Clone, Debug)]
pub struct Fault {
    pub span: Span,
    pub message: String,
}

/// Where the octets of a text stand.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// In a file, from this octet on.
    At(FileId, usize),
    /// All of it at one place: what was put together.
    Within(Span),
}

/// Reads a whole script. What cannot be read is a fault, and reading goes on in the next line.
pub fn parse(text: &str, place: Place) -> (Vec<Statement>, Vec<Fault>) {
    let mut parser = Parser { text, place, at: 0, depth: 0, documents: Vec::new(), comments: Vec::new() };
    let (mut statements, mut faults) = (Vec::new(), Vec::new());
    loop {
        let from = parser.at;
        match parser.list(&[]) {
            Ok(more) => {
                statements.extend(more);
                if parser.at >= text.len() {
                    return (statements, faults);
                }
                let end = parser.at + parser.peek().map_or(0, char::len_utf8);
                faults.push(parser.fault(parser.at, end, "this has no beginning"));
            }
            Err((fault, kept)) => {
                statements.extend(kept);
                faults.push(fault);
            }
        }
        parser.at = parser.at.max(from);
        parser.rest_of_line();
        parser.documents.clear();
        parser.depth = 0;
    }
}

struct Parser<'t> {
    text: &'t str,
    place: Place,
    at: usize,
    depth: usize,
    /// Here-documents whose text follows the line: the end, whether tabs are stripped and whether it is expanded.
    documents: Vec<(String, bool, bool, Rc<OnceCell<Word>>)>,
    /// Comment lines that nothing stands below yet.
    comments: Vec<Spanned<String>>,
}

type Read<T> = Result<T, Fault>;

const META: &[char] = &[' ', '\t', '\n', ';', '&', '|', '<', '>', '(', ')'];
const ENDS: &[&str] = &["then", "do", "done", "fi", "else", "elif", "esac", "}"];

impl<'t> Parser<'t> {
    fn span(&self, from: usize, to: usize) -> Span {
        match self.place {
            Place::At(file, start) => Span::new(file, start + from, start + to),
            Place::Within(span) => span,
        }
    }

    fn fault(&self, from: usize, to: usize, message: impl Into<String>) -> Fault {
        // a letter is pointed at as a whole, and nothing beyond the end
        let to = (to.max(from)..=self.text.len()).find(|at| self.text.is_char_boundary(*at)).unwrap_or(self.text.len());
        Fault { span: self.span(from.min(to), to), message: message.into() }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn starts(&self, text: &str) -> bool {
        self.rest().starts_with(text)
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, text: &str) -> bool {
        let hit = self.starts(text);
        if hit {
            self.at += text.len();
        }
        hit
    }

    fn rest_of_line(&mut self) {
        self.at += self.rest().find('\n').map_or(self.rest().len(), |n| n + 1);
    }

    /// Blanks and continued lines.
    fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\\') if self.starts("\\\n") => self.at += 2,
                Some('\\') if self.starts("\\\r\n") => self.at += 3,
                _ => return,
            }
        }
    }

    fn comment(&mut self) -> Option<Spanned<String>> {
        if self.peek() != Some('#') {
            return None;
        }
        let from = self.at;
        let line = self.rest().split('\n').next().unwrap_or("");
        self.at += line.len();
        Some(Spanned::new(line.to_owned(), self.span(from, from + line.trim_end().len())))
    }

    /// Blank lines, comments, and the texts of here-documents. Comments are kept while lines follow one another.
    fn newlines(&mut self) -> Read<()> {
        loop {
            self.blanks();
            if let Some(comment) = self.comment() {
                self.comments.push(comment);
            } else if self.take("\n") {
                self.read_documents()?;
                if self.rest().trim_start_matches([' ', '\t', '\r']).starts_with('\n') {
                    self.comments.clear();
                }
            } else {
                return Ok(());
            }
        }
    }

    fn read_documents(&mut self) -> Read<()> {
        for (end, strip, expand, cell) in std::mem::take(&mut self.documents) {
            let mut word = Word { parts: Vec::new(), span: self.span(self.at, self.at) };
            let from = self.at;
            loop {
                if self.at >= self.text.len() {
                    break; // as the shell does: the end of the file ends it too
                }
                let mut line_at = self.at;
                let line = self.rest().split_inclusive('\n').next().unwrap_or("");
                self.at += line.len();
                let mut shown = line;
                if strip {
                    shown = line.trim_start_matches('\t');
                    line_at += line.len() - shown.len();
                }
                if shown.trim_end_matches(['\n', '\r']) == end {
                    break;
                }
                if expand {
                    // a line that goes on is one with the next
                    let (after, stop) = (self.at, line_at + shown.len());
                    let mut inner = Parser {
                        text: self.text.get(..stop).unwrap_or(""),
                        at: line_at,
                        documents: Vec::new(),
                        comments: Vec::new(),
                        ..*self
                    };
                    let parts = inner.quoted(None)?;
                    word.parts.extend(parts);
                    self.at = after;
                } else {
                    let span = self.span(line_at, line_at + shown.len());
                    word.parts.push(Part::Text { text: shown.to_owned(), quoted: true, span });
                }
            }
            word.span = self.span(from, self.at);
            let _ = cell.set(word);
        }
        Ok(())
    }

    /// The word at the front if it is one without quotes and expansions, left in place.
    fn keyword(&self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c: char| META.contains(&c) || matches!(c, '\r' | '\'' | '"' | '$' | '\\' | '`'));
        let end = end.unwrap_or(rest.len());
        rest.get(..end).unwrap_or("")
    }

    /// Whether a list ends here, by one of these words or a closing bracket.
    fn ends(&self, words: &[&str]) -> bool {
        let rest = self.rest();
        rest.is_empty() || rest.starts_with(')') || words.iter().any(|w| *w == ";;" && rest.starts_with(";")) || {
            let word = self.keyword();
            ENDS.contains(&word) && !self.keyword_is_text(word.len())
        }
    }

    /// Whether the octets at the front go on beyond a keyword: `done"x"`.
    fn keyword_is_text(&self, length: usize) -> bool {
        self.rest()
            .get(length..)
            .and_then(|r| r.chars().next())
            .is_some_and(|c| matches!(c, '\'' | '"' | '$' | '\\' | '`'))
    }

    /// Statements to the end of the text, or to a word that ends a list. On a fault, those that were read.
    fn list(&mut self, ends: &[&str]) -> Result<Vec<Statement>, (Fault, Vec<Statement>)> {
        let mut out = Vec::new();
        loop {
            if let Err(fault) = self.newlines() {
                return Err((fault, out));
            }
            if self.ends(ends) {
                return Ok(out);
            }
            match self.chain() {
                Ok(statement) => out.push(statement),
                Err(fault) => return Err((fault, out)),
            }
            self.blanks();
            match self.peek() {
                Some(';') if self.starts(";;") || self.starts(";&") => return Ok(out),
                Some(';') => self.at += 1,
                Some('&') => self.at += 1,
                Some('\n' | '#' | ')') | None => {}
                // behind the end of a compound command the next may follow at once: `fi }`, `) }`, `} }`
                Some(_) if out.last().is_some_and(closes) && self.ends(ends) => return Ok(out),
                Some(c) => {
                    let fault = self.fault(self.at, self.at + c.len_utf8(), format!("`{c}` has no place here"));
                    return Err((fault, out));
                }
            }
            self.blanks();
            if let Some(comment) = self.comment()
                && let Some(last) = out.last_mut()
            {
                last.comments.push(comment);
                last.trailing = true;
            }
        }
    }

    fn body(&mut self, ends: &[&str]) -> Read<Body> {
        let outer = std::mem::take(&mut self.comments);
        let list = self.list(ends).map_err(|(fault, _)| fault)?;
        self.comments = outer;
        Ok(Rc::new(list))
    }

    /// A list that must be ended by this word.
    fn until(&mut self, word: &str, opened: Span) -> Read<Body> {
        let body = self.body(&[])?;
        self.expect(word, opened)?;
        Ok(body)
    }

    fn expect(&mut self, word: &str, opened: Span) -> Read<()> {
        self.newlines()?;
        let hit = if word.chars().all(char::is_alphabetic) { self.keyword() == word } else { self.starts(word) };
        if hit {
            self.at += word.len();
            return Ok(());
        }
        Err(Fault { span: opened, message: format!("this has no `{word}`") })
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        if self.depth >= DEPTH {
            return Err(self.fault(self.at, self.at + 1, format!("commands are nested over {DEPTH} deep")));
        }
        self.depth += 1;
        let out = read(self);
        self.depth -= 1;
        out
    }

    /// Pipelines joined by `&&` and `||`.
    fn chain(&mut self) -> Read<Statement> {
        let comments = std::mem::take(&mut self.comments);
        let first = self.pipe()?;
        let mut rest = Vec::new();
        loop {
            self.blanks();
            let and = match () {
                () if self.take("&&") => true,
                () if self.take("||") => false,
                () => break,
            };
            self.newlines()?;
            rest.push((and, self.pipe()?));
        }
        let mut out = match rest.last() {
            None => first,
            Some((_, last)) => {
                let span = first.span.to(last.span);
                plain(Shape::Chain { first: Box::new(first), rest }, span)
            }
        };
        out.comments.splice(0..0, comments);
        self.comments.clear();
        Ok(out)
    }

    fn pipe(&mut self) -> Read<Statement> {
        self.blanks();
        let from = self.at;
        let mut not = false;
        while self.keyword() == "!" {
            self.at += 1;
            self.blanks();
            not = !not;
        }
        let mut parts = vec![self.deeper(Self::command)?];
        loop {
            self.blanks();
            if self.starts("||") || !self.take("|") {
                break;
            }
            self.take("&");
            self.newlines()?;
            parts.push(self.deeper(Self::command)?);
        }
        let span = self.span(from, self.at);
        match parts.pop() {
            Some(only) if parts.is_empty() && !not => Ok(only),
            Some(last) => {
                parts.push(last);
                Ok(plain(Shape::Pipe { not, parts }, span))
            }
            None => Err(self.fault(from, self.at, "a command is missing")),
        }
    }

    fn command(&mut self) -> Read<Statement> {
        self.blanks();
        let from = self.at;
        if self.starts("((") {
            let back = self.at;
            self.at += 2;
            match self.arithmetic() {
                Ok(word) => return self.finish(Shape::Arithmetic(word), from),
                Err(_) => self.at = back,
            }
        }
        if self.take("(") {
            let body = self.body(&[])?;
            self.expect(")", self.span(from, from + 1))?;
            return self.finish(Shape::Subshell(body), from);
        }
        let word = self.keyword();
        if self.keyword_is_text(word.len()) {
            return self.simple();
        }
        let opened = self.span(from, from + word.len());
        let after = |parser: &mut Self| parser.at = from + word.len();
        match word {
            "{" => {
                after(self);
                let body = self.until("}", opened)?;
                self.finish(Shape::Group(body), from)
            }
            "if" => {
                after(self);
                let mut arms = vec![(self.until("then", opened)?, self.body(&[])?)];
                loop {
                    self.newlines()?;
                    match self.keyword() {
                        "elif" => {
                            self.at += 4;
                            arms.push((self.until("then", opened)?, self.body(&[])?));
                        }
                        "else" => {
                            self.at += 4;
                            let otherwise = Some(self.until("fi", opened)?);
                            return self.finish(Shape::If { arms, otherwise }, from);
                        }
                        _ => {
                            self.expect("fi", opened)?;
                            return self.finish(Shape::If { arms, otherwise: None }, from);
                        }
                    }
                }
            }
            "while" | "until" => {
                after(self);
                let condition = self.until("do", opened)?;
                let body = self.until("done", opened)?;
                self.finish(Shape::While { until: word == "until", condition, body }, from)
            }
            "for" | "select" => {
                after(self);
                self.r#for(from, opened)
            }
            "case" => {
                after(self);
                self.case(from, opened)
            }
            "function" => {
                after(self);
                self.blanks();
                let name = self.keyword().to_owned();
                self.at += name.len();
                self.blanks();
                if self.take("(") {
                    self.blanks();
                    self.expect(")", opened)?;
                }
                self.function(name, from)
            }
            "[[" => {
                after(self);
                self.test(from, opened)
            }
            "then" | "do" | "done" | "fi" | "else" | "elif" | "esac" | "}" => {
                Err(Fault { span: opened, message: format!("`{word}` has no beginning") })
            }
            _ => self.simple(),
        }
    }

    fn finish(&mut self, shape: Shape, from: usize) -> Read<Statement> {
        let mut out = plain(shape, self.span(from, self.at));
        loop {
            self.blanks();
            match self.redirect()? {
                Some(redirect) => out.redirects.push(redirect),
                None => return Ok(out),
            }
        }
    }

    fn function(&mut self, name: String, from: usize) -> Read<Statement> {
        self.newlines()?;
        self.comments.clear();
        let body = self.deeper(Self::command)?;
        Ok(plain(Shape::Function { name, body: Rc::new(body) }, self.span(from, self.at)))
    }

    fn r#for(&mut self, from: usize, opened: Span) -> Read<Statement> {
        self.blanks();
        if self.take("((") {
            let mut parts = [self.empty_word(), self.empty_word(), self.empty_word()];
            for (i, part) in parts.iter_mut().enumerate() {
                *part = if i < 2 { self.arithmetic_to(";")? } else { self.arithmetic()? };
            }
            self.blanks();
            self.take(";");
            let body = self.loop_body(opened)?;
            return self.finish(Shape::Count { parts, body }, from);
        }
        let at = self.at;
        let name = self.keyword().to_owned();
        self.at += name.len();
        let name = Spanned::new(name, self.span(at, self.at));
        if !is_name(&name.value) {
            return Err(Fault { span: name.span.to(opened), message: "this loop names no variable".to_owned() });
        }
        self.newlines()?;
        let mut words = None;
        if self.keyword() == "in" {
            self.at += 2;
            let list = words.insert(Vec::new());
            loop {
                self.blanks();
                match self.peek() {
                    None | Some('\n' | ';' | '#') => break,
                    Some(c) if META.contains(&c) => {
                        return Err(self.fault(
                            self.at,
                            self.at + 1,
                            format!("`{c}` has no place in the list of a loop"),
                        ));
                    }
                    Some(_) => list.push(self.word()?),
                }
            }
        }
        self.blanks();
        self.take(";");
        let body = self.loop_body(opened)?;
        self.finish(Shape::For { name, words, body }, from)
    }

    fn loop_body(&mut self, opened: Span) -> Read<Body> {
        self.newlines()?;
        if self.keyword() == "{" {
            self.at += 1;
            return self.until("}", opened);
        }
        self.expect("do", opened)?;
        self.until("done", opened)
    }

    fn case(&mut self, from: usize, opened: Span) -> Read<Statement> {
        self.blanks();
        let word = self.word()?;
        self.expect("in", opened)?;
        let mut arms = Vec::new();
        loop {
            self.newlines()?;
            if self.keyword() == "esac" {
                self.at += 4;
                self.comments.clear();
                return self.finish(Shape::Case { word, arms }, from);
            }
            self.comments.clear();
            self.take("(");
            let mut patterns = Vec::new();
            loop {
                self.blanks();
                if self.peek().is_none_or(|c| META.contains(&c)) {
                    return Err(Fault { span: opened, message: "this has no `esac`".to_owned() });
                }
                patterns.push(self.word()?);
                self.blanks();
                if !self.take("|") {
                    break;
                }
            }
            self.expect(")", opened)?;
            let body = self.body(&[";;"])?;
            let falls = self.starts(";&") || self.starts(";;&");
            let _ended = self.take(";;&") || self.take(";;") || self.take(";&");
            arms.push(Arm { patterns, body, falls });
        }
    }

    /// `[[ … ]]` as words; brackets and the signs of order are words too.
    fn test(&mut self, from: usize, opened: Span) -> Read<Statement> {
        let mut words = Vec::new();
        loop {
            self.newlines()?;
            let at = self.at;
            let sign = ["&&", "||", "(", ")", "<", ">"].into_iter().find(|sign| self.starts(sign));
            if let Some(sign) = sign {
                self.at += sign.len();
                let span = self.span(at, self.at);
                words.push(Word { parts: vec![Part::Text { text: sign.to_owned(), quoted: false, span }], span });
                continue;
            }
            if self.peek().is_none_or(|c| META.contains(&c)) {
                return Err(Fault { span: opened, message: "this has no `]]`".to_owned() });
            }
            let word = self.word()?;
            if word.literal().as_deref() == Some("]]") {
                return self.finish(Shape::Test(words), from);
            }
            let pattern = word.literal().as_deref() == Some("=~");
            words.push(word);
            if pattern {
                self.blanks();
                words.push(self.regular_expression()?);
            }
        }
    }

    /// The right side of `=~`, in which brackets are no signs.
    fn regular_expression(&mut self) -> Read<Word> {
        let from = self.at;
        let mut open = 0_usize;
        while let Some(c) = self.peek() {
            match c {
                '(' => open += 1,
                ')' if open == 0 => break,
                ')' => open -= 1,
                ' ' | '\t' if open == 0 => break,
                '\n' => break,
                _ => {}
            }
            self.bump();
        }
        let span = self.span(from, self.at);
        let text = self.text.get(from..self.at).unwrap_or("").to_owned();
        Ok(Word { parts: vec![Part::Text { text, quoted: false, span }], span })
    }

    fn simple(&mut self) -> Read<Statement> {
        let from = self.at;
        let (mut assignments, mut words, mut redirects) = (Vec::new(), Vec::<Word>::new(), Vec::new());
        let mut end = from;
        loop {
            self.blanks();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                end = self.at;
                continue;
            }
            match self.peek() {
                Some('#') | None => break,
                Some('(') if words.len() == 1 && assignments.is_empty() && redirects.is_empty() => {
                    let back = self.at;
                    self.at += 1;
                    self.blanks();
                    let name = words.first().and_then(Word::literal);
                    match (self.take(")"), name) {
                        (true, Some(name)) => return self.function(name, from),
                        _ => return Err(self.fault(back, back + 1, "`(` has no place here")),
                    }
                }
                Some('(') => return Err(self.fault(self.at, self.at + 1, "`(` has no place here")),
                Some(c) if META.contains(&c) => break,
                Some(_) => {}
            }
            let word = self.word()?;
            end = self.at;
            match words.is_empty() && word.is_assignment() {
                true => assignments.push(word),
                false => words.push(word),
            }
        }
        if assignments.is_empty() && words.is_empty() && redirects.is_empty() {
            let end = self.at + self.peek().map_or(0, char::len_utf8);
            return Err(self.fault(self.at, end, "a command is missing"));
        }
        let mut out = plain(Shape::Simple { assignments, words }, self.span(from, end));
        out.redirects = redirects;
        Ok(out)
    }

    fn redirect(&mut self) -> Read<Option<Redirect>> {
        let from = self.at;
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let sign = self.rest().get(digits..).unwrap_or("");
        let both = digits == 0 && sign.starts_with("&>");
        if !both && !sign.starts_with(['<', '>']) {
            return Ok(None);
        }
        let number = self.rest().get(..digits).and_then(|n| n.parse().ok());
        self.at += digits;
        let sign = ["<<<", "<<-", "<<", "<&", "<>", "<", "&>>", "&>", ">>", ">&", ">|", ">"]
            .into_iter()
            .find(|s| self.starts(s));
        let sign = sign.unwrap_or(">");
        if matches!(sign, "<" | ">") && matches!(self.rest().as_bytes().get(1), Some(b'(')) {
            return Err(self.fault(from, self.at + 2, "a process in the place of a file cannot be read"));
        }
        self.at += sign.len();
        self.blanks();
        if self.peek().is_none_or(|c| META.contains(&c)) {
            return Err(self.fault(from, self.at, "a file is missing"));
        }
        let word = self.word()?;
        let kind = match sign {
            "<<" | "<<-" => {
                let quoted = word.parts.iter().any(|p| !matches!(p, Part::Text { quoted: false, .. }));
                let end: String =
                    word.parts.iter().map(|p| if let Part::Text { text, .. } = p { text } else { "" }).collect();
                let cell = Rc::new(OnceCell::new());
                self.documents.push((end, sign == "<<-", !quoted, Rc::clone(&cell)));
                Redirection::Document(cell)
            }
            "<<<" => Redirection::String(word),
            "<" | "<>" => Redirection::Read(word),
            ">>" => Redirection::Append(word),
            ">&" | "<&" => Redirection::Duplicate(word),
            "&>" | "&>>" => Redirection::Both(word),
            _ => Redirection::Write(word),
        };
        Ok(Some(Redirect { number, kind }))
    }

    fn empty_word(&self) -> Word {
        Word { parts: Vec::new(), span: self.span(self.at, self.at) }
    }

    /// A word, to the next blank or sign.
    fn word(&mut self) -> Read<Word> {
        self.deeper(|parser| {
            let from = parser.at;
            let mut parts = Vec::new();
            while let Some(c) = parser.peek() {
                if c == '(' && is_assignment_start(parser.text.get(from..parser.at).unwrap_or("")) {
                    parts.push(parser.array()?);
                    break;
                }
                if META.contains(&c) || (c == '\r' && parser.starts("\r\n")) {
                    break;
                }
                parser.part(&mut parts, META)?;
            }
            Ok(Word { parts, span: parser.span(from, parser.at) })
        })
    }

    fn array(&mut self) -> Read<Part> {
        let from = self.at;
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.newlines()?;
            self.comments.clear();
            match self.peek() {
                Some(')') => {
                    self.at += 1;
                    return Ok(Part::Array { items });
                }
                Some('[') => {
                    self.at += 1;
                    let key = self.word_to(&[']'])?;
                    if !self.take("]=") {
                        return Err(self.fault(from, self.at, "`]=` is missing in this array"));
                    }
                    items.push((Some(key), self.word()?));
                }
                Some(c) if !META.contains(&c) => items.push((None, self.word()?)),
                _ => return Err(self.fault(from, self.at, "this array has no end")),
            }
        }
    }

    /// A word to one of these signs, blanks and all.
    fn word_to(&mut self, stops: &[char]) -> Read<Word> {
        self.deeper(|parser| {
            let from = parser.at;
            let mut parts = Vec::new();
            while let Some(c) = parser.peek() {
                if stops.contains(&c) {
                    break;
                }
                parser.part(&mut parts, stops)?;
            }
            Ok(Word { parts, span: parser.span(from, parser.at) })
        })
    }

    /// One part of a word: quoted, an expansion, or plain text up to something else.
    fn part(&mut self, parts: &mut Vec<Part>, stops: &[char]) -> Read<()> {
        let from = self.at;
        match self.peek() {
            Some('\\') => {
                self.at += 1;
                match self.bump() {
                    Some('\n') => {}
                    Some(c) => {
                        let span = self.span(from + 1, self.at);
                        parts.push(Part::Text { text: c.to_string(), quoted: true, span });
                    }
                    None => {
                        let span = self.span(from, self.at);
                        parts.push(Part::Text { text: "\\".to_owned(), quoted: true, span });
                    }
                }
            }
            Some('\'') => {
                let inside = self.rest().get(1..).unwrap_or("");
                let Some(end) = inside.find('\'') else {
                    return Err(self.fault(from, from + 1, "this quote has no end"));
                };
                let text = inside.get(..end).unwrap_or("").to_owned();
                self.at += end + 2;
                let span = self.span(from + 1, self.at - 1);
                parts.push(Part::Text { text, quoted: true, span });
            }
            Some('"') => {
                self.at += 1;
                let inside = self.quoted(Some('"'))?;
                if !self.take("\"") {
                    return Err(self.fault(from, from + 1, "this quote has no end"));
                }
                if inside.is_empty() {
                    parts.push(Part::Text { text: String::new(), quoted: true, span: self.span(from, self.at) });
                }
                parts.extend(inside);
            }
            Some('$') if self.starts("$'") => {
                self.at += 2;
                let text = self.ansi(from)?;
                let span = self.span(from, self.at);
                parts.push(Part::Text { text, quoted: true, span });
            }
            Some('$' | '`') => {
                let part = self.expansion(false)?;
                parts.push(part);
            }
            _ => {
                let rest = self.rest();
                let end = rest.find(|c: char| stops.contains(&c) || matches!(c, '\\' | '\'' | '"' | '$' | '`' | '\r'));
                let mut end = end.unwrap_or(rest.len());
                if end == 0 {
                    end = rest.chars().next().map_or(0, char::len_utf8);
                }
                // `X=(` begins an array: the bracket is a stop already, and so is what this text ends with
                let text = rest.get(..end).unwrap_or("").to_owned();
                self.at += end;
                parts.push(Part::Text { text, quoted: false, span: self.span(from, self.at) });
            }
        }
        Ok(())
    }

    /// `$'…'`.
    fn ansi(&mut self, from: usize) -> Read<String> {
        let mut out = String::new();
        loop {
            match self.bump() {
                Some('\'') => return Ok(out),
                Some('\\') => match self.bump() {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some(c) => out.push(c),
                    None => {}
                },
                Some(c) => out.push(c),
                None => return Err(self.fault(from, from + 2, "this quote has no end")),
            }
        }
    }

    /// What stands in double quotes, to their end (left in place), or to the end of a here-document's line.
    fn quoted(&mut self, end: Option<char>) -> Read<Vec<Part>> {
        let mut parts = Vec::new();
        while let Some(c) = self.peek() {
            if Some(c) == end {
                break;
            }
            let from = self.at;
            match c {
                '\\' => {
                    self.at += 1;
                    match self.peek() {
                        Some('\n') => self.at += 1,
                        Some(c) if matches!(c, '$' | '`' | '\\') || Some(c) == end => {
                            self.at += 1;
                            let span = self.span(from + 1, self.at);
                            parts.push(Part::Text { text: c.to_string(), quoted: true, span });
                        }
                        _ => parts.push(Part::Text {
                            text: "\\".to_owned(),
                            quoted: true,
                            span: self.span(from, self.at),
                        }),
                    }
                }
                '$' | '`' => parts.push(self.expansion(true)?),
                _ => {
                    let rest = self.rest();
                    let stop =
                        rest.find(|c: char| matches!(c, '\\' | '$' | '`') || Some(c) == end).unwrap_or(rest.len());
                    let text = rest.get(..stop).unwrap_or("").to_owned();
                    self.at += stop;
                    parts.push(Part::Text { text, quoted: true, span: self.span(from, self.at) });
                }
            }
        }
        Ok(parts)
    }

    /// What begins with `$` or a backquote.
    fn expansion(&mut self, quoted: bool) -> Read<Part> {
        self.deeper(|parser| parser.expansion_inside(quoted))
    }

    fn expansion_inside(&mut self, quoted: bool) -> Read<Part> {
        let from = self.at;
        if self.take("`") {
            return self.backquoted(from, quoted);
        }
        self.at += 1;
        if self.starts("((") {
            let back = self.at;
            self.at += 2;
            match self.arithmetic() {
                Ok(expression) => return Ok(Part::Arithmetic { expression, quoted, span: self.span(from, self.at) }),
                // `$((a); b)`: a subshell in a substitution
                Err(_) => self.at = back,
            }
        }
        if self.take("(") {
            // what waits for its line's end outside waits still
            let documents = std::mem::take(&mut self.documents);
            let body = self.body(&[])?;
            self.documents = documents;
            self.expect(")", self.span(from, from + 2))?;
            return Ok(Part::Command { body, quoted, span: self.span(from, self.at) });
        }
        if self.take("[") {
            let expression = self.word_to(&[']'])?;
            if !self.take("]") {
                return Err(self.fault(from, from + 2, "this has no `]`"));
            }
            return Ok(Part::Arithmetic { expression, quoted, span: self.span(from, self.at) });
        }
        if self.take("{") {
            let parameter = self.parameter(from, quoted)?;
            return Ok(Part::Parameter { parameter: Box::new(parameter), quoted, span: self.span(from, self.at) });
        }
        let name = match self.peek() {
            Some(c) if c.is_ascii_digit() || "@*#?$!-".contains(c) => {
                self.at += 1;
                c.to_string()
            }
            _ => {
                let name = self.name();
                self.at += name.len();
                name.to_owned()
            }
        };
        let span = self.span(from, self.at);
        if name.is_empty() {
            return Ok(Part::Text { text: "$".to_owned(), quoted, span });
        }
        let parameter = Parameter { name, index: None, indirect: false, operation: Operation::Value };
        Ok(Part::Parameter { parameter: Box::new(parameter), quoted, span })
    }

    /// The name of a variable at the front.
    fn name(&self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        rest.get(..end).filter(|n| !n.starts_with(|c: char| c.is_ascii_digit())).unwrap_or("")
    }

    fn backquoted(&mut self, from: usize, quoted: bool) -> Read<Part> {
        let (mut inner, mut plain) = (String::new(), true);
        let start = self.at;
        loop {
            match self.bump() {
                Some('`') => break,
                Some('\\') => match self.peek() {
                    Some(c) if matches!(c, '`' | '\\' | '$') => {
                        plain = false;
                        inner.push(c);
                        self.at += 1;
                    }
                    _ => inner.push('\\'),
                },
                Some(c) => inner.push(c),
                None => return Err(self.fault(from, from + 1, "this backquote has no end")),
            }
        }
        let span = self.span(from, self.at);
        let place = match self.place {
            Place::At(file, offset) if plain => Place::At(file, offset + start),
            _ => Place::Within(span),
        };
        let mut parser =
            Parser { text: &inner, place, at: 0, depth: self.depth, documents: Vec::new(), comments: Vec::new() };
        let body = parser.body(&[])?;
        if parser.at < inner.len() {
            return Err(parser.fault(parser.at, parser.at + 1, "this has no beginning"));
        }
        Ok(Part::Command { body, quoted, span })
    }

    /// An arithmetic expression to `))`.
    fn arithmetic(&mut self) -> Read<Word> {
        self.arithmetic_to("))")
    }

    fn arithmetic_to(&mut self, end: &str) -> Read<Word> {
        let from = self.at;
        let mut parts = Vec::new();
        let mut open = 0_usize;
        loop {
            if open == 0 && self.starts(end) {
                let span = self.span(from, self.at);
                self.at += end.len();
                return Ok(Word { parts, span });
            }
            let at = self.at;
            match self.peek() {
                None | Some('\n') if end == ";" => return Err(self.fault(from, at, "`;` is missing in this loop")),
                None => return Err(self.fault(from, from + 2, "this has no `))`")),
                Some('(') => open += 1,
                Some(')') if open == 0 => return Err(self.fault(at, at + 1, "this `)` has no beginning")),
                Some(')') => open -= 1,
                Some('$' | '`') => {
                    parts.push(self.expansion(true)?);
                    continue;
                }
                Some('"' | '\\') => {
                    self.at += 1;
                    continue;
                }
                Some(_) => {}
            }
            self.bump();
            let more = self.text.get(at..self.at).unwrap_or("");
            let more_span = self.span(at, self.at);
            match parts.last_mut() {
                Some(Part::Text { text, span, .. }) => {
                    text.push_str(more);
                    *span = span.to(more_span);
                }
                _ => parts.push(Part::Text { text: more.to_owned(), quoted: true, span: more_span }),
            }
        }
    }

    /// What stands in `${…}`.
    fn parameter(&mut self, from: usize, quoted: bool) -> Read<Parameter> {
        let length = self.starts("#") && !self.starts("#}") && {
            self.at += 1;
            true
        };
        let indirect = !length && self.starts("!") && !self.starts("!}") && {
            self.at += 1;
            true
        };
        let name = match self.peek() {
            Some(c) if c.is_ascii_digit() => {
                let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
                let name = self.rest().get(..digits).unwrap_or("").to_owned();
                self.at += digits;
                name
            }
            Some(c) if "@*#?$!-".contains(c) => {
                self.at += 1;
                c.to_string()
            }
            _ => {
                let name = self.name();
                self.at += name.len();
                name.to_owned()
            }
        };
        if name.is_empty() {
            return Err(self.fault(from, self.at + 1, "`${` wants a name"));
        }
        let mut index = None;
        if self.take("[") {
            index = Some(self.word_to(&[']'])?);
            if !self.take("]") {
                return Err(self.fault(from, self.at, "this has no `]`"));
            }
        }
        let operation = self.operation(from, quoted, length)?;
        if !self.take("}") {
            return Err(self.fault(from, from + 2, "this has no `}`"));
        }
        Ok(Parameter { name, index, indirect, operation })
    }

    fn operation(&mut self, from: usize, quoted: bool, length: bool) -> Read<Operation> {
        if length {
            return Ok(Operation::Length);
        }
        if self.starts("}") {
            return Ok(Operation::Value);
        }
        let colon = self.starts(":") && {
            self.at += 1;
            true
        };
        if let Some(sign) = self.peek().filter(|c| matches!(c, '-' | '=' | '+' | '?')) {
            self.at += 1;
            let word = if quoted { self.quoted_word_to('}')? } else { self.word_to(&['}'])? };
            return Ok(Operation::Unset { sign, colon, word });
        }
        if colon {
            let from = self.word_to(&[':', '}'])?;
            let length = if self.take(":") { Some(self.word_to(&['}'])?) } else { None };
            return Ok(Operation::Slice { from, length });
        }
        for (sign, front, longest) in [("##", true, true), ("#", true, false), ("%%", false, true), ("%", false, false)]
        {
            if self.take(sign) {
                return Ok(Operation::Cut { front, longest, pattern: self.word_to(&['}'])? });
            }
        }
        if self.take("/") {
            let how = self.peek().filter(|c| matches!(c, '/' | '#' | '%')).unwrap_or(' ');
            if how != ' ' {
                self.at += 1;
            }
            let pattern = self.word_to(&['/', '}'])?;
            let with = if self.take("/") { self.word_to(&['}'])? } else { self.empty_word() };
            return Ok(Operation::Replace { how, pattern, with });
        }
        for (sign, upper, all) in [("^^", true, true), ("^", true, false), (",,", false, true), (",", false, false)] {
            if self.take(sign) {
                return Ok(Operation::Case { upper, all });
            }
        }
        Err(self.fault(from, self.at + 1, "this expansion is not known"))
    }

    /// A word inside double quotes: single quotes in it are plain.
    fn quoted_word_to(&mut self, end: char) -> Read<Word> {
        self.deeper(|parser| {
            let from = parser.at;
            let mut parts = parser.quoted(Some(end))?;
            // double quotes inside `"${X:-"a"}"` only group
            for part in &mut parts {
                if let Part::Text { text, span, .. } = part
                    && text.contains('"')
                {
                    *text = text.replace('"', "");
                    *span = parser.span(from, parser.at);
                }
            }
            Ok(Word { parts, span: parser.span(from, parser.at) })
        })
    }
}

/// Whether a statement ends with a word or a bracket that closes it.
fn closes(statement: &Statement) -> bool {
    let last = match &statement.shape {
        Shape::Chain { rest, .. } => rest.last().map(|(_, last)| last),
        Shape::Pipe { parts, .. } => parts.last(),
        Shape::Simple { .. } => return false,
        _ => return statement.redirects.is_empty(),
    };
    last.is_some_and(closes)
}

fn plain(shape: Shape, span: Span) -> Statement {
    Statement { shape, span, redirects: Vec::new(), comments: Vec::new(), trailing: false }
}

/// Whether a text is the name of a variable.
pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether a text ends with the `=` of an assignment to a whole variable.
fn is_assignment_start(text: &str) -> bool {
    text.strip_suffix('=').map(|t| t.strip_suffix('+').unwrap_or(t)).is_some_and(is_name)
}

/// What `NAME=`, `NAME+=` or `NAME[…]=` at the front of a word says: the name's length, and whether it is added to.
pub struct Assigned {
    pub name: String,
    /// The text between the brackets.
    pub index: Option<String>,
    pub adds: bool,
    /// Octets up to the value.
    pub length: usize,
}

impl Word {
    /// The word if it is one without quotes and expansions.
    pub fn literal(&self) -> Option<String> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text { text, quoted: false, .. } => out.push_str(text),
                _ => return None,
            }
        }
        Some(out)
    }

    /// What it assigns, if it is an assignment.
    pub fn assigned(&self) -> Option<Assigned> {
        let Some(Part::Text { text, quoted: false, .. }) = self.parts.first() else { return None };
        let end = text.find('=')?;
        let front = text.get(..end)?;
        let (front, adds) = front.strip_suffix('+').map_or((front, false), |f| (f, true));
        let (name, index) = match front.split_once('[') {
            Some((name, index)) => (name, Some(index.strip_suffix(']')?.to_owned())),
            None => (front, None),
        };
        is_name(name).then(|| Assigned { name: name.to_owned(), index, adds, length: end + 1 })
    }

    fn is_assignment(&self) -> bool {
        self.assigned().is_some() || self.assigned_by_variable().is_some()
    }

    /// `NAME[$i]=value`: the name, the index, and the parts of the value.
    pub fn assigned_by_variable(&self) -> Option<(String, Word, Vec<Part>)> {
        let Some(Part::Text { text, quoted: false, .. }) = self.parts.first() else { return None };
        let (name, index) = text.split_once('[')?;
        if !is_name(name) || index.contains(']') {
            return None;
        }
        let close = self
            .parts
            .iter()
            .position(|p| matches!(p, Part::Text { text, quoted: false, .. } if text.starts_with("]=")))?;
        let mut parts = self.parts.get(1..close)?.to_vec();
        if !index.is_empty() {
            parts.insert(0, Part::Text { text: index.to_owned(), quoted: false, span: self.span });
        }
        let mut value = self.parts.get(close..)?.to_vec();
        if let Some(Part::Text { text, span, .. }) = value.first_mut() {
            *text = text.get(2..)?.to_owned();
            *span = Span { start: span.start.saturating_add(2).min(span.end), ..*span };
        }
        Some((name.to_owned(), Word { parts, span: self.span }, value))
    }
}
