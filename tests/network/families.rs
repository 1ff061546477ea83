//! IPv4 and IPv6 are two networks (BEP 32).

use trackerless::engine::contact::Family;
use trackerless::sim::Terms;

use crate::town::{calm, head, round, row, table, town_of};

#[test]
fn both_families_work_alike() {
    let mut rows = Vec::new();
    for family in [Family::V4, Family::V6] {
        let mut network = town_of(100, calm(), Terms::mainline(family));
        let round = round(&mut network, 100, 1);
        assert!(round.found >= 99, "{family:?}: {} of 100 found", round.found);
        rows.push(row(format!("{family:?}"), &round));
    }
    insta::assert_snapshot!(table(&head("family"), &rows));
}
