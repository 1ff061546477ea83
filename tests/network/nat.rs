//! Most nodes sit behind translators that let in only whom the node contacted lately.

use trackerless::engine::contact::Family;
use trackerless::sim::Terms;
use trackerless::sim::population::Reachability;

use crate::setup::{calm, head, network_on, round, row, table};

#[test]
fn lookups_work_among_translators() {
    let mut rows = Vec::new();
    for open in [1.0, 0.6, 0.42] {
        let reachability = Reachability { open, restricted: 1.0 - open };
        let terms = Terms { reachability, ..Terms::mainline(Family::V4) };
        let mut network = network_on(100, calm(), terms);
        let round = round(&mut network, 100, 1);
        assert!(round.found >= 98, "{open}: {} of 100 found", round.found);
        rows.push(row(format!("{:.0} %", open * 100.0), &round));
    }
    // 42 % open is the mainline's mix without its dead.
    insta::assert_snapshot!(table(&head("open"), &rows));
}
