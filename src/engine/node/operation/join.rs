//! Looking up our own neighbourhood: how a node joins, and how it finds who has joined near it since.
//!
//! No caller asked for it, so no event tells of it. Routers, whose ids are unknown, are asked beside the lookup; what they
//! name takes part in it.

use std::net::SocketAddr;

use super::super::Node;
use super::super::event::{OpId, Summary};
use super::super::purpose::Purpose;
use super::goal::Goal;
use crate::engine::contact::Contact;
use crate::engine::id::{Id, Target};
use crate::engine::krpc::Response;
use crate::engine::krpc::encode::Ask;
use crate::engine::lookup::Origin;
use crate::engine::time::Instant;
use crate::engine::transactions::HARD_TIMEOUT;

/// A join keeps nothing besides what every operation keeps.
#[derive(Clone, Debug)]
pub(in crate::engine::node) struct Join;

impl Goal for Join {
    fn name(&self) -> &'static str {
        "join"
    }

    fn query(&self, target: Id) -> Ask<'static> {
        Ask::FindNode(Target(target))
    }

    fn is_reported(&self) -> bool {
        false
    }

    /// `maintain.rs` decides when the next attempt is due.
    fn failed(&self, _summary: &Summary) -> bool {
        false
    }

    fn end(&mut self, node: &mut Node, now: Instant, _op: OpId, _target: Id, _summary: Summary) {
        node.join_ended(now);
    }
}

impl Node {
    /// Begins looking up our own id, with `contacts` and `routers` besides those that the table knows. There is always room
    /// for it: a node that serves commands all day must not fall out of the network.
    pub(in crate::engine::node) fn begin_join(&mut self, now: Instant, contacts: &[Contact], routers: &[SocketAddr]) {
        let own = *self.id();
        let op = self.open_always(now, own, Join);
        let mut asked = 0;
        for router in routers {
            let purpose = Purpose::Router(op);
            asked += usize::from(self.query(now, *router, None, HARD_TIMEOUT, purpose, &Ask::FindNode(Target(own))));
        }
        if let Some(operation) = self.operations.get_mut(&op) {
            contacts.iter().for_each(|contact| operation.lookup.add(*contact, Origin::Own));
            operation.outstanding = asked;
        }
        self.drive(now, op);
    }

    pub(in crate::engine::node) fn router_answered(&mut self, now: Instant, op: OpId, response: &Response<'_>) {
        self.hand_over(op, Origin::Heard { hops: 1 }, None, response);
        self.settle(now, op, |_| {});
    }
}
