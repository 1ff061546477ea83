//! A BitTorrent mainline-DHT node that replaces a tracker.
//!
//! | room | what is in it |
//! |---|---|
//! | [`engine`] | the protocol: no socket, no clock, no task; the same code runs in production, simulator and fuzzer |
//! | [`torrent`] | what names a torrent: infohashes, magnet URIs, torrent files, and the flag of private ones |
//! | [`net`] | the engine on a real network, by tokio (feature `net`) |
//! | [`dht`] | [`Dht`], the handle that programs embed (feature `net`) |
//! | [`peer`] | the peer wire: handshake, extensions, metadata (feature `net`) |
//! | `announcer` | infohashes kept announced, from folders, lists and torrent clients (feature `announcer`) |
//! | `index` | what is shared: survey, names, search (feature `index`) |
//! | [`tracker`] | the gateway: a tracker by HTTP and UDP in front, the DHT behind (feature `gateway`) |
//! | [`conform`] | a black-box suite that tests any DHT node, ours and others |
//! | [`sim`] | the engine in a network in memory: virtual time, one seed |
//! | `lab` | the lectures' experiments on the simulator (feature `lab`) |
//! | `daemon` | the long-running service and its configuration (feature `cli`) |
//! | `cli` | one file per command (feature `cli`) |
//!
//! ```
//! # #[cfg(feature = "net")] {
//! use trackerless::{Dht, InfoHash};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A private network of two nodes on this machine. Without `private_network` and `bind` it is the mainline DHT.
//! let loopback = || Dht::builder().private_network(true).bind("127.0.0.1:0".parse().unwrap());
//! let first = loopback().start().await?;
//! let second = loopback().bootstrap([first.local_addrs()[0].to_string()]).start().await?;
//! second.bootstrapped().await;
//!
//! let swarm: InfoHash = "da39a3ee5e6b4b0d3255bfef95601890afd80709".parse()?;
//! let announced = second.announce(swarm, 6881, false).await;
//! assert_eq!(announced.stored_at.len(), 1);
//! let mut peers = first.find_peers(swarm).await;
//! assert_eq!(peers.next().await, Some("127.0.0.1:6881".parse()?));
//! # first.shutdown().await?; second.shutdown().await?;
//! # Ok(()) }
//! # main().unwrap() }
//! ```
#![deny(unsafe_code, missing_docs, rustdoc::broken_intra_doc_links)]
#![warn(unreachable_pub)]

#[cfg(any(feature = "announcer", feature = "lab"))]
pub mod announcer;
#[cfg(feature = "cli")]
pub mod cli;
pub mod conform;
#[cfg(feature = "cli")]
pub mod daemon;
#[cfg(feature = "net")]
pub mod dht;
pub mod engine;
#[cfg(feature = "index")]
pub mod index;
#[cfg(feature = "lab")]
pub mod lab;
#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "net")]
pub mod peer;
pub mod sim;
pub mod torrent;
#[cfg(feature = "gateway")]
pub mod tracker;

#[cfg(feature = "net")]
pub use dht::Dht;
pub use engine::id::{Id, InfoHash, NodeId, Target};
