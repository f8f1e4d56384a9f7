//! `mirred`: net/sched/act_mirred.c, tc-mirred(8). A packet goes, or a copy of it goes, to another link.

use super::control::{Control, INDEX, unnumbered};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::wire::{Attributes, Fields, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, Rows, no_xstats};
use crate::rows;
use crate::unit::{Info, Name, Number, Reader, Refusal, Schema, Unit, Words};

rows! {
    /// To another link.
    pub struct Mirred {
        /// whether it is sent out of the link or arrives on it
        direction: Direction = Row::new("direction").default("egress");
        /// the packet itself or a copy
        mode: Mode = Row::new("mode").default("redirect");
        /// the link
        dev: Name = Row::new("dev");
        /// the links of a block, instead of one link; from iproute2 6.8 and Linux 6.8 on
        blockid: Number = Row::new("blockid");
        /// what becomes of the packet here
        control: Control = Row::new("control").computed("`stolen` for `redirect`, `pipe` for `mirror`");
        /// the number under which several filters share the action
        index: Number = INDEX;
    }
}

/// The kind.
pub static KIND: Kind = Kind {
    name: "mirred",
    role: Role::Action,
    doc: "sends the packet, or a copy, to another link: how arriving traffic reaches an ifb to be shaped. A policy writes \
          `redirect: ifb0` or `mirror: eth1`",
    options: || Box::new(Mirred::default()),
    class: None,
    children: Children::None,
    change: true,
    writable: true,
    config: "NET_ACT_MIRRED",
    module: "act_mirred",
    attributes: &[],
    xstats: no_xstats,
};

macro_rules! words {
    ($(#[doc = $doc:literal])* $name:ident $what:literal { $first:ident $a:literal $da:literal, $second:ident $b:literal $db:literal }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name {
            #[doc = $da]
            #[default]
            $first,
            #[doc = $db]
            $second,
        }
        impl Unit for $name {
            const INFO: Info = Info {
                name: $what,
                spellings: concat!("`", $a, "` or `", $b, "`"),
                schema: Schema::OneOf(&[$a, $b]),
            };
            fn read(text: &str, _reader: &mut Reader) -> Result<Self, Refusal> {
                match text {
                    $a => Ok($name::$first),
                    $b => Ok($name::$second),
                    _ => Err(Refusal::new(format!("`{text}` is neither `{}` nor `{}`", $a, $b))),
                }
            }
            fn show(&self) -> String {
                match self {
                    $name::$first => $a,
                    $name::$second => $b,
                }
                .to_owned()
            }
        }
    };
}

words!(
    /// The side of the other link.
    Direction "a direction" { Egress "egress" "It is sent.", Ingress "ingress" "It arrives." }
);
words!(
    /// What goes there.
    Mode "a way" { Redirect "redirect" "The packet.", Mirror "mirror" "A copy." }
);

const PARMS: u16 = 2;
const BLOCKID: u16 = 4;

impl Mirred {
    /// tc lets `mirror` alone have another verdict.
    fn verdict(&self) -> Control {
        match self.mode.unwrap_or_default() {
            Mode::Redirect => Control::STOLEN,
            Mode::Mirror => Control::PIPE,
        }
    }
}

impl Options for Mirred {
    /// The link's index comes from [`Facts::links`]; 0, which the kernel refuses, if it is not there.
    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let Mirred { direction, mode, dev, blockid, control, index } = self;
        let way = match (direction.unwrap_or_default(), mode.unwrap_or_default()) {
            (Direction::Egress, Mode::Redirect) => 1,
            (Direction::Egress, Mode::Mirror) => 2,
            (Direction::Ingress, Mode::Redirect) => 3,
            (Direction::Ingress, Mode::Mirror) => 4,
        };
        let link = dev.as_ref().and_then(|dev| facts.links.index_of(&dev.0)).unwrap_or(0);
        // struct tc_mirred: index, capab, action, refcnt, bindcnt, eaction, ifindex
        let parms = Fields::new()
            .u32(index.unwrap_or_default().0)
            .u32(0)
            .u32(control.unwrap_or(self.verdict()).bits())
            .u32(0)
            .u32(0)
            .u32(way)
            .u32(link);
        out.raw(PARMS, &parms.0);
        if let Some(Number(block)) = blockid {
            out.u32(BLOCKID, *block);
        }
    }

    fn decode(&mut self, payload: Payload, facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        let Some(parms) = attributes.get(PARMS) else { return Ok(()) };
        let mut c = parms.fields();
        let (index, _capab, action, _refs, _binds, way, link) =
            (c.u32()?, c.u32()?, c.u32()?, c.u32()?, c.u32()?, c.u32()?, c.u32()?);
        *self = Mirred {
            direction: Some(if way >= 3 { Direction::Ingress } else { Direction::Egress }),
            mode: Some(if way % 2 == 1 { Mode::Redirect } else { Mode::Mirror }),
            dev: (link != 0).then(|| Name(facts.links.name_of(link))),
            blockid: attributes.u32(BLOCKID)?.map(Number),
            control: Some(Control::from_bits(action)),
            index: (index != 0).then_some(Number(index)),
        };
        Ok(())
    }

    fn assume(&mut self, _facts: &Facts) {
        self.assume_constants();
        self.control.get_or_insert(self.verdict());
    }

    fn same(&self, other: &dyn Options, row: usize, _facts: &Facts) -> bool {
        match Mirred::ROWS.get(row).map(|r| r.word) {
            Some("index") if unnumbered(self.index) => true,
            _ => matches!((self.slot(row), other.slot(row)), (Some(a), Some(b)) if a.same(b)),
        }
    }

    fn tc(&self, out: &mut Vec<String>) {
        let Mirred { direction, mode, dev, blockid, control, index } = self;
        if direction.is_some() || mode.is_some() || dev.is_some() || blockid.is_some() || control.is_some() {
            out.extend([direction.unwrap_or_default().show(), mode.unwrap_or_default().show()]);
        }
        let mut pair = |word: &str, value: Option<String>| {
            out.extend(value.into_iter().flat_map(|value| [word.to_owned(), value]));
        };
        pair("dev", dev.as_ref().map(Name::tc));
        pair("blockid", blockid.as_ref().map(Number::tc));
        if let Some(control) = control.filter(|c| *c != self.verdict()) {
            out.extend(control.tc().split(' ').map(str::to_owned));
        }
        out.extend(index.iter().flat_map(|n| ["index".to_owned(), n.tc()]));
    }

    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        match words.peek() {
            Some("egress" | "ingress") => self.direction = Some(Direction::read_words(words, reader)?),
            Some("mirror" | "redirect") => self.mode = Some(Mode::read_words(words, reader)?),
            Some("dev") => {
                words.next();
                self.dev = Some(Name::read_words(words, reader)?);
            }
            Some("blockid") => {
                words.next();
                self.blockid = Some(Number::read_words(words, reader)?);
            }
            Some("index") => {
                words.next();
                self.index = Some(Number::read_words(words, reader)?);
            }
            Some(word) if self.mode == Some(Mode::Mirror) && self.control.is_none() && Control::starts(word) => {
                self.control = Some(Control::read_words(words, reader)?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        if self.dev.is_some() && self.blockid.is_some() {
            let f = Finding::new(&codes::BAD_VALUE, "blockid", "a packet goes to a link or to a block, not to both");
            out.push(f.and("dev", "the link").help("leave one of them out"));
        }
        if let Some(control) = self.control.filter(|c| *c != self.verdict() && self.verdict() == Control::STOLEN) {
            let message = format!("a packet that is redirected is gone: `{}` has no effect on it", control.show());
            out.push(Finding::new(&codes::BAD_VALUE, "control", message).help("write `mode: mirror` to send a copy"));
        }
        if self.dev.is_none() && self.blockid.is_none() && self.index.is_none() {
            out.push(
                Finding::new(&codes::MISSING_OPTION, "dev", "`mirred` wants the link to send to")
                    .help("write `dev: ifb0`"),
            );
        }
    }
}
