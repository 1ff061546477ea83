//! `.torrent` files: v1 (BEP 3), v2 and hybrid (BEP 52), and the refusal of private ones (BEP 27).
//!
//! The infohash is over the exact bytes of the `info` dictionary as they stand in the file. The file must be
//! canonical bencode: where a second reading of the same bytes is possible, so is a second infohash.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use arrayvec::ArrayVec;
use bendy::decoding::{Decoder, DictDecoder, Object};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{Target, printable};
use crate::engine::id::Id;

/// The largest torrent file that is read. Real ones stay under 10 MB, which is where libtorrent stops.
const MAX_BYTES: u64 = 32 << 20;

/// The v2 file tree nests one level per folder and one more per file.
const MAX_DEPTH: usize = 256;

/// What is wrong with a torrent file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TorrentFault {
    /// The operating system refused.
    #[error("the file cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    /// More than the bound.
    #[error("the file is larger than {} MiB, no torrent is", MAX_BYTES >> 20)]
    TooLarge,
    /// It is something else altogether.
    #[error("the file is not a torrent: {0}")]
    NotATorrent(&'static str),
    /// It begins like a torrent and then breaks the rules of bencode.
    #[error("the file is not canonical bencode: {0}")]
    Bencode(#[from] bendy::decoding::Error),
    /// A version that nobody has specified.
    #[error("the torrent has meta version {0}; versions 1 and 2 are known")]
    Version(String),
    /// BEP 27.
    #[error("the torrent is private (its info says private=1): only its own trackers may know its peers")]
    Private,
}

/// Reads the torrent file at `path`.
pub(super) fn read(path: &Path) -> Result<Target, TorrentFault> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(TorrentFault::TooLarge);
    }
    parse(&bytes)
}

/// Reads the bytes of a torrent file.
fn parse(bytes: &[u8]) -> Result<Target, TorrentFault> {
    let raw = raw_info(bytes)?;
    let info = Info::decode(raw)?;
    if info.private {
        return Err(TorrentFault::Private);
    }
    let v1 = info.has_pieces.then(|| Id::from_bytes(&Sha1::digest(raw)).expect("SHA-1 has 20 bytes"));
    let v2 = info.is_v2.then(|| Id::from_bytes(&Sha256::digest(raw)[..Id::LEN]).expect("20 of 32 bytes"));
    let infohashes: ArrayVec<Id, 2> = [v1, v2].into_iter().flatten().collect();
    if infohashes.is_empty() {
        return Err(TorrentFault::NotATorrent("its info has neither pieces nor meta version 2"));
    }
    Ok(Target { infohashes, name: info.name, known_public: true })
}

/// The bytes of the `info` dictionary.
fn raw_info(bytes: &[u8]) -> Result<&[u8], TorrentFault> {
    if bytes.first() != Some(&b'd') {
        return Err(TorrentFault::NotATorrent("it does not begin with a dictionary"));
    }
    let mut decoder = Decoder::new(bytes).with_max_depth(MAX_DEPTH);
    let mut outer = dictionary(&mut decoder)?;
    let mut info = None;
    while let Some((key, value)) = outer.next_pair()? {
        if key == b"info" {
            info = Some(into_dictionary(value, "its info is no dictionary")?.into_raw()?);
        }
    }
    info.ok_or(TorrentFault::NotATorrent("it has no info dictionary"))
}

/// The few keys of an info dictionary that decide what it is.
#[derive(Default)]
struct Info {
    name: Option<String>,
    has_pieces: bool,
    is_v2: bool,
    private: bool,
}

impl Info {
    fn decode(raw: &[u8]) -> Result<Self, TorrentFault> {
        let mut decoder = Decoder::new(raw).with_max_depth(MAX_DEPTH);
        let mut dict = dictionary(&mut decoder)?;
        let mut info = Self::default();
        while let Some((key, value)) = dict.next_pair()? {
            info.read(key, value)?;
        }
        Ok(info)
    }

    fn read(&mut self, key: &[u8], value: Object<'_, '_>) -> Result<(), TorrentFault> {
        match (key, value) {
            (b"name", Object::Bytes(name)) => self.name = Some(printable(name)),
            (b"pieces", Object::Bytes(_)) => self.has_pieces = true,
            (b"private", Object::Integer(number)) => self.private = number == "1",
            (b"meta version", Object::Integer("1")) => {}
            (b"meta version", Object::Integer("2")) => self.is_v2 = true,
            (b"meta version", Object::Integer(other)) => return Err(TorrentFault::Version(other.to_owned())),
            _ => {}
        }
        Ok(())
    }
}

fn dictionary<'obj, 'ser>(decoder: &'obj mut Decoder<'ser>) -> Result<DictDecoder<'obj, 'ser>, TorrentFault> {
    let object = decoder.next_object()?.ok_or(TorrentFault::NotATorrent("it is empty"))?;
    into_dictionary(object, "it does not begin with a dictionary")
}

fn into_dictionary<'obj, 'ser>(
    object: Object<'obj, 'ser>,
    otherwise: &'static str,
) -> Result<DictDecoder<'obj, 'ser>, TorrentFault> {
    object.dictionary_or(Err(TorrentFault::NotATorrent(otherwise)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1_INFO: &str = "d6:lengthi1e4:name1:a12:piece lengthi16384e6:pieces20:01234567890123456789e";

    fn torrent(info: &str) -> Vec<u8> {
        format!("d8:announce3:url4:info{info}e").into_bytes()
    }

    fn error(bytes: &[u8]) -> String {
        parse(bytes).unwrap_err().to_string()
    }

    fn sha1_id(info: &str) -> Id {
        Id::from_bytes(&Sha1::digest(info)).unwrap()
    }

    fn sha256_id(info: &str) -> Id {
        Id::from_bytes(&Sha256::digest(info)[..20]).unwrap()
    }

    #[test]
    fn the_three_kinds_have_their_infohashes() {
        let v1 = parse(&torrent(V1_INFO)).unwrap();
        assert_eq!(v1.infohashes.as_slice(), [sha1_id(V1_INFO)]);
        assert_eq!((v1.name.as_deref(), v1.known_public), (Some("a"), true));

        let tree = "9:file treed1:ad0:d6:lengthi1eeee12:meta versioni2e4:name1:a12:piece lengthi16384e";
        let v2 = format!("d{tree}e");
        assert_eq!(parse(&torrent(&v2)).unwrap().infohashes.as_slice(), [sha256_id(&v2)]);

        let hybrid = format!("d{tree}6:pieces20:01234567890123456789e");
        assert_eq!(parse(&torrent(&hybrid)).unwrap().infohashes.as_slice(), [sha1_id(&hybrid), sha256_id(&hybrid)]);
    }

    #[test]
    fn a_private_one_is_refused() {
        let private = |value: &str| V1_INFO.replace("56789e", &format!("567897:private{value}e"));
        assert!(error(&torrent(&private("i1e"))).contains("private=1"));
        for public in ["i0e", "i2e", "1:1"] {
            assert!(parse(&torrent(&private(public))).is_ok(), "{public}");
        }
    }

    #[test]
    fn what_is_no_torrent_is_told_why() {
        assert!(error(b"<html>").contains("does not begin with a dictionary"));
        assert!(error(b"").contains("does not begin with a dictionary"));
        assert!(error(b"d8:announce3:urle").contains("no info dictionary"));
        assert!(error(b"d4:info3:abce").contains("info is no dictionary"));
        assert!(error(b"d4:infod4:name1:aee").contains("neither pieces nor meta version 2"));
        assert!(error(b"d4:infod12:meta versioni3eee").contains("meta version 3"));
        assert!(error(b"d4:infod4:name1:a4:infoee").contains("canonical bencode"));
        assert!(error(&torrent(V1_INFO)[..60]).contains("canonical bencode"));
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("d1:a{}{}4:info{V1_INFO}e", "l".repeat(10_000), "e".repeat(10_000));
        assert!(error(deep.as_bytes()).contains("canonical bencode"));
    }

    #[test]
    fn bytes_after_the_dictionary_do_not_matter() {
        let mut bytes = torrent(V1_INFO);
        bytes.push(b'\n');
        assert_eq!(parse(&bytes).unwrap().infohashes.as_slice(), [sha1_id(V1_INFO)]);
    }
}
