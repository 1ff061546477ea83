//! A budget for each of many sources, in a table of fixed size at the most.

use super::{Budget, FEW_SLOTS, slot_of};
use crate::engine::time::Instant;

/// Budgets by the hash of a source. Sources that meet in a slot share its budget.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    /// Grows up to `most`, once one source would pay for another: most nodes are asked by few at a time.
    slots: Vec<Share>,
    full: Budget,
    most: usize,
}

/// The budget of a slot, and the hash of the source that spent from it last.
#[derive(Clone, Copy, Debug)]
struct Share {
    mark: u64,
    budget: Budget,
}

impl Shares {
    /// A budget like `full` for each source, in at most `most` slots, a power of two.
    pub(super) fn new(full: Budget, most: usize) -> Self {
        debug_assert!(most.is_power_of_two() && most >= FEW_SLOTS);
        Self { slots: vec![Share { mark: 0, budget: full }; FEW_SLOTS], full, most }
    }

    /// The budget of the source whose hash is `mark`. Where it would pay for another one, the table grows before.
    pub(super) fn of(&mut self, now: Instant, mark: u64) -> &mut Budget {
        loop {
            let slot = slot_of(mark, self.slots.len());
            let share = &mut self.slots[slot];
            let left = share.budget.available(now) > 0;
            if left || share.mark == mark || self.slots.len() >= self.most {
                if left {
                    self.slots[slot].mark = mark;
                }
                return &mut self.slots[slot].budget;
            }
            self.grow();
        }
    }

    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Twice the slots. What a slot has left goes where the source belongs that spent it; the other half begins anew.
    fn grow(&mut self) {
        let mut slots = vec![Share { mark: 0, budget: self.full }; self.slots.len() * 2];
        for share in self.slots.iter().filter(|share| share.mark != 0) {
            let slot = slot_of(share.mark, slots.len());
            slots[slot] = *share;
        }
        self.slots = slots;
    }
}
