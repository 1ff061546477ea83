//! A network in memory: thousands of nodes, virtual time, one seed.
//!
//! The same [`Node`](crate::engine::node::Node) that runs in production lives here, beside anything else that implements
//! [`Host`]. Nothing in this room reads a clock or ambient randomness, so a run is repeated from its seed alone, on
//! any machine; [`World::trace`] is a hash over everything that happened and says whether it was.
//!
//! | to find | look in |
//! |---|---|
//! | a network of production nodes, grown by the real join | [`network`] |
//! | the server through which nodes join | [`router`] |
//! | machines that speak IPv4, IPv6 or both | [`dual_stack`] |
//! | what became of an operation | [`task`] |
//! | the event loop: spawn, kill, call, run until | [`world`] |
//! | what may live in the world | [`host`] |
//! | delay, loss, duplicates, reordering, MTU, rate, partition | [`link`] |
//! | address translators and their mappings | [`nat`] |
//! | who lives where: addresses, BEP 42 ids, sessions | [`population`] |
//! | hundreds of thousands of nodes that are only answers | [`crowd`] |
//! | members that leave and are replaced | [`churn`] |
//! | attackers | [`adversary`] |
//! | what must always hold | [`invariant`], of routing tables [`sound_tables`] |
//! | randomness as a pure function of names | [`random`] |
//!
//! Invariants: time never goes backwards; events at one instant happen in the order in which they were caused; what
//! befalls a packet depends on the seed, its two ends and its number between them, never on unrelated traffic.
#![forbid(unsafe_code)]

pub mod adversary;
pub mod churn;
pub mod crowd;
pub mod dual_stack;
pub mod host;
pub mod invariant;
pub mod link;
pub mod nat;
pub mod network;
pub mod population;
pub mod random;
pub mod router;
pub mod sound_tables;
pub mod task;
pub mod world;

mod calendar;
mod map;
mod queue;

pub use dual_stack::DualStack;
pub use host::{Action, Host, HostId};
pub use link::Link;
pub use network::{Network, Resident, Terms};
pub use world::World;
