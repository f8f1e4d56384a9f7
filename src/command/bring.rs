//! From a policy and a kernel to a plan, and from a plan to a kernel that holds it.

use super::carry::{Stop, carry_out};
use super::frame::{self, Frame, Machine};
use super::refusal::refusal;
use crate::cli::PolicyArgs;
use crate::diagnostic::{Diagnostic, codes};
use crate::doctor::{self, Answer, Feature, Memory, Need, Thing, memory};
use crate::facts::Facts;
use crate::kernel::{self, Error, Kernel};
use crate::kind::action::{Act, forget_numbers};
use crate::kind::acts;
use crate::lower::{self, Hook, Ids};
use crate::netlink::{self, LinkInfo, Snapshot};
use crate::plan::{self, Difference, LinkChange, Plan, Shared, Step, Subject, Verb};
use crate::policy::model::Policy;
use crate::source::Sources;
use crate::state::State;
use crate::tree::{Branch, Id, Interface, Names, OWN_ALIAS, OWN_PREFIX, Object, Tree, block_of};
use crate::unit::Handle;
use crate::view::{self, PlanJson};
use serde_json::{Value, json};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A policy held against the kernel.
pub(super) struct Aim {
    pub file: String,
    pub kernel: Kernel,
    /// What the kernel said, to go back to.
    pub snapshot: Snapshot,
    pub machine: Machine,
    pub state: State,
    pub ids: Ids,
    pub asked: Tree,
    pub held: Tree,
    pub plan: Plan,
    /// Devices of a change that is gone back from, which may stand without the mark of ours.
    pub half_made: Vec<String>,
    pub times: Times,
    names: OnceCell<Names>,
}

/// A kernel that was read, and what is remembered of it.
pub(super) struct Stands {
    pub kernel: Kernel,
    pub machine: Machine,
    pub state: State,
    pub held: Tree,
    pub snapshot: Snapshot,
}

/// What the parts of a run took; told in JSON, for those who measure.
pub(super) struct Times {
    since: Instant,
    parts: Vec<(&'static str, Duration)>,
}

impl Times {
    pub fn start() -> Times {
        Times { since: Instant::now(), parts: Vec::new() }
    }

    /// Ends a part; the next begins.
    pub fn end(&mut self, part: &'static str) {
        let now = Instant::now();
        self.parts.push((part, now.duration_since(self.since)));
        self.since = now;
    }

    /// In milliseconds, by part.
    pub fn json(&self) -> Value {
        self.parts.iter().map(|(part, took)| ((*part).to_owned(), json!(took.as_secs_f64() * 1e3))).collect()
    }
}

impl Aim {
    /// Compiles the policy and reads the kernel, which nobody needs to hold still. `Err` if the policy is refused,
    /// `Ok(None)` if the kernel is; what was found says why.
    pub fn take(frame: &mut Frame, args: &PolicyArgs) -> Result<Option<Aim>, ()> {
        let Some(kernel) = frame.kernel() else { return Ok(None) };
        Aim::at(frame, args, kernel)
    }

    /// The same for a kernel that is open already.
    pub fn at(frame: &mut Frame, args: &PolicyArgs, kernel: Kernel) -> Result<Option<Aim>, ()> {
        let state = frame.state();
        let file = frame.which(args.file.as_deref(), &state);
        Aim::with(frame, args.deny_warnings, file, state, kernel)
    }

    /// The same with a kernel and a state that are there already.
    pub fn with(
        frame: &mut Frame,
        deny: bool,
        file: String,
        state: State,
        mut kernel: Kernel,
    ) -> Result<Option<Aim>, ()> {
        let mut machine = match Machine::read(Some(&mut kernel)) {
            Ok(machine) => machine,
            Err(e) => {
                frame.found.push(refusal(&e));
                return Ok(None);
            }
        };
        let mut times = Times::start();
        // the kernel tells what it holds of all that was shaped here while the policy is read and compiled
        let (told, policy, ahead) = std::thread::scope(|scope| {
            let reader = scope.spawn(|| read_and_keep(&mut kernel, state.owned.keys().map(String::as_str)));
            let policy = frame.policy(&file, &|name| machine.facts(name));
            machine.missing(&policy).for_each(|name| frame.lacks_interface(&name.value, Some(name.span)));
            let ahead = frame.lower_ahead(&machine, &policy, &state.ids);
            (reader.join(), policy, ahead)
        });
        times.end("policy");
        if frame.stops(deny) {
            return Err(());
        }
        let names = policy.interfaces.iter().map(|i| i.name.value.as_str());
        let read = match told {
            Ok(read) if names.clone().all(|name| state.owned.contains_key(name)) => read,
            _ => read_and_keep(&mut kernel, names.chain(state.owned.keys().map(String::as_str))),
        };
        let (held, snapshot) = match read {
            Ok(read) => read,
            Err(e) => {
                frame.found.push(refusal(&e));
                return Ok(None);
            }
        };
        times.end("held");
        let lowered = frame.lower_for(&mut machine, &policy, &beside(&state.ids, &held), &held, Some(ahead));
        let again = Again { policy: &policy, state: &state, held: &held };
        let (mut asked, mut ids) = again.keep_apart(frame, &machine, lowered);
        if frame.stops(deny) {
            return Err(());
        }
        leave_what_was_left(&mut asked, &state, &machine);
        // what is held is kept as well, for the way back
        kernel.look_for(asked.references().chain(held.references()));
        machine.look_again(&kernel);
        if lacks_what_is_named(frame, &asked, &machine) {
            return Err(());
        }
        if stands_otherwise(frame, &mut kernel, &asked, &held, &machine) {
            return Err(());
        }
        times.end("lower");
        let mut plan = plan::plan(&asked, &held, &|name: &str| machine.facts(name));
        // a queue that would be thrown away sends what waits in it in its old class, beside a new one; what a stuck class
        // hides of that is seen when it stands aside itself
        for _ in 0..=usize::from(!plan.stuck.is_empty()) {
            let purged = plan::purged(&plan, &held);
            let Some(aside) = lower::aside(&purged, &ids).filter(|_| !purged.is_empty()) else { break };
            let lowered = again.compile(frame, &machine, aside);
            (asked, ids) = again.keep_apart(frame, &machine, lowered);
            leave_what_was_left(&mut asked, &state, &machine);
            plan = plan::plan(&asked, &held, &|name: &str| machine.facts(name));
        }
        times.end("plan");
        frame::leave(policy);
        let (half_made, names) = (Vec::new(), OnceCell::new());
        Ok(Some(Aim { file, kernel, snapshot, machine, state, ids, asked, held, plan, half_made, times, names }))
    }
}

/// What a policy is compiled against once more, with other numbers.
struct Again<'a> {
    policy: &'a Policy,
    state: &'a State,
    held: &'a Tree,
}

impl Again<'_> {
    fn compile(&self, frame: &mut Frame, machine: &Machine, ids: Ids) -> (Tree, Ids) {
        let mut ids = beside(&ids, self.held);
        lower::still_known(&mut ids, &self.state.ids);
        frame.lower(self.policy, &|name| machine.facts(name), &ids)
    }

    /// As long as numbers stand where they cannot be moved from, because the table is lost or somebody else was at work.
    fn keep_apart(&self, frame: &mut Frame, machine: &Machine, mut lowered: (Tree, Ids)) -> (Tree, Ids) {
        for _ in 0..lower::ROUNDS {
            let Some(apart) = lower::apart(&lowered.0, self.held, &lowered.1) else { break };
            lowered = self.compile(frame, machine, apart);
        }
        lowered
    }
}

impl Aim {
    /// A tree that comes from no policy, held against the kernel.
    pub fn to(asked: Tree, stands: Stands) -> Aim {
        let Stands { kernel, machine, state, held, snapshot } = stands;
        let plan = plan::plan(&asked, &held, &|name: &str| machine.facts(name));
        let (file, ids, half_made) = (String::new(), state.ids.clone(), Vec::new());
        let (times, names) = (Times::start(), OnceCell::new());
        Aim { file, kernel, snapshot, machine, state, ids, asked, held, plan, half_made, times, names }
    }

    /// Back to what stood before a change, of which it is remembered which name had which number.
    pub fn back(before: &Before, ids: Ids, stands: Stands) -> Aim {
        let mut aim = Aim::to(before.goal(&stands.held), stands);
        aim.half_made = before.new_devices().map(str::to_owned).collect();
        aim.ids = ids;
        aim.plan.steps.extend(half_made(&aim.half_made, &aim.held));
        aim
    }

    /// The plan for machines, and what is said beside it.
    pub fn json<'a>(&'a self, sources: &'a Sources, beside: Vec<(&'static str, Value)>) -> PlanJson<'a> {
        PlanJson { plan: &self.plan, names: self.names(), sources, beside }
    }

    /// What the plan makes takes of the kernel's memory.
    pub fn memory(&self) -> Memory {
        memory_of(&self.plan, &|name: &str| self.machine.facts(name))
    }

    /// Names of handles: those of the policy, and what went before it for what is taken away.
    pub fn names(&self) -> &Names {
        self.names.get_or_init(|| {
            let mut names = frame::names(&self.ids, &self.asked);
            self.state.ids.name(&mut names);
            names
        })
    }
}

/// What a plan makes takes of the kernel's memory.
pub(super) fn memory_of(plan: &Plan, facts: &dyn Fn(&str) -> Facts) -> Memory {
    let made = |step: &&Step| matches!(step.verb, Verb::Add | Verb::Replace);
    let of = |interface: &[Step]| -> Memory {
        let Some(first) = interface.first() else { return Memory::default() };
        let facts = facts(&first.interface);
        let object = |step: &Step| match &step.subject {
            Subject::Object(object) => memory(object, &facts),
            Subject::Action(..) | Subject::Link(..) => Memory::default(),
        };
        interface.iter().filter(made).map(object).sum()
    };
    plan.steps.chunk_by(|one, other| one.interface == other.interface).map(of).sum()
}

/// Finds what the policy names and the machine does not have, at the policy's line. True if there is something.
fn lacks_what_is_named(frame: &mut Frame, asked: &Tree, machine: &Machine) -> bool {
    let before = frame.found.found.len();
    for (name, interface) in &asked.interfaces {
        let facts = machine.facts(name);
        for object in [&interface.egress, &interface.ingress].into_iter().flatten().flat_map(|b| &b.objects) {
            let Some(absent) = object.options.absent(&facts) else { continue };
            let d = Diagnostic::new(absent.code, absent.message);
            let d = object.origin.span.map_or(d.clone(), |span| d.at(span, "asked for here"));
            frame.found.push(absent.help.map_or(d.clone(), |help| d.help(help)));
        }
    }
    frame.found.found.len() > before
}

/// How often it is asked again whether the kernel has let go of an action, and the time between.
const LET_GO: usize = 10;
const PAUSE: Duration = Duration::from_millis(10);

/// Finds actions that filters are to share by a number under which something else stands that cannot become them. Those
/// that nobody's filter here has are others', and the kernel would take them as they are; of those that are, some things are
/// decided at their birth. True if there are any.
pub(super) fn stands_otherwise(
    frame: &mut Frame,
    kernel: &mut Kernel,
    asked: &Tree,
    held: &Tree,
    machine: &Machine,
) -> bool {
    let before = frame.found.found.len();
    let wanted = plan::shared(asked);
    let here: HashMap<_, &Act> = match wanted.is_empty() {
        true => HashMap::new(),
        false => {
            held.objects().flat_map(|o| acts(o.options.as_ref())).map(|act| ((&act.name, act.number()), act)).collect()
        }
    };
    let value = |text: &Option<String>| text.clone().unwrap_or_else(|| "not set".to_owned());
    for ((name, number), Shared { interface, filter, act }) in &wanted {
        let facts = machine.facts(interface);
        let mut found = |message: String, help: String| {
            let d = Diagnostic::new(&codes::SHARED_ACTION, message).help(help);
            frame.found.push(filter.origin.span.map_or(d.clone(), |span| d.at(span, "asked for here")));
        };
        if let Some(stands) = here.get(&(name, Some(*number))) {
            if let Some(Difference { word, held, asked }) = plan::born_otherwise(act, stands, &facts) {
                let (held, asked) = (value(&held), value(&asked));
                let message = format!("`{name}` {number} stands with `{word}: {held}`, and `{word}: {asked}` is asked");
                found(message, "the kernel decides that when it makes an action: write another `index`".to_owned());
            }
            continue;
        }
        // who may not ask is told so by what comes next
        let mut differs = || {
            let stands = kernel.action(name, *number).ok()??;
            plan::differences(act, &stands, &facts).0.into_iter().next()
        };
        // one that went with its last filter is there for some moments more
        let mut first = differs();
        for _ in 0..LET_GO {
            if first.is_some() {
                sleep(PAUSE);
                first = differs();
            }
        }
        let Some(first) = first else { continue };
        let message = format!(
            "`{name}` {number} stands already and is others', with `{}` {} instead of {}",
            first.word,
            value(&first.held),
            value(&first.asked)
        );
        found(message, format!("write another `index`, or only `index: {number}` to take it as it is"));
    }
    frame.found.found.len() > before
}

/// Interfaces that were shaped here and have left the policy get their default back, visibly in the plan.
fn leave_what_was_left(asked: &mut Tree, state: &State, machine: &Machine) {
    for (name, owned) in &state.owned {
        if !machine.has(name) {
            continue;
        }
        let interface = asked.interfaces.entry(name.as_str().into()).or_default();
        if owned.egress && interface.egress.is_none() {
            interface.egress = Some(Branch::default());
        }
        if owned.ingress && interface.ingress.is_none() {
            interface.ingress = Some(Branch::default());
        }
        if interface.link.txqueuelen.is_none() {
            interface.link.txqueuelen = owned.txqueuelen;
        }
    }
}

/// The numbers that are remembered, and those that others' objects have: the compiler gives its own around them, and takes
/// the ingress hook that is there.
fn beside(ids: &Ids, held: &Tree) -> Ids {
    let mut ids = ids.clone();
    lower::keep_defaults(&mut ids, held);
    for (name, interface) in &held.interfaces {
        let Some(root) = interface.ingress.as_ref().and_then(|b| b.objects.first()) else { continue };
        let foreign = plan::foreign_filters(interface);
        let table = ids.interfaces.entry(name.clone()).or_default();
        // a hook that holds nothing of anybody's is ours to change
        if root.name == "ingress" && !foreign.is_empty() {
            table.hook = Hook::Ingress;
        }
        table.foreign_prios = foreign;
        table.foreign_tables = plan::foreign_tables(interface);
    }
    ids
}

/// What the kernel holds on some interfaces and on the devices that shapectl made.
pub(super) fn read<'n>(kernel: &mut Kernel, wanted: impl Iterator<Item = &'n str>) -> Result<Tree, Error> {
    read_and_keep(kernel, wanted).map(|(tree, _)| tree)
}

/// The same, and the bytes it was read from.
pub(super) fn read_and_keep<'n>(
    kernel: &mut Kernel,
    wanted: impl Iterator<Item = &'n str>,
) -> Result<(Tree, Snapshot), Error> {
    let links = kernel.links()?;
    // one that has no alias yet was made by a run that was cut short there
    let bears = |l: &&LinkInfo| match &l.alias {
        Some(alias) => alias.starts_with(OWN_ALIAS),
        None => l.name.starts_with(OWN_PREFIX) && l.kind.as_deref() == Some("ifb"),
    };
    let ours = links.iter().filter(bears);
    let mut names: Vec<&str> = wanted.collect();
    names.extend(ours.map(|l| l.name.as_str()));
    names.sort_unstable();
    names.dedup();
    kernel.read_and_keep(Some(&names))
}

/// The class that a step changes in place.
fn changed_class(step: &Step) -> Option<Handle> {
    match &step.subject {
        Subject::Object(object) if step.verb == Verb::Change => match object.id {
            Id::Class { handle, .. } => Some(handle),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a plan does nothing but change classes in place.
pub(super) fn changes_classes_in_place(plan: &Plan) -> bool {
    plan.steps.iter().all(|step| changed_class(step).is_some())
}

/// Reads back what a plan that was carried out to its end has made, and says what is left to do. A class that is changed in
/// place touches nothing else, and the kernel told how it stands then: where there was nothing but such changes and nobody
/// else's, what it `told`, as of a dump, is all there is to read.
pub(super) fn read_back(aim: &mut Aim, told: Option<&[u8]>) -> Result<Plan, Error> {
    match told {
        Some(told) if stands_as_told(aim, told)? => Ok(Plan::default()),
        _ => what_is_left(aim),
    }
}

/// Whether the kernel told of each class that changed that it stands as it is asked.
fn stands_as_told(aim: &mut Aim, told: &[u8]) -> Result<bool, Error> {
    let records = netlink::decode(told, &aim.kernel.machine()?)?;
    // of a class that was told of twice the last is true
    let stand: HashMap<_, _> = records.iter().map(|r| ((r.ifindex, r.object.handle()), &r.object)).collect();
    Ok(aim.plan.steps.chunk_by(|one, other| one.interface == other.interface).all(|steps| {
        let Some(first) = steps.first() else { return true };
        let facts = aim.machine.facts(&first.interface);
        let index = aim.held.interfaces.get(&first.interface).and_then(|i| i.link.index);
        steps.iter().all(|step| {
            let held = index.and_then(|index| stand.get(&(index, changed_class(step))));
            match (&step.subject, held) {
                (Subject::Object(asked), Some(held)) => plan::is_held(asked, held, &facts),
                _ => false,
            }
        })
    }))
}

/// Reads the kernel again after a plan was carried out: what is held is renewed, and what is left to do comes back. The
/// facts are read again too: devices that were made have their own.
pub(super) fn what_is_left(aim: &mut Aim) -> Result<Plan, Error> {
    aim.machine = Machine::read(Some(&mut aim.kernel))?;
    let names = aim.asked.interfaces.keys().map(|n| n.as_str());
    let held = read(&mut aim.kernel, names.chain(aim.half_made.iter().map(String::as_str)))?;
    let mut left = plan::plan(&aim.asked, &held, &|name: &str| aim.machine.facts(name));
    left.steps.extend(half_made(&aim.half_made, &held));
    aim.held = held;
    Ok(left)
}

/// Finds what the kernel lacks of all that a plan makes or changes, before anything is sent: each thing at the policy's line
/// that wants it. True if there is something. Where the kernel may not be asked nothing is found, and its refusal tells.
pub(super) fn lacks(frame: &mut Frame, plan: &Plan) -> bool {
    let steps = |is: fn(Verb) -> bool| plan.steps.iter().filter(move |step| is(step.verb));
    let made = |verb| matches!(verb, Verb::Add | Verb::Replace);
    fn object(step: &Step) -> Option<&Object> {
        match &step.subject {
            Subject::Object(object) => Some(object),
            Subject::Action(..) | Subject::Link(..) => None,
        }
    }
    let mut needs = doctor::needs_of(steps(made).filter_map(object));
    needs.extend(doctor::needs_of_changes(steps(|verb| verb == Verb::Change).filter_map(object)));
    needs.extend(steps(made).filter_map(|step| match &step.subject {
        Subject::Link(LinkChange::Create(kind), span) => doctor::need_of_device(kind, *span),
        _ => None,
    }));
    let things: Vec<Thing> = needs.iter().map(|need| need.thing).collect();
    if things.is_empty() {
        return false;
    }
    let answers = match kernel::probe(&things) {
        Ok(answers) => answers,
        Err(e) => {
            frame.say(&format!("the kernel cannot be asked for what it has: {e}"));
            return false;
        }
    };
    let lacking: Vec<&Need> = needs.iter().filter(|need| answers.contains(&(need.thing, Answer::Lacks))).collect();
    if lacking.is_empty() {
        return false;
    }
    let installed = kernel::installed();
    frame.found.found.extend(lacking.into_iter().map(|need| lacking_thing(need, &installed)));
    true
}

fn lacking_thing(need: &Need, installed: &doctor::Installed) -> Diagnostic {
    let thing = need.thing;
    let (why, remedy) = doctor::why(installed, thing);
    let d = match thing {
        Thing::Feature(Feature::U32Mark) => {
            Diagnostic::new(&codes::MARK_UNSUPPORTED, format!("this kernel's u32 cannot match marks ({why})"))
        }
        Thing::Feature(_) => {
            Diagnostic::new(&codes::KERNEL_LACKS, format!("this kernel cannot do {} ({why})", thing.doc()))
        }
        _ => Diagnostic::new(
            &codes::KERNEL_LACKS,
            format!("this kernel has no {} `{}` ({why})", thing.group(), thing.name()),
        ),
    };
    let d = need.span.map_or(d.clone(), |span| d.at(span, "asked for here"));
    match (remedy, thing) {
        (Some(command), _) => d.help(format!("try `{command}`; `shapectl doctor` tells what else is missing")),
        (None, Thing::Feature(Feature::U32Mark)) => {
            d.help("set a mark for the whole condition with nftables and match it alone, which `fw` does")
        }
        (None, _) => d.help("`shapectl doctor` tells what this kernel has instead"),
    }
}

/// Finds what a plan takes away for good, which must be wanted. True if it must not go on.
pub(super) fn is_for_good(frame: &mut Frame, aim: &Aim, force: bool) -> bool {
    let steps: Vec<Step> = aim.plan.steps.iter().filter(|step| step.for_good).cloned().collect();
    if force || steps.is_empty() {
        return false;
    }
    let text = view::plan_text(&Plan { steps, ..Plan::default() }, aim.names(), view::Paint { on: false });
    let message = "the plan takes away what could not be brought back, so nothing is done";
    frame
        .found
        .push(Diagnostic::new(&codes::FOR_GOOD, message).help(format!("`--force` does it all the same:\n{text}")));
    true
}

/// Warns if what a plan makes may take more memory than the machine has left.
pub(super) fn weigh(frame: &mut Frame, made: Memory) {
    let Some(left) = kernel::memory_left() else { return };
    if made.tables.saturating_add(made.packets) <= left {
        return;
    }
    let [tables, packets, left] = [made.tables, made.packets, left].map(view::bytes);
    let message = format!(
        "the disciplines of this plan take about {tables} of the kernel's memory, and full queues {packets} more; {left} are left"
    );
    let d = Diagnostic::new(&codes::MEMORY, message);
    frame
        .found
        .push(d.help("write a smaller `limit`, or `memory_limit` where the kind has one, in a profile of the leaves"));
}

/// What a change worked on, and what stood before it.
pub(super) struct Before<'a> {
    /// What stood.
    pub held: &'a Tree,
    /// The interfaces that were worked on.
    pub interfaces: Vec<&'a str>,
    /// The devices that were to be made.
    pub makes: Vec<&'a str>,
}

impl<'a> Before<'a> {
    /// Of the change that an asked tree makes.
    pub fn of(asked: &'a Tree, held: &'a Tree) -> Before<'a> {
        let names = |made: bool| {
            let chosen = asked.interfaces.iter().filter(move |(_, i)| !made || i.link.kind.is_some());
            chosen.map(|(name, _)| name.as_str()).collect()
        };
        Before { held, interfaces: names(false), makes: names(true) }
    }

    /// The links that were worked on and are no longer there, so that nothing can be put back on them.
    pub fn gone(&self, now: &Tree) -> Vec<&'a str> {
        let stood = |name: &&str| self.held.interfaces.get(*name).is_some_and(|held| held.link.serves().is_none());
        let gone = |name: &&str| block_of(name).is_none() && !now.interfaces.contains_key(*name);
        self.interfaces.iter().copied().filter(stood).filter(gone).collect()
    }

    /// The tree to go back to from what stands now.
    fn goal(&self, now: &Tree) -> Tree {
        let mut goal = Tree::default();
        let gone = self.gone(now);
        for name in self.interfaces.iter().filter(|name| !gone.contains(name)) {
            let Some(held) = self.held.interfaces.get(*name).filter(|held| held.link.serves().is_none()) else {
                continue;
            };
            let mut interface =
                Interface { egress: held.egress.clone(), ingress: held.ingress.clone(), ..Interface::default() };
            interface.link.txqueuelen = held.link.txqueuelen;
            let branches = [&mut interface.egress, &mut interface.ingress].into_iter().flatten();
            branches.flat_map(|b| &mut b.objects).for_each(|o| forget_numbers(o.options.as_mut()));
            goal.interfaces.insert((*name).into(), interface);
        }
        // devices of ours that stood before stand again, before what redirects to them; those made meanwhile carry our
        // alias and are taken away
        let devices = self.held.interfaces.iter().filter(|(_, held)| held.link.serves().is_some());
        for (name, held) in devices {
            goal.interfaces.shift_insert(0, name.clone(), held.clone());
        }
        goal
    }

    /// The devices that were to be made and did not stand.
    fn new_devices(&self) -> impl Iterator<Item = &'a str> {
        let held = self.held;
        self.makes.iter().copied().filter(move |name| !held.interfaces.contains_key(*name))
    }

    /// What must be done to go back, given what stands now.
    fn plan(&self, now: &Tree, facts: &dyn Fn(&str) -> Facts) -> Plan {
        let mut back = plan::plan(&self.goal(now), now, facts);
        back.steps.extend(half_made(self.new_devices(), now));
        back
    }

    /// Goes back. What comes back is whether what stands now is what stood then, and on which links nothing can stand.
    pub fn put_back(&self, kernel: &mut Kernel, facts: &dyn Fn(&str) -> Facts) -> Result<(bool, Vec<&'a str>), Error> {
        let now = read(kernel, self.interfaces.iter().copied())?;
        match carry_out(kernel, &self.plan(&now, facts), facts, &mut |_| true) {
            Err(Stop::Refused(refused)) => return Err(refused.error),
            Err(Stop::Halted(_)) | Ok(_) => {}
        }
        let now = read(kernel, self.interfaces.iter().copied())?;
        Ok((self.plan(&now, facts).is_empty(), self.gone(&now)))
    }
}

/// The steps that take devices away again that have not got the mark of ours yet; those that have it go by it.
fn half_made<N: AsRef<str>>(names: impl IntoIterator<Item = N>, now: &Tree) -> Vec<Step> {
    let steps = names.into_iter().filter_map(|name| {
        let link = &now.interfaces.get(name.as_ref())?.link;
        link.serves().is_none().then(|| Step {
            interface: name.as_ref().into(),
            verb: Verb::Delete,
            subject: Subject::Link(LinkChange::Remove(link.kind.clone().unwrap_or_default()), None),
            differences: Vec::new(),
            remark: None,
            for_good: false,
            drops: None,
        })
    });
    steps.collect()
}
