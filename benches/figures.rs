//! The figures of the product, each beside `tc -batch` where tc can do it: `cargo bench`.
//!
//! Compiling needs nothing; the rest makes network namespaces and needs root. Medians of several runs in one go: only
//! the ratios are to be trusted on a machine that does other things. `cargo bench -- packets` measures packets alone, `cargo bench -- passage`
//! what a change costs the flows that pass, `cargo bench -- large` trees of 20,000 classes in both layouts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod packets;
mod passage;

use nix::sys::resource::{UsageWho, getrusage};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SHAPECTL: &str = env!("CARGO_BIN_EXE_shapectl");
const NETNS: &str = "shapectl-bench";

fn main() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    if std::env::args().any(|word| word == "packets") {
        packets::load(dir.path());
        return packets::figures(dir.path());
    }
    if std::env::args().any(|word| word == "passage") {
        return passage::figures(dir.path());
    }
    if std::env::args().any(|word| word == "large") {
        let _ = run("ip", &["netns", "del", NETNS]);
        run("ip", &["netns", "add", NETNS]).expect("a namespace");
        large(dir.path());
        run("ip", &["netns", "del", NETNS]).expect("the namespace is ours");
        return;
    }
    compile(dir.path());
    if nix::unistd::geteuid().is_root() {
        let _ = run("ip", &["netns", "del", NETNS]);
        let made = run("ip", &["netns", "add", NETNS]);
        if made.is_ok() {
            kernel(dir.path());
            packets::load(dir.path());
            large(dir.path());
            packets::figures(dir.path());
            passage::figures(dir.path());
        }
        let _ = run("ip", &["netns", "del", NETNS]);
    } else {
        println!("not root: nothing is applied");
    }
}

/// A site's tree: inner classes of at most 1,000 subscribers each, every subscriber with an address.
fn policy(classes: usize, rate: &str, shape: bool) -> String {
    let mut out = String::new();
    let per_site = 1_000;
    let sites = classes.div_ceil(per_site);
    if shape {
        out.push_str("interface v0 {\n  egress {\n    htb default rest {\n      class rest rate 1mbit ceil 10gbit\n");
    } else {
        out.push_str("interfaces:\n  v0:\n    egress:\n      htb:\n        default: rest\n        classes:\n");
        out.push_str("          rest: { rate: 1mbit, ceil: 10gbit }\n");
    }
    for site in 0..sites {
        if shape {
            let _ = writeln!(out, "      class site{site} rate 5gbit ceil 10gbit {{");
        } else {
            let _ = writeln!(
                out,
                "          site{site}:\n            rate: 5gbit\n            ceil: 10gbit\n            classes:"
            );
        }
        for i in site * per_site..((site + 1) * per_site).min(classes) {
            if shape {
                let _ = writeln!(out, "        class user{i} rate {rate} ceil 100mbit");
            } else {
                let _ = writeln!(out, "              user{i}: {{ rate: {rate}, ceil: 100mbit }}");
            }
        }
        if shape {
            out.push_str("      }\n");
        }
    }
    if shape {
        out.push_str("    }\n  }\n}\n");
    }
    out
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("a file");
    path
}

fn run(program: &str, args: &[&str]) -> Result<Duration, String> {
    let start = Instant::now();
    let out = Command::new(program).args(args).stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    let took = start.elapsed();
    match out.status.code() {
        Some(0) => Ok(took),
        code => Err(format!("{program} {args:?}: {code:?}\n{}", String::from_utf8_lossy(&out.stderr))),
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn timed(times: usize, mut one: impl FnMut() -> Result<Duration, String>) -> Duration {
    median((0..times).map(|_| one().unwrap_or_else(|e| panic!("{e}"))).collect())
}

fn ms(d: Duration) -> String {
    format!("{:9.1} ms", d.as_secs_f64() * 1e3)
}

fn compile(dir: &Path) {
    println!("compile (check, whole process, median of 5)");
    for classes in [100, 10_000, 60_000] {
        for (notation, shape) in [("DSL", true), ("YAML", false)] {
            let name = if shape { "p.shape" } else { "p.yaml" };
            let file = write(dir, name, &policy(classes, "1mbit", shape));
            let size = std::fs::metadata(&file).map(|m| m.len()).unwrap_or(0);
            let file = file.to_string_lossy().into_owned();
            let state = dir.join("state").to_string_lossy().into_owned();
            let took = timed(5, || run(SHAPECTL, &["check", "--max-file-size", "64", "--state-dir", &state, &file]));
            let peak = getrusage(UsageWho::RUSAGE_CHILDREN).map(|u| u.max_rss() / 1024).unwrap_or(0);
            println!("  {classes:6} classes  {notation:4} {} ({size:8} bytes), peak so far {peak} MiB", ms(took));
        }
    }
}

fn fresh_link() {
    let _ = run("ip", &["-n", NETNS, "link", "del", "v0"]);
    run("ip", &["-n", NETNS, "link", "add", "v0", "type", "veth", "peer", "name", "v1"]).expect("a link");
    run("ip", &["-n", NETNS, "link", "set", "v0", "up"]).expect("a link that is up");
}

fn kernel(dir: &Path) {
    let classes = 10_000;
    let first = write(dir, "first.shape", &policy(classes, "1mbit", true)).to_string_lossy().into_owned();
    let second = write(dir, "second.shape", &policy(classes, "2mbit", true)).to_string_lossy().into_owned();
    let one = policy(classes, "1mbit", true).replace("class user77 rate 1mbit", "class user77 rate 3mbit");
    let one = write(dir, "one.shape", &one).to_string_lossy().into_owned();
    let state = dir.join("kernel").to_string_lossy().into_owned();
    let shapectl = |args: &[&str]| {
        let mut all = vec!["--netns", NETNS, "--state-dir", &state, "--max-file-size", "64"];
        all.extend(args);
        run(SHAPECTL, &all)
    };
    let batch_of = |file: &str, name: &str| {
        let args = ["--netns", NETNS, "--state-dir", &state, "--max-file-size", "64", "script", "--batch", file];
        let out = Command::new(SHAPECTL).args(args).output().expect("a script");
        write(dir, name, &String::from_utf8_lossy(&out.stdout)).to_string_lossy().into_owned()
    };
    let tc = |file: &str| run("tc", &["-n", NETNS, "-batch", file]);

    println!("\n{classes} classes made (median of 3; the kernel itself is quadratic here)");
    fresh_link();
    let batch = batch_of(&first, "add.batch");
    let ours = timed(3, || {
        fresh_link();
        shapectl(&["apply", &first])
    });
    println!("  shapectl apply  {}", ms(ours));
    let theirs = timed(3, || {
        fresh_link();
        tc(&batch)
    });
    println!("  tc -batch       {}  ratio {:.2}", ms(theirs), theirs.as_secs_f64() / ours.as_secs_f64());

    println!("\n{classes} classes changed");
    fresh_link();
    shapectl(&["apply", &first]).expect("applied");
    let change = std::fs::read_to_string(batch_of(&second, "change.batch")).expect("a script");
    let change: String = change.lines().filter(|l| l.starts_with("class add") && l.contains("rate 2mbit")).fold(
        String::new(),
        |mut all, line| {
            all.push_str(&line.replacen("class add", "class change", 1));
            all.push('\n');
            all
        },
    );
    let change = write(dir, "change.batch", &change).to_string_lossy().into_owned();
    let mut turn = false;
    let ours = timed(6, || {
        turn = !turn;
        shapectl(&["apply", if turn { &second } else { &first }])
    });
    println!("  shapectl apply  {}  (compiled, read, planned, sent, read again and verified)", ms(ours));
    let mut parts: Vec<Duration> = Vec::new();
    for turn in 0..6 {
        let file = if turn % 2 == 0 { &second } else { &first };
        let args =
            ["--netns", NETNS, "--state-dir", &state, "--max-file-size", "64", "--format", "json", "apply", file];
        let out = Command::new(SHAPECTL).args(args).output().expect("an apply");
        let json: serde_json::Value = serde_json::from_slice(&out.stdout).expect("json");
        parts.push(Duration::from_secs_f64(json["milliseconds"]["send"].as_f64().expect("a time") / 1e3));
    }
    let sending = median(parts);
    println!("    of it sending {}", ms(sending));
    let theirs = timed(5, || tc(&change));
    let ratio = |d: Duration| theirs.as_secs_f64() / d.as_secs_f64();
    println!("  tc -batch       {}  ratio {:.2}, to sending alone {:.1}", ms(theirs), ratio(ours), ratio(sending));

    println!("\none class of {classes}, and none");
    shapectl(&["apply", &first]).expect("applied");
    let none = timed(5, || shapectl(&["diff", "--quiet", &first]));
    println!("  diff, no difference   {}", ms(none));
    let mut turn = false;
    let single = timed(6, || {
        turn = !turn;
        shapectl(&["apply", if turn { &one } else { &first }])
    });
    println!("  apply of one change   {}", ms(single));
    let dump = timed(5, || run("tc", &["-n", NETNS, "-s", "-j", "class", "show", "dev", "v0"]));
    println!("  tc -s -j class show   {}", ms(dump));
}

/// The same tree in the DSL with a leaf and a rule by address for every subscriber.
fn whole(classes: usize, layout: &str) -> String {
    let mut rules = String::new();
    for i in 0..classes {
        let at = i + 256;
        let _ = writeln!(rules, "    rule class user{i} if dst 10.{}.{}.{}", at >> 16 & 255, at >> 8 & 255, at & 255);
    }
    let tree = policy(classes, "1mbit", true).replace("htb default", &format!("htb layout {layout} default"));
    let tree = tree.replace("ceil 100mbit\n", "ceil 100mbit { pfifo limit 100 }\n");
    let end = tree.rfind("  }\n}\n").expect("the end of egress");
    format!("{}{rules}{}", &tree[..end], &tree[end..])
}

/// Seconds of the processor that children have used.
fn used() -> f64 {
    let all = getrusage(UsageWho::RUSAGE_CHILDREN).expect("figures of children");
    let seconds = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6;
    seconds(all.user_time()) + seconds(all.system_time())
}

/// 20,000 classes with leaves and rules, flat and nested, beside `tc -batch` with the same commands. Times of the processor
/// stand beside those of the clock: they say more where others work.
fn large(dir: &Path) {
    let classes = 20_000;
    for (layout, times) in [("flat", 1), ("nested", 3)] {
        let text = whole(classes, layout);
        let first = write(dir, "large.shape", &text).to_string_lossy().into_owned();
        let one = text.replace("class user77 rate 1mbit", "class user77 rate 3mbit");
        let one = write(dir, "large-one.shape", &one).to_string_lossy().into_owned();
        let state = dir.join(format!("large-{layout}")).to_string_lossy().into_owned();
        let common = ["--netns", NETNS, "--state-dir", &state, "--max-file-size", "64"];
        let shapectl = |args: &[&str]| run(SHAPECTL, &[&common[..], args].concat());
        let script =
            Command::new(SHAPECTL).args(common).args(["script", "--batch", &first]).output().expect("a script");
        let batch = write(dir, "large.batch", &String::from_utf8_lossy(&script.stdout)).to_string_lossy().into_owned();
        println!("\n{classes} classes with leaves and rules, layout {layout} (median of {times})");
        let made = |name: &str, make: &dyn Fn() -> Result<Duration, String>| {
            let before = used();
            let took = timed(times, || {
                fresh_link();
                make()
            });
            println!("  {name} {}  ({:.1} s of the processor)", ms(took), (used() - before) / times as f64);
            took
        };
        let theirs = made("tc -batch            ", &|| run("tc", &["-n", NETNS, "-batch", &batch]));
        let ours = made("shapectl apply       ", &|| shapectl(&["apply", &first]));
        println!("  ratio {:.2}", theirs.as_secs_f64() / ours.as_secs_f64());
        let before = used();
        let mut turn = false;
        let single = timed(6, || {
            turn = !turn;
            shapectl(&["apply", if turn { &one } else { &first }])
        });
        println!("  apply of one change   {}  ({:.2} s of the processor)", ms(single), (used() - before) / 6.0);
        let before = used();
        let dump = timed(3, || {
            let all = ["qdisc", "class", "filter"]
                .map(|what| run("tc", &["-n", NETNS, "-s", "-j", what, "show", "dev", "v0"]));
            all.into_iter().sum()
        });
        println!("  tc -s -j show of all  {}  ({:.2} s of the processor)", ms(dump), (used() - before) / 3.0);
    }
}
