//! What a hundred changes of a policy cost the flows that pass meanwhile: `apply` beside scripts of tc that delete the root
//! and build all again.

#[path = "../../tests/bed/mod.rs"]
mod bed;

use crate::SHAPECTL;
use bed::netns::{Netns, Pair, bounded};
use bed::passage::{Figures, figures as measure, policy};
use std::path::Path;

const CHANGES: usize = 100;
/// Kinds of leaves that every kernel has.
const LEAVES: [&str; 3] =
    ["pfifo: { limit: 12 }", "bfifo: { limit: 18kb }", "tbf: { rate: 50mbit, burst: 10kb, limit: 18kb }"];

/// Prints both.
pub fn figures(dir: &Path) {
    println!("\n{CHANGES} changes of a policy of all sorts, with a paced flow and a saturating one");
    let file = dir.join("passage.yaml");
    let plain = |path: &Path| path.to_str().expect("a plain path").to_owned();
    let (state, nothing) = (plain(&dir.join("passage")), plain(&dir.join("nothing")));
    let write = |n: usize| std::fs::write(&file, policy(n, &LEAVES)).expect("a file");
    let ours = |near: &Netns, n: usize| {
        write(n);
        bounded(SHAPECTL, ["--netns", near.name(), "--state-dir", &state, "apply", &plain(&file)]).ok();
    };
    let theirs = |near: &Netns, n: usize| {
        write(n);
        let script = bounded(SHAPECTL, ["--state-dir", &nothing, "script", "--fresh", &plain(&file)]).ok();
        let script_file = dir.join("passage.sh");
        std::fs::write(&script_file, script).expect("a file");
        near.run("sh", [plain(&script_file)]).ok();
    };
    show("apply", measure(Pair::new(), CHANGES, ours));
    show("tc, made anew", measure(Pair::new(), CHANGES, theirs));
}

fn show(who: &str, figures: Figures) {
    println!(
        "  {who:14} {:6} packets of the paced flow sent, {:5} lost; {:5} packets of both in no class of theirs; \
         at most {:7} bits beyond the line in 100 ms; {:.1} s",
        figures.sent,
        figures.lost(),
        figures.misplaced,
        figures.beyond,
        figures.time.as_secs_f64()
    );
}
