//! What we send, read by somebody else: `netlink-bindings` is generated from the kernel's own specification of its
//! messages. (Its `tc_ratespec` has octets where the header has shorts, so of that only rate and link layer are read.)
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use netlink_bindings::tc::{FqCodelAttrs, HtbAttrs, RedAttrs, TbfAttrs, TcFifoQopt, TcPrioQopt, TcSfqQoptV1};
use shapectl::facts::Facts;
use shapectl::kind::wire::Attributes;
use shapectl::kind::{self, Role};
use shapectl::unit::{Reader, Words};

/// The options that we send for tc's words; `htb class …` are those of a class.
fn sent(line: &str) -> Vec<u8> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let kind = kind::find(Role::Qdisc, &words[0]).unwrap();
    let class = words.get(1).is_some_and(|w| w == "class");
    let mut options = if class { kind.class.unwrap()() } else { (kind.options)() };
    let words = &words[if class { 2 } else { 1 }..];
    kind::read_tc(options.as_mut(), &mut Words::new(words), &mut Reader::tc()).unwrap();
    let mut out = Attributes::new();
    options.encode(&mut out, &Facts::default());
    out.bytes
}

#[test]
fn tbf() {
    let bytes = sent("tbf rate 40gbit burst 5mb limit 50mb peakrate 8mbit mtu 9000 linklayer atm");
    let read = TbfAttrs::new(&bytes);
    assert!(read.clone().all(|a| a.is_ok()));
    let parms = read.get_parms().unwrap();
    assert_eq!((parms.rate.rate, parms.peakrate.rate, parms.limit), (u32::MAX, 1_000_000, 50 << 20));
    assert_eq!((parms.rate.linklayer, parms.peakrate.linklayer), (2, 2));
    // 5 MB at 5 GB a second and 9000 B at 1 MB a second, in ticks of 64 ns
    assert_eq!((parms.buffer, parms.mtu), (16_384, 140_625));
    assert_eq!((read.get_rate64().unwrap(), read.get_prate64().ok()), (5_000_000_000, None));
    assert_eq!((read.get_burst().unwrap(), read.get_pburst().unwrap()), (5 << 20, 9000));
}

#[test]
fn sfq() {
    let words = "sfq limit 3000 quantum 1600 perturb 10 divisor 2048 flows 200 depth 99 headdrop \
                 redflowlimit 100000 min 8000 max 60000 avpkt 1500 burst 20 probability 0.25 ecn harddrop";
    let read = TcSfqQoptV1::new_from_slice(&sent(words)).unwrap();
    let v0 = (read.v0.limit, read.v0.quantum, read.v0.perturb_period, read.v0.divisor, read.v0.flows);
    assert_eq!(v0, (3000, 1600, 10, 2048, 200));
    assert_eq!((read.depth, read.headdrop, read.limit, read.qth_min, read.qth_max), (99, 1, 100_000, 8000, 60_000));
    assert_eq!((read.max_P, read.flags), (1 << 30, 3));
    assert!(sent("sfq").is_empty());
}

#[test]
fn prio_and_fifos() {
    let bytes = sent("prio bands 4 priomap 3 3 3 3 2 2 2 2 1 1 1 1 0 0 0 0");
    let read = TcPrioQopt::new_from_zeroed(&bytes);
    assert_eq!((read.bands, read.priomap), (4, [3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0]));
    for line in ["pfifo limit 50", "bfifo limit 50", "pfifo_head_drop limit 50"] {
        assert_eq!(TcFifoQopt::new_from_slice(&sent(line)).unwrap().limit, 50, "{line}");
    }
    assert!(sent("pfifo").is_empty() && sent("bfifo").is_empty());
}

#[test]
fn red() {
    let words = "red limit 400000 min 30000 max 90000 avpkt 1000 burst 55 bandwidth 10mbit probability 0.5 \
                 ecn nodrop adaptive qevent early_drop block 10 qevent mark block 11";
    let bytes = sent(words);
    let read = RedAttrs::new(&bytes);
    assert!(read.clone().all(|a| a.is_ok()));
    let parms = read.get_parms().unwrap();
    assert_eq!((parms.limit, parms.qth_min, parms.qth_max, parms.flags), (400_000, 30_000, 90_000, 0));
    assert_eq!((read.get_stab().unwrap().len(), read.get_max_p().unwrap()), (256, 1 << 31));
    let flags = read.get_flags().unwrap();
    assert_eq!((flags.value, flags.selector), (1 | 4 | 8, 0xf));
    assert_eq!((read.get_early_drop_block().unwrap(), read.get_mark_block().unwrap()), (10, 11));
}

#[test]
fn htb() {
    let bytes = sent("htb default 20 r2q 5 direct_qlen 77");
    let read = HtbAttrs::new(&bytes);
    let init = read.get_init().unwrap();
    assert_eq!((init.version, init.rate2quantum, init.defcls), (3, 5, 0x20));
    assert_eq!((read.get_direct_qlen().unwrap(), read.get_offload().is_ok()), (77, false));
    let bytes = sent("htb class rate 8mbit ceil 80gbit burst 100kb cburst 10mb prio 3 quantum 3000");
    let read = HtbAttrs::new(&bytes);
    let parms = read.get_parms().unwrap();
    assert_eq!((parms.rate.rate, parms.ceil.rate, parms.prio, parms.quantum), (1_000_000, u32::MAX, 3, 3000));
    assert_eq!((parms.buffer, parms.cbuffer), (1_600_000, 16_384));
    assert_eq!((read.get_rate64().ok(), read.get_ceil64().unwrap()), (None, 10_000_000_000));
}

#[test]
fn fq_codel() {
    let words = "fq_codel limit 1000 flows 256 quantum 300 target 4ms interval 80ms noecn ce_threshold 2ms \
                 memory_limit 1mb drop_batch 16";
    let bytes = sent(words);
    let read = FqCodelAttrs::new(&bytes);
    assert!(read.clone().all(|a| a.is_ok()));
    assert_eq!((read.get_limit().unwrap(), read.get_flows().unwrap(), read.get_quantum().unwrap()), (1000, 256, 300));
    assert_eq!((read.get_target().unwrap(), read.get_interval().unwrap(), read.get_ecn().unwrap()), (4000, 80_000, 0));
    assert_eq!((read.get_ce_threshold().unwrap(), read.get_memory_limit().unwrap()), (2000, 1 << 20));
    assert_eq!(read.get_drop_batch_size().unwrap(), 16);
}
