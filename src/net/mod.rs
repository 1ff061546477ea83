//! The engine on a real network: sockets, clocks, names, files and tasks, by tokio.
//!
//! `driver.rs` runs one [`Node`](crate::engine::node::Node) on one socket; everything else here serves it.

pub mod bootstrap;
pub mod clock;

pub mod driver;
pub mod entropy;
#[cfg(any(feature = "announcer", feature = "gateway"))]
pub mod fetch;
pub mod handover;
#[cfg(feature = "gateway")]
pub mod http;
pub mod latency;
pub mod listeners;
#[cfg(feature = "announcer")]
pub mod mapping;
pub mod nearness;
pub mod news;
pub mod peers;
pub mod persist;
pub mod place;
pub mod resources;
pub mod socket;
pub mod supervisor;
pub mod whole_file;
