//! `layout: nested`: a tree of htb classes as several disciplines, one below the other.
//!
//! The kernel walks all classes of a discipline for each that is added to it (`tc_bind_tclass`, net/sched/sch_api.c), and
//! an htb has eight levels. Here an inner class with many children becomes one without, with an htb below it that holds them
//! (`parted`): what is added walks its own part only, and each part has levels of its own. Names and paths stay what they
//! are, so rules, defaults and whatever else names a class need not know; only who counts levels and numbers looks at the
//! tree as it is laid out.
//!
//! A part shapes nothing as a whole. It hands out packets whenever the class above asks for one, and that class has the rate
//! and the ceil. For its classes to borrow from, it has a class at its top that is never at its end.

use super::model::{Children, Class, Discipline, Places};
use crate::kind::Options;
use crate::kind::qdisc::htb;
use crate::source::Spanned;
use crate::unit::choice::choice;
use compact_str::CompactString;
use std::borrow::Cow;

/// So many classes right below a class are many. What has a part already keeps it as long as there is anything in it: a
/// site on the edge would be made anew with each subscriber that comes and goes.
pub const MANY: usize = 8;

choice! {
    /// How a tree of classes becomes disciplines.
    pub enum Layout "a layout" {
        /// All in one.
        Flat "flat",
        /// Inner classes with many children have a discipline of their own.
        Nested "nested",
    }
}

/// A discipline as it is laid out, with all that hangs below it; `stands` tells of a class, by its path, whether it has a
/// part already.
pub fn laid_out<'d>(discipline: &'d Discipline, stands: &dyn Fn(&str) -> bool) -> Cow<'d, Discipline> {
    if !asked(discipline) {
        return Cow::Borrowed(discipline);
    }
    let mut out = discipline.clone();
    part(&mut out, "", stands);
    Cow::Owned(out)
}

/// A discipline as it would be laid out if its own layout were nested.
pub fn nested(discipline: &Discipline) -> Discipline {
    let mut out = discipline.clone();
    out.layout = Some(Spanned::new(Layout::Nested, out.kind.span));
    part(&mut out, "", &|_| false);
    out
}

/// Whether a discipline is one that the layout made: its one class at the top has no name.
pub fn is_part(discipline: &Discipline) -> bool {
    matches!(&discipline.children, Children::Classes(classes) if classes.first().is_some_and(|c| c.name.value.is_empty()))
}

/// Whether a nested layout makes more than one discipline of these classes, of one with so many levels.
pub fn has_parts(classes: &[Class], levels: usize) -> bool {
    fn many(class: &Class) -> bool {
        class.classes.len() >= MANY || class.classes.iter().any(many)
    }
    fn height(classes: &[Class]) -> usize {
        classes.iter().map(|c| 1 + height(&c.classes)).max().unwrap_or(0)
    }
    classes.iter().any(many) || height(classes) >= levels
}

fn is_nested(discipline: &Discipline) -> bool {
    discipline.layout.as_ref().is_some_and(|layout| layout.value == Layout::Nested)
}

/// Whether anything here is to be laid out otherwise than it is written.
fn asked(discipline: &Discipline) -> bool {
    fn below(classes: &[Class]) -> bool {
        classes.iter().any(|c| c.leaf.as_ref().is_some_and(|leaf| asked(leaf)) || below(&c.classes))
    }
    is_nested(discipline)
        || match &discipline.children {
            Children::None => false,
            Children::Classes(classes) => below(classes),
            Children::Bands(bands) => bands.iter().filter_map(|b| b.leaf.as_ref()).any(asked),
            Children::Leaf(leaf) => asked(leaf),
        }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

fn part(discipline: &mut Discipline, path: &str, stands: &dyn Fn(&str) -> bool) {
    let fresh = is_nested(discipline).then(|| empty_part(discipline));
    match &mut discipline.children {
        Children::None => {}
        Children::Classes(classes) => {
            for class in classes {
                part_class(class, &below(path, &class.name.value), stands, fresh.as_ref());
            }
        }
        Children::Bands(bands) => {
            for (number, band) in bands.iter_mut().enumerate() {
                let name = band.name.as_ref().map_or_else(|| number.to_string(), |name| name.value.to_string());
                let path = below(path, &name);
                band.leaf.iter_mut().for_each(|leaf| part(leaf, &path, stands));
            }
        }
        Children::Leaf(leaf) => part(leaf, path, stands),
    }
}

/// Parts what is below a class, and gives the levels that it comes to in its own discipline. `fresh` is an empty part, if
/// there are to be any.
fn part_class(class: &mut Class, path: &str, stands: &dyn Fn(&str) -> bool, fresh: Option<&Discipline>) -> usize {
    if let Some(leaf) = &mut class.leaf {
        part(leaf, path, stands);
    }
    let levels = class.classes.iter_mut().map(|c| part_class(c, &below(path, &c.name.value), stands, fresh));
    let levels = levels.max().unwrap_or(0);
    let stays = || !class.classes.is_empty() && stands(path);
    if let Some(fresh) = fresh
        // a part has a level more than what it holds, its top
        && (class.classes.len() >= MANY || levels + 1 >= fresh.options.levels() || stays())
    {
        let mut own = fresh.clone();
        let top = top(class);
        own.kind.span = class.name.span;
        own.children = Children::Classes(vec![top]);
        class.leaf = Some(Box::new(own));
        return 1;
    }
    levels + 1
}

/// A part without classes.
fn empty_part(discipline: &Discipline) -> Discipline {
    let options: Box<dyn Options> = match discipline.options.as_kind::<htb::Htb>() {
        Some(whole) => Box::new(whole.part()),
        None => discipline.options.boxed(),
    };
    Discipline {
        kind: discipline.kind,
        options,
        places: Places::default(),
        id: None,
        default: None,
        default_number: None,
        stab: None,
        estimator: None,
        fair: None,
        layout: discipline.layout,
        children: Children::None,
    }
}

/// The class at the top of a part, with the children of the class that the part hangs on.
fn top(class: &mut Class) -> Class {
    Class {
        name: Spanned::new(CompactString::default(), class.name.span),
        options: Box::new(htb::Class::boundless()),
        places: Places::default(),
        id: None,
        estimator: None,
        classes: std::mem::take(&mut class.classes),
        leaf: None,
    }
}
