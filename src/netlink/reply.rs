//! What the kernel answers to a request: an error number, and with extended acknowledgements its reason.

use super::{HEADER, Received};
use crate::kind::wire::Payload;
use netlink_packet_core::{NLM_F_ACK_TLVS, NLM_F_CAPPED};

// enum nlmsgerr_attrs
const MSG: u16 = 1;
const OFFSET: u16 = 2;
const MISSING: u16 = 5;
const MISSING_NEST: u16 = 6;

/// The kernel's answer to one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The error number, 0 for success.
    pub errno: i32,
    /// The reason, or on success a warning.
    pub text: Option<String>,
    /// Where in the request, in octets from its netlink header, the attribute stands that is at fault.
    pub offset: Option<u32>,
    /// The number of the attribute that is missing, and the offset of the attribute that should hold it.
    pub missing: Option<(u32, Option<u32>)>,
}

impl Reply {
    /// Only the error number of such a message.
    pub(crate) fn number(message: &Received) -> i32 {
        message.payload.fields().u32().map_or(0, |n| n.cast_signed().saturating_neg())
    }

    /// Reads an `NLMSG_ERROR` or an `NLMSG_DONE`, which begin alike. What is too short to hold a number counts as
    /// success without a word.
    pub(crate) fn read(message: &Received, done: bool) -> Reply {
        let mut reply = Reply { errno: Reply::number(message), ..Reply::default() };
        if message.flags & NLM_F_ACK_TLVS == 0 {
            return reply;
        }
        let mut c = message.payload.fields();
        let _number = c.u32();
        let tail = if done {
            c.rest()
        } else {
            // the request's header, and all of the request where that was not left out
            let request = c.rest();
            let length = Payload(request).fields().u32().map_or(HEADER, |n| n as usize);
            let length = if message.flags & NLM_F_CAPPED != 0 { HEADER } else { length.next_multiple_of(4) };
            request.get(length..).unwrap_or(&[])
        };
        if let Ok(attributes) = Payload(tail).attributes() {
            reply.text = attributes.get(MSG).map(Payload::text).filter(|text| !text.is_empty());
            let number = |n: u16| attributes.u32(n).ok().flatten();
            reply.offset = number(OFFSET);
            reply.missing = number(MISSING).map(|n| (n, number(MISSING_NEST)));
        }
        reply
    }
}

/// The way to the attribute that stands at `offset` of a request of traffic control: the numbers from the outside in.
/// Empty if there is none.
pub fn attribute_at(body: &[u8], offset: u32) -> Vec<u16> {
    let Some(target) = (offset as usize).checked_sub(HEADER) else { return Vec::new() };
    let mut path = Vec::new();
    let (mut start, mut end) = (super::TC_HEADER, body.len());
    'deeper: loop {
        let mut at = start;
        while let Some([l0, l1, n0, n1]) = body.get(at..at + 4).filter(|_| at + 4 <= end) {
            let length = usize::from(u16::from_ne_bytes([*l0, *l1]));
            let number = u16::from_ne_bytes([*n0, *n1]) & 0x3fff;
            if length < 4 || at + length > end {
                break;
            }
            if at == target {
                path.push(number);
                return path;
            }
            if (at + 4..at + length).contains(&target) {
                path.push(number);
                (start, end) = (at + 4, at + length);
                continue 'deeper;
            }
            at += length.next_multiple_of(4);
        }
        return Vec::new();
    }
}

/// The names of the kinds of actions that a request to make a filter carries (`TCA_ACT_KIND` inside of its options).
pub fn actions_in(body: &[u8]) -> Vec<String> {
    let Ok(top) = Payload(body.get(super::TC_HEADER..).unwrap_or(&[])).attributes() else { return Vec::new() };
    let Ok(Some(options)) = top.nested(super::TCA_OPTIONS) else { return Vec::new() };
    let mut names = Vec::new();
    for (_, payload) in options.list {
        // a list of actions: numbered attributes from 1, each with the kind's name first
        let Ok(list) = payload.attributes() else { continue };
        for (at, (number, action)) in list.list.iter().enumerate() {
            let Ok(action) = action.attributes() else { break };
            let Some(kind) = action.get(1).filter(|_| usize::from(*number) == at + 1) else { break };
            let name = kind.text();
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if kind.0.last() != Some(&0) || name.is_empty() || !name.chars().all(plain) {
                break;
            }
            names.push(name);
        }
    }
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::kind::wire::Attributes;

    #[test]
    fn a_reason_is_found_behind_a_capped_and_a_whole_request() {
        let mut reasons = Attributes::new();
        reasons.text(MSG, "HTB class in use");
        reasons.u32(OFFSET, 36);
        let request = [&24_u32.to_ne_bytes()[..], &[0; 20]].concat();
        for (flags, echoed) in [(NLM_F_CAPPED | NLM_F_ACK_TLVS, HEADER), (NLM_F_ACK_TLVS, 24)] {
            let echoed = request.get(..echoed).unwrap();
            let payload = [&(-16_i32).to_ne_bytes()[..], echoed, &reasons.bytes].concat();
            let message = Received { kind: 2, flags, sequence: 1, port: 0, payload: Payload(&payload), whole: &[] };
            let reply = Reply::read(&message, false);
            assert_eq!(reply.errno, 16);
            assert_eq!(reply.text.as_deref(), Some("HTB class in use"));
            assert_eq!(reply.offset, Some(36));
        }
    }

    #[test]
    fn the_attribute_at_fault_is_named_from_the_outside_in() {
        let mut body = Attributes { bytes: vec![0; 20] };
        body.text(1, "htb");
        body.nest(2, |o| {
            o.u32(5, 1);
            o.nest(7, |o| o.u32(3, 1));
        });
        assert_eq!(attribute_at(&body.bytes, 36), [1]);
        assert_eq!(attribute_at(&body.bytes, 44), [2]);
        assert_eq!(attribute_at(&body.bytes, 48), [2, 5]);
        assert_eq!(attribute_at(&body.bytes, 60), [2, 7, 3]);
        assert!(attribute_at(&body.bytes, 61).is_empty());
        assert!(attribute_at(&body.bytes, 3).is_empty());
        assert!(attribute_at(&body.bytes, u32::MAX).is_empty());
    }

    #[test]
    fn actions_are_found_by_name() {
        let mut body = Attributes { bytes: vec![0; 20] };
        body.text(1, "u32");
        body.nest(2, |o| {
            o.u32(1, 0x1_0001);
            o.raw(5, &[1; 32]);
            o.nest(7, |o| {
                o.nest(1, |o| o.text(1, "police"));
                o.nest(2, |o| o.text(1, "mirred"));
            });
        });
        assert_eq!(actions_in(&body.bytes), ["police", "mirred"]);
    }
}
