//! What our encoder sends is what the real tc sends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod bed;

use bed::{kernel, wire};

/// The recordings are what tc says: with the tc that made them, every one is the same today; with `UPDATE=1` they are
/// made anew.
#[test]
fn the_recordings_are_what_tc_sends() {
    for file in wire::files() {
        if std::env::var_os("UPDATE").is_some() {
            file.refreshed().write();
        } else if file.version != wire::tc_version() {
            kernel::skip("the_recordings_are_what_tc_sends", &file.version, "another tc is installed");
        } else {
            for (old, new) in file.recordings.iter().zip(file.refreshed().recordings) {
                assert_eq!(*old, new, "{}: UPDATE=1 records it anew", file.path.display());
            }
        }
    }
}
