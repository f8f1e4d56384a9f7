//! Actions of filters, one file each, named as the kernel names them; and the unit that holds a filter's list of them.
//!
//! In a policy an action is a word (`drop`, `pass`), a pair (`mark: 5`, `priority: 2`, `dscp: CS1`, `mirror: eth1`,
//! `redirect: ifb0`) or a kind with its options (`police: { rate: 1mbit, burst: 10kb }`, `vlan: push id 5`); several are a
//! list and run one after the other. The pairs are short for `skbedit`, `pedit` and `mirred`, the words for `gact`.

pub mod bpf;
pub mod connmark;
pub mod control;
pub mod csum;
pub mod ct;
pub mod ctinfo;
pub mod dscp;
pub mod gact;
pub mod gate;
pub mod ife;
pub mod mirred;
pub mod mpls;
pub mod nat;
pub mod pedit;
pub mod police;
pub mod sample;
pub mod simple;
pub mod skbedit;
pub mod skbmod;
pub mod tunnel_key;
pub mod vlan;

pub use control::Control;

use super::raw::{self, Raw};
use super::wire::{Attributes, Malformed, Parsed, Payload};
use super::{Finding, Kind, Options, Role, Vocabulary, find};
use crate::codes;
use crate::diagnostic::Severity;
use crate::facts::Facts;
use crate::syntax::document::{Entry, Node, Value};
use crate::syntax::{Arity, Vocabulary as _};
use crate::unit::{Flag, Info, Name, Octets, Reader, Refusal, Schema, Unit, Words, begins};
use compact_str::CompactString;
use gact::Gact;
use mirred::{Direction, Mirred, Mode};
use skbedit::Skbedit;

// TCA_ACT_*, include/uapi/linux/pkt_cls.h
const KIND: u16 = 1;
const OPTIONS: u16 = 2;
const STATS: u16 = 4;
const COOKIE: u16 = 6;
const FLAGS: u16 = 7;
const HW_STATS: u16 = 8;
const USED_HW_STATS: u16 = 9;
const IN_HW_COUNT: u16 = 10;

/// `TCA_ACT_FLAGS_NO_PERCPU_STATS`.
pub const NO_PERCPU: u32 = 1;
/// The longest list of actions (`TCA_ACT_MAX_PRIO`).
pub const MOST: usize = 32;

/// What an action has counted, as a dump says it (`TCA_STATS_*`, include/uapi/linux/gen_stats.h).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes that came by.
    pub bytes: u64,
    /// Packets that came by.
    pub packets: u64,
    /// Packets it dropped.
    pub drops: u64,
    /// Packets above the rate of a policer.
    pub overlimits: u64,
    /// Packets that were sent anew.
    pub requeues: u64,
    /// Bytes that wait.
    pub backlog: u64,
    /// Packets that wait.
    pub qlen: u64,
    /// Of the bytes and packets, those that hardware counted.
    pub hardware: Option<(u64, u64)>,
    /// The rate now in bytes a second, if it is estimated.
    pub rate: Option<u64>,
    /// How many pieces of hardware do it, if any can.
    pub in_hardware: Option<u32>,
    /// The bits of `hw_stats` that hardware has taken up.
    pub used_hw_stats: Option<u8>,
    /// The kind's own figures: how many hold it, how many seconds ago it was made and used, and more.
    pub own: Vec<(&'static str, u64)>,
}

/// One action of a filter.
#[derive(Clone, Debug)]
pub struct Act {
    /// The kind's name to the kernel.
    pub name: CompactString,
    /// The kind; `None` if no file here knows it, and then the options are [`Raw`].
    pub kind: Option<&'static Kind>,
    /// The options.
    pub options: Box<dyn Options>,
    /// tc's `cookie`: octets that the kernel keeps for whoever made the action.
    pub cookie: Option<Octets>,
    /// tc's `hw_stats`: bits of `TCA_ACT_HW_STATS_*`; any if unset.
    pub hw_stats: Option<u8>,
    /// `TCA_ACT_FLAGS_*`: [`NO_PERCPU`], 2 skip_hw, 4 skip_sw.
    pub flags: u32,
    /// Whether it is a policer in the way of before 2004: an attribute of the filter's own, not in its list.
    pub old: bool,
    /// The counters of a held action; never compared.
    pub counters: Option<Counters>,
}

/// The actions of a filter, in the order in which they run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actions(pub Vec<Act>);

impl PartialEq for Act {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && *self.options == *other.options
            && self.cookie == other.cookie
            && self.hw_stats == other.hw_stats
            && self.flags == other.flags
    }
}

/// A word beside the options that differs, what is held, and what is asked.
pub(crate) type Beside = (&'static str, Option<String>, Option<String>);

const COOKIE_WORD: &str = "cookie";
const HW_STATS_WORD: &str = "hw_stats";
/// The word of [`NO_PERCPU`].
pub(crate) const NO_PERCPU_WORD: &str = "no_percpu";
const HW_STATS_WORDS: &[(&str, u8)] = &[("immediate", 1), ("delayed", 2), ("disabled", 0)];
/// A policy's word for a policer in the way of before 2004.
const OLD: &str = "old";
const FLAG_WORDS: &[(&str, u32)] = &[(NO_PERCPU_WORD, NO_PERCPU), ("skip_hw", 2), ("skip_sw", 4)];

impl Act {
    /// An action with fresh options of its kind, or of a kind that no file here knows.
    pub fn new(name: &str) -> Act {
        match find(Role::Action, name) {
            Some(kind) => Act::of(kind, (kind.options)()),
            None => Act { name: name.into(), kind: None, ..Act::of(&gact::KIND, Box::new(Raw::default())) },
        }
    }

    /// An action of a known kind.
    pub fn of(kind: &'static Kind, options: Box<dyn Options>) -> Act {
        Act {
            name: kind.name.into(),
            kind: Some(kind),
            options,
            cookie: None,
            hw_stats: None,
            flags: 0,
            old: false,
            counters: None,
        }
    }

    /// `gact` with one verdict.
    pub fn verdict(control: Control) -> Act {
        Act::of(&gact::KIND, Box::new(Gact { control: Some(control), ..Gact::default() }))
    }

    /// `mirred` to another link's egress.
    pub fn to_link(mode: Mode, dev: Name) -> Act {
        let options =
            Mirred { direction: Some(Direction::Egress), mode: Some(mode), dev: Some(dev), ..Mirred::default() };
        Act::of(&mirred::KIND, Box::new(options))
    }

    /// `skbedit`.
    pub fn edit(options: Skbedit) -> Act {
        Act::of(&skbedit::KIND, Box::new(options))
    }

    /// The number under which filters share it, if it is written or held.
    pub fn number(&self) -> Option<u32> {
        self.options.value::<control::Index>(control::INDEX.word).map(|index| index.0)
    }

    /// A figure of its kind that a held action has counted.
    pub fn figure(&self, name: &str) -> Option<u64> {
        let figures = self.counters.iter().flat_map(|counters| &counters.own);
        figures.filter(|(figure, _)| *figure == name).map(|(_, n)| *n).next()
    }

    /// Of a held action: forgets its number, if it is this filter's alone. The kernel gave it, and may have given it to
    /// another action since; asked for by that number, the filter would get that one.
    pub fn forget_number(&mut self) {
        let alone = self.figure("references") == Some(1) && self.figure("bindings") == Some(1);
        if let Some(row) = self.options.row("index").filter(|_| alone)
            && let Some(slot) = self.options.slot_mut(row)
        {
            slot.clear();
        }
    }

    /// Reads tc's words of one action, from its kind's name or a verdict on, as `parse_action` in iproute2's
    /// tc/m_action.c does.
    fn read_tc(words: &mut Words, reader: &mut Reader) -> Result<Act, Refusal> {
        let first = words.peek().ok_or_else(|| Refusal::new("an action is missing at the end"))?;
        let mut act = if Control::starts(first, reader) {
            Act::verdict(Control::read_words(words, reader)?)
        } else {
            let mut act = Act::new(first);
            // a name that no action has is to tc a word of gact's
            let of_gact = |whole| act.kind.is_none() && begins(first, whole);
            let (name, index) = (of_gact(gact::KIND.name), of_gact("index"));
            if !index {
                words.next();
            }
            if name || index {
                act = Act::new(gact::KIND.name);
            }
            if act.kind.is_none() {
                return Err(Refusal::new(format!("no action is called `{first}`"))
                    .help(format!("write a verdict as `drop`, or one of {}", kinds())));
            }
            act
        };
        act.options.read_tc(words, reader)?;
        act.read_common(words, reader)?;
        Ok(act)
    }

    /// What may stand behind every action, in tc's order.
    fn read_common(&mut self, words: &mut Words, reader: &mut Reader) -> Result<(), Refusal> {
        self.read_cookie(words, reader)?;
        if words.take_short(HW_STATS_WORD) {
            self.hw_stats = Some(hw_stats(words.want("a kind of statistics")?, reader)?);
        }
        if words.take(NO_PERCPU_WORD) {
            self.flags |= NO_PERCPU;
        }
        while let Some(bit) = words.peek().and_then(flag).filter(|bit| *bit != NO_PERCPU) {
            words.next();
            self.flags |= bit;
        }
        Ok(())
    }

    fn tc(&self) -> Vec<String> {
        let mut out = Vec::new();
        self.options.tc(&mut out);
        if !(self.name == gact::KIND.name && out.first().is_some_and(|word| Control::starts(word, &Reader::default())))
        {
            out.insert(0, self.name.to_string());
        }
        if let Some(cookie) = &self.cookie {
            out.extend([COOKIE_WORD.to_owned(), cookie.tc()]);
        }
        if let Some(word) = self.hw_stats_word() {
            out.extend([HW_STATS_WORD.to_owned(), word.to_owned()]);
        }
        out.extend(FLAG_WORDS.iter().filter(|(_, bit)| self.flags & bit != 0).map(|(word, _)| (*word).to_owned()));
        out
    }

    /// What it has besides its options and cookie, in the policy's words.
    pub(crate) fn words(&self) -> Vec<(&'static str, String)> {
        let flags = FLAG_WORDS.iter().filter(|(_, bit)| self.flags & bit != 0);
        let stats = self.hw_stats_word().map(|word| (HW_STATS_WORD, word.to_owned()));
        let old = self.old.then(|| (OLD, Flag(true).show()));
        stats.into_iter().chain(flags.map(|(word, _)| (*word, Flag(true).show()))).chain(old).collect()
    }

    /// Reads such a word; false if it is none.
    fn read_word(&mut self, entry: &Entry, reader: &mut Reader) -> Result<bool, Refusal> {
        let word = entry.key.value.as_str();
        if word == COOKIE_WORD {
            let text = entry.node.as_word().unwrap_or_default();
            self.cookie = Some(cookie(text, reader).map_err(|r| at(r, entry.node.span))?);
        } else if word == HW_STATS_WORD {
            let text = entry.node.as_word().unwrap_or_default();
            self.hw_stats = Some(hw_stats(text, reader).map_err(|r| at(r, entry.node.span))?);
        } else if let Some(bit) = flag(word) {
            let bare = matches!(entry.node.value, Value::Null);
            let on = bare || Flag::read_node(&entry.node, reader).map_err(|r| at(r, entry.node.span))?.0;
            self.flags |= if on { bit } else { 0 };
        } else if word == OLD && self.name == police::KIND.name {
            let bare = matches!(entry.node.value, Value::Null);
            self.old = bare || Flag::read_node(&entry.node, reader).map_err(|r| at(r, entry.node.span))?.0;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Whether only its number is said: it stands elsewhere, with options that are not asked here.
    pub fn is_shared(&self) -> bool {
        let rows = self.options.rows().iter().enumerate();
        let set = |i| self.options.slot(i).is_some_and(|s| s.is_set());
        let mut set = rows.filter(|(i, _)| set(*i)).map(|(_, row)| row.word);
        set.next() == Some(control::INDEX.word) && set.next().is_none()
    }

    /// Whether a row of a held action is as asked, to the wire's resolution; both are assumed. A number that the kernel gave
    /// does not count where none is asked, and of one that stands elsewhere nothing else does.
    pub(crate) fn same_row(&self, held: &Act, row: usize, facts: &Facts) -> bool {
        let options = self.options.as_ref();
        let word = options.rows().get(row).map(|row| row.word);
        let given = word == Some(control::INDEX.word) || self.is_shared();
        given && !options.slot(row).is_some_and(|s| s.is_set()) || options.same(held.options.as_ref(), row, facts)
    }

    /// What it has beside its options that a held one has not, or has otherwise: the word, what is held, and what is asked.
    /// Of one that stands elsewhere only what is said counts. A cookie stays until another is set; in hardware or not is the
    /// filter's to say, which tells its actions.
    pub(crate) fn beside(&self, held: &Act) -> Vec<Beside> {
        let mut found = Vec::new();
        if self.cookie.is_some() && self.cookie != held.cookie {
            let shown = |act: &Act| act.cookie.as_ref().map(Unit::show);
            found.push((COOKIE_WORD, shown(held), shown(self)));
        }
        if self.hw_stats != held.hw_stats && !(self.hw_stats.is_none() && self.is_shared()) {
            let shown = |act: &Act| act.hw_stats_word().map(str::to_owned);
            found.push((HW_STATS_WORD, shown(held), shown(self)));
        }
        for (word, bit) in FLAG_WORDS {
            let (asked, stands) = (self.flags & bit != 0, held.flags & bit != 0);
            if asked && !stands || stands && !asked && *bit == NO_PERCPU && !self.is_shared() {
                let shown = |set: bool| Some(Flag(set).show());
                found.push((word, shown(stands), shown(asked)));
            }
        }
        found
    }

    fn hw_stats_word(&self) -> Option<&'static str> {
        HW_STATS_WORDS.iter().find(|(_, bits)| Some(*bits) == self.hw_stats).map(|(word, _)| *word)
    }

    /// [`Options::assume`]; of one that stands elsewhere nothing is known but its number.
    pub(crate) fn assume(&mut self, facts: &Facts) {
        if !self.is_shared() {
            self.options.assume(facts);
        }
    }

    /// [`Options::complete`], likewise.
    pub(crate) fn complete(&mut self, facts: &Facts) {
        if !self.is_shared() {
            self.options.complete(facts);
        }
    }

    /// In the policy's words, as [`Act::read`] reads them: the short form where there is one.
    fn show(&self) -> String {
        let options = self.options.as_ref();
        let set = (0..options.rows().len()).filter(|i| options.slot(*i).is_some_and(|s| s.is_set())).count();
        let short = if let Some(Gact { control: Some(control), .. }) = options.as_kind().filter(|_| set == 1) {
            Some(control.show())
        } else if let Some(edit) = options.as_kind::<Skbedit>().filter(|_| set == 1) {
            match (&edit.mark, &edit.priority) {
                (Some(mark), _) => Some(format!("mark {}", mark.show())),
                (_, Some(priority)) => Some(format!("priority {}", priority.show())),
                _ => None,
            }
        } else if let Some(Mirred { direction: Some(Direction::Egress), mode: Some(mode), dev: Some(dev), .. }) =
            options.as_kind().filter(|_| set == 3)
        {
            Some(format!("{} {}", mode.show(), dev.show()))
        } else {
            dscp::show(options).map(Into::into)
        };
        let mut words = short.unwrap_or_else(|| {
            let mut words = match self.kind {
                Some(_) => self.name.to_string(),
                None => format!("{} kind {}", raw::ACTION.name, self.name),
            };
            for (i, row) in options.rows().iter().enumerate() {
                if let Some(value) = options.slot(i).and_then(|s| s.show()) {
                    words.push_str(&format!(" {} {value}", row.word));
                }
            }
            words
        });
        if let Some(cookie) = &self.cookie {
            words.push_str(&format!(" {COOKIE_WORD} {}", cookie.show()));
        }
        if let Some(word) = self.hw_stats_word() {
            words.push_str(&format!(" {HW_STATS_WORD} {word}"));
        }
        for (word, _) in FLAG_WORDS.iter().filter(|(_, bit)| self.flags & bit != 0) {
            words.push_str(&format!(" {word}"));
        }
        if self.old {
            words.push_str(&format!(" {OLD}"));
        }
        words
    }

    /// The short forms: one word, or a word with a value.
    fn short(word: &str, value: Option<&str>, reader: &mut Reader) -> Option<Result<Act, Refusal>> {
        let edit = |edit: Result<Skbedit, Refusal>| edit.map(Act::edit);
        Some(match (word, value) {
            ("mark", Some(v)) => {
                edit(Unit::read(v, reader).map(|mark| Skbedit { mark: Some(mark), ..Skbedit::default() }))
            }
            ("priority", Some(v)) => {
                edit(Unit::read(v, reader).map(|priority| Skbedit { priority: Some(priority), ..Skbedit::default() }))
            }
            (dscp::NAME, Some(v)) => Unit::read(v, reader).map(dscp::act),
            ("mirror", Some(v)) => Name::read(v, reader).map(|dev| Act::to_link(Mode::Mirror, dev)),
            ("redirect", Some(v)) => Name::read(v, reader).map(|dev| Act::to_link(Mode::Redirect, dev)),
            ("mark" | "priority" | "mirror" | "redirect" | dscp::NAME, None) => {
                Err(Refusal::new(format!("`{word}` wants a value")).help(format!("write {}", Actions::INFO.spellings)))
            }
            _ => return None,
        })
    }

    fn kind_of(word: &str) -> Result<Act, Refusal> {
        let act = Act::new(word);
        if act.kind.is_some() || word == raw::ACTION.name {
            return Ok(act);
        }
        Err(Refusal::new(format!("no action is called `{word}`")).help(format!(
            "write {}, or one of {}",
            Actions::INFO.spellings,
            kinds()
        )))
    }

    /// The row of a word; hidden rows have none.
    fn row(&self, word: &str) -> Result<usize, Refusal> {
        let options = self.options.as_ref();
        let row = options.row(word).filter(|i| options.rows().get(*i).is_some_and(|r| !(r.hidden && r.tool)));
        row.ok_or_else(|| {
            let words: Vec<_> = options.rows().iter().filter(|r| !r.hidden).map(|r| format!("`{}`", r.word)).collect();
            Refusal::new(format!("`{}` has no option `{word}`", self.name)).help(format!("it has {}", words.join(", ")))
        })
    }

    /// Reads one action in the policy's words on one line.
    fn read(words: &mut Words, reader: &mut Reader) -> Result<Act, Refusal> {
        let first = words.peek().ok_or_else(|| Refusal::new("an action is missing"))?;
        if Control::starts(first, reader) {
            let mut act = Act::verdict(Control::read_words(words, reader)?);
            act.read_common(words, reader)?;
            return Ok(act);
        }
        words.next();
        if let Some(act) = Act::short(first, words.peek(), reader) {
            words.next();
            let mut act = act?;
            act.read_common(words, reader)?;
            return Ok(act);
        }
        let mut act = Act::kind_of(first)?;
        act.read_options(words, reader)?;
        act.settled()
    }

    /// An action of a kind that no file here knows, under its own name.
    fn settled(mut self) -> Result<Act, Refusal> {
        if let Some(raw) = self.options.as_kind_mut::<Raw>() {
            let like = || Refusal::new("`raw` wants the kind's name to the kernel").help("write `raw: { kind: NAME }`");
            let Name(name) = raw.kind.take().ok_or_else(like)?;
            if find(Role::Action, &name).is_some() {
                let known = Refusal::new(format!("`{name}` has words of its own here"));
                return Err(known.help(format!("write `{name}` in the place of `raw`")));
            }
            self.name = name;
        }
        Ok(self)
    }

    /// Reads options in the policy's words on one line, up to `then`.
    fn read_options(&mut self, words: &mut Words, reader: &mut Reader) -> Result<(), Refusal> {
        while let Some(word) = words.peek().filter(|w| *w != "then") {
            if word == HW_STATS_WORD || word == COOKIE_WORD || flag(word).is_some() {
                self.read_common(words, reader)?;
                continue;
            }
            if word == OLD && self.name == police::KIND.name {
                words.next();
                self.old = true;
                continue;
            }
            let value = words.peek_second().filter(|value| Flag::read(value, reader).is_ok());
            if let (true, Some(value)) = (Vocabulary.is_flag(&self.name, word), value) {
                let row = self.row(word)?;
                words.next();
                words.next();
                if let Some(slot) = self.options.slot_mut(row) {
                    slot.read_text(value, reader)?;
                }
            } else if !self.options.read_tc(words, reader)? && !self.read_bare(words, reader)? {
                self.row(word)?;
                break;
            }
        }
        Ok(())
    }

    /// Reads a value of a row whose word tc does not write.
    fn read_bare(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        let rows = self.options.rows();
        for (i, _) in rows.iter().enumerate().filter(|(_, row)| row.bare) {
            let Some(slot) = self.options.slot_mut(i).filter(|slot| !slot.is_set()) else { continue };
            let mut ahead = words.clone();
            if slot.read_words(&mut ahead, reader).is_ok() {
                *words = ahead;
                return Ok(true);
            }
            slot.clear();
        }
        Ok(false)
    }

    fn read_cookie(&mut self, words: &mut Words, reader: &mut Reader) -> Result<bool, Refusal> {
        if !words.take(COOKIE_WORD) {
            return Ok(false);
        }
        self.cookie = Some(cookie(words.want(Octets::INFO.name)?, reader)?);
        Ok(true)
    }

    /// Reads one action of a policy: `drop`, `mark: 5`, `police: { … }`.
    fn read_entry(entry: &Entry, reader: &mut Reader) -> Result<Act, Refusal> {
        let (key, node) = (&entry.key, &entry.node);
        if let Some(act) = Act::short(&key.value, node.as_word(), reader) {
            return act.map_err(|r| at(r, node.span));
        }
        if Control::starts(&key.value, reader) {
            let text = format!("{} {}", key.value, node.as_word().unwrap_or_default());
            return Control::read(text.trim(), reader).map(Act::verdict).map_err(|r| at(r, key.span));
        }
        let mut act = Act::kind_of(&key.value).map_err(|r| at(r, key.span))?;
        if let Some(text) = node.as_word() {
            // `vlan: push id 5`, as on one line
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            let mut words = Words::new(&words);
            act.read_options(&mut words, reader).map_err(|r| at(r, node.span))?;
            return match words.next() {
                None => act.settled().map_err(|r| at(r, node.span)),
                Some(word) => Err(at(Refusal::new(format!("what is `{word}`?")), node.span)),
            };
        }
        let Some(entries) = node.entries() else {
            let r = Refusal::new(format!("`{}` wants its options, and this is {}", act.name, node.shape()));
            return Err(at(r, node.span));
        };
        for entry in entries {
            if act.read_word(entry, reader)? {
                continue;
            }
            // `push: yes`, as the other notation has it of `vlan push`
            let (word, text) = (entry.key.value.as_str(), entry.node.as_word());
            let alone = matches!(entry.node.value, Value::Null) || text == Some("yes");
            let words = [word.to_owned()];
            let bare = alone && act.options.row(word).is_none();
            if bare && act.read_bare(&mut Words::new(&words), reader).map_err(|r| at(r, entry.key.span))? {
                continue;
            }
            let row = act.row(&entry.key.value).map_err(|r| at(r, entry.key.span))?;
            if let Some(slot) = act.options.slot_mut(row) {
                if slot.is_set() {
                    return Err(at(Refusal::new(format!("`{}` stands here twice", entry.key.value)), entry.key.span));
                }
                slot.read_node(&entry.node, reader).map_err(|r| at(r, entry.node.span))?;
            }
        }
        act.settled().map_err(|r| at(r, key.span))
    }

    fn encode(&self, out: &mut Attributes, facts: &Facts) {
        out.text(KIND, &self.name);
        out.nest(OPTIONS | super::wire::NESTED, |a| self.options.encode(a, facts));
        if let Some(Octets(cookie)) = &self.cookie {
            out.raw(COOKIE, cookie);
        }
        // struct nla_bitfield32: value, selector
        if let Some(bits) = self.hw_stats {
            out.raw(HW_STATS, &bitfield(u32::from(bits)));
        }
        if self.flags != 0 {
            out.raw(FLAGS, &bitfield(self.flags));
        }
    }

    fn decode(payload: Payload, facts: &Facts) -> Result<Act, Malformed> {
        let attributes = payload.attributes()?;
        let mut act = Act::new(&attributes.get(KIND).ok_or(Malformed("action"))?.text());
        if let Some(options) = attributes.get(OPTIONS) {
            act.options.decode(options, facts)?;
        }
        act.cookie = attributes.get(COOKIE).map(|c| Octets(c.0.to_vec()));
        act.hw_stats = attributes.u32(HW_STATS)?.map(|bits| bits as u8);
        act.flags = attributes.u32(FLAGS)?.unwrap_or(0);
        if let Some(stats) = attributes.nested(STATS)? {
            let mut counters = counters(&stats)?;
            counters.in_hardware = attributes.u32(IN_HW_COUNT)?;
            counters.used_hw_stats = attributes.u32(USED_HW_STATS)?.map(|bits| bits as u8);
            if let (Some(kind), Some(options)) = (act.kind, attributes.get(OPTIONS)) {
                counters.own = (kind.xstats)(options, facts);
            }
            act.counters = Some(counters);
        }
        Ok(act)
    }
}

fn bitfield(bits: u32) -> [u8; 8] {
    let [a, b, c, d] = bits.to_ne_bytes();
    [a, b, c, d, a, b, c, d]
}

/// In their order: behind basic (1) and hardware's share (7) stand 64 bits of packets (8), if 32 are too few.
fn counters(stats: &Parsed) -> Result<Counters, Malformed> {
    let mut counters = Counters::default();
    for (number, payload) in &stats.list {
        let mut c = payload.fields();
        match number {
            1 => (counters.bytes, counters.packets) = (c.u64()?, u64::from(c.u32()?)),
            2 => counters.rate = counters.rate.or(Some(u64::from(c.u32()?))),
            3 => {
                let mut next = || c.u32().map(u64::from);
                (counters.qlen, counters.backlog, counters.drops) = (next()?, next()?, next()?);
                (counters.requeues, counters.overlimits) = (next()?, next()?);
            }
            5 => counters.rate = Some(c.u64()?),
            7 => counters.hardware = Some((c.u64()?, u64::from(c.u32()?))),
            8 => match &mut counters.hardware {
                Some((_, packets)) => *packets = c.u64()?,
                None => counters.packets = c.u64()?,
            },
            _ => {}
        }
    }
    Ok(counters)
}

/// `TC_COOKIE_MAX_SIZE`.
const COOKIE_MOST: usize = 16;

fn cookie(text: &str, reader: &mut Reader) -> Result<Octets, Refusal> {
    let octets = Octets::read(text, reader)?;
    if octets.0.is_empty() || octets.0.len() > COOKIE_MOST {
        let message = format!("a cookie of {} octets: 1 to {COOKIE_MOST}", octets.0.len());
        return Err(Refusal::coded(&codes::OUT_OF_RANGE, message));
    }
    Ok(octets)
}

fn hw_stats(word: &str, reader: &Reader) -> Result<u8, Refusal> {
    let known = HW_STATS_WORDS.iter().find(|(name, _)| *name == word || reader.tc && begins(word, name));
    known.map(|(_, bits)| *bits).ok_or_else(|| {
        Refusal::new(format!("`{word}` is no kind of statistics")).help("write `immediate`, `delayed` or `disabled`")
    })
}

fn flag(word: &str) -> Option<u32> {
    FLAG_WORDS.iter().find(|(name, _)| *name == word).map(|(_, bit)| *bit)
}

/// The first error of a kind about its own options, as a refusal: for what tc refuses once it has read all words.
pub(crate) fn first_fault(find: impl FnOnce(&mut Vec<Finding>)) -> Result<(), Refusal> {
    let mut found = Vec::new();
    find(&mut found);
    match found.into_iter().find(|f| f.code.severity == Severity::Error) {
        None => Ok(()),
        Some(Finding { code, message, help, .. }) => Err(Refusal { help, ..Refusal::coded(code, message) }),
    }
}

fn at(refusal: Refusal, span: crate::source::Span) -> Refusal {
    if refusal.span.is_some() { refusal } else { refusal.at(span) }
}

fn kinds() -> String {
    let names: Vec<_> = super::all(Role::Action).map(|k| format!("`{}`", k.name)).collect();
    names.join(", ")
}

impl Actions {
    /// One action.
    pub fn one(act: Act) -> Actions {
        Actions(vec![act])
    }

    /// Every action but the last must hand on what it lets pass: a policer's `conform`, and the verdict of an edit whose
    /// default is `pass`, become `pipe` where the policy is silent. One that stands elsewhere says it there.
    fn chain(mut self) -> Result<Self, Refusal> {
        if self.0.len() > MOST {
            return Err(Refusal::new(format!("{} actions on one rule: the kernel takes {MOST}", self.0.len())));
        }
        let last = self.0.len().saturating_sub(1);
        for act in self.0.iter_mut().take(last).filter(|act| !act.is_shared()) {
            if let Some(police) = act.options.as_kind_mut::<police::Police>() {
                police.conform.get_or_insert(Control::PIPE);
                continue;
            }
            let options = act.options.as_mut();
            let verdict = options.row(control::CONTROL.word).filter(|_| act.name != gact::KIND.name);
            let passes = |row: usize| options.rows().get(row).is_some_and(|r| r.default == Some("pass"));
            if let Some(slot) = verdict.filter(|row| passes(*row)).and_then(|row| options.slot_mut(row))
                && !slot.is_set()
            {
                slot.copy_from(&Some(Control::PIPE));
            }
        }
        Ok(self)
    }

    /// A policer in the way of before 2004: `police …` without `action`, alone in a filter.
    ///
    /// # Errors
    /// As [`Unit::read_words`].
    pub fn read_old(words: &mut Words, reader: &mut Reader) -> Result<Actions, Refusal> {
        let mut act = Act::new(police::KIND.name);
        words.next();
        act.options.read_tc(words, reader)?;
        act.old = true;
        Ok(Actions::one(act))
    }

    /// Writes a policer of before 2004 as attribute `police`, anything else as a list in attribute `number`.
    pub fn encode_either(&self, number: u16, police: u16, out: &mut Attributes, facts: &Facts) {
        match self.0.as_slice() {
            [act] if act.old => out.nest(police, |a| act.options.encode(a, facts)),
            _ => self.encode(number, out, facts),
        }
    }

    /// Writes the list as attribute `number`, numbered from 1, as tc does.
    pub fn encode(&self, number: u16, out: &mut Attributes, facts: &Facts) {
        out.nest(number, |list| {
            for (order, act) in (1..).zip(&self.0) {
                list.nest(order, |a| act.encode(a, facts));
            }
        });
    }

    /// Reads a list of actions.
    ///
    /// # Errors
    /// Its lengths are wrong, or an action has no kind.
    pub fn decode(payload: Payload, facts: &Facts) -> Result<Actions, Malformed> {
        let mut list = payload.attributes()?.list;
        list.sort_by_key(|(order, _)| *order);
        list.into_iter().map(|(_, act)| Act::decode(act, facts)).collect::<Result<_, _>>().map(Actions)
    }

    /// [`Options::assume`] for each.
    pub fn assume(&mut self, facts: &Facts) {
        self.0.iter_mut().for_each(|act| act.assume(facts));
    }

    /// [`Options::complete`] for each.
    pub fn complete(&mut self, facts: &Facts) {
        self.0.iter_mut().for_each(|act| act.complete(facts));
    }

    /// [`Options::check`] for each.
    pub fn check(&self, facts: &Facts, out: &mut Vec<Finding>) {
        self.0.iter().for_each(|act| act.options.check(facts, out));
        for (number, act) in (1..).zip(&self.0) {
            let control = act.options.value::<Control>(control::CONTROL.word);
            if let Some(jump) = control.and_then(Control::jump).filter(|n| *n == 0 || *n > self.0.len() as i32) {
                let message =
                    format!("action {number} jumps over {jump} of {} actions: the packet passes", self.0.len());
                out.push(Finding::new(&codes::NO_EFFECT, "action", message).help("jump to an action of the list"));
            }
        }
    }

    /// Whether the held actions are the asked ones, to the wire's resolution. Numbers that the kernel gave do not count
    /// where none is asked, and counters never do.
    pub fn same(&self, held: &Actions, facts: &Facts) -> bool {
        let same = |a: &Act, h: &Act| {
            let options = a.options.as_ref();
            a.name == h.name
                && a.beside(h).is_empty()
                && options.as_any().type_id() == h.options.as_any().type_id()
                && (0..options.rows().len()).all(|row| a.same_row(h, row, facts))
        };
        self.0.len() == held.0.len() && self.0.iter().zip(&held.0).all(|(a, h)| same(a, h))
    }
}

impl Unit for Actions {
    const INFO: Info = Info {
        name: "an action",
        spellings: "`drop`, `pass`, `mark 5`, `priority 2`, `redirect ifb0`, `mirror eth1`, or `police rate 1mbit burst 10kb`",
        schema: Schema::Any,
    };

    /// `police rate 1mbit burst 10kb exceed drop then mark 5`.
    fn read(text: &str, reader: &mut Reader) -> Result<Self, Refusal> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let words = &mut Words::new(&words);
        let mut list = vec![Act::read(words, reader)?];
        while words.take("then") {
            list.push(Act::read(words, reader)?);
        }
        match words.next() {
            Some(word) => Err(Refusal::new(format!("what is `{word}`?")).help("part actions by `then`")),
            None => Actions(list).chain(),
        }
    }

    fn read_node(node: &Node, reader: &mut Reader) -> Result<Self, Refusal> {
        match &node.value {
            Value::Word(word) => Self::read(&word.text, reader).map_err(|r| at(r, node.span)),
            Value::List(items) => {
                let mut all = Vec::with_capacity(items.len());
                for item in items {
                    all.extend(Self::read_node(&item.node, reader)?.0);
                }
                if all.is_empty() {
                    return Err(at(Refusal::new("a list without actions"), node.span));
                }
                Actions(all).chain()
            }
            Value::Block(entries) => match entries.as_slice() {
                [entry] => Act::read_entry(entry, reader).map(Actions::one),
                [_, second, ..] => Err(Refusal::new("two actions in one block have no order")
                    .help("write a list: `[{ mark: 5 }, { priority: 2 }]`")
                    .at(second.key.span)),
                [] => Err(at(Refusal::new("a block without an action"), node.span)),
            },
            Value::Null => Err(at(
                Refusal::new("an action is missing here").help(format!("write {}", Self::INFO.spellings)),
                node.span,
            )),
        }
    }

    /// After the word `action`: all that follows, with or without the word between them, up to what ends the filter.
    fn read_words(words: &mut Words, reader: &mut Reader) -> Result<Self, Refusal> {
        let mut list: Vec<Act> = Vec::new();
        let mut wanted = true;
        while let Some(word) = words.peek() {
            if words.take("action") {
                wanted = true;
                continue;
            }
            // the words behind which tc's reader of actions stops: a filter's class, and the command after the list
            let commands = ["change", "replace", "delete", "get", "add"];
            if matches!(word, "flowid" | "classid") || commands.iter().any(|command| begins(word, command)) {
                break;
            }
            let mut act = Act::read_tc(words, reader)?;
            // tc forgets no cookie: later actions without one have it too
            act.cookie = act.cookie.or_else(|| list.last().and_then(|last| last.cookie.clone()));
            list.push(act);
            wanted = false;
        }
        if wanted {
            return Err(Refusal::new("an action is missing at the end").help(format!("write {}", Self::INFO.spellings)));
        }
        if list.len() > MOST {
            return Err(Refusal::new(format!("{} actions on one filter: the kernel takes {MOST}", list.len())));
        }
        Ok(Actions(list))
    }

    fn show(&self) -> String {
        self.0.iter().map(Act::show).collect::<Vec<_>>().join(" then ")
    }

    fn tc(&self) -> String {
        self.tc_words().join(" ")
    }

    fn tc_words(&self) -> Vec<String> {
        let lists = self.0.iter().map(Act::tc).collect::<Vec<_>>();
        lists.join(&["action".to_owned()][..])
    }
}

/// Of a held filter: its actions forget the numbers that are no others' too.
pub fn forget_numbers(filter: &mut dyn Options) {
    for row in 0..filter.rows().len() {
        let slot = filter.slot_mut(row);
        let actions = slot.and_then(|slot| slot.as_any_mut().downcast_mut::<Option<Actions>>());
        actions.into_iter().flatten().flat_map(|actions| &mut actions.0).for_each(Act::forget_number);
    }
}

/// How much the action of that name takes, for the DSL's reader.
pub fn arity(word: &str) -> Option<Arity> {
    match word {
        "mark" | "priority" | "mirror" | "redirect" | dscp::NAME => Some(Arity::Value),
        "goto" | "jump" => None,
        _ if Control::starts(word, &Reader::default()) => Some(Arity::Flag),
        _ => super::in_policies(Role::Action).find(|kind| kind.name == word).map(|_| Arity::Options),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::facts::Links;
    use crate::source::Span;
    use crate::syntax::document::{Item, Word};
    use compact_str::format_compact;
    use std::sync::Arc;

    fn read(text: &str) -> Result<Actions, Refusal> {
        Actions::read(text, &mut Reader::default())
    }

    fn from_tc(text: &str) -> Actions {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let mut words = Words::new(&words);
        let actions = Actions::read_words(&mut words, &mut Reader::tc()).unwrap();
        assert_eq!(words.peek(), None, "{text}");
        actions
    }

    fn word(text: &str) -> Node {
        Node::word(text, Span::NONE)
    }

    fn block(entries: &[(&str, Node)]) -> Node {
        let entry = |(key, node): &(&str, Node)| {
            let key = crate::source::Spanned::new(format_compact!("{key}"), Span::NONE);
            Entry::new(key, node.clone())
        };
        Node::block(entries.iter().map(entry).collect(), Span::NONE)
    }

    fn from_node(node: &Node) -> Result<Actions, Refusal> {
        Actions::read_node(node, &mut Reader::default())
    }

    #[test]
    fn short_forms_are_gact_skbedit_and_mirred() {
        for (text, tc) in [
            ("drop", "drop"),
            ("goto chain 5", "goto chain 5"),
            ("mark 0x5", "skbedit mark 0x5"),
            ("priority 2", "skbedit priority :2"),
            ("priority 1:10", "skbedit priority 1:10"),
            ("redirect ifb0", "mirred egress redirect dev ifb0"),
            ("mirror eth1", "mirred egress mirror dev eth1"),
            ("gact control pass random netrand drop 10", "pass random netrand drop 10"),
        ] {
            let actions = read(text).unwrap();
            assert_eq!(actions.tc(), tc);
            assert_eq!(actions.show(), text);
        }
    }

    #[test]
    fn both_notations_say_the_same() {
        let police = block(&[("rate", word("1mbit")), ("burst", word("10kb")), ("exceed", word("drop"))]);
        let items = [block(&[("police", police)]), block(&[("mark", word("5"))]), word("pass")];
        let items = items.into_iter().map(|node| Item { node, trivia: None }).collect();
        let list = Node { span: Span::NONE, value: Value::List(items) };
        let one = from_node(&list).unwrap();
        assert_eq!(one, read("police rate 1mbit burst 10kb exceed drop then mark 5 then pass").unwrap());
        // the policer hands on what conforms, because others follow
        assert_eq!(one.show(), "police rate 1mbit burst 10kb exceed drop conform pipe then mark 0x5 then pass");
        let tc = "police rate 1mbit burst 10kb conform-exceed drop/pipe action skbedit mark 0x5 action pass";
        assert_eq!(one.tc(), tc);
        assert_eq!(from_tc(tc), one);
        let quoted = Node { span: Span::NONE, value: Value::Word(Word { text: "drop".into(), quoted: true }) };
        assert_eq!(from_node(&quoted).unwrap(), Actions::one(Act::verdict(Control::DROP)));
    }

    #[test]
    fn what_is_no_action_is_told_with_its_place() {
        let span = Span::new(crate::source::FileId(0), 3, 9);
        let mut rate = block(&[("rate", word("1mbit")), ("brust", word("10kb"))]);
        if let Value::Block(entries) = &mut rate.value {
            entries.iter_mut().skip(1).for_each(|e| e.key.span = span);
        }
        let refusal = from_node(&block(&[("police", rate)])).unwrap_err();
        assert_eq!((refusal.message.as_str(), refusal.span), ("`police` has no option `brust`", Some(span)));
        assert!(refusal.help.unwrap().contains("`burst`"));
        let two = block(&[("mark", word("5")), ("priority", word("2"))]);
        assert!(from_node(&two).unwrap_err().help.unwrap().contains("[{ mark: 5 }"));
        for text in ["discard", "mark", "police rate", "drop pass", "redirect ifb0 then", "police cell 8"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_of_tc_and_its_flags_are_kept() {
        for tc in [
            "drop cookie deadbeef",
            "drop hw_stats disabled no_percpu",
            "police rate 1mbit burst 10kb/16 conform-exceed goto chain 3 / pipe",
            "skbedit mark 0x10/0xf0 pass index 4",
            "mirred ingress mirror dev lo drop",
        ] {
            assert_eq!(from_tc(tc).tc(), tc);
        }
        // without the word `action` between them, and in tc's other spellings
        assert_eq!(from_tc("skbedit mark 5 pipe mirred egress redirect dev lo").0.len(), 2);
        assert_eq!(from_tc("gact shot"), read("drop").unwrap());
        assert_eq!(from_tc("police buffer 10k rate 1mbit shot").show(), "police rate 1mbit burst 10kb exceed drop");
    }

    #[test]
    fn a_list_travels_in_order_and_names_its_link() {
        let facts = Facts { links: Arc::new(Links::new([(7, "ifb0".into())])), ..Facts::default() };
        let mut asked = read("mark 5 then redirect ifb0").unwrap();
        let mut out = Attributes::new();
        asked.encode(7, &mut out, &facts);
        let list = Payload(&out.bytes).attributes().unwrap();
        let mut held = Actions::decode(list.get(7).unwrap(), &facts).unwrap();
        held.0.iter_mut().for_each(|act| act.counters = Some(Counters { packets: 9, ..Counters::default() }));
        if let Some(edit) = held.0.first_mut().and_then(|a| a.options.as_kind_mut::<Skbedit>()) {
            edit.index = Some(control::Index(3)); // as the kernel gives it
        }
        asked.assume(&facts);
        held.assume(&facts);
        assert!(asked.same(&held, &facts));
        assert!(!held.same(&asked, &facts), "a number that is asked for counts");
        assert!(!read("mark 6 then redirect ifb0").unwrap().same(&held, &facts));
        assert!(!read("mark 5").unwrap().same(&held, &facts));
    }

    #[test]
    fn actions_of_unknown_kinds_are_kept_whole() {
        let mut out = Attributes::new();
        out.nest(1, |act| {
            act.text(KIND, "xt");
            act.raw(OPTIONS, &[1, 2, 3, 4]);
        });
        let actions = Actions::decode(Payload(&out.bytes), &Facts::default()).unwrap();
        let mut again = Attributes::new();
        actions.encode(7, &mut again, &Facts::default());
        let list = Payload(&again.bytes).attributes().unwrap().get(7).unwrap();
        let act = list.attributes().unwrap().nested(1).unwrap().unwrap();
        assert_eq!(act.get(KIND).unwrap().text(), "xt");
        assert_eq!(act.get(OPTIONS).unwrap().0, [1, 2, 3, 4]);
    }
}
