//! What must always hold.
//!
//! An invariant watches every packet that a host sends and every host after it acted. The first one that breaks ends
//! the run with one line that names it, the moment, and the seed that repeats the run.

use std::net::SocketAddr;

use crate::engine::contact::is_sendable;
use crate::engine::time::Instant;

/// Something that holds at each step, for hosts of one type.
pub trait Invariant<H> {
    /// What holds, in a few words.
    fn name(&self) -> &'static str;

    /// A host sends this datagram.
    ///
    /// # Errors
    /// What is wrong with it.
    fn on_transmit(&mut self, _now: Instant, _to: SocketAddr, _payload: &[u8]) -> Result<(), String> {
        Ok(())
    }

    /// `host` acted and now waits.
    ///
    /// # Errors
    /// What is wrong with it.
    fn on_rest(&mut self, _now: Instant, _host: &H) -> Result<(), String> {
        Ok(())
    }
}

/// No datagram goes to an address that cannot be one: port 0, "this network", multicast, broadcast.
#[derive(Clone, Copy, Debug)]
pub struct OnlySendableDestinations;

impl<H> Invariant<H> for OnlySendableDestinations {
    fn name(&self) -> &'static str {
        "only sendable destinations"
    }

    fn on_transmit(&mut self, _: Instant, to: SocketAddr, _: &[u8]) -> Result<(), String> {
        if is_sendable(&to) { Ok(()) } else { Err(format!("a datagram to {to}")) }
    }
}

/// No datagram is longer than this many bytes.
#[derive(Clone, Copy, Debug)]
pub struct DatagramsFit(pub usize);

impl<H> Invariant<H> for DatagramsFit {
    fn name(&self) -> &'static str {
        "datagrams fit"
    }

    fn on_transmit(&mut self, _: Instant, to: SocketAddr, payload: &[u8]) -> Result<(), String> {
        if payload.len() <= self.0 { Ok(()) } else { Err(format!("{} bytes to {to}", payload.len())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transmit(invariant: &mut dyn Invariant<()>, to: &str, payload: &[u8]) -> Option<String> {
        invariant.on_transmit(Instant::ZERO, to.parse().unwrap(), payload).err()
    }

    #[test]
    fn a_datagram_to_nowhere_breaks() {
        let destinations = &mut OnlySendableDestinations;
        assert_eq!(transmit(destinations, "198.51.100.1:6881", b""), None);
        assert_eq!(transmit(destinations, "198.51.100.1:0", b"").as_deref(), Some("a datagram to 198.51.100.1:0"));
        assert!(transmit(destinations, "224.0.0.1:6881", b"").is_some());
    }

    #[test]
    fn a_long_datagram_breaks() {
        assert_eq!(transmit(&mut DatagramsFit(4), "198.51.100.1:6881", b"four"), None);
        let broken = transmit(&mut DatagramsFit(4), "198.51.100.1:6881", b"fifth");
        assert_eq!(broken.as_deref(), Some("5 bytes to 198.51.100.1:6881"));
    }
}
