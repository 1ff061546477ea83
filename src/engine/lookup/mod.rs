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
//! * when the candidates run out before that, it asks for more: the whole routing table is the fallback. Textbook BEP 5
//!   stops there and fails twice as often as it must when half of the nodes die.
//!
//! Invariants: candidates are sorted by distance and at most [`CANDIDATES`]; it asks at most [`QUERIES_PER_LOOKUP`] times,
//! whatever it is told; an id and an endpoint occur once; of one
//! /24 or /64 only one heard-of candidate is taken (not in a private network), so that nobody fills the head of a
//! lookup from one network.

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

    /// Adds a candidate unless it is known, too far away to matter, or from a subnet that has one already.
    pub fn add(&mut self, contact: Contact, origin: Origin) {
        let place = self.candidates.partition_point(|other| self.target.closer(&other.contact.id, &contact.id).is_lt());
        let crowded = self.diverse && origin != Origin::Own;
        let clashes = |other: &Candidate| {
            other.contact.id == contact.id
                || other.contact.addr == contact.addr
                || (crowded && subnet(other.contact.addr.ip()) == subnet(contact.addr.ip()))
        };
        if place >= CANDIDATES || self.candidates.iter().any(clashes) {
            return;
        }
        let compliant = self.compliance == Compliance::Off || contact.is_compliant();
        self.candidates.insert(place, Candidate { contact, origin, compliant, state: State::Fresh, token: None });
        self.candidates.truncate(CANDIDATES);
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
    /// or if it answered with another id than the one that led us to it: what such a node says is not believed.
    pub fn answered(&mut self, from: &SocketAddr, id: &Id, token: Option<&[u8]>) -> Option<Origin> {
        let candidate = self.candidates.iter_mut().find(|other| other.contact.addr == *from)?;
        if candidate.contact.id != *id {
            candidate.state = State::Failed;
            return None;
        }
        if !matches!(candidate.state, State::Asked | State::Slow | State::Again) {
            return None;
        }
        candidate.state = State::Answered;
        candidate.token = token.map(Box::from);
        Some(candidate.origin)
    }

    /// `from` is past its soft timeout.
    pub fn slow(&mut self, from: &SocketAddr) {
        if self.change(from, State::Asked, State::Slow) {
            self.timeouts += 1;
        }
    }

    /// `from` will not answer.
    pub fn failed(&mut self, from: &SocketAddr) {
        if self.change(from, State::Asked, State::Failed) {
            self.timeouts += 1;
        } else {
            self.change(from, State::Slow, State::Failed);
        }
    }

    /// The query to `contact` was not sent after all; it may be asked again.
    pub fn not_asked(&mut self, contact: &Contact) {
        if self.change(&contact.addr, State::Asked, State::Fresh) {
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
                State::Fresh if self.asked >= QUERIES_PER_LOOKUP => continue,
                State::Slow => {
                    head.slow = head.slow.or(Some(index));
                    continue;
                }
                State::Again => {
                    head.again = true;
                    continue;
                }
                State::Fresh => head.fresh = head.fresh.or(Some(index)),
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

    /// How many queries may be outstanding when the next goes to the candidate at `index`.
    fn alpha(&self, index: usize) -> usize {
        let inside = |candidate: &Candidate| candidate.contact.id.distance(&self.target).fraction() <= self.radius;
        let end_game = inside(&self.candidates[index]) && self.answers().next().is_some_and(inside);
        if end_game { END_GAME_ALPHA } else { ALPHA }
    }

    fn change(&mut self, addr: &SocketAddr, from: State, to: State) -> bool {
        let candidate = self.candidates.iter_mut().find(|other| other.contact.addr == *addr && other.state == from);
        candidate.map(|candidate| candidate.state = to).is_some()
    }
}

/// The state of those that decide whether a lookup goes on.
#[derive(Default)]
struct Head {
    /// The closest that was not asked yet.
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
