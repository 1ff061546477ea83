//! The torrent clients that are followed, as the configuration wants it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::config::Config;
use super::live::Live;
use crate::announcer::Announcer;
use crate::announcer::clients::{ClientAddress, Follower, World};
use crate::dht::Dht;
use crate::net::mapping::Ports;

/// Time between two looks at the addresses at which others see this host.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// The sources of the clients that the configuration names.
pub(super) fn sources(config: &Config) -> impl Iterator<Item = String> {
    config.client.iter().map(ClientAddress::to_string)
}

/// Follows the clients of the settings, and tells the announcer what they have; never ends.
pub(super) async fn follow(live: &Live, dht: &Dht, ports: Option<Ports>, announcer: &Announcer) {
    let (external, seen) = watch::channel(Vec::new());
    let world = World { site: live.now().site(), external: seen, ports };
    let mut followed = Followed { world, announcer: announcer.clone(), tasks: JoinSet::new(), running: Vec::new() };
    let mut changes = live.follow();
    let follow = async {
        loop {
            let config = Arc::clone(&changes.borrow_and_update());
            followed.change_to(config.clients());
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    };
    tokio::select! {
        () = follow => {}
        () = observe(dht, &external) => {}
    }
}

/// The tasks that follow, one for each client.
struct Followed {
    world: World,
    announcer: Announcer,
    tasks: JoinSet<()>,
    running: Vec<(ClientAddress, AbortHandle)>,
}

impl Followed {
    /// Begins what is new or differs, if only in its password, and ends what is missing.
    fn change_to(&mut self, wanted: Vec<ClientAddress>) {
        let (kept, gone): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.running).into_iter().partition(|(address, _)| wanted.contains(address));
        self.running = kept;
        for (address, task) in gone {
            task.abort();
            let source: Arc<str> = address.to_string().into();
            if let Some(ports) = &self.world.ports {
                ports.wish(&source, Vec::new());
            }
            if !wanted.iter().any(|other| *other.to_string() == *source) {
                self.announcer.forget_source(&source);
            }
        }
        for address in wanted {
            if self.running.iter().any(|(known, _)| *known == address) {
                continue;
            }
            let follower = Follower::new(address.clone(), self.world.clone());
            let task = self.tasks.spawn(follower.run(self.announcer.listings()));
            self.running.push((address, task));
        }
    }
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
