//! What changes the store: torrents that come, are counted, forgotten or thrown away.

use rusqlite::params;

use super::rows::{self, Row, TIERS};
use super::{PAGE_BYTES, Sqlite, most_pages};
use crate::engine::id::InfoHash;
use crate::index::entry::{Entry, Source, Swarm, UnixSeconds, pack, unpack};
use crate::index::store::document::{document, tier};
use crate::index::store::{Added, Mark, StoreError, mark_key, signed};
use crate::torrent::TorrentFile;

/// Share of its size in hundredths that the store may fill before torrents are thrown away.
const FULL_PCT: u64 = 92;
/// Torrents that are thrown away at a time: one in this many, and at least the next number.
const EVICTED_SHARE: u64 = 100;
const EVICTED_LEAST: u64 = 500;
/// Torrents without seeds, those seen longest ago first; where all are seeded, those with the fewest seeds.
pub(super) const LEAST_VALUABLE: [&str; 2] =
    ["WHERE coalesce(seeds, 0) = 0 ORDER BY seen", "WHERE seeds > 0 ORDER BY seeds, seen"];

impl Sqlite {
    pub(super) fn add_all(&mut self, batch: &[Entry]) -> Result<Added, StoreError> {
        let mut added = Added::default();
        self.begin()?;
        let done = batch.iter().try_for_each(|entry| self.add_one(entry, &mut added));
        self.end(done.and_then(|()| self.add_to_total(signed(added.new as u64))))?;
        Ok(added)
    }

    fn add_one(&mut self, entry: &Entry, added: &mut Added) -> Result<(), StoreError> {
        if rows::mark(&self.connection, entry.infohash)?.is_some() {
            added.marked += 1;
            return Ok(());
        }
        match rows::by_infohash(&self.connection, entry.infohash)? {
            Some(row) => {
                added.renewed += 1;
                self.renew(&row, entry)
            }
            None => {
                added.new += 1;
                self.insert(entry)
            }
        }
    }

    fn insert(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let swarm = entry.swarm;
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO torrent(hash, name, size, files, found, seen, seeds, peers, counted, source)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        statement.execute(params![
            &entry.infohash.as_bytes()[..],
            entry.name,
            signed(entry.size_bytes),
            signed(entry.file_count),
            signed(entry.found),
            signed(entry.seen),
            swarm.map(|swarm| swarm.seeds),
            swarm.map(|swarm| swarm.peers),
            swarm.map(|swarm| signed(swarm.at)),
            entry.source.number(),
        ])?;
        drop(statement);
        let id = self.connection.last_insert_rowid();
        let packed = if self.options.keep_files { pack(&entry.files) } else { Vec::new() };
        if !packed.is_empty() {
            let block = self.blocks.close(&packed);
            self.connection.prepare_cached("INSERT INTO files VALUES(?1, ?2)")?.execute(params![id, block])?;
        }
        // Of the files that are kept, as when it is taken out of the index again.
        let document = self.document(&entry.name, &unpack(&packed));
        self.index(tier(swarm), id, &document)
    }

    /// Brings a torrent up to date. Its name and files cannot change, unless they came from somewhere unchecked.
    fn renew(&mut self, row: &Row, entry: &Entry) -> Result<(), StoreError> {
        let checked = entry.source.is_checked();
        if checked && !row.entry.source.is_checked() && row.entry.name != entry.name {
            self.remove(row)?;
            return self.insert(&Entry { found: row.entry.found, ..entry.clone() });
        }
        let source = if checked { entry.source } else { row.entry.source };
        let mut statement =
            self.connection.prepare_cached("UPDATE torrent SET seen = max(seen, ?2), source = ?3 WHERE id = ?1")?;
        statement.execute(params![row.id, signed(entry.seen), source.number()])?;
        drop(statement);
        match entry.swarm {
            Some(swarm) => self.count_row(row, swarm),
            None => Ok(()),
        }
    }

    pub(super) fn count_all(&mut self, counts: &[(InfoHash, Swarm)]) -> Result<(), StoreError> {
        self.begin()?;
        let done =
            counts.iter().try_for_each(|(infohash, swarm)| match rows::by_infohash(&self.connection, *infohash)? {
                Some(row) => self.count_row(&row, *swarm),
                None => Ok(()),
            });
        self.end(done)
    }

    /// Takes in a count, unless a later one is there; moves the torrent to its tier.
    fn count_row(&mut self, row: &Row, swarm: Swarm) -> Result<(), StoreError> {
        if row.entry.swarm.is_some_and(|before| before.at > swarm.at) {
            return Ok(());
        }
        let alive = swarm.seeds + swarm.peers > 0;
        let seen = if alive { swarm.at.max(row.entry.seen) } else { row.entry.seen };
        let history = rows::history(&self.connection, row)?.with(swarm);
        let mut statement = self.connection.prepare_cached(
            "UPDATE torrent SET seeds = ?2, peers = ?3, counted = ?4, seen = ?5, history = ?6 WHERE id = ?1",
        )?;
        statement.execute(params![
            row.id,
            swarm.seeds,
            swarm.peers,
            signed(swarm.at),
            signed(seen),
            history.bytes()
        ])?;
        drop(statement);
        let (before, now) = (tier(row.entry.swarm), tier(Some(swarm)));
        if before == now {
            return Ok(());
        }
        let files = self.files_of(row.id)?;
        let document = self.document(&row.entry.name, &files);
        self.unindex(before, row.id, &document)?;
        self.index(now, row.id, &document)
    }

    pub(super) fn forget_all(
        &mut self,
        infohashes: &[InfoHash],
        mark: Mark,
        now: UnixSeconds,
    ) -> Result<usize, StoreError> {
        let mut forgotten = 0;
        self.begin()?;
        let done = infohashes.iter().try_for_each(|infohash| {
            if let Some(row) = rows::by_infohash(&self.connection, *infohash)? {
                self.remove(&row)?;
                forgotten += 1;
            }
            let mut statement = self.connection.prepare_cached("INSERT OR REPLACE INTO mark VALUES(?1, ?2, ?3)")?;
            statement.execute(params![&mark_key(*infohash)[..], mark.number(), signed(now)])?;
            Ok(())
        });
        self.end(done.and_then(|()| self.add_to_total(-signed(forgotten as u64))))?;
        Ok(forgotten)
    }

    /// Throws torrents away while the store is nearly full. How many.
    pub(super) fn make_room(&mut self) -> Result<usize, StoreError> {
        let mut evicted = 0;
        while self.pages_in_use()? * PAGE_BYTES > self.options.most_bytes / 100 * FULL_PCT {
            match self.evict()? {
                0 => break,
                more => evicted += more,
            }
        }
        Ok(evicted)
    }

    /// Throws away the least valuable torrents. How many.
    pub(super) fn evict(&mut self) -> Result<usize, StoreError> {
        let most = (self.torrents()? / EVICTED_SHARE).max(EVICTED_LEAST);
        for which in LEAST_VALUABLE {
            let evicted = self.throw_away(which, most)?;
            if evicted > 0 {
                return Ok(evicted);
            }
        }
        Ok(0)
    }

    pub(super) fn drop_source_of(&mut self, source: Source, most: usize) -> Result<usize, StoreError> {
        let number = source.number();
        let imported = if source.is_checked() { "" } else { "AND source >= 3" };
        self.throw_away(&format!("WHERE source = {number} {imported}"), most as u64)
    }

    fn throw_away(&mut self, which: &str, most: u64) -> Result<usize, StoreError> {
        // Taking words out of the full text needs room itself for a moment.
        self.connection.pragma_update(None, "max_page_count", most_pages(self.options, true))?;
        let thrown = self.throw_away_in_that_room(which, most);
        self.connection.pragma_update(None, "max_page_count", most_pages(self.options, false))?;
        thrown
    }

    fn throw_away_in_that_room(&mut self, which: &str, most: u64) -> Result<usize, StoreError> {
        let mut thrown = 0;
        self.begin()?;
        let done = self.first_rows(which, most).and_then(|rows| {
            thrown = rows.len();
            rows.iter().try_for_each(|row| self.remove(row))?;
            self.add_to_total(-signed(thrown as u64))
        });
        self.end(done)?;
        Ok(thrown)
    }

    fn first_rows(&self, which: &str, most: u64) -> Result<Vec<Row>, StoreError> {
        let sql = format!("SELECT {} FROM torrent {which} LIMIT ?1", rows::COLUMNS);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map([signed(most)], Row::read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn add_to_total(&self, change: i64) -> Result<(), StoreError> {
        if change != 0 {
            self.connection.prepare_cached("UPDATE total SET torrents = torrents + ?1")?.execute([change])?;
        }
        Ok(())
    }

    fn remove(&mut self, row: &Row) -> Result<(), StoreError> {
        let files = self.files_of(row.id)?;
        let document = self.document(&row.entry.name, &files);
        self.unindex(tier(row.entry.swarm), row.id, &document)?;
        self.connection.prepare_cached("DELETE FROM files WHERE id = ?1")?.execute([row.id])?;
        self.connection.prepare_cached("DELETE FROM torrent WHERE id = ?1")?.execute([row.id])?;
        Ok(())
    }

    /// Made again when a torrent is taken out of the index: nothing but the name and the files may have a part in it.
    fn document(&self, name: &str, files: &[TorrentFile]) -> String {
        document(name, files, self.options.file_words).join(" ")
    }

    fn index(&self, tier: usize, id: i64, document: &str) -> Result<(), StoreError> {
        let table = TIERS[tier];
        let sql = format!("INSERT INTO {table}(rowid, w) VALUES(?1, ?2)");
        self.connection.prepare_cached(&sql)?.execute(params![id, document])?;
        Ok(())
    }

    fn unindex(&self, tier: usize, id: i64, document: &str) -> Result<(), StoreError> {
        let table = TIERS[tier];
        let sql = format!("INSERT INTO {table}({table}, rowid, w) VALUES('delete', ?1, ?2)");
        self.connection.prepare_cached(&sql)?.execute(params![id, document])?;
        Ok(())
    }

    fn begin(&self) -> Result<(), StoreError> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(())
    }

    /// Keeps everything since [`begin`](Self::begin), or nothing of it.
    fn end(&self, done: Result<(), StoreError>) -> Result<(), StoreError> {
        let kept = done.and_then(|()| {
            self.connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(())
        });
        if kept.is_err() && !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        kept
    }
}
