//! Rows of the table of torrents, and the words under which they are found.

use std::fmt::Write as _;

use tokio_postgres::Row;

use super::trouble::Trouble;
use crate::engine::id::InfoHash;
use crate::index::entry::{Entry, Source, Swarm};
use crate::index::words::query_words;

/// The columns that [`read`] reads.
pub(super) const COLUMNS: &str = "hash, id, name, size, files, found, seen, seeds, peers, counted, source";
/// What stands before the number of a tier among the words of a torrent: no name has this character.
const TIER: char = '\u{e002}';

/// A torrent, without its files, and its place in the order of finding.
pub(super) fn read(row: &Row) -> Result<(i64, Entry), Trouble> {
    let number = |column: usize| row.try_get::<_, i64>(column).map(i64::unsigned_abs);
    let entry = Entry {
        infohash: infohash(row, 0)?,
        name: row.try_get(2)?,
        size_bytes: number(3)?,
        file_count: number(4)?,
        files: Vec::new(),
        found: number(5)?,
        seen: number(6)?,
        swarm: swarm(row, 7)?,
        source: Source::of_number(row.try_get(10)?),
    };
    Ok((row.try_get(1)?, entry))
}

/// The infohash in a column.
pub(super) fn infohash(row: &Row, column: usize) -> Result<InfoHash, Trouble> {
    let bytes: &[u8] = row.try_get(column)?;
    InfoHash::from_bytes(bytes).ok_or_else(|| Trouble::Refused("an infohash has 20 bytes".to_owned()))
}

/// The count in a column and the two behind it.
pub(super) fn swarm(row: &Row, column: usize) -> Result<Option<Swarm>, Trouble> {
    let number = |at: usize| row.try_get::<_, Option<i64>>(at);
    let small = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(match (number(column)?, number(column + 1)?, number(column + 2)?) {
        (Some(seeds), Some(peers), Some(at)) => {
            Some(Swarm { seeds: small(seeds), peers: small(peers), at: at.unsigned_abs() })
        }
        _ => None,
    })
}

/// A text as the database takes it: it knows no NUL.
pub(super) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The word of a tier.
pub(super) fn tier_word(tier: usize) -> String {
    format!("{TIER}{tier}")
}

/// A word as vectors and queries of words take it, whatever is in it.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\\', "\\\\").replace('\'', "''"))
}

/// The words of a torrent as a text of a `tsvector`: those of its name with the places where they stand, for phrases.
pub(super) fn vector(name: &str, words: &[String], tier: usize) -> String {
    let in_order = query_words(name);
    let mut text = quoted(&tier_word(tier));
    for word in words {
        let _ = write!(text, " {}", quoted(word));
        let places = in_order.iter().zip(1..).filter(|(other, _)| *other == word);
        for (count, (_, place)) in places.enumerate() {
            let _ = write!(text, "{}{place}", if count == 0 { ':' } else { ',' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::words::words;

    #[test]
    fn words_of_a_name_have_their_places_and_its_parts_have_none() {
        let name = "One S01E02 one";
        assert_eq!(vector(name, &words(name), 3), "'\u{e002}3' 'one':1,3 's01e02':2 's01' 'e02'");
        assert_eq!(quoted(r"it's \"), r"'it''s \\'");
    }
}
