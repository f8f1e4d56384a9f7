//! Messages of a dump as objects.

use super::request::{ACTION_HEADER, ROOT_TAB, RTM_GETACTION, RTM_GETCHAIN, RTM_NEWACTION, RTM_NEWCHAIN};
use super::{
    Machine, RTM_NEWQDISC, RTM_NEWTCLASS, RTM_NEWTFILTER, Received, TCA_CHAIN, TCA_EGRESS_BLOCK, TCA_HW_OFFLOAD,
    TCA_INGRESS_BLOCK, TCA_KIND, TCA_OPTIONS, TCA_STATS2, TCA_XSTATS, Undecodable, messages, stab,
};
use crate::facts::Facts;
use crate::kind::action::Actions;
use crate::kind::filter::IN_HW;
use crate::kind::raw::Raw;
use crate::kind::wire::{Malformed, Parsed, Payload};
use crate::kind::{Kind, Options, Role, find};
use crate::tree::{Blocks, Id, Object, Origin, Stats};
use crate::unit::{Flag, Handle};
use netlink_packet_core::{NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP};
use netlink_packet_route::tc::TcHeader;

const STATS_BASIC: u16 = 1;
const STATS_RATE_EST: u16 = 2;
const STATS_QUEUE: u16 = 3;
const STATS_APP: u16 = 4;
const STATS_RATE_EST64: u16 = 5;
const STATS_PKT64: u16 = 8;

/// One object of a dump, with what only the kernel's bookkeeping needs.
#[derive(Clone, Debug)]
pub struct Record {
    /// The link's index as the message says it; filters of a shared block have a number that is no link's.
    pub ifindex: u32,
    /// The object.
    pub object: Object,
    /// What else its header says (`tcm_info`): the users of a qdisc; the handle of the qdisc below a class.
    pub info: u32,
    /// Whether it is a chain of filters, with its template, and no filter.
    pub chain: bool,
    /// The row that the kernel puts before the filters of a priority: a filter without handle and options.
    pub heading: bool,
    /// The answer to the question which table u32 made for a priority ([`root_of`](super::root_of)), and no filter.
    pub root: bool,
}

impl Record {
    /// A filter as it was asked for: on that link, below that parent. The kernel's message says otherwise where a block
    /// of filters is shared. Of the two names of the hook `ingress` it says the one that was used last.
    #[must_use]
    pub fn below(mut self, link: u32, above: Handle) -> Record {
        self.ifindex = link;
        if let Id::Filter { parent, .. } = &mut self.object.id {
            let other_name = above == Handle::HOOK && *parent == Handle::HOOK_INGRESS;
            *parent = if other_name { *parent } else { above };
        }
        self
    }

    /// An object of a link, of which the kernel has nothing to add.
    pub fn of(ifindex: u32, object: Object) -> Record {
        Record { ifindex, object, info: 0, chain: false, heading: false, root: false }
    }

    /// Answers to the question for the table of a priority.
    pub fn roots(records: Vec<Record>, link: u32, above: Handle) -> impl Iterator<Item = Record> {
        records.into_iter().map(move |record| Record { root: true, ..record.below(link, above) })
    }
}

/// Reads a dump of actions: each message has a list of them.
///
/// # Errors
/// Bytes that are not what their lengths say.
pub fn decode_actions(bytes: &[u8], clock: &Facts) -> Result<Vec<Actions>, Undecodable> {
    let mut lists = Vec::new();
    for message in messages(bytes) {
        let message = message?;
        if !matches!(message.kind, RTM_NEWACTION | RTM_GETACTION) {
            continue;
        }
        let read = || -> Result<Option<Actions>, Malformed> {
            let attributes = Payload(message.payload.0.get(ACTION_HEADER..).unwrap_or(&[])).attributes()?;
            attributes.get(ROOT_TAB).map(|list| Actions::decode(list, clock)).transpose()
        };
        lists.extend(read().map_err(|malformed| Undecodable(format!("a list of actions: {malformed}")))?);
    }
    Ok(lists)
}

/// Reads a dump of qdiscs, classes, filters or chains.
///
/// # Errors
/// Bytes that are not what their lengths say, with the object they belong to. Nothing is passed over.
pub fn decode(bytes: &[u8], machine: &Machine) -> Result<Vec<Record>, Undecodable> {
    let facts = machine.facts();
    let mut records = Vec::with_capacity(bytes.len() / 256);
    for message in messages(bytes) {
        let message = message?;
        match message.kind {
            RTM_NEWQDISC | RTM_NEWTCLASS | RTM_NEWTFILTER | RTM_NEWCHAIN | RTM_GETCHAIN => {
                let header = TcHeader::parse(message.payload.0)
                    .map_err(|_| Undecodable("a message shorter than its header".to_owned()))?;
                let ifindex = header.index.cast_unsigned();
                let facts = facts.get(&ifindex).unwrap_or(&machine.clock);
                records.push(record(&message, &header, facts)?);
            }
            NLMSG_DONE | NLMSG_NOOP => {}
            NLMSG_ERROR => return Err(Undecodable("an error among the objects".to_owned())),
            other => return Err(Undecodable(format!("a message of type {other} among the objects"))),
        }
    }
    Ok(records)
}

fn record(message: &Received, header: &TcHeader, facts: &Facts) -> Result<Record, Undecodable> {
    let (handle, parent) = (Handle(header.handle.into()), Handle(header.parent.into()));
    let mut name = String::new();
    let read = |name: &mut String| -> Result<Record, Malformed> {
        let attributes = Payload(message.payload.0.get(20..).unwrap_or(&[])).attributes()?;
        let is_chain = matches!(message.kind, RTM_NEWCHAIN | RTM_GETCHAIN);
        *name = match attributes.get(TCA_KIND) {
            Some(name) => name.text(),
            None if is_chain => String::new(),
            None => return Err(Malformed("object: it has no kind")),
        };
        let id = match message.kind {
            RTM_NEWQDISC => Id::Qdisc { parent, handle },
            // a class at the top says that its parent is the root, and means its qdisc
            RTM_NEWTCLASS if parent == Handle::ROOT => Id::Class { parent: Handle::new(handle.major(), 0), handle },
            RTM_NEWTCLASS => Id::Class { parent, handle },
            _ => Id::Filter {
                parent,
                chain: attributes.u32(TCA_CHAIN)?.unwrap_or(0),
                prio: (header.info >> 16) as u16,
                protocol: u16::from_be(header.info as u16),
                handle: handle.0,
            },
        };
        let heading = matches!(id, Id::Filter { handle: 0, .. }) && !is_chain && attributes.get(TCA_OPTIONS).is_none();
        let role = if matches!(id, Id::Filter { .. }) { Role::Filter } else { Role::Qdisc };
        let kind = find(role, name);
        let options = options(id, kind, &attributes, facts)?;
        let mut stats = stats(kind, &attributes, facts)?;
        let figures = attributes.get(TCA_OPTIONS).map(|payload| options.figures(payload)).unwrap_or_default();
        if !figures.is_empty() {
            stats.get_or_insert_default().own.extend(figures);
        }
        let in_hardware = options.value::<Flag>(IN_HW.word) == Some(Flag(true));
        Ok(Record {
            ifindex: header.index.cast_unsigned(),
            info: header.info,
            chain: is_chain,
            object: Object {
                id,
                name: name.as_str().into(),
                kind,
                template: is_chain,
                stab: stab::decode(&attributes)?,
                estimator: None,
                blocks: Blocks {
                    ingress: attributes.u32(TCA_INGRESS_BLOCK)?.unwrap_or(0),
                    egress: attributes.u32(TCA_EGRESS_BLOCK)?.unwrap_or(0),
                },
                origin: Origin::default(),
                stats: stats.map(Box::new),
                offloaded: in_hardware || attributes.u8(TCA_HW_OFFLOAD)?.is_some_and(|on| on != 0),
                options,
            },
            root: false,
            heading,
        })
    };
    read(&mut name).map_err(|malformed| {
        let what = match message.kind {
            RTM_NEWQDISC => format!("qdisc {name} {handle}"),
            RTM_NEWTCLASS => format!("class {name} {handle}"),
            _ => format!("filter {name} of {parent} with priority {}, handle {:x}", header.info >> 16, handle.0),
        };
        Undecodable(format!("{what} on link {}: {malformed}", header.index))
    })
}

/// The options: of the kind's qdisc, class or filter, or raw where no file here knows it.
fn options(
    id: Id,
    kind: Option<&'static Kind>,
    attributes: &Parsed,
    facts: &Facts,
) -> Result<Box<dyn Options>, Malformed> {
    let fresh = match id {
        Id::Class { .. } => kind.and_then(|k| k.class),
        _ => kind.map(|k| k.options),
    };
    let mut options = fresh.map_or_else(|| Box::new(Raw::default()) as Box<dyn Options>, |fresh| fresh());
    if let Some(payload) = attributes.get(TCA_OPTIONS) {
        options.decode(payload, facts)?;
    }
    Ok(options)
}

/// `TCA_STATS2`: include/uapi/linux/gen_stats.h.
fn stats(kind: Option<&'static Kind>, attributes: &Parsed, facts: &Facts) -> Result<Option<Stats>, Malformed> {
    let Some(all) = attributes.nested(TCA_STATS2)? else { return Ok(None) };
    let mut stats = Stats::default();
    if let Some(basic) = all.get(STATS_BASIC) {
        let mut c = basic.fields();
        (stats.bytes, stats.packets) = (c.u64()?, u64::from(c.u32()?));
    }
    if let Some(packets) = all.u64(STATS_PKT64)? {
        stats.packets = packets;
    }
    if let Some(queue) = all.get(STATS_QUEUE) {
        let mut c = queue.fields();
        stats.qlen = u64::from(c.u32()?);
        stats.backlog = u64::from(c.u32()?);
        stats.drops = u64::from(c.u32()?);
        stats.requeues = u64::from(c.u32()?);
        stats.overlimits = u64::from(c.u32()?);
    }
    if let Some(rate) = all.get(STATS_RATE_EST64) {
        let mut c = rate.fields();
        (stats.rate, stats.packet_rate) = (Some(c.u64()?), Some(c.u64()?));
    } else if let Some(rate) = all.get(STATS_RATE_EST) {
        let mut c = rate.fields();
        (stats.rate, stats.packet_rate) = (Some(u64::from(c.u32()?)), Some(u64::from(c.u32()?)));
    }
    if let (Some(kind), Some(own)) = (kind, all.get(STATS_APP).or_else(|| attributes.get(TCA_XSTATS))) {
        stats.own = (kind.xstats)(own, facts);
    }
    Ok(Some(stats))
}
