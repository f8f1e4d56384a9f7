//! Sets of `ipset` in extended matches: their names, and the kernel's numbers for them.

use crate::bed::dump;
use crate::bed::netns::Netns;
use crate::host::{Host, path};
use crate::needs;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use shapectl::facts::Reference;
use shapectl::kernel::Kernel;
use shapectl::kind::wire::Attributes;
use shapectl::netlink::Message;

/// `IPSET_CMD_CREATE`, `IPSET_CMD_DESTROY`.
const CREATE: u16 = 2;
const DESTROY: u16 = 3;

/// Sends a command about a set of one address, hash:ip, and says what the kernel answers.
fn command(netns: &Netns, command: u16, name: &str) -> i32 {
    let mut body = Attributes { bytes: vec![2, 0, 0, 0] };
    body.u8(1, 7);
    body.text(2, name);
    if command == CREATE {
        body.text(3, "hash:ip");
        body.u8(4, 4);
        body.u8(5, 2);
        body.nest(7 | 0x8000, |_| {});
    }
    netns.enter(|| {
        let socket = Socket::new(NETLINK_NETFILTER).unwrap();
        socket.connect(&SocketAddr::new(0, 0)).unwrap();
        let (mut bytes, mut answer) = (Vec::new(), Vec::with_capacity(4096));
        Message { kind: 6 << 8 | command, flags: 5, body: body.bytes }.write(1, 0, &mut bytes);
        socket.send(&bytes, 0).unwrap();
        socket.recv(&mut answer, 0).unwrap();
        i32::from_ne_bytes(answer[16..20].try_into().unwrap())
    })
}

/// A machine with these sets; `None` on a kernel without.
fn machine(names: &[&str]) -> Option<Host> {
    let host = Host::with(&["eth0"]);
    // one that goes again: the others are not numbered from 0 on
    for name in [&["before"], names].concat() {
        let made = command(&host.netns, CREATE, name);
        if made != 0 {
            println!("this kernel makes no sets: {made}");
            return None;
        }
    }
    Some(host)
}

#[test]
fn the_kernel_names_and_numbers_sets() {
    let Some(host) = machine(&["bulk"]) else { return };
    let mut kernel = host.netns.enter(|| {
        let mut kernel = Kernel::open(None).unwrap();
        kernel.look_for([Reference::Set("bulk".into()), Reference::SetNumber(1), Reference::Set("none".into())]);
        kernel
    });
    let sets = &kernel.clock().sets;
    for reference in [Reference::Set("bulk".into()), Reference::SetNumber(1)] {
        let set = sets.get(&reference).unwrap().unwrap();
        assert_eq!((set.name.as_str(), set.number), ("bulk", 1));
    }
    assert_eq!(sets.get(&Reference::Set("none".into())).unwrap().unwrap_err(), "is not there");
    host.netns.enter(|| kernel.look_for([Reference::SetNumber(7)]));
    assert_eq!(kernel.clock().sets.get(&Reference::SetNumber(7)).unwrap().unwrap_err(), "is not there");
}

#[test]
fn a_match_by_a_set_is_held_by_its_name() {
    needs!("htb", "basic");
    let Some(host) = machine(&["bulk", "voice"]) else { return };
    let policy = |set: &str| {
        host.policy(&format!(
            "interfaces: {{ eth0: {{ egress: {{ htb: {{ default: a, classes: {{ a: {{ rate: 1mbit }} }} }},
                 filters: [ basic: {{ prio: 10, match: 'ipset({set} src)', flowid: a }} ] }} }} }}\n"
        ))
    };
    let file = policy("voice");
    host.apply(&file);
    host.assert_settled(&file);
    host.assert_settled(&policy("#2"));
    let (code, text) = host.diff(&policy("bulk"));
    assert!(code == 2 && text.contains("ipset(voice src)") && text.contains("ipset(bulk src)"), "{text}");
    let refused = host.shapectl(&["apply", path(&policy("none"))]);
    assert!(refused.status.code() == Some(1) && refused.stderr.contains("is not there"), "{refused}");
    // what tc makes of the same words, and what is said of it
    let ours = dump::dump(&host.netns, "eth0");
    host.netns.tc("filter del dev eth0 prio 10");
    host.netns
        .run(
            "tc",
            "filter add dev eth0 parent 1: prio 10 protocol all basic match".split(' ').chain([
                "ipset(voice src)",
                "flowid",
                "1:1",
            ]),
        )
        .ok();
    dump::assert_same(&ours, &dump::dump(&host.netns, "eth0"), "left: ours, right: tc");
    for words in [&["export"][..], &["show"], &["tc", "filter", "show", "dev", "eth0"]] {
        let said = host.shapectl(words).ok();
        assert!(said.contains("ipset(voice src)"), "{said}");
    }
    let file = policy("bulk");
    host.apply(&file);
    host.shapectl(&["rollback"]).ok();
    let (code, text) = host.diff(&policy("voice"));
    assert_eq!(code, 0, "{text}");
    assert_ne!(command(&host.netns, DESTROY, "voice"), 0, "the filter holds it");
}
