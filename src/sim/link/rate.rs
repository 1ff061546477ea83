//! An uplink of limited rate with a queue that drops what does not fit.

use std::net::IpAddr;
use std::time::Duration;

use super::{Copies, Element, Passing};
use crate::engine::time::Instant;
use crate::sim::map::Map;

/// IPv4 and UDP headers.
const HEADERS_BYTES: usize = 28;

/// Every address sends at most this fast; packets wait their turn, and are lost when the queue is full.
#[derive(Clone, Debug)]
pub struct Rate {
    bytes_per_second: f64,
    queue: Duration,
    /// When the uplink of an address has sent everything that it was given.
    idle_at: Map<IpAddr, Instant>,
}

impl Rate {
    /// An uplink of this rate, whose queue holds as much as it sends in `queue`.
    #[must_use]
    pub fn new(bytes_per_second: f64, queue: Duration) -> Self {
        Self { bytes_per_second, queue, idle_at: Map::default() }
    }
}

impl Element for Rate {
    fn pass(&mut self, packet: &Passing, copies: &mut Copies) {
        let idle_at = self.idle_at.entry(packet.from.ip()).or_insert(packet.now);
        let waits = idle_at.since(packet.now);
        if waits > self.queue {
            return copies.clear();
        }
        let sending = Duration::from_secs_f64((packet.len_bytes + HEADERS_BYTES) as f64 / self.bytes_per_second);
        *idle_at = packet.now + waits + sending;
        copies.iter_mut().for_each(|delay| *delay += waits + sending);
    }

    fn fork(&self) -> Box<dyn Element> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Link;
    use super::super::tests::{arrivals, burst, link};
    use super::*;

    fn uplink() -> Link {
        // 100 bytes each on the wire, a packet a millisecond: half of them fit through, and the queue holds 50 more.
        link().with(Rate::new(50_000.0, Duration::from_millis(100)))
    }

    #[test]
    fn what_the_uplink_cannot_carry_waits_and_then_is_lost() {
        let arrived = burst(&mut uplink(), 72);
        let carried = arrived.iter().filter(|copies| !copies.is_empty()).count();
        assert!((548..=554).contains(&carried), "{carried} of 1,000");
        assert!(arrivals(&arrived).is_sorted(), "a queue does not reorder");
        let longest = arrived.iter().flatten().max().map(Duration::as_millis);
        assert_eq!(longest, Some(102), "a full queue, and the packet itself");
    }

    #[test]
    fn an_uplink_below_its_rate_only_takes_the_time_of_sending() {
        let arrived = burst(&mut link().with(Rate::new(200_000.0, Duration::from_millis(100))), 72);
        assert!(arrived.iter().all(|copies| copies.as_slice() == [Duration::from_micros(500)]));
    }
}
