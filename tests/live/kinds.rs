//! Each discipline on a real kernel: what our bytes set is what tc's bytes set, and what the kernel tells of it is what
//! was asked, with unset options at the kernel's defaults.

use crate::bed::dump::{assert_same, dump};
use crate::bed::netns::Netns;
use crate::bed::tc_line::Line;
use crate::bed::wire;
use crate::needs;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use shapectl::facts::Facts;
use shapectl::kind::wire::{Attributes, NESTED, Payload};
use shapectl::kind::{self, Kind, Options, Reset, Role};
use shapectl::unit::{Handle, Reader, Words};

const NEWQDISC: u16 = 36;
const DELQDISC: u16 = 37;
const GETQDISC: u16 = 38;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// `NLM_F_REQUEST | NLM_F_ACK`, `NLM_F_CREATE | NLM_F_REPLACE`, `NLM_F_DUMP`.
const REQUEST: u16 = 0x005;
const CREATE: u16 = 0x500;
const DUMP: u16 = 0x300;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_XSTATS: u16 = 4;
const TCA_STATS2: u16 = 7;
const TCA_STATS_APP: u16 = 4;
/// Words of younger tcs than the one that is here.
const YOUNGER: [&str; 3] = ["priomap", "weights", "offload_horizon"];
const ROOT: Handle = Handle::new(1, 0);

/// What the link of [`Netns::stand_in`] has.
fn facts() -> Facts {
    Facts { mtu: 1500, header: 14, txqueuelen: 1000, ..Facts::default() }
}

/// A namespace with a link to put disciplines on.
struct Place {
    netns: Netns,
    index: u32,
}

impl Place {
    fn new() -> Place {
        let netns = Netns::new();
        netns.stand_in("eth0");
        let line = netns.ip("-o link show dev eth0");
        Place { netns, index: line.split(':').next().unwrap().parse().unwrap() }
    }

    /// Back to the kernel's own root.
    fn clear(&self) {
        let _ = ask(&self.netns, DELQDISC, 0, &tcmsg(self.index, ROOT, Handle::ROOT));
    }
}

/// Sends one message and reads answers until its acknowledgement or the end of a dump.
fn ask(netns: &Netns, kind: u16, flags: u16, body: &[u8]) -> Result<Vec<Vec<u8>>, i32> {
    netns.enter(|| {
        let mut socket = Socket::new(NETLINK_ROUTE).unwrap();
        socket.bind_auto().unwrap();
        let mut message = (16 + body.len() as u32).to_ne_bytes().to_vec();
        message.extend([kind, REQUEST | flags].iter().flat_map(|n| n.to_ne_bytes()));
        message.extend([1u32, 0].iter().flat_map(|n| n.to_ne_bytes()));
        message.extend(body);
        socket.send_to(&message, &SocketAddr::new(0, 0), 0).unwrap();
        let mut answers = Vec::new();
        loop {
            let (received, _) = socket.recv_from_full().unwrap();
            let mut rest = received.as_slice();
            while rest.len() >= 16 {
                let length = u32::from_ne_bytes(rest[..4].try_into().unwrap()) as usize;
                let kind = u16::from_ne_bytes(rest[4..6].try_into().unwrap());
                let body = &rest[16..length];
                match kind {
                    ERROR => match i32::from_ne_bytes(body[..4].try_into().unwrap()) {
                        0 => return Ok(answers),
                        error => return Err(error),
                    },
                    DONE => return Ok(answers),
                    _ => answers.push(body.to_vec()),
                }
                rest = &rest[length.next_multiple_of(4).min(rest.len())..];
            }
        }
    })
}

fn tcmsg(index: u32, handle: Handle, parent: Handle) -> Vec<u8> {
    [0, index, handle.0, parent.0, 0].iter().flat_map(|n: &u32| n.to_ne_bytes()).collect()
}

/// Sets the root with our bytes.
fn set(place: &Place, kind: &Kind, options: &dyn Options, flags: u16) -> Result<(), i32> {
    let mut attributes = Attributes::new();
    attributes.text(TCA_KIND, kind.name);
    let mut payload = Attributes::new();
    options.encode(&mut payload, &facts());
    if !payload.bytes.is_empty() {
        attributes.raw(TCA_OPTIONS | if options.nested() { NESTED } else { 0 }, &payload.bytes);
    }
    let mut body = tcmsg(place.index, ROOT, Handle::ROOT);
    body.extend(attributes.bytes);
    ask(&place.netns, NEWQDISC, flags, &body).map(|_| ())
}

/// What the kernel holds at the root, and its own figures of it.
fn held(place: &Place, kind: &Kind) -> (Box<dyn Options>, Vec<(&'static str, u64)>) {
    let (payload, own) = told(place, kind);
    let mut options = (kind.options)();
    if !payload.is_empty() {
        options.decode(Payload(&payload), &facts()).unwrap();
    }
    (options, own)
}

/// The bytes that the kernel tells of the root's options, and the discipline's own figures.
fn told(place: &Place, kind: &Kind) -> (Vec<u8>, Vec<(&'static str, u64)>) {
    for answer in ask(&place.netns, GETQDISC, DUMP, &tcmsg(place.index, Handle(0), Handle(0))).unwrap() {
        let word = |at: usize| u32::from_ne_bytes(answer[at..at + 4].try_into().unwrap());
        if (word(4), word(8)) != (place.index, ROOT.0) {
            continue;
        }
        let attributes = Payload(&answer[20..]).attributes().unwrap();
        assert_eq!(attributes.get(TCA_KIND).unwrap().text(), kind.name);
        let in_stats = attributes.nested(TCA_STATS2).unwrap().and_then(|all| all.get(TCA_STATS_APP));
        let own = in_stats.or(attributes.get(TCA_XSTATS)).map(|p| (kind.xstats)(p, &facts())).unwrap_or_default();
        return (attributes.get(TCA_OPTIONS).map(|p| p.0.to_vec()).unwrap_or_default(), own);
    }
    panic!("no {} at the root", kind.name);
}

fn differences(asked: &dyn Options, held: &dyn Options) -> Vec<String> {
    let rows = asked.rows().iter().enumerate().filter(|(_, row)| !row.tool);
    rows.filter(|(at, _)| !asked.same(held, *at, &facts()))
        .map(|(_, row)| format!("{}: asked {:?}, held {:?}", row.word, asked.show(row.word), held.show(row.word)))
        .collect()
}

fn read(kind: &Kind, words: &[String]) -> Box<dyn Options> {
    let mut options = (kind.options)();
    kind::read_tc(options.as_mut(), &mut Words::new(words), &mut Reader::tc()).unwrap();
    options
}

/// One line of words, set by tc, by our bytes, and by tc from what we read of it.
fn examine(kind: &'static Kind, words: &[String], places: &[Place; 3]) {
    let line = format!("tc qdisc add dev eth0 root handle 1: {} {}", kind.name, words.join(" "));
    let [by_tc, by_us, again] = places;
    places.iter().for_each(Place::clear);
    let ran = by_tc.netns.run("tc", line.split_whitespace().skip(1));
    let mut asked = read(kind, words);
    let ours = set(by_us, kind, asked.as_ref(), CREATE);
    assert_eq!(ran.status.success(), ours.is_ok(), "{line}\ntc: {ran}us: {ours:?}");
    if ours.is_err() {
        let mut found = Vec::new();
        asked.check(&facts(), &mut found);
        // what newer kernels cut short, older ones refuse (fq's quantum); whether a link can offload is no matter of the
        // words
        let known =
            |f: &kind::Finding| f.code.severity == shapectl::diagnostic::Severity::Error || f.code.name == "cut-short";
        let refused = found.iter().any(known) || words.iter().any(|word| word == "offload");
        assert!(refused, "{line}: the kernel refuses what our check lets through");
        return;
    }
    // bytes may differ by the rounding of ticks
    if told(by_tc, kind).0 != told(by_us, kind).0 {
        assert_same(&dump(&by_tc.netns, "eth0"), &dump(&by_us.netns, "eth0"), &line);
    }
    asked.complete(&facts());
    asked.assume(&facts());
    for (place, who) in [(by_tc, "tc"), (by_us, "us")] {
        let differ = differences(asked.as_ref(), held(place, kind).0.as_ref());
        assert!(differ.is_empty(), "{line}\nset by {who}: {}", differ.join("; "));
    }
    // and once more, from what is held
    let mut printed = Vec::new();
    let mut holds = held(by_us, kind).0;
    for (at, _) in asked.rows().iter().enumerate().filter(|(_, row)| kind.name == "fq" && YOUNGER.contains(&row.word)) {
        holds.slot_mut(at).unwrap().clear();
    }
    holds.tc(&mut printed);
    again.netns.tc(&format!("qdisc add dev eth0 root handle 1: {} {}", kind.name, printed.join(" ")));
    let differ = differences(asked.as_ref(), held(again, kind).0.as_ref());
    assert!(differ.is_empty(), "{line}\nprinted as {}: {}", printed.join(" "), differ.join("; "));
    // a change to the same is taken where the kind can be changed at all; rows that cannot are left out
    let mut changed = asked.clone();
    for (at, _) in asked.rows().iter().enumerate().filter(|(_, row)| row.fixed) {
        changed.slot_mut(at).unwrap().clear();
    }
    let change = set(by_us, kind, changed.as_ref(), 0);
    let bare = asked.rows().is_empty() || asked.rows().iter().all(|r| r.fixed);
    assert!(change.is_ok() == kind.change || bare, "{line}: changed: {change:?}");
    let differ = differences(asked.as_ref(), held(by_us, kind).0.as_ref());
    assert!(differ.is_empty(), "{line}\nchanged: {}", differ.join("; "));
}

/// All recorded lines of a kind, and some more.
fn examine_all(name: &str, more: &[&str]) {
    let kind = kind::find(Role::Qdisc, name).unwrap();
    let mut lines: Vec<Vec<String>> = Vec::new();
    for recording in wire::files().iter().flat_map(|file| &file.recordings) {
        let line = Line::read(&recording.words);
        // a block of a qevent is there or made; all else that a line wants is in the line
        // what table a netem has is not told, and so cannot be written again
        let untold = line.options.join(" ").contains("slot distribution");
        if line.object == "qdisc" && line.kind == name && line.get("parent").is_none() && !untold {
            lines.push(line.options);
        }
    }
    lines.extend(more.iter().map(|words| words.split_whitespace().map(str::to_owned).collect()));
    lines.sort();
    lines.dedup();
    assert!(!lines.is_empty());
    let places = [Place::new(), Place::new(), Place::new()];
    for words in lines {
        examine(kind, &words, &places);
    }
}

#[test]
fn kind_tbf() {
    needs!("tbf");
    examine_all("tbf", &["rate 1gbit burst 200kb latency 20ms overhead 40 mpu 84 linklayer atm"]);
}

#[test]
fn kind_sfq() {
    needs!("sfq");
    examine_all(
        "sfq",
        &["limit 20000", "flows 10", "flows 5000 limit 9000", "divisor 64 flows 100", "depth 3 flows 2"],
    );
}

#[test]
fn kind_prio() {
    needs!("prio");
    examine_all("prio", &["bands 2", "bands 17", "bands 1"]);
}

#[test]
fn kind_pfifo() {
    needs!("pfifo");
    examine_all("pfifo", &[]);
}

#[test]
fn kind_bfifo() {
    needs!("bfifo");
    examine_all("bfifo", &[]);
}

#[test]
fn kind_pfifo_head_drop() {
    needs!("pfifo_head_drop");
    examine_all("pfifo_head_drop", &[]);
}

#[test]
fn kind_red() {
    needs!("red");
    let adaptive = "limit 400kb avpkt 1000 bandwidth 100mbit adaptive";
    examine_all("red", &[adaptive, "limit 20kb avpkt 500"]);
    let kind = kind::find(Role::Qdisc, "red").unwrap();
    let place = Place::new();
    place.netns.tc("qdisc add dev eth0 root handle 1: red limit 400kb avpkt 1000");
    let names: Vec<_> = held(&place, kind).1.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["early", "pdrop", "other", "marked"]);
}

#[test]
fn kind_fq_codel() {
    needs!("fq_codel");
    examine_all("fq_codel", &["target 1ms interval 20ms ce_threshold 500us"]);
    let kind = kind::find(Role::Qdisc, "fq_codel").unwrap();
    let place = Place::new();
    place.netns.tc("qdisc add dev eth0 root handle 1: fq_codel");
    assert!(held(&place, kind).1.iter().any(|(name, _)| *name == "drop_overlimit"));
}

#[test]
fn kind_codel() {
    needs!("codel");
    examine_all("codel", &["target 150ms", "limit 1"]);
    figures("codel", "", &["maxpacket", "count", "lastcount", "ldelay", "drop_next", "drop_overlimit", "ecn_mark"]);
}

#[test]
fn kind_pie() {
    needs!("pie");
    examine_all("pie", &["tupdate 1us", "tupdate 33333us target 1s", "target 7us"]);
    figures("pie", "", &["prob", "delay", "avg_dq_rate"]);
}

#[test]
fn kind_fq_pie() {
    needs!("fq_pie");
    examine_all("fq_pie", &["quantum 1mb", "tupdate 33333us target 1s"]);
    figures("fq_pie", "", &["packets_in", "dropped", "overlimit", "overmemory"]);
}

#[test]
fn kind_fq() {
    needs!("fq");
    examine_all("fq", &["initial_quantum 1048576", "refill_delay 33333us"]);
    figures("fq", "", &["gc_flows", "highprio_packets", "tcp_retrans", "throttled"]);
}

#[test]
fn kind_cake() {
    needs!("cake");
    examine_all("cake", &["bandwidth 8bit", "rtt 1us"]);
    figures("cake", "besteffort", &["capacity_estimate", "memory_limit", "memory_used"]);
    let told = own("cake", "diffserv4");
    assert!(told.iter().any(|(name, _)| *name == "tin3_threshold_rate"), "{told:?}");
    assert!(!told.iter().any(|(name, _)| name.starts_with("tin4")), "{told:?}");
}

#[test]
fn kind_netem() {
    needs!("netem");
    examine_all("netem", &["delay 1us 3us", "delay 10ms 2s", "rate 1kbit 1 2 3", "slot 0", "loss state 0.00001% 3.3%"]);
}

/// The figures of a discipline as it is made.
fn own(name: &str, words: &str) -> Vec<(&'static str, u64)> {
    let place = Place::new();
    place.netns.tc(format!("qdisc add dev eth0 root handle 1: {name} {words}").trim());
    held(&place, kind::find(Role::Qdisc, name).unwrap()).1
}

/// That they begin with these.
fn figures(name: &str, words: &str, first: &[&str]) {
    let own = own(name, words);
    let names: Vec<_> = own.iter().map(|(name, _)| *name).take(first.len()).collect();
    assert_eq!(names, first, "{own:?}");
}

#[test]
fn kind_htb() {
    needs!("htb");
    examine_all("htb", &[]);
}

/// What only the kernel makes is recognised.
#[test]
fn kinds_that_are_only_held() {
    for name in ["ingress", "clsact"] {
        let kind = kind::find(Role::Qdisc, name).unwrap();
        assert!(!kind.writable && !kind.change, "{name}");
    }
    let map = kind::find(Role::Qdisc, "pfifo_fast").unwrap();
    let mut options = (map.options)();
    options.assume(&facts());
    let place = Place::new();
    if place.netns.run("tc", "qdisc add dev eth0 root handle 1: pfifo_fast".split(' ')).status.success() {
        let (held, _) = held(&place, map);
        assert_eq!(differences(options.as_ref(), held.as_ref()), Vec::<String>::new());
    }
}

/// What a change does to the leaf below ([`Options::change_resets`]).
#[test]
fn a_change_resets_the_leaf_that_it_says() {
    needs!("tbf", "red", "sfq", "pfifo");
    let parents = [
        ("tbf", "rate 1mbit burst 10kb limit 30000", "rate 2mbit burst 10kb limit 30000"),
        ("red", "limit 400kb avpkt 1000", "limit 300kb avpkt 1000"),
    ];
    for (name, first, then) in parents {
        for leaf in ["pfifo limit 7", "sfq perturb 9"] {
            let Place { netns, .. } = Place::new();
            netns.tc(&format!("qdisc add dev eth0 root handle 1: {name} {first}"));
            netns.tc(&format!("qdisc add dev eth0 parent 1:1 handle 10: {leaf}"));
            let below =
                |netns: &Netns| dump(netns, "eth0").into_iter().filter(|l| l.contains(" 10: parent 1:1")).collect();
            let before: Vec<String> = below(&netns);
            netns.tc(&format!("qdisc change dev eth0 root handle 1: {name} {then}"));
            let after: Vec<String> = below(&netns);
            let kind = kind::find(Role::Qdisc, name).unwrap();
            let words: Vec<String> = then.split(' ').map(str::to_owned).collect();
            let resets = read(kind, &words).change_resets(leaf.split(' ').next().unwrap());
            let seen = match (before.first(), after.first()) {
                (before, after) if before == after => None,
                (_, Some(_)) => Some(Reset::Resized),
                (_, None) => Some(Reset::Replaced),
            };
            assert_eq!(seen, resets, "{name} over {leaf}: {before:?} {after:?}");
        }
    }
}
