//! Our own address, as others see it: a vote (BEP 42, `ip`).
//!
//! One vote per provider (a /16 or /32), the newest counting, for an hour. An address that more than half of a quorum sees is
//! *settled*: from then on only those who had confirmed it can vote for another one, and none of them is displaced while its
//! vote lives. So an attacker needs as many networks as there are honest voters, and has to have told the truth for as long
//! as they did. The first address to settle takes many votes or a while, since a few liars may be the first to answer. Who
//! may vote at all is up to the caller.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::limits::ADDRESS_VOTERS;
use super::owner::{Level, network};
use super::presence::Presence;
use super::rules::Rules;
use super::time::Instant;

/// Time for which a vote counts. Contacts are asked again within a quarter of an hour.
const VOTE_LIFETIME: Duration = Duration::from_hours(1);

/// The voters.
#[derive(Clone, Debug)]
pub struct AddressVote {
    /// The network of each voter, the one that voted longest ago first.
    voters: VecDeque<u64>,
    /// Beside it, which address it saw, and when.
    votes: VecDeque<(SocketAddr, Instant)>,
    /// In a large network nearly every voter is a new one.
    known: Presence<{ 4 * ADDRESS_VOTERS }>,
    /// The address that was seen by more than half of a quorum last.
    settled: Option<IpAddr>,
    /// When the first vote was cast.
    began: Option<Instant>,
    rules: &'static Rules,
}

impl AddressVote {
    /// No votes yet. In a private network voters may share a network.
    #[must_use]
    pub const fn new(rules: &'static Rules) -> Self {
        Self {
            voters: VecDeque::new(),
            votes: VecDeque::new(),
            known: Presence::new(),
            settled: None,
            began: None,
            rules,
        }
    }

    /// Forgets all votes: they were about an address that we have no more.
    pub fn clear(&mut self) {
        *self = Self::new(self.rules);
    }

    /// Whether an address is settled.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.settled.is_some()
    }

    /// `voter` sees us at `ours`. Whether the vote counts.
    pub fn cast(&mut self, now: Instant, voter: &SocketAddr, ours: SocketAddr) -> bool {
        self.expire(now);
        let voter = if self.rules.diverse { network(voter.ip(), Level::Provider) } else { endpoint(voter) };
        let place = self.place_of(voter);
        let is_full = self.voters.len() >= ADDRESS_VOTERS;
        if place.is_none() && self.settled.is_some_and(|settled| is_full || ours.ip() != settled) {
            return false;
        }
        if let Some(gone) = place.or(is_full.then_some(0)) {
            self.remove(gone);
        }
        let began = *self.began.get_or_insert(now);
        self.known.add(voter);
        self.voters.push_back(voter);
        self.votes.push_back((ours, now));
        let is_ripe = self.votes.len() >= self.rules.settling_votes || now.since(began) >= self.rules.settling_time;
        if self.settled != Some(ours.ip()) && (self.settled.is_some() || is_ripe) {
            self.settled = self.majority().map(|winner| winner.ip()).or(self.settled);
        }
        true
    }

    fn expire(&mut self, now: Instant) {
        while self.votes.front().is_some_and(|(_, at)| now.since(*at) >= VOTE_LIFETIME) {
            self.remove(0);
        }
        if self.votes.is_empty() {
            (self.settled, self.began) = (None, None);
        }
    }

    fn remove(&mut self, index: usize) {
        self.known.remove(self.voters[index]);
        self.voters.remove(index);
        self.votes.remove(index);
    }

    fn place_of(&self, voter: u64) -> Option<usize> {
        let may_be_there = self.known.may_contain(voter);
        may_be_there.then(|| self.voters.iter().position(|other| *other == voter)).flatten()
    }

    /// The address that more than half of a quorum sees, with the port that most of those see; none before one is settled.
    #[must_use]
    pub fn winner(&self) -> Option<SocketAddr> {
        self.settled.and_then(|_| self.majority())
    }

    /// The same of those who voted so far, be an address settled or not: for what does no harm if it is wrong.
    #[must_use]
    pub fn majority(&self) -> Option<SocketAddr> {
        if self.votes.len() < self.rules.address_quorum {
            return None;
        }
        let ips: Vec<IpAddr> = self.votes.iter().map(|(ours, _)| ours.ip()).collect();
        let (ip, votes) = most_common(&ips)?;
        let ports: Vec<u16> =
            self.votes.iter().filter(|(ours, _)| ours.ip() == ip).map(|(ours, _)| ours.port()).collect();
        let (port, _) = most_common(&ports)?;
        (votes * 2 > self.votes.len()).then(|| SocketAddr::new(ip, port))
    }
}

impl AddressVote {
    /// Of those who see the address of the [`majority`](Self::majority), how many see its port, and how many there are: a
    /// translator that is symmetric shows each of them another port.
    #[must_use]
    pub fn port_votes(&self) -> (usize, usize) {
        let Some(winner) = self.majority() else { return (0, 0) };
        let alike = self.votes.iter().filter(|(ours, _)| ours.ip() == winner.ip());
        (alike.clone().filter(|(ours, _)| ours.port() == winner.port()).count(), alike.count())
    }
}

/// Tells endpoints apart. No node of a private network makes up addresses that are alike here.
fn endpoint(addr: &SocketAddr) -> u64 {
    let bits = match addr.ip() {
        IpAddr::V4(ip) => u32::from(ip).into(),
        IpAddr::V6(ip) => u128::from(ip),
    };
    ((bits ^ bits >> 64) as u64).rotate_left(16) ^ u64::from(addr.port())
}

fn most_common<T: Copy + Ord>(values: &[T]) -> Option<(T, usize)> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).max_by_key(|(_, count)| *count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: Rules = Rules { address_quorum: 5, settling_votes: 5, ..Rules::MAINLINE };

    fn addr(a: u8, port: u16) -> SocketAddr {
        ([a, 1, 1, 1], port).into()
    }

    fn cast(vote: &mut AddressVote, voters: std::ops::RangeInclusive<u8>, ours: SocketAddr) {
        for voter in voters {
            vote.cast(Instant::ZERO, &addr(voter, 1), ours);
        }
    }

    #[test]
    fn an_address_takes_a_quorum() {
        let mut vote = AddressVote::new(&FIVE);
        cast(&mut vote, 1..=4, addr(77, 6881));
        assert_eq!(vote.winner(), None, "no quorum");
        vote.cast(Instant::ZERO, &addr(5, 1), addr(77, 9));
        assert_eq!(vote.winner(), Some(addr(77, 6881)), "the port that most see");
        assert_eq!(vote.port_votes(), (4, 5));
    }

    #[test]
    fn most_votes_are_not_enough_where_they_are_not_more_than_half() {
        let mut vote = AddressVote::new(&Rules { address_quorum: 8, settling_votes: 8, ..Rules::MAINLINE });
        cast(&mut vote, 1..=3, addr(66, 1));
        cast(&mut vote, 11..=12, addr(77, 1));
        cast(&mut vote, 21..=23, addr(88, 1));
        vote.cast(Instant::ZERO, &addr(4, 1), addr(66, 1));
        assert_eq!((vote.votes.len(), vote.winner()), (9, None), "four of nine agree");
        vote.cast(Instant::ZERO, &addr(21, 1), addr(66, 1));
        assert_eq!((vote.votes.len(), vote.winner()), (9, Some(addr(66, 1))), "five of nine agree");
    }

    #[test]
    fn one_provider_has_one_vote() {
        for voters in [["1.1.1.1", "1.1.200.7", "1.1.9.9"], ["2001:db8::1", "2001:db8:1::1", "2001:db8:ffff::1"]] {
            let mut vote = AddressVote::new(&Rules { address_quorum: 2, settling_votes: 2, ..Rules::MAINLINE });
            for voter in voters {
                vote.cast(Instant::ZERO, &SocketAddr::new(voter.parse().unwrap(), 1), addr(66, 1));
            }
            assert_eq!((vote.votes.len(), vote.winner()), (1, None));
        }
    }

    #[test]
    fn liars_who_come_later_do_not_move_a_settled_address() {
        let mut vote = AddressVote::new(&FIVE);
        cast(&mut vote, 1..=20, addr(77, 1));
        cast(&mut vote, 100..=170, addr(66, 1));
        assert_eq!((vote.winner(), vote.votes.len()), (Some(addr(77, 1)), 20));
        // Not even when they tell the truth first: those who confirmed it before them stay.
        cast(&mut vote, 100..=170, addr(77, 1));
        cast(&mut vote, 180..=250, addr(77, 1));
        assert_eq!(vote.votes.len(), ADDRESS_VOTERS);
        cast(&mut vote, 180..=250, addr(66, 1));
        assert_eq!((vote.winner(), vote.votes.len()), (Some(addr(77, 1)), ADDRESS_VOTERS));
    }

    #[test]
    fn liars_who_answer_first_do_not_settle_an_address() {
        let mut vote = AddressVote::new(&Rules::MAINLINE);
        cast(&mut vote, 1..=10, addr(66, 1));
        assert_eq!(vote.winner(), None, "a quorum of liars");
        cast(&mut vote, 11..=23, addr(77, 1));
        assert_eq!((vote.winner(), vote.is_settled()), (None, false));
        vote.cast(Instant::ZERO, &addr(24, 1), addr(77, 1));
        assert_eq!(vote.winner(), Some(addr(77, 1)), "those who are more");
        // Where only a few answer at all, it takes a while.
        let mut vote = AddressVote::new(&Rules::MAINLINE);
        cast(&mut vote, 1..=11, addr(77, 1));
        assert_eq!(vote.winner(), None);
        vote.cast(Instant::ZERO + Rules::MAINLINE.settling_time, &addr(1, 1), addr(77, 1));
        assert_eq!(vote.winner(), Some(addr(77, 1)));
    }

    #[test]
    fn those_who_confirmed_an_address_can_move_it_and_old_votes_die() {
        let mut vote = AddressVote::new(&FIVE);
        cast(&mut vote, 1..=20, addr(77, 1));
        cast(&mut vote, 1..=10, addr(88, 1));
        assert_eq!(vote.winner(), None, "half of them are not more than half");
        vote.cast(Instant::ZERO, &addr(30, 1), addr(88, 1));
        assert_eq!(vote.winner(), None, "it did not confirm the old one");
        vote.cast(Instant::ZERO, &addr(11, 1), addr(88, 1));
        assert_eq!(vote.winner(), Some(addr(88, 1)));
        vote.cast(Instant::ZERO, &addr(30, 1), addr(88, 1));
        assert_eq!(vote.votes.len(), 21, "now it may");
        let later = Instant::ZERO + VOTE_LIFETIME;
        vote.cast(later, &addr(40, 1), addr(99, 1));
        assert_eq!((vote.votes.len(), vote.is_settled()), (1, false), "after an hour the first vote begins anew");
    }

    #[test]
    fn voters_are_bounded() {
        let mut vote = AddressVote::new(&Rules { address_quorum: 200, settling_votes: 200, ..Rules::MAINLINE });
        cast(&mut vote, 1..=200, addr(66, 1));
        assert_eq!((vote.votes.len(), vote.winner()), (ADDRESS_VOTERS, None));
    }

    #[test]
    fn three_neighbours_in_one_network_at_home_are_a_quorum() {
        for neighbours in
            ["192.168.1.10:6881 192.168.1.11:6881 192.168.1.12:6881", "[fd00::1]:1 [fd00::2]:2 [fd00::3]:3"]
        {
            let mut vote = AddressVote::new(&Rules::PRIVATE);
            for neighbour in neighbours.split(' ') {
                assert_eq!(vote.winner(), None);
                vote.cast(Instant::ZERO, &neighbour.parse().unwrap(), addr(77, 6881));
            }
            assert_eq!(vote.winner(), Some(addr(77, 6881)));
        }
    }
}
