//! Network namespaces for tests: named, private to the test, gone afterwards.

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// Seconds after which a command that a test runs is ended.
pub const COMMAND_LIMIT: u64 = 60;

/// A network namespace with a name of its own, as `ip netns` knows it; deleted when it goes out of scope.
pub struct Netns {
    name: String,
}

/// What a command left: its status and what it printed.
pub struct Ran {
    pub command: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Netns {
    /// Makes a namespace with `lo` up.
    pub fn new() -> Netns {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // what may be a module is loaded first: IPv6 by its first socket
        static MODULES: Once = Once::new();
        MODULES.call_once(|| _ = std::net::UdpSocket::bind("[::1]:0"));
        let name = format!("shapectl-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let made = bounded("ip", ["netns", "add", &name]);
        assert!(made.status.success(), "{made}these tests need root, or `tests/run`, which finds another way");
        let netns = Netns { name };
        netns.ip("link set lo up");
        // and what an `ife` knows by an `ife` of it: later ones that say nothing have all that is loaded
        static FIELDS: Once = Once::new();
        FIELDS.call_once(|| {
            let all = "allow mark allow prio allow tcindex".split(' ');
            netns.run("tc", "actions add action ife encode".split(' ').chain(all));
            netns.run("tc", "actions flush action ife".split(' '));
        });
        netns
    }

    /// The name, for `--netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `body` on a thread of its own inside the namespace. Processes and sockets made there belong to it.
    pub fn enter<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let netns = File::open(PathBuf::from("/run/netns").join(&self.name)).expect("the namespace is there");
                setns(netns, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace");
                body()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a program inside, for [`COMMAND_LIMIT`] seconds at most.
    pub fn run<I>(&self, program: impl AsRef<OsStr> + Send, words: I) -> Ran
    where
        I: IntoIterator + Send,
        I::Item: AsRef<OsStr>,
    {
        self.enter(|| bounded(program, words))
    }

    /// `tc` with words parted by blanks; it must succeed.
    pub fn tc(&self, words: &str) -> String {
        self.run("tc", words.split_whitespace()).ok()
    }

    /// `ip` with words parted by blanks; it must succeed.
    pub fn ip(&self, words: &str) -> String {
        self.run("ip", words.split_whitespace()).ok()
    }

    /// A stand-in for a network card: one end of a veth pair whose other end is here too, both up.
    pub fn stand_in(&self, name: &str) {
        let behind = format!("behind-{name}").chars().take(15).collect::<String>();
        self.ip(&format!("link add {name} type veth peer name {behind}"));
        self.ip(&format!("link set {behind} up"));
        self.ip(&format!("link set {name} up"));
    }

    /// Switches IPv6 off, so that nothing but the test's own packets is sent.
    pub fn without_ipv6(&self) {
        self.enter(|| {
            for place in ["all", "default"] {
                // Not there means that the kernel has no IPv6 to begin with.
                let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{place}/disable_ipv6"), "1");
            }
        });
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // a second panic would end all tests without a word
        if std::thread::panicking() {
            let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
        } else {
            bounded("ip", ["netns", "del", &self.name]).ok();
        }
    }
}

/// Two namespaces joined by a cable: `eth0` here (10.9.0.1, fd09::1), `eth0` there (10.9.0.2, fd09::2). Neighbours are
/// written down, so neither asks for the other's address.
pub struct Pair {
    pub near: Netns,
    pub far: Netns,
}

impl Pair {
    /// The two ends, up and ready to send.
    pub fn new() -> Pair {
        let (near, far) = (Netns::new(), Netns::new());
        near.without_ipv6();
        far.without_ipv6();
        let (here, there) = ("02:00:00:00:00:01", "02:00:00:00:00:02");
        near.ip(&format!("link add eth0 address {here} type veth peer name eth0 address {there} netns {}", far.name()));
        for (netns, own, other, mac) in [(&near, "10.9.0.1", "10.9.0.2", there), (&far, "10.9.0.2", "10.9.0.1", here)] {
            netns.ip(&format!("address add {own}/24 dev eth0"));
            netns.ip("link set eth0 up");
            netns.ip(&format!("neigh replace {other} lladdr {mac} nud permanent dev eth0"));
        }
        Pair { near, far }
    }
}

impl Ran {
    /// What it printed, if it succeeded; otherwise the test fails with all there is to know.
    pub fn ok(self) -> String {
        assert!(self.status.success(), "{self}");
        self.stdout
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "`{}`: {}\n{}{}", self.command, self.status, self.stdout, self.stderr)
    }
}

/// Runs a program where the caller is, for [`COMMAND_LIMIT`] seconds at most.
pub fn bounded<I>(program: impl AsRef<OsStr>, words: I) -> Ran
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    bounded_with(program, words, "")
}

/// As [`bounded`], with a text to read. What is printed meanwhile must fit a pipe.
pub fn bounded_with<I>(program: impl AsRef<OsStr>, words: I, input: &str) -> Ran
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    let mut command = Command::new(program);
    command.args(words).env("LC_ALL", "C.UTF-8").env("NO_COLOR", "1");
    let shown = std::iter::once(command.get_program()).chain(command.get_args());
    let shown = shown.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("`{shown}`: {error}"));
    // a program that does not read it may have ended
    let _ = child.stdin.take().expect("it is piped").write_all(input.as_bytes());
    let id = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait_with_output()));
    let Ok(output) = end.recv_timeout(Duration::from_secs(COMMAND_LIMIT)) else {
        let _ = kill(id, Signal::SIGKILL);
        panic!("`{shown}` ran for {COMMAND_LIMIT} seconds and was ended");
    };
    let output = output.expect("its output can be read");
    Ran {
        command: shown,
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
