//! `apply --confirm`: a change that goes back by itself unless somebody says that it may stay.
//!
//! Whoever reverts is a process of its own, started and known to be there before the first message is sent: shapectl
//! itself, in a session of its own, so that neither a lost terminal nor the end of the apply takes it along. Under
//! systemd, which ends what a login leaves behind, it is a unit of its own.

use super::Exit;
use super::change::Guard;
use super::frame::Frame;
use super::rollback;
use crate::cli::Global;
use crate::diagnostic::{Diagnostic, codes};
use crate::netlink::Snapshot;
use crate::state::history::{self, Entry, History, Outcome};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{IsTerminal, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long the process that reverts may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(5);
const PACE: Duration = Duration::from_millis(20);

/// `shapectl confirm`.
pub(super) fn run(frame: &mut Frame, wait: u64) -> Exit {
    let Some(_kernel) = frame.kernel() else { return frame.refuse(Exit::Kernel) };
    let _lock = match frame.lock(wait) {
        Ok(lock) => lock,
        Err(exit) => return exit,
    };
    let Ok(entries) = rollback::changes(frame) else { return frame.refuse(Exit::Kernel) };
    let Some(entry) = entries.first().filter(|e| e.outcome == Outcome::Waiting).cloned() else {
        let last = entries.iter().find(|e| e.deadline.is_some());
        let how = last.map(|e| format!(": change {}, the last that did, is {}", e.number, e.outcome.words()));
        let message = format!("no change waits for confirmation{}", how.unwrap_or_default());
        let d = Diagnostic::new(&codes::NO_HISTORY, message);
        frame.found.push(d.help("`shapectl history` shows how the last ones ended"));
        return frame.refuse(Exit::Refused);
    };
    if let Err(exit) = keep(frame, entry) {
        return frame.refuse(exit);
    }
    frame.report();
    Exit::Done
}

fn keep(frame: &mut Frame, mut entry: Entry) -> Result<(), Exit> {
    if let Err(e) = frame.history().end(&mut entry, Outcome::Done) {
        let message = format!("the confirmation cannot be written, and the change will revert: {e}");
        frame.found.push(Diagnostic::new(&codes::STATE_LOST, message));
        return Err(Exit::Kernel);
    }
    frame.say(&format!("change {} stays", entry.number));
    Ok(())
}

/// Starts the process that reverts `entry` at its time, and waits until it is there.
pub(super) fn watch(global: &Global, history: &History, entry: &Entry) -> Result<(), String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let state_dir = std::path::absolute(&global.state_dir).map_err(|e| e.to_string())?;
    let mut words = vec!["--state-dir".into(), state_dir.into_os_string()];
    if let Some(netns) = &global.netns {
        words.extend(["--netns".into(), netns.into()]);
    }
    words.extend(["revert".into(), entry.number.to_string().into()]);
    let mut ways = Vec::new();
    if Path::new("/run/systemd/system").is_dir() && in_first_namespace() {
        let mut unit = Command::new("systemd-run");
        unit.args(["--quiet", "--collect", "--unit", &format!("shapectl-revert-{}", entry.number)]).arg(&program);
        ways.push(unit);
    }
    ways.push(Command::new(&program));
    let mut why = String::new();
    for mut way in ways {
        let started = way.args(&words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(e) => {
                why = e.to_string();
                continue;
            }
        };
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if history.is_watched(entry.number) {
                return Ok(());
            }
            // systemd-run ends well when the unit has begun
            if child.try_wait().is_ok_and(|status| status.is_some_and(|status| !status.success())) {
                break;
            }
            std::thread::sleep(PACE);
        }
        why = "the process that was to watch did not say that it is there".to_owned();
    }
    Err(why)
}

/// Whether this is the namespace that units of systemd live in.
fn in_first_namespace() -> bool {
    let number = |path: &str| std::fs::metadata(path).map(|m| m.ino()).ok();
    number("/proc/self/ns/net").is_some_and(|own| number("/proc/1/ns/net") == Some(own))
}

/// Says what is to be done, and at a terminal waits for a key.
pub(super) fn wait(frame: &mut Frame, entry: &Entry) {
    let end = Instant::now() + left(entry.deadline.unwrap_or(0));
    let left = || end.saturating_duration_since(Instant::now()).as_secs_f64().ceil();
    if !std::io::stdin().is_terminal() {
        frame.say(&format!("it reverts in {} s unless `shapectl confirm` comes", left()));
        return;
    }
    frame.say(&format!("press Enter within {} s to keep it; without, or if this terminal is lost, it reverts", left()));
    let history = frame.history();
    while left() > 0.0 {
        let stdin = std::io::stdin();
        let mut wait = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut wait, PollTimeout::from(500u16)).is_ok_and(|n| n > 0);
        if ready {
            let mut octet = [0u8; 1];
            if !stdin.lock().read(&mut octet).is_ok_and(|n| n > 0) {
                return; // the terminal is gone
            }
            // somebody else may have settled it
            if let Ok(now) = history.entry(entry.number)
                && now.outcome == Outcome::Waiting
            {
                let _ = keep(frame, now);
            }
            frame.report();
            return;
        }
        match history.entry(entry.number).map(|now| now.outcome) {
            Ok(Outcome::Waiting) => {}
            Ok(outcome) => return frame.say(&format!("change {}: {}", entry.number, outcome.words())),
            Err(_) => return,
        }
    }
    frame.say("nobody confirmed; the state from before is being put back");
}

/// The hidden command that [`watch`] starts: waits until the time of a change is over, and reverts it if it still waits
/// for confirmation or was cut off.
pub(super) fn revert(frame: &mut Frame, number: u64) -> Exit {
    // a session of its own: the terminal's end is not ours; where we lead one already, so much the better
    let _ = nix::unistd::setsid();
    let _ = std::env::set_current_dir("/");
    let history = frame.history();
    let Ok(Entry { deadline: Some(mut deadline), .. }) = history.entry(number) else { return Exit::Refused };
    let Some(mut kernel) = frame.kernel() else { return Exit::Kernel };
    // the programs of what stood before live on here, though nothing else may hold them any more
    let held = history.entry(number).ok().and_then(|entry| history.held(&entry).ok());
    if let Some(Ok(held)) = held.and_then(|bytes| Snapshot::read(&bytes)).map(|held| held.tree(kernel.clock())) {
        kernel.look_for(held.references());
    }
    if history.watched(number).is_err() {
        return Exit::Kernel;
    }
    let open = |outcome| matches!(outcome, Outcome::Waiting | Outcome::Begun | Outcome::Broken);
    // who has changed something since has settled it
    let last = || history.youngest().0.filter(|entry| entry.number == number);
    // by a clock that nobody sets
    let mut end = Instant::now() + left(deadline);
    loop {
        while Instant::now() < end {
            std::thread::sleep(Duration::from_millis(200));
            match history.entry(number) {
                Ok(entry) if open(entry.outcome) => {}
                _ => return Exit::Done,
            }
        }
        // an apply that is still at work ends, or is ended, first
        let Ok(guard) = Guard::take_deaf(frame, 60) else { continue };
        match last() {
            // the time to confirm begins when the change is done
            Some(Entry { deadline: Some(later), .. }) if later > deadline => {
                (deadline, end) = (later, Instant::now() + left(later));
            }
            Some(entry) if open(entry.outcome) => return rollback::go_back(frame, kernel, entry, guard),
            _ => return Exit::Done,
        }
    }
}

/// The time from now to a second of the clock on the wall.
fn left(deadline: u64) -> Duration {
    Duration::from_secs(deadline.saturating_sub(history::now()))
}
