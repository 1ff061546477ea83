//! Whom to ask next for a sample of its infohashes (BEP 51): one ordered sweep of the key space.
//!
//! The sweep goes from the lowest id to the highest and begins again. It asks every [`STRIDE`]th node that may be asked: an
//! infohash is stored with the eight nodes nearest to it, so that a quarter of them, evenly spread, hold nearly all there
//! are; the others have their turn in the next rounds. A node is not asked again before the interval that it named has
//! passed, nor within an hour; one that is silent or does not know the query is left alone for a day. A query also asks for contacts: of the node's own neighbourhood, or, where no node is known for a
//! long way, of the beginning of that gap.
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
/// One of this many nodes is asked in each round.
pub const STRIDE: usize = 4;
/// A gap is this many times as wide as the mean distance of the nodes that are known.
const GAP: f64 = 16.0;
/// Steps between places at which nodes are looked for, of 256 around the key space: by the golden section, which leaves no
/// part out for long.
const LOOK_STEP: u8 = 159;
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
    /// Where the sweep has come.
    cursor: NodeId,
    /// Sweeps that were finished.
    sweeps: u64,
    /// Times that nodes were looked for.
    looks: u8,
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
            cursor: NodeId::ZERO,
            sweeps: 0,
            looks: 0,
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

    /// Sweeps that were finished.
    #[must_use]
    pub const fn sweeps(&self) -> u64 {
        self.sweeps
    }

    /// The share of the key space that this sweep has come by.
    #[must_use]
    pub fn place(&self) -> f64 {
        fraction(&self.cursor)
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

    /// Where nodes are looked for when none may be asked: first where the sweep is, then somewhere else each time. `None` where
    /// it sweeps nothing.
    #[must_use]
    pub fn look_at(&mut self) -> Option<Target> {
        let place = (self.place() * 255.0) as u8;
        let turn = self.looks.wrapping_mul(LOOK_STEP);
        self.looks = self.looks.wrapping_add(1);
        self.shares.first_from(Id([place.wrapping_add(1).wrapping_add(turn); 20])).map(Target)
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
        let ring = self.ready.range(self.cursor..).chain(self.ready.range(..self.cursor));
        let id = *ring.take(STRIDE).last()?;
        let round = id < self.cursor;
        self.sweeps += u64::from(round);
        let from = if round { NodeId::ZERO } else { self.cursor };
        let target = if self.is_gap(&from, &id) { from } else { id };
        self.cursor = id;
        let addr = self.nodes.get(&id)?.addr;
        self.put_off(id, now + LEFT_ALONE.as_secs());
        Some(Question { contact: Contact { id, addr }, target: Target(*target) })
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
        if let Some(id) = self.ids.get(&addr) {
            self.put_off(*id, now + wait.as_secs());
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
        let mut bytes = self.cursor.as_bytes().to_vec();
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
        if let Some(cursor) = bytes.first_chunk::<20>() {
            survey.cursor = NodeId::new(*cursor);
            survey.take_up(bytes, now);
        }
        survey
    }

    /// Who must not be asked when, as another sweep has saved it; where that one was does not matter here.
    pub fn take_up(&mut self, bytes: &[u8], now: UnixSeconds) {
        let Some((_, mut rest)) = bytes.split_first_chunk::<20>() else { return };
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
        let behind = self.ready.range(..self.cursor).rev().chain(self.ready.iter().rev()).take(LOOKED_AT);
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

    /// Whether the way from one id to another is so long that there must be nodes that we do not know.
    fn is_gap(&self, from: &Id, to: &Id) -> bool {
        (fraction(to) - fraction(from)) * self.nodes.len() as f64 > GAP
    }
}

/// Where an id lies in the key space, from 0 to 1.
fn fraction(id: &Id) -> f64 {
    let head = *id.0.first_chunk::<8>().expect("an id has twenty bytes");
    u64::from_be_bytes(head) as f64 / u64::MAX as f64
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

    fn sweep(survey: &mut Survey, now: UnixSeconds) -> Vec<Question> {
        std::iter::from_fn(|| survey.next(now)).collect()
    }

    #[test]
    fn who_finds_no_nodes_at_one_place_looks_everywhere() {
        let mut survey = Survey::new(true);
        let mut places: Vec<u8> = (0..12).map(|_| survey.look_at().unwrap().0.0[0]).collect();
        places.sort_unstable();
        let gaps = places.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.max().unwrap() < 40 && places[0] < 40 && places[11] > 215, "{places:?}");
    }

    #[test]
    fn each_round_asks_one_of_a_few_in_the_order_of_ids_and_each_node_once() {
        let mut survey = Survey::new(false);
        survey.learn((0..1_000).map(contact));
        let first: Vec<Question> = std::iter::from_fn(|| survey.next(NOW)).take(1_000 / STRIDE).collect();
        assert!(first.is_sorted_by_key(|question| question.contact.id));
        let mut all: Vec<_> = first.iter().chain(&sweep(&mut survey, NOW)).map(|question| question.contact).collect();
        assert_eq!(all.len(), 1_000);
        all.sort_by_key(|contact| contact.id);
        all.dedup();
        assert_eq!(all.len(), 1_000);
        assert_eq!(survey.wait(NOW), Some(LEFT_ALONE), "silent until heard");
    }

    #[test]
    fn a_quarter_of_the_nodes_hold_nearly_all_infohashes() {
        let mut survey = Survey::new(false);
        survey.learn((0..1_000).map(contact));
        let asked: BTreeSet<NodeId> = (0..250).map(|_| survey.next(NOW).unwrap().contact.id).collect();
        let ids: Vec<NodeId> = (0..1_000).map(|number| contact(number).id).collect();
        let seen = (0..100).filter(|number| {
            let key = contact(1_000_000 + number * 77).id;
            let mut nearest = ids.clone();
            nearest.sort_by_key(|id| id.distance(&key));
            nearest[..8].iter().any(|id| asked.contains(id))
        });
        let seen = seen.count();
        assert!(seen >= 90, "{seen} of 100");
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
    fn a_gap_is_asked_about_at_its_beginning() {
        let mut survey = Survey::new(false);
        let id = |first: u8| Contact { id: NodeId::new([first; 20]), addr: SocketAddr::from(([1, 2, first, 4], 1)) };
        survey.learn((1..=28).chain(225..=228).map(id));
        let asked: Vec<Question> = (0..8).map(|_| survey.next(NOW).unwrap()).collect();
        assert_eq!(asked[6].contact.id, NodeId::new([28; 20]));
        assert_eq!(*asked[6].target, Id([28; 20]));
        assert_eq!(asked[7].contact.id, NodeId::new([228; 20]));
        assert_eq!(*asked[7].target, Id([28; 20]), "what lies between 28 and 225?");
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
        let asked: Vec<_> = (0..50).map(|_| survey.next(NOW).unwrap().contact).collect();
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
        let asked: Vec<_> = (0..20).map(|_| one.next(NOW).unwrap().contact).collect();
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
