//! The real DHT behind the gateway.

use std::net::{IpAddr, SocketAddr};

use tokio::sync::watch;

use super::server::Directory;
use crate::dht::{Dht, Progress};
use crate::engine::bloom::SwarmFilters;
use crate::engine::contact::Family;
use crate::engine::id::InfoHash;

impl Directory for Dht {
    async fn find_peers(&self, info_hash: InfoHash, mut found: impl FnMut(&[SocketAddr]) + Send) {
        let mut progress = self.trace_peers(info_hash).await;
        while let Some(step) = progress.next().await {
            if let Progress::Peers { peers, .. } = step {
                found(&peers);
            }
        }
    }

    async fn announce(&self, info_hash: InfoHash, port: u16, seed: bool, families: &[Family]) -> usize {
        let announced = match families {
            [family] => self.announce_in(*family, info_hash, port, seed).await,
            _ => Self::announce(self, info_hash, port, seed).await,
        };
        announced.stored_at.len()
    }

    fn address(&self, family: Family) -> Option<IpAddr> {
        self.local_addrs().into_iter().find(|addr| Family::of(addr) == family).map(|addr| addr.ip())
    }

    async fn count(&self, info_hash: InfoHash) -> Option<SwarmFilters> {
        let scraped = self.scrape(info_hash).await;
        (scraped.answered > 0).then_some(scraped.filters)
    }

    async fn joined(&self) {
        self.bootstrapped().await;
    }

    fn announce_again(&self) -> watch::Receiver<u64> {
        Self::announce_again(self)
    }

    async fn standing(&self) -> (usize, Vec<IpAddr>) {
        let all = self.status().await;
        let nodes = all.iter().map(|status| status.contacts).sum();
        (nodes, all.iter().filter_map(|status| status.external_addr).map(|addr| addr.ip()).collect())
    }
}
