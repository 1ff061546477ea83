//! Announces are stored and found over links that lose packets.

use trackerless::sim::link::impair::{Duplicate, Loss, Reorder};

use crate::town::{calm, head, round, row, table, town};

#[test]
fn lookups_survive_loss() {
    let mut rows = Vec::new();
    for percent in [0, 5, 20] {
        let mut network = town(100, calm().with(Loss(f64::from(percent) / 100.0)));
        let round = round(&mut network, 100, 1);
        assert!(round.found >= 99, "{percent} % loss: {} of 100 found", round.found);
        rows.push(row(format!("{percent} %"), &round));
    }
    insta::assert_snapshot!(table(&head("loss"), &rows));
}

#[test]
fn doubled_and_reordered_packets_do_no_harm() {
    let link = calm().with(Duplicate(0.2)).with(Reorder { share: 0.2, by: std::time::Duration::from_millis(300) });
    let mut network = town(100, link);
    assert_eq!(round(&mut network, 100, 1).found, 100);
}
