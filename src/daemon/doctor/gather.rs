//! Gathers what is known: by a node of the doctor's own that asks the network for some seconds, and what the running node
//! says; or, in the running node itself, by what it counts anyway.

use std::net::{IpAddr, SocketAddr};

use super::evidence::{BindOutcome, Evidence, Live, NameTrial, NodeTrial, SocketTrial, System};
use super::{host, trial};
use crate::daemon::announcing;
use crate::daemon::config::{Config, is_public_router};
use crate::daemon::view::{NodeView, View};
use crate::dht::{Found, State, holder, look};
use crate::engine::node::OwnAnnounce;
use crate::net::{listeners, place};

/// All that can be known of this host, of the network, and of the node with these settings; `view` is what the running one
/// says of itself.
pub async fn gather(config: &Config, view: Option<&View>) -> Evidence {
    let running = holder(&config.data_dir);
    let ours = running.as_deref();
    let found = look(&config.data_dir);
    let state = match &found {
        Ok(Found::State(state)) => Some(state),
        _ => None,
    };
    let routers = config.routers();
    let contacts = state.map(State::contacts_only).unwrap_or_default();
    let (names, mut trials) = futures_util::future::join(trial::look_up(&routers), trial::join(config, contacts)).await;
    // Only where nothing was heard there is something to find out.
    let is_silent = trials.iter().all(|trial| trial.received == 0);
    let knocked = if is_silent { trial::knock(&routers, &names).await } else { (0, 0) };
    trials.extend(view.iter().flat_map(|view| nodes(view, true)));
    Evidence {
        private_network: config.lan,
        folder: host::folder(&config.data_dir, &found),
        sockets: config.bind.iter().map(|addr| host::try_udp(*addr, ours)).collect(),
        gateway: config.gateway.map(|addr| host::try_tcp(addr, ours)),
        routes: host::routes(),
        system: host::system(),
        own_announces: state.map(own_announces),
        announced_port: announced_port(config),
        names,
        knocked,
        trials,
        running,
        live: view.map(live),
    }
}

/// What the running node can know of its host. Reads files, and writes one into the data folder.
#[must_use]
pub fn around(config: &Config, gateway: Option<SocketAddr>) -> Evidence {
    Evidence {
        running: Some(format!("process {}", std::process::id())),
        private_network: config.lan,
        folder: host::folder(&config.data_dir, &Ok(Found::Nothing)),
        sockets: config.bind.iter().filter_map(absent).collect(),
        gateway: gateway.map(|addr| SocketTrial { addr, outcome: BindOutcome::Ours, owner: None }),
        routes: host::routes(),
        system: host::system(),
        announced_port: announced_port(config),
        ..Evidence::default()
    }
}

/// An address that a node waits for.
fn absent(addr: &SocketAddr) -> Option<SocketTrial> {
    let is_absent = !addr.ip().is_unspecified() && !place::is_here(addr.ip());
    is_absent.then_some(SocketTrial { addr: *addr, outcome: BindOutcome::NotHere, owner: None })
}

/// The same, and what the node counts at this moment. `counted` is what the system had counted when it was started.
#[must_use]
pub fn with_view(around: &Evidence, config: &Config, view: &View, counted: &System) -> Evidence {
    let mut evidence = around.clone();
    let bound = view.nodes.iter().map(|node| node.address);
    evidence.sockets.extend(bound.map(|addr| SocketTrial { addr, outcome: BindOutcome::Ours, owner: None }));
    let since =
        |(now, before): ((u64, u64), (u64, u64))| (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1));
    evidence.system.udp = evidence.system.udp.zip(counted.udp).map(since);
    let routers = config.routers();
    evidence.trials = nodes(view, !routers.is_empty());
    let names = routers.iter().filter(|router| router.host.parse::<IpAddr>().is_err());
    let is_unresolved = |name: &str| view.nodes.iter().all(|node| node.unresolved.iter().any(|other| other == name));
    let error = Some("no answer".to_owned());
    evidence.names = names
        .map(|router| NameTrial {
            name: router.host.clone(),
            public: is_public_router(router),
            addrs: Vec::new(),
            error: error.clone(),
        })
        .collect();
    // What the names of the others are is not kept.
    if evidence.names.iter().any(|trial| !is_unresolved(&trial.name)) {
        evidence.names.clear();
    }
    evidence.live = Some(live(view));
    evidence
}

fn nodes(view: &View, asked_any: bool) -> Vec<NodeTrial> {
    // Whatever was sent a moment ago has no answer yet.
    let is_young = view.uptime_secs < YOUNG_SECS;
    let told = |node: &NodeView| NodeTrial {
        local: node.address,
        external: node.external_address,
        port_votes: (node.external_port_votes, node.external_votes),
        good_nodes: node.good_contacts,
        sent: node.traffic.sent.saturating_sub(node.send_failed),
        refused: node.send_failed,
        received: answered(node),
        asked_any: asked_any && node.traffic.sent > 0,
        reached: Some(node.reached),
        id_fits: node.external_address.map(|_| node.id_fits),
    };
    view.nodes.iter().filter(|node| !is_young || node.good_contacts >= super::checks::FEW_NODES).map(told).collect()
}

/// Answers to our own queries. What strangers ask says nothing of whether we are answered.
fn answered(node: &NodeView) -> u64 {
    let answers = node.own_queries.iter().filter(|named| matches!(named.name.as_str(), "response" | "error"));
    answers.map(|named| named.count).sum()
}

/// Time after which a node that has joined nothing has a fault, in seconds.
const YOUNG_SECS: f64 = 20.0;

fn live(view: &View) -> Live {
    let announcer = &view.announcer;
    let in_state = |name: &str| announcer.states.iter().find(|state| state.name == name).map_or(0, |state| state.count);
    let failing = in_state(crate::announcer::view::State::Failing.name());
    let hidden = failing + in_state(crate::announcer::view::State::NotVisible.name());
    Live {
        uptime_secs: view.uptime_secs as u64,
        mapping: view.mapping.as_ref().map(|ports| {
            let open = ports.iter().filter(|port| port.external.is_some()).count();
            (open, ports.iter().filter(|port| port.refused).count())
        }),
        keys_under_alarm: view.nodes.iter().map(|node| node.keys_under_alarm).sum(),
        kept: (announcer.wanted, hidden as usize),
        failing: failing as usize,
        behind: (announcer.behind, announcer.catches_up_in_secs),
    }
}

fn announced_port(config: &Config) -> Option<(u16, bool)> {
    let port = announcing::port(config)?;
    Some((port, listeners::is_listened_at(port)?))
}

/// Our own announces in the saved state that were looked for, and those of them that were seen.
fn own_announces(state: &State) -> (usize, usize) {
    OwnAnnounce::count_seen(state.nodes.iter().flat_map(|node| &node.snapshot.own_announces).copied())
}
