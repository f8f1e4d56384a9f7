//! Actions of filters, one file each, named as the kernel names them.

use crate::kind::{Kind, Options};
use compact_str::CompactString;

/// What a filter does with a packet besides naming its class, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actions(pub Vec<Act>);

/// One action.
#[derive(Clone, Debug)]
pub struct Act {
    /// The kind; `None` if no file here knows it.
    pub kind: Option<&'static Kind>,
    /// The kind's name to the kernel.
    pub name: CompactString,
    /// Its options.
    pub options: Box<dyn Options>,
    /// The index of a shared action; the kernel gives one otherwise.
    pub index: Option<u32>,
}

impl PartialEq for Act {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && *self.options == *other.options
    }
}
