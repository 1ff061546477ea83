//! Lookups that were started here: each runs to its end, also where its events are not read.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt as _, stream};
use tokio::task::{AbortHandle, JoinSet};

use super::feed::Feed;
use super::problem::Problem;
use super::record::{AnnounceRequest, LookupEvent, LookupRecord};
use crate::dht::{Dht, ProgressStream};
use crate::engine::id::InfoHash;

/// Lookups that are remembered. When there are more, those that ended first are forgotten.
const MOST_KEPT: usize = 64;

/// Lookups that run at a time.
const MOST_RUNNING: usize = 32;

/// Events of a lookup that are kept: more than any lookup has, with both families and an announce.
const MOST_EVENTS: usize = 4_096;

/// Distinct peers of a lookup that are told.
const MOST_PEERS: usize = 5_000;

/// All lookups. They end when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Lookups(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    lookups: BTreeMap<u64, Lookup>,
    last: u64,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Lookup {
    infohashes: Vec<InfoHash>,
    feed: Feed<LookupEvent>,
    tally: Arc<Mutex<Tally>>,
    task: AbortHandle,
}

/// What a lookup has come to so far.
#[derive(Debug, Default)]
struct Tally {
    peers: BTreeSet<SocketAddr>,
    answered: usize,
    stored: usize,
    over: bool,
}

impl Lookups {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a lookup.
    pub(super) fn start(
        &self,
        dht: Dht,
        infohashes: Vec<InfoHash>,
        announce: Option<AnnounceRequest>,
    ) -> Result<LookupRecord, Problem> {
        let mut table = self.table();
        table.make_room()?;
        let (feed, tally) = (Feed::new(MOST_EVENTS), Arc::<Mutex<Tally>>::default());
        let run = run(dht, infohashes.clone(), announce, feed.clone(), Arc::clone(&tally));
        let lookup = Lookup { infohashes, feed, tally, task: table.tasks.spawn(run) };
        table.last += 1;
        let id = table.last;
        let record = lookup.record(id);
        table.lookups.insert(id, lookup);
        Ok(record)
    }

    /// All of them, the oldest first.
    pub(super) fn list(&self) -> Vec<LookupRecord> {
        self.table().lookups.iter().map(|(id, lookup)| lookup.record(*id)).collect()
    }

    /// One of them.
    pub(super) fn record(&self, id: u64) -> Option<LookupRecord> {
        Some(self.table().lookups.get(&id)?.record(id))
    }

    /// The events of one of them.
    pub(super) fn feed(&self, id: u64) -> Option<Feed<LookupEvent>> {
        Some(self.table().lookups.get(&id)?.feed.clone())
    }

    /// Ends one of them and forgets it; whether it was there.
    pub(super) fn cancel(&self, id: u64) -> bool {
        let Some(lookup) = self.table().lookups.remove(&id) else { return false };
        lookup.task.abort();
        if !std::mem::replace(&mut lookup.tally().over, true) {
            lookup.feed.end(LookupEvent::End { cancelled: true });
        }
        true
    }
}

impl Table {
    /// Forgets what ended first where too many are kept.
    fn make_room(&mut self) -> Result<(), Problem> {
        while self.tasks.try_join_next().is_some() {}
        if self.lookups.values().filter(|lookup| !lookup.tally().over).count() >= MOST_RUNNING {
            return Err(Problem::busy(format_args!("{MOST_RUNNING} lookups are running, which is as many as may")));
        }
        while self.lookups.len() >= MOST_KEPT {
            let over = self.lookups.iter().find(|(_, lookup)| lookup.tally().over).map(|(id, _)| *id);
            let Some(over) = over else { break };
            self.lookups.remove(&over);
        }
        Ok(())
    }
}

impl Lookup {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }

    fn record(&self, id: u64) -> LookupRecord {
        let tally = self.tally();
        LookupRecord {
            id,
            infohashes: self.infohashes.iter().map(ToString::to_string).collect(),
            running: !tally.over,
            peers: tally.peers.len(),
            answered: tally.answered,
            stored: tally.stored,
        }
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a lookup to its end.
async fn run(
    dht: Dht,
    infohashes: Vec<InfoHash>,
    announce: Option<AnnounceRequest>,
    feed: Feed<LookupEvent>,
    tally: Arc<Mutex<Tally>>,
) {
    let mut steps = stream::SelectAll::new();
    for infohash in infohashes {
        let progress = begin(&dht, infohash, announce).await;
        steps.push(progress.map(move |step| (infohash, step)));
    }
    while let Some((infohash, step)) = steps.next().await {
        if let Some(event) = LookupEvent::of(&infohash, step).and_then(|event| lock(&tally).note(event)) {
            feed.push(event);
        }
    }
    if !std::mem::replace(&mut lock(&tally).over, true) {
        feed.end(LookupEvent::End { cancelled: false });
    }
}

async fn begin(dht: &Dht, infohash: InfoHash, announce: Option<AnnounceRequest>) -> ProgressStream {
    match announce {
        Some(AnnounceRequest { port, seed }) => dht.trace_announce(infohash, port, seed).await,
        None => dht.trace_peers(infohash).await,
    }
}

impl Tally {
    /// Counts what an event tells, and leaves out peers that are too many.
    fn note(&mut self, mut event: LookupEvent) -> Option<LookupEvent> {
        match &mut event {
            LookupEvent::Answered { .. } => self.answered += 1,
            LookupEvent::Stored { .. } => self.stored += 1,
            LookupEvent::Peers { peers, .. } => {
                peers.retain(|peer| {
                    self.peers.contains(peer) || self.peers.len() < MOST_PEERS && self.peers.insert(*peer)
                });
                if peers.is_empty() {
                    return None;
                }
            }
            LookupEvent::Done { .. } | LookupEvent::End { .. } => {}
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_that_are_too_many_are_not_told() {
        let mut tally = Tally::default();
        let event = |from: u16, to: u16| LookupEvent::Peers {
            infohash: String::new(),
            from: None,
            peers: (from..to).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect(),
        };
        assert!(tally.note(event(0, MOST_PEERS as u16)).is_some());
        assert!(tally.note(event(MOST_PEERS as u16, 6_000)).is_none());
        let Some(LookupEvent::Peers { peers, .. }) = tally.note(event(4_990, 6_000)) else {
            panic!("known ones are told")
        };
        assert_eq!((peers.len(), tally.peers.len()), (10, MOST_PEERS));
    }
}
