//! What survives a restart: one file, and a lock so that one process at a time keeps it.
//!
//! `state.bencode` is canonical bencode, read and written by `bendy`: per bound address the id, the port, the token
//! secrets, contacts, and stored peers with the absolute time of their announce. It is replaced as a whole
//! ([`WholeFile`]). A file that cannot be read is set aside, never
//! overwritten, and the node starts without it.

mod format;
mod holder;

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

#[cfg(unix)]
use rustix::io::Errno;

use super::clock::unix_seconds;
use super::whole_file::{ReplaceError, WholeFile, name_aside};
use crate::engine::node::{SlicedSnapshot, Snapshot};

pub use format::Unreadable;
pub use holder::holder;

const STATE_FILE: &str = "state.bencode";
const LOCK_FILE: &str = "lock";
/// Longest state file that is read, in bytes: 64 MiB of packed peers grow to about 150 MiB here.
const MAX_STATE_BYTES: u64 = 512 << 20;

/// The state of all nodes of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// When it was saved, in seconds since 1970.
    pub saved_at: u64,
    /// One for each bound address.
    pub nodes: Vec<SavedNode>,
}

impl State {
    /// The bytes of the state file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        format::encode(self)
    }

    /// Reads the bytes of a state file at `now`, in seconds since 1970, and leaves out what has expired since it was saved.
    ///
    /// # Errors
    /// They are those of no state, or damaged.
    pub fn decode(bytes: &[u8], now: u64) -> Result<Self, Unreadable> {
        format::decode(bytes, now)
    }

    /// What it knows of other nodes, and nothing else of it: for a node beside the one that keeps the folder, whose id and
    /// port are its own.
    #[must_use]
    pub fn contacts_only(&self) -> Self {
        let contacts = |node: &SavedNode| SavedNode {
            asked: node.bound,
            snapshot: Snapshot { contacts: node.snapshot.contacts.clone(), ..Snapshot::default() },
            ..*node
        };
        Self { nodes: self.nodes.iter().map(contacts).collect(), ..*self }
    }
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

/// The state as the nodes gave it. A million peers as a list are a hundred megabytes: they stay packed until they are written.
#[derive(Debug)]
pub struct PackedState {
    /// When it is saved, in seconds since 1970.
    pub saved_at: u64,
    /// The nodes.
    pub nodes: Vec<PackedNode>,
    /// Nodes of earlier runs, which are kept.
    pub others: Vec<SavedNode>,
}

/// One node's share of it.
#[derive(Debug)]
pub struct PackedNode {
    /// The address that was asked for, perhaps with port 0 or the wildcard.
    pub asked: SocketAddr,
    /// The address that it is bound to.
    pub bound: SocketAddr,
    /// What it holds.
    pub snapshot: SlicedSnapshot,
}

impl PackedState {
    /// The state with its peers as a list.
    #[must_use]
    pub fn unpack(self) -> State {
        let unpack = |PackedNode { asked, bound, snapshot }| SavedNode { asked, bound, snapshot: snapshot.unpack() };
        State { saved_at: self.saved_at, nodes: self.nodes.into_iter().map(unpack).chain(self.others).collect() }
    }
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

impl PersistError {
    /// What the user can do about it.
    #[must_use]
    pub fn cure(&self) -> &'static str {
        let Self::Io { source, .. } = self else { return "name a folder of its own for each node with --data-dir" };
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                "free some room there, or name a folder on another disk with --data-dir"
            }
            io::ErrorKind::ReadOnlyFilesystem => "name a folder that can be written with --data-dir",
            io::ErrorKind::IsADirectory => "move that folder away, or name another data folder with --data-dir",
            io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                "name a folder, not a file, with --data-dir, or move that file away"
            }
            io::ErrorKind::PermissionDenied => "name a folder that is yours with --data-dir, or change its owner",
            #[cfg(unix)]
            _ if has_errno(source, &[Errno::MFILE, Errno::NFILE]) => {
                "raise the limit of open files (ulimit -n, or LimitNOFILE= in a unit)"
            }
            #[cfg(unix)]
            _ if has_errno(source, &[Errno::LOOP]) => "remove that link: files of a data folder are no links",
            _ => "see that the data folder can be read and written, or name another one with --data-dir",
        }
    }
}

impl From<ReplaceError> for PersistError {
    fn from(ReplaceError { what, path, source }: ReplaceError) -> Self {
        Self::Io { what, path, source }
    }
}

#[cfg(unix)]
fn has_errno(error: &io::Error, any: &[Errno]) -> bool {
    Errno::from_io_error(error).is_some_and(|errno| any.contains(&errno))
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
///
/// Everything that a save needs is open before it begins, so that it works in a process that has no descriptor left.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
    state: WholeFile,
}

impl DataDir {
    /// Takes the folder, creating it if need be.
    ///
    /// # Errors
    /// Another process keeps it, or the system refuses.
    pub fn keep(path: &Path) -> Result<Self, PersistError> {
        create_folder(path).map_err(io_error("create the data folder", path))?;
        let lock_path = path.join(LOCK_FILE);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let mut lock = follow_no_link(&mut options).open(&lock_path).map_err(io_error("open", &lock_path))?;
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
        let state = WholeFile::prepare(path.join(STATE_FILE))?;
        Ok(Self { path: path.into(), _lock: lock, state })
    }

    /// Reads the state; a damaged file is set aside under a name that says when.
    ///
    /// # Errors
    /// The system refuses.
    pub fn load(&self) -> Result<Found, PersistError> {
        match look(&self.path)? {
            Found::Damaged { reason, .. } => {
                let from = self.path.join(STATE_FILE);
                let to = name_aside(&from);
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
        Ok(self.state.replace(&state.encode())?)
    }

    /// Replaces the state, without ever having the whole of it in memory once more.
    ///
    /// # Errors
    /// The system refuses; the old state is still there then.
    pub fn save_packed(&self, state: PackedState) -> Result<(), PersistError> {
        Ok(self.state.replace_by(|file| format::write(file, state, &[]))?)
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// When the state of a folder was saved, in seconds since 1970.
#[must_use]
pub fn last_saved(path: &Path) -> Option<u64> {
    let saved = fs::metadata(path.join(STATE_FILE)).ok()?.modified().ok()?;
    saved.duration_since(std::time::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// Reads the state of a folder that another process may keep, changing nothing.
///
/// # Errors
/// The system refuses.
pub fn look(path: &Path) -> Result<Found, PersistError> {
    let file = path.join(STATE_FILE);
    let bytes = match read_state(&file) {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(reason)) => return Ok(Found::Damaged { reason, moved_to: None }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(io_error("read", &file)(error)),
    };
    Ok(match State::decode(&bytes, unix_seconds()) {
        Ok(state) => Found::State(state),
        Err(reason) => Found::Damaged { reason, moved_to: None },
    })
}

/// What the state file of a folder knows of other nodes; nothing where there is none that can be read.
#[must_use]
pub fn saved_contacts(path: &Path) -> State {
    match look(path) {
        Ok(Found::State(state)) => state.contacts_only(),
        _ => State::default(),
    }
}

/// The bytes of a state file, unless its first ones or its length show that it is none.
fn read_state(path: &Path) -> io::Result<Result<Vec<u8>, Unreadable>> {
    let about = fs::metadata(path)?;
    if !about.is_file() {
        let kind = if about.is_dir() { io::ErrorKind::IsADirectory } else { io::ErrorKind::InvalidInput };
        return Err(io::Error::new(kind, if about.is_dir() { "it is a folder" } else { "it is not a file" }));
    }
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    io::Read::by_ref(&mut file).take(format::HEAD_BYTES).read_to_end(&mut bytes)?;
    if let Err(reason) = format::check_head(&bytes) {
        return Ok(Err(reason));
    }
    if about.len() > MAX_STATE_BYTES {
        return Ok(Err(Unreadable::TooLong(about.len())));
    }
    file.take(MAX_STATE_BYTES).read_to_end(&mut bytes)?;
    Ok(Ok(bytes))
}

/// A folder that only its owner may use: what is in it are secrets, and names that nobody else may put links under. A
/// folder that is there already stays as it is.
fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// Refuses to open a symbolic link.
fn follow_no_link(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PersistError {
    move |source| PersistError::Io { what, path: path.into(), source }
}

#[cfg(test)]
mod tests;
