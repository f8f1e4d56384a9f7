//! Classes and bands by name. A class has a full path: the names of all classes from the direction's discipline down to
//! it, joined by `/`; the classes and bands of a class's leaf follow the class. Any end of it that only one class has will
//! do in a policy: `ssh`, or `line/ssh` where there are two.

use super::model::{Children, Class, Discipline};
use crate::source::Span;
use crate::syntax::names::nearest;
use compact_str::{CompactString, ToCompactString, format_compact};
use foldhash::HashMap;

/// A class or band that can be named.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its full path.
    pub path: CompactString,
    /// Where its name stands.
    pub span: Span,
    /// Whether it has classes below it in its own discipline, and so never holds packets itself.
    pub inner: bool,
}

/// All classes and bands below a discipline.
#[derive(Debug, Default)]
pub struct Index {
    targets: Vec<Target>,
    by_name: HashMap<CompactString, Vec<u32>>,
}

/// What a written name stands for.
#[derive(Debug)]
pub enum Found<'a> {
    /// One class or band.
    One(&'a Target),
    /// Several: the first two of them.
    Several(&'a Target, &'a Target),
    /// None.
    None,
}

impl Index {
    /// The classes and bands below a discipline, in the order of writing.
    pub fn new(discipline: &Discipline) -> Index {
        let mut index = Index::default();
        index.discipline(discipline, "");
        index
    }

    fn add(&mut self, above: &str, name: &str, span: Span, inner: bool) -> CompactString {
        let path = if above.is_empty() { name.to_compact_string() } else { format_compact!("{above}/{name}") };
        let at = u32::try_from(self.targets.len()).unwrap_or(u32::MAX);
        // a name may itself hold a slash, if it was quoted: it is found by its last part all the same
        let last = name.rsplit('/').next().unwrap_or(name);
        self.by_name.entry(last.into()).or_default().push(at);
        self.targets.push(Target { path: path.clone(), span, inner });
        path
    }

    fn discipline(&mut self, discipline: &Discipline, above: &str) {
        match &discipline.children {
            Children::None => {}
            Children::Classes(classes) => classes.iter().for_each(|c| self.class(c, above)),
            Children::Bands(bands) => {
                for (i, band) in bands.iter().enumerate() {
                    let path = match &band.name {
                        Some(name) => self.add(above, &name.value, name.span, false),
                        None => self.add(above, &i.to_compact_string(), discipline.kind.span, false),
                    };
                    if let Some(leaf) = &band.leaf {
                        self.discipline(leaf, &path);
                    }
                }
            }
            Children::Leaf(leaf) => self.discipline(leaf, above),
        }
    }

    fn class(&mut self, class: &Class, above: &str) {
        let path = self.add(above, &class.name.value, class.name.span, !class.classes.is_empty());
        class.classes.iter().for_each(|c| self.class(c, &path));
        if let Some(leaf) = &class.leaf {
            self.discipline(leaf, &path);
        }
    }

    /// The class or band of a written name or path.
    pub fn find(&self, written: &str) -> Found<'_> {
        let last = written.rsplit('/').next().unwrap_or(written);
        let candidates = self.by_name.get(last).map_or(&[][..], Vec::as_slice);
        let mut hits =
            candidates.iter().filter_map(|i| self.targets.get(*i as usize)).filter(|t| ends(&t.path, written));
        match (hits.next(), hits.next()) {
            (None, _) => Found::None,
            (Some(one), None) => Found::One(one),
            (Some(first), Some(second)) => {
                // a whole path is meant before the end of a longer one
                let whole = [first, second].into_iter().chain(hits).find(|t| t.path == written);
                whole.map_or(Found::Several(first, second), Found::One)
            }
        }
    }

    /// The nearest name to a slip of the pen.
    pub fn nearest(&self, written: &str) -> Option<&str> {
        let last = written.rsplit('/').next().unwrap_or(written);
        nearest(last, self.targets.iter().filter_map(|t| t.path.rsplit('/').next()))
    }

    /// The first few paths, for a list of what there is.
    pub fn some(&self) -> impl Iterator<Item = &str> {
        self.targets.iter().filter(|t| !t.inner).map(|t| t.path.as_str())
    }

    /// Whether nothing can be named.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }
}

/// Whether a path ends with these names.
fn ends(path: &str, written: &str) -> bool {
    path.strip_suffix(written).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
}
