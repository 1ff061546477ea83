//! Search: candidates from the full-text tables, tier by tier, then what only a row can tell.

use rusqlite::Connection;

use super::rows::{self, Row, TIERS};
use crate::index::entry::Entry;
use crate::index::query::{Number, Query, Sort, Term, What};
use crate::index::store::document::{FILE_WORD, KIND, fits, may_have, order, span};
use crate::index::store::{Found, Page, StoreError, signed};

/// Torrents of a tier that are compared by their seeds: the newest that fit.
const CANDIDATES: usize = 400;
/// Torrents of all tiers that are compared where another order is wanted.
const CANDIDATES_SORTED: usize = 4_000;
/// Rows that a search looks at before it gives up: each takes about two microseconds.
const MOST_ROWS: usize = 20_000;
/// The tier of those without seeds.
const SEEDLESS: usize = TIERS.len() - 1;
/// Last place of a page.
const LAST_PLACE: usize = 10_000;

pub(super) fn search(
    connection: &Connection,
    query: &Query,
    page: Page,
    file_words: bool,
) -> Result<Found, StoreError> {
    let wanted = page.skip.saturating_add(page.most).min(LAST_PLACE);
    let mut searched = Searched { connection, query, now: page.now, file_words, rows_left: MOST_ROWS };
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
    rows_left: usize,
}

impl Searched<'_> {
    fn by_infohash(&self) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        for infohash in &self.query.infohashes {
            entries.extend(rows::by_infohash(self.connection, *infohash)?.map(|row| row.entry));
        }
        entries.retain(|entry| fits(self.query, &entry.name));
        Ok(entries)
    }

    fn by_words(&mut self, wanted: usize) -> Result<Vec<Entry>, StoreError> {
        let mut found = match (self.expression(), self.query.sort) {
            (Some(expression), Sort::Seeds) => self.by_tiers(&expression, wanted)?,
            (Some(expression), _) => self.of_all_tiers(&expression, wanted)?,
            (None, Sort::Seeds) => self.best_seeded(wanted)?,
            (None, _) => self.read("torrent ORDER BY torrent.id DESC", None, CANDIDATES_SORTED.max(wanted + 1))?,
        };
        order(self.query.sort, &mut found);
        Ok(found)
    }

    /// Tier by tier until there are more than `wanted`.
    fn by_tiers(&mut self, expression: &str, wanted: usize) -> Result<Vec<Entry>, StoreError> {
        let mut found = Vec::new();
        for tier in self.tiers() {
            found.append(&mut self.of_tier(tier, expression, CANDIDATES.max(wanted + 1))?);
            if found.len() > wanted {
                break;
            }
        }
        Ok(found)
    }

    /// Some of each tier; what one does not have the others may have more.
    fn of_all_tiers(&mut self, expression: &str, wanted: usize) -> Result<Vec<Entry>, StoreError> {
        let most = CANDIDATES_SORTED.max(wanted + 1);
        let mut found = Vec::new();
        let tiers = self.tiers();
        for (place, tier) in tiers.iter().enumerate() {
            let share = (most - found.len()).div_ceil(tiers.len() - place);
            found.append(&mut self.of_tier(tier, expression, share)?);
        }
        Ok(found)
    }

    /// Where no word must be there: by seeds, then those without seeds that were seen last.
    fn best_seeded(&mut self, wanted: usize) -> Result<Vec<Entry>, StoreError> {
        let most = CANDIDATES.max(wanted + 1);
        let mut found = Vec::new();
        if (0..SEEDLESS).any(|tier| may_have(self.query, tier)) {
            found = self.read("torrent WHERE seeds > 0 ORDER BY seeds DESC, seen DESC", None, most)?;
        }
        if found.len() <= wanted && may_have(self.query, SEEDLESS) {
            found.append(&mut self.read("torrent WHERE coalesce(seeds, 0) = 0 ORDER BY seen DESC", None, most)?);
        }
        Ok(found)
    }

    /// The tables in which something may fit.
    fn tiers(&self) -> Vec<&'static str> {
        let fitting = TIERS.into_iter().enumerate().filter(|(tier, _)| may_have(self.query, *tier));
        fitting.map(|(_, table)| table).collect()
    }

    /// The newest of a tier that fit. The order is that of the full-text table itself, so that the first rows cost nothing that
    /// is thrown away.
    fn of_tier(&mut self, table: &str, expression: &str, most: usize) -> Result<Vec<Entry>, StoreError> {
        let joined = format!("{table} JOIN torrent ON torrent.id = {table}.rowid");
        self.read(&format!("{joined} WHERE {table} MATCH ?1 ORDER BY {table}.rowid DESC"), Some(expression), most)
    }

    fn read(&mut self, from: &str, expression: Option<&str>, most: usize) -> Result<Vec<Entry>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!("SELECT {} FROM {from}", rows::COLUMNS))?;
        let mut rows = match expression {
            Some(expression) => statement.query([expression])?,
            None => statement.query([])?,
        };
        let mut entries = Vec::new();
        while entries.len() < most && self.rows_left > 0 {
            let Some(row) = rows.next()? else { break };
            self.rows_left -= 1;
            if self.is_within(row)? && fits(self.query, row.get_ref(2)?.as_str().unwrap_or_default()) {
                entries.push(Row::read(row)?.entry);
            }
        }
        Ok(entries)
    }

    /// Whether the numbers of a row are within the bounds. What is unknown is within none.
    fn is_within(&self, row: &rusqlite::Row<'_>) -> Result<bool, StoreError> {
        for bound in &self.query.bounds {
            let column = match bound.number {
                Number::Size => 3,
                Number::Files => 4,
                Number::FoundAgo => 5,
                Number::SeenAgo => 6,
                Number::Seeds => 7,
                Number::Peers => 8,
            };
            let (least, most) = span(bound, self.now);
            let value: Option<i64> = row.get(column)?;
            if !value.is_some_and(|value| (signed(least)..=signed(most)).contains(&value)) {
                return Ok(false);
            }
        }
        Ok(true)
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
