//! The only room that speaks with the kernel: sockets, links, namespaces.

mod bpf;
mod error;
mod ethtool;
mod fault;
mod installed;
mod ipset;
mod link;
mod lock;
mod privilege;
mod probe;
mod scratch;
mod socket;
mod watch;

pub use crate::netlink::LinkInfo;
pub use error::{Error, Lack};
pub use installed::installed;
pub use lock::{Holder, Lock};
pub use privilege::{has_net_admin, keep_net_admin};
pub use probe::probe;
pub use scratch::scratch;
pub use socket::Sent;
pub use watch::{Seen, Watch};

use crate::doctor::LinkFacts;
use crate::facts::{Distributions, Facts, Links, Reference};
use crate::kind::action::Act;
use crate::kind::wire::Attributes;
use crate::netlink::{self, FilterParents, Machine, Message, Record, Snapshot};
use crate::tree::{Tree, block_of};
use crate::unit::Handle;
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use socket::Netlink;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of memory that the machine has left without writing any out, if it tells (`MemAvailable`).
pub fn memory_left() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The kernel, as seen from one network namespace.
pub struct Kernel {
    netlink: Netlink,
    clock: Facts,
    /// Programs that options name, open as long as this is.
    opened: bpf::Opened,
    /// Whether `/sys` shows the links of this namespace.
    sysfs: bool,
    /// Whether the kernel tells of chains.
    has_chains: bool,
}

impl Kernel {
    /// Opens the way to the kernel. With a namespace (a name that `ip netns` knows, a path, or a process id) the calling
    /// thread enters it for good, so sockets that it opens later are there too.
    ///
    /// # Errors
    /// There is no such namespace, or it may not be entered.
    pub fn open(netns: Option<&str>) -> Result<Kernel, Error> {
        if let Some(name) = netns {
            enter(name)?;
        }
        Ok(Kernel {
            netlink: Netlink::open()?,
            clock: clock(),
            opened: bpf::Opened::default(),
            sysfs: netns.is_none(),
            has_chains: true,
        })
    }

    /// The address of our requests, by which [`Watch`] tells others' from ours.
    pub fn port(&self) -> u32 {
        self.netlink.port
    }

    /// All links.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn links(&mut self) -> Result<Vec<LinkInfo>, Error> {
        self.links_dump().map(|(_, links)| links)
    }

    /// The links, and the bytes that told of them.
    fn links_dump(&mut self) -> Result<(Vec<u8>, Vec<LinkInfo>), Error> {
        let doing = "read the links";
        // struct ifinfomsg, and IFLA_EXT_MASK without the statistics
        let mut body = Attributes { bytes: vec![0; 16] };
        body.u32(29, 1 << 3);
        let dump = self.netlink.dump(&Message::dump(netlink::RTM_GETLINK, body.bytes)).map_err(|e| e.doing(doing))?;
        let links = netlink::decode_links(&dump).map_err(|e| Error::from(e).doing(doing))?;
        Ok((dump, links))
    }

    /// The facts of a link, its driver's speed among them where that can be known.
    ///
    /// # Errors
    /// There is no such link.
    pub fn facts(&mut self, name: &str) -> Result<Facts, Error> {
        let links = self.links()?;
        let mut link = find(&links, name)?.clone();
        link.speed = self.speed(&link);
        Ok(Facts { links: table(&links), ..link.facts(&self.clock) })
    }

    /// The facts of all links, by name.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn all_facts(&mut self) -> Result<HashMap<String, Facts>, Error> {
        let mut facts = HashMap::new();
        let all = self.links()?;
        let links = table(&all);
        for mut link in all {
            link.speed = self.speed(&link);
            let own = Facts { links: Arc::clone(&links), ..link.facts(&self.clock) };
            facts.insert(link.name.to_string(), own);
        }
        Ok(facts)
    }

    /// The link of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn link(&mut self, name: &str) -> Result<LinkInfo, Error> {
        find(&self.links()?, name).cloned()
    }

    /// What the kernel knows that is the same for all links: the scheduler's clock.
    pub fn clock(&self) -> &Facts {
        &self.clock
    }

    /// Looks for what is named, and remembers what came of it: the facts have it from now on. What is opened stays open, so
    /// that the kernel keeps it as long as this lives.
    pub fn look_for(&mut self, references: impl IntoIterator<Item = Reference>) {
        let (programs, sets) = (&mut self.clock.programs, &mut self.clock.sets);
        for reference in references {
            match &reference {
                Reference::Pin(_) | Reference::Program(_) if programs.get(&reference).is_none() => {
                    let found = self.opened.open(&reference);
                    Arc::make_mut(programs).insert(reference, found);
                }
                Reference::Set(_) | Reference::SetNumber(_) if sets.get(&reference).is_none() => {
                    let (sets, found) = (Arc::make_mut(sets), ipset::find(&reference));
                    // found by its name it is known by its number too, and the other way round
                    if let Ok(set) = &found {
                        sets.insert(Reference::Set(set.name.clone()), Ok(set.clone()));
                        sets.insert(Reference::SetNumber(set.number), Ok(set.clone()));
                    }
                    sets.insert(reference, found);
                }
                _ => {}
            }
        }
    }

    /// Looks where the programs are pinned that are held, so that their paths can be said.
    pub fn look_for_pins(&mut self, held: &Tree) {
        if held.references().any(|reference| matches!(reference, Reference::Program(_))) {
            self.look_for(bpf::pins().into_iter().map(Reference::Pin));
        }
    }

    /// A file of a link in `/sys`; nothing in a namespace that `/sys` does not show.
    fn sys(&self, link: &LinkInfo) -> Option<PathBuf> {
        let folder = Path::new("/sys/class/net").join(&link.name);
        let number = || std::fs::read_to_string(folder.join("ifindex")).ok()?.trim().parse::<u32>().ok();
        (self.sysfs && !link.name.contains('/') && number() == Some(link.index)).then_some(folder)
    }

    /// What the driver says; nothing for a software device.
    fn speed(&self, link: &LinkInfo) -> Option<crate::unit::Rate> {
        let text = std::fs::read_to_string(self.sys(link)?.join("speed")).ok()?;
        // megabits a second; -1 where unknown
        let speed = text.trim().parse::<u64>().ok().filter(|mbit| *mbit > 0 && *mbit < u64::from(u32::MAX))?;
        Some(crate::unit::Rate::from_bytes(speed * 125_000))
    }

    /// All that can be known of the links, by name: besides the dump's facts those of `/sys` and of ethtool.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn link_facts(&mut self) -> Result<Vec<LinkFacts>, Error> {
        let mut features = ethtool::Ethtool::open().ok();
        let mut out = Vec::new();
        for mut info in self.links()? {
            info.speed = self.speed(&info);
            let folder = self.sys(&info);
            let read = |name: &str| std::fs::read_to_string(folder.as_ref()?.join(name)).ok();
            let driver = folder.as_ref().and_then(|f| std::fs::read_link(f.join("device/driver")).ok());
            out.push(LinkFacts {
                driver: driver.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned())),
                duplex: read("duplex").map(|text| text.trim().to_owned()).filter(|text| text != "unknown"),
                bql: read("queues/tx-0/byte_queue_limits/limit").and_then(|text| text.trim().parse().ok()),
                features: features.as_mut().and_then(|ethtool| ethtool.features(info.index).ok()),
                seen: folder.is_some(),
                info,
            });
        }
        Ok(out)
    }

    /// All that the kernel holds: on the named interfaces, or on all, and in the shared blocks that these look into or that
    /// are named ([`block_name`](crate::tree::block_name)). Names that no link has are left out.
    ///
    /// # Errors
    /// The kernel's refusal, or an answer that cannot be read.
    pub fn read(&mut self, interfaces: Option<&[&str]>) -> Result<Tree, Error> {
        self.read_and_keep(interfaces).map(|(tree, _)| tree)
    }

    /// As [`Kernel::read`], and the bytes that it was read from.
    ///
    /// # Errors
    /// As [`Kernel::read`].
    pub fn read_and_keep(&mut self, interfaces: Option<&[&str]>) -> Result<(Tree, Snapshot), Error> {
        let mut kept = Snapshot::default();
        let (dump, links) = self.links_dump()?;
        kept.links(dump, interfaces);
        let clock = Facts { links: table(&links), ..self.clock.clone() };
        let mut machine = Machine { links, clock };
        if let Some(names) = interfaces {
            machine.keep(names);
        }
        // the kernel gives the qdiscs of all links, whatever is asked
        let mut by_link: HashMap<u32, Vec<Record>> = HashMap::new();
        let (dump, records) = self.objects(netlink::RTM_GETQDISC, 0, 0, &machine)?;
        kept.objects(dump);
        for record in records {
            by_link.entry(record.ifindex).or_default().push(record);
        }
        let named = interfaces.unwrap_or_default().iter().filter_map(|name| block_of(name));
        let mut blocks: BTreeSet<u32> = named.collect();
        let mut records = Vec::new();
        for link in &machine.links {
            let mut own = by_link.remove(&link.index).unwrap_or_default();
            // with nothing but what the kernel made of itself there are neither classes nor filters
            if own.iter().any(|r| r.object.handle().is_some_and(|h| h.0 != 0)) {
                for qdisc in netlink::with_classes(&own) {
                    let (dump, classes) = self.objects(netlink::RTM_GETTCLASS, link.index, qdisc.0, &machine)?;
                    kept.objects(dump);
                    own.extend(classes);
                }
                let FilterParents { asked, bottom } = netlink::filter_parents(&own);
                for parent in asked.into_iter().chain(self.with_chains(link.index, bottom)?) {
                    own.extend(self.filters(link.index, parent, &machine, &mut kept)?);
                }
                self.roots(link.index, &mut own, &machine, &mut kept)?;
            }
            blocks.extend(own.iter().flat_map(|r| [r.object.blocks.ingress, r.object.blocks.egress]));
            records.append(&mut own);
        }
        for block in blocks.into_iter().filter(|block| *block != 0) {
            let mut own = self.filters(netlink::BLOCK, Handle(block), &machine, &mut kept)?;
            self.roots(netlink::BLOCK, &mut own, &machine, &mut kept)?;
            records.append(&mut own);
        }
        let tree = netlink::tree(records, &machine);
        let numbers: Vec<_> = tree.references().filter(|r| matches!(r, Reference::SetNumber(_))).collect();
        if numbers.is_empty() {
            return Ok((tree, kept));
        }
        // read again, now that the sets have names
        self.look_for(numbers);
        Ok((kept.tree(&self.clock)?, kept))
    }

    /// The filters below one parent of a link, with the templates of their chains. Filters are in chains, so where there is
    /// none nothing more is asked: a tree has many parents, and few of them have filters.
    fn filters(
        &mut self,
        link: u32,
        parent: Handle,
        machine: &Machine,
        kept: &mut Snapshot,
    ) -> Result<Vec<Record>, Error> {
        let mut out = Vec::new();
        for kind in [netlink::RTM_GETCHAIN, netlink::RTM_GETTFILTER] {
            if kind == netlink::RTM_GETTFILTER && out.is_empty() && self.has_chains {
                break;
            }
            let (dump, records) = match self.objects(kind, link, parent.0, machine) {
                Err(e) if e.is(Errno::EMSGSIZE) => self.filters_behind(link, parent, &out, machine)?,
                objects => objects?,
            };
            if !dump.is_empty() {
                kept.filters(link, parent, dump);
            }
            out.extend(records.into_iter().map(|record| record.below(link, parent)));
        }
        Ok(out)
    }

    /// The filters below a parent where a dump ends at an `fw` of the old form, which has neither a number nor options: the
    /// kernel tells of it and of nothing behind it (`fw_walk`, net/sched/cls_fw.c). What is behind is asked for, one priority
    /// after the other.
    fn filters_behind(
        &mut self,
        link: u32,
        parent: Handle,
        chains: &[Record],
        machine: &Machine,
    ) -> Result<(Vec<u8>, Vec<Record>), Error> {
        let doing = "read the filters";
        let (mut dump, mut all) = (Vec::new(), Vec::new());
        let chains: BTreeSet<u32> = chains.iter().filter_map(|chain| Some(chain.object.place()?.1)).collect();
        for chain in chains {
            // all priorities first, and if that ends at one, each that there is behind it
            let mut prios = VecDeque::from([0]);
            while let Some(prio) = prios.pop_front() {
                let (bytes, end) = self.netlink.dump_as_far(&Message::dump_chain(link, parent.0, chain, prio))?;
                let records = netlink::decode(&bytes, machine).map_err(|e| Error::from(e).doing(doing))?;
                if let Some(error) = end {
                    let old = records.last().filter(|last| last.heading && last.object.name == "fw");
                    match old.and_then(|old| old.object.place()) {
                        Some((_, _, at)) if prio == 0 => prios = self.priorities_behind(link, parent, chain, at)?,
                        Some(_) => {}
                        None => return Err(error.doing(doing)),
                    }
                }
                dump.extend(bytes);
                all.extend(records);
            }
        }
        Ok((dump, all))
    }

    /// The priorities of a chain behind one. There may be 65,535, so they are not dumped to see, but asked for many at a time,
    /// with two protocols: what has the one does not have the other.
    fn priorities_behind(&mut self, link: u32, parent: Handle, chain: u32, at: u16) -> Result<VecDeque<u16>, Error> {
        let behind = || at.saturating_add(1)..=u16::MAX;
        let mut there = BTreeSet::new();
        for protocol in [u16::MAX, u16::MAX - 1] {
            let questions = behind().map(|prio| Message::any_filter(link, parent.0, chain, (prio, protocol)));
            let answers =
                self.netlink.ask_each(&questions.collect::<Vec<_>>()).map_err(|e| e.doing("read the filters"))?;
            let found = behind().zip(answers).filter(|(_, errno)| *errno != Errno::ENOENT as i32);
            there.extend(found.map(|(prio, _)| prio));
        }
        Ok(there.into_iter().collect())
    }

    /// Those of some classes that have a first chain of filters. Without it filters in others are never asked.
    fn with_chains(&mut self, link: u32, classes: Vec<Handle>) -> Result<Vec<Handle>, Error> {
        if !self.has_chains {
            return Ok(classes);
        }
        let questions: Vec<Message> = classes.iter().map(|class| Message::first_chain(link, class.0)).collect();
        let answers = self.netlink.ask_each(&questions).map_err(|e| e.doing("read the chains of filters"))?;
        // the one where there is no such chain, the other where the class went away meanwhile
        let is_missing = |errno: i32| [Errno::EINVAL as i32, Errno::ENOENT as i32].contains(&errno);
        let with = classes.into_iter().zip(answers).filter(|(_, errno)| !is_missing(*errno));
        Ok(with.map(|(class, _)| class).collect())
    }

    /// Asks for the tables of u32 that dumps leave open, and puts the answers beside what they are about.
    fn roots(&mut self, link: u32, own: &mut Vec<Record>, machine: &Machine, kept: &mut Snapshot) -> Result<(), Error> {
        for (parent, question) in netlink::unclear_roots(own) {
            // a priority that went away meanwhile has none
            let Ok(answer) = self.netlink.dump(&question) else { continue };
            let records = netlink::decode(&answer, machine).map_err(|e| Error::from(e).doing("read the filters"))?;
            own.extend(Record::roots(records, link, parent));
            kept.root(link, parent, answer);
        }
        Ok(())
    }

    /// How many packets wait in each of these classes of a link that is still there.
    ///
    /// # Errors
    /// The kernel's refusal, or an answer that cannot be read.
    pub fn waiting(&mut self, index: u32, classes: &HashSet<Handle>) -> Result<u64, Error> {
        let machine = Machine { links: Vec::new(), clock: self.clock.clone() };
        let disciplines: BTreeSet<u16> = classes.iter().map(|class| class.major()).collect();
        let mut waiting = 0;
        for major in disciplines {
            let (_, all) = self.objects(netlink::RTM_GETTCLASS, index, Handle::new(major, 0).0, &machine)?;
            let wanted = all.into_iter().filter(|r| r.object.handle().is_some_and(|handle| classes.contains(&handle)));
            waiting += wanted.filter_map(|r| r.object.stats).map(|stats| stats.qlen).sum::<u64>();
        }
        Ok(waiting)
    }

    /// The objects of a dump, and its bytes.
    fn objects(
        &mut self,
        kind: u16,
        ifindex: u32,
        parent: u32,
        machine: &Machine,
    ) -> Result<(Vec<u8>, Vec<Record>), Error> {
        let doing = match kind {
            netlink::RTM_GETQDISC => "read the qdiscs",
            netlink::RTM_GETTCLASS => "read the classes",
            netlink::RTM_GETCHAIN => "read the chains of filters",
            _ => "read the filters",
        };
        match self.netlink.dump(&Message::dump_tc(kind, ifindex, parent)) {
            // nothing, as most parents have: there is nothing to read it against
            Ok(dump) if dump.is_empty() => Ok((dump, Vec::new())),
            Ok(dump) => match netlink::decode(&dump, machine) {
                Ok(records) => Ok((dump, records)),
                Err(e) => Err(Error::from(e).doing(doing)),
            },
            // the link or the qdisc went away meanwhile
            Err(e) if e.is(Errno::ENODEV) && ifindex != 0 => Ok((Vec::new(), Vec::new())),
            // chains have been there since 4.14, and their templates since 4.19
            Err(e) if e.is(Errno::EOPNOTSUPP) && kind == netlink::RTM_GETCHAIN => {
                self.has_chains = false;
                Ok((Vec::new(), Vec::new()))
            }
            Err(e) => Err(e.doing(doing)),
        }
    }

    /// An action that stands under a number, if one does.
    ///
    /// # Errors
    /// The kernel's refusal, or an answer that cannot be read.
    pub fn action(&mut self, name: &str, index: u32) -> Result<Option<Act>, Error> {
        let doing = "read an action";
        let clock = self.machine()?.clock;
        match self.netlink.dump(&netlink::one_action(name, index)) {
            // no such number, or no such kind
            Err(e) if e.is(Errno::ENOENT) || e.is(Errno::EINVAL) => Ok(None),
            Err(e) => Err(e.doing(doing)),
            Ok(answer) => {
                let lists = netlink::decode_actions(&answer, &clock).map_err(|e| Error::from(e).doing(doing))?;
                Ok(lists.into_iter().flat_map(|list| list.0).next())
            }
        }
    }

    /// What the kernel answers to a request for one object or many: messages, one after another.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn ask(&mut self, message: &Message) -> Result<Vec<u8>, Error> {
        self.netlink.dump(message)
    }

    /// The links and the clock, against which dumps are read.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn machine(&mut self) -> Result<Machine, Error> {
        let links = self.links()?;
        let clock = Facts { links: table(&links), ..self.clock.clone() };
        Ok(Machine { links, clock })
    }

    /// From here on what is sent carries out a plan: the accidents that a test has planned befall it (`kernel/fault.rs`).
    pub fn begin(&mut self) {
        self.netlink.perilous = true;
    }

    /// Sends messages in order, many at a time, and says what became of each. What one message is refused does not stop
    /// the others: whoever wants to stop sends fewer at a time.
    ///
    /// # Errors
    /// The way to the kernel fails. What the kernel refuses is no error, but is in [`Sent`].
    pub fn send(&mut self, messages: &[Message]) -> Result<Sent, Error> {
        self.netlink.send(messages)
    }
}

/// The link of that name.
fn find<'a>(links: &'a [LinkInfo], name: &str) -> Result<&'a LinkInfo, Error> {
    links.iter().find(|link| link.name == name).ok_or_else(|| Error {
        errno: nix::libc::ENODEV,
        text: Some(format!("there is no interface `{name}`")),
        ..Error::default()
    })
}

/// Names and numbers of links.
fn table(links: &[LinkInfo]) -> Arc<Links> {
    Arc::new(Links::new(links.iter().map(|l| (l.index, l.name.clone()))))
}

/// Puts the calling thread into a namespace.
fn enter(name: &str) -> Result<(), Error> {
    let doing = format!("enter namespace `{name}`");
    let path = if name.contains('/') {
        PathBuf::from(name)
    } else if !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()) && !named(name).exists() {
        PathBuf::from(format!("/proc/{name}/ns/net"))
    } else {
        named(name)
    };
    let file = std::fs::File::open(&path).map_err(|e| {
        let mut error = Error::system(&doing, &e);
        if error.is(Errno::ENOENT) {
            error.text = Some(format!("there is no {}", path.display()));
        }
        error
    })?;
    setns(file, CloneFlags::CLONE_NEWNET).map_err(|errno| {
        let mut error = Error::errno(&doing, errno);
        if errno == Errno::EINVAL {
            error.text = Some(format!("{} is no network namespace", path.display()));
        }
        error
    })
}

fn named(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

/// The tables of iproute2, from where tc looks for them: `TC_LIB_DIR`, or the `tc` of the libraries' folder, which is another
/// on every distribution. Nothing is found where iproute2 is not.
pub fn distributions() -> Distributions {
    let folder = std::env::var_os("TC_LIB_DIR").map(PathBuf::from).or_else(|| {
        let plain = ["/usr/lib/tc", "/usr/lib64/tc", "/lib/tc"].map(PathBuf::from);
        let inside = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path().join("tc"));
        plain.into_iter().chain(inside).find(|folder| folder.join("normal.dist").exists())
    });
    let folder = folder.unwrap_or_else(|| PathBuf::from("/usr/lib/tc"));
    let mut all = Distributions::of(folder.display().to_string());
    for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name =
            path.file_stem().and_then(|stem| stem.to_str()).filter(|_| path.extension().is_some_and(|e| e == "dist"));
        if let (Some(name), Ok(text)) = (name, std::fs::read_to_string(&path)) {
            all.insert(name, &text);
        }
    }
    all
}

/// The scheduler's clock, from `/proc/net/psched`: four figures in hexadecimal, nanoseconds a microsecond, nanoseconds a
/// tick, and the frequency that tc takes as HZ.
fn clock() -> Facts {
    let stated = Facts { distributions: Some(Arc::new(distributions())), ..Facts::default() };
    let Ok(text) = std::fs::read_to_string("/proc/net/psched") else { return stated };
    let figures: Vec<u64> = text.split_whitespace().map_while(|word| u64::from_str_radix(word, 16).ok()).collect();
    match figures[..] {
        // tc_core.c: ticks of t2us/us2t microseconds
        [t2us, us2t, _, hz] if t2us > 0 && us2t > 0 && hz > 0 => {
            Facts { tick_ns: 1000.0 * us2t as f64 / t2us as f64, hz, ..stated }
        }
        _ => stated,
    }
}
