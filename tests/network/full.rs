//! Nodes whose memory for peers is spent. They give a token all the same, refuse the announce, and honest announcers go
//! elsewhere.

use trackerless::engine::contact::Family;
use trackerless::engine::node::Config;
use trackerless::sim::world::Home;
use trackerless::sim::{Network, Terms, World};

use crate::setup::{Round, calm, round, watch};

/// Nodes in all.
const NODES: usize = 80;
/// Announces, each looked up once.
const KEYS: usize = 60;

/// A network in which this many of every four nodes have no room for a single swarm.
fn with_full_nodes(of_four: usize) -> Network {
    let terms = Terms::mainline(Family::V4);
    let full = Config { peer_memory_bytes: 0, ..terms.config.clone() };
    let mut network = Network::in_world(World::new(calm(), 1), terms);
    watch(&mut network);
    for index in 0..NODES {
        if index % 4 < of_four {
            let home = Home::open(network.endpoint());
            network.add(home, full.clone());
            network.run_for(std::time::Duration::from_millis(100));
        } else {
            network.grow(1);
        }
    }
    network.run_for(std::time::Duration::from_mins(2));
    network
}

#[test]
fn announces_go_elsewhere_where_nodes_are_full() {
    for (of_four, least_stored, least_found) in [(0, 8.0, 60), (1, 8.0, 60), (2, 7.8, 60), (3, 6.5, 54)] {
        let mut network = with_full_nodes(of_four);
        let Round { stored, found, .. } = round(&mut network, KEYS, 7);
        println!("{of_four} of 4 nodes are full: stored on {stored:.1} nodes, found {found} of {KEYS}");
        assert!(stored >= least_stored, "{of_four} of 4: stored on {stored:.1}");
        // Where most are full, what is stored lies farther out than some readers look.
        assert!(found >= least_found, "{of_four} of 4: found {found}");
        let refused: u64 = network
            .members()
            .iter()
            .filter_map(|&member| network.node(member))
            .map(|node| node.stats().announces_not_stored)
            .sum();
        assert_eq!(refused > 0, of_four > 0, "{refused} announces were refused");
    }
}
