//! Nodes join through a router, whatever the size of the network.

use std::time::Duration;

use crate::town::{calm, table, town};

#[test]
fn everyone_joins() {
    let mut rows = Vec::new();
    for n in [2, 10, 100, 200] {
        let network = town(n, calm());
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

#[test]
fn the_latecomer_is_in_within_seconds() {
    let mut network = town(100, calm());
    let began = network.world().now();
    let late = network.grow(1)[0];
    network.run_for(Duration::from_secs(5));
    let took = network.ready_at(late).map(|at| at.since(began));
    assert!(took.is_some_and(|took| took < Duration::from_secs(3)), "{took:?}");
}
