//! The embedded store: one SQLite file, system of record and full text in one.
//!
//! Names are found through four contentless full-text tables (FTS5), one for each tier of seeds: at least 100, at least 10,
//! at least one, none or unknown. A search walks the tiers in that order until it has enough, so that a common word costs no
//! more than a rare one. Files are one compressed block a torrent. What was forgotten leaves eight bytes of a SHA-256.
//!
//! The file never grows beyond its bound: torrents without seeds are thrown away first, those seen longest ago first.
//! The write-ahead log makes a kill harmless; a reader never waits for a writer.

mod rows;
mod search;
mod write;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use super::block::Blocks;
use super::{Added, Found, Known, Mark, Options, Page, Store, StoreError, Totals, signed};
use crate::engine::id::InfoHash;
use crate::index::entry::{Entry, Source, Swarm, UnixSeconds, unpack};
use crate::index::query::Query;
use crate::torrent::TorrentFile;

/// Every version of the schema, as what makes it of the one before.
const MIGRATIONS: [&str; 3] = [FIRST, SECOND, THIRD];
/// The schema that this program writes.
const SCHEMA: i64 = MIGRATIONS.len() as i64;
/// Bytes of a page of the file.
const PAGE_BYTES: u64 = 4096;
/// Pages that SQLite keeps in memory, in KiB; negative as its pragma wants it.
const CACHE_KIB: i64 = -16_384;
/// Pages of the log after which they are copied into the file: a batch of a thousand torrents changes about as many, since
/// infohashes come in no order.
const CHECKPOINT_PAGES: i64 = 4_096;
/// Longest time that a statement waits for another program that writes.
const BUSY: Duration = Duration::from_secs(10);
/// The name of the file in the data folder.
pub const FILE_NAME: &str = "index.sqlite";

/// The tables of the schema. Times are seconds; the texts of `words*` are not kept.
const FIRST: &str = "
    CREATE TABLE torrent(
        id INTEGER PRIMARY KEY, hash BLOB NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, files INTEGER NOT NULL,
        found INTEGER NOT NULL, seen INTEGER NOT NULL, seeds INTEGER, peers INTEGER, counted INTEGER, source INTEGER NOT NULL);
    CREATE INDEX torrent_hash ON torrent(substr(hash, 1, 6));
    CREATE INDEX torrent_seedless ON torrent(seen) WHERE coalesce(seeds, 0) = 0;
    CREATE VIRTUAL TABLE words0 USING fts5(w, content='', detail=none, columnsize=0, tokenize='ascii');
    CREATE VIRTUAL TABLE words1 USING fts5(w, content='', detail=none, columnsize=0, tokenize='ascii');
    CREATE VIRTUAL TABLE words2 USING fts5(w, content='', detail=none, columnsize=0, tokenize='ascii');
    CREATE VIRTUAL TABLE words3 USING fts5(w, content='', detail=none, columnsize=0, tokenize='ascii');
    CREATE TABLE files(id INTEGER PRIMARY KEY, block BLOB NOT NULL);
    CREATE TABLE mark(key BLOB PRIMARY KEY, kind INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE state(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
";

/// Counts over time.
const SECOND: &str = "ALTER TABLE torrent ADD COLUMN history BLOB;";

/// What no question may have to read the whole table for: how many torrents there are, which of the seeded ones have the
/// fewest seeds, which were imported.
const THIRD: &str = "
    CREATE TABLE total(torrents INTEGER NOT NULL);
    INSERT INTO total SELECT count(*) FROM torrent;
    CREATE INDEX torrent_seeded ON torrent(seeds, seen) WHERE seeds > 0;
    CREATE INDEX torrent_imported ON torrent(source) WHERE source >= 3;
";

/// A store in one file.
#[derive(Debug)]
pub struct Sqlite {
    connection: Connection,
    options: Options,
    blocks: Blocks,
}

impl Sqlite {
    /// Opens the index of a data folder, and makes one where there is none.
    ///
    /// # Errors
    /// It cannot be opened, is none, or was written by a later version.
    pub fn open(folder: &Path, options: Options) -> Result<Self, StoreError> {
        Self::open_file(&folder.join(FILE_NAME), options, OpenFlags::SQLITE_OPEN_CREATE)
    }

    /// Opens the index of a data folder that must be there.
    ///
    /// # Errors
    /// There is none, it cannot be opened, is none, or was written by a later version.
    pub fn open_existing(folder: &Path, options: Options) -> Result<Self, StoreError> {
        let path = folder.join(FILE_NAME);
        if !path.exists() {
            return Err(StoreError::Missing(path.display().to_string()));
        }
        Self::open_file(&path, options, OpenFlags::empty())
    }

    fn open_file(path: &Path, options: Options, flags: OpenFlags) -> Result<Self, StoreError> {
        let flags = flags | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        version(&connection, path)?;
        connection.pragma_update(None, "page_size", signed(PAGE_BYTES))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "cache_size", CACHE_KIB)?;
        connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        migrate(&connection, path)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection.pragma_update(None, "max_page_count", most_pages(options, false))?;
        let options = Options { file_words: file_words(&connection, options.file_words)?, ..options };
        Ok(Self { connection, options, blocks: Blocks::new() })
    }

    fn torrents(&self) -> Result<u64, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT torrents FROM total")?;
        Ok(statement.query_row([], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    fn pages_in_use(&self) -> Result<u64, StoreError> {
        let number = |name: &str| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        Ok((number("page_count")? - number("freelist_count")?).unsigned_abs())
    }

    fn state(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT value FROM state WHERE name = ?1")?;
        Ok(statement.query_row([name], |row| row.get(0)).optional()?)
    }
}

/// Pages of the file that are used for nothing but throwing torrents away, in hundredths.
const SPARE_PCT: u64 = 3;

/// Most pages that the file may have; while nothing is thrown away, some are kept for that.
fn most_pages(options: Options, evicting: bool) -> i64 {
    let all = (options.most_bytes / PAGE_BYTES).max(64);
    signed(if evicting { all } else { all - all * SPARE_PCT / 100 })
}

/// The schema of a file; 0 for an empty one.
fn version(connection: &Connection, path: &Path) -> Result<i64, StoreError> {
    let not_an_index = |why: String| StoreError::NotAnIndex { place: path.display().to_string(), why };
    let version = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    let version = version.map_err(|error| not_an_index(error.to_string()))?;
    if version > SCHEMA {
        return Err(StoreError::FromTheFuture { place: path.display().to_string(), found: version, known: SCHEMA });
    }
    let tables = connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get::<_, i64>(0))?;
    match version == 0 && tables > 0 {
        true => Err(not_an_index("it holds other tables".to_owned())),
        false => Ok(version),
    }
}

/// Makes the tables of this version: all steps at once or none. Of several programs one makes them. The file may grow beyond
/// its bound by a new index: nothing is thrown away before that is there.
fn migrate(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    if version(connection, path)? == SCHEMA {
        return Ok(());
    }
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let done = version(connection, path).and_then(|found| {
        let steps = MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0));
        steps.copied().try_for_each(|step| connection.execute_batch(step))?;
        Ok(connection.execute_batch(&format!("PRAGMA user_version = {SCHEMA}; COMMIT"))?)
    });
    if done.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    done
}

/// Whether this file has words of file names: decided when it was made, since what is in the index must be known exactly to
/// be taken out again.
fn file_words(connection: &Connection, wanted: bool) -> Result<bool, StoreError> {
    connection.execute("INSERT OR IGNORE INTO state VALUES('file words', ?1)", params![[u8::from(wanted)]])?;
    let kept: Vec<u8> =
        connection.query_row("SELECT value FROM state WHERE name = 'file words'", [], |row| row.get(0))?;
    Ok(kept.first() == Some(&1))
}

impl Store for Sqlite {
    fn add(&mut self, batch: &[Entry]) -> Result<Added, StoreError> {
        let mut evicted = 0;
        loop {
            evicted += self.make_room()?;
            match self.add_all(batch) {
                Ok(added) => return Ok(Added { evicted, ..added }),
                Err(StoreError::Full) => match self.evict()? {
                    0 => return Err(StoreError::Full),
                    more => evicted += more,
                },
                Err(error) => return Err(error),
            }
        }
    }

    fn count(&mut self, counts: &[(InfoHash, Swarm)]) -> Result<(), StoreError> {
        self.count_all(counts)
    }

    fn known(&mut self, infohashes: &[InfoHash]) -> Result<Vec<Known>, StoreError> {
        infohashes.iter().map(|infohash| self.known_one(*infohash)).collect()
    }

    fn search(&mut self, query: &Query, page: Page) -> Result<Found, StoreError> {
        search::search(&self.connection, query, page, self.options.file_words)
    }

    fn files(&mut self, infohash: InfoHash) -> Result<Vec<TorrentFile>, StoreError> {
        let Some(row) = rows::by_infohash(&self.connection, infohash)? else { return Ok(Vec::new()) };
        self.files_of(row.id)
    }

    fn history(&mut self, infohash: InfoHash) -> Result<Vec<Swarm>, StoreError> {
        let Some(row) = rows::by_infohash(&self.connection, infohash)? else { return Ok(Vec::new()) };
        Ok(rows::history(&self.connection, &row)?.all())
    }

    fn forget(&mut self, infohashes: &[InfoHash], mark: Mark, now: UnixSeconds) -> Result<usize, StoreError> {
        self.forget_all(infohashes, mark, now)
    }

    fn drop_source(&mut self, source: Source, most: usize) -> Result<usize, StoreError> {
        self.drop_source_of(source, most)
    }

    fn mark(&mut self, infohash: InfoHash) -> Result<Option<Mark>, StoreError> {
        rows::mark(&self.connection, infohash)
    }

    fn list(&mut self, after: i64, most: usize) -> Result<Vec<(i64, Entry)>, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let sql = format!("SELECT {} FROM torrent WHERE id > ?1 ORDER BY id LIMIT ?2", rows::COLUMNS);
        let rows: Vec<rows::Row> = {
            let mut statement = self.connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params![after, most], rows::Row::read)?;
            rows.collect::<Result<_, _>>()?
        };
        rows.into_iter().map(|row| Ok((row.id, Entry { files: self.files_of(row.id)?, ..row.entry }))).collect()
    }

    fn totals(&mut self) -> Result<Totals, StoreError> {
        let marks = self.connection.query_row("SELECT count(*) FROM mark", [], |row| row.get::<_, i64>(0))?;
        Ok(Totals {
            torrents: self.torrents()?,
            marks: marks.unsigned_abs(),
            used_bytes: self.pages_in_use()? * PAGE_BYTES,
            most_bytes: self.options.most_bytes,
        })
    }

    fn load(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.state(name)
    }

    fn save(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare_cached("INSERT OR REPLACE INTO state VALUES(?1, ?2)")?;
        statement.execute(params![name, bytes])?;
        Ok(())
    }
}

impl Sqlite {
    fn files_of(&mut self, id: i64) -> Result<Vec<TorrentFile>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT block FROM files WHERE id = ?1")?;
        let block: Option<Vec<u8>> = statement.query_row([id], |row| row.get(0)).optional()?;
        Ok(block.and_then(|block| self.blocks.open(&block)).map(|packed| unpack(&packed)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
