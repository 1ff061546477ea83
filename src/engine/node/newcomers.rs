//! Those who ask us, and those that others name: each is pinged, and enters the table when it has answered, not before.
//!
//! Anyone can make us ping a third party, by a forged query or by naming it. Hence the bounds: one ping at a time, ten a
//! second at the most in a public network, a site (an IPv4 address, a /64) not again for a quarter of an hour, no contact that
//! the table would not take, and a share of the queue for each network. That others named an address at a port of its
//! translator that is closed to us does not count against the node that asks us from there.

use std::net::SocketAddr;

use super::Node;
use super::purpose::Purpose;
use super::timer::Timer;
use crate::engine::budgets::RecentEndpoints;
use crate::engine::contact::Contact;
use crate::engine::krpc::encode::Ask;
use crate::engine::limits::{VERIFY_QUEUE, VERIFY_SHARE};
use crate::engine::owner::{Level, network};
use crate::engine::random::Random;
use crate::engine::rules::Rules;
use crate::engine::time::Instant;
use crate::engine::transactions::HARD_TIMEOUT;

/// From whom we heard of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeardFrom {
    /// It asked us, or a query was forged in its name.
    Itself,
    /// Others named it.
    Others,
}

/// What is pinged once, under whatever ports and names it is heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// In a private network: the endpoint.
    Endpoint(SocketAddr),
    /// The table of a public network takes one entry of a site: an IPv4 address or a /64.
    Site(u64, HeardFrom),
}

/// A contact that waits to be verified.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    contact: Contact,
    subject: Subject,
    from: HeardFrom,
}

/// Contacts that wait, at most [`VERIFY_QUEUE`], and which were verified lately.
#[derive(Clone, Debug)]
pub(super) struct Newcomers {
    rules: &'static Rules,
    queue: Vec<Waiting>,
    asked: RecentEndpoints,
    /// When the last one was pinged.
    last: Option<Instant>,
    /// Those that asked us, were pinged in return, and have not answered yet.
    greeters: Vec<(SocketAddr, Instant)>,
    /// Those of them that entered the table.
    greeters_added: usize,
}

impl Newcomers {
    pub(super) fn new(rules: &'static Rules, random: &mut Random) -> Self {
        Self {
            rules,
            queue: Vec::new(),
            asked: RecentEndpoints::new(rules.verify_again_after, random),
            last: None,
            greeters: Vec::new(),
            greeters_added: 0,
        }
    }

    /// Contacts that wait.
    #[cfg(test)]
    pub(super) const fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// A contact has entered the table.
    pub(super) fn note_added(&mut self, addr: &SocketAddr) {
        if let Some(index) = self.greeters.iter().position(|(greeter, _)| greeter == addr) {
            self.greeters.swap_remove(index);
            self.greeters_added += 1;
        }
    }

    /// When the next one may be pinged; `None` for at once. In a private network no query is forged, and all should know each
    /// other as soon as they meet.
    fn next_turn(&self) -> Option<Instant> {
        Some(self.last? + self.rules.verify_every)
    }

    fn subject(&self, addr: &SocketAddr, from: HeardFrom) -> Subject {
        if self.rules.diverse { Subject::Site(network(addr.ip(), Level::Site), from) } else { Subject::Endpoint(*addr) }
    }

    fn has_asked(&self, now: Instant, subject: Subject) -> bool {
        match subject {
            Subject::Endpoint(addr) => self.asked.contains(now, &addr),
            Subject::Site(site, from) => self.asked.contains_key(now, &site_key(site, from)),
        }
    }

    fn note_subject(&mut self, now: Instant, subject: Subject) {
        match subject {
            Subject::Endpoint(addr) => self.asked.insert(now, &addr),
            Subject::Site(site, from) => self.asked.insert_key(now, &site_key(site, from)),
        }
    }

    fn note_asked(&mut self, now: Instant, waiting: &Waiting) {
        self.note_subject(now, waiting.subject);
        if waiting.from == HeardFrom::Itself {
            self.greeters.retain(|(_, asked)| now.since(*asked) <= HARD_TIMEOUT);
            self.greeters.push((waiting.contact.addr, now));
        }
    }

    /// Whether as many wait of the network of `contact` as may.
    fn has_share_of(&self, contact: &Contact) -> bool {
        let waiting = self.queue.iter().map(|waiting| waiting.contact.addr.ip());
        self.rules.diverse && VERIFY_SHARE.exhausted(contact.addr.ip(), waiting).is_some()
    }
}

/// What a site is remembered as.
fn site_key(site: u64, from: HeardFrom) -> [u8; 9] {
    let mut key = [from as u8; 9];
    key[..8].copy_from_slice(&site.to_be_bytes());
    key
}

impl Node {
    /// Queues a contact that we only heard of. It enters the table when it has answered us, not before.
    pub(super) fn verify_later(&mut self, now: Instant, contact: Contact, from: HeardFrom) {
        // In a flood the cheapest reason is looked at first.
        if self.newcomers.queue.len() >= VERIFY_QUEUE {
            self.stats.newcomers_dropped += 1;
            return;
        }
        let subject = self.newcomers.subject(&contact.addr, from);
        let wanted = self.rules.admits(&contact.addr)
            && self.takes_part_with(&contact)
            && !self.joining.is_router(&contact.addr)
            && self.table.has_room_for(&contact)
            && !self.newcomers.has_asked(now, subject)
            && !self.id_changers.contains(now, &contact.addr)
            && !self.newcomers.queue.iter().any(|waiting| waiting.subject == subject);
        if !wanted {
            return;
        }
        if self.newcomers.has_share_of(&contact) || (from == HeardFrom::Itself && !self.takes_greeters(now)) {
            self.stats.newcomers_dropped += 1;
            return;
        }
        self.newcomers.queue.push(Waiting { contact, subject, from });
        self.keep_verifying(now);
    }

    /// Whether another of those who asked us may enter the table: while it is new, a third of it at the most. An attacker who
    /// sees us arrive could otherwise fill it before we have found anyone ourselves. A node that finds none takes what comes.
    fn takes_greeters(&self, now: Instant) -> bool {
        if !self.rules.diverse || self.is_settled(now) {
            return true;
        }
        let newcomers = &self.newcomers;
        let queued = newcomers.queue.iter().filter(|waiting| waiting.from == HeardFrom::Itself).count();
        let greeters = newcomers.greeters_added + newcomers.greeters.len() + queued;
        let found = self.table.len().saturating_sub(newcomers.greeters_added);
        if found == 0 { !self.joining.is_running() } else { (greeters + 1) * 2 <= found }
    }

    /// Verifies as long as there are contacts that wait.
    fn keep_verifying(&mut self, now: Instant) {
        if !self.newcomers.queue.is_empty() && !self.timers.is_set(Timer::Verify) {
            self.timers.set(Timer::Verify, self.newcomers.next_turn().map_or(now, |at| at.max(now)));
        }
    }

    pub(super) fn verify_one(&mut self, now: Instant) {
        if self.newcomers.queue.is_empty() {
            return;
        }
        let waiting = self.newcomers.queue.remove(0);
        let contact = waiting.contact;
        self.newcomers.last = Some(now);
        if self.table.has_room_for(&contact) && self.may_contact(now, &contact.addr) {
            self.newcomers.note_asked(now, &waiting);
            match waiting.from {
                HeardFrom::Others => self.check(now, contact),
                // What those who come to us say of others is not asked for.
                HeardFrom::Itself => {
                    self.query(now, contact.addr, Some(contact.id), HARD_TIMEOUT, Purpose::Check, &Ask::Ping);
                }
            }
        }
        self.keep_verifying(now);
    }

    /// Whether `addr`, of which only others tell, may be pinged; if so, not again soon.
    pub(super) fn may_verify(&mut self, now: Instant, addr: &SocketAddr) -> bool {
        let subject = self.newcomers.subject(addr, HeardFrom::Others);
        let may = self.rules.admits(addr) && !self.newcomers.has_asked(now, subject) && self.may_contact(now, addr);
        if may {
            self.newcomers.note_subject(now, subject);
        }
        may
    }

    fn may_contact(&mut self, now: Instant, addr: &SocketAddr) -> bool {
        self.pace.as_mut().is_none_or(|pace| pace.admits_maintenance(now, addr))
    }
}
