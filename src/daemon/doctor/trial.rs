//! A node of the doctor's own: it joins the network for some seconds, and tells what came back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

use super::checks::FEW_NODES;
use super::evidence::{NameTrial, NodeTrial};
use crate::daemon::config::{Config, HostPort, is_public_router};
use crate::dht::{Dht, State, Status};
use crate::engine::id::Target;
use crate::engine::node::Serve;
use crate::engine::random::Random;
use crate::net::entropy;

/// Longest time for a name, in seconds: a resolver that does not answer by then is broken for our purpose.
const NAME_TIME: Duration = Duration::from_secs(5);
/// Longest time for joining, in seconds. With a working link it takes one or two; each node is asked three times within it.
const JOIN_TIME: Duration = Duration::from_secs(6);
/// Longest time for which a node that has joined goes on, in seconds: until it knows some nodes, and how they see it.
const SETTLE_TIME: Duration = Duration::from_secs(10);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Most lookups for the sake of what those who are asked say of us.
const MOST_LOOKUPS: usize = 8;

/// Looks up each router's name, side by side. Addresses are no names.
pub(super) async fn look_up(routers: &[HostPort]) -> Vec<NameTrial> {
    let names = routers.iter().filter(|router| router.host.parse::<IpAddr>().is_err());
    futures_util::future::join_all(names.map(look_up_one)).await
}

async fn look_up_one(router: &HostPort) -> NameTrial {
    let found = timeout(NAME_TIME, tokio::net::lookup_host((router.host.as_str(), router.port))).await;
    let (addrs, error) = match found {
        Ok(Ok(addrs)) => (addrs.map(|addr| addr.ip()).collect(), None),
        Ok(Err(error)) => (Vec::new(), Some(error.to_string())),
        Err(_) => (Vec::new(), Some(format!("no answer within {} seconds", NAME_TIME.as_secs()))),
    };
    NameTrial { name: router.host.clone(), public: is_public_router(router), addrs, error }
}

/// Most routers that are asked one by one.
const MOST_KNOCKS: usize = 16;
/// Time in which the news that UDP is rejected has come, in seconds.
const KNOCK_TIME: Duration = Duration::from_secs(2);
/// A ping with a transaction of its own, by an id that is none in particular, read-only (BEP 43).
const PING: &[u8] = b"d1:ad2:id20:trackerless doctor..e1:q4:ping2:roi1e1:t2:dr1:y1:qe";

/// Asks each router from a socket of its own, which hears what is said of its datagrams (ICMP): how many were asked, and how
/// many of them rejected.
pub(super) async fn knock(routers: &[HostPort], names: &[NameTrial]) -> (usize, usize) {
    let addrs_of = |router: &HostPort| match router.host.parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, router.port)],
        Err(_) => {
            let named = names.iter().filter(|name| name.name == router.host);
            named.flat_map(|name| &name.addrs).map(|ip| SocketAddr::new(*ip, router.port)).collect()
        }
    };
    let addrs: Vec<SocketAddr> = routers.iter().flat_map(addrs_of).take(MOST_KNOCKS).collect();
    let rejected = futures_util::future::join_all(addrs.iter().map(|addr| is_rejected(*addr))).await;
    (addrs.len(), rejected.into_iter().filter(|rejected| *rejected).count())
}

async fn is_rejected(router: SocketAddr) -> bool {
    let any: IpAddr = if router.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let exchange = async {
        let socket = UdpSocket::bind((any, 0)).await.ok()?;
        socket.connect(router).await.ok()?;
        socket.send(PING).await.ok()?;
        Some(socket.recv(&mut [0; 1024]).await.is_err())
    };
    timeout(KNOCK_TIME, exchange).await.ok().flatten().unwrap_or(false)
}

/// Joins with a node on a free port that knows the contacts of `saved`, and tells what came of it at each of its addresses.
pub(super) async fn join(config: &Config, saved: State) -> Vec<NodeTrial> {
    let knows_some = |family_is_v4: bool| saved.nodes.iter().any(|node| node.bound.is_ipv4() == family_is_v4);
    let (some_v4, some_v6) = (knows_some(true), knows_some(false));
    let has_routers = !config.routers().is_empty();
    let binds = config.bind.iter().map(|addr| SocketAddr::new(addr.ip(), 0));
    let builder = binds.fold(config.node().serve(Serve::Never).saved(saved), |builder, addr| builder.bind(addr));
    let Ok(dht) = builder.start().await else { return Vec::new() };
    if timeout(JOIN_TIME, dht.bootstrapped()).await.is_ok_and(|contacts| contacts > 0) {
        let _ = timeout(SETTLE_TIME, settled(&dht)).await;
    }
    let trials = dht.status().await;
    let asked_any = |node: &Status| has_routers || if node.local_addr.is_ipv4() { some_v4 } else { some_v6 };
    let trials = trials.iter().map(|node| told(node, asked_any(node))).collect();
    close(dht).await;
    trials
}

/// Waits until each node that hears from others knows enough of them, and how they see it. What they say in answer to a
/// lookup counts, and in a small network those that were asked in order to join are too few: others are asked by lookups of
/// keys drawn by lot.
async fn settled(dht: &Dht) {
    let done = |node: &Status| {
        node.datagrams.received == 0 || node.good_contacts >= FEW_NODES && node.likely_external_addr.is_some()
    };
    let mut random = entropy::seed().ok().map(Random::new);
    let mut left = MOST_LOOKUPS;
    while !dht.status().await.iter().all(done) {
        sleep(LOOK_EVERY).await;
        if let Some(random) = random.as_mut().filter(|_| left > 0) {
            left -= 1;
            dht.find_nodes(Target(random.wire_id())).await;
        }
    }
}

fn told(node: &Status, asked_any: bool) -> NodeTrial {
    NodeTrial {
        local: node.local_addr,
        external: node.likely_external_addr,
        port_votes: node.external_port_votes,
        good_nodes: node.good_contacts,
        sent: node.datagrams.sent,
        refused: node.datagrams.failed,
        received: node.datagrams.received,
        asked_any,
        reached: None,
        id_fits: None,
    }
}

async fn close(dht: Dht) {
    // It keeps no folder, so there is nothing that could fail to be saved.
    let _ = dht.shutdown().await;
}
