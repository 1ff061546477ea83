//! What may live in the world.
//!
//! A host is a machine without a socket, a clock or a thread, driven the way the engine is driven (see
//! [`crate::engine`]): hand it a datagram, a timeout or a command, then take its actions until it says how long it
//! will wait. Production nodes, adversaries and the lab's other systems all fit through this one opening.

use std::net::SocketAddr;

use crate::engine::time::Instant;

/// One inhabitant of a simulated network.
pub trait Host {
    /// What it tells its owner: for a node, the events of its operations.
    type Report;

    /// Takes a datagram that arrived from `from`.
    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]);

    /// Its deadline has come. May be called early; a host then finds nothing to do.
    fn handle_timeout(&mut self, now: Instant);

    /// The next thing that it wants done. Ends with [`Action::Wait`].
    fn poll_action(&mut self) -> Action<'_, Self::Report>;
}

/// What a host wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<'a, R> {
    /// Send this datagram.
    Transmit {
        /// The endpoint to send to.
        to: SocketAddr,
        /// Its bytes.
        payload: &'a [u8],
    },
    /// Tell the owner.
    Report(R),
    /// Nothing more now; wake me then.
    Wait(Instant),
}

/// Names a host for the life of a world. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(u32);

impl HostId {
    pub(super) fn nth(index: usize) -> Self {
        Self(u32::try_from(index).expect("fewer than 2^32 hosts"))
    }

    /// The number of hosts that were spawned before it.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    pub(super) const fn number(self) -> u32 {
        self.0
    }
}
