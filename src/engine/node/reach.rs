//! Whether strangers can reach us (BEP 43): a node that does not know stays read-only until they did.
//!
//! Proof is a query from an address that we have not contacted lately, so that no NAT had a hole for it. One such query
//! may have other causes (a memory that has lost the address, a forged source), so it takes [`PROOFS`] from different
//! networks within [`WINDOW`].

use std::net::SocketAddr;
use std::time::Duration;

use super::Node;
use super::event::Event;
use crate::engine::budgets::RecentEndpoints;
use crate::engine::owner::owner;
use crate::engine::random::Random;
use crate::engine::rules::Rules;
use crate::engine::time::Instant;

/// When a node answers queries (BEP 43).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serve {
    /// From the start.
    #[default]
    Always,
    /// From the moment that strangers have reached it; until then it says that it is read-only.
    OnceReached,
    /// Never, and it says so.
    Never,
}

/// Strangers that must have asked us before we can be reached.
const PROOFS: usize = 3;
/// Time within which they must have asked.
const WINDOW: Duration = Duration::from_mins(15);
/// NATs keep a hole for an address that we contacted for minutes at the most.
const CONTACTED_FOR: Duration = Duration::from_mins(15);

/// What is known so far.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    rules: &'static Rules,
    contacted: RecentEndpoints,
    strangers: Vec<(SocketAddr, Instant)>,
}

impl Reach {
    pub(super) fn new(rules: &'static Rules, random: &mut Random) -> Self {
        Self { rules, contacted: RecentEndpoints::new(CONTACTED_FOR, random), strangers: Vec::new() }
    }

    /// We send a query to `addr`.
    pub(super) fn contacted(&mut self, now: Instant, addr: &SocketAddr) {
        self.contacted.insert(now, addr);
    }

    /// A query came from `addr`; whether that completes the proof.
    fn asked_by(&mut self, now: Instant, addr: SocketAddr) -> bool {
        if self.contacted.contains(now, &addr) {
            return false;
        }
        let diverse = self.rules.diverse;
        let alike = |other: &SocketAddr| {
            if diverse { owner(other.ip()) == owner(addr.ip()) } else { *other == addr }
        };
        self.strangers.retain(|(other, at)| now.since(*at) < WINDOW && !alike(other));
        self.strangers.push((addr, now));
        self.strangers.len() >= PROOFS
    }
}

impl Node {
    /// Whether we only ask, and say so (BEP 43).
    pub(super) fn is_read_only(&self) -> bool {
        match self.config.serve {
            Serve::Always => false,
            Serve::OnceReached => self.reach.is_some(),
            Serve::Never => true,
        }
    }

    /// A query came while we are read-only: perhaps it is the last proof that we need not be.
    pub(super) fn note_stranger(&mut self, now: Instant, from: SocketAddr) {
        let Some(reach) = &mut self.reach else { return };
        if reach.asked_by(now, from) {
            self.reach = None;
            self.events.push_back(Event::Reachable);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(third: u8, port: u16) -> SocketAddr {
        ([9, 9, third, 1], port).into()
    }

    #[test]
    fn it_takes_three_strangers_from_three_networks_in_a_quarter_of_an_hour() {
        let (mut reach, mut now) = (Reach::new(&Rules::MAINLINE, &mut Random::new([1; 32])), Instant::from_secs(1000));
        reach.contacted(now, &addr(1, 1));
        assert!(!reach.asked_by(now, addr(1, 1)), "we have contacted it");
        assert!(!reach.asked_by(now, addr(2, 1)));
        assert!(!reach.asked_by(now, addr(2, 2)), "the same network");
        assert!(!reach.asked_by(now, addr(3, 1)));
        now += WINDOW;
        assert!(!reach.asked_by(now, addr(4, 1)), "the others are too long ago");
        assert!(!reach.asked_by(now, addr(5, 1)));
        assert!(reach.asked_by(now, addr(1, 1)), "this long after our query its hole is closed");
    }
}
