//! Queries that are answered late, by an error, or not at all: what it means for the contact and for the operation.
//!
//! Silence is not death while nothing at all arrives: then it is our own link that is down.

use super::Node;
use super::event::OpId;
use super::operation::Operation;
use super::purpose::{Attempt, Purpose};
use super::timer::{CHECK_EVERY, LINK_DOWN_AFTER, Timer};
use crate::engine::contact::Contact;
use crate::engine::time::Instant;
use crate::engine::transactions::{Expired, Transaction};

impl Node {
    pub(super) fn expire_transactions(&mut self, now: Instant) {
        while let Some(expired) = self.transactions.expire(now) {
            match expired {
                Expired::Slow(Transaction { purpose: Purpose::Lookup { op, attempt, .. }, to, .. }) => {
                    if let Some(operation) = self.in_attempt(op, attempt) {
                        operation.lookup.slow(&to);
                        self.drive(now, op);
                    }
                }
                Expired::Slow(Transaction { purpose: Purpose::Sweep { op, attempt, probe, .. }, to, .. }) => {
                    self.sweep_unanswered(now, op, attempt, &to, probe);
                }
                Expired::Slow(_) => {}
                Expired::Failed(transaction) => {
                    self.stats.timeouts += 1;
                    self.transaction_failed(now, &transaction);
                }
            }
        }
    }

    /// The operation whose lookup asked in this attempt: one that has begun anew has timeouts of its own.
    pub(super) fn in_attempt(&mut self, op: OpId, attempt: Attempt) -> Option<&mut Operation> {
        self.operations.get_mut(&op).filter(|operation| operation.attempt == attempt)
    }

    pub(super) fn transaction_failed(&mut self, now: Instant, transaction: &Transaction<Purpose>) {
        let is_failure =
            !matches!(transaction.purpose, Purpose::Lookup { basic: false, .. } | Purpose::Sweep { basic: false, .. });
        // Silence is not death while nothing at all arrives: then it is our own link that is down.
        if let Some(id) = transaction.expected.filter(|_| is_failure)
            && now.since(self.heard) < LINK_DOWN_AFTER
        {
            let contact = Contact { id, addr: transaction.to };
            self.cache.failed(&contact);
            self.table.failed(now, &contact);
            self.timers.set_at_latest(Timer::Check, now + CHECK_EVERY);
            if self.heard > transaction.sent {
                self.joining.forget_saved(&contact);
            }
        }
        self.operation_failed(now, transaction);
    }

    pub(super) fn operation_failed(&mut self, now: Instant, transaction: &Transaction<Purpose>) {
        match transaction.purpose {
            Purpose::Lookup { op, attempt, .. } => {
                if let Some(operation) = self.in_attempt(op, attempt) {
                    operation.lookup.failed(&transaction.to);
                    self.drive(now, op);
                }
            }
            Purpose::Sweep { op, attempt, probe, .. } => {
                self.sweep_unanswered(now, op, attempt, &transaction.to, probe);
            }
            Purpose::Write { op, attempt } => {
                let to = Contact { id: transaction.expected.unwrap_or_default(), addr: transaction.to };
                self.write_failed(now, op, to, transaction.sent, attempt);
            }
            Purpose::Router(op)
            | Purpose::Ping(op)
            | Purpose::Sample(op)
            | Purpose::PeersAt(op)
            | Purpose::Verify(op) => self.settle(now, op, |_| {}),
            Purpose::Check | Purpose::Refresh => {}
        }
    }
}
