//! Metadata: several torrents at a time, a few connections each, within what is allowed a second and a day.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::stream::{self, FuturesUnordered};
use futures_util::{Stream, StreamExt as _};

use super::{Index, lock, now, source};
use crate::dht::Dht;
use crate::engine::owner::owner;
use crate::index::entry::{Entry, MOST_FILES};
use crate::index::store::Mark;
use crate::index::wanted::Want;
use crate::net::peers::{Goal, Limits, Step, Visit};
use crate::torrent::{Info, files};

/// Connections of one torrent at a time.
const CONNECTIONS_EACH: usize = 4;
/// Peers of one torrent that are connected to.
const PEERS_EACH: usize = 12;
/// Peers of one /24 or /48 that are connected to for one torrent.
const MOST_OF_AN_OWNER: usize = 3;
/// Longest time for one torrent.
const PATIENCE: Duration = Duration::from_secs(40);
/// Torrents that are written at a time, and the longest time that one waits for others.
const BATCH: usize = 64;
const BATCH_WAITS: Duration = Duration::from_secs(2);
/// Time after which the queue is looked at again when it was empty.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Seconds of a day.
const DAY: u64 = 86_400;

/// What came of one torrent.
pub(super) enum Ended {
    Kept(Box<Entry>),
    Nothing,
}

impl Index {
    /// Fetches; never ends.
    pub(super) async fn fetch(&self, dht: &Dht) {
        let at_once = (self.settings.connections / CONNECTIONS_EACH).max(1);
        let mut running = FuturesUnordered::new();
        let mut batch: Vec<Entry> = Vec::new();
        let mut written = tokio::time::interval(BATCH_WAITS);
        let mut look = tokio::time::interval(LOOK_AGAIN);
        let mut allowance = Allowance::new(self.settings.bytes_per_day);
        loop {
            while running.len() < at_once && allowance.is_left(now(), self.counts.bytes.load(Relaxed)) {
                let Some(want) = lock(&self.wanted).next(now()) else { break };
                running.push(self.fetch_one(dht, want));
            }
            tokio::select! {
                Some(ended) = running.next(), if !running.is_empty() => {
                    if let Ended::Kept(entry) = ended {
                        batch.push(*entry);
                    }
                }
                _ = look.tick() => {}
                _ = written.tick(), if !batch.is_empty() || !lock(&self.backlog).is_empty() => self.write(std::mem::take(&mut batch)).await,
            }
            if batch.len() >= BATCH {
                self.write(std::mem::take(&mut batch)).await;
            }
        }
    }

    pub(super) async fn fetch_one(&self, dht: &Dht, want: Want) -> Ended {
        let infohash = want.infohash;
        let limits =
            Limits { at_once: CONNECTIONS_EACH, peers: PEERS_EACH, each: Duration::from_secs(20), ..Limits::default() };
        let visit = Visit::new(infohash, self.settings.our_peer_id, limits, Goal::Metadata);
        let peers = std::pin::pin!(self.peers(dht, &want));
        let run = visit.run(peers, |news| {
            if matches!(news.step, Step::Met) {
                self.counts.connected.fetch_add(1, Relaxed);
            }
        });
        let Some(raw) = tokio::time::timeout(PATIENCE, run).await.ok().flatten() else {
            self.counts.failed.fetch_add(1, Relaxed);
            lock(&self.wanted).failed(now(), infohash);
            return Ended::Nothing;
        };
        self.counts.bytes.fetch_add(raw.len() as u64, Relaxed);
        lock(&self.wanted).done(infohash);
        self.judge(&raw, &want).await
    }

    /// The peers that a node named, then those that a lookup finds; each at the pace of connections, few of one network.
    fn peers<'a>(&'a self, dht: &'a Dht, want: &'a Want) -> impl Stream<Item = SocketAddr> + 'a {
        let named = stream::iter(want.peers.iter().copied());
        let found = stream::once(dht.find_peers(want.infohash)).flatten();
        let mut seen: BTreeMap<u64, Vec<SocketAddr>> = BTreeMap::new();
        let fresh = move |peer: &SocketAddr| {
            let of_owner = seen.entry(owner(peer.ip())).or_default();
            // On a loopback or in a private network all are of one owner.
            let full = of_owner.len() >= MOST_OF_AN_OWNER && !is_local(peer) || of_owner.contains(peer);
            if !full {
                of_owner.push(*peer);
            }
            std::future::ready(!full)
        };
        named.chain(found).filter(fresh).then(async |peer| {
            self.connects.turn().await;
            peer
        })
    }

    /// Whether a torrent may be kept, and what is kept of it.
    async fn judge(&self, raw: &[u8], want: &Want) -> Ended {
        let Ok(info) = Info::read(raw) else { return Ended::Nothing };
        if info.private {
            self.counts.private.fetch_add(1, Relaxed);
            self.mark(want.infohash, Mark::Private).await;
            return Ended::Nothing;
        }
        let name = info.name.clone().unwrap_or_default();
        // A hybrid torrent has two infohashes, and either may be on a list.
        let refused = {
            let filter = lock(&self.filter);
            filter.refuses_name(&name) || info.infohashes().iter().any(|one| filter.refuses_infohash(*one))
        };
        if refused {
            self.counts.refused.fetch_add(1, Relaxed);
            self.mark(want.infohash, Mark::Refused).await;
            return Ended::Nothing;
        }
        self.counts.fetched.fetch_add(1, Relaxed);
        let entry = Entry {
            infohash: info.infohashes().first().copied().unwrap_or(want.infohash),
            name,
            size_bytes: info.size_bytes,
            file_count: info.files,
            files: files(raw, MOST_FILES).unwrap_or_default(),
            found: now(),
            seen: now(),
            swarm: want.swarm,
            source: source(self.settings.mode),
        };
        self.compare(want.infohash, &entry).await;
        Ended::Kept(Box::new(entry))
    }
}

const fn is_local(peer: &SocketAddr) -> bool {
    match peer.ip() {
        std::net::IpAddr::V4(ip) => ip.is_loopback() || ip.is_private(),
        std::net::IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    }
}

/// Bytes a day. Told the time.
struct Allowance {
    most: u64,
    day: u64,
    /// The bytes of all days before.
    before: u64,
}

impl Allowance {
    const fn new(most: u64) -> Self {
        Self { most, day: 0, before: 0 }
    }

    /// Whether anything is left today, where this many bytes were fetched in all.
    const fn is_left(&mut self, now: u64, fetched: u64) -> bool {
        if now / DAY != self.day {
            (self.day, self.before) = (now / DAY, fetched);
        }
        fetched - self.before < self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_for_a_day() {
        let mut allowance = Allowance::new(100);
        assert!(allowance.is_left(DAY, 5));
        assert!(allowance.is_left(DAY + 9, 104));
        assert!(!allowance.is_left(2 * DAY - 1, 105));
        assert!(allowance.is_left(2 * DAY, 105));
    }
}
