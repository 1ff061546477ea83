//! Search: candidates from the full-text tables, tier by tier, then what only a row can tell.

use rusqlite::Connection;

use super::rows::{self, Row, TIERS};
use crate::index::entry::Entry;
use crate::index::query::{Bound, Number, Query, Sort, Term, What};
use crate::index::store::document::{FILE_WORD, KIND, fits, order, span};
use crate::index::store::{Found, Page, StoreError, signed};

/// Torrents of a tier that are compared by their seeds: the newest that fit.
const CANDIDATES: usize = 400;
/// Torrents that are compared where another order is wanted.
const CANDIDATES_SORTED: usize = 5_000;
/// Rows that are looked at in one tier before a search gives up on it.
const MOST_ROWS: usize = 50_000;
/// Last place of a page.
const LAST_PLACE: usize = 10_000;

pub(super) fn search(
    connection: &Connection,
    query: &Query,
    page: Page,
    file_words: bool,
) -> Result<Found, StoreError> {
    let wanted = page.skip.saturating_add(page.most).min(LAST_PLACE);
    let searched = Searched { connection, query, now: page.now, file_words };
    let mut entries = if query.infohashes.is_empty() { searched.by_words(wanted)? } else { searched.by_infohash()? };
    let more = entries.len() > wanted;
    entries.truncate(wanted);
    entries.drain(..page.skip.min(entries.len()));
    Ok(Found { entries, more })
}

struct Searched<'a> {
    connection: &'a Connection,
    query: &'a Query,
    now: u64,
    file_words: bool,
}

impl Searched<'_> {
    fn by_infohash(&self) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        for infohash in &self.query.infohashes {
            entries.extend(rows::by_infohash(self.connection, *infohash)?.map(|row| row.entry));
        }
        entries.retain(|entry| fits(self.query, entry));
        Ok(entries)
    }

    /// Tier by tier until there are more than `wanted`; in another order than by seeds, of all tiers together.
    fn by_words(&self, wanted: usize) -> Result<Vec<Entry>, StoreError> {
        let expression = self.expression();
        let by_seeds = self.query.sort == Sort::Seeds;
        let most = if by_seeds { CANDIDATES.max(wanted + 1) } else { CANDIDATES_SORTED };
        let mut found = Vec::new();
        match expression {
            Some(expression) => {
                for table in TIERS {
                    let sql = self.sql(
                        &format!("{table} JOIN torrent ON torrent.id = {table}.rowid"),
                        &format!("{table} MATCH ?1"),
                    );
                    let mut tier = self.read(&sql, Some(&expression), most)?;
                    order(self.query.sort, &mut tier);
                    found.append(&mut tier);
                    if by_seeds && found.len() > wanted {
                        break;
                    }
                }
            }
            None => found = self.read(&self.sql("torrent", "1"), None, most)?,
        }
        order(self.query.sort, &mut found);
        Ok(found)
    }

    fn sql(&self, from: &str, condition: &str) -> String {
        let bounds: String = self.query.bounds.iter().map(|bound| self.bound(bound)).collect();
        // The order of the full-text table itself, so that the first rows cost nothing that is thrown away.
        let order = if from.starts_with("words") { &from[..6] } else { "torrent" };
        let columns = rows::COLUMNS;
        format!("SELECT {columns} FROM {from} WHERE {condition}{bounds} ORDER BY {order}.rowid DESC LIMIT {MOST_ROWS}")
    }

    fn bound(&self, bound: &Bound) -> String {
        let column = match bound.number {
            Number::Size => "torrent.size",
            Number::Files => "torrent.files",
            Number::Seeds => "torrent.seeds",
            Number::Peers => "torrent.peers",
            Number::SeenAgo => "torrent.seen",
            Number::FoundAgo => "torrent.found",
        };
        let (least, most) = span(bound, self.now);
        format!(" AND {column} BETWEEN {} AND {}", signed(least), signed(most))
    }

    fn read(&self, sql: &str, expression: Option<&str>, most: usize) -> Result<Vec<Entry>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = match expression {
            Some(expression) => statement.query([expression])?,
            None => statement.query([])?,
        };
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            let entry = Row::read(row)?.entry;
            if fits(self.query, &entry) {
                entries.push(entry);
            }
            if entries.len() >= most {
                break;
            }
        }
        Ok(entries)
    }

    /// The query as FTS5 reads it; `None` where it names nothing that must be there.
    fn expression(&self) -> Option<String> {
        let of = |not: bool| self.query.terms.iter().filter(move |term| term.not == not);
        let wanted: Vec<String> = of(false).map(|term| self.term(term)).collect();
        let unwanted: Vec<String> =
            of(true).filter(|term| !matches!(term.what, What::Phrase(_))).map(|term| self.term(term)).collect();
        if wanted.is_empty() {
            return None;
        }
        let mut expression = format!("({})", wanted.join(" AND "));
        for term in unwanted {
            expression = format!("({expression} NOT {term})");
        }
        Some(expression)
    }

    fn term(&self, term: &Term) -> String {
        match &term.what {
            What::Word(word) => quoted(word),
            What::Prefix(beginning) => format!("{}*", quoted(beginning)),
            What::Phrase(words) => {
                let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
                format!("({})", words.join(" AND "))
            }
            What::Files(word) if self.file_words => {
                format!("({} OR {})", quoted(&format!("{KIND}{word}")), quoted(&format!("{FILE_WORD}{word}")))
            }
            What::Files(word) => quoted(&format!("{KIND}{word}")),
        }
    }
}

/// A word as FTS5 takes it, whatever is in it.
fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('"', ""))
}
