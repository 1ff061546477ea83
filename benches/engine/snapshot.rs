//! How long a node that holds a million peers of others stands still while its state is saved.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use trackerless::engine::contact::Family;
use trackerless::engine::id::{Id, InfoHash};
use trackerless::engine::node::{Config, Node, Snapshot};
use trackerless::engine::peers::StoredPeer;
use trackerless::engine::time::Instant as EngineInstant;

const SWARMS: u32 = 20_000;
const PEERS_OF_A_SWARM: u32 = 50;
const ROUNDS: usize = 15;

/// Prints the medians of some rounds: all at once, as it was, and the longest turn of a node that goes on serving.
pub fn measure() {
    let now = EngineInstant::from_secs(10_000);
    let node = node(now);
    let (mut at_once, mut longest, mut slices) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let whole = node.peers().iter(now).collect::<Vec<_>>();
        at_once.push(start.elapsed());
        assert_eq!(whole.len(), (SWARMS * PEERS_OF_A_SWARM) as usize);

        let mut turn = Instant::now();
        let mut snapshot = node.begin_snapshot(now);
        let mut slowest = turn.elapsed();
        slices = 1;
        loop {
            turn = Instant::now();
            let more = node.continue_snapshot(now, &mut snapshot);
            slowest = slowest.max(turn.elapsed());
            slices += 1;
            if !more {
                break;
            }
        }
        longest.push(slowest);
        assert_eq!(snapshot.unpack().peers.len(), whole.len());
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e3
    };
    println!("{} peers at once: {:.1} ms", SWARMS * PEERS_OF_A_SWARM, median(&mut at_once));
    println!("in {slices} slices: the longest {:.3} ms", median(&mut longest));
}

/// A node of a private network, where no network is too large a part of a swarm.
fn node(now: EngineInstant) -> Node {
    let peer = |index: u32| {
        let mut info_hash = Id([7; 20]);
        info_hash.0[..4].copy_from_slice(&(index / PEERS_OF_A_SWARM).wrapping_mul(0x9e37_79b9).to_be_bytes());
        let peer = SocketAddr::from(((0x0a00_0000 + index).to_be_bytes(), 6881));
        StoredPeer { info_hash: InfoHash(info_hash), peer, seed: index.is_multiple_of(2), age: Duration::ZERO }
    };
    let peers = (0..SWARMS * PEERS_OF_A_SWARM).map(peer).collect();
    let saved = Snapshot { peers, ..Snapshot::default() };
    let config = Config { private_network: true, has_routers: false, saved, ..Config::new(Family::V4) };
    Node::new(config, [1; 32], now)
}
