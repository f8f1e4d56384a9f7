//! A network namespace to try things in, that goes away with the thread or process that entered it.

use super::{Error, Kernel};
use crate::kind::wire::{Attributes, Fields};
use crate::netlink::{self, Message};
use crate::plan::{LinkChange, Verb};
use crate::tree::{Id, Object};
use crate::unit::{Handle, Octets};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REQUEST};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use std::fs;

/// Puts the calling thread into an empty network namespace of its own, for good. Without the right to do so the process
/// first enters a user namespace in which it has it; that works only while it has a single thread.
///
/// # Errors
/// Neither is allowed, and what forbids it.
pub fn scratch() -> Result<Kernel, Error> {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => {}
        Err(Errno::EPERM) => user_namespace()?,
        Err(errno) => return Err(explained(errno, "max_net_namespaces")),
    }
    let mut kernel = Kernel::open(None)?;
    kernel.sysfs = false;
    // some systems let one in and then forbid everything
    kernel.change_link("lo", &LinkChange::Up).map_err(|e| match Errno::from_raw(e.errno) {
        Errno::EPERM => explained(Errno::EPERM, "max_user_namespaces"),
        _ => e,
    })?;
    Ok(kernel)
}

fn user_namespace() -> Result<(), Error> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
        .map_err(|errno| explained(errno, "max_user_namespaces"))?;
    // an unprivileged process may map itself only, and groups only after giving up setgroups (user_namespaces(7))
    for (file, text) in
        [("setgroups", "deny".to_owned()), ("uid_map", format!("0 {uid} 1")), ("gid_map", format!("0 {gid} 1"))]
    {
        fs::write(format!("/proc/self/{file}"), text)
            .map_err(|e| explained(Errno::from_raw(e.raw_os_error().unwrap_or(0)), "max_user_namespaces"))?;
    }
    Ok(())
}

/// Why there is no scratch namespace.
fn explained(errno: Errno, limit: &str) -> Error {
    let setting = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let is = |path: &str, value: &str| setting(path).as_deref() == Some(value);
    let text = match errno {
        Errno::EINVAL => Some("the process has several threads already".to_owned()),
        _ if is("/proc/sys/kernel/unprivileged_userns_clone", "0") => Some(
            "unprivileged user namespaces are off (sysctl kernel.unprivileged_userns_clone is 0): run it as root"
                .to_owned(),
        ),
        _ if is("/proc/sys/user/max_user_namespaces", "0") => {
            Some("user namespaces are off (sysctl user.max_user_namespaces is 0): run it as root".to_owned())
        }
        _ if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") => Some(
            "AppArmor restricts unprivileged user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns is \
             1): run it as root"
                .to_owned(),
        ),
        Errno::ENOSPC | Errno::EUSERS => Some(format!("there may be no more of them: /proc/sys/user/{limit}")),
        Errno::EPERM => Some(
            "user namespaces are forbidden here, perhaps by a container's seccomp filter: run it as root, or allow \
             unshare"
                .to_owned(),
        ),
        _ => None,
    };
    Error { doing: "make a scratch namespace".to_owned(), errno: errno as i32, text, attribute: None }
}

/// Whether the kernel's u32 classifier matches marks (`CONFIG_CLS_U32_MARK`). Without it a mark is taken without a word
/// and every packet matches, so the only way to know is to ask for one and see whether the kernel remembers it: in a
/// namespace of its own, on a thread of its own. True where it cannot be found out.
pub fn u32_mark() -> bool {
    std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).ok()?;
        probe_u32_mark(&mut Kernel::open(None).ok()?)
    })
    .join()
    .ok()
    .flatten()
    .unwrap_or(true)
}

fn probe_u32_mark(kernel: &mut Kernel) -> Option<bool> {
    const MARK: u16 = 10;
    let lo = kernel.link("lo").ok()?.index;
    let handle = Handle::new(1, 0);
    let (ingress, root) = (Id::Qdisc { parent: Handle::INGRESS, handle: Handle::HOOK }, Handle::ROOT);
    let hooks = [("ingress", ingress), ("prio", Id::Qdisc { parent: root, handle })];
    let facts = kernel.clock.clone();
    let parent = hooks.into_iter().find_map(|(name, id)| {
        let qdisc = netlink::encode(&Object::unknown(id, name), Verb::Add, lo, &facts);
        let done = kernel.send(&[qdisc]).ok()?.refused.is_empty();
        done.then_some(if name == "ingress" { Handle::HOOK } else { handle })
    })?;
    let mut options = Attributes::new();
    // struct tc_u32_sel with one key: flags, offshift, nkeys, pad, offmask, off, offoff, hoff, hmask; mask, val, off, offmask
    let selector = Fields::new().u8(1).u8(0).u8(1).u8(0).raw(&[0; 12]).raw(&[0; 16]);
    options.raw(5, &selector.0);
    options.raw(MARK, &Fields::new().u32(1).u32(1).u32(0).0);
    let id = Id::Filter { parent, chain: 0, prio: 1, protocol: 3, handle: 0 };
    let mut filter = Object::unknown(id, "u32");
    if let Some(raw) = filter.options.as_kind_mut::<crate::kind::raw::Raw>() {
        raw.bytes = Some(Octets(options.bytes));
    }
    let mut message = netlink::encode(&filter, Verb::Add, lo, &facts);
    message.flags = NLM_F_REQUEST | NLM_F_CREATE;
    kernel.send(&[message]).ok().filter(|sent| sent.refused.is_empty())?;
    let dump = kernel.netlink.dump(&Message::dump_tc(netlink::RTM_GETTFILTER, lo, parent.0)).ok()?;
    netlink::remembers(&dump, MARK)
}
