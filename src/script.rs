//! A plan as text: tc's own commands, and ip's for links. What is printed here is what `apply` does.

use crate::diagnostic::visible;
use crate::kind::action::{Act, Actions};
use crate::kind::acts;
use crate::plan::{LinkChange, Plan, Step, Subject, Verb};
use crate::source::misleads;
use crate::tree::{Id, Object, Stab, block_of};
use crate::unit::{Handle, Unit};
use std::collections::BTreeSet;
use std::fmt::Write;

/// A command: its words, `tc` or `ip` first.
pub type Command = Vec<String>;

fn words(text: &str) -> Command {
    text.split_whitespace().map(str::to_owned).collect()
}

/// The command of a step.
pub fn command(step: &Step) -> Command {
    match &step.subject {
        Subject::Object(object) => object_command(&step.interface, step.verb, object),
        Subject::Action(act, _) => action_command(act),
        Subject::Link(change, _) => link_command(&step.interface, change),
    }
}

/// The commands of a step: one, and the one that must follow where tc cannot say all at once.
pub fn commands(step: &Step) -> Vec<Command> {
    let mut commands = vec![command(step)];
    if let (Subject::Object(object), true) = (&step.subject, step.verb != Verb::Delete)
        && let Some(options) = object.options.tc_then()
    {
        let rest = Object { options, ..object.clone() };
        commands.push(object_command(&step.interface, Verb::Change, &rest));
    }
    commands
}

fn link_command(interface: &str, change: &LinkChange) -> Command {
    let set = |rest: &[&str]| {
        let mut c = words("ip link set dev");
        c.push(interface.to_owned());
        c.extend(rest.iter().map(|w| (*w).to_owned()));
        c
    };
    match change {
        LinkChange::Create(kind) => ["ip", "link", "add", "name", interface, "type", kind].map(str::to_owned).to_vec(),
        LinkChange::Remove(_) => ["ip", "link", "del", "dev", interface].map(str::to_owned).to_vec(),
        LinkChange::Alias(alias) => set(&["alias", alias]),
        LinkChange::Up => set(&["up"]),
        LinkChange::TxQueueLen(n) => set(&["txqueuelen", &n.to_string()]),
    }
}

fn action_command(act: &Act) -> Command {
    let words = Actions(vec![act.clone()]).tc_words();
    ["tc", "actions", "change"].map(str::to_owned).into_iter().chain(words).collect()
}

fn object_command(interface: &str, verb: Verb, object: &Object) -> Command {
    let (noun, verb_word) = match (object.id, verb) {
        (_, Verb::Delete) if object.template => ("chain", "del"),
        (Id::Filter { .. }, _) if object.template => ("chain", "add"),
        (Id::Qdisc { .. }, Verb::Add) => ("qdisc", "add"),
        (Id::Qdisc { .. }, Verb::Replace) => ("qdisc", "replace"),
        (Id::Class { .. }, Verb::Add) => ("class", "add"),
        (Id::Class { .. }, Verb::Replace) => ("class", "replace"),
        (Id::Filter { .. }, Verb::Add) => ("filter", "add"),
        (Id::Filter { .. }, Verb::Replace) => ("filter", "replace"),
        (Id::Qdisc { .. }, Verb::Change) => ("qdisc", "change"),
        (Id::Class { .. }, Verb::Change) => ("class", "change"),
        (Id::Filter { .. }, Verb::Change) => ("filter", "change"),
        (Id::Qdisc { .. }, Verb::Delete) => ("qdisc", "del"),
        (Id::Class { .. }, Verb::Delete) => ("class", "del"),
        (Id::Filter { .. }, Verb::Delete) => ("filter", "del"),
    };
    let mut c: Command = match block_of(interface) {
        Some(block) => ["tc", noun, verb_word, "block", &block.to_string()].map(str::to_owned).to_vec(),
        None => ["tc", noun, verb_word, "dev", interface].map(str::to_owned).to_vec(),
    };
    let delete = verb == Verb::Delete;
    match object.id {
        Id::Qdisc { parent: Handle::INGRESS, .. } => {
            if !delete {
                c.extend(beside(object));
            }
            c.push(object.name.to_string());
            return c;
        }
        Id::Qdisc { parent, handle } => {
            c.extend(place(parent));
            if handle.0 != 0 && !delete {
                c.extend(["handle".into(), handle.to_string()]);
            }
            if !delete {
                c.extend(beside(object));
            }
            if let Some(stab) = object.stab.as_ref().filter(|_| !delete) {
                c.extend(stab_words(stab));
            }
        }
        Id::Class { parent, handle } => {
            if !delete {
                c.extend(place(parent));
            }
            c.extend(["classid".into(), handle.to_string()]);
            if !delete {
                c.extend(beside(object));
            }
        }
        Id::Filter { parent, chain, prio, protocol, handle } => {
            if block_of(interface).is_none() {
                c.extend(hook(parent));
            }
            if chain != 0 || object.template {
                c.extend(["chain".into(), chain.to_string()]);
            }
            if object.template && delete {
                return c;
            }
            if protocol != 0 {
                c.extend(["protocol".into(), protocol_word(protocol)]);
            }
            if !object.template {
                c.extend(["prio".into(), prio.to_string()]);
            }
            if let Some(handle) = filter_handle(object, handle) {
                c.extend(["handle".into(), handle]);
            }
        }
    }
    let filter = matches!(object.id, Id::Filter { .. });
    if !delete || filter {
        c.push(object.name.to_string());
    }
    if !delete {
        object.options.tc(&mut c);
    }
    c
}

/// What else stands before the kind: estimator and shared blocks.
fn beside(object: &Object) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(estimator) = object.estimator {
        words.push("estimator".into());
        words.extend(estimator.tc());
    }
    for (word, block) in [("ingress_block", object.blocks.ingress), ("egress_block", object.blocks.egress)] {
        if block != 0 {
            words.extend([word.into(), block.to_string()]);
        }
    }
    words
}

/// Where a qdisc or class hangs.
fn place(parent: Handle) -> Vec<String> {
    match parent {
        Handle::ROOT => vec!["root".into()],
        p => vec!["parent".into(), p.to_string()],
    }
}

/// What a filter hangs on.
fn hook(parent: Handle) -> Vec<String> {
    match parent {
        Handle::HOOK_INGRESS => vec!["ingress".into()],
        Handle::HOOK_EGRESS => vec!["egress".into()],
        Handle::ROOT => vec!["root".into()],
        p => vec!["parent".into(), p.to_string()],
    }
}

/// tc's name of an Ethernet protocol, or its number.
pub fn protocol_word(protocol: u16) -> String {
    match protocol {
        0x0003 => "all".into(),
        0x0800 => "ip".into(),
        0x86dd => "ipv6".into(),
        0x0806 => "arp".into(),
        0x8100 => "802.1Q".into(),
        n => format!("{n:#x}"),
    }
}

/// A filter's number in tc's spelling; `None` where the kernel is to give one. The root table of a u32 filter is the
/// kernel's to number, so an asked filter has only its node (`::1`); to delete one, the table it was given is named.
pub fn filter_handle(object: &Object, handle: u32) -> Option<String> {
    (handle != 0).then(|| object.options.show_handle(handle))
}

/// A size table in tc's words.
pub fn stab_words(stab: &Stab) -> Command {
    let mut c: Command = vec!["stab".into()];
    for (word, value) in [("mtu", stab.mtu), ("mpu", stab.mpu), ("tsize", stab.tsize)] {
        if value != 0 {
            c.extend([word.into(), value.to_string()]);
        }
    }
    if stab.overhead != 0 {
        c.extend(["overhead".into(), stab.overhead.to_string()]);
    }
    c.extend(stab.linklayer.into_iter().flat_map(|layer| ["linklayer".into(), layer.tc()]));
    c
}

/// A word as `sh` reads it: quoted if it holds anything but plain characters. What would mislead who reads the script is
/// written in octal, which a command in it turns back.
pub fn quote(word: &str) -> String {
    if word.contains(misleads) {
        let octal = |c: char| -> String {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().map(|b| format!("\\{b:03o}")).collect()
        };
        let text: String = word.chars().map(|c| if c.is_ascii_alphanumeric() { c.into() } else { octal(c) }).collect();
        return format!("\"$(printf '{text}')\"");
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,%+=@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A word as `tc -batch` reads it (`makeargs` and `getcmdline` in iproute2's lib/utils.c): a quote of either kind counts at the
/// beginning only, nothing is escaped, and `#` ends the line wherever it stands. What misleads the eye stands as it is: tc
/// knows nothing else. `None` for a word that cannot be said.
fn quote_for_batch(word: &str) -> Option<String> {
    let plain = !word.is_empty() && !word.contains(char::is_whitespace) && !word.starts_with(['\'', '"']);
    match word {
        _ if word.contains(['#', '\n']) || word.ends_with('\\') => None,
        _ if plain => Some(word.to_owned()),
        _ if !word.contains('\'') => Some(format!("'{word}'")),
        _ if !word.contains('"') => Some(format!("\"{word}\"")),
        _ => None,
    }
}

/// A command as a line of `sh`.
pub fn line(command: &[String]) -> String {
    command.iter().map(|w| quote(w)).collect::<Vec<_>>().join(" ")
}

/// A text that cannot leave its comment line.
fn comment(text: &str) -> String {
    visible(text).replace('\n', " ")
}

/// What a comment says of a step: the policy's name of the object and what the compiler did.
fn remarks(step: &Step) -> Vec<String> {
    let mut said = Vec::new();
    if let Subject::Object(o) = &step.subject {
        if !o.origin.name.is_empty() {
            said.push(comment(&o.origin.name));
        }
        said.extend(o.origin.remark.iter().map(|r| comment(r)));
    }
    said.extend(step.remark.iter().map(|r| comment(r)));
    said
}

/// The steps as commands with the policy's names beside them, nothing else: what a dry run prints.
pub fn delta(plan: &Plan) -> String {
    let mut out = String::new();
    for step in &plan.steps {
        for said in remarks(step) {
            let _ = writeln!(out, "# {said}");
        }
        for command in commands(step) {
            let _ = writeln!(out, "{}{}", unsayable(step), line(&command));
        }
    }
    out
}

/// What makes a comment of a command that tc would not take: it has no words for kinds that nobody here knows either.
fn unsayable(step: &Step) -> &'static str {
    let Subject::Object(object) = &step.subject else { return "" };
    let options = &object.options;
    let unknown = object.kind.is_none()
        || options.unsayable().is_some()
        || acts(object.options.as_ref()).any(|act| act.kind.is_none());
    if unknown && step.verb != Verb::Delete { "# no words of tc's say this: " } else { "" }
}

/// The steps in the form that `tc -batch` reads; commands of ip stand as comments, to be run first.
pub fn batch(plan: &Plan, from: &str) -> String {
    let mut out = format!("# tc -batch commands of {}\n", comment(from));
    for interface in interfaces(plan) {
        let _ = writeln!(out, "# starts from: no discipline of anybody's on {}", comment(&interface));
        if interface.contains(misleads) {
            out.push_str("# its name is not what it looks like: below it stands as it is, as tc wants it\n");
        }
    }
    for step in &plan.steps {
        for said in remarks(step) {
            let _ = writeln!(out, "# {said}");
        }
        for command in commands(step) {
            match command.split_first() {
                Some((tc, rest)) if tc == "tc" => {
                    let words: Option<Vec<String>> = rest.iter().map(|word| quote_for_batch(word)).collect();
                    let _ = match words {
                        Some(words) => writeln!(out, "{}{}", unsayable(step), words.join(" ")),
                        None => writeln!(out, "# tc -batch has no way to say: {}", comment(&rest.join(" "))),
                    };
                }
                _ => {
                    let _ = writeln!(out, "# first, in a shell: {}", line(&command));
                }
            }
        }
    }
    out
}

fn interfaces(plan: &Plan) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for step in &plan.steps {
        if !names.iter().any(|n| *n == *step.interface) {
            names.push(step.interface.to_string());
        }
    }
    names
}

/// A whole script for a plan that starts from nothing: it first takes away what stands, so it can be run again.
pub fn script(plan: &Plan, from: &str) -> String {
    let mut out = format!(
        "#!/bin/sh\n# Traffic control of {}, compiled by shapectl {}.\n\
         # Starts from any state: each direction that the policy owns is cleared first.\n\
         # Stops at the first command that fails; needs root and iproute2.\nset -e\n",
        comment(from),
        env!("CARGO_PKG_VERSION"),
    );
    for interface in interfaces(plan) {
        let of = |s: &&Step| *s.interface == *interface;
        let _ = writeln!(out, "\n# --- {} ---", comment(&interface));
        // what others have on a clsact's egress side stays, and so the hook with it; an ingress in its place cannot
        let clear = plan.steps.iter().filter(of).filter(|s| s.verb == Verb::Add).filter_map(hook_or_root).flat_map(
            |(parent, kind)| match parent {
                Handle::ROOT => vec!["qdisc del dev {} root"],
                _ if kind == "clsact" => vec!["qdisc del dev {} ingress", "filter del dev {} ingress"],
                _ => vec!["filter del dev {} ingress"],
            },
        );
        // of that side only what is made here is taken away first
        let leaving: BTreeSet<u16> = plan.steps.iter().filter(of).filter_map(leaving_prio).collect();
        let created =
            plan.steps.iter().filter(of).any(|s| matches!(s.subject, Subject::Link(LinkChange::Create(_), _)));
        if created {
            if comes_with_module(&interface) {
                out.push_str("modprobe ifb numifbs=0 2>/dev/null || :\n");
            }
            let _ = writeln!(out, "ip link del dev {} 2>/dev/null || :", quote(&interface));
        } else {
            for words in clear {
                let _ = writeln!(out, "tc {} 2>/dev/null || :", words.replace("{}", &quote(&interface)));
            }
            for prio in leaving {
                let _ = writeln!(out, "tc filter del dev {} egress prio {prio} 2>/dev/null || :", quote(&interface));
            }
        }
        for step in plan.steps.iter().filter(of) {
            for said in remarks(step) {
                let _ = writeln!(out, "# {said}");
            }
            for mut command in commands(step) {
                if let (Some((Handle::INGRESS, _)), Some(verb)) = (hook_or_root(step), command.get_mut(2)) {
                    *verb = "replace".into(); // it may be there already
                }
                let _ = writeln!(out, "{}{}", unsayable(step), line(&command));
            }
        }
    }
    let shared = shared_actions(plan);
    if !shared.is_empty() {
        out.push_str("\n# an action that filters share keeps what it was if the kernel still had it\n");
    }
    for act in shared {
        let _ = writeln!(out, "{}", line(&action_command(act)));
    }
    out
}

/// The actions that filters of a plan share by number and say more of than that.
fn shared_actions(plan: &Plan) -> Vec<&Act> {
    let mut said = BTreeSet::new();
    let objects = plan.steps.iter().filter_map(|step| match &step.subject {
        Subject::Object(object) => Some(object),
        Subject::Action(..) | Subject::Link(..) => None,
    });
    let acts = objects.flat_map(|object| acts(object.options.as_ref())).filter(|act| act.kind.is_some());
    let numbered = acts.filter_map(|act| Some((act, act.number().filter(|_| !act.is_shared())?)));
    numbered.filter(|(act, number)| said.insert((act.name.clone(), *number))).map(|(act, _)| act).collect()
}

/// Whether a device has a name that the module of ifb gives to devices of its own as it is loaded, which the first `ip link
/// add … type ifb` does (drivers/net/ifb.c): it would be there already.
fn comes_with_module(name: &str) -> bool {
    name.strip_prefix("ifb").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}

/// The priority of a filter that a step adds for what leaves by a hook.
fn leaving_prio(step: &Step) -> Option<u16> {
    let Subject::Object(object) = &step.subject else { return None };
    match object.id {
        Id::Filter { parent: Handle::HOOK_EGRESS, prio, .. } if step.verb == Verb::Add => Some(prio),
        _ => None,
    }
}

/// Where the discipline of a step hangs and its kind, if that is the root or the hook of an interface.
fn hook_or_root(step: &Step) -> Option<(Handle, &str)> {
    let Subject::Object(object) = &step.subject else { return None };
    match object.id {
        Id::Qdisc { parent: parent @ (Handle::ROOT | Handle::INGRESS), .. } => Some((parent, &object.name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_sh() {
        assert_eq!(quote("eth0"), "eth0");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("$(reboot)"), "'$(reboot)'");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote("a b"), "'a b'");
        assert_eq!(quote("\u{202e}e'0"), r#""$(printf '\342\200\256e\0470')""#);
    }

    #[test]
    fn words_are_quoted_for_a_batch() {
        for (word, quoted) in [
            ("eth0", Some("eth0")),
            ("it's", Some("it's")),
            ("'s", Some("\"'s\"")),
            ("\"s", Some("'\"s'")),
            ("'\"", None),
            ("a b", Some("'a b'")),
            ("", Some("''")),
            ("a#b", None),
            ("$(>X)", Some("$(>X)")),
            ("\u{202e}eth0", Some("\u{202e}eth0")),
        ] {
            assert_eq!(quote_for_batch(word).as_deref(), quoted, "{word}");
        }
    }

    #[test]
    fn handles_of_filters_are_tcs() {
        use crate::kind::{self, Role, filter::fw::Fw};
        use crate::unit::Hex;
        let of = |kind: &str, handle| {
            let id = Id::Filter { parent: Handle::ROOT, chain: 0, prio: 1, protocol: 3, handle };
            let kind = kind::find(Role::Filter, kind)?;
            filter_handle(&Object::new(id, kind, (kind.options)()), handle)
        };
        assert_eq!(of("u32", 5).as_deref(), Some("::5"));
        assert_eq!(of("u32", 0x8000_0801).as_deref(), Some("800::801"));
        assert_eq!(of("u32", 0x00a0_0000).as_deref(), Some("a:"));
        assert_eq!(of("fw", 6).as_deref(), Some("0x6"));
        assert_eq!(of("matchall", 0), None);
        use crate::kind::Options;
        assert_eq!(Fw { mask: Some(Hex(0xff)), ..Fw::default() }.show_handle(5), "0x5/0xff");
    }

    #[test]
    fn a_comment_stays_on_its_line() {
        assert_eq!(comment("a\nrm -rf\u{1b}"), "a rm -rf␛");
    }
}
