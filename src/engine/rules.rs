//! What holds in the mainline DHT and not in a private network: one value, two constants.
//!
//! In the mainline anyone may take part, so that each network of addresses gets a bounded share of everything, local
//! addresses mean nothing, and claims take many networks to be believed. A private network ([`Rules::PRIVATE`]) is made of
//! machines that trust each other: all of them may share one address, they come back with other ids, and they want to know
//! each other at once.

use std::net::SocketAddr;
use std::time::Duration;

use super::contact::{is_local, is_sendable};
use super::limits::{PEERS_PER_SWARM, PORTS_PER_ADDRESS, SWARM_SHARE};
use super::owner::Allowance;

/// Every number and every choice that differs between the two kinds of network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether local addresses (loopback, private, link-local, shared) are kept and named to others.
    pub admits_local: bool,
    /// Whether an owner of addresses may hold only a share: of the table, the cache, the answers of a lookup, the stores.
    pub diverse: bool,
    /// Whether those who ask us, and new destinations, have budgets.
    pub limited: bool,
    /// Whether ids can be expected to fit addresses (BEP 42, which exempts local ones).
    pub ids_fit: bool,
    /// Whether keys are guarded: copies beside the closest nodes, an alarm where nodes crowd, a search all around.
    pub guards_keys: bool,
    /// Whether contacts that are checked are asked for others rather than pinged. In a private network all know each other soon.
    pub asks_for_contacts: bool,
    /// Whether the routers that a node joins through stay out of its table: public ones serve the start of all nodes and
    /// should serve nothing else.
    pub keeps_routers_out: bool,
    /// Votes on our address before any address is believed.
    pub address_quorum: usize,
    /// Votes after which the first address is believed at once. With fewer, [`settling_time`](Self::settling_time) passes first:
    /// those who answer first are not those who are most.
    pub settling_votes: usize,
    /// Time from the first vote to the first address that a few believe.
    pub settling_time: Duration,
    /// Time that a contact must have been in the table to confirm our address once one is settled.
    pub voter_age: Duration,
    /// Peers of one address in one swarm.
    pub peers_per_address: usize,
    /// Peers of one network in one swarm.
    pub swarm_share: Allowance,
    /// Time for which an endpoint that changed its id is not believed (mldht: 40 minutes to 12 hours). In a private network
    /// it is a node that lost its folder, perhaps the only other one.
    pub id_changer_ban: Duration,
    /// Shortest time between two pings that verify the same address (in a private network: the same endpoint).
    pub verify_again_after: Duration,
    /// Shortest time between two pings that verify contacts.
    pub verify_every: Duration,
    /// Pause after a query for a bucket in which no contact is known, right after joining.
    pub refresh_gaps_every: Duration,
}

impl Rules {
    /// The public network.
    pub const MAINLINE: Self = Self {
        admits_local: false,
        diverse: true,
        limited: true,
        ids_fit: true,
        guards_keys: true,
        asks_for_contacts: true,
        keeps_routers_out: true,
        address_quorum: 10,
        settling_votes: 24,
        settling_time: Duration::from_secs(10),
        voter_age: Duration::from_mins(1),
        peers_per_address: PORTS_PER_ADDRESS,
        swarm_share: SWARM_SHARE,
        id_changer_ban: Duration::from_mins(40),
        verify_again_after: Duration::from_mins(15),
        verify_every: Duration::from_millis(100),
        refresh_gaps_every: Duration::from_millis(100),
    };

    /// A network of its own: a site, a laboratory, one machine.
    pub const PRIVATE: Self = Self {
        admits_local: true,
        diverse: false,
        limited: false,
        ids_fit: false,
        guards_keys: false,
        asks_for_contacts: false,
        keeps_routers_out: false,
        address_quorum: 3,
        settling_votes: 3,
        settling_time: Duration::ZERO,
        voter_age: Duration::ZERO,
        peers_per_address: PEERS_PER_SWARM,
        swarm_share: Allowance::UNBOUNDED,
        id_changer_ban: Duration::from_secs(10),
        verify_again_after: Duration::from_secs(10),
        verify_every: Duration::ZERO,
        refresh_gaps_every: Duration::ZERO,
    };

    /// The rules of a private network, or of the mainline.
    #[must_use]
    pub const fn of(private_network: bool) -> &'static Self {
        if private_network { &Self::PRIVATE } else { &Self::MAINLINE }
    }

    /// Whether a contact or peer at `addr` may be kept: sendable, and global unless local addresses are ordinary here.
    #[must_use]
    pub fn admits(&self, addr: &SocketAddr) -> bool {
        is_sendable(addr) && (self.admits_local || !is_local(addr.ip()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_sorted_into_three_kinds() {
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        for global in ["8.8.8.8:1", "198.18.1.1:6881", "[2001:db8::1]:6881", "100.128.0.1:1"] {
            assert!(Rules::MAINLINE.admits(&addr(global)), "{global}");
        }
        for local in
            ["127.1.2.3:1", "10.0.0.1:1", "192.168.1.1:1", "172.31.0.1:1", "100.64.0.1:1", "[fe80::1]:1", "[::1]:1"]
        {
            assert!(!Rules::MAINLINE.admits(&addr(local)), "{local}");
            assert!(Rules::PRIVATE.admits(&addr(local)), "{local}");
        }
        for unusable in ["0.1.2.3:1", "8.8.8.8:0", "224.0.0.1:1", "255.255.255.255:1", "[::]:1", "[ff02::1]:1"] {
            assert!(!Rules::PRIVATE.admits(&addr(unusable)), "{unusable}");
        }
        for ipv4 in ["[::ffff:127.0.0.1]:1", "[::ffff:192.168.1.1]:1", "[::ffff:8.8.8.8]:1", "[::8.8.8.8]:1", "[::2]:1"]
        {
            assert!(!Rules::PRIVATE.admits(&addr(ipv4)), "{ipv4}");
        }
    }
}
