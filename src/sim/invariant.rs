//! What must always hold.
//!
//! An invariant watches every packet that a host sends and every host after it acted. The first one that breaks ends
//! the run with one line that names it, the moment, and the seed that repeats the run.

use std::net::SocketAddr;

use super::network::Resident;
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

/// A routing table never holds the node itself, an address twice, or more than its buckets can. Looked at now and
/// then: a table is long, and a step is short.
#[derive(Clone, Copy, Debug, Default)]
pub struct SoundTables {
    steps: u64,
}

/// A prime, so that no rhythm of the network hides from it.
const LOOK_EVERY: u64 = 997;
/// Four large buckets and eight entries for every further bit.
const LARGEST_TABLE: usize = 128 + 64 + 32 + 16 + 156 * 8;

impl Invariant<Resident> for SoundTables {
    fn name(&self) -> &'static str {
        "sound tables"
    }

    fn on_rest(&mut self, _: Instant, host: &Resident) -> Result<(), String> {
        self.steps += 1;
        let Some(node) = host.node().filter(|_| self.steps.is_multiple_of(LOOK_EVERY)) else { return Ok(()) };
        let mut addresses: Vec<SocketAddr> = node.entries().map(|entry| entry.contact.addr).collect();
        let count = addresses.len();
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.len() < count {
            return Err(format!("{} addresses twice", count - addresses.len()));
        }
        if node.entries().any(|entry| entry.contact.id == *node.id()) {
            return Err("the node itself".into());
        }
        if count > LARGEST_TABLE { Err(format!("{count} entries")) } else { Ok(()) }
    }
}
