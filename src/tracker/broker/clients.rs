//! What each client may cost us: held answers and lookups.
//!
//! Clients are told apart by the address that they proved to receive at; in IPv6 by its /64, since one host has them all.
//! The table is bounded; whoever finds no room in it is served from what is known and costs nothing.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::engine::time::Instant;
use crate::tracker::nearness::Nearness;

/// Clients that are remembered.
const MAX_CLIENTS: usize = 10_000;
/// Lookups that a stranger may cause at once, and the pause after which it may cause one more: each can cost a hundred
/// datagrams.
const LOOKUP_BURST: u32 = 30;
const LOOKUP_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Client {
    held: usize,
    lookups: u32,
    since: Instant,
}

/// What is left of each client's share.
#[derive(Debug, Default)]
pub(super) struct Clients {
    table: BTreeMap<IpAddr, Client>,
    swept: Instant,
}

impl Clients {
    /// Whether the client at `ip` may cause another lookup; counts it. Whoever is near could as well run a node of its
    /// own, and starts with all its torrents at once.
    pub(super) fn may_look_up(&mut self, now: Instant, ip: IpAddr, nearness: Nearness) -> bool {
        if nearness != Nearness::Remote {
            return true;
        }
        let Some(client) = self.client(now, ip) else { return false };
        let earned = now.since(client.since).as_secs() / LOOKUP_PAUSE.as_secs();
        if earned > 0 {
            client.since = now;
            client.lookups = client.lookups.saturating_sub(u32::try_from(earned).unwrap_or(u32::MAX));
        }
        let allowed = client.lookups < LOOKUP_BURST;
        client.lookups += u32::from(allowed);
        allowed
    }

    /// Whether another answer to `ip` may be held, when `limit` may be at a time; counts it.
    pub(super) fn hold(&mut self, now: Instant, ip: IpAddr, limit: usize) -> bool {
        let Some(client) = self.client(now, ip) else { return false };
        let allowed = client.held < limit;
        client.held += usize::from(allowed);
        allowed
    }

    /// A held answer was given.
    pub(super) fn release(&mut self, ip: IpAddr) {
        if let Some(client) = self.table.get_mut(&owner(ip)) {
            client.held = client.held.saturating_sub(1);
        }
    }

    fn client(&mut self, now: Instant, ip: IpAddr) -> Option<&mut Client> {
        let owner = owner(ip);
        if self.table.len() >= MAX_CLIENTS && !self.table.contains_key(&owner) {
            self.sweep(now);
            if self.table.len() >= MAX_CLIENTS {
                return None;
            }
        }
        Some(self.table.entry(owner).or_insert(Client { held: 0, lookups: 0, since: now }))
    }

    /// Forgets, at most once a second, those whose share is whole again.
    fn sweep(&mut self, now: Instant) {
        if now.since(self.swept) >= Duration::from_secs(1) {
            self.swept = now;
            self.table.retain(|_, client| client.held > 0 || now.since(client.since) < LOOKUP_PAUSE * LOOKUP_BURST);
        }
    }
}

/// The address, or its /64.
fn owner(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_cannot_cause_lookups_without_end() {
        let mut clients = Clients::default();
        let stranger = "203.0.113.9".parse().unwrap();
        let caused = |clients: &mut Clients, now| {
            (0..1000).filter(|_| clients.may_look_up(now, stranger, Nearness::Remote)).count()
        };
        assert_eq!(caused(&mut clients, Instant::ZERO), 30);
        assert_eq!(caused(&mut clients, Instant::from_secs(20)), 10);
        assert_eq!(caused(&mut clients, Instant::from_secs(3600)), 30);
        assert!((0..10_000).all(|_| clients.may_look_up(Instant::ZERO, stranger, Nearness::Lan)));
    }

    #[test]
    fn the_table_is_bounded_and_makes_room_again() {
        let mut clients = Clients::default();
        let stranger = |i: u32| IpAddr::from(std::net::Ipv4Addr::from(0x0800_0000 + i));
        let served = (0..20_000).filter(|&i| clients.may_look_up(Instant::ZERO, stranger(i), Nearness::Remote)).count();
        assert_eq!((served, clients.table.len()), (MAX_CLIENTS, MAX_CLIENTS));
        assert!(clients.may_look_up(Instant::from_secs(61), stranger(30_000), Nearness::Remote));
        // One host of IPv6 is one client, however many addresses it uses.
        let mut clients = Clients::default();
        let host = |i: u32| format!("2001:db8::{i:x}").parse().unwrap();
        assert_eq!((0..100).filter(|&i| clients.may_look_up(Instant::ZERO, host(i), Nearness::Remote)).count(), 30);
    }
}
