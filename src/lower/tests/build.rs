//! Policies by hand and from text.

use crate::diagnostic::Sink;
use crate::facts::Facts;
use crate::kind::action::Actions;
use crate::kind::{self, Role, read_tc};
use crate::policy::load::parse as load;
use crate::policy::model::*;
use crate::policy::read::read as understand;
use crate::source::{Source, Sources, Span, Spanned};
use crate::syntax::Limits;
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
    Discipline {
        kind: at(kind),
        options,
        places: Places::default(),
        id: None,
        default: None,
        default_number: None,
        fair: None,
        layout: None,
        stab: None,
        estimator: None,
        children: Children::None,
    }
}

pub fn htb(words: &str, default: Option<&str>, classes: Vec<Class>) -> Discipline {
    let default = default.map(|d| at(d.into()));
    Discipline { default, children: Children::Classes(classes), ..qdisc("htb", words) }
}

pub fn class(name: &str, words: &str) -> Class {
    let mut options = (kind::find(Role::Qdisc, "htb").unwrap().class.unwrap())();
    read(options.as_mut(), words);
    Class {
        name: at(name.into()),
        options,
        places: Places::default(),
        id: None,
        estimator: None,
        classes: Vec::new(),
        leaf: None,
    }
}

pub fn expression(text: &str) -> Expression {
    let mut sink = Sink::new();
    parse(text, Span::NONE, &|_| None, &mut sink).unwrap_or_else(|| panic!("{text}: {:?}", sink.found))
}

pub fn rule(class: &str, matches: &str) -> Rule {
    Rule {
        sound: true,
        matches: (!matches.is_empty()).then(|| at(expression(matches))),
        class: (!class.is_empty()).then(|| at(class.into())),
        actions: Actions::default(),
        actions_span: Span::NONE,
        classifier: None,
        span: Span::NONE,
    }
}

pub fn direction(discipline: Discipline, rules: Vec<Rule>) -> Direction {
    Direction { discipline, rules, filters: Vec::new(), classifier: None }
}

pub fn interface(name: &str, egress: Option<Direction>, ingress: Option<Ingress>) -> Interface {
    Interface {
        name: at(name.into()),
        span: Span::NONE,
        link: Link::default(),
        egress,
        ingress,
        shared: None,
        both: None,
    }
}

pub fn egress(name: &str, direction: Direction) -> Interface {
    interface(name, Some(direction), None)
}

pub fn policy(interfaces: Vec<Interface>) -> Policy {
    Policy { interfaces, ..Policy::default() }
}

/// A policy in YAML, which must be sound.
pub fn text(yaml: &str) -> Policy {
    let (mut sources, mut sink) = (Sources::new(), Sink::new());
    let documents = load(Source::new("test.yaml", yaml), &Limits::default(), &mut sources, &mut sink).unwrap();
    let policy = understand(&documents, &|_| Facts::default(), &mut sink);
    assert!(!sink.has_errors(), "{:?}", sink.found);
    policy
}
