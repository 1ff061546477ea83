//! The store for more than one machine: a PostgreSQL database, which several nodes may share.
//!
//! The same words as in the embedded store, as a `tsvector` in an inverted index (GIN), the tier of seeds among them: a common
//! word costs a search that finds well-seeded torrents no more than a rare one. What is acknowledged is on the disk of the
//! database. A database that does not answer is an error at once ([`StoreError::Unreachable`]), never a wait without end.

mod address;
mod leases;
mod retry;
mod room;
mod rows;
mod schema;
mod search;
mod session;
mod tls;
mod trouble;
mod write;

use std::time::Duration;

use tokio_postgres::Client;

pub use self::address::{Address, AddressError};
use self::session::Session;
use self::trouble::Trouble;
use super::block::Blocks;
use super::{Added, Found, Known, Mark, Open, Options, Page, Store, StoreError, Totals, mark_key, signed};
use crate::engine::id::InfoHash;
use crate::index::entry::{Entry, Source, Swarm, UnixSeconds, unpack};
use crate::index::query::Query;
use crate::index::shares::Shares;
use crate::torrent::TorrentFile;

/// A share of the torrents, in hundredths, that is thrown away before small tables are told to use that room again. Large ones
/// are left to the autovacuum of the server.
const VACUUM_PCT: u64 = 5;
const SMALL_BYTES: u64 = 256 << 20;

/// A store in a database.
#[derive(Debug)]
pub struct Postgres {
    session: Session,
    options: Options,
    blocks: Blocks,
    /// Whether words of files are in the database: decided when it was made. `None` before it was asked.
    file_words: Option<bool>,
    /// Torrents that were thrown away since their room was given back.
    evicted: u64,
}

impl Postgres {
    /// The store at this address. It connects when something is first asked of it.
    #[must_use]
    pub fn new(address: Address, options: Options, open: Open) -> Self {
        let session = Session::new(address, open);
        Self { session, options, blocks: Blocks::new(), file_words: None, evicted: 0 }
    }

    /// The options, with what was decided when the database was made.
    fn decided(&mut self) -> Result<Options, StoreError> {
        let file_words = match self.file_words {
            Some(decided) => decided,
            None => self.ask_file_words()?,
        };
        self.file_words = Some(file_words);
        Ok(Options { file_words, ..self.options })
    }

    fn ask_file_words(&mut self) -> Result<bool, StoreError> {
        let wanted = [u8::from(self.options.file_words)];
        self.session.run(async |client| {
            let sql = "INSERT INTO state(name, value) VALUES('file words', $1) ON CONFLICT DO NOTHING";
            client.execute(sql, &[&&wanted[..]]).await?;
            Ok(load(client, "file words").await?.is_some_and(|kept| kept.first() == Some(&1)))
        })
    }

    /// Throws torrents away while the store is nearly full; how many.
    fn make_room(&mut self, batch: usize) -> Result<usize, StoreError> {
        let most_bytes = self.options.most_bytes;
        let (now, evicted) = self.session.run(async |client| {
            let (now, fullest) = room::measure(client).await?;
            room::remember(client, now, fullest).await?;
            let surplus = now.surplus(fullest, most_bytes, batch);
            let evicted =
                if surplus > 0 { write::throw_away(client, &write::LEAST_VALUABLE, signed(surplus)).await? } else { 0 };
            Ok((now, evicted))
        })?;
        self.evicted += evicted as u64;
        if now.bytes < SMALL_BYTES && self.evicted > now.torrents / 100 * VACUUM_PCT && self.evicted > 0 {
            self.evicted = 0;
            self.session.run(async |client| Ok(client.batch_execute("VACUUM torrent").await?))?;
        }
        Ok(evicted)
    }
}

impl Store for Postgres {
    fn add(&mut self, batch: &[Entry]) -> Result<Added, StoreError> {
        let options = self.decided()?;
        let evicted = self.make_room(batch.len())?;
        let blocks = std::cell::RefCell::new(&mut self.blocks);
        let added = self.session.run(async |client| write::add(client, &blocks, options, batch).await)?;
        Ok(Added { evicted, ..added })
    }

    fn count(&mut self, counts: &[(InfoHash, Swarm)]) -> Result<(), StoreError> {
        self.session.run(async |client| write::count_all(client, counts).await)
    }

    fn known(&mut self, infohashes: &[InfoHash]) -> Result<Vec<Known>, StoreError> {
        self.session.run(async |client| known(client, infohashes).await)
    }

    fn search(&mut self, query: &Query, page: Page) -> Result<Found, StoreError> {
        let file_words = self.decided()?.file_words;
        self.session.run(async |client| search::search(client, query, page, file_words).await)
    }

    fn files(&mut self, infohash: InfoHash) -> Result<Vec<TorrentFile>, StoreError> {
        let block: Option<Vec<u8>> = self.session.run(async |client| {
            let row =
                client.query_opt("SELECT block FROM torrent WHERE hash = $1", &[&&infohash.as_bytes()[..]]).await?;
            Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
        })?;
        Ok(self.opened(block))
    }

    fn history(&mut self, infohash: InfoHash) -> Result<Vec<Swarm>, StoreError> {
        self.session.run(async |client| {
            let mut histories = write::histories(client, &[&infohash.as_bytes()[..]]).await?;
            Ok(histories.remove(&infohash).unwrap_or_default().all())
        })
    }

    fn forget(&mut self, infohashes: &[InfoHash], mark: Mark, now: UnixSeconds) -> Result<usize, StoreError> {
        self.session.run(async |client| write::forget(client, infohashes, mark, now).await)
    }

    fn drop_source(&mut self, source: Source, most: usize) -> Result<usize, StoreError> {
        self.session.run(async |client| {
            let victims = format!("WHERE source = {}", source.number());
            write::throw_away(client, &[&victims], signed(most as u64)).await
        })
    }

    fn mark(&mut self, infohash: InfoHash) -> Result<Option<Mark>, StoreError> {
        self.session.run(async |client| {
            let row = client.query_opt("SELECT kind FROM mark WHERE key = $1", &[&&mark_key(infohash)[..]]).await?;
            Ok(row.map(|row| row.try_get::<_, i16>(0)).transpose()?.map(|kind| Mark::of_number(kind.into())))
        })
    }

    fn list(&mut self, after: i64, most: usize) -> Result<Vec<(i64, Entry)>, StoreError> {
        let sql = format!("SELECT {}, block FROM torrent WHERE id > $1 ORDER BY id LIMIT $2", rows::COLUMNS);
        let listed: Vec<(i64, Entry, Option<Vec<u8>>)> = self.session.run(async |client| {
            let rows = client.query(&sql, &[&after, &signed(most as u64)]).await?;
            let one = |row| rows::read(row).and_then(|(id, entry)| Ok((id, entry, row.try_get(11)?)));
            rows.iter().map(one).collect()
        })?;
        let with_files = |(id, entry, block)| (id, Entry { files: self.opened(block), ..entry });
        Ok(listed.into_iter().map(with_files).collect())
    }

    fn totals(&mut self) -> Result<Totals, StoreError> {
        let most_bytes = self.options.most_bytes;
        self.session.run(async |client| {
            let (now, fullest) = room::measure(client).await?;
            let marks: i64 = client.query_one("SELECT count(*) FROM mark", &[]).await?.try_get(0)?;
            let (torrents, used_bytes) = (now.torrents, now.used(fullest));
            Ok(Totals { torrents, marks: marks.unsigned_abs(), used_bytes, most_bytes })
        })
    }

    fn load(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.session.run(async |client| load(client, name).await)
    }

    fn save(&mut self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.session.run(async |client| save(client, name, bytes).await)
    }

    fn hold_shares(&mut self, me: &str, lasts: Duration) -> Result<Option<Shares>, StoreError> {
        self.session.run(async |client| leases::hold(client, me, lasts).await.map(Some))
    }
}

impl Postgres {
    fn opened(&mut self, block: Option<Vec<u8>>) -> Vec<TorrentFile> {
        block.and_then(|block| self.blocks.open(&block)).map(|packed| unpack(&packed)).unwrap_or_default()
    }
}

async fn load(client: &Client, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
    let row = client.query_opt("SELECT value FROM state WHERE name = $1", &[&name]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

async fn save(client: &Client, name: &str, bytes: &[u8]) -> Result<(), Trouble> {
    let sql = "INSERT INTO state(name, value) VALUES($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    client.execute(sql, &[&name, &bytes]).await?;
    Ok(())
}

async fn known(client: &Client, infohashes: &[InfoHash]) -> Result<Vec<Known>, Trouble> {
    let hashes: Vec<&[u8]> = infohashes.iter().map(|infohash| &infohash.as_bytes()[..]).collect();
    let keys: Vec<[u8; 8]> = infohashes.iter().map(|infohash| mark_key(*infohash)).collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    let sql = "SELECT torrent.hash IS NOT NULL, seeds, peers, counted, kind
        FROM unnest($1::bytea[], $2::bytea[]) WITH ORDINALITY AS asked(hash, key, place)
        LEFT JOIN torrent ON torrent.hash = asked.hash LEFT JOIN mark ON mark.key = asked.key ORDER BY place";
    let mut all = Vec::with_capacity(infohashes.len());
    for row in &client.query(sql, &[&hashes, &keys]).await? {
        let (there, kind): (bool, Option<i16>) = (row.try_get(0)?, row.try_get(4)?);
        all.push(match (there, kind) {
            (true, _) => Known::Yes(rows::swarm(row, 1)?),
            (false, Some(kind)) => Known::Marked(Mark::of_number(kind.into())),
            (false, None) => Known::No,
        });
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
