//! The candidates of a lookup: which were heard of, which id stands for an endpoint, and which of one
//! owner's has its turn.
//!
//! What is only heard of proves nothing, so it keeps no node out that would answer: an endpoint that is named under several
//! ids is asked, and tells its own; of the candidates heard of that have one owner (a /24 or /48) the closest is asked, and the
//! next when that one is slow or fails (not in a private network).
//!
//! Invariants: sorted by distance, at most [`CANDIDATES`]; an endpoint occurs once; no id answers twice, nor those heard of
//! that have one owner, nor those of one provider (a /16 or /32) more than twice, so that no network fills the head of a lookup.
//! Where most of those that one node alone has named are silent, the rest of them is asked when no others are left.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::engine::compliance::Compliance;
use crate::engine::contact::Contact;
use crate::engine::id::{Id, NodeId};
use crate::engine::limits::{CANDIDATES, LOOKUP_SHARE, SILENT_PER_TELLER, TRIES_PER_OWNER};
use crate::engine::owner::{Level, network, owner};
use crate::engine::rules::Rules;
use crate::engine::time::Instant;

/// How far a candidate has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
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

/// The origin of what is remembered from an earlier lookup. The shares of networks hold for it as they held then.
const HOLDER: Origin = Origin::Heard { hops: 0 };

/// One that may be asked.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) contact: Contact,
    pub(super) origin: Origin,
    /// Its round trip, where it is known.
    pub(super) rtt: Option<Duration>,
    /// When it was asked last.
    pub(super) asked_at: Instant,
    /// Its silence has widened the lookup.
    pub(super) widened: bool,
    /// Its id fits its address (BEP 42), or that does not matter here.
    pub(super) compliant: bool,
    pub(super) state: State,
    pub(super) token: Option<Box<[u8]>>,
    /// Whether it may take what is to be stored: so far as it has not said otherwise.
    pub(super) has_room: bool,
    /// It was asked under another id before, and this is the one that it answered with.
    renamed: bool,
    /// Heard of, but another candidate of its owner has to be asked first, or its provider has answered often enough.
    pub(super) waits: bool,
    /// That it is silent is no news of the network: it had its turn because another of its owner was silent too, or it is
    /// remembered from long ago.
    pub(super) is_substitute: bool,
    /// It stored before what is now stored again.
    pub(super) is_holder: bool,
    /// It is not asked: what it stores is young enough.
    pub(super) is_held: bool,
    /// The only node that has named it, by its place among the tellers; `None` for our own, and for those that several named.
    teller: Option<usize>,
}

impl Candidate {
    /// Whether it was only heard of: nothing was asked of it.
    pub(super) fn is_unasked(&self) -> bool {
        self.state == State::Fresh && !self.renamed
    }

    /// Whether the others of its owner wait for it.
    const fn has_turn(&self) -> bool {
        !self.waits && !matches!(self.state, State::Slow | State::Again | State::Failed)
    }

    /// The owner of one that was only heard of.
    fn heard_owner(&self) -> Option<u64> {
        (self.origin != Origin::Own).then(|| owner(self.contact.addr.ip()))
    }
}

/// A node that has named others, and what became of those that it alone has named.
#[derive(Clone, Debug)]
struct Teller {
    addr: SocketAddr,
    silent: usize,
    answered: usize,
}

/// All candidates of one lookup.
#[derive(Clone, Debug)]
pub(super) struct Candidates {
    pub(super) target: Id,
    /// The closest first.
    pub(super) list: Vec<Candidate>,
    tellers: Vec<Teller>,
    pub(super) rules: &'static Rules,
    pub(super) compliance: Compliance,
}

impl Candidates {
    pub(super) const fn new(target: Id, rules: &'static Rules) -> Self {
        Self { target, list: Vec::new(), tellers: Vec::new(), rules, compliance: Compliance::Off }
    }

    /// See [`Lookup::add`](super::Lookup::add).
    pub(super) fn add(&mut self, contact: Contact, origin: Origin, teller: Option<&SocketAddr>, rtt: Option<Duration>) {
        let teller = teller.map(|addr| self.teller(addr));
        if let Some(index) = self.list.iter().position(|other| other.contact.addr == contact.addr) {
            let known = &mut self.list[index];
            if known.contact.id == contact.id && known.teller != teller {
                known.teller = None;
            }
            let closer = self.target.closer(&contact.id, &known.contact.id).is_lt();
            if known.state != State::Fresh || known.renamed || !closer {
                return;
            }
            self.remove(index);
        }
        // A node behind a translator is named at every port that it ever had; ours is the one that answers us.
        let is_ours = |own: &Candidate| {
            own.origin == Origin::Own && own.contact.id == contact.id && own.contact.addr.ip() == contact.addr.ip()
        };
        if origin == Origin::Own || !self.list.iter().any(is_ours) {
            self.insert(contact, origin, false, teller, rtt);
        }
    }

    /// See [`Lookup::add_holder`](super::Lookup::add_holder).
    pub(super) fn add_holder(&mut self, contact: Contact) {
        self.add(contact, HOLDER, None, None);
        if let Some(index) = self.place_of(&contact) {
            (self.list[index].is_substitute, self.list[index].is_holder) = (true, true);
        }
    }

    /// See [`Lookup::hold`](super::Lookup::hold).
    pub(super) fn hold(&mut self, contact: Contact) {
        self.add(contact, HOLDER, None, None);
        if let Some(index) = self.place_of(&contact)
            && self.list[index].state == State::Fresh
            && !self.has_answer_like(index)
        {
            (self.list[index].is_held, self.list[index].is_holder) = (true, true);
            self.note_answer(index);
        }
    }

    fn place_of(&self, contact: &Contact) -> Option<usize> {
        self.list.iter().position(|other| other.contact == *contact)
    }

    /// The place of the one at `addr` among the tellers.
    fn teller(&mut self, addr: &SocketAddr) -> usize {
        let known = self.tellers.iter().position(|teller| teller.addr == *addr);
        known.unwrap_or_else(|| {
            self.tellers.push(Teller { addr: *addr, silent: 0, answered: 0 });
            self.tellers.len() - 1
        })
    }

    /// Whether the only one that has named `candidate` has named mostly such as do not answer: a liar costs no more than
    /// some queries.
    pub(super) fn is_doubted(&self, candidate: &Candidate) -> bool {
        candidate.teller.is_some_and(|teller| {
            let teller = &self.tellers[teller];
            teller.silent >= SILENT_PER_TELLER && teller.silent > 2 * teller.answered
        })
    }

    fn insert(
        &mut self,
        contact: Contact,
        origin: Origin,
        renamed: bool,
        teller: Option<usize>,
        rtt: Option<Duration>,
    ) {
        let place = self.list.partition_point(|other| self.target.closer(&other.contact.id, &contact.id).is_lt());
        if place >= CANDIDATES {
            return;
        }
        let compliant = self.compliance == Compliance::Off || contact.is_compliant();
        let candidate = Candidate {
            contact,
            origin,
            rtt,
            asked_at: Instant::ZERO,
            widened: false,
            compliant,
            state: State::Fresh,
            token: None,
            has_room: true,
            renamed,
            waits: false,
            is_substitute: false,
            is_holder: false,
            is_held: false,
            teller,
        };
        self.list.insert(place, candidate);
        self.wait_for_turn(place);
        if self.list.len() > CANDIDATES {
            self.remove(CANDIDATES);
        }
    }

    fn remove(&mut self, index: usize) -> Candidate {
        let removed = self.list.remove(index);
        if removed.has_turn() {
            self.give_turn_to_next_of(removed.heard_owner());
        }
        removed
    }

    /// Lets the new candidate at `index` wait for the one of its owner that has its turn, or that one for it; for ever, where
    /// its provider has all the answers that count.
    fn wait_for_turn(&mut self, index: usize) {
        if self.has_enough_answers_of_provider(index) {
            self.list[index].waits = true;
            return;
        }
        let owner = self.list[index].heard_owner().filter(|_| self.rules.diverse);
        let rival = |(other, candidate): &(usize, &Candidate)| {
            *other != index && candidate.has_turn() && owner.is_some() && candidate.heard_owner() == owner
        };
        if let Some((other, candidate)) = self.list.iter().enumerate().find(rival) {
            let is_closer = index < other && candidate.state == State::Fresh;
            self.list[if is_closer { other } else { index }].waits = true;
        }
    }

    /// The one at `index` is slow: the next of its owner gets its turn.
    pub(super) fn note_silence(&mut self, index: usize) {
        if let Some(teller) = self.list[index].teller {
            self.tellers[teller].silent += 1;
        }
        self.give_turn_to_next_of(self.list[index].heard_owner());
    }

    /// The next of those of one owner gets its turn, unless enough of them have had it. A node behind a translator
    /// is named at every port that it ever had: none of the others answers either.
    fn give_turn_to_next_of(&mut self, owner: Option<u64>) {
        let had_turn = |other: &&Candidate| other.state != State::Fresh && other.heard_owner() == owner;
        let tried: Vec<NodeId> = self.list.iter().filter(had_turn).map(|other| other.contact.id).collect();
        if tried.len() >= TRIES_PER_OWNER {
            return;
        }
        let is_next =
            |other: &&mut Candidate| other.waits && other.heard_owner() == owner && !tried.contains(&other.contact.id);
        if let Some(next) = self.list.iter_mut().find(is_next) {
            (next.waits, next.is_substitute) = (false, true);
        }
    }

    /// Whether the provider of a candidate that was only heard of has all the answers that count.
    fn has_enough_answers_of_provider(&self, index: usize) -> bool {
        let candidate = &self.list[index];
        self.rules.diverse
            && candidate.origin != Origin::Own
            && self.answers_of_provider(candidate.contact.addr.ip()) >= LOOKUP_SHARE.provider
    }

    /// The answers of candidates that were only heard of, from one provider.
    fn answers_of_provider(&self, ip: IpAddr) -> usize {
        let provider = network(ip, Level::Provider);
        let counts = |other: &&Candidate| {
            other.state == State::Answered
                && other.origin != Origin::Own
                && network(other.contact.addr.ip(), Level::Provider) == provider
        };
        self.list.iter().filter(counts).count()
    }

    /// The one at `index` has answered. Where that is the last answer of its provider that counts, no other is asked.
    pub(super) fn note_answer(&mut self, index: usize) {
        if let Some(teller) = self.list[index].teller {
            let was_silent = usize::from(matches!(self.list[index].state, State::Slow | State::Again));
            self.tellers[teller].silent -= was_silent;
            self.tellers[teller].answered += 1;
        }
        self.list[index].state = State::Answered;
        if !self.has_enough_answers_of_provider(index) {
            return;
        }
        let provider = network(self.list[index].contact.addr.ip(), Level::Provider);
        for other in &mut self.list {
            if other.origin != Origin::Own && network(other.contact.addr.ip(), Level::Provider) == provider {
                other.waits |= other.state == State::Fresh;
            }
        }
    }

    /// Whether another candidate has answered under its id or from its owner, or as many from its provider as count.
    pub(super) fn has_answer_like(&self, index: usize) -> bool {
        if self.has_enough_answers_of_provider(index) {
            return true;
        }
        let own = &self.list[index];
        let owner = own.heard_owner().filter(|_| self.rules.diverse);
        let like =
            |other: &Candidate| other.contact.id == own.contact.id || (owner.is_some() && other.heard_owner() == owner);
        self.list.iter().any(|other| other.state == State::Answered && like(other))
    }

    /// The endpoint itself has told its id.
    pub(super) fn rename(&mut self, index: usize, id: NodeId) {
        if self.list[index].renamed {
            return self.fail(index);
        }
        let Candidate { contact, origin, .. } = self.remove(index);
        self.insert(Contact { id, ..contact }, origin, true, None, None);
    }

    pub(super) fn fail(&mut self, index: usize) {
        let candidate = &mut self.list[index];
        if let Some(teller) = candidate.teller.filter(|_| candidate.state == State::Asked) {
            self.tellers[teller].silent += 1;
        }
        let (had_turn, owner) = (candidate.has_turn(), candidate.heard_owner());
        candidate.state = State::Failed;
        if had_turn {
            self.give_turn_to_next_of(owner);
        }
    }

    /// The place of one that was asked and has not answered.
    pub(super) fn awaited(&self, asked: &SocketAddr) -> Option<usize> {
        let open = |other: &Candidate| matches!(other.state, State::Asked | State::Slow | State::Again);
        self.list.iter().position(|other| other.contact.addr == *asked && open(other))
    }
}
