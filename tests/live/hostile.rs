//! What somebody may put in the way: names that a shell or a terminal would obey, files that never end or lead elsewhere.

use crate::bed::dump::assert_same;
use crate::bed::netns::{Netns, bounded};
use crate::host::{Host, SHAPECTL, path};
use crate::safe::standing;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// Names of interfaces that the kernel takes, and that a shell, tc or a terminal might take for something else. Were one
/// run, it would leave the file `X` where it is run.
const INTERFACES: [&str; 10] =
    ["$(>X)", "`>X`", "a;>X", "a'b", "a\"b", "-batch", "--", "a&b|c", "\u{202e}eth0", "eth\u{200b}0"];

/// The same for names in a policy, which may be longer.
const CLASSES: [&str; 6] = ["$(>X)", "`>X`", "a;>X", "';>X;'", "\\\";>X;\\\"", "-rf"];

fn links(names: &[&str]) -> Host {
    let netns = Netns::new();
    for (n, name) in names.iter().enumerate() {
        netns.run("ip", ["link", "add", "name", name, "type", "veth", "peer", "name", &format!("behind-{n}")]).ok();
        netns.run("ip", ["link", "set", "dev", name, "up"]).ok();
    }
    Host::of(netns)
}

/// Neither the terminal nor the eye is led astray: control characters and those that turn the direction of writing.
fn assert_plain(what: &str, text: &str) {
    let odd = |c: &char| {
        (c.is_control() && *c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    assert_eq!(text.chars().find(odd), None, "{what}: {text:?}");
}

#[test]
fn names_of_interfaces_are_names_and_nothing_else() {
    let host = links(&INTERFACES);
    let quoted = |name: &str| name.replace('\\', "\\\\").replace('"', "\\\"");
    let interface = |n: &str| format!("  \"{}\": {{ egress: {{ pfifo: {{ limit: 7 }} }} }}\n", quoted(n));
    let policy = host.policy(&format!("interfaces:\n{}", INTERFACES.map(interface).concat()));
    let folder = policy.parent().expect("a folder").to_owned();
    for words in
        [&["check"][..], &["diff"], &["apply", "--dry-run"], &["apply"], &["show"], &["diff"], &["history", "1"]]
    {
        let file = if words[0] == "show" || words[0] == "history" { vec![] } else { vec![path(&policy)] };
        let ran = host.shapectl(&[words, &file].concat());
        assert!(matches!(ran.status.code(), Some(0 | 2)), "{words:?}: {ran}");
        // commands and policies are for programs, which want names as they are
        let shown =
            if words.contains(&"--dry-run") || words[0] == "export" { ran.stderr } else { ran.stdout + &ran.stderr };
        assert_plain(&format!("{words:?}"), &shown);
    }
    let limits = |host: &Host| {
        let shown = |name: &&str| host.netns.run("tc", ["qdisc", "show", "dev", name]).ok();
        INTERFACES.iter().map(shown).collect::<Vec<_>>()
    };
    let applied = limits(&host);
    assert!(applied.iter().all(|shown| shown.contains("pfifo") && shown.contains("limit 7p")), "{applied:?}");
    // the script says the same, and a shell that runs it runs nothing else
    let script = host.shapectl(&["script", path(&policy)]).ok();
    let file = folder.join("script.sh");
    std::fs::write(&file, &script).expect("it is writable");
    host.netns.run("sh", ["-c", "cd \"$1\" && sh ./script.sh", "sh", path(&folder)]).ok();
    assert_plain("a script", &script);
    assert_eq!(limits(&host), applied, "{script}");
    // as does the batch, which runs nothing either; only tc's own commands have the names as they are
    let batch = host.shapectl(&["script", "--batch", path(&policy)]).ok();
    let file = folder.join("batch");
    std::fs::write(&file, &batch).expect("it is writable");
    for name in INTERFACES {
        host.netns.run("tc", ["qdisc", "del", "dev", name, "root"]).ok();
    }
    host.netns.run("tc", ["-batch", path(&file)]).ok();
    batch.lines().filter(|line| line.starts_with('#')).for_each(|line| assert_plain("a comment of a batch", line));
    assert_eq!(limits(&host), applied, "{batch}");
    // and what is exported, in either notation
    for notation in ["yaml", "shape"] {
        let exported = host.shapectl(&["export", "--to", notation]).ok();
        assert_plain("a policy", &exported);
        let file = folder.join(format!("exported.{notation}"));
        std::fs::write(&file, exported).expect("it is writable");
        host.assert_settled(&file);
    }
    assert!(!folder.join("X").exists(), "something in the script was run:\n{script}");
}

#[test]
fn names_of_classes_are_names_and_nothing_else() {
    let host = Host::with(&["eth0"]);
    let class =
        |(n, name): (usize, &&str)| format!("          \"{name}\": {{ rate: 100kbit, match: tcp dport {} }}\n", 22 + n);
    let text = |more: &str| {
        let classes: String = CLASSES.iter().enumerate().map(class).collect();
        format!(
            "interfaces:\n  eth0:\n    egress:\n      htb:\n        default: -rf\n        classes:\n{classes}{more}"
        )
    };
    let policy = host.policy(&text(""));
    let folder = policy.parent().expect("a folder").to_owned();
    for words in
        [&["check", "--rules"][..], &["diff"], &["apply"], &["show"], &["diff"], &["history", "1"], &["export", "eth0"]]
    {
        let file = if ["show", "history", "export"].contains(&words[0]) { vec![] } else { vec![path(&policy)] };
        let ran = host.shapectl(&[words, &file].concat());
        assert!(matches!(ran.status.code(), Some(0 | 2)), "{words:?}: {ran}");
        // commands and policies are for programs, which want names as they are
        let shown =
            if words.contains(&"--dry-run") || words[0] == "export" { ran.stderr } else { ran.stdout + &ran.stderr };
        assert_plain(&format!("{words:?}"), &shown);
    }
    let applied = standing(&host);
    let script = host.shapectl(&["script", path(&policy)]).ok();
    let file = folder.join("script.sh");
    std::fs::write(&file, &script).expect("it is writable");
    host.netns.run("sh", ["-c", "cd \"$1\" && sh ./script.sh", "sh", path(&folder)]).ok();
    assert_same(&standing(&host), &applied, &format!("left: by the script, right: by apply\n{script}"));
    assert!(!folder.join("X").exists(), "something in the script was run:\n{script}");
    // a mistake beside such a name is shown with the name made harmless
    for name in
        ["\\u202eegnahc\\u2066", "a\\u200bb", "a\\u202e", "a\u{202e}b", "\\u001b]0;gotcha\\u0007", "a\\n>X\\n", "a; >X"]
    {
        let wrong = host.policy(&text(&format!("          \"{name}\": {{ rate: 100 }}\n")));
        let ran = host.shapectl(&["check", path(&wrong)]);
        assert_eq!(ran.status.code(), Some(1), "{name:?}: {ran}");
        assert_plain("a diagnostic", &ran.stderr);
    }
}

#[test]
fn a_name_that_no_interface_can_have_is_refused() {
    let host = Host::with(&["eth0"]);
    for name in ["sixteen-letters!", "a b", "a/b", ".", "..", "", "a\\u0000b", "a\\nb", "a\\u001b[31m"] {
        let policy = host.policy(&format!("interfaces: {{ \"{name}\": {{ egress: pfifo }} }}\n"));
        let ran = host.shapectl(&["check", path(&policy)]);
        assert_eq!(ran.status.code(), Some(1), "{name:?}: {ran}");
        assert!(ran.stderr.contains("bad-interface-name"), "{name:?}: {ran}");
        assert_plain(name, &ran.stderr);
    }
}

#[test]
fn what_is_remembered_is_not_followed_and_not_shown() {
    let host = Host::with(&["eth0"]);
    let policy = host.apply_text("interfaces: { eth0: { egress: { pfifo: { limit: 5 } } } }\n");
    let state = host.state();
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let mut files = vec![];
    for entry in std::fs::read_dir(&state).expect("it is there").flatten() {
        if entry.path().is_dir() {
            assert_eq!(mode(&entry.path()), 0o700, "{:?}", entry.path());
            files.extend(std::fs::read_dir(entry.path()).expect("it is there").flatten().map(|e| e.path()));
        } else {
            files.push(entry.path());
        }
    }
    assert!(files.len() >= 4, "{files:?}");
    for file in &files {
        assert_eq!(mode(file), 0o600, "{file:?}");
    }
    // each file replaced by a way to somewhere else
    let elsewhere = host.state().with_file_name("elsewhere");
    std::fs::write(&elsewhere, "precious").expect("it is writable");
    for file in &files {
        std::fs::remove_file(file).expect("it is there");
        symlink(&elsewhere, file).expect("a link");
    }
    let ran = host.shapectl(&["apply", path(&policy)]);
    assert!(ran.status.success() && ran.stderr.contains("state-spoilt"), "{ran}");
    host.apply_text("interfaces: { eth0: { egress: { pfifo: { limit: 6 } } } }\n");
    assert_eq!(std::fs::read_to_string(&elsewhere).expect("it is there"), "precious");
}

/// A file without an end, a hole of a hundred gigabytes, and files that include each other.
#[test]
fn files_that_never_end_are_refused() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("a plain path").to_owned();
    std::fs::File::create(at("hole.yaml")).expect("it is writable").set_len(100 << 30).expect("a hole");
    symlink("/dev/zero", at("zero.yaml")).expect("a link");
    std::fs::write(at("loop.shape"), "include \"loop.shape\"\n").expect("it is writable");
    std::fs::write(at("a.shape"), "include \"b.shape\"\n").expect("it is writable");
    symlink(at("a.shape"), at("b.shape")).expect("a link");
    symlink(at("round.shape"), at("round.shape")).expect("a link");
    // nobody writes into this pipe
    nix::unistd::mkfifo(std::path::Path::new(&at("pipe")), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    std::fs::write(at("pipe.shape"), "include \"pipe\"\n").expect("it is writable");
    std::fs::write(at("list.yaml"), "sets: { s: { file: pipe } }\ninterfaces: {}\n").expect("it is writable");
    for name in ["hole.yaml", "zero.yaml", "loop.shape", "a.shape", "round.shape", "pipe.shape", "list.yaml"] {
        for command in ["check", "fmt", "script"] {
            // whatever grows without bound is ended by this
            let line = format!("ulimit -v 2000000; exec timeout 20 {SHAPECTL} {command} \"$1\"");
            let ran = bounded("sh", ["-c", &line, "sh", &at(name)]);
            let refused = ran.status.code() == Some(1) || (command == "fmt" && ran.status.success());
            assert!(refused && !ran.stderr.contains("panicked"), "{command} {name}: {ran}");
        }
    }
}
