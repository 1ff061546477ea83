//! What must not be in the index: words and phrases of names, and infohashes.
//!
//! A line of a list of words is a word, or several that stand one after the other. They match whole words, never parts:
//! `boy` does not hide "The Boys". A line of a list of infohashes is the SHA-256 of the 20 bytes of an infohash, 64
//! hexadecimal digits: such a list is no catalogue. Blank lines and those that begin with `#` are passed over.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::words::{has_phrase, query_words};
use crate::engine::id::InfoHash;

/// Most lines of a list.
pub const MOST_LINES: usize = 1_000_000;

/// Both lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Phrases, by their first word.
    phrases: BTreeSet<Vec<String>>,
    digests: BTreeSet<[u8; 32]>,
}

/// A line that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {number}: {why}")]
pub struct FilterError {
    /// Its number, from 1.
    pub number: usize,
    /// What is wrong with it.
    pub why: String,
}

impl Filter {
    /// Reads a list of words, or keeps none of it.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn add_words(&mut self, text: &str) -> Result<(), FilterError> {
        let mut phrases = BTreeSet::new();
        for (number, line) in lines(text) {
            let words = query_words(line);
            if words.is_empty() {
                return Err(FilterError { number, why: format!("{line:?} has no letter and no digit") });
            }
            phrases.insert(words);
        }
        bounded(phrases.len())?;
        self.phrases.append(&mut phrases);
        Ok(())
    }

    /// Reads a list of infohashes, or keeps none of it.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn add_digests(&mut self, text: &str) -> Result<(), FilterError> {
        let mut digests = BTreeSet::new();
        for (number, line) in lines(text) {
            let mut digest = [0; 32];
            let why = match line.len() {
                40 => {
                    "it is an infohash itself; the list wants the SHA-256 of its 20 bytes, so that it is no catalogue"
                }
                _ => "64 hexadecimal digits are wanted: the SHA-256 of the 20 bytes of an infohash",
            };
            hex::decode_to_slice(line, &mut digest).map_err(|_| FilterError { number, why: why.to_owned() })?;
            digests.insert(digest);
        }
        bounded(digests.len())?;
        self.digests.append(&mut digests);
        Ok(())
    }

    /// Whether a torrent of this infohash must not be kept.
    #[must_use]
    pub fn refuses_infohash(&self, infohash: InfoHash) -> bool {
        !self.digests.is_empty() && self.digests.contains(&digest(infohash))
    }

    /// Whether a torrent of this name must not be kept.
    #[must_use]
    pub fn refuses_name(&self, name: &str) -> bool {
        if self.phrases.is_empty() {
            return false;
        }
        query_words(name).iter().any(|first| {
            let mut begins = self.phrases.range(vec![first.clone()]..).take_while(|phrase| phrase[0] == *first);
            begins.any(|phrase| has_phrase(name, phrase))
        })
    }
}

fn bounded(count: usize) -> Result<(), FilterError> {
    match count > MOST_LINES {
        true => Err(FilterError { number: MOST_LINES + 1, why: format!("a list has at most {MOST_LINES} entries") }),
        false => Ok(()),
    }
}

/// The line of an infohash in a list: a one-way digest, so that the list is no catalogue.
#[must_use]
pub fn digest(infohash: InfoHash) -> [u8; 32] {
    Sha256::digest(infohash.as_bytes()).into()
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered =
        text.trim_start_matches('\u{feff}').lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_and_phrases_are_refused_and_parts_are_not() {
        let mut filter = Filter::default();
        filter.add_words("# a list\nboy\n\nbad phrase\n").unwrap();
        for (name, refused) in [
            ("The Boys", false),
            ("A.Boy.2010", true),
            ("BAD-phrase", true),
            ("phrase bad", false),
            ("bad other phrase", false),
            ("boyish", false),
        ] {
            assert_eq!(filter.refuses_name(name), refused, "{name}");
        }
    }

    #[test]
    fn infohashes_are_refused_by_their_digest() {
        let refused: InfoHash = "08ada5a7a6183aae1e09d831df6748d566095a10".parse().unwrap();
        let mut filter = Filter::default();
        filter.add_digests(&format!("\u{feff}{}\r\n", hex::encode(Sha256::digest(refused.as_bytes())))).unwrap();
        assert!(filter.refuses_infohash(refused));
        assert!(!filter.refuses_infohash(InfoHash::new([1; 20])));
    }

    #[test]
    fn a_wrong_line_is_named_and_nothing_of_its_list_is_kept() {
        let mut filter = Filter::default();
        let error = filter.add_words("good\n---\n").unwrap_err();
        assert_eq!((error.number, filter.refuses_name("good")), (2, false));
        let error = filter.add_digests("\n08ada5a7a6183aae1e09d831df6748d566095a10").unwrap_err();
        assert!(error.to_string().starts_with("line 2: it is an infohash itself"), "{error}");
        assert!(filter.add_digests("xyz").unwrap_err().to_string().contains("64 hexadecimal"));
    }
}
