//! Replays the seeds of every fuzz target, and what fuzzing has found, as ordinary tests.

#[path = "../fuzz/checks.rs"]
mod checks;
#[cfg(feature = "cli")]
#[path = "../fuzz/config_checks.rs"]
mod config_checks;
#[cfg(feature = "index")]
#[path = "../fuzz/index_checks.rs"]
mod index_checks;
#[path = "../fuzz/item_checks.rs"]
mod item_checks;
#[cfg(feature = "gateway")]
#[path = "../fuzz/state_checks.rs"]
mod state_checks;
#[cfg(feature = "gateway")]
#[path = "../fuzz/tracker_checks.rs"]
mod tracker_checks;
#[cfg(feature = "gateway")]
#[path = "../fuzz/wire_checks.rs"]
mod wire_checks;

use std::fs;
use std::path::Path;

fn replay(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut seeds: Vec<_> = fs::read_dir(folder).expect("seeds").map(|entry| entry.expect("a seed").path()).collect();
    seeds.sort();
    assert!(seeds.len() >= 5, "{target} has hardly any seeds");
    for seed in seeds {
        println!("{}", seed.display());
        check(&fs::read(seed).expect("a seed"));
    }
}

#[test]
fn datagram() {
    replay("datagram", checks::datagram);
}

#[test]
fn scanner() {
    replay("scanner", checks::scanner);
    replay("datagram", checks::scanner);
}

#[test]
fn node() {
    replay("node", checks::node);
}

#[cfg(feature = "index")]
#[test]
fn index() {
    replay("index", index_checks::index);
}

#[test]
fn items() {
    replay("items", item_checks::items);
}

#[test]
fn store() {
    replay("store", item_checks::store);
}

#[cfg(feature = "gateway")]
#[test]
fn tracker() {
    replay("tracker", tracker_checks::tracker);
}

#[cfg(feature = "gateway")]
#[test]
fn state() {
    replay("state", state_checks::state);
}

#[cfg(feature = "gateway")]
#[test]
fn peer() {
    replay("peer", wire_checks::peer);
}

#[cfg(feature = "gateway")]
#[test]
fn head() {
    replay("head", wire_checks::head);
}

#[cfg(feature = "gateway")]
#[test]
fn answer() {
    replay("answer", wire_checks::answer);
}

#[cfg(feature = "cli")]
#[test]
fn config() {
    replay("config", config_checks::config);
}
