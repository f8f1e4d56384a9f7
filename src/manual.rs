//! The manual pages: `shapectl(8)` from the arguments, `shapectl.policy(5)` from a text and, for the kinds, from their rows.

use crate::cli::Cli;
use crate::codes;
use crate::kind::{self, Children, Options, Role, Row};
use clap::CommandFactory;
use std::fmt::Write;

/// The language's text, in a small part of Markdown: `#` and `##` headings, paragraphs, `- ` items, indented examples.
const LANGUAGE: &str = include_str!("manual/language.md");

/// `shapectl.8`.
///
/// # Errors
/// Writing to memory fails, which it does not.
pub fn commands() -> std::io::Result<String> {
    let command = Cli::command();
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone()).section("8").manual("System administration").date("");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut out = String::from_utf8_lossy(&page).into_owned();
    out.push_str(".SH COMMANDS\n");
    for sub in command.get_subcommands().filter(|s| !s.is_hide_set()) {
        let _ = writeln!(out, ".SS {}", escape(sub.get_name()));
        let mut usage = format!("shapectl {}", sub.get_name());
        for arg in sub.get_arguments().filter(|a| !a.is_global_set()) {
            let _ = match (arg.get_long(), arg.get_value_names()) {
                (Some(long), Some(values)) if arg.get_action().takes_values() => {
                    write!(usage, " [--{long} {}]", values.join(" "))
                }
                (Some(long), _) => write!(usage, " [--{long}]"),
                (None, _) => write!(usage, " [{}]", arg.get_id().as_str().to_uppercase()),
            };
        }
        let _ = writeln!(out, "\\fB{}\\fR\n.PP", escape(&usage));
        if let Some(about) = sub.get_about() {
            let _ = writeln!(out, "{}.", escape(&about.to_string()));
        }
        for arg in sub.get_arguments().filter(|a| !a.is_global_set()) {
            let name = arg.get_long().map_or_else(|| arg.get_id().as_str().to_uppercase(), |l| format!("--{l}"));
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(out, ".TP\n\\fB{}\\fR\n{}.", escape(&name), escape(&help));
        }
    }
    out.push_str(
        ".SH TC'S OWN WORDS\n\\fBshapectl tc\\fR reads the command lines of tc(8): the objects qdisc, class, filter, chain and \
         actions, with the verbs add, change, replace, link, delete, get, show and flush, abbreviated wherever tc allows \
         it. It sends the messages that tc sends. In front of the object may stand \\fB\\-s\\fR (counters), \\fB\\-d\\fR, \
         \\fB\\-j\\fR (JSON), \\fB\\-n NAME\\fR (a network namespace), and \\fB\\-batch FILE\\fR with \\fB\\-force\\fR, which \
         goes on after a line that fails. What is shown is one object a line.\n.PP\nA line is read whole before \
         anything is sent. The exit status is 1 for a line that is wrong and 3 for one that the kernel refuses.\n\
         .SH WHERE A PACKET GOES\n\\fBshapectl classify\\fR leads packets through the compiled filters as the kernel would, and \
         tells each step. A packet is described in the words of a match: tests joined by \\(lqand\\(rq. For alternatives \
         (\\fBor\\fR, a set, both ends of a range) there is a packet for each, 16 at most. The policy's names, \
         sets and services mean here what they mean in its rules, and what a packet is not must be so of what the rest \
         describes. What is not said is: ",
    );
    let _ = write!(out, "{}.\n.PP\n", escape(crate::packet::describe::DEFAULTS));
    out.push_str(
        "Unless the description has a \\fBpriority\\fR, that of an IPv4 packet that leaves is made from its TOS octet, as the \
         kernel does where it forwards; of all others it is 0. What a packet does not show (connection tracking, whether a \
         policer is exceeded, chance, sets, sockets) is supposed not to be so; the other ways that the packet may go are \
         listed behind \\(lqif\\(rq.\n.PP\nOf a capture (pcap, pcapng; Ethernet, Linux cooked v1 and v2, bare IP) \
         packets leave, unless the capture or \\fB\\-\\-way\\fR says otherwise; their mark is that of \\fB\\-\\-mark\\fR. \
         \\fBshapectl schema classify\\fR prints the schema of what is printed as JSON. The exit status is 0 if there is an answer, 1 if the policy, the description or the capture is refused, 3 if the \
         kernel cannot be asked, 64 for wrong usage.\n\
         .SH WHAT A CHANGE COSTS\n\\fBapply\\fR changes in place what the kernel can change. Otherwise the new object stands \
         before traffic is turned to it: classes and queues first, then the filters one by one, and what goes, goes last. A \
         class that moves, whose leaf becomes of another kind, or that gets classes of its own, gets another number, unless \
         the policy pins it with \\fBid\\fR; the old class takes nothing new, and goes when it has sent what waited, \
         after a second at the latest for all classes of a plan together. For that time packets of one flow may overtake \
         each other, and the new class starts with a full bucket. Another default of an htb is a last rule, because the \
         kernel changes none. What is lost all the same (another kind at the root, a queue in a band or below a pinned class) is \
         said in the plan, at its step.\n.PP\nBefore the first message what stands is written down. If the kernel refuses a step, \
         that is put back, and the message tells the policy's line, the step, the kernel's reason and what stands now.\n\
         .PP\nWhat comes back, then as by \\fBrollback\\fR or where nobody confirmed, is what a dump tells: disciplines, classes, \
         filters and actions with their options, devices that shapectl made, the length of a default fifo. What stood all the \
         while, or is changed in place, keeps what it has. What was taken away and is made again begins anew: its counters are \
         0, its queue is empty and its buckets full, and what it has learnt is forgotten (a drop probability, an estimated rate, \
         the table of flows, the round of a fair queue). The kernel numbers anew what it numbered before: the first table of a \
         u32 priority, and an action that one filter alone had, which is nobody else's business; where the policy gives such an \
         action an \\fBindex\\fR, \\fBdiff\\fR tells, and the next \\fBapply\\fR gives it back. An object of a kind that shapectl does \
         not know cannot be made again at all: to take it away wants \\fB\\-\\-force\\fR.\n\
         .SH EXIT STATUS\n.TP\n0\ndone, or no difference\n.TP\n1\nthe policy has errors or cannot be read\n\
         .TP\n2\nthere is a difference (diff), or a file is not in its normal layout (fmt --check)\n\
         .TP\n3\nthe kernel refused, or what stands is not what was asked\n.TP\n64\nwrong usage\n\
         .SH FILES\n.TP\n\\fI/etc/shapectl/policy.yaml\\fR\nthe policy of commands without a file, if none was applied yet\n\
         .TP\n\\fI/var/lib/shapectl\\fR\nwhich class has which number, and the policy last applied\n\
         .SH SEE ALSO\nshapectl.policy(5), tc(8)\n",
    );
    Ok(out)
}

/// `shapectl.policy.5`.
pub fn policy() -> String {
    let mut out = String::from(".TH shapectl.policy 5 \"\" \"shapectl\" \"File formats\"\n");
    out.push_str(&roff(LANGUAGE));
    for (role, title) in [(Role::Qdisc, "DISCIPLINES"), (Role::Filter, "FILTERS"), (Role::Action, "ACTIONS")] {
        let _ = writeln!(out, ".SH {title}");
        if role == Role::Filter {
            out.push_str(
                "Rules become filters; the words of these stand in scripts, and in \\fBfilters\\fR (see FILTERS AS THEY ARE).\n",
            );
        }
        for kind in kind::all(role) {
            let _ = writeln!(out, ".SS {}\n{}.", escape(kind.name), escape(kind.doc));
            if role == Role::Qdisc {
                let below = match kind.children {
                    Children::None => "Holds nothing below it.",
                    Children::Classes => "Holds \\fBclasses\\fR that the policy names.",
                    Children::Bands => "Holds \\fBbands\\fR, each with a leaf in \\fBleaves\\fR.",
                    Children::Leaf => "Holds one inner discipline, its \\fBleaf\\fR.",
                };
                let change = if kind.change { "Changes in place." } else { "A change of its options makes it anew." };
                let _ = writeln!(out, ".PP\n{below} {change}");
            }
            let _ = writeln!(out, ".PP\nKernel: CONFIG_{}, module {}.", escape(kind.config), escape(kind.module));
            rows((kind.options)().as_ref(), &mut out);
            if let Some(fresh) = kind.class.filter(|_| kind.children == Children::Classes) {
                out.push_str(".PP\nOptions of a class:\n");
                rows(fresh().as_ref(), &mut out);
            }
        }
    }
    out.push_str(".SH DIAGNOSTICS\nEach code has a page: \\fBshapectl explain\\fR \\fICODE\\fR.\n");
    for code in codes::ALL {
        let _ = writeln!(out, ".TP\n\\fB{}\\fR ({})\n{}.", escape(code.name), code.severity.word(), escape(code.title));
    }
    out.push_str(".SH SEE ALSO\nshapectl(8), tc(8)\n");
    out
}

fn rows(options: &dyn Options, out: &mut String) {
    for row in options.rows().iter().filter(|r| !r.hidden) {
        let _ = writeln!(out, ".TP\n\\fB{}\\fR\n{}. {}", escape(row.word), escape(row.doc), escape(&facts(row)));
    }
}

fn facts(row: &Row) -> String {
    let mut said = format!("{}: {}.", row.unit.name, row.unit.spellings);
    match (row.default, row.computed) {
        (Some(default), _) => drop(write!(said, " Default {default}.")),
        (None, Some(computed)) => drop(write!(said, " Default: {computed}.")),
        (None, None) => {}
    }
    if row.fixed {
        said.push_str(" Not changed in place.");
    }
    said
}

/// A text that roff prints as it is: backslashes, leading dots and quotes are disarmed, `` `words` `` are bold.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut bold = false;
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '`' => {
                bold = !bold;
                out.push_str(if bold { "\\fB" } else { "\\fR" });
            }
            c => out.push(c),
        }
    }
    if out.starts_with(['.', '\'']) { format!("\\&{out}") } else { out }
}

fn roff(text: &str) -> String {
    let mut out = String::new();
    let mut example = false;
    for line in text.lines() {
        let is_example = line.starts_with("    ") || (example && line.is_empty());
        if is_example != example {
            out.push_str(if is_example { ".PP\n.nf\n.RS 4\n" } else { ".RE\n.fi\n" });
            example = is_example;
        }
        if example {
            let line = line.strip_prefix("    ").unwrap_or(line).replace('\\', "\\e").replace('-', "\\-");
            let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
            let _ = writeln!(out, "{guard}{line}");
        } else if let Some(title) = line.strip_prefix("## ") {
            let _ = writeln!(out, ".SS {}", escape(title));
        } else if let Some(title) = line.strip_prefix("# ") {
            let _ = writeln!(out, ".SH {}", escape(&title.to_uppercase()));
        } else if let Some(item) = line.strip_prefix("- ") {
            let _ = writeln!(out, ".IP \\(bu 2\n{}", escape(item));
        } else if line.is_empty() {
            out.push_str(".PP\n");
        } else {
            let _ = writeln!(out, "{}", escape(line.trim_start()));
        }
    }
    if example {
        out.push_str(".RE\n.fi\n");
    }
    out
}
