//! Queueing disciplines, one file each, named as the kernel names them.

pub mod bfifo;
pub mod cake;
pub mod cake_mq;
pub mod cbs;
pub mod choke;
pub mod clsact;
pub mod codel;
pub mod drr;
pub mod dualpi2;
pub mod etf;
pub mod ets;
pub mod fq;
pub mod fq_codel;
pub mod fq_pie;
pub mod gred;
pub mod hfsc;
pub mod hhf;
pub mod htb;
pub mod ingress;
pub mod mq;
pub mod mqprio;
pub mod multiq;
pub mod netem;
pub mod noqueue;
pub mod pfifo;
pub mod pfifo_fast;
pub mod pfifo_head_drop;
pub mod pie;
pub mod plug;
pub mod prio;
pub mod qfq;
pub mod red;
pub mod sfb;
pub mod sfq;
pub mod skbprio;
pub mod taprio;
pub mod tbf;
pub mod teql;

use crate::diagnostic::codes;
use crate::facts::Facts;
use crate::kind::walk::{Choice, Walk};
use crate::kind::wire::Cursor;
use crate::kind::{Finding, Options};
use crate::rows;
use crate::unit::{Bytes, Handle, Unit};

rows! {
    /// The options of a kind that has none.
    pub struct Plain {}
}

impl Options for Plain {}

/// How the kinds with classes and nothing else choose (`drr_classify`, `qfq_classify`).
fn by_class(walk: &mut dyn Walk) -> Choice {
    let named = Handle(walk.packet().meta.priority);
    if walk.class(named).is_some() {
        walk.note(None, &|| format!("the packet's priority is the class {}", named.show()));
        return Choice::Class(named);
    }
    let this = walk.discipline();
    let answer = walk.ask(this);
    if !answer.took() {
        return Choice::Drop("no filter takes it, and there is no default".into());
    }
    answer.ends().unwrap_or_else(|| match walk.class(answer.class) {
        Some(_) => Choice::Class(answer.class),
        None => Choice::Drop(format!("there is no class {}", answer.class.show()).into()),
    })
}

/// The entry of a priomap; priorities beyond it have the first.
fn band(map: &[u8], priority: u32) -> u8 {
    map.get(priority as usize).or(map.first()).copied().unwrap_or(0)
}

/// How the kinds with bands and a map choose (`prio_classify`, `ets_classify`). Without a filter that takes it, a packet's
/// band is that of its priority.
fn by_band(walk: &mut dyn Walk, bands: u64, map: &[u8]) -> Choice {
    let this = walk.discipline();
    let priority = walk.packet().meta.priority;
    let mut class = Handle(priority);
    if class.major() != this.major() {
        let answer = walk.ask(this);
        if let Some(end) = answer.ends() {
            return end;
        }
        if !answer.took() {
            let priority = if class.major() != 0 { 0 } else { priority };
            let band = band(map, priority & 15);
            walk.note(None, &|| format!("no filter decides: band {band}, by its priority {priority}"));
            return Choice::Class(Handle::new(this.major(), u16::from(band) + 1));
        }
        class = answer.class;
    }
    let minor = class.minor();
    if minor == 0 || u64::from(minor) > bands {
        let band = band(map, 0);
        walk.note(None, &|| format!("there is no band {}: it is band {band}", class.show()));
        return Choice::Class(Handle::new(this.major(), u16::from(band) + 1));
    }
    Choice::Class(Handle::new(this.major(), minor))
}

/// How the kinds whose bands are the device's queues choose; `why` is said where nobody has said the queue.
fn by_queue(walk: &mut dyn Walk, why: &str) -> Choice {
    match walk.packet().meta.queue {
        Some(queue) => Choice::Class(Handle::new(walk.discipline().major(), queue.saturating_add(1))),
        None => Choice::Queue(format!("a transmit queue: {why}").into()),
    }
}

/// Finds a bound of memory that has no room for a packet.
fn check_memory(word: &'static str, bound: Option<u64>, facts: &Facts, out: &mut Vec<Finding>) {
    let packet = u64::from(facts.frame());
    if let Some(bound) = bound.filter(|bound| *bound < packet) {
        let message = format!("a {word} of {} has no room for a packet of {packet} bytes", Bytes(bound).show());
        let f = Finding::new(&codes::LIMIT_BELOW_PACKET, word, message);
        out.push(f.help(format!("write `{word}: 4mb`, or leave it out")));
    }
}

/// The figures of a C struct of 32-bit fields, as far as it goes: older kernels have fewer. Those among `signed` are 0
/// where they are negative.
fn figures(mut fields: Cursor, names: &[&'static str], signed: &[&str]) -> Vec<(&'static str, u64)> {
    let mut next = |name: &'static str| {
        let n = fields.u32().ok()?;
        let n = if signed.contains(&name) { u32::try_from(n as i32).unwrap_or(0) } else { n };
        Some((name, u64::from(n)))
    };
    names.iter().map_while(|name| next(name)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
    use crate::facts::{Distributions, Facts};
    use crate::kind::wire::{Attributes, Payload};
    use crate::kind::{Options, Place, Role, find, read_tc};
    use crate::unit::{Bytes, Handle, Rate, Reader, Refusal, Words};
    use std::sync::Arc;

    fn read(line: &str) -> Box<dyn Options> {
        try_read(line).unwrap_or_else(|refusal| panic!("{line}: {refusal:?}"))
    }

    fn try_read(line: &str) -> Result<Box<dyn Options>, Refusal> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let (kind, words) = words.split_first().unwrap();
        let class = kind.strip_suffix("-class");
        let kind = find(Role::Qdisc, class.unwrap_or(kind)).unwrap();
        let mut options = if class.is_some() { kind.class.unwrap()() } else { (kind.options)() };
        read_tc(options.as_mut(), &mut Words::new(words), &mut Reader::tc())?;
        Ok(options)
    }

    /// Words of tcs that are younger than the recordings, and what they send.
    #[test]
    fn younger_words_travel() {
        let sent = |line: &str| {
            let mut out = Attributes::new();
            read(line).encode(&mut out, &Facts::default());
            out.bytes
        };
        // behind the struct: a delay that is no whole number of ticks, and the seed
        let bytes = sent("netem delay 100us seed 7");
        let read_back = Payload(&bytes[24..]).attributes().unwrap();
        assert_eq!(u32::from_ne_bytes(bytes[..4].try_into().unwrap()), 1562);
        assert_eq!((read_back.u64(10).unwrap(), read_back.u64(11).unwrap()), (Some(100_000), None));
        assert_eq!(read_back.u64(14).unwrap(), Some(7));
        let bytes =
            sent("fq bands 3 priomap 0 0 0 0 0 0 0 0 1 1 1 1 2 2 2 2 weights 20000 30000 40000 offload_horizon 5ms");
        let read_back = Payload(&bytes).attributes().unwrap();
        assert_eq!(read_back.get(16).unwrap().0[..5], [3, 0, 0, 0, 0]);
        assert_eq!(read_back.get(17).unwrap().fields().u32().unwrap(), 20_000);
        assert_eq!(read_back.u32(18).unwrap(), Some(5000));
    }

    /// What tc refuses itself is refused.
    #[test]
    fn what_these_tcs_refuse_is_refused() {
        let lines = [
            "pie alpha 33",
            "fq_pie ecn_prob 100",
            "fq bands 4",
            "fq bands 3 priomap 0 0 0",
            "fq weights 1 2 3",
            "fq weights 20000 20000",
            "cake lan metro",
            "cake overhead 257",
            "cake overhead -65",
            "cake mpu 257",
            "cake bandwidth 80%",
            "cake rtt internet",
            "codel limit 100p",
            "codel target 500ns",
            "netem loss 1% loss 2%",
            "netem loss 101%",
            "netem loss sometimes",
            "netem slot 20ms 10ms",
            "netem slot distribution normal 20ms 0",
            "sfq perturb 10s",
            "prio priomap 3",
            "tbf limit 10kb latency 50ms",
            "tbf rate 1mbit rate 2mbit",
        ];
        for line in lines {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let mut options = (find(Role::Qdisc, &words[0]).unwrap().options)();
            let read = read_tc(options.as_mut(), &mut Words::new(&words[1..]), &mut Reader::tc());
            assert!(read.is_err(), "{line}: {options:?}");
        }
        let unsettled =
            ["netem ecn", "netem gap 3", "tbf rate 1mbit", "red limit 400kb", "sfq ecn", "sfq limit 1", "htb-class"];
        for line in unsettled {
            let settled =
                read(line).settle_tc(&mut Place { handle: 0, protocol: 0, parent: crate::unit::Handle(0), words: 0 });
            assert!(settled.is_err(), "{line}");
        }
    }

    /// A table that the machine does not have is missed where the machine is known.
    #[test]
    fn tables_are_facts() {
        let netem = read("netem delay 100ms 10ms distribution normal");
        assert!(netem.absent(&Facts::default()).is_none());
        let mut tables = Distributions::of("/usr/lib/tc");
        let facts = Facts { distributions: Some(Arc::new(tables.clone())), ..Facts::default() };
        assert_eq!(netem.absent(&facts).unwrap().code.name, "unknown-name");
        tables.insert("normal", "# a comment\n -32768 5\n7 x 9\n");
        assert_eq!(tables.get("normal").unwrap(), [-32768, 5, 7]);
        let facts = Facts { distributions: Some(Arc::new(tables)), ..Facts::default() };
        assert!(netem.absent(&facts).is_none());
        let mut out = Attributes::new();
        netem.encode(&mut out, &facts);
        let read_back = Payload(&out.bytes[24..]).attributes().unwrap();
        assert_eq!(read_back.get(2).unwrap().0, [0x00, 0x80, 5, 0, 7, 0]);
    }

    fn codes(line: &str, facts: &Facts) -> Vec<&'static str> {
        let mut found = Vec::new();
        match try_read(line) {
            // what tc itself refuses while it reads
            Err(refusal) => return vec![refusal.code.name],
            Ok(options) => options.check(facts, &mut found),
        }
        found.iter().map(|f| f.code.name).collect()
    }

    /// What each kind has to say of its own options, and that it says nothing of sound ones.
    #[test]
    fn foolish_options_are_found() {
        let tbf = "tbf rate 1mbit burst 10kb latency 50ms";
        let taprio = "taprio clockid TAI num_tc 2 queues 1@0 1@1 sched-entry S 1 300000 sched-entry S 2 200000";
        let cases = [
            (tbf.to_owned(), &[][..]),
            ("tbf rate 220kbit latency 50ms burst 1540".to_owned(), &[]),
            ("tbf burst 10kb limit 30kb".to_owned(), &["missing-option"]),
            ("tbf rate 1mbit limit 30kb".to_owned(), &["missing-option"]),
            ("tbf rate 1mbit burst 10kb".to_owned(), &["limit-or-latency"]),
            (format!("{tbf} limit 30kb"), &["limit-or-latency"]),
            ("tbf rate 1mbit burst 10kb limit 1000".to_owned(), &["limit-below-packet"]),
            ("tbf rate 1mbit burst 1513 limit 30kb".to_owned(), &["burst-below-packet"]),
            ("tbf rate 1gbit burst 10kb limit 3mb".to_owned(), &["burst-short"]),
            ("tbf rate 8kbit burst 10mb limit 30kb".to_owned(), &["out-of-range"]),
            ("tbf rate 40gbit burst 5gb limit 30mb".to_owned(), &["out-of-range"]),
            ("tbf rate 40gbit burst 50mb latency 5s".to_owned(), &["out-of-range"]),
            ("tbf rate 8 burst 10kb limit 30kb".to_owned(), &["out-of-range", "out-of-range"]),
            (format!("{tbf} peakrate 1mbit mtu 1540"), &["peakrate-not-above-rate"]),
            (format!("{tbf} peakrate 2mbit"), &["peakrate-without-mtu"]),
            (format!("{tbf} peakrate 2mbit mtu 1500"), &["burst-below-packet"]),
            (format!("{tbf} peakrate 2mbit mtu 1540"), &[]),
            (format!("{tbf} mtu 1540"), &["no-effect"]),
            (format!("{tbf} overhead 65535"), &[]),
            (format!("{tbf} mpu 65536"), &["out-of-range"]),
            ("sfq perturb 10".to_owned(), &[]),
            ("codel target 200ms".to_owned(), &["target-above-interval"]),
            ("fq_codel quantum 100".to_owned(), &["cut-short"]),
            ("fq_codel ce_threshold_selector 1/3".to_owned(), &["no-effect"]),
            ("fq buckets 1000".to_owned(), &["cut-short"]),
            ("fq quantum 100".to_owned(), &["cut-short"]),
            ("fq maxrate 1mbit nopacing".to_owned(), &["no-effect"]),
            ("fq defrate 1mbit".to_owned(), &["no-effect"]),
            ("fq limit 0".to_owned(), &["limit-below-packet"]),
            ("cake bandwidth 20mbit pppoe-ptm ether-vlan".to_owned(), &[]),
            ("cake docsis".to_owned(), &["no-effect", "no-effect"]),
            ("cake bandwidth 8bit".to_owned(), &["cut-short"]),
            ("cake besteffort fwmark 0xff".to_owned(), &["no-effect"]),
            ("cake bandwidth 20mbit raw overhead 20".to_owned(), &["no-effect"]),
            ("netem delay 100ms 10ms 25% distribution normal loss 1% ecn".to_owned(), &[]),
            ("netem reorder 25%".to_owned(), &["missing-option"]),
            ("netem gap 5".to_owned(), &["missing-option"]),
            ("netem ecn".to_owned(), &["missing-option"]),
            ("netem delay 100ms distribution normal".to_owned(), &["missing-option"]),
            ("netem duplicate 1% 5%".to_owned(), &["no-effect"]),
            ("netem delay 10s 3s".to_owned(), &["cut-short"]),
            ("netem limit 0".to_owned(), &["limit-below-packet"]),
            ("sfq".to_owned(), &["perturb-never"]),
            ("sfq perturb 0".to_owned(), &["perturb-never"]),
            ("sfq perturb 10 quantum 1000".to_owned(), &["quantum-below-mtu"]),
            ("sfq perturb 10 quantum 300000".to_owned(), &["out-of-range"]),
            ("sfq perturb 10 divisor 1000".to_owned(), &["divisor"]),
            ("sfq perturb 10 divisor 131072".to_owned(), &["divisor"]),
            ("sfq perturb 10 limit 1".to_owned(), &["out-of-range"]),
            ("sfq perturb 10 limit 16256".to_owned(), &[]),
            ("sfq perturb 10 limit 16257".to_owned(), &["cut-short"]),
            ("sfq perturb 10 limit 16257 flows 200".to_owned(), &[]),
            ("sfq perturb 10 depth 128".to_owned(), &["cut-short"]),
            ("sfq perturb 10 flows 0".to_owned(), &["out-of-range"]),
            ("sfq perturb 10 min 8000".to_owned(), &["missing-option"]),
            ("sfq perturb 10 redflowlimit 100000 min 8000 max 60000 ecn".to_owned(), &[]),
            ("sfq perturb 10 redflowlimit 100000 min 60000 max 60000".to_owned(), &["red-thresholds"]),
            ("sfq perturb 10 redflowlimit 50000 max 60000".to_owned(), &["red-thresholds"]),
            ("sfq perturb 10 redflowlimit 100000 min 8000 burst 3".to_owned(), &["red-burst"]),
            ("sfq perturb 10 redflowlimit 100000 harddrop".to_owned(), &["no-effect"]),
            ("prio".to_owned(), &[]),
            ("prio bands 16".to_owned(), &[]),
            ("prio bands 1".to_owned(), &["bands-range"]),
            ("prio bands 17".to_owned(), &["bands-range"]),
            ("prio bands 2".to_owned(), &["priomap"]),
            ("prio bands 2 priomap 1 1 1 1 1 1 0 0 1 1 1 1 1 1 1 1".to_owned(), &[]),
            ("prio priomap 1 2 2".to_owned(), &["priomap"]),
            ("prio priomap 3 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1".to_owned(), &["priomap"]),
            ("pfifo limit 0".to_owned(), &["limit-below-packet"]),
            ("bfifo limit 1513".to_owned(), &["limit-below-packet"]),
            ("bfifo limit 8gb".to_owned(), &["out-of-range"]),
            ("red limit 400kb".to_owned(), &[]),
            ("red min 30kb".to_owned(), &["missing-option"]),
            ("red limit 400kb min 90kb max 30kb".to_owned(), &["red-thresholds"]),
            ("red limit 60kb min 30kb max 90kb".to_owned(), &["red-thresholds"]),
            ("red limit 400kb min 40kb max 120kb burst 20".to_owned(), &["red-burst"]),
            ("red limit 400kb avpkt 0".to_owned(), &["out-of-range"]),
            ("red limit 400kb nodrop".to_owned(), &["missing-option"]),
            ("red limit 400kb ecn nodrop".to_owned(), &[]),
            ("red limit 400kb harddrop".to_owned(), &["no-effect"]),
            ("red limit 2gb min 1gb max 1500mb".to_owned(), &["out-of-range"]),
            ("hfsc-class sc m2 1mbit".to_owned(), &[]),
            ("hfsc-class rt m1 2mbit d 10ms m2 1mbit ls m2 1mbit ul m2 2mbit".to_owned(), &[]),
            ("hfsc-class sc m1 2mbit m2 1mbit".to_owned(), &["no-effect", "no-effect"]),
            ("hfsc-class ls m1 1mbit d 10ms m2 1mbit".to_owned(), &["no-effect"]),
            ("hfsc-class sc m2 2mbit ul m2 1mbit".to_owned(), &["service-curve"]),
            ("drr-class".to_owned(), &[]),
            ("drr-class quantum 1514".to_owned(), &[]),
            ("drr-class quantum 1513".to_owned(), &["quantum-below-mtu"]),
            ("drr-class quantum 2mb".to_owned(), &["cut-short"]),
            ("qfq-class weight 1024 maxpkt 65536".to_owned(), &[]),
            ("qfq-class maxpkt 1000".to_owned(), &["no-effect"]),
            ("ets strict 2 quanta 3000 1514".to_owned(), &[]),
            ("ets quanta 1513".to_owned(), &["quantum-below-mtu"]),
            ("ets-class quantum 3000".to_owned(), &[]),
            ("mqprio hw 0 num_tc 2 map 0 1 queues 1@0 1@1".to_owned(), &[]),
            ("mqprio hw 0 num_tc 2 map 0 1".to_owned(), &["missing-option"]),
            ("mqprio hw 0 num_tc 2 queues 1@0 1@1".to_owned(), &["priomap"]),
            ("mqprio hw 0 num_tc 2 map 0 1 queues 2@0 1@1".to_owned(), &["out-of-range"]),
            ("mqprio hw 0 num_tc 2 map 0 1 queues 1@0".to_owned(), &["out-of-range"]),
            ("mqprio hw 0 num_tc 2 map 0 1 queues 1@0 0@1".to_owned(), &["out-of-range"]),
            ("mqprio num_tc 2 map 0 1 mode channel shaper bw_rlimit min_rate 1mbit 2mbit".to_owned(), &[]),
            ("mqprio num_tc 2 map 0 1 shaper bw_rlimit min_rate 1mbit 2mbit".to_owned(), &["missing-option"]),
            ("mqprio num_tc 2 map 0 1 mode channel hw 0 queues 1@0 1@1".to_owned(), &["missing-option"]),
            (taprio.to_owned(), &[]),
            (format!("{taprio} map 0 2"), &["priomap"]),
            (format!("{taprio} flags 2"), &["out-of-range"]),
            (format!("{taprio} txtime-delay 100"), &["missing-option"]),
            (format!("{taprio} fp E P"), &["missing-option"]),
            (format!("{taprio} max-sdu 0 0 100"), &["no-effect"]),
            (format!("{taprio} sched-entry S 4 100000"), &["no-effect"]),
            (format!("{taprio} sched-entry S 3 10000"), &["out-of-range"]),
            ("taprio clockid TAI num_tc 2 map 0 1 queues 1@0 1@1 sched-entry S 1 300000".to_owned(), &["never-served"]),
            ("taprio clockid TAI num_tc 2 map 0 1 queues 1@0 1@1".to_owned(), &["missing-option"]),
            ("taprio num_tc 1 queues 1@0 sched-entry S 1 300000".to_owned(), &["missing-option"]),
            ("taprio clockid TAI sched-entry S 1 300000".to_owned(), &["missing-option"]),
            ("dualpi2 max_rtt 100ms".to_owned(), &[]),
            ("dualpi2 max_rtt 100ms target 5ms".to_owned(), &["no-effect"]),
            ("htb-class rate 1mbit".to_owned(), &[]),
            ("htb-class ceil 1mbit".to_owned(), &["missing-option"]),
            ("htb-class rate 2mbit ceil 1mbit".to_owned(), &["ceil-below-rate"]),
            ("htb-class rate 1mbit prio 8".to_owned(), &["prio-range"]),
            ("htb-class rate 1mbit burst 100".to_owned(), &["burst-below-packet"]),
            ("htb-class rate 1gbit burst 1600".to_owned(), &["burst-short"]),
            ("htb-class rate 1mbit quantum 1000".to_owned(), &["quantum-below-mtu"]),
            ("htb-class rate 1mbit quantum 200001".to_owned(), &["quantum-range"]),
        ];
        let wrong = cases.iter().map(|(line, expected)| (line, *expected, codes(line, &Facts::default())));
        let wrong: Vec<_> = wrong.filter(|(_, expected, found)| expected != found).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// What tc itself refuses is refused with its words, and what it takes is taken.
    #[test]
    fn what_tc_refuses_is_refused() {
        let outcome = |line: &str| -> Result<(), String> {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let (kind, words) = words.split_first().unwrap();
            let class = kind.strip_suffix("-class");
            let kind = find(Role::Qdisc, class.unwrap_or(kind)).unwrap();
            let mut options = if class.is_some() { kind.class.unwrap()() } else { (kind.options)() };
            read_tc(options.as_mut(), &mut Words::new(words), &mut Reader::tc()).map_err(|r| r.message)?;
            let mut place = crate::kind::Place { parent: Handle(0), handle: 0, protocol: 0, words: words.len() };
            options.settle_tc(&mut place).map_err(|r| r.message)
        };
        let refused = [
            "hfsc default 10 default 11",
            "hfsc default 10000",
            "hfsc-class",
            "hfsc-class ul m2 1mbit",
            "hfsc-class rt m2 1mbit ul m2 2mbit",
            "hfsc-class sc 1mbit",
            "hfsc-class sc m1 1mbit d 1s",
            "drr quantum 1514",
            "drr-class quantum 0",
            "drr-class quantum 5gb",
            "qfq weight 1",
            "qfq-class weight 0",
            "qfq-class weight 1025",
            "qfq-class weight 0x10",
            "qfq-class maxpkt 511",
            "ets",
            "ets bands 17",
            "ets bands 0",
            "ets bands 3 bands 3",
            "ets bands 2 strict 1 quanta 1514 1514",
            "ets bands 2 priomap 2",
            "ets bands 3 priomap 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
            "ets quanta bands 3",
            "ets quanta 0 1514",
            "ets-class quantum 0",
            "multiq bands 3",
            "mq bands 3",
            "noqueue limit 3",
            "pfifo_fast bands 3",
            "mqprio hw 0 mode channel",
            "mqprio min_rate 1mbit",
            "mqprio shaper bw_rlimit",
            "mqprio num_tc 3 shaper bw_rlimit min_rate 1mbit 2mbit",
            "mqprio num_tc 1 queues 1@0 1@1",
            "mqprio queues 1",
            "taprio sched-entry X 1 100",
            "taprio sched-entry S 1",
            "taprio clockid UTC",
            "taprio clockid TAI clockid TAI",
            "taprio base-time 1s",
        ];
        let taken: Vec<_> = refused.into_iter().filter(|line| outcome(line).is_ok()).collect();
        assert!(taken.is_empty(), "{taken:#?}");
        let taken = [
            "hfsc default 0 default 10",
            "hfsc-class rt m2 1mbit",
            "ets bands 0 strict 2",
            "mqprio num_tc 3 shaper bw_rlimit min_rate 1mbit hw 1",
            "mqprio map hw 0",
            "taprio max-sdu 0 100 fp E P E sched-entry H 01 100 sched-entry R 0x02 0x64",
        ];
        for line in taken {
            assert_eq!(outcome(line), Ok(()), "{line}");
        }
    }

    /// Words that iproute2 6.1 lacks.
    #[test]
    fn traffic_classes_have_entries() {
        use crate::kind::wire::{Attributes, Payload};
        let entries = |line: &str, skip: usize, number: u16| -> Vec<Vec<u8>> {
            let mut out = Attributes::new();
            read(line).encode(&mut out, &Facts::default());
            let list = Payload(&out.bytes[skip..]).attributes().unwrap().list;
            list.iter().filter(|(n, _)| *n == number).map(|(_, p)| p.0.to_vec()).collect()
        };
        let entry = |pairs: &[(u16, u32)]| {
            let mut out = Attributes::new();
            pairs.iter().for_each(|(number, value)| out.u32(*number, *value));
            out.bytes
        };
        assert_eq!(entries("mqprio num_tc 2 fp E P", 84, 5), [entry(&[(1, 0), (2, 1)]), entry(&[(1, 1), (2, 2)])]);
        let taprio = "taprio num_tc 2 max-sdu 0 200 fp P sched-entry S 1 1000";
        assert_eq!(entries(taprio, 0, 12), [entry(&[(1, 0), (2, 0), (3, 2)]), entry(&[(1, 1), (2, 200)])]);
        assert_eq!(entries("taprio fp P", 0, 12), [entry(&[(1, 0), (3, 2)])]);
    }

    /// Gates of a schedule that is not in force yet stand in a list of their own.
    #[test]
    fn the_newest_schedule_counts() {
        use crate::kind::wire::{Attributes, NESTED, Payload};
        let facts = Facts::default();
        let (old, new) = (
            "taprio clockid TAI num_tc 1 queues 1@0 sched-entry S 1 1000",
            "taprio cycle-time 5000 base-time 7 sched-entry S 1 2000 sched-entry H 0 3000",
        );
        let mut dump = Attributes::new();
        read(old).encode(&mut dump, &facts);
        dump.nest(7 | NESTED, |out| read(new).encode(out, &facts));
        let mut held = read("taprio");
        held.decode(Payload(&dump.bytes), &facts).unwrap();
        let words = |options: &dyn Options| {
            let mut words = Vec::new();
            options.tc(&mut words);
            words.join(" ")
        };
        assert_eq!(
            words(held.as_ref()),
            "clockid CLOCK_TAI num_tc 1 map 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 queues 1@0 base-time 7 cycle-time 5000 \
             sched-entry S 01 2000 sched-entry H 00 3000"
        );
    }

    /// A packet beyond `maxpkt` raises it, up to what the link hands down in one piece.
    #[test]
    fn a_qfq_class_grows_with_its_packets() {
        let same = |asked: &str, held: &str, facts: &Facts| {
            let (asked, held) = (read(asked), read(held));
            asked.same(held.as_ref(), asked.row("maxpkt").unwrap(), facts)
        };
        let (plain, offload) = (Facts::default(), Facts { gso: Some(65_536), ..Facts::default() });
        assert!(same("qfq-class maxpkt 1000", "qfq-class maxpkt 1514", &plain));
        assert!(!same("qfq-class maxpkt 1514", "qfq-class maxpkt 2048", &plain));
        assert!(same("qfq-class maxpkt 1514", "qfq-class maxpkt 2048", &offload));
        assert!(!same("qfq-class maxpkt 2048", "qfq-class maxpkt 1514", &offload));
    }

    /// The largest packet is the link's.
    #[test]
    fn sizes_are_measured_by_the_link() {
        let (jumbo, ppp) =
            (Facts { mtu: 9000, ..Facts::default() }, Facts { mtu: 1492, header: 0, ..Facts::default() });
        assert_eq!(codes("tbf rate 1mbit burst 2kb latency 50ms", &jumbo), ["burst-below-packet"]);
        assert_eq!(codes("tbf rate 1mbit burst 1492 latency 50ms", &ppp), [""; 0]);
        let offload = Facts { gso: Some(65536), ..Facts::default() };
        assert_eq!(codes("tbf rate 1mbit burst 2kb latency 50ms", &offload), [""; 0]);
    }

    /// tc's limit for a latency: the figures are those of its `-d qdisc show`.
    #[test]
    fn a_latency_becomes_a_limit() {
        let limit = |line: &str| {
            let mut options = read(line);
            options.complete(&Facts::default());
            options.value::<Bytes>("limit").unwrap().0
        };
        assert_eq!(limit("tbf rate 220kbit latency 50ms burst 1540"), 2915);
        assert_eq!(limit("tbf rate 1mbit latency 50ms burst 10kb"), 16_490);
        assert_eq!(limit("tbf rate 1mbit latency 50ms burst 10kb peakrate 1100kbit mtu 1540"), 8_415);
        assert_eq!(limit("tbf rate 1mbit limit 30kb burst 10kb"), 30_720);
    }

    /// A bucket in cells comes back from the ticks of a dump as what was asked, to a cell.
    #[test]
    fn a_bucket_of_cells_is_told_in_cells() {
        use crate::kind::wire::{Attributes, Payload};
        let facts = Facts::default();
        let asked = read("tbf rate 1mbit burst 10kb limit 30kb overhead 8 linklayer atm");
        let mut request = Attributes::new();
        asked.encode(&mut request, &facts);
        // the dump: no size, and the ticks of 214 cells of 53 bytes
        let mut parms = Payload(&request.bytes).attributes().unwrap().get(1).unwrap().0.to_vec();
        let ticks = facts.ticks(Rate(1_000_000), 214 * 53).to_ne_bytes();
        parms.splice(28..32, ticks);
        let mut dump = Attributes::new();
        dump.raw(1, &parms);
        let mut held = read("tbf");
        held.decode(Payload(&dump.bytes), &facts).unwrap();
        assert!((0..asked.rows().len()).filter(|i| asked.slot(*i).unwrap().is_set()).all(|i| asked.same(
            held.as_ref(),
            i,
            &facts
        )));
        let other = read("tbf rate 1mbit burst 11kb limit 30kb overhead 8 linklayer atm");
        assert!(!other.same(held.as_ref(), held.row("burst").unwrap(), &facts));
    }

    /// What a kernel cuts is no difference, and what it keeps is one.
    #[test]
    fn an_sfq_is_compared_as_the_kernel_settles_it() {
        let facts = Facts::default();
        let same = |asked: &str, held: &str| {
            let (asked, held) = (read(asked), read(held));
            (0..asked.rows().len()).all(|i| asked.same(held.as_ref(), i, &facts))
        };
        assert!(same("sfq perturb 10", "sfq perturb 10 limit 127 flows 128 depth 127 divisor 1024 quantum 1514"));
        assert!(same("sfq limit 20000", "sfq limit 16256 flows 128"));
        assert!(same("sfq limit 64", "sfq limit 64 flows 64"));
        assert!(!same("sfq limit 64", "sfq limit 65 flows 65"));
        assert!(!same("sfq", "sfq perturb 10"));
        assert!(!same("sfq", "sfq redflowlimit 100000 min 8000 max 60000 ecn"));
    }

    /// An adaptive red's probability is the kernel's own affair.
    #[test]
    fn an_adaptive_red_moves_its_probability() {
        let facts = Facts::default();
        let probability = |asked: &str, held: &str| {
            let (asked, held) = (read(asked), read(held));
            asked.same(held.as_ref(), asked.row("probability").unwrap(), &facts)
        };
        assert!(!probability("red limit 400kb probability 0.02", "red limit 400kb probability 0.03"));
        assert!(probability("red limit 400kb adaptive probability 0.02", "red limit 400kb adaptive probability 0.03"));
    }

    #[test]
    fn figures_of_their_own_are_read() {
        use crate::kind::wire::Payload;
        let red = find(Role::Qdisc, "red").unwrap();
        let bytes: Vec<u8> = [1u32, 2, 3, 4].iter().flat_map(|n| n.to_ne_bytes()).collect();
        let own = (red.xstats)(Payload(&bytes), &Facts::default());
        assert_eq!(own, [("early", 1), ("pdrop", 2), ("other", 3), ("marked", 4)]);
        assert_eq!((red.xstats)(Payload(&bytes[..6]), &Facts::default()), [("early", 1)]);
        let own =
            |kind: &str, bytes: &[u8]| (find(Role::Qdisc, kind).unwrap().xstats)(Payload(bytes), &Facts::default());
        let hfsc: Vec<u8> = [5u64, 6].iter().flat_map(|n| n.to_ne_bytes()).chain(bytes[8..].iter().copied()).collect();
        assert_eq!(own("hfsc", &hfsc), [("work", 5), ("rtwork", 6), ("period", 3), ("level", 4)]);
        assert_eq!(own("drr", &bytes[..4]), [("deficit", 1)]);
        assert_eq!(own("qfq", &bytes[..8]), [("weight", 1), ("lmax", 2)]);
        let mut offload = crate::kind::wire::Attributes::new();
        offload.u64(2, 9);
        offload.u64(3, 10);
        assert_eq!(own("taprio", &offload.bytes), [("window_drops", 9), ("tx_overruns", 10)]);
        let dualpi2: Vec<u8> = (1u32..=12).flat_map(|n| n.to_ne_bytes()).collect();
        assert_eq!(own("dualpi2", &dualpi2)[11], ("memory_limit", 12));
    }
}
