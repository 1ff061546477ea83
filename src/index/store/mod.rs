//! Where torrents are kept, behind a trait. The embedded store is one SQLite file.

pub mod sqlite;

use std::path::PathBuf;

use super::entry::{Entry, Swarm, UnixSeconds};
use super::query::Query;
use crate::engine::id::InfoHash;
use crate::torrent::TorrentFile;

/// A store of torrents. Every method may take milliseconds: it is called from a thread that may wait.
pub trait Store: Send {
    /// Adds torrents, or brings those up to date that are there. What is marked is passed over. All or nothing.
    ///
    /// # Errors
    /// The store cannot be written.
    fn add(&mut self, batch: &[Entry]) -> Result<Added, StoreError>;

    /// Takes in new counts of torrents that are there.
    ///
    /// # Errors
    /// The store cannot be written.
    fn count(&mut self, counts: &[(InfoHash, Swarm)]) -> Result<(), StoreError>;

    /// What is known of each infohash.
    ///
    /// # Errors
    /// The store cannot be read.
    fn known(&mut self, infohashes: &[InfoHash]) -> Result<Vec<Known>, StoreError>;

    /// The torrents that a query finds.
    ///
    /// # Errors
    /// The store cannot be read.
    fn search(&mut self, query: &Query, page: Page) -> Result<Found, StoreError>;

    /// The files of a torrent; none where it or they are not kept.
    ///
    /// # Errors
    /// The store cannot be read.
    fn files(&mut self, infohash: InfoHash) -> Result<Vec<TorrentFile>, StoreError>;

    /// Forgets torrents and leaves a one-way mark, so that they do not come back; also of those that are not there.
    ///
    /// # Errors
    /// The store cannot be written.
    fn forget(&mut self, infohashes: &[InfoHash], mark: Mark, now: UnixSeconds) -> Result<usize, StoreError>;

    /// The mark of an infohash.
    ///
    /// # Errors
    /// The store cannot be read.
    fn mark(&mut self, infohash: InfoHash) -> Result<Option<Mark>, StoreError>;

    /// Torrents in the order in which they were found, from behind the given place on; each with its place.
    ///
    /// # Errors
    /// The store cannot be read.
    fn list(&mut self, after: i64, most: usize) -> Result<Vec<(i64, Entry)>, StoreError>;

    /// How much there is.
    ///
    /// # Errors
    /// The store cannot be read.
    fn totals(&mut self) -> Result<Totals, StoreError>;

    /// Something that another part of the program keeps here under a name.
    ///
    /// # Errors
    /// The store cannot be read.
    fn load(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Keeps something under a name, in place of what was there.
    ///
    /// # Errors
    /// The store cannot be written.
    fn save(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError>;
}

/// What came of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Torrents that were not there before.
    pub new: usize,
    /// Torrents that were brought up to date.
    pub renewed: usize,
    /// Torrents that were passed over, because they are marked.
    pub marked: usize,
    /// Torrents that were thrown away to make room.
    pub evicted: usize,
}

/// What a store knows of an infohash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    No,
    /// It is there, with its last count.
    Yes(Option<Swarm>),
    /// It must not be kept.
    Marked(Mark),
}

/// Why a torrent must not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It is private (BEP 27).
    Private,
    /// A filter or a list refuses it.
    Refused,
    /// It was forgotten on request.
    Forgotten,
}

impl Mark {
    /// Its number in stores.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The mark of a number.
    #[must_use]
    pub const fn of_number(number: i64) -> Self {
        match number {
            0 => Self::Private,
            1 => Self::Refused,
            _ => Self::Forgotten,
        }
    }
}

/// Which part of what was found is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many come before it.
    pub skip: usize,
    /// How many it has at most.
    pub most: usize,
    /// The time, for bounds of ages.
    pub now: UnixSeconds,
}

/// What a query found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The torrents, without their files.
    pub entries: Vec<Entry>,
    /// Whether there may be more.
    pub more: bool,
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Torrents.
    pub torrents: u64,
    /// Marks.
    pub marks: u64,
    /// Bytes on the disk that are in use.
    pub used_bytes: u64,
    /// Bytes that it may use.
    pub most_bytes: u64,
}

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It was written by a later version of this program.
    #[error("{path} has schema {found}; this program knows schemas up to {known}", path = .path.display())]
    FromTheFuture {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// There is none.
    #[error("there is no index at {}", .0.display())]
    Missing(PathBuf),
    /// It is no index.
    #[error("{path} is no index of this program: {why}", path = .path.display())]
    NotAnIndex {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The disk is full, or the store has reached its size and nothing can be thrown away.
    #[error("no room is left for the index")]
    Full,
    /// Anything else that SQLite says.
    #[error("the index cannot be used: {0}")]
    Sqlite(rusqlite::Error),
}

impl StoreError {
    /// What the user can do about it.
    #[must_use]
    pub const fn cure(&self) -> &'static str {
        match self {
            Self::FromTheFuture { .. } => {
                "use the newer version of this program, or move the file away and let it find anew"
            }
            Self::Missing(_) => "start the node with --index survey, or import one: trackerless index import",
            Self::NotAnIndex { .. } => "name another --data-dir, or move the file away",
            Self::Full => "make room on the disk, or give the index less: index_max",
            Self::Sqlite(_) => {
                "check that the data folder can be written and its disk has room; another program may hold the file"
            }
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full,
            _ => Self::Sqlite(error),
        }
    }
}
