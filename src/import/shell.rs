//! A reader of shell scripts: what a script would run, without running anything. It goes through the script as the shell
//! does, as far as values are known, and hands over each command that is not the shell's own, every word with its place.
//!
//! What is not known stays so: a parameter that nobody gave, what another program would print. A word that depends on it
//! is handed over as unknown; a condition that depends on it is undecided, and what hangs on it is left out and named.

mod arithmetic;
mod builtin;
mod condition;
mod expand;
mod parse;
mod pattern;

use super::text::Text;
use crate::diagnostic::{Code, Diagnostic, Sink, codes};
use crate::source::{FileId, Span, Spanned};
use builtin::Ran;
pub use parse::Place;
use parse::{Arm, Body, Redirect, Redirection, Shape, Statement};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

/// Bounds of a run, so that any text comes to an end.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Commands that are run, loops and all.
    pub steps: usize,
    /// Octets that expansions make.
    pub octets: usize,
    /// How deep commands may be nested when they run, functions and all.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { steps: 2_000_000, octets: 256 << 20, depth: 60 }
    }
}

/// Something that cannot be known without running the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// A variable (`DEV`), a parameter (`1`), or a command as it is written (`$(hostname)`).
    pub name: String,
    /// Whether it is a variable or parameter that can be given.
    pub given: bool,
    /// Whether it is a parameter of the script that nobody gave.
    pub parameter: bool,
}

impl Unknown {
    /// As it is written.
    pub fn shown(&self) -> String {
        if self.given { format!("${}", self.name) } else { self.name.clone() }
    }

    /// What to write to make it known.
    pub fn help(&self) -> Option<String> {
        self.given.then(|| format!("say what it is: `--set {}=VALUE`", self.name))
    }
}

/// A word of a command.
#[derive(Clone, Debug)]
pub struct Word {
    /// The text and its places.
    pub text: Text,
    /// What the text depends on that is not known.
    pub unknown: Option<Rc<Unknown>>,
    /// Where the first variable in it got its value; [`Span::NONE`] without one.
    pub set: Span,
}

/// Standard input of a command, as far as the script makes it.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    /// The text.
    pub text: Text,
    /// Why the text is not known.
    pub unknown: Option<Rc<Unknown>>,
}

/// A command that the shell would run.
#[derive(Clone, Debug)]
pub struct Command {
    /// The program and its words.
    pub words: Vec<Word>,
    /// All of it.
    pub span: Span,
    /// The comment lines before it, and the one behind it as the last.
    pub comments: Vec<Spanned<String>>,
    /// What it reads, if the script says so: standard input, or a file that the script wrote.
    pub input: Option<Collected>,
    /// Whether nobody minds if it fails: its errors are thrown away or its status is looked at.
    pub quiet: bool,
    /// Variables in its words that were set nowhere, with their places.
    pub unset: Vec<(Rc<Unknown>, Span)>,
}

/// Who takes the commands.
pub trait Host {
    /// Takes a command; gives its exit status, if that is known.
    fn command(&mut self, command: &Command, sink: &mut Sink) -> Option<i32>;
    /// A file that the script names, if it may be read.
    fn file(&mut self, name: &str, sink: &mut Sink) -> Option<(FileId, String)>;
    /// Whether a command of that name is worth telling when it is left out.
    fn wants(&self, program: &str) -> bool;
}

/// A value of a variable.
#[derive(Clone, Debug)]
struct Value {
    text: Rc<str>,
    unknown: Option<Rc<Unknown>>,
    /// Where it was set.
    at: Span,
}

impl Value {
    fn new(text: impl Into<Rc<str>>, at: Span) -> Value {
        Value { text: text.into(), unknown: None, at }
    }

    fn unknown(why: Rc<Unknown>, at: Span) -> Value {
        Value { text: "".into(), unknown: Some(why), at }
    }
}

#[derive(Clone, Debug)]
enum Variable {
    One(Value),
    /// By key, in the order of the keys of an indexed array.
    List(Vec<(String, Value)>),
}

/// Lines that `read` takes from.
#[derive(Debug, Default)]
struct Input {
    lines: VecDeque<Text>,
    unknown: Option<Rc<Unknown>>,
}

/// How a command leaves those around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Next,
    Break(u32),
    Continue(u32),
    Return,
    Exit,
}

/// What a function or the script itself was given, and what its `local` hides.
#[derive(Clone, Debug, Default)]
struct Frame {
    /// `None`: nobody said what the script is given.
    words: Option<Vec<Value>>,
    hidden: Vec<(String, Option<Variable>)>,
}

/// What a subshell gives back when it ends.
#[derive(Clone, Debug, Default)]
struct State {
    variables: HashMap<String, Variable>,
    functions: HashMap<String, Rc<Statement>>,
    frames: Vec<Frame>,
    /// Arrays whose keys are words (`declare -A`).
    by_word: HashSet<String>,
    stop_on_errors: bool,
}

type Output = Option<Rc<RefCell<Collected>>>;

/// A shell that runs nothing.
pub struct Shell<'a> {
    host: &'a mut dyn Host,
    sink: &'a mut Sink,
    limits: Limits,
    given: HashMap<String, String>,
    state: State,
    files: HashMap<String, Collected>,
    input: Option<Rc<RefCell<Input>>>,
    output: Output,
    /// Standard output is thrown away.
    silent: bool,
    /// Errors are thrown away.
    quiet: bool,
    /// How many conditions are being looked at.
    conditions: usize,
    /// The last command's exit status.
    status: Option<i32>,
    /// What the last undecided condition hangs on.
    doubt: Option<Rc<Unknown>>,
    comments: Vec<Spanned<String>>,
    unset: Vec<(Rc<Unknown>, Span)>,
    depth: usize,
    steps: usize,
    octets: usize,
    spent: bool,
    told: HashSet<(Span, &'static str)>,
    name: String,
    next_file: usize,
}

impl<'a> Shell<'a> {
    /// A shell in which these variables are set; `1`, `2`… are the script's parameters.
    pub fn new(given: &[(String, String)], limits: Limits, host: &'a mut dyn Host, sink: &'a mut Sink) -> Shell<'a> {
        let given: HashMap<String, String> = given.iter().cloned().collect();
        let most = (1..=99).rev().find(|n| given.contains_key(&n.to_string()));
        let words = most.map(|most| {
            let word = |n: usize| given.get(&n.to_string()).cloned().unwrap_or_default();
            (1..=most).map(|n| Value::new(word(n), Span::NONE)).collect()
        });
        let named = given.iter().filter(|(name, _)| parse::is_name(name));
        let variables = named.map(|(name, text)| (name.clone(), Variable::One(Value::new(text.as_str(), Span::NONE))));
        let state = State {
            variables: variables.collect(),
            frames: vec![Frame { words, ..Frame::default() }],
            ..State::default()
        };
        Shell {
            host,
            sink,
            limits,
            given,
            state,
            files: HashMap::new(),
            input: None,
            output: None,
            silent: false,
            quiet: false,
            conditions: 0,
            status: Some(0),
            doubt: None,
            comments: Vec::new(),
            unset: Vec::new(),
            depth: 0,
            steps: limits.steps,
            octets: limits.octets,
            spent: false,
            told: HashSet::new(),
            name: String::new(),
            next_file: 0,
        }
    }

    /// Goes through a script.
    pub fn script(&mut self, name: &str, text: &str, place: Place) {
        name.clone_into(&mut self.name);
        self.source(text, place);
    }

    fn source(&mut self, text: &str, place: Place) -> Flow {
        let (statements, faults) = parse::parse(text, place);
        for fault in faults {
            self.tell(&codes::IMPORT_SKIPPED, fault.span, fault.message, None);
        }
        self.body(&statements)
    }

    /// Says something once of a place.
    fn tell(&mut self, code: &'static Code, span: Span, message: impl Into<String>, help: Option<String>) {
        if self.told.insert((span, code.name)) {
            let d = Diagnostic::new(code, message).at(span, "");
            self.sink.push(match help {
                Some(help) => d.help(help),
                None => d,
            });
        }
    }

    /// Counts what is done; false if it is too much.
    fn spend(&mut self, steps: usize, octets: usize, span: Span) -> bool {
        let enough = self.steps >= steps && self.octets >= octets;
        self.steps = self.steps.saturating_sub(steps);
        self.octets = self.octets.saturating_sub(octets);
        if !enough && !self.spent {
            self.spent = true;
            let message =
                format!("the script does not end within {} commands: the rest is left out", self.limits.steps);
            self.tell(&codes::IMPORT_SKIPPED, span, message, None);
        }
        !self.spent
    }

    fn body(&mut self, statements: &[Statement]) -> Flow {
        for statement in statements {
            let flow = self.statement(statement);
            if flow != Flow::Next {
                return flow;
            }
        }
        Flow::Next
    }

    fn statement(&mut self, statement: &Statement) -> Flow {
        if !self.spend(1, 0, statement.span) {
            return Flow::Exit;
        }
        if self.depth >= self.limits.depth {
            let message =
                format!("commands are nested over {} deep when they run: this is left out", self.limits.depth);
            self.tell(&codes::IMPORT_SKIPPED, statement.span, message, None);
            self.status = None;
            return Flow::Next;
        }
        let hands_on = matches!(statement.shape, Shape::Simple { .. } | Shape::Chain { .. } | Shape::Pipe { .. });
        let above = std::mem::take(&mut self.comments);
        if hands_on {
            self.comments = if statement.comments.is_empty() { above } else { statement.comments.clone() };
        }
        self.depth += 1;
        let flow = if statement.redirects.is_empty() {
            self.shape(statement)
        } else {
            self.redirected(&statement.redirects, |shell| shell.shape(statement))
        };
        self.depth -= 1;
        self.comments.clear();
        if flow == Flow::Next
            && self.state.stop_on_errors
            && self.conditions == 0
            && matches!(
                statement.shape,
                Shape::Simple { .. } | Shape::Subshell(_) | Shape::Test(_) | Shape::Arithmetic(_)
            )
            && self.status.is_some_and(|status| status != 0)
        {
            self.tell(
                &codes::IMPORT_SKIPPED,
                statement.span,
                "the script ends here: `set -e` is on, and this fails",
                None,
            );
            return Flow::Exit;
        }
        flow
    }

    fn shape(&mut self, statement: &Statement) -> Flow {
        match &statement.shape {
            Shape::Simple { assignments, words } => self.simple(statement, assignments, words),
            Shape::Pipe { not, parts } => self.pipe(*not, parts),
            Shape::Chain { first, rest } => self.chain(first, rest),
            Shape::Group(body) => self.body(body),
            Shape::Subshell(body) => {
                self.subshell(|shell| shell.body(body));
                Flow::Next
            }
            Shape::If { arms, otherwise } => self.decide(arms, otherwise.as_ref()),
            Shape::While { until, condition, body } => self.repeat(statement.span, *until, condition, body),
            Shape::For { name, words, body } => self.each(name, words.as_deref(), body),
            Shape::Count { parts, body } => self.count(statement.span, parts, body),
            Shape::Case { word, arms } => self.case(word, arms),
            Shape::Function { name, body } => {
                self.state.functions.insert(name.clone(), Rc::clone(body));
                self.status = Some(0);
                Flow::Next
            }
            Shape::Arithmetic(expression) => {
                let value = self.arithmetic(expression);
                self.status = value.map(|n| i32::from(n == 0));
                Flow::Next
            }
            Shape::Test(words) => {
                self.status = self.double_test(words).map(|yes| i32::from(!yes));
                Flow::Next
            }
        }
    }

    /// Runs what a condition is made of: failures are no failures there.
    fn condition<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        self.conditions += 1;
        let out = run(self);
        self.conditions -= 1;
        out
    }

    fn subshell(&mut self, run: impl FnOnce(&mut Self) -> Flow) {
        let size = self.state.variables.len() + 1;
        if !self.spend(1 + size / 64, 0, Span::NONE) {
            return;
        }
        let state = self.state.clone();
        run(self);
        self.state = state;
    }

    fn simple(&mut self, statement: &Statement, assignments: &[parse::Word], words: &[parse::Word]) -> Flow {
        self.unset.clear();
        let fields = self.command_fields(words);
        let unset = std::mem::take(&mut self.unset);
        let Some((first, _)) = fields.split_first() else {
            self.status = Some(0);
            for word in assignments {
                self.assign(word);
            }
            return Flow::Next;
        };
        let name = first.text.text.clone();
        // `X=1 command` sets for the command alone, which here is nobody's business but a function's
        let before: Vec<_> = assignments
            .iter()
            .filter_map(|word| {
                let name = word.assigned()?.name;
                let old = self.state.variables.get(&name).cloned();
                self.assign(word);
                Some((name, old))
            })
            .collect();
        let flow = if let Some(function) = self.state.functions.get(&name).cloned().filter(|_| first.unknown.is_none())
        {
            self.call(&function, &fields)
        } else {
            self.program(statement, &name, fields, unset)
        };
        for (name, old) in before {
            match old {
                Some(old) => self.state.variables.insert(name, old),
                None => self.state.variables.remove(&name),
            };
        }
        flow
    }

    fn program(
        &mut self,
        statement: &Statement,
        name: &str,
        fields: Vec<Word>,
        unset: Vec<(Rc<Unknown>, Span)>,
    ) -> Flow {
        if fields.first().is_some_and(|f| f.unknown.is_none()) {
            match self.builtin(name, &fields, statement.span) {
                Ran::Not => {}
                Ran::Done(status) => {
                    self.status = status;
                    return Flow::Next;
                }
                Ran::Leaves(flow) => return flow,
            }
        }
        // a program reads only if it is told to: `tc -batch -` in a loop over lines would take them all
        let reads = |w: &Word| matches!(w.text.text.as_str(), "-" | "/dev/stdin");
        let written = fields.iter().skip(1).find_map(|w| self.files.get(&w.text.text).cloned());
        let input = match &self.input {
            Some(input) if fields.iter().any(reads) => {
                let mut input = input.borrow_mut();
                let mut text = Text::default();
                for line in input.lines.drain(..) {
                    text.append(&line);
                    text.push("\n", Span::NONE);
                }
                Some(Collected { text, unknown: input.unknown.clone() })
            }
            _ => written,
        };
        let command = Command {
            words: fields,
            span: statement.span,
            comments: std::mem::take(&mut self.comments),
            input,
            quiet: self.quiet || self.conditions > 0,
            unset,
        };
        self.status = self.host.command(&command, self.sink);
        // what it prints nobody knows
        if let Some(output) = &self.output
            && !builtin::is_mute(name)
        {
            let shown: Vec<&str> = command.words.iter().map(|w| w.text.text.as_str()).collect();
            let why = Unknown { name: format!("$({})", shown.join(" ")), given: false, parameter: false };
            output.borrow_mut().unknown.get_or_insert(Rc::new(why));
        }
        Flow::Next
    }

    fn call(&mut self, function: &Rc<Statement>, fields: &[Word]) -> Flow {
        let words = fields.iter().skip(1).map(|f| Value {
            text: f.text.text.as_str().into(),
            unknown: f.unknown.clone(),
            at: f.text.span(),
        });
        self.state.frames.push(Frame { words: Some(words.collect()), hidden: Vec::new() });
        let frames = self.state.frames.len();
        self.status = Some(0);
        let flow = self.statement(function);
        if let Some(frame) = (self.state.frames.len() == frames).then(|| self.state.frames.pop()).flatten() {
            for (name, old) in frame.hidden.into_iter().rev() {
                match old {
                    Some(old) => self.state.variables.insert(name, old),
                    None => self.state.variables.remove(&name),
                };
            }
        }
        match flow {
            Flow::Exit => Flow::Exit,
            _ => Flow::Next,
        }
    }

    /// What each part prints is what the next reads; each is a subshell.
    fn pipe(&mut self, not: bool, parts: &[Statement]) -> Flow {
        if let [only] = parts {
            let flow = self.condition(|shell| shell.statement(only));
            self.status = self.status.map(|s| if not { i32::from(s == 0) } else { s });
            return flow;
        }
        let (input, output, silent) = (self.input.clone(), self.output.clone(), self.silent);
        for (i, part) in parts.iter().enumerate() {
            let last = i + 1 == parts.len();
            let collected = Rc::new(RefCell::new(Collected::default()));
            self.output = if last { output.clone() } else { Some(Rc::clone(&collected)) };
            self.silent = last && silent;
            let comments = self.comments.clone();
            if last && !not {
                self.subshell(|shell| shell.statement(part));
            } else {
                self.condition(|shell| shell.subshell(|shell| shell.statement(part)));
            }
            self.comments = comments;
            let collected = collected.take();
            self.input = Some(Rc::new(RefCell::new(input_of(&collected))));
        }
        (self.input, self.output, self.silent) = (input, output, silent);
        self.status = self.status.map(|s| if not { i32::from(s == 0) } else { s });
        Flow::Next
    }

    fn chain(&mut self, first: &Statement, rest: &[(bool, Statement)]) -> Flow {
        let comments = std::mem::take(&mut self.comments);
        let mut flow = {
            self.comments.clone_from(&comments);
            // a failure that `||` answers, or that `&&` waits for, is no surprise
            self.condition(|shell| shell.statement(first))
        };
        let mut span = first.span;
        for (i, (and, statement)) in rest.iter().enumerate() {
            if flow != Flow::Next {
                return flow;
            }
            let run = match self.status {
                Some(status) => (status == 0) == *and,
                None => {
                    self.undecided(span, &[std::slice::from_ref(statement)]);
                    false
                }
            };
            span = statement.span;
            if !run {
                continue;
            }
            self.comments.clone_from(&comments);
            let last = i + 1 == rest.len();
            flow = if last { self.statement(statement) } else { self.condition(|shell| shell.statement(statement)) };
        }
        flow
    }

    fn decide(&mut self, arms: &[(Body, Body)], otherwise: Option<&Body>) -> Flow {
        for (i, (condition, body)) in arms.iter().enumerate() {
            let flow = self.condition(|shell| shell.body(condition));
            if flow != Flow::Next {
                return flow;
            }
            match self.status {
                Some(0) => return self.body(body),
                Some(_) => {}
                None => {
                    let rest = arms.get(i..).unwrap_or(&[]).iter().map(|(_, body)| body.as_slice());
                    let left: Vec<&[Statement]> = rest.chain(otherwise.map(|b| b.as_slice())).collect();
                    let span = condition.first().map_or(Span::NONE, |s| s.span);
                    self.undecided(span, &left);
                    self.status = None;
                    return Flow::Next;
                }
            }
        }
        self.status = Some(0);
        otherwise.map_or(Flow::Next, |body| self.body(body))
    }

    /// Something depends on a condition that cannot be decided: it is left out, and named if it matters.
    fn undecided(&mut self, condition: Span, left_out: &[&[Statement]]) {
        let doubt = self.doubt.take();
        if !left_out.iter().any(|body| self.matters(body, 8)) {
            return;
        }
        for body in left_out {
            self.forget(body, 8);
        }
        let help = doubt.as_ref().and_then(|u| u.help());
        let message = match doubt {
            Some(doubt) => format!("whether this holds depends on `{}`: what hangs on it is left out", doubt.shown()),
            None => "whether this holds is not known here: what hangs on it is left out".to_owned(),
        };
        self.tell(&codes::IMPORT_SKIPPED, condition, message, help);
    }

    /// Whether there is something in it that a policy could be made of.
    fn matters(&self, body: &[Statement], depth: usize) -> bool {
        let Some(depth) = depth.checked_sub(1) else { return true };
        body.iter().any(|statement| match &statement.shape {
            Shape::Simple { assignments, words } => match words.first() {
                None => !assignments.is_empty(),
                Some(word) => match word.literal() {
                    Some(name) => match self.state.functions.get(&name) {
                        Some(function) => self.matters(std::slice::from_ref(function), depth),
                        None => self.host.wants(&name) || matches!(name.as_str(), "." | "source" | "eval" | "read"),
                    },
                    None => true,
                },
            },
            Shape::Pipe { parts, .. } => self.matters(parts, depth),
            Shape::Chain { first, rest } => {
                self.matters(std::slice::from_ref(first), depth)
                    || rest.iter().any(|(_, s)| self.matters(std::slice::from_ref(s), depth))
            }
            Shape::Group(body) | Shape::Subshell(body) => self.matters(body, depth),
            Shape::If { arms, otherwise } => {
                arms.iter().any(|(_, body)| self.matters(body, depth))
                    || otherwise.as_ref().is_some_and(|body| self.matters(body, depth))
            }
            Shape::While { body, .. } | Shape::For { body, .. } | Shape::Count { body, .. } => {
                self.matters(body, depth)
            }
            Shape::Case { arms, .. } => arms.iter().any(|arm| self.matters(&arm.body, depth)),
            Shape::Function { .. } => true,
            Shape::Arithmetic(_) | Shape::Test(_) => false,
        })
    }

    /// Variables that are set in what is left out are not known after it, unless they were.
    fn forget(&mut self, body: &[Statement], depth: usize) {
        let Some(depth) = depth.checked_sub(1) else { return };
        for statement in body {
            match &statement.shape {
                Shape::Simple { assignments, words } if words.is_empty() => {
                    for assigned in assignments.iter().filter_map(parse::Word::assigned) {
                        let why = Rc::new(Unknown { name: assigned.name.clone(), given: true, parameter: false });
                        let value = Variable::One(Value::unknown(why, statement.span));
                        self.state.variables.entry(assigned.name).or_insert(value);
                    }
                }
                Shape::Chain { first, rest } => {
                    self.forget(std::slice::from_ref(first), depth);
                    rest.iter().for_each(|(_, s)| self.forget(std::slice::from_ref(s), depth));
                }
                Shape::Group(body)
                | Shape::While { body, .. }
                | Shape::For { body, .. }
                | Shape::Count { body, .. } => {
                    self.forget(body, depth);
                }
                Shape::If { arms, otherwise } => {
                    arms.iter().for_each(|(_, body)| self.forget(body, depth));
                    otherwise.iter().for_each(|body| self.forget(body, depth));
                }
                Shape::Case { arms, .. } => arms.iter().for_each(|arm| self.forget(&arm.body, depth)),
                _ => {}
            }
        }
    }

    fn repeat(&mut self, span: Span, until: bool, condition: &Body, body: &Body) -> Flow {
        if never_ends(until, condition) && !leaves(body, 8) {
            if self.matters(body, 8) {
                let message = "this loop has no end: what it does again and again is left out";
                self.tell(&codes::IMPORT_SKIPPED, span, message, None);
            }
            return Flow::Next;
        }
        loop {
            let flow = self.condition(|shell| shell.body(condition));
            if flow != Flow::Next {
                return flow;
            }
            match self.status {
                Some(status) if (status == 0) != until => {}
                Some(_) => break,
                None => {
                    self.undecided(condition.first().map_or(span, |s| s.span), &[body.as_slice()]);
                    return Flow::Next;
                }
            }
            if let Some(flow) = around(self.body(body)) {
                return flow;
            }
            if !self.spend(1, 0, span) {
                return Flow::Exit;
            }
        }
        self.status = Some(0);
        Flow::Next
    }

    fn each(&mut self, name: &Spanned<String>, words: Option<&[parse::Word]>, body: &Body) -> Flow {
        let values = match words {
            Some(words) => {
                let fields: Vec<Word> = words.iter().flat_map(|word| self.expand(word)).collect();
                let value =
                    |f: Word| Value { text: f.text.text.as_str().into(), unknown: f.unknown, at: f.text.span() };
                fields.into_iter().map(value).collect()
            }
            None => self.state.frames.last().and_then(|f| f.words.clone()).unwrap_or_default(),
        };
        self.status = Some(0);
        for value in values {
            if !self.spend(1, value.text.len(), name.span) {
                return Flow::Exit;
            }
            if let Some(unknown) = &value.unknown {
                if self.matters(body, 8) {
                    let message = format!("what this loop goes over depends on `{}`, and is left out", unknown.shown());
                    let help = unknown.help();
                    self.tell(&codes::IMPORT_SKIPPED, value.at, message, help);
                }
                continue;
            }
            self.state.variables.insert(name.value.clone(), Variable::One(value));
            if let Some(flow) = around(self.body(body)) {
                return flow;
            }
        }
        Flow::Next
    }

    fn count(&mut self, span: Span, parts: &[parse::Word; 3], body: &Body) -> Flow {
        let [start, condition, step] = parts;
        let mut known = start.parts.is_empty() || self.arithmetic(start).is_some();
        while known {
            let goes_on = if condition.parts.is_empty() { Some(1) } else { self.arithmetic(condition) };
            match goes_on {
                Some(0) => {
                    self.status = Some(0);
                    return Flow::Next;
                }
                Some(_) => {}
                None => break,
            }
            if let Some(flow) = around(self.body(body)) {
                return flow;
            }
            known = step.parts.is_empty() || self.arithmetic(step).is_some();
            if !self.spend(1, 0, span) {
                return Flow::Exit;
            }
        }
        self.undecided(condition.span, &[body.as_slice()]);
        Flow::Next
    }

    fn case(&mut self, word: &parse::Word, arms: &[Arm]) -> Flow {
        let value = self.join(word);
        let text = value.text.text.clone();
        if let Some(unknown) = value.unknown {
            return self.guess(word.span, unknown, arms);
        }
        let mut falls = false;
        for arm in arms {
            let mut hit = falls;
            for pattern in arm.patterns.iter().filter(|_| !falls) {
                let (pattern, unknown) = self.pattern(pattern);
                if unknown.is_some() {
                    self.doubt = unknown;
                    let left: Vec<&[Statement]> = arms.iter().map(|a| a.body.as_slice()).collect();
                    self.undecided(word.span, &left);
                    return Flow::Next;
                }
                if pattern.matches(&text) {
                    hit = true;
                    break;
                }
            }
            if hit {
                let flow = self.body(&arm.body);
                if flow != Flow::Next || !arm.falls {
                    return flow;
                }
                falls = true;
            }
        }
        self.status = Some(0);
        Flow::Next
    }

    /// A choice by what nobody gave: `start` is meant where there is one.
    fn guess(&mut self, span: Span, unknown: Rc<Unknown>, arms: &[Arm]) -> Flow {
        if unknown.parameter {
            for arm in arms {
                let words = arm.patterns.iter().filter_map(parse::Word::literal);
                let Some(word) = words.into_iter().find(|w| STARTS.contains(&w.as_str())) else { continue };
                self.assume(span, &unknown, &word);
                return self.body(&arm.body);
            }
        }
        self.doubt = Some(unknown);
        let left: Vec<&[Statement]> = arms.iter().map(|a| a.body.as_slice()).collect();
        self.undecided(span, &left);
        Flow::Next
    }

    /// Takes a parameter that nobody gave for this word from here on, and says so.
    fn assume(&mut self, span: Span, unknown: &Unknown, word: &str) {
        let message = format!("`${}` is taken for `{word}`", unknown.name);
        let help = format!("say what it is: `--set {}={word}`", unknown.name);
        self.tell(&codes::IMPORT_ASSUMED, span, message, Some(help));
        self.given.insert(unknown.name.clone(), word.to_owned());
    }

    /// Runs something with its input and output elsewhere.
    fn redirected(&mut self, redirects: &[Redirect], run: impl FnOnce(&mut Self) -> Flow) -> Flow {
        let before = (self.input.clone(), self.output.clone(), self.silent, self.quiet);
        let comments = std::mem::take(&mut self.comments);
        let mut written = Vec::new();
        for redirect in redirects {
            self.redirect(redirect, &mut written);
        }
        self.comments = comments;
        let flow = run(self);
        for (name, collected) in written {
            self.files.insert(name, collected.borrow().clone());
        }
        (self.input, self.output, self.silent, self.quiet) = before;
        flow
    }

    fn redirect(&mut self, redirect: &Redirect, written: &mut Vec<(String, Rc<RefCell<Collected>>)>) {
        match &redirect.kind {
            Redirection::Document(cell) => {
                let word = cell.get().map(|word| self.join(word));
                let collected =
                    word.map_or_else(Collected::default, |w| Collected { text: w.text, unknown: w.unknown });
                self.input = Some(Rc::new(RefCell::new(input_of(&collected))));
            }
            Redirection::String(word) => {
                let mut word = self.join(word);
                word.text.push("\n", Span::NONE);
                let collected = Collected { text: word.text, unknown: word.unknown };
                self.input = Some(Rc::new(RefCell::new(input_of(&collected))));
            }
            Redirection::Read(word) => {
                let name = self.join(word);
                let collected = self.read_file(&name);
                self.input = Some(Rc::new(RefCell::new(input_of(&collected))));
            }
            Redirection::Duplicate(word) => match (redirect.number.unwrap_or(1), self.join(word).text.text.as_str()) {
                (1, "2") => (self.output, self.silent) = (None, self.quiet),
                (2, "1") => self.quiet = self.silent,
                (2, "-") => self.quiet = true,
                (1, "-") => (self.output, self.silent) = (None, true),
                _ => {}
            },
            Redirection::Both(word) => {
                self.write_to(word, false, written);
                self.quiet = self.silent;
            }
            Redirection::Write(word) | Redirection::Append(word) => match redirect.number.unwrap_or(1) {
                1 => self.write_to(word, matches!(redirect.kind, Redirection::Append(_)), written),
                2 => self.quiet = self.join(word).text.text == "/dev/null",
                _ => {}
            },
        }
    }

    fn write_to(&mut self, word: &parse::Word, append: bool, written: &mut Vec<(String, Rc<RefCell<Collected>>)>) {
        let name = self.join(word);
        if name.unknown.is_some() || name.text.text.starts_with("/dev/") {
            (self.output, self.silent) = (None, name.text.text == "/dev/null");
            return;
        }
        let text = name.text.text;
        if text.starts_with("/proc/") || text.starts_with("/sys/") {
            let message = format!("`{text}` is no affair of a policy: passed over");
            self.tell(&codes::IMPORT_PASSED, word.span, message, None);
        }
        let old = if append { self.files.get(&text).cloned() } else { None };
        let collected = Rc::new(RefCell::new(old.unwrap_or_default()));
        (self.output, self.silent) = (Some(Rc::clone(&collected)), false);
        written.push((text, collected));
    }

    /// A file's text: one that the script wrote, or one that may be read.
    fn read_file(&mut self, name: &Word) -> Collected {
        let text = &name.text.text;
        let unknown = |why: Rc<Unknown>| Collected { text: Text::default(), unknown: Some(why) };
        if let Some(why) = &name.unknown {
            return unknown(Rc::clone(why));
        }
        if text == "/dev/null" {
            return Collected::default();
        }
        if let Some(collected) = self.files.get(text) {
            return collected.clone();
        }
        match self.host.file(text, self.sink) {
            Some((file, content)) => {
                let span = Span::new(file, 0, content.len());
                Collected { text: Text::new(content, span), unknown: None }
            }
            None => unknown(Rc::new(Unknown { name: text.clone(), given: false, parameter: false })),
        }
    }

    /// Prints.
    fn write(&mut self, text: &Text, unknown: Option<Rc<Unknown>>) {
        if !self.spend(0, text.text.len(), text.span()) {
            return;
        }
        if let Some(output) = &self.output {
            let mut output = output.borrow_mut();
            output.text.append(text);
            if output.unknown.is_none() {
                output.unknown = unknown;
            }
        }
    }

    /// What a command substitution gives, without the newlines at its end.
    fn capture(&mut self, body: &Body, span: Span) -> Value {
        let collected = Rc::new(RefCell::new(Collected::default()));
        let before = (self.output.replace(Rc::clone(&collected)), self.silent, std::mem::take(&mut self.comments));
        let unset = std::mem::take(&mut self.unset);
        self.silent = false;
        self.status = Some(0);
        self.depth += 1;
        if self.depth < self.limits.depth {
            self.condition(|shell| shell.subshell(|shell| shell.body(body)));
        } else {
            let message =
                format!("commands are nested over {} deep when they run: this is left out", self.limits.depth);
            self.tell(&codes::IMPORT_SKIPPED, span, message, None);
        }
        self.depth -= 1;
        self.unset = unset;
        (self.output, self.silent, self.comments) = before;
        let collected = collected.take();
        let text = collected.text.text.trim_end_matches('\n');
        let _ = self.spend(0, text.len(), span);
        Value { text: text.into(), unknown: collected.unknown, at: span }
    }
}

/// Words that mean that the script is to do its work.
const STARTS: &[&str] = &["start", "up", "on", "enable", "add"];
/// Words that mean anything else.
const OTHERS: &[&str] = &[
    "stop",
    "down",
    "off",
    "disable",
    "del",
    "delete",
    "clear",
    "clean",
    "status",
    "show",
    "stats",
    "restart",
    "reload",
    "help",
    "-h",
    "--help",
    "-?",
    "version",
    "--version",
];

fn input_of(collected: &Collected) -> Input {
    Input { lines: collected.text.lines().into(), unknown: collected.unknown.clone() }
}

/// How a loop goes on after its body: `None` with the next round, else it is left.
fn around(flow: Flow) -> Option<Flow> {
    match flow {
        Flow::Next | Flow::Continue(0 | 1) => None,
        Flow::Break(0 | 1) => Some(Flow::Next),
        Flow::Break(n) => Some(Flow::Break(n - 1)),
        Flow::Continue(n) => Some(Flow::Continue(n - 1)),
        Flow::Return | Flow::Exit => Some(flow),
    }
}

/// `while true`, `while :`, `until false`.
fn never_ends(until: bool, condition: &[Statement]) -> bool {
    let [only] = condition else { return false };
    let Shape::Simple { words, .. } = &only.shape else { return false };
    let [word] = words.as_slice() else { return false };
    matches!((word.literal().as_deref(), until), (Some("true" | ":"), false) | (Some("false"), true))
}

/// Whether something in it may leave a loop.
fn leaves(body: &[Statement], depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return true };
    body.iter().any(|statement| match &statement.shape {
        Shape::Simple { words, .. } => {
            let name = words.first().and_then(parse::Word::literal);
            matches!(name.as_deref(), Some("break" | "return" | "exit"))
        }
        Shape::Pipe { parts, .. } => leaves(parts, depth),
        Shape::Chain { first, rest } => {
            leaves(std::slice::from_ref(first), depth)
                || rest.iter().any(|(_, s)| leaves(std::slice::from_ref(s), depth))
        }
        Shape::Group(body) | Shape::While { body, .. } | Shape::For { body, .. } | Shape::Count { body, .. } => {
            leaves(body, depth)
        }
        Shape::If { arms, otherwise } => {
            arms.iter().any(|(_, body)| leaves(body, depth))
                || otherwise.as_ref().is_some_and(|body| leaves(body, depth))
        }
        Shape::Case { arms, .. } => arms.iter().any(|arm| leaves(&arm.body, depth)),
        Shape::Subshell(_) | Shape::Function { .. } | Shape::Arithmetic(_) | Shape::Test(_) => false,
    })
}

#[cfg(test)]
mod tests;
