//! One at a time: who changes a network namespace holds its lock.
//!
//! The lock is an abstract Unix address. The kernel keeps those apart by network namespace, gives one to one holder only,
//! and takes it back when the holder ends, however that comes about; there is no file to be forged or left over.

use super::Error;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::{Duration, Instant};

const NAME: &[u8] = b"shapectl";
/// How often a lock that another has is asked for.
const PACE: Duration = Duration::from_millis(50);

/// The lock of this thread's network namespace; given back when it is dropped.
#[derive(Debug)]
pub struct Lock {
    _address: UnixListener,
}

/// Who has the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process; `None` where it cannot be seen from here.
    pub pid: Option<i32>,
    /// Its command line.
    pub command: Option<String>,
    /// Whether it is of a user who may not change this namespace, and holds the address to be in the way.
    pub strange: bool,
}

impl Lock {
    /// Takes the lock, or waits that long for it.
    ///
    /// # Errors
    /// No socket can be made. That another has the lock is no error but the answer.
    pub fn take(patience: Duration) -> Result<Result<Lock, Holder>, Error> {
        let doing = "take the lock";
        let end = Instant::now() + patience;
        let address = SocketAddr::from_abstract_name(NAME).map_err(|e| Error::system(doing, &e))?;
        loop {
            match UnixListener::bind_addr(&address) {
                Ok(listener) => return Ok(Ok(Lock { _address: listener })),
                Err(e) if e.kind() == ErrorKind::AddrInUse => {}
                Err(e) => return Err(Error::system(doing, &e)),
            }
            if Instant::now() >= end {
                return Ok(Err(holder(&address)));
            }
            std::thread::sleep(PACE);
        }
    }

    /// Whether anybody has it now.
    pub fn is_held() -> bool {
        SocketAddr::from_abstract_name(NAME).and_then(|address| UnixStream::connect_addr(&address)).is_ok()
    }
}

/// Asks the kernel whose the address is.
fn holder(address: &SocketAddr) -> Holder {
    let peer = UnixStream::connect_addr(address).ok().and_then(|stream| getsockopt(&stream, PeerCredentials).ok());
    let pid = peer.map(|p| p.pid()).filter(|pid| *pid != 0);
    let command = pid.and_then(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).ok()).map(|line| {
        let words = line.split(|b| *b == 0).filter(|word| !word.is_empty());
        words.map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>().join(" ")
    });
    let own = nix::unistd::geteuid().as_raw();
    Holder { pid, command, strange: peer.is_some_and(|p| p.uid() != 0 && p.uid() != own) }
}
