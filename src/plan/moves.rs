//! Classes that are to stand below another parent under the number they have, because the policy pins it. The kernel gives no
//! class another parent, and takes none away that has classes below it or that a filter leads to: so all of that goes first,
//! and comes back after. Meanwhile packets go where the next rule sends them, and the plan says so. (A class whose number
//! is ours to choose gets another one, and stands beside the old one.)

use super::branch::{FilterKey, filter_key};
use crate::tree::{Branch, Id, Object};
use crate::unit::Handle;
use foldhash::{HashMap, HashSet};

/// What is said where a class goes.
pub(super) const CLASS: &str = "it or a class above it moves to another parent, which the kernel does to no class: it is made anew, and \
                                meanwhile its packets go where the next rule sends them";
/// What is said where a filter goes.
pub(super) const FILTER: &str = "the class it leads to moves, and cannot while it is led to";

/// What goes for the sake of classes that move.
#[derive(Default)]
pub(super) struct Moves<'h> {
    /// The classes, those below others first.
    pub classes: Vec<&'h Object>,
    /// Their numbers.
    pub handles: HashSet<Handle>,
    /// The filters that lead to them, the last first.
    pub filters: Vec<&'h Object>,
    /// What these are known by.
    pub lifted: HashSet<FilterKey>,
}

impl<'h> Moves<'h> {
    /// `wanted` has the filters that are asked.
    pub fn of(asked: &Branch, held: &'h Branch, wanted: &HashSet<FilterKey>) -> Moves<'h> {
        let class = |o: &Object| match o.id {
            Id::Class { handle, parent } => Some((handle, parent)),
            _ => None,
        };
        let stand: HashMap<Handle, &Object> = held.objects.iter().filter_map(|o| Some((class(o)?.0, o))).collect();
        let moving = |o: &Object| {
            let (handle, parent) = class(o)?;
            let held = stand.get(&handle)?;
            (held.id.parent() != parent && held.name == o.name).then_some(handle)
        };
        let moving: HashSet<Handle> = asked.objects.iter().filter_map(moving).collect();
        if moving.is_empty() {
            return Moves::default();
        }
        let above = |handle: Handle| stand.get(&handle).map(|o| o.id.parent());
        // the class itself and those above it, up to the discipline
        let line = |handle: Handle| std::iter::successors(Some(handle), |at| above(*at)).take(stand.len());
        let mut classes: Vec<(usize, &Object)> = held
            .objects
            .iter()
            .filter_map(|o| Some((class(o)?.0, o)))
            .filter(|(handle, _)| line(*handle).any(|at| moving.contains(&at)))
            .map(|(handle, o)| (line(handle).count(), o))
            .collect();
        classes.sort_by_key(|(depth, _)| std::cmp::Reverse(*depth));
        let classes: Vec<&Object> = classes.into_iter().map(|(_, o)| o).collect();
        let handles: HashSet<Handle> = classes.iter().filter_map(|o| o.handle()).collect();
        let leads = |o: &Object| {
            filter_key(o).is_some() && o.options.value::<Handle>("flowid").is_some_and(|to| handles.contains(&to))
        };
        // a priority of which nothing stays goes as one
        let unwanted = |o: &Object| filter_key(o).is_some_and(|key| !wanted.contains(&key));
        let whole: HashSet<_> =
            held.objects.iter().filter(|o| leads(o) && unwanted(o)).filter_map(|o| o.place()).collect();
        let goes = |o: &&Object| leads(o) || (unwanted(o) && o.place().is_some_and(|place| whole.contains(&place)));
        let filters: Vec<&Object> = held.objects.iter().rev().filter(goes).collect();
        let lifted = filters.iter().filter_map(|o| filter_key(o)).collect();
        Moves { classes, handles, filters, lifted }
    }
}
