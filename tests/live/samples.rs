//! Every sample, for real: what `apply` makes over netlink and what `script` makes with tc is the same, `apply` settles
//! at once, and `clear` leaves nothing.

use crate::bed::dump::assert_same;
use crate::bed::kernel;
use crate::bed::tc_line::Line;
use crate::host::{Host, SHAPECTL, path};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// One file a lesson: that both notations make the same tree takes no kernel to show.
fn samples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let mut samples = Vec::new();
    for entry in std::fs::read_dir(folder).expect("there are samples") {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            samples.push(path);
        }
    }
    samples.sort();
    assert!(!samples.is_empty());
    samples
}

/// The tc commands of a sample, on a machine that has none of its interfaces.
fn commands(sample: &Path) -> Vec<String> {
    let script = crate::bed::netns::bounded(SHAPECTL, ["script", "--fresh", path(sample)]).ok();
    let makes = |line: &&str| line.starts_with("tc ") && !line.contains(" del ");
    script.lines().filter(makes).map(str::to_owned).collect()
}

/// What a kernel must have for these commands.
fn wanted(commands: &[String]) -> BTreeSet<String> {
    let mut wanted = BTreeSet::from(["veth".to_owned()]);
    for line in commands.iter().map(|line| Line::read(line)) {
        wanted.extend(line.needs());
    }
    if wanted.contains("mirred") {
        wanted.insert("ifb".to_owned());
    }
    wanted
}

/// The interfaces that a policy names.
fn interfaces(sample: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(sample).unwrap();
    let policy: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    let interfaces = policy["interfaces"].as_mapping().expect("interfaces");
    interfaces.keys().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// Runs a body for every sample whose kinds the kernel has, and fails naming all samples that failed.
fn each(test: &str, body: impl Fn(&Path, &[String]) + std::panic::RefUnwindSafe) {
    let mut failed = Vec::new();
    for sample in samples() {
        let name = sample.file_name().unwrap().to_string_lossy().into_owned();
        let ran = std::panic::catch_unwind(|| {
            let wanted = wanted(&commands(&sample));
            let wanted = wanted.iter().map(String::as_str).collect::<Vec<_>>();
            if !kernel::skipped(&format!("{test} ({name})"), &wanted) {
                println!("{test}: {name}");
                body(&sample, &interfaces(&sample));
            }
        });
        if ran.is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
}

#[test]
fn apply_and_script_make_the_same() {
    each("apply_and_script_make_the_same", |sample, interfaces| {
        let (applied, scripted) = (Host::with(interfaces), Host::with(interfaces));
        applied.apply(sample);
        applied.assert_settled(sample);

        let script = scripted.shapectl(&["script", path(sample)]).ok();
        scripted.netns.run("sh", ["-euc", &script]).ok();
        assert_same(&applied.dump(), &scripted.dump(), "left: apply, right: the script, by the real tc");
        let (code, text) = scripted.diff(sample);
        assert_eq!(code, 0, "diff of what the script made:\n{text}");

        // A script runs on a link that is shaped already, and makes the same again.
        scripted.netns.run("sh", ["-euc", &script]).ok();
        assert_same(&applied.dump(), &scripted.dump(), "left: apply, right: the script, run twice");
    });
}

#[test]
fn the_batch_form_makes_the_same() {
    each("the_batch_form_makes_the_same", |sample, interfaces| {
        let (applied, batched) = (Host::with(interfaces), Host::with(interfaces));
        applied.apply(sample);
        let batch = batched.shapectl(&["script", "--batch", path(sample)]).ok();
        if batch.lines().any(|line| line.starts_with('#') && line.contains("ip link")) {
            return; // a batch of tc commands makes no links: the script says so, and which
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), batch).unwrap();
        batched.netns.run("tc", ["-batch", path(file.path())]).ok();
        assert_same(&applied.dump(), &batched.dump(), "left: apply, right: tc -batch");
    });
}

#[test]
fn clear_leaves_nothing() {
    each("clear_leaves_nothing", |sample, interfaces| {
        let host = Host::with(interfaces);
        let before = host.dump();
        host.apply(sample);
        for interface in interfaces {
            host.shapectl(&["clear", interface]).ok();
        }
        assert_same(&before, &host.dump(), "left: before, right: applied and cleared");
    });
}

#[test]
fn try_says_that_it_holds() {
    each("try_says_that_it_holds", |sample, interfaces| {
        let host = Host::with(interfaces);
        let before = host.dump();
        host.shapectl(&["try", path(sample)]).ok();
        assert_same(&before, &host.dump(), "try touches no link");
    });
}
