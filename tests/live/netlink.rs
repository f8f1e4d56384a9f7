//! Messages and dumps against a real kernel: what is sent is what is read back, and what tc made is read as well.

use crate::bed::netns::{Netns, bounded};
use crate::needs;
use shapectl::doctor::{Answer, Feature, Thing};
use shapectl::facts::Facts;
use shapectl::kernel::{self, Kernel, Sent, Watch};
use shapectl::kind::{Role, find, qdisc};
use shapectl::netlink::{Message, decode, encode};
use shapectl::plan::{LinkChange, Verb};
use shapectl::tree::{Branch, Id, Object, Stab, Tree};
use shapectl::unit::{Bytes, Handle, Hex, Length, LinkLayer, Number, Rate};
use std::ffi::OsStr;
use std::time::Instant;

const ROOT: Handle = Handle::new(1, 0);

fn htb(default: u32) -> Object {
    let options = qdisc::htb::Htb { default: Some(Hex(default)), ..Default::default() };
    Object::new(Id::Qdisc { parent: Handle::ROOT, handle: ROOT }, &qdisc::htb::KIND, Box::new(options))
}

fn class(parent: Handle, minor: u16, kbit: u64) -> Object {
    let options = qdisc::htb::Class {
        rate: Some(Rate::from_bytes(kbit * 125)),
        ceil: Some(Rate::from_bytes(10_000_000_000)),
        burst: Some(Bytes(20_000)),
        prio: Some(Number(3)),
        quantum: Some(Length(3000)),
        ..Default::default()
    };
    Object::new(Id::Class { parent, handle: Handle::new(1, minor) }, &qdisc::htb::KIND, Box::new(options))
}

fn all(objects: &[Object], verb: Verb, ifindex: u32, facts: &Facts) -> Vec<Message> {
    objects.iter().map(|o| encode(o, verb, ifindex, facts)).collect()
}

fn egress(tree: &Tree, name: &str) -> Branch {
    tree.interfaces[name].egress.clone().expect("a held tree has all branches")
}

fn ids(branch: &Branch) -> Vec<Id> {
    branch.objects.iter().map(|o| o.id).collect()
}

#[test]
fn what_is_sent_is_read_back_in_an_order_to_make_it() {
    needs!("htb", "veth");
    let netns = Netns::new();
    netns.stand_in("eth0");
    let mut kernel = netns.enter(|| Kernel::open(None).unwrap());
    let facts = kernel.facts("eth0").unwrap();
    assert_eq!((facts.mtu, facts.header, facts.txqueuelen), (1500, 14, 1000));
    let index = kernel.link("eth0").unwrap().index;
    let mut root = htb(0x20);
    root.stab = Some(Stab { overhead: 10, linklayer: Some(LinkLayer::Atm), ..Stab::default() });
    // high numbers first, so that the kernel's order is not by chance the right one
    let inner = Handle::new(1, 0x99);
    let asked = [root, class(ROOT, 0x99, 5000), class(inner, 0x98, 1000), class(inner, 0x20, 2000), class(ROOT, 5, 70)];
    let sent = kernel.send(&all(&asked, Verb::Add, index, &facts)).unwrap();
    assert_eq!(sent, Sent::default());
    let held = egress(&kernel.read(Some(&["eth0"])).unwrap(), "eth0");
    let order: Vec<u32> = held.objects.iter().map(|o| o.handle().unwrap().0 & 0xffff).collect();
    assert_eq!(order, [0, 5, 0x99, 0x20, 0x98]);
    assert!(held.automatic.is_empty());
    for asked in &asked {
        let held = held.objects.iter().find(|o| o.id == asked.id).unwrap_or_else(|| panic!("{:?}", asked.id));
        assert_eq!(held.stab, asked.stab.as_ref().map(Stab::complete));
        assert!(held.stats.is_some());
        for (i, row) in asked.options.rows().iter().enumerate() {
            let set = asked.options.slot(i).unwrap().is_set();
            assert!(!set || asked.options.same(held.options.as_ref(), i, &facts), "{:?} {}", asked.id, row.word);
        }
    }
    // a 64-bit ceil went through
    let tc = netns.tc("-d class show dev eth0");
    assert!(tc.contains("rate 70Kbit ceil 80Gbit"), "{tc}");
}

#[test]
fn changes_and_refusals_are_told_by_message() {
    needs!("htb", "veth");
    let netns = Netns::new();
    netns.stand_in("eth0");
    let mut kernel = netns.enter(|| Kernel::open(None).unwrap());
    let (facts, index) = (Facts::default(), kernel.link("eth0").unwrap().index);
    let mut objects = vec![htb(0)];
    objects.extend((1..=250).map(|i| class(ROOT, i, 1000)));
    assert_eq!(kernel.send(&all(&objects, Verb::Add, index, &facts)).unwrap(), Sent::default());
    // every third is there no more, and each of those is told, past the borders of a window too
    let some: Vec<Object> = (1..=250).step_by(3).map(|i| class(ROOT, i, 1)).collect();
    assert_eq!(kernel.send(&all(&some, Verb::Delete, index, &facts)).unwrap(), Sent::default());
    let changed: Vec<Object> = (1..=250).map(|i| class(ROOT, i, 3000)).collect();
    let sent = kernel.send(&all(&changed, Verb::Change, index, &facts)).unwrap();
    let refused: Vec<usize> = sent.refused.iter().map(|(i, _)| *i).collect();
    assert_eq!(refused, (0..250).step_by(3).collect::<Vec<_>>());
    assert!(sent.refused.iter().all(|(_, e)| e.name() == "ENOENT"), "{:?}", sent.refused[0]);
    let held = egress(&kernel.read(None).unwrap(), "eth0");
    let rates = held.objects.iter().filter_map(|o| o.options.value::<Rate>("rate"));
    assert_eq!(rates.map(Rate::bytes).collect::<Vec<_>>(), vec![375_000; 250 - refused.len()]);
}

#[test]
fn a_warning_is_no_refusal() {
    needs!("htb", "veth");
    let netns = Netns::new();
    netns.stand_in("eth0");
    let mut kernel = netns.enter(|| Kernel::open(None).unwrap());
    let (facts, index) = (Facts::default(), kernel.link("eth0").unwrap().index);
    let mut big = class(ROOT, 1, 1_000_000);
    big.options.as_kind_mut::<qdisc::htb::Class>().unwrap().quantum = None;
    let sent = kernel.send(&all(&[htb(0), big, class(ROOT, 2, 1)], Verb::Add, index, &facts)).unwrap();
    assert_eq!(sent.refused, []);
    if crate::bed::kernel::release() < (6, 4) {
        return; // told to the log only, in those days
    }
    let [(1, text)] = &sent.warned[..] else { panic!("{sent:?}") };
    assert!(text.contains("quantum"), "{text}");
}

#[test]
fn the_kernels_reason_and_what_it_lacks() {
    needs!("veth");
    let netns = Netns::new();
    netns.stand_in("eth0");
    let mut kernel = netns.enter(|| Kernel::open(None).unwrap());
    let (facts, index) = (Facts::default(), kernel.link("eth0").unwrap().index);
    let id = Id::Qdisc { parent: Handle::ROOT, handle: ROOT };
    let unheard = Object::unknown(id, "unheard");
    let message = encode(&unheard, Verb::Add, index, &facts);
    let sent = kernel.send(std::slice::from_ref(&message)).unwrap();
    let (0, error) = &sent.refused[0] else { panic!("{sent:?}") };
    let lack = error.lacks(&unheard, &message);
    assert_eq!(lack.len(), 1, "{error}");
    assert_eq!(lack[0].module, "sch_unheard");
    let delete = encode(&htb(0), Verb::Delete, index, &facts);
    let sent = kernel.send(std::slice::from_ref(&delete)).unwrap();
    let text = sent.refused[0].1.to_string();
    assert!(text == "Invalid handle (EINVAL)", "{text}");
    assert_eq!(sent.refused[0].1.lacks(&htb(0), &delete), []);
    assert_eq!(kernel.facts("nowhere").unwrap_err().to_string(), "there is no interface `nowhere` (ENODEV)");
}

#[test]
fn what_tc_made_is_read_whole() {
    needs!("htb", "tbf", "u32", "clsact", "mirred", "veth");
    let netns = Netns::new();
    netns.stand_in("eth0");
    for line in [
        "qdisc add dev eth0 root handle 1: htb default 10",
        "class add dev eth0 parent 1: classid 1:1 htb rate 5mbit",
        "class add dev eth0 parent 1:1 classid 1:10 htb rate 1mbit",
        "qdisc add dev eth0 parent 1:10 handle 10: tbf rate 1mbit burst 5k limit 10k",
        "qdisc add dev eth0 parent 10:1 handle 20: pfifo limit 7",
        "filter add dev eth0 parent 1: protocol ip prio 5 u32 match ip dport 22 0xffff flowid 1:1",
        "filter add dev eth0 parent 1: protocol ip prio 5 handle 2: u32 divisor 4",
        "filter add dev eth0 parent 1: protocol ip prio 5 u32 ht 2:3: match ip dst 10.0.0.3 flowid 1:10",
        "filter add dev eth0 parent 1: protocol ipv6 chain 7 prio 6 u32 match ip6 dport 22 0xffff flowid 1:1",
        "filter add dev eth0 parent 1:1 protocol all prio 9 u32 match u32 0 0 flowid 1:10",
        "qdisc add dev eth0 clsact",
        "filter add dev eth0 ingress protocol all prio 1 u32 match u32 0 0 action mirred egress redirect dev lo",
        "filter add dev eth0 egress protocol all prio 2 u32 match u32 0 0 action mirred egress mirror dev lo",
    ] {
        netns.tc(line);
    }
    let mut kernel = netns.enter(|| Kernel::open(None).unwrap());
    let tree = kernel.read(None).unwrap();
    // some kernels give every namespace a tunnel as well
    for interface in ["lo", "eth0", "behind-eth0"] {
        assert!(tree.interfaces.contains_key(interface), "{:?}", tree.interfaces.keys());
    }
    let filter = |parent, chain, prio, protocol, handle| Id::Filter { parent, chain, prio, protocol, handle };
    let inner = Handle::new(1, 1);
    assert_eq!(
        ids(&egress(&tree, "eth0")),
        [
            Id::Qdisc { parent: Handle::ROOT, handle: ROOT },
            Id::Class { parent: ROOT, handle: inner },
            Id::Class { parent: inner, handle: Handle::new(1, 0x10) },
            Id::Qdisc { parent: Handle::new(1, 0x10), handle: Handle::new(0x10, 0) },
            Id::Qdisc { parent: Handle::new(0x10, 1), handle: Handle::new(0x20, 0) },
            filter(ROOT, 0, 5, 0x0800, 0x0020_0000),
            filter(ROOT, 0, 5, 0x0800, 0x0020_3800),
            filter(ROOT, 0, 5, 0x0800, 0x8000_0800),
            filter(ROOT, 7, 6, 0x86dd, 0x8010_0800),
            // u32 numbers its tables by qdisc, whichever class they belong to
            filter(inner, 0, 9, 3, 0x8020_0800),
        ]
    );
    let ingress = tree.interfaces["eth0"].ingress.clone().unwrap();
    assert_eq!(
        ids(&ingress),
        [
            Id::Qdisc { parent: Handle::INGRESS, handle: Handle::HOOK },
            filter(Handle::HOOK_INGRESS, 0, 1, 3, 0x8000_0800),
            filter(Handle::HOOK_EGRESS, 0, 2, 3, 0x8010_0800),
        ]
    );
    // what nobody asked for is no object
    let other = egress(&tree, "behind-eth0");
    assert!(other.objects.is_empty());
    assert_eq!(other.automatic.len(), 1);
    // a namespace is entered by name too
    let elsewhere = std::thread::scope(|scope| {
        let name = netns.name();
        scope.spawn(move || Kernel::open(Some(name)).unwrap().read(Some(&["eth0"])).unwrap()).join().unwrap()
    });
    assert_eq!(ids(&egress(&elsewhere, "eth0")), ids(&egress(&tree, "eth0")));
    assert_eq!(elsewhere.interfaces.len(), 1);
}

#[test]
fn what_is_read_can_be_sent() {
    needs!("htb", "tbf", "u32", "clsact", "mirred", "veth");
    let (netns, other) = (Netns::new(), Netns::new());
    netns.stand_in("eth0");
    other.stand_in("eth0");
    for line in [
        "qdisc add dev eth0 root handle 1: htb default 10",
        "class add dev eth0 parent 1: classid 1:1 htb rate 5mbit",
        "class add dev eth0 parent 1:1 classid 1:10 htb rate 1mbit ceil 3mbit prio 2",
        "qdisc add dev eth0 parent 1:10 handle 10: tbf rate 1mbit burst 5k limit 10k",
        "filter add dev eth0 parent 1: protocol ip prio 5 handle 2: u32 divisor 4",
        "filter add dev eth0 parent 1: protocol ip prio 5 u32 ht 2:3: match ip dst 10.0.0.3 flowid 1:10",
        "filter add dev eth0 parent 1: protocol ip prio 5 u32 match ip dport 22 0xffff flowid 1:1",
        "qdisc add dev eth0 clsact",
        "filter add dev eth0 ingress protocol all prio 1 u32 match u32 0 0 action mirred egress redirect dev lo",
    ] {
        netns.tc(line);
    }
    if find(Role::Qdisc, "tbf").is_none() || find(Role::Filter, "u32").is_none() {
        return;
    }
    let tree = netns.enter(|| Kernel::open(None).unwrap()).read(Some(&["eth0"])).unwrap();
    let mut kernel = other.enter(|| Kernel::open(None).unwrap());
    let (facts, index) = (kernel.facts("eth0").unwrap(), kernel.link("eth0").unwrap().index);
    let interface = &tree.interfaces["eth0"];
    for branch in [&interface.egress, &interface.ingress] {
        let messages = all(&branch.as_ref().unwrap().objects, Verb::Add, index, &facts);
        assert_eq!(kernel.send(&messages).unwrap(), Sent::default());
    }
    crate::bed::dump::assert_same(
        &crate::bed::dump::dump(&netns, "eth0"),
        &crate::bed::dump::dump(&other, "eth0"),
        "left: made by tc, right: read and sent",
    );
}

#[test]
fn links_are_made_set_and_taken_away() {
    needs!("ifb", "veth");
    let netns = Netns::new();
    let mut kernel = netns.enter(|| Kernel::open(None).unwrap());
    let created = LinkChange::Create("ifb".into());
    kernel.change_link("in-eth0", &created).unwrap();
    kernel.change_link("in-eth0", &LinkChange::Alias("shapectl:eth0".into())).unwrap();
    kernel.change_link("in-eth0", &LinkChange::TxQueueLen(77)).unwrap();
    kernel.change_link("in-eth0", &LinkChange::Up).unwrap();
    kernel.set_mtu("in-eth0", 1400).unwrap();
    let link = kernel.link("in-eth0").unwrap();
    assert_eq!(link.kind.as_deref(), Some("ifb"));
    assert_eq!(link.alias.as_deref(), Some("shapectl:eth0"));
    assert_eq!((link.txqueuelen, link.up, link.mtu), (77, true, 1400));
    let again = kernel.change_link("in-eth0", &created).unwrap_err();
    assert_eq!(again.name(), "EEXIST", "{again}");
    // only what is of that kind is taken away
    let wrong = kernel.change_link("in-eth0", &LinkChange::Remove("veth".into())).unwrap_err();
    assert_eq!(wrong.to_string(), "cannot remove `in-eth0`: it is no veth");
    kernel.change_link("in-eth0", &LinkChange::Remove("ifb".into())).unwrap();
    assert!(kernel.link("in-eth0").is_err());
    let unknown = kernel.create_link("x0", "unheard", 1).unwrap_err();
    assert_eq!(unknown.name(), "EOPNOTSUPP", "{unknown}");
}

#[test]
fn a_scratch_namespace_holds_stand_ins_and_goes_away() {
    needs!("veth");
    let name = "scratch-eth0";
    let outside = Kernel::open(None).unwrap().links().unwrap();
    std::thread::spawn(move || {
        let mut kernel = kernel::scratch().unwrap();
        let facts = Facts { mtu: 1492, txqueuelen: 30, queues: 4, ..Facts::default() };
        let kind = kernel.stand_in(name, &facts).unwrap();
        let link = kernel.link(name).unwrap();
        assert_eq!((link.mtu, link.txqueuelen, link.queues, link.up), (1492, 30, 4, true), "{kind}");
        kernel.stand_in("lo", &facts).unwrap();
        assert_eq!(kernel.link("lo").unwrap().mtu, 1492);
        assert_eq!(kernel.facts(name).unwrap().queues, 4);
    })
    .join()
    .unwrap();
    assert_eq!(Kernel::open(None).unwrap().links().unwrap(), outside);
}

#[test]
fn a_namespace_that_is_not_there_is_an_error() {
    let error = |name: &'static str| {
        std::thread::spawn(move || Kernel::open(Some(name)).err().expect("it is no namespace").to_string())
            .join()
            .unwrap()
    };
    let text = "cannot enter namespace `nowhere`: there is no /run/netns/nowhere (ENOENT)";
    assert_eq!(error("nowhere"), text);
    assert!(error("/proc/self/status").contains("is no network namespace"));
    assert!(error("4194305").contains("ENOENT"));
}

#[test]
fn whether_marks_count_is_found_out() {
    needs!("u32");
    let netns = Netns::new();
    let shown = if netns.run("tc", "qdisc add dev lo ingress".split(' ')).status.success() {
        netns.tc("filter add dev lo ingress protocol ip u32 match mark 5 0xff classid 1:1");
        netns.tc("filter show dev lo ingress")
    } else {
        return;
    };
    let mark = Thing::Feature(Feature::U32Mark);
    let expected = if shown.contains("mark 0x") { Answer::Has } else { Answer::Lacks };
    assert_eq!(kernel::probe(&[mark]).unwrap(), [(mark, expected)], "{shown}");
}

/// 10,000 classes are read in well under 100 ms by an optimised build; this one may take five times as long.
#[test]
fn large_trees_are_read_fast() {
    needs!("htb", "veth");
    let netns = Netns::new();
    netns.stand_in("eth0");
    let mut kernel = netns.enter(|| Kernel::open(None).unwrap());
    let (facts, index) = (Facts::default(), kernel.link("eth0").unwrap().index);
    let count: u16 = std::env::var("N").map_or(2000, |n| n.parse().unwrap());
    let mut objects = vec![htb(0)];
    objects.extend((1..=count).map(|i| class(ROOT, i, 1000)));
    assert_eq!(kernel.send(&all(&objects, Verb::Add, index, &facts)).unwrap(), Sent::default());
    let begin = Instant::now();
    let held = egress(&kernel.read(None).unwrap(), "eth0");
    println!("{count} classes read in {:?}", begin.elapsed());
    assert_eq!(held.objects.len(), usize::from(count) + 1);
    assert!(held.objects[1..].iter().all(|o| o.options.value::<Rate>("rate").is_some_and(|r| r.bytes() == 125_000)));
    let changed: Vec<Object> = (1..=count).map(|i| class(ROOT, i, 2000)).collect();
    let begin = Instant::now();
    assert_eq!(kernel.send(&all(&changed, Verb::Change, index, &facts)).unwrap(), Sent::default());
    println!("{count} classes changed in {:?}", begin.elapsed());
}

/// `try` needs no root: the program goes through a user namespace. Where the machine forbids that, it says so, and what
/// would help.
#[test]
fn a_rehearsal_without_root() {
    needs!("htb", "pfifo", "u32", "veth");
    let folder = tempfile::tempdir().unwrap();
    let (program, policy) = (folder.path().join("shapectl"), folder.path().join("first.yaml"));
    std::fs::copy(env!("CARGO_BIN_EXE_shapectl"), &program).unwrap();
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/samples/first.yaml"), &policy).unwrap();
    for path in [folder.path(), &program, &policy] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let words = nobody.map(OsStr::new).into_iter().chain([program.as_os_str(), OsStr::new("try"), policy.as_os_str()]);
    let ran = bounded("setpriv", words);
    println!("{ran}");
    let (allowed, all) = (ran.status.success(), format!("{}{}", ran.stdout, ran.stderr));
    assert!(if allowed { all.contains("line/ssh 1:2 rate 300kbit") } else { all.contains("run it as root") }, "{all}");
    // it is forbidden where nobody may have a user namespace, and only there
    let unshare = nobody.into_iter().chain(["unshare", "--user", "--map-root-user", "--net", "true"]);
    assert_eq!(allowed, bounded("setpriv", unshare).status.success(), "{all}");
}

/// A netem with nothing below it ends the kernel's dump of classes: those of disciplines behind it are asked for.
#[test]
fn classes_behind_a_netem_are_read() {
    needs!("htb", "netem", "drr", "veth");
    let netns = Netns::new();
    netns.stand_in("eth0");
    netns.tc("qdisc add dev eth0 root handle 1: htb");
    // in whatever order the kernel keeps its disciplines, a netem comes before some of these
    for minor in 1..=9 {
        netns.tc(&format!("class add dev eth0 parent 1: classid 1:{minor} htb rate 1mbit"));
        if minor % 3 == 0 {
            netns.tc(&format!("qdisc add dev eth0 parent 1:{minor} handle {}: netem delay 1ms", minor + 1));
        } else {
            netns.tc(&format!("qdisc add dev eth0 parent 1:{minor} handle {}: drr", minor + 1));
            netns.tc(&format!("class add dev eth0 parent {}: classid {0}:7 drr", minor + 1));
        }
    }
    let mut kernel = netns.enter(|| Kernel::open(None).unwrap());
    let held = egress(&kernel.read(None).unwrap(), "eth0");
    let of_drr = held.objects.iter().filter(|o| o.name == "drr" && !o.is_qdisc());
    let mut majors: Vec<u16> = of_drr.map(|o| o.handle().unwrap().major()).collect();
    majors.sort_unstable();
    assert_eq!(majors, [2, 3, 5, 6, 8, 9]);
}

/// What the kernel tells of a class that changes is what a dump tells of it afterwards.
#[test]
fn a_class_that_changes_is_told_of_as_in_a_dump() {
    needs!("htb", "veth");
    let netns = Netns::new();
    netns.stand_in("eth0");
    netns.tc("qdisc add dev eth0 root handle 1: htb");
    netns.tc("class add dev eth0 parent 1: classid 1:1 htb rate 9mbit");
    netns.tc("class add dev eth0 parent 1:1 classid 1:2 htb rate 1mbit");
    let (mut kernel, mut watch) = netns.enter(|| (Kernel::open(None).unwrap(), Watch::open().unwrap()));
    let held = kernel.read(None).unwrap();
    let index = held.interfaces.get("eth0").unwrap().link.index.unwrap();
    let class = |tree: &Tree| egress(tree, "eth0").objects.into_iter().find(|o| o.handle() == Some(Handle::new(1, 2)));
    let mut asked = class(&held).unwrap();
    let row = asked.options.row("rate").unwrap();
    asked.options.slot_mut(row).unwrap().set_number(250_000);
    let machine = kernel.machine().unwrap();
    let message = encode(&asked, Verb::Change, index, &machine.clock);
    assert!(kernel.send(&[message]).unwrap().refused.is_empty());
    netns.tc("class change dev eth0 parent 1: classid 1:1 htb rate 8mbit");
    let seen = watch.seen(kernel.port()).unwrap();
    assert_eq!((seen.links, seen.lost), (vec![index], false), "tc's change is another's");
    let told = decode(&seen.own_classes, &machine).unwrap();
    assert_eq!(told.len(), 1, "and ours is told of once: {told:?}");
    assert_eq!(told[0].object.options.show("rate").as_deref(), Some("2mbit"));
    let read = class(&kernel.read(None).unwrap()).unwrap();
    assert_eq!(format!("{:?}", told[0].object), format!("{read:?}"));
}

/// An fw without number and options ends the kernel's dump of filters: those behind it are asked for, and the whole is held
/// like any other.
#[test]
fn filters_behind_an_fw_of_the_old_form_are_read() {
    needs!("htb", "fw", "veth");
    let netns = Netns::new();
    netns.stand_in("eth0");
    netns.tc("qdisc add dev eth0 root handle 1: htb");
    netns.tc("class add dev eth0 parent 1: classid 1:1 htb rate 1mbit burst 10kb");
    for filter in [
        "prio 5 fw",
        "prio 65001 fw",
        "prio 65002 handle 7 fw classid 1:1",
        "prio 65535 fw",
        "prio 3 handle 8 fw classid 1:1",
    ] {
        netns.tc(&format!("filter add dev eth0 parent 1: protocol ip {filter}"));
    }
    netns.tc("filter add dev eth0 parent 1: chain 5 protocol ip prio 9 handle 9 fw classid 1:1");
    let mut kernel = netns.enter(|| Kernel::open(None).unwrap());
    let (tree, kept) = kernel.read_and_keep(None).unwrap();
    let places = |tree: &Tree| -> Vec<_> {
        let filter = |o: &Object| match o.id {
            Id::Filter { chain, prio, handle, .. } => Some((chain, prio, handle)),
            _ => None,
        };
        egress(tree, "eth0").objects.iter().filter_map(filter).collect()
    };
    let held = [(0, 3, 8), (0, 5, 0), (0, 65001, 0), (0, 65002, 7), (0, 65535, 0), (5, 9, 9)];
    assert_eq!(places(&tree), held);
    assert_eq!(places(&kept.tree(kernel.clock()).unwrap()), held);
}
