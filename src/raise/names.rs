//! What classes are called.

use super::Names;
use crate::tree::{Id, Object};
use crate::unit::{Handle, Reader, Unit};
use compact_str::{CompactString, format_compact};
use std::collections::{HashMap, HashSet};

/// The names of the classes of a branch.
pub struct Named {
    /// By handle: the name, and the path from the direction's discipline on.
    classes: HashMap<Handle, (CompactString, CompactString)>,
    /// How many classes have a name.
    count: HashMap<CompactString, usize>,
    /// The path of what a discipline hangs on.
    above: HashMap<Handle, CompactString>,
}

impl Named {
    /// Names all classes: a name is one among those of a discipline.
    pub fn new(interface: &str, objects: &[Object], given: &Names) -> Named {
        let mut named = Named { classes: HashMap::new(), count: HashMap::new(), above: HashMap::new() };
        let mut taken: HashSet<(u16, CompactString)> = HashSet::new();
        for object in objects {
            match object.id {
                Id::Class { parent, handle } => {
                    let told = given.get(interface, handle);
                    let told = told.or(Some(object.origin.name.as_str())).and_then(sound);
                    let own = format_compact!("c{:x}", handle.minor());
                    let free = |name: &CompactString| !taken.contains(&(handle.major(), name.clone()));
                    let mut candidates = told
                        .into_iter()
                        .chain([own.clone(), format_compact!("c{:x}-{:x}", handle.major(), handle.minor())])
                        .chain((2..).map(|n| format_compact!("{own}-{n}")));
                    let name = candidates.find(free).unwrap_or(own);
                    taken.insert((handle.major(), name.clone()));
                    let path = match named.path_of(parent) {
                        "" => name.clone(),
                        above => format_compact!("{above}/{name}"),
                    };
                    *named.count.entry(name.clone()).or_default() += 1;
                    named.classes.insert(handle, (name, path));
                }
                Id::Qdisc { parent, handle } => {
                    let above = match named.classes.get(&parent) {
                        Some((_, path)) => path.clone(),
                        // a band is named by its number, and the one child of a discipline is not
                        None => named.band_path(objects, parent),
                    };
                    named.above.insert(handle, above);
                }
                Id::Filter { .. } => {}
            }
        }
        named
    }

    fn band_path(&self, objects: &[Object], parent: Handle) -> CompactString {
        let own = Handle::new(parent.major(), 0);
        let Some(above) = self.above.get(&own) else { return CompactString::default() };
        let of = objects.iter().find(|o| o.is_qdisc() && o.handle() == Some(own)).and_then(|o| o.kind);
        match of.map(|k| k.children) {
            Some(crate::kind::Children::Bands) => {
                let band = parent.minor().saturating_sub(1);
                if above.is_empty() { format_compact!("{band}") } else { format_compact!("{above}/{band}") }
            }
            _ => above.clone(),
        }
    }

    /// The path of a class, or of what a discipline hangs on.
    fn path_of(&self, handle: Handle) -> &str {
        let class = self.classes.get(&handle).map(|(_, path)| path);
        class.or_else(|| self.above.get(&handle)).map_or("", CompactString::as_str)
    }

    /// A class's own name.
    pub fn name(&self, class: Handle) -> Option<&CompactString> {
        self.classes.get(&class).map(|(name, _)| name)
    }

    /// What a filter calls a class: its name, or its path where others have the name too.
    pub fn path(&self, class: Handle) -> Option<CompactString> {
        let (name, path) = self.classes.get(&class)?;
        Some(if self.count.get(name) == Some(&1) { name.clone() } else { path.clone() })
    }

    /// What a discipline calls a class below it.
    pub fn below(&self, class: Handle, discipline: Handle) -> Option<CompactString> {
        let (name, path) = self.classes.get(&class)?;
        if self.count.get(name) == Some(&1) {
            return Some(name.clone());
        }
        let above = self.path_of(discipline);
        path.strip_prefix(above).map(|rest| rest.trim_start_matches('/').into())
    }
}

/// A given name as a class may have it; none that would be taken for a number.
fn sound(given: &str) -> Option<CompactString> {
    let last = given.rsplit('/').next().unwrap_or(given);
    let name: CompactString = last.chars().map(|c| if c.is_whitespace() || c.is_control() { '-' } else { c }).collect();
    let number = name.bytes().all(|b| b.is_ascii_digit())
        || name.starts_with("0x")
        || Handle::read(&name, &mut Reader::default()).is_ok();
    (!name.is_empty() && !number && !name.starts_with(['$', '@'])).then_some(name)
}
