//! The swarm store: which peers announced themselves for which infohash.
//!
//! BEP 5 asks for it without bounds or expiry; both are ours. Invariants:
//! * a peer is the source address of the datagram that announced it and a port other than 0, of one family;
//! * (address, port) is unique in a swarm, and one address, one site, owner and provider (`owner.rs`), one swarm
//!   and the whole store are bounded;
//!   where a bound is met the newest announce displaces the oldest it competes with, so none can be frozen out;
//! * one network begins a small part of all swarms, and a swarm that has no room takes the place of one that is worth
//!   less: farther from our own id, with peers in fewer networks. Swarms that began while there was room and are announced
//!   again keep their place, up to a share of all;
//! * a peer that is not announced again is gone after 45 minutes, found by a sweep in small slices, never in a pause.

mod filters;
mod outcome;
mod packed;
mod records;
mod rivals;
mod store;
mod writers;

pub use outcome::AnnounceOutcome;
pub use packed::{PackedPeers, StoredPeer};
pub use store::{Choice, PeerStore, Place, Standing};
