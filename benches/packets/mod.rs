//! What rules cost a packet: packets a second through one HTB tree, without rules, with linear ones, and in hash tables.
//!
//! A plain sender of small UDP datagrams, one after another, through one end of a veth pair. Counted is the processor's
//! time that the sending thread has had, the kernel's work for its packets among it, so that a machine which does other
//! things takes nothing from it but its caches. All trees stand at once, each in a namespace of its own, and take many
//! short turns: to be trusted is the ratio to the first tree in the same turn.
//!
//! The tree without rules does the same work but for the rules: packets to the same destinations go to the same classes,
//! by the priority of the sockets (`SO_PRIORITY` of a class's number), and every tree is sent to by as many sockets. How much
//! cheaper it is if all packets are in one class is printed too.

use crate::{SHAPECTL, median, run, write};
use nix::sched::{CloneFlags, setns};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use socket2::{Domain, SockAddr, Socket, Type};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

/// Turns, and how long each tree is measured in each.
const TURNS: usize = 60;
const TURN: Duration = Duration::from_millis(30);
/// Classes that rules send to.
const CLASSES: usize = 300;

/// How the rules become filters.
#[derive(Clone, Copy, PartialEq)]
enum How {
    /// Not at all: the class is the socket's priority.
    Without,
    /// Not at all, and all packets go to the default class.
    OneClass,
    /// By `tc -batch`, one u32 filter after another.
    Linear,
    /// By `tc -batch`, in one table of 256 buckets by the last octet.
    Table,
    /// As shapectl compiles them.
    Compiled,
    /// The same of rules about either end, whose order counts.
    Hosts,
}

struct Case {
    name: String,
    how: How,
    /// What each rule looks at.
    rules: Vec<(IpAddr, u8)>,
    /// Where packets go, and the class that the rules send them to.
    to: Vec<(IpAddr, usize)>,
}

impl Case {
    fn new(name: impl Into<String>, how: How, rules: Vec<(IpAddr, u8)>, last: bool) -> Case {
        let n = rules.len();
        // the last ones, which linear filters find last; or all in turn, with cold caches
        let to = |i: usize| if last { n - 1 - i % n.min(64) } else { i * 7919 % n };
        let class = |ip: &IpAddr| rules.iter().position(|rule| holds(rule, ip)).unwrap_or_default() % CLASSES;
        let to = (0..4096).map(|i| rules[to(i)].0).map(|ip| (ip, class(&ip))).collect();
        Case { name: name.into(), how, rules, to }
    }
}

/// Whether an address is of a prefix.
fn holds((net, length): &(IpAddr, u8), ip: &IpAddr) -> bool {
    let bits = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    };
    net.is_ipv4() == ip.is_ipv4() && (bits(net) ^ bits(ip)).leading_zeros() >= u32::from(*length)
}

fn four(i: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0100 + i).into()
}

fn six(i: u32) -> IpAddr {
    Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(i / 1000) << 64 | u128::from(i % 1000)).into()
}

fn addresses(n: u32, of: impl Fn(u32) -> IpAddr) -> Vec<(IpAddr, u8)> {
    (0..n).map(|i| (of(i), if of(i).is_ipv4() { 32 } else { 128 })).collect()
}

/// Prefixes of many lengths, in no order, in and beside each other.
fn mixed(n: u32) -> Vec<(IpAddr, u8)> {
    let mut seed = 1_u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed >> 8
    };
    let lengths = [20, 22, 24, 24, 26, 28, 30, 32, 32, 32];
    let one = |_| {
        let length = lengths[next() as usize % lengths.len()];
        let address = (0x0a00_0000 | (next() & 0xf_ffff)) & u32::MAX << (32 - length);
        (Ipv4Addr::from(address).into(), length as u8)
    };
    (0..n).map(one).collect()
}

fn policy(rules: &[(IpAddr, u8)], word: &str) -> String {
    let mut out = String::from("interface v0 {\n  egress {\n    htb default rest {\n      class top rate 10gbit {\n");
    out.push_str("        class rest rate 1gbit ceil 10gbit leaf pfifo\n");
    for i in 0..CLASSES {
        let _ = writeln!(out, "        class u{i} rate 10mbit ceil 10gbit leaf pfifo");
    }
    out.push_str("      }\n    }\n");
    for (i, (address, length)) in rules.iter().enumerate() {
        let _ = writeln!(out, "    rule class u{} if {word} {address}/{length}", i % CLASSES);
    }
    out.push_str("  }\n}\n");
    out
}

fn batch(rules: &[(IpAddr, u8)], table: bool) -> String {
    let mut out = String::new();
    let base = "filter add dev v0 parent 1: protocol ip prio 1";
    if table {
        let _ = writeln!(out, "{base} handle 1: u32 divisor 256");
        let _ = writeln!(out, "{base} u32 ht 800:: match u32 0 0 hashkey mask 0xff at 16 link 1:");
    }
    for (i, (address, length)) in rules.iter().enumerate() {
        let bucket = match address {
            IpAddr::V4(a) if table => format!("ht 1:{:x}: ", a.octets()[3]),
            _ => String::new(),
        };
        let _ = writeln!(out, "{base} u32 {bucket}match ip dst {address}/{length} flowid 1:{:x}", 3 + i % CLASSES);
    }
    out
}

/// A namespace with a tree on `v0`, whose other end is in another one, and a way out through it.
struct Place {
    name: String,
    /// One for each class.
    sockets: BTreeMap<usize, Socket>,
    to: Vec<(SockAddr, usize)>,
    /// How long `shapectl apply` took.
    applied: Duration,
}

impl Place {
    fn new(name: String, case: &Case, dir: &Path) -> Place {
        let far = format!("{name}-far");
        for ns in [&name, &far] {
            let _ = run("ip", &["netns", "del", ns]);
            run("ip", &["netns", "add", ns]).expect("a namespace");
        }
        let ip = |ns: &str, words: &str| {
            let words: Vec<&str> = ["-n", ns].into_iter().chain(words.split_whitespace()).collect();
            run("ip", &words).unwrap_or_else(|e| panic!("{e}"))
        };
        let mac = "02:00:00:00:00:02";
        ip(&name, &format!("link add v0 type veth peer name v1 address {mac} netns {far}"));
        ip(&far, "link set v1 up");
        ip(&name, "link set v0 up");
        ip(&name, "address add 192.0.2.1/24 dev v0");
        ip(&name, "address add fd00::1/64 dev v0 nodad");
        ip(&name, &format!("neigh add 192.0.2.2 lladdr {mac} nud permanent dev v0"));
        ip(&name, &format!("neigh add fd00::2 lladdr {mac} nud permanent dev v0"));
        ip(&name, "route add 10.0.0.0/8 via 192.0.2.2");
        ip(&name, "route add 2001:db8::/32 via fd00::2");
        let compiled = if matches!(case.how, How::Compiled | How::Hosts) { case.rules.as_slice() } else { &[] };
        let word = if case.how == How::Hosts { "host" } else { "dst" };
        let file = write(dir, &format!("{name}.shape"), &policy(compiled, word)).to_string_lossy().into_owned();
        let state = dir.join(&name).to_string_lossy().into_owned();
        let args = ["--netns", &name, "--state-dir", &state, "--max-file-size", "64", "apply", &file];
        let applied = run(SHAPECTL, &args).unwrap_or_else(|e| panic!("{e}"));
        if matches!(case.how, How::Linear | How::Table) {
            let file = write(dir, &format!("{name}.batch"), &batch(&case.rules, case.how == How::Table));
            run("tc", &["-n", &name, "-batch", &file.to_string_lossy()]).unwrap_or_else(|e| panic!("{e}"));
        }
        let (inside, by_priority) = (name.clone(), case.how == How::Without);
        let domain = if case.to[0].0.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let classes: Vec<usize> = case.to.iter().map(|(_, class)| *class).collect();
        let socket = move |class: usize| {
            let socket = Socket::new(domain, Type::DGRAM, None).expect("a socket");
            // the first class of these is 1:3
            let priority = if by_priority { 0x1_0003 + class as u32 } else { 0 };
            socket.set_priority(priority).expect("root may set any");
            (class, socket)
        };
        let sockets = std::thread::spawn(move || {
            let file = std::fs::File::open(Path::new("/run/netns").join(inside)).expect("the namespace");
            setns(file, CloneFlags::CLONE_NEWNET).expect("root may enter it");
            let mut sockets = BTreeMap::new();
            classes.into_iter().for_each(|class| {
                sockets.entry(class).or_insert_with(|| socket(class).1);
            });
            sockets
        });
        let to = case.to.iter().map(|(ip, class)| (SocketAddr::new(*ip, 9).into(), *class)).collect();
        Place { name, sockets: sockets.join().expect("sockets"), to, applied }
    }

    fn send(&self) -> u32 {
        let sent = |(to, class): &(SockAddr, usize)| self.sockets[class].send_to(&[0; 18], to).is_ok();
        self.to.iter().map(|to| u32::from(sent(to))).sum()
    }

    /// Packets to all addresses in turn, in a second of the processor's time.
    fn measure(&self) -> f64 {
        self.send();
        let (start, before, mut sent) = (Instant::now(), own_time(), 0_u32);
        while start.elapsed() < TURN {
            sent += self.send();
        }
        f64::from(sent) / (own_time() - before)
    }
}

/// Seconds of the processor's time that this thread has had.
fn own_time() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("a thread's times");
    (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6
}

impl Drop for Place {
    fn drop(&mut self) {
        for ns in [self.name.clone(), format!("{}-far", self.name)] {
            let _ = run("ip", &["netns", "del", &ns]);
        }
    }
}

/// Measures cases beside each other; the first is what the others are held against.
fn compare(dir: &Path, cases: &[Case]) {
    let places: Vec<Place> =
        cases.iter().enumerate().map(|(i, case)| Place::new(format!("shapectl-bench-{i}"), case, dir)).collect();
    let mut rates = vec![Vec::new(); cases.len()];
    let mut ratios = vec![Vec::new(); cases.len()];
    for n in 0..TURNS {
        // each is the first as often as the others
        let mut turn: Vec<f64> = (0..places.len()).map(|i| places[(i + n) % places.len()].measure()).collect();
        turn.rotate_right(n % places.len());
        for (i, rate) in turn.iter().enumerate() {
            rates[i].push(Duration::from_secs_f64(1.0 / rate));
            ratios[i].push(Duration::from_secs_f64(rate / turn[0]));
        }
    }
    for (i, case) in cases.iter().enumerate() {
        let (each, ratio) = (median(std::mem::take(&mut rates[i])), median(std::mem::take(&mut ratios[i])));
        println!(
            "  {:46} {:9.0} packets/s  {:6.1} us each  {:5.1} %",
            case.name,
            1.0 / each.as_secs_f64(),
            each.as_secs_f64() * 1e6,
            ratio.as_secs_f64() * 100.0
        );
    }
}

/// The rate through long lists, beside the tree without rules.
pub fn figures(dir: &Path) {
    use How::{Compiled, Hosts, Linear, OneClass, Table, Without};
    let v4 = |n| addresses(n, four);
    let v6 = |n| addresses(n, six);
    println!("\npackets through HTB with {CLASSES} classes (median of {TURNS} turns; ratio to the first line)");
    println!(" to the last 64 addresses, which linear filters find last");
    compare(
        dir,
        &[
            Case::new("no rules", Without, v4(4_000), true),
            Case::new("no rules, all in one class", OneClass, v4(4_000), true),
            Case::new("4,000 addresses, linear", Linear, v4(4_000), true),
            Case::new("4,000 addresses", Compiled, v4(4_000), true),
            Case::new("10,000 addresses", Compiled, v4(10_000), true),
            Case::new("60,000 addresses", Compiled, v4(60_000), true),
        ],
    );
    println!(" to 4,096 addresses all over the list, with what they need seldom in the cache");
    compare(
        dir,
        &[
            Case::new("no rules", Without, v4(60_000), false),
            Case::new("no rules, all in one class", OneClass, v4(60_000), false),
            Case::new("4,000 addresses, linear", Linear, v4(4_000), false),
            Case::new("10,000 addresses", Compiled, v4(10_000), false),
            Case::new("60,000 addresses", Compiled, v4(60_000), false),
        ],
    );
    compare(
        dir,
        &[
            Case::new("no rules", Without, mixed(10_000), false),
            Case::new("10,000 prefixes of /20 to /32", Compiled, mixed(10_000), false),
        ],
    );
    println!(" the same of IPv6");
    compare(
        dir,
        &[
            Case::new("no rules", Without, v6(60_000), false),
            Case::new("10,000 addresses", Compiled, v6(10_000), false),
            Case::new("60,000 addresses", Compiled, v6(60_000), false),
        ],
    );
    println!(" rules about either end of a packet, each of another class than the next");
    compare(
        dir,
        &[
            Case::new("no rules", Without, v4(10_000), false),
            Case::new("150 hosts", Hosts, v4(150), false),
            Case::new("1,000 hosts", Hosts, v4(1_000), false),
            Case::new("10,000 hosts", Hosts, v4(10_000), false),
        ],
    );
    println!("\nfrom how many on a table is worth while (to all of them)");
    let mut cases = vec![Case::new("no rules", Without, v4(64), false)];
    for n in [8, 16, 32, 64, 128] {
        cases.push(Case::new(format!("{n} linear"), Linear, v4(n), false));
        cases.push(Case::new(format!("{n} in a table"), Table, v4(n), false));
    }
    compare(dir, &cases);
}

/// The time until long lists stand, beside tc with the same filters.
pub fn load(dir: &Path) {
    println!("\nlists made (from nothing, {CLASSES} classes and their leaves with them; one run)");
    for n in [4_000, 10_000, 60_000] {
        let of = |how| Case::new("", how, addresses(n, four), true);
        let ours = Place::new("shapectl-bench-load".to_owned(), &of(How::Compiled), dir);
        let (took, name) = (ours.applied, ours.name.clone());
        let file = dir.join(format!("{name}.shape")).to_string_lossy().into_owned();
        let args = ["--netns", &name, "--state-dir", "/nonexistent", "--max-file-size", "64", "export", "v0"];
        let export = run(SHAPECTL, &args).unwrap_or_else(|e| panic!("{e}"));
        let args = ["--max-file-size", "64", "script", "--batch", &file];
        let out = std::process::Command::new(SHAPECTL).args(args).output().expect("a script");
        let batch = write(dir, "load.batch", &String::from_utf8_lossy(&out.stdout)).to_string_lossy().into_owned();
        drop(ours);
        let empty = Place::new(name, &of(How::Without), dir);
        run("tc", &["-n", &empty.name, "qdisc", "del", "dev", "v0", "root"]).unwrap_or_else(|e| panic!("{e}"));
        let theirs = run("tc", &["-n", &empty.name, "-batch", &batch]).unwrap_or_else(|e| panic!("{e}"));
        let seconds = |d: Duration| d.as_secs_f64();
        println!(
            "  {n:6} addresses  apply {:6.2} s   tc -batch {:6.2} s   ratio {:.2}   export {:6.2} s",
            seconds(took),
            seconds(theirs),
            seconds(theirs) / seconds(took),
            seconds(export)
        );
    }
}
