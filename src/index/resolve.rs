//! One torrent, now: its peers from the DHT, its info dictionary from them, its seeds and peers counted. Nothing is stored.

use std::future::Future;
use std::time::Duration;

use arrayvec::ArrayVec;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout_at};

use crate::dht::{Dht, Scraped};
use crate::engine::id::InfoHash;
use crate::net::peers::{Goal, Limits, News, Step, Visit};
use crate::torrent::{Info, InfoError, TorrentFile, files};

/// Most files of a torrent that are listed.
pub const MOST_FILES: usize = 10_000;
/// Time from the start within which a count is waited for, if the metadata came earlier ...
const COUNT_WITHIN: Duration = Duration::from_secs(3);
/// ... and the time that it gets after the metadata in any case.
const COUNT_AFTER: Duration = Duration::from_millis(500);

/// What to do where no peer of a torrent was found.
pub const WHERE_NOBODY_IS: &str = "check the infohash; or wait until a peer announces it, and try again";

/// What is known of a torrent.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Its metadata, if a peer had it.
    pub metadata: Option<Metadata>,
    /// Its seeds and peers; `None` where the count took too long. Unknown is not 0.
    pub scraped: Option<Scraped>,
    /// What its peers said.
    pub peers: PeerCounts,
    /// Time until all of this was known.
    pub after: Duration,
}

/// How many peers came how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerCounts {
    /// Peers that the DHT named.
    pub found: usize,
    /// Those that a connection could be made to.
    pub connected: usize,
    /// Those that take part in the swarm.
    pub greeted: usize,
    /// Those that offered the metadata.
    pub offered: usize,
}

impl PeerCounts {
    /// Why there is no metadata: how far the peers came.
    #[must_use]
    pub fn trouble(&self, torrent: &str) -> String {
        let Self { found, connected, greeted, offered } = self;
        match found {
            0 => format!("no peer of {torrent} was found"),
            _ => format!(
                "no peer of {torrent} gave the metadata: {found} found, {connected} reachable, {greeted} of this torrent, \
                 {offered} offered it"
            ),
        }
    }
}

/// An info dictionary that belongs to its infohash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Its bytes.
    pub raw: Vec<u8>,
    /// What it says.
    pub info: Info,
    /// The first of its files, at most [`MOST_FILES`].
    pub files: Vec<TorrentFile>,
}

impl Metadata {
    /// Reads an info dictionary that was checked against an infohash.
    ///
    /// # Errors
    /// The bytes are that of no torrent, although their hash fits.
    pub fn read(raw: Vec<u8>) -> Result<Self, InfoError> {
        Ok(Self { info: Info::read(&raw)?, files: files(&raw, MOST_FILES)?, raw })
    }

    /// A torrent file with this info dictionary and no tracker.
    #[must_use]
    pub fn torrent_file(&self) -> Vec<u8> {
        [b"d4:info", &self.raw[..], b"e"].concat()
    }
}

/// Resolves a torrent that one or two infohashes name. With two, the metadata is the one that both of them name.
pub async fn resolve(dht: &Dht, infohashes: &[InfoHash], our_peer_id: [u8; 20], limits: Limits) -> Resolved {
    let began = Instant::now();
    let mut peers = PeerCounts::default();
    let (raw, scraped) = {
        let mut counting = std::pin::pin!(count(dht, infohashes));
        let mut fetching = std::pin::pin!(fetch(dht, infohashes, our_peer_id, limits, |news| peers.add(&news)));
        let mut scraped = None;
        let raw = loop {
            tokio::select! {
                raw = &mut fetching => break raw,
                counted = &mut counting, if scraped.is_none() => scraped = Some(counted),
            }
        };
        if scraped.is_none() {
            let deadline = (began + COUNT_WITHIN).max(Instant::now() + COUNT_AFTER);
            scraped = timeout_at(deadline, counting).await.ok();
        }
        (raw, scraped)
    };
    let metadata = raw.and_then(|raw| Metadata::read(raw).ok());
    Resolved { metadata, scraped, peers, after: began.elapsed() }
}

/// The info dictionary from the peers of all these swarms: the first one that is complete.
async fn fetch(
    dht: &Dht,
    infohashes: &[InfoHash],
    our_peer_id: [u8; 20],
    limits: Limits,
    mut tell: impl FnMut(News),
) -> Option<Vec<u8>> {
    let (sender, mut news) = tokio::sync::mpsc::channel(64);
    let mut visits: FuturesUnordered<_> =
        infohashes.iter().map(|infohash| visit(dht, *infohash, our_peer_id, limits, sender.clone())).collect();
    let genuine = |raw: &Vec<u8>| infohashes.iter().all(|infohash| infohash.names(raw));
    loop {
        tokio::select! {
            biased;
            Some(heard) = news.recv() => tell(heard),
            ended = visits.next() => match ended {
                Some(Some(raw)) if genuine(&raw) => return Some(raw),
                Some(_) => {}
                None => return None,
            },
        }
    }
}

async fn visit(
    dht: &Dht,
    infohash: InfoHash,
    our_peer_id: [u8; 20],
    limits: Limits,
    news: tokio::sync::mpsc::Sender<News>,
) -> Option<Vec<u8>> {
    let peers = dht.find_peers(infohash).await;
    // Counts only: where the reader is behind, one step of a peer is not counted.
    Visit::new(infohash, our_peer_id, limits, Goal::Metadata).run(peers, |heard| drop(news.try_send(heard))).await
}

/// Seeds and peers of all these swarms together.
fn count<'a>(dht: &'a Dht, infohashes: &'a [InfoHash]) -> impl Future<Output = Scraped> + 'a {
    let counts: ArrayVec<_, 2> = infohashes.iter().take(2).map(|infohash| dht.scrape(*infohash)).collect();
    async move {
        let counted = futures_util::future::join_all(counts).await;
        counted.into_iter().reduce(together).unwrap_or_default()
    }
}

/// A hybrid torrent has two swarms of mostly the same clients: the larger one is counted.
fn together(one: Scraped, other: Scraped) -> Scraped {
    let size = |scraped: &Scraped| scraped.seeds.count + scraped.peers.count;
    if size(&one) >= size(&other) { one } else { other }
}

impl PeerCounts {
    fn add(&mut self, news: &News) {
        match news.step {
            Step::Connected => self.connected += 1,
            Step::Greeted(_) => self.greeted += 1,
            Step::Offers => self.offered += 1,
            Step::Met => self.found += 1,
            Step::DemandsEncryption | Step::Gave | Step::GivesNothing(_) | Step::Lost(_) | Step::Done => {}
        }
    }
}
