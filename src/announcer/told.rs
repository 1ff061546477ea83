//! Which list a source has told last.

use std::hash::{BuildHasher as _, RandomState};

use super::source::Listing;

/// Remembers the hash of the list that was told last, and not the list: there may be thousands of torrents in it.
#[derive(Debug, Default)]
pub(super) struct Told {
    hasher: RandomState,
    last: Option<u64>,
}

impl Told {
    /// Whether this list is another one than the last, in whose place it comes.
    pub(super) fn is_other(&mut self, listing: &Listing) -> bool {
        let hash = self.hasher.hash_one(listing);
        self.last.replace(hash) != Some(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announcer::source::{Listed, ListedState};
    use crate::engine::id::InfoHash;

    #[test]
    fn whatever_differs_in_a_list_makes_it_another_one() {
        let mut told = Told::default();
        let infohash = InfoHash::new([7; 20]);
        let listed = Listed { infohash, name: None, port: None, complete: true, state: ListedState::Active };
        let (source, torrents) = ("folder".into(), Some(vec![listed.clone()]));
        let list = Listing { source, torrents, ipv4_only: false, left_out: Vec::new(), trouble: None };
        let with = |listed: Listed| Listing { torrents: Some(vec![listed]), ..list.clone() };
        let others = [
            list.clone(),
            with(Listed { port: Some(7), ..listed.clone() }),
            with(Listed { complete: false, ..listed.clone() }),
            with(Listed { state: ListedState::Paused, ..listed.clone() }),
            with(Listed { name: Some("a".into()), ..listed }),
            Listing { torrents: Some(Vec::new()), ..list.clone() },
            Listing { torrents: None, ..list.clone() },
            Listing { trouble: Some("off".to_owned()), ..list.clone() },
            Listing { ipv4_only: true, ..list.clone() },
        ];
        for other in &others {
            assert!(told.is_other(other) && !told.is_other(&other.clone()), "{other:?}");
        }
    }
}
