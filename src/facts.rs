//! What the compiler must know of a machine, as plain values: the functions of the house take it and nothing reads the
//! machine behind their back.

use crate::unit::Rate;
use compact_str::{CompactString, format_compact};
use indexmap::IndexMap;
use std::sync::Arc;

/// The packet scheduler's clock and one link's figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Nanoseconds of one psched tick (`/proc/net/psched`: 64 on every current kernel).
    pub tick_ns: f64,
    /// The scheduler clock's frequency (fourth figure of `/proc/net/psched`): 1,000,000,000 with a nanosecond clock.
    pub hz: u64,
    /// The link's MTU in bytes.
    pub mtu: u32,
    /// Length of the link-layer header in bytes: 14 on Ethernet, 0 on a point-to-point link.
    pub header: u32,
    /// Packets a default fifo of the link holds.
    pub txqueuelen: u32,
    /// The link's speed if anybody knows it: the policy's `link: { rate: }`, else the driver's.
    pub speed: Option<Rate>,
    /// The largest segment that offload hands to the discipline in one piece, in bytes, if offload is on.
    pub gso: Option<u32>,
    /// Transmit queues of the device.
    pub queues: u32,
    /// Whether the kernel's u32 classifier can match marks (`CONFIG_CLS_U32_MARK`).
    pub u32_mark: bool,
    /// The classifiers that the kernel has, as far as it was asked.
    pub classifiers: Classifiers,
    /// The tables that delays may vary by (netem); `None` where no machine is looked at.
    pub distributions: Option<Arc<Distributions>>,
    /// The machine's links, for what names one on the wire (`mirred`); empty where no machine is looked at.
    pub links: Arc<Links>,
    /// The programs of BPF that were looked for.
    pub programs: Arc<Found<Program>>,
    /// The sets of `ipset` that were looked for.
    pub sets: Arc<Found<Set>>,
}

/// What options name that traffic control does not keep itself: whoever has a kernel looks for it, and the facts say what
/// was found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    /// A program of BPF, by the path it is pinned to.
    Pin(CompactString),
    /// A program of BPF that the kernel holds, by its number.
    Program(u32),
    /// A set of `ipset`, by its name.
    Set(CompactString),
    /// A set of `ipset`, by the kernel's number for it.
    SetNumber(u16),
}

/// A program of BPF that somebody has loaded, open in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// The open file, by which it travels.
    pub fd: i32,
    /// The kernel's number for it: another one each time it is loaded.
    pub id: u32,
    /// What it is for (`BPF_PROG_TYPE_*`, include/uapi/linux/bpf.h): 3 chooses packets, 4 is an action.
    pub kind: u32,
}

/// A set of `ipset`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: CompactString,
    /// The kernel's number for it, by which it travels.
    pub number: u16,
}

/// What was looked for, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<T> {
    found: IndexMap<Reference, Result<T, CompactString>>,
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Found { found: IndexMap::new() }
    }
}

impl<T> Found<T> {
    /// Writes down what came of a search; why there is none follows the name in a sentence: `is not there`.
    pub fn insert(&mut self, reference: Reference, found: Result<T, CompactString>) {
        self.found.insert(reference, found);
    }

    /// What came of that search; `None` if nobody looked.
    pub fn get(&self, reference: &Reference) -> Option<Result<&T, &str>> {
        self.found.get(reference).map(|found| found.as_ref().map_err(CompactString::as_str))
    }
}

impl Found<Program> {
    /// Where the program of that number is pinned, of the places that were looked at.
    pub fn pin_of(&self, id: u32) -> Option<&str> {
        self.found.iter().find_map(|(reference, found)| match (reference, found) {
            (Reference::Pin(path), Ok(program)) if program.id == id => Some(path.as_str()),
            _ => None,
        })
    }
}

/// Kinds of filters; those are there that are not known to be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Classifiers {
    /// The names of those that are missing.
    pub missing: Vec<&'static str>,
}

impl Classifiers {
    /// Whether the kernel may have it.
    pub fn has(&self, kind: &str) -> bool {
        !self.missing.contains(&kind)
    }
}

/// The links of a network namespace: names and the kernel's numbers for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    names: IndexMap<u32, CompactString>,
    indices: IndexMap<CompactString, u32>,
}

impl Links {
    /// From pairs of index and name.
    pub fn new(links: impl IntoIterator<Item = (u32, CompactString)>) -> Links {
        let mut table = Links::default();
        links.into_iter().for_each(|(index, name)| table.insert(index, name));
        table
    }

    /// Adds a link.
    pub fn insert(&mut self, index: u32, name: CompactString) {
        self.indices.insert(name.clone(), index);
        self.names.insert(index, name);
    }

    /// The name of a link; `if7` for an index that is not known, as tc writes it.
    pub fn name_of(&self, index: u32) -> CompactString {
        self.names.get(&index).cloned().unwrap_or_else(|| format_compact!("if{index}"))
    }

    /// The names of all.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.indices.keys().map(CompactString::as_str)
    }

    /// The index of a link by its name, or by `if7`.
    pub fn index_of(&self, name: &str) -> Option<u32> {
        self.indices.get(name).copied().or_else(|| name.strip_prefix("if")?.parse().ok())
    }
}

/// Tables of random numbers by name, as iproute2 keeps them: a file each (`normal.dist`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distributions {
    /// Where the files are looked for.
    pub folder: CompactString,
    tables: IndexMap<CompactString, Vec<i16>>,
}

impl Distributions {
    /// The most numbers of a table (`NETEM_DIST_MAX`).
    const MOST: usize = 16 * 1024;

    /// None yet, of that folder.
    pub fn of(folder: impl Into<CompactString>) -> Distributions {
        Distributions { folder: folder.into(), ..Distributions::default() }
    }

    /// Adds a table from the text of its file: numbers between blanks, and lines of comment that begin with `#`. A text
    /// without numbers, or with too many, is no table, as it is none to tc.
    pub fn insert(&mut self, name: impl Into<CompactString>, text: &str) {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let numbers = lines.flat_map(|line| line.split_whitespace().map_while(|word| word.parse::<i64>().ok()));
        let table: Vec<i16> = numbers.map(|n| n as i16).collect();
        if (1..=Self::MOST).contains(&table.len()) {
            self.tables.insert(name.into(), table);
        }
    }

    /// The table of that name.
    pub fn get(&self, name: &str) -> Option<&[i16]> {
        self.tables.get(name).map(Vec::as_slice)
    }

    /// The names, for a message.
    pub fn names(&self) -> String {
        let names: Vec<String> = self.tables.keys().map(|name| format!("`{name}`")).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

impl Default for Facts {
    /// The stated defaults: an Ethernet link that nothing is known of.
    fn default() -> Self {
        Facts {
            tick_ns: 64.0,
            hz: 1_000_000_000,
            mtu: 1500,
            header: 14,
            txqueuelen: 1000,
            speed: None,
            gso: None,
            queues: 1,
            u32_mark: true,
            classifiers: Classifiers::default(),
            distributions: None,
            links: Arc::default(),
            programs: Arc::default(),
            sets: Arc::default(),
        }
    }
}

impl Facts {
    /// The largest frame, as the kernel's `psched_mtu` computes it (`include/net/pkt_sched.h`).
    pub fn frame(&self) -> u32 {
        self.mtu.saturating_add(self.header)
    }

    /// Ticks that `bytes` take at `rate`. Rounded up once, as iproute2 does since 2025 (6.1 truncated three times, so
    /// its figure may be up to one microsecond's worth of ticks lower). What is beyond 32 bits is refused in a policy; of
    /// tc's own lines it loses its upper bits, as in 6.1, first in microseconds and then in ticks.
    pub fn ticks(&self, rate: Rate, bytes: u64) -> u32 {
        if rate.bytes() == 0 {
            return u32::MAX;
        }
        let ns = bytes as f64 * 1e9 / rate.bytes() as f64;
        let ticks = (ns / self.tick_ns).ceil();
        if ticks > f64::from(u32::MAX) {
            let micros = (ns / 1000.0) as u64 as u32;
            return (f64::from(micros) * 1000.0 / self.tick_ns) as u64 as u32;
        }
        ticks as u32
    }

    /// Bytes that pass at `rate` in that many ticks, rounded to the nearest.
    pub fn bytes_in(&self, rate: Rate, ticks: u32) -> u64 {
        (f64::from(ticks) * self.tick_ns * rate.bytes() as f64 / 1e9).round() as u64
    }

    /// Whether two sizes that travel as ticks of `rate` are the same to the wire's resolution: iproute2 before 2025
    /// loses up to a microsecond, and one more tick is lost in rounding.
    pub fn same_size(&self, rate: Rate, a: u64, b: u64) -> bool {
        let slack = rate.bytes() as f64 * (1000.0 + 2.0 * self.tick_ns) / 1e9 + 1.0;
        (a as f64 - b as f64).abs() <= slack
    }
}
