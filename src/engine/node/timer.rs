//! Everything that happens by the clock, on one screen.

use std::time::Duration;

use crate::engine::time::Instant;

/// A named timer. What it does is in `maintain.rs` and `newcomers.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// Verify one contact that we only heard of.
    Verify,
    /// Ping the entry that showed no life for longest, if it is due.
    Check,
    /// Ask for contacts for a bucket that has room.
    Refresh,
    /// Look up our own id.
    Neighbourhood,
    /// See whether we have joined; if not, try again.
    Bootstrap,
    /// Begin a new generation of tokens.
    RotateTokens,
    /// Forget old peers in a slice of the store.
    SweepPeers,
    /// Forget old items.
    SweepItems,
    /// Look at the surroundings of a random target, to know how many nodes there are.
    Measure,
}

impl Timer {
    const ALL: [Self; 9] = [
        Self::Verify,
        Self::Check,
        Self::Refresh,
        Self::Neighbourhood,
        Self::Bootstrap,
        Self::RotateTokens,
        Self::SweepPeers,
        Self::SweepItems,
        Self::Measure,
    ];
}

/// Time between two checks while a contact is due.
pub(super) const CHECK_EVERY: Duration = Duration::from_secs(3);
/// Longest time between two looks whether a contact is due.
pub(super) const CHECK_IDLE_EVERY: Duration = Duration::from_mins(1);
/// Shortest time between two checks in a large table: all have their turn before they count as questionable.
pub(super) const CHECK_LARGE_EVERY: Duration = Duration::from_millis(500);
/// Time between two refreshes while the table is new.
pub(super) const REFRESH_EVERY: Duration = Duration::from_secs(1);
/// Time between two refreshes once the table is settled.
pub(super) const REFRESH_SETTLED_EVERY: Duration = Duration::from_secs(30);
/// Time after joining during which a table is new.
pub(super) const SETTLED_AFTER: Duration = Duration::from_mins(2);
/// Time between two lookups of our own id (BEP 5: buckets are refreshed every 15 minutes); our neighbourhood is what others
/// need most.
pub(super) const NEIGHBOURHOOD_EVERY: Duration = Duration::from_mins(15);
/// Time from joining to the first of them: others have joined since.
pub(super) const NEIGHBOURHOOD_FIRST: Duration = Duration::from_secs(30);
/// Time between the first two attempts to join: doubled each time, with jitter, up to [`BOOTSTRAP_RETRY_LONGEST`].
pub(super) const BOOTSTRAP_RETRY: Duration = Duration::from_secs(2);
/// Longest time between two attempts to join, which go on for ever.
pub(super) const BOOTSTRAP_RETRY_LONGEST: Duration = Duration::from_mins(1);
/// Time between two looks of a node that has joined whether it still has contacts.
pub(super) const BOOTSTRAP_WATCH: Duration = Duration::from_secs(30);
/// Time between two slices of a sweep of the peers: all are swept within five minutes.
pub(super) const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Time between two sweeps of the items, which are few and looked through at once.
pub(super) const SWEEP_ITEMS_EVERY: Duration = Duration::from_mins(5);
/// Slices of a whole sweep.
pub(super) const SWEEP_SLICES: usize = 60;

/// Time between two random targets while the size of the network is not known ...
pub(super) const MEASURE_FIRST_EVERY: Duration = Duration::from_secs(5);
/// ... while it rests on fewer of them than are kept ...
pub(super) const MEASURE_EVERY: Duration = Duration::from_secs(20);
/// ... and after that.
pub(super) const MEASURE_SETTLED_EVERY: Duration = Duration::from_mins(5);
/// Time after the last command for a key for which random targets are looked at: nodes that only serve have no use for it.
pub(super) const MEASURE_FOR: Duration = Duration::from_mins(30);

/// Time without any datagram after which our own link counts as down: failures of others then mean nothing.
pub(super) const LINK_DOWN_AFTER: Duration = Duration::from_mins(1);

/// When each timer is due.
#[derive(Clone, Debug)]
pub(super) struct Timers([Instant; Timer::ALL.len()]);

impl Timers {
    pub(super) const fn new() -> Self {
        Self([Instant::FAR_FUTURE; Timer::ALL.len()])
    }

    pub(super) const fn set(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = at;
    }

    /// Sets a timer that is not to come later.
    pub(super) fn set_at_latest(&mut self, timer: Timer, at: Instant) {
        self.set(timer, self.0[timer as usize].min(at));
    }

    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.0[timer as usize] != Instant::FAR_FUTURE
    }

    /// When a timer is due.
    pub(super) const fn at(&self, timer: Timer) -> Instant {
        self.0[timer as usize]
    }

    /// The earliest timer.
    pub(super) fn next(&self) -> (Instant, Timer) {
        let earliest = Timer::ALL.into_iter().min_by_key(|&timer| self.0[timer as usize]);
        let timer = earliest.expect("there are timers");
        (self.0[timer as usize], timer)
    }

    /// A timer that is due at `now`, unset by this.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let (at, timer) = self.next();
        (at <= now).then(|| {
            self.set(timer, Instant::FAR_FUTURE);
            timer
        })
    }
}
