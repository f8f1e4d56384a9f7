//! What an object takes of the kernel's memory, as a good guess: what it allocates when it is made, and what may wait in it.
//!
//! Sizes are those of 64-bit kernels, rounded to the slabs that hold them (net/sched/*.c of Linux 6.12); tests hold them
//! against a kernel within a factor of two.

use crate::facts::Facts;
use crate::kind::Options;
use crate::tree::{Id, Object};
use crate::unit::{Bytes, Packets, Unit};

/// Bytes of the kernel's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Taken when it is made.
    pub tables: u64,
    /// Taken at most by packets that wait, all as large as the link's largest.
    pub packets: u64,
}

impl std::iter::Sum for Memory {
    fn sum<I: Iterator<Item = Memory>>(all: I) -> Memory {
        all.fold(Memory::default(), |sum, one| Memory {
            tables: sum.tables.saturating_add(one.tables),
            packets: sum.packets.saturating_add(one.packets),
        })
    }
}

/// `struct Qdisc` with a small private part, a class with its estimator, a filter with its result.
const QDISC: u64 = 1024;
const CLASS: u64 = 1024;
const FILTER: u64 = 512;
/// `struct sk_buff`, and `struct skb_shared_info` at the end of the data.
const SKB: u64 = 256;
const SHARED_INFO: u64 = 320;

/// What a packet of the link's largest size takes: its data lie in a slab of a power of two.
fn packet(facts: &Facts) -> u64 {
    SKB + (u64::from(facts.mtu) + u64::from(facts.header) + SHARED_INFO).next_power_of_two()
}

/// What an object takes. A class has a fifo from the kernel until a discipline takes its place, which is not counted.
pub fn memory(object: &Object, facts: &Facts) -> Memory {
    match object.id {
        Id::Qdisc { .. } => {
            let mut options = object.options.boxed();
            options.complete(facts);
            options.assume(facts);
            Memory { tables: QDISC + options.tables(), packets: waiting(options.as_ref(), facts) }
        }
        Id::Class { .. } => Memory { tables: CLASS, packets: 0 },
        Id::Filter { .. } => Memory { tables: FILTER, packets: 0 },
    }
}

/// The least of the bounds that the rows set: packets, bytes of packets, or bytes of memory.
fn waiting(options: &dyn Options, facts: &Facts) -> u64 {
    let bound = |word: &str| {
        let row = options.row(word)?;
        let number = options.slot(row)?.number().filter(|n| *n != 0)?;
        match options.rows().get(row)?.unit.name {
            name if name == Packets::INFO.name => Some(number.saturating_mul(packet(facts))),
            // payload, which takes more memory than its own length
            name if name == Bytes::INFO.name && word == "limit" => {
                let of_packet = u64::from(facts.mtu) + u64::from(facts.header);
                Some(number.saturating_mul(packet(facts)) / of_packet.max(1))
            }
            name if name == Bytes::INFO.name => Some(number),
            _ => None,
        }
    };
    ["limit", "memory_limit", "memlimit"].into_iter().filter_map(bound).min().unwrap_or(0)
}
