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
    /// Cells or bytes; bytes if nothing is said, which the kernel remembers as such.
    pub linklayer: Option<LinkLayer>,
}

impl Stab {
    /// How the link counts.
    pub fn layer(&self) -> LinkLayer {
        self.linklayer.unwrap_or_default()
    }

    /// With the figures that tc chooses, as the kernel then holds them: no table where only the overhead counts
    /// (iproute2, `tc_calc_size_table`).
    #[must_use]
    pub fn complete(&self) -> Stab {
        if self.layer() == LinkLayer::Ethernet && self.mpu == 0 {
            return Stab { mtu: 0, tsize: 0, ..self.clone() };
        }
        let or = |figure: u32, default: u32| if figure == 0 { default } else { figure };
        Stab { mtu: or(self.mtu, 2047), tsize: or(self.tsize, 512), ..self.clone() }
    }
}
