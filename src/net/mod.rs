//! The engine on a real network: sockets, clocks and tasks, by tokio.

pub mod socket;
