//! Counts are made again in the background: one at a time, at a slow pace of its own.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::sweep::count_of;
use super::{Index, lock, now};
use crate::dht::Dht;

/// Time between two counts: each asks some dozens of nodes.
const COUNT_EVERY: Duration = Duration::from_secs(10);

impl Index {
    /// Counts what people look at; never ends.
    pub(super) async fn recount(&self, dht: &Dht) {
        let mut ticks = tokio::time::interval(COUNT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(infohash) = lock(&self.recounts).next(now()) else { continue };
            self.counts.asked.fetch_add(1, Relaxed);
            let counted = dht.scrape(infohash).await;
            if counted.reported == 0 {
                continue;
            }
            let swarm = count_of(counted.seeds, counted.peers);
            if let Err(error) = self.with_store(move |store| store.count(&[(infohash, swarm)])).await {
                self.warn(&error, "a count could not be stored");
            }
        }
    }
}
