//! Everyone restarts at once, from what they saved.

use std::time::Duration;

use trackerless::engine::contact::Family;
use trackerless::engine::node::Config;
use trackerless::sim::world::Home;

use crate::setup::{announce, calm, head, look_up, network_of, row, table};

#[test]
fn a_network_survives_that_all_restart_at_once_without_a_router() {
    let mut network = network_of(100, calm());
    let announced = announce(&mut network, 100, 1);
    let mut rows = vec![row("before", &look_up(&mut network, &announced, 1))];
    let now = network.world().now();
    let saved: Vec<_> = network
        .members()
        .iter()
        .map(|&member| (network.world().addr(member), network.node(member).map(|node| node.snapshot(now))))
        .collect();
    network.members().to_vec().into_iter().for_each(|member| network.kill(member));
    for (addr, snapshot) in saved {
        let config =
            Config { saved: snapshot.expect("members are nodes"), has_routers: false, ..Config::new(Family::V4) };
        network.add(Home::open(addr), config);
    }
    let restarted = network.world().now();
    for seconds in [5, 30, 120] {
        network.run_until(restarted + Duration::from_secs(seconds));
        rows.push(row(format!("{seconds} s after"), &look_up(&mut network, &announced, seconds)));
    }
    let settled = look_up(&mut network, &announced, 4);
    assert!(settled.found >= 99, "{} of 100 found two minutes after the restart", settled.found);
    insta::assert_snapshot!(table(&head("restart"), &rows));
}
