//! Operations: what a caller asked for, carried out by a lookup and by queries beside it.
//!
//! Every operation goes the same way (but for the start where its key is hot: `hot.rs`): it *searches* (a lookup asks node after node), it *sweeps* the region of its key where
//! the closest nodes are not to be trusted alone (`guard.rs`), it *writes* to the closest nodes that gave a token, and it
//! *verifies* what was written; each phase begins when nothing of the one before is outstanding. One that came to nothing goes this way a second time. Whatever happens, it ends with one
//! [`Event::Done`].
//!
//! What is asked, heard, written and said differs by kind, and each kind is one file: it implements [`Goal`] and begins
//! its own operations. A new kind is such a file and a name in the list of [`AnyGoal`].

mod announce;
mod goal;
mod guard;
mod hot;
mod item;
mod join;
mod look;
mod measure;
mod nodes;
mod one;
mod peers;
mod scrape;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

use self::announce::Announce;
pub(super) use self::goal::Goal;
pub(super) use self::hot::HotKeys;
use self::hot::Visit;
use self::item::ItemSearch;
use self::join::Join;
use self::look::Look;
use self::measure::Measure;
use self::nodes::Nodes;
use self::one::One;
use self::peers::Peers;
use self::scrape::Scrape;
use super::Node;
use super::event::{Event, OpId, Summary};
use super::purpose::{Attempt, Purpose};
use crate::engine::contact::Contact;
use crate::engine::id::Id;
use crate::engine::keyed_hash::KeyedHash;
use crate::engine::krpc::{Message, Response};
use crate::engine::limits::{K, ROUNDS_OF_WRITES};
use crate::engine::lookup::{Crowding, Lookup, Sweep};
use crate::engine::time::Instant;
use crate::engine::transactions::HARD_TIMEOUT;

/// Nodes that are asked whether they show what they stored.
const VERIFIED: usize = 2;
/// Longest `v` (BEP 20) that is passed on, in bytes.
const MAX_VERSION: usize = 16;

macro_rules! goals {
    ($($kind:ident),*) => {
        /// The goal of an operation, of whichever kind; it stands for the [`Goal`] in it.
        #[derive(Clone, Debug)]
        pub(super) enum AnyGoal { $($kind($kind)),* }

        $(impl From<$kind> for AnyGoal {
            fn from(goal: $kind) -> Self {
                Self::$kind(goal)
            }
        })*

        impl Deref for AnyGoal {
            type Target = dyn Goal;

            fn deref(&self) -> &Self::Target {
                match self { $(Self::$kind(goal) => goal),* }
            }
        }

        impl DerefMut for AnyGoal {
            fn deref_mut(&mut self) -> &mut Self::Target {
                match self { $(Self::$kind(goal) => goal),* }
            }
        }
    };
}

goals!(Announce, ItemSearch, Join, Look, Measure, Nodes, One, Peers, Scrape);

/// How far an operation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Its key is hot: contacts on the way to it are visited.
    Visiting,
    /// Its lookup asks node after node.
    Searching,
    /// The whole region of its key is searched.
    Sweeping,
    /// The closest nodes are written to.
    Writing,
    /// Some of those that stored it are asked whether it shows.
    Verifying,
    /// There is no lookup: one node is asked.
    Asking,
}

impl Phase {
    fn next(self, goal: &AnyGoal) -> Option<Self> {
        match self {
            Self::Visiting => goal.writes().then_some(Self::Writing),
            Self::Searching => Some(Self::Sweeping),
            Self::Sweeping => goal.writes().then_some(Self::Writing),
            Self::Writing => Some(Self::Verifying),
            Self::Verifying | Self::Asking => None,
        }
    }
}

/// An operation that is not over.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) goal: AnyGoal,
    /// Whom it asks next.
    pub(super) lookup: Lookup,
    /// Draws by lot for a key that is guarded.
    lots: Option<KeyedHash>,
    /// How near the closest nodes are, once the lookup is over.
    crowding: Crowding,
    /// Those that it visits in place of a search.
    visit: Option<Visit>,
    /// Answers with peers and without contacts.
    hot_answers: usize,
    /// The search of the region of its key.
    pub(super) sweep: Option<Box<Sweep>>,
    phase: Phase,
    pub(super) attempt: Attempt,
    started: Instant,
    /// When the lookup wants to be stepped without news.
    pub(super) wake: Option<Instant>,
    /// It waits for the pace of new destinations.
    pub(super) paced: bool,
    /// Queries outside the lookup (to routers, writes, a ping) that are outstanding.
    pub(super) outstanding: usize,
    /// Nodes that were written to.
    written_to: Vec<Contact>,
    /// One of those had no room, so that the lookup goes on when the rest have answered.
    goes_on: bool,
    /// How often it has gone on.
    rounds: usize,
    /// Nodes that stored what was written.
    holders: Vec<Contact>,
    /// Peers that were reported.
    pub(super) seen: BTreeSet<SocketAddr>,
    pub(super) summary: Summary,
}

impl Operation {
    fn new(goal: AnyGoal, phase: Phase, lookup: Lookup, started: Instant) -> Self {
        Self {
            goal,
            lookup,
            lots: None,
            crowding: Crowding::Calm,
            visit: None,
            hot_answers: 0,
            sweep: None,
            phase,
            attempt: Attempt::First,
            started,
            wake: None,
            paced: false,
            outstanding: 0,
            written_to: Vec::new(),
            goes_on: false,
            rounds: 0,
            holders: Vec::new(),
            seen: BTreeSet::new(),
            summary: Summary::default(),
        }
    }
}

impl Operation {
    /// Whether it has something for the caller: what is still to come may take its time.
    pub(super) const fn has_found(&self) -> bool {
        self.summary.peers > 0
    }

    /// Whether it looks for farther nodes once more, in place of those that had no room.
    fn take_another_round(&mut self) -> bool {
        let again = std::mem::take(&mut self.goes_on) && self.rounds < ROUNDS_OF_WRITES;
        if again {
            self.rounds += 1;
            self.phase = Phase::Searching;
        }
        again
    }
}

impl Node {
    // Beginning.

    /// A new operation, which asks nothing before it is driven; over at once where there is no room for it.
    fn open(&mut self, now: Instant, target: Id, goal: impl Into<AnyGoal>) -> OpId {
        self.open_in(now, Phase::Searching, target, goal.into(), self.has_room_for_operations())
    }

    /// The same, for one that needs no lookup.
    fn open_without_lookup(&mut self, now: Instant, target: Id, goal: impl Into<AnyGoal>) -> OpId {
        self.open_in(now, Phase::Asking, target, goal.into(), self.has_room_for_operations())
    }

    /// The same, where there is always room.
    fn open_always(&mut self, now: Instant, target: Id, goal: impl Into<AnyGoal>) -> OpId {
        self.open_in(now, Phase::Searching, target, goal.into(), true)
    }

    fn open_in(&mut self, now: Instant, phase: Phase, target: Id, goal: AnyGoal, has_room: bool) -> OpId {
        let op = OpId(self.next_op);
        self.next_op += 1;
        if has_room {
            let lots = self.lots_for(now, &goal);
            let visit = self.visit_for(now, &target, &goal);
            let (phase, lookup) = match visit {
                Some(_) => (Phase::Visiting, self.lookup_of_visit(target)),
                None => (phase, self.lookup_for(now, target, &goal, lots)),
            };
            self.operations.insert(op, Operation { lots, visit, ..Operation::new(goal, phase, lookup, now) });
        } else {
            self.stats.operations_refused += 1;
            self.events.push_back(Event::Done { op, summary: Summary::default() });
        }
        op
    }

    // Going on.

    /// Takes every step that `op` can take now.
    pub(super) fn drive(&mut self, now: Instant, op: OpId) {
        let Some(mut operation) = self.operations.remove(&op) else { return };
        operation.wake = None;
        let (waited, asked) = (std::mem::take(&mut operation.paced), operation.summary.asked);
        let over = match operation.phase {
            Phase::Visiting => self.step_visit(now, op, &mut operation),
            Phase::Searching => self.step_lookup(now, op, &mut operation),
            Phase::Sweeping => self.step_sweep(now, op, &mut operation),
            _ => true,
        };
        let waits = operation.outstanding > 0;
        // A query that is put off is counted once, however often it is tried.
        self.stats.paced += u64::from(operation.paced && !(waited && operation.summary.asked == asked));
        self.operations.insert(op, operation);
        if over && !waits {
            self.phase_ended(now, op);
        }
    }

    /// Steps every operation that waits for time or pace.
    pub(super) fn drive_waiting(&mut self, now: Instant) {
        let due = |operation: &Operation| operation.paced || operation.wake.is_some_and(|wake| wake <= now);
        let waiting: Vec<OpId> =
            self.operations.iter().filter(|(_, operation)| due(operation)).map(|(op, _)| *op).collect();
        waiting.into_iter().for_each(|op| self.drive(now, op));
    }

    /// Begins the next phase in which there is something to send; without one, the operation is over or begins anew.
    fn phase_ended(&mut self, now: Instant, op: OpId) {
        while let Some(operation) = self.operations.get_mut(&op) {
            if operation.take_another_round() {
                return self.drive(now, op);
            }
            if operation.phase == Phase::Visiting && !self.end_visit(now, op) {
                return self.drive(now, op);
            }
            let Some(operation) = self.operations.get_mut(&op) else { return };
            let Some(next) = operation.phase.next(&operation.goal) else { return self.retry_or_finish(now, op) };
            operation.phase = next;
            let sent = match next {
                Phase::Sweeping if self.begin_sweep(op) => return self.drive(now, op),
                Phase::Writing => self.write_to_places(now, op),
                Phase::Verifying => self.verify(now, op),
                _ => 0,
            };
            if sent > 0 {
                return;
            }
        }
    }

    /// One query outside the lookup has come to its end.
    pub(super) fn settle(&mut self, now: Instant, op: OpId, note: impl FnOnce(&mut Operation)) {
        let Some(operation) = self.operations.get_mut(&op) else { return };
        note(operation);
        operation.outstanding = operation.outstanding.saturating_sub(1);
        self.drive(now, op);
    }

    // Writing.

    /// Writes to each node where it belongs and that was not written to; how many were written to.
    fn write_to_places(&mut self, now: Instant, op: OpId) -> usize {
        let Some(operation) = self.operations.get(&op) else { return 0 };
        let visited = operation.visited_places();
        let mut places = visited.unwrap_or_else(|| operation.places(self.config.copies));
        places.retain(|place| !operation.written_to.contains(place));
        let mut sent = 0;
        for place in places {
            sent += usize::from(self.write(now, op, place, Attempt::First));
        }
        self.await_queries(op, sent)
    }

    /// Writes to one node; whether it was sent.
    fn write(&mut self, now: Instant, op: OpId, to: Contact, attempt: Attempt) -> bool {
        let Some(mut operation) = self.operations.remove(&op) else { return false };
        let (target, purpose) = (*operation.lookup.target(), Purpose::Write { op, attempt });
        let token = operation.token_of(&to).map(<[u8]>::to_vec);
        let ask = token.as_ref().and_then(|token| operation.goal.write(target, &to.addr, token));
        let sent = ask.is_some_and(|ask| self.query(now, to.addr, Some(to.id), HARD_TIMEOUT, purpose, &ask));
        operation.summary.asked += usize::from(sent);
        if attempt == Attempt::First {
            operation.written_to.push(to);
        }
        self.operations.insert(op, operation);
        sent
    }

    /// A node has no room for what was written: the lookup goes on to a farther one.
    pub(super) fn write_has_no_room(&mut self, now: Instant, op: OpId, at: &SocketAddr) {
        self.settle(now, op, |operation| operation.goes_on |= operation.lookup.has_no_room(at));
    }

    pub(super) fn written(&mut self, now: Instant, op: OpId, at: Contact, message: &Message<'_>) {
        if self.operations.contains_key(&op) {
            self.events.push_back(Event::Stored { op, at, version: version_of(message) });
        }
        self.settle(now, op, |operation| {
            operation.holders.push(at);
            operation.summary.stored += 1;
            operation.summary.answered += 1;
        });
    }

    /// A write was refused, or not answered. Datagrams get lost: a node that gave a token moments ago is worth a second
    /// one.
    pub(super) fn write_failed(&mut self, now: Instant, op: OpId, to: Contact, sent: Instant, attempt: Attempt) {
        let unanswered = now.since(sent) >= HARD_TIMEOUT;
        if !(unanswered && attempt == Attempt::First && self.write(now, op, to, Attempt::Second)) {
            self.settle(now, op, |_| {});
        }
    }

    // Verifying.

    /// Asks some of the nodes that stored it whether it shows; how many were asked.
    fn verify(&mut self, now: Instant, op: OpId) -> usize {
        let Some(operation) = self.operations.get_mut(&op) else { return 0 };
        let holders = std::mem::take(&mut operation.holders);
        let Some(ask) = operation.goal.proof(*operation.lookup.target()) else { return 0 };
        let mut sent = 0;
        for holder in holders.iter().take(VERIFIED) {
            let purpose = Purpose::Verify(op);
            sent += usize::from(self.query(now, holder.addr, Some(holder.id), HARD_TIMEOUT, purpose, &ask));
        }
        self.await_queries(op, sent)
    }

    /// A node that stored it has answered; `external` is how that node sees us.
    pub(super) fn verified(&mut self, now: Instant, op: OpId, external: Option<SocketAddr>, response: &Response<'_>) {
        let ours = external.or_else(|| self.external_addr()).map(|addr| addr.ip());
        self.settle(now, op, |operation| {
            operation.summary.verified_at += 1;
            operation.summary.verified += usize::from(operation.goal.is_shown_by(ours, response));
        });
    }

    fn await_queries(&mut self, op: OpId, sent: usize) -> usize {
        if let Some(operation) = self.operations.get_mut(&op) {
            operation.outstanding = sent;
        }
        sent
    }

    // Ending.

    /// An operation that came to nothing starts once more, from every contact that we know.
    fn retry_or_finish(&mut self, now: Instant, op: OpId) {
        let Some(operation) = self.operations.get(&op) else { return };
        let again =
            operation.goal.failed(&operation.summary) && operation.attempt == Attempt::First && !self.table.is_empty();
        if !again {
            return self.finish(now, op);
        }
        let lookup = self.lookup_for(now, *operation.lookup.target(), &operation.goal, operation.lots);
        if let Some(operation) = self.operations.get_mut(&op) {
            operation.lookup = lookup;
            (operation.sweep, operation.visit) = (None, None);
            operation.attempt = Attempt::Second;
            (operation.written_to, operation.goes_on, operation.rounds) = (Vec::new(), false, 0);
            operation.phase = Phase::Searching;
        }
        self.drive(now, op);
    }

    /// What a lookup says of the size of the network.
    fn note_size(&mut self, operation: &Operation) {
        // Those that are visited are not the closest.
        if operation.visit.is_some() {
            return;
        }
        let (target, closest) = (operation.lookup.target(), operation.lookup.closest_that_count());
        if matches!(operation.goal, AnyGoal::Measure(_)) {
            self.size.note_random(target, closest);
        } else {
            self.size.note(target, closest);
        }
    }

    pub(super) fn finish(&mut self, now: Instant, op: OpId) {
        let Some(mut operation) = self.operations.remove(&op) else { return };
        self.note_size(&operation);
        self.note_hot_key(now, &operation);
        let target = *operation.lookup.target();
        let mut summary = operation.summary;
        summary.closest = operation.lookup.closest().take(K).copied().collect();
        summary.elapsed = now.since(operation.started);
        self.stats.keys_under_alarm += u64::from(summary.alarm);
        self.stats.lookups_cut_short += u64::from(operation.lookup.is_cut_short());
        tracing::debug!(
            goal = operation.goal.name(),
            %target,
            asked = summary.asked,
            answered = summary.answered,
            peers = summary.peers,
            stored = summary.stored,
            alarm = summary.alarm,
            elapsed = ?summary.elapsed,
            "an operation is over"
        );
        operation.goal.end(self, now, op, target, summary);
    }
}

/// The client and version of a node, cut where they are long.
fn version_of(message: &Message<'_>) -> Vec<u8> {
    let version = message.version.unwrap_or_default();
    version[..version.len().min(MAX_VERSION)].to_vec()
}
