//! News for the manager of services, by the protocol of systemd (sd_notify(3)): that the service is up, lives, and stops.
//! Without a manager nothing is said.

use crate::dht::Dht;

/// What a manager is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum News {
    /// The service is up: it listens, whether or not it has found other nodes by now.
    Up,
    /// It has joined, and knew this many nodes then.
    Joined(usize),
    /// It stops.
    Stops,
}

/// Tells the manager, if there is one.
#[cfg(unix)]
pub(super) fn tell(news: News) {
    use sd_notify::NotifyState::{Ready, Status, Stopping};
    match news {
        News::Up => say(&[Ready, Status("joining the network")]),
        News::Joined(contacts) => say(&[Status(&format!("joined the network; nodes known then: {contacts}"))]),
        News::Stops => say(&[Stopping]),
    }
}

/// Tells the watchdog that the nodes answer, as long as they do; never ends. A node that hangs is not told to be well, and the
/// manager starts the service again.
#[cfg(unix)]
pub(super) async fn feed_watchdog(dht: &Dht) {
    use std::time::Duration;
    use tokio::time::{interval, timeout};
    let Some(patience) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut ticks = interval((patience / 3).max(Duration::from_millis(1)));
    loop {
        ticks.tick().await;
        if timeout(patience / 3, dht.status()).await.is_ok_and(|nodes| !nodes.is_empty()) {
            say(&[sd_notify::NotifyState::Watchdog]);
        }
    }
}

#[cfg(unix)]
fn say(news: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(news) {
        tracing::debug!(%error, "the manager of services cannot be told");
    }
}

/// There is no such manager here.
#[cfg(not(unix))]
pub(super) fn tell(_: News) {}

/// There is no such watchdog here.
#[cfg(not(unix))]
pub(super) async fn feed_watchdog(_: &Dht) {
    std::future::pending().await
}
