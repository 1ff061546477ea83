//! A network of 200 production nodes in memory: they join, one announces, half of them stop, and another still finds it.
//!
//! `cargo run --release --no-default-features --example small_simulation`

use std::time::Duration;

use trackerless::engine::contact::Family;
use trackerless::engine::id::Id;
use trackerless::sim::{Link, Network, Terms};

fn main() {
    // One seed is one history, on any machine.
    let seed = 1;
    let mut network = Network::new(Link::internet(seed), Terms::mainline(Family::V4), seed);
    let nodes = network.grow(200);
    network.run_for(Duration::from_secs(120));
    println!("{} after the start {} nodes have joined", network.world().now(), network.members().len());

    let torrent = Id(*b"an infohash, 20 byte");
    network.announce(nodes[17], torrent, 6881);
    network.finish(Duration::from_secs(60));
    println!("the announce of node 17 is stored on {} nodes", network.take_tasks()[0].stored_at.len());

    for node in nodes.iter().skip(1).step_by(2).filter(|node| **node != nodes[17]) {
        network.kill(*node);
    }
    println!("half of the nodes stop; {} are left", network.members().len());

    network.find_peers(nodes[100], torrent);
    network.finish(Duration::from_secs(60));
    let found = &network.take_tasks()[0];
    println!("node 100 finds {:?} after {:?}", found.peers, found.first_peers);

    let counters = network.world().counters();
    println!(
        "{} events, {} datagrams; the history has the hash {:016x}",
        counters.events,
        counters.sent,
        network.world().trace()
    );
    assert!(!found.peers.is_empty(), "the key outlives half of the network");
}
