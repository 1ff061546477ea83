//! What names a torrent: infohashes, magnet URIs and torrent files, and whether the DHT may hear of it.
//!
//! Whatever a torrent is named by becomes a [`Torrent`]: the infohashes of its swarms, 20 bytes each. A v2 infohash is
//! cut (BEP 52), a hybrid torrent has two. A private torrent (BEP 27) becomes none: its peers are for its own trackers
//! alone, so that a program which announces only what is a [`Torrent`] never announces a private one whose file it has.
//! An infohash and a magnet URI do not show the flag; [`Torrent::known_public`] tells which names did.
//!
//! ```
//! use trackerless::torrent::{Metainfo, Torrent};
//!
//! let torrent = Torrent::parse("magnet:?xt=urn:btih:SM4TFP3BJHFENZPCCDBQ4DPNTJKM5ERL&dn=a+name")?;
//! assert_eq!(torrent.infohashes[0].to_string(), "933932bf6149ca46e5e210c30e0ded9a54ce922b");
//! assert_eq!((torrent.name.as_deref(), torrent.known_public), (Some("a name"), false));
//!
//! let file = b"d4:infod6:lengthi7e4:name1:a12:piece lengthi16384e6:pieces20:01234567890123456789ee";
//! let torrent = Torrent::of_metainfo(&Metainfo::parse(file)?)?;
//! assert!(torrent.known_public);
//!
//! let private = [&file[..file.len() - 2], b"7:privatei1eee"].concat();
//! assert!(Torrent::of_metainfo(&Metainfo::parse(&private)?).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The room is pure: it reads bytes and text, never a path, and what it reads may come from strangers. Whatever cannot
//! be read is answered with what is wrong and where, never with a guess.
#![forbid(unsafe_code)]

mod files;
mod info;
pub mod list;
mod magnet;
mod metainfo;
mod name;
mod reader;

use std::fmt;

use arrayvec::ArrayVec;
use sha1::{Digest, Sha1};

use crate::engine::id::InfoHash;

pub use files::{TorrentFile, files};
pub use info::{Info, InfoError};
pub use magnet::MagnetError;
pub use metainfo::{MAX_FILE_BYTES, Metainfo, MetainfoError};
pub use name::{InfohashError, parse_infohash, printable};
pub use reader::Malformed;

/// A torrent that the DHT may hear of, as far as its name tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torrent {
    /// Infohashes of its swarms: one, or two for a hybrid torrent, v1 first.
    pub infohashes: ArrayVec<InfoHash, 2>,
    /// Display name, free of control characters.
    pub name: Option<String>,
    /// Whether it is known to be public (BEP 27). Only an info dictionary shows that.
    pub known_public: bool,
}

/// Why text names no torrent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// No infohash.
    #[error(transparent)]
    Infohash(#[from] InfohashError),
    /// A magnet URI that cannot be used.
    #[error(transparent)]
    Magnet(#[from] MagnetError),
}

/// The torrent is private.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the torrent is private (BEP 27): only its own trackers may know its peers")]
pub struct PrivateTorrent;

impl Torrent {
    /// The torrent of an infohash about which nothing else is known.
    #[must_use]
    pub fn of_infohash(infohash: InfoHash) -> Self {
        Self { infohashes: ArrayVec::from_iter([infohash]), name: None, known_public: false }
    }

    /// Reads an infohash (40 hexadecimal digits or 32 of base32), alone or as `urn:btih:`, or a magnet URI (BEP 9).
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if magnet::is_magnet(text) {
            return Ok(magnet::parse(text)?);
        }
        let infohash = magnet::topic(text).map_or_else(|| parse_infohash(text), name::btih);
        Ok(Self::of_infohash(infohash?))
    }

    /// The torrent of a torrent file.
    ///
    /// # Errors
    /// It is private.
    pub fn of_metainfo(metainfo: &Metainfo) -> Result<Self, PrivateTorrent> {
        Self::of_info(&metainfo.info)
    }

    /// The torrent of an info dictionary.
    ///
    /// # Errors
    /// It is private.
    pub fn of_info(info: &Info) -> Result<Self, PrivateTorrent> {
        match info.private {
            true => Err(PrivateTorrent),
            false => Ok(Self { infohashes: info.infohashes(), name: info.name.clone(), known_public: true }),
        }
    }

    /// The swarm of those who serve `text`: a URL, a name, anything that both sides know. Its SHA-1 is the infohash, so
    /// that the DHT is an index of anything, as Coral's was of URLs.
    #[must_use]
    pub fn of_key(text: &str) -> Self {
        let infohashes = ArrayVec::from_iter([InfoHash::new(Sha1::digest(text).into())]);
        let name = Some(printable(text.as_bytes())).filter(|name| !name.trim().is_empty());
        Self { infohashes, name, known_public: true }
    }
}

impl fmt::Display for Torrent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.infohashes.first()) {
            (Some(name), _) => f.write_str(name),
            (None, Some(infohash)) => infohash.fmt(f),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_infohash_of_a_key_is_its_sha_1() {
        let torrent = Torrent::of_key("The quick brown fox jumps over the lazy dog");
        assert_eq!(torrent.infohashes[0].to_string(), "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12");
        assert!(torrent.known_public, "what has no torrent is no private torrent");
        assert_eq!(Torrent::of_key("").to_string(), "da39a3ee5e6b4b0d3255bfef95601890afd80709", "nothing to show");
    }

    proptest! {
        #[test]
        fn nothing_makes_the_reader_panic(text in ".{0,90}") {
            let _ = Torrent::parse(&text);
        }

        #[test]
        fn every_infohash_reads_back(bytes in any::<[u8; 20]>()) {
            prop_assert_eq!(Torrent::parse(&InfoHash::new(bytes).to_string()), Ok(Torrent::of_infohash(InfoHash::new(bytes))));
        }
    }
}
