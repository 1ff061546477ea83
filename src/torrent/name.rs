//! Infohashes as text, and names that are safe to print.

use crate::engine::id::{Id, InfoHash};

/// Why text is no infohash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InfohashError {
    /// A character outside the alphabet.
    #[error("character {position} {found:?} is not {alphabet}")]
    Character {
        /// Place of the character, counted from 1.
        position: usize,
        /// What stands there.
        found: char,
        /// What may stand there.
        alphabet: &'static str,
    },
    /// All digits are hexadecimal, but there are too few or too many.
    #[error("{found} digits, an infohash has {wanted}")]
    Length {
        /// Number of digits that there are.
        found: usize,
        /// Number of digits that there must be.
        wanted: usize,
    },
    /// 64 digits: SHA-256.
    #[error("64 digits: that is a whole v2 infohash, of which the DHT uses the first 40 digits")]
    WholeV2,
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// Something else.
    #[error("it is not an infohash (40 hexadecimal digits or 32 of base32)")]
    SomethingElse,
}

/// Reads an infohash: 40 hexadecimal digits, or 32 of base32; in either case.
///
/// # Errors
/// What is wrong, and where.
pub fn parse_infohash(text: &str) -> Result<InfoHash, InfohashError> {
    let length = text.chars().count();
    let digits = text.chars().filter(char::is_ascii_hexdigit).count();
    match length {
        0 => Err(InfohashError::Empty),
        32 => base32(text),
        64 if digits == 64 => Err(InfohashError::WholeV2),
        // Near enough to an infohash to be meant as one.
        _ if length == 40 || digits == length || (36..=44).contains(&digits) => sha1_digits(text),
        _ => Err(InfohashError::SomethingElse),
    }
}

/// Reads 40 hexadecimal digits.
fn sha1_digits(text: &str) -> Result<InfoHash, InfohashError> {
    hexadecimal(text, 40).map(|bytes| InfoHash::from_bytes(&bytes).expect("40 digits are 20 bytes"))
}

/// Reads the digits behind `urn:btih:`, which can be meant as nothing else.
pub(super) fn btih(text: &str) -> Result<InfoHash, InfohashError> {
    if text.chars().count() == 32 { base32(text) } else { sha1_digits(text) }
}

/// Reads exactly `wanted` hexadecimal digits.
pub(super) fn hexadecimal(text: &str, wanted: usize) -> Result<Vec<u8>, InfohashError> {
    every_char(text, "hexadecimal (0-9, a-f)", |c| c.is_ascii_hexdigit())?;
    if text.len() != wanted {
        return Err(InfohashError::Length { found: text.len(), wanted });
    }
    Ok(hex::decode(text).expect("an even number of hexadecimal digits"))
}

/// Reads 32 digits of base32 (RFC 4648, section 6), in either case.
fn base32(text: &str) -> Result<InfoHash, InfohashError> {
    every_char(text, "base32 (a-z, 2-7)", |c| base32_digit(c).is_some())?;
    let mut bytes = [0; Id::LEN];
    // Eight digits carry 40 bits, five bytes.
    for (digits, five) in text.as_bytes().chunks(8).zip(bytes.chunks_mut(5)) {
        let bits = digits.iter().filter_map(|&byte| base32_digit(char::from(byte)));
        let number = bits.fold(0u64, |number, digit| number << 5 | u64::from(digit));
        five.copy_from_slice(&number.to_be_bytes()[3..]);
    }
    Ok(InfoHash::new(bytes))
}

fn base32_digit(c: char) -> Option<u8> {
    match c.to_ascii_lowercase() {
        c @ 'a'..='z' => Some(c as u8 - b'a'),
        c @ '2'..='7' => Some(c as u8 - b'2' + 26),
        _ => None,
    }
}

fn every_char(text: &str, alphabet: &'static str, belongs: impl Fn(char) -> bool) -> Result<(), InfohashError> {
    match text.chars().enumerate().find(|&(_, c)| !belongs(c)) {
        Some((index, found)) => Err(InfohashError::Character { position: index + 1, found, alphabet }),
        None => Ok(()),
    }
}

/// A name that is safe on a terminal: no characters that control it or the direction of text, at most 200 characters.
#[must_use]
pub fn printable(name: &[u8]) -> String {
    const LONGEST: usize = 200;
    // The replacement below has one character for each of the name: no more bytes than these are ever looked at.
    let head = &name[..name.len().min(LONGEST * 4)];
    let shown = |c: char| if controls(c) { char::REPLACEMENT_CHARACTER } else { c };
    String::from_utf8_lossy(head).chars().map(shown).take(LONGEST).collect()
}

fn controls(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    const BASE32: &str = "3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ";

    fn error(text: &str) -> String {
        parse_infohash(text).unwrap_err().to_string()
    }

    #[test]
    fn hexadecimal_and_base32_name_the_same_torrent() {
        for text in [HEX, &HEX.to_uppercase(), BASE32, &BASE32.to_lowercase()] {
            assert_eq!(parse_infohash(text).unwrap().to_string(), HEX, "{text}");
        }
    }

    #[test]
    fn a_wrong_infohash_says_what_is_wrong_and_where() {
        let g_at_7 = format!("{}g{}", &HEX[..6], &HEX[7..]);
        assert_eq!(error(&g_at_7), "character 7 'g' is not hexadecimal (0-9, a-f)");
        assert_eq!(error(&HEX[1..]), "39 digits, an infohash has 40");
        assert_eq!(error(&format!("{HEX}0")), "41 digits, an infohash has 40");
        assert_eq!(error(&BASE32.replace("QB", "81")), "character 29 '8' is not base32 (a-z, 2-7)");
        assert!(error(&"0".repeat(64)).contains("whole v2 infohash"));
        assert_eq!(error(""), "it is empty");
        assert!(error("debian").contains("not an infohash"));
    }

    #[test]
    fn names_are_safe_on_a_terminal() {
        assert_eq!(printable(b"a\x1b[31mb\nc\xff"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}");
        assert_eq!(printable("txt\u{202e}exe.\u{9b}1m".as_bytes()), "txt\u{fffd}exe.\u{fffd}1m");
        assert_eq!(printable("\u{e4}".repeat(300).as_bytes()), "\u{e4}".repeat(200));
        assert_eq!(printable("\u{1d11e}".repeat(300).as_bytes()), "\u{1d11e}".repeat(200));
    }
}
