//! Which peer of a swarm makes room for a newcomer: the oldest of those that meet a bound with it.

use super::Stored;
use super::records::{HalfMinute, Record, Records};
use crate::engine::limits::PEERS_PER_SWARM;
use crate::engine::rules::Rules;

/// The record that the newcomer `peer` takes the place of: itself, or the oldest of those that it competes with.
pub(super) fn competitor(
    records: &Records,
    width: usize,
    peer: &[u8],
    now: HalfMinute,
    rules: &Rules,
    full: bool,
) -> Option<(usize, Stored)> {
    let ip = &peer[..peer.len() - 2];
    let subnet = &ip[..if ip.len() == 4 { 3 } else { 8 }];
    let [mut same_ip, mut same_subnet, mut any] = [Rivals::default(); 3];
    for (index, record) in records.iter(width).enumerate() {
        if record.peer() == peer {
            return Some((index, Stored::Refreshed));
        }
        any.note(index, record, now);
        if record.peer().starts_with(subnet) {
            same_subnet.note(index, record, now);
            if record.peer().starts_with(ip) {
                same_ip.note(index, record, now);
            }
        }
    }
    let bound = |rivals: &Rivals, most: usize| (rivals.count >= most).then_some(rivals.oldest);
    bound(&same_ip, rules.peers_per_address)
        .or_else(|| bound(&same_subnet, rules.peers_per_subnet))
        .or_else(|| bound(&any, if full { any.count.clamp(1, PEERS_PER_SWARM) } else { PEERS_PER_SWARM }))
        .map(|index| (index, Stored::Displaced))
}

/// Records that a newcomer competes with.
#[derive(Clone, Copy, Default)]
struct Rivals {
    count: usize,
    oldest: usize,
    age: u8,
}

impl Rivals {
    fn note(&mut self, index: usize, record: Record<'_>, now: HalfMinute) {
        let age = now.since(record.announced());
        if self.count == 0 || age > self.age {
            (self.oldest, self.age) = (index, age);
        }
        self.count += 1;
    }
}
