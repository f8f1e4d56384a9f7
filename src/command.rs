//! One file a command: it joins the rooms and prints. Nobody else prints, and nobody else speaks with the kernel's room.

mod apply;
mod bring;
mod carry;
mod change;
mod check;
mod classify;
mod clear;
mod confirm;
mod diff;
mod doctor;
mod explain;
mod export;
mod fmt;
mod frame;
mod import;
mod refusal;
mod rehearse;
mod rollback;
mod script;
mod show;
mod tc;
mod text;

use crate::cli::{Cli, Command, From};
use frame::Frame;

/// How a run ended; the exit codes of the manual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or no difference.
    Done = 0,
    /// The policy has errors or cannot be read.
    Refused = 1,
    /// There is a difference.
    Different = 2,
    /// The kernel refused, or what stands is not what was asked.
    Kernel = 3,
    /// Wrong usage.
    Usage = 64,
}

/// Does what the arguments say.
pub fn run(cli: Cli) -> Exit {
    let mut frame = Frame::new(cli.global);
    frame.quiet = matches!(
        cli.command,
        Command::Diff { quiet: true, .. } | Command::Apply { if_changed: true, dry_run: false, .. }
    );
    match cli.command {
        Command::Check { files, deny_warnings, live, rules } => {
            check::run(&mut frame, &files, deny_warnings, live, rules)
        }
        Command::Script { policy, batch, fresh } => script::run(&mut frame, &policy, batch, fresh),
        Command::Apply { policy, dry_run, if_changed, confirm, force, wait } => {
            apply::run(&mut frame, &policy, apply::How { dry_run, if_changed, confirm, force, wait: wait.seconds })
        }
        Command::Confirm { wait } => confirm::run(&mut frame, wait.seconds),
        Command::Rollback { number, wait } => rollback::run(&mut frame, number, wait.seconds),
        Command::History { number } => rollback::list(&mut frame, number),
        Command::Revert { number } => confirm::revert(&mut frame, number),
        Command::Diff { policy, quiet } => diff::run(&mut frame, &policy, quiet),
        Command::Show { interface, all } => show::run(&mut frame, interface.as_deref(), all),
        Command::Export { interfaces, to } => export::run(&mut frame, &interfaces, to),
        Command::Import { from: From::Tc(args) } => import::run(&mut frame, &args),
        Command::Classify(args) => classify::run(&mut frame, &args),
        Command::Clear { interface, dry_run, force, wait } => {
            clear::run(&mut frame, &interface, dry_run, force, wait.seconds)
        }
        Command::Tc { words } => tc::run(&mut frame, &words),
        Command::Doctor { interface, policy } => doctor::run(&mut frame, interface.as_deref(), policy.as_deref()),
        Command::Try { policy } => rehearse::run(&mut frame, &policy),
        Command::Fmt { files, to, write, check } => fmt::run(&mut frame, &files, to, write, check),
        Command::Explain { what, octet, policy } => {
            explain::run(&mut frame, what.as_deref(), octet.as_deref(), policy.as_deref())
        }
        Command::Schema { of } => text::schema(&mut frame, of),
        Command::Completions { shell } => text::completions(&mut frame, shell),
        Command::Man { page } => text::man(&mut frame, page),
    }
}
