//! The process that keeps a data folder, as its lock file names it.

use std::fs::{File, TryLockError};
use std::io::Read as _;
use std::path::Path;

use super::LOCK_FILE;

/// Longest lock file that is read, in bytes.
const MAX_LOCK_BYTES: u64 = 200;

/// The process that keeps the folder at `path` now, if any does: `process 123`, or `another process` where the lock file
/// does not say. The lock is only looked at.
#[must_use]
pub fn holder(path: &Path) -> Option<String> {
    let lock = File::open(path.join(LOCK_FILE)).ok()?;
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(name(lock)),
        _ => None,
    }
}

/// What a lock file says of the process that has it.
pub(super) fn name(lock: File) -> String {
    let mut text = String::new();
    // A lock that cannot be read is held all the same.
    let _ = lock.take(MAX_LOCK_BYTES).read_to_string(&mut text);
    text.lines().next().filter(|line| !line.is_empty()).unwrap_or("another process").to_owned()
}
