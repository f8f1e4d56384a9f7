//! The words of `link:`: no kind of the kernel's, but rows all the same, so that the reader, the manual and the schema
//! have them from one place.

use super::{Options, Row};
use crate::rows;
use crate::unit::choice::choice;
use crate::unit::{Flag, Length, LinkLayer, Number, Packets, Presets, Rate, Signed};

rows! {
    /// What a policy says of the link itself.
    pub struct Link {
        /// its true speed, where the bottleneck is another one than the device: the whole that percentages at the top are of
        rate: Rate = Row::new("rate");
        /// the kind of line, by its name with cake: what it adds to an IP packet, how it packs bytes, its least size
        preset: Presets = Row::new("preset");
        /// bytes that the link adds to each IP packet
        overhead: Signed = Row::new("overhead").default("0");
        /// the least size that the link sends
        mpu: Length = Row::new("mpu").default("0");
        /// the largest packet that the size table knows
        mtu: Length = Row::new("mtu").default("2047");
        /// slots of the size table
        tsize: Number = Row::new("tsize").default("512");
        /// how the link counts bytes
        linklayer: LinkLayer = Row::new("linklayer").default("ethernet");
        /// packets that a default fifo of the link holds
        txqueuelen: Packets = Row::new("txqueuelen");
        /// whether the machine masquerades here: rules then see its own address in place of the senders'
        nat: Flag = Row::new("nat").flag().default("no");
        /// a device that is nobody's but the policy's: made where there is none of that name, and brought up
        device: Device = Row::new("type");
    }
}

choice!(
    /// A kind of device that a policy makes.
    pub enum Device "a kind of device that a policy makes" {
        /// What is redirected to it is sent by it, and comes back where it was (drivers/net/ifb.c).
        Ifb "ifb",
    }
);

impl Options for Link {}
