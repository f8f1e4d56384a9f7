//! `mirred`: net/sched/act_mirred.c, tc-mirred(8). A packet goes, or a copy of it goes, to another link.

use super::control::{CONTROL, Control, INDEX, Index, figures, head, read_head, read_index};
use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::walk::Walk;
use crate::kind::wire::{Attributes, Malformed, Payload};
use crate::kind::{Children, Finding, Kind, Options, Role, Row, Rows, attribute, no_option, read_row, row_words};
use crate::rows;
use crate::unit::choice::choice;
use crate::unit::{Name, Number, Reader, Refusal, Unit, Words, begins, decimal};

rows! {
    /// To another link.
    pub struct Mirred {
        /// whether it is sent out of the link or arrives on it
        direction: Direction = Row::new("direction").bare().default("egress");
        /// the packet itself or a copy
        mode: Mode = Row::new("mode").bare().default("redirect");
        /// the link
        dev: Name = Row::new("dev").short();
        /// the links of a block, instead of one link; from iproute2 6.8 and Linux 6.8 on
        blockid: Number = Row::new("blockid");
        /// what becomes of the packet here
        control: Control = CONTROL.computed("`stolen` for `redirect`, `pipe` for `mirror`");
        /// the number under which several filters share the action
        index: Index = INDEX;
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
    attributes: &[
        no_option("TCA_MIRRED_TM", TM, "times, which are figures"),
        attribute("TCA_MIRRED_PARMS", PARMS, &["direction", "mode", "dev", "control", "index"]),
        no_option("TCA_MIRRED_PAD", 3, "padding only"),
        attribute("TCA_MIRRED_BLOCKID", BLOCKID, &["blockid"]),
    ],
    xstats: |payload, _| figures(PARMS, TM, payload),
};

choice!(
    /// The side of the other link.
    pub enum Direction "a direction" {
        /// It is sent.
        Egress "egress",
        /// It arrives.
        Ingress "ingress",
    }
);
choice!(
    /// What goes there.
    pub enum Mode "a way" {
        /// The packet.
        Redirect "redirect",
        /// A copy.
        Mirror "mirror",
    }
);

const TM: u16 = 1;
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
    fn act(&self, walk: &mut dyn Walk) -> Control {
        let copy = self.mode.unwrap_or_default() == Mode::Mirror;
        let arrives = self.direction.unwrap_or_default() == Direction::Ingress;
        match (&self.dev, self.blockid) {
            (Some(dev), _) => walk.send(&dev.0, arrives, copy),
            (None, Some(block)) => walk.note(None, &|| format!("it goes to the links of block {}", block.0)),
            (None, None) => {}
        }
        if copy { self.control.unwrap_or(Control::PIPE) } else { Control::STOLEN }
    }

    /// The link's index comes from [`Facts::links`]; 0, which the kernel refuses, if it is not there.
    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        let Mirred { direction, mode, dev, blockid, control, index } = self;
        // one that stands elsewhere is named by its number alone
        let shared = direction.is_none() && mode.is_none() && dev.is_none() && blockid.is_none() && index.is_some();
        let way = match (direction.unwrap_or_default(), mode.unwrap_or_default()) {
            _ if shared => 0,
            (Direction::Egress, Mode::Redirect) => 1,
            (Direction::Egress, Mode::Mirror) => 2,
            (Direction::Ingress, Mode::Redirect) => 3,
            (Direction::Ingress, Mode::Mirror) => 4,
        };
        let link = dev.as_ref().and_then(|dev| facts.links.index_of(&dev.0)).unwrap_or(0);
        let control = control.unwrap_or(if shared { Control::PASS } else { self.verdict() });
        // struct tc_mirred goes on: eaction, ifindex
        out.raw(PARMS, &head(*index, control).u32(way).u32(link).0);
        if let Some(Number(block)) = blockid {
            out.u32(BLOCKID, *block);
        }
    }

    fn decode(&mut self, payload: Payload, facts: &Facts) -> Result<(), Malformed> {
        let attributes = payload.attributes()?;
        let Some(parms) = attributes.get(PARMS) else { return Ok(()) };
        let mut c = parms.fields();
        (self.index, self.control) = read_head(&mut c)?;
        let (way, link) = (c.u32()?, c.u32()?);
        self.dev = (link != 0).then(|| Name(facts.links.name_of(link)));
        self.blockid = attributes.u32(BLOCKID)?.map(Number);
        if way == 0 {
            self.control = None; // only the number of one that stands elsewhere
            return Ok(());
        }
        self.direction = Some(if way >= 3 { Direction::Ingress } else { Direction::Egress });
        self.mode = Some(if way % 2 == 1 { Mode::Redirect } else { Mode::Mirror });
        Ok(())
    }

    fn assume(&mut self, _facts: &Facts) {
        self.assume_constants();
        self.control.get_or_insert(self.verdict());
    }

    /// tc reads a verdict of `mirror` alone.
    fn tc(&self, out: &mut Vec<String>) {
        let mut written = self.clone();
        written.control = self.control.filter(|c| *c != self.verdict());
        if self.direction.is_some() || self.mode.is_some() || self.dev.is_some() || self.blockid.is_some() {
            written.direction.get_or_insert_default();
            written.mode.get_or_insert_default();
        }
        for (i, row) in Mirred::ROWS.iter().enumerate() {
            if let Some(slot) = written.slot(i) {
                row_words(row, slot, out);
            }
        }
    }

    /// As `parse_direction` in iproute2's tc/m_mirred.c: a direction, a way, perhaps `index N`, a link.
    fn read_tc(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !reader.tc {
            return read_row(self, words, reader);
        }
        if *self != Mirred::default() {
            return Ok(false);
        }
        if words.peek().is_some_and(|word| Direction::read(word, reader).is_err() && begins(word, "index")) {
            read_index(&mut self.index, words, reader)?;
            return Ok(true);
        }
        self.direction = Some(Direction::read_words(words, reader)?);
        // a word that tc 6.1 does not know there it passes over
        let (mut odd, mut numbered) = (None, false);
        loop {
            let wanted = match odd {
                None => "`redirect` or `mirror` and a link".to_owned(),
                Some(odd) => format!("`{odd}` is none of mirred's words, and `redirect` or `mirror` and a link"),
            };
            let word = words.want(&wanted)?;
            let mode = if self.mode.is_none() { Mode::read(word, reader).ok() } else { None };
            match word {
                _ if begins(word, "action") => {
                    return Err(
                        Refusal::new("a `mirred` without a link").help("write `mirred egress redirect dev ifb0`")
                    );
                }
                _ if begins(word, "index") => {
                    let number = decimal(words.want("the number of an action")?, reader, "the number of an action")?;
                    (self.index, numbered) = (Index::from_number(number), true);
                }
                _ if mode.is_some() => self.mode = mode,
                "blockid" if self.mode.is_some() => {
                    self.blockid = Some(Number::read_words(words, reader)?);
                    break;
                }
                _ if self.mode.is_some() && begins(word, "dev") => {
                    self.dev = Some(Name::read_words(words, reader)?);
                    break;
                }
                _ if Direction::read(word, reader).is_ok_and(|other| Some(other) != self.direction)
                    || Mode::read(word, reader).is_ok_and(|other| self.mode.is_some_and(|mode| mode != other)) =>
                {
                    return Err(Refusal::new(format!("`{word}` contradicts what stands before it"))
                        .help("write one of `egress` and `ingress`, and one of `redirect` and `mirror`"));
                }
                _ => odd = odd.or(Some(word)),
            }
        }
        if words.peek().is_some_and(|word| self.blockid.is_some() && begins(word, "dev")) {
            return Err(
                Refusal::new("a packet goes to a link or to a block, not to both").help("leave one of them out")
            );
        }
        if self.mode == Some(Mode::Mirror) && words.peek().is_some_and(|word| Control::starts(word, reader)) {
            self.control = Some(Control::read_words(words, reader)?);
        }
        if numbered && words.peek().is_some_and(|word| begins(word, "index")) {
            return Err(Refusal::new("`index` stands here twice").help("leave one of them out"));
        }
        read_index(&mut self.index, words, reader)?;
        Ok(true)
    }

    fn check(&self, _facts: &Facts, out: &mut Vec<Finding>) {
        if self.dev.is_some() && self.blockid.is_some() {
            let f = Finding::new(&codes::BAD_VALUE, "blockid", "a packet goes to a link or to a block, not to both");
            out.push(f.and("dev", "the link").help("leave one of them out"));
        }
        if self.blockid == Some(Number(0)) {
            out.push(Finding::new(&codes::OUT_OF_RANGE, "blockid", "no block has the number 0"));
        }
        if let Some(control) = self.control.filter(|c| *c != self.verdict() && self.verdict() == Control::STOLEN) {
            let message = format!("a packet that is redirected is gone: `{}` has no effect on it", control.show());
            out.push(Finding::new(&codes::BAD_VALUE, "control", message).help("write `mode: mirror` to send a copy"));
        }
        let named = self.dev.is_some() || self.blockid.is_some();
        if !named && (self.index.is_none() || self.direction.is_some() || self.mode.is_some()) {
            out.push(
                Finding::new(&codes::MISSING_OPTION, "dev", "`mirred` wants the link to send to")
                    .help("write `dev: ifb0`"),
            );
        }
    }
}
