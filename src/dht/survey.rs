//! What can be learned of swarms without joining them: how large they are (BEP 33), and which a node knows (BEP 51).

use std::net::SocketAddr;
use std::time::Duration;

use super::{Dht, Running};
use crate::engine::bloom::{Estimate, SwarmFilters};
use crate::engine::contact::{Contact, Family};
use crate::engine::id::{InfoHash, Target};
use crate::engine::node::{Command, Event, Sample};

/// About how many seeds and peers a swarm has, on the networks of all our nodes together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scraped {
    /// Peers that have the whole torrent.
    pub seeds: Estimate,
    /// The other peers.
    pub peers: Estimate,
    /// The addresses of both, of all families: to add more to them.
    pub filters: SwarmFilters,
    /// Nodes that counted for us.
    pub reported: usize,
    /// Nodes that answered at all.
    pub answered: usize,
    /// Queries sent.
    pub asked: usize,
}

/// What a node knows of swarms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampled {
    /// Who answered.
    pub contact: Contact,
    /// Some of its infohashes.
    pub sample: Sample,
    /// Contacts of it near the target that it was asked with.
    pub contacts: Vec<Contact>,
}

/// Why there is no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// It did not answer, or no node of ours has its family.
    #[error("it did not answer")]
    NoAnswer,
    /// It answered, but knows no such query.
    #[error("it does not know how to give samples (BEP 51)")]
    Unsupported,
    /// It has named an interval that is not over.
    #[error("it does not want to be asked again for {} s", .0.as_secs())]
    TooSoon(Duration),
}

impl Dht {
    /// Counts the seeds and peers of `info_hash`. Addresses are counted, not ports: clients that share one count once.
    ///
    /// ```
    /// # use trackerless::{Dht, InfoHash};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let loopback = || Dht::builder().private_network(true).bind("127.0.0.1:0".parse().unwrap());
    /// let first = loopback().start().await?;
    /// let second = loopback().bootstrap([first.local_addrs()[0].to_string()]).start().await?;
    /// second.bootstrapped().await;
    ///
    /// let swarm: InfoHash = "da39a3ee5e6b4b0d3255bfef95601890afd80709".parse()?;
    /// second.announce(swarm, 6881, true).await;
    /// let scraped = second.scrape(swarm).await;
    /// assert_eq!((scraped.seeds.count.round(), scraped.peers.count.round()), (1.0, 0.0));
    /// # Ok(()) }
    /// ```
    pub async fn scrape(&self, info_hash: InfoHash) -> Scraped {
        let mut scraped = Scraped::default();
        let mut events = self.begin(Command::Scrape { info_hash }).await;
        while let Some(event) = events.next().await {
            scraped.add(&event);
        }
        scraped
    }

    /// Some infohashes of the node at `addr`, and contacts of it near `target`.
    ///
    /// # Errors
    /// It does not answer, does not know the query, or may not be asked yet.
    pub async fn sample(&self, addr: SocketAddr, target: Target) -> Result<Sampled, SampleError> {
        for _ in 1..super::PING_TRIES {
            match self.sample_once(addr, target).await {
                Err(SampleError::NoAnswer) => {}
                told => return told,
            }
        }
        self.sample_once(addr, target).await
    }
}

/// What one node has stored of a swarm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeersAt {
    /// Some of its peers.
    pub peers: Vec<SocketAddr>,
    /// Its count (BEP 33), where the node knows that and it can be true. Unknown is not 0.
    pub count: Option<(Estimate, Estimate)>,
}

impl Dht {
    /// The peers of a swarm that the node at `addr` has stored, and their number, seeds first; `None` if it does not
    /// answer. It is asked once.
    pub async fn peers_at(&self, addr: SocketAddr, info_hash: InfoHash) -> Option<PeersAt> {
        let same_family = |node: &&Running| Family::of(&node.handle.local_addr()) == Family::of(&addr);
        let node = self.inner.nodes.iter().find(same_family)?;
        let mut events = node.handle.begin(Command::PeersAt { addr, info_hash }).await;
        let (mut told, mut answered) = (PeersAt::default(), false);
        while let Some(event) = events.recv().await {
            match event {
                Event::Peers { peers, .. } => told.peers.extend(peers),
                Event::Scraped { filters, reported, .. } => {
                    answered = true;
                    told.count = (reported > 0).then(|| (filters.seeds.estimate(), filters.peers.estimate()));
                }
                _ => {}
            }
        }
        answered.then_some(told)
    }

    /// One query for a sample: see [`sample`](Self::sample), which tries several times.
    ///
    /// # Errors
    /// It does not answer, does not know the query, or may not be asked yet.
    pub async fn sample_once(&self, addr: SocketAddr, target: Target) -> Result<Sampled, SampleError> {
        let same_family = |node: &&Running| Family::of(&node.handle.local_addr()) == Family::of(&addr);
        let node = self.inner.nodes.iter().find(same_family).ok_or(SampleError::NoAnswer)?;
        let mut events = node.handle.begin(Command::Sample { addr, target }).await;
        while let Some(event) = events.recv().await {
            match event {
                Event::Sampled { contact, sample, contacts, .. } => {
                    let sample = sample.ok_or(SampleError::Unsupported)?;
                    return Ok(Sampled { contact, sample, contacts });
                }
                Event::SampleTooSoon { wait, .. } => return Err(SampleError::TooSoon(wait)),
                _ => {}
            }
        }
        Err(SampleError::NoAnswer)
    }
}

impl Scraped {
    pub(super) fn add(&mut self, event: &Event) {
        match event {
            Event::Scraped { filters, reported, .. } => {
                // An address is of one family, so what two networks know has nothing in common.
                self.seeds = self.seeds.plus(filters.seeds.estimate());
                self.peers = self.peers.plus(filters.peers.estimate());
                self.filters.unite(filters);
                self.reported += reported;
            }
            Event::Done { summary, .. } => {
                self.answered += summary.answered;
                self.asked += summary.asked;
            }
            _ => {}
        }
    }
}
