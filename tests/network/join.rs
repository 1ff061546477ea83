//! Nodes join through a router, whatever the size of the network.

use std::time::Duration;

use trackerless::engine::contact::Family;
use trackerless::sim::link::loss::Loss;
use trackerless::sim::{Network, Terms, World};

use crate::setup::{calm, network_of, table, watch};

#[test]
fn everyone_joins() {
    let mut rows = Vec::new();
    for n in [2, 10, 100, 200] {
        let network = network_of(n, calm());
        let joined: Vec<_> = network.members().iter().filter_map(|&member| network.ready_at(member)).collect();
        let contacts: Vec<usize> = network
            .members()
            .iter()
            .map(|&member| network.node(member).map_or(0, |node| node.entries().count()))
            .collect();
        assert_eq!(joined.len(), n, "everyone has joined");
        let fewest = contacts.iter().min().expect("members");
        let mean = contacts.iter().sum::<usize>() as f64 / n as f64;
        rows.push(vec![n.to_string(), joined.len().to_string(), fewest.to_string(), format!("{mean:.0}")]);
    }
    insta::assert_snapshot!(table(&["nodes", "joined", "fewest contacts", "mean"], &rows));
}

/// How long each of `n` nodes took to join over links that lose this share of the packets; `None` for never.
fn joins(n: usize, loss: f64) -> Vec<Option<Duration>> {
    let world = World::new(calm().with(Loss(loss)), 1);
    let mut network = Network::in_world(world, Terms::mainline(Family::V4));
    watch(&mut network);
    let began: Vec<_> = (0..n).map(|_| (network.grow(1)[0], network.world().now())).collect();
    network.run_for(Duration::from_secs(120));
    began.into_iter().map(|(node, began)| network.ready_at(node).map(|at| at.since(began))).collect()
}

const MEMBERS: usize = 60;

#[test]
fn everyone_joins_over_links_that_lose_packets() {
    let mut rows = Vec::new();
    for percent in [0, 5, 20] {
        let mut took: Vec<Duration> = joins(MEMBERS, f64::from(percent) / 100.0).into_iter().flatten().collect();
        assert_eq!(took.len(), MEMBERS, "{percent} % loss");
        // The first has no node to join; it is in when the second has come.
        took.remove(0);
        took.sort_unstable();
        let ms = |share: usize| took[took.len() * share / 100].as_millis().to_string();
        rows.push(vec![format!("{percent} %"), MEMBERS.to_string(), ms(50), ms(90), ms(99)]);
    }
    insta::assert_snapshot!(table(&["loss", "joined", "median ms", "p90", "slowest"], &rows));
}

#[test]
fn the_latecomer_is_in_within_seconds() {
    let mut network = network_of(100, calm());
    let began = network.world().now();
    let late = network.grow(1)[0];
    network.run_for(Duration::from_secs(5));
    let took = network.ready_at(late).map(|at| at.since(began));
    assert!(took.is_some_and(|took| took < Duration::from_secs(3)), "{took:?}");
}
