//! How a link counts sizes.

use super::LinkLayer;

/// Sizes as the link below counts them (`stab` in tc, `link:` in a policy).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stab {
    /// Bytes added to each packet; may be negative.
    pub overhead: i32,
    /// The least size a packet is charged.
    pub mpu: u32,
    /// The largest packet that the table knows; 2047 if 0.
    pub mtu: u32,
    /// Slots of the table; 512 if 0.
    pub tsize: u32,
    /// Cells or bytes.
    pub linklayer: LinkLayer,
}
