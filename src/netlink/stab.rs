//! The size table of a qdisc, as tc computes it (iproute2, tc/tc_core.c: `tc_calc_size_table`).

use crate::kind::wire::{Attributes, Fields, Malformed, Parsed};
use crate::tree::Stab;
use crate::unit::{LinkLayer, Unit};

const BASE: u16 = 1;
const DATA: u16 = 2;

/// Appends `TCA_STAB`: the spec, and the table where one is needed.
pub(super) fn encode(stab: &Stab, out: &mut Attributes) {
    let full = stab.complete();
    let (cell_log, size_log, table) = table(&full);
    let align = if table.is_empty() { 0 } else { -1_i16 };
    // struct tc_sizespec
    let spec = Fields::new()
        .u8(cell_log)
        .u8(size_log)
        .u16(align.cast_unsigned())
        .u32(full.overhead.cast_unsigned())
        .u32(full.linklayer.and_then(|layer| layer.number()).unwrap_or(0) as u32)
        .u32(full.mpu)
        .u32(full.mtu)
        .u32(full.tsize);
    out.nest(super::TCA_STAB, |out| {
        out.raw(BASE, &spec.0);
        if !table.is_empty() {
            let bytes: Vec<u8> = table.iter().flat_map(|size| size.to_ne_bytes()).collect();
            out.raw(DATA, &bytes);
        }
    });
}

/// Cell log, size log and the table. Empty if only the overhead counts.
fn table(stab: &Stab) -> (u8, u8, Vec<u16>) {
    if stab.tsize == 0 {
        return (0, 0, Vec::new());
    }
    let mut cell_log = 0_u8;
    while cell_log < 31 && (stab.mtu >> cell_log) > stab.tsize - 1 {
        cell_log += 1;
    }
    // an attribute holds no more; the kernel then refuses the table for its length
    let slots = u64::from(stab.tsize.min(32_000));
    let sizes: Vec<u64> = (1..=slots).map(|i| charged(i << cell_log, stab)).collect();
    let largest = sizes.last().copied().unwrap_or(0);
    let mut size_log = 0_u8;
    while largest >> size_log > u64::from(u16::MAX) {
        size_log += 1;
    }
    (cell_log, size_log, sizes.into_iter().map(|size| (size >> size_log) as u16).collect())
}

/// What a packet of that size takes on the link.
fn charged(size: u64, stab: &Stab) -> u64 {
    let size = size.max(u64::from(stab.mpu));
    match stab.layer() {
        LinkLayer::Ethernet => size,
        LinkLayer::Atm => size.div_ceil(48) * 53,
    }
}

/// Reads `TCA_STAB`.
pub(super) fn decode(attributes: &Parsed) -> Result<Option<Stab>, Malformed> {
    let Some(base) = attributes.nested(super::TCA_STAB)?.and_then(|stab| stab.get(BASE)) else { return Ok(None) };
    let mut c = base.fields();
    let (_logs_and_align, overhead, linklayer, mpu, mtu, tsize) =
        (c.u32()?, c.u32()?, c.u32()?, c.u32()?, c.u32()?, c.u32()?);
    Ok(Some(Stab {
        overhead: overhead.cast_signed(),
        mpu,
        mtu,
        tsize,
        linklayer: LinkLayer::from_number(u64::from(linklayer)).filter(|_| linklayer != 0),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::kind::wire::Payload;

    fn encoded(stab: &Stab) -> Vec<u8> {
        let mut out = Attributes::new();
        encode(stab, &mut out);
        out.bytes
    }

    /// As recorded from tc 6.1: `stab overhead 10 linklayer atm mtu 2047 tsize 512`.
    #[test]
    fn atm_has_a_table() {
        let asked = Stab { overhead: 10, linklayer: Some(LinkLayer::Atm), ..Stab::default() };
        let bytes = encoded(&asked);
        assert_eq!(bytes.len(), 1060);
        let table: Vec<u16> = bytes[36..].chunks(2).map(|b| u16::from_ne_bytes([b[0], b[1]])).collect();
        assert_eq!(table.len(), 512);
        assert_eq!(table[..25], [[53; 12], [106; 12]].concat().into_iter().chain([159]).collect::<Vec<u16>>());
        let held = decode(&Payload(&bytes).attributes().unwrap()).unwrap().unwrap();
        assert_eq!(held, Stab { mtu: 2047, tsize: 512, ..asked.clone() });
        assert_eq!(held, asked.complete());
    }

    #[test]
    fn overhead_alone_needs_no_table() {
        let asked = Stab { overhead: -4, mtu: 2047, ..Stab::default() };
        let bytes = encoded(&asked);
        assert_eq!(bytes.len(), 4 + 4 + 24);
        assert_eq!(decode(&Payload(&bytes).attributes().unwrap()).unwrap().unwrap(), asked.complete());
        assert_eq!(asked.complete().mtu, 0);
    }

    #[test]
    fn large_sizes_are_shifted() {
        let stab = Stab { mpu: 64, mtu: 200_000, tsize: 100, ..Stab::default() }.complete();
        let (cell_log, size_log, table) = table(&stab);
        assert_eq!((cell_log, size_log), (11, 2));
        assert_eq!(table[0], 2048 >> 2);
        assert_eq!(table[99], (100 << 11 >> 2) as u16);
    }
}
