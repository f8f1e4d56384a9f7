//! `schema`, `completions` and the manual pages: texts that come from the arguments and the rows.

use super::{Exit, Frame};
use crate::cli::{Cli, Described, Page};
use crate::{manual, schema};
use clap::CommandFactory;

pub(super) fn schema(frame: &mut Frame, of: Described) -> Exit {
    frame.json(&match of {
        Described::Policy => schema::schema(),
        Described::Classify => schema::classified(),
    });
    Exit::Done
}

pub(super) fn completions(frame: &mut Frame, shell: clap_complete::Shell) -> Exit {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "shapectl", &mut out);
    frame.print(&String::from_utf8_lossy(&out));
    Exit::Done
}

pub(super) fn man(frame: &mut Frame, page: Page) -> Exit {
    match page {
        Page::Policy => frame.print(&manual::policy()),
        Page::Commands => match manual::commands() {
            Ok(text) => frame.print(&text),
            Err(e) => frame.complain(&e.to_string()),
        },
    }
    Exit::Done
}
