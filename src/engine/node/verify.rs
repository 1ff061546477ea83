//! Whether an announce can be seen: after it, some of the nodes that stored it are asked, as a stranger would.
//!
//! A node may say that it stored an announce and drop it (jech/dht does so when it is full). What it names is a choice
//! of its peers, so that to be missing from a large swarm proves nothing; to be named proves all that matters.

use std::net::SocketAddr;

use super::Node;
use super::ask::{Goal, Purpose};
use super::event::OpId;
use crate::engine::krpc::Response;
use crate::engine::krpc::encode::Ask;
use crate::engine::time::Instant;
use crate::engine::transactions::HARD_TIMEOUT;

/// Nodes that are asked after an announce.
const ASKED: usize = 2;

impl Node {
    /// Asks some of the nodes that stored an announce, once; whether there is anything to wait for.
    pub(super) fn begin_verifying(&mut self, now: Instant, op: OpId) -> bool {
        let Some(operation) = self.operations.get_mut(&op) else { return false };
        let holders = std::mem::take(&mut operation.holders);
        let target = *operation.lookup.target();
        if !self.config.verify_announces || !matches!(operation.goal, Goal::Announce { .. }) {
            return false;
        }
        let mut sent = 0;
        for holder in holders.iter().take(ASKED) {
            let purpose = Purpose::Verify(op);
            sent += usize::from(self.query(
                now,
                holder.addr,
                Some(holder.id),
                HARD_TIMEOUT,
                purpose,
                &Ask::GetPeers(target),
            ));
        }
        if let Some(operation) = self.operations.get_mut(&op) {
            operation.outstanding = sent;
        }
        sent > 0
    }

    /// A node that stored our announce has answered; `external` is how it sees us.
    pub(super) fn verified(&mut self, now: Instant, op: OpId, external: Option<SocketAddr>, response: &Response<'_>) {
        let Some(Goal::Announce { port, .. }) = self.operations.get(&op).map(|operation| operation.goal) else {
            return;
        };
        let ip = external.or_else(|| self.external_addr()).map(|addr| addr.ip());
        let is_ours = |peer: SocketAddr| peer.port() == port && ip.is_none_or(|ip| peer.ip() == ip);
        let named = response.values.iter().any(is_ours);
        self.settle(now, op, |operation| {
            operation.summary.verified_at += 1;
            operation.summary.verified += usize::from(named);
        });
    }
}
