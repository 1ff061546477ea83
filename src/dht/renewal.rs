//! Announces that begin with the nodes that stored them before, and looks whether others can see them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::{Dht, Scraped};
use crate::engine::contact::{Contact, Family};
use crate::engine::id::InfoHash;
use crate::engine::node::{Command, Event, Holder, Summary};

/// What came of an announce that was renewed.
#[derive(Clone, Debug, Default)]
pub struct Renewed {
    /// The nodes that stored it this time, and the client of each (`v`, BEP 20; often two letters and two bytes).
    pub stored_at: Vec<(Contact, Vec<u8>)>,
    /// What was counted on the way, by the nodes that were asked.
    pub scraped: Scraped,
    /// What each of our nodes' operations came to.
    pub summaries: Vec<Summary>,
}

/// What came of a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// The address under which a node named the client; `None` if none did.
    pub seen_as: Option<SocketAddr>,
    /// Queries sent.
    pub asked: usize,
    /// Queries answered.
    pub answered: usize,
}

impl Dht {
    /// Announces that a client at our address and `port` takes part in `info_hash`, on every node's network, beginning with
    /// the nodes that stored it before: a steady announce costs two queries for each of these that is not
    /// [held](Holder::is_held). Without holders it is an announce like the first.
    ///
    /// ```
    /// # use trackerless::{Dht, InfoHash};
    /// # use trackerless::engine::node::Holder;
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let loopback = || Dht::builder().private_network(true).bind("127.0.0.1:0".parse().unwrap());
    /// let first = loopback().start().await?;
    /// let second = loopback().bootstrap([first.local_addrs()[0].to_string()]).start().await?;
    /// second.bootstrapped().await;
    ///
    /// let swarm: InfoHash = "da39a3ee5e6b4b0d3255bfef95601890afd80709".parse()?;
    /// let announced = second.renew_announce(swarm, 6881, true, [].into()).await;
    /// let holders = announced.stored_at.iter().map(|(contact, _)| Holder { contact: *contact, is_held: false });
    /// let renewed = second.renew_announce(swarm, 6881, true, holders.collect()).await;
    /// assert_eq!((renewed.stored_at.len(), renewed.summaries[0].asked), (1, 2));
    /// # Ok(()) }
    /// ```
    pub async fn renew_announce(&self, info_hash: InfoHash, port: u16, seed: bool, holders: Arc<[Holder]>) -> Renewed {
        self.renew_announce_in(&[Family::V4, Family::V6], info_hash, port, seed, holders).await
    }

    /// The same on the networks of these families only.
    pub async fn renew_announce_in(
        &self,
        families: &[Family],
        info_hash: InfoHash,
        port: u16,
        seed: bool,
        holders: Arc<[Holder]>,
    ) -> Renewed {
        let mut renewed = Renewed::default();
        let mut events = self.begin_in(families, Command::RenewAnnounce { info_hash, port, seed, holders }).await;
        while let Some(event) = events.next().await {
            renewed.scraped.add(&event);
            match event {
                Event::Stored { at, version, .. } => renewed.stored_at.push((at, version)),
                Event::Done { summary, .. } => renewed.summaries.push(summary),
                _ => {}
            }
        }
        renewed
    }

    /// Looks whether a node that a stranger would ask names a client at `port` and one of `addresses` (none: any) in
    /// `info_hash`, with few queries: on one network after the other, one node after the other, until one names it.
    pub async fn look(&self, info_hash: InfoHash, port: u16, addresses: Arc<[IpAddr]>) -> Looked {
        let mut looked = Looked::default();
        for family in [Family::V4, Family::V6] {
            let look = Command::Look { info_hash, port, addresses: Arc::clone(&addresses) };
            let mut events = self.begin_in(&[family], look).await;
            while let Some(event) = events.next().await {
                match event {
                    Event::Peers { peers, .. } => looked.seen_as = looked.seen_as.or(peers.first().copied()),
                    Event::Done { summary, .. } => {
                        looked.asked += summary.asked;
                        looked.answered += summary.answered;
                    }
                    _ => {}
                }
            }
            if looked.seen_as.is_some() {
                break;
            }
        }
        looked
    }
}
