//! A BitTorrent mainline-DHT node that replaces a tracker.
#![deny(unsafe_code, missing_docs, rustdoc::broken_intra_doc_links)]
#![warn(unreachable_pub)]

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod daemon;
pub mod engine;
#[cfg(feature = "net")]
pub mod net;
