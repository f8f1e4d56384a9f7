//! What a change does not need is given up before its first message.

use super::Error;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// Gives up, for good and for the calling thread, every capability but CAP_NET_ADMIN; where files of other users must be
/// written to the end, CAP_DAC_OVERRIDE is kept as well. What was not there before is not there afterwards.
///
/// # Errors
/// The kernel knows no capabilities, or refuses.
pub fn keep_net_admin(files_of_others: bool) -> Result<(), Error> {
    let wanted = match files_of_others {
        true => CapabilitySet::NET_ADMIN | CapabilitySet::DAC_OVERRIDE,
        false => CapabilitySet::NET_ADMIN,
    };
    let give_up = || {
        let held = capabilities(None)?;
        let kept = held.permitted & wanted;
        set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() })
    };
    give_up().map_err(|e| Error::system("give up capabilities", &e.into()))
}

/// Whether the calling thread may change the network's settings: CAP_NET_ADMIN.
pub fn has_net_admin() -> bool {
    capabilities(None).is_ok_and(|held| held.effective.contains(CapabilitySet::NET_ADMIN))
}
