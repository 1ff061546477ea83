//! What is kept for another run, behind a trait: in one SQLite file ([`SqliteStore`]), or in memory alone ([`MemoryStore`]).

mod memory;
mod sqlite;
mod watched;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::view::SourceStatus;
use crate::engine::id::InfoHash;

pub use super::record::Record;
pub use memory::MemoryStore;
pub use sqlite::{FILE, Opened, SqliteStore};
pub use watched::{WatchList, Watched, WrongTarget};

/// An infohash with all that is to be kept of it; `None` once it is gone.
pub type Change = (InfoHash, Option<Record>);

/// A place that outlives the program. Its methods may block: they are called on a thread of their own.
pub trait Store: Send + 'static {
    /// All that was kept.
    ///
    /// # Errors
    /// The system refuses.
    fn load(&mut self) -> Result<Vec<Record>, StoreError>;

    /// Keeps these changes: all of them, or none.
    ///
    /// # Errors
    /// The system refuses.
    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError>;

    /// Keeps how the sources are, in place of how they were.
    ///
    /// # Errors
    /// The system refuses.
    fn write_sources(&mut self, sources: &BTreeMap<Arc<str>, SourceStatus>) -> Result<(), StoreError>;
}

/// Why something was not kept, or not found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file cannot be used.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: std::io::Error,
    },
    /// The file is damaged.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The thread that reads and writes has failed.
    #[error("the thread that keeps infohashes has failed")]
    Thread,
}

impl StoreError {
    /// What the user can do about it.
    #[must_use]
    pub fn cure(&self) -> &'static str {
        use rusqlite::ErrorCode;
        let Self::Sqlite { source, path } = self else {
            return "see that the data folder can be read and written, or name another one with --data-dir";
        };
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => "free some room there, or name a folder on another disk with --data-dir",
            Some(ErrorCode::ReadOnly) => "name a folder that can be written with --data-dir",
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "end the other program that uses this file",
            Some(ErrorCode::CannotOpen) if path.is_dir() => {
                "move that folder away, or name another data folder with --data-dir"
            }
            Some(ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                "name a folder that is yours with --data-dir, or change its owner"
            }
            _ => "see that the data folder can be read and written, or name another one with --data-dir",
        }
    }
}
