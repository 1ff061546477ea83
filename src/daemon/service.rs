//! The node that stays: from start to signal.
//!
//! The handle saves the state every five minutes and when it is shut down; here it is also saved as soon as the node
//! has an identity and as soon as it has joined, so that even a crash in the first minutes keeps id and port.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::announcing;
use super::config::{Config, Sources};
use super::control::{self, Bound, ControlError, Shown};
use super::following;
use super::gateway::{self, GatewayError, Opened};
use super::index;
use super::live::{self, Live};
use super::manager::{self, News};
use super::mapping::Mapping;
use super::signals::{ReloadSignals, StopSignals};
use crate::announcer::{self, Announcer};
use crate::dht::{Dht, DhtBuilder, NodeFailed, PersistError, SaveError, StartError, Status};
use crate::engine::id::NodeId;
use crate::net::handover;
use crate::tracker::server::Monitor;

/// Time between two lines of the log that say how things are: a handful of lines a day tells whether all is well.
const REPORT_EVERY: Duration = Duration::from_secs(60 * 60);

/// Time after which a node that has not joined says so. With a working link it has joined long before.
const WARN_AFTER: Duration = Duration::from_secs(20);

/// Longest time that what runs beside the node may take to end.
const CLOSE_PATIENCE: Duration = Duration::from_secs(8);

/// The exit code of a node that a second signal stops before its state is saved.
const INTERRUPTED: i32 = 130;

/// Time within which a second signal is the same request. A wrapper such as `timeout` signals a program and its group: one
/// request that arrives twice.
const ECHO: Duration = Duration::from_millis(300);

/// What happens in the life of the node.
#[derive(Debug)]
#[non_exhaustive]
pub enum Moment {
    /// It listens.
    Started(Box<Started>),
    /// It has joined the network.
    Ready {
        /// How many nodes it knows; 0 for the first of a private network.
        contacts: usize,
        /// How long that took.
        after: Duration,
    },
    /// A signal asked it to stop.
    Stopping,
    /// It has stopped, and its state is saved.
    Stopped,
}

/// How the node has started.
#[derive(Debug)]
pub struct Started {
    /// The addresses that it listens on, and the id that it has there.
    pub addresses: Vec<(SocketAddr, NodeId)>,
    /// Addresses that it does without, and why.
    pub unavailable: Vec<(SocketAddr, String)>,
    /// Those of the addresses that this host does not have yet.
    pub awaited: Vec<SocketAddr>,
    /// The folder of its state.
    pub data_dir: PathBuf,
    /// How many nodes an earlier run has saved.
    pub saved_nodes: usize,
    /// How many routers it may ask.
    pub routers: usize,
    /// Where the gateway serves, by HTTP and by UDP.
    pub gateway: Option<SocketAddr>,
    /// The gateway's usual address, which it does without, and why.
    pub without_gateway: Option<(SocketAddr, String)>,
    /// Where the control interface is to be had.
    pub control: Shown,
}

/// Why the service ended other than by a signal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The address chosen for the gateway cannot be had.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The address chosen for the control interface cannot be had, or its token.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// What is announced cannot be.
    #[error(transparent)]
    Announcer(#[from] announcer::StartError),
    /// The system does not deliver signals.
    #[error("signals cannot be heard: {0}")]
    Signals(std::io::Error),
    /// It stopped, but its state could not be saved.
    #[error("stopped, but the state could not be saved: {0}")]
    NotSaved(PersistError),
    /// A node has failed, and the others were stopped.
    #[error(transparent)]
    NodeFailed(#[from] NodeFailed),
}

impl From<SaveError> for ServiceError {
    fn from(error: SaveError) -> Self {
        match error {
            SaveError::Persist(error) => Self::NotSaved(error),
            SaveError::NodeFailed(failed) => Self::NodeFailed(failed),
        }
    }
}

/// Runs the node until a signal stops it. A second signal stops the whole process at once; SIGHUP makes it read `sources`
/// again, of which `config` was made.
///
/// # Errors
/// It could not start, a node failed, or the state could not be saved at the end.
pub async fn run(config: &Config, sources: &Sources, mut tell: impl FnMut(Moment)) -> Result<(), ServiceError> {
    let signals = StopSignals::listen().map_err(ServiceError::Signals)?;
    let mut reloads = ReloadSignals::listen().map_err(ServiceError::Signals)?;
    let began = Instant::now();
    manager::take_over();
    let dht = builder(config).start().await?;
    let control = Bound::open(config).await?;
    let index = index::open(config);
    let spared = control.as_ref().and_then(Bound::local_addr).map(|addr| addr.port());
    let gateway = gateway::open(config, &dht, index.as_ref(), spared).await?;
    let announcing = announcing::open(config, &dht).await?;
    handover::settle();
    save(&dht).await;
    tell(Moment::Started(Box::new(started(config, &dht, &gateway, control.as_ref()).await)));
    manager::tell(News::Up);
    let clients = gateway::monitor(&gateway);
    let mapping = Mapping::start(config, &dht.local_addrs());
    let (ports, announcer) = (mapping.as_ref().map(Mapping::ports), announcing.announcer());
    let (live, followed) = (Live::new(config.clone()), announcer.clone());
    let shown = control::Beside {
        gateway: clients.clone(),
        index: index.clone(),
        announcer: announcer.clone(),
        live: live.clone(),
        ports: ports.clone(),
    };
    let beside = Beside { clients, announcer: Some(announcer), mapping };
    let services = async {
        let control = async {
            match control {
                Some(control) => control.serve(&dht, shown).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = gateway::serve(gateway) => {}
            () = control => {}
            () = index::run(index.clone(), &live, &dht) => {}
            () = announcing.run(&live, &dht) => {}
            () = following::follow(&live, &dht, ports, &followed) => {}
            () = announcing::apply(&live, &dht, &followed) => {}
            () = live::reload_on(&live, sources, async || reloads.next().await) => {}
        }
    };
    stay(&dht, (services, beside), signals, began, tell).await
}

/// What has something to keep when it ends, before the node does.
struct Beside {
    clients: Option<Monitor>,
    announcer: Option<Announcer>,
    mapping: Option<Mapping>,
}

impl Beside {
    async fn close(self) {
        gateway::save(self.clients).await;
        if let Some(announcer) = self.announcer {
            announcer.shutdown().await;
        }
        if let Some(mapping) = self.mapping {
            mapping.close().await;
        }
    }
}

/// Serves until a signal or a failure ends it.
async fn stay(
    dht: &Dht,
    (services, beside): (impl Future<Output = ()>, Beside),
    mut signals: StopSignals,
    began: Instant,
    mut tell: impl FnMut(Moment),
) -> Result<(), ServiceError> {
    let mut services = Box::pin(services);
    tokio::select! {
        () = live(dht, began, &mut tell) => {}
        () = &mut services => {}
        () = manager::feed_watchdog(dht) => {}
        () = signals.next() => {}
        _ = dht.failed() => {}
    }
    manager::tell(News::Stops);
    // Before the services end: a socket that is dropped earlier is taken out of the store.
    handover::leave();
    drop(services);
    tell(Moment::Stopping);
    exit_on_next(signals);
    // Nothing beside the node keeps it from saving its state: where the system gives no thread, what needs one waits for ever.
    if timeout(CLOSE_PATIENCE, beside.close()).await.is_err() {
        tracing::warn!("what runs beside the node has not ended in time; what it has not kept yet is lost");
    }
    // Where a node has failed this says so.
    dht.shutdown().await?;
    tell(Moment::Stopped);
    Ok(())
}

fn builder(config: &Config) -> DhtBuilder {
    let builder = config.node().data_dir(&config.data_dir).serve(config.serve).hot_keys(config.hot_key_rule());
    let builder = builder.wait_for_addresses(true);
    let builder = builder.peer_memory_bytes(config.memory().peers).item_memory_bytes(config.memory().items);
    config.bind.iter().fold(builder, |builder, &addr| builder.bind(addr))
}

async fn started(config: &Config, dht: &Dht, gateway: &Opened, control: Option<&Bound>) -> Started {
    let (gateway, without_gateway) = match gateway {
        Opened::Off => (None, None),
        Opened::Ready(gateway) => (Some(gateway.local_addr()), None),
        Opened::Without(addr, why) => (None, Some((*addr, why.to_string()))),
    };
    Started {
        gateway,
        without_gateway,
        control: control.map(|control| control.shown(config)).unwrap_or_default(),
        addresses: dht.status().await.iter().map(|node| (node.local_addr, node.id)).collect(),
        unavailable: dht.unavailable().to_vec(),
        awaited: dht.awaited().to_vec(),
        data_dir: config.data_dir.clone(),
        saved_nodes: dht.restored_contacts(),
        routers: config.routers().len(),
    }
}

/// Joins, then says now and then how things are. Never ends by itself.
async fn live(dht: &Dht, began: Instant, tell: &mut impl FnMut(Moment)) {
    let contacts = joined(dht).await;
    tell(Moment::Ready { contacts, after: began.elapsed() });
    manager::tell(News::Joined(contacts));
    save(dht).await;
    let mut hours = tokio::time::interval(REPORT_EVERY);
    hours.tick().await;
    let mut before = dht.status().await;
    loop {
        hours.tick().await;
        let now = dht.status().await;
        report(&before, &now);
        before = now;
    }
}

/// Waits until a node has joined; says so where that takes long, and goes on waiting: the network may come later.
async fn joined(dht: &Dht) -> usize {
    if let Ok(contacts) = timeout(WARN_AFTER, dht.bootstrapped()).await {
        return contacts;
    }
    tracing::warn!(
        "no other node has answered yet; it is tried again and again: is this host online, and may it send UDP?"
    );
    dht.bootstrapped().await
}

/// One line for each node: whether it is well, and what it did in the last hour.
fn report(before: &[Status], now: &[Status]) {
    for now in now {
        // A node is known by its address: another may be missing on either side.
        let Some(before) = before.iter().find(|before| before.local_addr == now.local_addr) else { continue };
        let served = |status: &Status| {
            status.stats.pings + status.stats.find_nodes + status.stats.get_peers + status.stats.announces
        };
        tracing::info!(
            listening = %now.local_addr,
            good_nodes = now.good_contacts,
            torrents = now.swarms,
            peers = now.peers,
            queries_last_hour = served(now).saturating_sub(served(before)),
            "serving"
        );
    }
}

/// Saves now; that it fails is no reason to stop, the next time may do.
async fn save(dht: &Dht) {
    if let Err(error) = dht.save().await {
        tracing::warn!(%error, "the state could not be saved; trying again later");
    }
}

/// A second request to stop does not wait for a slow disk.
fn exit_on_next(mut signals: StopSignals) {
    let first = Instant::now();
    #[expect(clippy::disallowed_methods, reason = "lives as long as the last seconds of the process")]
    tokio::spawn(async move {
        loop {
            signals.next().await;
            if first.elapsed() >= ECHO {
                std::process::exit(INTERRUPTED);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_that_fails_ends_the_service_with_an_error() {
        let dht = Dht::builder().private_network(true).bind(([127, 0, 78, 3], 0).into());
        let dht = dht.bind(([127, 0, 78, 4], 0).into()).start().await.expect("two nodes");
        let failed = dht.make_fail(1).await;
        let signals = StopSignals::listen().expect("signals");
        let mut told = Vec::new();
        let beside = Beside { clients: None, announcer: None, mapping: None };
        let ended =
            stay(&dht, (std::future::pending(), beside), signals, Instant::now(), |moment| told.push(moment)).await;
        assert!(matches!(ended, Err(ServiceError::NodeFailed(again)) if again == failed));
        assert!(!told.iter().any(|moment| matches!(moment, Moment::Stopped)), "{told:?}");
    }
}
