//! Filters of large swarms (BEP 33), kept until the swarm changes: to make those of a thousand peers takes as long as to
//! serve thirty queries, and a scrape costs its sender nothing.

use crate::engine::bloom::SwarmFilters;
use crate::engine::id::Id;
use crate::engine::limits::{KEPT_FILTERS, LARGE_SWARM};

/// Filters by infohash, at most [`KEPT_FILTERS`], the one that was asked for longest ago first.
#[derive(Clone, Debug, Default)]
pub(super) struct KeptFilters(Vec<(Id, SwarmFilters)>);

impl KeptFilters {
    /// The filters of a swarm of `peers` peers: those that are kept, or those that `make` makes.
    pub(super) fn of(&mut self, info_hash: &Id, peers: usize, make: impl FnOnce() -> SwarmFilters) -> SwarmFilters {
        if peers < LARGE_SWARM {
            return make();
        }
        let kept = self.0.iter().position(|(other, _)| other == info_hash).map(|index| self.0.remove(index));
        let (_, filters) = kept.unwrap_or_else(|| (*info_hash, make()));
        if self.0.len() >= KEPT_FILTERS {
            self.0.remove(0);
        }
        self.0.push((*info_hash, filters));
        filters
    }

    /// The swarm has changed.
    pub(super) fn forget(&mut self, info_hash: &Id) {
        // Most nodes keep none.
        if !self.0.is_empty() {
            self.0.retain(|(other, _)| other != info_hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_of_a_large_swarm_are_made_once_until_it_changes() {
        let (mut kept, mut made) = (KeptFilters::default(), 0);
        let mut ask = |kept: &mut KeptFilters, index: usize, peers: usize| {
            kept.of(&Id([index as u8; 20]), peers, || {
                made += 1;
                SwarmFilters::default()
            });
            std::mem::take(&mut made)
        };
        assert_eq!([ask(&mut kept, 1, LARGE_SWARM), ask(&mut kept, 1, LARGE_SWARM)], [1, 0]);
        assert_eq!([ask(&mut kept, 2, LARGE_SWARM - 1), ask(&mut kept, 2, LARGE_SWARM - 1)], [1, 1]);
        kept.forget(&Id([2; 20]));
        assert_eq!(ask(&mut kept, 1, LARGE_SWARM), 0);
        kept.forget(&Id([1; 20]));
        assert_eq!(ask(&mut kept, 1, LARGE_SWARM), 1);
        (2..2 + KEPT_FILTERS).for_each(|index| assert_eq!(ask(&mut kept, index, LARGE_SWARM), 1));
        assert_eq!((kept.0.len(), ask(&mut kept, 1, LARGE_SWARM)), (KEPT_FILTERS, 1));
    }
}
