//! `tc actions`: actions that stand by themselves, for filters to share.

use super::{Cursor, Numbered, Read, Request, Subject, Verb, advice, cut};
use crate::kind::action::Actions;
use crate::kind::{Role, find};
use crate::unit::{Reader, Unit, begins};
use compact_str::CompactString;

const VERBS: &[(&str, Verb)] = &[
    ("add", Verb::Add),
    ("change", Verb::Change),
    ("replace", Verb::Replace),
    ("delete", Verb::Delete),
    ("get", Verb::Get),
    ("list", Verb::Show),
    ("show", Verb::Show),
    ("lst", Verb::Show),
    ("flush", Verb::Flush),
];

impl<'a> Cursor<'a> {
    /// One command after the other, as tc has them.
    pub(super) fn actions(&mut self) -> Read<Vec<Request>> {
        let mut requests = Vec::new();
        if self.words.peek().is_none() {
            let verbs = VERBS.iter().map(|(word, _)| *word).filter(|word| *word != "lst");
            return Err(self.missing("what to do", &format!("verbs are {}", advice::list(verbs))));
        }
        while self.words.peek().is_some() {
            let verb = self.verb(VERBS)?;
            let (subject, last) = match verb {
                Verb::Delete | Verb::Get => (self.numbered()?, false),
                Verb::Show | Verb::Flush => (self.of_kind()?, true),
                _ => (Subject::Actions(self.made()?), false),
            };
            requests.push(self.request(verb, None, None, subject));
            if last {
                break; // tc looks at nothing behind it
            }
        }
        Ok(requests)
    }

    /// `action KIND … index N`, several.
    fn made(&mut self) -> Read<Actions> {
        let example = "write `action gact drop index 1`";
        while self.take("action") {}
        if self.words.peek().is_none() {
            return Err(self.missing("an action", example));
        }
        Actions::read_words(&mut self.words, &mut Reader::tc()).map_err(|refusal| {
            let help = refusal.help.clone().unwrap_or_else(|| example.to_owned());
            self.blame(refusal.help(help))
        })
    }

    /// `action KIND index N`, several. tc takes any first word for `action`.
    fn numbered(&mut self) -> Read<Subject> {
        let example = "write `action gact index 1`";
        let mut list = Vec::new();
        if self.words.next() == Some("help") {
            return Err(self.help(example));
        }
        while let Some(word) = self.words.next() {
            match word {
                "action" => continue,
                "help" => return Err(self.help(example)),
                _ => {}
            }
            let name = cut(word);
            match self.words.next() {
                Some(word) if begins(word, "index") => {}
                Some(word) => {
                    return Err(self.wrong(format!("`{word}` is not the number of an action"), example));
                }
                None => return Err(self.missing("the number of the action", example)),
            }
            let index = self.number("the number of an action", 10, 0..=u32::MAX)?;
            list.push(Numbered { name, index });
        }
        if list.is_empty() {
            return Err(self.missing("an action", example));
        }
        Ok(Subject::Numbered(list))
    }

    /// `action KIND`, for a list of `since` so many milliseconds.
    fn of_kind(&mut self) -> Read<Subject> {
        let example = "write `action gact`";
        self.words.next();
        let Some(word) = self.words.next() else { return Err(self.missing("a kind of action", example)) };
        let name: CompactString = cut(word);
        if find(Role::Action, &name).is_none() {
            return Err(self.wrong(format!("no action is called `{word}`"), advice::kinds(word, Role::Action)));
        }
        let since = match self.take("since") {
            true => Some(self.number("a number of milliseconds", 0, 0..=u32::MAX)?),
            false => None,
        };
        Ok(Subject::OfKind { name, since })
    }
}
