//! A torrent of the index: what is kept of it, and how its files are packed.

use crate::engine::id::InfoHash;
use crate::torrent::TorrentFile;

/// Most files of a torrent that are kept.
pub const MOST_FILES: usize = 1_000;
/// Most bytes of a packed list of files, before it is compressed.
const MOST_PACKED: usize = 128 << 10;

/// Seconds since 1970.
pub type UnixSeconds = u64;

/// What is kept of a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its infohash; of a hybrid torrent the v1 one.
    pub infohash: InfoHash,
    /// Its name.
    pub name: String,
    /// Size of all files, in bytes.
    pub size_bytes: u64,
    /// Number of files.
    pub file_count: u64,
    /// The first files; none where they are not kept.
    pub files: Vec<TorrentFile>,
    /// When it was found.
    pub found: UnixSeconds,
    /// When it was last seen: announced, sampled or counted.
    pub seen: UnixSeconds,
    /// Its last count, with its time. Unknown is not 0.
    pub swarm: Option<Swarm>,
    /// Where it is known from.
    pub source: Source,
}

/// A count of a swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swarm {
    /// Peers that have all of it.
    pub seeds: u32,
    /// The other peers.
    pub peers: u32,
    /// When it was counted.
    pub at: UnixSeconds,
}

/// Where a torrent is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Our own lists and the gateway.
    Mine,
    /// Others announced it to us.
    Passive,
    /// A survey found it.
    Survey,
    /// It was imported from the source of this number, and it was not checked that its name belongs to its infohash.
    Import(u32),
}

/// The number of the first imported source in stores.
const FIRST_IMPORT: u32 = 3;

impl Source {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mine => "mine",
            Self::Passive => "passive",
            Self::Survey => "survey",
            Self::Import(_) => "import",
        }
    }

    /// Whether names of it were checked against their infohashes.
    #[must_use]
    pub const fn is_checked(self) -> bool {
        !matches!(self, Self::Import(_))
    }

    /// Its number in stores.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Mine => 0,
            Self::Passive => 1,
            Self::Survey => 2,
            Self::Import(origin) => FIRST_IMPORT.saturating_add(origin),
        }
    }

    /// The source of this number; an unknown one is the least trusted.
    #[must_use]
    pub fn of_number(number: i64) -> Self {
        match number {
            0 => Self::Mine,
            1 => Self::Passive,
            2 => Self::Survey,
            number => Self::Import(u32::try_from(number).unwrap_or(FIRST_IMPORT).saturating_sub(FIRST_IMPORT)),
        }
    }
}

/// A list of files as bytes: each path, what it has in common with the one before left out, and its size.
#[must_use]
pub fn pack(files: &[TorrentFile]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut before: &[u8] = b"";
    for file in files.iter().take(MOST_FILES) {
        let path = file.path.as_bytes();
        let common = path.iter().zip(before).take_while(|(one, other)| one == other).count();
        let start = bytes.len();
        push_number(&mut bytes, common as u64);
        push_number(&mut bytes, (path.len() - common) as u64);
        bytes.extend_from_slice(&path[common..]);
        push_number(&mut bytes, file.size_bytes);
        if bytes.len() > MOST_PACKED {
            bytes.truncate(start);
            break;
        }
        before = path;
    }
    bytes
}

/// The files of a packed list; those before the first that cannot be read.
#[must_use]
pub fn unpack(bytes: &[u8]) -> Vec<TorrentFile> {
    let (mut files, mut rest, mut path) = (Vec::new(), bytes, Vec::new());
    while !rest.is_empty() && files.len() < MOST_FILES {
        let Some(file) = unpack_one(&mut rest, &mut path) else { break };
        files.push(file);
    }
    files
}

fn unpack_one(rest: &mut &[u8], path: &mut Vec<u8>) -> Option<TorrentFile> {
    let common = usize::try_from(take_number(rest)?).ok().filter(|common| *common <= path.len())?;
    let length = usize::try_from(take_number(rest)?).ok()?;
    let (suffix, tail) = rest.split_at_checked(length)?;
    path.truncate(common);
    path.extend_from_slice(suffix);
    *rest = tail;
    let size_bytes = take_number(rest)?;
    Some(TorrentFile { path: String::from_utf8(path.clone()).ok()?, size_bytes })
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn files_come_back(files in prop::collection::vec(("[a-c/é]{1,12}", any::<u64>()), 0..40)) {
            let files: Vec<TorrentFile> =
                files.into_iter().map(|(path, size_bytes)| TorrentFile { path, size_bytes }).collect();
            prop_assert_eq!(unpack(&pack(&files)), files);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(unpack(&bytes).len() <= MOST_FILES);
        }
    }

    #[test]
    fn sources_have_numbers_and_unknown_ones_are_not_trusted() {
        for source in [Source::Mine, Source::Passive, Source::Survey, Source::Import(0), Source::Import(900)] {
            assert_eq!(Source::of_number(source.number().into()), source);
        }
        assert!(!Source::of_number(-1).is_checked() && !Source::of_number(i64::MAX).is_checked());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let file = |index: usize| TorrentFile { path: format!("{index:0900}"), size_bytes: 1 };
        let files: Vec<_> = (0..3_000).map(file).collect();
        assert!(pack(&files).len() <= MOST_PACKED);
        assert_eq!(unpack(&pack(&files)), files[..MOST_FILES]);
    }
}
