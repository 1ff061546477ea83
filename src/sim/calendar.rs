//! What will happen, in the order of time; at one instant, in the order in which it was caused: a radix heap.
//!
//! An entry lies in the drawer of the highest bit in which its time differs from the clock, the time of what was taken
//! last. When all lower drawers are empty, the earliest entry of the lowest full one becomes the clock, and the drawer is
//! dealt out to those below it. So each entry moves a few times, always from one list to the end of another, where a
//! binary heap jumps through memory at each step.
//!
//! Invariants: nothing lies before the clock; entries of one time lie in one drawer, in the order in which they came.

use std::collections::VecDeque;

use crate::engine::time::Instant;

#[derive(Clone, Debug)]
pub(super) struct Calendar<T> {
    clock: u64,
    /// What is due at the clock.
    due: VecDeque<T>,
    /// One for each bit.
    drawers: Vec<Drawer<T>>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Drawer<T> {
    earliest: u64,
    entries: Vec<(u64, T)>,
}

impl<T: Copy> Default for Calendar<T> {
    fn default() -> Self {
        let empty = Drawer { earliest: u64::MAX, entries: Vec::new() };
        Self { clock: 0, due: VecDeque::new(), drawers: vec![empty; u64::BITS as usize], len: 0 }
    }
}

impl<T: Copy> Calendar<T> {
    /// Adds what is due at `at`, which is not before what was taken last.
    pub(super) fn push(&mut self, at: Instant, what: T) {
        debug_assert!(at.as_micros() >= self.clock, "time went backwards");
        self.len += 1;
        self.put(at.as_micros().max(self.clock), what);
    }

    /// Takes the earliest, if it is due at `until` or before.
    pub(super) fn pop(&mut self, until: Instant) -> Option<(Instant, T)> {
        if self.due.is_empty() {
            self.turn(until);
        }
        let what = self.due.pop_front()?;
        self.len -= 1;
        Some((Instant::from_micros(self.clock), what))
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Moves the clock to the earliest entry, unless that comes after `until`.
    fn turn(&mut self, until: Instant) {
        let lowest = self.drawers.iter().position(|drawer| !drawer.entries.is_empty());
        let Some(index) = lowest.filter(|index| self.drawers[*index].earliest <= until.as_micros()) else { return };
        self.clock = std::mem::replace(&mut self.drawers[index].earliest, u64::MAX);
        let mut entries = std::mem::take(&mut self.drawers[index].entries);
        entries.drain(..).for_each(|(at, what)| self.put(at, what));
        // Its room is used again.
        self.drawers[index].entries = entries;
    }

    fn put(&mut self, at: u64, what: T) {
        if at == self.clock {
            return self.due.push_back(what);
        }
        let drawer = &mut self.drawers[(at ^ self.clock).ilog2() as usize];
        drawer.earliest = drawer.earliest.min(at);
        drawer.entries.push((at, what));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_sorted_list(steps in prop::collection::vec((any::<bool>(), 0u64..2000, 0u32..24), 1..400)) {
            let (mut calendar, mut twin, mut now) = (Calendar::default(), BTreeSet::new(), 0);
            for (number, (push, delay, shift)) in steps.into_iter().enumerate() {
                let at = Instant::from_micros(now + (delay << shift));
                if push {
                    calendar.push(at, number);
                    twin.insert((at, number));
                } else {
                    let expected = twin.first().copied().filter(|first| first.0 <= at);
                    prop_assert_eq!(calendar.pop(at), expected);
                    if let Some(first) = expected {
                        twin.remove(&first);
                        now = first.0.as_micros();
                    }
                }
                prop_assert_eq!(calendar.len(), twin.len());
            }
        }
    }
}
