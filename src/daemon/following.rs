//! The torrent clients that are followed, as the configuration wants it.

use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::config::Config;
use crate::announcer::clients::{ClientAddress, Follower, World};
use crate::announcer::source::Listing;
use crate::dht::Dht;
use crate::net::mapping::Ports;

/// Time between two looks at the addresses at which others see this host.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// The sources of the clients that the configuration names.
pub(super) fn sources(config: &Config) -> impl Iterator<Item = String> {
    config.client.iter().map(ClientAddress::to_string)
}

/// Follows the clients, and tells what they have to `listings`; never ends.
pub(super) async fn follow(config: &Config, dht: &Dht, ports: Option<Ports>, listings: mpsc::Sender<Listing>) {
    let (external, seen) = watch::channel(Vec::new());
    let world = World { site: config.site(), external: seen, ports };
    let mut followers = JoinSet::new();
    for address in config.clients() {
        followers.spawn(Follower::new(address, world.clone()).run(listings.clone()));
    }
    observe(dht, &external).await;
}

/// Tells the addresses at which others see this host; never ends.
async fn observe(dht: &Dht, external: &watch::Sender<Vec<IpAddr>>) {
    loop {
        let seen: Vec<IpAddr> =
            dht.status().await.iter().filter_map(|node| node.external_addr).map(|addr| addr.ip()).collect();
        external.send_if_modified(|known| {
            let changed = *known != seen;
            *known = seen;
            changed
        });
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
