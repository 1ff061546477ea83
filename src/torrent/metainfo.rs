//! Torrent files (BEP 3, BEP 52).
//!
//! The infohash is taken over the bytes of `info` as they stand in the file, so that nothing in the file needs to be
//! canonical for it to be right.

use std::io::{self, Read};

use super::info::{Info, InfoError};
use super::reader::{Malformed, Reader, ValueType};

/// Largest torrent file that is read, in bytes: one of a million files is smaller.
pub const MAX_FILE_BYTES: u64 = 128 << 20;

/// Why a file is no torrent that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetainfoError {
    /// The operating system refused.
    #[error("the file cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// More than the bound.
    #[error("the file is larger than {} MiB, no torrent is", MAX_FILE_BYTES >> 20)]
    TooLarge,
    /// Something else altogether.
    #[error("the file is not a torrent: {0}")]
    NotATorrent(&'static str),
    /// It begins like a torrent, and then it is no bencode.
    #[error("the file is no bencode: {0}")]
    Malformed(#[from] Malformed),
    /// The dictionary `info` cannot be used.
    #[error("the file is not a torrent: {0}")]
    Info(#[source] InfoError),
}

/// What a torrent file says.
///
/// ```
/// use trackerless::torrent::{Metainfo, Torrent};
///
/// let file = b"d4:infod6:lengthi7e4:name1:a12:piece lengthi16384e6:pieces20:012345678901234567897:privatei1eee";
/// let metainfo = Metainfo::parse(file)?;
/// assert!(metainfo.info.private);
/// assert!(Torrent::of_metainfo(&metainfo).is_err(), "the DHT must not hear of it (BEP 27)");
/// # Ok::<(), trackerless::torrent::MetainfoError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metainfo {
    /// What the torrent is.
    pub info: Info,
}

impl Metainfo {
    /// Reads a torrent file of at most [`MAX_FILE_BYTES`].
    ///
    /// # Errors
    /// The file cannot be read, or it is no torrent.
    pub fn read(file: impl Read) -> Result<Self, MetainfoError> {
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(MetainfoError::TooLarge);
        }
        Self::parse(&bytes)
    }

    /// Reads the bytes of a torrent file. What stands behind its end does not matter.
    ///
    /// # Errors
    /// It is no torrent.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetainfoError> {
        if bytes.first() != Some(&b'd') {
            return Err(MetainfoError::NotATorrent(what_it_is(bytes)));
        }
        let mut reader = Reader::new(bytes);
        let (mut first, mut private) = (None, false);
        let mut fault = None;
        reader.dict(|reader, key| {
            if key == b"info" && fault.is_none() {
                match read_info(reader)? {
                    Ok(info) => {
                        private |= info.private;
                        first.get_or_insert(info);
                    }
                    Err(error) => fault = Some(error),
                }
            }
            Ok(())
        })?;
        match (first, fault) {
            // libtorrent reads the first of several, Transmission the last: private where one of them is.
            (Some(info), None) => Self { info: Info { private, ..info } }.checked(),
            (_, Some(fault)) => Err(MetainfoError::Info(fault)),
            (None, None) => Err(MetainfoError::NotATorrent("it has no info dictionary")),
        }
    }

    fn checked(self) -> Result<Self, MetainfoError> {
        match self.info.infohashes().is_empty() {
            true => Err(MetainfoError::NotATorrent("its info has neither pieces nor meta version 2")),
            false => Ok(self),
        }
    }
}

/// Reads the value of `info`, which is next. The outer error is that of the file, the inner one that of the dictionary.
fn read_info(reader: &mut Reader<'_>) -> Result<Result<Info, InfoError>, Malformed> {
    if reader.kind()? != ValueType::Dict {
        return Ok(Err(InfoError::NoDictionary));
    }
    Ok(Info::read(reader.skip()?))
}

/// What a file is that does not begin with a dictionary, by its first bytes.
fn what_it_is(bytes: &[u8]) -> &'static str {
    const MAGIC: [(&[u8], &str); 9] = [
        (b"\x1f\x8b", "it is compressed by gzip; unpack it first"),
        (b"BZh", "it is compressed by bzip2; unpack it first"),
        (b"\xfd7zXZ\0", "it is compressed by xz; unpack it first"),
        (b"\x28\xb5\x2f\xfd", "it is compressed by zstd; unpack it first"),
        (b"PK\x03\x04", "it is a ZIP archive; unpack it first"),
        (b"7z\xbc\xaf\x27\x1c", "it is a 7-Zip archive; unpack it first"),
        (b"Rar!", "it is a RAR archive; unpack it first"),
        (b"%PDF", "it is a PDF document"),
        (b"\0\0\0\0\0\0\0\0", "it is filled with zeros, as a download that was cut short"),
    ];
    if bytes.is_empty() {
        return "it is empty";
    }
    if let Some((_, name)) = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return name;
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let begins = |word: &str| text.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()));
    match text {
        _ if begins("<!doctype html") || begins("<html") => {
            "it is a web page (HTML): the site wants a login, or is gone"
        }
        _ if begins("<") => "it is XML or a web page",
        _ if begins("magnet:") => "it is text with a magnet URI; give the URI itself",
        [b'{' | b'[', ..] => "it is JSON",
        [b'd', ..] => "it has bytes before its dictionary",
        _ => "it does not begin with a dictionary",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::id::InfoHash;
    use sha1::{Digest as _, Sha1};

    const V1_INFO: &str = "d6:lengthi1e4:name1:a12:piece lengthi16384e6:pieces20:01234567890123456789e";

    fn torrent(info: &str) -> Vec<u8> {
        format!("d8:announce3:url4:info{info}e").into_bytes()
    }

    fn error(bytes: &[u8]) -> String {
        Metainfo::parse(bytes).unwrap_err().to_string()
    }

    fn v1(bytes: &[u8]) -> Option<InfoHash> {
        Metainfo::parse(bytes).unwrap_or_else(|error| panic!("{}: {error}", String::from_utf8_lossy(bytes))).info.v1
    }

    fn sha1_id(info: &str) -> Option<InfoHash> {
        Some(InfoHash::new(Sha1::digest(info).into()))
    }

    #[test]
    fn what_clients_open_is_opened_and_hashed_as_it_stands() {
        assert_eq!(v1(&torrent(V1_INFO)), sha1_id(V1_INFO));
        for (from, to) in [
            ("d6:length", "d1:zi1e6:length"),
            ("d6:length", "d4:name1:b6:length"),
            ("lengthi1e", "lengthi01e"),
            ("lengthi1e", "lengthi-0e"),
            ("4:name1:a", "04:name01:a"),
            ("6:pieces20:", "6:pieces020:"),
        ] {
            let info = V1_INFO.replace(from, to);
            assert_eq!(v1(&torrent(&info)), sha1_id(&info), "{to}");
        }
        for outer in [
            format!("d4:info{V1_INFO}8:announce3:urle"),
            format!("d8:announce3:url8:announce3:url4:info{V1_INFO}e"),
            format!("d13:creation datei00012e4:info{V1_INFO}e"),
            format!("d4:info{V1_INFO}4:info{V1_INFO}e"),
            format!("d4:info{V1_INFO}7:privatei1ee"),
            format!("d8:announce3:url4:info{V1_INFO}e\r\ntrailing"),
        ] {
            let metainfo = Metainfo::parse(outer.as_bytes()).unwrap();
            assert_eq!((metainfo.info.v1, metainfo.info.private), (sha1_id(V1_INFO), false), "{outer}");
        }
    }

    #[test]
    fn of_two_infos_the_first_names_it_and_either_makes_it_private() {
        let private = V1_INFO.replace("56789e", "567897:privatei1ee");
        for (first, second) in [(V1_INFO, &*private), (&private, V1_INFO)] {
            let metainfo = Metainfo::parse(format!("d4:info{first}4:info{second}e").as_bytes()).unwrap();
            assert_eq!((metainfo.info.v1, metainfo.info.private), (sha1_id(first), true));
        }
    }

    #[test]
    fn what_is_no_torrent_is_told_why() {
        for (bytes, what) in [
            (&b""[..], "it is empty"),
            (b"\x1f\x8b\x08\0", "compressed by gzip"),
            (b"PK\x03\x04", "ZIP"),
            (b"<html>", "a web page (HTML)"),
            (b"\xef\xbb\xbf\r\n<!DOCTYPE HTML>", "a web page (HTML)"),
            (b"<?xml version=\"1.0\"?>", "XML"),
            (b"{\"error\": 404}", "JSON"),
            (b"magnet:?xt=urn:btih:0", "magnet URI"),
            (b"\xef\xbb\xbfd4:info", "bytes before its dictionary"),
            (b"\0\0\0\0\0\0\0\0\0", "filled with zeros"),
            (b"404 Not Found", "does not begin with a dictionary"),
            (b"i1e", "does not begin with a dictionary"),
            (b"d8:announce3:urle", "no info dictionary"),
            (b"d4:info3:abce", "info is no dictionary"),
            (b"d4:infod4:name1:aee", "neither pieces nor meta version 2"),
            (b"d4:infod6:piecesi1eee", "neither pieces nor meta version 2"),
            (b"d4:infod12:meta versioni3eee", "meta version 3"),
            (b"d4:infod1:aee", "no bencode: no value begins at byte 11"),
            (&torrent(V1_INFO)[..60], "the file ends inside"),
        ] {
            assert!(error(bytes).contains(what), "{}: {}", String::from_utf8_lossy(bytes), error(bytes));
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = |depth| format!("d1:a{}{}4:info{V1_INFO}e", "l".repeat(depth), "e".repeat(depth));
        assert_eq!(v1(deep(100).as_bytes()), sha1_id(V1_INFO), "as deep as libtorrent reads");
        assert!(error(deep(10_000_000).as_bytes()).contains("nested too deeply"));
    }

    #[test]
    fn a_torrent_of_a_million_files_is_read() {
        let files = "d6:lengthi1e4:pathl1:aee".repeat(1_000_000);
        let info = format!("d5:filesl{files}e4:name1:a12:piece lengthi16384e6:pieces20:01234567890123456789e");
        let metainfo = Metainfo::read(&torrent(&info)[..]).unwrap();
        assert_eq!((metainfo.info.files, metainfo.info.size_bytes), (1_000_000, 1_000_000));
        assert_eq!(metainfo.info.v1, sha1_id(&info));
    }

    #[test]
    fn size_is_bounded() {
        let mut bytes = torrent(V1_INFO);
        bytes.resize(MAX_FILE_BYTES as usize, b'x');
        assert_eq!(Metainfo::read(&bytes[..]).unwrap().info.v1, sha1_id(V1_INFO));
        let error = Metainfo::read(io::Cursor::new(bytes).chain(io::repeat(b'x'))).unwrap_err();
        assert!(matches!(error, MetainfoError::TooLarge), "{error}");
    }
}
