//! Whether strangers can reach us (BEP 43): a node that does not know stays read-only until they did.
//!
//! Proof is a query from an address that we have not contacted lately, so that no NAT had a hole for it. One such query
//! may have other causes (a memory that has lost the address, a forged source), so it takes [`PROOFS`] from different
//! networks within [`WINDOW`]. A node that serves anyway looks for the same proof, to tell whether it can be reached.

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
/// Time between two looks of a node that serves anyway: proof costs the queries of a busy one next to nothing.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is known so far.
#[derive(Clone, Debug)]
pub(super) struct Reach {
    rules: &'static Rules,
    contacted: RecentEndpoints,
    strangers: Vec<(SocketAddr, Instant)>,
    proved: bool,
    /// When the next query is looked at.
    next_look: Instant,
    look_every: Duration,
}

impl Reach {
    /// Nothing is known yet.
    pub(super) fn new(rules: &'static Rules, random: &mut Random, serve: Serve) -> Self {
        let contacted = RecentEndpoints::new(CONTACTED_FOR, random);
        let look_every = if matches!(serve, Serve::OnceReached) { Duration::ZERO } else { LOOK_EVERY };
        Self { rules, contacted, strangers: Vec::new(), proved: false, next_look: Instant::ZERO, look_every }
    }

    /// We send a query to `addr`.
    pub(super) fn contacted(&mut self, now: Instant, addr: &SocketAddr) {
        if !self.proved {
            self.contacted.insert(now, addr);
        }
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
            Serve::OnceReached => !self.reach.proved,
            Serve::Never => true,
        }
    }

    /// Whether strangers have reached us: `false` also where that is not known yet.
    #[must_use]
    pub const fn is_reached(&self) -> bool {
        self.reach.proved
    }

    /// A query came: perhaps it is the last proof that strangers reach us.
    pub(super) fn note_stranger(&mut self, now: Instant, from: SocketAddr) {
        let reach = &mut self.reach;
        if reach.proved || now < reach.next_look {
            return;
        }
        reach.next_look = now + reach.look_every;
        if reach.asked_by(now, from) {
            reach.proved = true;
            reach.strangers = Vec::new();
            reach.contacted.forget();
            if self.config.serve == Serve::OnceReached {
                self.events.push_back(Event::Reachable);
            }
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
        let mut reach = Reach::new(&Rules::MAINLINE, &mut Random::new([1; 32]), Serve::OnceReached);
        let mut now = Instant::from_secs(1000);
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
