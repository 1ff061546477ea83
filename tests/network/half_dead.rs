//! Half of the nodes stop at once.

use std::time::Duration;

use crate::setup::{announce, calm, head, look_up, network_of, row, table};

#[test]
fn keys_outlive_half_of_the_network() {
    let mut network = network_of(200, calm());
    let announced = announce(&mut network, 200, 1);
    let mut rows = vec![row("before", &look_up(&mut network, &announced, 1))];
    for member in network.members().to_vec().into_iter().step_by(2) {
        network.kill(member);
    }
    let at_once = look_up(&mut network, &announced, 2);
    // (1/2)^8 is 0.4 %: of 200 keys about one has lost all of its holders.
    assert!(at_once.found >= 197, "{} of 200 found", at_once.found);
    rows.push(row("at once", &at_once));
    network.run_for(Duration::from_mins(20));
    rows.push(row("20 min later", &look_up(&mut network, &announced, 3)));
    insta::assert_snapshot!(table(&head("half dead"), &rows));
}
