//! Whether something may be in a collection: a filter in front of a search.
//!
//! Most of what a busy node looks for is not there, and finding that out would take a look at everything that is: in a
//! large simulation nothing of it is in any cache. Invariant: a count for each hash of a key, so that nothing that was
//! added is ever missed; what was not added may be taken for something else. The hash has no secret: an attacker who makes
//! keys that are alike here makes us search, as we would have to without the filter.

/// A filter of `N` counts. With three for each key that is in it, a quarter of all others are mistaken.
#[derive(Clone, Debug)]
pub struct Presence<const N: usize>([u8; N]);

/// Count that stays once it is reached: how many keys there are is no longer known.
const TOO_MANY: u8 = u8::MAX;

impl<const N: usize> Presence<N> {
    /// Nothing is there.
    #[must_use]
    pub const fn new() -> Self {
        Self([0; N])
    }

    /// Whether `key` may be there.
    #[must_use]
    pub const fn may_contain(&self, key: u64) -> bool {
        self.0[index::<N>(key)] > 0
    }

    /// Adds `key`, once more if it is there already.
    pub const fn add(&mut self, key: u64) {
        let count = &mut self.0[index::<N>(key)];
        *count = count.saturating_add(1);
    }

    /// Takes out `key`, which was added.
    pub const fn remove(&mut self, key: u64) {
        let count = &mut self.0[index::<N>(key)];
        debug_assert!(*count > 0, "what is taken out was added");
        if *count < TOO_MANY {
            *count -= 1;
        }
    }
}

impl<const N: usize> Default for Presence<N> {
    fn default() -> Self {
        Self::new()
    }
}

const fn index<const N: usize>(key: u64) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % N
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_missed_and_little_mistaken() {
        let mut presence = Presence::<1024>::new();
        (0..300).for_each(|key| presence.add(key << 8));
        assert!((0..300).all(|key| presence.may_contain(key << 8)));
        let mistaken = (300..10_300).filter(|key| presence.may_contain(key << 8)).count();
        assert!(mistaken < 3_500, "{mistaken} of 10,000");
        (0..300).for_each(|key| presence.remove(key << 8));
        assert!((0..10_300).all(|key| !presence.may_contain(key << 8)));
    }

    #[test]
    fn a_count_that_is_full_stays() {
        let mut presence = Presence::<16>::new();
        (0..300).for_each(|_| presence.add(1));
        (0..299).for_each(|_| presence.remove(1));
        assert!(presence.may_contain(1), "one is left");
    }
}
