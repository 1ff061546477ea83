//! What people told the program to watch, as one table of the file: a command adds to it, and the running node sees it
//! there within a second, or when it is started next.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rusqlite::{Connection, params};

use super::sqlite::{self, FILE};
use super::{Opened, StoreError};
use crate::engine::id::InfoHash;
use crate::torrent::Torrent;

/// Something that is watched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watched {
    /// An infohash, a magnet URI, or the path of a torrent file, a list or a folder.
    pub target: String,
    /// The port at which its client listens, if it has one of its own.
    pub port: Option<u16>,
    /// Whether the folders in a folder are watched too.
    pub recursive: bool,
    /// Whether the client has all of it (BEP 33).
    pub seed: bool,
    /// Whether it is paused: listed, and not announced.
    pub paused: bool,
}

impl Watched {
    /// A target with nothing else said: the name of a torrent stays as it is, anything else is a path, which is made
    /// absolute. A path that ends in `/**` stands for a folder with those in it.
    ///
    /// # Errors
    /// It is empty, or an address on the web.
    pub fn new(target: &str) -> Result<Self, WrongTarget> {
        let target = target.trim();
        let named = |target: &str, recursive| Self {
            target: target.to_owned(),
            port: None,
            recursive,
            seed: false,
            paused: false,
        };
        if Torrent::parse(target).is_ok() {
            return Ok(named(target, false));
        }
        if target.contains("://") || target.starts_with("magnet:") {
            return Err(WrongTarget::Url);
        }
        let folder = target.strip_suffix("/**").map(|folder| if folder.is_empty() { "/" } else { folder });
        let path = std::path::absolute(folder.unwrap_or(target)).map_err(|_| WrongTarget::Empty)?;
        // Where a path is no text, the settings and the table cannot name it.
        Ok(named(path.to_str().ok_or(WrongTarget::NoText)?, folder.is_some()))
    }
}

impl FromStr for Watched {
    type Err = WrongTarget;
    fn from_str(text: &str) -> Result<Self, WrongTarget> {
        Self::new(text)
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.target)?;
        if self.recursive { f.write_str("/**") } else { Ok(()) }
    }
}

/// Why a text names nothing that could be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrongTarget {
    /// Nothing.
    #[error("it is empty")]
    Empty,
    /// An address, or a magnet URI that cannot be used.
    #[error("it is neither a path nor a magnet URI that can be used")]
    Url,
    /// Bytes that are no text.
    #[error("its path is not Unicode text")]
    NoText,
}

/// The table, in a connection of its own: several programs may use it at once.
#[derive(Debug)]
pub struct WatchList {
    connection: Connection,
    path: PathBuf,
    version: i64,
}

impl WatchList {
    /// Opens the file in this folder; it is made where it is missing. A damaged file is left as it is.
    ///
    /// # Errors
    /// The system refuses, or the file is damaged.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        make_folder(folder).map_err(|source| StoreError::Io { path: folder.to_owned(), source })?;
        let path = folder.join(FILE);
        let connection = sqlite::connect(&path)?;
        Ok(Self { connection, path, version: -1 })
    }

    /// All that is watched.
    ///
    /// # Errors
    /// The system refuses.
    pub fn all(&self) -> Result<Vec<Watched>, StoreError> {
        self.query().map_err(|source| self.error(source))
    }

    fn query(&self) -> rusqlite::Result<Vec<Watched>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT target, port, recursive, seed, paused FROM watched ORDER BY rowid")?;
        let rows = statement.query_map([], |row| {
            let (target, port, recursive) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Watched { target, port, recursive, seed: row.get(3)?, paused: row.get(4)? })
        })?;
        rows.collect()
    }

    /// Whether another connection has written to the file since the last call.
    ///
    /// # Errors
    /// The system refuses.
    pub fn has_changed(&mut self) -> Result<bool, StoreError> {
        let version = self.connection.pragma_query_value(None, "data_version", |row| row.get(0));
        let version = version.map_err(|source| self.error(source))?;
        Ok(std::mem::replace(&mut self.version, version) != version)
    }

    /// Watches this from now on; whether that is new. What was said of the same target before is replaced.
    ///
    /// # Errors
    /// The system refuses.
    pub fn add(&self, watched: &Watched) -> Result<bool, StoreError> {
        let Watched { target, port, recursive, seed, paused } = watched;
        let write = || {
            let known = self.connection.prepare_cached("SELECT 1 FROM watched WHERE target = ?1")?.exists([target])?;
            let mut insert = self.connection.prepare_cached(
                "INSERT INTO watched (target, port, recursive, seed, paused) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (target) DO UPDATE SET port = ?2, recursive = ?3, seed = ?4, paused = ?5",
            )?;
            insert.execute(params![target, port, recursive, seed, paused]).map(|_| !known)
        };
        write().map_err(|source| self.error(source))
    }

    /// Those that are the name of a torrent with this infohash.
    ///
    /// # Errors
    /// The system refuses.
    pub fn naming(&self, infohash: InfoHash) -> Result<Vec<Watched>, StoreError> {
        let names = |watched: &Watched| Torrent::parse(&watched.target).is_ok_and(|t| t.infohashes.contains(&infohash));
        Ok(self.all()?.into_iter().filter(names).collect())
    }

    /// Watches this no longer; whether it was watched.
    ///
    /// # Errors
    /// The system refuses.
    pub fn remove(&self, target: &str) -> Result<bool, StoreError> {
        let removed = self.connection.execute("DELETE FROM watched WHERE target = ?1", [target]);
        removed.map(|count| count > 0).map_err(|source| self.error(source))
    }

    fn error(&self, source: rusqlite::Error) -> StoreError {
        sqlite::error(&self.path, source)
    }
}

impl Opened {
    /// What to tell the user of a file that was set aside.
    #[must_use]
    pub fn damage(&self) -> Option<(&str, &Path)> {
        self.set_aside.as_ref().map(|(reason, path)| (reason.as_str(), path.as_path()))
    }
}

/// A folder that only its owner may use. One that is there already stays as it is.
fn make_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_the_name_of_a_torrent_or_a_path() {
        let hash = "a".repeat(40);
        assert_eq!(Watched::new(&format!(" {hash}\n")).unwrap().target, hash);
        assert_eq!(Watched::new("/srv/**").unwrap().to_string(), "/srv/**");
        assert_eq!(Watched::new("/**").unwrap().target, "/");
        let relative = Watched::new("some/folder").unwrap();
        assert!(Path::new(&relative.target).is_absolute() && !relative.recursive, "{relative}");
        for wrong in ["", " ", "https://example.org/a.torrent", "magnet:?xt=urn:btih:no"] {
            assert!(Watched::new(wrong).is_err(), "{wrong}");
        }
    }
}
