//! `layout: nested`: rates, ceilings and borrowing hold over several disciplines as in one, a tree may be as deep as one
//! likes, and a change touches the part that it concerns.

use crate::bed::kernel;
use crate::bed::netns::Pair;
use crate::bed::traffic::{Flow, Heard, Receiver};
use crate::host::{Host, path};
use crate::needs;
use std::time::Duration;

/// The port of the first class that a rule leads to; those of the others follow.
const PORT: u16 = 6000;

/// A line of 8 Mbit/s with eight classes, of which two are sites of eight users each: two levels of disciplines below the
/// root. `a0` of the site `a` is port 6000, `b0` port 6008, `c` port 6016.
fn sites(layout: &str) -> String {
    let mut port = PORT;
    let mut class = |name: &str, rate: &str, ceil: &str| {
        port += 1;
        format!("{name}: {{ rate: {rate}, ceil: {ceil}, match: udp dport {} }}", port - 1)
    };
    let mut site = |name: &str, rate: &str, users: [(&str, &str); 2]| {
        let mut out = format!("              {name}:\n                rate: {rate}\n                ceil: 8mbit\n");
        out.push_str("                classes:\n");
        for i in 0..8 {
            let (rate, ceil) = users.get(i).copied().unwrap_or(("100kbit", "8mbit"));
            out.push_str(&format!("                  {}\n", class(&format!("{name}{i}"), rate, ceil)));
        }
        out
    };
    let a = site("a", "3mbit", [("1mbit", "8mbit"), ("1400kbit", "8mbit")]);
    let b = site("b", "4400kbit", [("2mbit", "2mbit"), ("1800kbit", "8mbit")]);
    let rest =
        ["c", "d", "e", "f", "g", "h"].map(|name| format!("              {}\n", class(name, "100kbit", "8mbit")));
    format!(
        "interfaces:
  eth0:
    egress:
      htb:
        layout: {layout}
        default: c
        classes:
          line:
            rate: 8mbit
            classes:
{a}{b}{}",
        rest.concat()
    )
}

const SETTLE: Duration = Duration::from_millis(1500);

fn during() -> Duration {
    Duration::from_secs(if kernel::virtual_time() { 20 } else { 3 })
}

/// What is heard at each of these ports while each is sent at 10 Mbit/s.
fn hear(near: &Host, far: &Host, ports: &[u16]) -> Vec<f64> {
    let to = |port: &u16| format!("10.9.0.2:{port}");
    let receivers: Vec<_> =
        ports.iter().map(|port| Receiver::at(&far.netns, &to(port)).start(SETTLE, during())).collect();
    let lasts = SETTLE + during() + Duration::from_millis(300);
    let senders: Vec<_> = ports.iter().map(|port| Flow::to(&to(port), 10_000_000, lasts).start(&near.netns)).collect();
    senders.into_iter().for_each(|sender| _ = sender.join().unwrap());
    let heard: Vec<Heard> = receivers.into_iter().map(|receiver| receiver.join().unwrap()).collect();
    heard.iter().map(Heard::rate).collect()
}

fn assert_rate(what: &str, rate: f64, wanted: f64, virtually: f64) {
    let off = rate / wanted - 1.0;
    println!("{what}: {rate:.0} bit/s where {wanted} are set: {:+.0} ppm", off * 1e6);
    assert!(off.abs() <= if kernel::virtual_time() { virtually } else { 0.05 }, "{what}: {rate:.0} for {wanted}");
}

fn cable() -> (Host, Host) {
    let Pair { near, far } = Pair::new();
    (Host::of(near), Host::of(far))
}

#[test]
fn rates_ceilings_and_borrowing_hold_over_two_levels() {
    needs!("htb", "u32", "veth");
    let (near, far) = cable();
    let policy = near.apply_text(&sites("nested"));
    near.assert_settled(&policy);
    let qdiscs = near.netns.tc("qdisc show dev eth0");
    assert_eq!(qdiscs.matches("qdisc htb").count(), 4, "the root, the line and two sites: {qdiscs}");
    // alone: up to its own ceil, and up to the line's through its site and the line
    if kernel::virtual_time() {
        assert_rate("b0 alone", hear(&near, &far, &[PORT + 8])[0], 2e6, 100e-6);
    }
    assert_rate("a0 alone", hear(&near, &far, &[PORT])[0], 8e6, 100e-6);
    if !kernel::virtual_time() {
        return; // ten flows at once are more than a busy machine times well
    }
    // all that the line has is promised to somebody who wants it: each site has its rate, and what two of its users leave
    // idle is borrowed inside the site
    let ports: Vec<u16> = [0, 1, 8, 9].into_iter().chain(16..22).map(|i| PORT + i).collect();
    let heard = hear(&near, &far, &ports);
    println!("{heard:.0?}");
    assert_rate("site a", heard[0] + heard[1], 3e6, 300e-6);
    assert_rate("b0 at its ceil", heard[2], 2e6, 300e-6);
    assert_rate("site b", heard[2] + heard[3], 4.4e6, 300e-6);
    assert!(heard[0] > 0.998e6 && heard[1] > 1.398e6, "each has its own rate: {heard:?}");
    for rate in &heard[4..] {
        assert_rate("beside the sites", *rate, 1e5, 0.02);
    }
    assert_rate("the line", heard.iter().sum(), 8e6, 200e-6);
    // a site that is idle lends all it has
    let heard = hear(&near, &far, &[PORT, PORT + 8]);
    assert_rate("a0 beside b0", heard[0], 6e6, 300e-6);
    assert_rate("b0 beside a0", heard[1], 2e6, 300e-6);
}

/// Twelve levels, which one htb has not: the ceil of the tenth holds, and each is guaranteed what it has while others want
/// more.
#[test]
fn a_tree_deeper_than_eight_levels_shapes() {
    needs!("htb", "u32", "veth");
    let mut body = format!("{{ rate: 1mbit, ceil: 4mbit, match: udp dport {PORT} }}");
    for level in (1..12).rev() {
        let ceil = if level == 10 { 2 } else { 4 };
        body = format!("{{ rate: 1mbit, ceil: {ceil}mbit, classes: {{ l{}: {body} }} }}", level + 1);
    }
    let other = "other: { rate: 3mbit, ceil: 4mbit }";
    let (near, far) = cable();
    let policy = near.apply_text(&format!(
        "interfaces: {{ eth0: {{ egress: {{ htb: {{ layout: nested, default: other, classes: {{ line: {{ rate: 4mbit, classes: {{ {other}, l1: {body} }} }} }} }} }} }} }}\n"
    ));
    near.assert_settled(&policy);
    if kernel::virtual_time() {
        assert_rate("alone", hear(&near, &far, &[PORT])[0], 2e6, 100e-6);
    }
    let both = hear(&near, &far, &[PORT, PORT + 1]);
    assert_rate("deep down", both[0], 1e6, 300e-6);
    assert_rate("beside it", both[1], 3e6, 300e-6);
}

/// From one layout to the other and back while packets pass: none is lost.
#[test]
fn a_flow_passes_through_a_change_of_layout() {
    needs!("htb", "u32", "veth");
    let (near, far) = cable();
    near.netns.without_ipv6();
    near.apply_text(&sites("flat"));
    let ports = [PORT, PORT + 9, PORT + 16];
    let heard = ports.map(|port| {
        let receiver = Receiver::at(&far.netns, &format!("10.9.0.2:{port}"));
        receiver.start(Duration::ZERO, Duration::from_secs(60))
    });
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let sent = ports.map(|port| {
        let flow = Flow::to(&format!("10.9.0.2:{port}"), 80_000, Duration::from_secs(60));
        flow.until(std::sync::Arc::clone(&stop)).start(&near.netns)
    });
    for layout in ["nested", "flat", "nested"] {
        std::thread::sleep(Duration::from_millis(300));
        let said = near.apply(&near.policy(&sites(layout)));
        assert!(!said.contains("lost"), "{said}");
    }
    std::thread::sleep(Duration::from_millis(300));
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for (sent, heard) in sent.into_iter().zip(heard) {
        let (sent, heard) = (sent.join().unwrap(), heard.join().unwrap());
        assert!(sent > 5, "{sent} packets only");
        assert_eq!(heard.packets_in_all, sent, "of those that were sent");
    }
}

/// All commands know the layout: what stands is what was asked, a packet finds its class, a change touches its own part, and
/// what is exported makes the same tree.
#[test]
fn every_command_knows_it() {
    needs!("htb", "u32", "veth");
    let host = Host::with(&["eth0"]);
    let policy = host.apply_text(&sites("flat"));
    host.assert_settled(&policy);
    // from one layout to the other and back, with classes and filters in an order that the kernel takes
    for layout in ["nested", "flat", "nested"] {
        let policy = host.apply_text(&sites(layout));
        host.assert_settled(&policy);
    }
    let shown = host.shapectl(&["show", "eth0"]).ok();
    assert!(shown.contains("a0") && shown.contains("b7"), "{shown}");
    for held in [&[][..], &["--held"]] {
        let target = if held.is_empty() { path(&policy) } else { "eth0" };
        let words = [&["classify"][..], held, &[target, "--packet", "udp dport 6009"]].concat();
        let told = host.shapectl(&words).ok();
        assert!(told.contains("b1"), "{held:?} {told}");
    }
    // one user's rate is one step; a user more is a class and a filter a level
    let steps = |text: &str| {
        let policy = host.policy(text);
        let done = host.shapectl(&["apply", "--dry-run", path(&policy)]).ok();
        done.lines().filter(|l| l.starts_with("tc ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let faster = sites("nested").replace("a0: { rate: 1mbit", "a0: { rate: 900kbit");
    assert_eq!(steps(&faster).len(), 1, "{:#?}", steps(&faster));
    let user = "                  a8: { rate: 1kbit, ceil: 8mbit, match: udp dport 7000 }\n";
    let more = sites("nested").replace("              b:\n", &format!("{user}              b:\n"));
    let done = steps(&more);
    assert_eq!(done.iter().filter(|l| l.contains("class add")).count(), 1, "{done:#?}");
    assert!(!done.iter().any(|l| l.contains("qdisc") || l.contains("delete") || l.contains(" del ")), "{done:#?}");
    // a part stays a part while there is anything in it, so that a site on the edge is not made anew with each user
    let seven = |text: &str| {
        text.lines().filter(|l| !l.trim_start().starts_with("a7:")).map(|l| format!("{l}\n")).collect::<String>()
    };
    let fewer = seven(&sites("nested"));
    let done = steps(&fewer);
    assert!(done.iter().any(|l| l.contains("class del")), "{done:#?}");
    assert!(!done.iter().any(|l| l.contains("qdisc")), "{done:#?}");
    let policy = host.apply_text(&fewer);
    host.assert_settled(&policy);
    let done = steps(&sites("nested"));
    assert!(done.iter().any(|l| l.contains("class add")) && !done.iter().any(|l| l.contains("qdisc")), "{done:#?}");
    let fresh = Host::with(&["eth0"]);
    fresh.assert_settled(&fresh.apply_text(&fewer));
    assert_eq!(
        fresh.netns.tc("qdisc show dev eth0").matches("qdisc htb").count(),
        3,
        "a site of seven is none where it is new"
    );
    // the user goes: what sends to its site goes before what chooses inside of it
    let policy = host.apply_text(&more);
    host.assert_settled(&policy);
    let policy = host.apply_text(&sites("nested"));
    host.assert_settled(&policy);
    // made once more: the numbers that the kernel gives to its own tables count what has been there
    host.shapectl(&["clear", "eth0"]).ok();
    host.apply(&policy);
    let before = host.dump();
    let exported = host.shapectl(&["export", "eth0"]).ok();
    let file = host.policy(&exported);
    host.assert_settled(&file);
    host.shapectl(&["clear", "eth0"]).ok();
    host.apply(&file);
    assert_eq!(host.dump(), before, "{exported}");
    // the script makes it too
    let script = Host::with(&["eth0"]);
    let policy = script.policy(&sites("nested"));
    let text = script.shapectl(&["script", path(&policy)]).ok();
    let file = policy.with_extension("sh");
    std::fs::write(&file, text).unwrap();
    script.netns.run("sh", [path(&file)]).ok();
    script.assert_settled(&policy);
}
