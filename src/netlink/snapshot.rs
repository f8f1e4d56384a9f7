//! What the kernel said of its objects, to the byte: what a tree was read from, kept so that it can be gone back to.

use super::{Machine, Record, Undecodable, decode, decode_links, tree};
use crate::facts::{Facts, Links};
use crate::kind::wire::{Cursor, Fields};
use crate::tree::Tree;
use crate::unit::Handle;
use std::sync::Arc;

/// The first octets of a written snapshot; the number is that of its form.
const MAGIC: &[u8] = b"shapectl held 1\n";

/// A dump, and what it was a dump of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// All links.
    Links(Vec<u8>),
    /// The name of a link that was read; without any, all were.
    Name(String),
    /// Qdiscs of all links, or classes of one.
    Objects(Vec<u8>),
    /// Filters of a link below a parent.
    Filters { ifindex: u32, parent: Handle, bytes: Vec<u8> },
    /// Which table of u32 is a priority's ([`Record::root`]).
    Root { ifindex: u32, parent: Handle, bytes: Vec<u8> },
}

/// The dumps of one reading of the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    parts: Vec<Part>,
}

impl Snapshot {
    /// Keeps the dump of the links, and which of them are read.
    pub fn links(&mut self, bytes: Vec<u8>, names: Option<&[&str]>) {
        self.parts.push(Part::Links(bytes));
        self.parts.extend(names.unwrap_or_default().iter().map(|name| Part::Name((*name).to_owned())));
    }

    /// Keeps a dump of qdiscs or classes.
    pub fn objects(&mut self, bytes: Vec<u8>) {
        self.parts.push(Part::Objects(bytes));
    }

    /// Keeps a dump of filters.
    pub fn filters(&mut self, ifindex: u32, parent: Handle, bytes: Vec<u8>) {
        self.parts.push(Part::Filters { ifindex, parent, bytes });
    }

    /// Keeps the answer to a question for a table.
    pub fn root(&mut self, ifindex: u32, parent: Handle, bytes: Vec<u8>) {
        self.parts.push(Part::Root { ifindex, parent, bytes });
    }

    /// The tree that was read from it.
    ///
    /// # Errors
    /// The bytes are no dumps.
    pub fn tree(&self, clock: &Facts) -> Result<Tree, Undecodable> {
        let mut machine = Machine { links: Vec::new(), clock: clock.clone() };
        let (mut names, mut records): (Vec<&str>, Vec<Record>) = (Vec::new(), Vec::new());
        for part in &self.parts {
            match part {
                Part::Links(bytes) => machine.links.extend(decode_links(bytes)?),
                Part::Name(name) => names.push(name),
                Part::Objects(_) | Part::Filters { .. } | Part::Root { .. } => {}
            }
        }
        machine.clock.links = Arc::new(Links::new(machine.links.iter().map(|l| (l.index, l.name.clone()))));
        if !names.is_empty() {
            machine.keep(&names);
        }
        for part in &self.parts {
            match part {
                Part::Links(_) | Part::Name(_) => {}
                Part::Objects(bytes) => records.extend(decode(bytes, &machine)?),
                Part::Filters { ifindex, parent, bytes } => {
                    let filters = decode(bytes, &machine)?;
                    records.extend(filters.into_iter().map(|record| record.below(*ifindex, *parent)));
                }
                Part::Root { ifindex, parent, bytes } => {
                    records.extend(Record::roots(decode(bytes, &machine)?, *ifindex, *parent));
                }
            }
        }
        Ok(tree(records, &machine))
    }

    /// As octets, for a file on the same machine.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Fields::new().raw(MAGIC);
        for part in &self.parts {
            let (tag, ifindex, parent, bytes) = match part {
                Part::Links(bytes) => (0, 0, 0, bytes.as_slice()),
                Part::Name(name) => (1, 0, 0, name.as_bytes()),
                Part::Objects(bytes) => (2, 0, 0, bytes.as_slice()),
                Part::Filters { ifindex, parent, bytes } => (3, *ifindex, parent.0, bytes.as_slice()),
                Part::Root { ifindex, parent, bytes } => (4, *ifindex, parent.0, bytes.as_slice()),
            };
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            out = out.u32(tag).u32(ifindex).u32(parent).u32(length).raw(bytes);
        }
        out.0
    }

    /// From what [`Snapshot::bytes`] wrote; `None` for anything else.
    pub fn read(bytes: &[u8]) -> Option<Snapshot> {
        let mut snapshot = Snapshot::default();
        let mut cursor = Cursor::new(bytes.strip_prefix(MAGIC)?);
        while !cursor.rest().is_empty() {
            let mut field = || cursor.u32().ok();
            let (tag, ifindex, parent, length) = (field()?, field()?, field()?, field()?);
            let (bytes, rest) = cursor.rest().split_at_checked(length as usize)?;
            snapshot.parts.push(match tag {
                0 => Part::Links(bytes.to_vec()),
                1 => Part::Name(String::from_utf8(bytes.to_vec()).ok()?),
                2 => Part::Objects(bytes.to_vec()),
                3 => Part::Filters { ifindex, parent: Handle(parent), bytes: bytes.to_vec() },
                4 => Part::Root { ifindex, parent: Handle(parent), bytes: bytes.to_vec() },
                _ => return None,
            });
            cursor = Cursor::new(rest);
        }
        Some(snapshot)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let mut snapshot = Snapshot::default();
        snapshot.links(vec![1, 2, 3], Some(&["eth0", "b c"]));
        snapshot.objects(vec![]);
        snapshot.filters(7, Handle::new(1, 0), vec![9; 300]);
        let bytes = snapshot.bytes();
        assert_eq!(Snapshot::read(&bytes).unwrap(), snapshot);
        // cut off anywhere it is no snapshot, unless between two parts
        let whole = (0..bytes.len()).filter(|end| Snapshot::read(bytes.get(..*end).unwrap()).is_some()).count();
        assert_eq!(whole, 5);
        assert_eq!(Snapshot::read(b""), None);
        assert_eq!(Snapshot::read(b"shapectl held 2\n"), None);
    }
}
