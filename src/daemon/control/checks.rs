//! One torrent from outside, step by step, as it becomes known: what `trackerless check` says, for the page and for programs.

use std::net::SocketAddr;

use serde::Serialize;
use tokio::task::JoinSet;
use utoipa::ToSchema;

use super::feed::{Feed, Named};
use crate::dht::Dht;
use crate::engine::id::InfoHash;
use crate::index::check::{Check, Finding, Has, Path};
use crate::net::entropy;
use crate::net::peers::{Limits, Nothing};
use crate::peer::handshake::own_name;

/// Longest time that a check may take, in seconds.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Events of a check: two paths, at most 32 peers, and some.
const MOST_EVENTS: usize = 128;

/// Something that became known. `meaning` says what is wrong, and for whom; nothing where all is well.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum CheckEvent {
    /// What the nodes closest to the infohash have stored.
    Stored {
        /// The closest nodes that answered.
        closest: usize,
        /// Those of them that named a peer.
        holders: usize,
        /// Peers that were named by any node.
        peers: usize,
        /// Nodes that answered.
        answered: usize,
        /// What is wrong.
        meaning: Option<String>,
    },
    /// What came of one peer.
    Peer {
        /// Its address.
        #[schema(value_type = String)]
        peer: SocketAddr,
        /// Whether a connection could be made.
        connects: bool,
        /// Whether it takes only encrypted connections.
        demands_encryption: bool,
        /// Whether it takes part in the swarm.
        speaks: bool,
        /// The program that it names.
        program: Option<String>,
        /// `given`, `offered`, `none` or `unknown`: the metadata.
        metadata: &'static str,
        /// Whether a new client could begin with it.
        works: bool,
        /// What is wrong.
        meaning: Option<String>,
    },
    /// The metadata, which belongs to the infohash.
    Metadata {
        /// Its name.
        name: Option<String>,
        /// The bytes of its files.
        size_bytes: u64,
        /// Number of files.
        files: u64,
        /// Whether it is private (BEP 27).
        private: bool,
    },
    /// Seeds and peers.
    Count {
        /// Seeds.
        seeds: u64,
        /// Other peers.
        peers: u64,
    },
    /// The end.
    Verdict {
        /// Whether it is found, and a new client could begin with a peer.
        works: bool,
        /// Peers that were tried.
        peers: usize,
        /// Those with which a client could begin.
        working: usize,
        /// Whether the time was over before all was known.
        cut_short: bool,
    },
}

impl Named for CheckEvent {
    fn name(&self) -> &'static str {
        match self {
            Self::Stored { .. } => "stored",
            Self::Peer { .. } => "peer",
            Self::Metadata { .. } => "metadata",
            Self::Count { .. } => "count",
            Self::Verdict { .. } => "verdict",
        }
    }
}

impl From<&Finding> for CheckEvent {
    fn from(finding: &Finding) -> Self {
        match finding {
            Finding::Stored(stored) => Self::Stored {
                closest: stored.closest,
                holders: stored.holders,
                peers: stored.peers,
                answered: stored.answered,
                meaning: stored.meaning(),
            },
            Finding::Peer(report) => Self::Peer {
                peer: report.peer,
                connects: report.connects,
                demands_encryption: report.demands_encryption,
                speaks: report.speaks,
                program: report.program.clone(),
                metadata: match report.metadata {
                    Has::Given => "given",
                    Has::Offered => "offered",
                    Has::No(Nothing::NoneYet | Nothing::NotOffered | Nothing::Rejected) => "none",
                    Has::Unknown => "unknown",
                },
                works: report.works(),
                meaning: report.meaning(),
            },
            Finding::Metadata(metadata) => Self::Metadata {
                name: metadata.info.name.clone(),
                size_bytes: metadata.info.size_bytes,
                files: metadata.info.files,
                private: metadata.info.private,
            },
            Finding::Counted(scraped) => {
                Self::Count { seeds: scraped.seeds.count.round() as u64, peers: scraped.peers.count.round() as u64 }
            }
        }
    }
}

/// A check that runs. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Running(JoinSet<()>);

impl Running {
    /// Waits for its end.
    pub(super) async fn ended(mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

/// Our name among the peers of a torrent. Without random numbers it is not one of its own, which harms nothing here.
pub(super) fn our_name() -> [u8; 20] {
    own_name(entropy::seed().unwrap_or_default()[..20].try_into().expect("twenty bytes"))
}

/// Checks a torrent; what becomes known is in the feed.
pub(super) fn start(dht: Dht, infohash: InfoHash) -> (Feed<CheckEvent>, Running) {
    let feed = Feed::new(MOST_EVENTS);
    let mut tasks = JoinSet::new();
    tasks.spawn(run(dht, infohash, feed.clone()));
    (feed, Running(tasks))
}

async fn run(dht: Dht, infohash: InfoHash, feed: Feed<CheckEvent>) {
    let (mut found, mut tried, mut working) = (false, 0, 0);
    let check = Check { first: &dht, second: None, infohash, our_peer_id: our_name(), limits: Limits::default() };
    let checked = check.run(|finding| {
        match &finding {
            Finding::Stored(stored) if stored.path == Path::First => found |= stored.peers > 0,
            Finding::Peer(report) => {
                tried += 1;
                working += usize::from(report.works());
            }
            _ => {}
        }
        feed.push(CheckEvent::from(&finding));
    });
    let cut_short = tokio::time::timeout(PATIENCE, checked).await.is_err();
    feed.end(CheckEvent::Verdict { works: found && working > 0, peers: tried, working, cut_short });
}
