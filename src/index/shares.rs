//! How several nodes that write to one database divide the survey among them: the key space in [`SHARES`] shares by the
//! first bits of an id, each leased to one node at a time.
//!
//! A node that lives holds its due: all shares, divided by the nodes that live. It takes what nobody holds, the shares of a
//! node that died among them once their leases are over; who has more than its due gives up the rest. What is decided here
//! the database carries out, by its own clock ([`super::store::Store::hold_shares`]).

use crate::engine::id::Id;

/// Shares of the key space.
pub const SHARES: u8 = 64;
/// The first bits of an id that name its share.
const SHARE_BITS: u32 = SHARES.ilog2();

/// A set of shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares(u64);

impl Shares {
    /// All of them.
    pub const ALL: Self = Self(u64::MAX);
    /// None of them.
    pub const NONE: Self = Self(0);

    /// Whether a share is among them.
    #[must_use]
    pub const fn has(self, share: u8) -> bool {
        share < SHARES && self.0 >> share & 1 == 1
    }

    /// Whether the share of an id is among them.
    #[must_use]
    pub const fn hold(self, id: &Id) -> bool {
        self.has(share_of(id))
    }

    /// These and one more.
    #[must_use]
    pub const fn with(self, share: u8) -> Self {
        Self(self.0 | 1 << (share % SHARES))
    }

    /// Those that are not among `others`.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// How many there are.
    #[must_use]
    pub const fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Each of them, the lowest first.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..SHARES).filter(move |share| self.has(*share))
    }

    /// The lowest id at or behind this place that lies in one of them; from the beginning where there is none behind.
    #[must_use]
    pub fn first_from(self, place: Id) -> Option<Id> {
        if self.hold(&place) {
            return Some(place);
        }
        let own = share_of(&place);
        let next = self.iter().find(|share| *share > own).or_else(|| self.iter().next())?;
        let mut id = Id::ZERO;
        id.0[0] = next << (u8::BITS - SHARE_BITS);
        Some(id)
    }
}

impl FromIterator<u8> for Shares {
    fn from_iter<T: IntoIterator<Item = u8>>(shares: T) -> Self {
        shares.into_iter().fold(Self::NONE, Self::with)
    }
}

/// The share that an id lies in.
#[must_use]
pub const fn share_of(id: &Id) -> u8 {
    id.0[0] >> (u8::BITS - SHARE_BITS)
}

/// What a node is to do with its shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// It holds them further on.
    pub keep: Shares,
    /// It takes them, if nobody else was faster.
    pub take: Shares,
    /// It gives them up.
    pub give_up: Shares,
}

/// Divides the shares: `mine` are held by this node, `free` by nobody that lives, and `alive` nodes live, this one among
/// them. Nodes begin at different shares (`start`), so that two that come at once do not want the same.
#[must_use]
pub fn plan(mine: Shares, free: Shares, alive: usize, start: u8) -> Plan {
    let due = usize::from(SHARES).div_ceil(alive.max(1));
    let keep: Shares = mine.iter().take(due).collect();
    let wanted = (0..SHARES).map(|step| (start % SHARES + step) % SHARES).filter(|share| free.has(*share));
    let take: Shares = wanted.take(due - keep.count()).collect();
    Plan { keep, take, give_up: mine.without(keep) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(first: u8) -> Id {
        Id([first; 20])
    }

    #[test]
    fn an_id_lies_in_the_share_of_its_first_six_bits() {
        assert_eq!([0, 3, 4, 0x80, 0xff].map(|first| share_of(&id(first))), [0, 0, 1, 32, 63]);
        let shares: Shares = [1, 32].into_iter().collect();
        assert_eq!([3, 4, 7, 8, 0x80].map(|first| shares.hold(&id(first))), [false, true, true, false, true]);
        assert_eq!((shares.count(), Shares::ALL.count(), Shares::ALL.has(64)), (2, 64, false));
    }

    #[test]
    fn the_next_place_lies_in_a_share_that_is_held() {
        let shares: Shares = [2, 40].into_iter().collect();
        assert_eq!(shares.first_from(id(9)), Some(id(9)));
        assert_eq!(shares.first_from(id(0x70)).map(|id| share_of(&id)), Some(40));
        assert_eq!(shares.first_from(id(0xff)).map(|id| share_of(&id)), Some(2));
        assert_eq!(Shares::NONE.first_from(id(0)), None);
    }

    #[test]
    fn a_node_alone_takes_all_and_gives_half_of_it_to_a_second() {
        let alone = plan(Shares::NONE, Shares::ALL, 1, 7);
        assert_eq!(alone.take, Shares::ALL);
        let joined = plan(Shares::ALL, Shares::NONE, 2, 7);
        assert_eq!((joined.keep.count(), joined.give_up.count(), joined.take), (32, 32, Shares::NONE));
        let second = plan(Shares::NONE, joined.give_up, 2, 50);
        assert_eq!(second.take, joined.give_up);
        let left_alone = plan(second.take, joined.keep, 1, 50);
        assert_eq!((left_alone.keep, left_alone.take), (second.take, joined.keep), "what the dead one held");
    }

    proptest! {
        /// Nodes come, die and act in any order: no share has two holders, and soon each has one.
        #[test]
        fn every_share_gets_one_holder(starts in prop::collection::vec(any::<u8>(), 1..9), acts in prop::collection::vec(0usize..9, 0..60)) {
            let mut held = vec![Shares::NONE; starts.len()];
            let everybody = (0..starts.len()).cycle().take(starts.len() * 4);
            for node in acts.into_iter().map(|node| node % starts.len()).chain(everybody) {
                let taken = held.iter().fold(Shares::NONE, |all, of| all.iter().chain(of.iter()).collect());
                let done = plan(held[node], Shares::ALL.without(taken), starts.len(), starts[node]);
                prop_assert_eq!(done.keep.iter().filter(|share| done.take.has(*share)).count(), 0);
                held[node] = done.keep.iter().chain(done.take.iter()).collect();
                let sum: usize = held.iter().map(|shares| shares.count()).sum();
                prop_assert!(sum <= 64);
            }
            prop_assert_eq!(held.iter().map(|shares| shares.count()).sum::<usize>(), 64);
            let due = 64usize.div_ceil(starts.len());
            prop_assert!(held.iter().all(|shares| shares.count() <= due));
        }
    }
}
