//! What every system in the lab can do: place a key, and find it while some nodes are dead.

use crate::engine::id::Id;

/// A network whose tables are built. Nodes are numbered in the order of the ids that it was built from, so that the
/// same number is the same node in every system.
pub trait Overlay: Sync {
    /// The nodes that store `key`, in the order in which a reader tries them: `copies` of them.
    fn holders(&self, key: Id, copies: usize) -> Vec<usize>;

    /// `source` looks for a living holder of `key`. The tables are as they were before anybody died.
    fn find(&self, source: usize, key: Id, copies: usize, dead: &Dead) -> Walk;
}

/// Who is dead.
#[derive(Clone, Debug)]
pub struct Dead(Vec<bool>);

impl Dead {
    /// Nobody of `n`.
    #[must_use]
    pub fn nobody(n: usize) -> Self {
        Self(vec![false; n])
    }

    /// These of `n`.
    #[must_use]
    pub fn these(n: usize, dead: &[usize]) -> Self {
        let mut all = vec![false; n];
        dead.iter().for_each(|&node| all[node] = true);
        Self(all)
    }

    /// Whether this one is.
    #[must_use]
    pub fn contains(&self, node: usize) -> bool {
        self.0[node]
    }
}

/// What a lookup cost and whether it succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// Nodes on the path that answered, the holder included.
    pub hops: u32,
    /// Messages that asked for something, those to dead nodes included.
    pub rpcs: u32,
    /// Messages to dead nodes.
    pub timeouts: u32,
    /// A living holder was reached.
    pub found: bool,
}

impl Walk {
    /// Asks `node`: whether it answers.
    pub fn ask(&mut self, node: usize, dead: &Dead) -> bool {
        self.rpcs += 1;
        let answers = !dead.contains(node);
        if answers {
            self.hops += 1;
        } else {
            self.timeouts += 1;
        }
        answers
    }

    /// Asks the holders that a reader knows of, one after the other, until one lives. The reader's own store is free.
    #[must_use]
    pub fn fetch(mut self, source: usize, holders: impl IntoIterator<Item = usize>, dead: &Dead) -> Self {
        self.found = holders.into_iter().any(|holder| holder == source || self.ask(holder, dead));
        self
    }
}
