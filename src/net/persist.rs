//! What survives a restart: one file, and a lock so that one process at a time keeps it.
//!
//! `state.bencode` is canonical bencode, read and written by `bendy`: per bound address the id, the port, the token
//! secrets, contacts, and stored peers with the absolute time of their announce. It is replaced as a whole (temporary
//! file, fsync, rename), so a crash leaves the old one or the new one. A file that cannot be read is set aside, never
//! overwritten, and the node starts without it.

mod format;
mod holder;

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::clock::unix_seconds;
use crate::engine::node::Snapshot;

pub use format::Unreadable;
pub use holder::holder;

const STATE_FILE: &str = "state.bencode";
const LOCK_FILE: &str = "lock";
/// A state file is not read beyond this: 64 MiB of packed peers grow to about 150 MiB here.
const MAX_STATE_BYTES: u64 = 512 << 20;

/// The state of all nodes of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// When it was saved, in seconds since 1970.
    pub saved_at: u64,
    /// One for each bound address.
    pub nodes: Vec<SavedNode>,
}

/// One node's share of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedNode {
    /// The address that was asked for, perhaps with port 0 or the wildcard.
    pub asked: SocketAddr,
    /// The address that it was bound to.
    pub bound: SocketAddr,
    /// The rest.
    pub snapshot: Snapshot,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PersistError {
    /// Another process keeps it.
    #[error("the data folder {} is in use by {holder}", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// What its lock file says of the process.
        holder: String,
    },
    /// The system refused something.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// What was found in a data folder.
#[derive(Debug)]
pub enum Found {
    /// No state yet.
    Nothing,
    /// A state.
    State(State),
    /// A file that is no state.
    Damaged {
        /// What is wrong with it.
        reason: Unreadable,
        /// Where it was set aside; `None` if it was left in place because only a keeper may move it.
        moved_to: Option<PathBuf>,
    },
}

/// A data folder that this process keeps. The lock goes when it is dropped, or when the process dies.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Takes the folder, creating it if need be.
    ///
    /// # Errors
    /// Another process keeps it, or the system refuses.
    pub fn keep(path: &Path) -> Result<Self, PersistError> {
        fs::create_dir_all(path).map_err(io_error("create the data folder", path))?;
        let lock_path = path.join(LOCK_FILE);
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(io_error("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(PersistError::InUse { path: path.into(), holder: holder::name(lock) });
            }
            Err(TryLockError::Error(source)) => return Err(io_error("lock", &lock_path)(source)),
        }
        let holder = format!("process {}\n", std::process::id());
        let written = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(holder.as_bytes()));
        written.map_err(io_error("write", &lock_path))?;
        Ok(Self { path: path.into(), _lock: lock })
    }

    /// Reads the state; a damaged file is set aside under a name that says when.
    ///
    /// # Errors
    /// The system refuses.
    pub fn load(&self) -> Result<Found, PersistError> {
        match look(&self.path)? {
            Found::Damaged { reason, .. } => {
                let from = self.path.join(STATE_FILE);
                let to = self.path.join(format!("{STATE_FILE}.damaged-{}", unix_seconds()));
                fs::rename(&from, &to).map_err(io_error("set aside", &from))?;
                Ok(Found::Damaged { reason, moved_to: Some(to) })
            }
            found => Ok(found),
        }
    }

    /// Replaces the state.
    ///
    /// # Errors
    /// The system refuses; the old state is still there then.
    pub fn save(&self, state: &State) -> Result<(), PersistError> {
        let (target, temporary) = (self.path.join(STATE_FILE), self.path.join(format!("{STATE_FILE}.new")));
        let bytes = format::encode(state);
        let written = create_private(&temporary).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()
        });
        written.map_err(io_error("write", &temporary))?;
        fs::rename(&temporary, &target).map_err(io_error("replace", &target))
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Reads the state of a folder that another process may keep, changing nothing.
///
/// # Errors
/// The system refuses.
pub fn look(path: &Path) -> Result<Found, PersistError> {
    let file = path.join(STATE_FILE);
    let mut bytes = Vec::new();
    match File::open(&file) {
        Ok(file) => file.take(MAX_STATE_BYTES).read_to_end(&mut bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => Err(error),
    }
    .map_err(io_error("read", &file))?;
    Ok(match format::decode(&bytes, unix_seconds()) {
        Ok(state) => Found::State(state),
        Err(reason) => Found::Damaged { reason, moved_to: None },
    })
}

/// A file that only its owner may read: it holds the secrets behind our tokens.
fn create_private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PersistError {
    move |source| PersistError::Io { what, path: path.into(), source }
}

#[cfg(test)]
mod tests;
