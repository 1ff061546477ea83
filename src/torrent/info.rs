//! Info dictionaries: what a torrent is (BEP 3, Metainfo files; BEP 52, info dictionary; BEP 27).

use arrayvec::ArrayVec;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::name::printable;
use super::reader::{Malformed, Reader, ValueType};
use crate::engine::id::{Id, InfoHash};

/// Why bytes are no info dictionary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InfoError {
    /// A value of another type.
    #[error("its info is no dictionary")]
    NoDictionary,
    /// Not bencode.
    #[error("it is no bencode: {0}")]
    Malformed(#[from] Malformed),
    /// A version that no BEP specifies.
    #[error("it has meta version {0}; versions 1 and 2 are known")]
    Version(String),
}

/// What an info dictionary says.
///
/// It is read as clients read it: keys may stand in any order and twice (the first one counts, except for `private`),
/// and numbers may have leading zeros.
///
/// ```
/// use trackerless::torrent::Info;
///
/// let raw = b"d6:lengthi7e4:name1:a12:piece lengthi16384e6:pieces20:012345678901234567897:privatei1ee";
/// let info = Info::read(raw)?;
/// assert!(info.private && info.is_v1() && !info.is_v2());
/// assert_eq!((info.name.as_deref(), info.size_bytes, info.files), (Some("a"), 7, 1));
/// # Ok::<(), trackerless::torrent::InfoError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// SHA-1 of the dictionary, where it has the hashes of a v1 torrent.
    pub v1: Option<InfoHash>,
    /// SHA-256 of the dictionary, where it is that of a v2 torrent.
    pub v2: Option<[u8; 32]>,
    /// Display name, free of control characters and of at most 200 characters.
    pub name: Option<String>,
    /// Size of all files, in bytes.
    pub size_bytes: u64,
    /// Number of files.
    pub files: u64,
    /// Whether only the torrent's own trackers may know its peers (BEP 27). Any number but 0 says so: libtorrent,
    /// Transmission and parse-torrent take it for true. A value that is no number says nothing. Of several, one that says
    /// so is enough: libtorrent reads the first, Transmission the last.
    pub private: bool,
}

impl Info {
    /// Reads an info dictionary from its bytes as they stand in a torrent file or came from a peer (BEP 9).
    ///
    /// # Errors
    /// The bytes are no dictionary, or one of an unknown version.
    pub fn read(raw: &[u8]) -> Result<Self, InfoError> {
        let mut reader = Reader::new(raw);
        if reader.kind()? != ValueType::Dict {
            return Err(InfoError::NoDictionary);
        }
        let mut draft = Draft::default();
        reader.dict(|reader, key| draft.take(reader, key))?;
        draft.finish(&raw[..reader.position()])
    }

    /// Whether it is a v1 torrent (BEP 3); a hybrid one is v1 and v2.
    #[must_use]
    pub const fn is_v1(&self) -> bool {
        self.v1.is_some()
    }

    /// Whether it is a v2 torrent (BEP 52).
    #[must_use]
    pub const fn is_v2(&self) -> bool {
        self.v2.is_some()
    }

    /// The infohashes of its swarms in the DHT: one, or two for a hybrid torrent, v1 first. A v2 infohash is cut to 20
    /// bytes (BEP 52, DHT). None where the dictionary is that of no torrent.
    #[must_use]
    pub fn infohashes(&self) -> ArrayVec<InfoHash, 2> {
        let v2 = self.v2.and_then(|hash| InfoHash::from_bytes(&hash[..Id::LEN]));
        [self.v1, v2].into_iter().flatten().collect()
    }
}

/// The keys that were read so far.
#[derive(Default)]
struct Draft<'a> {
    name: Option<&'a [u8]>,
    /// `name.utf-8`, which old makers put beside a `name` of another encoding.
    name_utf8: Option<&'a [u8]>,
    has_pieces: bool,
    version: Option<String>,
    private: bool,
    length: Option<u64>,
    files: Option<Files>,
    tree: Option<Files>,
}

impl<'a> Draft<'a> {
    fn take(&mut self, reader: &mut Reader<'a>, key: &[u8]) -> Result<(), Malformed> {
        match key {
            b"name" if self.name.is_none() => self.name = reader.string_if_any()?,
            b"name.utf-8" if self.name_utf8.is_none() => self.name_utf8 = reader.string_if_any()?,
            b"pieces" => self.has_pieces |= reader.string_if_any()?.is_some(),
            b"private" => self.private |= reader.integer_if_any()?.is_some_and(|number| !number.is_zero()),
            b"meta version" if self.version.is_none() => {
                self.version = reader.integer_if_any()?.map(|number| number.to_string());
            }
            b"length" if self.length.is_none() => {
                self.length = reader.integer_if_any()?.map(|number| number.to_u64().unwrap_or_default());
            }
            b"files" if self.files.is_none() && reader.kind()? == ValueType::List => {
                self.files = Some(Files::list(reader)?)
            }
            b"file tree" if self.tree.is_none() && reader.kind()? == ValueType::Dict => {
                self.tree = Some(Files::tree(reader)?);
            }
            _ => {}
        }
        Ok(())
    }

    /// Makes an info of it; `raw` is the whole dictionary.
    fn finish(self, raw: &[u8]) -> Result<Info, InfoError> {
        let is_v2 = match self.version.as_deref() {
            None | Some("0" | "1") => false,
            Some("2") => true,
            Some(other) => return Err(InfoError::Version(other.to_owned())),
        };
        let single = self.length.map(|length| Files { count: 1, bytes: length });
        let files = self.tree.filter(|_| is_v2).or(self.files).or(single).unwrap_or_default();
        let name = self.name_utf8.or(self.name).map(printable).filter(|name| !name.trim().is_empty());
        Ok(Info {
            v1: self.has_pieces.then(|| InfoHash::new(Sha1::digest(raw).into())),
            v2: is_v2.then(|| Sha256::digest(raw).into()),
            name,
            size_bytes: files.bytes,
            files: files.count,
            private: self.private,
        })
    }
}

/// Number and size of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Files {
    count: u64,
    bytes: u64,
}

impl Files {
    /// The list `files` of a v1 torrent: a dict for each file.
    fn list(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut files = Self::default();
        reader.list(|reader| if reader.kind()? == ValueType::Dict { files.add(reader) } else { Ok(()) })?;
        Ok(files)
    }

    /// A `file tree` of a v2 torrent: a dict for each folder, and under an empty name the dict of a file.
    fn tree(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut files = Self::default();
        reader.dict(|reader, name| {
            if reader.kind()? != ValueType::Dict {
                return Ok(());
            }
            if name.is_empty() {
                return files.add(reader);
            }
            let below = Self::tree(reader)?;
            files.count += below.count;
            files.bytes = files.bytes.saturating_add(below.bytes);
            Ok(())
        })?;
        Ok(files)
    }

    /// Adds the file whose dict is next.
    fn add(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        let mut length = None;
        reader.dict(|reader, key| {
            if key == b"length" && length.is_none() {
                length = reader.integer_if_any()?;
            }
            Ok(())
        })?;
        self.count += 1;
        self.bytes = self.bytes.saturating_add(length.and_then(|length| length.to_u64()).unwrap_or_default());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "6:lengthi1e4:name1:a12:piece lengthi16384e6:pieces20:01234567890123456789";
    const TREE: &str = "9:file treed1:ad0:d6:lengthi1eee1:bd1:cd0:d6:lengthi20eeeee12:meta versioni2e4:name1:n";

    fn info(keys: &str) -> Info {
        Info::read(format!("d{keys}e").as_bytes()).unwrap_or_else(|error| panic!("{keys}: {error}"))
    }

    fn sha1_id(keys: &str) -> InfoHash {
        InfoHash::new(Sha1::digest(format!("d{keys}e")).into())
    }

    fn sha256_id(keys: &str) -> InfoHash {
        InfoHash::from_bytes(&Sha256::digest(format!("d{keys}e"))[..20]).unwrap()
    }

    #[test]
    fn the_three_kinds_have_their_infohashes() {
        assert_eq!(info(V1).infohashes().as_slice(), [sha1_id(V1)]);
        assert_eq!(info(TREE).infohashes().as_slice(), [sha256_id(TREE)]);
        let hybrid = format!("{TREE}6:pieces20:01234567890123456789");
        assert_eq!(info(&hybrid).infohashes().as_slice(), [sha1_id(&hybrid), sha256_id(&hybrid)]);
        assert!(sha1_id(V1).names(format!("d{V1}e").as_bytes()));
        assert!(sha256_id(TREE).names(format!("d{TREE}e").as_bytes()));
        assert!(!sha1_id(TREE).names(format!("d{V1}e").as_bytes()));
        assert!(info("4:name1:a").infohashes().is_empty());
    }

    /// As libtorrent 2.1 and Transmission 4 read them; where they differ, private.
    #[test]
    fn any_number_but_0_is_private() {
        for value in ["i1e", "i2e", "i-1e", "i01e", "i4294967296e", "i99999999999999999999999e"] {
            assert!(info(&format!("{V1}7:private{value}")).private, "{value}");
            assert!(info(&format!("7:private{value}{V1}")).private, "out of order: {value}");
            assert!(info(&format!("{TREE}7:private{value}")).private, "v2: {value}");
        }
        for value in ["i0e", "i00e", "i-0e", "1:1", "4:true", "0:", "l1:ae", "li1ee", "d1:ai1ee", "d7:privatei1ee"] {
            assert!(!info(&format!("{V1}7:private{value}")).private, "{value}");
        }
        for (first, second, private) in [
            ("i1e", "i0e", true),
            ("i0e", "i1e", true),
            ("1:0", "i1e", true),
            ("i1e", "1:0", true),
            ("i0e", "i0e", false),
        ] {
            assert_eq!(info(&format!("{V1}7:private{first}7:private{second}")).private, private, "{first} {second}");
        }
        assert!(!info(V1).private);
    }

    #[test]
    fn names_and_sizes_are_those_of_the_files() {
        let of = |keys: &str| {
            let info = info(keys);
            (info.name, info.files, info.size_bytes)
        };
        assert_eq!(of(V1), (Some("a".to_owned()), 1, 1));
        assert_eq!(of(TREE), (Some("n".to_owned()), 2, 21));
        let list = "5:filesld6:lengthi7e4:pathl1:aeed4:pathl1:bee1:xe4:name1:\u{1b}10:name.utf-82:\u{e4}6:pieces0:";
        assert_eq!(of(list), (Some("\u{e4}".to_owned()), 2, 7));
        assert_eq!(of("6:pieces0:"), (None, 0, 0));
        assert_eq!(of("6:lengthi-1e6:pieces0:4:name1: "), (None, 1, 0));
        let file_called_length = "9:file treed6:lengthd0:d6:lengthi3eeee12:meta versioni2e";
        assert_eq!(of(file_called_length), (None, 1, 3));
    }

    #[test]
    fn versions_are_those_that_are_known() {
        let error = |keys: &str| Info::read(format!("d{keys}e").as_bytes()).unwrap_err().to_string();
        for version in ["i0e", "i1e", "i01e", "1:2"] {
            assert!(info(&format!("{V1}12:meta version{version}")).v2.is_none(), "{version}");
        }
        assert!(info(&TREE.replace("i2e4:name", "i02e4:name")).is_v2());
        assert!(error("12:meta versioni3e").contains("meta version 3"));
        assert!(error("12:meta versioni-2e").contains("meta version -2"));
        assert_eq!(Info::read(b"le"), Err(InfoError::NoDictionary));
        assert!(matches!(Info::read(b"d"), Err(InfoError::Malformed(_))));
    }
}
