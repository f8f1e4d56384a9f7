//! The `shapectl` binary: arguments in, exit code out.

use clap::Parser;
use shapectl::cli::Cli;
use shapectl::command::{self, Exit};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            // help and version are asked for; 2 means "a difference" here, so wrong usage has a code of its own
            return ExitCode::from(if e.use_stderr() { Exit::Usage as u8 } else { 0 });
        }
    };
    ExitCode::from(command::run(cli) as u8)
}
