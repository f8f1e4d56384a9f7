//! Plans and trees for people and for machines: the picture of a difference, and of what stands.

pub mod classify;
mod doctor;
mod list;
pub mod plan;
mod tree;

pub use doctor::{Report, doctor_json, doctor_text};
pub use list::{Item, act_json, act_text, item_json, item_text};
pub use plan::{PlanJson, plan_beginning, plan_text};
pub use tree::{tree_json, tree_text};

use owo_colors::{OwoColorize, Style};

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    /// Whether to colour.
    pub on: bool,
}

impl Paint {
    fn with(self, style: Style, text: &str) -> String {
        if self.on { text.style(style).to_string() } else { text.to_owned() }
    }
    /// What is new.
    pub fn added(self, text: &str) -> String {
        self.with(Style::new().green(), text)
    }
    /// What goes.
    pub fn removed(self, text: &str) -> String {
        self.with(Style::new().red(), text)
    }
    /// What changes.
    pub fn changed(self, text: &str) -> String {
        self.with(Style::new().yellow(), text)
    }
    /// A name.
    pub fn name(self, text: &str) -> String {
        self.with(Style::new().bold(), text)
    }
    /// What matters less.
    pub fn faint(self, text: &str) -> String {
        self.with(Style::new().dimmed(), text)
    }
}

/// How a filter's chain is told: the first, in which nearly all are, is not.
fn of_chain(chain: u32) -> String {
    if chain == 0 { String::new() } else { format!(" chain {chain}") }
}

/// A count of bytes in a unit that is easy to read.
pub fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} PB")
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_are_easy_to_read() {
        assert_eq!(super::bytes(999), "999 B");
        assert_eq!(super::bytes(1_500_000), "1.5 MB");
    }
}
