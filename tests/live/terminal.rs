//! `apply --confirm` at a terminal: a key keeps the change; without one, with the terminal lost or with shapectl killed it
//! goes back.

use crate::bed::dump::assert_same;
use crate::bed::netns::Ran;
use crate::host::{Host, SHAPECTL, path};
use crate::safe::{outcomes, standing, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Write;
use std::process::{Child, Command, Stdio};

const ONE: &str = "interfaces: { eth0: { egress: { pfifo: { limit: 11 } } } }\n";
const TWO: &str = "interfaces: { eth0: { egress: { bfifo: { limit: 22kb } } } }\n";

/// shapectl at a terminal of its own, which `script` holds; ended with its test.
struct Terminal(Child);

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Terminal {
    fn apply(host: &Host, seconds: u64) -> Terminal {
        let policy = host.policy(TWO);
        let line = format!("exec {SHAPECTL} {} apply --confirm {seconds} {}", host.common().join(" "), path(&policy));
        let mut command = Command::new("script");
        command.args(["-q", "-e", "-c", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let terminal = Terminal(command.stderr(Stdio::null()).spawn().expect("`script` is there"));
        until("the change waits", || outcomes(host).first().is_some_and(|outcome| outcome == "waiting"));
        terminal
    }

    /// The processes that `script` has started.
    fn inside(&self) -> Vec<Pid> {
        // `PID (NAME) STATE PARENT …`, proc_pid_stat(5): not every kernel lists a process's children
        let parent = |stat: &str| stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok();
        let processes = std::fs::read_dir("/proc").expect("it is mounted").flatten();
        let children = processes.filter(|process| {
            std::fs::read_to_string(process.path().join("stat")).is_ok_and(|stat| parent(&stat) == Some(self.0.id()))
        });
        children.filter_map(|child| Some(Pid::from_raw(child.file_name().to_str()?.parse().ok()?))).collect()
    }
}

fn prepared() -> (Host, Vec<String>) {
    let host = Host::with(&["eth0"]);
    host.apply_text(ONE);
    let before = standing(&host);
    (host, before)
}

fn reverted(host: &Host, before: &[String]) {
    until("the change is reverted", || outcomes(host).contains(&"reverted".to_owned()));
    assert_same(&standing(host), before, "left: what stands, right: what stood");
}

#[test]
fn a_key_keeps_the_change() {
    let (host, before) = prepared();
    let mut terminal = Terminal::apply(&host, 30);
    terminal.0.stdin.take().expect("it is piped").write_all(b"\n").expect("it listens");
    until("the change is kept", || outcomes(&host).first().is_some_and(|outcome| outcome == "done"));
    until("shapectl ends", || terminal.0.try_wait().is_ok_and(|ended| ended.is_some_and(|status| status.success())));
    assert_ne!(standing(&host), before);
    let Ran { stderr, .. } = host.shapectl(&["confirm"]);
    assert!(stderr.contains("no change waits"), "{stderr}");
}

#[test]
fn a_terminal_that_is_lost_keeps_nothing() {
    let (host, before) = prepared();
    let mut terminal = Terminal::apply(&host, 3);
    // as a connection that breaks: the other side of the terminal is gone
    terminal.0.kill().expect("it runs");
    reverted(&host, &before);
}

#[test]
fn a_killed_wait_keeps_nothing() {
    let (host, before) = prepared();
    let terminal = Terminal::apply(&host, 3);
    let inside = terminal.inside();
    assert!(!inside.is_empty());
    inside.into_iter().for_each(|pid| kill(pid, Signal::SIGKILL).expect("it runs"));
    reverted(&host, &before);
}

#[test]
fn a_terminal_where_nobody_answers_keeps_nothing() {
    let (host, before) = prepared();
    let mut terminal = Terminal::apply(&host, 2);
    reverted(&host, &before);
    until("shapectl ends", || terminal.0.try_wait().is_ok_and(|ended| ended.is_some()));
}
