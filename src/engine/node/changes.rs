//! What changes under a running node: its host slept, its host has another address, another node has its id.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Node;
use super::event::Event;
use super::purpose::Purpose;
use super::timer::Timer;
use crate::engine::contact::is_local;
use crate::engine::id::{Id, NodeId};
use crate::engine::krpc::Response;
use crate::engine::krpc::encode::Ask;
use crate::engine::time::Instant;
use crate::engine::tokens::ROTATION;
use crate::engine::transactions::HARD_TIMEOUT;

/// Shortest time without any input after which the host must have slept. A node that is awake sets no timer that is so far
/// away.
const ASLEEP_AFTER: Duration = Duration::from_mins(3);
/// Longest step in which peers are made older after a sleep. Their ages are told apart up to 64 minutes only, and they live
/// for 45.
const AGE_STEP: Duration = Duration::from_mins(15);

impl Node {
    /// Each input begins with this: whoever comes after a sleep finds a node that knows how long it was.
    pub(super) fn note_time(&mut self, now: Instant) {
        let before = std::mem::replace(&mut self.latest, now);
        if now.since(before) >= ASLEEP_AFTER {
            self.wake(before, now);
        }
    }

    /// Peers, items and tokens that are too old go before anyone is told of them, then everything overdue is done.
    fn wake(&mut self, fell_asleep: Instant, now: Instant) {
        self.expire_transactions(now);
        let mut at = fell_asleep;
        while at < now && self.peers.swarms() > 0 {
            at = (at + AGE_STEP).min(now);
            self.stats.expired_peers += self.peers.sweep(at, usize::MAX) as u64;
        }
        self.stats.expired_items += self.items.sweep(now) as u64;
        self.rotate_overdue_tokens(now);
        self.look_around(now);
        self.events.push_back(Event::Woke { slept: now.since(fell_asleep) });
    }

    /// As many generations of tokens as should have begun by now, of which two make all older tokens worthless.
    fn rotate_overdue_tokens(&mut self, now: Instant) {
        let due = self.timers.at(Timer::RotateTokens);
        if due > now {
            return;
        }
        self.tokens.rotate(&mut self.random);
        if now.since(due) >= ROTATION {
            self.tokens.rotate(&mut self.random);
        }
        self.timers.set(Timer::RotateTokens, now + ROTATION);
    }

    /// The host has another address, or a way to the network again. What others said of the old address is void. If
    /// `external` is the address that others will see, the id fits it from now on (BEP 42).
    pub fn moved(&mut self, now: Instant, external: Option<IpAddr>) {
        self.note_time(now);
        self.vote.clear();
        if let Some(ip) = external
            && self.rules.ids_fit
            && !self.id().matches_address(ip)
        {
            let id = NodeId(Id::for_address(ip, &mut self.random));
            self.change_id(now, id);
            self.events.push_back(Event::IdChanged { id, external: SocketAddr::new(ip, 0) });
        }
        self.look_around(now);
    }

    /// Asks at once whether anyone answers, and tells our neighbours where we are.
    fn look_around(&mut self, now: Instant) {
        self.joining.begin_anew();
        self.timers.set_at_latest(Timer::Bootstrap, now);
        if self.is_joined() {
            self.timers.set_at_latest(Timer::Neighbourhood, now);
        }
    }

    /// Whether a query under our own id is one of ours, which came back to us: other nodes may know us by an address that
    /// we do not know of.
    pub(super) fn is_our_own(&self, transaction: &[u8]) -> bool {
        self.transactions.has(transaction)
    }

    /// Whether a response to a search for our own id names another node that has it.
    pub(super) fn look_for_namesake(&mut self, now: Instant, target: &Id, response: &Response<'_>) {
        let own = self.id();
        if *target == *own
            && let Some(namesake) = response.contacts(self.config.family).find(|contact| contact.id == own)
        {
            self.look_at_namesake(now, namesake.addr);
        }
    }

    /// `other`, under our own id, is named by another node. It may be ourselves.
    fn look_at_namesake(&mut self, now: Instant, other: SocketAddr) {
        let ourselves = self.vote.majority().is_some_and(|external| external.ip() == other.ip());
        if !ourselves && self.may_take_another_id(now) && self.may_verify(now, &other) {
            self.query(now, other, None, HARD_TIMEOUT, Purpose::Check, &Ask::Ping);
        }
    }

    /// A node at another address has answered under our own id, as one does that was started from a copy of our data
    /// folder. Neither of us is found while both have it. In a public network only one whose address the id fits may be
    /// believed: any other could make us change it (BEP 42).
    pub(super) fn note_namesake(&mut self, now: Instant, other: SocketAddr) {
        let believed = !self.rules.ids_fit || is_local(other.ip()) || self.id().matches_address(other.ip());
        if !believed || !self.may_take_another_id(now) {
            return;
        }
        let id = match self.vote.winner() {
            Some(external) if self.rules.ids_fit => Id::for_address(external.ip(), &mut self.random),
            _ => self.random.wire_id(),
        };
        let id = NodeId(id);
        self.change_id(now, id);
        self.events.push_back(Event::IdTaken { id, by: other });
    }
}
