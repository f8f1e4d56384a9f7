//! Queueing disciplines, one file each, named as the kernel names them.

pub mod bfifo;
pub mod cake;
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

use crate::kind::Options;
use crate::kind::wire::Cursor;
use crate::rows;

rows! {
    /// The options of a kind that has none.
    pub struct Plain {}
}

impl Options for Plain {}

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
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use crate::facts::Facts;
    use crate::kind::{Options, Role, find, read_tc};
    use crate::unit::{Bytes, Rate, Reader, Words};

    fn read(line: &str) -> Box<dyn Options> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let (kind, words) = words.split_first().unwrap();
        let class = kind.strip_suffix("-class");
        let kind = find(Role::Qdisc, class.unwrap_or(kind)).unwrap();
        let mut options = if class.is_some() { kind.class.unwrap()() } else { (kind.options)() };
        let read = read_tc(options.as_mut(), &mut Words::new(words), &mut Reader::tc());
        assert!(read.is_ok(), "{line}: {read:?}");
        options
    }

    fn codes(line: &str, facts: &Facts) -> Vec<&'static str> {
        let mut found = Vec::new();
        read(line).check(facts, &mut found);
        found.iter().map(|f| f.code.name).collect()
    }

    /// What each kind has to say of its own options, and that it says nothing of sound ones.
    #[test]
    fn foolish_options_are_found() {
        let tbf = "tbf rate 1mbit burst 10kb latency 50ms";
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
    }
}
