//! Programs of BPF that somebody has loaded and pinned, as filters and as actions.
#![allow(unsafe_code, reason = "a program is loaded by a system call that has no wrapper")]

use crate::bed::dump;
use crate::host::{Host, path};
use crate::needs;
use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const CLASSIFIER: u32 = 3;
const ACTION: u32 = 4;

/// bpf(2) with these octets for `union bpf_attr`.
fn bpf(command: i32, attr: &[u8]) -> std::io::Result<i32> {
    // SAFETY: `attr` and what it points at live in the caller, and these commands write nothing.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_ptr(), attr.len()) };
    i32::try_from(result).ok().filter(|result| *result >= 0).ok_or_else(std::io::Error::last_os_error)
}

/// A file system of type bpf, gone with its test.
struct Pins(TempDir);

impl Pins {
    /// `None` on a kernel without.
    fn new() -> Option<Pins> {
        let folder = TempDir::new().unwrap();
        let none: Option<&str> = None;
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(Some("bpf"), folder.path(), Some("bpf"), flags, none).ok().map(|()| Pins(folder))
    }

    /// Loads a program that returns `verdict`, and pins it, in the place of another if one is there.
    fn pin(&self, name: &str, kind: u32, verdict: i32) -> PathBuf {
        // r0 = verdict; exit
        let code: [&[u8]; 4] = [&[0xb7, 0, 0, 0], &verdict.to_ne_bytes(), &[0x95, 0, 0, 0], &[0; 4]];
        let (code, license) = (code.concat(), CString::new("GPL").unwrap());
        let mut attr = [kind, 2].map(u32::to_ne_bytes).concat();
        attr.extend([code.as_ptr() as u64, license.as_ptr() as u64].map(u64::to_ne_bytes).concat());
        attr.extend([0; 24]);
        // SAFETY: a descriptor that the kernel has just made is nobody else's.
        let loaded = unsafe { OwnedFd::from_raw_fd(bpf(5, &attr).unwrap()) };
        let place = self.0.path().join(name);
        let _ = std::fs::remove_file(&place);
        let text = CString::new(place.to_str().unwrap()).unwrap();
        let mut attr = (text.as_ptr() as u64).to_ne_bytes().to_vec();
        attr.extend([loaded.as_raw_fd() as u32, 0].map(u32::to_ne_bytes).concat());
        bpf(6, &attr).unwrap();
        place
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let _ = nix::mount::umount(self.0.path());
    }
}

/// A machine, and programs that are pinned on it.
fn machine() -> Option<(Host, Pins, PathBuf, PathBuf)> {
    let Some(pins) = Pins::new() else {
        println!("no file system for pinned programs here");
        return None;
    };
    let (chooser, act) = (pins.pin("chooser", CLASSIFIER, -1), pins.pin("act", ACTION, 0));
    Some((Host::with(&["eth0"]), pins, chooser, act))
}

fn policy(chooser: &Path, act: Option<&Path>) -> String {
    let action = act.map(|act| format!(", action: {{ bpf: {{ object-pinned: {} }} }}", path(act))).unwrap_or_default();
    format!(
        "interfaces: {{ eth0: {{ egress: {{ htb: {{ default: a, classes: {{ a: {{ rate: 1mbit }} }} }},
             filters: [ bpf: {{ prio: 10, object-pinned: {}, flowid: a{action} }} ] }} }} }}\n",
        path(chooser)
    )
}

#[test]
fn a_pinned_program_is_held_by_its_number() {
    needs!("htb", "bpf");
    let Some((host, pins, chooser, act)) = machine() else { return };
    let act = crate::bed::kernel::lacks("act_bpf").is_none().then_some(act);
    let file = host.apply_text(&policy(&chooser, act.as_deref()));
    host.assert_settled(&file);
    assert!(host.shapectl(&["script", path(&file)]).ok().contains(&format!("object-pinned {}", path(&chooser))));
    let shown = host.netns.tc("filter show dev eth0");
    assert!(shown.contains("chooser:[*fsobj]"), "{shown}");
    // the same program at another path is the same
    let second = pins.0.path().join("second");
    std::fs::hard_link(&chooser, &second).unwrap();
    let file = host.policy(&policy(&second, act.as_deref()));
    host.assert_settled(&file);
    // one that was loaded again is another, though it does the same
    pins.pin("second", CLASSIFIER, -1);
    let (code, text) = host.diff(&file);
    assert!(code == 2 && text.contains("id"), "{text}");
    host.apply(&file);
    host.assert_settled(&file);
}

#[test]
fn what_is_exported_names_the_path_or_says_that_there_is_none() {
    needs!("htb", "bpf");
    let Some((host, pins, chooser, _)) = machine() else { return };
    host.netns.tc("qdisc add dev eth0 root handle 1: htb");
    host.netns.tc(&format!("filter add dev eth0 parent 1: prio 10 bpf object-pinned {} da", path(&chooser)));
    let exported = host.shapectl(&["export"]);
    let text = exported.stdout.clone();
    assert!(exported.stderr.is_empty() && text.contains(&format!("object-pinned: {}", path(&chooser))), "{exported}");
    host.assert_settled(&host.policy(&text));
    // nobody pins it any more: the filter has it still
    std::fs::remove_file(pins.0.path().join("chooser")).unwrap();
    let exported = host.shapectl(&["export"]);
    assert!(exported.stdout.contains("which is pinned nowhere") && exported.stderr.contains("left-out"), "{exported}");
    assert!(exported.status.success() && !exported.stdout.contains("object-pinned:"), "{exported}");
}

#[test]
fn a_program_that_nothing_else_holds_comes_back() {
    needs!("htb", "bpf", "pfifo");
    let Some((host, pins, chooser, _)) = machine() else { return };
    host.netns.tc("qdisc add dev eth0 root handle 1: htb");
    host.netns.tc(&format!("filter add dev eth0 parent 1: prio 10 bpf object-pinned {}", path(&chooser)));
    std::fs::remove_file(pins.0.path().join("chooser")).unwrap();
    let before = dump::dump(&host.netns, "eth0");
    // what takes its filter away and is not confirmed
    let file = host.policy("interfaces: { eth0: { egress: { pfifo: { limit: 7 } } } }\n");
    host.shapectl(&["apply", "--confirm", "1", path(&file)]).ok();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while dump::differences(&before, &dump::dump(&host.netns, "eth0")).is_some() {
        assert!(std::time::Instant::now() < end, "{}", host.netns.tc("filter show dev eth0"));
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn tcs_words_take_a_pinned_program() {
    needs!("clsact", "bpf");
    let Some((host, pins, chooser, act)) = machine() else { return };
    host.netns.tc("qdisc add dev eth0 clsact");
    let add = ["tc", "filter", "add", "dev", "eth0", "ingress", "bpf", "da"];
    let with = |more: &[&str]| host.shapectl(&[add.as_slice(), more].concat());
    with(&["pinned", path(&chooser), "verbose"]).ok();
    host.netns.tc(&format!("filter add dev eth0 egress bpf da pinned {}", path(&chooser)));
    let [ours, tcs] = ["ingress", "egress"].map(|side| host.netns.tc(&format!("filter show dev eth0 {side}")));
    assert_eq!(ours, tcs);
    for (wrong, why) in [(pins.0.path().join("nobody"), "is not there"), (act, "type 4")] {
        let ran = with(&["object-pinned", path(&wrong)]);
        assert!(!ran.status.success() && ran.stderr.contains(why), "{ran}");
        let file = host.policy(&policy(&wrong, None));
        let ran = host.shapectl(&["apply", path(&file)]);
        assert!(ran.status.code() == Some(1) && ran.stderr.contains(why), "{ran}");
    }
}
