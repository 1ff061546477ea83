//! Which peer of a swarm makes room for a newcomer: the oldest of those that meet a bound with it.

use super::outcome::AnnounceOutcome;
use super::records::{HalfMinute, Record, Records};
use crate::engine::limits::PEERS_PER_SWARM;
use crate::engine::rules::Rules;

/// The record that the newcomer `peer` takes the place of in a swarm of `most` peers: itself, or the oldest of those that it
/// competes with.
pub(super) fn competitor(
    records: &Records,
    width: usize,
    peer: &[u8],
    now: HalfMinute,
    rules: &Rules,
    (full, most): (bool, usize),
) -> Option<(usize, AnnounceOutcome)> {
    let ip = &peer[..peer.len() - 2];
    let [site, owner, provider] = networks(ip);
    let [mut same_ip, mut same_site, mut same_owner, mut same_provider, mut any] = [Rivals::default(); 5];
    for (index, record) in records.iter(width).enumerate() {
        if record.peer() == peer {
            return Some((index, AnnounceOutcome::Refreshed));
        }
        any.note(index, record, now);
        // Each network lies in the next wider one, and most records in no network of the newcomer. In a private network none
        // is bounded.
        if !rules.diverse || !record.peer().starts_with(provider) {
            continue;
        }
        same_provider.note(index, record, now);
        if !record.peer().starts_with(owner) {
            continue;
        }
        same_owner.note(index, record, now);
        if record.peer().starts_with(site) {
            same_site.note(index, record, now);
        }
        if record.peer().starts_with(ip) {
            same_ip.note(index, record, now);
        }
    }
    let bound = |rivals: &Rivals, most: usize| (rivals.count >= most).then_some(rivals.oldest);
    bound(&same_ip, part(rules.peers_per_address, most))
        .or_else(|| bound(&same_site, part(rules.swarm_share.site, most)))
        .or_else(|| bound(&same_owner, part(rules.swarm_share.owner, most)))
        .or_else(|| bound(&same_provider, part(rules.swarm_share.provider, most)))
        .or_else(|| bound(&any, if full { any.count.clamp(1, most) } else { most }))
        .map(|index| (index, AnnounceOutcome::Displaced))
}

/// Whether an address is in a swarm, and whether its owner has as many there as it may have in one of `most` peers.
pub(super) fn standing(records: &Records, width: usize, ip: &[u8], rules: &Rules, most: usize) -> (bool, bool) {
    let [_, owner, _] = networks(ip);
    let (mut known, mut of_owner) = (false, 0);
    for record in records.iter(width).filter(|record| record.peer().starts_with(owner)) {
        known |= record.peer().starts_with(ip);
        of_owner += 1;
    }
    (known, rules.diverse && of_owner >= part(rules.swarm_share.owner, most))
}

/// What a share of a swarm is where it keeps no more than `most` peers.
fn part(share: usize, most: usize) -> usize {
    (share.saturating_mul(most) / PEERS_PER_SWARM).max(1)
}

/// The prefixes of the site, the owner and the provider of an address.
fn networks(ip: &[u8]) -> [&[u8]; 3] {
    if ip.len() == 4 { [4, 3, 2] } else { [8, 6, 4] }.map(|bytes| &ip[..bytes])
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
