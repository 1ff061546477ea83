//! A laptop is closed and opened again.

use std::net::SocketAddr;
use std::time::Duration;

use crate::setup::{announce, calm, head, look_up, network_of, row, table};

#[test]
fn a_sleeper_finds_its_way_back() {
    let mut network = network_of(60, calm());
    let sleeper = network.members()[30];
    network.world_mut().suspend(sleeper);
    network.run_for(Duration::from_hours(1));
    let announced = announce(&mut network, 20, 1);
    network.world_mut().resume(sleeper);
    let mut took = Vec::new();
    for &key in &announced.keys {
        network.find_peers(sleeper, key);
        network.finish(Duration::from_secs(60));
        took.extend(network.take_tasks().into_iter().map(|task| task.first_peers));
    }
    assert!(took.iter().all(|first| first.is_some_and(|first| first < Duration::from_secs(3))), "{took:?}");
}

#[test]
fn half_a_network_that_slept_is_part_of_it_again() {
    let mut network = network_of(100, calm());
    let sleepers: Vec<_> = network.members().iter().copied().step_by(2).collect();
    let announced = announce(&mut network, 100, 1);
    let mut rows = vec![row("awake", &look_up(&mut network, &announced, 1))];
    sleepers.iter().for_each(|&sleeper| network.world_mut().suspend(sleeper));
    network.run_for(Duration::from_mins(30));
    sleepers.iter().for_each(|&sleeper| network.world_mut().resume(sleeper));
    network.run_for(Duration::from_secs(60));
    let again = look_up(&mut network, &announced, 2);
    assert!(again.found >= 99, "{} of 100 found a minute after waking", again.found);
    rows.push(row("a minute after", &again));
    insta::assert_snapshot!(table(&head("half asleep"), &rows));
}

#[test]
fn after_a_night_everything_overdue_is_done_within_a_minute() {
    let mut network = network_of(60, calm());
    let sleeper = network.members()[30];
    network.world_mut().suspend(sleeper);
    // Meanwhile half of those that it knew have left, and others have come.
    for member in network.members().to_vec().into_iter().step_by(2).filter(|member| *member != sleeper) {
        network.kill(member);
    }
    network.grow(30);
    network.run_for(Duration::from_hours(8));
    network.world_mut().resume(sleeper);
    network.run_for(Duration::from_mins(1));
    let now = network.world().now();
    let node = network.node(sleeper).expect("it lives");
    let alive = |addr: &SocketAddr| network.members().iter().any(|&member| network.world().addr(member) == *addr);
    let good: Vec<SocketAddr> = node.good_contact_list(now).iter().map(|contact| contact.addr).collect();
    assert!(good.len() >= 8 && good.iter().all(alive), "{} good contacts, all of them alive", good.len());
}
