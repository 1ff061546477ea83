//! Operations: what a caller asked for, run by lookups and transactions.
//!
//! An announce is a lookup and then up to [`PLACES`](crate::engine::limits::PLACES) writes to the closest nodes that gave
//! a token. An operation that reached nobody is tried once more. Whatever happens, it ends with one [`Event::Done`].

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::Node;
use super::event::{Event, OpId, Summary};
use super::items::{Search, put_query};
use super::scrape::Count;
use super::timer::{CHECK_EVERY, Timer};
use crate::engine::contact::Contact;
use crate::engine::id::Id;
use crate::engine::krpc::encode::{self, Ask};
use crate::engine::limits::{K, OPERATIONS, PEERS_PER_LOOKUP};
use crate::engine::lookup::{Lookup, Origin, Step};
use crate::engine::time::Instant;
use crate::engine::transactions::{Expired, HARD_TIMEOUT, Transaction};

/// Soft timeout where nothing is known of a contact and we have not yet heard from many.
const UNKNOWN_SOFT_TIMEOUT: Duration = Duration::from_secs(1);

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A step of a lookup: of the first try or the second; by a method that every node knows, or not.
    Lookup { op: OpId, again: bool, basic: bool },
    /// A step of joining, to a router whose id is unknown.
    Router(OpId),
    /// An announce to one node: the first try or the second.
    Store { op: OpId, again: bool },
    /// A ping that the caller asked for.
    Ping(OpId),
    /// A question for a sample that the caller asked for.
    Sample(OpId),
    /// A look at whether a node that stored our announce names us.
    Verify(OpId),
    /// Maintenance: does it live?
    Check,
    /// Maintenance: does it know contacts for a bucket that has room?
    Refresh,
}

/// What an operation is after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// Contacts close to the target.
    Nodes,
    /// Our own neighbourhood: the same, and the node has joined when it ends well.
    Join,
    /// Peers of a swarm.
    Peers,
    /// A place for our client in a swarm.
    Announce { port: u16, seed: bool },
    /// The number of seeds and peers of a swarm.
    Scrape,
    /// An item.
    Get,
    /// An item, and that it stays where it is looked for.
    Renew,
    /// A place for an item.
    Put,
    /// One answer of one node.
    One,
}

/// What an operation carries besides.
#[derive(Clone, Debug, Default)]
pub(super) enum Cargo {
    #[default]
    Nothing,
    /// What a scrape has counted.
    Scrape(Box<Count>),
    /// The item that is looked for, or to be stored.
    Item(Box<Search>),
}

/// An operation that is not over.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) goal: Goal,
    pub(super) cargo: Cargo,
    pub(super) lookup: Lookup,
    started: Instant,
    /// When the lookup wants to be stepped without news.
    pub(super) wake: Option<Instant>,
    /// It waits for the pace of new destinations.
    pub(super) paced: bool,
    /// Queries outside the lookup (routers, writes, a ping) that are outstanding.
    pub(super) outstanding: usize,
    /// The lookup is over; nodes are being written to.
    writing: bool,
    retried: bool,
    /// Nodes that stored our announce or item and have not been asked about it.
    pub(super) holders: Vec<Contact>,
    pub(super) seen: BTreeSet<SocketAddr>,
    pub(super) summary: Summary,
}

impl Operation {
    fn new(goal: Goal, lookup: Lookup, started: Instant) -> Self {
        Self {
            goal,
            cargo: Cargo::Nothing,
            lookup,
            started,
            wake: None,
            paced: false,
            outstanding: 0,
            writing: false,
            retried: false,
            holders: Vec::new(),
            seen: BTreeSet::new(),
            summary: Summary::default(),
        }
    }

    fn ask(&self) -> Ask<'static> {
        let target = *self.lookup.target();
        match self.goal {
            Goal::Peers | Goal::Announce { .. } => Ask::GetPeers(target),
            Goal::Scrape => Ask::Scrape(target),
            Goal::Get | Goal::Renew | Goal::Put => Ask::Get(target),
            Goal::Nodes | Goal::Join | Goal::One => Ask::FindNode(target),
        }
    }

    /// The query that stores on `to` what is to be stored.
    fn store_on<'a>(&'a self, to: &Contact, token: &'a [u8]) -> Option<Ask<'a>> {
        match self.goal {
            Goal::Announce { port, seed } => {
                Some(Ask::AnnouncePeer { info_hash: *self.lookup.target(), port, seed, token })
            }
            Goal::Put | Goal::Renew => put_query(&self.cargo, &to.addr, token),
            _ => None,
        }
    }

    /// Whether its lookup asks what every node answers. jech/dht (Transmission) and webtorrent are silent to other methods.
    const fn asks_for_basics(&self) -> bool {
        !matches!(self.goal, Goal::Get | Goal::Renew | Goal::Put)
    }

    /// Whether its lookup is reported step by step.
    pub(super) const fn is_of_the_caller(&self) -> bool {
        !matches!(self.goal, Goal::Join)
    }
}

impl Node {
    // Commands.

    /// Looks for peers of `info_hash`: first in our own store, then on other nodes. Peers arrive as
    /// [`Event::Peers`], the end as [`Event::Done`].
    pub fn find_peers(&mut self, now: Instant, info_hash: Id) -> OpId {
        let op = self.begin(now, Goal::Peers, info_hash);
        let known = self.peers.sample(&info_hash, PEERS_PER_LOOKUP, false, &mut self.random);
        let known: Vec<SocketAddr> =
            known.iter().flat_map(|sample| sample.iter()).filter_map(crate::engine::contact::decode_addr).collect();
        self.report_peers(op, None, known.into_iter());
        self.drive(now, op);
        op
    }

    /// Announces that a client at our address and `port` takes part in `info_hash`, to the closest nodes. Where it is
    /// stored arrives as [`Event::Stored`], peers found on the way as [`Event::Peers`], the end as [`Event::Done`].
    pub fn announce(&mut self, now: Instant, info_hash: Id, port: u16, seed: bool) -> OpId {
        let op = self.begin(now, Goal::Announce { port, seed }, info_hash);
        self.drive(now, op);
        op
    }

    /// Looks for the nodes closest to `target`.
    pub fn find_node(&mut self, now: Instant, target: Id) -> OpId {
        let op = self.begin(now, Goal::Nodes, target);
        self.drive(now, op);
        op
    }

    /// Pings `addr`. An answer arrives as [`Event::Pong`], the end, also without one, as [`Event::Done`].
    pub fn ping(&mut self, now: Instant, addr: SocketAddr) -> OpId {
        let op = self.begin(now, Goal::One, Id::ZERO);
        self.ask_one(now, op, addr, Purpose::Ping(op), &Ask::Ping);
        op
    }

    /// Sends the only query of `op`.
    pub(super) fn ask_one(&mut self, now: Instant, op: OpId, addr: SocketAddr, purpose: Purpose, ask: &Ask<'_>) {
        let sent = self.operations.contains_key(&op) && self.query(now, addr, None, HARD_TIMEOUT, purpose, ask);
        if let Some(operation) = self.operations.get_mut(&op) {
            operation.outstanding = usize::from(sent);
            operation.summary.asked = usize::from(sent);
        }
        self.drive(now, op);
    }

    /// Ends `op` at once, without any further event. Answers that are still on their way are not wasted: they keep the
    /// routing table fresh.
    pub fn cancel(&mut self, op: OpId) {
        self.operations.remove(&op);
    }

    /// Whether another operation can begin; see [`OPERATIONS`]. One begun nevertheless ends at once, having asked
    /// nobody.
    #[must_use]
    pub fn has_room_for_operations(&self) -> bool {
        self.operations.len() < OPERATIONS
    }

    /// How many queries `op` has sent so far; `None` once it is over.
    #[must_use]
    pub fn asked(&self, op: OpId) -> Option<usize> {
        Some(self.operations.get(&op)?.summary.asked)
    }

    // Running them.

    pub(super) fn begin(&mut self, now: Instant, goal: Goal, target: Id) -> OpId {
        let op = OpId(self.next_op);
        self.next_op += 1;
        // A join is ours: it must not starve where commands fill the room all day.
        if goal != Goal::Join && !self.has_room_for_operations() {
            self.events.push_back(Event::Done { op, summary: Summary::default() });
            return op;
        }
        let lookup = self.new_lookup(now, target);
        self.operations.insert(op, Operation::new(goal, lookup, now));
        op
    }

    /// Begins looking up our own id, with `contacts` and `routers` besides those that the table knows.
    pub(super) fn begin_join(&mut self, now: Instant, contacts: &[Contact], routers: &[SocketAddr]) {
        let own = *self.id();
        let op = self.begin(now, Goal::Join, own);
        let mut asked = 0;
        for router in routers {
            let soft = HARD_TIMEOUT;
            asked += usize::from(self.query(now, *router, None, soft, Purpose::Router(op), &Ask::FindNode(own)));
        }
        if let Some(operation) = self.operations.get_mut(&op) {
            contacts.iter().for_each(|contact| operation.lookup.add(*contact, Origin::Own));
            operation.outstanding = asked;
        }
        self.drive(now, op);
    }

    fn new_lookup(&self, now: Instant, target: Id) -> Lookup {
        let lookup = Lookup::new(target, self.rules, self.size.nodes());
        let mut lookup = lookup.minding(self.config.compliance);
        self.table.closest(&target).into_iter().for_each(|contact| lookup.add(*contact, Origin::Own));
        self.cache.near(&target).for_each(|(contact, _)| lookup.add(contact, Origin::Own));
        if !self.is_settled(now) {
            // A table that is new is thin: whoever answered in an earlier run is worth a question.
            self.joining.saved().iter().for_each(|contact| lookup.add(*contact, Origin::Own));
        }
        lookup
    }

    /// Takes every step that `op` can take now.
    pub(super) fn drive(&mut self, now: Instant, op: OpId) {
        let Some(mut operation) = self.operations.remove(&op) else { return };
        operation.wake = None;
        let (waited, asked) = (std::mem::take(&mut operation.paced), operation.summary.asked);
        let searches = operation.goal != Goal::One && !operation.writing;
        let over = !searches || self.step_lookup(now, op, &mut operation);
        let waits = operation.outstanding > 0;
        // A query that is put off is counted once, however often it is tried.
        self.stats.paced += u64::from(operation.paced && !(waited && operation.summary.asked == asked));
        self.operations.insert(op, operation);
        if over && !waits {
            self.search_ended(now, op);
        }
    }

    /// Takes every step that the lookup of `op` can take now; whether it is over.
    fn step_lookup(&mut self, now: Instant, op: OpId, operation: &mut Operation) -> bool {
        loop {
            match operation.lookup.step(now) {
                Step::Ask(contact) => {
                    if !self.ask_contact(now, op, operation, contact) {
                        return false;
                    }
                }
                Step::Wait(until) => {
                    operation.wake = until;
                    return false;
                }
                Step::Starved => self.add_everyone(&mut operation.lookup),
                Step::Done => return true,
            }
        }
    }

    /// Steps every operation that waits for time or pace.
    pub(super) fn drive_waiting(&mut self, now: Instant) {
        let due = |operation: &Operation| operation.paced || operation.wake.is_some_and(|wake| wake <= now);
        let waiting: Vec<OpId> =
            self.operations.iter().filter(|(_, operation)| due(operation)).map(|(op, _)| *op).collect();
        waiting.into_iter().for_each(|op| self.drive(now, op));
    }

    fn ask_contact(&mut self, now: Instant, op: OpId, operation: &mut Operation, contact: Contact) -> bool {
        let admitted = self.pace.as_mut().is_none_or(|pace| pace.admits(now, &contact.addr));
        let soft = self.soft_timeout(&contact);
        let purpose = Purpose::Lookup { op, again: operation.retried, basic: operation.asks_for_basics() };
        let sent = admitted && self.query(now, contact.addr, Some(contact.id), soft, purpose, &operation.ask());
        if sent {
            operation.summary.asked += 1;
        } else {
            operation.lookup.not_asked(&contact);
            operation.paced = !admitted;
            // Where the pace is not the reason, too many transactions are open: try again when some have ended.
            operation.wake = admitted.then(|| now + HARD_TIMEOUT / 8);
        }
        sent
    }

    /// The fallback of a lookup that has run out of candidates: everyone we know.
    fn add_everyone(&self, lookup: &mut Lookup) {
        self.table.entries().for_each(|entry| lookup.add(entry.contact, Origin::Own));
        self.joining.saved().iter().for_each(|contact| lookup.add(*contact, Origin::Own));
    }

    /// design: 1.5 times the known round trip and 30 ms, or the p90 of all of ours.
    fn soft_timeout(&self, contact: &Contact) -> Duration {
        let known = self.table.rtt(contact).map(|rtt| rtt * 3 / 2 + Duration::from_millis(30));
        known.or_else(|| self.rtts.quantile(90)).unwrap_or(UNKNOWN_SOFT_TIMEOUT)
    }

    /// Sends a query; whether it was sent.
    pub(super) fn query(
        &mut self,
        now: Instant,
        to: SocketAddr,
        expected: Option<Id>,
        soft: Duration,
        purpose: Purpose,
        ask: &Ask<'_>,
    ) -> bool {
        let Some(transaction) = self.transactions.open(now, to, expected, soft, purpose, &mut self.random) else {
            return false;
        };
        let (own, read_only) = (*self.id(), self.is_read_only());
        if let Some(reach) = &mut self.reach {
            reach.contacted(now, &to);
        }
        self.outbox.push(to, |out| encode::query(out, transaction, &own, read_only, ask));
        self.stats.queries += 1;
        true
    }

    // Deadlines.

    pub(super) fn expire_transactions(&mut self, now: Instant) {
        while let Some(expired) = self.transactions.expire(now) {
            match expired {
                Expired::Slow(Transaction { purpose: Purpose::Lookup { op, again, .. }, to, .. }) => {
                    if let Some(operation) = self.in_try(op, again) {
                        operation.lookup.slow(&to);
                        self.drive(now, op);
                    }
                }
                Expired::Slow(_) => {}
                Expired::Failed(transaction) => {
                    self.stats.timeouts += 1;
                    self.transaction_failed(now, &transaction);
                }
            }
        }
    }

    /// The operation whose lookup asked in this try: one that has begun anew has timeouts of its own.
    fn in_try(&mut self, op: OpId, again: bool) -> Option<&mut Operation> {
        self.operations.get_mut(&op).filter(|operation| operation.retried == again)
    }

    pub(super) fn transaction_failed(&mut self, now: Instant, transaction: &Transaction<Purpose>) {
        let is_failure = !matches!(transaction.purpose, Purpose::Lookup { basic: false, .. });
        // Silence is not death while nothing at all arrives: then it is our own link that is down.
        if let Some(id) = transaction.expected.filter(|_| is_failure)
            && now.since(self.heard) < super::maintain::LINK_DOWN_AFTER
        {
            let contact = Contact { id, addr: transaction.to };
            self.cache.failed(&contact);
            self.table.failed(now, &contact);
            self.timers.set_at_latest(Timer::Check, now + CHECK_EVERY.0);
            if self.heard > transaction.sent {
                self.joining.forget_saved(&contact);
            }
        }
        self.operation_failed(now, transaction);
    }

    pub(super) fn operation_failed(&mut self, now: Instant, transaction: &Transaction<Purpose>) {
        match transaction.purpose {
            Purpose::Lookup { op, again, .. } => {
                if let Some(operation) = self.in_try(op, again) {
                    operation.lookup.failed(&transaction.to);
                    self.drive(now, op);
                }
            }
            Purpose::Store { op, again } => {
                let to = Contact { id: transaction.expected.unwrap_or_default(), addr: transaction.to };
                let late = now.since(transaction.sent) >= HARD_TIMEOUT;
                // Datagrams get lost; a node that gave a token moments ago is worth a second one.
                if !(late && !again && self.write(now, op, to, true)) {
                    self.settle(now, op, |_| {});
                }
            }
            Purpose::Router(op) | Purpose::Ping(op) | Purpose::Sample(op) | Purpose::Verify(op) => {
                self.settle(now, op, |_| {})
            }
            Purpose::Check | Purpose::Refresh => {}
        }
    }

    // Writing and ending.

    fn search_ended(&mut self, now: Instant, op: OpId) {
        let Some(operation) = self.operations.get_mut(&op) else { return };
        if let Goal::Announce { .. } | Goal::Put | Goal::Renew = operation.goal
            && !operation.writing
        {
            operation.writing = true;
            let targets: Vec<Contact> = operation.lookup.places(self.config.copies).copied().collect();
            let sent = targets.into_iter().filter(|contact| self.write(now, op, *contact, false)).count();
            if let Some(operation) = self.operations.get_mut(&op) {
                operation.outstanding = sent;
            }
            if sent > 0 {
                return;
            }
        }
        if self.begin_verifying(now, op) {
            return;
        }
        self.retry_or_finish(now, op);
    }

    /// Sends our announce or item to one node; whether it was sent.
    fn write(&mut self, now: Instant, op: OpId, to: Contact, again: bool) -> bool {
        let Some(mut operation) = self.operations.remove(&op) else { return false };
        let token = operation.lookup.token_of(&to).map(<[u8]>::to_vec);
        let ask = token.as_ref().and_then(|token| operation.store_on(&to, token));
        let sent = ask
            .is_some_and(|ask| self.query(now, to.addr, Some(to.id), HARD_TIMEOUT, Purpose::Store { op, again }, &ask));
        operation.summary.asked += usize::from(sent);
        self.operations.insert(op, operation);
        sent
    }

    pub(super) fn stored(&mut self, now: Instant, op: OpId, at: Contact) {
        if self.operations.contains_key(&op) {
            self.events.push_back(Event::Stored { op, at });
        }
        self.settle(now, op, |operation| {
            operation.holders.push(at);
            operation.summary.stored += 1;
            operation.summary.answered += 1;
        });
    }

    /// One query outside the lookup has come to its end.
    pub(super) fn settle(&mut self, now: Instant, op: OpId, note: impl FnOnce(&mut Operation)) {
        let Some(operation) = self.operations.get_mut(&op) else { return };
        note(operation);
        operation.outstanding = operation.outstanding.saturating_sub(1);
        self.drive(now, op);
    }

    /// An operation that reached nobody starts once more, from everyone we know.
    fn retry_or_finish(&mut self, now: Instant, op: OpId) {
        let Some(operation) = self.operations.get_mut(&op) else { return };
        let empty = match operation.goal {
            Goal::Announce { .. } => operation.summary.stored == 0,
            Goal::Peers | Goal::Nodes | Goal::Scrape | Goal::Get | Goal::Renew | Goal::Put => {
                operation.summary.answered == 0
            }
            Goal::Join | Goal::One => false,
        };
        if !empty || operation.retried || self.table.is_empty() {
            return self.finish(now, op);
        }
        let target = *operation.lookup.target();
        let lookup = self.new_lookup(now, target);
        if let Some(operation) = self.operations.get_mut(&op) {
            operation.lookup = lookup;
            operation.retried = true;
            operation.writing = false;
        }
        self.drive(now, op);
    }

    pub(super) fn finish(&mut self, now: Instant, op: OpId) {
        let Some(operation) = self.operations.remove(&op) else { return };
        let mut summary = operation.summary;
        summary.closest = operation.lookup.closest().take(K).copied().collect();
        summary.elapsed = now.since(operation.started);
        self.size.note(operation.lookup.target(), operation.lookup.closest());
        tracing::debug!(
            goal = ?operation.goal,
            target = %operation.lookup.target(),
            asked = summary.asked,
            answered = summary.answered,
            peers = summary.peers,
            stored = summary.stored,
            elapsed = ?summary.elapsed,
            "an operation is over"
        );
        if let Goal::Announce { .. } = operation.goal {
            self.note_announced(now, *operation.lookup.target(), &summary);
        }
        self.events.extend(operation.cargo.into_event(op));
        match operation.goal {
            Goal::Join => self.join_ended(now),
            _ => self.events.push_back(Event::Done { op, summary }),
        }
    }
}
