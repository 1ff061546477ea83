//! Names of routers to addresses.
//!
//! The engine asks again, ever less often and for ever, while nobody answers; so a failed look-up here is not an
//! error: the next one may succeed when the network has come.

use std::net::SocketAddr;
use std::time::Duration;

use crate::engine::contact::{Family, canonical};

/// Routers of the mainline DHT, those that are known to be alive first.
pub const MAINLINE_ROUTERS: [&str; 5] = [
    "dht.libtorrent.org:25401",
    "dht.transmissionbt.com:6881",
    "router.bt.ouinet.work:6881",
    "router.bittorrent.com:6881",
    "router.utorrent.com:6881",
];

/// One name may take so long; a resolver that hangs must not hold up the others.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The addresses of `family` behind `names` (`host:port`, or an address).
pub async fn resolve(names: &[String], family: Family) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for name in names {
        match tokio::time::timeout(TIMEOUT, tokio::net::lookup_host(name.as_str())).await {
            Ok(Ok(addrs)) => found.extend(addrs.map(canonical).filter(|addr| Family::of(addr) == family)),
            Ok(Err(error)) => tracing::debug!(name, %error, "a router's name cannot be resolved now"),
            Err(_) => tracing::debug!(name, "resolving a router's name takes too long"),
        }
    }
    found
}
