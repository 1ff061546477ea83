//! A node gets another address from its provider.

use std::time::Duration;

use trackerless::sim::world::Home;

use crate::setup::{calm, network_of};

#[test]
fn a_node_that_moved_takes_the_id_of_its_new_address() {
    let mut network = network_of(60, calm());
    let node = network.members()[10];
    let (before, addr) = (*network.node(node).expect("a member").id(), network.endpoint());
    network.world_mut().relocate(node, Home::open(addr));
    network.run_for(Duration::from_mins(30));
    let after = network.node(node).expect("a member");
    assert_eq!(after.external_addr().map(|external| external.ip()), Some(addr.ip()));
    assert!(after.id().matches_address(addr.ip()) && *after.id() != before);
    // Others find it under its new id at its new address.
    let id = *after.id();
    network.find_node(network.members()[20], id);
    network.finish(Duration::from_secs(60));
    let found = network.take_tasks().remove(0).nearest.map(|(contact, _)| (contact.id, contact.addr));
    assert_eq!(found, Some((id, addr)));
}

#[test]
fn its_neighbours_do_not_follow_a_false_move() {
    let mut network = network_of(60, calm());
    let ids: Vec<_> = network.members().iter().map(|&member| *network.node(member).expect("a member").id()).collect();
    network.run_for(Duration::from_mins(30));
    let later: Vec<_> = network.members().iter().map(|&member| *network.node(member).expect("a member").id()).collect();
    assert_eq!(ids, later, "no node changes its id while none moves");
}
