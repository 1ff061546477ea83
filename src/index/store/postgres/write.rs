//! What changes the store: torrents that come, are counted, forgotten or thrown away. Each batch is one transaction, with its
//! rows in the order of their infohashes, so that two programs that write the same wait for each other and do not block.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::{Client, GenericClient, Transaction};

use super::rows::{self, clean, tier_word, vector};
use super::trouble::Trouble;
use crate::engine::id::InfoHash;
use crate::index::entry::{Entry, Source, Swarm, UnixSeconds, pack, unpack};
use crate::index::history::SwarmHistory;
use crate::index::store::block::Blocks;
use crate::index::store::document::{TIERS, document, tier};
use crate::index::store::{Added, Mark, Options, mark_key, signed};

/// What a row says that a batch brings up to date.
struct Before {
    name: String,
    found: UnixSeconds,
    source: Source,
}

/// What a batch does, once it was compared with what is there.
#[derive(Default)]
struct Changes {
    /// Whole rows: torrents that are new, or whose name was unchecked.
    rows: BTreeMap<InfoHash, Entry>,
    /// Those of them that take the place of a row.
    replaced: BTreeSet<InfoHash>,
    /// Torrents that were seen once more.
    seen: BTreeMap<InfoHash, (UnixSeconds, Source)>,
    counts: Vec<(InfoHash, Swarm)>,
    marked: usize,
}

impl Changes {
    /// The name and the files of a torrent cannot change, unless they came from somewhere unchecked.
    fn take(&mut self, entry: &Entry, before: Option<&Before>) {
        let checked = entry.source.is_checked();
        if let Some(new) = self.rows.get_mut(&entry.infohash) {
            let replaced = checked && !new.source.is_checked() && new.name != entry.name;
            match replaced {
                true => *new = Entry { found: new.found, ..entry.clone() },
                false => renew(new, entry, checked),
            }
            return;
        }
        let Some(before) = before else {
            self.rows.insert(entry.infohash, entry.clone());
            return;
        };
        if checked && !before.source.is_checked() && before.name != clean(&entry.name) {
            self.replaced.insert(entry.infohash);
            self.rows.insert(entry.infohash, Entry { found: before.found, ..entry.clone() });
            return;
        }
        self.renew(entry, if checked { entry.source } else { before.source }, checked);
    }

    fn renew(&mut self, entry: &Entry, source: Source, checked: bool) {
        let seen = self.seen.entry(entry.infohash).or_insert((entry.seen, source));
        *seen = (seen.0.max(entry.seen), if checked { source } else { seen.1 });
        self.counts.extend(entry.swarm.map(|swarm| (entry.infohash, swarm)));
    }
}

/// The same torrent twice in one batch.
fn renew(new: &mut Entry, entry: &Entry, checked: bool) {
    new.seen = new.seen.max(entry.seen);
    if checked {
        new.source = entry.source;
    }
    if entry.swarm.map(|swarm| swarm.at) >= new.swarm.map(|swarm| swarm.at) {
        new.swarm = entry.swarm;
    }
}

/// Adds torrents, or brings those up to date that are there.
pub(super) async fn add(
    client: &mut Client,
    blocks: &RefCell<&mut Blocks>,
    options: Options,
    batch: &[Entry],
) -> Result<Added, Trouble> {
    let transaction = client.transaction().await?;
    let mut changes = compare(&transaction, batch).await?;
    let sql = "DELETE FROM torrent WHERE hash = ANY($1)";
    let replaced = transaction.execute(sql, &[&bytes(changes.replaced.iter())]).await?;
    let inserted = insert(&transaction, blocks, options, &changes.rows).await?;
    let rows = std::mem::take(&mut changes.rows);
    for entry in rows.values().filter(|entry| !inserted.contains(&entry.infohash)) {
        // Another program was faster.
        changes.renew(entry, entry.source, entry.source.is_checked());
    }
    let new = inserted.len().saturating_sub(usize::try_from(replaced).unwrap_or(0));
    touch(&transaction, &changes.seen).await?;
    count(&transaction, &changes.counts).await?;
    add_to_total(&transaction, signed(new as u64)).await?;
    transaction.commit().await?;
    Ok(Added { new, renewed: batch.len() - changes.marked - new, marked: changes.marked, evicted: 0 })
}

async fn compare(transaction: &Transaction<'_>, batch: &[Entry]) -> Result<Changes, Trouble> {
    let keys: Vec<[u8; 8]> = batch.iter().map(|entry| mark_key(entry.infohash)).collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    let marks = transaction.query("SELECT key FROM mark WHERE key = ANY($1)", &[&keys]).await?;
    let mut marked: BTreeSet<Vec<u8>> = BTreeSet::new();
    for row in &marks {
        marked.insert(row.try_get(0)?);
    }
    let hashes: BTreeSet<InfoHash> = batch.iter().map(|entry| entry.infohash).collect();
    let sql = "SELECT hash, name, found, source FROM torrent WHERE hash = ANY($1) ORDER BY hash FOR UPDATE";
    let mut before = BTreeMap::new();
    for row in &transaction.query(sql, &[&bytes(hashes.iter())]).await? {
        let found: i64 = row.try_get(2)?;
        let source = Source::of_number(row.try_get(3)?);
        before.insert(rows::infohash(row, 0)?, Before { name: row.try_get(1)?, found: found.unsigned_abs(), source });
    }
    let mut changes = Changes::default();
    for (entry, key) in batch.iter().zip(keys) {
        match marked.contains(key) {
            true => changes.marked += 1,
            false => changes.take(entry, before.get(&entry.infohash)),
        }
    }
    Ok(changes)
}

fn bytes<'a>(infohashes: impl Iterator<Item = &'a InfoHash>) -> Vec<&'a [u8]> {
    infohashes.map(|infohash| &infohash.as_bytes()[..]).collect()
}

/// Inserts whole rows; those that were.
async fn insert(
    transaction: &Transaction<'_>,
    blocks: &RefCell<&mut Blocks>,
    options: Options,
    rows: &BTreeMap<InfoHash, Entry>,
) -> Result<BTreeSet<InfoHash>, Trouble> {
    let entries: Vec<&Entry> = rows.values().collect();
    let numbers = |of: fn(&Entry) -> u64| -> Vec<i64> { entries.iter().map(|entry| signed(of(entry))).collect() };
    let counts = |of: fn(&Swarm) -> u64| -> Vec<Option<i64>> {
        entries.iter().map(|entry| entry.swarm.as_ref().map(|swarm| signed(of(swarm)))).collect()
    };
    let (mut closed, mut words) = (Vec::new(), Vec::new());
    for entry in &entries {
        let packed = if options.keep_files { pack(&entry.files) } else { Vec::new() };
        // Of the files that are kept, as in every store.
        let document = document(&entry.name, &unpack(&packed), options.file_words);
        words.push(vector(&entry.name, &document, tier(entry.swarm)));
        closed.push((!packed.is_empty()).then(|| blocks.borrow_mut().close(&packed)));
    }
    let names: Vec<String> = entries.iter().map(|entry| clean(&entry.name)).collect();
    let sources: Vec<i64> = entries.iter().map(|entry| entry.source.number().into()).collect();
    let tiers: Vec<i16> = entries.iter().map(|entry| tier(entry.swarm) as i16).collect();
    let sql =
        "INSERT INTO torrent(hash, name, size, files, found, seen, seeds, peers, counted, source, tier, block, words)
        SELECT hash, name, size, files, found, seen, seeds, peers, counted, source, tier, block, words::tsvector
        FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
            $8::bigint[], $9::bigint[], $10::bigint[], $11::smallint[], $12::bytea[], $13::text[])
            AS new(hash, name, size, files, found, seen, seeds, peers, counted, source, tier, block, words)
        ON CONFLICT (hash) DO NOTHING RETURNING hash";
    let done = transaction
        .query(
            sql,
            &[
                &bytes(rows.keys()),
                &names,
                &numbers(|entry| entry.size_bytes),
                &numbers(|entry| entry.file_count),
                &numbers(|entry| entry.found),
                &numbers(|entry| entry.seen),
                &counts(|swarm| swarm.seeds.into()),
                &counts(|swarm| swarm.peers.into()),
                &counts(|swarm| swarm.at),
                &sources,
                &tiers,
                &closed,
                &words,
            ],
        )
        .await?;
    done.iter().map(|row| rows::infohash(row, 0)).collect()
}

async fn touch(transaction: &Transaction<'_>, seen: &BTreeMap<InfoHash, (UnixSeconds, Source)>) -> Result<(), Trouble> {
    let times: Vec<i64> = seen.values().map(|(seen, _)| signed(*seen)).collect();
    let sources: Vec<i64> = seen.values().map(|(_, source)| source.number().into()).collect();
    let sql = "UPDATE torrent SET seen = greatest(torrent.seen, new.seen), source = new.source
        FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS new(hash, seen, source) WHERE torrent.hash = new.hash";
    transaction.execute(sql, &[&bytes(seen.keys()), &times, &sources]).await?;
    Ok(())
}

/// Takes in counts in a transaction of their own.
pub(super) async fn count_all(client: &mut Client, counts: &[(InfoHash, Swarm)]) -> Result<(), Trouble> {
    let transaction = client.transaction().await?;
    let hashes: BTreeSet<InfoHash> = counts.iter().map(|(infohash, _)| *infohash).collect();
    let sql = "SELECT 1 FROM torrent WHERE hash = ANY($1) ORDER BY hash FOR UPDATE";
    transaction.execute(sql, &[&bytes(hashes.iter())]).await?;
    count(&transaction, counts).await?;
    Ok(transaction.commit().await?)
}

/// Takes in counts, unless later ones are there; moves the torrents to their tiers.
async fn count(transaction: &Transaction<'_>, counts: &[(InfoHash, Swarm)]) -> Result<(), Trouble> {
    let mut latest: BTreeMap<InfoHash, Swarm> = BTreeMap::new();
    for (infohash, swarm) in counts {
        let kept = latest.entry(*infohash).or_insert(*swarm);
        if swarm.at >= kept.at {
            *kept = *swarm;
        }
    }
    let mut before = histories(transaction, &bytes(latest.keys())).await?;
    let after = latest.iter().map(|(infohash, swarm)| before.remove(infohash).unwrap_or_default().with(*swarm).bytes());
    let histories: Vec<Option<Vec<u8>>> = after.collect();
    let numbers = |of: fn(&Swarm) -> u64| -> Vec<i64> { latest.values().map(|swarm| signed(of(swarm))).collect() };
    let tiers: Vec<i16> = latest.values().map(|swarm| tier(Some(*swarm)) as i16).collect();
    let words: Vec<String> = latest.values().map(|swarm| rows::quoted(&tier_word(tier(Some(*swarm))))).collect();
    let all: Vec<String> = (0..TIERS).map(tier_word).collect();
    let sql = "UPDATE torrent SET seeds = new.seeds, peers = new.peers, counted = new.counted, tier = new.tier,
            history = new.history,
            seen = CASE WHEN new.seeds + new.peers > 0 THEN greatest(torrent.seen, new.counted) ELSE torrent.seen END,
            words = CASE WHEN torrent.tier = new.tier THEN torrent.words
                ELSE ts_delete(torrent.words, $7::text[]) || new.word::tsvector END
        FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::smallint[], $6::text[], $8::bytea[])
            AS new(hash, seeds, peers, counted, tier, word, history)
        WHERE torrent.hash = new.hash AND (torrent.counted IS NULL OR torrent.counted <= new.counted)";
    let (hashes, seeds) = (bytes(latest.keys()), numbers(|swarm| swarm.seeds.into()));
    let (peers, times) = (numbers(|swarm| swarm.peers.into()), numbers(|swarm| swarm.at));
    transaction.execute(sql, &[&hashes, &seeds, &peers, &times, &tiers, &words, &all, &histories]).await?;
    Ok(())
}

/// The counts of torrents that are there.
pub(super) async fn histories(
    client: &impl GenericClient,
    hashes: &[&[u8]],
) -> Result<BTreeMap<InfoHash, SwarmHistory>, Trouble> {
    let sql = "SELECT hash, history, seeds, peers, counted FROM torrent WHERE hash = ANY($1)";
    let mut all = BTreeMap::new();
    for row in &client.query(sql, &[&hashes]).await? {
        all.insert(rows::infohash(row, 0)?, SwarmHistory::of(row.try_get(1)?, rows::swarm(row, 2)?));
    }
    Ok(all)
}

/// Removes torrents and leaves a mark of each.
pub(super) async fn forget(
    client: &mut Client,
    infohashes: &[InfoHash],
    mark: Mark,
    now: UnixSeconds,
) -> Result<usize, Trouble> {
    let transaction = client.transaction().await?;
    let hashes: BTreeSet<InfoHash> = infohashes.iter().copied().collect();
    let sql = "DELETE FROM torrent WHERE hash = ANY(ARRAY(
        SELECT hash FROM torrent WHERE hash = ANY($1) ORDER BY hash FOR UPDATE))";
    let forgotten = transaction.execute(sql, &[&bytes(hashes.iter())]).await?;
    let keys: BTreeSet<[u8; 8]> = hashes.iter().map(|infohash| mark_key(*infohash)).collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    let sql = "INSERT INTO mark(key, kind, at) SELECT key, $2, $3 FROM unnest($1::bytea[]) AS new(key)
        ON CONFLICT (key) DO UPDATE SET kind = excluded.kind, at = excluded.at";
    transaction.execute(sql, &[&keys, &i16::from(mark.number()), &signed(now)]).await?;
    add_to_total(&transaction, -signed(forgotten)).await?;
    transaction.commit().await?;
    Ok(usize::try_from(forgotten).unwrap_or(usize::MAX))
}

/// The torrents without seeds, those seen longest ago first; where all are seeded, those with the fewest seeds.
pub(super) const LEAST_VALUABLE: [&str; 2] = ["WHERE tier = 3 ORDER BY seen", "WHERE tier < 3 ORDER BY seeds, seen"];

/// Throws away the first of these that there are. How many.
pub(super) async fn throw_away(client: &mut Client, victims: &[&str], most: i64) -> Result<usize, Trouble> {
    let transaction = client.transaction().await?;
    let mut evicted = 0;
    for victims in victims {
        let sql = format!("DELETE FROM torrent WHERE hash = ANY(ARRAY(SELECT hash FROM torrent {victims} LIMIT $1))");
        evicted = transaction.execute(&sql, &[&most]).await?;
        if evicted > 0 {
            break;
        }
    }
    add_to_total(&transaction, -signed(evicted)).await?;
    transaction.commit().await?;
    Ok(usize::try_from(evicted).unwrap_or(usize::MAX))
}

async fn add_to_total(transaction: &Transaction<'_>, change: i64) -> Result<(), Trouble> {
    if change != 0 {
        transaction.execute("UPDATE total SET torrents = torrents + $1", &[&change]).await?;
    }
    Ok(())
}
