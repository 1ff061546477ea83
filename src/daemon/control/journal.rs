//! What happened, in order, each event with its number: the newest of them, as many as there is room for.
//!
//! Pure. Numbers begin with 1 and have no gaps, so that a reader who names the last one that it has seen misses nothing,
//! or is told that it did.

use std::collections::VecDeque;

/// The newest events.
#[derive(Clone, Debug)]
pub(super) struct Journal<T> {
    kept: VecDeque<T>,
    /// The number of the next event.
    next: u64,
    most: usize,
}

/// Events after a certain one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Since<'a, T> {
    /// Events that there was no more room for.
    pub(super) lost: u64,
    /// The others, each with its number.
    pub(super) events: Vec<(u64, &'a T)>,
}

impl<T> Journal<T> {
    /// One with room for `most` events.
    pub(super) const fn new(most: usize) -> Self {
        Self { kept: VecDeque::new(), next: 1, most }
    }

    /// Adds an event.
    pub(super) fn push(&mut self, event: T) {
        if self.kept.len() == self.most {
            self.kept.pop_front();
        }
        self.kept.push_back(event);
        self.next += 1;
    }

    /// Up to `most` events after the one of this number, the oldest first; 0 for all. A number that is not given out yet
    /// counts as the newest.
    pub(super) fn since(&self, number: u64, most: usize) -> Since<'_, T> {
        let first = self.next - self.kept.len() as u64;
        let wanted = number.min(self.next - 1) + 1;
        let skipped = usize::try_from(wanted.saturating_sub(first)).unwrap_or(usize::MAX);
        let numbered = (first..).zip(&self.kept).skip(skipped).take(most);
        Since { lost: first.saturating_sub(wanted), events: numbered.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The twin keeps everything for ever.
        #[test]
        fn it_is_the_end_of_a_list(most in 1usize..6, events in prop::collection::vec(any::<u8>(), 0..20), number in 0u64..25) {
            let mut journal = Journal::new(most);
            events.iter().for_each(|event| journal.push(*event));
            let all: Vec<(u64, &u8)> = (1..).zip(&events).collect();
            let kept = &all[all.len().saturating_sub(most)..];
            let since = journal.since(number, usize::MAX);
            let expected: Vec<_> = kept.iter().copied().filter(|(id, _)| *id > number).collect();
            let after = all.iter().filter(|(id, _)| *id > number).count();
            prop_assert_eq!(since.lost as usize, after - expected.len());
            prop_assert_eq!(since.events, expected);
        }
    }

    #[test]
    fn a_reader_may_take_a_few_at_a_time() {
        let mut journal = Journal::new(10);
        (0..5).for_each(|event| journal.push(event));
        assert_eq!(journal.since(1, 2).events, [(2, &1), (3, &2)]);
    }
}
