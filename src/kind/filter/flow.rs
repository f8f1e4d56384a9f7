//! `flow`: net/sched/cls_flow.c, tc-flow(8). A packet's class is computed from what it is: one key mapped to a number, or
//! several hashed. Its number must be given.

mod ask;

use super::ematch::Matches;
use super::{ACTION, Doing};
use crate::codes;
use crate::facts::Facts;
use crate::kind::action::Actions;
use crate::kind::walk::{Asked, Filter};
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, attribute, fits, no_xstats, read_named};
use crate::rows;
use crate::unit::{ClassId, Flag, Handle, Hex, Info, Number, Reader, Refusal, Schema, Seconds, Unit, Words};

rows! {
    /// Packets by a number that is computed from them.
    pub struct Flow {
        /// whether the keys are hashed; otherwise the one key is mapped as it is
        hash: Flag = Row::new("hash").off("map").default("no");
        /// what of the packet is hashed or mapped
        keys: Keys = Row::new("keys");
        /// bits of the key that stay
        and: Hex = Row::new("and").default("0xffffffff");
        /// bits that are turned over then
        xor: Hex = Row::new("xor").default("0");
        /// bits that are set then
        or: Hex = Row::new("or").default("0");
        /// how many bits it is shifted to the right then
        rshift: Number = Row::new("rshift").default("0");
        /// what is added then; an address is taken as its last 32 bits
        addend: Addend = Row::new("addend").default("0");
        /// how many classes there are: the result is what remains after a division by it; 0 takes it whole
        divisor: Number = Row::new("divisor").default("0");
        /// the class of result 0; the others follow it
        baseclass: ClassId = Row::new("baseclass").computed("the first class of the discipline");
        /// how often the hash is made anew; 0 is never
        perturb: Seconds = Row::new("perturb").default("0");
        /// what the packet must be besides: matches joined by `and` and `or`
        matches: Matches = Row::new("match");
        /// what to do with the packets
        action: Actions = ACTION;
    }
}

/// The kind. A change keeps of the numbers what it does not say, and takes matches and actions anew.
pub static KIND: Kind = Kind {
    name: "flow",
    role: Role::Filter,
    doc: "computes a packet's class from what it is: for a class a flow, a host, a user or a mark",
    options: || Box::new(Flow::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_CLS_FLOW",
    module: "cls_flow",
    attributes: &[
        attribute("TCA_FLOW_KEYS", 1, &["keys"]),
        attribute("TCA_FLOW_MODE", 2, &["hash"]),
        attribute("TCA_FLOW_BASECLASS", 3, &["baseclass"]),
        attribute("TCA_FLOW_RSHIFT", 4, &["rshift"]),
        attribute("TCA_FLOW_ADDEND", 5, &["addend"]),
        attribute("TCA_FLOW_MASK", 6, &["and", "or"]),
        attribute("TCA_FLOW_XOR", 7, &["xor", "or"]),
        attribute("TCA_FLOW_DIVISOR", 8, &["divisor"]),
        attribute("TCA_FLOW_ACT", 9, &["action"]),
        attribute("TCA_FLOW_POLICE", 10, &["action"]),
        attribute("TCA_FLOW_EMATCHES", 11, &["match"]),
        attribute("TCA_FLOW_PERTURB", 12, &["perturb"]),
    ],
    xstats: no_xstats,
};

const KEYS: u16 = 1;
const MODE: u16 = 2;
const BASECLASS: u16 = 3;
const RSHIFT: u16 = 4;
const ADDEND: u16 = 5;
const MASK: u16 = 6;
const XOR: u16 = 7;
const DIVISOR: u16 = 8;
const EMATCHES: u16 = 11;
const PERTURB: u16 = 12;
const DOING: Doing = Doing { action: 9, police: 10 };

/// tc's words, in the order in which it tries their beginnings.
const WORDS: &[&str] = &[
    "map",
    "hash",
    "keys",
    "and",
    "or",
    "xor",
    "rshift",
    "addend",
    "divisor",
    "baseclass",
    "perturb",
    "police",
    "action",
    "match",
];

/// `FLOW_KEY_*` by their bits.
const KEY_NAMES: &[&str] = &[
    "src",
    "dst",
    "proto",
    "proto-src",
    "proto-dst",
    "iif",
    "priority",
    "mark",
    "nfct",
    "nfct-src",
    "nfct-dst",
    "nfct-proto-src",
    "nfct-proto-dst",
    "rt-classid",
    "sk-uid",
    "sk-gid",
    "vlan-tag",
    "rxhash",
];

/// What of a packet is looked at, in bits of `FLOW_KEY_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keys(pub u32);

impl Keys {
    /// One key by its name.
    pub fn named(name: &str) -> Option<Keys> {
        KEY_NAMES.iter().position(|known| *known == name).map(|bit| Keys(1 << bit))
    }
}

impl Unit for Keys {
    const INFO: Info = Info {
        name: "keys of a flow",
        spellings: "`src`, or several as `src,dst,proto-dst`",
        schema: Schema::Pattern(
            "^(src|dst|proto|proto-src|proto-dst|iif|priority|mark|nfct|nfct-src|nfct-dst|nfct-proto-src|nfct-proto-dst|\
             rt-classid|sk-uid|sk-gid|vlan-tag|rxhash)(,(src|dst|proto|proto-src|proto-dst|mark|vlan-tag|rxhash))*$",
        ),
    };

    /// tc takes the beginnings of the names.
    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut keys = 0;
        for word in text.split(',') {
            let one = [word.to_owned()];
            let exact = KEY_NAMES.iter().position(|name| *name == word);
            let short = || Words::new(&one).like(KEY_NAMES).and_then(|hit| KEY_NAMES.iter().position(|n| *n == hit));
            let key = if reader.tc { short() } else { exact };
            keys |= 1
                << key.ok_or_else(|| {
                    Refusal::new(format!("`{word}` is no key of a flow"))
                        .help(format!("there are {}", KEY_NAMES.join(", ")))
                })?;
        }
        Ok(Keys(keys))
    }

    fn show(&self) -> String {
        let set = KEY_NAMES.iter().enumerate().filter(|(i, _)| self.0 >> i & 1 != 0);
        set.map(|(_, name)| *name).collect::<Vec<_>>().join(",")
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(Keys)
    }
}

/// What is added to a key: a number, a negative one, or an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addend(pub u32);

impl Unit for Addend {
    const INFO: Info = Info {
        name: "a number or an address",
        spellings: "`0x10`, `-5` or `-192.168.0.0`",
        schema: Schema::Pattern("^-?([0-9]+|0x[0-9a-fA-F]+|[0-9]{1,2}(\\.[0-9]{1,2}){3})$"),
    };

    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let (digits, minus) = text.strip_prefix('-').map_or((text, false), |d| (d, true));
        let n = match Number::read(digits, reader) {
            Ok(Number(n)) => n,
            Err(refusal) => match digits.parse() {
                Ok(std::net::IpAddr::V4(address)) => address.to_bits(),
                Ok(std::net::IpAddr::V6(address)) => address.to_bits() as u32,
                Err(_) => return Err(refusal.help(format!("write {}", Self::INFO.spellings))),
            },
        };
        Ok(Addend(if minus { n.wrapping_neg() } else { n }))
    }

    fn show(&self) -> String {
        format!("{:#x}", self.0)
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(self.0))
    }

    fn from_number(number: u64) -> Option<Self> {
        u32::try_from(number).ok().map(Addend)
    }
}

impl Flow {
    /// The mask and the bits turned over that `and`, `xor` and `or` come to, one after the other.
    fn bits(&self) -> (u32, u32) {
        let mut bits = (u32::MAX, 0);
        let (and, xor, or) =
            (self.and.map_or(u32::MAX, |h| h.0), self.xor.unwrap_or_default(), self.or.unwrap_or_default());
        for (mask, turn) in [(and, 0), (u32::MAX, xor.0), (!or.0, or.0)] {
            bits = then(bits, mask, turn);
        }
        bits
    }

    /// The rows that say a mask and the bits turned over; without those that do nothing.
    fn set_bits(&mut self, (mask, xor): (u32, u32)) {
        self.and = (mask != u32::MAX).then_some(Hex(mask));
        self.xor = Some(Hex(mask & xor)).filter(|h| h.0 != 0);
        self.or = Some(Hex(!mask & xor)).filter(|h| h.0 != 0);
    }
}

/// tc's `transfer_bitop`: the next operation put onto those before.
fn then((mask, xor): (u32, u32), and: u32, turn: u32) -> (u32, u32) {
    (mask & and, turn ^ (xor & and))
}

impl Options for Flow {
    fn gather<'a>(&self, priorities: Vec<Vec<Filter<'a>>>) -> Vec<Box<dyn Asked + 'a>> {
        let one = |filters: Vec<Filter<'a>>| {
            let flows = filters.into_iter().filter_map(|f| Some((f, f.options.as_kind::<Flow>()?)));
            Box::new(ask::Flows(flows.collect())) as Box<dyn Asked + 'a>
        };
        priorities.into_iter().map(one).collect()
    }

    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let Flow { hash, keys, and, xor, or, rshift, addend, divisor, baseclass, perturb, matches, action } = self;
        for (number, value) in [
            (KEYS, keys.map(|k| k.0)),
            (RSHIFT, rshift.map(|n| n.0)),
            (ADDEND, addend.map(|n| n.0)),
            (DIVISOR, divisor.map(|n| n.0)),
            (BASECLASS, baseclass.map(|h| h.0)),
            (PERTURB, perturb.map(|s| u32::try_from(s.0).unwrap_or(u32::MAX))),
        ] {
            if let Some(value) = value {
                out.u32(number, value);
            }
        }
        DOING.encode(action.as_ref(), out, facts);
        if let Some(matches) = matches {
            matches.encode(EMATCHES, out, facts);
        }
        out.u32(MODE, u32::from(*hash == Some(Flag(true))));
        if and.is_some() || xor.is_some() || or.is_some() {
            let (mask, xor) = self.bits();
            out.u32(MASK, mask);
            out.u32(XOR, xor);
        }
    }

    fn decode(&mut self, payload: Payload, facts: &Facts) -> Result<(), Malformed> {
        let a = payload.attributes()?;
        let action = DOING.decode(&a, facts)?;
        *self = Flow {
            hash: a.u32(MODE)?.map(|mode| Flag(mode != 0)),
            keys: a.u32(KEYS)?.map(Keys),
            rshift: a.u32(RSHIFT)?.map(Number),
            addend: a.u32(ADDEND)?.map(Addend),
            divisor: a.u32(DIVISOR)?.map(Number),
            baseclass: a.u32(BASECLASS)?.map(Handle),
            perturb: a.u32(PERTURB)?.map(|s| Seconds(u64::from(s))),
            matches: Matches::decode(a.get(EMATCHES), facts)?,
            action,
            ..Flow::default()
        };
        self.set_bits((a.u32(MASK)?.unwrap_or(u32::MAX), a.u32(XOR)?.unwrap_or(0)));
        Ok(())
    }

    fn assume(&mut self, facts: &Facts) {
        super::assume(self, facts);
    }

    fn complete(&mut self, facts: &Facts) {
        super::complete(self, facts);
    }

    fn same(&self, other: &dyn Options, row: usize, facts: &Facts) -> bool {
        let Some(held) = other.as_kind::<Self>() else { return false };
        match Flow::ROWS.get(row).map(|r| r.word) {
            Some("and" | "xor" | "or") => self.bits() == held.bits(),
            // the kernel takes the discipline's own number where none is said
            Some("baseclass") => match (self.baseclass, held.baseclass) {
                (Some(asked), Some(held)) if asked.major() == 0 => asked.minor() == held.minor(),
                (asked, held) => asked.is_none() || asked == held,
            },
            _ => super::same(self, other, row, facts),
        }
    }

    fn tc(&self, out: &mut Vec<String>) {
        super::ematch::words_of(self, out);
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        let Some(word) = words.like(WORDS) else { return Ok(false) };
        if super::read_doing(word, &mut self.action, words, reader)? {
            return Ok(true);
        }
        match word {
            "map" | "hash" => {
                words.next();
                self.hash = Some(Flag(word == "hash"));
            }
            "and" | "or" | "xor" => {
                words.next();
                let Number(n) = Number::read_words(words, reader)?;
                let (mask, turn) = match word {
                    "and" => (n, 0),
                    "or" => (!n, n),
                    _ => (u32::MAX, n),
                };
                self.set_bits(then(self.bits(), mask, turn));
            }
            "baseclass" => {
                words.next();
                let class = ClassId::read_words(words, reader)?;
                if class.minor() == 0 {
                    return Err(Refusal::new(format!("`{class}` is a discipline and no class")).help("write `1:1`"));
                }
                self.baseclass = Some(class);
            }
            _ => return read_named(self, word, words, reader),
        }
        Ok(true)
    }

    fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        super::check(self, facts, out);
        fits("rshift", self.rshift.map(|n| u64::from(n.0)), 31, out);
        fits("perturb", self.perturb.map(|s| s.0), u64::from(u32::MAX / 1000), out);
        let hash = self.hash == Some(Flag(true));
        match self.keys {
            None => out.push(
                Finding::new(&codes::MISSING_OPTION, "keys", "a flow wants to know what to look at")
                    .help("write `keys: \"src,dst\"`"),
            ),
            Some(Keys(keys)) if keys.count_ones() > 1 && !hash => out.push(
                Finding::new(&codes::BAD_VALUE, "keys", "only one key can be mapped")
                    .and("hash", "several are hashed")
                    .help("write `hash: yes`"),
            ),
            Some(_) => {}
        }
        if self.perturb.is_some() && !hash {
            let f = Finding::new(&codes::BAD_VALUE, "perturb", "a key that is mapped has no hash to be made anew");
            out.push(f.and("hash", "without it"));
        }
        if let Some(class) = self.baseclass.filter(|class| class.minor() == 0) {
            let message = format!("`{class}` is a discipline and no class");
            out.push(Finding::new(&codes::BAD_VALUE, "baseclass", message).help("write `1:1`"));
        }
        let turned = [
            ("and", self.bits() != (u32::MAX, 0)),
            ("rshift", self.rshift.is_some_and(|n| n.0 != 0)),
            ("addend", self.addend.is_some_and(|n| n.0 != 0)),
        ];
        if let Some((word, _)) = turned.into_iter().find(|(_, set)| hash && *set) {
            let f =
                Finding::new(&codes::NO_EFFECT, word, format!("`{word}` changes a key that is mapped, and no hash"));
            out.push(f.and("hash", "the keys are hashed"));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Result<Flow, Refusal> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let mut flow = Flow::default();
        crate::kind::read_tc(&mut flow, &mut Words::new(&words), &mut Reader::tc()).map(|()| flow)
    }

    fn tc(text: &str) -> String {
        let mut out = Vec::new();
        read(text).unwrap().tc(&mut out);
        out.join(" ")
    }

    #[test]
    fn operations_on_bits_are_put_together_as_tc_does() {
        assert_eq!(tc("map key src and 0xff divisor 16"), "map keys src and 0xff divisor 16");
        assert_eq!(tc("map keys mark xor 0xf0 and 0xff or 3"), "map keys mark and 0xfc xor 0xf0 or 0x3");
        assert_eq!(tc("map keys mark or 3 and 0xfffffffe"), "map keys mark and 0xfffffffc or 0x2");
        assert_eq!(tc("map keys mark and 0xffffffff"), "map keys mark");
        assert_eq!(read("map keys mark and 0xff xor 0xff").unwrap().bits(), (0xff, 0xff));
    }

    #[test]
    fn keys_and_addends_have_tcs_spellings() {
        assert_eq!(tc("hash keys src,d,proto,nfct-src perturb 10"), "hash keys src,dst,proto,nfct-src perturb 10");
        assert_eq!(tc("map keys dst addend -192.168.0.0"), "map keys dst addend 0x3f580000");
        assert_eq!(tc("map keys dst addend -1"), "map keys dst addend 0xffffffff");
        assert!(read("map keys sport").is_err());
        assert!(read("map keys src baseclass 1:").is_err());
        assert!(Keys::read("pro", &mut Reader::default()).is_err(), "a policy writes words whole");
    }

    #[test]
    fn the_kernels_own_class_is_no_difference() {
        let facts = Facts::default();
        let row = Flow::ROWS.iter().position(|r| r.word == "baseclass").unwrap();
        let held = Flow { baseclass: Some(Handle::new(1, 5)), ..Flow::default() };
        for (asked, same) in [(None, true), (Some(Handle::new(0, 5)), true), (Some(Handle::new(2, 5)), false)] {
            assert_eq!(Flow { baseclass: asked, ..Flow::default() }.same(&held, row, &facts), same);
        }
    }
}
