//! A line of tc's words, read as `shapectl tc` reads it, with what tests ask of one.

use shapectl::facts::{Facts, Links};
use shapectl::kind::action::Actions;
use shapectl::kind::{Kind, Options};
use shapectl::tc::{self, Request, Subject};
use shapectl::tree::{Id, Object};
use std::collections::BTreeSet;
use std::sync::Arc;

/// `tc OBJECT VERB dev DEV … KIND OPTION…`
#[derive(Clone, Debug)]
pub struct Line {
    /// All words behind `tc`.
    pub words: Vec<String>,
    /// What they mean.
    pub request: Result<Request, String>,
    /// `qdisc`, `class`, `filter`, `chain` or `actions`; empty for what is not understood.
    pub object: String,
    /// The kind, if there is one.
    pub kind: String,
    /// The words after it.
    pub options: Vec<String>,
}

impl Line {
    /// Reads a line.
    pub fn read(line: &str) -> Line {
        let words = line.split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>();
        let request = request(&words);
        let object = request.as_ref().map_or("", |request| match request.subject {
            Subject::Qdisc(_) => "qdisc",
            Subject::Class(_) => "class",
            Subject::Filter(_) => "filter",
            Subject::Chain(_) => "chain",
            _ => "actions",
        });
        let made = request.as_ref().ok().and_then(Request::object);
        let kind = made.map(|object| object.name.to_string()).unwrap_or_default();
        let behind = request.as_ref().ok().and_then(|request| request.place("kind")).map(|at| at + 1);
        let options = behind.map(|at| words[at..].to_vec()).unwrap_or_default();
        Line { object: object.to_owned(), kind, options, words, request }
    }

    /// The value of a word that stands before the kind; empty for a word like `root`.
    pub fn get(&self, word: &str) -> Option<&str> {
        let request = self.request.as_ref().ok()?;
        let at = request.places.iter().map(|(_, at)| *at).find(|at| self.words[*at] == word)?;
        let alone = ["root", "ingress", "egress", "clsact"].contains(&word);
        Some(if alone { "" } else { &self.words[at + 1] })
    }

    fn kind(&self) -> Option<&'static Kind> {
        self.request.as_ref().ok().and_then(Request::object)?.kind
    }

    /// Fresh options of its kind, if the kind is known.
    pub fn fresh(&self) -> Option<Box<dyn Options>> {
        let kind = self.kind()?;
        if self.object == "class" { kind.class.map(|fresh| fresh()) } else { Some((kind.options)()) }
    }

    /// Options of its kind from other words in the place of its own.
    ///
    /// # Errors
    /// The refusal's sentence.
    pub fn options_of(&self, words: &[String]) -> Result<Box<dyn Options>, String> {
        let kind = self.request.as_ref()?.place("kind").ok_or("the line has no kind")?;
        let words = [&self.words[..=kind], words].concat();
        Ok(request(&words)?.object().expect("a line with a kind").options.clone())
    }

    /// The object, with a handle of 0 where the line has none.
    ///
    /// # Errors
    /// As [`Line::options_of`].
    pub fn object(&self) -> Result<Object, String> {
        self.request.as_ref()?.object().cloned().ok_or_else(|| "it is about no object".to_owned())
    }

    /// Its place and number.
    pub fn id(&self) -> Id {
        self.object().unwrap().id
    }

    /// What a kernel must have for this line, in the names of [`super::kernel`]'s probes.
    pub fn needs(&self) -> BTreeSet<String> {
        let mut needs = BTreeSet::new();
        let Ok(request) = &self.request else { return needs };
        let mut of_actions = |actions: &Actions| needs.extend(actions.0.iter().map(|act| probe(&act.name)));
        match &request.subject {
            Subject::Actions(actions) => of_actions(actions),
            Subject::Numbered(list) => needs.extend(list.iter().map(|act| probe(&act.name))),
            Subject::OfKind { name, .. } => {
                needs.insert(probe(name));
            }
            _ => {}
        }
        if let Some(object) = request.object() {
            if let Some(actions) = object.options.value::<Actions>("action") {
                needs.extend(actions.0.iter().map(|act| probe(&act.name)));
            }
            if object.name == "u32" && object.options.show("mark").is_some() {
                needs.insert("u32-mark".to_owned());
            }
            // every kernel with tc has these
            let built_in = ["", "noqueue", "pfifo_fast", "mq"].contains(&object.name.as_str());
            if !built_in {
                needs.insert(object.name.to_string());
            }
        }
        needs
    }
}

/// The name of an action's probe: some filters have the same name.
fn probe(action: &str) -> String {
    let filter = shapectl::kind::find(shapectl::kind::Role::Filter, action).is_some();
    if filter { format!("act_{action}") } else { action.to_owned() }
}

/// The one command of a line.
fn request(words: &[String]) -> Result<Request, String> {
    let mut requests = tc::read(words, &|_| None).map_err(|wrong| wrong.refusal.message)?;
    match requests.len() {
        1 => Ok(requests.remove(0)),
        several => Err(format!("{several} commands in one")),
    }
}

/// A machine with the one link that the recordings name.
pub fn facts() -> Facts {
    let distributions = Some(Arc::new(shapectl::kernel::distributions()));
    Facts { links: Arc::new(Links::new([(1, "lo".into())])), distributions, ..Facts::default() }
}
