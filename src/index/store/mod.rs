//! Where torrents are kept, behind a trait: in one SQLite file of the data folder, or in a PostgreSQL database that several
//! nodes share.

mod block;
mod document;
pub mod postgres;
pub mod sqlite;

use std::path::{Path, PathBuf};
use std::time::Duration;

use self::postgres::{Address, Postgres};
use self::sqlite::Sqlite;
use super::entry::{Entry, Source, Swarm, UnixSeconds};
use super::filter::digest;
use super::query::Query;
use super::shares::Shares;
use crate::engine::id::InfoHash;
use crate::torrent::TorrentFile;

/// Where the index is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file of this data folder.
    Folder(PathBuf),
    /// In a database.
    Database(Address),
}

/// How a store keeps torrents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Most bytes of the file, or of the tables.
    pub most_bytes: u64,
    /// Whether files are kept, besides their number.
    pub keep_files: bool,
    /// Whether the words of file names are searchable, besides their kinds.
    pub file_words: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { most_bytes: 5 << 30, keep_files: true, file_words: false }
    }
}

/// Whether a store may be made where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// It is made.
    OrMake,
    /// It must be there.
    Existing,
}

/// The store of a place. A database is connected to when something is first asked of it, and again when it comes back.
///
/// # Errors
/// The file cannot be opened, is none, or was written by a later version.
pub fn open(place: &Place, options: Options, open: Open) -> Result<Box<dyn Store>, StoreError> {
    Ok(match place {
        Place::Folder(folder) => Box::new(open_folder(folder, options, open)?),
        Place::Database(address) => Box::new(Postgres::new(address.clone(), options, open)),
    })
}

fn open_folder(folder: &Path, options: Options, open: Open) -> Result<Sqlite, StoreError> {
    match open {
        Open::OrMake => Sqlite::open(folder, options),
        Open::Existing => Sqlite::open_existing(folder, options),
    }
}

/// A store of torrents. Every method may take milliseconds: it is called from a thread that may wait.
pub trait Store: Send + std::fmt::Debug {
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

    /// The counts of a torrent over time, the last one included; none where it was never counted.
    ///
    /// # Errors
    /// The store cannot be read.
    fn history(&mut self, infohash: InfoHash) -> Result<Vec<Swarm>, StoreError>;

    /// Forgets torrents and leaves a one-way mark, so that they do not come back; also of those that are not there.
    ///
    /// # Errors
    /// The store cannot be written.
    fn forget(&mut self, infohashes: &[InfoHash], mark: Mark, now: UnixSeconds) -> Result<usize, StoreError>;

    /// Drops torrents that are known from this source and from nowhere else, this many at the most, and leaves no marks. How
    /// many there were.
    ///
    /// # Errors
    /// The store cannot be written.
    fn drop_source(&mut self, source: Source, most: usize) -> Result<usize, StoreError>;

    /// The mark of an infohash.
    ///
    /// # Errors
    /// The store cannot be read.
    fn mark(&mut self, infohash: InfoHash) -> Result<Option<Mark>, StoreError>;

    /// Torrents in the order in which they were found, those of one batch in any, from behind the given place on; each with
    /// its place.
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

    /// Holds shares of the key space for the program of this name, for this long: those that it holds already, and of those
    /// that nobody holds as many as are its due. `None` where no other program surveys for this store.
    ///
    /// # Errors
    /// The store cannot be written.
    fn hold_shares(&mut self, _me: &str, _lasts: Duration) -> Result<Option<Shares>, StoreError> {
        Ok(None)
    }
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
    #[error("{place} has schema {found}; this program knows schemas up to {known}")]
    FromTheFuture {
        /// The file, or the database.
        place: String,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// There is none.
    #[error("there is no index at {0}")]
    Missing(String),
    /// It is no index.
    #[error("{place} is no index of this program: {why}")]
    NotAnIndex {
        /// The file.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// The disk is full, or the store has reached its size and nothing can be thrown away.
    #[error("no room is left for the index")]
    Full,
    /// Anything else that SQLite says.
    #[error("the index cannot be used: {0}")]
    Sqlite(rusqlite::Error),
    /// The database does not answer, or lets us not in.
    #[error("the database of the index, {place}, cannot be reached: {why}")]
    Unreachable {
        /// The database.
        place: String,
        /// Why.
        why: String,
    },
    /// Anything else that the database says.
    #[error("the database of the index, {place}, refuses: {why}")]
    Refused {
        /// The database.
        place: String,
        /// Why.
        why: String,
    },
}

impl StoreError {
    /// What the user can do about it.
    #[must_use]
    pub const fn cure(&self) -> &'static str {
        match self {
            Self::FromTheFuture { .. } => {
                "use the newer version of this program, or move the index away and let it find anew"
            }
            Self::Missing(_) => "start the node with --index survey, or import one: trackerless index import",
            Self::NotAnIndex { .. } => "name another --data-dir, or move the file away",
            Self::Full => "make room on the disk, or give the index less: index_max",
            Self::Sqlite(_) => {
                "check that the data folder can be written and its disk has room; another program may hold the file"
            }
            Self::Unreachable { .. } => {
                "start the database, or check host, name, user and password in index_database; a running node tries again by \
                 itself"
            }
            Self::Refused { .. } => {
                "see the log of the database; the user of index_database must own the schema trackerless"
            }
        }
    }
}

impl StoreError {
    /// Whether nothing can be asked of the store while it lasts.
    #[must_use]
    pub const fn stops_all(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::FromTheFuture { .. })
    }

    /// Whether it may pass, so that what could not be written is worth keeping.
    #[must_use]
    pub const fn passes(&self) -> bool {
        self.stops_all() || matches!(self, Self::Full)
    }
}

/// What is left of an infohash that must not be kept.
fn mark_key(infohash: InfoHash) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = digest(infohash);
    [a, b, c, d, e, f, g, h]
}

/// The signed number that databases know; what does not fit is as large as can be.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full,
            _ => Self::Sqlite(error),
        }
    }
}

#[cfg(test)]
#[path = "behaviour_tests.rs"]
pub(super) mod behaviour_tests;
