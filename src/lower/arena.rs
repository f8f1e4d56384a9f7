//! The disciplines and classes of one direction, flat and numbered, in the order in which they are made.

use super::ids::{self, Liking, Numbers};
use crate::codes;
use crate::diagnostic::{Diagnostic, Sink};
use crate::policy::layout;
use crate::policy::model::{Children, Class, Discipline};
use crate::source::Span;
use crate::unit::Handle;
use compact_str::{CompactString, ToCompactString, format_compact};
use foldhash::{HashMap, HashMapExt};
use indexmap::IndexMap;
use std::collections::BTreeSet;

/// Majors that the compiler gives: the root has 1.
const MAJORS: std::ops::RangeInclusive<u16> = 2..=0xfffe;
/// Classes and disciplines of a device from which on it matters in which of the kernel's buckets they are.
const CROWD: usize = 1_000;
/// Minors that a class may have.
pub(super) const MINORS: std::ops::RangeInclusive<u16> = 1..=0xffff;

/// A discipline.
pub struct DisciplineNode<'p> {
    /// What the policy says.
    pub source: &'p Discipline,
    /// The class it hangs on; `None` for the root.
    pub parent: Option<usize>,
    /// That class's path.
    pub path: CompactString,
    /// Its name in the table: kind and path. Another kind in its place is another discipline, because the kernel does
    /// not put one kind under the handle of another.
    pub key: CompactString,
    /// Its number.
    pub major: u16,
    /// Its classes.
    classes: std::ops::Range<usize>,
    /// How many of them take packets.
    takers: usize,
}

impl ClassNode<'_> {
    /// Its name in the table.
    fn key(&self) -> &str {
        self.key.as_deref().unwrap_or(&self.path)
    }
}

impl DisciplineNode<'_> {
    /// `2:`
    pub fn handle(&self) -> Handle {
        Handle::new(self.major, 0)
    }
}

/// A class or band.
pub struct ClassNode<'p> {
    /// What the policy says; `None` for what a discipline brings along: bands, and the one child of tbf.
    pub source: Option<&'p Class>,
    /// Whether it has a name: the one child of tbf and the top of a part have none, and paths pass over them.
    named: bool,
    /// Names from the root, with `/` between, as the policy's reader joins them.
    pub path: CompactString,
    /// Its name in the table, if that is not the path. A class whose leaf has classes is another one than the class of that
    /// name that has them itself: the kernel hangs nothing on a class while it has classes.
    key: Option<CompactString>,
    /// The discipline it belongs to.
    pub discipline: usize,
    /// The class above it in its discipline.
    pub parent: Option<usize>,
    pin: Option<u16>,
    /// Its number; of a band, one more than the band's.
    minor: u16,
    span: Span,
}

/// What is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A discipline, by its place in [`Arena::disciplines`].
    Discipline(usize),
    /// A class, by its place in [`Arena::classes`].
    Class(usize),
}

/// One direction.
pub struct Arena<'p> {
    /// The root first.
    pub disciplines: Vec<DisciplineNode<'p>>,
    /// Each discipline's together.
    pub classes: Vec<ClassNode<'p>>,
    /// Parents before children, each class's discipline right behind it.
    pub order: Vec<Holder>,
    paths: HashMap<CompactString, usize>,
    defaults: Vec<Option<usize>>,
    /// By discipline, see [`Arena::born`].
    born: Vec<Option<u32>>,
}

impl<'p> Arena<'p> {
    /// Lists and numbers everything below a root discipline. Names without a number are reported.
    pub fn new(root: &'p Discipline, old: &Numbers, sink: &mut Sink) -> Arena<'p> {
        let mut arena = Arena {
            disciplines: Vec::new(),
            classes: Vec::new(),
            order: Vec::new(),
            paths: HashMap::new(),
            defaults: Vec::new(),
            born: Vec::new(),
        };
        arena.grow(root, None);
        let mut leaves: Vec<Option<usize>> = vec![None; arena.classes.len()];
        for (i, node) in arena.disciplines.iter().enumerate() {
            if let Some(slot) = node.parent.and_then(|p| leaves.get_mut(p)) {
                *slot = Some(i);
            }
        }
        arena.put_in_order(0, &leaves);
        arena.number(old, sink);
        let named = arena.classes.iter().enumerate().filter(|(_, c)| c.named);
        arena.paths.reserve(arena.classes.len());
        arena.paths.extend(named.map(|(i, c)| (c.path.clone(), i)));
        arena.settle_defaults(sink);
        arena.born = (0..arena.disciplines.len()).map(|i| arena.other_default(i, old)).collect();
        arena
    }

    fn grow(&mut self, source: &'p Discipline, parent: Option<usize>) {
        let path = parent.and_then(|p| self.classes.get(p)).map_or(CompactString::default(), |c| c.path.clone());
        let key = format_compact!("{}:{path}", source.kind.value.name);
        let me = self.disciplines.len();
        let major = source.id.map_or(u16::from(parent.is_none()), |id| id.value);
        self.disciplines.push(DisciplineNode { source, parent, path, key, major, classes: 0..0, takers: 0 });
        let first = self.classes.len();
        let mut leaves: Vec<(usize, &'p Discipline)> = Vec::new();
        match &source.children {
            Children::None => {}
            Children::Leaf(leaf) => {
                let class = self.band(me, None, 1, source.kind.span);
                leaves.push((class, leaf));
            }
            Children::Bands(bands) => {
                for (i, band) in bands.iter().enumerate() {
                    let name = band.name.as_ref().map_or_else(|| i.to_compact_string(), |n| n.value.clone());
                    let span = band.name.as_ref().map_or(source.kind.span, |n| n.span);
                    let class = self.band(me, Some(name), u16::try_from(i + 1).unwrap_or(u16::MAX), span);
                    leaves.extend(band.leaf.as_ref().map(|leaf| (class, leaf)));
                }
            }
            Children::Classes(classes) => self.classes(me, classes, None, &mut leaves),
        }
        let end = self.classes.len();
        let inner = |c: &&ClassNode| c.source.is_some_and(|source| !source.classes.is_empty());
        let own = self.classes.get(first..end).unwrap_or_default();
        let takers = own.len() - own.iter().filter(inner).count();
        if let Some(node) = self.disciplines.get_mut(me) {
            (node.classes, node.takers) = (first..end, takers);
        }
        for (class, leaf) in leaves {
            self.grow(leaf, Some(class));
        }
    }

    fn put_in_order(&mut self, discipline: usize, leaves: &[Option<usize>]) {
        self.order.push(Holder::Discipline(discipline));
        let classes = self.disciplines.get(discipline).map_or(0..0, |d| d.classes.clone());
        for class in classes {
            self.order.push(Holder::Class(class));
            if let Some(leaf) = leaves.get(class).copied().flatten() {
                self.put_in_order(leaf, leaves);
            }
        }
    }

    fn classes(
        &mut self,
        discipline: usize,
        classes: &'p [Class],
        parent: Option<usize>,
        leaves: &mut Vec<(usize, &'p Discipline)>,
    ) {
        for source in classes {
            let me = self.classes.len();
            let path = self.path_below(discipline, parent, &source.name.value);
            let holds = source.leaf.as_ref().is_some_and(|leaf| matches!(leaf.children, Children::Classes(_)));
            let node = ClassNode {
                source: Some(source),
                named: !source.name.value.is_empty(),
                key: holds.then(|| format_compact!("{path}{}", ids::HOLDS)),
                path,
                discipline,
                parent,
                pin: source.id.map(|id| id.value),
                minor: 0,
                span: source.name.span,
            };
            self.classes.push(node);
            leaves.extend(source.leaf.as_deref().map(|leaf| (me, leaf)));
            self.classes(discipline, &source.classes, Some(me), leaves);
        }
    }

    fn band(&mut self, discipline: usize, name: Option<CompactString>, minor: u16, span: Span) -> usize {
        let path = match &name {
            Some(name) => self.path_below(discipline, None, name),
            None => self.disciplines.get(discipline).map_or(CompactString::default(), |d| d.path.clone()),
        };
        let (pin, named) = (Some(minor), name.is_some());
        let node = ClassNode { source: None, named, path, key: None, discipline, parent: None, pin, minor, span };
        self.classes.push(node);
        self.classes.len() - 1
    }

    fn path_below(&self, discipline: usize, parent: Option<usize>, name: &str) -> CompactString {
        let above = match parent {
            Some(parent) => self.classes.get(parent).map(|c| c.path.as_str()),
            None => self.disciplines.get(discipline).map(|d| d.path.as_str()),
        };
        match above {
            None | Some("") => name.into(),
            Some(above) if name.is_empty() => above.into(),
            Some(above) => format_compact!("{above}/{name}"),
        }
    }

    fn number(&mut self, old: &Numbers, sink: &mut Sink) {
        let root_major = self.disciplines.first().map_or(1, |d| d.major);
        let pins = |d: &DisciplineNode| (d.parent.is_none() || d.source.id.is_some()).then_some(d.major);
        let mut foreign = old.foreign.clone();
        foreign.remove(&root_major);
        // few are found soon wherever they are, and get numbers in a row
        let many = self.disciplines.len() + self.classes.len() > CROWD;
        let liking = |d: &DisciplineNode| match (many, d.classes.is_empty()) {
            (false, _) => Liking::Any,
            (true, false) => Liking::Quick,
            (true, true) => Liking::Crowd,
        };
        let names = self.disciplines.iter().map(|d| (d.key.as_str(), pins(d), liking(d)));
        let majors = ids::number(names, Some(&old.disciplines), &foreign, MAJORS);
        let mut lost: Option<(Span, usize)> = None;
        for (node, major) in self.disciplines.iter_mut().zip(majors) {
            match major {
                Some(major) => node.major = major,
                None => lost = Some((lost.map_or(node.source.kind.span, |l| l.0), lost.map_or(1, |l| l.1 + 1))),
            }
        }
        if let Some((span, n)) = lost {
            let d = Diagnostic::new(
                &codes::HANDLE_BUDGET,
                format!("{n} disciplines get no handle: one device has {} of them", MAJORS.count()),
            );
            sink.push(
                d.at(span, "the first of them").help("give several small classes one discipline, or pin other `id`s"),
            );
        }
        let none = BTreeSet::new();
        for node in &self.disciplines {
            let foreign = old.foreign_classes.get(&node.major).unwrap_or(&none);
            let Some(classes) = self.classes.get_mut(node.classes.clone()) else { continue };
            let names = classes.iter().map(|c| (c.key(), c.pin, Liking::Any));
            let minors = ids::number(names, old.classes.get(&node.key), foreign, MINORS);
            let lost = minors.iter().filter(|m| m.is_none()).count();
            let first = classes.iter().zip(&minors).find(|(_, m)| m.is_none()).map(|(c, _)| c.span);
            for (class, minor) in classes.iter_mut().zip(minors) {
                class.minor = minor.unwrap_or(0);
            }
            if let Some(span) = first {
                let message = format!(
                    "{lost} classes get no number: `{}` has {} of them",
                    node.source.kind.value.name,
                    MINORS.count()
                );
                let d = Diagnostic::new(&codes::HANDLE_BUDGET, message);
                sink.push(
                    d.at(span, "the first of them").help("part them over several disciplines, or pin other `id`s"),
                );
            }
        }
    }

    /// The table of all numbers here.
    pub fn numbers(&self, old: &Numbers) -> Numbers {
        let mut numbers = Numbers {
            foreign: old.foreign.clone(),
            foreign_classes: old.foreign_classes.clone(),
            born: old.born.clone(),
            foreign_groups: old.foreign_groups.clone(),
            foreign_tables: old.foreign_tables.clone(),
            ..Numbers::default()
        };
        numbers.disciplines.reserve(self.disciplines.len());
        for node in &self.disciplines {
            numbers.disciplines.insert(node.key.clone(), node.major);
            let own = self.classes.get(node.classes.clone()).unwrap_or_default();
            let mut minors = IndexMap::with_capacity(own.len());
            minors.extend(own.iter().filter(|c| c.source.is_some()).map(|c| (c.key().into(), c.minor)));
            if !minors.is_empty() {
                numbers.classes.insert(node.key.clone(), minors);
            }
        }
        numbers
    }

    /// `1:10`
    pub fn class_handle(&self, class: usize) -> Handle {
        let Some(node) = self.classes.get(class) else { return Handle(0) };
        Handle::new(self.disciplines.get(node.discipline).map_or(0, |d| d.major), node.minor)
    }

    /// `line/ssh`
    pub fn path(&self, class: usize) -> &str {
        self.classes.get(class).map_or("", |c| c.path.as_str())
    }

    /// The class of a full path.
    pub fn find(&self, path: &str) -> Option<usize> {
        self.paths.get(path).copied()
    }

    /// Each discipline on the way to a class, from the root on, with the class to take there.
    pub fn route(&self, target: usize) -> Vec<(usize, Option<usize>)> {
        let mut route = Vec::new();
        let mut at = Some(target);
        while let Some(node) = at.and_then(|a| self.classes.get(a)) {
            route.push((node.discipline, at));
            at = self.disciplines.get(node.discipline).and_then(|d| d.parent);
        }
        route.reverse();
        route
    }

    /// Whether the layout gave the classes below a class a discipline of their own.
    pub fn is_parted(&self, class: usize) -> bool {
        let source = self.classes.get(class).and_then(|c| c.source);
        source.and_then(|c| c.leaf.as_ref()).is_some_and(|leaf| layout::is_part(leaf))
    }

    /// Whether the discipline of that number is one that the layout made.
    pub fn is_in_part(&self, major: u16) -> bool {
        self.disciplines.iter().any(|d| d.major == major && layout::is_part(d.source))
    }

    /// How many classes of a part of the layout take turns.
    pub fn turns_in_part(&self, discipline: usize) -> Option<usize> {
        self.disciplines.get(discipline).filter(|d| layout::is_part(d.source)).map(|d| d.takers)
    }

    /// The way of packets that a rule sends to a class with classes: htb goes back to its default. What the layout parted
    /// is one htb to the policy.
    pub fn route_of_inner(&self, class: usize) -> Vec<(usize, Option<usize>)> {
        let node = |class: usize| {
            self.classes.get(class).and_then(|c| Some((c.discipline, self.disciplines.get(c.discipline)?)))
        };
        let mut whole = node(class);
        while let Some((_, discipline)) = whole.filter(|(_, d)| layout::is_part(d.source)) {
            whole = discipline.parent.and_then(node);
        }
        let mut route = whole.and_then(|(_, d)| d.parent).map_or_else(Vec::new, |parent| self.route(parent));
        let mut at = whole.map(|(discipline, _)| discipline);
        while let Some(discipline) = at {
            let default = self.default_of(discipline);
            route.push((discipline, default));
            let below = default.filter(|class| self.is_parted(*class));
            at = below.and_then(|class| self.disciplines.iter().position(|d| d.parent == Some(class)));
        }
        route
    }

    /// The class of a discipline that gets what no rule takes.
    pub fn default_of(&self, discipline: usize) -> Option<usize> {
        self.defaults.get(discipline).copied().flatten()
    }

    /// The default that the kernel's discipline was made with and keeps, if the policy's is another: a last rule stands for
    /// that then.
    pub fn born(&self, discipline: usize) -> Option<u32> {
        self.born.get(discipline).copied().flatten()
    }

    fn other_default(&self, discipline: usize, old: &Numbers) -> Option<u32> {
        let node = self.disciplines.get(discipline)?;
        let class = self.classes.get(self.default_of(discipline)?)?;
        let (kind, number) = old.born.get(&node.major)?;
        (node.source.kind.value.name == kind.as_str() && *number != u32::from(class.minor)).then_some(*number)
    }

    /// A default below a nested discipline is one at every discipline on the way, unless that has its own.
    fn settle_defaults(&mut self, sink: &mut Sink) {
        let mut defaults: Vec<Option<usize>> = vec![None; self.disciplines.len()];
        // inner ones last, so that their own wins over what an outer one says
        for (i, node) in self.disciplines.iter().enumerate() {
            let Some(default) = &node.source.default else { continue };
            let path = match node.path.as_str() {
                "" => default.value.clone(),
                above => format_compact!("{above}/{}", default.value),
            };
            let Some(target) = self.find(&path) else {
                let d = Diagnostic::new(&codes::UNKNOWN_DEFAULT, format!("there is no class `{}`", default.value));
                sink.push(d.at(default.span, ""));
                continue;
            };
            for (d, class) in self.route(target).into_iter().skip_while(|(d, _)| *d != i) {
                if let Some(slot) = defaults.get_mut(d) {
                    *slot = class;
                }
            }
        }
        self.defaults = defaults;
    }
}
