//! Reads what a target lists: files, folders of them, lists of infohashes and magnet URIs. It blocks.
//!
//! A file is read again only when it is another one, or its size or its time of change has changed. One that cannot be used is named and leaves the
//! others alone; a target that is gone keeps what it listed last.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::announcer::source::{LeftOut, Listed, ListedState, Listing};
use crate::announcer::store::Watched;
use crate::engine::id::InfoHash;
use crate::torrent::{MAX_FILE_BYTES, Metainfo, MetainfoError, Torrent, list, printable};

/// Longest list that is read, in bytes.
const MAX_LIST_BYTES: u64 = 64 << 20;
/// Most lines of a list that are named one by one because they cannot be used: a file of another kind has nothing else.
const MAX_LINES_NAMED: usize = 20;
/// Most files that are read below one folder.
const MAX_FILES: usize = 200_000;
/// What is said of a pipe, a socket, a device, or a link to a folder.
const NO_FILE: &str = "it is not an ordinary file";
/// Most folders inside each other.
const MAX_DEPTH: usize = 32;

/// Where news of a target come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) folder: PathBuf,
    pub(super) recursive: bool,
    /// What the system calls the folder: another one under the same name is another place.
    number: u64,
}

/// A file as it was when it was read.
#[derive(Debug)]
struct Seen {
    mark: Mark,
    /// The look at which it was there last.
    look: u32,
    torrents: Box<[Listed]>,
    left_out: Box<[LeftOut]>,
}

/// A file as the system tells of it: what it calls it, its size, and its time of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    number: u64,
    len: u64,
    changed: Option<SystemTime>,
}

/// The reader of one target.
#[derive(Debug)]
pub(super) struct Reader {
    watched: Watched,
    /// What it names, where it is no path.
    named: Option<Torrent>,
    /// By their paths, seen from the target: there may be as many as there are torrents.
    seen: BTreeMap<Box<Path>, Seen>,
    /// The number of the look that goes on, or was the last.
    look: u32,
}

impl Reader {
    pub(super) fn new(watched: Watched) -> Self {
        let named = Torrent::parse(&watched.target).ok();
        Self { watched, named, seen: BTreeMap::new(), look: 0 }
    }

    /// Whether it can never list anything else.
    pub(super) const fn is_fixed(&self) -> bool {
        self.named.is_some()
    }

    /// Where to look for news; `None` while there is no such place.
    pub(super) fn place(&self) -> Option<Place> {
        if self.is_fixed() {
            return None;
        }
        let path = Path::new(&self.watched.target);
        let is_folder = path.is_dir();
        // Editors put another file in the place of the one that they change.
        let folder = if is_folder { path } else { path.parent()? };
        let number = number(&fs::metadata(folder).ok()?);
        Some(Place { folder: folder.to_owned(), recursive: is_folder && self.watched.recursive, number })
    }

    /// What it lists now.
    pub(super) fn read(&mut self) -> Listing {
        if let Some(torrent) = &self.named {
            let name = torrent.name.clone();
            let torrents = self.listed(&torrent.infohashes, name, ListedState::Active);
            return self.listing(Some(torrents), Vec::new(), None);
        }
        match self.read_path() {
            Ok((torrents, left_out)) => self.listing(Some(torrents), left_out, None),
            Err(error) => {
                let cure = "what it listed last goes on; it is looked for every few seconds";
                let trouble = format!("{}: {error}; {cure}", self.watched.target);
                self.listing(None, Vec::new(), Some(trouble))
            }
        }
    }

    fn read_path(&mut self) -> std::io::Result<(Vec<Listed>, Vec<LeftOut>)> {
        let path = PathBuf::from(&self.watched.target);
        let about = fs::metadata(&path)?;
        if !about.is_dir() && !about.is_file() {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, NO_FILE));
        }
        let mut left_out = Vec::new();
        self.look = self.look.wrapping_add(1);
        if about.is_dir() {
            self.look_into(&path, 0, &mut 0, &mut left_out)?;
        } else {
            self.look_at(&path, Path::new(""), &about);
        }
        let look = self.look;
        self.seen.retain(|_, seen| seen.look == look);
        let torrents = self.seen.values().flat_map(|seen| seen.torrents.iter().cloned()).collect();
        left_out.extend(self.seen.values().flat_map(|seen| seen.left_out.iter().cloned()));
        Ok((torrents, left_out))
    }

    /// Looks at the torrent files and lists of magnet URIs in a folder. That of the target must be readable; one in it is left
    /// out where it is not. Links to folders are not followed: they may lead in a circle.
    fn look_into(
        &mut self,
        folder: &Path,
        depth: usize,
        found: &mut usize,
        left_out: &mut Vec<LeftOut>,
    ) -> std::io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            let shown = || printable(path.as_os_str().as_encoded_bytes());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if !self.watched.recursive || depth >= MAX_DEPTH {
                    continue;
                }
                if let Err(error) = self.look_into(&path, depth + 1, found, left_out) {
                    left_out.push(LeftOut { entry: shown(), reason: error.to_string() });
                }
            } else if is_of_a_torrent(&path) {
                if *found >= MAX_FILES {
                    let reason = format!("there are more than {MAX_FILES} files; watch smaller folders");
                    left_out.push(LeftOut { entry: shown(), reason });
                    return Ok(());
                }
                match fs::metadata(&path) {
                    Ok(about) if about.is_file() => {
                        *found += 1;
                        let name = path.strip_prefix(&self.watched.target).unwrap_or(&path);
                        self.look_at(&path, name, &about);
                    }
                    // A pipe would keep its reader waiting for ever.
                    Ok(_) => left_out.push(LeftOut { entry: shown(), reason: NO_FILE.to_owned() }),
                    Err(error) => left_out.push(LeftOut { entry: shown(), reason: error.to_string() }),
                }
            }
        }
        Ok(())
    }

    /// Reads a file if it is not the one that was read before. `name` is its path, seen from the target.
    fn look_at(&mut self, file: &Path, name: &Path, about: &Metadata) {
        let mark = Mark { number: number(about), len: about.len(), changed: about.modified().ok() };
        let look = self.look;
        match self.seen.get_mut(name) {
            Some(seen) if seen.mark == mark => seen.look = look,
            _ => {
                let shown = if name.as_os_str().is_empty() { file } else { name };
                let (torrents, left_out) = self.read_file(file, shown);
                let seen = Seen { mark, look, torrents: torrents.into(), left_out: left_out.into() };
                self.seen.insert(name.into(), seen);
            }
        }
    }

    fn read_file(&self, path: &Path, name: &Path) -> (Vec<Listed>, Vec<LeftOut>) {
        let entry = printable(name.as_os_str().as_encoded_bytes());
        let left_out = |reason: String| (Vec::new(), vec![LeftOut { entry: entry.clone(), reason }]);
        let limit = if is_torrent(path) { MAX_FILE_BYTES } else { MAX_LIST_BYTES };
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
        if let Err(error) = read {
            return left_out(MetainfoError::Unreadable(error).to_string());
        }
        if bytes.len() as u64 > limit {
            return left_out(format!("it is larger than {} MiB", limit >> 20));
        }
        if !is_torrent(path) && !list::is_a_file(&bytes) {
            return self.read_list(&bytes);
        }
        match Metainfo::parse(&bytes) {
            Ok(metainfo) => {
                let state = if metainfo.info.private { ListedState::Private } else { ListedState::Active };
                (self.listed(&metainfo.info.infohashes(), metainfo.info.name.clone(), state), Vec::new())
            }
            Err(error) => left_out(error.to_string()),
        }
    }

    /// One infohash or magnet URI a line, in all forms that lists have; blank lines and those that begin with `#` are no entries.
    fn read_list(&self, bytes: &[u8]) -> (Vec<Listed>, Vec<LeftOut>) {
        let (mut torrents, mut left_out) = (Vec::new(), Vec::new());
        let mut more = 0_usize;
        for (line, entry) in list::entries(&list::to_utf8(bytes)) {
            let entry = String::from_utf8_lossy(list::unquoted(entry));
            if entry.is_empty() || entry.starts_with('#') {
                continue;
            }
            match Torrent::parse(&entry) {
                Ok(torrent) => torrents.extend(self.listed(&torrent.infohashes, torrent.name, ListedState::Active)),
                Err(_) if left_out.len() >= MAX_LINES_NAMED => more += 1,
                Err(error) => left_out.push(LeftOut { entry: format!("line {line}"), reason: error.to_string() }),
            }
        }
        if more > 0 {
            let reason = "they are no infohashes and no magnet URIs either".to_owned();
            left_out.push(LeftOut { entry: format!("{more} more lines"), reason });
        }
        (torrents, left_out)
    }

    fn listed(&self, infohashes: &[InfoHash], name: Option<String>, state: ListedState) -> Vec<Listed> {
        let name: Option<std::sync::Arc<str>> = name.map(Into::into);
        let Watched { port, seed, paused, .. } = self.watched;
        let state = if paused && state == ListedState::Active { ListedState::Paused } else { state };
        let one = |infohash: &InfoHash| Listed { infohash: *infohash, name: name.clone(), port, complete: seed, state };
        infohashes.iter().map(one).collect()
    }

    fn listing(&self, torrents: Option<Vec<Listed>>, left_out: Vec<LeftOut>, trouble: Option<String>) -> Listing {
        Listing { source: self.watched.target.as_str().into(), torrents, ipv4_only: false, left_out, trouble }
    }
}

fn is_torrent(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("torrent"))
}

fn is_of_a_torrent(path: &Path) -> bool {
    is_torrent(path) || path.extension().is_some_and(|end| end.eq_ignore_ascii_case("magnet"))
}

#[cfg(unix)]
fn number(about: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(about)
}

#[cfg(not(unix))]
fn number(_: &Metadata) -> u64 {
    0
}

#[cfg(test)]
mod tests;
