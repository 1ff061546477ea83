//! Rows of the table of torrents, and what is read by infohash.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::engine::id::InfoHash;
use crate::index::entry::{Entry, Source, Swarm};
use crate::index::history::SwarmHistory;
use crate::index::store::{Known, Mark, StoreError, mark_key};

/// The columns that [`Row::read`] reads.
pub(super) const COLUMNS: &str = "torrent.id, torrent.hash, torrent.name, torrent.size, torrent.files, torrent.found, \
     torrent.seen, torrent.seeds, torrent.peers, torrent.counted, torrent.source";

/// The number of tiers, and the full-text table of each.
pub(super) const TIERS: [&str; 4] = ["words0", "words1", "words2", "words3"];

/// A torrent, without its files.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) entry: Entry,
}

impl Row {
    pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let bytes: Vec<u8> = row.get(1)?;
        let infohash = InfoHash::from_bytes(&bytes).ok_or_else(|| {
            rusqlite::Error::FromSqlConversionFailure(1, Type::Blob, "an infohash has 20 bytes".into())
        })?;
        let number = |column: usize| row.get::<_, i64>(column).map(i64::unsigned_abs);
        let small = |column: usize| row.get::<_, Option<u32>>(column);
        let swarm = match (small(7)?, small(8)?, row.get::<_, Option<i64>>(9)?) {
            (Some(seeds), Some(peers), Some(at)) => Some(Swarm { seeds, peers, at: at.unsigned_abs() }),
            _ => None,
        };
        let entry = Entry {
            infohash,
            name: row.get(2)?,
            size_bytes: number(3)?,
            file_count: number(4)?,
            files: Vec::new(),
            found: number(5)?,
            seen: number(6)?,
            swarm,
            source: Source::of_number(row.get(10)?),
        };
        Ok(Self { id: row.get(0)?, entry })
    }
}

/// The torrent of an infohash.
pub(super) fn by_infohash(connection: &Connection, infohash: InfoHash) -> Result<Option<Row>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM torrent WHERE substr(hash, 1, 6) = ?1 AND hash = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let bytes = infohash.as_bytes();
    Ok(statement.query_row(params![&bytes[..6], &bytes[..]], Row::read).optional()?)
}

/// The counts of a torrent.
pub(super) fn history(connection: &Connection, row: &Row) -> Result<SwarmHistory, StoreError> {
    let mut statement = connection.prepare_cached("SELECT history FROM torrent WHERE id = ?1")?;
    let kept: Option<Vec<u8>> = statement.query_row([row.id], |row| row.get(0))?;
    Ok(SwarmHistory::of(kept.as_deref(), row.entry.swarm))
}

/// The mark of an infohash.
pub(super) fn mark(connection: &Connection, infohash: InfoHash) -> Result<Option<Mark>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT kind FROM mark WHERE key = ?1")?;
    let kind: Option<i64> = statement.query_row([&mark_key(infohash)[..]], |row| row.get(0)).optional()?;
    Ok(kind.map(Mark::of_number))
}

impl super::Sqlite {
    pub(super) fn known_one(&self, infohash: InfoHash) -> Result<Known, StoreError> {
        if let Some(row) = by_infohash(&self.connection, infohash)? {
            return Ok(Known::Yes(row.entry.swarm));
        }
        Ok(mark(&self.connection, infohash)?.map_or(Known::No, Known::Marked))
    }
}
