//! Keeps what changes: one write at a time, on a thread where it may block.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};

use super::schedule::Schedule;
use super::shared::Shared;
use super::store::{Change, Record, Store, StoreError};
use super::view::SourceStatus;
use crate::engine::time::Instant;
use crate::net::clock::unix_seconds;

/// Most changes in one write: few enough that they take little memory.
const AT_ONCE: usize = 250;
/// Time from one write to the next, so that those of a moment go together.
const PAUSE: Duration = Duration::from_millis(100);
/// Time until a write is tried again that was refused.
const RETRY: Duration = Duration::from_secs(30);

/// What one write is of.
pub(super) struct Batch {
    changes: Vec<Change>,
    sources: Option<BTreeMap<Arc<str>, SourceStatus>>,
}

/// The store, what was to be written, and how that went.
pub(super) type Written = (Box<dyn Store>, Batch, Result<(), StoreError>);

/// The store, and the write that is under way.
pub(super) struct Keeper {
    /// `None` while a write has it.
    store: Option<Box<dyn Store>>,
    writing: Option<JoinHandle<Written>>,
    not_before: Instant,
    is_refused: bool,
}

/// Reads what was kept.
pub(super) async fn load(mut store: Box<dyn Store>) -> Result<(Box<dyn Store>, Vec<Record>), StoreError> {
    let loaded = spawn_blocking(move || store.load().map(|records| (store, records))).await;
    loaded.map_err(|_| StoreError::Thread)?
}

impl Keeper {
    pub(super) fn new(store: Box<dyn Store>) -> Self {
        Self { store: Some(store), writing: None, not_before: Instant::ZERO, is_refused: false }
    }

    /// Begins to keep what has changed, unless a write is under way; when to call it again otherwise.
    pub(super) fn keep(&mut self, now: Instant, schedule: &mut Schedule) -> Option<Instant> {
        if self.store.is_none() || !schedule.has_changed() {
            return None;
        }
        if now < self.not_before {
            return Some(self.not_before);
        }
        let moved = i64::try_from(unix_seconds()).unwrap_or(i64::MAX).saturating_sub_unsigned(now.as_secs());
        let changes = schedule.take_changed(AT_ONCE);
        let moved = |(info_hash, record): Change| (info_hash, record.map(|record| record.moved_by(moved)));
        let batch = Batch { changes: changes.into_iter().map(moved).collect(), sources: schedule.take_sources() };
        let mut store = self.store.take().expect("seen above");
        self.writing = Some(spawn_blocking(move || {
            let written = store.write(&batch.changes);
            let sources = batch.sources.as_ref();
            let written = written.and_then(|()| sources.map_or(Ok(()), |sources| store.write_sources(sources)));
            (store, batch, written)
        }));
        None
    }

    /// Waits for the write that is under way; without one it never ends.
    pub(super) async fn written(&mut self) -> Option<Written> {
        let Some(writing) = &mut self.writing else { return std::future::pending().await };
        let written = writing.await;
        self.writing = None;
        written.ok()
    }

    /// Takes note of how the write went. What was not kept is kept later.
    pub(super) fn note(&mut self, now: Instant, schedule: &mut Schedule, written: Option<Written>) {
        let Some((store, batch, outcome)) = written else {
            tracing::error!("what is announced is no longer kept for another run: {}", StoreError::Thread);
            return;
        };
        self.store = Some(store);
        match outcome {
            Ok(()) => {
                if std::mem::take(&mut self.is_refused) {
                    tracing::info!("what is announced is kept for another run again");
                }
                self.not_before = now + PAUSE;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_refused, true) {
                    let cure = error.cure();
                    tracing::warn!(%error, cure, "what is announced cannot be kept for another run; announcing goes on");
                }
                schedule.not_kept(batch.changes.into_iter().map(|(info_hash, _)| info_hash), batch.sources.is_some());
                self.not_before = now + RETRY;
            }
        }
    }

    /// Keeps everything that has changed, and waits for it; gives up where it is refused.
    pub(super) async fn finish(mut self, shared: &Shared) {
        loop {
            let now = shared.time.now();
            self.not_before = now;
            self.keep(now, &mut shared.schedule());
            if self.writing.is_none() {
                return;
            }
            let written = self.written().await;
            self.note(now, &mut shared.schedule(), written);
            if self.is_refused {
                return;
            }
        }
    }
}
