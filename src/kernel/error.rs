//! What goes wrong between us and the kernel.

use crate::kind::{Role, find};
use crate::netlink::{Message, reply};
use crate::tree::{Id, Object};
use nix::errno::Errno;
use std::fmt;

/// What the kernel, or the way to it, refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Error {
    /// What was being done, to go after "cannot": "read the qdiscs". Empty where the reader of the error knows.
    pub doing: String,
    /// The error number; 0 where no system call failed.
    pub errno: i32,
    /// The kernel's reason by extended acknowledgement, or ours.
    pub text: Option<String>,
    /// The attribute at fault, if the kernel pointed at one: `TCA_OPTIONS/5`.
    pub attribute: Option<String>,
}

/// A kind that the running kernel has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// What it is.
    pub role: Role,
    /// Its name: `police`.
    pub name: String,
    /// The module that carries it: `act_police`.
    pub module: String,
    /// The kernel's configuration symbol: `CONFIG_NET_ACT_POLICE`.
    pub config: String,
}

impl Error {
    /// An error of ours.
    pub(super) fn new(doing: impl Into<String>, text: impl Into<String>) -> Error {
        Error { doing: doing.into(), text: Some(text.into()), ..Error::default() }
    }

    /// A failed system call.
    pub(super) fn system(doing: impl Into<String>, error: &std::io::Error) -> Error {
        match error.raw_os_error() {
            Some(errno) => Error { doing: doing.into(), errno, ..Error::default() },
            None => Error::new(doing, error.to_string()),
        }
    }

    /// A failed system call that nix made.
    pub(super) fn errno(doing: impl Into<String>, errno: Errno) -> Error {
        Error { doing: doing.into(), errno: errno as i32, ..Error::default() }
    }

    /// The kernel's refusal of a message.
    pub(super) fn refusal(message: &Message, reply: reply::Reply) -> Error {
        let attribute = reply.offset.map(|o| reply::attribute_at(&message.body, o)).filter(|path| !path.is_empty());
        let mut text = reply.text;
        if let (None, Some((number, _))) = (&text, reply.missing) {
            text = Some(format!("attribute {number} is missing"));
        }
        Error { doing: String::new(), errno: reply.errno, text, attribute: attribute.map(|path| attribute_name(&path)) }
    }

    #[must_use]
    pub(super) fn doing(mut self, doing: impl Into<String>) -> Error {
        self.doing = doing.into();
        self
    }

    /// The error number's name: `EPERM`.
    pub fn name(&self) -> String {
        format!("{:?}", Errno::from_raw(self.errno))
    }

    /// Whether the error number is this one.
    pub fn is(&self, errno: Errno) -> bool {
        self.errno == errno as i32
    }

    /// Whether it came about on the way into a network namespace.
    pub fn is_about_a_namespace(&self) -> bool {
        ["enter namespace", "make a scratch namespace"].iter().any(|what| self.doing.starts_with(what))
    }

    /// The capability that is wanted, if that is what is missing.
    pub fn capability(&self) -> Option<&'static str> {
        match Errno::from_raw(self.errno) {
            // only namespaces want more than the network
            Errno::EPERM | Errno::EACCES if self.is_about_a_namespace() => Some("CAP_SYS_ADMIN"),
            Errno::EPERM | Errno::EACCES => Some("CAP_NET_ADMIN"),
            _ => None,
        }
    }

    /// Which kinds the kernel lacks, if that is why it refused to make `object` by `message`. Of several actions it does
    /// not say which one it lacks; all are listed then.
    pub fn lacks(&self, object: &Object, message: &Message) -> Vec<Lack> {
        if !self.is(Errno::ENOENT) {
            return Vec::new();
        }
        // the same number without such a text means that some object is missing
        match (self.text.as_deref().unwrap_or(""), object.id) {
            ("Failed to load TC action module", _) => {
                reply::actions_in(&message.body).iter().map(|name| Lack::new(Role::Action, name)).collect()
            }
            ("TC classifier not found", _) => vec![Lack::new(Role::Filter, &object.name)],
            // one in newer kernels, the other in older ones
            ("Specified qdisc kind is unknown" | "Specified qdisc not found", Id::Qdisc { .. }) => {
                vec![Lack::new(Role::Qdisc, &object.name)]
            }
            _ => Vec::new(),
        }
    }
}

impl Lack {
    /// The kind of that name, with module and symbol as the registry has them, or else as the kernel names such.
    pub fn new(role: Role, name: &str) -> Lack {
        let (module, config) = match find(role, name) {
            Some(kind) => (kind.module.to_owned(), kind.config.to_owned()),
            None => {
                let prefix = match role {
                    Role::Qdisc => "sch",
                    Role::Filter => "cls",
                    Role::Action => "act",
                };
                (format!("{prefix}_{name}"), format!("NET_{prefix}_{name}").to_uppercase())
            }
        };
        Lack { role, name: name.to_owned(), module, config: format!("CONFIG_{config}") }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            Role::Qdisc => "qdisc",
            Role::Filter => "filter",
            Role::Action => "action",
        };
        write!(f, "this kernel has no {role} `{}` (module {}, {})", self.name, self.module, self.config)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.doing.is_empty() {
            write!(f, "cannot {}: ", self.doing)?;
        }
        match (&self.text, self.errno) {
            (Some(text), 0) => f.write_str(text)?,
            (Some(text), _) => write!(f, "{text} ({})", self.name())?,
            (None, errno) => {
                let words = Errno::from_raw(errno).desc();
                let mut letters = words.chars();
                let first = letters.next().map(|c| c.to_ascii_lowercase()).into_iter();
                let words: String = first.chain(letters).collect();
                write!(f, "{words} ({})", self.name())?;
            }
        }
        if let Some(attribute) = &self.attribute {
            write!(f, ", at {attribute}")?;
        }
        match self.capability() {
            Some(capability) => write!(f, ": {capability} is wanted"),
            None => Ok(()),
        }
    }
}
impl std::error::Error for Error {}

impl From<crate::netlink::Undecodable> for Error {
    fn from(undecodable: crate::netlink::Undecodable) -> Error {
        Error { text: Some(undecodable.to_string()), ..Error::default() }
    }
}

/// `TCA_OPTIONS/5`: the outer attributes have names that are the same for all kinds.
fn attribute_name(path: &[u16]) -> String {
    let outer = |n: u16| match n {
        1 => "TCA_KIND".to_owned(),
        2 => "TCA_OPTIONS".to_owned(),
        8 => "TCA_STAB".to_owned(),
        11 => "TCA_CHAIN".to_owned(),
        n => format!("attribute {n}"),
    };
    let mut words = path.first().map(|n| outer(*n)).unwrap_or_default();
    for number in path.iter().skip(1) {
        words.push_str(&format!("/{number}"));
    }
    words
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::unit::Handle;

    #[test]
    fn a_refusal_says_what_is_missing() {
        let e = Error { errno: Errno::EPERM as i32, ..Error::default() };
        assert_eq!(e.to_string(), "operation not permitted (EPERM): CAP_NET_ADMIN is wanted");
        assert_eq!(e.doing("enter namespace `x`").capability(), Some("CAP_SYS_ADMIN"));
    }

    #[test]
    fn a_missing_kind_is_named_with_its_module() {
        let id = Id::Qdisc { parent: Handle::ROOT, handle: Handle::new(1, 0) };
        let object = Object::unknown(id, "ets");
        let message = Message { kind: 36, flags: 0, body: Vec::new() };
        let text = Some("Specified qdisc kind is unknown".to_owned());
        let e = Error { errno: Errno::ENOENT as i32, text, ..Error::default() };
        let lack = e.lacks(&object, &message);
        let expected = "this kernel has no qdisc `ets` (module sch_ets, CONFIG_NET_SCH_ETS)";
        assert_eq!(lack.first().unwrap().to_string(), expected);
    }
}
