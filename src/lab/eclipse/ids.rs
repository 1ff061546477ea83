//! The ids that an attacker can have, and where he puts them.
//!
//! An id that fits its address (BEP 42) is bought: an address gives eight prefixes of 21 bits, at random places. A [`Pool`] is
//! what a number of addresses gives; of it the attacker takes what lies best beside a key. Ids that fit nothing are free.

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddr};

use crate::engine::contact::{Contact, Family};
use crate::engine::id::{Id, NodeId};
use crate::engine::owner::{Level, network};
use crate::lab::throng::address;
use crate::sim::random::Dice;

/// Which addresses an attacker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Addresses {
    /// IPv4 addresses, each in a /16 of its own.
    V4,
    /// IPv6 addresses, each in a /32 of its own.
    V6,
    /// A /32 of IPv6: a provider.
    V6Provider,
    /// A /48 of IPv6: a customer.
    V6Owner,
    /// IPv4 addresses whose ids fit nothing.
    V4Unfitting,
}

impl Addresses {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
            Self::V6Provider => "v6_one_32",
            Self::V6Owner => "v6_one_48",
            Self::V4Unfitting => "v4_unfitting",
        }
    }

    pub(super) const fn family(self) -> Family {
        match self {
            Self::V4 | Self::V4Unfitting => Family::V4,
            _ => Family::V6,
        }
    }

    /// The networks of which he uses one address each.
    const fn spread(self) -> Level {
        match self {
            Self::V6Owner => Level::Site,
            Self::V6Provider => Level::Owner,
            _ => Level::Provider,
        }
    }

    fn random(self, dice: &mut Dice) -> SocketAddr {
        let one_32 = 0x2a0e_97c0_u128 << 96;
        let bits = dice.bits();
        let inside = |prefix: u128, free: u32| Ipv6Addr::from(prefix | u128::from(bits >> (64 - free)) << 64 | 1);
        match self {
            Self::V4 | Self::V4Unfitting => address(Family::V4, dice),
            Self::V6 => address(Family::V6, dice),
            Self::V6Provider => SocketAddr::new(inside(one_32, 32).into(), 6881),
            Self::V6Owner => SocketAddr::new(inside(one_32 | 0x1234 << 80, 16).into(), 6881),
        }
    }
}

/// The ids of a number of addresses, in order.
#[derive(Debug)]
pub(super) struct Pool {
    addresses: Addresses,
    addrs: Vec<SocketAddr>,
    /// The first 21 bits of an id, and the address and last three bits that it follows from.
    ids: Vec<(u32, u32)>,
}

/// Bits that BEP 42 fixes.
const FIXED_BITS: u32 = 21;

impl Pool {
    pub(super) fn bought(addresses: Addresses, count: usize, seed: u64) -> Self {
        let mut dice = Dice::keyed(seed, &[0xb0b, count as u64, addresses as u64]);
        let addrs: Vec<SocketAddr> = (0..count).map(|_| addresses.random(&mut dice)).collect();
        let mut ids: Vec<(u32, u32)> = Vec::with_capacity(8 * count);
        for (index, addr) in addrs.iter().enumerate() {
            for tail in 0..8 {
                let mut id = Id::ZERO;
                id.0[Id::LEN - 1] = tail;
                let prefix = (id.fitted_to(addr.ip()).head() >> (64 - FIXED_BITS)) as u32;
                ids.push((prefix, (index as u32) << 3 | u32::from(tail)));
            }
        }
        ids.sort_unstable();
        Self { addresses, addrs, ids }
    }

    /// The ids beside `key`, closest first, each of a network of its own: so many that the farthest lies beyond `reach`, a
    /// share of the key space.
    pub(super) fn beside(&self, key: &Id, reach: f64) -> Vec<Contact> {
        let mut found: Vec<Contact> = Vec::new();
        if self.addresses == Addresses::V4Unfitting {
            return self.free_beside(key);
        }
        let bits = (-libm::log2(reach.clamp(1e-6, 1.0))).floor() as u32;
        let kept = key.head() >> (64 - FIXED_BITS) as u64;
        let mask = (1_u32 << (FIXED_BITS - bits.min(FIXED_BITS))) - 1;
        let from = kept as u32 & !mask;
        let begin = self.ids.partition_point(|(prefix, _)| *prefix < from);
        let near = self.ids[begin..].iter().take_while(|(prefix, _)| *prefix <= from | mask);
        for &(prefix, source) in near {
            found.push(self.contact(key, prefix, source));
        }
        found.sort_by_key(|contact| contact.id.distance(key));
        let (mut networks, level) = (BTreeSet::new(), self.addresses.spread());
        found.retain(|contact| networks.insert(network(contact.addr.ip(), level)));
        found
    }

    fn contact(&self, key: &Id, prefix: u32, source: u32) -> Contact {
        let addr = self.addrs[(source >> 3) as usize];
        // What BEP 42 leaves free is chosen as the key has it, but for the last three bits.
        let mut id = *key;
        let head = u64::from(prefix) << (64 - FIXED_BITS) | key.head() & (u64::MAX >> FIXED_BITS);
        id.0[..8].copy_from_slice(&head.to_be_bytes());
        id.0[Id::LEN - 1] = id.0[Id::LEN - 1] & !7 | (source & 7) as u8;
        Contact { id: NodeId(id), addr }
    }

    /// Ids that fit nothing, as near as one likes.
    fn free_beside(&self, key: &Id) -> Vec<Contact> {
        let mut networks = BTreeSet::new();
        let apart = |addr: &&SocketAddr| networks.insert(network(addr.ip(), Level::Provider));
        let addrs = self.addrs.iter().filter(apart);
        addrs
            .take(4096)
            .enumerate()
            .map(|(index, addr)| Contact { id: NodeId(placed(key, (index + 1) as f64 * 1e-9)), addr: *addr })
            .collect()
    }
}

/// The id at this distance from `key`, a share of the key space.
fn placed(key: &Id, distance: f64) -> Id {
    let mut id = *key;
    let head = key.head() ^ (distance * 2f64.powi(64)) as u64;
    id.0[..8].copy_from_slice(&head.to_be_bytes());
    id
}

/// Where an attacker puts his nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Placement {
    /// As near to the key as he can.
    Nearest,
    /// As near as gives no alarm: he knows the honest nodes, the size of the network and the thresholds.
    Unseen,
    /// As near as gives no suspicion either.
    Unsuspected,
}

impl Placement {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::Unseen => "below_alarm",
            Self::Unsuspected => "below_suspicion",
        }
    }

    /// Ranks, and the distance in units of 1 / N below which as many nodes give alarm, or suspicion; with a margin for the
    /// victim's error about N.
    const fn limits(self) -> [(usize, f64); 4] {
        match self {
            Self::Nearest => [(8, 0.0), (12, 0.0), (16, 0.0), (20, 0.0)],
            Self::Unseen => [(8, 1.88), (12, 3.99), (16, 6.45), (20, 9.13)],
            Self::Unsuspected => [(8, 3.64), (12, 6.60), (16, 9.78), (20, 13.1)],
        }
    }

    /// The best `count` of what lies `beside` a key, where honest nodes are at these `distances`, in a network of `n`.
    pub(super) fn choose(self, beside: &[Contact], key: &Id, distances: &[f64], n: f64, count: usize) -> Vec<Contact> {
        let mut chosen: Vec<Contact> = Vec::new();
        for contact in beside {
            let distance = contact.id.distance(key).fraction() * n;
            let fits = |&(rank, limit): &(usize, f64)| {
                let honest = distances.iter().filter(|honest| **honest * n < limit).count();
                let own = chosen.iter().filter(|own| own.id.distance(key).fraction() * n < limit).count();
                distance >= limit || honest + own < rank - 1
            };
            if chosen.len() < count && self.limits().iter().all(fits) {
                chosen.push(*contact);
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bought_ids_fit_their_addresses_and_lie_in_networks_of_their_own() {
        let key = Dice::new(3).id();
        for (addresses, at_least) in
            [(Addresses::V4, 40), (Addresses::V6, 40), (Addresses::V6Provider, 40), (Addresses::V6Owner, 40)]
        {
            let pool = Pool::bought(addresses, 20_000, 1);
            let beside = pool.beside(&key, 1.0 / 1024.0);
            assert!(beside.len() >= at_least, "{} of {addresses:?}", beside.len());
            assert!(beside.iter().all(Contact::is_compliant));
            assert!(beside.is_sorted_by_key(|contact| contact.id.distance(&key)));
        }
    }

    #[test]
    fn one_who_hides_leaves_each_threshold_its_honest_nodes() {
        let key = Dice::new(4).id();
        let beside = Pool::bought(Addresses::V4, 200_000, 1).beside(&key, 0.02);
        let chosen = Placement::Unseen.choose(&beside, &key, &[0.5 / 5e3, 1.5 / 5e3], 5e3, 20);
        let within = |limit: f64| chosen.iter().filter(|own| own.id.distance(&key).fraction() * 5e3 < limit).count();
        assert_eq!((within(1.88), within(3.99), within(6.45), chosen.len()), (5, 9, 13, 20));
    }

    #[test]
    fn addresses_are_of_their_family() {
        let mut dice = Dice::new(5);
        for addresses in [Addresses::V4, Addresses::V6, Addresses::V6Provider, Addresses::V6Owner] {
            assert_eq!(Family::of(&addresses.random(&mut dice)), addresses.family());
        }
    }
}
