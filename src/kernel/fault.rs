//! Accidents on purpose, between the plan and the socket, for tests: what becomes of an apply if the kernel refuses its
//! k-th message, if it is cut off there, if a message is sent twice, if somebody else comes in between, if a dump is torn.
//!
//! Only builds with debug assertions look at it. `SHAPECTL_FAULT` lists accidents, parted by `;`, each with the number
//! of the message that it befalls, counted from 1 over the messages of plans, those of the way back among them; dumps are
//! counted by themselves:
//!
//! - `fail 3 ENOBUFS`: the message is not sent, and counts as refused with this error
//! - `delay 3 200`: so many milliseconds go by before it is sent
//! - `cut 3`: the process is killed before it is sent; `cut-after 3`: when it has been sent
//! - `twice 3`: it is sent twice
//! - `run 3 tc qdisc add …`: a command is run before it is sent, words parted by blanks
//! - `dump 2 ENOBUFS`: the second dump's answers are lost once; `dump 2 EINTR`: it is marked as interrupted once; with
//!   `*` for the number every dump is
//! - `log FILE`: what is sent is counted into this file

use super::Error;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What befalls a message.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Accident {
    Fail(i32),
    Delay(u64),
    Cut,
    CutAfter,
    Twice,
    Run(Vec<String>),
    Dump(i32),
    Log(String),
}

/// An accident and the number of its message; `None` is each.
type Planned = (Option<usize>, Accident);

static SENT: AtomicUsize = AtomicUsize::new(0);
static DUMPS: AtomicUsize = AtomicUsize::new(0);

fn planned() -> &'static [Planned] {
    if !cfg!(debug_assertions) {
        return &[];
    }
    static PLANNED: OnceLock<Vec<Planned>> = OnceLock::new();
    PLANNED.get_or_init(|| std::env::var("SHAPECTL_FAULT").map(|text| read(&text)).unwrap_or_default())
}

/// What cannot be read is passed over with a word on standard error: a test that misspells its accident must not pass.
fn read(text: &str) -> Vec<Planned> {
    let one = |entry: &str| -> Option<Planned> {
        let words: Vec<&str> = entry.split_whitespace().collect();
        let (what, number, rest) = match words.as_slice() {
            ["log", file] => return Some((None, Accident::Log((*file).to_owned()))),
            [what, number, rest @ ..] => (*what, *number, rest),
            _ => return None,
        };
        let number = if number == "*" { None } else { Some(number.parse().ok()?) };
        let errno = || rest.first().and_then(|name| errno(name));
        let accident = match what {
            "fail" => Accident::Fail(errno()?),
            "delay" => Accident::Delay(rest.first()?.parse().ok()?),
            "cut" => Accident::Cut,
            "cut-after" => Accident::CutAfter,
            "twice" => Accident::Twice,
            "run" => Accident::Run(rest.iter().map(|word| (*word).to_owned()).collect()),
            "dump" => Accident::Dump(errno()?),
            _ => return None,
        };
        Some((number, accident))
    };
    text.split(';')
        .filter(|entry| !entry.trim().is_empty())
        .map(|entry| one(entry).unwrap_or_else(|| unread(entry)))
        .collect()
}

fn unread(entry: &str) -> Planned {
    // the first message fails with an error that no kernel gives for it
    debug_assert!(false, "SHAPECTL_FAULT: `{entry}`");
    (Some(1), Accident::Fail(Errno::EDOM as i32))
}

fn errno(name: &str) -> Option<i32> {
    let known = [
        Errno::EPERM,
        Errno::ENOENT,
        Errno::EINTR,
        Errno::ENOMEM,
        Errno::EBUSY,
        Errno::EEXIST,
        Errno::ENODEV,
        Errno::EINVAL,
        Errno::ENOSPC,
        Errno::ENOBUFS,
        Errno::EOPNOTSUPP,
    ];
    known.into_iter().find(|errno| format!("{errno:?}") == name).map(|errno| errno as i32)
}

/// Whether messages go one by one, so that each has its accidents.
pub(super) fn is_planned() -> bool {
    planned().iter().any(|(_, accident)| !matches!(accident, Accident::Dump(_)))
}

/// What is to be done about a message instead of sending it once.
#[derive(Debug, Default)]
pub(super) struct Fate {
    /// It is refused.
    pub(super) refused: Option<Error>,
    /// It is sent a second time.
    pub(super) twice: bool,
    /// The process ends when it has been answered.
    pub(super) cut_after: bool,
}

/// What befalls the next message that changes something.
pub(super) fn next_change() -> Fate {
    let mut fate = Fate::default();
    let number = SENT.fetch_add(1, Ordering::Relaxed) + 1;
    for accident in planned().iter().filter(|(at, _)| at.is_none_or(|at| at == number)).map(|(_, a)| a) {
        match accident {
            Accident::Fail(errno) => {
                let text = Some("an accident on purpose".to_owned());
                fate.refused = Some(Error { errno: *errno, text, ..Error::default() });
            }
            Accident::Delay(milliseconds) => std::thread::sleep(Duration::from_millis(*milliseconds)),
            Accident::Cut => cut(),
            Accident::CutAfter => fate.cut_after = true,
            Accident::Twice => fate.twice = true,
            Accident::Run(words) => run(words),
            Accident::Log(file) => drop(std::fs::write(file, number.to_string())),
            Accident::Dump(_) => {}
        }
    }
    fate
}

/// What befalls the next dump: it is lost for want of room (`ENOBUFS`), or was interrupted (`EINTR`).
pub(super) fn next_dump() -> Option<Errno> {
    let number = DUMPS.fetch_add(1, Ordering::Relaxed) + 1;
    planned().iter().find_map(|(at, accident)| match accident {
        Accident::Dump(errno) if at.is_none_or(|at| at == number) => Some(Errno::from_raw(*errno)),
        _ => None,
    })
}

/// As `kill -9`.
pub(super) fn cut() {
    let _ = kill(Pid::this(), Signal::SIGKILL);
}

fn run(words: &[String]) {
    if let Some((program, words)) = words.split_first() {
        let _ = std::process::Command::new(program).args(words).status();
    }
}
