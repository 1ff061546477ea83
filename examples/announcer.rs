//! Keeps infohashes announced through a node of one's own, without the daemon, and shows how they are.
//!
//! `cargo run --example announcer -- PORT INFOHASH...` does so in the mainline DHT until Ctrl-C. Without arguments it shows
//! the same on this machine alone: a network of ten nodes, three infohashes.

use trackerless::announcer::store::SqliteStore;
use trackerless::announcer::{Announcer, News};
use trackerless::{Dht, InfoHash};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (nodes, port, infohashes) = match arguments.split_first() {
        Some((port, infohashes)) => (vec![Dht::builder().start().await?], port.parse()?, infohashes.to_vec()),
        None => (network().await?, 6881, ["a", "b", "c"].map(|digit| digit.repeat(40)).to_vec()),
    };
    // What it knows is kept here: a second run announces nothing before its time.
    let folder = std::env::temp_dir().join("trackerless-example");
    std::fs::create_dir_all(&folder)?;
    let store = SqliteStore::open(&folder)?.store;

    let announcer = Announcer::new(nodes[nodes.len() - 1].clone(), store).await?;
    let mut news = announcer.subscribe();
    for infohash in &infohashes {
        announcer.add(infohash.parse::<InfoHash>()?, None, Some(port), true)?;
    }
    let shown = async {
        let mut seen = 0;
        while arguments.is_empty() && seen < infohashes.len() || !arguments.is_empty() {
            if let Ok(News::Looked(infohash)) = news.recv().await {
                let known = announcer.announcement(infohash).expect("it was added");
                println!("{infohash}: {}, stored at {} nodes", known.state.name(), known.stored_at);
                seen += 1;
            }
        }
    };
    tokio::select! {
        () = shown => {}
        stopped = tokio::signal::ctrl_c() => stopped?,
    }
    announcer.shutdown().await;
    Ok(())
}

/// Ten nodes on this machine, of a network of their own.
async fn network() -> Result<Vec<Dht>, Box<dyn std::error::Error>> {
    let mut nodes: Vec<Dht> = Vec::new();
    for _ in 0..10 {
        let routers = nodes.first().map(|first| first.local_addrs()[0].to_string());
        let node = Dht::builder().private_network(true).bind("127.0.0.1:0".parse()?).bootstrap(routers);
        nodes.push(node.start().await?);
        nodes[nodes.len() - 1].bootstrapped().await;
    }
    Ok(nodes)
}
