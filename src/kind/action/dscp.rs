//! `dscp CS1`, a policy's own word: where the kernel has no action for it, an edit of the header and its checksum. Which
//! edit depends on the family, so it stands in the list until a filter of one family takes it.

use super::control::Control;
use super::csum::{Csum, Sums};
use super::pedit::{Edits, Pedit};
use super::{Act, Actions, csum, pedit};
use crate::facts::Facts;
use crate::kind::wire::{Malformed, Payload};
use crate::kind::{Options, Row};
use crate::rows;
use crate::syntax::names;
use crate::unit::{Info, Reader, Refusal, Schema, Unit, integer};
use compact_str::CompactString;

/// The word.
pub const NAME: &str = "dscp";

rows! {
    /// A DSCP that the packet gets.
    pub struct Dscp {
        /// the DSCP
        dscp: CodePoint = Row::new(NAME).bare();
    }
}

/// A DSCP: six bits of the TOS octet, or of the traffic class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodePoint(pub u8);

impl Unit for CodePoint {
    const INFO: Info = Info {
        name: "a DSCP",
        spellings: "`CS1`, `AF21`, `EF`, or a number up to 63",
        schema: Schema::Pattern("^([cC][sS][0-7]|[aA][fF][1-4][1-3]|[eE][fF]|[0-9]+|0x[0-9a-fA-F]+)$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let named = names::number(names::DSCP, &text.to_ascii_lowercase());
        let number = named.map_or_else(|| integer(text, reader, Self::INFO.name), Ok).ok();
        number
            .and_then(|n| u8::try_from(n).ok())
            .filter(|n| *n < 64)
            .map(CodePoint)
            .ok_or_else(|| Refusal::new(format!("`{text}` is no DSCP")).help(format!("write {}", Self::INFO.spellings)))
    }

    fn show(&self) -> String {
        let name = names::name(names::DSCP, u64::from(self.0));
        name.map_or_else(|| self.0.to_string(), str::to_owned)
    }
}

/// It never travels as such.
impl Options for Dscp {
    fn decode(&mut self, _payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        Ok(())
    }
}

/// The word as an action of the policy's list.
pub(super) fn act(code: CodePoint) -> Act {
    let fresh = Act::verdict(Control::PIPE);
    Act { name: NAME.into(), kind: None, options: Box::new(Dscp { dscp: Some(code) }), ..fresh }
}

/// What writes it into packets of one family; the bits of ECN stay.
fn edit(code: CodePoint, v6: bool) -> Vec<Act> {
    let octet = code.0 << 2;
    let text = if v6 { "ip6 traffic_class" } else { "ip dsfield" };
    let munge = Edits::read(&format!("{text} set {octet} retain 0xfc"), &mut Reader::default()).ok();
    let write = Pedit { munge, control: Some(Control::PIPE), ..Pedit::default() };
    let mut acts = vec![Act::of(&pedit::KIND, Box::new(write))];
    if !v6 {
        let sum = Csum { update: Some(Sums::IPV4), control: Some(Control::PIPE), ..Csum::default() };
        acts.push(Act::of(&csum::KIND, Box::new(sum)));
    }
    acts
}

impl Actions {
    /// Whether they differ between IPv4 and IPv6, so that each wants filters of its own.
    pub fn differ_by_family(&self) -> bool {
        self.0.iter().any(|act| act.name == NAME)
    }

    /// As they are for packets of one family.
    #[must_use]
    pub fn for_family(self, v6: bool) -> Actions {
        let of = |act: Act| match act.options.as_kind::<Dscp>().and_then(|d| d.dscp) {
            Some(code) => edit(code, v6),
            None => vec![act],
        };
        Actions(self.0.into_iter().flat_map(of).collect())
    }
}

/// In a policy's words.
pub(super) fn show(options: &dyn Options) -> Option<CompactString> {
    options.as_kind::<Dscp>()?.dscp.map(|code| format!("{NAME} {}", code.show()).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_dscp_is_an_edit_of_its_family_and_leaves_ecn() {
        let read = |text: &str| Actions::read(text, &mut Reader::default()).unwrap();
        let actions = read("dscp CS1 then mark 5");
        assert!(actions.differ_by_family() && !read("mark 5").differ_by_family());
        assert_eq!(actions.show(), "dscp cs1 then mark 0x5");
        let v4 = "pedit ex munge ip tos set 32 retain 0xfc pipe action csum iph pipe action skbedit mark 0x5";
        assert_eq!(actions.clone().for_family(false).tc(), v4);
        let v6 = "pedit ex munge ip6 traffic_class set 32 retain 0xfc pipe action skbedit mark 0x5";
        assert_eq!(actions.for_family(true).tc(), v6);
        for text in ["dscp", "dscp 64", "dscp cs9"] {
            assert!(Actions::read(text, &mut Reader::default()).is_err(), "{text}");
        }
    }
}
