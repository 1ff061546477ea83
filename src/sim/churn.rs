//! Members of a network that come and go.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::host::HostId;
use super::network::Network;
use super::population::Sessions;
use super::random::Dice;
use crate::engine::time::Instant;

/// Sessions of all members: a node that leaves is replaced at once, so that the network keeps its size.
#[derive(Clone, Debug)]
pub struct Churn {
    sessions: Sessions,
    dice: Dice,
    /// When each member leaves; the soonest first.
    leaving: BinaryHeap<Reverse<(Instant, HostId)>>,
}

impl Churn {
    /// Gives every member of `network` what is left of a session that was caught under way.
    #[must_use]
    pub fn new(network: &Network, sessions: Sessions, seed: u64) -> Self {
        let mut dice = Dice::keyed(seed, &[0xc402]);
        let now = network.world().now();
        let leaving = network.members().iter().map(|&member| Reverse((now + sessions.residual(&mut dice), member)));
        Self { leaving: leaving.collect(), sessions, dice }
    }

    /// Runs the network for this long; `successor` adds the node that takes the place of one that leaves. Returns how
    /// many left.
    pub fn run_for(
        &mut self,
        network: &mut Network,
        duration: Duration,
        mut successor: impl FnMut(&mut Network) -> HostId,
    ) -> usize {
        let until = network.world().now() + duration;
        let mut left = 0;
        while let Some(&Reverse((at, member))) = self.leaving.peek()
            && at <= until
        {
            self.leaving.pop();
            network.run_until(at);
            network.kill(member);
            let fresh = successor(network);
            self.leaving.push(Reverse((at + self.sessions.whole(&mut self.dice), fresh)));
            left += 1;
        }
        network.run_until(until);
        left
    }
}
