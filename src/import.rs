//! tc scripts read back: a shell script or a batch file becomes the tree that the kernel would hold after it. Nothing is
//! run and no kernel is asked.
//!
//! - [`shell`]: the script as the commands that it would run, every word with its place
//! - [`machine`]: a kernel that only keeps book
//! - `text`: text that remembers where it comes from

pub mod machine;
pub mod shell;
mod text;

pub use text::Text;
