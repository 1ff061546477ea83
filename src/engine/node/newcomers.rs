//! Those who ask us, and those whom others name: each is pinged, and enters the table when it has answered, not before.
//!
//! Anyone can make us ping a third party, by a forged query or by naming it. Hence the bounds: one ping at a time, ten a
//! second at the most in a public network, an address not again for a quarter of an hour, and nobody whom the table would not take. That others
//! named an address at a port of its translator that is closed to us does not count against whoever asks us from there.

use std::net::SocketAddr;
use std::time::Duration;

use super::Node;
use super::ask::Purpose;
use super::timer::{Timer, VERIFY_EVERY};
use crate::engine::contact::{Contact, is_admissible};
use crate::engine::guard::Endpoints;
use crate::engine::krpc::encode::Ask;
use crate::engine::limits::VERIFY_QUEUE;
use crate::engine::random::Random;
use crate::engine::time::Instant;
use crate::engine::transactions::HARD_TIMEOUT;

/// The same address (in a private network: endpoint) is not pinged again before.
const AGAIN_AFTER: Duration = Duration::from_mins(15);
const AGAIN_AFTER_PRIVATE: Duration = Duration::from_secs(10);

/// From whom we heard of a contact.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tidings {
    /// It asked us, or somebody in its name.
    Itself,
    /// Others named it.
    Others,
}

/// Who waits, each with what it is remembered as, and who had its turn. At most [`VERIFY_QUEUE`] wait.
#[derive(Clone, Debug)]
pub(super) struct Newcomers {
    private_network: bool,
    pub(super) queue: Vec<(Contact, SocketAddr)>,
    asked: Endpoints,
    /// When somebody had its turn last.
    last: Option<Instant>,
}

impl Newcomers {
    pub(super) fn new(private_network: bool, random: &mut Random) -> Self {
        let again_after = if private_network { AGAIN_AFTER_PRIVATE } else { AGAIN_AFTER };
        Self { private_network, queue: Vec::new(), asked: Endpoints::new(again_after, random), last: None }
    }

    /// When somebody may have the next turn; `None` for at once. In a private network nobody forges, and everybody should
    /// know everybody as soon as they meet.
    fn next_turn(&self) -> Option<Instant> {
        Some(self.last? + VERIFY_EVERY).filter(|_| !self.private_network)
    }

    /// What is pinged once, whatever port it is heard of at: the table of a public network takes one entry of an address.
    const fn asked_as(&self, addr: &SocketAddr, from: Tidings) -> SocketAddr {
        if self.private_network { *addr } else { SocketAddr::new(addr.ip(), from as u16) }
    }
}

impl Node {
    /// Queues a contact that we only heard of. It enters the table when it has answered us, not before.
    pub(super) fn verify_later(&mut self, now: Instant, contact: Contact, from: Tidings) {
        let asked_as = self.newcomers.asked_as(&contact.addr, from);
        let wanted = self.newcomers.queue.len() < VERIFY_QUEUE
            && is_admissible(&contact.addr, self.config.private_network)
            && self.minds_not(&contact)
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

    /// Verifies as long as there is somebody to verify.
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
