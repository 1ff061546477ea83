//! The pure machine of an iterative lookup: whom to ask next (BEP 5; the numbers are argued in docs/LOOKUP.md).
//!
//! It sees contacts and times, never a message, a transaction or a socket. The caller asks [`Lookup::step`] what to do,
//! does it, and reports what came of it.
//!
//! Built for a network in which a third of the contacts are dead:
//! * up to [`ALPHA`] queries are outstanding, and a slot is refilled at once;
//! * a query past its soft timeout frees its slot, and its late answer still counts;
//! * once an answer came from inside the estimated radius of the closest nodes, all candidates inside that radius are
//!   asked at once (the end-game);
//! * it ends when the [`K`] closest that live have answered, and one more for each timeout seen; late answers of
//!   close nodes are awaited for [`GRACE`] first, and the two closest of those are asked once more;
//! * of candidates that share as many bits with the target, those whose id fits their address are asked first, and the
//!   others end no lookup (BEP 42);
//! * when the candidates run out before that, it asks for more: the whole routing table is the fallback. Textbook BEP 5
//!   stops there and fails twice as often as it must when half of the nodes die.
//!
//! Invariant: it asks at most [`QUERIES_PER_LOOKUP`] times, whatever it is told. Which candidates it asks at all is decided in
//! `candidates.rs`, where something is stored in `places.rs`. Whether the nodes that it has found crowd around the target,
//! `region.rs` judges, and `sweep.rs` then searches all around.

mod candidates;
mod places;
mod region;
mod sweep;

use std::net::SocketAddr;
use std::time::Duration;

use super::compliance::Compliance;
use super::contact::Contact;
use super::id::Id;
use super::keyed_hash::KeyedHash;
use super::limits::{K, QUERIES_PER_LOOKUP};
use super::rules::Rules;
use super::time::Instant;
use candidates::{Candidate, Candidates, State};

pub use candidates::Origin;
pub use region::Crowding;
pub use sweep::{Probe, Sweep};

/// Queries outstanding at once.
pub const ALPHA: usize = 4;
/// Queries outstanding at once in the end-game.
const END_GAME_ALPHA: usize = 24;
/// Most places by which timeouts widen a lookup: where half and more are dead it would otherwise ask every contact.
const WIDENING: usize = 2 * K;
/// Closest nodes that must have answered before it is over where something is to be stored.
const BREADTH_OF_WRITERS: usize = K + K / 2;
/// Most silent candidates that are asked once more at the end: datagrams get lost, one in a hundred. Where more are silent,
/// they are dead.
const ASKED_AGAIN: usize = 2;
/// Longest time that late answers of close nodes are awaited at the end.
pub const GRACE: Duration = Duration::from_millis(800);

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
    grace_ends: Option<Instant>,
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

    /// What it looks for.
    #[must_use]
    pub const fn target(&self) -> &Id {
        &self.candidates.target
    }

    /// Adds a candidate unless it is known or too far away to matter. Of the ids that an endpoint is said to have, the one
    /// closest to the target stands until it has been asked.
    pub fn add(&mut self, contact: Contact, origin: Origin) {
        self.candidates.add(contact, origin, None);
    }

    /// The same for a candidate that `teller` has named.
    pub fn hear(&mut self, contact: Contact, origin: Origin, teller: &SocketAddr) {
        self.candidates.add(contact, origin, Some(teller));
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
        let head = self.head();
        if let Some(index) = head.fresh
            && head.outstanding < self.alpha(index)
        {
            return self.ask(index, State::Asked);
        }
        if head.fresh.is_some() || head.asked {
            return Step::Wait(None);
        }
        if !head.complete && !self.starved {
            self.starved = true;
            return Step::Starved;
        }
        if head.slow.is_none() && !head.again {
            return Step::Done;
        }
        let grace_ends = *self.grace_ends.get_or_insert(now + GRACE);
        if now >= grace_ends {
            return Step::Done;
        }
        let may_be_asked_again = |index: &usize| {
            // Where a holder is silent another node takes its place: that costs as little.
            !self.candidates.list[*index].is_holder && self.asked_again < ASKED_AGAIN && self.asked < QUERIES_PER_LOOKUP
        };
        match head.slow.filter(may_be_asked_again) {
            Some(index) => {
                self.asked_again += 1;
                self.ask(index, State::Again)
            }
            None => Step::Wait(Some(grace_ends)),
        }
    }

    fn ask(&mut self, index: usize, state: State) -> Step {
        self.asked += 1;
        self.candidates.list[index].state = state;
        Step::Ask(self.candidates.list[index].contact)
    }

    /// `from` answered as `id`, with a token if it gives one. Returns its origin if it was asked; `None` if it was not
    /// or if it answered with another id than the one that led us to it: what such a node says is not believed, but under
    /// its own id it may be asked once more.
    pub fn answered(&mut self, from: &SocketAddr, id: &Id, token: Option<&[u8]>) -> Option<Origin> {
        let index = self.candidates.awaited(from)?;
        if self.candidates.list[index].contact.id != *id {
            self.candidates.rename(index, *id);
            return None;
        }
        if self.candidates.has_answer_like(index) {
            self.candidates.fail(index);
            return None;
        }
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
            self.timeouts += usize::from(!candidate.is_substitute && !self.candidates.is_doubted(candidate));
        }
    }

    /// `from` will not answer, unless it has been asked again.
    pub fn failed(&mut self, from: &SocketAddr) {
        if let Some(index) = self.candidates.awaited(from)
            && self.candidates.list[index].state != State::Again
        {
            let candidate = &self.candidates.list[index];
            self.timeouts += usize::from(candidate.state == State::Asked && !candidate.is_substitute);
            self.candidates.fail(index);
        }
    }

    /// The query to `contact` was not sent after all; the same step comes again.
    pub fn not_asked(&mut self, contact: &Contact) {
        if self.change(&contact.addr, State::Asked, State::Fresh).is_some() {
            self.asked -= 1;
        } else if self.change(&contact.addr, State::Again, State::Slow).is_some() {
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
    fn head(&self) -> Head {
        // Candidates stand in the order of distance. A place is taken by one that answered, is being asked, or may still
        // be asked; the dead, the slow and those that wait for their turn take none. Past `wanted` places no candidate
        // matters: what lies farther out is neither asked nor awaited.
        let (breadth, awaits_holders) = self.breadth();
        let wanted = breadth + self.timeouts.min(WIDENING);
        let outstanding = self.candidates.list.iter().filter(|candidate| candidate.state == State::Asked).count();
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
                    head.slow = head.slow.or(Some(index));
                    continue;
                }
                State::Again => {
                    head.again = true;
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

    /// Whether the candidate at `index`, who is farther than the one at `closer`, is asked first all the same. BEP 42
    /// counts by whole bits of distance: of those that share as many with the target, ids that fit come first.
    fn goes_before(&self, index: usize, closer: usize) -> bool {
        let (this, other) = (&self.candidates.list[index], &self.candidates.list[closer]);
        let bits = |candidate: &Candidate| self.candidates.target.common_prefix_len(&candidate.contact.id);
        this.compliant && !other.compliant && bits(this) == bits(other)
    }

    /// How many queries may be outstanding when the next goes to the candidate at `index`.
    fn alpha(&self, index: usize) -> usize {
        if let Some(most) = self.most_outstanding {
            return most;
        }
        let inside =
            |candidate: &Candidate| candidate.contact.id.distance(&self.candidates.target).fraction() <= self.radius;
        let end_game = inside(&self.candidates.list[index]) && self.answers().next().is_some_and(inside);
        if end_game { END_GAME_ALPHA } else { ALPHA }
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
    /// The closest that is slow.
    slow: Option<usize>,
    /// One was asked again.
    again: bool,
    /// There are as many as wanted.
    complete: bool,
    /// Queries outstanding in the whole lookup.
    outstanding: usize,
}

#[cfg(test)]
mod tests;
