//! What a hundred changes of a policy cost the flows that pass meanwhile: `apply` beside scripts of tc that delete the root
//! and build all again.

#[path = "../../tests/bed/mod.rs"]
mod bed;

use bed::passage::{COURSES, Figures, applying, figures as measure, rebuilding};
use std::path::Path;

const CHANGES: usize = 100;

/// Prints both, for each kind that this kernel has.
pub fn figures(dir: &Path) {
    println!("\n{CHANGES} changes of policies of all sorts, with a paced flow and a saturating one");
    for course in &COURSES {
        if let Some(thing) = course.lacks() {
            println!("  {}: this kernel has no {thing}", course.name);
            continue;
        }
        show(course.name, "apply", &measure(course, CHANGES, &mut applying(dir)));
        show(course.name, "tc, made anew", &measure(course, CHANGES, &mut rebuilding(dir)));
    }
}

fn show(kind: &str, who: &str, figures: &Figures) {
    println!("  {kind:5} {who:14} {figures}");
}
