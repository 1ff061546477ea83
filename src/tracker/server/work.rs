//! What the broker orders: lookups, announces and questions to clients, each a task; and its timer.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};
use tracing::debug;

use super::{Directory, PATIENCE_WITH_DHT, Shared, probe};
use crate::engine::time::Instant;
use crate::tracker::broker::{Network, Output};

/// How often the DHT is asked how it is, while it starts and later.
const OFTEN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(15);

/// Does what the broker orders, for ever.
pub(super) async fn perform(
    shared: &Arc<Shared>,
    directory: &impl Directory,
    mut orders: mpsc::UnboundedReceiver<Output>,
) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            Some(order) = orders.recv() => {
                tasks.spawn(execute(Arc::clone(shared), directory.clone(), order));
            }
            Some(_) = tasks.join_next() => {}
            () = wait_for_deadline(shared) => shared.with_broker(|broker, now| broker.handle_timeout(now)),
        }
    }
}

/// Until the broker wants to be woken, or wants that time to be set anew.
async fn wait_for_deadline(shared: &Shared) {
    let deadline = shared.state().broker.next_timeout();
    tokio::select! {
        () = shared.earlier.notified() => {}
        () = sleep_until(shared.start + Duration::from_micros(deadline.as_micros())), if deadline != Instant::FAR_FUTURE => {}
    }
}

async fn execute(shared: Arc<Shared>, directory: impl Directory, order: Output) {
    match order {
        Output::Lookup(id) => {
            let found = |peers: &[_]| shared.with_broker(|broker, now| broker.peers_found(now, id, peers));
            let in_time = timeout(PATIENCE_WITH_DHT, directory.find_peers(id, found)).await.is_ok();
            debug!(%id, in_time, "a lookup for the gateway is over");
            shared.with_broker(|broker, now| broker.lookup_finished(now, id));
        }
        Output::Announce { info_hash, port, seed, reach } => {
            let announce = directory.announce(info_hash, port, seed, reach);
            let stored = timeout(PATIENCE_WITH_DHT, announce).await.unwrap_or(0);
            debug!(id = %info_hash, port, seed, stored, "a client of the gateway was announced");
            shared.with_broker(|broker, now| broker.announce_finished(now, info_hash, port, stored));
        }
        Output::Probe { info_hash, peer, complete } => {
            let verdict = probe::ask(info_hash, peer, complete, shared.our_peer_id).await;
            debug!(id = %info_hash, %peer, ?verdict, "a client was asked for metadata");
            shared.with_broker(|broker, now| broker.probe_finished(now, info_hash, verdict));
        }
        Output::Answer(..) => unreachable!("answers are handed out, not ordered"),
    }
}

/// Tells the broker how the DHT is, for ever.
pub(super) async fn observe(shared: &Shared, directory: &impl Directory) {
    let mut joined = pin!(directory.joined());
    let mut ready = false;
    loop {
        let (nodes, external) = directory.standing().await;
        shared.with_broker(|broker, _| broker.set_network(Network { ready, nodes, external }));
        tokio::select! {
            () = &mut joined, if !ready => ready = true,
            () = sleep(if ready { SELDOM } else { OFTEN }) => {}
        }
    }
}
