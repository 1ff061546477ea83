//! Whom to ask next for a sample of its infohashes (BEP 51): ordered sweeps of the key space.
//!
//! The key space has [`LANES`] lanes, and a sweep goes through each from its lowest id to its highest and begins again. It does not
//! ask everyone: an infohash is stored with the eight nodes nearest to it, so that a quarter of the nodes, evenly spread, hold
//! nearly all there are. So a step is [`STRIDE`] times the mean distance of the nodes that are known, and the others have their
//! turn in later sweeps, which begin elsewhere within a step. Each query asks for contacts at the end of the next step: nodes that
//! are close by XOR know mostly each other, so that a survey that asks nodes for their own neighbourhood never leaves it. Where nobody is known
//! ahead, those nearest to that place are asked for it first. As more nodes become known the steps become shorter.
//!
//! A node is not asked again before the interval that it named has passed, nor within an hour; one that is silent or does not know
//! the query is left alone for a day.
//!
//! Told the time in seconds since 1970, so that a restart changes nothing. Bounded: [`MOST_NODES`], and
//! [`MOST_OF_AN_OWNER`] of a network, since ids cost nothing to an attacker who has addresses.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use super::entry::UnixSeconds;
use super::shares::Shares;
use crate::engine::contact::Contact;
use crate::engine::id::{Id, NodeId, Target};
use crate::engine::owner::owner;

/// Most nodes that are remembered.
pub const MOST_NODES: usize = 200_000;
/// Most nodes of a /24 or /48 that are remembered.
pub const MOST_OF_AN_OWNER: u32 = 8;
/// Least time between two queries to one node, whatever it says.
pub const LEAST_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Longest interval that is believed (BEP 51: from 0 to 21,600 seconds).
const LONGEST_INTERVAL: Duration = Duration::from_secs(21_600);
/// Time for which a node is left alone that was silent or does not know the query.
pub const LEFT_ALONE: Duration = Duration::from_secs(24 * 60 * 60);
/// One of this many nodes is asked in a sweep.
pub const STRIDE: u128 = 4;
/// Parts of the key space that are swept side by side. In each one answer is awaited at a time: it names the nodes ahead.
pub const LANES: usize = 16;
/// The width of a lane, in positions.
const LANE: u128 = KEY_SPACE / LANES as u128;
/// Positions of ids: their first eight bytes.
const KEY_SPACE: u128 = 1 << 64;
/// It is a gap where nobody is known for this many steps.
const GAP: u128 = 2;
/// Nodes that are asked about one gap before the sweep goes on behind it.
const MOST_GUIDES: u8 = 2;
/// Where within the first step sweeps begin, in quarters of it, in turn: each visits other nodes than the one before.
const BEGINNINGS: [u128; 4] = [2, 0, 3, 1];
/// Longest time that a lane waits for an answer.
const ANSWER_WITHIN: UnixSeconds = 60;
/// Nodes on either side of a place among which the nearest one to it is looked for.
const BESIDE: usize = 8;
/// Nodes that are looked at for one to forget.
const LOOKED_AT: usize = 64;

/// The sweep.
#[derive(Debug)]
pub struct Survey {
    nodes: BTreeMap<NodeId, Known>,
    /// Those that may be asked.
    ready: BTreeSet<NodeId>,
    /// The others, by the time when they may be.
    later: BTreeSet<(UnixSeconds, NodeId)>,
    /// The id under which each address is known: one address, one id.
    ids: HashMap<SocketAddr, NodeId>,
    owners: HashMap<u64, u32>,
    /// Whether many nodes may share a network, as in a private one.
    private_network: bool,
    /// The shares of the key space that it sweeps.
    shares: Shares,
    lanes: [Lane; LANES],
    /// The lane whose turn it is.
    turn: usize,
}

/// A part of the key space, and how far its sweep has come.
#[derive(Clone, Copy, Debug, Default)]
struct Lane {
    /// The position of the node that was asked last; nothing at the beginning.
    cursor: Option<u64>,
    /// Nodes that were asked about the gap ahead.
    guides: u8,
    /// Nodes that were asked on the way.
    asked: usize,
    /// Whether it comes close to those that were asked before: the sweep before found nobody far from them.
    fills: bool,
    /// Which of the [`BEGINNINGS`] it has.
    beginning: usize,
    /// Sweeps that were finished, of those in which somebody was asked.
    sweeps: u64,
    /// Whose answer is awaited, and since when.
    awaits: Option<(NodeId, UnixSeconds)>,
}

impl Lane {
    /// The sweep is over, and begins again.
    fn begin_again(&mut self) {
        let (fills, beginning) = (self.asked == 0, (self.beginning + 1) % BEGINNINGS.len());
        let sweeps = self.sweeps + u64::from(self.asked > 0);
        *self = Self { cursor: None, guides: 0, asked: 0, fills, beginning, sweeps, awaits: self.awaits };
    }

    fn waits(&self, now: UnixSeconds) -> bool {
        self.awaits.is_some_and(|(_, since)| now < since + ANSWER_WITHIN)
    }
}

#[derive(Clone, Copy, Debug)]
struct Known {
    addr: SocketAddr,
    /// When it may be asked; 0 if it never was.
    due: UnixSeconds,
}

/// A query to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The node.
    pub contact: Contact,
    /// Near what contacts are wanted.
    pub target: Target,
}

/// What a node said to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// A sample, and an interval.
    Sample(Duration),
    /// It does not know the query.
    Unsupported,
    /// Nothing.
    Silent,
}

impl Survey {
    /// A sweep that knows no node yet. In a private network one /24 may hold them all.
    #[must_use]
    pub fn new(private_network: bool) -> Self {
        Self {
            nodes: BTreeMap::new(),
            ready: BTreeSet::new(),
            later: BTreeSet::new(),
            ids: HashMap::new(),
            owners: HashMap::new(),
            private_network,
            shares: Shares::ALL,
            lanes: [Lane::default(); LANES],
            turn: 0,
        }
    }

    /// Nodes that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether no node is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Sweeps of all lanes with nodes that were finished.
    #[must_use]
    pub fn sweeps(&self) -> u64 {
        let has_nodes = |number: &usize| {
            let place = NodeId(id_at(start_of(*number)));
            self.nodes.range(place..).next().is_some_and(|(id, _)| lane_of(id) == *number)
        };
        (0..LANES).filter(has_nodes).map(|number| self.lanes[number].sweeps).min().unwrap_or_default()
    }

    /// The share of its lanes that this sweep has come by, from 0 to 1.
    #[must_use]
    pub fn place(&self) -> f64 {
        let come = |number: usize| {
            let cursor = self.lanes[number].cursor.map_or(start_of(number), u128::from);
            (cursor - start_of(number)) as f64 / LANE as f64
        };
        let held = self.held_lanes().count().max(1);
        self.held_lanes().map(come).sum::<f64>() / held as f64
    }

    /// The shares of the key space that it sweeps.
    #[must_use]
    pub const fn shares(&self) -> Shares {
        self.shares
    }

    /// Sweeps these shares from now on, and forgets the nodes of all others.
    pub fn hold(&mut self, shares: Shares) {
        self.shares = shares;
        let others: Vec<NodeId> = self.nodes.keys().filter(|id| !shares.hold(id)).copied().collect();
        others.iter().for_each(|id| self.forget(id));
    }

    /// Where nodes are looked for when none may be asked: in another lane each time; `None` where it sweeps nothing.
    #[must_use]
    pub fn look_at(&mut self) -> Option<Target> {
        self.turn = (self.turn + 1) % LANES;
        self.shares.first_from(id_at(start_of(self.turn) + LANE / 2)).map(Target)
    }

    /// Takes in contacts that a node named. Nothing of them is believed before they answer.
    pub fn learn(&mut self, contacts: impl IntoIterator<Item = Contact>) {
        for contact in contacts {
            let known = self.ids.contains_key(&contact.addr) || self.nodes.contains_key(&contact.id);
            if known || !self.shares.hold(&contact.id) || !self.has_room(&contact) {
                continue;
            }
            self.insert(contact, 0);
        }
    }

    /// The next question, if a node may be asked. It counts as silent until [`heard`](Self::heard).
    pub fn next(&mut self, now: UnixSeconds) -> Option<Question> {
        self.wake(now);
        for _ in 0..LANES {
            let number = self.turn;
            self.turn = (self.turn + 1) % LANES;
            if self.lanes[number].waits(now) {
                continue;
            }
            // One of the beginnings comes by every node of the lane.
            let stepped = BEGINNINGS.iter().find_map(|_| self.step(number));
            if let Some((id, target)) = stepped {
                let addr = self.nodes.get(&id)?.addr;
                self.lanes[number].awaits = Some((id, now));
                self.put_off(id, now + LEFT_ALONE.as_secs());
                return Some(Question { contact: Contact { id, addr }, target: Target(target) });
            }
        }
        None
    }

    /// The next step in a lane: whom to ask, and about what place. Nothing where it ended, to begin again.
    fn step(&mut self, number: usize) -> Option<(NodeId, Id)> {
        let (lane, width) = (self.lanes[number], self.width());
        let (start, end) = (start_of(number), start_of(number) + LANE);
        let beginning = width.min(LANE) * BEGINNINGS[lane.beginning] / 4;
        let mut wanted = lane.cursor.map_or(start + beginning, |cursor| u128::from(cursor) + width);
        // While few were asked, each is asked far from the others.
        if !lane.fills && self.later.len() * STRIDE as usize <= self.nodes.len() {
            wanted = self.far_from_asked(wanted, width);
        }
        let in_lane = |id: &NodeId| position(id) < end;
        let place = (wanted < end).then(|| self.shares.first_from(id_at(wanted))).flatten().map(NodeId);
        let Some(place) = place.filter(|place| position(place) >= wanted.min(end) && in_lane(place)) else {
            self.lanes[number].begin_again();
            return None;
        };
        let known = self.nodes.range(place..).next().map_or(end, |(id, _)| position(id).min(end));
        if known - position(&place) > GAP * width && lane.guides < MOST_GUIDES {
            self.lanes[number].guides += 1;
            return self.nearest_ready(&place).map(|guide| (guide, *place));
        }
        let Some(next) = self.ready.range(place..).next().copied().filter(in_lane) else {
            self.lanes[number].begin_again();
            return None;
        };
        let lane = &mut self.lanes[number];
        (lane.cursor, lane.guides) = (u64::try_from(position(&next)).ok(), 0);
        lane.asked += 1;
        let ahead = id_at((position(&next) + width) % KEY_SPACE);
        Some((next, self.shares.first_from(ahead).unwrap_or(ahead)))
    }

    /// The first position from this one on that is half a step from all who may not be asked again yet.
    fn far_from_asked(&self, mut wanted: u128, width: u128) -> u128 {
        while wanted < KEY_SPACE {
            let last = (wanted + width / 2).min(KEY_SPACE - 1);
            let around = NodeId(id_at(wanted.saturating_sub(width / 2)))..=NodeId(id_at(last));
            let asked = self.nodes.range(around).map(|(id, _)| id).find(|id| !self.ready.contains(*id));
            let Some(asked) = asked else { break };
            wanted = position(asked) + width;
        }
        wanted
    }

    /// The width of a step: some of the nodes that are known lie in each, on average.
    fn width(&self) -> u128 {
        let held = KEY_SPACE / Shares::ALL.count() as u128 * self.shares.count() as u128;
        (STRIDE * held / self.nodes.len().max(1) as u128).max(1)
    }

    /// Of those that may be asked and lie beside a place, the one that is nearest by XOR.
    fn nearest_ready(&self, place: &NodeId) -> Option<NodeId> {
        let behind = self.ready.range(..place).rev().take(BESIDE);
        behind.chain(self.ready.range(place..).take(BESIDE)).min_by_key(|id| id.distance(place)).copied()
    }

    /// The lanes of which it holds a share.
    fn held_lanes(&self) -> impl Iterator<Item = usize> {
        (0..LANES).filter(|number| {
            let first = self.shares.first_from(id_at(start_of(*number)));
            first.is_some_and(|id| lane_of(&id) == *number)
        })
    }

    /// How long no node may be asked; nothing where none is known.
    #[must_use]
    pub fn wait(&self, now: UnixSeconds) -> Option<Duration> {
        match (self.ready.is_empty(), self.later.first()) {
            (false, _) => Some(Duration::ZERO),
            (true, first) => first.map(|(due, _)| Duration::from_secs(due.saturating_sub(now))),
        }
    }

    /// What came of a question.
    pub fn heard(&mut self, now: UnixSeconds, addr: SocketAddr, reaction: Reaction) {
        let wait = match reaction {
            Reaction::Sample(interval) => interval.clamp(LEAST_INTERVAL, LONGEST_INTERVAL),
            Reaction::Unsupported | Reaction::Silent => LEFT_ALONE,
        };
        if let Some(id) = self.ids.get(&addr).copied() {
            self.put_off(id, now + wait.as_secs());
            let awaiting = |lane: &&mut Lane| lane.awaits.is_some_and(|(asked, _)| asked == id);
            self.lanes.iter_mut().filter(awaiting).for_each(|lane| lane.awaits = None);
        }
    }

    /// All that must survive a restart: where the sweep is, and who must not be asked when. The rest is found again.
    #[must_use]
    pub fn save(&self, now: UnixSeconds) -> Vec<u8> {
        self.save_of(Shares::ALL, now)
    }

    /// The same of some shares, for whoever sweeps them next.
    #[must_use]
    pub fn save_of(&self, shares: Shares, now: UnixSeconds) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            self.lanes.iter().flat_map(|lane| lane.cursor.unwrap_or_default().to_be_bytes()).collect();
        for (id, known) in self.nodes.iter().filter(|(id, known)| known.due > now && shares.hold(id)) {
            bytes.extend(id.as_bytes());
            bytes.extend(known.due.to_be_bytes());
            match known.addr.ip() {
                std::net::IpAddr::V4(ip) => bytes.extend([&[4], &ip.octets()[..]].concat()),
                std::net::IpAddr::V6(ip) => bytes.extend([&[6], &ip.octets()[..]].concat()),
            }
            bytes.extend(known.addr.port().to_be_bytes());
        }
        bytes
    }

    /// Takes up what was saved; as much of it as can be read.
    #[must_use]
    pub fn restore(bytes: &[u8], now: UnixSeconds, private_network: bool) -> Self {
        let mut survey = Self::new(private_network);
        if let Some(cursors) = bytes.first_chunk::<SAVED_CURSORS>() {
            for (number, (lane, cursor)) in survey.lanes.iter_mut().zip(cursors.as_chunks().0).enumerate() {
                let cursor = u64::from_be_bytes(*cursor);
                lane.cursor = Some(cursor)
                    .filter(|cursor| (start_of(number)..start_of(number) + LANE).contains(&(*cursor).into()));
            }
            survey.take_up(bytes, now);
        }
        survey
    }

    /// Who must not be asked when, as another sweep has saved it; where that one was does not matter here.
    pub fn take_up(&mut self, bytes: &[u8], now: UnixSeconds) {
        let Some((_, mut rest)) = bytes.split_first_chunk::<SAVED_CURSORS>() else { return };
        while let Some((contact, due)) = read_node(&mut rest) {
            let known = self.ids.contains_key(&contact.addr) || self.nodes.contains_key(&contact.id);
            if !known && self.shares.hold(&contact.id) && self.has_room(&contact) {
                // No time that was saved lies further away than a day.
                self.insert(contact, due.min(now + LEFT_ALONE.as_secs()));
            }
        }
    }

    fn insert(&mut self, contact: Contact, due: UnixSeconds) {
        self.nodes.insert(contact.id, Known { addr: contact.addr, due });
        self.ids.insert(contact.addr, contact.id);
        *self.owners.entry(owner(contact.addr.ip())).or_default() += 1;
        match due {
            0 => drop(self.ready.insert(contact.id)),
            due => drop(self.later.insert((due, contact.id))),
        }
    }

    /// From when on the node may be asked.
    fn put_off(&mut self, id: NodeId, due: UnixSeconds) {
        let Some(known) = self.nodes.get_mut(&id) else { return };
        self.ready.remove(&id);
        self.later.remove(&(known.due, id));
        known.due = due;
        self.later.insert((due, id));
    }

    /// Those whose time has come may be asked.
    fn wake(&mut self, now: UnixSeconds) {
        while let Some(&(due, id)) = self.later.first().filter(|(due, _)| *due <= now) {
            self.later.remove(&(due, id));
            self.ready.insert(id);
        }
    }

    fn has_room(&mut self, contact: &Contact) -> bool {
        let of_owner = self.owners.get(&owner(contact.addr.ip())).copied().unwrap_or_default();
        if of_owner >= MOST_OF_AN_OWNER && !self.private_network {
            return false;
        }
        self.nodes.len() < MOST_NODES || self.forget_one()
    }

    /// Forgets a node that the sweep comes by last, and that was never asked: it will be found again.
    fn forget_one(&mut self) -> bool {
        let lane = self.lanes[self.turn];
        let cursor = NodeId(id_at(lane.cursor.map_or(start_of(self.turn), u128::from)));
        let behind = self.ready.range(..cursor).rev().chain(self.ready.iter().rev()).take(LOOKED_AT);
        let found = behind.copied().find(|id| self.nodes.get(id).is_some_and(|known| known.due == 0));
        found.inspect(|id| self.forget(id)).is_some()
    }

    fn forget(&mut self, id: &NodeId) {
        let Some(known) = self.nodes.remove(id) else { return };
        self.ready.remove(id);
        self.later.remove(&(known.due, *id));
        self.ids.remove(&known.addr);
        let owner = owner(known.addr.ip());
        if let Some(count) = self.owners.get_mut(&owner) {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(&owner);
            }
        }
    }
}

/// Bytes of the places of all lanes in what is saved.
const SAVED_CURSORS: usize = LANES * 8;

/// Where a lane begins.
const fn start_of(lane: usize) -> u128 {
    lane as u128 * LANE
}

fn lane_of(id: &Id) -> usize {
    (position(id) / LANE) as usize
}

/// Where an id lies in the key space.
fn position(id: &Id) -> u128 {
    u64::from_be_bytes(*id.0.first_chunk().expect("an id has twenty bytes")).into()
}

/// The first id at a position of the key space.
fn id_at(position: u128) -> Id {
    let mut id = [0; 20];
    id[..8].copy_from_slice(&(position as u64).to_be_bytes());
    Id(id)
}

fn read_node(rest: &mut &[u8]) -> Option<(Contact, UnixSeconds)> {
    let (id, tail) = rest.split_first_chunk::<20>()?;
    let (due, tail) = tail.split_first_chunk::<8>()?;
    let (kind, tail) = tail.split_first()?;
    let (ip, tail): (std::net::IpAddr, _) = match kind {
        4 => tail.split_first_chunk::<4>().map(|(ip, tail)| ((*ip).into(), tail))?,
        6 => tail.split_first_chunk::<16>().map(|(ip, tail)| ((*ip).into(), tail))?,
        _ => return None,
    };
    let (port, tail) = tail.split_first_chunk::<2>()?;
    *rest = tail;
    let addr = SocketAddr::new(ip, u16::from_be_bytes(*port));
    Some((Contact { id: NodeId::new(*id), addr }, u64::from_be_bytes(*due)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = 1_800_000_000;
    const HOUR: UnixSeconds = 3_600;

    fn contact(number: u32) -> Contact {
        let mut id = [0; 20];
        id[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
        Contact { id: NodeId::new(id), addr: SocketAddr::from(((0x0100_0000 + (number << 8)).to_be_bytes(), 6881)) }
    }

    /// Asks one node, which is silent.
    fn ask(survey: &mut Survey, now: UnixSeconds) -> Option<Question> {
        let question = survey.next(now)?;
        survey.heard(now, question.contact.addr, Reaction::Silent);
        Some(question)
    }

    fn sweep(survey: &mut Survey, now: UnixSeconds) -> Vec<Question> {
        std::iter::from_fn(|| ask(survey, now)).collect()
    }

    #[test]
    fn each_sweep_asks_one_of_a_few_in_the_order_of_ids_and_each_node_once() {
        let mut survey = Survey::new(false);
        survey.learn((0..1_000).map(contact));
        let mut first = Vec::new();
        while survey.sweeps() == 0 {
            first.push(ask(&mut survey, NOW).unwrap());
        }
        assert!((200..=400).contains(&first.len()), "{} of 1,000", first.len());
        for lane in 0..LANES {
            let own = first.iter().map(|question| question.contact.id).filter(|id| lane_of(id) == lane);
            let beyond = own.clone().zip(own.skip(1)).filter(|(one, next)| one > next);
            assert!(beyond.count() <= 1, "lane {lane} began again once at the most");
        }
        let mut all: Vec<_> = first.iter().chain(&sweep(&mut survey, NOW)).map(|question| question.contact).collect();
        assert_eq!(all.len(), 1_000);
        all.sort_by_key(|contact| contact.id);
        all.dedup();
        assert_eq!(all.len(), 1_000);
        assert_eq!(survey.wait(NOW), Some(LEFT_ALONE));
    }

    /// A network as XOR has it: of each half, quarter, eighth ... of the key space that is not its own a node knows eight.
    struct Network {
        ids: Vec<NodeId>,
    }

    impl Network {
        fn new(size: u32) -> Self {
            let mut ids: Vec<NodeId> = (0..size).map(|number| contact(number).id).collect();
            ids.sort_unstable();
            Self { ids }
        }

        /// The eight nodes nearest to a place.
        fn nearest(&self, place: &Id) -> Vec<NodeId> {
            let mut ids = self.ids.clone();
            ids.select_nth_unstable_by_key(8, |id| id.distance(place));
            ids.truncate(8);
            ids
        }

        /// What a node knows near a place: with as many bits in common as it has itself, or of its own neighbourhood.
        fn answer(&self, by: &NodeId, place: &Id) -> Vec<Contact> {
            let bits = by.distance(place).0.iter().fold((0, true), |(bits, equal), byte| match equal {
                true => (bits + byte.leading_zeros(), *byte == 0),
                false => (bits, false),
            });
            let (bits, _) = bits;
            let shared = |id: &NodeId| position(id) >> (63 - bits.min(63)) == position(place) >> (63 - bits.min(63));
            let bucket: Vec<NodeId> = self.ids.iter().copied().filter(shared).collect();
            // Which eight of many a node knows is chance.
            let stride = (bucket.len() / 8).max(1);
            let first = by.0.0[19] as usize % stride;
            let mut known: Vec<NodeId> = bucket.iter().skip(first).step_by(stride).copied().collect();
            known.extend(self.nearest(by));
            known.sort_by_key(|id| id.distance(place));
            known.dedup();
            known.truncate(8);
            known.into_iter().map(|id| contact(number_of(&id))).collect()
        }
    }

    /// The number that [`contact`] made an id of.
    fn number_of(id: &NodeId) -> u32 {
        let head = u32::from_be_bytes(*id.0.0.first_chunk().unwrap());
        // The inverse of the odd multiplier, by Newton's iteration.
        let inverse = (0..5)
            .fold(1u32, |inverse, _| inverse.wrapping_mul(2u32.wrapping_sub(0x9e37_79b1u32.wrapping_mul(inverse))));
        head.wrapping_mul(inverse)
    }

    #[test]
    fn from_eight_neighbours_it_finds_the_network_and_with_a_quarter_of_it_nearly_all_infohashes() {
        for size in [600, 1_500] {
            let network = Network::new(size);
            let mut survey = Survey::new(true);
            survey.learn(network.nearest(&Id([1; 20])).iter().map(|id| contact(number_of(id))));
            let mut asked = BTreeSet::new();
            while asked.len() < size as usize / 4 {
                // Some answers are on their way at a time.
                let questions: Vec<Question> = (0..10).map_while(|_| survey.next(NOW)).collect();
                assert!(!questions.is_empty(), "stuck after {} of {size}", asked.len());
                for Question { contact: Contact { id, addr }, target } in questions {
                    asked.insert(id);
                    survey.heard(NOW, addr, Reaction::Sample(LEAST_INTERVAL));
                    survey.learn(network.answer(&id, &target));
                }
            }
            let seen = (0..200).filter(|number| {
                network.nearest(&contact(1_000_000 + number * 77).id).iter().any(|id| asked.contains(id))
            });
            let (seen, known) = (seen.count(), survey.len());
            assert!(seen >= 176 && known * 10 >= size as usize * 6, "{seen} of 200 seen, {known} of {size} known");
        }
    }

    #[test]
    fn nobody_is_asked_within_its_interval_nor_within_an_hour() {
        let mut survey = Survey::new(false);
        survey.learn((0..4).map(contact));
        sweep(&mut survey, NOW);
        let (short, long) = (Duration::from_secs(0), Duration::from_secs(1 << 40));
        for (number, reaction) in [
            (0, Reaction::Sample(short)),
            (1, Reaction::Sample(long)),
            (2, Reaction::Unsupported),
            (3, Reaction::Silent),
        ] {
            survey.heard(NOW, contact(number).addr, reaction);
        }
        let asked = |survey: &mut Survey, now| -> Vec<Contact> {
            sweep(survey, now).into_iter().map(|question| question.contact).collect()
        };
        assert!(asked(&mut survey, NOW + HOUR - 1).is_empty());
        assert_eq!(asked(&mut survey, NOW + HOUR), [contact(0)]);
        assert_eq!(asked(&mut survey, NOW + 6 * HOUR), [contact(1)]);
        assert_eq!(asked(&mut survey, NOW + 24 * HOUR).len(), 2);
        assert!(survey.sweeps() >= 1);
    }

    #[test]
    fn who_lies_nearest_to_a_gap_is_asked_about_it_before_the_sweep_goes_on_behind_it() {
        let mut survey = Survey::new(false);
        let node = |number: u16, place: u128| {
            let [high, low] = number.to_be_bytes();
            Contact { id: NodeId(id_at(place)), addr: SocketAddr::from(([1, high, low, 4], 1)) }
        };
        // A fifth of the first lane is crowded, and then there is nobody up to its end.
        survey.learn((1..=900).map(|number| node(number, u128::from(number) << 48)));
        let (crowded, behind) = (900 << 48, node(1_000, LANE - 1));
        survey.learn([behind]);
        let asked = sweep(&mut survey, NOW);
        let behind = asked.iter().position(|question| question.contact == behind).expect("it is asked in the end");
        let gap = crowded + 1..LANE - 1;
        // Who is asked on the way is asked about a place one step ahead of itself.
        let on_the_way =
            |question: &Question| position(&question.target) == position(&question.contact.id) + survey.width();
        let about = asked[..behind].iter().filter(|question| gap.contains(&position(&question.target)));
        let guides = about.filter(|question| !on_the_way(question)).count();
        assert_eq!(guides, usize::from(MOST_GUIDES));
    }

    #[test]
    fn who_may_ask_nobody_looks_for_nodes_everywhere() {
        let mut survey = Survey::new(true);
        let lanes: BTreeSet<usize> = (0..LANES).map(|_| lane_of(&survey.look_at().unwrap())).collect();
        assert_eq!(lanes.len(), LANES);
    }

    #[test]
    fn a_lane_waits_for_an_answer_but_not_for_ever() {
        let mut survey = Survey::new(false);
        survey.learn((0..1_000).map(contact));
        let asked: Vec<Question> = std::iter::from_fn(|| survey.next(NOW)).collect();
        assert_eq!(asked.len(), LANES, "one of each");
        survey.heard(NOW, asked[3].contact.addr, Reaction::Silent);
        assert_eq!(lane_of(&survey.next(NOW).unwrap().contact.id), lane_of(&asked[3].contact.id));
        assert_eq!(survey.next(NOW + ANSWER_WITHIN - 1), None);
        assert!(survey.next(NOW + ANSWER_WITHIN).is_some());
    }

    #[test]
    fn one_network_does_not_fill_it_and_one_address_has_one_id() {
        let mut survey = Survey::new(false);
        let of_one = |port| Contact { id: NodeId::new([port as u8; 20]), addr: SocketAddr::from(([9, 9, 9, 9], port)) };
        survey.learn((1..100).map(of_one));
        assert_eq!(survey.len(), MOST_OF_AN_OWNER as usize);
        let ids = |id| Contact { id: NodeId::new([id; 20]), addr: SocketAddr::from(([8, 8, 8, 8], 1)) };
        survey.learn((0..100).map(ids));
        assert_eq!(survey.len(), MOST_OF_AN_OWNER as usize + 1);
    }

    #[test]
    fn a_restart_asks_nobody_again() {
        let mut survey = Survey::new(false);
        survey.learn((0..100).map(contact));
        let asked: Vec<_> = (0..50).map(|_| ask(&mut survey, NOW).unwrap().contact).collect();
        let saved = survey.save(NOW);
        let mut again = Survey::restore(&saved, NOW + 10, false);
        assert_eq!((again.len(), again.place()), (50, survey.place()));
        again.learn((0..100).map(contact));
        let later: Vec<_> = sweep(&mut again, NOW + 10).into_iter().map(|question| question.contact).collect();
        assert_eq!(later.len(), 50);
        assert!(later.iter().all(|contact| !asked.contains(contact)));
        for cut in 0..saved.len() {
            let _ = Survey::restore(&saved[..cut], NOW, false);
        }
    }

    #[test]
    fn a_sweep_asks_nodes_of_its_shares_alone_and_hands_over_who_was_asked() {
        let (mut one, mut two) = (Survey::new(false), Survey::new(false));
        let half: Shares = (0..32).collect();
        one.learn((0..400).map(contact));
        one.hold(half);
        two.hold(Shares::ALL.without(half));
        two.learn((0..400).map(contact));
        assert_eq!(one.len() + two.len(), 400);
        assert!(one.look_at().is_some_and(|target| half.hold(&target)));
        let asked: Vec<_> = (0..20).map(|_| ask(&mut one, NOW).unwrap().contact).collect();
        assert!(asked.iter().all(|contact| half.hold(&contact.id)));
        assert!(sweep(&mut two, NOW).iter().all(|question| !half.hold(&question.contact.id)));
        // One dies, and two takes over share by share.
        two.hold(Shares::ALL);
        half.iter().for_each(|share| two.take_up(&one.save_of(Shares::NONE.with(share), NOW), NOW));
        two.learn((0..400).map(contact));
        let again = sweep(&mut two, NOW + 1);
        assert!(!again.is_empty() && again.iter().all(|question| !asked.contains(&question.contact)));
        two.hold(Shares::NONE);
        assert_eq!((two.len(), two.next(NOW), two.look_at()), (0, None, None));
        assert!(two.ids.is_empty() && two.owners.is_empty() && two.later.is_empty());
    }

    #[test]
    fn it_is_bounded() {
        let mut survey = Survey::new(false);
        survey.learn((0..300_000).map(contact));
        assert_eq!(survey.len(), MOST_NODES);
        assert!(survey.ids.len() == MOST_NODES && survey.owners.len() <= MOST_NODES);
    }
}
