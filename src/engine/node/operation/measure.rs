//! Looking at the surroundings of a random target (BEP 5, `find_node`), to know how many nodes there are.
//!
//! An attacker who knows a target can draw ids around it and make the network look larger than it is, or smaller by
//! keeping nodes out of sight. He does not know the targets that are drawn here. No caller asked for it, so no event tells
//! of it. Only a node that has keys to guard does it, and at a trickle.

use super::super::Node;
use super::super::event::{OpId, Summary};
use super::super::timer::{MEASURE_EVERY, MEASURE_FIRST_EVERY, MEASURE_FOR, MEASURE_SETTLED_EVERY, Timer};
use super::goal::Goal;
use crate::engine::id::{Id, Target};
use crate::engine::krpc::encode::Ask;
use crate::engine::time::Instant;

/// A look at a random target keeps nothing besides what every operation keeps.
#[derive(Clone, Debug)]
pub(in crate::engine::node) struct Measure;

impl Goal for Measure {
    fn name(&self) -> &'static str {
        "measure"
    }

    fn query(&self, target: Id) -> Ask<'static> {
        Ask::FindNode(Target(target))
    }

    fn is_reported(&self) -> bool {
        false
    }

    fn failed(&self, _summary: &Summary) -> bool {
        false
    }

    fn end(&mut self, _node: &mut Node, _now: Instant, _op: OpId, _target: Id, _summary: Summary) {}
}

impl Node {
    pub(in crate::engine::node) fn measure_one(&mut self, now: Instant) {
        if self.last_key.is_none_or(|last| now.since(last) >= MEASURE_FOR) {
            return;
        }
        let pause = match self.size.measured() {
            None => MEASURE_FIRST_EVERY,
            Some(_) if self.size.is_well_measured() => MEASURE_SETTLED_EVERY,
            Some(_) => MEASURE_EVERY,
        };
        self.timers.set(Timer::Measure, now + pause);
        if self.has_room_for_operations() && !self.table.is_empty() {
            let target = self.random.wire_id();
            let op = self.open(now, target, Measure);
            self.drive(now, op);
        }
    }
}
