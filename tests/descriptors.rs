//! The state is saved in a process that has no descriptor left. A program of its own: the limit is the process's.
#![cfg(all(unix, feature = "net"))]

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use trackerless::engine::node::Snapshot;
use trackerless::net::persist::{DataDir, Found, SavedNode, State, look};

/// Takes every descriptor that this process may have, and each that is given back, until it is told to stop.
fn take_all(stop: &AtomicBool, all_taken: &AtomicBool) -> usize {
    let mut taken = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        match File::open("/dev/null") {
            Ok(file) => taken.push(file),
            Err(_) => all_taken.store(true, Ordering::Relaxed),
        }
    }
    taken.len()
}

fn state(saved_at: u64) -> State {
    let addr = ([127, 0, 0, 1], 6880).into();
    State { saved_at, nodes: vec![SavedNode { asked: addr, bound: addr, snapshot: Snapshot::default() }] }
}

#[test]
fn two_saves_in_a_row_need_no_free_descriptor() {
    let folder = tempfile::tempdir().unwrap();
    let kept = DataDir::keep(folder.path()).unwrap();
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), ..getrlimit(Resource::Nofile) }).unwrap();
    let (stop, all_taken) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|threads| {
        let taker = threads.spawn(|| take_all(&stop, &all_taken));
        while !all_taken.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        let saved = [1, 2].map(|saved_at| kept.save(&state(saved_at)));
        stop.store(true, Ordering::Relaxed);
        assert_ne!(taker.join().unwrap(), 0);
        for saved in saved {
            saved.expect("saved without a descriptor");
        }
    });
    kept.save(&state(3)).unwrap();
    let Found::State(found) = look(folder.path()).unwrap() else { panic!("no state") };
    assert_eq!(found.saved_at, 3);
}
