//! Search: one statement for each tier of seeds, until there is enough; what a row can tell the database looks at itself.

use tokio_postgres::Client;

use super::rows::{self, COLUMNS, quoted, tier_word};
use super::trouble::Trouble;
use crate::index::entry::Entry;
use crate::index::query::{Bound, Number, Query, Sort, Term, What};
use crate::index::store::document::{FILE_WORD, KIND, TIERS, fits, may_have, order, span};
use crate::index::store::{Found, Page, signed};

/// Rows that are compared in one tier, at most.
const MOST_ROWS: usize = 50_000;
/// Last place of a page.
const LAST_PLACE: usize = 10_000;

/// What a query finds.
pub(super) async fn search(client: &Client, query: &Query, page: Page, file_words: bool) -> Result<Found, Trouble> {
    let wanted = page.skip.saturating_add(page.most).min(LAST_PLACE);
    let searched = Searched { client, query, page, file_words, wanted };
    let mut entries =
        if query.infohashes.is_empty() { searched.by_words().await? } else { searched.by_infohash().await? };
    let more = entries.len() > wanted;
    entries.truncate(wanted);
    entries.drain(..page.skip.min(entries.len()));
    Ok(Found { entries, more })
}

struct Searched<'a> {
    client: &'a Client,
    query: &'a Query,
    page: Page,
    file_words: bool,
    wanted: usize,
}

impl Searched<'_> {
    async fn by_infohash(&self) -> Result<Vec<Entry>, Trouble> {
        let mut entries = Vec::new();
        let sql = format!("SELECT {COLUMNS} FROM torrent WHERE hash = $1");
        for infohash in &self.query.infohashes {
            let row = self.client.query_opt(&sql, &[&&infohash.as_bytes()[..]]).await?;
            entries.extend(row.map(|row| rows::read(&row)).transpose()?.map(|(_, entry)| entry));
        }
        entries.retain(|entry| fits(self.query, &entry.name));
        Ok(entries)
    }

    /// Tier by tier until there are more than are wanted; in another order than by seeds, of all tiers together.
    async fn by_words(&self) -> Result<Vec<Entry>, Trouble> {
        let expression = self.expression();
        let has_word = self.query.terms.iter().any(|term| !term.not);
        if self.query.sort != Sort::Seeds || !has_word {
            return self.read(&expression).await;
        }
        let mut found = Vec::new();
        for tier in (0..TIERS).filter(|tier| may_have(self.query, *tier)) {
            found.append(&mut self.read(&format!("{} & {expression}", quoted(&tier_word(tier)))).await?);
            if found.len() > self.wanted {
                break;
            }
        }
        Ok(found)
    }

    async fn read(&self, expression: &str) -> Result<Vec<Entry>, Trouble> {
        let bounds: String = self.query.bounds.iter().map(|bound| self.bound(bound)).collect();
        let words = if expression.is_empty() { "$1::text = ''" } else { "words @@ $1::text::tsquery" };
        let sql = format!(
            "SELECT {COLUMNS} FROM (SELECT {COLUMNS} FROM torrent WHERE {words}{bounds} LIMIT {MOST_ROWS}) AS fit \
             ORDER BY {}, id DESC LIMIT {}",
            self.order(),
            self.wanted + 1
        );
        let rows = self.client.query(&sql, &[&expression]).await?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            entries.push(rows::read(row)?.1);
        }
        // Letters of all scripts in the order that every store has.
        order(self.query.sort, &mut entries);
        Ok(entries)
    }

    const fn order(&self) -> &'static str {
        match self.query.sort {
            Sort::Seeds => "seeds DESC NULLS LAST, seen DESC",
            Sort::Size => "size DESC",
            Sort::Seen => "seen DESC",
            Sort::Found => "found DESC",
            Sort::Name => "lower(name) COLLATE \"C\"",
        }
    }

    fn bound(&self, bound: &Bound) -> String {
        let column = match bound.number {
            Number::Size => "size",
            Number::Files => "files",
            Number::Seeds => "seeds",
            Number::Peers => "peers",
            Number::SeenAgo => "seen",
            Number::FoundAgo => "found",
        };
        let (least, most) = span(bound, self.page.now);
        format!(" AND {column} BETWEEN {} AND {}", signed(least), signed(most))
    }

    /// The terms as a `tsquery`; empty where there are none.
    fn expression(&self) -> String {
        let terms: Vec<String> = self.query.terms.iter().map(|term| self.term(term)).collect();
        terms.join(" & ")
    }

    fn term(&self, term: &Term) -> String {
        let not = if term.not { "!" } else { "" };
        let what = match &term.what {
            What::Word(word) => quoted(word),
            What::Prefix(beginning) => format!("{}:*", quoted(beginning)),
            What::Phrase(words) => {
                let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
                format!("({})", words.join(" <-> "))
            }
            What::Files(word) if self.file_words => {
                format!("({} | {})", quoted(&format!("{KIND}{word}")), quoted(&format!("{FILE_WORD}{word}")))
            }
            What::Files(word) => quoted(&format!("{KIND}{word}")),
        };
        format!("{not}{what}")
    }
}
