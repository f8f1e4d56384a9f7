//! A network namespace to try things in, that goes away with the thread or process that entered it.

use super::{Error, Kernel};
use crate::plan::LinkChange;
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
