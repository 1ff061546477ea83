//! A node gets another address from its provider.

use std::time::Duration;

use trackerless::sim::Resident;
use trackerless::sim::world::Home;

use crate::setup::{calm, network_of, network_on, private};

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
    let id = after.id();
    network.find_node(network.members()[20], *id);
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

/// Two hosts of one house, one of which gets another address: its id stays, and the other would otherwise know it at the old
/// address until that has been silent for a quarter of an hour.
#[test]
fn in_a_private_network_of_two_a_node_that_moved_is_known_at_its_new_address_within_a_minute() {
    let mut network = network_on(2, calm(), private());
    let (stays, moves, addr) = (network.members()[0], network.members()[1], network.endpoint());
    network.world_mut().relocate(moves, Home::open(addr));
    network.world_mut().call(moves, |resident, now| {
        if let Resident::Node(node) = resident {
            node.moved(now, Some(addr.ip()));
        }
    });
    network.run_for(Duration::from_mins(1));
    let id = network.node(moves).expect("a member").id();
    let known = network.node(stays).expect("a member").entries().map(|entry| entry.contact);
    let known: Vec<_> = known.filter(|contact| contact.id == id).map(|contact| contact.addr).collect();
    assert_eq!(known, [addr]);
}
