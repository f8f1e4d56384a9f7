//! How u32 is asked: `u32_classify` of net/sched/cls_u32.c. The tables of all priorities at one place are shared, and each
//! priority begins in a table of its own.

use super::{FIRST_NODE, Key, Node, ROOTS, U32};
use crate::kind::action::Control;
use crate::kind::walk::{Asked, Filter, Walk, came_by, marked};
use crate::packet::{Octet, Packet};
use std::collections::HashMap;
use std::rc::Rc;

/// How many tables may be entered from each other (`TC_U32_MAXDEPTH`).
const DEEPEST: usize = 8;

/// All tables at one place, by number.
#[derive(Default)]
struct Tables<'a>(HashMap<u32, Table<'a>>);

#[derive(Default)]
struct Table<'a> {
    /// Of a table that has buckets: one less than there are.
    last: u32,
    buckets: HashMap<u32, Vec<Knode<'a>>>,
}

struct Knode<'a> {
    number: u32,
    filter: Filter<'a>,
    u32: &'a U32,
}

/// One priority: its table and all the others.
struct Root<'a> {
    table: u32,
    tables: Rc<Tables<'a>>,
}

/// Makes the priorities at one place ready, in the order of their making.
pub(super) fn gather<'a>(groups: Vec<Vec<Filter<'a>>>) -> Vec<Box<dyn Asked + 'a>> {
    let mut tables = Tables::default();
    for filter in groups.iter().flatten() {
        let Some(u32) = filter.options.as_kind::<U32>().filter(|u32| u32.is_table()) else { continue };
        let last = u32.divisor.map_or(0, |n| n.0.saturating_sub(1));
        tables.0.insert(Node(filter.handle).table(), Table { last, ..Table::default() });
    }
    let mut roots = Vec::new();
    for (group, fallback) in groups.iter().zip(ROOTS..) {
        // a held filter says the table that it is in, and the one that nobody made is the kernel's for the priority
        let own = |filter: &Filter| {
            let table = Node(filter.handle).table();
            (table >= ROOTS && !tables.0.contains_key(&table)).then_some(table)
        };
        roots.push(group.iter().find_map(own).unwrap_or(fallback));
    }
    for (group, root) in groups.into_iter().zip(&roots) {
        for filter in group {
            let Some(u32) = filter.options.as_kind::<U32>().filter(|u32| !u32.is_table()) else { continue };
            let handle = Node(filter.handle);
            let (table, bucket) = match (u32.ht, handle.table()) {
                (Some(ht), _) => (ht.table(), ht.bucket()),
                (None, 0) => (*root, 0),
                (None, table) => (table, handle.bucket()),
            };
            let table = tables.0.entry(table).or_default();
            let taken = |number: u32| table.buckets.values().flatten().any(|node| node.number == number);
            let number = match handle.node() {
                0 => (FIRST_NODE..).find(|n| !taken(*n)).unwrap_or(FIRST_NODE),
                number => number,
            };
            table.buckets.entry(bucket).or_default().push(Knode { number, filter, u32 });
        }
    }
    for nodes in tables.0.values_mut().flat_map(|table| table.buckets.values_mut()) {
        nodes.sort_by_key(|node| node.number);
    }
    let tables = Rc::new(tables);
    roots.into_iter().map(|table| Box::new(Root { table, tables: tables.clone() }) as Box<dyn Asked>).collect()
}

impl Key {
    /// What the packet has there; `next` is where the next header begins.
    fn read(&self, packet: &Packet, base: i64, next: i64) -> Octet {
        packet.word(base + i64::from(self.offset) + if self.next { next } else { 0 })
    }
}

impl<'a> Tables<'a> {
    fn bucket(&self, table: u32, bucket: u32) -> &[Knode<'a>] {
        self.0.get(&table).and_then(|t| t.buckets.get(&bucket)).map_or(&[], Vec::as_slice)
    }
}

impl Knode<'_> {
    /// Takes the packet if the filter says what becomes of it.
    fn end(&self, walk: &mut dyn Walk) -> Option<Control> {
        let ends = self.u32.flowid.is_some() || self.u32.action.is_some();
        if !ends || !came_by(walk.packet(), self.u32.indev.as_ref().map(|n| n.0.as_str())) {
            return None;
        }
        Some(walk.take(&self.filter, self.u32.flowid)).filter(|control| control.0 >= 0)
    }

    /// Whether all keys are there: `None` if the packet ends before one of them.
    fn holds(&self, walk: &mut dyn Walk, base: i64, next: i64) -> Option<bool> {
        if self.u32.mark.is_some_and(|mark| !marked(walk.packet(), mark)) {
            return Some(false);
        }
        for key in self.u32.keys.iter().flat_map(|keys| &keys.0) {
            match key.read(walk.packet(), base, next) {
                Octet::Is(word) if word & key.mask == key.value => {}
                Octet::Is(_) => return Some(false),
                Octet::Beyond => return None,
                Octet::Cut if walk.settle(CUT) => {}
                Octet::Cut => return Some(false),
            }
        }
        Some(true)
    }
}

const CUT: &str = "what the capture has cut off is as the filter wants it";

impl Asked for Root<'_> {
    fn ask(&self, walk: &mut dyn Walk) -> Control {
        let mut stack: Vec<(&[Knode], usize, i64)> = Vec::new();
        let (mut nodes, mut at) = (self.tables.bucket(self.table, 0), 0);
        let (mut base, mut next) = (0, 0);
        loop {
            let Some(node) = nodes.get(at) else {
                // the table is done: what led here may end it
                let Some((above, i, from)) = stack.pop() else { return Control::CONTINUE };
                if let Some(control) = above.get(i).and_then(|node| node.end(walk)) {
                    return control;
                }
                (nodes, at, base) = (above, i + 1, from);
                continue;
            };
            let Some(holds) = node.holds(walk, base, next) else {
                // the packet ends before a key: the kernel gives up the whole priority
                walk.note(Some(node.filter.object), &|| {
                    "the packet ends before what this filter looks at, so no further filter of its priority is asked"
                        .to_owned()
                });
                return Control::CONTINUE;
            };
            if !holds {
                at += 1;
                continue;
            }
            let Some(link) = node.u32.link else {
                match node.end(walk) {
                    Some(control) => return control,
                    None => at += 1,
                }
                continue;
            };
            if stack.len() >= DEEPEST {
                walk.note(Some(node.filter.object), &|| format!("more than {DEEPEST} tables in each other"));
                return Control::CONTINUE;
            }
            stack.push((nodes, at, base));
            let table = link.table();
            let last = self.tables.0.get(&table).map_or(0, |t| t.last);
            let mut bucket = 0;
            let hash = node.u32.hashkey.unwrap_or_default();
            if last > 0 {
                let Octet::Is(word) = walk.packet().word(base + i64::from(hash.at)) else {
                    return Control::CONTINUE;
                };
                bucket = last & (word & hash.mask).checked_shr(hash.mask.trailing_zeros()).unwrap_or(0);
            }
            walk.note(Some(node.filter.object), &|| {
                let by = format!(", by the bits {:#x} at {}", hash.mask, hash.at);
                format!("on to table {table:x}: bucket {bucket:x}{}", if last > 0 { by.as_str() } else { "" })
            });
            if let Some(offset) = node.u32.offset {
                if offset.plus.is_some() || offset.field.is_some() {
                    next = i64::from(offset.plus.unwrap_or(0)) + 3;
                    if let Some(field) = offset.field {
                        let Octet::Is(word) = walk.packet().octets(base + i64::from(field.at), 2).number() else {
                            return Control::CONTINUE;
                        };
                        next += i64::from((word & u32::from(field.mask)) >> field.shift);
                    }
                    next &= !3;
                }
                if offset.eat {
                    base += next;
                    next = 0;
                }
            }
            let length = walk.packet().length() as i64 - walk.packet().network() as i64;
            (nodes, at) = (if base < length { self.tables.bucket(table, bucket) } else { &[] }, 0);
        }
    }
}
