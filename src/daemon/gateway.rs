//! The gateway as the configuration wants it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::config::Config;
use crate::dht::Dht;
use crate::engine::bloom::SwarmFilters;
use crate::engine::contact::Family;
use crate::engine::id::InfoHash;
use crate::index::entry::Swarm;
use crate::index::service::Index;
use crate::net::entropy;
use crate::tracker::Counts;
use crate::tracker::server::{DatedCounts, Directory, Gateway, Monitor, Settings as GatewaySettings};

/// Longest time that a client waits for the index: its database may stand still.
const INDEX_PATIENCE: Duration = Duration::from_secs(2);

/// What the gateway asks: the DHT, and the index for what is private.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    dht: Dht,
    index: Option<Arc<Index>>,
}

impl Directory for Sources {
    async fn find_peers(&self, info_hash: InfoHash, found: impl FnMut(&[SocketAddr]) + Send) {
        Directory::find_peers(&self.dht, info_hash, found).await;
    }

    async fn announce(&self, info_hash: InfoHash, port: u16, seed: bool, families: &[Family]) -> usize {
        Directory::announce(&self.dht, info_hash, port, seed, families).await
    }

    fn address(&self, family: Family) -> Option<IpAddr> {
        self.dht.address(family)
    }

    async fn count(&self, info_hash: InfoHash) -> Option<SwarmFilters> {
        self.dht.count(info_hash).await
    }

    async fn is_private(&self, info_hash: InfoHash) -> bool {
        match &self.index {
            Some(index) => timeout(INDEX_PATIENCE, index.is_private(info_hash)).await.unwrap_or(false),
            None => false,
        }
    }

    async fn counted(&self, ids: Vec<InfoHash>) -> Vec<Option<DatedCounts>> {
        let unknown = vec![None; ids.len()];
        let Some(index) = &self.index else { return unknown };
        let dated = |swarm: Swarm| {
            let counts = Counts { complete: swarm.seeds, incomplete: swarm.peers, downloaded: 0 };
            (counts, swarm.at)
        };
        // An index that cannot be read says so itself.
        match timeout(INDEX_PATIENCE, index.counted(ids)).await {
            Ok(Ok(counted)) => counted.into_iter().map(|swarm| swarm.map(dated)).collect(),
            Ok(Err(_)) | Err(_) => unknown,
        }
    }

    async fn joined(&self) {
        self.dht.joined().await;
    }

    fn announce_again(&self) -> watch::Receiver<u64> {
        Directory::announce_again(&self.dht)
    }

    async fn standing(&self) -> (usize, Vec<IpAddr>) {
        self.dht.standing().await
    }
}

/// What became of the gateway.
#[derive(Debug)]
pub(super) enum Opened {
    /// The configuration has none.
    Off,
    /// It is bound and can run.
    Ready(Box<Gateway<Sources>>),
    /// Its usual address is taken. It was not chosen, so the node goes on without.
    Without(SocketAddr, io::Error),
}

/// The address that was chosen for the gateway cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("the gateway cannot listen on {addr}: {source}")]
pub struct GatewayError {
    /// The address.
    pub addr: SocketAddr,
    /// The system's reason.
    pub source: io::Error,
}

/// Binds the gateway. It asks no client at `spared`, a port of ours.
pub(super) async fn open(
    config: &Config,
    dht: &Dht,
    index: Option<&Arc<Index>>,
    spared: Option<u16>,
) -> Result<Opened, GatewayError> {
    let Some(addr) = config.gateway else { return Ok(Opened::Off) };
    let settings = GatewaySettings { spared_ports: spared.into_iter().collect(), ..config.gateway_settings() };
    let sources = Sources { dht: dht.clone(), index: index.cloned() };
    let bound = async { Gateway::bind(addr, settings, sources, entropy::seed()?).await };
    match bound.await {
        Ok(gateway) => Ok(Opened::Ready(Box::new(gateway))),
        Err(source) if config.origins.gateway.is_chosen() => Err(GatewayError { addr, source }),
        Err(source) => Ok(Opened::Without(addr, source)),
    }
}

/// What saves the gateway's clients when it has stopped.
pub(super) fn monitor(opened: &Opened) -> Option<Monitor> {
    match opened {
        Opened::Ready(gateway) => Some(gateway.monitor()),
        Opened::Off | Opened::Without(..) => None,
    }
}

/// Saves the clients; that it fails is no reason to stop differently: they announce again within half an hour.
pub(super) async fn save(monitor: Option<Monitor>) {
    let Some(monitor) = monitor else { return };
    if let Err(error) = monitor.save().await {
        tracing::warn!(%error, "the gateway's clients could not be saved");
    }
}

/// Serves for ever.
pub(super) async fn serve(opened: Opened) {
    match opened {
        Opened::Ready(gateway) => gateway.run().await,
        Opened::Off | Opened::Without(..) => std::future::pending().await,
    }
}
