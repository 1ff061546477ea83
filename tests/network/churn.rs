//! Nodes come and go all the time.

use std::time::Duration;

use trackerless::engine::contact::Family;
use trackerless::sim::Terms;
use trackerless::sim::churn::Churn;
use trackerless::sim::population::Sessions;
use trackerless::sim::world::Home;

use crate::setup::{calm, head, network_of, round, row, table};

#[test]
fn lookups_work_while_nodes_come_and_go() {
    let mut network = network_of(100, calm());
    let mut churn = Churn::new(&network, Sessions { shape: 0.5, median: Duration::from_mins(30) }, 1);
    let mut rows = Vec::new();
    for minutes in [20, 40, 60] {
        let left = churn.run_for(&mut network, Duration::from_mins(20), |network| {
            let addr = network.endpoint();
            network.add(Home::open(addr), Terms::mainline(Family::V4).config)
        });
        assert!(left > 5, "{left} of 100 nodes were replaced");
        let round = round(&mut network, 100, minutes);
        assert!(round.found >= 99, "after {minutes} minutes {} of 100 found", round.found);
        rows.push(row(minutes, &round));
    }
    insta::assert_snapshot!(table(&head("minute"), &rows));
}
