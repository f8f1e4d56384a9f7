//! What a kernel must have for a policy, what stands in the way where it has not, and what of a link defeats shaping:
//! values and judgements, no I/O. [`crate::kernel::probe`] asks, `view` draws.

mod link;
mod memory;
mod thing;

pub use link::{LinkFacts, Remark, clock, remarks};
pub use memory::{Memory, memory};
pub use thing::{Feature, Thing, everything};

use crate::facts::Facts;
use crate::kind::action::{Actions, ct, police::Police};
use crate::kind::filter::u32::U32;
use crate::kind::{Options, Role};
use crate::source::Span;
use crate::tree::{Id, Interface, Object, Tree};
use crate::unit::{Handle, Rate};
use std::collections::{BTreeMap, BTreeSet};

/// What a kernel says when it is asked for a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has it.
    Has,
    /// It has it not.
    Lacks,
    /// It cannot be asked, and why.
    Unknown(String),
}

/// What the files of a system say of its kernel's modules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    /// The kernel's release: `6.12.0-amd64`.
    pub release: String,
    /// Modules that are part of the kernel, by name with underscores.
    pub builtin: BTreeSet<String>,
    /// Modules that are there to be loaded.
    pub there: BTreeSet<String>,
    /// Modules that are loaded.
    pub loaded: BTreeSet<String>,
    /// The configuration that the kernel was built with, if it can be read: symbol without `CONFIG_`, and `y`, `m` or a
    /// value.
    pub config: Option<BTreeMap<String, String>>,
}

impl Installed {
    /// Whether a thing needs no question: part of the kernel, loaded, or there to be loaded.
    fn has(&self, thing: Thing) -> Option<&'static str> {
        let module = thing.module().filter(|_| thing.names_its_module())?;
        match () {
            () if self.loaded.contains(module) || self.builtin.contains(module) => Some(""),
            () if self.there.contains(module) => Some("loads when it is first used"),
            () => None,
        }
    }

    /// What the kernel's configuration says of a thing.
    fn built(&self, thing: Thing) -> Option<&str> {
        let symbol = thing.config()?;
        let config = self.config.as_ref()?;
        Some(config.get(symbol).map_or("n", String::as_str))
    }
}

/// How it is with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is there.
    Ok,
    /// It is not.
    Missing,
    /// Nobody can say.
    Unknown,
}

impl Status {
    /// The word in print and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Missing => "missing",
            Status::Unknown => "unknown",
        }
    }
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The thing.
    pub thing: Thing,
    /// How it is with it.
    pub status: Status,
    /// Why, or what to know of it; empty where there is nothing to say.
    pub note: String,
    /// What to run.
    pub remedy: Option<String>,
    /// Whether the policy that was looked at needs it.
    pub needed: bool,
}

/// Things that are worth asking a kernel for: what the files say is there is not asked, so that no module is loaded for a
/// mere question. Features are always asked for.
pub fn to_ask(installed: &Installed) -> Vec<Thing> {
    everything().into_iter().filter(|thing| installed.has(*thing).is_none()).collect()
}

/// Joins the kernel's answers and what the files say.
pub fn judge(installed: &Installed, answers: &[(Thing, Answer)], needs: &[Need]) -> Vec<Finding> {
    let one = |thing: Thing| {
        let answer = answers.iter().find(|(asked, _)| *asked == thing).map(|(_, answer)| answer);
        let (status, note, remedy) = match (answer, installed.has(thing)) {
            (Some(Answer::Has), note) => (Status::Ok, note.unwrap_or_default().to_owned(), None),
            (Some(Answer::Lacks), _) => {
                let (note, remedy) = why(installed, thing);
                (Status::Missing, note, remedy)
            }
            (_, Some(note)) => (Status::Ok, note.to_owned(), None),
            (answer, None) => unasked(installed, thing, answer),
        };
        Finding { thing, status, note, remedy, needed: needs.iter().any(|need| need.thing == thing) }
    };
    everything().into_iter().map(one).collect()
}

/// Of what could not be asked the configuration says something at times.
fn unasked(installed: &Installed, thing: Thing, answer: Option<&Answer>) -> (Status, String, Option<String>) {
    let reason = match answer {
        Some(Answer::Unknown(reason)) => reason.clone(),
        _ => "the kernel could not be asked".to_owned(),
    };
    match installed.built(thing) {
        Some("y") => (Status::Ok, "by the kernel's configuration".to_owned(), None),
        Some("n") => {
            let (note, remedy) = why(installed, thing);
            (Status::Missing, note, remedy)
        }
        _ => (Status::Unknown, reason, None),
    }
}

/// Why a thing is missing, as far as the files say, and what helps.
pub fn why(installed: &Installed, thing: Thing) -> (String, Option<String>) {
    let symbol = thing.config().map(|symbol| format!("CONFIG_{symbol}"));
    let mut said: Vec<String> = thing.module().map(|module| format!("module {module}")).into_iter().collect();
    said.extend(symbol);
    said.extend(thing.kernels().map(str::to_owned));
    let said = said.join(", ");
    let release = &installed.release;
    let module = thing.module().unwrap_or_default();
    match installed.built(thing) {
        Some("m") if !installed.there.contains(module) => {
            let packages = format!(
                "linux-modules-extra-{release} (Debian, Ubuntu), kernel-modules-extra (Fedora, RHEL) or \
                 kmod-{module} (OpenWrt)",
                module = module.replace("sch_", "sched-").replace('_', "-")
            );
            (format!("{said}: built as a module and not installed; it may be in {packages}"), None)
        }
        Some("n") => (format!("{said}: this kernel was built without it"), None),
        _ if installed.there.contains(module) => {
            (format!("{said}: it is installed and does not load"), Some(format!("modprobe {module}")))
        }
        _ if !module.is_empty() && installed.config.is_none() => (said, Some(format!("modprobe {module}"))),
        _ => (said, None),
    }
}

/// A thing that a policy needs, and where it asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// The thing.
    pub thing: Thing,
    /// The policy's place.
    pub span: Option<Span>,
}

/// What these objects need of the kernel, each thing once, at the first that needs it.
pub fn needs_of<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Vec<Need> {
    needs_that(objects, |_, _| true)
}

/// What changes of objects that stand need: they are of kinds that are there.
pub fn needs_of_changes<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Vec<Need> {
    let stands = |object: &Object, thing| matches!(thing, Thing::Kind(role, name) if role != Role::Action && name == object.name);
    needs_that(objects, |object, thing| !stands(object, thing))
}

fn needs_that<'a>(objects: impl IntoIterator<Item = &'a Object>, counts: impl Fn(&Object, Thing) -> bool) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    for object in objects {
        for thing in things_of(object).into_iter().filter(|thing| counts(object, *thing)) {
            if needs.iter().all(|need| need.thing != thing) {
                needs.push(Need { thing, span: object.origin.span });
            }
        }
    }
    needs
}

/// What making a device of that kind needs; nothing for kinds that are not known here.
pub fn need_of_device(kind: &str, span: Option<Span>) -> Option<Need> {
    Some(Need { thing: thing::device(kind)?, span })
}

/// What a tree needs of the kernel.
pub fn needs(tree: &Tree) -> Vec<Need> {
    let mut needs = needs_of(tree.objects());
    for interface in tree.interfaces.values() {
        let Some(kind) = interface.link.kind.as_deref().and_then(thing::device) else { continue };
        if needs.iter().all(|need| need.thing != kind) {
            needs.push(Need { thing: kind, span: interface.link.origin.span });
        }
    }
    needs
}

fn things_of(object: &Object) -> Vec<Thing> {
    let mut things = Vec::new();
    let role = if matches!(object.id, Id::Filter { .. }) { Role::Filter } else { Role::Qdisc };
    things.extend(object.kind.map(|kind| Thing::Kind(role, kind.name)));
    if matches!(object.id, Id::Filter { chain, .. } if chain != 0) {
        things.push(Thing::Feature(Feature::Chains));
    }
    if matches!(object.id, Id::Filter { parent: Handle::HOOK_EGRESS, .. }) {
        things.push(Thing::Feature(Feature::ClsactEgress));
    }
    if object.blocks.ingress != 0 || object.blocks.egress != 0 {
        things.push(Thing::Feature(Feature::SharedBlocks));
    }
    if object.options.as_kind::<U32>().is_some_and(|u32| u32.mark.is_some()) {
        things.push(Thing::Feature(Feature::U32Mark));
    }
    things_of_options(object.options.as_ref(), &mut things);
    // the number of a shared block stands in the place of a parent
    let on_hook = |parent: Handle| parent.is_hook() || parent.major() == 0;
    if things.contains(&Thing::Kind(Role::Action, ct::KIND.name)) && !on_hook(object.id.parent()) {
        things.push(Thing::Feature(Feature::CtBelowQdiscs));
    }
    things
}

fn things_of_options(options: &dyn Options, things: &mut Vec<Thing>) {
    for i in 0..options.rows().len() {
        let Some(slot) = options.slot(i).filter(|slot| slot.is_set()) else { continue };
        if let Some(Some(rate)) = slot.as_any().downcast_ref::<Option<Rate>>()
            && rate.bytes() > u64::from(u32::MAX)
            && !options.rows().get(i).is_some_and(|row| row.tool)
        {
            things.push(Thing::Feature(Feature::Rate64));
        }
        let Some(Some(Actions(actions))) = slot.as_any().downcast_ref::<Option<Actions>>() else { continue };
        for act in actions {
            things.extend(act.kind.map(|kind| Thing::Kind(Role::Action, kind.name)));
            if act.hw_stats.is_some() {
                things.push(Thing::Feature(Feature::HwStats));
            }
            if act.options.as_kind::<Police>().is_some_and(|police| police.pkts_rate.is_some()) {
                things.push(Thing::Feature(Feature::PacketRate));
            }
            things_of_options(act.options.as_ref(), things);
        }
    }
}

/// The smallest bucket that an interface's egress holds, in bytes, with the word and kind of what it is in.
fn smallest_bucket(held: &Interface, facts: &Facts) -> Option<(u64, String)> {
    let objects = held.egress.iter().flat_map(|branch| &branch.objects);
    let buckets = objects.filter(|o| ["htb", "tbf"].contains(&o.name.as_str())).filter_map(|object| {
        let mut options = object.options.clone();
        options.assume(facts);
        let burst: crate::unit::Bytes = options.value("burst")?;
        Some((burst.0, format!("{} {}", object.name, object.handle()?)))
    });
    buckets.min()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    const CAKE: Thing = Thing::Kind(Role::Qdisc, "red");

    fn installed(config: &[(&str, &str)], there: &[&str]) -> Installed {
        Installed {
            release: "6.1.0".into(),
            there: there.iter().map(|m| (*m).to_owned()).collect(),
            config: Some(config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()),
            ..Installed::default()
        }
    }

    fn finding(installed: &Installed, answer: Option<Answer>) -> Finding {
        let answers: Vec<_> = answer.map(|answer| (CAKE, answer)).into_iter().collect();
        judge(installed, &answers, &[]).into_iter().find(|f| f.thing == CAKE).unwrap()
    }

    #[test]
    fn the_kernel_is_believed_before_the_files() {
        let nothing = Installed::default();
        assert_eq!(finding(&nothing, Some(Answer::Has)).status, Status::Ok);
        let lacking = finding(&nothing, Some(Answer::Lacks));
        assert_eq!((lacking.status, lacking.note.as_str()), (Status::Missing, "module sch_red, CONFIG_NET_SCH_RED"));
        assert_eq!(finding(&nothing, None).status, Status::Unknown);
        assert_eq!(finding(&nothing, Some(Answer::Unknown("no right".into()))).note, "no right");
    }

    #[test]
    fn the_files_say_why() {
        let without = finding(&installed(&[], &[]), Some(Answer::Lacks));
        assert!(without.note.ends_with("this kernel was built without it"), "{}", without.note);
        let package = finding(&installed(&[("NET_SCH_RED", "m")], &[]), Some(Answer::Lacks));
        assert!(package.note.contains("linux-modules-extra-6.1.0"), "{}", package.note);
        assert!(package.note.contains("kmod-sched-red"), "{}", package.note);
        let stuck = finding(&installed(&[("NET_SCH_RED", "m")], &["sch_red"]), Some(Answer::Lacks));
        assert_eq!(stuck.remedy.as_deref(), Some("modprobe sch_red"));
        assert_eq!(finding(&installed(&[("NET_SCH_RED", "m")], &["sch_red"]), None).status, Status::Ok);
        assert_eq!(finding(&installed(&[("NET_SCH_RED", "y")], &[]), None).status, Status::Ok);
        assert_eq!(finding(&installed(&[], &[]), None).status, Status::Missing);
        assert!(!to_ask(&installed(&[], &["sch_red"])).contains(&CAKE));
        assert!(to_ask(&installed(&[], &[])).contains(&CAKE));
    }

    #[test]
    fn a_policy_needs_what_its_objects_are_made_of() {
        let run = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let kind = crate::kind::find(Role::Filter, "u32").unwrap();
            let mut options = (kind.options)();
            let mut reader = crate::unit::Reader::tc();
            crate::kind::read_tc(options.as_mut(), &mut crate::unit::Words::new(&words), &mut reader).unwrap();
            let id = Id::Filter { parent: Handle::HOOK_EGRESS, chain: 3, prio: 1, protocol: 3, handle: 0 };
            let needs = needs_of(&[Object::new(id, kind, options)]);
            needs.iter().map(|need| need.thing.name().to_owned()).collect::<Vec<_>>()
        };
        let all =
            run("match mark 1 1 action police pkts_rate 100 pkts_burst 10 conform-exceed drop/ok hw_stats immediate");
        assert_eq!(all, ["u32", "chains", "clsact-egress", "u32-mark", "police", "hw-stats", "packet-rate"]);
        // below a discipline, on a hook and in a shared block
        for (parent, wanted) in [(Handle::new(1, 0), true), (Handle::HOOK_EGRESS, false), (Handle(7), false)] {
            let kind = crate::kind::find(Role::Filter, "matchall").unwrap();
            let mut options = (kind.options)();
            let words = ["action".to_owned(), "ct".to_owned()];
            let mut reader = crate::unit::Reader::tc();
            crate::kind::read_tc(options.as_mut(), &mut crate::unit::Words::new(&words), &mut reader).unwrap();
            let id = Id::Filter { parent, chain: 0, prio: 1, protocol: 3, handle: 0 };
            let filter = Object::new(id, kind, options);
            let feature = |needs: Vec<Need>| needs.iter().any(|need| need.thing.name() == "ct-below-qdiscs");
            assert_eq!(feature(needs_of([&filter])), wanted, "{parent}");
            let changed: Vec<_> = needs_of_changes([&filter]).iter().map(|need| need.thing.name()).collect();
            assert!(changed.contains(&"ct") && !changed.contains(&"matchall"), "{changed:?}");
        }
        let wide = run("match u32 0 0 action police rate 40gbit burst 1mb");
        assert_eq!(wide, ["u32", "chains", "clsact-egress", "police", "rate64"]);
    }
}
