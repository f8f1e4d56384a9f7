//! Programs of BPF that others have loaded: opened by path or by number, so that they can be named to the kernel.
//!
//! bpf(2) has no wrapper in any crate that is used here. This is the one file that may hold `unsafe`, and it holds one call.
#![allow(unsafe_code)]

use crate::facts::{Program, Reference};
use crate::kind::wire::Fields;
use compact_str::{CompactString, format_compact};
use nix::errno::Errno;
use nix::libc;
use std::ffi::CString;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

// enum bpf_cmd, include/uapi/linux/bpf.h
const OBJ_GET: libc::c_int = 7;
const PROG_GET_FD_BY_ID: libc::c_int = 13;

/// Programs that are kept open.
#[derive(Default)]
pub(super) struct Opened(Vec<OwnedFd>);

impl Opened {
    /// Opens what is meant. Why it cannot be is said as what follows its name.
    pub(super) fn open(&mut self, reference: &Reference) -> Result<Program, CompactString> {
        let file = match reference {
            Reference::Pin(path) => open_pin(&whole(path)),
            Reference::Program(id) => open_number(*id),
            Reference::Set(_) | Reference::SetNumber(_) => return Err("is no program".into()),
        };
        let file = file.map_err(why)?;
        let program = program(&file)?;
        self.0.push(file);
        Ok(program)
    }
}

/// Every path in the file systems of type bpf that this process sees.
pub(super) fn pins() -> Vec<CompactString> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
    let mounted = mounts.lines().filter_map(|line| {
        let (own, system) = line.split_once(" - ")?;
        system.starts_with("bpf ").then(|| own.split(' ').nth(4))?
    });
    let mut folders: Vec<PathBuf> = mounted.map(PathBuf::from).collect();
    let mut pins = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => pins.extend(entry.path().to_str().map(CompactString::from)),
                _ => {}
            }
        }
    }
    pins.sort();
    pins
}

/// The path that tc opens: `m:globals/x` is below its own folder (iproute2, lib/bpf_legacy.c).
fn whole(path: &str) -> PathBuf {
    match path.strip_prefix("m:") {
        Some(rest) => {
            let mounted = std::env::var_os("TC_BPF_MNT").unwrap_or_else(|| "/sys/fs/bpf".into());
            Path::new(&mounted).join("tc").join(rest)
        }
        None => PathBuf::from(path),
    }
}

fn open_pin(path: &Path) -> Result<OwnedFd, Errno> {
    let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| Errno::EINVAL)?;
    // pathname, bpf_fd, file_flags
    bpf(OBJ_GET, &Fields::new().u64(path.as_ptr() as u64).u32(0).u32(0).0)
}

fn open_number(id: u32) -> Result<OwnedFd, Errno> {
    // prog_id, next_id, open_flags
    bpf(PROG_GET_FD_BY_ID, &Fields::new().u32(id).u32(0).u32(0).0)
}

/// bpf(2), for the commands that read `attr` and give a new descriptor.
fn bpf(command: libc::c_int, attr: &[u8]) -> Result<OwnedFd, Errno> {
    // SAFETY: the kernel reads as many octets of `attr` as it is told, and the path that one of them points at, which lives
    // in the caller; it writes nothing.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_ptr(), attr.len()) };
    let fd = i32::try_from(Errno::result(result)?).map_err(|_| Errno::EINVAL)?;
    // SAFETY: both commands answer with a descriptor that is new, so nobody else closes it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What the kernel says of an open program. Maps and links are pinned as well.
fn program(file: &OwnedFd) -> Result<Program, CompactString> {
    let fd = file.as_raw_fd();
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().parse().ok()
    };
    match (figure("prog_id"), figure("prog_type")) {
        (Some(id), Some(kind)) => Ok(Program { fd, id, kind }),
        _ => Err("is no program".into()),
    }
}

/// What follows the name of what cannot be opened.
fn why(errno: Errno) -> CompactString {
    match errno {
        Errno::ENOENT => "is not there".into(),
        Errno::ENOSYS => "cannot be opened: this kernel has no bpf(2)".into(),
        Errno::EPERM | Errno::EACCES => "may not be opened: CAP_BPF or CAP_SYS_ADMIN is wanted".into(),
        errno => format_compact!("cannot be opened: {}", errno.desc()),
    }
}
