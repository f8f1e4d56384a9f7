//! `route`: net/sched/cls_route.c, tc-route(8). Packets by the realms that the routing table gives to where they come
//! from and go to (`ip route … realm`). Its number says the realms once more: `0xFFFF8000` are any, the lower half is
//! `to` with `order` in the bits 8 to 14, the upper half `from`, or `0x8000` and the number of a link.

use super::{ACTION, Doing, FLOWID};
use crate::codes;
use crate::facts::Facts;
use crate::kind::action::Actions;
use crate::kind::walk::Takes;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, attribute, fits, no_xstats, read_named};
use crate::packet::Packet;
use crate::rows;
use crate::unit::{ClassId, Handle, Info, Name, Number, Reader, Refusal, Schema, Unit, Words};
use std::fs;

rows! {
    /// Packets by the realms of their routes.
    pub struct Route {
        /// the realm that the packet goes to
        to: Realm = Row::new("to").fixed();
        /// the realm that it comes from
        from: Realm = Row::new("from").fixed();
        /// the link that it came in by
        fromif: Name = Row::new("fromif").fixed();
        /// the class to send to
        flowid: ClassId = FLOWID;
        /// its place among filters of the same realms, up to 127
        order: Number = Row::new("order").tool();
        /// what to do with the packets
        action: Actions = ACTION;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "route",
    role: Role::Filter,
    doc: "takes packets by the realms that the routing table gives them",
    options: || Box::new(Route::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_CLS_ROUTE4",
    module: "cls_route",
    attributes: &[
        attribute("TCA_ROUTE4_CLASSID", 1, &["flowid"]),
        attribute("TCA_ROUTE4_TO", 2, &["to"]),
        attribute("TCA_ROUTE4_FROM", 3, &["from"]),
        attribute("TCA_ROUTE4_IIF", 4, &["fromif"]),
        attribute("TCA_ROUTE4_POLICE", 5, &["action"]),
        attribute("TCA_ROUTE4_ACT", 6, &["action"]),
    ],
    xstats: no_xstats,
};

const CLASSID: u16 = 1;
const TO: u16 = 2;
const FROM: u16 = 3;
const IIF: u16 = 4;
const DOING: Doing = Doing { police: 5, action: 6 };

/// tc's words, in the order in which it tries their beginnings.
const WORDS: &[&str] = &["to", "from", "fromif", "classid", "=flowid", "police", "action", "order"];

/// The number of a filter for any realms.
const ANY: u32 = 0xffff_8000;

/// A realm of the routing table, up to 255; tc takes its name in `/etc/iproute2/rt_realms` too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Realm(pub u8);

/// The number that a table of iproute2's gives to a name: lines of a number and a name.
fn named(table: &str, name: &str) -> Option<u8> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let number = Number::read(words.next()?, &mut Reader::tc()).ok()?;
        (words.next()? == name).then_some(number.0)
    };
    table.lines().filter(|l| !l.trim_start().starts_with('#')).find_map(line).and_then(|n| u8::try_from(n).ok())
}

impl Unit for Realm {
    const INFO: Info = Info {
        name: "a realm",
        spellings: "a number as `10`, or a name as `cosmos`",
        schema: Schema::Pattern("^([0-9]{1,2}|cosmos)$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        if let Ok(Number(n)) = Number::read(text, reader) {
            return u8::try_from(n).map(Realm).map_err(|_| {
                Refusal::coded(&codes::OUT_OF_RANGE, format!("`{text}` does not fit: realms end at 255"))
            });
        }
        let table = |folder: &str| fs::read_to_string(format!("{folder}/iproute2/rt_realms")).unwrap_or_default();
        match text {
            "cosmos" | "unknown" => Ok(Realm(0)),
            _ => ["/etc", "/usr/share", "/usr/lib"].iter().find_map(|f| named(&table(f), text)).map(Realm).ok_or_else(
                || {
                    Refusal::new(format!("no realm is called `{text}`"))
                        .help("write its number, or give it a name in `/etc/iproute2/rt_realms`")
                },
            ),
        }
    }

    fn show(&self) -> String {
        self.0.to_string()
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u8::try_from(number).ok().map(Realm)
    }
}

impl Options for Route {
    /// What the routing table says of a packet, the packet does not.
    fn takes(&self, _packet: &Packet, _handle: u32) -> Takes {
        let mut words = Vec::new();
        for (word, realm) in [("to", self.to), ("from", self.from)] {
            words.extend(realm.map(|realm| format!("{word} realm {}", realm.show())));
        }
        words.extend(self.fromif.as_ref().map(|link| format!("in by {}", link.0)));
        match words.is_empty() {
            true => Takes::Yes,
            false => Takes::If(format!("its route leads {}", words.join(" and ")).into()),
        }
    }

    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let Route { to, from, fromif, flowid, order: _, action } = self;
        for (number, realm) in [(TO, to), (FROM, from)] {
            if let Some(Realm(realm)) = realm {
                out.u32(number, u32::from(*realm));
            }
        }
        if let Some(link) = fromif {
            out.u32(IIF, facts.links.index_of(&link.0).unwrap_or(0));
        }
        if let Some(flowid) = flowid {
            out.u32(CLASSID, flowid.0);
        }
        DOING.encode(action.as_ref(), out, facts);
    }

    fn decode(&mut self, payload: Payload, facts: &Facts) -> Result<(), Malformed> {
        let a = payload.attributes()?;
        let action = DOING.decode(&a, facts)?;
        *self = Route {
            to: a.u32(TO)?.map(|n| Realm(n as u8)),
            from: a.u32(FROM)?.map(|n| Realm(n as u8)),
            fromif: a.u32(IIF)?.map(|n| Name(facts.links.name_of(n))),
            flowid: a.u32(CLASSID)?.map(Handle),
            order: None,
            action,
        };
        Ok(())
    }

    fn assume(&mut self, facts: &Facts) {
        super::assume(self, facts);
    }

    fn complete(&mut self, facts: &Facts) {
        super::complete(self, facts);
    }

    fn same(&self, other: &dyn Options, row: usize, facts: &Facts) -> bool {
        super::same(self, other, row, facts)
    }

    /// What the realms come to, unless a number is asked.
    fn number(&self, handle: u32, facts: &Facts) -> u32 {
        if handle != 0 {
            return handle;
        }
        let mut number = ANY;
        if let Some(Realm(to)) = self.to {
            number = number & !0x80ff | u32::from(to);
        }
        if let Some(Realm(from)) = self.from {
            number = number & 0xffff | u32::from(from) << 16;
        }
        if let Some(index) = self.fromif.as_ref().and_then(|link| facts.links.index_of(&link.0)) {
            number = number & 0xffff | (0x8000 | index) << 16;
        }
        if let Some(Number(order)) = self.order.filter(|n| n.0 != 0) {
            number = number & !0x7f00 | order << 8 & 0x7f00;
        }
        number
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        let Some(word) = words.like(WORDS) else { return Ok(false) };
        Ok(super::read_doing(word, &mut self.action, words, reader)? || read_named(self, word, words, reader)?)
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        super::check(self, facts, out);
        fits("order", self.order.map(|n| u64::from(n.0)), 127, out);
        if self.number(0, facts) == 0 {
            let f =
                Finding::new(&codes::BAD_VALUE, "to", "to realm 0 and from realm 0 is number 0, which no filter has");
            out.push(f.and("from", "this one too").help("leave one of them out, or write an `order`"));
        }
        if self.from.is_some() && self.fromif.is_some() {
            let f = Finding::new(&codes::BAD_VALUE, "fromif", "a packet comes from a realm or from a link");
            out.push(f.and("from", "and not from both").help("write two filters"));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::facts::Links;
    use std::sync::Arc;

    #[test]
    fn the_number_says_the_realms() {
        let facts = Facts { links: Arc::new(Links::new([(3, "eth1".into())])), ..Facts::default() };
        for (text, number) in [
            ("flowid 1:1", 0xffff_8000),
            ("to 10 flowid 1:1", 0xffff_000a),
            ("from 2 flowid 1:1", 0x0002_8000),
            ("to 10 from 2 order 3", 0x0002_030a),
            ("fromif eth1 to 1", 0x8003_0001),
        ] {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            let mut route = Route::default();
            crate::kind::read_tc(&mut route, &mut Words::new(&words), &mut Reader::tc()).unwrap();
            assert_eq!(route.number(0, &facts), number, "{text}");
            assert_eq!(route.number(7, &facts), 7);
        }
    }

    #[test]
    fn realms_have_names_in_a_table() {
        let table = "# none\n0\tcosmos\n 0x10 far\n300 beyond\n";
        assert_eq!(named(table, "far"), Some(16));
        assert_eq!(named(table, "beyond"), None);
        assert_eq!(named(table, "none"), None);
        assert!(Realm::read("256", &mut Reader::tc()).is_err());
        assert!(Realm::read("no-such-realm", &mut Reader::tc()).is_err());
    }
}
