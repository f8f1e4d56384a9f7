//! The policy as values: everything spelled out (`let`, `sets`, profiles, includes and percentages are resolved),
//! everything with its place.

use super::layout::Layout;
use crate::kind::action::Actions;
use crate::kind::link::Device;
use crate::kind::{End, Kind, Options};
use crate::source::{Span, Spanned};
use crate::syntax::document::Name;
use crate::syntax::expression::{Expression, Way};
use crate::unit::{Estimator, LinkLayer, Packing, Presets, Rate, Seconds, Stab};
use compact_str::CompactString;

/// A whole policy.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The interfaces, in the order of writing.
    pub interfaces: Vec<Interface>,
    /// Blocks of filters that several hooks look into.
    pub blocks: Vec<Block>,
    /// Budgets that several interfaces share.
    pub shared: Vec<Shared>,
}

/// One budget for what several interfaces send or receive: a device of ours that they redirect to.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Its name.
    pub name: Name,
    /// The discipline and the rules beside it.
    pub direction: Direction,
}

/// A shared block of filters.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its number.
    pub number: Spanned<u32>,
    /// Its filters.
    pub filters: Vec<Filter>,
}

/// A filter of tc as it is written, beside the rules.
#[derive(Clone, Debug)]
pub struct Filter {
    /// The kind.
    pub kind: Spanned<&'static Kind>,
    /// What it hangs on: a class by its full path, or a number (`1:`, `1:10`); on a hook `ingress` or `egress`. `None`
    /// is the direction's own discipline, or the hook for what arrives.
    pub at: Option<Spanned<CompactString>>,
    /// tc's `prio`; 0 for the template of a chain, which is no filter.
    pub prio: u16,
    /// The Ethernet protocol in host order; 3 for all.
    pub protocol: u16,
    /// Its chain.
    pub chain: u32,
    /// Its number, if it is written.
    pub handle: Option<u32>,
    /// The class it sends to by name, by its full path; a number is among the options.
    pub class: Option<Spanned<CompactString>>,
    /// The options that are written.
    pub options: Box<dyn Options>,
    /// Their places.
    pub places: Places,
    /// The kernel's estimator, for actions that ask it.
    pub estimator: Option<Estimator>,
    /// The whole entry's place.
    pub span: Span,
}

/// The two disciplines that give filters a place on the way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// `clsact`, which has one for what leaves as well.
    Clsact,
    /// `ingress`.
    Ingress,
}

/// One interface.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Its name to the kernel.
    pub name: Name,
    /// The whole entry's place.
    pub span: Span,
    /// `link:`.
    pub link: Link,
    /// What is sent; `None` if the policy does not own this direction.
    pub egress: Option<Direction>,
    /// What arrives; `None` if the policy does not own this direction.
    pub ingress: Option<Ingress>,
    /// The shared budget that what is sent goes through first.
    pub shared: Option<Spanned<CompactString>>,
    /// The place of the `both` that the two directions come from.
    pub both: Option<Span>,
}

/// What the policy says of the link itself.
#[derive(Clone, Debug, Default)]
pub struct Link {
    /// Its true speed for what is sent; the whole that percentages at the top are of.
    pub rate: Option<Spanned<Rate>>,
    /// Its true speed for what arrives.
    pub down: Option<Spanned<Rate>>,
    /// Sizes as the link counts them: overhead, mpu, mtu, tsize, linklayer. Overhead is over the IP packet.
    pub stab: Option<Spanned<Stab>>,
    /// The kind of line that the sizes come from.
    pub preset: Option<Spanned<Presets>>,
    /// Packets of the default fifo.
    pub txqueuelen: Option<Spanned<u32>>,
    /// Whether an uplink masquerades (source NAT).
    pub nat: Option<Spanned<bool>>,
    /// The kind of the device, if the policy makes it where there is none.
    pub device: Option<Spanned<Device>>,
}

impl Link {
    /// How it packs bytes.
    pub fn packing(&self) -> Packing {
        match (&self.preset, &self.stab) {
            (Some(preset), _) => preset.value.packing(),
            (None, Some(stab)) if stab.value.layer() == LinkLayer::Atm => Packing::Atm,
            _ => Packing::Plain,
        }
    }

    /// Its true speed one way.
    pub fn speed(&self, way: Way) -> Option<Spanned<Rate>> {
        match way {
            Way::Up => self.rate,
            Way::Down => self.down,
        }
    }
}

/// A discipline with the rules beside it.
#[derive(Clone, Debug)]
pub struct Direction {
    /// The discipline.
    pub discipline: Discipline,
    /// The rules in the order in which they are asked: those in `rules`, and each class's own `match` in the class's place.
    pub rules: Vec<Rule>,
    /// Filters as they are, after those of the rules.
    pub filters: Vec<Filter>,
    /// The classifier that rules become filters of, if it is not left to the compiler.
    pub classifier: Option<Spanned<Classifier>>,
}

/// A classifier that rules can be pinned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classifier {
    /// `u32`.
    U32,
    /// `flower`.
    Flower,
    /// `basic`.
    Basic,
    /// `bpf`.
    Bpf,
}

impl Classifier {
    /// The words for them.
    pub const WORDS: [(&str, Classifier); 4] = [
        ("u32", Classifier::U32),
        ("flower", Classifier::Flower),
        ("basic", Classifier::Basic),
        ("bpf", Classifier::Bpf),
    ];
}

/// What happens to what arrives.
#[derive(Clone, Debug)]
pub struct Ingress {
    /// The place of `ingress`.
    pub span: Span,
    /// Rules with actions, before `police` and `shape`.
    pub rules: Vec<Rule>,
    /// One policer for everything that arrives.
    pub police: Option<Spanned<Actions>>,
    /// Redirected to an ifb and shaped there.
    pub shape: Option<Spanned<Direction>>,
    /// Redirected to the ifb of a shared budget.
    pub shared: Option<Spanned<CompactString>>,
    /// The discipline that holds the filters, if it is written.
    pub hook: Option<Spanned<Hook>>,
    /// The shared block that stands for the filters of what arrives.
    pub block: Option<Spanned<u32>>,
    /// The same for what leaves, on a `clsact`.
    pub egress_block: Option<Spanned<u32>>,
    /// The classifier that rules become filters of, if it is not left to the compiler.
    pub classifier: Option<Spanned<Classifier>>,
    /// Filters as they are, after those of the rules.
    pub filters: Vec<Filter>,
}

impl Interface {
    /// One of that name that says nothing yet.
    pub fn new(name: Name, span: Span) -> Interface {
        Interface { name, span, link: Link::default(), egress: None, ingress: None, shared: None, both: None }
    }
}

impl Ingress {
    /// One that says nothing yet.
    pub fn new(span: Span) -> Ingress {
        Ingress {
            span,
            rules: Vec::new(),
            police: None,
            shape: None,
            shared: None,
            hook: None,
            block: None,
            egress_block: None,
            classifier: None,
            filters: Vec::new(),
        }
    }
}

/// A discipline with its options.
#[derive(Clone, Debug)]
pub struct Discipline {
    /// The kind.
    pub kind: Spanned<&'static Kind>,
    /// The options that are written.
    pub options: Box<dyn Options>,
    /// The places of the written options, by row word.
    pub places: Places,
    /// `id:` pins the handle's major number.
    pub id: Option<Spanned<u16>>,
    /// `default:` of a kind with named classes: the class for what no rule takes, by its full path below this discipline
    /// (`line/rest`) where it is known; otherwise as it is written.
    pub default: Option<Spanned<CompactString>>,
    /// A default that no class here has, as a number.
    pub default_number: Option<u32>,
    /// A size table of its own, in tc's sense: overhead counts over the frame. At the root it goes before the link's.
    pub stab: Option<Spanned<Stab>>,
    /// The kernel's estimator.
    pub estimator: Option<Estimator>,
    /// By what hosts share it equally, if they do.
    pub fair: Option<Fair>,
    /// How its classes become disciplines, if that is written. See [`super::layout`].
    pub layout: Option<Spanned<Layout>>,
    /// What hangs below.
    pub children: Children,
}

/// Equal shares for hosts that nobody lists.
#[derive(Clone, Debug)]
pub struct Fair {
    /// The end of a packet that is the host.
    pub end: End,
    /// Whether its address is changed on this link before the packet is seen.
    pub nat: bool,
    /// How often hashes are made anew, where there are any.
    pub perturb: Option<Seconds>,
    /// Where it is said.
    pub span: Span,
}

/// What hangs below a discipline.
#[derive(Clone, Debug)]
pub enum Children {
    /// Nothing.
    None,
    /// Named classes.
    Classes(Vec<Class>),
    /// Bands in their order, each with a name (or none) and perhaps a discipline.
    Bands(Vec<Band>),
    /// One inner discipline.
    Leaf(Box<Discipline>),
}

/// A class.
#[derive(Clone, Debug)]
pub struct Class {
    /// Its name, unique among its siblings.
    pub name: Name,
    /// The options that are written or come from a profile.
    pub options: Box<dyn Options>,
    /// The places of the written options.
    pub places: Places,
    /// `id:` pins the minor number.
    pub id: Option<Spanned<u16>>,
    /// The kernel's estimator.
    pub estimator: Option<Estimator>,
    /// Inner classes.
    pub classes: Vec<Class>,
    /// Its discipline.
    pub leaf: Option<Box<Discipline>>,
}

/// A band of prio.
#[derive(Clone, Debug)]
pub struct Band {
    /// Its name; `None` where the policy gave only a number of bands: then rules name it by its number, from 0 as in a
    /// priomap.
    pub name: Option<Name>,
    /// Its discipline.
    pub leaf: Option<Discipline>,
}

/// A rule: first match wins.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What it matches; `None` matches everything.
    pub matches: Option<Spanned<Expression>>,
    /// The class or band it sends to, by its full path below the direction's discipline (`line/ssh`; a leaf's classes and
    /// bands follow its class) where it is known; otherwise as it is written. See [`super::names`].
    pub class: Option<Spanned<CompactString>>,
    /// What it does besides.
    pub actions: Actions,
    /// The place of the actions.
    pub actions_span: Span,
    /// The classifier that it becomes a filter of, if it is not left to the compiler.
    pub classifier: Option<Spanned<Classifier>>,
    /// The whole rule's place.
    pub span: Span,
    /// Whether all of it could be read. One that could not is only kept until its class has been looked for.
    pub sound: bool,
}

/// Places of written options, also of those whose value was refused and is unset.
#[derive(Clone, Debug, Default)]
pub struct Places(pub Vec<(u8, Span)>);

impl Places {
    /// Stands for what is no option of the object's own: a profile that is not there, classes in a wrong shape.
    const OTHER: u8 = u8::MAX;
    /// Stands for an option whose name is misspelt.
    const MISSPELT: u8 = Places::OTHER - 1;

    /// The place of a row by its number.
    pub fn get(&self, row: usize) -> Option<Span> {
        self.0.iter().find(|(r, _)| usize::from(*r) == row).map(|(_, s)| *s)
    }

    /// Takes note of a row's place.
    pub fn set(&mut self, row: usize, span: Span) {
        self.0.push((u8::try_from(row).unwrap_or(Places::OTHER), span));
    }

    /// Takes note that a part of the object was refused.
    pub fn spoil(&mut self, span: Span) {
        self.0.push((Places::OTHER, span));
    }

    /// Takes note that the name of an option was refused.
    pub fn misspell(&mut self, span: Span) {
        self.0.push((Places::MISSPELT, span));
    }

    /// Whether parts that are no options were refused: other objects may stand in them.
    pub fn lacks_parts(&self) -> bool {
        self.0.iter().any(|(row, _)| *row == Places::OTHER)
    }

    /// Whether something of the object was refused, so that what is missing from it may be no mistake.
    pub fn spoilt(&self, options: &dyn Options) -> bool {
        self.0.iter().any(|(row, _)| {
            *row >= Places::MISSPELT || options.slot(usize::from(*row)).is_some_and(|slot| !slot.is_set())
        })
    }
}
