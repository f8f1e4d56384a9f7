//! What a kernel may have or lack.

use crate::kind::{self, Role};

/// Something that a kernel has or has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A qdisc, filter or action, by its name.
    Kind(Role, &'static str),
    /// A kind of device, by its name.
    Device(&'static str),
    /// Something that all of traffic control, or one kind, can do in newer kernels.
    Feature(Feature),
}

/// What not every kernel's traffic control can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Rates beyond 32 bits of bytes a second.
    Rate64,
    /// Policers that count packets.
    PacketRate,
    /// u32 filters that match marks.
    U32Mark,
    /// u32 filters that count.
    U32Counters,
    /// Reasons for refusals in words.
    ExtendedErrors,
    /// Dumps of what is asked for alone.
    StrictDumps,
    /// Filters that several links share.
    SharedBlocks,
    /// Chains of filters.
    Chains,
    /// Templates of chains.
    Templates,
    /// Choice of the statistics that hardware keeps of an action.
    HwStats,
    /// The hook for what leaves.
    ClsactEgress,
    /// The action `ct` below a discipline that holds packets, which could free one that is still held by conntrack.
    CtBelowQdiscs,
}

/// Each feature with its name, what it is for, its module and symbol if one decides, and which kernels have it.
type Row = (Feature, &'static str, &'static str, Option<&'static str>, Option<&'static str>, &'static str);

const FEATURES: &[Row] = &[
    (Feature::Rate64, "rate64", "rates above 34 Gbit/s", None, None, "since Linux 3.13"),
    (Feature::PacketRate, "packet-rate", "policing by packets a second", None, None, "since Linux 5.13"),
    (Feature::U32Mark, "u32-mark", "u32 filters that match the mark", None, Some("CLS_U32_MARK"), ""),
    (Feature::U32Counters, "u32-counters", "u32 filters that count their hits", None, Some("CLS_U32_PERF"), ""),
    (Feature::ExtendedErrors, "extended-errors", "refusals with a reason in words", None, None, "since Linux 4.16"),
    (Feature::StrictDumps, "strict-dumps", "dumps of one link alone", None, None, "since Linux 4.20"),
    (Feature::SharedBlocks, "shared-blocks", "filters that several links share", None, None, "since Linux 4.16"),
    (Feature::Chains, "chains", "chains of filters", None, None, "since Linux 4.13"),
    (
        Feature::Templates,
        "chain-templates",
        "chains made by themselves, with templates",
        None,
        None,
        "since Linux 4.19",
    ),
    (Feature::HwStats, "hw-stats", "the choice of hardware statistics", None, None, "since Linux 5.7"),
    (
        Feature::ClsactEgress,
        "clsact-egress",
        "filters on what leaves, without a qdisc",
        Some("sch_ingress"),
        Some("NET_SCH_INGRESS"),
        "since Linux 4.5",
    ),
    (
        Feature::CtBelowQdiscs,
        "ct-below-qdiscs",
        "the action `ct` elsewhere than on the hooks and in shared blocks",
        None,
        None,
        "up to Linux 6.19, but for some stable ones",
    ),
];

/// Kinds of devices: names, modules and symbols.
const DEVICES: &[(&str, &str, &str)] = &[("ifb", "ifb", "IFB"), ("dummy", "dummy", "DUMMY"), ("veth", "veth", "VETH")];

/// A kind of device that is known here.
pub(super) fn device(name: &str) -> Option<Thing> {
    DEVICES.iter().find(|(known, ..)| *known == name).map(|(known, ..)| Thing::Device(known))
}

/// All that a kernel can be asked for: every kind of the registry, devices, features.
pub fn everything() -> Vec<Thing> {
    let kinds = [Role::Qdisc, Role::Filter, Role::Action].into_iter();
    let kinds = kinds.flat_map(|role| kind::all(role).map(move |kind| Thing::Kind(role, kind.name)));
    let devices = DEVICES.iter().map(|(name, ..)| Thing::Device(name));
    kinds.chain(devices).chain(FEATURES.iter().map(|(feature, ..)| Thing::Feature(*feature))).collect()
}

impl Thing {
    fn kind(self) -> Option<&'static kind::Kind> {
        match self {
            Thing::Kind(role, name) => kind::find(role, name),
            _ => None,
        }
    }

    fn row(self) -> Option<&'static Row> {
        match self {
            Thing::Feature(feature) => FEATURES.iter().find(|row| row.0 == feature),
            _ => None,
        }
    }

    fn device(self) -> Option<&'static (&'static str, &'static str, &'static str)> {
        match self {
            Thing::Device(name) => DEVICES.iter().find(|(known, ..)| *known == name),
            _ => None,
        }
    }

    /// Its name: `cake`, `ifb`, `u32-mark`.
    pub fn name(self) -> &'static str {
        match self {
            Thing::Kind(_, name) | Thing::Device(name) => name,
            Thing::Feature(_) => self.row().map_or("", |row| row.1),
        }
    }

    /// What it is: `qdisc`, `filter`, `action`, `device`, `feature`.
    pub fn group(self) -> &'static str {
        match self {
            Thing::Kind(Role::Qdisc, _) => "qdisc",
            Thing::Kind(Role::Filter, _) => "filter",
            Thing::Kind(Role::Action, _) => "action",
            Thing::Device(_) => "device",
            Thing::Feature(_) => "feature",
        }
    }

    /// What a feature is for; empty for what has a page of its own.
    pub fn doc(self) -> &'static str {
        self.row().map_or("", |row| row.2)
    }

    /// The module that carries it: `sch_cake`.
    pub fn module(self) -> Option<&'static str> {
        let module = self.kind().map(|k| k.module).or(self.device().map(|d| d.1)).or(self.row().and_then(|r| r.3));
        module.filter(|module| !module.is_empty())
    }

    /// Whether its module is named after it. A module that is named after another kind may be older than this one: that it is
    /// there says nothing then (`cake_mq` came to `sch_cake` years later).
    pub fn names_its_module(self) -> bool {
        let own = |module: &str| self.kind().is_none_or(|kind| module.ends_with(&format!("_{}", kind.name)));
        self.module().is_some_and(own)
    }

    /// The configuration symbol without its `CONFIG_`: `NET_SCH_CAKE`.
    pub fn config(self) -> Option<&'static str> {
        self.kind().map(|k| k.config).or(self.device().map(|d| d.2)).or(self.row().and_then(|r| r.4))
    }

    /// Which kernels have it, where that decides: `since Linux 5.13`.
    pub fn kernels(self) -> Option<&'static str> {
        self.row().map(|row| row.5).filter(|kernels| !kernels.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_a_name_of_its_own_and_a_reason() {
        let all = everything();
        for (i, thing) in all.iter().enumerate() {
            assert!(!thing.name().is_empty(), "{thing:?}");
            assert!(
                thing.config().is_some() || thing.kernels().is_some(),
                "{thing:?} has neither a symbol nor a version"
            );
            let twin = all.iter().take(i).find(|other| other.name() == thing.name() && other.group() == thing.group());
            assert_eq!(twin, None);
        }
    }
}
