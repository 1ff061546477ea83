//! Seeds and peers of a torrent over time: its last counts, eight bytes each.
//!
//! Counts that are made soon after each other take one place, so that the few that are kept span days.

use super::entry::{Swarm, UnixSeconds};

/// Most counts that are kept.
pub const MOST: usize = 16;
/// Least time between two of them, but for the last.
pub const APART: UnixSeconds = 6 * 60 * 60;
/// Bytes of one: minutes since 1970, seeds, other peers.
const BYTES: usize = 8;
const MINUTE: UnixSeconds = 60;

/// The last counts of a torrent, the oldest first, each to the minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwarmHistory(Vec<Swarm>);

impl SwarmHistory {
    /// What is kept of a torrent, which was counted last so: what [`bytes`](Self::bytes) gave, or that count alone.
    #[must_use]
    pub fn of(kept: Option<&[u8]>, last: Option<Swarm>) -> Self {
        let kept = Self::read(kept.unwrap_or_default());
        if kept.0.is_empty() { Self(last.into_iter().collect()) } else { kept }
    }

    /// Reads what [`bytes`](Self::bytes) gave. What is cut off is left out.
    fn read(bytes: &[u8]) -> Self {
        let read = |&[a, b, c, d, seeds @ .., e, f]: &[u8; BYTES]| Swarm {
            seeds: u16::from_be_bytes(seeds).into(),
            peers: u16::from_be_bytes([e, f]).into(),
            at: UnixSeconds::from(u32::from_be_bytes([a, b, c, d])) * MINUTE,
        };
        Self(bytes.as_chunks().0.iter().take(MOST).map(read).collect())
    }

    /// As they are stored, with 65,535 in place of any larger number. Of a swarm in which no peer was ever seen nothing is stored.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let small = |count: u32| u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes();
        let mut bytes = Vec::with_capacity(self.0.len() * BYTES);
        for swarm in &self.0 {
            bytes.extend(u32::try_from(swarm.at / MINUTE).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend([small(swarm.seeds), small(swarm.peers)].as_flattened());
        }
        self.0.iter().any(|swarm| swarm.seeds > 0 || swarm.peers > 0).then_some(bytes)
    }

    /// Takes in the count that was made last.
    #[must_use]
    pub fn with(mut self, swarm: Swarm) -> Self {
        if let [.., before, last] = &self.0[..]
            && last.at < before.at + APART
        {
            self.0.pop();
        }
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push(Swarm { at: swarm.at / MINUTE * MINUTE, ..swarm });
        self
    }

    /// All of them.
    #[must_use]
    pub fn all(self) -> Vec<Swarm> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = 1_800_000_000;

    fn swarm(at: UnixSeconds, seeds: u32) -> Swarm {
        Swarm { seeds, peers: 1, at }
    }

    fn added(all: impl IntoIterator<Item = Swarm>) -> SwarmHistory {
        all.into_iter().fold(SwarmHistory::default(), SwarmHistory::with)
    }

    #[test]
    fn counts_that_are_far_apart_are_all_kept_up_to_a_bound_and_come_back() {
        let made: Vec<Swarm> = (0..40).map(|number| swarm(NOW + u64::from(number) * APART, number)).collect();
        let history = added(made.clone());
        assert_eq!(SwarmHistory::read(&history.bytes().unwrap()), history);
        assert_eq!(history.all(), made[40 - MOST..]);
    }

    #[test]
    fn those_soon_after_each_other_take_one_place_and_the_last_is_always_there() {
        let history = added((0..30).map(|hour| swarm(NOW + u64::from(hour) * 3_600, hour)));
        let kept: Vec<u32> = history.all().iter().map(|swarm| swarm.seeds).collect();
        assert_eq!(kept, [0, 6, 12, 18, 24, 29]);
    }

    #[test]
    fn large_swarms_are_told_as_large_and_what_is_cut_off_is_left_out() {
        let bytes = added([swarm(NOW, 1_000_000)]).bytes().unwrap();
        assert_eq!(SwarmHistory::read(&bytes).all()[0].seeds, 65_535);
        assert_eq!(SwarmHistory::read(&bytes[..7]), SwarmHistory::default());
        assert_eq!(SwarmHistory::read(&[1; 1_000]).all().len(), MOST);
    }

    #[test]
    fn nothing_is_kept_of_those_where_nobody_was_ever_seen() {
        let nobody = Swarm { seeds: 0, peers: 0, at: NOW };
        assert_eq!(added([nobody]).bytes(), None);
        assert!(added([nobody, swarm(NOW + APART, 1)]).bytes().is_some());
    }
}
