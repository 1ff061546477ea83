//! A BitTorrent mainline-DHT node that replaces a tracker.
#![deny(unsafe_code, missing_docs, rustdoc::broken_intra_doc_links)]
#![warn(unreachable_pub)]

pub mod engine;
#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "gateway")]
pub mod tracker;
