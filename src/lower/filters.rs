//! Which classifier takes what a rule matches, and the filter as an object.
//!
//! The first line that can say a match takes it; `classifier:` on a rule or on a direction pins one.
//!
//! | the match looks at | filter |
//! |---|---|
//! | the mark alone, and it is not 0 | `fw` |
//! | nothing | `u32 match u32 0 0` of all protocols: every kernel with tc has it, `matchall` is missing from some |
//! | bits of headers of IP, hardware addresses, ethertypes, the link it came in by, the mark | `u32`: a filter for each alternative, unless these are more than [`VAST`] ([`OUTSIDE`]) and [`TIMES`] times what is written |
//! | what u32 cannot say or not shortly: VLANs, other ethertypes than one | `bpf`: one program, also for neighbouring rules |
//! | the connection's mark | `flower` |
//! | the priority | `basic` |
//! | the number of a control group that is the class's number | `cgroup` |
//!
//! Long lists of u32 filters of one protocol become hash tables ([`tables`]); fw is one by itself.
//!
//! What a kernel is known to lack is passed over ([`Facts::classifiers`]); where no kernel is asked all are there. A mark
//! that this kernel's u32 cannot match goes to fw, bpf or basic.
//!
//! A long list of filters by source and by destination that no table can take, because a packet may have both and the
//! earlier rule decides (`host` rules of different classes), becomes programs that look both ends up ([`by_fields`]). So does
//! one of words behind the header, of which u32 would give each a priority of its own.
//!
//! Filters are asked in the order of the rules whatever takes them: u32's stand in one priority by their numbers, as do
//! fw's of one mask and flower's of one set of keys, of which only one can match; each program and each tree of extended
//! matches has a priority of its own, because the kernel puts the newest of one first.

use super::bpf::{self, Lone, Program};
use super::cube::{At, Cube, Field as Bits, Formula, Key, Known, MOST, TooMany};
use super::ids::{Filters, Tables};
use super::matching::{self, IPV4, IPV6, Matched, Sight};
use super::order::{self, Entry, Place, Sort};
use super::tables::{self, Above, Item, Numbering, Placed, Row, Table};
use super::{ematch, flower, origin};
use crate::codes;
use crate::diagnostic::{Diagnostic, Sink};
use crate::facts::Facts;
use crate::fingerprint::Fingerprint;
use crate::kind::action::{Actions, Control};
use crate::kind::filter::basic::{self as cls_basic, Basic};
use crate::kind::filter::bpf::{self as cls_bpf, Bpf, Bytecode};
use crate::kind::filter::cgroup::{self as cls_cgroup, Cgroup};
use crate::kind::filter::flower::{self as cls_flower, Flower};
use crate::kind::filter::fw::{self, Fw};
use crate::kind::filter::u32::{self as cls_u32, HashKey, Keys, Node, U32};
use crate::kind::wire::Attributes;
use crate::kind::{Kind, Options};
use crate::policy::model::{Classifier, Rule};
use crate::source::Span;
use crate::syntax::expression::{Expression, Field};
use crate::tree::{Id, Object, Origin};
use crate::unit::{Handle, Hex, Mark, Name, Number};
use compact_str::{CompactString, format_compact};
use foldhash::{HashMap, HashMapExt, HashSet};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// `ETH_P_ALL`.
pub(super) const ALL: u16 = 0x0003;
/// Bytes of Ethernet's header.
const ETHERNET: u32 = 14;
/// As many filters of u32 are no hindrance.
const VAST: usize = 256;
/// So many for a match of what lies outside of addresses, which is about as many prefixes as an address has bits and is in
/// no table: they cost a packet what a program costs it (`benches/FIGURES.md`: 2 ns each).
const OUTSIDE: usize = 32;
/// A filter of u32 for each value that is written, in both families, is no hindrance either.
const TIMES: usize = 4;
/// Priorities of u32 that one discipline can have: each has a table, of whose numbers there are so many (`gen_new_htid` in
/// net/sched/cls_u32.c, which forgets to say when there is none left).
const ROOTS: usize = 0x7ff;
/// The way around what no classifier says.
const BY_MARK: &str = "set a `mark` with nftables and match that";
/// What a program returns for its own filter's class and actions.
const OWN: u32 = u32::MAX;
/// So many rules of a program are told one by one.
const TOLD: usize = 12;
/// So many filters by one field each, one after another, are a program.
const LONE: usize = 64;
/// The most of them that are tried as one.
const MOST_LONE: usize = 512;

/// What a filter looks at.
#[derive(Clone, Debug)]
pub(super) enum Look {
    /// Words of packets of one protocol, by u32: at fixed offsets and the mark.
    Header {
        /// The ethertype.
        protocol: u16,
        /// The words.
        cube: Cube,
    },
    /// Words whatever the protocol, by u32; none at all, or the mark, or the link's header.
    Any(Cube),
    /// The mark, by fw.
    Mark {
        /// Its value, not zero.
        value: u32,
        /// The bits that count.
        mask: u32,
    },
    /// A filter whose options are written already, but for class and actions.
    Made(Box<Made>),
    /// What a program is to find; [`programs`] writes it, together with its neighbours.
    Program {
        /// The ethertype, or all.
        protocol: u16,
        /// What holds of its packets.
        formula: Formula,
    },
}

/// A filter of any kind, as far as it does not depend on its place.
#[derive(Clone, Debug)]
pub(super) struct Made {
    /// Its kind.
    pub kind: &'static Kind,
    /// The ethertype, or all.
    pub protocol: u16,
    /// What it looks at.
    pub options: Box<dyn Options>,
    /// Beside which others it may stand.
    pub beside: Beside,
    /// What it is known by among its like, if not by what it looks at: it is changed in place then.
    pub key: Option<CompactString>,
}

impl Made {
    fn new(kind: &'static Kind, protocol: u16, options: impl Options, beside: Beside) -> Made {
        Made { kind, protocol, options: Box::new(options), beside, key: None }
    }
}

/// Beside which others a filter may stand in one priority, so that the kernel asks them in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    /// u32's, which are asked by their numbers.
    U32,
    /// Flower's of the same keys: no packet has two values of them.
    Keys(u64),
    /// No other: the kernel would ask the newest first.
    Nobody,
}

/// A filter that has no place yet.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub(super) look: Look,
    pub(super) target: Option<Handle>,
    pub(super) actions: Option<Actions>,
    /// Whether its rule asks for this classifier.
    pub(super) pinned: bool,
    /// Its rule.
    pub origin: Origin,
}

/// Why a classifier cannot say a match.
#[derive(Debug)]
pub(super) struct Unsaid {
    /// The terms of which fields it is about; of none of them: all.
    fields: &'static [Field],
    /// Why.
    why: String,
    /// What can be done.
    help: &'static str,
    code: &'static codes::Code,
}

impl Unsaid {
    pub fn new(fields: &'static [Field], why: impl Into<String>, help: &'static str) -> Unsaid {
        Unsaid { fields, why: why.into(), help, code: &codes::NO_CLASSIFIER }
    }

    /// Why neither can say it, if they lack different things: the way out is the other's, by the field that this one is for.
    fn beside(self, other: Unsaid) -> Unsaid {
        let both = [self.code, other.code].iter().all(|code| code.name == codes::NO_CLASSIFIER.name);
        if !both || self.fields == other.fields {
            return self;
        }
        Unsaid { why: format!("{}, and {}", self.why, other.why), ..other }
    }

    /// The finding, at the first term that it is about.
    fn report(self, rule: &Rule, sink: &mut Sink) {
        let whole = rule.matches.as_ref().map_or(rule.span, |m| m.span);
        let mut place = Span::NONE;
        rule.matches.iter().for_each(|m| {
            m.value.visit(&mut |t| {
                if place.is_none() && self.fields.contains(&t.field) {
                    place = t.span;
                }
            });
        });
        let place = if place.is_none() { whole } else { place };
        sink.push(Diagnostic::new(self.code, self.why).at(place, "").help(self.help));
    }
}

impl From<TooMany> for Unsaid {
    fn from(_: TooMany) -> Unsaid {
        let why = format!("this match comes to more than {MOST} filters, one for each of its alternatives");
        let help = "part it into several rules, or write wider ranges and prefixes";
        Unsaid { code: &codes::TOO_MANY_FILTERS, ..Unsaid::new(&[], why, help) }
    }
}

/// Where a rule's filters will stand.
#[derive(Clone, Copy)]
pub struct Spot<'a> {
    /// The link's figures, and the kernel's.
    pub facts: &'a Facts,
    /// What the whole direction is pinned to.
    pub pin: Option<Classifier>,
    /// Whether packets come in here: nothing is known of their connections and senders.
    pub arriving: bool,
    /// The first rule of the policy that is not for all ports that there are, and should be.
    pub ports: &'a Cell<Option<Span>>,
}

/// The filters of one rule.
pub fn wanted(
    rule: &Rule,
    target: Option<Handle>,
    actions: Option<Actions>,
    path: CompactString,
    spot: Spot,
    sink: &mut Sink,
) -> Vec<Wanted> {
    if target.is_none() && actions.is_none() {
        return Vec::new();
    }
    let expression = rule.matches.as_ref().map(|m| &m.value);
    let saying = Saying {
        expression,
        // what is written into a header is not the same for both families
        apart: actions.as_ref().is_some_and(Actions::differ_by_family),
        target: target.filter(|_| actions.is_none()),
        spot,
    };
    let pin = rule.classifier.as_ref().map(|c| c.value).or(spot.pin);
    let (looks, why) = match saying.say(pin) {
        Ok(said) => said,
        Err(unsaid) => {
            unsaid.report(rule, sink);
            return Vec::new();
        }
    };
    if looks.is_empty() {
        let d = Diagnostic::new(&codes::MATCHES_NOTHING, "no packet can match this");
        sink.push(d.at(rule.matches.as_ref().map_or(rule.span, |m| m.span), ""));
    }
    let by_place = looks.iter().any(|l| matches!(l, Look::Header { .. }));
    if let Some(m) = rule.matches.as_ref().filter(|m| by_place && hides(&m.value, false, refuses(actions.as_ref()))) {
        spot.ports.set(spot.ports.get().or(Some(m.span)));
    }
    let n = looks.len();
    let text = rule.matches.as_ref().map(|m| brief(m.value.to_string()));
    let remark = |i: usize| match (&text, n) {
        (None, _) => None,
        (Some(text), 1) => Some(format!("{text}; {why}")),
        (Some(text), _) => Some(format!("{text} ({} of {n}); {why}", i + 1)),
    };
    let make = |(i, look)| {
        let origin = Origin { remark: remark(i), ..origin(rule.span, path.clone(), Vec::new()) };
        Wanted { look, target, actions: actions.clone(), pinned: pin.is_some(), origin }
    };
    looks.into_iter().enumerate().map(make).collect()
}

/// The most characters of a match that a remark repeats: a set may hold thousands, and each of its filters has the remark.
const REPEATED: usize = 400;

/// A text up to an item of a set.
fn brief(text: String) -> String {
    let Some(start) = text.char_indices().nth(REPEATED).and_then(|(at, _)| text.get(..at)) else { return text };
    format!("{}, …", start.rsplit_once(", ").map_or(start, |(start, _)| start))
}

/// Whether actions keep packets back.
fn refuses(actions: Option<&Actions>) -> bool {
    let words = ["control", "exceed"];
    let drops = |options: &dyn Options| words.iter().any(|w| options.value::<Control>(w) == Some(Control::DROP));
    actions.is_some_and(|list| list.0.iter().any(|act| drops(act.options.as_ref())))
}

/// Whether a packet whose port cannot be seen goes another way than it should: one that is to be kept back, or one that
/// is taken for another.
fn hides(expression: &Expression, negated: bool, refuses: bool) -> bool {
    match expression {
        Expression::And(parts) | Expression::Or(parts) => parts.iter().any(|p| hides(p, negated, refuses)),
        Expression::Not(inner) => hides(inner, true, refuses),
        Expression::Test(t) => {
            let port = matches!(t.field, Field::Sport | Field::Dport | Field::Port | Field::TcpFlags);
            port && (negated || refuses)
        }
    }
}

/// A match on its way to a classifier.
struct Saying<'a> {
    expression: Option<&'a Expression>,
    /// Whether each family has a filter of its own.
    apart: bool,
    /// The class, if that is all that becomes of the packets.
    target: Option<Handle>,
    spot: Spot<'a>,
}

/// The filters, and why they are of that classifier.
type Said = Result<(Vec<Look>, String), Unsaid>;

impl Saying<'_> {
    fn say(&self, pin: Option<Classifier>) -> Said {
        if let Some(unsaid) = self.nowhere() {
            return Err(unsaid);
        }
        let asked = |looks: Vec<Look>, word: &str| (looks, format!("{word}: asked for"));
        match pin {
            Some(Classifier::U32) => {
                let looks = self.by_u32(false)?;
                // where it sees some of the packets it takes those; what it sees none of is not said to be nothing
                let blind = looks.is_empty() && self.overlooks(&looks);
                return if blind { Err(unseen()) } else { Ok(asked(looks, "u32")) };
            }
            Some(Classifier::Flower) => return self.by_flower().map(|looks| asked(looks, "flower")),
            Some(Classifier::Basic) => return self.by_basic().map(|looks| asked(looks, "basic")),
            Some(Classifier::Bpf) => return self.by_bpf().map(|looks| asked(looks, "bpf")),
            None => {}
        }
        let narrow = match self.by_u32(self.spot.facts.classifiers.has("fw")) {
            Ok(looks) if self.overlooks(&looks) => Err(unseen()),
            Ok(looks) if looks.len() <= self.vast() || looks.len() <= TIMES * self.values() => {
                let why = match looks.as_slice() {
                    [Look::Mark { .. }, ..] => "fw: the mark alone",
                    [Look::Any(cube)] if cube.0.is_empty() => "u32: every packet",
                    _ => "u32: bits at fixed places",
                };
                return Ok((looks, why.to_owned()));
            }
            other => other,
        };
        let because = match &narrow {
            Ok(looks) => format!("in place of {} filters of u32", looks.len()),
            Err(unsaid) => unsaid.why.clone(),
        };
        let mut refused = Vec::new();
        type Way<'s, 'a> = fn(&'s Saying<'a>) -> Result<Vec<Look>, Unsaid>;
        let ways: [(&str, Way, &[Field]); 4] = [
            ("bpf", Saying::by_bpf, &[]),
            ("flower", Saying::by_flower, &[Field::ConnMark, Field::Iif]),
            ("basic", Saying::by_basic, &[Field::Priority]),
            ("cgroup", Saying::by_cgroup, &[Field::Cgroup]),
        ];
        for (kind, way, own) in ways {
            match way(self) {
                Ok(looks) if narrow.as_ref().is_ok_and(|narrow| narrow.len() <= looks.len()) => {}
                Ok(looks) if self.spot.facts.classifiers.has(kind) => return Ok((looks, format!("{kind}: {because}"))),
                Ok(_) => {
                    let why = format!("only `{kind}` can say this, and this kernel has none");
                    let unsaid = Unsaid::new(&[], why, BY_MARK);
                    refused.push((own, Unsaid { code: &codes::KERNEL_LACKS, fields: own, ..unsaid }));
                }
                Err(unsaid) => refused.push((own, unsaid)),
            }
        }
        if let Ok(looks) = narrow {
            return Ok((looks, "u32: bits at fixed places".to_owned()));
        }
        // the classifier that is made for one of the fields says best what is wrong
        let at = refused.iter().rposition(|(own, _)| own.iter().any(|f| self.asks(&[*f]))).unwrap_or(0);
        match (at, narrow) {
            (0, Err(unsaid)) => Err(unsaid),
            _ => {
                let (_, made) = refused.swap_remove(at);
                let (_, general) = refused.swap_remove(0);
                Err(made.beside(general))
            }
        }
    }

    fn asks(&self, fields: &[Field]) -> bool {
        let mut asked = false;
        self.expression.iter().for_each(|e| e.visit(&mut |t| asked |= fields.contains(&t.field)));
        asked
    }

    /// Whether filters of u32 have nothing for a family of which there are such packets: it sees no TCP in a fragment of IPv6.
    fn overlooks(&self, looks: &[Look]) -> bool {
        let none = |formula: &Formula| formula.cubes().is_ok_and(|cubes| cubes.is_empty());
        let looked = |protocol: u16| looks.iter().any(|look| [ALL, protocol].contains(&look.protocol()));
        self.asks(&[Field::Fragment])
            && self.compile(Sight::Walking).worlds.iter().any(|(protocol, f)| !looked(*protocol) && !none(f))
    }

    /// How many filters of u32 are no hindrance.
    fn vast(&self) -> usize {
        let (mut inside, mut outside) = (false, false);
        self.expression.iter().for_each(|e| {
            e.visit_signed(false, &mut |t, negated| {
                let address = matches!(t.field, Field::Src | Field::Dst | Field::Host);
                inside |= address && !negated;
                outside |= address && negated;
            });
        });
        if outside && !inside { OUTSIDE } else { VAST }
    }

    /// How many values are written.
    fn values(&self) -> usize {
        let mut values = 0;
        self.expression.iter().for_each(|e| e.visit(&mut |t| values += t.items.len().max(1)));
        values
    }

    /// What no classifier can know here.
    fn nowhere(&self) -> Option<Unsaid> {
        const MACS: &[Field] = &[Field::MacSrc, Field::MacDst];
        let header = self.spot.facts.header;
        if header != ETHERNET && self.asks(MACS) {
            // they are looked for where a header of Ethernet has them
            let why = format!("the link's header has {header} bytes: there are no hardware addresses in it");
            let help = "match addresses of IP, or match on the interface that has hardware addresses";
            return Some(Unsaid::new(MACS, why, help));
        }
        if self.spot.arriving && self.asks(&[Field::ConnMark]) {
            let why = "what arrives is not known to belong to a connection yet";
            let help = "bring the mark back first, `ingress: { rules: [ { do: [ { ctinfo: { cpmark: yes } }, continue ] } ] }`, \
                        and match `mark`";
            return Some(Unsaid::new(&[Field::ConnMark], why, help));
        }
        if self.spot.arriving && self.asks(&[Field::Cgroup]) {
            let why = "what arrives was sent by no control group of this machine";
            return Some(Unsaid::new(&[Field::Cgroup], why, "match it on `egress`"));
        }
        None
    }

    fn compile(&self, sight: Sight) -> Matched {
        matching::compile(self.expression, sight)
    }

    /// Filters for packets of each protocol; `None` stands for all.
    fn each(
        &self,
        matched: &Matched,
        mut make: impl FnMut(Option<u16>, &Formula) -> Result<Vec<Look>, Unsaid>,
        others: impl FnOnce() -> Unsaid,
    ) -> Result<Vec<Look>, Unsaid> {
        let mut looks = Vec::new();
        match matched.same() {
            Some(formula) if formula.is_no() => {}
            Some(formula) if self.apart => {
                for protocol in [IPV4, IPV6] {
                    looks.extend(make(Some(protocol), formula)?);
                }
            }
            Some(formula) => looks = make(None, formula)?,
            None if !matched.others.is_no() => return Err(others()),
            None => {
                for (protocol, formula) in matched.worlds.iter().filter(|(_, f)| !f.is_no()) {
                    looks.extend(make(Some(*protocol), formula)?);
                }
            }
        }
        Ok(looks)
    }

    /// The filters of u32, and, where they say it, of `fw`.
    fn by_u32(&self, fw: bool) -> Result<Vec<Look>, Unsaid> {
        let matched = self.compile(Sight::Fixed);
        if matched.tagged && matched.same().is_none() {
            return Err(unknown("u32", Known::Inner));
        }
        let make = |protocol, formula: &Formula| {
            let of = |cube| look(protocol, cube, fw, &matched, self.spot.facts);
            formula.cubes()?.into_iter().map(of).collect()
        };
        self.each(&matched, make, || other_protocols("u32"))
    }

    fn by_flower(&self) -> Result<Vec<Look>, Unsaid> {
        let matched = self.compile(Sight::Walking);
        let make = |protocol, formula: &Formula| {
            let filters = flower::filters(protocol, &formula.cubes()?, &matched)?;
            Ok(filters.into_iter().map(|(protocol, flower)| made(flower_made(protocol, flower))).collect())
        };
        self.each(&matched, make, || other_protocols("flower"))
    }

    fn by_basic(&self) -> Result<Vec<Look>, Unsaid> {
        let matched = self.compile(Sight::Fixed).in_order();
        if matched.tagged && matched.same().is_none() {
            return Err(unknown("basic", Known::Inner));
        }
        let tree = |formula: &Formula| ematch::tree(formula).map_err(|known| unknown("basic", known));
        let basic = |protocol, formula: &Formula| -> Result<Look, Unsaid> {
            let options = Basic { matches: tree(formula)?, ..Basic::default() };
            Ok(made(Made::new(&cls_basic::KIND, protocol, options, Beside::Nobody)))
        };
        let make = |protocol: Option<u16>, formula: &Formula| Ok(vec![basic(protocol.unwrap_or(ALL), formula)?]);
        if matched.same().is_some() || matched.others.is_no() {
            return self.each(&matched, make, || other_protocols("basic"));
        }
        // one filter for each protocol that is named, and one for those that are not
        let named = Matched { others: Formula::no(), ..matched.clone() };
        let mut looks = self.each(&named, make, || other_protocols("basic"))?;
        let numbers = matched.worlds.iter().map(|(n, _)| (u128::from(*n), u128::from(*n))).collect();
        let other = Formula::not(Formula::In(Bits::known(Known::Ether, 16), numbers));
        looks.push(basic(ALL, &Formula::All(vec![other, matched.others]).simple())?);
        Ok(looks)
    }

    fn by_bpf(&self) -> Result<Vec<Look>, Unsaid> {
        let formula = self.compile(Sight::Walking).in_order().whole();
        if let Some(known) = bpf::unknown(&formula) {
            return Err(unknown("bpf", known));
        }
        if bpf::before_the_packet(&formula) {
            let why = "bpf reads nothing before the link's header";
            return Err(Unsaid::new(&[Field::Raw], why, "write `mac src` and `mac dst`"));
        }
        if formula.is_no() {
            return Ok(Vec::new());
        }
        if bpf::program([(&formula, OWN)].into_iter(), self.spot.facts.header).is_none() {
            let why = format!("this match comes to a program of more than {} instructions", bpf::MOST);
            let help = "part it into several rules";
            return Err(Unsaid { code: &codes::TOO_MANY_FILTERS, ..Unsaid::new(&[], why, help) });
        }
        let protocols: &[u16] = if self.apart { &[IPV4, IPV6] } else { &[ALL] };
        let program = |protocol: &u16| Look::Program { protocol: *protocol, formula: formula.clone() };
        Ok(protocols.iter().map(program).collect())
    }

    /// cgroup sends what a control group has sent to the class of the group's number, whichever that is.
    fn by_cgroup(&self) -> Result<Vec<Look>, Unsaid> {
        const CGROUP: &[Field] = &[Field::Cgroup];
        const BY_SENDER: &str = "set a `mark` with nftables (`socket cgroupv2`, `meta cgroup`) and match that";
        let matched = self.compile(Sight::Fixed).in_order();
        let make = |protocol: Option<u16>, formula: &Formula| {
            let Some((number, rest)) = group_of(formula) else {
                let why = "a control group can only be asked for by one number, and not under `not` or `or`";
                return Err(Unsaid::new(CGROUP, why, BY_SENDER));
            };
            if self.target != Some(Handle(number)) {
                let own = self.target.map_or("none".to_owned(), |t| format!("{t}"));
                let why = format!(
                    "a control group can only be sent to the class of its number, {}, and this is {own}",
                    Handle(number)
                );
                return Err(Unsaid::new(CGROUP, why, "give the class that number (`id:`), or match a `mark`"));
            }
            let matches = ematch::tree(&rest).map_err(|known| unknown("cgroup", known))?;
            let options = Cgroup { matches, ..Cgroup::default() };
            Ok(vec![made(Made::new(&cls_cgroup::KIND, protocol.unwrap_or(ALL), options, Beside::Nobody))])
        };
        self.each(&matched, make, || other_protocols("cgroup"))
    }
}

fn made(made: Made) -> Look {
    Look::Made(Box::new(made))
}

/// A filter of flower, beside others that have the same keys.
fn flower_made(protocol: u16, flower: Flower) -> Made {
    let ranged = [flower.src_port, flower.dst_port].iter().flatten().any(|p| matches!(p, cls_flower::Ports::Range(..)));
    let beside = if ranged { Beside::Nobody } else { Beside::Keys(keys(protocol, &flower)) };
    Made::new(&cls_flower::KIND, protocol, flower, beside)
}

/// The keys of a filter of flower as a number: which there are, and their masks.
fn keys(protocol: u16, flower: &Flower) -> u64 {
    let print = Fingerprint::new().word(u32::from(protocol));
    let bits = |f: Fingerprint, word: &str, mask: &[u8]| f.bytes(word.as_bytes()).bytes(mask);
    let address = |mask: std::net::IpAddr| match mask {
        std::net::IpAddr::V4(m) => m.octets().to_vec(),
        std::net::IpAddr::V6(m) => m.octets().to_vec(),
    };
    let port = |p: cls_flower::Ports| match p {
        cls_flower::Ports::Masked { mask, .. } => mask.to_be_bytes(),
        cls_flower::Ports::Range(..) => [0; 2],
    };
    let wide = |mask: u32| mask.to_be_bytes().to_vec();
    let masks: [(&str, Option<Vec<u8>>); 16] = [
        ("indev", flower.indev.as_ref().map(|_| Vec::new())),
        ("vlan_id", flower.vlan_id.map(|_| Vec::new())),
        ("vlan_ethtype", flower.vlan_ethtype.map(|_| Vec::new())),
        ("dst_mac", flower.dst_mac.map(|m| m.mask.to_vec())),
        ("src_mac", flower.src_mac.map(|m| m.mask.to_vec())),
        ("ip_proto", flower.ip_proto.map(|p| vec![p.0])),
        ("dst_ip", flower.dst_ip.map(|n| address(n.mask))),
        ("src_ip", flower.src_ip.map(|n| address(n.mask))),
        ("ip_tos", flower.ip_tos.map(|b| wide(b.mask))),
        ("ip_ttl", flower.ip_ttl.map(|b| wide(b.mask))),
        ("ip_flags", flower.ip_flags.map(|f| wide(f.mask))),
        ("dst_port", flower.dst_port.map(|p| port(p).to_vec())),
        ("src_port", flower.src_port.map(|p| port(p).to_vec())),
        ("tcp_flags", flower.tcp_flags.map(|b| wide(b.mask))),
        ("icmp", flower.icmp_type.map(|b| wide(b.mask)).or(flower.icmp_code.map(|b| wide(b.mask)))),
        ("ct_mark", flower.ct_mark.map(|b| wide(b.mask))),
    ];
    masks.iter().filter_map(|(word, mask)| Some((word, mask.as_ref()?))).fold(print, |f, (w, m)| bits(f, w, m)).0
}

/// The control group that a formula asks for, and what else.
fn group_of(formula: &Formula) -> Option<(u32, Formula)> {
    let group = |f: &Formula| match f {
        Formula::Word(Key { at: At::Known(Known::Cgroup), value, mask: u32::MAX }) => Some(*value),
        _ => None,
    };
    if let Some(number) = group(formula) {
        return Some((number, Formula::yes()));
    }
    let Formula::All(parts) = formula else { return None };
    let number = parts.iter().find_map(group)?;
    let rest = parts.iter().filter(|p| group(p).is_none()).cloned().collect();
    Some((number, Formula::All(rest).simple()))
}

/// Why u32 has no filter for what stands behind IPv6's fragment header.
fn unseen() -> Unsaid {
    let why = "u32 does not see this where it is, behind IPv6's fragment header";
    Unsaid::new(&[Field::Fragment], why, "leave the choice to the compiler, or write `classifier: bpf`")
}

fn other_protocols(kind: &str) -> Unsaid {
    Unsaid::new(
        &[Field::Ethertype],
        format!("{kind} cannot say that a protocol is another one"),
        "match what is wanted: `ip`, `ip6`, `arp`",
    )
}

/// One alternative, for packets of one protocol or of all.
fn look(protocol: Option<u16>, mut cube: Cube, fw: bool, matched: &Matched, facts: &Facts) -> Result<Look, Unsaid> {
    if let (None, true, [Key { at: At::Known(Known::Mark), mask, value: value @ 1.. }]) =
        (protocol, fw, cube.0.as_slice())
    {
        return Ok(Look::Mark { value: *value, mask: *mask });
    }
    let mut indev = None;
    for key in &cube.0 {
        match key.at {
            At::Known(Known::Mark) if !facts.u32_mark => {
                let why = "this kernel's u32 cannot match marks, and would take every packet for marked";
                let help = "match the mark alone in a rule, or use a kernel with CONFIG_CLS_U32_MARK";
                return Err(Unsaid { code: &codes::MARK_UNSUPPORTED, ..Unsaid::new(&[Field::Mark], why, help) });
            }
            At::Known(Known::Mark) | At::Offset(_) => {}
            At::Known(Known::Iif) if key.mask == u32::MAX => indev = matched.links.get(key.value as usize).cloned(),
            At::Known(known) => return Err(unknown("u32", known)),
            At::Beyond(_) => return Err(unknown("u32", Known::Proto)),
        }
    }
    let Some(indev) = indev else {
        return Ok(match protocol {
            Some(protocol) => Look::Header { protocol, cube },
            None => Look::Any(cube),
        });
    };
    cube.0.retain(|k| k.at != At::Known(Known::Iif));
    let options = U32 { indev: Some(Name(indev)), ..u32_options(&cube) };
    let protocol = protocol.unwrap_or(ALL);
    Ok(made(Made::new(&cls_u32::KIND, protocol, options, Beside::U32)))
}

/// What a classifier does not know of a packet.
pub(super) fn unknown(kind: &str, known: Known) -> Unsaid {
    let (fields, what, help): (&[Field], _, _) = match known {
        Known::Vlan | Known::Inner => (&[Field::Vlan], "a packet's VLAN", BY_MARK),
        Known::Ether => (&[Field::Ethertype], "another ethertype than its own", "name one ethertype, without `not`"),
        Known::Priority => (&[Field::Priority], "a packet's priority", "match what sets the priority, or a `mark`"),
        Known::Cgroup => {
            (&[Field::Cgroup], "who sent a packet", "set a `mark` with nftables (`socket cgroupv2`) and match that")
        }
        Known::ConnMark => (
            &[Field::ConnMark],
            "a connection's mark",
            "set the packet's mark from it, `nft add rule inet shape postrouting meta mark set ct mark`, and match `mark`",
        ),
        Known::Iif => (
            &[Field::Iif],
            match kind {
                "u32" | "flower" => "that a packet came in by another link, only that it did by one",
                _ => "where a packet came in",
            },
            "write the rule for `iif` of this link before, and this one without; or set a `mark` with nftables (`iifname`) \
             and match that",
        ),
        Known::Mark => {
            (&[Field::Mark], "a packet's mark", "leave the choice to the compiler, or match the mark alone in a rule")
        }
        Known::Proto | Known::Pieces => {
            (&[], "where the transport header is", "leave the choice to the compiler, or write `classifier: bpf`")
        }
    };
    Unsaid::new(fields, format!("{kind} does not know {what}"), help)
}

/// The names of programs of several rules, which are changed in place as long as they have the same.
#[derive(Default)]
struct Borders {
    runs: usize,
    taken: HashSet<CompactString>,
}

impl Borders {
    /// The name of a program: that of its run if it is the first of it, else that of the rule that it begins with.
    fn name(&mut self, word: &str, border: Option<u64>) -> CompactString {
        let name = match border {
            Some(print) => format_compact!("{word}.{print:016x}"),
            None => {
                self.runs += 1;
                format_compact!("{word}.{}", self.runs - 1)
            }
        };
        let again = |nth: usize| if nth == 0 { name.clone() } else { format_compact!("{name}.{nth}") };
        let free = (0..).map(again).find(|name| !self.taken.contains(name)).unwrap_or_default();
        self.taken.insert(free.clone());
        free
    }

    /// Where a list is parted into programs: before that of these rules whose print is the least. A rule that comes or goes
    /// elsewhere leaves the border where it is, and so the programs beyond it as they are.
    fn least(between: impl Iterator<Item = usize>, print: impl Fn(usize) -> u64) -> Option<(usize, u64)> {
        between.map(|at| (at, print(at))).min_by_key(|(_, print)| *print)
    }
}

/// Writes the programs: rules beside each other that only name a class have one together, as long as it is not too long.
fn programs(wanted: Vec<Wanted>, facts: &Facts) -> Vec<Wanted> {
    let joins =
        |w: &Wanted| matches!(w.look, Look::Program { protocol: ALL, .. }) && w.actions.is_none() && w.target.is_some();
    let (mut out, mut run, mut borders) = (Vec::with_capacity(wanted.len()), Vec::new(), Borders::default());
    for one in wanted {
        if joins(&one) {
            run.push(one);
            continue;
        }
        together(std::mem::take(&mut run), None, facts, &mut borders, &mut out);
        out.push(alone(one, facts));
    }
    together(run, None, facts, &mut borders, &mut out);
    out
}

/// A program of one rule: it says yes or no.
fn alone(one: Wanted, facts: &Facts) -> Wanted {
    let Look::Program { protocol, formula } = &one.look else { return one };
    let program = bpf::program([(formula, OWN)].into_iter(), facts.header).map(|program| program.code);
    Wanted { look: made(bpf_made(*protocol, program, None)), ..one }
}

fn bpf_made(protocol: u16, program: Option<Bytecode>, key: Option<CompactString>) -> Made {
    let options = Bpf { bytecode: program, ..Bpf::default() };
    Made { key, ..Made::new(&cls_bpf::KIND, protocol, options, Beside::Nobody) }
}

/// A program of several rules, behind a border or at the beginning: it says the class.
fn together(mut run: Vec<Wanted>, border: Option<u64>, facts: &Facts, borders: &mut Borders, out: &mut Vec<Wanted>) {
    if run.len() <= 1 {
        out.extend(run.pop().map(|one| alone(one, facts)));
        return;
    }
    let rule = |w: &'_ Wanted| match &w.look {
        Look::Program { formula, .. } => Some((formula.clone(), w.target?.0)),
        _ => None,
    };
    let rules: Vec<(Formula, u32)> = run.iter().filter_map(rule).collect();
    let program = bpf::program(rules.iter().map(|(f, class)| (f, *class)), facts.header);
    let Some(program) = program.filter(|p| p.code.0.len() <= bpf::JOINED) else {
        let text = |at: usize| rules.get(at).map(|(formula, _)| format!("{formula:?}")).unwrap_or_default();
        let print = |at: usize| Fingerprint::new().bytes(text(at).as_bytes()).0;
        let middle = (run.len() * 3 / 8).max(1)..=run.len() * 5 / 8;
        let (at, print) = Borders::least(middle, print).unwrap_or((run.len() / 2, 0));
        let rest = run.split_off(at);
        together(run, border, facts, borders, out);
        together(rest, Some(print), facts, borders, out);
        return;
    };
    let why = run.iter().find_map(|w| w.origin.remark.as_deref()?.split_once("; bpf: ")).map(|(_, why)| why);
    let origins: Vec<&Origin> = run.iter().map(|w| &w.origin).collect();
    let origin = joined(&origins, &program, why.unwrap_or("asked for"));
    let look = made(bpf_made(ALL, Some(program.code), Some(borders.name("program", border))));
    out.push(Wanted { look, target: None, actions: None, pinned: false, origin });
}

/// Where a program of several rules comes from.
fn joined(rules: &[&Origin], program: &Program, why: &str) -> Origin {
    let told = |origin: &&Origin| {
        let remark = origin.remark.as_deref().unwrap_or("any");
        let text = remark.split("; ").next().unwrap_or(remark);
        // one of several filters of the rule; the program has all of it
        let whole = text.rsplit_once(" (").filter(|(_, part)| part.contains(" of ") && part.ends_with(')'));
        format!("{} if {}", origin.name, whole.map_or(text, |(whole, _)| whole))
    };
    let mut remarks: Vec<String> = rules.iter().take(TOLD).map(told).collect();
    if rules.len() > TOLD {
        remarks.push(format!("and {} more", rules.len() - TOLD));
    }
    remarks.push(format!("one program for {} rules, bpf: {why}", rules.len()));
    let place = |(at, rule): &(usize, usize)| Some((*at, rules.get(*rule)?.span?));
    Origin {
        span: rules.first().and_then(|origin| origin.span),
        name: CompactString::default(),
        remark: Some(remarks.join("; ")),
        returns: program.returns.iter().filter_map(place).collect(),
    }
}

/// The list with programs in the place of long runs of filters that each are about one field, which no table parts: some are
/// by source and some by destination, and of a packet that has both the first decides; or they look behind the header, where
/// a packet may end.
fn by_fields(wanted: Vec<Wanted>, before: Before, facts: &Facts) -> Vec<Wanted> {
    let ends: Vec<Option<Lone>> = wanted.iter().map(Wanted::lone).collect();
    let mut counts: BTreeMap<(bool, i32), usize> = BTreeMap::new();
    ends.iter().flatten().for_each(|end| *counts.entry((end.six, end.field.start)).or_default() += 1);
    let several =
        |six: bool| counts.range((six, i32::MIN)..=(six, i32::MAX)).filter(|(_, n)| **n >= LONE / 2).count() > 1;
    let behind = ends.iter().flatten().filter(|end| matching::is_behind(end.six, end.field)).count() >= LONE;
    if !facts.classifiers.has("bpf") || !(behind || several(false) || several(true)) {
        return wanted;
    }
    let (singles, any) = (singles(&wanted, facts), Cube::default());
    let rows: Vec<Row> = wanted.iter().zip(&singles).map(|(w, single)| w.row(&single.key, &any)).collect();
    let items = items(&wanted, &rows, &singles, &mut Numbering::new(before.tables, before.foreign_tables));
    let end = |item: &Item| match item {
        Item::Row(i) => ends.get(*i).copied().flatten().map(|end| (*i, end)),
        Item::Table(_) => None,
    };
    // in the order in which they are asked
    let mut order: Vec<Result<usize, Vec<(usize, Lone)>>> = Vec::with_capacity(wanted.len());
    for run in items.chunk_by(|a, b| end(a).is_some() && end(b).is_some()) {
        let own: Vec<(usize, Lone)> = run.iter().filter_map(end).collect();
        if own.len() >= LONE {
            order.push(Err(own));
        } else {
            order.extend(run.iter().flat_map(Item::rows).map(Ok));
        }
    }
    let mut wanted: Vec<Option<Wanted>> = wanted.into_iter().map(Some).collect();
    let (mut out, mut borders) = (Vec::with_capacity(wanted.len()), Borders::default());
    let mut take = |i: usize| wanted.get_mut(i).and_then(Option::take);
    for one in order {
        match one {
            Ok(i) => out.extend(take(i)),
            Err(run) => {
                let run: Vec<(Wanted, Lone)> = run.into_iter().filter_map(|(i, end)| Some((take(i)?, end))).collect();
                looked_up(&run, facts, &mut borders, &mut out);
            }
        }
    }
    out
}

/// Programs for a run of filters that each are about one field, nearly as few as can be.
fn looked_up(mut run: &[(Wanted, Lone)], facts: &Facts, borders: &mut Borders, out: &mut Vec<Wanted>) {
    let (mut border, mut next) = (None, None);
    while !run.is_empty() {
        let mut count = run.len().min(MOST_LONE);
        loop {
            let (own, rest) = run.split_at(count);
            let (mut rules, mut ends): (Vec<&Wanted>, Vec<Lone>) = (Vec::new(), Vec::with_capacity(count));
            for (wanted, end) in own {
                let same = |last: &&Wanted| (last.origin.span, last.target) == (wanted.origin.span, wanted.target);
                if !rules.last().is_some_and(same) {
                    rules.push(wanted);
                }
                ends.push(Lone { rule: rules.len() - 1, ..*end });
            }
            let results: Vec<u32> = rules.iter().map(|w| w.target.unwrap_or_default().0).collect();
            let program = bpf::by_fields(&ends, &results, facts.header);
            let Some(program) = program.filter(|p| p.code.0.len() <= bpf::JOINED || count == 1) else {
                count = (count * 9 / 10).max(1);
                continue;
            };
            if count < run.len() && next.is_none() {
                next = border_before(run, count, facts);
                if let Some((at, _)) = next.filter(|(at, _)| *at < count) {
                    count = at;
                    continue;
                }
            }
            let why = match ends.iter().any(|end| matching::is_behind(end.six, end.field)) {
                true => "by words behind the header, where packets may end: no table can read them",
                false => "by either end of a packet, of which the earlier rule decides; no table keeps their order",
            };
            let origins: Vec<&Origin> = rules.iter().map(|w| &w.origin).collect();
            let origin = joined(&origins, &program, why);
            let look = made(bpf_made(ALL, Some(program.code), Some(borders.name("fields", border))));
            border = next.take().map(|(_, print)| print);
            out.push(Wanted { look, target: None, actions: None, pinned: false, origin });
            run = rest;
            break;
        }
    }
}

/// The border in the last quarter of as many filters as fit into a program: where a rule begins.
fn border_before(run: &[(Wanted, Lone)], count: usize, facts: &Facts) -> Option<(usize, u64)> {
    let rule = |at: usize| run.get(at).map(|(wanted, _)| (wanted.origin.span, wanted.target));
    let begins = |at: &usize| rule(*at) != rule(*at - 1);
    let print = |at: usize| run.get(at).map_or(0, |(wanted, _)| wanted.look.fingerprint(facts));
    Borders::least(((count * 3 / 4).max(1)..=count).filter(begins), print)
}

/// A filter for all that no rule took, to a class.
pub fn rest(target: Handle, path: CompactString, span: Span) -> Wanted {
    let origin = origin(span, path, vec!["what no rule takes".to_owned()]);
    Wanted { look: Look::Any(Cube::default()), target: Some(target), actions: None, pinned: false, origin }
}

/// A filter for all that no rule took, with actions.
pub fn rest_with(actions: Actions, span: Span) -> Wanted {
    let origin = origin(span, CompactString::default(), Vec::new());
    Wanted { look: Look::Any(Cube::default()), target: None, actions: Some(actions), pinned: false, origin }
}

impl Look {
    /// The Ethernet protocol of the filter.
    fn protocol(&self) -> u16 {
        match self {
            Look::Header { protocol, .. } => *protocol,
            Look::Made(made) => made.protocol,
            Look::Program { protocol, .. } => *protocol,
            Look::Any(_) | Look::Mark { .. } => ALL,
        }
    }

    /// What it matches as a number that stays the same.
    fn fingerprint(&self, facts: &Facts) -> u64 {
        let cube = |f: Fingerprint, cube: &Cube| {
            cube.0.iter().fold(f, |f, k| {
                let at = match k.at {
                    At::Known(Known::Mark) => f.word(0).word(0),
                    At::Known(known) => f.word(3).word(known as u32),
                    At::Offset(o) => f.word(1).word(o as u32),
                    At::Beyond(o) => f.word(2).word(o as u32),
                };
                at.word(k.mask).word(k.value)
            })
        };
        match self {
            Look::Header { protocol, cube: c } => cube(Fingerprint::new().word(u32::from(*protocol)), c).0,
            Look::Any(c) => cube(Fingerprint::new().word(u32::from(ALL)), c).0,
            Look::Mark { value, mask } => Fingerprint::new().word(0).word(*mask).word(*value).0,
            Look::Made(made) => made.fingerprint(facts),
            Look::Program { protocol, .. } => Fingerprint::new().word(3).word(u32::from(*protocol)).0,
        }
    }

    /// Where it may stand; `nth` tells apart filters that look at the same, `serial` all.
    fn sort(&self, nth: u32, serial: u32) -> Sort {
        match self {
            // beyond the header a packet may end, and then u32 gives up the whole priority
            Look::Header { protocol, cube } if reads_unsure(*protocol, cube) => Sort::Alone(serial),
            Look::Header { protocol, .. } => u32_sort(*protocol),
            Look::Any(_) => Sort::All,
            Look::Mark { mask, .. } => Sort::Mark(*mask, nth),
            Look::Made(made) => match made.beside {
                Beside::U32 => u32_sort(made.protocol),
                Beside::Keys(print) => Sort::Keys(print, nth),
                Beside::Nobody => Sort::Alone(serial),
            },
            Look::Program { .. } => Sort::Alone(serial),
        }
    }
}

fn u32_sort(protocol: u16) -> Sort {
    match protocol {
        IPV4 | IPV6 => Sort::Ip,
        ALL => Sort::All,
        other => Sort::Of(other),
    }
}

impl Made {
    fn fingerprint(&self, facts: &Facts) -> u64 {
        let mut wire = Attributes::new();
        self.options.encode(&mut wire, facts);
        let print = Fingerprint::new().word(2).word(u32::from(self.protocol)).bytes(self.kind.name.as_bytes());
        print.bytes(&wire.bytes).0
    }
}

/// Whether a cube reads a word that is not sure to be there: only a raw `u32` match does.
fn reads_unsure(protocol: u16, cube: &Cube) -> bool {
    let unsure = |key: &Key| matches!(key.at, At::Offset(at) if tables::guard(protocol, cube, at).is_none());
    cube.0.iter().any(unsure)
}

/// A cube as keys of u32, and the mark, which is a test of its own there.
fn u32_options(cube: &Cube) -> U32 {
    let mut options = U32::default();
    let mut keys = Keys::default();
    for key in &cube.0 {
        match key.at {
            At::Known(Known::Mark) => options.mark = Some(Mark { value: key.value, mask: key.mask }),
            At::Offset(offset) => keys.0.push(cls_u32::Key { value: key.value, mask: key.mask, offset, next: false }),
            At::Known(_) | At::Beyond(_) => {}
        }
    }
    options.keys = Some(if keys.0.is_empty() { Keys::any() } else { keys });
    options
}

/// What is remembered of the filters below one parent, and what others have there.
#[derive(Clone, Copy)]
pub struct Before<'a> {
    /// The places.
    pub filters: Option<&'a Filters>,
    /// The hash tables.
    pub tables: &'a Tables,
    /// Others' pairs of priorities.
    pub foreign: &'a BTreeSet<u16>,
    /// Others' hash tables.
    pub foreign_tables: &'a BTreeSet<u16>,
}

/// What each filter is known by, and beside which it may stand.
fn singles(wanted: &[Wanted], facts: &Facts) -> Vec<Entry> {
    let mut seen: HashMap<u64, u32> = HashMap::new();
    let mut singles = Vec::with_capacity(wanted.len());
    for (serial, w) in wanted.iter().enumerate() {
        let print = w.look.fingerprint(facts);
        let nth = seen.entry(print).and_modify(|n| *n += 1).or_insert(0);
        let named = match &w.look {
            Look::Made(made) => made.key.clone(),
            _ => None,
        };
        let key = if let Some(key) = named {
            key
        } else if *nth == 0 {
            format_compact!("{print:016x}")
        } else {
            format_compact!("{print:016x}.{nth}")
        };
        singles.push(Entry { key, sort: w.look.sort(*nth, serial as u32) });
    }
    singles
}

/// Gives filters below one parent their places and makes them objects, in the order in which they are asked.
pub fn place(
    parent: Handle,
    wanted: Vec<Wanted>,
    before: Before,
    facts: &Facts,
    sink: &mut Sink,
) -> (Vec<Object>, Filters, Tables) {
    let wanted = by_fields(programs(wanted, facts), before, facts);
    let singles = singles(&wanted, facts);
    let any = Cube::default();
    let rows: Vec<Row> = wanted.iter().zip(&singles).map(|(w, single)| w.row(&single.key, &any)).collect();
    let mut numbering = Numbering::new(before.tables, before.foreign_tables);
    let mut items = items(&wanted, &rows, &singles, &mut numbering);
    let entry = |item: &Item| match item {
        Item::Row(i) => singles.get(*i).cloned(),
        Item::Table(_) => Some(Entry { key: item.key(&rows), sort: Sort::Ip }),
    };
    let entries: Vec<Entry> = items.iter().filter_map(entry).collect();
    let placed = order::places(&entries, before.filters, before.foreign).filter(|(places, _)| {
        let mut tables = items.iter_mut().zip(places);
        tables.all(|(item, place)| match item {
            Item::Table(table) => numbering.settle(table, place.group),
            Item::Row(_) => true,
        })
    });
    let Some((places, renumbered)) = placed else {
        let first = wanted.first().and_then(|w| w.origin.span).unwrap_or(Span::NONE);
        let message = format!("{} filters do not fit into the priorities of one discipline", wanted.len());
        let d = Diagnostic::new(&codes::HANDLE_BUDGET, message);
        sink.push(
            d.at(first, "the first of them").help("write rules of one kind beside each other: by header, by mark"),
        );
        return (Vec::new(), Filters::default(), Tables::default());
    };
    let unparted = unparted(&items, &singles);
    let objects = Vec::with_capacity(wanted.len());
    let mut maker = Maker { parent, wanted: &wanted, facts, renumbered, unparted, objects };
    let mut memory = Tables::new();
    for (item, place) in items.iter().zip(&places) {
        match item {
            Item::Row(i) => maker.row(*i, *place, None),
            Item::Table(table) => {
                let protocol = wanted.get(item.first()).map_or(ALL, |w| w.look.protocol());
                let above = Above { six: protocol == IPV6, place: None, rank: 0 };
                let mut inside = Vec::new();
                numbering.place(table, above, place.group, &rows, &mut inside, &mut memory);
                for (n, placed) in inside.into_iter().enumerate() {
                    match placed {
                        Placed::Table(table) => maker.table(table, place.group, protocol, n == 0),
                        Placed::Row(i, node) => maker.row(i, *place, Some(node)),
                        Placed::Link(table, node) => maker.link(table, place.group, protocol, node),
                    }
                }
                maker.link(table, place.group, protocol, Node::new(0, 0, place.node.into()));
            }
        }
    }
    let keys = items.iter().map(|item| item.key(&rows));
    let filters = keys.zip(places).collect();
    if let Some(over) = over_budget(&maker.objects) {
        let message = format!("these filters need more than {ROOTS} priorities of u32 below one discipline");
        let d = Diagnostic::new(&codes::HANDLE_BUDGET, message).at(over, "here the kernel has no table left");
        sink.push(d.help("write `classifier: bpf` beside these rules: one program takes many of them"));
    }
    (maker.objects, filters, memory)
}

/// The filter for whose priority u32 has no table left, if there is one.
fn over_budget(objects: &[Object]) -> Option<Span> {
    let of_u32 = |object: &&Object| object.kind.is_some_and(|kind| kind.name == cls_u32::KIND.name);
    let mut seen = BTreeSet::new();
    let first = objects.iter().filter(of_u32).find(|object| match object.id {
        Id::Filter { prio, .. } => seen.insert(prio) && seen.len() > ROOTS,
        _ => false,
    })?;
    Some(first.origin.span.unwrap_or(Span::NONE))
}

/// The list with its tables. Filters of IPv4 and of IPv6 do not see the same packets, so each have their own.
fn items<'a>(wanted: &[Wanted], rows: &[Row<'a>], singles: &[Entry], numbering: &mut Numbering<'a>) -> Vec<Item> {
    let mut out = Vec::with_capacity(rows.len());
    let mut begin = 0;
    for run in singles.chunk_by(|a, b| a.sort == b.sort) {
        let end = begin + run.len();
        if run.first().is_none_or(|entry| entry.sort != Sort::Ip) {
            out.extend((begin..end).map(Item::Row));
            begin = end;
            continue;
        }
        let of = |protocol: u16| -> Vec<usize> {
            let own = |i: &usize| wanted.get(*i).is_some_and(|w| w.look.protocol() == protocol);
            (begin..end).filter(own).collect()
        };
        let mut four = tables::arrange(IPV4, rows, &of(IPV4), numbering).into_iter().peekable();
        let mut six = tables::arrange(IPV6, rows, &of(IPV6), numbering).into_iter().peekable();
        loop {
            let from_six = match (four.peek(), six.peek()) {
                (Some(a), Some(b)) => b.first() < a.first(),
                (None, Some(_)) => true,
                (Some(_), None) => false,
                (None, None) => break,
            };
            out.extend(if from_six { six.next() } else { four.next() });
        }
        begin = end;
    }
    out
}

/// How many filters of u32 stand one after another, by the first of them, where that is many.
fn unparted(items: &[Item], singles: &[Entry]) -> HashMap<usize, usize> {
    let row = |item: &Item| match item {
        Item::Row(i) => Some(*i).filter(|i| singles.get(*i).is_some_and(|entry| entry.sort == Sort::Ip)),
        Item::Table(_) => None,
    };
    let runs = items.chunk_by(|a, b| row(a).is_some() && row(b).is_some()).filter(|run| run.len() > VAST);
    runs.filter_map(|run| Some((row(run.first()?)?, run.len()))).collect()
}

impl Wanted {
    /// The field that it is about, if that is all there is to it.
    fn lone(&self) -> Option<Lone> {
        let Look::Header { protocol, cube } = &self.look else { return None };
        let plain = !self.pinned && self.actions.is_none() && self.target.is_some();
        let (six, field, range) = matching::lone_field(*protocol, cube).filter(|_| plain)?;
        Some(Lone { six, field, range, rule: 0 })
    }

    /// As a row of a list. What looks at no header is in no table, whatever its cube.
    fn row<'a>(&'a self, key: &'a CompactString, any: &'a Cube) -> Row<'a> {
        let cube = match &self.look {
            Look::Header { cube, .. } | Look::Any(cube) => cube,
            Look::Mark { .. } | Look::Made(_) | Look::Program { .. } => any,
        };
        Row { cube, key, verdict: self.target.filter(|_| self.actions.is_none()) }
    }
}

/// Makes objects of filters that have their places.
struct Maker<'a> {
    parent: Handle,
    wanted: &'a [Wanted],
    facts: &'a Facts,
    renumbered: bool,
    unparted: HashMap<usize, usize>,
    objects: Vec<Object>,
}

impl Maker<'_> {
    fn push(
        &mut self,
        group: u16,
        protocol: u16,
        handle: u32,
        kind: &'static Kind,
        mut options: Box<dyn Options>,
        origin: Origin,
    ) {
        options.complete(self.facts);
        let prio = group * 2 + u16::from(protocol == IPV6);
        let id = Id::Filter { parent: self.parent, chain: 0, prio, protocol, handle };
        self.objects.push(Object { origin, ..Object::new(id, kind, options) });
    }

    /// A filter of a rule, in the list of its priority or in a bucket.
    fn row(&mut self, i: usize, place: Place, bucket: Option<Node>) {
        let Some(wanted) = self.wanted.get(i) else { return };
        let protocol = wanted.look.protocol();
        let ht = bucket.map(|node| Node(node.0 & 0xffff_f000));
        let own = bucket.map_or(place.node.into(), |node| node.0);
        let (kind, handle, mut options): (_, u32, Box<dyn Options>) = match &wanted.look {
            Look::Header { cube, .. } | Look::Any(cube) => {
                (&cls_u32::KIND, own, Box::new(U32 { ht, ..u32_options(cube) }))
            }
            Look::Mark { value, mask } => (&fw::KIND, *value, Box::new(Fw { mask: Some(Hex(*mask)), ..Fw::default() })),
            Look::Made(made) => {
                let mut options = made.options.clone();
                if let Some(u32) = options.as_kind_mut::<U32>() {
                    u32.ht = ht;
                }
                (made.kind, own, options)
            }
            // written by now
            Look::Program { .. } => (&cls_bpf::KIND, own, Box::new(Bpf::default())),
        };
        if let Some(target) = wanted.target {
            super::set_if_unset(options.as_mut(), "flowid", target);
        }
        if let Some(actions) = &wanted.actions {
            super::set_if_unset(options.as_mut(), "action", actions.clone().for_family(protocol == IPV6));
        }
        let mut origin = wanted.origin.clone();
        let mut say = |words: &str| {
            let remark = origin.remark.get_or_insert_default();
            remark.push_str(if remark.is_empty() { "" } else { "; " });
            remark.push_str(words);
        };
        if self.renumbered && bucket.is_none() {
            say("numbered anew: no number was free between its neighbours'");
        }
        if let Some(n) = self.unparted.get(&i).filter(|_| bucket.is_none()) {
            say(&format!("the first of {n} filters that are asked one after another: no table keeps their order"));
        }
        self.push(place.group, protocol, handle, kind, options, origin);
    }

    /// A table; the outermost says what it is for.
    fn table(&mut self, table: &Table, group: u16, protocol: u16, outermost: bool) {
        let options = U32 { divisor: Some(Number(table.window.divisor())), ..U32::default() };
        let said = || {
            let (rows, longest) = (table.rows, 1 + table.longest());
            let count = match table.count() {
                1 => "a hash table".to_owned(),
                n => format!("{n} hash tables"),
            };
            format!("{count} for {rows} filters: a packet is held against {longest} of them at most")
        };
        let origin = Origin { remark: outermost.then(said), ..Origin::default() };
        self.push(group, protocol, Node::new(table.id.into(), 0, 0).0, &cls_u32::KIND, Box::new(options), origin);
    }

    /// A filter that leads to a table; in the list of the priority if `place` names no other.
    fn link(&mut self, table: &Table, group: u16, protocol: u16, place: Node) {
        let ht = Some(Node(place.0 & 0xffff_f000)).filter(|ht| ht.table() != 0);
        let hashkey = HashKey { mask: table.window.mask, at: table.window.at as i16 };
        let link = Node::new(table.id.into(), 0, 0);
        let options = U32 { ht, hashkey: Some(hashkey), link: Some(link), ..u32_options(&table.guard) };
        self.push(group, protocol, place.0, &cls_u32::KIND, Box::new(options), Origin::default());
    }
}
