//! The arguments.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Where a bare `check`, `diff` or `apply` finds its policy if none was applied here yet.
pub const DEFAULT_POLICY: &str = "/etc/shapectl/policy.yaml";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "shapectl",
    version,
    about = "a traffic-control compiler for Linux: one policy, checked, explained, applied or printed as tc",
    after_help = "Exit codes: 0 done, or no difference; 1 the policy has errors or cannot be read; 2 there is a difference \
                  (diff); 3 the kernel refused, or what stands is not what was asked; 64 wrong usage.\n\
                  `shapectl explain CODE` opens the page of any code that a message carries.",
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// What all commands take
    #[command(flatten)]
    pub global: Global,
}

/// What all commands take.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Work in this network namespace: a name of `ip netns`, or a path
    #[arg(long, global = true, value_name = "NAME")]
    pub netns: Option<String>,
    /// Where ids and the last policy are remembered
    #[arg(long, global = true, value_name = "DIR", default_value = "/var/lib/shapectl")]
    pub state_dir: PathBuf,
    /// How to print
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Colour: `auto` is on a terminal without NO_COLOR
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// The largest policy file that is read, in MiB
    #[arg(long, global = true, value_name = "MIB", default_value_t = 10)]
    pub max_file_size: usize,
}

/// The form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// The same facts for machines.
    Json,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A notation, as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum To {
    /// YAML
    Yaml,
    /// the DSL
    Shape,
}

/// A policy and how strict to be with it.
#[derive(Clone, Debug, Args)]
pub struct PolicyArgs {
    /// The policy, `.yaml` or `.shape`; `-` is standard input. Without it: the policy last applied here, else
    /// /etc/shapectl/policy.yaml
    pub file: Option<String>,
    /// Treat warnings as errors
    #[arg(long)]
    pub deny_warnings: bool,
}

/// How patient to be with others.
#[derive(Clone, Copy, Debug, Args)]
pub struct Wait {
    /// Seconds to wait while another change is under way
    #[arg(long = "wait", value_name = "SECONDS", default_value_t = 10)]
    pub seconds: u64,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read policies and report every mistake, each at its place
    Check {
        /// The policies, `.yaml` or `.shape`; `-` is standard input. Without one: the policy last applied here, else
        /// /etc/shapectl/policy.yaml
        files: Vec<String>,
        /// Treat warnings as errors
        #[arg(long)]
        deny_warnings: bool,
        /// Hold them against this machine: what its kernel lacks and interfaces that do not exist are errors
        #[arg(long)]
        live: bool,
        /// Tell of each list of rules what none of them takes and where that goes, and which rules overlap
        #[arg(long)]
        rules: bool,
    },
    /// Print the policy as a runnable sh script of tc and ip commands
    Script {
        /// The policy
        #[command(flatten)]
        policy: PolicyArgs,
        /// Print commands for `tc -batch` instead
        #[arg(long)]
        batch: bool,
        /// Number classes as if none had been applied here before
        #[arg(long)]
        fresh: bool,
    },
    /// Bring the kernel to what the policy asks, over netlink; then read back and verify
    Apply {
        /// The policy
        #[command(flatten)]
        policy: PolicyArgs,
        /// Change nothing; print the tc commands of exactly what would be done
        #[arg(long)]
        dry_run: bool,
        /// Say nothing where the kernel holds what is asked already: for cron
        #[arg(long)]
        if_changed: bool,
        /// Go back by itself after that many seconds, unless `shapectl confirm` comes, or Enter at the terminal; also if
        /// this session is lost
        #[arg(long, value_name = "SECONDS", conflicts_with = "dry_run", value_parser = clap::value_parser!(u64).range(1..=86_400))]
        confirm: Option<u64>,
        /// Also take away what cannot be brought back: objects of kinds that shapectl does not know
        #[arg(long)]
        force: bool,
        /// How long to wait for another change
        #[command(flatten)]
        wait: Wait,
    },
    /// Keep a change that was made with `apply --confirm`
    Confirm {
        /// How long to wait for another change
        #[command(flatten)]
        wait: Wait,
    },
    /// Go back to what stood before a change: before the last one, or before that of the number. To go back is a change too,
    /// which the next `rollback` takes back
    Rollback {
        /// The change, as `history` numbers them
        number: Option<u64>,
        /// How long to wait for another change
        #[command(flatten)]
        wait: Wait,
    },
    /// List the last changes and how they ended; with a number, what that one changed
    History {
        /// The change
        number: Option<u64>,
    },
    /// Revert a change that nobody confirmed; started by `apply --confirm`
    #[command(hide = true)]
    Revert {
        /// The change
        number: u64,
    },
    /// Show what differs between the policy and the kernel: + would be made, ~ changed, - taken away
    Diff {
        /// The policy
        #[command(flatten)]
        policy: PolicyArgs,
        /// Print nothing; only the exit code tells
        #[arg(long, short)]
        quiet: bool,
    },
    /// Draw the trees that the kernel holds, with names where known, rates and counters
    Show {
        /// The interface; all that have more than their default without it
        interface: Option<String>,
        /// Interfaces with nothing but their default as well
        #[arg(long)]
        all: bool,
    },
    /// Print what the kernel holds as a policy, whoever made it
    Export {
        /// The interfaces; all that have more than their default without one
        #[arg(value_name = "INTERFACE")]
        interfaces: Vec<String>,
        /// The notation to write
        #[arg(long, value_enum, default_value_t = To::Yaml)]
        to: To,
    },
    /// Print what others' commands would make as a policy; nothing is run
    Import {
        /// The form of what is read
        #[command(subcommand)]
        from: From,
    },
    /// Tell where packets go: which rule takes them, into which class, by which steps; reads filters as the kernel would
    Classify(ClassifyArgs),
    /// Give an interface back its default
    Clear {
        /// The interface
        interface: String,
        /// Change nothing; print the commands
        #[arg(long)]
        dry_run: bool,
        /// Also take away what cannot be brought back: objects of kinds that shapectl does not know
        #[arg(long)]
        force: bool,
        /// How long to wait for another change
        #[command(flatten)]
        wait: Wait,
    },
    /// Run one tc command, or a batch of them, over netlink: `shapectl tc qdisc add dev eth0 root fq_codel`
    Tc {
        /// tc's words: its options (`-s`, `-n NAME`, `-batch FILE`, `-force`, `-j`), the object, the verb, and so on
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WORD")]
        words: Vec<String>,
    },
    /// Rehearse the policy on the running kernel, in a throw-away network namespace; needs no root, touches no link
    Try {
        /// The policy
        #[command(flatten)]
        policy: PolicyArgs,
    },
    /// Tell what this kernel has and lacks, and what of the links defeats shaping; touches no link. Exits with 3 if the
    /// policy needs something that is missing
    Doctor {
        /// The interface; all but `lo` without it
        interface: Option<String>,
        /// The policy whose needs are looked at, instead of the one last applied here
        #[arg(long, value_name = "FILE")]
        policy: Option<String>,
    },
    /// Write a policy in its normal layout, or in the other notation
    Fmt {
        /// The policies; `-` is standard input
        files: Vec<String>,
        /// The notation to write
        #[arg(long, value_enum)]
        to: Option<To>,
        /// Write the file back instead of printing it
        #[arg(long, short)]
        write: bool,
        /// Print nothing; exit with 2 if a file is not in its normal layout
        #[arg(long)]
        check: bool,
    },
    /// Open the page of a code, of a kind, of TOS or of marks: `explain ceil-below-rate`, `explain htb`,
    /// `explain tos 0x10`, `explain marks`
    Explain {
        /// A code, a kind, `tos`, or `marks`
        what: Option<String>,
        /// For `tos`: an octet (0x10) or a name of RFC 1349 (minimize-delay); all sixteen without it
        octet: Option<String>,
        /// For `tos`: the policy whose bands are meant; for `marks`: the policy whose marks the firewall is to set
        #[arg(long, value_name = "FILE")]
        policy: Option<String>,
    },
    /// Print the JSON Schema of the YAML notation, for editors, or of what `classify --format json` prints
    Schema {
        /// What is described
        #[arg(value_enum, default_value_t = Described::Policy)]
        of: Described,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page: shapectl.8 or shapectl.policy.5
    #[command(hide = true)]
    Man {
        /// The page
        page: Page,
    },
}

/// What `import` reads.
#[derive(Debug, Subcommand)]
pub enum From {
    /// Shell scripts and batch files of tc and ip commands
    Tc(ImportArgs),
}

/// Packets, and the tree that they are led through.
#[derive(Clone, Debug, Args)]
#[command(group = clap::ArgGroup::new("packets").required(true).args(["packet", "pcap"]))]
pub struct ClassifyArgs {
    /// The policy
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// A packet in the words of a match, `tcp dport 22 src 10.0.0.5`; several times for several packets
    #[arg(long, value_name = "MATCH")]
    pub packet: Vec<String>,
    /// The packets of a capture (pcap or pcapng) as a table of classes; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<String>,
    /// Ask the tree that the kernel holds instead of a policy, of one interface or of all
    #[arg(long, value_name = "INTERFACE", num_args = 0..=1, conflicts_with = "file")]
    pub held: Option<Option<String>>,
    /// The interface, where the policy has several
    #[arg(short, long, value_name = "INTERFACE")]
    pub interface: Option<String>,
    /// What leaves (up) or what arrives (down) only; of a capture, which way its packets went
    #[arg(long, value_enum)]
    pub way: Option<WayArg>,
    /// The mark that the packets of a capture carry
    #[arg(long, value_name = "MARK", default_value_t = 0, value_parser = mark)]
    pub mark: u32,
}

/// A way of packets, as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WayArg {
    /// They leave
    Up,
    /// They arrive
    Down,
}

/// A mark, decimal or hexadecimal.
fn mark(text: &str) -> Result<u32, String> {
    let number = text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u32::from_str_radix(hex, 16));
    number.map_err(|_| "write a mark as 5 or 0x5".to_owned())
}

/// Scripts and what they do not say themselves.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// The scripts, or files for `tc -batch`, in the order in which they are run; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
    /// The notation to write
    #[arg(long, value_enum, default_value_t = To::Yaml)]
    pub to: To,
    /// Write nothing if anything is left out, assumed or refused, or left to the script because no policy says it
    #[arg(long)]
    pub strict: bool,
    /// A variable that the script does not set, or a parameter of it: `--set DEV=eth0`, `--set 1=start`
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub set: Vec<(String, String)>,
    /// An interface that is called otherwise in the policy: `--dev eth0=wan0`
    #[arg(long, value_name = "OLD=NEW", value_parser = pair)]
    pub dev: Vec<(String, String)>,
}

/// `NAME=VALUE`.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// What a JSON Schema describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Described {
    /// The YAML notation
    Policy,
    /// What `classify` prints for machines
    Classify,
}

/// The manual pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Page {
    /// The commands
    #[value(name = "shapectl.8")]
    Commands,
    /// The language
    #[value(name = "shapectl.policy.5")]
    Policy,
}
