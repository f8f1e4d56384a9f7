//! Options of a kind that no file here knows: kept as bytes, shown, and never lost in silence.

use super::wire::{Attributes, Malformed, Payload};
use super::{Options, Row};
use crate::facts::Facts;
use crate::rows;
use crate::unit::Octets;

rows! {
    /// The payload of `TCA_OPTIONS` as it came.
    pub struct Raw {
        /// the options as the kernel gave them
        bytes: Octets = Row::new("options");
    }
}

impl Options for Raw {
    fn encode(&self, out: &mut Attributes, _facts: &Facts) {
        if let Some(Octets(bytes)) = &self.bytes {
            out.bare(bytes);
        }
    }

    fn decode(&mut self, payload: Payload, _facts: &Facts) -> Result<(), Malformed> {
        self.bytes = (!payload.0.is_empty()).then(|| Octets(payload.0.to_vec()));
        Ok(())
    }
}
