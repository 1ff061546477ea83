//! Staying alive: joining, checking the contacts in the table, refreshing buckets, our own id.
//!
//! Maintenance is a trickle of single queries, never a burst: the user's router must not notice it. (Only in a private
//! network, of which no router knows, gaps in a new table are asked for at once, eight at the most.)

use std::net::SocketAddr;
use std::time::Duration;

use super::event::Event;
use super::purpose::Purpose;
use super::timer::{
    BOOTSTRAP_RETRY, BOOTSTRAP_RETRY_LONGEST, BOOTSTRAP_WATCH, CHECK_EVERY, CHECK_IDLE_EVERY, CHECK_LARGE_EVERY,
    LINK_DOWN_AFTER, NEIGHBOURHOOD_EVERY, NEIGHBOURHOOD_FIRST, REFRESH_EVERY, REFRESH_SETTLED_EVERY, SETTLED_AFTER,
    SWEEP_EVERY, SWEEP_ITEMS_EVERY, SWEEP_SLICES, Timer,
};
use super::{Node, StoredItem, StoredPeer};
use crate::engine::contact::{Contact, Family, is_local, is_sendable};
use crate::engine::id::{Id, NodeId, Target};
use crate::engine::krpc::encode::Ask;
use crate::engine::limits::{ROUTERS, SAVED_CONTACTS};
use crate::engine::rules::Rules;
use crate::engine::time::Instant;
use crate::engine::tokens::ROTATION;
use crate::engine::transactions::HARD_TIMEOUT;

/// Shortest time between two changes of the own id.
const ID_CHANGE_EVERY: Duration = Duration::from_mins(10);
/// Time without a sign of life after which a contact is pinged, so that it does not become questionable at 15 minutes.
const CHECK_AFTER: Duration = Duration::from_mins(12);
/// Shortest time between two checks of the same contact.
const RECHECK_AFTER: Duration = Duration::from_mins(1);
/// Buckets that are refreshed beyond the one in which a network of the estimated size has about one node left.
const DEEPER_BY: usize = 3;
/// Buckets in which gaps are asked for ahead of their turn: all deeper ones together hold half a percent of the key space.
const GAPS: usize = 8;
/// Attempts to join in vain after which the node says that it is disconnected. A small network is silent for minutes, but
/// then the first attempt finds its nodes there.
const DISCONNECTED_AFTER: u32 = 3;

/// What a node needs to get into the network, and back.
#[derive(Clone, Debug)]
pub(super) struct Joining {
    rules: &'static Rules,
    saved: Vec<Contact>,
    routers: Vec<SocketAddr>,
    attempts: u32,
    /// Lookups of our own id that are not over.
    running: usize,
    ready: bool,
    /// [`Event::Disconnected`] was the last word.
    disconnected: bool,
    /// When the first contact answered.
    joined: Option<Instant>,
    /// Where the refresh goes on.
    next_bucket: usize,
    /// Where the search for gaps goes on; nowhere before the node has joined.
    next_gap: usize,
    /// Gaps that were asked for ahead of their turn.
    gaps_asked: u32,
    id_changed: Option<Instant>,
}

impl Joining {
    pub(super) fn new(saved: Vec<Contact>, rules: &'static Rules) -> Self {
        Self {
            rules,
            saved,
            routers: Vec::new(),
            attempts: 0,
            running: 0,
            ready: false,
            disconnected: false,
            joined: None,
            next_bucket: 0,
            next_gap: usize::MAX,
            gaps_asked: 0,
            id_changed: None,
        }
    }

    /// Whether a lookup of our own id is not over.
    pub(super) const fn is_running(&self) -> bool {
        self.running > 0
    }

    /// Attempts come as often as at the start.
    pub(super) fn begin_anew(&mut self) {
        self.attempts = self.attempts.min(1);
    }

    pub(super) fn saved(&self) -> &[Contact] {
        &self.saved
    }

    /// A contact is silent while others are heard: if it was saved, it is gone.
    pub(super) fn forget_saved(&mut self, gone: &Contact) {
        self.saved.retain(|saved| saved != gone);
    }

    /// Public routers never enter the table: they serve everyone's start and should serve nothing else. In a private
    /// network the nodes to join through are nodes like any other, perhaps the only ones.
    pub(super) fn is_router(&self, addr: &SocketAddr) -> bool {
        self.rules.keeps_routers_out && self.routers.contains(addr)
    }
}

impl Node {
    /// Joins through `routers`, which take the place of those given before unless there are none. Call it when
    /// [`Event::RoutersWanted`] says so; a node that has joined only remembers them, so that they stay out of its table.
    pub fn add_routers(&mut self, now: Instant, routers: &[SocketAddr]) {
        let usable = |router: &&SocketAddr| Family::of(router) == self.config.family && is_sendable(router);
        let routers: Vec<SocketAddr> = routers.iter().filter(usable).take(ROUTERS).copied().collect();
        if routers.is_empty() {
            return;
        }
        self.joining.routers.clone_from(&routers);
        if !self.has_joined(now) {
            self.joining.running += 1;
            self.begin_join(now, &[], &routers);
        }
    }

    /// Joins through nodes that the user has named: contacts like any other, perhaps the only ones there are.
    pub fn add_named(&mut self, now: Instant, named: &[SocketAddr]) {
        let usable = |addr: &&SocketAddr| Family::of(addr) == self.config.family && is_sendable(addr);
        let named: Vec<SocketAddr> = named.iter().filter(usable).take(ROUTERS).copied().collect();
        if named.is_empty() {
            return;
        }
        if !self.has_joined(now) {
            self.joining.running += 1;
            return self.begin_join(now, &[], &named);
        }
        for addr in named {
            if self.may_verify(now, &addr) {
                self.query(now, addr, None, HARD_TIMEOUT, Purpose::Check, &Ask::Ping);
            }
        }
    }

    /// Sets the timers; the newer secret of the tokens has given out tokens for `secrets_age` already.
    pub(super) fn start(&mut self, now: Instant, secrets_age: Duration) {
        self.timers.set(Timer::RotateTokens, now + ROTATION.saturating_sub(secrets_age));
        self.timers.set(Timer::Check, now + CHECK_EVERY);
        self.timers.set(Timer::Refresh, now + REFRESH_EVERY);
        self.timers.set(Timer::Bootstrap, now);
    }

    pub(super) fn restore_peers(&mut self, now: Instant, saved: &[StoredPeer]) {
        for stored in saved {
            // The folder may have served a private network before.
            let admissible = self.rules.admits(&stored.peer);
            if admissible && Family::of(&stored.peer) == self.config.family {
                self.peers.announce(now, &self.id(), stored);
            }
        }
        self.keep_sweeping(now);
    }

    pub(super) fn restore_items(&mut self, now: Instant, saved: Vec<StoredItem>) {
        let own = self.id();
        saved.into_iter().for_each(|stored| self.items.restore(now, &own, stored));
        self.keep_sweeping_items(now);
    }

    pub(super) fn fire(&mut self, now: Instant, timer: Timer) {
        match timer {
            Timer::Verify => self.verify_one(now),
            Timer::Check => self.check_one(now),
            Timer::Refresh => self.refresh_one(now),
            Timer::Neighbourhood => self.look_at_neighbourhood(now),
            Timer::Bootstrap => self.watch_bootstrap(now),
            Timer::RotateTokens => {
                self.tokens.rotate(&mut self.random);
                self.timers.set(Timer::RotateTokens, now + ROTATION);
            }
            Timer::SweepPeers => {
                let slice = self.peers.swarms() / SWEEP_SLICES + 1;
                self.stats.expired_peers += self.peers.sweep(now, slice) as u64;
                self.keep_sweeping(now);
            }
            Timer::Measure => self.measure_one(now),
            Timer::SweepItems => {
                self.stats.expired_items += self.items.sweep(now) as u64;
                self.keep_sweeping_items(now);
            }
        }
    }

    /// Sweeps as long as there are items.
    pub(super) fn keep_sweeping_items(&mut self, now: Instant) {
        if !self.items.is_empty() && !self.timers.is_set(Timer::SweepItems) {
            self.timers.set(Timer::SweepItems, now + SWEEP_ITEMS_EVERY);
        }
    }

    /// Sweeps as long as there is something to sweep.
    pub(super) fn keep_sweeping(&mut self, now: Instant) {
        if self.peers.swarms() > 0 && !self.timers.is_set(Timer::SweepPeers) {
            self.timers.set(Timer::SweepPeers, now + SWEEP_EVERY);
        }
    }

    // Joining: saved nodes first, then routers, for ever.

    fn has_joined(&self, now: Instant) -> bool {
        now.since(self.heard) < LINK_DOWN_AFTER * 2 && self.table.good(now).next().is_some()
    }

    fn watch_bootstrap(&mut self, now: Instant) {
        if self.has_joined(now) {
            self.joining.attempts = 0;
            self.note_joined(now);
            self.say_reconnected();
            // Another node may have found us between two attempts of ours.
            self.say_ready();
            self.timers.set(Timer::Bootstrap, now + BOOTSTRAP_WATCH);
        } else {
            self.join(now);
        }
    }

    /// One attempt. The first goes to contacts we know, if there are any; the next ones to routers too.
    fn join(&mut self, now: Instant) {
        self.joining.attempts += 1;
        if self.joining.attempts > DISCONNECTED_AFTER {
            self.say_disconnected();
        }
        let contacts: Vec<Contact> =
            self.joining.saved.iter().copied().chain(self.table.entries().map(|entry| entry.contact)).collect();
        if self.config.has_routers && (self.joining.attempts > 1 || contacts.is_empty()) {
            self.events.push_back(Event::RoutersWanted);
        }
        let doubled = BOOTSTRAP_RETRY.saturating_mul(1 << self.joining.attempts.min(10));
        let backoff = doubled.min(BOOTSTRAP_RETRY_LONGEST);
        let jitter = backoff.mul_f64(self.random.wire_below(256) as f64 / 1024.0);
        self.timers.set(Timer::Bootstrap, now + backoff + jitter);
        if contacts.is_empty() {
            self.say_ready_if_alone();
        } else {
            self.joining.running += 1;
            self.begin_join(now, &contacts, &[]);
        }
    }

    pub(super) fn join_ended(&mut self, now: Instant) {
        self.joining.running = self.joining.running.saturating_sub(1);
        if !self.table.is_empty() {
            self.note_joined(now);
            self.say_ready();
        } else if self.joining.attempts == 1 && self.joining.running == 0 && self.config.has_routers {
            // The saved nodes are gone: on to the routers at once.
            self.join(now);
        } else {
            self.say_ready_if_alone();
        }
    }

    /// Whether there was time to fill the table.
    pub(super) fn is_settled(&self, now: Instant) -> bool {
        self.joining.joined.is_some_and(|joined| now.since(joined) >= SETTLED_AFTER)
    }

    fn note_joined(&mut self, now: Instant) {
        if self.joining.joined.is_none() {
            self.joining.joined = Some(now);
            self.timers.set(Timer::Neighbourhood, now + NEIGHBOURHOOD_FIRST);
            self.look_for_gaps(now);
        }
    }

    /// With no node to join through, it is the first of its network and as ready as it will be.
    fn say_ready_if_alone(&mut self) {
        if !self.config.has_routers {
            self.say_ready();
        }
    }

    fn say_ready(&mut self) {
        if !self.joining.ready {
            self.joining.ready = true;
            self.events.push_back(Event::Ready { contacts: self.table.len() });
        }
    }

    fn say_disconnected(&mut self) {
        if self.joining.joined.is_some() && !self.joining.disconnected {
            self.joining.disconnected = true;
            self.events.push_back(Event::Disconnected);
        }
    }

    fn say_reconnected(&mut self) {
        if std::mem::take(&mut self.joining.disconnected) {
            self.events.push_back(Event::Reconnected);
        }
    }

    // The table.

    fn check_one(&mut self, now: Instant) {
        let turn = CHECK_AFTER / self.table.len().max(1) as u32;
        let (least, most) = (now + turn.clamp(CHECK_LARGE_EVERY, CHECK_EVERY), now + CHECK_IDLE_EVERY);
        let stale = self.table.take_stalest(now, CHECK_AFTER, RECHECK_AFTER);
        let next = self.table.next_stale(most, CHECK_AFTER, RECHECK_AFTER).unwrap_or(most);
        self.timers.set(Timer::Check, next.clamp(least, most));
        if let Some(contact) = stale {
            self.check(now, contact);
        }
    }

    /// Another address answers with the id of this contact: asks at once whether it is still where it was.
    pub(super) fn check_contested(&mut self, now: Instant, contact: Contact) {
        let recheck = if self.rules.limited { RECHECK_AFTER } else { Duration::ZERO };
        if self.table.take_check(now, &contact, recheck) {
            self.check(now, contact);
        }
    }

    /// Asks whether a contact lives. Any answer says so: one that names others gives lookups a head start besides.
    pub(super) fn check(&mut self, now: Instant, contact: Contact) {
        let target = self.rules.asks_for_contacts.then(|| self.random.wire_id());
        let ask = target.map_or(Ask::Ping, |target| Ask::FindNode(Target(target)));
        self.query(now, contact.addr, Some(contact.id), HARD_TIMEOUT, Purpose::Check, &ask);
    }

    /// One query for one bucket with room, the empty ones first: to one of the contacts closest to a random id in it.
    fn refresh_one(&mut self, now: Instant) {
        let gap = self.take_gap();
        let pause = self.pause_after_refresh(now, gap.is_some());
        self.timers.set(Timer::Refresh, now + pause);
        let Some(bucket) = gap.or_else(|| self.take_bucket_with_room()) else { return };
        let own = *self.id();
        let target = own.sharing_prefix(bucket, self.random.wire_id());
        let nearby: Vec<Contact> = self.table.closest(&target).into_iter().copied().collect();
        let Some(contact) = nearby.get(self.random.wire_below(nearby.len())) else { return };
        self.query(now, contact.addr, Some(contact.id), HARD_TIMEOUT, Purpose::Refresh, &Ask::FindNode(Target(target)));
    }

    /// A node that asks for gaps ahead of their turn lets as many turns pass afterwards: it sends no more than otherwise.
    fn pause_after_refresh(&mut self, now: Instant, was_gap: bool) -> Duration {
        if was_gap {
            self.joining.gaps_asked += 1;
            return self.rules.refresh_gaps_every;
        }
        let every = if self.is_settled(now) { REFRESH_SETTLED_EVERY } else { REFRESH_EVERY };
        every * (1 + std::mem::take(&mut self.joining.gaps_asked))
    }

    fn look_for_gaps(&mut self, now: Instant) {
        self.joining.next_gap = 0;
        self.timers.set(Timer::Refresh, now);
    }

    /// The next empty bucket; each once, after joining and after a change of our id. A node that joins through one that
    /// knows all others is told of its neighbours only. While it and they know no other side of the key space, none of them
    /// finds what is stored there: in a network of which most are new, no other node would be asked.
    fn take_gap(&mut self) -> Option<usize> {
        let gap = (self.joining.next_gap..self.depth().min(GAPS)).find(|&bucket| self.table.is_empty_bucket(bucket));
        self.joining.next_gap = gap.map_or(usize::MAX, |gap| gap + 1);
        gap
    }

    fn take_bucket_with_room(&mut self) -> Option<usize> {
        let depth = self.depth();
        let next = (0..depth).map(|step| (self.joining.next_bucket + step) % depth);
        let bucket = { next }.find(|&bucket| self.table.has_room(bucket))?;
        self.joining.next_bucket = bucket + 1;
        Some(bucket)
    }

    /// How many buckets are refreshed.
    fn depth(&self) -> usize {
        self.table.depth().min(self.depth_worth_filling())
    }

    /// How many buckets can be filled. Anyone can make an id that opens all the deeper ones; each of them would have its
    /// turn, and those that matter would wait an hour for theirs.
    fn depth_worth_filling(&self) -> usize {
        let shared_with_one = |nodes: f64| nodes.max(1.0) as u64;
        self.size.nodes().map_or(usize::MAX, |nodes| shared_with_one(nodes).ilog2() as usize + 1 + DEEPER_BY)
    }

    fn look_at_neighbourhood(&mut self, now: Instant) {
        let jitter = Duration::from_secs(self.random.wire_below(120) as u64);
        self.timers.set(Timer::Neighbourhood, now + NEIGHBOURHOOD_EVERY + jitter);
        if self.joining.running > 0 {
            // It may look for an id that we no longer have.
            self.timers.set(Timer::Neighbourhood, now + NEIGHBOURHOOD_FIRST);
        } else if !self.table.is_empty() {
            self.joining.running += 1;
            self.begin_join(now, &[], &[]);
        }
    }

    /// The good contacts; without any (a run that had no network) all that are known: they must not be lost.
    pub(super) fn contacts_to_save(&self, now: Instant) -> Vec<Contact> {
        let good = self.good_contact_list(now);
        if !good.is_empty() {
            return good;
        }
        let known = self.table.entries().map(|entry| entry.contact);
        known.chain(self.joining.saved.iter().copied()).take(SAVED_CONTACTS).collect()
    }

    // The own id.

    /// BEP 42: an id that fits the address that others see.
    pub(super) fn note_external(&mut self, now: Instant, voter: &SocketAddr, ours: SocketAddr) {
        if Family::of(&ours) != self.config.family {
            return;
        }
        self.stats.votes_refused += u64::from(!self.vote.cast(now, voter, ours));
        // A private network asks of no id that it fits an address, and three neighbours are soon found.
        if self.rules.ids_fit
            && !is_local(ours.ip())
            && !self.id().matches_address(ours.ip())
            && self.may_take_another_id(now)
            && let Some(external) = self.vote.winner()
            && !self.id().matches_address(external.ip())
        {
            let id = NodeId(Id::for_address(external.ip(), &mut self.random));
            self.change_id(now, id);
            self.events.push_back(Event::IdChanged { id, external });
        }
    }

    pub(super) fn may_take_another_id(&self, now: Instant) -> bool {
        self.joining.id_changed.is_none_or(|at| now.since(at) >= ID_CHANGE_EVERY)
    }

    pub(super) fn is_joined(&self) -> bool {
        self.joining.joined.is_some()
    }

    pub(super) fn change_id(&mut self, now: Instant, id: NodeId) {
        self.joining.id_changed = Some(now);
        self.table.rebase(now, id);
        self.timers.set(Timer::Neighbourhood, now);
        // The contacts that were near are now all on one side.
        if self.joining.joined.is_some() {
            self.look_for_gaps(now);
        }
    }
}

#[cfg(test)]
mod tests;
