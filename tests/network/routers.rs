//! The routers are down.

use std::time::Duration;

use trackerless::engine::contact::Family;
use trackerless::engine::node::Config;
use trackerless::sim::world::Home;

use crate::setup::{calm, network_of};

#[test]
fn a_node_with_saved_contacts_needs_no_router() {
    let mut network = network_of(100, calm());
    network.close_router();
    let now = network.world().now();
    let donor = network.members()[0];
    let mut saved = network.node(donor).expect("a member").snapshot(now);
    saved.id = None;
    saved.contacts.truncate(20);
    let addr = network.endpoint();
    let node = network.add(Home::open(addr), Config { saved, ..Config::new(Family::V4) });
    network.run_for(Duration::from_secs(10));
    assert!(network.ready_at(node).is_some());
}

#[test]
fn a_node_that_knows_only_dead_routers_keeps_asking_and_joins_when_they_return() {
    let mut network = network_of(100, calm());
    network.close_router();
    let node = network.grow(1)[0];
    network.run_for(Duration::from_mins(30));
    assert!(network.ready_at(node).is_none());
    let sent = network.node(node).expect("it lives").stats().sent;
    assert!((20..100).contains(&sent), "{sent} datagrams in half an hour: patient, but not asleep");
    network.open_router();
    network.run_for(Duration::from_mins(2));
    assert!(network.ready_at(node).is_some());
}

#[test]
fn the_network_does_not_need_its_router() {
    let mut network = network_of(100, calm());
    network.close_router();
    network.run_for(Duration::from_hours(1));
    assert_eq!(crate::setup::round(&mut network, 100, 1).found, 100);
}
