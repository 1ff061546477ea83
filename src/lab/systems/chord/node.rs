//! A Chord node: joins, stabilises, fixes its fingers (ToN 11(1), 2003: figure 6 with its five procedures, and section
//! IV.E.3 for successor lists; as in SIGCOMM 2001, figure 7 and section 5.2, without `check_predecessor`).
//!
//! Every 30 s a node stabilises and checks its predecessor; in every sixth of these rounds it fixes all fingers, where the
//! papers fix one at a time. A search for a finger that meets a dead node is given up and begins anew in a later round:
//! the next best predecessor is tried only in lookups, see [`super`].

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use super::wire::{Message, Peer};
use crate::engine::time::Instant;
use crate::lab::systems::ring::clockwise;
use crate::sim::host::{Action, Host};
use crate::sim::random::Dice;

/// How many successors a node knows: twice log2 of the lecture's 1,000 nodes.
pub const SUCCESSORS: usize = 20;
/// How often a node stabilises.
pub const PERIOD: Duration = Duration::from_secs(30);
/// Rounds of a node from one in which it fixes its fingers to the next.
pub const FINGER_ROUNDS: u32 = 6;
const TIMEOUT: Duration = Duration::from_secs(2);
const FINGERS: usize = 64;
/// No path is this long, unless the tables are wrong.
const MAX_STEPS: u8 = 200;

/// Why a query was sent.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    /// A step of the search for the successor of `point`, which becomes a finger or, in joining, the successor.
    Search { point: u64, goal: Goal, steps: u8 },
    /// The successor's neighbours.
    Stabilise,
    /// Does the predecessor live?
    CheckPredecessor,
}

#[derive(Clone, Copy, Debug)]
enum Goal {
    Join,
    Finger(usize),
}

/// One node of the ring.
#[derive(Debug)]
pub struct ChordNode {
    me: Peer,
    through: Option<SocketAddr>,
    predecessor: Option<Peer>,
    /// In ring order from here on.
    successors: Vec<Peer>,
    fingers: [Option<Peer>; FINGERS],
    /// What was asked, keyed by transaction: whom, why, and until when an answer counts.
    asked: BTreeMap<u32, (SocketAddr, Purpose, Instant)>,
    transaction: u32,
    next_round: Instant,
    rounds: u32,
    outbox: VecDeque<(SocketAddr, Vec<u8>)>,
    sending: Vec<u8>,
}

impl ChordNode {
    /// A node that joins through another one, or begins a ring. Rounds start at a moment drawn from `seed`.
    #[must_use]
    pub fn new(me: Peer, through: Option<SocketAddr>, now: Instant, seed: u64) -> Self {
        let mut node = Self {
            me,
            through,
            predecessor: None,
            successors: Vec::new(),
            fingers: [None; FINGERS],
            asked: BTreeMap::new(),
            transaction: 0,
            next_round: now + PERIOD.mul_f64(Dice::new(seed).unit()),
            rounds: 0,
            outbox: VecDeque::new(),
            sending: Vec::new(),
        };
        node.join(now);
        node
    }

    /// The nodes after this one.
    #[must_use]
    pub fn successors(&self) -> &[Peer] {
        &self.successors
    }

    /// The node before this one.
    #[must_use]
    pub const fn predecessor(&self) -> Option<&Peer> {
        self.predecessor.as_ref()
    }

    /// The fingers that it found.
    pub fn fingers(&self) -> impl Iterator<Item = &Peer> {
        self.fingers.iter().flatten()
    }

    // n.join(n'): predecessor = nil; successor = n'.find_successor(n)
    fn join(&mut self, now: Instant) {
        if let (Some(through), true) = (self.through, self.successors.is_empty()) {
            self.search(now, through, self.me.point, Goal::Join, 0);
        }
    }

    fn search(&mut self, now: Instant, at: SocketAddr, point: u64, goal: Goal, steps: u8) {
        if steps < MAX_STEPS {
            let purpose = Purpose::Search { point, goal, steps };
            self.ask(now, at, purpose, |transaction| Message::WhoIsNext { transaction, point });
        }
    }

    fn ask(&mut self, now: Instant, to: SocketAddr, purpose: Purpose, message: impl FnOnce(u32) -> Message) {
        self.transaction = self.transaction.wrapping_add(1);
        self.asked.insert(self.transaction, (to, purpose, now + TIMEOUT));
        self.outbox.push_back((to, message(self.transaction).encode()));
    }

    // n.find_successor(id), one step: if id in (n, successor] it is the successor, else ask whom the table proposes.
    fn next_step(&self, point: u64) -> (bool, Peer) {
        let Some(&successor) = self.successors.first() else { return (true, self.me) };
        if self.ahead(point) <= self.ahead(successor.point) {
            return (true, successor);
        }
        let known = self.successors.iter().chain(self.fingers());
        let preceding = known.filter(|peer| self.ahead(peer.point) < self.ahead(point));
        (false, preceding.max_by_key(|peer| self.ahead(peer.point)).copied().unwrap_or(successor))
    }

    /// How far clockwise of this node a point lies; its own point is a full round away.
    const fn ahead(&self, point: u64) -> u64 {
        clockwise(self.me.point, point).wrapping_sub(1)
    }

    // n.stabilize()
    fn round(&mut self, now: Instant) {
        self.join(now);
        self.check_predecessor(now);
        let Some(&successor) = self.successors.first() else { return };
        self.ask(now, successor.addr, Purpose::Stabilise, |transaction| Message::Neighbours { transaction });
        if self.rounds.is_multiple_of(FINGER_ROUNDS) {
            self.fix_fingers(now);
        }
        self.rounds += 1;
    }

    // n.check_predecessor(): if it has failed, predecessor = nil. Any question will do; what it answers does not matter.
    fn check_predecessor(&mut self, now: Instant) {
        let point = self.me.point;
        if let Some(Peer { addr, .. }) = self.predecessor {
            self.ask(now, addr, Purpose::CheckPredecessor, |transaction| Message::WhoIsNext { transaction, point });
        }
    }

    // n.fix_fingers(), all of them; those within the successor's reach cost nothing.
    fn fix_fingers(&mut self, now: Instant) {
        for finger in 0..FINGERS {
            let start = self.me.point.wrapping_add(1 << finger);
            let (done, peer) = self.next_step(start);
            if done {
                self.fingers[finger] = Some(peer);
            } else {
                self.search(now, peer.addr, start, Goal::Finger(finger), 0);
            }
        }
    }

    fn on_answer(&mut self, now: Instant, from: SocketAddr, transaction: u32, answer: Answer) {
        let Some((_, purpose, _)) = self.asked.get(&transaction).filter(|asked| asked.0 == from).copied() else {
            return;
        };
        self.asked.remove(&transaction);
        match (purpose, answer) {
            (Purpose::Search { goal, .. }, Answer::Next(true, peer)) => self.on_found(goal, peer),
            (Purpose::Search { point, goal, steps }, Answer::Next(false, peer)) if peer.addr != from => {
                self.search(now, peer.addr, point, goal, steps + 1);
            }
            (Purpose::Stabilise, Answer::Around(predecessor, theirs)) => self.on_neighbours(predecessor, theirs),
            _ => {}
        }
    }

    fn on_found(&mut self, goal: Goal, peer: Peer) {
        match goal {
            Goal::Join if peer != self.me => self.take_successors([peer]),
            Goal::Join => {}
            Goal::Finger(finger) => self.fingers[finger] = Some(peer),
        }
    }

    // x = successor.predecessor; if x in (n, successor) successor = x; successor.notify(n)
    fn on_neighbours(&mut self, predecessor: Option<Peer>, theirs: Vec<Peer>) {
        let Some(&successor) = self.successors.first() else { return };
        let between = predecessor.filter(|peer| self.ahead(peer.point) < self.ahead(successor.point));
        self.take_successors(between.into_iter().chain([successor]).chain(theirs));
        let notify = Message::Notify { peer: self.me }.encode();
        self.outbox.push_back((self.successors[0].addr, notify));
    }

    /// The successor's list with the successor in front, cut to length; this node ends a short ring's list.
    fn take_successors(&mut self, peers: impl IntoIterator<Item = Peer>) {
        let me = self.me;
        self.successors.clear();
        self.successors.extend(peers.into_iter().take_while(|peer| *peer != me).take(SUCCESSORS));
    }

    // n.notify(n'): if predecessor is nil or n' in (predecessor, n) predecessor = n'
    fn on_notify(&mut self, peer: Peer) {
        let closer = |known: Peer| self.ahead(known.point) < self.ahead(peer.point);
        if peer != self.me && self.predecessor.is_none_or(closer) {
            self.predecessor = Some(peer);
        }
        // The first node of a ring learns its successor from the first that joins.
        if self.successors.is_empty() && peer != self.me {
            self.successors.push(peer);
        }
    }

    fn give_up_on(&mut self, silent: SocketAddr, purpose: Purpose) {
        if matches!(purpose, Purpose::Stabilise) {
            self.successors.retain(|peer| peer.addr != silent);
        }
        self.fingers.iter_mut().filter(|finger| finger.is_some_and(|peer| peer.addr == silent)).for_each(|f| *f = None);
        self.predecessor = self.predecessor.filter(|peer| peer.addr != silent);
    }
}

/// The body of an answer.
enum Answer {
    Next(bool, Peer),
    Around(Option<Peer>, Vec<Peer>),
}

impl Host for ChordNode {
    type Report = ();

    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        match Message::decode(bytes) {
            Some(Message::WhoIsNext { transaction, point }) => {
                let (done, peer) = self.next_step(point);
                self.outbox.push_back((from, Message::Next { transaction, done, peer }.encode()));
            }
            Some(Message::Neighbours { transaction }) => {
                let (predecessor, successors) = (self.predecessor, self.successors.clone());
                self.outbox.push_back((from, Message::Around { transaction, predecessor, successors }.encode()));
            }
            Some(Message::Next { transaction, done, peer }) => {
                self.on_answer(now, from, transaction, Answer::Next(done, peer));
            }
            Some(Message::Around { transaction, predecessor, successors }) => {
                self.on_answer(now, from, transaction, Answer::Around(predecessor, successors));
            }
            Some(Message::Notify { peer }) => self.on_notify(peer),
            None => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        let late: Vec<u32> = self.asked.iter().filter(|(_, asked)| asked.2 <= now).map(|(&number, _)| number).collect();
        for transaction in late {
            if let Some((silent, purpose, _)) = self.asked.remove(&transaction) {
                self.give_up_on(silent, purpose);
            }
        }
        if self.next_round <= now {
            self.next_round = now + PERIOD;
            self.round(now);
        }
    }

    fn poll_action(&mut self) -> Action<'_, ()> {
        if let Some((to, payload)) = self.outbox.pop_front() {
            self.sending = payload;
            return Action::Transmit { to, payload: &self.sending };
        }
        let earliest = self.asked.values().map(|asked| asked.2).min();
        Action::Wait(earliest.map_or(self.next_round, |at| at.min(self.next_round)))
    }
}
