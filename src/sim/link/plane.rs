//! Round-trip times of the Internet, from a plane with heights.
//!
//! `RTT(a, b) = 0.87 x distance in the plane + height of a + height of b`, and jitter. The plane holds eight regions
//! at their known distances; the height is the access line (log-normal, median 9 ms, sigma .75; 8 % of the lines are
//! bloated by exp(150 ms) more). Each packet varies by 5 %, and 3 % of them wait exp(100 ms) longer.
//!
//! The place of an address follows from the seed and the address alone. The model was fitted to p10 47, p25 89, p50
//! 156, p75 216, p90 273, p99 567 ms; a test below holds it there. Plane and heights: Vivaldi (SIGCOMM 2004).

use std::net::IpAddr;
use std::time::Duration;

use super::{Copies, Element, Passing};
use crate::sim::map::Map;
use crate::sim::random::{Dice, name_of};

const PLACE: u64 = 10;
const JITTER: u64 = 11;

/// A region: where its middle lies in the plane (milliseconds), and its share of the nodes.
struct Region {
    x: f64,
    y: f64,
    share: f64,
}

const REGIONS: [Region; 8] = [
    Region { x: 0.0, y: 0.0, share: 0.27 },      // Western Europe
    Region { x: 41.0, y: -16.0, share: 0.16 },   // Eastern Europe
    Region { x: -105.0, y: 19.0, share: 0.13 },  // North America, east
    Region { x: -143.0, y: 35.0, share: 0.08 },  // North America, west
    Region { x: -95.0, y: 207.0, share: 0.17 },  // East Asia
    Region { x: -31.0, y: 142.0, share: 0.11 },  // South and South-East Asia
    Region { x: -98.0, y: -94.0, share: 0.06 },  // South America
    Region { x: -154.0, y: 251.0, share: 0.02 }, // Oceania
];
/// How far nodes lie from the middle of their region, in milliseconds and each direction.
const SPREAD_MS: f64 = 14.0;

/// Where an address lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    x: f64,
    y: f64,
    height: f64,
}

/// The delay of a packet, from the places of its two ends.
#[derive(Clone, Debug)]
pub struct Plane {
    seed: u64,
    places: Map<IpAddr, Place>,
}

impl Plane {
    /// The plane of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, places: Map::default() }
    }

    /// The round-trip time between two addresses, without jitter.
    pub fn round_trip(&mut self, a: IpAddr, b: IpAddr) -> Duration {
        Duration::from_secs_f64(self.round_trip_ms(a, b) / 1e3)
    }

    fn round_trip_ms(&mut self, a: IpAddr, b: IpAddr) -> f64 {
        let (a, b) = (self.place(a), self.place(b));
        0.87 * libm::hypot(a.x - b.x, a.y - b.y) + a.height + b.height
    }

    fn place(&mut self, ip: IpAddr) -> Place {
        let seed = self.seed;
        *self.places.entry(ip).or_insert_with(|| place_of(&mut Dice::keyed(seed, &[PLACE, name_of(ip)])))
    }
}

fn place_of(dice: &mut Dice) -> Place {
    let mut share = dice.unit();
    let region = REGIONS.iter().find(|region| {
        share -= region.share;
        share < 0.0
    });
    let region = region.unwrap_or(&REGIONS[0]);
    let bloat = if dice.chance(0.08) { dice.exponential(150.0) } else { 0.0 };
    Place {
        x: region.x + SPREAD_MS * dice.normal(),
        y: region.y + SPREAD_MS * dice.normal(),
        height: dice.log_normal(9.0, 0.75) + bloat,
    }
}

impl Element for Plane {
    fn pass(&mut self, packet: &Passing, copies: &mut Copies) {
        let one_way = self.round_trip_ms(packet.from.ip(), packet.to.ip()) / 2.0;
        let mut dice = packet.dice(JITTER);
        for delay in copies {
            let slow = if dice.chance(0.03) { dice.exponential(100.0) } else { 0.0 };
            let varied = one_way * (1.0 + 0.05 * dice.normal()).max(0.5) + slow;
            *delay += Duration::from_micros((varied * 1e3) as u64);
        }
    }

    fn fork(&self) -> Box<dyn Element> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn round_trips_are_spread_like_those_of_the_internet() {
        let mut plane = Plane::new(1);
        let mut dice = Dice::new(2);
        let mut ip = || IpAddr::V4(Ipv4Addr::from(dice.bits() as u32));
        let mut all: Vec<f64> = (0..100_000).map(|_| plane.round_trip_ms(ip(), ip())).collect();
        all.sort_by(f64::total_cmp);
        let quantile = |q: f64| all[(q * all.len() as f64) as usize];
        for (q, ms) in [(0.10, 47.0), (0.25, 89.0), (0.50, 156.0), (0.75, 216.0), (0.90, 273.0), (0.99, 567.0)] {
            let measured = quantile(q);
            assert!((measured / ms - 1.0).abs() < 0.06, "p{:.0}: {measured:.0} ms instead of {ms}", q * 100.0);
        }
    }
}
