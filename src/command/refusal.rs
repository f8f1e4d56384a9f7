//! What the kernel refuses, as a finding: each number of an error that is known has a code, and so a page.

use super::carry::Refused;
use crate::diagnostic::{Code, Diagnostic, codes};
use crate::kernel::{Error, Lack};
use nix::errno::Errno;

/// The code of an error.
pub(super) fn code(error: &Error) -> &'static Code {
    home(error).0
}

/// The code of an error, and what can be done where the error alone tells.
fn home(error: &Error) -> (&'static Code, Option<&'static str>) {
    if error.is(Errno::ENOENT) && error.is_about_a_namespace() {
        return (&codes::KERNEL_GONE, Some("`ip netns` lists the namespaces with their names"));
    }
    match Errno::from_raw(error.errno) {
        // the message names the capability
        Errno::EPERM | Errno::EACCES => (&codes::NO_PERMISSION, Some("run it with sudo")),
        Errno::EEXIST => {
            (&codes::KERNEL_EXISTS, Some("another program made it meanwhile: `shapectl diff` shows what stands"))
        }
        Errno::EBUSY => {
            (&codes::KERNEL_BUSY, Some("something still points at it: `shapectl show` lists what hangs there"))
        }
        Errno::ENODEV | Errno::ENXIO | Errno::ENOENT | Errno::ESRCH => {
            (&codes::KERNEL_GONE, Some("`shapectl diff` shows what stands"))
        }
        Errno::ENOBUFS | Errno::ENOMEM | Errno::ENOSPC => {
            (&codes::KERNEL_FULL, Some("free memory, or ask for fewer classes or shorter queues"))
        }
        // a reason that the kernel gives, and which is not about hardware, says enough
        Errno::EOPNOTSUPP => (
            &codes::KERNEL_UNSUPPORTED,
            error.text.as_ref().is_none_or(|text| text.to_lowercase().contains("offload")).then_some(
                "take `skip_sw`, `offload` or `hw` out of the policy if it has one; `shapectl doctor` tells more",
            ),
        ),
        _ => (&codes::KERNEL_REFUSED, None),
    }
}

/// An error as a finding without a place.
pub(super) fn refusal(error: &Error) -> Diagnostic {
    with_help(Diagnostic::new(code(error), error.to_string()), error)
}

/// A refused step as a finding at the policy's line.
pub(super) fn finding(refused: &Refused) -> Diagnostic {
    let place = |d: Diagnostic| match refused.step.span() {
        Some(span) => d.at(span, "asked for here"),
        None => d,
    };
    if let Some((message, help)) = lacking(&refused.lacks) {
        return place(Diagnostic::new(&codes::KERNEL_LACKS, message)).help(help);
    }
    let what = crate::script::line(&crate::script::command(&refused.step));
    let message = format!("the kernel refused `{what}`: {}", refused.error);
    with_help(place(Diagnostic::new(code(&refused.error), message)), &refused.error)
}

/// Kinds that the kernel has not, in words, and what brings the first of them.
pub(super) fn lacking(lacks: &[Lack]) -> Option<(String, String)> {
    let first = lacks.first()?;
    let names: Vec<_> = lacks.iter().map(|lack| format!("`{}`", lack.name)).collect();
    let Lack { module, config, .. } = first;
    let help = format!("load the module {module} (`modprobe {module}`), or use a kernel with {config}");
    Some((format!("this kernel has no {}", names.join(" or no ")), help))
}

fn with_help(d: Diagnostic, error: &Error) -> Diagnostic {
    match home(error).1 {
        Some(help) => d.help(help),
        None => d,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_known_error_has_a_page_of_its_own() {
        let of = |errno: Errno| code(&Error { errno: errno as i32, ..Error::default() }).name;
        for (errno, name) in [
            (Errno::EEXIST, "kernel-exists"),
            (Errno::EBUSY, "kernel-busy"),
            (Errno::ENOENT, "kernel-gone"),
            (Errno::ENODEV, "kernel-gone"),
            (Errno::ENOBUFS, "kernel-full"),
            (Errno::EPERM, "no-permission"),
            (Errno::EOPNOTSUPP, "kernel-unsupported"),
            (Errno::EINVAL, "kernel-refused"),
        ] {
            assert_eq!(of(errno), name, "{errno}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let shown = |errno: Errno| {
            let error = Error { errno: errno as i32, ..Error::default() };
            let d = refusal(&error);
            (d.message, d.help)
        };
        let (message, help) = shown(Errno::EPERM);
        assert_eq!(message, "operation not permitted (EPERM): CAP_NET_ADMIN is wanted");
        assert_eq!(help.as_deref(), Some("run it with sudo"));
        assert!(shown(Errno::EBUSY).1.is_some_and(|help| help.contains("shapectl show")));
        assert_eq!(shown(Errno::EINVAL).1, None);
        let because = |text: &str| {
            let error = Error { errno: Errno::EOPNOTSUPP as i32, text: Some(text.to_owned()), ..Error::default() };
            refusal(&error).help
        };
        assert_eq!(because("Attaching ct to a non ingress/clsact qdisc is unsupported"), None);
        assert!(because("TC offload is disabled on net device").is_some_and(|help| help.contains("skip_sw")));
    }
}
