//! The shell's own commands, and those programs whose output is plain from their words.

use super::expand::not_known;
use super::parse::{self, Place};
use super::{Flow, Input, Shell, Unknown, Value, Variable, Word};
use crate::diagnostic::codes;
use crate::import::text::Text;
use crate::source::Span;
use std::collections::VecDeque;
use std::rc::Rc;

/// What became of a command.
pub(super) enum Ran {
    /// It is none of the shell's.
    Not,
    /// It is done, with this status.
    Done(Option<i32>),
    /// It changes how things go on.
    Leaves(Flow),
}

/// Whether the words after it are assignments.
pub(super) fn declares(name: &str) -> bool {
    matches!(name, "export" | "local" | "readonly" | "declare" | "typeset")
}

/// Whether a program prints nothing when all is well.
pub(super) fn is_mute(name: &str) -> bool {
    matches!(name, "modprobe" | "sysctl" | "mkdir" | "rm" | "touch" | "insmod" | "rmmod" | "kill" | "ifconfig")
}

const SUCCESS: Ran = Ran::Done(Some(0));

impl Shell<'_> {
    /// Runs a command that is the shell's own, or one that only computes.
    pub(super) fn builtin(&mut self, name: &str, words: &[Word], span: Span) -> Ran {
        let arguments = words.get(1..).unwrap_or(&[]);
        let unknown = arguments.iter().find_map(|w| w.unknown.clone());
        let text = |i: usize| arguments.get(i).map(|w| w.text.text.as_str());
        match name {
            ":" | "true" | "sleep" | "trap" | "wait" | "umask" | "cd" | "pushd" | "popd" | "alias" | "unalias"
            | "sync" | "ulimit" | "hash" | "shopt" | "logger" | "touch" | "setopt" | "clear" | "enable" => SUCCESS,
            "false" => Ran::Done(Some(1)),
            "exit" => Ran::Leaves(Flow::Exit),
            "return" => {
                match text(0).map(str::parse) {
                    Some(Ok(status)) => self.status = Some(status),
                    Some(Err(_)) => self.status = None,
                    None => {}
                }
                Ran::Leaves(Flow::Return)
            }
            "break" | "continue" => {
                let levels = text(0).and_then(|n| n.parse().ok()).unwrap_or(1);
                self.status = Some(0);
                Ran::Leaves(if name == "break" { Flow::Break(levels) } else { Flow::Continue(levels) })
            }
            "echo" => self.echo(arguments, unknown),
            "printf" => self.printf(arguments, unknown),
            "export" | "local" | "readonly" | "declare" | "typeset" => self.declare(name, arguments),
            "unset" => {
                for word in arguments.iter().filter(|w| !w.text.text.starts_with('-')) {
                    self.state.variables.remove(&word.text.text);
                    self.state.functions.remove(&word.text.text);
                }
                SUCCESS
            }
            "set" => self.set_options(arguments),
            "shift" => {
                let count = text(0).map_or(Some(1), |n| n.parse::<usize>().ok());
                if let (Some(count), Some(given)) =
                    (count, self.state.frames.last_mut().and_then(|frame| frame.words.as_mut()))
                {
                    given.drain(..count.min(given.len()));
                }
                SUCCESS
            }
            "let" => {
                let mut last = Some(0);
                for word in arguments {
                    last =
                        if word.unknown.is_some() { None } else { self.calculate(&word.text.text, word.text.span()) };
                }
                Ran::Done(last.map(|n| i32::from(n == 0)))
            }
            "[" | "test" => {
                let inside = match (name, arguments.split_last()) {
                    ("[", Some((last, inside))) if last.text.text == "]" => inside,
                    ("[", _) => return Ran::Done(None),
                    _ => arguments,
                };
                Ran::Done(self.test(inside).map(|yes| i32::from(!yes)))
            }
            "eval" => self.eval(arguments, unknown, span),
            "." | "source" => self.dot(arguments, span),
            "read" => self.read(arguments),
            "getopts" => self.getopts(arguments),
            "command" | "type" | "which" => self.whereabouts(name, arguments),
            "exec" if arguments.is_empty() => SUCCESS,
            "expr" => self.expr(arguments, unknown, span),
            "seq" => self.seq(arguments, unknown, span),
            "id" if text(0) == Some("-u") => self.print("0\n", span),
            "whoami" => self.print("root\n", span),
            "basename" | "dirname" => self.part_of_path(name, arguments, unknown, span),
            "mktemp" => {
                self.next_file += 1;
                let name = format!("/tmp/tmp.{}\n", self.next_file);
                self.files.insert(name.trim_end().to_owned(), super::Collected::default());
                self.print(&name, span)
            }
            "rm" => {
                for word in arguments {
                    self.files.remove(&word.text.text);
                }
                SUCCESS
            }
            "cat" => self.cat(arguments),
            "tee" => {
                let input = self.take_input();
                self.write_lines(&input);
                SUCCESS
            }
            "cut" | "tr" | "bc" | "head" | "tail" | "wc" | "sort" | "uniq" | "rev" => {
                self.through(name, arguments, unknown, span)
            }
            // what they say is not known, and neither is whether they say it
            "grep" | "egrep" | "fgrep" | "pgrep" | "pidof" | "ping" | "diff" | "cmp" | "awk" | "sed" | "lsmod"
            | "uname" | "hostname" | "date" | "dmesg" | "nslookup" | "host" | "dig" | "curl" | "wget" | "uci"
            | "nvram" => {
                let shown: Vec<&str> = words.iter().map(|w| w.text.text.as_str()).collect();
                let why = not_known(&format!("$({})", shown.join(" ")));
                self.write(&Text::default(), Some(Rc::clone(&why)));
                if self.conditions > 0 && self.output.is_none() {
                    self.doubt = Some(why);
                }
                Ran::Done(None)
            }
            _ => Ran::Not,
        }
    }

    fn print(&mut self, text: &str, span: Span) -> Ran {
        self.write(&Text::new(text, span), None);
        SUCCESS
    }

    fn echo(&mut self, arguments: &[Word], unknown: Option<Rc<Unknown>>) -> Ran {
        let (mut newline, mut escapes, mut first) = (true, false, 0);
        for word in arguments {
            let text = word.text.text.as_str();
            if text.len() < 2 || !text.starts_with('-') || !text.chars().skip(1).all(|c| matches!(c, 'n' | 'e' | 'E')) {
                break;
            }
            newline &= !text.contains('n');
            escapes |= text.contains('e');
            first += 1;
        }
        let mut out = Text::default();
        for (i, word) in arguments.iter().skip(first).enumerate() {
            if i > 0 {
                out.push(" ", Span::NONE);
            }
            if escapes && word.text.text.contains('\\') {
                out.push(&unescaped(&word.text.text), word.text.span());
            } else {
                out.append(&word.text);
            }
        }
        if newline {
            out.push("\n", Span::NONE);
        }
        self.write(&out, unknown);
        SUCCESS
    }

    fn printf(&mut self, arguments: &[Word], unknown: Option<Rc<Unknown>>) -> Ran {
        let mut arguments = arguments;
        if let Some((first, rest)) = arguments.split_first()
            && first.text.text == "-v"
            && let Some((name, rest)) = rest.split_first()
        {
            let text = formatted(rest).text;
            let value = Value { text: text.into(), unknown, at: name.text.span() };
            self.set(&name.text.text, value);
            return SUCCESS;
        }
        if arguments.first().is_some_and(|w| w.text.text == "--") {
            arguments = arguments.get(1..).unwrap_or(&[]);
        }
        let text = formatted(arguments);
        self.write(&text, unknown);
        SUCCESS
    }

    fn declare(&mut self, name: &str, arguments: &[Word]) -> Ran {
        let mut local = matches!(name, "local" | "declare" | "typeset") && self.state.frames.len() > 1;
        let mut by_word = false;
        for word in arguments {
            let text = &word.text.text;
            if text.starts_with('-') {
                by_word |= text.contains('A');
                local &= !text.contains('g');
                continue;
            }
            let end = text.find('=').unwrap_or(text.len());
            let variable =
                text.get(..end).unwrap_or("").trim_end_matches('+').split('[').next().unwrap_or("").to_owned();
            if !parse::is_name(&variable) {
                continue;
            }
            let old = self.state.variables.get(&variable).cloned();
            if by_word {
                self.state.by_word.insert(variable.clone());
            }
            if local && let Some(frame) = self.state.frames.last_mut() {
                let is_list = matches!(old, Some(Variable::List(_))) && end == text.len();
                if !frame.hidden.iter().any(|(name, _)| *name == variable) {
                    frame.hidden.push((variable.clone(), old));
                }
                // `local LIST=(…)` has set it just now
                if !is_list && end == text.len() {
                    self.state.variables.remove(&variable);
                }
            }
            if end < text.len() {
                let literal = parse::Word {
                    parts: vec![parse::Part::Text { text: text.clone(), quoted: false, span: word.text.span() }],
                    span: word.text.span(),
                };
                if let Some(assigned) = literal.assigned() {
                    let value = text.get(assigned.length..).unwrap_or("").to_owned();
                    self.assign_text(&assigned, value, word.unknown.clone(), word.text.span());
                }
            }
        }
        SUCCESS
    }

    fn set_options(&mut self, arguments: &[Word]) -> Ran {
        for (i, word) in arguments.iter().enumerate() {
            let text = word.text.text.as_str();
            let values = |from: usize| {
                let words = arguments.iter().skip(from);
                words.map(|w| Value {
                    text: w.text.text.as_str().into(),
                    unknown: w.unknown.clone(),
                    at: w.text.span(),
                })
            };
            match text.strip_prefix('-').or_else(|| text.strip_prefix('+')) {
                Some("-") => {
                    let given = values(i + 1).collect();
                    if let Some(frame) = self.state.frames.last_mut() {
                        frame.words = Some(given);
                    }
                    return SUCCESS;
                }
                Some(letters) => {
                    if letters.contains('e')
                        || arguments.get(i + 1).is_some_and(|w| letters == "o" && w.text.text == "errexit")
                    {
                        self.state.stop_on_errors = text.starts_with('-');
                    }
                    if letters.ends_with('o') {
                        return SUCCESS;
                    }
                }
                None => {
                    let given = values(i).collect();
                    if let Some(frame) = self.state.frames.last_mut() {
                        frame.words = Some(given);
                    }
                    return SUCCESS;
                }
            }
        }
        SUCCESS
    }

    fn eval(&mut self, arguments: &[Word], unknown: Option<Rc<Unknown>>, span: Span) -> Ran {
        if let Some(why) = unknown {
            let message = format!("this depends on `{}` and is left out", why.shown());
            self.tell(&codes::IMPORT_SKIPPED, span, message, why.help());
            return Ran::Done(None);
        }
        let words: Vec<&str> = arguments.iter().map(|w| w.text.text.as_str()).collect();
        let text = words.join(" ");
        if self.depth >= self.limits.depth || !self.spend(1, text.len(), span) {
            return Ran::Done(None);
        }
        self.depth += 1;
        self.status = Some(0);
        let flow = self.source(&text, Place::Within(span));
        self.depth -= 1;
        if flow == Flow::Next { Ran::Done(self.status) } else { Ran::Leaves(flow) }
    }

    fn dot(&mut self, arguments: &[Word], span: Span) -> Ran {
        let Some(name) = arguments.first() else { return Ran::Done(Some(1)) };
        let missing = |shell: &mut Self, why: Option<&Unknown>| {
            let message = format!("`{}` is not read", name.text.text);
            let help = match why {
                Some(why) => why.help(),
                None => Some("name it on the command line, or put it beside the script".to_owned()),
            };
            shell.tell(&codes::IMPORT_SKIPPED, span, message, help);
            Ran::Done(None)
        };
        if let Some(why) = name.unknown.clone() {
            return missing(self, Some(&why));
        }
        let file = name.text.text.clone();
        let (text, place) = match self.files.get(&file) {
            Some(written) if written.unknown.is_none() => (written.text.text.clone(), Place::Within(span)),
            _ => match self.host.file(&file, self.sink) {
                Some((id, text)) => (text, Place::At(id, 0)),
                None => return missing(self, None),
            },
        };
        if self.depth + 4 >= self.limits.depth || !self.spend(1, text.len(), span) {
            return Ran::Done(None);
        }
        self.depth += 4;
        self.status = Some(0);
        let flow = self.source(&text, place);
        self.depth -= 4;
        match flow {
            Flow::Exit => Ran::Leaves(Flow::Exit),
            _ => Ran::Done(self.status),
        }
    }

    fn read(&mut self, arguments: &[Word]) -> Ran {
        let mut names = Vec::new();
        let mut words = arguments.iter().map(|w| w.text.text.as_str());
        while let Some(word) = words.next() {
            match word {
                "-p" | "-t" | "-n" | "-d" | "-u" => drop(words.next()),
                "-a" => {}
                option if option.starts_with('-') => {}
                name => names.push(name.to_owned()),
            }
        }
        let line = match &self.input {
            None => Err(not_known("read")),
            Some(input) => {
                let mut input = input.borrow_mut();
                match (input.lines.pop_front(), &input.unknown) {
                    (Some(line), None) => Ok(Some(line)),
                    (_, Some(why)) => Err(Rc::clone(why)),
                    (None, None) => Ok(None),
                }
            }
        };
        let at = arguments.first().map_or(Span::NONE, |w| w.text.span());
        match line {
            Ok(Some(line)) => {
                let separators = match self.lookup("IFS") {
                    Some(value) if value.unknown.is_none() => value.text.to_string(),
                    _ => " \t".to_owned(),
                };
                let span = line.span();
                let mut rest: &str = &line.text;
                let blank = |c: char| separators.contains(c) && c.is_ascii_whitespace();
                for (i, name) in names.iter().enumerate() {
                    rest = rest.trim_start_matches(blank);
                    let last = i + 1 == names.len();
                    let end = if last { None } else { rest.find(|c| separators.contains(c)) };
                    let (value, after) = rest.split_at(end.unwrap_or(rest.len()));
                    let value = if last { value.trim_end_matches(blank) } else { value };
                    self.set(name, Value::new(value, span));
                    let trimmed = after.trim_start_matches(blank);
                    // one sign between two fields
                    rest = match trimmed.chars().next() {
                        Some(c) if separators.contains(c) && !blank(c) => trimmed.get(c.len_utf8()..).unwrap_or(""),
                        _ => trimmed,
                    };
                }
                SUCCESS
            }
            Ok(None) => Ran::Done(Some(1)),
            Err(why) => {
                for name in &names {
                    self.set(name, Value::unknown(Rc::clone(&why), at));
                }
                self.doubt = Some(why);
                Ran::Done(None)
            }
        }
    }

    /// Options of the script's own: known where its words are.
    fn getopts(&mut self, arguments: &[Word]) -> Ran {
        let [letters, name, ..] = arguments else { return Ran::Done(Some(2)) };
        let Some(given) = self.state.frames.last().and_then(|f| f.words.clone()) else { return Ran::Done(Some(1)) };
        let index = self.lookup("OPTIND").and_then(|v| v.text.parse::<usize>().ok()).unwrap_or(1);
        let at = name.text.span();
        let word = index.checked_sub(1).and_then(|i| given.get(i)).map(|v| v.text.to_string());
        let option = word.as_deref().and_then(|w| w.strip_prefix('-')).filter(|o| !o.is_empty() && *o != "-");
        let Some((letter, attached)) =
            option.and_then(|o| o.chars().next().map(|c| (c, o.get(c.len_utf8()..).unwrap_or(""))))
        else {
            return Ran::Done(Some(1));
        };
        let known = letters.text.text.find(letter).filter(|_| letter != ':');
        let wants =
            known.and_then(|at| letters.text.text.get(at + letter.len_utf8()..)).is_some_and(|r| r.starts_with(':'));
        let mut next = index + 1;
        if wants {
            let value = if attached.is_empty() {
                next += 1;
                given.get(index).cloned().unwrap_or(Value::new("", at))
            } else {
                Value::new(attached, at)
            };
            self.set("OPTARG", value);
        }
        self.set(&name.text.text, Value::new(if known.is_some() { letter.to_string() } else { "?".to_owned() }, at));
        self.set("OPTIND", Value::new(next.to_string(), at));
        SUCCESS
    }

    /// `command -v tc`: what a shaping script needs is taken to be there.
    fn whereabouts(&mut self, name: &str, arguments: &[Word]) -> Ran {
        let asks = name != "command" || arguments.first().is_some_and(|w| matches!(w.text.text.as_str(), "-v" | "-V"));
        if !asks {
            return Ran::Not;
        }
        let wanted = arguments.iter().rev().find(|w| !w.text.text.starts_with('-'));
        let Some(wanted) = wanted else { return Ran::Done(Some(1)) };
        let base = wanted.text.text.rsplit('/').next().unwrap_or("").to_owned();
        let known = matches!(
            base.as_str(),
            "tc" | "ip" | "modprobe" | "iptables" | "ip6tables" | "sysctl" | "ethtool" | "ifconfig"
        );
        if known {
            let text = format!("{}\n", wanted.text.text);
            self.write(&Text::new(text, wanted.text.span()), None);
            return SUCCESS;
        }
        self.write(&Text::default(), Some(not_known(&format!("$({name} {base})"))));
        Ran::Done(None)
    }

    fn expr(&mut self, arguments: &[Word], unknown: Option<Rc<Unknown>>, span: Span) -> Ran {
        if unknown.is_some() {
            self.write(&Text::default(), unknown);
            return Ran::Done(None);
        }
        let words: Vec<&str> = arguments.iter().map(|w| w.text.text.as_str()).collect();
        let words = words.iter().map(|w| if *w == "=" { "==" } else { w }).collect::<Vec<_>>();
        let sound = words
            .iter()
            .all(|w| !w.is_empty() && (w.trim_start_matches('-').chars().all(|c| c.is_ascii_digit()) || w.len() <= 2));
        // a leading 0 is no octal here
        let plain: Vec<String> =
            words.iter().map(|w| w.parse::<i64>().map_or((*w).to_owned(), |n| n.to_string())).collect();
        match self.calculate(&plain.join(" "), span).filter(|_| sound) {
            Some(value) => {
                self.write(&Text::new(format!("{value}\n"), span), None);
                Ran::Done(Some(i32::from(value == 0)))
            }
            None => {
                self.write(&Text::default(), Some(not_known("$(expr …)")));
                Ran::Done(None)
            }
        }
    }

    fn seq(&mut self, arguments: &[Word], unknown: Option<Rc<Unknown>>, span: Span) -> Ran {
        let (mut numbers, mut width, mut separator, mut format) = (Vec::new(), false, "\n".to_owned(), None);
        let mut words = arguments.iter().map(|w| w.text.text.as_str());
        while let Some(word) = words.next() {
            match word {
                "-w" => width = true,
                "-s" => separator = words.next().unwrap_or("\n").to_owned(),
                "-f" => format = words.next().map(str::to_owned),
                number => numbers.push(number.to_owned()),
            }
        }
        let parsed: Option<Vec<i64>> = numbers.iter().map(|n| n.parse().ok()).collect();
        let range = match parsed.as_deref() {
            Some([to]) => Some((1, 1, *to)),
            Some([from, to]) => Some((*from, 1, *to)),
            Some([from, step, to]) if *step != 0 => Some((*from, *step, *to)),
            _ => None,
        };
        let Some((from, step, to)) = range.filter(|_| unknown.is_none() && format.is_none()) else {
            self.write(&Text::default(), Some(unknown.unwrap_or_else(|| not_known("$(seq …)"))));
            return Ran::Done(None);
        };
        let digits = if width { numbers.iter().map(String::len).max().unwrap_or(0) } else { 0 };
        let mut out = String::new();
        let mut n = from;
        while (step > 0 && n <= to) || (step < 0 && n >= to) {
            if !out.is_empty() {
                out.push_str(&separator);
            }
            out.push_str(&format!("{n:0digits$}"));
            if !self.spend(1, digits + 2, span) {
                return Ran::Done(None);
            }
            let Some(next) = n.checked_add(step) else { break };
            n = next;
        }
        if !out.is_empty() {
            out.push('\n');
        }
        self.write(&Text::new(out, span), None);
        SUCCESS
    }

    fn part_of_path(&mut self, name: &str, arguments: &[Word], unknown: Option<Rc<Unknown>>, span: Span) -> Ran {
        let path = arguments.first().map_or("", |w| w.text.text.as_str()).trim_end_matches('/');
        let part = match (name, path.rsplit_once('/')) {
            ("basename", Some((_, base))) => base,
            ("basename", None) => path,
            (_, Some(("", _))) => "/",
            (_, Some((folder, _))) => folder,
            (_, None) => ".",
        };
        let suffix = arguments.get(1).map_or("", |w| w.text.text.as_str());
        let part = part.strip_suffix(suffix).filter(|p| !p.is_empty()).unwrap_or(part);
        self.write(&Text::new(format!("{part}\n"), span), unknown);
        SUCCESS
    }

    /// All lines that wait.
    fn take_input(&mut self) -> Input {
        match &self.input {
            Some(input) => std::mem::take(&mut *input.borrow_mut()),
            None => Input { lines: VecDeque::new(), unknown: Some(not_known("standard input")) },
        }
    }

    fn write_lines(&mut self, input: &Input) {
        for line in &input.lines {
            self.write(line, None);
            self.write(&Text::new("\n", Span::NONE), None);
        }
        if input.unknown.is_some() {
            self.write(&Text::default(), input.unknown.clone());
        }
    }

    fn cat(&mut self, arguments: &[Word]) -> Ran {
        let files: Vec<&Word> =
            arguments.iter().filter(|w| !w.text.text.starts_with('-') || w.text.text == "-").collect();
        if files.is_empty() {
            let input = self.take_input();
            self.write_lines(&input);
        }
        for file in files {
            if file.text.text == "-" {
                let input = self.take_input();
                self.write_lines(&input);
                continue;
            }
            let collected = self.read_file(file);
            self.write(&collected.text, collected.unknown);
        }
        SUCCESS
    }

    /// Programs that change the lines that come in.
    fn through(&mut self, name: &str, arguments: &[Word], unknown: Option<Rc<Unknown>>, span: Span) -> Ran {
        let input = self.take_input();
        let words: Vec<&str> = arguments.iter().map(|w| w.text.text.as_str()).collect();
        let made = if unknown.is_none() && input.unknown.is_none() {
            let lines: Vec<&str> = input.lines.iter().map(|l| l.text.as_str()).collect();
            changed(self, name, &words, &lines, span)
        } else {
            None
        };
        match made {
            Some(lines) => {
                for line in lines {
                    self.write(&Text::new(line + "\n", span), None);
                }
                SUCCESS
            }
            None => {
                let why = unknown.or(input.unknown).unwrap_or_else(|| not_known(&format!("$({name} …)")));
                self.write(&Text::default(), Some(why));
                Ran::Done(None)
            }
        }
    }
}

/// What a program makes of its lines, if its words are among the simple ones.
fn changed(shell: &mut Shell, name: &str, words: &[&str], lines: &[&str], span: Span) -> Option<Vec<String>> {
    let owned = |lines: &[&str]| lines.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
    let count = |words: &[&str]| match words {
        [] => Some(10),
        ["-n", n] => n.parse::<usize>().ok(),
        [n] => n.strip_prefix("-n").or_else(|| n.strip_prefix('-'))?.parse().ok(),
        _ => None,
    };
    match name {
        "head" => Some(owned(lines.get(..count(words)?.min(lines.len()))?)),
        "tail" => Some(owned(lines.get(lines.len().saturating_sub(count(words)?)..)?)),
        "wc" if words == ["-l"] => Some(vec![lines.len().to_string()]),
        "sort" if words.is_empty() => {
            let mut lines = owned(lines);
            lines.sort();
            Some(lines)
        }
        "uniq" if words.is_empty() => {
            let mut lines = owned(lines);
            lines.dedup();
            Some(lines)
        }
        "bc" => lines
            .iter()
            .filter(|l| !l.trim().is_empty() && l.trim() != "scale=0")
            .map(|l| {
                let l = l.trim_start_matches("scale=0;");
                let whole = l.chars().all(|c| c.is_ascii_digit() || " +-*/%()".contains(c));
                whole.then(|| shell.calculate(l, span)).flatten().map(|n| n.to_string())
            })
            .collect(),
        "cut" => {
            let (mut delimiter, mut fields) = ('\t', None);
            let mut words = words.iter();
            while let Some(word) = words.next() {
                let (option, attached) = word.split_at_checked(2)?;
                let value = if attached.is_empty() { words.next()? } else { attached };
                match option {
                    "-d" => delimiter = value.chars().next()?,
                    "-f" => fields = Some(value.to_owned()),
                    _ => return None,
                }
            }
            let fields = fields?;
            let mut wanted = Vec::new();
            for part in fields.split(',') {
                let (from, to) = part.split_once('-').unwrap_or((part, part));
                let from = if from.is_empty() { 1 } else { from.parse::<usize>().ok()? };
                let to = if to.is_empty() { usize::MAX } else { to.parse::<usize>().ok()? };
                wanted.push(from..=to);
            }
            Some(
                lines
                    .iter()
                    .map(|line| {
                        if !line.contains(delimiter) {
                            return (*line).to_owned();
                        }
                        let kept = line
                            .split(delimiter)
                            .enumerate()
                            .filter(|(i, _)| wanted.iter().any(|r| r.contains(&(i + 1))));
                        kept.map(|(_, f)| f).collect::<Vec<_>>().join(&delimiter.to_string())
                    })
                    .collect(),
            )
        }
        "tr" => {
            let (delete, words) = match words {
                ["-d", rest @ ..] => (true, rest),
                rest => (false, rest),
            };
            match (delete, words) {
                (true, [set]) => {
                    let set = letters(set)?;
                    Some(lines.iter().map(|l| l.chars().filter(|c| !set.contains(c)).collect()).collect())
                }
                (false, [from, to]) => {
                    let (from, to) = (letters(from)?, letters(to)?);
                    let last = to.last().copied();
                    let text = lines.join("\n") + "\n";
                    let map = |c: char| match from.iter().position(|f| *f == c) {
                        Some(at) => to.get(at).copied().or(last).unwrap_or(c),
                        None => c,
                    };
                    let text: String = text.chars().map(map).collect();
                    Some(text.trim_end_matches('\n').split('\n').map(str::to_owned).collect())
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// A set of `tr`: letters, ranges, and the two classes that are used.
fn letters(text: &str) -> Option<Vec<char>> {
    match text {
        "[:upper:]" => return Some(('A'..='Z').collect()),
        "[:lower:]" => return Some(('a'..='z').collect()),
        _ => {}
    }
    let chars: Vec<char> = unescaped(text).chars().collect();
    let mut out = Vec::new();
    let mut rest = chars.as_slice();
    loop {
        match rest {
            [low, '-', high, after @ ..] if low <= high => {
                out.extend(*low..=*high);
                rest = after;
            }
            [one, after @ ..] => {
                out.push(*one);
                rest = after;
            }
            [] => return (out.len() < 4096).then_some(out),
        }
    }
}

/// `\n`, `\t` and their like.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut letters = text.chars();
    while let Some(c) = letters.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match letters.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('a' | 'b' | 'c' | 'f' | 'v') => {}
            Some('\\') => out.push('\\'),
            Some(c) => {
                out.push('\\');
                out.push(c);
            }
            None => out.push('\\'),
        }
    }
    out
}

/// What `printf` makes of its format and words; the format is used until no word is left.
fn formatted(arguments: &[Word]) -> Text {
    let mut out = Text::default();
    let Some((format, words)) = arguments.split_first() else { return out };
    let letters: Vec<char> = unescaped(&format.text.text).chars().collect();
    let span = format.text.span();
    let mut words = words.iter();
    loop {
        let mut took = false;
        let mut rest = letters.as_slice();
        while let Some((c, after)) = rest.split_first() {
            rest = after;
            if *c != '%' {
                let plain: String = std::iter::once(*c).chain(rest.iter().copied().take_while(|c| *c != '%')).collect();
                rest = rest.get(plain.chars().count() - 1..).unwrap_or(&[]);
                out.push(&plain, span);
                continue;
            }
            let flags: String = rest.iter().take_while(|c| c.is_ascii_digit() || "-+ #.".contains(**c)).collect();
            rest = rest.get(flags.len()..).unwrap_or(&[]);
            let Some((kind, after)) = rest.split_first() else {
                out.push("%", span);
                break;
            };
            rest = after;
            if *kind == '%' {
                out.push("%", span);
                continue;
            }
            took = true;
            let word = words.next();
            let text = word.map_or("", |w| w.text.text.as_str());
            let number = || {
                let trimmed = text.trim();
                let hex = trimmed.strip_prefix("0x").map(|h| i64::from_str_radix(h, 16));
                hex.unwrap_or_else(|| trimmed.parse()).unwrap_or(0)
            };
            let shown = match kind {
                's' | 'b' if flags.is_empty() => {
                    if let Some(word) = word {
                        if *kind == 'b' { out.push(&unescaped(text), word.text.span()) } else { out.append(&word.text) }
                    }
                    continue;
                }
                'd' | 'i' | 'u' => number().to_string(),
                'x' => format!("{:x}", number()),
                'X' => format!("{:X}", number()),
                'o' => format!("{:o}", number()),
                'c' => text.chars().next().map(String::from).unwrap_or_default(),
                _ => text.to_owned(),
            };
            let width: usize = flags
                .trim_start_matches(['-', '+', ' ', '#'])
                .split('.')
                .next()
                .and_then(|w| w.parse().ok())
                .unwrap_or(0);
            let width = width.min(1000);
            let missing = width.saturating_sub(shown.chars().count());
            let padded = if flags.starts_with('-') {
                shown + &" ".repeat(missing)
            } else if flags.starts_with('0') && *kind != 's' {
                match shown.strip_prefix('-') {
                    Some(digits) => format!("-{}{digits}", "0".repeat(missing)),
                    None => "0".repeat(missing) + &shown,
                }
            } else {
                " ".repeat(missing) + &shown
            };
            out.push(&padded, word.map_or(span, |w| w.text.span()));
        }
        if !took || words.len() == 0 {
            return out;
        }
    }
}
