//! Names of routers to addresses.
//!
//! The engine asks again, ever less often and for ever, while nobody answers; so a failed look-up here is not an
//! error: the next one may succeed when the network has come.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::engine::contact::{Family, canonical};

/// Routers of the mainline DHT, those that are known to be alive first.
pub const MAINLINE_ROUTERS: [&str; 5] = [
    "dht.libtorrent.org:25401",
    "dht.transmissionbt.com:6881",
    "router.bt.ouinet.work:6881",
    "router.bittorrent.com:6881",
    "router.utorrent.com:6881",
];

/// One name may take so long. They are resolved side by side, so that it is also the most that all of them take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The addresses of `family` behind `names` (`host:port`, or an address), in their order.
pub async fn resolve(names: &[String], family: Family) -> Vec<SocketAddr> {
    let mut resolving: JoinSet<_> = names
        .iter()
        .cloned()
        .enumerate()
        .map(|(place, name)| async move { (place, resolve_one(&name).await) })
        .collect();
    let mut found = Vec::new();
    while let Some(resolved) = resolving.join_next().await {
        found.extend(resolved);
    }
    found.sort_by_key(|(place, _)| *place);
    let addrs = found.into_iter().flat_map(|(_, addrs)| addrs);
    addrs.map(canonical).filter(|addr| Family::of(addr) == family).collect()
}

async fn resolve_one(name: &str) -> Vec<SocketAddr> {
    match tokio::time::timeout(TIMEOUT, tokio::net::lookup_host(name)).await {
        Ok(Ok(addrs)) => return addrs.collect(),
        Ok(Err(error)) => tracing::debug!(name, %error, "a router's name cannot be resolved now"),
        Err(_) => tracing::debug!(name, "resolving a router's name takes too long"),
    }
    Vec::new()
}
