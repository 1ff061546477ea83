//! Seeds and peers of what is kept announced, over a day: a few bytes for each infohash, for as long as the program runs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::announcer::Announcer;
use crate::announcer::view::Announcement;
use crate::engine::id::InfoHash;

/// Time between two points, and how many are kept: a day.
const EVERY: Duration = Duration::from_secs(30 * 60);
const MOST_POINTS: usize = 48;

/// Infohashes of which points are kept: with all their points they take 2.5 MiB.
const MOST_INFOHASHES: usize = 10_000;

/// Seeds and other peers at one moment.
pub(super) type Point = (u16, u16);

/// The points of all infohashes, the oldest first.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<BTreeMap<InfoHash, VecDeque<Point>>>);

impl History {
    /// Takes points for ever.
    pub(super) async fn take(&self, announcer: &Announcer) {
        loop {
            tokio::time::sleep(EVERY).await;
            self.note(&announcer.announcements(None, MOST_INFOHASHES, |known| known.swarm.is_some()));
        }
    }

    /// Takes one point of each of these; the others are forgotten.
    fn note(&self, known: &[Announcement]) {
        let mut points = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *points);
        for announcement in known {
            let mut kept = before.remove(&announcement.info_hash).unwrap_or_default();
            if kept.len() >= MOST_POINTS {
                kept.pop_front();
            }
            kept.reserve_exact(1);
            kept.extend(point(announcement));
            points.insert(announcement.info_hash, kept);
        }
    }

    /// The points of one, and the one of this moment.
    pub(super) fn of(&self, announcement: &Announcement) -> Vec<Point> {
        let points = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        points.get(&announcement.info_hash).into_iter().flatten().copied().chain(point(announcement)).collect()
    }
}

fn point(announcement: &Announcement) -> Option<Point> {
    let small = |count: u32| u16::try_from(count).unwrap_or(u16::MAX);
    announcement.swarm.map(|(seeds, peers)| (small(seeds), small(peers)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announcer::view::State;

    fn announcement(first: u8, swarm: Option<(u32, u32)>) -> Announcement {
        Announcement {
            info_hash: InfoHash(crate::engine::id::Id([first; 20])),
            name: None,
            state: State::Visible,
            port: None,
            seed: false,
            stored_at: 0,
            announced: None,
            looked: None,
            seen_as: None,
            swarm,
            next: None,
            error: None,
            sources: Vec::new(),
        }
    }

    #[test]
    fn a_day_is_kept_and_what_is_announced_no_more_is_forgotten() {
        let history = History::default();
        let (one, other) = (announcement(1, Some((1, 70_000))), announcement(2, None));
        for _ in 0..100 {
            history.note(&[one.clone(), other.clone()]);
        }
        assert_eq!(history.of(&one).len(), MOST_POINTS + 1);
        assert_eq!((history.of(&one)[0], history.of(&other)), ((1, u16::MAX), Vec::new()));
        history.note(&[other]);
        assert_eq!(history.of(&one).len(), 1, "the one of this moment");
    }
}
