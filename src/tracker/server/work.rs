//! What the broker orders: lookups, announces and questions to clients, each a task; and its timer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};
use tracing::{debug, info};

use super::{Directory, PATIENCE_WITH_DHT, REMEMBERED, Shared, probe, upstream};
use crate::engine::contact::Family;
use crate::engine::id::InfoHash;
use crate::engine::time::Instant;
use crate::net::nearness::Nearness;
use crate::tracker::Phase;
use crate::tracker::broker::{Order, Standing};
use crate::tracker::metadata::Verdict;

/// How often the DHT is asked how it is, while it starts and later.
const OFTEN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(15);

/// Does what the broker orders, for ever.
pub(super) async fn perform(
    shared: &Arc<Shared>,
    directory: &impl Directory,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let (mut tasks, mut again) = (JoinSet::new(), directory.announce_again());
    loop {
        tokio::select! {
            Ok(()) = again.changed() => shared.with_broker(|broker, now| broker.announce_again(now)),
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
        () = sleep_until(shared.start + deadline.since(Instant::ZERO + REMEMBERED)), if deadline != Instant::FAR_FUTURE => {}
    }
}

async fn execute(shared: Arc<Shared>, directory: impl Directory, order: Order) {
    match order {
        Order::Lookup(id) => {
            if !is_kept_from(&shared, &directory, id).await {
                let found = |peers: &[_]| shared.with_broker(|broker, now| broker.peers_found(now, id, peers));
                let in_time = timeout(PATIENCE_WITH_DHT, directory.find_peers(id, found)).await.is_ok();
                debug!(%id, in_time, "a lookup for the gateway is over");
            }
            shared.with_broker(|broker, now| broker.lookup_finished(now, id));
        }
        Order::Announce { info_hash, client, seed, nearness, dual } => {
            let families = families(&shared, &directory, info_hash, client, (nearness, dual)).await;
            let announce = directory.announce(info_hash, client.port(), seed, &families);
            let stored = timeout(PATIENCE_WITH_DHT, announce).await.unwrap_or(0);
            debug!(id = %info_hash, %client, seed, ?families, stored, "a client of the gateway was announced");
            shared.with_broker(|broker, now| {
                broker.announce_finished(now, info_hash, client.port(), &families, stored);
            });
        }
        Order::Relay(relay) => {
            let (id, client) = (relay.info_hash, relay.client);
            let found = |peers: &[_]| shared.with_broker(|broker, now| broker.peers_found(now, id, peers));
            let interval = upstream::announce(&shared.upstream, &relay, found).await;
            shared.with_broker(|broker, now| match relay.phase {
                Phase::Stopped => broker.farewell_finished(),
                _ => broker.relay_finished(now, id, client, interval),
            });
        }
        Order::Probe { info_hash, peer, complete } => {
            if is_kept_from(&shared, &directory, info_hash).await {
                return shared.with_broker(|broker, now| broker.probe_finished(now, info_hash, Verdict::Private));
            }
            let verdict = ask(&shared, info_hash, peer, complete).await.unwrap_or_else(|why| {
                let mut state = shared.state();
                state.stats.metadata_unread += 1;
                if state.news.is_new(info_hash, &why) {
                    info!(%info_hash, %peer, why, "the metadata of a torrent could not be read, so it is not announced");
                }
                Verdict::Unknown
            });
            debug!(id = %info_hash, %peer, ?verdict, "a client was asked for metadata");
            shared.with_broker(|broker, now| broker.probe_finished(now, info_hash, verdict));
        }
        Order::Survey(id) => {
            let filters = match is_kept_from(&shared, &directory, id).await {
                true => None,
                false => timeout(PATIENCE_WITH_DHT, directory.count(id)).await.ok().flatten(),
            };
            debug!(%id, counted = filters.is_some(), "a swarm was counted for a scrape");
            shared.with_broker(|broker, now| broker.survey_finished(now, id, filters));
        }
        Order::Answer(..) | Order::Scraped(..) => unreachable!("answers are handed out, not ordered"),
    }
}

/// Whether the DHT must not hear of a torrent, because others have seen that it is private.
async fn is_kept_from(shared: &Shared, directory: &impl Directory, id: InfoHash) -> bool {
    let private = shared.respects_privacy && directory.is_private(id).await;
    if private {
        debug!(%id, "a torrent is known to be private");
        shared.with_broker(|broker, now| broker.learn_private(now, id));
    }
    private
}

/// In which families a client may be announced: in its own, and, on this host, in the other one if it is there as well.
/// A neighbour shares our public IPv4 address and nothing else.
async fn families(
    shared: &Shared,
    directory: &impl Directory,
    info_hash: InfoHash,
    client: SocketAddr,
    (nearness, dual): (Nearness, bool),
) -> Vec<Family> {
    let own = Family::of(&client);
    let other = if own == Family::V4 { Family::V6 } else { Family::V4 };
    match directory.address(other).filter(|_| nearness == Nearness::Host) {
        Some(ours) if dual || is_there(shared, info_hash, SocketAddr::new(on_this_host(ours), client.port())).await => {
            vec![own, other]
        }
        _ => vec![own],
    }
}

/// Whether a client that takes part in the torrent listens at `addr`. Another program may have that port in this family.
async fn is_there(shared: &Shared, info_hash: InfoHash, addr: SocketAddr) -> bool {
    ask(shared, info_hash, addr, false).await.is_ok()
}

/// Asks the client at `peer` for metadata, unless another program may listen there.
async fn ask(shared: &Shared, info_hash: InfoHash, peer: SocketAddr, complete: bool) -> Result<Verdict, String> {
    if !shared.probes().may_ask(shared.now(), peer, info_hash) {
        return Err("nothing is asked at this port: another program may listen there".to_owned());
    }
    let verdict = probe::ask(info_hash, peer, complete, shared.our_peer_id).await;
    if verdict.is_ok() {
        shared.probes().answered(peer);
    }
    verdict
}

/// An address at which this host reaches what is bound to `ip`.
const fn on_this_host(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    }
}

/// Tells the broker how the DHT is, for ever.
pub(super) async fn observe(shared: &Shared, directory: &impl Directory) {
    let mut joined = pin!(directory.joined());
    let mut ready = false;
    loop {
        let (nodes, external) = directory.standing().await;
        shared.with_broker(|broker, now| broker.set_standing(now, Standing { ready, nodes, external }));
        tokio::select! {
            () = &mut joined, if !ready => ready = true,
            () = sleep(if ready { SELDOM } else { OFTEN }) => {}
        }
    }
}
