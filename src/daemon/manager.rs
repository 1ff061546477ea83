//! News for the manager of services, by the protocol of systemd (sd_notify(3)): that the service is up, lives, and stops.
//! Without a manager nothing is said.
//!
//! Its store of descriptors keeps the sockets while the program is started again: what arrives then is answered by the next run.

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

/// Takes over the sockets that the manager has kept, and has it keep those of this run. Before anything is bound.
#[cfg(unix)]
pub(super) fn take_over() {
    use crate::net::handover::{self, Inherited};
    let mut passed = listenfd::ListenFd::from_env();
    let mut inherited = Vec::new();
    for place in 0..passed.len().min(MOST_PASSED) {
        if let Ok(Some(socket)) = passed.take_udp_socket(place) {
            inherited.push(Inherited::Udp(socket));
        } else if let Ok(Some(listener)) = passed.take_tcp_listener(place) {
            inherited.push(Inherited::Tcp(listener));
        }
    }
    if !inherited.is_empty() {
        tracing::info!(sockets = inherited.len(), "taken over from the earlier run");
    }
    if std::env::var_os("NOTIFY_SOCKET").is_some() {
        handover::begin(inherited, Box::new(Store));
    }
}

/// There is no such store here.
#[cfg(not(unix))]
pub(super) fn take_over() {}

/// Most sockets that are taken over: one UDP socket for each address, those of the gateway and of the control interface.
#[cfg(unix)]
const MOST_PASSED: usize = 64;

/// The manager's store of descriptors.
#[cfg(unix)]
struct Store;

#[cfg(unix)]
impl crate::net::handover::Keeper for Store {
    fn keep(&self, name: &str, socket: std::os::fd::BorrowedFd<'_>) {
        use sd_notify::NotifyState::{FdName, FdStore};
        if let Err(error) = sd_notify::notify_with_fds(&[FdStore, FdName(name)], &[socket]) {
            tracing::debug!(%error, "the manager of services does not keep the sockets");
        }
    }

    fn forget(&self, name: &str) {
        use sd_notify::NotifyState::{FdName, FdStoreRemove};
        say(&[FdStoreRemove, FdName(name)]);
    }
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
