//! One SQLite file in the data folder.
//!
//! Its changes go to the write-ahead log with one `write` each and without `fsync` (`synchronous = NORMAL`): what was kept
//! outlives this process however it ends, and a loss of power costs the last moments but never the file. The schema has a
//! version (`user_version`); older files are brought to it step by step. A file that cannot be read is set aside, never
//! overwritten and never a reason not to start.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use super::{Change, Record, Store, StoreError};
use crate::announcer::copies::{Copies, StoredCopy};
use crate::announcer::entry::{AnnounceError, Evidence, ListedBy};
use crate::announcer::second::Second;
use crate::announcer::source::{LeftOut, ListedState};
use crate::announcer::view::SourceStatus;
use crate::engine::contact::CompactAddr;
use crate::engine::id::InfoHash;
use crate::engine::time::Instant;
use crate::net::whole_file::name_aside;

/// Name of the file in the data folder.
pub const FILE: &str = "announcer.sqlite";
/// Longest wait for another program that writes to the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// The steps from an empty file to the present schema. A file has the version of the number of steps that it has gone; a
/// step that was published is never changed.
const STEPS: [&str; 2] = [
    "
    CREATE TABLE infohash (
        infohash BLOB PRIMARY KEY NOT NULL,
        name TEXT,
        listed TEXT NOT NULL,
        announced_port INTEGER NOT NULL,
        announced INTEGER,
        looked INTEGER,
        seen_as TEXT,
        seeds INTEGER,
        peers INTEGER,
        error TEXT,
        failures INTEGER NOT NULL,
        copies BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE source (
        name TEXT PRIMARY KEY NOT NULL,
        torrents INTEGER NOT NULL,
        refused INTEGER NOT NULL,
        left_out TEXT NOT NULL,
        trouble TEXT,
        listed INTEGER
    ) WITHOUT ROWID;
    CREATE TABLE watched (
        target TEXT UNIQUE NOT NULL,
        port INTEGER,
        recursive INTEGER NOT NULL,
        seed INTEGER NOT NULL
    );
    CREATE TABLE node (
        id INTEGER PRIMARY KEY CHECK (id = 0),
        port INTEGER
    );
",
    "ALTER TABLE watched ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;",
];

/// The file, open.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
}

/// A store, and what became of the file that was there.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: SqliteStore,
    /// Why a file was set aside, and where it is now.
    pub(super) set_aside: Option<(String, PathBuf)>,
}

impl SqliteStore {
    /// Opens the file in this folder; it is made where it is missing. A damaged one is set aside: see [`Opened::damage`].
    ///
    /// # Errors
    /// The system refuses.
    pub fn open(folder: &Path) -> Result<Opened, StoreError> {
        let path = folder.join(FILE);
        let opened = connect(&path).and_then(|connection| {
            let mut store = Self { connection, path: path.clone() };
            store.check()?;
            Ok(store)
        });
        match opened {
            Ok(store) => Ok(Opened { store, set_aside: None }),
            Err(StoreError::Damaged { reason, .. }) => {
                let aside = set_aside(&path)?;
                let store = Self { connection: connect(&path)?, path };
                Ok(Opened { store, set_aside: Some((reason, aside)) })
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the file to read what a running node has kept; `None` where there is none.
    ///
    /// # Errors
    /// The system refuses, or the file is damaged.
    pub fn look(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        Ok(Some(Self { connection: connect(&path)?, path }))
    }

    /// How the sources were when that was kept last.
    ///
    /// # Errors
    /// The system refuses.
    pub fn sources(&self) -> Result<BTreeMap<Arc<str>, SourceStatus>, StoreError> {
        let read = || -> rusqlite::Result<_> {
            let mut statement =
                self.connection.prepare("SELECT name, torrents, refused, left_out, trouble, listed FROM source")?;
            statement.query_map([], source_of)?.collect()
        };
        read().map_err(|source| error(&self.path, source))
    }

    /// Keeps the port that the node announces where no source knows one.
    ///
    /// # Errors
    /// The system refuses.
    pub fn write_port(&self, port: Option<u16>) -> Result<(), StoreError> {
        let written = self.connection.execute("INSERT OR REPLACE INTO node VALUES (0, ?1)", [port]);
        written.map(drop).map_err(|source| error(&self.path, source))
    }

    /// The port that the node announced where no source knew one, when it ran last.
    ///
    /// # Errors
    /// The system refuses.
    pub fn port(&self) -> Result<Option<u16>, StoreError> {
        let port = self.connection.query_row("SELECT port FROM node", [], |row| row.get(0)).optional();
        port.map(Option::flatten).map_err(|source| error(&self.path, source))
    }

    /// Whether all that was kept can be read.
    fn check(&mut self) -> Result<(), StoreError> {
        let verdict = self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        let verdict = verdict.map_err(|source| error(&self.path, source))?;
        match verdict.as_str() {
            "ok" => self.read(drop),
            _ => Err(StoreError::Damaged { path: self.path.clone(), reason: verdict }),
        }
    }

    /// Reads all that was kept, one after the other.
    fn read(&self, mut each: impl FnMut(Record)) -> Result<(), StoreError> {
        let mut read = || -> rusqlite::Result<()> {
            let mut statement = self.connection.prepare("SELECT * FROM infohash")?;
            statement.query_map([], record_of)?.try_for_each(|record| record.map(&mut each))
        };
        read().map_err(|source| error(&self.path, source))
    }

    fn write_all(&mut self, changes: &[Change]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        for (info_hash, record) in changes {
            match record {
                Some(record) => insert(&transaction, record)?,
                None => {
                    let mut delete = transaction.prepare_cached("DELETE FROM infohash WHERE infohash = ?1")?;
                    delete.execute([info_hash.as_bytes()])?;
                }
            }
        }
        transaction.commit()
    }

    fn write_all_sources(&mut self, sources: &BTreeMap<Arc<str>, SourceStatus>) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        transaction.execute("DELETE FROM source", [])?;
        for (name, status) in sources {
            let left_out: Vec<_> = status.left_out.iter().map(|left| (&left.entry, &left.reason)).collect();
            transaction.prepare_cached("INSERT INTO source VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
                &**name,
                status.torrents,
                status.refused,
                serde_json::to_string(&left_out).expect("plain text"),
                status.trouble,
                status.listed.map(Instant::as_secs),
            ])?;
        }
        transaction.commit()
    }
}

impl Store for SqliteStore {
    fn load(&mut self) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::new();
        self.read(|record| records.push(record))?;
        Ok(records)
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.write_all(changes).map_err(|source| error(&self.path, source))
    }

    fn write_sources(&mut self, sources: &BTreeMap<Arc<str>, SourceStatus>) -> Result<(), StoreError> {
        self.write_all_sources(sources).map_err(|source| error(&self.path, source))
    }
}

/// Opens the file, and brings it to the present schema.
pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    make_private(path).map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
    let open = || -> rusqlite::Result<Connection> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "journal_size_limit", 4 << 20)?;
        // In KiB. It is read once, and written a page here and there.
        connection.pragma_update(None, "cache_size", -256)?;
        migrate(&mut connection)?;
        Ok(connection)
    };
    let connection = open().map_err(|source| error(path, source))?;
    let version: usize = version(&connection).map_err(|source| error(path, source))?;
    match version.cmp(&STEPS.len()) {
        std::cmp::Ordering::Equal => Ok(connection),
        _ => Err(StoreError::Damaged {
            path: path.to_owned(),
            reason: format!("it is of version {version}, and this program knows {}", STEPS.len()),
        }),
    }
}

fn version(connection: &Connection) -> rusqlite::Result<usize> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Goes the steps that the file has not gone yet, all of them or none.
fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    if version(connection)? >= STEPS.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // Another program may have gone them while this one waited.
    for step in STEPS.iter().skip(version(&transaction)?) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", STEPS.len())?;
    transaction.commit()
}

/// A new file that only its owner may read: it tells what is shared here. One that is there stays as it is.
fn make_private(path: &Path) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// What SQLite says, told apart by whether the file itself is at fault.
pub(super) fn error(path: &Path, source: rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    let is_damaged = match &source {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => true,
            // A table or a column that should be there is not.
            ErrorCode::Unknown => true,
            _ => false,
        },
        rusqlite::Error::SqlInputError { .. } => true,
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::InvalidColumnName(..) => true,
        _ => false,
    };
    match is_damaged {
        true => StoreError::Damaged { path, reason: source.to_string() },
        false => StoreError::Sqlite { path, source },
    }
}

/// Renames the file to a name that says when, and that no other has. Its log goes with it.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let refused = |source| StoreError::Io { path: path.to_owned(), source };
    let aside = name_aside(path);
    fs::rename(path, &aside).map_err(refused)?;
    for end in ["-wal", "-shm"] {
        let log = with_end(path, end);
        if log.exists() {
            fs::rename(log, with_end(&aside, end)).map_err(refused)?;
        }
    }
    Ok(aside)
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

// Rows.

fn insert(connection: &Connection, record: &Record) -> rusqlite::Result<()> {
    let evidence = &record.evidence;
    let listed: Vec<ListedRow> = record.listed.iter().map(ListedRow::new).collect();
    let mut statement = connection
        .prepare_cached("INSERT OR REPLACE INTO infohash VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")?;
    statement.execute(params![
        record.info_hash.as_bytes(),
        record.name.as_deref(),
        serde_json::to_string(&listed).expect("plain records"),
        record.announced_port,
        evidence.announced.map(Second::as_secs),
        evidence.looked.map(Second::as_secs),
        evidence.seen_as.map(|seen| seen.addr().to_string()),
        evidence.swarm.map(|(seeds, _)| seeds),
        evidence.swarm.map(|(_, peers)| peers),
        evidence.error.map(error_name),
        evidence.failures,
        packed(&record.copies),
    ])?;
    Ok(())
}

fn record_of(row: &Row<'_>) -> rusqlite::Result<Record> {
    let info_hash = InfoHash::new(row.get("infohash")?);
    let listed: String = row.get("listed")?;
    let listed: Vec<ListedRow> = serde_json::from_str(&listed).map_err(|error| malformed(2, error))?;
    let seconds = |name: &str| {
        Ok::<_, rusqlite::Error>(row.get::<_, Option<u64>>(name)?.map(|secs| Instant::from_secs(secs).into()))
    };
    let seen_as: Option<String> = row.get("seen_as")?;
    let (seeds, peers): (Option<u32>, Option<u32>) = (row.get("seeds")?, row.get("peers")?);
    let error: Option<String> = row.get("error")?;
    let copies: Vec<u8> = row.get("copies")?;
    Ok(Record {
        info_hash,
        name: row.get::<_, Option<String>>("name")?.map(Into::into),
        listed: listed.into_iter().map(ListedRow::into_listed).collect(),
        copies: unpacked(&copies).ok_or_else(|| malformed(11, "the copies are cut short"))?,
        evidence: Evidence {
            announced: seconds("announced")?,
            looked: seconds("looked")?,
            seen_as: seen_as.and_then(|addr| Some(CompactAddr::new(&addr.parse().ok()?))),
            swarm: seeds.zip(peers),
            error: error.as_deref().and_then(error_of),
            failures: row.get("failures")?,
        },
        announced_port: row.get("announced_port")?,
    })
}

fn source_of(row: &Row<'_>) -> rusqlite::Result<(Arc<str>, SourceStatus)> {
    let left_out: String = row.get(3)?;
    let left_out: Vec<(String, String)> = serde_json::from_str(&left_out).map_err(|error| malformed(3, error))?;
    let status = SourceStatus {
        torrents: row.get(1)?,
        refused: row.get(2)?,
        left_out: left_out.into_iter().map(|(entry, reason)| LeftOut { entry, reason }).collect(),
        trouble: row.get(4)?,
        listed: row.get::<_, Option<u64>>(5)?.map(Instant::from_secs),
        since: None,
    };
    Ok((row.get::<_, String>(0)?.into(), status))
}

fn malformed(column: usize, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
}

/// One source that lists an infohash, as it stands in a row.
#[derive(Serialize, Deserialize)]
struct ListedRow {
    source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(default)]
    complete: bool,
    #[serde(default)]
    ipv4_only: bool,
    state: String,
}

const STATES: [(ListedState, &str); 5] = [
    (ListedState::Active, "active"),
    (ListedState::Paused, "paused"),
    (ListedState::Private, "private"),
    (ListedState::PrivacyUnknown, "privacy unknown"),
    (ListedState::Elsewhere, "elsewhere"),
];

impl ListedRow {
    fn new(by: &ListedBy) -> Self {
        let state = STATES.iter().find(|(state, _)| *state == by.state).expect("every state has a name").1;
        let ListedBy { port, complete, ipv4_only, .. } = *by;
        Self { source: by.source.to_string(), port, complete, ipv4_only, state: state.to_owned() }
    }

    fn into_listed(self) -> ListedBy {
        // What this version does not know it does not announce.
        let state =
            STATES.iter().find(|(_, name)| *name == self.state).map_or(ListedState::Paused, |(state, _)| *state);
        let Self { port, complete, ipv4_only, .. } = self;
        ListedBy { source: self.source.into(), port, complete, ipv4_only, state }
    }
}

const ERRORS: [(AnnounceError, &str); 3] = [
    (AnnounceError::NoAnswer, "no answer"),
    (AnnounceError::NotStored, "not stored"),
    (AnnounceError::NotSeen, "not seen"),
];

fn error_name(error: AnnounceError) -> &'static str {
    ERRORS.iter().find(|(other, _)| *other == error).expect("every error has a name").1
}

fn error_of(name: &str) -> Option<AnnounceError> {
    ERRORS.iter().find(|(_, other)| *other == name).map(|(error, _)| *error)
}

/// Each copy: its node ([`StoredCopy::encode_node`]), then when it was stored, in eight bytes.
fn packed(copies: &Copies) -> Vec<u8> {
    let mut bytes = Vec::new();
    for copy in copies.iter() {
        copy.encode_node(&mut bytes);
        bytes.extend(copy.stored().as_secs().to_be_bytes());
    }
    bytes
}

fn unpacked(mut bytes: &[u8]) -> Option<Copies> {
    let mut copies = Vec::new();
    while !bytes.is_empty() {
        let (at, version, rest) = StoredCopy::decode_node(bytes)?;
        let (stored, rest) = rest.split_first_chunk::<8>()?;
        let stored = Instant::from_secs(u64::from_be_bytes(*stored).min(u32::MAX.into()));
        copies.push(StoredCopy::new(at, version, stored));
        bytes = rest;
    }
    Some(copies.into_iter().collect())
}

#[cfg(test)]
mod tests;
