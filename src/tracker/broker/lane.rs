//! Work of one kind for many infohashes: a bounded number at a time, the rest in line by priority.
//!
//! Near clients come before strangers, and strangers never have all workers. An infohash stands in line once, and leaves
//! it when its work is no longer wanted; so a line is never longer than what the broker remembers.

use std::collections::BTreeMap;

use crate::engine::id::InfoHash;

/// Whose work goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Priority {
    /// A near client waits for its answer.
    NearWaits,
    /// For near clients, without one that waits.
    Near,
    /// A stranger waits for its answer.
    StrangerWaits,
    /// For strangers, without one that waits.
    Stranger,
}

impl Priority {
    const fn is_near(self) -> bool {
        matches!(self, Self::NearWaits | Self::Near)
    }
}

/// A place in line: by priority, then in the order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    priority: Priority,
    number: u64,
}

/// How far a piece of work has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is not wanted.
    #[default]
    Idle,
    /// It stands in line.
    Queued(Place),
    /// A worker has it.
    Running {
        /// Whether it began for near clients.
        near: bool,
    },
}

impl Stage {
    /// Whether a worker has it.
    pub(super) const fn is_running(self) -> bool {
        matches!(self, Self::Running { .. })
    }

    /// Whether it stands in line.
    pub(super) const fn is_queued(self) -> bool {
        matches!(self, Self::Queued(_))
    }
}

/// A queue in front of a bounded number of workers.
#[derive(Debug)]
pub(super) struct Lane {
    queue: BTreeMap<Place, InfoHash>,
    arrivals: u64,
    running_near: usize,
    running_strangers: usize,
    workers: usize,
    /// Workers that strangers may have at a time.
    for_strangers: usize,
}

impl Lane {
    /// An empty lane.
    pub(super) const fn new(workers: usize, for_strangers: usize) -> Self {
        Self { queue: BTreeMap::new(), arrivals: 0, running_near: 0, running_strangers: 0, workers, for_strangers }
    }

    /// Puts `id` in line. If it stands there, its priority becomes this one, and its time of arrival stays.
    pub(super) fn line_up(&mut self, id: InfoHash, priority: Priority, stage: &mut Stage) {
        let number = match *stage {
            Stage::Running { .. } => return,
            Stage::Queued(place) if place.priority == priority => return,
            Stage::Queued(place) => {
                self.queue.remove(&place);
                place.number
            }
            Stage::Idle => {
                self.arrivals += 1;
                self.arrivals
            }
        };
        let place = Place { priority, number };
        self.queue.insert(place, id);
        *stage = Stage::Queued(place);
    }

    /// Infohashes that stand in line.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Takes an infohash out of the line: its work is no longer wanted.
    pub(super) fn leave(&mut self, stage: &mut Stage) {
        if let Stage::Queued(place) = *stage {
            self.queue.remove(&place);
            *stage = Stage::Idle;
        }
    }

    /// Who is next, if a worker is free. It stays in line until the caller calls [`Lane::start`] or [`Lane::leave`].
    pub(super) fn next(&self) -> Option<InfoHash> {
        let (place, id) = self.queue.first_key_value()?;
        let free = self.running_near + self.running_strangers < self.workers;
        let share = place.priority.is_near() || self.running_strangers < self.for_strangers;
        (free && share).then_some(*id)
    }

    /// A worker begins.
    pub(super) fn start(&mut self, stage: &mut Stage) {
        if let Stage::Queued(place) = *stage {
            self.queue.remove(&place);
            let near = place.priority.is_near();
            *(if near { &mut self.running_near } else { &mut self.running_strangers }) += 1;
            *stage = Stage::Running { near };
        }
    }

    /// A worker is done.
    pub(super) fn finish(&mut self, stage: &mut Stage) {
        if let Stage::Running { near } = *stage {
            *(if near { &mut self.running_near } else { &mut self.running_strangers }) -= 1;
            *stage = Stage::Idle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts all that a lane lets start.
    fn started(lane: &mut Lane, stages: &mut [Stage]) -> Vec<u8> {
        let mut started = Vec::new();
        while let Some(id) = lane.next() {
            lane.start(&mut stages[usize::from(id.as_bytes()[0])]);
            started.push(id.as_bytes()[0]);
        }
        started
    }

    #[test]
    fn near_clients_go_first_and_strangers_never_have_all_workers() {
        let (mut lane, mut stages) = (Lane::new(3, 2), [Stage::Idle; 8]);
        for (i, priority) in [(0, Priority::Stranger), (1, Priority::StrangerWaits), (2, Priority::StrangerWaits)] {
            lane.line_up(InfoHash::new([i; 20]), priority, &mut stages[usize::from(i)]);
        }
        assert_eq!(started(&mut lane, &mut stages), [1, 2]);
        lane.line_up(InfoHash::new([3; 20]), Priority::Near, &mut stages[3]);
        lane.line_up(InfoHash::new([4; 20]), Priority::NearWaits, &mut stages[4]);
        assert_eq!(started(&mut lane, &mut stages), [4]);
        lane.finish(&mut stages[1]);
        assert_eq!(started(&mut lane, &mut stages), [3]);
        lane.finish(&mut stages[2]);
        assert_eq!(started(&mut lane, &mut stages), [0]);
        assert_eq!(stages[0], Stage::Running { near: false });
    }

    #[test]
    fn a_change_of_priority_keeps_the_time_of_arrival() {
        let (mut lane, mut stages) = (Lane::new(9, 9), [Stage::Idle; 8]);
        for i in 0..3 {
            lane.line_up(InfoHash::new([i; 20]), Priority::Near, &mut stages[usize::from(i)]);
        }
        lane.line_up(InfoHash::new([1; 20]), Priority::NearWaits, &mut stages[1]);
        lane.line_up(InfoHash::new([0; 20]), Priority::NearWaits, &mut stages[0]);
        assert_eq!(started(&mut lane, &mut stages), [0, 1, 2]);
    }

    #[test]
    fn what_is_no_longer_wanted_leaves_the_line() {
        let (mut lane, mut stages) = (Lane::new(1, 1), [Stage::Idle; 8]);
        for i in 0..3 {
            lane.line_up(InfoHash::new([i; 20]), Priority::Stranger, &mut stages[usize::from(i)]);
        }
        lane.leave(&mut stages[0]);
        assert_eq!((started(&mut lane, &mut stages), stages[0]), (vec![1], Stage::Idle));
        // What runs cannot leave, and what does not run cannot finish.
        let running = stages[1];
        lane.leave(&mut stages[1]);
        lane.finish(&mut stages[2]);
        assert_eq!((stages[1], lane.next()), (running, None));
    }
}
