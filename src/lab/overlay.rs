//! What every system in the lab can do: place a key, and find it while some nodes are dead.

use std::collections::BTreeSet;

use crate::engine::id::Id;

/// A network whose tables are built. Nodes are numbered in the order of the ids that it was built from, so that the
/// same number is the same node in every system.
pub trait Overlay: Sync {
    /// The nodes that store `key`, in the order in which a reader tries them: `copies` of them.
    fn holders(&self, key: Id, copies: usize) -> Vec<usize>;

    /// `source` looks for a living holder of `key`. The tables are as they were before any node died.
    fn find(&self, source: usize, key: Id, copies: usize, dead: &Dead) -> Walk;
}

/// Which nodes are dead.
#[derive(Clone, Debug)]
pub struct Dead(Vec<bool>);

impl Dead {
    /// None of `n`.
    #[must_use]
    pub fn none(n: usize) -> Self {
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

/// A lookup under way to a key. It asks every node itself (papers whose nodes pass a message on have the same path and as
/// many requests), a timeout is a message, and a node that was silent once is not asked again.
#[derive(Debug)]
pub struct Reader<'a> {
    dead: &'a Dead,
    silent: BTreeSet<usize>,
    walk: Walk,
}

impl<'a> Reader<'a> {
    /// One that has asked no node yet.
    #[must_use]
    pub fn new(dead: &'a Dead) -> Self {
        Self { dead, silent: BTreeSet::new(), walk: Walk::default() }
    }

    /// Asks `node`: whether it answers.
    pub fn ask(&mut self, node: usize) -> bool {
        if self.silent.contains(&node) {
            return false;
        }
        self.walk.rpcs += 1;
        let answers = !self.dead.contains(node);
        if answers {
            self.walk.hops += 1;
        } else {
            self.walk.timeouts += 1;
            self.silent.insert(node);
        }
        answers
    }

    /// Asks one after the other and stops at the first that answers.
    pub fn ask_each(&mut self, nodes: impl IntoIterator<Item = usize>) -> Option<usize> {
        nodes.into_iter().find(|&node| self.ask(node))
    }

    /// Whether `node` was asked and was silent.
    #[must_use]
    pub fn knows_silent(&self, node: usize) -> bool {
        self.silent.contains(&node)
    }

    /// The end of the lookup.
    #[must_use]
    pub fn done(self, found: bool) -> Walk {
        Walk { found, ..self.walk }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_a_message_and_the_silent_are_asked_once() {
        let dead = Dead::these(4, &[1, 2]);
        let mut reader = Reader::new(&dead);
        assert_eq!(reader.ask_each([1, 2, 3]), Some(3));
        assert_eq!(reader.ask_each([2, 1]), None);
        assert!(reader.knows_silent(1) && !reader.knows_silent(3));
        assert_eq!(reader.done(true), Walk { hops: 1, rpcs: 3, timeouts: 2, found: true });
    }
}
