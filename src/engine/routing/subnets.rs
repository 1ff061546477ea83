//! Which subnets may have an entry in the table: a filter in front of a search through all buckets.
//!
//! Most contacts that are heard of come from a subnet that no entry has. Here that takes one look instead of one at each
//! entry, and in a large simulation nothing of a table is in any cache. Invariant: a count for each hash of a subnet, so
//! that none that has an entry is ever missed; one that has none may be taken for another.

use std::net::SocketAddr;

use crate::engine::contact::subnet;

/// Three times the entries of a usual table.
const COUNTS: usize = 1024;
/// A count that has come so far stays: nobody knows any longer how many there are.
const TOO_MANY: u8 = u8::MAX;

#[derive(Clone, Debug)]
pub(super) struct Subnets([u8; COUNTS]);

impl Subnets {
    pub(super) const fn new() -> Self {
        Self([0; COUNTS])
    }

    /// Whether an entry may share its subnet with `addr`.
    pub(super) fn may_contain(&self, addr: &SocketAddr) -> bool {
        self.0[index(addr)] > 0
    }

    pub(super) fn add(&mut self, addr: &SocketAddr) {
        let count = &mut self.0[index(addr)];
        *count = count.saturating_add(1);
    }

    pub(super) fn remove(&mut self, addr: &SocketAddr) {
        let count = &mut self.0[index(addr)];
        *count -= u8::from((1..TOO_MANY).contains(count));
    }
}

/// Folds the subnet. Whoever finds many that are alike here makes us search, as we would have to without the filter.
fn index(addr: &SocketAddr) -> usize {
    let network = subnet(addr.ip());
    (network ^ network >> 10 ^ network >> 20 ^ network >> 40) as usize % COUNTS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(n: u32) -> SocketAddr {
        (n.to_be_bytes(), 6881).into()
    }

    #[test]
    fn nobody_is_missed_and_few_are_mistaken() {
        let mut subnets = Subnets::new();
        let of = |n: u32| addr(n.wrapping_mul(0x9e37_79b1));
        (0..300).for_each(|n| subnets.add(&of(n)));
        assert!((0..300).all(|n| subnets.may_contain(&of(n))));
        let mistaken = (300..10_300).filter(|&n| subnets.may_contain(&of(n))).count();
        assert!(mistaken < 3_500, "{mistaken} of 10,000");
        (0..300).for_each(|n| subnets.remove(&of(n)));
        assert!((0..10_300).all(|n| !subnets.may_contain(&of(n))));
    }

    #[test]
    fn a_count_that_is_full_stays() {
        let mut subnets = Subnets::new();
        (0..300).for_each(|_| subnets.add(&addr(1)));
        (0..299).for_each(|_| subnets.remove(&addr(1)));
        assert!(subnets.may_contain(&addr(1)), "one is left");
    }
}
