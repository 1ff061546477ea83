//! Work of one kind for many infohashes: a bounded number at a time, the rest in line, the urgent ahead.

use std::collections::VecDeque;

use crate::engine::id::Id;

/// Infohashes in line. More are not refused for good: their torrents ask again at their next announce.
const MAX_QUEUED: usize = 20_000;

/// A queue in front of a bounded number of workers.
#[derive(Debug)]
pub(super) struct Lane {
    urgent: VecDeque<Id>,
    ordinary: VecDeque<Id>,
    running: usize,
    limit: usize,
}

impl Lane {
    /// An empty lane with `limit` workers.
    pub(super) const fn new(limit: usize) -> Self {
        Self { urgent: VecDeque::new(), ordinary: VecDeque::new(), running: 0, limit }
    }

    /// Puts `id` in line; `false` if the line is full. The caller sees to it that nobody stands in it twice.
    pub(super) fn push(&mut self, id: Id, urgent: bool) -> bool {
        let queue = if urgent { &mut self.urgent } else { &mut self.ordinary };
        let room = queue.len() < MAX_QUEUED;
        if room {
            queue.push_back(id);
        }
        room
    }

    /// The next in line, if a worker is free. The caller calls [`Lane::start`] if there is work for it indeed.
    pub(super) fn pop(&mut self) -> Option<Id> {
        let free = self.running < self.limit;
        if free { self.urgent.pop_front().or_else(|| self.ordinary.pop_front()) } else { None }
    }

    /// A worker begins.
    pub(super) const fn start(&mut self) {
        self.running += 1;
    }

    /// A worker is done.
    pub(super) const fn finish(&mut self) {
        self.running = self.running.saturating_sub(1);
    }
}
