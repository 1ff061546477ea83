//! How many connections each owner of addresses may have.
//!
//! Strangers never have all places: a quarter is left to this host and its local network, whose clients would otherwise not
//! even be accepted while strangers wait for their answers.
//!
//! Connections are counted at two levels ([`Level`]): of one site, and of one owner. The allowance of each may be exceeded to twice its size for a moment,
//! because clients open many connections at once and close them soon; then connections that pause make room.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::engine::contact::is_local;
use crate::engine::owner::{Level, network};

/// Connections that pause and are kept for one site: an IPv4 address, an IPv6 /64.
pub(super) const PER_SITE: usize = 32;
/// The same for one owner: a /24, a /48.
pub(super) const PER_OWNER: usize = 128;

/// The connections that are open, by owner.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// Those of addresses that are not local.
    strangers: usize,
    /// Open connections of each owner that has any, so no more owners than connections.
    owners: BTreeMap<Owner, usize>,
    /// The system has no file descriptor left.
    short: bool,
}

/// The place of one connection; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    owners: Option<[Owner; 2]>,
    stranger: bool,
    given_up: bool,
}

/// A network whose connections are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Owner {
    level: Level,
    is_ipv4: bool,
    network: u64,
}

impl Owner {
    /// The two networks of an address that are counted, the smaller first.
    fn both(ip: IpAddr) -> [Self; 2] {
        [Level::Site, Level::Owner].map(|level| Self { level, is_ipv4: ip.is_ipv4(), network: network(ip, level) })
    }

    const fn allowance(self) -> usize {
        if matches!(self.level, Level::Site) { PER_SITE } else { PER_OWNER }
    }
}

impl Places {
    /// As many places as `most`.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, counts: Mutex::default() })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("nothing panics while it holds the lock")
    }

    /// Notes whether the system has no file descriptor left for another connection.
    pub(super) fn set_short(&self, short: bool) {
        self.counts().short = short;
    }

    /// Places that strangers may have.
    const fn for_strangers(&self) -> usize {
        self.most - self.most / 4
    }

    /// A place for a connection of `ip`, or of no owner that is counted; `None` if it has as many as it may, or is a stranger
    /// and strangers have.
    pub(super) fn enter(self: &Arc<Self>, ip: Option<IpAddr>) -> Option<Place> {
        let (owners, stranger) = (ip.map(Owner::both), ip.is_some_and(|ip| !is_local(ip)));
        let mut counts = self.counts();
        if stranger && counts.strangers >= self.for_strangers() {
            return None;
        }
        let of = |owner: &Owner| counts.owners.get(owner).copied().unwrap_or(0);
        if owners.iter().flatten().any(|owner| of(owner) >= 2 * owner.allowance()) {
            return None;
        }
        counts.all += 1;
        counts.strangers += usize::from(stranger);
        for owner in owners.into_iter().flatten() {
            *counts.owners.entry(owner).or_default() += 1;
        }
        Some(Place { places: Arc::clone(self), owners, stranger, given_up: false })
    }
}

impl Counts {
    fn leave(&mut self, place: &Place) {
        self.all -= 1;
        self.strangers -= usize::from(place.stranger);
        for owner in place.owners.into_iter().flatten() {
            if let Some(count) = self.owners.get_mut(&owner) {
                *count -= 1;
                if *count == 0 {
                    self.owners.remove(&owner);
                }
            }
        }
    }

    /// Whether an owner has more connections than it may keep, or all of them together, or all strangers, have nearly as many
    /// as they may.
    fn is_crowded(&self, place: &Place) -> bool {
        let over = |owner: Owner| self.owners.get(&owner).is_some_and(|count| *count > owner.allowance());
        let nearly = |count: usize, most: usize| count > most - most / 10;
        self.short
            || nearly(self.all, place.places.most)
            || (place.stranger && nearly(self.strangers, place.places.for_strangers()))
            || place.owners.into_iter().flatten().any(over)
    }
}

impl Place {
    /// Frees the place of a connection that pauses if others need it; whether it did.
    pub(super) fn give_up(&mut self) -> bool {
        let mut counts = self.places.counts();
        let gives_up = !self.given_up && counts.is_crowded(self);
        if gives_up {
            counts.leave(self);
        }
        drop(counts);
        self.given_up |= gives_up;
        self.given_up
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.given_up {
            self.places.counts().leave(self);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter_all(places: &Arc<Places>, ips: impl IntoIterator<Item = String>) -> Vec<Place> {
        ips.into_iter().filter_map(|ip| places.enter(Some(ip.parse().unwrap()))).collect()
    }

    #[test]
    fn an_owner_has_its_share_and_no_more() {
        let places = Places::new(5000);
        let kept = |open: &mut Vec<Place>| {
            open.retain_mut(|place| !place.give_up());
            open.len()
        };
        let mut one = enter_all(&places, (0..500).map(|_| "203.0.113.9".to_owned()));
        assert_eq!(one.len(), 2 * PER_SITE);
        assert_eq!(kept(&mut one), PER_SITE);
        let mut neighbours = enter_all(&places, (0..2000).map(|i| format!("203.0.113.{}", i % 256)));
        assert_eq!(neighbours.len() + one.len(), 2 * PER_OWNER);
        assert_eq!(kept(&mut neighbours) + one.len(), PER_OWNER);
        let mut customer = enter_all(&places, (0..2000).map(|i| format!("2001:db8:7:{i:x}::1")));
        assert_eq!((customer.len(), kept(&mut customer)), (2 * PER_OWNER, PER_OWNER));
        let mut host = enter_all(&places, (0..2000).map(|i| format!("2001:db8:8::{i:x}")));
        assert_eq!((host.len(), kept(&mut host)), (2 * PER_SITE, PER_SITE));
        assert_eq!(enter_all(&places, ["198.51.100.1".to_owned()]).len(), 1);
        drop((one, neighbours, customer, host));
        assert!(places.counts().owners.is_empty() && places.counts().all == 0);
    }

    #[test]
    fn strangers_leave_a_quarter_of_the_places_to_local_clients() {
        let places = Places::new(400);
        let spread = |i: u32| IpAddr::from((0x0200_0000 + (i << 12)).to_be_bytes()).to_string();
        let mut strangers = enter_all(&places, (0..2000).map(spread));
        assert_eq!(strangers.len(), 300);
        for ip in ["127.0.0.1", "::1", "192.168.1.7", "fd00::7"] {
            assert_eq!(enter_all(&places, (0..20).map(|_| ip.to_owned())).len(), 20, "{ip}");
        }
        // Those that pause make room for other strangers; local ones need not.
        let local = enter_all(&places, (0..20).map(|_| "127.0.0.1".to_owned()));
        assert!(local.into_iter().all(|mut place| !place.give_up()));
        strangers.retain_mut(|place| !place.give_up());
        assert_eq!(strangers.len(), 270);
    }

    #[test]
    fn who_pauses_makes_room_when_there_is_little() {
        let places = Places::new(100);
        let mut proxied: Vec<Place> = (0..90).filter_map(|_| places.enter(None)).collect();
        assert!(!proxied[0].give_up());
        let more = enter_all(&places, ["198.51.100.1".to_owned()]);
        assert!(proxied[0].give_up() && !proxied[1].give_up());
        drop(more);
        places.set_short(true);
        assert!(proxied[1].give_up());
    }
}
