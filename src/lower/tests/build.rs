//! Policies by hand.

use crate::kind::action::{Act, Actions};
use crate::kind::{self, Role, read_tc};
use crate::policy::model::*;
use crate::source::{Span, Spanned};
use crate::syntax::expression::Expression;
use crate::syntax::expression_parser::parse;
use crate::unit::{Reader, Words};

pub fn at<T>(value: T) -> Spanned<T> {
    Spanned::new(value, Span::NONE)
}

fn read(options: &mut dyn kind::Options, words: &str) {
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    read_tc(options, &mut Words::new(&words), &mut Reader::tc()).unwrap();
}

pub fn qdisc(name: &str, words: &str) -> Discipline {
    let kind = kind::find(Role::Qdisc, name).unwrap();
    let mut options = (kind.options)();
    read(options.as_mut(), words);
    Discipline { kind: at(kind), options, places: Places::default(), id: None, default: None, children: Children::None }
}

pub fn htb(words: &str, default: Option<&str>, classes: Vec<Class>) -> Discipline {
    let default = default.map(|d| at(d.into()));
    Discipline { default, children: Children::Classes(classes), ..qdisc("htb", words) }
}

pub fn prio(bands: Vec<(&str, Option<Discipline>)>) -> Discipline {
    let band = |(name, leaf): (&str, _)| Band { name: Some(at(name.into())), leaf };
    Discipline { children: Children::Bands(bands.into_iter().map(band).collect()), ..qdisc("prio", "") }
}

pub fn tbf(words: &str, leaf: Discipline) -> Discipline {
    Discipline { children: Children::Leaf(Box::new(leaf)), ..qdisc("tbf", words) }
}

/// A class that grows.
pub struct Growing(pub Class);

impl Growing {
    pub fn with(mut self, classes: Vec<Growing>) -> Growing {
        self.0.classes = classes.into_iter().map(|c| c.0).collect();
        self
    }
    pub fn leaf(mut self, leaf: Discipline) -> Growing {
        self.0.leaf = Some(Box::new(leaf));
        self
    }
    pub fn pin(mut self, id: u16) -> Growing {
        self.0.id = Some(at(id));
        self
    }
}

pub fn class(name: &str, words: &str) -> Growing {
    let mut options = (kind::find(Role::Qdisc, "htb").unwrap().class.unwrap())();
    read(options.as_mut(), words);
    Growing(Class {
        name: at(name.into()),
        options,
        places: Places::default(),
        id: None,
        classes: Vec::new(),
        leaf: None,
    })
}

pub fn expression(text: &str) -> Expression {
    let mut sink = crate::diagnostic::Sink::new();
    parse(text, Span::NONE, &|_| None, &mut sink).unwrap_or_else(|| panic!("{text}: {:?}", sink.found))
}

pub fn actions(words: &[&str]) -> Actions {
    let act = |words: &&str| {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let mut act = Act::new(&words[0]);
        read_tc(act.options.as_mut(), &mut Words::new(&words[1..]), &mut Reader::tc()).unwrap();
        act
    };
    Actions(words.iter().map(act).collect())
}

pub fn rule(class: &str, matches: &str) -> Rule {
    Rule {
        matches: (!matches.is_empty()).then(|| at(expression(matches))),
        class: (!class.is_empty()).then(|| at(class.into())),
        actions: Actions::default(),
        actions_span: Span::NONE,
        span: Span::NONE,
    }
}

pub fn doing(words: &[&str], matches: &str) -> Rule {
    Rule { actions: actions(words), ..rule("", matches) }
}

pub fn direction(discipline: Discipline, rules: Vec<Rule>) -> Direction {
    Direction { discipline, rules }
}

pub fn interface(name: &str, egress: Option<Direction>, ingress: Option<Ingress>) -> Interface {
    Interface { name: at(name.into()), span: Span::NONE, link: Link::default(), egress, ingress }
}

pub fn egress(name: &str, direction: Direction) -> Interface {
    interface(name, Some(direction), None)
}

pub fn policy(interfaces: Vec<Interface>) -> Policy {
    Policy { interfaces }
}
