//! The pure "whom next?" machine of an iterative lookup (BEP 5; the numbers are argued in docs/LOOKUP.md).
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
//!   close nodes are awaited for [`GRACE`] first, and up to [`ASKED_AGAIN`] of those nodes are asked once more;
//! * of candidates that share as many bits with the target, those whose id fits their address are asked first (BEP 42);
//! * when the candidates run out before that, it asks for more: the whole routing table is the fallback. Textbook BEP 5
//!   stops there and fails twice as often as it must when half of the nodes die.
//!
//! What is only heard of proves nothing, so it keeps nobody out who would answer: an endpoint that is named under several
//! ids is asked, and tells its own; of the candidates heard of in one /24 or /64 the closest is asked, and the next when
//! that one is slow or fails (not in a private network).
//!
//! Invariants: candidates are sorted by distance and at most [`CANDIDATES`]; it asks at most [`QUERIES_PER_LOOKUP`] times,
//! whatever it is told; an endpoint occurs once; no id, and none of those heard of in one subnet, answers twice, so that
//! nobody fills the head of a lookup from one network.

use std::net::SocketAddr;
use std::time::Duration;

use super::contact::{Compliance, Contact, subnet};
use super::id::Id;
use super::limits::{CANDIDATES, K, QUERIES_PER_LOOKUP};
use super::time::Instant;

/// Queries outstanding at once.
pub const ALPHA: usize = 4;
/// Queries outstanding at once in the end-game.
const END_GAME_ALPHA: usize = 24;
/// By how much timeouts widen a lookup at the most: where half and more are dead it would otherwise ask everyone.
const WIDENING: usize = 2 * K;
/// How many of those that stay silent are asked once more at the end: datagrams get lost, one in a hundred. Where more are
/// silent, they are dead.
const ASKED_AGAIN: usize = 2;
/// How long late answers of close nodes are awaited at the end.
pub const GRACE: Duration = Duration::from_millis(800);

/// Of the candidates heard of in one subnet so many are asked. A node behind a translator is named at every port that it
/// ever had, and nobody answers there.
const TRIES_PER_SUBNET: usize = 2;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask this contact, then call [`Lookup::step`] again.
    Ask(Contact),
    /// Wait for an answer or a timeout; step again at this instant at the latest, if there is one.
    Wait(Option<Instant>),
    /// Nobody is left to ask: add more candidates and step again. Said once.
    Starved,
    /// It is over.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Asked,
    /// Past the soft timeout; a late answer still counts.
    Slow,
    /// Asked a second time; an answer to either query counts until the end.
    Again,
    Answered,
    Failed,
}

/// Where a candidate came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Our own table, cache or saved nodes.
    Own,
    /// Another node, `hops` away from our own contacts, told us of it. Nothing it says about others is verified.
    Heard {
        /// 1 for what our own contacts told us.
        hops: u8,
    },
}

impl Origin {
    /// How many nodes told us of each other until we heard of it.
    #[must_use]
    pub const fn hops(self) -> u8 {
        match self {
            Self::Own => 0,
            Self::Heard { hops } => hops,
        }
    }
}

#[derive(Clone, Debug)]
struct Candidate {
    contact: Contact,
    origin: Origin,
    /// Its id fits its address, or we do not mind.
    compliant: bool,
    state: State,
    token: Option<Box<[u8]>>,
    /// It was asked under another id before, and this is the one that it answered with.
    renamed: bool,
    /// Heard of, but another candidate of its subnet has to be asked first.
    waits: bool,
    /// It had its turn because another of its subnet was silent: that it is silent too is no news of the network.
    stands_in: bool,
}

impl Candidate {
    /// Whether the others heard of in its subnet wait for it.
    const fn has_turn(&self) -> bool {
        !self.waits && !matches!(self.state, State::Slow | State::Again | State::Failed)
    }

    /// The subnet of one that was only heard of.
    fn crowd(&self) -> Option<u64> {
        (self.origin != Origin::Own).then(|| subnet(self.contact.addr.ip()))
    }
}

/// One lookup towards a target.
#[derive(Clone, Debug)]
pub struct Lookup {
    target: Id,
    candidates: Vec<Candidate>,
    diverse: bool,
    compliance: Compliance,
    /// Share of the key space around the target in which the closest nodes are expected; 0 for unknown.
    radius: f64,
    asked: usize,
    asked_again: usize,
    timeouts: usize,
    starved: bool,
    grace_ends: Option<Instant>,
}

impl Lookup {
    /// A lookup without candidates. `network_size` is the estimated number of nodes, if there is one.
    #[must_use]
    pub fn new(target: Id, diverse: bool, network_size: Option<f64>) -> Self {
        let radius = network_size.map_or(0.0, |nodes| (2 * K) as f64 / nodes.max(1.0));
        Self {
            target,
            candidates: Vec::new(),
            diverse,
            compliance: Compliance::Off,
            radius,
            asked: 0,
            asked_again: 0,
            timeouts: 0,
            starved: false,
            grace_ends: None,
        }
    }

    /// The same lookup, which minds whether ids fit their addresses (BEP 42). Call it before the first candidate.
    #[must_use]
    pub fn minding(mut self, compliance: Compliance) -> Self {
        self.compliance = compliance;
        self
    }

    /// What it looks for.
    #[must_use]
    pub const fn target(&self) -> &Id {
        &self.target
    }

    /// Adds a candidate unless it is known or too far away to matter. Of the ids that an endpoint is said to have, the one
    /// closest to the target stands until it has been asked.
    pub fn add(&mut self, contact: Contact, origin: Origin) {
        if let Some(index) = self.candidates.iter().position(|other| other.contact.addr == contact.addr) {
            let known = &self.candidates[index];
            let closer = self.target.closer(&contact.id, &known.contact.id).is_lt();
            if known.state != State::Fresh || known.renamed || !closer {
                return;
            }
            self.remove(index);
        }
        self.insert(contact, origin, false);
    }

    fn insert(&mut self, contact: Contact, origin: Origin, renamed: bool) {
        let place = self.candidates.partition_point(|other| self.target.closer(&other.contact.id, &contact.id).is_lt());
        if place >= CANDIDATES {
            return;
        }
        let compliant = self.compliance == Compliance::Off || contact.is_compliant();
        let candidate = Candidate {
            contact,
            origin,
            compliant,
            state: State::Fresh,
            token: None,
            renamed,
            waits: false,
            stands_in: false,
        };
        self.candidates.insert(place, candidate);
        self.queue_up(place);
        if self.candidates.len() > CANDIDATES {
            self.remove(CANDIDATES);
        }
    }

    fn remove(&mut self, index: usize) -> Candidate {
        let removed = self.candidates.remove(index);
        if removed.has_turn() {
            self.call_next_of(removed.crowd());
        }
        removed
    }

    /// Lets the new candidate at `index` wait for the one of its subnet that has its turn, or that one for it.
    fn queue_up(&mut self, index: usize) {
        let crowd = self.candidates[index].crowd().filter(|_| self.diverse);
        let rival = |(other, candidate): &(usize, &Candidate)| {
            *other != index && candidate.has_turn() && crowd.is_some() && candidate.crowd() == crowd
        };
        if let Some((other, candidate)) = self.candidates.iter().enumerate().find(rival) {
            let is_closer = index < other && candidate.state == State::Fresh;
            self.candidates[if is_closer { other } else { index }].waits = true;
        }
    }

    /// The next of those heard of in a subnet gets its turn, unless enough of them have had it.
    fn call_next_of(&mut self, crowd: Option<u64>) {
        let asked = |other: &&Candidate| other.state != State::Fresh && other.crowd() == crowd;
        if self.candidates.iter().filter(asked).count() >= TRIES_PER_SUBNET {
            return;
        }
        if let Some(next) = self.candidates.iter_mut().find(|other| other.waits && other.crowd() == crowd) {
            (next.waits, next.stands_in) = (false, true);
        }
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
        match head.slow.filter(|_| self.asked_again < ASKED_AGAIN && self.asked < QUERIES_PER_LOOKUP) {
            Some(index) => {
                self.asked_again += 1;
                self.ask(index, State::Again)
            }
            None => Step::Wait(Some(grace_ends)),
        }
    }

    fn ask(&mut self, index: usize, state: State) -> Step {
        self.asked += 1;
        self.candidates[index].state = state;
        Step::Ask(self.candidates[index].contact)
    }

    /// `from` answered as `id`, with a token if it gives one. Returns its origin if it was asked; `None` if it was not
    /// or if it answered with another id than the one that led us to it: what such a node says is not believed, but under
    /// its own id it may be asked once more.
    pub fn answered(&mut self, from: &SocketAddr, id: &Id, token: Option<&[u8]>) -> Option<Origin> {
        let index = self.position_of(from)?;
        if self.candidates[index].contact.id != *id {
            self.rename(index, *id);
            return None;
        }
        if self.has_answer_like(index) {
            self.fail(index);
            return None;
        }
        let candidate = &mut self.candidates[index];
        candidate.state = State::Answered;
        candidate.token = token.map(Box::from);
        Some(candidate.origin)
    }

    /// Whether somebody else has answered under its id, or from its subnet.
    fn has_answer_like(&self, index: usize) -> bool {
        let own = &self.candidates[index];
        let crowd = own.crowd().filter(|_| self.diverse);
        let like =
            |other: &Candidate| other.contact.id == own.contact.id || (crowd.is_some() && other.crowd() == crowd);
        self.answers().any(like)
    }

    /// What the endpoint is called is now known at first hand.
    fn rename(&mut self, index: usize, id: Id) {
        if self.candidates[index].renamed {
            return self.fail(index);
        }
        let Candidate { contact, origin, .. } = self.remove(index);
        self.insert(Contact { id, ..contact }, origin, true);
    }

    fn fail(&mut self, index: usize) {
        let candidate = &mut self.candidates[index];
        let (had_turn, crowd) = (candidate.has_turn(), candidate.crowd());
        candidate.state = State::Failed;
        if had_turn {
            self.call_next_of(crowd);
        }
    }

    /// `from` is past its soft timeout.
    pub fn slow(&mut self, from: &SocketAddr) {
        if let Some(index) = self.change(from, State::Asked, State::Slow) {
            self.timeouts += usize::from(!self.candidates[index].stands_in);
            self.call_next_of(self.candidates[index].crowd());
        }
    }

    /// `from` will not answer, unless it has been asked again.
    pub fn failed(&mut self, from: &SocketAddr) {
        if let Some(index) = self.position_of(from)
            && self.candidates[index].state != State::Again
        {
            let candidate = &self.candidates[index];
            self.timeouts += usize::from(candidate.state == State::Asked && !candidate.stands_in);
            self.fail(index);
        }
    }

    /// The query to `contact` was not sent after all; it may be asked again.
    pub fn not_asked(&mut self, contact: &Contact) {
        if self.change(&contact.addr, State::Asked, State::Fresh).is_some() {
            self.asked -= 1;
        }
    }

    /// Those that answered, closest first.
    pub fn closest(&self) -> impl Iterator<Item = &Contact> {
        self.answers().map(|candidate| &candidate.contact)
    }

    /// Those that answered with a token, closest first.
    pub fn closest_with_token(&self) -> impl Iterator<Item = (&Contact, &[u8])> {
        self.answers().filter_map(|candidate| Some((&candidate.contact, candidate.token.as_deref()?)))
    }

    /// Where something is to be stored `copies` times: on the closest that gave a token. Where ids that fit come first,
    /// on as many of those too; where they are enforced, on no others (BEP 42).
    pub fn places(&self, copies: usize) -> impl Iterator<Item = &Contact> {
        let mut compliant = 0;
        let with_token = self.answers().filter(|candidate| candidate.token.is_some()).enumerate();
        let chosen = with_token.filter(move |(rank, candidate)| {
            let fits = candidate.compliant && compliant < copies;
            compliant += usize::from(candidate.compliant);
            match self.compliance {
                Compliance::Off => *rank < copies,
                Compliance::Prefer => *rank < copies || fits,
                Compliance::Enforce => fits,
            }
        });
        chosen.map(|(_, candidate)| &candidate.contact)
    }

    /// The token that `contact` gave.
    #[must_use]
    pub fn token_of(&self, contact: &Contact) -> Option<&[u8]> {
        self.closest_with_token().find(|(other, _)| *other == contact).map(|(_, token)| token)
    }

    fn answers(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter().filter(|candidate| candidate.state == State::Answered)
    }

    /// The [`K`] closest candidates that may live, and one more for each timeout seen: slow ones do not fill a place.
    fn head(&self) -> Head {
        let wanted = K + self.timeouts.min(WIDENING);
        let outstanding = self.candidates.iter().filter(|candidate| candidate.state == State::Asked).count();
        let mut head = Head { outstanding, ..Head::default() };
        let mut places = 0;
        for (index, candidate) in self.candidates.iter().enumerate() {
            match candidate.state {
                State::Failed => continue,
                State::Fresh if candidate.waits => continue,
                State::Fresh if self.asked >= QUERIES_PER_LOOKUP => continue,
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
                State::Fresh => {}
                State::Asked => head.asked = true,
                // BEP 42: while ids are enforced, the answer of another node does not count.
                State::Answered if self.compliance == Compliance::Enforce && !candidate.compliant => continue,
                State::Answered => {}
            }
            places += 1;
            if places == wanted {
                head.complete = true;
                break;
            }
        }
        head
    }

    /// Whether the candidate at `index`, who is farther than the one at `closer`, is asked first all the same. BEP 42
    /// counts by whole bits of distance: of those that share as many with the target, ids that fit come first.
    fn goes_before(&self, index: usize, closer: usize) -> bool {
        let (this, other) = (&self.candidates[index], &self.candidates[closer]);
        let bits = |candidate: &Candidate| self.target.common_prefix_len(&candidate.contact.id);
        this.compliant && !other.compliant && bits(this) == bits(other)
    }

    /// How many queries may be outstanding when the next goes to the candidate at `index`.
    fn alpha(&self, index: usize) -> usize {
        let inside = |candidate: &Candidate| candidate.contact.id.distance(&self.target).fraction() <= self.radius;
        let end_game = inside(&self.candidates[index]) && self.answers().next().is_some_and(inside);
        if end_game { END_GAME_ALPHA } else { ALPHA }
    }

    /// The place of one that was asked and has not answered.
    fn position_of(&self, asked: &SocketAddr) -> Option<usize> {
        let open = |other: &Candidate| matches!(other.state, State::Asked | State::Slow | State::Again);
        self.candidates.iter().position(|other| other.contact.addr == *asked && open(other))
    }

    fn change(&mut self, addr: &SocketAddr, from: State, to: State) -> Option<usize> {
        let index = self.candidates.iter().position(|other| other.contact.addr == *addr && other.state == from)?;
        self.candidates[index].state = to;
        Some(index)
    }
}

/// The state of those that decide whether a lookup goes on.
#[derive(Default)]
struct Head {
    /// Who is asked next: the closest that was not asked yet, unless [`Lookup::goes_before`] knows a better one.
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
