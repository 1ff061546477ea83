//! Our own address, as others see it: a vote (BEP 42, `ip`).
//!
//! Only responses to queries of ours vote, one vote per /24 or /64, the newest counting; so an attacker needs as many
//! networks as there are honest voters.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use super::contact::subnet;
use super::limits::ADDRESS_VOTERS;
use super::presence::Presence;
use super::rules::Rules;

/// The voters.
#[derive(Clone, Debug)]
pub struct AddressVote {
    /// Who voted, the oldest first, and beside it for what.
    voters: VecDeque<u64>,
    votes: VecDeque<SocketAddr>,
    /// In a large network nearly every voter is a new one.
    known: Presence<{ 4 * ADDRESS_VOTERS }>,
    rules: &'static Rules,
}

impl AddressVote {
    /// No votes yet. In a private network voters may share a subnet.
    #[must_use]
    pub const fn new(rules: &'static Rules) -> Self {
        Self { voters: VecDeque::new(), votes: VecDeque::new(), known: Presence::new(), rules }
    }

    /// `voter` sees us at `ours`.
    pub fn cast(&mut self, voter: &SocketAddr, ours: SocketAddr) {
        let voter = if self.rules.diverse { subnet(voter.ip()) } else { endpoint(voter) };
        let oldest = (self.voters.len() >= ADDRESS_VOTERS).then_some(0);
        if let Some(gone) = self.place_of(voter).or(oldest) {
            self.known.remove(self.voters[gone]);
            self.voters.remove(gone);
            self.votes.remove(gone);
        }
        self.known.add(voter);
        self.voters.push_back(voter);
        self.votes.push_back(ours);
    }

    fn place_of(&self, voter: u64) -> Option<usize> {
        let may_be_there = self.known.may_contain(voter);
        may_be_there.then(|| self.voters.iter().position(|other| *other == voter)).flatten()
    }

    /// The address that more than half of a quorum sees, with the port that most of those see.
    #[must_use]
    pub fn winner(&self) -> Option<SocketAddr> {
        if self.votes.len() < self.rules.address_quorum {
            return None;
        }
        let ips: Vec<IpAddr> = self.votes.iter().map(SocketAddr::ip).collect();
        let (ip, votes) = most_common(&ips)?;
        let ports: Vec<u16> = self.votes.iter().filter(|addr| addr.ip() == ip).map(SocketAddr::port).collect();
        let (port, _) = most_common(&ports)?;
        (votes * 2 > self.votes.len()).then(|| SocketAddr::new(ip, port))
    }
}

/// Tells endpoints apart; nobody in a private network makes up addresses that are alike here.
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

    const FIVE: Rules = Rules { address_quorum: 5, ..Rules::MAINLINE };

    fn addr(a: u8, port: u16) -> SocketAddr {
        ([a, 1, 1, 1], port).into()
    }

    #[test]
    fn a_majority_of_a_quorum_wins() {
        let mut vote = AddressVote::new(&FIVE);
        for voter in 1..=4 {
            vote.cast(&addr(voter, 1), addr(77, 6881));
        }
        assert_eq!(vote.winner(), None, "no quorum");
        vote.cast(&addr(5, 1), addr(77, 9));
        assert_eq!(vote.winner(), Some(addr(77, 6881)));
        for voter in 6..=12 {
            vote.cast(&addr(voter, 1), addr(88, 1));
        }
        assert_eq!(vote.winner(), Some(addr(88, 1)));
    }

    #[test]
    fn one_subnet_has_one_vote() {
        let mut vote = AddressVote::new(&Rules { address_quorum: 2, ..Rules::MAINLINE });
        for port in 1..100 {
            vote.cast(&addr(1, port), addr(66, 1));
        }
        assert_eq!(vote.winner(), None);
    }

    #[test]
    fn voters_are_bounded_and_the_newest_count() {
        let mut vote = AddressVote::new(&FIVE);
        for voter in 1..=200 {
            vote.cast(&addr(voter, 1), addr(if voter <= 100 { 66 } else { 77 }, 1));
        }
        assert_eq!((vote.votes.len(), vote.winner()), (ADDRESS_VOTERS, Some(addr(77, 1))));
    }

    #[test]
    fn three_neighbours_in_one_network_at_home_are_a_quorum() {
        for neighbours in
            ["192.168.1.10:6881 192.168.1.11:6881 192.168.1.12:6881", "[fd00::1]:1 [fd00::2]:2 [fd00::3]:3"]
        {
            let mut vote = AddressVote::new(&Rules::PRIVATE);
            for neighbour in neighbours.split(' ') {
                assert_eq!(vote.winner(), None);
                vote.cast(&neighbour.parse().unwrap(), addr(77, 6881));
            }
            assert_eq!(vote.winner(), Some(addr(77, 6881)));
        }
    }
}
