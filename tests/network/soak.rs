//! Hours of everything at once: churn, attackers of every kind, floods, announces and lookups.
//!
//! `cargo bench --bench simulator -- --soak 24 --nodes 2000` is the same for a day, with the memory of the process.

mod scenario;

use std::time::Duration;

use self::scenario::{Hour, Size, Soak};
use crate::setup::{calm, watch};

#[test]
fn hours_of_everything_leave_nothing_stuck_and_nothing_growing() {
    let size = Size { members: 60, of_each_attack: 1, flood: Duration::from_secs(5) };
    let mut soak = Soak::begin(size, calm(), 1);
    watch(&mut soak.network);
    let hours: Vec<Hour> = (0..3).map(|_| soak.hour()).collect();
    for hour in &hours {
        assert!(hour.found * 100 >= hour.lookups * 95, "{hour:?}");
        assert_eq!((hour.unfinished, &hour.stuck), (0, &Vec::new()), "{hour:?}");
        assert!(hour.left > 10, "{hour:?}");
    }
    // Peers live for 45 minutes: from the first hour on as many go as come.
    assert!(hours[2].peers <= 1.3 * hours[1].peers + 5.0, "{hours:?}");
    assert!(hours[2].cached <= 2048.0, "{hours:?}");
    assert!(hours[2].contacts <= 1.1 * hours[1].contacts + 5.0, "{hours:?}");
}
