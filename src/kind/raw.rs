//! Options of a kind that no file here knows: kept as bytes, shown, and never lost in silence. A policy writes such an
//! object as `raw: { kind: NAME, options: HEX }`, and its
//! classes as `classes: { NAME: { options: HEX } }`; in trees it stands under its own name.

use super::wire::{Attributes, Malformed, Payload};
use super::{Children, Finding, Kind, Options, Role, Row, find, no_xstats};
use crate::codes;
use crate::facts::Facts;
use crate::rows;
use crate::unit::{Name, Octets};

rows! {
    /// The payload of `TCA_OPTIONS` as it came.
    pub struct Raw {
        /// the options as the kernel gave them
        bytes: Octets = Row::new("options");
        /// the kind's name to the kernel
        kind: Name = Row::new("kind");
    }
}

const fn kind(role: Role, doc: &'static str) -> Kind {
    Kind {
        name: "raw",
        role,
        doc,
        options: || Box::new(Raw::default()),
        class: None,
        children: Children::None,
        change: false,
        writable: true,
        config: "",
        module: "",
        attributes: &[],
        xstats: no_xstats,
    }
}

/// A discipline as its bytes, with its classes.
pub static QDISC: Kind = Kind {
    class: Some(|| Box::new(Class::default())),
    children: Children::Classes,
    ..kind(
        Role::Qdisc,
        "a discipline of a kind that is not known here, as the kernel's own bytes: what an export found",
    )
};
/// A filter as its bytes.
pub static FILTER: Kind =
    kind(Role::Filter, "a filter of a kind that is not known here, as the kernel's own bytes: what an export found");
/// An action as its bytes.
pub static ACTION: Kind =
    kind(Role::Action, "an action of a kind that is not known here, as the kernel's own bytes: what an export found");

rows! {
    /// A class of a discipline that is written as its bytes, which says the kind for it.
    pub struct Class {
        /// the options as the kernel gave them
        bytes: Octets = Row::new("options");
    }
}

impl Options for Class {}

impl Class {
    /// As it stands in trees.
    pub fn of(&self, discipline: &Raw) -> Raw {
        Raw { bytes: self.bytes.clone(), kind: discipline.kind.clone() }
    }
}

impl Raw {
    /// As a policy has the same of a class.
    pub fn class(&self) -> Class {
        Class { bytes: self.bytes.clone() }
    }

    /// The same with its kind's name, as a policy has it.
    pub fn named(&self, name: &str) -> Raw {
        Raw { kind: Some(Name(name.into())), ..self.clone() }
    }
}

impl Options for Raw {
    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        if let Some(Octets(bytes)) = &self.bytes {
            out.bare(bytes);
        }
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        self.bytes = (!payload.0.is_empty()).then(|| Octets(payload.0.to_vec()));
        Ok(())
    }

    /// Nobody knows whether the kind's parser is strict, and the others do not look.
    fn nested(&self) -> bool {
        true
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        let Some(Name(name)) = &self.kind else {
            let f = Finding::new(&codes::MISSING_OPTION, "kind", "`raw` wants the kind's name to the kernel");
            out.push(f.help("write `kind: NAME`"));
            return;
        };
        if [Role::Qdisc, Role::Filter, Role::Action].into_iter().any(|role| find(role, name).is_some()) {
            let f = Finding::new(&codes::BAD_VALUE, "kind", format!("`{name}` has words of its own here"));
            out.push(f.help(format!("write `{name}` in the place of `raw`")));
        }
    }
}
