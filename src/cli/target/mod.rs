//! TARGET: whatever a person has at hand that names a torrent.
//!
//! An infohash in hexadecimal or base32, a magnet URI, a `.torrent` file, or `-` for a list of them on standard
//! input. All become infohashes of 20 bytes: a v2 hash is truncated (BEP 52), a hybrid torrent has two. What cannot
//! be read is answered with what was wrong and where, never with a guess.

mod list;
mod magnet;
mod torrent;

use std::fmt;
use std::path::Path;

use arrayvec::ArrayVec;
use sha1::{Digest, Sha1};

use crate::engine::id::Id;

pub use list::read_all;
pub use magnet::MagnetFault;
pub use torrent::TorrentFault;

/// One torrent: the infohashes of its swarms, and its name where the TARGET told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// One infohash, or two for a hybrid torrent: v1 first.
    pub infohashes: ArrayVec<Id, 2>,
    /// The display name, free of control characters.
    pub name: Option<String>,
    /// Whether the TARGET shows that the torrent is public. Only a `.torrent` file does (BEP 27).
    pub known_public: bool,
}

impl Target {
    fn bare(infohash: Id) -> Self {
        Self { infohashes: ArrayVec::from_iter([infohash]), name: None, known_public: false }
    }

    /// The swarm of whoever serves `text`: a URL, a name, anything that both sides know. Its SHA-1 is the infohash, so
    /// that the DHT is an index of anything, as Coral's was of URLs.
    #[must_use]
    pub fn of_key(text: &str) -> Self {
        let infohash = Id(Sha1::digest(text).into());
        Self { infohashes: ArrayVec::from_iter([infohash]), name: Some(printable(text.as_bytes())), known_public: true }
    }

    /// Reads one TARGET that is not `-`.
    ///
    /// # Errors
    /// What was wrong, and where.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let wrong = |fault| TargetError { given: shorten(text), line: None, fault };
        parse(text.trim()).map_err(wrong)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.infohashes.first()) {
            (Some(name), _) => f.write_str(name),
            (None, Some(infohash)) => infohash.fmt(f),
            (None, None) => Ok(()),
        }
    }
}

/// A TARGET that cannot be read.
#[derive(Debug, thiserror::Error)]
pub struct TargetError {
    given: String,
    line: Option<usize>,
    #[source]
    fault: Fault,
}

/// What is wrong with a TARGET.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A character outside the alphabet. Positions count from 1.
    #[error("character {position} {found:?} is not {alphabet}")]
    Character {
        /// Where, counted from 1.
        position: usize,
        /// What stands there.
        found: char,
        /// What may stand there.
        alphabet: &'static str,
    },
    /// All digits are hexadecimal, but there are too few or too many.
    #[error("{found} digits, an infohash has {wanted}")]
    Length {
        /// How many there are.
        found: usize,
        /// How many there should be.
        wanted: usize,
    },
    /// 64 digits: SHA-256.
    #[error("64 digits: that is a whole v2 infohash, of which the DHT uses the first 40 digits")]
    WholeV2,
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// Neither an infohash nor a file.
    #[error("there is no file of that name, and it is not an infohash (40 hexadecimal digits or 32 of base32)")]
    Unknown,
    /// `-` where only one torrent fits.
    #[error("a list on standard input cannot contain itself")]
    NestedList,
    /// Standard input failed or is no text.
    #[error("standard input cannot be read: {0}")]
    Input(#[from] std::io::Error),
    /// A magnet URI that cannot be used.
    #[error(transparent)]
    Magnet(#[from] MagnetFault),
    /// A torrent file that cannot be used.
    #[error(transparent)]
    Torrent(#[from] TorrentFault),
}

impl TargetError {
    /// What the user can do about it.
    #[must_use]
    pub fn cure(&self) -> &'static str {
        match &self.fault {
            Fault::Torrent(TorrentFault::Private) => "use the trackers of this torrent; the DHT must never hear of it",
            Fault::Torrent(_) => "give a file that a torrent client accepts, or the infohash itself",
            Fault::WholeV2 => "give the first 40 digits, or a magnet URI with xt=urn:btmh:1220 before the 64 digits",
            Fault::Input(_) => "give one TARGET a line, as UTF-8 text",
            _ => "give a 40-digit infohash, a magnet URI, a .torrent file, or - for a list on standard input",
        }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line} of standard input, {:?}: {}", self.given, self.fault),
            None => write!(f, "TARGET {:?}: {}", self.given, self.fault),
        }
    }
}

fn parse(text: &str) -> Result<Target, Fault> {
    if magnet::is_magnet(text) {
        return Ok(magnet::parse(text)?);
    }
    if let Ok(infohash) = infohash(text) {
        return Ok(Target::bare(infohash));
    }
    if names_a_file(text) {
        return Ok(torrent::read(Path::new(text))?);
    }
    Err(diagnose(text))
}

/// Whether `text` is meant as a path. What exists, is one; so is what looks like one.
fn names_a_file(text: &str) -> bool {
    let path = Path::new(text);
    text != "-" && (path.exists() || path.extension().is_some_and(|ext| ext.eq_ignore_ascii_case("torrent")))
}

/// Reads 40 hexadecimal digits, or 32 of base32; either case.
fn infohash(text: &str) -> Result<Id, Fault> {
    match text.chars().count() {
        32 => base32(text),
        _ => hexadecimal(text, 40).map(|bytes| Id::from_bytes(&bytes).expect("40 digits are 20 bytes")),
    }
}

/// What is wrong with a text that is no infohash, no magnet URI and no file.
fn diagnose(text: &str) -> Fault {
    let digits = text.chars().filter(char::is_ascii_hexdigit).count();
    match (text, text.chars().count()) {
        ("", _) => Fault::Empty,
        ("-", _) => Fault::NestedList,
        (_, 64) if digits == 64 => Fault::WholeV2,
        // Near enough to an infohash to be meant as one.
        (_, length) if matches!(length, 32 | 40) || digits == length || (36..=44).contains(&digits) => {
            infohash(text).expect_err("an infohash was recognised before")
        }
        _ => Fault::Unknown,
    }
}

/// Reads exactly `wanted` hexadecimal digits.
fn hexadecimal(text: &str, wanted: usize) -> Result<Vec<u8>, Fault> {
    every_char(text, "hexadecimal (0-9, a-f)", |c| c.is_ascii_hexdigit())?;
    if text.len() != wanted {
        return Err(Fault::Length { found: text.len(), wanted });
    }
    Ok(hex::decode(text).expect("an even number of hexadecimal digits"))
}

/// Reads 32 digits of base32 (RFC 4648, section 6), either case.
fn base32(text: &str) -> Result<Id, Fault> {
    every_char(text, "base32 (a-z, 2-7)", |c| base32_digit(c).is_some())?;
    let mut bytes = [0; Id::LEN];
    // Eight digits carry 40 bits, five bytes.
    for (digits, five) in text.as_bytes().chunks(8).zip(bytes.chunks_mut(5)) {
        let bits = digits.iter().filter_map(|&byte| base32_digit(char::from(byte)));
        let number = bits.fold(0u64, |number, digit| number << 5 | u64::from(digit));
        five.copy_from_slice(&number.to_be_bytes()[3..]);
    }
    Ok(Id(bytes))
}

fn base32_digit(c: char) -> Option<u8> {
    match c.to_ascii_lowercase() {
        c @ 'a'..='z' => Some(c as u8 - b'a'),
        c @ '2'..='7' => Some(c as u8 - b'2' + 26),
        _ => None,
    }
}

fn every_char(text: &str, alphabet: &'static str, belongs: impl Fn(char) -> bool) -> Result<(), Fault> {
    match text.chars().enumerate().find(|&(_, c)| !belongs(c)) {
        Some((index, found)) => Err(Fault::Character { position: index + 1, found, alphabet }),
        None => Ok(()),
    }
}

/// A name that is safe on a terminal: no control characters, no more than a line.
fn printable(name: &[u8]) -> String {
    const LONGEST: usize = 200;
    let lossy = String::from_utf8_lossy(name);
    lossy.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(LONGEST).collect()
}

/// What was given, short enough for an error message.
fn shorten(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    const BASE32: &str = "3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ";

    fn error(text: &str) -> String {
        Target::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn hexadecimal_and_base32_name_the_same_torrent() {
        let expected = Target::bare(HEX.parse().unwrap());
        for text in [HEX, &HEX.to_uppercase(), BASE32, &BASE32.to_lowercase(), &format!(" {HEX}\n")] {
            assert_eq!(Target::parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_wrong_infohash_says_what_is_wrong_and_where() {
        let g_at_7 = format!("{}g{}", &HEX[..6], &HEX[7..]);
        assert!(error(&g_at_7).ends_with("character 7 'g' is not hexadecimal (0-9, a-f)"), "{}", error(&g_at_7));
        assert!(error(&HEX[1..]).ends_with("39 digits, an infohash has 40"));
        assert!(error(&format!("{HEX}0")).ends_with("41 digits, an infohash has 40"));
        assert!(error(&BASE32.replace("QB", "81")).ends_with("character 29 '8' is not base32 (a-z, 2-7)"));
        assert!(error(&"0".repeat(64)).contains("whole v2 infohash"));
        assert!(error("").ends_with("it is empty"));
        assert!(error("no-such-thing").contains("there is no file of that name"));
        assert!(error("missing.torrent").contains("cannot be read"), "{}", error("missing.torrent"));
    }

    #[test]
    fn the_infohash_of_a_key_is_its_sha_1() {
        let target = Target::of_key("The quick brown fox jumps over the lazy dog");
        assert_eq!(target.infohashes[0].to_string(), "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12");
        assert!(target.known_public, "what has no torrent is no private torrent");
    }

    #[test]
    fn long_nonsense_is_shortened_in_the_message() {
        assert!(error(&"x".repeat(10_000)).len() < 300);
    }

    #[test]
    fn names_are_safe_on_a_terminal() {
        assert_eq!(printable(b"a\x1b[31mb\nc\xff"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}");
    }

    proptest! {
        #[test]
        fn nothing_makes_the_reader_panic(text in ".{0,90}") {
            let _ = Target::parse(&text);
        }

        #[test]
        fn every_infohash_reads_back(bytes in any::<[u8; 20]>()) {
            prop_assert_eq!(Target::parse(&Id(bytes).to_string()).unwrap(), Target::bare(Id(bytes)));
        }
    }
}
