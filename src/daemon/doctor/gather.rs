//! Gathers what is known. Takes some seconds: a node of its own asks the network.

use super::evidence::Evidence;
use super::{host, trial};
use crate::daemon::config::Config;
use crate::dht::{Found, State, holder, look};

/// All that can be known of this host, of the network, and of the node with these settings.
pub async fn gather(config: &Config) -> Evidence {
    let running = holder(&config.data_dir);
    let ours = running.as_deref();
    let found = look(&config.data_dir);
    let state = match &found {
        Ok(Found::State(state)) => Some(state),
        _ => None,
    };
    let routers = config.routers();
    let contacts = state.map(State::contacts_only).unwrap_or_default();
    let (names, trials) = futures_util::future::join(trial::look_up(&routers), trial::join(config, contacts)).await;
    Evidence {
        private_network: config.lan,
        folder: host::folder(&config.data_dir, &found),
        sockets: config.bind.iter().map(|addr| host::try_udp(*addr, ours)).collect(),
        gateway: config.gateway.map(|addr| host::try_tcp(addr, ours)),
        routes: host::routes(),
        system: host::system(),
        own_announces: state.map(own_announces),
        names,
        trials,
        running,
    }
}

/// Our own announces in the saved state, and those of them that were seen.
fn own_announces(state: &State) -> (usize, usize) {
    let all = state.nodes.iter().flat_map(|node| &node.snapshot.own_announces);
    // Those that were never looked at again say nothing yet.
    let looked_at = all.filter(|announce| announce.verified_at > 0);
    (looked_at.clone().count(), looked_at.filter(|announce| announce.verified > 0).count())
}
