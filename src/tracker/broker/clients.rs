//! What each client may cost us: held answers, lookups, and torrents in memory.
//!
//! A stranger is counted by the networks that one owner may hold: its address, its /24 and its /16; in IPv6 its /64, /48
//! and /32. What a network may cost grows with its size, but by much less. Near clients are counted by their address.
//!
//! A fixed table: a keyed hash picks the slot of a network, and networks that meet in a slot share what it allows. So
//! nothing grows with the number of addresses that an attacker has, and other clients are not locked out by them.

use std::net::IpAddr;

use super::{Client, Transport};
use crate::engine::budgets::Budget;
use crate::engine::keyed_hash::KeyedHash;
use crate::engine::owner::{Level, network};
use crate::engine::random::Random;
use crate::engine::time::Instant;
use crate::net::nearness::Nearness;

/// Answers held at a time, for all clients together.
pub(super) const MAX_HELD: usize = 4_096;
/// Answers held at a time for strangers: the other half is for near clients.
pub(super) const MAX_HELD_FOR_STRANGERS: usize = MAX_HELD / 2;
/// Slots of each table of strangers: three times 16,384 of 32 bytes, which a gateway without strangers never takes.
const SLOTS: usize = 16_384;
/// Slots of the table of near clients, of 32 bytes.
const NEAR_SLOTS: usize = 4_096;
/// What a lookup, or a held answer beyond [`ALWAYS_HELD_BY_HTTP`], takes of a budget: two units, and one is earned each
/// second.
const COST: u32 = 2;
/// Answers over HTTP that a near client may always have held. libtorrent has 50 HTTP announces under way for all its
/// trackers together: four of them leave the others within a tenth of their speed.
const ALWAYS_HELD_BY_HTTP: u32 = 4;
/// Further answers over HTTP that may be held for a near client at once; another one is earned every two seconds. As many
/// as a user adds at a time, not the thousands of a client that starts.
const HELD_AT_ONCE_BY_HTTP: u32 = 200;

/// The networks of a stranger, from its address outwards.
const NETWORKS: [Level; LEVELS] = [Level::Site, Level::Owner, Level::Provider];
const LEVELS: usize = 3;

/// What one network of strangers may cost.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    /// Lookups at once. Each costs about a hundred datagrams. As many are earned again within a minute.
    lookups: u32,
    /// Answers held at a time, as a multiple of what one address may have.
    held: u32,
    /// Torrents that are remembered because one of its clients announced them first.
    torrents: u32,
}

const ALLOWANCES: [Allowance; LEVELS] = [
    Allowance { lookups: 30, held: 1, torrents: 1_000 },
    Allowance { lookups: 120, held: 4, torrents: 2_000 },
    Allowance { lookups: 480, held: 16, torrents: 5_000 },
];

/// What is left of the share of a network, or of several that meet in this slot.
#[derive(Clone, Copy, Debug)]
struct Slot {
    lookups: Budget,
    held: u32,
    torrents: u32,
}

/// The same of near clients.
#[derive(Clone, Copy, Debug)]
struct NearSlot {
    /// Answers over HTTP beyond those that may always be held.
    answers: Budget,
    held: u32,
}

/// On whose account a torrent is remembered: the slots of a stranger's networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner([u16; LEVELS]);

/// What is left of each client's share.
#[derive(Debug)]
pub(super) struct Clients {
    /// The slots of each size of network. Empty until the first stranger comes.
    levels: [Vec<Slot>; LEVELS],
    /// The slots of near clients.
    near: Vec<NearSlot>,
    hash: KeyedHash,
    held: usize,
    held_for_strangers: usize,
}

impl Clients {
    pub(super) fn new(random: &mut Random) -> Self {
        let levels = [const { Vec::new() }; LEVELS];
        let near = vec![NearSlot { answers: Budget::new(1, HELD_AT_ONCE_BY_HTTP * COST), held: 0 }; NEAR_SLOTS];
        Self { levels, near, hash: KeyedHash::new(random), held: 0, held_for_strangers: 0 }
    }

    /// Answers that are held for all clients.
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// Whether the client may cause another lookup; counts it. A near client could as well run a node of its own, and
    /// starts with all its torrents at once.
    pub(super) fn may_look_up(&mut self, now: Instant, client: &Client) -> bool {
        if client.nearness != Nearness::Remote {
            return true;
        }
        let owner = self.owner(client.addr.ip());
        let allowed = self.slots(owner).all(|(slot, _)| slot.lookups.available(now) >= COST);
        if allowed {
            for (slot, _) in self.slots(owner) {
                slot.lookups.take(now, COST);
            }
        }
        allowed
    }

    /// Whether another answer to the client may be held; counts it.
    pub(super) fn hold(&mut self, now: Instant, client: &Client) -> bool {
        let allowed = self.held < MAX_HELD && self.has_share(now, client);
        if allowed {
            self.count_held(client, 1);
        }
        allowed
    }

    /// A held answer was given.
    pub(super) fn release(&mut self, client: &Client) {
        self.count_held(client, -1);
    }

    fn has_share(&mut self, now: Instant, client: &Client) -> bool {
        if client.nearness != Nearness::Remote {
            let free = MAX_HELD - self.held;
            let slot = self.near_slot(client.addr.ip());
            // No more for one than is left for all others: n clients that want all they can get have 1/(n + 1) each
            // (dynamic thresholds of shared buffers, Choudhury and Hahne 1998).
            let fair = (slot.held as usize) < free;
            let by_http = client.transport == Transport::Http;
            return fair && (!by_http || slot.held < ALWAYS_HELD_BY_HTTP || slot.answers.take(now, COST));
        }
        let most = match client.transport {
            Transport::Http => 4,
            Transport::Udp => 8,
        };
        let owner = self.owner(client.addr.ip());
        self.held_for_strangers < MAX_HELD_FOR_STRANGERS
            && self.slots(owner).all(|(slot, allowance)| slot.held < most * allowance.held)
    }

    fn count_held(&mut self, client: &Client, change: i32) {
        self.held = self.held.saturating_add_signed(change as isize);
        if client.nearness != Nearness::Remote {
            let slot = self.near_slot(client.addr.ip());
            slot.held = slot.held.saturating_add_signed(change);
            return;
        }
        self.held_for_strangers = self.held_for_strangers.saturating_add_signed(change as isize);
        let owner = self.owner(client.addr.ip());
        for (slot, _) in self.slots(owner) {
            slot.held = slot.held.saturating_add_signed(change);
        }
    }

    fn near_slot(&mut self, ip: IpAddr) -> &mut NearSlot {
        let hash = self.hash.of(&network(ip, Level::Site).to_be_bytes());
        &mut self.near[hash as usize % NEAR_SLOTS]
    }

    /// Whether another torrent may be remembered for the client, and on whose account; counts it. Near clients have none.
    pub(super) fn may_begin(&mut self, client: &Client) -> Result<Option<Owner>, TooMany> {
        if client.nearness != Nearness::Remote {
            return Ok(None);
        }
        let owner = self.owner(client.addr.ip());
        if !self.slots(owner).all(|(slot, allowance)| slot.torrents < allowance.torrents) {
            return Err(TooMany);
        }
        for (slot, _) in self.slots(owner) {
            slot.torrents += 1;
        }
        Ok(Some(owner))
    }

    /// A torrent is forgotten.
    pub(super) fn forget(&mut self, owner: Option<Owner>) {
        let Some(owner) = owner else { return };
        for (slot, _) in self.slots(owner) {
            slot.torrents = slot.torrents.saturating_sub(1);
        }
    }

    /// The slots of an owner, the smallest network first.
    fn slots(&mut self, owner: Owner) -> impl Iterator<Item = (&mut Slot, &'static Allowance)> {
        let levels = self.levels.iter_mut().zip(owner.0).zip(&ALLOWANCES);
        levels.map(|((slots, index), allowance)| (&mut slots[usize::from(index)], allowance))
    }

    /// The slots of the networks that `ip` belongs to.
    fn owner(&mut self, ip: IpAddr) -> Owner {
        for (slots, allowance) in self.levels.iter_mut().zip(&ALLOWANCES) {
            if slots.is_empty() {
                slots.resize(SLOTS, Slot::new(allowance));
            }
        }
        Owner(NETWORKS.map(|level| (self.hash.of(&network(ip, level).to_be_bytes()) as usize % SLOTS) as u16))
    }
}

/// A stranger whose networks have all the torrents that they may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl Slot {
    const fn new(allowance: &Allowance) -> Self {
        Self { lookups: Budget::new(allowance.lookups / 30, allowance.lookups * COST), held: 0, torrents: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients() -> Clients {
        Clients::new(&mut Random::new([1; 32]))
    }

    fn client(ip: &str, nearness: Nearness, transport: Transport) -> Client {
        let addr = format!("{}:1", if ip.contains(':') { format!("[{ip}]") } else { ip.into() }).parse().unwrap();
        Client { addr, here: "127.0.0.1".parse().unwrap(), nearness, transport }
    }

    fn stranger(ip: &str) -> Client {
        client(ip, Nearness::Remote, Transport::Udp)
    }

    /// How many of `count` lookups a stranger may cause that has an address of its own for each.
    fn caused(clients: &mut Clients, now: Instant, count: u32, ip: impl Fn(u32) -> String) -> usize {
        (0..count).filter(|&i| clients.may_look_up(now, &stranger(&ip(i)))).count()
    }

    #[test]
    fn a_stranger_cannot_cause_lookups_without_end() {
        let mut clients = clients();
        let one = |_| "203.0.113.9".into();
        assert_eq!(caused(&mut clients, Instant::ZERO, 1000, one), 30);
        assert_eq!(caused(&mut clients, Instant::from_secs(20), 1000, one), 10);
        assert_eq!(caused(&mut clients, Instant::from_secs(3600), 1000, one), 30);
        let near = client("192.168.1.7", Nearness::Lan, Transport::Http);
        assert!((0..10_000).all(|_| clients.may_look_up(Instant::ZERO, &near)));
    }

    #[test]
    fn who_holds_a_network_is_one_owner() {
        for (count, ip) in [
            (120, Box::new(|i: u32| format!("203.0.113.{}", i % 250)) as Box<dyn Fn(u32) -> String>),
            (480, Box::new(|i| format!("203.0.{}.{}", i % 200, i / 200))),
            (30, Box::new(|i| format!("2001:db8:1:1::{i:x}"))),
            (120, Box::new(|i| format!("2001:db8:1:{i:x}::1"))),
            (480, Box::new(|i| format!("2001:db8:{i:x}::1"))),
        ] {
            assert_eq!(caused(&mut clients(), Instant::ZERO, 10_000, ip), count);
        }
    }

    #[test]
    fn ten_thousand_networks_of_one_customer_lock_no_other_client_out() {
        let mut clients = clients();
        for i in 0..10_000 {
            let attacker = stranger(&format!("2001:db8:5:{i:x}::1"));
            clients.may_look_up(Instant::ZERO, &attacker);
            clients.hold(Instant::ZERO, &attacker);
        }
        assert_eq!(clients.held(), 32);
        let honest = stranger("198.51.100.7");
        assert!(clients.may_look_up(Instant::ZERO, &honest) && clients.hold(Instant::ZERO, &honest));
    }

    #[test]
    fn strangers_leave_half_of_the_held_answers_to_near_clients() {
        let mut clients = clients();
        let ip = |i: u32| std::net::Ipv4Addr::from(i.wrapping_mul(0x9e37_79b9)).to_string();
        let held = (0..20_000).filter(|&i| clients.hold(Instant::ZERO, &stranger(&ip(i)))).count();
        assert_eq!(held, MAX_HELD_FOR_STRANGERS);
        let near = client("127.0.0.1", Nearness::Host, Transport::Udp);
        let held = (0..20_000).filter(|_| clients.hold(Instant::ZERO, &near)).count();
        assert_eq!(held, MAX_HELD / 4, "no more than is left for others");
        let other = client("192.168.1.7", Nearness::Lan, Transport::Udp);
        assert_eq!((0..20_000).filter(|_| clients.hold(Instant::ZERO, &other)).count(), MAX_HELD / 8);
    }

    #[test]
    fn answers_over_http_are_held_for_what_a_user_adds_at_a_time() {
        let mut clients = clients();
        let near = client("127.0.0.1", Nearness::Host, Transport::Http);
        let held = |clients: &mut Clients, now| (0..1000).filter(|_| clients.hold(now, &near)).count();
        assert_eq!(held(&mut clients, Instant::ZERO), 204);
        (0..204).for_each(|_| clients.release(&near));
        assert_eq!(held(&mut clients, Instant::ZERO), 4);
        (0..4).for_each(|_| clients.release(&near));
        assert_eq!(held(&mut clients, Instant::from_secs(20)), 14);
    }

    #[test]
    fn a_stranger_begins_a_bounded_number_of_torrents() {
        let mut clients = clients();
        let one = stranger("203.0.113.9");
        let begun: Vec<_> = (0..20_000).map_while(|_| clients.may_begin(&one).ok()).collect();
        assert_eq!(begun.len(), 1000);
        let other = stranger("203.0.113.10");
        assert_eq!((0..20_000).filter(|_| clients.may_begin(&other).is_ok()).count(), 1000, "two to a /24");
        begun.into_iter().for_each(|owner| clients.forget(owner));
        assert!(clients.may_begin(&one).is_ok());
        let near = client("127.0.0.1", Nearness::Host, Transport::Udp);
        assert!((0..20_000).all(|_| clients.may_begin(&near) == Ok(None)));
    }
}
