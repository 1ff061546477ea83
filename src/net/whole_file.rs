//! A file that is replaced as a whole: a crash leaves the old one or the new one, never a part.
//!
//! A temporary file is written, synchronised and renamed; then the folder is synchronised. Two temporary files are open
//! before they are needed, so that two saves in a row succeed in a process that has no descriptor left.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::clock::unix_seconds;

/// Temporary files that are kept open: each save uses one, and opens another if it can.
const PREPARED: usize = 2;

/// A file in a folder of ours that only its owner may read.
#[derive(Debug)]
pub struct WholeFile {
    target: PathBuf,
    /// The folder itself: a rename is on the disk only once its folder is.
    folder: Option<File>,
    /// The files that the next saves write.
    prepared: Mutex<[Option<File>; PREPARED]>,
}

/// Where replacing failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {}: {source}", path.display())]
pub struct ReplaceError {
    /// What was tried.
    pub what: &'static str,
    /// On what.
    pub path: PathBuf,
    /// The system's reason.
    pub source: io::Error,
}

impl WholeFile {
    /// Opens what a save of `target` needs. What stands at the names of the temporary files goes.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn prepare(target: PathBuf) -> Result<Self, ReplaceError> {
        // Where a folder cannot be opened (Windows), it need not be synchronised either.
        let folder = target.parent().and_then(|folder| File::open(folder).ok());
        let this = Self { target, folder, prepared: Mutex::default() };
        for place in 0..PREPARED {
            let temporary = this.temporary(place);
            let file = create_private(&temporary).map_err(error("write", &temporary))?;
            this.prepared()[place] = Some(file);
        }
        Ok(this)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.target
    }

    /// Replaces what the file holds.
    ///
    /// # Errors
    /// The system refuses; the file is as it was then.
    pub fn replace(&self, bytes: &[u8]) -> Result<(), ReplaceError> {
        self.replace_by(|file| file.write_all(bytes))
    }

    /// Replaces what the file holds by what `write` writes.
    ///
    /// # Errors
    /// The system refuses; the file is as it was then.
    pub fn replace_by(&self, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), ReplaceError> {
        let mut prepared = self.prepared();
        let place = prepared.iter().position(Option::is_some).unwrap_or(0);
        let temporary = self.temporary(place);
        let usable = prepared[place].take().filter(|file| is_still_at(file, &temporary));
        let written = usable.map_or_else(|| create_private(&temporary), Ok).and_then(|mut file| {
            write(&mut file)?;
            file.sync_all()
        });
        if let Err(source) = written {
            // A part of a file takes room where there may be none.
            let _ = fs::remove_file(&temporary);
            return Err(error("write", &temporary)(source));
        }
        fs::rename(&temporary, &self.target).map_err(error("replace", &self.target))?;
        if let Some(folder) = &self.folder {
            folder.sync_all().map_err(error("synchronise the folder of", &self.target))?;
        }
        for (place, file) in prepared.iter_mut().enumerate().filter(|(_, file)| file.is_none()) {
            // If it cannot be had now, the next save tries again.
            *file = create_private(&self.temporary(place)).ok();
        }
        Ok(())
    }

    fn prepared(&self) -> std::sync::MutexGuard<'_, [Option<File>; PREPARED]> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `state.new` and `state.new-2` of `state`.
    fn temporary(&self, place: usize) -> PathBuf {
        let mut name = self.target.file_name().unwrap_or_default().to_owned();
        name.push(if place == 0 { ".new".to_owned() } else { format!(".new-{}", place + 1) });
        self.target.with_file_name(name)
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        let prepared = std::mem::take(&mut *self.prepared());
        for (place, file) in prepared.into_iter().enumerate() {
            let temporary = self.temporary(place);
            if file.is_some_and(|file| is_still_at(&file, &temporary)) {
                let _ = fs::remove_file(temporary);
            }
        }
    }
}

/// Whether `path` still names `file`: it was neither replaced nor removed.
#[cfg(unix)]
fn is_still_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    file.metadata().is_ok_and(|open| path.symlink_metadata().is_ok_and(|named| same(&open, &named)))
}

#[cfg(not(unix))]
fn is_still_at(_: &File, path: &Path) -> bool {
    path.is_file()
}

/// A new file that only its owner may read: it holds the secrets behind our tokens. What had the name before goes; had it
/// been a link, nothing is written where it led.
///
/// # Errors
/// The system refuses.
pub fn create_private(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The name to which a damaged `file` is moved: it says when, and no other file has it, also within one second.
#[must_use]
pub fn name_aside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".damaged-{}", unix_seconds()));
    let numbered = (2u64..).map(|number| {
        let mut name = name.clone();
        name.push(format!("-{number}"));
        PathBuf::from(name)
    });
    let is_free = |path: &PathBuf| path.symlink_metadata().is_err();
    std::iter::once(PathBuf::from(&name)).chain(numbered).find(is_free).expect("one of 2^64 names is free")
}

fn error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ReplaceError {
    move |source| ReplaceError { what, path: path.into(), source }
}
