//! The survey at work: one sample at a time is asked for at the pace of queries, several are awaited.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use arrayvec::ArrayVec;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, MissedTickBehavior};

use super::{Index, lock, now};
use crate::dht::{Dht, PeersAt, SampleError};
use crate::engine::bloom::Estimate;
use crate::engine::contact::Contact;
use crate::engine::id::InfoHash;
use crate::index::entry::Swarm;
use crate::index::shares::Shares;
use crate::index::store::{Known, StoreError};
use crate::index::survey::{Question, Reaction, Survey};

/// Questions that are awaited at a time.
const AWAITED: usize = 64;
/// Time after which a lookup brings nodes where none may be asked, at most.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Time between two saves of the sweep, and two renewals of the leases of shares.
const HOLD_EVERY: Duration = Duration::from_secs(10);
/// Time that a lease lasts: a node that is silent for two renewals keeps its shares, a dead one does not for long.
const LEASE: Duration = Duration::from_secs(30);
/// Infohashes of one sample that are looked at (BEP 51 lets a reply hold about this many).
const MOST_OF_A_SAMPLE: usize = 64;
/// The names under which the sweep is saved, and what is wanted.
const SAVED: &str = "sweep";
const WANTED: &str = "wanted";

impl Index {
    pub(super) async fn sweep(&self, dht: &Dht) {
        tokio::join!(self.hold_shares(), self.ask(dht));
    }

    /// Asks node after node; never ends.
    async fn ask(&self, dht: &Dht) {
        let mut questions = FuturesUnordered::new();
        loop {
            while questions.len() < AWAITED {
                let Some(question) = lock(&self.survey).next(now()) else { break };
                questions.push(self.question(dht, question));
            }
            match questions.next().await {
                Some(()) => {}
                None => self.find_nodes(dht).await,
            }
        }
    }

    /// Saves where the sweep is, and holds its shares of the key space; never ends. Who cannot renew a lease sweeps no
    /// further than that lasts: then another node may have the share.
    async fn hold_shares(&self) {
        let mut ticks = tokio::time::interval(HOLD_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut lasts_until = Instant::now() + LEASE;
        let me = hex::encode(self.settings.our_peer_id);
        loop {
            ticks.tick().await;
            self.save_sweep().await;
            let (asked, me) = (Instant::now(), me.clone());
            let held = self.with_store(move |store| store.hold_shares(&me, LEASE));
            match tokio::time::timeout_at(lasts_until, held).await {
                Ok(Ok(shares)) => {
                    lasts_until = asked + LEASE;
                    self.take_over(shares).await;
                }
                Ok(Err(_)) if Instant::now() < lasts_until => {}
                Ok(Err(_)) | Err(_) => {
                    lock(&self.survey).hold(Shares::NONE);
                    lasts_until = Instant::now() + LEASE;
                }
            }
        }
    }

    /// Holds these shares, or all where nobody else surveys, and takes up what was saved of those that are new.
    async fn take_over(&self, shares: Option<Shares>) {
        let before = lock(&self.survey).shares();
        let Some(shares) = shares else {
            if before == Shares::NONE {
                let restored = self.restored().await;
                *lock(&self.survey) = restored;
                self.want_again().await;
            }
            return;
        };
        lock(&self.survey).hold(shares);
        self.divided.store(true, Relaxed);
        for share in shares.without(before).iter() {
            let saved = self.with_store(move |store| store.load(&name_of(share))).await;
            lock(&self.survey).take_up(&saved.ok().flatten().unwrap_or_default(), now());
        }
    }

    /// Of shares that others may take over each for itself.
    async fn save_sweep(&self) {
        let shares = lock(&self.survey).shares();
        if shares == Shares::NONE {
            return;
        }
        if !self.divided.load(Relaxed) {
            // Whoever was asked is not asked again soon: what they named is saved first.
            let bytes = lock(&self.survey).save(now());
            let wanted = lock(&self.wanted).unsaved();
            if let Some(wanted) = wanted {
                self.save(WANTED.to_owned(), wanted).await;
            }
            return self.save(SAVED.to_owned(), bytes).await;
        }
        for share in shares.iter() {
            let bytes = lock(&self.survey).save_of(Shares::NONE.with(share), now());
            self.save(name_of(share), bytes).await;
        }
    }

    async fn save(&self, name: String, bytes: Vec<u8>) {
        if let Err(error) = self.with_store(move |store| store.save(&name, &bytes)).await {
            self.warn(&error, "where the survey is could not be saved");
        }
    }

    async fn restored(&self) -> Survey {
        let saved = self.with_store(|store| store.load(SAVED)).await;
        let bytes = saved.ok().flatten().unwrap_or_default();
        Survey::restore(&bytes, now(), self.settings.private_network)
    }

    /// Wants what was wanted when the program ended.
    async fn want_again(&self) {
        let saved = self.with_store(|store| store.load(WANTED)).await.ok().flatten().unwrap_or_default();
        let infohashes = saved.as_chunks().0.iter().copied().map(InfoHash::new).collect();
        if let Err(error) = self.take_in(infohashes).await {
            self.warn(&error, "the index cannot be read");
        }
    }

    /// Where no node may be asked: looks for more of them, and waits.
    async fn find_nodes(&self, dht: &Dht) {
        dht.bootstrapped().await;
        self.queries.turn().await;
        let Some(target) = lock(&self.survey).look_at() else {
            return tokio::time::sleep(Duration::from_secs(1)).await;
        };
        let found = dht.find_nodes(target).await;
        let more = found.into_iter().collect::<Vec<Contact>>();
        let before = lock(&self.survey).len();
        lock(&self.survey).learn(more);
        if lock(&self.survey).len() == before {
            let wait = lock(&self.survey).wait(now()).unwrap_or(LOOK_AGAIN).clamp(Duration::from_secs(1), LOOK_AGAIN);
            tokio::time::sleep(wait).await;
        }
    }

    async fn question(&self, dht: &Dht, question: Question) {
        self.queries.turn().await;
        self.counts.asked.fetch_add(1, Relaxed);
        let addr = question.contact.addr;
        match dht.sample_once(addr, question.target).await {
            Ok(sampled) => {
                self.counts.sampled.fetch_add(1, Relaxed);
                let reaction = Reaction::Sample(sampled.sample.interval);
                lock(&self.survey).heard(now(), addr, reaction);
                lock(&self.survey).learn(sampled.contacts);
                if let Err(error) = self.take_sample(dht, sampled.contact, sampled.sample.infohashes).await {
                    self.warn(&error, "the index cannot be read");
                }
            }
            Err(SampleError::Unsupported) => lock(&self.survey).heard(now(), addr, Reaction::Unsupported),
            Err(SampleError::TooSoon(wait)) => lock(&self.survey).heard(now(), addr, Reaction::Sample(wait)),
            Err(SampleError::NoAnswer) => lock(&self.survey).heard(now(), addr, Reaction::Silent),
        }
    }

    /// Asks the node that gave a sample for the peers of those swarms of which none are known, or that were counted long ago.
    async fn take_sample(&self, dht: &Dht, node: Contact, infohashes: Vec<InfoHash>) -> Result<(), StoreError> {
        let infohashes: Vec<InfoHash> = infohashes.into_iter().take(MOST_OF_A_SAMPLE).collect();
        self.counts.seen.fetch_add(infohashes.len() as u64, Relaxed);
        let known = self.known(infohashes.clone()).await?;
        let mut counts = Vec::new();
        for (infohash, known) in infohashes.into_iter().zip(known) {
            let is_new = known == Known::No;
            let is_asked_for = match known {
                Known::No => self.lacks_peers(infohash),
                Known::Yes(swarm) => lock(&self.recounts).is_due(now(), infohash, swarm),
                Known::Marked(_) => false,
            };
            if !is_asked_for {
                continue;
            }
            self.queries.turn().await;
            self.counts.asked.fetch_add(1, Relaxed);
            let told = dht.peers_at(node.addr, infohash).await.unwrap_or_default();
            let swarm = counted(&told);
            match swarm {
                _ if is_new => self.want(infohash, peers_of(&told), swarm, false),
                Some(swarm) => counts.push((infohash, swarm)),
                None => {}
            }
        }
        if counts.is_empty() {
            return Ok(());
        }
        self.with_store(move |store| store.count(&counts)).await
    }
}

/// The name under which the sweep of a share is saved.
fn name_of(share: u8) -> String {
    format!("{SAVED} {share}")
}

/// What one node counted.
fn counted(told: &PeersAt) -> Option<Swarm> {
    told.count.map(|(seeds, peers)| count_of(seeds, peers))
}

/// Two estimates of this moment.
pub(super) fn count_of(seeds: Estimate, peers: Estimate) -> Swarm {
    let whole = |estimate: Estimate| estimate.count.round().clamp(0.0, f64::from(u32::MAX)) as u32;
    Swarm { seeds: whole(seeds), peers: whole(peers), at: now() }
}

fn peers_of(told: &PeersAt) -> ArrayVec<std::net::SocketAddr, { crate::index::wanted::PEERS_EACH }> {
    told.peers.iter().copied().take(crate::index::wanted::PEERS_EACH).collect()
}
