//! The real DHT behind the gateway.

use std::net::{IpAddr, SocketAddr};

use super::guard::Reach;
use super::server::Directory;
use crate::dht::{Dht, Progress};
use crate::engine::contact::Family;
use crate::engine::id::Id;

impl Directory for Dht {
    async fn find_peers(&self, info_hash: Id, mut found: impl FnMut(&[SocketAddr]) + Send) {
        let mut progress = self.trace_peers(info_hash).await;
        while let Some(step) = progress.next().await {
            if let Progress::Peers { peers, .. } = step {
                found(&peers);
            }
        }
    }

    async fn announce(&self, info_hash: Id, port: u16, seed: bool, reach: Reach) -> usize {
        let announced = match reach {
            Reach::Host => self.announce(info_hash, port, seed).await,
            // A neighbour shares our public IPv4 address and nothing else.
            Reach::Lan | Reach::Remote => self.announce_in(Family::V4, info_hash, port, seed).await,
        };
        announced.stored_at.len()
    }

    async fn joined(&self) {
        self.bootstrapped().await;
    }

    async fn standing(&self) -> (usize, Vec<IpAddr>) {
        let all = self.status().await;
        let nodes = all.iter().map(|status| status.contacts).sum();
        (nodes, all.iter().filter_map(|status| status.external_addr).map(|addr| addr.ip()).collect())
    }
}
