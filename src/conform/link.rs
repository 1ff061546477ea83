//! What the checks need of a network: sources of their own that can send to the target and hear from it.

use std::net::SocketAddr;

/// One of our addresses, named by the part that it plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Asks nearly everything.
    Main,
    /// Has another IP address, where this host has one to give.
    Other,
    /// Has the IP address of `Main` and another port.
    SecondPort,
    /// Never answers the target.
    Mute,
    /// Never answers the target either, and has asked nothing before the one check that it is for.
    Unheard,
    /// Says that it is read-only (BEP 43).
    ReadOnly,
    /// One of many, each with its own IP address: only where addresses cost nothing, on IPv4 loopback.
    Crowd(u8),
}

/// How long to wait for a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// An answer is due: as long as one may take.
    Answer,
    /// Time must pass.
    Moment,
    /// Nothing should come: only as long as a reply may be overtaken by the next one.
    Straggler,
}

/// A way to the target.
pub trait Link {
    /// The target.
    fn target(&self) -> SocketAddr;

    /// The address of `source` as the target sees it; `None` where this host has no such address.
    fn address(&mut self, source: Source) -> Option<SocketAddr>;

    /// Sends `datagram` to the target, at the pace that is polite unless `burst`.
    fn send(&mut self, source: Source, datagram: &[u8], burst: bool);

    /// The next datagram from the target, to whichever source; `None` when the wait is over.
    fn receive(&mut self, wait: Wait) -> Option<(Source, Vec<u8>)>;

    /// Whether the target may be sent bursts: only on this machine.
    fn may_burst(&self) -> bool {
        self.target().ip().is_loopback()
    }
}
