//! Contacts that ask us or that others name: each is pinged, and enters the table when it has answered, not before.
//!
//! Anyone can make us ping a third party, by a forged query or by naming it. Hence the bounds: one ping at a time, ten a
//! second at the most in a public network, an address not again for a quarter of an hour, and no contact that the table
//! would not take. That others named an address at a port of its translator that is closed to us does not count against a
//! node that asks us from there.

use std::net::SocketAddr;

use super::Node;
use super::purpose::Purpose;
use super::timer::Timer;
use crate::engine::contact::Contact;
use crate::engine::guard::Endpoints;
use crate::engine::krpc::encode::Ask;
use crate::engine::limits::VERIFY_QUEUE;
use crate::engine::random::Random;
use crate::engine::rules::Rules;
use crate::engine::time::Instant;
use crate::engine::transactions::HARD_TIMEOUT;

/// From whom we heard of a contact.
#[derive(Clone, Copy, Debug)]
pub(super) enum HeardFrom {
    /// It asked us, or a query was forged in its name.
    Itself,
    /// Others named it.
    Others,
}

/// The contacts that wait, each with what it is remembered as, and those that had their turn. At most [`VERIFY_QUEUE`] wait.
#[derive(Clone, Debug)]
pub(super) struct Newcomers {
    rules: &'static Rules,
    pub(super) queue: Vec<(Contact, SocketAddr)>,
    asked: Endpoints,
    /// When a contact had its turn last.
    last: Option<Instant>,
}

impl Newcomers {
    pub(super) fn new(rules: &'static Rules, random: &mut Random) -> Self {
        Self { rules, queue: Vec::new(), asked: Endpoints::new(rules.verify_again_after, random), last: None }
    }

    /// When the next turn may be; `None` for at once. In a private network no node forges, and all nodes should know each
    /// other as soon as they meet.
    fn next_turn(&self) -> Option<Instant> {
        Some(self.last? + self.rules.verify_every)
    }

    /// What is pinged once, whatever port it is heard of at: the table of a public network takes one entry of an address.
    const fn asked_as(&self, addr: &SocketAddr, from: HeardFrom) -> SocketAddr {
        if self.rules.diverse { SocketAddr::new(addr.ip(), from as u16) } else { *addr }
    }
}

impl Node {
    /// Queues a contact that we only heard of. It enters the table when it has answered us, not before.
    pub(super) fn verify_later(&mut self, now: Instant, contact: Contact, from: HeardFrom) {
        let asked_as = self.newcomers.asked_as(&contact.addr, from);
        let wanted = self.newcomers.queue.len() < VERIFY_QUEUE
            && self.rules.admits(&contact.addr)
            && self.takes_part_with(&contact)
            && !self.joining.is_router(&contact.addr)
            && self.table.has_room_for(&contact)
            && !self.newcomers.asked.contains(now, &asked_as)
            && !self.id_changers.contains(now, &contact.addr)
            && !self.newcomers.queue.iter().any(|(_, other)| *other == asked_as);
        if !wanted {
            return;
        }
        self.newcomers.queue.push((contact, asked_as));
        self.keep_verifying(now);
    }

    /// Verifies as long as a contact waits.
    fn keep_verifying(&mut self, now: Instant) {
        if !self.newcomers.queue.is_empty() && !self.timers.is_set(Timer::Verify) {
            self.timers.set(Timer::Verify, self.newcomers.next_turn().map_or(now, |at| at.max(now)));
        }
    }

    pub(super) fn verify_one(&mut self, now: Instant) {
        if self.newcomers.queue.is_empty() {
            return;
        }
        let (contact, asked_as) = self.newcomers.queue.remove(0);
        self.newcomers.last = Some(now);
        if self.table.has_room_for(&contact) && self.may_contact(now, &contact.addr) {
            self.newcomers.asked.insert(now, &asked_as);
            self.query(now, contact.addr, Some(contact.id), HARD_TIMEOUT, Purpose::Check, &Ask::Ping);
        }
        self.keep_verifying(now);
    }

    fn may_contact(&mut self, now: Instant, addr: &SocketAddr) -> bool {
        self.pace.as_mut().is_none_or(|pace| pace.admits_maintenance(now, addr))
    }
}
