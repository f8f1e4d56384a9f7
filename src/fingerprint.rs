//! A hash that is the same on every machine and in every version: FNV-1a of 64 bits.

/// The hash so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub u64);

impl Fingerprint {
    /// Of nothing.
    #[expect(clippy::new_without_default, reason = "a fingerprint of nothing is a beginning, not a usual value")]
    pub fn new() -> Self {
        Fingerprint(0xcbf2_9ce4_8422_2325)
    }

    /// With these bytes after what was there.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        Fingerprint(bytes.iter().fold(self.0, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3)))
    }

    /// Of so many bytes that one after the other would take long: words of eight, little-endian, and what is left.
    pub fn of_many(bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<8>();
        let step = |h: u64, word: &[u8; 8]| (h ^ u64::from_le_bytes(*word)).wrapping_mul(0x0100_0000_01b3);
        Fingerprint(words.iter().fold(Fingerprint::new().0, step)).bytes(rest)
    }

    /// With a number after what was there.
    #[must_use]
    pub fn word(self, number: u32) -> Self {
        self.bytes(&number.to_be_bytes())
    }
}
