//! Files that only their owner reads, written whole or not at all, and never through a link.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file beyond this is not ours: 100,000 classes take some 5 MB to remember and 60 MB to dump.
const LARGEST: u64 = 256 << 20;

/// Opened without following a link at the end of the path: the directory is root's, and nobody may point it elsewhere.
fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK).open(path)
}

/// The octets of a file; `None` if there is none.
///
/// # Errors
/// It is no plain file, too large, or not to be read.
pub(super) fn read(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let file = match open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound || e.kind() == ErrorKind::NotADirectory => return Ok(None),
        Err(e) => return Err(e),
    };
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > LARGEST {
        return Err(std::io::Error::new(ErrorKind::InvalidData, "it is no file of shapectl's"));
    }
    if meta.uid() != 0 && meta.uid() != nix::unistd::geteuid().as_raw() {
        return Err(std::io::Error::new(ErrorKind::InvalidData, "it is another user's"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// A name that is part of a file's: characters that a file name cannot hold are written as `%2f`.
pub(super) fn safe(name: &str) -> String {
    let safe = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => char::from(b).to_string(),
        b => format!("%{b:02x}"),
    };
    name.bytes().map(safe).collect()
}

/// The path with another ending put behind it.
pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Writes a file beside its place and then puts it there. `lasting` also sees it onto the disk, which what is worthless
/// after the machine has gone down need not be.
///
/// # Errors
/// It cannot be written.
pub(super) fn write(path: &Path, bytes: &[u8], lasting: bool) -> std::io::Result<()> {
    let beside = with_ending(path, ".new");
    let _ = fs::remove_file(&beside);
    let flags = nix::libc::O_NOFOLLOW;
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(&beside)?;
    out.write_all(bytes)?;
    if lasting {
        out.sync_all()?;
    }
    fs::rename(&beside, path)?;
    match path.parent().filter(|_| lasting) {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

/// Makes a directory and those above it.
///
/// # Errors
/// It cannot be made.
pub(super) fn directory(dir: &Path, mode: u32) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(dir)
}

/// Puts aside what cannot be trusted; where it is now, if that was possible.
pub(super) fn put_aside(path: &Path) -> Option<PathBuf> {
    let aside = with_ending(path, ".bad");
    fs::rename(path, &aside).is_ok().then_some(aside)
}
