//! A torrent of the index as a line of JSON: for `search --json`, for the control interface, and to carry an index from one
//! place to another.

use std::io::{BufRead, Read as _, Write};

use serde::{Deserialize, Serialize};

use super::entry::{Entry, MOST_FILES, Source, Swarm, UnixSeconds};
use super::store::{Added, Store, StoreError};
use crate::torrent::{TorrentFile, parse_infohash, printable};

/// Longest line that is read, in bytes.
pub const LONGEST_LINE: usize = 4 << 20;
/// Torrents that are written to a store at a time.
const BATCH: usize = 1_000;

/// A torrent. What is unknown is absent, never 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// 40 hexadecimal digits.
    pub infohash: String,
    /// Its name.
    pub name: String,
    /// Size of all files, in bytes.
    pub size: u64,
    /// Number of files.
    pub file_count: u64,
    /// The first of its files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileRecord>,
    /// When it was found, in seconds since 1970.
    pub found: UnixSeconds,
    /// When it was last seen.
    pub seen: UnixSeconds,
    /// Seeds of the last count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<u32>,
    /// Other peers of the last count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<u32>,
    /// When they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<UnixSeconds>,
    /// Where it is known from.
    #[serde(default)]
    pub source: String,
}

/// A file of a torrent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Its path.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
}

impl From<&Entry> for Record {
    fn from(entry: &Entry) -> Self {
        let file = |file: &TorrentFile| FileRecord { path: file.path.clone(), size: file.size_bytes };
        Self {
            infohash: entry.infohash.to_string(),
            name: entry.name.clone(),
            size: entry.size_bytes,
            file_count: entry.file_count,
            files: entry.files.iter().map(file).collect(),
            found: entry.found,
            seen: entry.seen,
            seeds: entry.swarm.map(|swarm| swarm.seeds),
            peers: entry.swarm.map(|swarm| swarm.peers),
            counted: entry.swarm.map(|swarm| swarm.at),
            source: entry.source.name().to_owned(),
        }
    }
}

impl Record {
    /// The torrent, as one that another program found: nothing of it is believed to be checked.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn into_import(self, now: UnixSeconds, source: Source) -> Result<Entry, String> {
        let infohash =
            parse_infohash(&self.infohash).map_err(|error| format!("infohash {:?}: {error}", self.infohash))?;
        let name = printable(self.name.as_bytes());
        if name.trim().is_empty() {
            return Err("it has no name".to_owned());
        }
        let file = |file: FileRecord| TorrentFile { path: printable(file.path.as_bytes()), size_bytes: file.size };
        // A time that is yet to come would keep it without end.
        let past = |time: UnixSeconds| time.min(now);
        let swarm = match (self.seeds, self.peers, self.counted) {
            (Some(seeds), peers, Some(at)) => Some(Swarm { seeds, peers: peers.unwrap_or(0), at: past(at) }),
            _ => None,
        };
        Ok(Entry {
            infohash,
            name,
            size_bytes: self.size,
            file_count: self.file_count,
            files: self.files.into_iter().take(MOST_FILES).map(file).collect(),
            found: past(self.found),
            seen: past(self.seen),
            swarm,
            source,
        })
    }
}

/// What came of an import or an export.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// A line that is no torrent.
    #[error("line {number}: {why}")]
    Line {
        /// Its number, from 1.
        number: usize,
        /// What is wrong.
        why: String,
    },
}

/// Writes all torrents of a store, one a line; how many.
///
/// # Errors
/// The store cannot be read, or `out` not be written.
pub fn export(store: &mut dyn Store, mut out: impl Write) -> Result<usize, CarryError> {
    let (mut count, mut after) = (0, 0);
    loop {
        let listed = store.list(after, BATCH)?;
        let Some((last, _)) = listed.last() else { break };
        after = *last;
        for (_, entry) in &listed {
            serde_json::to_writer(&mut out, &Record::from(entry)).map_err(std::io::Error::from)?;
            out.write_all(b"\n")?;
        }
        count += listed.len();
    }
    out.flush()?;
    Ok(count)
}

/// Reads torrents, one a line, into a store, as those of this source. What was read before a line that is wrong stays.
///
/// # Errors
/// The first line that is wrong, or that the store cannot be written.
pub fn import(
    store: &mut dyn Store,
    mut lines: impl BufRead,
    now: UnixSeconds,
    source: Source,
) -> Result<Added, CarryError> {
    let (mut added, mut batch, mut number) = (Added::default(), Vec::new(), 0);
    let mut line = Vec::new();
    loop {
        line.clear();
        number += 1;
        let read = (&mut lines).take(LONGEST_LINE as u64 + 1).read_until(b'\n', &mut line)?;
        let wrong = |why: String| CarryError::Line { number, why };
        if line.len() > LONGEST_LINE {
            return Err(wrong(format!("it is longer than {LONGEST_LINE} bytes")));
        }
        // As some editors begin a file.
        let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
        if !text.trim_ascii().is_empty() {
            let record: Record = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
            batch.push(record.into_import(now, source).map_err(wrong)?);
        }
        if batch.len() >= BATCH || read == 0 {
            let Added { new, renewed, marked, evicted } = store.add(&batch)?;
            added.new += new;
            added.renewed += renewed;
            added.marked += marked;
            added.evicted += evicted;
            batch.clear();
        }
        if read == 0 {
            return Ok(added);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::id::InfoHash;
    use crate::index::store::Options;
    use crate::index::store::sqlite::Sqlite;

    const LINE: &str = r#"{"infohash":"08ada5a7a6183aae1e09d831df6748d566095a10","name":"Sintel","size":7,"file_count":1,
        "files":[{"path":"a.mkv","size":7}],"found":1,"seen":99999999999,"seeds":3,"peers":2,"counted":5}"#;

    fn line() -> String {
        LINE.replace('\n', "") + "\n"
    }

    #[test]
    fn what_is_exported_can_be_imported() {
        let folder = tempfile::TempDir::new().unwrap();
        let mut store = Sqlite::open(folder.path(), Options::default()).unwrap();
        let saved_by_an_editor = format!("\u{feff}{}", line().replace('\n', "\r\n"));
        assert_eq!(import(&mut store, saved_by_an_editor.as_bytes(), 1000, Source::Import(5)).unwrap().new, 1);
        let (mut out, other) = (Vec::new(), tempfile::TempDir::new().unwrap());
        assert_eq!(export(&mut store, &mut out).unwrap(), 1);
        let mut copy = Sqlite::open(other.path(), Options::default()).unwrap();
        assert_eq!(import(&mut copy, &out[..], 1000, Source::Import(5)).unwrap().new, 1);
        let (one, two) = (store.list(0, 9).unwrap(), copy.list(0, 9).unwrap());
        assert_eq!(one, two);
        assert_eq!(one[0].1.seen, 1000, "no time is yet to come");
        assert_eq!(one[0].1.source, Source::Import(5));
        assert_eq!(one[0].1.infohash, "08ada5a7a6183aae1e09d831df6748d566095a10".parse::<InfoHash>().unwrap());
    }

    #[test]
    fn a_wrong_line_is_named() {
        let folder = tempfile::TempDir::new().unwrap();
        let mut store = Sqlite::open(folder.path(), Options::default()).unwrap();
        for (wrong, word) in [
            ("{}", "missing field"),
            ("x", "expected value"),
            (&line().replace("08ada5", "zzz"), "infohash"),
            (&line().replace("Sintel", " "), "no name"),
        ] {
            let text = format!("{}\n{wrong}\n", line());
            let error = import(&mut store, text.as_bytes(), 1000, Source::Import(5)).unwrap_err().to_string();
            assert!(error.starts_with("line 3:") && error.contains(word), "{error}");
        }
    }
}
