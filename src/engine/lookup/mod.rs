//! The pure machine of an iterative lookup: whom to ask next (BEP 5; the numbers are argued in docs/LOOKUP.md).
//!
//! It sees contacts and times, never a message, a transaction or a socket. The caller asks [`Lookup::step`] what to do,
//! does it, and reports what came of it.
//!
//! Built for a network in which a third of the contacts are dead. Its numbers are those of an [`Effort`]:
//! * several queries are outstanding at once, and a slot is refilled at once; queries to contacts that are farther than
//!   the closest answer hold no slot any more;
//! * of candidates that promise to bring the lookup as near, those that answer fast are asked first;
//! * a query past its soft timeout frees its slot, and its late answer still counts;
//! * all candidates inside the estimated radius of the closest nodes are asked at once (the end-game);
//! * it ends when the [`K`] closest that live have answered, and one more for each that is silent inside that radius; late
//!   answers of close nodes are awaited for [`GRACE`], by a reader that has found something no longer than nearly all answers take,
//!   and the two closest that are silent for longer than most are asked once more;
//! * of candidates that share as many bits with the target, those whose id fits their address are asked first, and the
//!   others end no lookup (BEP 42);
//! * when the candidates run out before that, it asks for more: the whole routing table is the fallback. Textbook BEP 5
//!   stops there and fails twice as often as it must when half of the nodes die.
//!
//! Invariant: it asks at most [`QUERIES_PER_LOOKUP`] times, whatever it is told. Which candidates it asks at all is decided in
//! `candidates.rs`, where something is stored in `places.rs`. Whether the nodes that it has found crowd around the target,
//! `region.rs` judges, and `sweep.rs` then searches all around.

mod candidates;
mod effort;
mod places;
mod region;
mod sweep;

use std::net::SocketAddr;
use std::time::Duration;

use super::compliance::Compliance;
use super::contact::Contact;
use super::id::{Id, NodeId};
use super::keyed_hash::KeyedHash;
use super::limits::{K, QUERIES_PER_LOOKUP};
use super::rules::Rules;
use super::time::Instant;
use candidates::{Candidate, Candidates, State};

pub use candidates::Origin;
pub use effort::{Effort, UnknownEffort};
pub use region::Crowding;
pub use sweep::{Probe, Sweep};

/// Most places by which timeouts widen a lookup: where half and more are dead it would otherwise ask every contact.
const WIDENING: usize = 2 * K;
/// Closest nodes that must have answered before it is over where something is to be stored.
const BREADTH_OF_WRITERS: usize = K + K / 2;
/// Most silent candidates that are asked once more at the end: datagrams get lost, one in a hundred. Where more are silent,
/// they are dead.
const ASKED_AGAIN: usize = 2;
/// Longest time that late answers of close nodes are awaited at the end.
pub const GRACE: Duration = Duration::from_millis(800);
/// Round trip that is expected where few are known: what is usual in the mainline.
const USUAL: Duration = Duration::from_millis(150);
/// Round trip that one bit nearer to the target is worth: a hop brings four bits, and takes some 100 ms where the first of
/// several answers counts.
const BIT_SECONDS: f64 = 0.025;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask this contact, then call [`Lookup::step`] again.
    Ask(Contact),
    /// Wait for an answer or a timeout; step again at this instant at the latest, if there is one.
    Wait(Option<Instant>),
    /// No candidate is left to ask: add more and step again. Said once.
    Starved,
    /// It is over.
    Done,
}

/// One lookup towards a target.
#[derive(Clone, Debug)]
pub struct Lookup {
    candidates: Candidates,
    /// Closest nodes that must have answered before it is over.
    breadth: usize,
    /// Draws the nodes beside the closest that store something; `None` where only the closest do.
    lots: Option<KeyedHash>,
    /// Share of the key space around the target in which the closest nodes are expected; 0 for unknown.
    radius: f64,
    /// Queries outstanding at once where there is time; `None` where there is none to lose.
    most_outstanding: Option<usize>,
    asked: usize,
    asked_again: usize,
    timeouts: usize,
    starved: bool,
    /// When the end is no longer put off.
    grace_ends: Option<Instant>,
    effort: Effort,
    /// Round trip that is expected of a contact that we know nothing of.
    usual: Duration,
    /// Time after its question for which the answer of a close node is awaited at the end; `None` where it gets [`GRACE`].
    patience: Option<Duration>,
    /// Time after its question after which it may be asked once more.
    retry_after: Duration,
    /// When the one that was asked again last had been asked first.
    first_asked: Instant,
}

impl Lookup {
    /// A lookup without candidates. `network_size` is the estimated number of nodes, if there is one.
    #[must_use]
    pub fn new(target: Id, rules: &'static Rules, network_size: Option<f64>) -> Self {
        let radius = network_size.map_or(0.0, |nodes| (2 * K) as f64 / nodes.max(1.0));
        Self {
            candidates: Candidates::new(target, rules),
            breadth: K,
            lots: None,
            radius,
            most_outstanding: None,
            asked: 0,
            asked_again: 0,
            timeouts: 0,
            starved: false,
            grace_ends: None,
            effort: Effort::NORMAL,
            usual: USUAL,
            patience: None,
            retry_after: Duration::ZERO,
            first_asked: Instant::ZERO,
        }
    }

    /// The same lookup, for which it matters whether ids fit their addresses (BEP 42). Call it before the first candidate.
    #[must_use]
    pub fn minding(mut self, compliance: Compliance) -> Self {
        self.candidates.compliance = compliance;
        self
    }

    /// The same lookup, which also finds nodes beside the [`K`] closest: some of those that store what it looks for are drawn
    /// from them.
    #[must_use]
    pub const fn spreading(mut self, lots: KeyedHash) -> Self {
        self.breadth = BREADTH_OF_WRITERS;
        self.lots = Some(lots);
        self
    }

    /// Whether it has asked as often as it may.
    #[must_use]
    pub const fn is_cut_short(&self) -> bool {
        self.asked >= QUERIES_PER_LOOKUP
    }

    /// The same lookup, which asks one after the other: it takes longer and needs fewer queries.
    #[must_use]
    pub const fn with_time(mut self) -> Self {
        self.most_outstanding = Some(1);
        self
    }

    /// The same lookup with these numbers, where half of all answers come within `half`, and most within `most`.
    #[must_use]
    pub fn paced(mut self, effort: Effort, half: Option<Duration>, most: Option<Duration>) -> Self {
        self.effort = effort;
        self.usual = half.unwrap_or(USUAL);
        self.retry_after = most.map_or(Duration::ZERO, |most| most.min(GRACE));
        self
    }

    /// From now on no answer is awaited for longer than `nearly_all` take: what was looked for is found.
    pub const fn hurry(&mut self, nearly_all: Option<Duration>) {
        self.patience = nearly_all;
    }

    /// What it looks for.
    #[must_use]
    pub const fn target(&self) -> &Id {
        &self.candidates.target
    }

    /// Adds a candidate unless it is known or too far away to matter. Of the ids that an endpoint is said to have, the one
    /// closest to the target stands until it has been asked.
    pub fn add(&mut self, contact: Contact, origin: Origin) {
        self.candidates.add(contact, origin, None, None);
    }

    /// Adds one of our own contacts, whose round trip is known.
    pub fn add_known(&mut self, contact: Contact, rtt: Duration) {
        self.candidates.add(contact, Origin::Own, None, Some(rtt));
    }

    /// The same for a candidate that `teller` has named, with its round trip if we know it all the same.
    pub fn hear(&mut self, contact: Contact, origin: Origin, teller: &SocketAddr, rtt: Option<Duration>) {
        self.candidates.add(contact, origin, Some(teller), rtt);
    }

    /// Adds a node that stored before what is now stored again. It is asked in its turn as any other; that it is silent
    /// after so long a time is no news of the network, and widens nothing.
    pub fn add_holder(&mut self, contact: Contact) {
        self.candidates.add_holder(contact);
    }

    /// Adds a node that stored before, and lately enough: it has its place among those that answered, and is neither asked
    /// nor written to.
    pub fn hold(&mut self, contact: Contact) {
        self.candidates.hold(contact);
    }

    /// What to do now.
    pub fn step(&mut self, now: Instant) -> Step {
        let head = self.head(now);
        if let Some(index) = head.fresh
            && head.outstanding < self.alpha(index)
        {
            return self.ask(now, index, State::Asked);
        }
        let may_ask = self.asked_again < ASKED_AGAIN && self.asked < QUERIES_PER_LOOKUP;
        if head.fresh.is_some() || head.asked {
            return match head.due.filter(|index| may_ask && self.is_inside(&self.candidates.list[*index])) {
                Some(index) => self.ask_again(now, index),
                None => Step::Wait(head.next_due.filter(|_| may_ask)),
            };
        }
        if !head.complete && !self.starved {
            self.starved = true;
            return Step::Starved;
        }
        if head.latest.is_none() {
            return Step::Done;
        }
        let longest = *self.grace_ends.get_or_insert(now + GRACE);
        if now >= longest {
            return Step::Done;
        }
        if let Some(index) = head.due.filter(|_| may_ask) {
            return self.ask_again(now, index);
        }
        let ends = head.latest.zip(self.patience).map_or(longest, |(asked, patience)| (asked + patience).min(longest));
        match head.next_due.filter(|due| may_ask && *due < ends) {
            Some(due) => Step::Wait(Some(due)),
            None if now >= ends => Step::Done,
            None => Step::Wait(Some(ends)),
        }
    }

    fn ask_again(&mut self, now: Instant, index: usize) -> Step {
        self.asked_again += 1;
        self.first_asked = self.candidates.list[index].asked_at;
        self.ask(now, index, State::Again)
    }

    fn ask(&mut self, now: Instant, index: usize, state: State) -> Step {
        self.asked += 1;
        self.candidates.list[index].asked_at = now;
        self.candidates.list[index].state = state;
        Step::Ask(self.candidates.list[index].contact)
    }

    /// `from` answered as `id`, with a token if it gives one. Returns its origin if it was asked; `None` if it was not
    /// or if it answered with another id than the one that led us to it: what such a node says is not believed, but under
    /// its own id it may be asked once more.
    pub fn answered(&mut self, from: &SocketAddr, id: &NodeId, token: Option<&[u8]>) -> Option<Origin> {
        let index = self.candidates.awaited(from)?;
        if self.candidates.list[index].contact.id != *id {
            self.candidates.rename(index, *id);
            return None;
        }
        if self.candidates.has_answer_like(index) {
            self.candidates.fail(index);
            return None;
        }
        self.timeouts -= usize::from(std::mem::take(&mut self.candidates.list[index].widened));
        self.candidates.note_answer(index);
        let candidate = &mut self.candidates.list[index];
        candidate.token = token.map(Box::from);
        Some(candidate.origin)
    }

    /// `at`, which has answered, has no room for what is to be stored: it fills no place any more. Whether it did.
    pub fn has_no_room(&mut self, at: &SocketAddr) -> bool {
        let answered = |other: &&mut Candidate| other.contact.addr == *at && other.state == State::Answered;
        let Some(candidate) = self.candidates.list.iter_mut().find(answered) else { return false };
        (candidate.token, candidate.has_room) = (None, false);
        true
    }

    /// `from` is past its soft timeout.
    pub fn slow(&mut self, from: &SocketAddr) {
        if let Some(index) = self.change(from, State::Asked, State::Slow) {
            self.candidates.note_silence(index);
            let candidate = &self.candidates.list[index];
            if self.widens(candidate) && !self.candidates.is_doubted(candidate) {
                self.timeouts += 1;
                self.candidates.list[index].widened = true;
            }
        }
    }

    /// Whether the silence of this candidate says that the closest nodes are not all that they seem: it is one of them.
    fn widens(&self, candidate: &Candidate) -> bool {
        (self.radius == 0.0 || self.is_inside(candidate)) && !candidate.is_substitute
    }

    /// `from` will not answer, unless it has been asked again.
    pub fn failed(&mut self, from: &SocketAddr) {
        if let Some(index) = self.candidates.awaited(from)
            && self.candidates.list[index].state != State::Again
        {
            let candidate = &self.candidates.list[index];
            self.timeouts += usize::from(candidate.state == State::Asked && self.widens(candidate));
            self.candidates.fail(index);
        }
    }

    /// The query to `contact` was not sent after all; the same step comes again.
    pub fn not_asked(&mut self, contact: &Contact) {
        if self.change(&contact.addr, State::Asked, State::Fresh).is_some() {
            self.asked -= 1;
        } else if let Some(index) = self.change(&contact.addr, State::Again, State::Slow) {
            self.candidates.list[index].asked_at = self.first_asked;
            self.asked -= 1;
            self.asked_again -= 1;
        }
    }

    /// Those that answered, closest first.
    pub fn closest(&self) -> impl Iterator<Item = &Contact> {
        self.answers().map(|candidate| &candidate.contact)
    }

    /// Those that answered and that count, closest first: where it matters, none whose id does not fit its address (BEP 42).
    pub fn closest_that_count(&self) -> impl Iterator<Item = &Contact> {
        self.answers().filter(|candidate| candidate.compliant).map(|candidate| &candidate.contact)
    }

    /// Whether no query of it is within its time, and no candidate is left to be asked.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.candidates.list.iter().any(|candidate| matches!(candidate.state, State::Fresh | State::Asked))
    }

    /// Whether those that count are nearer to the target than they should be in a network of this size.
    #[must_use]
    pub fn crowding(&self, network_size: f64) -> Crowding {
        let distance = |contact: &Contact| contact.id.distance(self.target()).fraction();
        let distances: Vec<f64> = self.closest_that_count().map(distance).collect();
        Crowding::of(&distances, network_size)
    }

    fn answers(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.list.iter().filter(|candidate| candidate.state == State::Answered)
    }

    /// The closest candidates that may live, as many as wanted, and one more for each timeout seen: slow ones do not fill a
    /// place.
    fn head(&self, now: Instant) -> Head {
        // Candidates stand in the order of distance. A place is taken by one that answered, is being asked, or may still
        // be asked; the dead, the slow and those that wait for their turn take none. Past `wanted` places no candidate
        // matters: what lies farther out is neither asked nor awaited.
        let (reached, outstanding) = self.reached();
        let (breadth, awaits_holders) = self.breadth();
        let wanted = breadth + self.timeouts.min(WIDENING);
        // Before anything is known of the target's surroundings, the fastest of more contacts is a good beginning.
        let wanted = if reached || self.most_outstanding.is_some() { wanted } else { wanted.max(2 * K) };
        let mut head = Head { outstanding, ..Head::default() };
        let (mut places, mut misfits) = (0, 0);
        for (index, candidate) in self.candidates.list.iter().enumerate() {
            if head.complete && !candidate.is_holder {
                continue;
            }
            match candidate.state {
                State::Failed => continue,
                State::Fresh if candidate.waits || (!self.starved && self.candidates.is_doubted(candidate)) => continue,
                // The budget is spent: what was not asked by now will not be.
                State::Fresh if self.asked >= QUERIES_PER_LOOKUP => continue,
                // BEP 42: of those whose id does not fit, some are asked, and none ends the lookup.
                State::Fresh if !candidate.compliant && misfits >= K => continue,
                State::Slow => {
                    let due = candidate.asked_at + self.retry_after;
                    if candidate.is_holder {
                        // Where a holder is silent another node takes its place: that costs as little.
                    } else if due <= now {
                        head.due = head.due.or(Some(index));
                    } else {
                        head.next_due = Some(head.next_due.map_or(due, |next| next.min(due)));
                    }
                    head.latest = head.latest.max(Some(candidate.asked_at));
                    continue;
                }
                State::Again => {
                    head.latest = head.latest.max(Some(candidate.asked_at));
                    continue;
                }
                State::Fresh if head.fresh.is_none_or(|fresh| self.goes_before(index, fresh)) => {
                    head.fresh = Some(index)
                }
                State::Asked => head.asked = true,
                State::Answered if !candidate.has_room => continue,
                State::Fresh | State::Answered => {}
            }
            misfits += usize::from(!candidate.compliant);
            places += usize::from(candidate.compliant);
            if places >= wanted {
                head.complete = true;
                if !awaits_holders {
                    break;
                }
            }
        }
        head
    }

    /// Whether any has answered, and how many queries hold a slot: those to contacts nearer than the closest answer. The
    /// others are overtaken.
    fn reached(&self) -> (bool, usize) {
        let bits = |candidate: &Candidate| self.candidates.target.common_prefix_len(&candidate.contact.id);
        let reached = self.answers().next().map(bits);
        let holds_slot = |candidate: &&Candidate| {
            candidate.state == State::Asked
                && (self.most_outstanding.is_some() || reached.is_none_or(|reached| bits(candidate) > reached))
        };
        (reached.is_some(), self.candidates.list.iter().filter(holds_slot).count())
    }

    /// Whether the candidate at `index`, who is farther than the one at `closer`, is asked first all the same. BEP 42
    /// counts by whole bits of distance: of those that share as many with the target, ids that fit come first.
    fn goes_before(&self, index: usize, closer: usize) -> bool {
        let (this, other) = (&self.candidates.list[index], &self.candidates.list[closer]);
        let bits = |candidate: &Candidate| self.candidates.target.common_prefix_len(&candidate.contact.id);
        if this.compliant != other.compliant {
            return this.compliant && bits(this) == bits(other);
        }
        if self.is_inside(this) != self.is_inside(other) {
            return false;
        }
        let cost = |candidate: &Candidate| {
            candidate.rtt.unwrap_or(self.usual).as_secs_f64() - bits(candidate) as f64 * BIT_SECONDS
        };
        cost(this) < cost(other)
    }

    /// Whether a candidate lies where the closest nodes are expected.
    fn is_inside(&self, candidate: &Candidate) -> bool {
        candidate.contact.id.distance(&self.candidates.target).fraction() <= self.radius
    }

    /// How many queries may be outstanding when the next goes to the candidate at `index`.
    fn alpha(&self, index: usize) -> usize {
        if let Some(most) = self.most_outstanding {
            return most;
        }
        if self.is_inside(&self.candidates.list[index]) { self.effort.end_game_alpha } else { self.effort.alpha }
    }

    fn change(&mut self, addr: &SocketAddr, from: State, to: State) -> Option<usize> {
        let index = self.candidates.list.iter().position(|other| other.contact.addr == *addr && other.state == from)?;
        self.candidates.list[index].state = to;
        Some(index)
    }
}

/// The state of those that decide whether a lookup goes on.
#[derive(Default)]
struct Head {
    /// The one that is asked next: the closest that was not asked yet, unless [`Lookup::goes_before`] knows a better one.
    fresh: Option<usize>,
    /// One of them is being asked.
    asked: bool,
    /// The closest that may be asked once more, because it has been silent, and when the next one may be.
    due: Option<usize>,
    next_due: Option<Instant>,
    /// When the last of those that are awaited at the end was asked.
    latest: Option<Instant>,
    /// There are as many as wanted.
    complete: bool,
    /// Queries outstanding in the whole lookup.
    outstanding: usize,
}

#[cfg(test)]
mod tests;
