//! The network falls into two halves and grows together again.

use std::net::IpAddr;
use std::time::Duration;

use trackerless::engine::time::Instant;
use trackerless::sim::link::partition::Partition;

use crate::setup::{announce, calm, head, look_up, network_of, round, row, table};

fn side(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.octets()[3] % 2 == 0)
}

#[test]
fn halves_live_on_and_heal() {
    let split = Partition { from: Instant::from_secs(300), until: Instant::from_secs(1500), side };
    let mut network = network_of(100, calm().with(split));
    let before = announce(&mut network, 100, 1);
    let mut rows = vec![row("whole", &look_up(&mut network, &before, 1))];
    network.run_until(Instant::from_secs(310));
    // A key lies on eight nodes of which both halves hold some.
    let at_once = look_up(&mut network, &before, 2);
    assert!(at_once.found >= 97, "{} of 100 found in the halves", at_once.found);
    rows.push(row("split, at once", &at_once));
    network.run_until(Instant::from_secs(1490));
    rows.push(row("split, 20 min", &look_up(&mut network, &before, 3)));
    network.run_until(Instant::from_secs(1600));
    let healed = round(&mut network, 100, 4);
    assert!(healed.found >= 99, "{} of 100 found after the halves met again", healed.found);
    rows.push(row("healed, 100 s", &healed));
    network.run_for(Duration::from_mins(20));
    rows.push(row("healed, 20 min", &round(&mut network, 100, 5)));
    insta::assert_snapshot!(table(&head("state"), &rows));
}
