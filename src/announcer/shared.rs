//! What the handle and its task share: the schedule, its clock, and the nodes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, broadcast, mpsc, watch};

use super::schedule::Schedule;
use super::source::Listing;
use crate::dht::Dht;
use crate::engine::id::InfoHash;
use crate::engine::time::Instant;
use crate::net::clock::{Clock, unix_seconds};

/// News that a slow subscriber may be behind before it misses some.
const NEWS: usize = 1024;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum News {
    /// An announce came to its end.
    Announced(InfoHash),
    /// A look along another path came to its end.
    Looked(InfoHash),
    /// A source told a new list.
    Listed(Arc<str>),
}

/// What the handle and its task share.
#[derive(Debug)]
pub(super) struct Shared {
    schedule: Mutex<Schedule>,
    /// The task has something to look at.
    pub(super) wake: Notify,
    pub(super) time: Timeline,
    pub(super) dht: Dht,
    /// Another node, which announces nothing: it looks for what this one has announced.
    witness: Mutex<Option<Dht>>,
    pub(super) news: broadcast::Sender<News>,
    stop: AtomicBool,
    pub(super) ended: watch::Sender<bool>,
    pub(super) listings: mpsc::Sender<Listing>,
}

/// The schedule's clock: it counts from 1970 as it was when the program started, and on without regard to whatever happens
/// to the wall clock. So instants can be kept, and never jump.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    clock: Clock,
    epoch: Duration,
}

impl Timeline {
    pub(super) fn new(clock: Clock) -> Self {
        let started = Duration::from_secs(unix_seconds()).saturating_sub(clock.now().since(Instant::ZERO));
        Self { clock, epoch: started }
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now() + self.epoch
    }

    /// When to look again for `instant`, by the runtime's timers.
    pub(super) fn deadline(&self, instant: Instant) -> tokio::time::Instant {
        self.clock.deadline(instant - self.epoch)
    }
}

impl Shared {
    pub(super) fn new(schedule: Schedule, time: Timeline, dht: Dht, listings: mpsc::Sender<Listing>) -> Self {
        Self {
            schedule: schedule.into(),
            wake: Notify::new(),
            time,
            dht,
            witness: Mutex::default(),
            news: broadcast::Sender::new(NEWS),
            stop: AtomicBool::new(false),
            ended: watch::Sender::new(false),
            listings,
        }
    }

    pub(super) fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stops(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Asks the task to end.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Waits until the task has ended.
    pub(super) async fn ended(&self) {
        // The sender lives as long as this does.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    pub(super) fn set_witness(&self, witness: Dht) {
        *self.witness.lock().unwrap_or_else(PoisonError::into_inner) = Some(witness);
    }

    /// The node that looks.
    pub(super) fn witness(&self) -> Dht {
        let witness = self.witness.lock().unwrap_or_else(PoisonError::into_inner).clone();
        witness.unwrap_or_else(|| self.dht.clone())
    }
}
