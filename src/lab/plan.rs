//! What to run.

use super::systems::System;

/// Called with the number of each job that is done, from any thread.
pub type Progress<'a> = &'a (dyn Fn(usize) + Sync);

/// What to run. What is `None` is the experiment's own default.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where all randomness comes from.
    pub seed: u64,
    /// Sizes of the network.
    pub nodes: Option<Vec<usize>>,
    /// Which systems.
    pub systems: Option<Vec<System>>,
    /// How often to repeat with other ids, keys and deaths.
    pub trials: Option<usize>,
    /// Small sizes and few trials: the same figure, coarser.
    pub quick: bool,
    /// How many threads work. Changes nothing but the time.
    pub threads: usize,
}

impl Plan {
    /// The defaults, on one thread.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, nodes: None, systems: None, trials: None, quick: false, threads: 1 }
    }

    /// The sizes asked for, or these.
    #[must_use]
    pub fn nodes_or(&self, quick: &[usize], full: &[usize]) -> Vec<usize> {
        self.nodes.clone().unwrap_or_else(|| if self.quick { quick } else { full }.to_vec())
    }

    /// The systems asked for that this experiment knows, or all that it knows.
    #[must_use]
    pub fn systems_among(&self, known: &[System]) -> Vec<System> {
        let asked = |system: &&System| self.systems.as_ref().is_none_or(|asked| asked.contains(system));
        known.iter().filter(asked).copied().collect()
    }

    /// The number of trials asked for, or this.
    #[must_use]
    pub fn trials_or(&self, quick: usize, full: usize) -> usize {
        self.trials.unwrap_or(if self.quick { quick } else { full }).max(1)
    }
}
