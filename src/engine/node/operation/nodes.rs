//! Looking for the nodes closest to a target (BEP 5, `find_node`). They arrive with the summary.

use super::super::Node;
use super::super::event::OpId;
use super::goal::Goal;
use crate::engine::id::{Id, Target};
use crate::engine::krpc::encode::Ask;
use crate::engine::time::Instant;

/// A search for nodes keeps nothing besides what every operation keeps.
#[derive(Clone, Debug)]
pub(in crate::engine::node) struct Nodes;

impl Goal for Nodes {
    fn name(&self) -> &'static str {
        "find nodes"
    }

    fn query(&self, target: Id) -> Ask<'static> {
        Ask::FindNode(Target(target))
    }
}

impl Node {
    pub(in crate::engine::node) fn begin_nodes(&mut self, now: Instant, target: Target) -> OpId {
        let op = self.open(now, *target, Nodes);
        self.drive(now, op);
        op
    }
}
